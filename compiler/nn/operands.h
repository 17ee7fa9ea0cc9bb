/* What losses and metrics ask of their operands. */
#ifndef NADIR_NN_OPERANDS_H
#define NADIR_NN_OPERANDS_H

#include "compiler/graph/graph.h"

/* The module of a and b if `what` can be built of them; otherwise NULL, and *other is what the caller gives back. */
nd_module *nd__nn_begin(nd_place place, const char *what, nd_value *a, nd_value *b, nd_value **other);
/* The same for logits, floats [.., C], and integer labels [..]. */
nd_module *nd__nn_labels(nd_place place, const char *what, nd_value *logits, nd_value *labels, nd_value **other);
/* The same for a prediction and a target, floats of one shape. */
nd_module *nd__nn_pair(nd_place place, const char *what, nd_value *prediction, nd_value *target, nd_value **other);
/* Where iota == label, along a new last axis of that many classes. */
nd_value *nd__is_label(nd_place place, nd_value *labels, int64_t classes);

/* The last size of a value of rank 1 or more. */
int64_t nd__last_size(const nd_value *v);

#endif
