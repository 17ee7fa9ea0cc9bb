/* Sums in two steps: the kernel that computes what is summed also sums its blocks, the sum's own kernel joins those.
 *
 * A long sum is made of blocks by definition (doc/bits.md): of 64 rows where the rows are kept, of 4096 elements where
 * all is summed. What is summed then never goes to memory, and threads may compute blocks at once, whose sums are
 * joined in order all the same.
 *
 * The blocks of columns take a row of accumulators, in memory that stays in the first-level cache: each row is added as
 * soon as it is there. A block of all elements has 32 lanes, which are kept from row to row where it has more than one;
 * where rows have whole blocks, they are registers. */
#include "compiler/schedule/rows.h"

#include <string.h>

enum { FEWEST_BLOCKS = 2 };

/* -- which sums -----------------------------------------------------------------------------------------------------
 */

/* The first axis that is not of size 1; the rank: none. */
static int first_axis(const nd_shape *shape)
{
    int d = 0;
    while (d < shape->rank && shape->dims[d] == 1)
        d++;
    return d;
}

static bool parts_of_all(const nd__node *n, nd__parts *p)
{
    const nd_value *v = nd__past_names(n->inputs[0]);
    const nd_shape *shape = &v->shape;
    const int64_t all = nd__elements(shape), reduced = n->inputs[0]->shape.dims[nd__get_ints(n, ND__A_axes)[0]];
    if (all != reduced || all < FEWEST_BLOCKS * ND__BLOCK || shape->rank == 0 ||
        shape->dims[shape->rank - 1] <= ND__CHAIN)
        return false;
    const int64_t row = shape->dims[shape->rank - 1], inner = all / shape->dims[first_axis(shape)];
    *p = (nd__parts){.operand = v, .whole = true, .count = (all + ND__BLOCK - 1) / ND__BLOCK, .width = 1};
    if (row == all || row % ND__BLOCK == 0)
        return true;
    p->rows = ND__BLOCK / inner; /* inner is more than 64, so that they are parts of the 64 rows of other sums */
    return ND__BLOCK % inner == 0;
}

bool nd__parts_of(const nd__block *b, const nd__node *n, nd__parts *p)
{
    if (!(nd__ops[n->op].traits & ND__REDUCTION))
        return false;
    const nd_shape *shape = &n->inputs[0]->shape;
    const int axis = (int)nd__get_ints(n, ND__A_axes)[0];
    if (axis == shape->rank - 1)
        return parts_of_all(n, p);
    const int64_t width = nd__elements(&n->results[0].shape), length = shape->dims[axis];
    *p = (nd__parts){
        .operand = n->inputs[0], .count = (length + ND__CHAIN - 1) / ND__CHAIN, .width = width, .rows = ND__CHAIN};
    return axis == first_axis(shape) && length > ND__CHAIN && shape->dims[shape->rank - 1] > ND__CHAIN &&
           width * (int64_t)nd_dtype_size(n->results[0].dtype) <= b->target->l1_bytes / 2;
}

/* -- the accumulators -----------------------------------------------------------------------------------------------
 */

void nd__find_parts(nd__rows *r)
{
    const nd__group *g = r->s.group;
    nd__block *b = r->s.block;
    for (int i = 0; i < g->summed_count; i++) {
        const nd__node *n = g->summed[i];
        const nd_dtype dtype = n->results[0].dtype;
        nd__parts p;
        nd__parts_of(b, n, &p);
        nd__index identity = nd__identity(&p.operand->shape);
        nd__row_part *part = &r->parts[r->part_count++];
        *part = (nd__row_part){.node = n, .parts = p, .operand = nd__resolve(&r->s, p.operand, &identity), .lanes = -1};
        part->param = nd__param_of(&r->s, b->sums[n->number], dtype, p.count * p.width, ND__K_OUT, "sums");
        if (r->s.failed)
            return;
        r->s.params[part->param].walked = true; /* by blocks: nd__cut_parts */
        if (p.rows > r->block_rows)
            r->block_rows = p.rows;
        if (p.whole && p.rows > 0) {
            r->lane_rows = p.rows;
            part->lanes = nd__param_of(&r->s, nd__new_buffer(b, dtype, ND__ROW_LANES, "lanes"), dtype, ND__ROW_LANES,
                                       ND__K_SCRATCH, "lanes");
        }
    }
}

void nd__cut_parts(nd__rows *r)
{
    int64_t points = 1;
    for (int d = 0; d < r->s.rank; d++)
        points *= r->s.size[d];
    for (int i = 0; i < r->part_count && r->s.chunks > 1; i++) {
        const nd__row_part *part = &r->parts[i];
        nd__param *p = &r->s.params[part->param];
        p->chunk = part->parts.whole ? points / ND__BLOCK : r->s.size[0] / ND__CHAIN * part->parts.width;
        p->elems -= p->chunk * (r->s.chunks - 1);
    }
}

/* Where the part of a sum of columns lies that the point belongs to. */
static nd__kaffine column_at(const nd__rows *r, const nd__row_part *part)
{
    nd__kaffine at = nd__k_scaled(r->block, part->parts.width);
    int64_t strides[ND__AXES];
    nd__strides(r->s.rank, r->s.size, strides);
    for (int d = 1; d < r->s.rank; d++)
        at = nd__k_sum(at, nd__k_scaled(r->e.coord[d], strides[d]));
    return at;
}

void nd__add_to_columns(nd__rows *r, int p, int from, int to)
{
    nd__emit *e = &r->e;
    const bool same = r->axis == 1; /* the rows' columns are the same ones */
    for (int i = 0; i < r->part_count; i++) {
        const nd__row_part *part = &r->parts[i];
        nd__kval sum = -1;
        if (part->parts.whole || part->pass != p)
            continue;
        for (int row = from; row < to; row++) {
            nd__rows_turn_to(r, row);
            nd__kaffine at = column_at(r, part);
            if (row == from || !same)
                sum = nd__k_load(&e->b, e->buffers[part->param], at, e->lanes, 1, e->count);
            sum = nd__reduction_join(&e->b, part->node, sum, nd__emit_wide(e, part->operand));
            if (row + 1 == to || !same)
                nd__k_store(&e->b, e->buffers[part->param], at, sum, 1, e->count);
        }
    }
}

void nd__load_lanes(nd__rows *r, const nd__row_part *part, nd__kval *acc)
{
    nd__emit *e = &r->e;
    for (int u = 0; u * e->lanes < ND__ROW_LANES; u++)
        acc[u] = nd__k_load(&e->b, e->buffers[part->lanes], nd__k_at(u * e->lanes), e->lanes, 1, e->lanes);
}

void nd__store_lanes(nd__rows *r, const nd__row_part *part, const nd__kval *acc)
{
    nd__emit *e = &r->e;
    for (int u = 0; u * e->lanes < ND__ROW_LANES; u++)
        nd__k_store(&e->b, e->buffers[part->lanes], nd__k_at(u * e->lanes), acc[u], 1, e->lanes);
}

void nd__store_part(nd__rows *r, const nd__row_part *part, nd__kaffine block, const nd__kval *acc)
{
    nd__kval sum = nd__lanes_tree(&r->e, part->node, acc);
    nd__k_store(&r->e.b, r->e.buffers[part->param], block, sum, 1, 1);
}

/* The number of the row's first block, where rows have whole blocks. */
nd__kaffine nd__first_block(const nd__rows *r)
{
    nd__kaffine first = nd__k_at(0);
    int64_t strides[ND__AXES];
    nd__strides(r->s.rank, r->s.size, strides);
    for (int d = 0; d < r->axis; d++)
        first = nd__k_sum(first, nd__k_scaled(r->e.coord[d], strides[d] / ND__BLOCK));
    return first;
}

/* -- blocks of rows -------------------------------------------------------------------------------------------------
 */

/* Columns from `at` on of the block's accumulators. */
static void clear(nd__rows *r, nd__kaffine at, int count)
{
    nd__emit *e = &r->e;
    for (int i = 0; i < r->part_count; i++) {
        const nd__row_part *part = &r->parts[i];
        if (!part->parts.whole)
            nd__k_store(&e->b, e->buffers[part->param], nd__k_sum(nd__k_scaled(r->block, part->parts.width), at),
                        nd__reduction_start(&e->b, part->node, e->lanes), 1, count);
    }
}

static void clear_columns(nd__rows *r)
{
    nd__emit *e = &r->e;
    int64_t width = 1;
    for (int d = 1; d < r->s.rank; d++)
        width *= r->s.size[d];
    const int64_t full = width - width % e->lanes;
    int32_t j = nd__k_for(&e->b, nd__k_at(0), nd__k_at(full), e->lanes, 0, NULL, NULL);
    clear(r, nd__k_plus(nd__k_at(0), j, 1), e->lanes);
    nd__k_end_for(&e->b, NULL, NULL);
    if (full < width)
        clear(r, nd__k_at(full), (int)(width - full));
}

/* Opens a branch for rows that exist, where the last block has not got them all. */
static bool begin_existing(nd__rows *r, nd__kaffine row, int64_t unit)
{
    nd__emit *e = &r->e;
    const nd__ktype number = nd__k_type(ND_I64, 1);
    if (r->s.size[0] % unit == 0)
        return false;
    nd__kval size = nd__k_const_bits(&e->b, number, (uint64_t)r->s.size[0]);
    nd__k_if(&e->b, nd__k_op2(&e->b, ND__K_lt, nd__k_index(&e->b, number, row, 0), size));
    return true;
}

static void end_existing(nd__rows *r, bool begun)
{
    if (begun)
        nd__k_end_if(&r->e.b, 0, NULL, NULL);
}

/* `count` rows from `first` on. */
static void over_rows(nd__rows *r, nd__kaffine first, int64_t count)
{
    nd__emit *e = &r->e;
    nd__kval *kept = nd__memo_keep(e);
    int32_t i = nd__k_for(&e->b, nd__k_at(0), nd__k_at(count), r->axis == 1 ? r->abreast : 1, 0, NULL, NULL);
    e->coord[0] = nd__k_plus(first, i, 1);
    e->open |= 1;
    bool some = begin_existing(r, e->coord[0], count);
    nd__rows_over(r, 1);
    end_existing(r, some);
    e->open &= ~1u;
    nd__k_end_for(&e->b, NULL, NULL);
    nd__memo_restore(e, kept);
}

/* The rows that one part of a sum of all elements has; its number. */
static void over_lane_block(nd__rows *r, nd__kaffine first, nd__kaffine number)
{
    nd__emit *e = &r->e;
    nd__kval acc[ND__ROW_LANES];
    for (int i = 0; i < r->part_count; i++) {
        for (int u = 0; u < ND__ROW_LANES; u++)
            acc[u] = nd__reduction_start(&e->b, r->parts[i].node, e->lanes);
        if (r->parts[i].lanes >= 0)
            nd__store_lanes(r, &r->parts[i], acc);
    }
    over_rows(r, first, r->lane_rows);
    for (int i = 0; i < r->part_count; i++)
        if (r->parts[i].lanes >= 0) {
            nd__load_lanes(r, &r->parts[i], acc);
            nd__store_part(r, &r->parts[i], number, acc);
        }
}

void nd__over_blocks(nd__rows *r)
{
    nd__emit *e = &r->e;
    const int64_t rows = r->block_rows, inner = r->lane_rows;
    const int64_t count = (r->s.size[0] + rows - 1) / rows;
    nd__hoist(e, 0);
    int32_t i = nd__k_for(&e->b, nd__k_at(0), nd__k_at(count), 1, 0, NULL, NULL);
    nd__kaffine first = nd__k_plus(nd__k_at(0), i, rows);
    r->block = nd__k_plus(nd__k_at(0), i, 1);
    if (rows == ND__CHAIN)
        clear_columns(r);
    if (inner == 0) {
        over_rows(r, first, rows);
    } else if (inner == rows) {
        over_lane_block(r, first, r->block);
    } else {
        int32_t j = nd__k_for(&e->b, nd__k_at(0), nd__k_at(rows / inner), 1, 0, NULL, NULL);
        nd__kaffine at = nd__k_plus(first, j, inner);
        bool some = begin_existing(r, at, rows);
        over_lane_block(r, at, nd__k_plus(nd__k_scaled(r->block, rows / inner), j, 1));
        end_existing(r, some);
        nd__k_end_for(&e->b, NULL, NULL);
    }
    nd__k_end_for(&e->b, NULL, NULL);
}
