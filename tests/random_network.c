#include "random_network.h"

#include "nadir/nn.h"
#include "random_op.h"

enum { MOST_WEIGHTS = 32 };

typedef struct network {
    nd_module *m;
    nd_layer *layers; /* all that were called, in a list of their own */
    uint64_t *state;
    int64_t largest;
    nd_value *seen[16]; /* what may be added again */
    int seen_count;
    nd_value *penalty; /* NULL: none */
} network;

static int64_t below(network *k, int64_t n)
{
    return random_below(k->state, n);
}

/* Of lengths of vectors, tiles, blocks, and one more. */
static int64_t some_size(network *k)
{
    static const int64_t sizes[] = {1, 2, 3, 7, 8, 16, 17, 33, 40, 64, 65, 100, 128, 130, 256, 257, 300};
    int count = 0;
    while (count < (int)(sizeof sizes / sizeof *sizes) && sizes[count] <= k->largest)
        count++;
    return sizes[below(k, count)];
}

static nd_value *called(network *k, nd_layer *layer, nd_value *x)
{
    nd_sequential_add(k->layers, layer);
    return nd_layer_call(layer, x, &(nd_call_options){.training = true});
}

static int64_t last_size(const nd_value *x)
{
    return x->shape.dims[x->shape.rank - 1];
}

/* -- what stands between layers ----------------------------------------------------------------------------------- */

static nd_value *centred(network *k, nd_value *x)
{
    const int axis = (int)below(k, x->shape.rank);
    nd_value *d = nd_sub(x, nd_mean(x, ND_AXES(axis), true));
    if (below(k, 2))
        return d;
    nd_value *variance = nd_mean(nd_mul(d, d), ND_AXES(axis), true);
    return nd_div(d, nd_sqrt(nd_add(variance, nd_const(k->m, 1e-3))));
}

/* The same elements with two axes the other way round, as they lie or as they are. */
static nd_value *turned(network *k, nd_value *x)
{
    if (x->shape.rank != 2 || x->shape.dims[0] == 1)
        return nd_mul(x, x);
    nd_value *t = nd_transpose(x, ND_ALL_AXES);
    return x->shape.dims[0] == x->shape.dims[1] && below(k, 2) ? t : nd_reshape(t, x->shape);
}

static nd_value *gated(network *k, nd_value *x)
{
    if (last_size(x) % 2)
        return nd_softplus(x);
    nd_value *even = nd_at(x, "..., ::2"), *odd = nd_at(x, "..., 1::2");
    nd_value *one = nd_mul(even, nd_sigmoid(odd)), *other = nd_sub(even, odd);
    return nd_concat(ND_VALUES(one, other), below(k, 2) ? -1 : x->shape.rank - 1);
}

static nd_value *gram(network *k, nd_value *x)
{
    nd_value *g = nd_matmul_t(x, true, x, false);
    return nd_mul(nd_matmul(x, g), nd_const(k->m, 1.0 / 64));
}

/* x, and what came before if it has the shape. */
static nd_value *added(network *k, nd_value *x)
{
    nd_value *old = k->seen[below(k, k->seen_count)];
    bool same = old->shape.rank == x->shape.rank;
    for (int d = 0; same && d < x->shape.rank; d++)
        same = old->shape.dims[d] == x->shape.dims[d];
    return same ? nd_add(x, old) : nd_add(nd_mul(x, x), x);
}

static nd_value *penalised(network *k, nd_value *x)
{
    nd_value *e = below(k, 2) ? nd_mul(x, x) : nd_exp(nd_mul(x, nd_const(k->m, 0.125)));
    if (below(k, 3) == 0)
        e = nd_mean(e, ND_AXES(0), false);
    e = nd_mean(e, ND_ALL_AXES, false);
    k->penalty = k->penalty ? nd_add(k->penalty, e) : e;
    return x;
}

static nd_value *between(network *k, nd_value *x)
{
    switch (below(k, 9)) {
    case 0:
        return centred(k, x);
    case 1:
        return turned(k, x);
    case 2:
        return gated(k, x);
    case 3:
        return x->shape.rank == 2 ? gram(k, x) : nd_abs(x);
    case 4:
        return added(k, x);
    case 5:
        return penalised(k, x);
    case 6:
        return nd_softmax(x, (int)below(k, x->shape.rank));
    default:
        return nd_activate(x, (nd_activation)below(k, ND_SOFTMAX + 1));
    }
}

/* -- layers ------------------------------------------------------------------------------------------------------- */

static nd_activation some_activation(network *k)
{
    return (nd_activation)below(k, ND_SOFTMAX);
}

static nd_value *layer_of_rows(network *k, nd_value *x)
{
    switch (below(k, 6)) {
    case 0:
        return called(k, nd_layer_norm(), x);
    case 1:
        return called(k, nd_batch_norm(), x);
    case 2:
        return called(k, nd_dropout(0.25), x);
    case 3:
        return called(k, nd_dense_without_bias(some_size(k), some_activation(k)), x);
    default:
        return called(k, nd_dense(some_size(k), some_activation(k)), x);
    }
}

static nd_value *layer_of_sequences(network *k, nd_value *x)
{
    const int64_t width = last_size(x), heads = width % 4 == 0 ? 4 : 1;
    switch (below(k, 5)) {
    case 0:
        return called(k, nd_attention(heads, below(k, 2)), x);
    case 1:
        return called(k, nd_gru(1 + some_size(k) / 4, true), x);
    case 2:
        return called(k,
                      nd_conv1d_layer(1 + some_size(k) / 8, 1 + below(k, 3), some_activation(k),
                                      &(nd_conv_options){.same = true}),
                      x);
    default:
        return layer_of_rows(k, x);
    }
}

static nd_value *layer_of_images(network *k, nd_value *x)
{
    const int64_t size = 1 + below(k, 5), channels = 1 + some_size(k) / 8;
    switch (below(k, 5)) {
    case 0:
        if (x->shape.dims[1] > 1 && x->shape.dims[2] > 1)
            return called(k, nd_max_pool2d_layer(&(nd_pool_options){.window = {2, 2}}), x);
        return nd_tanh(x);
    case 1:
        return called(k, nd_batch_norm(), x);
    case 2:
        return called(k,
                      nd_conv2d_layer_without_bias(channels, size, size, some_activation(k),
                                                   &(nd_conv_options){.same = true, .stride = {2, 2}}),
                      x);
    default:
        return called(k, nd_conv2d_layer(channels, size, size, some_activation(k), &(nd_conv_options){.same = true}),
                      x);
    }
}

/* -- all ---------------------------------------------------------------------------------------------------------- */

static nd_shape some_input(network *k, int64_t rank)
{
    const int64_t rows = some_size(k);
    if (rank == 2)
        return ND_SHAPE(rows, some_size(k));
    if (rank == 3)
        return ND_SHAPE(1 + rows / 16, some_size(k), 1 + some_size(k) / 4);
    return ND_SHAPE(1 + rows / 16, 2 + some_size(k) / 16, 2 + some_size(k) / 16, 1 + below(k, 4));
}

/* The loss of logits [rows, ..]. */
static nd_value *loss_of(network *k, nd_value *x, nd_value *labels)
{
    const int64_t rows = x->shape.dims[0], rest = nd__elements(&x->shape) / rows;
    if (below(k, 2))
        return nd_mean(below(k, 2) ? nd_mul(x, x) : x, ND_ALL_AXES, false);
    nd_value *logits = called(k, nd_dense(10, ND_LINEAR), nd_reshape(x, ND_SHAPE(rows, rest)));
    return nd_cross_entropy(logits, labels);
}

/* What makes gradients small, too: their squares, whose gradients are of the second order. */
static nd_value *with_gradients(nd_value *loss, nd_values weights)
{
    nd_value *grads[MOST_WEIGHTS];
    nd_gradients(loss, (int)weights.count, weights.items, grads);
    for (size_t i = 0; i < weights.count; i++)
        loss = nd_add(loss, nd_mean(nd_mul(grads[i], grads[i]), ND_ALL_AXES, false));
    return loss;
}

nd_module *random_network(int64_t largest, uint64_t *state)
{
    static nd_value *(*const kinds[])(network * k, nd_value * x) = {layer_of_rows, layer_of_sequences, layer_of_images};
    network k = {.m = nd_module_create("network"), .state = state, .largest = largest};
    k.layers = nd_sequential_of("all", 0, NULL);
    const int64_t kind = below(&k, 4) ? below(&k, 2) : 2; /* images are slow to run */
    nd_value *x = nd_input(k.m, "x", ND_F32, some_input(&k, kind + 2)), *h = x;
    nd_value *y = nd_input(k.m, "y", ND_I32, ND_SHAPE(x->shape.dims[0]));
    const int64_t length = 1 + below(&k, 8);
    k.seen[k.seen_count++] = h;
    for (int64_t i = 0; i < length; i++) {
        h = below(&k, 2) ? kinds[kind](&k, h) : between(&k, h);
        k.seen[k.seen_count++] = h;
    }
    nd_value *loss = loss_of(&k, h, y);
    if (k.penalty)
        loss = nd_add(loss, k.penalty);
    nd_function *f = nd_function(k.m, "step", ND_VALUES(x, y), ND_VALUES(loss, h));
    nd_values weights = nd_layer_weights(k.layers);
    if (weights.count > 0 && weights.count <= MOST_WEIGHTS && below(&k, 4) == 0)
        loss = with_gradients(loss, weights);
    nd_value *rate = nd_const(k.m, 0.125);
    if (weights.count > 0 && below(&k, 2))
        nd_sgd(f, loss, (int)weights.count, weights.items, rate);
    else if (weights.count > 0)
        nd_adam(f, loss, (int)weights.count, weights.items, rate, NULL);
    nd_layer_update(k.layers, f);
    nd_layer_destroy(k.layers);
    return k.m;
}
