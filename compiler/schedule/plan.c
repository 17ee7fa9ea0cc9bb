/* Plans: made and destroyed. */
#include "compiler/schedule/schedule.h"

#include <stdlib.h>
#include <string.h>

nd__plan *nd__plan_create(const char *name)
{
    nd__arena *arena = calloc(1, sizeof *arena);
    if (!arena)
        return NULL;
    nd__plan *plan = nd__arena_alloc(arena, 1, sizeof *plan);
    char *copy = nd__arena_text(arena, name, strlen(name));
    if (!plan || !copy)
        goto error;
    plan->arena = arena;
    plan->name = copy;
    return plan;
error:
    nd__arena_release(arena);
    free(arena);
    return NULL;
}

void nd__plan_destroy(nd__plan *plan)
{
    if (!plan)
        return;
    nd__arena *arena = plan->arena;
    nd__arena_release(arena);
    free(arena);
}

bool nd__steps_have_chunks(const nd__steps *steps)
{
    for (int i = 0; i < steps->count; i++) {
        const nd__step *step = &steps->items[i];
        if (step->chunks > 1 || nd__steps_have_chunks(&step->body) || nd__steps_have_chunks(&step->other))
            return true;
    }
    return false;
}

/* sum + times * each, at most what an int64_t holds: loops may be longer than anybody waits for. */
static int64_t add_times(int64_t sum, int64_t times, int64_t each)
{
    int64_t product, total;
    bool over = __builtin_mul_overflow(times, each, &product) || __builtin_add_overflow(sum, product, &total);
    return over ? INT64_MAX : total;
}

void nd__plan_count(const nd__plan *plan, const nd__step *step, int64_t times, int64_t *flops, int64_t *bytes)
{
    if (step->kind == ND__STEP_KERNEL) {
        times *= step->chunks > 1 ? step->chunks : 1;
        *flops = add_times(*flops, times, plan->kernels[step->kernel]->flops);
        *bytes = add_times(*bytes, times, plan->kernels[step->kernel]->bytes);
        return;
    }
    int64_t side[2][2] = {{0}};
    for (int i = 0; i < step->body.count; i++)
        nd__plan_count(plan, &step->body.items[i], 1, &side[0][0], &side[0][1]);
    for (int i = 0; i < step->other.count; i++)
        nd__plan_count(plan, &step->other.items[i], 1, &side[1][0], &side[1][1]);
    const int64_t *costlier = side[side[1][0] > side[0][0]];
    times = add_times(0, times, step->kind == ND__STEP_LOOP ? step->length : 1);
    *flops = add_times(*flops, times, costlier[0]);
    *bytes = add_times(*bytes, times, costlier[1]);
}
