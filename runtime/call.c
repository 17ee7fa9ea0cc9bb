/* Bound calls: everything is looked at once, so that running is a C call. */
#include "runtime/control_word.h"
#include "runtime/program.h"

#include <stdlib.h>
#include <string.h>

struct nd_call {
    nd_entry quick; /* what runs where nothing is left to look at but the control word; NULL: see run_carefully */
    void *state_block, *arena_block;
    const void **in;
    void **out;
    bool ready; /* the variables that it reads are set */
    const nd_program *program;
    int function;
    nd_state *state;
    nd__storage *arena;
    nd__storage **held; /* memory of the inputs, then of the outputs */
    size_t held_count;
    nd_parallel_entry parallel_entry; /* NULL: all on the thread that calls */
    nd_parallel given, guarded;       /* how chunks are handed out; the same with the control word looked after */
    nd__message message;
};

/* -- binding ------------------------------------------------------------------------------------------------------ */

static bool same_port(const nd_port *port, nd_dtype dtype, nd_shape shape)
{
    if (port->dtype != dtype || port->shape.rank != shape.rank)
        return false;
    for (int i = 0; i < shape.rank; i++)
        if (port->shape.dims[i] != shape.dims[i])
            return false;
    return true;
}

/* Whether the state's block is laid out as the program's. */
static bool fits(const nd_state *state, const nd_program *program)
{
    const nd_program_info *a = &state->program->info, *b = &program->info;
    if (state->program == program)
        return true;
    if (a->variable_count != b->variable_count || a->state_size != b->state_size)
        return false;
    for (int i = 0; i < a->variable_count; i++) {
        const nd_program_variable_info *v = &a->variables[i], *w = &b->variables[i];
        if (v->offset != w->offset || strcmp(v->port.name, w->port.name) != 0 ||
            !same_port(&v->port, w->port.dtype, w->port.shape))
            return false;
    }
    return true;
}

/* What messages call an argument: `step: input 1 "x"`. */
typedef struct place {
    const char *function, *kind;
    int number;
    const nd_port *port;
} place;

static bool check_argument(nd__message *message, place at, const nd_tensor *t)
{
    char expected[ND__TYPE_TEXT], given[ND__TYPE_TEXT];
    const nd_port *port = at.port;
    size_t size = nd_dtype_size(port->dtype);
    if (nd_tensor_status(t) != ND_OK)
        nd__message_set(message, ND_ERR_ARGUMENT, "%s: %s %d \"%s\": %s", at.function, at.kind, at.number, port->name,
                        t ? nd_tensor_error(t) : "the tensor is NULL");
    else if (!same_port(port, t->dtype, t->shape))
        nd__message_set(message, ND_ERR_ARGUMENT, "%s: %s %d \"%s\": expected %s, got %s", at.function, at.kind,
                        at.number, port->name, nd__type_text(expected, sizeof expected, port->dtype, port->shape),
                        nd__type_text(given, sizeof given, t->dtype, t->shape));
    else if (!nd_tensor_is_contiguous(t))
        nd__message_set(message, ND_ERR_ARGUMENT,
                        "%s: %s %d \"%s\": the tensor is a view that is not contiguous; copy it first", at.function,
                        at.kind, at.number, port->name);
    else if ((uintptr_t)t->data % size != 0)
        nd__message_set(message, ND_ERR_ARGUMENT,
                        "%s: %s %d \"%s\": the memory at %p is not aligned to the %zu bytes of %s", at.function,
                        at.kind, at.number, port->name, (void *)t->data, size, nd_dtype_name(port->dtype));
    else
        return true;
    return false;
}

static bool overlap(const void *a, size_t a_bytes, const void *b, size_t b_bytes)
{
    uintptr_t p = (uintptr_t)a, q = (uintptr_t)b;
    return a_bytes > 0 && b_bytes > 0 && (p < q ? q - p < a_bytes : p - q < b_bytes);
}

static bool overlapping(const nd_tensor *a, const nd_tensor *b)
{
    return overlap(a->data, nd_tensor_bytes(a), b->data, nd_tensor_bytes(b));
}

static bool check_overlaps(nd__message *message, const nd_program_function_info *f, nd_state *state, nd_tensors in,
                           nd_tensors out)
{
    for (size_t i = 0; i < out.count; i++) {
        const nd_tensor *o = out.items[i];
        for (size_t k = 0; k < in.count; k++)
            if (overlapping(o, in.items[k])) {
                nd__message_set(message, ND_ERR_ARGUMENT, "%s: output %zu \"%s\" overlaps input %zu \"%s\"", f->name,
                                i + 1, f->outputs[i].name, k + 1, f->inputs[k].name);
                return false;
            }
        for (size_t k = 0; k < i; k++)
            if (overlapping(o, out.items[k])) {
                nd__message_set(message, ND_ERR_ARGUMENT, "%s: output %zu \"%s\" overlaps output %zu \"%s\"", f->name,
                                i + 1, f->outputs[i].name, k + 1, f->outputs[k].name);
                return false;
            }
        if (state &&
            overlap(o->data, nd_tensor_bytes(o), nd__storage_data(state->block), state->program->info.state_size)) {
            nd__message_set(message, ND_ERR_ARGUMENT, "%s: output %zu \"%s\" overlaps the state", f->name, i + 1,
                            f->outputs[i].name);
            return false;
        }
    }
    for (size_t i = 0; i < in.count; i++)
        for (int k = 0; k < f->update_count; k++) {
            const nd_tensor *variable = state->tensors[f->updates[k]];
            if (overlapping(in.items[i], variable)) {
                nd__message_set(message, ND_ERR_ARGUMENT,
                                "%s: input %zu \"%s\" overlaps the variable \"%s\", which the function updates",
                                f->name, i + 1, f->inputs[i].name,
                                state->program->info.variables[f->updates[k]].port.name);
                return false;
            }
        }
    return true;
}

static bool check(nd__message *message, const nd_program *program, int index, nd_state *state, nd_tensors in,
                  nd_tensors out)
{
    const nd_program_function_info *f = &program->info.functions[index];
    if (!state && (f->read_count > 0 || f->update_count > 0)) {
        nd__message_set(message, ND_ERR_ARGUMENT, "%s: the function uses variables, but the state is NULL", f->name);
        return false;
    }
    if (state && !fits(state, program)) {
        nd__message_set(message, ND_ERR_STATE, "%s: the state belongs to a program with other variables", f->name);
        return false;
    }
    if ((in.count > 0 && !in.items) || (out.count > 0 && !out.items)) {
        nd__message_set(message, ND_ERR_ARGUMENT, "%s: the list of %s is NULL", f->name,
                        in.count > 0 && !in.items ? "inputs" : "outputs");
        return false;
    }
    if (in.count != (size_t)f->input_count) {
        nd__message_set(message, ND_ERR_ARGUMENT, "%s: expected %d inputs, got %zu", f->name, f->input_count, in.count);
        return false;
    }
    if (out.count != (size_t)f->output_count) {
        nd__message_set(message, ND_ERR_ARGUMENT, "%s: expected %d outputs, got %zu", f->name, f->output_count,
                        out.count);
        return false;
    }
    for (size_t i = 0; i < in.count; i++)
        if (!check_argument(message, (place){f->name, "input", (int)i + 1, &f->inputs[i]}, in.items[i]))
            return false;
    for (size_t i = 0; i < out.count; i++)
        if (!check_argument(message, (place){f->name, "output", (int)i + 1, &f->outputs[i]}, out.items[i]))
            return false;
    return check_overlaps(message, f, state, in, out);
}

nd_call *nd__bind(nd_program *program, const char *function, nd_state *state, nd_tensors in, nd_tensors out,
                  nd__message *message)
{
    int index = nd_program_function_index(program, function);
    if (index < 0) {
        nd__message_set(message, ND_ERR_ARGUMENT, "the program has no function \"%s\"", function ? function : "(null)");
        return NULL;
    }
    if (!check(message, program, index, state, in, out))
        return NULL;
    const nd_program_function_info *f = &program->info.functions[index];
    nd_call *call = calloc(1, sizeof *call);
    if (!call)
        goto out_of_memory;
    call->in = calloc(in.count + 1, sizeof *call->in);
    call->out = calloc(out.count + 1, sizeof *call->out);
    call->held = calloc(in.count + out.count + 1, sizeof *call->held);
    call->arena = nd__storage_create(f->arena_size);
    if (!call->in || !call->out || !call->held || !call->arena)
        goto out_of_memory;
    for (size_t i = 0; i < in.count; i++) {
        call->in[i] = in.items[i]->data;
        nd__storage_hold(call->held[call->held_count++] = in.items[i]->storage);
    }
    for (size_t i = 0; i < out.count; i++) {
        call->out[i] = out.items[i]->data;
        nd__storage_hold(call->held[call->held_count++] = out.items[i]->storage);
    }
    call->program = program;
    call->function = index;
    call->state = state;
    call->state_block = state ? nd__storage_data(state->block) : NULL;
    call->arena_block = nd__storage_data(call->arena);
    return call;

out_of_memory:
    nd__message_set(message, ND_ERR_MEMORY, "%s: out of memory for a call with an arena of %zu bytes", f->name,
                    f->arena_size);
    nd_call_destroy(call);
    return NULL;
}

nd_call *nd_bind(nd_program *program, const char *function, nd_state *state, nd_tensors in, nd_tensors out)
{
    if (nd_program_status(program) != ND_OK)
        return NULL;
    nd__message message = {0};
    nd_call *call = nd__bind(program, function, state, in, out, &message);
    nd__program_tell(program, message);
    return call;
}

void nd_call_destroy(nd_call *call)
{
    if (!call)
        return;
    for (size_t i = 0; i < call->held_count; i++)
        nd__storage_release(call->held[i]);
    nd__storage_release(call->arena);
    nd__message_clear(&call->message);
    free(call->held);
    free(call->out);
    free(call->in);
    free(call);
}

/* -- running ------------------------------------------------------------------------------------------------------ */

static nd_status run_once(nd_call *call)
{
    if (!call->parallel_entry)
        return nd__program_run(call->program, call->function, call->state_block, call->arena_block, call->in,
                               (void *const *)call->out);
    call->parallel_entry(call->state_block, call->arena_block, call->in, call->out, &call->guarded);
    return ND_OK;
}

/* Every run of an interpreted function, and a compiled one's first. */
static nd_status run_looking(nd_call *call)
{
    const nd_program_function_info *f = &call->program->info.functions[call->function];
    for (int i = 0; !call->ready && i < f->read_count; i++)
        if (!call->state->is_set[f->reads[i]])
            return nd__message_set(
                &call->message, ND_ERR_STATE,
                "%s: the variable \"%s\" was never initialised: it has no initialiser, and nd_state_set or "
                "nd_state_load did not set it",
                f->name, call->program->info.variables[f->reads[i]].port.name);
    nd_status status = run_once(call);
    if (status != ND_OK)
        return nd__message_set(&call->message, status, "%s: %s", f->name, nd_status_text(status));
    for (int i = 0; i < f->update_count; i++)
        call->state->is_set[f->updates[i]] = true;
    call->ready = true;
    if (!call->parallel_entry)
        call->quick = f->entry;
    return ND_OK;
}

/* Not inline: nd_run alone saves no registers. */
static __attribute__((noinline)) nd_status run_carefully(nd_call *call)
{
    const nd__control before = nd__control_read();
    const bool odd = !nd__control_fits(before);
    nd_status status = ND_OK;
    if (odd)
        nd__control_write(nd__control_default(before));
    if (call->ready && call->parallel_entry)
        call->parallel_entry(call->state_block, call->arena_block, call->in, call->out, &call->guarded);
    else
        status = run_looking(call);
    if (odd)
        nd__control_write(before);
    return status;
}

nd_status nd_run(nd_call *call)
{
    if (!call)
        return ND_ERR_STATE;
    if (!call->quick || !nd__control_suits())
        return run_carefully(call);
    call->quick(call->state_block, call->arena_block, call->in, call->out);
    return ND_OK;
}

char *nd_call_explain(nd_call *call)
{
    if (!call)
        return NULL;
    const nd_program_info *info = &call->program->info;
    const char *function = info->functions[call->function].name;
    char *text = NULL;
    if (!info->explain) {
        nd__message_set(&call->message, ND_ERR_STATE, "%s: the program has no graph that could explain its numbers",
                        function);
        return NULL;
    }
    nd__control before = nd__control_read();
    nd__control_write(nd__control_default(before));
    nd_status status = info->explain(info->self, call->function, call->state_block, call->in, &text);
    nd__control_write(before);
    if (status != ND_OK)
        nd__message_set(&call->message, status, "%s: %s", function, nd_status_text(status));
    else if (!text)
        nd__message_set(&call->message, ND_ERR_STATE, "%s: every result is finite", function);
    return text;
}

/* -- threads ------------------------------------------------------------------------------------------------------ */

/* A task with its thread's control word looked after: a host's threads may have another one. */
typedef struct guarded_task {
    void (*task)(void *arg, int32_t chunk, int32_t worker);
    void *arg;
} guarded_task;

static void run_guarded_task(void *arg, int32_t chunk, int32_t worker)
{
    const guarded_task *g = arg;
    const nd__control before = nd__control_read();
    const bool odd = !nd__control_fits(before);
    if (odd)
        nd__control_write(nd__control_default(before));
    g->task(g->arg, chunk, worker);
    if (odd)
        nd__control_write(before);
}

static void run_guarded(void *self, int32_t chunks, void (*task)(void *arg, int32_t chunk, int32_t worker), void *arg)
{
    const nd_call *call = self;
    guarded_task g = {task, arg};
    call->given.run(call->given.self, chunks, run_guarded_task, &g);
}

nd_status nd_call_set_parallel(nd_call *call, const nd_parallel *parallel)
{
    if (!call)
        return ND_ERR_ARGUMENT;
    const nd_program_function_info *f = &call->program->info.functions[call->function];
    nd__message_clear(&call->message);
    if (parallel && (!parallel->run || parallel->workers < 1))
        return nd__message_set(&call->message, ND_ERR_ARGUMENT, "%s: threads: %s", f->name,
                               parallel->run ? "expected 1 worker or more" : "the function `run` is NULL");
    if (!parallel || !f->parallel) {
        call->parallel_entry = NULL;
        call->quick = call->ready ? f->entry : NULL;
        return ND_OK;
    }
    size_t more, size;
    nd__storage *arena = NULL;
    if (!__builtin_mul_overflow(f->worker_size, (size_t)(parallel->workers - 1), &more) &&
        !__builtin_add_overflow(f->arena_size, more, &size))
        arena = nd__storage_create(size);
    if (!arena)
        return nd__message_set(&call->message, ND_ERR_MEMORY, "%s: out of memory for an arena of %d workers", f->name,
                               (int)parallel->workers);
    nd__storage_release(call->arena);
    call->arena = arena;
    call->arena_block = nd__storage_data(arena);
    call->given = *parallel;
    call->guarded = (nd_parallel){run_guarded, call, parallel->workers};
    call->parallel_entry = f->parallel;
    call->quick = NULL;
    return ND_OK;
}

const char *nd_call_error(const nd_call *call)
{
    return call ? nd__message_text(&call->message) : "the call is NULL";
}
