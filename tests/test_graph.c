/* What the builder says of each class of mistake, and that a failed module stays as it failed. The modules that the
 * builder makes are looked at by the other suites. */
#include "compiler/graph/graph.h"
#include "run_suite.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

/* Operands with places of their own, the same in every test. */
typedef struct lab {
    nd_module *m;
    nd_value *x, *y, *i, *c, *u8, *s, *n, *t, *key, *w, *deep;
    int64_t B, T;
} lab;

static lab lab_create(void)
{
    lab l = {.m = nd_module_create("lab")};
    l.B = nd_dim(l.m, "B", 32);
    l.T = nd_dim(l.m, "T", 5);
    l.x = nd_input_at("net.c:1", l.m, "x", ND_F32, ND_SHAPE(2, 3));
    l.y = nd_input_at("net.c:2", l.m, "y", ND_F32, ND_SHAPE(3, 2));
    l.i = nd_input_at("net.c:3", l.m, "i", ND_I32, ND_SHAPE(2, 3));
    l.c = nd_input_at("net.c:4", l.m, "c", ND_BOOL, ND_SHAPE(2, 3));
    l.u8 = nd_input_at("net.c:5", l.m, "u8", ND_U8, ND_SHAPE(4));
    l.s = nd_input_at("net.c:6", l.m, "s", ND_F32, ND_SCALAR);
    l.n = nd_input_at("net.c:7", l.m, "n", ND_F32, ND_SHAPE(l.B, 3));
    l.t = nd_input_at("net.c:8", l.m, "t", ND_F32, ND_SHAPE(l.B, l.T, 4));
    l.key = nd_input_at("net.c:9", l.m, "key", ND_U32, ND_SHAPE(2));
    l.w = nd_variable_at("net.c:10", l.m, "w", ND_F32, ND_SHAPE(2, 3), nd_zeros());
    l.deep = nd_input_at("net.c:11", l.m, "deep", ND_F32, ND_SHAPE(1, 1, 1, 1, 1, 1, 1, 1));
    ck_assert_msg(nd_module_status(l.m) == ND_OK, "%s", nd_module_error(l.m));
    return l;
}

/* The module failed with this message, passes poison on, and keeps its first message. */
static void check_failed(int line, nd_module *m, nd_status status, const char *message)
{
    ck_assert_msg(strcmp(nd_module_error(m), message) == 0, "line %d: expected\n%s\ngot\n%s", line, message,
                  nd_module_error(m));
    ck_assert_msg(nd_module_status(m) == status, "line %d: %s", line, nd_status_text(nd_module_status(m)));
    const int nodes = m->node_count;
    nd_value *later = nd_add(nd_input(m, "later", ND_F32, ND_SCALAR), nd_const(m, 1));
    ck_assert_msg(nd_value_is_poison(later) && later && nd_value_is_poison(nd_neg(later)), "line %d: no poison", line);
    ck_assert_msg(m->node_count == nodes && strcmp(nd_module_error(m), message) == 0, "line %d: changed", line);
}

/* The statements fail the lab's module with that status and message. */
#define FAILS(status, message, ...)                                                                                    \
    do {                                                                                                               \
        lab l = lab_create();                                                                                          \
        __VA_ARGS__;                                                                                                   \
        check_failed(__LINE__, l.m, status, message);                                                                  \
        nd_module_destroy(l.m);                                                                                        \
    } while (0)
#define SAYS(message, ...) FAILS(ND_ERR_GRAPH, message, __VA_ARGS__)

#define X    "\n  note: operand 0, \"x\" f32[2,3], is the input made at net.c:1"
#define Y(k) "\n  note: operand " #k ", \"y\" f32[3,2], is the input made at net.c:2"
#define I(k) "\n  note: operand " #k ", \"i\" i32[2,3], is the input made at net.c:3"
#define C(k) "\n  note: operand " #k ", \"c\" bool[2,3], is the input made at net.c:4"
#define N(k) "\n  note: operand " #k ", \"n\" f32[B=32,3], is the input made at net.c:7"
#define T(k) "\n  note: operand " #k ", \"t\" f32[B=32,T=5,4], is the input made at net.c:8"

START_TEST(elementwise)
{
    SAYS("at:1: add: shapes do not broadcast, f32[2,3] and f32[3,2]" X Y(1), nd_add_at("at:1", l.x, l.y));
    SAYS("at:1: mul: dtypes differ, f32 and i32; nothing is promoted, use nd_cast" X I(1), nd_mul_at("at:1", l.x, l.i));
    /* The note shows what the caller gave, not the broadcast that the call made of it. */
    SAYS("at:1: sub: dtypes differ, f32 and i32; nothing is promoted, use nd_cast"
         "\n  note: operand 0, \"s\" f32, is the input made at net.c:6" I(1),
         nd_sub_at("at:1", l.s, l.i));
    SAYS("at:1: div: operand \"i\" is i32[2,3], expected floats" I(0) I(1), nd_div_at("at:1", l.i, l.i));
    SAYS("at:1: floordiv: operand \"x\" is f32[2,3], expected integers" X
         "\n  note: operand 1, \"x\" f32[2,3], is the input made at net.c:1",
         nd_floordiv_at("at:1", l.x, l.x));
    SAYS("at:1: lt: operand \"c\" is bool[2,3], expected numbers" C(0) C(1), nd_lt_at("at:1", l.c, l.c));
    SAYS("at:1: xor: operand \"x\" is f32[2,3], expected bool or integers" X
         "\n  note: operand 1, \"x\" f32[2,3], is the input made at net.c:1",
         nd_xor_at("at:1", l.x, l.x));
    SAYS("at:1: exp: operand \"i\" is i32[2,3], expected floats" I(0), nd_exp_at("at:1", l.i));
    SAYS("at:1: select: the condition is f32[2,3], expected bool" X
         "\n  note: operand 1, \"x\" f32[2,3], is the input made at net.c:1\n  note: operand 2, \"x\" f32[2,3], is the "
         "input made at net.c:1",
         nd_select_at("at:1", l.x, l.x, l.x));
    SAYS("at:1: select: dtypes differ, f32 and i32; nothing is promoted, use nd_cast" C(
             0) "\n  note: operand 1, \"x\" f32[2,3], is the input made at net.c:1" I(2),
         nd_select_at("at:1", l.c, l.x, l.i));
    SAYS("at:1: fma: shapes do not broadcast, f32[2,3] and f32[3,2]" X
         "\n  note: operand 1, \"s\" f32, is the input made at net.c:6" Y(2),
         nd_fma_at("at:1", l.x, l.s, l.y));
    SAYS("at:1: cast: string is no dtype of a graph" X, nd_cast_at("at:1", l.x, ND_STRING));
}
END_TEST

START_TEST(weak_constants)
{
    SAYS("at:1: the constant 1.5 beside i32: it is no i32", nd_add_at("at:1", l.i, nd_const_at("at:0", l.m, 1.5)));
    SAYS("at:1: the constant 256 beside u8: it is no u8", nd_add_at("at:1", nd_const_at("at:0", l.m, 256), l.u8));
    SAYS("at:1: the constant 2 beside bool: it is no bool", nd_and_at("at:1", l.c, nd_const_at("at:0", l.m, 2)));
    SAYS("at:1: constant: -1 is no u32", nd_const_of_at("at:1", l.m, ND_U32, -1));
    SAYS("at:1: constant: 0.5 is no i64", nd_filled_at("at:1", l.m, ND_I64, ND_SHAPE(2), 0.5));
    SAYS("at:1: constant: 1 is no string", nd_const_of_at("at:1", l.m, ND_STRING, 1));
}
END_TEST

START_TEST(reductions_and_axes)
{
    SAYS("at:1: sum: axis 2 is outside -2..1" X, nd_sum_at("at:1", l.x, ND_AXES(0, 2), false));
    SAYS("at:1: sum: axis -3 is outside -2..1" X, nd_sum_at("at:1", l.x, ND_AXES(-3), false));
    SAYS("at:1: reduce_max: axis -1 is named twice", nd_reduce_max_at("at:1", l.x, ND_AXES(1, -1), true));
    SAYS("at:1: reduce_min: 9 axes, at most 8",
         nd_reduce_min_at("at:1", l.x, ND_AXES(0, 0, 0, 0, 0, 0, 0, 0, 0), false));
    SAYS("at:1: sum: operand \"c\" is bool[2,3], expected numbers" C(0), nd_sum_at("at:1", l.c, ND_ALL_AXES, false));
    SAYS("at:1: mean: \"i\" is i32[2,3], expected floats", nd_mean_at("at:1", l.i, ND_ALL_AXES, false));
    SAYS("at:1: argmax: axis 0 is outside 0..-1\n  note: operand 0, \"s\" f32, is the input made at net.c:6",
         nd_argmax_at("at:1", l.s, 0));
    SAYS("at:1: argmin: axis 1 of f32[2,0] is empty\n  note: operand 0, \"e\" f32[2,0], is the input made at net.c:12",
         nd_argmin_at("at:1", nd_input_at("net.c:12", l.m, "e", ND_F32, ND_SHAPE(2, 0)), 1));
    SAYS("at:1: transpose: 1 axes for \"x\" f32[2,3]", nd_transpose_at("at:1", l.x, ND_AXES(0)));
    SAYS("at:1: transpose: axis 0 is named twice" X, nd_transpose_at("at:1", l.x, ND_AXES(0, -2)));
    SAYS("at:1: transpose: axis 5 is outside -2..1" X, nd_transpose_at("at:1", l.x, ND_AXES(0, 5)));
    SAYS("at:1: iota: axis 1 is outside -1..0", nd_iota_at("at:1", l.m, ND_I32, ND_SHAPE(4), 1));
    SAYS("at:1: iota: bool is no number", nd_iota_at("at:1", l.m, ND_BOOL, ND_SHAPE(4), 0));
}
END_TEST

START_TEST(products)
{
    SAYS("at:1: matmul: inner sizes differ, f32[2,3] x f32[2,3]" X
         "\n  note: operand 1, \"w\" f32[2,3], is the variable made at net.c:10",
         nd_matmul_at("at:1", l.x, l.w));
    SAYS("at:1: matmul: inner sizes differ, f32[2,3] transposed x f32[3,2]" X Y(1),
         nd_matmul_t_at("at:1", l.x, true, l.y, false));
    SAYS("at:1: matmul: f32[2,3] x f32, a scalar has no rows; use nd_mul" X
         "\n  note: operand 1, \"s\" f32, is the input made at net.c:6",
         nd_matmul_at("at:1", l.x, l.s));
    SAYS("at:1: matmul: dtypes differ, f32 and i32; nothing is promoted, use nd_cast" Y(0) I(1),
         nd_matmul_at("at:1", l.y, l.i));
    SAYS("at:1: matmul: leading axes do not broadcast, f32[B=32,T=5,4] x f32[2,4,3]" T(
             0) "\n  note: operand 1, \"z\" f32[2,4,3], is the input made at net.c:12",
         nd_matmul_at("at:1", l.t, nd_input_at("net.c:12", l.m, "z", ND_F32, ND_SHAPE(2, 4, 3))));
    SAYS("at:1: matmul: expected two operands of one rank from 2, got f32[2,3] x f32" X
         "\n  note: operand 1, \"s\" f32, is the input made at net.c:6",
         nd_matmul_t_at("at:1", l.x, false, l.s, true));
    SAYS("at:1: matmul: the band from 1 to 0 is empty" X Y(1),
         nd_matmul_with_at("at:1", l.x, l.y, &(nd_matmul_options){.band = ND_BAND_A, .lower = 1}));
    SAYS("at:1: matmul: the band is of operand a, operand b or the result, not of 4" X Y(1),
         nd_matmul_with_at("at:1", l.x, l.y, &(nd_matmul_options){.band = (nd_band)4}));
    SAYS("at:1: banded: \"s\" is f32, expected rank 2 or more\n  note: operand 0, \"s\" f32, is the input made at "
         "net.c:6",
         nd_banded_at("at:1", l.s, 0, 0, 0));
    SAYS("at:1: banded: the band from 2 to 1 is empty", nd_banded_at("at:1", l.x, 2, 1, 0));
}
END_TEST

START_TEST(shapes)
{
    SAYS("at:1: reshape: f32[2,3] does not have the elements of f32[4]" X, nd_reshape_at("at:1", l.x, ND_SHAPE(4)));
    SAYS("at:1: reshape: \"x\" f32[2,3] does not divide into what -1 leaves open",
         nd_reshape_at("at:1", l.x, ND_SHAPE(4, -1)));
    SAYS("at:1: reshape: more than one size is -1", nd_reshape_at("at:1", l.x, ND_SHAPE(-1, -1)));
    SAYS("at:1: reshape: the size -2 of axis 1 is negative" X, nd_reshape_at("at:1", l.x, ND_SHAPE(3, -2)));
    SAYS("at:1: reshape: rank 9 is outside 0..8" X, nd_reshape_at("at:1", l.x, ND_SHAPE(1, 1, 1, 1, 1, 1, 1, 2, 3)));
    SAYS("at:1: broadcast: f32[2,3] does not broadcast to f32[2,4]" X, nd_broadcast_at("at:1", l.x, ND_SHAPE(2, 4)));
    SAYS("at:1: broadcast: f32[2,3] does not broadcast to f32[3]" X, nd_broadcast_at("at:1", l.x, ND_SHAPE(3)));
    SAYS("at:1: slice: 3 elements from 1 by 1 leave axis 1 of f32[2,3]" X,
         nd_slice_at("at:1", l.x, (int64_t[]){0, 1}, (int64_t[]){2, 3}, (int64_t[]){1, 1}));
    SAYS("at:1: slice: the step of axis 0 is 0" X,
         nd_slice_at("at:1", l.x, (int64_t[]){0, 0}, (int64_t[]){1, 1}, (int64_t[]){0, 1}));
    SAYS("at:1: slice: 1152921504606846976 elements from 0 by 9223372036854775807 leave axis 0 of f32[2,3]" X,
         nd_slice_at("at:1", l.x, (int64_t[]){0, 0}, (int64_t[]){(int64_t)1 << 60, 1}, (int64_t[]){INT64_MAX, 1}));
    FAILS(ND_ERR_ARGUMENT, "at:1: slice: start, size or step is NULL",
          nd_slice_at("at:1", l.x, NULL, (int64_t[]){1, 1}, (int64_t[]){1, 1}));
    SAYS("at:1: subscript: 3 indices for the 2 axes of \"x\" f32[2,3]", nd_at_at("at:1", l.x, "0, 0, 0"));
    SAYS("at:1: subscript: index -3 is outside axis 0 of \"x\" f32[2,3]", nd_at_at("at:1", l.x, "-3"));
    SAYS("at:1: reshape: rank 9 is outside 0..8\n  note: operand 0, \"deep\" f32[1,1,1,1,1,1,1,1], is the input made "
         "at net.c:11",
         nd_at_at("at:1", l.deep, "None"));
    FAILS(ND_ERR_ARGUMENT, "at:1: nd_at: the subscript is NULL", nd_at_at("at:1", l.x, NULL));
    SAYS("at:1: concat: f32[3,2] does not fit f32[2,3] along axis 0" X Y(1),
         nd_concat_at("at:1", ND_VALUES(l.x, l.y), 0));
    SAYS("at:1: concat: dtypes differ, f32 and i32; nothing is promoted, use nd_cast" X I(1),
         nd_concat_at("at:1", ND_VALUES(l.x, l.i), 0));
    SAYS("at:1: concat: axis -3 is outside -2..1" X, nd_concat_at("at:1", ND_VALUES(l.x, l.x), -3));
    SAYS("at:1: pad: the padding of axis 1 is negative; use slice to cut" X,
         nd_pad_at("at:1", l.x, (int64_t[]){0, -1}, NULL, NULL, 0));
    SAYS("at:1: pad: axis 0 becomes too large" X, nd_pad_at("at:1", l.x, (int64_t[]){INT64_MAX, 0}, NULL, NULL, 0));
    SAYS("at:1: constant: 0.5 is no i32", nd_pad_at("at:1", l.i, NULL, NULL, NULL, 0.5));
    SAYS("at:1: gather: the table is f32, expected rank 1 or more\n  note: operand 0, \"s\" f32, is the input made at "
         "net.c:6" I(1),
         nd_gather_at("at:1", l.s, l.i));
    SAYS("at:1: gather: the indices are f32[3,2], expected integers" X Y(1), nd_gather_at("at:1", l.x, l.y));
    SAYS("at:1: gather: the result's rank 9 exceeds 8\n  note: operand 0, \"deep\" f32[1,1,1,1,1,1,1,1], is the input "
         "made at net.c:11" I(1),
         nd_gather_at("at:1", l.deep, l.i));
    SAYS("at:1: scatter_add: the updates f32[3,2] do not begin with the indices' shape i32[2,3]" Y(0) I(1),
         nd_scatter_add_at("at:1", l.y, l.i, 5));
    SAYS("at:1: scatter_add: the number of rows -5 is negative" X I(1), nd_scatter_add_at("at:1", l.x, l.i, -5));
    SAYS("at:1: random_bits: the key is u32[4], expected u32[2]\n  note: operand 0 is %12 u32[4], made by cast",
         nd_random_bits_at("at:1", nd_cast_at("", l.u8, ND_U32), 0, ND_SHAPE(2)));
}
END_TEST

/* An image and a kernel of those shapes, and `options` that are none yet. */
#define WINDOWS(image, kernel)                                                                                         \
    nd_value *v = nd_input_at("net.c:20", l.m, "image", ND_F32, image);                                                \
    nd_value *k = nd_input_at("net.c:21", l.m, "kernel", ND_F32, kernel);                                              \
    nd_conv_options o = {{0}, {0}, {0}, false, {0}, 0, {0}};                                                           \
    nd_pool_options p = {{2, 2}, {0}, {0}, {0}, false};                                                                \
    (void)o, (void)p, (void)k
#define WINDOWS_OF_5 WINDOWS(ND_SHAPE(l.B, 5, 5, 4), ND_SHAPE(3, 3, 4, 6))
#define IMAGE        "\n  note: operand 0, \"image\" f32[B=32,5,5,4], is the input made at net.c:20"
#define KERNEL       "\n  note: operand 1, \"kernel\" f32[3,3,4,6], is the input made at net.c:21"

START_TEST(windows)
{
    SAYS(
        "at:1: conv2d: the image has 4 channels, the kernel takes 3\n  note: operand 0, \"image\" f32[1,5,5,4], is the "
        "input made at net.c:20\n  note: operand 1, \"kernel\" f32[3,3,3,6], is the input made at net.c:21",
        WINDOWS(ND_SHAPE(1, 5, 5, 4), ND_SHAPE(3, 3, 3, 6));
        nd_conv2d_at("at:1", v, k, NULL));
    SAYS("at:1: conv2d: the image has 4 channels, the kernel takes 4 for each of 2 groups" IMAGE KERNEL, WINDOWS_OF_5;
         o.groups = 2; nd_conv2d_at("at:1", v, k, &o));
    SAYS("at:1: conv2d: a window of height 7 does not fit 5 and 1 of padding" IMAGE KERNEL, WINDOWS_OF_5;
         o.dilation[0] = 3; o.high[0] = 1; nd_conv2d_at("at:1", v, k, &o));
    SAYS("at:1: conv2d: the stride -1 along the width is not a number from 1" IMAGE KERNEL, WINDOWS_OF_5;
         o.stride[1] = -1; nd_conv2d_at("at:1", v, k, &o));
    SAYS("at:1: conv2d: the image is f32[2,3], expected rank 4: [N, height, width, channels]" X KERNEL, WINDOWS_OF_5;
         (void)v; nd_conv2d_at("at:1", l.x, k, NULL));
    SAYS("at:1: conv2d: axis 1 of the image f32[1,B=32,5,4] is named, only the batch may be\n  note: operand 0, "
         "\"image\" "
         "f32[1,B=32,5,4], is the input made at net.c:20" KERNEL,
         WINDOWS(ND_SHAPE(1, l.B, 5, 4), ND_SHAPE(3, 3, 4, 6));
         nd_conv2d_at("at:1", v, k, NULL));
    SAYS("at:1: conv2d: the width becomes too large" IMAGE KERNEL, WINDOWS_OF_5;
         o.low[1] = o.high[1] = (int64_t)1 << 60; nd_conv2d_at("at:1", v, k, &o));
    SAYS("at:1: conv2d: dtypes differ, f32 and i32; nothing is promoted, use nd_cast" IMAGE
         "\n  note: operand 1 is %14 i32[3,3,4,6], made by cast",
         WINDOWS_OF_5;
         nd_conv2d_at("at:1", v, nd_cast_at("", k, ND_I32), NULL));
    SAYS("at:1: conv2d_transpose: the convolution of f32[B=32,4,9,4] gives f32[B=32,2,7,6], not f32[B=32,1,7,6]\n  "
         "note: "
         "operand 0 is "
         "%14 f32[B=32,1,7,6], made by slice" KERNEL,
         WINDOWS(ND_SHAPE(l.B, 2, 7, 6), ND_SHAPE(3, 3, 4, 6));
         o.size[0] = 4; nd_conv2d_transpose_at("at:1", nd_at_at("", v, ":, :1"), k, &o));
    SAYS("at:1: conv1d: \"x\" is f32[2,3], expected rank 3: [N, length, channels]" X, WINDOWS_OF_5; (void)v;
         nd_conv1d_at("at:1", l.x, k, &o));
    SAYS("at:1: conv1d: a window of width 9 does not fit 5 and 0 of padding\n"
         "  note: operand 0, %18 f32[B=32,1,5,4], is the reshape made at at:1\n"
         "  note: operand 1, %20 f32[1,3,4,6], is the reshape made at at:1",
         WINDOWS_OF_5;
         o.dilation[0] = 4; nd_conv1d_at("at:1", nd_at_at("", v, ":, 0"), nd_at_at("", k, "0"), &o));
    SAYS("at:1: avg_pool1d: windows of width 2 over 5 elements with 2 and 0 of padding: some have no element",
         WINDOWS_OF_5;
         p.low[0] = 2; nd_avg_pool1d_at("at:1", nd_at_at("", v, ":, 0"), &p));
    SAYS("at:1: max_pool1d: operand %17 is bool[B=32,1,5,4], expected numbers\n"
         "  note: operand 0, %17 bool[B=32,1,5,4], is the reshape made at at:1",
         WINDOWS_OF_5;
         nd_max_pool1d_at("at:1", nd_cast_at("", nd_at_at("", v, ":, 0"), ND_BOOL), &p));
    SAYS("at:1: max_pool2d: the padding along the width is not smaller than the window's 2" IMAGE, WINDOWS_OF_5;
         p.low[1] = 2; nd_max_pool2d_at("at:1", v, &p));
    SAYS("at:1: max_pool2d: the window's height 0 is less than 1", WINDOWS_OF_5; p.window[0] = 0;
         nd_max_pool2d_at("at:1", v, &p));
    SAYS("at:1: avg_pool2d: %14 is i32[B=32,5,5,4], expected floats", WINDOWS_OF_5;
         nd_avg_pool2d_at("at:1", nd_cast_at("", v, ND_I32), &p));
    FAILS(ND_ERR_ARGUMENT, "at:1: max_pool2d: the options are NULL, a pool needs its window", WINDOWS_OF_5;
          nd_max_pool2d_at("at:1", v, NULL));
}
END_TEST

/* The sizes that windows give, also of the convolution that goes back. */
START_TEST(places_of_windows)
{
    static const int64_t expected[][2] = {{3, 3}, {2, 3}, {5, 5}, {3, 2}};
    nd_module *m = nd_module_create("places");
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(nd_dim(m, "B", 2), 5, 5, 2)),
             *k = nd_input(m, "k", ND_F32, ND_SHAPE(3, 3, 2, 2));
    const nd_conv_options options[] = {{.groups = 1},
                                       {.stride = {2, 1}},
                                       {.same = true, .dilation = {2, 1}},
                                       {.same = true, .stride = {2, 3}, .size = {5, 5}}};
    for (int i = 0; i < 4; i++) {
        nd_shape y = nd_value_shape(nd_conv2d(x, k, &options[i]));
        nd_shape back = nd_value_shape(nd_conv2d_transpose(nd_conv2d(x, k, &options[i]), k, &options[i]));
        ck_assert_msg(nd_module_status(m) == ND_OK, "%s", nd_module_error(m));
        ck_assert(y.dims[0] == x->shape.dims[0] && y.dims[1] == expected[i][0] && y.dims[2] == expected[i][1]);
        ck_assert(nd__shape_equal(&back, &x->shape));
    }
    nd_shape doubled = nd_value_shape(nd_conv2d_transpose(x, k, (&(nd_conv_options){.same = true, .stride = {2, 2}})));
    ck_assert(doubled.dims[1] == 10 && doubled.dims[2] == 10);
    nd_shape pooled = nd_value_shape(nd_max_pool2d(x, (&(nd_pool_options){.window = {2, 3}, .stride = {0, 1}})));
    ck_assert(pooled.dims[1] == 2 && pooled.dims[2] == 3);
    nd_module_destroy(m);
}
END_TEST

START_TEST(sizes)
{
    SAYS("at:1: input: rank 9 is outside 0..8",
         nd_input_at("at:1", l.m, "a", ND_F32, ND_SHAPE(1, 1, 1, 1, 1, 1, 1, 1, 1)));
    SAYS("at:1: input: the size -4 of axis 1 is negative", nd_input_at("at:1", l.m, "a", ND_F32, ND_SHAPE(2, -4)));
    SAYS("at:1: input: string values are for the host only, a graph cannot compute with them",
         nd_input_at("at:1", l.m, "a", ND_STRING, ND_SCALAR));
    FAILS(ND_ERR_ARGUMENT, "at:1: nd_input: the name is missing", nd_input_at("at:1", l.m, "", ND_F32, ND_SCALAR));
    SAYS("at:1: input: the result f32[4294967296,4294967296] is too large",
         nd_input_at("at:1", l.m, "a", ND_F32, ND_SHAPE((int64_t)1 << 32, (int64_t)1 << 32)));
    SAYS("at:1: broadcast: the result f32[1000000000000,1000000000000,2,3] is too large" X,
         nd_broadcast_at("at:1", l.x, ND_SHAPE(1000000000000, 1000000000000, 2, 3)));
    SAYS("at:1: constant: the result f32[16777216,16777217] is too large",
         nd_filled_at("at:1", l.m, ND_F32, ND_SHAPE(1 << 24, (1 << 24) + 1), 0));
    SAYS("at:1: size: the size -1 is negative", nd_size_at("at:1", l.m, ND_F32, -1));
    /* a named dimension of another module, or a number as large as one */
    SAYS("at:1: input: the size 2305843009213693999 of axis 0 is neither a size nor a named dimension of this module",
         nd_input_at("at:1", l.m, "a", ND_F32, ND_SHAPE(((int64_t)1 << 61) + 47)));
    SAYS("at:1: reshape: the size 2305843009213693999 of axis 0 is neither a size nor a named dimension of this "
         "module" X,
         nd_reshape_at("at:1", l.x, ND_SHAPE(((int64_t)1 << 61) + 47)));
    SAYS("at:1: reshape: \"x\" f32[2,3] does not divide into what -1 leaves open",
         nd_reshape_at("at:1", l.x, ND_SHAPE(((int64_t)1 << 61) + 47, -1)));
}
END_TEST

START_TEST(named_dimensions)
{
    SAYS("at:1: add: shapes do not broadcast, f32[B=32,3] and f32[2,3]" N(
             0) "\n  note: operand 1, \"x\" f32[2,3], is the input made at net.c:1",
         nd_add_at("at:1", l.n, l.x));
    SAYS("at:1: concat: B=32 + 2 is not a number times a product of named dimensions" N(
             0) "\n  note: operand 1, \"x\" f32[2,3], is the input made at net.c:1",
         nd_concat_at("at:1", ND_VALUES(l.n, l.x), 0));
    SAYS("at:1: pad: axis 0 of f32[B=32,3] is named, its padded size is not a number times a product of named "
         "dimensions" N(0),
         nd_pad_at("at:1", l.n, (int64_t[]){1, 0}, NULL, NULL, 0));
    SAYS("at:1: subscript: axis 0 of \"n\" f32[B=32,3] is named; a part of it is not a number times a product of names",
         nd_at_at("at:1", l.n, "1:"));
    SAYS("at:1: reshape: f32[B=32,3] does not have the elements of f32[32,3]" N(0),
         nd_reshape_at("at:1", l.n, ND_SHAPE(32, 3)));
    SAYS("at:1: reshape: \"n\" f32[B=32,3] does not divide into what -1 leaves open",
         nd_reshape_at("at:1", l.n, ND_SHAPE(l.T, -1)));
    SAYS("at:1: variable \"v\": axis 1 has the named size B=32, a variable keeps its shape when dimensions are bound",
         nd_variable_at("at:1", l.m, "v", ND_F32, ND_SHAPE(2, l.B), nd_zeros()));
    SAYS("at:1: dimension \"B\" has the value 32, now it is given as 17", nd_dim_at("at:1", l.m, "B", 17));
    FAILS(ND_ERR_ARGUMENT, "at:1: dimension \"2B\": expected a letter, then letters, digits or _",
          nd_dim_at("at:1", l.m, "2B", 17));
    FAILS(ND_ERR_ARGUMENT, "at:1: dimension \"C\": the value -1 is not a size", nd_dim_at("at:1", l.m, "C", -1));
    FAILS(ND_ERR_ARGUMENT, "at:1: dimension \"\": expected a letter, then letters, digits or _",
          nd_dim_at("at:1", l.m, NULL, 1));
}
END_TEST

START_TEST(null_poison_and_other_modules)
{
    FAILS(ND_ERR_ARGUMENT, "at:1: add: operand 1 is NULL", nd_add_at("at:1", l.x, NULL));
    FAILS(ND_ERR_ARGUMENT, "at:1: select: operand 0 is NULL", nd_select_at("at:1", NULL, l.x, l.x));
    FAILS(ND_ERR_ARGUMENT, "at:1: constant: the tensor is NULL: a mistake, or out of memory",
          nd_const_tensor_at("at:1", l.m, NULL));
    FAILS(ND_ERR_ARGUMENT, "at:1: concat: operand 0 is NULL", nd_concat_at("at:1", ND_VALUES(NULL, l.x), 0));
    FAILS(ND_ERR_GRAPH, "at:1: function \"g\": inputs of another module, or NULL",
          nd_function_at("at:1", l.m, "g", (nd_values){2, NULL}, ND_VALUES(l.x)));
    ck_assert_ptr_null(nd_concat(((nd_values){2, NULL}), 0));
    ck_assert_ptr_null(nd_add(NULL, NULL));
    ck_assert_ptr_null(nd_neg(NULL));
    ck_assert_ptr_null(nd_reshape(NULL, ND_SHAPE(2)));
    ck_assert_ptr_null(nd_input(NULL, "x", ND_F32, ND_SCALAR));
    ck_assert_ptr_null(nd_concat(ND_VALUES(), 0));
    ck_assert_ptr_null(nd_at(NULL, "0"));
    ck_assert_ptr_null(nd_function(NULL, "f", ND_VALUES(), ND_VALUES()));

    nd_module *other = nd_module_create("other");
    nd_value *z = nd_input_at("other.c:1", other, "z", ND_F32, ND_SCALAR);
    FAILS(ND_ERR_GRAPH, "at:1: add: operand 1, \"z\", belongs to another module, \"other\"", nd_add_at("at:1", l.x, z));
    check_failed(__LINE__, other, ND_ERR_GRAPH,
                 "at:1: add: operand 1 belongs to this module, another operand to \"lab\"");
    nd_module_destroy(other);
}
END_TEST

START_TEST(variables_and_functions)
{
    SAYS("at:1: variable \"w\": there is one of that name\n  note: it was declared at net.c:10",
         nd_variable_at("at:1", l.m, "w", ND_F32, ND_SCALAR, nd_zeros()));
    FAILS(ND_ERR_ARGUMENT, "at:1: variable \"a b\": a name has one character or more, no spaces, quotes or backslashes",
          nd_variable_at("at:1", l.m, "a b", ND_F32, ND_SCALAR, nd_zeros()));
    SAYS("at:1: variable \"v\": f32[4] has no fans; they need rank 2 or more",
         nd_variable_at("at:1", l.m, "v", ND_F32, ND_SHAPE(4), nd_he_normal()));
    SAYS("at:1: variable \"v\": a random initial value of i32; expected floats",
         nd_variable_at("at:1", l.m, "v", ND_I32, ND_SHAPE(4), nd_random_normal(0, 1)));
    FAILS(ND_ERR_ARGUMENT, "at:1: function \"a-b\": expected a letter or _, then letters, digits or _",
          nd_function_at("at:1", l.m, "a-b", ND_VALUES(), ND_VALUES()));
    SAYS("at:2: function \"f\": there is one of that name\n  note: it was made at at:1",
         nd_function_at("at:1", l.m, "f", ND_VALUES(), ND_VALUES());
         nd_function_at("at:2", l.m, "f", ND_VALUES(), ND_VALUES()));
    SAYS("at:1: function \"init\": the name is taken by what sets the variables",
         nd_function_at("at:1", l.m, "init", ND_VALUES(), ND_VALUES()));
    SAYS("at:1: function \"f\": two inputs are named \"x\"",
         nd_function_at("at:1", l.m, "f", ND_VALUES(l.x, l.y, l.x), ND_VALUES()));
    SAYS("at:1: function \"f\": input 0, \"w\", was made by variable, not by nd_input",
         nd_function_at("at:1", l.m, "f", ND_VALUES(l.w), ND_VALUES()));

    SAYS(
        "at:1: assign: variable \"w\" is f32[2,3], the value \"y\" is f32[3,2]\n  note: \"w\" was declared at net.c:10",
        nd_assign_at("at:1", nd_function(l.m, "f", ND_VALUES(), ND_VALUES()), l.w, l.y));
    SAYS("at:1: assign: \"x\" was made by input, it is no variable",
         nd_assign_at("at:1", nd_function(l.m, "f", ND_VALUES(), ND_VALUES()), l.x, l.w));
    SAYS("at:2: assign: \"w\" already gets a value in the function \"f\"\n  note: the other assignment is at at:1",
         nd_function *f = nd_function(l.m, "f", ND_VALUES(l.x), ND_VALUES());
         nd_assign_at("at:1", f, l.w, l.x); nd_assign_at("at:2", f, l.w, l.w));
    FAILS(ND_ERR_ARGUMENT, "at:1: assign: the function is NULL", nd_assign_at("at:1", NULL, l.w, l.w));
    FAILS(ND_ERR_ARGUMENT, "at:1: assign: operand 1 is NULL",
          nd_assign_at("at:1", nd_function(l.m, "f", ND_VALUES(), ND_VALUES()), l.w, NULL));
    FAILS(ND_ERR_ARGUMENT, "net.c:1: nd_name: a name has no quotes, backslashes or control characters",
          nd_name(l.x, "a\"b"));
    FAILS(ND_ERR_ARGUMENT, "net.c:1: nd_name: the name is NULL", nd_name(l.x, NULL));

    nd_module *bad = nd_module_create("2x");
    check_failed(__LINE__, bad, ND_ERR_ARGUMENT, "module name \"2x\": expected a letter, then letters, digits, _ or -");
    nd_module_destroy(bad);
}
END_TEST

START_TEST(control_flow)
{
    nd_value *out[3];
#define F(name, ...) nd_function_at("net.c:20", l.m, name, __VA_ARGS__)
    SAYS("at:1: apply: the function \"f\" takes 1 value, got 2",
         nd_apply_at("at:1", F("f", ND_VALUES(l.x), ND_VALUES(l.x)), ND_VALUES(l.x, l.x), out));
    SAYS("at:1: apply: \"f\" takes f32[2,3] for its input \"x\", got f32[3,2]" Y(0),
         nd_apply_at("at:1", F("f", ND_VALUES(l.x), ND_VALUES(l.x)), ND_VALUES(l.y), out));
    SAYS("at:1: apply: the function \"f\" assigns variables; only an entry point may" X,
         nd_function *f = F("f", ND_VALUES(l.x), ND_VALUES(l.x));
         nd_assign(f, l.w, l.x); nd_apply_at("at:1", f, ND_VALUES(l.x), out));
    FAILS(ND_ERR_ARGUMENT, "at:1: apply: the function is NULL", nd_apply_at("at:1", NULL, ND_VALUES(l.x), out));

    SAYS("at:1: cond: the condition is bool[2,3], expected bool of one element" C(0),
         nd_cond_at("at:1", l.c, F("a", ND_VALUES(), ND_VALUES(nd_const(l.m, 1))),
                    F("b", ND_VALUES(), ND_VALUES(nd_const(l.m, 2))), out));
    SAYS("at:1: cond: output 0 is f32 in \"a\" but i32 in \"b\"\n  note: operand 0, \"k\" bool, is the input made at "
         "net.c:12",
         nd_value *k = nd_input_at("net.c:12", l.m, "k", ND_BOOL, ND_SCALAR);
         nd_cond_at("at:1", k, F("a", ND_VALUES(), ND_VALUES(nd_const(l.m, 1))),
                    F("b", ND_VALUES(), ND_VALUES(nd_const_of(l.m, ND_I32, 2))), out));
    SAYS("at:1: cond: the function \"a\" has inputs; a branch captures what it needs",
         nd_function *f = F("a", ND_VALUES(l.x), ND_VALUES(l.x));
         nd_cond_at("at:1", l.c, f, f, out));
    FAILS(ND_ERR_ARGUMENT, "at:1: cond: the function is NULL",
          nd_cond_at("at:1", l.c, F("a", ND_VALUES(), ND_VALUES(l.x)), NULL, out);
          ck_assert(nd_value_is_poison(out[0])));

#define BODY F("body", ND_VALUES(l.s), ND_VALUES(nd_add_at("net.c:21", l.s, l.s)))
    SAYS("at:1: scan: the body \"body\" takes 1 value, got 0 carried and 0 sliced",
         nd_scan_at("at:1", BODY, 3, ND_VALUES(), ND_VALUES(), false, out));
    SAYS("at:1: scan: \"body\" takes f32 for its input \"s\", got f32[2,3] to carry" X,
         nd_scan_at("at:1", BODY, 3, ND_VALUES(l.x), ND_VALUES(), false, out));
    SAYS("at:1: scan: operand 0 is f32[2,3], expected 3 slices along its first axis" X,
         nd_scan_at("at:1", BODY, 3, ND_VALUES(), ND_VALUES(l.x), false, out));
    SAYS("at:1: scan: the length -1 is negative\n  note: operand 0, \"s\" f32, is the input made at net.c:6",
         nd_scan_at("at:1", BODY, -1, ND_VALUES(l.s), ND_VALUES(), false, out));
    SAYS(
        "at:1: scan: the body \"g\" carries f32 on as bool\n  note: operand 0, \"s\" f32, is the input made at net.c:6",
        nd_scan_at("at:1", F("g", ND_VALUES(l.s), ND_VALUES(nd_lt(l.s, l.s))), 3, ND_VALUES(l.s), ND_VALUES(), false,
                   out));
    SAYS("at:1: scan: the body \"g\" gives 0 values, fewer than the 1 carried\n  note: operand 0, \"s\" f32, is the "
         "input made at net.c:6",
         nd_scan_at("at:1", F("g", ND_VALUES(l.s), ND_VALUES()), 3, ND_VALUES(l.s), ND_VALUES(), false, out));
    FAILS(ND_ERR_ARGUMENT, "at:1: scan: the function is NULL",
          nd_scan_at("at:1", NULL, 3, ND_VALUES(l.s), ND_VALUES(), false, out));
#undef BODY
#undef F
}
END_TEST

/* -- what is right ------------------------------------------------------------------------------------------------- */

/* Nothing is reduced, so keepdims adds no reshape; the mean divides by 1. */
START_TEST(mean_over_no_axes)
{
    lab l = lab_create();
    nd_value *a = nd_mean(l.s, ND_ALL_AXES, true), *b = nd_mean(l.x, ND_AXES(), true),
             *c = nd_mean(l.x, ND_AXES(1), true);
    ck_assert_msg(nd_module_status(l.m) == ND_OK, "%s", nd_module_error(l.m));
    ck_assert_int_eq(nd_value_shape(a).rank, 0);
    ck_assert_int_eq(nd_value_shape(b).dims[1], 3);
    ck_assert_int_eq(nd_value_shape(c).dims[1], 1);
    const nd_value *size = a->node->inputs[1];
    ck_assert_int_eq(nd__get_int(size->node, ND__A_of), 1);
    nd_module_destroy(l.m);
}
END_TEST

/* What the verifier says of graphs that were broken behind the builder's back. */
START_TEST(verifier)
{
    static const char *const wanted[] = {
        "%12 (neg): operand 0 was not made before it",
        "%12 (neg): its results are not what the op gives",
        "a node has another node's number",
        "function \"f\" needs the input \"y\", which is not among its inputs\n  note: \"y\" was made at net.c:2",
        "function \"f\": input 0 is no input of the module",
        "function \"f\": \"w\" gets two values",
        "%13 (apply): the function \"f\" was not made before it",
        "the initial value of \"w\" is not of its type",
        "function \"init\" needs the input \"x\", which is not among its inputs\n  note: \"x\" was made at net.c:1",
    };
    lab l = lab_create();
    ck_assert_int_eq(l.m->node_count, 12);
    nd_value *v = nd_neg_at("net.c:12", l.x), *out[1];
    nd_function *f = nd_function_at("", l.m, "f", ND_VALUES(l.x, l.y), ND_VALUES(l.x));
    nd_assign(f, l.w, l.x);
    ck_assert_msg(!nd__verify(l.m), "%s", nd__verify(l.m));
    const size_t i = (size_t)_i;
    if (i == 0)
        v->node->inputs[0] = v;
    else if (i == 1)
        v->shape.dims[0]++;
    else if (i == 2)
        l.x->node->number = 1;
    else if (i == 3) {
        f->outputs[0] = l.y;
        f->input_count = 1;
    } else if (i == 4)
        f->inputs[0] = v;
    else if (i == 5) {
        nd__update twice[] = {f->updates[0], f->updates[0]};
        f->updates = twice;
        f->update_count = 2;
        const char *wrong = nd__verify(l.m);
        ck_assert_str_eq(wrong ? wrong : "nothing", wanted[i]);
    } else if (i == 6) {
        f->update_count = 0;
        nd_apply(f, ND_VALUES(l.x, l.y), out);
        f->outputs[0] = out[0];
    } else if (i == 7)
        l.m->variables[0]->initial = l.y;
    else
        l.m->variables[0]->initial = l.x;
    if (i != 5) {
        const char *wrong = nd__verify(l.m);
        ck_assert_str_eq(wrong ? wrong : "nothing", wanted[i]);
    }
    nd_module_destroy(l.m);
}
END_TEST

/* Memory that an arena takes back comes again, zeroed; what it gave out before, and what another owns now, stays. */
START_TEST(arenas_use_memory_again)
{
    nd__arena one = {0}, other = {0};
    char *kept = nd__arena_text(&one, "kept", 4);
    const nd__arena_mark here = nd__arena_here(&one);
    char *first = NULL;
    for (int round = 0; round < 3; round++) {
        for (int n = 1; n < 20000; n *= 3) {
            char *p = nd__arena_alloc(&one, (size_t)n, 1);
            first = n == 1 && round == 0 ? p : first;
            ck_assert_ptr_nonnull(p);
            ck_assert(n > 1 || p == first);
            for (int i = 0; i < n; i++)
                ck_assert_int_eq(p[i], 0);
            memset(p, 1, (size_t)n);
        }
        nd__arena_rewind(&one, here);
    }
    char *joined = nd__arena_text(&other, "joined", 6);
    nd__arena_join(&one, &other);
    nd__arena_join(&one, &other);
    ck_assert_ptr_null(other.blocks);
    char *large = nd__arena_alloc(&other, 100000, 1);
    memset(large, 1, 100000);
    nd__arena_hand_on(&one, &other);
    ck_assert(nd__arena_alloc(&one, 100000, 1) == large && large[99999] == 0);
    ck_assert_str_eq(kept, "kept");
    ck_assert_str_eq(joined, "joined");
    nd__arena_release(&other);
    nd__arena_release(&one);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("graph");
    TCase *t = tcase_create("graph");
    tcase_add_test(t, elementwise);
    tcase_add_test(t, weak_constants);
    tcase_add_test(t, reductions_and_axes);
    tcase_add_test(t, products);
    tcase_add_test(t, shapes);
    tcase_add_test(t, windows);
    tcase_add_test(t, places_of_windows);
    tcase_add_test(t, sizes);
    tcase_add_test(t, named_dimensions);
    tcase_add_test(t, null_poison_and_other_modules);
    tcase_add_test(t, variables_and_functions);
    tcase_add_test(t, control_flow);
    tcase_add_test(t, mean_over_no_axes);
    tcase_add_test(t, arenas_use_memory_again);
    tcase_add_loop_test(t, verifier, 0, 9);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
