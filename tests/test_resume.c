/* Training that stops, fails, goes on. */
#include "cloud_model.h"
#include "nadir/compile.h"
#include "nadir/nn.h"
#include "nadir/train.h"
#include "run_suite.h"
#include "temp_dir.h"
#include "toy_program.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool countdown(void *self)
{
    return --*(int *)self == 0;
}

/* Stopped anywhere, by first_step or by the checkpoint, it ends with the bits of never having stopped. */
START_TEST(resumes_to_the_same_bits)
{
    cloud_model m = make_cloud_model(0.1);
    nd_dataset *d = cloud_dataset(10, 1);
    char path[512];
    strcpy(path, temp_path("resume.safetensors"));
    nd_state *whole = nd_state_create(m.program, 3);
    nd_train_options options = {.batch = 4, .epochs = 3, .shuffle_seed = 9, .stop = countdown};
    nd_train_options unbroken = options;
    unbroken.stop = NULL;
    nd_history_destroy(nd_train(m.program, "step", whole, d, &unbroken));
    for (int stop = 1; stop <= 9; stop++) {
        nd_state *kept = nd_state_create(m.program, 3), *loaded = nd_state_create(m.program, 77);
        int left = stop;
        remove(path);
        options.stop_self = &left;
        options.checkpoint = path;
        options.resume = true; /* there is no file yet: from the beginning */
        options.first_step = 0;
        nd_history *h = nd_train(m.program, "step", kept, d, &options);
        ck_assert_str_eq(nd_history_error(h), "");
        ck_assert_int_eq(nd_history_next_step(h), stop);
        ck_assert_int_eq(nd_history_epochs(h), (stop + 2) / 3);

        nd_history *rest = nd_train(m.program, "step", loaded, d, &options);
        ck_assert_str_eq(nd_history_error(rest), "");
        ck_assert_int_eq(nd_history_next_step(rest), 9);
        same_states(m.program, whole, loaded);
        nd_history_destroy(rest);

        options.checkpoint = NULL;
        options.resume = false;
        options.first_step = nd_history_next_step(h);
        rest = nd_train(m.program, "step", kept, d, &options);
        ck_assert_int_eq(nd_history_next_step(rest), 9);
        same_states(m.program, whole, kept);
        nd_history_destroy(rest);
        nd_history_destroy(h);
        nd_state_destroy(kept);
        nd_state_destroy(loaded);
    }
    nd_state_destroy(whole);
    nd_dataset_destroy(d);
    release_cloud_model(&m);
}
END_TEST

/* As many steps as asked for: a part of an epoch counts as one. */
START_TEST(trains_for_steps)
{
    cloud_model m = make_cloud_model(0.1);
    nd_dataset *d = cloud_dataset(10, 1);
    nd_state *whole = nd_state_create(m.program, 3), *parts = nd_state_create(m.program, 3);
    nd_train_options options = {.batch = 4, .epochs = 3, .shuffle_seed = 9};
    nd_history_destroy(nd_train(m.program, "step", whole, d, &options));
    options.epochs = 0;
    options.validation = d;
    char path[512];
    strcpy(path, temp_path("steps.txt"));
    options.progress = fopen(path, "w");
    for (options.steps = 5; options.steps <= 9; options.steps += 2) {
        nd_history *h = nd_train(m.program, "step", parts, d, &options);
        ck_assert_str_eq(nd_history_error(h), "");
        ck_assert_int_eq(nd_history_next_step(h), options.steps);
        ck_assert_int_eq(nd_history_epochs(h), options.steps == 9 ? 1 : 2);
        ck_assert(isfinite(nd_history_value(h, nd_history_epochs(h) - 1, 2))); /* validated, whole or not */
        options.first_step = options.steps;
        nd_history_destroy(h);
    }
    same_states(m.program, whole, parts);
    fclose(options.progress);
    char *text = temp_read(path);
    ck_assert_msg(strstr(text, "epoch 1/2  loss ") && strstr(text, "epoch 2/2  2/3  loss ") &&
                      strstr(text, "epoch 3/3  1/3  loss ") && strstr(text, "epoch 3/3  loss "),
                  "%s", text);
    free(text);
    nd_state_destroy(whole);
    nd_state_destroy(parts);
    nd_dataset_destroy(d);
    release_cloud_model(&m);
}
END_TEST

/* A data set of bytes, cast by the graph, gives the bits of one of floats; so does the smaller last batch. */
START_TEST(bytes_stay_bytes)
{
    static const nd_dtype dtypes[] = {ND_U8, ND_F32};
    nd_tensor *weights[2];
    for (int i = 0; i < 2; i++) {
        nd_module *m = nd_module_create("pixels");
        nd_value *x = nd_input(m, "x", dtypes[i], ND_SHAPE(nd_dim(m, "B", 4), 3)),
                 *w = nd_variable(m, "w", ND_F32, ND_SHAPE(3, 1), nd_glorot_uniform());
        nd_value *y = nd_matmul(nd_div(nd_cast(x, ND_F32), nd_const(m, 255)), w);
        nd_value *error = nd_sub(y, nd_const(m, 1));
        nd_value *loss = nd_mean(nd_mul(error, error), ND_ALL_AXES, false);
        nd_function *step = nd_function(m, "step", ND_VALUES(x), ND_VALUES(loss));
        nd_sgd(step, loss, 1, &w, nd_const(m, 0.1));
        nd_program *p = nd_compile(m, NULL);
        nd_state *state = nd_state_create(p, 1);
        ck_assert_str_eq(nd_program_error(p), "");
        nd_dataset *d = nd_dataset_create();
        nd_tensor *pixels = nd_tensor_zeros(dtypes[i], ND_SHAPE(11, 3));
        for (int64_t k = 0; k < 33; k++)
            nd_tensor_set(pixels, k, (double)(k * 37 % 256));
        nd_dataset_add(d, "x", pixels);
        nd_history *h = nd_train(p, "step", state, d, &(nd_train_options){.batch = 4, .epochs = 3, .shuffle_seed = 2});
        ck_assert_str_eq(nd_history_error(h), "");
        weights[i] = nd_tensor_copy(nd_state_tensor(state, "w"));
        nd_history_destroy(h);
        nd_tensor_destroy(pixels);
        nd_dataset_destroy(d);
        nd_state_destroy(state);
        nd_program_destroy(p);
        nd_module_destroy(m);
    }
    ck_assert(nd_tensor_same_bits(weights[0], weights[1]));
    nd_tensor_destroy(weights[0]);
    nd_tensor_destroy(weights[1]);
}
END_TEST

static void cannot_resume(cloud_model *m, nd_dataset *d, const nd_train_options *options, nd_status status,
                          const char *message)
{
    nd_state *state = nd_state_create(m->program, 3);
    nd_history *h = nd_train(m->program, "step", state, d, options);
    const char *error = nd_history_error(h);
    ck_assert_msg(strncmp(error, options->checkpoint, strlen(options->checkpoint)) == 0, "%s", error);
    ck_assert_str_eq(error + strlen(options->checkpoint), message);
    ck_assert_int_eq(nd_history_status(h), status);
    nd_history_destroy(h);
    nd_state_destroy(state);
}

START_TEST(resumes_nothing_else)
{
    cloud_model m = make_cloud_model(0.1);
    nd_dataset *d = cloud_dataset(10, 1), *longer = cloud_dataset(11, 1);
    char path[512];
    strcpy(path, temp_path("other.safetensors"));
    nd_train_options options = {.batch = 4, .epochs = 1, .shuffle_seed = 9, .checkpoint = path};
    nd_state *state = nd_state_create(m.program, 3);
    nd_history_destroy(nd_train(m.program, "step", state, d, &options));
    options.resume = true;
    cannot_resume(&m, longer, &options, ND_ERR_ARGUMENT,
                  " was made by a training in another order: rows is 10 there and 11 here");
    options.batch = 5;
    cannot_resume(&m, d, &options, ND_ERR_ARGUMENT,
                  " was made by a training in another order: batch is 4 there and 5 here");
    options.batch = 4;
    options.shuffle_seed = 8;
    cannot_resume(&m, d, &options, ND_ERR_ARGUMENT,
                  " was made by a training in another order: shuffle_seed is 9 there and 8 here");
    ck_assert_int_eq(nd_state_save(state, path), ND_OK); /* a state alone */
    cannot_resume(&m, d, &options, ND_ERR_DATA, ": the file does not say at which step a training stands (nadir.step)");
    temp_write("other.safetensors", "{}", 2);
    cannot_resume(&m, d, &options, ND_ERR_PARSE, ": not a safetensors file: it has 2 bytes");
    temp_write("other.safetensors", "\2\0\0\0\0\0\0\0{}", 10);
    cannot_resume(&m, d, &options, ND_ERR_DATA,
                  " does not have the program's variables:\n  missing: \"w1\" f32[2,5]\n  missing: \"b1\" f32[5]\n"
                  "  missing: \"w2\" f32[5,3]\n  missing: \"w1/velocity\" f32[2,5]\n"
                  "  missing: \"b1/velocity\" f32[5]\n  missing: \"w2/velocity\" f32[5,3]");
    nd_state_destroy(state);
    nd_dataset_destroy(d);
    nd_dataset_destroy(longer);
    release_cloud_model(&m);
}
END_TEST

typedef struct watcher {
    int calls;
    double last;
} watcher;

static bool watch(void *self, const nd_history *so_far)
{
    watcher *w = self;
    w->last = nd_history_loss(so_far, nd_history_epochs(so_far) - 1);
    return ++w->calls == 2;
}

START_TEST(ends_early)
{
    cloud_model m = make_cloud_model(0.1);
    nd_dataset *d = cloud_dataset(10, 1);
    nd_state *state = nd_state_create(m.program, 3);
    nd_history *h =
        nd_train(m.program, "step", state, d, &(nd_train_options){.batch = 4, .epochs = 9, .seconds = 1e-9});
    ck_assert_int_eq(nd_history_next_step(h), 1);
    nd_history_destroy(h);

    watcher w = {0, 0};
    h = nd_train(m.program, "step", state, d,
                 &(nd_train_options){.batch = 4, .epochs = 9, .after_epoch = watch, .after_epoch_self = &w});
    ck_assert_int_eq(w.calls, 2);
    ck_assert_int_eq(nd_history_epochs(h), 2);
    ck_assert(w.last == nd_history_loss(h, 1));
    nd_history_destroy(h);
    nd_state_destroy(state);
    release_cloud_model(&m);

    /* A rate that makes it worse: two bad epochs after the best, whose state comes back. */
    m = make_cloud_model(-0.2);
    state = nd_state_create(m.program, 3);
    nd_state *after_one = nd_state_create(m.program, 3);
    h = nd_train(m.program, "step", state, d,
                 &(nd_train_options){.batch = 4, .epochs = 9, .patience = 2, .keep_best = true, .validation = d});
    ck_assert_str_eq(nd_history_error(h), "");
    ck_assert_int_eq(nd_history_epochs(h), 3);
    ck_assert_int_eq(nd_history_best_epoch(h), 0);
    nd_history_destroy(h);
    nd_history_destroy(nd_train(m.program, "step", after_one, d, &(nd_train_options){.batch = 4, .epochs = 1}));
    same_states(m.program, state, after_one);
    nd_state_destroy(state);
    nd_state_destroy(after_one);
    nd_dataset_destroy(d);
    release_cloud_model(&m);
}
END_TEST

START_TEST(stops_at_nan)
{
    nd_program *p = toy_program((toy_options){0});
    nd_state *state = nd_state_create(p, 2);
    nd_dataset *d = toy_dataset(10);
    char path[512];
    strcpy(path, temp_path("nan.csv"));
    nd_tensor_set(nd_dataset_array(d, "x"), 2 * 5, NAN); /* row 5 */
    const nd_train_options options = {.batch = 4, .epochs = 3, .history = path};
    nd_history *h = nd_train(p, "step", state, d, &options);
    ck_assert_str_eq(nd_history_error(h), "step: the loss is NaN in batch 2/3 of epoch 1/3\n"
                                          "  note: the array \"x\" of the data set has NaN in row 5");
    ck_assert_int_eq(nd_history_status(h), ND_ERR_DATA);
    ck_assert_int_eq(nd_history_epochs(h), 1); /* what happened before is there */
    ck_assert_int_eq(nd_history_next_step(h), 2);
    nd_history_destroy(h);
    char *csv = temp_read(path);
    ck_assert_msg(strncmp(csv, "epoch,loss,rows,seconds\n1,nan,4,", 32) == 0, "%s", csv);
    free(csv);
    h = nd_train(p, "step", state, d, &(nd_train_options){.batch = 4, .epochs = 3, .any_loss = true});
    ck_assert_int_eq(nd_history_status(h), ND_OK);
    ck_assert_int_eq(nd_history_epochs(h), 3);
    nd_history_destroy(h);
    nd_tensor_set(nd_dataset_array(d, "x"), 2 * 5, INFINITY);
    h = nd_train(p, "step", state, d, &options);
    ck_assert_str_eq(nd_history_error(h), "step: the loss is infinite in batch 2/3 of epoch 1/3\n"
                                          "  note: the array \"x\" of the data set has an infinity in row 5");
    nd_history_destroy(h);
    nd_state_destroy(state);
    nd_dataset_destroy(d);
    nd_program_destroy(p);
}
END_TEST

/* An infinity is called one, though the steps are run again to find where it began. */
START_TEST(stops_at_infinity)
{
    nd_module *m = nd_module_create("grows");
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(nd_dim(m, "B", 2), 1));
    nd_value *w = nd_variable(m, "w", ND_F32, ND_SCALAR, nd_full(1e30));
    nd_function *step = nd_function(m, "step", ND_VALUES(x), ND_VALUES(nd_mean(x, ND_ALL_AXES, false)));
    nd_assign(step, w, nd_mul(w, nd_const(m, 1e30)));
    nd_program *p = nd_compile(m, NULL);
    nd_state *state = nd_state_create(p, 1);
    nd_dataset *d = nd_dataset_create();
    nd_tensor *rows = nd_tensor_zeros(ND_F32, ND_SHAPE(2, 1));
    nd_dataset_add(d, "x", rows);
    nd_history *h = nd_train(p, "step", state, d, &(nd_train_options){.batch = 2, .epochs = 1});
    ck_assert_msg(strstr(nd_history_error(h), "the variable \"w\" becomes infinite"), "%s", nd_history_error(h));
    nd_history_destroy(h);
    nd_tensor_destroy(rows);
    nd_dataset_destroy(d);
    nd_state_destroy(state);
    nd_program_destroy(p);
    nd_module_destroy(m);
}
END_TEST

START_TEST(an_error_while_running)
{
    nd_program *p = toy_program((toy_options){.interpreted = true});
    nd_state *state = nd_state_create(p, 2);
    nd_program *bad = toy_program((toy_options){.interpreted = true, .interpret_fails = ND_ERR_MEMORY});
    nd_dataset *d = toy_dataset(10);
    nd_history *h = nd_train(bad, "step", state, d, &(nd_train_options){.batch = 4, .epochs = 3});
    ck_assert_str_eq(nd_history_error(h), "step: out of memory");
    ck_assert_int_eq(nd_history_status(h), ND_ERR_MEMORY);
    ck_assert_int_eq(nd_history_epochs(h), 0);
    nd_history_destroy(h);
    nd_state_destroy(state);
    nd_dataset_destroy(d);
    nd_program_destroy(p);
    nd_program_destroy(bad);
}
END_TEST

int main(void)
{
    temp_path(""); /* made before Check forks, so that one process removes it */
    Suite *suite = suite_create("resume");
    TCase *t = tcase_create("resume");
    tcase_add_test(t, resumes_to_the_same_bits);
    tcase_add_test(t, trains_for_steps);
    tcase_add_test(t, bytes_stay_bytes);
    tcase_add_test(t, resumes_nothing_else);
    tcase_add_test(t, ends_early);
    tcase_add_test(t, stops_at_nan);
    tcase_add_test(t, stops_at_infinity);
    tcase_add_test(t, an_error_while_running);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
