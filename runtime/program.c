/* Programs: a back end's description behind a handle, and the programs specialised from it. */
#include "runtime/program.h"

#include <stdlib.h>
#include <string.h>

/* Short: nobody waits long. */
static void enter(nd_program *p)
{
    while (atomic_flag_test_and_set_explicit(&p->busy, memory_order_acquire))
        ;
}

static void leave(nd_program *p)
{
    atomic_flag_clear_explicit(&p->busy, memory_order_release);
}

void nd__program_tell(nd_program *program, nd__message message)
{
    enter(program);
    nd__message old = program->message;
    program->message = message;
    leave(program);
    nd__message_clear(&old);
}

static nd_program *new_program(void)
{
    nd_program *p = calloc(1, sizeof *p);
    if (p)
        leave(p);
    return p;
}

nd_program *nd_program_create(const nd_program_info *info)
{
    nd_program *p = info ? new_program() : NULL;
    if (p)
        p->info = *info;
    return p;
}

nd_program *nd_program_create_failed(nd_status status, const char *message)
{
    nd_program *p = new_program();
    if (p)
        p->status = nd__message_set(&p->message, status == ND_OK ? ND_ERR_INTERNAL : status, "%s",
                                    message ? message : nd_status_text(status));
    return p;
}

void nd_program_destroy(nd_program *program)
{
    if (!program)
        return;
    for (nd__specialised *s = program->specialised, *next; s; s = next) {
        next = s->next;
        nd_program_destroy(s->program);
        free(s);
    }
    if (program->info.destroy)
        program->info.destroy(program->info.self);
    nd__message_clear(&program->message);
    free(program);
}

nd_status nd_program_status(const nd_program *program)
{
    return program ? program->status : ND_ERR_MEMORY;
}

const char *nd_program_error(const nd_program *program)
{
    return program ? nd__message_text(&program->message) : nd_status_text(ND_ERR_MEMORY);
}

/* -- other numbers ------------------------------------------------------------------------------------------------ */

bool nd_program_has_dimension(const nd_program *program, const char *dimension, int64_t *value)
{
    for (int i = 0; program && dimension && i < program->info.dimension_count; i++)
        if (strcmp(program->info.dimensions[i].name, dimension) == 0) {
            if (value)
                *value = program->info.dimensions[i].value;
            return true;
        }
    return false;
}

/* What is kept for that number; NULL: nothing. */
static nd_program *find_specialised(nd_program *program, const char *dimension, int64_t value)
{
    nd_program *found = NULL;
    for (nd__specialised *s = program->specialised; s && !found; s = s->next)
        if (s->value == value && strcmp(s->dimension, dimension) == 0)
            found = s->program;
    return found;
}

/* Keeps it, unless another thread has made one meanwhile, which it gives then. */
static nd_program *keep(nd_program *program, nd__specialised *s)
{
    enter(program);
    nd_program *kept = find_specialised(program, s->dimension, s->value);
    if (!kept) {
        s->next = program->specialised;
        program->specialised = s;
    }
    leave(program);
    if (kept) {
        nd_program_destroy(s->program);
        free(s);
        return kept;
    }
    return s->program;
}

nd_program *nd__program_specialize(nd_program *program, const char *dimension, int64_t value, nd__message *message)
{
    int64_t current;
    if (!nd_program_has_dimension(program, dimension, &current)) {
        nd__message_set(message, ND_ERR_ARGUMENT, "the program has no dimension named \"%s\"",
                        dimension ? dimension : "(null)");
        return NULL;
    }
    if (value == current)
        return program;
    enter(program);
    nd_program *made = find_specialised(program, dimension, value);
    leave(program);
    if (made)
        return made;
    if (value < 0) {
        nd__message_set(message, ND_ERR_ARGUMENT, "%s=%lld: a dimension is not negative", dimension, (long long)value);
        return NULL;
    }
    if (!program->info.specialize) {
        nd__message_set(message, ND_ERR_STATE,
                        "%s=%lld: this program runs with %s=%lld only, and nothing here can compile it again",
                        dimension, (long long)value, dimension, (long long)current);
        return NULL;
    }
    nd__specialised *s = malloc(sizeof *s + strlen(dimension) + 1);
    made = s ? program->info.specialize(program->info.self, dimension, value) : NULL;
    if (nd_program_status(made) != ND_OK) {
        nd__message_set(message, nd_program_status(made), "%s=%lld: %s", dimension, (long long)value,
                        nd_program_error(made));
        nd_program_destroy(made);
        free(s);
        return NULL;
    }
    *s = (nd__specialised){.value = value, .program = made};
    strcpy(s->dimension, dimension);
    return keep(program, s);
}

nd_program *nd_program_specialize(nd_program *program, const char *dimension, int64_t value)
{
    if (nd_program_status(program) != ND_OK)
        return NULL;
    nd__message message = {0};
    nd_program *made = nd__program_specialize(program, dimension, value, &message);
    nd__program_tell(program, message);
    return made;
}

/* -- looking ------------------------------------------------------------------------------------------------------ */

static const nd_port no_port = {"", ND_F32, {0, {0}}};

int nd_program_function_count(const nd_program *program)
{
    return program ? program->info.function_count : 0;
}

int nd_program_function_index(const nd_program *program, const char *function)
{
    for (int i = 0; function && i < nd_program_function_count(program); i++)
        if (strcmp(program->info.functions[i].name, function) == 0)
            return i;
    return -1;
}

static const nd_program_function_info *find_function(const nd_program *program, int function)
{
    return function >= 0 && function < nd_program_function_count(program) ? &program->info.functions[function] : NULL;
}

const char *nd_program_function_name(const nd_program *program, int function)
{
    const nd_program_function_info *f = find_function(program, function);
    return f ? f->name : "";
}

int nd_program_input_count(const nd_program *program, int function)
{
    const nd_program_function_info *f = find_function(program, function);
    return f ? f->input_count : 0;
}

int nd_program_output_count(const nd_program *program, int function)
{
    const nd_program_function_info *f = find_function(program, function);
    return f ? f->output_count : 0;
}

nd_port nd_program_input(const nd_program *program, int function, int input)
{
    const nd_program_function_info *f = find_function(program, function);
    return f && input >= 0 && input < f->input_count ? f->inputs[input] : no_port;
}

nd_port nd_program_output(const nd_program *program, int function, int output)
{
    const nd_program_function_info *f = find_function(program, function);
    return f && output >= 0 && output < f->output_count ? f->outputs[output] : no_port;
}

size_t nd_program_arena_size(const nd_program *program, int function)
{
    const nd_program_function_info *f = find_function(program, function);
    return f ? f->arena_size : 0;
}

int nd_program_variable_count(const nd_program *program)
{
    return program ? program->info.variable_count : 0;
}

nd_port nd_program_variable(const nd_program *program, int variable)
{
    return variable >= 0 && variable < nd_program_variable_count(program) ? program->info.variables[variable].port
                                                                          : no_port;
}

int nd__program_variable_index(const nd_program *program, const char *variable)
{
    for (int i = 0; variable && i < nd_program_variable_count(program); i++)
        if (strcmp(program->info.variables[i].port.name, variable) == 0)
            return i;
    return -1;
}

nd_status nd__program_run(const nd_program *program, int function, void *state, void *arena, const void *const *in,
                          void *const *out)
{
    nd_entry entry = program->info.functions[function].entry;
    if (!entry)
        return program->info.interpret(program->info.self, function, state, arena, in, out);
    entry(state, arena, in, out);
    return ND_OK;
}
