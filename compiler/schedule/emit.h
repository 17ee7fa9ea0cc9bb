/* Computing expressions inside loops: from expressions over a domain to instructions of the kernel language.
 *
 * An expression is computed once for each point of the axes that it depends on: before a loop over an axis is opened,
 * nd__hoist computes what depends on outer axes only, and what is computed inside is forgotten when the loop closes
 * (nd__memo_keep, nd__memo_restore), since it is not defined there. */
#ifndef NADIR_SCHEDULE_EMIT_H
#define NADIR_SCHEDULE_EMIT_H

#include "compiler/schedule/block.h"

typedef struct nd__emit {
    nd__space *s;
    nd__kbuilder b;
    const int32_t *buffers;      /* of the kernel, by parameter */
    nd__kaffine coord[ND__AXES]; /* of each axis; of lane 0 */
    int lane_axis;               /* the axis that lanes run along; -1: scalars */
    int lanes, count;            /* count: lanes that exist */
    nd__kval *memo;              /* by expression; -1: not computed here */
    int *stack;                  /* of nd__emit_expr */
    unsigned open;               /* the axes whose loops are open */
} nd__emit;

/* Begins the kernel of a space all of whose expressions and parameters are there. `what` names it. NULL-safe: sets
 * s->failed when memory runs out. */
nd__emit nd__emit_begin(nd__space *s, const char *what);
/* Ends it: appends a step that runs it, or an equal kernel that the plan has. False: memory ran out or the kernel is
 * broken. */
bool nd__emit_end(nd__emit *e, int64_t flops, nd__steps *steps);

/* The value of an expression: e->lanes lanes where it depends on the lane axis, otherwise a scalar. */
nd__kval nd__emit_expr(nd__emit *e, int expr);
/* The same with e->lanes lanes in any case (one, where lane_axis is -1). */
nd__kval nd__emit_wide(nd__emit *e, int expr);
/* Computes and stores the outputs of that stage at the point: all are computed before any is stored, so that memory may
 * be read and written at one point. */
void nd__emit_outputs(nd__emit *e, int stage);
/* The same at the point and at the one a vector further, in turn: while the instructions of one wait for each other, as
 * those of an elementary function do, the processor has the other's. value: of the expression `given` at each; NULL:
 * there is none. */
void nd__emit_outputs_abreast(nd__emit *e, int stage, int given, const nd__kval *value);
bool nd__abreast_pays(const nd__emit *e);
nd__kaffine nd__emit_affine(const nd__emit *e, const nd__lin *at);
/* Computes what can be computed from the open axes alone: expressions up to that stage. */
void nd__hoist(nd__emit *e, int stage);
/* What is known now, to come back to it. */
nd__kval *nd__memo_keep(nd__emit *e);
void nd__memo_restore(nd__emit *e, const nd__kval *kept);

/* A loop over an axis by `step`; the coordinate is set, the axis open. End it with nd__close_axis. */
int32_t nd__open_axis(nd__emit *e, int axis, int64_t lo, int64_t hi, int64_t step);
void nd__close_axis(nd__emit *e, int axis);

/* The axis, of first to last, that lanes should run along, by how addresses move along each; -1 where there is none. */
int nd__lane_axis(const nd__space *s, int first, int last);
/* Lanes of one register of the target for this kernel's elements. */
int nd__register_lanes(const nd__space *s);
/* Splits the lane axis: full vectors by a loop, then the rest. body(e, data) is emitted once for each, with e->count
 * and the coordinate set. */
void nd__over_lanes(nd__emit *e, int64_t size, void (*body)(nd__emit *e, void *data), void *data);

/* The instruction that joins two partial results of a sum, a maximum, a minimum. */
nd__kop nd__reduction_op(const nd__node *n);
/* What accumulating a sum, a maximum, a minimum starts from, how one more element joins what has been accumulated, and
 * what the result is after the last (rows.c). */
nd__kval nd__reduction_start(nd__kbuilder *b, const nd__node *n, int lanes);
nd__kval nd__reduction_join(nd__kbuilder *b, const nd__node *n, nd__kval acc, nd__kval x);
nd__kval nd__reduction_end(nd__kbuilder *b, const nd__node *n, nd__kval x);

/* Loops over the first `axes` axes of the domain, one of them in the lanes where that pays; body(e, data) is emitted
 * for full lanes and for the rest. */
void nd__emit_domain(nd__emit *e, int axes, void (*body)(nd__emit *e, void *data), void *data);
/* Loops over the whole domain that compute and store the outputs: what maps and the moving of elements are. */
void nd__emit_map(nd__emit *e);

#endif
