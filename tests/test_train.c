/* The training loop and its history. */
#include "compiler/interp/interp.h"
#include "failing_alloc.h"
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

/* x: f32[B,2] -> 3 classes through 5 tanh units; "step" trains with momentum, "eval" and "predict" look. */
typedef struct model {
    nd_module *module;
    nd_program *program;
} model;

static nd_module *build(double rate)
{
    nd_module *m = nd_module_create("classes");
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(nd_dim(m, "B", 4), 2)),
             *y = nd_input(m, "y", ND_I32, ND_SHAPE(nd_dim(m, "B", 4)));
    nd_value *w1 = nd_variable(m, "w1", ND_F32, ND_SHAPE(2, 5), nd_glorot_uniform()),
             *b1 = nd_variable(m, "b1", ND_F32, ND_SHAPE(5), nd_zeros()),
             *w2 = nd_variable(m, "w2", ND_F32, ND_SHAPE(5, 3), nd_glorot_uniform());
    nd_value *logits = nd_matmul(nd_tanh(nd_add(nd_matmul(x, w1), b1)), w2), *loss = nd_cross_entropy(logits, y);
    nd_value *right = nd_eq(nd_cast(nd_argmax(logits, 1), ND_I32), y),
             *accuracy = nd_mean(nd_cast(right, ND_F32), ND_ALL_AXES, false);
    nd_name(loss, "loss");
    nd_name(accuracy, "acc");
    nd_function *step = nd_function(m, "step", ND_VALUES(x, y), ND_VALUES(loss, accuracy));
    nd_sgd_momentum(step, loss, 3, ((nd_value *[]){w1, b1, w2}), nd_const(m, rate), nd_const(m, 0.5));
    nd_function(m, "eval", ND_VALUES(x, y), ND_VALUES(loss, accuracy));
    nd_function(m, "predict", ND_VALUES(x), ND_VALUES(logits));
    nd__init_function(m);
    ck_assert_msg(nd_module_status(m) == ND_OK, "%s", nd_module_error(m));
    return m;
}

static nd_module *source; /* of the model under test: what the interpreter's own data does not keep */

static nd_program *interpret(void *self, const char *dimension, int64_t value)
{
    (void)self, (void)dimension;
    static nd_program_dimension bound_to[100];
    ck_assert(value >= 0 && value < 100);
    bound_to[value] = (nd_program_dimension){"B", value};
    nd_program_info info;
    nd_module *bound = nd__module_copy(source, &value);
    if (!bound || !nd__interpreter_info(bound, &info))
        return NULL;
    info.specialize = interpret;
    info.dimensions = &bound_to[value];
    info.dimension_count = 1;
    nd_program *p = nd_program_create(&info);
    if (!p)
        info.destroy(info.self);
    return p;
}

static model make_model(double rate)
{
    model m = {source = build(rate), NULL};
    m.program = interpret(NULL, "B", 4);
    ck_assert_int_eq(nd_program_status(m.program), ND_OK);
    return m;
}

static void release_model(model *m)
{
    nd_program_destroy(m->program);
    nd_module_destroy(m->module);
}

/* Three clouds of points. */
static nd_dataset *clouds(int64_t rows, unsigned seed)
{
    nd_dataset *d = nd_dataset_create();
    nd_tensor *x = nd_tensor_zeros(ND_F32, ND_SHAPE(rows, 2)), *y = nd_tensor_zeros(ND_I32, ND_SHAPE(rows));
    for (int64_t i = 0; i < rows; i++) {
        for (int k = 0; k < 2; k++) {
            seed = seed * 1103515245 + 12345;
            nd_tensor_set(x, 2 * i + k, (double)(seed >> 16 & 1023) / 1024 + (i % 3 == k + 1 ? 2 : 0));
        }
        nd_tensor_set_i64(y, i, i % 3);
    }
    nd_dataset_add(d, "x", x);
    nd_dataset_add(d, "y", y);
    nd_tensor_destroy(x);
    nd_tensor_destroy(y);
    return d;
}

static void same_states(nd_program *p, nd_state *a, nd_state *b)
{
    for (int i = 0; i < nd_program_variable_count(p); i++) {
        const char *name = nd_program_variable(p, i).name;
        ck_assert_msg(nd_tensor_same_bits(nd_state_tensor(a, name), nd_state_tensor(b, name)), "%s differs", name);
    }
}

/* nd_train does what a loop written by hand does, to the bit. */
START_TEST(as_by_hand)
{
    model m = make_model(0.1);
    nd_dataset *d = clouds(10, 1);
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
    release_model(&m);
}
END_TEST

START_TEST(learns)
{
    model m = make_model(0.2);
    nd_dataset *d = clouds(61, 1), *held = clouds(30, 2);
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
    release_model(&m);
}
END_TEST

/* -- stopping and going on ---------------------------------------------------------------------------------------- */

static bool countdown(void *self)
{
    return --*(int *)self == 0;
}

/* Stopped anywhere, by first_step or by the checkpoint, it ends with the bits of never having stopped. */
START_TEST(resumes_to_the_same_bits)
{
    model m = make_model(0.1);
    nd_dataset *d = clouds(10, 1);
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
    release_model(&m);
}
END_TEST

/* As many steps as asked for: a part of an epoch counts as one. */
START_TEST(trains_for_steps)
{
    model m = make_model(0.1);
    nd_dataset *d = clouds(10, 1);
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
    release_model(&m);
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

static void cannot_resume(model *m, nd_dataset *d, const nd_train_options *options, nd_status status,
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
    model m = make_model(0.1);
    nd_dataset *d = clouds(10, 1), *longer = clouds(11, 1);
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
    release_model(&m);
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
    model m = make_model(0.1);
    nd_dataset *d = clouds(10, 1);
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
    release_model(&m);

    /* A rate that makes it worse: two bad epochs after the best, whose state comes back. */
    m = make_model(-0.2);
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
    release_model(&m);
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

/* -- files -------------------------------------------------------------------------------------------------------- */

START_TEST(writes_its_files)
{
    model m = make_model(0.1);
    nd_dataset *d = clouds(10, 1);
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
    release_model(&m);
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
    tcase_add_test(t, resumes_to_the_same_bits);
    tcase_add_test(t, trains_for_steps);
    tcase_add_test(t, bytes_stay_bytes);
    tcase_add_test(t, resumes_nothing_else);
    tcase_add_test(t, ends_early);
    tcase_add_test(t, stops_at_nan);
    tcase_add_test(t, an_error_while_running);
    tcase_add_test(t, writes_its_files);
    tcase_add_test(t, survives_out_of_memory);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
