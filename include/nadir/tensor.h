/* Tensors in the host's memory: what programs read and write, files hold and people look at.
 *
 *     nd_tensor *matrix = nd_tensor_of(ND_F64, ND_SHAPE(2, 3), (double[]){1, 2, 3, 4, 5, 6});
 *     nd_tensor *column = nd_tensor_at(matrix, ":, 2");     a view, which keeps the memory of `matrix` alive
 *     nd_tensor_print(column, stdout);                      f64[2] [3 6]
 *     if (nd_tensor_status(column) != ND_OK)
 *         fprintf(stderr, "%s\n", nd_tensor_error(column));
 *     nd_tensor_destroy(column);
 *     nd_tensor_destroy(matrix);
 *
 * A tensor is a handle on elements of one dtype, in a shape of rank 0 to 8, at strides counted in elements. The memory
 * behind it is counted: a view and its base may be destroyed in any order, and the memory goes with the last of them.
 *
 * Errors. What makes a tensor always returns one: when it fails, a tensor without elements (rank 0, data NULL) that
 * carries the status and the message, so that calls compose and one look at the end is enough. NULL comes back only
 * when memory ran out for the handle itself. Every function takes NULL (status ND_ERR_MEMORY) and failed tensors; what
 * is made of them carries their first error on. A function that returns an nd_status leaves its message on the (first)
 * tensor that it was given.
 *
 * Threads. Different tensors may be used at the same time, also views of one memory as far as they only read it.
 */
#ifndef NADIR_TENSOR_H
#define NADIR_TENSOR_H

#include "nadir/base.h"

#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nd_tensor nd_tensor;

/* -- making tensors ----------------------------------------------------------------------------------------------- */

/* Zeros (false for bool), aligned to 64 bytes. Sizes may be 0. ND_ERR_ARGUMENT: a rank above 8, a negative (or named)
 * size, more elements than the address space holds, ND_STRING. */
ND_API nd_tensor *nd_tensor_zeros(nd_dtype dtype, nd_shape shape);
/* A copy of the values: as many elements of the dtype as the shape has, row-major. `values` may be NULL if there are
 * none. */
ND_API nd_tensor *nd_tensor_of(nd_dtype dtype, nd_shape shape, const void *values);
/* A scalar string, copied: a name or a remark beside the numbers. Graphs do not take strings. */
ND_API nd_tensor *nd_tensor_string(const char *text);
/* `value` in every element, converted as by nd_tensor_set. */
ND_API nd_tensor *nd_tensor_full(nd_dtype dtype, nd_shape shape, double value);
/* start, start + step, ... as many as lie before `stop` (NumPy's arange); element i is start + i * step. Numbers only;
 * step must not be 0. */
ND_API nd_tensor *nd_tensor_range(nd_dtype dtype, double start, double stop, double step);
/* A tensor over the caller's memory, row-major, without a copy: reading and writing it is reading and writing the
 * memory, which must be aligned to the element's size and outlive the tensor and its views. */
ND_API nd_tensor *nd_tensor_borrow(nd_dtype dtype, nd_shape shape, void *memory);
/* Destroys the handle; its memory goes with the last view of it. NULL is accepted. */
ND_API void nd_tensor_destroy(nd_tensor *tensor);

/* -- errors ------------------------------------------------------------------------------------------------------- */

/* ND_OK, or why the tensor could not be made; it never changes. NULL: ND_ERR_MEMORY. */
ND_API nd_status nd_tensor_status(const nd_tensor *tensor);
/* Why the tensor could not be made, or else the message of the last function that failed on it; "" if none. Valid until
 * the tensor is destroyed or another function fails on it. */
ND_API const char *nd_tensor_error(const nd_tensor *tensor);

/* -- looking at tensors ------------------------------------------------------------------------------------------- */

/* Of a failed tensor and NULL: f32, rank 0, no elements, data NULL. */
ND_API nd_dtype nd_tensor_dtype(const nd_tensor *tensor);
ND_API nd_shape nd_tensor_shape(const nd_tensor *tensor);
ND_API int nd_tensor_rank(const nd_tensor *tensor);
/* The size of an axis; negative axes count from the end. 0 for an axis that is not there. */
ND_API int64_t nd_tensor_dim(const nd_tensor *tensor, int axis);
/* The distance between neighbours along an axis, in elements; may be negative or 0 (a view). 0 for an axis that is not
 * there. */
ND_API int64_t nd_tensor_stride(const nd_tensor *tensor, int axis);
/* The number of elements; 1 for rank 0. */
ND_API int64_t nd_tensor_count(const nd_tensor *tensor);
/* Bytes of the elements: count times the size of the dtype. */
ND_API size_t nd_tensor_bytes(const nd_tensor *tensor);
/* Whether the elements lie row-major without gaps. */
ND_API bool nd_tensor_is_contiguous(const nd_tensor *tensor);
/* The first element (index 0, ..., 0). Not NULL for a tensor without error, even without elements; for strings it is
 * the text. The memory may be written, also through a const handle: a tensor is a handle, not the memory. */
ND_API void *nd_tensor_data(const nd_tensor *tensor);

/* Element number i in row-major order, whatever the strides. As a double: i64 rounds, bool is 0 or 1. NaN for a string
 * or an i outside the tensor. */
ND_API double nd_tensor_get(const nd_tensor *tensor, int64_t i);
/* The same as an integer: floats are converted as by nd_tensor_cast. 0 for a string or an i outside the tensor. */
ND_API int64_t nd_tensor_get_i64(const nd_tensor *tensor, int64_t i);
/* Sets element number i, converted as by nd_tensor_cast. ND_ERR_ARGUMENT: outside the tensor, or a string. */
ND_API nd_status nd_tensor_set(nd_tensor *tensor, int64_t i, double value);
ND_API nd_status nd_tensor_set_i64(nd_tensor *tensor, int64_t i, int64_t value);
/* Sets every element. */
ND_API nd_status nd_tensor_fill(nd_tensor *tensor, double value);
/* Copies the elements of `from`, which has the same dtype and shape; overlapping views of one memory are handled.
 * ND_ERR_ARGUMENT (the message on `to`) where they differ. */
ND_API nd_status nd_tensor_assign(nd_tensor *to, const nd_tensor *from);

/* -- tensors from tensors ----------------------------------------------------------------------------------------- */

/* A view by a subscript in NumPy's basic indexing: "1", "-1", "1:, ::-1", "0:2, -1", "..., None". An index drops its
 * axis, a slice start:stop:step keeps it, None adds one of size 1, ... stands for as many whole axes as are missing.
 * Spaces are free, and brackets around the whole are accepted. ND_ERR_PARSE: the text does not read; ND_ERR_ARGUMENT:
 * an index outside its axis, too many axes, a rank above 8. The message has the column and a caret below it. */
ND_API nd_tensor *nd_tensor_at(const nd_tensor *tensor, const char *subscript);
/* Another handle on the same elements. */
ND_API nd_tensor *nd_tensor_view(const nd_tensor *tensor);
/* The same elements, row-major, in another shape of the same count: a view where the tensor is contiguous, otherwise a
 * copy. One size may be -1: what is left. */
ND_API nd_tensor *nd_tensor_reshape(const nd_tensor *tensor, nd_shape shape);
/* A view with the axes in another order: axis i of the result is axis order[i] of the tensor, `order` as long as its
 * rank. NULL: reversed. */
ND_API nd_tensor *nd_tensor_transpose(const nd_tensor *tensor, const int *order);
/* A contiguous copy with memory of its own. */
ND_API nd_tensor *nd_tensor_copy(const nd_tensor *tensor);
/* A contiguous copy in another dtype. To a float: rounded to nearest even. Float to integer: towards zero, the nearest
 * end of the range where it is outside, 0 for NaN. Integer to integer: modulo 2^bits. To bool: whether it is not 0. No
 * strings. */
ND_API nd_tensor *nd_tensor_cast(const nd_tensor *tensor, nd_dtype dtype);

/* -- comparing ---------------------------------------------------------------------------------------------------- */

/* Whether dtype, shape and every element are the same: bit by bit, except that any NaN equals any NaN. This is the
 * equality of the bit contract: -0 differs from 0. False if either is NULL or failed. */
ND_API bool nd_tensor_same_bits(const nd_tensor *a, const nd_tensor *b);
/* The number (row-major) of the first element that differs; -1 if all are the same, -2 if dtype or shape differ or one
 * is NULL or failed. */
ND_API int64_t nd_tensor_difference(const nd_tensor *a, const nd_tensor *b);

/* -- printing ----------------------------------------------------------------------------------------------------- */

/* Prints dtype, shape and elements as NumPy would, and a newline: "f64[2] [3 6]", "i32 76" for a scalar, nested
 * brackets on lines of their own from rank 2, three at each end of an axis where there are more than 1000 elements.
 * Floats have as many digits as tell them from their neighbours, at most 8 after the point, the same number in all
 * elements. A failed tensor prints as "(error: ...)". ND_ERR_IO: `out` refused; ND_ERR_MEMORY. Neither leaves a message
 * on the tensor. */
ND_API nd_status nd_tensor_print(const nd_tensor *tensor, FILE *out);
/* The same text, without the newline, into `buffer` of `size` bytes, cut off where it is too long, always ended by 0
 * unless size is 0. Returns the length of the whole text, or 0 when memory ran out. */
ND_API size_t nd_tensor_text(const nd_tensor *tensor, char *buffer, size_t size);

#ifdef __cplusplus
}
#endif
#endif
