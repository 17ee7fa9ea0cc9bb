/* Metrics, built of primitive ops; include/nadir/nn.h has the formulas. */
#include "compiler/nn/operands.h"
#include "nadir/nn.h"

/* The part of a bool value's elements that are true, as a float. */
static nd_value *part(nd_place place, nd_value *hits, nd_dtype dtype)
{
    return nd_mean_at(place, nd_cast_at(place, hits, dtype), ND_ALL_AXES, false);
}

nd_value *nd_categorical_accuracy_at(nd_place place, nd_value *logits, nd_value *labels)
{
    nd_value *other;
    if (!nd__nn_labels(place, "categorical_accuracy", logits, labels, &other))
        return other;
    nd_value *guess = nd_argmax_at(place, logits, -1);
    nd_value *hits = nd_eq_at(place, guess, nd_cast_at(place, labels, ND_I64));
    return part(place, hits, logits->dtype);
}

nd_value *nd_top_k_accuracy_at(nd_place place, nd_value *logits, nd_value *labels, int64_t k)
{
    nd_value *other;
    nd_module *m = nd__nn_labels(place, "top_k_accuracy", logits, labels, &other);
    if (!m)
        return other;
    int64_t classes = nd__last_size(logits);
    if (k < 1 || k > nd_dim_value(m, classes))
        return nd__fail(m, ND_ERR_ARGUMENT, place, "top_k_accuracy: k is %lld, expected 1 to %lld", (long long)k,
                        (long long)nd_dim_value(m, classes));
    nd_axes last = ND_AXES(-1);
    nd_shape kept = labels->shape;
    kept.dims[kept.rank++] = 1;
    nd_value *label = nd_reshape_at(place, nd_cast_at(place, labels, ND_I64), kept);
    nd_value *index = nd_iota_at(place, m, ND_I64, nd_shape_of(1, &classes), 0);
    nd_value *chosen = nd_eq_at(place, index, label);
    nd_value *score = nd_sum_at(place, nd_select_at(place, chosen, logits, nd_const_at(place, m, 0)), last, true);
    /* What is not surely behind the label's score is before it, so that a NaN is. */
    nd_value *equal = nd_eq_at(place, score, logits);
    nd_value *tie = nd_and_at(place, equal, nd_le_at(place, label, index));
    nd_value *before = nd_not_at(place, nd_or_at(place, nd_gt_at(place, score, logits), tie));
    nd_value *count = nd_sum_at(place, nd_cast_at(place, before, ND_I32), last, false);
    nd_value *found = nd_sum_at(place, nd_cast_at(place, chosen, ND_I32), last, false);
    nd_value *near = nd_lt_at(place, count, nd_const_at(place, m, (double)k));
    nd_value *hits = nd_and_at(place, near, nd_eq_at(place, found, nd_const_at(place, m, 1)));
    return part(place, hits, logits->dtype);
}

nd_value *nd_binary_accuracy_at(nd_place place, nd_value *logits, nd_value *target)
{
    nd_value *other;
    nd_module *m = nd__nn_pair(place, "binary_accuracy", logits, target, &other);
    if (!m)
        return other;
    nd_value *guess = nd_gt_at(place, logits, nd_const_at(place, m, 0));
    nd_value *hits = nd_eq_at(place, guess, nd_gt_at(place, target, nd_const_at(place, m, 0.5)));
    return part(place, hits, logits->dtype);
}

nd_value *nd_confusion_matrix_at(nd_place place, nd_value *logits, nd_value *labels)
{
    nd_value *other;
    nd_module *m = nd__nn_labels(place, "confusion_matrix", logits, labels, &other);
    if (!m)
        return other;
    int64_t classes = nd__last_size(logits), cells = nd__size_mul(m, classes, classes);
    if (cells < 0)
        return nd__fail(m, ND_ERR_GRAPH, place, "confusion_matrix: too many classes, %s", nd__show_size(m, classes));
    /* A label below 0 gives a cell below 0, one above the classes a cell behind the last: scatter drops both. */
    nd_value *row = nd_cast_at(place, labels, ND_I64);
    row = nd_mul_at(place, row, nd_size_at(place, m, ND_I64, classes));
    nd_value *cell = nd_add_at(place, row, nd_argmax_at(place, logits, -1));
    nd_value *ones = nd_filled_at(place, m, ND_I64, labels->shape, 1);
    nd_value *counts = nd_scatter_add_at(place, ones, cell, cells);
    return nd_reshape_at(place, counts, nd_shape_of(2, (int64_t[]){classes, classes}));
}

nd_value *nd_r2_at(nd_place place, nd_value *prediction, nd_value *target)
{
    nd_value *other;
    nd_module *m = nd__nn_pair(place, "r2", prediction, target, &other);
    if (!m)
        return other;
    nd_value *d = nd_sub_at(place, target, prediction);
    nd_value *e = nd_sub_at(place, target, nd_mean_at(place, target, ND_ALL_AXES, false));
    nd_value *unexplained = nd_sum_at(place, nd_mul_at(place, d, d), ND_ALL_AXES, false);
    nd_value *all = nd_sum_at(place, nd_mul_at(place, e, e), ND_ALL_AXES, false);
    nd_value *part = nd_div_at(place, unexplained, all);
    return nd_sub_at(place, nd_const_at(place, m, 1), part);
}

nd_value *nd_perplexity_at(nd_place place, nd_value *logits, nd_value *labels)
{
    return nd_exp_at(place, nd_cross_entropy_at(place, logits, labels));
}
