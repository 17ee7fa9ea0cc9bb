/* Gradients of reductions. */
#include "compiler/autodiff/rules.h"

/* y, of a reduction, in the shape of x: the reduced axes come back, with the same number all along. */
static nd_value *spread(nd__rule_call *s, nd_value *y)
{
    const nd__attr *axes = nd__get(s->node, ND__A_axes);
    nd_shape kept = X(0)->shape;
    for (int i = 0; i < axes->count; i++)
        kept.dims[axes->ints[i]] = 1;
    y = nd_reshape_at(s->place, y, kept);
    return nd__shape_equal(&kept, &X(0)->shape) ? y : nd_broadcast_at(s->place, y, X(0)->shape);
}

static void grad_sum(nd__rule_call *s)
{
    s->dx[0] = spread(s, s->dy);
}

/* The sizes of x with the reduced axes, which stand together from `first` on in the order given, as one; -1: too large
 * to say. */
static int64_t merge(nd__rule_call *s, const nd_value *x, int first, int count, nd_shape *merged)
{
    *merged = (nd_shape){.rank = x->shape.rank - count + 1};
    for (int i = 0; i < first; i++)
        merged->dims[i] = x->shape.dims[i];
    for (int i = first + count; i < x->shape.rank; i++)
        merged->dims[i - count + 1] = x->shape.dims[i];
    return merged->dims[first] = nd__size_product(s->m, count, x->shape.dims + first);
}

/* To the first extremum in row-major order of the reduced axes: those as one axis, the index of the extremum along it,
 * compared with every index. */
static void first_extremum(nd__rule_call *s, nd_value *(*find)(nd_place, nd_value *, int))
{
    const nd__attr *axes = nd__get(s->node, ND__A_axes);
    nd_value *x = X(0);
    int rank = x->shape.rank, first = axes->count > 0 ? (int)axes->ints[0] : 0;
    nd_axes order = {.count = rank}, back = {.count = rank};
    bool together = true, empty = false;
    for (int i = 0; i < axes->count; i++) {
        together &= axes->ints[i] == first + i;
        empty |= x->shape.dims[axes->ints[i]] == 0;
    }
    if (axes->count == 0 || empty) { /* y is x; or x has no elements */
        s->dx[0] = spread(s, s->dy);
        return;
    }
    if (!together) { /* the reduced axes go to the end */
        for (int i = 0, kept = 0, reduced = 0; i < rank; i++) {
            bool is_reduced = reduced < axes->count && axes->ints[reduced] == i;
            int to = is_reduced ? rank - axes->count + reduced++ : kept++;
            order.items[to] = i;
            back.items[i] = to;
        }
        first = rank - axes->count;
        x = nd_transpose_at(s->place, x, order);
    }
    nd_shape merged, one, full = x->shape;
    int64_t size = merge(s, x, first, axes->count, &merged);
    nd_value *flat = nd_reshape_at(s->place, x, merged);
    one = merged;
    one.dims[first] = 1;
    nd_value *found = nd_reshape_at(s->place, find(s->place, flat, first), one);
    nd_value *index = nd_iota_at(s->place, s->m, ND_I64, nd_shape_of(1, &size), 0);
    nd_shape along = {.rank = merged.rank - first, .dims = {size}};
    for (int i = 1; i < along.rank; i++)
        along.dims[i] = 1;
    nd_value *is_it = nd_eq_at(s->place, nd_reshape_at(s->place, index, along), found);
    nd_value *dy = nd_broadcast_at(s->place, nd_reshape_at(s->place, s->dy, one), merged);
    nd_value *dx = nd_reshape_at(s->place, nd_select_at(s->place, is_it, dy, NUMBER(dy, 0)), full);
    s->dx[0] = together ? dx : nd_transpose_at(s->place, dx, back);
}

static void grad_reduce_max(nd__rule_call *s)
{
    first_extremum(s, nd_argmax_at);
}

static void grad_reduce_min(nd__rule_call *s)
{
    first_extremum(s, nd_argmin_at);
}

RULE(sum, grad_sum, 0)
RULE(reduce_max, grad_reduce_max, 0)
RULE(reduce_min, grad_reduce_min, 0)
RULE(argmax, grad_none, 0)
RULE(argmin, grad_none, 0)
