/* An autoencoder: digits of 64 pixels squeezed through two numbers, a point of the plane for each. Labels are used for
 * the picture's colours only.
 *     autoencoder [DATA [EPOCHS]]    writes autoencoder.svg */
#include "nadir/compile.h"
#include "nadir/data.h"
#include "nadir/nn.h"
#include "nadir/plot.h"
#include "nadir/train.h"

#include <stdio.h>
#include <stdlib.h>

enum { BATCH = 32, SEED = 1, PIXELS = 64, CLASSES = 10 };

static void build(nd_module *m, nd_layer *encoder, nd_layer *decoder)
{
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(nd_dim(m, "B", BATCH), PIXELS));
    nd_value *pixels = nd_div(x, nd_const(m, 16));
    nd_value *point = nd_layer_call(encoder, pixels, NULL);
    nd_value *drawn = nd_layer_call(decoder, point, NULL);
    nd_value *loss = nd_name(nd_mean_squared_error(drawn, pixels), "loss");

    const nd_values e = nd_layer_weights(encoder), d = nd_layer_weights(decoder);
    nd_function *step = nd_function(m, "step", ND_VALUES(x), ND_VALUES(loss));
    nd_adam(step, loss, e.count, e.items, nd_const(m, 0.002), NULL);
    nd_adam(step, loss, d.count, d.items, nd_const(m, 0.002), NULL);
    nd_function(m, "encode", ND_VALUES(x), ND_VALUES(point));
    nd_function(m, "decode", ND_VALUES(x), ND_VALUES(drawn));
}

/* Where the digits are on the plane, each class in its colour. */
static nd_status plot(const nd_tensor *points, const nd_tensor *labels, char *message, size_t size)
{
    static const char *const names[CLASSES] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
    const int64_t rows = nd_tensor_count(labels);
    double *xy = malloc((size_t)rows * 2 * sizeof *xy);
    if (!xy)
        return ND_ERR_MEMORY;
    nd_series series[CLASSES];
    int64_t used = 0;
    for (int digit = 0; digit < CLASSES; digit++) {
        series[digit] = (nd_series){.name = names[digit], .x = xy + used, .y = xy + rows + used, .scattered = true};
        for (int64_t i = 0; i < rows; i++)
            if (nd_tensor_get_i64(labels, i) == digit) {
                xy[used] = nd_tensor_get(points, 2 * i);
                xy[rows + used++] = nd_tensor_get(points, 2 * i + 1);
                series[digit].count++;
            }
    }
    const nd_plot picture = {.title = "Digits on the latent plane",
                             .x_title = "first number",
                             .y_title = "second number",
                             .series = series,
                             .series_count = CLASSES,
                             .height = 560};
    const nd_status status = nd_plot_svg("autoencoder.svg", &picture, message, size);
    free(xy);
    return status;
}

/* A digit, and what was drawn from its two numbers. */
static void print_pair(const nd_tensor *pixels, const nd_tensor *drawn, int64_t row)
{
    static const char shades[] = " .:-=+*#%@";
    for (int line = 0; line < 8; line++) {
        for (int i = 0; i < 16; i++) {
            const int64_t at = row * PIXELS + line * 8 + i % 8;
            double ink = i < 8 ? nd_tensor_get(pixels, at) / 16 : nd_tensor_get(drawn, at);
            ink = ink < 0 ? 0 : ink > 1 ? 1 : ink;
            printf("%s%c", i == 8 ? "   " : "", shades[(int)(ink * 9.5)]);
        }
        printf("\n");
    }
}

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "samples/data/digits.csv.gz";
    nd_tensor *y, *x = nd_csv_read(path, &(nd_csv_options){.label_column = -1}, &y);
    nd_dataset *digits = nd_dataset_create();
    nd_dataset_add(digits, "x", x);

    nd_layer *encoder = nd_sequential("encoder", nd_dense(64, ND_TANH), nd_dense(32, ND_TANH), nd_dense(2, ND_LINEAR));
    nd_layer *decoder =
        nd_sequential("decoder", nd_dense(32, ND_TANH), nd_dense(64, ND_TANH), nd_dense(64, ND_SIGMOID));
    nd_module *m = nd_module_create("autoencoder");
    build(m, encoder, decoder);
    nd_program *p = nd_compile(m, NULL);
    nd_state *state = nd_state_create(p, SEED);
    nd_history *history =
        nd_train(p, "step", state, digits,
                 &(nd_train_options){.batch = BATCH, .epochs = argc > 2 ? atoi(argv[2]) : 200, .shuffle_seed = SEED});
    char message[200] = "";
    nd_status status = nd_history_status(history);
    if (status == ND_OK) {
        printf("mean squared error %.4f after %lld epochs\n", nd_history_loss(history, nd_history_epochs(history) - 1),
               (long long)nd_history_epochs(history));
        nd_tensor *points = nd_predict(p, "encode", state, digits, NULL);
        nd_tensor *drawn = nd_predict(p, "decode", state, digits, NULL);
        print_pair(x, drawn, 0);
        status = plot(points, y, message, sizeof message);
        nd_tensor_destroy(points);
        nd_tensor_destroy(drawn);
    }
    if (status != ND_OK)
        fprintf(stderr, "%s\n", message[0] ? message : nd_history_error(history));

    nd_history_destroy(history);
    nd_state_destroy(state);
    nd_program_destroy(p);
    nd_layer_destroy(encoder);
    nd_layer_destroy(decoder);
    nd_module_destroy(m);
    nd_dataset_destroy(digits);
    nd_tensor_destroy(x);
    nd_tensor_destroy(y);
    return status != ND_OK;
}
