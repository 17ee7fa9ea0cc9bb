/* Random kernels that the verifier takes and the evaluator runs: any instruction, loops and branches in each other,
 * addresses inside their buffers. */
#ifndef TESTS_RANDOM_KERNEL_H
#define TESTS_RANDOM_KERNEL_H

#include "compiler/kernel/kernel.h"

/* The same seed, the same kernel. One buffer of each dtype that is read, one that is read and written. */
nd__kernel *random_kernel(nd__arena *arena, uint64_t seed);

#endif
