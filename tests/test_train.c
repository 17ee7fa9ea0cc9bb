/* The training loop and its history. */
#include "cloud_model.h"
#include "failing_alloc.h"
#include "nadir/train.h"
#include "run_suite.h"
#include "temp_dir.h"
#include "toy_program.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- over the toy program ----------------------------------------------------------------------------------------- */

START_TEST(runs_every_batch)
{
    nd_program *p = toy_program((toy_options){0});
    nd_state *state = nd_state_create(p, 2); /* w = (2, 0), one more each step */
    nd_dataset *d = toy_dataset(10);
    nd_history *h = nd_train(p, "step", state, d, &(nd_train_options){.batch = 4, .epochs = 3, .every_step = true});
    ck_assert_str_eq(nd_history_error(h), "");
    ck_assert_int_eq(nd_history_status(h), ND_OK);
    ck_assert(nd_state_f32(state, "w")[0] == 2 + 9);
    ck_assert_int_eq(toy_specialised(p), 1); /* once, for the last two rows */
    ck_assert_int_eq(nd_history_epochs(h), 3);
    ck_assert_int_eq(nd_history_column_count(h), 2);
    ck_assert_str_eq(nd_history_column_name(h, 0), "loss");
    ck_assert_str_eq(nd_history_column_name(h, 1), "rows");
    ck_assert_int_eq(nd_history_step_count(h), 9);
    ck_assert_int_eq(nd_history_next_step(h), 9);
    for (int64_t epoch = 0; epoch < 3; epoch++) {
        double sum = 0;
        for (int64_t k = 0; k < 3; k++) {
            int64_t first = 4 * k, rows = k < 2 ? 4 : 2;
            float w0 = (float)(2 + 3 * epoch + k), w1 = (float)(3 * epoch + k), loss = 0;
            for (int64_t i = first; i < first + rows; i++)
                loss += ((float)i - w0) * ((float)i - w0) + ((float)-i - w1) * ((float)-i - w1) + (float)(i % 3);
            ck_assert(nd_history_step_loss(h, 3 * epoch + k) == (double)loss);
            sum += (double)loss * (double)rows;
        }
        ck_assert(nd_history_loss(h, epoch) == sum / 10);
        ck_assert(nd_history_value(h, epoch, 1) == (4 * 4 + 4 * 4 + 2 * 2) / 10.0);
    }
    ck_assert_int_eq(nd_history_best_epoch(h), 0); /* it learns nothing */
    ck_assert(nd_history_step_seconds(h) > 0 && nd_history_seconds(h) >= nd_history_step_seconds(h));
    nd_history_destroy(h);
    nd_dataset_destroy(d);
    nd_state_destroy(state);
    nd_program_destroy(p);
}
END_TEST

START_TEST(a_history_that_is_not_there)
{
    ck_assert_int_eq(nd_history_status(NULL), ND_ERR_MEMORY);
    ck_assert_str_eq(nd_history_error(NULL), "out of memory");
    ck_assert_int_eq(nd_history_epochs(NULL), 0);
    ck_assert_int_eq(nd_history_column_count(NULL), 0);
    ck_assert_str_eq(nd_history_column_name(NULL, 0), "");
    ck_assert(isnan(nd_history_loss(NULL, 0)) && isnan(nd_history_step_loss(NULL, 0)));
    ck_assert_int_eq(nd_history_best_epoch(NULL), -1);
    ck_assert_int_eq(nd_history_next_step(NULL), 0);
    ck_assert(nd_history_seconds(NULL) == 0 && nd_history_step_seconds(NULL) == 0);
    ck_assert_int_eq(nd_history_write_csv(NULL, "x"), ND_ERR_MEMORY);
    ck_assert_int_eq(nd_history_write_jsonl(NULL, "x"), ND_ERR_MEMORY);
    ck_assert_int_eq(nd_history_write_svg(NULL, "x"), ND_ERR_MEMORY);
    nd_history_destroy(NULL);
}
END_TEST

/* -- what is refused before the first step ------------------------------------------------------------------------ */

static void refuses(toy_options toy, const char *function, nd_dataset *d, const nd_train_options *options,
                    nd_status status, const char *message)
{
    nd_program *p = toy_program(toy);
    nd_state *state = nd_state_create(p, 2);
    nd_history *h = nd_train(p, function, state, d, options);
    ck_assert_str_eq(nd_history_error(h), message);
    ck_assert_int_eq(nd_history_status(h), status);
    ck_assert_int_eq(nd_history_epochs(h), 0);
    ck_assert(nd_state_f32(state, "w")[0] == 2); /* nothing ran */
    nd_history_destroy(h);
    nd_state_destroy(state);
    nd_program_destroy(p);
}

START_TEST(checks_the_options)
{
    nd_dataset *d = toy_dataset(10);
    const toy_options toy = {0};
    refuses(toy, "step", d, NULL, ND_ERR_ARGUMENT, "the options are NULL");
    refuses(toy, "step", d, &(nd_train_options){.epochs = 1}, ND_ERR_ARGUMENT,
            "batches of 0 rows: a batch has at least 1");
    refuses(toy, "step", d, &(nd_train_options){.batch = 4}, ND_ERR_ARGUMENT, "0 epochs: a training has at least 1");
    refuses(toy, "step", d, &(nd_train_options){.batch = 4, .epochs = INT64_MAX}, ND_ERR_ARGUMENT,
            "9223372036854775807 epochs of 3 steps are too many");
    refuses(toy, "step", d, &(nd_train_options){.batch = 4, .steps = -1}, ND_ERR_ARGUMENT,
            "-1 steps: a training has at least 1");
    refuses(toy, "step", d, &(nd_train_options){.batch = 4, .epochs = 2, .steps = 5}, ND_ERR_ARGUMENT,
            "2 epochs and 5 steps: a training has a number of one or the other");
    refuses(toy, "step", d, &(nd_train_options){.batch = 4, .epochs = 1, .first_step = -1}, ND_ERR_ARGUMENT,
            "the first step is -1: steps are counted from 0");
    refuses(toy, "step", d, &(nd_train_options){.batch = 4, .epochs = 1, .resume = true}, ND_ERR_ARGUMENT,
            "nothing to resume from: the checkpoint is NULL");
    refuses(toy, "step", d, &(nd_train_options){.batch = 4, .epochs = 1, .checkpoint_every = 2}, ND_ERR_ARGUMENT,
            "a checkpoint after every 2 epochs: its file is NULL");
    refuses(toy, "step", d, &(nd_train_options){.batch = 4, .epochs = 1, .classes = -4}, ND_ERR_ARGUMENT,
            "the labels \"y\": -4 classes, expected at least 1");
    refuses(toy, "step", d, &(nd_train_options){.batch = 4, .epochs = 1, .parallel = &(nd_parallel){NULL, NULL, 2}},
            ND_ERR_ARGUMENT, "step: threads: the function `run` is NULL");
    refuses(toy, "stop", d, &(nd_train_options){.batch = 4, .epochs = 1}, ND_ERR_ARGUMENT,
            "the program has no function \"stop\"");
    refuses(toy, NULL, d, &(nd_train_options){.batch = 4, .epochs = 1}, ND_ERR_ARGUMENT,
            "the program has no function \"(null)\"");
    refuses(toy, "nothing", d, &(nd_train_options){.batch = 4, .epochs = 1}, ND_ERR_ARGUMENT,
            "nothing: the function has no output: output 1 is the loss");
    refuses(toy, "predict", d, &(nd_train_options){.batch = 4, .epochs = 1}, ND_ERR_ARGUMENT,
            "predict: output 1 \"logits\" is the loss, one float, but it is f32[4,2]");
    nd_dataset_destroy(d);
}
END_TEST

START_TEST(checks_the_data)
{
    const toy_options toy = {0};
    const nd_train_options options = {.batch = 4, .epochs = 1, .classes = 3};
    nd_dataset *d = toy_dataset(0);
    refuses(toy, "step", d, &options, ND_ERR_DATA, "the data set has no rows");
    nd_dataset_destroy(d);
    refuses(toy, "step", NULL, &options, ND_ERR_MEMORY, "out of memory");

    d = toy_dataset(10);
    nd_tensor_set_i64(nd_dataset_array(d, "y"), 7, 3);
    refuses(toy, "step", d, &options, ND_ERR_DATA, "the labels \"y\": row 7 has 3, but 3 classes are 0 to 2");
    refuses(toy, "step", d, &(nd_train_options){.batch = 4, .epochs = 1, .classes = 3, .labels = "z"}, ND_ERR_ARGUMENT,
            "there is no array \"z\"");
    nd_dataset_destroy(d);

    d = nd_dataset_create();
    nd_tensor *x = nd_tensor_zeros(ND_F32, ND_SHAPE(10, 3)), *y = nd_tensor_zeros(ND_I32, ND_SHAPE(10)),
              *doubles = nd_tensor_zeros(ND_F64, ND_SHAPE(10, 2));
    nd_dataset_add(d, "a", y);
    nd_dataset_add(d, "b", y);
    refuses(toy, "step", d, &(nd_train_options){.batch = 4, .epochs = 1}, ND_ERR_ARGUMENT,
            "step: input 1 \"x\": the data set has no array of that name, but \"a\", \"b\"");
    nd_dataset_add(d, "x", x);
    nd_dataset_add(d, "y", y);
    refuses(toy, "step", d, &options, ND_ERR_ARGUMENT,
            "step: input 1 \"x\": f32[4,2] for batches of 4 rows does not fit the array f32[10,3] of the data set");
    nd_dataset_destroy(d);
    d = nd_dataset_create();
    nd_dataset_add(d, "x", doubles);
    nd_dataset_add(d, "y", y);
    refuses(toy, "step", d, &options, ND_ERR_ARGUMENT,
            "step: input 1 \"x\": f32[4,2] for batches of 4 rows does not fit the array f64[10,2] of the data set");
    nd_dataset_destroy(d);
    nd_tensor_destroy(x);
    nd_tensor_destroy(y);
    nd_tensor_destroy(doubles);
}
END_TEST

START_TEST(checks_the_program)
{
    nd_dataset *d = toy_dataset(10);
    const nd_train_options options = {.batch = 4, .epochs = 1};
    refuses((toy_options){.cannot_bind = true}, "step", d, &options, ND_ERR_STATE,
            "step: B=2: this program runs with B=4 only, and nothing here can compile it again");
    refuses((toy_options){.specialize_fails_at = 2}, "step", d, &options, ND_ERR_GRAPH,
            "step: B=2: reshape: no such shape");
    refuses((toy_options){0}, "step", d, &(nd_train_options){.batch = 4, .epochs = 1, .dimension = "N"},
            ND_ERR_ARGUMENT,
            "step: the program has no dimension \"N\", so that input 1 \"x\" is always f32[4,2]: 10 rows in batches of "
            "4 leave a batch of 2");
    nd_program *failed = nd_program_create_failed(ND_ERR_GRAPH, "matmul: inner sizes differ");
    nd_history *h = nd_train(failed, "step", NULL, d, &options);
    ck_assert_str_eq(nd_history_error(h), "matmul: inner sizes differ");
    nd_history_destroy(h);
    /* A model built for data that could not be read: that is what is told. */
    nd_dataset *unread = nd_dataset_mnist("/nonexistent", false);
    h = nd_train(failed, "step", NULL, unread, &options);
    ck_assert_str_eq(nd_history_error(h), nd_dataset_error(unread));
    ck_assert_int_eq(nd_history_status(h), ND_ERR_IO);
    nd_history_destroy(h);
    nd_dataset_destroy(unread);
    h = nd_train(NULL, "step", NULL, d, &options);
    ck_assert_int_eq(nd_history_status(h), ND_ERR_MEMORY);
    nd_history_destroy(h);
    nd_program_destroy(failed);

    /* Whole batches need no other program, with or without a dimension. */
    nd_dataset *eight = toy_dataset(8);
    nd_program *p = toy_program((toy_options){.cannot_bind = true});
    nd_state *state = nd_state_create(p, 1);
    h = nd_train(p, "step", state, eight, &options);
    ck_assert_int_eq(nd_history_status(h), ND_OK);
    nd_history_destroy(h);
    h = nd_train(p, "step", state, eight, &(nd_train_options){.batch = 4, .epochs = 1, .dimension = "N"});
    ck_assert_int_eq(nd_history_status(h), ND_OK);
    nd_history_destroy(h);
    h = nd_train(p, "step", NULL, eight, &options);
    ck_assert_str_eq(nd_history_error(h), "step: the function uses variables, but the state is NULL");
    nd_history_destroy(h);
    nd_state_destroy(state);
    nd_program_destroy(p);
    nd_dataset_destroy(eight);
    nd_dataset_destroy(d);
}
END_TEST

START_TEST(checks_the_files)
{
    char path[512], message[600];
    nd_dataset *d = toy_dataset(10);
    strcpy(path, temp_path("no/file"));
    snprintf(message, sizeof message, "%s cannot be written: No such file or directory", path);
    const nd_train_options options[] = {{.batch = 4, .epochs = 1, .history = path},
                                        {.batch = 4, .epochs = 1, .plot = path},
                                        {.batch = 4, .epochs = 1, .checkpoint = path}};
    for (int i = 0; i < 3; i++)
        refuses((toy_options){0}, "step", d, &options[i], ND_ERR_IO, message);
    /* A variable that nobody sets would fail the checkpoint at the very end. */
    strcpy(path, temp_path("unset.safetensors"));
    snprintf(message, sizeof message, "%s: the variable \"raw\" was never set, so that no checkpoint can be written",
             path);
    refuses((toy_options){0}, "step", d, &options[2], ND_ERR_STATE, message);
    nd_dataset_destroy(d);
}
END_TEST

/* -- a real model, interpreted ------------------------------------------------------------------------------------ */

/* nd_train does what a loop written by hand does, to the bit. */
START_TEST(as_by_hand)
{
    cloud_model m = make_cloud_model(0.1);
    nd_dataset *d = cloud_dataset(10, 1);
    nd_state *state = nd_state_create(m.program, 3), *own = nd_state_create(m.program, 3);
    nd_history *h = nd_train(m.program, "step", state, d,
                             &(nd_train_options){.batch = 4, .epochs = 3, .shuffle_seed = 9, .every_step = true});
    ck_assert_str_eq(nd_history_error(h), "");

    nd_batches *b = nd_batches_create(d, 4, 9);
    nd_tensor *loss = nd_tensor_zeros(ND_F32, ND_SCALAR), *accuracy = nd_tensor_zeros(ND_F32, ND_SCALAR);
    for (int64_t step = 0; step < 9; step++) {
        int64_t rows = nd_batches_go(b, step);
        nd_program *p = nd_program_specialize(m.program, "B", rows);
        nd_call *call = nd_bind(p, "step", own, ND_IN(nd_batches_tensor(b, "x", rows), nd_batches_tensor(b, "y", rows)),
                                ND_OUT(loss, accuracy));
        ck_assert_int_eq(nd_run(call), ND_OK);
        ck_assert(nd_tensor_get(loss, 0) == nd_history_step_loss(h, step));
        nd_call_destroy(call);
    }
    same_states(m.program, state, own);
    nd_tensor_destroy(loss);
    nd_tensor_destroy(accuracy);
    nd_batches_destroy(b);
    nd_history_destroy(h);
    nd_state_destroy(state);
    nd_state_destroy(own);
    nd_dataset_destroy(d);
    release_cloud_model(&m);
}
END_TEST

START_TEST(learns)
{
    cloud_model m = make_cloud_model(0.2);
    nd_dataset *d = cloud_dataset(61, 1), *held = cloud_dataset(30, 2);
    nd_state *state = nd_state_create(m.program, 3);
    nd_history *h = nd_train(m.program, "step", state, d,
                             &(nd_train_options){.batch = 4, .epochs = 10, .shuffle_seed = 9, .validation = held});
    ck_assert_str_eq(nd_history_error(h), "");
    ck_assert_int_eq(nd_history_column_count(h), 4);
    ck_assert_str_eq(nd_history_column_name(h, 3), "val_acc");
    ck_assert(nd_history_loss(h, 9) < 0.2 && nd_history_loss(h, 0) > nd_history_loss(h, 9));

    /* Predictions, whatever the batches, are those of all rows at once; so is what the validation said. */
    double accuracy;
    nd_tensor *all = nd_predict(m.program, "predict", state, held, NULL),
              *parts = nd_predict(m.program, "predict", state, held, &(nd_predict_options){.batch = 7});
    ck_assert_int_eq(nd_tensor_dim(all, 0), 30);
    ck_assert(nd_tensor_same_bits(all, parts));
    ck_assert_int_eq(nd_accuracy(m.program, "predict", state, held, &(nd_predict_options){.batch = 8}, "y", &accuracy),
                     ND_OK);
    ck_assert(accuracy > 0.9);
    ck_assert(fabs(accuracy - nd_history_value(h, 9, 3)) < 1e-6);
    nd_tensor_destroy(all);
    nd_tensor_destroy(parts);
    nd_history_destroy(h);
    nd_state_destroy(state);
    nd_dataset_destroy(d);
    nd_dataset_destroy(held);
    release_cloud_model(&m);
}
END_TEST

/* -- files -------------------------------------------------------------------------------------------------------- */

START_TEST(writes_its_files)
{
    cloud_model m = make_cloud_model(0.1);
    nd_dataset *d = cloud_dataset(10, 1);
    nd_state *state = nd_state_create(m.program, 3);
    char csv[512], svg[512], checkpoint[512], jsonl[512];
    strcpy(csv, temp_path("history.csv"));
    strcpy(svg, temp_path("history.svg"));
    strcpy(checkpoint, temp_path("history.safetensors"));
    strcpy(jsonl, temp_path("history.jsonl"));
    nd_history *h = nd_train(m.program, "step", state, d,
                             &(nd_train_options){.batch = 4,
                                                 .epochs = 2,
                                                 .first_step = 3,
                                                 .validation = d,
                                                 .every_step = true,
                                                 .history = csv,
                                                 .plot = svg,
                                                 .checkpoint = checkpoint,
                                                 .checkpoint_every = 1});
    ck_assert_str_eq(nd_history_error(h), "");
    double values[6];
    char *text = temp_read(csv);
    ck_assert_int_eq(sscanf(text, "epoch,loss,acc,val_loss,val_acc,seconds\n%lf,%lf,%lf,%lf,%lf,%lf\n", &values[0],
                            &values[1], &values[2], &values[3], &values[4], &values[5]),
                     6);
    ck_assert(values[0] == 2); /* the second of all, the first of these */
    for (int i = 0; i < 4; i++)
        ck_assert(values[1 + i] == nd_history_value(h, 0, i)); /* every digit that it takes */
    free(text);

    ck_assert_int_eq(nd_history_write_jsonl(h, jsonl), ND_OK);
    text = temp_read(jsonl);
    ck_assert_int_eq(
        sscanf(text, "{\"epoch\":2,\"loss\":%lf,\"acc\":%lf,\"val_loss\":%lf,", &values[0], &values[1], &values[2]), 3);
    ck_assert(values[2] == nd_history_value(h, 0, 2));
    ck_assert_str_eq(text + strlen(text) - 2, "}\n");
    free(text);

    text = temp_read(svg);
    ck_assert_ptr_nonnull(strstr(text, ">step</text>"));
    ck_assert_ptr_nonnull(strstr(text, ">loss</text>"));
    ck_assert_ptr_nonnull(strstr(text, ">mean of the epoch</text>"));
    ck_assert_ptr_nonnull(strstr(text, ">validation</text>"));
    free(text);

    nd_state *loaded = nd_state_create(m.program, 8);
    ck_assert_int_eq(nd_state_load(loaded, checkpoint), ND_OK);
    same_states(m.program, state, loaded);
    nd_state_destroy(loaded);

    char message[600];
    strcpy(csv, temp_path("no/history.csv"));
    snprintf(message, sizeof message, "%s cannot be written: No such file or directory", csv);
    ck_assert_int_eq(nd_history_write_csv(h, csv), ND_ERR_IO);
    ck_assert_str_eq(nd_history_error(h), message);
    ck_assert_int_eq(nd_history_write_svg(h, csv), ND_ERR_IO);
    ck_assert_int_eq(nd_history_write_jsonl(h, csv), ND_ERR_IO);
    nd_history_destroy(h);

    h = nd_train(m.program, "step", state, d,
                 &(nd_train_options){.batch = 4, .epochs = 1, .history = jsonl, .plot = svg});
    text = temp_read(jsonl);
    ck_assert_msg(strncmp(text, "{\"epoch\":1,", 11) == 0, "%s", text);
    free(text);
    text = temp_read(svg);
    ck_assert_ptr_nonnull(strstr(text, ">epoch</text>"));
    free(text);
    nd_history_destroy(h);
    nd_state_destroy(state);
    nd_dataset_destroy(d);
    release_cloud_model(&m);
}
END_TEST

/* -- memory ------------------------------------------------------------------------------------------------------- */

START_TEST(survives_out_of_memory)
{
    nd_dataset *d = toy_dataset(10);
    char csv[512], svg[512], checkpoint[512];
    strcpy(csv, temp_path("memory.csv"));
    strcpy(svg, temp_path("memory.svg"));
    strcpy(checkpoint, temp_path("memory.safetensors"));
    bool failed = true;
    for (int n = 0; failed; n++) {
        nd_program *p = toy_program((toy_options){0});
        nd_state *state = nd_state_create(p, 2);
        nd_tensor *raw = nd_tensor_zeros(ND_I32, ND_SCALAR);
        nd_state_set(state, "raw", raw);
        nd_tensor_destroy(raw);
        failing_alloc_begin(n);
        nd_history *h = nd_train(p, "step", state, d,
                                 &(nd_train_options){.batch = 4,
                                                     .epochs = 2,
                                                     .every_step = true,
                                                     .keep_best = true,
                                                     .history = csv,
                                                     .plot = svg,
                                                     .checkpoint = checkpoint});
        nd_tensor *predictions = nd_predict(p, "predict", state, d, &(nd_predict_options){.batch = 4});
        failed = failing_alloc_end();
        nd_status trained = nd_history_status(h), predicted = nd_tensor_status(predictions);
        ck_assert_msg(failed == (trained != ND_OK || predicted != ND_OK), "allocation %d: %d %d", n, trained,
                      predicted);
        /* fopen cannot say that it was memory. */
        ck_assert(trained == ND_OK || trained == ND_ERR_MEMORY || trained == ND_ERR_IO);
        ck_assert(predicted == ND_OK || predicted == ND_ERR_MEMORY);
        nd_history_destroy(h);
        nd_tensor_destroy(predictions);
        nd_state_destroy(state);
        nd_program_destroy(p);
    }
    nd_dataset_destroy(d);
}
END_TEST

int main(void)
{
    temp_path(""); /* made before Check forks, so that one process removes it */
    Suite *suite = suite_create("train");
    TCase *t = tcase_create("train");
    tcase_add_test(t, runs_every_batch);
    tcase_add_test(t, a_history_that_is_not_there);
    tcase_add_test(t, checks_the_options);
    tcase_add_test(t, checks_the_data);
    tcase_add_test(t, checks_the_program);
    tcase_add_test(t, checks_the_files);
    tcase_add_test(t, as_by_hand);
    tcase_add_test(t, learns);
    tcase_add_test(t, writes_its_files);
    tcase_add_test(t, survives_out_of_memory);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
