/* What the files of nadir bench share. */
#ifndef NADIR_CLI_BENCH_H
#define NADIR_CLI_BENCH_H

#include "compiler/cli/cli.h"

/* A function bound to a state and to tensors of random values: its inputs, then its outputs. */
typedef struct nd__bound {
    nd_state *state;
    nd_tensor **tensors;
    int count;
    nd_call *call;
} nd__bound;

/* false: the program has the error, or memory ran out; to be released all the same. */
bool nd__bound_make(nd_program *p, int function, nd__bound *b);
void nd__bound_release(nd__bound *b);

/* bench_kernels.c: f32 multiply-adds of the processor, in flops a second, measured; 0 for one that has none. */
int nd__bench_peak(const nd__words *words, double *peak);
/* The time of each step of a function, and what part of the peak it reaches. */
int nd__bench_kernels(const nd__words *words, nd_module *m, nd_program *p, int function, double seconds, double peak);

#endif
