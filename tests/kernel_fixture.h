/* What suites begin and end with that build kernels by hand. */
#ifndef TESTS_KERNEL_FIXTURE_H
#define TESTS_KERNEL_FIXTURE_H

#include "compiler/kernel/kernel.h"

static nd__arena arena; /* the running test's */

static void begin(void)
{
    arena = (nd__arena){0};
}

static void end(void)
{
    nd__arena_release(&arena);
}

static inline nd__kernel *start(const char *name, nd__kbuilder *b)
{
    nd__kernel *k = nd__k_create(&arena, name);
    *b = nd__k_builder(k);
    return k;
}

#endif
