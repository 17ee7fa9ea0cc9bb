/* MNIST, or another set in files of the same kind: a network 784-128-10.
 *     mnist FOLDER [EPOCHS]    writes mnist.svg */
#include "nadir/compile.h"
#include "nadir/data.h"
#include "nadir/nn.h"
#include "nadir/train.h"

#include <stdio.h>
#include <stdlib.h>

enum { BATCH = 32, SEED = 42, CLASSES = 10 };

static void build(nd_module *m, nd_layer *model, int64_t height, int64_t width)
{
    const int64_t batch = nd_dim(m, "B", BATCH);
    nd_value *x = nd_input(m, "x", ND_U8, ND_SHAPE(batch, height, width)); /* images stay bytes up to here */
    nd_value *y = nd_input(m, "y", ND_U8, ND_SHAPE(batch));
    nd_value *logits = nd_layer_call(model, nd_div(nd_cast(x, ND_F32), nd_const(m, 255)), NULL);
    nd_value *loss = nd_name(nd_cross_entropy(logits, y), "loss");
    nd_value *accuracy = nd_name(nd_categorical_accuracy(logits, y), "accuracy");

    const nd_values weights = nd_layer_weights(model);
    nd_function *step = nd_function(m, "step", ND_VALUES(x, y), ND_VALUES(loss));
    nd_sgd(step, loss, weights.count, weights.items, nd_const(m, 0.1));
    nd_function(m, "eval", ND_VALUES(x, y), ND_VALUES(loss, accuracy));
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return fprintf(stderr, "usage: mnist FOLDER [EPOCHS]: the folder has train-images-idx3-ubyte and its kin\n"), 2;
    nd_dataset *images = nd_dataset_mnist(argv[1], false), *held = nd_dataset_mnist(argv[1], true);
    nd_tensor *x = nd_dataset_array(images, "x");
    nd_layer *model = nd_sequential("mlp", nd_flatten(), nd_dense(128, ND_RELU), nd_dense(CLASSES, ND_LINEAR));
    nd_module *m = nd_module_create("mnist");
    build(m, model, nd_tensor_dim(x, 1), nd_tensor_dim(x, 2));
    if (nd_module_status(m) == ND_OK)
        nd_layer_summary(model, stdout);

    nd_program *p = nd_compile(m, NULL);
    nd_state *state = nd_state_create(p, SEED);
    nd_history *history = nd_train(p, "step", state, images,
                                   &(nd_train_options){.batch = BATCH,
                                                       .epochs = argc > 2 ? atoi(argv[2]) : 10,
                                                       .shuffle_seed = SEED,
                                                       .classes = CLASSES,
                                                       .validation = held,
                                                       .progress = stdout,
                                                       .plot = "mnist.svg"});
    const nd_status status = nd_history_status(history);
    if (status == ND_OK)
        printf("accuracy %.2f %% of %lld images held back, %.1f s\n",
               100 * nd_history_value(history, nd_history_epochs(history) - 1, 2), (long long)nd_dataset_rows(held),
               nd_history_seconds(history));
    else
        fprintf(stderr, "%s\n", nd_history_error(history));

    nd_history_destroy(history);
    nd_state_destroy(state);
    nd_program_destroy(p);
    nd_layer_destroy(model);
    nd_module_destroy(m);
    nd_dataset_destroy(images);
    nd_dataset_destroy(held);
    return status != ND_OK;
}
