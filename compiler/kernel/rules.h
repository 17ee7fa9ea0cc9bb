/* Which types an instruction takes and gives: asked by the builder for each instruction, by the verifier again. */
#ifndef NADIR_KERNEL_RULES_H
#define NADIR_KERNEL_RULES_H

#include "compiler/kernel/kernel.h"

/* A dtype that memory can hold, 1, 2, 4, .. ND__MAX_LANES lanes. */
bool nd__k_type_valid(nd__ktype type);
static inline bool nd__k_type_equal(nd__ktype a, nd__ktype b)
{
    return a.dtype == b.dtype && a.lanes == b.lanes;
}

/* The type of an op's result where it follows from its operands' (add to shr, trees, transposes, splats' and lanes'
 * dtype not): a comparison gives bools, a select what it chooses among, a tree a scalar, anything else its first
 * operand's type. */
nd__ktype nd__k_result_type(nd__kop op, const nd__ktype *args);

/* Whether the instruction's own fields fit together: numbers of operands and results, types, address, immediate.
 * Operands are numbers of values that exist. Not the bodies, which the verifier looks at. NULL, or what is wrong, a
 * text that lives forever. */
const char *nd__k_inst_error(const nd__kernel *k, const nd__kinst *inst);

#endif
