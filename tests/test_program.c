/* Programs, states and calls, over a back end in plain C. */
#define _GNU_SOURCE /* feenableexcept, where there is one */
#include "failing_alloc.h"
#include "nadir/program.h"
#include "nadir/train.h"
#include "run_suite.h"
#include "runtime/control_word.h"
#include "toy_program.h"

#include <check.h>
#include <fenv.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>

/* A program, its state, and arguments that fit "step". */
typedef struct bench {
    nd_program *program;
    nd_state *state;
    nd_tensor *x, *y, *loss, *rows;
} bench;

static bench set_up(toy_options options)
{
    bench b = {.program = toy_program(options)};
    int64_t n = options.batch ? options.batch : 4;
    b.state = nd_state_create(b.program, 42);
    b.x = nd_tensor_full(ND_F32, ND_SHAPE(n, 2), 1);
    b.y = nd_tensor_zeros(ND_I32, ND_SHAPE(n));
    b.loss = nd_tensor_zeros(ND_F32, ND_SCALAR);
    b.rows = nd_tensor_zeros(ND_I64, ND_SCALAR);
    ck_assert_ptr_nonnull(b.state);
    return b;
}

static void tear_down(bench *b)
{
    nd_state_destroy(b->state);
    nd_program_destroy(b->program);
    nd_tensor *all[] = {b->x, b->y, b->loss, b->rows};
    for (int i = 0; i < 4; i++)
        nd_tensor_destroy(all[i]);
}

START_TEST(describes_itself)
{
    nd_program *p = toy_program((toy_options){0});
    ck_assert_int_eq(nd_program_status(p), ND_OK);
    ck_assert_str_eq(nd_program_error(p), "");
    ck_assert_int_eq(nd_program_function_count(p), 6);
    int step = nd_program_function_index(p, "step");
    ck_assert_int_eq(step, 1);
    ck_assert_int_eq(nd_program_function_index(p, "stop"), -1);
    ck_assert_int_eq(nd_program_function_index(p, NULL), -1);
    ck_assert_str_eq(nd_program_function_name(p, step), "step");
    ck_assert_int_eq(nd_program_input_count(p, step), 2);
    ck_assert_int_eq(nd_program_output_count(p, step), 2);
    ck_assert_str_eq(nd_program_input(p, step, 1).name, "y");
    ck_assert_int_eq(nd_program_input(p, step, 0).shape.dims[0], 4);
    ck_assert_int_eq(nd_program_output(p, step, 1).dtype, ND_I64);
    ck_assert_uint_eq(nd_program_arena_size(p, step), 256);
    ck_assert_int_eq(nd_program_variable_count(p), 2);
    ck_assert_str_eq(nd_program_variable(p, 1).name, "raw");
    /* Outside: an empty port, no crash. */
    for (int i = -1; i < 7; i += 7) {
        ck_assert_str_eq(nd_program_function_name(p, i), "");
        ck_assert_int_eq(nd_program_input_count(p, i), 0);
        ck_assert_int_eq(nd_program_output_count(p, i), 0);
        ck_assert_str_eq(nd_program_input(p, i, 0).name, "");
        ck_assert_str_eq(nd_program_output(p, 1, i).name, "");
        ck_assert_str_eq(nd_program_variable(p, i).name, "");
        ck_assert_uint_eq(nd_program_arena_size(p, i), 0);
    }
    nd_program_destroy(p);
}
END_TEST

START_TEST(a_failed_program_does_nothing)
{
    nd_program *failed = nd_program_create_failed(ND_ERR_GRAPH, "matmul: inner sizes differ");
    for (int i = 0; i < 2; i++) {
        nd_program *p = i ? failed : NULL;
        ck_assert_int_eq(nd_program_status(p), i ? ND_ERR_GRAPH : ND_ERR_MEMORY);
        ck_assert_str_eq(nd_program_error(p), i ? "matmul: inner sizes differ" : "out of memory");
        ck_assert_int_eq(nd_program_function_count(p), 0);
        ck_assert_int_eq(nd_program_variable_count(p), 0);
        ck_assert_ptr_null(nd_state_create(p, 1));
        ck_assert_ptr_null(nd_bind(p, "step", NULL, ND_IN(), ND_OUT()));
        ck_assert_ptr_null(nd_program_specialize(p, "B", 1));
        ck_assert_str_eq(nd_program_error(p), i ? "matmul: inner sizes differ" : "out of memory");
    }
    nd_program_destroy(failed);
    nd_program_destroy(NULL);
    ck_assert_ptr_null(nd_program_create(NULL));
    ck_assert_int_eq(nd_run(NULL), ND_ERR_STATE);
    ck_assert_str_eq(nd_call_error(NULL), "the call is NULL");
    nd_call_destroy(NULL);
    nd_state_destroy(NULL);
    ck_assert_ptr_null(nd_state_tensor(NULL, "w"));
    ck_assert_ptr_null(nd_state_f32(NULL, "w"));
    ck_assert_int_eq(nd_state_set(NULL, "w", NULL), ND_ERR_MEMORY);
    ck_assert_str_eq(nd_state_error(NULL), "out of memory");
}
END_TEST

START_TEST(runs)
{
    for (int interpreted = 0; interpreted < 2; interpreted++) {
        bench b = set_up((toy_options){.interpreted = interpreted});
        nd_call *call = nd_bind(b.program, "step", b.state, ND_IN(b.x, b.y), ND_OUT(b.loss, b.rows));
        ck_assert_ptr_nonnull(call);
        float *w = nd_state_f32(b.state, "w");
        ck_assert(w[0] == 42 && w[1] == 0); /* init had the seed */
        for (int i = 0; i < 3; i++) {
            ck_assert_int_eq(nd_run(call), ND_OK);
            float d0 = 1 - (42.0F + (float)i), d1 = 1 - (float)i;
            ck_assert(nd_tensor_get(b.loss, 0) == (double)(4 * (d0 * d0 + d1 * d1)));
            ck_assert(w[0] == 43 + (float)i);
        }
        ck_assert_str_eq(nd_call_error(call), "");
        nd_call_destroy(call);
        tear_down(&b);
    }
}
END_TEST

START_TEST(seeds)
{
    nd_program *p = toy_program((toy_options){0});
    nd_state *s = nd_state_create(p, (uint64_t)3 << 32 | 5), *own = nd_state_create(p, 0);
    ck_assert(nd_state_f32(s, "w")[0] == 5 && nd_state_f32(s, "w")[1] == 3);
    ck_assert(nd_state_f32(own, "w")[0] == 7);  /* the module's */
    ck_assert_ptr_null(nd_state_f32(s, "raw")); /* not f32 */
    ck_assert_ptr_null(nd_state_f32(s, "nothing"));
    nd_state_destroy(s);
    nd_state_destroy(own);
    nd_program_destroy(p);
}
END_TEST

/* nd_bind says which function, which argument, what it expected and what it got. */
static void refuses(bench *b, const char *function, nd_state *state, nd_tensors in, nd_tensors out, const char *message)
{
    ck_assert_ptr_null(nd_bind(b->program, function, state, in, out));
    ck_assert_str_eq(nd_program_error(b->program), message);
    ck_assert_int_eq(nd_program_status(b->program), ND_OK); /* the program stays good */
}

START_TEST(binding_checks_arguments)
{
    bench b = set_up((toy_options){0});
    nd_tensor *narrow = nd_tensor_zeros(ND_F32, ND_SHAPE(4, 3)), *wide = nd_tensor_zeros(ND_F32, ND_SHAPE(4, 4));
    nd_tensor *f64 = nd_tensor_zeros(ND_F64, ND_SHAPE(4, 2)), *view = nd_tensor_at(wide, ":, ::2"),
              *bad = nd_tensor_string(NULL);
    refuses(&b, "stop", b.state, ND_IN(b.x), ND_OUT(), "the program has no function \"stop\"");
    refuses(&b, NULL, b.state, ND_IN(b.x), ND_OUT(), "the program has no function \"(null)\"");
    refuses(&b, "step", NULL, ND_IN(b.x, b.y), ND_OUT(b.loss, b.rows),
            "step: the function uses variables, but the state is NULL");
    refuses(&b, "step", b.state, ND_IN(b.x), ND_OUT(b.loss, b.rows), "step: expected 2 inputs, got 1");
    refuses(&b, "step", b.state, ND_IN(b.x, b.y), ND_OUT(), "step: expected 2 outputs, got 0");
    refuses(&b, "step", b.state, ND_IN(narrow, b.y), ND_OUT(b.loss, b.rows),
            "step: input 1 \"x\": expected f32[4,2], got f32[4,3]");
    refuses(&b, "step", b.state, ND_IN(f64, b.y), ND_OUT(b.loss, b.rows),
            "step: input 1 \"x\": expected f32[4,2], got f64[4,2]");
    refuses(&b, "step", b.state, ND_IN(b.x, b.loss), ND_OUT(b.loss, b.rows),
            "step: input 2 \"y\": expected i32[4], got f32[]");
    refuses(&b, "step", b.state, ND_IN(view, b.y), ND_OUT(b.loss, b.rows),
            "step: input 1 \"x\": the tensor is a view that is not contiguous; copy it first");
    refuses(&b, "step", b.state, ND_IN(b.x, NULL), ND_OUT(b.loss, b.rows), "step: input 2 \"y\": the tensor is NULL");
    refuses(&b, "step", b.state, ND_IN(bad, b.y), ND_OUT(b.loss, b.rows),
            "step: input 1 \"x\": nd_tensor_string: the text is NULL");
    refuses(&b, "step", b.state, ND_IN(b.x, b.y), ND_OUT(b.rows, b.loss),
            "step: output 1 \"loss\": expected f32[], got i64[]");
    nd_tensor *all[] = {narrow, wide, f64, view, bad};
    for (int i = 0; i < 5; i++)
        nd_tensor_destroy(all[i]);
    tear_down(&b);
}
END_TEST

START_TEST(binding_checks_overlaps)
{
    bench b = set_up((toy_options){0});
    double memory[8];
    nd_tensor *x = nd_tensor_borrow(ND_F32, ND_SHAPE(4, 2), memory),
              *loss = nd_tensor_borrow(ND_F32, ND_SCALAR, (float *)memory + 7);
    nd_tensor *rows = nd_tensor_borrow(ND_I64, ND_SCALAR, memory + 3), *w = nd_state_tensor(b.state, "w");
    nd_tensor *w0 = nd_tensor_at(w, "0"), *raw = nd_state_tensor(b.state, "raw");
    refuses(&b, "step", b.state, ND_IN(x, b.y), ND_OUT(loss, b.rows), "step: output 1 \"loss\" overlaps input 1 \"x\"");
    refuses(&b, "step", b.state, ND_IN(b.x, b.y), ND_OUT(loss, rows),
            "step: output 2 \"rows\" overlaps output 1 \"loss\"");
    refuses(&b, "step", b.state, ND_IN(b.x, b.y), ND_OUT(w0, b.rows), "step: output 1 \"loss\" overlaps the state");
    refuses(&b, "write_raw", b.state, ND_IN(raw), ND_OUT(),
            "write_raw: input 1 \"value\" overlaps the variable \"raw\", which the function updates");
    nd_tensor *all[] = {x, loss, rows, w0};
    for (int i = 0; i < 4; i++)
        nd_tensor_destroy(all[i]);
    tear_down(&b);
}
END_TEST

START_TEST(a_call_holds_its_memory)
{
    bench b = set_up((toy_options){0});
    nd_call *call = nd_bind(b.program, "step", b.state, ND_IN(b.x, b.y), ND_OUT(b.loss, b.rows));
    nd_tensor_destroy(b.x);
    b.x = NULL;
    ck_assert_int_eq(nd_run(call), ND_OK);
    nd_call_destroy(call);
    tear_down(&b);
}
END_TEST

START_TEST(a_variable_never_initialised)
{
    bench b = set_up((toy_options){0});
    nd_tensor *value = nd_tensor_zeros(ND_I32, ND_SCALAR), *nine = nd_tensor_full(ND_I32, ND_SCALAR, 9);
    nd_call *read = nd_bind(b.program, "read_raw", b.state, ND_IN(), ND_OUT(value));
    nd_call *write = nd_bind(b.program, "write_raw", b.state, ND_IN(nine), ND_OUT());
    ck_assert_int_eq(nd_run(read), ND_ERR_STATE);
    ck_assert_str_eq(nd_call_error(read),
                     "read_raw: the variable \"raw\" was never initialised: it has no initialiser, and "
                     "nd_state_set or nd_state_load did not set it");
    ck_assert_int_eq(nd_run(write), ND_OK); /* a function may set it */
    ck_assert_int_eq(nd_run(read), ND_OK);
    ck_assert_int_eq(nd_tensor_get_i64(value, 0), 9);
    nd_call_destroy(read);

    nd_state *other = nd_state_create(b.program, 1); /* and so may the host */
    read = nd_bind(b.program, "read_raw", other, ND_IN(), ND_OUT(value));
    ck_assert_int_eq(nd_run(read), ND_ERR_STATE);
    ck_assert_int_eq(nd_state_set(other, "raw", nine), ND_OK);
    ck_assert_int_eq(nd_run(read), ND_OK);
    ck_assert_int_eq(nd_state_set(other, "raw", b.y), ND_ERR_ARGUMENT);
    ck_assert_str_eq(nd_state_error(other), "variable \"raw\": expected i32[], got i32[4]");
    ck_assert_int_eq(nd_state_set(other, "row", b.y), ND_ERR_ARGUMENT);
    ck_assert_str_eq(nd_state_error(other), "there is no variable \"row\"");
    nd_call_destroy(read);
    nd_call_destroy(write);
    nd_state_destroy(other);
    nd_tensor_destroy(value);
    nd_tensor_destroy(nine);
    tear_down(&b);
}
END_TEST

START_TEST(specialises)
{
    bench b = set_up((toy_options){.specialize_fails_at = 6});
    nd_program *three = nd_program_specialize(b.program, "B", 3);
    ck_assert_ptr_nonnull(three);
    ck_assert_ptr_eq(nd_program_specialize(b.program, "B", 3), three); /* kept */
    ck_assert_int_eq(toy_specialised(b.program), 1);
    ck_assert_ptr_eq(nd_program_specialize(b.program, "B", 4), b.program);
    nd_tensor *x = nd_tensor_zeros(ND_F32, ND_SHAPE(3, 2)), *y = nd_tensor_zeros(ND_I32, ND_SHAPE(3));
    nd_call *call = nd_bind(three, "step", b.state, ND_IN(x, y), ND_OUT(b.loss, b.rows)); /* the same state */
    ck_assert_int_eq(nd_run(call), ND_OK);
    ck_assert_int_eq(nd_tensor_get_i64(b.rows, 0), 3);
    ck_assert(nd_state_f32(b.state, "w")[0] == 43);
    nd_call_destroy(call);
    nd_tensor_destroy(x);
    nd_tensor_destroy(y);

    ck_assert_ptr_null(nd_program_specialize(b.program, "C", 3));
    ck_assert_str_eq(nd_program_error(b.program), "the program has no dimension named \"C\"");
    ck_assert_ptr_null(nd_program_specialize(b.program, "B", -1));
    ck_assert_str_eq(nd_program_error(b.program), "B=-1: a dimension is not negative");
    ck_assert_ptr_null(nd_program_specialize(b.program, "B", 6));
    ck_assert_str_eq(nd_program_error(b.program), "B=6: reshape: no such shape");
    tear_down(&b);

    nd_program *fixed = toy_program((toy_options){.cannot_bind = true});
    ck_assert_ptr_null(nd_program_specialize(fixed, "B", 3));
    ck_assert_str_eq(nd_program_error(fixed),
                     "B=3: this program runs with B=4 only, and nothing here can compile it again");
    nd_program_destroy(fixed);
}
END_TEST

START_TEST(a_state_of_another_program)
{
    nd_port port = {"w", ND_F32, ND_SHAPE(3)};
    nd_program_variable_info variable = {port, 0, false};
    nd_program_info info = {.variable_count = 1, .variables = &variable, .state_size = 64};
    nd_program *other = nd_program_create(&info);
    nd_state *foreign = nd_state_create(other, 1);
    ck_assert_ptr_nonnull(foreign);
    bench b = set_up((toy_options){0});
    ck_assert_ptr_null(nd_bind(b.program, "nothing", foreign, ND_IN(), ND_OUT()));
    ck_assert_str_eq(nd_program_error(b.program), "nothing: the state belongs to a program with other variables");
    nd_state_destroy(foreign);
    nd_program_destroy(other);
    tear_down(&b);
}
END_TEST

START_TEST(interpreting_can_fail)
{
    nd_program *p = toy_program((toy_options){.interpreted = true, .interpret_fails = ND_ERR_MEMORY});
    ck_assert_ptr_null(nd_state_create(p, 1));
    ck_assert_str_eq(nd_program_error(p), "init: out of memory");
    nd_call *call = nd_bind(p, "nothing", NULL, ND_IN(), ND_OUT());
    ck_assert_int_eq(nd_run(call), ND_ERR_MEMORY);
    ck_assert_str_eq(nd_call_error(call), "nothing: out of memory");
    nd_call_destroy(call);
    nd_program_destroy(p);
}
END_TEST

static nd__control seen;

static void look_at_control(void *state, void *arena, const void *const *in, void *const *out)
{
    (void)state, (void)arena, (void)in, (void)out;
    seen = nd__control_read();
}

START_TEST(sets_and_restores_the_control_word)
{
    nd_program_function_info function = {.name = "look", .entry = look_at_control};
    nd_program_info info = {.function_count = 1, .functions = &function};
    nd_program *p = nd_program_create(&info);
    nd_call *call = nd_bind(p, "look", NULL, ND_IN(), ND_OUT());
    nd__control normal = nd__control_read();
    ck_assert(nd__control_fits(normal));
    for (int run = 0; run < 2; run++) { /* the first one and those after it */
        fesetround(FE_UPWARD);
        nd__control odd = nd__control_read();
        ck_assert(!nd__control_fits(odd));
        ck_assert_int_eq(nd_run(call), ND_OK);
        ck_assert(nd__control_fits(seen));
        ck_assert(nd__control_read() == odd);
        nd__control_write(normal);
        ck_assert_int_eq(nd_run(call), ND_OK);
        ck_assert(nd__control_fits(seen));
    }
#if defined(__x86_64__)
    /* Rounding and flushing in all ways; nd_run, whose calls are ready by now, looks at no bit of the word itself. */
    for (unsigned rounding = 0; rounding < 4; rounding++)
        for (unsigned flush = 0; flush < 4; flush++) {
            const nd__control word = normal | rounding << 13 | (flush & 1) << 15 | (flush & 2) << 5;
            nd__control_write(word);
            ck_assert_int_eq(nd__control_suits(), rounding == 0 && flush == 0);
            ck_assert_int_eq(nd_run(call), ND_OK);
            ck_assert(nd__control_fits(seen));
            ck_assert((nd__control_read() & ~0x3Fu) == (word & ~0x3Fu)); /* but for the exceptions seen */
        }
    nd__control_write(normal);
#endif
    nd_call_destroy(call);
    nd_program_destroy(p);
}
END_TEST

#if defined(__GLIBC__) && defined(__x86_64__)
/* A host that wants a signal for every exception, inexact results included, gets none of a call. */
START_TEST(does_not_trap)
{
    nd_program_function_info function = {.name = "look", .entry = look_at_control};
    nd_program_info info = {.function_count = 1, .functions = &function};
    nd_program *p = nd_program_create(&info);
    nd_call *call = nd_bind(p, "look", NULL, ND_IN(), ND_OUT());
    feclearexcept(FE_ALL_EXCEPT);
    feenableexcept(FE_ALL_EXCEPT);
    for (int run = 0; run < 2; run++) {
        ck_assert_int_eq(nd_run(call), ND_OK);
        ck_assert(nd__control_fits(seen));
        ck_assert_int_eq(fegetexcept(), FE_ALL_EXCEPT);
    }
    fedisableexcept(FE_ALL_EXCEPT);
    nd_call_destroy(call);
    nd_program_destroy(p);
}
END_TEST
#endif

START_TEST(survives_out_of_memory)
{
    bool failed = true;
    for (int n = 0; failed && n < 100; n++) {
        nd_tensor *loss = nd_tensor_zeros(ND_F32, ND_SCALAR), *rows = nd_tensor_zeros(ND_I64, ND_SCALAR);
        nd_tensor *x = nd_tensor_zeros(ND_F32, ND_SHAPE(3, 2)), *y = nd_tensor_zeros(ND_I32, ND_SHAPE(3));
        failing_alloc_begin(n);
        nd_program *p = toy_program((toy_options){0}), *three = nd_program_specialize(p, "B", 3);
        nd_state *s = nd_state_create(p, 1);
        nd_call *call = nd_bind(three, "step", s, ND_IN(x, y), ND_OUT(loss, rows));
        nd_status status = nd_run(call);
        failed = failing_alloc_end();
        ck_assert(failed == (status != ND_OK));
        nd_call_destroy(call);
        nd_state_destroy(s);
        nd_program_destroy(p);
        nd_tensor *all[] = {loss, rows, x, y};
        for (int i = 0; i < 4; i++)
            nd_tensor_destroy(all[i]);
    }
    ck_assert(!failed);
}
END_TEST

static int bind_badly(void *program)
{
    for (int i = 0; i < 2000; i++)
        if (nd_bind(program, i % 2 ? "nosuch" : "other", NULL, ND_IN(), ND_OUT()) ||
            !nd_program_specialize(program, "B", 2 + i % 3))
            return 1;
    return 0;
}

/* A program is code: what it keeps beside, it keeps for one thread after the other. */
START_TEST(threads_bind_at_once)
{
    nd_program *p = toy_program((toy_options){0});
    thrd_t threads[3];
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(thrd_create(&threads[i], bind_badly, p), thrd_success);
    for (int i = 0; i < 3; i++) {
        int failed;
        ck_assert_int_eq(thrd_join(threads[i], &failed), thrd_success);
        ck_assert_int_eq(failed, 0);
    }
    nd_program_destroy(p);
}
END_TEST

typedef struct predicting {
    nd_program *program;
    int64_t batch;
    const char *expected;
} predicting;

static int predict_badly(void *arg)
{
    const predicting *a = arg;
    nd_dataset *d = toy_dataset(15);
    bool same = true;
    for (int i = 0; same && i < 20000; i++) {
        nd_tensor *t = nd_predict(a->program, "predict", NULL, d, &(nd_predict_options){.batch = a->batch});
        same = strstr(nd_tensor_error(t), a->expected) != NULL;
        nd_tensor_destroy(t);
    }
    nd_dataset_destroy(d);
    return !same;
}

/* What fails on one thread is not told by another one's message. */
START_TEST(threads_predict_at_once)
{
    nd_program *p = toy_program((toy_options){.cannot_bind = true});
    predicting both[] = {{p, 3, "B=3: this program"}, {p, 5, "B=5: this program"}};
    thrd_t threads[2];
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(thrd_create(&threads[i], predict_badly, &both[i]), thrd_success);
    for (int i = 0; i < 2; i++) {
        int failed;
        ck_assert_int_eq(thrd_join(threads[i], &failed), thrd_success);
        ck_assert_int_eq(failed, 0);
    }
    nd_program_destroy(p);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("program");
    TCase *t = tcase_create("program");
    tcase_add_test(t, describes_itself);
    tcase_add_test(t, a_failed_program_does_nothing);
    tcase_add_test(t, runs);
    tcase_add_test(t, seeds);
    tcase_add_test(t, binding_checks_arguments);
    tcase_add_test(t, binding_checks_overlaps);
    tcase_add_test(t, a_call_holds_its_memory);
    tcase_add_test(t, a_variable_never_initialised);
    tcase_add_test(t, specialises);
    tcase_add_test(t, a_state_of_another_program);
    tcase_add_test(t, interpreting_can_fail);
    tcase_add_test(t, sets_and_restores_the_control_word);
#if defined(__GLIBC__) && defined(__x86_64__)
    tcase_add_test(t, does_not_trap);
#endif
    tcase_add_test(t, survives_out_of_memory);
    tcase_add_test(t, threads_bind_at_once);
    tcase_add_test(t, threads_predict_at_once);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
