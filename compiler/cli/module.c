/* The graph in a file, and how it is compiled. */
#include "compiler/cli/cli.h"
#include "nadir/text.h"

#include <math.h>
#include <stdlib.h>

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

/* Milliseconds; not a number: the compiler says what is wrong. */
static double tune_ms(const nd__words *words)
{
    const char *text = nd__option_value(words, "--tune");
    char *end = NULL;
    const double ms = text ? strtod(text, &end) : 0;
    return text && (end == text || *end) ? NAN : ms;
}

nd_compile_options nd__cli_options(const nd__words *words, bool interpret)
{
    return (nd_compile_options){.cpu = nd__option_value(words, "--cpu"),
                                .bind = nd__option_value(words, "--bind"),
                                .passes_off = nd__option_value(words, "--passes-off"),
                                .tune_file = nd__option_value(words, "--tune-file"),
                                .tune_ms = tune_ms(words),
                                .interpret = interpret};
}
