/* nadir run: one call of a function. */
#include "compiler/cli/cli.h"

static int run(const nd__words *words)
{
    nd__given given = {0};
    int code;
    nd_module *m = nd__cli_module(words, &code);
    if (m)
        code = nd__given_read(words, &given);
    if (m && code == ND__EXIT_OK)
        code = nd__run_function(words, m, nd__operand(words, 1), &given, NULL);
    nd__given_release(&given);
    nd_module_destroy(m);
    return code;
}

static const nd__option options[] = {
    ND__OPTION_IN,
    ND__OPTION_OUT,
    ND__OPTION_BIND,
    ND__OPTION_INTERP,
    ND__OPTION_CHECK,
    {"--seed", "N", "of the variables' first values (the graph's own seed)"},
    {"--load", "FILE", "the variables' values, from a .safetensors file"},
    {"--save", "FILE", "write the variables afterwards"},
    ND__OPTION_CPU,
    ND__OPTION_PASSES,
    {0},
};

const nd__command nd__command_run = {
    .name = "run",
    .operands = "FILE [FUNCTION]",
    .least = 1,
    .most = 2,
    .summary = "call a function of a graph once",
    .details = "Calls the function (which may be left out where there is one only) and prints its outputs:\n"
               "  nadir run mlp.nd step --in x=x.npy --in y=y.npy --bind B=17 --check\n",
    .options = options,
    .run = run,
};
