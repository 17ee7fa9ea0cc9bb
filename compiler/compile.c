/* nd_compile: binding, passes, schedules, code, and the program that the runtime drives. */
#include "nadir/compile.h"
#include "compiler/interp/interp.h"
#include "runtime/program.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A program's back end: what it runs, and what compiling it for other numbers takes. */
typedef struct compiled {
    nd__arena arena;
    const struct compiled *root; /* that has `source`: itself, or the program this one was specialised from */
    nd_module *source;           /* a copy with its dimensions named; of the root only */
    nd_compile_options options;  /* the root's texts lie in its arena */
    int64_t *bound;              /* by dimension of the source */
    nd_program_info inner;       /* interpreted: the interpreter's own description */
    nd_compile_times times;
} compiled;

static nd_program *compile(const compiled *root, compiled *c);

/* -- binding ------------------------------------------------------------------------------------------------------- */

static int find_dim(const nd_module *m, const char *name, size_t n)
{
    for (int i = 0; i < m->dim_count; i++)
        if (strlen(m->dims[i].name) == n && memcmp(m->dims[i].name, name, n) == 0)
            return i;
    return -1;
}

static nd_status refuse_bind(nd__message *message, const nd_module *m, const char *text, const char *problem)
{
    nd_status status = nd__message_set(message, ND_ERR_ARGUMENT, "bind \"%s\": %s; ", text, problem);
    nd__message_add(message, m->dim_count > 0 ? "the dimensions of \"%s\" are" : "\"%s\" has no named dimensions",
                    m->name);
    for (int i = 0; i < m->dim_count; i++)
        nd__message_add(message, "%s %s=%" PRId64, i > 0 ? "," : "", m->dims[i].name, m->dims[i].value);
    return status;
}

static nd_status bind_dimensions(const nd_module *m, const char *text, int64_t *bound, nd__message *message)
{
    for (int i = 0; i < m->dim_count; i++)
        bound[i] = m->dims[i].value;
    for (const char *at = text; at && *at;) {
        size_t n = strcspn(at, "=,");
        int dim = find_dim(m, at, n);
        if (dim < 0)
            return refuse_bind(message, m, text, "no such dimension");
        char *end = NULL;
        long long value = at[n] == '=' ? strtoll(at + n + 1, &end, 10) : -1;
        if (!end || end == at + n + 1 || (*end && *end != ',') || value < 0 || value == INT64_MAX)
            return refuse_bind(message, m, text, "expected NAME=NUMBER, NUMBER from 0, separated by commas");
        bound[dim] = value;
        at = *end ? end + 1 : end;
    }
    return ND_OK;
}

static bool fill_dimensions(compiled *c, const nd_module *source, nd_program_info *info)
{
    nd_program_dimension *dims = nd__arena_alloc(&c->arena, (size_t)source->dim_count + 1, sizeof *dims);
    for (int i = 0; i < source->dim_count && dims; i++) {
        dims[i].name = nd__arena_text(&c->arena, source->dims[i].name, strlen(source->dims[i].name));
        dims[i].value = c->bound[i];
        if (!dims[i].name)
            return false;
    }
    info->dimensions = dims;
    info->dimension_count = source->dim_count;
    return dims != NULL;
}

/* -- programs ------------------------------------------------------------------------------------------------------ */

static void destroy(void *self)
{
    compiled *c = self;
    if (c->inner.destroy)
        c->inner.destroy(c->inner.self);
    nd_module_destroy(c->source);
    nd__arena_release(&c->arena);
    free(c);
}

static nd_status interpret(void *self, int function, void *state, void *arena, const void *const *in, void *const *out)
{
    const compiled *c = self;
    return c->inner.interpret(c->inner.self, function, state, arena, in, out);
}

static nd_program *failed(compiled *c, nd_status status, const char *text)
{
    nd_program *program = nd_program_create_failed(status, text ? text : nd_status_text(status));
    destroy(c);
    return program;
}

static nd_program *specialize(void *self, const char *dimension, int64_t value)
{
    const compiled *from = self;
    compiled *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    const nd_module *source = from->root->source;
    c->options = from->options;
    c->bound = nd__arena_alloc(&c->arena, (size_t)source->dim_count + 1, sizeof *c->bound);
    if (!c->bound)
        return failed(c, ND_ERR_MEMORY, NULL);
    memcpy(c->bound, from->bound, (size_t)source->dim_count * sizeof *c->bound);
    c->bound[find_dim(source, dimension, strlen(dimension))] = value;
    return compile(from->root, c);
}

/* The program of c, for its options and numbers. */
static nd_program *compile(const compiled *root, compiled *c)
{
    nd_program_info info = {0};
    c->root = root;
    nd_module *m = nd__module_copy(root->source, c->bound);
    if (!m)
        return failed(c, ND_ERR_MEMORY, NULL);
    if (nd_module_status(m) != ND_OK) {
        nd_status status = nd_module_status(m);
        nd_program *program = nd_program_create_failed(status, nd_module_error(m));
        nd_module_destroy(m);
        destroy(c);
        return program;
    }
    if (!nd__interpreter_info(m, &c->inner))
        return failed(c, ND_ERR_MEMORY, NULL);
    info = c->inner;
    info.interpret = interpret;
    info.self = c;
    info.destroy = destroy;
    info.specialize = specialize;
    if (!fill_dimensions(c, root->source, &info))
        return failed(c, ND_ERR_MEMORY, NULL);
    nd_program *program = nd_program_create(&info);
    if (!program)
        destroy(c);
    return program;
}

/* The caller's options with texts of our own: they are needed again when the program is specialised. */
static bool keep_options(compiled *c, const nd_compile_options *options)
{
    const char **texts[] = {&c->options.cpu, &c->options.bind, &c->options.passes_off, &c->options.dump_after};
    if (options)
        c->options = *options;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (*texts[i] && !(*texts[i] = nd__arena_text(&c->arena, *texts[i], strlen(*texts[i]))))
            return false;
    return true;
}

nd_program *nd_compile(nd_module *module, const nd_compile_options *options)
{
    nd__message message = {0};
    if (!module)
        return nd_program_create_failed(ND_ERR_MEMORY, "nd_compile: the module is NULL");
    nd__init_function(module);
    if (nd_module_status(module) != ND_OK)
        return nd_program_create_failed(nd_module_status(module), nd_module_error(module));
    compiled *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->source = nd__module_copy(module, NULL);
    c->bound = nd__arena_alloc(&c->arena, (size_t)module->dim_count, sizeof *c->bound);
    if (!c->source || !c->bound || !keep_options(c, options) || !nd__own_places(c->source))
        return failed(c, ND_ERR_MEMORY, NULL);
    if (bind_dimensions(c->source, c->options.bind, c->bound, &message) != ND_OK) {
        nd_program *program = failed(c, message.status, nd__message_text(&message));
        nd__message_clear(&message);
        return program;
    }
    return compile(c, c);
}

nd_compile_times nd_program_compile_times(const nd_program *program)
{
    const compiled *c = program && program->info.destroy == destroy ? program->info.self : NULL;
    return c ? c->times : (nd_compile_times){0};
}
