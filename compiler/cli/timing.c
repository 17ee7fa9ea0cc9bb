/* Timing in short samples: an interruption spoils one of them, not the median, and the tenth percentile never. */
#include "compiler/cli/timing.h"
#include "runtime/platform.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST_SAMPLES = 2000, LEAST_SAMPLES = 5 };
static const double SAMPLE = 20e-6; /* seconds: long beside the clock's own cost, short beside an interruption */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double sample(void (*run)(void *), void *self, int64_t times)
{
    double begin = nd__platform_seconds();
    for (int64_t i = 0; i < times; i++)
        run(self);
    return nd__platform_seconds() - begin;
}

nd__timing nd__time(void (*run)(void *self), void *self, double seconds)
{
    double samples[MOST_SAMPLES], begin = nd__platform_seconds(), last = sample(run, self, 1);
    int64_t times = 1;
    while (last < SAMPLE && times < (int64_t)1 << 40)
        last = sample(run, self, times *= 2);
    int n = 0;
    while (n < MOST_SAMPLES && (n < LEAST_SAMPLES || nd__platform_seconds() - begin < seconds))
        samples[n++] = sample(run, self, times) / (double)times;
    qsort(samples, (size_t)n, sizeof *samples, ascending);
    return (nd__timing){samples[n / 2], samples[n / 10]};
}

const char *nd__time_text(char text[16], double seconds)
{
    static const char *const units[] = {"s", "ms", "us", "ns"};
    int unit = 0;
    while (unit < 3 && seconds < 1) {
        seconds *= 1000;
        unit++;
    }
    snprintf(text, 16, "%.3g %s", seconds, units[unit]);
    return text;
}
