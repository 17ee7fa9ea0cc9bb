/* Rows: reductions along the last axis, and what is elementwise before, between and after them, row by row.
 *
 * A row is walked in passes: pass p computes what waits for p of the row's reductions one after another (the stage of
 * an expression). In softmax, pass 0 finds the maximum, pass 1 sums exp(x - max), pass 2 divides. What an earlier pass
 * computed and is costly stays in scratch memory of one row; what is cheap is computed again.
 *
 * Long rows have their elements in the lanes, in the order of accumulation of the bit contract: 32 lanes over blocks of
 * 4096, a tree, the blocks in order. Rows of up to 64 elements are chains: there the lanes hold one element each of
 * neighbouring rows. */
#include "compiler/schedule/rows.h"

#include <math.h>
#include <string.h>

enum {
    KEEP_COST = 5,  /* operations and loads from which on a value is kept for later passes, */
    COSTLY = 10,    /* operations that an elementary function counts as, */
    DIVISION = 4,   /* and a division */
    MAX_PARTS = 16, /* registers that 32 lanes take */
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
        r->keep[i] |= x->stage < p && cost(r, i) >= KEEP_COST;
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
    for (int p = r->passes - 1; p > 0; p--)
        mark_kept(r, p, wanted);
}

/* Memory for one row's, or as many rows' as lie in the lanes. */
static void add_scratch(nd__rows *r, int lanes)
{
    for (int i = 0; i < r->s.expr_count; i++)
        if (r->keep[i] || r->turned[i]) {
            const nd__expr *x = &r->s.exprs[i];
            int64_t elems = r->length * lanes;
            nd__spot spot = nd__new_buffer(r->s.block, x->dtype, elems, x->value ? x->value->name : "");
            r->scratch[i] = nd__param_of(&r->s, spot, x->dtype, elems, ND__K_SCRATCH, "row");
        }
}

nd__lin nd__rows_kept_at(const nd__rows *r)
{
    nd__lin at = nd__lin_const(0);
    at.coef[r->axis] = r->e.lane_axis == r->axis ? 1 : r->e.lanes;
    return at;
}

void nd__rows_store_kept(nd__rows *r, int p)
{
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

/* -- long rows: elements in the lanes ----------------------------------------------------------------------------- */

/* What a pass accumulates: `parts` registers for each reduction, 32 lanes in all. */
typedef struct lanes_pass {
    nd__rows *r;
    int p, n, parts;
} lanes_pass;

/* Lanes at and past `count` of x, which do not exist, become what changes nothing. */
static nd__kval masked(nd__emit *e, const nd__node *n, nd__kval x)
{
    if (e->count == e->lanes)
        return x;
    nd__kval lane = nd__k_index(&e->b, nd__k_type(ND_I32, e->lanes), nd__k_at(0), 1);
    nd__kval exists = nd__k_op2(&e->b, ND__K_lt, lane, nd__k_const(&e->b, nd__k_type(ND_I32, e->lanes), e->count));
    return nd__k_op3(&e->b, ND__K_select, exists, x, nd__reduction_start(&e->b, n, e->lanes));
}

/* `count` elements of the row from `at` on, at most 32: accumulates, stores. */
static void accumulate(lanes_pass *l, nd__kaffine at, int64_t count)
{
    nd__emit *e = &l->r->e;
    nd__kval *kept = nd__memo_keep(e);
    for (int u = 0; u < l->parts && u * e->lanes < count; u++) {
        int64_t left = count - u * e->lanes;
        e->coord[l->r->axis] = nd__k_sum(at, nd__k_at(u * e->lanes));
        e->count = left < e->lanes ? (int)left : e->lanes;
        nd__memo_restore(e, kept);
        for (int k = 0; k < l->n; k++) {
            nd__kval *acc = &l->r->acc[k * l->parts + u];
            nd__kval x = masked(e, l->r->found[k]->node, nd__emit_wide(e, l->r->found[k]->operand));
            *acc = nd__reduction_join(&e->b, l->r->found[k]->node, *acc, x);
        }
        nd__rows_store_kept(l->r, l->p);
        nd__add_to_columns(l->r, l->p);
        nd__emit_outputs(e, l->p);
    }
    nd__memo_restore(e, kept);
}

nd__kval nd__lanes_tree(nd__emit *e, const nd__node *n, const nd__kval *acc)
{
    nd__kval part[MAX_PARTS];
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
static void begin_block(lanes_pass *l)
{
    for (int k = 0; k < l->n; k++) {
        const nd__row_reduction *red = l->r->found[k];
        nd__kval *acc = &l->r->acc[k * l->parts];
        for (int u = 0; u < l->parts; u++)
            acc[u] = nd__reduction_start(&l->r->e.b, red->node, l->r->e.lanes);
        if (red->part && red->part->lanes >= 0)
            nd__load_lanes(l->r, red->part, acc);
    }
}

/* At its end: its sums are added to total[]. */
static void end_block(lanes_pass *l, nd__kaffine number, nd__kval *total)
{
    for (int k = 0; k < l->n; k++) {
        const nd__row_reduction *red = l->r->found[k];
        const nd__kval *acc = &l->r->acc[k * l->parts];
        if (red->part && red->part->lanes >= 0)
            nd__store_lanes(l->r, red->part, acc);
        else if (red->part)
            nd__store_part(l->r, red->part, number, acc);
        else
            total[k] = nd__reduction_join(&l->r->e.b, red->node, total[k], nd__lanes_tree(&l->r->e, red->node, acc));
    }
}

/* A block of the row from `at` on, the `number`th of all. */
static void block(lanes_pass *l, nd__kaffine at, int64_t length, nd__kaffine number, nd__kval *total)
{
    nd__emit *e = &l->r->e;
    const int n = l->n * l->parts;
    const int64_t full = length - length % ND__ROW_LANES;
    begin_block(l);
    if (full > 0) {
        nd__kval *acc = l->r->acc;
        int32_t c = nd__k_for(&e->b, nd__k_at(0), nd__k_at(full), ND__ROW_LANES, n, acc, l->r->carried);
        memcpy(acc, l->r->carried, (size_t)n * sizeof *acc);
        accumulate(l, nd__k_plus(at, c, 1), ND__ROW_LANES);
        nd__k_end_for(&e->b, acc, l->r->carried);
        memcpy(acc, l->r->carried, (size_t)n * sizeof *acc);
    }
    if (full < length)
        accumulate(l, nd__k_sum(at, nd__k_at(full)), length - full);
    end_block(l, number, total);
}

/* A pass with n reductions over a long row. */
static void reduce_lanes(nd__rows *r, int p, int n)
{
    nd__emit *e = &r->e;
    lanes_pass l = {r, p, n, ND__ROW_LANES / e->lanes};
    const int64_t blocks = r->length / ND__BLOCK, rest = r->length % ND__BLOCK;
    const nd__kaffine first = nd__first_block(r);
    for (int k = 0; k < n; k++)
        r->total[k] = nd__reduction_start(&e->b, r->found[k]->node, 1);
    e->open |= 1u << r->axis;
    if (blocks > 0) {
        int32_t i = nd__k_for(&e->b, nd__k_at(0), nd__k_at(blocks), 1, n, r->total, r->total_carried);
        block(&l, nd__k_plus(nd__k_at(0), i, ND__BLOCK), ND__BLOCK, nd__k_plus(first, i, 1), r->total_carried);
        nd__k_end_for(&e->b, r->total_carried, r->total);
    }
    if (rest > 0)
        block(&l, nd__k_at(blocks * ND__BLOCK), rest, nd__k_sum(first, nd__k_at(blocks)), r->total);
    e->open &= ~(1u << r->axis);
    for (int k = 0; k < n; k++)
        if (!r->found[k]->part)
            e->memo[r->found[k]->given] = nd__reduction_end(&e->b, r->found[k]->node, r->total[k]);
}

typedef struct plain_pass {
    nd__rows *r;
    int p;
} plain_pass;

static void store_pass(nd__emit *e, void *data)
{
    const plain_pass *pass = data;
    nd__rows_store_kept(pass->r, pass->p);
    nd__add_to_columns(pass->r, pass->p);
    nd__emit_outputs(e, pass->p);
}

static void long_row(nd__rows *r)
{
    nd__emit *e = &r->e;
    for (int p = 0; p < r->passes; p++) {
        nd__hoist(e, p);
        if (!nd__rows_has_pass(r, p))
            continue;
        int n = nd__rows_find_pass(r, p);
        if (n > 0)
            reduce_lanes(r, p, n);
        else
            nd__over_lanes(e, r->length, store_pass, &(plain_pass){r, p});
        nd__rows_load_kept(r, p);
    }
    nd__hoist(e, r->passes);
    nd__emit_outputs(e, ND__AFTER_ROW);
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
        nd__open_axis(e, axis, 0, r->s.size[axis], 1);
        nd__rows_over(r, axis + 1);
        nd__close_axis(e, axis);
        nd__memo_restore(e, kept);
    } else if (r->long_rows) {
        long_row(r);
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

/* Chunks: of rows; of one row, if only the sums of its blocks are wanted. */
static void cut(nd__rows *r)
{
    bool only_parts = r->part_count > 0;
    for (int k = 0; k < r->count; k++)
        only_parts &= r->reductions[k].part != NULL;
    for (int i = 0; i < r->s.output_count; i++)
        only_parts &= r->s.outputs[i].stage != ND__AFTER_ROW;
    if (r->axis > 0)
        nd__cut(&r->s, 0, r->block_rows > 0 ? r->block_rows : r->e.lane_axis == 0 ? r->e.lanes : 1, nd__work(&r->s));
    else if (only_parts)
        nd__cut(&r->s, r->axis, ND__BLOCK, nd__work(&r->s));
    r->length = r->s.size[r->axis];
    nd__cut_parts(r);
}

bool nd__lower_rows(nd__block *b, const nd__group *g, nd__steps *steps)
{
    nd__rows r = {.axis = g->rank - 1, .length = g->size[g->rank - 1], .long_rows = g->size[g->rank - 1] > ND__CHAIN};
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
    size_t room = (size_t)r.count * MAX_PARTS;
    r.found = nd__arena_alloc(r.s.arena, (size_t)r.count, sizeof(const nd__row_reduction *));
    r.acc = nd__arena_alloc(r.s.arena, room, sizeof *r.acc);
    r.carried = nd__arena_alloc(r.s.arena, room, sizeof *r.carried);
    r.total = nd__arena_alloc(r.s.arena, room, sizeof *r.total);
    r.total_carried = nd__arena_alloc(r.s.arena, room, sizeof *r.total_carried);
    if (!r.keep || !r.turned || !r.scratch || !r.found || !r.acc || !r.carried || !r.total || !r.total_carried)
        return nd__block_failed(b);
    find_stages(&r);
    cut(&r);
    int lanes = r.e.lanes, lane_axis = r.e.lane_axis;
    if (!r.long_rows)
        nd__rows_find_turned(&r);
    find_kept(&r);
    add_scratch(&r, r.long_rows || lane_axis < 0 ? 1 : lanes);
    r.e = nd__emit_begin(&r.s, "rows");
    r.e.lanes = r.e.count = lane_axis < 0 ? 1 : lanes;
    r.e.lane_axis = lane_axis;
    if (!r.s.failed)
        r.block_rows > 0 ? nd__over_blocks(&r) : nd__rows_over(&r, 0);
    return nd__emit_end(&r.e, flops, steps);
}
