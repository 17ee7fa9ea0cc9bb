/* Builder calls that move elements: reshape, transpose, broadcast, slice, subscripts, concat, pad, gather, scatter. */
#include "compiler/graph/graph.h"
#include "runtime/subscript.h"

#include <string.h>

nd_value *nd_reshape_at(nd_place place, nd_value *x, nd_shape shape)
{
    bool poisoned;
    nd_module *m = nd__common_module(place, "reshape", 1, &x, &poisoned);
    if (!m || poisoned)
        return m ? &m->poison : NULL;
    int free_axis = -1;
    int64_t rest = 1;
    for (int i = 0; i < shape.rank && i < ND_MAX_RANK; i++) {
        if (shape.dims[i] == -1 && free_axis >= 0)
            return nd__fail(m, ND_ERR_GRAPH, place, "reshape: more than one size is -1");
        if (shape.dims[i] == -1)
            free_axis = i;
        else
            rest = nd__size_mul(m, rest, shape.dims[i]);
    }
    if (free_axis >= 0) {
        shape.dims[free_axis] = nd__size_div(m, nd__size_product(m, x->shape.rank, x->shape.dims), rest);
        if (shape.dims[free_axis] < 0)
            return nd__fail(m, ND_ERR_GRAPH, place, "reshape: %s %s does not divide into what -1 leaves open",
                            nd__show(m, x), nd__show_type(m, x->dtype, &x->shape));
    }
    if (nd__shape_equal(&shape, &x->shape) && !x->weak)
        return x;
    nd__attr attr = nd__attr_shape(ND__A_shape, &shape);
    return nd__make1(ND__OP_reshape, place, x, 1, &attr);
}

nd_value *nd_transpose_at(nd_place place, nd_value *x, nd_axes permutation)
{
    bool poisoned;
    nd_module *m = nd__common_module(place, "transpose", 1, &x, &poisoned);
    if (!m || poisoned)
        return m ? &m->poison : NULL;
    int64_t axes[ND_MAX_RANK];
    int rank = x->shape.rank;
    if (permutation.count >= 0 && permutation.count != rank)
        return nd__fail(m, ND_ERR_GRAPH, place, "transpose: %d axes for %s %s", permutation.count, nd__show(m, x),
                        nd__show_type(m, x->dtype, &x->shape));
    for (int i = 0; i < rank; i++) {
        axes[i] = permutation.count < 0 ? rank - 1 - i : nd__axis_of(place, "transpose", permutation.items[i], x);
        if (axes[i] < 0)
            return &m->poison;
    }
    nd__attr attr = nd__attr_ints(ND__A_axes, rank, axes);
    return nd__make1(ND__OP_transpose, place, x, 1, &attr);
}

nd_value *nd_broadcast_at(nd_place place, nd_value *x, nd_shape shape)
{
    nd__attr attr = nd__attr_shape(ND__A_shape, &shape);
    return nd__make1(ND__OP_broadcast, place, x, 1, &attr);
}

nd_value *nd_slice_at(nd_place place, nd_value *x, const int64_t *start, const int64_t *size, const int64_t *step)
{
    bool poisoned;
    nd_module *m = nd__common_module(place, "slice", 1, &x, &poisoned);
    if (!m || poisoned)
        return m ? &m->poison : NULL;
    if (!start || !size || !step)
        return nd__fail(m, ND_ERR_ARGUMENT, place, "slice: start, size or step is NULL");
    int64_t first[ND_MAX_RANK] = {0}, by[ND_MAX_RANK] = {0};
    for (int i = 0; i < x->shape.rank; i++) { /* from the front wherever the size is a number */
        first[i] = start[i] < 0 && !nd__size_is_named(x->shape.dims[i]) ? start[i] + x->shape.dims[i] : start[i];
        /* no second element: any step will do, and the largest would overflow */
        by[i] = !nd__size_is_named(size[i]) && size[i] <= 1 && step[i] != 0 ? 1 : step[i];
    }
    nd__attr attrs[] = {nd__attr_ints(ND__A_start, x->shape.rank, first),
                        nd__attr_ints(ND__A_size, x->shape.rank, size), nd__attr_ints(ND__A_step, x->shape.rank, by)};
    return nd__make1(ND__OP_slice, place, x, 3, attrs);
}

/* A slice of a named dimension keeps a size that is a number times names: the whole axis, either way round. */
static bool whole_axis(const nd__subscript_item *s)
{
    return !s->has_stop && (!s->has_step || s->step == 1 || s->step == -1) &&
           (!s->has_start || (s->start == 0 && (!s->has_step || s->step == 1)));
}

/* A bound that is a dimension; numbers beyond all dimensions are clamped like any other. */
static bool is_named_bound(const nd_module *m, bool has, int64_t bound)
{
    return has && nd__size_is_named(bound) && nd__size_is_known(m, bound);
}

nd_value *nd__subscripted(nd_place place, nd_value *x, int count, const nd__subscript_item *items)
{
    nd_module *m = x->node->module;
    int64_t start[ND_MAX_RANK], size[ND_MAX_RANK], step[ND_MAX_RANK];
    nd_shape out = {0};
    int used = 0, axis = 0, rank = x->shape.rank;
    bool all = true, ellipsis = false;
    for (int i = 0; i < count; i++) {
        used += items[i].kind == ND__SUB_INDEX || items[i].kind == ND__SUB_SLICE;
        ellipsis |= items[i].kind == ND__SUB_ELLIPSIS;
    }
    if (used > rank)
        return nd__fail(m, ND_ERR_GRAPH, place, "subscript: %d indices for the %d axes of %s %s", used, rank,
                        nd__show(m, x), nd__show_type(m, x->dtype, &x->shape));
    for (int i = 0; i <= count; i++) {
        const nd__subscript_item *s = i < count ? &items[i] : NULL;
        bool rest = s ? s->kind == ND__SUB_ELLIPSIS : !ellipsis; /* the axes that nothing names stay whole */
        for (int k = 0; rest && k < rank - used; k++, axis++) {
            start[axis] = 0;
            step[axis] = 1;
            size[axis] = x->shape.dims[axis];
            if (out.rank < ND_MAX_RANK)
                out.dims[out.rank] = size[axis];
            out.rank++;
        }
        if (!s || s->kind == ND__SUB_ELLIPSIS)
            continue;
        if (s->kind == ND__SUB_NEWAXIS) {
            if (out.rank < ND_MAX_RANK)
                out.dims[out.rank] = 1;
            out.rank++;
            continue;
        }
        int64_t n = x->shape.dims[axis], value = nd_dim_value(m, n);
        bool named = nd__size_is_named(n), named_stop = is_named_bound(m, s->has_stop, s->stop);
        step[axis] = s->kind == ND__SUB_SLICE && s->has_step ? s->step : 1;
        if (is_named_bound(m, s->has_start, s->start) || is_named_bound(m, s->has_step, s->step))
            return nd__fail(m, ND_ERR_GRAPH, place,
                            "subscript: axis %d: a dimension can only be where a slice from 0 stops, as in :%s", axis,
                            m->dims[0].name);
        if (s->kind == ND__SUB_INDEX) {
            if (s->start < -value || s->start >= value)
                return nd__fail(m, ND_ERR_GRAPH, place, "subscript: index %lld is outside axis %d of %s %s",
                                (long long)s->start, axis, nd__show(m, x), nd__show_type(m, x->dtype, &x->shape));
            start[axis] = s->start;
            size[axis] = 1;
        } else if (named_stop) {
            if (s->start != 0 || step[axis] != 1)
                return nd__fail(m, ND_ERR_GRAPH, place,
                                "subscript: axis %d: a slice that stops at %s starts at 0 and has no step", axis,
                                nd__show_size(m, s->stop));
            start[axis] = 0;
            size[axis] = s->stop;
        } else if (named && whole_axis(s)) {
            start[axis] = step[axis] < 0 ? -1 : 0;
            size[axis] = n;
        } else if (named) {
            return nd__fail(
                m, ND_ERR_GRAPH, place,
                "subscript: axis %d of %s %s is named; a part of it is not a number times a product of names", axis,
                nd__show(m, x), nd__show_type(m, x->dtype, &x->shape));
        } else {
            nd__slice slice = nd__slice_of(s, n);
            start[axis] = slice.start;
            size[axis] = slice.count;
        }
        if (s->kind == ND__SUB_SLICE) {
            if (out.rank < ND_MAX_RANK)
                out.dims[out.rank] = size[axis];
            out.rank++;
        }
        all = all && s->kind == ND__SUB_SLICE && size[axis] == n && step[axis] == 1;
        axis++;
    }
    return nd_reshape_at(place, all ? x : nd_slice_at(place, x, start, size, step), out);
}

nd_value *nd_at_at(nd_place place, nd_value *x, const char *subscript)
{
    bool poisoned;
    nd_module *m = nd__common_module(place, "nd_at", 1, &x, &poisoned);
    if (!m || poisoned)
        return m ? &m->poison : NULL;
    nd__subscript s;
    char message[256];
    const nd__subscript_names names = {nd__size_find, m};
    if (!subscript)
        return nd__fail(m, ND_ERR_ARGUMENT, place, "nd_at: the subscript is NULL");
    if (nd__subscript_parse(subscript, &names, &s, message, sizeof message) != ND_OK)
        return nd__fail(m, ND_ERR_PARSE, place, "nd_at: %s", message);
    return nd__subscripted(place, nd__settle(place, x), s.count, s.items);
}

nd_value *nd_concat_at(nd_place place, nd_values values, int axis)
{
    bool poisoned;
    nd_module *m = nd__common_module(place, "concat", values.count, values.items, &poisoned);
    if (!m || poisoned)
        return m ? &m->poison : NULL;
    axis = nd__axis_of(place, "concat", axis, values.items[0]);
    if (axis < 0)
        return &m->poison;
    nd__attr attr = nd__attr_int(ND__A_axis, axis);
    return nd__make(m, ND__OP_concat, place, (int)values.count, values.items, 1, &attr);
}

nd_value *nd_pad_at(nd_place place, nd_value *x, const int64_t *low, const int64_t *high, const int64_t *interior,
                    double value)
{
    bool poisoned;
    nd_module *m = nd__common_module(place, "pad", 1, &x, &poisoned);
    if (!m || poisoned)
        return m ? &m->poison : NULL;
    x = nd__settle(place, x);
    nd_value *element = nd_const_of_at(place, m, x->dtype, value);
    if (nd_value_is_poison(element))
        return element;
    const int64_t none[ND_MAX_RANK] = {0};
    int rank = x->shape.rank;
    nd__attr attrs[] = {nd__attr_ints(ND__A_low, rank, low ? low : none),
                        nd__attr_ints(ND__A_high, rank, high ? high : none),
                        nd__attr_ints(ND__A_interior, rank, interior ? interior : none),
                        nd__attr_data(ND__A_value, nd__get(element->node, ND__A_data)->data)};
    return nd__make1(ND__OP_pad, place, x, 4, attrs);
}

nd_value *nd_gather_at(nd_place place, nd_value *table, nd_value *indices)
{
    return nd__make2(ND__OP_gather, place, table, indices, 0, NULL);
}

nd_value *nd_scatter_add_at(nd_place place, nd_value *updates, nd_value *indices, int64_t rows)
{
    nd__attr attr = nd__attr_int(ND__A_rows, rows);
    return nd__make2(ND__OP_scatter_add, place, updates, indices, 1, &attr);
}
