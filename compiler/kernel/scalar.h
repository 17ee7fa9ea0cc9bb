/* What an arithmetic instruction of the kernel language does to one lane: the definition that evaluators, constant
 * folding and tests share.
 *
 * An element travels as the bits of its dtype in the low end of a uint64_t, zeros above: bool 0 or 1, an i32 its 32
 * bits. The floating-point control word must be the default. Any thread. */
#ifndef NADIR_KERNEL_SCALAR_H
#define NADIR_KERNEL_SCALAR_H

#include "compiler/kernel/kernel.h"

/* An op of kops.def from add to shr on elements of `dtype` (a select: a is the bool, b and c are of that dtype);
 * operands that the op does not have are not looked at. Comparisons give 0 or 1. An op that the dtype does not have
 * gives 0: nd__k_inst_error knows. */
uint64_t nd__scalar_op(nd__kop op, nd_dtype dtype, uint64_t a, uint64_t b, uint64_t c);
/* The instruction convert. */
uint64_t nd__scalar_convert(nd_dtype from, nd_dtype to, uint64_t x);

/* Between elements in memory and their bits; a bool in memory is any byte, other than 0 is true. */
uint64_t nd__scalar_load(nd_dtype dtype, const void *element);
void nd__scalar_store(nd_dtype dtype, void *element, uint64_t bits);

#endif
