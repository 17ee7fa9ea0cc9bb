/* Rows: reductions along the last axis, and what is elementwise before, between and after them, row by row.
 *
 * A row is walked in passes: pass p computes what waits for p of the row's reductions one after another (the stage of
 * an expression). In softmax, pass 0 finds the maximum, pass 1 sums exp(x - max), pass 2 divides. What an earlier pass
 * computed and is costly stays in scratch memory of one row; what is cheap is computed again.
 *
 * Long rows have their elements in the lanes (rows_long.c). Rows of up to 64 elements are chains: there the lanes hold
 * one element each of neighbouring rows (rows_short.c). */
#include "compiler/schedule/rows.h"

#include <math.h>
#include <string.h>

enum {
    KEEP_COST = 5, /* operations and loads from which on a value is kept for later passes, */
    COSTLY = 10,   /* operations that an elementary function counts as, */
    DIVISION = 4,  /* and a division */
};

/* -- reductions as instructions --------------------------------------------------------------------------------------
 */

nd__kop nd__reduction_op(const nd__node *n)
{
    return n->op == ND__OP_sum ? ND__K_add : n->op == ND__OP_reduce_max ? ND__K_max : ND__K_min;
}

nd__kval nd__reduction_start(nd__kbuilder *b, const nd__node *n, int lanes)
{
    nd_dtype dtype = n->results[0].dtype;
    nd__ktype type = nd__k_type(dtype, lanes);
    const bool max = n->op == ND__OP_reduce_max;
    if (n->op == ND__OP_sum)
        return nd__k_const_bits(b, type, 0);
    if (nd_dtype_is_float(dtype))
        return nd__k_const(b, type, max ? -INFINITY : INFINITY);
    const uint64_t sign = (uint64_t)1 << (8 * nd_dtype_size(dtype) - 1);
    const uint64_t low = nd_dtype_is_signed(dtype) ? sign : 0, high = nd_dtype_is_signed(dtype) ? sign - 1 : UINT64_MAX;
    return nd__k_const_bits(b, type, max ? low : high);
}

/* The element comes first: of two, max and min ask the first whether it is a NaN, and the next element need not wait
 * for an answer about this one. */
nd__kval nd__reduction_join(nd__kbuilder *b, const nd__node *n, nd__kval acc, nd__kval x)
{
    return nd__k_op2(b, nd__reduction_op(n), x, acc);
}

nd__kval nd__reduction_end(nd__kbuilder *b, const nd__node *n, nd__kval x)
{
    nd__ktype type = nd__k_type(n->results[0].dtype, b->k && x >= 0 ? b->k->types[x].lanes : 1);
    if (n->op == ND__OP_sum || !nd_dtype_is_float(n->results[0].dtype))
        return x;
    return nd__k_op2(b, ND__K_add, x, nd__k_const_bits(b, type, 0));
}

/* -- stages ----------------------------------------------------------------------------------------------------------
 */

static void find_stages(nd__rows *r)
{
    for (int i = 0; i < r->s.expr_count; i++) {
        nd__expr *x = &r->s.exprs[i];
        for (int k = 0; k < x->arg_count; k++)
            if (r->s.exprs[x->args[k]].stage > x->stage)
                x->stage = r->s.exprs[x->args[k]].stage;
        for (int k = 0; k < r->count && x->kind == ND__E_GIVEN; k++)
            if (r->reductions[k].given == i) {
                r->reductions[k].pass = r->s.exprs[r->reductions[k].operand].stage;
                x->stage = r->reductions[k].pass + 1;
            }
    }
    for (int k = 0; k < r->part_count; k++)
        r->parts[k].pass = r->s.exprs[r->parts[k].operand].stage;
    for (int k = 0; k < r->count; k++) {
        if (r->reductions[k].part)
            r->reductions[k].pass = r->reductions[k].part->pass;
        if (r->reductions[k].pass >= r->passes)
            r->passes = r->reductions[k].pass + 1;
    }
    for (int k = 0; k < r->part_count; k++)
        if (r->parts[k].pass >= r->passes)
            r->passes = r->parts[k].pass + 1;
    for (int i = 0; i < r->s.output_count; i++) {
        nd__output *output = &r->s.outputs[i];
        bool row = output->at.coef[r->axis] != 0;
        output->stage = row ? r->s.exprs[output->expr].stage : ND__AFTER_ROW;
        if (row && output->stage >= r->passes)
            r->passes = output->stage + 1;
    }
}

static int own_cost(const nd__expr *x)
{
    if (x->kind == ND__E_RANDOM || (x->kind == ND__E_OP && (nd__ops[x->op].traits & ND__COSTLY)))
        return COSTLY;
    return x->kind == ND__E_OP ? (x->op == ND__OP_div ? DIVISION : 1) : x->kind == ND__E_LOAD;
}

static int cost(const nd__rows *r, int expr)
{
    const nd__expr *x = &r->s.exprs[expr];
    int sum = own_cost(x);
    for (int k = 0; k < x->arg_count && sum < KEEP_COST; k++)
        if (nd__in_row(r, x->args[k]))
            sum += cost(r, x->args[k]);
    return sum;
}

static bool uses(const nd__expr *x, int expr)
{
    bool any = false;
    for (int k = 0; k < x->arg_count; k++)
        any |= x->args[k] == expr;
    return any;
}

/* Whether something wants the expression in its own pass. */
static bool is_wanted_there(const nd__rows *r, int expr)
{
    bool any = false;
    for (int i = expr + 1; i < r->s.expr_count; i++)
        any |= r->s.exprs[i].stage == r->s.exprs[expr].stage && uses(&r->s.exprs[i], expr);
    for (int k = 0; k < r->count; k++)
        any |= r->reductions[k].operand == expr;
    for (int k = 0; k < r->part_count; k++)
        any |= r->parts[k].operand == expr;
    for (int i = 0; i < r->s.output_count; i++)
        any |= r->s.outputs[i].expr == expr;
    return any;
}

/* Whether a later pass had better make it itself: of one operand in the row, which is kept instead, and of what is
 * known of the row. Its own pass then has less to do, and one that stores what it makes has time to. */
static bool is_last_step(const nd__rows *r, int expr)
{
    const nd__expr *x = &r->s.exprs[expr];
    int kept = 0, others = 0;
    for (int k = 0; k < x->arg_count; k++)
        if (nd__in_row(r, x->args[k]))
            *(cost(r, x->args[k]) >= KEEP_COST ? &kept : &others) += 1;
    return own_cost(x) == 1 && kept == 1 && others == 0 && !is_wanted_there(r, expr);
}

/* Marks what a pass needs of earlier ones and should not compute again. What it keeps for later ones is known. */
static void mark_kept(nd__rows *r, int p, bool *wanted)
{
    for (int i = 0; i < r->s.expr_count; i++)
        wanted[i] = r->keep[i] && r->s.exprs[i].stage == p;
    for (int k = 0; k < r->count; k++)
        if (r->reductions[k].pass == p)
            wanted[r->reductions[k].operand] = true;
    for (int k = 0; k < r->part_count; k++)
        if (r->parts[k].pass == p)
            wanted[r->parts[k].operand] = true;
    for (int i = 0; i < r->s.output_count; i++)
        if (r->s.outputs[i].stage == p)
            wanted[r->s.outputs[i].expr] = true;
    for (int i = r->s.expr_count - 1; i >= 0; i--) {
        const nd__expr *x = &r->s.exprs[i];
        if (!wanted[i] || !nd__in_row(r, i))
            continue;
        r->since[i] = p;
        r->keep[i] |= x->stage < p && cost(r, i) >= KEEP_COST && !is_last_step(r, i);
        if (r->keep[i] && x->stage < p && r->until[i] < p)
            r->until[i] = p;
        for (int k = 0; k < x->arg_count && (!r->keep[i] || x->stage == p); k++)
            wanted[x->args[k]] = true;
    }
}

static void find_kept(nd__rows *r)
{
    bool *wanted = nd__arena_alloc(r->s.arena, (size_t)r->s.expr_count, sizeof *wanted);
    if (!wanted) {
        r->s.failed = true;
        return;
    }
    for (int p = r->passes - 1; p >= 0; p--)
        mark_kept(r, p, wanted);
}

/* Operations for each element in a pass. */
static int cost_of_pass(const nd__rows *r, int p)
{
    int sum = 0;
    for (int i = 0; i < r->s.expr_count; i++)
        if (r->s.exprs[i].stage == p && nd__in_row(r, i))
            sum += own_cost(&r->s.exprs[i]);
    return sum;
}

bool nd__rows_is_busy(const nd__rows *r, int p)
{
    return cost_of_pass(r, p) >= COSTLY;
}

/* The pass that computes most; the first of them. */
static int longest_pass(const nd__rows *r)
{
    int longest = 0;
    for (int p = 1; p < r->passes; p++)
        if (cost_of_pass(r, p) > cost_of_pass(r, longest))
            longest = p;
    return longest;
}

static void new_scratch(nd__rows *r, int expr, int64_t elems)
{
    const nd__expr *x = &r->s.exprs[expr];
    nd__spot spot = nd__new_buffer(r->s.block, x->dtype, elems, x->value ? x->value->name : "");
    r->scratch[expr] = nd__param_of(&r->s, spot, x->dtype, elems, ND__K_SCRATCH, "row");
}

/* The expression for which scratch was made that holds nothing which is read after pass p: there p may store, since all
 * reads of an element come before what is stored of it. -1: there is none. */
static int free_scratch(const nd__rows *r, int p, nd_dtype dtype)
{
    for (int i = 0; i < r->s.expr_count; i++)
        if (r->scratch[i] >= 0 && r->until[i] <= p && r->s.exprs[i].dtype == dtype)
            return i;
    return -1;
}

/* Memory for the rows that are walked together. */
static void add_scratch(nd__rows *r, int rows)
{
    for (int i = 0; i < r->s.expr_count; i++)
        r->scratch[i] = -1;
    for (int p = -1; p < r->passes; p++)
        for (int i = 0; i < r->s.expr_count; i++) {
            if (r->turned[i] ? p >= 0 : !r->keep[i] || r->s.exprs[i].stage != p)
                continue;
            const int free = r->long_rows ? free_scratch(r, p, r->s.exprs[i].dtype) : -1;
            if (free < 0) {
                new_scratch(r, i, r->length * rows);
                continue;
            }
            r->scratch[i] = r->scratch[free];
            r->until[free] = r->until[i];
            r->until[i] = INT_MAX;
        }
}

nd__lin nd__rows_kept_at(const nd__rows *r)
{
    nd__lin at = nd__lin_const(0);
    at.coef[r->axis] = r->e.lane_axis == r->axis ? 1 : r->e.lanes;
    at.constant = r->row * r->length;
    return at;
}

void nd__rows_compute(nd__rows *r, int p)
{
    for (int i = 0; i < r->s.expr_count; i++)
        if (r->keep[i] && r->s.exprs[i].kind != ND__E_SPILL && r->s.exprs[i].stage == p)
            nd__emit_expr(&r->e, i);
    for (int i = 0; i < r->part_count; i++)
        if (r->parts[i].pass == p)
            nd__emit_expr(&r->e, r->parts[i].operand);
    for (int i = 0; i < r->s.output_count; i++)
        if (r->s.outputs[i].stage == p)
            nd__emit_expr(&r->e, r->s.outputs[i].expr);
}

void nd__rows_store_kept(nd__rows *r, int p)
{
    nd__rows_compute(r, p);
    for (int i = 0; i < r->s.expr_count; i++)
        if (r->keep[i] && r->s.exprs[i].kind != ND__E_SPILL && r->s.exprs[i].stage == p) {
            nd__lin at = nd__rows_kept_at(r);
            nd__k_store(&r->e.b, r->e.buffers[r->scratch[i]], nd__emit_affine(&r->e, &at), nd__emit_wide(&r->e, i), 1,
                        r->e.count);
        }
}

void nd__rows_load_scratch(nd__rows *r, int expr)
{
    nd__expr *x = &r->s.exprs[expr];
    x->kind = ND__E_SPILL;
    x->param = r->scratch[expr];
    x->at = nd__rows_kept_at(r);
    x->arg_count = 0;
}

void nd__rows_load_kept(nd__rows *r, int p)
{
    for (int i = 0; i < r->s.expr_count; i++)
        if (r->keep[i] && r->s.exprs[i].kind != ND__E_SPILL && r->s.exprs[i].stage == p)
            nd__rows_load_scratch(r, i);
}

bool nd__rows_has_pass(const nd__rows *r, int p)
{
    bool any = false;
    for (int k = 0; k < r->count; k++)
        any |= r->reductions[k].pass == p;
    for (int k = 0; k < r->part_count; k++)
        any |= r->parts[k].pass == p;
    for (int i = 0; i < r->s.output_count; i++)
        any |= r->s.outputs[i].stage == p;
    for (int i = 0; i < r->s.expr_count; i++)
        any |= r->keep[i] && r->s.exprs[i].kind != ND__E_SPILL && r->s.exprs[i].stage == p;
    return any;
}

int nd__rows_find_pass(nd__rows *r, int p)
{
    int n = 0;
    for (int k = 0; k < r->count; k++)
        if (r->reductions[k].pass == p)
            r->found[n++] = &r->reductions[k];
    return n;
}

/* -- the kernel --------------------------------------------------------------------------------------------------- */

void nd__rows_over(nd__rows *r, int axis)
{
    nd__emit *e = &r->e;
    if (axis == e->lane_axis && !r->long_rows)
        axis++;
    nd__hoist(e, 0);
    if (axis < r->axis) {
        nd__kval *kept = nd__memo_keep(e);
        nd__open_axis(e, axis, 0, r->s.size[axis], axis == r->axis - 1 ? r->abreast : 1);
        nd__rows_over(r, axis + 1);
        nd__close_axis(e, axis);
        nd__memo_restore(e, kept);
    } else if (r->long_rows) {
        nd__rows_in_passes(r);
    } else if (e->lane_axis >= 0) {
        nd__over_lanes(e, r->s.size[e->lane_axis], nd__rows_in_lanes, r);
    } else {
        nd__rows_in_lanes(e, r);
    }
}

static bool find_reductions(nd__rows *r, const nd__group *g)
{
    nd__space *s = &r->s;
    r->reductions = nd__arena_alloc(s->arena, (size_t)(g->member_count + g->summed_count), sizeof *r->reductions);
    r->parts = nd__arena_alloc(s->arena, (size_t)g->summed_count, sizeof *r->parts);
    if (!r->reductions || !r->parts)
        return false;
    for (int i = 0; i < g->member_count && !s->failed; i++) {
        const nd__node *n = s->block->m->nodes[g->members[i]];
        if (!(nd__ops[n->op].traits & ND__REDUCTION))
            continue;
        nd__index identity = nd__identity(&n->inputs[0]->shape);
        nd__row_reduction *red = &r->reductions[r->count++];
        *red = (nd__row_reduction){.node = n, .operand = nd__resolve(s, n->inputs[0], &identity)};
        red->given = nd__expr_given(s, &n->results[0], nd__axes_of(s, g->rank - 1));
        nd__know(s, &n->results[0], red->given);
    }
    nd__find_parts(r);
    for (int i = 0; i < r->part_count; i++) {
        const nd__row_part *part = &r->parts[i];
        if (part->parts.whole)
            r->reductions[r->count++] =
                (nd__row_reduction){.node = part->node, .operand = part->operand, .given = -1, .part = part};
    }
    return !s->failed;
}

/* Drops axes outside the row, but not the first where its blocks are counted. */
static void collapse(nd__rows *r)
{
    int first = 0;
    while (r->block_rows > 0 && r->s.size[first] == 1)
        first++;
    if (r->block_rows > 0)
        r->axis -= nd__collapse(&r->s, 0, first - 1);
    r->axis -= nd__collapse(&r->s, r->block_rows > 0 ? 1 : 0, r->axis - 1);
}

static int64_t rows_to_cut(const nd__rows *r)
{
    if (r->block_rows > 0)
        return r->block_rows;
    return r->e.lane_axis == 0 ? r->e.lanes : r->axis == 1 ? r->abreast : 1;
}

/* Chunks: of rows; of one row, if only the sums of its blocks are wanted. */
static void cut(nd__rows *r)
{
    bool only_parts = r->part_count > 0;
    for (int k = 0; k < r->count; k++)
        only_parts &= r->reductions[k].part != NULL;
    for (int i = 0; i < r->s.output_count; i++)
        only_parts &= r->s.outputs[i].stage != ND__AFTER_ROW;
    if (r->axis > 0)
        nd__cut(&r->s, 0, rows_to_cut(r), nd__work(&r->s));
    else if (only_parts)
        nd__cut(&r->s, r->axis, ND__BLOCK, nd__work(&r->s));
    r->length = r->s.size[r->axis];
    nd__cut_parts(r);
}

bool nd__lower_rows(nd__block *b, const nd__group *g, nd__steps *steps)
{
    nd__rows r = {.axis = g->rank - 1,
                  .length = g->size[g->rank - 1],
                  .long_rows = g->size[g->rank - 1] > ND__CHAIN,
                  .abreast = 1};
    int64_t points = 1, flops = 0;
    nd__space_begin(&r.s, b, g, g->rank, g->size);
    for (int d = 0; d < g->rank; d++)
        points *= g->size[d];
    for (int d = 0; d < r.axis; d++)
        if (g->size[d] == 0)
            return true;
    if (!find_reductions(&r, g))
        return nd__block_failed(b);
    nd__add_outputs(&r.s);
    for (int i = 0; i < r.s.expr_count; i++)
        flops += points * (r.s.exprs[i].kind == ND__E_OP && nd__in_row(&r, i));
    flops += points * r.count;
    collapse(&r);
    r.e.lanes = nd__register_lanes(&r.s);
    r.e.lane_axis = r.long_rows ? r.axis : nd__lane_axis(&r.s, 0, r.axis - 1);
    r.keep = nd__arena_alloc(r.s.arena, (size_t)r.s.expr_count, sizeof *r.keep);
    r.turned = nd__arena_alloc(r.s.arena, (size_t)r.s.expr_count, sizeof *r.turned);
    r.scratch = nd__arena_alloc(r.s.arena, (size_t)r.s.expr_count, sizeof *r.scratch);
    r.since = nd__arena_alloc(r.s.arena, (size_t)r.s.expr_count, sizeof *r.since);
    r.until = nd__arena_alloc(r.s.arena, (size_t)r.s.expr_count, sizeof *r.until);
    size_t room = (size_t)r.count * ND__ROW_PARTS * ND__MOST_ABREAST;
    r.found = nd__arena_alloc(r.s.arena, (size_t)r.count, sizeof(const nd__row_reduction *));
    r.acc = nd__arena_alloc(r.s.arena, room, sizeof *r.acc);
    r.carried = nd__arena_alloc(r.s.arena, room, sizeof *r.carried);
    r.total = nd__arena_alloc(r.s.arena, room, sizeof *r.total);
    r.total_carried = nd__arena_alloc(r.s.arena, room, sizeof *r.total_carried);
    if (!r.keep || !r.turned || !r.scratch || !r.since || !r.until || !r.found || !r.acc || !r.carried || !r.total ||
        !r.total_carried)
        return nd__block_failed(b);
    find_stages(&r);
    if (r.long_rows) {
        find_kept(&r);
        r.abreast = nd__rows_abreast(&r);
        r.longest = longest_pass(&r);
    }
    cut(&r);
    int lanes = r.e.lanes, lane_axis = r.e.lane_axis;
    if (!r.long_rows) {
        nd__rows_find_turned(&r);
        find_kept(&r);
    }
    add_scratch(&r, r.long_rows ? r.abreast : lane_axis < 0 ? 1 : lanes);
    r.e = nd__emit_begin(&r.s, "rows");
    r.e.lanes = r.e.count = lane_axis < 0 ? 1 : lanes;
    r.e.lane_axis = lane_axis;
    if (!r.s.failed)
        r.block_rows > 0 ? nd__over_blocks(&r) : nd__rows_over(&r, 0);
    return nd__emit_end(&r.e, flops, steps);
}
