/* Composed ops for neural networks: activations, losses, optimizers.
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

#ifdef __cplusplus
extern "C" {
#endif

/* -- activations -------------------------------------------------------------------------------------------------- */

/* select(x <= 0, 0, x): a NaN stays, relu(-0) is +0. The gradient at 0 is 0. Numbers. */
#define nd_relu(x) nd_relu_at(ND_HERE, x)
ND_API nd_value *nd_relu_at(nd_place place, nd_value *x);

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

/* -- losses ------------------------------------------------------------------------------------------------------- */

/* The mean over all rows of -log softmax(logits)[label]. logits: floats [.., C]; labels: integers [..], 0 to C-1. A
 * scalar:
 *     z = logits - max(logits)
 *     mean(log(sum(exp(z))) - sum(select(iota == label, z, 0)))
 * with max and sums over the last axis. A label outside picks 0, so that its row counts log(sum(exp(z))): check labels
 * before training. */
#define nd_cross_entropy(logits, labels) nd_cross_entropy_at(ND_HERE, logits, labels)
ND_API nd_value *nd_cross_entropy_at(nd_place place, nd_value *logits, nd_value *labels);
/* mean(d * d), d = prediction - target, over all elements; floats of one shape (nothing is broadcast). A scalar. */
#define nd_mean_squared_error(prediction, target) nd_mean_squared_error_at(ND_HERE, prediction, target)
ND_API nd_value *nd_mean_squared_error_at(nd_place place, nd_value *prediction, nd_value *target);

/* -- optimizers --------------------------------------------------------------------------------------------------- */
/* Each lets `function` assign new values to variables when it ends. `rate` and `momentum` are scalars of the variables'
 * dtype: constants, inputs of the function (a schedule on the host) or variables. What gives nothing back puts its
 * error on the module.
 *
 * Each comes in two parts. nd_X differentiates and applies; nd_X_apply takes gradients from anywhere: from inputs,
 * where one function computes gradients, the host sums them over several machines, and another function applies them.
 * The two functions together have the bits of the one. */

/* w := w - rate * g, two roundings, for the gradients g of `loss` (a float of one element) by n variables. Robbins and
 * Monro 1951. */
#define nd_sgd(function, loss, n, ...) nd_sgd_at(ND_HERE, function, loss, n, __VA_ARGS__)
ND_API void nd_sgd_at(nd_place place, nd_function *function, nd_value *loss, size_t n, nd_value *const *variables,
                      nd_value *rate);
#define nd_sgd_apply(function, n, ...) nd_sgd_apply_at(ND_HERE, function, n, __VA_ARGS__)
ND_API void nd_sgd_apply_at(nd_place place, nd_function *function, size_t n, nd_value *const *variables,
                            nd_value *const *gradients, nd_value *rate);

/* v := momentum * v + g; w := w - rate * v (the new v), each operation rounded. v is the variable "NAME/velocity",
 * zeros at first; made at the first call for that variable, shared by all. Polyak 1964, "Some methods of speeding up
 * the convergence of iteration methods"; here the rate is outside v, so that it may change. */
#define nd_sgd_momentum(function, loss, n, ...) nd_sgd_momentum_at(ND_HERE, function, loss, n, __VA_ARGS__)
ND_API void nd_sgd_momentum_at(nd_place place, nd_function *function, nd_value *loss, size_t n,
                               nd_value *const *variables, nd_value *rate, nd_value *momentum);
#define nd_sgd_momentum_apply(function, n, ...) nd_sgd_momentum_apply_at(ND_HERE, function, n, __VA_ARGS__)
ND_API void nd_sgd_momentum_apply_at(nd_place place, nd_function *function, size_t n, nd_value *const *variables,
                                     nd_value *const *gradients, nd_value *rate, nd_value *momentum);

#ifdef __cplusplus
}
#endif
#endif
