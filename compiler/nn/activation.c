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
    nd_value *finite = nd_lt_at(place, nd_abs_at(place, largest), nd_const_at(place, m, INFINITY));
    nd_value *shift = nd_stop_gradient_at(place, nd_select_at(place, finite, largest, nd_const_at(place, m, 0)));
    nd_value *sum = nd_sum_at(place, nd_exp_at(place, nd_sub_at(place, x, shift)), axes, false);
    nd_value *y = nd_add_at(place, nd_log_at(place, sum), nd_reshape_at(place, shift, nd_value_shape(sum)));
    return keepdims ? nd_reshape_at(place, y, nd_value_shape(shift)) : y;
}
