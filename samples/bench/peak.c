/* The most multiply-adds that one thread can do: enough independent chains to hide their latency. */
#include "bench.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <stddef.h>

enum { CHAINS = 12, TURNS = 1000 };
static volatile float sink;

__attribute__((target("avx512f"))) static void chains512(void *self)
{
    (void)self;
    __m512 acc[CHAINS], b = _mm512_set1_ps(0.999f), c = _mm512_set1_ps(0.001f);
    for (int i = 0; i < CHAINS; i++)
        acc[i] = _mm512_set1_ps((float)i);
    for (int t = 0; t < TURNS; t++)
        for (int i = 0; i < CHAINS; i++)
            acc[i] = _mm512_fmadd_ps(acc[i], b, c);
    for (int i = 1; i < CHAINS; i++)
        acc[0] = _mm512_add_ps(acc[0], acc[i]);
    sink = _mm512_cvtss_f32(acc[0]);
}

__attribute__((target("avx2,fma"))) static void chains256(void *self)
{
    (void)self;
    __m256 acc[CHAINS], b = _mm256_set1_ps(0.999f), c = _mm256_set1_ps(0.001f);
    for (int i = 0; i < CHAINS; i++)
        acc[i] = _mm256_set1_ps((float)i);
    for (int t = 0; t < TURNS; t++)
        for (int i = 0; i < CHAINS; i++)
            acc[i] = _mm256_fmadd_ps(acc[i], b, c);
    for (int i = 1; i < CHAINS; i++)
        acc[0] = _mm256_add_ps(acc[0], acc[i]);
    sink = _mm256_cvtss_f32(acc[0]);
}

double peak_gflops(void)
{
    if (__builtin_cpu_supports("avx512f"))
        return 2e-9 * 16 * CHAINS * TURNS / bench_seconds(chains512, NULL);
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return 2e-9 * 8 * CHAINS * TURNS / bench_seconds(chains256, NULL);
    return 0;
}
#else
double peak_gflops(void)
{
    return 0;
}
#endif
