/* Random graphs of one op each, for loops over ops.def: interpreter against references, compiled code against the
 * interpreter. */
#ifndef TESTS_RANDOM_OP_H
#define TESTS_RANDOM_OP_H

#include "compiler/graph/graph.h"

/* The same numbers on every machine (splitmix64): the state is the seed, to be printed when a test fails. */
uint64_t random_next(uint64_t *state);
/* A number from 0 to n - 1. */
int64_t random_below(uint64_t *state, int64_t n);

/* Whether the op can be made with this dtype: that of its (first number) operand, or of the result of an op without
 * operands. False for input and variable, which are part of every function. */
bool random_op_takes(nd__op op, nd_dtype dtype);

/* A function "f" of `m`, the outputs of which are all results of one node of that op: random shapes of rank 0 to 4,
 * also with sizes 0 and 1, random attributes; operands are inputs, or slices with negative steps, broadcasts and
 * transposes of inputs. The node is f->outputs[0]->node. The module is fresh and must not have failed afterwards. */
nd_function *random_op(nd_module *m, nd__op op, nd_dtype dtype, uint64_t *state);

/* Random elements for an input: small numbers, some of them equal, and where `special` also zeros of both signs,
 * infinities, NaN, subnormals, the ends of the integers' ranges. Inputs named "index" are mostly rows that exist. */
void random_fill(const nd_value *input, void *elements, bool special, uint64_t *state);

#endif
