#include "plan_check.h"

#include "random_op.h"

#include <check.h>
#include <stdlib.h>

enum { LINE = 64, RUNS = 6 };

/* Check writes a line into a file for each ck_assert, also where all is well: too slow for this many. */
#define check(condition, ...)                                                                                          \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            ck_abort_msg(__VA_ARGS__);                                                                                 \
    } while (0)

typedef struct checker {
    const nd__plan *plan;
    uint64_t *state;
    int next_number;
    int *first, *last; /* by buffer: the first and last step that mentions it */
    int64_t *alive;    /* by step: bytes */
    int *owner;        /* by line: 1 + the buffer that wrote it last */
    bool **written;    /* by buffer, by its line: whether it was ever written in this run */
    int64_t iteration[ND__MAX_NEST];
    int chunk;
} checker;

static int64_t bytes_of(const nd__buffer *b)
{
    return b->elems * (int64_t)nd_dtype_size(b->dtype);
}

/* What it takes in the arena. */
static int64_t room_of(const nd__buffer *b)
{
    return (bytes_of(b) + LINE - 1) / LINE * LINE;
}

static bool in_arena(const nd__plan *plan, int buffer)
{
    return plan->buffers[buffer].where == ND__IN_ARENA;
}

static const char *name_of(const nd__plan *plan, int buffer)
{
    return plan->buffers[buffer].name ? plan->buffers[buffer].name : "?";
}

/* Argument n's buffer of the kernel. */
static const nd__kbuffer *kernel_buffer(const nd__plan *plan, const nd__step *step, int n)
{
    const nd__kernel *k = plan->kernels[step->kernel];
    for (int i = 0; i < k->buffer_count; i++)
        if (k->buffers[i].access != ND__K_TABLE && n-- == 0)
            return &k->buffers[i];
    return NULL;
}

static int argument_count(const nd__plan *plan, const nd__step *step)
{
    if (step->kind != ND__STEP_KERNEL)
        return step->kind == ND__STEP_COND;
    int n = 0;
    while (kernel_buffer(plan, step, n))
        n++;
    return n;
}

static bool may_share(const nd__step *step, int written, int read)
{
    for (int i = 0; i < step->sharing_count; i++)
        if (step->sharing[i].written == written && step->sharing[i].read == read)
            return true;
    return false;
}

/* -- what stands in the plan ------------------------------------------------------------------------------------------
 */

static void check_numbers(checker *c, const nd__steps *steps)
{
    for (int i = 0; i < steps->count; i++) {
        const nd__step *step = &steps->items[i];
        check(step->number == c->next_number, "step %d has number %d", c->next_number, step->number);
        c->next_number++;
        for (int a = 0; a < argument_count(c->plan, step); a++) {
            int b = step->args[a].buffer;
            if (c->first[b] < 0)
                c->first[b] = step->number;
            c->last[b] = step->number;
        }
        check_numbers(c, &step->body);
        check_numbers(c, &step->other);
    }
}

static void check_buffers(checker *c)
{
    const nd__plan *plan = c->plan;
    for (int i = 0; i < plan->buffer_count; i++) {
        const nd__buffer *b = &plan->buffers[i];
        if (!in_arena(plan, i))
            continue;
        check(b->offset >= 0 && b->offset % LINE == 0, "%s at %lld", name_of(plan, i), (long long)b->offset);
        check((b->first < 0) == (c->first[i] < 0), "%s lives %d..%d", name_of(plan, i), b->first, b->last);
        if (b->first < 0)
            continue; /* nobody uses it */
        check(b->offset + bytes_of(b) <= plan->arena_size, "%s ends outside", name_of(plan, i));
        check(b->first <= c->first[i] && b->last >= c->last[i], "%s lives %d..%d, used %d..%d", name_of(plan, i),
              b->first, b->last, c->first[i], c->last[i]);
        for (int s = b->first; s <= b->last; s++)
            c->alive[s] += room_of(b);
    }
}

/* The step of that number. */
static const nd__step *find_step(const nd__steps *steps, int number)
{
    for (int i = 0; i < steps->count; i++) {
        const nd__step *step = &steps->items[i], *inner;
        if (step->number == number)
            return step;
        if ((inner = find_step(&step->body, number)) || (inner = find_step(&step->other, number)))
            return inner;
    }
    return NULL;
}

static void check_pairs(checker *c)
{
    const nd__plan *plan = c->plan;
    for (int i = 0; i < plan->buffer_count; i++)
        for (int j = 0; j < plan->buffer_count; j++) {
            const nd__buffer *w = &plan->buffers[i], *r = &plan->buffers[j];
            if (i == j || !in_arena(plan, i) || !in_arena(plan, j) || w->first < 0 || r->first < 0)
                continue;
            if (w->first < r->first || (w->first == r->first && i < j) || w->first > r->last)
                continue; /* seen from the other side, or not at once */
            if (w->offset >= r->offset + bytes_of(r) || r->offset >= w->offset + bytes_of(w))
                continue;
            const nd__step *step = find_step(&plan->steps, w->first);
            check(w->first == r->last && w->offset == r->offset && bytes_of(w) <= bytes_of(r) && may_share(step, i, j),
                  "%s (%d..%d) and %s (%d..%d) overlap", name_of(plan, i), w->first, w->last, name_of(plan, j),
                  r->first, r->last);
            c->alive[w->first] -= room_of(w);
        }
}

/* -- a run ------------------------------------------------------------------------------------------------------------
 */

/* The lines that the argument touches in this iteration; the number of the first within the buffer in *inside. */
static void lines_of(const checker *c, const nd__step *step, int a, int64_t *from, int64_t *to, int64_t *inside)
{
    const nd__karg *arg = &step->args[a];
    const nd__buffer *b = &c->plan->buffers[arg->buffer];
    const int64_t size = (int64_t)nd_dtype_size(b->dtype);
    const int64_t elems = step->kind == ND__STEP_KERNEL ? kernel_buffer(c->plan, step, a)->elems : 1;
    int64_t at = arg->offset + arg->chunk * c->chunk;
    for (int d = 0; d < ND__MAX_NEST; d++)
        at += arg->stride[d] * c->iteration[d];
    check(elems == 0 || (at >= 0 && at + elems <= b->elems), "step %d leaves %s", step->number,
          name_of(c->plan, arg->buffer));
    *from = (b->offset + at * size) / LINE;
    *to = elems == 0 ? *from : (b->offset + (at + elems) * size + LINE - 1) / LINE;
    *inside = at * size / LINE;
}

static void run_reads(checker *c, const nd__step *step)
{
    for (int a = 0; a < argument_count(c->plan, step); a++) {
        const int b = step->args[a].buffer;
        const nd__kaccess access = step->kind == ND__STEP_KERNEL ? kernel_buffer(c->plan, step, a)->access : ND__K_IN;
        int64_t from, to, inside;
        if (!in_arena(c->plan, b) || access == ND__K_OUT || access == ND__K_SCRATCH)
            continue;
        lines_of(c, step, a, &from, &to, &inside);
        for (int64_t l = from; l < to; l++)
            check(c->owner[l] == 1 + b || !c->written[b][inside + l - from], "step %d reads %s, overwritten by %s",
                  step->number, name_of(c->plan, b), name_of(c->plan, c->owner[l] - 1));
    }
}

static void run_writes(checker *c, const nd__step *step)
{
    const int n = argument_count(c->plan, step);
    for (int a = 0; a < n; a++) {
        const int b = step->args[a].buffer;
        int64_t from, to, inside;
        if (!in_arena(c->plan, b) || kernel_buffer(c->plan, step, a)->access == ND__K_IN)
            continue;
        lines_of(c, step, a, &from, &to, &inside);
        for (int64_t l = from; l < to; l++) {
            c->owner[l] = 1 + b;
            c->written[b][inside + l - from] = true;
        }
        for (int other = 0; other < n; other++) {
            const int o = step->args[other].buffer;
            int64_t other_from, other_to;
            if (o == b || !in_arena(c->plan, o))
                continue;
            lines_of(c, step, other, &other_from, &other_to, &inside);
            check(other_from >= to || from >= other_to || may_share(step, b, o) || may_share(step, o, b),
                  "step %d uses %s and %s in one place", step->number, name_of(c->plan, b), name_of(c->plan, o));
        }
    }
}

static void run_steps(checker *c, const nd__steps *steps, int depth)
{
    for (int i = 0; i < steps->count; i++) {
        const nd__step *step = &steps->items[i];
        if (step->kind == ND__STEP_LOOP) {
            const int64_t iterations[] = {0, 1, step->length - 1};
            for (int t = 0; t < 3 && t < step->length; t++) {
                c->iteration[depth] = iterations[t];
                run_steps(c, &step->body, depth + 1);
            }
            c->iteration[depth] = 0;
            continue;
        }
        if (step->kind == ND__STEP_KERNEL) { /* what shares memory is read where it is written: by the same chunk */
            const int chunks = step->chunks > 1 ? step->chunks : 1;
            for (c->chunk = 0; c->chunk < chunks; c->chunk++)
                run_reads(c, step);
            for (c->chunk = 0; c->chunk < chunks; c->chunk++)
                run_writes(c, step);
            c->chunk = 0;
        } else {
            run_reads(c, step);
            run_steps(c, random_below(c->state, 2) ? &step->body : &step->other, depth);
        }
    }
}

static void run(checker *c)
{
    c->owner = calloc((size_t)(c->plan->arena_size / LINE) + 1, sizeof *c->owner);
    c->written = calloc((size_t)c->plan->buffer_count + 1, sizeof *c->written);
    for (int b = 0; b < c->plan->buffer_count; b++)
        c->written[b] = calloc((size_t)(bytes_of(&c->plan->buffers[b]) / LINE) + 2, sizeof **c->written);
    run_steps(c, &c->plan->steps, 0);
    for (int b = 0; b < c->plan->buffer_count; b++)
        free(c->written[b]);
    free(c->written);
    free(c->owner);
}

static int count_steps(const nd__steps *steps)
{
    int n = steps->count;
    for (int i = 0; i < steps->count; i++)
        n += count_steps(&steps->items[i].body) + count_steps(&steps->items[i].other);
    return n;
}

void plan_check(const nd__plan *plan, uint64_t *state)
{
    const int steps = count_steps(&plan->steps);
    checker c = {.plan = plan, .state = state};
    c.first = malloc(((size_t)plan->buffer_count + 1) * sizeof *c.first);
    c.last = malloc(((size_t)plan->buffer_count + 1) * sizeof *c.last);
    c.alive = calloc((size_t)steps + 1, sizeof *c.alive);
    for (int i = 0; i < plan->buffer_count; i++)
        c.first[i] = c.last[i] = -1;
    check_numbers(&c, &plan->steps);
    check_buffers(&c);
    check_pairs(&c);
    int64_t most = 0;
    for (int s = 0; s < steps; s++)
        most = c.alive[s] > most ? c.alive[s] : most;
    ck_assert_int_eq(plan->lower_bound, most);
    ck_assert_int_ge(plan->arena_size, most);
    for (int i = 0; i < RUNS; i++)
        run(&c);
    free(c.first);
    free(c.last);
    free(c.alive);
}
