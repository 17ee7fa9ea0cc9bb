/* Loops in plans: what a turn has to do, and what it has not; with the interpreter's bits. */
#include "compiler/schedule/schedule.h"
#include "run_suite.h"
#include "schedule_check.h"

#include <check.h>
#include <string.h>

/* The steps of the n-th loop. */
static const nd__steps *turn_of(const nd__steps *steps, int n)
{
    for (int i = 0; i < steps->count; i++)
        if (steps->items[i].kind == ND__STEP_LOOP && n-- == 0)
            return &steps->items[i].body;
    ck_abort_msg("there are not so many loops");
    return NULL;
}

/* How many of the steps run a kernel called KIND_... */
static int kernels(const nd__plan *plan, const nd__steps *steps, const char *kind)
{
    int n = 0;
    for (int i = 0; i < steps->count; i++)
        n += steps->items[i].kind == ND__STEP_KERNEL &&
             strncmp(plan->kernels[steps->items[i].kernel]->name, kind, strlen(kind)) == 0;
    return n;
}

/* The transposed copy of a matrix that no turn changes is made once, for a loop in a loop too; that of one which the
 * outer loop carries, once in each of its turns. */
START_TEST(what_every_turn_does_alike)
{
    for (int carried = 0; carried < 2; carried++) {
        nd_module *m = nd_module_create("alike");
        nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(3, 5, 20)), *w = nd_input(m, "w", ND_F32, ND_SHAPE(20, 20)),
                 *h = nd_input(m, "h", ND_F32, ND_SHAPE(5, 20)), *p = nd_input(m, "p", ND_F32, ND_SHAPE(5, 20)),
                 *v = nd_input(m, "v", ND_F32, ND_SHAPE(20, 20)), *row = nd_input(m, "row", ND_F32, ND_SHAPE(5, 20)),
                 *in[1], *out[2], *used = carried ? v : w;
        nd_function *inner =
            nd_function(m, "inner", ND_VALUES(h), ND_VALUES(nd_tanh(nd_matmul_t(h, false, used, true))));
        nd_scan(inner, 4, ND_VALUES(nd_add(p, row)), ND_VALUES(), false, in);
        nd_function *outer =
            nd_function(m, "outer", ND_VALUES(p, v, row), ND_VALUES(in[0], nd_mul(v, nd_const(m, 0.5))));
        nd_scan(outer, 3, ND_VALUES(nd_at(x, "0"), w), ND_VALUES(x), false, out);
        nd_function(m, "f", ND_VALUES(x, w), ND_VALUES(out[0], out[1]));
        nd__plan *plan = schedule_checked("alike", m);
        const nd__steps *outside = turn_of(&plan->steps, 0), *inside = turn_of(outside, 0);
        ck_assert_int_eq(kernels(plan, inside, "transpose"), 0);
        ck_assert_int_eq(kernels(plan, outside, "transpose"), carried);
        ck_assert_int_eq(kernels(plan, &plan->steps, "transpose"), !carried);
        nd__plan_destroy(plan);
    }
}
END_TEST

/* h' = tanh(h w + x[t]), of which the loop stacks what `wanted` says: 1 what turns end with, 2 what they begin with; 4:
 * the sum of that is an output, not the stack itself. */
static nd_module *recurrence(int64_t length, int wanted, bool reverse, bool last)
{
    nd_module *m = nd_module_create("recurrence");
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(length, 5, 20)), *w = nd_input(m, "w", ND_F32, ND_SHAPE(20, 20)),
             *h0 = nd_input(m, "h0", ND_F32, ND_SHAPE(5, 20)), *h = nd_input(m, "h", ND_F32, ND_SHAPE(5, 20)),
             *t = nd_input(m, "t", ND_F32, ND_SHAPE(5, 20)), *next = nd_tanh(nd_add(nd_matmul(h, w), t)), *out[3],
             *results[3];
    int n = 1, given = 0;
    nd_value *stacked[] = {next, NULL, NULL};
    if (wanted & 1)
        stacked[n++] = next;
    if (wanted & 2)
        stacked[n++] = h;
    nd_scan(nd_function(m, "turn", ND_VALUES(h, t), ((nd_values){(size_t)n, stacked})), length, ND_VALUES(h0),
            ND_VALUES(x), reverse, out);
    for (int i = last ? 0 : 1; i < n; i++)
        results[given++] = i > 0 && wanted & 4 ? nd_sum(nd_exp(out[i]), ND_AXES(-1), false) : out[i];
    nd_function(m, "f", ND_VALUES(x, w, h0), ((nd_values){(size_t)given, results}));
    return m;
}

/* What is stacked anyway is carried in the stack: a turn is one product. The host's arrays have no row more: there the
 * product stores what it carries on and what it stacks, but copies what turns begin with, and what it may only
 * overwrite when all of it has been read. */
START_TEST(carried_in_the_stack)
{
    for (int i = 0; i < 48; i++) {
        const int wanted = 1 + i % 3 + i / 3 % 2 * 4;
        const bool reverse = i / 6 % 2, last = i / 12 % 2;
        nd__plan *plan = schedule_checked("stack", recurrence(i / 24 ? 1 : 6, wanted, reverse, last));
        ck_assert_int_eq(turn_of(&plan->steps, 0)->count, wanted & 4 ? 1 : wanted & 2 ? 3 : 2);
        ck_assert_int_eq(kernels(plan, turn_of(&plan->steps, 0), "product"), 1);
        nd__plan_destroy(plan);
    }
    for (int wanted = 1; wanted < 8; wanted++) /* of no turn too */
        nd__plan_destroy(schedule_checked("no turn", recurrence(0, wanted, wanted > 4, true)));
}
END_TEST

/* Two carries that change places, a third that stays, all stacked; one stack is of two of them. */
START_TEST(several_carried_in_stacks)
{
    nd_module *m = nd_module_create("several");
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(2, 3, 17)), *out[8], *in[3];
    nd_value *a = nd_input(m, "a", ND_F32, ND_SHAPE(17)), *b = nd_input(m, "b", ND_F32, ND_SHAPE(17)),
             *c = nd_input(m, "c", ND_F32, ND_SHAPE(17)), *p = nd_input(m, "p", ND_F32, ND_SHAPE(17)),
             *rows = nd_input(m, "rows", ND_F32, ND_SHAPE(3, 17)), *row = nd_input(m, "row", ND_F32, ND_SHAPE(17)),
             *q = nd_input(m, "q", ND_F32, ND_SHAPE(17)), *s = nd_sin(nd_add(a, nd_at(rows, "1")));
    nd_scan(nd_function(m, "inner", ND_VALUES(q, row), ND_VALUES(nd_mul(q, nd_cos(row)), q)), 3, ND_VALUES(p),
            ND_VALUES(rows), true, in);
    nd_scan(nd_function(m, "outer", ND_VALUES(a, b, c, p, rows), ND_VALUES(b, a, c, in[0], s, c, b, in[0])), 2,
            ND_VALUES(nd_at(x, "0, 0"), nd_at(x, "1, 1"), nd_at(x, "0, 2"), nd_at(x, "1, 2")), ND_VALUES(x), false,
            out);
    nd_value *sums[8];
    for (int i = 0; i < 8; i++)
        sums[i] = nd_sum(nd_exp(out[i]), ND_AXES(-1), false);
    nd_function(m, "f", ND_VALUES(x), ((nd_values){8, sums}));
    nd__plan_destroy(schedule_checked("several", m));
}
END_TEST

/* Rows are gathered where a turn computes with them, slices of the rows too. */
START_TEST(gathered_in_the_turn)
{
    nd_module *m = nd_module_create("gathered");
    nd_value *table = nd_input(m, "table", ND_F32, ND_SHAPE(9, 40)), *x = nd_input(m, "x", ND_I32, ND_SHAPE(5, 6)),
             *h0 = nd_input(m, "h0", ND_F32, ND_SHAPE(5, 20)), *h = nd_input(m, "h", ND_F32, ND_SHAPE(5, 20)),
             *row = nd_input(m, "row", ND_F32, ND_SHAPE(5, 40)), *out[2];
    nd_value *next = nd_tanh(nd_add(nd_mul(h, nd_at(row, ":, :20")), nd_at(row, ":, 20:")));
    nd_scan(nd_function(m, "turn", ND_VALUES(h, row), ND_VALUES(next, next)), 6, ND_VALUES(h0),
            ND_VALUES(nd_gather(table, nd_transpose(x, ND_ALL_AXES))), true, out);
    nd_function(m, "f", ND_VALUES(table, x, h0), ND_VALUES(out[0], nd_sum(out[1], ND_AXES(-1), false)));
    nd__plan *plan = schedule_checked("gathered", m);
    ck_assert_int_eq(turn_of(&plan->steps, 0)->count, 1);
    for (int i = 0; i < plan->steps.count; i++)
        ck_assert_str_ne(plan->steps.items[i].label, "gather");
    nd__plan_destroy(plan);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("schedule_loops");
    TCase *t = tcase_create("loops");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, what_every_turn_does_alike);
    tcase_add_test(t, carried_in_the_stack);
    tcase_add_test(t, several_carried_in_stacks);
    tcase_add_test(t, gathered_in_the_turn);
    suite_add_tcase(s, t);
    return run_suite(s);
}
