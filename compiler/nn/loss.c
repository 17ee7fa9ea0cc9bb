/* Losses, built of primitive ops; include/nadir/nn.h has the formulas. */
#include "compiler/graph/graph.h"
#include "nadir/nn.h"

#include <string.h>

/* Whether labels [..] go with logits [.., C]. */
static bool labels_fit(nd_module *m, nd_place place, const nd_value *logits, const nd_value *labels)
{
    int rows = logits->shape.rank - 1;
    const char *logits_type = nd__show_type(m, logits->dtype, &logits->shape);
    const char *labels_type = nd__show_type(m, labels->dtype, &labels->shape);
    if (!nd_dtype_is_float(logits->dtype) || rows < 0)
        nd__fail(m, ND_ERR_GRAPH, place, "cross_entropy: the logits %s are %s, expected floats [.., classes]",
                 nd__show(m, logits), logits_type);
    else if (!nd_dtype_is_integer(labels->dtype))
        nd__fail(m, ND_ERR_GRAPH, place, "cross_entropy: the labels %s are %s, expected integers", nd__show(m, labels),
                 labels_type);
    else if (labels->shape.rank != rows ||
             memcmp(labels->shape.dims, logits->shape.dims, (size_t)rows * sizeof(int64_t)) != 0)
        nd__fail(m, ND_ERR_GRAPH, place,
                 "cross_entropy: the labels %s are %s, expected one for each row of the logits, %s",
                 nd__show(m, labels), labels_type, logits_type);
    return m->status == ND_OK;
}

/* Where iota == label, along a new last axis of that many classes. */
static nd_value *is_label(nd_place place, nd_value *labels, int64_t classes)
{
    nd_module *m = labels->node->module;
    nd_shape shape = labels->shape;
    shape.dims[shape.rank++] = 1;
    if (labels->dtype == ND_U8) /* an index of that dtype would begin again at class 256 */
        labels = nd_cast_at(place, labels, ND_I32);
    nd_value *index = nd_iota_at(place, m, nd_value_dtype(labels), nd_shape_of(1, &classes), 0);
    return nd_eq_at(place, index, nd_reshape_at(place, labels, shape));
}

nd_value *nd_cross_entropy_at(nd_place place, nd_value *logits, nd_value *labels)
{
    bool poisoned;
    nd_module *m = nd__common_module(place, "cross_entropy", 2, (nd_value *[]){logits, labels}, &poisoned);
    if (!m || poisoned || !labels_fit(m, place, logits, labels))
        return m ? &m->poison : NULL;
    nd_axes last = ND_AXES(-1);
    nd_value *largest = nd_stop_gradient_at(place, nd_reduce_max_at(place, logits, last, true));
    nd_value *z = nd_sub_at(place, logits, largest);
    nd_value *all = nd_log_at(place, nd_sum_at(place, nd_exp_at(place, z), last, false));
    nd_value *chosen = is_label(place, labels, logits->shape.dims[logits->shape.rank - 1]);
    nd_value *picked = nd_sum_at(place, nd_select_at(place, chosen, z, nd_const_at(place, m, 0)), last, false);
    return nd_mean_at(place, nd_sub_at(place, all, picked), ND_ALL_AXES, false);
}

nd_value *nd_mean_squared_error_at(nd_place place, nd_value *prediction, nd_value *target)
{
    bool poisoned;
    nd_module *m = nd__common_module(place, "mean_squared_error", 2, (nd_value *[]){prediction, target}, &poisoned);
    if (!m || poisoned)
        return m ? &m->poison : NULL;
    if (!nd__shape_equal(&prediction->shape, &target->shape))
        return nd__fail(m, ND_ERR_GRAPH, place, "mean_squared_error: the prediction %s is %s, the target %s is %s",
                        nd__show(m, prediction), nd__show_type(m, prediction->dtype, &prediction->shape),
                        nd__show(m, target), nd__show_type(m, target->dtype, &target->shape));
    nd_value *d = nd_sub_at(place, prediction, target);
    return nd_mean_at(place, nd_mul_at(place, d, d), ND_ALL_AXES, false);
}
