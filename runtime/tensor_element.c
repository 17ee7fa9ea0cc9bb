/* The elements of tensors: reading, writing, converting, copying, comparing. */
#include "runtime/tensor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Any element: integers (and bool) in `i`, floats in `d`; both hold every value of their dtypes exactly, so that a
 * conversion rounds once. */
typedef struct number {
    bool is_float;
    int64_t i;
    double d;
} number;

static number load(nd_dtype dtype, const void *from)
{
    number n = {nd_dtype_is_float(dtype), 0, 0};
    switch (dtype) {
    case ND_BOOL:
        n.i = *(const uint8_t *)from != 0;
        break;
    case ND_U8:
        n.i = *(const uint8_t *)from;
        break;
    case ND_I32:
        n.i = *(const int32_t *)from;
        break;
    case ND_U32:
        n.i = *(const uint32_t *)from;
        break;
    case ND_I64:
        n.i = *(const int64_t *)from;
        break;
    case ND_F32:
        n.d = *(const float *)from;
        break;
    case ND_F64:
        n.d = *(const double *)from;
        break;
    case ND_STRING:
    case ND_DTYPES:
        break;
    }
    return n;
}

/* Towards zero, to the nearest end of [low, high] outside it, 0 for NaN. `high` is what the largest integer rounds up
 * to for i64. */
static int64_t to_integer(double d, double low, double high, int64_t lowest, int64_t highest)
{
    if (isnan(d))
        return 0;
    return d <= low ? lowest : d >= high ? highest : (int64_t)d;
}

static void store(nd_dtype dtype, void *to, number n)
{
    switch (dtype) {
    case ND_BOOL:
        *(uint8_t *)to = n.is_float ? n.d != 0 : n.i != 0;
        break;
    case ND_U8:
        *(uint8_t *)to = (uint8_t)(n.is_float ? to_integer(n.d, 0, UINT8_MAX, 0, UINT8_MAX) : n.i);
        break;
    case ND_I32:
        *(int32_t *)to = (int32_t)(n.is_float ? to_integer(n.d, INT32_MIN, INT32_MAX, INT32_MIN, INT32_MAX) : n.i);
        break;
    case ND_U32:
        *(uint32_t *)to = (uint32_t)(n.is_float ? to_integer(n.d, 0, UINT32_MAX, 0, UINT32_MAX) : n.i);
        break;
    case ND_I64:
        *(int64_t *)to = n.is_float ? to_integer(n.d, -0x1p63, 0x1p63, INT64_MIN, INT64_MAX) : n.i;
        break;
    case ND_F32:
        *(float *)to = n.is_float ? (float)n.d : (float)n.i;
        break;
    case ND_F64:
        *(double *)to = n.is_float ? n.d : (double)n.i;
        break;
    case ND_STRING:
    case ND_DTYPES:
        break;
    }
}

/* Element number i, or NULL: none, or a string. */
static void *element(const nd_tensor *tensor, int64_t i)
{
    if (nd_tensor_status(tensor) != ND_OK || tensor->dtype == ND_STRING || i < 0 || i >= tensor->count)
        return NULL;
    return tensor->data + nd__tensor_offset(tensor, i) * (int64_t)nd_dtype_size(tensor->dtype);
}

double nd_tensor_get(const nd_tensor *tensor, int64_t i)
{
    const void *at = element(tensor, i);
    double value = NAN;
    if (at)
        store(ND_F64, &value, load(tensor->dtype, at));
    return value;
}

int64_t nd_tensor_get_i64(const nd_tensor *tensor, int64_t i)
{
    const void *at = element(tensor, i);
    int64_t value = 0;
    if (at)
        store(ND_I64, &value, load(tensor->dtype, at));
    return value;
}

static nd_status set(nd_tensor *tensor, int64_t i, number value)
{
    void *at = element(tensor, i);
    char type[ND__TYPE_TEXT];
    if (at) {
        store(tensor->dtype, at, value);
        return ND_OK;
    }
    if (nd_tensor_dtype(tensor) == ND_STRING)
        return nd__tensor_complain(tensor, ND_ERR_ARGUMENT, "a string has no elements to set");
    return nd__tensor_complain(tensor, ND_ERR_ARGUMENT, "there is no element %lld in %s", (long long)i,
                               nd__type_text(type, sizeof type, nd_tensor_dtype(tensor), nd_tensor_shape(tensor)));
}

nd_status nd_tensor_set(nd_tensor *tensor, int64_t i, double value)
{
    return set(tensor, i, (number){true, 0, value});
}

nd_status nd_tensor_set_i64(nd_tensor *tensor, int64_t i, int64_t value)
{
    return set(tensor, i, (number){false, value, 0});
}

/* -- all elements ------------------------------------------------------------------------------------------------- */

nd_status nd_tensor_fill(nd_tensor *tensor, double value)
{
    if (nd_tensor_status(tensor) != ND_OK)
        return nd_tensor_status(tensor);
    if (tensor->dtype == ND_STRING)
        return nd__tensor_complain(tensor, ND_ERR_ARGUMENT, "a string has no elements to set");
    nd__rows rows = nd__tensor_rows(tensor);
    int64_t size = (int64_t)nd_dtype_size(tensor->dtype);
    for (int64_t r = 0; r < rows.count; r++) {
        unsigned char *to = tensor->data + nd__tensor_offset(tensor, r * rows.length) * size;
        for (int64_t i = 0; i < rows.length; i++)
            store(tensor->dtype, to + i * rows.stride * size, (number){true, 0, value});
    }
    return ND_OK;
}

/* Copies n elements at strides counted in elements. */
static void copy_row(unsigned char *to, int64_t to_stride, const unsigned char *from, int64_t from_stride, int64_t n,
                     size_t size)
{
    if (to_stride == 1 && from_stride == 1) {
        memcpy(to, from, (size_t)n * size);
        return;
    }
    int64_t step = (int64_t)size;
    for (int64_t i = 0; i < n; i++)
        memcpy(to + i * to_stride * step, from + i * from_stride * step, size);
}

/* The shapes and dtypes are the same, the memory apart. */
static void copy_elements(nd_tensor *to, const nd_tensor *from)
{
    nd__rows a = nd__tensor_rows(to), b = nd__tensor_rows(from);
    int64_t size = (int64_t)nd_dtype_size(to->dtype), length = a.length < b.length ? a.length : b.length;
    for (int64_t i = 0; i < to->count; i += length)
        copy_row(to->data + nd__tensor_offset(to, i) * size, a.stride, from->data + nd__tensor_offset(from, i) * size,
                 b.stride, length, (size_t)size);
}

/* The first and the last byte that a tensor reaches. */
static void extent(const nd_tensor *t, uintptr_t *first, uintptr_t *last)
{
    int64_t low = 0, high = 0;
    for (int i = 0; i < t->shape.rank; i++) {
        int64_t reach = (t->shape.dims[i] - 1) * t->stride[i];
        low += reach < 0 ? reach : 0;
        high += reach > 0 ? reach : 0;
    }
    int64_t size = (int64_t)nd_dtype_size(t->dtype);
    *first = (uintptr_t)(t->data + low * size);
    *last = (uintptr_t)(t->data + high * size + size - 1);
}

static bool overlap(const nd_tensor *a, const nd_tensor *b)
{
    uintptr_t a_first, a_last, b_first, b_last;
    extent(a, &a_first, &a_last);
    extent(b, &b_first, &b_last);
    return a_first <= b_last && b_first <= a_last;
}

static bool same_type(const nd_tensor *a, const nd_tensor *b)
{
    if (a->dtype != b->dtype || a->shape.rank != b->shape.rank)
        return false;
    for (int i = 0; i < a->shape.rank; i++)
        if (a->shape.dims[i] != b->shape.dims[i])
            return false;
    return true;
}

nd_status nd_tensor_assign(nd_tensor *to, const nd_tensor *from)
{
    if (nd_tensor_status(to) != ND_OK)
        return nd_tensor_status(to);
    if (nd_tensor_status(from) != ND_OK)
        return nd__tensor_complain(to, nd_tensor_status(from), "%s", nd_tensor_error(from));
    if (!same_type(to, from)) {
        char a[ND__TYPE_TEXT], b[ND__TYPE_TEXT];
        return nd__tensor_complain(to, ND_ERR_ARGUMENT, "expected %s, got %s",
                                   nd__type_text(a, sizeof a, to->dtype, to->shape),
                                   nd__type_text(b, sizeof b, from->dtype, from->shape));
    }
    if (to->dtype == ND_STRING)
        return nd__tensor_complain(to, ND_ERR_ARGUMENT, "a string has no elements to set");
    if (to->count == 0)
        return ND_OK;
    if (!overlap(to, from)) {
        copy_elements(to, from);
        return ND_OK;
    }
    nd_tensor *aside = nd_tensor_copy(from);
    nd_status status = nd_tensor_status(aside);
    if (status == ND_OK)
        copy_elements(to, aside);
    else
        nd__tensor_complain(to, status, "%s", nd_tensor_error(aside));
    nd_tensor_destroy(aside);
    return status;
}

nd_tensor *nd_tensor_copy(const nd_tensor *tensor)
{
    if (nd_tensor_status(tensor) != ND_OK)
        return nd__tensor_failed_like(tensor);
    if (tensor->dtype == ND_STRING)
        return nd_tensor_string((const char *)tensor->data);
    nd_tensor *copy = nd_tensor_zeros(tensor->dtype, tensor->shape);
    if (nd_tensor_status(copy) == ND_OK)
        copy_elements(copy, tensor);
    return copy;
}

nd_tensor *nd_tensor_cast(const nd_tensor *tensor, nd_dtype dtype)
{
    if (nd_tensor_status(tensor) != ND_OK)
        return nd__tensor_failed_like(tensor);
    if (tensor->dtype == ND_STRING || (unsigned)dtype >= ND_STRING)
        return nd__tensor_failed(ND_ERR_ARGUMENT, "%s cannot be cast to %s", nd_dtype_name(tensor->dtype),
                                 nd_dtype_name(dtype));
    nd_tensor *to = nd_tensor_zeros(dtype, tensor->shape);
    if (nd_tensor_status(to) != ND_OK)
        return to;
    nd__rows rows = nd__tensor_rows(tensor);
    int64_t from_size = (int64_t)nd_dtype_size(tensor->dtype), to_size = (int64_t)nd_dtype_size(dtype);
    unsigned char *out = to->data;
    for (int64_t r = 0; r < rows.count; r++) {
        const unsigned char *in = tensor->data + nd__tensor_offset(tensor, r * rows.length) * from_size;
        for (int64_t i = 0; i < rows.length; i++, out += to_size)
            store(dtype, out, load(tensor->dtype, in + i * rows.stride * from_size));
    }
    return to;
}

/* -- comparing ---------------------------------------------------------------------------------------------------- */

static bool same_element(nd_dtype dtype, const void *a, const void *b)
{
    if (memcmp(a, b, nd_dtype_size(dtype)) == 0)
        return true;
    if (dtype == ND_F32)
        return isnan(*(const float *)a) && isnan(*(const float *)b);
    if (dtype == ND_F64)
        return isnan(*(const double *)a) && isnan(*(const double *)b);
    return false;
}

int64_t nd_tensor_difference(const nd_tensor *a, const nd_tensor *b)
{
    if (nd_tensor_status(a) != ND_OK || nd_tensor_status(b) != ND_OK || !same_type(a, b))
        return -2;
    if (a->dtype == ND_STRING)
        return strcmp((const char *)a->data, (const char *)b->data) == 0 ? -1 : 0;
    nd__rows x = nd__tensor_rows(a), y = nd__tensor_rows(b);
    int64_t size = (int64_t)nd_dtype_size(a->dtype), length = x.length < y.length ? x.length : y.length;
    for (int64_t i = 0; i < a->count; i += length) {
        const unsigned char *p = a->data + nd__tensor_offset(a, i) * size,
                            *q = b->data + nd__tensor_offset(b, i) * size;
        if (x.stride == 1 && y.stride == 1 && memcmp(p, q, (size_t)(length * size)) == 0)
            continue;
        for (int64_t k = 0; k < length; k++)
            if (!same_element(a->dtype, p + k * x.stride * size, q + k * y.stride * size))
                return i + k;
    }
    return -1;
}

bool nd_tensor_same_bits(const nd_tensor *a, const nd_tensor *b)
{
    return nd_tensor_difference(a, b) == -1;
}
