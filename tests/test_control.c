/* apply, cond and scan from end to end: values against plain C, gradients against finite differences and against the
 * orders that doc/bits.md promises. Every value is computed by every runner, and all of them give the same
 * bits. */
#include "bits.h"
#include "grad_check.h"
#include "run_suite.h"

#include "compiler/interp/interp.h"
#include "compiler/passes/passes.h"
#include "nadir/compile.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- runners ------------------------------------------------------------------------------------------------------- */

static nd_program *interpreted(nd_module *m, const char *bind)
{
    return nd_compile(m, &(nd_compile_options){.interpret = true, .passes_off = "all", .bind = bind});
}

/* With its dimensions as they are declared, unless `bind` says T=number. */
static nd_program *interpreted_after_passes(nd_module *m, const char *bind)
{
    int64_t bound[4];
    for (int i = 0; i < m->dim_count; i++)
        bound[i] = bind ? atoi(bind + 2) : m->dims[i].value;
    return nd__interpreter(nd__run_passes(nd__module_copy(m, bound), &(nd__pass_options){.verify = true}));
}

static nd_program *native(nd_module *m, const char *bind)
{
    return nd_compile(m, &(nd_compile_options){.bind = bind});
}

static nd_program *baseline(nd_module *m, const char *bind)
{
    return nd_compile(m, &(nd_compile_options){.cpu = "x86-64", .passes_off = "all", .bind = bind});
}

/* Ways to make a program of a module: the others must give the bits of the first. */
static const struct {
    const char *name;
    nd_program *(*compile)(nd_module *m, const char *bind);
} runners[] = {{"interpreted", interpreted},
               {"interpreted after passes", interpreted_after_passes},
               {"native", native},
#ifdef __x86_64__
               {"x86-64 without passes", baseline}
#endif
};

enum { RUNNERS = sizeof runners / sizeof *runners, MOST = 16 };

static nd_call *bind(nd_program *p, nd_state *state, const char *function, const void *const *in, nd_tensor **inputs,
                     nd_tensor **outputs)
{
    ck_assert_msg(nd_program_status(p) == ND_OK, "%s", nd_program_error(p));
    const int f = nd_program_function_index(p, function), in_count = nd_program_input_count(p, f),
              out_count = nd_program_output_count(p, f);
    ck_assert(f >= 0 && in_count <= MOST && out_count <= MOST);
    for (int i = 0; i < in_count; i++)
        inputs[i] = nd_tensor_of(nd_program_input(p, f, i).dtype, nd_program_input(p, f, i).shape, in[i]);
    for (int i = 0; i < out_count; i++)
        outputs[i] = nd_tensor_zeros(nd_program_output(p, f, i).dtype, nd_program_output(p, f, i).shape);
    nd_call *call =
        nd_bind(p, function, state, (nd_tensors){(size_t)in_count, inputs}, (nd_tensors){(size_t)out_count, outputs});
    ck_assert_msg(call != NULL, "%s", nd_program_error(p));
    return call;
}

/* The function's outputs, by every runner. */
static void run_function(nd_module *m, const char *function, const char *dimension, const void *const *in,
                         void *const *out)
{
    ck_assert_msg(nd_module_status(m) == ND_OK, "%s", nd_module_error(m));
    const char *wrong = nd__verify(m);
    ck_assert_msg(!wrong, "%s", wrong);
    for (int r = 0; r < RUNNERS; r++) {
        nd_tensor *inputs[MOST] = {NULL}, *outputs[MOST] = {NULL};
        nd_program *p = runners[r].compile(m, dimension);
        nd_state *state = nd_state_create(p, 1);
        nd_call *call = bind(p, state, function, in, inputs, outputs);
        ck_assert_msg(nd_run(call) == ND_OK, "%s: %s", runners[r].name, nd_call_error(call));
        for (int i = 0; i < MOST && outputs[i]; i++) {
            const nd_tensor *t = outputs[i];
            char what[64];
            snprintf(what, sizeof what, "%s, output %d", runners[r].name, i);
            if (r == 0)
                memcpy(out[i], nd_tensor_data(t), nd_tensor_bytes(t));
            else
                ck_assert_bits(what, nd_tensor_dtype(t), nd_tensor_count(t), nd_tensor_data(t), out[i]);
        }
        nd_call_destroy(call);
        nd_state_destroy(state);
        nd_program_destroy(p);
        for (int i = 0; i < MOST; i++) {
            nd_tensor_destroy(inputs[i]);
            nd_tensor_destroy(outputs[i]);
        }
    }
}

static void run_bound(nd_module *m, const char *dimension, const void *const *in, void *const *out)
{
    run_function(m, "f", dimension, in, out);
}

#define RUN(m, in_, ...) run_bound(m, NULL, (const void *const[]){NULL, in_} + 1, (void *[]){__VA_ARGS__})
#define LIST(...)        __VA_ARGS__

static nd_value *scalar(nd_module *m, const char *name)
{
    return nd_input(m, name, ND_F64, ND_SCALAR);
}

static nd_value *vector(nd_module *m, const char *name, int64_t n)
{
    return nd_input(m, name, ND_F64, ND_SHAPE(n));
}

/* -- apply --------------------------------------------------------------------------------------------------------- */

/* g(a) = (a + c, a c), f(a) = g(g(a).0).1 + k: functions in functions, each of which captures. */
START_TEST(functions_call_functions)
{
    nd_module *m = nd_module_create("m");
    nd_value *x = scalar(m, "x"), *c = scalar(m, "c"), *k = scalar(m, "k"), *a = scalar(m, "a"), *b = scalar(m, "b");
    nd_value *once[2], *twice[2], *out[1], *again[1];
    nd_function *g = nd_function(m, "g", ND_VALUES(a), ND_VALUES(nd_add(a, c), nd_mul(a, c)));
    nd_apply(g, ND_VALUES(b), once);
    nd_apply(g, ND_VALUES(once[0]), twice);
    nd_function *h = nd_function(m, "h", ND_VALUES(b), ND_VALUES(nd_add(twice[1], k)));
    nd_apply(h, ND_VALUES(x), out);
    nd_apply(h, ND_VALUES(out[0]), again);
    nd_function(m, "f", ND_VALUES(x, c, k), ND_VALUES(out[0], again[0]));
    const double vx = 1.25, vc = 3.7, vk = -0.3, first = (vx + vc) * vc + vk, second = (first + vc) * vc + vk;
    double got[2];
    RUN(m, LIST(&vx, &vc, &vk), &got[0], &got[1]);
    ck_assert_bits("twice", ND_F64, 2, got, ((double[]){first, second}));
    nd_module_destroy(m);
}
END_TEST

/* Outputs that are inputs, captured values, constants, one value twice. */
START_TEST(outputs_that_nothing_computes)
{
    nd_module *m = nd_module_create("m");
    nd_value *x = vector(m, "x", 2), *c = vector(m, "c", 2), *a = vector(m, "a", 2), *b = vector(m, "b", 2);
    nd_value *applied[4], *chosen[2], *scanned[4], *one = nd_filled(m, ND_F64, ND_SHAPE(2), 1);
    nd_apply(nd_function(m, "g", ND_VALUES(a), ND_VALUES(a, c, one, a)), ND_VALUES(x), applied);
    nd_function *yes = nd_function(m, "yes", ND_VALUES(), ND_VALUES(c, c)),
                *no = nd_function(m, "no", ND_VALUES(), ND_VALUES(one, x));
    nd_cond(nd_lt(nd_at(x, "0"), nd_at(x, "1")), yes, no, chosen);
    nd_function *swap = nd_function(m, "swap", ND_VALUES(a, b), ND_VALUES(b, a, c, one));
    nd_scan(swap, 3, ND_VALUES(x, one), ND_VALUES(), false, scanned);
    nd_function(m, "f", ND_VALUES(x, c),
                ND_VALUES(nd_concat(ND_VALUES(applied[0], applied[1], applied[2], applied[3]), 0), chosen[0], chosen[1],
                          scanned[0], scanned[1], scanned[2], scanned[3]));
    for (int flip = 0; flip < 2; flip++) {
        const double vx[2] = {flip ? 9 : 5, 7}, vc[2] = {-1, -2}, ones[6] = {1, 1, 1, 1, 1, 1};
        double all[8], first[2], second[2], last[2][2], stack[3][2], stacked[3][2];
        RUN(m, LIST(vx, vc), all, first, second, last[0], last[1], stack, stacked);
        ck_assert_bits("apply", ND_F64, 8, all, ((double[]){vx[0], 7, -1, -2, 1, 1, vx[0], 7}));
        ck_assert_bits("cond", ND_F64, 2, first, flip ? ones : vc);
        ck_assert_bits("cond", ND_F64, 2, second, flip ? vx : vc);
        ck_assert_bits("an odd number of swaps", ND_F64, 2, last[0], ones);
        ck_assert_bits("an odd number of swaps", ND_F64, 2, last[1], vx);
        ck_assert_bits("captured", ND_F64, 6, stack, ((double[]){-1, -2, -1, -2, -1, -2}));
        ck_assert_bits("constant", ND_F64, 6, stacked, ones);
    }
    nd_module_destroy(m);
}
END_TEST

/* -- cond ---------------------------------------------------------------------------------------------------------- */

/* c ? (d ? x + y : x - y) : (d ? x y : y), where the inner conds are in branches; a condition of shape [1, 1]. */
START_TEST(branches_in_branches)
{
    nd_module *m = nd_module_create("m");
    nd_value *c = nd_input(m, "c", ND_BOOL, ND_SCALAR), *d = nd_input(m, "d", ND_BOOL, ND_SHAPE(1, 1));
    nd_value *x = scalar(m, "x"), *y = scalar(m, "y"), *inner[2], *out[1];
    nd_function *f[4];
    static const char *const names[] = {"add", "sub", "mul", "none"};
    nd_value *results[] = {nd_add(x, y), nd_sub(x, y), nd_mul(x, y), y};
    for (int i = 0; i < 4; i++)
        f[i] = nd_function(m, names[i], ND_VALUES(), ND_VALUES(results[i]));
    nd_cond(d, f[0], f[1], &inner[0]);
    nd_cond(d, f[2], f[3], &inner[1]);
    nd_function *yes = nd_function(m, "yes", ND_VALUES(), ND_VALUES(inner[0])),
                *no = nd_function(m, "no", ND_VALUES(), ND_VALUES(inner[1]));
    nd_cond(c, yes, no, out);
    nd_function(m, "f", ND_VALUES(c, d, x, y), ND_VALUES(out[0]));
    const double vx = 2.5, vy = 0.3, want[] = {vy, vx * vy, vx - vy, vx + vy};
    for (int i = 0; i < 4; i++) {
        const uint8_t vc = i >> 1, vd = i & 1;
        double got;
        RUN(m, LIST(&vc, &vd, &vx, &vy), &got);
        ck_assert_bits("result", ND_F64, 1, &got, &want[i]);
    }
    nd_module_destroy(m);
}
END_TEST

/* -- scan ---------------------------------------------------------------------------------------------------------- */

/* s' = s k + x[t] y[t], n' = n + i[t], both stacked in between: carries and slices of several dtypes; with T bound. */
START_TEST(several_carries_slices_and_stacks)
{
    nd_module *m = nd_module_create("m");
    const int64_t length = nd_dim(m, "T", 3);
    nd_value *s0 = vector(m, "s0", 2), *n0 = nd_input(m, "n0", ND_I32, ND_SCALAR), *k = scalar(m, "k");
    nd_value *xs = nd_input(m, "xs", ND_F64, ND_SHAPE(length, 2)), *ys = nd_input(m, "ys", ND_F64, ND_SHAPE(length)),
             *is = nd_input(m, "is", ND_I32, ND_SHAPE(length));
    nd_value *s = vector(m, "s", 2), *n = nd_input(m, "n", ND_I32, ND_SCALAR), *x = vector(m, "x", 2),
             *y = scalar(m, "y"), *i = nd_input(m, "i", ND_I32, ND_SCALAR), *out[2][4];
    nd_value *next = nd_add(nd_mul(s, k), nd_mul(x, y));
    nd_function *body =
        nd_function(m, "body", ND_VALUES(s, n, x, y, i), ND_VALUES(next, nd_add(n, i), n, nd_sub(next, s)));
    for (int reverse = 0; reverse < 2; reverse++)
        nd_scan(body, length, ND_VALUES(s0, n0), ND_VALUES(xs, ys, is), reverse, out[reverse]);
    nd_function(m, "f", ND_VALUES(s0, n0, k, xs, ys, is),
                ND_VALUES(out[0][0], out[0][1], out[0][2], out[0][3], out[1][0], out[1][1], out[1][2], out[1][3]));

    double vs0[2] = {0.5, -2}, vk = 0.9, vx[5][2], vy[5];
    const int32_t vn0 = 7, vi[5] = {1, 10, 100, 1000, 10000};
    grad_fill(&vx[0][0], 10, -1, 1, 1);
    grad_fill(vy, 5, -1, 1, 2);
    static const char *const bound[] = {"T=0", "T=1", NULL, "T=5"};
    for (int b = 0; b < 4; b++) {
        const int lengths[] = {0, 1, 3, 5}, turns = lengths[b];
        double last[2][2], diff[2][5][2];
        int32_t count[2], before[2][5];
        run_bound(m, bound[b], (const void *[]){vs0, &vn0, &vk, vx, vy, vi},
                  (void *[]){last[0], &count[0], before[0], diff[0], last[1], &count[1], before[1], diff[1]});
        for (int reverse = 0; reverse < 2; reverse++) {
            double at[2] = {vs0[0], vs0[1]}, want[5][2];
            int32_t sum = vn0, sums[5];
            for (int step = 0; step < turns; step++) {
                int t = reverse ? turns - 1 - step : step;
                sums[t] = sum;
                sum += vi[t];
                for (int j = 0; j < 2; j++) {
                    double then = at[j] * vk + vx[t][j] * vy[t];
                    want[t][j] = then - at[j];
                    at[j] = then;
                }
            }
            ck_assert_bits("carry", ND_F64, 2, last[reverse], at);
            ck_assert_bits("count", ND_I32, 1, &count[reverse], &sum);
            ck_assert_bits("stack of counts", ND_I32, turns, before[reverse], sums);
            ck_assert_bits("stack of differences", ND_F64, turns * 2, diff[reverse], want);
        }
    }
    nd_module_destroy(m);
}
END_TEST

/* A scan over rows in a scan over matrices; the inner one captures what the outer one carries, and c from outside. The
 * outer stacks the inner one's stacks. */
static nd_value *nested(nd_module *m, nd_value *x, nd_value *start, nd_value *c, nd_value **stack)
{
    nd_value *outer = scalar(m, "outer"), *matrix = nd_input(m, "matrix", ND_F64, ND_SHAPE(3, 2));
    nd_value *inner = scalar(m, "inner"), *row = vector(m, "row", 2), *in[2], *out[2];
    nd_value *next = nd_add(nd_mul(inner, outer), nd_mul(nd_sum(row, ND_AXES(0), false), c));
    nd_function *rows = nd_function(m, "rows", ND_VALUES(inner, row), ND_VALUES(next, nd_mul(next, row)));
    nd_scan(rows, 3, ND_VALUES(nd_mul(outer, c)), ND_VALUES(matrix), true, in);
    nd_function *matrices = nd_function(m, "matrices", ND_VALUES(outer, matrix), ND_VALUES(in[0], in[1]));
    nd_scan(matrices, 4, ND_VALUES(start), ND_VALUES(x), false, out);
    *stack = out[1];
    return out[0];
}

START_TEST(scans_in_scans)
{
    nd_module *m = nd_module_create("m");
    nd_value *x = nd_input(m, "x", ND_F64, ND_SHAPE(4, 3, 2)), *start = scalar(m, "start"), *c = scalar(m, "c"), *stack;
    nd_value *last = nested(m, x, start, c, &stack);
    nd_function(m, "f", ND_VALUES(x, start, c), ND_VALUES(last, stack));
    double vx[4][3][2], outer = 0.7, vc = 0.8, got, want[4][3][2], stacked[4][3][2];
    const double first = outer;
    grad_fill(&vx[0][0][0], 24, -1, 1, 3);
    RUN(m, LIST(vx, &first, &vc), &got, stacked);
    for (int t = 0; t < 4; t++) {
        double inner = outer * vc;
        for (int r = 2; r >= 0; r--) {
            inner = inner * outer + (0 + vx[t][r][0] + vx[t][r][1]) * vc;
            for (int j = 0; j < 2; j++)
                want[t][r][j] = inner * vx[t][r][j];
        }
        outer = inner;
    }
    ck_assert_bits("last", ND_F64, 1, &got, &outer);
    ck_assert_bits("stack", ND_F64, 24, stacked, want);
    nd_module_destroy(m);
}
END_TEST

/* h' = h > limit ? h / 2 : (three times: h k + x[t]): a scan in a branch of a cond in a scan. */
static nd_value *scan_in_cond_in_scan(nd_module *m, nd_value *h0, nd_value *xs, nd_value *k, nd_value *limit)
{
    nd_value *h = scalar(m, "h"), *x = scalar(m, "x"), *g = scalar(m, "g"), *deep[1], *chosen[1], *out[2];
    nd_function *grow = nd_function(m, "grow", ND_VALUES(g), ND_VALUES(nd_add(nd_mul(g, k), x)));
    nd_scan(grow, 3, ND_VALUES(h), ND_VALUES(), false, deep);
    nd_function *yes = nd_function(m, "yes", ND_VALUES(), ND_VALUES(nd_mul(h, nd_const(m, 0.5)))),
                *no = nd_function(m, "no", ND_VALUES(), ND_VALUES(deep[0]));
    nd_cond(nd_lt(limit, h), yes, no, chosen);
    nd_function *body = nd_function(m, "body", ND_VALUES(h, x), ND_VALUES(chosen[0], nd_mul(chosen[0], k)));
    nd_scan(body, 6, ND_VALUES(h0), ND_VALUES(xs), false, out);
    return nd_add(out[0], nd_sum(out[1], ND_AXES(0), false));
}

START_TEST(a_scan_in_a_cond_in_a_scan)
{
    nd_module *m = nd_module_create("m");
    nd_value *h0 = scalar(m, "h0"), *xs = vector(m, "xs", 6), *k = scalar(m, "k"), *limit = scalar(m, "limit");
    nd_function(m, "f", ND_VALUES(h0, xs, k, limit), ND_VALUES(scan_in_cond_in_scan(m, h0, xs, k, limit)));
    const double vx[6] = {0.5, 0.25, 3, 1, -1, 0.125}, vk = 1.25, vlimit = 2.5, start = 0.1;
    double h = start, sum = 0, got;
    int halved = 0;
    for (int t = 0; t < 6; t++) {
        bool large = h > vlimit;
        h = large ? h * 0.5 : h;
        for (int i = 0; i < 3 && !large; i++)
            h = h * vk + vx[t];
        halved += large;
        sum += h * vk;
    }
    sum = h + sum;
    ck_assert(halved > 0 && halved < 6);
    RUN(m, LIST(&start, vx, &vk, &vlimit), &got);
    ck_assert_bits("sum", ND_F64, 1, &got, &sum);
    nd_module_destroy(m);
}
END_TEST

/* 40 steps of gradient descent as one call, the gradient inside the loop, and 40 calls: the same bits. */
START_TEST(descent_as_one_call)
{
    enum { STEPS = 40 };
    nd_module *m = nd_module_create("m");
    nd_value *w = nd_variable(m, "w", ND_F32, ND_SHAPE(3), nd_random_normal(0, 1)),
             *at = nd_input(m, "at", ND_F32, ND_SHAPE(3));
    nd_value *both[] = {w, at}, *next[2], *loss[2], *out[2];
    for (int i = 0; i < 2; i++) {
        loss[i] = nd_sum(nd_pow(nd_sub(nd_exp(both[i]), nd_const(m, 4)), nd_const(m, 2)), ND_ALL_AXES, false);
        next[i] = nd_sub(both[i], nd_mul(nd_const(m, 0.01), nd_gradient(loss[i], both[i])));
    }
    nd_assign(nd_function(m, "step", ND_VALUES(), ND_VALUES(loss[0])), w, next[0]);
    nd_scan(nd_function(m, "body", ND_VALUES(at), ND_VALUES(next[1], loss[1])), STEPS, ND_VALUES(w), ND_VALUES(), false,
            out);
    nd_assign(nd_function(m, "all", ND_VALUES(), ND_VALUES(out[1])), w, out[0]);
    ck_assert_msg(nd_module_status(m) == ND_OK, "%s", nd_module_error(m));
    for (int r = 0; r < RUNNERS; r++) {
        nd_program *p = runners[r].compile(m, NULL);
        nd_state *by_step = nd_state_create(p, 5), *at_once = nd_state_create(p, 5);
        nd_tensor *one[1], *history[1], *none[1];
        nd_call *step = bind(p, by_step, "step", NULL, none, one), *all = bind(p, at_once, "all", NULL, none, history);
        ck_assert_int_eq(nd_run(all), ND_OK);
        for (int i = 0; i < STEPS; i++) {
            ck_assert_int_eq(nd_run(step), ND_OK);
            ck_assert_bits("loss", ND_F32, 1, nd_tensor_data(one[0]), (const float *)nd_tensor_data(history[0]) + i);
        }
        ck_assert_bits("w", ND_F32, 3, nd_state_f32(by_step, "w"), nd_state_f32(at_once, "w"));
        nd_call_destroy(step);
        nd_call_destroy(all);
        nd_state_destroy(by_step);
        nd_state_destroy(at_once);
        nd_tensor_destroy(one[0]);
        nd_tensor_destroy(history[0]);
        nd_program_destroy(p);
    }
    nd_module_destroy(m);
}
END_TEST

/* -- gradients: finite differences -----------------------------------------------------------------------------------
 */

/* Every runner gives the same bits of that function of f64 inputs, at random. */
static void agree(nd_module *m, const char *name)
{
    const nd_function *f = nd_module_function(m, name);
    double *in[MOST], *out[MOST];
    ck_assert(f && f->input_count <= MOST && f->output_count <= MOST);
    for (int i = 0; i < f->input_count; i++) {
        in[i] = calloc((size_t)grad_count(f->inputs[i]) + 1, sizeof **in);
        grad_fill(in[i], grad_count(f->inputs[i]), -1, 1, 100 + (unsigned)i);
    }
    for (int i = 0; i < f->output_count; i++)
        out[i] = calloc((size_t)grad_count(f->outputs[i]) + 1, sizeof **out);
    run_function(m, name, NULL, (const void *const *)in, (void *const *)out);
    for (int i = 0; i < f->input_count; i++)
        free(in[i]);
    for (int i = 0; i < f->output_count; i++)
        free(out[i]);
}

/* First and second derivatives of y by n inputs, at random points. */
static void check_gradients(const char *what, nd_module *m, int n, nd_value **x, nd_value *y)
{
    double *values[6];
    for (int i = 0; i < n; i++) {
        values[i] = calloc((size_t)grad_count(x[i]) + 1, sizeof **values);
        grad_fill(values[i], grad_count(x[i]), -1, 1, 10 + (unsigned)i);
    }
    grad_check(what, m, n, x, y, values, false);
    agree(m, "all");
    for (int i = 0; i < n; i++)
        free(values[i]);
}

START_TEST(gradients_of_scans_in_scans)
{
    nd_module *m = nd_module_create("m");
    nd_value *x[] = {nd_input(m, "x", ND_F64, ND_SHAPE(4, 3, 2)), scalar(m, "start"), scalar(m, "c")}, *stack;
    nd_value *last = nested(m, x[0], x[1], x[2], &stack);
    check_gradients("nested", m, 3, x, nd_add(stack, last));
    nd_module_destroy(m);
}
END_TEST

START_TEST(gradients_of_a_scan_in_a_cond_in_a_scan)
{
    for (int branch = 0; branch < 3; branch++) { /* neither branch, now this and now that, always the other */
        nd_module *m = nd_module_create("m");
        nd_value *x[] = {scalar(m, "h0"), vector(m, "xs", 6), scalar(m, "k")};
        const double limits[] = {-10, 0.2, 10};
        nd_value *limit = nd_filled(m, ND_F64, ND_SCALAR, limits[branch]);
        check_gradients("scan in cond in scan", m, 3, x, scan_in_cond_in_scan(m, x[0], x[1], x[2], limit));
        nd_module_destroy(m);
    }
}
END_TEST

/* Two carries that cross, a counter, a carry that leads nowhere, what is captured in several ways, lengths 0, 1, 3. */
START_TEST(gradients_of_all_that_a_loop_may_have)
{
    for (int i = 0; i < 6; i++) {
        const int64_t length = (int[]){0, 1, 3}[i / 2];
        nd_module *m = nd_module_create("m");
        nd_value *a0 = vector(m, "a0", 2), *b0 = vector(m, "b0", 2),
                 *xs = nd_input(m, "xs", ND_F64, ND_SHAPE(length, 2)), *w = nd_input(m, "w", ND_F64, ND_SHAPE(2, 2)),
                 *k = scalar(m, "k"), *out[6];
        nd_value *a = vector(m, "a", 2), *b = vector(m, "b", 2), *n = nd_input(m, "n", ND_I32, ND_SCALAR),
                 *lost = vector(m, "lost", 2), *x = vector(m, "x", 2);
        nd_value *turn = nd_cast(n, ND_F64), *product = nd_matmul(x, w);
        nd_value *next_a = nd_add(nd_tanh(nd_mul(b, w)), product),
                 *y = nd_reduce_max(nd_mul(nd_at(next_a, "0"), b), ND_AXES(0), false);
        nd_function *body = nd_function(m, "body", ND_VALUES(a, b, n, lost, x),
                                        ND_VALUES(nd_add(nd_at(next_a, "0"), nd_mul(a, turn)), nd_mul(a, k),
                                                  nd_add(n, nd_const(m, 1)), nd_mul(lost, x), y, nd_mul(x, k)));
        nd_value *zero = nd_filled(m, ND_I32, ND_SCALAR, 0);
        nd_scan(body, length, ND_VALUES(a0, b0, zero, b0), ND_VALUES(xs), i % 2, out);
        nd_value *value = nd_add(nd_add(nd_mul(out[0], out[1]), nd_sum(out[4], ND_AXES(0), false)),
                                 nd_sum(out[5], ND_AXES(0), false));
        nd_value *targets[] = {a0, b0, xs, w, k};
        check_gradients("a loop", m, 5, targets, value);
        nd_module_destroy(m);
    }
}
END_TEST

/* tanh(a k) + c twice over itself, within a loop, within a function. */
/* Of hs = [h, h, h], x = w hs, s = sin x[1:3], n = tanh h, n s and d = h - s the way back reads all. hs, s, not all of
 * sin x, n and d are saved; x, of which the cosine is taken, and n s are made of these. */
START_TEST(little_is_saved)
{
    nd_module *m = nd_module_create("m");
    nd_value *in[] = {vector(m, "h0", 2), vector(m, "w", 6)}, *h = vector(m, "h", 2), *out[1];
    nd_value *x = nd_mul(nd_concat(ND_VALUES(h, h, h), 0), in[1]), *s = nd_at(nd_sin(x), "1:3"), *n = nd_tanh(h);
    nd_scan(nd_function(m, "turn", ND_VALUES(h), ND_VALUES(nd_mul(nd_mul(s, n), nd_sub(h, s)))), 3, ND_VALUES(in[0]),
            ND_VALUES(), false, out);
    nd_value *loss = nd_sum(out[0], ND_ALL_AXES, false), *grads[2];
    check_gradients("little saved", m, 2, in, loss);
    nd_gradients(loss, 2, in, grads);
    const nd_function *saving = nd_module_function(m, "turn_1_saving");
    int64_t elements = 0;
    ck_assert(saving);
    for (int i = 1; i < saving->output_count; i++)
        elements += nd__elements(&saving->outputs[i]->shape);
    ck_assert_int_eq(elements, 2 + 6 + 2 + 2);
    nd_module_destroy(m);
}
END_TEST

START_TEST(gradients_of_functions_in_loops_in_functions)
{
    nd_module *m = nd_module_create("m");
    nd_value *x[] = {vector(m, "x", 3), vector(m, "k", 3), vector(m, "c", 3)};
    nd_value *a = vector(m, "a", 3), *h = vector(m, "h", 3), *z = vector(m, "z", 3), *once[1], *twice[1], *loop[2],
             *all[1];
    nd_function *f = nd_function(m, "f", ND_VALUES(a), ND_VALUES(nd_add(nd_tanh(nd_mul(a, x[1])), x[2])));
    nd_apply(f, ND_VALUES(h), once);
    nd_apply(f, ND_VALUES(nd_mul(once[0], once[0])), twice);
    nd_function *body = nd_function(m, "body", ND_VALUES(h), ND_VALUES(nd_mul(twice[0], h), once[0]));
    nd_scan(body, 3, ND_VALUES(z), ND_VALUES(), false, loop);
    nd_function *outer =
        nd_function(m, "outer", ND_VALUES(z), ND_VALUES(nd_add(loop[0], nd_sum(loop[1], ND_AXES(0), false))));
    nd_apply(outer, ND_VALUES(nd_mul(x[0], x[2])), all);
    check_gradients("functions", m, 3, x, all[0]);
    nd_module_destroy(m);
}
END_TEST

/* -- gradients: orders -----------------------------------------------------------------------------------------------
 */

enum { T = 5, N = 3, K = 2, M = 4 };

/* h' = tanh(x[t] w + h u + b), y[t] = h'; as a scan, or turn by turn. z: what tanh is taken of, turn by turn. */
static nd_value *recurrence(nd_module *m, nd_value **p, bool reverse, bool unrolled, nd_value **z, nd_value **ys)
{
    nd_value *xs = p[0], *h0 = p[1], *w = p[2], *u = p[3], *b = p[4], *out[2];
    if (!unrolled) {
        nd_value *h = nd_input(m, "h", ND_F64, ND_SHAPE(N, M)), *x = nd_input(m, "x", ND_F64, ND_SHAPE(N, K));
        nd_value *next = nd_tanh(nd_add(nd_add(nd_matmul(x, w), nd_matmul(h, u)), b));
        nd_scan(nd_function(m, "body", ND_VALUES(h, x), ND_VALUES(next, next)), T, ND_VALUES(h0), ND_VALUES(xs),
                reverse, out);
        *ys = out[1];
        return out[0];
    }
    nd_value *h = h0, *rows[T];
    for (int step = 0; step < T; step++) {
        const int t = reverse ? T - 1 - step : step;
        char at[8];
        snprintf(at, sizeof at, "%d", t);
        z[t] = nd_add(nd_add(nd_matmul(nd_at(xs, at), w), nd_matmul(h, u)), b);
        h = nd_tanh(z[t]);
        rows[t] = nd_reshape(h, ND_SHAPE(1, N, M));
    }
    *ys = nd_concat(((nd_values){T, rows}), 0);
    return h;
}

/* Weights get one product over (turn, row) ascending, a bias one sum over them, the rest what the unrolled graph gives.
 */
START_TEST(weights_get_one_product_after_the_loop)
{
    for (int reverse = 0; reverse < 2; reverse++) {
        nd_module *m = nd_module_create("m");
        nd_value *p[] = {nd_input(m, "xs", ND_F64, ND_SHAPE(T, N, K)), nd_input(m, "h0", ND_F64, ND_SHAPE(N, M)),
                         nd_input(m, "w", ND_F64, ND_SHAPE(K, M)), nd_input(m, "u", ND_F64, ND_SHAPE(M, M)),
                         vector(m, "b", M)};
        nd_value *c = nd_input(m, "c", ND_F64, ND_SHAPE(N, M)), *d = nd_input(m, "d", ND_F64, ND_SHAPE(T, N, M));
        nd_value *z[T], *ys[2], *h[2], *loss[2], *g[5], *same[2], *dz[T], *out[10];
        for (int way = 0; way < 2; way++) {
            h[way] = recurrence(m, p, reverse, way, z, &ys[way]);
            loss[way] =
                nd_add(nd_sum(nd_mul(h[way], c), ND_ALL_AXES, false), nd_sum(nd_mul(ys[way], d), ND_ALL_AXES, false));
        }
        nd_gradients(loss[0], 5, p, g);
        nd_gradients(loss[1], 2, p, same);
        nd_gradients(loss[1], T, z, dz);
        nd_value *before[T], *turns = nd_reshape(nd_concat(((nd_values){T, dz}), 0), ND_SHAPE(T * N, M));
        for (int t = 0; t < T; t++) { /* what h was before turn t */
            int then = reverse ? t + 1 : t - 1;
            before[t] = then < 0 || then == T ? p[1] : nd_tanh(z[then]);
        }
        nd_value *states = nd_concat(((nd_values){T, before}), 0), *rows = nd_reshape(p[0], ND_SHAPE(T * N, K));
        nd_value *want[] = {same[0], same[1], nd_matmul_t(rows, true, turns, false),
                            nd_matmul_t(states, true, turns, false),
                            nd_sum(nd_reshape(turns, ND_SHAPE(T, N, M)), ND_AXES(0, 1), false)};
        for (int i = 0; i < 5; i++) {
            out[i] = g[i];
            out[5 + i] = want[i];
        }
        nd_function(m, "f", ND_VALUES(p[0], p[1], p[2], p[3], p[4], c, d), ((nd_values){10, out}));
        double in[7][T * N * M], got[10][T * N * M];
        for (unsigned i = 0; i < 7; i++)
            grad_fill(in[i], T * N * M, -1, 1, 40 + i);
        RUN(m, LIST(in[0], in[1], in[2], in[3], in[4], in[5], in[6]), got[0], got[1], got[2], got[3], got[4], got[5],
            got[6], got[7], got[8], got[9]);
        static const char *const names[] = {"xs", "h0", "w", "u", "b"};
        for (int i = 0; i < 5; i++)
            ck_assert_bits(names[i], ND_F64, grad_count(p[i]), got[i], got[5 + i]);
        nd_module_destroy(m);
    }
}
END_TEST

/* h' = h s + x[t], y[t] = h': the gradient of s is a sum from +0, the last turn first. */
START_TEST(what_is_captured_otherwise_is_summed_along_the_way_back)
{
    for (int reverse = 0; reverse < 2; reverse++) {
        nd_module *m = nd_module_create("m");
        nd_value *xs = vector(m, "xs", T), *h0 = scalar(m, "h0"), *s = scalar(m, "s"), *d = vector(m, "d", T),
                 *h = scalar(m, "h"), *x = scalar(m, "x"), *out[2], *g[3];
        nd_value *next = nd_add(nd_mul(h, s), x);
        nd_scan(nd_function(m, "body", ND_VALUES(h, x), ND_VALUES(next, next)), T, ND_VALUES(h0), ND_VALUES(xs),
                reverse, out);
        nd_value *loss = nd_add(out[0], nd_sum(nd_mul(out[1], d), ND_AXES(0), false));
        nd_gradients(loss, 3, ((nd_value *[]){xs, h0, s}), g);
        nd_function(m, "f", ND_VALUES(xs, h0, s, d), ND_VALUES(g[0], g[1], g[2]));
        double vx[T], vd[T], vs = 0.7, start = 0.3, before[T], gx[T], gh, gs, want_x[T], want_h = 1, want_s = 0,
                             at = start;
        grad_fill(vx, T, -1, 1, 8);
        grad_fill(vd, T, -1, 1, 9);
        for (int step = 0; step < T; step++) {
            int t = reverse ? T - 1 - step : step;
            before[t] = at;
            at = at * vs + vx[t];
        }
        for (int step = T - 1; step >= 0; step--) {
            int t = reverse ? T - 1 - step : step;
            want_x[t] = want_h + vd[t];
            want_s = want_s + want_x[t] * before[t];
            want_h = want_x[t] * vs;
        }
        RUN(m, LIST(vx, &start, &vs, vd), gx, &gh, &gs);
        ck_assert_bits("xs", ND_F64, T, gx, want_x);
        ck_assert_bits("h0", ND_F64, 1, &gh, &want_h);
        ck_assert_bits("s", ND_F64, 1, &gs, &want_s);
        nd_module_destroy(m);
    }
}
END_TEST

/* Of no turn at all: the init's gradient is what came back, the rest zeros. The same for T bound to 0. */
START_TEST(gradients_of_no_turn)
{
    nd_module *m = nd_module_create("m");
    const int64_t length = nd_dim(m, "T", 2);
    nd_value *h0 = vector(m, "h0", 2), *xs = nd_input(m, "xs", ND_F64, ND_SHAPE(length, 2)),
             *w = nd_input(m, "w", ND_F64, ND_SHAPE(2, 2)), *h = vector(m, "h", 2), *x = vector(m, "x", 2), *out[2],
             *g[3];
    nd_value *next = nd_add(nd_matmul(h, w), x);
    nd_scan(nd_function(m, "body", ND_VALUES(h, x), ND_VALUES(next, nd_mul(next, x))), length, ND_VALUES(h0),
            ND_VALUES(xs), false, out);
    nd_value *loss = nd_add(nd_sum(out[0], ND_AXES(0), false), nd_sum(out[1], ND_AXES(0, 1), false));
    nd_gradients(loss, 3, ((nd_value *[]){h0, xs, w}), g);
    nd_function(m, "f", ND_VALUES(h0, xs, w), ND_VALUES(g[0], g[1], g[2]));
    const double vh[2] = {1, 2}, vx[4] = {3, 4, 5, 6}, vw[4] = {0, 1, 1, 0}, ones[2] = {1, 1}, zeros[4] = {0, 0, 0, 0};
    double gh[2], gx[4], gw[4];
    run_bound(m, "T=0", (const void *[]){vh, vx, vw}, (void *[]){gh, gx, gw});
    ck_assert_bits("h0", ND_F64, 2, gh, ones);
    ck_assert_bits("w", ND_F64, 4, gw, zeros);
    run_bound(m, NULL, (const void *[]){vh, vx, vw}, (void *[]){gh, gx, gw});
    /* h1 = (5, 5), h2 = (10, 11); back comes (6, 7) to h2, (7, 6) + (3, 4) to h1. */
    ck_assert_bits("h0", ND_F64, 2, gh, ((double[]){10, 10}));
    ck_assert_bits("xs", ND_F64, 4, gx, ((double[]){15, 15, 16, 18}));
    ck_assert_bits("w", ND_F64, 4, gw, ((double[]){40, 45, 50, 55}));
    nd_module_destroy(m);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("control");
    TCase *t = tcase_create("values");
    tcase_add_test(t, functions_call_functions);
    tcase_add_test(t, outputs_that_nothing_computes);
    tcase_add_test(t, branches_in_branches);
    tcase_add_test(t, several_carries_slices_and_stacks);
    tcase_add_test(t, scans_in_scans);
    tcase_add_test(t, a_scan_in_a_cond_in_a_scan);
    tcase_add_test(t, descent_as_one_call);
    suite_add_tcase(suite, t);
    t = tcase_create("gradients");
    tcase_add_test(t, gradients_of_scans_in_scans);
    tcase_add_test(t, gradients_of_a_scan_in_a_cond_in_a_scan);
    tcase_add_test(t, gradients_of_all_that_a_loop_may_have);
    tcase_add_test(t, little_is_saved);
    tcase_add_test(t, gradients_of_functions_in_loops_in_functions);
    tcase_add_test(t, weights_get_one_product_after_the_loop);
    tcase_add_test(t, what_is_captured_otherwise_is_summed_along_the_way_back);
    tcase_add_test(t, gradients_of_no_turn);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
