/* nadir dot: a graph as a picture. */
#include "compiler/cli/cli.h"
#include "nadir/text.h"

static int run(const nd__words *words)
{
    int code;
    nd_module *m = nd__cli_module(words, &code);
    if (m)
        code = nd__cli_module_code(words, m, nd_module_dot(m, words->out));
    nd_module_destroy(m);
    return code;
}

static const nd__option options[] = {{0}};

const nd__command nd__command_dot = {
    .name = "dot",
    .operands = "FILE",
    .least = 1,
    .most = 1,
    .summary = "a graph for Graphviz",
    .details = "  nadir dot model.nd | dot -Tsvg > model.svg\n",
    .options = options,
    .run = run,
};
