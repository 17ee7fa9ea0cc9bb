/* Optimizers that scale each weight's step by the gradients it had; include/nadir/optimizer.h has the formulas. */
#include "compiler/nn/optimizer.h"

/* Remembers and gives keep * slot + (1 - keep) * x. */
static nd_value *follow(nd__optimizer *o, nd_value *w, const char *suffix, double keep, nd_value *x)
{
    nd_value *slot = nd__slot(o->place, w, suffix);
    nd_value *next = nd__running_mean(o->place, slot, keep, x);
    nd_assign_at(o->place, o->f, slot, next);
    return next;
}

static nd_value *square(nd__optimizer *o, nd_value *g)
{
    return nd_mul_at(o->place, g, g);
}

static nd_value *number(nd__optimizer *o, double value)
{
    return nd_const_at(o->place, o->m, value);
}

/* w - rate * (a / (sqrt(s) + epsilon)) */
static void move(nd__optimizer *o, nd_value *w, nd_value *rate, nd_value *a, nd_value *s)
{
    nd_value *root = nd_sqrt_at(o->place, s), *scale = nd_add_at(o->place, root, number(o, o->set.epsilon));
    nd_value *by = nd_mul_at(o->place, rate, nd_div_at(o->place, a, scale));
    nd_assign_at(o->place, o->f, w, nd_sub_at(o->place, w, by));
}

static void update_adagrad(nd__optimizer *o, nd_value *w, nd_value *g)
{
    nd_value *s = nd__slot(o->place, w, "squares"), *next = nd_add_at(o->place, s, square(o, g));
    nd_assign_at(o->place, o->f, s, next);
    move(o, w, o->rate, g, next);
}

static void update_rmsprop(nd__optimizer *o, nd_value *w, nd_value *g)
{
    move(o, w, o->rate, g, follow(o, w, "squares", o->set.beta2, square(o, g)));
}

static void update_rmsprop_centred(nd__optimizer *o, nd_value *w, nd_value *g)
{
    nd_place place = o->place;
    nd_value *s = follow(o, w, "squares", o->set.beta2, square(o, g)), *a = follow(o, w, "mean", o->set.beta2, g);
    nd_value *variance = nd_sub_at(place, s, square(o, a));
    variance = nd_add_at(place, variance, number(o, o->set.epsilon));
    nd_value *by = nd_mul_at(place, o->rate, nd_div_at(place, g, nd_sqrt_at(place, variance)));
    nd_value *v = nd__slot(place, w, "velocity");
    nd_value *next = nd_add_at(place, nd_mul_at(place, number(o, o->set.momentum), v), by);
    nd_assign_at(place, o->f, v, next);
    nd_assign_at(place, o->f, w, nd_sub_at(place, w, next));
}

/* -- Adam and its kin --------------------------------------------------------------------------------------------- */

/* t + later as f64, t counted from 1. */
static nd_value *time_of(nd__optimizer *o, int later)
{
    nd_value *steps = nd_cast_at(o->place, nd_steps_at(o->place, o->f), ND_F64);
    return nd_add_at(o->place, steps, number(o, 1 + later));
}

/* 1 / (1 - beta^t): undoes that a mean began at 0. */
static nd_value *correction(nd__optimizer *o, double beta)
{
    nd_value *one = nd_const_of_at(o->place, o->m, ND_F64, 1);
    nd_value *base = nd_const_of_at(o->place, o->m, ND_F64, beta);
    nd_value *power = nd_pow_at(o->place, base, time_of(o, 0));
    nd_value *c = nd_div_at(o->place, one, nd_sub_at(o->place, one, power));
    return nd__scalar_as(o->place, c, o->dtype);
}

static void prepare_adam(nd__optimizer *o)
{
    o->scalars[0] = nd_mul_at(o->place, o->rate, correction(o, o->set.beta1));
    o->scalars[1] = correction(o, o->set.beta2);
}

static void update_adam(nd__optimizer *o, nd_value *w, nd_value *g)
{
    nd_value *a = follow(o, w, "mean", o->set.beta1, g), *s = follow(o, w, "squares", o->set.beta2, square(o, g));
    move(o, w, o->scalars[0], a, nd_mul_at(o->place, s, o->scalars[1]));
}

static void prepare_nadam(nd__optimizer *o)
{
    o->scalars[1] = correction(o, o->set.beta2);
}

/* beta1 * (1 - 0.5 * 0.96^(t / 250)) as f64 */
static nd_value *momentum_at(nd__optimizer *o, int later)
{
    nd_place place = o->place;
    nd_value *time = time_of(o, later), *exponent = nd_div_at(place, time, number(o, 250));
    nd_value *power = nd_pow_at(place, nd_const_of_at(place, o->m, ND_F64, 0.96), exponent);
    nd_value *one = number(o, 1), *part = nd_sub_at(place, one, nd_mul_at(place, number(o, 0.5), power));
    return nd_mul_at(place, number(o, o->set.beta1), part);
}

/* p x + q y; p and q are scalars, of f64. */
static nd_value *weighted(const nd__optimizer *o, nd_value *p, nd_value *x, nd_value *q, nd_value *y)
{
    nd_value *px = nd_mul_at(o->place, nd__scalar_as(o->place, p, o->dtype), x);
    return nd_add_at(o->place, px, nd_mul_at(o->place, nd__scalar_as(o->place, q, o->dtype), y));
}

static void update_nadam(nd__optimizer *o, nd_value *w, nd_value *g)
{
    nd_place place = o->place;
    nd_value *one = nd_const_of_at(place, o->m, ND_F64, 1), *now = momentum_at(o, 0), *next = momentum_at(o, 1);
    nd_value *rest = nd_sub_at(place, one, now);
    nd_value *p = nd__scalar_slot(place, w, "momenta", 1), *product = nd_mul_at(place, p, now);
    nd_assign_at(place, o->f, p, product);
    nd_value *cg = nd_div_at(place, rest, nd_sub_at(place, one, product));
    nd_value *ca = nd_div_at(place, next, nd_sub_at(place, one, nd_mul_at(place, product, next)));

    nd_value *a = nd__slot(place, w, "mean"), *s = follow(o, w, "squares", o->set.beta2, square(o, g));
    nd_value *mean = weighted(o, now, a, rest, g);
    nd_assign_at(place, o->f, a, mean);
    nd_value *ahead = weighted(o, cg, g, ca, mean);
    move(o, w, o->rate, ahead, nd_mul_at(place, s, o->scalars[1]));
}

static void update_lion(nd__optimizer *o, nd_value *w, nd_value *g)
{
    nd_place place = o->place;
    nd_value *a = nd__slot(place, w, "mean"), *zero = number(o, 0);
    nd_value *c = nd__running_mean(place, a, o->set.beta1, g);
    /* What is neither above nor below 0 stays itself, so that a NaN is seen. */
    nd_value *below = nd_lt_at(place, c, zero), *sign = nd_select_at(place, below, number(o, -1), c);
    nd_value *above = nd_gt_at(place, c, zero);
    sign = nd_select_at(place, above, number(o, 1), sign);
    nd_assign_at(place, o->f, w, nd_sub_at(place, w, nd_mul_at(place, o->rate, sign)));
    nd_assign_at(place, o->f, a, nd__running_mean(place, a, o->set.beta2, g));
}

/* -- the calls ---------------------------------------------------------------------------------------------------- */

/* rule NAME: its prepare and update functions and defaults, and the two calls. */
#define RULE(NAME, PREPARE, UPDATE, ...)                                                                               \
    static const nd__optimizer_rule NAME = {.name = #NAME, PREPARE, UPDATE, {__VA_ARGS__}};                            \
    void nd_##NAME##_at(nd_place place, nd_function *f, nd_value *loss, size_t n, nd_value *const *variables,          \
                        nd_value *rate, const nd_optimizer_options *options)                                           \
    {                                                                                                                  \
        nd__optimizer o = nd__optimizer_of(&NAME, place, f, rate, options);                                            \
        nd__optimize(&o, loss, n, variables);                                                                          \
    }                                                                                                                  \
    void nd_##NAME##_apply_at(nd_place place, nd_function *f, size_t n, nd_value *const *variables,                    \
                              nd_value *const *gradients, nd_value *rate, const nd_optimizer_options *options)         \
    {                                                                                                                  \
        nd__optimizer o = nd__optimizer_of(&NAME, place, f, rate, options);                                            \
        nd__optimize_apply(&o, n, variables, gradients);                                                               \
    }

RULE(adagrad, NULL, update_adagrad, .epsilon = 1e-10)
RULE(rmsprop, NULL, update_rmsprop, .beta2 = 0.9, .epsilon = 1e-8)
RULE(rmsprop_centred, NULL, update_rmsprop_centred, .beta2 = 0.95, .momentum = 0.9, .epsilon = 1e-4)
RULE(adam, prepare_adam, update_adam, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8)
RULE(nadam, prepare_nadam, update_nadam, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8)
RULE(lion, NULL, update_lion, .beta1 = 0.9, .beta2 = 0.99)
#undef RULE

static void decay(nd_place place, nd_function *f, size_t n, nd_value *const *variables, nd_value *rate, nd_value *by)
{
    if (f && !by)
        nd__fail(f->module, ND_ERR_ARGUMENT, place, "adamw: the decay is NULL");
    else if (f && f->module->status == ND_OK)
        nd_decay_weights_at(place, f, n, variables, nd_mul_at(place, rate, by));
}

void nd_adamw_at(nd_place place, nd_function *f, nd_value *loss, size_t n, nd_value *const *variables, nd_value *rate,
                 nd_value *by, const nd_optimizer_options *options)
{
    nd_adam_at(place, f, loss, n, variables, rate, options);
    decay(place, f, n, variables, rate, by);
}

void nd_adamw_apply_at(nd_place place, nd_function *f, size_t n, nd_value *const *variables, nd_value *const *gradients,
                       nd_value *rate, nd_value *by, const nd_optimizer_options *options)
{
    nd_adam_apply_at(place, f, n, variables, gradients, rate, options);
    decay(place, f, n, variables, rate, by);
}
