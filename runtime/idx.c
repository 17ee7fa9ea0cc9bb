/* IDX, the format of MNIST: two zeros, a type, a rank, the sizes and the elements, big-endian (LeCun, Cortes and
 * Burges, "The MNIST database of handwritten digits"). */
#include "nadir/data.h"
#include "runtime/file.h"
#include "runtime/tensor.h"

#include <stdlib.h>

static nd_dtype dtype_of(unsigned char code)
{
    switch (code) {
    case 0x08:
        return ND_U8;
    case 0x0C:
        return ND_I32;
    case 0x0D:
        return ND_F32;
    case 0x0E:
        return ND_F64;
    default:
        return ND_DTYPES;
    }
}

static nd_tensor *parse(const char *path, const nd__bytes *file)
{
    const unsigned char *d = file->data;
    if (file->count < 4 || d[0] != 0 || d[1] != 0)
        return nd__tensor_failed(ND_ERR_PARSE, "%s: not an IDX file", path);
    nd_dtype dtype = dtype_of(d[2]);
    if (dtype == ND_DTYPES || d[3] > ND_MAX_RANK)
        return nd__tensor_failed(ND_ERR_PARSE, "%s: IDX elements of type 0x%02x in %d axes are not known here", path,
                                 d[2], d[3]);
    nd_shape shape = {d[3], {0}};
    size_t begin = 4 + 4 * (size_t)shape.rank, size = nd_dtype_size(dtype);
    for (int i = 0; i < shape.rank && begin <= file->count; i++)
        shape.dims[i] = (int64_t)d[4 + 4 * i] << 24 | d[5 + 4 * i] << 16 | d[6 + 4 * i] << 8 | d[7 + 4 * i];
    int64_t stride[ND_MAX_RANK], count = 0;
    nd__message message = {ND_OK, NULL};
    nd_tensor *t;
    char type[ND__TYPE_TEXT];
    if (begin > file->count)
        t = nd__tensor_failed(ND_ERR_PARSE, "%s: the file is cut short: its header has %zu bytes, the file has %zu",
                              path, begin, file->count);
    else if (nd__shape_check(dtype, shape, stride, &count, &message) != ND_OK)
        t = nd__tensor_failed(ND_ERR_PARSE, "%s: %s", path, nd__message_text(&message));
    else if ((file->count - begin) / size < (size_t)count)
        t = nd__tensor_failed(
            ND_ERR_PARSE, "%s: the file is cut short: %s has %llu bytes of elements, the file has %zu", path,
            nd__type_text(type, sizeof type, dtype, shape), (unsigned long long)count * size, file->count - begin);
    else {
        t = nd_tensor_of(dtype, shape, d + begin);
        if (nd_tensor_status(t) == ND_OK && nd__host_is_little_endian())
            nd__swap_bytes(t->data, (size_t)count, size);
    }
    nd__message_clear(&message);
    return t;
}

nd_tensor *nd_idx_read(const char *path)
{
    nd__bytes file;
    nd__message message = {ND_OK, NULL};
    nd_tensor *t;
    if (nd__file_read(path, true, &file, &message) == ND_OK)
        t = parse(path, &file);
    else
        t = nd__tensor_failed(message.status, "%s", nd__message_text(&message));
    nd__message_clear(&message);
    free(file.data);
    return t;
}
