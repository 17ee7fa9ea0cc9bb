/* The schedule: from an entry function's graph to its plan (plan.h). */
#ifndef NADIR_SCHEDULE_SCHEDULE_H
#define NADIR_SCHEDULE_SCHEDULE_H

#include "compiler/graph/graph.h"
#include "compiler/schedule/plan.h"

#include <stdio.h>

/* -- schedule.c ---------------------------------------------------------------------------------------------------- */

/* The plan of one function of a bound module in canonical form (canonical.h). It names constants of the module, which
 * must outlive it. NULL: memory ran out, or an invariant broke: m has the error. */
nd__plan *nd__schedule(nd_module *m, const nd_function *f, const nd__target *target, const size_t *state_offsets);

/* -- plan.c ------------------------------------------------------------------------------------------------------- */

/* An empty plan in an arena of its own, which owns everything of it. `name`, the function's, is copied. NULL when
 * memory runs out. */
nd__plan *nd__plan_create(const char *name);
/* Also what lies in its arena. NULL is accepted. */
void nd__plan_destroy(nd__plan *plan);
/* Whether a step among them runs in chunks. */
bool nd__steps_have_chunks(const nd__steps *steps);
/* Adds the flops and bytes of a step that runs that many times: loops count as often as they turn, of a branch the
 * costlier side. */
void nd__plan_count(const nd__plan *plan, const nd__step *step, int64_t times, int64_t *flops, int64_t *bytes);

/* -- memory.c ----------------------------------------------------------------------------------------------------- */

/* Where every buffer of the arena lies: numbers the steps in order of execution, then sets `first`, `last` and `offset`
 * of the buffers in the arena, and the plan's `arena_size` and `lower_bound`. Runs once, when all steps are there.
 * false when memory runs out or a size overflows. */
bool nd__plan_memory(nd__plan *plan);

/* -- plan_print.c ------------------------------------------------------------------------------------------------- */

/* The plan for people: steps, the arena's map, constants, state variables, totals; with `kernels`, also each kernel's
 * body. */
void nd__plan_print(const nd__plan *plan, bool kernels, FILE *out);

#endif
