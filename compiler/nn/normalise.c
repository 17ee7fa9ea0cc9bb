/* Layer norm and batch norm. */
#include "compiler/nn/layer.h"

typedef struct norm {
    nd_layer base;
    nd_value *gain, *bias;
    nd_value *running_mean, *running_variance; /* batch norm's */
} norm;

static const double epsilon = 1e-5, kept = 0.9;

static nd_value *square(nd_place place, nd_value *x)
{
    return nd_mul_at(place, x, x);
}

/* d * (1 / sqrt(variance + epsilon)) * gain + bias */
static nd_value *scaled(const norm *n, nd_value *d, nd_value *variance)
{
    nd_place place = n->base.place;
    nd_module *m = n->base.module;
    nd_value *deviation = nd_sqrt_at(place, nd_add_at(place, variance, nd_const_at(place, m, epsilon)));
    nd_value *unit = nd_mul_at(place, d, nd_div_at(place, nd_const_at(place, m, 1), deviation));
    return nd_add_at(place, nd_mul_at(place, unit, n->gain), n->bias);
}

static void build(nd_layer *l, nd_shape input)
{
    norm *n = (norm *)l;
    nd_shape last = ND_SHAPE(input.dims[input.rank - 1]);
    n->gain = nd_layer_weight(l, "gain", last, nd_full(1));
    n->bias = nd_layer_weight(l, "bias", last, nd_zeros());
}

static nd_value *call_layer_norm(nd_layer *l, nd_value *x, const nd_call_options *options)
{
    (void)options;
    nd_value *d = nd_sub_at(l->place, x, nd_mean_at(l->place, x, ND_AXES(-1), true));
    return scaled((const norm *)l, d, nd_mean_at(l->place, square(l->place, d), ND_AXES(-1), true));
}

nd_layer *nd_layer_norm(void)
{
    static const nd_layer_kind kind = {"layer_norm", sizeof(norm), 1, build, call_layer_norm, NULL};
    return nd_layer_create(&kind);
}

/* -- batch norm --------------------------------------------------------------------------------------------------- */

static void build_batch_norm(nd_layer *l, nd_shape input)
{
    norm *n = (norm *)l;
    nd_shape last = ND_SHAPE(input.dims[input.rank - 1]);
    build(l, input);
    n->running_mean = nd_layer_state(l, "running_mean", l->dtype, last, nd_zeros());
    n->running_variance = nd_layer_state(l, "running_variance", l->dtype, last, nd_full(1));
}

/* r := kept * r + (1 - kept) * batch */
static void follow(nd_layer *l, nd_value *r, nd_value *batch)
{
    nd_place place = l->place;
    nd_value *old = nd_mul_at(place, nd_const_at(place, l->module, kept), r);
    nd_value *new = nd_mul_at(place, nd_const_at(place, l->module, 1 - kept), batch);
    nd_layer_follow(l, r, nd_stop_gradient_at(place, nd_add_at(place, old, new)));
}

static nd_value *call_batch_norm(nd_layer *l, nd_value *x, const nd_call_options *options)
{
    const norm *n = (const norm *)l;
    nd_place place = l->place;
    if (!options->training)
        return scaled(n, nd_sub_at(place, x, n->running_mean), n->running_variance);
    nd_axes axes = {.count = x->shape.rank - 1};
    for (int i = 0; i < axes.count; i++)
        axes.items[i] = i;
    nd_value *mean = nd_mean_at(place, x, axes, false), *d = nd_sub_at(place, x, mean);
    nd_value *variance = nd_mean_at(place, square(place, d), axes, false);
    follow(l, n->running_mean, mean);
    follow(l, n->running_variance, variance);
    return scaled(n, d, variance);
}

nd_layer *nd_batch_norm(void)
{
    static const nd_layer_kind kind = {"batch_norm", sizeof(norm), 1, build_batch_norm, call_batch_norm, NULL};
    return nd_layer_create(&kind);
}
