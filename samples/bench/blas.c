/* OpenBLAS, looked for when the program runs, so that it need not be there. */
#define _POSIX_C_SOURCE 200809L
#include "blas.h"

#include <dlfcn.h>
#include <string.h>

enum { ROW_MAJOR = 101, PLAIN = 111, TRANSPOSED = 112 }; /* as in cblas.h */
typedef void sgemm_function(int, int, int, int, int, int, float, const float *, int, const float *, int, float, float *,
                            int);
typedef void threads_function(int);
static sgemm_function *sgemm;

bool blas_find(void)
{
    void *library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return false;
    /* Data pointers to function pointers: as POSIX does it. */
    void *symbols[2] = {dlsym(library, "cblas_sgemm"), dlsym(library, "openblas_set_num_threads")};
    threads_function *set_threads;
    memcpy(&sgemm, &symbols[0], sizeof sgemm);
    memcpy(&set_threads, &symbols[1], sizeof set_threads);
    if (sgemm && set_threads)
        set_threads(1);
    return sgemm && set_threads;
}

void blas_product(void *self)
{
    const product *p = self;
    sgemm(ROW_MAJOR, p->ta ? TRANSPOSED : PLAIN, p->tb ? TRANSPOSED : PLAIN, p->m, p->n, p->k, 1, p->a,
          p->ta ? p->m : p->k, p->b, p->tb ? p->k : p->n, 0, p->c, p->n);
}
