/* Views of views become one view, and those that change nothing go. Of two views of the same effect the one that costs
 * less remains: a reshape keeps the order of the elements, a broadcast repeats, a transpose or slice jumps. The
 * elements are not touched. concat and pad, which are views of several things, drop what contributes nothing. */
#include "compiler/passes/passes.h"
#include "compiler/passes/rewrite.h"

#include <string.h>

static nd_value *make(const nd__node *node, nd__op op, nd_value *x, nd__attr_key key, int count, const int64_t *ints)
{
    nd__attr attr = nd__attr_ints(key, count, ints);
    return nd__make1(op, node->place, x, 1, &attr);
}

static nd_value *reshape(const nd__node *node, nd_value *x)
{
    while (x->node->op == ND__OP_reshape)
        x = x->node->inputs[0];
    return nd_reshape_at(node->place, x, node->results[0].shape); /* x itself where it has the shape */
}

static nd_value *broadcast(const nd__node *node, nd_value *x)
{
    const nd_shape *shape = &node->results[0].shape;
    return make(node, ND__OP_broadcast, x, ND__A_shape, shape->rank, shape->dims);
}

/* Any view of one element that is repeated repeats it. */
static nd_value *view_of_repeated(const nd__node *node, nd_value *x)
{
    if (x->node->op != ND__OP_broadcast || nd__elements(&x->node->inputs[0]->shape) != 1)
        return NULL;
    nd_value *single = x->node->inputs[0];
    if (single->shape.rank > node->results[0].shape.rank)
        single = nd_reshape_at(node->place, single, ND_SCALAR);
    return broadcast(node, single);
}

static nd_value *view_reshape(const nd__node *node, nd_value *x)
{
    const bool changes = x->node->op == ND__OP_reshape || nd__shape_equal(&x->shape, &node->results[0].shape);
    return changes ? reshape(node, x) : view_of_repeated(node, x);
}

/* Whether a permutation leaves the axes longer than 1 in their order. */
static bool keeps_order(const nd_shape *shape, const int64_t *axes)
{
    int64_t last = -1;
    for (int i = 0; i < shape->rank; i++)
        if (shape->dims[axes[i]] != 1) {
            if (axes[i] < last)
                return false;
            last = axes[i];
        }
    return true;
}

static nd_value *view_transpose(const nd__node *node, nd_value *x)
{
    const int rank = x->shape.rank;
    int64_t axes[ND_MAX_RANK];
    bool merged = false;
    memcpy(axes, nd__get_ints(node, ND__A_axes), (size_t)rank * sizeof *axes);
    for (; x->node->op == ND__OP_transpose; x = x->node->inputs[0], merged = true)
        for (int i = 0; i < rank; i++)
            axes[i] = nd__get_ints(x->node, ND__A_axes)[axes[i]];
    if (keeps_order(&x->shape, axes))
        return reshape(node, x);
    nd_value *repeated = view_of_repeated(node, x);
    return repeated || !merged ? repeated : make(node, ND__OP_transpose, x, ND__A_axes, rank, axes);
}

/* x as it was before a reshape put axes of 1 before all others: a broadcast does that itself. */
static nd_value *without_leading_ones(nd_value *x)
{
    if (x->node->op != ND__OP_reshape)
        return x;
    const nd_shape *from = &x->node->inputs[0]->shape, *to = &x->shape;
    const int more = to->rank - from->rank;
    bool leading = more > 0 && memcmp(to->dims + more, from->dims, (size_t)from->rank * sizeof *from->dims) == 0;
    for (int i = 0; i < more && leading; i++)
        leading = to->dims[i] == 1;
    return leading ? x->node->inputs[0] : x;
}

static nd_value *view_broadcast(const nd__node *node, nd_value *x)
{
    if (nd__elements(&x->shape) == nd__elements(&node->results[0].shape))
        return reshape(node, x);
    nd_value *from = x, *before = NULL;
    while (from != before) {
        before = from;
        from = without_leading_ones(from->node->op == ND__OP_broadcast ? from->node->inputs[0] : from);
    }
    return from != x ? broadcast(node, from) : NULL;
}

static bool is_whole(const nd__node *node)
{
    const nd_shape *from = &node->inputs[0]->shape, *to = &node->results[0].shape;
    for (int i = 0; i < from->rank; i++)
        if (from->dims[i] != to->dims[i] || (from->dims[i] != 1 && nd__get_ints(node, ND__A_step)[i] != 1))
            return false;
    return true;
}

static int64_t start_of(const nd__node *slice, int axis)
{
    const int64_t start = nd__get_ints(slice, ND__A_start)[axis];
    return start < 0 ? start + slice->inputs[0]->shape.dims[axis] : start;
}

static nd_value *view_slice(const nd__node *node, nd_value *x)
{
    const nd_value *result = &node->results[0];
    if (is_whole(node))
        return x;
    if (nd__elements(&result->shape) == 0) /* then starts need not lie inside */
        return NULL;
    if (x->node->op != ND__OP_slice)
        return view_of_repeated(node, x);
    const nd__node *inner = x->node;
    int64_t start[ND_MAX_RANK], step[ND_MAX_RANK];
    for (int i = 0; i < x->shape.rank; i++) {
        const int64_t stride = nd__get_ints(inner, ND__A_step)[i];
        start[i] = start_of(inner, i) + start_of(node, i) * stride;
        step[i] = result->shape.dims[i] > 1 ? nd__get_ints(node, ND__A_step)[i] * stride
                                            : 1; /* of one element no step is taken */
    }
    return nd_slice_at(node->place, inner->inputs[0], start, result->shape.dims, step);
}

static nd_value *view_concat(nd_module *to, const nd__node *node, nd_value *const *x)
{
    const int64_t axis = nd__get_int(node, ND__A_axis);
    nd_value **parts = nd__arena_alloc(&to->arena, (size_t)node->input_count, sizeof *parts);
    int count = 0;
    if (!parts)
        return nd__fail_memory(to);
    for (int i = 0; i < node->input_count; i++)
        if (x[i]->shape.dims[axis] > 0)
            parts[count++] = x[i];
    if (count == 1)
        return parts[0];
    nd__attr attr = nd__attr_int(ND__A_axis, axis);
    return count > 0 && count < node->input_count ? nd__make(to, ND__OP_concat, node->place, count, parts, 1, &attr)
                                                  : NULL;
}

/* Pads of nothing, or of an axis of one element between which nothing lies. */
static nd_value *view_pad(const nd__node *node, nd_value *x)
{
    return nd__elements(&x->shape) > 0 && nd__shape_equal(&x->shape, &node->results[0].shape) ? x : NULL;
}

static nd_value *view(nd__copier *c, const nd__node *node, nd_value *const *x, void *state)
{
    (void)state;
    switch (node->op) {
    case ND__OP_reshape:
        return view_reshape(node, x[0]);
    case ND__OP_transpose:
        return view_transpose(node, x[0]);
    case ND__OP_broadcast:
        return view_broadcast(node, x[0]);
    case ND__OP_slice:
        return view_slice(node, x[0]);
    case ND__OP_concat:
        return view_concat(c->to, node, x);
    case ND__OP_pad:
        return view_pad(node, x[0]);
    default:
        return NULL;
    }
}

nd_module *nd__views(nd_module *m)
{
    return nd__rewrite(m, view, NULL);
}
