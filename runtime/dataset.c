/* Data sets: named arrays whose rows belong together. */
#include "runtime/dataset.h"

#include "runtime/shuffle.h"
#include "runtime/tensor.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

nd_dataset *nd_dataset_create(void)
{
    return calloc(1, sizeof(nd_dataset));
}

void nd_dataset_destroy(nd_dataset *dataset)
{
    if (!dataset)
        return;
    for (int i = 0; i < dataset->count; i++) {
        free(dataset->arrays[i].name);
        nd_tensor_destroy(dataset->arrays[i].tensor);
    }
    free(dataset->arrays);
    nd__message_clear(&dataset->message);
    free(dataset);
}

nd_status nd_dataset_status(const nd_dataset *dataset)
{
    return dataset ? dataset->status : ND_ERR_MEMORY;
}

const char *nd_dataset_error(const nd_dataset *dataset)
{
    return dataset ? nd__message_text(&dataset->message) : nd_status_text(ND_ERR_MEMORY);
}

nd_status nd__dataset_fail(nd_dataset *dataset, nd_status status, const char *format, ...)
{
    if (nd_dataset_status(dataset) != ND_OK)
        return nd_dataset_status(dataset);
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return dataset->status = nd__message_set(&dataset->message, status, "%s", text);
}

/* -- arrays ------------------------------------------------------------------------------------------------------- */

static int find_array(const nd_dataset *dataset, const char *name)
{
    for (int i = 0; dataset && name && i < dataset->count; i++)
        if (strcmp(dataset->arrays[i].name, name) == 0)
            return i;
    return -1;
}

nd_status nd_dataset_add(nd_dataset *dataset, const char *name, const nd_tensor *array)
{
    if (nd_dataset_status(dataset) != ND_OK)
        return nd_dataset_status(dataset);
    if (!name)
        return nd__dataset_fail(dataset, ND_ERR_ARGUMENT, "the name of the array is NULL");
    if (!array)
        return nd__dataset_fail(dataset, ND_ERR_ARGUMENT, "the array \"%s\" is NULL: a mistake, or out of memory",
                                name);
    if (nd_tensor_status(array) != ND_OK)
        return nd__dataset_fail(dataset, nd_tensor_status(array), "%s", nd_tensor_error(array));
    if (array->shape.rank == 0)
        return nd__dataset_fail(dataset, ND_ERR_ARGUMENT, "the array \"%s\" is a scalar: it has no rows", name);
    if (find_array(dataset, name) >= 0)
        return nd__dataset_fail(dataset, ND_ERR_ARGUMENT, "there are two arrays \"%s\"", name);
    if (dataset->count > 0 && array->shape.dims[0] != dataset->rows)
        return nd__dataset_fail(dataset, ND_ERR_ARGUMENT, "the array \"%s\" has %lld rows, but \"%s\" has %lld", name,
                                (long long)array->shape.dims[0], dataset->arrays[0].name, (long long)dataset->rows);
    nd_tensor *kept = nd_tensor_is_contiguous(array) ? nd_tensor_view(array) : nd_tensor_copy(array);
    char *copied = malloc(strlen(name) + 1);
    nd__dataset_array *arrays = realloc(dataset->arrays, ((size_t)dataset->count + 1) * sizeof *arrays);
    if (arrays)
        dataset->arrays = arrays;
    if (nd_tensor_status(kept) != ND_OK || !copied || !arrays) {
        nd_tensor_destroy(kept);
        free(copied);
        return nd__dataset_fail(dataset, ND_ERR_MEMORY, "out of memory for the array \"%s\"", name);
    }
    strcpy(copied, name);
    dataset->rows = kept->shape.dims[0];
    size_t row_bytes = dataset->rows ? nd_tensor_bytes(kept) / (size_t)dataset->rows : 0;
    dataset->arrays[dataset->count++] = (nd__dataset_array){copied, kept, row_bytes};
    return ND_OK;
}

int64_t nd_dataset_rows(const nd_dataset *dataset)
{
    return dataset ? dataset->rows : 0;
}

int nd_dataset_array_count(const nd_dataset *dataset)
{
    return dataset ? dataset->count : 0;
}

const char *nd_dataset_array_name(const nd_dataset *dataset, int array)
{
    return array >= 0 && array < nd_dataset_array_count(dataset) ? dataset->arrays[array].name : "";
}

nd_tensor *nd_dataset_array(const nd_dataset *dataset, const char *name)
{
    int i = find_array(dataset, name);
    return i < 0 ? NULL : dataset->arrays[i].tensor;
}

/* Asks for a row before it is copied: shuffled rows lie anywhere, and waiting for memory is most of a gather's time. */
static void prefetch(const unsigned char *row, size_t bytes)
{
#if defined(__GNUC__)
    enum { LINE = 64, FAR = 4096 }; /* the processor itself runs ahead in longer rows */
    for (size_t i = 0; i < bytes && i < FAR; i += LINE)
        __builtin_prefetch(row + i);
#else
    (void)row, (void)bytes;
#endif
}

void nd__dataset_gather(const nd__dataset_array *array, const int64_t *rows, int64_t n, void *to)
{
    enum { AHEAD = 2 }; /* rows */
    const unsigned char *from = array->tensor->data;
    unsigned char *at = to;
    for (int64_t i = 0; i < n; i++, at += array->row_bytes) {
        if (i + AHEAD < n)
            prefetch(from + (size_t)rows[i + AHEAD] * array->row_bytes, array->row_bytes);
        memcpy(at, from + (size_t)rows[i] * array->row_bytes, array->row_bytes);
    }
}

/* -- parts -------------------------------------------------------------------------------------------------------- */

/* Fills `part` with those rows of all arrays. */
static void take_rows(nd_dataset *part, const nd_dataset *from, const int64_t *rows, int64_t n)
{
    for (int i = 0; i < from->count && nd_dataset_status(part) == ND_OK; i++) {
        const nd__dataset_array *a = &from->arrays[i];
        nd_shape shape = a->tensor->shape;
        shape.dims[0] = n;
        nd_tensor *t = nd_tensor_zeros(a->tensor->dtype, shape);
        if (nd_tensor_status(t) == ND_OK)
            nd__dataset_gather(a, rows, n, t->data);
        nd_dataset_add(part, a->name, t);
        nd_tensor_destroy(t);
    }
}

void nd_dataset_split(const nd_dataset *dataset, int64_t parts, uint64_t seed, nd_dataset **train, nd_dataset **held)
{
    *train = nd_dataset_create();
    *held = nd_dataset_create();
    nd_dataset *both[] = {*train, *held};
    nd_status status = nd_dataset_status(dataset);
    int64_t n = nd_dataset_rows(dataset), back = parts > 0 ? n / parts : 0;
    int64_t *order = status == ND_OK ? calloc((size_t)n + 1, sizeof *order) : NULL;
    for (int i = 0; i < 2; i++) {
        if (status != ND_OK)
            nd__dataset_fail(both[i], status, "%s", nd_dataset_error(dataset));
        else if (parts < 1)
            nd__dataset_fail(both[i], ND_ERR_ARGUMENT, "one row of %lld cannot be held back", (long long)parts);
        else if (n > 0 && (back == 0 || back == n))
            nd__dataset_fail(both[i], ND_ERR_ARGUMENT, "one row of %lld held back leaves a part of %lld rows empty",
                             (long long)parts, (long long)n);
        else if (!order)
            nd__dataset_fail(both[i], ND_ERR_MEMORY, "out of memory for the order of %lld rows", (long long)n);
    }
    if (order) {
        nd__shuffle(order, n, seed, 0);
        take_rows(*train, dataset, order, n - back);
        take_rows(*held, dataset, order + n - back, back);
    }
    free(order);
}

nd_status nd_dataset_check_labels(nd_dataset *dataset, const char *name, int64_t classes)
{
    if (nd_dataset_status(dataset) != ND_OK)
        return nd_dataset_status(dataset);
    if (classes < 1)
        return nd__message_set(&dataset->message, ND_ERR_ARGUMENT,
                               "the labels \"%s\": %lld classes, expected at least 1", name ? name : "",
                               (long long)classes);
    const nd_tensor *t = nd_dataset_array(dataset, name);
    if (!t)
        return nd__message_set(&dataset->message, ND_ERR_ARGUMENT, "there is no array \"%s\"", name ? name : "(null)");
    if (!nd_dtype_is_integer(t->dtype))
        return nd__message_set(&dataset->message, ND_ERR_ARGUMENT, "the labels \"%s\" are %s, not integers", name,
                               nd_dtype_name(t->dtype));
    for (int64_t i = 0; i < t->count; i++) {
        int64_t label = nd_tensor_get_i64(t, i);
        if (label < 0 || label >= classes)
            return nd__message_set(&dataset->message, ND_ERR_DATA,
                                   "the labels \"%s\": row %lld has %lld, but %lld classes are 0 to %lld", name,
                                   (long long)(i / (t->count / t->shape.dims[0])), (long long)label, (long long)classes,
                                   (long long)classes - 1);
    }
    return ND_OK;
}
