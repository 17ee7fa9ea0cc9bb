/* nadir plan: what a graph is compiled to. */
#include "compiler/cli/cli.h"

static int run(const nd__words *words)
{
    int code;
    nd_module *m = nd__cli_module(words, &code);
    if (m) {
        const nd_compile_options options = nd__cli_options(words, false);
        bool kernels = nd__option_value(words, "--kernels");
        char message[ND__CLI_MESSAGE] = "";
        nd_status status =
            nd_plan_print(m, &options, nd__operand(words, 1), kernels, words->out, message, sizeof message);
        if (status != ND_OK)
            code = nd__cli_fail(words, status, "%s", message);
    }
    nd_module_destroy(m);
    return code;
}

static const nd__option options[] = {
    {"--kernels", NULL, "also the kernels' bodies"},
    ND__OPTION_BIND,
    ND__OPTION_CPU,
    ND__OPTION_PASSES,
    ND__OPTION_TUNE_FILE,
    {0},
};

const nd__command nd__command_plan = {
    .name = "plan",
    .operands = "FILE [FUNCTION]",
    .least = 1,
    .most = 2,
    .summary = "kernels, buffers, flops and bytes of a graph",
    .details = "Prints, for one function or all, which kernels run in which order, what was fused, where\n"
               "every buffer lies in the arena, the flops and bytes of each kernel, and the peak of memory.\n",
    .options = options,
    .run = run,
};
