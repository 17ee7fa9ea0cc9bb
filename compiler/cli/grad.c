/* nadir grad: the backward graph of a value as text. */
#include "compiler/cli/cli.h"
#include "compiler/formula/formula.h"
#include "nadir/text.h"

#include <stdlib.h>
#include <string.h>

/* Marks the inputs that the values lead back to, by node; also those that only bodies use. */
static void mark_inputs(const nd_module *m, size_t count, nd_value *const *values, bool *needed)
{
    for (size_t i = 0; i < count; i++)
        needed[values[i]->node->number] = true;
    for (int i = m->node_count - 1; i >= 0; i--)
        for (int k = 0; needed[i] && k < m->nodes[i]->input_count; k++)
            needed[m->nodes[i]->inputs[k]->node->number] = true;
}

/* The module with the one function "grad", which gives the gradients. */
static nd_module *only_gradients(nd_module *m, size_t count, nd_value *const *gradients)
{
    bool *needed = calloc((size_t)m->node_count, sizeof *needed);
    nd_value **inputs = calloc((size_t)m->node_count, sizeof *inputs);
    size_t input_count = 0;
    if (!needed || !inputs)
        nd__fail_memory(m);
    else
        mark_inputs(m, count, gradients, needed);
    for (int i = 0; i < m->node_count && m->status == ND_OK; i++)
        if (needed[i] && m->nodes[i]->op == ND__OP_input)
            inputs[input_count++] = &m->nodes[i]->results[0];
    for (int i = 0; i < m->function_count; i++) /* so that the copy keeps those alone that "grad" runs */
        m->functions[i]->body = true;
    nd_function_at(NULL, m, "grad", (nd_values){input_count, inputs}, (nd_values){count, gradients});
    free(inputs);
    free(needed);
    return m->status == ND_OK ? nd__module_copy(m, NULL) : NULL;
}

static nd_value *value_of(nd_module *m, const char *text)
{
    nd_value *named = nd__value_named(m, text, strlen(text));
    return named ? named : nd_formula_at("--of", m, text);
}

/* The gradients, into an array of the names' number. */
static size_t differentiate(nd_module *m, const char *of, const char *by, nd_value **targets, nd_value **gradients)
{
    size_t count = 0, length;
    const char *name;
    nd_value *value = value_of(m, of);
    while (m->status == ND_OK && (name = nd__list_next(&by, &length))) {
        targets[count] = nd__value_named(m, name, length);
        if (!targets[count])
            nd__fail(m, ND_ERR_ARGUMENT, "--by", "no value is named '%.*s'", (int)length, name);
        count++;
    }
    nd_gradients_at(NULL, value, NULL, count, targets, gradients);
    return count;
}

static int run(const nd__words *words)
{
    const char *of = nd__option_value(words, "--of"), *by = nd__option_value(words, "--by");
    int code;
    if (!of || !by)
        return nd__cli_refuse(words, "expected --of VALUE and --by NAME,...");
    nd_module *m = nd__cli_module(words, &code), *only = NULL;
    size_t room = strlen(by) + 1; /* more than its commas */
    nd_value **targets = calloc(room, sizeof *targets), **gradients = calloc(room, sizeof *gradients);
    if (m && (!targets || !gradients))
        code = nd__cli_memory(words);
    if (code == ND__EXIT_OK) {
        size_t count = differentiate(m, of, by, targets, gradients);
        only = m->status == ND_OK ? only_gradients(m, count, gradients) : NULL;
        code = nd__cli_module_code(words, m, m->status);
    }
    if (code == ND__EXIT_OK)
        code = only ? nd__cli_module_code(words, only, nd_module_print(only, words->out)) : nd__cli_memory(words);
    free(gradients);
    free(targets);
    nd_module_destroy(only);
    nd_module_destroy(m);
    return code;
}

static const nd__option options[] = {
    {"--of", "VALUE", "what is differentiated, of one element: a value's name, or a formula"},
    {"--by", "NAME,...", "the variables, inputs or other values to differentiate by"},
    {0},
};

const nd__command nd__command_grad = {
    .name = "grad",
    .operands = "FILE",
    .least = 1,
    .most = 1,
    .summary = "the gradients of a value, as a graph",
    .details = "Prints a graph with the one function `grad`, which gives the gradients in the order of the names:\n"
               "  nadir grad mlp.nd --of loss --by w1,w2\n",
    .options = options,
    .run = run,
};
