/* Layers that cannot be: what is said of them; memory that runs out. */
#include "failing_alloc.h"
#include "nadir/nn.h"
#include "run_suite.h"

#include <check.h>
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

START_TEST(errors)
{
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(4, 6)), *cube = nd_input(m, "cube", ND_F32, ND_SHAPE(2, 3, 5));
    nd_value *scalar = nd_input(m, "scalar", ND_F32, ND_SCALAR);
    nd_layer *l = nd_sequential("mlp", nd_layer_named(nd_dense(3, ND_RELU), "hidden")), *one = NULL, *two = NULL;
    const char *want = "";
    switch (_i) {
    case 0:
        nd_layer_call(l, x, NULL);
        nd_layer_call(l, nd_at(x, ":, :5"), NULL);
        want = "is f32[4,5], the layer was built for f32[4,6]";
        break;
    case 1:
        nd_layer_call(l, scalar, NULL);
        want = "layer \"mlp/hidden\" (dense): the input \"scalar\" is f32, expected rank 1 or more";
        break;
    case 2:
        nd_layer_call(NULL, x, NULL);
        want = "layer_call: the layer is NULL";
        break;
    case 3:
        nd_layer_call(nd_layer_named(l, "a/b"), x, NULL);
        want = "layer (sequential): a name has letters, digits, _, - and . only";
        break;
    case 4:
        one = nd_gru(3, true);
        nd_layer_call(one, x, NULL);
        want = "layer \"gru\" (gru): the input \"x\" is f32[4,6], expected [B, T, in]";
        break;
    case 5:
        one = nd_attention(2, false);
        nd_layer_call(one, cube, NULL);
        want = "layer \"attention\" (attention): a width of 5 does not divide into 2 heads";
        break;
    case 6:
        one = nd_residual(nd_dense(5, ND_RELU));
        nd_layer_call(one, x, NULL);
        want = "layer \"residual\" (residual): the layer inside makes f32[4,5] of f32[4,6], expected the same shape";
        break;
    case 7:
        one = nd_dropout(1);
        nd_layer_call(one, x, NULL);
        want = "layer \"dropout\" (dropout): the rate is 1, expected 0 up to, but not, 1";
        break;
    case 8:
        nd_layer_call(nd_layer_named(one = nd_dense(3, ND_RELU), "mlp"), x, NULL);
        nd_layer_set_init(two = nd_dense(3, ND_RELU), "weight", nd_zeros());
        nd_layer_call(nd_layer_named(two, "mlp"), x, NULL);
        want = "variable \"mlp/weight\": there is one of that name";
        break;
    case 9:
        nd_layer_update(l, NULL);
        nd_layer_update(NULL, nd_function(m, "f", ND_VALUES(), ND_VALUES()));
        want = "layer_update: the layer is NULL";
        break;
    case 10: {
        nd_module *other = nd_module_create("other");
        nd_layer_call(l, nd_input(other, "x", ND_F32, ND_SHAPE(4, 6)), NULL);
        nd_layer_call(l, x, NULL);
        want = "layer \"mlp\" (sequential): its weights belong to another module, \"other\"";
        nd_module_destroy(other);
        break;
    }
    case 11:
        one = nd_conv2d_layer(3, 2, 2, ND_RELU, NULL);
        nd_layer_call(one, cube, NULL);
        want = "layer \"conv2d\" (conv2d): the input \"cube\" is f32[2,3,5], expected [B, height, width, channels]";
        break;
    case 12:
        one = nd_avg_pool1d_layer(&(nd_pool_options){.window = {2}});
        nd_layer_call(one, x, NULL);
        want = "layer \"avg_pool1d\" (avg_pool1d): the input \"x\" is f32[4,6], expected [B, length, channels]";
        break;
    case 13:
        one = nd_conv1d_layer(4, 2, ND_RELU, &(nd_conv_options){.groups = 2});
        nd_layer_call(one, cube, NULL);
        want = "layer \"conv1d\" (conv1d): channels, 5 to 4, that do not divide into 2 groups";
        break;
    case 14:
        one = nd_conv1d_layer(4, 4, ND_RELU, NULL);
        nd_layer_call(one, cube, NULL);
        want = "conv1d: a window of width 4 does not fit 3 and 0 of padding";
        break;
    case 15:
        one = nd_max_pool1d_layer(NULL);
        nd_layer_call(one, cube, NULL);
        want = "layer \"max_pool1d\" (max_pool1d): the options are NULL, a pool needs its window";
        break;
    case 16:
        one = nd_conv1d_layer(4, 2, ND_RELU, NULL);
        nd_layer_call(one, cube, NULL);
        nd_layer_call(one, nd_at(cube, ":, :, :4"), NULL);
        want = "is f32[2,3,4], the layer was built for f32[2,3,5]";
        break;
    case 17:
        one = nd_conv1d_layer(4, 2, ND_RELU, NULL);
        nd_layer_call(one, nd_input(m, "named", ND_F32, ND_SHAPE(2, 3, nd_dim(m, "C", 5))), NULL);
        want = "layer \"conv1d\" (conv1d): the channels of f32[2,3,C=5] are named, expected a number";
        break;
    case 18:
        nd_layer_set_init(one = nd_dense(3, ND_RELU), "wieght", nd_zeros());
        nd_layer_call(one, x, NULL);
        want = "layer \"dense\" (dense): there is no weight \"wieght\" to initialise; it has weight, bias";
        break;
    case 19:
        nd_layer_call(one = nd_dense(3, ND_RELU), x, NULL);
        nd_layer_set_init(one, "weight", nd_zeros());
        want = "layer \"dense\" (dense): the initialiser of \"weight\" comes after the first call";
        break;
    case 20:
        nd_layer_call(one = nd_dense(-1, ND_RELU), x, NULL);
        want = "layer \"dense\" (dense): -1 units, expected at least 1";
        break;
    case 21:
        nd_layer_call(one = nd_dense(3, ND_RELU), nd_input(m, "bytes", ND_U8, ND_SHAPE(4, 6)), NULL);
        want = "layer \"dense\" (dense): the input \"bytes\" is u8[4,6], expected floats; nd_cast makes them";
        break;
    case 22:
        nd_layer_call(one = nd_embedding(7, 0), x, NULL);
        want = "layer \"embedding\" (embedding): 7 rows of 0, expected at least 1 of 1";
        break;
    case 23:
        nd_layer_call(one = nd_embedding(7, 2), x, NULL);
        want = "layer \"embedding\" (embedding): the input \"x\" is f32[4,6], expected integers";
        break;
    default:
        nd_variable(m, "o", ND_F32, ND_SHAPE(3), nd_orthogonal(1));
        want = "variable \"o\": f32[3] has no fans; they need rank 2 or more";
        break;
    }
    ck_assert_msg(strstr(nd_module_error(m), want), "%s", nd_module_error(m));
    if (_i != 19) /* settings have no place */
        ck_assert_msg(strstr(nd_module_error(m), "test_nn_errors.c:"), "%s", nd_module_error(m));
    ck_assert(nd_value_is_poison(nd_layer_call(l, x, NULL)));
    ck_assert(!nd_layer_call(l, NULL, NULL) && !nd_layer_find(NULL, "x") && nd_layer_weights(NULL).count == 0);
    nd_layer_destroy(l);
    nd_layer_destroy(one);
    nd_layer_destroy(two);
}
END_TEST

/* The n-th allocation fails: no crash, no leak, and the module says so. */
START_TEST(memory_that_runs_out)
{
    for (int n = 0;; n++) {
        failing_alloc_begin(n);
        nd_module *mine = nd_module_create("memory");
        nd_value *x = nd_input(mine, "x", ND_F32, ND_SHAPE(2, 3, 4));
        nd_layer *first = nd_dense(4, ND_RELU);
        nd_layer_set_init(first, "weight", nd_zeros());
        nd_layer *model = nd_sequential("model", nd_residual(nd_layer_named(first, "d")), nd_gru(4, true),
                                        nd_transformer_block(2, 4, true, 0.5),
                                        nd_conv1d_layer(4, 2, ND_RELU, &(nd_conv_options){.same = true}),
                                        nd_max_pool1d_layer(&(nd_pool_options){.window = {2}}));
        nd_value *y = nd_layer_call(model, x, &(nd_call_options){.training = true});
        nd_value *loss = nd_sum(nd_mul(y, y), ND_ALL_AXES, false);
        nd_function *step = nd_function(mine, "step", ND_VALUES(x), ND_VALUES(loss));
        nd_values w = nd_layer_weights(model);
        nd_adam(step, loss, w.count, w.items, nd_const(mine, 0.1), NULL);
        nd_layer_update(model, step);
        bool whole = nd_module_status(mine) == ND_OK && model;
        nd_layer_destroy(model);
        nd_module_destroy(mine);
        long held = failing_alloc_held();
        if (!failing_alloc_end()) {
            ck_assert_msg(whole, "nothing failed, yet the model did");
            break;
        }
        ck_assert(!whole);
        ck_assert_int_eq(held, 0);
        n += n / 8; /* later ones are much alike */
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("nn_errors");
    TCase *t = tcase_create("nn_errors");
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_loop_test(t, errors, 0, 25);
    tcase_add_test(t, memory_that_runs_out);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
