/* A gated recurrent unit over a sequence: a product for all positions before the loop, one in it. */
#include "compiler/nn/layer.h"

#include <ctype.h>

typedef struct gru {
    nd_layer base;
    int64_t units;
    bool all_states;
    nd_value *input_weight, *input_bias, *state_weight, *state_bias;
} gru;

static void build(nd_layer *l, nd_shape input)
{
    gru *g = (gru *)l;
    int64_t columns = nd__size_mul(l->module, 3, g->units);
    g->input_weight =
        nd_layer_weight(l, "input_weight", ND_SHAPE(input.dims[input.rank - 1], columns), nd_glorot_uniform());
    g->input_bias = nd_layer_weight(l, "input_bias", ND_SHAPE(columns), nd_zeros());
    g->state_weight = nd_layer_weight(l, "state_weight", ND_SHAPE(g->units, columns), nd_orthogonal(1));
    g->state_bias = nd_layer_weight(l, "state_bias", ND_SHAPE(columns), nd_zeros());
}

/* Columns start .. start + size of the last axis. */
static nd_value *columns_of(nd_place place, nd_value *x, int64_t start, int64_t size)
{
    if (nd_value_is_poison(x))
        return x;
    int64_t starts[ND_MAX_RANK] = {0}, sizes[ND_MAX_RANK], steps[ND_MAX_RANK];
    for (int i = 0; i < x->shape.rank; i++) {
        sizes[i] = x->shape.dims[i];
        steps[i] = 1;
    }
    starts[x->shape.rank - 1] = start;
    sizes[x->shape.rank - 1] = size;
    return nd_slice_at(place, x, starts, sizes, steps);
}

/* The state after h, from the products p of the input and q of the state. */
static nd_value *next_state(const gru *g, nd_value *h, nd_value *p, nd_value *q)
{
    nd_place place = g->base.place;
    nd_value *parts[2][3];
    for (int i = 0; i < 3; i++) {
        parts[0][i] = columns_of(place, p, i * g->units, g->units);
        parts[1][i] = columns_of(place, q, i * g->units, g->units);
    }
    nd_value *r = nd_sigmoid_at(place, nd_add_at(place, parts[0][0], parts[1][0]));
    nd_value *z = nd_sigmoid_at(place, nd_add_at(place, parts[0][1], parts[1][1]));
    nd_value *c = nd_tanh_at(place, nd_add_at(place, parts[0][2], nd_mul_at(place, r, parts[1][2])));
    return nd_add_at(place, c, nd_mul_at(place, z, nd_sub_at(place, h, c)));
}

/* A name that no function has: the layer's path, as letters and digits. */
static const char *body_name(nd_layer *l)
{
    nd_module *m = l->module;
    char *base = nd__arena_format(&m->arena, "%s", l->inside->path);
    for (char *c = base; c && *c; c++)
        *c = (char)(isalnum((unsigned char)*c) ? *c : '_');
    const char *name = base && isdigit((unsigned char)*base) ? nd__arena_format(&m->arena, "_%s", base) : base;
    for (int i = 1; name && nd_module_function(m, name); i++)
        name = nd__arena_format(&m->arena, "%s_%d", base, i);
    if (!name)
        nd__fail_memory(m);
    return name;
}

static nd_value *call(nd_layer *l, nd_value *x, const nd_call_options *options)
{
    const gru *g = (const gru *)l;
    nd_place place = l->place;
    nd_module *m = l->module;
    (void)options;
    if (x->shape.rank != 3)
        return nd_layer_fail(l, "the input %s is %s, expected [B, T, in]", nd__show(m, x),
                             nd__show_type(m, x->dtype, &x->shape));
    nd_shape state = ND_SHAPE(x->shape.dims[0], g->units);
    nd_value *rows = nd_transpose_at(place, x, ND_AXES(1, 0, 2)); /* [T, B, in] */
    nd_value *products = nd_add_at(place, nd_matmul_at(place, rows, g->input_weight), g->input_bias);
    const char *name = body_name(l);
    if (nd_value_is_poison(products) || !name)
        return &m->poison;

    nd_value *h = nd_input_at(place, m, "h", x->dtype, state);
    nd_value *p = nd_input_at(place, m, "p", x->dtype, ND_SHAPE(state.dims[0], products->shape.dims[2]));
    nd_value *q = nd_add_at(place, nd_matmul_at(place, h, g->state_weight), g->state_bias);
    nd_value *next = next_state(g, h, p, q), *out[2];
    nd_function *body = nd_function_at(place, m, name, ND_VALUES(h, p), ND_VALUES(next, next));
    nd_value *zero = nd_filled_at(place, m, x->dtype, state, 0);
    nd_scan_at(place, body, x->shape.dims[1], ND_VALUES(zero), ND_VALUES(products), false, out);
    return g->all_states ? nd_transpose_at(place, out[1], ND_AXES(1, 0, 2)) : out[0];
}

nd_layer *nd_gru(int64_t units, bool all_states)
{
    static const nd_layer_kind kind = {"gru", sizeof(gru), 1, build, call, NULL};
    nd_layer *l = nd_layer_create(&kind);
    if (l) {
        ((gru *)l)->units = units;
        ((gru *)l)->all_states = all_states;
    }
    return l;
}
