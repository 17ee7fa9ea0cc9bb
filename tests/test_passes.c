/* Passes: none changes a bit, each does what its file says. */
#include "compiler/passes/passes.h"
#include "failing_alloc.h"
#include "random_graph.h"
#include "random_op.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    nd__pass run;
} passes[] = {
    {"cse", nd__cse},
    {"dce", nd__dce},
};
enum { PASSES = sizeof passes / sizeof *passes };

/* How many nodes of that op a module has. */
static int count_of(const nd_module *m, nd__op op)
{
    int n = 0;
    for (int i = 0; i < m->node_count; i++)
        n += m->nodes[i]->op == op;
    return n;
}

static void good(const char *what, nd_module *m)
{
    const char *wrong = nd__verify(m);
    ck_assert_msg(!wrong, "%s: %s", what, wrong);
}

/* -- bits ---------------------------------------------------------------------------------------------------------- */

static void try_passes(const char *what, nd_module *m, uint64_t *state)
{
    char text[128];
    for (int p = 0; p <= PASSES; p++) {
        snprintf(text, sizeof text, "%s, %s", what, p < PASSES ? passes[p].name : "all passes");
        nd_module *after = p < PASSES ? passes[p].run(m) : nd__run_passes(nd__module_copy(m, NULL), NULL);
        good(text, after);
        same_results(text, m, after, state);
        nd_module_destroy(after);
    }
}

START_TEST(no_pass_changes_bits_of_random_graphs)
{
    for (uint64_t seed = 0; seed < 300; seed++) {
        uint64_t state = seed;
        char what[64];
        nd_module *m = random_graph(&state);
        snprintf(what, sizeof what, "seed %d", (int)seed);
        good(what, m);
        try_passes(what, m, &state);
        nd_module_destroy(m);
    }
}
END_TEST

START_TEST(no_pass_changes_bits_of_any_op)
{
    for (nd__op op = 0; op < ND__OPS; op++)
        for (nd_dtype dtype = 0; dtype < ND_STRING; dtype++)
            for (uint64_t seed = 0; seed < 4 && random_op_takes(op, dtype); seed++) {
                uint64_t state = seed + 1000 * (uint64_t)op;
                char what[64];
                nd_module *m = nd_module_create("op");
                snprintf(what, sizeof what, "%s %s, seed %d", nd__ops[op].name, nd_dtype_name(dtype), (int)seed);
                ck_assert_msg(random_op(m, op, dtype, &state), "%s: %s", what, nd_module_error(m));
                try_passes(what, m, &state);
                nd_module_destroy(m);
            }
}
END_TEST

/* -- each pass ----------------------------------------------------------------------------------------------------- */

START_TEST(cse_merges_what_is_equal)
{
    nd_module *m = nd_module_create("m");
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(3)), *y = nd_input(m, "y", ND_F32, ND_SHAPE(3));
    nd_value *out[] = {nd_add(x, y),
                       nd_add(y, x),
                       nd_sub(x, y),
                       nd_sub(y, x),
                       nd_max(x, y),
                       nd_max(y, x),
                       nd_exp(nd_add(y, x)),
                       nd_exp(nd_add(x, y)),
                       nd_mul(x, nd_const(m, 0.0)),
                       nd_mul(x, nd_const(m, -0.0)),
                       nd_cast(x, ND_F64),
                       nd_cast(x, ND_I32)};
    nd_function(m, "f", ND_VALUES(x, y), ((nd_values){12, out}));
    nd_module *after = nd__cse(m);
    ck_assert_int_eq(count_of(after, ND__OP_add), 1);
    ck_assert_int_eq(count_of(after, ND__OP_exp), 1);
    ck_assert_int_eq(count_of(after, ND__OP_sub), 2);
    ck_assert_int_eq(count_of(after, ND__OP_max), 2); /* of +0 and -0 the second */
    ck_assert_int_eq(count_of(after, ND__OP_mul), 2); /* 0 and -0 differ */
    ck_assert_int_eq(count_of(after, ND__OP_cast), 2);
    nd_module_destroy(after);
    nd_module_destroy(m);
}
END_TEST

START_TEST(cse_keeps_inputs_of_one_name_apart)
{
    nd_module *m = nd_module_create("m");
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(3)), *p = nd_input(m, "p", ND_F32, ND_SHAPE(3)),
             *q = nd_input(m, "p", ND_F32, ND_SHAPE(3)), *a[1], *b[1];
    nd_function *f = nd_function(m, "double", ND_VALUES(p), ND_VALUES(nd_add(p, p))),
                *g = nd_function(m, "twice", ND_VALUES(q), ND_VALUES(nd_add(q, q)));
    nd_apply(f, ND_VALUES(x), a);
    nd_apply(g, ND_VALUES(a[0]), b);
    nd_function(m, "f", ND_VALUES(x), ND_VALUES(b[0], nd_add(x, x)));
    nd_module *after = nd__cse(m);
    good("cse", after);
    ck_assert_int_eq(count_of(after, ND__OP_input), 3);
    ck_assert_int_eq(count_of(after, ND__OP_add), 3);
    nd_module_destroy(after);
    nd_module_destroy(m);
}
END_TEST

START_TEST(dce_drops_what_nothing_needs)
{
    nd_module *m = nd_module_create("m");
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(3)), *unused = nd_input(m, "unused", ND_F32, ND_SHAPE(3)),
             *p = nd_input(m, "p", ND_F32, ND_SHAPE(3)), *y[1];
    nd_variable(m, "v", ND_F32, ND_SHAPE(3), nd_zeros());
    nd_value *stacked = nd_broadcast(x, ND_SHAPE(4, 3));
    nd_scan(nd_function(m, "body", ND_VALUES(p), ND_VALUES(nd_exp(p))), 4, ND_VALUES(x), ND_VALUES(), false, y);
    nd_function(m, "f", ND_VALUES(x, unused), ND_VALUES(nd_sum(stacked, ND_AXES(0), false)));
    nd_module *after = nd__dce(m);
    ck_assert_int_eq(count_of(after, ND__OP_scan), 0);
    ck_assert_int_eq(count_of(after, ND__OP_exp), 0);
    ck_assert_int_eq(after->function_count, 1); /* the body went */
    ck_assert_int_eq(after->functions[0]->input_count, 2);
    ck_assert_int_eq(after->variable_count, 1);
    nd_module_destroy(after);
    nd_module_destroy(m);
}
END_TEST

/* -- the pipeline -------------------------------------------------------------------------------------------------- */

static nd_module *small(void)
{
    nd_module *m = nd_module_create("m");
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(3));
    nd_neg(x);
    nd_function(m, "f", ND_VALUES(x), ND_VALUES(nd_exp(x), nd_exp(x)));
    return m;
}

START_TEST(passes_off_stay_off)
{
    nd_module *on = nd__run_passes(small(), NULL), *off = nd__run_passes(small(), &(nd__pass_options){.off = "cse"}),
              *all = nd__run_passes(small(), &(nd__pass_options){.off = "all", .verify = true}),
              *none = nd__run_passes(small(), &(nd__pass_options){.off = ""});
    ck_assert_int_eq(count_of(on, ND__OP_exp), 1);
    ck_assert_int_eq(count_of(none, ND__OP_exp), 1);
    ck_assert_int_eq(count_of(on, ND__OP_neg), 0);
    ck_assert_int_eq(count_of(off, ND__OP_exp), 2);
    ck_assert_int_eq(count_of(off, ND__OP_neg), 0);
    ck_assert_int_eq(count_of(all, ND__OP_neg), 1);
    nd_module *modules[] = {on, off, all, none};
    for (int i = 0; i < 4; i++)
        nd_module_destroy(modules[i]);
}
END_TEST

START_TEST(an_unknown_pass_is_an_error)
{
    nd_module *m = nd__run_passes(small(), &(nd__pass_options){.off = "cse,inlining"});
    ck_assert_int_eq(nd_module_status(m), ND_ERR_ARGUMENT);
    const char *start = "passes off \"cse,inlining\": no pass is called \"inlining\"; expected names out of: all, ";
    ck_assert_msg(strncmp(nd_module_error(m), start, strlen(start)) == 0, "%s", nd_module_error(m));
    for (const char *const *name = nd__pass_names(); *name; name++)
        ck_assert_ptr_nonnull(strstr(nd_module_error(m), *name));
    nd_module_destroy(m);

    m = nd__run_passes(small(), &(nd__pass_options){.dump_after = "ce"});
    ck_assert_int_eq(nd_module_status(m), ND_ERR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(nd_module_error(m), "dump after \"ce\": no pass is called \"ce\""));
    nd_module_destroy(m);
}
END_TEST

START_TEST(a_failed_module_comes_back)
{
    nd_module *m = small();
    nd_matmul(nd_input(m, "y", ND_F32, ND_SCALAR), nd_input(m, "z", ND_F32, ND_SCALAR));
    m = nd__run_passes(m, &(nd__pass_options){.off = "no such pass"});
    ck_assert_int_eq(nd_module_status(m), ND_ERR_GRAPH);
    ck_assert_ptr_nonnull(strstr(nd_module_error(m), "matmul"));
    nd_module_destroy(m);
    ck_assert_ptr_null(nd__run_passes(NULL, NULL));
}
END_TEST

START_TEST(survives_every_failing_allocation)
{
    for (uint64_t seed = 0; seed < 3; seed++) {
        bool failed = true;
        for (int n = 0; failed; n++) {
            uint64_t state = seed;
            nd_module *m = random_graph(&state);
            failing_alloc_begin(n);
            m = nd__run_passes(m, NULL);
            failed = failing_alloc_end();
            ck_assert_msg(!failed || nd_module_status(m) == ND_ERR_MEMORY,
                          "allocation %d failed and nobody noticed: %s", n, nd_module_error(m));
            ck_assert_msg(failed || nd_module_status(m) == ND_OK, "nothing failed but %s", nd_module_error(m));
            nd_module_destroy(m);
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("passes");
    TCase *t = tcase_create("passes");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, no_pass_changes_bits_of_random_graphs);
    tcase_add_test(t, no_pass_changes_bits_of_any_op);
    tcase_add_test(t, cse_merges_what_is_equal);
    tcase_add_test(t, cse_keeps_inputs_of_one_name_apart);
    tcase_add_test(t, dce_drops_what_nothing_needs);
    tcase_add_test(t, passes_off_stay_off);
    tcase_add_test(t, an_unknown_pass_is_an_error);
    tcase_add_test(t, a_failed_module_comes_back);
    tcase_add_test(t, survives_every_failing_allocation);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
