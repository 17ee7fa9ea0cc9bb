/* States: one block of memory with the variables in it. */
#include "runtime/control_word.h"
#include "runtime/program.h"

#include <stdlib.h>

/* Runs the function "init" with the seed. */
static nd_status initialise(nd_state *state, uint64_t seed, nd__message *message)
{
    const nd_program_info *info = &state->program->info;
    int init = nd_program_function_index(state->program, "init");
    bool any = false;
    for (int i = 0; i < info->variable_count; i++)
        any |= state->is_set[i] = info->variables[i].initialised;
    if (!any)
        return ND_OK;
    if (init < 0)
        return nd__message_set(message, ND_ERR_INTERNAL,
                               "the program has initialised variables but no function \"init\"");
    if (seed == 0)
        seed = info->seed;
    uint32_t words[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    const void *in[] = {words};
    void *out[] = {NULL};
    nd__storage *arena = nd__storage_create(info->functions[init].arena_size);
    if (!arena)
        return nd__message_set(message, ND_ERR_MEMORY, "out of memory for the arena of \"init\"");
    nd__control before = nd__control_read();
    nd__control_write(nd__control_default(before));
    nd_status status =
        nd__program_run(state->program, init, nd__storage_data(state->block), nd__storage_data(arena), in, out);
    nd__control_write(before);
    nd__storage_release(arena);
    if (status != ND_OK)
        nd__message_set(message, status, "init: %s", nd_status_text(status));
    return status;
}

static nd_state *create(nd_program *program, uint64_t seed, nd__message *message)
{
    const nd_program_info *info = &program->info;
    size_t n = (size_t)info->variable_count;
    nd_state *state = calloc(1, sizeof *state);
    if (!state)
        goto out_of_memory;
    state->program = program;
    state->block = nd__storage_create(info->state_size);
    state->tensors = calloc(n ? n : 1, sizeof *state->tensors);
    state->is_set = calloc(n ? n : 1, sizeof *state->is_set);
    if (!state->block || !state->tensors || !state->is_set)
        goto out_of_memory;
    for (size_t i = 0; i < n; i++) {
        const nd_program_variable_info *v = &info->variables[i];
        state->tensors[i] =
            nd__tensor_over(v->port.dtype, v->port.shape, nd__storage_data(state->block) + v->offset, state->block);
        if (nd_tensor_status(state->tensors[i]) != ND_OK)
            goto out_of_memory;
    }
    if (initialise(state, seed, message) == ND_OK)
        return state;
    nd_state_destroy(state);
    return NULL;

out_of_memory:
    nd__message_set(message, ND_ERR_MEMORY, "out of memory for a state of %zu bytes", info->state_size);
    nd_state_destroy(state);
    return NULL;
}

nd_state *nd_state_create(nd_program *program, uint64_t seed)
{
    if (nd_program_status(program) != ND_OK)
        return NULL;
    nd__message message = {0};
    nd_state *state = create(program, seed, &message);
    nd__program_tell(program, message);
    return state;
}

void nd_state_destroy(nd_state *state)
{
    if (!state)
        return;
    for (int i = 0; state->tensors && i < state->program->info.variable_count; i++)
        nd_tensor_destroy(state->tensors[i]);
    free(state->tensors);
    free(state->is_set);
    nd__storage_release(state->block);
    nd__message_clear(&state->message);
    free(state);
}

const char *nd_state_error(const nd_state *state)
{
    return state ? nd__message_text(&state->message) : nd_status_text(ND_ERR_MEMORY);
}

nd_tensor *nd_state_tensor(nd_state *state, const char *variable)
{
    int i = state ? nd__program_variable_index(state->program, variable) : -1;
    return i < 0 ? NULL : state->tensors[i];
}

float *nd_state_f32(nd_state *state, const char *variable)
{
    nd_tensor *t = nd_state_tensor(state, variable);
    return t && nd_tensor_dtype(t) == ND_F32 ? nd_tensor_data(t) : NULL;
}

nd_status nd_state_set(nd_state *state, const char *variable, const nd_tensor *value)
{
    if (!state)
        return ND_ERR_MEMORY;
    int i = nd__program_variable_index(state->program, variable);
    if (i < 0)
        return nd__message_set(&state->message, ND_ERR_ARGUMENT, "there is no variable \"%s\"",
                               variable ? variable : "(null)");
    if (!value)
        return nd__message_set(&state->message, ND_ERR_ARGUMENT,
                               "variable \"%s\": the tensor is NULL: a mistake, or out of memory", variable);
    nd_status status = nd_tensor_assign(state->tensors[i], value);
    if (status != ND_OK)
        return nd__message_set(&state->message, status, "variable \"%s\": %s", variable,
                               nd_tensor_error(state->tensors[i]));
    state->is_set[i] = true;
    nd__message_clear(&state->message);
    return ND_OK;
}
