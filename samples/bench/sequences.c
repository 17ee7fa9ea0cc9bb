/* Models of characters: a recurrent one and a transformer. */
#include "bench.h"
#include "nadir/nn.h"

#include <math.h>
#include <stdio.h>

enum { KINDS = 65, LENGTH = 64 };

/* -- recurrent ---------------------------------------------------------------------------------------------------- */

enum { STREAMS = 16, EMBEDDED = 64, HIDDEN = 128 };

/* Columns from, ..., from + HIDDEN - 1. */
static nd_value *gate(nd_value *x, int64_t from)
{
    return nd_slice(x, (int64_t[]){0, from}, (int64_t[]){STREAMS, HIDDEN}, (int64_t[]){1, 1});
}

/* One character further: h from what the embedding brings, gates in the order r, z, n. */
static nd_function *cell(nd_module *m, nd_value *wh, nd_value *bh)
{
    nd_value *h = nd_input(m, "h", ND_F32, ND_SHAPE(STREAMS, HIDDEN));
    nd_value *in = nd_input(m, "gates", ND_F32, ND_SHAPE(STREAMS, 3 * HIDDEN));
    nd_value *own = nd_add(nd_matmul(h, wh), bh);
    nd_value *r = nd_sigmoid(nd_add(gate(in, 0), gate(own, 0)));
    nd_value *z = nd_sigmoid(nd_add(gate(in, HIDDEN), gate(own, HIDDEN)));
    nd_value *n = nd_tanh(nd_add(gate(in, 2 * HIDDEN), nd_mul(r, gate(own, 2 * HIDDEN))));
    nd_value *next = nd_add(n, nd_mul(z, nd_sub(h, n)));
    return nd_function(m, "cell", ND_VALUES(h, in), ND_VALUES(next, next));
}

void build_gru(model *m)
{
    nd_module *g = m->module;
    nd_value *x, *y, *scan[2];
    characters(m, STREAMS, &x, &y);
    nd_value *table = parameter(m, "embedding", ND_SHAPE(KINDS, EMBEDDED), 0.1);
    nd_value *wi = parameter(m, "wi", ND_SHAPE(EMBEDDED, 3 * HIDDEN), 0.125);
    nd_value *bi = parameter(m, "bi", ND_SHAPE(3 * HIDDEN), 0);
    nd_value *wh = parameter(m, "wh", ND_SHAPE(HIDDEN, 3 * HIDDEN), pow(HIDDEN, -0.5));
    nd_value *bh = parameter(m, "bh", ND_SHAPE(3 * HIDDEN), 0);
    nd_value *wo = parameter(m, "wo", ND_SHAPE(HIDDEN, KINDS), pow(HIDDEN, -0.5));
    nd_value *bo = parameter(m, "bo", ND_SHAPE(KINDS), 0);

    /* The inputs' products of all characters are one, before the loop. */
    nd_value *embedded = nd_gather(table, nd_reshape(nd_transpose(x, ND_ALL_AXES), ND_SHAPE(LENGTH * STREAMS)));
    nd_value *gates = nd_reshape(nd_add(nd_matmul(embedded, wi), bi), ND_SHAPE(LENGTH, STREAMS, 3 * HIDDEN));
    nd_value *zero = nd_filled(g, ND_F32, ND_SHAPE(STREAMS, HIDDEN), 0);
    nd_scan(cell(g, wh, bh), LENGTH, ND_VALUES(zero), ND_VALUES(gates), false, scan);
    nd_value *h = nd_reshape(scan[1], ND_SHAPE(LENGTH * STREAMS, HIDDEN));
    nd_value *labels = nd_reshape(nd_transpose(y, ND_ALL_AXES), ND_SHAPE(LENGTH * STREAMS));
    nd_value *loss = nd_cross_entropy(nd_add(nd_matmul(h, wo), bo), labels);

    nd_function *step = nd_function(g, "step", ND_VALUES(x, y), ND_VALUES(loss));
    nd_adam(step, loss, (size_t)m->parameter_count, m->parameters, nd_const(g, 0.001), NULL);
}

/* -- transformer -------------------------------------------------------------------------------------------------- */

enum { TEXTS = 12, TOKENS = TEXTS * LENGTH, WIDTH = 128, HEADS = 4, LAYERS = 4 };

nd_value *layer_norm(nd_value *x, nd_value *gain, nd_value *bias)
{
    nd_module *m = nd_value_module(x);
    nd_value *d = nd_sub(x, nd_mean(x, ND_AXES(-1), true));
    nd_value *variance = nd_mean(nd_mul(d, d), ND_AXES(-1), true);
    /* One division a row. */
    nd_value *scale = nd_div(nd_const(m, 1), nd_sqrt(nd_add(variance, nd_const(m, 1e-5))));
    return nd_add(nd_mul(nd_mul(d, scale), gain), bias);
}

/* A parameter of a layer, or of none (layer < 0). */
static nd_value *part(model *m, int layer, const char *what, nd_shape shape, double scale)
{
    char name[64];
    if (layer < 0)
        snprintf(name, sizeof name, "%s", what);
    else
        snprintf(name, sizeof name, "layer%d/%s", layer, what);
    return parameter(m, name, shape, scale);
}

static nd_value *dense(model *m, int layer, const char *what, nd_value *x, int64_t in, int64_t out)
{
    char bias[32];
    snprintf(bias, sizeof bias, "%s_bias", what);
    nd_value *w = part(m, layer, what, ND_SHAPE(in, out), pow((double)in, -0.5));
    return nd_add(nd_matmul(x, w), part(m, layer, bias, ND_SHAPE(out), 0));
}

static nd_value *norm(model *m, int layer, const char *what, nd_value *x)
{
    char bias[32];
    snprintf(bias, sizeof bias, "%s_bias", what);
    nd_value *gain = part(m, layer, what, ND_SHAPE(WIDTH), 1);
    return layer_norm(x, gain, part(m, layer, bias, ND_SHAPE(WIDTH), 0));
}

/* Each character looks at itself and those before it. qkv: [TOKENS, 3 * WIDTH]. */
static nd_value *attention(nd_value *qkv)
{
    nd_shape split = ND_SHAPE(TEXTS, LENGTH, 3, HEADS, WIDTH / HEADS);
    nd_value *heads = nd_transpose(nd_reshape(qkv, split), ND_AXES(2, 0, 3, 1, 4));
    nd_value *mixed = nd_dot_product_attention(nd_at(heads, "0"), nd_at(heads, "1"), nd_at(heads, "2"), true);
    mixed = nd_transpose(mixed, ND_AXES(0, 2, 1, 3));
    return nd_reshape(mixed, ND_SHAPE(TOKENS, WIDTH));
}

void build_gpt(model *m)
{
    nd_module *g = m->module;
    nd_value *x, *y;
    characters(m, TEXTS, &x, &y);
    nd_value *table = parameter(m, "embedding", ND_SHAPE(KINDS, WIDTH), 0.05);
    nd_value *places = parameter(m, "places", ND_SHAPE(LENGTH, WIDTH), 0.05);
    nd_value *h = nd_reshape(nd_add(nd_gather(table, x), places), ND_SHAPE(TOKENS, WIDTH));
    for (int i = 0; i < LAYERS; i++) {
        nd_value *mixed = attention(dense(m, i, "qkv", norm(m, i, "norm1", h), WIDTH, 3 * WIDTH));
        h = nd_add(h, dense(m, i, "proj", mixed, WIDTH, WIDTH));
        nd_value *wide = nd_gelu_tanh(dense(m, i, "up", norm(m, i, "norm2", h), WIDTH, 4 * WIDTH));
        h = nd_add(h, dense(m, i, "down", wide, 4 * WIDTH, WIDTH));
    }
    /* The embedding's table also says which character a state stands for. */
    nd_value *logits = nd_matmul_t(norm(m, -1, "norm", h), false, table, true);
    nd_value *loss = nd_cross_entropy(logits, nd_reshape(y, ND_SHAPE(TOKENS)));

    nd_function *step = nd_function(g, "step", ND_VALUES(x, y), ND_VALUES(loss));
    nd_adamw(step, loss, (size_t)m->parameter_count, m->parameters, nd_const(g, 0.001), nd_const(g, 0.01), NULL);
}
