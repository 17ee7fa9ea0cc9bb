/* nadir print: a graph as text, as Nadir writes it. */
#include "compiler/cli/cli.h"
#include "nadir/text.h"

static int run(const nd__words *words)
{
    int code;
    nd_module *m = nd__cli_module(words, &code);
    if (m)
        code = nd__cli_module_code(words, m, nd_module_print(m, words->out));
    nd_module_destroy(m);
    return code;
}

static const nd__option options[] = {{0}};

const nd__command nd__command_print = {
    .name = "print",
    .operands = "FILE",
    .least = 1,
    .most = 1,
    .summary = "a graph as text",
    .details = "Reads and checks the graph, and prints what its functions need. The print reads back to the\n"
               "same graph.\n",
    .options = options,
    .run = run,
};
