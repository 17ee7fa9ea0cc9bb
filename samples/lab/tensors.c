/* Tensors of every rank, and their parts. */
#include "lab.h"

#include <stdio.h>

static bool has_shape(const nd_tensor *t, nd_shape expected)
{
    bool same = nd_tensor_rank(t) == expected.rank;
    for (int axis = 0; same && axis < expected.rank; axis++)
        same = nd_tensor_dim(t, axis) == expected.dims[axis];
    return same;
}

static bool ranks_and_shapes(void)
{
    nd_tensor *sport = nd_tensor_string("Tennis"); /* strings stay on the host */
    nd_tensor *number = nd_tensor_of(ND_F64, ND_SCALAR, (double[]){1.41421356237});
    nd_tensor *numbers = nd_tensor_of(ND_F64, ND_SHAPE(3), (double[]){3.141, 1.414, 2.718});
    nd_tensor *matrix = nd_tensor_of(ND_F64, ND_SHAPE(2, 3), (double[]){1, 2, 3, 4, 5, 6});
    nd_tensor *flat = nd_tensor_of(ND_F32, ND_SHAPE(1, 2), (float[]){1, 2}); /* a flat list, and the shape it gets */
    nd_tensor *images = nd_tensor_zeros(ND_F32, ND_SHAPE(10, 256, 256, 3));
    show("sport", sport);
    show("number", number);
    show("numbers", numbers);
    show("matrix", matrix);
    show("flat", flat);
    printf("  images: %d axes, %lld elements\n", nd_tensor_rank(images), (long long)nd_tensor_count(images));

    bool all = expect(has_shape(sport, ND_SCALAR) && has_shape(number, ND_SCALAR), "sport and number have rank 0");
    all &= expect(has_shape(numbers, ND_SHAPE(3)), "numbers has rank 1 and the shape (3)");
    all &= expect(has_shape(matrix, ND_SHAPE(2, 3)), "matrix has rank 2 and the shape (2, 3)");
    all &= expect(has_shape(flat, ND_SHAPE(1, 2)), "flat has the shape (1, 2)");
    all &= expect(has_shape(images, ND_SHAPE(10, 256, 256, 3)), "images has rank 4 and the shape (10, 256, 256, 3)");

    nd_tensor *made[] = {sport, number, numbers, matrix, flat, images};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++)
        nd_tensor_destroy(made[i]);
    return all;
}

/* Rows, columns and elements are views: they share the matrix's memory, and keep it. */
static bool parts(void)
{
    nd_tensor *matrix = nd_tensor_of(ND_F64, ND_SHAPE(2, 3), (double[]){1, 2, 3, 4, 5, 6});
    nd_tensor *row = nd_tensor_at(matrix, "1");
    nd_tensor *column = nd_tensor_at(matrix, ":, 2");
    nd_tensor *element = nd_tensor_at(matrix, "0, 1");
    nd_tensor *outside = nd_tensor_at(matrix, "0, 3");
    nd_tensor_destroy(matrix);
    show("matrix[1]", row);
    show("matrix[:, 2]", column);
    show("matrix[0, 1]", element);
    show("matrix[0, 3]", outside);

    bool all = expect(nd_tensor_get(row, 0) == 4 && nd_tensor_get(row, 2) == 6, "the row is [4 5 6]");
    all &= expect(nd_tensor_get(column, 0) == 3 && nd_tensor_get(column, 1) == 6, "the column is [3 6]");
    all &= expect(nd_tensor_rank(element) == 0 && nd_tensor_get(element, 0) == 2, "the element is 2, of rank 0");
    all &= expect(nd_tensor_status(outside) == ND_ERR_ARGUMENT, "a column that is not there is an error that says so");

    nd_tensor *made[] = {row, column, element, outside};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++)
        nd_tensor_destroy(made[i]);
    return all;
}

bool tensors(void)
{
    const bool shapes = ranks_and_shapes();
    return parts() && shapes;
}
