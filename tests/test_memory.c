/* Memory runs out at every allocation in turn while a small model is built, differentiated, interpreted: a status, no
 * crash, nothing held. */
#include "bits.h"
#include "compiler/interp/interp.h"
#include "failing_alloc.h"
#include "run_suite.h"

#include <check.h>
#include <stdio.h>

/* Two layers, a loop, a branch, a gradient step. */
static void build(nd_module *m)
{
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(nd_dim(m, "B", 3), 4)),
             *labels = nd_input(m, "labels", ND_I32, ND_SHAPE(nd_dim(m, "B", 3)));
    nd_value *w = nd_variable(m, "w", ND_F32, ND_SHAPE(4, 5), nd_glorot_uniform()),
             *b = nd_variable(m, "b", ND_F32, ND_SHAPE(5), nd_zeros());
    nd_value *table = nd_variable(m, "table", ND_F32, ND_SHAPE(6, 5), nd_random_normal(0, 1));
    nd_value *h = nd_add(nd_matmul(x, w), b), *zero = nd_const(m, 0);
    h = nd_select(nd_le(h, zero), zero, h);

    nd_value *s = nd_input(m, "s", ND_F32, ND_SHAPE(5)), *row = nd_input(m, "row", ND_F32, ND_SHAPE(5)), *swept[2],
             *last[1];
    nd_value *next = nd_tanh(nd_add(nd_mul(s, b), row));
    nd_scan(nd_function(m, "body", ND_VALUES(s, row), ND_VALUES(next, nd_neg(next))), nd_dim(m, "B", 3), ND_VALUES(b),
            ND_VALUES(h), true, swept);
    nd_value *total = nd_sum(nd_mul(swept[1], nd_gather(table, labels)), ND_ALL_AXES, false);
    nd_function *yes = nd_function(m, "yes", ND_VALUES(), ND_VALUES(nd_exp(total)));
    nd_function *no = nd_function(m, "no", ND_VALUES(), ND_VALUES(nd_mul(total, nd_const(m, 2))));
    nd_cond(nd_lt(total, nd_const(m, 1)), yes, no, last);

    nd_value *loss = nd_add(last[0], nd_sum(swept[0], ND_AXES(0), false)), *dw = nd_gradient(loss, w),
             *dtable = nd_gradient(loss, table);
    nd_function *step = nd_function(m, "step", ND_VALUES(x, labels), ND_VALUES(loss, nd_at(h, "0, ::-1")));
    nd_assign(step, w, nd_sub(w, nd_mul(nd_const(m, 0.1), dw)));
    nd_assign(step, table, nd_sub(table, nd_mul(nd_const(m, 0.1), dtable)));
}

typedef struct results {
    float loss, row[5];
    nd_status module, program, state, call, run;
} results;

static results everything(nd_tensor *x, nd_tensor *labels, nd_tensor *loss, nd_tensor *row)
{
    results r = {0};
    nd_module *m = nd_module_create("memory"), *bound = NULL;
    if (m) {
        build(m);
        nd__init_function(m);
        r.module = nd_module_status(m);
        bound = r.module == ND_OK ? nd__module_copy(m, (int64_t[]){3}) : NULL;
    }
    if (!bound)
        r.module = r.module == ND_OK ? ND_ERR_MEMORY : r.module;
    nd_program *program = bound ? nd__interpreter(bound) : NULL;
    r.program = nd_program_status(program);
    nd_state *state = nd_state_create(program, 5);
    r.state = state ? ND_OK : r.program;
    nd_call *call = nd_bind(program, "step", state, ND_IN(x, labels), ND_OUT(loss, row));
    r.run = nd_run(call);
    nd_call_destroy(call);
    nd_state_destroy(state);
    nd_program_destroy(program);
    nd_module_destroy(m);
    return r;
}

START_TEST(survives_every_failing_allocation)
{
    const float pixels[12] = {1, 2, 3, 4, -1, -2, -3, -4, 0.5f, 0.25f, -0.5f, 1};
    nd_tensor *x = nd_tensor_of(ND_F32, ND_SHAPE(3, 4), pixels),
              *labels = nd_tensor_of(ND_I32, ND_SHAPE(3), (int32_t[]){5, 0, 5});
    nd_tensor *loss = nd_tensor_zeros(ND_F32, ND_SCALAR), *row = nd_tensor_zeros(ND_F32, ND_SHAPE(5));
    bool failed = true;
    int n = 0;
    for (; failed; n++) {
        failing_alloc_begin(n);
        results r = everything(x, labels, loss, row);
        failed = failing_alloc_end();
        ck_assert_msg(failing_alloc_held() == 0, "allocation %d: %ld still held", n, failing_alloc_held());
        if (!failed)
            ck_assert_msg(r.run == ND_OK, "nothing failed, but %d %d %d", r.module, r.program, r.run);
        else if (r.module != ND_OK)
            ck_assert_msg(r.module == ND_ERR_MEMORY, "allocation %d: %s", n, nd_status_text(r.module));
        else if (r.program != ND_OK)
            ck_assert_msg(r.program == ND_ERR_MEMORY, "allocation %d: %s", n, nd_status_text(r.program));
        else
            ck_assert_msg(r.run != ND_OK, "allocation %d failed and nobody noticed", n);
    }
    nd_tensor *all[] = {x, labels, loss, row};
    for (int i = 0; i < 4; i++)
        nd_tensor_destroy(all[i]);
}
END_TEST

/* nd_evaluate and nd_print, likewise. */
START_TEST(evaluating_survives)
{
    FILE *file = tmpfile();
    bool failed = true;
    for (int n = 0; failed; n++) {
        failing_alloc_begin(n);
        nd_module *m = nd_module_create("memory");
        nd_value *v =
            nd_sum(nd_mul(nd_iota(m, ND_F32, ND_SHAPE(nd_dim(m, "B", 3), 4), 1), nd_const(m, 2)), ND_AXES(1), false);
        nd_tensor *t = nd_evaluate(v);
        nd_status status = nd_tensor_status(t), printed = nd_print(v, file);
        nd_tensor_destroy(t);
        nd_module_destroy(m);
        const nd_status lost = m ? ND_ERR_MEMORY : ND_ERR_ARGUMENT; /* no module: no value to evaluate */
        failed = failing_alloc_end();
        ck_assert_int_eq(failing_alloc_held(), 0);
        ck_assert_msg(failed == (status == lost || printed == lost), "allocation %d: %d %d", n, status, printed);
        ck_assert((status == ND_OK || status == lost) && (printed == ND_OK || printed == lost));
    }
    fclose(file);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("memory");
    TCase *t = tcase_create("memory");
    tcase_add_test(t, survives_every_failing_allocation);
    tcase_add_test(t, evaluating_survives);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
