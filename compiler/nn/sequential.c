/* Layers that hold others: one after another, around a layer. */
#include "compiler/nn/layer.h"

static nd_value *call_sequential(nd_layer *l, nd_value *x, const nd_call_options *options)
{
    for (int i = 0; i < l->inside->child_count; i++)
        x = nd_layer_call_at(l->place, l->inside->children[i], x, options);
    return x;
}

const nd_layer_kind nd__sequential_kind = {.name = "sequential", .size = sizeof(nd_layer), .call = call_sequential};

nd_layer *nd_sequential_of(const char *name, size_t n, nd_layer *const *layers)
{
    nd_layer *l = nd_layer_create(&nd__sequential_kind);
    if (l && name)
        nd_layer_named(l, name);
    for (size_t i = 0; i < n; i++)
        if (l)
            nd_layer_child(l, layers[i]);
        else
            nd_layer_destroy(layers[i]);
    return l;
}

void nd_sequential_add(nd_layer *sequential, nd_layer *layer)
{
    nd_layer_child(sequential, layer);
}

/* -- residual ----------------------------------------------------------------------------------------------------- */

static nd_value *call_residual(nd_layer *l, nd_value *x, const nd_call_options *options)
{
    nd_value *y = nd_layer_call_at(l->place, l->inside->children[0], x, options);
    if (nd_value_is_poison(y))
        return y;
    if (!nd__shape_equal(&x->shape, &y->shape))
        return nd_layer_fail(l, "the layer inside makes %s of %s, expected the same shape",
                             nd__show_type(l->module, y->dtype, &y->shape),
                             nd__show_type(l->module, x->dtype, &x->shape));
    return nd_add_at(l->place, x, y);
}

nd_layer *nd_residual(nd_layer *inner)
{
    static const nd_layer_kind kind = {.name = "residual", .size = sizeof(nd_layer), .call = call_residual};
    nd_layer *l = nd_layer_create(&kind);
    if (l && nd_layer_child(l, inner))
        return l;
    if (!l)
        nd_layer_destroy(inner);
    nd_layer_destroy(l);
    return NULL;
}
