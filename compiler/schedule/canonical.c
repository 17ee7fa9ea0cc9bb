/* Reductions over several axes become reductions over one, after another; products of one pair of matrices lose their
 * batch axes; sums of what a pool's gradient spreads become sums of the gradient.
 *
 * doc/bits.md defines a reduction over several axes as what is done here: the reduced axes that end the shape are one
 * row, the other ones are chains over those sums, the inner ones first, and axes of size 1 do not count. Every chain
 * starts at +0 and no sum is -0, so it makes no difference that the sums between are values now. max and min have no
 * order. */
#include "compiler/schedule/canonical.h"

#include "compiler/graph/window.h"
#include "compiler/passes/rewrite.h"

#include <math.h>
#include <string.h>

/* -- reductions ---------------------------------------------------------------------------------------------------- */

/* The sum along the rows of what a pool's gradient spreads, [n, h, w, c] to [n, h, c], where windows stand side by side
 * and fill the height: what is not 0 in row r of a window are those dy whose index lies in that row, in the same order,
 * and a 0 changes no chain. NULL: it is not that. */
static nd_value *sum_spread(nd_module *to, const nd__node *node, nd_value *x, int64_t axis)
{
    enum { CHAIN = 64 };
    const nd__node *spread = x->node;
    if (node->op != ND__OP_sum || spread->op != ND__OP_max_pool_spread || axis != 2 || x->shape.dims[2] > CHAIN ||
        x->shape.dims[3] == 1)
        return NULL;
    const nd__window w = nd__pool_of(spread);
    for (int i = 0; i < 2; i++)
        if (w.stride[i] != w.kernel[i] || w.low[i] != 0 || w.places[i] * w.kernel[i] > w.size[i])
            return NULL;
    if (w.places[0] * w.kernel[0] < w.size[0] || w.places[1] < 2)
        return NULL;
    const nd_place place = node->place;
    nd_value *dy = spread->inputs[0], *index = spread->inputs[1];
    const int64_t *dims = dy->shape.dims, axes = 3;
    const nd_shape one = ND_SHAPE(dims[0], dims[1], 1, dims[2], dims[3]),
                   all = ND_SHAPE(dims[0], dims[1], w.kernel[0], dims[2], dims[3]);
    dy = nd_broadcast_at(place, nd_reshape_at(place, dy, one), all);
    index = nd_broadcast_at(place, nd_reshape_at(place, index, one), all);
    nd_value *width = nd__filled(to, place, index->dtype, &all, (double)w.kernel[1]);
    nd_value *first = nd_mul_at(place, nd_iota_at(place, to, index->dtype, all, 2), width);
    nd_value *inside =
        nd_and_at(place, nd_ge_at(place, index, first), nd_lt_at(place, nd_sub_at(place, index, first), width));
    dy = nd_select_at(place, inside, dy, nd__filled(to, place, dy->dtype, &all, 0));
    nd__attr attr = nd__attr_ints(ND__A_axes, 1, &axes);
    return nd_reshape_at(place, nd__make1(ND__OP_sum, place, dy, 1, &attr), ND_SHAPE(dims[0], w.size[0], dims[3]));
}

static nd_value *reduce_one(nd_module *to, const nd__node *node, nd_value *x, int64_t axis)
{
    nd_value *spread = sum_spread(to, node, x, axis);
    if (spread)
        return spread;
    nd__attr attr = nd__attr_ints(ND__A_axes, 1, &axis);
    return nd__make1(node->op, node->place, x, 1, &attr);
}

/* What a reduction over nothing gives. */
static nd_value *of_nothing(nd_module *to, const nd__node *node)
{
    const nd_value *result = &node->results[0];
    const nd_dtype dtype = result->dtype;
    const bool highest = node->op == ND__OP_reduce_min, is_float = nd_dtype_is_float(dtype);
    if (node->op == ND__OP_sum)
        return nd__filled(to, node->place, dtype, &result->shape, 0);
    if (is_float)
        return nd__filled(to, node->place, dtype, &result->shape, highest ? INFINITY : -INFINITY);
    const int bits = 8 * (int)nd_dtype_size(dtype);
    const uint64_t ones = UINT64_MAX >> (64 - bits), sign = nd_dtype_is_signed(dtype) ? (uint64_t)1 << (bits - 1) : 0;
    const uint64_t element = highest ? ones ^ sign : sign;
    unsigned char item[8];
    switch (nd_dtype_size(dtype)) {
    case 1:
        memcpy(item, &(uint8_t){(uint8_t)element}, 1);
        break;
    case 4:
        memcpy(item, &(uint32_t){(uint32_t)element}, 4);
        break;
    default:
        memcpy(item, &element, 8);
    }
    return nd__constant(to, node->place, dtype, &result->shape, 1, item);
}

static nd_value *reduce(nd_module *to, const nd__node *node, nd_value *x)
{
    const nd_shape shape = x->shape;
    if (nd__elements(&shape) == 0)
        return of_nothing(to, node);
    const nd__attr *axes = nd__get(node, ND__A_axes);
    bool reduced[ND_MAX_RANK] = {false};
    for (int i = 0; i < axes->count; i++)
        reduced[axes->ints[i]] = true;
    int first = shape.rank; /* of the axes that end the shape */
    int64_t row = 1;
    while (first > 0 && (reduced[first - 1] || shape.dims[first - 1] == 1))
        row *= shape.dims[--first];
    nd_value *y = x;
    if (row > 1 && shape.dims[shape.rank - 1] == row) {
        y = reduce_one(to, node, y, shape.rank - 1);
    } else if (row > 1) {
        nd_shape merged = nd_shape_of((size_t)first + 1, shape.dims);
        merged.dims[first] = row;
        y = reduce_one(to, node, nd_reshape_at(node->place, y, merged), first);
    }
    for (int axis = first - 1; axis >= 0; axis--)
        if (reduced[axis] && shape.dims[axis] != 1)
            y = reduce_one(to, node, y, axis);
    if (y == x && nd_dtype_is_float(x->dtype)) /* of one element: -0 becomes +0 */
        y = nd__make2(ND__OP_add, node->place, x, nd__filled(to, node->place, x->dtype, &shape, 0), 0, NULL);
    return nd_reshape_at(node->place, y, node->results[0].shape);
}

/* Whether it is of that form already. */
static bool reduces_one_axis(const nd__node *node)
{
    const nd_shape *shape = &node->inputs[0]->shape;
    const nd__attr *axes = nd__get(node, ND__A_axes);
    if (axes->count != 1 || shape->dims[axes->ints[0]] < 2 || nd__elements(shape) == 0)
        return false;
    int64_t behind = 1;
    for (int i = (int)axes->ints[0] + 1; i < shape->rank; i++)
        behind *= shape->dims[i];
    return behind > 1 || axes->ints[0] == shape->rank - 1;
}

/* -- products ------------------------------------------------------------------------------------------------------ */

static nd_value *product(nd_module *to, const nd__node *node, nd_value *const *x)
{
    const nd_shape *out = &node->results[0].shape;
    if (nd__elements(&x[0]->shape) == 0) /* the result has elements: it is the sums that have none */
        return nd__filled(to, node->place, node->results[0].dtype, out, 0);
    int64_t batch = 1;
    for (int i = 0; i < out->rank - 2; i++)
        batch *= out->dims[i];
    if (out->rank == 2 || batch > 1)
        return NULL;
    nd_value *both[2];
    for (int i = 0; i < 2; i++)
        both[i] = nd_reshape_at(node->place, x[i], nd_shape_of(2, x[i]->shape.dims + x[i]->shape.rank - 2));
    return nd_reshape_at(node->place, nd__make(to, ND__OP_matmul, node->place, 2, both, node->attr_count, node->attrs),
                         *out);
}

/* ------------------------------------------------------------------------------------------------------------------ */

static nd_value *canonical(nd__copier *c, const nd__node *node, nd_value *const *x, void *state)
{
    (void)state;
    const nd_value *result = &node->results[0];
    const unsigned traits = nd__ops[node->op].traits;
    const bool given = node->op == ND__OP_input || node->op == ND__OP_variable || traits & ND__CONTROL;
    if (!given && nd__elements(&result->shape) == 0)
        return nd__constant(c->to, node->place, result->dtype, &result->shape, 0, NULL);
    if (traits & ND__REDUCTION)
        return reduces_one_axis(node) ? sum_spread(c->to, node, x[0], nd__get_ints(node, ND__A_axes)[0])
                                      : reduce(c->to, node, x[0]);
    if (node->op == ND__OP_conv2d || node->op == ND__OP_conv2d_dx || node->op == ND__OP_conv2d_dw ||
        node->op == ND__OP_conv2d_dw_pooled)
        return nd__elements(&x[0]->shape) == 0 || nd__elements(&x[1]->shape) == 0 /* the sums have no elements */
                   ? nd__filled(c->to, node->place, result->dtype, &result->shape, 0)
                   : NULL;
    return node->op == ND__OP_matmul ? product(c->to, node, x) : NULL;
}

nd_module *nd__canonical(nd_module *m)
{
    return nd__rewrite(m, canonical, NULL);
}
