/* A module bound, passed, scheduled: what becomes a program, files, a listing, a profile. */
#ifndef NADIR_COMPILER_LOWERED_H
#define NADIR_COMPILER_LOWERED_H

#include "compiler/llvm/llvm.h"
#include "compiler/schedule/schedule.h"
#include "nadir/compile.h"
#include "runtime/message.h"

enum { ND__MESSAGE = 512 }; /* bytes of a message from where there are no handles */

/* The functions of a module, lowered for a processor. */
typedef struct nd__lowered {
    nd_module *m; /* whose constants the plans name */
    nd__target target;
    nd__plan **plans;
    int count;
    int *functions;      /* by plan: the number of its function (nd__entry_point) */
    nd__choices choices; /* measured before, or now; the target names them */
} nd__lowered;

/* The dimension of that name, of n bytes; -1: none. */
int nd__find_dim(const nd_module *m, const char *name, size_t n);
/* The number of each dimension: what `text` ("B=17,T=64"; may be NULL) binds, else the dimension's own. */
nd_status nd__bind_dimensions(const nd_module *m, const char *text, int64_t *bound, nd__message *message);

/* What is wrong with the copy of a caller's module, such as an input that a function does not list. */
nd_status nd__check_copy(nd_module *m, nd__message *message);
/* Passes and schedules of a bound module, which it takes, but for the function named `without` (may be NULL). On
 * failure there is nothing to release. */
nd_status nd__lower(nd__lowered *l, nd_module *m, const nd_compile_options *options, const char *without,
                    nd_compile_times *times, nd__message *message);
/* The plans of the functions for l->target, and none any more. On failure the module may be gone. */
nd_status nd__lower_functions(nd__lowered *l, const char *without, nd__message *message);
void nd__lowered_drop_plans(nd__lowered *l);
/* The same of a caller's module, "init" included, which stays as it is. */
nd_status nd__lower_module(nd__lowered *l, nd_module *module, const nd_compile_options *options, nd__message *message);
void nd__lowered_release(nd__lowered *l);
/* Writes what the options want to see: kernels, LLVM's text. */
nd_status nd__lowered_show(const nd__lowered *l, const nd_compile_options *options, nd__message *message);
/* The plans as the back end takes them. */
static inline const nd__plan *const *nd__lowered_plans(const nd__lowered *l)
{
    return (const nd__plan *const *)l->plans;
}

/* The error of a module (NULL: memory ran out), which goes. */
nd_status nd__take_error(nd_module *m, nd__message *message);
nd_status nd__no_memory(nd__message *message);
double nd__milliseconds(void);
/* Copies the message into a caller's buffer, which may be NULL, and clears it. */
void nd__message_out(nd__message *message, char *text, size_t size);

#endif
