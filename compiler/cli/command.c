/* Which command, and what help says of it. */
#include "compiler/cli/cli.h"
#include "compiler/text/nearest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const nd__command *const commands[] = {
    &nd__command_eval, &nd__command_run,  &nd__command_print,   &nd__command_dot,
    &nd__command_grad, &nd__command_plan, &nd__command_compile, &nd__command_bench,
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static const nd__command *find_command(const char *name)
{
    for (int i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

/* -- help --------------------------------------------------------------------------------------------------------- */

static const char exit_codes[] = "Exit codes:\n"
                                 "  0  all went well\n"
                                 "  1  --check found a bit that differs\n"
                                 "  2  the command line, a text, a file's content or a graph is not right\n"
                                 "  3  the system refused: a file cannot be read or written, memory ran out\n"
                                 "  4  an error of Nadir's own; please report it\n";

static void help_all(FILE *out)
{
    fputs("nadir: graphs of tensors, their gradients, compiled\n\nUsage: nadir COMMAND ...\n\n", out);
    for (int i = 0; i < COMMANDS; i++)
        fprintf(out, "  %-8s  %s\n", commands[i]->name, commands[i]->summary);
    fputs("\nnadir COMMAND --help, or nadir help COMMAND, says more of one; nadir --version the version.\n\n", out);
    fputs(exit_codes, out);
}

static void help_command(FILE *out, const nd__command *c)
{
    int width = 0;
    fprintf(out, "nadir %s: %s\n\nUsage: nadir %s %s%s\n\n", c->name, c->summary, c->name,
            c->options->name ? "[OPTIONS] " : "", c->operands);
    for (const nd__option *o = c->options; o->name; o++) {
        int n = (int)(strlen(o->name) + (o->value ? strlen(o->value) + 1 : 0));
        width = n > width ? n : width;
    }
    for (const nd__option *o = c->options; o->name; o++)
        fprintf(out, "  %s%s%-*s  %s\n", o->name, o->value ? " " : "",
                width - (int)strlen(o->name) - (o->value ? 1 : 0), o->value ? o->value : "", o->help);
    fprintf(out, "%s%s\n%s", width ? "\n" : "", c->details, exit_codes);
}

static int unknown_command(FILE *err, const char *name)
{
    nd__nearest nearest = {.word = name, .length = strlen(name)};
    for (int i = 0; i < COMMANDS; i++)
        nd__nearest_try(&nearest, commands[i]->name);
    fprintf(err, "nadir: there is no command '%s'", name);
    if (nearest.best)
        fprintf(err, "; did you mean '%s'?", nearest.best);
    fputs("\nnadir --help lists them\n", err);
    return ND__EXIT_INPUT;
}

/* -- running ------------------------------------------------------------------------------------------------------ */

static int run(const nd__command *command, int count, char *const *given, FILE *out, FILE *err)
{
    nd__words words = {.command = command, .out = out, .err = err};
    bool help = false;
    int code = nd__words_read(&words, count, given, &help);
    if (code == ND__EXIT_OK && help)
        help_command(out, command);
    else if (code == ND__EXIT_OK)
        code = command->run(&words);
    free(words.items);
    return code;
}

static int dispatch(int count, char *const *words, FILE *out, FILE *err)
{
    const char *first = count > 0 ? words[0] : "";
    bool help = strcmp(first, "help") == 0 || strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0;
    if (count == 0) {
        fputs("nadir: expected a command; nadir --help lists them\n", err);
        return ND__EXIT_INPUT;
    }
    if (strcmp(first, "--version") == 0) {
        fputs("nadir " ND_VERSION "\n", out);
        return ND__EXIT_OK;
    }
    if (help && count == 1) {
        help_all(out);
        return ND__EXIT_OK;
    }
    const char *name = help ? words[1] : first;
    const nd__command *command = find_command(name);
    if (!command)
        return unknown_command(err, name);
    if (help) {
        help_command(out, command);
        return ND__EXIT_OK;
    }
    return run(command, count - 1, words + 1, out, err);
}

int nd__cli(int count, char *const *words, FILE *out, FILE *err)
{
    int code = dispatch(count, words, out, err);
    errno = 0;
    if (fflush(out) == 0 && !ferror(out))
        return code;
    fprintf(err, "nadir: standard output: %s\n", errno ? strerror(errno) : "cannot be written");
    return code == ND__EXIT_OK ? ND__EXIT_SYSTEM : code;
}
