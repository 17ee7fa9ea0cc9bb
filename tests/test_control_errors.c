/* What the builder says of mistakes with apply, cond and scan. */
#include "run_suite.h"

#include "compiler/graph/graph.h"
#include "nadir/graph.h"

#include <check.h>
#include <string.h>

/* What a mistake may be made of. */
typedef struct parts {
    nd_module *m, *other;
    nd_value *x, *y, *n, *a, *b, *xs, *foreign, *out[8];
    nd_function *f, *two, *none, *assigns;
} parts;

static parts make_parts(void)
{
    parts p = {.m = nd_module_create("m"), .other = nd_module_create("other")};
    p.x = nd_input(p.m, "x", ND_F32, ND_SHAPE(3));
    p.y = nd_input(p.m, "y", ND_F32, ND_SHAPE(2));
    p.n = nd_input(p.m, "n", ND_I32, ND_SCALAR);
    p.a = nd_input(p.m, "a", ND_F32, ND_SHAPE(3));
    p.b = nd_input(p.m, "b", ND_F32, ND_SHAPE(3));
    p.xs = nd_input(p.m, "xs", ND_F32, ND_SHAPE(4, 3));
    p.foreign = nd_input(p.other, "foreign", ND_F32, ND_SHAPE(3));
    nd_value *w = nd_variable(p.m, "w", ND_F32, ND_SHAPE(3), nd_zeros());
    p.f = nd_function(p.m, "f", ND_VALUES(p.a), ND_VALUES(nd_exp(p.a)));
    p.two = nd_function(p.m, "two", ND_VALUES(p.a, p.b), ND_VALUES(nd_add(p.a, p.b), nd_sub(p.a, p.b)));
    p.none = nd_function(p.m, "none", ND_VALUES(), ND_VALUES(nd_neg(p.x)));
    p.assigns = nd_function(p.m, "assigns", ND_VALUES(p.a), ND_VALUES(p.a));
    nd_assign(p.assigns, w, p.a);
    ck_assert_msg(nd_module_status(p.m) == ND_OK, "%s", nd_module_error(p.m));
    return p;
}

#define MISTAKE(name, ...)                                                                                             \
    static void name(parts *p)                                                                                         \
    {                                                                                                                  \
        __VA_ARGS__;                                                                                                   \
    }
MISTAKE(apply_count, nd_apply_at("here", p->two, ND_VALUES(p->x), p->out))
MISTAKE(apply_shape, nd_apply_at("here", p->f, ND_VALUES(p->y), p->out))
MISTAKE(apply_dtype, nd_apply_at("here", p->two, ND_VALUES(p->x, p->n), p->out))
MISTAKE(apply_assigns, nd_apply_at("here", p->assigns, ND_VALUES(p->x), p->out))
MISTAKE(apply_null, nd_apply_at("here", NULL, ND_VALUES(p->x), p->out))
MISTAKE(apply_null_value, nd_apply_at("here", p->two, ND_VALUES(p->x, NULL), p->out))
MISTAKE(apply_null_list, nd_apply_at("here", p->two, (nd_values){2, NULL}, p->out))
MISTAKE(scan_null_list, nd_scan_at("here", p->two, 4, ND_VALUES(p->x), (nd_values){1, NULL}, false, p->out))
MISTAKE(apply_foreign, nd_apply_at("here", p->f, ND_VALUES(p->foreign), p->out))
MISTAKE(cond_condition, nd_cond_at("here", p->n, p->none, p->none, p->out))
MISTAKE(cond_size, nd_cond_at("here", nd_lt(p->x, p->a), p->none, p->none, p->out))
MISTAKE(cond_inputs, nd_cond_at("here", nd_lt(p->n, p->n), p->none, p->f, p->out))
MISTAKE(cond_count, nd_cond_at("here", nd_lt(p->n, p->n), p->none,
                               nd_function(p->m, "no", ND_VALUES(), ND_VALUES(p->x, p->x)), p->out))
MISTAKE(cond_types,
        nd_cond_at("here", nd_lt(p->n, p->n), p->none, nd_function(p->m, "no", ND_VALUES(), ND_VALUES(p->y)), p->out))
MISTAKE(cond_null, nd_cond_at("here", nd_lt(p->n, p->n), p->none, NULL, p->out))
MISTAKE(cond_null_condition, nd_cond_at("here", NULL, p->none, p->none, p->out))
MISTAKE(scan_count, nd_scan_at("here", p->two, 4, ND_VALUES(p->x), ND_VALUES(), false, p->out))
MISTAKE(scan_length, nd_scan_at("here", p->two, 5, ND_VALUES(p->x), ND_VALUES(p->xs), false, p->out))
MISTAKE(scan_negative, nd_scan_at("here", p->f, -1, ND_VALUES(p->x), ND_VALUES(), false, p->out))
MISTAKE(scan_slice, nd_scan_at("here", p->two, 3, ND_VALUES(p->x), ND_VALUES(p->x), false, p->out))
MISTAKE(scan_init, nd_scan_at("here", p->two, 4, ND_VALUES(p->y), ND_VALUES(p->xs), false, p->out))
MISTAKE(scan_carry,
        nd_function *g = nd_function(p->m, "g", ND_VALUES(p->a), ND_VALUES(nd_sum(p->a, ND_AXES(0), false)));
        nd_scan_at("here", g, 4, ND_VALUES(p->x), ND_VALUES(), false, p->out))
MISTAKE(scan_few, nd_scan_at("here", p->f, 4, ND_VALUES(p->x, p->x), ND_VALUES(), false, p->out))
MISTAKE(scan_assigns, nd_scan_at("here", p->assigns, 4, ND_VALUES(p->x), ND_VALUES(), false, p->out))
MISTAKE(scan_foreign, nd_scan_at("here", p->f, 4, ND_VALUES(p->foreign), ND_VALUES(), false, p->out))
MISTAKE(scan_name, nd_scan_at("here", p->two, nd_dim(p->m, "T", 4), ND_VALUES(p->x), ND_VALUES(p->xs), false, p->out))
MISTAKE(scan_null, nd_scan_at("here", NULL, 4, ND_VALUES(p->x), ND_VALUES(), false, p->out))
MISTAKE(body_assigned, nd_apply_at("here", p->f, ND_VALUES(p->x), p->out);
        nd_assign_at("there", p->f, nd_variable(p->m, "v", ND_F32, ND_SHAPE(3), nd_zeros()), p->x))
MISTAKE(branch_assigned, nd_cond_at("here", nd_lt(p->n, p->n), p->none, p->none, p->out);
        nd_assign_at("there", p->none, nd_variable(p->m, "v", ND_F32, ND_SHAPE(3), nd_zeros()), p->x))
MISTAKE(no_gradient, nd_value *whole = nd_cast_at("inside", nd_name(nd_mul(p->a, p->b), "product"), ND_I32);
        nd_function *g = nd_function(p->m, "g", ND_VALUES(p->a, p->b), ND_VALUES(nd_cast(whole, ND_F32)));
        nd_scan_at("here", g, 4, ND_VALUES(p->x), ND_VALUES(p->xs), false, p->out);
        nd_gradient_at("there", nd_at(p->out[0], "0"), p->x))

static const struct {
    void (*make)(parts *p);
    int outputs; /* that are poison then */
    const char *message;
} mistakes[] = {
    {apply_count, 2, "here: apply: the function \"two\" takes 2 values, got 1"},
    {apply_shape, 1, "here: apply: \"f\" takes f32[3] for its input \"a\", got f32[2]"},
    {apply_dtype, 2, "here: apply: \"two\" takes f32[3] for its input \"b\", got i32"},
    {apply_assigns, 1, "here: apply: the function \"assigns\" assigns variables; only an entry point may"},
    {apply_null, 0, "here: apply: the function is NULL"},
    {apply_null_list, 2, "here: apply: the list of 2 values is NULL"},
    {scan_null_list, 2, "here: scan: the list of 1 values is NULL"},
    {apply_null_value, 2, "here: apply: operand 1 is NULL"},
    {apply_foreign, 1, "here: apply: operands of the function \"f\" belong to another module, \"other\""},
    {cond_condition, 1, "here: cond: the condition is i32, expected bool of one element"},
    {cond_size, 1, "here: cond: the condition is bool[3], expected bool of one element"},
    {cond_inputs, 1, "here: cond: the function \"f\" has inputs; a branch captures what it needs"},
    {cond_count, 1, "here: cond: \"none\" gives 1 value, \"no\" gives 2"},
    {cond_types, 1, "here: cond: output 0 is f32[3] in \"none\" but f32[2] in \"no\""},
    {cond_null, 1, "here: cond: the function is NULL"},
    {cond_null_condition, 1, "here: cond: the condition is NULL"},
    {scan_count, 2, "here: scan: the body \"two\" takes 2 values, got 1 carried and 0 sliced"},
    {scan_length, 2, "here: scan: operand 1 is f32[4,3], expected 5 slices along its first axis"},
    {scan_negative, 1, "here: scan: the length -1 is negative"},
    {scan_slice, 2, "here: scan: \"two\" takes f32[3] for its input \"b\", got f32 as a slice"},
    {scan_init, 2, "here: scan: \"two\" takes f32[3] for its input \"a\", got f32[2] to carry"},
    {scan_carry, 1, "here: scan: the body \"g\" carries f32[3] on as f32"},
    {scan_few, 1, "here: scan: the body \"f\" takes 1 value, got 2 carried and 0 sliced"},
    {scan_assigns, 1, "here: scan: the body \"assigns\" assigns variables; only an entry point may"},
    {scan_foreign, 1, "here: scan: operands of the function \"f\" belong to another module, \"other\""},
    {scan_name, 2, "here: scan: operand 1 is f32[4,3], expected T=4 slices along its first axis"},
    {scan_null, 0, "here: scan: the function is NULL"},
    {body_assigned, 0, "there: assign: apply runs the function \"f\"; only an entry point may assign variables"},
    {branch_assigned, 0, "there: assign: cond runs the function \"none\"; only an entry point may assign variables"},
    {no_gradient, 0,
     "there: gradient of %17: cast %13 on the way has no gradient; nd_stop_gradient makes it a constant"},
};

START_TEST(a_mistake_has_its_message)
{
    parts p = make_parts();
    mistakes[_i].make(&p);
    ck_assert_int_ne(nd_module_status(p.m), ND_OK);
    const char *error = nd_module_error(p.m), *message = mistakes[_i].message;
    const size_t line = strcspn(error, "\n"); /* notes follow */
    ck_assert_msg(line == strlen(message) && strncmp(error, message, line) == 0, "%s", error);
    for (int i = 0; i < mistakes[_i].outputs; i++)
        ck_assert(p.out[i] && nd_value_is_poison(p.out[i]));
    nd_module_destroy(p.m);
    nd_module_destroy(p.other);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("control errors");
    TCase *t = tcase_create("messages");
    tcase_add_loop_test(t, a_mistake_has_its_message, 0, sizeof mistakes / sizeof *mistakes);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
