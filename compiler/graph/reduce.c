/* Reductions and products: axes are brought to their normal form, then it is one node (and a reshape for keepdims). */
#include "compiler/graph/graph.h"

#include <string.h>

/* The shape with the named axes as 1. */
static nd_shape kept(nd_shape shape, int count, const int64_t *axes)
{
    for (int i = 0; i < count; i++)
        shape.dims[axes[i]] = 1;
    return shape;
}

static nd_value *reduce(nd_place place, nd__op op, nd_value *x, nd_axes axes, bool keepdims)
{
    const char *what = nd__ops[op].name;
    bool poisoned;
    nd_module *m = nd__common_module(place, what, 1, &x, &poisoned);
    if (!m || poisoned)
        return m ? &m->poison : NULL;
    x = nd__settle(place, x);
    int64_t list[ND_MAX_RANK];
    int count = 0;
    bool named[ND_MAX_RANK] = {false};
    if (axes.count > ND_MAX_RANK)
        return nd__fail(m, ND_ERR_GRAPH, place, "%s: %d axes, at most %d", what, axes.count, ND_MAX_RANK);
    for (int i = 0; i < (axes.count < 0 ? x->shape.rank : axes.count); i++) {
        int axis = axes.count < 0 ? i : nd__axis_of(place, what, axes.items[i], x);
        if (axis < 0)
            return &m->poison;
        if (named[axis])
            return nd__fail(m, ND_ERR_GRAPH, place, "%s: axis %d is named twice", what, axes.items[i]);
        named[axis] = true;
    }
    for (int axis = 0; axis < x->shape.rank; axis++)
        if (named[axis])
            list[count++] = axis;
    nd__attr attr = nd__attr_ints(ND__A_axes, count, list);
    nd_value *y = nd__make1(op, place, x, 1, &attr);
    return keepdims && y->node->op == op ? nd_reshape_at(place, y, kept(x->shape, count, list)) : y;
}

nd_value *nd_sum_at(nd_place place, nd_value *x, nd_axes axes, bool keepdims)
{
    return reduce(place, ND__OP_sum, x, axes, keepdims);
}

nd_value *nd_reduce_max_at(nd_place place, nd_value *x, nd_axes axes, bool keepdims)
{
    return reduce(place, ND__OP_reduce_max, x, axes, keepdims);
}

nd_value *nd_reduce_min_at(nd_place place, nd_value *x, nd_axes axes, bool keepdims)
{
    return reduce(place, ND__OP_reduce_min, x, axes, keepdims);
}

nd_value *nd_mean_at(nd_place place, nd_value *x, nd_axes axes, bool keepdims)
{
    nd_value *sum = nd_sum_at(place, x, axes, keepdims);
    if (nd_value_is_poison(sum))
        return sum;
    nd_module *m = sum->node->module;
    if (!nd_dtype_is_float(sum->dtype))
        return nd__fail(m, ND_ERR_GRAPH, place, "mean: %s is %s, expected floats", nd__show(m, x),
                        nd__show_type(m, x->dtype, &x->shape));
    /* keepdims has put a reshape on it, unless nothing was reduced. */
    const nd__node *node = sum->node->op == ND__OP_sum ? sum->node : sum->node->inputs[0]->node;
    const nd__attr *reduced = nd__get(node, ND__A_axes);
    const nd_shape *from = &node->inputs[0]->shape;
    int64_t count = 1;
    for (int i = 0; i < reduced->count && count >= 0; i++)
        count = nd__size_mul(m, count, from->dims[reduced->ints[i]]);
    return nd_div_at(place, sum, nd_size_at(place, m, sum->dtype, count));
}

static nd_value *arg_reduce(nd_place place, nd__op op, nd_value *x, int axis)
{
    bool poisoned;
    nd_module *m = nd__common_module(place, nd__ops[op].name, 1, &x, &poisoned);
    if (!m || poisoned)
        return m ? &m->poison : NULL;
    axis = nd__axis_of(place, nd__ops[op].name, axis, x);
    if (axis < 0)
        return &m->poison;
    nd__attr attr = nd__attr_int(ND__A_axis, axis);
    return nd__make1(op, place, x, 1, &attr);
}

nd_value *nd_argmax_at(nd_place place, nd_value *x, int axis)
{
    return arg_reduce(place, ND__OP_argmax, x, axis);
}

nd_value *nd_argmin_at(nd_place place, nd_value *x, int axis)
{
    return arg_reduce(place, ND__OP_argmin, x, axis);
}

/* -- products ----------------------------------------------------------------------------------------------------- */

enum { LANES_FROM_K = 64, LANES_UP_TO_MN = 8 };

/* A product of few elements over a long axis accumulates in lanes, or it could not use vectors. Named sizes never count
 * as few. */
static bool in_lanes(int64_t rows, int64_t columns, int64_t inner)
{
    return !nd__size_is_named(rows) && !nd__size_is_named(columns) && rows <= LANES_UP_TO_MN &&
           columns <= LANES_UP_TO_MN && rows * columns <= LANES_UP_TO_MN && inner > LANES_FROM_K;
}

/* Leading axes of both operands broadcast to their common ones. */
static bool common_batch(nd_module *m, nd_place place, nd_value **a, nd_value **b)
{
    nd_value *v[2] = {*a, *b};
    int rank = v[0]->shape.rank > v[1]->shape.rank ? v[0]->shape.rank : v[1]->shape.rank;
    nd_shape to[2];
    for (int k = 0; k < 2; k++) {
        to[k].rank = rank;
        for (int i = 0; i < rank; i++) {
            int from = i - (rank - v[k]->shape.rank);
            to[k].dims[i] = from < 0 ? 1 : v[k]->shape.dims[from];
        }
    }
    for (int i = 0; i < rank - 2; i++) {
        if (to[0].dims[i] != to[1].dims[i] && to[0].dims[i] != 1 && to[1].dims[i] != 1) {
            nd__fail(m, ND_ERR_GRAPH, place, "matmul: leading axes do not broadcast, %s x %s",
                     nd__show_type(m, v[0]->dtype, &v[0]->shape), nd__show_type(m, v[1]->dtype, &v[1]->shape));
            nd__note_operands(m, place, 2, v);
            return false;
        }
        to[0].dims[i] = to[1].dims[i] = to[0].dims[i] == 1 ? to[1].dims[i] : to[0].dims[i];
    }
    if (!nd__shape_equal(&to[0], &v[0]->shape))
        *a = nd_broadcast_at(place, v[0], to[0]);
    if (!nd__shape_equal(&to[1], &v[1]->shape))
        *b = nd_broadcast_at(place, v[1], to[1]);
    return m->status == ND_OK;
}

nd_value *nd_matmul_t_at(nd_place place, nd_value *a, bool transpose_a, nd_value *b, bool transpose_b)
{
    return nd_matmul_with_at(place, a, b, &(nd_matmul_options){.transpose_a = transpose_a, .transpose_b = transpose_b});
}

nd_value *nd_matmul_with_at(nd_place place, nd_value *a, nd_value *b, const nd_matmul_options *options)
{
    const nd_matmul_options none = {0}, *o = options ? options : &none;
    const nd__band band = {o->band, {o->lower, o->upper}};
    bool poisoned;
    nd_module *m = nd__common_module(place, "matmul", 2, (nd_value *[]){a, b}, &poisoned);
    if (!m || poisoned)
        return m ? &m->poison : NULL;
    int64_t rows = 0, columns = 0, inner = 0;
    if (a->shape.rank >= 2 && b->shape.rank >= 2) {
        if (!common_batch(m, place, &a, &b))
            return &m->poison;
        int rank = a->shape.rank;
        rows = a->shape.dims[rank - (o->transpose_a ? 1 : 2)];
        inner = a->shape.dims[rank - (o->transpose_a ? 2 : 1)];
        columns = b->shape.dims[rank - (o->transpose_b ? 2 : 1)];
    }
    nd__attr attrs[] = {nd__attr_int(ND__A_trans_a, o->transpose_a), nd__attr_int(ND__A_trans_b, o->transpose_b),
                        nd__attr_int(ND__A_lanes, in_lanes(rows, columns, inner)), nd__attr_band(&band)};
    return nd__make2(ND__OP_matmul, place, a, b, 4, attrs);
}

nd_value *nd_matmul_at(nd_place place, nd_value *a, nd_value *b)
{
    bool poisoned;
    nd_module *m = nd__common_module(place, "matmul", 2, (nd_value *[]){a, b}, &poisoned);
    if (!m || poisoned)
        return m ? &m->poison : NULL;
    bool row = a->shape.rank == 1, column = b->shape.rank == 1;
    if (a->shape.rank == 0 || b->shape.rank == 0) {
        nd__fail(m, ND_ERR_GRAPH, place, "matmul: %s x %s, a scalar has no rows; use nd_mul",
                 nd__show_type(m, a->dtype, &a->shape), nd__show_type(m, b->dtype, &b->shape));
        nd__note_operands(m, place, 2, (nd_value *[]){a, b});
        return &m->poison;
    }
    if (row)
        a = nd_reshape_at(place, a, nd_shape_of(2, (int64_t[]){1, a->shape.dims[0]}));
    if (column)
        b = nd_reshape_at(place, b, nd_shape_of(2, (int64_t[]){b->shape.dims[0], 1}));
    nd_value *y = nd_matmul_t_at(place, a, false, b, false);
    if (nd_value_is_poison(y) || (!row && !column))
        return y;
    nd_shape shape = y->shape, out = {0};
    for (int i = 0; i < shape.rank; i++)
        if (!(row && i == shape.rank - 2) && !(column && i == shape.rank - 1))
            out.dims[out.rank++] = shape.dims[i];
    return nd_reshape_at(place, y, out);
}
