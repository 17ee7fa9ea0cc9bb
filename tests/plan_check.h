/* Whether a plan's memory can be right, found out without what compiler/schedule/memory.c knows: fails the running
 * Check test if not. */
#ifndef TESTS_PLAN_CHECK_H
#define TESTS_PLAN_CHECK_H

#include "compiler/schedule/plan.h"

/* After nd__plan_memory. Offsets within the arena, aligned; every use within first .. last; buffers that are alive at
 * once apart, unless a step says that they may share; the lower bound added up step by step. Then the plan runs a few
 * times, with conds decided by `state` (see random_next) and three iterations of each loop, on an arena that knows of
 * each cache line who wrote it last: whatever a step reads must still be there. */
void plan_check(const nd__plan *plan, uint64_t *state);

#endif
