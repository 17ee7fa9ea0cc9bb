/* Host tensors: making, viewing, converting, comparing, printing, failing. */
#include "failing_alloc.h"
#include "nadir/tensor.h"
#include "run_suite.h"

#include <check.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Prints as `expected`; destroys the tensor. */
static void shows(nd_tensor *t, const char *expected)
{
    char text[8000];
    size_t n = nd_tensor_text(t, text, sizeof text);
    ck_assert_str_eq(text, expected);
    ck_assert_uint_eq(n, strlen(expected));
    nd_tensor_destroy(t);
}

/* Failed, with that status and message; destroys the tensor. */
static void fails(nd_tensor *t, nd_status status, const char *message)
{
    ck_assert_ptr_nonnull(t);
    ck_assert_int_eq(nd_tensor_status(t), status);
    ck_assert_str_eq(nd_tensor_error(t), message);
    ck_assert_ptr_null(nd_tensor_data(t));
    ck_assert_int_eq(nd_tensor_count(t), 0);
    nd_tensor_destroy(t);
}

static nd_tensor *matrix(void)
{
    return nd_tensor_of(ND_F64, ND_SHAPE(2, 3), (double[]){1, 2, 3, 4, 5, 6});
}

START_TEST(makes)
{
    nd_tensor *t = matrix();
    ck_assert_int_eq(nd_tensor_status(t), ND_OK);
    ck_assert_str_eq(nd_tensor_error(t), "");
    ck_assert_int_eq(nd_tensor_dtype(t), ND_F64);
    ck_assert_int_eq(nd_tensor_rank(t), 2);
    ck_assert_int_eq(nd_tensor_dim(t, 0), 2);
    ck_assert_int_eq(nd_tensor_dim(t, -1), 3);
    ck_assert_int_eq(nd_tensor_dim(t, 2), 0);
    ck_assert_int_eq(nd_tensor_dim(t, -3), 0);
    ck_assert_int_eq(nd_tensor_stride(t, 0), 3);
    ck_assert_int_eq(nd_tensor_stride(t, 1), 1);
    ck_assert_int_eq(nd_tensor_count(t), 6);
    ck_assert_uint_eq(nd_tensor_bytes(t), 48);
    ck_assert(nd_tensor_is_contiguous(t));
    ck_assert_uint_eq((uintptr_t)nd_tensor_data(t) % 64, 0);
    ck_assert(nd_tensor_get(t, 5) == 6);
    nd_tensor_destroy(t);

    t = nd_tensor_zeros(ND_F32, ND_SHAPE(10, 256, 256, 3));
    ck_assert_int_eq(nd_tensor_count(t), 1966080);
    ck_assert(nd_tensor_get(t, 1966079) == 0);
    nd_tensor_destroy(t);

    t = nd_tensor_zeros(ND_I32, ND_SHAPE(3, 0));
    ck_assert_int_eq(nd_tensor_count(t), 0);
    ck_assert_ptr_nonnull(nd_tensor_data(t));
    nd_tensor_destroy(t);

    double memory[2] = {1, 2};
    t = nd_tensor_borrow(ND_F64, ND_SHAPE(2), memory);
    ck_assert_ptr_eq(nd_tensor_data(t), memory);
    ck_assert_int_eq(nd_tensor_set(t, 1, 7), ND_OK);
    ck_assert(memory[1] == 7);
    nd_tensor_destroy(t);

    shows(nd_tensor_full(ND_I32, ND_SHAPE(2, 2), 7), "i32[2,2]\n[[7 7]\n [7 7]]");
    shows(nd_tensor_range(ND_F64, 0, 1, 0.25), "f64[4] [0.   0.25 0.5  0.75]");
    shows(nd_tensor_range(ND_I64, 5, 0, -2), "i64[3] [5 3 1]");
    shows(nd_tensor_range(ND_I32, 3, 3, 1), "i32[0] []");
}
END_TEST

START_TEST(refuses)
{
    nd_shape nine = nd_shape_of(9, (int64_t[]){1, 1, 1, 1, 1, 1, 1, 1, 1});
    int64_t huge = INT64_MAX;
    float two[2] = {0, 0};
    fails(nd_tensor_zeros(ND_F32, nine), ND_ERR_ARGUMENT, "rank 9, but a tensor has 0 to 8 axes");
    fails(nd_tensor_zeros(ND_F32, ND_SHAPE(2, -1)), ND_ERR_ARGUMENT,
          "the size -1 of axis 1 is negative (a named dimension belongs in graphs only)");
    fails(nd_tensor_zeros(ND_F32, ND_SHAPE(huge, huge)), ND_ERR_ARGUMENT,
          "f32[9223372036854775807,9223372036854775807] does not fit in the address space");
    fails(nd_tensor_zeros(ND_U8, ND_SHAPE(huge, 0, huge)), ND_ERR_ARGUMENT,
          "u8[9223372036854775807,0,9223372036854775807] does not fit in the address space");
    fails(nd_tensor_zeros(ND_F64, ND_SHAPE(INT64_MAX / 16)), ND_ERR_MEMORY,
          "out of memory for f64[576460752303423487]");
    fails(nd_tensor_zeros(ND_STRING, ND_SHAPE(2)), ND_ERR_ARGUMENT,
          "string tensors are scalars, made by nd_tensor_string");
    fails(nd_tensor_zeros(ND_DTYPES, ND_SCALAR), ND_ERR_ARGUMENT, "8 is no dtype");
    fails(nd_tensor_of(ND_F32, ND_SHAPE(2), NULL), ND_ERR_ARGUMENT, "nd_tensor_of: the values are NULL");
    fails(nd_tensor_string(NULL), ND_ERR_ARGUMENT, "nd_tensor_string: the text is NULL");
    fails(nd_tensor_borrow(ND_F32, ND_SCALAR, NULL), ND_ERR_ARGUMENT, "nd_tensor_borrow: the memory is NULL");
    fails(nd_tensor_range(ND_F32, 0, 1, 0), ND_ERR_ARGUMENT, "nd_tensor_range: no range from 0 to 1 by 0");
    fails(nd_tensor_range(ND_F32, 0, (double)NAN, 1), ND_ERR_ARGUMENT, "nd_tensor_range: no range from 0 to nan by 1");
    fails(nd_tensor_range(ND_BOOL, 0, 1, 1), ND_ERR_ARGUMENT, "nd_tensor_range: bool is no number");
    nd_tensor *t = nd_tensor_borrow(ND_F32, ND_SHAPE(1), (char *)two + 1);
    ck_assert_int_eq(nd_tensor_status(t), ND_ERR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(nd_tensor_error(t), "is not aligned to the 4 bytes of f32"));
    nd_tensor_destroy(t);
}
END_TEST

/* Everything takes NULL and failed tensors, and what comes of them has the first error. */
START_TEST(poison_passes_through)
{
    nd_tensor *bad = nd_tensor_string(NULL), *good = matrix();
    for (int i = 0; i < 2; i++) {
        nd_tensor *t = i ? bad : NULL;
        nd_status status = i ? ND_ERR_ARGUMENT : ND_ERR_MEMORY;
        const char *message = i ? "nd_tensor_string: the text is NULL" : "out of memory";
        ck_assert_int_eq(nd_tensor_status(t), status);
        ck_assert_str_eq(nd_tensor_error(t), message);
        ck_assert_int_eq(nd_tensor_dtype(t), ND_F32);
        ck_assert_int_eq(nd_tensor_shape(t).rank, 0);
        ck_assert_int_eq(nd_tensor_rank(t), 0);
        ck_assert_int_eq(nd_tensor_dim(t, 0), 0);
        ck_assert_int_eq(nd_tensor_stride(t, 0), 0);
        ck_assert_int_eq(nd_tensor_count(t), 0);
        ck_assert_uint_eq(nd_tensor_bytes(t), 0);
        ck_assert(nd_tensor_is_contiguous(t));
        ck_assert_ptr_null(nd_tensor_data(t));
        ck_assert(isnan(nd_tensor_get(t, 0)));
        ck_assert_int_eq(nd_tensor_get_i64(t, 0), 0);
        ck_assert_int_eq(nd_tensor_set(t, 0, 1), status);
        ck_assert_int_eq(nd_tensor_set_i64(t, 0, 1), status);
        ck_assert_int_eq(nd_tensor_fill(t, 1), status);
        ck_assert_int_eq(nd_tensor_assign(t, good), status);
        ck_assert_int_eq(nd_tensor_assign(good, t), status);
        ck_assert_str_eq(nd_tensor_error(good), message);
        ck_assert_int_eq(nd_tensor_status(good), ND_OK);
        fails(nd_tensor_at(t, "0"), status, message);
        fails(nd_tensor_view(t), status, message);
        fails(nd_tensor_reshape(t, ND_SCALAR), status, message);
        fails(nd_tensor_transpose(t, NULL), status, message);
        fails(nd_tensor_copy(t), status, message);
        fails(nd_tensor_cast(t, ND_F64), status, message);
        ck_assert(!nd_tensor_same_bits(t, t));
        ck_assert_int_eq(nd_tensor_difference(t, good), -2);
    }
    shows(bad, "(error: nd_tensor_string: the text is NULL)");
    shows(NULL, "(error: out of memory)");
    nd_tensor_destroy(good);
}
END_TEST

static const struct {
    const char *subscript, *text;
} views[] = {
    {"1", "f64[3] [4 5 6]"},
    {":, 2", "f64[2] [3 6]"},
    {"1, -1", "f64 6"},
    {"...", "f64[2,3]\n[[1 2 3]\n [4 5 6]]"},
    {"..., ::-1", "f64[2,3]\n[[3 2 1]\n [6 5 4]]"},
    {"::-1", "f64[2,3]\n[[4 5 6]\n [1 2 3]]"},
    {"0:2, -1", "f64[2] [3 6]"},
    {"None", "f64[1,2,3]\n[[[1 2 3]\n  [4 5 6]]]"},
    {"1, None, ::2", "f64[1,2]\n[[4 6]]"},
    {"..., None, 0", "f64[2,1]\n[[1]\n [4]]"},
    {"2:", "f64[0,3] []"},
    {"5:9, 1:", "f64[0,2] []"},
    {"-9:9:9", "f64[1,3]\n[[1 2 3]]"},
    {"[0]", "f64[3] [1 2 3]"},
};

START_TEST(views_by_subscript)
{
    nd_tensor *base = matrix(), *v = nd_tensor_at(base, views[_i].subscript);
    nd_tensor_destroy(base); /* the view keeps the memory */
    shows(v, views[_i].text);
}
END_TEST

START_TEST(views_share_memory)
{
    nd_tensor *base = matrix(), *column = nd_tensor_at(base, "::-1, 1"), *one = nd_tensor_at(column, "0");
    ck_assert_int_eq(nd_tensor_stride(column, 0), -3);
    ck_assert(!nd_tensor_is_contiguous(column));
    ck_assert_int_eq(nd_tensor_fill(one, 50), ND_OK);
    ck_assert(nd_tensor_get(base, 4) == 50);
    nd_tensor_destroy(column);
    nd_tensor_destroy(base);
    shows(one, "f64 50");
}
END_TEST

START_TEST(bad_subscripts_show_the_place)
{
    nd_tensor *t = matrix();
    fails(nd_tensor_at(t, "0, 3"), ND_ERR_ARGUMENT,
          "column 4: index 3 is outside axis 1 of f64[2,3]\n    0, 3\n       ^");
    fails(nd_tensor_at(t, "-3"), ND_ERR_ARGUMENT, "column 1: index -3 is outside axis 0 of f64[2,3]\n    -3\n    ^");
    fails(nd_tensor_at(t, "0, 0, 0"), ND_ERR_ARGUMENT,
          "column 7: 3 indices, but f64[2,3] has 2 axes\n    0, 0, 0\n          ^");
    fails(nd_tensor_at(t, "1, x"), ND_ERR_PARSE,
          "column 4: expected an index, a slice, None or ..., got 'x'\n    1, x\n       ^");
    fails(nd_tensor_at(t, "None,None,None,None,None,None,None"), ND_ERR_ARGUMENT,
          "column 1: the result would have 9 axes, more than 8\n    None,None,None,None,None,None,None\n    ^");
    fails(nd_tensor_at(t, NULL), ND_ERR_ARGUMENT, "nd_tensor_at: the subscript is NULL");
    nd_tensor *s = nd_tensor_string("Tennis");
    fails(nd_tensor_at(s, "0"), ND_ERR_ARGUMENT, "column 1: 1 indices, but string[] has 0 axes\n    0\n    ^");
    shows(nd_tensor_at(s, "..."), "string \"Tennis\"");
    nd_tensor_destroy(s);
    nd_tensor_destroy(t);
}
END_TEST

START_TEST(reshapes_and_transposes)
{
    nd_tensor *t = matrix();
    nd_tensor *flat = nd_tensor_reshape(t, ND_SHAPE(-1));
    ck_assert_ptr_eq(nd_tensor_data(flat), nd_tensor_data(t));
    shows(flat, "f64[6] [1 2 3 4 5 6]");
    nd_tensor *turned = nd_tensor_transpose(t, NULL);
    shows(nd_tensor_view(turned), "f64[3,2]\n[[1 4]\n [2 5]\n [3 6]]");
    nd_tensor *copied = nd_tensor_reshape(turned, ND_SHAPE(2, -1)); /* not contiguous: a copy */
    ck_assert_ptr_ne(nd_tensor_data(copied), nd_tensor_data(t));
    shows(copied, "f64[2,3]\n[[1 4 2]\n [5 3 6]]");
    nd_tensor_destroy(turned);
    shows(nd_tensor_transpose(t, (int[]){0, 1}), "f64[2,3]\n[[1 2 3]\n [4 5 6]]");
    fails(nd_tensor_reshape(t, ND_SHAPE(4)), ND_ERR_ARGUMENT, "f64[2,3] has not the elements of f64[4]");
    fails(nd_tensor_reshape(t, ND_SHAPE(-1, 4)), ND_ERR_ARGUMENT, "f64[2,3] has not the elements of f64[-1,4]");
    fails(nd_tensor_reshape(t, ND_SHAPE(-1, -1)), ND_ERR_ARGUMENT, "f64[2,3] has not the elements of f64[-1,-1]");
    fails(nd_tensor_reshape(t, ND_SHAPE(INT64_MAX, 4)), ND_ERR_ARGUMENT,
          "f64[2,3] has not the elements of f64[9223372036854775807,4]");
    fails(nd_tensor_transpose(t, (int[]){0, 0}), ND_ERR_ARGUMENT, "axis 0 at place 1 of the order is there twice");
    fails(nd_tensor_transpose(t, (int[]){0, 2}), ND_ERR_ARGUMENT, "axis 2 at place 1 of the order is not there");
    nd_tensor_destroy(t);
}
END_TEST

START_TEST(elements)
{
    nd_tensor *t = matrix(), *column = nd_tensor_at(t, ":, 2");
    ck_assert(nd_tensor_get(column, 1) == 6);
    ck_assert_int_eq(nd_tensor_get_i64(column, 0), 3);
    ck_assert(isnan(nd_tensor_get(column, 2)));
    ck_assert(isnan(nd_tensor_get(column, -1)));
    ck_assert_int_eq(nd_tensor_set_i64(column, 1, -9), ND_OK);
    ck_assert(nd_tensor_get(t, 5) == -9);
    ck_assert_int_eq(nd_tensor_set(column, 2, 0), ND_ERR_ARGUMENT);
    ck_assert_str_eq(nd_tensor_error(column), "there is no element 2 in f64[2]");
    ck_assert_int_eq(nd_tensor_status(column), ND_OK);
    nd_tensor *exact = nd_tensor_zeros(ND_I64, ND_SCALAR); /* 2^53 + 1 is no double */
    ck_assert_int_eq(nd_tensor_set_i64(exact, 0, 9007199254740993), ND_OK);
    ck_assert_int_eq(nd_tensor_get_i64(exact, 0), 9007199254740993);
    nd_tensor_destroy(exact);
    nd_tensor_destroy(column);
    nd_tensor_destroy(t);
}
END_TEST

START_TEST(casts)
{
    double values[] = {-1.5, 2.9, 300, 1e20, -1e20, (double)NAN, (double)INFINITY, -0.0};
    nd_tensor *t = nd_tensor_of(ND_F64, ND_SHAPE(8), values);
    shows(nd_tensor_cast(t, ND_U8), "u8[8] [  0   2 255 255   0   0 255   0]");
    shows(nd_tensor_cast(t, ND_I32), "i32[8] [         -1           2         300  2147483647 -2147483648\n            "
                                     "      0  2147483647           0]");
    shows(nd_tensor_cast(t, ND_BOOL), "bool[8] [ True  True  True  True  True  True  True False]");
    nd_tensor *longs = nd_tensor_cast(t, ND_I64), *words = nd_tensor_cast(t, ND_U32);
    int64_t expected[] = {-1, 2, 300, INT64_MAX, INT64_MIN, 0, INT64_MAX, 0};
    for (int i = 0; i < 8; i++) {
        int64_t e = expected[i];
        ck_assert_int_eq(nd_tensor_get_i64(longs, i), e);
        ck_assert_int_eq(nd_tensor_get_i64(words, i), e < 0 ? 0 : e > UINT32_MAX ? UINT32_MAX : e);
    }
    shows(nd_tensor_cast(longs, ND_U8), "u8[8] [255   2  44 255   0   0 255   0]"); /* integers wrap around */
    nd_tensor_destroy(longs);
    nd_tensor_destroy(words);
    nd_tensor_destroy(t);

    /* One rounding only: 2^53 + 1 + 2^29 lies above the middle of two floats, its double in the middle. */
    int64_t odd = 9007199254740993 + ((int64_t)1 << 29);
    t = nd_tensor_of(ND_I64, ND_SCALAR, &odd);
    nd_tensor *f = nd_tensor_cast(t, ND_F32);
    ck_assert(*(float *)nd_tensor_data(f) == (float)odd);
    ck_assert((float)odd != (float)(double)odd);
    nd_tensor_destroy(f);
    nd_tensor_destroy(t);
    nd_tensor *s = nd_tensor_string("x");
    fails(nd_tensor_cast(s, ND_F32), ND_ERR_ARGUMENT, "string cannot be cast to f32");
    nd_tensor_destroy(s);
}
END_TEST

START_TEST(assigns)
{
    nd_tensor *t = nd_tensor_range(ND_I32, 0, 6, 1), *head = nd_tensor_at(t, ":5"), *tail = nd_tensor_at(t, "1:");
    ck_assert_int_eq(nd_tensor_assign(tail, head), ND_OK); /* overlapping */
    shows(nd_tensor_view(t), "i32[6] [0 0 1 2 3 4]");
    ck_assert_int_eq(nd_tensor_assign(head, t), ND_ERR_ARGUMENT);
    ck_assert_str_eq(nd_tensor_error(head), "expected i32[5], got i32[6]");
    nd_tensor *reversed = nd_tensor_at(t, "::-1");
    ck_assert_int_eq(nd_tensor_assign(t, reversed), ND_OK);
    shows(nd_tensor_view(t), "i32[6] [4 3 2 1 0 0]");
    nd_tensor_destroy(reversed);
    nd_tensor_destroy(head);
    nd_tensor_destroy(tail);
    nd_tensor_destroy(t);
}
END_TEST

START_TEST(compares_bits)
{
    uint32_t bits[][3] = {
        {0x3f800000, 0x7fc00000, 0}, {0x3f800000, 0xffc12345, 0}, {0x3f800000, 0x7fc00000, 0x80000000}};
    nd_tensor *a = nd_tensor_of(ND_F32, ND_SHAPE(3), bits[0]), *b = nd_tensor_of(ND_F32, ND_SHAPE(3), bits[1]);
    nd_tensor *c = nd_tensor_of(ND_F32, ND_SHAPE(3), bits[2]), *d = nd_tensor_of(ND_U32, ND_SHAPE(3), bits[0]);
    nd_tensor *e = nd_tensor_reshape(a, ND_SHAPE(1, 3)), *f = nd_tensor_of(ND_U32, ND_SHAPE(3), bits[1]);
    ck_assert(nd_tensor_same_bits(a, b));            /* any NaN is any NaN */
    ck_assert_int_eq(nd_tensor_difference(a, c), 2); /* -0 is not 0 */
    ck_assert_int_eq(nd_tensor_difference(a, d), -2);
    ck_assert_int_eq(nd_tensor_difference(a, e), -2);
    ck_assert_int_eq(nd_tensor_difference(d, f), 1);
    nd_tensor *all[] = {a, b, c, d, e, f};
    for (int i = 0; i < 6; i++)
        nd_tensor_destroy(all[i]);

    nd_tensor *m = matrix(), *turned = nd_tensor_transpose(m, NULL), *copy = nd_tensor_copy(turned);
    ck_assert(nd_tensor_same_bits(turned, copy));
    ck_assert(nd_tensor_is_contiguous(copy));
    nd_tensor_set(copy, 3, 0);
    ck_assert_int_eq(nd_tensor_difference(turned, copy), 3);
    nd_tensor_destroy(copy);
    nd_tensor_destroy(turned);
    nd_tensor_destroy(m);
    nd_tensor *s = nd_tensor_string("a"), *r = nd_tensor_string("b"), *again = nd_tensor_copy(s);
    ck_assert(nd_tensor_same_bits(s, again) && !nd_tensor_same_bits(s, r));
    nd_tensor_destroy(s);
    nd_tensor_destroy(r);
    nd_tensor_destroy(again);
}
END_TEST

/* -- printing ----------------------------------------------------------------------------------------------------- */

#define F64(...)                                                                                                       \
    nd_tensor_of(ND_F64, ND_SHAPE((int64_t)(sizeof((double[]){__VA_ARGS__}) / sizeof(double))), (double[]){__VA_ARGS__})

/* What NumPy prints for the same arrays, but for the point that it leaves behind whole numbers. */
START_TEST(prints_floats_like_numpy)
{
    shows(F64(3.141, 1.414, 2.718), "f64[3] [3.141 1.414 2.718]");
    shows(F64(1, 2.5, 3.25), "f64[3] [1.   2.5  3.25]");
    shows(F64(1.0 / 3, -20), "f64[2] [  0.33333333 -20.        ]");
    shows(F64(1e10, 2e-5), "f64[2] [1e+10 2e-05]");
    shows(F64(1e10, 2.5e-5, 0), "f64[3] [1.0e+10 2.5e-05 0.0e+00]");
    shows(F64(1e10, 1.0 / 3), "f64[2] [1.00000000e+10 3.33333333e-01]");
    shows(F64(1e-300, 1), "f64[2] [1e-300 1e+000]");
    shows(F64(99999999.0), "f64[1] [99999999]");
    shows(F64(1e8), "f64[1] [1e+08]");
    shows(F64(0.0001, 0.05), "f64[2] [0.0001 0.05  ]");
    shows(F64(0.00009), "f64[1] [9e-05]");
    shows(F64((double)NAN, 1, -(double)INFINITY), "f64[3] [ nan    1 -inf]");
    shows(F64((double)NAN, 1.5, (double)INFINITY), "f64[3] [nan 1.5 inf]");
    shows(F64(-0.0, 0), "f64[2] [-0  0]");
    shows(F64(9.9999999999, 1), "f64[2] [10  1]"); /* nothing is left behind the point */
    shows(nd_tensor_of(ND_F32, ND_SHAPE(3), (float[]){0.1F, 1.0F / 3, 16777216}),
          "f32[3] [1.0000000e-01 3.3333334e-01 1.6777216e+07]");
    shows(nd_tensor_of(ND_F64, ND_SCALAR, (double[]){0.1 + 0.2}), "f64 0.30000000000000004");
    shows(nd_tensor_of(ND_F32, ND_SCALAR, (float[]){0.1F}), "f32 0.1");
    shows(nd_tensor_of(ND_F64, ND_SCALAR, (double[]){-1e16}), "f64 -1e+16");
    shows(nd_tensor_of(ND_F64, ND_SCALAR, (double[]){DBL_MAX}), "f64 1.7976931348623157e+308");
    shows(nd_tensor_of(ND_F64, ND_SCALAR, (double[]){5e-324}), "f64 5e-324");
}
END_TEST

START_TEST(prints_the_other_dtypes)
{
    shows(nd_tensor_of(ND_I32, ND_SCALAR, (int32_t[]){76}), "i32 76");
    shows(nd_tensor_of(ND_BOOL, ND_SCALAR, (uint8_t[]){1}), "bool True");
    shows(nd_tensor_of(ND_BOOL, ND_SHAPE(3), (uint8_t[]){1, 0, 1}), "bool[3] [ True False  True]");
    shows(nd_tensor_of(ND_I32, ND_SHAPE(3), (int32_t[]){1, -20, 300}), "i32[3] [  1 -20 300]");
    shows(nd_tensor_of(ND_I64, ND_SCALAR, (int64_t[]){INT64_MIN}), "i64 -9223372036854775808");
    shows(nd_tensor_of(ND_U32, ND_SCALAR, (uint32_t[]){UINT32_MAX}), "u32 4294967295");
    shows(nd_tensor_string("Tennis"), "string \"Tennis\"");
    shows(nd_tensor_zeros(ND_U8, ND_SHAPE(2, 1, 2)), "u8[2,1,2]\n[[[0 0]]\n\n [[0 0]]]");
}
END_TEST

START_TEST(prints_long_ones_short)
{
    nd_tensor *t = nd_tensor_range(ND_I32, 0, 1001, 1);
    shows(nd_tensor_view(t), "i32[1001] [   0    1    2 ...  998  999 1000]");
    nd_tensor_destroy(t);
    t = nd_tensor_range(ND_I32, 0, 1200, 1);
    nd_tensor *r = nd_tensor_reshape(t, ND_SHAPE(2, 100, 6));
    shows(r,
          "i32[2,100,6]\n"
          "[[[   0    1    2    3    4    5]\n  [   6    7    8    9   10   11]\n  [  12   13   14   15   16   17]\n"
          "  ...\n"
          "  [ 582  583  584  585  586  587]\n  [ 588  589  590  591  592  593]\n  [ 594  595  596  597  598  599]]\n\n"
          " [[ 600  601  602  603  604  605]\n  [ 606  607  608  609  610  611]\n  [ 612  613  614  615  616  617]\n"
          "  ...\n"
          "  [1182 1183 1184 1185 1186 1187]\n  [1188 1189 1190 1191 1192 1193]\n  [1194 1195 1196 1197 1198 1199]]]");
    nd_tensor_destroy(t);
    /* A row longer than a line goes on below its first element. */
    shows(nd_tensor_range(ND_I32, 0, 30, 1),
          "i32[30] [ 0  1  2  3  4  5  6  7  8  9 10 11 12 13 14 15 16 17 18 19 20 21\n"
          "         22 23 24 25 26 27 28 29]");
}
END_TEST

START_TEST(text_is_cut_off)
{
    nd_tensor *t = matrix();
    char text[9] = "xxxxxxxx";
    ck_assert_uint_eq(nd_tensor_text(t, text, 5), 27);
    ck_assert_str_eq(text, "f64[");
    ck_assert_uint_eq(nd_tensor_text(t, NULL, 0), 27);
    FILE *full = fopen("/dev/full", "w");
    if (full) { /* where there is one: the file refuses */
        setvbuf(full, NULL, _IONBF, 0);
        ck_assert_int_eq(nd_tensor_print(t, full), ND_ERR_IO);
        fclose(full);
    }
    ck_assert_int_eq(nd_tensor_print(t, NULL), ND_ERR_ARGUMENT);
    nd_tensor_destroy(t);
}
END_TEST

/* Whatever allocation fails: no crash, no leak (the sanitizers look), and a status that says so. */
START_TEST(survives_out_of_memory)
{
    bool failed = true;
    for (int n = 0; failed && n < 100; n++) {
        failing_alloc_begin(n);
        nd_tensor *a = nd_tensor_of(ND_F64, ND_SHAPE(2, 3), (double[]){1, 2, 3, 4, 5, 6});
        nd_tensor *b = nd_tensor_at(a, ":, 1"), *c = nd_tensor_copy(b), *d = nd_tensor_cast(c, ND_I32);
        nd_tensor *e = nd_tensor_transpose(a, NULL), *f = nd_tensor_reshape(e, ND_SHAPE(6)),
                  *s = nd_tensor_string("text");
        nd_tensor *g = nd_tensor_at(a, "7");
        nd_status assigned = nd_tensor_assign(b, c);
        char text[100];
        size_t length = nd_tensor_text(f, text, sizeof text);
        failed = failing_alloc_end();
        nd_tensor *all[] = {a, b, c, d, e, f, s};
        bool any = length == 0 || nd_tensor_status(g) != ND_ERR_ARGUMENT || !strstr(nd_tensor_error(g), "is outside") ||
                   assigned != ND_OK;
        for (int i = 0; i < 7; i++) {
            ck_assert(nd_tensor_status(all[i]) == ND_OK || nd_tensor_status(all[i]) == ND_ERR_MEMORY);
            any |= nd_tensor_status(all[i]) != ND_OK;
            nd_tensor_destroy(all[i]);
        }
        nd_tensor_destroy(g);
        ck_assert(any == failed);
    }
    ck_assert(!failed);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tensor");
    TCase *t = tcase_create("tensor");
    tcase_add_test(t, makes);
    tcase_add_test(t, refuses);
    tcase_add_test(t, poison_passes_through);
    tcase_add_loop_test(t, views_by_subscript, 0, sizeof views / sizeof *views);
    tcase_add_test(t, views_share_memory);
    tcase_add_test(t, bad_subscripts_show_the_place);
    tcase_add_test(t, reshapes_and_transposes);
    tcase_add_test(t, elements);
    tcase_add_test(t, casts);
    tcase_add_test(t, assigns);
    tcase_add_test(t, compares_bits);
    tcase_add_test(t, prints_floats_like_numpy);
    tcase_add_test(t, prints_the_other_dtypes);
    tcase_add_test(t, prints_long_ones_short);
    tcase_add_test(t, text_is_cut_off);
    tcase_add_test(t, survives_out_of_memory);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
