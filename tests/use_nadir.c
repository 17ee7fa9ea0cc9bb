/* What a program that links the installed libnadir may look like: tests/install builds and runs it. */
#include <nadir/compile.h>
#include <nadir/graph.h>

#include <stdio.h>

int main(void)
{
    nd_module *m = nd_module_create("use");
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(3)), *y = nd_sum(nd_mul(x, x), ND_ALL_AXES, false);
    nd_function(m, "f", ND_VALUES(x), ND_VALUES(y, nd_gradient(y, x)));
    nd_program *p = nd_compile(m, NULL);
    if (nd_program_status(p) != ND_OK)
        return fprintf(stderr, "%s\n", nd_program_error(p)), 1;

    nd_tensor *in = nd_tensor_of(ND_F32, ND_SHAPE(3), (float[]){1, 2, 3});
    nd_tensor *value = nd_tensor_zeros(ND_F32, ND_SCALAR), *gradient = nd_tensor_zeros(ND_F32, ND_SHAPE(3));
    nd_call *call = nd_bind(p, "f", NULL, ND_IN(in), ND_OUT(value, gradient));
    const nd_status status = nd_run(call);
    nd_tensor_print(value, stdout);
    nd_tensor_print(gradient, stdout);
    const bool right = status == ND_OK && nd_tensor_get(value, 0) == 14 && nd_tensor_get(gradient, 2) == 6;

    nd_call_destroy(call);
    nd_tensor_destroy(gradient);
    nd_tensor_destroy(value);
    nd_tensor_destroy(in);
    nd_program_destroy(p);
    nd_module_destroy(m);
    return !right;
}
