/* Values stored where they are wanted, by the kernels that compute them; with the interpreter's bits. */
#include "compiler/schedule/schedule.h"
#include "run_suite.h"
#include "schedule_check.h"

#include <check.h>

/* A graph over x and w, [5,20] and [20,20], whose plan has so many steps. */
static void check(const char *what, nd_module *m, int steps)
{
    nd__plan *plan = schedule_checked(what, m);
    if (plan->steps.count != steps)
        nd__plan_print(plan, true, stderr);
    ck_assert_msg(plan->steps.count == steps, "%s: %d steps, expected %d", what, plan->steps.count, steps);
    nd__plan_destroy(plan);
}

static nd_module *with_inputs(nd_value **x, nd_value **w)
{
    nd_module *m = nd_module_create("places");
    *x = nd_input(m, "x", ND_F32, ND_SHAPE(5, 20));
    *w = nd_input(m, "w", ND_F32, ND_SHAPE(20, 20));
    return m;
}

#define CONCAT(axis, ...) nd_concat(ND_VALUES(__VA_ARGS__), axis)

/* Maps that need nothing of each other are one kernel, however often their values are parts. */
START_TEST(parts_of_maps)
{
    nd_value *x, *w;
    nd_module *m = with_inputs(&x, &w);
    nd_value *a = nd_exp(x), *b = nd_sin(nd_add(x, x)), *c = nd_sqrt(a);
    nd_function(m, "f", ND_VALUES(x), ND_VALUES(CONCAT(1, a, b, c), CONCAT(0, c, b, c)));
    check("maps", m, 1);
    for (int axis = 0; axis < 2; axis++) { /* of different shapes they are not */
        m = with_inputs(&x, &w);
        nd_function(m, "f", ND_VALUES(x, w), ND_VALUES(CONCAT(axis, nd_exp(axis ? nd_at(w, "1:6") : w), nd_sin(x))));
        check("other shapes", m, axis ? 1 : 2);
    }
}
END_TEST

/* A product stores its tiles in the whole; another that needs the first part comes after it. */
START_TEST(parts_of_products)
{
    nd_value *x, *w;
    nd_module *m = with_inputs(&x, &w);
    nd_value *a = nd_tanh(nd_matmul(x, w)), *b = nd_matmul(a, w);
    nd_function(m, "f", ND_VALUES(x, w), ND_VALUES(nd_exp(nd_transpose(CONCAT(1, a, b), ND_ALL_AXES))));
    check("products", m, 3);
}
END_TEST

/* A kernel that stores parts also sums what it computes, along rows short and long, or over them. */
START_TEST(parts_of_what_is_summed)
{
    static const int64_t widths[] = {5, 40, 64, 100};
    for (int i = 0; i < 16; i++) {
        nd_module *m = nd_module_create("summed");
        nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(200, widths[i % 4])), *a = nd_exp(x), *b = nd_sin(nd_add(x, a)),
                 *whole = CONCAT(i / 4 % 2, a, b, a);
        nd_value *sum = nd_sum(nd_mul(a, b), ND_AXES(i / 8 ? -1 : 0), false);
        nd_function(m, "f", ND_VALUES(x), ND_VALUES(whole, sum, b, b));
        nd__plan_destroy(schedule_checked("summed", m));
    }
}
END_TEST

/* What is no kernel's result is read and stored by the concatenation itself. */
START_TEST(parts_of_views)
{
    nd_value *x, *w;
    nd_module *m = with_inputs(&x, &w);
    nd_value *a = nd_exp(x);
    nd_function(m, "f", ND_VALUES(x), ND_VALUES(CONCAT(0, nd_at(a, "::-1"), a, x, nd_at(a, "1:2"))));
    check("views", m, 4);
}
END_TEST

/* What a kernel reads, where it reads it, is stored by it: no copy of a view. */
START_TEST(views_of_what_is_read)
{
    nd_value *x, *w;
    nd_module *m = with_inputs(&x, &w);
    nd_value *y = nd_exp(nd_matmul(x, w)), *part = nd_at(y, "1:3, ::-1");
    nd_function(m, "f", ND_VALUES(x, w), ND_VALUES(nd_sin(nd_mul(part, nd_at(x, ":2"))), part, nd_at(x, ":2")));
    check("views of what is read", m, 2);
    m = with_inputs(&x, &w); /* not where it reads something else of it, or over what is read */
    y = nd_variable(m, "y", ND_F32, ND_SHAPE(2, 20), nd_zeros());
    nd_function *f = nd_function(m, "f", ND_VALUES(x), ND_VALUES(nd_sin(nd_mul(nd_at(x, ":2"), y)), nd_at(x, "1:3")));
    nd_assign(f, y, nd_at(x, ":2"));
    check("other views", m, 3);
}
END_TEST

/* Heads of rows: a product reads them where they lie, and stores its own as rows again. */
START_TEST(heads)
{
    enum { B = 2, H = 3, T = 5, D = 20 };
    for (int turned = 0; turned < 2; turned++) {
        nd_module *m = nd_module_create("heads");
        nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(B * T, 2 * H * D)),
                 *w = nd_input(m, "w", ND_F32, ND_SHAPE(H * D, 7));
        nd_value *both = nd_transpose(nd_reshape(x, ND_SHAPE(B, T, 2, H, D)), ND_AXES(2, 0, 3, 1, 4));
        nd_value *q = nd_at(both, "0"), *v = nd_at(both, "1"), *p = nd_input(m, "p", ND_F32, ND_SHAPE(B, H, T, T));
        nd_value *y = nd_add(nd_matmul(p, v), q); /* whose last axis stays the last, or a copy turns it in blocks */
        y = nd_reshape(nd_transpose(y, turned ? ND_AXES(0, 3, 1, 2) : ND_AXES(0, 2, 1, 3)),
                       turned ? ND_SHAPE(B * D, H * T) : ND_SHAPE(B * T, H * D));
        nd_function(m, "f", ND_VALUES(x, w, p), ND_VALUES(turned ? nd_matmul_t(y, true, y, false) : nd_matmul(y, w)));
        check("heads", m, turned ? 3 : 2);
    }
}
END_TEST

/* Parts of a concatenation that is shown in another order are stored in that order, and nowhere else but where they are
 * wanted. */
START_TEST(parts_in_another_order)
{
    enum { B = 2, H = 3, T = 5, D = 20 };
    for (int more = 0; more < 2; more++) {
        nd_module *m = nd_module_create("order");
        nd_value *a = nd_input(m, "a", ND_F32, ND_SHAPE(B, H, T, T)),
                 *b = nd_input(m, "b", ND_F32, ND_SHAPE(B, H, T, D));
        nd_value *w = nd_input(m, "w", ND_F32, ND_SHAPE(2 * H * D, 7)), *one = nd_matmul(a, b),
                 *two = nd_matmul(a, one);
        nd_value *parts =
            CONCAT(0, nd_reshape(nd_mul(one, b), ND_SHAPE(1, B, H, T, D)), nd_reshape(two, ND_SHAPE(1, B, H, T, D)));
        nd_value *rows = nd_reshape(nd_transpose(parts, ND_AXES(1, 3, 0, 2, 4)), ND_SHAPE(B * T, 2 * H * D));
        nd_function(m, "f", ND_VALUES(a, b, w),
                    more ? ND_VALUES(nd_matmul(rows, w), nd_sum(rows, ND_AXES(0), false), parts)
                         : ND_VALUES(nd_matmul(rows, w), nd_sum(rows, ND_AXES(0), false)));
        check("order", m, 4);
    }
}
END_TEST

/* What is still read is overwritten at the end: v := v's rows the other way round, and v + 1. */
START_TEST(parts_over_what_is_read)
{
    nd_value *x, *w;
    nd_module *m = with_inputs(&x, &w);
    nd_value *v = nd_variable(m, "v", ND_F32, ND_SHAPE(10, 20), nd_zeros());
    nd_value *low = nd_exp(nd_at(v, ":5")), *high = nd_sin(nd_at(v, "5:"));
    nd_function *f = nd_function(m, "f", ND_VALUES(x), ND_VALUES(nd_sum(nd_mul(low, x), ND_ALL_AXES, false)));
    nd_assign(f, v, CONCAT(0, high, low));
    nd__plan_destroy(schedule_checked("over", m));
}
END_TEST

/* One kernel for all: outputs, one of them through a reshape, and variables, one of which it reads. */
START_TEST(one_value_in_many_places)
{
    nd_value *x, *w;
    nd_module *m = with_inputs(&x, &w);
    nd_value *v = nd_variable(m, "v", ND_F32, ND_SHAPE(5, 20), nd_zeros()),
             *u = nd_variable(m, "u", ND_F32, ND_SHAPE(5, 20), nd_zeros()), *y = nd_tanh(nd_add(x, v));
    nd_function *f = nd_function(m, "f", ND_VALUES(x), ND_VALUES(y, y, nd_reshape(y, ND_SHAPE(100)), CONCAT(0, y, y)));
    nd_assign(f, v, y);
    nd_assign(f, u, y);
    check("places", m, 1);
    m = with_inputs(&x, &w); /* of two variables that are read crosswise one is copied at the end */
    v = nd_variable(m, "v", ND_F32, ND_SHAPE(20, 20), nd_zeros());
    u = nd_variable(m, "u", ND_F32, ND_SHAPE(20, 20), nd_zeros());
    y = nd_matmul(u, nd_exp(v));
    f = nd_function(m, "f", ND_VALUES(), ND_VALUES(y));
    nd_assign(f, u, y);
    nd_assign(f, v, y);
    nd__plan_destroy(schedule_checked("crosswise", m));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("schedule_places");
    TCase *t = tcase_create("places");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, parts_of_maps);
    tcase_add_test(t, parts_of_products);
    tcase_add_test(t, parts_of_what_is_summed);
    tcase_add_test(t, parts_of_views);
    tcase_add_test(t, views_of_what_is_read);
    tcase_add_test(t, heads);
    tcase_add_test(t, parts_in_another_order);
    tcase_add_test(t, parts_over_what_is_read);
    tcase_add_test(t, one_value_in_many_places);
    suite_add_tcase(s, t);
    return run_suite(s);
}
