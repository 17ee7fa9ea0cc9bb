/* Composed ops and optimizers: values against the formulas in double precision, gradients, edge values, bits of a step.
 */
#include "compiler/interp/interp.h"
#include "grad_check.h"
#include "nadir/nn.h"
#include "run_suite.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static nd_module *m;
static const void *const no_inputs[1];

static void begin(void)
{
    m = nd_module_create("nn");
    ck_assert_ptr_nonnull(m);
}

static void end(void)
{
    nd_module_destroy(m);
}

static nd_value *vector(int n, const double *items)
{
    nd_shape shape = nd_shape_of(1, (int64_t[]){n});
    return nd__constant(m, "", ND_F64, &shape, n, items);
}

/* Computes a value of constants, as doubles. */
static void compute(nd_value *v, double *out)
{
    static const char *const names[] = {"c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7"};
    int i = 0;
    while (nd_module_function(m, names[i]))
        i++;
    grad_run(nd_function(m, names[i], ND_VALUES(), ND_VALUES(v)), no_inputs, (void *[]){out}, NULL);
}

/* -- activations -------------------------------------------------------------------------------------------------- */

START_TEST(relu_at_its_kink)
{
    nd_value *x = vector(5, (double[]){-2, -0.0, 0, 3, NAN});
    double y[5], g[5];
    nd_value *relu = nd_relu(x);
    compute(relu, y);
    compute(nd_gradient(nd_sum(relu, ND_ALL_AXES, false), x), g);
    ck_assert(y[0] == 0 && y[1] == 0 && !signbit(y[1]) && y[2] == 0 && y[3] == 3 && isnan(y[4]));
    ck_assert(g[0] == 0 && g[1] == 0 && g[2] == 0 && g[3] == 1);
}
END_TEST

/* softmax of numbers near 0 and of the same far away, where exp alone would overflow. */
START_TEST(softmax_is_stable)
{
    double x[] = {0.5, -1, 2}, far[] = {1000.5, 999, 1002}, near_y[3], far_y[3], log_y[3], sum = 0;
    compute(nd_softmax(vector(3, x), 0), near_y);
    compute(nd_softmax(vector(3, far), -1), far_y);
    compute(nd_log_softmax(vector(3, far), 0), log_y);
    for (int i = 0; i < 3; i++)
        sum += exp(x[i]);
    for (int i = 0; i < 3; i++) {
        /* A few roundings of numbers up to 2; the far ones lose 10 bits before the subtraction. */
        ck_assert_double_eq_tol(near_y[i], exp(x[i]) / sum, 1e-14);
        ck_assert_double_eq_tol(far_y[i], exp(x[i]) / sum, 1e-12);
        ck_assert_double_eq_tol(log_y[i], x[i] - log(sum), 1e-12);
    }
}
END_TEST

START_TEST(logsumexp_of_infinities)
{
    double y;
    compute(nd_logsumexp(vector(2, (double[]){-INFINITY, -INFINITY}), ND_ALL_AXES, false), &y);
    ck_assert(isinf(y) && y < 0);
    compute(nd_logsumexp(vector(2, (double[]){INFINITY, 1}), ND_ALL_AXES, false), &y);
    ck_assert(isinf(y) && y > 0);
    compute(nd_logsumexp(vector(2, (double[]){NAN, 1}), ND_ALL_AXES, false), &y);
    ck_assert(isnan(y));
    compute(nd_logsumexp(vector(0, NULL), ND_ALL_AXES, false), &y);
    ck_assert(isinf(y) && y < 0);
    compute(nd_logsumexp(vector(2, (double[]){1000, 1000}), ND_ALL_AXES, false), &y);
    ck_assert_double_eq_tol(y, 1000 + log(2), 1e-12);
    nd_shape kept = nd_value_shape(nd_logsumexp(nd_filled(m, ND_F32, ND_SHAPE(2, 3, 4), 1), ND_AXES(0, 2), true));
    ck_assert(kept.rank == 3 && kept.dims[0] == 1 && kept.dims[1] == 3 && kept.dims[2] == 1);
}
END_TEST

/* -- losses ------------------------------------------------------------------------------------------------------- */

static nd_value *labels_of(int n, const int32_t *items)
{
    nd_shape shape = nd_shape_of(1, (int64_t[]){n});
    return nd__constant(m, "", ND_I32, &shape, n, items);
}

START_TEST(cross_entropy_and_its_gradient)
{
    double x[] = {0.1, 2, -1, 3, 0.5, 800}, loss, g[6], want = 0;
    int32_t labels[] = {1, 0};
    nd_value *logits = nd_reshape(vector(6, x), ND_SHAPE(2, 3));
    nd_value *l = nd_cross_entropy(logits, labels_of(2, labels));
    compute(l, &loss);
    compute(nd_gradient(l, logits), g);
    for (int r = 0; r < 2; r++) {
        double largest = -INFINITY, sum = 0;
        for (int c = 0; c < 3; c++)
            largest = fmax(largest, x[3 * r + c]);
        for (int c = 0; c < 3; c++)
            sum += exp(x[3 * r + c] - largest);
        want += (log(sum) + largest - x[3 * r + labels[r]]) / 2;
        for (int c = 0; c < 3; c++) /* (softmax - one hot) / rows */
            ck_assert_double_eq_tol(g[3 * r + c], (exp(x[3 * r + c] - largest) / sum - (c == labels[r])) / 2, 1e-14);
    }
    ck_assert_double_eq_tol(loss, want, 1e-12 * want);
}
END_TEST

/* A label outside picks no class; u8 labels do not begin again at class 256. */
START_TEST(labels_outside)
{
    double loss;
    compute(nd_cross_entropy(nd_filled(m, ND_F64, ND_SHAPE(1, 4), 3), labels_of(1, (int32_t[]){-1})), &loss);
    ck_assert_double_eq_tol(loss, log(4), 1e-14);
    nd_value *x = nd_mul(nd_iota(m, ND_F64, ND_SHAPE(1, 300), 1), nd_const(m, 0.001));
    nd_shape one = ND_SHAPE(1);
    double wide, narrow;
    compute(nd_cross_entropy(x, labels_of(1, (int32_t[]){2})), &wide);
    compute(nd_cross_entropy(x, nd__filled(m, "", ND_U8, &one, 2)), &narrow);
    ck_assert(wide == narrow);
}
END_TEST

/* Finite differences; cross-entropy over two leading axes, the rest along other axes than the last. */
START_TEST(gradients_of_compositions)
{
    static const int64_t dims[] = {2, 3, 4};
    nd_shape shape = nd_shape_of(3, dims);
    nd_value *x = nd_input(m, "x", ND_F64, shape), *y = NULL;
    double values[24];
    int32_t labels[] = {0, 3, 2, 1, 1, 0};
    grad_fill(values, 24, -1, 1, 9);
    switch (_i) {
    case 0:
        y = nd_relu(x);
        break;
    case 1:
        y = nd_softmax(x, 1);
        break;
    case 2:
        y = nd_log_softmax(x, -1);
        break;
    case 3:
        y = nd_logsumexp(x, ND_AXES(0, 2), true);
        break;
    case 4:
        y = nd_cross_entropy(x, nd_reshape(labels_of(6, labels), ND_SHAPE(2, 3)));
        break;
    default:
        y = nd_mean_squared_error(x, nd_filled(m, ND_F64, shape, 0.3));
        break;
    }
    grad_check("composition", m, 1, &x, y, (double *[]){values}, false);
}
END_TEST

/* -- optimizers --------------------------------------------------------------------------------------------------- */

enum { N = 3 };

/* loss = sum((w - c)^2) in f32. */
static nd_value *bowl(nd_value *w)
{
    nd_value *d = nd_sub(w, nd_mul(nd_iota(m, ND_F32, ND_SHAPE(N), 0), nd_const(m, 0.7)));
    return nd_sum(nd_mul(d, d), ND_ALL_AXES, false);
}

static void run_step(const char *function, const void *const *in, void *const *out, void *const *state)
{
    const char *wrong = nd__verify(m);
    ck_assert_msg(!wrong, "%s", wrong ? wrong : "");
    ck_assert_int_eq(nd__interpret(nd_module_function(m, function), in, out, state, state), ND_OK);
}

/* Two roundings: w - rate * g, not fma. */
START_TEST(sgd_by_hand)
{
    nd_value *w = nd_variable(m, "w", ND_F32, ND_SHAPE(N), nd_full(2)), *loss = bowl(w);
    nd_function *step = nd_function(m, "step", ND_VALUES(), ND_VALUES(loss));
    nd_sgd(step, loss, 1, &w, nd_const(m, 0.1));
    float state[N] = {2, 2, 2}, want[N] = {2, 2, 2}, value;
    for (int i = 0; i < 5; i++) {
        run_step("step", NULL, (void *[]){&value}, (void *[]){state});
        for (int k = 0; k < N; k++) {
            float d = want[k] - (float)k * 0.7f, g = d + d, by = 0.1f * g;
            want[k] = want[k] - by;
        }
    }
    ck_assert_int_eq(memcmp(state, want, sizeof state), 0);
}
END_TEST

START_TEST(momentum_by_hand)
{
    nd_value *w = nd_variable(m, "w", ND_F32, ND_SHAPE(N), nd_full(2)), *loss = bowl(w);
    nd_value *rate = nd_input(m, "rate", ND_F32, ND_SCALAR);
    nd_function *step = nd_function(m, "step", ND_VALUES(rate), ND_VALUES(loss));
    nd_sgd_momentum(step, loss, 1, &w, rate, nd_const(m, 0.9));
    float state[N] = {2, 2, 2}, velocity[N] = {0}, want[N] = {2, 2, 2}, v[N] = {0}, value, r = 0.05f;
    for (int i = 0; i < 5; i++, r *= 0.5f) {
        run_step("step", (const void *[]){&r}, (void *[]){&value}, (void *[]){state, velocity});
        for (int k = 0; k < N; k++) {
            float d = want[k] - (float)k * 0.7f, g = d + d, kept = 0.9f * v[k];
            v[k] = kept + g;
            float by = r * v[k];
            want[k] = want[k] - by;
        }
    }
    ck_assert_int_eq(memcmp(state, want, sizeof state), 0);
    ck_assert_int_eq(memcmp(velocity, v, sizeof v), 0);
    ck_assert_str_eq(m->variables[1]->name, "w/velocity");
    /* Another function shares the velocity. */
    nd_function *again = nd_function(m, "again", ND_VALUES(), ND_VALUES());
    nd_sgd_momentum_apply(again, 1, &w, (&w), nd_const(m, 0.1), nd_const(m, 0.9));
    ck_assert_int_eq(m->variable_count, 2);
    ck_assert_int_eq(nd_module_status(m), ND_OK);
}
END_TEST

/* A gradient function and an apply function have the bits of the step. */
START_TEST(split_step)
{
    nd_value *w = nd_variable(m, "w", ND_F32, ND_SHAPE(N), nd_full(2)), *loss = bowl(w), *g = nd_gradient(loss, w);
    nd_value *sum = nd_input(m, "sum", ND_F32, ND_SHAPE(N));
    nd_function *step = nd_function(m, "step", ND_VALUES(), ND_VALUES(loss));
    nd_sgd(step, loss, 1, &w, nd_const(m, 0.1));
    nd_function(m, "gradients", ND_VALUES(), ND_VALUES(g));
    nd_function *apply = nd_function(m, "apply", ND_VALUES(sum), ND_VALUES());
    nd_sgd_apply(apply, 1, &w, &sum, nd_const(m, 0.1));
    float whole[N] = {2, 1, -3}, parts[N] = {2, 1, -3}, gradient[N], value;
    for (int i = 0; i < 3; i++) {
        run_step("step", NULL, (void *[]){&value}, (void *[]){whole});
        run_step("gradients", NULL, (void *[]){gradient}, (void *[]){parts});
        run_step("apply", (const void *[]){gradient}, NULL, (void *[]){parts});
    }
    ck_assert_int_eq(memcmp(whole, parts, sizeof whole), 0);
}
END_TEST

/* -- errors ------------------------------------------------------------------------------------------------------- */

START_TEST(errors)
{
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(4, 3)), *n = nd_input(m, "n", ND_I32, ND_SHAPE(4));
    nd_value *w = nd_variable(m, "w", ND_F32, ND_SCALAR, nd_zeros());
    nd_function *f = nd_function(m, "f", ND_VALUES(), ND_VALUES(w));
    const char *want = "";
    switch (_i) {
    case 0:
        nd_softmax(x, 2);
        want = "softmax: axis 2 is outside -2..1";
        break;
    case 1:
        nd_softmax(n, 0);
        want = "softmax: \"n\" is i32[4], expected floats";
        break;
    case 2:
        nd_cross_entropy(x, nd_at(n, ":2"));
        want = "expected one for each row of the logits, f32[4,3]";
        break;
    case 3:
        nd_cross_entropy(x, nd_at(x, ":, 0"));
        want = "f32[4], expected integers";
        break;
    case 4:
        nd_cross_entropy(w, n);
        want = "cross_entropy: the logits \"w\" are f32, expected floats [.., classes]";
        break;
    case 5:
        nd_mean_squared_error(x, nd_at(x, ":1"));
        want = "the prediction \"x\" is f32[4,3], the target";
        break;
    case 6:
        nd_sgd(f, nd_mul(w, w), 1, &x, nd_const(m, 0.1));
        want = "sgd: value 0, \"x\", was made by input, it is no variable";
        break;
    case 7:
        nd_sgd(f, w, 1, &w, NULL);
        want = "sgd: the rate is NULL";
        break;
    case 8:
        nd_sgd_momentum_apply(f, 1, &w, NULL, w, w);
        want = "sgd_momentum: the gradients are NULL";
        break;
    case 9:
        nd_sgd(f, NULL, 1, &w, w);
        want = "sgd: the loss is NULL";
        break;
    case 10:
        nd_cross_entropy(x, NULL);
        want = "cross_entropy: operand 1 is NULL";
        break;
    default:
        nd_sgd(NULL, w, 1, &w, w);
        want = "sgd: the function is NULL";
        break;
    }
    ck_assert_int_ne(nd_module_status(m), ND_OK);
    ck_assert_msg(strstr(nd_module_error(m), want), "%s", nd_module_error(m));
    ck_assert_msg(strstr(nd_module_error(m), "test_nn.c:"), "%s", nd_module_error(m));
    ck_assert(nd_value_is_poison(nd_relu(x)) && nd_value_is_poison(nd_softmax(x, 0)));
    ck_assert(nd_value_is_poison(nd_cross_entropy(x, n)) && nd_value_is_poison(nd_logsumexp(x, ND_ALL_AXES, true)));
    ck_assert(!nd_relu(NULL) && !nd_softmax(NULL, 0) && !nd_mean_squared_error(NULL, NULL));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("nn");
    TCase *c = tcase_create("nn");
    tcase_add_checked_fixture(c, begin, end);
    tcase_add_test(c, relu_at_its_kink);
    tcase_add_test(c, softmax_is_stable);
    tcase_add_test(c, logsumexp_of_infinities);
    tcase_add_test(c, cross_entropy_and_its_gradient);
    tcase_add_test(c, labels_outside);
    tcase_add_loop_test(c, gradients_of_compositions, 0, 6);
    tcase_add_test(c, sgd_by_hand);
    tcase_add_test(c, momentum_by_hand);
    tcase_add_test(c, split_step);
    tcase_add_loop_test(c, errors, 0, 12);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
