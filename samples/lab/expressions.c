/* Computations: at once where everything is known, as a function where something is given later. */
#include "lab.h"

#include "nadir/compile.h"

#include <stdio.h>

static bool is(nd_value *value, double expected)
{
    nd_tensor *t = nd_evaluate(value);
    const bool same = nd_tensor_status(t) == ND_OK && nd_tensor_get(t, 0) == expected;
    nd_tensor_destroy(t);
    return same;
}

/* a + b, written in three ways that make the same graph. */
static bool sums(void)
{
    nd_module *m = nd_module_create("sums");
    nd_value *a = nd_name(nd_const_of(m, ND_I32, 15), "a"), *b = nd_name(nd_const_of(m, ND_I32, 61), "b");
    nd_value *ways[] = {nd_add(a, b), nd_formula(m, "a + b"), add_by_operator(a, b)};
    static const char *const names[] = {"call", "formula", "operator"};
    bool all = true;
    for (int i = 0; i < 3; i++) {
        printf("  a + b by %s: ", names[i]);
        nd_print(ways[i], stdout);
        all &= is(ways[i], 76);
    }
    expect(all, "a + b is 76, three times");
    nd_module_destroy(m);
    return all;
}

/* The graph of the notes: c = a + b, d = b - 1, e = c * d. */
static void build(nd_module *m)
{
    nd_value *a = nd_input(m, "a", ND_F32, ND_SCALAR), *b = nd_input(m, "b", ND_F32, ND_SCALAR);
    nd_value *c = nd_add(a, b), *d = nd_sub(b, nd_const(m, 1));
    nd_value *e = nd_mul(c, d);
    nd_function(m, "func", ND_VALUES(a, b), ND_VALUES(e));
}

static bool function(void)
{
    nd_module *m = nd_module_create("function");
    build(m);
    nd_program *p = nd_compile(m, NULL); /* native code from here on */
    nd_tensor *a = nd_tensor_full(ND_F32, ND_SCALAR, 1.5), *b = nd_tensor_full(ND_F32, ND_SCALAR, 2.5),
              *e = nd_tensor_zeros(ND_F32, ND_SCALAR);
    nd_call *func = nd_bind(p, "func", NULL, ND_IN(a, b), ND_OUT(e));
    bool all = false;
    if (nd_run(func) == ND_OK) {
        show("func(1.5, 2.5)", e);
        all = expect(nd_tensor_get(e, 0) == 6, "(1.5 + 2.5) * (2.5 - 1) is 6");
    } else
        fprintf(stderr, "%s\n", nd_program_error(p));

    nd_call_destroy(func);
    nd_tensor_destroy(a);
    nd_tensor_destroy(b);
    nd_tensor_destroy(e);
    nd_program_destroy(p);
    nd_module_destroy(m);
    return all;
}

bool expressions(void)
{
    const bool summed = sums();
    return function() && summed;
}
