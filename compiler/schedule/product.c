/* Products: C[m, n] = sum over k of A[m, k] B[k, n], in register tiles, and what is elementwise on C.
 *
 * One of the two result axes lies in the lanes: vectors of one operand are loaded along it, elements of the other are
 * splat. A tile of a few rows by a few vectors is accumulated over all of k in registers, one fma after another for
 * ascending k; then what follows the product is computed from the tile and stored. Goto and van de Geijn, "Anatomy of
 * high-performance matrix multiplication", 2008, explain the tile; nothing is packed, since the operands of training
 * steps fit the second-level cache. The columns are the outer loop, so that a panel of the vector operand stays there.
 *
 * A product with the attribute `lanes` is a few long rows instead: k lies in the lanes (product_dot.c). */
#include "compiler/schedule/product.h"
#include "compiler/schedule/cost.h"

#include <inttypes.h>
#include <string.h>

/* -- operands ----------------------------------------------------------------------------------------------------- */

static bool find_operand(nd__block *b, const nd__node *n, int which, nd__factor *o)
{
    const nd_value *v = n->inputs[which];
    const int rank = v->shape.rank;
    const bool turned = nd__get_int(n, which == 0 ? ND__A_trans_a : ND__A_trans_b);
    int64_t strides[ND_MAX_RANK];
    if (!nd__view(b, v, &o->base, &o->offset, strides) || !nd__spot_of(b, o->base, &o->spot)) {
        nd__fail(b->m, ND_ERR_INTERNAL, n->place, "schedule: operand %d of %%%d is not in memory", which, n->number);
        return false;
    }
    o->count = nd__elements(&o->base->shape);
    const bool first_is_inner = (which == 1) != turned;
    o->along = strides[first_is_inner ? rank - 1 : rank - 2];
    o->inner = strides[first_is_inner ? rank - 2 : rank - 1];
    for (int d = 0; d < rank - 2; d++)
        o->lead[d] = v->shape.dims[d] == 1 ? 0 : strides[d];
    return true;
}

/* A copy of an operand with `along` contiguous: [lead.., k, along]. */
static bool turn_operand(nd__matmul *p, nd__factor *o, int64_t along_size, nd__steps *steps)
{
    nd__block *b = p->s.block;
    int64_t size[ND__AXES], stride[ND__AXES], to[ND__AXES];
    int rank = 0;
    for (int d = 0; d < p->rank - 2; d++) { /* a matrix repeated along leading axes is copied once */
        size[rank] = o->lead[d] == 0 ? 1 : p->node->results[0].shape.dims[d];
        stride[rank++] = o->lead[d];
    }
    size[rank] = p->depth;
    stride[rank++] = o->inner;
    size[rank] = along_size;
    stride[rank++] = o->along;
    nd__spot copy;
    if (!nd__copy_view(b, o->base, o->spot, o->offset, rank, size, stride, &copy, steps))
        return false;
    nd__strides(rank, size, to);
    for (int d = 0; d < p->rank - 2; d++)
        o->lead[d] = o->lead[d] == 0 ? 0 : to[d];
    o->spot = copy;
    o->offset = 0;
    o->inner = to[rank - 2];
    o->along = 1;
    o->count = 1;
    for (int d = 0; d < rank; d++)
        o->count *= size[d];
    return true;
}

/* `axis`: the result's axis that the operand has. */
static void add_operand(nd__matmul *p, nd__factor *o, int axis)
{
    o->param = nd__param_of(&p->s, o->spot, o->base->dtype, o->count, ND__K_IN, o->base->name);
    if (p->s.failed)
        return;
    nd__param *param = &p->s.params[o->param];
    if (param->walked) /* both operands are one: it moves with both axes */
        param->walk.coef[p->row_axis] = param->walk.coef[p->lane_axis] = -1;
    else
        param->walk.coef[axis] = o->along;
    for (int d = 0; d < p->rank - 2; d++)
        param->walk.coef[d] = param->walked && param->walk.coef[d] != o->lead[d] ? -1 : o->lead[d];
    param->walked = true;
}

/* Blocks of rows then begin and end with a tile, and columns lie in the lanes. */
static bool sums_columns(const nd__matmul *p)
{
    return p->s.group->summed_count > 0;
}

/* -- decisions ---------------------------------------------------------------------------------------------------- */

static int lanes_of(const nd__matmul *p)
{
    int size = (int)nd_dtype_size(p->node->results[0].dtype);
    return p->s.block->target->vector_bytes / (size < 4 ? 4 : size);
}

/* Cycles of one tile for one k, in multiply-adds of a register: as many as there are, at least what the latency of a
 * chain and the loads of vectors that stream from the second-level cache take. */
static double tile_step(int rows, int vectors, bool streams)
{
    const double latency = 4, cache = 2.3;
    double cycles = rows * vectors;
    if (cycles < latency)
        cycles = latency;
    if (streams && cycles < cache * vectors)
        cycles = cache * vectors;
    return cycles;
}

/* All tiles of `rows` by `vectors`, those at the edges smaller, of `depth` steps each. */
static double tiling_cycles(int64_t row_count, int64_t vector_count, int rows, int vectors, double depth, bool streams)
{
    const double start = 12, epilogue = 2;
    double cycles = 0;
    for (int edge = 0; edge < 4; edge++) {
        int r = edge & 1 ? (int)(row_count % rows) : rows, v = edge & 2 ? (int)(vector_count % vectors) : vectors;
        int64_t tiles = (edge & 1 ? 1 : row_count / rows) * (edge & 2 ? 1 : vector_count / vectors);
        if (r > 0 && v > 0)
            cycles += (double)tiles * (tile_step(r, v, streams) * depth + start + epilogue * r * v);
    }
    return cycles;
}

/* Registers of the tiles at the edges, one of each size: code that is generated beside that of the tile itself. */
static int rest_registers(int64_t row_count, int64_t size, int lanes, int rows, int vectors)
{
    const int64_t rest = (size % ((int64_t)vectors * lanes) + lanes - 1) / lanes;
    return (rows + (int)(row_count % rows)) * (vectors + (int)rest) - rows * vectors;
}

/* What a band leaves of the steps of all tiles. */
static double band_share(const nd__matmul *p, const nd__bounds *band, int64_t row_count, int64_t size, int rows,
                         int64_t wide)
{
    return band->of_operand  ? nd__band_share(band, row_count, p->depth, rows, 1)
           : band->of_result ? nd__band_share(band, row_count, size, rows, wide)
                             : 1;
}

/* Where the vector operand stays in the second-level cache, rows come first: the other operand is read once, and what
 * is stored goes along its rows (two streams that jump a row's length at every tile cost the kernels of a wide layer 40
 * %). Else a panel of it stays there while all rows pass. */
static bool by_panels(const nd__matmul *p, int64_t size)
{
    const int64_t bytes = p->depth * size * (int64_t)nd_dtype_size(p->node->results[0].dtype);
    return bytes > p->s.block->target->l2_bytes / 2;
}

/* What is chosen for: the sizes, how the operands lie, whether there is a band. */
static nd__chooser chooser_of(const nd__matmul *p, const nd__factor *a, const nd__factor *b)
{
    const nd_value *result = &p->node->results[0];
    const int64_t *dims = result->shape.dims;
    const bool banded = nd__get_band(p->node).of != ND_BAND_NONE;
    int64_t batch = 1;
    for (int d = 0; d < p->rank - 2; d++)
        batch *= dims[d];
    return nd__choose(p->s.block, ND__CHOICE_PRODUCT, result->dtype,
                      "%" PRId64 "x%" PRId64 "x%" PRId64 "x%" PRId64 " %c%c%s", batch, dims[p->rank - 2], p->depth,
                      dims[p->rank - 1], a->along == 1 ? 't' : 'n', b->along == 1 ? 'n' : 't',
                      banded            ? " band"
                      : sums_columns(p) ? " sums"
                                        : "");
}

/* Whether the tile may be taken, in one order or the other. */
static bool may_take(const nd__matmul *p, bool by_columns, nd__tiling tile, int64_t size, double copies)
{
    const double worse = 1.05, cycles = tile.cycles + copies;
    const bool best = by_panels(p, size);
    const bool better = nd__may_take(&p->chooser, (nd__choice){{by_columns, tile.rows, tile.vectors, best}}, cycles);
    return nd__may_take(&p->chooser, (nd__choice){{by_columns, tile.rows, tile.vectors, !best}}, worse * cycles) ||
           better;
}

/* The best tile of what the registers hold: rows times vectors accumulators, the vectors, one splat. No cycles: none
 * may be taken. */
static nd__tiling choose_tile(const nd__matmul *p, int64_t row_count, int64_t size, bool by_columns, double copies)
{
    const nd__bounds band = nd__bounds_of(p->node, by_columns);
    const nd__target *target = p->s.block->target;
    const int lanes = lanes_of(p);
    const int64_t vector_count = (size + lanes - 1) / lanes;
    const int64_t block = sums_columns(p) && row_count > ND__CHAIN ? ND__CHAIN : row_count;
    const bool streams = p->depth * size * (int64_t)nd_dtype_size(p->node->results[0].dtype) > target->l1_bytes;
    /* Of all cycles: what a register of a tile at the edges may cost, being code to generate; what a tile of few
     * registers loses where two multiply-adds begin in a cycle. */
    const double code = 0.001, few = 0.02;
    static const int preferred[] = {4, 2, 3, 1};
    nd__tiling best = {0};
    for (int i = 0; i < 4; i++)
        for (int rows = ND__TILE_ROWS; rows >= 1; rows--) {
            int vectors = preferred[i];
            if (rows * vectors + vectors + 1 > target->vector_registers - 1 || rows > row_count ||
                (vectors > vector_count && vectors > 1))
                continue;
            double share = band_share(p, &band, row_count, size, rows, (int64_t)vectors * lanes);
            double cycles = tiling_cycles(block, vector_count, rows, vectors, share * (double)p->depth, streams);
            cycles *= (double)row_count / (double)block;
            cycles *= 1 + code * rest_registers(block, size, lanes, rows, vectors) + (rows * vectors < 12 ? few : 0);
            if (!may_take(p, by_columns, (nd__tiling){rows, vectors, cycles}, size, copies))
                continue;
            bool square = rows == 4 && vectors == 4; /* of equals, the one with the shortest epilogue */
            if (best.cycles == 0 || cycles < best.cycles * (square ? 1.01 : 0.99))
                best = (nd__tiling){rows, vectors, cycles};
        }
    return best;
}

/* The order too, which depends on how large the part of the result is that a chunk computes. */
static void note_choice(nd__matmul *p)
{
    const nd__choice *known = nd__choice_known(&p->chooser);
    p->by_panels = known ? known->part[3] : by_panels(p, p->s.size[p->lane_axis]);
    nd__chosen(p->s.block, &p->chooser,
               (nd__choice){{p->lane_axis < p->row_axis, p->tile.rows, p->tile.vectors, p->by_panels}});
}

/* Whether what the group stores lies column after column. */
static bool stores_turned(const nd__matmul *p)
{
    const nd__group *g = p->s.group;
    bool turned = false;
    for (int i = 0; i < g->member_count; i++)
        turned |= p->s.block->turned[g->members[i]];
    return turned;
}

/* Which axis lies in the lanes, whether its operand is copied. */
static bool decide(nd__matmul *p, nd__factor *a, nd__factor *b, nd__steps *steps)
{
    const nd_shape *shape = &p->node->results[0].shape;
    const int64_t m = shape->dims[p->rank - 2], n = shape->dims[p->rank - 1];
    const double copied = 0.3, stored = 1.5; /* cycles an element: turned, stored lane by lane */
    const bool few = 4 * n <= lanes_of(p); /* columns: their stores, lane by lane, and the code for them are worth it */
    const nd_band banded = nd__get_band(p->node).of; /* an operand with a band is read by rows */
    const bool turn_b = b->along != 1 && n > 1, turn_a = a->along != 1 && m > 1;
    const bool turned = stores_turned(p);
    const double turned_n = turn_b ? copied * (double)n * (double)p->depth : 0;
    const double turned_m = turn_a ? copied * (double)m * (double)p->depth : 0;
    nd__tiling along_n = {0}, along_m = {0};
    p->chooser = chooser_of(p, a, b);
    do {
        if (banded != ND_BAND_B && !turned)
            along_n = choose_tile(p, m, n, false, turned_n);
        if (banded != ND_BAND_A && !sums_columns(p))
            along_m = choose_tile(p, n, m, true, turned_m + (turned ? 0 : stored * (double)m * (double)n));
    } while (along_n.cycles == 0 && along_m.cycles == 0 && nd__choose_anew(&p->chooser));
    const bool worth_it = few && along_m.cycles + turned_m < along_n.cycles + turned_n;
    const bool by_rows = along_n.cycles == 0 || (along_m.cycles > 0 && worth_it);
    p->band = nd__bounds_of(p->node, by_rows);
    p->lane_axis = by_rows ? p->rank - 2 : p->rank - 1;
    p->row_axis = by_rows ? p->rank - 1 : p->rank - 2;
    p->tile = by_rows ? along_m : along_n;
    p->vectors = by_rows ? *a : *b;
    p->scalars = by_rows ? *b : *a;
    note_choice(p);
    return by_rows ? !turn_a || turn_operand(p, &p->vectors, m, steps)
                   : !turn_b || turn_operand(p, &p->vectors, n, steps);
}

/* Chunks: of the batch, or of whichever operand is larger, so that each part of it is read once. */
static void cut(nd__matmul *p)
{
    const double microseconds = p->tile.cycles / ND__CYCLES_A_MICROSECOND;
    if (p->rank > 2) {
        int axis = 0;
        double batch = 1;
        for (int d = 0; d < p->rank - 2; d++)
            batch *= (double)p->s.size[d];
        while (p->s.size[axis] == 1 && axis < p->rank - 3)
            axis++;
        nd__cut(&p->s, axis, 1, microseconds * batch);
        return;
    }
    if (p->band.of_operand || p->band.of_result) /* rows and columns count */
        return;
    const bool lanes_first = p->vectors.count >= p->scalars.count;
    const int64_t vectors = (int64_t)p->tile.vectors * lanes_of(p);
    const int64_t rows = sums_columns(p) ? ND__CHAIN : p->tile.rows;
    for (int i = 0; i < 2; i++) {
        bool lanes = lanes_first == (i == 0);
        if (nd__cut(&p->s, lanes ? p->lane_axis : p->row_axis, lanes ? vectors : rows, microseconds))
            return;
    }
    if (!sums_columns(p) && nd__cut(&p->s, p->row_axis, 1, microseconds) && !nd__choice_known(&p->chooser))
        /* tiles of as many rows as a chunk has */
        p->tile = choose_tile(p, p->s.size[p->row_axis], p->s.size[p->lane_axis], p->lane_axis == p->rank - 2, 0);
}

/* -- tiles -------------------------------------------------------------------------------------------------------- */

static void tile(nd__matmul *p, nd__kaffine row, nd__kaffine column, int rows, int vectors, int last)
{
    nd__kval acc[ND__TILE_ROWS * ND__TILE_VECTORS];
    nd__sum_tile(p, row, column, rows, vectors, last, acc);
    const nd__tile t = {.row = row,
                        .column = column,
                        .row_axis = p->row_axis,
                        .lane_axis = p->lane_axis,
                        .rows = rows,
                        .vectors = vectors,
                        .last = last,
                        .given = p->given,
                        .scratch = p->scratch,
                        .sums = p->sums,
                        .sum_count = p->sum_count,
                        .sums_at = nd__column_sums_at(p)};
    nd__finish_tile(&p->e, &t, acc);
}

static void over_strip(nd__matmul *p, nd__kaffine row, int rows)
{
    const int lanes = p->e.lanes;
    const int64_t size = p->s.size[p->lane_axis], wide = (int64_t)lanes * p->tile.vectors, full = size - size % wide;
    if (full > 0) {
        int32_t j = nd__k_for(&p->e.b, nd__k_at(0), nd__k_at(full), wide, 0, NULL, NULL);
        tile(p, row, nd__k_plus(nd__k_at(0), j, 1), rows, p->tile.vectors, lanes);
        nd__k_end_for(&p->e.b, NULL, NULL);
    }
    if (full < size) {
        int vectors = (int)((size - full + lanes - 1) / lanes);
        tile(p, row, nd__k_at(full), rows, vectors, (int)(size - full) - (vectors - 1) * lanes);
    }
}

/* A strip of rows: in a panel one tile. */
static void strip(nd__matmul *p, const nd__panel *of, nd__kaffine row, int rows)
{
    if (of)
        tile(p, row, of->column, rows, of->vectors, of->last);
    else
        over_strip(p, row, rows);
}

static void over_rows(nd__matmul *p, const nd__panel *of, nd__kaffine first, int64_t count)
{
    const int64_t full = count - count % p->tile.rows;
    if (full > 0) {
        int32_t i = nd__k_for(&p->e.b, nd__k_at(0), nd__k_at(full), p->tile.rows, 0, NULL, NULL);
        strip(p, of, nd__k_plus(first, i, 1), p->tile.rows);
        nd__k_end_for(&p->e.b, NULL, NULL);
    }
    if (full < count)
        strip(p, of, nd__k_sum(first, nd__k_at(full)), (int)(count - full));
}

/* All rows, of a panel or (NULL) of all columns; where columns are summed, a block of them after the other. */
static void over_blocks(nd__matmul *p, const nd__panel *of)
{
    const int64_t count = p->s.size[p->row_axis], full = sums_columns(p) ? count - count % ND__CHAIN : 0;
    if (full > 0) {
        int32_t i = nd__k_for(&p->e.b, nd__k_at(0), nd__k_at(full / ND__CHAIN), 1, 0, NULL, NULL);
        p->block = nd__k_plus(nd__k_at(0), i, 1);
        nd__begin_column_sums(p, of);
        over_rows(p, of, nd__k_plus(nd__k_at(0), i, ND__CHAIN), ND__CHAIN);
        nd__k_end_for(&p->e.b, NULL, NULL);
    }
    if (full == count)
        return;
    p->block = nd__k_at(full / ND__CHAIN);
    if (sums_columns(p))
        nd__begin_column_sums(p, of);
    over_rows(p, of, nd__k_at(full), count - full);
}

static void over_panels(nd__matmul *p)
{
    const int lanes = p->e.lanes;
    const int64_t size = p->s.size[p->lane_axis], wide = (int64_t)lanes * p->tile.vectors, full = size - size % wide;
    if (full > 0) {
        int32_t j = nd__k_for(&p->e.b, nd__k_at(0), nd__k_at(full), wide, 0, NULL, NULL);
        over_blocks(p, &(nd__panel){nd__k_plus(nd__k_at(0), j, 1), p->tile.vectors, lanes});
        nd__k_end_for(&p->e.b, NULL, NULL);
    }
    if (full < size) {
        int vectors = (int)((size - full + lanes - 1) / lanes);
        over_blocks(p, &(nd__panel){nd__k_at(full), vectors, (int)(size - full) - (vectors - 1) * lanes});
    }
}

/* -- the kernel --------------------------------------------------------------------------------------------------- */

static void over_leading(nd__matmul *p, int axis)
{
    nd__emit *e = &p->e;
    nd__hoist(e, 0);
    if (axis < p->rank - 2) {
        nd__kval *kept = nd__memo_keep(e);
        nd__open_axis(e, axis, 0, p->s.size[axis], 1);
        over_leading(p, axis + 1);
        nd__close_axis(e, axis);
        nd__memo_restore(e, kept);
    } else if (nd__get_int(p->node, ND__A_lanes)) {
        nd__dot(p);
    } else if (p->by_panels) {
        over_panels(p);
    } else {
        over_blocks(p, NULL);
    }
}

bool nd__lower_product(nd__block *b, const nd__group *g, nd__steps *steps)
{
    const nd__node *n = g->anchor;
    const nd_shape *shape = &n->results[0].shape, *in = &n->inputs[0]->shape;
    nd__matmul p = {.node = n, .rank = shape->rank};
    nd__factor left = {0}, right = {0};
    const bool dots = nd__get_int(n, ND__A_lanes);
    p.depth = in->dims[shape->rank - (nd__get_int(n, ND__A_trans_a) ? 2 : 1)];
    if (nd__elements(shape) == 0)
        return true;
    nd__space_begin(&p.s, b, g, g->rank, g->size);
    if (!find_operand(b, n, 0, &left) || !find_operand(b, n, 1, &right))
        return false;
    p.row_axis = p.rank - 2;
    p.lane_axis = p.rank - 1;
    p.scalars = left;
    p.vectors = right;
    p.band = nd__bounds_of(n, false);
    if (!dots && !decide(&p, &left, &right, steps))
        return false;
    /* Tiles have lanes along their axis even where its size is 1. */
    p.given = nd__expr_given(&p.s, &n->results[0], nd__axes_of(&p.s, p.rank) | (dots ? 0 : 1u << p.lane_axis));
    nd__know(&p.s, &n->results[0], p.given);
    nd__add_outputs(&p.s);
    nd__find_column_sums(&p);
    add_operand(&p, &p.scalars, p.row_axis);
    add_operand(&p, &p.vectors, p.lane_axis);
    if (!dots) {
        cut(&p);
        nd__cut_column_sums(&p);
        note_choice(&p);
    }
    p.scratch = dots ? -1 : nd__epilogue_scratch(&p.s, n->results[0].dtype, p.tile.rows * p.tile.vectors, lanes_of(&p));
    int64_t flops = 2 * nd__elements(shape) * p.depth;
    if (p.band.of_operand || p.band.of_result)
        flops =
            (int64_t)((double)flops * band_share(&p, &p.band, shape->dims[p.row_axis], shape->dims[p.lane_axis], 1, 1));
    p.e = nd__emit_begin(&p.s, "product");
    p.e.lanes = p.e.count = lanes_of(&p);
    p.e.lane_axis = dots ? -1 : p.lane_axis;
    if (!p.s.failed)
        over_leading(&p, 0);
    return nd__emit_end(&p.e, flops, steps);
}
