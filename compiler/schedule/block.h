/* A block: the nodes of one function (an entry point or a body) while they are scheduled: grouped into kernels
 * (group.c), ordered and written into the plan (block.c), each group by the file of its kind. */
#ifndef NADIR_SCHEDULE_BLOCK_H
#define NADIR_SCHEDULE_BLOCK_H

#include "compiler/schedule/expr.h"

typedef enum nd__group_kind {
    ND__G_MAP,     /* elementwise over the domain */
    ND__G_ROWS,    /* the same with reductions along the last axis; values of one element a row may take part */
    ND__G_COLUMNS, /* a reduction that keeps the last axis, and elementwise on its result */
    ND__G_PRODUCT, /* a matmul and elementwise on its result */
    ND__G_CONV, /* a convolution or a gradient of one, and elementwise on its result; a pool of that, elementwise on it
                 */
    ND__G_POOL, /* a pool, and elementwise on its result */
    ND__G_ARG,  /* argmax, argmin */
    ND__G_MOVE, /* concat, pad */
    ND__G_SCATTER, /* scatter_add */
    ND__G_CONTROL, /* apply, cond, scan */
} nd__group_kind;

/* A value that a kernel reads, and at which index of its domain; `memory`: it only has to lie in memory, and is read at
 * any points. */
typedef struct nd__use {
    const nd_value *value;
    nd__index index;
    bool memory;
} nd__use;

typedef struct nd__uses {
    nd__arena *arena;
    nd__use *items;
    int count, room;
} nd__uses;

/* Orders of accumulation (doc/bits.md). */
enum {
    ND__CHAIN = 64,     /* elements of a chain; of a longer axis, a block of them */
    ND__ROW_LANES = 32, /* of a long row: element i is added in lane i mod 32 */
    ND__BLOCK = 4096,   /* elements of a long row between two trees */
};

/* Points of short rows below which code that transposes, or avoids to, is not worth the time to generate it. */
enum { ND__FEW_POINTS = 1 << 14 };

/* A sum whose blocks another group sums, the one that computes what is summed (parts.c): `count` blocks of `width`
 * sums each. */
typedef struct nd__parts {
    const nd_value *operand; /* over the points of that shape */
    bool whole;              /* all is summed; else along the first axis */
    int64_t count, width;
    int64_t rows; /* of the first axis in a block; 0: blocks lie within rows */
} nd__parts;

typedef struct nd__group {
    nd__group_kind kind;
    int number;
    int rank;
    int64_t size[ND_MAX_RANK]; /* MAP, ROWS: the shape of what is elementwise; else the anchor's result */
    const nd__node *anchor;    /* all but MAP and ROWS */
    const nd__node *pool;      /* CONV: what all but it is read by, and the shape is that of; NULL: none */
    const nd_value *copy;      /* MAP: a view, made elements of their own: of the view `anchor`, or at `sink` */
    nd__spot sink;
    int *members; /* numbers of the nodes computed here, ascending; the anchor included */
    int member_count, member_room;
    int *after, *then; /* groups that have to come before, and those that have to come after */
    int after_count, after_room, then_count, then_room;
    int level;               /* more than that of any that comes before */
    nd__uses uses;           /* of values that are computed elsewhere */
    const nd__node **summed; /* MAP, ROWS, PRODUCT: reductions of other groups whose blocks are summed here */
    int summed_count, summed_room;
    int visited; /* stamp of the search for cycles */
    int merged;  /* the group that took this one over; -1: none */
    bool places; /* it stores parts of a concatenation */
    int waits;   /* for so many groups that have to come before */
} nd__group;

/* Where a value has to be in the end. */
typedef struct nd__sink {
    const nd_value *value;
    nd__spot spot;
    const nd_value
        *old;        /* the leaf that reads the memory being overwritten, all reads of which come first; NULL: none */
    nd__spot source; /* where to copy it from at the end; buffer -1: its group writes it in place */
} nd__sink;

/* Where a value is stored beside its own spot (place.c). */
typedef struct nd__place {
    int group; /* whose kernel stores it: it computes the value, or has all that the view shows */
    const nd_value *value;
    const nd_value *whole; /* as a part of it, or in its order; NULL: at `spot` */
    int part;              /* -1: all of it */
    nd__spot spot;
    nd__lin at; /* from there on, by the value's axes */
    int64_t elems;
} nd__place;

/* A loop around a block: the steps before it may do what every turn would do alike. */
typedef struct nd__loop {
    const nd__node *scan;
    const struct nd__block *around; /* the block that the loop is in */
    nd__steps *before;
} nd__loop;

/* A list of numbers for each of many things: those of thing i are items[first[i]] up to items[first[i + 1]]. */
typedef struct nd__lists {
    int *first, *items;
} nd__lists;

typedef struct nd__block {
    nd_module *m;
    nd__plan *plan;
    const nd__target *target;
    nd__arena *arena;     /* scratch, for the whole schedule, */
    nd__arena *passing;   /* for the group that is being lowered, */
    nd__arena *building;  /* for the kernel that is being built: most turn out to be there already */
    int depth;            /* loops around it, */
    const nd__loop *loop; /* the innermost; NULL: none */
    bool *need;           /* by node: the sinks need it */
    bool *in_memory;      /* by node: something needs its results in memory */
    bool *copied;         /* by node: a view that no strides can express, copied by a group of its own */
    bool *turned;         /* by node: its last two axes are swapped in memory (layout.c) */
    int *home;            /* by node: the group that computes it; -1: a leaf, a view, or computed wherever it is used */
    int *virtual_cost;    /* by node: operations that computing it where it is used takes; 0: it is not */
    nd__spot **spots;     /* by node, by result: where it lies; NULL: nowhere */
    nd__spot **stacks;    /* by node, of a scan: the rows that each carry lies in; buffer -1: none */
    nd__spot *sums; /* by node: where the sums of its blocks lie, which another group makes; buffer -1: none does */
    nd__group **groups;
    int group_count, group_room;
    nd__lists readers; /* by node, of leaves: the groups that read them; once all groups are there */
    nd__sink *sinks;
    int sink_count;
    nd__place *places;
    int place_count, place_room;
    nd__lists placed; /* by group: what it stores there; once all places are there */
    nd__made *made;   /* what was chosen for the group that is being lowered; NULL: nothing yet */
    int *work;        /* of a walk through groups */
    int work_count, work_room, stamp;
    bool failed; /* memory ran out, or the module has the error */
} nd__block;

/* Schedules what the sinks need into `steps`. The inputs of f and the variables lie at `inputs` and `variables` (by
 * number; NULL for a body, which reads none). `like` gives module, plan, target, arena and depth. False: memory ran
 * out, or the module has the error. */
bool nd__schedule_block(const nd__block *like, const nd_function *f, const nd__spot *inputs, const nd__spot *variables,
                        nd__sink *sinks, int sink_count, nd__steps *steps);

static inline bool nd__is_view(const nd__node *n)
{
    return (nd__ops[n->op].traits & ND__VIEW) || n->op == ND__OP_stop_gradient;
}

/* Where a value lies, if it lies in memory. */
bool nd__spot_of(const nd__block *b, const nd_value *v, nd__spot *spot);
void nd__set_spot(nd__block *b, const nd_value *v, nd__spot spot);
/* A new buffer in the arena, and the spot at its start. */
nd__spot nd__new_buffer(nd__block *b, nd_dtype dtype, int64_t elems, const char *name);
/* Memory ran out, unless the module has an error already; false. */
bool nd__block_failed(nd__block *b);

/* -- grouping (group.c, uses.c, stored.c) -------------------------------------------------------------------------- */

/* Gives every needed node its group. */
bool nd__group_nodes(nd__block *b);
/* Decides which values that are wanted by other groups than their own lie in memory; the others are computed again. */
bool nd__choose_stored(nd__block *b);
/* The group that a group has become part of. */
nd__group *nd__group_of(nd__block *b, int number);
/* A map over v's shape that reads all that v shows where v shows it; NULL: none. */
nd__group *nd__reader_of(nd__block *b, const nd_value *v);
/* A group that copies what v shows, in v's order. */
nd__group *nd__copy_group(nd__block *b, const nd_value *v);
/* Before grouping: lets what a view shows lie in memory; a reshape on the way that no strides can express becomes a
 * copy. */
void nd__need_memory(nd__block *b, const nd_value *v);
/* Whether a reduction may be made in two steps, and which. */
bool nd__parts_of(const nd__block *b, const nd__node *n, nd__parts *p);
/* What has the same elements in the same order, past views that only rename them. */
const nd_value *nd__past_names(const nd_value *v);
/* A use of a value at the very point of the domain. */
bool nd__aligned(const nd__use *u);

/* -- what comes before what (depend.c) -----------------------------------------------------------------------------
 */

/* From now on `before` comes before g, which does not come before it. */
void nd__order_after(nd__block *b, nd__group *g, int before);
/* g, which `from` has become a part of, takes its place in the order, too. */
void nd__order_merged(nd__block *b, nd__group *g, const nd__group *from);
/* Whether the group needs, through others, that `on` came before (or is it). */
bool nd__depends(nd__block *b, int group, int on);

/* -- places (place.c) -------------------------------------------------------------------------------------------------
 */

/* Whether the group's kernel can store what it computes anywhere. */
bool nd__can_place(const nd__group *g);
/* Lets a group store a value at a spot too, row-major. */
void nd__place_sink(nd__block *b, const nd__group *g, const nd_value *v, nd__spot spot);
/* Lets the group that computes a part of a concatenation, or what that shows in another order, store it there; NULL: it
 * cannot. */
nd__group *nd__place_part(nd__block *b, const nd__node *concat, int part);
bool nd__part_is_placed(const nd__block *b, const nd__node *concat, int part);
/* Lets the group that computes what a view shows in another order store it in that order; NULL: it cannot. */
nd__group *nd__place_turned(nd__block *b, const nd_value *v);

/* -- layouts (layout.c) -------------------------------------------------------------------------------------------- */

/* Decides how what the groups compute lies in memory, where it has no place yet. */
bool nd__choose_layouts(nd__block *b);

/* -- lists (lists.c) ---------------------------------------------------------------------------------------------- */

/* Lists of n things, of the pairs that each(b, f) names to nd__list_add; it is called twice. False: memory ran out. */
typedef struct nd__filling {
    nd__lists *lists;
    bool counting;
} nd__filling;
bool nd__lists_fill(nd__block *b, nd__lists *lists, int n, void (*each)(nd__block *b, nd__filling *f));
void nd__list_add(nd__filling *f, int thing, int number);
/* By node: who uses its results through any views; -1: a sink that shows them through views. */
bool nd__list_users(nd__block *b, nd__lists *users);
/* Notes in b->readers who reads which leaf. */
void nd__list_readers(nd__block *b);
/* Notes in b->placed which places a group fills. */
void nd__list_places(nd__block *b);

/* -- order (order.c) ---------------------------------------------------------------------------------------------- */

/* Whether `writer` may overwrite what the leaf `old` reads: all other readers can come first, and itself it reads a
 * point before it writes it. Then the order is set. */
bool nd__order_before_write(nd__block *b, nd__group *writer, const nd_value *old);

/* The groups that are not in the plan yet: `left` of them. */
typedef struct nd__queue {
    nd__block *b;
    nd__lists next; /* by group: those that wait for it */
    struct nd__heap {
        int *numbers, count;
    } little, others; /* that wait for nothing */
    int left;
} nd__queue;

/* False: memory ran out. */
bool nd__queue_begin(nd__queue *q, nd__block *b);
/* The group to come next; NULL: none is left, or all wait. What takes little memory comes as soon as it can: what it
 * reads is still in the cache, and needs to be kept no longer. The others come in order of creation. */
nd__group *nd__queue_next(nd__queue *q);
/* That group is in the plan. */
void nd__queue_done(nd__queue *q, const nd__group *g);

/* -- kernels of one kind of group each; every one appends its steps. False: memory ran out, or the module has the
 * error. */

bool nd__lower_map(nd__block *b, const nd__group *g, nd__steps *steps);
bool nd__lower_rows(nd__block *b, const nd__group *g, nd__steps *steps);
bool nd__lower_columns(nd__block *b, const nd__group *g, nd__steps *steps);
bool nd__lower_product(nd__block *b, const nd__group *g, nd__steps *steps);
bool nd__lower_conv(nd__block *b, const nd__group *g, nd__steps *steps);
bool nd__lower_conv_dw(nd__block *b, const nd__group *g, nd__steps *steps);
bool nd__lower_conv_pooled(nd__block *b, const nd__group *g, nd__steps *steps);
bool nd__lower_pool(nd__block *b, const nd__group *g, nd__steps *steps);
bool nd__lower_arg(nd__block *b, const nd__group *g, nd__steps *steps);
bool nd__lower_move(nd__block *b, const nd__group *g, nd__steps *steps);
bool nd__lower_scatter(nd__block *b, const nd__group *g, nd__steps *steps);
bool nd__lower_control(nd__block *b, const nd__group *g, nd__steps *steps);
/* Before its other results get places: lets carries of a scan lie in what it stacks of them (control.c). */
void nd__place_stacks(nd__block *b, const nd__node *n);
/* Where to compute what depends on nothing but v, which lies in memory: `steps`, or those before the loops around them
 * that do not change v (control.c). */
nd__steps *nd__steps_for(const nd__block *b, const nd_value *v, nd__steps *steps);

/* -- spaces and steps (space.c) ---------------------------------------------------------------------------------------
 */

void nd__space_begin(nd__space *s, nd__block *b, const nd__group *g, int rank, const int64_t *size);
/* The domain of a search or sum along one axis of `in`: the others, then that one. */
void nd__space_begin_reduced(nd__space *s, nd__block *b, const nd__group *g, const nd_shape *in, int reduced);
/* The first n axes of the domain as bits, without those of size 1. */
unsigned nd__axes_of(const nd__space *s, int n);
nd__step *nd__new_step(nd__block *b, nd__steps *steps, nd__step_kind kind);
/* Appends a copy of the value's elements from one place to another. */
bool nd__copy_spot(nd__block *b, const nd_value *v, nd__spot from, nd__spot to, nd__steps *steps);
/* Appends the copy of a view of `base`, which lies at `from`, into row-major memory of its own (transpose.c). */
bool nd__copy_view(nd__block *b, const nd_value *base, nd__spot from, int64_t offset, int rank, const int64_t *size,
                   const int64_t *stride, nd__spot *to, nd__steps *steps);
/* The same into memory that is there. `base` has the elements that lie at `from`. */
bool nd__turn(nd__block *b, const nd_value *base, nd__spot from, int64_t offset, int rank, const int64_t *size,
              const int64_t *stride, nd__spot to, nd__steps *steps);
/* What a group computes, for people: `"hidden" matmul+add+select`. */
const char *nd__label(nd__block *b, const nd__group *g);

#endif
