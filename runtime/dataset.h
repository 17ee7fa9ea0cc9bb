/* What the files of the runtime know of data sets. */
#ifndef NADIR_RUNTIME_DATASET_H
#define NADIR_RUNTIME_DATASET_H

#include "nadir/data.h"
#include "runtime/message.h"

typedef struct nd__dataset_array {
    char *name;
    nd_tensor *tensor; /* contiguous; [rows, ...] */
    size_t row_bytes;
} nd__dataset_array;

struct nd_dataset {
    nd_status status;    /* sticky */
    nd__message message; /* of the status, or of the last function that failed */
    int64_t rows;
    int count;
    nd__dataset_array *arrays;
};

/* Fails the data set, unless it failed before; gives its status. */
nd_status nd__dataset_fail(nd_dataset *dataset, nd_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Copies rows rows[0..n) of an array, one after the other. */
void nd__dataset_gather(const nd__dataset_array *array, const int64_t *rows, int64_t n, void *to);

#endif
