#include "grad_check.h"

#include "compiler/interp/interp.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_INPUTS = 6 };

void grad_fill(double *to, int count, double low, double high, unsigned seed)
{
    uint64_t state = seed * 2654435761u + 12345;
    for (int i = 0; i < count; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        to[i] = low + (high - low) * (double)(state >> 11) * 0x1p-53;
    }
}

int grad_count(const nd_value *v)
{
    return (int)nd__elements(&v->shape);
}

void grad_run(nd_function *f, const void *const *in, void *const *out, void *const *state)
{
    ck_assert_msg(nd_module_status(f->module) == ND_OK, "%s", nd_module_error(f->module));
    const char *wrong = nd__verify(f->module);
    ck_assert_msg(!wrong, "%s", wrong ? wrong : "");
    ck_assert_int_eq(nd__interpret(f, in, out, state, NULL), ND_OK);
}

typedef struct setup {
    nd_module *m;
    int n, sizes[MOST_INPUTS], y_size;
    double *x[MOST_INPUTS], *tangents[MOST_INPUTS], *cotangent, *y;
    double *g[MOST_INPUTS], *gg[MOST_INPUTS], *jvp, mixed;
    nd_function *value, *first, *all;
    void *state[MOST_INPUTS];
    const void *in[2 * MOST_INPUTS + 1];
} setup;

static double *room(int n)
{
    double *p = calloc((size_t)n + 1, sizeof *p);
    ck_assert_ptr_nonnull(p);
    return p;
}

/* <y, cotangent> and, with second derivatives, the combination of the gradients, at the point as it is. */
static double dot_of_value(setup *s)
{
    double sum = 0;
    grad_run(s->value, s->in, (void *[]){s->y}, s->state);
    for (int i = 0; i < s->y_size; i++)
        sum += s->y[i] * s->cotangent[i];
    return sum;
}

static double mixed_of_value(setup *s)
{
    grad_run(s->first, s->in, (void *[]){&s->mixed}, s->state);
    return s->mixed;
}

/* The step balances truncation, h^2 f''' / 6, against rounding, eps f / h, for numbers near 1: both are near 1e-10.
 * What is asked of the analytic result is 1e-6, relative to the larger of it and 1, which a wrong rule misses by far.
 */
static const double step = 1e-5, tolerance = 1e-6;

static void compare(const char *what, const char *which, int i, int k, double have, double want)
{
    double scale = fabs(want) > 1 ? fabs(want) : 1;
    ck_assert_msg(fabs(have - want) <= tolerance * scale, "%s: %s of x%d[%d] is %.9g, finite differences say %.9g",
                  what, which, i, k, have, want);
}

static void compare_all(const char *what, const char *which, setup *s, double (*f)(setup *), double *const *analytic)
{
    for (int i = 0; i < s->n; i++)
        for (int k = 0; k < s->sizes[i]; k++) {
            double at = s->x[i][k];
            s->x[i][k] = at + step;
            double high = f(s);
            s->x[i][k] = at - step;
            double low = f(s);
            s->x[i][k] = at;
            compare(what, which, i, k, analytic[i][k], (high - low) / (2 * step));
        }
}

static void compare_jvp(const char *what, setup *s)
{
    double *high = room(s->y_size), *low = room(s->y_size);
    for (int sign = 1; sign >= -1; sign -= 2) {
        for (int i = 0; i < s->n; i++)
            for (int k = 0; k < s->sizes[i]; k++)
                s->x[i][k] += sign * step * s->tangents[i][k];
        grad_run(s->value, s->in, (void *[]){sign > 0 ? high : low}, s->state);
        for (int i = 0; i < s->n; i++)
            for (int k = 0; k < s->sizes[i]; k++)
                s->x[i][k] -= sign * step * s->tangents[i][k];
    }
    double along = 0, across = 0;
    for (int k = 0; k < s->y_size; k++) {
        compare(what, "the product with the Jacobian", -1, k, s->jvp[k], (high[k] - low[k]) / (2 * step));
        along += s->jvp[k] * s->cotangent[k];
    }
    for (int i = 0; i < s->n; i++)
        for (int k = 0; k < s->sizes[i]; k++)
            across += s->g[i][k] * s->tangents[i][k];
    /* Both are the same sum of products in another order. */
    ck_assert_msg(fabs(along - across) <= 1e-9 * (1 + fabs(along)), "%s: jvp and vjp differ, %.12g and %.12g", what,
                  along, across);
    free(high);
    free(low);
}

void grad_check(const char *what, nd_module *m, int n, nd_value **x, nd_value *y, double *const *values,
                bool first_only)
{
    setup s = {.m = m, .n = n};
    ck_assert_msg(nd_module_status(m) == ND_OK, "%s: %s", what, nd_module_error(m));
    s.y_size = grad_count(y);
    s.y = room(s.y_size);
    s.jvp = room(s.y_size);
    s.cotangent = room(s.y_size);
    grad_fill(s.cotangent, s.y_size, -1, 1, 77);
    nd_value *cotangent = nd_input(m, "cotangent", ND_F64, y->shape);
    nd_value *tangents[MOST_INPUTS], *g[MOST_INPUTS], *gg[MOST_INPUTS], *mixed = NULL;
    nd_value *inputs[2 * MOST_INPUTS + 1], *outputs[2 * MOST_INPUTS + 2];
    size_t in = 0, value_in, out = 0;
    void *results[2 * MOST_INPUTS + 2];
    for (int i = 0; i < n; i++) {
        char name[24];
        snprintf(name, sizeof name, "tangent%d", i);
        s.sizes[i] = grad_count(x[i]);
        s.x[i] = room(s.sizes[i]);
        memcpy(s.x[i], values[i], (size_t)s.sizes[i] * sizeof(double));
        s.tangents[i] = room(s.sizes[i]);
        grad_fill(s.tangents[i], s.sizes[i], -1, 1, 5 + (unsigned)i);
        s.g[i] = room(s.sizes[i]);
        s.gg[i] = room(s.sizes[i]);
        tangents[i] = nd_input(m, name, ND_F64, x[i]->shape);
        if (x[i]->node->op == ND__OP_variable) {
            s.state[nd__get(x[i]->node, ND__A_variable)->variable->number] = s.x[i];
        } else {
            inputs[in] = x[i];
            s.in[in++] = s.x[i];
        }
    }
    value_in = in;
    inputs[in] = cotangent;
    s.in[in++] = s.cotangent;
    for (int i = 0; i < n; i++) {
        inputs[in] = tangents[i];
        s.in[in++] = s.tangents[i];
    }
    nd_vjp(y, cotangent, (size_t)n, x, g);
    for (int i = 0; i < n; i++) {
        nd_value *part = nd_sum(nd_mul(g[i], tangents[i]), ND_ALL_AXES, false);
        mixed = i ? nd_add(mixed, part) : part;
        outputs[out] = g[i];
        results[out++] = s.g[i];
    }
    outputs[out] = nd_jvp(y, (size_t)n, x, tangents);
    results[out++] = s.jvp;
    if (!first_only) {
        nd_gradients(mixed, (size_t)n, x, gg);
        for (int i = 0; i < n; i++) {
            outputs[out] = gg[i];
            results[out++] = s.gg[i];
        }
    }
    ck_assert_msg(nd_module_status(m) == ND_OK, "%s: %s", what, nd_module_error(m));
    s.value = nd_function(m, "value", ((nd_values){value_in, inputs}), ND_VALUES(y));
    s.first = nd_function(m, "first", ((nd_values){in, inputs}), ND_VALUES(mixed));
    s.all = nd_function(m, "all", ((nd_values){in, inputs}), ((nd_values){out, outputs}));
    grad_run(s.all, s.in, results, s.state);
    compare_all(what, "the gradient", &s, dot_of_value, s.g);
    compare_jvp(what, &s);
    if (!first_only)
        compare_all(what, "the second derivative", &s, mixed_of_value, s.gg);
    for (int i = 0; i < n; i++) {
        free(s.x[i]);
        free(s.tangents[i]);
        free(s.g[i]);
        free(s.gg[i]);
    }
    free(s.y);
    free(s.jvp);
    free(s.cotangent);
}
