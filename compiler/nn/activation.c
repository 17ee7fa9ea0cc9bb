/* Activations, built of primitive ops; include/nadir/nn.h has the formulas. */
#include "compiler/graph/graph.h"
#include "nadir/nn.h"

#include <math.h>

/* The module of x if it can be worked on; otherwise NULL, and *other is what the caller gives back. */
static nd_module *begin(nd_place place, const char *what, nd_value *x, nd_value **other)
{
    bool poisoned;
    nd_module *m = nd__common_module(place, what, 1, &x, &poisoned);
    *other = m ? &m->poison : NULL;
    return poisoned ? NULL : m;
}

nd_value *nd_relu_at(nd_place place, nd_value *x)
{
    nd_value *other;
    nd_module *m = begin(place, "relu", x, &other);
    if (!m)
        return other;
    nd_value *zero = nd_const_at(place, m, 0);
    return nd_select_at(place, nd_le_at(place, x, zero), zero, x);
}

nd_value *nd_gelu_at(nd_place place, nd_value *x)
{
    nd_value *other;
    nd_module *m = begin(place, "gelu", x, &other);
    if (!m)
        return other;
    nd_value *e = nd_erf_at(place, nd_mul_at(place, x, nd_const_at(place, m, 0x1.6a09e667f3bcdp-1))); /* 1 / sqrt(2) */
    nd_value *half = nd_const_at(place, m, 0.5);
    nd_value *part = nd_mul_at(place, half, nd_add_at(place, nd_const_at(place, m, 1), e));
    return nd_mul_at(place, x, part);
}

nd_value *nd_gelu_tanh_at(nd_place place, nd_value *x)
{
    nd_value *other;
    nd_module *m = begin(place, "gelu_tanh", x, &other);
    if (!m)
        return other;
    nd_value *cube = nd_mul_at(place, nd_mul_at(place, x, x), x);
    nd_value *bent = nd_add_at(place, x, nd_mul_at(place, nd_const_at(place, m, 0.044715), cube));
    nd_value *t =
        nd_tanh_at(place, nd_mul_at(place, nd_const_at(place, m, 0x1.9884533d43651p-1), bent)); /* sqrt(2/pi) */
    nd_value *half = nd_mul_at(place, nd_const_at(place, m, 0.5), x);
    return nd_mul_at(place, half, nd_add_at(place, nd_const_at(place, m, 1), t));
}

nd_value *nd_silu_at(nd_place place, nd_value *x)
{
    nd_value *other;
    return begin(place, "silu", x, &other) ? nd_mul_at(place, x, nd_sigmoid_at(place, x)) : other;
}

nd_value *nd_softplus_at(nd_place place, nd_value *x)
{
    nd_value *other;
    nd_module *m = begin(place, "softplus", x, &other);
    if (!m)
        return other;
    nd_value *rest = nd_log1p_at(place, nd_exp_at(place, nd_neg_at(place, nd_abs_at(place, x))));
    return nd_add_at(place, nd_max_at(place, x, nd_const_at(place, m, 0)), rest);
}

/* x minus its maximum along the axis, which counts as a constant. */
static nd_value *shifted(nd_place place, nd_value *x, nd_axes axis)
{
    return nd_sub_at(place, x, nd_stop_gradient_at(place, nd_reduce_max_at(place, x, axis, true)));
}

static bool along(nd_module *m, nd_place place, const char *what, const nd_value *x, int axis, nd_axes *axes)
{
    if (!nd_dtype_is_float(x->dtype))
        nd__fail(m, ND_ERR_GRAPH, place, "%s: %s is %s, expected floats", what, nd__show(m, x),
                 nd__show_type(m, x->dtype, &x->shape));
    else
        *axes = nd_axes_of(1, (int[]){nd__axis(m, place, what, axis, x->shape.rank)});
    return m->status == ND_OK;
}

nd_value *nd_softmax_at(nd_place place, nd_value *x, int axis)
{
    nd_value *other;
    nd_axes axes;
    nd_module *m = begin(place, "softmax", x, &other);
    if (!m || !along(m, place, "softmax", x, axis, &axes))
        return other;
    nd_value *e = nd_exp_at(place, shifted(place, x, axes));
    return nd_div_at(place, e, nd_sum_at(place, e, axes, true));
}

nd_value *nd_log_softmax_at(nd_place place, nd_value *x, int axis)
{
    nd_value *other;
    nd_axes axes;
    nd_module *m = begin(place, "log_softmax", x, &other);
    if (!m || !along(m, place, "log_softmax", x, axis, &axes))
        return other;
    nd_value *z = shifted(place, x, axes);
    return nd_sub_at(place, z, nd_log_at(place, nd_sum_at(place, nd_exp_at(place, z), axes, true)));
}

nd_value *nd_logsumexp_at(nd_place place, nd_value *x, nd_axes axes, bool keepdims)
{
    nd_value *other;
    nd_module *m = begin(place, "logsumexp", x, &other);
    if (!m)
        return other;
    nd_value *largest = nd_reduce_max_at(place, x, axes, true);
    nd_value *size = nd_abs_at(place, largest), *finite = nd_lt_at(place, size, nd_const_at(place, m, INFINITY));
    nd_value *shift = nd_stop_gradient_at(place, nd_select_at(place, finite, largest, nd_const_at(place, m, 0)));
    nd_value *sum = nd_sum_at(place, nd_exp_at(place, nd_sub_at(place, x, shift)), axes, false);
    nd_value *log = nd_log_at(place, sum);
    nd_value *y = nd_add_at(place, log, nd_reshape_at(place, shift, nd_value_shape(sum)));
    return keepdims ? nd_reshape_at(place, y, nd_value_shape(shift)) : y;
}
