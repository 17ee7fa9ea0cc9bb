/* Losses and metrics: values against the formulas of the textbooks in plain C, gradients, edges, messages, native bits.
 */
#include "grad_check.h"
#include "nadir/nn.h"
#include "run_suite.h"
#include "two_ways.h"

#include <check.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 4, CLASSES = 3, ALL = ROWS * CLASSES };

static nd_module *m;
static const double scores[ALL] = {0.1, 2, -1, 3, 0.5, 800, -4, -3, -3, 0, 0, 0};
static const double wanted[ALL] = {0.2, 0.3, 0.5, 0, 1, 0, 0.25, 0.75, 0, 1, 0, 0};
static const int32_t classes[ROWS] = {1, 0, 2, 0};

static void begin(void)
{
    m = nd_module_create("loss");
    ck_assert_ptr_nonnull(m);
}

static void end(void)
{
    nd_module_destroy(m);
}

static nd_value *matrix(const double *items)
{
    nd_shape shape = ND_SHAPE(ROWS, CLASSES);
    return nd__constant(m, "", ND_F64, &shape, ALL, items);
}

static nd_value *numbers(int n, const double *items)
{
    nd_shape shape = ND_SHAPE(n);
    return nd__constant(m, "", ND_F64, &shape, n, items);
}

static nd_value *labels(int n, const int32_t *items)
{
    nd_shape shape = ND_SHAPE(n);
    return nd__constant(m, "", ND_I32, &shape, n, items);
}

static double number(nd_value *v)
{
    nd_tensor *t = nd_evaluate(v);
    ck_assert_msg(nd_tensor_status(t) == ND_OK, "%s %s", nd_tensor_error(t), nd_module_error(m));
    double value = nd_tensor_get(t, 0);
    nd_tensor_destroy(t);
    return value;
}

static double log_softmax(const double *row, int c)
{
    double largest = -DBL_MAX, sum = 0;
    for (int i = 0; i < CLASSES; i++)
        largest = fmax(largest, row[i]);
    for (int i = 0; i < CLASSES; i++)
        sum += exp(row[i] - largest);
    return row[c] - largest - log(sum);
}

/* -- losses ------------------------------------------------------------------------------------------------------- */

START_TEST(smoothed_and_weighted_cross_entropy)
{
    const double weights[ROWS] = {0.5, 2, 0, 1}, s = 0.1;
    double sum = 0, weight = 0, plain = 0;
    for (int r = 0; r < ROWS; r++) {
        double row = 0;
        for (int c = 0; c < CLASSES; c++)
            row -= ((c == classes[r]) * (1 - s) + s / CLASSES) * log_softmax(scores + CLASSES * r, c);
        sum += weights[r] * row;
        plain += row / ROWS;
        weight += weights[r];
    }
    nd_value *x = matrix(scores), *y = labels(ROWS, classes);
    ck_assert_double_eq_tol(number(nd_cross_entropy_weighted(x, y, s, numbers(ROWS, weights))), sum / weight,
                            1e-12 * sum);
    ck_assert_double_eq_tol(number(nd_cross_entropy_weighted(x, y, s, NULL)), plain, 1e-12 * plain);
    ck_assert(number(nd_cross_entropy_weighted(x, y, 0, NULL)) == number(nd_cross_entropy(x, y)));
}
END_TEST

START_TEST(cross_entropy_of_distributions)
{
    double want = 0, certain[ALL] = {0};
    for (int r = 0; r < ROWS; r++) {
        for (int c = 0; c < CLASSES; c++)
            want -= wanted[CLASSES * r + c] * log_softmax(scores + CLASSES * r, c) / ROWS;
        certain[CLASSES * r + classes[r]] = 1;
    }
    ck_assert_double_eq_tol(number(nd_cross_entropy_soft(matrix(scores), matrix(wanted))), want, 1e-12 * want);
    double hard = number(nd_cross_entropy(matrix(scores), labels(ROWS, classes)));
    ck_assert_double_eq_tol(number(nd_cross_entropy_soft(matrix(scores), matrix(certain))), hard, 1e-12 * hard);
}
END_TEST

/* Against the unstable form where that can be computed; far out it is |x|; at 0 the gradient is 1/2 - target. */
START_TEST(binary_cross_entropy)
{
    const double x[] = {-2, 0.3, 1.5}, t[] = {0, 1, 0.25}, far[] = {1000, -1000};
    double want = 0;
    for (int i = 0; i < 3; i++) {
        double s = 1 / (1 + exp(-x[i]));
        want -= (t[i] * log(s) + (1 - t[i]) * log(1 - s)) / 3;
    }
    ck_assert_double_eq_tol(number(nd_binary_cross_entropy(numbers(3, x), numbers(3, t))), want, 1e-14);
    ck_assert(number(nd_binary_cross_entropy(numbers(2, far), numbers(2, (double[]){0, 1}))) == 1000);
    ck_assert(number(nd_binary_cross_entropy(numbers(2, far), numbers(2, (double[]){1, 0}))) == 0);
    nd_value *zero = numbers(1, (double[]){0});
    ck_assert(number(nd_gradient(nd_binary_cross_entropy(zero, numbers(1, (double[]){0.75})), zero)) == 0.5 - 0.75);
}
END_TEST

/* An impossible class counts nothing, in the gradient neither, even where the prediction is 0, too. */
START_TEST(kl_divergence)
{
    const double p[ALL] = {0.1, 0.2, 0.7, 0, 0.6, 0.4, 0.5, 0.25, 0.25, 0.9, 0.1, 0};
    double want = 0, g[ALL];
    for (int i = 0; i < ALL; i++)
        want += wanted[i] > 0 ? wanted[i] * log(wanted[i] / p[i]) / ROWS : 0;
    nd_value *prediction = matrix(p), *kl = nd_kl_divergence(prediction, matrix(wanted));
    ck_assert_double_eq_tol(number(kl), want, 1e-14);
    ck_assert(number(nd_kl_divergence(matrix(wanted), matrix(wanted))) == 0);
    nd_function *f = nd_function(m, "f", ND_VALUES(), ND_VALUES(nd_gradient(kl, prediction)));
    grad_run(f, NULL, (void *[]){g}, NULL);
    for (int i = 0; i < ALL; i++)
        ck_assert_double_eq_tol(g[i], wanted[i] > 0 ? -wanted[i] / p[i] / ROWS : 0, 1e-14);
}
END_TEST

START_TEST(losses_of_numbers)
{
    const double p[] = {1, -2, 0.5, 4}, t[] = {1.5, 2, 0.5, -1}, signs[] = {1, -1, 1, -1};
    double absolute = 0, huber = 0, hinge = 0;
    for (int i = 0; i < 4; i++) {
        double a = fabs(p[i] - t[i]);
        absolute += a / 4;
        huber += (a <= 0.75 ? a * a / 2 : 0.75 * (a - 0.375)) / 4;
        hinge += fmax(0, 1 - signs[i] * p[i]) / 4;
    }
    ck_assert_double_eq_tol(number(nd_mean_absolute_error(numbers(4, p), numbers(4, t))), absolute, 1e-15);
    ck_assert_double_eq_tol(number(nd_huber(numbers(4, p), numbers(4, t), 0.75)), huber, 1e-15);
    ck_assert_double_eq_tol(number(nd_hinge(numbers(4, p), numbers(4, signs))), hinge, 1e-15);
}
END_TEST

/* Finite differences, by the prediction and, where it makes sense, by the target. */
START_TEST(gradients)
{
    nd_shape shape = ND_SHAPE(ROWS, CLASSES);
    nd_value *x[] = {nd_input(m, "x", ND_F64, shape), nd_input(m, "t", ND_F64, shape)}, *y = NULL;
    nd_value *positive = nd_exp(x[0]), *weights = nd_exp(nd_at(x[1], ":, 0"));
    double a[ALL], b[ALL];
    grad_fill(a, ALL, -1, 1, 3);
    grad_fill(b, ALL, 0.1, 0.9, 4);
    switch (_i) {
    case 0:
        y = nd_cross_entropy_weighted(x[0], labels(ROWS, classes), 0.2, weights);
        break;
    case 1:
        y = nd_cross_entropy_soft(x[0], x[1]);
        break;
    case 2:
        y = nd_binary_cross_entropy(x[0], x[1]);
        break;
    case 3:
        y = nd_kl_divergence(positive, x[1]);
        break;
    case 4:
        y = nd_mean_absolute_error(x[0], x[1]);
        break;
    case 5:
        y = nd_huber(x[0], x[1], 0.5);
        break;
    case 6:
        y = nd_hinge(x[0], x[1]);
        break;
    default:
        y = nd_r2(x[0], x[1]);
        break;
    }
    grad_check("loss", m, 2, x, y, (double *[]){a, b}, false);
}
END_TEST

/* -- metrics ------------------------------------------------------------------------------------------------------ */

START_TEST(accuracies)
{
    /* Row 0 right, 1 wrong, 2 wrong (class 1 comes first among equals), 3 right. */
    nd_value *x = matrix(scores), *y = labels(ROWS, classes);
    ck_assert(number(nd_categorical_accuracy(x, y)) == 0.5);
    ck_assert(number(nd_top_k_accuracy(x, y, 1)) == 0.5);
    ck_assert(number(nd_top_k_accuracy(x, y, 2)) == 1); /* 3 is second to 800, class 2 to its equal */
    ck_assert(number(nd_top_k_accuracy(x, labels(ROWS, (int32_t[]){0, 1, 0, 2}), 2)) == 0.25);
    ck_assert(number(nd_top_k_accuracy(x, y, 3)) == 1);
    /* Labels outside are wrong, and so is a row of NaN unless the NaN's own class is asked for. */
    nd_value *outside = labels(ROWS, (int32_t[]){-1, 3, 1, 0});
    ck_assert(number(nd_categorical_accuracy(x, outside)) == 0.5 && number(nd_top_k_accuracy(x, outside, 3)) == 0.5);
    double strange[ALL] = {NAN, 1, 2};
    ck_assert(number(nd_top_k_accuracy(matrix(strange), labels(ROWS, (int32_t[]){2, 1, 1, 1}), 1)) == 0);
    ck_assert(number(nd_binary_accuracy(numbers(4, (double[]){2, -1, 0, 3}), numbers(4, (double[]){1, 1, 0, 0.4}))) ==
              0.5);
}
END_TEST

START_TEST(confusion)
{
    int64_t counts[9], want[9] = {0, 0, 0, 0, 1, 0, 0, 0, 0};
    want[0 * 3 + 2] = want[0 * 3 + 0] = want[2 * 3 + 1] = 1;
    nd_value *v = nd_confusion_matrix(matrix(scores), labels(ROWS, classes));
    grad_run(nd_function(m, "f", ND_VALUES(), ND_VALUES(v)), NULL, (void *[]){counts}, NULL);
    ck_assert_int_eq(memcmp(counts, want, sizeof want), 0);
    v = nd_confusion_matrix(matrix(scores), labels(ROWS, (int32_t[]){-1, 3, INT32_MAX, INT32_MIN}));
    grad_run(nd_function(m, "g", ND_VALUES(), ND_VALUES(v)), NULL, (void *[]){counts}, NULL);
    for (int i = 0; i < 9; i++)
        ck_assert_int_eq(counts[i], 0);
}
END_TEST

START_TEST(r2_and_perplexity)
{
    const double p[] = {1, 2.5, 2, 4}, t[] = {1.5, 2, 2.5, 5};
    double mean = 0, d = 0, e = 0;
    for (int i = 0; i < 4; i++)
        mean += t[i] / 4;
    for (int i = 0; i < 4; i++)
        d += (t[i] - p[i]) * (t[i] - p[i]), e += (t[i] - mean) * (t[i] - mean);
    ck_assert_double_eq_tol(number(nd_r2(numbers(4, p), numbers(4, t))), 1 - d / e, 1e-15);
    ck_assert(number(nd_r2(numbers(4, t), numbers(4, t))) == 1);
    nd_value *even = nd_filled(m, ND_F64, ND_SHAPE(ROWS, CLASSES), 2);
    ck_assert_double_eq_tol(number(nd_perplexity(even, labels(ROWS, classes))), CLASSES, 1e-14);
}
END_TEST

/* -- native code and messages ------------------------------------------------------------------------------------- */

START_TEST(native_bits)
{
    nd_shape rows = ND_SHAPE(5, 7), one = ND_SHAPE(5);
    nd_value *x = nd_input(m, "x", ND_F32, rows), *t = nd_input(m, "t", ND_F32, rows),
             *y = nd_input(m, "y", ND_I32, one);
    nd_value *p = nd_softmax(x, 1), *q = nd_softmax(t, 1);
    nd_value *losses = nd_add(nd_cross_entropy_weighted(x, y, 0.1, nd_exp(nd_at(t, ":, 0"))),
                              nd_add(nd_binary_cross_entropy(x, q), nd_kl_divergence(p, q)));
    nd_value *more = nd_add(nd_cross_entropy_soft(x, q), nd_add(nd_huber(x, t, 0.5), nd_hinge(x, t)));
    nd_value *metrics = nd_add(nd_top_k_accuracy(x, y, 3), nd_add(nd_binary_accuracy(x, q), nd_r2(x, t)));
    nd_function(m, "f", ND_VALUES(x, t, y),
                ND_VALUES(losses, more, metrics, nd_confusion_matrix(x, y), nd_gradient(nd_add(losses, more), x)));
    two_ways(m, "f", 3, 9); /* labels 7 and 8 are outside */
}
END_TEST

START_TEST(errors)
{
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(4, 3)), *n = nd_input(m, "n", ND_I32, ND_SHAPE(4));
    const char *want = "";
    switch (_i) {
    case 0:
        nd_cross_entropy_weighted(x, n, 1.5, NULL);
        want = "cross_entropy: the smoothing is 1.5, expected 0 to 1";
        break;
    case 1:
        nd_cross_entropy_weighted(x, n, 0, nd_at(x, "0"));
        want = "expected one for each row, f32[4]";
        break;
    case 2:
        nd_top_k_accuracy(x, n, 4);
        want = "top_k_accuracy: k is 4, expected 1 to 3";
        break;
    case 3:
        nd_confusion_matrix(x, nd_at(n, ":3"));
        want = "confusion_matrix: the labels %";
        break;
    case 4:
        nd_huber(x, x, 0);
        want = "huber: delta is 0, expected more than 0";
        break;
    case 5:
        nd_hinge(x, nd_at(x, ":2"));
        want = "hinge: the prediction \"x\" is f32[4,3], the target %";
        break;
    case 6:
        nd_kl_divergence(nd_sum(x, ND_ALL_AXES, false), nd_sum(x, ND_ALL_AXES, false));
        want = " is f32, expected floats [.., classes]";
        break;
    case 7:
        nd_mean_absolute_error(n, n);
        want = "the target \"n\" is i32[4], expected floats of one shape";
        break;
    default:
        nd_r2(x, NULL);
        want = "r2: operand 1 is NULL";
        break;
    }
    ck_assert_msg(strstr(nd_module_error(m), want), "%s", nd_module_error(m));
    ck_assert_msg(strstr(nd_module_error(m), "test_nn_loss.c:"), "%s", nd_module_error(m));
    ck_assert(nd_value_is_poison(nd_perplexity(x, n)) && nd_value_is_poison(nd_categorical_accuracy(x, n)));
    ck_assert(!nd_hinge(NULL, NULL) && !nd_perplexity(NULL, NULL));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("nn_loss");
    TCase *c = tcase_create("nn_loss");
    tcase_add_checked_fixture(c, begin, end);
    tcase_add_test(c, smoothed_and_weighted_cross_entropy);
    tcase_add_test(c, cross_entropy_of_distributions);
    tcase_add_test(c, binary_cross_entropy);
    tcase_add_test(c, kl_divergence);
    tcase_add_test(c, losses_of_numbers);
    tcase_add_loop_test(c, gradients, 0, 8);
    tcase_add_test(c, accuracies);
    tcase_add_test(c, confusion);
    tcase_add_test(c, r2_and_perplexity);
    tcase_add_test(c, native_bits);
    tcase_add_loop_test(c, errors, 0, 9);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
