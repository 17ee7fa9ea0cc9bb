/* Gradients of the ops that move elements: each moves them back. */
#include "compiler/autodiff/rules.h"

static void grad_reshape(nd__rule_call *s)
{
    s->dx[0] = nd_reshape_at(s->place, s->dy, X(0)->shape);
}

static void grad_transpose(nd__rule_call *s)
{
    const nd__attr *order = nd__get(s->node, ND__A_axes);
    nd_axes back = {.count = order->count};
    for (int i = 0; i < order->count; i++)
        back.items[order->ints[i]] = i;
    s->dx[0] = nd_transpose_at(s->place, s->dy, back);
}

nd_value *nd__unbroadcast(nd_place place, nd_value *dy, nd_axes axes, nd_shape shape)
{
    return nd_reshape_at(place, axes.count > 0 ? nd_sum_at(place, dy, axes, false) : dy, shape);
}

/* The sum over the axes that x lacks or has as 1. */
static void grad_broadcast(nd__rule_call *s)
{
    nd_shape from = X(0)->shape, to = s->y->shape;
    nd_axes axes = {0};
    for (int i = 0; i < to.rank; i++) {
        int k = i - (to.rank - from.rank);
        if (k < 0 || (from.dims[k] == 1 && to.dims[i] != 1))
            axes.items[axes.count++] = i;
    }
    if (nd__make_late_sum(s->pull, X(0), s->node, s->dy, axes))
        return;
    nd_value *apart = nd__sum_apart(s->m, s->place, s->dy, axes, from);
    s->dx[0] = apart ? apart : nd__unbroadcast(s->place, s->dy, axes, from);
}

static void grad_slice(nd__rule_call *s)
{
    s->dx[0] = s->dy;
    s->apart = true;
}

/* The part of dy that came from an operand, `count` elements from `at` on along the axis. */
static nd_value *part(nd__rule_call *s, nd_value *dy, int axis, int64_t at, int64_t count)
{
    int64_t start[ND_MAX_RANK] = {0}, step[ND_MAX_RANK];
    nd_shape size = dy->shape;
    for (int i = 0; i < ND_MAX_RANK; i++)
        step[i] = 1;
    start[axis] = at;
    size.dims[axis] = count;
    return nd_slice_at(s->place, dy, start, size.dims, step);
}

/* Along a named axis the parts are multiples of one product of names: an axis of its own for the multiples is one of
 * numbers, which can be cut. */
static void cut_named(nd__rule_call *s, int axis)
{
    nd__symbol symbol = *nd__size_symbol(s->m, s->y->shape.dims[axis]);
    int64_t count = symbol.factor, at = 0;
    symbol.factor = 1;
    int64_t unit = nd__size_of_symbol(s->m, symbol);
    nd_shape split = {.rank = s->dy->shape.rank + 1};
    for (int i = 0; i < s->dy->shape.rank && i + 1 < ND_MAX_RANK; i++)
        split.dims[i < axis ? i : i + 1] = s->dy->shape.dims[i];
    if (axis + 1 < ND_MAX_RANK)
        split.dims[axis + 1] = unit;
    split.dims[axis] = count;
    nd_value *dy = nd_reshape_at(s->place, s->dy, split);
    for (int i = 0; i < s->node->input_count && s->m->status == ND_OK; i++) {
        int64_t size = X(i)->shape.dims[axis], parts = size == 0 ? 0 : nd__size_div(s->m, size, unit);
        TO(i) = nd_reshape_at(s->place, part(s, dy, axis, at, parts), X(i)->shape);
        at += parts;
    }
}

static void grad_concat(nd__rule_call *s)
{
    int axis = (int)nd__get_int(s->node, ND__A_axis);
    int64_t at = 0;
    if (s->node->input_count == 1)
        s->dx[0] = s->dy;
    else if (nd__size_is_named(s->y->shape.dims[axis]))
        cut_named(s, axis);
    else
        for (int i = 0; i < s->node->input_count; i++) {
            int64_t size = X(i)->shape.dims[axis];
            TO(i) = part(s, s->dy, axis, at, size);
            at += size;
        }
}

static void grad_pad(nd__rule_call *s)
{
    int64_t step[ND_MAX_RANK];
    for (int i = 0; i < X(0)->shape.rank; i++)
        step[i] = nd__get_ints(s->node, ND__A_interior)[i] + 1;
    s->dx[0] = nd_slice_at(s->place, s->dy, nd__get_ints(s->node, ND__A_low), X(0)->shape.dims, step);
}

/* Gather and scatter-add are each other's gradients; an index outside reads zeros and adds nothing, in both. */
static void grad_gather(nd__rule_call *s)
{
    TO(0) = nd_scatter_add_at(s->place, s->dy, X(1), X(0)->shape.dims[0]);
}

static void grad_scatter_add(nd__rule_call *s)
{
    TO(0) = nd_gather_at(s->place, s->dy, X(1));
}

RULE(reshape, grad_reshape, 0)
RULE(transpose, grad_transpose, 0)
RULE(broadcast, grad_broadcast, 0)
RULE(slice, grad_slice, 0)
RULE(concat, grad_concat, 0)
RULE(pad, grad_pad, 0)
RULE(gather, grad_gather, 2)
RULE(scatter_add, grad_scatter_add, 2)
