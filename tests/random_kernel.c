#include "random_kernel.h"

#include "compiler/kernel/rules.h"
#include "native_check.h"

#include <check.h>
#include <string.h>

enum { ELEMS = 96, MOST_VALUES = 256, DEEPEST = 4, MOST_LANES = 16 };

typedef struct generator {
    nd__kbuilder b;
    uint64_t seed;
    int32_t in[ND_STRING], out[ND_STRING]; /* by dtype */
    nd__kval values[MOST_VALUES];          /* in scope */
    int value_count;
    struct {
        int32_t iv;
        int64_t low, high; /* of its values */
    } loops[DEEPEST];
    int loop_count, depth, left; /* instructions to go */
} generator;

static int below(generator *g, int n)
{
    return random_below(&g->seed, n);
}

static nd_dtype any_dtype(generator *g)
{
    return (nd_dtype)below(g, ND_STRING);
}

static nd__ktype any_type(generator *g)
{
    return nd__k_type(any_dtype(g), 1 << below(g, 5));
}

static void keep(generator *g, nd__kval x)
{
    if (g->value_count < MOST_VALUES)
        g->values[g->value_count++] = x;
}

static nd__ktype type_of(const generator *g, nd__kval x)
{
    return g->b.k->types[x];
}

/* -- addresses ----------------------------------------------------------------------------------------------------- */

/* A form over the open loops whose values, and `reach` past each of them (downwards where it is negative), lie in [0,
 * ELEMS). */
static nd__kaffine any_address(generator *g, int64_t reach)
{
    nd__kaffine at = nd__k_at(0);
    int64_t low = reach < 0 ? reach : 0, high = reach > 0 ? reach : 0;
    for (int l = 0; l < g->loop_count; l++) {
        int64_t coef = below(g, 7) - 2, a = coef * g->loops[l].low, b = coef * g->loops[l].high;
        int64_t least = low + (a < b ? a : b), most = high + (a < b ? b : a);
        if (most - least >= ELEMS)
            continue;
        at = nd__k_plus(at, g->loops[l].iv, coef);
        low = least, high = most;
    }
    at.constant = -low + below(g, (int)(ELEMS - (high - low)));
    return at;
}

/* A value of that type in scope, else one that is loaded, or a constant. */
static nd__kval of_type(generator *g, nd__ktype type)
{
    for (int tries = 0; tries < 24 && g->value_count > 0; tries++) {
        nd__kval x = g->values[below(g, g->value_count)];
        if (nd__k_type_equal(type_of(g, x), type))
            return x;
    }
    if (below(g, 3))
        return nd__k_load(&g->b, g->in[type.dtype], any_address(g, type.lanes - 1), type.lanes, 1, type.lanes);
    return nd__k_const_bits(&g->b, type, random_bits(&g->seed, (nd_dtype)type.dtype));
}

static nd__kval any_value(generator *g)
{
    return g->value_count > 0 && below(g, 8) ? g->values[below(g, g->value_count)] : of_type(g, any_type(g));
}

static int64_t any_stride(generator *g, int count)
{
    static const int64_t strides[] = {1, 1, 1, 1, 0, -1, 2, 5, -3};
    int64_t stride = strides[below(g, 9)];
    return stride * (count - 1) < ELEMS && stride * (count - 1) > -ELEMS ? stride : 1;
}

static int any_count(generator *g, int lanes)
{
    return below(g, 3) ? lanes : 1 + below(g, lanes);
}

/* How far the lanes go together with an index below `bound` times `scale`. */
static bool fits(int64_t reach, int64_t scale, int64_t bound, int64_t *low, int64_t *high)
{
    int64_t more = scale * (bound - 1);
    *low = (reach < 0 ? reach : 0) + (more < 0 ? more : 0);
    *high = (reach > 0 ? reach : 0) + (more > 0 ? more : 0);
    return *high - *low < ELEMS / 2;
}

/* -- instructions -------------------------------------------------------------------------------------------------- */

static void memory_inst(generator *g, bool indexed)
{
    bool store = below(g, 2);
    nd__kval x = store ? any_value(g) : -1, index = -1;
    nd__ktype type = store ? type_of(g, x) : any_type(g);
    int32_t buffer = store || below(g, 3) == 0 ? g->out[type.dtype] : g->in[type.dtype];
    int count = any_count(g, type.lanes);
    int64_t stride = any_stride(g, count), reach = type.lanes == 1 ? 0 : stride * (count - 1);
    if (!indexed && store) {
        nd__k_store(&g->b, buffer, any_address(g, reach), x, stride, count);
        return;
    }
    if (!indexed) {
        keep(g, nd__k_load(&g->b, buffer, any_address(g, reach), type.lanes, stride, count));
        return;
    }
    bool each = !store && type.lanes > 1 && below(g, 2);
    int64_t scale = below(g, 9) - 3, bound = below(g, 12), low, high;
    if (each)
        stride = 0, reach = 0;
    if (bound == 0 ? !fits(reach, 0, 1, &low, &high) : !fits(reach, scale, bound, &low, &high))
        return;
    nd__kaffine at = any_address(g, high - low);
    at.constant -= low;
    index = of_type(g, nd__k_type(ND_I64, each ? type.lanes : 1));
    if (below(g, 2)) /* else it is mostly outside */
        index = nd__k_op2(&g->b, ND__K_mod, index, nd__k_const(&g->b, type_of(g, index), 12));
    if (store)
        nd__k_storex(&g->b, buffer, at, x, index, scale, bound, stride, count);
    else
        keep(g, nd__k_loadx(&g->b, buffer, at, index, scale, bound, type.lanes, stride, count));
}

/* An op of one to three operands, if the rules let it have those. */
static void plain_inst(generator *g)
{
    static const int arity[] = {
#define KOP(name, arity, text) arity,
#include "compiler/kernel/kops.def"
#undef KOP
    };
    nd__kop op = (nd__kop)(ND__K_add + below(g, ND__K_transpose - ND__K_add));
    int n = arity[op];
    nd__kval args[3];
    nd__ktype types[3];
    args[n - 1] = any_value(g);
    nd__ktype type = type_of(g, args[n - 1]);
    for (int i = 0; i < n; i++) {
        types[i] = op == ND__K_select && i == 0 ? nd__k_type(ND_BOOL, type.lanes) : type;
        if (i < n - 1)
            args[i] = of_type(g, types[i]);
    }
    nd__ktype to = nd__k_result_type(op, types);
    if (op == ND__K_convert || op == ND__K_bitcast)
        to.dtype = (uint8_t)any_dtype(g);
    nd__kinst probe = {.op = op, .type = to, .arg_count = n, .args = args, .result_count = 1, .iv = -1, .carried = -1};
    probe.result = of_type(g, to);
    if (nd__k_inst_error(g->b.k, &probe))
        return;
    keep(g, op == ND__K_convert   ? nd__k_convert(&g->b, (nd_dtype)to.dtype, args[0])
            : op == ND__K_bitcast ? nd__k_bitcast(&g->b, (nd_dtype)to.dtype, args[0])
            : n == 1              ? nd__k_op1(&g->b, op, args[0])
            : n == 2              ? nd__k_op2(&g->b, op, args[0], args[1])
                                  : nd__k_op3(&g->b, op, args[0], args[1], args[2]));
}

static void lanes_inst(generator *g)
{
    nd__kval x = any_value(g), rows[MOST_LANES], columns[MOST_LANES];
    nd__ktype type = type_of(g, x);
    switch (below(g, 4)) {
    case 0:
        keep(g, nd__k_lane(&g->b, x, below(g, type.lanes)));
        break;
    case 1:
        if (type.lanes == 1)
            keep(g, nd__k_splat(&g->b, x, 2 << below(g, 4)));
        break;
    case 2:
        type.dtype = (uint8_t)(ND_U8 + below(g, 4));
        keep(g, nd__k_index(&g->b, type, any_address(g, 0), below(g, 9) - 4));
        break;
    default:
        if (type.lanes == 1)
            break;
        for (int i = 0; i < type.lanes; i++)
            rows[i] = of_type(g, type);
        nd__k_transpose(&g->b, type.lanes, rows, columns);
        for (int i = 0; i < type.lanes; i += 3)
            keep(g, columns[i]);
    }
}

/* -- structure ----------------------------------------------------------------------------------------------------- */

static void block(generator *g, int length);

static void loop(generator *g)
{
    nd__kval init[3], carried[3], next[3], last[3];
    int n = below(g, 4), values = g->value_count;
    int64_t low = below(g, 5) - 2, step = 1 + below(g, 3), rounds = below(g, 5);
    nd__kaffine lo = nd__k_at(low), hi = nd__k_at(low + step * rounds - (rounds > 0 ? below(g, (int)step) : 0));
    int64_t least = low, most = low + step * (rounds > 0 ? rounds - 1 : 0);
    if (g->loop_count > 0 && below(g, 2)) { /* from an outer variable up to what it never passes, or below it */
        int outer = below(g, g->loop_count);
        nd__kaffine moving = nd__k_plus(nd__k_at(0), g->loops[outer].iv, 1);
        least = g->loops[outer].low, most = g->loops[outer].high;
        if (below(g, 2))
            lo = moving, hi = nd__k_at(most + 1);
        else
            lo = nd__k_at(least), hi = moving;
    }
    for (int i = 0; i < n; i++)
        init[i] = any_value(g);
    int64_t from = INT64_MIN, to = INT64_MAX;
    if (below(g, 3) == 0 && least <= most) { /* no farther than part of the way */
        from = least + below(g, (int)(most - least) + 1);
        to = from + 1 + below(g, (int)(most - from) + 1);
    }
    const bool apart = n == 0 && from == INT64_MIN && to == INT64_MAX && below(g, 2);
    int32_t iv = apart ? nd__k_for_apart(&g->b, lo, hi, step)
                       : nd__k_for_within(&g->b, lo, hi, from, to, step, n, init, carried);
    g->loops[g->loop_count].iv = iv;
    g->loops[g->loop_count].low = least, g->loops[g->loop_count].high = most;
    g->loop_count++, g->depth++;
    for (int i = 0; i < n; i++)
        keep(g, carried[i]);
    block(g, 1 + below(g, 6));
    for (int i = 0; i < n; i++)
        next[i] = of_type(g, type_of(g, init[i]));
    g->loop_count--, g->depth--;
    nd__k_end_for(&g->b, next, last);
    g->value_count = values;
    for (int i = 0; i < n; i++)
        keep(g, last[i]);
}

static void branch(generator *g)
{
    nd__kval yields[3], results[3];
    nd__ktype types[3];
    int n = below(g, 4), values = g->value_count;
    for (int i = 0; i < n; i++)
        types[i] = type_of(g, any_value(g));
    nd__k_if(&g->b, of_type(g, nd__k_type(ND_BOOL, 1)));
    g->depth++;
    for (int side = 0; side < 2; side++) {
        block(g, below(g, 5));
        for (int i = 0; i < n; i++)
            yields[i] = of_type(g, types[i]);
        g->value_count = values;
        if (side == 0 && (n > 0 || below(g, 2)))
            nd__k_else(&g->b, n, yields);
        else
            side = 1;
    }
    g->depth--;
    nd__k_end_if(&g->b, n, yields, results);
    for (int i = 0; i < n; i++)
        keep(g, results[i]);
}

static void block(generator *g, int length)
{
    for (int i = 0; i < length && g->left > 0; i++, g->left--) {
        int kind = below(g, 20);
        if (kind == 0 && g->depth < DEEPEST)
            loop(g);
        else if (kind == 1 && g->depth < DEEPEST)
            branch(g);
        else if (kind < 6)
            memory_inst(g, false);
        else if (kind < 8)
            memory_inst(g, true);
        else if (kind < 10)
            lanes_inst(g);
        else
            plain_inst(g);
    }
}

nd__kernel *random_kernel(nd__arena *arena, uint64_t seed)
{
    generator *g = nd__arena_alloc(arena, 1, sizeof *g);
    ck_assert_ptr_nonnull(g);
    g->seed = seed * 2 + 1;
    for (int i = 0; i < 8; i++)
        random_next(&g->seed);
    g->left = 60;
    nd__kernel *k = nd__k_create(arena, "random");
    g->b = nd__k_builder(k);
    for (int d = 0; d < ND_STRING; d++) {
        int64_t align = below(g, 2) ? 64 : 1;
        g->in[d] = nd__k_buffer(k, "in", (nd_dtype)d, ND__K_IN, ELEMS, align);
        g->out[d] = nd__k_buffer(k, "out", (nd_dtype)d, ND__K_INOUT, ELEMS, align);
    }
    while (g->left > 0)
        block(g, g->left);
    /* What is left is seen, too. */
    for (int i = 0; i < g->value_count; i += 2) {
        nd__kval x = g->values[i];
        nd__ktype type = type_of(g, x);
        nd__k_store(&g->b, g->out[type.dtype], any_address(g, type.lanes - 1), x, 1, type.lanes);
    }
    return k;
}
