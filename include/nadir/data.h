/* Data: files of tensors, and data sets that come in batches.
 *
 *     nd_tensor *y, *x = nd_csv_read("digits.csv.gz", &(nd_csv_options){.label_column = -1}, &y);
 *     nd_dataset *digits = nd_dataset_create(), *train, *held;
 *     nd_dataset_add(digits, "x", x);
 *     nd_dataset_add(digits, "y", y);
 *     nd_dataset_split(digits, 5, 1, &train, &held);
 *     if (nd_dataset_status(train) != ND_OK)
 *         fprintf(stderr, "%s\n", nd_dataset_error(train));
 *
 * Errors stick, as with tensors: a reader gives a failed tensor, which makes a failed data set, which nothing trains
 * on; the first message stays.
 *
 * Threads: a data set that nobody changes may be read by several threads. */
#ifndef NADIR_DATA_H
#define NADIR_DATA_H

#include "nadir/base.h"
#include "nadir/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* -- files of tensors --------------------------------------------------------------------------------------------- */

/* Reads NumPy's .npy (versions 1 to 3; either byte order; C or Fortran order, which is transposed; bool, u1, i4, u4,
 * i8, f4, f8). ND_ERR_IO: the file does not open; ND_ERR_PARSE: it is not .npy, is cut short, or holds something else;
 * the message has the file's name. */
ND_API nd_tensor *nd_npy_read(const char *path);
/* Writes the tensor (of any strides) as .npy version 1, C order, little-endian; aside and then renamed, so that an old
 * file stays whole when this fails. The message stays on the tensor. ND_ERR_ARGUMENT: a string. */
ND_API nd_status nd_npy_write(const char *path, nd_tensor *tensor);
/* Reads one array of NumPy's .npz, by its name as np.savez was given it; also from np.savez_compressed. As nd_npy_read,
 * and ND_ERR_ARGUMENT: there is no such array; the message lists those that there are. */
ND_API nd_tensor *nd_npz_read(const char *path, const char *name);
/* Writes tensors (of any strides) as .npz, not compressed; aside and then renamed. The same tensors give the same
 * bytes. The message stays on the first tensor. ND_ERR_ARGUMENT: a string, no tensors, a name that is NULL, empty, not
 * UTF-8 or there twice, more than 65535 tensors or 4 GB in all. */
ND_API nd_status nd_npz_write(const char *path, size_t count, const char *const *names, nd_tensor *const *tensors);
/* Reads the IDX files of MNIST and its kin, gzip or not; bytes, i32, f32 and f64. */
ND_API nd_tensor *nd_idx_read(const char *path);

typedef struct nd_csv_options {
    char
        separator; /* 0: what the first line has: a tab, else ';', else ',', else spaces. Several spaces count as one */
    int skip_lines;   /* lines to pass over before anything else */
    bool header;      /* the next line has the names of the columns: passed over, too */
    int label_column; /* the column of labels: 1 is the first, -1 the last, 0: there is none */
    nd_dtype dtype;   /* of the features: ND_F32 or ND_F64; 0: ND_F32 */
} nd_csv_options;

/* Reads a table of numbers, gzip or not: the features [rows, columns], and, where there is a label column, the labels
 * as i32[rows] in *labels (NULL: they are dropped). Empty lines do not count. `options` may be NULL. Without a label
 * column *labels is NULL. ND_ERR_PARSE: a field that is no number, a row that is shorter or longer than the first, no
 * rows; the message begins with "file:line:column:". Then both tensors carry it. */
ND_API nd_tensor *nd_csv_read(const char *path, const nd_csv_options *options, nd_tensor **labels);

/* -- data sets ---------------------------------------------------------------------------------------------------- */

/* Named arrays of the same leading size: row i of each belongs together. */
typedef struct nd_dataset nd_dataset;

/* Empty. NULL when memory runs out; every function takes NULL. */
ND_API nd_dataset *nd_dataset_create(void);
/* MNIST, or another set in files of the same names, from a folder: "x", bytes [rows, height, width], and "y", bytes
 * [rows], of train-images-idx3-ubyte and train-labels-idx1-ubyte, or (`held`) of t10k-images-idx3-ubyte and
 * t10k-labels-idx1-ubyte, each perhaps with ".gz". A failed data set with the message of nd_idx_read; NULL when memory
 * runs out. */
ND_API nd_dataset *nd_dataset_mnist(const char *folder, bool held);
ND_API void nd_dataset_destroy(nd_dataset *dataset);
/* ND_OK, or the first error. */
ND_API nd_status nd_dataset_status(const nd_dataset *dataset);
/* The first error, or the message of the last function that failed without failing the data set (it says so); "" if
 * none. */
ND_API const char *nd_dataset_error(const nd_dataset *dataset);
/* Adds an array of rank 1 or more; the data set keeps a view, so that `array` may be destroyed. An array that is not
 * contiguous is copied. ND_ERR_ARGUMENT: another number of rows than the first array, rank 0, a name twice. What fails
 * here fails the data set. */
ND_API nd_status nd_dataset_add(nd_dataset *dataset, const char *name, const nd_tensor *array);

/* Adds every array of a .npz file under its name, as above. */
ND_API nd_status nd_dataset_add_npz(nd_dataset *dataset, const char *path);

ND_API int64_t nd_dataset_rows(const nd_dataset *dataset);
ND_API int nd_dataset_array_count(const nd_dataset *dataset);
ND_API const char *nd_dataset_array_name(const nd_dataset *dataset, int array); /* "" if it is not there */
/* The array of that name, owned by the data set; NULL: none. */
ND_API nd_tensor *nd_dataset_array(const nd_dataset *dataset, const char *name);

/* Two data sets from one, the rows shuffled with `seed` (0: in order): one row of `parts` held back, the rest to train
 * on. A fifth is 5; the held-back part has rows / parts of them, and neither is empty. Copies. Both are set, failed
 * where this fails; NULL when memory runs out. */
ND_API void nd_dataset_split(const nd_dataset *dataset, int64_t parts, uint64_t seed, nd_dataset **train,
                             nd_dataset **held);
/* Looks whether an integer array holds only 0 .. classes-1: ND_ERR_DATA otherwise, with row, value and range in the
 * message. Does not fail the data set. */
ND_API nd_status nd_dataset_check_labels(nd_dataset *dataset, const char *name, int64_t classes);

/* -- batches ------------------------------------------------------------------------------------------------------ */

/* The rows of a data set, batch after batch, epoch after epoch. */
typedef struct nd_batches nd_batches;

/* Batches of `size` rows; the last one of an epoch has what is left. Each epoch has an order of its own, which depends
 * on (seed, epoch, rows) alone: Fisher and Yates' shuffle driven by SplitMix64; seed 0 keeps the order of the data set,
 * which must outlive the batches. NULL when that fails: a failed or empty data set, a size below 1 (message on the data
 * set), or no memory. */
ND_API nd_batches *nd_batches_create(nd_dataset *dataset, int64_t size, uint64_t seed);
ND_API void nd_batches_destroy(nd_batches *batches);
ND_API int64_t nd_batches_per_epoch(const nd_batches *batches);
/* Gathers batch number `step`, counted from 0 over all epochs, into the batch tensors. Gives its number of rows. */
ND_API int64_t nd_batches_go(nd_batches *batches, int64_t step);
/* The tensor that rows of that array are gathered into, for batches of `rows` rows: the size, or what is left for the
 * last. The same handle at each call, owned by the batches, so that it can be bound once. NULL: no such array, or no
 * batch of that size. */
ND_API nd_tensor *nd_batches_tensor(const nd_batches *batches, const char *name, int64_t rows);
/* The order of the rows in an epoch, as i64[rows]; NULL as above. For those who gather themselves. */
ND_API const int64_t *nd_batches_order(nd_batches *batches, int64_t epoch);

#ifdef __cplusplus
}
#endif
#endif
