/* The same for libnadir-runtime alone. */
#include <nadir/program.h>
#include <nadir/tensor.h>

#include <stdio.h>

int main(void)
{
    nd_tensor *matrix = nd_tensor_of(ND_F64, ND_SHAPE(2, 3), (double[]){1, 2, 3, 4, 5, 6});
    nd_tensor *column = nd_tensor_at(matrix, ":, 2");
    nd_tensor_print(column, stdout);
    const bool right = nd_tensor_status(column) == ND_OK && nd_tensor_get(column, 1) == 6;
    nd_tensor_destroy(column);
    nd_tensor_destroy(matrix);
    return !right;
}
