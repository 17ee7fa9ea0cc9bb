/* nadir compile: an object and a header, for programs without Nadir. */
#include "compiler/cli/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum kind { OBJECT, HEADER, KERNELS, LLVM, KINDS };
static const char *const kinds[KINDS] = {"obj", "header", "kernels", "llvm"};

/* What --emit asks for. */
static int read_kinds(const nd__words *words, bool *emit)
{
    const char *list = nd__option_value(words, "--emit"), *item;
    size_t length;
    if (!list)
        list = "obj,header";
    while ((item = nd__list_next(&list, &length))) {
        int k = 0;
        while (k < KINDS && (strlen(kinds[k]) != length || memcmp(kinds[k], item, length) != 0))
            k++;
        if (k == KINDS)
            return nd__cli_refuse(words, "--emit: there is no '%.*s'; there is obj, header, kernels, llvm", (int)length,
                                  item);
        emit[k] = true;
    }
    if (emit[OBJECT] != emit[HEADER])
        return nd__cli_refuse(words, "--emit: an object and its header are written together: obj,header");
    return ND__EXIT_OK;
}

/* PATH.SUFFIX, open to write if it is asked for. */
static int open_text(const nd__words *words, bool wanted, const char *path, const char *suffix, FILE **file)
{
    size_t room = strlen(path) + strlen(suffix) + 1;
    char *name = malloc(room);
    if (!name)
        return nd__cli_memory(words);
    snprintf(name, room, "%s%s", path, suffix);
    *file = wanted ? fopen(name, "w") : NULL;
    int code = !wanted || *file ? ND__EXIT_OK : nd__cli_fail(words, ND_ERR_IO, "%s: %s", name, strerror(errno));
    free(name);
    return code;
}

static int close_text(const nd__words *words, FILE *file, const char *what)
{
    if (!file)
        return ND__EXIT_OK;
    bool good = !ferror(file);
    good = fclose(file) == 0 && good;
    return good ? ND__EXIT_OK : nd__cli_fail(words, ND_ERR_IO, "the %s could not be written", what);
}

/* The operand without its folder and its suffix. */
static char *base_name(const char *path)
{
    const char *begin = strrchr(path, '/');
    begin = begin ? begin + 1 : path;
    const char *dot = strrchr(begin, '.');
    size_t n = dot && dot > begin ? (size_t)(dot - begin) : strlen(begin);
    char *name = malloc(n + 1);
    if (!name)
        return NULL;
    memcpy(name, begin, n);
    name[n] = '\0';
    return name;
}

static int emit_all(const nd__words *words, nd_module *m, const bool *emit, const char *path)
{
    nd_compile_options options = nd__cli_options(words, false);
    char message[ND__CLI_MESSAGE] = "";
    int code = open_text(words, emit[KERNELS], path, ".kernels", &options.dump_kernels);
    if (code == ND__EXIT_OK)
        code = open_text(words, emit[LLVM], path, ".ll", &options.dump_llvm);
    if (code == ND__EXIT_OK && emit[OBJECT]) {
        const char *prefix = nd__option_value(words, "--prefix");
        nd_status status = nd_compile_files(m, &options, path, prefix, message, sizeof message);
        if (status != ND_OK)
            code = nd__cli_fail(words, status, "%s", message);
    }
    if (code == ND__EXIT_OK && !emit[OBJECT]) {
        nd_program *p = nd_compile(m, &options);
        if (nd_program_status(p) != ND_OK)
            code = nd__cli_fail(words, nd_program_status(p), "%s", nd_program_error(p));
        nd_program_destroy(p);
    }
    int kernels = close_text(words, options.dump_kernels, "text of the kernels");
    int llvm = close_text(words, options.dump_llvm, "LLVM module");
    return code ? code : kernels ? kernels : llvm;
}

static int run(const nd__words *words)
{
    bool emit[KINDS] = {false};
    int code = read_kinds(words, emit);
    if (code != ND__EXIT_OK)
        return code;
    const char *path = nd__option_value(words, "-o");
    char *base = base_name(nd__operand(words, 0));
    nd_module *m = nd__cli_module(words, &code);
    if (m)
        code = base ? emit_all(words, m, emit, path ? path : base) : nd__cli_memory(words);
    nd_module_destroy(m);
    free(base);
    return code;
}

static const nd__option options[] = {
    {"-o", "PATH", "write PATH.o and PATH.h (FILE's name, in the current folder)"},
    {"--emit", "KIND,...", "obj,header; kernels: PATH.kernels, llvm: PATH.ll"},
    {"--cpu", "NAME,...", "the processor to compile for (native); several: chosen at the first call"},
    {"--prefix", "NAME", "what the functions' names begin with (the graph's name)"},
    ND__OPTION_BIND,
    ND__OPTION_PASSES,
    ND__OPTION_TUNE_FILE,
    ND__OPTION_TUNE,
    {0},
};

const nd__command nd__command_compile = {
    .name = "compile",
    .operands = "FILE",
    .least = 1,
    .most = 1,
    .summary = "an object file and a C header",
    .details = "  nadir compile mlp.nd --emit obj,header --cpu x86-64-v3 -o mlp\n"
               "writes mlp.o, which needs nothing but memcpy and memset, and mlp.h, which says how to call it. With\n"
               "--cpu x86-64-v3,x86-64-v4 mlp.o has the code for both and runs what the processor has.\n",
    .options = options,
    .run = run,
};
