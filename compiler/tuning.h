/* Choices measured on this machine (schedule/choice.h): the file that keeps them, and how they come there.
 *
 *     nadir tuning 1
 *     product f32 1x32x784x128 nn on znver4: lanes=columns rows=4 vectors=4 outer=rows # 53.1 us, 57.0 us before
 *
 * A line for each kernel: what is computed, of which dtype and sizes, on which processor; what was the fastest. '#' and
 * what follows it is a note for people. */
#ifndef NADIR_COMPILER_TUNING_H
#define NADIR_COMPILER_TUNING_H

#include "compiler/lowered.h"

/* What the options say of tuning: reads the file into l->choices, measures if that is asked for, and writes it. Before
 * the functions of l have plans; the target then names the choices. On failure the module may be gone. */
nd_status nd__tune_by_options(nd__lowered *l, const nd_compile_options *options, const char *without,
                              nd__message *message);

/* Adds what the file says. `missing`: it need not exist. ND_ERR_IO, ND_ERR_MEMORY, ND_ERR_PARSE: the message begins
 * with the path and the line. */
nd_status nd__tuning_read(nd__choices *choices, const char *path, bool missing, nd__message *message);
/* Replaces the file. */
nd_status nd__tuning_write(const nd__choices *choices, const char *path, nd__message *message);
/* Measures alternatives of the choices that l->choices does not have, for about so many milliseconds, and leaves the
 * fastest there. Errors as nd__lower_functions, and of the code generator. */
nd_status nd__tune(nd__lowered *l, const char *without, double milliseconds, nd__message *message);

#endif
