/* Rows by index: gather and its reverse, scatter_add. An index outside [0, R) reads zeros or is dropped. */
#include "compiler/interp/definitions.h"

#include <string.h>

/* Index number i as an i64; every integer dtype fits. */
static int64_t index_at(const void *indices, nd_dtype dtype, int64_t i)
{
    switch (dtype) {
#define INDEX(dtype, T)                                                                                                \
    case dtype:                                                                                                        \
        return (int64_t)((const T *)indices)[i];
        ND__INTEGERS(INDEX)
#undef INDEX
    default:
        return -1;
    }
}

/* The elements of one row: what the axes from `first` on have. */
static int64_t row_elements(const nd_shape *shape, int first)
{
    int64_t n = 1;
    for (int i = first; i < shape->rank; i++)
        n *= shape->dims[i];
    return n;
}

/* to[i.., :] = table[index[i..], :] */
nd_status nd__interpret_gather(const nd__node *node, const void *const *in, void *const *out)
{
    const nd_value *table = node->inputs[0], *indices = node->inputs[1];
    if (nd__elements(&node->results[0].shape) == 0)
        return ND_OK;
    const int64_t n = nd__elements(&indices->shape), rows = table->shape.dims[0];
    const size_t bytes = (size_t)row_elements(&table->shape, 1) * nd_dtype_size(table->dtype);
    unsigned char *to = out[0];
    for (int64_t i = 0; i < n; i++, to += bytes) {
        int64_t row = index_at(in[1], indices->dtype, i);
        if (row >= 0 && row < rows)
            memcpy(to, (const unsigned char *)in[0] + (size_t)row * bytes, bytes);
        else
            memset(to, 0, bytes);
    }
    return ND_OK;
}

/* to = 0, then for i.. ascending: to[index[i..], :] += updates[i.., :] */
nd_status nd__interpret_scatter_add(const nd__node *node, const void *const *in, void *const *out)
{
    const nd_value *updates = node->inputs[0], *indices = node->inputs[1], *result = &node->results[0];
    const size_t bytes = nd__value_bytes(result);
    if (bytes == 0)
        return ND_OK;
    const int64_t n = nd__elements(&indices->shape), rows = result->shape.dims[0],
                  row_size = row_elements(&result->shape, 1);
    memset(out[0], 0, bytes);
    for (int64_t i = 0; i < n; i++) {
        int64_t row = index_at(in[1], indices->dtype, i);
        if (row < 0 || row >= rows)
            continue;
        switch (updates->dtype) {
#define ADD(dtype, T, A)                                                                                               \
    case dtype: {                                                                                                      \
        const T *from = (const T *)in[0] + i * row_size;                                                               \
        T *to = (T *)out[0] + row * row_size;                                                                          \
        for (int64_t k = 0; k < row_size; k++)                                                                         \
            to[k] = (T)((A)to[k] + (A)from[k]);                                                                        \
        break;                                                                                                         \
    }
            ADD(ND_U8, uint8_t, uint64_t)
            ADD(ND_I32, int32_t, uint64_t)
            ADD(ND_U32, uint32_t, uint64_t)
            ADD(ND_I64, int64_t, uint64_t)
            ADD(ND_F32, float, float)
            ADD(ND_F64, double, double)
#undef ADD
        default:
            return ND_ERR_INTERNAL;
        }
    }
    return ND_OK;
}
