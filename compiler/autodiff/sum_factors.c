/* Sums of products with what is the same all along:
 *
 *     sum over i of c h[i] = c sum over i of h[i],   sum over i of h[i] / c = (sum over i of h[i]) / c
 *
 * That takes fewer operations; and where c is itself made of sums over i, as in the gradients of softmax and of what is
 * centred by its mean, these sums need not wait for those. What is centred by its mean, x - mean(x), adds up to 0. */
#include "compiler/autodiff/rules.h"

enum {
    MOST_NODES = 8,   /* of the additions and negations of a sum, */
    DEPTH = 2,        /* and of products and quotients within each other, that are looked at; */
    MOST_FACTORS = 2, /* no more can be the same along the axes */
};

typedef struct sum_over {
    nd_module *m;
    nd_place place;
    nd_axes axes;
    nd_shape shape; /* its own, in which what is the same along the axes is broadcast */
} sum_over;

typedef struct factors {
    nd_value *values[MOST_FACTORS];
    bool divide[MOST_FACTORS];
    int count;
} factors;

/* What x broadcasts along the axes; NULL: it changes along them. A number is no reason: it waits for nothing. */
static nd_value *same_along(const sum_over *sum, const nd_value *x)
{
    nd_value *of = x->node->op == ND__OP_broadcast ? x->node->inputs[0] : NULL;
    return of && of->node->op != ND__OP_constant && nd__shape_equal(&of->shape, &sum->shape) ? of : NULL;
}

static bool has_factors(const sum_over *sum, const nd_value *x, int depth)
{
    nd_value *const *in = x->node->inputs;
    if (depth == 0 || (x->node->op != ND__OP_mul && x->node->op != ND__OP_div))
        return false;
    if (same_along(sum, in[1]) || has_factors(sum, in[0], depth - 1))
        return true;
    return x->node->op == ND__OP_mul && (same_along(sum, in[0]) || has_factors(sum, in[1], depth - 1));
}

static bool comes_apart(const sum_over *sum, const nd_value *x, int *left)
{
    if (--*left < 0)
        return false;
    if (x->node->op == ND__OP_add)
        return comes_apart(sum, x->node->inputs[0], left) && comes_apart(sum, x->node->inputs[1], left);
    if (x->node->op == ND__OP_neg)
        return comes_apart(sum, x->node->inputs[0], left);
    return has_factors(sum, x, DEPTH);
}

/* x without its factors, which are added to the list, inner ones first. */
static nd_value *without_factors(const sum_over *sum, nd_value *x, int depth, factors *f)
{
    nd_value *const *in = x->node->inputs;
    if (!has_factors(sum, x, depth))
        return x;
    const bool divides = x->node->op == ND__OP_div;
    for (int i = 1; i >= (divides ? 1 : 0); i--) {
        nd_value *same = same_along(sum, in[i]);
        if (!same)
            continue;
        nd_value *rest = without_factors(sum, in[1 - i], depth - 1, f);
        f->values[f->count] = same;
        f->divide[f->count++] = divides;
        return rest;
    }
    nd_value *a = without_factors(sum, in[0], depth - 1, f);
    if (divides)
        return nd_div_at(sum->place, a, in[1]);
    nd_value *b = without_factors(sum, in[1], depth - 1, f);
    return nd_mul_at(sum->place, a, b);
}

static const nd_value *past_views(const nd_value *v)
{
    while (v->node->op == ND__OP_reshape || v->node->op == ND__OP_broadcast)
        v = v->node->inputs[0];
    return v;
}

/* Whether h is x - mean(x), the mean along the same axes. */
static bool is_centred(const sum_over *sum, const nd_value *h)
{
    if (h->node->op != ND__OP_sub || !same_along(sum, h->node->inputs[1]))
        return false;
    const nd_value *x = h->node->inputs[0], *mean = past_views(h->node->inputs[1]);
    if (mean->node->op != ND__OP_div)
        return false;
    const nd_value *total = past_views(mean->node->inputs[0]), *count = past_views(mean->node->inputs[1]);
    if (total->node->op != ND__OP_sum || total->node->inputs[0] != x || count->node->op != ND__OP_size)
        return false;
    const nd__attr *axes = nd__get(total->node, ND__A_axes);
    int64_t all = 1;
    bool same = axes->count == sum->axes.count;
    for (int i = 0; i < axes->count && same; i++) {
        same = axes->ints[i] == sum->axes.items[i];
        all = nd__size_mul(sum->m, all, x->shape.dims[axes->ints[i]]);
    }
    return same && nd__get_int(count->node, ND__A_of) == all;
}

/* NULL: it is 0. */
static nd_value *sum_apart(const sum_over *sum, nd_value *x)
{
    nd_value *const *in = x->node->inputs;
    if (x->node->op == ND__OP_add) {
        nd_value *a = sum_apart(sum, in[0]);
        nd_value *b = sum_apart(sum, in[1]);
        return a && b ? nd_add_at(sum->place, a, b) : a ? a : b;
    }
    if (x->node->op == ND__OP_neg) {
        nd_value *a = sum_apart(sum, in[0]);
        return a ? nd_neg_at(sum->place, a) : NULL;
    }
    factors f = {.count = 0};
    nd_value *rest = without_factors(sum, x, DEPTH, &f);
    if (is_centred(sum, rest))
        return NULL;
    nd_value *y = nd__unbroadcast(sum->place, rest, sum->axes, sum->shape);
    for (int i = 0; i < f.count; i++)
        y = f.divide[i] ? nd_div_at(sum->place, y, f.values[i]) : nd_mul_at(sum->place, y, f.values[i]);
    return y;
}

nd_value *nd__sum_apart(nd_module *m, nd_place place, nd_value *x, nd_axes axes, nd_shape shape)
{
    const sum_over sum = {m, place, axes, shape};
    int left = MOST_NODES;
    if (axes.count == 0 || !comes_apart(&sum, x, &left))
        return NULL;
    nd_value *y = sum_apart(&sum, x);
    return y ? y : nd__filled(m, place, x->dtype, &shape, 0);
}
