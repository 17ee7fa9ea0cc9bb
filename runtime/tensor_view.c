/* Views: other shapes and strides over the same memory. */
#include "runtime/subscript.h"
#include "runtime/tensor.h"

#include <stdlib.h>

/* A handle on the same elements as a tensor without error. */
static nd_tensor *view(const nd_tensor *tensor)
{
    nd_tensor *v = calloc(1, sizeof *v);
    if (!v)
        return NULL;
    *v = *tensor;
    v->message = (nd__message){ND_OK, NULL};
    nd__storage_hold(v->storage);
    return v;
}

nd_tensor *nd_tensor_view(const nd_tensor *tensor)
{
    return nd_tensor_status(tensor) == ND_OK ? view(tensor) : nd__tensor_failed_like(tensor);
}

/* -- subscripts --------------------------------------------------------------------------------------------------- */

typedef struct subscripting {
    nd_shape shape;
    int64_t stride[ND_MAX_RANK];
    int64_t offset; /* of the first element, in elements */
} subscripting;

static nd_tensor *complain(const char *subscript, size_t column, const char *what)
{
    char message[600];
    snprintf(message, sizeof message, "column %zu: %.400s", column + 1, what);
    nd__caret(message, sizeof message, subscript, column);
    return nd__tensor_failed(ND_ERR_ARGUMENT, "%s", message);
}

static void keep_axis(subscripting *to, int64_t size, int64_t stride)
{
    if (to->shape.rank < ND_MAX_RANK) {
        to->shape.dims[to->shape.rank] = size;
        to->stride[to->shape.rank] = stride;
    }
    to->shape.rank++;
}

nd_tensor *nd_tensor_at(const nd_tensor *tensor, const char *subscript)
{
    char message[600], type[ND__TYPE_TEXT];
    nd__subscript s;
    if (nd_tensor_status(tensor) != ND_OK)
        return nd__tensor_failed_like(tensor);
    if (!subscript)
        return nd__tensor_failed(ND_ERR_ARGUMENT, "nd_tensor_at: the subscript is NULL");
    if (nd__subscript_parse(subscript, NULL, &s, message, sizeof message) != ND_OK)
        return nd__tensor_failed(ND_ERR_PARSE, "%s", message);
    nd__type_text(type, sizeof type, tensor->dtype, tensor->shape);

    subscripting to = {0};
    int axis = 0, whole = tensor->shape.rank - s.axes; /* axes that "..." or the end of the text stand for */
    for (int i = 0; i < s.count; i++) {
        const nd__subscript_item *item = &s.items[i];
        if (item->kind == ND__SUB_NEWAXIS) {
            keep_axis(&to, 1, 0);
            continue;
        }
        if (item->kind == ND__SUB_ELLIPSIS) {
            for (; whole > 0; whole--, axis++)
                keep_axis(&to, tensor->shape.dims[axis], tensor->stride[axis]);
            continue;
        }
        if (axis == tensor->shape.rank) {
            snprintf(message, sizeof message, "%d indices, but %s has %d %s", s.axes, type, axis,
                     axis == 1 ? "axis" : "axes");
            return complain(subscript, item->column, message);
        }
        int64_t size = tensor->shape.dims[axis], stride = tensor->stride[axis];
        if (item->kind == ND__SUB_INDEX) {
            int64_t index = item->start < 0 ? item->start + size : item->start;
            if (index < 0 || index >= size) {
                snprintf(message, sizeof message, "index %lld is outside axis %d of %s", (long long)item->start, axis,
                         type);
                return complain(subscript, item->column, message);
            }
            to.offset += index * stride;
        } else {
            nd__slice slice = nd__slice_of(item, size);
            to.offset += slice.start * stride;
            /* A step further than the axis is never taken, and its product with the stride may not exist. */
            keep_axis(&to, slice.count, slice.count > 1 ? slice.step * stride : stride);
        }
        axis++;
    }
    for (; axis < tensor->shape.rank; axis++)
        keep_axis(&to, tensor->shape.dims[axis], tensor->stride[axis]);
    if (to.shape.rank > ND_MAX_RANK) {
        snprintf(message, sizeof message, "the result would have %d axes, more than %d", to.shape.rank, ND_MAX_RANK);
        return complain(subscript, 0, message);
    }

    nd_tensor *v = view(tensor);
    if (!v)
        return NULL;
    v->shape = to.shape;
    v->count = 1;
    for (int i = 0; i < to.shape.rank; i++) {
        v->stride[i] = to.stride[i];
        v->count *= to.shape.dims[i];
    }
    if (v->count > 0) /* where nothing is left, the first element may lie outside the memory */
        v->data += to.offset * (int64_t)nd_dtype_size(tensor->dtype);
    return v;
}

/* -- shapes ------------------------------------------------------------------------------------------------------- */

nd_tensor *nd_tensor_reshape(const nd_tensor *tensor, nd_shape shape)
{
    if (nd_tensor_status(tensor) != ND_OK)
        return nd__tensor_failed_like(tensor);
    if (tensor->dtype == ND_STRING)
        return nd__tensor_failed(ND_ERR_ARGUMENT, "a string keeps its shape");
    char from[ND__TYPE_TEXT], to[ND__TYPE_TEXT];
    nd__type_text(from, sizeof from, tensor->dtype, tensor->shape);
    nd__type_text(to, sizeof to, tensor->dtype, shape);
    int64_t known = 1;
    int open = -1;
    for (int i = 0; i < shape.rank && i < ND_MAX_RANK; i++) {
        if (shape.dims[i] == -1 && open < 0)
            open = i;
        else if (shape.dims[i] < 0 || __builtin_mul_overflow(known, shape.dims[i], &known))
            return nd__tensor_failed(ND_ERR_ARGUMENT, "%s has not the elements of %s", from, to);
    }
    if (open >= 0 && known > 0 && tensor->count % known == 0)
        known *= shape.dims[open] = tensor->count / known;
    if (known != tensor->count || (open >= 0 && shape.dims[open] < 0))
        return nd__tensor_failed(ND_ERR_ARGUMENT, "%s has not the elements of %s", from, to);

    int64_t stride[ND_MAX_RANK] = {0}, count;
    nd__message message = {ND_OK, NULL};
    if (nd__shape_check(tensor->dtype, shape, stride, &count, &message) != ND_OK) {
        nd_tensor *failed = nd__tensor_failed(message.status, "%s", nd__message_text(&message));
        nd__message_clear(&message);
        return failed;
    }
    nd_tensor *v = nd_tensor_is_contiguous(tensor) ? view(tensor) : nd_tensor_copy(tensor);
    if (nd_tensor_status(v) != ND_OK)
        return v;
    v->shape = shape;
    for (int i = 0; i < ND_MAX_RANK; i++)
        v->stride[i] = stride[i];
    return v;
}

nd_tensor *nd_tensor_transpose(const nd_tensor *tensor, const int *order)
{
    if (nd_tensor_status(tensor) != ND_OK)
        return nd__tensor_failed_like(tensor);
    nd_tensor *v = view(tensor);
    bool taken[ND_MAX_RANK] = {false};
    int rank = tensor->shape.rank;
    for (int i = 0; v && i < rank; i++) {
        int axis = order ? order[i] : rank - 1 - i;
        if (axis < 0 || axis >= rank || taken[axis]) {
            nd_tensor_destroy(v);
            return nd__tensor_failed(ND_ERR_ARGUMENT, "axis %d at place %d of the order is %s", axis, i,
                                     axis < 0 || axis >= rank ? "not there" : "there twice");
        }
        taken[axis] = true;
        v->shape.dims[i] = tensor->shape.dims[axis];
        v->stride[i] = tensor->stride[axis];
    }
    return v;
}
