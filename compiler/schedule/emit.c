/* Computing expressions inside loops. */
#include "compiler/schedule/emit.h"

#include <string.h>

/* -- expressions ----------------------------------------------------------------------------------------------------
 */

nd__kaffine nd__emit_affine(const nd__emit *e, const nd__lin *at)
{
    nd__kaffine a = nd__k_at(at->constant);
    for (int k = 0; k < e->s->rank; k++)
        if (at->coef[k] != 0)
            a = nd__k_sum(a, nd__k_scaled(e->coord[k], at->coef[k]));
    return a;
}

static int64_t lane_stride(const nd__emit *e, const nd__lin *at)
{
    return e->lane_axis < 0 ? 0 : at->coef[e->lane_axis];
}

static nd__kval compute(nd__emit *e, const nd__expr *x, bool wide)
{
    nd__kbuilder *b = &e->b;
    const int lanes = wide ? e->lanes : 1, count = wide ? e->count : 1;
    const int64_t stride = wide ? lane_stride(e, &x->at) : 0;
    nd__kval args[3] = {-1, -1, -1};
    for (int i = 0; i < x->arg_count; i++)
        args[i] = wide && x->kind != ND__E_GATHER ? nd__emit_wide(e, x->args[i]) : nd__emit_expr(e, x->args[i]);
    switch (x->kind) {
    case ND__E_CONST:
        return nd__k_const_bits(b, nd__k_type(x->dtype, 1), x->bits);
    case ND__E_LOAD:
        return nd__k_load(b, e->buffers[x->param], nd__emit_affine(e, &x->at), lanes, stride, count);
    case ND__E_SPILL:
        return nd__k_load(b, e->buffers[x->param], nd__emit_affine(e, &x->at), lanes, 1, count);
    case ND__E_COORD:
        return nd__k_convert(b, x->dtype,
                             nd__k_index(b, nd__k_type(ND_I64, lanes), nd__emit_affine(e, &x->at), stride));
    case ND__E_RANDOM: {
        nd__kval element = nd__k_index(b, nd__k_type(ND_I64, lanes), nd__emit_affine(e, &x->at), stride);
        return nd__lower_random(b, element, args[0], args[1], x->bits);
    }
    case ND__E_GATHER: {
        /* A row that differs from lane to lane takes its own offset along; one for all lanes leaves a stride. */
        nd__kval row = nd__k_convert(b, ND_I64, args[0]);
        bool rows = wide && e->s->exprs[x->args[0]].axes & 1u << e->lane_axis;
        return nd__k_loadx(b, e->buffers[x->param], nd__emit_affine(e, &x->at), row, x->scale, x->bound, lanes,
                           rows ? 0 : stride, count);
    }
    case ND__E_OP:
        return nd__lower_op(b, x->op, e->s->exprs[x->args[0]].dtype, x->dtype, args);
    case ND__E_GIVEN:
        break;
    }
    e->s->failed = true; /* a given value that the kernel did not put into the memo */
    return -1;
}

/* Not by recursion, as nd__resolve. Each expression puts its operands on the stack once, at most three: there is room.
 */
nd__kval nd__emit_expr(nd__emit *e, int expr)
{
    int depth = 0;
    if (e->memo[expr] < 0)
        e->stack[depth++] = expr;
    while (depth > 0 && !e->s->failed) {
        const int top = e->stack[depth - 1], before = depth;
        const nd__expr *x = &e->s->exprs[top];
        for (int i = x->arg_count - 1; i >= 0 && e->memo[top] < 0; i--)
            if (e->memo[x->args[i]] < 0)
                e->stack[depth++] = x->args[i];
        if (depth > before)
            continue;
        if (e->memo[top] < 0)
            e->memo[top] = compute(e, x, e->lane_axis >= 0 && (x->axes & 1u << e->lane_axis));
        e->s->failed = e->memo[top] < 0;
        depth--;
    }
    return e->s->failed ? -1 : e->memo[expr];
}

nd__kval nd__emit_wide(nd__emit *e, int expr)
{
    return nd__k_splat(&e->b, nd__emit_expr(e, expr), e->lane_axis < 0 ? 1 : e->lanes);
}

static bool stored_wide(const nd__emit *e, const nd__output *output)
{
    return e->lane_axis >= 0 && output->at.coef[e->lane_axis] != 0;
}

void nd__emit_outputs(nd__emit *e, int stage)
{
    const int n = e->s->output_count;
    nd__kval *x = nd__arena_alloc(e->s->arena, (size_t)n, sizeof *x);
    if (!x) {
        e->s->failed = true;
        return;
    }
    for (int i = 0; i < n; i++) {
        const nd__output *output = &e->s->outputs[i];
        if (output->stage == stage)
            x[i] = stored_wide(e, output) ? nd__emit_wide(e, output->expr) : nd__emit_expr(e, output->expr);
    }
    for (int i = 0; i < n; i++) {
        const nd__output *output = &e->s->outputs[i];
        bool wide = stored_wide(e, output);
        if (output->stage == stage)
            nd__k_store(&e->b, e->buffers[output->param], nd__emit_affine(e, &output->at), x[i],
                        wide ? lane_stride(e, &output->at) : 0, wide ? e->count : 1);
    }
}

/* The expressions that the outputs are made of and that are not there yet. */
static bool *missing(const nd__emit *e, int stage)
{
    bool *wanted = nd__arena_alloc(e->s->arena, (size_t)e->s->expr_count, sizeof *wanted);
    for (int i = 0; i < e->s->output_count && wanted; i++)
        wanted[e->s->outputs[i].expr] |= e->s->outputs[i].stage == stage;
    for (int i = e->s->expr_count - 1; i >= 0 && wanted; i--) { /* operands come before what they are operands of */
        const nd__expr *x = &e->s->exprs[i];
        wanted[i] = wanted[i] && e->memo[i] < 0;
        for (int a = 0; a < x->arg_count && wanted[i]; a++)
            wanted[x->args[a]] = true;
    }
    e->s->failed = e->s->failed || !wanted;
    return wanted;
}

/* A square root is one instruction, which is busy all the time. */
bool nd__abreast_pays(const nd__emit *e)
{
    bool functions = false;
    for (int i = 0; i < e->s->expr_count; i++) {
        const nd__expr *x = &e->s->exprs[i];
        functions |= x->axes & 1u << e->lane_axis && x->kind == ND__E_OP && x->op != ND__OP_sqrt &&
                     nd__ops[x->op].traits & ND__COSTLY;
    }
    return functions;
}

void nd__emit_outputs_abreast(nd__emit *e, int stage, int given, const nd__kval *value)
{
    nd__kval *memo[2] = {e->memo, nd__memo_keep(e)};
    const nd__kaffine at[2] = {e->coord[e->lane_axis], nd__k_sum(e->coord[e->lane_axis], nd__k_at(e->lanes))};
    for (int u = 0; u < 2 && memo[1] && value; u++)
        memo[u][given] = value[u];
    const bool *wanted = missing(e, stage);
    for (int i = 0; i < 2 * e->s->expr_count && !e->s->failed; i++) {
        e->memo = memo[i % 2];
        e->coord[e->lane_axis] = at[i % 2];
        if (wanted[i / 2])
            nd__emit_expr(e, i / 2);
    }
    for (int u = 0; u < 2 && !e->s->failed; u++) {
        e->memo = memo[u];
        e->coord[e->lane_axis] = at[u];
        nd__emit_outputs(e, stage);
    }
    e->memo = memo[0];
    e->coord[e->lane_axis] = at[0];
}

void nd__hoist(nd__emit *e, int stage)
{
    const unsigned closed = ((1u << e->s->rank) - 1) & ~e->open;
    for (int i = 0; i < e->s->expr_count; i++) {
        const nd__expr *x = &e->s->exprs[i];
        if (x->kind != ND__E_CONST && x->kind != ND__E_GIVEN && !(x->axes & closed) && x->stage <= stage &&
            (!x->given || x->stage > 0))
            nd__emit_expr(e, i);
    }
}

nd__kval *nd__memo_keep(nd__emit *e)
{
    nd__kval *kept = nd__arena_alloc(e->s->arena, (size_t)e->s->expr_count, sizeof *kept);
    if (kept)
        memcpy(kept, e->memo, (size_t)e->s->expr_count * sizeof *kept);
    else
        e->s->failed = true;
    return kept;
}

void nd__memo_restore(nd__emit *e, const nd__kval *kept)
{
    if (kept)
        memcpy(e->memo, kept, (size_t)e->s->expr_count * sizeof *kept);
}

/* -- loops ----------------------------------------------------------------------------------------------------------
 */

int32_t nd__open_axis(nd__emit *e, int axis, int64_t lo, int64_t hi, int64_t step)
{
    int32_t iv = nd__k_for(&e->b, nd__k_at(lo), nd__k_at(hi), step, 0, NULL, NULL);
    e->coord[axis] = nd__k_plus(nd__k_at(0), iv, 1);
    e->open |= 1u << axis;
    return iv;
}

void nd__close_axis(nd__emit *e, int axis)
{
    nd__k_end_for(&e->b, NULL, NULL);
    e->open &= ~(1u << axis);
}

int nd__register_lanes(const nd__space *s)
{
    bool small = false;
    for (int i = 0; i < s->param_count; i++)
        small |= nd_dtype_size(s->params[i].dtype) == 4;
    bool any = small;
    for (int i = 0; i < s->param_count && !small; i++)
        any |= nd_dtype_size(s->params[i].dtype) == 8;
    return s->block->target->vector_bytes / (small || !any ? 4 : 8);
}

/* What moving along the axis costs at one address. Whole pages apart, all lanes fall into one set of the cache. */
static int address_cost(const nd__lin *at, int axis, nd_dtype dtype)
{
    enum { PAGE = 4096 };
    int64_t stride = at->coef[axis];
    return stride == 0                                          ? 1
           : stride == 1                                        ? 4
           : stride == -1                                       ? 6
           : stride * (int64_t)nd_dtype_size(dtype) % PAGE == 0 ? 64
                                                                : 32;
}

int nd__lane_axis(const nd__space *s, int first, int last)
{
    const int lanes = nd__register_lanes(s);
    double best_cost = 0;
    int best = -1;
    for (int k = last; k >= first; k--) {
        if (s->size[k] < 2)
            continue;
        int cost = 0;
        for (int i = 0; i < s->expr_count; i++)
            if (s->exprs[i].kind == ND__E_LOAD)
                cost += address_cost(&s->exprs[i].at, k, s->exprs[i].dtype);
            else if (s->exprs[i].axes & 1u << k)
                cost += s->exprs[i].kind == ND__E_GATHER ? 32 : s->exprs[i].kind == ND__E_OP ? 4 : 1;
        for (int i = 0; i < s->output_count; i++)
            cost += address_cost(&s->outputs[i].at, k, s->exprs[s->outputs[i].expr].dtype);
        int64_t vectors = (s->size[k] + lanes - 1) / lanes;
        double each = (double)cost * (double)vectors / (double)s->size[k];
        if (best < 0 || each < best_cost) {
            best = k;
            best_cost = each;
        }
    }
    return best;
}

void nd__over_lanes(nd__emit *e, int64_t size, void (*body)(nd__emit *e, void *data), void *data)
{
    const int axis = e->lane_axis;
    const int64_t full = size - size % e->lanes;
    nd__kval *kept = nd__memo_keep(e);
    if (full > 0) {
        e->count = e->lanes;
        if (full > e->lanes) {
            nd__open_axis(e, axis, 0, full, e->lanes);
            body(e, data);
            nd__close_axis(e, axis);
        } else {
            e->coord[axis] = nd__k_at(0);
            e->open |= 1u << axis;
            body(e, data);
            e->open &= ~(1u << axis);
        }
        nd__memo_restore(e, kept);
    }
    if (full < size) {
        e->count = (int)(size - full);
        e->coord[axis] = nd__k_at(full);
        e->open |= 1u << axis;
        body(e, data);
        e->open &= ~(1u << axis);
        nd__memo_restore(e, kept);
    }
}

/* -- maps -----------------------------------------------------------------------------------------------------------
 */

typedef struct walk {
    int axes;
    void (*body)(nd__emit *e, void *data);
    void *data;
    bool pairs; /* of vectors may have nd__emit_outputs_abreast for a body */
} walk;

static void over_pairs(nd__emit *e)
{
    nd__kval *kept = nd__memo_keep(e);
    nd__open_axis(e, e->lane_axis, 0, e->s->size[e->lane_axis], 2 * e->lanes);
    e->count = e->lanes;
    nd__emit_outputs_abreast(e, 0, -1, NULL);
    nd__close_axis(e, e->lane_axis);
    nd__memo_restore(e, kept);
}

static void over_axis(nd__emit *e, int axis, const walk *w)
{
    if (axis == e->lane_axis)
        axis++;
    nd__hoist(e, 0);
    if (axis < w->axes) {
        nd__kval *kept = nd__memo_keep(e);
        nd__open_axis(e, axis, 0, e->s->size[axis], 1);
        over_axis(e, axis + 1, w);
        nd__close_axis(e, axis);
        nd__memo_restore(e, kept);
    } else if (w->pairs && e->lane_axis >= 0 && e->s->size[e->lane_axis] % (2 * e->lanes) == 0 && nd__abreast_pays(e)) {
        over_pairs(e);
    } else if (e->lane_axis >= 0) {
        nd__over_lanes(e, e->s->size[e->lane_axis], w->body, w->data);
    } else {
        w->body(e, w->data);
    }
}

static void over_domain(nd__emit *e, const walk *w)
{
    e->lane_axis = nd__lane_axis(e->s, 0, w->axes - 1);
    e->lanes = e->lane_axis < 0 ? 1 : nd__register_lanes(e->s);
    over_axis(e, 0, w);
}

void nd__emit_domain(nd__emit *e, int axes, void (*body)(nd__emit *e, void *data), void *data)
{
    const walk w = {.axes = axes, .body = body, .data = data};
    over_domain(e, &w);
}

static void store_all(nd__emit *e, void *data)
{
    (void)data;
    nd__emit_outputs(e, 0);
}

void nd__emit_map(nd__emit *e)
{
    const walk w = {.axes = e->s->rank, .body = store_all, .pairs = true};
    over_domain(e, &w);
}
