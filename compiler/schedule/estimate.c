/* What the steps of a plan should take: each kernel's cycles, with its data where the steps before left it.
 *
 * How far a buffer has gone is the sum of the bytes that were walked since something last touched its memory: with the
 * least recently used going first, that says which cache still has it. A call follows another call, and a turn of a
 * loop another turn: steps are gone through twice, and the second time counts. */
#include "compiler/schedule/cost.h"

typedef struct model {
    nd__plan *plan;
    const nd__target *target;
    nd__arena arena;
    double walked;   /* bytes so far */
    double *touched; /* by buffer: what `walked` was when it was touched last; -1: never */
} model;

static bool same_memory(const nd__plan *plan, int a, int b)
{
    const nd__buffer *x = &plan->buffers[a], *y = &plan->buffers[b];
    if (a == b || x->where != ND__IN_ARENA || y->where != ND__IN_ARENA)
        return a == b;
    return x->offset < y->offset + y->elems * (int64_t)nd_dtype_size(y->dtype) &&
           y->offset < x->offset + x->elems * (int64_t)nd_dtype_size(x->dtype);
}

/* Bytes walked since the buffer's memory was touched. */
static double distance_of(const model *m, int buffer)
{
    double last = -1;
    for (int i = 0; i < m->plan->buffer_count; i++)
        if (m->touched[i] > last && same_memory(m->plan, i, buffer))
            last = m->touched[i];
    return last < 0 ? m->walked : m->walked - last;
}

static double bytes_of(const nd__step *step, const nd__karg *arg, const nd__kbuffer *b)
{
    const int64_t chunks = step->chunks > 1 ? step->chunks : 1;
    return (double)(b->elems + (chunks - 1) * arg->chunk) * (double)nd_dtype_size(b->dtype);
}

/* Goes through a kernel's step; with `counts`, also says what it takes. false: memory ran out. */
static bool run_kernel(model *m, nd__step *step, bool counts)
{
    const nd__kernel *k = m->plan->kernels[step->kernel];
    nd__arena scratch = {0};
    double *distance = nd__arena_alloc(&scratch, (size_t)k->buffer_count + 1, sizeof *distance);
    bool good = distance;
    for (int b = 0, a = 0; good && counts && b < k->buffer_count; b++)
        if (k->buffers[b].access != ND__K_TABLE)
            distance[b] = distance_of(m, step->args[a++].buffer);
    if (good && counts) {
        const double cycles = nd__kernel_cycles(k, m->target, distance);
        step->cycles = cycles * (step->chunks > 1 ? step->chunks : 1);
        good = cycles >= 0;
    }
    nd__arena_release(&scratch);
    for (int b = 0, a = 0; b < k->buffer_count; b++)
        if (k->buffers[b].access != ND__K_TABLE) {
            m->touched[step->args[a].buffer] = m->walked; /* its own bytes have to stay, too */
            m->walked += bytes_of(step, &step->args[a++], &k->buffers[b]);
        }
    return good;
}

static double cycles_of(const nd__steps *steps)
{
    double sum = 0;
    for (int i = 0; i < steps->count; i++)
        sum += steps->items[i].cycles;
    return sum;
}

static bool run(model *m, nd__steps *steps, bool counts)
{
    for (int i = 0; i < steps->count; i++) {
        nd__step *step = &steps->items[i];
        const bool loop = step->kind == ND__STEP_LOOP;
        if (step->kind == ND__STEP_KERNEL) {
            if (!run_kernel(m, step, counts))
                return false;
            continue;
        }
        if ((loop && !run(m, &step->body, false)) || !run(m, &step->body, counts) || !run(m, &step->other, counts))
            return false;
        const double body = cycles_of(&step->body), other = cycles_of(&step->other);
        step->cycles = loop ? body * (double)step->length : body > other ? body : other;
    }
    return true;
}

bool nd__plan_estimate(nd__plan *plan, const nd__target *target)
{
    model m = {.plan = plan, .target = target};
    m.touched = nd__arena_alloc(&m.arena, (size_t)plan->buffer_count + 1, sizeof *m.touched);
    for (int i = 0; m.touched && i < plan->buffer_count; i++)
        m.touched[i] = -1;
    const bool good = m.touched && run(&m, &plan->steps, false) && run(&m, &plan->steps, true);
    plan->cycles = good ? cycles_of(&plan->steps) : 0;
    nd__arena_release(&m.arena);
    return good;
}
