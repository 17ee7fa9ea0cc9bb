/* What the files of the runtime know of tensors. */
#ifndef NADIR_RUNTIME_TENSOR_H
#define NADIR_RUNTIME_TENSOR_H

#include "nadir/tensor.h"
#include "runtime/message.h"

/* Memory that several tensors look at; released with the last of them. */
typedef struct nd__storage nd__storage;
/* `bytes` zeros at a multiple of 64, held once. NULL: out of memory. */
nd__storage *nd__storage_create(size_t bytes);
unsigned char *nd__storage_data(nd__storage *storage);
void nd__storage_hold(nd__storage *storage);    /* NULL is accepted */
void nd__storage_release(nd__storage *storage); /* NULL is accepted */

struct nd_tensor {
    nd_status status;    /* sticky */
    nd__message message; /* of the status, or of the last function that failed */
    nd_dtype dtype;
    nd_shape shape;
    int64_t stride[ND_MAX_RANK]; /* in elements */
    int64_t count;
    unsigned char *data;
    nd__storage *storage; /* NULL: the caller's memory */
};

/* Fills strides and count of a row-major shape. ND_ERR_ARGUMENT, and a message: rank, size or count out of range. */
nd_status nd__shape_check(nd_dtype dtype, nd_shape shape, int64_t *stride, int64_t *count, nd__message *message);

/* A tensor without elements that carries an error. */
nd_tensor *nd__tensor_failed(nd_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same with the error of `from` (NULL: out of memory). */
nd_tensor *nd__tensor_failed_like(const nd_tensor *from);
/* A tensor over `data`, which lies in `storage` (held once more; NULL: the caller's memory). Row-major. */
nd_tensor *nd__tensor_over(nd_dtype dtype, nd_shape shape, void *data, nd__storage *storage);
/* Leaves a message on a tensor without making it a failed one; on a failed one nothing changes. Gives `status` back, or
 * the failed tensor's own. */
nd_status nd__tensor_complain(nd_tensor *tensor, nd_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Where element number i (row-major) lies, in elements from data. */
int64_t nd__tensor_offset(const nd_tensor *tensor, int64_t i);

/* The elements of a tensor as rows of equal stride: all of them in one where they are contiguous, else along the last
 * axis. Row r begins at offset nd__tensor_offset(t, r * length). */
typedef struct nd__rows {
    int64_t count, length, stride;
} nd__rows;
nd__rows nd__tensor_rows(const nd_tensor *tensor);

#endif
