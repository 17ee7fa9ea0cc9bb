/* Handwritten digits: a network 64-128-10 is trained twice, by the interpreter and by native code, to the same bits.
 *     digits [DATA [EPOCHS]]    writes loss.svg */
#include "nadir/compile.h"
#include "nadir/data.h"
#include "nadir/graph.h"
#include "nadir/nn.h"
#include "nadir/train.h"

#include <stdio.h>
#include <stdlib.h>

enum { BATCH = 32, SEED = 1 };

static void build(nd_module *m)
{
    const int64_t batch = nd_dim(m, "B", BATCH); /* a name, so that the smaller last batch runs too */
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(batch, 64)), *y = nd_input(m, "y", ND_I32, ND_SHAPE(batch));
    nd_value *w1 = nd_variable(m, "hidden/weight", ND_F32, ND_SHAPE(64, 128), nd_he_normal());
    nd_value *b1 = nd_variable(m, "hidden/bias", ND_F32, ND_SHAPE(128), nd_zeros());
    nd_value *w2 = nd_variable(m, "logits/weight", ND_F32, ND_SHAPE(128, 10), nd_glorot_uniform());
    nd_value *b2 = nd_variable(m, "logits/bias", ND_F32, ND_SHAPE(10), nd_zeros());

    nd_value *pixels = nd_div(x, nd_const(m, 16));
    nd_value *hidden = nd_relu(nd_add(nd_matmul(pixels, w1), b1));
    nd_value *logits = nd_add(nd_matmul(hidden, w2), b2);
    nd_value *loss = nd_name(nd_cross_entropy(logits, y), "loss");

    nd_function *step = nd_function(m, "step", ND_VALUES(x, y), ND_VALUES(loss));
    nd_sgd(step, loss, 4, (nd_value *[]){w1, b1, w2, b2}, nd_const(m, 0.1));
    nd_function(m, "predict", ND_VALUES(x), ND_VALUES(logits));
}

typedef struct trained {
    nd_program *program;
    nd_state *state;
    nd_history *history;
} trained;

static trained train(nd_module *m, bool interpret, nd_dataset *data, int64_t epochs)
{
    trained t;
    t.program = nd_compile(m, &(nd_compile_options){.interpret = interpret});
    t.state = nd_state_create(t.program, SEED);
    printf(interpret ? "interpreted\n" : "compiled in %.0f ms\n", nd_program_compile_times(t.program).total);
    t.history = nd_train(t.program, "step", t.state, data,
                         &(nd_train_options){.batch = BATCH,
                                             .epochs = epochs,
                                             .shuffle_seed = SEED,
                                             .classes = 10,
                                             .progress = stdout,
                                             .plot = interpret ? NULL : "loss.svg"});
    return t;
}

static double step_ms(const trained *t)
{
    return 1e3 * nd_history_step_seconds(t->history) / (double)nd_history_next_step(t->history);
}

static bool same_weights(const trained *a, const trained *b)
{
    bool same = true;
    for (int i = 0; i < nd_program_variable_count(a->program); i++) {
        const char *name = nd_program_variable(a->program, i).name;
        same = same && nd_tensor_same_bits(nd_state_tensor(a->state, name), nd_state_tensor(b->state, name));
    }
    return same;
}

static void release(trained *t)
{
    nd_history_destroy(t->history);
    nd_state_destroy(t->state);
    nd_program_destroy(t->program);
}

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "samples/data/digits.csv.gz";
    const int64_t epochs = argc > 2 ? atoi(argv[2]) : 20;

    /* Errors stick: a file that does not read makes data sets, and at last a training, that carry its message. */
    nd_tensor *y, *x = nd_csv_read(path, &(nd_csv_options){.label_column = -1}, &y);
    nd_dataset *digits = nd_dataset_create(), *data, *held;
    nd_dataset_add(digits, "x", x);
    nd_dataset_add(digits, "y", y);
    nd_dataset_split(digits, 5, SEED, &data, &held);
    nd_module *m = nd_module_create("digits");
    build(m);

    trained slow = train(m, true, data, epochs), fast = train(m, false, data, epochs);
    double accuracy = 0;
    bool same = false;
    nd_status status = nd_history_status(slow.history);
    if (status == ND_OK)
        status = nd_history_status(fast.history);
    if (status != ND_OK)
        fprintf(stderr, "%s\n",
                nd_history_error(nd_history_status(slow.history) != ND_OK ? slow.history : fast.history));
    else if ((status = nd_accuracy(fast.program, "predict", fast.state, held, NULL, "y", &accuracy)) != ND_OK)
        fprintf(stderr, "%s\n", nd_dataset_error(held));
    else {
        same = same_weights(&slow, &fast);
        printf("time per step  interpreted %.3f ms, compiled %.4f ms: %.0f times as fast\n", step_ms(&slow),
               step_ms(&fast), step_ms(&slow) / step_ms(&fast));
        printf("final weights  %s bits\n", same ? "the same" : "DIFFERENT");
        printf("accuracy       %.1f %% of %lld digits held back\n", 100 * accuracy, (long long)nd_dataset_rows(held));
    }

    release(&slow);
    release(&fast);
    nd_module_destroy(m);
    nd_dataset *sets[] = {digits, data, held};
    for (int i = 0; i < 3; i++)
        nd_dataset_destroy(sets[i]);
    nd_tensor_destroy(x);
    nd_tensor_destroy(y);
    return status != ND_OK || !same;
}
