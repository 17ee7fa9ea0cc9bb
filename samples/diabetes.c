/* Linear regression: how far diabetes progressed in a year, from ten measurements. A fifth of the rows is held out, for
 * five seeds.
 *     diabetes [FEATURES.csv.gz TARGET.csv.gz [EPOCHS]]    writes diabetes.svg */
#include "nadir/compile.h"
#include "nadir/data.h"
#include "nadir/nn.h"
#include "nadir/plot.h"
#include "nadir/train.h"

#include <stdio.h>
#include <stdlib.h>

enum { BATCH = 16, SEEDS = 5, FEATURES = 10 };

static void build(nd_module *m)
{
    const int64_t batch = nd_dim(m, "B", BATCH);
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(batch, FEATURES)),
             *y = nd_input(m, "y", ND_F32, ND_SHAPE(batch, 1));

    /* Mean and deviation of each column, learnt from the rows to train on by running "adapt" on them. */
    nd_value *mean = nd_variable(m, "mean", ND_F32, ND_SHAPE(FEATURES), nd_zeros());
    nd_value *deviation = nd_variable(m, "deviation", ND_F32, ND_SHAPE(FEATURES), nd_full(1));
    nd_value *average = nd_mean(x, ND_AXES(0), false), *off = nd_sub(x, average);
    nd_function *adapt = nd_function(m, "adapt", ND_VALUES(x), ND_VALUES());
    nd_assign(adapt, mean, average);
    nd_assign(adapt, deviation, nd_sqrt(nd_mean(nd_mul(off, off), ND_AXES(0), false)));

    nd_value *w = nd_variable(m, "weight", ND_F32, ND_SHAPE(FEATURES, 1), nd_zeros());
    nd_value *b = nd_variable(m, "bias", ND_F32, ND_SHAPE(1), nd_zeros());
    nd_value *prediction = nd_add(nd_matmul(nd_div(nd_sub(x, mean), deviation), w), b);
    nd_value *loss = nd_name(nd_mean_squared_error(prediction, y), "loss");
    nd_function *step = nd_function(m, "step", ND_VALUES(x, y), ND_VALUES(loss));
    nd_sgd(step, loss, 2, (nd_value *[]){w, b}, nd_const(m, 0.01));
    nd_function(m, "r2", ND_VALUES(x, y), ND_VALUES(nd_r2(prediction, y), prediction));
}

/* Trains on four fifths. R2 on the rest, and what was predicted there. */
static nd_status train(nd_program *p, nd_dataset *table, uint64_t seed, int64_t epochs, nd_tensor *r2,
                       nd_tensor **truth, nd_tensor **predicted)
{
    nd_dataset *rows, *held;
    nd_dataset_split(table, 5, seed, &rows, &held);
    nd_tensor *all_x = nd_dataset_array(rows, "x"), *x = nd_dataset_array(held, "x"), *y = nd_dataset_array(held, "y");
    *truth = nd_tensor_view(y);
    *predicted = nd_tensor_zeros(ND_F32, nd_tensor_shape(y));
    nd_program *on_rows = nd_program_specialize(p, "B", nd_dataset_rows(rows));
    nd_program *on_held = nd_program_specialize(p, "B", nd_dataset_rows(held));
    nd_state *state = nd_state_create(p, seed);

    nd_call *adapt = nd_bind(on_rows, "adapt", state, ND_IN(all_x), ND_OUT());
    nd_call *score = nd_bind(on_held, "r2", state, ND_IN(x, y), ND_OUT(r2, *predicted));
    nd_history *history = NULL;
    nd_status status = nd_run(adapt);
    if (status == ND_OK) {
        history = nd_train(p, "step", state, rows,
                           &(nd_train_options){.batch = BATCH, .epochs = epochs, .shuffle_seed = seed});
        status = nd_history_status(history);
    }
    if (status == ND_OK)
        status = nd_run(score);
    if (status != ND_OK)
        fprintf(stderr, "%s\n", history ? nd_history_error(history) : nd_program_error(p));

    nd_history_destroy(history);
    nd_call_destroy(adapt);
    nd_call_destroy(score);
    nd_state_destroy(state);
    nd_dataset_destroy(rows);
    nd_dataset_destroy(held);
    return status;
}

/* What was predicted beside what came, on rows that the model never saw. */
static bool plot(const nd_tensor *truth, const nd_tensor *predicted)
{
    enum { MOST = 1000 };
    double x[MOST], y[MOST];
    const int64_t count = nd_tensor_count(truth) < MOST ? nd_tensor_count(truth) : MOST;
    for (int64_t i = 0; i < count; i++) {
        x[i] = nd_tensor_get(truth, i);
        y[i] = nd_tensor_get(predicted, i);
    }
    const nd_series series[] = {
        {.name = "held out", .count = count, .x = x, .y = y, .scattered = true},
        {.name = "exact", .count = 2, .x = (double[]){25, 346}, .y = (double[]){25, 346}, .dashed = true},
    };
    const nd_plot picture = {
        .x_title = "measured", .y_title = "predicted", .series = series, .series_count = 2, .width = 480};
    char message[200];
    const bool good = nd_plot_svg("diabetes.svg", &picture, message, sizeof message) == ND_OK;
    if (!good)
        fprintf(stderr, "%s\n", message);
    return good;
}

int main(int argc, char **argv)
{
    nd_tensor *x = nd_csv_read(argc > 2 ? argv[1] : "samples/data/diabetes_data_raw.csv.gz", NULL, NULL);
    nd_tensor *y = nd_csv_read(argc > 2 ? argv[2] : "samples/data/diabetes_target.csv.gz", NULL, NULL);
    const int64_t epochs = argc > 3 ? atoi(argv[3]) : 100;
    nd_dataset *table = nd_dataset_create();
    nd_dataset_add(table, "x", x);
    nd_dataset_add(table, "y", y);
    nd_module *m = nd_module_create("diabetes");
    build(m);
    nd_program *p = nd_compile(m, NULL);

    nd_tensor *r2 = nd_tensor_zeros(ND_F32, ND_SCALAR);
    double sum = 0;
    bool good = nd_dataset_status(table) == ND_OK;
    if (!good)
        fprintf(stderr, "%s\n", nd_dataset_error(table));
    for (uint64_t seed = 1; seed <= SEEDS && good; seed++) {
        nd_tensor *truth, *predicted;
        good = train(p, table, seed, epochs, r2, &truth, &predicted) == ND_OK;
        if (good) {
            printf("seed %d   R2 %.3f\n", (int)seed, nd_tensor_get(r2, 0));
            sum += nd_tensor_get(r2, 0);
            good = seed < SEEDS || plot(truth, predicted);
        }
        nd_tensor_destroy(truth);
        nd_tensor_destroy(predicted);
    }
    if (good)
        printf("mean R2 on a held-out fifth: %.3f\n", sum / SEEDS);

    nd_tensor_destroy(r2);
    nd_program_destroy(p);
    nd_module_destroy(m);
    nd_dataset_destroy(table);
    nd_tensor_destroy(x);
    nd_tensor_destroy(y);
    return !good;
}
