// What the C peers share: the clock, the initial weights, the batches, the reference losses (definitions:
// peers/common.py). ND_DATA names the folder that has mnist/, ND_SECONDS the time per measurement (2). Run in the root
// of the source tree.
#pragma once
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <zlib.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

// CPU time of this thread: the same as wall time on a free core, and still right where another process shares the core
static double cpu_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

static const char *data(const char *file)
{
    static char path[4096];
    const char *dir = getenv("ND_DATA");
    snprintf(path, sizeof path, "%s/%s", dir ? dir : ".", file);
    return path;
}

// n values in [-scale, scale): s = 1664525 s + 1013904223 mod 2^32, u = (s >> 8) 2^-23 - 1; one stream through all
// parameters.
static uint32_t lcg_state = 1;
static void lcg(float *out, int n, float scale)
{
    for (int i = 0; i < n; i++) {
        lcg_state = 1664525u * lcg_state + 1013904223u;
        out[i] = ((float)(lcg_state >> 8) * 0x1p-23f - 1) * scale;
    }
}

// W [in, out] uniform in +-1/sqrt(in)
static void dense_init(float *w, int in, int out)
{
    lcg(w, in * out, (float)pow(in, -0.5));
}

// n images as f32 in [0, 1], and their labels one-hot
static inline void mnist(float *x, float *y, int n)
{
    unsigned char *buf = malloc(784 * n + 16);
    gzFile f = gzopen(data("mnist/train-images-idx3-ubyte.gz"), "rb");
    if (!f || gzread(f, buf, 784 * n + 16) != 784 * n + 16) {
        fprintf(stderr, "no MNIST: set ND_DATA\n");
        exit(1);
    }
    for (int i = 0; i < 784 * n; i++)
        x[i] = buf[16 + i] / 255.0f;
    gzclose(f);
    f = gzopen(data("mnist/train-labels-idx1-ubyte.gz"), "rb");
    if (!f || gzread(f, buf, n + 8) != n + 8)
        exit(1);
    memset(y, 0, sizeof *y * 10 * n);
    for (int i = 0; i < n; i++)
        y[10 * i + buf[8 + i]] = 1;
    gzclose(f);
    free(buf);
}

// largest relative error of got[0..n) against peers/reference.json
static inline double check(const char *name, const float *got, int n)
{
    static char json[1 << 16], key[64];
    FILE *f = fopen("samples/bench/peers/reference.json", "r");
    if (!f)
        return 1e9;
    json[fread(json, 1, sizeof json - 1, f)] = 0;
    fclose(f);
    snprintf(key, sizeof key, "\"%s\": [", name);
    char *p = strstr(json, key);
    if (!p)
        return 1e9;
    p += strlen(key);
    double err = 0;
    for (int i = 0; i < n; i++, p += 2) {
        double want = strtod(p, &p), e = fabs(got[i] - want) / fmax(fabs(want), 1e-2);
        if (!(e <= err))
            err = e;
        if (*p != ',')
            break;
    }
    return err;
}

static int less(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// Samples of at least 200 us or one call; prints median and p10 in us per call, the share of the FMA bound where flops
// > 0.
static inline void measure(const char *what, void (*run)(void *), void *arg, double flops)
{
    enum { MAX = 20000 };
    static double s[MAX];
    const char *sec = getenv("ND_SECONDS");
    double seconds = sec ? atof(sec) : 2, one = 1e9;
    for (int i = 0; i < 6; i++) {
        double t = cpu_now();
        run(arg);
        t = cpu_now() - t;
        if (t < one)
            one = t;
    }
    int k = one < 200e-6 ? (int)(200e-6 / one) : 1, n = 0;
    for (double end = now() + seconds; n < 20 || (now() < end && n < MAX);) {
        double t = cpu_now();
        for (int i = 0; i < k; i++)
            run(arg);
        s[n++] = (cpu_now() - t) / k * 1e6;
    }
    qsort(s, n, sizeof *s, less);
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    printf("%-34s median %10.3f us  p10 %10.3f us", what, s[n / 2], s[n / 10]);
    if (flops)
        printf("  %5.1f %% of the FMA bound", flops / 118.3e9 * 1e8 / s[n / 2]);
    printf("  (%d samples, rss %.1f MB)\n", n, u.ru_maxrss / 1024.0);
    fflush(stdout);
}

#define MLP_FLOPS (2.0 * 32 * (2 * 784 * 128 + 3 * 1280))
