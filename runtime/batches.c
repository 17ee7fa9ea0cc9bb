/* Batches: rows of a data set, gathered in a shuffled order into tensors that stay where they are. */
#include "runtime/dataset.h"
#include "runtime/shuffle.h"
#include "runtime/tensor.h"

#include <stdlib.h>
#include <string.h>

/* The two sizes that a batch can have. */
enum { FULL, LAST, SIZES };

struct nd_batches {
    nd_dataset *dataset;
    int count;           /* arrays of the data set when the batches were made; later ones are no part of them */
    int64_t size[SIZES]; /* 0: there is no batch of this size */
    int64_t per_epoch;
    uint64_t seed;
    int64_t epoch; /* that `order` is for; -1: none */
    int64_t *order;
    nd_tensor **tensors[SIZES]; /* one for each array */
};

static bool make_tensors(nd_batches *b, int kind)
{
    const nd_dataset *d = b->dataset;
    b->tensors[kind] = calloc((size_t)b->count + 1, sizeof **b->tensors);
    if (!b->tensors[kind])
        return false;
    for (int i = 0; b->size[kind] > 0 && i < b->count; i++) {
        nd_shape shape = d->arrays[i].tensor->shape;
        shape.dims[0] = b->size[kind];
        b->tensors[kind][i] = nd_tensor_zeros(d->arrays[i].tensor->dtype, shape);
        if (nd_tensor_status(b->tensors[kind][i]) != ND_OK)
            return false;
    }
    return true;
}

nd_batches *nd_batches_create(nd_dataset *dataset, int64_t size, uint64_t seed)
{
    if (nd_dataset_status(dataset) != ND_OK)
        return NULL;
    int64_t rows = dataset->rows;
    if (size < 1) {
        nd__message_set(&dataset->message, ND_ERR_ARGUMENT, "batches of %lld rows: a batch has at least 1",
                        (long long)size);
        return NULL;
    }
    if (rows == 0) {
        nd__message_set(&dataset->message, ND_ERR_DATA, "the data set has no rows");
        return NULL;
    }
    nd_batches *b = calloc(1, sizeof *b);
    if (b) {
        *b = (nd_batches){.dataset = dataset, .count = dataset->count, .seed = seed, .epoch = -1};
        b->size[FULL] = rows >= size ? size : 0;
        b->size[LAST] = rows % size;
        b->per_epoch = rows / size + (rows % size > 0);
        b->order = calloc((size_t)rows, sizeof *b->order);
        if (b->order && make_tensors(b, FULL) && make_tensors(b, LAST))
            return b;
        nd_batches_destroy(b);
    }
    nd__message_set(&dataset->message, ND_ERR_MEMORY, "out of memory for batches of %lld rows", (long long)size);
    return NULL;
}

void nd_batches_destroy(nd_batches *batches)
{
    if (!batches)
        return;
    for (int kind = 0; kind < SIZES; kind++) {
        for (int i = 0; batches->tensors[kind] && i < batches->count; i++)
            nd_tensor_destroy(batches->tensors[kind][i]);
        free(batches->tensors[kind]);
    }
    free(batches->order);
    free(batches);
}

int64_t nd_batches_per_epoch(const nd_batches *batches)
{
    return batches ? batches->per_epoch : 0;
}

const int64_t *nd_batches_order(nd_batches *batches, int64_t epoch)
{
    if (!batches || epoch < 0)
        return NULL;
    if (batches->epoch != epoch) {
        nd__shuffle(batches->order, batches->dataset->rows, batches->seed, (uint64_t)epoch);
        batches->epoch = epoch;
    }
    return batches->order;
}

int64_t nd_batches_go(nd_batches *batches, int64_t step)
{
    if (!batches || step < 0)
        return 0;
    const nd_dataset *d = batches->dataset;
    const int64_t *order = nd_batches_order(batches, step / batches->per_epoch);
    int64_t place = step % batches->per_epoch;
    int kind = place == batches->per_epoch - 1 && batches->size[LAST] > 0 ? LAST : FULL;
    int64_t rows = batches->size[kind], first = place * batches->size[FULL];
    for (int i = 0; i < batches->count; i++)
        nd__dataset_gather(&d->arrays[i], order + first, rows, batches->tensors[kind][i]->data);
    return rows;
}

nd_tensor *nd_batches_tensor(const nd_batches *batches, const char *name, int64_t rows)
{
    if (!batches || !name || rows < 1)
        return NULL;
    for (int kind = 0; kind < SIZES; kind++)
        for (int i = 0; batches->size[kind] == rows && i < batches->count; i++)
            if (strcmp(batches->dataset->arrays[i].name, name) == 0)
                return batches->tensors[kind][i];
    return NULL;
}
