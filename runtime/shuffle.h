/* Orders that depend on numbers alone. */
#ifndef NADIR_RUNTIME_SHUFFLE_H
#define NADIR_RUNTIME_SHUFFLE_H

#include <stdint.h>

/* Fills order[0..n) with 0 .. n-1, shuffled for (seed, epoch, n); in order for seed 0. The same on every machine, for
 * ever: saved trainings resume by it. */
void nd__shuffle(int64_t *order, int64_t n, uint64_t seed, uint64_t epoch);

#endif
