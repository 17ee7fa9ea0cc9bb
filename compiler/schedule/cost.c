/* Cycles of a kernel, from its text.
 *
 * Work: the instructions of a block share what a cycle can do, and the scarcest share rules. A loop takes that as often
 * as it turns, but no less than its recurrence: the longest chain of latencies from what it carries to what it yields.
 *
 * Traffic: the loops of a kernel are a tree, its references to memory hang in it, unrolled neighbours as one. What a
 * loop touches in all, and in one turn, are sums over the references inside. Into a cache come: what a loop touches, if
 * one turn of it fits there; else what the loops inside bring, as often as it turns. Work and the slowest of the
 * traffic overlap (Williams, Waterman and Patterson, "Roofline", 2009, with a roof for every cache). */
#include "compiler/schedule/cost.h"

#include <string.h>

enum { LINE = 64, MOST_WALKS = 16 };

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
    double *ready;  /* by value: when it is there, counted from where its loop's turn begins */
    int *home;      /* by value: the loop in which it is made */
    double *middle; /* by induction variable: its mean */
    double *whole;  /* by buffer: bytes that the kernel touches */
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
    case ND__K_fma:
        if (is_float && !m->target->fma) {
            u->multiply += i->type.lanes * (size == 8 ? soft_fma_f64 : soft_fma_f32);
            return 20;
        }
        /* fall through */
    case ND__K_mul:
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
    }
}

static double block_cycles(model *m, const nd__kblock *block, int in);

static double loop_cycles(model *m, const nd__kinst *i, int in, double ready)
{
    const double lo = most(affine_mean(m, &i->lo), (double)i->least), end = affine_mean(m, &i->hi);
    const double hi = end < (double)i->most ? end : (double)i->most, span = most(0, hi - lo);
    const double turns = most(1, span / (double)i->step);
    m->middle[i->iv] = lo + most(0, span - (double)i->step) / 2;
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
            const double body = block_cycles(m, &i->body, in), other = block_cycles(m, &i->other, in);
            inside += most(body, other) + 1;
            results_ready(m, i, in, ready);
        } else {
            const double latency = use_of(m, i, &u);
            results_ready(m, i, in, ready < 0 ? -1 : ready + latency);
            if (i->addr && i->op != ND__K_index)
                refer(m, in, i->addr);
        }
    }
    return cycles_of(&u) + inside;
}

/* -- traffic ---------------------------------------------------------------------------------------------------------
 */

/* Bytes, in whole lines, that a reference touches while the loops from `outer` inwards turn. */
static double touched(const model *m, const reference *r, int outer)
{
    const nd__kbuffer *b = &m->k->buffers[r->addr->buffer];
    const double size = (double)nd_dtype_size(b->dtype), all = (double)b->elems * size;
    double pieces = 1, run = size;
    struct {
        double distance, turns;
    } walk[MOST_WALKS];
    int n = 0;
    walk[n].distance = (double)r->addr->lane_stride * size;
    walk[n++].turns = r->addr->count;
    if (r->count > 1) {
        walk[n].distance = (double)(r->last - r->first) / (double)(r->count - 1) * size;
        walk[n++].turns = (double)r->count;
    }
    nd__kaffine at = r->addr->at;
    for (int l = r->loop; l >= outer && l > 0; l = m->loops[l].parent) {
        const nd__kinst *of = m->loops[l].of;
        int64_t coef = 0;
        for (int t = 0; t < at.count; t++)
            if (at.terms[t].iv == of->iv)
                coef = at.terms[t].coef;
        if (coef != 0 && n < MOST_WALKS) {
            walk[n].distance = (double)(coef < 0 ? -coef : coef) * (double)of->step * size;
            walk[n++].turns = m->loops[l].turns;
        }
        at = nd__k_sum(at, nd__k_scaled(of->lo, coef)); /* it begins where loops around it say */
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
    return bytes < all ? bytes : all;
}

/* Sums of what the references touch; a buffer that several touch counts no more than once as a whole. */
static bool sum_touched(model *m)
{
    const int buffers = m->k->buffer_count;
    double *sum = nd__arena_alloc(&m->arena, (size_t)buffers * 2, sizeof *sum), *turn = sum ? sum + buffers : NULL;
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
            sum[r->addr->buffer] += touched(m, r, l);
            turn[r->addr->buffer] += touched(m, r, l + 1);
            if (r->loop == l)
                m->loops[l].straight += touched(m, r, l + 1);
        }
        for (int b = 0; b < buffers; b++) {
            const double all = (double)m->k->buffers[b].elems * (double)nd_dtype_size(m->k->buffers[b].dtype);
            m->loops[l].touched += sum[b] < all ? sum[b] : all;
            m->loops[l].turn += turn[b] < all ? turn[b] : all;
            if (l == 0)
                m->whole[b] = sum[b] < all ? sum[b] : all;
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
    m.whole = nd__arena_alloc(&m.arena, (size_t)k->buffer_count + 1, sizeof *m.whole);
    m.failed = !m.ready || !m.home || !m.middle || !m.whole;
    const int whole = m.failed ? 0 : new_loop(&m, -1, NULL, 1);
    if (!m.failed) {
        const double work = block_cycles(&m, &k->body, whole);
        if (!m.failed && sum_touched(&m))
            cycles = most(work, traffic_cycles(&m, distance));
    }
    nd__arena_release(&m.arena);
    return cycles;
}
