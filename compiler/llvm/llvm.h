/* Plans to machine code. The rest of the compiler sees this header only; LLVM's own stay in this folder.
 *
 *     nd__target target;
 *     nd__target_find("native", &target, message, sizeof message);     what the scheduler asks of the processor
 *     ... plans scheduled for that target ...
 *     nd__native_compile(plans, n, &target, &native, message, sizeof message);
 *     nd__native_entry(native, 0)(state, arena, in, out);
 *
 * Nothing here decides: a kernel is written down instruction by instruction, a plan call by call. The bits are those of
 * the kernel evaluator on every target.
 *
 * Errors: functions return a status and leave a text of at most `size` bytes in `message` (untouched on success).
 * Threads: different calls may run at the same time; plans are only read. LLVM itself aborts when it runs out of memory
 * while it generates code: that is beyond us. */
#ifndef NADIR_LLVM_LLVM_H
#define NADIR_LLVM_LLVM_H

#include "compiler/schedule/plan.h"
#include "nadir/program.h"

#include <stdio.h>

/* -- processors (target.c) ------------------------------------------------------------------------------------------
 */

/* The description of a processor by name: "native" (or NULL: this machine), a level "x86-64", "x86-64-v2", "x86-64-v3",
 * "x86-64-v4", or a processor that nd__target_names lists: the instructions of its level, tuned for it. target->cpu is
 * a string of ours that lives forever. ND_ERR_TARGET: the message lists what is accepted. */
nd_status nd__target_find(const char *cpu, nd__target *target, char *message, size_t size);
/* The i-th accepted name, NULL past the last. */
const char *nd__target_names(int i);
/* What the processor is called: of "native", this machine's own name. */
void nd__target_processor(const nd__target *target, char *name, size_t size);
/* The level whose instructions it has, 1 .. 4; for "native" what this machine has at least. */
int nd__target_level(const nd__target *target);
/* Whether this machine has the instructions of that target (by its cpu). */
bool nd__target_runs_here(const nd__target *target);

/* -- in memory, to be run (jit.c) -------------------------------------------------------------------------------------
 */

typedef struct nd__native nd__native;

/* The machine code of n plans, in this process. The plans may be destroyed afterwards: constants are copied.
 * ND_ERR_TARGET: this machine cannot run the target's code. On an error *native is NULL. */
nd_status nd__native_compile(const nd__plan *const *plans, int n, const nd__target *target, nd__native **native,
                             char *message, size_t size);
/* The function of plans[index]. State and arena must be aligned to 64 bytes, inputs and outputs to their element's
 * size; the floating-point control word must be the default (round to nearest, no flush to zero). Any number of threads
 * may be inside. */
nd_entry nd__native_entry(const nd__native *native, int index);
/* The same with chunks handed out to threads; NULL: the plan has none. Its arena has worker_size more bytes for each
 * worker after the first. */
nd_parallel_entry nd__native_parallel(const nd__native *native, int index);
/* Bytes of machine code, without constants. */
int64_t nd__native_code_bytes(const nd__native *native);
/* The milliseconds of compiling that went into loading the code. */
double nd__native_load_time(const nd__native *native);
/* Releases the code; no thread may be inside. NULL is accepted. */
void nd__native_destroy(nd__native *native);

/* -- ahead of time (object.c) ------------------------------------------------------------------------------------- */

/* The plans of a module for one processor. */
typedef struct nd__variant {
    const nd__target *target;
    const nd__plan *const *plans;
} nd__variant;
enum { ND__MAX_VARIANTS = 4 }; /* one for each level */

/* Whether plan p can hand out chunks for any of the processors. */
bool nd__has_chunks(const nd__variant *variants, int variant_count, int p);

/* The object file for n plans, position independent, in memory from malloc. Of several variants, by rising level, a
 * function runs the last that the processor has, the first otherwise. For a plan named "step" and the prefix
 * "mlp" it exports void mlp_step_entry(void *state, void *arena, const void *const *in, void *const *out);    an
 * nd_entry void mlp_step(void *state, void *arena, in0, .., out0, ..);                                 pointers one by
 * one and for "init" (one u32[2] input, the seed) void mlp_init(void *state, void *arena, uint64_t seed); It needs no
 * symbol but memcpy and memset. Names become C's by nd__c_symbols, whose errors it gives. */
nd_status nd__object_bytes(const nd__variant *variants, int variant_count, int n, const char *prefix, void **bytes,
                           size_t *count, char *message, size_t size);
/* The same into a file, written aside and renamed. ND_ERR_IO when the file cannot be written. */
nd_status nd__object_write(const nd__variant *variants, int variant_count, int n, const char *prefix, const char *path,
                           char *message, size_t size);

/* What to print of the module made of n plans. */
typedef enum nd__listing {
    ND__LIST_IR,       /* LLVM's text as we emit it */
    ND__LIST_ASSEMBLY, /* the target's assembly */
} nd__listing;
nd_status nd__native_print(const nd__plan *const *plans, int n, const nd__target *target, nd__listing what, FILE *out,
                           char *message, size_t size);

/* -- names in C (c_names.c; no LLVM) ------------------------------------------------------------------------------ */

/* PREFIX_NAME (or NAME, for a NULL prefix) with '_' for whatever a C identifier cannot have, and another one behind a
 * word of the language; NULL when memory runs out. */
char *nd__c_name(nd__arena *arena, const char *prefix, const char *name);
/* The symbols of functions of those names in an object and its header. ND_ERR_ARGUMENT: two would define the same
 * symbol, or one what the header defines itself. */
nd_status nd__c_symbols(nd__arena *arena, const char *prefix, int n, const char *const *names, char **symbols,
                        char *message, size_t size);

/* -- the header of an object (header.c; no LLVM) ----------------------------------------------------------------------
 */

/* Writes the C header that goes with nd__object_write: struct PREFIX_state with the variables as named fields,
 * PREFIX_ARENA_SIZE, the prototypes with their shapes, and, for a file that includes nadir/program.h before it, the
 * tables PREFIX_info that let the runtime drive the object. Functions and variables are those of `info` (plans[i] of a
 * variant is for info->functions[i]; plans may be NULL to leave flops and bytes out of the comments). Two variables
 * whose field names collide, or functions whose symbols do: ND_ERR_ARGUMENT. A write error is left to the caller:
 * ferror(out). */
nd_status nd__header_write(const nd_program_info *info, const nd__variant *variants, int variant_count,
                           const char *prefix, FILE *out, char *message, size_t size);

#endif
