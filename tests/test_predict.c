/* Predictions for whole data sets, and how many are right. */
#include "nadir/train.h"
#include "run_suite.h"
#include "toy_program.h"

#include <check.h>
#include <math.h>

START_TEST(predicts)
{
    nd_program *p = toy_program((toy_options){0}), *fixed = toy_program((toy_options){.cannot_bind = true});
    nd_dataset *d = toy_dataset(7), *eight = toy_dataset(8), *none = toy_dataset(0);
    for (int64_t batch = 0; batch <= 7; batch++) {
        nd_tensor *t = nd_predict(p, "predict", NULL, d, &(nd_predict_options){.batch = batch});
        ck_assert_str_eq(nd_tensor_error(t), "");
        ck_assert(nd_tensor_same_bits(t, nd_dataset_array(d, "x")));
        nd_tensor_destroy(t);
    }
    nd_tensor *t = nd_predict(fixed, "predict", NULL, eight, &(nd_predict_options){.dimension = "N"});
    ck_assert(nd_tensor_same_bits(t, nd_dataset_array(eight, "x"))); /* the program's own size */
    nd_tensor_destroy(t);

    nd_state *state = nd_state_create(p, 1);
    const struct {
        const char *function;
        nd_dataset *dataset;
        int64_t batch;
        nd_status status;
        const char *message;
    } bad[] = {
        {"predict", none, 0, ND_ERR_DATA, "the data set has no rows"},
        {"predict", d, -1, ND_ERR_ARGUMENT, "batches of -1 rows: a batch has at least 1"},
        {"nothing", d, 4, ND_ERR_ARGUMENT, "nothing: the function has no output"},
        {"step", d, 4, ND_ERR_ARGUMENT,
         "step: output 1 is f32[] for 4 rows, but a prediction has as many rows as the batch"},
        {"read_raw", d, 4, ND_ERR_ARGUMENT,
         "read_raw: output 1 is i32[] for 4 rows, but a prediction has as many rows as the batch"},
        {"guess", d, 4, ND_ERR_ARGUMENT, "the program has no function \"guess\""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        double accuracy = 0;
        t = nd_predict(p, bad[i].function, state, bad[i].dataset, &(nd_predict_options){.batch = bad[i].batch});
        ck_assert_str_eq(nd_tensor_error(t), bad[i].message);
        ck_assert_int_eq(nd_tensor_status(t), bad[i].status);
        ck_assert_int_eq(nd_accuracy(p, bad[i].function, state, bad[i].dataset,
                                     &(nd_predict_options){.batch = bad[i].batch}, "y", &accuracy),
                         bad[i].status);
        ck_assert_str_eq(nd_dataset_error(bad[i].dataset), bad[i].message);
        ck_assert(isnan(accuracy));
        nd_tensor_destroy(t);
    }
    nd_state_destroy(state);
    nd_dataset_destroy(d);
    nd_dataset_destroy(eight);
    nd_dataset_destroy(none);
    nd_program_destroy(p);
    nd_program_destroy(fixed);
}
END_TEST

START_TEST(accuracy_counts)
{
    nd_program *p = toy_program((toy_options){0});
    nd_dataset *d = nd_dataset_create();
    const float logits[] = {1, 2, 2, 1, 3, 3, NAN, 9, 9, NAN, -INFINITY, -INFINITY}; /* 1, 0, 0, 0, 1, 0 */
    nd_tensor *x = nd_tensor_of(ND_F32, ND_SHAPE(6, 2), logits),
              *y = nd_tensor_of(ND_I64, ND_SHAPE(6), (int64_t[]){1, 0, 0, 0, 1, 1}),
              *wide = nd_tensor_zeros(ND_I32, ND_SHAPE(6, 2)), *floats = nd_tensor_zeros(ND_F32, ND_SHAPE(6));
    double accuracy;
    nd_dataset_add(d, "x", x);
    nd_dataset_add(d, "y", y);
    nd_dataset_add(d, "wide", wide);
    nd_dataset_add(d, "floats", floats);
    ck_assert_int_eq(nd_accuracy(p, "predict", NULL, d, NULL, "y", &accuracy), ND_OK);
    ck_assert(accuracy == 5 / 6.0);
    ck_assert_int_eq(nd_accuracy(p, "predict", NULL, d, NULL, "z", &accuracy), ND_ERR_ARGUMENT);
    ck_assert_str_eq(nd_dataset_error(d), "there is no array \"z\"");
    ck_assert_int_eq(nd_accuracy(p, "predict", NULL, d, NULL, "wide", &accuracy), ND_ERR_ARGUMENT);
    ck_assert_str_eq(nd_dataset_error(d), "the labels \"wide\" are i32[6,2], not one integer for each row");
    ck_assert_int_eq(nd_accuracy(p, "predict", NULL, d, NULL, "floats", &accuracy), ND_ERR_ARGUMENT);
    ck_assert_int_eq(nd_accuracy(p, "predict", NULL, d, NULL, "y", NULL), ND_ERR_ARGUMENT);
    ck_assert_int_eq(nd_accuracy(p, "predict", NULL, NULL, NULL, "y", &accuracy), ND_ERR_MEMORY);
    nd_dataset_destroy(d);
    nd_tensor *all[] = {x, y, wide, floats};
    for (int i = 0; i < 4; i++)
        nd_tensor_destroy(all[i]);
    nd_program_destroy(p);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("predict");
    TCase *t = tcase_create("predict");
    tcase_add_test(t, predicts);
    tcase_add_test(t, accuracy_counts);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
