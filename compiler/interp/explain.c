/* What went wrong with a function's numbers. It is run with every value kept; from a result that is not finite the way
 * goes back over operands that are not finite either, to the node that made such a number of others. Infinite constants
 * are somebody's intention (the mask of an attention): the way does not end at them but at the node that they spoil. */
#include "compiler/interp/definitions.h"
#include "compiler/text/elements.h"
#include "runtime/message.h"
#include "runtime/number.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Ordered: a NaN can come of an infinity, but hardly the other way. */
enum kind { FINITE, INFINITE, NOT_A_NUMBER };

/* A run, all of it. */
typedef struct trace {
    nd__routine r;
    void **memory; /* by slot */
    bool *reached; /* by number of the node */
} trace;

/* -- elements ------------------------------------------------------------------------------------------------------ */

static double number(nd_dtype dtype, const void *items, int64_t i)
{
    switch (dtype) {
#define CASE(dtype, type)                                                                                              \
    case dtype:                                                                                                        \
        return (double)((const type *)items)[i];
        ND__INTEGERS(CASE)
        ND__FLOATS(CASE)
#undef CASE
    default:
        return *((const uint8_t *)items + i);
    }
}

/* The worst of a value's elements: where the first such is, and how many are not finite. */
typedef struct worst {
    enum kind kind;
    int64_t at, count;
} worst;

static const void *items_of(const trace *t, const nd_value *v)
{
    return t->memory[nd__routine_slot(&t->r, v)];
}

static worst look_at(const nd_value *v, const void *items)
{
    worst w = {FINITE, 0, 0};
    const int64_t n = nd_dtype_is_float(v->dtype) ? nd__elements(&v->shape) : 0;
    for (int64_t i = 0; i < n; i++) {
        const double x = number(v->dtype, items, i);
        const enum kind kind = isnan(x) ? NOT_A_NUMBER : isinf(x) ? INFINITE : FINITE;
        w.count += kind != FINITE;
        if (kind > w.kind) {
            w.kind = kind;
            w.at = i;
        }
    }
    return w;
}

static worst look(const trace *t, const nd_value *v)
{
    return look_at(v, items_of(t, v));
}

/* -- the way back -------------------------------------------------------------------------------------------------- */

static bool is_constant(const nd_value *v)
{
    while (nd__ops[v->node->op].traits & ND__VIEW)
        v = v->node->inputs[0];
    return nd__ops[v->node->op].traits & ND__GENERATOR;
}

static bool leads_on(const trace *t, const nd_value *v, enum kind kind)
{
    return !is_constant(v) && look(t, v).kind >= kind;
}

/* The first node from which numbers of that kind reach the value. */
static const nd__node *find_origin(const trace *t, const nd_value *from, enum kind kind)
{
    const nd__node *origin = from->node;
    memset(t->reached, 0, (size_t)origin->module->node_count * sizeof *t->reached);
    t->reached[origin->number] = true;
    for (int n = t->r.node_count - 1; n >= 0; n--) {
        const nd__node *node = t->r.nodes[n];
        bool leads = false;
        for (int k = 0; t->reached[node->number] && k < node->input_count; k++)
            if (leads_on(t, node->inputs[k], kind))
                leads = t->reached[node->inputs[k]->node->number] = true;
        if (t->reached[node->number] && !leads)
            origin = node;
    }
    return origin;
}

/* The loss first, then what stays: a variable's new value, then other outputs. NULL: none is of that kind or worse. */
static const nd_value *find_spoiled(const trace *t, enum kind kind)
{
    const nd_function *f = t->r.function;
    if (f->output_count > 0 && look(t, f->outputs[0]).kind >= kind)
        return f->outputs[0];
    for (int i = 0; i < f->update_count; i++)
        if (look(t, f->updates[i].value).kind >= kind)
            return f->updates[i].value;
    for (int i = 1; i < f->output_count; i++)
        if (look(t, f->outputs[i]).kind >= kind)
            return f->outputs[i];
    return NULL;
}

/* -- words --------------------------------------------------------------------------------------------------------- */

/* `sub "p" f32[4,3]`, `add %12 f32` */
static void add_value(nd__text *text, const nd_value *v)
{
    nd__text_add(text, "%s ", nd__ops[v->node->op].name);
    if (*v->name)
        nd__text_add(text, "\"%s\"", v->name);
    else
        nd__text_add(text, v->index > 0 ? "%%%d.%d" : "%%%d", v->node->number, v->index);
}

static void add_type(nd__text *text, const nd_value *v)
{
    char type[ND__TYPE_TEXT];
    nd__text_add(text, "%s",
                 v->shape.rank > 0 ? nd__type_text(type, sizeof type, v->dtype, v->shape) : nd_dtype_name(v->dtype));
}

static void add_element(nd__text *text, const trace *t, const nd_value *v, int64_t i)
{
    char digits[ND__NUMBER_TEXT];
    const void *items = items_of(t, v);
    if (nd_dtype_is_float(v->dtype)) /* whatever the sign of a NaN */
        nd__text_add(text, "%s", nd__number_text(digits, number(v->dtype, items, i), v->dtype == ND_F32));
    else
        nd__element_print(text, v->dtype, items, i);
}

/* ` at [2,1]`; nothing for a scalar. */
static void add_index(nd__text *text, const nd_shape *shape, int64_t i)
{
    int64_t strides[ND_MAX_RANK];
    nd__row_major(shape, strides);
    for (int axis = 0; axis < shape->rank; axis++)
        nd__text_add(text, "%s%" PRId64, axis ? "," : " at [", i / strides[axis] % shape->dims[axis]);
    nd__text_add(text, shape->rank > 0 ? "]" : "");
}

/* The finite elements' range. */
static void add_range(nd__text *text, const trace *t, const nd_value *v)
{
    int64_t low = -1, high = -1, n = nd__elements(&v->shape);
    for (int64_t i = 0; i < n; i++) {
        const double x = number(v->dtype, items_of(t, v), i);
        low = isfinite(x) && (low < 0 || x < number(v->dtype, items_of(t, v), low)) ? i : low;
        high = isfinite(x) && (high < 0 || x > number(v->dtype, items_of(t, v), high)) ? i : high;
    }
    if (low < 0) {
        nd__text_add(text, n > 0 ? ", has no finite element" : ", has no elements");
        return;
    }
    nd__text_add(text, ", has elements from ");
    add_element(text, t, v, low);
    nd__text_add(text, " to ");
    add_element(text, t, v, high);
}

static void add_operands(nd__text *text, const trace *t, const nd__node *node, int64_t at)
{
    for (int k = 0; k < node->input_count; k++) {
        const nd_value *v = node->inputs[k], *given = v;
        while (given->node->op == ND__OP_broadcast && strcmp(given->node->place, node->place) == 0)
            given = given->node->inputs[0]; /* the call's own, of what its caller gave */
        nd__text_add(text, "\n  note: operand %d, ", k);
        add_value(text, given);
        nd__text_add(text, " ");
        add_type(text, given);
        nd__text_add(text, *given->node->place ? " made at %s" : "%s", given->node->place);
        if (nd__ops[node->op].traits & ND__ELEMENTWISE) {
            nd__text_add(text, ", is ");
            add_element(text, t, v, at);
            nd__text_add(text, node->results[0].shape.rank > 0 ? " there" : "");
        } else
            add_range(text, t, v);
    }
}

static void describe(nd__text *text, const trace *t, const nd__node *node)
{
    const nd_value *v = &node->results[0];
    for (int k = 1; k < node->result_count; k++)
        if (look(t, &node->results[k]).kind > look(t, v).kind)
            v = &node->results[k];
    const worst w = look(t, v);
    nd__text_add(text, *node->place ? "%s: " : "%s", node->place);
    add_value(text, v);
    nd__text_add(text, node->input_count > 0 ? " gives " : " is ");
    add_element(text, t, v, w.at);
    add_index(text, &v->shape, w.at);
    nd__text_add(text, ", ");
    add_type(text, v);
    if (w.count > 1)
        nd__text_add(text, ", of which %" PRId64 " elements are not finite", w.count);
    nd__text_add(text, node->op == ND__OP_variable ? ": before the call"
                       : node->op == ND__OP_input  ? ": it was given so"
                                                   : "");
    add_operands(text, t, node, w.at);
}

/* -- functions ----------------------------------------------------------------------------------------------------- */

static nd_status explain(const nd_function *f, const void *const *in, void *const *variables, enum kind kind,
                         nd__text *text);

/* Turn after turn, until one gives such a number. */
static nd_status explain_scan(const nd__node *node, const void *const *in, enum kind kind, nd__text *text)
{
    const nd_function *body = nd__get(node, ND__A_body)->function;
    const int64_t length = nd__get_int(node, ND__A_length);
    const int carries = (int)nd__get_int(node, ND__A_carries), slices = (int)nd__get_int(node, ND__A_slices),
              outputs = body->output_count;
    nd_status status = ND_OK;
    /* What a turn gives and what the next one gives: it reads the carries of the one before. */
    void **memory = calloc((size_t)outputs * 2 + 1, sizeof *memory);
    const void **from = (const void **)calloc((size_t)body->input_count + 1, sizeof *from);
    if (!memory || !from)
        status = ND_ERR_MEMORY;
    for (int i = 0; i < 2 * outputs && status == ND_OK; i++)
        if (!(memory[i] = nd__value_allocate(body->outputs[i % outputs])))
            status = ND_ERR_MEMORY;
    for (int i = 0; i < body->input_count && status == ND_OK; i++)
        from[i] = in[i];
    bool spoiled = false;
    for (int64_t turn = 0; turn < length && status == ND_OK && !spoiled; turn++) {
        const size_t t = (size_t)(nd__get_int(node, ND__A_reverse) ? length - 1 - turn : turn);
        void **to = memory + turn % 2 * outputs;
        for (int i = carries; i < carries + slices; i++)
            from[i] = (const unsigned char *)in[i] + t * nd__value_bytes(body->inputs[i]);
        status = nd__interpret(body, from, to, NULL, NULL);
        for (int i = 0; i < outputs && status == ND_OK; i++)
            spoiled = spoiled || look_at(body->outputs[i], to[i]).kind >= kind;
        if (spoiled) {
            status = explain(body, from, NULL, kind, text);
            nd__text_add(text, "\n  note: in turn %zu of 0 to %" PRId64, t, length - 1);
        }
        for (int i = 0; i < carries; i++)
            from[i] = to[i];
    }
    for (int i = 0; i < 2 * outputs && memory; i++)
        free(memory[i]);
    free(memory);
    free(from);
    return status;
}

/* What happened inside a node that runs functions. */
static nd_status explain_control(const trace *t, const nd__node *node, enum kind kind, nd__text *text)
{
    const void **in = (const void **)calloc((size_t)node->input_count + 1, sizeof *in);
    if (!in)
        return ND_ERR_MEMORY;
    for (int k = 0; k < node->input_count; k++)
        in[k] = items_of(t, node->inputs[k]);
    const nd_function *body = nd__get(node, ND__A_body)->function;
    nd_status status;
    if (node->op == ND__OP_scan) {
        status = explain_scan(node, in, kind, text);
    } else if (node->op == ND__OP_cond) {
        const bool condition = *(const uint8_t *)in[0];
        body = nd__get(node, condition ? ND__A_body : ND__A_other)->function;
        status = explain(body, in + 1, NULL, kind, text);
    } else {
        status = explain(body, in, NULL, kind, text);
    }
    nd__text_add(text,
                 *node->place ? "\n  note: in \"%s\", run by the %s made at %s" : "\n  note: in \"%s\", run by the %s",
                 body->name, nd__ops[node->op].name, node->place);
    free(in);
    return status;
}

/* The origin of a value's numbers of that kind. */
static nd_status explain_value(const trace *t, const nd_value *v, enum kind kind, nd__text *text)
{
    const nd__node *origin = find_origin(t, v, kind);
    if (nd__ops[origin->op].traits & ND__CONTROL)
        return explain_control(t, origin, kind, text);
    describe(text, t, origin);
    /* inf - inf: the NaN is explained, the infinity not yet. */
    for (int k = 0; k < origin->input_count && kind == NOT_A_NUMBER; k++)
        if (leads_on(t, origin->inputs[k], INFINITE)) {
            nd__text_add(text, "\n  note: before it, ");
            return explain_value(t, origin->inputs[k], INFINITE, text);
        }
    return ND_OK;
}

/* Adds to `text` what made the results of f that are of that kind or worse; nothing where none is. */
static nd_status explain(const nd_function *f, const void *const *in, void *const *variables, enum kind kind,
                         nd__text *text)
{
    trace t;
    if (!nd__routine_prepare(&t.r, f))
        return ND_ERR_MEMORY;
    for (int i = 0; i < t.r.slot_count; i++)
        t.r.last_use[i] = t.r.node_count; /* all of it stays */
    nd_status status = ND_ERR_MEMORY;
    t.memory = calloc((size_t)t.r.slot_count + 1, sizeof *t.memory);
    t.reached = calloc((size_t)f->module->node_count + 1, sizeof *t.reached);
    if (t.memory && t.reached) {
        status = ND_OK;
        nd__routine_inputs(&t.r, in, t.memory);
        for (int n = 0; n < t.r.node_count && status == ND_OK; n++)
            status = nd__routine_node(&t.r, n, t.memory, variables);
        const nd_value *spoiled = status == ND_OK ? find_spoiled(&t, kind) : NULL;
        if (spoiled)
            status = explain_value(&t, spoiled, look(&t, spoiled).kind, text);
        nd__routine_forget(&t.r, t.memory);
    }
    free(t.memory);
    free(t.reached);
    nd__routine_release(&t.r);
    return status;
}

nd_status nd__explain(const nd_function *f, const void *const *in, void *const *variables, char **text)
{
    nd__text words = {0};
    nd_status status = explain(f, in, variables, INFINITE, &words);
    if (status == ND_OK && words.failed)
        status = ND_ERR_MEMORY;
    if (status != ND_OK)
        nd__text_release(&words);
    *text = words.data;
    return status;
}
