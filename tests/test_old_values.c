/* Memory that is overwritten where it lies: compiled code, too, reads the old values first. Each module is run three
 * times by the interpreter and by native code, to the same state and outputs. */
#include "nadir/compile.h"
#include "nadir/graph.h"
#include "run_suite.h"

#include <check.h>
#include <stdlib.h>

enum { N = 3 };

static nd_value *variable(nd_module *m, const char *name, double low)
{
    nd_tensor *t = nd_tensor_range(ND_F32, low, low + N, 1);
    nd_value *v = nd_variable(m, name, ND_F32, ND_SHAPE(N), nd_from_tensor(t));
    nd_tensor_destroy(t);
    return v;
}

static void swap(nd_module *m)
{
    nd_value *a = variable(m, "a", 1), *b = variable(m, "b", 10);
    nd_function *f = nd_function(m, "f", ND_VALUES(), ND_VALUES(a));
    nd_assign(f, a, b);
    nd_assign(f, b, a);
}

static void rotate_with_sum(nd_module *m)
{
    nd_value *a = variable(m, "a", 1), *b = variable(m, "b", 10);
    nd_function *f = nd_function(m, "f", ND_VALUES(), ND_VALUES(nd_sub(a, b)));
    nd_assign(f, a, b);
    nd_assign(f, b, nd_add(a, b));
}

static void reverse_in_place(nd_module *m)
{
    nd_value *a = variable(m, "a", 1);
    nd_function *f = nd_function(m, "f", ND_VALUES(), ND_VALUES(a));
    nd_assign(f, a, nd_at(a, "::-1"));
}

/* Each turn hands out what it was given. */
static void scan_of_carries(nd_module *m)
{
    nd_value *a = variable(m, "a", 1), *at = nd_input(m, "at", ND_F32, ND_SHAPE(N)), *out[2];
    nd_function *body = nd_function(m, "body", ND_VALUES(at), ND_VALUES(nd_mul(at, nd_const(m, 2)), at));
    nd_scan(body, 4, ND_VALUES(a), ND_VALUES(), false, out);
    nd_function *f = nd_function(m, "f", ND_VALUES(), ND_VALUES(out[1]));
    nd_assign(f, a, out[0]);
}

/* Fibonacci: one carry takes the other's old value. */
static void scan_that_rotates(nd_module *m)
{
    nd_value *a = variable(m, "a", 0), *b = variable(m, "b", 1), *out[3];
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(N)), *y = nd_input(m, "y", ND_F32, ND_SHAPE(N));
    nd_function *body = nd_function(m, "body", ND_VALUES(x, y), ND_VALUES(y, nd_add(x, y), nd_at(x, "::-1")));
    nd_scan(body, 6, ND_VALUES(a, b), ND_VALUES(), false, out);
    nd_function(m, "f", ND_VALUES(), ND_VALUES(out[2], out[0], out[1]));
}

static void (*const builders[])(nd_module *m) = {swap, rotate_with_sum, reverse_in_place, scan_of_carries,
                                                 scan_that_rotates};

enum { RUNS = 3, OUTPUTS = 3 };

typedef struct outcome {
    nd_program *program;
    nd_state *state;
    nd_tensor *out[RUNS][OUTPUTS];
} outcome;

static outcome run(nd_module *m, bool interpret)
{
    outcome o = {.program = nd_compile(m, &(nd_compile_options){.interpret = interpret})};
    ck_assert_msg(nd_program_status(o.program) == ND_OK, "%s", nd_program_error(o.program));
    o.state = nd_state_create(o.program, 1);
    const int f = nd_program_function_index(o.program, "f"), count = nd_program_output_count(o.program, f);
    for (int r = 0; r < RUNS; r++) {
        for (int i = 0; i < count; i++) {
            const nd_port port = nd_program_output(o.program, f, i);
            o.out[r][i] = nd_tensor_zeros(port.dtype, port.shape);
        }
        nd_call *call = nd_bind(o.program, "f", o.state, ND_IN(), (nd_tensors){(size_t)count, o.out[r]});
        ck_assert_int_eq(nd_run(call), ND_OK);
        nd_call_destroy(call);
    }
    return o;
}

static void release(outcome *o)
{
    for (int i = 0; i < RUNS * OUTPUTS; i++)
        nd_tensor_destroy(o->out[i / OUTPUTS][i % OUTPUTS]);
    nd_state_destroy(o->state);
    nd_program_destroy(o->program);
}

START_TEST(are_read_first)
{
    nd_module *m = nd_module_create("old");
    builders[_i](m);
    outcome one = run(m, true), other = run(m, false);
    for (int i = 0; i < RUNS * OUTPUTS; i++) {
        const nd_tensor *a = one.out[i / OUTPUTS][i % OUTPUTS], *b = other.out[i / OUTPUTS][i % OUTPUTS];
        ck_assert_msg(!a || nd_tensor_same_bits(a, b), "run %d, output %d", i / OUTPUTS, i % OUTPUTS);
    }
    for (int i = 0; i < nd_program_variable_count(one.program); i++) {
        const char *name = nd_program_variable(one.program, i).name;
        ck_assert_msg(nd_tensor_same_bits(nd_state_tensor(one.state, name), nd_state_tensor(other.state, name)), "%s",
                      name);
    }
    release(&one);
    release(&other);
    nd_module_destroy(m);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("old_values");
    TCase *c = tcase_create("old_values");
    tcase_add_loop_test(c, are_read_first, 0, (int)(sizeof builders / sizeof *builders));
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
