#include "kplan.h"

#include <check.h>
#include <string.h>

static void *need(void *p)
{
    ck_assert_ptr_nonnull(p);
    return p;
}

nd__plan *kplan_create(nd__arena *arena, const char *name)
{
    nd__plan *plan = need(nd__arena_alloc(arena, 1, sizeof *plan));
    plan->arena = arena;
    plan->name = name;
    return plan;
}

static int add_buffer(nd__plan *plan, nd__buffer buffer)
{
    ck_assert(
        nd__arena_grow(plan->arena, &plan->buffers, &plan->buffer_room, plan->buffer_count + 1, sizeof *plan->buffers));
    plan->buffers[plan->buffer_count] = buffer;
    return plan->buffer_count++;
}

int kplan_buffer(nd__plan *plan, nd__where where, nd_dtype dtype, int64_t elems, int64_t at)
{
    nd__buffer buffer = {.where = where, .dtype = dtype, .elems = elems, .name = ""};
    int *count = where == ND__IN_INPUT ? &plan->input_count : where == ND__IN_OUTPUT ? &plan->output_count : NULL;
    int64_t end = at + elems * (int64_t)nd_dtype_size(dtype);
    if (count)
        buffer.index = (int)at;
    else
        buffer.offset = at;
    if (count && at >= *count)
        *count = (int)at + 1;
    if (where == ND__IN_ARENA && plan->arena_size < end)
        plan->arena_size = (end + 63) / 64 * 64;
    return add_buffer(plan, buffer);
}

int kplan_constant(nd__plan *plan, nd_dtype dtype, int64_t elems, const void *data)
{
    return add_buffer(plan,
                      (nd__buffer){.where = ND__IN_CONST, .dtype = dtype, .elems = elems, .data = data, .name = ""});
}

nd__step *kplan_step(nd__plan *plan, nd__steps *steps, nd__step_kind kind)
{
    ck_assert(nd__arena_grow(plan->arena, &steps->items, &steps->room, steps->count + 1, sizeof *steps->items));
    nd__step *step = &steps->items[steps->count++];
    memset(step, 0, sizeof *step);
    step->kind = kind;
    return step;
}

static int argument_count(const nd__kernel *k)
{
    int n = 0;
    for (int i = 0; i < k->buffer_count; i++)
        n += k->buffers[i].access != ND__K_TABLE;
    return n;
}

static int kernel_number(nd__plan *plan, nd__kernel *k)
{
    for (int i = 0; i < plan->kernel_count; i++)
        if (plan->kernels[i] == k)
            return i;
    ck_assert(
        nd__arena_grow(plan->arena, &plan->kernels, &plan->kernel_room, plan->kernel_count + 1, sizeof *plan->kernels));
    plan->kernels[plan->kernel_count] = k;
    return plan->kernel_count++;
}

void kplan_run(nd__plan *plan, nd__steps *steps, nd__kernel *k, const nd__karg *args)
{
    size_t n = (size_t)argument_count(k);
    nd__step *step = kplan_step(plan, steps, ND__STEP_KERNEL);
    step->kernel = kernel_number(plan, k);
    step->label = k->name;
    step->args = need(nd__arena_alloc(plan->arena, n, sizeof *args));
    if (n > 0)
        memcpy(step->args, args, n * sizeof *args);
}

void kplan_run_alone(nd__plan *plan, nd__kernel *k)
{
    nd__karg *args = need(nd__arena_alloc(plan->arena, (size_t)k->buffer_count, sizeof *args));
    int n = 0;
    for (int i = 0; i < k->buffer_count; i++) {
        const nd__kbuffer *b = &k->buffers[i];
        if (b->access == ND__K_IN)
            args[n++].buffer = kplan_buffer(plan, ND__IN_INPUT, b->dtype, b->elems, plan->input_count);
        else if (b->access == ND__K_SCRATCH)
            args[n++].buffer = kplan_buffer(plan, ND__IN_ARENA, b->dtype, b->elems, plan->arena_size);
        else if (b->access != ND__K_TABLE)
            args[n++].buffer = kplan_buffer(plan, ND__IN_OUTPUT, b->dtype, b->elems, plan->output_count);
    }
    kplan_run(plan, &plan->steps, k, args);
}

nd__plan *kplan_of(nd__arena *arena, nd__kernel *k)
{
    nd__plan *plan = kplan_create(arena, "step");
    kplan_run_alone(plan, k);
    return plan;
}

/* -- what they mean ------------------------------------------------------------------------------------------------ */

typedef struct run {
    const nd__plan *plan;
    char *state, *arena;
    const void *const *in;
    void *const *out;
    int64_t counters[ND__MAX_NEST];
    char *message;
    size_t size;
} run;

static void *pointer_of(const run *r, const nd__karg *arg, int depth, int chunk)
{
    const nd__buffer *b = &r->plan->buffers[arg->buffer];
    int64_t element = arg->offset + arg->chunk * chunk;
    char *base = NULL;
    for (int d = 0; d < depth; d++)
        element += arg->stride[d] * r->counters[d];
    if (b->where == ND__IN_STATE || b->where == ND__IN_ARENA)
        base = (b->where == ND__IN_STATE ? r->state : r->arena) + b->offset;
    else if (b->where == ND__IN_WORKER) /* of worker 0 */
        base = r->arena + r->plan->arena_size + b->offset;
    else if (b->where == ND__IN_OUTPUT)
        base = r->out[b->index];
    else /* only read: no kernel stores there */
        memcpy(&base, b->where == ND__IN_INPUT ? &r->in[b->index] : &b->data, sizeof base);
    return base + element * (int64_t)nd_dtype_size(b->dtype);
}

static const char *eval_steps(run *r, const nd__steps *steps, int depth);

static const char *eval_kernel(run *r, const nd__step *step, int depth)
{
    const nd__kernel *k = r->plan->kernels[step->kernel];
    nd__arena scratch = {0};
    int n = argument_count(k);
    void **buffers = need(nd__arena_alloc(&scratch, (size_t)n, sizeof *buffers));
    const char *error = NULL;
    for (int chunk = 0; chunk < (step->chunks > 1 ? step->chunks : 1) && !error; chunk++) {
        for (int i = 0; i < n; i++)
            buffers[i] = pointer_of(r, &step->args[i], depth, chunk);
        error = nd__k_eval(k, buffers, r->message, r->size);
    }
    nd__arena_release(&scratch);
    return error;
}

static const char *eval_step(run *r, const nd__step *step, int depth)
{
    const char *error = NULL;
    if (step->kind == ND__STEP_KERNEL)
        return eval_kernel(r, step, depth);
    if (step->kind == ND__STEP_COND)
        return eval_steps(r, *(unsigned char *)pointer_of(r, &step->args[0], depth, 0) ? &step->body : &step->other,
                          depth);
    for (int64_t i = 0; i < step->length && !error; i++) {
        r->counters[depth] = i;
        error = eval_steps(r, &step->body, depth + 1);
    }
    return error;
}

static const char *eval_steps(run *r, const nd__steps *steps, int depth)
{
    const char *error = NULL;
    for (int i = 0; i < steps->count && !error; i++)
        error = eval_step(r, &steps->items[i], depth);
    return error;
}

const char *kplan_eval(const nd__plan *plan, void *state, void *arena, const void *const *in, void *const *out,
                       char *message, size_t size)
{
    run r = {plan, state, arena, in, out, {0}, message, size};
    return eval_steps(&r, &plan->steps, 0);
}
