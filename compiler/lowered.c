/* From a caller's module to plans. */
#include "compiler/lowered.h"
#include "compiler/interp/interp.h"
#include "compiler/passes/passes.h"
#include "compiler/schedule/canonical.h"
#include "compiler/tuning.h"
#include "runtime/platform.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* -- messages ------------------------------------------------------------------------------------------------------ */

nd_status nd__take_error(nd_module *m, nd__message *message)
{
    nd_status status = nd_module_status(m);
    nd__message_set(message, status, "%s", m ? nd_module_error(m) : nd_status_text(ND_ERR_MEMORY));
    nd_module_destroy(m);
    return status;
}

nd_status nd__no_memory(nd__message *message)
{
    return nd__message_set(message, ND_ERR_MEMORY, "%s", nd_status_text(ND_ERR_MEMORY));
}

void nd__message_out(nd__message *message, char *text, size_t size)
{
    if (text && size > 0)
        snprintf(text, size, "%s", nd__message_text(message));
    nd__message_clear(message);
}

/* -- binding ------------------------------------------------------------------------------------------------------- */

int nd__find_dim(const nd_module *m, const char *name, size_t n)
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

nd_status nd__bind_dimensions(const nd_module *m, const char *text, int64_t *bound, nd__message *message)
{
    for (int i = 0; i < m->dim_count; i++)
        bound[i] = m->dims[i].value;
    for (const char *at = text; at && *at;) {
        size_t n = strcspn(at, "=,");
        int dim = nd__find_dim(m, at, n);
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

/* -- lowering ------------------------------------------------------------------------------------------------------ */

void nd__lowered_drop_plans(nd__lowered *l)
{
    for (int i = 0; i < l->count; i++)
        nd__plan_destroy(l->plans[i]);
    free(l->plans);
    free(l->functions);
    l->plans = NULL;
    l->functions = NULL;
    l->count = 0;
}

void nd__lowered_release(nd__lowered *l)
{
    nd__lowered_drop_plans(l);
    nd__choices_release(&l->choices);
    nd_module_destroy(l->m);
    *l = (nd__lowered){0};
}

double nd__milliseconds(void)
{
    return 1e3 * nd__platform_seconds();
}

/* `without`: the name of a function to leave out, or NULL. */
nd_status nd__lower_functions(nd__lowered *l, const char *without, nd__message *message)
{
    size_t *offsets = calloc((size_t)l->m->variable_count + 1, sizeof *offsets);
    int count = 0;
    while (nd__entry_point(l->m, count))
        count++;
    l->plans = calloc((size_t)count + 1, sizeof *l->plans);
    l->functions = calloc((size_t)count + 1, sizeof *l->functions);
    if (!offsets || !l->plans || !l->functions) {
        free(offsets);
        return nd__no_memory(message);
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
            status = nd__take_error(failing, message);
        }
    }
    free(offsets);
    return status;
}

nd_status nd__lower(nd__lowered *l, nd_module *m, const nd_compile_options *options, const char *without,
                    nd_compile_times *times, nd__message *message)
{
    char text[ND__MESSAGE] = "";
    *l = (nd__lowered){0};
    double start = nd__milliseconds();
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
        return nd__take_error(m, message);
    double passed = nd__milliseconds();
    times->passes = passed - start;
    l->m = m;
    nd_status status = nd__target_find(options->cpu, &l->target, text, sizeof text);
    if (status != ND_OK)
        nd__message_set(message, status, "%s", text);
    else
        status = nd__tune_by_options(l, options, without, message);
    if (status == ND_OK)
        status = nd__lower_functions(l, without, message);
    for (int i = 0; i < l->count; i++) {
        times->kernels += l->plans[i]->kernel_count;
        for (int k = 0; k < l->plans[i]->kernel_count; k++)
            times->instructions += nd__k_size(l->plans[i]->kernels[k]);
    }
    times->schedule = nd__milliseconds() - passed;
    if (status != ND_OK)
        nd__lowered_release(l);
    return status;
}

nd_status nd__check_copy(nd_module *m, nd__message *message)
{
    const nd_status status = nd_module_status(m);
    const char *wrong = status == ND_OK ? nd__verify_functions(m) : nd_module_error(m);
    if (!wrong)
        return ND_OK;
    if (!m || wrong == nd_status_text(ND_ERR_MEMORY))
        return nd__no_memory(message);
    return nd__message_set(message, status == ND_OK ? ND_ERR_GRAPH : status, "%s", wrong);
}

nd_status nd__lower_module(nd__lowered *l, nd_module *module, const nd_compile_options *options, nd__message *message)
{
    nd_compile_times times = {0};
    nd__init_function(module);
    if (nd_module_status(module) != ND_OK)
        return nd__message_set(message, nd_module_status(module), "%s", nd_module_error(module));
    int64_t *bound = malloc(((size_t)module->dim_count + 1) * sizeof *bound);
    if (!bound)
        return nd__no_memory(message);
    nd_status status = nd__bind_dimensions(module, options->bind, bound, message);
    nd_module *m = status == ND_OK ? nd__module_copy(module, bound) : NULL;
    free(bound);
    if (status != ND_OK)
        return status;
    status = nd__check_copy(m, message);
    if (status == ND_OK)
        return nd__lower(l, m, options, NULL, &times, message);
    nd_module_destroy(m);
    return status;
}

nd_status nd__lowered_show(const nd__lowered *l, const nd_compile_options *options, nd__message *message)
{
    char text[ND__MESSAGE] = "";
    nd_status status = ND_OK;
    for (int i = 0; i < l->count && options->dump_kernels; i++)
        for (int k = 0; k < l->plans[i]->kernel_count; k++)
            nd__k_print(l->plans[i]->kernels[k], options->dump_kernels);
    if (options->dump_kernels && ferror(options->dump_kernels))
        status = nd__message_set(message, ND_ERR_IO, "the kernels cannot be written: %s", strerror(errno));
    if (status == ND_OK && options->dump_llvm) {
        status = nd__native_print(nd__lowered_plans(l), l->count, &l->target, ND__LIST_IR, options->dump_llvm, text,
                                  sizeof text);
        if (status != ND_OK)
            nd__message_set(message, status, "%s", text);
    }
    return status;
}
