/* Optimizers: what a training step assigns to the weights. Part of nadir/nn.h.
 *
 *     nd_function *step = nd_function(m, "step", ND_VALUES(x, y), ND_VALUES(loss));
 *     nd_adam(step, loss, 4, (nd_value *[]){w1, b1, w2, b2}, nd_const(m, 0.001), NULL);
 *
 * The same in parts: gradients are made, changed, applied; another rate for another group of weights is another call.
 *
 *     nd_value *g[4], *rate = nd_rate_warmup(nd_steps(step), 100, nd_rate_cosine(nd_steps(step), 0.001, 5000, 0));
 *     nd_gradients(loss, 4, w, g);
 *     nd_clip_by_global_norm(4, g, nd_const(m, 1), g);
 *     nd_adam_apply(step, 2, w, g, rate, NULL);
 *     nd_adam_apply(step, 2, w + 2, g + 2, nd_mul(rate, nd_const(m, 0.1)), NULL);
 *     nd_decay_weights(step, 2, w, nd_mul(rate, nd_const(m, 0.01)));
 *
 * Each lets `function` assign new values to variables when it ends. What an optimizer remembers of a variable is a
 * variable, too, named "NAME/what", which the first call makes and all share; so it is in every checkpoint. Gradients g
 * may come from anywhere: from inputs, where one function computes them, the host sums them over several machines, and
 * another function applies them. The two functions together have the bits of the one.
 *
 * Rates, momenta, limits and decays are floats of one element: constants, inputs of the function (a schedule on the
 * host) or values of the graph; those of another float dtype than a variable's are cast to it. Formulas are definitions
 * to the bit, as in nadir/nn.h. What gives nothing back puts its error on the module. */
#ifndef NADIR_OPTIMIZER_H
#define NADIR_OPTIMIZER_H

#include "nadir/graph.h"

#ifdef __cplusplus
extern "C" {
#endif

/* -- rules -------------------------------------------------------------------------------------------------------- */
/* nd_X differentiates `loss`, a float of one element, by n variables and applies the gradients; nd_X_apply takes them.
 */

/* w := w - rate * g, two roundings. Robbins and Monro 1951. */
#define nd_sgd(function, loss, n, ...) nd_sgd_at(ND_HERE, function, loss, n, __VA_ARGS__) /* variables, rate */
#define nd_sgd_apply(function, n, ...) nd_sgd_apply_at(ND_HERE, function, n, __VA_ARGS__) /* variables, g, rate */
ND_API void nd_sgd_at(nd_place place, nd_function *function, nd_value *loss, size_t n, nd_value *const *variables,
                      nd_value *rate);
ND_API void nd_sgd_apply_at(nd_place place, nd_function *function, size_t n, nd_value *const *variables,
                            nd_value *const *gradients, nd_value *rate);

/* v := momentum * v + g; w := w - rate * v (the new v), each operation rounded. v is "NAME/velocity", zeros at first.
 * Polyak 1964, "Some methods of speeding up the convergence of iteration methods"; here the rate is outside v, so that
 * it may change. */
#define nd_sgd_momentum(function, loss, n, ...) nd_sgd_momentum_at(ND_HERE, function, loss, n, __VA_ARGS__)
#define nd_sgd_momentum_apply(function, n, ...) nd_sgd_momentum_apply_at(ND_HERE, function, n, __VA_ARGS__)
ND_API void nd_sgd_momentum_at(nd_place place, nd_function *function, nd_value *loss, size_t n,
                               nd_value *const *variables, nd_value *rate, nd_value *momentum);
ND_API void nd_sgd_momentum_apply_at(nd_place place, nd_function *function, size_t n, nd_value *const *variables,
                                     nd_value *const *gradients, nd_value *rate, nd_value *momentum);

/* v := momentum * v + g; w := w - rate * (g + momentum * v). The method of Nesterov 1983 as Sutskever et al. 2013 write
 * it ("On the importance of initialization and momentum in deep learning", (3) and (4)); here w is the point that looks
 * ahead, theta + mu v there. */
#define nd_sgd_nesterov(function, loss, n, ...) nd_sgd_nesterov_at(ND_HERE, function, loss, n, __VA_ARGS__)
#define nd_sgd_nesterov_apply(function, n, ...) nd_sgd_nesterov_apply_at(ND_HERE, function, n, __VA_ARGS__)
ND_API void nd_sgd_nesterov_at(nd_place place, nd_function *function, nd_value *loss, size_t n,
                               nd_value *const *variables, nd_value *rate, nd_value *momentum);
ND_API void nd_sgd_nesterov_apply_at(nd_place place, nd_function *function, size_t n, nd_value *const *variables,
                                     nd_value *const *gradients, nd_value *rate, nd_value *momentum);

/* Settings of the rules below; each says which it has and what zero stands for. A negative number means 0. NULL in
 * place of the struct: all zero. */
typedef struct nd_optimizer_options {
    double beta1, beta2; /* how much of a running mean is kept: of the gradients, of their squares */
    double momentum;
    double epsilon; /* keeps divisors from 0 */
} nd_optimizer_options;

/* s := s + g * g; w := w - rate * (g / (sqrt(s) + epsilon)). s is "NAME/squares", zeros at first. epsilon 1e-10.
 * Duchi, Hazan and Singer 2011, "Adaptive subgradient methods for online learning and stochastic optimization". */
#define nd_adagrad(function, loss, n, ...) nd_adagrad_at(ND_HERE, function, loss, n, __VA_ARGS__)
#define nd_adagrad_apply(function, n, ...) nd_adagrad_apply_at(ND_HERE, function, n, __VA_ARGS__)
ND_API void nd_adagrad_at(nd_place place, nd_function *function, nd_value *loss, size_t n, nd_value *const *variables,
                          nd_value *rate, const nd_optimizer_options *options);
ND_API void nd_adagrad_apply_at(nd_place place, nd_function *function, size_t n, nd_value *const *variables,
                                nd_value *const *gradients, nd_value *rate, const nd_optimizer_options *options);

/* s := beta2 * s + (1 - beta2) * (g * g); w := w - rate * (g / (sqrt(s) + epsilon)). s is "NAME/squares", zeros at
 * first. beta2 0.9, epsilon 1e-8. Hinton 2012, "Neural networks for machine learning", lecture 6e. */
#define nd_rmsprop(function, loss, n, ...) nd_rmsprop_at(ND_HERE, function, loss, n, __VA_ARGS__)
#define nd_rmsprop_apply(function, n, ...) nd_rmsprop_apply_at(ND_HERE, function, n, __VA_ARGS__)
ND_API void nd_rmsprop_at(nd_place place, nd_function *function, nd_value *loss, size_t n, nd_value *const *variables,
                          nd_value *rate, const nd_optimizer_options *options);
ND_API void nd_rmsprop_apply_at(nd_place place, nd_function *function, size_t n, nd_value *const *variables,
                                nd_value *const *gradients, nd_value *rate, const nd_optimizer_options *options);

/* The other RMSprop: centred, with momentum, epsilon inside the root, the rate inside the velocity:
 *     s := beta2 * s + (1 - beta2) * (g * g);    a := beta2 * a + (1 - beta2) * g
 *     v := momentum * v + rate * (g / sqrt((s - a * a) + epsilon));    w := w - v
 * s, a, v are "NAME/squares", "NAME/mean", "NAME/velocity", zeros at first. beta2 0.95, momentum 0.9, epsilon 1e-4.
 * Graves 2013, "Generating sequences with recurrent neural networks", (38) to (41), and TensorFlow's form. */
#define nd_rmsprop_centred(function, loss, n, ...) nd_rmsprop_centred_at(ND_HERE, function, loss, n, __VA_ARGS__)
#define nd_rmsprop_centred_apply(function, n, ...) nd_rmsprop_centred_apply_at(ND_HERE, function, n, __VA_ARGS__)
ND_API void nd_rmsprop_centred_at(nd_place place, nd_function *function, nd_value *loss, size_t n,
                                  nd_value *const *variables, nd_value *rate, const nd_optimizer_options *options);
ND_API void nd_rmsprop_centred_apply_at(nd_place place, nd_function *function, size_t n, nd_value *const *variables,
                                        nd_value *const *gradients, nd_value *rate,
                                        const nd_optimizer_options *options);

/* Over t = nd_steps(function) + 1, c1 = 1 / (1 - beta1^t), c2 = 1 / (1 - beta2^t), computed in f64, then cast:
 *     a := beta1 * a + (1 - beta1) * g;    s := beta2 * s + (1 - beta2) * (g * g)
 *     w := w - (rate * c1) * (a / (sqrt(s * c2) + epsilon))
 * a, s are "NAME/mean", "NAME/squares", zeros at first. beta1 0.9, beta2 0.999, epsilon 1e-8. Kingma and Ba 2015,
 * "Adam: a method for stochastic optimization", algorithm 1. */
#define nd_adam(function, loss, n, ...) nd_adam_at(ND_HERE, function, loss, n, __VA_ARGS__)
#define nd_adam_apply(function, n, ...) nd_adam_apply_at(ND_HERE, function, n, __VA_ARGS__)
ND_API void nd_adam_at(nd_place place, nd_function *function, nd_value *loss, size_t n, nd_value *const *variables,
                       nd_value *rate, const nd_optimizer_options *options);
ND_API void nd_adam_apply_at(nd_place place, nd_function *function, size_t n, nd_value *const *variables,
                             nd_value *const *gradients, nd_value *rate, const nd_optimizer_options *options);

/* nd_adam, then nd_decay_weights by rate * decay. Loshchilov and Hutter 2019, "Decoupled weight decay regularization",
 * algorithm 2, whose eta is part of the rate here. */
#define nd_adamw(function, loss, n, ...) nd_adamw_at(ND_HERE, function, loss, n, __VA_ARGS__)
#define nd_adamw_apply(function, n, ...) nd_adamw_apply_at(ND_HERE, function, n, __VA_ARGS__)
ND_API void nd_adamw_at(nd_place place, nd_function *function, nd_value *loss, size_t n, nd_value *const *variables,
                        nd_value *rate, nd_value *decay, const nd_optimizer_options *options);
ND_API void nd_adamw_apply_at(nd_place place, nd_function *function, size_t n, nd_value *const *variables,
                              nd_value *const *gradients, nd_value *rate, nd_value *decay,
                              const nd_optimizer_options *options);

/* nd_adam's a, s, t and c2 with Nesterov's momentum: in f64, then cast,
 *     mu(t) = beta1 * (1 - 0.5 * 0.96^(t / 250));    p := p * mu(t)
 *     cg = (1 - mu(t)) / (1 - p);    ca = mu(t + 1) / (1 - p * mu(t + 1))
 *     a := mu(t) * a + (1 - mu(t)) * g
 *     w := w - rate * ((cg * g + ca * a) / (sqrt(s * c2) + epsilon))
 * p is "NAME/momenta", an f64, 1 at first. Settings and other variables as nd_adam's. Dozat 2016, "Incorporating
 * Nesterov momentum into Adam", algorithm 2, the momenta of its section 3. */
#define nd_nadam(function, loss, n, ...) nd_nadam_at(ND_HERE, function, loss, n, __VA_ARGS__)
#define nd_nadam_apply(function, n, ...) nd_nadam_apply_at(ND_HERE, function, n, __VA_ARGS__)
ND_API void nd_nadam_at(nd_place place, nd_function *function, nd_value *loss, size_t n, nd_value *const *variables,
                        nd_value *rate, const nd_optimizer_options *options);
ND_API void nd_nadam_apply_at(nd_place place, nd_function *function, size_t n, nd_value *const *variables,
                              nd_value *const *gradients, nd_value *rate, const nd_optimizer_options *options);

/* w := w - rate * sign(beta1 * a + (1 - beta1) * g); a := beta2 * a + (1 - beta2) * g. a is "NAME/mean", zeros at
 * first; sign(0) is 0. beta1 0.9, beta2 0.99. The paper's decay is nd_decay_weights. Chen et al. 2023, "Symbolic
 * discovery of optimization algorithms", algorithm 2. */
#define nd_lion(function, loss, n, ...) nd_lion_at(ND_HERE, function, loss, n, __VA_ARGS__)
#define nd_lion_apply(function, n, ...) nd_lion_apply_at(ND_HERE, function, n, __VA_ARGS__)
ND_API void nd_lion_at(nd_place place, nd_function *function, nd_value *loss, size_t n, nd_value *const *variables,
                       nd_value *rate, const nd_optimizer_options *options);
ND_API void nd_lion_apply_at(nd_place place, nd_function *function, size_t n, nd_value *const *variables,
                             nd_value *const *gradients, nd_value *rate, const nd_optimizer_options *options);

/* For matrices [in, out] only; leave the others to another rule.
 *     v := momentum * v + g;    u = g + momentum * v;    x = u / (sqrt(sum(u * u)) + epsilon)
 *     five times, where in <= out:    q = x x^T;    x = 3.4445 * x + (-4.775 * q + 2.0315 * (q q)) x
 *                 where in > out:     q = x^T x;    x = 3.4445 * x + x (-4.775 * q + 2.0315 * (q q))
 *     w := w - (rate * sqrt(max(1, out / in))) * x
 * x comes near u with all singular values replaced by 1. v is "NAME/velocity", zeros at first. momentum 0.95, epsilon
 * 1e-7. Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks". */
#define nd_muon(function, loss, n, ...) nd_muon_at(ND_HERE, function, loss, n, __VA_ARGS__)
#define nd_muon_apply(function, n, ...) nd_muon_apply_at(ND_HERE, function, n, __VA_ARGS__)
ND_API void nd_muon_at(nd_place place, nd_function *function, nd_value *loss, size_t n, nd_value *const *variables,
                       nd_value *rate, const nd_optimizer_options *options);
ND_API void nd_muon_apply_at(nd_place place, nd_function *function, size_t n, nd_value *const *variables,
                             nd_value *const *gradients, nd_value *rate, const nd_optimizer_options *options);

/* -- between gradients and rules ---------------------------------------------------------------------------------- */
/* From n gradients to n others in out[], which may be the same array. */

/* min(max(g, -limit), limit), each element. */
#define nd_clip_by_value(n, ...) nd_clip_by_value_at(ND_HERE, n, __VA_ARGS__) /* gradients, limit, out */
ND_API void nd_clip_by_value_at(nd_place place, size_t n, nd_value *const *gradients, nd_value *limit, nd_value **out);
/* g * (limit / max(norm, limit)), norm = sqrt(sum(g * g)), each gradient by itself. */
#define nd_clip_by_norm(n, ...) nd_clip_by_norm_at(ND_HERE, n, __VA_ARGS__)
ND_API void nd_clip_by_norm_at(nd_place place, size_t n, nd_value *const *gradients, nd_value *limit, nd_value **out);
/* The same by the norm of them all, sqrt of the sums added in order, which it gives back (NULL for none); one dtype.
 * Pascanu, Mikolov and Bengio 2013, "On the difficulty of training recurrent neural networks", algorithm 1. */
#define nd_clip_by_global_norm(n, ...) nd_clip_by_global_norm_at(ND_HERE, n, __VA_ARGS__)
ND_API nd_value *nd_clip_by_global_norm_at(nd_place place, size_t n, nd_value *const *gradients, nd_value *limit,
                                           nd_value **out);
/* g + decay * w: coupled decay, which goes through the rule like the gradient of a penalty decay / 2 * sum(w * w).
 * `...`: the variables, the gradients, decay, out. */
#define nd_decay_gradients(n, ...) nd_decay_gradients_at(ND_HERE, n, __VA_ARGS__)
ND_API void nd_decay_gradients_at(nd_place place, size_t n, nd_value *const *variables, nd_value *const *gradients,
                                  nd_value *decay, nd_value **out);

/* -- after a rule ------------------------------------------------------------------------------------------------- */
/* These change or follow what `function` assigns to the variables: an error where it assigns nothing. */

/* w := (what is assigned so far) - amount * w (the old w): decay that bypasses the rule; the amount is rate * decay. */
#define nd_decay_weights(function, n, ...)                                                                             \
    nd_decay_weights_at(ND_HERE, function, n, __VA_ARGS__) /* variables, amount */
ND_API void nd_decay_weights_at(nd_place place, nd_function *function, size_t n, nd_value *const *variables,
                                nd_value *amount);
/* a := decay * a + (1 - decay) * (what is assigned to w so far). a is "NAME/average", at first what w is at first;
 * they come in averages[] (NULL: unwanted). Polyak and Juditsky 1992, "Acceleration of stochastic approximation by
 * averaging", with weights that fade. */
#define nd_average_weights(function, n, ...) nd_average_weights_at(ND_HERE, function, n, __VA_ARGS__)
ND_API void nd_average_weights_at(nd_place place, nd_function *function, size_t n, nd_value *const *variables,
                                  nd_value *decay, nd_value **averages);

/* Gradients of several runs, one update. Gives (in out[], which may be the gradients' array) the means s / every, s =
 * "NAME/gathered" + g, and whether the run is the last of `every`, in which the sums begin at 0 again. What is assigned
 * from here to nd_accumulate_end is assigned in those runs only; nd_steps counts them. Once in a function.
 *
 *     nd_value *due = nd_accumulate(step, n, w, g, 8, g);
 *     nd_adam_apply(step, n, w, g, rate, NULL);
 *     nd_accumulate_end(step, due); */
#define nd_accumulate(function, n, ...)  nd_accumulate_at(ND_HERE, function, n, __VA_ARGS__)
#define nd_accumulate_end(function, due) nd_accumulate_end_at(ND_HERE, function, due)
ND_API nd_value *nd_accumulate_at(nd_place place, nd_function *function, size_t n, nd_value *const *variables,
                                  nd_value *const *gradients, int64_t every, nd_value **out);
ND_API void nd_accumulate_end_at(nd_place place, nd_function *function, nd_value *due);

/* -- rates over steps --------------------------------------------------------------------------------------------- */

/* How often the function has run before: the variable "FUNCTION/steps", i64, 0 at first, to which it adds 1. */
#define nd_steps(function) nd_steps_at(ND_HERE, function)
ND_API nd_value *nd_steps_at(nd_place place, nd_function *function);

/* Rates of f64 over `steps`, an integer of one element, s below as f64: nd_steps, with something subtracted to begin
 * later (below 0 is taken as 0). A constant rate is nd_const. */

/* rate * factor^floor(s / every). */
#define nd_rate_stairs(steps, rate, every, factor) nd_rate_stairs_at(ND_HERE, steps, rate, every, factor)
ND_API nd_value *nd_rate_stairs_at(nd_place place, nd_value *steps, double rate, int64_t every, double factor);
/* rate * factor^(s / every). */
#define nd_rate_exponential(steps, rate, every, factor) nd_rate_exponential_at(ND_HERE, steps, rate, every, factor)
ND_API nd_value *nd_rate_exponential_at(nd_place place, nd_value *steps, double rate, int64_t every, double factor);
/* lowest + (rate - lowest) * (0.5 + 0.5 * cos(pi * (min(s, total) / total))). Loshchilov and Hutter 2017, "SGDR:
 * stochastic gradient descent with warm restarts", (5), without restarts. */
#define nd_rate_cosine(steps, rate, total, lowest) nd_rate_cosine_at(ND_HERE, steps, rate, total, lowest)
ND_API nd_value *nd_rate_cosine_at(nd_place place, nd_value *steps, double rate, int64_t total, double lowest);
/* rate * min((s + 1) / length, 1), of any rate. Goyal et al. 2017, "Accurate, large minibatch SGD", 2.2. */
#define nd_rate_warmup(steps, length, rate) nd_rate_warmup_at(ND_HERE, steps, length, rate)
ND_API nd_value *nd_rate_warmup_at(nd_place place, nd_value *steps, int64_t length, nd_value *rate);
/* From highest / 25 up to highest in the first 0.3 * total steps and down to highest / 250000 at total, each along half
 * a cosine: from + (to - from) * (0.5 - 0.5 * cos(pi * part)), part = s / (0.3 * total), then (min(s, total) - 0.3 *
 * total) / (0.7 * total). Smith and Topin 2018, "Super-convergence: very fast training of neural networks using large
 * learning rates". */
#define nd_rate_one_cycle(steps, highest, total) nd_rate_one_cycle_at(ND_HERE, steps, highest, total)
ND_API nd_value *nd_rate_one_cycle_at(nd_place place, nd_value *steps, double highest, int64_t total);

#ifdef __cplusplus
}
#endif
#endif
