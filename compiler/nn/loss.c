/* Losses, built of primitive ops; include/nadir/nn.h has the formulas. */
#include "compiler/nn/operands.h"
#include "nadir/nn.h"

static nd_value *mean_of(nd_place place, nd_value *x)
{
    return nd_mean_at(place, x, ND_ALL_AXES, false);
}

static nd_value *last_sum(nd_place place, nd_value *x, bool keepdims)
{
    return nd_sum_at(place, x, ND_AXES(-1), keepdims);
}

/* -- classes ------------------------------------------------------------------------------------------------------ */

/* The logits less their maximum along the last axis, which counts as a constant. */
static nd_value *shifted(nd_place place, nd_value *logits)
{
    return nd_sub_at(place, logits, nd_stop_gradient_at(place, nd_reduce_max_at(place, logits, ND_AXES(-1), true)));
}

static nd_value *log_sum_exp(nd_place place, nd_value *z, bool keepdims)
{
    return nd_log_at(place, last_sum(place, nd_exp_at(place, z), keepdims));
}

static nd_value *picked(nd_place place, nd_value *z, nd_value *labels)
{
    nd_module *m = labels->node->module;
    nd_value *chosen = nd__is_label(place, labels, nd__last_size(z));
    return last_sum(place, nd_select_at(place, chosen, z, nd_const_at(place, m, 0)), false);
}

nd_value *nd_cross_entropy_at(nd_place place, nd_value *logits, nd_value *labels)
{
    return nd_cross_entropy_weighted_at(place, logits, labels, 0, NULL);
}

/* Whether the weights [..] go with the rows. */
static bool weights_fit(nd_module *m, nd_place place, const nd_value *logits, const nd_value *labels,
                        const nd_value *weights)
{
    if (weights->node->module != m || weights->dtype != logits->dtype ||
        !nd__shape_equal(&weights->shape, &labels->shape))
        nd__fail(m, ND_ERR_GRAPH, place, "cross_entropy: the weights %s are %s, expected one for each row, %s",
                 nd__show(weights->node->module, weights),
                 nd__show_type(weights->node->module, weights->dtype, &weights->shape),
                 nd__show_type(m, logits->dtype, &labels->shape));
    return m->status == ND_OK;
}

nd_value *nd_cross_entropy_weighted_at(nd_place place, nd_value *logits, nd_value *labels, double smoothing,
                                       nd_value *weights)
{
    nd_value *other;
    nd_module *m = nd__nn_labels(place, "cross_entropy", logits, labels, &other);
    if (!m || (weights && !weights_fit(m, place, logits, labels, weights)))
        return other;
    if (!(smoothing >= 0 && smoothing <= 1))
        return nd__fail(m, ND_ERR_ARGUMENT, place, "cross_entropy: the smoothing is %g, expected 0 to 1", smoothing);
    nd_value *z = shifted(place, logits);
    nd_value *all = log_sum_exp(place, z, false), *label = picked(place, z, labels);
    if (smoothing > 0) {
        nd_value *classes = nd_size_at(place, m, logits->dtype, nd__last_size(logits));
        nd_value *each = nd_div_at(place, nd_const_at(place, m, smoothing), classes);
        label = nd_mul_at(place, nd_const_at(place, m, 1 - smoothing), label);
        label = nd_add_at(place, label, nd_mul_at(place, each, last_sum(place, z, false)));
    }
    nd_value *row = nd_sub_at(place, all, label);
    if (!weights)
        return mean_of(place, row);
    nd_value *weighted = nd_sum_at(place, nd_mul_at(place, weights, row), ND_ALL_AXES, false);
    return nd_div_at(place, weighted, nd_sum_at(place, weights, ND_ALL_AXES, false));
}

/* Whether there is an axis of classes. */
static bool has_classes(nd_module *m, nd_place place, const char *what, const nd_value *v)
{
    if (v->shape.rank < 1)
        nd__fail(m, ND_ERR_GRAPH, place, "%s: %s is %s, expected floats [.., classes]", what, nd__show(m, v),
                 nd__show_type(m, v->dtype, &v->shape));
    return m->status == ND_OK;
}

nd_value *nd_cross_entropy_soft_at(nd_place place, nd_value *logits, nd_value *target)
{
    nd_value *other;
    nd_module *m = nd__nn_pair(place, "cross_entropy_soft", logits, target, &other);
    if (!m || !has_classes(m, place, "cross_entropy_soft", logits))
        return other;
    nd_value *z = shifted(place, logits);
    nd_value *surprise = nd_sub_at(place, log_sum_exp(place, z, true), z);
    return mean_of(place, last_sum(place, nd_mul_at(place, target, surprise), false));
}

nd_value *nd_binary_cross_entropy_at(nd_place place, nd_value *logits, nd_value *target)
{
    nd_value *other;
    nd_module *m = nd__nn_pair(place, "binary_cross_entropy", logits, target, &other);
    if (!m)
        return other;
    /* max and not relu: at 0 its gradient is a half, which makes the sum's sigmoid(0) - target. */
    nd_value *linear = nd_max_at(place, logits, nd_const_at(place, m, 0));
    linear = nd_sub_at(place, linear, nd_mul_at(place, logits, target));
    nd_value *rest = nd_log1p_at(place, nd_exp_at(place, nd_neg_at(place, nd_abs_at(place, logits))));
    return mean_of(place, nd_add_at(place, linear, rest));
}

nd_value *nd_kl_divergence_at(nd_place place, nd_value *prediction, nd_value *target)
{
    nd_value *other;
    nd_module *m = nd__nn_pair(place, "kl_divergence", prediction, target, &other);
    if (!m || !has_classes(m, place, "kl_divergence", prediction))
        return other;
    nd_value *one = nd_const_at(place, m, 1), *possible = nd_gt_at(place, target, nd_const_at(place, m, 0));
    nd_value *log_target = nd_log_at(place, nd_select_at(place, possible, target, one));
    nd_value *log_prediction = nd_log_at(place, nd_select_at(place, possible, prediction, one));
    nd_value *term = nd_mul_at(place, target, nd_sub_at(place, log_target, log_prediction));
    return mean_of(place, last_sum(place, term, false));
}

/* -- numbers ------------------------------------------------------------------------------------------------------ */

nd_value *nd_mean_squared_error_at(nd_place place, nd_value *prediction, nd_value *target)
{
    nd_value *other;
    if (!nd__nn_pair(place, "mean_squared_error", prediction, target, &other))
        return other;
    nd_value *d = nd_sub_at(place, prediction, target);
    return mean_of(place, nd_mul_at(place, d, d));
}

nd_value *nd_mean_absolute_error_at(nd_place place, nd_value *prediction, nd_value *target)
{
    nd_value *other;
    if (!nd__nn_pair(place, "mean_absolute_error", prediction, target, &other))
        return other;
    return mean_of(place, nd_abs_at(place, nd_sub_at(place, prediction, target)));
}

nd_value *nd_huber_at(nd_place place, nd_value *prediction, nd_value *target, double delta)
{
    nd_value *other;
    nd_module *m = nd__nn_pair(place, "huber", prediction, target, &other);
    if (!m)
        return other;
    if (!(delta > 0))
        return nd__fail(m, ND_ERR_ARGUMENT, place, "huber: delta is %g, expected more than 0", delta);
    nd_value *d = nd_sub_at(place, prediction, target), *a = nd_abs_at(place, d), *edge = nd_const_at(place, m, delta);
    nd_value *half = nd_const_at(place, m, 0.5), *near = nd_mul_at(place, half, nd_mul_at(place, d, d));
    nd_value *far = nd_mul_at(place, edge, nd_sub_at(place, a, nd_const_at(place, m, 0.5 * delta)));
    return mean_of(place, nd_select_at(place, nd_le_at(place, a, edge), near, far));
}

nd_value *nd_hinge_at(nd_place place, nd_value *prediction, nd_value *target)
{
    nd_value *other;
    nd_module *m = nd__nn_pair(place, "hinge", prediction, target, &other);
    if (!m)
        return other;
    nd_value *one = nd_const_at(place, m, 1);
    nd_value *margin = nd_sub_at(place, one, nd_mul_at(place, target, prediction));
    return mean_of(place, nd_relu_at(place, margin));
}
