/* What the files of the interpreter share: one definition for each op, functions ready to run, and loops over strided
 * elements. */
#ifndef NADIR_INTERP_DEFINITIONS_H
#define NADIR_INTERP_DEFINITIONS_H

#include "compiler/interp/interp.h"

/* The definition of each op, by its name: an op of the list without one does not link. As nd__interpret_node. */
#define OP(name, ...) nd_status nd__interpret_##name(const nd__node *node, const void *const *in, void *const *out);
#include "compiler/graph/ops.def"
#undef OP

/* The dtypes by class, for X(dtype, C type, bits or suffix). */
#define ND__INTEGERS(X) X(ND_U8, uint8_t) X(ND_I32, int32_t) X(ND_U32, uint32_t) X(ND_I64, int64_t)
#define ND__FLOATS(X)   X(ND_F32, float) X(ND_F64, double)

/* -- functions (interp.c) ---------------------------------------------------------------------------------------- */

/* What a function runs, found once: the nodes that its outputs and updates need, in order, and a slot for each of their
 * results. */
typedef struct nd__routine {
    const nd_function *function;
    int node_count, slot_count;
    const nd__node **nodes;
    int *first_slot; /* by node number of the module: where its results begin */
    int *last_use; /* by slot: the node (among `nodes`) after which nothing reads it; node_count: an output or update */
} nd__routine;

/* false: memory ran out, nothing to release. */
bool nd__routine_prepare(nd__routine *r, const nd_function *f);
void nd__routine_release(nd__routine *r);
/* As nd__interpret; any number of threads may run one routine. When it fails, nothing was written to `updated`. */
nd_status nd__routine_run(const nd__routine *r, const void *const *in, void *const *out, void *const *variables,
                          void *const *updated);

/* The parts of it, for whoever looks in between: `memory` by slot. What is given, and each node in turn; values go
 * after their last use, and what is left in the end. */
int nd__routine_slot(const nd__routine *r, const nd_value *v);
void nd__routine_inputs(const nd__routine *r, const void *const *in, void **memory);
nd_status nd__routine_node(const nd__routine *r, int n, void **memory, void *const *variables);
void nd__routine_forget(const nd__routine *r, void **memory);

/* Bytes of a value; SIZE_MAX where that overflows. */
size_t nd__value_bytes(const nd_value *v);
/* Memory for a value, also for one without elements; NULL when memory runs out. */
void *nd__value_allocate(const nd_value *v);

/* -- elements at strides (views.c) --------------------------------------------------------------------------------- */

/* Row-major strides, in elements. */
void nd__row_major(const nd_shape *shape, int64_t *strides);
/* Copies shape's elements of `size` bytes: element (i0, i1, ..) from `from` + sum i * from_strides to `to` + sum i *
 * to_strides; strides count elements. */
void nd__copy_strided(size_t size, const nd_shape *shape, const void *from, const int64_t *from_strides, void *to,
                      const int64_t *to_strides);
/* Sets n elements of `size` bytes to the one at `value`. */
void nd__fill(void *to, int64_t n, const void *value, size_t size);

#endif
