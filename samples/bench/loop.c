/* What the training loop adds to the bare step: shuffling, gathering bytes, following the loss, progress. */
#include "bench.h"
#include "nadir/nn.h"
#include "nadir/train.h"

#include <stdlib.h>
#include <time.h>

enum { ROWS = 32768, PIXELS = 784, CLASSES = 10, BATCH = 32, STEPS = ROWS / BATCH, ROUNDS = 7 };

/* The processor's time, which a busy machine does not stretch. */
static double used_seconds(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

/* An image classifier, 784-128-10, over bytes. */
static nd_module *classifier(void)
{
    nd_module *m = nd_module_create("classifier");
    int64_t batch = nd_dim(m, "B", BATCH);
    nd_value *x = nd_input(m, "x", ND_U8, ND_SHAPE(batch, PIXELS)), *y = nd_input(m, "y", ND_I32, ND_SHAPE(batch));
    nd_value *w1 = nd_variable(m, "w1", ND_F32, ND_SHAPE(PIXELS, 128), nd_he_normal());
    nd_value *b1 = nd_variable(m, "b1", ND_F32, ND_SHAPE(128), nd_zeros());
    nd_value *w2 = nd_variable(m, "w2", ND_F32, ND_SHAPE(128, CLASSES), nd_glorot_uniform());
    nd_value *b2 = nd_variable(m, "b2", ND_F32, ND_SHAPE(CLASSES), nd_zeros()), *weights[] = {w1, b1, w2, b2};
    nd_value *scaled = nd_div(nd_cast(x, ND_F32), nd_const(m, 255));
    nd_value *h = nd_relu(nd_add(nd_matmul(scaled, w1), b1));
    nd_value *loss = nd_cross_entropy(nd_add(nd_matmul(h, w2), b2), y);
    nd_sgd(nd_function(m, "step", ND_VALUES(x, y), ND_VALUES(loss)), loss, 4, weights, nd_const(m, 0.01));
    return m;
}

static nd_dataset *random_images(void)
{
    nd_dataset *d = nd_dataset_create();
    nd_tensor *x = nd_tensor_zeros(ND_U8, ND_SHAPE(ROWS, PIXELS)), *y = nd_tensor_zeros(ND_I32, ND_SHAPE(ROWS));
    unsigned char *pixels = nd_tensor_data(x);
    uint32_t random = 1;
    for (int64_t i = 0; pixels && i < nd_tensor_count(x); i++) {
        random = random * 1664525 + 1013904223;
        pixels[i] = (unsigned char)(random >> 24);
    }
    for (int64_t i = 0; i < ROWS; i++)
        nd_tensor_set_i64(y, i, i % CLASSES);
    nd_dataset_add(d, "x", x);
    nd_dataset_add(d, "y", y);
    nd_tensor_destroy(x);
    nd_tensor_destroy(y);
    return d;
}

/* The better of `least` and the seconds of one epoch of bare steps, or of nd_train. */
static double bare_epoch(nd_call *call, double least)
{
    const double start = used_seconds();
    for (int i = 0; i < STEPS; i++)
        nd_run(call);
    const double seconds = used_seconds() - start;
    return seconds < least ? seconds : least;
}

static double trained_epoch(nd_program *p, nd_state *state, nd_dataset *d, FILE *out, int round, double least)
{
    const double start = used_seconds();
    nd_history *h = nd_train(
        p, "step", state, d,
        &(nd_train_options){.batch = BATCH, .epochs = 1, .shuffle_seed = (uint64_t)round + 1, .progress = out});
    const double seconds = used_seconds() - start;
    if (nd_history_status(h) != ND_OK)
        printf("the training loop: %s\n", nd_history_error(h));
    nd_history_destroy(h);
    return seconds < least ? seconds : least;
}

void measure_loop(const options *o)
{
    char text[2][16];
    nd_module *m = classifier();
    nd_program *p = nd_compile(m, &(nd_compile_options){.cpu = o->cpu});
    nd_state *state = nd_state_create(p, 1);
    nd_dataset *d = random_images();
    nd_tensor *x = nd_tensor_zeros(ND_U8, ND_SHAPE(BATCH, PIXELS)), *y = nd_tensor_zeros(ND_I32, ND_SHAPE(BATCH));
    nd_tensor *loss = nd_tensor_zeros(ND_F32, ND_SCALAR);
    nd_call *call = nd_bind(p, "step", state, ND_IN(x, y), ND_OUT(loss));
    FILE *out = tmpfile();
    double bare = 1e300, trained = 1e300;
    if (call && nd_run(call) == ND_OK && out) {
        for (int round = 0; round < ROUNDS; round++) {
            bare = bare_epoch(call, bare);
            trained = trained_epoch(p, state, d, out, round, trained);
        }
        printf("a step of 784-128-10 over bytes: %s bare, %s in nd_train (%+.1f %%), the best of %d epochs each\n",
               time_text(text[0], bare / STEPS), time_text(text[1], trained / STEPS), 100 * (trained / bare - 1),
               (int)ROUNDS);
    } else {
        printf("the training loop: %s\n", nd_program_error(p));
    }
    if (out)
        fclose(out);
    nd_call_destroy(call);
    nd_tensor_destroy(loss);
    nd_tensor_destroy(x);
    nd_tensor_destroy(y);
    nd_dataset_destroy(d);
    nd_state_destroy(state);
    nd_program_destroy(p);
    nd_module_destroy(m);
}
