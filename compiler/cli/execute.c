/* Files of tensors into a function and out of it. */
#include "compiler/cli/cli.h"
#include "nadir/data.h"
#include "runtime/platform.h"
#include "runtime/program.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* -- inputs ------------------------------------------------------------------------------------------------------- */

int nd__given_read(const nd__words *words, nd__given *given)
{
    const char *word;
    int cursor = 0;
    given->items = calloc((size_t)words->count + 1, sizeof *given->items);
    if (!given->items)
        return nd__cli_memory(words);
    while ((word = nd__option_next(words, "--in", &cursor))) {
        nd__named_tensor *item = &given->items[given->count];
        *item = (nd__named_tensor){.name = word, .length = strcspn(word, "=")};
        if (word[item->length] == '\0' || item->length == 0)
            return nd__cli_refuse(words, "--in %s: expected NAME=FILE", word);
        if (nd__given_find(given, item->name, item->length))
            return nd__cli_refuse(words, "--in %s: that name is given twice", word);
        item->tensor = nd_npy_read(word + item->length + 1);
        given->count++;
        if (nd_tensor_status(item->tensor) != ND_OK)
            return nd__cli_fail(words, nd_tensor_status(item->tensor), "%s", nd_tensor_error(item->tensor));
    }
    return ND__EXIT_OK;
}

nd_tensor *nd__given_find(const nd__given *given, const char *name, size_t length)
{
    for (int i = 0; i < given->count; i++)
        if (given->items[i].length == length && memcmp(given->items[i].name, name, length) == 0)
            return given->items[i].tensor;
    return NULL;
}

void nd__given_release(nd__given *given)
{
    for (int i = 0; i < given->count; i++)
        nd_tensor_destroy(given->items[i].tensor);
    free(given->items);
    *given = (nd__given){0};
}

/* -- running ------------------------------------------------------------------------------------------------------ */

/* The function of that name, or the only one; -1 after saying what is wrong. */
static int choose_function(const nd__words *words, const nd_program *p, const char *name)
{
    int only = -1, count = 0;
    for (int i = 0; i < nd_program_function_count(p); i++)
        if (name ? strcmp(nd_program_function_name(p, i), name) == 0
                 : strcmp(nd_program_function_name(p, i), "init") != 0) {
            only = i;
            count++;
        }
    if (count == 1)
        return only;
    if (name)
        fprintf(words->err, "nadir: there is no function '%s'; there is", name);
    else
        fputs("nadir: which function?", words->err);
    for (int i = 0; i < nd_program_function_count(p); i++)
        fprintf(words->err, "%s %s", i ? "," : "", nd_program_function_name(p, i));
    fputc('\n', words->err);
    return -1;
}

/* The function's inputs from what was given, in its order. */
static int take_inputs(const nd__words *words, const nd__given *given, nd__run *r)
{
    for (int i = 0; i < r->in_count; i++) {
        nd_port port = nd_program_input(r->program, r->function, i);
        nd_tensor *t = nd__given_find(given, port.name, strlen(port.name));
        if (!t)
            return nd__cli_refuse(words, "the function %s needs --in %s=FILE",
                                  nd_program_function_name(r->program, r->function), port.name);
        r->in[i] = nd_tensor_view(t);
        if (nd_tensor_status(r->in[i]) != ND_OK)
            return nd__cli_memory(words);
    }
    for (int k = 0; k < given->count; k++) {
        bool used = false;
        for (int i = 0; i < r->in_count; i++) {
            const char *name = nd_program_input(r->program, r->function, i).name;
            used |= strlen(name) == given->items[k].length &&
                    memcmp(name, given->items[k].name, given->items[k].length) == 0;
        }
        if (!used)
            return nd__cli_refuse(words, "the function %s has no input '%.*s'",
                                  nd_program_function_name(r->program, r->function), (int)given->items[k].length,
                                  given->items[k].name);
    }
    return ND__EXIT_OK;
}

/* The variables' first values: by the seed, or from a file. */
static int begin_state(const nd__words *words, nd__run *r)
{
    const char *seed = nd__option_value(words, "--seed"), *load = nd__option_value(words, "--load");
    char *end = NULL;
    uint64_t number = seed ? strtoull(seed, &end, 10) : 0;
    if (seed && (*seed < '0' || *seed > '9' || *end))
        return nd__cli_refuse(words, "--seed %s: expected a number", seed);
    r->state = nd_state_create(r->program, number);
    if (!r->state)
        return nd__cli_fail(words, r->program->message.status, "%s", nd_program_error(r->program));
    nd_status status = load ? nd_state_load(r->state, load) : ND_OK;
    return status == ND_OK ? ND__EXIT_OK : nd__cli_fail(words, status, "%s", nd_state_error(r->state));
}

/* What binding refused; often it is the size of a dimension. */
static int refused(const nd__words *words, const nd__run *r)
{
    const nd_program_info *info = &r->program->info;
    int code = nd__cli_fail(words, r->program->message.status, "%s", nd_program_error(r->program));
    for (int i = 0; i < info->dimension_count; i++)
        fprintf(words->err, "  note: %s is %" PRId64 "; --bind %s=N makes it another number\n",
                info->dimensions[i].name, info->dimensions[i].value, info->dimensions[i].name);
    return code;
}

static int call(const nd__words *words, nd__run *r)
{
    nd_call *c = nd_bind(r->program, nd_program_function_name(r->program, r->function), r->state,
                         (nd_tensors){(size_t)r->in_count, r->in}, (nd_tensors){(size_t)r->out_count, r->out});
    if (!c)
        return refused(words, r);
    nd_status status = nd_run(c);
    int code = status == ND_OK ? ND__EXIT_OK : nd__cli_fail(words, status, "%s", nd_call_error(c));
    nd_call_destroy(c);
    return code;
}

int nd__run_once(const nd__words *words, nd_module *m, const char *function, const nd__given *given, bool interpret,
                 nd__run *r)
{
    const nd_compile_options options = nd__cli_options(words, interpret);
    *r = (nd__run){.program = nd_compile(m, &options)};
    if (nd_program_status(r->program) != ND_OK)
        return nd__cli_fail(words, nd_program_status(r->program), "%s", nd_program_error(r->program));
    r->function = choose_function(words, r->program, function);
    if (r->function < 0)
        return ND__EXIT_INPUT;
    r->in_count = nd_program_input_count(r->program, r->function);
    r->out_count = nd_program_output_count(r->program, r->function);
    r->in = calloc((size_t)r->in_count + 1, sizeof *r->in);
    r->out = calloc((size_t)r->out_count + 1, sizeof *r->out);
    if (!r->in || !r->out)
        return nd__cli_memory(words);
    int code = take_inputs(words, given, r);
    for (int i = 0; i < r->out_count && code == ND__EXIT_OK; i++) {
        nd_port port = nd_program_output(r->program, r->function, i);
        r->out[i] = nd_tensor_zeros(port.dtype, port.shape);
        if (nd_tensor_status(r->out[i]) != ND_OK)
            code = nd__cli_memory(words);
    }
    if (code == ND__EXIT_OK)
        code = begin_state(words, r);
    return code == ND__EXIT_OK ? call(words, r) : code;
}

void nd__run_release(nd__run *r)
{
    for (int i = 0; i < r->in_count && r->in; i++)
        nd_tensor_destroy(r->in[i]);
    for (int i = 0; i < r->out_count && r->out; i++)
        nd_tensor_destroy(r->out[i]);
    free(r->in);
    free(r->out);
    nd_state_destroy(r->state);
    nd_program_destroy(r->program);
    *r = (nd__run){0};
}

/* -- results ------------------------------------------------------------------------------------------------------ */

static int compare(const nd__words *words, const char *name, const nd_tensor *compiled, const nd_tensor *interpreted)
{
    int64_t at = nd_tensor_difference(compiled, interpreted);
    if (at == -1)
        return ND__EXIT_OK;
    fprintf(words->err, "nadir: %s differs at element %" PRId64 ": %.17g (%a) compiled, %.17g (%a) interpreted\n", name,
            at, nd_tensor_get(compiled, at), nd_tensor_get(compiled, at), nd_tensor_get(interpreted, at),
            nd_tensor_get(interpreted, at));
    return ND__EXIT_DIFFERS;
}

int nd__run_compare(const nd__words *words, const nd__run *compiled, const nd__run *interpreted)
{
    int code = ND__EXIT_OK;
    for (int i = 0; i < compiled->out_count; i++)
        code |= compare(words, nd_program_output(compiled->program, compiled->function, i).name, compiled->out[i],
                        interpreted->out[i]);
    for (int i = 0; i < nd_program_variable_count(compiled->program); i++) {
        const char *name = nd_program_variable(compiled->program, i).name;
        code |= compare(words, name, nd_state_tensor(compiled->state, name), nd_state_tensor(interpreted->state, name));
    }
    return code;
}

/* DIR/name.npy, where a '/' in the name becomes '_'. */
static int write_result(const nd__words *words, const char *folder, const char *name, nd_tensor *t)
{
    size_t room = strlen(folder) + strlen(name) + sizeof "/.npy";
    char *path = malloc(room);
    if (!path)
        return nd__cli_memory(words);
    snprintf(path, room, "%s/%s.npy", folder, name);
    for (char *c = path + strlen(folder) + 1; *c; c++)
        *c = *c == '/' ? '_' : *c;
    nd_status status = nd_npy_write(path, t);
    free(path);
    return status == ND_OK ? ND__EXIT_OK : nd__cli_fail(words, status, "%s", nd_tensor_error(t));
}

int nd__run_show(const nd__words *words, const nd__run *r, const char *const *names)
{
    const char *folder = nd__option_value(words, "--out");
    int code = ND__EXIT_OK;
    if (folder && !nd__platform_make_folder(folder))
        return nd__cli_fail(words, ND_ERR_IO, "%s: %s", folder, strerror(errno));
    for (int i = 0; i < r->out_count && code == ND__EXIT_OK; i++) {
        const char *name = names ? names[i] : nd_program_output(r->program, r->function, i).name;
        fprintf(words->out, "%s ", name);
        if (nd_tensor_print(r->out[i], words->out) == ND_ERR_MEMORY)
            return nd__cli_memory(words);
        if (folder)
            code = write_result(words, folder, name, r->out[i]);
    }
    return code;
}

int nd__run_function(const nd__words *words, nd_module *m, const char *function, const nd__given *given,
                     const char *const *names)
{
    bool check = nd__option_value(words, "--check");
    nd__run first = {0}, second = {0};
    int code = nd__run_once(words, m, function, given, !check && nd__option_value(words, "--interp"), &first);
    if (code == ND__EXIT_OK && check)
        code = nd__run_once(words, m, function, given, true, &second);
    if (code == ND__EXIT_OK)
        code = nd__run_show(words, &first, names);
    if (code == ND__EXIT_OK && check) {
        code = nd__run_compare(words, &first, &second);
        if (code == ND__EXIT_OK)
            fputs("compiled and interpreted: the same bits\n", words->out);
    }
    const char *save = nd__option_value(words, "--save");
    nd_status status = code == ND__EXIT_OK && save ? nd_state_save(first.state, save) : ND_OK;
    if (status != ND_OK)
        code = nd__cli_fail(words, status, "%s", nd_state_error(first.state));
    nd__run_release(&second);
    nd__run_release(&first);
    return code;
}
