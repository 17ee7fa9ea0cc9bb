/* What is compiled, as files and as text. */
#include "compiler/interp/interp.h"
#include "compiler/lowered.h"
#include "compiler/schedule/cost.h"
#include "runtime/file.h"

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

static nd_status write_header(const nd__lowered *l, const nd_program_info *info, const char *path, const char *prefix,
                              nd__message *message)
{
    char text[ND__MESSAGE] = "";
    nd__writer writer;
    nd_status status = nd__writer_open(&writer, path, message);
    if (status != ND_OK)
        return status;
    status = nd__header_write(info, nd__lowered_plans(l), &l->target, prefix, writer.file, text, sizeof text);
    if (status == ND_OK)
        return nd__writer_close(&writer, true, message);
    nd__message_set(message, status, "%s", text);
    nd__message ignored = {0};
    nd__writer_close(&writer, false, &ignored);
    nd__message_clear(&ignored);
    return status;
}

static nd_status write_files(const nd__lowered *l, const char *path, const char *prefix, nd__message *message)
{
    char text[ND__MESSAGE] = "";
    nd__arena arena = {0};
    nd_program_info info = {0};
    char *object = file_name(path, ".o"), *header = file_name(path, ".h");
    nd_status status = ND_OK;
    if (!object || !header || !nd__program_tables(l->m, &arena, &info))
        status = nd__no_memory(message);
    for (int i = 0; i < l->count && status == ND_OK; i++) { /* the tables lie in our arena */
        nd_program_function_info *f = (nd_program_function_info *)&info.functions[i];
        f->arena_size = (size_t)(l->plans[i]->arena_size + l->plans[i]->worker_size);
        f->worker_size = (size_t)l->plans[i]->worker_size;
    }
    if (status == ND_OK)
        status = write_header(l, &info, header, prefix, message);
    if (status == ND_OK) {
        status = nd__object_write(nd__lowered_plans(l), l->count, &l->target, prefix, object, text, sizeof text);
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
    nd__lowered l;
    nd_status status = ND_OK;
    if (!module || !path)
        status = nd__message_set(&message, ND_ERR_ARGUMENT, "nd_compile_files: %s is NULL", module ? "path" : "module");
    else
        status = nd__lower_module(&l, module, options ? options : &defaults, &message);
    if (status == ND_OK) {
        status = nd__lowered_show(&l, options ? options : &defaults, &message);
        if (status == ND_OK)
            status = write_files(&l, path, prefix ? prefix : nd_module_name(module), &message);
        nd__lowered_release(&l);
    }
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
