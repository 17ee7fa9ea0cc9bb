/* Matrices that lie column after column; with the interpreter's bits. */
#include "compiler/schedule/schedule.h"
#include "nadir/nn.h"
#include "run_suite.h"
#include "schedule_check.h"

#include <check.h>

static int count_transposes(const nd__kblock *block)
{
    int count = 0;
    for (const nd__kinst *i = block->first; i; i = i->next)
        count += i->op == ND__K_transpose ? 1 : count_transposes(&i->body) + count_transposes(&i->other);
    return count;
}

/* A graph whose kernels have so many transposes of registers. */
static void check(const char *what, nd_module *m, int transposes)
{
    nd__plan *plan = schedule_checked(what, m);
    int count = 0;
    for (int i = 0; i < plan->kernel_count; i++)
        count += count_transposes(&plan->kernels[i]->body);
    if (count != transposes)
        nd__plan_print(plan, true, stderr);
    ck_assert_msg(count == transposes, "%s: %d transposes, expected %d", what, count, transposes);
    nd__plan_destroy(plan);
}

static nd_value *attention(nd_module *m, int64_t heads, int64_t rows, int64_t columns, bool causal, nd_value **x)
{
    x[0] = nd_input(m, "q", ND_F32, ND_SHAPE(heads, rows, 6));
    x[1] = nd_input(m, "k", ND_F32, ND_SHAPE(heads, columns, 6));
    x[2] = nd_input(m, "v", ND_F32, ND_SHAPE(heads, columns, 5));
    return nd_dot_product_attention(x[0], x[1], x[2], causal);
}

/* Scores of rows by columns: what lies how depends on their number, bits do not. */
START_TEST(attention_of_short_rows)
{
    static const struct {
        int64_t heads, rows, columns;
        bool causal;
        int forward, backward; /* transposes of operands that are copied; more where rows are few */
    } cases[] = {
        {8, 64, 40, false, 1, 2}, {8, 64, 64, true, 1, 2},  {11, 37, 41, false, 2, 4},
        {30, 25, 25, true, 2, 4}, {3, 20, 33, false, 2, 4}, /* few */
        {3, 90, 80, true, 1, 2},                            /* long rows */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nd_value *x[4], *g[3];
        nd_module *m = nd_module_create("attention");
        nd_value *y = attention(m, cases[i].heads, cases[i].rows, cases[i].columns, cases[i].causal, x);
        nd_function(m, "f", ND_VALUES(x[0], x[1], x[2]), ND_VALUES(y));
        check("attention", m, cases[i].forward);
        m = nd_module_create("gradients");
        y = attention(m, cases[i].heads, cases[i].rows, cases[i].columns, cases[i].causal, x);
        x[3] = nd_input(m, "dy", ND_F32, nd_value_shape(y));
        nd_gradients_at("", y, x[3], 3, x, g);
        nd_function(m, "f", ND_VALUES(x[0], x[1], x[2], x[3]), ND_VALUES(y, g[0], g[1], g[2]));
        check("attention and gradients", m, cases[i].backward);
    }
}
END_TEST

/* Something else wants the matrix row by row: it stays so. */
START_TEST(other_readers)
{
    static const int turning[] = {2, 4, 6, 12};
    for (int i = 0; i < 4; i++) {
        nd_module *m = nd_module_create("readers");
        nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(700, 5)), *w = nd_input(m, "w", ND_F32, ND_SHAPE(5, 30)),
                 *v = nd_input(m, "v", ND_F32, ND_SHAPE(30, 7)), *z = nd_input(m, "z", ND_F32, ND_SHAPE(700, 30));
        nd_value *s = nd_matmul(x, w), *p = nd_softmax(i == 3 ? nd_add(s, z) : s, -1), *y = nd_matmul(p, v);
        nd_value *other = i == 0   ? y
                          : i == 1 ? s
                          : i == 2 ? nd_sum(nd_exp(p), ND_AXES(0), false)
                                   : nd_mul(nd_matmul(x, w), p);
        nd_function(m, "f", ND_VALUES(x, w, v, z), ND_VALUES(y, other));
        check("other readers", m, turning[i]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("schedule_layout");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 300);
    tcase_add_test(all, attention_of_short_rows);
    tcase_add_test(all, other_readers);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
