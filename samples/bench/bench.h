/* What samples/bench measures with. One thread. */
#ifndef SAMPLES_BENCH_H
#define SAMPLES_BENCH_H

#include <stdbool.h>

/* Seconds that one work(self) takes: the best round of 0.3 seconds' worth, five at least, of a millisecond or more.
 * Short rounds, so that some are left alone by whatever else the machine does. */
double bench_seconds(void (*work)(void *self), void *self);
/* nd_run(call), as such work. */
void bench_run(void *call);

/* GFLOP/s of independent fused multiply-adds in the widest vectors of this processor, measured; 0: not known here. */
double peak_gflops(void);

/* A product c[m,n] = a b of row-major matrices, a[m,k] or, transposed, [k,m], b[k,n] or [n,k]. */
typedef struct product {
    int m, n, k;
    bool ta, tb;
    float *a, *b, *c;
} product;

/* Finds OpenBLAS, if it is installed, and keeps it to one thread. */
bool blas_find(void);
void blas_product(void *product);

/* Measure and print. */
void measure_product(int m, int n, int k, bool ta, bool tb, bool blas);
void measure_step(int inputs, int hidden, int classes);
void measure_call(void);

#endif
