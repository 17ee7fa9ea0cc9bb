/* Optimizers: how a rule runs over the variables, and the rules of plain gradient descent. include/nadir/optimizer.h
 * has the formulas. */
#include "compiler/nn/optimizer.h"

#include <string.h>

/* -- what is given ------------------------------------------------------------------------------------------------ */

bool nd__optimizer_given(nd_place place, const char *what, nd_function *f, size_t n, nd_value *const *variables,
                         const char *others_name, nd_value *const *others)
{
    nd_module *m = f ? f->module : n > 0 && variables ? nd_value_module(variables[0]) : NULL;
    if (!f)
        nd__fail(m, ND_ERR_ARGUMENT, place, "%s: the function is NULL", what);
    else if (n > 0 && (!variables || (others_name && !others)))
        nd__fail(m, ND_ERR_ARGUMENT, place, "%s: the %ss are NULL", what, variables ? others_name : "variable");
    for (size_t i = 0; m && i < n && m->status == ND_OK; i++) {
        const nd_value *w = variables[i];
        if (!w || (others && !others[i]))
            nd__fail(m, ND_ERR_ARGUMENT, place, "%s: %s %zu is NULL", what, w ? others_name : "variable", i);
        else if (w->node->module != m)
            nd__fail(m, ND_ERR_GRAPH, place, "%s: variable %zu, %s, belongs to another module, \"%s\"", what, i,
                     nd__show(m, w), w->node->module->name);
        else if (w->node->op != ND__OP_variable)
            nd__fail(m, ND_ERR_GRAPH, place, "%s: value %zu, %s, was made by %s, it is no variable", what, i,
                     nd__show(m, w), nd__ops[w->node->op].name);
    }
    return m && m->status == ND_OK;
}

/* -- what is remembered ------------------------------------------------------------------------------------------- */

nd_value *nd__variable_once(nd_place place, nd_module *m, const char *name, nd_dtype dtype, nd_shape shape,
                            nd_init init)
{
    if (!name)
        return nd__fail_memory(m);
    for (int i = 0; i < m->variable_count; i++) {
        const nd__variable *v = m->variables[i];
        if (strcmp(v->name, name) == 0 && v->dtype == dtype && nd__shape_equal(&v->shape, &shape))
            return v->read;
    }
    return nd_variable_at(place, m, name, dtype, shape, init);
}

static const char *slot_name(const nd_value *w, const char *suffix)
{
    const nd__variable *v = nd__get(w->node, ND__A_variable)->variable;
    return nd__arena_format(&w->node->module->arena, "%s/%s", v->name, suffix);
}

nd_value *nd__slot(nd_place place, const nd_value *w, const char *suffix)
{
    return nd__variable_once(place, w->node->module, slot_name(w, suffix), w->dtype, w->shape, nd_zeros());
}

nd_value *nd__scalar_slot(nd_place place, const nd_value *w, const char *suffix, double first)
{
    return nd__variable_once(place, w->node->module, slot_name(w, suffix), ND_F64, ND_SCALAR, nd_full(first));
}

nd_value *nd__counter(nd_place place, nd_function *f, const char *suffix)
{
    nd_module *m = f->module;
    const char *name = nd__arena_format(&m->arena, "%s/%s", f->name, suffix);
    return nd__variable_once(place, m, name, ND_I64, ND_SCALAR, nd_zeros());
}

nd__update *nd__update_of(nd_function *f, const nd_value *variable)
{
    const nd__variable *v = nd__get(variable->node, ND__A_variable)->variable;
    for (int i = 0; i < f->update_count; i++)
        if (f->updates[i].variable == v)
            return &f->updates[i];
    return NULL;
}

nd_value *nd_steps_at(nd_place place, nd_function *f)
{
    if (!f || f->module->status != ND_OK)
        return f ? &f->module->poison : NULL;
    nd_value *steps = nd__counter(place, f, "steps");
    if (!nd_value_is_poison(steps) && !nd__update_of(f, steps))
        nd_assign_at(place, f, steps, nd_add_at(place, steps, nd_const_at(place, f->module, 1)));
    return steps;
}

/* -- running a rule ----------------------------------------------------------------------------------------------- */

static double setting(double given, double otherwise)
{
    return given < 0 ? 0 : given > 0 ? given : otherwise;
}

nd__optimizer nd__optimizer_of(const nd__optimizer_rule *rule, nd_place place, nd_function *f, nd_value *rate,
                               const nd_optimizer_options *options)
{
    const nd_optimizer_options none = {0}, *given = options ? options : &none, *d = &rule->defaults;
    return (nd__optimizer){.rule = rule,
                           .place = place,
                           .f = f,
                           .given_rate = rate,
                           .set = {.beta1 = setting(given->beta1, d->beta1),
                                   .beta2 = setting(given->beta2, d->beta2),
                                   .momentum = setting(given->momentum, d->momentum),
                                   .epsilon = setting(given->epsilon, d->epsilon)},
                           .dtype = ND_DTYPES};
}

nd_value *nd__scalar_as(nd_place place, nd_value *scalar, nd_dtype dtype)
{
    bool other = scalar && !scalar->weak && scalar->dtype != dtype && nd_dtype_is_float(scalar->dtype);
    return other && nd_dtype_is_float(dtype) ? nd_cast_at(place, scalar, dtype) : scalar;
}

/* The scalars for variables of w's dtype. */
static void prepare(nd__optimizer *o, const nd_value *w)
{
    if (o->dtype == w->dtype)
        return;
    o->dtype = w->dtype;
    o->rate = nd__scalar_as(o->place, o->given_rate, w->dtype);
    o->momentum = o->given_momentum ? nd__scalar_as(o->place, o->given_momentum, w->dtype) : NULL;
    if (o->rule->prepare)
        o->rule->prepare(o);
}

/* A float of one element, or a weak constant. */
static void check_scalar(const nd__optimizer *o, nd_module *m, const char *what, const nd_value *scalar)
{
    bool good = nd_dtype_is_float(scalar->dtype);
    for (int d = 0; d < scalar->shape.rank; d++)
        good = good && scalar->shape.dims[d] == 1;
    if (!good && m->status == ND_OK)
        nd__fail(m, ND_ERR_GRAPH, o->place, "%s: the %s %s is %s, expected a float of one element", o->rule->name, what,
                 nd__show(m, scalar), nd__show_type(m, scalar->dtype, &scalar->shape));
}

/* Whether there is something to update, and a rate. */
static bool is_ready(const nd__optimizer *o, nd_module *m, size_t n)
{
    if (n == 0)
        nd__fail(m, ND_ERR_ARGUMENT, o->place,
                 "%s: there are no variables; a layer has its weights from its first call on", o->rule->name);
    else if (!o->given_rate)
        nd__fail(m, ND_ERR_ARGUMENT, o->place, "%s: the rate is NULL", o->rule->name);
    else
        check_scalar(o, m, "rate", o->given_rate);
    if (o->given_momentum)
        check_scalar(o, m, "momentum", o->given_momentum);
    return m->status == ND_OK;
}

void nd__optimize_apply(nd__optimizer *o, size_t n, nd_value *const *variables, nd_value *const *gradients)
{
    if (!nd__optimizer_given(o->place, o->rule->name, o->f, n, variables, "gradient", gradients) ||
        !is_ready(o, o->f->module, n))
        return;
    o->m = o->f->module;
    for (size_t i = 0; i < n && o->m->status == ND_OK; i++) {
        prepare(o, variables[i]);
        o->rule->update(o, variables[i], gradients[i]);
    }
}

void nd__optimize(nd__optimizer *o, nd_value *loss, size_t n, nd_value *const *variables)
{
    nd_module *m = o->f ? o->f->module : nd_value_module(loss);
    if (!o->f || !loss)
        nd__fail(m, ND_ERR_ARGUMENT, o->place, "%s: the %s is NULL", o->rule->name, o->f ? "loss" : "function");
    if (!m || m->status != ND_OK || !nd__optimizer_given(o->place, o->rule->name, o->f, n, variables, NULL, NULL))
        return;
    nd_value **gradients = nd__arena_alloc(&m->arena, n, sizeof *gradients);
    if (!gradients) {
        nd__fail_memory(m);
        return;
    }
    nd_gradients_at(o->place, loss, NULL, n, variables, gradients);
    nd__optimize_apply(o, n, variables, gradients);
}

nd_value *nd__running_mean(nd_place place, nd_value *mean, double keep, nd_value *x)
{
    nd_module *m = mean->node->module;
    nd_value *old = nd_mul_at(place, nd_const_at(place, m, keep), mean);
    return nd_add_at(place, old, nd_mul_at(place, nd_const_at(place, m, 1 - keep), x));
}

/* -- gradient descent --------------------------------------------------------------------------------------------- */

static void move(nd__optimizer *o, nd_value *w, nd_value *by)
{
    nd_assign_at(o->place, o->f, w, nd_sub_at(o->place, w, nd_mul_at(o->place, o->rate, by)));
}

/* Remembers and gives momentum * v + g. */
static nd_value *accelerate(nd__optimizer *o, nd_value *w, nd_value *g)
{
    nd_value *v = nd__slot(o->place, w, "velocity");
    nd_value *next = nd_add_at(o->place, nd_mul_at(o->place, o->momentum, v), g);
    nd_assign_at(o->place, o->f, v, next);
    return next;
}

static void update_momentum(nd__optimizer *o, nd_value *w, nd_value *g)
{
    move(o, w, accelerate(o, w, g));
}

static void update_nesterov(nd__optimizer *o, nd_value *w, nd_value *g)
{
    nd_value *v = accelerate(o, w, g);
    move(o, w, nd_add_at(o->place, g, nd_mul_at(o->place, o->momentum, v)));
}

static const nd__optimizer_rule sgd = {.name = "sgd", .update = move};
static const nd__optimizer_rule sgd_momentum = {.name = "sgd_momentum", .update = update_momentum};
static const nd__optimizer_rule sgd_nesterov = {.name = "sgd_nesterov", .update = update_nesterov};

/* A rule with a momentum, which may not be NULL. */
static nd__optimizer with_momentum(const nd__optimizer_rule *rule, nd_place place, nd_function *f, nd_value *rate,
                                   nd_value *momentum)
{
    nd__optimizer o = nd__optimizer_of(rule, place, f, rate, NULL);
    o.given_momentum = momentum;
    if (f && !momentum)
        nd__fail(f->module, ND_ERR_ARGUMENT, place, "%s: the momentum is NULL", rule->name);
    return o;
}

void nd_sgd_at(nd_place place, nd_function *f, nd_value *loss, size_t n, nd_value *const *variables, nd_value *rate)
{
    nd__optimizer o = nd__optimizer_of(&sgd, place, f, rate, NULL);
    nd__optimize(&o, loss, n, variables);
}

void nd_sgd_apply_at(nd_place place, nd_function *f, size_t n, nd_value *const *variables, nd_value *const *gradients,
                     nd_value *rate)
{
    nd__optimizer o = nd__optimizer_of(&sgd, place, f, rate, NULL);
    nd__optimize_apply(&o, n, variables, gradients);
}

void nd_sgd_momentum_at(nd_place place, nd_function *f, nd_value *loss, size_t n, nd_value *const *variables,
                        nd_value *rate, nd_value *momentum)
{
    nd__optimizer o = with_momentum(&sgd_momentum, place, f, rate, momentum);
    nd__optimize(&o, loss, n, variables);
}

void nd_sgd_momentum_apply_at(nd_place place, nd_function *f, size_t n, nd_value *const *variables,
                              nd_value *const *gradients, nd_value *rate, nd_value *momentum)
{
    nd__optimizer o = with_momentum(&sgd_momentum, place, f, rate, momentum);
    nd__optimize_apply(&o, n, variables, gradients);
}

void nd_sgd_nesterov_at(nd_place place, nd_function *f, nd_value *loss, size_t n, nd_value *const *variables,
                        nd_value *rate, nd_value *momentum)
{
    nd__optimizer o = with_momentum(&sgd_nesterov, place, f, rate, momentum);
    nd__optimize(&o, loss, n, variables);
}

void nd_sgd_nesterov_apply_at(nd_place place, nd_function *f, size_t n, nd_value *const *variables,
                              nd_value *const *gradients, nd_value *rate, nd_value *momentum)
{
    nd__optimizer o = with_momentum(&sgd_nesterov, place, f, rate, momentum);
    nd__optimize_apply(&o, n, variables, gradients);
}
