/* Plans around kernels, and what they mean: kernels by the evaluator, loops and branches as they stand.
 *
 *     nd__plan *p = kplan_create(&arena, "step");
 *     int x = kplan_buffer(p, ND__IN_INPUT, ND_F32, 6, 0), y = kplan_buffer(p, ND__IN_OUTPUT, ND_F32, 6, 0);
 *     nd__steps *body = &kplan_step(p, &p->steps, ND__STEP_LOOP)->body;        and its length
 *     kplan_run(p, body, k, (nd__karg[]){{.buffer = x, .stride = {1}}, {.buffer = y, .stride = {1}}});
 *
 * Memory does not run out here: a test that cannot have it stops. */
#ifndef TESTS_KPLAN_H
#define TESTS_KPLAN_H

#include "compiler/schedule/plan.h"

nd__plan *kplan_create(nd__arena *arena, const char *name);
/* `at`: the number of the input or output, bytes in the state or the arena (whose size grows to hold it). */
int kplan_buffer(nd__plan *plan, nd__where where, nd_dtype dtype, int64_t elems, int64_t at);
int kplan_constant(nd__plan *plan, nd_dtype dtype, int64_t elems, const void *data);
/* A step at the end; where it is until the next one of the same steps is made. */
nd__step *kplan_step(nd__plan *plan, nd__steps *steps, nd__step_kind kind);
/* A step that runs k, one argument for each of its buffers but tables. */
void kplan_run(nd__plan *plan, nd__steps *steps, nd__kernel *k, const nd__karg *args);
/* The same on buffers of its own: inputs, outputs (also what is read and written), scratch in the arena. */
void kplan_run_alone(nd__plan *plan, nd__kernel *k);
/* The plan named "step" of that kernel alone. */
nd__plan *kplan_of(nd__arena *arena, nd__kernel *k);

/* Runs a plan. NULL, or the evaluator's message in `message`. */
const char *kplan_eval(const nd__plan *plan, void *state, void *arena, const void *const *in, void *const *out,
                       char *message, size_t size);

#endif
