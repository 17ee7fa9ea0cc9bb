/* Attention, its layer for a sequence that looks at itself, and the transformer's block around that. */
#include "compiler/nn/layer.h"
#include "nadir/nn.h"

#include <math.h>

nd_value *nd_dot_product_attention_at(nd_place place, nd_value *q, nd_value *k, nd_value *v, bool causal)
{
    bool poisoned;
    nd_module *m = nd__common_module(place, "dot_product_attention", 3, (nd_value *[]){q, k, v}, &poisoned);
    if (!m || poisoned)
        return m ? &m->poison : NULL;
    const int64_t size = q->shape.rank < 2 ? 0 : q->shape.dims[q->shape.rank - 1];
    if (size < 1 || nd__size_is_named(size) || !nd_dtype_is_float(q->dtype))
        return nd__fail(m, ND_ERR_GRAPH, place,
                        "dot_product_attention: q is %s, expected floats [.., T, d], d a number from 1",
                        nd__show_type(m, q->dtype, &q->shape));
    nd_matmul_options scores = {.transpose_b = true, .lower = INT64_MIN, .upper = 0},
                      sum = {.lower = INT64_MIN, .upper = 0};
    if (causal) {
        scores.band = ND_BAND_RESULT;
        sum.band = ND_BAND_A;
    }
    q = nd_mul_at(place, q, nd_const_at(place, m, 1 / sqrt((double)size)));
    nd_value *s = nd_matmul_with_at(place, q, k, &scores);
    if (causal)
        s = nd_banded_at(place, s, INT64_MIN, 0, -INFINITY);
    return nd_matmul_with_at(place, nd_softmax_at(place, s, -1), v, &sum);
}

/* -- the layer ---------------------------------------------------------------------------------------------------- */

typedef struct attention {
    nd_layer base;
    int64_t heads;
    bool causal;
    nd_layer *qkv, *projection;
} attention;

/* The layers whose width is the input's. */
static void build(nd_layer *l, nd_shape input)
{
    attention *a = (attention *)l;
    int64_t width = input.dims[input.rank - 1];
    if (a->heads < 1 || width % a->heads != 0)
        nd_layer_fail(l, "a width of %lld does not divide into %lld heads", (long long)width, (long long)a->heads);
    a->qkv = nd_layer_child(l, nd_layer_named(nd_dense(nd__size_mul(l->module, 3, width), ND_LINEAR), "qkv"));
    a->projection = nd_layer_child(l, nd_layer_named(nd_dense(width, ND_LINEAR), "projection"));
    if (!a->qkv || !a->projection)
        nd__fail_memory(l->module);
}

static nd_value *call(nd_layer *l, nd_value *x, const nd_call_options *options)
{
    const attention *a = (const attention *)l;
    nd_place place = l->place;
    if (x->shape.rank != 3)
        return nd_layer_fail(l, "the input %s is %s, expected [B, T, D]", nd__show(l->module, x),
                             nd__show_type(l->module, x->dtype, &x->shape));
    int64_t batch = x->shape.dims[0], length = x->shape.dims[1], width = x->shape.dims[2], head = width / a->heads;
    nd_value *all = nd_layer_call_at(place, a->qkv, x, options);
    all = nd_reshape_at(place, all, ND_SHAPE(batch, length, 3, a->heads, head));
    all = nd_transpose_at(place, all, ND_AXES(2, 0, 3, 1, 4)); /* [3, B, heads, T, d] */
    nd_value *q = nd_at_at(place, all, "0"), *k = nd_at_at(place, all, "1"), *v = nd_at_at(place, all, "2");
    nd_value *seen = nd_dot_product_attention_at(place, q, k, v, a->causal); /* [B, heads, T, d] */
    seen = nd_reshape_at(place, nd_transpose_at(place, seen, ND_AXES(0, 2, 1, 3)), x->shape);
    return nd_layer_call_at(place, a->projection, seen, options);
}

nd_layer *nd_attention(int64_t heads, bool causal)
{
    static const nd_layer_kind kind = {"attention", sizeof(attention), 1, build, call, NULL};
    nd_layer *l = nd_layer_create(&kind);
    if (l) {
        ((attention *)l)->heads = heads;
        ((attention *)l)->causal = causal;
    }
    return l;
}

/* -- the block ---------------------------------------------------------------------------------------------------- */

typedef struct block {
    nd_layer base;
    double rate;
    nd_layer *attention_norm, *attention, *norm, *up, *down, *dropout[2];
} block;

static void build_block(nd_layer *l, nd_shape input)
{
    block *b = (block *)l;
    b->down = nd_layer_child(l, nd_layer_named(nd_dense(input.dims[input.rank - 1], ND_LINEAR), "down"));
    for (int i = 0; i < 2 && b->rate != 0; i++)
        b->dropout[i] = nd_layer_child(l, nd_dropout(b->rate));
    if (!b->down || (b->rate != 0 && (!b->dropout[0] || !b->dropout[1])))
        nd__fail_memory(l->module);
}

static nd_value *call_block(nd_layer *l, nd_value *x, const nd_call_options *options)
{
    const block *b = (const block *)l;
    nd_place place = l->place;
    nd_layer *const ways[2][4] = {{b->attention_norm, b->attention, b->dropout[0]},
                                  {b->norm, b->up, b->down, b->dropout[1]}};
    for (int i = 0; i < 2; i++) {
        nd_value *y = x;
        for (int k = 0; k < 4 && ways[i][k]; k++)
            y = nd_layer_call_at(place, ways[i][k], y, options);
        x = nd_add_at(place, x, y);
    }
    return x;
}

nd_layer *nd_transformer_block(int64_t heads, int64_t hidden, bool causal, double dropout)
{
    static const nd_layer_kind kind = {"transformer_block", sizeof(block), 1, build_block, call_block, NULL};
    nd_layer *l = nd_layer_create(&kind);
    if (!l)
        return NULL;
    block *b = (block *)l;
    b->rate = dropout;
    b->attention_norm = nd_layer_child(l, nd_layer_named(nd_layer_norm(), "attention_norm"));
    b->attention = nd_layer_child(l, nd_attention(heads, causal));
    b->norm = nd_layer_child(l, nd_layer_named(nd_layer_norm(), "norm"));
    b->up = nd_layer_child(l, nd_layer_named(nd_dense(hidden, ND_GELU_TANH), "up"));
    return l;
}
