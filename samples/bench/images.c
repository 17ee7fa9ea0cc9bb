/* Convolutional models of images: LeNet-5 and a small residual network. */
#include "bench.h"
#include "nadir/nn.h"

#include <math.h>
#include <stdio.h>

/* [height, width, in, out] */
static nd_value *kernel(model *m, const char *name, int64_t size, int64_t in, int64_t out)
{
    return parameter(m, name, ND_SHAPE(size, size, in, out), pow((double)(size * size * in), -0.5));
}

/* -- LeNet-5 ------------------------------------------------------------------------------------------------------ */

/* Convolution, activation, pool. */
static nd_value *stage(model *m, const char *name, nd_value *x, int64_t in, int64_t out)
{
    char bias[32];
    snprintf(bias, sizeof bias, "%s_bias", name);
    x = nd_conv2d(x, kernel(m, name, 5, in, out), NULL);
    x = nd_relu(nd_add(x, parameter(m, bias, ND_SHAPE(out), 0)));
    return nd_max_pool2d(x, &(nd_pool_options){.window = {2, 2}});
}

static nd_value *lenet(model *m, nd_value *x, int64_t batch)
{
    x = stage(m, "conv1", nd_reshape(x, ND_SHAPE(batch, 28, 28, 1)), 1, 6);
    x = stage(m, "conv2", x, 6, 16);
    return dense_layers(m, nd_reshape(x, ND_SHAPE(batch, 256)), 4, (int64_t[]){256, 120, 84, 10}, nd_relu_at);
}

void build_lenet(model *m)
{
    nd_value *x, *y;
    images(m, 32, &x, &y);
    train(m, x, y, nd_cross_entropy(lenet(m, x, 32), y), 0.05, 0);
}

void build_lenet_inference(model *m)
{
    nd_value *x;
    images(m, 1, &x, NULL);
    nd_function(m->module, "step", ND_VALUES(x), ND_VALUES(lenet(m, x, 1)));
}

/* -- residual network --------------------------------------------------------------------------------------------- */

enum { UNITS = 8 };

/* What normalisation remembers of the batches: it has no part in training. */
typedef struct running {
    nd_value *variables[2 * UNITS], *batch[2 * UNITS];
    int count;
} running;

static void follow(model *m, running *r, const char *name, nd_value *batch, double first)
{
    const nd_init init = first == 0 ? nd_zeros() : nd_full(first);
    r->variables[r->count] = nd_variable(m->module, name, ND_F32, nd_value_shape(batch), init);
    r->batch[r->count++] = batch;
}

/* Convolution with zeros around, then normalisation over batch, height and width. */
static nd_value *unit(model *m, running *r, nd_value *x, int64_t size, int64_t out, int64_t stride)
{
    static const char *const parts[] = {"kernel", "gain", "bias", "mean", "variance"};
    char name[5][32];
    for (int i = 0; i < 5; i++)
        snprintf(name[i], sizeof name[i], "u%d/%s", r->count / 2, parts[i]);
    const int64_t border = size / 2, in = nd_value_shape(x).dims[3];
    const nd_conv_options how = {.stride = {stride, stride}, .low = {border, border}, .high = {border, border}};
    x = nd_conv2d(x, kernel(m, name[0], size, in, out), &how);
    nd_value *mean = nd_mean(x, ND_AXES(0, 1, 2), false), *d = nd_sub(x, mean);
    nd_value *variance = nd_mean(nd_mul(d, d), ND_AXES(0, 1, 2), false);
    follow(m, r, name[3], mean, 0);
    follow(m, r, name[4], variance, 1);
    nd_value *gain = parameter(m, name[1], ND_SHAPE(out), 1);
    nd_value *scale = nd_div(gain, nd_sqrt(nd_add(variance, nd_const(m->module, 1e-5))));
    return nd_add(nd_mul(d, scale), parameter(m, name[2], ND_SHAPE(out), 0));
}

void build_resnet(model *m)
{
    running r = {.count = 0};
    nd_value *x, *y;
    images(m, 32, &x, &y);
    nd_value *h = nd_relu(unit(m, &r, nd_reshape(x, ND_SHAPE(32, 28, 28, 1)), 3, 16, 1));
    for (int i = 0; i < 2; i++)
        h = nd_relu(nd_add(unit(m, &r, nd_relu(unit(m, &r, h, 3, 16, 1)), 3, 16, 1), h));
    nd_value *wide = unit(m, &r, nd_relu(unit(m, &r, h, 3, 32, 2)), 3, 32, 1);
    h = nd_relu(nd_add(wide, unit(m, &r, h, 1, 32, 2)));
    nd_value *logits = dense_layers(m, nd_mean(h, ND_AXES(1, 2), false), 2, (int64_t[]){32, 10}, NULL);

    nd_function *step = train(m, x, y, nd_cross_entropy(logits, y), 0.01, 0.9);
    for (int i = 0; i < r.count; i++) {
        nd_value *kept = nd_mul(nd_const(m->module, 0.9), r.variables[i]);
        nd_assign(step, r.variables[i], nd_add(kept, nd_mul(nd_const(m->module, 0.1), r.batch[i])));
    }
}
