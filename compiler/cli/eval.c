/* nadir eval: the desk calculator. */
#include "compiler/cli/cli.h"

#include <stdlib.h>
#include <string.h>

/* The formula over the inputs, and its gradients, as the function "eval". */
typedef struct calculation {
    nd_module *m;
    nd_value **inputs, **outputs; /* value, gradients */
    char **names;                 /* of the outputs */
    int input_count, output_count;
} calculation;

static char *text_of(const char *prefix, const char *text, size_t length)
{
    size_t n = strlen(prefix);
    char *copy = malloc(n + length + 1);
    if (!copy)
        return NULL;
    memcpy(copy, prefix, n);
    memcpy(copy + n, text, length);
    copy[n + length] = '\0';
    return copy;
}

static int make_inputs(const nd__words *words, const nd__given *given, calculation *c)
{
    c->inputs = calloc((size_t)given->count + 1, sizeof *c->inputs);
    if (!c->inputs)
        return nd__cli_memory(words);
    for (int i = 0; i < given->count; i++) {
        const nd__named_tensor *g = &given->items[i];
        char *name = text_of("", g->name, g->length);
        if (!name)
            return nd__cli_memory(words);
        c->inputs[c->input_count++] =
            nd_input_at(NULL, c->m, name, nd_tensor_dtype(g->tensor), nd_tensor_shape(g->tensor));
        free(name);
    }
    return ND__EXIT_OK;
}

/* The input of that name, to differentiate by. */
static nd_value *target(const calculation *c, const char *name, size_t length)
{
    for (int i = 0; i < c->input_count; i++)
        if (strlen(nd_value_name(c->inputs[i])) == length && memcmp(nd_value_name(c->inputs[i]), name, length) == 0)
            return c->inputs[i];
    return NULL;
}

static int make_outputs(const nd__words *words, calculation *c)
{
    const char *list = nd__option_value(words, "--grad"), *name;
    size_t length, n = 2;
    for (const char *comma = list; comma && *comma; comma++)
        n += *comma == ',';
    nd_value **targets = calloc(n, sizeof *targets);
    c->outputs = calloc(n, sizeof *c->outputs);
    c->names = calloc(n, sizeof *c->names);
    int code = targets && c->outputs && c->names ? ND__EXIT_OK : nd__cli_memory(words);
    if (code == ND__EXIT_OK) {
        c->outputs[0] = nd_formula_at(NULL, c->m, nd__operand(words, 0));
        c->names[0] = text_of("", "value", 5);
        c->output_count = 1;
    }
    while (code == ND__EXIT_OK && nd_module_status(c->m) == ND_OK && (name = nd__list_next(&list, &length))) {
        nd_value *x = target(c, name, length);
        if (!x)
            code = nd__cli_refuse(words, "--grad: no input is named '%.*s'", (int)length, name);
        targets[c->output_count - 1] = x;
        c->names[c->output_count++] = text_of("grad.", name, length);
    }
    if (code == ND__EXIT_OK && c->output_count > 1)
        nd_gradients_at(NULL, c->outputs[0], NULL, (size_t)c->output_count - 1, targets, c->outputs + 1);
    for (int i = 0; i < c->output_count && code == ND__EXIT_OK; i++)
        if (!c->names[i])
            code = nd__cli_memory(words);
    free(targets);
    return code;
}

static int run(const nd__words *words)
{
    nd__given given = {0};
    calculation c = {.m = nd_module_create("eval")};
    int code = c.m ? nd__given_read(words, &given) : nd__cli_memory(words);
    if (code == ND__EXIT_OK)
        code = make_inputs(words, &given, &c);
    if (code == ND__EXIT_OK)
        code = make_outputs(words, &c);
    if (code == ND__EXIT_OK)
        nd_function_at(NULL, c.m, "eval", (nd_values){(size_t)c.input_count, c.inputs},
                       (nd_values){(size_t)c.output_count, c.outputs});
    if (code == ND__EXIT_OK && nd_module_status(c.m) != ND_OK)
        code = nd__cli_fail(words, nd_module_status(c.m), "%s", nd_module_error(c.m));
    if (code == ND__EXIT_OK)
        code = nd__run_function(words, c.m, "eval", &given, (const char *const *)c.names);
    for (int i = 0; i < c.output_count; i++)
        free(c.names[i]);
    free(c.names);
    free(c.outputs);
    free(c.inputs);
    nd_module_destroy(c.m);
    nd__given_release(&given);
    return code;
}

static const nd__option options[] = {
    ND__OPTION_IN,
    {"--grad", "NAME,...", "also the gradients by these inputs; the value must have one element"},
    ND__OPTION_OUT,
    ND__OPTION_INTERP,
    ND__OPTION_CHECK,
    ND__OPTION_CPU,
    {0},
};

const nd__command nd__command_eval = {
    .name = "eval",
    .operands = "FORMULA",
    .least = 1,
    .most = 1,
    .summary = "the value of a NumPy expression, and its gradients",
    .details = "FORMULA is a NumPy expression over the inputs, which have the dtypes and shapes of their files:\n"
               "  nadir eval 'sum((x @ w - y)**2)' --in x=x.npy --in w=w.npy --in y=y.npy --grad x,w\n"
               "prints `value`, `grad.x` and `grad.w`, which --out DIR also writes as DIR/value.npy, ...\n"
               "A formula that begins with - stands behind --: nadir eval -- '-x**2'.\n",
    .options = options,
    .run = run,
};
