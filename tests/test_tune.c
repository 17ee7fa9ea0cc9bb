/* Tuning: every alternative gives the same bits, what is measured is kept and taken, files that are wrong are refused.
 */
#include "compiler/tuning.h"
#include "failing_alloc.h"
#include "nadir/nn.h"
#include "run_suite.h"
#include "temp_dir.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_PORTS = 8 };

/* -- a program's results ------------------------------------------------------------------------------------------ */

/* Values that are not round. */
static void fill(nd_tensor *t, unsigned random)
{
    for (int64_t i = 0; i < nd_tensor_count(t); i++) {
        random = random * 1664525 + 1013904223;
        nd_tensor_set(t, i, (random >> 8) * 0x1p-24 - 0.4);
    }
}

typedef struct results {
    nd_tensor *out[MOST_PORTS];
    int count;
} results;

static results run(nd_module *m, const nd_compile_options *options)
{
    results r = {.count = 0};
    nd_tensor *in[MOST_PORTS];
    nd_program *p = nd_compile(m, options);
    ck_assert_msg(nd_program_status(p) == ND_OK, "%s", nd_program_error(p));
    const int f = nd_program_function_index(p, "f"), inputs = nd_program_input_count(p, f);
    r.count = nd_program_output_count(p, f);
    ck_assert(inputs <= MOST_PORTS && r.count <= MOST_PORTS);
    for (int i = 0; i < inputs; i++) {
        const nd_port port = nd_program_input(p, f, i);
        in[i] = nd_tensor_zeros(port.dtype, port.shape);
        fill(in[i], (unsigned)i);
    }
    for (int i = 0; i < r.count; i++) {
        const nd_port port = nd_program_output(p, f, i);
        r.out[i] = nd_tensor_zeros(port.dtype, port.shape);
    }
    nd_state *state = nd_state_create(p, 1);
    nd_call *call = nd_bind(p, "f", state, (nd_tensors){(size_t)inputs, in}, (nd_tensors){(size_t)r.count, r.out});
    ck_assert_int_eq(nd_run(call), ND_OK);
    nd_call_destroy(call);
    nd_state_destroy(state);
    for (int i = 0; i < inputs; i++)
        nd_tensor_destroy(in[i]);
    nd_program_destroy(p);
    return r;
}

static void release(results *r)
{
    for (int i = 0; i < r->count; i++)
        nd_tensor_destroy(r->out[i]);
}

/* -- alternatives ------------------------------------------------------------------------------------------------- */

/* Products with tails, one of a batch, one with a band; convolutions with borders and their gradients. */
static nd_module *kernels(void)
{
    nd_module *m = nd_module_create("kernels");
    nd_value *a = nd_input(m, "a", ND_F32, ND_SHAPE(21, 37)), *b = nd_input(m, "b", ND_F32, ND_SHAPE(37, 19));
    nd_value *c = nd_input(m, "c", ND_F32, ND_SHAPE(3, 18, 18)), *d = nd_input(m, "d", ND_F32, ND_SHAPE(3, 18, 33));
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(16, 7, 6, 3)), *w = nd_input(m, "w", ND_F32, ND_SHAPE(3, 3, 3, 5));
    nd_value *y = nd_conv2d(x, w, &(nd_conv_options){.same = true}), *grads[4];
    nd_value *product = nd_relu(nd_matmul(a, b)), *loss = nd_sum(nd_mul(y, y), ND_ALL_AXES, false);
    nd_gradients(nd_add(loss, nd_sum(product, ND_ALL_AXES, false)), 4, (nd_value *[]){x, w, a, b}, grads);
    nd_value *banded = nd_matmul_with(c, d, &(nd_matmul_options){.band = ND_BAND_A, .lower = INT64_MIN, .upper = 0});
    nd_function(m, "f", ND_VALUES(a, b, c, d, x, w),
                ND_VALUES(product, nd_matmul(c, d), banded, y, grads[0], grads[1], grads[2], grads[3]));
    ck_assert_msg(nd_module_status(m) == ND_OK, "%s", nd_module_error(m));
    return m;
}

/* Whether a step that computes came of that. */
static bool is_made(const nd__lowered *l, const nd__tuned *tuned)
{
    for (int p = 0; p < l->count; p++)
        for (int i = 0; i < l->plans[p]->steps.count; i++) {
            const nd__made *made = l->plans[p]->steps.items[i].made;
            if (made && strcmp(made->key, tuned->key) == 0 && nd__choice_equal(&made->choice, &tuned->choice))
                return true;
        }
    return false;
}

static void every_alternative(nd_module *m, const char *cpu)
{
    const char *path = temp_write("all.tune", "nadir tuning 1\n", 15);
    const nd_compile_options options = {.cpu = cpu, .tune_file = path};
    nd__message message = {0};
    nd__lowered l;
    bool kinds[ND__CHOICE_KINDS] = {false}, any = true;
    results expected = run(m, &(nd_compile_options){.interpret = true});
    ck_assert_int_eq(nd__lower_module(&l, m, &options, &message), ND_OK);
    nd__lowered_drop_plans(&l);
    l.choices.collects = true;
    ck_assert_int_eq(nd__lower_functions(&l, NULL, &message), ND_OK);
    l.choices.collects = false;
    for (int n = 0; any; n++) {
        any = false;
        for (int i = 0; i < l.choices.count; i++) {
            nd__tuned *tuned = l.choices.items[i];
            ck_assert_int_gt(tuned->found_count, 1);
            kinds[tuned->kind] = true;
            tuned->set = n < tuned->found_count;
            tuned->choice = tuned->found[tuned->set ? n : 0].choice;
            any = any || tuned->set;
        }
        ck_assert_int_eq(nd__tuning_write(&l.choices, path, &message), ND_OK);
        results r = run(m, &options);
        for (int i = 0; i < r.count; i++)
            ck_assert_msg(nd_tensor_same_bits(r.out[i], expected.out[i]), "alternative %d, output %d", n, i);
        release(&r);
        nd__lowered_drop_plans(&l);
        ck_assert_int_eq(nd__lower_functions(&l, NULL, &message), ND_OK);
        for (int i = 0; i < l.choices.count; i++)
            ck_assert(!l.choices.items[i]->set || is_made(&l, l.choices.items[i]));
    }
    for (int k = 0; k < ND__CHOICE_KINDS; k++)
        ck_assert_msg(kinds[k], "no %s was tried", nd__choice_kind_name((nd__choice_kind)k));
    release(&expected);
    nd__lowered_release(&l);
}

START_TEST(alternatives_give_the_same_bits)
{
    nd_module *m = kernels();
    every_alternative(m, NULL);
    every_alternative(m, "x86-64-v3");
    nd_module_destroy(m);
}
END_TEST

/* -- measuring ---------------------------------------------------------------------------------------------------- */

static nd_module *one_product(void)
{
    nd_module *m = nd_module_create("product");
    nd_value *a = nd_input(m, "a", ND_F32, ND_SHAPE(64, 512)), *b = nd_input(m, "b", ND_F32, ND_SHAPE(512, 64));
    nd_function(m, "f", ND_VALUES(a, b), ND_VALUES(nd_matmul(a, b)));
    return m;
}

START_TEST(what_is_measured_is_kept)
{
    char path[512];
    nd_module *m = one_product();
    snprintf(path, sizeof path, "%s", temp_path("product.tune"));
    remove(path);
    results expected = run(m, &(nd_compile_options){.interpret = true});
    results tuned = run(m, &(nd_compile_options){.tune_file = path, .tune_ms = 1e6});
    char *text = temp_read(path);
    ck_assert_msg(strncmp(text, "nadir tuning 1\nproduct f32 1x64x512x64 nn on ", 45) == 0, "%s", text);
    ck_assert_ptr_nonnull(strstr(text, ": lanes="));
    ck_assert_ptr_nonnull(strstr(text, " # "));
    results again = run(m, &(nd_compile_options){.tune_file = path, .tune_ms = 1e6}); /* nothing is left to measure */
    char *same = temp_read(path);
    ck_assert_str_eq(text, same);
    ck_assert(nd_tensor_same_bits(expected.out[0], tuned.out[0]) && nd_tensor_same_bits(tuned.out[0], again.out[0]));
    free(same);
    free(text);
    release(&expected);
    release(&tuned);
    release(&again);
    nd_module_destroy(m);
}
END_TEST

/* -- files -------------------------------------------------------------------------------------------------------- */

static char *plan_of(nd_module *m, const char *tune_file)
{
    const char *path = temp_path("plan.txt");
    char message[512] = "";
    FILE *out = fopen(path, "w");
    ck_assert_ptr_nonnull(out);
    const nd_compile_options options = {.cpu = "x86-64-v4", .tune_file = tune_file};
    ck_assert_msg(nd_plan_print(m, &options, NULL, true, out, message, sizeof message) == ND_OK, "%s", message);
    fclose(out);
    return temp_read(path);
}

START_TEST(entries_are_taken_or_do_not_matter)
{
    static const char key[] = "nadir tuning 1\nproduct f32 1x64x512x64 nn on x86-64-v4: lanes=columns ";
    static const char *const stale[] = {
        "rows=99 vectors=4 outer=rows\n", /* more than the registers hold */
        "rows=5 vectors=5 outer=rows\n",  /* than a tile has */
        "rows=4 vectors=4 outer=rows\n\n# and\nconv f32 elsewhere: lanes=images images=1 pixels=1 vectors=1\n",
    };
    char text[512];
    nd_module *m = one_product();
    char *usual = plan_of(m, NULL);
    ck_assert_ptr_nonnull(strstr(usual, "lanes=columns rows=4 vectors=4 outer=rows\n"));
    for (size_t i = 0; i < sizeof stale / sizeof *stale; i++) {
        const int n = snprintf(text, sizeof text, "%s%s", key, stale[i]);
        char *plan = plan_of(m, temp_write("stale.tune", text, (size_t)n));
        ck_assert_str_eq(plan, usual);
        free(plan);
    }
    const int n = snprintf(text, sizeof text, "%srows=7  vectors=2 outer=columns # good\r\n", key);
    char *plan = plan_of(m, temp_write("taken.tune", text, (size_t)n));
    ck_assert_ptr_nonnull(strstr(plan, "lanes=columns rows=7 vectors=2 outer=columns\n"));
    free(plan);
    free(usual);
    nd_module_destroy(m);
}
END_TEST

static const struct {
    const char *text, *message;
} wrong[] = {
    {"", "x.tune:1: expected \"nadir tuning 1\", got \"\""},
    {"nadir tuning 2\n", "x.tune:1: expected \"nadir tuning 1\", got \"nadir tuning 2\""},
    {"nadir tuning 1\n\nproduct\n", "x.tune:3: expected \"KERNEL: CHOICE\", got \"product\""},
    {"nadir tuning 1\nmap f32: rows=1\n", "x.tune:2: expected a kernel that begins with product, conv or conv_dw, got "
                                          "\"map f32\""},
    {"nadir tuning 1\nproduct f32 1: lanes=3 rows=1\n", "x.tune:2: expected lanes=columns or lanes=rows, got "
                                                        "\"lanes=3\""},
    {"nadir tuning 1\nproduct f32 1: lanes=rows rows=-1\n", "x.tune:2: expected rows=NUMBER, got \"rows=-1\""},
    {"nadir tuning 1\nproduct f32 1: lanes=rows rows=12345\n", "x.tune:2: expected rows=NUMBER, got \"rows=12345\""},
    {"nadir tuning 1\nproduct f32 1: lanes=rows rows=1\n", "x.tune:2: expected vectors=NUMBER, got \"\""},
    {"nadir tuning 1\nconv_dw f32 1: rows=1 columns=1 channels=1 vectors=1 more # note\n",
     "x.tune:2: expected nothing more, got \"more\""},
};

/* The message ends so: a path stands before it. */
static void refuses(nd_module *m, const nd_compile_options *options, nd_status status, const char *end)
{
    nd_program *p = nd_compile(m, options);
    const char *error = nd_program_error(p);
    const size_t n = strlen(error), length = strlen(end);
    ck_assert_int_eq(nd_program_status(p), status);
    ck_assert_msg(n >= length && strcmp(error + n - length, end) == 0, "%s\n  instead of\n%s", error, end);
    nd_program_destroy(p);
}

START_TEST(wrong_files_are_refused)
{
    nd_module *m = one_product();
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const char *path = temp_write("x.tune", wrong[i].text, strlen(wrong[i].text));
        refuses(m, &(nd_compile_options){.tune_file = path}, ND_ERR_PARSE, wrong[i].message);
        refuses(m, &(nd_compile_options){.tune_file = path, .tune_ms = 1}, ND_ERR_PARSE, wrong[i].message);
    }
    const char *none = temp_path("none.tune");
    refuses(m, &(nd_compile_options){.tune_file = none}, ND_ERR_IO, "none.tune: No such file or directory");
    refuses(m, &(nd_compile_options){.tune_ms = 1}, ND_ERR_ARGUMENT, "tuning needs a file that keeps what it finds");
    refuses(m, &(nd_compile_options){.tune_file = none, .tune_ms = NAN}, ND_ERR_ARGUMENT,
            "tuning takes a number of milliseconds from 0");
    nd_module_destroy(m);
}
END_TEST

/* Each of the first allocations, then one now and then. */
START_TEST(every_allocation_may_fail)
{
    enum { FIRST = 60 };
    char path[512];
    nd_module *m = one_product();
    snprintf(path, sizeof path, "%s", temp_path("memory.tune"));
    bool failed = true;
    nd_program_destroy(nd_compile(m, &(nd_compile_options){.interpret = true})); /* makes "init" */
    for (int n = 0; failed; n += n < FIRST ? 1 : 1 + n / 8) {
        remove(path);
        failing_alloc_begin(n);
        nd_program *p = nd_compile(m, &(nd_compile_options){.tune_file = path, .tune_ms = 1e-3});
        const nd_status status = p ? nd_program_status(p) : ND_ERR_MEMORY;
        nd_program_destroy(p);
        const long held = failing_alloc_held();
        failed = failing_alloc_end();
        ck_assert_msg(!failed || status == ND_ERR_MEMORY, "allocation %d: %s", n, nd_status_text(status));
        ck_assert_msg(held == 0, "allocation %d: %ld are held", n, held);
        if (!failed)
            ck_assert_int_eq(status, ND_OK);
    }
    nd_module_destroy(m);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tune");
    TCase *t = tcase_create("choices");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, alternatives_give_the_same_bits);
    tcase_add_test(t, what_is_measured_is_kept);
    tcase_add_test(t, entries_are_taken_or_do_not_matter);
    tcase_add_test(t, wrong_files_are_refused);
    tcase_add_test(t, every_allocation_may_fail);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
