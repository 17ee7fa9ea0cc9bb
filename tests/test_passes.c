/* Passes: none changes a bit, each does what its file says. */
#include "compiler/passes/passes.h"
#include "failing_alloc.h"
#include "golden.h"
#include "nadir/text.h"
#include "random_graph.h"
#include "random_op.h"
#include "run_suite.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *source_dir;

static const struct {
    const char *name;
    nd__pass run;
} passes[] = {
    {"inline", nd__inline}, {"loops", nd__loops},       {"slices", nd__slices}, {"prune", nd__prune},
    {"fold", nd__fold},     {"simplify", nd__simplify}, {"views", nd__views},   {"sink", nd__sink},
    {"gather", nd__gather}, {"cse", nd__cse},           {"dce", nd__dce},
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

/* Gradients through a loop, a branch and a call: bodies that autodiff made, captured values, saved states. */
START_TEST(no_pass_changes_bits_of_gradients)
{
    enum { T = 5, N = 3, H = 4 };
    nd_module *m = nd_module_create("m");
    nd_value *xs = nd_input(m, "xs", ND_F32, ND_SHAPE(T, N, H)), *x = nd_input(m, "x", ND_F32, ND_SHAPE(N, H)),
             *h = nd_input(m, "h", ND_F32, ND_SHAPE(N, H)), *q = nd_input(m, "q", ND_F32, ND_SHAPE(N, H)), *last[2],
             *act[1], *scaled[1], *grads[3];
    nd_value *w = nd_variable(m, "w", ND_F32, ND_SHAPE(H, H), nd_glorot_uniform()),
             *u = nd_variable(m, "u", ND_F32, ND_SHAPE(H, H), nd_glorot_uniform()),
             *b = nd_variable(m, "b", ND_F32, ND_SHAPE(H), nd_zeros());
    nd_apply(nd_function(m, "act", ND_VALUES(q), ND_VALUES(nd_mul(nd_tanh(q), nd_sigmoid(q)))),
             ND_VALUES(nd_add(nd_add(nd_matmul(x, w), nd_matmul(h, u)), b)), act);
    nd_function *cell = nd_function(m, "cell", ND_VALUES(h, x), ND_VALUES(act[0], nd_mul(act[0], act[0])));
    nd_scan(cell, T, ND_VALUES(nd_filled(m, ND_F32, ND_SHAPE(N, H), 0)), ND_VALUES(xs), false, last);
    nd_value *total = nd_sum(nd_matmul(nd_transpose(last[0], ND_ALL_AXES), last[0]), ND_ALL_AXES, false);
    nd_cond(nd_lt(total, nd_const(m, 1)), nd_function(m, "yes", ND_VALUES(), ND_VALUES(nd_exp(total))),
            nd_function(m, "no", ND_VALUES(), ND_VALUES(nd_div(total, nd_const(m, 4)))), scaled);
    nd_value *loss = nd_add(scaled[0], nd_mean(last[1], ND_ALL_AXES, false)), *variables[] = {w, u, b};
    nd_gradients(loss, 3, variables, grads);
    nd_function *step = nd_function(m, "step", ND_VALUES(xs), ND_VALUES(loss));
    for (int i = 0; i < 3; i++)
        nd_assign(step, variables[i], nd_sub(variables[i], nd_mul(nd_const(m, 0.125), grads[i])));
    nd_function(m, "predict", ND_VALUES(xs), ND_VALUES(last[0]));
    uint64_t state = 1;
    good("gradients", m);
    for (int i = 0; i < 3; i++)
        try_passes("gradients", m, &state);
    nd_module_destroy(m);
}
END_TEST

/* -- golden texts ------------------------------------------------------------------------------------------------- */

/* NAME.nd becomes NAME.txt by the pass that the folder is called after. */
static void run_golden(const char *folder, const char *name)
{
    char path[1300];
    const char *pass = strrchr(folder, '/') + 1;
    nd_module *m = golden_module(folder, name), *after = NULL;
    if (strcmp(pass, "pipeline") == 0)
        after = nd__run_passes(nd__module_copy(m, NULL), NULL);
    for (int i = 0; i < PASSES && !after; i++)
        if (strcmp(pass, passes[i].name) == 0)
            after = passes[i].run(m);
    good(path, after);
    uint64_t state = 1;
    same_results(name, m, after, &state);
    char *text = nd_module_to_text(after);
    snprintf(path, sizeof path, "%s/%.*s.txt", folder, (int)strlen(name) - 3, name);
    golden_compare(path, text);
    free(text);
    nd_module_destroy(after);
    nd_module_destroy(m);
}

START_TEST(golden)
{
    for (const char *const *name = nd__pass_names(); *name; name++)
        ck_assert_msg(golden_each(source_dir, *name, run_golden) > 0, "no golden texts of %s", *name);
    ck_assert_int_gt(golden_each(source_dir, "pipeline", run_golden), 0);
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

START_TEST(one_loop_for_forward_and_gradient)
{
    for (int predicts = 0; predicts < 2; predicts++) {
        nd_module *m = nd_module_create("m");
        nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(5, 3)), *h = nd_input(m, "h", ND_F32, ND_SHAPE(3)),
                 *t = nd_input(m, "t", ND_F32, ND_SHAPE(3)), *out[1];
        nd_value *w = nd_variable(m, "w", ND_F32, ND_SHAPE(3), nd_random_normal(0, 1));
        nd_scan(nd_function(m, "cell", ND_VALUES(h, t), ND_VALUES(nd_tanh(nd_add(nd_mul(h, w), t)))), 5,
                ND_VALUES(nd_filled(m, ND_F32, ND_SHAPE(3), 0)), ND_VALUES(x), false, out);
        nd_value *loss = nd_sum(nd_mul(out[0], out[0]), ND_ALL_AXES, false);
        nd_assign(nd_function(m, "step", ND_VALUES(x), ND_VALUES(loss)), w, nd_sub(w, nd_gradient(loss, w)));
        if (predicts)
            nd_function(m, "predict", ND_VALUES(x), ND_VALUES(out[0]));
        uint64_t state = 1;
        nd_module *equal = nd__cse(m), *after = nd__loops(equal);
        good("loops", after);
        same_results("loops", m, after, &state);
        /* Forward and backward; with prediction, the forward loop that stacks nothing too. */
        ck_assert_int_eq(count_of(equal, ND__OP_scan), 3);
        ck_assert_int_eq(count_of(after, ND__OP_scan), predicts ? 3 : 2);
        nd_module_destroy(after);
        nd_module_destroy(equal);
        nd_module_destroy(m);
    }
}
END_TEST

START_TEST(prune_drops_what_no_body_uses)
{
    /* Two carries, of which the second is for a stacked result alone that nobody uses; of the captured values one goes
     * with it. */
    nd_module *m = nd_module_create("m");
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(4, 3)), *a = nd_input(m, "a", ND_F32, ND_SHAPE(3)),
             *b = nd_input(m, "b", ND_F32, ND_SHAPE(3));
    nd_value *p = nd_input(m, "p", ND_F32, ND_SHAPE(3)), *q = nd_input(m, "q", ND_F32, ND_SHAPE(3)),
             *t = nd_input(m, "t", ND_F32, ND_SHAPE(3)), *u = nd_input(m, "u", ND_F32, ND_SHAPE(3)), *out[5];
    nd_function *body = nd_function(m, "body", ND_VALUES(p, q, t, u),
                                    ND_VALUES(nd_add(nd_mul(p, a), t), nd_sin(nd_mul(nd_add(q, u), nd_exp(b))),
                                              nd_neg(p), nd_cos(q), nd_mul(p, p)));
    nd_scan(body, 4, ND_VALUES(a, b), ND_VALUES(x, nd_exp(x)), false, out);
    nd_function(m, "f", ND_VALUES(x, a, b), ND_VALUES(out[0], out[4]));
    uint64_t state = 1;
    nd_module *after = nd__prune(m);
    good("prune", after);
    const nd__node *scan = nd_module_function(after, "f")->outputs[0]->node;
    ck_assert_int_eq(scan->op, ND__OP_scan);
    ck_assert_int_eq(nd__get_int(scan, ND__A_carries), 1);
    ck_assert_int_eq(nd__get_int(scan, ND__A_slices), 1);
    ck_assert_int_eq(scan->input_count, 3); /* a carried, x sliced, a captured */
    ck_assert_int_eq(scan->result_count, 2);
    ck_assert_int_eq(count_of(after, ND__OP_exp) + count_of(after, ND__OP_sin) + count_of(after, ND__OP_cos) +
                         count_of(after, ND__OP_neg),
                     0);
    same_results("prune", m, after, &state);
    nd_module_destroy(after);
    nd_module_destroy(m);
}
END_TEST

START_TEST(prune_keeps_what_the_next_turn_reads)
{
    /* Fibonacci: only the first carry is used, but it comes from the second. */
    nd_module *m = nd_module_create("m");
    nd_value *a = nd_input(m, "a", ND_F32, ND_SCALAR), *p = nd_input(m, "p", ND_F32, ND_SCALAR),
             *q = nd_input(m, "q", ND_F32, ND_SCALAR), *r = nd_input(m, "r", ND_F32, ND_SCALAR), *out[3];
    nd_scan(nd_function(m, "body", ND_VALUES(p, q, r), ND_VALUES(q, nd_add(p, q), nd_exp(r))), 10, ND_VALUES(a, a, a),
            ND_VALUES(), false, out);
    nd_function(m, "f", ND_VALUES(a), ND_VALUES(out[0]));
    uint64_t state = 1;
    nd_module *after = nd__prune(m);
    good("prune", after);
    ck_assert_int_eq(nd_module_function(after, "f")->outputs[0]->node->result_count, 2);
    same_results("prune", m, after, &state);
    nd_module_destroy(after);
    nd_module_destroy(m);
}
END_TEST

START_TEST(prune_leaves_shared_bodies)
{
    /* What an entry point gives the host uses; a branch is pruned with its twin. */
    nd_module *m = nd_module_create("m");
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(3)), *p = nd_input(m, "p", ND_F32, ND_SHAPE(3)), *out[2],
             *branch[2];
    nd_function *f = nd_function(m, "pair", ND_VALUES(p), ND_VALUES(nd_exp(p), nd_neg(p)));
    nd_apply(f, ND_VALUES(x), out);
    nd_value *condition = nd_lt(nd_sum(x, ND_ALL_AXES, false), nd_const(m, 0));
    nd_cond(condition, nd_function(m, "yes", ND_VALUES(), ND_VALUES(nd_mul(x, x), nd_sin(x))),
            nd_function(m, "no", ND_VALUES(), ND_VALUES(nd_abs(x), nd_cos(x))), branch);
    nd_function(m, "f", ND_VALUES(x), ND_VALUES(out[1], branch[0]));
    uint64_t state = 1;
    nd_module *after = nd__prune(m);
    good("prune", after);
    ck_assert_int_eq(nd_module_function(after, "pair")->output_count, 2);
    ck_assert_int_eq(count_of(after, ND__OP_exp), 1);
    ck_assert_int_eq(count_of(after, ND__OP_sin) + count_of(after, ND__OP_cos), 0);
    same_results("prune", m, after, &state);
    nd_module_destroy(after);
    nd_module_destroy(m);
}
END_TEST

START_TEST(calls_become_nodes)
{
    /* A call inside a call, one inside a loop's body; the function called stays an entry point. */
    nd_module *m = nd_module_create("m");
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(3)), *p = nd_input(m, "p", ND_F32, ND_SHAPE(3)),
             *q = nd_input(m, "q", ND_F32, ND_SHAPE(3)), *r = nd_input(m, "r", ND_F32, ND_SHAPE(3)), *inner[1],
             *outer[2], *again[2], *turn[2], *last[1];
    nd_function *square = nd_function(m, "square", ND_VALUES(p), ND_VALUES(nd_mul(p, p)));
    nd_apply(square, ND_VALUES(q), inner);
    nd_function *both =
        nd_function(m, "both", ND_VALUES(q), ND_VALUES(nd_add(inner[0], nd_filled(m, ND_F32, ND_SHAPE(3), 2)), q));
    nd_apply(both, ND_VALUES(x), outer);
    nd_apply(both, ND_VALUES(outer[0]), again);
    nd_apply(both, ND_VALUES(r), turn);
    nd_scan(nd_function(m, "body", ND_VALUES(r), ND_VALUES(nd_div(turn[0], turn[1]))), 3, ND_VALUES(again[0]),
            ND_VALUES(), false, last);
    nd_function(m, "f", ND_VALUES(x), ND_VALUES(outer[0], outer[1], again[0], again[1], last[0]));
    uint64_t state = 1;
    nd_module *after = nd__inline(m), *clean = nd__dce(after);
    good("inline", after);
    ck_assert_int_eq(count_of(clean, ND__OP_apply), 0);
    ck_assert_int_eq(count_of(clean, ND__OP_mul), 5); /* two entry points, two calls, a body */
    same_results("inline", m, after, &state);
    nd_module_destroy(clean);
    nd_module_destroy(after);
    nd_module_destroy(m);
}
END_TEST

START_TEST(calls_that_double_have_an_end)
{
    nd_module *m = nd_module_create("m");
    nd_value *x = nd_input(m, "x", ND_F32, ND_SCALAR), *v[1];
    nd_function *f = nd_function(m, "f0", ND_VALUES(x), ND_VALUES(nd_add(x, x)));
    for (int i = 1; i < 24; i++) {
        char name[16];
        snprintf(name, sizeof name, "f%d", i);
        nd_value *p = nd_input(m, "p", ND_F32, ND_SCALAR);
        nd_apply(f, ND_VALUES(p), v);
        nd_apply(f, ND_VALUES(nd_mul(v[0], v[0])), v);
        f = nd_function(m, name, ND_VALUES(p), ND_VALUES(v[0]));
    }
    nd_module *after = nd__inline(m);
    good("inline", after);
    ck_assert_int_gt(count_of(after, ND__OP_apply), 0);
    ck_assert_int_lt(after->node_count, 100000);
    nd_module_destroy(after);
    nd_module_destroy(m);
}
END_TEST

/* -- the rules of simplify: on special values, and gone is what they say --------------------------------------------
 */

/* RULE(dtype, expression of x, y, c (bool) and n(number), op that must be gone). Every rule of simplify.c has a line.
 */
#define RULES                                                                                                          \
    RULE(ND_F32, nd_add(x, n(-0.0)), add)                                                                              \
    RULE(ND_F32, nd_add(n(-0.0), x), add)                                                                              \
    RULE(ND_I32, nd_add(x, n(0)), add)                                                                                 \
    RULE(ND_F32, nd_add(x, nd_neg(y)), neg)                                                                            \
    RULE(ND_F64, nd_add(nd_neg(x), y), neg)                                                                            \
    RULE(ND_I64, nd_add(nd_neg(x), y), neg)                                                                            \
    RULE(ND_F32, nd_sub(x, n(0)), sub)                                                                                 \
    RULE(ND_F32, nd_sub(n(-0.0), x), sub)                                                                              \
    RULE(ND_U32, nd_sub(n(0), x), sub)                                                                                 \
    RULE(ND_F32, nd_sub(x, nd_neg(y)), neg)                                                                            \
    RULE(ND_U8, nd_sub(x, x), sub)                                                                                     \
    RULE(ND_F32, nd_mul(x, n(1)), mul)                                                                                 \
    RULE(ND_F64, nd_mul(n(-1), x), mul)                                                                                \
    RULE(ND_I32, nd_mul(x, n(-1)), mul)                                                                                \
    RULE(ND_I64, nd_mul(n(0), x), mul)                                                                                 \
    RULE(ND_F32, nd_mul(nd_neg(x), nd_neg(y)), neg)                                                                    \
    RULE(ND_F32, nd_div(x, n(1)), div)                                                                                 \
    RULE(ND_F32, nd_div(x, n(-1)), div)                                                                                \
    RULE(ND_F32, nd_div(x, n(32)), div)                                                                                \
    RULE(ND_F32, nd_div(x, n(-0x1p126)), div)                                                                          \
    RULE(ND_F32, nd_div(x, n(0x1p-126)), div)                                                                          \
    RULE(ND_F64, nd_div(x, n(0x1p-1022)), div)                                                                         \
    RULE(ND_I32, nd_floordiv(x, n(1)), floordiv)                                                                       \
    RULE(ND_I32, nd_floordiv(x, n(0)), floordiv)                                                                       \
    RULE(ND_I32, nd_floordiv(n(0), x), floordiv)                                                                       \
    RULE(ND_I64, nd_floordiv(x, n(-1)), floordiv)                                                                      \
    RULE(ND_I32, nd_floordiv(x, n(8)), floordiv)                                                                       \
    RULE(ND_I64, nd_floordiv(x, n(0x1p62)), floordiv)                                                                  \
    RULE(ND_U32, nd_floordiv(x, n(0x1p31)), floordiv)                                                                  \
    RULE(ND_U8, nd_floordiv(x, n(128)), floordiv)                                                                      \
    RULE(ND_I32, nd_mod(x, n(1)), mod)                                                                                 \
    RULE(ND_I32, nd_mod(x, n(-1)), mod)                                                                                \
    RULE(ND_I32, nd_mod(x, n(0)), mod)                                                                                 \
    RULE(ND_I32, nd_mod(n(0), x), mod)                                                                                 \
    RULE(ND_I32, nd_mod(x, n(8)), mod)                                                                                 \
    RULE(ND_I64, nd_mod(x, n(0x1p40)), mod)                                                                            \
    RULE(ND_U32, nd_mod(x, n(0x1p31)), mod)                                                                            \
    RULE(ND_F32, nd_neg(nd_neg(x)), neg)                                                                               \
    RULE(ND_F32, nd_abs(nd_neg(x)), neg)                                                                               \
    RULE(ND_I32, nd_abs(nd_neg(x)), neg)                                                                               \
    RULE(ND_U32, nd_abs(x), abs)                                                                                       \
    RULE(ND_F32, nd_min(x, x), min)                                                                                    \
    RULE(ND_F32, nd_max(x, x), max)                                                                                    \
    RULE(ND_F32, nd_fma(x, n(1), y), fma)                                                                              \
    RULE(ND_F32, nd_fma(n(-1), x, y), fma)                                                                             \
    RULE(ND_I32, nd_fma(n(0), x, y), fma)                                                                              \
    RULE(ND_F32, nd_fma(x, y, n(-0.0)), fma)                                                                           \
    RULE(ND_I32, nd_fma(x, y, n(0)), fma)                                                                              \
    RULE(ND_F32, nd_fma(nd_neg(x), nd_neg(y), x), neg)                                                                 \
    RULE(ND_F32, nd_ceil(nd_floor(x)), ceil)                                                                           \
    RULE(ND_F32, nd_floor(nd_rint(x)), floor)                                                                          \
    RULE(ND_I64, nd_rint(nd_cast(x, ND_F32)), rint)                                                                    \
    RULE(ND_I32, nd_eq(x, x), eq)                                                                                      \
    RULE(ND_BOOL, nd_eq(x, n(1)), eq)                                                                                  \
    RULE(ND_BOOL, nd_eq(n(0), x), eq)                                                                                  \
    RULE(ND_I32, nd_ne(x, x), ne)                                                                                      \
    RULE(ND_BOOL, nd_ne(x, n(1)), ne)                                                                                  \
    RULE(ND_BOOL, nd_ne(n(0), x), ne)                                                                                  \
    RULE(ND_F32, nd_lt(x, x), lt)                                                                                      \
    RULE(ND_F32, nd_gt(x, x), gt)                                                                                      \
    RULE(ND_I32, nd_le(x, x), le)                                                                                      \
    RULE(ND_I32, nd_ge(x, x), ge)                                                                                      \
    RULE(ND_I32, nd_and(x, x), and)                                                                                    \
    RULE(ND_I32, nd_and(x, n(-1)), and)                                                                                \
    RULE(ND_U8, nd_and(n(255), x), and)                                                                                \
    RULE(ND_I32, nd_and(x, n(0)), and)                                                                                 \
    RULE(ND_BOOL, nd_and(x, n(1)), and)                                                                                \
    RULE(ND_I32, nd_or(x, x), or)                                                                                      \
    RULE(ND_U32, nd_or(x, n(0)), or)                                                                                   \
    RULE(ND_U32, nd_or(n(UINT32_MAX), x), or)                                                                          \
    RULE(ND_BOOL, nd_or(n(1), x), or)                                                                                  \
    RULE(ND_I32, nd_xor(x, x), xor)                                                                                    \
    RULE(ND_I32, nd_xor(x, n(0)), xor)                                                                                 \
    RULE(ND_I64, nd_xor(x, n(-1)), xor)                                                                                \
    RULE(ND_BOOL, nd_xor(n(1), x), xor)                                                                                \
    RULE(ND_I32, nd_not(nd_not(x)), not )                                                                              \
    RULE(ND_F32, nd_not(nd_eq(x, y)), not )                                                                            \
    RULE(ND_F32, nd_not(nd_ne(x, y)), not )                                                                            \
    RULE(ND_I32, nd_shl(x, n(0)), shl)                                                                                 \
    RULE(ND_I32, nd_shr(x, n(0)), shr)                                                                                 \
    RULE(ND_F32, nd_select(c, x, x), select)                                                                           \
    RULE(ND_F32, nd_select(nd_const_of(m, ND_BOOL, 1), x, y), select)                                                  \
    RULE(ND_F32, nd_select(nd_const_of(m, ND_BOOL, 0), x, y), select)                                                  \
    RULE(ND_F32, nd_select(nd_not(c), x, y), not )                                                                     \
    RULE(ND_BOOL, nd_select(c, n(1), n(0)), select)                                                                    \
    RULE(ND_BOOL, nd_select(c, n(0), n(1)), select)                                                                    \
    RULE(ND_F32, nd_add(nd_select(c, nd_select(c, x, nd_exp(y)), y), x), exp)                                          \
    RULE(ND_F32, nd_add(nd_select(c, y, nd_select(c, nd_exp(y), x)), x), exp)                                          \
    RULE(ND_F32, nd_cast(nd_cast(x, ND_F64), ND_F32), cast)                                                            \
    RULE(ND_U8, nd_cast(nd_cast(x, ND_F32), ND_U8), cast)                                                              \
    RULE(ND_BOOL, nd_cast(nd_cast(x, ND_I32), ND_BOOL), cast)                                                          \
    RULE(ND_F32, nd_stop_gradient(x), stop_gradient)                                                                   \
    RULE(ND_F32, nd_sum(nd_reshape(x, ND_SHAPE(-1, 1)), ND_AXES(1), false), sum)                                       \
    RULE(ND_F32, nd_sum(x, ND_AXES(), false), sum)                                                                     \
    RULE(ND_I32, nd_sum(x, ND_AXES(), false), sum)                                                                     \
    RULE(ND_F32, nd_reduce_max(nd_reshape(x, ND_SHAPE(1, -1)), ND_AXES(0), false), reduce_max)                         \
    RULE(ND_F32, nd_reduce_min(nd_reshape(x, ND_SHAPE(1, -1)), ND_AXES(0), false), reduce_min)                         \
    RULE(ND_F32, nd_argmax(nd_reshape(x, ND_SHAPE(1, -1)), 0), argmax)                                                 \
    RULE(ND_F32, nd_argmin(nd_reshape(x, ND_SHAPE(1, -1)), 0), argmin)

/* What looks like a rule and is none, for the value named. */
#define NO_RULES                                                                                                       \
    RULE(ND_F32, nd_add(x, n(0)), add)        /* -0 */                                                                 \
    RULE(ND_F32, nd_sub(x, n(-0.0)), sub)     /* -0 */                                                                 \
    RULE(ND_F32, nd_sub(n(0), x), sub)        /* 0 */                                                                  \
    RULE(ND_F32, nd_sub(x, x), sub)           /* infinity */                                                           \
    RULE(ND_F32, nd_mul(x, n(0)), mul)        /* NaN, -1 */                                                            \
    RULE(ND_F32, nd_div(x, x), div)           /* 0 */                                                                  \
    RULE(ND_F32, nd_div(x, n(3)), div)        /* rounding */                                                           \
    RULE(ND_F32, nd_div(x, n(0x1p127)), div)  /* its reciprocal is subnormal */                                        \
    RULE(ND_F32, nd_div(x, n(0x1p-149)), div) /* its reciprocal is infinite */                                         \
    RULE(ND_F32, nd_div(x, n(0)), div)                                                                                 \
    RULE(ND_F32, nd_fma(x, y, n(0)), fma)   /* -0 */                                                                   \
    RULE(ND_F32, nd_fma(n(0), x, y), fma)   /* NaN */                                                                  \
    RULE(ND_F32, nd_eq(x, x), eq)           /* NaN */                                                                  \
    RULE(ND_F32, nd_le(x, x), le)           /* NaN */                                                                  \
    RULE(ND_F32, nd_not(nd_lt(x, y)), not ) /* NaN */                                                                  \
    RULE(ND_I32, nd_floordiv(x, n(6)), floordiv)                                                                       \
    RULE(ND_I32, nd_mod(x, n(-8)), mod)                                                                                \
    RULE(ND_F32, nd_cast(nd_cast(x, ND_I32), ND_F32), cast)                                                            \
    RULE(ND_I64, nd_cast(nd_cast(x, ND_F32), ND_I64), cast)                                                            \
    RULE(ND_I32, nd_cast(nd_cast(x, ND_F64), ND_U8), cast) /* 256 saturates or wraps */

#define n(number) nd_const_of(m, dtype, number)
#define RULE(type, expression, gone)                                                                                   \
    {                                                                                                                  \
        nd_module *m = nd_module_create("m");                                                                          \
        const nd_dtype dtype = type;                                                                                   \
        nd_value *x = nd_input(m, "x", type, ND_SHAPE(4096)), *y = nd_input(m, "y", type, ND_SHAPE(4096)),             \
                 *c = nd_input(m, "c", ND_BOOL, ND_SHAPE(4096));                                                       \
        (void)dtype;                                                                                                   \
        nd_function(m, "f", ND_VALUES(x, y, c), ND_VALUES(expression));                                                \
        check_rule(#expression " of " #type, m, ND__OP_##gone, expect_gone);                                           \
    }

static void check_rule(const char *what, nd_module *m, nd__op gone, bool expect_gone)
{
    uint64_t state = 1;
    nd_module *simple = nd__simplify(m), *after = simple ? nd__dce(simple) : NULL;
    good(what, after);
    const int left = count_of(after, gone), before = count_of(m, gone);
    ck_assert_msg(expect_gone ? left == 0 : left == before, "%s: %d of %d %s left", what, left, before,
                  nd__ops[gone].name);
    same_results(what, m, after, &state);
    nd_module_destroy(after);
    nd_module_destroy(simple);
    nd_module_destroy(m);
}

START_TEST(simplify_keeps_special_values)
{
    const bool expect_gone = true;
    RULES
}
END_TEST

START_TEST(simplify_leaves_what_is_not_exact)
{
    const bool expect_gone = false;
    NO_RULES
}
END_TEST
#undef RULE
#undef n

START_TEST(a_known_branch_is_a_call)
{
    nd_module *m = nd_module_create("m");
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(3)), *out[2];
    nd_function *yes = nd_function(m, "yes", ND_VALUES(), ND_VALUES(nd_exp(x), nd_neg(x))),
                *no = nd_function(m, "no", ND_VALUES(), ND_VALUES(nd_sin(x), x));
    nd_cond(nd_const_of(m, ND_BOOL, 0), yes, no, out);
    nd_function(m, "f", ND_VALUES(x), ND_VALUES(out[1], out[0]));
    uint64_t state = 1;
    nd_module *after = nd__simplify(m);
    good("cond", after);
    ck_assert_int_eq(count_of(after, ND__OP_cond), 0);
    ck_assert_int_eq(count_of(after, ND__OP_apply), 1);
    same_results("cond", m, after, &state);
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

START_TEST(dumps_are_texts)
{
    char text[4096] = "";
    FILE *file = tmpfile();
    nd_module *m = nd__run_passes(small(), &(nd__pass_options){.dump_after = "cse,dce", .dump = file});
    ck_assert_int_eq(nd_module_status(m), ND_OK);
    rewind(file);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    const char *start = "# after cse\nnadir 1\nmodule m", *second = strstr(text, "# after dce\nnadir 1\n");
    ck_assert_msg(strncmp(text, start, strlen(start)) == 0 && second, "%s", text);
    ck_assert_ptr_null(strstr(text, "# after fold"));
    nd_module *again = nd_module_parse(second, "dump");
    ck_assert_msg(nd_module_status(again) == ND_OK, "%s", nd_module_error(again));
    nd_module_destroy(again);
    nd_module_destroy(m);

    /* To where nothing can be written. */
    file = fopen("/dev/full", "w");
    if (!file)
        return;
    setbuf(file, NULL);
    m = nd__run_passes(small(), &(nd__pass_options){.dump_after = "all", .dump = file});
    ck_assert_int_eq(nd_module_status(m), ND_ERR_IO);
    ck_assert_str_eq(nd_module_error(m), "dump after inline: it cannot be written");
    nd_module_destroy(m);
    fclose(file);
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

int main(int argc, char **argv)
{
    source_dir = argc > 1 ? argv[1] : ".";
    Suite *suite = suite_create("passes");
    TCase *t = tcase_create("passes");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, no_pass_changes_bits_of_random_graphs);
    tcase_add_test(t, no_pass_changes_bits_of_any_op);
    tcase_add_test(t, no_pass_changes_bits_of_gradients);
    tcase_add_test(t, golden);
    tcase_add_test(t, cse_merges_what_is_equal);
    tcase_add_test(t, cse_keeps_inputs_of_one_name_apart);
    tcase_add_test(t, dce_drops_what_nothing_needs);
    tcase_add_test(t, one_loop_for_forward_and_gradient);
    tcase_add_test(t, prune_drops_what_no_body_uses);
    tcase_add_test(t, prune_keeps_what_the_next_turn_reads);
    tcase_add_test(t, prune_leaves_shared_bodies);
    tcase_add_test(t, calls_become_nodes);
    tcase_add_test(t, calls_that_double_have_an_end);
    tcase_add_test(t, simplify_keeps_special_values);
    tcase_add_test(t, simplify_leaves_what_is_not_exact);
    tcase_add_test(t, a_known_branch_is_a_call);
    tcase_add_test(t, passes_off_stay_off);
    tcase_add_test(t, dumps_are_texts);
    tcase_add_test(t, an_unknown_pass_is_an_error);
    tcase_add_test(t, a_failed_module_comes_back);
    tcase_add_test(t, survives_every_failing_allocation);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
