/* Short rows: the lanes hold one element each of neighbouring rows.
 *
 * Where rows lie in memory one after the other, those elements do not lie side by side. Then blocks of as many columns
 * as rows are transposed in registers on their way between memory and scratch, [column][lane], from where the passes
 * load and to where they store whole registers. */
#include "compiler/schedule/rows.h"

#include <string.h>

/* -- transposed blocks --------------------------------------------------------------------------------------------- */

/* Whether an address moves through a row element by element, and from row to row otherwise. */
static bool is_turned(const nd__rows *r, const nd__lin *at, nd_dtype dtype)
{
    const int64_t from_row_to_row = at->coef[r->e.lane_axis];
    return at->coef[r->axis] == 1 && from_row_to_row != 0 && from_row_to_row != 1 && nd_dtype_size(dtype) >= 4;
}

void nd__rows_find_turned(nd__rows *r)
{
    double points = r->s.chunks > 1 ? r->s.chunks : 1;
    for (int d = 0; d < r->s.rank; d++)
        points *= (double)r->s.size[d];
    if (r->e.lane_axis < 0 || points < ND__FEW_POINTS ||
        2 * r->length < r->e.lanes) /* most of a block would be empty */
        return;
    for (int i = 0; i < r->s.expr_count; i++) {
        const nd__expr *x = &r->s.exprs[i];
        r->turned[i] = x->kind == ND__E_LOAD && is_turned(r, &x->at, x->dtype);
    }
    for (int i = 0; i < r->s.output_count; i++) {
        nd__output *output = &r->s.outputs[i];
        const nd__expr *x = &r->s.exprs[output->expr];
        if (x->kind == ND__E_OP && nd__in_row(r, output->expr) && is_turned(r, &output->at, x->dtype)) {
            output->stage = ND__TURNED;
            r->keep[output->expr] = true;
        }
    }
}

/* Registers of `size` elements each, `count` of which exist, `stride` apart. */
static void load_block(nd__rows *r, int32_t buffer, nd__kaffine at, int64_t stride, int count, int size, nd__kval *in)
{
    nd__kbuilder *b = &r->e.b;
    for (int i = 0; i < r->e.lanes; i++) {
        nd__ktype type = nd__k_type(b->k ? b->k->buffers[buffer].dtype : ND_F32, r->e.lanes);
        in[i] = i < count ? nd__k_load(b, buffer, nd__k_sum(at, nd__k_at(i * stride)), r->e.lanes, 1, size)
                          : nd__k_const_bits(b, type, 0);
    }
}

static void store_block(nd__rows *r, int32_t buffer, nd__kaffine at, int64_t stride, int count, int size,
                        const nd__kval *out)
{
    for (int i = 0; i < count; i++)
        nd__k_store(&r->e.b, buffer, nd__k_sum(at, nd__k_at(i * stride)), out[i], 1, size);
}

/* One array between memory and scratch. */
typedef struct turn {
    int32_t memory, scratch; /* buffers */
    nd__lin at;              /* in memory */
    bool stores;
} turn;

/* `columns` columns from the coordinate of the row's axis on. */
static void turn_block(nd__rows *r, const turn *t, int columns)
{
    nd__emit *e = &r->e;
    nd__kval in[ND__MAX_LANES], out[ND__MAX_LANES];
    nd__kaffine memory = nd__emit_affine(e, &t->at), scratch = nd__k_scaled(e->coord[r->axis], e->lanes);
    const int64_t row = t->at.coef[e->lane_axis];
    if (t->stores)
        load_block(r, t->scratch, scratch, e->lanes, columns, e->count, in);
    else
        load_block(r, t->memory, memory, row, e->count, columns, in);
    nd__k_transpose(&e->b, e->lanes, in, out);
    if (t->stores)
        store_block(r, t->memory, memory, row, e->count, columns, out);
    else
        store_block(r, t->scratch, scratch, e->lanes, columns, e->count, out);
}

static void turn_rows(nd__rows *r, const turn *t)
{
    nd__emit *e = &r->e;
    const int64_t full = r->length - r->length % e->lanes;
    if (full > 0) {
        int32_t c = nd__k_for(&e->b, nd__k_at(0), nd__k_at(full), e->lanes, 0, NULL, NULL);
        e->coord[r->axis] = nd__k_plus(nd__k_at(0), c, 1);
        turn_block(r, t, e->lanes);
        nd__k_end_for(&e->b, NULL, NULL);
    }
    if (full < r->length) {
        e->coord[r->axis] = nd__k_at(full);
        turn_block(r, t, (int)(r->length - full));
    }
}

static void load_turned(nd__rows *r)
{
    for (int i = 0; i < r->s.expr_count; i++) {
        const nd__expr *x = &r->s.exprs[i];
        if (!r->turned[i])
            continue;
        turn_rows(r, &(turn){r->e.buffers[x->param], r->e.buffers[r->scratch[i]], x->at, false});
        nd__rows_load_scratch(r, i);
    }
}

static void store_turned(nd__rows *r)
{
    for (int i = 0; i < r->s.output_count; i++) {
        const nd__output *output = &r->s.outputs[i];
        if (output->stage == ND__TURNED)
            turn_rows(r,
                      &(turn){r->e.buffers[output->param], r->e.buffers[r->scratch[output->expr]], output->at, true});
    }
}

/* -- passes ---------------------------------------------------------------------------------------------------------
 */

/* A pass over rows of which the lanes hold one element each, with n reductions. */
static void reduce_rows(nd__rows *r, int p, int n)
{
    nd__emit *e = &r->e;
    nd__kval *kept = nd__memo_keep(e);
    for (int k = 0; k < n; k++)
        r->acc[k] = nd__reduction_start(&e->b, r->found[k]->node, e->lanes);
    int32_t c = nd__k_for(&e->b, nd__k_at(0), nd__k_at(r->length), 1, n, r->acc, r->carried);
    e->coord[r->axis] = nd__k_plus(nd__k_at(0), c, 1);
    e->open |= 1u << r->axis;
    for (int k = 0; k < n; k++)
        r->acc[k] = nd__reduction_join(&e->b, r->found[k]->node, r->carried[k], nd__emit_wide(e, r->found[k]->operand));
    nd__rows_store_kept(r, p);
    nd__emit_outputs(e, p);
    nd__k_end_for(&e->b, r->acc, r->carried);
    e->open &= ~(1u << r->axis);
    nd__memo_restore(e, kept);
    for (int k = 0; k < n; k++)
        e->memo[r->found[k]->given] = nd__reduction_end(&e->b, r->found[k]->node, r->carried[k]);
}

void nd__rows_in_lanes(nd__emit *e, void *rows)
{
    nd__rows *r = rows;
    nd__expr *saved = nd__arena_alloc(r->s.arena, (size_t)r->s.expr_count, sizeof *saved);
    if (!saved) {
        r->s.failed = true;
        return;
    }
    memcpy(saved, r->s.exprs, (size_t)r->s.expr_count * sizeof *saved);
    load_turned(r);
    for (int p = 0; p < r->passes; p++) {
        nd__hoist(e, p);
        if (!nd__rows_has_pass(r, p))
            continue;
        reduce_rows(r, p, nd__rows_find_pass(r, p));
        nd__rows_load_kept(r, p);
    }
    nd__hoist(e, r->passes);
    store_turned(r);
    nd__emit_outputs(e, ND__AFTER_ROW);
    /* The rows left over are written by the same walk again. */
    memcpy(r->s.exprs, saved, (size_t)r->s.expr_count * sizeof *saved);
}
