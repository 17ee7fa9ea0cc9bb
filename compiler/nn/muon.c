/* Muon: momentum whose steps are made orthogonal; include/nadir/optimizer.h has the formula. */
#include "compiler/nn/optimizer.h"

#include <math.h>

/* The iteration x = a x + (b q + c q q) x, q = x x^T, brings the singular values of x from (0, 1] near 1: the
 * polynomial a s + b s^3 + c s^5 applied to each. Jordan et al. chose a as large as it stays near 1, for few rounds. */
enum { ROUNDS = 5 };
static const double a = 3.4445, b = -4.7750, c = 2.0315;

static nd_value *orthogonal(nd__optimizer *o, nd_value *u)
{
    nd_place place = o->place;
    bool tall = u->shape.dims[0] > u->shape.dims[1]; /* the smaller square is the cheaper one */
    nd_value *norm = nd_sqrt_at(place, nd_sum_at(place, nd_mul_at(place, u, u), ND_ALL_AXES, false));
    nd_value *x = nd_div_at(place, u, nd_add_at(place, norm, nd_const_at(place, o->m, o->set.epsilon)));
    for (int i = 0; i < ROUNDS; i++) {
        nd_value *q = nd_matmul_t_at(place, x, tall, x, !tall);
        nd_value *bq = nd_mul_at(place, nd_const_at(place, o->m, b), q), *qq = nd_matmul_at(place, q, q);
        nd_value *p = nd_add_at(place, bq, nd_mul_at(place, nd_const_at(place, o->m, c), qq));
        nd_value *px = tall ? nd_matmul_at(place, x, p) : nd_matmul_at(place, p, x);
        x = nd_add_at(place, nd_mul_at(place, nd_const_at(place, o->m, a), x), px);
    }
    return x;
}

static void update(nd__optimizer *o, nd_value *w, nd_value *g)
{
    nd_place place = o->place;
    if (w->shape.rank != 2) {
        nd__fail(o->m, ND_ERR_GRAPH, place, "muon: %s is %s, expected a matrix; give the others to another optimizer",
                 nd__show(o->m, w), nd__show_type(o->m, w->dtype, &w->shape));
        return;
    }
    nd_value *momentum = nd_const_at(place, o->m, o->set.momentum), *v = nd__slot(place, w, "velocity");
    nd_value *next = nd_add_at(place, nd_mul_at(place, momentum, v), g);
    nd_assign_at(place, o->f, v, next);
    nd_value *x = orthogonal(o, nd_add_at(place, g, nd_mul_at(place, momentum, next)));
    double in = (double)w->shape.dims[0], out = (double)w->shape.dims[1];
    nd_value *rate = nd_mul_at(place, o->rate, nd_const_at(place, o->m, out > in ? sqrt(out / in) : 1));
    nd_assign_at(place, o->f, w, nd_sub_at(place, w, nd_mul_at(place, rate, x)));
}

static const nd__optimizer_rule muon = {
    .name = "muon", .update = update, .defaults = {.momentum = 0.95, .epsilon = 1e-7}};

void nd_muon_at(nd_place place, nd_function *f, nd_value *loss, size_t n, nd_value *const *variables, nd_value *rate,
                const nd_optimizer_options *options)
{
    nd__optimizer o = nd__optimizer_of(&muon, place, f, rate, options);
    nd__optimize(&o, loss, n, variables);
}

void nd_muon_apply_at(nd_place place, nd_function *f, size_t n, nd_value *const *variables, nd_value *const *gradients,
                      nd_value *rate, const nd_optimizer_options *options)
{
    nd__optimizer o = nd__optimizer_of(&muon, place, f, rate, options);
    nd__optimize_apply(&o, n, variables, gradients);
}
