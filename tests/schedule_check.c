#include "schedule_check.h"

#include "bits.h"
#include "compiler/interp/interp.h"
#include "compiler/passes/passes.h"
#include "compiler/schedule/canonical.h"
#include "compiler/schedule/schedule.h"
#include "kplan.h"
#include "plan_check.h"
#include "random_op.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const nd__target targets[] = {
    {"x86-64-v4", 64, 32, true, 32 << 10, 1 << 20, 0, 16 << 20, 64},
    {"x86-64-v4", 64, 32, true, 32 << 10, 1 << 20, 1e-6, 16 << 20, 64}, /* everything in chunks */
    {"x86-64-v3", 32, 16, true, 32 << 10, 512 << 10, 0, 16 << 20, 64},
    {"x86-64", 16, 16, false, 32 << 10, 256 << 10, 1e-6, 16 << 20, 32},
};
enum { TARGETS = sizeof targets / sizeof *targets };

static int chunked; /* kernels met so far that run in chunks */

static void **allocate(int count, nd_value *const *values)
{
    void **memory = calloc((size_t)count + 1, sizeof *memory);
    for (int i = 0; i < count; i++)
        memory[i] = calloc((size_t)nd__elements(&values[i]->shape) + 1, 8);
    return memory;
}

static void release(int count, void **memory)
{
    for (int i = 0; i < count; i++)
        free(memory[i]);
    free(memory);
}

/* One function: interpreted as built, planned after all passes. `lowered` has a function of the same name. */
static void compare(const char *what, const nd_module *m, const nd_function *f, nd_module *lowered,
                    const nd__target *target, uint64_t *state)
{
    char text[256], message[512];
    size_t offsets[64];
    const size_t state_size = nd__state_layout(m, offsets);
    unsigned char *ours = calloc(1, state_size + 1), *theirs = calloc(1, state_size + 1);
    void *variables[64], **in = allocate(f->input_count, f->inputs);
    void **out = allocate(f->output_count, f->outputs), **expected = allocate(f->output_count, f->outputs);
    for (int i = 0; i < f->input_count; i++)
        random_fill(f->inputs[i], in[i], random_below(state, 2), state);
    for (int i = 0; i < m->variable_count; i++) {
        variables[i] = theirs + offsets[i];
        random_fill(m->variables[i]->read, variables[i], random_below(state, 2), state);
    }
    memcpy(ours, theirs, state_size);
    ck_assert_int_eq(nd__interpret(f, (const void *const *)in, expected, variables, variables), ND_OK);

    nd__plan *plan = nd__schedule(lowered, nd_module_function(lowered, f->name), target, offsets);
    ck_assert_msg(plan, "%s, %s: %s", what, target->cpu, nd_module_error(lowered));
    plan_check(plan, state);
    for (int i = 0; i < plan->steps.count; i++)
        chunked += plan->steps.items[i].chunks > 1;
    void *arena = malloc((size_t)(plan->arena_size + plan->worker_size) + 1);
    memset(arena, 0xa5, (size_t)(plan->arena_size + plan->worker_size) + 1);
    const char *wrong = kplan_eval(plan, ours, arena, (const void *const *)in, out, message, sizeof message);
    free(arena);
    if (wrong)
        nd__plan_print(plan, true, stderr);
    ck_assert_msg(!wrong, "%s, %s: %s", what, target->cpu, wrong);
    for (int i = 0; i < f->output_count; i++) {
        const nd_value *v = f->outputs[i];
        snprintf(text, sizeof text, "%s, %s, output %d", what, target->cpu, i);
        if (bits_difference(v->dtype, nd__elements(&v->shape), expected[i], out[i]) >= 0)
            nd__plan_print(plan, true, stderr);
        ck_assert_bits(text, v->dtype, nd__elements(&v->shape), expected[i], out[i]);
    }
    for (int i = 0; i < m->variable_count; i++) {
        const nd_value *v = m->variables[i]->read;
        snprintf(text, sizeof text, "%s, %s, variable %s", what, target->cpu, m->variables[i]->name);
        ck_assert_bits(text, v->dtype, nd__elements(&v->shape), theirs + offsets[i], ours + offsets[i]);
    }
    nd__plan_destroy(plan);
    release(f->input_count, in);
    release(f->output_count, out);
    release(f->output_count, expected);
    free(ours);
    free(theirs);
}

void schedule_check(const char *what, nd_module *m, bool passes, uint64_t *state)
{
    nd_module *copy = nd__module_copy(m, NULL);
    if (passes)
        copy = nd__run_passes(copy, NULL);
    nd_module *lowered = nd__canonical(copy);
    nd_module_destroy(copy);
    ck_assert_msg(nd_module_status(lowered) == ND_OK, "%s: %s", what, nd_module_error(lowered));
    for (int i = 0; nd__entry_point(m, i); i++)
        for (int t = 0; t < TARGETS; t++)
            compare(what, m, nd__entry_point(m, i), lowered, &targets[t], state);
    nd_module_destroy(lowered);
}

int schedule_check_chunked(void)
{
    return chunked;
}

nd__plan *schedule_plan(nd_module *m)
{
    size_t offsets[64];
    ck_assert_msg(nd_module_status(m) == ND_OK, "%s", nd_module_error(m));
    nd_module *copy = nd__run_passes(nd__module_copy(m, NULL), NULL), *lowered = nd__canonical(copy);
    nd_module_destroy(copy);
    nd__state_layout(m, offsets);
    nd__plan *plan =
        nd__schedule(lowered, nd_module_function(lowered, nd__entry_point(m, 0)->name), &targets[0], offsets);
    ck_assert_msg(plan, "%s", nd_module_error(lowered));
    nd_module_destroy(lowered);
    nd_module_destroy(m);
    return plan;
}

nd__plan *schedule_checked(const char *what, nd_module *m)
{
    uint64_t state = 17;
    ck_assert_msg(nd_module_status(m) == ND_OK, "%s: %s", what, nd_module_error(m));
    schedule_check(what, m, true, &state);
    schedule_check(what, m, false, &state);
    return schedule_plan(m);
}
