/* Layers without memory of their own but a table or a matrix: dense, activation, flatten, embedding. */
#include "compiler/nn/layer.h"
#include "nadir/nn.h"

/* -- dense -------------------------------------------------------------------------------------------------------- */

typedef struct dense {
    nd_layer base;
    int64_t units;
    nd_activation activation;
    bool biased;
    nd_value *weight, *bias;
} dense;

static void build_dense(nd_layer *l, nd_shape input)
{
    dense *d = (dense *)l;
    if (d->units < 1) {
        nd_layer_fail(l, "%lld units, expected at least 1", (long long)d->units);
        return;
    }
    d->weight = nd_layer_weight(l, "weight", ND_SHAPE(input.dims[input.rank - 1], d->units), nd_glorot_uniform());
    if (d->biased)
        d->bias = nd_layer_weight(l, "bias", ND_SHAPE(d->units), nd_zeros());
}

static nd_value *call_dense(nd_layer *l, nd_value *x, const nd_call_options *options)
{
    const dense *d = (const dense *)l;
    (void)options;
    if (!nd_dtype_is_float(x->dtype))
        return nd_layer_fail(l, "the input %s is %s, expected floats; nd_cast makes them", nd__show(l->module, x),
                             nd__show_type(l->module, x->dtype, &x->shape));
    nd_value *y = nd_matmul_at(l->place, x, d->weight);
    if (d->bias)
        y = nd_add_at(l->place, y, d->bias);
    return nd_activate_at(l->place, y, d->activation);
}

static nd_layer *make_dense(int64_t units, nd_activation activation, bool biased)
{
    static const nd_layer_kind kind = {"dense", sizeof(dense), 1, build_dense, call_dense, NULL};
    nd_layer *l = nd_layer_create(&kind);
    if (l) {
        dense *d = (dense *)l;
        d->units = units;
        d->activation = activation;
        d->biased = biased;
    }
    return l;
}

nd_layer *nd_dense(int64_t units, nd_activation activation)
{
    return make_dense(units, activation, true);
}

nd_layer *nd_dense_without_bias(int64_t units, nd_activation activation)
{
    return make_dense(units, activation, false);
}

/* -- activation, flatten ------------------------------------------------------------------------------------------ */

nd_value *nd_activate_at(nd_place place, nd_value *x, nd_activation activation)
{
    switch (activation) {
    case ND_LINEAR:
        return x;
    case ND_RELU:
        return nd_relu_at(place, x);
    case ND_SIGMOID:
        return nd_sigmoid_at(place, x);
    case ND_TANH:
        return nd_tanh_at(place, x);
    case ND_GELU:
        return nd_gelu_at(place, x);
    case ND_GELU_TANH:
        return nd_gelu_tanh_at(place, x);
    case ND_SILU:
        return nd_silu_at(place, x);
    case ND_SOFTPLUS:
        return nd_softplus_at(place, x);
    case ND_SOFTMAX:
        return nd_softmax_at(place, x, -1);
    }
    return nd__fail(nd_value_module(x), ND_ERR_ARGUMENT, place, "activate: there is no activation number %d",
                    (int)activation);
}

typedef struct activation_layer {
    nd_layer base;
    nd_activation activation;
} activation_layer;

static nd_value *call_activation(nd_layer *l, nd_value *x, const nd_call_options *options)
{
    (void)options;
    return nd_activate_at(l->place, x, ((const activation_layer *)l)->activation);
}

nd_layer *nd_activation_layer(nd_activation activation)
{
    static const nd_layer_kind kind = {"activation", sizeof(activation_layer), 0, NULL, call_activation, NULL};
    nd_layer *l = nd_layer_create(&kind);
    if (l)
        ((activation_layer *)l)->activation = activation;
    return l;
}

static nd_value *call_flatten(nd_layer *l, nd_value *x, const nd_call_options *options)
{
    (void)options;
    if (x->shape.rank < 1)
        return nd_layer_fail(l, "the input %s is a scalar, expected [B, ..]", nd__show(l->module, x));
    return nd_reshape_at(l->place, x, ND_SHAPE(x->shape.dims[0], -1));
}

nd_layer *nd_flatten(void)
{
    static const nd_layer_kind kind = {"flatten", sizeof(nd_layer), 0, NULL, call_flatten, NULL};
    return nd_layer_create(&kind);
}

/* -- embedding ---------------------------------------------------------------------------------------------------- */

typedef struct embedding {
    nd_layer base;
    int64_t count, width;
    nd_value *weight;
} embedding;

static void build_embedding(nd_layer *l, nd_shape input)
{
    embedding *e = (embedding *)l;
    (void)input;
    if (e->count < 1 || e->width < 1) {
        nd_layer_fail(l, "%lld rows of %lld, expected at least 1 of 1", (long long)e->count, (long long)e->width);
        return;
    }
    e->weight = nd_layer_weight(l, "weight", ND_SHAPE(e->count, e->width), nd_random_uniform(-0.05, 0.05));
}

static nd_value *call_embedding(nd_layer *l, nd_value *x, const nd_call_options *options)
{
    (void)options;
    if (nd_dtype_is_float(x->dtype) || x->dtype == ND_BOOL)
        return nd_layer_fail(l, "the input %s is %s, expected integers, the rows' numbers", nd__show(l->module, x),
                             nd__show_type(l->module, x->dtype, &x->shape));
    return nd_gather_at(l->place, ((const embedding *)l)->weight, x);
}

nd_layer *nd_embedding(int64_t count, int64_t width)
{
    static const nd_layer_kind kind = {"embedding", sizeof(embedding), 0, build_embedding, call_embedding, NULL};
    nd_layer *l = nd_layer_create(&kind);
    if (l) {
        ((embedding *)l)->count = count;
        ((embedding *)l)->width = width;
    }
    return l;
}
