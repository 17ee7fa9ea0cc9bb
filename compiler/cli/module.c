/* The graph in a file, and how it is compiled. */
#include "compiler/cli/cli.h"
#include "nadir/text.h"

int nd__cli_module_code(const nd__words *words, const nd_module *m, nd_status status)
{
    if (status == ND_OK)
        return ND__EXIT_OK;
    const char *error = nd_module_error(m);
    return nd__cli_fail(words, status, "%s", *error ? error : nd_status_text(status));
}

nd_module *nd__cli_module(const nd__words *words, int *code)
{
    nd_module *m = nd_module_read(nd__operand(words, 0));
    *code = nd__cli_module_code(words, m, nd_module_status(m));
    if (*code == ND__EXIT_OK)
        return m;
    nd_module_destroy(m);
    return NULL;
}

nd_compile_options nd__cli_options(const nd__words *words, bool interpret)
{
    return (nd_compile_options){.cpu = nd__option_value(words, "--cpu"),
                                .bind = nd__option_value(words, "--bind"),
                                .passes_off = nd__option_value(words, "--passes-off"),
                                .interpret = interpret};
}
