/* One module run by the interpreter and as native code, side by side: the same bits in every output and variable. */
#ifndef TESTS_TWO_WAYS_H
#define TESTS_TWO_WAYS_H

#include "nadir/compile.h"

/* Runs the function `steps` times both ways, from the same seed, on inputs filled anew for each step: floats in [-1,
 * 1), integers and bools below `below`. Fails the running Check test where anything differs, or where a program cannot
 * be made. */
void two_ways(nd_module *m, const char *function, int steps, int below);

#endif
