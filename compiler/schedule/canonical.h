/* The form of the graph that is scheduled: fewer shapes of the same ops, with the same bits. */
#ifndef NADIR_SCHEDULE_CANONICAL_H
#define NADIR_SCHEDULE_CANONICAL_H

#include "compiler/graph/graph.h"

/* A new module of a bound one that has not failed (as a pass: the old one stays the caller's, NULL when memory ran
 * out), in which
 *   - sum, reduce_max and reduce_min reduce exactly one axis, of two elements or more: the last one ("rows"), or
 * another one behind which there are two elements or more ("columns");
 *   - matmul has rank 2, or rank 3 with a batch of two or more, and sums over at least one element;
 *   - every operand and result of these has elements, and values without elements are constants (of no elements),
 * inputs, variables or results of control flow. The one axis of a reduction has the order of accumulation that the
 * whole reduction has along it: a row is one chain up to 64 elements and in lanes beyond, a column a chain in blocks of
 * 64 (doc/bits.md). An operand may have axes of size 1 besides. */
nd_module *nd__canonical(nd_module *m);

#endif
