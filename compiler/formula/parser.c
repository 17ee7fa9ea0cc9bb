/* Expressions, by precedence climbing (Pratt 1973, "Top down operator precedence"), in Python's order of precedence. */
#include "compiler/formula/formula.h"
#include "runtime/subscript.h"

#include <stdio.h>
#include <string.h>

/* -- errors ------------------------------------------------------------------------------------------------------- */

bool nd__formula_failed(const nd__formula *f)
{
    return f->m->status != ND_OK;
}

/* Puts the formula's line and a caret behind the first line of the module's error, before its notes. */
static void quote(nd__formula *f, size_t at)
{
    nd_module *m = f->m;
    f->quoted = true;
    size_t room = 2 * strlen(f->text) + 32; /* the line, and as much before the caret */
    char *caret = m->error ? nd__arena_alloc(&m->arena, room, 1) : NULL;
    if (!caret)
        return;
    nd__caret(caret, room, f->text, at);
    size_t head = strcspn(m->error, "\n");
    char *quoted = nd__arena_format(&m->arena, "%.*s%s%s", (int)head, m->error, caret, m->error + head);
    if (quoted)
        m->error = quoted;
}

nd_value *nd__formula_fail(nd__formula *f, size_t at, const char *format, ...)
{
    nd_module *m = f->m;
    if (m->status != ND_OK)
        return &m->poison;
    va_list args;
    va_start(args, format);
    const char *text = nd__arena_vformat(&m->arena, format, args);
    va_end(args);
    if (!text)
        return nd__fail_memory(m);
    nd__fail(m, ND_ERR_PARSE, f->place, "formula: column %zu: %s", at + 1, text);
    quote(f, at);
    return &m->poison;
}

nd_value *nd__formula_built(nd__formula *f, size_t at, nd_value *value)
{
    if (nd__formula_failed(f) && !f->quoted)
        quote(f, at);
    return value;
}

/* What Python has and formulas write otherwise. */
static const struct {
    const char *mark, *hint;
} hints[] = {
    {"and", "; '&' joins bools: (a > 0) & (b > 0)"},
    {"or", "; '|' joins bools: (a > 0) | (b > 0)"},
    {"not", "; '~' negates bools"},
    {"if", "; where(condition, a, b) chooses"},
    {"else", "; where(condition, a, b) chooses"},
    {"=", "; '==' compares, and only arguments of calls have names"},
    {"[", "; a list can only be an argument of a call"},
    {",", "; a formula is one value"},
};

nd_value *nd__formula_unexpected(nd__formula *f, const char *expected)
{
    const nd__lexeme *t = &f->token;
    const char *hint = "";
    if (t->kind == ND__LEXEME_BAD)
        return nd__formula_fail(f, t->at, "%s", t->problem);
    if (t->kind == ND__LEXEME_END)
        return nd__formula_fail(f, t->at, "expected %s, got the end", expected);
    for (size_t i = 0; i < sizeof hints / sizeof *hints; i++)
        if (nd__lexeme_is(t, hints[i].mark))
            hint = hints[i].hint;
    return nd__formula_fail(f, t->at, "expected %s, got '%.*s'%s", expected, t->length > 40 ? 40 : (int)t->length,
                            t->text, hint);
}

/* -- tokens ------------------------------------------------------------------------------------------------------- */

void nd__formula_next(nd__formula *f)
{
    f->token = nd__lexeme_read(f->text, &f->cursor);
}

bool nd__formula_accept(nd__formula *f, const char *mark)
{
    if (!nd__lexeme_is(&f->token, mark))
        return false;
    nd__formula_next(f);
    return true;
}

bool nd__formula_expect(nd__formula *f, const char *mark)
{
    char expected[16];
    if (nd__formula_accept(f, mark))
        return true;
    snprintf(expected, sizeof expected, "'%s'", mark);
    nd__formula_unexpected(f, expected);
    return false;
}

/* -- operands ----------------------------------------------------------------------------------------------------- */

static nd_value *unary(nd__formula *f);

static nd_value *named(nd__formula *f, const nd__lexeme *name)
{
    nd_value *v = nd__formula_value(f, name->text, name->length);
    int64_t size;
    int length = name->length > 60 ? 60 : (int)name->length;
    if (v || nd__formula_failed(f))
        return v ? v : &f->m->poison;
    if (nd__size_find(f->m, name->text, name->length, &size))
        return nd__formula_fail(f, name->at, "'%.*s' is a dimension; as a number it is size(%.*s, f32)", length,
                                name->text, length, name->text);
    const char *nearest = nd__formula_nearest(f->m, name->text, name->length, false);
    return nd__formula_fail(f, name->at, "no value is named '%.*s'%s%s%s", length, name->text,
                            nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
}

/* A call of a function whose name was taken: "(" is next. */
static nd_value *call(nd__formula *f, const nd__lexeme *name, nd_value *first)
{
    nd__call found;
    if (nd__call_find(f->m, name->text, name->length, &found))
        return nd__call_parse(f, &found, name->at, first);
    int length = name->length > 60 ? 60 : (int)name->length;
    const char *nearest = nd__formula_nearest(f->m, name->text, name->length, true);
    return nd__formula_fail(f, name->at, "no function is named '%.*s'%s%s%s", length, name->text,
                            nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
}

static bool is_keyword(const nd__lexeme *t)
{
    static const char *const words[] = {"and", "or", "not", "if", "else", "None"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (nd__lexeme_is(t, words[i]))
            return true;
    return false;
}

static nd_value *primary(nd__formula *f)
{
    const nd__lexeme t = f->token;
    if (t.kind == ND__LEXEME_NUMBER) {
        nd__formula_next(f);
        nd_value *v = nd_const_at(f->place, f->m, t.number);
        v->integral = v->weak && t.integral;
        return v;
    }
    if (nd__formula_accept(f, "(")) {
        nd_value *v = nd__formula_expression(f);
        return nd__formula_failed(f) || nd__formula_expect(f, ")") ? v : &f->m->poison;
    }
    if (nd__lexeme_is(&t, "True") || nd__lexeme_is(&t, "False")) {
        nd__formula_next(f);
        return nd_const_of_at(f->place, f->m, ND_BOOL, t.text[0] == 'T');
    }
    if ((t.kind != ND__LEXEME_NAME || is_keyword(&t)) && t.kind != ND__LEXEME_QUOTED)
        return nd__formula_unexpected(f, "a value");
    nd__formula_next(f);
    return t.kind == ND__LEXEME_NAME && nd__lexeme_is(&f->token, "(") ? call(f, &t, NULL) : named(f, &t);
}

/* x[...]: "[" is next. */
static nd_value *subscripted(nd__formula *f, nd_value *x)
{
    size_t at = f->token.at;
    char message[160];
    nd__subscript s;
    const nd__subscript_names names = {nd__size_find, f->m};
    if (nd__subscript_parse_at(f->text, &f->cursor, &names, &s, message, sizeof message) != ND_OK) {
        const size_t mistake = f->cursor;
        nd__formula_next(f);
        bool is_value = f->token.kind == ND__LEXEME_NAME && nd__formula_value(f, f->token.text, f->token.length);
        return nd__formula_fail(f, mistake, "%s%s", message,
                                is_value ? "; gather(x, indices) takes rows by a value" : "");
    }
    nd__formula_next(f);
    if (!nd__formula_expect(f, "]"))
        return &f->m->poison;
    x = nd__settle(f->place, x);
    return nd__formula_built(f, at, nd__formula_failed(f) ? x : nd__subscripted(f->place, x, s.count, s.items));
}

/* x.T, x.sum(axis=0): "." is next. */
static nd_value *attribute(nd__formula *f, nd_value *x)
{
    nd__formula_next(f);
    const nd__lexeme name = f->token;
    if (name.kind != ND__LEXEME_NAME)
        return nd__formula_unexpected(f, "T or the name of a function behind '.'");
    nd__formula_next(f);
    if (nd__lexeme_is(&f->token, "("))
        return call(f, &name, x);
    if (nd__lexeme_is(&name, "T"))
        return nd__formula_built(f, name.at, nd_transpose_at(f->place, nd__settle(f->place, x), ND_ALL_AXES));
    if (nd__lexeme_is(&name, "shape"))
        return nd__formula_fail(f, name.at,
                                "a shape is no value; x.shape[0] is a size, in shapes and in size(x.shape[0], f32)");
    return nd__formula_fail(f, name.at, "expected T or a call behind '.', got '%.*s'",
                            name.length > 40 ? 40 : (int)name.length, name.text);
}

static nd_value *postfix(nd__formula *f)
{
    nd_value *x = primary(f);
    while (!nd__formula_failed(f)) {
        if (nd__lexeme_is(&f->token, "["))
            x = subscripted(f, x);
        else if (nd__lexeme_is(&f->token, "."))
            x = attribute(f, x);
        else
            break;
    }
    return x;
}

/* -- operators ---------------------------------------------------------------------------------------------------- */

enum { DEEPEST = 100 }; /* as deep as Python's first parsers went; far below what a small thread's stack holds */

static const struct infix {
    const char *mark;
    int level; /* binds tighter the higher */
    nd__op op;
} infixes[] = {
    {"|", 1, ND__OP_or},   {"^", 2, ND__OP_xor},       {"&", 3, ND__OP_and}, {"<<", 4, ND__OP_shl},
    {">>", 4, ND__OP_shr}, {"+", 5, ND__OP_add},       {"-", 5, ND__OP_sub}, {"*", 6, ND__OP_mul},
    {"/", 6, ND__OP_div},  {"//", 6, ND__OP_floordiv}, {"%", 6, ND__OP_mod}, {"@", 6, ND__OP_matmul},
    {"<", 0, ND__OP_lt},   {"<=", 0, ND__OP_le},       {">", 0, ND__OP_gt},  {">=", 0, ND__OP_ge},
    {"==", 0, ND__OP_eq},  {"!=", 0, ND__OP_ne},
};

static const struct infix *infix_of(const nd__lexeme *t)
{
    for (size_t i = 0; i < sizeof infixes / sizeof *infixes; i++)
        if (nd__lexeme_is(t, infixes[i].mark))
            return &infixes[i];
    return NULL;
}

static nd_value *apply(nd__formula *f, size_t at, nd__op op, nd_value *a, nd_value *b)
{
    if (nd__formula_failed(f))
        return &f->m->poison;
    nd_value *both[] = {a, b};
    return nd__formula_built(f, at,
                             op == ND__OP_matmul ? nd_matmul_at(f->place, a, b) : nd__elementwise(f->place, op, both));
}

/* x ** y binds tighter than a sign on its left and looser than one on its right; it joins from the right. */
static nd_value *power(nd__formula *f)
{
    nd_value *x = postfix(f);
    size_t at = f->token.at;
    if (nd__formula_failed(f) || !nd__formula_accept(f, "**"))
        return x;
    return apply(f, at, ND__OP_pow, x, unary(f));
}

static nd_value *unary(nd__formula *f)
{
    size_t at = f->token.at;
    nd__op op = nd__lexeme_is(&f->token, "-") ? ND__OP_neg : nd__lexeme_is(&f->token, "~") ? ND__OP_not : ND__OPS;
    if (f->depth == DEEPEST)
        return nd__formula_fail(f, at, "nested deeper than %d", DEEPEST);
    f->depth++;
    nd_value *x;
    if (op != ND__OPS || nd__lexeme_is(&f->token, "+")) {
        nd__formula_next(f);
        x = unary(f);
        if (op != ND__OPS && !nd__formula_failed(f))
            x = nd__formula_built(f, at, nd__elementwise(f->place, op, &x));
    } else {
        x = power(f);
    }
    f->depth--;
    return x;
}

static nd_value *binary(nd__formula *f, int level)
{
    nd_value *x = unary(f);
    const struct infix *o;
    while (!nd__formula_failed(f) && (o = infix_of(&f->token)) && o->level >= level) {
        size_t at = f->token.at;
        nd__formula_next(f);
        x = apply(f, at, o->op, x, binary(f, o->level + 1));
    }
    return x;
}

nd_value *nd__formula_expression(nd__formula *f)
{
    nd_value *x = binary(f, 1);
    const struct infix *o = infix_of(&f->token);
    size_t at = f->token.at;
    if (nd__formula_failed(f) || !o) /* of those that binary leaves, all compare */
        return x;
    nd__formula_next(f);
    x = apply(f, at, o->op, x, binary(f, 1));
    if (infix_of(&f->token))
        return nd__formula_fail(f, f->token.at, "comparisons do not chain; write (a < b) & (b < c)");
    return x;
}

nd_value *nd_formula_at(nd_place place, nd_module *m, const char *text)
{
    if (!m || m->status != ND_OK)
        return m ? &m->poison : NULL;
    if (!text)
        return nd__fail(m, ND_ERR_ARGUMENT, place, "nd_formula: the text is NULL");
    nd__formula f = {.m = m, .place = place, .text = text};
    nd__formula_next(&f);
    nd_value *x = nd__formula_expression(&f);
    if (!nd__formula_failed(&f) && f.token.kind != ND__LEXEME_END)
        nd__formula_unexpected(&f, "an operator or the end");
    return nd__formula_failed(&f) ? &m->poison : x;
}
