/* Safetensors: a header in JSON that names tensors, then their elements. The format is described in the README of
 * github.com/huggingface/safetensors:
 *
 *     u64 little-endian    the bytes of the header
 *     header               {"NAME": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...,
 *                           "__metadata__": {"KEY": "VALUE", ...}}, perhaps spaces
 *     data                 the tensors' elements, row-major and little-endian, without gaps
 */
#ifndef NADIR_RUNTIME_SAFETENSORS_H
#define NADIR_RUNTIME_SAFETENSORS_H

#include "nadir/base.h"
#include "runtime/file.h"
#include "runtime/message.h"
#include "runtime/tensor.h"

/* A tensor in a file. */
typedef struct nd__saved {
    const char *name, *type; /* "F32" */
    nd_dtype dtype;          /* ND_DTYPES: a type that is not known here */
    nd_shape shape;
    size_t begin, end; /* of its elements, in the data */
} nd__saved;

/* A line of __metadata__. */
typedef struct nd__pair {
    const char *key, *value;
} nd__pair;

/* A file, whole and checked: the names differ, each byte of the data belongs to one tensor, which has as many as its
 * type and shape say. */
typedef struct nd__safetensors {
    nd__bytes file; /* the names lie in it */
    const unsigned char *data;
    nd__saved *tensors; /* by name, ascending */
    size_t count;
    nd__pair *pairs; /* in the file's order */
    size_t pair_count;
} nd__safetensors;

/* ND_ERR_IO, ND_ERR_PARSE, ND_ERR_MEMORY: `message` begins with the path, and nothing is to be released. */
nd_status nd__safetensors_read(const char *path, nd__safetensors *s, nd__message *message);
void nd__safetensors_release(nd__safetensors *s);
/* NULL: there is none of that name. */
const nd__saved *nd__safetensors_find(const nd__safetensors *s, const char *name);
/* NULL: there is no such key. */
const char *nd__safetensors_metadata(const nd__safetensors *s, const char *key);
/* Copies the elements into a contiguous tensor of that dtype and shape. */
void nd__safetensors_copy(const nd__safetensors *s, const nd__saved *saved, nd_tensor *to);

/* Writes contiguous tensors, aside and then renamed. The names differ. ND_ERR_ARGUMENT: a name that is not UTF-8 or is
 * "__metadata__"; ND_ERR_IO, ND_ERR_MEMORY. */
nd_status nd__safetensors_write(const char *path, size_t count, const char *const *names, nd_tensor *const *tensors,
                                size_t pair_count, const nd__pair *pairs, nd__message *message);

#endif
