/* Schedules against the interpreter: the kernels run in the evaluator, which checks every address. */
#ifndef TESTS_SCHEDULE_CHECK_H
#define TESTS_SCHEDULE_CHECK_H

#include "compiler/graph/graph.h"
#include "compiler/schedule/plan.h"

/* Fails the running Check test unless every entry point of a bound module gives the interpreter's bits when it is
 * scheduled, for each of four processors, on random elements, special ones among them; and unless the plans are right
 * (plan_check.h). `passes`: after all passes. */
void schedule_check(const char *what, nd_module *m, bool passes, uint64_t *state);
/* How many kernels met so far run in chunks: on two of the four processors, all that can. */
int schedule_check_chunked(void);
/* The plan of the module's first entry point after all passes, for a processor with AVX-512; the module is destroyed.
 */
nd__plan *schedule_plan(nd_module *m);
/* The same, after schedule_check with passes and without. */
nd__plan *schedule_checked(const char *what, nd_module *m);

#endif
