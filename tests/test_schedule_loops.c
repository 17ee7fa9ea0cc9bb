/* Loops in plans: what a turn has to do, and what it has not; with the interpreter's bits. */
#include "compiler/schedule/schedule.h"
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

int main(void)
{
    Suite *s = suite_create("schedule_loops");
    TCase *t = tcase_create("loops");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, what_every_turn_does_alike);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    const int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
