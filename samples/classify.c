/* Classes from a table of numbers: a small network, trained with a fifth of the rows held out, for five seeds.
 *     classify [TABLE.csv [EPOCHS]]    iris, wine, breast_cancer: one line of header, labels in the last column */
#include "nadir/compile.h"
#include "nadir/data.h"
#include "nadir/nn.h"
#include "nadir/train.h"

#include <stdio.h>
#include <stdlib.h>

enum { BATCH = 16, SEEDS = 5 };

static void build(nd_module *m, nd_layer *model, int64_t features)
{
    const int64_t batch = nd_dim(m, "B", BATCH);
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(batch, features)), *y = nd_input(m, "y", ND_I32, ND_SHAPE(batch));

    /* Columns are brought to mean 0 and deviation 1. Their statistics belong to the model, like its weights: "adapt" is
     * run once, on the rows that it may learn from, and whoever predicts gives numbers as they were measured. */
    nd_value *mean = nd_variable(m, "mean", ND_F32, ND_SHAPE(features), nd_zeros());
    nd_value *deviation = nd_variable(m, "deviation", ND_F32, ND_SHAPE(features), nd_full(1));
    nd_value *average = nd_mean(x, ND_AXES(0), false), *off = nd_sub(x, average);
    nd_function *adapt = nd_function(m, "adapt", ND_VALUES(x), ND_VALUES());
    nd_assign(adapt, mean, average);
    nd_assign(adapt, deviation, nd_sqrt(nd_mean(nd_mul(off, off), ND_AXES(0), false)));

    nd_value *logits = nd_layer_call(model, nd_div(nd_sub(x, mean), deviation), NULL);
    nd_value *loss = nd_name(nd_cross_entropy(logits, y), "loss");
    nd_value *accuracy = nd_name(nd_categorical_accuracy(logits, y), "accuracy");

    const nd_values weights = nd_layer_weights(model);
    nd_function *step = nd_function(m, "step", ND_VALUES(x, y), ND_VALUES(loss, accuracy));
    nd_sgd_momentum(step, nd_add(loss, nd_layer_penalty(model)), weights.count, weights.items, nd_const(m, 0.02),
                    nd_const(m, 0.9));
    nd_function(m, "eval", ND_VALUES(x, y), ND_VALUES(loss, accuracy));
    nd_function(m, "confusion", ND_VALUES(x, y), ND_VALUES(nd_confusion_matrix(logits, y)));
}

/* Runs a function on all rows at once; `matrix` is its output, if it has one. */
static nd_status run_whole(nd_program *p, const char *function, nd_state *state, nd_dataset *rows, nd_tensor *matrix)
{
    nd_program *whole = nd_program_specialize(p, "B", nd_dataset_rows(rows));
    nd_tensor *x = nd_dataset_array(rows, "x"), *y = nd_dataset_array(rows, "y");
    nd_call *call = matrix ? nd_bind(whole, function, state, ND_IN(x, y), ND_OUT(matrix))
                           : nd_bind(whole, function, state, ND_IN(x), ND_OUT());
    const nd_status status = nd_run(call);
    if (status != ND_OK)
        fprintf(stderr, "%s\n", nd_program_error(whole ? whole : p));
    nd_call_destroy(call);
    return status;
}

/* Trains on four fifths; the accuracy on the rest, or -1. Its confusion matrix is added to `confusion`. */
static double train(nd_program *p, nd_dataset *table, uint64_t seed, int64_t epochs, nd_tensor *confusion)
{
    nd_dataset *rows, *held;
    nd_dataset_split(table, 5, seed, &rows, &held);
    nd_state *state = nd_state_create(p, seed);
    nd_tensor *matrix = nd_tensor_zeros(ND_I64, nd_tensor_shape(confusion));
    nd_history *history = NULL;
    double accuracy = -1;
    if (run_whole(p, "adapt", state, rows, NULL) == ND_OK) {
        const nd_train_options options = {.batch = BATCH, .epochs = epochs, .shuffle_seed = seed, .validation = held};
        history = nd_train(p, "step", state, rows, &options);
        if (nd_history_status(history) != ND_OK)
            fprintf(stderr, "%s\n", nd_history_error(history));
        else if (run_whole(p, "confusion", state, held, matrix) == ND_OK) {
            enum { LOSS, ACCURACY, VAL_LOSS, VAL_ACCURACY }; /* the history's columns */
            const int64_t last = nd_history_epochs(history) - 1;
            accuracy = nd_history_value(history, last, VAL_ACCURACY);
            printf("seed %d   loss %.4f  accuracy %5.1f %%   held out: loss %.4f  accuracy %5.1f %%\n", (int)seed,
                   nd_history_value(history, last, LOSS), 100 * nd_history_value(history, last, ACCURACY),
                   nd_history_value(history, last, VAL_LOSS), 100 * accuracy);
        }
    }
    for (int64_t i = 0; i < nd_tensor_count(matrix); i++)
        nd_tensor_set_i64(confusion, i, nd_tensor_get_i64(confusion, i) + nd_tensor_get_i64(matrix, i));

    nd_history_destroy(history);
    nd_tensor_destroy(matrix);
    nd_state_destroy(state);
    nd_dataset_destroy(rows);
    nd_dataset_destroy(held);
    return accuracy;
}

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "samples/data/iris.csv";
    const int64_t epochs = argc > 2 ? atoi(argv[2]) : 60;
    nd_tensor *y, *x = nd_csv_read(path, &(nd_csv_options){.skip_lines = 1, .label_column = -1}, &y);
    nd_dataset *table = nd_dataset_create();
    nd_dataset_add(table, "x", x);
    nd_dataset_add(table, "y", y);
    bool good = nd_dataset_status(table) == ND_OK;
    if (!good)
        fprintf(stderr, "%s\n", nd_dataset_error(table));

    int64_t classes = 0;
    for (int64_t i = 0; i < nd_tensor_count(y); i++)
        classes = nd_tensor_get_i64(y, i) >= classes ? nd_tensor_get_i64(y, i) + 1 : classes;
    nd_module *m = nd_module_create("classify");
    nd_layer *model = nd_sequential("net", nd_dense(16, ND_TANH), nd_dense(classes, ND_LINEAR));
    nd_layer_regularise(model, 0, 0.003);
    build(m, model, nd_tensor_dim(x, 1));
    nd_program *p = nd_compile(m, NULL);
    nd_tensor *confusion = nd_tensor_zeros(ND_I64, ND_SHAPE(classes, classes));
    double sum = 0;
    for (uint64_t seed = 1; seed <= SEEDS && good; seed++) {
        const double accuracy = train(p, table, seed, epochs, confusion);
        good = accuracy >= 0;
        sum += accuracy;
    }
    if (good) {
        printf("mean accuracy on a held-out fifth: %.1f %%\nhow often a class (row) was taken for a class (column): ",
               100 * sum / SEEDS);
        nd_tensor_print(confusion, stdout);
    }

    nd_tensor_destroy(confusion);
    nd_program_destroy(p);
    nd_layer_destroy(model);
    nd_module_destroy(m);
    nd_dataset_destroy(table);
    nd_tensor_destroy(x);
    nd_tensor_destroy(y);
    return !good;
}
