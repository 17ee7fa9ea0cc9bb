/* MNIST, or another set in files of the same kind: a network 784-128-10, or LeNet-5.
 *     mnist FOLDER [EPOCHS [mlp|lenet]]    writes mnist.svg */
#include "nadir/compile.h"
#include "nadir/data.h"
#include "nadir/nn.h"
#include "nadir/train.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 32, SEED = 42, CLASSES = 10 };

/* A layer of one's own, as LeNet has them: convolution by windows of 5 x 5, and the largest of each 2 x 2. */
struct stage {
    nd_layer base;
    int64_t channels;
    bool same; /* the border is padded, so that the convolution keeps the size */
    nd_value *kernel, *bias;
};

static void stage_build(nd_layer *l, nd_shape input)
{
    struct stage *s = (struct stage *)l;
    s->kernel = nd_layer_weight(l, "kernel", ND_SHAPE(5, 5, input.dims[3], s->channels), nd_glorot_uniform());
    s->bias = nd_layer_weight(l, "bias", ND_SHAPE(s->channels), nd_zeros());
}

static nd_value *stage_call(nd_layer *l, nd_value *x, const nd_call_options *options)
{
    const struct stage *s = (struct stage *)l;
    (void)options;
    nd_value *y = nd_conv2d(x, s->kernel, &(nd_conv_options){.same = s->same});
    return nd_max_pool2d(nd_relu(nd_add(y, s->bias)), &(nd_pool_options){.window = {2, 2}});
}

static nd_layer *stage(int64_t channels, bool same)
{
    static const nd_layer_kind kind = {"stage", sizeof(struct stage), .inner = 3, .build = stage_build,
                                       .call = stage_call};
    struct stage *s = (struct stage *)nd_layer_create(&kind);
    if (!s)
        return NULL;
    s->channels = channels;
    s->same = same;
    return &s->base;
}

static nd_layer *make_model(bool lenet)
{
    if (lenet)
        return nd_sequential("lenet", stage(6, true), stage(16, false), nd_flatten(), nd_dense(120, ND_RELU),
                             nd_dense(84, ND_RELU), nd_dense(CLASSES, ND_LINEAR));
    return nd_sequential("mlp", nd_flatten(), nd_dense(128, ND_RELU), nd_dense(CLASSES, ND_LINEAR));
}

static void build(nd_module *m, nd_layer *model, const nd_tensor *images, bool slowing)
{
    const int64_t batch = nd_dim(m, "B", BATCH), height = nd_tensor_dim(images, 1), width = nd_tensor_dim(images, 2);
    nd_value *x = nd_input(m, "x", ND_U8, ND_SHAPE(batch, height, width)); /* images stay bytes up to here */
    nd_value *y = nd_input(m, "y", ND_U8, ND_SHAPE(batch));
    nd_value *grey = nd_div(nd_cast(x, ND_F32), nd_const(m, 255));
    nd_value *logits = nd_layer_call(model, nd_reshape(grey, ND_SHAPE(batch, height, width, 1)), NULL);
    nd_value *loss = nd_name(nd_cross_entropy(logits, y), "loss");
    nd_value *accuracy = nd_name(nd_categorical_accuracy(logits, y), "accuracy");

    const nd_values weights = nd_layer_weights(model);
    nd_function *step = nd_function(m, "step", ND_VALUES(x, y), ND_VALUES(loss));
    const int64_t epoch = (nd_tensor_dim(images, 0) + BATCH - 1) / BATCH;
    nd_value *rate = slowing ? nd_rate_exponential(nd_steps(step), 0.1, epoch, 0.8) : nd_const(m, 0.1);
    nd_sgd(step, loss, weights.count, weights.items, rate);
    nd_function(m, "eval", ND_VALUES(x, y), ND_VALUES(loss, accuracy));
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return fprintf(
                   stderr,
                   "usage: mnist FOLDER [EPOCHS [mlp|lenet]]: the folder has train-images-idx3-ubyte and its kin\n"),
               2;
    nd_dataset *images = nd_dataset_mnist(argv[1], false), *held = nd_dataset_mnist(argv[1], true);
    const bool lenet = argc > 3 && strcmp(argv[3], "lenet") == 0;
    nd_layer *model = make_model(lenet);
    nd_module *m = nd_module_create("mnist");
    build(m, model, nd_dataset_array(images, "x"), lenet);
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
