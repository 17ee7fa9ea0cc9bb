/* What is compiled, as files and as text. */
#include "compiler/interp/interp.h"
#include "compiler/lowered.h"
#include "compiler/schedule/cost.h"
#include "runtime/file.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* PATH and its ending; NULL when memory runs out. */
static char *file_name(const char *path, const char *ending)
{
    size_t size = strlen(path) + strlen(ending) + 1;
    char *name = malloc(size);
    if (name)
        snprintf(name, size, "%s%s", path, ending);
    return name;
}

/* A module lowered for one or several processors. */
typedef struct variants {
    nd__lowered of[ND__MAX_VARIANTS];
    nd__variant given[ND__MAX_VARIANTS]; /* the same as the back end takes it */
    int count;
} variants;

static nd_status refuse_processors(nd__message *message, const char *list, const char *problem)
{
    return nd__message_set(message, ND_ERR_TARGET,
                           "cpu \"%s\": %s; expected one, or some levels in rising order such as "
                           "\"x86-64-v3,x86-64-v4\"",
                           list, problem);
}

/* Lowers the module for the next processor of the list. */
static nd_status add_variant(variants *all, nd_module *module, const nd_compile_options *options, const char *cpu,
                             nd__message *message)
{
    if (all->count == ND__MAX_VARIANTS)
        return refuse_processors(message, options->cpu, "too many processors");
    nd__lowered *l = &all->of[all->count];
    nd_compile_options own = *options;
    own.cpu = cpu;
    nd_status status = nd__lower_module(l, module, &own, message);
    if (status != ND_OK)
        return status;
    all->given[all->count++] = (nd__variant){&l->target, nd__lowered_plans(l)};
    if (all->count > 1 && !(nd__target_level(&l[-1].target) < nd__target_level(&l->target)))
        return refuse_processors(message, options->cpu, "one has no more instructions than the one before it");
    return nd__lowered_show(l, &own, message);
}

/* "a,b": each of them; NULL: this machine's. */
static nd_status lower_variants(variants *all, nd_module *module, const nd_compile_options *options,
                                nd__message *message)
{
    const char *list = options->cpu;
    if (!list || !strchr(list, ','))
        return add_variant(all, module, options, list, message);
    nd_status status = ND_OK;
    for (const char *at = list; at && status == ND_OK; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        char cpu[32];
        size_t n = strcspn(at, ",");
        if (n == 0 || n >= sizeof cpu)
            return refuse_processors(message, list, n ? "a name is too long" : "a name is missing");
        memcpy(cpu, at, n);
        cpu[n] = '\0';
        if (strcmp(cpu, "native") == 0)
            return refuse_processors(message, list, "\"native\" may have more than its level and stands alone");
        status = add_variant(all, module, options, cpu, message);
    }
    return status;
}

static void release_variants(variants *all)
{
    for (int v = 0; v < all->count; v++)
        nd__lowered_release(&all->of[v]);
}

/* What a call needs, whichever variant it runs. */
static void set_arena(const variants *all, int plan, nd_program_function_info *f)
{
    int64_t fixed = 0, each = 0;
    for (int v = 0; v < all->count; v++) {
        const nd__plan *p = all->of[v].plans[plan];
        fixed = p->arena_size > fixed ? p->arena_size : fixed;
        each = p->worker_size > each ? p->worker_size : each;
    }
    f->arena_size = (size_t)(fixed + each);
    f->worker_size = (size_t)each;
}

static nd_status write_header(const variants *all, const nd_program_info *info, const char *path, const char *prefix,
                              nd__message *message)
{
    char text[ND__MESSAGE] = "";
    nd__writer writer;
    nd_status status = nd__writer_open(&writer, path, message);
    if (status != ND_OK)
        return status;
    status = nd__header_write(info, all->given, all->count, prefix, writer.file, text, sizeof text);
    if (status == ND_OK)
        return nd__writer_close(&writer, true, message);
    nd__message_set(message, status, "%s", text);
    nd__message ignored = {0};
    nd__writer_close(&writer, false, &ignored);
    nd__message_clear(&ignored);
    return status;
}

static nd_status write_files(const variants *all, const char *path, const char *prefix, nd__message *message)
{
    char text[ND__MESSAGE] = "";
    nd__arena arena = {0};
    nd_program_info info = {0};
    char *object = file_name(path, ".o"), *header = file_name(path, ".h");
    const int count = all->of[0].count;
    nd_status status = ND_OK;
    if (!object || !header || !nd__program_tables(all->of[0].m, &arena, &info))
        status = nd__no_memory(message);
    for (int i = 0; i < count && status == ND_OK; i++) /* the tables lie in our arena */
        set_arena(all, i, (nd_program_function_info *)&info.functions[i]);
    if (status == ND_OK)
        status = write_header(all, &info, header, prefix, message);
    if (status == ND_OK) {
        status = nd__object_write(all->given, all->count, count, prefix, object, text, sizeof text);
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

static bool is_c_name(const char *text)
{
    bool good = *text && !isdigit((unsigned char)*text);
    for (const char *c = text; *c && good; c++)
        good = (unsigned char)*c < 128 && (isalnum((unsigned char)*c) || *c == '_');
    return good;
}

nd_status nd_compile_files(nd_module *module, const nd_compile_options *options, const char *path, const char *prefix,
                           char *text, size_t size)
{
    static const nd_compile_options defaults = {0};
    nd__message message = {0};
    variants all = {.count = 0};
    nd_status status = ND_OK;
    if (!module || !path)
        status = nd__message_set(&message, ND_ERR_ARGUMENT, "nd_compile_files: %s is NULL", module ? "path" : "module");
    else if (prefix && !is_c_name(prefix))
        status = nd__message_set(&message, ND_ERR_ARGUMENT,
                                 "the prefix \"%s\" is no C name: letters, digits and _, no digit first", prefix);
    else
        status = lower_variants(&all, module, options ? options : &defaults, &message);
    if (status == ND_OK)
        status = write_files(&all, path, prefix ? prefix : nd_module_name(module), &message);
    release_variants(&all);
    nd__message_out(&message, text, size);
    return status;
}

nd_status nd_plan_print(nd_module *module, const nd_compile_options *options, const char *function, bool kernels,
                        FILE *out, char *text, size_t size)
{
    static const nd_compile_options defaults = {0};
    nd__message message = {0};
    nd__lowered l;
    nd_status status = ND_OK;
    bool found = !function;
    if (!module || !out)
        status = nd__message_set(&message, ND_ERR_ARGUMENT, "nd_plan_print: %s is NULL", module ? "out" : "module");
    else
        status = nd__lower_module(&l, module, options ? options : &defaults, &message);
    if (status == ND_OK) {
        for (int i = 0; i < l.count && status == ND_OK; i++)
            if (!function || strcmp(l.plans[i]->name, function) == 0) {
                found = true;
                if (nd__plan_estimate(l.plans[i], &l.target))
                    nd__plan_print(l.plans[i], kernels, out);
                else
                    status = nd__no_memory(&message);
            }
        if (status != ND_OK)
            ; /* told */
        else if (!found)
            status = nd__message_set(&message, ND_ERR_ARGUMENT, "\"%s\" has no function \"%s\"", nd_module_name(module),
                                     function);
        else if (ferror(out))
            status = nd__message_set(&message, ND_ERR_IO, "the plan cannot be written: %s", strerror(errno));
        nd__lowered_release(&l);
    }
    nd__message_out(&message, text, size);
    return status;
}
