/* Expressions over a domain: what a kernel computes at each point of its iteration space.
 *
 * A kernel iterates over a domain, a box of up to ND__AXES axes. The graph's nodes that it computes become expressions:
 * every load, whatever views (transpose, broadcast, slice, reshape) lie between, has an address that is an affine form
 * of the point; everything else is an operation on expressions. An expression knows which axes it depends on, so that
 * it is computed where the loops of just those are open (emit.h). */
#ifndef NADIR_SCHEDULE_EXPR_H
#define NADIR_SCHEDULE_EXPR_H

#include "compiler/graph/graph.h"
#include "compiler/schedule/plan.h"

enum { ND__AXES = ND_MAX_RANK + 1 }; /* of a domain: a result's, and the one that a reduction adds */

/* constant + sum of coef[k] * coordinate k of the point */
typedef struct nd__lin {
    int64_t constant;
    int64_t coef[ND__AXES];
} nd__lin;

/* An index into a value: one affine form for each of its axes. */
typedef struct nd__index {
    nd__lin at[ND_MAX_RANK];
} nd__index;

/* Where a value lies: row-major from an offset in a plan's buffer, moved on by the enclosing loops. In elements. */
typedef struct nd__spot {
    int buffer; /* -1: nowhere */
    int64_t offset;
    int64_t stride[ND__MAX_NEST];
} nd__spot;

typedef enum nd__expr_kind {
    ND__E_LOAD,   /* memory at `at` of parameter `param` */
    ND__E_CONST,  /* bits */
    ND__E_COORD,  /* the number `at` (iota) */
    ND__E_OP,     /* an elementwise op of the arguments */
    ND__E_GATHER, /* memory at `at` + scale * args[0], 0 where args[0] is outside [0, bound) */
    ND__E_RANDOM, /* random bits of element `at`; args: the two key words */
    ND__E_GIVEN,  /* what the kernel itself computes: a product's tile, a reduction's result */
    ND__E_SPILL,  /* kept from an earlier pass over a row, in scratch memory at `at`, lane after lane */
} nd__expr_kind;

typedef struct nd__expr {
    nd__expr_kind kind;
    nd_dtype dtype;
    nd__op op;   /* OP */
    int args[3]; /* numbers of expressions, all lower than this one's */
    int arg_count;
    nd__lin at;
    int param; /* LOAD, GATHER, SPILL: number of the kernel's parameter */
    int64_t scale, bound;
    uint64_t bits;         /* CONST; RANDOM: the stream */
    const nd_value *value; /* of the graph; may be NULL */
    unsigned axes;         /* bit k: depends on coordinate k */
    bool given;            /* depends on what the kernel itself computes */
    int stage;             /* rows.c: how many reductions of the row it waits for */
} nd__expr;

/* A parameter of the kernel being made: memory it reads or writes. */
typedef struct nd__param {
    nd__spot spot;
    nd__kaccess access;
    nd_dtype dtype;
    int64_t elems; /* the extent from the place on */
    const char *name;
    bool walked;   /* read otherwise than by LOAD expressions, */
    nd__lin walk;  /* as this says of the axes */
    int64_t chunk; /* elements from chunk to chunk */
    nd__spot home; /* where an output goes that the kernel writes in another layout (blocks.c) */
} nd__param;

/* A value that the kernel stores: an expression at its place. */
typedef struct nd__output {
    int expr, param;
    nd__lin at;
    int stage; /* rows.c */
} nd__output;

struct nd__group;
struct nd__block;

/* A kernel in the making: its domain, expressions and parameters. */
typedef struct nd__space {
    struct nd__block *block;
    const struct nd__group *group; /* values at home here are expressions, others are loaded */
    nd__arena *arena;
    int rank;
    int64_t size[ND__AXES]; /* of the domain */
    nd__expr *exprs;
    int expr_count, expr_room;
    struct nd__known {
        const nd_value *value;
        nd__index index;
        int expr, next; /* next: of the same slot, -1: none */
    } * known;          /* resolved already */
    int known_count, known_room;
    int *slots, slot_count; /* the newest known one of each hash (a power of two of them) */
    struct nd__pending {
        const nd_value *value;
        nd__index index;
    } * pending; /* being resolved, each for the one below it */
    int pending_count, pending_room;
    nd__param *params;
    int param_count, param_room;
    nd__output *outputs;
    int output_count, output_room;
    int chunks;  /* the kernel computes one of so many equal parts; 0 is 1 */
    bool failed; /* memory ran out, or the module has the error */
} nd__space;

/* -- affine forms -------------------------------------------------------------------------------------------------- */

nd__lin nd__lin_const(int64_t constant);
nd__lin nd__lin_axis(int axis);
nd__lin nd__lin_add(nd__lin a, nd__lin b, int64_t factor); /* a + factor * b */
bool nd__lin_equal(const nd__lin *a, const nd__lin *b);
bool nd__lin_is_axis(const nd__lin *a, int axis);
/* The index that is the point itself, for a value that has the first axes of the domain, or size 1 in their place. */
nd__index nd__identity(const nd_shape *shape);
/* The index of an operand of that rank one axis of which is the last of the domain, after all others. */
nd__index nd__reduced_index(int rank, int reduced);
/* Row-major strides, in elements. */
void nd__strides(int rank, const int64_t *size, int64_t *strides);
/* The offset of an index in row-major memory of that shape. */
nd__lin nd__flat(const nd_shape *shape, const nd__index *index);

/* -- views ----------------------------------------------------------------------------------------------------------
 */

/* Walks from a value through views to what they show: the index is rewritten on the way. Stops at a reshape that
 * regroups axes, which no index can express. */
const nd_value *nd__through_views(const nd_value *v, nd__index *index);
/* The value that a chain of views shows, and where its elements lie in that value's row-major memory: offset and
 * strides by v's axes. False: only a copy can show it (and a view that the block copies is a value like any other). */
bool nd__view(const struct nd__block *b, const nd_value *v, const nd_value **base, int64_t *offset, int64_t *strides);

/* -- resolving ------------------------------------------------------------------------------------------------------
 */

/* The expression of `v` at an index over the domain. */
int nd__resolve(nd__space *s, const nd_value *v, const nd__index *index);
/* Element `at` of `elems` elements from the spot on. */
int nd__expr_load(nd__space *s, nd__spot spot, nd_dtype dtype, int64_t elems, nd__lin at, const char *name);
int nd__expr_const(nd__space *s, nd_dtype dtype, uint64_t bits);
/* What the kernel computes itself, along those axes. */
int nd__expr_given(nd__space *s, const nd_value *v, unsigned axes);
/* Lets an expression stand for a value of the group: at the identity index, or at that one. */
void nd__know(nd__space *s, const nd_value *v, int expr);
void nd__know_at(nd__space *s, const nd_value *v, const nd__index *index, int expr);
int nd__param_of(nd__space *s, nd__spot spot, nd_dtype dtype, int64_t elems, nd__kaccess access, const char *name);
/* Lets the kernel store an expression at `at` of the spot, which `elems` elements follow. */
void nd__add_output(nd__space *s, int expr, nd__spot spot, nd_dtype dtype, int64_t elems, nd__lin at, const char *name);
/* Lets the kernel store every value of its group that has to lie in memory, at the point. */
void nd__add_outputs(nd__space *s);
/* Among the axes first to last, drops those of size 1 and makes neighbours one wherever every address allows it. Gives
 * the number of axes that have gone. The last step before the kernel is begun. */
int nd__collapse(nd__space *s, int first, int last);

/* -- chunks (chunks.c) ------------------------------------------------------------------------------------------------
 */

/* Lets the kernel compute one chunk of the domain, cut along an axis in multiples of `unit`, where the work of
 * `microseconds` is worth handing out and every address allows it. Between nd__collapse and nd__emit_begin. */
bool nd__cut(nd__space *s, int axis, int64_t unit, double microseconds);
/* What the expressions cost over the whole domain: an estimate. */
double nd__work(const nd__space *s);

/* -- lowering (lower.c) ---------------------------------------------------------------------------------------------
 */

/* An elementwise op on kernel values; `operand`: the dtype of the first. */
nd__kval nd__lower_op(nd__kbuilder *b, nd__op op, nd_dtype operand, nd_dtype result, const nd__kval *args);
/* Word (i mod 4) of Philox block i / 4, of u32 element numbers i (an i64 value). */
nd__kval nd__lower_random(nd__kbuilder *b, nd__kval element, nd__kval key0, nd__kval key1, uint64_t stream);
/* The bits of a stored element of a dtype. */
uint64_t nd__element_bits(nd_dtype dtype, const void *element);

#endif
