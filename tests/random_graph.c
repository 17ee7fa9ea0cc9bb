#include "random_graph.h"

#include "bits.h"
#include "compiler/interp/interp.h"
#include "random_op.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POOL = 64, CANDIDATES = 8 };

typedef struct maker {
    nd_module *m;
    uint64_t *state;
    int64_t rows, columns; /* of most shapes */
    int64_t most;          /* elements that a value has at most */
    int count, bodies;
    nd_value *pool[POOL];
} maker;

static int64_t below(maker *k, int64_t n)
{
    return random_below(k->state, n);
}

static void keep(maker *k, nd_value *v)
{
    if (k->count < POOL)
        k->pool[k->count++] = v;
}

static nd_value *any(maker *k)
{
    return k->pool[below(k, k->count)];
}

static bool is_number(const nd_value *v)
{
    return nd_dtype_is_float(v->dtype) || nd_dtype_is_integer(v->dtype);
}

/* A random value of the pool of that dtype. The pool begins with one of each. */
static nd_value *any_of(maker *k, nd_dtype dtype)
{
    for (int tries = 0; tries < 100; tries++) {
        nd_value *v = any(k);
        if (v->dtype == dtype)
            return v;
    }
    for (int i = 0;; i++)
        if (k->pool[i]->dtype == dtype)
            return k->pool[i];
}

static nd_value *constant(maker *k)
{
    static const double reals[] = {0.0, -0.0, 1, -1, 2, 0.5, -8, 3, INFINITY, -INFINITY, NAN, 0x1p-149, 0x1p127};
    static const double wholes[] = {0, 1, 2, 3, 8, 255};
    static const nd_dtype dtypes[] = {ND_F32, ND_F32, ND_F32, ND_I32, ND_U8, ND_BOOL};
    nd_dtype dtype = dtypes[below(k, 6)];
    double value = dtype == ND_F32    ? reals[below(k, sizeof reals / sizeof *reals)]
                   : dtype == ND_BOOL ? (double)below(k, 2)
                                      : wholes[below(k, 6)];
    nd_value *v = nd_const_of(k->m, dtype, value);
    switch (below(k, 4)) {
    case 0:
        return nd_filled(k->m, dtype, any(k)->shape, value);
    case 1:
        return nd_broadcast(v, ND_SHAPE(k->rows, k->columns));
    case 2:
        return is_number(v) ? nd_iota(k->m, dtype, ND_SHAPE(k->rows, k->columns), (int)below(k, 2)) : v;
    default:
        return v;
    }
}

/* Some elementwise op over values of the pool, where their shapes broadcast. */
static nd_value *elementwise(maker *k)
{
    nd__op op;
    nd_value *x[ND__MAX_ARITY], *first;
    do {
        op = (nd__op)below(k, ND__OPS);
        first = any(k);
    } while (!(nd__ops[op].traits & ND__ELEMENTWISE) || !random_op_takes(op, first->dtype));
    const int arity = nd__ops[op].arity, skip = op == ND__OP_select;
    nd_shape shape = first->shape;
    for (int i = 0; i < arity; i++)
        x[i] = i == skip ? first : any_of(k, i < skip ? ND_BOOL : first->dtype);
    for (int i = 0; i < arity; i++) { /* those that do not broadcast give way */
        nd_shape own = x[i]->shape;
        bool fits = own.rank <= shape.rank;
        for (int a = 1; fits && a <= own.rank; a++)
            fits = own.dims[own.rank - a] == 1 || own.dims[own.rank - a] == shape.dims[shape.rank - a];
        if (!fits)
            x[i] = i < skip ? nd_filled(k->m, ND_BOOL, ND_SCALAR, 1) : first;
    }
    if (op == ND__OP_cast)
        return nd_cast(first, (nd_dtype)below(k, ND_STRING));
    if (!nd__unify(k->m, ND_HERE, "random", arity, skip, x))
        return &k->m->poison;
    return nd__make(k->m, op, ND_HERE, arity, x, 0, NULL);
}

static nd_axes permutation(maker *k, int rank)
{
    nd_axes axes = {.count = rank};
    for (int i = 0; i < rank; i++) {
        int j = (int)below(k, i + 1);
        axes.items[i] = axes.items[j];
        axes.items[j] = i;
    }
    return axes;
}

static nd_value *view(maker *k)
{
    nd_value *v = any(k);
    nd_shape shape = v->shape;
    int64_t start[ND_MAX_RANK], size[ND_MAX_RANK], step[ND_MAX_RANK];
    switch (below(k, 7)) {
    case 0:
    case 1:
        return nd_transpose(v, permutation(k, shape.rank));
    case 2: { /* the same sizes in another order; or all in one */
        nd_axes axes = permutation(k, shape.rank);
        nd_shape to = shape;
        for (int i = 0; i < shape.rank; i++)
            to.dims[i] = shape.dims[axes.items[i]];
        return nd_reshape(v, below(k, 3) ? to : ND_SHAPE(nd__elements(&shape)));
    }
    case 3: { /* axes of 1 before the last */
        nd_shape to = {.rank = 1, .dims = {nd__elements(&shape)}};
        nd_value *row = nd_reshape(v, to);
        return nd_broadcast(row, ND_SHAPE(2, to.dims[0]));
    }
    case 4:
        return nd_broadcast(v, shape);
    case 5: {
        int64_t low[ND_MAX_RANK], high[ND_MAX_RANK];
        for (int i = 0; i < shape.rank; i++) {
            low[i] = below(k, 2);
            high[i] = below(k, 2);
        }
        return below(k, 2) && shape.rank > 0 ? nd_concat(ND_VALUES(v, v), (int)below(k, shape.rank))
                                             : nd_pad(v, low, high, NULL, 0);
    }
    default:
        for (int i = 0; i < shape.rank; i++) {
            const int64_t n = shape.dims[i], backwards = below(k, 2);
            step[i] = backwards ? -1 : 1;
            start[i] = backwards && n > 0 ? n - 1 : 0;
            size[i] = n > 1 && below(k, 2) ? n - 1 : n;
        }
        return nd_slice(v, start, size, step);
    }
}

static nd_value *reduction(maker *k)
{
    nd_value *v = any(k);
    if (!is_number(v))
        v = any_of(k, ND_F32);
    nd_axes axes = {0};
    for (int i = 0; i < v->shape.rank; i++)
        if (below(k, 2))
            axes.items[axes.count++] = i;
    const bool keepdims = below(k, 2);
    switch (below(k, 4)) {
    case 0:
        return nd_reduce_max(v, axes, keepdims);
    case 1:
        return nd_reduce_min(v, axes, keepdims);
    case 2:
        if (axes.count > 0 && v->shape.dims[axes.items[0]] > 0)
            return nd_cast(nd_argmax(v, axes.items[0]), ND_I32);
        return nd_sum(v, axes, keepdims);
    default:
        return nd_sum(v, axes, keepdims);
    }
}

/* A product of two matrices of the pool that fit, some way round; an elementwise op otherwise. */
static nd_value *product(maker *k)
{
    for (int tries = 0; tries < 40; tries++) {
        nd_value *a = any_of(k, ND_F32), *b = any_of(k, ND_F32);
        const bool ta = below(k, 2), tb = below(k, 2);
        const int r = a->shape.rank, s = b->shape.rank;
        if (r < 2 || s < 2 || a->shape.dims[r - (ta ? 2 : 1)] != b->shape.dims[s - (tb ? 1 : 2)])
            continue;
        bool batch = true;
        for (int i = 3; i <= r && i <= s; i++)
            batch &= a->shape.dims[r - i] == b->shape.dims[s - i];
        if (!batch)
            continue;
        nd_matmul_options o = {ta, tb, below(k, 3) ? ND_BAND_NONE : (nd_band)(1 + below(k, 3)), INT64_MIN, INT64_MAX};
        if (o.band && below(k, 3))
            o.lower = below(k, 8) - 6;
        if (o.band && below(k, 3))
            o.upper = (o.lower == INT64_MIN ? 0 : o.lower) + below(k, 6);
        return nd_matmul_with(a, b, &o);
    }
    return elementwise(k);
}

/* Rows of a table by their numbers, or rows added up by them: an index of i32, often outside, often twice the same. */
static nd_value *by_index(maker *k)
{
    nd_value *x = any_of(k, below(k, 4) ? ND_F32 : ND_I32), *index = any_of(k, ND_I32);
    if (below(k, 2) && x->shape.rank > 0)
        return nd_gather(x, index);
    nd_shape updates = index->shape;
    for (int i = 0; i < x->shape.rank && updates.rank < 4; i++)
        updates.dims[updates.rank++] = x->shape.dims[i];
    nd_shape tail = updates;
    tail.rank = updates.rank - index->shape.rank;
    memcpy(tail.dims, updates.dims + index->shape.rank, (size_t)tail.rank * sizeof *tail.dims);
    if (is_number(x) && nd__shape_equal(&tail, &x->shape) && nd__elements(&updates) <= k->most)
        return nd_scatter_add(nd_broadcast(x, updates), index, 1 + below(k, k->rows + 2));
    return index;
}

static nd_value *control(maker *k)
{
    char name[32];
    snprintf(name, sizeof name, "body%d", k->bodies++);
    nd_value *a = any_of(k, ND_F32), *captured = any_of(k, ND_F32), *out[3];
    nd_value *p = nd_input(k->m, "p", ND_F32, a->shape), *q = nd_input(k->m, "q", ND_F32, a->shape);
    if (!nd__shape_equal(&captured->shape, &a->shape))
        captured = nd_const_of(k->m, ND_F32, 0.5);
    nd_value *next = nd_add(nd_mul(p, captured), nd_neg(q)), *other = nd_mul(nd_sub(p, nd_const(k->m, 0)), captured);
    switch (below(k, 3)) {
    case 0:
        nd_apply(nd_function(k->m, name, ND_VALUES(p, q), ND_VALUES(next, other)), ND_VALUES(a, a), out);
        return out[below(k, 2)];
    case 1: {
        nd_shape stacked = {a->shape.rank + 1, {2}};
        for (int i = 0; i < a->shape.rank; i++)
            stacked.dims[i + 1] = a->shape.dims[i];
        nd_value *x = nd_broadcast(a, stacked);
        nd_scan(nd_function(k->m, name, ND_VALUES(p, q), ND_VALUES(next, other)), 2, ND_VALUES(a), ND_VALUES(x),
                below(k, 2), out);
        return out[below(k, 2)];
    }
    default: {
        nd_value *condition = nd_lt(nd_sum(a, ND_ALL_AXES, false), nd_const(k->m, 0));
        nd_function *yes = nd_function(k->m, name, ND_VALUES(), ND_VALUES(nd_mul(a, captured)));
        snprintf(name, sizeof name, "body%d", k->bodies++);
        nd_cond(condition, yes, nd_function(k->m, name, ND_VALUES(), ND_VALUES(nd_abs(nd_mul(a, captured)))), out);
        return out[0];
    }
    }
}

/* variable := some value of the pool that fits; what is given where none does. */
static void assign(maker *k, nd_function *f, nd_value *variable, nd_value *otherwise)
{
    nd_value *chosen = otherwise;
    for (int tries = 0; tries < 6; tries++) {
        nd_value *v = any(k);
        if (v->dtype == variable->dtype && nd__shape_equal(&v->shape, &variable->shape))
            chosen = v;
    }
    nd_assign(f, variable, chosen);
}

nd_module *random_graph(uint64_t *state)
{
    return random_graph_of(2, 3, state);
}

nd_module *random_graph_of(int64_t rows, int64_t columns, uint64_t *state)
{
    nd_module *m = nd_module_create("random");
    if (!m)
        return NULL;
    const int64_t r = rows, c = columns;
    maker k = {.m = m, .state = state, .rows = r, .columns = c, .most = 200 + 4 * (r > c ? r : c) * (r > c ? r : c)};
    nd_value *v = nd_variable(m, "v", ND_F32, ND_SHAPE(r, c), nd_random_normal(0, 1)),
             *w = nd_variable(m, "w", ND_F32, ND_SHAPE(c, r), nd_uninitialised()),
             *bias = nd_variable(m, "bias", ND_F32, ND_SHAPE(c), nd_zeros());
    nd_value *inputs[] = {
        nd_input(m, "a", ND_F32, ND_SHAPE(r, c)),     nd_input(m, "b", ND_F32, ND_SHAPE(c)),
        nd_input(m, "c", ND_F32, ND_SCALAR),          nd_input(m, "d", ND_F32, ND_SHAPE(r, 1, c)),
        nd_input(m, "index", ND_I32, ND_SHAPE(r, c)), nd_input(m, "h", ND_BOOL, ND_SHAPE(r, c)),
        nd_input(m, "u", ND_U8, ND_SHAPE(c)),         nd_input(m, "s", ND_F32, ND_SHAPE(c, c)),
        nd_input(m, "l", ND_I64, ND_SHAPE(r, 1)),     nd_input(m, "g", ND_F64, ND_SHAPE(r, c)),
        nd_input(m, "z", ND_F32, ND_SHAPE(c, 0, r)),
    };
    enum { INPUTS = sizeof inputs / sizeof *inputs };
    for (int i = 0; i < INPUTS - (below(&k, 4) != 0); i++)
        keep(&k, inputs[i]);
    keep(&k, v);
    keep(&k, w);
    keep(&k, bias);
    const int first = k.count, steps = 5 + (int)below(&k, 26);
    for (int i = 0; i < steps && m->status == ND_OK; i++) {
        static nd_value *(*const makers[])(maker *) = {constant, elementwise, elementwise, elementwise, elementwise,
                                                       view,     view,        view,        reduction,   product};
        const int64_t rare = below(&k, 24);
        nd_value *made = rare < 2 ? control(&k) : rare < 4 ? by_index(&k) : makers[below(&k, 10)](&k);
        if (m->status == ND_OK && made->shape.rank < 5 && nd__elements(&made->shape) <= k.most)
            keep(&k, made);
    }
    nd_value *outputs[CANDIDATES];
    int count = 0;
    for (int i = k.count - 1; i >= first && count < CANDIDATES; i -= 1 + (int)below(&k, 2))
        outputs[count++] = k.pool[below(&k, 12) ? i : below(&k, k.count)]; /* also a leaf, also one twice */
    nd_function *f = nd_function(m, "f", ((nd_values){INPUTS, inputs}), ((nd_values){(size_t)count, outputs}));
    nd_assign(f, v, nd_sub(nd_mul(v, nd_const(m, 1)), nd_transpose(w, ND_ALL_AXES)));
    nd_assign(f, w, nd_reshape(v, ND_SHAPE(c, r)));
    nd_function *g = nd_function(m, "g", ((nd_values){INPUTS, inputs}), ((nd_values){(size_t)(count / 2), outputs}));
    assign(&k, g, v, v);
    assign(&k, g, w, nd_transpose(v, ND_ALL_AXES));
    assign(&k, g, bias, nd_add(bias, nd_sum(v, ND_AXES(0), false)));
    return m;
}

/* -- comparing ----------------------------------------------------------------------------------------------------- */

static void *room_for(const nd_value *v)
{
    return calloc((size_t)nd__elements(&v->shape) + 1, nd_dtype_size(v->dtype));
}

typedef struct results {
    void **outputs, **updated; /* updated: by variable's number */
} results;

static results run(const nd_function *f, void *const *in, void *const *variables)
{
    results r = {calloc((size_t)f->output_count + 1, sizeof(void *)),
                 calloc((size_t)f->module->variable_count + 1, sizeof(void *))};
    for (int i = 0; i < f->output_count; i++)
        r.outputs[i] = room_for(f->outputs[i]);
    for (int i = 0; i < f->update_count; i++)
        r.updated[f->updates[i].variable->number] = room_for(f->updates[i].value);
    ck_assert_int_eq(nd__interpret(f, (const void *const *)in, r.outputs, variables, r.updated), ND_OK);
    return r;
}

static void release(results r, const nd_function *f)
{
    for (int i = 0; i < f->output_count; i++)
        free(r.outputs[i]);
    for (int i = 0; i < f->module->variable_count; i++)
        free(r.updated[i]);
    free(r.outputs);
    free(r.updated);
}

static void same_function(const char *what, const nd_function *f, const nd_function *g, uint64_t *state)
{
    const nd_module *m = f->module;
    char text[128];
    ck_assert_msg(g && g->input_count == f->input_count && g->output_count == f->output_count &&
                      g->update_count == f->update_count,
                  "%s: \"%s\" lost inputs, outputs or updates", what, f->name);
    void **in = calloc((size_t)f->input_count + 1, sizeof *in),
         **variables = calloc((size_t)m->variable_count + 1, sizeof *variables);
    for (int i = 0; i < f->input_count; i++) {
        ck_assert_str_eq(f->inputs[i]->name, g->inputs[i]->name);
        random_fill(f->inputs[i], in[i] = room_for(f->inputs[i]), true, state);
    }
    for (int i = 0; i < m->variable_count; i++) {
        ck_assert_str_eq(m->variables[i]->name, g->module->variables[i]->name);
        random_fill(m->variables[i]->read, variables[i] = room_for(m->variables[i]->read), true, state);
    }
    results a = run(f, in, variables), b = run(g, in, variables);
    for (int i = 0; i < f->output_count; i++) {
        const nd_value *x = f->outputs[i];
        snprintf(text, sizeof text, "%s: output %d of \"%s\"", what, i, f->name);
        ck_assert_msg(x->dtype == g->outputs[i]->dtype && nd__shape_equal(&x->shape, &g->outputs[i]->shape),
                      "%s: another type", text);
        ck_assert_bits(text, x->dtype, nd__elements(&x->shape), a.outputs[i], b.outputs[i]);
    }
    for (int i = 0; i < f->update_count; i++) {
        const nd__variable *v = f->updates[i].variable;
        snprintf(text, sizeof text, "%s: update of \"%s\" in \"%s\"", what, v->name, f->name);
        ck_assert_bits(text, v->dtype, nd__elements(&v->shape), a.updated[v->number], b.updated[v->number]);
    }
    release(a, f);
    release(b, g);
    for (int i = 0; i < f->input_count; i++)
        free(in[i]);
    for (int i = 0; i < m->variable_count; i++)
        free(variables[i]);
    free(in);
    free(variables);
}

void same_results(const char *what, const nd_module *before, const nd_module *after, uint64_t *state)
{
    ck_assert_msg(after && after->status == ND_OK, "%s: %s", what, nd_module_error(after));
    for (int i = 0; nd__entry_point(before, i); i++) {
        const nd_function *f = nd__entry_point(before, i);
        same_function(what, f, nd_module_function(after, f->name), state);
    }
}
