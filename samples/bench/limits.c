/* What one thread of this machine can do at most: multiply-adds, and bytes read and written. */
#include "bench.h"

#include <stdlib.h>

#if defined(__x86_64__)
#include <immintrin.h>

enum { CHAINS = 12, TURNS = 1000 }; /* chains enough to hide the latency */
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

double limit_flops(void)
{
    timing t = {.count = 0};
    const bool wide = __builtin_cpu_supports("avx512f");
    if (!wide && !(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")))
        return 0;
    timing_add(&t, 0.05, 50, wide ? chains512 : chains256, NULL);
    return 2.0 * (wide ? 16 : 8) * CHAINS * TURNS / timing_quantile(&t, 0.1);
}

/* Bytes, whole blocks of 256. */
typedef struct memory {
    size_t read, written;
    char *from, *to;
} memory;

/* A store for each load as long as both last: the streams run side by side, as in a loop that computes. */
__attribute__((target("avx512f"))) static void stream512(void *self)
{
    const memory *m = self;
    __m512i x[4] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
    for (size_t i = 0; i < m->read || i < m->written; i += 256) {
        if (i < m->read)
            for (int k = 0; k < 4; k++)
                x[k] = _mm512_xor_si512(x[k], _mm512_load_si512(m->from + i + 64 * k));
        if (i < m->written)
            for (int k = 0; k < 4; k++)
                _mm512_store_si512(m->to + i + 64 * k, x[k]);
    }
    for (int k = 1; k < 4; k++)
        x[0] = _mm512_xor_si512(x[0], x[k]);
    sink = (float)_mm512_cvtsi512_si32(x[0]);
}

__attribute__((target("avx2"))) static void stream256(void *self)
{
    const memory *m = self;
    __m256i x[8];
    for (int k = 0; k < 8; k++)
        x[k] = _mm256_setzero_si256();
    for (size_t i = 0; i < m->read || i < m->written; i += 256) {
        if (i < m->read)
            for (int k = 0; k < 8; k++)
                x[k] = _mm256_xor_si256(x[k], _mm256_load_si256((const __m256i *)(m->from + i + 32 * k)));
        if (i < m->written)
            for (int k = 0; k < 8; k++)
                _mm256_store_si256((__m256i *)(m->to + i + 32 * k), x[k]);
    }
    for (int k = 1; k < 8; k++)
        x[0] = _mm256_xor_si256(x[0], x[k]);
    sink = (float)_mm256_extract_epi32(x[0], 0);
}

double limit_memory(double read, double written)
{
    enum { PAGE = 4096, APART = 320 }; /* not at the same offset in their pages, or they share sets of the cache */
    memory m = {(size_t)read / 256 * 256, (size_t)written / 256 * 256, NULL, NULL};
    double seconds = 0;
    if (!__builtin_cpu_supports("avx2"))
        return 0;
    char *from = aligned_alloc(PAGE, m.read / PAGE * PAGE + 2 * PAGE);
    char *to = aligned_alloc(PAGE, m.written / PAGE * PAGE + 2 * PAGE);
    if (from && to) {
        timing t = {.count = 0};
        for (size_t i = 0; i < m.read; i++)
            from[i] = (char)i;
        m.from = from;
        m.to = to + APART;
        timing_add(&t, 0.1, 20, __builtin_cpu_supports("avx512f") ? stream512 : stream256, &m);
        seconds = timing_quantile(&t, 0.1);
    }
    free(from);
    free(to);
    return seconds;
}
#else
double limit_flops(void)
{
    return 0;
}

double limit_memory(double read, double written)
{
    (void)read;
    (void)written;
    return 0;
}
#endif
