/* Dropout: elements that a training step leaves out, others in each step. */
#include "compiler/nn/layer.h"

#include <math.h>

typedef struct dropout {
    nd_layer base;
    double rate;
    nd_value *key;
    uint64_t calls; /* in the step that is being built */
} dropout;

static void build(nd_layer *l, nd_shape input)
{
    (void)input;
    ((dropout *)l)->key = nd_layer_state(l, "key", ND_U32, ND_SHAPE(2), nd_random_key());
}

/* A stream of its own for each call in one step, which ends when its update has been assigned. */
static uint64_t stream_of(dropout *d)
{
    bool pending = false;
    for (int i = 0; i < d->base.inside->variable_count; i++)
        pending |= d->base.inside->variables[i].next != NULL;
    d->calls = pending ? d->calls + 1 : 0;
    return d->calls;
}

static nd_value *call(nd_layer *l, nd_value *x, const nd_call_options *options)
{
    dropout *d = (dropout *)l;
    nd_place place = l->place;
    nd_module *m = l->module;
    if (!(d->rate >= 0 && d->rate < 1))
        return nd_layer_fail(l, "the rate is %g, expected 0 up to, but not, 1", d->rate);
    if (!options->training || d->rate == 0)
        return x;
    uint64_t stream = stream_of(d);
    nd_value *one = nd__constant(m, place, ND_U32, &d->key->shape, 2, (const uint32_t[]){1, 0});
    nd_layer_follow(l, d->key, nd_add_at(place, d->key, one));
    nd_value *bits = nd_random_bits_at(place, d->key, stream, x->shape);
    double limit = rint(d->rate * 0x1p32);
    nd_value *dropped = nd_lt_at(place, bits, nd_const_at(place, m, limit < 0x1p32 ? limit : 0x1p32 - 1));
    nd_value *kept = nd_mul_at(place, x, nd_const_at(place, m, 1 / (1 - d->rate)));
    return nd_select_at(place, dropped, nd_const_at(place, m, 0), kept);
}

nd_layer *nd_dropout(double rate)
{
    static const nd_layer_kind kind = {"dropout", sizeof(dropout), 0, build, call, NULL};
    nd_layer *l = nd_layer_create(&kind);
    if (l)
        ((dropout *)l)->rate = rate;
    return l;
}
