/* Runs a plan without machine code: every kernel by the evaluator, which checks each address against its buffer and
 * that nothing is read from an output or from scratch before it is written. */
#ifndef TESTS_PLAN_RUN_H
#define TESTS_PLAN_RUN_H

#include "compiler/schedule/plan.h"

#include <stddef.h>

/* `state` as the plan's offsets say; in[i] and out[i] by number. NULL, or what went wrong, in `message`. */
const char *plan_run(const nd__plan *plan, void *state, const void *const *in, void *const *out, char *message,
                     size_t size);

#endif
