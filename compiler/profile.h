/* What each step of a function costs, measured while the function runs. */
#ifndef NADIR_COMPILER_PROFILE_H
#define NADIR_COMPILER_PROFILE_H

#include "compiler/graph/arena.h"
#include "nadir/compile.h"
#include "runtime/message.h"

/* A step of the plan: a kernel, or a loop or branch with what is in it. */
typedef struct nd__profile_row {
    const char *label, *kernel; /* kernel: "" for loops and branches */
    const char *choice;         /* "8 chunks, lanes=columns rows=4 ..": "" where there was none */
    double median, p10;         /* seconds of one run */
    int64_t flops, bytes;       /* of one run */
    double cycles;              /* that it should take (schedule/cost.h) */
} nd__profile_row;

/* Compiles every step of a function as an entry of its own and runs them one after another, many times for about
 * `seconds`, on state (with values for all variables), inputs and outputs as nd_bind takes them. The rows lie in
 * `arena`. Statuses and messages as nd_compile; ND_ERR_ARGUMENT: no function of that name. */
nd_status nd__profile(nd_module *module, const nd_compile_options *options, const char *function, void *state,
                      const void *const *in, void *const *out, double seconds, nd__arena *arena, nd__profile_row **rows,
                      int *count, nd__message *message);

#endif
