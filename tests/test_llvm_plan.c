/* Plans made by hand, compiled, against the evaluator: loops, branches, calls, memory in common; targets, listings,
 * errors. */
#include "failing_alloc.h"
#include "kernel_fixture.h"
#include "kplan.h"
#include "matmul_kernel.h"
#include "native_check.h"
#include "run_suite.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>

static char message[1000];

#define AT(constant) nd__k_at(constant)
#define IV(iv, coef) nd__k_plus(nd__k_at(0), iv, coef)

/* -- plans --------------------------------------------------------------------------------------------------------- */

/* y = x * a + y over n elements: the update of a variable in place. */
static nd__kernel *axpy(const char *name, int n)
{
    nd__kbuilder b;
    nd__kernel *k = start(name, &b);
    int32_t x = nd__k_buffer(k, "x", ND_F32, ND__K_IN, n, 4), a = nd__k_buffer(k, "a", ND_F32, ND__K_IN, 1, 4);
    int32_t y = nd__k_buffer(k, "y", ND_F32, ND__K_INOUT, n, 4);
    int32_t i = nd__k_for(&b, AT(0), AT(n / 4 * 4), 4, 0, NULL, NULL);
    nd__kval scale = nd__k_splat(&b, nd__k_load(&b, a, AT(0), 1, 1, 1), 4);
    nd__kval sum =
        nd__k_op3(&b, ND__K_fma, nd__k_load(&b, x, IV(i, 1), 4, 1, 4), scale, nd__k_load(&b, y, IV(i, 1), 4, 1, 4));
    nd__k_store(&b, y, IV(i, 1), sum, 1, 4);
    nd__k_end_for(&b, NULL, NULL);
    return k;
}

/* Sums that run through y[0], each element written after: wrong where x is the same memory and a load moves past a
 * store. */
static nd__kernel *doubled(void)
{
    nd__kbuilder b;
    nd__kernel *k = start("doubled", &b);
    int32_t x = nd__k_buffer(k, "x", ND_F32, ND__K_IN, 8, 4), y = nd__k_buffer(k, "y", ND_F32, ND__K_INOUT, 8, 4);
    int32_t i = nd__k_for(&b, AT(0), AT(8), 1, 0, NULL, NULL);
    nd__kval one = nd__k_load(&b, x, IV(i, 1), 1, 1, 1);
    nd__k_store(&b, y, AT(0), nd__k_op2(&b, ND__K_add, nd__k_load(&b, y, AT(0), 1, 1, 1), one), 1, 1);
    nd__k_store(&b, y, IV(i, 1), nd__k_op2(&b, ND__K_add, nd__k_load(&b, x, AT(0), 1, 1, 1), one), 1, 1);
    nd__k_end_for(&b, NULL, NULL);
    return k;
}

/* Every kind of buffer, in loops within loops, arguments that move with one, both and none of them. */
START_TEST(plan_of_loops)
{
    static const float scale[3] = {0.5f, -3, 1e-3f};
    nd__plan *p = kplan_create(&arena, "step");
    int x = kplan_buffer(p, ND__IN_INPUT, ND_F32, 48, 1), w = kplan_buffer(p, ND__IN_STATE, ND_F32, 96, 128);
    int out = kplan_buffer(p, ND__IN_OUTPUT, ND_F32, 48, 0), sum = kplan_buffer(p, ND__IN_ARENA, ND_F32, 16, 64);
    int c = kplan_constant(p, ND_F32, 3, scale);
    kplan_buffer(p, ND__IN_INPUT, ND_I64, 1, 0); /* nobody reads it */
    nd__kernel *eight = axpy("eight", 8), *sixteen = axpy("sixteen", 16);
    kplan_run(p, &p->steps, eight, (nd__karg[]){{.buffer = x}, {.buffer = c}, {.buffer = sum, .offset = 8}});
    nd__steps outer = {0}, inner = {0};
    kplan_run(p, &inner, sixteen,
              (nd__karg[]){{.buffer = x, .stride = {16, 0}},
                           {.buffer = c, .stride = {0, 1}},
                           {.buffer = w, .offset = 64, .stride = {-32, 16}}});
    kplan_run(p, &inner, eight,
              (nd__karg[]){{.buffer = w, .offset = 3, .stride = {8, 1}},
                           {.buffer = c, .offset = 2, .stride = {-1, 0}},
                           {.buffer = out, .stride = {16, 8}}});
    nd__step *loop = kplan_step(p, &outer, ND__STEP_LOOP);
    loop->length = 2, loop->body = inner;
    kplan_run(
        p, &outer, sixteen,
        (nd__karg[]){{.buffer = sum}, {.buffer = x, .offset = 47, .stride = {-1}}, {.buffer = out, .stride = {16}}});
    loop = kplan_step(p, &p->steps, ND__STEP_LOOP);
    loop->length = 3, loop->body = outer;
    nd__step *never = kplan_step(p, &p->steps, ND__STEP_LOOP);
    kplan_run(p, &never->body, eight, (nd__karg[]){{.buffer = x}, {.buffer = c}, {.buffer = out}});
    native_check(p, NULL, 11);
}
END_TEST

/* A branch on an input, inside a loop over it, with another one in its else. */
START_TEST(plan_of_branches)
{
    nd__plan *p = kplan_create(&arena, "step");
    int flag = kplan_buffer(p, ND__IN_INPUT, ND_BOOL, 6, 0), x = kplan_buffer(p, ND__IN_INPUT, ND_F32, 8, 1);
    int y = kplan_buffer(p, ND__IN_OUTPUT, ND_F32, 48, 0), kept = kplan_buffer(p, ND__IN_STATE, ND_BOOL, 1, 0);
    nd__kernel *k = axpy("axpy", 8);
    nd__karg args[3] = {{.buffer = x}, {.buffer = x, .offset = 1}, {.buffer = y, .stride = {8}}};
    nd__step *loop = kplan_step(p, &p->steps, ND__STEP_LOOP);
    loop->length = 6;
    nd__step *cond = kplan_step(p, &loop->body, ND__STEP_COND);
    cond->args = nd__arena_alloc(&arena, 1, sizeof *cond->args);
    cond->args[0] = (nd__karg){.buffer = flag, .stride = {1}};
    kplan_run(p, &cond->body, k, args);
    args[1].offset = 2;
    nd__step *other = kplan_step(p, &cond->other, ND__STEP_COND);
    other->args = nd__arena_alloc(&arena, 1, sizeof *other->args);
    other->args[0] = (nd__karg){.buffer = kept};
    kplan_run(p, &other->body, k, args);
    args[0] = (nd__karg){.buffer = y, .offset = 40, .stride = {-8}};
    kplan_run(p, &loop->body, k, args);
    for (int seed = 1; seed < 4; seed++)
        native_check(p, ((const void *[]){(unsigned char[]){1, 0, 2, 0, 0, 255}, NULL}), (uint64_t)seed);
}
END_TEST

/* Arguments that are the same memory, or overlap: no load may move past a store of the other. Equal kernels share a
 * function, so that one such call counts for all. */
START_TEST(plan_of_overlaps)
{
    nd__plan *p = kplan_create(&arena, "step");
    int x = kplan_buffer(p, ND__IN_INPUT, ND_F32, 8, 0), w = kplan_buffer(p, ND__IN_STATE, ND_F32, 32, 0);
    int same = kplan_buffer(p, ND__IN_STATE, ND_F32, 16, 16), y = kplan_buffer(p, ND__IN_OUTPUT, ND_F32, 24, 0);
    int a = kplan_buffer(p, ND__IN_ARENA, ND_F32, 16, 0), b = kplan_buffer(p, ND__IN_ARENA, ND_F32, 16, 4);
    kplan_run(p, &p->steps, doubled(), (nd__karg[]){{.buffer = x}, {.buffer = y}});
    kplan_run(p, &p->steps, doubled(), (nd__karg[]){{.buffer = w}, {.buffer = w}});
    kplan_run(p, &p->steps, doubled(), (nd__karg[]){{.buffer = w, .offset = 12}, {.buffer = same, .offset = 2}});
    kplan_run(p, &p->steps, doubled(), (nd__karg[]){{.buffer = y, .offset = 1}, {.buffer = y, .offset = 2}});
    kplan_run(p, &p->steps, doubled(), (nd__karg[]){{.buffer = a}, {.buffer = b, .offset = 4}});
    nd__step *loop = kplan_step(p, &p->steps, ND__STEP_LOOP); /* apart in each round, and then not */
    loop->length = 2;
    kplan_run(p, &loop->body, doubled(),
              (nd__karg[]){{.buffer = y, .stride = {8}}, {.buffer = y, .offset = 8, .stride = {8}}});
    kplan_run(p, &loop->body, doubled(), (nd__karg[]){{.buffer = y, .stride = {8}}, {.buffer = y, .offset = 8}});
    native_check(p, NULL, 5);
}
END_TEST

START_TEST(plan_of_nothing)
{
    nd__plan *p = kplan_create(&arena, "step");
    native_check(p, NULL, 1);
}
END_TEST

/* Several plans in one module, kernels shared between them, compiled once and called apart. */
START_TEST(several_plans)
{
    float x[8] = {1, 2, 3, 4, 5, 6, 7, 8}, y[8], z[8];
    nd__plan *plans[3];
    for (int i = 0; i < 3; i++)
        plans[i] = kplan_of(&arena, i == 1 ? doubled() : axpy("axpy", 8));
    nd__target target;
    nd__native *native;
    ck_assert_int_eq(nd__target_find(NULL, &target, message, sizeof message), ND_OK);
    nd_status status = nd__native_compile((const nd__plan *const *)plans, 3, &target, &native, message, sizeof message);
    ck_assert_msg(status == ND_OK, "%s", message);
    for (int i = 0; i < 3; i++) {
        for (int e = 0; e < 8; e++)
            y[e] = z[e] = (float)(10 * e + i);
        const void *in[] = {x, &x[4]};
        nd__native_entry(native, i)(NULL, NULL, in, (void *[]){y});
        ck_assert(!kplan_eval(plans[i], NULL, NULL, in, (void *[]){z}, message, sizeof message));
        ck_assert_mem_eq(y, z, sizeof y);
    }
    nd__native_destroy(native);
    nd__native_destroy(NULL);
}
END_TEST

/* Plans compiled and run at the same time, LLVM's own start included: this test comes first. */
static int compile_beside(void *unused)
{
    (void)unused;
    nd__arena own = {0};
    char text[400];
    int wrong = 0;
    for (int round = 0; round < 3; round++) {
        nd__kernel *k = matmul_kernel(&own, "matmul");
        const nd__plan *plan = kplan_of(&own, k);
        float x[6] = {1, 2, 3, 4, 5, 6}, expected[32];
        _Alignas(64) float w[48], bias[16], h[32];
        for (int i = 0; i < 48; i++)
            w[i] = bias[i % 16] = (float)(i % 7) - 2.5f;
        nd__target target;
        nd__native *native = NULL;
        if (nd__target_find(NULL, &target, text, sizeof text) != ND_OK ||
            nd__native_compile(&plan, 1, &target, &native, text, sizeof text) != ND_OK)
            return -1;
        nd__native_entry(native, 0)(NULL, NULL, (const void *[]){x, w, bias}, (void *[]){h});
        wrong += nd__k_eval(k, (void *[]){x, w, bias, expected}, text, sizeof text) != NULL;
        wrong += memcmp(h, expected, sizeof h) != 0;
        nd__native_destroy(native);
    }
    nd__arena_release(&own);
    return wrong;
}

START_TEST(threads_side_by_side)
{
    thrd_t threads[3];
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(thrd_create(&threads[i], compile_beside, NULL), thrd_success);
    for (int i = 0; i < 3; i++) {
        int wrong = -1;
        ck_assert_int_eq(thrd_join(threads[i], &wrong), thrd_success);
        ck_assert_int_eq(wrong, 0);
    }
}
END_TEST

/* -- targets, listings, errors ------------------------------------------------------------------------------------- */

START_TEST(targets)
{
    nd__target target;
    for (int i = 0; nd__target_names(i); i++) {
        ck_assert_int_eq(nd__target_find(nd__target_names(i), &target, message, sizeof message), ND_OK);
        ck_assert_str_eq(target.cpu, nd__target_names(i));
        ck_assert(target.vector_bytes >= 16 && target.vector_registers >= 16 && target.l1_bytes > 0 &&
                  target.l2_bytes > 0);
    }
    ck_assert_ptr_null(nd__target_names(-1));
    ck_assert_int_eq(nd__target_find("znver9", &target, message, sizeof message), ND_ERR_TARGET);
    ck_assert_msg(!strncmp(message, "unknown processor \"znver9\"; accepted are native, x86-64, x86-64-v2, ", 68), "%s",
                  message);
    ck_assert_ptr_nonnull(strstr(message, " and znver5"));
}
END_TEST

/* The text of a listing; free() it. */
static char *listing(const nd__plan *plan, const char *cpu, nd__listing what)
{
    nd__target target;
    char *text = calloc(1, 200000);
    FILE *file = tmpfile();
    ck_assert(text && file);
    ck_assert_int_eq(nd__target_find(cpu, &target, message, sizeof message), ND_OK);
    nd_status status = nd__native_print(&plan, 1, &target, what, file, message, sizeof message);
    ck_assert_msg(status == ND_OK, "%s", message);
    rewind(file);
    ck_assert_uint_gt(fread(text, 1, 199999, file), 0);
    fclose(file);
    return text;
}

/* Any processor can be generated for, also one that is not here; the same bytes each time. A step's label names its
 * function. */
START_TEST(listings)
{
    nd__plan *p = kplan_of(&arena, matmul_kernel(&arena, "matmul"));
    p->steps.items[0].label = "hidden matmul+bias+relu";
    char *ir = listing(p, "znver4", ND__LIST_IR), *wide = listing(p, "znver4", ND__LIST_ASSEMBLY);
    char *again = listing(p, "znver4", ND__LIST_ASSEMBLY), *narrow = listing(p, "x86-64", ND__LIST_ASSEMBLY);
    ck_assert_str_eq(wide, again);
    ck_assert_ptr_nonnull(strstr(ir, "define internal void @\"step/hidden matmul+bias+relu\""));
    ck_assert_ptr_nonnull(strstr(ir, " = phi ptr ")); /* the innermost loop's addresses move */
    ck_assert_ptr_nonnull(strstr(wide, "\"step/hidden matmul+bias+relu\":"));
    ck_assert_ptr_nonnull(strstr(wide, "vfmadd"));
    ck_assert_ptr_null(strstr(narrow, "vfmadd"));
    ck_assert_ptr_null(strstr(narrow, "fmaf"));
    free(ir), free(wide), free(again), free(narrow);
}
END_TEST

/* Layers on other memory each, in no regular order, then a step that only looks like another one: they are written once
 * and run as often as the plan says. */
START_TEST(plan_of_layers)
{
    static const float scale[3] = {0.5f, -3, 1e-3f};
    enum { LAYERS = 11 };
    nd__plan *p = kplan_create(&arena, "step");
    const int x = kplan_buffer(p, ND__IN_INPUT, ND_F32, 8, 0), out = kplan_buffer(p, ND__IN_OUTPUT, ND_F32, 8, 0);
    const int c = kplan_constant(p, ND_F32, 3, scale), w = kplan_buffer(p, ND__IN_STATE, ND_F32, 8 * LAYERS, 0);
    nd__kernel *update = axpy("update", 8), *twice = doubled();
    for (int layer = 0; layer < LAYERS; layer++) {
        const int h = kplan_buffer(p, ND__IN_ARENA, ND_F32, 8, 32 * (layer * 4 % LAYERS));
        kplan_run(p, &p->steps, update, (nd__karg[]){{.buffer = x}, {.buffer = c, .offset = 1}, {.buffer = h}});
        kplan_run(p, &p->steps, twice, (nd__karg[]){{.buffer = h}, {.buffer = out}});
        kplan_run(p, &p->steps, update,
                  (nd__karg[]){{.buffer = h}, {.buffer = c}, {.buffer = w, .offset = 8 * (layer * 3 % LAYERS)}});
    }
    kplan_run(p, &p->steps, update, (nd__karg[]){{.buffer = x}, {.buffer = c, .offset = 2}, {.buffer = out}});
    native_check(p, NULL, 5);
    int calls = 0;
    char *ir = listing(p, "x86-64-v3", ND__LIST_IR);
    for (const char *at = ir; (at = strstr(at, "call void @\"step/")); at++)
        calls++;
    ck_assert_int_eq(calls, 4);
    free(ir);
}
END_TEST

/* LLVM's own memory is its own affair (it stops the process); ours runs out with a message and without a leak. */
START_TEST(memory_may_run_out)
{
    nd__plan *p = kplan_of(&arena, matmul_kernel(&arena, "matmul"));
    nd__kernel *second = axpy("axpy", 8);
    kplan_run_alone(p, second);
    nd__target target;
    ck_assert_int_eq(nd__target_find("x86-64", &target, message, sizeof message), ND_OK);
    const nd__plan *plan = p;
    int failures = 0;
    for (int n = 0;; n++) {
        nd__native *native;
        strcpy(message, "untouched");
        failing_alloc_begin(n);
        nd_status status = nd__native_compile(&plan, 1, &target, &native, message, sizeof message);
        nd__native_destroy(native);
        bool failed = failing_alloc_end();
        ck_assert_int_eq(failing_alloc_held(), 0);
        if (!failed) {
            ck_assert_int_eq(status, ND_OK);
            ck_assert_str_eq(message, "untouched");
            break;
        }
        if (status == ND_OK) /* what was not kept is made again */
            continue;
        failures++;
        ck_assert_int_eq(status, ND_ERR_MEMORY);
        ck_assert_msg(!strncmp(message, "out of memory", 13), "%s", message);
        ck_assert_ptr_null(native);
    }
#ifdef HAVE_WRAPPED_ALLOC
    ck_assert_int_ge(failures, 2);
#endif
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("llvm_plan");
    TCase *tcase = tcase_create("llvm_plan");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, begin, end);
    tcase_add_test(tcase, threads_side_by_side);
    tcase_add_test(tcase, plan_of_loops);
    tcase_add_test(tcase, plan_of_branches);
    tcase_add_test(tcase, plan_of_overlaps);
    tcase_add_test(tcase, plan_of_nothing);
    tcase_add_test(tcase, several_plans);
    tcase_add_test(tcase, targets);
    tcase_add_test(tcase, listings);
    tcase_add_test(tcase, plan_of_layers);
    tcase_add_test(tcase, memory_may_run_out);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
