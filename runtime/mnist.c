/* MNIST from the four files that it comes in. */
#include "nadir/data.h"

#include "runtime/dataset.h"
#include "runtime/platform.h"
#include "runtime/text.h"

/* Adds one file's array, packed or not. */
static void add_file(nd_dataset *dataset, const char *name, const char *folder, const char *file)
{
    nd__text path = {0};
    nd__text_add(&path, "%s/%s", folder, file);
    if (!path.failed && !nd__platform_exists(path.data))
        nd__text_add(&path, ".gz");
    if (path.failed)
        nd__dataset_fail(dataset, ND_ERR_MEMORY, "%s: out of memory", file);
    else {
        nd_tensor *array = nd_idx_read(path.data);
        nd_dataset_add(dataset, name, array);
        nd_tensor_destroy(array);
    }
    nd__text_release(&path);
}

nd_dataset *nd_dataset_mnist(const char *folder, bool held)
{
    nd_dataset *dataset = nd_dataset_create();
    if (!folder)
        nd__dataset_fail(dataset, ND_ERR_ARGUMENT, "the folder is NULL");
    else {
        add_file(dataset, "x", folder, held ? "t10k-images-idx3-ubyte" : "train-images-idx3-ubyte");
        add_file(dataset, "y", folder, held ? "t10k-labels-idx1-ubyte" : "train-labels-idx1-ubyte");
    }
    return dataset;
}
