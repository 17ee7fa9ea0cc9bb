#ifndef TESTS_MATMUL_KERNEL_H
#define TESTS_MATMUL_KERNEL_H

#include "compiler/kernel/kernel.h"

/* h[2,16] = relu(x[2,3] w[3,16] + b[16]): arguments x, w, b, h; both rows at once, eight columns in the lanes. It fails
 * as a builder does. */
nd__kernel *matmul_kernel(nd__arena *arena, const char *name);

#endif
