/* The command `nadir`: words in, text and files out.
 *
 *   main.c       the process
 *   command.c    which command, its help
 *   words.c      options and operands of a command, from its table
 *   module.c     the graph of a file, the options of compiling it
 *   execute.c    files of tensors into a function and out of it
 *   eval.c ...   one file for each command
 *
 * All of it writes to two streams that the caller gives, so that the tests run it in their own process. */
#ifndef NADIR_CLI_CLI_H
#define NADIR_CLI_CLI_H

#include "nadir/compile.h"
#include "nadir/graph.h"

#include <stdio.h>

/* What the process ends with; nadir --help says it to users. */
enum nd__exit {
    ND__EXIT_OK = 0,
    ND__EXIT_DIFFERS = 1, /* --check found other bits */
    ND__EXIT_INPUT = 2,   /* words, texts, files or graphs that are not right */
    ND__EXIT_SYSTEM = 3,  /* a file cannot be read or written, memory ran out */
    ND__EXIT_INTERNAL = 4,
};

typedef struct nd__option {
    const char *name;  /* "--in"; NULL behind the last */
    const char *value; /* what help calls its value; NULL: it has none */
    const char *help;
} nd__option;

typedef struct nd__words nd__words;

typedef struct nd__command {
    const char *name;
    const char *operands; /* as help shows them: "FILE [FUNCTION]" */
    int least, most;      /* how many there may be */
    const char *summary;  /* one line, without a full stop */
    const char *details;  /* paragraphs below the options */
    const nd__option *options;
    int (*run)(const nd__words *words);
} nd__command;

extern const nd__command nd__command_bench, nd__command_compile, nd__command_dot, nd__command_eval, nd__command_grad,
    nd__command_plan, nd__command_print, nd__command_run;

/* Options that several commands have. */
#define ND__OPTION_IN                                                                                                  \
    {                                                                                                                  \
        "--in", "NAME=FILE", "an input, from a .npy file; once for each"                                               \
    }
#define ND__OPTION_OUT                                                                                                 \
    {                                                                                                                  \
        "--out", "DIR", "write every result there as .npy; the folder is made if it is not there"                      \
    }
#define ND__OPTION_BIND                                                                                                \
    {                                                                                                                  \
        "--bind", "NAME=N,...", "numbers for named dimensions"                                                         \
    }
#define ND__OPTION_CPU                                                                                                 \
    {                                                                                                                  \
        "--cpu", "NAME", "the processor to compile for (native)"                                                       \
    }
#define ND__OPTION_INTERP                                                                                              \
    {                                                                                                                  \
        "--interp", NULL, "run the definition of every op instead of compiled code"                                    \
    }
#define ND__OPTION_PASSES                                                                                              \
    {                                                                                                                  \
        "--passes-off", "NAME,...", "leave out these passes; all: every one"                                           \
    }
#define ND__OPTION_TUNE_FILE                                                                                           \
    {                                                                                                                  \
        "--tune-file", "FILE", "tiles and loop orders that were measured"                                              \
    }
#define ND__OPTION_TUNE                                                                                                \
    {                                                                                                                  \
        "--tune", "MS", "first measure others for so many milliseconds; the best go to --tune-file"                    \
    }
#define ND__OPTION_CHECK                                                                                               \
    {                                                                                                                  \
        "--check", NULL, "run both ways and compare every bit"                                                         \
    }

/* -- command.c ---------------------------------------------------------------------------------------------------- */

/* Runs the command line; what the process ends with. Closes nothing. */
int nd__cli(int count, char *const *words, FILE *out, FILE *err);

/* -- words.c ------------------------------------------------------------------------------------------------------ */

typedef struct nd__word {
    const nd__option *option; /* NULL: an operand */
    const char *value;
} nd__word;

/* The words of one call of a command. */
struct nd__words {
    const nd__command *command;
    FILE *out, *err;
    nd__word *items;
    int count;
};

/* Sorts the words behind the command's name; the exit code, and what was wrong is written. `words->items` is to be
 * freed. */
int nd__words_read(nd__words *words, int count, char *const *given, bool *help);
const char *nd__operand(const nd__words *words, int i); /* NULL: not given */
/* The value of an option, "" of one that has none; the last one given counts. NULL: not given. */
const char *nd__option_value(const nd__words *words, const char *name);
/* The values of an option that may be given often, one after another: *cursor begins as 0. NULL: no more. */
const char *nd__option_next(const nd__words *words, const char *name, int *cursor);
/* The next of several texts between commas; its length in *length. NULL: no more. */
const char *nd__list_next(const char **list, size_t *length);

/* Write "nadir: ..." and give an exit code: of a mistake in the words themselves, of a library's status, of no memory.
 */
int nd__cli_refuse(const nd__words *words, const char *format, ...) __attribute__((format(printf, 2, 3)));
int nd__cli_fail(const nd__words *words, nd_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int nd__cli_memory(const nd__words *words);

enum { ND__CLI_MESSAGE = 4096 }; /* room for what functions without a handle have to say */

/* -- module.c ----------------------------------------------------------------------------------------------------- */

/* The graph in the file that operand 0 names; NULL after writing what is wrong, with the exit code. */
nd_module *nd__cli_module(const nd__words *words, int *code);
/* The exit code of what happened on the module, whose error is written. */
int nd__cli_module_code(const nd__words *words, const nd_module *m, nd_status status);
/* What the words say of compiling. */
nd_compile_options nd__cli_options(const nd__words *words, bool interpret);

/* -- execute.c ---------------------------------------------------------------------------------------------------- */

typedef struct nd__named_tensor {
    const char *name; /* not ended by 0: it is a part of a word */
    size_t length;
    nd_tensor *tensor;
} nd__named_tensor;

/* The inputs that the words give. `items` is an array; release it also after a failure. */
typedef struct nd__given {
    nd__named_tensor *items;
    int count;
} nd__given;

int nd__given_read(const nd__words *words, nd__given *given);
void nd__given_release(nd__given *given);
/* The one of that name, or NULL. */
nd_tensor *nd__given_find(const nd__given *given, const char *name, size_t length);

/* A function that ran once. Release it also after a failure. */
typedef struct nd__run {
    nd_program *program;
    nd_state *state;
    nd_tensor **in, **out;
    int function, in_count, out_count;
} nd__run;

/* Compiles the module and runs its function (NULL: the only one), in the way that the words' options say; `interpret`
 * if they shall not decide. */
int nd__run_once(const nd__words *words, nd_module *m, const char *function, const nd__given *given, bool interpret,
                 nd__run *run);
/* Compares results and variables of the same function, run twice. */
int nd__run_compare(const nd__words *words, const nd__run *compiled, const nd__run *interpreted);
/* Prints results, and writes them where --out says. `names`: NULL for the program's own. */
int nd__run_show(const nd__words *words, const nd__run *run, const char *const *names);
/* Once, or with --check twice and compared; then shows the results. */
int nd__run_function(const nd__words *words, nd_module *m, const char *function, const nd__given *given,
                     const char *const *names);
void nd__run_release(nd__run *run);

#endif
