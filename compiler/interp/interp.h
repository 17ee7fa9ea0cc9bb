/* The interpreter: the definition of every op, in plain loops over row-major arrays. */
#ifndef NADIR_INTERP_INTERP_H
#define NADIR_INTERP_INTERP_H

#include "compiler/graph/graph.h"
#include "nadir/program.h"

/* Runs one node: in[i] and out[i] are row-major arrays of the operands' and results' types (no named dimensions), of
 * which none overlap. Not for input and variable. ND_ERR_MEMORY when memory runs out. Never reads or writes outside. */
nd_status nd__interpret_node(const nd__node *node, const void *const *in, void *const *out);

/* Runs a function: in[i] its inputs, out[i] memory for its outputs; variables[number] the variables' memory (read; may
 * be NULL where none is needed) and updated[number] where an update of that variable goes (may be the same memory: all
 * reads see the old values). Outputs overlap nothing else. When it fails, nothing was written to `out` or `updated`. */
nd_status nd__interpret(const nd_function *f, const void *const *in, void *const *out, void *const *variables,
                        void *const *updated);

/* Says which node made the first number that is not finite: of those that lead to output 0, or else to an update, or to
 * another output. `in` and `variables` as above; nothing is written to them. Keeps all values of a run at a time.
 * *text: lines for free(), without a newline at the end; NULL: all results are finite, or memory ran out. */
nd_status nd__explain(const nd_function *f, const void *const *in, void *const *variables, char **text);

/* One block of Philox4x32-10. */
void nd__philox(const uint32_t counter[4], const uint32_t key[2], uint32_t word[4]);

/* The layout of a state block: offsets[number] of each variable, 64-byte aligned, in order of declaration; gives its
 * size (one that no allocation can have where it overflows). */
size_t nd__state_layout(const nd_module *m, size_t *offsets);

/* The functions that the host can call, in order: those that are no bodies. NULL past the last one. */
const nd_function *nd__entry_point(const nd_module *m, int index);

/* Fills the tables of functions and variables, the state's size and the seed of a bound module's description, for any
 * back end. The tables lie in `arena` and do not need the module; arena_size and entry stay 0. Function i is
 * nd__entry_point(m, i). False: memory ran out. */
bool nd__program_tables(nd_module *m, nd__arena *arena, nd_program_info *info);

/* The description of a program that interprets the bound, verified module `m`, which it then owns (`info->destroy`
 * releases it); `specialize` is left NULL for the caller. Makes "init". False: memory ran out, and `m` is destroyed. */
bool nd__interpreter_info(nd_module *m, nd_program_info *info);

/* The program of that description: it cannot specialise. A failed program for a failed module; NULL when memory runs
 * out. Owns `m` in any case. */
nd_program *nd__interpreter(nd_module *m);

#endif
