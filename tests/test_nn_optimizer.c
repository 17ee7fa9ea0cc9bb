/* Optimizers, step by step in f64, against the formulas of their papers in plain C; what stands around them; messages;
 * native bits. */
#include "compiler/graph/graph.h"
#include "nadir/nn.h"
#include "run_suite.h"
#include "two_ways.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { IN = 3, OUT = 2, N = IN * OUT, STEPS = 25 };

static nd_module *m;
static nd_value *w, *loss;
static nd_function *step;

static const double first[N] = {1, -2, 0.5, 3, -0.1, 0.7};

/* The loss sum(d^4 / 4 + d^2 / 20 + w d / 10), d = w - target, target = index / 3, and its gradient. */
static double target_of(int i)
{
    return (double)i * (1.0 / 3);
}

static void gradient(const double *at, double *g)
{
    for (int i = 0; i < N; i++) {
        double d = at[i] - target_of(i);
        g[i] = d * d * d + 0.1 * d + 0.1 * (at[i] + d);
    }
}

static nd_value *loss_of(nd_value *v)
{
    nd_shape shape = nd_value_shape(v);
    nd_value *index = nd_reshape(nd_iota(m, nd_value_dtype(v), ND_SHAPE(N), 0), shape);
    nd_value *d = nd_sub(v, nd_mul(index, nd_const(m, 1.0 / 3))), *dd = nd_mul(d, d);
    nd_value *terms = nd_add(nd_mul(nd_const(m, 0.25), nd_mul(dd, dd)), nd_mul(nd_const(m, 0.05), dd));
    return nd_sum(nd_add(terms, nd_mul(nd_const(m, 0.1), nd_mul(v, d))), ND_ALL_AXES, false);
}

static void begin_as(nd_dtype dtype)
{
    m = nd_module_create("optimizers");
    nd_tensor *start = nd_tensor_of(ND_F64, ND_SHAPE(IN, OUT), first), *cast = nd_tensor_cast(start, dtype);
    w = nd_variable(m, "w", dtype, ND_SHAPE(IN, OUT), nd_from_tensor(cast));
    nd_tensor_destroy(start);
    nd_tensor_destroy(cast);
    loss = loss_of(w);
    step = nd_function(m, "step", ND_VALUES(), ND_VALUES(loss));
}

static void begin(void)
{
    begin_as(ND_F64);
}

static void end(void)
{
    nd_module_destroy(m);
}

/* -- running ------------------------------------------------------------------------------------------------------ */

typedef struct running {
    nd_program *program;
    nd_state *state;
    nd_call *call;
    nd_tensor *out;
} running;

static running start(void)
{
    running r = {.out = nd_tensor_zeros(ND_F64, ND_SCALAR)};
    r.program = nd_compile(m, &(nd_compile_options){.interpret = true});
    ck_assert_msg(nd_program_status(r.program) == ND_OK, "%s", nd_program_error(r.program));
    r.state = nd_state_create(r.program, 0);
    r.call = nd_bind(r.program, "step", r.state, ND_IN(), ND_OUT(r.out));
    ck_assert_msg(r.call, "%s", nd_program_error(r.program));
    return r;
}

static void stop(running *r)
{
    nd_call_destroy(r->call);
    nd_state_destroy(r->state);
    nd_program_destroy(r->program);
    nd_tensor_destroy(r->out);
}

static double element(running *r, const char *variable, int i)
{
    const nd_tensor *t = nd_state_tensor(r->state, variable);
    ck_assert_msg(t, "there is no variable %s", variable);
    return nd_tensor_get(t, i);
}

static void compare(running *r, const char *variable, int t, const double *want)
{
    for (int i = 0; i < N; i++) {
        double have = element(r, variable, i);
        ck_assert_msg(fabs(have - want[i]) <= 1e-12 * fmax(1, fabs(want[i])),
                      "step %d: %s[%d] is %.17g, the paper says %.17g", t, variable, i, have, want[i]);
    }
}

/* A paper's rule: from the gradients at step t (counted from 1) to weights; what it remembers begins at 0. */
typedef void (*paper)(int t, double *x, const double *g, double slot[3][N]);

/* `shown`, from what the paper remembers and its weights, are the weights of ours: NULL, the same. */
static void check_rule(paper rule, void (*shown)(const double *x, double slot[3][N], double *to))
{
    double x[N], g[N], seen[N], slot[3][N] = {{0}};
    memcpy(x, first, sizeof x);
    running r = start();
    for (int t = 1; t <= STEPS; t++) {
        memcpy(seen, x, sizeof x);
        if (shown)
            shown(x, slot, seen);
        gradient(seen, g);
        rule(t, x, g, slot);
        memcpy(seen, x, sizeof x);
        if (shown)
            shown(x, slot, seen);
        ck_assert_int_eq(nd_run(r.call), ND_OK);
        compare(&r, "w", t, seen);
    }
    stop(&r);
}

static const double rate = 0.02;

/* -- the papers' rules -------------------------------------------------------------------------------------------- */

/* Robbins and Monro; Polyak (4) with the rate outside. */
static void paper_sgd(int t, double *x, const double *g, double slot[3][N])
{
    (void)t, (void)slot;
    for (int i = 0; i < N; i++)
        x[i] -= rate * g[i];
}

static void paper_momentum(int t, double *x, const double *g, double slot[3][N])
{
    (void)t;
    for (int i = 0; i < N; i++)
        x[i] -= rate * (slot[0][i] = 0.9 * slot[0][i] + g[i]);
}

/* Sutskever et al.: v = mu v - rate grad(theta + mu v); theta += v. */
static void paper_nesterov(int t, double *x, const double *g, double slot[3][N])
{
    (void)t;
    for (int i = 0; i < N; i++)
        x[i] += slot[0][i] = 0.9 * slot[0][i] - rate * g[i];
}

static void look_ahead(const double *x, double slot[3][N], double *to)
{
    for (int i = 0; i < N; i++)
        to[i] = x[i] + 0.9 * slot[0][i];
}

/* Duchi et al.: the diagonal form. */
static void paper_adagrad(int t, double *x, const double *g, double slot[3][N])
{
    (void)t;
    for (int i = 0; i < N; i++) {
        slot[0][i] += g[i] * g[i];
        x[i] -= rate * g[i] / (1e-10 + sqrt(slot[0][i]));
    }
}

/* Hinton, slide 29. */
static void paper_rmsprop(int t, double *x, const double *g, double slot[3][N])
{
    (void)t;
    for (int i = 0; i < N; i++) {
        slot[0][i] = 0.9 * slot[0][i] + 0.1 * g[i] * g[i];
        x[i] -= rate * g[i] / (sqrt(slot[0][i]) + 1e-8);
    }
}

/* Graves (38) to (41). */
static void paper_graves(int t, double *x, const double *g, double slot[3][N])
{
    (void)t;
    for (int i = 0; i < N; i++) {
        slot[0][i] = 0.95 * slot[0][i] + 0.05 * g[i] * g[i];
        slot[1][i] = 0.95 * slot[1][i] + 0.05 * g[i];
        slot[2][i] = 0.9 * slot[2][i] - rate * g[i] / sqrt(slot[0][i] - slot[1][i] * slot[1][i] + 1e-4);
        x[i] += slot[2][i];
    }
}

/* Kingma and Ba, algorithm 1. */
static double adam_step(int t, double g, double *a, double *s, double beta1, double beta2, double epsilon)
{
    *a = beta1 * *a + (1 - beta1) * g;
    *s = beta2 * *s + (1 - beta2) * g * g;
    double mean = *a / (1 - pow(beta1, t)), squares = *s / (1 - pow(beta2, t));
    return rate * mean / (sqrt(squares) + epsilon);
}

static void paper_adam(int t, double *x, const double *g, double slot[3][N])
{
    for (int i = 0; i < N; i++)
        x[i] -= adam_step(t, g[i], &slot[0][i], &slot[1][i], 0.9, 0.999, 1e-8);
}

static void paper_adam_set(int t, double *x, const double *g, double slot[3][N])
{
    for (int i = 0; i < N; i++)
        x[i] -= adam_step(t, g[i], &slot[0][i], &slot[1][i], 0, 0.99, 0.1);
}

/* Loshchilov and Hutter, algorithm 2, line 12; the benchmark's form: first w *= 1 - rate * decay. */
static void paper_adamw(int t, double *x, const double *g, double slot[3][N])
{
    for (int i = 0; i < N; i++)
        x[i] = x[i] * (1 - rate * 0.3) - adam_step(t, g[i], &slot[0][i], &slot[1][i], 0.9, 0.999, 1e-8);
}

/* Dozat, algorithm 2, with n / (1 - nu^t). */
static void paper_nadam(int t, double *x, const double *g, double slot[3][N])
{
    double product = 1, now = 0.9 * (1 - 0.5 * pow(0.96, t / 250.0)),
           next = 0.9 * (1 - 0.5 * pow(0.96, (t + 1) / 250.0));
    for (int i = 1; i <= t; i++)
        product *= 0.9 * (1 - 0.5 * pow(0.96, i / 250.0));
    for (int i = 0; i < N; i++) {
        double scaled = g[i] / (1 - product);
        slot[0][i] = now * slot[0][i] + (1 - now) * g[i];
        double mean = slot[0][i] / (1 - product * next);
        slot[1][i] = 0.999 * slot[1][i] + 0.001 * g[i] * g[i];
        double squares = slot[1][i] / (1 - pow(0.999, t));
        x[i] -= rate * ((1 - now) * scaled + next * mean) / (sqrt(squares) + 1e-8);
    }
}

/* Chen et al., algorithm 2, with its decay. */
static void paper_lion(int t, double *x, const double *g, double slot[3][N])
{
    (void)t;
    for (int i = 0; i < N; i++) {
        double c = 0.9 * slot[0][i] + 0.1 * g[i];
        x[i] -= rate * ((c > 0) - (c < 0) + 0.3 * x[i]);
        slot[0][i] = 0.99 * slot[0][i] + 0.01 * g[i];
    }
}

/* c = a b of IN x IN and IN x OUT, or with b transposed. */
static void times(const double *a, const double *b, double *c, int rows, int inner, int columns, bool transposed)
{
    for (int i = 0; i < rows; i++)
        for (int k = 0; k < columns; k++) {
            double sum = 0;
            for (int j = 0; j < inner; j++)
                sum += a[i * inner + j] * (transposed ? b[k * inner + j] : b[j * columns + k]);
            c[i * columns + k] = sum;
        }
}

/* Jordan et al.: newtonschulz5 of G + mu B, always by x x^T here. */
static void paper_muon(int t, double *x, const double *g, double slot[3][N])
{
    (void)t;
    double u[N], norm = 0;
    for (int i = 0; i < N; i++) {
        slot[0][i] = 0.95 * slot[0][i] + g[i];
        u[i] = g[i] + 0.95 * slot[0][i];
        norm += u[i] * u[i];
    }
    for (int i = 0; i < N; i++)
        u[i] /= sqrt(norm) + 1e-7;
    for (int round = 0; round < 5; round++) {
        double q[IN * IN], qq[IN * IN], px[N];
        times(u, u, q, IN, OUT, IN, true);
        times(q, q, qq, IN, IN, IN, false);
        for (int i = 0; i < IN * IN; i++)
            q[i] = -4.775 * q[i] + 2.0315 * qq[i];
        times(q, u, px, IN, IN, OUT, false);
        for (int i = 0; i < N; i++)
            u[i] = 3.4445 * u[i] + px[i];
    }
    for (int i = 0; i < N; i++)
        x[i] -= rate * u[i];
}

START_TEST(rules)
{
    nd_value *r = nd_const(m, rate), *mu = nd_const(m, 0.9), *decay = nd_const(m, 0.3);
    switch (_i) {
    case 0:
        nd_sgd(step, loss, 1, &w, r);
        check_rule(paper_sgd, NULL);
        break;
    case 1:
        nd_sgd_momentum(step, loss, 1, &w, r, mu);
        check_rule(paper_momentum, NULL);
        break;
    case 2:
        nd_sgd_nesterov(step, loss, 1, &w, r, mu);
        check_rule(paper_nesterov, look_ahead);
        break;
    case 3:
        nd_adagrad(step, loss, 1, &w, r, NULL);
        check_rule(paper_adagrad, NULL);
        break;
    case 4:
        nd_rmsprop(step, loss, 1, &w, r, NULL);
        check_rule(paper_rmsprop, NULL);
        break;
    case 5:
        nd_rmsprop_centred(step, loss, 1, &w, r, NULL);
        check_rule(paper_graves, NULL);
        break;
    case 6:
        nd_adam(step, loss, 1, &w, r, NULL);
        check_rule(paper_adam, NULL);
        break;
    case 7:
        nd_adam(step, loss, 1, &w, r, &((nd_optimizer_options){.beta1 = -1, .beta2 = 0.99, .epsilon = 0.1}));
        check_rule(paper_adam_set, NULL);
        break;
    case 8:
        nd_adamw(step, loss, 1, &w, r, decay, NULL);
        check_rule(paper_adamw, NULL);
        break;
    case 9:
        nd_nadam(step, loss, 1, &w, r, NULL);
        check_rule(paper_nadam, NULL);
        break;
    case 10:
        nd_lion(step, loss, 1, &w, r, NULL);
        nd_decay_weights(step, 1, &w, nd_mul(r, decay));
        check_rule(paper_lion, NULL);
        break;
    default:
        nd_muon(step, loss, 1, &w, r, NULL);
        check_rule(paper_muon, NULL);
        break;
    }
}
END_TEST

/* A wide matrix, whose square is taken on the other side and whose rate is larger: the first step is the transposed
 * one's, scaled. */
START_TEST(muon_of_a_wide_matrix)
{
    nd_value *g = nd_input(m, "g", ND_F64, ND_SHAPE(IN, OUT)), *gt = nd_transpose(g, ND_ALL_AXES);
    nd_value *tall = nd_variable(m, "tall", ND_F64, ND_SHAPE(IN, OUT), nd_zeros());
    nd_value *wide = nd_variable(m, "wide", ND_F64, ND_SHAPE(OUT, IN), nd_zeros());
    nd_function *f = nd_function(m, "f", ND_VALUES(g), ND_VALUES());
    nd_muon_apply(f, 1, &tall, &g, nd_const(m, 1), NULL);
    nd_muon_apply(f, 1, &wide, &gt, nd_const(m, 1), NULL);
    running r = start();
    nd_tensor *t = nd_tensor_of(ND_F64, ND_SHAPE(IN, OUT), first);
    nd_call *call = nd_bind(r.program, "f", r.state, ND_IN(t), ND_OUT());
    ck_assert_int_eq(nd_run(call), ND_OK);
    for (int i = 0; i < N; i++)
        ck_assert_double_eq_tol(element(&r, "wide", i % OUT * IN + i / OUT),
                                sqrt((double)IN / OUT) * element(&r, "tall", i), 1e-12);
    /* Orthogonal columns, nearly: singular values between 0.7 and 1.2. */
    double dot = 0, one = 0, two = 0;
    for (int i = 0; i < N; i += OUT) {
        double a = element(&r, "tall", i), b = element(&r, "tall", i + 1);
        dot += a * b, one += a * a, two += b * b;
    }
    ck_assert(fabs(dot) < 0.4 && one > 0.4 && one < 1.5 && two > 0.4 && two < 1.5);
    nd_call_destroy(call);
    nd_tensor_destroy(t);
    stop(&r);
}
END_TEST

/* -- what stands around a rule ------------------------------------------------------------------------------------ */

START_TEST(clipping)
{
    double g[N], square = 0;
    for (int i = 0; i < N; i++)
        square += first[i] * first[i];
    nd_value *in[2], *out[3];
    for (int i = 0; i < 2; i++)
        in[i] = nd_mul(w, nd_const(m, i + 1)); /* norms n and 2 n */
    nd_value *limit = nd_const(m, 1.5), *norm, *all[7];
    nd_clip_by_value(1, in, limit, out);
    all[0] = out[0];
    nd_clip_by_norm(2, in, nd_const(m, 1.5 * sqrt(square)), out);
    all[1] = out[0], all[2] = out[1];
    norm = nd_clip_by_global_norm(2, in, limit, in); /* in place */
    all[3] = in[0], all[4] = in[1];
    nd_decay_gradients(1, &w, &w, nd_const(m, 0.5), out);
    all[5] = out[0], all[6] = norm;
    nd_function(m, "f", ND_VALUES(), ((nd_values){7, all}));
    running r = start();
    nd_tensor *t[7];
    for (int i = 0; i < 7; i++)
        t[i] = nd_tensor_zeros(ND_F64, i < 6 ? ND_SHAPE(IN, OUT) : ND_SCALAR);
    nd_call *call = nd_bind(r.program, "f", r.state, ND_IN(), ((nd_tensors){7, t}));
    ck_assert_int_eq(nd_run(call), ND_OK);
    const double whole = sqrt(5 * square);
    for (int i = 0; i < N; i++) {
        g[i] = first[i];
        ck_assert(nd_tensor_get(t[0], i) == fmin(fmax(g[i], -1.5), 1.5));
        ck_assert(nd_tensor_get(t[1], i) == g[i]);
        ck_assert_double_eq_tol(nd_tensor_get(t[2], i), 1.5 * g[i], 1e-14);
        ck_assert_double_eq_tol(nd_tensor_get(t[3], i), g[i] * 1.5 / whole, 1e-14);
        ck_assert_double_eq_tol(nd_tensor_get(t[4], i), 2 * g[i] * 1.5 / whole, 1e-14);
        ck_assert(nd_tensor_get(t[5], i) == 1.5 * g[i]);
    }
    ck_assert_double_eq_tol(nd_tensor_get(t[6], 0), whole, 1e-14);
    nd_call_destroy(call);
    for (int i = 0; i < 7; i++)
        nd_tensor_destroy(t[i]);
    stop(&r);
}
END_TEST

/* Three runs, one update with the mean gradient; Adam's time counts updates, though a rate looked at it before. */
START_TEST(accumulation)
{
    double x[N], g[N], slot[3][N] = {{0}};
    memcpy(x, first, sizeof x);
    nd_value *steps = nd_steps(step), *gradient_of_loss = nd_gradient(loss, w);
    nd_value *due = nd_accumulate(step, 1, &w, &gradient_of_loss, 3, &gradient_of_loss);
    nd_adam_apply(step, 1, &w, &gradient_of_loss, nd_rate_stairs(steps, rate, 1000, 0.5), NULL);
    nd_average_weights(step, 1, &w, nd_const(m, 0.75), NULL);
    nd_accumulate_end(step, due);
    double average[N];
    memcpy(average, first, sizeof average);
    running r = start();
    for (int t = 1; t <= 3 * STEPS; t++) {
        ck_assert_int_eq(nd_run(r.call), ND_OK);
        if (t % 3 == 0) {
            gradient(x, g); /* the weights stood still: the mean of three equal gradients */
            paper_adam(t / 3, x, g, slot);
            for (int i = 0; i < N; i++)
                average[i] = 0.75 * average[i] + 0.25 * x[i];
        }
        compare(&r, "w", t, x);
        compare(&r, "w/average", t, average);
        ck_assert_int_eq((int)element(&r, "step/steps", 0), t / 3);
    }
    stop(&r);
}
END_TEST

/* Two groups of weights with rates of their own in one function share the count of steps. */
START_TEST(groups)
{
    nd_value *b = nd_variable(m, "b", ND_F64, ND_SHAPE(IN, OUT), nd_from_tensor(NULL));
    ck_assert(nd_value_is_poison(b)); /* a tensor that is not there */
    end();
    begin();
    nd_tensor *t = nd_tensor_of(ND_F64, ND_SHAPE(IN, OUT), first);
    b = nd_variable(m, "b", ND_F64, ND_SHAPE(IN, OUT), nd_from_tensor(t));
    nd_tensor_destroy(t);
    nd_value *both = nd_add(loss, loss_of(b)), *g[2], *variables[] = {w, b};
    nd_gradients(both, 2, variables, g);
    nd_adam_apply(step, 1, variables, g, nd_const(m, rate), NULL);
    nd_adam_apply(step, 1, variables + 1, g + 1, nd_const(m, 0), NULL);
    double x[N], slopes[N], slot[3][N] = {{0}};
    memcpy(x, first, sizeof x);
    running r = start();
    for (int i = 1; i <= 5; i++) {
        gradient(x, slopes);
        paper_adam(i, x, slopes, slot);
        ck_assert_int_eq(nd_run(r.call), ND_OK);
        compare(&r, "w", i, x);
        compare(&r, "b", i, first);
        ck_assert_int_eq((int)element(&r, "step/steps", 0), i);
    }
    stop(&r);
}
END_TEST

/* -- rates -------------------------------------------------------------------------------------------------------- */

static double wanted_rate(int which, double s)
{
    const double pi = acos(-1), high = 0.3;
    switch (which) {
    case 0:
        return high * pow(0.5, floor(s / 10));
    case 1:
        return high * pow(0.5, s / 10);
    case 2:
        return 0.01 + (high - 0.01) * (1 + cos(pi * fmin(s, 30) / 30)) / 2;
    case 3:
        return high * fmin((s + 1) / 8, 1);
    default:
        if (s < 0.3 * 40)
            return high / 25 + (high - high / 25) * (1 - cos(pi * s / 12)) / 2;
        return high + (high / 250000 - high) * (1 - cos(pi * (fmin(s, 40) - 12) / 28)) / 2;
    }
}

START_TEST(rates)
{
    nd_value *s = nd_input(m, "s", ND_I64, ND_SCALAR);
    nd_function(m, "f", ND_VALUES(s),
                ND_VALUES(nd_rate_stairs(s, 0.3, 10, 0.5), nd_rate_exponential(s, 0.3, 10, 0.5),
                          nd_rate_cosine(s, 0.3, 30, 0.01), nd_rate_warmup(s, 8, nd_const(m, 0.3)),
                          nd_rate_one_cycle(s, 0.3, 40)));
    running r = start();
    nd_tensor *in = nd_tensor_zeros(ND_I64, ND_SCALAR), *out[5];
    for (int i = 0; i < 5; i++)
        out[i] = nd_tensor_zeros(ND_F64, ND_SCALAR);
    nd_call *call = nd_bind(r.program, "f", r.state, ND_IN(in), ((nd_tensors){5, out}));
    for (int at = -3; at < 50; at++) {
        nd_tensor_set(in, 0, at);
        ck_assert_int_eq(nd_run(call), ND_OK);
        for (int i = 0; i < 5; i++) {
            double have = nd_tensor_get(out[i], 0), want = wanted_rate(i, at < 0 ? 0 : at);
            ck_assert_msg(fabs(have - want) <= 1e-14, "rate %d of step %d is %.17g, not %.17g", i, at, have, want);
        }
    }
    nd_call_destroy(call);
    for (int i = 0; i < 5; i++)
        nd_tensor_destroy(out[i]);
    nd_tensor_destroy(in);
    stop(&r);
}
END_TEST

/* -- native code and messages ------------------------------------------------------------------------------------- */

START_TEST(native_bits)
{
    end();
    begin_as(ND_F32);
    nd_value *r = nd_rate_warmup(nd_steps(step), 3, nd_rate_one_cycle(nd_steps(step), 0.05, 10)),
             *g = nd_gradient(loss, w);
    nd_clip_by_global_norm(1, &g, nd_const(m, 4), &g);
    nd_value *due = _i == 6 ? nd_accumulate(step, 1, &w, &g, 2, &g) : NULL;
    switch (_i) {
    case 0:
        nd_sgd_nesterov_apply(step, 1, &w, &g, r, nd_const(m, 0.9));
        break;
    case 1:
        nd_adagrad_apply(step, 1, &w, &g, r, NULL);
        break;
    case 2:
        nd_rmsprop_centred_apply(step, 1, &w, &g, r, NULL);
        break;
    case 3:
        nd_nadam_apply(step, 1, &w, &g, r, NULL);
        break;
    case 4:
        nd_lion_apply(step, 1, &w, &g, r, NULL);
        break;
    case 5:
        nd_muon_apply(step, 1, &w, &g, r, NULL);
        break;
    default:
        nd_adamw_apply(step, 1, &w, &g, r, nd_const(m, 0.1), NULL);
        nd_average_weights(step, 1, &w, nd_const(m, 0.9), NULL);
        nd_accumulate_end(step, due);
        break;
    }
    two_ways(m, "step", 8, 1);
}
END_TEST

START_TEST(errors)
{
    nd_value *x = nd_input(m, "x", ND_F64, ND_SHAPE(3)), *r = nd_const(m, 0.1);
    nd_value *bias = nd_variable(m, "bias", ND_F64, ND_SHAPE(3), nd_zeros()), *out;
    const char *want = "";
    switch (_i) {
    case 0:
        nd_adam(step, loss, 1, &x, r, NULL);
        want = "adam: value 0, \"x\", was made by input, it is no variable";
        break;
    case 1:
        nd_adam(step, loss, 1, &w, NULL, NULL);
        want = "adam: the rate is NULL";
        break;
    case 2:
        nd_adamw(step, loss, 1, &w, r, NULL, NULL);
        want = "adamw: the decay is NULL";
        break;
    case 3:
        nd_sgd_nesterov(step, loss, 1, &w, r, NULL);
        want = "sgd_nesterov: the momentum is NULL";
        break;
    case 4:
        nd_muon_apply(step, 1, &bias, &x, r, NULL);
        want = "muon: \"bias\" is f64[3], expected a matrix; give the others to another optimizer";
        break;
    case 5:
        nd_decay_weights(step, 1, &w, r);
        want = "decay_weights: the function \"step\" assigns nothing to \"w\" yet; call this after the optimizer";
        break;
    case 6:
        nd_accumulate_end(step, r);
        want = "accumulate_end: the function \"step\" accumulates nothing";
        break;
    case 7:
        nd_accumulate(step, 1, &w, &w, 0, &out);
        want = "accumulate: every 0 runs, expected 1 or more";
        break;
    case 8:
        nd_rate_cosine(x, 1, 10, 0);
        want = "rate_cosine: the steps \"x\" are f64[3], expected an integer";
        break;
    case 9:
        nd_rate_warmup(nd_steps(step), 0, r);
        want = "rate_warmup: length is 0, expected 1 or more";
        break;
    case 10:
        nd_clip_by_norm(1, &w, NULL, &out);
        want = "clip_by_norm: the scalar is NULL";
        break;
    case 11:
        nd_average_weights(step, 1, &w, r, &out);
        want = "average_weights: the function \"step\" assigns nothing to \"w\" yet";
        break;
    case 12:
        nd_adam(step, loss, 0, NULL, r, NULL);
        want = "adam: there are no variables; a layer has its weights from its first call on";
        break;
    case 13:
        nd_sgd(step, loss, 1, &w, x);
        want = "sgd: the rate \"x\" is f64[3], expected a float of one element";
        break;
    case 14:
        nd_sgd_momentum(step, loss, 1, &w, r, nd_const_of(m, ND_I32, 1));
        want = "is i32, expected a float of one element";
        break;
    case 15:
        nd_accumulate(step, 1, &w, &w, 2, NULL);
        want = "accumulate: nowhere to put 1 gradients";
        break;
    case 16:
        nd_clip_by_norm(1, &w, r, NULL);
        want = "clip_by_norm: nowhere to put 1 gradients";
        break;
    default:
        nd_lion_apply(NULL, 1, &w, &w, r, NULL);
        want = "lion: the function is NULL";
        break;
    }
    ck_assert_msg(strstr(nd_module_error(m), want), "%s", nd_module_error(m));
    ck_assert_msg(strstr(nd_module_error(m), "test_nn_optimizer.c:"), "%s", nd_module_error(m));
    nd_adam(step, loss, 1, &w, r, NULL); /* a failed module: nothing happens */
    nd_clip_by_value(1, &w, r, &out);
    ck_assert(nd_value_is_poison(out) && nd_value_is_poison(nd_steps(step)));
    ck_assert(nd_value_is_poison(nd_clip_by_global_norm(1, &w, r, &out)));
    ck_assert(!nd_steps(NULL) && !nd_rate_one_cycle(NULL, 1, 1) && !nd_accumulate(NULL, 0, NULL, NULL, 1, NULL));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("nn_optimizer");
    TCase *c = tcase_create("nn_optimizer");
    tcase_add_checked_fixture(c, begin, end);
    tcase_add_loop_test(c, rules, 0, 12);
    tcase_add_test(c, muon_of_a_wide_matrix);
    tcase_add_test(c, clipping);
    tcase_add_test(c, accumulation);
    tcase_add_test(c, groups);
    tcase_add_test(c, rates);
    tcase_add_loop_test(c, native_bits, 0, 7);
    tcase_add_loop_test(c, errors, 0, 18);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
