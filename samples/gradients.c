/* Expressions, their values, their gradients, and gradients of gradients. */
#include "nadir/compile.h"
#include "nadir/graph.h"

#include <stdio.h>

/* Without inputs an expression has its value at once. */
static void at_once(nd_module *m)
{
    nd_value *a = nd_const_of(m, ND_I32, 32), *b = nd_const_of(m, ND_I32, 44);
    printf("a + b: ");
    nd_print(nd_add(a, b), stdout);

    nd_value *x = nd_const_of(m, ND_F32, 3), *square = nd_pow(x, nd_const(m, 2));
    printf("x^2: ");
    nd_print(square, stdout);
    printf("d(x^2)/dx: ");
    nd_print(nd_gradient(square, x), stdout);
}

/* With inputs it is a function, compiled once. Names are for people: here they label what is printed. */
static void function(nd_module *m)
{
    nd_value *a = nd_input(m, "a", ND_F32, ND_SCALAR), *b = nd_input(m, "b", ND_F32, ND_SCALAR);
    nd_value *e = nd_name(nd_mul(nd_add(a, b), nd_sub(b, nd_const(m, 1))), "e = (a + b)(b - 1)");

    nd_value *de[2];
    nd_gradients(e, 2, (nd_value *[]){a, b}, de); /* as many targets, and as many calls, as you like */
    nd_name(de[0], "de/da");
    nd_name(de[1], "de/db");
    nd_value *second = nd_name(nd_gradient(de[1], b), "d2e/db2");
    nd_function(m, "f", ND_VALUES(a, b), ND_VALUES(e, de[0], de[1], second));
}

static nd_status show(nd_program *p, float a, float b)
{
    enum { OUTPUTS = 4 };
    nd_tensor *in[2] = {nd_tensor_of(ND_F32, ND_SCALAR, &a), nd_tensor_of(ND_F32, ND_SCALAR, &b)};
    nd_tensor *out[OUTPUTS];
    for (int i = 0; i < OUTPUTS; i++)
        out[i] = nd_tensor_zeros(ND_F32, ND_SCALAR);

    nd_call *call = nd_bind(p, "f", NULL, ND_IN(in[0], in[1]), ND_OUT(out[0], out[1], out[2], out[3]));
    const nd_status status = nd_run(call); /* no call, and so an error, if anything before failed */
    printf("a = %g, b = %g\n", a, b);
    for (int i = 0; i < OUTPUTS && status == ND_OK; i++)
        printf("%20s: %g\n", nd_program_output(p, nd_program_function_index(p, "f"), i).name, nd_tensor_get(out[i], 0));

    nd_call_destroy(call);
    for (int i = 0; i < OUTPUTS; i++)
        nd_tensor_destroy(out[i]);
    nd_tensor_destroy(in[0]);
    nd_tensor_destroy(in[1]);
    return status;
}

int main(void)
{
    nd_module *m = nd_module_create("gradients");
    at_once(m);
    function(m);

    /* Whatever went wrong above, the module and then the program carry its message: one look is enough. */
    nd_program *p = nd_compile(m, NULL);
    nd_status status = show(p, 2, 5);
    if (status == ND_OK)
        status = show(p, -1, 0.5f);
    if (status != ND_OK)
        fprintf(stderr, "%s\n", nd_program_error(p));

    nd_program_destroy(p);
    nd_module_destroy(m);
    return status != ND_OK;
}
