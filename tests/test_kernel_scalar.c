/* What arithmetic instructions do to one lane: the corners of their definitions. */
#include "compiler/kernel/scalar.h"
#include "run_suite.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>

#define I32(x) ((uint64_t)(uint32_t)(x))
#define I64(x) ((uint64_t)(x))

START_TEST(integer_definitions)
{
    static const struct {
        nd__kop op;
        nd_dtype dtype;
        uint64_t a, b, result;
    } cases[] = {
        {ND__K_add, ND_I32, I32(INT32_MAX), 1, I32(INT32_MIN)},
        {ND__K_sub, ND_U8, 1, 2, 255},
        {ND__K_mul, ND_I64, I64(INT64_MAX), 2, I64(-2)},
        {ND__K_floordiv, ND_I32, I32(-7), 2, I32(-4)},
        {ND__K_floordiv, ND_I32, 7, I32(-2), I32(-4)},
        {ND__K_floordiv, ND_I32, I32(-8), 2, I32(-4)},
        {ND__K_floordiv, ND_I32, 5, 0, 0},
        {ND__K_floordiv, ND_I32, I32(INT32_MIN), I32(-1), I32(INT32_MIN)},
        {ND__K_floordiv, ND_I64, I64(INT64_MIN), I64(-1), I64(INT64_MIN)},
        {ND__K_floordiv, ND_U32, UINT32_MAX, 2, INT32_MAX},
        {ND__K_mod, ND_I32, I32(-7), 2, 1},
        {ND__K_mod, ND_I32, 7, I32(-2), I32(-1)},
        {ND__K_mod, ND_I32, 7, 0, 0},
        {ND__K_mod, ND_I64, I64(INT64_MIN), I64(-1), 0},
        {ND__K_mod, ND_U8, 250, 7, 5},
        {ND__K_mulhi, ND_U32, UINT32_MAX, UINT32_MAX, UINT32_MAX - 1},
        {ND__K_abs, ND_I32, I32(INT32_MIN), 0, I32(INT32_MIN)},
        {ND__K_abs, ND_I32, I32(-3), 0, 3},
        {ND__K_neg, ND_U8, 1, 0, 255},
        {ND__K_min, ND_I32, I32(-1), 1, I32(-1)},
        {ND__K_min, ND_U32, UINT32_MAX, 1, 1},
        {ND__K_max, ND_I64, I64(-1), 1, 1},
        {ND__K_lt, ND_I32, I32(-1), 0, 1},
        {ND__K_lt, ND_U32, UINT32_MAX, 0, 0},
        {ND__K_le, ND_I64, I64(INT64_MIN), I64(INT64_MAX), 1},
        {ND__K_not, ND_U8, 0xf0, 0, 0x0f},
        {ND__K_not, ND_BOOL, 1, 0, 0},
        {ND__K_xor, ND_BOOL, 1, 1, 0},
        {ND__K_shl, ND_I32, 1, 31, I32(INT32_MIN)},
        {ND__K_shl, ND_I32, 1, 32, 0},
        {ND__K_shl, ND_I32, 1, I32(-1), 0},
        {ND__K_shl, ND_U8, 0xff, 4, 0xf0},
        {ND__K_shr, ND_I32, I32(-8), 1, I32(-4)},
        {ND__K_shr, ND_I32, I32(-8), 32, I32(-1)},
        {ND__K_shr, ND_I32, I32(-8), I32(-1), I32(-1)},
        {ND__K_shr, ND_I32, 8, 40, 0},
        {ND__K_shr, ND_U32, 0x80000000, 31, 1},
        {ND__K_shr, ND_I64, I64(-1), 63, I64(-1)},
        {ND__K_shr, ND_I64, I64(INT64_MIN), 0, I64(INT64_MIN)},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_msg(nd__scalar_op(cases[i].op, cases[i].dtype, cases[i].a, cases[i].b, 0) == cases[i].result,
                      "case %zu: %s %s", i, nd__k_op_name(cases[i].op), nd_dtype_name(cases[i].dtype));
    ck_assert_uint_eq(nd__scalar_op(ND__K_fma, ND_I32, I32(-3), 5, 7), I32(-8));
    ck_assert_uint_eq(nd__scalar_op(ND__K_select, ND_I32, 1, 5, 7), 5);
    ck_assert_uint_eq(nd__scalar_op(ND__K_select, ND_I32, 0, 5, 7), 7);
}
END_TEST

static uint64_t f32(float x)
{
    return nd__scalar_load(ND_F32, &x);
}

static uint64_t f64(double x)
{
    return nd__scalar_load(ND_F64, &x);
}

START_TEST(float_definitions)
{
    ck_assert_uint_eq(nd__scalar_op(ND__K_fma, ND_F32, f32(0x1.000002p0f), f32(0x1.000002p0f), f32(-1)),
                      f32(0x1.000001p-22f));
    ck_assert_uint_eq(nd__scalar_op(ND__K_neg, ND_F32, f32(0), 0, 0), f32(-0.0f));
    ck_assert_uint_eq(nd__scalar_op(ND__K_neg, ND_F64, f64(NAN), 0, 0), f64(NAN) ^ (uint64_t)1 << 63);
    ck_assert_uint_eq(nd__scalar_op(ND__K_abs, ND_F32, f32(-0.0f), 0, 0), 0);
    ck_assert_uint_eq(nd__scalar_op(ND__K_rint, ND_F32, f32(2.5f), 0, 0), f32(2));
    ck_assert_uint_eq(nd__scalar_op(ND__K_scale, ND_F32, f32(3), f32(2.5f), 0), f32(12));
    ck_assert_uint_eq(nd__scalar_op(ND__K_scale, ND_F32, f32(1.5f), f32(-149.5f), 0), f32(0x1p-149f));
    ck_assert_uint_eq(nd__scalar_op(ND__K_scale, ND_F32, f32(0x1p-149f), f32(276), 0), f32(0x1p127f));
    ck_assert_uint_eq(nd__scalar_op(ND__K_scale, ND_F32, f32(-1), f32(1e9f), 0), f32(-INFINITY));
    ck_assert_uint_eq(nd__scalar_op(ND__K_scale, ND_F32, f32(-1), f32(-INFINITY), 0), f32(-0.0f));
    ck_assert_uint_eq(nd__scalar_op(ND__K_floor, ND_F64, f64(-0.5), 0, 0), f64(-1));
    ck_assert_uint_eq(nd__scalar_op(ND__K_ceil, ND_F64, f64(-0.5), 0, 0), f64(-0.0));
    ck_assert_uint_eq(nd__scalar_op(ND__K_min, ND_F32, f32(NAN), f32(1), 0), f32(NAN));
    ck_assert_uint_eq(nd__scalar_op(ND__K_min, ND_F32, f32(1), f32(NAN), 0), f32(NAN));
    ck_assert_uint_eq(nd__scalar_op(ND__K_max, ND_F32, f32(0), f32(-0.0f), 0), f32(-0.0f));
    ck_assert_uint_eq(nd__scalar_op(ND__K_max, ND_F32, f32(-0.0f), f32(0), 0), f32(0));
    ck_assert_uint_eq(nd__scalar_op(ND__K_eq, ND_F32, f32(NAN), f32(NAN), 0), 0);
    ck_assert_uint_eq(nd__scalar_op(ND__K_ne, ND_F32, f32(NAN), f32(NAN), 0), 1);
    ck_assert_uint_eq(nd__scalar_op(ND__K_eq, ND_F32, f32(0), f32(-0.0f), 0), 1);
    ck_assert_uint_eq(nd__scalar_op(ND__K_le, ND_F64, f64(NAN), f64(0), 0), 0);
}
END_TEST

START_TEST(conversions)
{
    static const struct {
        nd_dtype from, to;
        uint64_t x, result;
    } cases[] = {
        {ND_I32, ND_I64, I32(-5), I64(-5)}, {ND_U32, ND_I64, UINT32_MAX, UINT32_MAX},
        {ND_I64, ND_U8, I64(-1), 255},      {ND_I64, ND_I32, (uint64_t)1 << 31, I32(INT32_MIN)},
        {ND_I32, ND_BOOL, I32(-4), 1},      {ND_BOOL, ND_U32, 1, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_uint_eq(nd__scalar_convert(cases[i].from, cases[i].to, cases[i].x), cases[i].result);
    ck_assert_uint_eq(nd__scalar_convert(ND_F32, ND_I32, f32(-2.9f)), I32(-2));
    ck_assert_uint_eq(nd__scalar_convert(ND_F32, ND_I32, f32(3e9f)), I32(INT32_MAX));
    ck_assert_uint_eq(nd__scalar_convert(ND_F64, ND_I32, f64(-INFINITY)), I32(INT32_MIN));
    ck_assert_uint_eq(nd__scalar_convert(ND_F64, ND_I64, f64(0x1p63)), I64(INT64_MAX));
    ck_assert_uint_eq(nd__scalar_convert(ND_F64, ND_I64, f64(-0x1p63)), I64(INT64_MIN));
    ck_assert_uint_eq(nd__scalar_convert(ND_F64, ND_U8, f64(255.9)), 255);
    ck_assert_uint_eq(nd__scalar_convert(ND_F64, ND_U8, f64(-0.9)), 0);
    ck_assert_uint_eq(nd__scalar_convert(ND_F32, ND_U32, f32(-5)), 0);
    ck_assert_uint_eq(nd__scalar_convert(ND_F32, ND_U32, f32(4e9f)), 4000000000u);
    ck_assert_uint_eq(nd__scalar_convert(ND_F32, ND_I64, f32(NAN)), 0);
    ck_assert_uint_eq(nd__scalar_convert(ND_F32, ND_BOOL, f32(NAN)), 1);
    ck_assert_uint_eq(nd__scalar_convert(ND_F32, ND_BOOL, f32(-0.0f)), 0);
    ck_assert_uint_eq(nd__scalar_convert(ND_F64, ND_F32, f64(1e300)), f32(INFINITY));
    ck_assert_uint_eq(nd__scalar_convert(ND_F32, ND_F64, f32(0x1p-149f)), f64(0x1p-149));
    /* Rounded once: by way of f64 it would become 2^60 + 2^37. */
    ck_assert_uint_eq(nd__scalar_convert(ND_I64, ND_F32, ((uint64_t)1 << 60) + ((uint64_t)1 << 36) + 1),
                      f32(0x1.000002p60f));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kernel_scalar");
    TCase *tcase = tcase_create("kernel_scalar");
    tcase_add_test(tcase, integer_definitions);
    tcase_add_test(tcase, float_definitions);
    tcase_add_test(tcase, conversions);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
