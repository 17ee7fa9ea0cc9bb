/* Timing in many short samples: an interruption spoils one of them, not the median, and the tenth percentile never. */
#define _POSIX_C_SOURCE 200809L
#include "bench.h"

#include <stdlib.h>
#include <time.h>

static const double GROUP = 200e-6; /* seconds: long beside the clock's own cost, short beside an interruption */

double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double sample(void (*work)(void *self), void *self, long times)
{
    const double start = seconds_now();
    for (long i = 0; i < times; i++)
        work(self);
    return seconds_now() - start;
}

void timing_add(timing *t, double seconds, int least, void (*work)(void *self), void *self)
{
    const double end = seconds_now() + seconds;
    long times = 1;
    double one = sample(work, self, 1);
    while (one < GROUP && times < 1L << 24) {
        times *= 2;
        one = sample(work, self, times);
    }
    for (int n = 0; t->count < MOST_SAMPLES && (n < least || seconds_now() < end); n++)
        t->samples[t->count++] = sample(work, self, times) / (double)times;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double timing_quantile(timing *t, double part)
{
    if (t->count == 0)
        return 0;
    qsort(t->samples, (size_t)t->count, sizeof *t->samples, ascending);
    return t->samples[(int)(part * (t->count - 1))];
}
