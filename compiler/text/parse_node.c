/* The statement that makes a node: `%a: f32[3], %b: i32 = op %c, %d key=value flag`. */
#include "compiler/text/elements.h"
#include "compiler/text/nearest.h"
#include "compiler/text/parse.h"

#include <string.h>

/* What stands before the =. */
typedef struct definition {
    nd__t_token label;
    const char *name; /* "" if none */
    bool typed;
    nd__type type;
} definition;

typedef struct statement {
    nd__t_token op_token;
    nd__op op;
    definition *results;
    int result_count, result_room;
    nd_value **operands;
    int operand_count, operand_room;
    nd__attr attrs[ND__MAX_ATTRS]; /* in the op's order; key none: not given */
    int64_t lists[ND__MAX_ATTRS][ND_MAX_RANK];
    const char *variable; /* the attribute of that name */
} statement;

static bool out_of_memory(nd__t_parser *p)
{
    nd__fail_memory(p->m);
    return false;
}

static bool parse_definition(nd__t_parser *p, statement *s)
{
    if (p->token.kind != ND__T_LABEL)
        return nd__t_expected(p, "a value (%%name or %%number)");
    if (!nd__arena_grow(&p->scratch, &s->results, &s->result_room, s->result_count + 1, sizeof *s->results))
        return out_of_memory(p);
    definition *d = &s->results[s->result_count++];
    *d = (definition){.label = p->token, .name = ""};
    if (nd__labels_find(&p->labels, d->label.text, d->label.length))
        return nd__t_wrong(p, &d->label, "%%%.*s is defined already", (int)d->label.length, d->label.text);
    nd__t_next(p);
    if (d->label.text[0] >= '0' && d->label.text[0] <= '9') {
        if (p->token.kind == ND__T_STRING) {
            d->name = nd__t_text(p, &p->token);
            nd__t_next(p);
        }
    } else {
        d->name = nd__t_text(p, &d->label);
    }
    if (!d->name)
        return false;
    d->typed = nd__t_accept(p, ":");
    return !d->typed || nd__t_parse_type(p, &d->type);
}

static bool parse_op(nd__t_parser *p, statement *s)
{
    s->op_token = p->token;
    if (p->token.kind != ND__T_WORD)
        return nd__t_expected(p, "an op");
    nd__nearest nearest = {.word = p->token.text, .length = p->token.length};
    for (int op = 0; op < ND__OPS; op++) {
        if (nd__t_is(&p->token, nd__ops[op].name)) {
            s->op = (nd__op)op;
            nd__t_next(p);
            return true;
        }
        nd__nearest_try(&nearest, nd__ops[op].name);
    }
    return nd__t_wrong(p, &p->token, nearest.best ? "unknown op '%.*s', did you mean '%s'?" : "unknown op '%.*s'",
                       (int)p->token.length, p->token.text, nearest.best);
}

static bool parse_operands(nd__t_parser *p, statement *s)
{
    if (p->token.kind != ND__T_LABEL)
        return true;
    do {
        if (!nd__arena_grow(&p->scratch, &s->operands, &s->operand_room, s->operand_count + 1, sizeof(nd_value *)))
            return out_of_memory(p);
        if (!nd__t_parse_value(p, &s->operands[s->operand_count++]))
            return false;
    } while (nd__t_accept(p, ","));
    return true;
}

/* -- attributes ---------------------------------------------------------------------------------------------------- */

static bool parse_list(nd__t_parser *p, bool sizes, nd__attr *a, int64_t *items)
{
    a->ints = items;
    if (!nd__t_expect(p, "["))
        return false;
    if (nd__t_accept(p, "]"))
        return true;
    do {
        if (a->count == ND_MAX_RANK)
            return nd__t_expected(p, "at most %d numbers", ND_MAX_RANK);
        int64_t *item = &items[a->count++];
        if (sizes) {
            if (!nd__t_parse_size(p, item))
                return false;
            continue;
        }
        if (p->token.kind != ND__T_NUMBER || !nd__whole_parse(p->token.text, p->token.length, item))
            return nd__t_expected(p, "a whole number");
        nd__t_next(p);
    } while (nd__t_accept(p, ","));
    return nd__t_expect(p, "]");
}

/* Of what, and both limits, * for an open one: result[*,0]. */
static bool parse_band(nd__t_parser *p, nd__attr *a, int64_t *limits)
{
    for (int of = ND_BAND_A; of <= ND_BAND_RESULT; of++)
        if (nd__t_is(&p->token, nd__band_names[of]))
            a->i = of;
    if (a->i == ND_BAND_NONE)
        return nd__t_expected(p, "what has the band (a, b, result)");
    nd__t_next(p);
    a->ints = limits;
    for (; a->count < 2; a->count++) {
        limits[a->count] = a->count ? INT64_MAX : INT64_MIN;
        if (!nd__t_expect(p, a->count ? "," : "["))
            return false;
        if (nd__t_accept(p, "*"))
            continue;
        if (p->token.kind != ND__T_NUMBER || !nd__whole_parse(p->token.text, p->token.length, &limits[a->count]))
            return nd__t_expected(p, "a whole number or '*'");
        nd__t_next(p);
    }
    return nd__t_expect(p, "]");
}

static bool parse_function_name(nd__t_parser *p, nd__attr *a)
{
    const nd__t_token at = p->token;
    const char *name;
    if (!nd__t_parse_word(p, "a function's name", &name))
        return false;
    a->function = nd_module_function(p->m, name);
    return a->function || nd__t_wrong(p, &at, "there is no function \"%s\" before this line", name);
}

static bool parse_number(nd__t_parser *p, nd__attr *a, bool bits)
{
    uint64_t value = 0;
    const nd__t_token *t = &p->token;
    if (t->kind != ND__T_NUMBER ||
        !(bits ? nd__bits_parse(t->text, t->length, &value) : nd__whole_parse(t->text, t->length, &a->i)))
        return nd__t_expected(p, bits ? "a number of 64 bits" : "a whole number");
    if (bits)
        a->i = (int64_t)value;
    nd__t_next(p);
    return true;
}

static bool parse_string(nd__t_parser *p, const char **text)
{
    if (p->token.kind != ND__T_STRING)
        return nd__t_expected(p, "a name in quotes");
    *text = nd__t_text(p, &p->token);
    nd__t_next(p);
    return *text != NULL;
}

static bool parse_value_of(nd__t_parser *p, statement *s, nd__attr *a, int64_t *items)
{
    nd__type type;
    switch (nd__attr_kinds[a->key]) {
    case ND__KIND_FLAG:
        a->i = 1;
        return true;
    case ND__KIND_INT:
    case ND__KIND_BITS:
        return parse_number(p, a, nd__attr_kinds[a->key] == ND__KIND_BITS);
    case ND__KIND_SIZE:
        return nd__t_parse_size(p, &a->i);
    case ND__KIND_DTYPE:
        if (!nd__t_parse_type(p, &type))
            return false;
        a->i = type.dtype;
        return true;
    case ND__KIND_INTS:
    case ND__KIND_SIZES:
        return parse_list(p, nd__attr_kinds[a->key] == ND__KIND_SIZES, a, items);
    case ND__KIND_BAND:
        return parse_band(p, a, items);
    case ND__KIND_TEXT:
        return parse_string(p, &a->text);
    case ND__KIND_VAR:
        return parse_string(p, &s->variable);
    case ND__KIND_FUNC:
        return parse_function_name(p, a);
    case ND__KIND_DATA: /* one element, of the operand's dtype */
        if (s->operand_count == 0)
            return nd__t_expected(p, "an operand first");
        return nd__t_parse_data(p, s->operands[0]->dtype, &(nd_shape){0}, &a->data);
    }
    return false;
}

/* Said by the type and the name before the =, or, for a constant's elements, written in the place of operands. */
static bool is_said_elsewhere(nd__attr_key key)
{
    return key == ND__A_dtype || key == ND__A_shape || key == ND__A_data;
}

static bool unknown_attribute(nd__t_parser *p, const statement *s)
{
    const char *list = "";
    for (int i = 0; i < ND__MAX_ATTRS && list; i++)
        if (nd__ops[s->op].attrs[i] != ND__A_none && !is_said_elsewhere(nd__ops[s->op].attrs[i]))
            list = nd__arena_format(&p->scratch, "%s%s%s", list, *list ? ", " : "",
                                    nd__attr_names[nd__ops[s->op].attrs[i]]);
    if (!list)
        return out_of_memory(p);
    return *list ? nd__t_expected(p, "the end of the line or an attribute of %s (%s)", nd__ops[s->op].name, list)
                 : nd__t_expected(p, "the end of the line (%s has no attributes)", nd__ops[s->op].name);
}

static bool parse_attributes(nd__t_parser *p, statement *s)
{
    while (p->token.kind == ND__T_WORD) {
        int i = 0;
        while (i < ND__MAX_ATTRS &&
               (is_said_elsewhere(nd__ops[s->op].attrs[i]) || nd__ops[s->op].attrs[i] == ND__A_none ||
                !nd__t_is(&p->token, nd__attr_names[nd__ops[s->op].attrs[i]])))
            i++;
        if (i == ND__MAX_ATTRS)
            return unknown_attribute(p, s);
        nd__attr *a = &s->attrs[i];
        if (a->key != ND__A_none)
            return nd__t_wrong(p, &p->token, "%s is given twice", nd__attr_names[a->key]);
        a->key = nd__ops[s->op].attrs[i];
        nd__t_next(p);
        if (nd__attr_kinds[a->key] != ND__KIND_FLAG && !nd__t_expect(p, "="))
            return false;
        if (!parse_value_of(p, s, a, s->lists[i]))
            return false;
    }
    return p->token.kind == ND__T_LINE || p->token.kind == ND__T_END || unknown_attribute(p, s);
}

/* The attributes that the line says in other words; an error where one is missing. */
static bool complete_attributes(nd__t_parser *p, statement *s)
{
    const definition *d = &s->results[0];
    for (int i = 0; i < ND__MAX_ATTRS && nd__ops[s->op].attrs[i] != ND__A_none; i++) {
        nd__attr *a = &s->attrs[i];
        const nd__attr_key key = nd__ops[s->op].attrs[i];
        if (a->key != ND__A_none || nd__attr_kinds[key] == ND__KIND_FLAG || nd__attr_kinds[key] == ND__KIND_BAND)
            continue;
        if ((key == ND__A_dtype || key == ND__A_shape) && !d->typed)
            return nd__t_wrong(p, &d->label, "%s needs a type: %%%.*s: f32[2,3] = %s", nd__ops[s->op].name,
                               (int)d->label.length, d->label.text, nd__ops[s->op].name);
        if (key == ND__A_dtype)
            *a = nd__attr_int(key, d->type.dtype);
        else if (key == ND__A_shape)
            *a = nd__attr_shape(key, &d->type.shape);
        else if (key == ND__A_name)
            *a = nd__attr_text(key, d->name);
        else if (key == ND__A_variable)
            s->variable = d->name;
        else
            return nd__t_expected(p, "the attribute %s of %s", nd__attr_names[key], nd__ops[s->op].name);
    }
    return true;
}

/* -- the node ------------------------------------------------------------------------------------------------------ */

static nd_value *make(nd__t_parser *p, statement *s)
{
    const char *place = nd__t_place_of(p, &s->op_token);
    const definition *d = &s->results[0];
    if (s->op == ND__OP_input || s->op == ND__OP_variable) {
        if (s->operand_count > 0)
            return nd__fail(p->m, ND_ERR_GRAPH, place, "%s: expected 0 operands, got %d", nd__ops[s->op].name,
                            s->operand_count);
        if (s->op == ND__OP_input)
            return nd_input_at(place, p->m, s->attrs[0].text, d->type.dtype, d->type.shape);
        const nd__variable *v = nd__declare(p->m, place, s->variable, d->type.dtype, d->type.shape);
        return v ? v->read : &p->m->poison;
    }
    int count = 0;
    for (int i = 0; i < ND__MAX_ATTRS; i++)
        if (s->attrs[i].key != ND__A_none)
            s->attrs[count++] = s->attrs[i];
    return nd__make(p->m, s->op, place, s->operand_count, s->operands, count, s->attrs);
}

/* Checks what the line says of the results, and defines them. */
static bool define(nd__t_parser *p, const statement *s, const nd__node *n)
{
    if (n->result_count != s->result_count)
        return nd__t_wrong(p, &s->results[0].label, "%s gives %d values, this line names %d", nd__ops[s->op].name,
                           n->result_count, s->result_count);
    for (int i = 0; i < n->result_count; i++) {
        const definition *d = &s->results[i];
        nd_value *v = &n->results[i];
        if (d->typed && (d->type.dtype != v->dtype || !nd__shape_equal(&d->type.shape, &v->shape)))
            return nd__t_wrong(p, &d->label, "%%%.*s is said to be %s, but %s gives %s", (int)d->label.length,
                               d->label.text, nd__show_type(p->m, d->type.dtype, &d->type.shape), nd__ops[s->op].name,
                               nd__show_type(p->m, v->dtype, &v->shape));
        if (strcmp(v->name, d->name) != 0)
            nd_name(v, d->name);
        nd__label *label = nd__labels_add(&p->labels, &p->scratch, d->label.text, d->label.length);
        if (!label)
            return out_of_memory(p);
        if (label->value) /* by this very line */
            return nd__t_wrong(p, &d->label, "%%%.*s is defined already", (int)d->label.length, d->label.text);
        label->value = v;
    }
    return p->m->status == ND_OK;
}

bool nd__t_parse_node(nd__t_parser *p)
{
    statement s = {0};
    do {
        if (!parse_definition(p, &s))
            return false;
    } while (nd__t_accept(p, ","));
    if (!nd__t_expect(p, "=") || !parse_op(p, &s))
        return false;
    if (s.op == ND__OP_constant) {
        const definition *d = &s.results[0];
        if (!d->typed)
            return nd__t_wrong(p, &d->label, "constant needs a type: %%%.*s: f32[2,3] = constant", (int)d->label.length,
                               d->label.text);
        for (int i = 0; i < ND__MAX_ATTRS; i++)
            if (nd__ops[s.op].attrs[i] == ND__A_data) {
                s.attrs[i].key = ND__A_data;
                if (!nd__t_parse_data(p, d->type.dtype, &d->type.shape, &s.attrs[i].data))
                    return false;
            }
    }
    if (!parse_operands(p, &s) || !parse_attributes(p, &s) || !complete_attributes(p, &s))
        return false;
    const nd_value *first = make(p, &s);
    if (p->m->status != ND_OK)
        return false;
    if (nd_value_is_poison(first))
        return nd__t_wrong(p, &s.results[0].label, "%s gives no values, this line names %d", nd__ops[s.op].name,
                           s.result_count);
    return define(p, &s, first->node) && nd__t_expect_line(p);
}
