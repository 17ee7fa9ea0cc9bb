/* NumPy's file of several arrays: a ZIP archive of .npy files. */
#include "nadir/data.h"

#include "runtime/dataset.h"
#include "runtime/npy.h"
#include "runtime/tensor.h"
#include "runtime/text.h"
#include "runtime/utf8.h"
#include "runtime/zip.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* -- reading ------------------------------------------------------------------------------------------------------ */

static const char ending[] = ".npy";

/* Takes ".npy" off a member's name: NumPy puts it there. */
static void strip(char *name)
{
    size_t n = strlen(name), m = sizeof ending - 1;
    if (n > m && strcmp(name + n - m, ending) == 0)
        name[n - m] = '\0';
}

static nd_tensor *read_member(const nd__zip *zip, const nd__zip_member *member)
{
    nd__bytes bytes;
    nd__message message = {ND_OK, NULL};
    nd__text label = {0}; /* "data.npz: x" */
    nd_tensor *t;
    nd__text_add(&label, "%s: %s", zip->path, member->name);
    if (nd__zip_extract(zip, member, &bytes, &message) != ND_OK)
        t = nd__tensor_failed(message.status, "%s", nd__message_text(&message));
    else
        t = nd__npy_parse(label.failed ? zip->path : label.data, &bytes);
    free(bytes.data);
    nd__text_release(&label);
    nd__message_clear(&message);
    return t;
}

nd_tensor *nd_npz_read(const char *path, const char *name)
{
    nd__zip zip;
    nd__zip_member member;
    nd__message message = {ND_OK, NULL};
    nd__text list = {0};
    nd_tensor *t = NULL;
    if (!name)
        return nd__tensor_failed(ND_ERR_ARGUMENT, "the name of the array is NULL");
    nd_status status = nd__zip_open(&zip, path, &message);
    if (status == ND_OK) {
        while (!t && (status = nd__zip_next(&zip, &member, &message)) == ND_OK && member.name) {
            strip(member.name);
            if (strcmp(member.name, name) == 0)
                t = read_member(&zip, &member);
            nd__text_add(&list, "%s\"%s\"", list.used ? ", " : "", member.name);
            free(member.name);
        }
        nd__zip_close(&zip);
    }
    if (!t && status != ND_OK)
        t = nd__tensor_failed(status, "%s", nd__message_text(&message));
    else if (!t)
        t = nd__tensor_failed(ND_ERR_ARGUMENT, "%s: there is no array \"%s\", but %s", path, name,
                              list.data ? list.data : "none");
    nd__text_release(&list);
    nd__message_clear(&message);
    return t;
}

nd_status nd_dataset_add_npz(nd_dataset *dataset, const char *path)
{
    if (nd_dataset_status(dataset) != ND_OK)
        return nd_dataset_status(dataset);
    nd__zip zip;
    nd__zip_member member;
    nd__message message = {ND_OK, NULL};
    nd_status status = nd__zip_open(&zip, path, &message);
    if (status == ND_OK) {
        while (nd_dataset_status(dataset) == ND_OK && (status = nd__zip_next(&zip, &member, &message)) == ND_OK &&
               member.name) {
            strip(member.name);
            nd_tensor *t = read_member(&zip, &member);
            nd_dataset_add(dataset, member.name, t);
            nd_tensor_destroy(t);
            free(member.name);
        }
        nd__zip_close(&zip);
    }
    if (status != ND_OK)
        nd__dataset_fail(dataset, status, "%s", nd__message_text(&message));
    nd__message_clear(&message);
    return nd_dataset_status(dataset);
}

/* -- writing ------------------------------------------------------------------------------------------------------ */

static bool is_good_name(const char *name)
{
    enum { MOST = 60000 }; /* what fits into ZIP's 16 bits, with the ending */
    return name && *name && strlen(name) <= MOST && nd__utf8_is_valid(name);
}

static nd_status check(size_t count, const char *const *names, nd_tensor *const *tensors, nd__message *message)
{
    uint64_t bytes = 0;
    if (count > UINT16_MAX)
        return nd__message_set(message, ND_ERR_ARGUMENT, "%zu tensors, but a .npz file has at most 65535", count);
    for (size_t i = 0; i < count; i++) {
        if (!is_good_name(names[i]))
            return nd__message_set(message, ND_ERR_ARGUMENT, "tensor %zu has a name that a .npz file cannot have", i);
        if (nd_tensor_status(tensors[i]) != ND_OK)
            return nd__message_set(message, nd_tensor_status(tensors[i]), "\"%s\": %s", names[i],
                                   tensors[i] ? nd_tensor_error(tensors[i]) : "the tensor is NULL");
        if (tensors[i]->dtype == ND_STRING)
            return nd__message_set(message, ND_ERR_ARGUMENT, "\"%s\": a string does not go into a .npz file", names[i]);
        for (size_t k = 0; k < i; k++)
            if (strcmp(names[i], names[k]) == 0)
                return nd__message_set(message, ND_ERR_ARGUMENT, "there are two tensors \"%s\"", names[i]);
        bytes += nd_tensor_bytes(tensors[i]) + 2 * strlen(names[i]) + 2 * ND__NPY_HEADER; /* with all headers */
        if (bytes > ND__ZIP_MOST)
            return nd__message_set(message, ND_ERR_ARGUMENT, "more than the 4 GB that a .npz file is written with");
    }
    return ND_OK;
}

static uint32_t add_to_crc(uint32_t crc, const unsigned char *bytes, size_t n)
{
    return (uint32_t)crc32(crc, bytes, (uInt)n); /* less than 4 GB: checked */
}

/* One tensor as a member. False: memory ran out. */
static bool add_member(nd__zip_writer *zip, nd__writer *writer, const char *name, const nd_tensor *tensor)
{
    unsigned char header[ND__NPY_HEADER];
    size_t head = nd__npy_header(tensor, header), size = nd_dtype_size(tensor->dtype), bytes = nd_tensor_bytes(tensor);
    char *file = malloc(strlen(name) + sizeof ending);
    bool as_it_is = nd_tensor_is_contiguous(tensor) && nd__host_is_little_endian();
    nd_tensor *copy = as_it_is ? nd_tensor_view(tensor) : nd_tensor_copy(tensor);
    bool good = file && nd_tensor_status(copy) == ND_OK;
    if (good) {
        if (!nd__host_is_little_endian())
            nd__swap_bytes(copy->data, (size_t)copy->count, size);
        strcpy(file, name);
        strcat(file, ending);
        uint32_t crc = add_to_crc(add_to_crc(0, header, head), copy->data, bytes);
        nd__zip_add(zip, file, crc, (uint32_t)(head + bytes));
        nd__writer_elements(writer, header, head, 1);
        nd__writer_elements(writer, copy->data, bytes, 1);
    }
    free(file);
    nd_tensor_destroy(copy);
    return good;
}

nd_status nd_npz_write(const char *path, size_t count, const char *const *names, nd_tensor *const *tensors)
{
    if (count == 0 || !names || !tensors)
        return ND_ERR_ARGUMENT; /* and no tensor that could keep a message */
    nd__message message = {ND_OK, NULL};
    nd__writer writer;
    nd_status status = check(count, names, tensors, &message);
    if (status == ND_OK)
        status = nd__writer_open(&writer, path, &message);
    if (status == ND_OK) {
        nd__zip_writer zip = {.file = writer.file};
        bool good = true;
        for (size_t i = 0; i < count && good; i++)
            good = add_member(&zip, &writer, names[i], tensors[i]);
        good = nd__zip_finish(&zip) && good;
        status = nd__writer_close(&writer, good, &message);
        if (!good)
            status = nd__message_set(&message, ND_ERR_MEMORY, "%s: out of memory", path);
    }
    if (status != ND_OK && tensors[0])
        nd__tensor_complain(tensors[0], status, "%s", nd__message_text(&message));
    nd__message_clear(&message);
    return status;
}
