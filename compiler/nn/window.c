/* Layers of windows that walk over sequences and images: convolutions and pools. */
#include "compiler/nn/layer.h"

/* Fails unless x is a sequence (one axis) or an image (two). */
static bool has_axes(nd_layer *l, const nd_value *x, int axes)
{
    if (x->shape.rank == axes + 2)
        return true;
    nd_layer_fail(l, "the input %s is %s, expected [B, %s, channels]", nd__show(l->module, x),
                  nd__show_type(l->module, x->dtype, &x->shape), axes == 2 ? "height, width" : "length");
    return false;
}

/* -- convolutions ------------------------------------------------------------------------------------------------- */

typedef struct conv {
    nd_layer base;
    int axes;
    int64_t channels, kernel[2];
    nd_activation activation;
    bool biased;
    nd_conv_options options;
    nd_value *weight, *bias;
} conv;

static void build_conv(nd_layer *l, nd_shape input)
{
    conv *c = (conv *)l;
    const int64_t in = input.dims[input.rank - 1], groups = c->options.groups == 0 ? 1 : c->options.groups;
    const int64_t *k = c->kernel;
    if (nd__size_is_named(in))
        nd_layer_fail(l, "the channels of %s are named, expected a number", nd__show_type(l->module, l->dtype, &input));
    else if (groups < 1 || in % groups != 0 || c->channels % groups != 0)
        nd_layer_fail(l, "channels, %lld to %lld, that do not divide into %lld groups", (long long)in,
                      (long long)c->channels, (long long)groups);
    else
        c->weight = nd_layer_weight(l, "weight",
                                    c->axes == 2 ? ND_SHAPE(k[0], k[1], in / groups, c->channels)
                                                 : ND_SHAPE(k[0], in / groups, c->channels),
                                    nd_glorot_uniform());
    if (c->biased)
        c->bias = nd_layer_weight(l, "bias", ND_SHAPE(c->channels), nd_zeros());
}

static nd_value *call_conv(nd_layer *l, nd_value *x, const nd_call_options *options)
{
    const conv *c = (const conv *)l;
    (void)options;
    if (!has_axes(l, x, c->axes))
        return &l->module->poison;
    nd_value *y = c->axes == 2 ? nd_conv2d_at(l->place, x, c->weight, &c->options)
                               : nd_conv1d_at(l->place, x, c->weight, &c->options);
    if (c->bias)
        y = nd_add_at(l->place, y, c->bias);
    return nd_activate_at(l->place, y, c->activation);
}

static nd_layer *make_conv(conv given, const nd_conv_options *options)
{
    static const nd_layer_kind kinds[] = {{"conv1d", sizeof(conv), 1, build_conv, call_conv, NULL},
                                          {"conv2d", sizeof(conv), 1, build_conv, call_conv, NULL}};
    nd_layer *l = nd_layer_create(&kinds[given.axes - 1]);
    if (l) {
        given.base = *l;
        if (options)
            given.options = *options;
        *(conv *)l = given;
    }
    return l;
}

nd_layer *nd_conv2d_layer(int64_t channels, int64_t height, int64_t width, nd_activation activation,
                          const nd_conv_options *options)
{
    return make_conv(
        (conv){.axes = 2, .channels = channels, .kernel = {height, width}, .activation = activation, .biased = true},
        options);
}

nd_layer *nd_conv2d_layer_without_bias(int64_t channels, int64_t height, int64_t width, nd_activation activation,
                                       const nd_conv_options *options)
{
    return make_conv((conv){.axes = 2, .channels = channels, .kernel = {height, width}, .activation = activation},
                     options);
}

nd_layer *nd_conv1d_layer(int64_t channels, int64_t length, nd_activation activation, const nd_conv_options *options)
{
    return make_conv(
        (conv){.axes = 1, .channels = channels, .kernel = {length}, .activation = activation, .biased = true}, options);
}

nd_layer *nd_conv1d_layer_without_bias(int64_t channels, int64_t length, nd_activation activation,
                                       const nd_conv_options *options)
{
    return make_conv((conv){.axes = 1, .channels = channels, .kernel = {length}, .activation = activation}, options);
}

/* -- pools -------------------------------------------------------------------------------------------------------- */

typedef struct pool {
    nd_layer base;
    int axes;
    nd_value *(*op)(nd_place, nd_value *, const nd_pool_options *);
    bool given; /* the options */
    nd_pool_options options;
} pool;

static nd_value *call_pool(nd_layer *l, nd_value *x, const nd_call_options *options)
{
    const pool *p = (const pool *)l;
    (void)options;
    if (!has_axes(l, x, p->axes))
        return &l->module->poison;
    if (!p->given)
        return nd_layer_fail(l, "the options are NULL, a pool needs its window");
    return p->op(l->place, x, &p->options);
}

static nd_layer *make_pool(const nd_layer_kind *kind, int axes,
                           nd_value *(*op)(nd_place, nd_value *, const nd_pool_options *),
                           const nd_pool_options *options)
{
    nd_layer *l = nd_layer_create(kind);
    if (l) {
        pool *p = (pool *)l;
        p->axes = axes;
        p->op = op;
        p->given = options;
        if (options)
            p->options = *options;
    }
    return l;
}

nd_layer *nd_max_pool2d_layer(const nd_pool_options *options)
{
    static const nd_layer_kind kind = {"max_pool2d", sizeof(pool), 0, NULL, call_pool, NULL};
    return make_pool(&kind, 2, nd_max_pool2d_at, options);
}

nd_layer *nd_max_pool1d_layer(const nd_pool_options *options)
{
    static const nd_layer_kind kind = {"max_pool1d", sizeof(pool), 0, NULL, call_pool, NULL};
    return make_pool(&kind, 1, nd_max_pool1d_at, options);
}

nd_layer *nd_avg_pool2d_layer(const nd_pool_options *options)
{
    static const nd_layer_kind kind = {"avg_pool2d", sizeof(pool), 0, NULL, call_pool, NULL};
    return make_pool(&kind, 2, nd_avg_pool2d_at, options);
}

nd_layer *nd_avg_pool1d_layer(const nd_pool_options *options)
{
    static const nd_layer_kind kind = {"avg_pool1d", sizeof(pool), 0, NULL, call_pool, NULL};
    return make_pool(&kind, 1, nd_avg_pool1d_at, options);
}
