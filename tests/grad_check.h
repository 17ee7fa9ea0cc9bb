/* Checks gradients against finite differences in double precision. */
#ifndef TESTS_GRAD_CHECK_H
#define TESTS_GRAD_CHECK_H

#include "compiler/graph/graph.h"

/* Runs the function by the interpreter: in[i] and out[i] are doubles (or what the value's dtype says), state[i] the
 * memory of variable i. */
void grad_run(nd_function *f, const void *const *in, void *const *out, void *const *state);

/* The number of elements of a value without named dimensions. */
int grad_count(const nd_value *v);

/* Checks, of y = f(x...), at the given points (values[i], as many doubles as x[i] has elements; x[i] are inputs or
 * variables of f64):
 *  - the gradients under a random cotangent against central differences, element by element;
 *  - the gradients of a random combination of these gradients, likewise;
 *  - the Jacobian-vector product along random tangents against a difference along them, and against the gradients.
 * `what` is for messages. `first_only`: not the second derivatives. */
void grad_check(const char *what, nd_module *m, int n, nd_value **x, nd_value *y, double *const *values,
                bool first_only);

/* Reproducible numbers in [low, high). */
void grad_fill(double *to, int count, double low, double high, unsigned seed);

#endif
