/* The interpreter against independent references, op by op, and what only it says: old values, branches, loops,
 * programs. */
#include "bits.h"
#include "compiler/interp/interp.h"
#include "compiler/kernel/scalar.h"
#include "random_op.h"
#include "reference.h"
#include "run_suite.h"

#include <check.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- every op on random shapes ------------------------------------------------------------------------------------- */

/* How far from the reference an op may be, in epsilons of the dtype times the size of what was added; 0: the same bits.
 */
static double tolerance_of(nd__op op)
{
    switch (op) {
    case ND__OP_exp: /* within 3 ulp, and libm's own rounding in f64 */
    case ND__OP_log:
    case ND__OP_log1p:
    case ND__OP_tanh:
    case ND__OP_sigmoid:
    case ND__OP_sin:
    case ND__OP_cos:
    case ND__OP_erf:
    case ND__OP_pow:
        return 4;
    case ND__OP_fma:  /* the reference rounds twice */
    case ND__OP_cast: /* likewise, i64 to f32 */
        return 1;
    case ND__OP_sum: /* a chain of 64 in each of up to four axes, or 128 in a lane; each step rounds once, to half an
                        epsilon */
    case ND__OP_matmul:
    case ND__OP_conv2d:
    case ND__OP_conv2d_dx:
    case ND__OP_conv2d_dw:
    case ND__OP_conv2d_dw_pooled:
    case ND__OP_max_pool_spread:
    case ND__OP_scatter_add:
        return 128;
    default:
        return 0;
    }
}

/* Sums of infinities of both signs, or beyond the largest f32, are the business of tests of their own. */
static bool takes_special_values(nd__op op)
{
    const bool adds = op == ND__OP_sum || op == ND__OP_matmul || op == ND__OP_conv2d || op == ND__OP_conv2d_dx ||
                      op == ND__OP_conv2d_dw || op == ND__OP_conv2d_dw_pooled || op == ND__OP_max_pool_spread ||
                      op == ND__OP_scatter_add;
    return !adds && !(nd__ops[op].traits & ND__CONTROL);
}

static void **allocate_values(int count, nd_value *const *values)
{
    void **memory = calloc((size_t)count + 1, sizeof *memory);
    for (int i = 0; i < count; i++)
        memory[i] = malloc((size_t)nd__elements(&values[i]->shape) * 8 + 8);
    return memory;
}

static void free_values(int count, void **memory)
{
    for (int i = 0; i < count; i++)
        free(memory[i]);
    free(memory);
}

static void compare_with_reference(nd__op op, nd_dtype dtype, uint64_t seed)
{
    uint64_t state = seed;
    nd_module *m = nd_module_create("random");
    const nd_function *f = random_op(m, op, dtype, &state);
    ck_assert_msg(nd_module_status(m) == ND_OK && f, "%s %s seed %" PRIu64 ": %s", nd__ops[op].name,
                  nd_dtype_name(dtype), seed, nd_module_error(m));
    void **in = allocate_values(f->input_count, f->inputs), **out = allocate_values(f->output_count, f->outputs);
    const bool special = takes_special_values(op) && random_below(&state, 2);
    for (int i = 0; i < f->input_count; i++)
        random_fill(f->inputs[i], in[i], special, &state);
    ck_assert_int_eq(nd__interpret(f, (const void *const *)in, out, NULL, NULL), ND_OK);
    reference_value *expected = calloc((size_t)f->output_count + 1, sizeof *expected);
    reference_run(f, (const void *const *)in, expected);
    for (int i = 0; i < f->output_count; i++) {
        int64_t wrong = reference_difference(&expected[i], out[i], tolerance_of(op));
        if (wrong >= 0) {
            uint64_t element;
            char got[64], want[64];
            reference_element(&expected[i], wrong, &element);
            ck_abort_msg(
                "%s %s seed %" PRIu64 ": result %d, %s: element %" PRId64 " is %s, expected %s", nd__ops[op].name,
                nd_dtype_name(dtype), seed, i, nd__show_type(m, f->outputs[i]->dtype, &f->outputs[i]->shape), wrong,
                bits_show(got, expected[i].dtype, out[i], wrong), bits_show(want, expected[i].dtype, &element, 0));
        }
        reference_free(&expected[i]);
    }
    free(expected);
    free_values(f->input_count, in);
    free_values(f->output_count, out);
    nd_module_destroy(m);
}

START_TEST(agrees_with_the_reference)
{
    enum { TRIALS = 60 };
    for (nd_dtype dtype = ND_BOOL; dtype < ND_STRING; dtype++)
        for (int trial = 0; trial < TRIALS && random_op_takes(_i, dtype); trial++)
            compare_with_reference(_i, dtype, (uint64_t)trial * 1000003 + (uint64_t)_i * 7919 + dtype);
}
END_TEST

/* Every op but what a function is given can be made at random with some dtype, or the loop above would pass it over. */
START_TEST(no_op_is_left_out)
{
    for (nd__op op = 0; op < ND__OPS; op++) {
        bool any = op == ND__OP_input || op == ND__OP_variable;
        for (nd_dtype dtype = ND_BOOL; dtype < ND_STRING; dtype++)
            any |= random_op_takes(op, dtype);
        ck_assert_msg(any, "%s", nd__ops[op].name);
    }
}
END_TEST

/* -- orders of accumulation ---------------------------------------------------------------------------------------- */

/* Runs a function of one output on arrays. */
static void run1(nd_value *output, int input_count, nd_value *const *inputs, const void *const *in, void *out)
{
    nd_module *m = nd_value_module(output);
    const nd_function *f = nd_function(m, "f", ((nd_values){(size_t)input_count, inputs}), ND_VALUES(output));
    ck_assert_msg(nd_module_status(m) == ND_OK, "%s", nd_module_error(m));
    ck_assert_int_eq(nd__interpret(f, in, &out, NULL, NULL), ND_OK);
}

/* Numbers of very different sizes, so that another order gives other bits. */
static float *uneven(int64_t n, uint64_t seed)
{
    float *x = malloc((size_t)n * sizeof *x + 1);
    for (int64_t i = 0; i < n; i++)
        x[i] = ((float)random_below(&seed, 1 << 20) - 524288.0f) * exp2f((float)random_below(&seed, 12) - 26);
    return x;
}

/* Written once more, element by element: which lane of which block takes it. `b` NULL: a sum, else a sum of products.
 */
static float long_sum(int64_t n, const float *a, const float *b)
{
    float total = 0;
    for (int64_t block = 0; block * 4096 < n; block++) {
        float lane[32] = {0};
        for (int l = 0; l < 32; l++)
            for (int64_t i = block * 4096 + l; i < n && i < (block + 1) * 4096; i += 32)
                lane[l] = b ? fmaf(a[i], b[i], lane[l]) : lane[l] + a[i];
        for (int l = 0; l < 16; l++)
            lane[l] += lane[l + 16];
        for (int l = 0; l < 8; l++)
            lane[l] += lane[l + 8];
        for (int l = 0; l < 4; l++)
            lane[l] += lane[l + 4];
        lane[0] += lane[2];
        lane[1] += lane[3];
        total += lane[0] + lane[1];
    }
    return total;
}

static float short_sum(int64_t n, const float *x, int64_t stride)
{
    float total = 0;
    for (int64_t i = 0; i < n; i++)
        total += x[i * stride];
    return total;
}

/* A kept innermost axis: blocks of 64 in order, beyond 64. */
static float chain(int64_t n, const float *x, int64_t stride)
{
    float total = 0;
    if (n <= 64)
        return short_sum(n, x, stride);
    for (int64_t i = 0; i < n; i += 64)
        total += short_sum(n - i < 64 ? n - i : 64, x + i * stride, stride);
    return total;
}

static const int64_t lengths[] = {0, 1, 2, 63, 64, 65, 128, 129, 1000, 4095, 4096, 4097, 9000};
enum { LENGTHS = sizeof lengths / sizeof *lengths };

START_TEST(sums_along_the_innermost_axis)
{
    const int64_t n = lengths[_i];
    float *x = uneven(3 * n, 1), got[3], want[3];
    for (int r = 0; r < 3; r++)
        want[r] = n <= 64 ? short_sum(n, x + r * n, 1) : long_sum(n, x + r * n, NULL);
    nd_module *m = nd_module_create("m");
    nd_value *in = nd_input(m, "x", ND_F32, ND_SHAPE(3, n));
    run1(nd_sum(in, ND_AXES(1), false), 1, &in, (const void *[]){x}, got);
    ck_assert_bits("sum", ND_F32, 3, got, want);
    nd_module_destroy(m);
    free(x);
}
END_TEST

START_TEST(sums_with_the_innermost_axis_kept)
{
    const int64_t n = lengths[_i];
    float *x = uneven(n * 3, 2), got[3], want[3];
    for (int r = 0; r < 3; r++)
        want[r] = chain(n, x + r, 3);
    nd_module *m = nd_module_create("m");
    nd_value *in = nd_input(m, "x", ND_F32, ND_SHAPE(n, 3));
    run1(nd_sum(in, ND_AXES(0), false), 1, &in, (const void *[]){x}, got);
    ck_assert_bits("sum", ND_F32, 3, got, want);
    nd_module_destroy(m);
    free(x);
}
END_TEST

/* [5, n, 2, 3] over axes 0 and 1: a chain over n for each of the five, then a chain over those. */
START_TEST(sums_over_nested_axes)
{
    const int64_t n = lengths[_i];
    float *x = uneven(5 * n * 6, 3), got[6], want[6], inner[5];
    for (int r = 0; r < 6; r++) {
        for (int k = 0; k < 5; k++)
            inner[k] = chain(n, x + k * n * 6 + r, 6);
        want[r] = chain(5, inner, 1);
    }
    nd_module *m = nd_module_create("m");
    nd_value *in = nd_input(m, "x", ND_F32, ND_SHAPE(5, n, 2, 3));
    run1(nd_sum(in, ND_AXES(0, 1), false), 1, &in, (const void *[]){x}, got);
    ck_assert_bits("sum", ND_F32, 6, got, want);
    nd_module_destroy(m);
    free(x);
}
END_TEST

/* [70, 2, 3, 50] over axes 0, 2, 3: the last two as one of 150 in lanes, then 70 of those in blocks of 64. */
START_TEST(sums_over_split_axes)
{
    float *x = uneven(70 * 2 * 150, 4), got[2], want[2], inner[70];
    for (int r = 0; r < 2; r++) {
        for (int k = 0; k < 70; k++)
            inner[k] = long_sum(150, x + (k * 2 + r) * 150, NULL);
        want[r] = chain(70, inner, 1);
    }
    nd_module *m = nd_module_create("m");
    nd_value *in = nd_input(m, "x", ND_F32, ND_SHAPE(70, 2, 3, 50));
    run1(nd_sum(in, ND_AXES(0, 2, 3), false), 1, &in, (const void *[]){x}, got);
    ck_assert_bits("sum", ND_F32, 2, got, want);
    nd_module_destroy(m);
    free(x);
}
END_TEST

/* Axes of size 1 change nothing: neither a kept one behind the reduced axis nor a reduced one between. */
START_TEST(sums_skip_axes_of_size_one)
{
    float *x = uneven(600, 5), got[3], want[3];
    nd_module *m = nd_module_create("m");
    nd_value *a = nd_input(m, "a", ND_F32, ND_SHAPE(600, 1)), *b = nd_input(m, "b", ND_F32, ND_SHAPE(3, 1, 200, 1));
    const nd_function *f =
        nd_function(m, "g", ND_VALUES(a, b), ND_VALUES(nd_sum(a, ND_AXES(0), false), nd_sum(b, ND_AXES(0, 2), false)));
    float first, second;
    ck_assert_int_eq(nd__interpret(f, (const void *[]){x, x}, (void *[]){&first, &second}, NULL, NULL), ND_OK);
    want[0] = long_sum(600, x, NULL);
    ck_assert_bits("trailing 1", ND_F32, 1, &first, want);
    ck_assert_bits("1 between reduced axes", ND_F32, 1, &second, want);
    nd_module_destroy(m);

    m = nd_module_create("m");
    nd_value *c = nd_input(m, "c", ND_F32, ND_SHAPE(3, 1));
    const float zeros[3] = {-0.0f, 0.0f, -0.0f}, positive[3] = {0, 0, 0};
    run1(nd_sum(c, ND_AXES(1), false), 1, &c, (const void *[]){zeros}, got);
    ck_assert_bits("a chain starts at +0", ND_F32, 3, got, positive);
    nd_module_destroy(m);
    free(x);
}
END_TEST

START_TEST(products_in_a_chain)
{
    const int64_t k = lengths[_i];
    enum { M = 3, N = 4 };
    float *a = uneven(M * k, 6), *b = uneven(k * N, 7), got[M * N], want[M * N];
    for (int i = 0; i < M; i++)
        for (int j = 0; j < N; j++) {
            want[i * N + j] = 0;
            for (int64_t l = 0; l < k; l++)
                want[i * N + j] = fmaf(a[i * k + l], b[l * N + j], want[i * N + j]);
        }
    nd_module *m = nd_module_create("m");
    nd_value *in[] = {nd_input(m, "a", ND_F32, ND_SHAPE(M, k)), nd_input(m, "b", ND_F32, ND_SHAPE(k, N))};
    run1(nd_matmul(in[0], in[1]), 2, in, (const void *[]){a, b}, got);
    ck_assert_bits("matmul", ND_F32, M * N, got, want);
    nd_module_destroy(m);
    free(a);
    free(b);
}
END_TEST

/* Few results and more than 64 terms: lanes; up to 64: a chain. */
START_TEST(products_in_lanes)
{
    const int64_t k = lengths[_i];
    float *a = uneven(2 * k, 8), *b = uneven(4 * k, 9), got[8], want[8];
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 4; j++) {
            want[i * 4 + j] = 0;
            for (int64_t l = 0; l < k; l++)
                want[i * 4 + j] = fmaf(a[i * k + l], b[j * k + l], want[i * 4 + j]);
            if (k > 64)
                want[i * 4 + j] = long_sum(k, a + i * k, b + j * k);
        }
    nd_module *m = nd_module_create("m");
    nd_value *in[] = {nd_input(m, "a", ND_F32, ND_SHAPE(2, k)), nd_input(m, "b", ND_F32, ND_SHAPE(4, k))};
    run1(nd_matmul_t(in[0], false, in[1], true), 2, in, (const void *[]){a, b}, got);
    ck_assert_bits("matmul", ND_F32, 8, got, want);
    nd_module_destroy(m);
    free(a);
    free(b);
}
END_TEST

START_TEST(scatters_in_ascending_order)
{
    enum { N = 500 };
    float *x = uneven(N, 10), got[2], want[2] = {0, 0};
    int32_t index[N];
    for (int i = 0; i < N; i++) {
        index[i] = i % 3 - (i % 7 == 0);
        if (index[i] >= 0 && index[i] < 2)
            want[index[i]] += x[i];
    }
    nd_module *m = nd_module_create("m");
    nd_value *in[] = {nd_input(m, "x", ND_F32, ND_SHAPE(N)), nd_input(m, "i", ND_I32, ND_SHAPE(N))};
    run1(nd_scatter_add(in[0], in[1], 2), 2, in, (const void *[]){x, index}, got);
    ck_assert_bits("scatter_add", ND_F32, 2, got, want);
    nd_module_destroy(m);
    free(x);
}
END_TEST

/* -- special values ------------------------------------------------------------------------------------------------ */

/* One op of one or two operands of n elements. */
static void apply_op(nd__op op, nd_dtype dtype, int64_t n, const void *a, const void *b, int attr_count,
                     const nd__attr *attrs, void *out)
{
    nd_module *m = nd_module_create("m");
    nd_value *in[] = {nd_input(m, "a", dtype, nd_shape_of(1, &n)),
                      b ? nd_input(m, "b", dtype, nd_shape_of(1, &n)) : NULL};
    run1(nd__make(m, op, "", b ? 2 : 1, in, attr_count, attrs), b ? 2 : 1, in, (const void *[]){a, b}, out);
    nd_module_destroy(m);
}

#define CHECK2(op, dtype, T, A, B, ...)                                                                                \
    do {                                                                                                               \
        const T a_[] = A, b_[] = B, want_[] = __VA_ARGS__;                                                             \
        T got_[sizeof want_ / sizeof *want_];                                                                          \
        apply_op(ND__OP_##op, dtype, sizeof want_ / sizeof *want_, a_, b_, 0, NULL, got_);                             \
        ck_assert_bits(#op, dtype, sizeof want_ / sizeof *want_, got_, want_);                                         \
    } while (0)
#define LIST(...)                                                                                                      \
    {                                                                                                                  \
        __VA_ARGS__                                                                                                    \
    }

START_TEST(integers_at_their_ends)
{
    CHECK2(floordiv, ND_I32, int32_t, LIST(7, -7, 7, -7, 5, INT32_MIN, INT32_MIN, 0), LIST(2, 2, -2, -2, 0, -1, 0, 0),
           LIST(3, -4, -4, 3, 0, INT32_MIN, 0, 0));
    CHECK2(mod, ND_I32, int32_t, LIST(7, -7, 7, -7, 5, INT32_MIN, INT32_MIN), LIST(2, 2, -2, -2, 0, -1, 0),
           LIST(1, 1, -1, -1, 0, 0, 0));
    CHECK2(floordiv, ND_I64, int64_t, LIST(INT64_MIN, INT64_MIN, INT64_MAX), LIST(-1, 2, -2),
           LIST(INT64_MIN, INT64_MIN / 2, -INT64_MAX / 2 - 1));
    CHECK2(floordiv, ND_U32, uint32_t, LIST(UINT32_MAX, 7, 7), LIST(2, UINT32_MAX, 0), LIST(INT32_MAX, 0, 0));
    CHECK2(add, ND_U8, uint8_t, LIST(255, 200), LIST(1, 100), LIST(0, 44));
    CHECK2(mul, ND_I64, int64_t, LIST(INT64_MAX, INT64_MIN), LIST(2, -1), LIST(-2, INT64_MIN));
    CHECK2(sub, ND_U32, uint32_t, LIST(0), LIST(1), LIST(UINT32_MAX));
    CHECK2(shl, ND_I32, int32_t, LIST(1, 1, 1, 1, -1, 3), LIST(31, 32, -1, 0, 4, 31),
           LIST(INT32_MIN, 0, 0, 1, -16, INT32_MIN));
    CHECK2(shr, ND_I32, int32_t, LIST(-8, -8, -8, 8, 8, INT32_MIN), LIST(1, 32, -1, 32, -5, 31),
           LIST(-4, -1, -1, 0, 0, -1));
    CHECK2(shr, ND_U8, uint8_t, LIST(255, 255, 255), LIST(7, 8, 200), LIST(1, 0, 0));
    CHECK2(shr, ND_I64, int64_t, LIST(-1, INT64_MIN, INT64_MAX), LIST(64, 63, 62), LIST(-1, -1, 1));
}
END_TEST

START_TEST(floats_at_their_ends)
{
    const float inf = INFINITY, nan = NAN;
    CHECK2(max, ND_F32, float, LIST(0.0f, -0.0f, nan, 1, inf), LIST(-0.0f, 0.0f, 1, nan, nan),
           LIST(-0.0f, 0.0f, nan, nan, nan));
    CHECK2(min, ND_F32, float, LIST(0.0f, -0.0f, nan, 1, -inf), LIST(-0.0f, 0.0f, 1, nan, nan),
           LIST(-0.0f, 0.0f, nan, nan, nan));
    CHECK2(div, ND_F32, float, LIST(1, -1, 0, inf), LIST(0.0f, 0.0f, 0.0f, inf), LIST(inf, -inf, nan, nan));
    CHECK2(add, ND_F32, float, LIST(0x1p-149f, -0.0f, inf), LIST(0x1p-149f, -0.0f, -inf), LIST(0x1p-148f, -0.0f, nan));

    const float a[] = {nan, 1, nan, 0.0f}, b[] = {1, nan, nan, -0.0f};
    const struct {
        nd__op op;
        uint8_t want[4];
    } compare[] = {{ND__OP_eq, {0, 0, 0, 1}}, {ND__OP_ne, {1, 1, 1, 0}}, {ND__OP_lt, {0, 0, 0, 0}},
                   {ND__OP_le, {0, 0, 0, 1}}, {ND__OP_gt, {0, 0, 0, 0}}, {ND__OP_ge, {0, 0, 0, 1}}};
    for (size_t i = 0; i < sizeof compare / sizeof *compare; i++) {
        uint8_t got[4];
        apply_op(compare[i].op, ND_F32, 4, a, b, 0, NULL, got);
        ck_assert_bits(nd__ops[compare[i].op].name, ND_BOOL, 4, got, compare[i].want);
    }

    const float halves[] = {0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 0x1p24f, -0.25f},
                even[] = {0, 2, 2, -0.0f, -2, 0x1p24f, -0.0f};
    float got[7];
    apply_op(ND__OP_rint, ND_F32, 7, halves, NULL, 0, NULL, got);
    ck_assert_bits("rint", ND_F32, 7, got, even);
}
END_TEST

#define CHECK_CAST(from, F, to, T, X, ...)                                                                             \
    do {                                                                                                               \
        const F x_[] = X;                                                                                              \
        const T want_[] = __VA_ARGS__;                                                                                 \
        T got_[sizeof want_ / sizeof *want_];                                                                          \
        const nd__attr attr_ = nd__attr_int(ND__A_dtype, to);                                                          \
        apply_op(ND__OP_cast, from, sizeof want_ / sizeof *want_, x_, NULL, 1, &attr_, got_);                          \
        ck_assert_bits("cast", to, sizeof want_ / sizeof *want_, got_, want_);                                         \
    } while (0)

START_TEST(casts)
{
    const float inf = INFINITY, nan = NAN;
    CHECK_CAST(ND_F32, float, ND_I32, int32_t, LIST(1.9f, -1.9f, 3e9f, -3e9f, inf, -inf, nan, -0.0f, 0x1p31f, -0x1p31f),
               LIST(1, -1, INT32_MAX, INT32_MIN, INT32_MAX, INT32_MIN, 0, 0, INT32_MAX, INT32_MIN));
    CHECK_CAST(ND_F32, float, ND_U8, uint8_t, LIST(255.9f, 256, -0.9f, -1, inf, nan), LIST(255, 255, 0, 0, 255, 0));
    CHECK_CAST(ND_F64, double, ND_U32, uint32_t, LIST(4294967295.5, 0x1p32, -5, 3e9),
               LIST(UINT32_MAX, UINT32_MAX, 0, 3000000000u));
    CHECK_CAST(ND_F64, double, ND_I64, int64_t, LIST(0x1p63, -0x1p63, 0x1.fffffffffffffp62, -INFINITY),
               LIST(INT64_MAX, INT64_MIN, 0x7ffffffffffffc00, INT64_MIN));
    CHECK_CAST(ND_I64, int64_t, ND_F32, float, LIST(0x8000008000000001, 16777217, 16777219),
               LIST(-0x1.fffffep62f, 16777216, 16777220));
    CHECK_CAST(ND_I64, int64_t, ND_I32, int32_t, LIST(0x180000000, -1), LIST(INT32_MIN, -1));
    CHECK_CAST(ND_I32, int32_t, ND_U8, uint8_t, LIST(-1, 256, 300), LIST(255, 0, 44));
    CHECK_CAST(ND_U8, uint8_t, ND_I32, int32_t, LIST(200, 255), LIST(200, 255));
    CHECK_CAST(ND_U32, uint32_t, ND_F64, double, LIST(UINT32_MAX), LIST(4294967295.0));
    CHECK_CAST(ND_F32, float, ND_BOOL, uint8_t, LIST(0, -0.0f, nan, 0x1p-149f), LIST(0, 0, 1, 1));
    CHECK_CAST(ND_I32, int32_t, ND_BOOL, uint8_t, LIST(0, 256), LIST(0, 1));
    CHECK_CAST(ND_F64, double, ND_F32, float, LIST(1e300, 0x1.000001p0, 0x1.000003p0, 0x1p-150),
               LIST(inf, 1, 0x1.000004p0f, 0));
}
END_TEST

START_TEST(maxima)
{
    const float x[] = {-0.0f, -0.0f, 1, NAN, 5, NAN, -INFINITY, -INFINITY};
    float greatest[4], want[4] = {0, NAN, NAN, -INFINITY};
    int64_t at[4], want_at[4] = {0, 1, 1, 0};
    nd_module *m = nd_module_create("m");
    nd_value *in = nd_input(m, "x", ND_F32, ND_SHAPE(4, 2)), *none = nd_input(m, "none", ND_F32, ND_SHAPE(0, 3)),
             *no_bytes = nd_input(m, "no_bytes", ND_U8, ND_SHAPE(0));
    const nd_function *f = nd_function(
        m, "f", ND_VALUES(in, none, no_bytes),
        ND_VALUES(nd_reduce_max(in, ND_AXES(1), false), nd_argmax(in, 1), nd_reduce_max(none, ND_AXES(0), false),
                  nd_reduce_min(no_bytes, ND_ALL_AXES, false), nd_sum(none, ND_AXES(0), false)));
    float empty[3], lowest[3] = {-INFINITY, -INFINITY, -INFINITY}, sums[3], zeros[3] = {0, 0, 0};
    uint8_t byte;
    ck_assert_msg(f && nd_module_status(m) == ND_OK, "%s", nd_module_error(m));
    ck_assert_int_eq(
        nd__interpret(f, (const void *[]){x, x, x}, (void *[]){greatest, at, empty, &byte, sums}, NULL, NULL), ND_OK);
    ck_assert_bits("reduce_max", ND_F32, 4, greatest, want);
    ck_assert_bits("argmax", ND_I64, 4, at, want_at);
    ck_assert_bits("over nothing", ND_F32, 3, empty, lowest);
    ck_assert_bits("sum over nothing", ND_F32, 3, sums, zeros);
    ck_assert_uint_eq(byte, 255);
    nd_module_destroy(m);
}
END_TEST

/* The ops that the kernel language has too mean the same there, bit by bit, on every dtype. */
START_TEST(agrees_with_the_kernel_language)
{
    enum { N = 600 };
    int compared = 0;
    uint64_t state = 11;
    for (nd__op op = 0; op < ND__OPS; op++)
        for (nd__kop kop = 0; kop < ND__K_OPS; kop++)
            for (nd_dtype dtype = ND_BOOL; dtype < ND_STRING; dtype++) {
                if (!(nd__ops[op].traits & ND__ELEMENTWISE) || strcmp(nd__ops[op].name, nd__k_op_name(kop)) != 0 ||
                    !random_op_takes(op, dtype))
                    continue;
                nd_module *m = nd_module_create("m");
                uint64_t elements[3][N], got[N], want[N] = {0};
                nd_value *in[3];
                for (int i = 0; i < nd__ops[op].arity; i++) {
                    char name[2] = {(char)('a' + i), 0};
                    in[i] = nd_input(m, name, op == ND__OP_select && i == 0 ? ND_BOOL : dtype, ND_SHAPE(N));
                    random_fill(in[i], elements[i], true, &state);
                }
                nd_value *y = nd__make(m, op, "", nd__ops[op].arity, in, 0, NULL);
                run1(y, nd__ops[op].arity, in, (const void *[]){elements[0], elements[1], elements[2]}, got);
                for (int i = 0; i < N; i++) {
                    uint64_t x[3] = {0};
                    for (int k = 0; k < nd__ops[op].arity; k++)
                        x[k] = nd__scalar_load(in[k]->dtype,
                                               (unsigned char *)elements[k] + (size_t)i * nd_dtype_size(in[k]->dtype));
                    nd__scalar_store(y->dtype, (unsigned char *)want + (size_t)i * nd_dtype_size(y->dtype),
                                     nd__scalar_op(kop, dtype, x[0], x[1], x[2]));
                }
                ck_assert_bits(nd__ops[op].name, y->dtype, N, got, want);
                nd_module_destroy(m);
                compared++;
            }
    ck_assert_int_gt(compared, 80);

    for (nd_dtype from = ND_BOOL; from < ND_STRING; from++)
        for (nd_dtype to = ND_BOOL; to < ND_STRING; to++) {
            nd_module *m = nd_module_create("m");
            nd_value *x = nd_input(m, "x", from, ND_SHAPE(N));
            uint64_t elements[N], got[N], want[N];
            random_fill(x, elements, true, &state);
            const nd__attr attr = nd__attr_int(ND__A_dtype, to);
            run1(nd__make1(ND__OP_cast, "", x, 1, &attr), 1, &x, (const void *[]){elements}, got);
            for (int i = 0; i < N; i++)
                nd__scalar_store(
                    to, (unsigned char *)want + (size_t)i * nd_dtype_size(to),
                    nd__scalar_convert(
                        from, to, nd__scalar_load(from, (unsigned char *)elements + (size_t)i * nd_dtype_size(from))));
            ck_assert_bits("cast", to, N, got, want);
            nd_module_destroy(m);
        }
}
END_TEST

/* -- random bits --------------------------------------------------------------------------------------------------- */

/* The known answers of philox4x32 with ten rounds in the authors' Random123 (kat_vectors). */
START_TEST(philox_known_answers)
{
    static const struct {
        uint32_t counter[4], key[2], want[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        uint32_t got[4];
        nd__philox(known[i].counter, known[i].key, got);
        ck_assert_bits("philox", ND_U32, 4, got, known[i].want);
    }
    /* Element 5 of a stream: block 1, word 1. */
    nd_module *m = nd_module_create("m");
    nd_value *key = nd_input(m, "key", ND_U32, ND_SHAPE(2));
    uint32_t bits[6], block[4];
    run1(nd_random_bits(key, 0x123456789abcdef0u, ND_SHAPE(6)), 1, &key, (const void *[]){(uint32_t[]){7, 8}}, bits);
    nd__philox((uint32_t[]){1, 0, 0x9abcdef0, 0x12345678}, (uint32_t[]){7, 8}, block);
    ck_assert_uint_eq(bits[5], block[1]);
    ck_assert_uint_eq(bits[4], block[0]);
    nd_module_destroy(m);
}
END_TEST

/* A million uniforms and normals have the moments they should: within 4 standard errors of mean and variance. */
/* Eight axes leave none for the two halves of a normal's bits, which are the same for every shape. */
START_TEST(normal_of_eight_axes)
{
    nd_module *m = nd_module_create("m");
    nd_tensor *seven = nd_tensor_full(ND_U32, ND_SHAPE(2), 7);
    nd_value *key = nd_const_tensor(m, seven);
    nd_value *deep = nd_normal(key, 3, ND_F32, ND_SHAPE(2, 3, 1, 2, 1, 1, 2, 1)),
             *flat = nd_normal(key, 3, ND_F32, ND_SHAPE(24));
    nd_tensor *a = nd_evaluate(nd_reshape(deep, ND_SHAPE(24))), *b = nd_evaluate(flat);
    ck_assert_msg(nd_module_status(m) == ND_OK, "%s", nd_module_error(m));
    ck_assert(nd_tensor_same_bits(a, b));
    nd_tensor_destroy(seven);
    nd_tensor_destroy(a);
    nd_tensor_destroy(b);
    nd_module_destroy(m);
}
END_TEST

/* A step that no second element takes may be any number. */
START_TEST(long_steps)
{
    nd_module *m = nd_module_create("m");
    nd_value *x = nd_reshape(nd_iota(m, ND_F32, ND_SHAPE(6), 0), ND_SHAPE(2, 3));
    nd_tensor *t = nd_evaluate(nd_at(x, "::9223372036854775807, ::-9223372036854775807"));
    ck_assert_msg(nd_tensor_status(t) == ND_OK, "%s", nd_tensor_error(t));
    ck_assert_int_eq(nd_tensor_count(t), 1);
    ck_assert(nd_tensor_get(t, 0) == 2);
    nd_tensor_destroy(t);
    nd_module_destroy(m);
}
END_TEST

START_TEST(uniform_and_normal)
{
    enum { N = 1 << 18 };
    nd_module *m = nd_module_create("m");
    nd_value *key = nd_input(m, "key", ND_U32, ND_SHAPE(2));
    float *u = malloc(N * sizeof *u), *z = malloc(N * sizeof *z);
    const nd_function *f =
        nd_function(m, "f", ND_VALUES(key),
                    ND_VALUES(nd_uniform(key, 1, ND_F32, ND_SHAPE(N)), nd_normal(key, 2, ND_F32, ND_SHAPE(N))));
    ck_assert_int_eq(nd__interpret(f, (const void *[]){(uint32_t[]){1, 2}}, (void *[]){u, z}, NULL, NULL), ND_OK);
    double mean_u = 0, mean_z = 0, square_z = 0;
    for (int i = 0; i < N; i++) {
        ck_assert(u[i] >= 0 && u[i] < 1 && isfinite(z[i]));
        mean_u += u[i] / N;
        mean_z += z[i] / N;
        square_z += (double)z[i] * z[i] / N;
    }
    ck_assert_double_eq_tol(mean_u, 0.5, 4 * sqrt(1.0 / 12 / N));
    ck_assert_double_eq_tol(mean_z, 0, 4 * sqrt(1.0 / N));
    ck_assert_double_eq_tol(square_z, 1, 4 * sqrt(2.0 / N));
    nd_module_destroy(m);
    free(u);
    free(z);
}
END_TEST

/* -- functions, state, control flow -------------------------------------------------------------------------------- */

/* a, b := b, a; c := x; outputs see the old values. */
START_TEST(updates_see_old_values)
{
    nd_module *m = nd_module_create("m");
    nd_value *a = nd_variable(m, "a", ND_F32, ND_SHAPE(2), nd_zeros()),
             *b = nd_variable(m, "b", ND_F32, ND_SHAPE(2), nd_zeros());
    nd_value *c = nd_variable(m, "c", ND_F32, ND_SHAPE(2), nd_zeros()), *x = nd_input(m, "x", ND_F32, ND_SHAPE(2));
    nd_function *f = nd_function(m, "f", ND_VALUES(x), ND_VALUES(a, nd_add(a, b)));
    nd_assign(f, a, b);
    nd_assign(f, b, a);
    nd_assign(f, c, x);
    ck_assert_msg(nd_module_status(m) == ND_OK, "%s", nd_module_error(m));
    float memory[3][2] = {{1, 2}, {30, 40}, {5, 6}}, out[2][2];
    void *variables[] = {memory[0], memory[1], memory[2]};
    /* x is a's own memory: an input may lie in the state. */
    ck_assert_int_eq(nd__interpret(f, (const void *[]){memory[0]}, (void *[]){out[0], out[1]}, variables, variables),
                     ND_OK);
    const float after[3][2] = {{30, 40}, {1, 2}, {1, 2}}, outputs[2][2] = {{1, 2}, {31, 42}};
    ck_assert_bits("variables", ND_F32, 6, memory, after);
    ck_assert_bits("outputs", ND_F32, 4, out, outputs);
    nd_module_destroy(m);
}
END_TEST

/* The branch that is not taken does not run: were it run, it would ask for more memory than there is. */
START_TEST(cond_runs_one_branch)
{
    nd_module *m = nd_module_create("m");
    nd_value *c = nd_input(m, "c", ND_BOOL, ND_SCALAR), *x = nd_input(m, "x", ND_F32, ND_SCALAR), *out[1];
    nd_value *huge = nd_sum(nd_broadcast(x, ND_SHAPE((int64_t)1 << 46)), ND_ALL_AXES, false);
    nd_function *yes = nd_function(m, "yes", ND_VALUES(), ND_VALUES(huge)),
                *no = nd_function(m, "no", ND_VALUES(), ND_VALUES(nd_neg(x)));
    nd_cond(c, yes, no, out);
    const nd_function *f = nd_function(m, "f", ND_VALUES(c, x), ND_VALUES(out[0]));
    ck_assert_msg(nd_module_status(m) == ND_OK, "%s", nd_module_error(m));
    const float number = 3;
    float result = 0;
    ck_assert_int_eq(nd__interpret(f, (const void *[]){&(uint8_t){0}, &number}, (void *[]){&result}, NULL, NULL),
                     ND_OK);
    ck_assert(result == -3);
    ck_assert_int_eq(nd__interpret(f, (const void *[]){&(uint8_t){1}, &number}, (void *[]){&result}, NULL, NULL),
                     ND_ERR_MEMORY);
    ck_assert(result == -3); /* a failed run writes nothing */
    nd_module_destroy(m);
}
END_TEST

/* Running sums forwards and backwards, also of no slices at all. */
START_TEST(scan_carries_and_stacks)
{
    for (int64_t n = 0; n < 4; n++)
        for (int reverse = 0; reverse < 2; reverse++) {
            nd_module *m = nd_module_create("m");
            nd_value *s = nd_input(m, "s", ND_I32, ND_SCALAR), *x = nd_input(m, "x", ND_I32, ND_SCALAR),
                     *k = nd_input(m, "k", ND_I32, ND_SCALAR);
            nd_value *start = nd_input(m, "start", ND_I32, ND_SCALAR),
                     *xs = nd_input(m, "xs", ND_I32, nd_shape_of(1, &n)), *out[2];
            nd_value *sum = nd_add(s, nd_mul(x, k));
            nd_function *body = nd_function(m, "body", ND_VALUES(s, x), ND_VALUES(sum, sum));
            nd_scan(body, n, ND_VALUES(start), ND_VALUES(xs), reverse, out);
            const nd_function *f = nd_function(m, "f", ND_VALUES(start, xs, k), ND_VALUES(out[0], out[1]));
            ck_assert_msg(nd_module_status(m) == ND_OK, "%s", nd_module_error(m));
            int32_t last = 0, stacked[4] = {0}, want[4] = {0}, total = 100;
            const int32_t elements[4] = {1, 2, 3, 4};
            for (int64_t i = 0; i < n; i++) {
                int64_t t = reverse ? n - 1 - i : i;
                want[t] = total += 10 * elements[t];
            }
            ck_assert_int_eq(nd__interpret(f, (const void *[]){&(int32_t){100}, elements, &(int32_t){10}},
                                           (void *[]){&last, stacked}, NULL, NULL),
                             ND_OK);
            ck_assert_int_eq(last, total);
            ck_assert_bits("stacked", ND_I32, n, stacked, want);
            nd_module_destroy(m);
        }
}
END_TEST

/* -- programs ------------------------------------------------------------------------------------------------------ */

static nd_module *small_module(void)
{
    nd_module *m = nd_module_create("small");
    nd_value *w = nd_variable(m, "w", ND_F32, ND_SHAPE(3), nd_random_uniform(-1, 1)),
             *n = nd_variable(m, "n", ND_I64, ND_SCALAR, nd_uninitialised());
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(3)), *p = nd_input(m, "p", ND_F32, ND_SHAPE(3)), *doubled[1];
    nd_function *body = nd_function(m, "body", ND_VALUES(p), ND_VALUES(nd_add(p, w)));
    nd_apply(body, ND_VALUES(x), doubled);
    nd_function *step =
        nd_function(m, "step", ND_VALUES(x), ND_VALUES(nd_name(nd_sum(doubled[0], ND_ALL_AXES, false), "loss")));
    nd_assign(step, w, nd_sub(w, x));
    nd_function(m, "count", ND_VALUES(), ND_VALUES(nd_add(n, nd_const(m, 1))));
    nd_module_set_seed(m, 77);
    return m;
}

START_TEST(tables_describe_the_module)
{
    nd_module *m = small_module();
    ck_assert_ptr_nonnull(nd__init_function(m));
    nd_program_info info;
    ck_assert(nd__interpreter_info(m, &info));
    ck_assert_int_eq(info.function_count, 3); /* "body" is run by a node only */
    ck_assert_int_eq(info.variable_count, 2);
    ck_assert_uint_eq(info.state_size, 128);
    ck_assert_uint_eq(info.variables[1].offset, 64);
    ck_assert_str_eq(info.variables[0].port.name, "w");
    ck_assert(info.variables[0].initialised && !info.variables[1].initialised);
    ck_assert_uint_eq(info.seed, 77);
    const nd_program_function_info *step = &info.functions[0], *count = &info.functions[1], *init = &info.functions[2];
    ck_assert_str_eq(step->name, "step");
    ck_assert_str_eq(step->inputs[0].name, "x");
    ck_assert_str_eq(step->outputs[0].name, "loss");
    ck_assert_int_eq(step->read_count, 1);
    ck_assert_int_eq(step->reads[0], 0);
    ck_assert_int_eq(step->update_count, 1);
    ck_assert_str_eq(count->outputs[0].name, "out0");
    ck_assert_int_eq(count->reads[0], 1);
    ck_assert_str_eq(init->name, "init");
    ck_assert_int_eq(init->update_count, 1);
    ck_assert_int_eq(init->read_count, 0);

    _Alignas(64) unsigned char state[128] = {0};
    float *w = (float *)(void *)state, x[3] = {1, 2, 3}, loss, before[3];
    ck_assert_int_eq(info.interpret(info.self, 2, state, NULL, (const void *[]){(uint32_t[]){5, 0}}, NULL), ND_OK);
    for (int i = 0; i < 3; i++)
        ck_assert(w[i] != 0 && w[i] >= -1 && w[i] < 1);
    memcpy(before, w, sizeof before);
    ck_assert_int_eq(info.interpret(info.self, 0, state, NULL, (const void *[]){x}, (void *[]){&loss}), ND_OK);
    float want = 0;
    for (int i = 0; i < 3; i++) {
        want += x[i] + before[i];
        before[i] -= x[i];
    }
    ck_assert_bits("loss", ND_F32, 1, &loss, &want);
    ck_assert_bits("w", ND_F32, 3, w, before);
    info.destroy(info.self);
}
END_TEST

START_TEST(evaluates_constant_graphs)
{
    nd_module *m = nd_module_create("m");
    int64_t b = nd_dim(m, "B", 5);
    nd_value *rows = nd_iota(m, ND_I32, ND_SHAPE(b, 2), 0), *p = nd_input(m, "p", ND_I32, ND_SCALAR), *out[1];
    nd_apply(nd_function(m, "twice", ND_VALUES(p), ND_VALUES(nd_add(p, p))),
             ND_VALUES(nd_sum(rows, ND_ALL_AXES, false)), out);
    nd_tensor *t = nd_evaluate(out[0]);
    ck_assert_msg(nd_tensor_status(t) == ND_OK, "%s", nd_tensor_error(t));
    ck_assert_int_eq(nd_tensor_dtype(t), ND_I32);
    ck_assert_int_eq(nd_tensor_get_i64(t, 0), 40);
    nd_tensor_destroy(t);

    t = nd_evaluate(nd_add(p, nd_const(m, 1)));
    ck_assert_int_eq(nd_tensor_status(t), ND_ERR_GRAPH);
    ck_assert_str_eq(nd_tensor_error(t), "nd_evaluate: the value depends on the input \"p\"; compile a function");
    nd_tensor_destroy(t);

    nd_value *a = nd_const_of(m, ND_I32, 36), *c = nd_const_of(m, ND_I32, 40);
    char text[120] = "";
    FILE *file = tmpfile();
    ck_assert_int_eq(nd_print(p, file), ND_ERR_GRAPH);
    ck_assert_int_eq(nd_print(nd_add(a, c), file), ND_OK);
    ck_assert_int_eq(nd_print(nd_const(m, 0.5), file), ND_OK);
    rewind(file);
    ck_assert_uint_gt(fread(text, 1, sizeof text - 1, file), 0);
    ck_assert_str_eq(text,
                     "(nd_evaluate: the value depends on the input \"p\"; compile a function)\ni32 76\nf32 0.5\n");
    fclose(file);

    nd_add(nd_const_of(m, ND_I32, 1), nd_const_of(m, ND_I64, 1));
    t = nd_evaluate(a);
    ck_assert_int_eq(nd_tensor_status(t), ND_ERR_GRAPH);
    nd_tensor_destroy(t);
    t = nd_evaluate(NULL);
    ck_assert_int_eq(nd_tensor_status(t), ND_ERR_ARGUMENT);
    nd_tensor_destroy(t);
    nd_module_destroy(m);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("interp");
    TCase *ops = tcase_create("ops"), *orders = tcase_create("orders"), *values = tcase_create("values"),
          *functions = tcase_create("functions");
    tcase_add_loop_test(ops, agrees_with_the_reference, 0, ND__OPS);
    tcase_add_test(ops, no_op_is_left_out);
    tcase_add_loop_test(orders, sums_along_the_innermost_axis, 0, LENGTHS);
    tcase_add_loop_test(orders, sums_with_the_innermost_axis_kept, 0, LENGTHS);
    tcase_add_loop_test(orders, sums_over_nested_axes, 0, LENGTHS);
    tcase_add_test(orders, sums_over_split_axes);
    tcase_add_test(orders, sums_skip_axes_of_size_one);
    tcase_add_loop_test(orders, products_in_a_chain, 0, LENGTHS);
    tcase_add_loop_test(orders, products_in_lanes, 0, LENGTHS);
    tcase_add_test(orders, scatters_in_ascending_order);
    tcase_add_test(values, integers_at_their_ends);
    tcase_add_test(values, floats_at_their_ends);
    tcase_add_test(values, casts);
    tcase_add_test(values, maxima);
    tcase_add_test(values, agrees_with_the_kernel_language);
    tcase_add_test(values, philox_known_answers);
    tcase_add_test(values, normal_of_eight_axes);
    tcase_add_test(values, long_steps);
    tcase_add_test(values, uniform_and_normal);
    tcase_add_test(functions, updates_see_old_values);
    tcase_add_test(functions, cond_runs_one_branch);
    tcase_add_test(functions, scan_carries_and_stacks);
    tcase_add_test(functions, tables_describe_the_module);
    tcase_add_test(functions, evaluates_constant_graphs);
    suite_add_tcase(suite, ops);
    suite_add_tcase(suite, orders);
    suite_add_tcase(suite, values);
    suite_add_tcase(suite, functions);
    return run_suite(suite);
}
