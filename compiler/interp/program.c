/* Interpreted programs, and the tables that describe a module's functions and variables to the runtime, which every
 * back end fills alike. */
#include "compiler/interp/definitions.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGN = 64 };

size_t nd__state_layout(const nd_module *m, size_t *offsets)
{
    size_t size = 0;
    for (int i = 0; i < m->variable_count; i++) {
        size_t bytes = nd__value_bytes(m->variables[i]->read);
        offsets[i] = size;
        if (bytes > SIZE_MAX - ALIGN || __builtin_add_overflow(size, (bytes + ALIGN - 1) / ALIGN * ALIGN, &size))
            size = SIZE_MAX / ALIGN * ALIGN;
    }
    return size;
}

/* -- tables -------------------------------------------------------------------------------------------------------- */

static bool fill_port(nd__arena *arena, nd_port *port, const char *name, const nd_value *v)
{
    *port = (nd_port){nd__arena_text(arena, name, strlen(name)), v->dtype, v->shape};
    return port->name != NULL;
}

/* Ports of a function's inputs, or outputs, which may have no name: then "out" and their number. */
static nd_port *fill_ports(nd__arena *arena, int count, nd_value *const *values, bool outputs)
{
    nd_port *ports = nd__arena_alloc(arena, (size_t)count, sizeof *ports);
    for (int i = 0; i < count && ports; i++) {
        const char *name = outputs ? values[i]->name : nd__get(values[i]->node, ND__A_name)->text;
        if (outputs && !*name)
            name = nd__arena_format(arena, "out%d", i);
        if (!name || !fill_port(arena, &ports[i], name, values[i]))
            return NULL;
    }
    return ports;
}

/* The variables that the function's outputs and updates depend on; ascending. NULL: memory ran out. */
static int *fill_reads(nd__arena *arena, const nd_function *f, int *count)
{
    int *reads = nd__arena_alloc(arena, (size_t)f->module->variable_count, sizeof *reads);
    nd__routine r;
    if (!reads || !nd__routine_prepare(&r, f))
        return NULL;
    *count = 0;
    for (int i = 0; i < f->module->variable_count; i++)
        if (r.first_slot[f->module->variables[i]->read->node->number] >= 0)
            reads[(*count)++] = i;
    nd__routine_release(&r);
    return reads;
}

static bool fill_function(nd__arena *arena, const nd_function *f, nd_program_function_info *info)
{
    int *updates = nd__arena_alloc(arena, (size_t)f->update_count, sizeof *updates), read_count = 0;
    *info = (nd_program_function_info){
        .name = nd__arena_text(arena, f->name, strlen(f->name)),
        .input_count = f->input_count,
        .output_count = f->output_count,
        .update_count = f->update_count,
        .inputs = fill_ports(arena, f->input_count, f->inputs, false),
        .outputs = fill_ports(arena, f->output_count, f->outputs, true),
        .reads = fill_reads(arena, f, &read_count),
        .updates = updates,
    };
    info->read_count = read_count;
    for (int i = 0; i < f->update_count && updates; i++)
        updates[i] = f->updates[i].variable->number;
    return info->name && info->inputs && info->outputs && info->reads && updates;
}

const nd_function *nd__entry_point(const nd_module *m, int index)
{
    for (int i = 0; i < m->function_count; i++)
        if (!m->functions[i]->body && index-- == 0)
            return m->functions[i];
    return NULL;
}

bool nd__program_tables(nd_module *m, nd__arena *arena, nd_program_info *info)
{
    int count = 0;
    while (nd__entry_point(m, count))
        count++;
    nd_program_function_info *functions = nd__arena_alloc(arena, (size_t)count, sizeof *functions);
    nd_program_variable_info *variables = nd__arena_alloc(arena, (size_t)m->variable_count, sizeof *variables);
    size_t *offsets = nd__arena_alloc(arena, (size_t)m->variable_count, sizeof *offsets);
    if (!functions || !variables || !offsets)
        return false;
    for (int i = 0; i < count; i++)
        if (!fill_function(arena, nd__entry_point(m, i), &functions[i]))
            return false;
    info->state_size = nd__state_layout(m, offsets);
    for (int i = 0; i < m->variable_count; i++) {
        const nd__variable *v = m->variables[i];
        variables[i] = (nd_program_variable_info){.offset = offsets[i], .initialised = v->initial != NULL};
        if (!fill_port(arena, &variables[i].port, v->name, v->read))
            return false;
    }
    info->function_count = count;
    info->functions = functions;
    info->variable_count = m->variable_count;
    info->variables = variables;
    info->seed = m->seed;
    return true;
}

/* -- interpreted programs ------------------------------------------------------------------------------------------ */

typedef struct interpreter {
    nd_module *module;
    nd__arena arena; /* the tables */
    const nd_program_variable_info *variables;
    int routine_count;
    nd__routine *routines; /* by function */
} interpreter;

static void destroy_interpreter(void *self)
{
    interpreter *p = self;
    for (int i = 0; i < p->routine_count; i++)
        nd__routine_release(&p->routines[i]);
    nd__arena_release(&p->arena);
    nd_module_destroy(p->module);
    free(p);
}

/* The variables' memory in a state block (NULL: the function uses none), for free(); NULL: memory ran out. */
static void **find_variables(const interpreter *p, void *state)
{
    const int count = p->module->variable_count;
    void **variables = malloc(((size_t)count + 1) * sizeof *variables);
    for (int i = 0; i < count && variables; i++)
        variables[i] = state ? (unsigned char *)state + p->variables[i].offset : NULL;
    return variables;
}

static nd_status run_interpreted(void *self, int function, void *state, void *arena, const void *const *in,
                                 void *const *out)
{
    (void)arena;
    const interpreter *p = self;
    void **variables = find_variables(p, state);
    nd_status status =
        variables ? nd__routine_run(&p->routines[function], in, out, variables, variables) : ND_ERR_MEMORY;
    free(variables);
    return status;
}

static nd_status explain_interpreted(void *self, int function, void *state, const void *const *in, char **text)
{
    const interpreter *p = self;
    void **variables = find_variables(p, state);
    *text = NULL;
    nd_status status = variables ? nd__explain(p->routines[function].function, in, variables, text) : ND_ERR_MEMORY;
    free(variables);
    return status;
}

bool nd__interpreter_info(nd_module *m, nd_program_info *info)
{
    nd__init_function(m);
    interpreter *p = calloc(1, sizeof *p);
    if (!p) {
        nd_module_destroy(m);
        return false;
    }
    p->module = m;
    *info = (nd_program_info){
        .self = p, .interpret = run_interpreted, .destroy = destroy_interpreter, .explain = explain_interpreted};
    bool good = m->status == ND_OK && nd__program_tables(m, &p->arena, info);
    p->variables = info->variables;
    p->routines = good ? nd__arena_alloc(&p->arena, (size_t)info->function_count, sizeof *p->routines) : NULL;
    good = good && p->routines;
    for (; good && p->routine_count < info->function_count; p->routine_count++)
        good = nd__routine_prepare(&p->routines[p->routine_count], nd__entry_point(m, p->routine_count));
    if (!good) {
        destroy_interpreter(p);
        *info = (nd_program_info){0};
    }
    return good;
}

nd_program *nd__interpreter(nd_module *m)
{
    nd_program_info info;
    if (nd_module_status(m) != ND_OK) {
        nd_program *failed = nd_program_create_failed(nd_module_status(m), nd_module_error(m));
        nd_module_destroy(m);
        return failed;
    }
    if (!nd__interpreter_info(m, &info))
        return nd_program_create_failed(ND_ERR_MEMORY, nd_status_text(ND_ERR_MEMORY));
    nd_program *program = nd_program_create(&info);
    if (!program)
        info.destroy(info.self);
    return program;
}
