/* Values that kernels store for each other, or compute again; with the interpreter's bits. */
#include "nadir/nn.h"
#include "run_suite.h"

#include "compiler/schedule/schedule.h"
#include "schedule_check.h"

#include <check.h>

enum { ROWS = 21, COLUMNS = 40 };

/* A graph whose plan has so many buffers of that many elements of its own. */
static void check(const char *what, nd_module *m, int64_t elements, int buffers)
{
    nd__plan *plan = schedule_checked(what, m);
    int count = 0;
    for (int i = 0; i < plan->buffer_count; i++)
        count += plan->buffers[i].where == ND__IN_ARENA && plan->buffers[i].elems == elements;
    if (count != buffers)
        nd__plan_print(plan, true, stderr);
    ck_assert_msg(count == buffers, "%s: %d buffers, expected %d", what, count, buffers);
    nd__plan_destroy(plan);
}

typedef struct layer {
    nd_module *m;
    nd_value *x, *w, *b, *dy, *sum;
} layer;

/* x w + b, and an input of its shape. */
static layer make_layer(void)
{
    layer l = {.m = nd_module_create("layer")};
    l.x = nd_input(l.m, "x", ND_F32, ND_SHAPE(ROWS, 24));
    l.w = nd_input(l.m, "w", ND_F32, ND_SHAPE(24, COLUMNS));
    l.b = nd_input(l.m, "b", ND_F32, ND_SHAPE(COLUMNS));
    l.dy = nd_input(l.m, "dy", ND_F32, ND_SHAPE(ROWS, COLUMNS));
    l.sum = nd_add(nd_matmul(l.x, l.w), l.b);
    return l;
}

/* The gradients of a product of y and v. */
static void check_gradients(const char *what, const layer *l, nd_value *y, nd_value *v, int buffers)
{
    nd_value *targets[] = {l->x, l->w, l->b, v}, *grads[4];
    nd_gradients(nd_sum(nd_mul(nd_matmul(y, v), nd_matmul(l->dy, v)), ND_ALL_AXES, false), 4, targets, grads);
    nd_function(l->m, "f", ND_VALUES(l->x, l->w, l->b, l->dy, v), ND_VALUES(grads[0], grads[1], grads[2], grads[3]));
    check(what, l->m, ROWS * COLUMNS, buffers);
}

/* Of what a gradient is made of, only what cannot be made of the rest lies in memory, beside the gradient. */
START_TEST(activations)
{
    layer l = make_layer();
    nd_value *v = nd_input(l.m, "v", ND_F32, ND_SHAPE(COLUMNS, 12));
    check_gradients("gelu", &l, nd_gelu_tanh(l.sum), v, 2 + 1); /* the slope, the result */
    l = make_layer();
    v = nd_input(l.m, "v", ND_F32, ND_SHAPE(COLUMNS, 12));
    check_gradients("tanh", &l, nd_tanh(l.sum), v, 1 + 1);
    l = make_layer();
    v = nd_input(l.m, "v", ND_F32, ND_SHAPE(COLUMNS, 12));
    check_gradients("relu", &l, nd_relu(l.sum), v, 1 + 1);
}
END_TEST

/* One value stands for many that are made of it, also where they are read in another order, and by sums. */
START_TEST(the_narrowest_place)
{
    layer l = make_layer();
    nd_value *e = nd_exp(l.sum), *a = nd_mul(e, l.dy), *c = nd_sub(a, e), *turned = nd_transpose(c, ND_ALL_AXES);
    nd_value *z = nd_input(l.m, "z", ND_F32, ND_SHAPE(COLUMNS, ROWS));
    nd_function(l.m, "f", ND_VALUES(l.x, l.w, l.b, l.dy, z),
                ND_VALUES(nd_mul(turned, nd_add(z, nd_transpose(a, ND_ALL_AXES))), nd_sum(c, ND_AXES(0), false),
                          nd_sum(a, ND_AXES(1), false)));
    check("one exp", l.m, ROWS * COLUMNS, 1);
}
END_TEST

/* Sums of the same rows that do not need each other are one kernel as soon as something needs both: beside the
 * product's. */
START_TEST(rows_that_meet)
{
    for (int64_t columns = COLUMNS; columns <= 2 * COLUMNS; columns += COLUMNS) {
        nd_module *m = nd_module_create("rows");
        nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(ROWS, 24)),
                 *w = nd_input(m, "w", ND_F32, ND_SHAPE(24, columns));
        nd_value *z = nd_input(m, "z", ND_F32, ND_SHAPE(ROWS, columns));
        nd_value *y = nd_matmul(x, w), *first = nd_sum(y, ND_AXES(-1), true);
        nd_value *second = nd_sum(nd_mul(y, z), ND_AXES(-1), true);
        nd_function(m, "f", ND_VALUES(x, w, z), ND_VALUES(nd_add(nd_mul(y, first), nd_mul(z, second))));
        nd__plan *plan = schedule_checked("rows that meet", m);
        ck_assert_int_eq(plan->kernel_count, 2);
        nd__plan_destroy(plan);
    }
}
END_TEST

/* Of all that a norm's gradient makes of that of its result, a product's kernel stores the one: what it is made of
 * besides is there for another part of it. */
START_TEST(a_norm)
{
    nd_module *m = nd_module_create("norm");
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(ROWS, COLUMNS)),
             *v = nd_input(m, "v", ND_F32, ND_SHAPE(COLUMNS, 12)), *g;
    nd_value *gain = nd_input(m, "gain", ND_F32, ND_SHAPE(COLUMNS)),
             *bias = nd_input(m, "bias", ND_F32, ND_SHAPE(COLUMNS));
    nd_value *d = nd_sub(x, nd_mean(x, ND_AXES(1), true)), *variance = nd_mean(nd_mul(d, d), ND_AXES(1), true);
    nd_value *unit = nd_mul(d, nd_div(nd_const(m, 1), nd_sqrt(nd_add(variance, nd_const(m, 1e-5)))));
    nd_value *dy = nd_input(m, "dy", ND_F32, ND_SHAPE(ROWS, 12));
    nd_value *y = nd_matmul(nd_add(nd_mul(unit, gain), bias), v);
    nd_gradients(nd_sum(nd_mul(y, dy), ND_ALL_AXES, false), 1, &x, &g);
    nd_function(m, "f", ND_VALUES(x, v, gain, bias, dy), ND_VALUES(g));
    check("a norm", m, ROWS * COLUMNS, 1);
}
END_TEST

/* What takes long is not done twice, nor what would need more to be stored. */
START_TEST(worth_their_place)
{
    layer l = make_layer();
    nd_value *a = nd_exp(l.sum), *c = nd_div(l.sum, l.dy), *sum = nd_add(a, c);
    nd_value *z = nd_input(l.m, "z", ND_F32, ND_SHAPE(COLUMNS, ROWS));
    nd_function(l.m, "f", ND_VALUES(l.x, l.w, l.b, l.dy, z), ND_VALUES(nd_mul(z, nd_transpose(sum, ND_ALL_AXES))));
    check("a sum of two", l.m, ROWS * COLUMNS, 1);
    l = make_layer();
    z = nd_input(l.m, "z", ND_F32, ND_SHAPE(COLUMNS, ROWS));
    nd_value *t = l.sum;
    for (int i = 0; i < 20; i++)
        t = nd_add(nd_mul(t, t), l.dy);
    nd_function(l.m, "f", ND_VALUES(l.x, l.w, l.b, l.dy, z),
                ND_VALUES(nd_mul(z, nd_transpose(t, ND_ALL_AXES)), nd_mul(z, nd_transpose(l.sum, ND_ALL_AXES))));
    check("a long chain", l.m, ROWS * COLUMNS, 2);
}
END_TEST

/* A variable that something is made of again is read before it is overwritten. */
START_TEST(variables_that_change)
{
    nd_module *m = nd_module_create("update");
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(ROWS, COLUMNS));
    nd_value *w = nd_variable(m, "w", ND_F32, ND_SHAPE(COLUMNS), nd_zeros());
    nd_value *e = nd_exp(x), *scaled = nd_mul(e, w);
    nd_value *s = nd_sum(scaled, ND_AXES(0), false),
             *y = nd_sub(nd_transpose(scaled, ND_ALL_AXES), nd_at(s, ":, None"));
    nd_function(m, "f", ND_VALUES(x), ND_VALUES(y));
    nd_assign(m->functions[0], w, nd_sub(w, s));
    check("update", m, ROWS * COLUMNS, 1);
}
END_TEST

/* A long sum over all of what a product's kernel makes reads it from memory, past the reshape that makes it one axis.
 */
START_TEST(long_sums)
{
    static const int64_t sizes[][2] = {{40, 256}, {33, 260}, {130, 70}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const int64_t rows = sizes[i][0], columns = sizes[i][1];
        nd_module *m = nd_module_create("long_sum");
        nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(rows, 5)), *g;
        nd_value *w = nd_input(m, "w", ND_F32, ND_SHAPE(5, columns));
        nd_value *y = nd_tanh(nd_matmul(x, w)), *loss = nd_mean(nd_mul(y, y), ND_ALL_AXES, false);
        nd_gradients(loss, 1, &w, &g);
        nd_function(m, "f", ND_VALUES(x, w), ND_VALUES(loss, g));
        check("long sum", m, rows * columns, 2); /* what is summed, the gradient by the product */
    }
}
END_TEST

/* What is made of a product and only summed, column by column, is never stored: its kernel makes the blocks of the
 * sums, of whole ones and of a last one, of columns that fill the lanes and that do not, beside what it stores. */
START_TEST(sums_of_a_product)
{
    static const int64_t sizes[][2] = {{65, 70}, {128, 128}, {130, 80}, {200, 100}, {67, 640}, {320, 96}, {260, 300}};
    for (int i = 0; i < 14; i++) {
        const int64_t rows = sizes[i / 2][0], columns = sizes[i / 2][1];
        nd_module *m = nd_module_create("sums");
        nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(rows, 5)), *w = nd_input(m, "w", ND_F32, ND_SHAPE(5, columns));
        nd_value *z = nd_input(m, "z", ND_F32, ND_SHAPE(rows, columns)), *y = nd_mul(nd_matmul(x, w), z);
        nd_value *long_one = i % 2 ? nd_sigmoid(y) : nd_sub(y, z),
                 *sum = nd_sum(nd_mul(long_one, y), ND_AXES(0), false);
        nd_value *first = nd_sum(y, ND_AXES(0), false), *most = nd_reduce_max(y, ND_AXES(0), false);
        nd_function(m, "f", ND_VALUES(x, w, z), ND_VALUES(nd_add(sum, first), nd_exp(most)));
        check("sums of a product", m, rows * columns, 0);
    }
}
END_TEST

/* Not so of a short column, of few columns, of products whose rows are in no order. */
START_TEST(other_sums_of_a_product)
{
    for (int i = 0; i < 4; i++) {
        const int64_t rows = i == 0 ? 64 : 80, columns = i == 1 ? 64 : 72;
        const nd_matmul_options lower = {.band = ND_BAND_RESULT, .lower = INT64_MIN};
        nd_module *m = nd_module_create("sums");
        nd_value *x = nd_input(m, "x", ND_F32, i == 2 ? ND_SHAPE(2, rows, 5) : ND_SHAPE(rows, 5));
        nd_value *w = nd_input(m, "w", ND_F32, i == 2 ? ND_SHAPE(2, 5, columns) : ND_SHAPE(5, columns));
        nd_value *y = i == 3 ? nd_matmul_with(x, w, &lower) : nd_matmul(x, w);
        nd_function(m, "f", ND_VALUES(x, w), ND_VALUES(nd_sum(y, ND_AXES(i == 2), false)));
        check("other sums of a product", m, nd__elements(&y->shape), 1);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("schedule_stored");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 300);
    tcase_add_test(all, activations);
    tcase_add_test(all, the_narrowest_place);
    tcase_add_test(all, rows_that_meet);
    tcase_add_test(all, a_norm);
    tcase_add_test(all, worth_their_place);
    tcase_add_test(all, variables_that_change);
    tcase_add_test(all, long_sums);
    tcase_add_test(all, sums_of_a_product);
    tcase_add_test(all, other_sums_of_a_product);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
