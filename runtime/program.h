/* What the files of the runtime know of programs and states. */
#ifndef NADIR_RUNTIME_PROGRAM_H
#define NADIR_RUNTIME_PROGRAM_H

#include "nadir/program.h"
#include "runtime/message.h"
#include "runtime/tensor.h"

#include <stdatomic.h>

/* A program for other numbers, kept by the one that it was asked of. */
typedef struct nd__specialised {
    struct nd__specialised *next;
    int64_t value;
    nd_program *program;
    char dimension[];
} nd__specialised;

struct nd_program {
    nd_status status; /* sticky */
    nd_program_info info;
    /* What changes; threads look at it in turn. */
    atomic_flag busy;
    nd__message message; /* of the status, or of the last call that could fail */
    nd__specialised *specialised;
};

struct nd_state {
    nd_program *program; /* that made it */
    nd__message message;
    nd__storage *block;
    nd_tensor **tensors; /* one for each variable, over the block */
    bool *is_set;        /* whether the variable has a value */
};

/* The program's message becomes this one, whose text it takes over. */
void nd__program_tell(nd_program *program, nd__message message);
/* nd_program_specialize and nd_bind on a program that can be used, with a message of the caller's own: the program's
 * may be another thread's by the time that it is read. */
nd_program *nd__program_specialize(nd_program *program, const char *dimension, int64_t value, nd__message *message);
nd_call *nd__bind(nd_program *program, const char *function, nd_state *state, nd_tensors in, nd_tensors out,
                  nd__message *message);
/* The index of a variable, or -1. */
int nd__program_variable_index(const nd_program *program, const char *variable);
/* Runs a function once: through its entry, or interpreted; the control word is the caller's. */
nd_status nd__program_run(const nd_program *program, int function, void *state, void *arena, const void *const *in,
                          void *const *out);

#endif
