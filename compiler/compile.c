/* nd_compile: binding, passes, schedules, code, and the program that the runtime drives. */
#include "nadir/compile.h"
#include "compiler/interp/interp.h"
#include "compiler/llvm/llvm.h"
#include "compiler/passes/passes.h"
#include "compiler/schedule/canonical.h"
#include "compiler/schedule/schedule.h"
#include "runtime/file.h"
#include "runtime/message.h"
#include "runtime/platform.h"
#include "runtime/program.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGE = 512 };

/* A program's back end: what it runs, and what compiling it for other numbers takes. */
typedef struct compiled {
    nd__arena arena;             /* tables, texts */
    const struct compiled *root; /* that has `source`: itself, or the program this one was specialised from */
    nd_module *source;           /* a copy with its dimensions named; of the root only */
    nd_compile_options options;  /* the root's texts lie in its arena */
    int64_t *bound;              /* by dimension of the source */
    nd_program_info inner;       /* interpreted: the interpreter's own description */
    nd__native *native;          /* compiled: the code */
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

/* The error of a module, which goes. */
static nd_status take_error(nd_module *m, nd__message *message)
{
    nd_status status = nd_module_status(m);
    nd__message_set(message, status, "%s", m ? nd_module_error(m) : nd_status_text(ND_ERR_MEMORY));
    nd_module_destroy(m);
    return status;
}

/* The functions of a module, lowered for a processor. */
typedef struct lowered {
    nd_module *m; /* whose constants the plans name */
    nd__target target;
    nd__plan **plans;
    int count;
    int *functions; /* by plan: the number of its function (nd__entry_point) */
} lowered;

static void lowered_release(lowered *l)
{
    for (int i = 0; i < l->count; i++)
        nd__plan_destroy(l->plans[i]);
    free(l->plans);
    free(l->functions);
    nd_module_destroy(l->m);
    *l = (lowered){0};
}

static double milliseconds(void)
{
    return 1e3 * nd__platform_seconds();
}

/* `without`: the name of a function to leave out, or NULL. */
static nd_status lower_functions(lowered *l, const char *without, nd__message *message)
{
    size_t *offsets = calloc((size_t)l->m->variable_count + 1, sizeof *offsets);
    int count = 0;
    while (nd__entry_point(l->m, count))
        count++;
    l->plans = calloc((size_t)count + 1, sizeof *l->plans);
    l->functions = calloc((size_t)count + 1, sizeof *l->functions);
    if (!offsets || !l->plans || !l->functions) {
        free(offsets);
        return nd__message_set(message, ND_ERR_MEMORY, "%s", nd_status_text(ND_ERR_MEMORY));
    }
    nd__state_layout(l->m, offsets);
    nd_status status = ND_OK;
    for (int i = 0; i < count && status == ND_OK; i++) {
        const nd_function *f = nd__entry_point(l->m, i);
        if (without && strcmp(f->name, without) == 0)
            continue;
        l->functions[l->count] = i;
        l->plans[l->count] = nd__schedule(l->m, f, &l->target, offsets);
        if (l->plans[l->count]) {
            l->count++;
        } else {
            nd_module *failing = l->m;
            l->m = NULL;
            status = take_error(failing, message);
        }
    }
    free(offsets);
    return status;
}

/* Passes and schedules of a bound module, which it takes. On failure there is nothing to release. */
static nd_status lower(lowered *l, nd_module *m, const nd_compile_options *options, const char *without,
                       nd_compile_times *times, nd__message *message)
{
    char text[MESSAGE] = "";
    *l = (lowered){0};
    double start = milliseconds();
    nd__pass_options passes = {.off = options->passes_off,
                               .dump_after = options->dump_after,
                               .dump = options->dump,
#ifdef NADIR_VERIFY
                               .verify = true
#endif
    };
    m = nd__run_passes(m, &passes);
    if (nd_module_status(m) == ND_OK) {
        nd_module *canonical = nd__canonical(m);
        nd_module_destroy(m);
        m = canonical;
    }
    if (nd_module_status(m) != ND_OK)
        return take_error(m, message);
    double passed = milliseconds();
    times->passes = passed - start;
    l->m = m;
    nd_status status = nd__target_find(options->cpu, &l->target, text, sizeof text);
    if (status != ND_OK)
        nd__message_set(message, status, "%s", text);
    else
        status = lower_functions(l, without, message);
    for (int i = 0; i < l->count; i++) {
        times->kernels += l->plans[i]->kernel_count;
        for (int k = 0; k < l->plans[i]->kernel_count; k++)
            times->instructions += nd__k_size(l->plans[i]->kernels[k]);
    }
    times->schedule = milliseconds() - passed;
    if (status != ND_OK)
        lowered_release(l);
    return status;
}

/* What the options want to see of it. */
static nd_status show(const lowered *l, const nd_compile_options *options, nd__message *message)
{
    char text[MESSAGE] = "";
    nd_status status = ND_OK;
    for (int i = 0; i < l->count && options->dump_kernels; i++)
        for (int k = 0; k < l->plans[i]->kernel_count; k++)
            nd__k_print(l->plans[i]->kernels[k], options->dump_kernels);
    if (options->dump_kernels && ferror(options->dump_kernels))
        status = nd__message_set(message, ND_ERR_IO, "the kernels cannot be written: %s", strerror(errno));
    if (status == ND_OK && options->dump_llvm) {
        status = nd__native_print((const nd__plan *const *)l->plans, l->count, &l->target, ND__LIST_IR,
                                  options->dump_llvm, text, sizeof text);
        if (status != ND_OK)
            nd__message_set(message, status, "%s", text);
    }
    return status;
}

static nd_status compile_interpreted(compiled *c, nd_module *m, nd_program_info *info, nd__message *message)
{
    if (!nd__interpreter_info(m, &c->inner)) {
        c->inner = (nd_program_info){0};
        return nd__message_set(message, ND_ERR_MEMORY, "%s", nd_status_text(ND_ERR_MEMORY));
    }
    *info = c->inner;
    info->interpret = interpret;
    return ND_OK;
}

/* "init" stays interpreted: it runs once, and its kernels, one for each variable, would be half of what is compiled. */
static nd_status compile_native(compiled *c, nd_module *m, nd_program_info *info, nd__message *message)
{
    char text[MESSAGE] = "";
    lowered l;
    nd_module *copy = nd__module_copy(m, NULL);
    nd_status status = nd_module_status(copy);
    if (status != ND_OK) {
        nd_module_destroy(m);
        return take_error(copy, message);
    }
    status = compile_interpreted(c, copy, info, message);
    if (status != ND_OK) {
        nd_module_destroy(m);
        return status;
    }
    status = lower(&l, m, &c->options, "init", &c->times, message);
    if (status != ND_OK)
        return status;
    status = show(&l, &c->options, message);
    double start = milliseconds();
    if (status == ND_OK) {
        status =
            nd__native_compile((const nd__plan *const *)l.plans, l.count, &l.target, &c->native, text, sizeof text);
        if (status != ND_OK)
            nd__message_set(message, status, "%s", text);
    }
    c->times.codegen = milliseconds() - start;
    for (int i = 0; i < l.count && status == ND_OK; i++) { /* the interpreter's tables, which are ours */
        nd_program_function_info *f = (nd_program_function_info *)&info->functions[l.functions[i]];
        f->arena_size = (size_t)l.plans[i]->arena_size;
        f->entry = nd__native_entry(c->native, i);
    }
    lowered_release(&l);
    return status;
}

/* The program of c, for its options and numbers. */
static nd_program *compile(const compiled *root, compiled *c)
{
    nd_program_info info = {0};
    nd__message message = {0};
    double start = milliseconds();
    c->root = root;
    nd_module *m = nd__module_copy(root->source, c->bound);
    nd_status status = nd_module_status(m);
    if (status != ND_OK)
        status = take_error(m, &message);
    else if (c->options.interpret)
        status = compile_interpreted(c, m, &info, &message);
    else
        status = compile_native(c, m, &info, &message);
    info.self = c;
    info.destroy = destroy;
    info.specialize = specialize;
    if (status == ND_OK && !fill_dimensions(c, root->source, &info))
        status = ND_ERR_MEMORY;
    c->times.total = milliseconds() - start;
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
    if (nd_module_status(c->source) != ND_OK || !c->bound || !keep_options(c, options) || !nd__own_places(c->source))
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

/* -- without a program -----------------------------------------------------------------------------------------------
 */

/* Binds and lowers a caller's module. */
static nd_status lower_module(lowered *l, nd_module *module, const nd_compile_options *options, nd__message *message)
{
    nd_compile_times times = {0};
    nd__init_function(module);
    if (nd_module_status(module) != ND_OK)
        return nd__message_set(message, nd_module_status(module), "%s", nd_module_error(module));
    int64_t *bound = malloc(((size_t)module->dim_count + 1) * sizeof *bound);
    if (!bound)
        return nd__message_set(message, ND_ERR_MEMORY, "%s", nd_status_text(ND_ERR_MEMORY));
    nd_status status = bind_dimensions(module, options->bind, bound, message);
    nd_module *m = status == ND_OK ? nd__module_copy(module, bound) : NULL;
    free(bound);
    if (status != ND_OK)
        return status;
    if (nd_module_status(m) != ND_OK)
        return take_error(m, message);
    return lower(l, m, options, NULL, &times, message);
}

static void write_message(const nd__message *message, char *text, size_t size)
{
    if (text && size > 0)
        snprintf(text, size, "%s", nd__message_text(message));
}

/* PATH and its ending; NULL when memory runs out. */
static char *file_name(const char *path, const char *ending)
{
    size_t size = strlen(path) + strlen(ending) + 1;
    char *name = malloc(size);
    if (name)
        snprintf(name, size, "%s%s", path, ending);
    return name;
}

static nd_status write_header(const lowered *l, const nd_program_info *info, const char *path, const char *prefix,
                              nd__message *message)
{
    char text[MESSAGE] = "";
    nd__writer writer;
    nd_status status = nd__writer_open(&writer, path, message);
    if (status != ND_OK)
        return status;
    status =
        nd__header_write(info, (const nd__plan *const *)l->plans, &l->target, prefix, writer.file, text, sizeof text);
    if (status == ND_OK)
        return nd__writer_close(&writer, true, message);
    nd__message_set(message, status, "%s", text);
    nd__message ignored = {0};
    nd__writer_close(&writer, false, &ignored);
    nd__message_clear(&ignored);
    return status;
}

static nd_status write_files(const lowered *l, const char *path, const char *prefix, nd__message *message)
{
    char text[MESSAGE] = "";
    nd__arena arena = {0};
    nd_program_info info = {0};
    char *object = file_name(path, ".o"), *header = file_name(path, ".h");
    nd_status status = ND_OK;
    if (!object || !header || !nd__program_tables(l->m, &arena, &info))
        status = nd__message_set(message, ND_ERR_MEMORY, "%s", nd_status_text(ND_ERR_MEMORY));
    for (int i = 0; i < l->count && status == ND_OK; i++) /* the tables lie in our arena */
        ((nd_program_function_info *)&info.functions[i])->arena_size = (size_t)l->plans[i]->arena_size;
    if (status == ND_OK)
        status = write_header(l, &info, header, prefix, message);
    if (status == ND_OK) {
        status = nd__object_write((const nd__plan *const *)l->plans, l->count, &l->target, prefix, object, text,
                                  sizeof text);
        if (status != ND_OK) {
            nd__message_set(message, status, "%s", text);
            remove(header);
        }
    }
    nd__arena_release(&arena);
    free(object);
    free(header);
    return status;
}

nd_status nd_compile_files(nd_module *module, const nd_compile_options *options, const char *path, const char *prefix,
                           char *text, size_t size)
{
    static const nd_compile_options defaults = {0};
    nd__message message = {0};
    lowered l;
    nd_status status = ND_OK;
    if (!module || !path)
        status = nd__message_set(&message, ND_ERR_ARGUMENT, "nd_compile_files: %s is NULL", module ? "path" : "module");
    else
        status = lower_module(&l, module, options ? options : &defaults, &message);
    if (status == ND_OK) {
        status = show(&l, options ? options : &defaults, &message);
        if (status == ND_OK)
            status = write_files(&l, path, prefix ? prefix : nd_module_name(module), &message);
        lowered_release(&l);
    }
    write_message(&message, text, size);
    nd__message_clear(&message);
    return status;
}

nd_status nd_plan_print(nd_module *module, const nd_compile_options *options, const char *function, bool kernels,
                        FILE *out, char *text, size_t size)
{
    static const nd_compile_options defaults = {0};
    nd__message message = {0};
    lowered l;
    nd_status status = ND_OK;
    bool found = !function;
    if (!module || !out)
        status = nd__message_set(&message, ND_ERR_ARGUMENT, "nd_plan_print: %s is NULL", module ? "out" : "module");
    else
        status = lower_module(&l, module, options ? options : &defaults, &message);
    if (status == ND_OK) {
        for (int i = 0; i < l.count; i++)
            if (!function || strcmp(l.plans[i]->name, function) == 0) {
                nd__plan_print(l.plans[i], kernels, out);
                found = true;
            }
        if (!found)
            status = nd__message_set(&message, ND_ERR_ARGUMENT, "\"%s\" has no function \"%s\"", nd_module_name(module),
                                     function);
        else if (ferror(out))
            status = nd__message_set(&message, ND_ERR_IO, "the plan cannot be written: %s", strerror(errno));
        lowered_release(&l);
    }
    write_message(&message, text, size);
    nd__message_clear(&message);
    return status;
}
