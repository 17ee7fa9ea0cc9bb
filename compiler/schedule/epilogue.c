/* Epilogues: a short one is written down for every register of the tile, which stays where it is; a long one is a loop
 * over the tile in scratch memory. The tile is small enough for the first-level cache, so the loop costs hardly
 * anything, and generating code takes time for every instruction written down. The loop stands apart, or its constants
 * would be kept in registers that the sums need. */
#include "compiler/schedule/epilogue.h"

enum { SHORT = 160, FUNCTION = 20 /* instructions; of an elementary function */ };

int nd__epilogue_scratch(nd__space *s, nd_dtype dtype, int registers, int lanes)
{
    int each = s->output_count;
    for (int i = 0; i < s->expr_count; i++) {
        const nd__expr *x = &s->exprs[i];
        const bool costly = x->kind == ND__E_OP && (nd__ops[x->op].traits & ND__COSTLY);
        each += x->given || x->kind == ND__E_LOAD ? costly ? FUNCTION : 1 : 0;
    }
    if (registers == 1 || each * registers <= SHORT)
        return -1;
    const int64_t elems = (int64_t)registers * lanes;
    nd__spot spot = nd__new_buffer(s->block, dtype, elems, "tile");
    return nd__param_of(s, spot, dtype, elems, ND__K_SCRATCH, "tile");
}

/* -- sums of columns ---------------------------------------------------------------------------------------------- */

static nd__kval load_sum(nd__emit *e, const nd__tile *t, int i)
{
    return nd__k_load(&e->b, e->buffers[t->sums[i].param], nd__k_sum(t->sums_at, e->coord[t->lane_axis]), e->lanes, 1,
                      e->count);
}

static void store_sum(nd__emit *e, const nd__tile *t, int i, nd__kval sum)
{
    nd__k_store(&e->b, e->buffers[t->sums[i].param], nd__k_sum(t->sums_at, e->coord[t->lane_axis]), sum, 1, e->count);
}

static nd__kval add_point(nd__emit *e, const nd__tile *t, int i, nd__kval sum)
{
    return nd__reduction_join(&e->b, t->sums[i].node, sum, nd__emit_wide(e, t->sums[i].operand));
}

/* -- short ones --------------------------------------------------------------------------------------------------- */

/* The point of row r and vector v. */
static void at_point(nd__emit *e, const nd__tile *t, int r, int v)
{
    e->coord[t->row_axis] = nd__k_sum(t->row, nd__k_at(r));
    e->coord[t->lane_axis] = nd__k_sum(t->column, nd__k_at(v * e->lanes));
    e->count = v == t->vectors - 1 ? t->last : e->lanes;
}

/* What depends on the row, or on the column, only is computed once for all of the tile. */
static void unrolled(nd__emit *e, const nd__tile *t, const nd__kval *acc)
{
    enum { MOST = ND__MAX_LANES };
    const unsigned outer = e->open, row_bit = 1u << t->row_axis, lane_bit = 1u << t->lane_axis;
    nd__kval *kept = nd__memo_keep(e), *by_row[MOST], *by_vector[MOST];
    nd__kval *sum = nd__arena_alloc(e->s->arena, (size_t)(t->vectors * t->sum_count), sizeof *sum);
    e->s->failed = e->s->failed || !sum;
    for (int r = 0; r < t->rows; r++) {
        at_point(e, t, r, 0);
        e->open = outer | row_bit;
        nd__memo_restore(e, kept);
        nd__hoist(e, 0);
        by_row[r] = nd__memo_keep(e);
    }
    for (int v = 0; v < t->vectors; v++) {
        at_point(e, t, 0, v);
        e->open = outer | lane_bit;
        nd__memo_restore(e, kept);
        nd__hoist(e, 0);
        by_vector[v] = nd__memo_keep(e);
        for (int i = 0; i < t->sum_count && sum; i++)
            sum[v * t->sum_count + i] = load_sum(e, t, i);
    }
    e->open = outer | row_bit | lane_bit;
    for (int r = 0; r < t->rows && !e->s->failed; r++)
        for (int v = 0; v < t->vectors; v++) {
            at_point(e, t, r, v);
            for (int i = 0; i < e->s->expr_count; i++)
                e->memo[i] = by_row[r][i] >= 0 ? by_row[r][i] : by_vector[v][i];
            e->memo[t->given] = acc[r * t->vectors + v];
            nd__emit_outputs(e, 0);
            for (int i = 0; i < t->sum_count; i++)
                sum[v * t->sum_count + i] = add_point(e, t, i, sum[v * t->sum_count + i]);
        }
    for (int v = 0; v < t->vectors && t->sum_count > 0 && sum; v++) {
        at_point(e, t, 0, v);
        for (int i = 0; i < t->sum_count; i++)
            store_sum(e, t, i, sum[v * t->sum_count + i]);
    }
    e->open = outer;
    nd__memo_restore(e, kept);
}

/* -- long ones ---------------------------------------------------------------------------------------------------- */

/* `vectors`, one or two, from `column` elements into the row of the tile that is open, which lies at `from`; `count`
 * lanes exist. */
static void rolled_vectors(nd__emit *e, const nd__tile *t, nd__kaffine from, nd__kaffine column, int vectors, int count)
{
    nd__kval *kept = nd__memo_keep(e), value[2];
    e->coord[t->lane_axis] = nd__k_sum(t->column, column);
    e->count = count;
    for (int v = 0; v < vectors; v++)
        value[v] = nd__k_load(&e->b, e->buffers[t->scratch], nd__k_sum(nd__k_sum(from, column), nd__k_at(v * e->lanes)),
                              e->lanes, 1, e->lanes);
    if (vectors == 2) {
        nd__emit_outputs_abreast(e, 0, t->given, value);
    } else {
        e->memo[t->given] = value[0];
        nd__emit_outputs(e, 0);
        for (int i = 0; i < t->sum_count; i++)
            store_sum(e, t, i, add_point(e, t, i, load_sum(e, t, i)));
    }
    nd__memo_restore(e, kept);
}

/* The vectors of a row that lies at `from`; the loop stands apart unless the rows' does. */
static void rolled_row(nd__emit *e, const nd__tile *t, nd__kaffine from)
{
    const int full = t->last == e->lanes ? t->vectors : t->vectors - 1;
    const int abreast = full % 2 == 0 && t->sum_count == 0 && nd__abreast_pays(e) ? 2 : 1;
    const nd__kaffine first = nd__k_at(0), end = nd__k_at((int64_t)full * e->lanes);
    if (full > 0) {
        int32_t v = t->row_axis < 0 ? nd__k_for_apart(&e->b, first, end, abreast * e->lanes)
                                    : nd__k_for(&e->b, first, end, abreast * e->lanes, 0, NULL, NULL);
        rolled_vectors(e, t, from, nd__k_plus(first, v, 1), abreast, e->lanes);
        nd__k_end_for(&e->b, NULL, NULL);
    }
    if (full < t->vectors)
        rolled_vectors(e, t, from, end, 1, t->last);
}

static void rolled(nd__emit *e, const nd__tile *t, const nd__kval *acc)
{
    const unsigned outer = e->open, lane_bit = 1u << t->lane_axis;
    nd__kval *kept = nd__memo_keep(e);
    for (int i = 0; i < t->rows * t->vectors; i++)
        nd__k_store(&e->b, e->buffers[t->scratch], nd__k_at((int64_t)i * e->lanes), acc[i], 1, e->lanes);
    if (t->row_axis < 0) {
        e->open = outer | lane_bit;
        rolled_row(e, t, nd__k_at(0));
    } else {
        int32_t r = nd__k_for_apart(&e->b, nd__k_at(0), nd__k_at(t->rows), 1);
        e->coord[t->row_axis] = nd__k_plus(t->row, r, 1);
        e->open = outer | 1u << t->row_axis;
        nd__hoist(e, 0);
        e->open |= lane_bit;
        rolled_row(e, t, nd__k_plus(nd__k_at(0), r, (int64_t)t->vectors * e->lanes));
        nd__k_end_for(&e->b, NULL, NULL);
    }
    e->open = outer;
    nd__memo_restore(e, kept);
}

void nd__finish_tile(nd__emit *e, const nd__tile *t, const nd__kval *acc)
{
    if (t->scratch >= 0)
        rolled(e, t, acc);
    else
        unrolled(e, t, acc);
}
