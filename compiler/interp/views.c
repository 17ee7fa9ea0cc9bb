/* The ops that make or move elements without computing with them: constants, sizes, iota; reshape, transpose,
 * broadcast, slice, concat, pad. */
#include "compiler/interp/definitions.h"

#include <string.h>

/* -- elements at strides ------------------------------------------------------------------------------------------- */

void nd__row_major(const nd_shape *shape, int64_t *strides)
{
    uint64_t stride = 1; /* modulo 2^64: beside a size 0 the others may be anything */
    for (int i = shape->rank - 1; i >= 0; i--) {
        strides[i] = (int64_t)stride;
        stride *= (uint64_t)shape->dims[i];
    }
}

/* One row of n elements. */
static void copy_row(size_t size, int64_t n, const unsigned char *from, int64_t from_stride, unsigned char *to,
                     int64_t to_stride)
{
    if (from_stride == 1 && to_stride == 1) {
        memcpy(to, from, (size_t)n * size);
        return;
    }
    switch (size) {
#define COPY(bytes, T)                                                                                                 \
    case bytes: {                                                                                                      \
        const T *x = (const T *)(const void *)from;                                                                    \
        T *y = (T *)(void *)to;                                                                                        \
        for (int64_t i = 0; i < n; i++)                                                                                \
            y[i * to_stride] = x[i * from_stride];                                                                     \
        return;                                                                                                        \
    }
        COPY(1, uint8_t)
        COPY(4, uint32_t)
        COPY(8, uint64_t)
#undef COPY
    default:
        return;
    }
}

void nd__copy_strided(size_t size, const nd_shape *shape, const void *from, const int64_t *from_strides, void *to,
                      const int64_t *to_strides)
{
    const int rank = shape->rank, last = rank - 1;
    const int64_t bytes = (int64_t)size;
    int64_t index[ND_MAX_RANK] = {0}, from_at = 0, to_at = 0;
    for (int i = 0; i < rank; i++)
        if (shape->dims[i] == 0)
            return;
    if (rank == 0) {
        memcpy(to, from, size);
        return;
    }
    for (;;) {
        copy_row(size, shape->dims[last], (const unsigned char *)from + from_at * bytes, from_strides[last],
                 (unsigned char *)to + to_at * bytes, to_strides[last]);
        int i = last - 1;
        for (; i >= 0; i--) {
            from_at += from_strides[i];
            to_at += to_strides[i];
            if (++index[i] < shape->dims[i])
                break;
            from_at -= from_strides[i] * shape->dims[i];
            to_at -= to_strides[i] * shape->dims[i];
            index[i] = 0;
        }
        if (i < 0)
            return;
    }
}

void nd__fill(void *to, int64_t n, const void *value, size_t size)
{
    copy_row(size, n, value, 0, to, 1);
}

/* -- what attributes make ------------------------------------------------------------------------------------------ */

nd_status nd__interpret_constant(const nd__node *node, const void *const *in, void *const *out)
{
    (void)in;
    const nd__data *data = nd__get(node, ND__A_data)->data;
    const int64_t n = nd__elements(&node->results[0].shape);
    const size_t size = nd_dtype_size(data->dtype);
    if (n > 0 && data->count == n)
        memcpy(out[0], data->items, (size_t)n * size);
    else
        nd__fill(out[0], n, data->items, size); /* one element stands for all */
    return ND_OK;
}

/* The whole number i as an element of a number dtype, converted as cast does from i64. */
static void store_number(nd_dtype dtype, void *to, int64_t at, int64_t i)
{
    switch (dtype) {
#define STORE(dtype, T)                                                                                                \
    case dtype:                                                                                                        \
        ((T *)to)[at] = (T)i;                                                                                          \
        break;
        ND__INTEGERS(STORE)
        ND__FLOATS(STORE)
#undef STORE
    default:
        break;
    }
}

nd_status nd__interpret_size(const nd__node *node, const void *const *in, void *const *out)
{
    (void)in;
    store_number(node->results[0].dtype, out[0], 0, nd_dim_value(node->module, nd__get_int(node, ND__A_of)));
    return ND_OK;
}

nd_status nd__interpret_iota(const nd__node *node, const void *const *in, void *const *out)
{
    (void)in;
    const nd_value *result = &node->results[0];
    const int64_t axis = nd__get_int(node, ND__A_axis), count = nd__elements(&result->shape),
                  n = result->shape.dims[axis];
    int64_t inner = 1;
    for (int i = (int)axis + 1; i < result->shape.rank; i++)
        inner *= result->shape.dims[i];
    for (int64_t i = 0; i < count; i++)
        store_number(result->dtype, out[0], i, i / inner % n);
    return ND_OK;
}

/* -- what moves elements ------------------------------------------------------------------------------------------- */

nd_status nd__interpret_reshape(const nd__node *node, const void *const *in, void *const *out)
{
    size_t bytes = nd__value_bytes(&node->results[0]);
    if (bytes > 0)
        memcpy(out[0], in[0], bytes);
    return ND_OK;
}

/* Copies into the whole result what lies at `strides` from `from`. */
static nd_status collect(const nd__node *node, const void *from, const int64_t *strides, void *to)
{
    const nd_value *result = &node->results[0];
    int64_t to_strides[ND_MAX_RANK];
    nd__row_major(&result->shape, to_strides);
    nd__copy_strided(nd_dtype_size(result->dtype), &result->shape, from, strides, to, to_strides);
    return ND_OK;
}

nd_status nd__interpret_transpose(const nd__node *node, const void *const *in, void *const *out)
{
    const int64_t *axes = nd__get_ints(node, ND__A_axes);
    int64_t from[ND_MAX_RANK], strides[ND_MAX_RANK];
    nd__row_major(&node->inputs[0]->shape, from);
    for (int i = 0; i < node->results[0].shape.rank; i++)
        strides[i] = from[axes[i]];
    return collect(node, in[0], strides, out[0]);
}

nd_status nd__interpret_broadcast(const nd__node *node, const void *const *in, void *const *out)
{
    const nd_shape *from = &node->inputs[0]->shape, *to = &node->results[0].shape;
    int64_t own[ND_MAX_RANK], strides[ND_MAX_RANK] = {0};
    nd__row_major(from, own);
    for (int i = 0; i < from->rank; i++)
        if (from->dims[i] != 1)
            strides[to->rank - from->rank + i] = own[i];
    return collect(node, in[0], strides, out[0]);
}

nd_status nd__interpret_slice(const nd__node *node, const void *const *in, void *const *out)
{
    const nd_value *x = node->inputs[0];
    const int64_t *start = nd__get_ints(node, ND__A_start), *step = nd__get_ints(node, ND__A_step);
    int64_t own[ND_MAX_RANK], strides[ND_MAX_RANK], at = 0;
    if (nd__elements(&node->results[0].shape) == 0)
        return ND_OK; /* then a start need not lie inside */
    nd__row_major(&x->shape, own);
    for (int i = 0; i < x->shape.rank; i++) {
        at += (start[i] < 0 ? start[i] + x->shape.dims[i] : start[i]) * own[i];
        strides[i] = step[i] * own[i];
    }
    return collect(node, (const unsigned char *)in[0] + at * (int64_t)nd_dtype_size(x->dtype), strides, out[0]);
}

nd_status nd__interpret_concat(const nd__node *node, const void *const *in, void *const *out)
{
    const nd_value *result = &node->results[0];
    const int64_t axis = nd__get_int(node, ND__A_axis);
    const size_t size = nd_dtype_size(result->dtype);
    int64_t from[ND_MAX_RANK], to[ND_MAX_RANK];
    unsigned char *at = out[0];
    nd__row_major(&result->shape, to);
    for (int i = 0; i < node->input_count && nd__elements(&result->shape) > 0; i++) {
        const nd_shape *shape = &node->inputs[i]->shape;
        nd__row_major(shape, from);
        nd__copy_strided(size, shape, in[i], from, at, to);
        at += shape->dims[axis] * to[axis] * (int64_t)size;
    }
    return ND_OK;
}

nd_status nd__interpret_pad(const nd__node *node, const void *const *in, void *const *out)
{
    const nd_value *x = node->inputs[0], *result = &node->results[0];
    const int64_t *low = nd__get_ints(node, ND__A_low), *interior = nd__get_ints(node, ND__A_interior);
    const size_t size = nd_dtype_size(x->dtype);
    int64_t from[ND_MAX_RANK], to[ND_MAX_RANK] = {0}, strides[ND_MAX_RANK], at = 0;
    nd__fill(out[0], nd__elements(&result->shape), nd__get(node, ND__A_value)->data->items, size);
    if (nd__elements(&x->shape) == 0)
        return ND_OK;
    nd__row_major(&x->shape, from);
    nd__row_major(&result->shape, to);
    for (int i = 0; i < x->shape.rank; i++) {
        at += low[i] * to[i];
        strides[i] = (interior[i] + 1) * to[i];
    }
    nd__copy_strided(size, &x->shape, in[0], from, (unsigned char *)out[0] + at * (int64_t)size, strides);
    return ND_OK;
}
