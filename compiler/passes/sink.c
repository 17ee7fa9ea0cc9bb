/* Views sink through elementwise ops to where they cost nothing.
 *
 * An elementwise op of views of one kind is the view of the op: the same elements meet. That is used where it pays:
 *   - a transpose of the last two axes under an operand of a product becomes the product's flag;
 *   - a transpose or reshape that undoes one further up goes with it;
 *   - a transposed product is the product of the transposed operands, the other way round: a and b of an fma commute,
 * and k ascends as before;
 *   - a product of many matrices with one and the same right one is a product with more rows; the order of its sums,
 * `lanes`, stays the node's, however many rows it has then;
 *   - an elementwise op of nothing but repeated elements is computed once and repeated.
 * Nothing moves through a reduction, the order of which depends on its shape.
 *
 * What lies above is looked at in the old module, where the number of uses is known: an op with another use would be
 * computed twice. */
#include "compiler/passes/passes.h"
#include "compiler/passes/rewrite.h"

#include <stdlib.h>
#include <string.h>

typedef struct uses {
    int *count; /* by node number of the old module: how many operands, outputs, updates it is */
} uses;

/* -- taking a view off ------------------------------------------------------------------------------------------------
 */

/* The view to be undone: `op` with these axes, or to this shape. */
typedef struct undo {
    nd__op op;
    int64_t axes[ND_MAX_RANK]; /* transpose: the permutation that v is of the result */
    nd_shape shape;            /* reshape: the shape of the result */
} undo;

enum { DEEPEST = 16 }; /* of expressions that are looked through */

static bool is_undone_by(const nd__node *view, const undo *u)
{
    if (view->op != u->op)
        return false;
    if (u->op == ND__OP_reshape)
        return nd__shape_equal(&view->inputs[0]->shape, &u->shape);
    return memcmp(nd__get_ints(view, ND__A_axes), u->axes, (size_t)view->results[0].shape.rank * sizeof *u->axes) == 0;
}

static bool is_filled(const nd_value *v)
{
    return v->node->op == ND__OP_constant && nd__get(v->node, ND__A_data)->data->count == 1;
}

/* Whether v (of the old module) is an elementwise expression, used here only, over such views; constants go with any
 * view. *views counts them. */
static bool can_take_off(const uses *w, const nd_value *v, const undo *u, int depth, int *views)
{
    const nd__node *n = v->node;
    if (is_filled(v))
        return true;
    if (is_undone_by(n, u))
        return ++*views > 0;
    if (!(nd__ops[n->op].traits & ND__ELEMENTWISE) || w->count[n->number] > 1 || depth == DEEPEST)
        return false;
    for (int i = 0; i < n->input_count; i++)
        if (!can_take_off(w, n->inputs[i], u, depth + 1, views))
            return false;
    return true;
}

/* The shape of v without the view. */
static nd_shape shape_without(const nd_value *v, const undo *u)
{
    if (u->op == ND__OP_reshape)
        return u->shape;
    nd_shape shape = v->shape;
    for (int i = 0; i < shape.rank; i++)
        shape.dims[u->axes[i]] = v->shape.dims[i];
    return shape;
}

static nd_value *take_off(nd__copier *c, const nd_value *v, const undo *u)
{
    const nd__node *n = v->node;
    if (is_filled(v)) {
        const nd_shape shape = shape_without(v, u);
        return nd__constant(c->to, n->place, v->dtype, &shape, 1, nd__get(n, ND__A_data)->data->items);
    }
    if (is_undone_by(n, u))
        return nd__copied(c, n->inputs[0]);
    nd_value *x[ND__MAX_ARITY];
    for (int i = 0; i < n->input_count; i++)
        x[i] = take_off(c, n->inputs[i], u);
    nd_value *made = nd__make(c->to, n->op, n->place, n->input_count, x, n->attr_count, n->attrs);
    if (*v->name && !nd_value_is_poison(made))
        nd_name(made, v->name);
    return made;
}

/* v without the views above it, if they all can be taken off. */
static nd_value *without(nd__copier *c, const uses *w, const nd_value *v, const undo *u)
{
    int views = 0;
    return can_take_off(w, v, u, 0, &views) && views > 0 ? take_off(c, v, u) : NULL;
}

/* -- views that cancel --------------------------------------------------------------------------------------------- */

/* A view of an expression over views that it undoes. */
static nd_value *cancel(nd__copier *c, const uses *w, const nd__node *node)
{
    undo u = {.op = node->op, .shape = node->results[0].shape};
    if (node->op == ND__OP_transpose) /* the inverse permutation */
        for (int i = 0; i < node->results[0].shape.rank; i++)
            u.axes[nd__get_ints(node, ND__A_axes)[i]] = i;
    return without(c, w, node->inputs[0], &u);
}

/* -- products ------------------------------------------------------------------------------------------------------ */

static undo last_two_swapped(int rank)
{
    undo u = {.op = ND__OP_transpose};
    for (int i = 0; i < rank; i++)
        u.axes[i] = i < rank - 2 ? i : 2 * rank - 3 - i;
    return u;
}

static nd_value *product(nd_module *to, const nd__node *node, nd_value *a, bool trans_a, nd_value *b, bool trans_b,
                         nd__band band)
{
    nd__attr attrs[] = {nd__attr_int(ND__A_trans_a, trans_a), nd__attr_int(ND__A_trans_b, trans_b),
                        nd__attr_int(ND__A_lanes, nd__get_int(node, ND__A_lanes)), nd__attr_band(&band)};
    return nd__make(to, ND__OP_matmul, node->place, 2, (nd_value *[]){a, b}, 4, attrs);
}

/* The matrix that a batch of equal ones repeats, or NULL. */
static nd_value *repeated_matrix(nd_value *v)
{
    if (v->node->op != ND__OP_broadcast)
        return NULL;
    nd_value *from = v->node->inputs[0];
    const int rank = from->shape.rank;
    if (rank < 2 || memcmp(from->shape.dims + rank - 2, v->shape.dims + v->shape.rank - 2, 2 * sizeof(int64_t)) != 0)
        return NULL;
    for (int i = 0; i < rank - 2; i++)
        if (from->shape.dims[i] != 1)
            return NULL;
    return nd_reshape_at(v->node->place, from, nd_shape_of(2, from->shape.dims + rank - 2));
}

/* [.., M, K] x [K, N], the same for all: [.. * M, K] x [K, N]; with a band, rows are not all alike. */
static nd_value *with_more_rows(nd_module *to, const nd__node *node, nd_value *a, bool trans_a, nd_value *b,
                                bool trans_b)
{
    const nd_shape *out = &node->results[0].shape;
    const bool jumps =
        nd__ops[a->node->op].traits & ND__VIEW && a->node->op != ND__OP_reshape; /* as rows it would be a copy */
    nd_value *matrix =
        out->rank > 2 && !trans_a && !jumps && nd__get_band(node).of == ND_BAND_NONE ? repeated_matrix(b) : NULL;
    if (!matrix || nd__elements(&a->shape) == 0) /* of no elements -1 would mean any number of rows */
        return NULL;
    const int64_t inner = a->shape.dims[out->rank - 1];
    nd_value *rows = nd_reshape_at(node->place, a, nd_shape_of(2, (int64_t[]){-1, inner}));
    return nd_reshape_at(node->place, product(to, node, rows, false, matrix, trans_b, nd__get_band(node)), *out);
}

static nd_value *sink_into_product(nd__copier *c, const uses *w, const nd__node *node, nd_value *const *x)
{
    const undo swap = last_two_swapped(node->results[0].shape.rank);
    bool trans_a = nd__get_int(node, ND__A_trans_a), trans_b = nd__get_int(node, ND__A_trans_b);
    nd_value *a = without(c, w, node->inputs[0], &swap), *b = without(c, w, node->inputs[1], &swap);
    nd__band band = nd__get_band(node);
    if ((a && band.of == ND_BAND_A) || (b && band.of == ND_BAND_B))
        band = nd__band_turned(band);
    trans_a ^= a != NULL;
    trans_b ^= b != NULL;
    nd_value *first = a ? a : x[0], *second = b ? b : x[1],
             *folded = with_more_rows(c->to, node, first, trans_a, second, trans_b);
    if (folded)
        return folded;
    return a || b ? product(c->to, node, first, trans_a, second, trans_b, band) : NULL;
}

/* A transpose of a product's last two axes. */
static nd_value *transposed_product(nd__copier *c, const uses *w, const nd__node *node, const nd_value *x)
{
    const undo swap = last_two_swapped(x->shape.rank);
    if (x->node->op != ND__OP_matmul || w->count[node->inputs[0]->node->number] > 1 || !is_undone_by(node, &swap))
        return NULL;
    const nd__node *p = x->node;
    nd__band band = nd__get_band(p);
    if (band.of == ND_BAND_RESULT)
        band = nd__band_turned(band);
    else if (band.of != ND_BAND_NONE)
        band.of = band.of == ND_BAND_A ? ND_BAND_B : ND_BAND_A;
    return product(c->to, p, p->inputs[1], !nd__get_int(p, ND__A_trans_b), p->inputs[0], !nd__get_int(p, ND__A_trans_a),
                   band);
}

/* -- repeated elements --------------------------------------------------------------------------------------------- */

/* An elementwise op of broadcasts of one shape, and of constants. */
static nd_value *repeat_after(nd__copier *c, const nd__node *node, nd_value *const *x)
{
    const nd_value *repeated = NULL;
    for (int i = 0; i < node->input_count; i++) {
        if (is_filled(x[i]))
            continue;
        if (x[i]->node->op != ND__OP_broadcast ||
            (repeated && !nd__shape_equal(&repeated->shape, &x[i]->node->inputs[0]->shape)))
            return NULL;
        repeated = x[i]->node->inputs[0];
    }
    if (!repeated)
        return NULL;
    nd_value *own[ND__MAX_ARITY];
    for (int i = 0; i < node->input_count; i++)
        own[i] = is_filled(x[i]) ? nd__constant(c->to, x[i]->node->place, x[i]->dtype, &repeated->shape, 1,
                                                nd__get(x[i]->node, ND__A_data)->data->items)
                                 : x[i]->node->inputs[0];
    nd_value *made = nd__make(c->to, node->op, node->place, node->input_count, own, node->attr_count, node->attrs);
    return nd_broadcast_at(node->place, made, node->results[0].shape);
}

/* -- the pass ------------------------------------------------------------------------------------------------------ */

static nd_value *sink(nd__copier *c, const nd__node *node, nd_value *const *x, void *state)
{
    const uses *w = state;
    if (nd__ops[node->op].traits & ND__ELEMENTWISE)
        return repeat_after(c, node, x);
    switch (node->op) {
    case ND__OP_transpose: {
        nd_value *cancelled = cancel(c, w, node);
        return cancelled ? cancelled : transposed_product(c, w, node, x[0]);
    }
    case ND__OP_reshape:
        return cancel(c, w, node);
    case ND__OP_matmul:
        return sink_into_product(c, w, node, x);
    default:
        return NULL;
    }
}

static void count_values(int count, nd_value *const *values, uses *w)
{
    for (int i = 0; i < count; i++)
        w->count[values[i]->node->number]++;
}

static void count_uses(const nd_module *m, const bool *live, uses *w)
{
    for (int i = 0; i < m->node_count; i++)
        if (live[i])
            count_values(m->nodes[i]->input_count, m->nodes[i]->inputs, w);
    for (int i = 0; i < m->function_count; i++) {
        const nd_function *f = m->functions[i];
        count_values(f->output_count, f->outputs, w);
        for (int k = 0; k < f->update_count; k++)
            count_values(1, &f->updates[k].value, w);
    }
    for (int i = 0; i < m->variable_count; i++)
        if (m->variables[i]->initial)
            count_values(1, &m->variables[i]->initial, w);
}

nd_module *nd__sink(nd_module *m)
{
    uses w = {calloc((size_t)m->node_count + 1, sizeof *w.count)};
    bool *live = malloc((size_t)m->node_count * sizeof *live + 1);
    nd_module *sunk = NULL;
    if (w.count && live) {
        nd__mark_live(m, live);
        count_uses(m, live, &w);
        sunk = nd__rewrite(m, sink, &w);
    }
    free(live);
    free(w.count);
    return sunk;
}
