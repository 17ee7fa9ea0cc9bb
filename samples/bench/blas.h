/* OpenBLAS, where it is installed. */
#ifndef SAMPLES_BENCH_BLAS_H
#define SAMPLES_BENCH_BLAS_H

#include <stdbool.h>

/* A product c[m,n] = a b of row-major matrices, a[m,k] or, transposed, [k,m], b[k,n] or [n,k]. */
typedef struct product {
    int m, n, k;
    bool ta, tb;
    float *a, *b, *c;
} product;

/* Finds OpenBLAS, if it is there, and keeps it to one thread. */
bool blas_find(void);
void blas_product(void *product);

#endif
