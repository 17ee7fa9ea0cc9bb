/* Schedules where they could go wrong: what is overwritten while it is read, shapes at the edges of tiles, passes and
 * blocks, long chains, wide fans. */
#include "nadir/nn.h"
#include "random_op.h"
#include "run_suite.h"
#include "schedule_check.h"

#include <check.h>
#include <stdio.h>

static void check_and_destroy(const char *what, nd_module *m)
{
    uint64_t state = 11;
    ck_assert_msg(nd_module_status(m) == ND_OK, "%s: %s", what, nd_module_error(m));
    schedule_check(what, m, true, &state);
    schedule_check(what, m, false, &state);
    nd_module_destroy(m);
}

/* -- what is overwritten while it is read ------------------------------------------------------------------------- */

/* v[j] := sum over i of x[i, j] v[i]: the column j of the sum lies where another column's factor is read. */
START_TEST(a_sum_of_columns_over_itself)
{
    static const int64_t sizes[] = {2, 17, 64, 65, 100, 130};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const int64_t n = sizes[i];
        nd_module *m = nd_module_create("columns");
        nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(n, n)),
                 *v = nd_variable(m, "v", ND_F32, ND_SHAPE(n), nd_zeros());
        nd_value *factor = nd_reshape(v, ND_SHAPE(n, 1));
        nd_function *f = nd_function(m, "f", ND_VALUES(x), ND_VALUES());
        nd_assign(f, v, nd_sum(nd_mul(x, factor), ND_AXES(0), false));
        nd_function *g = nd_function(m, "g", ND_VALUES(x), ND_VALUES());
        nd_assign(g, v, nd_add(v, nd_sum(nd_mul(nd_exp(x), factor), ND_AXES(0), false)));
        nd_function *h = nd_function(m, "h", ND_VALUES(x), ND_VALUES());
        nd_assign(h, v, nd_reduce_max(nd_broadcast(factor, ND_SHAPE(n, n)), ND_AXES(0), false));
        check_and_destroy("a sum of columns over itself", m);
    }
}
END_TEST

/* x and x backwards, of what is worth computing once. */
START_TEST(an_update_by_its_mirror)
{
    nd_module *m = nd_module_create("mirror");
    nd_value *v = nd_variable(m, "v", ND_F32, ND_SHAPE(100), nd_zeros()), *x = nd_exp(v);
    nd_function *f = nd_function(m, "f", ND_VALUES(), ND_VALUES());
    nd_assign(f, v, nd_add(x, nd_at(x, "::-1")));
    check_and_destroy("an update by its mirror", m);
}
END_TEST

/* What is read at the point and the other way round is no part of the kernel that reads both. */
START_TEST(a_square_and_its_mirror)
{
    nd_module *m = nd_module_create("square");
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(20, 20)), *e = nd_exp(x), *y = nd_add(e, x);
    nd_value *t = nd_transpose(y, ND_ALL_AXES), *d = nd_sub(t, nd_mean(t, ND_AXES(1), true));
    nd_function(m, "f", ND_VALUES(x), ND_VALUES(nd_add(d, e)));
    check_and_destroy("a square and its mirror", m);
}
END_TEST

/* Gradients of the second order take the places of maxima twice, from one pool. */
START_TEST(a_pool_looked_at_twice)
{
    nd_module *m = nd_module_create("pool");
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(2, 5, 6, 3)), *g, *h;
    nd_value *y = nd_max_pool2d(x, &(nd_pool_options){.window = {2, 2}});
    nd_gradients(nd_sum(nd_exp(y), ND_ALL_AXES, false), 1, &x, &g);
    nd_gradients(nd_sum(nd_mul(g, g), ND_ALL_AXES, false), 1, &x, &h);
    nd_function(m, "f", ND_VALUES(x), ND_VALUES(y, g, h));
    check_and_destroy("a pool looked at twice", m);
}
END_TEST

/* Chunks have tiles of their own, which a long epilogue keeps in memory. */
START_TEST(an_epilogue_of_a_chunk)
{
    static const int64_t rows[] = {50, 51, 100, 102, 130, 150};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        nd_module *m = nd_module_create("epilogue");
        nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(24, rows[i]));
        nd_value *w = nd_variable(m, "w", ND_F32, ND_SHAPE(rows[i], 51), nd_glorot_uniform());
        nd_value *y = nd_matmul(x, w), *loss = nd_mean(nd_mul(y, y), ND_ALL_AXES, false);
        nd_adam(nd_function(m, "f", ND_VALUES(x), ND_VALUES(loss)), loss, 1, &w, nd_const(m, 0.1), NULL);
        check_and_destroy("an epilogue of a chunk", m);
    }
}
END_TEST

/* The sum over x is an output through a view only. */
START_TEST(a_view_is_all_that_shows_it)
{
    nd_module *m = nd_module_create("shown");
    nd_value *x = nd_input(m, "x", ND_F64, ND_SHAPE(3, 16)), *y = nd_sqrt(x);
    nd_function(m, "f", ND_VALUES(x), ND_VALUES(nd_sum(y, ND_AXES(0), false), nd_at(y, "::-1")));
    check_and_destroy("a view is all that shows it", m);
}
END_TEST

/* The table of a gather is what its indices are made of. */
START_TEST(a_table_of_indices)
{
    nd_module *m = nd_module_create("table");
    nd_value *x = nd_input(m, "index", ND_F32, ND_SHAPE(7)), *rows = nd_cast(nd_exp(x), ND_I32);
    nd_function(m, "f", ND_VALUES(x), ND_VALUES(nd_gather(rows, rows)));
    check_and_destroy("a table of indices", m);
}
END_TEST

/* -- long chains, wide fans --------------------------------------------------------------------------------------- */

/* What is made of generators is computed wherever it is used: that must not be tried again for each of its uses. */
START_TEST(powers_of_a_generator)
{
    nd_module *m = nd_module_create("powers");
    nd_value *x = nd_iota(m, ND_I32, ND_SHAPE(3, 5), 1), *y = nd_input(m, "y", ND_I32, ND_SHAPE(3, 5));
    for (int i = 0; i < 60; i++)
        x = nd_add(nd_mul(x, x), x);
    nd_function(m, "f", ND_VALUES(y), ND_VALUES(nd_add(x, y), nd_sum(nd_sub(y, x), ND_AXES(0), false)));
    check_and_destroy("powers of a generator", m);
}
END_TEST

/* The same for what one pass over a row needs of the passes before. */
START_TEST(powers_before_a_sum)
{
    nd_module *m = nd_module_create("powers");
    nd_value *x = nd_input(m, "x", ND_I32, ND_SHAPE(3, 70)), *y = nd_sub(x, nd_reduce_max(x, ND_AXES(1), true));
    for (int i = 0; i < 60; i++)
        y = nd_add(nd_mul(y, y), y);
    nd_function(m, "f", ND_VALUES(x), ND_VALUES(nd_sum(y, ND_AXES(1), false)));
    check_and_destroy("powers before a sum", m);
}
END_TEST

/* More passes over a row than anybody counted on; results of a row, and of all of it, in every one. */
START_TEST(a_thousand_passes)
{
    nd_module *m = nd_module_create("passes");
    nd_value *x = nd_input(m, "x", ND_I32, ND_SHAPE(2, 3)), *y = x, *sum = NULL;
    for (int i = 0; i < 1005; i++) {
        sum = nd_sum(y, ND_AXES(1), true);
        y = nd_sub(x, sum);
    }
    nd_function(m, "f", ND_VALUES(x), ND_VALUES(sum, y));
    check_and_destroy("a thousand passes", m);
}
END_TEST

START_TEST(thousands_of_nodes)
{
    nd_module *m = nd_module_create("thousands");
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(3, 5)), *y = x, *z = x;
    for (int i = 0; i < 6000; i++)
        y = i % 3 ? nd_mul(y, nd_const(m, 0.75)) : nd_add(y, x);
    for (int i = 0; i < 1000; i++)
        z = i % 10 ? nd_sub(x, nd_tanh(z)) : nd_transpose(nd_transpose(z, ND_ALL_AXES), ND_ALL_AXES);
    nd_function(m, "f", ND_VALUES(x), ND_VALUES(y, z));
    check_and_destroy("thousands of nodes", m);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("schedule_edges");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 300);
    tcase_add_test(all, a_sum_of_columns_over_itself);
    tcase_add_test(all, an_update_by_its_mirror);
    tcase_add_test(all, a_square_and_its_mirror);
    tcase_add_test(all, a_pool_looked_at_twice);
    tcase_add_test(all, an_epilogue_of_a_chunk);
    tcase_add_test(all, a_view_is_all_that_shows_it);
    tcase_add_test(all, a_table_of_indices);
    tcase_add_test(all, powers_of_a_generator);
    tcase_add_test(all, powers_before_a_sum);
    tcase_add_test(all, a_thousand_passes);
    tcase_add_test(all, thousands_of_nodes);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
