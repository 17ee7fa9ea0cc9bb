/* Where the arena's buffers lie: lifetimes, memory shared in place, offsets.
 *
 * A buffer is alive from its first to its last step, the steps numbered in order of execution, a loop's body once.
 * Around loops:
 *   - what all uses in one iteration of a loop's body share lives within that iteration;
 *   - a buffer that is used inside and outside of a loop is alive during all of the loop;
 *   - so is one that carries something from one iteration to the next. When all its uses are inside, the first
 * iteration finds nothing in it, so what an iteration reads it has written itself, and nothing is carried; unless the
 * addresses move with the loop. The schedule never reads what nobody wrote; where its first use is a read all the same,
 * it lives through all loops. The branches of a cond are numbered one after the other. Only one of them runs, so what
 * lives in one branch alone is free for the other.
 *
 * Packing intervals into the least memory is NP-hard (Garey and Johnson, Computers and Intractability, problem SR2).
 * Placing one after the other, each into the smallest gap that takes it among those alive at the same time, reaches the
 * lower bound on most step graphs when the large ones go first (Pisarchyk and Lee, Efficient Memory Management for Deep
 * Neural Net Inference, "greedy by size"); three orders are tried. Where none reaches it, whatever ended up at the top
 * is placed first and all the others again (Joslin and Clements, Squeaky Wheel Optimization), a fixed number of times:
 * same plan in, same offsets out.
 */
#include "compiler/schedule/schedule.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    LINE = 64,      /* every buffer starts on a cache line */
    PAGE = 4096,    /* addresses that are equal modulo this fall into the same set of a first-level cache */
    LARGE = PAGE,   /* buffers of so many bytes are skewed */
    SKEW = 320,     /* two of them that one kernel walks start so far apart modulo PAGE */
    ROUNDS = 64,    /* of placing the topmost first, */
    WORK = 1 << 22, /* as long as they compare so many pairs of blocks */
    ENOUGH = 128,   /* and until no more than this part of the least is lost, which keeping apart takes anyway */
};

typedef struct loop {
    int parent, depth; /* loop 0 is the function, of depth 0 */
    int first, last;   /* steps, its own included */
} loop;

typedef struct use {
    const nd__karg *arg;
    int step, loop; /* the innermost */
    bool reads;     /* what was there before the step */
} use;

/* A step that may run in place. */
typedef struct place {
    const nd__step *step;
    int loop;
} place;

typedef struct life {
    int64_t bytes;
    int first_step; /* -1: unused; the first that uses it */
    int home;       /* the innermost loop in one iteration of which it lives */
    int first, last;
    int block; /* -1: unused, or not in the arena */
} life;

/* Another large block that some kernel walks together with this one. */
typedef struct beside {
    int block;
    struct beside *next;
} beside;

/* What is placed: a buffer, or several that take over one place one after the other. */
typedef struct block {
    int64_t size; /* in whole lines */
    int64_t offset, best;
    int first, last;
    int newest; /* the buffer that has it last */
    bool placed;
    beside *beside;
} block;

/* A block that is placed, as those that come after it see it: all of them look at all pieces. */
typedef struct piece {
    int64_t offset, end;
    int first, last;
} piece;

typedef struct planner {
    nd__arena arena;
    nd__plan *plan;
    loop *loops;
    int loop_count, loop_room;
    use *uses;
    int use_count, use_room;
    place *places;
    int place_count, place_room;
    life *lives; /* by buffer */
    block *blocks;
    int block_count;
    int step_count;
} planner;

/* -- uses --------------------------------------------------------------------------------------------------------- */

static bool add_use(planner *p, const nd__karg *arg, int step, int in_loop, bool reads)
{
    if (p->plan->buffers[arg->buffer].where != ND__IN_ARENA)
        return true;
    if (!nd__arena_grow(&p->arena, &p->uses, &p->use_room, p->use_count + 1, sizeof *p->uses))
        return false;
    p->uses[p->use_count++] = (use){arg, step, in_loop, reads};
    return true;
}

static bool add_kernel(planner *p, const nd__step *step, int in_loop)
{
    const nd__kernel *k = p->plan->kernels[step->kernel];
    const nd__karg *arg = step->args;
    for (int i = 0; i < k->buffer_count; i++) {
        nd__kaccess access = k->buffers[i].access;
        if (access == ND__K_TABLE)
            continue;
        if (!add_use(p, arg++, step->number, in_loop, access == ND__K_IN || access == ND__K_INOUT))
            return false;
    }
    if (step->sharing_count == 0)
        return true;
    if (!nd__arena_grow(&p->arena, &p->places, &p->place_room, p->place_count + 1, sizeof *p->places))
        return false;
    p->places[p->place_count++] = (place){step, in_loop};
    return true;
}

static bool add_steps(planner *p, nd__steps *steps, int in_loop);

static bool add_loop(planner *p, nd__step *step, int in_loop)
{
    if (!nd__arena_grow(&p->arena, &p->loops, &p->loop_room, p->loop_count + 1, sizeof *p->loops))
        return false;
    int inner = p->loop_count++;
    p->loops[inner] = (loop){in_loop, p->loops[in_loop].depth + 1, step->number, step->number};
    if (!add_steps(p, &step->body, inner))
        return false;
    p->loops[inner].last = p->step_count - 1;
    return true;
}

/* Numbers the steps and notes who uses what. */
static bool add_steps(planner *p, nd__steps *steps, int in_loop)
{
    for (int i = 0; i < steps->count; i++) {
        nd__step *step = &steps->items[i];
        step->number = p->step_count++;
        bool ok = true;
        if (step->kind == ND__STEP_KERNEL)
            ok = add_kernel(p, step, in_loop);
        else if (step->kind == ND__STEP_LOOP)
            ok = add_loop(p, step, in_loop);
        else
            ok = add_use(p, &step->args[0], step->number, in_loop, true) && add_steps(p, &step->body, in_loop) &&
                 add_steps(p, &step->other, in_loop);
        if (!ok)
            return false;
    }
    return true;
}

/* -- lifetimes ---------------------------------------------------------------------------------------------------- */

/* The innermost loop around both. */
static int common_loop(const loop *loops, int a, int b)
{
    while (a != b) {
        if (loops[a].depth < loops[b].depth)
            b = loops[b].parent;
        else
            a = loops[a].parent;
    }
    return a;
}

static void find_homes(planner *p)
{
    for (int i = 0; i < p->use_count; i++) {
        const use *u = &p->uses[i];
        life *l = &p->lives[u->arg->buffer];
        if (l->first_step < 0) {
            l->first_step = u->step;
            l->home = u->loop;
        }
        l->home = common_loop(p->loops, l->home, u->loop);
    }
    for (int i = 0; i < p->use_count; i++) { /* what is carried lives outside of the loop that carries it */
        const use *u = &p->uses[i];
        life *l = &p->lives[u->arg->buffer];
        if (u->reads && u->step == l->first_step)
            l->home = 0;
        for (int in = l->home; in > 0; in = p->loops[in].parent)
            if (u->arg->stride[p->loops[in].depth - 1] != 0)
                l->home = p->loops[in].parent;
    }
}

static void find_lifetimes(planner *p)
{
    find_homes(p);
    for (int i = 0; i < p->use_count; i++) {
        const use *u = &p->uses[i];
        life *l = &p->lives[u->arg->buffer];
        int first = u->step, last = u->step;
        for (int in = u->loop; in != l->home; in = p->loops[in].parent) {
            first = p->loops[in].first;
            last = p->loops[in].last;
        }
        if (l->first < 0 || first < l->first)
            l->first = first;
        if (last > l->last)
            l->last = last;
    }
}

/* -- in place ----------------------------------------------------------------------------------------------------- */

/* Whether nothing but `read` needs its memory from this step on, and nothing but `written` needs the written one's
 * until it. The lifetimes alone do not tell: the last step of a loop is also the last of what lives through all of it.
 */
static bool can_share(const planner *p, const place *at, const nd__sharing *s)
{
    const nd__buffer *w = &p->plan->buffers[s->written], *r = &p->plan->buffers[s->read];
    const life *lw = &p->lives[s->written], *lr = &p->lives[s->read];
    if (lw->block < 0 || lr->block < 0 || lw->block == lr->block)
        return false;
    if (lw->bytes != lr->bytes || nd_dtype_size(w->dtype) != nd_dtype_size(r->dtype))
        return false;
    if (lw->home != at->loop || lr->home != at->loop)
        return false;
    return lw->first == at->step->number && lr->last == at->step->number && p->blocks[lw->block].first == lw->first &&
           p->blocks[lw->block].newest == s->written && p->blocks[lr->block].newest == s->read;
}

/* Steps come in order, so that a place can be handed on again and again. */
static void share(planner *p)
{
    for (int i = 0; i < p->place_count; i++) {
        const place *at = &p->places[i];
        for (int j = 0; j < at->step->sharing_count; j++) {
            const nd__sharing *s = &at->step->sharing[j];
            if (!can_share(p, at, s))
                continue;
            block *from = &p->blocks[p->lives[s->written].block], *to = &p->blocks[p->lives[s->read].block];
            to->last = from->last;
            to->newest = from->newest;
            from->size = 0;
            p->lives[s->written].block = p->lives[s->read].block;
        }
    }
}

/* -- blocks ------------------------------------------------------------------------------------------------------- */

static bool make_blocks(planner *p)
{
    for (int i = 0; i < p->plan->buffer_count; i++) {
        life *l = &p->lives[i];
        if (l->first < 0)
            continue;
        l->block = p->block_count;
        int64_t size;
        if (__builtin_add_overflow(l->bytes, LINE - 1, &size))
            return false;
        p->blocks[p->block_count++] =
            (block){.size = size / LINE * LINE, .first = l->first, .last = l->last, .newest = i};
    }
    share(p);
    return true;
}

static bool add_beside(planner *p, int a, int b)
{
    beside *item = nd__arena_alloc(&p->arena, 1, sizeof *item);
    if (!item)
        return false;
    *item = (beside){b, p->blocks[a].beside};
    p->blocks[a].beside = item;
    return true;
}

/* Notes which large blocks meet in one step. */
static bool find_meetings(planner *p)
{
    for (int i = 0; i < p->use_count; i++) {
        int a = p->lives[p->uses[i].arg->buffer].block;
        if (p->blocks[a].size < LARGE)
            continue;
        for (int j = i + 1; j < p->use_count && p->uses[j].step == p->uses[i].step; j++) {
            int b = p->lives[p->uses[j].arg->buffer].block;
            if (a != b && p->blocks[b].size >= LARGE && (!add_beside(p, a, b) || !add_beside(p, b, a)))
                return false;
        }
    }
    return true;
}

/* The most that is alive at once. false on overflow or when memory runs out. */
static bool most_alive(planner *p, int64_t *most)
{
    int64_t *change = nd__arena_alloc(&p->arena, (size_t)p->step_count + 1, sizeof *change), alive = 0, total = 0;
    if (!change)
        return false;
    for (int i = 0; i < p->block_count; i++) {
        const block *b = &p->blocks[i];
        if (__builtin_add_overflow(total, b->size, &total) || __builtin_add_overflow(total, PAGE, &total))
            return false; /* with that, no sum below overflows, skew included */
        change[b->first] += b->size;
        change[b->last + 1] -= b->size;
    }
    *most = 0;
    for (int i = 0; i < p->step_count; i++) {
        alive += change[i];
        if (alive > *most)
            *most = alive;
    }
    return true;
}

/* -- packing ------------------------------------------------------------------------------------------------------ */

/* The distance of two offsets on the ring of offsets modulo PAGE. */
static int64_t apart(int64_t a, int64_t b)
{
    int64_t d = (a > b ? a - b : b - a) % PAGE;
    return d < PAGE - d ? d : PAGE - d;
}

/* The first offset from `from` on that keeps SKEW from all large blocks walked together with b; where too many are, the
 * one that keeps most. */
static int64_t skewed(const planner *p, const block *b, int64_t from)
{
    int64_t best = from, widest = -1;
    for (int64_t at = from; at < from + PAGE; at += LINE) {
        int64_t nearest = SKEW;
        for (const beside *other = b->beside; other; other = other->next)
            if (p->blocks[other->block].placed && apart(at, p->blocks[other->block].offset) < nearest)
                nearest = apart(at, p->blocks[other->block].offset);
        if (nearest > widest) {
            widest = nearest;
            best = at;
        }
        if (nearest == SKEW)
            break;
    }
    return best;
}

/* Places the blocks in that order, each into the smallest gap that takes it; `by_offset` has room for all. The arena's
 * size. */
static int64_t pack(planner *p, block *const *order, int n, piece *by_offset)
{
    int64_t size = 0;
    for (int i = 0; i < n; i++)
        order[i]->placed = false;
    for (int i = 0; i < n; i++) {
        block *b = order[i];
        int64_t end = 0, best = -1, smallest = INT64_MAX;
        for (int j = 0; j < i; j++) {
            const piece *other = &by_offset[j];
            if (other->last < b->first || b->last < other->first)
                continue;
            int64_t gap = other->offset - end;
            if (gap >= b->size && gap < smallest) {
                int64_t at = skewed(p, b, end);
                if (at + b->size <= other->offset) {
                    best = at;
                    smallest = gap;
                }
            }
            if (other->end > end)
                end = other->end;
        }
        b->offset = best >= 0 ? best : skewed(p, b, end);
        b->placed = true;
        int at = i;
        while (at > 0 && by_offset[at - 1].offset > b->offset)
            at--;
        memmove(by_offset + at + 1, by_offset + at, (size_t)(i - at) * sizeof *by_offset);
        by_offset[at] = (piece){b->offset, b->offset + b->size, b->first, b->last};
        if (b->offset + b->size > size)
            size = b->offset + b->size;
    }
    return size;
}

/* Orders: the key, then the place in the list of blocks. */
static int compare(int64_t a, int64_t b, const block *x, const block *y)
{
    if (a != b)
        return a > b ? -1 : 1;
    return (x > y) - (x < y);
}

static int by_size(const void *a, const void *b)
{
    const block *x = *(block *const *)a, *y = *(block *const *)b;
    return compare(x->size, y->size, x, y);
}

static int by_duration(const void *a, const void *b)
{
    const block *x = *(block *const *)a, *y = *(block *const *)b;
    return compare(x->last - x->first, y->last - y->first, x, y);
}

static int by_first(const void *a, const void *b)
{
    const block *x = *(block *const *)a, *y = *(block *const *)b;
    return compare(-x->first, -y->first, x, y);
}

/* Packs and keeps the offsets if none before were better. */
static int64_t attempt(planner *p, block *const *order, int n, piece *by_offset, int64_t *least)
{
    int64_t size = pack(p, order, n, by_offset);
    if (*least >= 0 && size >= *least)
        return size;
    *least = size;
    for (int i = 0; i < n; i++)
        order[i]->best = order[i]->offset;
    return size;
}

static void topmost_first(block **order, int n, int64_t size)
{
    int top = 0;
    while (top < n - 1 && order[top]->offset + order[top]->size != size)
        top++;
    block *b = order[top];
    memmove(order + 1, order, (size_t)top * sizeof *order);
    order[0] = b;
}

static bool find_offsets(planner *p)
{
    static int (*const orders[])(const void *, const void *) = {by_size, by_duration, by_first};
    block **order = nd__arena_alloc(&p->arena, (size_t)p->block_count, sizeof *order);
    piece *by_offset = nd__arena_alloc(&p->arena, (size_t)p->block_count, sizeof *by_offset);
    const int64_t bound = p->plan->lower_bound, enough = bound + bound / ENOUGH;
    int64_t least = -1, pairs;
    if (!order || !by_offset)
        return false;
    int n = 0;
    for (int i = 0; i < p->block_count; i++)
        if (p->blocks[i].size > 0)
            order[n++] = &p->blocks[i];
    pairs = (int64_t)n * n + 1;
    for (size_t o = 0; o < sizeof orders / sizeof *orders && (least < 0 || least > enough); o++) {
        qsort(order, (size_t)n, sizeof *order, orders[o]);
        int64_t size = attempt(p, order, n, by_offset, &least);
        for (int round = 0; round < ROUNDS && round * pairs < WORK && least > enough; round++) {
            topmost_first(order, n, size);
            size = attempt(p, order, n, by_offset, &least);
        }
    }
    p->plan->arena_size = least;
    return true;
}

/* -- all ---------------------------------------------------------------------------------------------------------- */

static bool begin(planner *p)
{
    nd__plan *plan = p->plan;
    p->lives = nd__arena_alloc(&p->arena, (size_t)plan->buffer_count, sizeof *p->lives);
    p->blocks = nd__arena_alloc(&p->arena, (size_t)plan->buffer_count, sizeof *p->blocks);
    if (!p->lives || !p->blocks || !nd__arena_grow(&p->arena, &p->loops, &p->loop_room, 1, sizeof *p->loops))
        return false;
    p->loop_count = 1;
    for (int i = 0; i < plan->buffer_count; i++) {
        const nd__buffer *b = &plan->buffers[i];
        p->lives[i] = (life){.first_step = -1, .first = -1, .last = -1, .block = -1};
        assert(b->elems >= 0);
        if (b->where == ND__IN_ARENA &&
            __builtin_mul_overflow(b->elems, (int64_t)nd_dtype_size(b->dtype), &p->lives[i].bytes))
            return false;
    }
    return true;
}

static void write_back(const planner *p)
{
    for (int i = 0; i < p->plan->buffer_count; i++) {
        nd__buffer *b = &p->plan->buffers[i];
        const life *l = &p->lives[i];
        if (b->where != ND__IN_ARENA)
            continue;
        b->first = l->first;
        b->last = l->last;
        b->offset = l->block >= 0 ? p->blocks[l->block].best : 0;
    }
}

bool nd__plan_memory(nd__plan *plan)
{
    planner p = {.plan = plan};
    bool ok = begin(&p) && add_steps(&p, &plan->steps, 0);
    if (ok)
        find_lifetimes(&p);
    ok = ok && make_blocks(&p) && find_meetings(&p) && most_alive(&p, &plan->lower_bound) && find_offsets(&p);
    if (ok)
        write_back(&p);
    nd__arena_release(&p.arena);
    return ok;
}
