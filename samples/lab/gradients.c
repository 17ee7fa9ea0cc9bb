/* Derivatives are graphs like any other: to be evaluated, compiled, or differentiated again. */
#include "lab.h"

#include "nadir/compile.h"

#include <stdio.h>

static bool print(const char *name, nd_value *value, double expected)
{
    nd_tensor *t = nd_evaluate(value);
    show(name, t);
    const bool same = nd_tensor_status(t) == ND_OK && nd_tensor_get(t, 0) == expected;
    nd_tensor_destroy(t);
    return same;
}

/* y = x^2 at 3. */
static bool square(nd_module *m)
{
    nd_value *x = nd_const_of(m, ND_F32, 3);
    nd_value *y = nd_pow(x, nd_const(m, 2));
    nd_value *slope = nd_gradient(y, x), *bend = nd_gradient(slope, x);
    bool all = print("x^2", y, 9);
    all &= expect(print("d(x^2)/dx", slope, 6), "the gradient of x^2 at 3 is 6");
    all &= expect(print("d2(x^2)/dx2", bend, 2), "and its own gradient is 2");
    return all;
}

/* A tape records what runs and is used up by the first gradient, unless it was asked to persist and so to keep all that
 * it recorded. A graph is no record: it says how e is computed and remains, whatever is derived from it. So there is
 * one kind only, gradients may be taken at any time, and compiling keeps of them what is needed. */
static bool several(nd_module *m)
{
    nd_value *a = nd_const_of(m, ND_F32, 2), *b = nd_const_of(m, ND_F32, 5);
    nd_value *e = nd_mul(nd_add(a, b), nd_sub(b, nd_const(m, 1))), *both[2];
    nd_gradients(e, 2, (nd_value *[]){a, b}, both); /* several at once, */
    nd_value *again = nd_gradient(e, a);            /* and again, */
    nd_value *c = nd_mul(e, e);                     /* and of more that grew on it */
    bool all = print("e = (a + b)(b - 1)", e, 28);
    all &= print("de/da", both[0], 4);
    all &= print("de/db", both[1], 11);
    all &= print("de/da again", again, 4);
    all &= print("d(e^2)/da", nd_gradient(c, a), 224);
    return expect(all, "as many gradients of one expression as one likes: b - 1, a + 2b - 1, 2e(b - 1)");
}

bool gradients(void)
{
    nd_module *m = nd_module_create("gradients");
    const bool one = square(m), all = several(m) && one;
    if (nd_module_status(m) != ND_OK)
        fprintf(stderr, "%s\n", nd_module_error(m));
    nd_module_destroy(m);
    return all;
}
