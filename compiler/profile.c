/* What each step of a function costs. */
#include "compiler/profile.h"
#include "compiler/lowered.h"
#include "compiler/schedule/cost.h"
#include "runtime/platform.h"
#include "runtime/tensor.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_ROUNDS = 1000, LEAST_ROUNDS = 5 };

/* A plan that does one step of another. */
static nd__plan one_step(const nd__plan *plan, int step)
{
    nd__plan one = *plan;
    one.steps.items = &plan->steps.items[step];
    one.steps.count = 1;
    return one;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Runs all steps in order, and again; samples[step * MOST_ROUNDS + round]. The number of rounds. */
static int sample(const nd__native *native, int steps, void *state, void *arena, const void *const *in,
                  void *const *out, double seconds, double *samples)
{
    int round = 0;
    double begin = nd__platform_seconds();
    for (; round < MOST_ROUNDS && (round < LEAST_ROUNDS || nd__platform_seconds() - begin < seconds); round++)
        for (int i = 0; i < steps; i++) {
            double before = nd__platform_seconds();
            nd__native_entry(native, i)(state, arena, in, out);
            samples[i * MOST_ROUNDS + round] = nd__platform_seconds() - before;
        }
    return round;
}

static void fill_row(const nd__plan *plan, const nd__step *step, double *samples, int rounds, nd__profile_row *row)
{
    nd__plan_count(plan, step, 1, &row->flops, &row->bytes);
    row->cycles = step->cycles;
    qsort(samples, (size_t)rounds, sizeof *samples, ascending);
    row->median = samples[rounds / 2];
    row->p10 = samples[rounds / 10];
}

static const char *choice_of(const nd__plan *plan, const nd__step *step, nd__arena *arena)
{
    char text[ND__CHOICE_TEXT] = "";
    if (step->made && plan->kernels[step->kernel]->flops > 0)
        nd__choice_text(text, step->made->kind, &step->made->choice);
    if (step->chunks > 1)
        return nd__arena_format(arena, "%d chunks%s%s", step->chunks, text[0] ? ", " : "", text);
    return nd__arena_text(arena, text, strlen(text));
}

static nd_status profile(const nd__lowered *l, const nd__plan *plan, void *state, const void *const *in,
                         void *const *out, double seconds, nd__arena *arena, nd__profile_row *rows,
                         nd__message *message)
{
    char text[ND__MESSAGE] = "";
    const int n = plan->steps.count;
    nd__plan *plans = nd__arena_alloc(arena, (size_t)n, sizeof *plans);
    const nd__plan **pointers = nd__arena_alloc(arena, (size_t)n, sizeof *pointers);
    double *samples = malloc((size_t)n * MOST_ROUNDS * sizeof *samples + 1);
    nd__storage *memory = nd__storage_create((size_t)(plan->arena_size + plan->worker_size));
    nd__native *native = NULL;
    nd_status status = ND_OK;
    if (!plans || !pointers || !samples || !memory) {
        status = nd__no_memory(message);
        goto done;
    }
    for (int i = 0; i < n; i++) {
        plans[i] = one_step(plan, i);
        pointers[i] = &plans[i];
        const nd__step *step = &plan->steps.items[i];
        const char *kernel = step->kind == ND__STEP_KERNEL ? plan->kernels[step->kernel]->name : "";
        rows[i].label = nd__arena_text(arena, step->label, strlen(step->label));
        rows[i].kernel = nd__arena_text(arena, kernel, strlen(kernel));
        rows[i].choice = choice_of(plan, step, arena);
        if (!rows[i].label || !rows[i].kernel || !rows[i].choice) {
            status = nd__no_memory(message);
            goto done;
        }
    }
    status = nd__native_compile(pointers, n, &l->target, &native, text, sizeof text);
    if (status != ND_OK) {
        nd__message_set(message, status, "%s", text);
        goto done;
    }
    int rounds = sample(native, n, state, nd__storage_data(memory), in, out, seconds, samples);
    for (int i = 0; i < n; i++)
        fill_row(plan, &plan->steps.items[i], samples + (size_t)i * MOST_ROUNDS, rounds, &rows[i]);
done:
    nd__native_destroy(native);
    nd__storage_release(memory);
    free(samples);
    return status;
}

nd_status nd__profile(nd_module *module, const nd_compile_options *options, const char *function, void *state,
                      const void *const *in, void *const *out, double seconds, nd__arena *arena, nd__profile_row **rows,
                      int *count, nd__message *message)
{
    nd__lowered l;
    nd__plan *plan = NULL;
    nd_status status = nd__lower_module(&l, module, options, message);
    if (status != ND_OK)
        return status;
    for (int i = 0; i < l.count; i++)
        if (strcmp(l.plans[i]->name, function) == 0)
            plan = l.plans[i];
    if (!plan) {
        status = nd__message_set(message, ND_ERR_ARGUMENT, "\"%s\" has no function \"%s\"", nd_module_name(module),
                                 function);
    } else if (!nd__plan_estimate(plan, &l.target)) {
        status = nd__no_memory(message);
    } else {
        *count = plan->steps.count;
        *rows = nd__arena_alloc(arena, (size_t)*count, sizeof **rows);
        status = *rows ? profile(&l, plan, state, in, out, seconds, arena, *rows, message) : nd__no_memory(message);
    }
    nd__lowered_release(&l);
    return status;
}
