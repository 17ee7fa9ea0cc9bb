/* Constants in files. */
#include "compiler/text/apart.h"

#include <stdlib.h>
#include <string.h>

bool nd__is_apart(const nd__data *data)
{
    const int64_t large = 256; /* elements: more than a person reads */
    return data->count > large;
}

/* FNV-1a over whole elements, the same whatever the order of a host's bytes. */
uint64_t nd__apart_sum(const nd__data *data)
{
    const size_t size = nd_dtype_size(data->dtype);
    const unsigned char *items = data->items;
    uint64_t sum = 0xcbf29ce484222325u;
    for (int64_t i = 0; i < data->count; i++, items += size) {
        uint32_t narrow = 0;
        uint64_t wide = *items;
        if (size == sizeof narrow) {
            memcpy(&narrow, items, size);
            wide = narrow;
        } else if (size == sizeof wide) {
            memcpy(&wide, items, size);
        }
        sum = (sum ^ wide) * 0x100000001b3u;
    }
    return sum;
}

char *nd__apart_path(const char *path)
{
    static const char ending[] = ".safetensors";
    const size_t n = strlen(path);
    char *apart = malloc(n + sizeof ending);
    if (apart) {
        memcpy(apart, path, n);
        memcpy(apart + n, ending, sizeof ending);
    }
    return apart;
}

nd_status nd__apart_write(const char *path, int count, const char *const *names, const nd__node *const *constants,
                          nd__message *message)
{
    nd_status status = ND_OK;
    nd_tensor **tensors = calloc((size_t)count + 1, sizeof *tensors);
    if (!tensors)
        return nd__message_set(message, ND_ERR_MEMORY, "%s: out of memory", path);
    for (int i = 0; i < count && status == ND_OK; i++) {
        const nd_value *v = &constants[i]->results[0];
        const void *items = nd__get(constants[i], ND__A_data)->data->items;
        void *read; /* a tensor's memory, which nobody writes to */
        memcpy(&read, &items, sizeof read);
        tensors[i] = nd__tensor_over(v->dtype, v->shape, read, NULL);
        status = nd_tensor_status(tensors[i]);
        if (status != ND_OK)
            nd__message_set(message, status, "%s: %s", path, nd_status_text(status));
    }
    if (status == ND_OK)
        status = nd__safetensors_write(path, (size_t)count, names, tensors, 0, NULL, message);
    for (int i = 0; i < count; i++)
        nd_tensor_destroy(tensors[i]);
    free(tensors);
    return status;
}

nd_status nd__apart_look(const nd__safetensors *file, const char *path, const char *name, nd_dtype dtype,
                         const nd_shape *shape, nd__message *message)
{
    char type[ND__TYPE_TEXT], saved_type[ND__TYPE_TEXT];
    const nd__saved *saved = nd__safetensors_find(file, name);
    if (!saved)
        return nd__message_set(message, ND_ERR_DATA, "%s has no tensor \"%s\"", path, name);
    nd__type_text(saved_type, sizeof saved_type, saved->dtype, saved->shape);
    if (saved->dtype != dtype || !nd__shape_equal(&saved->shape, shape))
        return nd__message_set(message, ND_ERR_DATA, "%s has \"%s\" as %.16s%s, not as %s", path, name,
                               saved->dtype == ND_DTYPES ? saved->type : nd_dtype_name(saved->dtype),
                               strchr(saved_type, '['), nd__type_text(type, sizeof type, dtype, *shape));
    return ND_OK;
}

nd_status nd__apart_read(const nd__safetensors *file, const char *path, const char *name, nd_dtype dtype,
                         const nd_shape *shape, void *items, nd__message *message)
{
    nd_tensor *to = nd__tensor_over(dtype, *shape, items, NULL);
    nd_status status = nd_tensor_status(to);
    if (status == ND_OK)
        nd__safetensors_copy(file, nd__safetensors_find(file, name), to);
    else
        nd__message_set(message, status, "%s: %s", path, nd_status_text(status));
    nd_tensor_destroy(to);
    return status;
}
