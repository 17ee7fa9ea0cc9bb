/* What every op means, a second time: naive formulas over doubles and wide integers, with libm. Independent of the
 * interpreter, which is checked against it. */
#ifndef TESTS_REFERENCE_H
#define TESTS_REFERENCE_H

#include "compiler/graph/graph.h"

/* A value's elements, row-major. Floats are in `real` (an f32 rounded to one at the end of each op), the others in
 * `whole`. */
typedef struct reference_value {
    nd_dtype dtype;
    nd_shape shape;
    int64_t count;
    double *real;
    int64_t *whole;
    double *scale; /* floats: an error of the dtype's epsilon times this is what rounding inside the op explains */
} reference_value;

reference_value reference_from(const nd_value *v, const void *elements);
void reference_free(reference_value *v);

/* The outputs of a function without variables, on elements of its inputs; `out` is to be freed. */
void reference_run(const nd_function *f, const void *const *in, reference_value *out);

/* The first of `elements` (of the value's dtype) that is farther than tolerance * epsilon * scale from the reference,
 * -1: none. Tolerance 0 asks for equal bits (NaN apart), as integers do in any case. An infinite or NaN reference asks
 * for the same. */
int64_t reference_difference(const reference_value *v, const void *elements, double tolerance);

/* Element i converted to the value's dtype, for messages and comparisons. */
void reference_element(const reference_value *v, int64_t i, void *element);

#endif
