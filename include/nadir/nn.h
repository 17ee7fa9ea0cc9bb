/* Composed ops for neural networks: activations, losses, metrics; with it come layers
 * (nadir/layer.h) and optimizers (nadir/optimizer.h).
 *
 *     nd_value *h = nd_relu(nd_add(nd_matmul(x, w1), b1));
 *     nd_value *loss = nd_cross_entropy(nd_add(nd_matmul(h, w2), b2), labels);
 *     nd_function *step = nd_function(m, "step", ND_VALUES(x, labels), ND_VALUES(loss));
 *     nd_sgd(step, loss, 4, (nd_value *[]){w1, b1, w2, b2}, nd_const(m, 0.1));
 *
 * Each is built of the calls of graph.h, and its formula, given here, is its definition, to the bit: what is written as
 * one operation is one, rounded once. Errors, places, NULL and failed modules: as in graph.h. Reductions over an axis
 * keep it as size 1 inside a formula. */
#ifndef NADIR_NN_H
#define NADIR_NN_H

#include "nadir/graph.h"
#include "nadir/layer.h"
#include "nadir/optimizer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* -- activations -------------------------------------------------------------------------------------------------- */

/* select(x <= 0, 0, x): a NaN stays, relu(-0) is +0. The gradient at 0 is 0. Numbers. */
#define nd_relu(x) nd_relu_at(ND_HERE, x)
ND_API nd_value *nd_relu_at(nd_place place, nd_value *x);

/* x * (0.5 * (1 + erf(x * sqrt(1/2)))); floats, as all that follow. Hendrycks and Gimpel 2016, and its tanh form:
 * (0.5 * x) * (1 + tanh(sqrt(2/pi) * (x + 0.044715 * ((x * x) * x)))). */
#define nd_gelu(x)      nd_gelu_at(ND_HERE, x)
#define nd_gelu_tanh(x) nd_gelu_tanh_at(ND_HERE, x)
ND_API nd_value *nd_gelu_at(nd_place place, nd_value *x);
ND_API nd_value *nd_gelu_tanh_at(nd_place place, nd_value *x);
/* x * sigmoid(x). */
#define nd_silu(x) nd_silu_at(ND_HERE, x)
ND_API nd_value *nd_silu_at(nd_place place, nd_value *x);
/* log(1 + exp(x)) as max(x, 0) + log1p(exp(-abs(x))). */
#define nd_softplus(x) nd_softplus_at(ND_HERE, x)
ND_API nd_value *nd_softplus_at(nd_place place, nd_value *x);

/* e / sum(e), e = exp(x - max(x)), along one axis; floats. The maximum counts as a constant: it cancels. */
#define nd_softmax(x, axis) nd_softmax_at(ND_HERE, x, axis)
ND_API nd_value *nd_softmax_at(nd_place place, nd_value *x, int axis);
/* z - log(sum(exp(z))), z = x - max(x), along one axis; floats. */
#define nd_log_softmax(x, axis) nd_log_softmax_at(ND_HERE, x, axis)
ND_API nd_value *nd_log_softmax_at(nd_place place, nd_value *x, int axis);
/* log(sum(exp(x - m))) + m over the axes, m = max(x), or 0 where that is infinite or NaN, so that infinities come out
 * as they should: -inf where all are -inf (or there are none). Floats. Blanchard, Higham and Higham 2021, "Accurately
 * computing the log-sum-exp and softmax functions". */
#define nd_logsumexp(x, axes, keepdims) nd_logsumexp_at(ND_HERE, x, axes, keepdims)
ND_API nd_value *nd_logsumexp_at(nd_place place, nd_value *x, nd_axes axes, bool keepdims);

/* softmax((q * (1 / sqrt(d))) k^T) v, the softmax along the last axis: q [.., T, d], k [.., S, d], v [.., S, e],
 * floats, leading axes broadcast: [.., T, e]. Vaswani et al. 2017, "Attention is all you need". causal: row t sees rows
 * 0 to t alone. Both products then have the band column - row <= 0 (nd_matmul_with), so that what is not seen is not
 * computed, and is -inf to the softmax. */
#define nd_dot_product_attention(q, k, v, causal) nd_dot_product_attention_at(ND_HERE, q, k, v, causal)
ND_API nd_value *nd_dot_product_attention_at(nd_place place, nd_value *q, nd_value *k, nd_value *v, bool causal);

/* -- losses ------------------------------------------------------------------------------------------------------- */

/* Means over all rows or elements: scalars of the operands' dtype. */

/* The mean over all rows of -log softmax(logits)[label]. logits: floats [.., C]; labels: integers [..], 0 to C-1. A
 * scalar:
 *     z = logits - max(logits)
 *     mean(log(sum(exp(z))) - sum(select(iota == label, z, 0)))
 * with max and sums over the last axis. A label outside picks 0, so that its row counts log(sum(exp(z))): check labels
 * before training. */
#define nd_cross_entropy(logits, labels) nd_cross_entropy_at(ND_HERE, logits, labels)
ND_API nd_value *nd_cross_entropy_at(nd_place place, nd_value *logits, nd_value *labels);
/* The same with
 *  - `smoothing` s, 0 to 1: a row is r = log(sum(exp(z))) - ((1 - s) * sum(select(iota == label, z, 0)) + (s / C) *
 *    sum(z)): the label has probability 1 - s + s / C, the others s / C (Szegedy et al. 2016, "Rethinking the Inception
 *    architecture", 7); s = 0 leaves the row as above;
 *  - `weights`, floats of the rows' shape [..]: sum(weights * r) / sum(weights) takes the place of the mean. NULL:
 *    none. A weight for each class is gathered: nd_gather(class_weights, labels). */
#define nd_cross_entropy_weighted(logits, labels, smoothing, weights)                                                  \
    nd_cross_entropy_weighted_at(ND_HERE, logits, labels, smoothing, weights)
ND_API nd_value *nd_cross_entropy_weighted_at(nd_place place, nd_value *logits, nd_value *labels, double smoothing,
                                              nd_value *weights);
/* Of distributions, floats of the logits' shape [.., C]: mean(sum(target * (log(sum(exp(z))) - z))), z as above. */
#define nd_cross_entropy_soft(logits, target) nd_cross_entropy_soft_at(ND_HERE, logits, target)
ND_API nd_value *nd_cross_entropy_soft_at(nd_place place, nd_value *logits, nd_value *target);
/* mean(max(x, 0) - x * target + log1p(exp(-abs(x)))), x = logits: -target log(s) - (1 - target) log(1 - s), s =
 * sigmoid(x), without overflow. Targets are floats of the logits' shape, 0 to 1. The gradient is right at 0, too. */
#define nd_binary_cross_entropy(logits, target) nd_binary_cross_entropy_at(ND_HERE, logits, target)
ND_API nd_value *nd_binary_cross_entropy_at(nd_place place, nd_value *logits, nd_value *target);
/* The divergence of Kullback and Leibler 1951 of the prediction from the target, distributions along the last axis:
 *     mean(sum(target * (log(select(target > 0, target, 1)) - log(select(target > 0, prediction, 1)))))
 * so that what the target says is impossible counts nothing. Floats of one shape, rank 1 or more. */
#define nd_kl_divergence(prediction, target) nd_kl_divergence_at(ND_HERE, prediction, target)
ND_API nd_value *nd_kl_divergence_at(nd_place place, nd_value *prediction, nd_value *target);

/* mean(d * d), d = prediction - target, over all elements; floats of one shape (nothing is broadcast), here and below.
 */
#define nd_mean_squared_error(prediction, target) nd_mean_squared_error_at(ND_HERE, prediction, target)
ND_API nd_value *nd_mean_squared_error_at(nd_place place, nd_value *prediction, nd_value *target);
/* mean(abs(prediction - target)). */
#define nd_mean_absolute_error(prediction, target) nd_mean_absolute_error_at(ND_HERE, prediction, target)
ND_API nd_value *nd_mean_absolute_error_at(nd_place place, nd_value *prediction, nd_value *target);
/* mean(select(a <= delta, 0.5 * (d * d), delta * (a - 0.5 * delta))), d = prediction - target, a = abs(d), delta > 0:
 * squares near 0, straight beyond. Huber 1964, "Robust estimation of a location parameter". */
#define nd_huber(prediction, target, delta) nd_huber_at(ND_HERE, prediction, target, delta)
ND_API nd_value *nd_huber_at(nd_place place, nd_value *prediction, nd_value *target, double delta);
/* mean(relu(1 - target * prediction)), targets -1 or 1. */
#define nd_hinge(prediction, target) nd_hinge_at(ND_HERE, prediction, target)
ND_API nd_value *nd_hinge_at(nd_place place, nd_value *prediction, nd_value *target);

/* -- metrics ------------------------------------------------------------------------------------------------------ */
/* Numbers to look at, as further outputs of a function. logits [.., C] and labels [..] as for nd_cross_entropy; any
 * scores do as logits. A label outside 0 to C-1 is wrong whatever was predicted. Scalars of the logits' dtype. */

/* The part of rows whose first largest score is the label's: mean(argmax(logits) == label). */
#define nd_categorical_accuracy(logits, labels) nd_categorical_accuracy_at(ND_HERE, logits, labels)
ND_API nd_value *nd_categorical_accuracy_at(nd_place place, nd_value *logits, nd_value *labels);
/* The part of rows in which fewer than k scores come before the label's: larger ones, equal ones of a lower index, NaN.
 * k is 1 to C. */
#define nd_top_k_accuracy(logits, labels, k) nd_top_k_accuracy_at(ND_HERE, logits, labels, k)
ND_API nd_value *nd_top_k_accuracy_at(nd_place place, nd_value *logits, nd_value *labels, int64_t k);
/* mean((logits > 0) == (target > 0.5)), floats of one shape. */
#define nd_binary_accuracy(logits, target) nd_binary_accuracy_at(ND_HERE, logits, target)
ND_API nd_value *nd_binary_accuracy_at(nd_place place, nd_value *logits, nd_value *target);
/* How often label r was predicted as c: i64[C, C], element [r, c]. Labels outside are left out. */
#define nd_confusion_matrix(logits, labels) nd_confusion_matrix_at(ND_HERE, logits, labels)
ND_API nd_value *nd_confusion_matrix_at(nd_place place, nd_value *logits, nd_value *labels);
/* The coefficient of determination 1 - sum(d * d) / sum(e * e), d = target - prediction, e = target - mean(target),
 * over all elements; floats of one shape. Not finite where all targets are equal. */
#define nd_r2(prediction, target) nd_r2_at(ND_HERE, prediction, target)
ND_API nd_value *nd_r2_at(nd_place place, nd_value *prediction, nd_value *target);
/* exp(nd_cross_entropy(logits, labels)). */
#define nd_perplexity(logits, labels) nd_perplexity_at(ND_HERE, logits, labels)
ND_API nd_value *nd_perplexity_at(nd_place place, nd_value *logits, nd_value *labels);

#ifdef __cplusplus
}
#endif
#endif
