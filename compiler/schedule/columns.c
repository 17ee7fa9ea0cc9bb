/* Columns: a reduction along an axis that is not the last one, and what is elementwise on its result. Columns lie in
 * the lanes, a few registers side by side; each is a chain, longer than 64 in blocks whose sums are added in order. */
#include "compiler/schedule/epilogue.h"

enum { SIDE_BY_SIDE = 8 /* registers of columns: what is read of a row at once */ };

typedef struct columns {
    nd__space s;
    nd__emit e;
    const nd__node *node;
    int axis;                    /* the reduced one */
    int operand, given, scratch; /* scratch: for a tile's sums (epilogue.c) */
    int64_t length, block;       /* elements of a column, and of its blocks; the sums of blocks are one chain */
} columns;

/* The point in register q of a tile of columns from `at` on, `last` lanes of whose last register exist. */
static void at_register(columns *c, nd__kaffine at, int q, int registers, int last)
{
    if (c->e.lane_axis < 0)
        return;
    c->e.coord[c->e.lane_axis] = nd__k_sum(at, nd__k_at(q * c->e.lanes));
    c->e.count = q == registers - 1 ? last : c->e.lanes;
}

/* One chain of a tile: elements lo to below hi of each column are joined to acc[]. */
static void chain(columns *c, nd__kaffine at, int registers, int last, nd__kaffine lo, nd__kaffine hi, nd__kval *acc)
{
    nd__emit *e = &c->e;
    nd__kval carried[SIDE_BY_SIDE];
    nd__kval *outside = nd__memo_keep(e);
    int32_t i = nd__k_for(&e->b, lo, hi, 1, registers, acc, carried);
    e->coord[c->axis] = nd__k_plus(nd__k_at(0), i, 1);
    e->open |= 1u << c->axis;
    unsigned open = e->open;
    if (e->lane_axis >= 0)
        e->open &= ~(1u << e->lane_axis);
    nd__hoist(e, 0);
    e->open = open;
    nd__kval *kept = nd__memo_keep(e);
    for (int q = 0; q < registers; q++) {
        at_register(c, at, q, registers, last);
        nd__memo_restore(e, kept);
        carried[q] = nd__reduction_join(&e->b, c->node, carried[q], nd__emit_wide(e, c->operand));
    }
    nd__k_end_for(&e->b, carried, acc);
    e->open &= ~(1u << c->axis);
    nd__memo_restore(e, outside);
}

/* What follows the reduction, for a tile of columns. */
static void finish(columns *c, nd__kaffine at, int registers, int last, nd__kval *total)
{
    nd__emit *e = &c->e;
    nd__kval *kept = nd__memo_keep(e);
    for (int q = 0; q < registers; q++)
        total[q] = nd__reduction_end(&e->b, c->node, total[q]);
    if (c->scratch >= 0) {
        const nd__tile t = {.column = at,
                            .row_axis = -1,
                            .lane_axis = e->lane_axis,
                            .rows = 1,
                            .vectors = registers,
                            .last = last,
                            .given = c->given,
                            .scratch = c->scratch};
        nd__finish_tile(e, &t, total);
    }
    for (int q = 0; q < registers && c->scratch < 0; q++) {
        at_register(c, at, q, registers, last);
        nd__memo_restore(e, kept);
        e->memo[c->given] = total[q];
        nd__emit_outputs(e, 0);
    }
    nd__memo_restore(e, kept);
}

/* A tile of columns: reduced, then what follows. */
static void tile(columns *c, nd__kaffine at, int registers, int last)
{
    nd__emit *e = &c->e;
    nd__kval total[SIDE_BY_SIDE], carried[SIDE_BY_SIDE], sum[SIDE_BY_SIDE];
    nd__kval start = nd__reduction_start(&e->b, c->node, e->lanes);
    const int64_t blocks = c->length > c->block ? c->length / c->block : 0;
    for (int q = 0; q < registers; q++)
        total[q] = sum[q] = start;
    if (blocks > 0) {
        int32_t i = nd__k_for(&e->b, nd__k_at(0), nd__k_at(blocks * c->block), c->block, registers, total, carried);
        nd__kaffine lo = nd__k_plus(nd__k_at(0), i, 1);
        chain(c, at, registers, last, lo, nd__k_sum(lo, nd__k_at(c->block)), sum);
        for (int q = 0; q < registers; q++)
            carried[q] = nd__reduction_join(&e->b, c->node, carried[q], sum[q]);
        nd__k_end_for(&e->b, carried, total);
        for (int q = 0; q < registers; q++)
            sum[q] = start;
    }
    if (blocks * c->block < c->length)
        chain(c, at, registers, last, nd__k_at(blocks * c->block), nd__k_at(c->length), sum);
    for (int q = 0; q < registers; q++) {
        if (blocks == 0)
            total[q] = sum[q];
        else if (blocks * c->block < c->length)
            total[q] = nd__reduction_join(&e->b, c->node, total[q], sum[q]);
    }
    finish(c, at, registers, last, total);
}

static void over_columns(columns *c, int axis)
{
    nd__emit *e = &c->e;
    if (axis == e->lane_axis)
        axis++;
    nd__hoist(e, 0);
    if (axis < c->axis) {
        nd__kval *kept = nd__memo_keep(e);
        nd__open_axis(e, axis, 0, c->s.size[axis], 1);
        over_columns(c, axis + 1);
        nd__close_axis(e, axis);
        nd__memo_restore(e, kept);
        return;
    }
    if (e->lane_axis < 0) {
        tile(c, nd__k_at(0), 1, 1);
        return;
    }
    const int64_t size = c->s.size[e->lane_axis], wide = SIDE_BY_SIDE * (int64_t)e->lanes, full = size - size % wide;
    nd__kval *kept = nd__memo_keep(e);
    e->open |= 1u << e->lane_axis;
    if (full > 0) {
        int32_t j = nd__k_for(&e->b, nd__k_at(0), nd__k_at(full), wide, 0, NULL, NULL);
        tile(c, nd__k_plus(nd__k_at(0), j, 1), SIDE_BY_SIDE, e->lanes);
        nd__k_end_for(&e->b, NULL, NULL);
        nd__memo_restore(e, kept);
    }
    if (full < size) {
        int registers = (int)((size - full + e->lanes - 1) / e->lanes);
        tile(c, nd__k_at(full), registers, (int)(size - full) - (registers - 1) * e->lanes);
        nd__memo_restore(e, kept);
    }
    e->open &= ~(1u << e->lane_axis);
}

/* What is reduced are sums of blocks (parts.c). */
static void begin_joined(columns *c, nd__block *b, const nd__group *g)
{
    const nd_value *v = &c->node->results[0];
    nd__parts p;
    nd__parts_of(b, c->node, &p);
    c->length = c->block = p.count;
    nd_shape domain = nd_shape_of((size_t)g->rank + 1, g->size);
    domain.dims[g->rank] = p.count;
    nd__space_begin(&c->s, b, g, g->rank + 1, domain.dims);
    nd__index identity = nd__identity(&v->shape);
    nd__lin at = nd__lin_add(nd__flat(&v->shape, &identity), nd__lin_axis(g->rank), p.width);
    c->operand = nd__expr_load(&c->s, b->sums[c->node->number], v->dtype, p.count * p.width, at, "sums");
}

bool nd__lower_columns(nd__block *b, const nd__group *g, nd__steps *steps)
{
    const nd__node *n = g->anchor;
    const nd_shape *in = &n->inputs[0]->shape;
    const int reduced = (int)nd__get_ints(n, ND__A_axes)[0];
    columns c = {.node = n, .axis = g->rank, .length = in->dims[reduced], .block = ND__CHAIN};
    if (nd__elements(&n->results[0].shape) == 0)
        return true;
    if (b->sums[n->number].buffer >= 0) {
        begin_joined(&c, b, g);
    } else {
        nd__space_begin_reduced(&c.s, b, g, in, reduced);
        nd__index at = nd__reduced_index(in->rank, reduced);
        c.operand = nd__resolve(&c.s, n->inputs[0], &at);
    }
    c.given = nd__expr_given(&c.s, &n->results[0], nd__axes_of(&c.s, g->rank));
    nd__know(&c.s, &n->results[0], c.given);
    nd__add_outputs(&c.s);
    const int64_t length = c.length;
    c.axis -= nd__collapse(&c.s, 0, g->rank - 1);
    int lane_axis = nd__lane_axis(&c.s, 0, c.axis - 1);
    c.scratch =
        lane_axis < 0 ? -1 : nd__epilogue_scratch(&c.s, n->results[0].dtype, SIDE_BY_SIDE, nd__register_lanes(&c.s));
    if (c.axis > 0)
        nd__cut(&c.s, 0, lane_axis == 0 ? SIDE_BY_SIDE * nd__register_lanes(&c.s) : 1, nd__work(&c.s));
    c.e = nd__emit_begin(&c.s, "columns");
    c.e.lane_axis = lane_axis;
    c.e.lanes = c.e.count = c.e.lane_axis < 0 ? 1 : nd__register_lanes(&c.s);
    if (!c.s.failed)
        over_columns(&c, 0);
    return nd__emit_end(&c.e, nd__elements(&n->results[0].shape) * length, steps);
}
