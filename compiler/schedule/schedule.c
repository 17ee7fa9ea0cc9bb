/* From an entry function to its plan. */
#include "compiler/schedule/schedule.h"
#include "compiler/schedule/block.h"

static nd__spot new_buffer(nd__block *b, nd__where where, int index, const nd_value *v, const char *name)
{
    nd__spot spot = nd__new_buffer(b, v->dtype, nd__elements(&v->shape), name);
    if (spot.buffer >= 0) {
        b->plan->buffers[spot.buffer].where = where;
        b->plan->buffers[spot.buffer].index = index;
    }
    return spot;
}

static bool schedule(nd__block *b, const nd_function *f, const size_t *state_offsets)
{
    nd_module *m = b->m;
    nd__spot *inputs = nd__arena_alloc(b->arena, (size_t)f->input_count, sizeof *inputs);
    nd__spot *variables = nd__arena_alloc(b->arena, (size_t)m->variable_count, sizeof *variables);
    const int sink_count = f->update_count + f->output_count;
    nd__sink *sinks = nd__arena_alloc(b->arena, (size_t)sink_count, sizeof *sinks);
    if (!inputs || !variables || !sinks)
        return nd__block_failed(b);
    for (int i = 0; i < f->input_count; i++)
        inputs[i] = new_buffer(b, ND__IN_INPUT, i, f->inputs[i], f->inputs[i]->name);
    for (int i = 0; i < m->variable_count; i++) {
        variables[i] = new_buffer(b, ND__IN_STATE, i, m->variables[i]->read, m->variables[i]->name);
        if (variables[i].buffer >= 0)
            b->plan->buffers[variables[i].buffer].offset = (int64_t)state_offsets[i];
    }
    for (int i = 0; i < f->update_count; i++) {
        const nd__variable *v = f->updates[i].variable;
        sinks[i] = (nd__sink){.value = f->updates[i].value, .spot = variables[v->number], .old = v->read};
    }
    for (int i = 0; i < f->output_count; i++)
        sinks[f->update_count + i] = (nd__sink){
            .value = f->outputs[i], .spot = new_buffer(b, ND__IN_OUTPUT, i, f->outputs[i], f->outputs[i]->name)};
    return !b->failed && nd__schedule_block(b, f, inputs, variables, sinks, sink_count, &b->plan->steps);
}

nd__plan *nd__schedule(nd_module *m, const nd_function *f, const nd__target *target, const size_t *state_offsets)
{
    nd__arena arena = {0}, passing = {0}, building = {0};
    nd__plan *plan = nd__plan_create(f->name);
    nd__block b = {.m = m, .plan = plan, .target = target, .arena = &arena, .passing = &passing, .building = &building};
    if (!plan) {
        nd__fail_memory(m);
        return NULL;
    }
    plan->input_count = f->input_count;
    plan->output_count = f->output_count;
    bool good = schedule(&b, f, state_offsets);
    nd__arena_release(&building);
    nd__arena_release(&passing);
    nd__arena_release(&arena);
    if (good && !nd__plan_memory(plan)) {
        nd__fail_memory(m);
        good = false;
    }
    if (!good) {
        nd__plan_destroy(plan);
        return NULL;
    }
    for (int i = 0; i < plan->steps.count; i++)
        nd__plan_count(plan, &plan->steps.items[i], 1, &plan->flops, &plan->bytes);
    return plan;
}
