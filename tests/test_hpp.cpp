/* nadir.hpp: operators make the nodes of the calls, with the caller's line. */
#include "nadir/nadir.hpp"

#include <check.h>
#include <cstring>
#include <string>

static double evaluate(nd::value v)
{
    nd_tensor *t = nd_evaluate(v.get());
    ck_assert_msg(nd_tensor_status(t) == ND_OK, "%s", nd_tensor_error(t));
    const double result = nd_tensor_get(t, 0);
    nd_tensor_destroy(t);
    return result;
}

START_TEST(operators)
{
    nd_module *m = nd_module_create("m");
    nd::value a = nd_const_of(m, ND_F32, 7), b = nd_const_of(m, ND_F32, 2);
    nd::value i = nd_const_of(m, ND_I32, 7), j = nd_const_of(m, ND_I32, 2);
    const struct {
        nd::value value;
        double expected;
    } cases[] = {
        {a + b, 9},
        {a - b, 5},
        {a * b, 14},
        {a / b, 3.5},
        {-a, -7},
        {i % j, 1},
        {i & j, 2},
        {i | 8, 15},
        {i ^ j, 5},
        {~i, -8},
        {a == b, 0},
        {a != b, 1},
        {a < b, 0},
        {a <= 7, 1},
        {a > b, 1},
        {2 >= b, 1},
        {~(a < b), 1},
        {(a < b) | (a > b), 1},
        {a + 0, 7},
        {0.5 * a, 3.5},
        {10 - a, 3},
        {1 / b, 0.5},
        {i + 1L, 8},
        {a + b.get(), 9},
        {(a + b) * (b - 1), 9},
        {nd::pow(a, 2), 49},
        {nd::floordiv(i, j), 3},
        {nd::min(a, b), 2},
        {nd::max(1, b), 2},
        {nd::abs(-a), 7},
        {nd::sqrt(a + b), 3},
        {nd::exp(a - 7), 1},
        {nd::log(b - 1), 0},
        {nd::tanh(a - a), 0},
        {nd::sigmoid(a - a), 0.5},
        {nd::sin(a - a), 0},
        {nd::cos(a - a), 1},
        {nd::select(a < b, a, 1), 1},
        {nd::select(a > b, 3, b), 3},
        {nd::gradient(a * a, a), 14},
    };
    for (const auto &c : cases)
        ck_assert_msg(evaluate(c.value) == c.expected, "case %d: %g, expected %g", static_cast<int>(&c - cases),
                      evaluate(c.value), c.expected);
    ck_assert_str_eq(nd_module_error(m), "");
    nd_module_destroy(m);
}
END_TEST

START_TEST(matrices)
{
    nd_module *m = nd_module_create("m");
    const float numbers[] = {1, 2, 3, 4};
    const int64_t sizes[] = {2, 2};
    nd_tensor *t = nd_tensor_of(ND_F32, nd_shape_of(2, sizes), numbers);
    nd::value x = nd_const_tensor(m, t);
    ck_assert(evaluate(nd::sum(nd::matmul(x, x))) == 54);
    ck_assert(evaluate(nd::mean(x)) == 2.5);
    nd_tensor_destroy(t);
    nd_module_destroy(m);
}
END_TEST

/* The error has this file and the expression's line, and the node keeps it. */
START_TEST(places)
{
    nd_module *m = nd_module_create("m");
    nd::value a = nd_input(m, "a", ND_F32, ND_SCALAR), i = nd_input(m, "i", ND_I32, ND_SCALAR);
    nd::value product = 2 * (a * a);
    const int line = __LINE__ + 1;
    nd::value bad = product + i;
    ck_assert(nd_value_is_poison(bad.get()));
    const std::string here = std::string(__FILE__) + ":", error = nd_module_error(m);
    ck_assert_msg(error.rfind(here + std::to_string(line) + ": add", 0) == 0, "%s", error.c_str());
    ck_assert_msg(error.find("made at " + here + std::to_string(line - 2)) != std::string::npos, "%s", error.c_str());
    nd_module_destroy(m);
}
END_TEST

START_TEST(nothing_to_work_on)
{
    nd_module *m = nd_module_create("m");
    nd::value none, a = nd_const_of(m, ND_F32, 1);
    ck_assert_ptr_null((none + none).get());
    ck_assert_ptr_null((none + 1).get());
    ck_assert_ptr_null(nd::exp(2).get());
    ck_assert(nd_value_is_poison((a + none).get()));
    ck_assert_ptr_nonnull(std::strstr(nd_module_error(m), "add: operand 1 is NULL"));
    nd_module_destroy(m);
}
END_TEST

int main()
{
    Suite *suite = suite_create("hpp");
    TCase *tests = tcase_create("hpp");
    tcase_add_test(tests, operators);
    tcase_add_test(tests, matrices);
    tcase_add_test(tests, places);
    tcase_add_test(tests, nothing_to_work_on);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
