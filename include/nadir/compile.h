/* Compiling modules: into this process, to files, or not at all (the interpreter).
 *
 *     nd_program *p = nd_compile(m, NULL);                                        -- native code for this machine
 *     nd_program *i = nd_compile(m, &(nd_compile_options){.interpret = true});    -- the definition of every op, slowly
 *     nd_program *last = nd_compile(m, &(nd_compile_options){.bind = "B=17"});    -- another batch size
 *
 * All three give the same bits. A program does not need its module any more. */
#ifndef NADIR_COMPILE_H
#define NADIR_COMPILE_H

#include "nadir/graph.h"
#include "nadir/program.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Zero means default. Texts are read during the call only. */
typedef struct nd_compile_options {
    /* "native" (default), "x86-64", "x86-64-v2", "x86-64-v3", "x86-64-v4", or a name that LLVM knows. For files also
     * several, by rising level, "x86-64-v3,x86-64-v4": a function asks the processor at its first call and runs the
     * last of them that it has, the first where it has none. */
    const char *cpu;
    const char *bind;       /* numbers for named dimensions: "B=17,T=64" */
    bool interpret;         /* no code: run by the interpreter */
    const char *passes_off; /* passes to leave out, by name: "cse,fold"; "all" for every one */
    const char *dump_after; /* a pass after which the graph is printed to `dump`, or "all" */
    FILE *dump;
    FILE *dump_kernels; /* the kernels as text */
    FILE *dump_llvm;    /* the LLVM module as text, as it is emitted */
    /* A file of tiles and loop orders that were measured (doc/tuning.md): how fast kernels are, never a bit. Never
     * needed: what the compiler estimates is close. What it says of other kernels or processors does not matter.
     * Without tune_ms it has to be there. ND_ERR_IO, ND_ERR_PARSE: the message begins with the path and the line. */
    const char *tune_file;
    /* More than 0: first measures alternatives of what the file does not have, on one thread of this machine, for about
     * so many milliseconds, and writes the file anew, in one piece; it need not be there before. Without a file
     * ND_ERR_ARGUMENT; for a processor that this machine is not, ND_ERR_TARGET. Programs made of the compiled one for
     * other sizes read the file and measure nothing. Interpreted: neither option is looked at. */
    double tune_ms;
} nd_compile_options;

/* Compiles every function of the module. Always a handle, with its status (nd_program_status, nd_program_error); NULL
 * only when not even that could be allocated. The module is read, not changed, apart from "init", which is made at the
 * first request. `options` may be NULL. Memory that LLVM itself cannot get ends the process: that is beyond us. */
ND_API nd_program *nd_compile(nd_module *module, const nd_compile_options *options);

/* Milliseconds that the last nd_compile of this program took, and their parts; what came of it; for benchmarks. */
typedef struct nd_compile_times {
    double total;
    double passes, schedule, codegen, load; /* the graph, the plan, its machine code, that in this process */
    int64_t kernels, instructions;          /* distinct kernels; instructions of the kernel language in them */
    int64_t code_bytes;                     /* machine code, without constants */
} nd_compile_times;
ND_API nd_compile_times nd_program_compile_times(const nd_program *program);

/* -- ahead of time ------------------------------------------------------------------------------------------------ */

/* Writes PATH.o and PATH.h: all functions of the module as PREFIX_name. `prefix` is a C name; NULL: the module's name.
 * Characters of the module's, functions' and variables' names that C names do not have become _. The object needs
 * memcpy and memset and nothing else. ND_ERR_GRAPH, ND_ERR_TARGET, ND_ERR_IO, ND_ERR_MEMORY, and ND_ERR_ARGUMENT where
 * two variables would be one field of the header, or the prefix is no name; what went wrong is in `message` (at most
 * `size` bytes; NULL: unwanted). Old files stay whole when this fails. */
ND_API nd_status nd_compile_files(nd_module *module, const nd_compile_options *options, const char *path,
                                  const char *prefix, char *message, size_t size);

/* -- looking at what is compiled ---------------------------------------------------------------------------------- */

/* Prints the plan of a function (NULL: of all): kernels, buffers, offsets, flops, bytes, peak memory; with `kernels`
 * also their bodies. Errors as nd_compile_files; ND_ERR_ARGUMENT: no function of that name. */
ND_API nd_status nd_plan_print(nd_module *module, const nd_compile_options *options, const char *function, bool kernels,
                               FILE *out, char *message, size_t size);

#ifdef __cplusplus
}
#endif
#endif
