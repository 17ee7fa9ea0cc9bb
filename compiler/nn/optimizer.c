/* Optimizers: what a function assigns to variables; include/nadir/nn.h has the formulas. */
#include "compiler/graph/graph.h"
#include "nadir/nn.h"

#include <string.h>

/* The gradients of the loss, in memory of the module; NULL after an error. */
static nd_value **gradients_of(nd_place place, nd_function *f, nd_value *loss, size_t n, nd_value *const *variables)
{
    nd_module *m = f ? f->module : nd_value_module(loss);
    if (!f || !loss) {
        nd__fail(m, ND_ERR_ARGUMENT, place, "sgd: the %s is NULL", f ? "loss" : "function");
        return NULL;
    }
    if (m->status != ND_OK)
        return NULL;
    nd_value **gradients = nd__arena_alloc(&m->arena, n, sizeof *gradients);
    if (!gradients) {
        nd__fail_memory(m);
        return NULL;
    }
    nd_gradients_at(place, loss, NULL, n, variables, gradients);
    return m->status == ND_OK ? gradients : NULL;
}

/* Whether there are n variables of the module, n gradients, and the scalars. */
static bool given(nd_place place, nd_function *f, size_t n, nd_value *const *variables, nd_value *const *gradients,
                  const nd_value *rate, const nd_value *momentum)
{
    nd_module *m = f ? f->module : n > 0 && variables ? nd_value_module(variables[0]) : NULL;
    if (!f || (n > 0 && (!variables || !gradients)))
        nd__fail(m, ND_ERR_ARGUMENT, place, "sgd: the %s NULL",
                 !f          ? "function is"
                 : variables ? "gradients are"
                             : "variables are");
    else if (!rate || !momentum)
        nd__fail(m, ND_ERR_ARGUMENT, place, "sgd: the %s is NULL", rate ? "momentum" : "rate");
    for (size_t i = 0; m && i < n && m->status == ND_OK; i++) {
        const nd_value *w = variables[i];
        if (!w || !gradients[i])
            nd__fail(m, ND_ERR_ARGUMENT, place, "sgd: %s %zu is NULL", w ? "gradient" : "variable", i);
        else if (w->node->module != m)
            nd__fail(m, ND_ERR_GRAPH, place, "sgd: variable %zu, %s, belongs to another module, \"%s\"", i,
                     nd__show(m, w), w->node->module->name);
        else if (w->node->op != ND__OP_variable)
            nd__fail(m, ND_ERR_GRAPH, place, "sgd: value %zu, %s, was made by %s, it is no variable", i, nd__show(m, w),
                     nd__ops[w->node->op].name);
    }
    return m && m->status == ND_OK;
}

static nd_value *moved(nd_place place, nd_value *w, nd_value *rate, nd_value *by)
{
    return nd_sub_at(place, w, nd_mul_at(place, rate, by));
}

void nd_sgd_apply_at(nd_place place, nd_function *f, size_t n, nd_value *const *variables, nd_value *const *gradients,
                     nd_value *rate)
{
    if (!given(place, f, n, variables, gradients, rate, rate))
        return;
    for (size_t i = 0; i < n; i++)
        nd_assign_at(place, f, variables[i], moved(place, variables[i], rate, gradients[i]));
}

void nd_sgd_at(nd_place place, nd_function *f, nd_value *loss, size_t n, nd_value *const *variables, nd_value *rate)
{
    nd_value **gradients = gradients_of(place, f, loss, n, variables);
    if (gradients)
        nd_sgd_apply_at(place, f, n, variables, gradients, rate);
}

/* The variable "NAME/velocity", which another function may share. */
static nd_value *velocity_of(nd_place place, const nd_value *w)
{
    nd_module *m = w->node->module;
    const char *name = nd__arena_format(&m->arena, "%s/velocity", nd__get(w->node, ND__A_variable)->variable->name);
    if (!name)
        return nd__fail_memory(m);
    for (int i = 0; i < m->variable_count; i++) {
        const nd__variable *v = m->variables[i];
        if (strcmp(v->name, name) == 0 && v->dtype == w->dtype && nd__shape_equal(&v->shape, &w->shape))
            return v->read;
    }
    return nd_variable_at(place, m, name, w->dtype, w->shape, nd_zeros());
}

void nd_sgd_momentum_apply_at(nd_place place, nd_function *f, size_t n, nd_value *const *variables,
                              nd_value *const *gradients, nd_value *rate, nd_value *momentum)
{
    if (!given(place, f, n, variables, gradients, rate, momentum))
        return;
    for (size_t i = 0; i < n; i++) {
        nd_value *v = velocity_of(place, variables[i]);
        nd_value *next = nd_add_at(place, nd_mul_at(place, momentum, v), gradients[i]);
        nd_assign_at(place, f, v, next);
        nd_assign_at(place, f, variables[i], moved(place, variables[i], rate, next));
    }
}

void nd_sgd_momentum_at(nd_place place, nd_function *f, nd_value *loss, size_t n, nd_value *const *variables,
                        nd_value *rate, nd_value *momentum)
{
    nd_value **gradients = gradients_of(place, f, loss, n, variables);
    if (gradients)
        nd_sgd_momentum_apply_at(place, f, n, variables, gradients, rate, momentum);
}
