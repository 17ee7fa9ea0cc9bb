/* The elementary functions: their errors, the special cases of C99, and the same bits in kernels. */
#include "bits.h"
#include "compiler/kernel/elementary.h"
#include "compiler/kernel/kernel.h"
#include "elementary_cases.h"
#include "run_suite.h"

#include <check.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static double sigmoid(double x)
{
    return x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x));
}

static long double sigmoidl(long double x)
{
    return x < 0 ? expl(x) / (1 + expl(x)) : 1 / (1 + expl(-x));
}

#define HARD(name) hard_##name, (int)(sizeof hard_##name / sizeof *hard_##name)
#define FUNCTION(name, func, f32_bound, f64_bound)                                                                     \
    {                                                                                                                  \
#name, func, nd__##name##_f32, nd__##name##_f64, name, name##l, f32_bound, f64_bound, HARD(name)               \
    }

/* The bounds are those that elementary.h states, in units in the last place. Check writes down every assertion that it
 * passes: the long loops below only make those that fail. */
static const struct function {
    const char *name;
    nd__kfunc func;
    float (*f32)(float);
    double (*f64)(double);
    double (*wide)(double);
    long double (*wider)(long double);
    double f32_bound, f64_bound;
    const hard_case *hard;
    int hard_count;
} functions[] = {
    FUNCTION(exp, ND__KF_EXP, 1.05, 1.0),          FUNCTION(log, ND__KF_LOG, 0.92, 0.85),
    FUNCTION(log1p, ND__KF_LOG1P, 1.1, 0.85),      FUNCTION(tanh, ND__KF_TANH, 1.85, 2.05),
    FUNCTION(sigmoid, ND__KF_SIGMOID, 2.35, 2.35), FUNCTION(sin, ND__KF_SIN, 0.57, 0.8),
    FUNCTION(cos, ND__KF_COS, 0.57, 0.8),          FUNCTION(erf, ND__KF_ERF, 1.1, 1.3),
};
enum { FUNCTIONS = sizeof functions / sizeof *functions };
static const double pow_f32_bound = 0.54, pow_f64_bound = 1.35;

/* -- numbers to try ------------------------------------------------------------------------------------------------ */

/* xorshift64* (Vigna 2016). */
static uint64_t next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

static float f32_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static double f64_of(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* +-2^low .. 2^high, as many in each binade. */
static double spread(uint64_t *state, int low, int high)
{
    uint64_t bits = next(state);
    double x = ldexp(1 + (double)(bits >> 12) * 0x1p-52, low + (int)(next(state) % (uint64_t)(high - low)));
    return bits & 1 ? -x : x;
}

static const double specials[] = {0.0,
                                  -0.0,
                                  1,
                                  -1,
                                  0.5,
                                  -0.5,
                                  2,
                                  -2,
                                  3,
                                  -3,
                                  4,
                                  -4,
                                  0x1p23,
                                  -0x1p23,
                                  0x1p24,
                                  0x1.000002p24,
                                  0x1p31,
                                  0x1p52,
                                  0x1p53,
                                  0x1p64,
                                  -0x1p64,
                                  104,
                                  -104,
                                  89,
                                  -87.5,
                                  -746,
                                  710,
                                  1e-40,
                                  -1e-40,
                                  5e-324,
                                  -5e-324,
                                  0x1p-126,
                                  0x1p-149,
                                  0x1p-1022,
                                  DBL_MAX,
                                  -DBL_MAX,
                                  FLT_MAX,
                                  -FLT_MAX,
                                  INFINITY,
                                  -INFINITY,
                                  NAN,
                                  0x1.fffffep-1,
                                  0x1.fffffffffffffp-1,
                                  0x1p27,
                                  0x1p30,
                                  -0x1.fffffep30};
enum { SPECIALS = sizeof specials / sizeof *specials };

/* -- accuracy ------------------------------------------------------------------------------------------------------ */

/* |got - (want + off units)| in units in the last place of `want`, of a format with that precision and lowest exponent;
 * infinite where one is a NaN, zero or an infinity that the other is not. */
static double ulps(double got, double want, double off, int precision, int lowest)
{
    if (isnan(want) || isinf(want) || isnan(got) || isinf(got))
        return (isnan(want) && isnan(got)) || got == want ? 0 : INFINITY;
    int exponent;
    frexp(want, &exponent);
    double unit = ldexp(1, (exponent < lowest ? lowest : exponent) - precision);
    return fabs((got - want) / unit - off);
}

static double ulps_f32(float got, double want)
{
    if (isinf((float)want)) /* overflow: the largest number is half a unit away, or more */
        return isinf(got) || (isfinite(want) && fabsf(got) == FLT_MAX) ? 0 : INFINITY;
    return isinf(got) ? (fabs(want) > 0x1.fffffcp127 ? 1 : INFINITY) : ulps(got, want, 0, FLT_MANT_DIG, FLT_MIN_EXP);
}

static double ulps_f64(double got, double want, double off)
{
    return ulps(got, want, off, DBL_MANT_DIG, DBL_MIN_EXP);
}

START_TEST(f32_errors)
{
    const struct function *f = &functions[_i];
    for (uint64_t bits = 0; bits < UINT64_C(1) << 32; bits += 16411) {
        float x = f32_of((uint32_t)bits);
        double error = ulps_f32(f->f32(x), f->wide(x));
        if (!(error <= f->f32_bound))
            ck_abort_msg("%s(%a): %g ulp", f->name, (double)x, error);
    }
    for (int i = 0; i < SPECIALS; i++) {
        float x = (float)specials[i];
        double error = ulps_f32(f->f32(x), f->wide(x));
        if (!(error <= f->f32_bound))
            ck_abort_msg("%s(%a): %g ulp", f->name, (double)x, error);
    }
}
END_TEST

START_TEST(f64_errors)
{
    const struct function *f = &functions[_i];
    for (int i = 0; i < f->hard_count; i++) {
        const hard_case *c = &f->hard[i];
        double error = ulps_f64(f->f64(c->x), c->rounded, c->off);
        if (!(error <= f->f64_bound))
            ck_abort_msg("%s(%a): %g ulp", f->name, c->x, error);
    }
}
END_TEST

#if LDBL_MANT_DIG >= 64 /* where libm has something to compare with */
START_TEST(f64_errors_at_random)
{
    const struct function *f = &functions[_i];
    uint64_t state = 17;
    for (int i = 0; i < 200000; i++) {
        double x = i % 4 ? spread(&state, -30, 10) : f64_of(next(&state));
        long double want = f->wider(x);
        double rounded = (double)want, unit = nextafter(fabs(rounded), INFINITY) - fabs(rounded);
        double error = ulps_f64(f->f64(x), rounded, isfinite(rounded) ? (double)((want - rounded) / unit) : 0);
        if (!(error <= f->f64_bound))
            ck_abort_msg("%s(%a): %g ulp", f->name, x, error);
    }
}
END_TEST

START_TEST(pow_f64_errors_at_random)
{
    uint64_t state = 19;
    for (int i = 0; i < 200000; i++) {
        double x = fabs(i % 2 ? spread(&state, -1, 1) : f64_of(next(&state)));
        double y = (double)(int64_t)next(&state) * 0x1p-63 * 1070 / log2(x); /* results of every size */
        long double want = powl(x, y);
        double rounded = (double)want, unit = nextafter(fabs(rounded), INFINITY) - fabs(rounded);
        double error = ulps_f64(nd__pow_f64(x, y), rounded, isfinite(rounded) ? (double)((want - rounded) / unit) : 0);
        if (!(error <= pow_f64_bound))
            ck_abort_msg("pow(%a, %a): %g ulp", x, y, error);
    }
}
END_TEST
#endif

START_TEST(pow_errors)
{
    for (size_t i = 0; i < sizeof hard_pow / sizeof *hard_pow; i++) {
        const hard_case *c = &hard_pow[i];
        double error = ulps_f64(nd__pow_f64(c->x, c->y), c->rounded, c->off);
        if (!(error <= pow_f64_bound))
            ck_abort_msg("pow(%a, %a): %g ulp", c->x, c->y, error);
    }
    uint64_t state = 23;
    for (int i = 0; i < 400000; i++) {
        uint64_t bits = next(&state);
        float x = f32_of((uint32_t)bits), y = f32_of((uint32_t)(bits >> 32));
        if (i % 4) {
            x = fabsf(i % 2 ? x : (float)spread(&state, -1, 1));
            y = (float)((double)(int64_t)next(&state) * 0x1p-63 * 150 / log2((double)x));
        }
        double error = ulps_f32(nd__pow_f32(x, y), pow(x, y));
        if (!(error <= pow_f32_bound))
            ck_abort_msg("pow(%a, %a): %g ulp", (double)x, (double)y, error);
    }
}
END_TEST

/* -- special cases ------------------------------------------------------------------------------------------------- */

/* Exact results: C99, F.9; of sigmoid, the limits. */
static const struct exact {
    const char *name;
    double x, want;
} exact[] = {
    {"exp", 0.0, 1},
    {"exp", -0.0, 1},
    {"exp", INFINITY, INFINITY},
    {"exp", -INFINITY, 0.0},
    {"exp", DBL_MAX, INFINITY},
    {"exp", -DBL_MAX, 0.0},
    {"log", 0.0, -INFINITY},
    {"log", -0.0, -INFINITY},
    {"log", 1, 0.0},
    {"log", -1, NAN},
    {"log", -DBL_MAX, NAN},
    {"log", -1e-40, NAN},
    {"log", INFINITY, INFINITY},
    {"log", -INFINITY, NAN},
    {"log1p", 0.0, 0.0},
    {"log1p", -0.0, -0.0},
    {"log1p", -1, -INFINITY},
    {"log1p", -1.5, NAN},
    {"log1p", INFINITY, INFINITY},
    {"log1p", -INFINITY, NAN},
    {"tanh", 0.0, 0.0},
    {"tanh", -0.0, -0.0},
    {"tanh", INFINITY, 1},
    {"tanh", -INFINITY, -1},
    {"sigmoid", 0.0, 0.5},
    {"sigmoid", -0.0, 0.5},
    {"sigmoid", INFINITY, 1},
    {"sigmoid", -INFINITY, 0.0},
    {"sin", 0.0, 0.0},
    {"sin", -0.0, -0.0},
    {"sin", INFINITY, NAN},
    {"sin", -INFINITY, NAN},
    {"cos", 0.0, 1},
    {"cos", -0.0, 1},
    {"cos", INFINITY, NAN},
    {"cos", -INFINITY, NAN},
    {"erf", 0.0, 0.0},
    {"erf", -0.0, -0.0},
    {"erf", INFINITY, 1},
    {"erf", -INFINITY, -1},
};

START_TEST(special_cases)
{
    const struct function *f = &functions[_i];
    for (size_t i = 0; i < sizeof exact / sizeof *exact; i++) {
        if (strcmp(exact[i].name, f->name) != 0)
            continue;
        double wide = f->f64(exact[i].x);
        float narrow = f->f32((float)exact[i].x), want = (float)exact[i].want;
        ck_assert_bits(f->name, ND_F64, 1, &wide, &exact[i].want);
        ck_assert_bits(f->name, ND_F32, 1, &narrow, &want);
    }
    /* NaNs of any sign and payload. */
    static const uint32_t narrow[] = {0x7f800001, 0x7fc00000, 0x7fffffff, 0xff800001,
                                      0xffc00000, 0xffffffff, 0x7f8001ff};
    for (size_t i = 0; i < sizeof narrow / sizeof *narrow; i++) {
        ck_assert(isnan(f->f32(f32_of(narrow[i]))));
        ck_assert(isnan(f->f64(f64_of((uint64_t)(narrow[i] | 0x7ff00000) << 32 | 1))));
    }
    ck_assert(isnan(f->f64(f64_of(UINT64_C(0x7ff0000000000001)))));
}
END_TEST

/* C99, F.9.4.4, as a definition where the result is exact; false: it is not. */
static bool pow_exact(double x, double y, double *result)
{
    bool whole = isinf(y) || rint(y) == y, odd = whole && isfinite(y) && fmod(fabs(y), 2) == 1;
    double sign = signbit(x) && odd ? -1 : 1;
    if (x == 1 || y == 0)
        *result = 1;
    else if (isnan(x) || isnan(y))
        *result = NAN;
    else if (x == -1 && isinf(y))
        *result = 1;
    else if (isinf(y))
        *result = (fabs(x) > 1) == (y > 0) ? INFINITY : 0.0;
    else if (x == 0 || isinf(x))
        *result = sign * ((x == 0) == (y < 0) ? INFINITY : 0.0);
    else if (x < 0 && !whole)
        *result = NAN;
    else if (x == -1)
        *result = sign;
    else
        return false;
    return true;
}

START_TEST(pow_special_cases)
{
    int checked = 0;
    for (int i = 0; i < SPECIALS; i++) {
        for (int j = 0; j < SPECIALS; j++) {
            double want;
            if (pow_exact(specials[i], specials[j], &want)) {
                double got = nd__pow_f64(specials[i], specials[j]);
                ck_assert_bits("pow f64", ND_F64, 1, &got, &want);
                checked++;
            }
            float x = (float)specials[i], y = (float)specials[j];
            if (pow_exact(x, y, &want)) {
                float got = nd__pow_f32(x, y), narrow = (float)want;
                ck_assert_bits("pow f32", ND_F32, 1, &got, &narrow);
            }
        }
    }
    ck_assert_int_gt(checked, SPECIALS * SPECIALS / 4);
    for (int e = -12; e <= 12; e++) { /* negative numbers to whole powers: exact */
        ck_assert(nd__pow_f64(-2, e) == ldexp(e % 2 ? -1 : 1, e));
        ck_assert(nd__pow_f32(-2, (float)e) == ldexpf(e % 2 ? -1 : 1, e));
    }
}
END_TEST

/* -- kernels ------------------------------------------------------------------------------------------------------- */

enum { TRIED = 2048 };

/* z = func(x, y) over TRIED elements, `lanes` at a time. */
static nd__kernel *function_kernel(nd__arena *arena, nd__kfunc func, nd_dtype dtype, int lanes, bool scales)
{
    nd__kernel *k = nd__k_create(arena, "function");
    nd__kbuilder b = nd__k_builder(k);
    b.scales = scales;
    int32_t x = nd__k_buffer(k, "x", dtype, ND__K_IN, TRIED, 1), y = nd__k_buffer(k, "y", dtype, ND__K_IN, TRIED, 1);
    int32_t z = nd__k_buffer(k, "z", dtype, ND__K_OUT, TRIED, 1);
    int32_t i = nd__k_for(&b, nd__k_at(0), nd__k_at(TRIED), lanes, 0, NULL, NULL);
    nd__kaffine at = nd__k_plus(nd__k_at(0), i, 1);
    nd__kval a = nd__k_load(&b, x, at, lanes, 1, lanes);
    nd__kval c = nd__k_load(&b, y, at, lanes, 1, lanes);
    nd__k_store(&b, z, at, nd__k_func(&b, func, a, c), 1, lanes);
    nd__k_end_for(&b, NULL, NULL);
    return k;
}

/* Specials in x against random numbers and specials in y, then any bits, then numbers of ordinary size. */
static double tried(uint64_t *state, int i, bool second)
{
    if (i < 512 && (!second || i % 2))
        return specials[(second ? (uint64_t)i / 2 * 7 : next(state)) % SPECIALS];
    return i % 2 ? f64_of(next(state)) : spread(state, -12, 7);
}

static void check_kernel(const char *name, nd__kfunc func, nd_dtype dtype, int lanes)
{
    static double x[TRIED], y[TRIED], z[TRIED], want[TRIED]; /* or floats */
    float *x32 = (float *)x, *y32 = (float *)y, *want32 = (float *)want;
    uint64_t state = 29;
    for (int i = 0; i < TRIED; i++) {
        double a = tried(&state, i, false), c = tried(&state, i, true);
        float a32 = i % 2 && i >= 512 ? f32_of((uint32_t)next(&state)) : (float)a;
        float c32 = i % 2 && i >= 512 ? f32_of((uint32_t)next(&state)) : (float)c;
        if (dtype == ND_F32)
            x32[i] = a32, y32[i] = c32;
        else
            x[i] = a, y[i] = c;
        if (dtype == ND_F32)
            want32[i] = func == ND__KF_POW ? nd__pow_f32(a32, c32) : 0;
        else
            want[i] = func == ND__KF_POW ? nd__pow_f64(a, c) : 0;
        for (int f = 0; f < FUNCTIONS; f++) {
            if (functions[f].func != func)
                continue;
            if (dtype == ND_F32)
                want32[i] = functions[f].f32(a32);
            else
                want[i] = functions[f].f64(a);
        }
    }
    nd__arena arena = {0};
    char message[400];
    for (int scales = 0; scales < 2; scales++) {
        nd__kernel *k = function_kernel(&arena, func, dtype, lanes, scales);
        const char *error = nd__k_eval(k, (void *[]){x, y, z}, message, sizeof message);
        ck_assert_msg(!error, "%s", error);
        ck_assert_bits(name, dtype, TRIED, z, want);
    }
    nd__arena_release(&arena);
}

START_TEST(kernels_have_the_same_bits)
{
    const char *name = _i < FUNCTIONS ? functions[_i].name : "pow";
    nd__kfunc func = _i < FUNCTIONS ? functions[_i].func : ND__KF_POW;
    for (int lanes = 1; lanes <= 16; lanes *= 16) {
        check_kernel(name, func, ND_F32, lanes);
        check_kernel(name, func, ND_F64, lanes);
    }
}
END_TEST

/* Nothing is built on a failed kernel, nor on a value that is none. */
START_TEST(failed_kernels)
{
    nd__arena arena = {0};
    nd__kernel *k = nd__k_create(&arena, "failed");
    nd__kbuilder b = nd__k_builder(k);
    nd__kval x = nd__k_const(&b, nd__k_type(ND_F32, 4), 1);
    k->failed = true;
    for (int func = ND__KF_EXP; func <= ND__KF_ERF; func++)
        ck_assert_int_eq(nd__k_func(&b, (nd__kfunc)func, x, x), -1);
    ck_assert_int_eq(nd__k_size(k), 1);
    nd__kbuilder none = nd__k_builder(NULL);
    ck_assert_int_eq(nd__k_func(&none, ND__KF_EXP, -1, -1), -1);
    nd__arena_release(&arena);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("elementary");
    TCase *accuracy = tcase_create("accuracy");
    tcase_set_timeout(accuracy, 60);
    tcase_add_loop_test(accuracy, f32_errors, 0, FUNCTIONS);
    tcase_add_loop_test(accuracy, f64_errors, 0, FUNCTIONS);
#if LDBL_MANT_DIG >= 64
    tcase_add_loop_test(accuracy, f64_errors_at_random, 0, FUNCTIONS);
    tcase_add_test(accuracy, pow_f64_errors_at_random);
#endif
    tcase_add_test(accuracy, pow_errors);
    suite_add_tcase(suite, accuracy);
    TCase *cases = tcase_create("special cases");
    tcase_add_loop_test(cases, special_cases, 0, FUNCTIONS);
    tcase_add_test(cases, pow_special_cases);
    suite_add_tcase(suite, cases);
    TCase *kernels = tcase_create("kernels");
    tcase_add_loop_test(kernels, kernels_have_the_same_bits, 0, FUNCTIONS + 1);
    tcase_add_test(kernels, failed_kernels);
    suite_add_tcase(suite, kernels);
    return run_suite(suite);
}
