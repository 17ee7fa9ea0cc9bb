/* Matrix products, beside OpenBLAS. */
#include "bench.h"
#include "blas.h"

#include <stdio.h>

static void run(void *call)
{
    nd_run(call);
}

static double rate(double flops, double seconds, void (*work)(void *self), void *self)
{
    timing t = {.count = 0};
    timing_add(&t, seconds, 20, work, self);
    return 1e-9 * flops / timing_quantile(&t, 0.5);
}

static void measure_product(int m, int n, int k, bool ta, bool tb, bool blas, double seconds)
{
    nd_shape a_shape = ta ? ND_SHAPE(k, m) : ND_SHAPE(m, k), b_shape = tb ? ND_SHAPE(n, k) : ND_SHAPE(k, n);
    nd_module *module = nd_module_create("product");
    nd_value *x = nd_input(module, "a", ND_F32, a_shape), *y = nd_input(module, "b", ND_F32, b_shape);
    nd_function(module, "f", ND_VALUES(x, y), ND_VALUES(nd_matmul_t(x, ta, y, tb)));
    nd_program *p = nd_compile(module, NULL);
    nd_tensor *a = nd_tensor_full(ND_F32, a_shape, 0.5), *b = nd_tensor_full(ND_F32, b_shape, 0.25);
    nd_tensor *c = nd_tensor_zeros(ND_F32, ND_SHAPE(m, n));
    nd_call *call = nd_bind(p, "f", NULL, ND_IN(a, b), ND_OUT(c));
    const double flops = 2.0 * m * n * k, peak = 1e-9 * limit_flops();

    printf("%-6s %3d x %3d x %3d", ta ? "A^T B" : tb ? "A B^T" : "A B", m, n, k);
    if (nd_run(call) == ND_OK) {
        const double ours = rate(flops, seconds, run, call);
        printf("  %8.1f GFLOP/s", ours);
        if (peak > 0)
            printf("  %3.0f %% of %.0f", 100 * ours / peak, peak);
    } else
        printf("  %s", nd_program_error(p));
    if (blas) {
        product q = {m, n, k, ta, tb, nd_tensor_data(a), nd_tensor_data(b), nd_tensor_data(c)};
        printf("   OpenBLAS %8.1f", rate(flops, seconds, blas_product, &q));
    }
    putchar('\n');

    nd_call_destroy(call);
    nd_tensor *tensors[] = {a, b, c};
    for (int i = 0; i < 3; i++)
        nd_tensor_destroy(tensors[i]);
    nd_program_destroy(p);
    nd_module_destroy(module);
}

void measure_products(const options *o)
{
    const bool blas = blas_find();
    printf("products m x n x k in f32; %s\n", blas ? "OpenBLAS in the same process" : "OpenBLAS is not installed");
    measure_product(32, 128, 784, false, false, blas, o->seconds);
    measure_product(256, 256, 256, false, false, blas, o->seconds);
    measure_product(512, 512, 512, false, false, blas, o->seconds);
    measure_product(128, 784, 32, true, false, blas, o->seconds);
    measure_product(32, 784, 128, false, true, blas, o->seconds);
}
