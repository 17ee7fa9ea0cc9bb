#include "plan_run.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct run {
    const nd__plan *plan;
    unsigned char *state, *arena;
    const void *const *in;
    void *const *out;
    int64_t turn[ND__MAX_NEST];
    int depth;
    char *message;
    size_t size;
} run;

static void *argument(const run *r, const nd__karg *arg)
{
    const nd__buffer *b = &r->plan->buffers[arg->buffer];
    int64_t at = arg->offset;
    for (int d = 0; d < r->depth; d++)
        at += arg->stride[d] * r->turn[d];
    at *= (int64_t)nd_dtype_size(b->dtype);
    union {
        const void *from;
        unsigned char *to;
    } base = {NULL};
    switch (b->where) {
    case ND__IN_STATE:
        base.to = r->state + b->offset;
        break;
    case ND__IN_ARENA:
        base.to = r->arena + b->offset;
        break;
    case ND__IN_INPUT:
        base.from = r->in[b->index];
        break;
    case ND__IN_OUTPUT:
        base.to = r->out[b->index];
        break;
    case ND__IN_CONST:
        base.from = b->data;
        break;
    }
    return base.to + at;
}

static const char *run_steps(run *r, const nd__steps *steps)
{
    const char *wrong = NULL;
    for (int i = 0; i < steps->count && !wrong; i++) {
        const nd__step *step = &steps->items[i];
        if (step->kind == ND__STEP_KERNEL) {
            const nd__kernel *k = r->plan->kernels[step->kernel];
            void **buffers = malloc(((size_t)k->buffer_count + 1) * sizeof *buffers);
            for (int b = 0, n = 0; b < k->buffer_count; b++)
                if (k->buffers[b].access != ND__K_TABLE) {
                    buffers[n] = argument(r, &step->args[n]);
                    n++;
                }
            wrong = nd__k_eval(k, buffers, r->message, r->size);
            free(buffers);
        } else if (step->kind == ND__STEP_LOOP) {
            int depth = r->depth++;
            for (r->turn[depth] = 0; r->turn[depth] < step->length && !wrong; r->turn[depth]++)
                wrong = run_steps(r, &step->body);
            r->depth--;
        } else {
            wrong = run_steps(r, *(unsigned char *)argument(r, &step->args[0]) ? &step->body : &step->other);
        }
    }
    return wrong;
}

const char *plan_run(const nd__plan *plan, void *state, const void *const *in, void *const *out, char *message,
                     size_t size)
{
    run r = {plan, state, malloc((size_t)plan->arena_size + 1), in, out, {0}, 0, message, size};
    memset(r.arena, 0xa5, (size_t)plan->arena_size + 1);
    const char *wrong = run_steps(&r, &plan->steps);
    free(r.arena);
    return wrong;
}
