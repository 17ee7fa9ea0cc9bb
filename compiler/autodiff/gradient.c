/* The public calls: what may be differentiated, by what, and the answer where nothing arrives. */
#include "compiler/autodiff/autodiff.h"

#include <string.h>

static nd_value *number_like(nd_place place, const nd_value *v, double number)
{
    return nd__filled(v->node->module, place, v->dtype, &v->shape, number);
}

/* Whether n values are given and are floats of the module; the values are settled. */
static bool targets_are_good(nd_place place, const char *what, nd_value *value, size_t n, nd_value *const *targets)
{
    nd_module *m = value->node->module;
    if (n > INT32_MAX || (n > 0 && !targets)) {
        nd__fail(m, ND_ERR_ARGUMENT, place, "%s of %s: the targets are missing", what, nd__show(m, value));
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        const nd_value *t = targets[i];
        if (!t) {
            nd__fail(m, ND_ERR_ARGUMENT, place, "%s of %s: target %zu is NULL", what, nd__show(m, value), i);
        } else if (t->node->module != m) {
            nd__fail(t->node->module, ND_ERR_GRAPH, place, "%s: the value belongs to another module, \"%s\"", what,
                     m->name);
            nd__fail(m, ND_ERR_GRAPH, place, "%s of %s: target %zu belongs to another module, \"%s\"", what,
                     nd__show(m, value), i, t->node->module->name);
        } else if (m->status == ND_OK && !nd_dtype_is_float(t->dtype)) {
            nd__fail(m, ND_ERR_GRAPH, place, "%s of %s: target %zu, %s, is %s; only floats have gradients", what,
                     nd__show(m, value), i, nd__show(m, t), nd__show_type(m, t->dtype, &t->shape));
            if (t->node->place[0])
                nd__note(m, "%s is the %s made at %s", nd__show(m, t), nd__ops[t->node->op].name, t->node->place);
        }
    }
    return m->status == ND_OK;
}

/* A float, and a cotangent of its type, which one element does not need. */
static bool value_is_good(nd_place place, const char *what, nd_value *value)
{
    nd_module *m = value->node->module;
    if (m->status == ND_OK && !nd_dtype_is_float(value->dtype))
        nd__fail(m, ND_ERR_GRAPH, place, "%s: %s is %s; only floats have gradients", what, nd__show(m, value),
                 nd__show_type(m, value->dtype, &value->shape));
    return m->status == ND_OK;
}

static nd_value *seed(nd_place place, nd_value *value, nd_value *cotangent)
{
    nd_module *m = value->node->module;
    const char *type = nd__show_type(m, value->dtype, &value->shape);
    if (cotangent) {
        cotangent = nd__strengthen(place, cotangent, value->dtype);
        if (m->status == ND_OK &&
            (cotangent->dtype != value->dtype || !nd__shape_equal(&cotangent->shape, &value->shape)))
            return nd__fail(m, ND_ERR_GRAPH, place, "gradient: the cotangent is %s, expected %s as %s",
                            nd__show_type(m, cotangent->dtype, &cotangent->shape), type, nd__show(m, value));
        return cotangent;
    }
    if (nd__size_product(m, value->shape.rank, value->shape.dims) != 1)
        return nd__fail(
            m, ND_ERR_GRAPH, place,
            "gradient: %s is %s, which is more than one number; give a cotangent (nd_vjp), or differentiate its sum",
            nd__show(m, value), type);
    return number_like(place, value, 1);
}

static void fill(nd_value **out, size_t n, nd_value *with)
{
    for (size_t i = 0; out && i < n; i++)
        out[i] = with;
}

/* The gradients of `from` (count many, as far as they have cotangents): out[i] is NULL where nothing arrives. */
static bool pull(nd_module *m, int count, nd_value *const *from, nd_value *const *cotangents, size_t n,
                 nd_value *const *targets, nd_value **out)
{
    nd__arena scratch = {0};
    nd__pullback job = {.from_count = count,
                        .to_count = (int)n,
                        .from = from,
                        .cotangents = cotangents,
                        .to = targets,
                        .gradients = out,
                        .scratch = &scratch};
    bool good = nd__pull_back(m, &job);
    nd__arena_release(&scratch);
    return good;
}

void nd_gradients_at(nd_place place, nd_value *value, nd_value *cotangent, size_t n, nd_value *const *targets,
                     nd_value **out)
{
    nd_value *both[] = {value, cotangent};
    bool poisoned = false;
    nd_module *m = value ? nd__common_module(place, "gradient", cotangent ? 2 : 1, both, &poisoned) : NULL;
    for (size_t i = 0; !value && i <= n; i++) { /* the error belongs to any module that is there */
        nd_value *v = i < n && targets ? targets[i] : i == n ? cotangent : NULL;
        if (!m && v)
            nd__fail(m = v->node->module, ND_ERR_ARGUMENT, place, "gradient: the value is NULL");
    }
    if (m && targets && out && n > 0) { /* out may be the targets' own array */
        nd_value **kept = nd__arena_alloc(&m->arena, n, sizeof *kept);
        if (kept)
            memcpy(kept, targets, n * sizeof *kept);
        else
            nd__fail_memory(m);
        targets = kept;
    }
    fill(out, n, m ? &m->poison : NULL);
    if (m && !out && n > 0)
        nd__fail(m, ND_ERR_ARGUMENT, place, "gradient: nowhere to put %zu gradients", n);
    if (!m || poisoned || m->status != ND_OK)
        return;
    value = nd__settle(place, value);
    if (!value_is_good(place, "gradient", value) || !targets_are_good(place, "gradient", value, n, targets))
        return;
    nd_value *start = seed(place, value, cotangent);
    if (n == 0 || m->status != ND_OK || !nd__check_path(place, value, n, targets))
        return;
    if (!pull(m, 1, &value, &start, n, targets, out)) {
        fill(out, n, &m->poison);
        return;
    }
    for (size_t i = 0; i < n; i++)
        if (!out[i])
            out[i] = number_like(place, targets[i], 0);
    if (m->status != ND_OK)
        fill(out, n, &m->poison);
}

nd_value *nd_gradient_at(nd_place place, nd_value *value, nd_value *target)
{
    nd_value *gradient = NULL;
    nd_gradients_at(place, value, NULL, 1, &target, &gradient);
    return gradient;
}

/* Forward mode by reverse twice: g(u) = J'u is linear in u, so that its own pull-back from the tangents is J t,
 * whatever u is. */
nd_value *nd_jvp_at(nd_place place, nd_value *value, size_t n, nd_value *const *targets, nd_value *const *tangents)
{
    if (!value)
        return n > 0 && targets && targets[0]
                   ? nd__fail(targets[0]->node->module, ND_ERR_ARGUMENT, place, "jvp: the value is NULL")
                   : NULL;
    nd_module *m = value->node->module;
    value = nd__settle(place, value);
    if (m->status != ND_OK || !value_is_good(place, "jvp", value) || !targets_are_good(place, "jvp", value, n, targets))
        return &m->poison;
    if (n > 0 && !tangents)
        return nd__fail(m, ND_ERR_ARGUMENT, place, "jvp of %s: the tangents are missing", nd__show(m, value));
    nd__arena scratch = {0};
    nd_value **back = nd__arena_alloc(&scratch, n, sizeof *back), **along = nd__arena_alloc(&scratch, n, sizeof *along);
    nd_value *u = number_like(place, value, 0), *result = NULL;
    size_t used = 0;
    if (!back || !along)
        nd__fail_memory(m);
    for (size_t i = 0; i < n && m->status == ND_OK; i++) {
        bool poisoned;
        nd__common_module(place, "jvp", 2, (nd_value *[]){value, tangents[i]}, &poisoned);
        along[i] = poisoned ? NULL : nd__strengthen(place, tangents[i], targets[i]->dtype);
        if (m->status == ND_OK &&
            (along[i]->dtype != targets[i]->dtype || !nd__shape_equal(&along[i]->shape, &targets[i]->shape)))
            nd__fail(m, ND_ERR_GRAPH, place, "jvp of %s: tangent %zu is %s, its target %s is %s", nd__show(m, value), i,
                     nd__show_type(m, along[i]->dtype, &along[i]->shape), nd__show(m, targets[i]),
                     nd__show_type(m, targets[i]->dtype, &targets[i]->shape));
    }
    if (m->status == ND_OK && nd__check_path(place, value, n, targets) && pull(m, 1, &value, &u, n, targets, back)) {
        for (size_t i = 0; i < n; i++)
            if (back[i]) {
                back[used] = back[i];
                along[used++] = along[i];
            }
        if (used > 0)
            pull(m, (int)used, back, along, 1, &u, &result);
    }
    nd__arena_release(&scratch);
    if (m->status == ND_OK && !result)
        result = number_like(place, value, 0);
    return m->status == ND_OK ? result : &m->poison;
}
