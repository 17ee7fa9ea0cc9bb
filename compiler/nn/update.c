/* What follows a rule: changes of what a function assigns, averages of it, assignments of every k-th run only.
 * include/nadir/optimizer.h has the formulas. */
#include "compiler/nn/optimizer.h"

#include <string.h>

/* What f assigns to w so far; NULL after an error. */
static nd__update *assigned(nd_place place, const char *what, nd_function *f, const nd_value *w)
{
    nd__update *u = nd__update_of(f, w);
    if (!u)
        nd__fail(f->module, ND_ERR_GRAPH, place,
                 "%s: the function \"%s\" assigns nothing to %s yet; call this after the optimizer", what, f->name,
                 nd__show(f->module, w));
    return u;
}

static bool given(nd_place place, const char *what, nd_function *f, size_t n, nd_value *const *variables,
                  const nd_value *scalar)
{
    if (!nd__optimizer_given(place, what, f, n, variables, NULL, NULL))
        return false;
    if (!scalar)
        nd__fail(f->module, ND_ERR_ARGUMENT, place, "%s: the scalar is NULL", what);
    return f->module->status == ND_OK;
}

void nd_decay_weights_at(nd_place place, nd_function *f, size_t n, nd_value *const *variables, nd_value *amount)
{
    if (!given(place, "decay_weights", f, n, variables, amount))
        return;
    for (size_t i = 0; i < n; i++) {
        nd_value *w = variables[i], *by = nd__scalar_as(place, amount, w->dtype);
        nd__update *u = assigned(place, "decay_weights", f, w);
        if (!u)
            return;
        nd_value *next = nd_sub_at(place, u->value, nd_mul_at(place, by, w));
        if (!nd_value_is_poison(next))
            u->value = next;
    }
}

/* The variable "NAME/average", at first what w is. */
static nd_value *average_of(nd_place place, const nd_value *w)
{
    nd_module *m = w->node->module;
    int before = m->variable_count;
    nd_value *a = nd__slot(place, w, "average");
    if (m->variable_count > before)
        m->variables[before]->initial = nd__get(w->node, ND__A_variable)->variable->initial;
    return a;
}

void nd_average_weights_at(nd_place place, nd_function *f, size_t n, nd_value *const *variables, nd_value *decay,
                           nd_value **averages)
{
    bool good = given(place, "average_weights", f, n, variables, decay);
    for (size_t i = 0; i < n && averages && !good; i++)
        averages[i] = f ? &f->module->poison : NULL;
    for (size_t i = 0; i < n && good; i++) {
        nd_value *w = variables[i], *keep = nd__scalar_as(place, decay, w->dtype);
        nd_value *a = average_of(place, w);
        const nd__update *u = assigned(place, "average_weights", f, w);
        if (averages)
            averages[i] = u ? a : &f->module->poison;
        if (!u)
            continue;
        nd_value *rest = nd_sub_at(place, nd_const_at(place, f->module, 1), keep);
        nd_value *old = nd_mul_at(place, keep, a);
        nd_assign_at(place, f, a, nd_add_at(place, old, nd_mul_at(place, rest, u->value)));
    }
}

/* -- gradients of several runs ------------------------------------------------------------------------------------ */

static const char gathered[] = "gathered";

nd_value *nd_accumulate_at(nd_place place, nd_function *f, size_t n, nd_value *const *variables,
                           nd_value *const *gradients, int64_t every, nd_value **out)
{
    bool good = nd__optimizer_given(place, "accumulate", f, n, variables, "gradient", gradients);
    if (good && every < 1)
        nd__fail(f->module, ND_ERR_ARGUMENT, place, "accumulate: every %lld runs, expected 1 or more",
                 (long long)every);
    nd_module *m = f ? f->module : NULL;
    if (good && n > 0 && !out)
        nd__fail(m, ND_ERR_ARGUMENT, place, "accumulate: nowhere to put %zu gradients", n);
    if (!good || m->status != ND_OK) {
        for (size_t i = 0; i < n && out; i++)
            out[i] = m ? &m->poison : NULL;
        return m ? &m->poison : NULL;
    }
    nd_value *count = nd__counter(place, f, gathered), *zero = nd_const_at(place, m, 0);
    nd_value *due = nd_eq_at(place, count, nd_const_at(place, m, (double)every - 1));
    for (size_t i = 0; i < n; i++) {
        nd_value *slot = nd__slot(place, variables[i], gathered), *sum = nd_add_at(place, slot, gradients[i]);
        nd_assign_at(place, f, slot, nd_select_at(place, due, zero, sum));
        out[i] = nd_div_at(place, sum, nd_const_at(place, m, (double)every));
    }
    /* The last of these assignments: nd_accumulate_end finds by it where the conditional ones begin. */
    nd_assign_at(place, f, count, nd_select_at(place, due, zero, nd_add_at(place, count, nd_const_at(place, m, 1))));
    return due;
}

/* What f assigns to its counter of that name; NULL: nothing. */
static const nd__update *counting(const nd_function *f, const char *suffix)
{
    size_t length = strlen(f->name);
    for (int i = 0; i < f->update_count; i++) {
        const char *name = f->updates[i].variable->name;
        if (strncmp(name, f->name, length) == 0 && name[length] == '/' && strcmp(name + length + 1, suffix) == 0)
            return &f->updates[i];
    }
    return NULL;
}

void nd_accumulate_end_at(nd_place place, nd_function *f, nd_value *due)
{
    nd_module *m = f ? f->module : nd_value_module(due);
    if (!f || !due)
        nd__fail(m, ND_ERR_ARGUMENT, place, "accumulate_end: the %s is NULL", f ? "value" : "function");
    if (!m || m->status != ND_OK)
        return;
    const nd__update *last = counting(f, gathered), *steps = counting(f, "steps");
    if (!last) {
        nd__fail(m, ND_ERR_GRAPH, place, "accumulate_end: the function \"%s\" accumulates nothing", f->name);
        return;
    }
    for (nd__update *u = f->updates; u < f->updates + f->update_count; u++)
        if (u > last || u == steps) {
            nd_value *next = nd_select_at(place, due, u->value, u->variable->read);
            if (!nd_value_is_poison(next))
                u->value = next;
        }
}
