/* From gradients to gradients: clipping, coupled decay; include/nadir/optimizer.h has the formulas. */
#include "compiler/nn/optimizer.h"

/* The module of n gradients and a scalar if all are there; otherwise NULL, and out[] is filled. */
static nd_module *begin(nd_place place, const char *what, size_t n, nd_value *const *gradients, nd_value *scalar,
                        nd_value **out)
{
    bool poisoned = false, one_poisoned;
    nd_module *m = nd_value_module(scalar);
    for (size_t i = 0; i < n && !m && gradients; i++)
        m = nd_value_module(gradients[i]);
    if (m && !scalar)
        nd__fail(m, ND_ERR_ARGUMENT, place, "%s: the scalar is NULL", what);
    else if (m && n > 0 && !gradients)
        nd__fail(m, ND_ERR_ARGUMENT, place, "%s: the gradients are NULL", what);
    else if (m && n > 0 && !out)
        nd__fail(m, ND_ERR_ARGUMENT, place, "%s: nowhere to put %zu gradients", what, n);
    for (size_t i = 0; i < n && gradients && scalar; i++) {
        nd__common_module(place, what, 2, (nd_value *[]){scalar, gradients[i]}, &one_poisoned);
        poisoned |= one_poisoned;
    }
    bool good = m && m->status == ND_OK && !poisoned;
    for (size_t i = 0; i < n && out && !good; i++)
        out[i] = m ? &m->poison : NULL;
    return good && out ? m : NULL;
}

void nd_clip_by_value_at(nd_place place, size_t n, nd_value *const *gradients, nd_value *limit, nd_value **out)
{
    if (!begin(place, "clip_by_value", n, gradients, limit, out))
        return;
    for (size_t i = 0; i < n; i++) {
        nd_value *high = nd__scalar_as(place, limit, gradients[i]->dtype);
        out[i] = nd_min_at(place, nd_max_at(place, gradients[i], nd_neg_at(place, high)), high);
    }
}

static nd_value *sum_of_squares(nd_place place, nd_value *g)
{
    return nd_sum_at(place, nd_mul_at(place, g, g), ND_ALL_AXES, false);
}

/* What scales a gradient of that norm to the limit at most. */
static nd_value *scale(nd_place place, nd_value *norm, nd_value *limit)
{
    return nd_div_at(place, limit, nd_max_at(place, norm, limit));
}

void nd_clip_by_norm_at(nd_place place, size_t n, nd_value *const *gradients, nd_value *limit, nd_value **out)
{
    if (!begin(place, "clip_by_norm", n, gradients, limit, out))
        return;
    for (size_t i = 0; i < n; i++) {
        nd_value *most = nd__scalar_as(place, limit, gradients[i]->dtype);
        nd_value *norm = nd_sqrt_at(place, sum_of_squares(place, gradients[i]));
        out[i] = nd_mul_at(place, gradients[i], scale(place, norm, most));
    }
}

nd_value *nd_clip_by_global_norm_at(nd_place place, size_t n, nd_value *const *gradients, nd_value *limit,
                                    nd_value **out)
{
    nd_module *m = begin(place, "clip_by_global_norm", n, gradients, limit, out);
    nd_module *failed = m ? NULL : nd_value_module(limit);
    if (!m || n == 0)
        return failed ? &failed->poison : NULL;
    nd_value *sum = sum_of_squares(place, gradients[0]);
    for (size_t i = 1; i < n; i++)
        sum = nd_add_at(place, sum, sum_of_squares(place, gradients[i]));
    nd_value *norm = nd_sqrt_at(place, sum);
    nd_value *by = scale(place, norm, nd__scalar_as(place, limit, nd_value_dtype(norm)));
    for (size_t i = 0; i < n; i++)
        out[i] = nd_mul_at(place, gradients[i], by);
    return norm;
}

void nd_decay_gradients_at(nd_place place, size_t n, nd_value *const *variables, nd_value *const *gradients,
                           nd_value *decay, nd_value **out)
{
    if (!begin(place, "decay_gradients", n, gradients, decay, out))
        return;
    for (size_t i = 0; i < n; i++) {
        nd_value *w = variables ? variables[i] : NULL, *by = nd__scalar_as(place, decay, gradients[i]->dtype);
        out[i] = nd_add_at(place, gradients[i], nd_mul_at(place, by, w));
    }
}
