/* Compiled plans against the evaluator, bit by bit, for every processor level that this machine runs.
 *
 * Memory ends at a page that cannot be touched, then begins at one: what a plan has no business with stops the test. */
#ifndef TESTS_NATIVE_CHECK_H
#define TESTS_NATIVE_CHECK_H

#include "compiler/llvm/llvm.h"

/* The i-th of "x86-64", .., "x86-64-v4" that runs here; NULL past the last. */
const char *native_cpu(int i);

/* Fails the running Check test where a plan's outputs, state or arena differ. in[i]: the values of input i; NULL (also
 * for `in`): random ones, like everything that a plan finds in its outputs, state and arena, of that seed. */
#define native_check(plan, in, seed) native_check_at(__FILE__, __LINE__, plan, in, seed)
void native_check_at(const char *file, int line, const nd__plan *plan, const void *const *in, uint64_t seed);

/* The next number of a sequence, any state but 0 (xorshift64*: S. Vigna, "An experimental exploration of Marsaglia's
 * xorshift generators, scrambled"). */
uint64_t random_next(uint64_t *state);
/* A number below n. */
int random_below(uint64_t *state, int n);
/* The bits of an element: often one at the edges of its dtype (NaN, infinities, subnormals, -0, extremes, small ones).
 */
uint64_t random_bits(uint64_t *state, nd_dtype dtype);

/* The elements of a dtype that break things: their bits, how many. */
int special_bits(nd_dtype dtype, const uint64_t **bits);

#endif
