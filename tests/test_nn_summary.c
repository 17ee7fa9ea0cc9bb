/* Summaries of models: shapes, parameters, operations. */
#include "nadir/nn.h"
#include "run_suite.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

static nd_module *m;

static void begin(void)
{
    m = nd_module_create("model");
    ck_assert_ptr_nonnull(m);
}

static void end(void)
{
    nd_module_destroy(m);
}

static void expect_summary(nd_layer *l, const char *want)
{
    char have[4000] = "";
    FILE *out = tmpfile();
    ck_assert_ptr_nonnull(out);
    ck_assert_int_eq(nd_layer_summary(l, out), ND_OK);
    rewind(out);
    ck_assert_uint_gt(fread(have, 1, sizeof have - 1, out), 0);
    fclose(out);
    ck_assert_str_eq(have, want);
}

START_TEST(summary)
{
    static const char want[] = "Model \"net\"\n"
                               "─────────────────────────────────────────────────────────────────────\n"
                               "Layer (kind)            Output             Parameters           Flops\n"
                               "─────────────────────────────────────────────────────────────────────\n"
                               "flatten (flatten)       f32[B=32,784]               0               0\n"
                               "hidden (dense)          f32[B=32,128]         100,480       6,422,528\n"
                               "top/dropout (dropout)   f32[B=32,128]               0               0\n"
                               "top/dense (dense)       f32[B=32,10]            1,290          81,920\n"
                               "─────────────────────────────────────────────────────────────────────\n"
                               "Total                                         101,770       6,504,448\n"
                               "Trained                                         1,290\n"
                               "Frozen                                        100,480\n";
    nd_layer *hidden = nd_layer_named(nd_dense(128, ND_RELU), "hidden");
    nd_layer *model =
        nd_sequential("net", nd_flatten(), hidden, nd_sequential("top", nd_dropout(0.1), nd_dense(10, ND_LINEAR)));
    ck_assert_int_eq(nd_layer_summary(model, stdout), ND_ERR_STATE);
    nd_layer_call(model, nd_input(m, "x", ND_F32, ND_SHAPE(nd_dim(m, "B", 32), 28, 28)), NULL);
    nd_layer_freeze(hidden, true);
    expect_summary(model, want);
    nd_layer_destroy(model);
}
END_TEST

/* Padding counts as if it were there. */
START_TEST(summary_of_convolutions)
{
    static const char want[] = "Model \"lenet\"\n"
                               "───────────────────────────────────────────────────────────────────────────\n"
                               "Layer (kind)             Output                  Parameters           Flops\n"
                               "───────────────────────────────────────────────────────────────────────────\n"
                               "conv2d (conv2d)          f32[B=32,28,28,6]              156       7,526,400\n"
                               "max_pool2d (max_pool2d)  f32[B=32,14,14,6]                0               0\n"
                               "conv2d_1 (conv2d)        f32[B=32,10,10,16]           2,400      15,360,000\n"
                               "avg_pool2d (avg_pool2d)  f32[B=32,5,5,16]                 0         102,400\n"
                               "flatten (flatten)        f32[B=32,400]                    0               0\n"
                               "───────────────────────────────────────────────────────────────────────────\n"
                               "Total                                                 2,556      22,988,800\n"
                               "Trained                                               2,556\n"
                               "Frozen                                                    0\n";
    const nd_pool_options halves = {.window = {2, 2}};
    nd_layer *model = nd_sequential("lenet", nd_conv2d_layer(6, 5, 5, ND_RELU, &(nd_conv_options){.same = true}),
                                    nd_max_pool2d_layer(&halves), nd_conv2d_layer_without_bias(16, 5, 5, ND_RELU, NULL),
                                    nd_avg_pool2d_layer(&halves), nd_flatten());
    nd_layer_call(model, nd_input(m, "x", ND_F32, ND_SHAPE(nd_dim(m, "B", 32), 28, 28, 1)), NULL);
    expect_summary(model, want);
    nd_layer_destroy(model);
}
END_TEST

/* Products in a loop count as often as it turns. */
START_TEST(flops_of_a_loop)
{
    nd_layer *l = nd_sequential("s", nd_gru(8, true), nd_attention(2, true));
    nd_layer_call(l, nd_input(m, "x", ND_F32, ND_SHAPE(4, 10, 6)), NULL);
    char text[4000] = "", *at;
    FILE *out = tmpfile();
    ck_assert_int_eq(nd_layer_summary(l, out), ND_OK);
    rewind(out);
    ck_assert_uint_gt(fread(text, 1, sizeof text - 1, out), 0);
    fclose(out);
    at = strstr(text, "gru (gru)");
    ck_assert(at && strstr(at, "26,880")); /* 2 * 4 * 10 * 24 * (6 + 8) */
    at = strstr(text, "attention (attention)");
    ck_assert(at && strstr(at, "33,280")); /* 2 * 4 * 10 * (8 * 24 + 8 * 8 + 2 * 8 * 10) */
    nd_layer_destroy(l);
}
END_TEST

static void build_kernel(nd_layer *l, nd_shape input)
{
    nd_layer_weight(l, "kernel", ND_SHAPE(5, 3, input.dims[3], 16), nd_glorot_uniform());
}

static nd_value *call_there_and_back(nd_layer *l, nd_value *x, const nd_call_options *options)
{
    (void)options;
    nd_value *kernel = nd_layer_find(l, "kernel"), *y = nd_conv2d(x, kernel, NULL);
    return nd_conv2d_transpose(y, kernel, NULL);
}

START_TEST(flops_of_convolutions)
{
    static const nd_layer_kind kind = {"windows", sizeof(nd_layer), .inner = 3, .build = build_kernel,
                                       .call = call_there_and_back};
    nd_layer *l = nd_layer_create(&kind);
    nd_layer_call(l, nd_input(m, "x", ND_F32, ND_SHAPE(nd_dim(m, "B", 2), 14, 12, 6)), NULL);
    char text[4000] = "";
    FILE *out = tmpfile();
    ck_assert_int_eq(nd_layer_summary(l, out), ND_OK);
    rewind(out);
    ck_assert_uint_gt(fread(text, 1, sizeof text - 1, out), 0);
    fclose(out);
    ck_assert_msg(strstr(text, "1,152,000"), "%s", text); /* twice 2 * (2 * 10 * 10 * 16) * (5 * 3 * 6) */
    nd_layer_destroy(l);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("nn_summary");
    TCase *t = tcase_create("nn_summary");
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, summary);
    tcase_add_test(t, summary_of_convolutions);
    tcase_add_test(t, flops_of_a_loop);
    tcase_add_test(t, flops_of_convolutions);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
