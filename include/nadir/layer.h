/* Layers and models. Part of nadir/nn.h.
 *
 *     nd_layer *model = nd_sequential("mlp", nd_layer_named(nd_dense(128, ND_RELU), "hidden"), nd_dropout(0.2),
 *                                     nd_dense(10, ND_LINEAR));
 *     nd_value *logits = nd_layer_call(model, x, &(nd_call_options){.training = true});
 *     nd_value *loss = nd_add(nd_cross_entropy(logits, y), nd_layer_penalty(model));
 *     nd_function *step = nd_function(m, "step", ND_VALUES(x, y), ND_VALUES(loss));
 *     nd_values w = nd_layer_weights(model);                    -- "mlp/hidden/weight", ...
 *     nd_adam(step, loss, w.count, w.items, nd_const(m, 0.001), NULL);
 *     nd_layer_update(model, step);                             -- dropout's key, batch norm's running means
 *     nd_function(m, "predict", ND_VALUES(x), ND_VALUES(nd_layer_call(model, x, NULL)));
 *     nd_layer_summary(model, stdout);
 *     nd_layer_destroy(model);
 *
 * A layer only builds: what it makes are variables and ordinary nodes of the module. The first call makes its weights,
 * for the input's shape and dtype (f32 where the input is no float); later calls (another batch size, inference) use
 * the same ones, and so does a layer that stands in two places. A weight is named by its path: the names of the layers
 * around it and its own, with '/' between. A layer that has no name goes by its kind, numbered where that is not the
 * first one ("mlp/dense_1/bias").
 *
 * A layer of one's own is a struct that begins with nd_layer:
 *
 *     struct scale { nd_layer base; nd_value *gain; };
 *     static void build(nd_layer *l, nd_shape input)
 *     {
 *         ((struct scale *)l)->gain = nd_layer_weight(l, "gain", ND_SHAPE(input.dims[input.rank - 1]), nd_full(1));
 *     }
 *     static nd_value *call(nd_layer *l, nd_value *x, const nd_call_options *options)
 *     {
 *         return nd_mul(x, ((struct scale *)l)->gain);
 *     }
 *     static const nd_layer_kind kind = {"scale", sizeof(struct scale), .inner = 1, .build = build, .call = call};
 *     nd_layer *scale(void) { return nd_layer_create(&kind); }
 *
 * A model of one's own holds other layers, which nd_layer_child gives it.
 *
 * Errors. Making layers gives NULL when memory runs out, and all that take a layer accept NULL: what went wrong is the
 * module's error at the first call. One thread at a time uses a layer, as its module. When the module is gone, its
 * layers can only be destroyed. */
#ifndef NADIR_LAYER_H
#define NADIR_LAYER_H

#include "nadir/graph.h"

#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nd_layer nd_layer;

typedef struct nd_call_options {
    bool training;  /* dropout drops, batch norm looks at the batch */
    unsigned flags; /* for layers of one's own; the layers inside get them, too */
} nd_call_options;

/* -- calling ------------------------------------------------------------------------------------------------------ */

/* The layer's value at x. `options` NULL: all zero. */
#define nd_layer_call(layer, x, ...) nd_layer_call_at(ND_HERE, layer, x, __VA_ARGS__) /* options */
ND_API nd_value *nd_layer_call_at(nd_place place, nd_layer *layer, nd_value *x, const nd_call_options *options);
/* Assigns, in a function that trains, what the training calls since the last nd_layer_update want their state to be:
 * keys, running means. Once for each function that trains; without it every step drops the same elements. */
#define nd_layer_update(layer, function) nd_layer_update_at(ND_HERE, layer, function)
ND_API void nd_layer_update_at(nd_place place, nd_layer *layer, nd_function *function);

/* -- layers ------------------------------------------------------------------------------------------------------- */

typedef enum nd_activation {
    ND_LINEAR, /* x */
    ND_RELU,
    ND_SIGMOID,
    ND_TANH,
    ND_GELU,
    ND_GELU_TANH,
    ND_SILU,
    ND_SOFTPLUS,
    ND_SOFTMAX, /* over the last axis */
} nd_activation;
/* The activation of that name in nadir/nn.h or nadir/graph.h. */
#define nd_activate(x, activation) nd_activate_at(ND_HERE, x, activation)
ND_API nd_value *nd_activate_at(nd_place place, nd_value *x, nd_activation activation);

/* [.., in] to [.., units]: activate(x weight + bias); weight [in, units] Glorot uniform, bias [units] zeros. */
ND_API nd_layer *nd_dense(int64_t units, nd_activation activation);
/* activate(x weight). */
ND_API nd_layer *nd_dense_without_bias(int64_t units, nd_activation activation);
ND_API nd_layer *nd_activation_layer(nd_activation activation);
/* In training: select(bits < p, 0, x * (1 / (1 - rate))), bits random of x's shape, p = rate * 2^32 rounded, rate 0 up
 * to but not 1. The bits are nd_random_bits of the variable "key", u32[2], random at first, whose first word the step
 * counts up; the number of the call in one step is the stream. Otherwise x. Srivastava et al. 2014. */
ND_API nd_layer *nd_dropout(double rate);
/* [B, ..] to [B, the rest]. */
ND_API nd_layer *nd_flatten(void);
/* Integers [..] to [.., width]: rows of weight [count, width], uniform in +-0.05 at first. An index outside 0 to
 * count - 1 gives zeros. */
ND_API nd_layer *nd_embedding(int64_t count, int64_t width);
/* d * (1 / sqrt(mean(d * d) + 1e-5)) * gain + bias, d = x - mean(x), over the last axis, from left to right; gain ones,
 * bias zeros. Ba, Kiros and Hinton 2016. */
ND_API nd_layer *nd_layer_norm(void);
/* The same over all axes but the last, each channel by itself. Training calls take the batch's mean and (biased)
 * variance and let the step follow them, r := 0.9 * r + 0.1 * batch, in "running_mean" (zeros at first) and
 * "running_variance" (ones); other calls take those. Ioffe and Szegedy 2015. */
ND_API nd_layer *nd_batch_norm(void);
/* x + inner(x). Takes `inner` over. */
ND_API nd_layer *nd_residual(nd_layer *inner);
/* A gated recurrent unit over [B, T, in]: the states [B, T, units], or the last one [B, units]. From h = 0, with
 * p = x input_weight + input_bias and q = h state_weight + state_bias in parts r, z, n of `units` columns each:
 *     r = sigmoid(p_r + q_r);    z = sigmoid(p_z + q_z);    c = tanh(p_n + r * q_n);    h = c + z * (h - c)
 * weights Glorot uniform (state_weight orthogonal), biases zeros. Cho et al. 2014, with the reset gate behind the
 * product, as cuDNN has it. */
ND_API nd_layer *nd_gru(int64_t units, bool all_states);
/* Attention of a sequence to itself, [B, T, D] to [B, T, D] (Vaswani et al. 2017): "qkv", dense D to 3 D, in blocks q,
 * k, v of `heads` heads of d = D / heads columns each; nd_dot_product_attention for each head, side by side;
 * "projection", dense D to D. causal: a position sees itself and those before it. */
ND_API nd_layer *nd_attention(int64_t heads, bool causal);
/* x += dropout(attention(norm(x))); x += dropout(down(up(norm(x)))): "attention_norm", "attention", "norm", "up" (dense
 * D to hidden, GELU in its tanh form), "down" (dense to D). dropout 0: none. */
ND_API nd_layer *nd_transformer_block(int64_t heads, int64_t hidden, bool causal, double dropout);

/* activate(conv2d(x, weight) + bias) of images [B, height, width, in] of the weights' dtype, with the convolution's own
 * options (copied; NULL: its defaults; `size` is not looked at); weight [height, width, in / groups, channels] Glorot
 * uniform, bias [channels] zeros. */
ND_API nd_layer *nd_conv2d_layer(int64_t channels, int64_t height, int64_t width, nd_activation activation,
                                 const nd_conv_options *options);
/* activate(conv2d(x, weight)): in front of a batch norm. */
ND_API nd_layer *nd_conv2d_layer_without_bias(int64_t channels, int64_t height, int64_t width, nd_activation activation,
                                              const nd_conv_options *options);
/* The same of sequences [B, length, in]: weight [length, in / groups, channels]. */
ND_API nd_layer *nd_conv1d_layer(int64_t channels, int64_t length, nd_activation activation,
                                 const nd_conv_options *options);
ND_API nd_layer *nd_conv1d_layer_without_bias(int64_t channels, int64_t length, nd_activation activation,
                                              const nd_conv_options *options);
/* nd_max_pool2d and its kin with their options (copied), a window at least:
 * nd_max_pool2d_layer(&(nd_pool_options){.window = {2, 2}}). */
ND_API nd_layer *nd_max_pool2d_layer(const nd_pool_options *options);
ND_API nd_layer *nd_max_pool1d_layer(const nd_pool_options *options);
ND_API nd_layer *nd_avg_pool2d_layer(const nd_pool_options *options);
ND_API nd_layer *nd_avg_pool1d_layer(const nd_pool_options *options);

/* One after another; takes the layers over. Empty: nd_sequential_of(name, 0, NULL), then nd_sequential_add. */
#define nd_sequential(name, ...)                                                                                       \
    nd_sequential_of(name, sizeof((nd_layer *[]){__VA_ARGS__}) / sizeof(nd_layer *), (nd_layer *[]){__VA_ARGS__})
ND_API nd_layer *nd_sequential_of(const char *name, size_t n, nd_layer *const *layers);
ND_API void nd_sequential_add(nd_layer *sequential, nd_layer *layer);

/* Destroys the layer and those inside, unless another place shares them. NULL is accepted. */
ND_API void nd_layer_destroy(nd_layer *layer);
/* The same layer, to be taken over by another place as well: nd_sequential("b", nd_layer_share(a)). Its weights keep
 * the path of the first place. */
ND_API nd_layer *nd_layer_share(nd_layer *layer);
/* Names it (copied; letters, digits, _, - and .) before it is called, and gives it back. */
ND_API nd_layer *nd_layer_named(nd_layer *layer, const char *name);

/* -- weights ------------------------------------------------------------------------------------------------------ */

/* Another initial value for the layer's own weight of that name ("weight"), before the first call, till which a tensor
 * in it has to live. A later one is an error of the module, and so is, at the first call, one for a weight that the
 * layer does not have. */
ND_API void nd_layer_set_init(nd_layer *layer, const char *weight, nd_init init);
/* A frozen layer's weights, and those of the layers inside (and that come inside later), are not trained:
 * nd_layer_weights leaves them out. */
ND_API void nd_layer_freeze(nd_layer *layer, bool frozen);
/* Adds l1 * sum(abs(w)) + l2 * sum(w * w) for each weight of rank 2 or more of the layer itself and those inside to
 * nd_layer_penalty; a layer inside that is given others afterwards has those. */
ND_API void nd_layer_regularise(nd_layer *layer, double l1, double l2);
/* The sum of these, a scalar of the weights' dtype; 0 where there is nothing, NULL before the first call. Weights that
 * are frozen or shared count once each. */
#define nd_layer_penalty(layer) nd_layer_penalty_at(ND_HERE, layer)
ND_API nd_value *nd_layer_penalty_at(nd_place place, nd_layer *layer);
/* The trained weights, each once, in the order of the layers; none before the first call. Valid until the next
 * nd_layer_weights or nd_layer_variables of the layer. */
ND_API nd_values nd_layer_weights(nd_layer *layer);
/* All variables: frozen weights, keys and running means, too. */
ND_API nd_values nd_layer_variables(nd_layer *layer);
/* The variable of that path, from the layer ("hidden/weight") or whole; NULL: none. */
ND_API nd_value *nd_layer_find(nd_layer *layer, const char *path);
/* The elements of all weights, or of the trained ones. */
ND_API int64_t nd_layer_parameters(nd_layer *layer, bool trained);
/* Prints a table: each layer with its kind, output shape, parameters, and the flops of its last call (2 for each
 * multiply-add of a product or a convolution, padding included, also of the one that sums an average pool; nothing else
 * counts), then the sums. ND_ERR_STATE before the first call; ND_ERR_MEMORY, ND_ERR_IO. */
ND_API nd_status nd_layer_summary(nd_layer *layer, FILE *out);

/* -- layers of one's own ------------------------------------------------------------------------------------------ */

typedef struct nd_layer_kind {
    const char *name; /* letters, digits, _ */
    size_t size;      /* of the struct that begins with nd_layer */
    int inner;        /* how many of the input's last sizes are the same in all calls, which is checked; 0: any */
    /* Makes the weights, once, for the first input; NULL: none. */
    void (*build)(nd_layer *layer, nd_shape input);
    /* The value at x; `options` is not NULL. */
    nd_value *(*call)(nd_layer *layer, nd_value *x, const nd_call_options *options);
    /* Frees what the struct owns beside the layers inside; NULL: nothing. */
    void (*destroy)(nd_layer *layer);
} nd_layer_kind;

struct nd_layer {
    const nd_layer_kind *kind; /* as long as the layer */
    nd_module *module;         /* NULL before the first call */
    nd_place place;            /* in build and call: the caller's */
    nd_dtype dtype;            /* of the weights, from the first call on */
    struct nd__layer *inside;  /* internal */
};

/* A layer of that kind, its struct zeroed behind the nd_layer; NULL when memory runs out. */
ND_API nd_layer *nd_layer_create(const nd_layer_kind *kind);
/* Gives `parent` a layer to hold: named below it, listed with it, destroyed with it. Gives the child back. */
ND_API nd_layer *nd_layer_child(nd_layer *parent, nd_layer *child);
/* In build: a weight, or state that is not trained. The variable "PATH/name". */
ND_API nd_value *nd_layer_weight(nd_layer *layer, const char *name, nd_shape shape, nd_init init);
ND_API nd_value *nd_layer_state(nd_layer *layer, const char *name, nd_dtype dtype, nd_shape shape, nd_init init);
/* In a training call: what nd_layer_update assigns to the state. A second time in one step, `value` replaces the first.
 */
ND_API void nd_layer_follow(nd_layer *layer, nd_value *state, nd_value *value);
/* Puts "PLACE: layer "PATH" (kind): message" on the module; gives poison. */
ND_API nd_value *nd_layer_fail(nd_layer *layer, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;

#ifdef __cplusplus
}
#endif
#endif
