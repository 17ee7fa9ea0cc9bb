/* What Nadir's code costs, in one run on this machine, on one thread: products beside OpenBLAS, training steps beside
 * the interpreter, a call. */
#include "bench.h"
#include "nadir/program.h"

#include <stdio.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double bench_seconds(void (*work)(void *self), void *self)
{
    double best = 1e300, spent = 0;
    long times = 1;
    for (int round = 0; round < 5 || spent < 0.3;) {
        const double start = now();
        for (long i = 0; i < times; i++)
            work(self);
        const double seconds = now() - start;
        if (seconds < 1e-3) {
            times *= 2;
            continue;
        }
        best = seconds / (double)times < best ? seconds / (double)times : best;
        spent += seconds;
        round++;
    }
    return best;
}

void bench_run(void *call)
{
    nd_run(call);
}

int main(void)
{
    const bool blas = blas_find();
    printf("products m x n x k in f32; %s\n", blas ? "OpenBLAS in the same process" : "OpenBLAS is not installed");
    measure_product(32, 128, 784, false, false, blas);
    measure_product(256, 256, 256, false, false, blas);
    measure_product(512, 512, 512, false, false, blas);
    measure_product(128, 784, 32, true, false, blas);
    measure_product(32, 784, 128, false, true, blas);
    printf("\ntraining steps\n");
    measure_step(64, 128, 10);
    measure_step(784, 128, 10);
    putchar('\n');
    measure_call();
    return 0;
}
