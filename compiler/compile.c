/* nd_compile: a program that the runtime drives, and what compiling it for other numbers takes. */
#include "nadir/compile.h"
#include "compiler/interp/interp.h"
#include "compiler/lowered.h"
#include "runtime/program.h"

#include <stdlib.h>
#include <string.h>

/* A program's back end: what it runs, and what compiling it for other numbers takes. */
typedef struct compiled {
    nd__arena arena;             /* tables, texts */
    const struct compiled *root; /* that has `source`: itself, or the program this one was specialised from */
    nd_module *source;           /* a copy with its dimensions named; of the root only */
    nd_compile_options options;  /* the root's texts lie in its arena */
    int64_t *bound;              /* by dimension of the source */
    nd_program_info inner;       /* the interpreter's own description: what is not compiled, and explanations */
    nd__native *native;          /* compiled: the code */
    nd_compile_times times;
} compiled;

static nd_program *compile(const compiled *root, compiled *c);

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
    nd__native_destroy(c->native);
    nd_module_destroy(c->source);
    nd__arena_release(&c->arena);
    free(c);
}

static nd_status interpret(void *self, int function, void *state, void *arena, const void *const *in, void *const *out)
{
    const compiled *c = self;
    return c->inner.interpret(c->inner.self, function, state, arena, in, out);
}

static nd_status explain(void *self, int function, void *state, const void *const *in, char **text)
{
    const compiled *c = self;
    return c->inner.explain(c->inner.self, function, state, in, text);
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
    c->options.tune_ms = 0; /* what the file knows counts */
    c->bound = nd__arena_alloc(&c->arena, (size_t)source->dim_count + 1, sizeof *c->bound);
    if (!c->bound)
        return failed(c, ND_ERR_MEMORY, NULL);
    memcpy(c->bound, from->bound, (size_t)source->dim_count * sizeof *c->bound);
    c->bound[nd__find_dim(source, dimension, strlen(dimension))] = value;
    return compile(from->root, c);
}

static nd_status compile_interpreted(compiled *c, nd_module *m, nd_program_info *info, nd__message *message)
{
    if (!nd__interpreter_info(m, &c->inner)) {
        c->inner = (nd_program_info){0};
        return nd__no_memory(message);
    }
    *info = c->inner;
    info->interpret = interpret;
    info->explain = explain;
    return ND_OK;
}

/* "init" stays interpreted: it runs once, and its kernels, one for each variable, would be half of what is compiled. */
static nd_status compile_native(compiled *c, nd_module *m, nd_program_info *info, nd__message *message)
{
    char text[ND__MESSAGE] = "";
    nd__lowered l;
    nd_module *copy = nd__module_copy(m, NULL);
    nd_status status = nd_module_status(copy);
    if (status != ND_OK) {
        nd_module_destroy(m);
        return nd__take_error(copy, message);
    }
    status = compile_interpreted(c, copy, info, message);
    if (status != ND_OK) {
        nd_module_destroy(m);
        return status;
    }
    status = nd__lower(&l, m, &c->options, "init", &c->times, message);
    if (status != ND_OK)
        return status;
    status = nd__lowered_show(&l, &c->options, message);
    double start = nd__milliseconds();
    if (status == ND_OK) {
        status = nd__native_compile(nd__lowered_plans(&l), l.count, &l.target, &c->native, text, sizeof text);
        if (status != ND_OK)
            nd__message_set(message, status, "%s", text);
    }
    c->times.codegen = nd__milliseconds() - start;
    if (status == ND_OK) {
        c->times.code_bytes = nd__native_code_bytes(c->native);
        c->times.load = nd__native_load_time(c->native);
        c->times.codegen -= c->times.load;
    }
    for (int i = 0; i < l.count && status == ND_OK; i++) { /* the interpreter's tables, which are ours */
        nd_program_function_info *f = (nd_program_function_info *)&info->functions[l.functions[i]];
        f->arena_size = (size_t)(l.plans[i]->arena_size + l.plans[i]->worker_size);
        f->worker_size = (size_t)l.plans[i]->worker_size;
        f->parallel = nd__native_parallel(c->native, i);
        f->entry = nd__native_entry(c->native, i);
    }
    nd__lowered_release(&l);
    return status;
}

/* The program of c, for its options and numbers. */
static nd_program *compile(const compiled *root, compiled *c)
{
    nd_program_info info = {0};
    nd__message message = {0};
    double start = nd__milliseconds();
    c->root = root;
    nd_module *m = nd__module_copy(root->source, c->bound);
    nd_status status = nd_module_status(m);
    if (status != ND_OK)
        status = nd__take_error(m, &message);
    else if (c->options.interpret)
        status = compile_interpreted(c, m, &info, &message);
    else
        status = compile_native(c, m, &info, &message);
    info.self = c;
    info.destroy = destroy;
    info.specialize = specialize;
    if (status == ND_OK && !fill_dimensions(c, root->source, &info))
        status = ND_ERR_MEMORY;
    c->times.total = nd__milliseconds() - start;
    if (status != ND_OK) {
        nd_program *program = failed(c, status, message.text);
        nd__message_clear(&message);
        return program;
    }
    nd_program *program = nd_program_create(&info);
    if (!program)
        destroy(c);
    return program;
}

/* The caller's options with texts of our own: they are needed again when the program is specialised. */
static bool keep_options(compiled *c, const nd_compile_options *options)
{
    const char **texts[] = {&c->options.cpu, &c->options.bind, &c->options.passes_off, &c->options.dump_after,
                            &c->options.tune_file};
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
    if (nd_module_status(c->source) != ND_OK || !c->bound || !keep_options(c, options) || !nd__own_places(c->source))
        return failed(c, ND_ERR_MEMORY, NULL);
    if (nd__check_copy(c->source, &message) != ND_OK ||
        nd__bind_dimensions(c->source, c->options.bind, c->bound, &message) != ND_OK) {
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
