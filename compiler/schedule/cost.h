/* What kernels cost: cycles, from a description of the processor (nd__target). Three users: the choice of tiles asks
 * before there is a kernel, the cutting into chunks asks in microseconds, and `nadir plan` and `nadir bench --kernels`
 * show what a kernel should take, from its text.
 *
 * The text decides: every instruction takes its part of what a cycle can do (multiply-adds, additions, vector
 * instructions, loads, stores), a loop as often as it turns, and no less than the chain of what it carries takes.
 * Beside that run the bytes that its references bring into each cache. Vectors are as wide as the kernel made them,
 * elementary functions are the instructions that they are: there is no table of kernels. Latencies and rates are those
 * of Zen 4, measured; other processors of these years differ in what nd__target says. */
#ifndef NADIR_SCHEDULE_COST_H
#define NADIR_SCHEDULE_COST_H

#include "compiler/schedule/plan.h"

/* The clock for what is decided in time: a processor under vector load. Where time is measured, so is the clock. */
enum { ND__CYCLES_A_MICROSECOND = 3700 };

/* Cycles of `count` multiply-adds of vectors of `bytes`. */
double nd__fma_cycles(const nd__target *target, double count, int bytes);
/* Flops of f32 multiply-adds in a cycle, at most. */
double nd__peak_flops(const nd__target *target);

/* Cycles of one run (cost.c). `distance`, by buffer of the kernel: bytes that were walked since its memory was touched
 * last, which says where it is; NULL: all lies in the first cache. Negative: memory ran out. */
double nd__kernel_cycles(const nd__kernel *k, const nd__target *target, const double *distance);
/* Sets `cycles` of all steps and the plan's (estimate.c), after nd__plan_memory. false: memory ran out. */
bool nd__plan_estimate(nd__plan *plan, const nd__target *target);

#endif
