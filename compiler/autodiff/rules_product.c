/* The gradients of matrix products.
 *
 *   y = a b:   da = dy b',   db = a' dy      (' a transposition, in place: a flag of the product, never a copy)
 *
 * A band goes with what has it: nothing outside is computed, or counts. Without one, three cases send more than that,
 * past the node that made an operand:
 *  - a matrix repeated along leading axes (weights beside a batch): the batch joins the rows, one product instead of
 * one per batch and their sum;
 *  - rows gathered from a table with fewer rows than indices: the rows of dy are scattered to the table's first, then
 * the products are as small as the table: s = scatter_add(dy), db = table' s, dtable = s b';
 *  - in the body of a loop, captured weights: one product after the loop, over the rows of all turns. */
#include "compiler/autodiff/rules.h"

/* A factor of the product as it is multiplied: the value, or its last two axes swapped; `as` what it is in y = a b. */
typedef struct factor {
    nd_value *v;
    bool t;
    nd_band as;
} factor;

static factor turned(factor f)
{
    return (factor){f.v, !f.t, f.as};
}

/* One operand's gradient p q, in the layout of the operand, which may be stored transposed. The band of y = a b stays
 * with what has it: dy has y's, the gradient its operand's, as they are stored. */
static nd__product product(const nd__rule_call *s, factor p, factor q, bool transposed)
{
    factor left = transposed ? turned(q) : p, right = transposed ? turned(p) : q;
    nd__band band = nd__get_band(s->node);
    if (band.of != ND_BAND_NONE)
        band.of = band.of == left.as ? ND_BAND_A : band.of == right.as ? ND_BAND_B : ND_BAND_RESULT;
    return (nd__product){left.v, right.v, left.t, right.t, 0, band};
}

/* x for a product whose first `fold` axes join the inner one, which is the last axis or, if `second`, the one before
 * it. */
static nd_value *folded(nd_place place, nd_value *x, int fold, bool second)
{
    int rank = x->shape.rank, inner = second ? rank - 2 : rank - 1, n = 0;
    nd_axes order = {.count = rank};
    nd_shape shape = {.rank = rank - fold};
    for (int i = fold; i < inner; i++) {
        shape.dims[n] = x->shape.dims[i];
        order.items[n++] = i;
    }
    shape.dims[n] =
        nd__size_mul(x->node->module, nd__size_product(x->node->module, fold, x->shape.dims), x->shape.dims[inner]);
    bool moved = n > 0;
    for (int i = 0; i < fold; i++)
        order.items[n + i] = i;
    for (int i = inner; i < rank; i++)
        order.items[fold + n + i - inner] = i;
    if (second)
        shape.dims[n + 1] = x->shape.dims[rank - 1];
    return nd_reshape_at(place, moved ? nd_transpose_at(place, x, order) : x, shape);
}

nd_value *nd__folded_product(nd_place place, nd__product p)
{
    if (p.fold > 0) {
        p.p = folded(place, p.p, p.fold, p.tp);
        p.q = folded(place, p.q, p.fold, !p.tq);
    }
    return nd_matmul_with_at(place, p.p, p.q,
                             &(nd_matmul_options){p.tp, p.tq, p.band.of, p.band.limits[0], p.band.limits[1]});
}

/* The matrix that x repeats along leading axes; NULL: it is none. */
static nd_value *repeated(const nd__rule_call *s, const nd_value *x)
{
    nd_value *matrix = x->node->op == ND__OP_broadcast ? x->node->inputs[0] : NULL;
    int rank = x->shape.rank;
    if (!matrix || matrix->shape.rank != 2 || rank < 3 || nd__is_target(s->pull, x) ||
        matrix->shape.dims[0] != x->shape.dims[rank - 2] || matrix->shape.dims[1] != x->shape.dims[rank - 1])
        return NULL;
    return matrix;
}

static void send(nd__rule_call *s, int operand, nd__product p)
{
    nd_value *x = X(operand), *matrix = repeated(s, x);
    if (p.band.of != ND_BAND_NONE) { /* whose rows and columns the others would lose */
        s->dx[operand] = nd__folded_product(s->place, p);
    } else if (matrix) {
        p.fold = x->shape.rank - 2;
        if (!nd__make_late_product(s->pull, matrix, x->node, p))
            nd__send(s->pull, matrix, x->node, 0, nd__folded_product(s->place, p));
    } else if (!nd__make_late_product(s->pull, x, s->node, p)) {
        s->dx[operand] = nd__folded_product(s->place, p);
    }
}

/* Whether the operand, the rows of which are the rows of the product (of its transpose, if it is transposed), is
 * gathered from a smaller table for this product alone. */
static bool is_gathered(const nd__rule_call *s, int operand, bool transposed)
{
    const nd_value *x = X(operand);
    if (x->node->op != ND__OP_gather || nd__get_band(s->node).of != ND_BAND_NONE || x->shape.rank != 2 ||
        transposed != (operand == 1))
        return false;
    const nd_value *table = x->node->inputs[0], *indices = x->node->inputs[1];
    return indices->shape.rank == 1 && !nd__is_target(s->pull, x) && nd__is_used_once(s->pull, x) &&
           nd_dim_value(s->m, table->shape.dims[0]) < nd_dim_value(s->m, indices->shape.dims[0]);
}

static void grad_matmul(nd__rule_call *s)
{
    bool ta = nd__get_int(s->node, ND__A_trans_a), tb = nd__get_int(s->node, ND__A_trans_b);
    factor a = {X(0), ta, ND_BAND_A}, b = {X(1), tb, ND_BAND_B}, dy = {s->dy, false, ND_BAND_RESULT};
    int gathered = is_gathered(s, 0, ta) ? 0 : is_gathered(s, 1, tb) ? 1 : -1;
    if (gathered >= 0) {
        const nd__node *rows = X(gathered)->node;
        nd_value *table = rows->inputs[0];
        nd_value *by_row = gathered == 0 ? s->dy : nd_transpose_at(s->place, s->dy, ND_ALL_AXES);
        nd_value *scattered = nd_scatter_add_at(s->place, by_row, rows->inputs[1], table->shape.dims[0]);
        dy = (factor){scattered, gathered == 1, ND_BAND_RESULT};
        *(gathered == 0 ? &a : &b) = (factor){table, gathered == 1, gathered == 0 ? ND_BAND_A : ND_BAND_B};
        if (nd_value_is_poison(scattered))
            return;
        if (s->wants[gathered]) {
            nd__product p = gathered == 0 ? product(s, dy, turned(b), false) : product(s, turned(a), dy, true);
            nd__send(s->pull, table, rows, 0, nd__folded_product(s->place, p));
        }
    }
    if (s->wants[1] && gathered != 1)
        send(s, 1, product(s, turned(a), dy, tb));
    if (s->wants[0] && gathered != 0)
        send(s, 0, product(s, dy, turned(b), ta));
}

RULE(matmul, grad_matmul, 0)
