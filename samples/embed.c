/* A host that compiles what its user types: a formula of x becomes native code, and so does its derivative.
 *     embed "exp(-x / 4) * sin(3 * x)" */
#include "nadir/compile.h"
#include "nadir/graph.h"

#include <stdio.h>

enum { POINTS = 1 << 20, ROWS = 8 };
static float xs[POINTS], values[POINTS], slopes[POINTS]; /* the host's own memory: read and written in place */

int main(int argc, char **argv)
{
    const char *formula = argc > 1 ? argv[1] : "exp(-x / 4) * sin(3 * x)";
    nd_module *m = nd_module_create("embed");
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(POINTS));
    nd_value *y = nd_formula(m, formula);
    nd_function(m, "f", ND_VALUES(x), ND_VALUES(y, nd_gradient(nd_sum(y, ND_ALL_AXES, false), x)));

    for (int i = 0; i < POINTS; i++)
        xs[i] = (float)(8.0 * i / POINTS);
    nd_tensor *in = nd_tensor_borrow(ND_F32, ND_SHAPE(POINTS), xs);
    nd_tensor *out = nd_tensor_borrow(ND_F32, ND_SHAPE(POINTS), values);
    nd_tensor *slope = nd_tensor_borrow(ND_F32, ND_SHAPE(POINTS), slopes);

    nd_program *p = nd_compile(m, NULL);
    nd_call *f = nd_bind(p, "f", NULL, ND_IN(in), ND_OUT(out, slope));
    const nd_status status = nd_run(f);
    if (status != ND_OK)
        fprintf(stderr, "%s\n", f ? nd_call_error(f) : nd_program_error(p));
    else
        printf("f(x) = %s\n   x       f(x)      f'(x)\n", formula);
    for (int i = 0; i < POINTS && status == ND_OK; i += POINTS / ROWS)
        printf("%4g  %9.6f  %9.6f\n", xs[i], values[i], slopes[i]);

    nd_call_destroy(f);
    nd_program_destroy(p);
    nd_module_destroy(m);
    nd_tensor_destroy(in);
    nd_tensor_destroy(out);
    nd_tensor_destroy(slope);
    return status != ND_OK;
}
