/* Cycles of a kernel, from its text.
 *
 * Work: the instructions of a block share what a cycle can do, and the scarcest share rules. A loop takes that as often
 * as it turns, but no less than its recurrence: the longest chain of latencies from what it carries to what it yields.
 * A branch that indices decide, at a border or a band, takes each side as often as it is taken.
 *
 * Traffic: the loops of a kernel are a tree, its references to memory hang in it, unrolled neighbours as one. What a
 * loop touches in all, and in one turn, are sums over the references inside. Into a cache come: what a loop touches, if
 * one turn of it fits there; else what the loops inside bring, as often as it turns. Work and the slowest of the
 * traffic overlap (Williams, Waterman and Patterson, "Roofline", 2009, with a roof for every cache). */
#include "compiler/schedule/cost.h"
#include "compiler/kernel/scalar.h"

#include <math.h>
#include <string.h>

enum { LINE = 64, MOST_WALKS = 16, POINTS = 256, DEEPEST = 8 };

/* -- what a cycle can do ---------------------------------------------------------------------------------------------
 */

/* Bytes of vectors that all vector instructions of a cycle take, and how many may start; multiply-adds: nd__target. */
static const double vector_bytes = 128, vector_starts = 4, fma_starts = 2;
static const double load_bytes = 64, loads = 2, store_bytes = 32, stores = 1, starts = 5;
/* Cycles of the divider for 64 bytes; of a lane that is loaded or stored by itself; of multiply-adds without FMA. */
static const double division = 10, root = 14, lane = 1.5, soft_fma_f32 = 2.8, soft_fma_f64 = 61;
/* Cycles until a loop runs, the misprediction at its end included. */
static const double loop_start = 12;
/* Bytes a cycle from the second and the third cache, and from memory. */
static const double l2_rate = 31, l3_rate = 25, memory_rate = 7;

/* Parts of a cycle that instructions take. */
typedef struct use {
    double multiply, add, vector, divide, load, store, start;
} use;

static double most(double a, double b)
{
    return a > b ? a : b;
}

static double cycles_of(const use *u)
{
    return most(most(most(u->multiply, u->add), most(u->vector, u->divide)), most(most(u->load, u->store), u->start));
}

double nd__fma_cycles(const nd__target *target, double count, int bytes)
{
    return count * most(1 / fma_starts, (double)bytes / target->fma_bytes);
}

double nd__peak_flops(const nd__target *target)
{
    return target->vector_bytes / 4 * 2 / nd__fma_cycles(target, 1, target->vector_bytes);
}

/* -- loops and references --------------------------------------------------------------------------------------------
 */

/* A loop; the first is the kernel, which turns once. */
typedef struct loop {
    int parent;
    const nd__kinst *of; /* NULL: of the kernel */
    double turns;
    double touched, turn;   /* bytes: of all turns, of one */
    double traffic;         /* of all turns, into the cache that is asked about */
    double straight, inner; /* of one turn: by references of its own, by loops inside */
} loop;

/* Accesses of one buffer that differ by a constant. */
typedef struct reference {
    const nd__kaddr *addr;
    int loop;
    int64_t first, last, count; /* the constants, and how many there are */
} reference;

typedef struct model {
    nd__arena arena;
    const nd__kernel *k;
    const nd__target *target;
    loop *loops;
    int loop_count, loop_room;
    reference *references;
    int reference_count, reference_room;
    double *ready;           /* by value: when it is there, counted from where its loop's turn begins */
    int *home;               /* by value: the loop in which it is made */
    double *middle;          /* by induction variable: its mean, */
    int64_t *at;             /* and where it is while a branch is looked at */
    const nd__kinst **maker; /* by value: the instruction; NULL: it is carried */
    double *whole;           /* by buffer: bytes that the kernel touches */
    bool failed;
} model;

static int new_loop(model *m, int parent, const nd__kinst *of, double turns)
{
    if (!nd__arena_grow(&m->arena, &m->loops, &m->loop_room, m->loop_count + 1, sizeof *m->loops)) {
        m->failed = true;
        return 0;
    }
    m->loops[m->loop_count] = (loop){.parent = parent, .of = of, .turns = turns};
    return m->loop_count++;
}

static bool same_walk(const nd__kaddr *a, const nd__kaddr *b)
{
    if (a->buffer != b->buffer || a->lane_stride != b->lane_stride || a->count != b->count ||
        a->at.count != b->at.count)
        return false;
    for (int i = 0; i < a->at.count; i++)
        if (a->at.terms[i].iv != b->at.terms[i].iv || a->at.terms[i].coef != b->at.terms[i].coef)
            return false;
    return true;
}

static void refer(model *m, int in, const nd__kaddr *addr)
{
    const int64_t at = addr->at.constant;
    for (int i = m->reference_count - 1; i >= 0 && m->references[i].loop == in; i--) {
        reference *r = &m->references[i];
        if (!same_walk(r->addr, addr))
            continue;
        r->count += at != r->first && at != r->last;
        r->first = at < r->first ? at : r->first;
        r->last = at > r->last ? at : r->last;
        return;
    }
    if (!nd__arena_grow(&m->arena, &m->references, &m->reference_room, m->reference_count + 1, sizeof *m->references)) {
        m->failed = true;
        return;
    }
    m->references[m->reference_count++] = (reference){addr, in, at, at, 1};
}

/* -- work ------------------------------------------------------------------------------------------------------------
 */

static double lanes_log(int lanes)
{
    double n = 0;
    for (; lanes > 1; lanes /= 2)
        n++;
    return n;
}

static void use_memory(const nd__kinst *i, int size, bool store, use *u)
{
    const bool apart = i->addr->lane_stride != 0 && i->addr->lane_stride != 1 && i->addr->count > 1;
    const double n = apart ? i->addr->count : 1, bytes = apart ? size : (double)i->addr->count * size;
    if (store)
        u->store += n * most(1 / stores, bytes / store_bytes);
    else
        u->load += n * most(1 / loads, bytes / load_bytes);
    u->vector += apart ? n * lane : 0;
    u->start += n;
}

/* Adds what the instruction takes; gives its latency. */
static double use_of(const model *m, const nd__kinst *i, use *u)
{
    const int size = (int)nd_dtype_size(i->type.dtype), bytes = i->type.lanes * (i->type.dtype == ND_BOOL ? 4 : size);
    const double part = most(1 / vector_starts, bytes / vector_bytes), multiply = nd__fma_cycles(m->target, 1, bytes);
    const bool is_float = nd_dtype_is_float(i->type.dtype);
    u->start += 1 / starts;
    switch (i->op) {
    case ND__K_const:
    case ND__K_index:
    case ND__K_bitcast:
    case ND__K_yield:
        u->start -= 1 / starts;
        return 0;
    case ND__K_splat: /* an operand of the load or of what takes it */
        u->start -= 1 / starts;
        return 1;
    case ND__K_load:
    case ND__K_loadx:
    case ND__K_store:
    case ND__K_storex:
        u->start -= 1 / starts;
        use here = {0};
        use_memory(i, size, i->op == ND__K_store || i->op == ND__K_storex, &here);
        if (i->op == ND__K_loadx && i->addr->count > 1 && i->addr->lane_stride == 0)
            here.vector += i->addr->count * lane;
        u->load += here.load;
        u->store += here.store;
        u->vector += here.vector;
        u->start += here.start / starts;
        return 5;
    case ND__K_fetch:
        u->load += 1 / loads;
        return 0;
    case ND__K_fma:
        if (is_float && !m->target->fma) {
            u->multiply += i->type.lanes * (size == 8 ? soft_fma_f64 : soft_fma_f32);
            return 20;
        }
        /* fall through */
    case ND__K_mul:
    case ND__K_scale:
        u->multiply += multiply;
        u->vector += part;
        return 4;
    case ND__K_add:
    case ND__K_sub:
    case ND__K_min:
    case ND__K_max:
    case ND__K_rint:
    case ND__K_floor:
    case ND__K_ceil:
    case ND__K_convert:
        u->add += is_float ? multiply : 0;
        u->vector += part;
        return is_float ? 3 : 1;
    case ND__K_div:
        u->divide += division * most(0.5, bytes / 64.0);
        u->vector += part;
        return 13;
    case ND__K_sqrt:
        u->divide += root * most(0.5, bytes / 64.0);
        u->vector += part;
        return 21;
    case ND__K_floordiv:
    case ND__K_mod:
        u->divide += 10.0 * i->type.lanes;
        return 20;
    case ND__K_mulhi:
        u->multiply += 2 * multiply;
        u->vector += 4 * part;
        return 6;
    case ND__K_tree_add:
    case ND__K_tree_min:
    case ND__K_tree_max: { /* the result is a scalar, its operand the vector */
        const double steps = lanes_log(m->k->types[i->args[0]].lanes);
        u->vector += steps;
        u->start += 2 * steps / starts;
        return 6 * steps;
    }
    case ND__K_transpose:
        u->vector += i->arg_count * lanes_log(i->type.lanes) * 2 * part;
        u->start += i->arg_count * lanes_log(i->type.lanes) / starts;
        return 2 * lanes_log(i->type.lanes);
    default:
        u->vector += part;
        return 1;
    }
}

static double affine_mean(const model *m, const nd__kaffine *a)
{
    double sum = (double)a->constant;
    for (int i = 0; i < a->count; i++)
        sum += (double)a->terms[i].coef * m->middle[a->terms[i].iv];
    return sum;
}

/* -- branches: how often they are taken ------------------------------------------------------------------------------
 */

static int64_t affine_at(const model *m, const nd__kaffine *a)
{
    int64_t sum = a->constant;
    for (int i = 0; i < a->count; i++)
        sum += a->terms[i].coef * m->at[a->terms[i].iv];
    return sum;
}

/* What a scalar is where the induction variables are; false: more than indices and constants decides it. */
static bool value_at(const model *m, nd__kval v, int deep, uint64_t *bits)
{
    const nd__kinst *i = m->maker[v];
    uint64_t args[3] = {0};
    if (!i || deep == 0 || m->k->types[v].lanes != 1)
        return false;
    if (i->op == ND__K_const || i->op == ND__K_index) {
        *bits = i->op == ND__K_const
                    ? i->imm
                    : nd__scalar_convert(ND_I64, (nd_dtype)i->type.dtype, (uint64_t)affine_at(m, &i->addr->at));
        return true;
    }
    if (i->op < ND__K_add || i->op > ND__K_shr)
        return false;
    for (int a = 0; a < i->arg_count; a++)
        if (!value_at(m, i->args[a], deep - 1, &args[a]))
            return false;
    const nd_dtype dtype = (nd_dtype)m->k->types[i->args[i->arg_count - 1]].dtype;
    *bits = nd__scalar_op(i->op, dtype, args[0], args[1], args[2]);
    return true;
}

/* Puts the loop's variable somewhere, `part` of the way; how often the loop turns there. */
static double put(model *m, const nd__kinst *of, double part)
{
    const int64_t lo = affine_at(m, of->lo), hi = affine_at(m, of->hi);
    const int64_t from = lo > of->least ? lo : of->least, until = hi < of->most ? hi : of->most;
    const int64_t turns = until > from ? (until - from + of->step - 1) / of->step : 0;
    m->at[of->iv] = from + of->step * (int64_t)(part * (double)turns);
    return (double)turns;
}

/* The part of all turns of the loops around it in which a condition holds: at points spread evenly, multiples of the
 * roots of primes (Richtmyer, "The evaluation of definite integrals", 1951). Negative: it is not known. */
static double share_taken(model *m, nd__kval condition, int in)
{
    static const double roots[DEEPEST] = {0.41421356, 0.73205081, 0.23606798, 0.64575131,
                                          0.31662479, 0.60555128, 0.12310563, 0.35889894};
    const nd__kinst *around[DEEPEST];
    int depth = 0;
    double all = 0, taken = 0;
    for (int l = in; l > 0 && depth < DEEPEST; l = m->loops[l].parent)
        around[depth++] = m->loops[l].of;
    for (int n = 0; n < POINTS; n++) {
        uint64_t holds;
        double turns = 1;
        for (int d = depth - 1; d >= 0; d--)
            turns *= put(m, around[d], fmod(0.5 + n * roots[d], 1));
        if (!value_at(m, condition, DEEPEST, &holds))
            return -1;
        all += turns;
        taken += holds ? turns : 0;
    }
    return all > 0 ? taken / all : -1;
}

/* -- work, block by block ---------------------------------------------------------------------------------------------
 */

/* When the operands are there, as far as the loop's own turn decides. */
static double operands_ready(const model *m, const nd__kinst *i, int in)
{
    double ready = -1;
    for (int a = 0; a < i->arg_count; a++)
        if (m->home[i->args[a]] >= in)
            ready = most(ready, m->ready[i->args[a]]);
    return ready;
}

static void results_ready(model *m, const nd__kinst *i, int in, double ready)
{
    for (int r = 0; r < i->result_count; r++) {
        m->ready[i->result + r] = ready;
        m->home[i->result + r] = in;
        m->maker[i->result + r] = i;
    }
}

static double block_cycles(model *m, const nd__kblock *block, int in);

static double loop_cycles(model *m, const nd__kinst *i, int in, double ready)
{
    const double lo = most(affine_mean(m, i->lo), (double)i->least), end = affine_mean(m, i->hi);
    const double hi = end < (double)i->most ? end : (double)i->most, span = most(0, hi - lo);
    const double turns = most(1, span / (double)i->step);
    m->middle[i->iv] = lo + most(0, span - (double)i->step) / 2;
    m->at[i->iv] = (int64_t)m->middle[i->iv];
    const int inner = new_loop(m, in, i, turns), before = m->loop_count;
    for (int c = 0; c < i->arg_count; c++) {
        m->ready[i->carried + c] = 0;
        m->home[i->carried + c] = inner;
    }
    double cycles = block_cycles(m, &i->body, inner), chain = 0;
    const nd__kinst *yield = i->body.last;
    for (int c = 0; yield && yield->op == ND__K_yield && c < yield->arg_count; c++)
        if (m->home[yield->args[c]] >= inner)
            chain = most(chain, m->ready[yield->args[c]]);
    results_ready(m, i, in, most(ready, 0) + turns * chain);
    return turns * most(cycles, chain) + (m->loop_count == before && turns > 1 ? loop_start : 1);
}

static double block_cycles(model *m, const nd__kblock *block, int in)
{
    use u = {0};
    double inside = 0;
    for (const nd__kinst *i = block->first; i && !m->failed; i = i->next) {
        const double ready = operands_ready(m, i, in);
        if (i->op == ND__K_for) {
            inside += loop_cycles(m, i, in, ready);
        } else if (i->op == ND__K_if) {
            const double share = share_taken(m, i->args[0], in);
            const double body = block_cycles(m, &i->body, in), other = block_cycles(m, &i->other, in);
            inside += 1 + (share < 0 ? most(body, other) : share * body + (1 - share) * other);
            results_ready(m, i, in, ready);
        } else {
            const double latency = use_of(m, i, &u);
            results_ready(m, i, in, ready < 0 ? -1 : ready + latency);
            if (i->addr && i->op != ND__K_index && i->op != ND__K_fetch)
                refer(m, in, i->addr);
        }
    }
    return cycles_of(&u) + inside;
}

/* -- traffic ---------------------------------------------------------------------------------------------------------
 */

/* What references touch of a buffer: bytes in whole lines, and between which ones, counted from its start where the
 * loops around are at their mean. */
typedef struct footprint {
    double bytes, first, end;
} footprint;

/* Of one reference, while the loops from `outer` inwards turn. */
static footprint touched(const model *m, const reference *r, int outer)
{
    const nd__kbuffer *b = &m->k->buffers[r->addr->buffer];
    const double size = (double)nd_dtype_size(b->dtype), all = (double)b->elems * size;
    double pieces = 1, run = size, before = 0, behind = size;
    struct {
        double distance, turns; /* distance < 0: backwards */
    } walk[MOST_WALKS];
    int n = 0;
    walk[n].distance = (double)r->addr->lane_stride * size;
    walk[n++].turns = r->addr->count;
    if (r->count > 1) {
        walk[n].distance = (double)(r->last - r->first) / (double)(r->count - 1) * size;
        walk[n++].turns = (double)r->count;
    }
    nd__kaffine at = r->addr->at;
    at.constant = r->first;
    for (int l = r->loop; l >= outer && l > 0; l = m->loops[l].parent) {
        const nd__kinst *of = m->loops[l].of;
        int64_t coef = 0;
        for (int t = 0; t < at.count; t++)
            if (at.terms[t].iv == of->iv)
                coef = at.terms[t].coef;
        if (coef != 0 && n < MOST_WALKS) {
            walk[n].distance = (double)coef * (double)of->step * size;
            walk[n++].turns = m->loops[l].turns;
        }
        at = nd__k_sum(nd__k_plus(at, of->iv, -coef),
                       nd__k_scaled(*of->lo, coef)); /* it begins where loops around say */
    }
    for (int i = 0; i < n; i++) {
        const double far = (walk[i].turns - 1) * walk[i].distance;
        *(far < 0 ? &before : &behind) += far;
        walk[i].distance = fabs(walk[i].distance);
    }
    for (int done = 0; done < n; done++) { /* nearest first */
        int next = done;
        for (int i = done + 1; i < n; i++)
            if (walk[i].distance < walk[next].distance)
                next = i;
        const double distance = walk[next].distance, turns = walk[next].turns;
        walk[next] = walk[done];
        if (distance <= most(run, LINE))
            run += (turns - 1) * distance;
        else
            pieces *= turns;
    }
    const double bytes = pieces * ((double)((int64_t)(run + LINE - 1) / LINE) * LINE);
    const double begin = affine_mean(m, &at) * size;
    return (footprint){bytes < all ? bytes : all, begin + before, begin + behind};
}

static void add_footprint(footprint *sum, footprint f)
{
    sum->first = sum->bytes == 0 || f.first < sum->first ? f.first : sum->first;
    sum->end = sum->bytes == 0 || f.end > sum->end ? f.end : sum->end;
    sum->bytes += f.bytes;
}

/* What several references touch counts once: no more than lies between the first byte and the last. */
static double union_of(const nd__kbuffer *b, const footprint *sum)
{
    const double all = (double)b->elems * (double)nd_dtype_size(b->dtype), between = sum->end - sum->first + LINE;
    const double bytes = sum->bytes < between ? sum->bytes : between;
    return bytes < all ? bytes : all;
}

/* Sums of what the references touch, for each loop. */
static bool sum_touched(model *m)
{
    const int buffers = m->k->buffer_count;
    footprint *sum = nd__arena_alloc(&m->arena, (size_t)buffers * 2, sizeof *sum), *turn = sum ? sum + buffers : NULL;
    if (!sum)
        return false;
    for (int l = 0; l < m->loop_count; l++) {
        memset(sum, 0, (size_t)buffers * 2 * sizeof *sum);
        for (int i = 0; i < m->reference_count; i++) {
            const reference *r = &m->references[i];
            int inner = r->loop;
            while (inner > l)
                inner = m->loops[inner].parent;
            if (inner != l)
                continue;
            const footprint once = touched(m, r, l + 1);
            add_footprint(&sum[r->addr->buffer], touched(m, r, l));
            add_footprint(&turn[r->addr->buffer], once);
            if (r->loop == l)
                m->loops[l].straight += once.bytes;
        }
        for (int b = 0; b < buffers; b++) {
            m->loops[l].touched += union_of(&m->k->buffers[b], &sum[b]);
            m->loops[l].turn += union_of(&m->k->buffers[b], &turn[b]);
            if (l == 0)
                m->whole[b] = union_of(&m->k->buffers[b], &sum[b]);
        }
    }
    return true;
}

/* Bytes that one run brings into a cache of that size. Loops inside come after those around them. */
static double traffic(model *m, double cache)
{
    for (int l = 0; l < m->loop_count; l++)
        m->loops[l].inner = 0;
    for (int l = m->loop_count - 1; l >= 0; l--) {
        loop *x = &m->loops[l];
        const double again = x->turns * (x->straight + x->inner);
        x->traffic = x->turn <= cache ? x->touched : most(x->touched, again); /* nothing is left for the next turn */
        if (x->parent >= 0)
            m->loops[x->parent].inner += x->traffic;
    }
    return m->loops[0].traffic;
}

/* The first touch of each buffer comes from where it still is; what does not fit, again and again from the next cache.
 */
static double traffic_cycles(model *m, const double *distance)
{
    const double size[] = {(double)m->target->l1_bytes, (double)m->target->l2_bytes, (double)m->target->l3_bytes};
    const double rate[] = {l2_rate, l3_rate, memory_rate};
    double cycles = 0;
    for (int c = 0; c < 3; c++) {
        double bytes = 0;
        for (int b = 0; b < m->k->buffer_count; b++)
            bytes += distance && distance[b] > size[c] ? m->whole[b] : 0;
        if (m->loops[0].touched > size[c])
            bytes = most(bytes, traffic(m, size[c]) - (distance ? 0 : m->loops[0].touched));
        cycles = most(cycles, bytes / rate[c]);
    }
    return cycles;
}

/* -- kernels ----------------------------------------------------------------------------------------------- */

double nd__kernel_cycles(const nd__kernel *k, const nd__target *target, const double *distance)
{
    model m = {.k = k, .target = target};
    double cycles = -1;
    m.ready = nd__arena_alloc(&m.arena, (size_t)k->value_count + 1, sizeof *m.ready);
    m.home = nd__arena_alloc(&m.arena, (size_t)k->value_count + 1, sizeof *m.home);
    m.middle = nd__arena_alloc(&m.arena, (size_t)k->iv_count + 1, sizeof *m.middle);
    m.at = nd__arena_alloc(&m.arena, (size_t)k->iv_count + 1, sizeof *m.at);
    m.maker = nd__arena_alloc(&m.arena, (size_t)k->value_count + 1, sizeof *m.maker);
    m.whole = nd__arena_alloc(&m.arena, (size_t)k->buffer_count + 1, sizeof *m.whole);
    m.failed = !m.ready || !m.home || !m.middle || !m.at || !m.maker || !m.whole;
    const int whole = m.failed ? 0 : new_loop(&m, -1, NULL, 1);
    if (!m.failed) {
        const double work = block_cycles(&m, &k->body, whole);
        if (!m.failed && sum_touched(&m))
            cycles = most(work, traffic_cycles(&m, distance));
    }
    nd__arena_release(&m.arena);
    return cycles;
}
