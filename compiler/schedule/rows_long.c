/* Long rows: elements in the lanes, in the order of accumulation of the bit contract: 32 lanes over blocks of 4096, a
 * tree, the blocks in order.
 *
 * A pass ends in the tree of its accumulators' lanes and often in a quotient or a root, all of which the next pass
 * waits for. Hence rows are walked in pairs: chains and trees of one fill the gaps in the other's, and what does not
 * depend on the row, a gain or the sums of columns, is loaded and stored once for both. (Four at a time took longer:
 * memory then has nothing to do for too long.) */
#include "compiler/schedule/rows.h"

#include <string.h>

enum {
    LINE = 64,   /* bytes that are fetched at once, */
    PAGE = 4096, /* and within which the processor finds the next ones by itself */
};

/* -- rows abreast ---------------------------------------------------------------------------------------------------
 */

static bool is_row_of_memory(const nd__rows *r, const nd__lin *at)
{
    return at->coef[r->axis] != 0 && at->coef[r->axis - 1] != 0;
}

/* Whether pass p takes the rows one after the other: accumulators that go on from row to row must have had all of one
 * before they get the next; and what is new to the cache, or leaves it, comes and goes quickest in one stream. A busy
 * pass does not wait for what comes. */
static bool is_one_by_one(const nd__rows *r, int p)
{
    const bool waits = !nd__rows_is_busy(r, p);
    bool any = false;
    for (int i = 0; i < r->part_count; i++)
        any |= r->parts[i].lanes >= 0 && r->parts[i].pass == p;
    for (int i = 0; i < r->s.expr_count && waits; i++)
        any |= r->s.exprs[i].kind == ND__E_LOAD && r->since[i] == p && is_row_of_memory(r, &r->s.exprs[i].at);
    for (int i = 0; i < r->s.output_count; i++)
        any |= r->s.outputs[i].stage == p;
    return any;
}

/* Bytes of memory that belong to one row: what the kernel reads and writes of it. */
static int64_t bytes_of_row(const nd__rows *r)
{
    int64_t bytes = 0;
    for (int i = 0; i < r->s.expr_count; i++) {
        const nd__expr *x = &r->s.exprs[i];
        const int64_t each = (int64_t)nd_dtype_size(x->dtype);
        if (x->kind == ND__E_LOAD && is_row_of_memory(r, &x->at))
            bytes += r->length * each;
    }
    for (int i = 0; i < r->s.output_count; i++)
        if (r->s.outputs[i].at.coef[r->axis] != 0)
            bytes += r->length * (int64_t)nd_dtype_size(r->s.exprs[r->s.outputs[i].expr].dtype);
    return bytes;
}

/* As many registers as a pass over one row accumulates in. */
static int accumulators(const nd__rows *r)
{
    int most = 0;
    for (int p = 0; p < r->passes; p++) {
        int n = 0;
        for (int k = 0; k < r->count; k++)
            n += r->reductions[k].pass == p;
        if (n > most && !is_one_by_one(r, p))
            most = n;
    }
    return most * ND__ROW_LANES / r->e.lanes;
}

int nd__rows_abreast(const nd__rows *r)
{
    const nd__target *target = r->s.block->target;
    if (r->axis == 0)
        return 1;
    const int64_t rows = r->s.size[r->axis - 1], bytes = bytes_of_row(r);
    for (int n = ND__MOST_ABREAST; n > 1; n /= 2)
        if (rows % n == 0 && r->lane_rows % n == 0 && n * bytes <= target->l1_bytes &&
            n * accumulators(r) <= target->vector_registers / 2)
            return n;
    return 1;
}

void nd__rows_turn_to(nd__rows *r, int row)
{
    nd__emit *e = &r->e;
    if (r->abreast == 1)
        return;
    r->row = row;
    e->memo = r->memos[row];
    e->coord[r->axis - 1] = nd__k_sum(r->first, nd__k_at(row));
    for (int i = 0; i < r->s.expr_count; i++) {
        nd__expr *x = &r->s.exprs[i];
        if (x->kind == ND__E_SPILL)
            x->at = nd__rows_kept_at(r);
        if (row > 0 && !(x->axes & 1u << (r->axis - 1)))
            e->memo[i] = r->memos[0][i];
    }
}

/* -- passes ---------------------------------------------------------------------------------------------------------
 */

/* What a pass accumulates in the rows from..to - 1: `parts` registers for each reduction, 32 lanes in all. */
typedef struct lanes_pass {
    nd__rows *r;
    int p, n, parts, from, to;
} lanes_pass;

static nd__kval *accumulator(const lanes_pass *l, int row, int k)
{
    return &l->r->acc[((row - l->from) * l->n + k) * l->parts];
}

static nd__kval *total_of(const lanes_pass *l, nd__kval *total, int row)
{
    return &total[(row - l->from) * l->n];
}

/* Lanes at and past `count` of x, which do not exist, become what changes nothing. */
static nd__kval masked(nd__emit *e, const nd__node *n, nd__kval x)
{
    if (e->count == e->lanes)
        return x;
    nd__kval lane = nd__k_index(&e->b, nd__k_type(ND_I32, e->lanes), nd__k_at(0), 1);
    nd__kval exists = nd__k_op2(&e->b, ND__K_lt, lane, nd__k_const(&e->b, nd__k_type(ND_I32, e->lanes), e->count));
    return nd__k_op3(&e->b, ND__K_select, exists, x, nd__reduction_start(&e->b, n, e->lanes));
}

/* Brings nearer the element of this row that is wanted after pass p, of the next rows where that pass is past. */
static void fetch(nd__rows *r, int param, const nd__lin *at, bool past, bool to_write)
{
    const nd__param *of = &r->s.params[param];
    const int64_t chunks = r->s.chunks > 1 ? r->s.chunks : 1;
    const int64_t size = (int64_t)nd_dtype_size(of->dtype), bytes = chunks * of->elems * size;
    if (r->axis == 0 || at->coef[r->axis] != 1 || at->coef[r->axis - 1] == 0 || r->length * size < PAGE ||
        bytes < r->s.block->target->l2_bytes / 4)
        return;
    nd__kaffine next = nd__k_at(past ? r->abreast * at->coef[r->axis - 1] : 0);
    nd__k_fetch(&r->e.b, r->e.buffers[param], nd__k_sum(nd__emit_affine(&r->e, at), next), to_write);
}

/* The longest pass has time to; what it is the first to read comes meanwhile. Rows shorter than a page are one stream,
 * which the processor finds by itself. */
static void fetch_next(nd__rows *r, int p)
{
    for (int i = 0; i < r->s.expr_count; i++) {
        const nd__expr *x = &r->s.exprs[i];
        if (x->kind == ND__E_LOAD && r->since[i] != p)
            fetch(r, x->param, &x->at, r->since[i] <= p, false);
    }
    for (int i = 0; i < r->s.output_count; i++)
        fetch(r, r->s.outputs[i].param, &r->s.outputs[i].at, r->s.outputs[i].stage <= p, true);
}

/* One register of elements of each row, the u-th of 32 lanes. All is read before anything is stored: a load from where,
 * but for the page, another row has just been stored would wait for that store. */
static void accumulate_register(const lanes_pass *l, int u)
{
    nd__emit *e = &l->r->e;
    for (int row = l->from; row < l->to; row++) {
        nd__rows_turn_to(l->r, row);
        for (int k = 0; k < l->n; k++) {
            const nd__node *node = l->r->found[k]->node;
            nd__kval *acc = &accumulator(l, row, k)[u];
            *acc = nd__reduction_join(&e->b, node, *acc, masked(e, node, nd__emit_wide(e, l->r->found[k]->operand)));
        }
        nd__rows_compute(l->r, l->p);
        if (l->p == l->r->longest && u * e->lanes * 4 % LINE == 0)
            fetch_next(l->r, l->p);
    }
    nd__add_to_columns(l->r, l->p, l->from, l->to);
    for (int row = l->from; row < l->to; row++) {
        nd__rows_turn_to(l->r, row);
        nd__rows_store_kept(l->r, l->p);
        nd__emit_outputs(e, l->p);
    }
}

static void restore(const lanes_pass *l, nd__kval *const *kept)
{
    for (int row = l->from; row < l->to; row++) {
        nd__rows_turn_to(l->r, row);
        nd__memo_restore(&l->r->e, kept[row]);
    }
}

/* `count` elements of the rows from `at` on, at most 32 (one register where nothing is reduced). */
static void accumulate(const lanes_pass *l, nd__kaffine at, int64_t count)
{
    nd__emit *e = &l->r->e;
    nd__kval *kept[ND__MOST_ABREAST] = {NULL};
    for (int row = l->from; row < l->to; row++) {
        nd__rows_turn_to(l->r, row);
        kept[row] = nd__memo_keep(e);
    }
    for (int u = 0; u < l->parts && u * e->lanes < count; u++) {
        const int64_t left = count - u * e->lanes;
        e->coord[l->r->axis] = nd__k_sum(at, nd__k_at(u * e->lanes));
        e->count = left < e->lanes ? (int)left : e->lanes;
        restore(l, kept);
        accumulate_register(l, u);
    }
    restore(l, kept);
}

nd__kval nd__lanes_tree(nd__emit *e, const nd__node *n, const nd__kval *acc)
{
    nd__kval part[ND__ROW_PARTS];
    nd__kop op = nd__reduction_op(n);
    int parts = ND__ROW_LANES / e->lanes;
    memcpy(part, acc, (size_t)parts * sizeof *part);
    for (; parts > 1; parts /= 2)
        for (int u = 0; u < parts / 2; u++)
            part[u] = nd__k_op2(&e->b, op, part[u], part[u + parts / 2]);
    if (e->lanes == 1)
        return part[0];
    return nd__k_op1(&e->b,
                     op == ND__K_add   ? ND__K_tree_add
                     : op == ND__K_max ? ND__K_tree_max
                                       : ND__K_tree_min,
                     part[0]);
}

/* The accumulators at the start of a block. */
static void begin_block(const lanes_pass *l)
{
    for (int row = l->from; row < l->to; row++)
        for (int k = 0; k < l->n; k++) {
            const nd__row_reduction *red = l->r->found[k];
            nd__kval *acc = accumulator(l, row, k);
            for (int u = 0; u < l->parts; u++)
                acc[u] = nd__reduction_start(&l->r->e.b, red->node, l->r->e.lanes);
            if (red->part && red->part->lanes >= 0)
                nd__load_lanes(l->r, red->part, acc);
        }
}

/* At its end: its sums are added to total[]. `number`: the row's how-manieth it is. */
static void end_block(const lanes_pass *l, nd__kaffine number, nd__kval *total)
{
    for (int row = l->from; row < l->to; row++) {
        nd__rows_turn_to(l->r, row);
        for (int k = 0; k < l->n; k++) {
            const nd__row_reduction *red = l->r->found[k];
            const nd__kval *acc = accumulator(l, row, k);
            nd__kval *sum = &total_of(l, total, row)[k];
            if (red->part && red->part->lanes >= 0)
                nd__store_lanes(l->r, red->part, acc);
            else if (red->part)
                nd__store_part(l->r, red->part, nd__k_sum(nd__first_block(l->r), number), acc);
            else
                *sum = nd__reduction_join(&l->r->e.b, red->node, *sum, nd__lanes_tree(&l->r->e, red->node, acc));
        }
    }
}

/* A block of the rows from `at` on. */
static void block(const lanes_pass *l, nd__kaffine at, int64_t length, nd__kaffine number, nd__kval *total)
{
    nd__emit *e = &l->r->e;
    const int n = (l->to - l->from) * l->n * l->parts, step = l->parts * e->lanes;
    const int64_t full = length - length % step;
    begin_block(l);
    if (full > 0) {
        nd__kval *acc = l->r->acc;
        int32_t c = nd__k_for(&e->b, nd__k_at(0), nd__k_at(full), step, n, acc, l->r->carried);
        memcpy(acc, l->r->carried, (size_t)n * sizeof *acc);
        accumulate(l, nd__k_plus(at, c, 1), step);
        nd__k_end_for(&e->b, acc, l->r->carried);
        memcpy(acc, l->r->carried, (size_t)n * sizeof *acc);
    }
    if (full < length)
        accumulate(l, nd__k_sum(at, nd__k_at(full)), length - full);
    end_block(l, number, total);
}

/* Pass p over some of the rows. One that reduces nothing has no blocks. */
static void over_blocks(nd__rows *r, int p, int from, int to)
{
    nd__emit *e = &r->e;
    const int n = nd__rows_find_pass(r, p), totals = n * (to - from);
    const lanes_pass l = {r, p, n, n > 0 ? ND__ROW_LANES / e->lanes : 1, from, to};
    const int64_t blocks = n > 0 ? r->length / ND__BLOCK : 0, rest = r->length - blocks * ND__BLOCK;
    for (int row = from; row < to; row++)
        for (int k = 0; k < n; k++)
            total_of(&l, r->total, row)[k] = nd__reduction_start(&e->b, r->found[k]->node, 1);
    e->open |= 1u << r->axis;
    if (blocks > 0) {
        int32_t i = nd__k_for(&e->b, nd__k_at(0), nd__k_at(blocks), 1, totals, r->total, r->total_carried);
        block(&l, nd__k_plus(nd__k_at(0), i, ND__BLOCK), ND__BLOCK, nd__k_plus(nd__k_at(0), i, 1), r->total_carried);
        nd__k_end_for(&e->b, r->total_carried, r->total);
    }
    if (rest > 0)
        block(&l, nd__k_at(blocks * ND__BLOCK), rest, nd__k_at(blocks), r->total);
    e->open &= ~(1u << r->axis);
    for (int row = from; row < to; row++) {
        nd__rows_turn_to(r, row);
        for (int k = 0; k < n; k++)
            if (!r->found[k]->part)
                e->memo[r->found[k]->given] =
                    nd__reduction_end(&e->b, r->found[k]->node, total_of(&l, r->total, row)[k]);
    }
}

static void over_rows(nd__rows *r, int p)
{
    for (int row = 0; row < r->abreast; row++) {
        nd__rows_turn_to(r, row);
        nd__hoist(&r->e, p);
    }
    if (!nd__rows_has_pass(r, p))
        return;
    const int together = r->abreast == 1 || is_one_by_one(r, p) ? 1 : r->abreast;
    for (int row = 0; row < r->abreast; row += together)
        over_blocks(r, p, row, row + together);
    nd__rows_load_kept(r, p);
}

/* What is known so far is known of the first row. False: memory ran out. */
static bool begin_rows(nd__rows *r)
{
    r->memos[0] = r->e.memo;
    if (r->axis > 0)
        r->first = r->e.coord[r->axis - 1];
    for (int row = 1; row < r->abreast; row++) {
        if (!(r->memos[row] = nd__memo_keep(&r->e)))
            return false;
        for (int i = 0; i < r->s.expr_count; i++)
            if (r->s.exprs[i].axes & 1u << (r->axis - 1))
                r->memos[row][i] = -1;
    }
    return true;
}

void nd__rows_in_passes(nd__rows *r)
{
    nd__emit *e = &r->e;
    if (!begin_rows(r))
        return;
    for (int p = 0; p < r->passes; p++)
        over_rows(r, p);
    for (int row = 0; row < r->abreast; row++) {
        nd__rows_turn_to(r, row);
        nd__hoist(e, r->passes);
        nd__emit_outputs(e, ND__AFTER_ROW);
    }
    nd__rows_turn_to(r, 0);
}
