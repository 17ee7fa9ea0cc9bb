/* The pieces of a .npy file, also inside of other files. */
#ifndef NADIR_RUNTIME_NPY_H
#define NADIR_RUNTIME_NPY_H

#include "nadir/data.h"
#include "runtime/file.h"

/* The tensor of a whole .npy file; `path` is what messages call it. */
nd_tensor *nd__npy_parse(const char *path, const nd__bytes *file);

enum { ND__NPY_HEADER = 512 };
/* What a file of the tensor begins with, before its elements; gives the number of bytes, a multiple of 64. */
size_t nd__npy_header(const nd_tensor *tensor, unsigned char header[ND__NPY_HEADER]);

#endif
