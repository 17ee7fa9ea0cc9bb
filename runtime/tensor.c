/* Host tensors: memory, making, looking. */
#include "runtime/tensor.h"

#include "runtime/platform.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* -- memory ------------------------------------------------------------------------------------------------------- */

enum {
    ALIGN = 64, /* a cache line, and the widest vector */
    PAGE = 4096,
    VAST = 8 << 20, /* bytes: memory in which small pages begin to cost */
};

struct nd__storage {
    atomic_size_t holders; /* views of one memory may be destroyed by different threads */
    unsigned char *data;
    unsigned char bytes[];
};

nd__storage *nd__storage_create(size_t bytes)
{
    const bool large = bytes >= PAGE;
    if (bytes > PTRDIFF_MAX - 2 * PAGE)
        return NULL;
    /* calloc: large zeros cost nothing until they are touched */
    nd__storage *s = calloc(1, sizeof *s + bytes + ALIGN + (large ? PAGE : 0));
    if (!s)
        return NULL;
    if (bytes >= VAST)
        nd__platform_expect_use(s, sizeof *s + bytes + ALIGN + PAGE);
    atomic_init(&s->holders, 1);
    s->data = s->bytes + (ALIGN - (uintptr_t)s->bytes % ALIGN) % ALIGN;
    /* Large blocks all begin at the same place in their pages, and what is walked side by side would share sets of the
     * cache: each begins some lines further than its neighbour. Worth a tenth of a loop over six tensors. */
    if (large)
        s->data += (uintptr_t)s / PAGE * 5 * ALIGN % PAGE;
    return s;
}

unsigned char *nd__storage_data(nd__storage *storage)
{
    return storage->data;
}

void nd__storage_hold(nd__storage *storage)
{
    if (storage)
        atomic_fetch_add_explicit(&storage->holders, 1, memory_order_relaxed);
}

void nd__storage_release(nd__storage *storage)
{
    if (storage && atomic_fetch_sub_explicit(&storage->holders, 1, memory_order_acq_rel) == 1)
        free(storage);
}

/* -- making ------------------------------------------------------------------------------------------------------- */

nd_status nd__shape_check(nd_dtype dtype, nd_shape shape, int64_t *stride, int64_t *count, nd__message *message)
{
    int64_t elements = 1, bytes, space = (int64_t)nd_dtype_size(dtype);
    if ((unsigned)dtype >= ND_DTYPES)
        return nd__message_set(message, ND_ERR_ARGUMENT, "%d is no dtype", (int)dtype);
    if (dtype == ND_STRING)
        return nd__message_set(message, ND_ERR_ARGUMENT, "string tensors are scalars, made by nd_tensor_string");
    if (shape.rank < 0 || shape.rank > ND_MAX_RANK)
        return nd__message_set(message, ND_ERR_ARGUMENT, "rank %d, but a tensor has 0 to %d axes", shape.rank,
                               ND_MAX_RANK);
    for (int i = 0; i < shape.rank; i++)
        if (shape.dims[i] < 0)
            return nd__message_set(message, ND_ERR_ARGUMENT,
                                   "the size %lld of axis %d is negative (a named dimension belongs in graphs only)",
                                   (long long)shape.dims[i], i);
    /* The product of the sizes that are not 0 bounds every stride, too. */
    for (int i = shape.rank - 1; i >= 0; i--) {
        stride[i] = elements;
        if (__builtin_mul_overflow(elements, shape.dims[i] ? shape.dims[i] : 1, &elements) ||
            __builtin_mul_overflow(elements, space, &bytes) || (uint64_t)bytes > PTRDIFF_MAX) {
            char type[ND__TYPE_TEXT];
            return nd__message_set(message, ND_ERR_ARGUMENT, "%s does not fit in the address space",
                                   nd__type_text(type, sizeof type, dtype, shape));
        }
    }
    for (int i = 0; i < shape.rank; i++)
        if (shape.dims[i] == 0)
            elements = 0;
    *count = elements;
    return ND_OK;
}

nd_tensor *nd__tensor_failed(nd_status status, const char *format, ...)
{
    nd_tensor *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    t->dtype = ND_F32;
    t->status = nd__message_set(&t->message, status, "%s", text);
    return t;
}

nd_tensor *nd__tensor_failed_like(const nd_tensor *from)
{
    nd_status status = nd_tensor_status(from);
    return nd__tensor_failed(status, "%s", from ? nd__message_text(&from->message) : nd_status_text(status));
}

nd_tensor *nd__tensor_over(nd_dtype dtype, nd_shape shape, void *data, nd__storage *storage)
{
    nd_tensor *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->status = nd__shape_check(dtype, shape, t->stride, &t->count, &t->message);
    t->dtype = ND_F32;
    if (t->status != ND_OK)
        return t;
    t->dtype = dtype;
    t->shape = shape;
    for (int i = shape.rank; i < ND_MAX_RANK; i++)
        t->shape.dims[i] = 0;
    t->data = data;
    t->storage = storage;
    nd__storage_hold(storage);
    return t;
}

nd_tensor *nd_tensor_zeros(nd_dtype dtype, nd_shape shape)
{
    nd_tensor *t = nd__tensor_over(dtype, shape, NULL, NULL);
    if (nd_tensor_status(t) != ND_OK)
        return t;
    t->storage = nd__storage_create(nd_tensor_bytes(t));
    if (!t->storage) {
        char type[ND__TYPE_TEXT];
        t->status = nd__message_set(&t->message, ND_ERR_MEMORY, "out of memory for %s",
                                    nd__type_text(type, sizeof type, dtype, shape));
        t->dtype = ND_F32;
        t->shape = ND_SCALAR;
        t->count = 0;
        return t;
    }
    t->data = nd__storage_data(t->storage);
    return t;
}

nd_tensor *nd_tensor_of(nd_dtype dtype, nd_shape shape, const void *values)
{
    nd_tensor *t = nd_tensor_zeros(dtype, shape);
    if (nd_tensor_status(t) != ND_OK || t->count == 0)
        return t;
    if (!values) {
        nd_tensor_destroy(t);
        return nd__tensor_failed(ND_ERR_ARGUMENT, "nd_tensor_of: the values are NULL");
    }
    memcpy(t->data, values, nd_tensor_bytes(t));
    return t;
}

nd_tensor *nd_tensor_string(const char *text)
{
    if (!text)
        return nd__tensor_failed(ND_ERR_ARGUMENT, "nd_tensor_string: the text is NULL");
    size_t n = strlen(text);
    nd_tensor *t = nd_tensor_zeros(ND_U8, ND_SHAPE((int64_t)n + 1)); /* memory and error handling of any tensor */
    if (nd_tensor_status(t) != ND_OK)
        return t;
    memcpy(t->data, text, n);
    t->dtype = ND_STRING;
    t->shape = ND_SCALAR;
    t->stride[0] = 0;
    t->count = 1;
    return t;
}

nd_tensor *nd_tensor_full(nd_dtype dtype, nd_shape shape, double value)
{
    nd_tensor *t = nd_tensor_zeros(dtype, shape);
    if (nd_tensor_status(t) == ND_OK)
        nd_tensor_fill(t, value);
    return t;
}

nd_tensor *nd_tensor_range(nd_dtype dtype, double start, double stop, double step)
{
    if (!nd_dtype_is_integer(dtype) && !nd_dtype_is_float(dtype))
        return nd__tensor_failed(ND_ERR_ARGUMENT, "nd_tensor_range: %s is no number", nd_dtype_name(dtype));
    double count = (stop - start) / step;
    if (step == 0 || !(count < 9e18)) /* NaN, too */
        return nd__tensor_failed(ND_ERR_ARGUMENT, "nd_tensor_range: no range from %g to %g by %g", start, stop, step);
    int64_t n = count > 0 ? (int64_t)count : 0;
    if ((double)n < count)
        n++;
    nd_tensor *t = nd_tensor_zeros(dtype, ND_SHAPE(n));
    for (int64_t i = 0; nd_tensor_status(t) == ND_OK && i < n; i++)
        nd_tensor_set(t, i, start + (double)i * step);
    return t;
}

nd_tensor *nd_tensor_borrow(nd_dtype dtype, nd_shape shape, void *memory)
{
    if (!memory)
        return nd__tensor_failed(ND_ERR_ARGUMENT, "nd_tensor_borrow: the memory is NULL");
    size_t size = nd_dtype_size(dtype);
    if (size > 0 && (uintptr_t)memory % size != 0)
        return nd__tensor_failed(ND_ERR_ARGUMENT,
                                 "nd_tensor_borrow: the memory at %p is not aligned to the %zu bytes of %s", memory,
                                 size, nd_dtype_name(dtype));
    return nd__tensor_over(dtype, shape, memory, NULL);
}

void nd_tensor_destroy(nd_tensor *tensor)
{
    if (!tensor)
        return;
    nd__storage_release(tensor->storage);
    nd__message_clear(&tensor->message);
    free(tensor);
}

/* -- errors ------------------------------------------------------------------------------------------------------- */

nd_status nd_tensor_status(const nd_tensor *tensor)
{
    return tensor ? tensor->status : ND_ERR_MEMORY;
}

const char *nd_tensor_error(const nd_tensor *tensor)
{
    return tensor ? nd__message_text(&tensor->message) : nd_status_text(ND_ERR_MEMORY);
}

nd_status nd__tensor_complain(nd_tensor *tensor, nd_status status, const char *format, ...)
{
    if (nd_tensor_status(tensor) != ND_OK)
        return nd_tensor_status(tensor);
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return nd__message_set(&tensor->message, status, "%s", text);
}

/* -- looking ------------------------------------------------------------------------------------------------------ */

nd_dtype nd_tensor_dtype(const nd_tensor *tensor)
{
    return tensor ? tensor->dtype : ND_F32;
}

nd_shape nd_tensor_shape(const nd_tensor *tensor)
{
    return tensor ? tensor->shape : ND_SCALAR;
}

int nd_tensor_rank(const nd_tensor *tensor)
{
    return tensor ? tensor->shape.rank : 0;
}

/* An axis counted from either end; -1 if it is not there. */
static int find_axis(const nd_tensor *tensor, int axis)
{
    int rank = nd_tensor_rank(tensor);
    if (axis < 0)
        axis += rank;
    return axis >= 0 && axis < rank ? axis : -1;
}

int64_t nd_tensor_dim(const nd_tensor *tensor, int axis)
{
    axis = find_axis(tensor, axis);
    return axis < 0 ? 0 : tensor->shape.dims[axis];
}

int64_t nd_tensor_stride(const nd_tensor *tensor, int axis)
{
    axis = find_axis(tensor, axis);
    return axis < 0 ? 0 : tensor->stride[axis];
}

int64_t nd_tensor_count(const nd_tensor *tensor)
{
    return nd_tensor_status(tensor) == ND_OK ? tensor->count : 0;
}

size_t nd_tensor_bytes(const nd_tensor *tensor)
{
    return (size_t)nd_tensor_count(tensor) * nd_dtype_size(nd_tensor_dtype(tensor));
}

bool nd_tensor_is_contiguous(const nd_tensor *tensor)
{
    int64_t expected = 1;
    for (int i = nd_tensor_rank(tensor) - 1; i >= 0 && tensor->count > 0; i--) {
        if (tensor->shape.dims[i] > 1 && tensor->stride[i] != expected)
            return false;
        expected *= tensor->shape.dims[i];
    }
    return true;
}

void *nd_tensor_data(const nd_tensor *tensor)
{
    return tensor ? tensor->data : NULL;
}

int64_t nd__tensor_offset(const nd_tensor *tensor, int64_t i)
{
    int64_t offset = 0;
    for (int axis = tensor->shape.rank - 1; axis >= 0; axis--) {
        offset += i % tensor->shape.dims[axis] * tensor->stride[axis];
        i /= tensor->shape.dims[axis];
    }
    return offset;
}

nd__rows nd__tensor_rows(const nd_tensor *tensor)
{
    if (tensor->count == 0 || nd_tensor_is_contiguous(tensor))
        return (nd__rows){tensor->count > 0, tensor->count, 1};
    int last = tensor->shape.rank - 1;
    int64_t length = tensor->shape.dims[last];
    return (nd__rows){tensor->count / length, length, tensor->stride[last]};
}
