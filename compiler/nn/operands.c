/* What losses and metrics ask of their operands. */
#include "compiler/nn/operands.h"

#include <string.h>

nd_module *nd__nn_begin(nd_place place, const char *what, nd_value *a, nd_value *b, nd_value **other)
{
    bool poisoned;
    nd_module *m = nd__common_module(place, what, 2, (nd_value *[]){a, b}, &poisoned);
    *other = m ? &m->poison : NULL;
    return poisoned ? NULL : m;
}

nd_module *nd__nn_labels(nd_place place, const char *what, nd_value *logits, nd_value *labels, nd_value **other)
{
    nd_module *m = nd__nn_begin(place, what, logits, labels, other);
    if (!m)
        return NULL;
    int rows = logits->shape.rank - 1;
    const char *logits_type = nd__show_type(m, logits->dtype, &logits->shape);
    const char *labels_type = nd__show_type(m, labels->dtype, &labels->shape);
    if (!nd_dtype_is_float(logits->dtype) || rows < 0)
        nd__fail(m, ND_ERR_GRAPH, place, "%s: the logits %s are %s, expected floats [.., classes]", what,
                 nd__show(m, logits), logits_type);
    else if (!nd_dtype_is_integer(labels->dtype))
        nd__fail(m, ND_ERR_GRAPH, place, "%s: the labels %s are %s, expected integers", what, nd__show(m, labels),
                 labels_type);
    else if (labels->shape.rank != rows ||
             memcmp(labels->shape.dims, logits->shape.dims, (size_t)rows * sizeof(int64_t)) != 0)
        nd__fail(m, ND_ERR_GRAPH, place, "%s: the labels %s are %s, expected one for each row of the logits, %s", what,
                 nd__show(m, labels), labels_type, logits_type);
    return m->status == ND_OK ? m : NULL;
}

nd_module *nd__nn_pair(nd_place place, const char *what, nd_value *prediction, nd_value *target, nd_value **other)
{
    nd_module *m = nd__nn_begin(place, what, prediction, target, other);
    if (m && (!nd__shape_equal(&prediction->shape, &target->shape) || prediction->dtype != target->dtype ||
              !nd_dtype_is_float(prediction->dtype)))
        nd__fail(m, ND_ERR_GRAPH, place,
                 "%s: the prediction %s is %s, the target %s is %s, expected floats of one shape", what,
                 nd__show(m, prediction), nd__show_type(m, prediction->dtype, &prediction->shape), nd__show(m, target),
                 nd__show_type(m, target->dtype, &target->shape));
    return m && m->status == ND_OK ? m : NULL;
}

nd_value *nd__is_label(nd_place place, nd_value *labels, int64_t classes)
{
    nd_module *m = labels->node->module;
    nd_shape shape = labels->shape;
    shape.dims[shape.rank++] = 1;
    if (labels->dtype == ND_U8) /* an index of that dtype would begin again at class 256 */
        labels = nd_cast_at(place, labels, ND_I32);
    nd_value *index = nd_iota_at(place, m, nd_value_dtype(labels), nd_shape_of(1, &classes), 0);
    return nd_eq_at(place, index, nd_reshape_at(place, labels, shape));
}

int64_t nd__last_size(const nd_value *v)
{
    return v->shape.dims[v->shape.rank - 1];
}
