/* The interpreter: the definition of every op, in plain loops over row-major arrays. */
#ifndef NADIR_INTERP_INTERP_H
#define NADIR_INTERP_INTERP_H

#include "compiler/graph/graph.h"
#include "nadir/program.h"

/* Runs one node: in[i] and out[i] are row-major arrays of the operands' and results' types (no named dimensions). Not for input and variable.
 * ND_ERR_MEMORY when memory runs out. Never reads or writes outside. */
nd_status nd__interpret_node(const nd__node *node, const void *const *in, void *const *out);

/* Runs a function: in[i] its inputs, out[i] memory for its outputs; variables[number] the variables' memory (read; may be NULL where none is
 * needed) and updated[number] where an update of that variable goes (may be the same memory: all reads see the old values). */
nd_status nd__interpret(const nd_function *f, const void *const *in, void *const *out, void *const *variables, void *const *updated);

/* The layout of a state block: offsets[number] of each variable, 64-byte aligned, in order of declaration; gives its size. */
size_t nd__state_layout(const nd_module *m, size_t *offsets);

/* A program that interprets the bound, verified module `m` (which it then owns). For nd_compile. */
nd_program *nd__interpreter(nd_module *m);

#endif
