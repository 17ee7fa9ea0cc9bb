/* Estimates: what a kernel takes by its text, and where its data comes from. */
#include "compiler/llvm/llvm.h"
#include "compiler/schedule/cost.h"
#include "hand_plan.h"
#include "matmul_kernel.h"
#include "run_suite.h"

#include <check.h>
#include <stdlib.h>

static const nd__target wide = {"x86-64-v4", 64, 32, true, 32 << 10, 1 << 20, 0, 16 << 20, 64};
static const nd__target narrow = {"x86-64", 16, 16, false, 32 << 10, 256 << 10, 0, 16 << 20, 32};

static double cycles(const nd__kernel *k, const nd__target *target, const double *distance)
{
    const double c = nd__kernel_cycles(k, target, distance);
    ck_assert_msg(c >= 0, "no memory");
    return c;
}

static void near(const char *what, double is, double expected, double part)
{
    ck_assert_msg(is > expected * (1 - part) && is < expected * (1 + part), "%s: %g cycles, expected %g", what, is,
                  expected);
}

/* `chains` vectors multiplied and added `turns` times. */
static nd__kernel *chains_of(nd__arena *arena, int chains, int64_t turns)
{
    nd__kernel *k = nd__k_create(arena, "chains");
    nd__kbuilder b = nd__k_builder(k);
    int32_t x = nd__k_buffer(k, "x", ND_F32, ND__K_INOUT, 16, 64);
    nd__kval factor = nd__k_load(&b, x, nd__k_at(0), 16, 1, 16), acc[32], carried[32];
    for (int i = 0; i < chains; i++)
        acc[i] = factor;
    nd__k_for(&b, nd__k_at(0), nd__k_at(turns), 1, chains, acc, carried);
    for (int i = 0; i < chains; i++)
        acc[i] = nd__k_op3(&b, ND__K_fma, carried[i], factor, factor);
    nd__k_end_for(&b, acc, carried);
    for (int i = 1; i < chains; i++)
        carried[0] = nd__k_op2(&b, ND__K_add, carried[0], carried[i]);
    nd__k_store(&b, x, nd__k_at(0), carried[0], 1, 16);
    ck_assert(!k->failed);
    return k;
}

START_TEST(units_and_latencies)
{
    nd__arena arena = {0};
    near("one chain waits", cycles(chains_of(&arena, 1, 1000), &wide, NULL), 4000, 0.02);
    near("two wait no longer", cycles(chains_of(&arena, 2, 1000), &wide, NULL), 4000, 0.02);
    near("sixteen fill the unit", cycles(chains_of(&arena, 16, 1000), &wide, NULL), 16000, 0.02);
    nd__target two = wide;
    two.fma_bytes = 128;
    near("a second unit", cycles(chains_of(&arena, 16, 1000), &two, NULL), 8000, 0.02);
    ck_assert(cycles(chains_of(&arena, 16, 1000), &narrow, NULL) > 16 * 16000); /* in software, lane by lane */
    ck_assert(nd__peak_flops(&wide) == 32 && nd__peak_flops(&two) == 64);
    nd__arena_release(&arena);
}
END_TEST

/* n elements to another place. */
static nd__kernel *copy_of(nd__arena *arena, int64_t n, int64_t stride)
{
    nd__kernel *k = nd__k_create(arena, "copy");
    nd__kbuilder b = nd__k_builder(k);
    int32_t from = nd__k_buffer(k, "from", ND_F32, ND__K_IN, n * stride, 64);
    int32_t to = nd__k_buffer(k, "to", ND_F32, ND__K_OUT, n, 64);
    int32_t i = nd__k_for(&b, nd__k_at(0), nd__k_at(n), 16, 0, NULL, NULL);
    nd__kval x = nd__k_load(&b, from, nd__k_plus(nd__k_at(0), i, stride), 16, stride, 16);
    nd__k_store(&b, to, nd__k_plus(nd__k_at(0), i, 1), x, 1, 16);
    nd__k_end_for(&b, NULL, NULL);
    ck_assert(!k->failed);
    return k;
}

START_TEST(where_data_comes_from)
{
    enum { N = 4096 };
    nd__arena arena = {0};
    nd__kernel *k = copy_of(&arena, N, 1);
    const double first[] = {0, 0}, second[] = {100e3, 100e3}, third[] = {4e6, 4e6}, memory[] = {1e9, 1e9};
    const double one_far[] = {1e9, 0};
    ck_assert(cycles(k, &wide, first) < cycles(k, &wide, second));
    near("from the second cache", cycles(k, &wide, second), 2 * 4 * N / 31.0, 0.01);
    near("from the third", cycles(k, &wide, third), 2 * 4 * N / 25.0, 0.01);
    near("from memory", cycles(k, &wide, memory), 2 * 4 * N / 7.0, 0.01);
    near("one of two", cycles(k, &wide, one_far), 4 * N / 7.0, 0.01);
    ck_assert(cycles(copy_of(&arena, N, 2), &wide, first) > 3 * cycles(k, &wide, first)); /* lane by lane */
    near("lines with holes", cycles(copy_of(&arena, N, 64), &wide, one_far), 64.0 * N / 7, 0.01);
    nd__arena_release(&arena);
}
END_TEST

/* A matrix of 1 MB is walked in all of a loop's turns: it stays nowhere. One of 8 KB stays. */
START_TEST(what_fits_is_brought_once)
{
    nd__arena arena = {0};
    double took[2];
    for (int large = 0; large < 2; large++) {
        const int64_t n = large ? 1 << 18 : 1 << 11;
        nd__kernel *k = nd__k_create(&arena, "walk");
        nd__kbuilder b = nd__k_builder(k);
        int32_t from = nd__k_buffer(k, "from", ND_F32, ND__K_IN, n, 64);
        int32_t to = nd__k_buffer(k, "to", ND_F32, ND__K_OUT, 16, 64);
        nd__kval sum = nd__k_const(&b, nd__k_type(ND_F32, 16), 0), outer, inner;
        nd__k_for(&b, nd__k_at(0), nd__k_at(10), 1, 1, &sum, &outer);
        int32_t i = nd__k_for(&b, nd__k_at(0), nd__k_at(n), 16, 1, &outer, &inner);
        inner = nd__k_op2(&b, ND__K_max, inner, nd__k_load(&b, from, nd__k_plus(nd__k_at(0), i, 1), 16, 1, 16));
        nd__k_end_for(&b, &inner, &outer);
        nd__k_end_for(&b, &outer, &sum);
        nd__k_store(&b, to, nd__k_at(0), sum, 1, 16);
        ck_assert(!k->failed);
        nd__target slow = wide; /* small caches, to see the traffic and not the chain */
        slow.l1_bytes = 16 << 10;
        slow.l2_bytes = 64 << 10;
        slow.l3_bytes = 128 << 10;
        const double far[] = {1e9, 1e9};
        took[large] = cycles(k, &slow, far) / (double)n;
    }
    near("a turn after the other", took[1], 10 * 4 / 7.0, 0.01);
    ck_assert(took[0] < took[1] / 2);
    nd__arena_release(&arena);
}
END_TEST

/* Sixteen chains, where `at` <= the loop's number: in so many of 100 turns. */
static nd__kernel *branch_of(nd__arena *arena, int64_t at)
{
    nd__kernel *k = nd__k_create(arena, "branch");
    nd__kbuilder b = nd__k_builder(k);
    int32_t x = nd__k_buffer(k, "x", ND_F32, ND__K_INOUT, 16, 64);
    nd__kval factor = nd__k_load(&b, x, nd__k_at(0), 16, 1, 16), next[16], after[16], outer;
    nd__kval sum = nd__k_const(&b, nd__k_type(ND_F32, 16), 0);
    int32_t i = nd__k_for(&b, nd__k_at(0), nd__k_at(100), 1, 1, &sum, &outer);
    nd__kval number = nd__k_index(&b, nd__k_type(ND_I64, 1), nd__k_plus(nd__k_at(0), i, 1), 0), chosen;
    nd__k_if(&b, nd__k_op2(&b, ND__K_le, nd__k_const_bits(&b, nd__k_type(ND_I64, 1), (uint64_t)at), number));
    for (int c = 0; c < 16; c++)
        next[c] = outer;
    nd__k_for(&b, nd__k_at(0), nd__k_at(100), 1, 16, next, after);
    for (int c = 0; c < 16; c++)
        after[c] = nd__k_op3(&b, ND__K_fma, after[c], factor, factor);
    nd__k_end_for(&b, after, next);
    for (int c = 1; c < 16; c++)
        next[0] = nd__k_op2(&b, ND__K_add, next[0], next[c]);
    nd__k_else(&b, 1, next);
    nd__k_end_if(&b, 1, &outer, &chosen);
    nd__k_end_for(&b, &chosen, &sum);
    nd__k_store(&b, x, nd__k_at(0), sum, 1, 16);
    ck_assert(!k->failed);
    return k;
}

START_TEST(branches_of_indices)
{
    nd__arena arena = {0};
    const double all = cycles(branch_of(&arena, 0), &wide, NULL);
    near("always", all, 100 * 1600, 0.05);
    near("every other time", cycles(branch_of(&arena, 50), &wide, NULL), all / 2, 0.02);
    near("a tenth", cycles(branch_of(&arena, 90), &wide, NULL), all / 10, 0.1);
    ck_assert(cycles(branch_of(&arena, 100), &wide, NULL) < all / 50);
    nd__arena_release(&arena);
}
END_TEST

/* Two loops one after the other over the same 16 KB, again and again: those lie in a cache of 24 KB. */
START_TEST(what_two_loops_read_is_there_once)
{
    enum { N = 4096 };
    double took[2];
    for (int apart = 0; apart < 2; apart++) {
        nd__arena arena = {0};
        nd__kernel *k = nd__k_create(&arena, "twice");
        nd__kbuilder b = nd__k_builder(k);
        int32_t from = nd__k_buffer(k, "from", ND_F32, ND__K_IN, 4 * N, 64);
        int32_t to = nd__k_buffer(k, "to", ND_F32, ND__K_OUT, 16, 64);
        nd__kval sum = nd__k_const(&b, nd__k_type(ND_F32, 16), 0), outer, inner;
        nd__k_for(&b, nd__k_at(0), nd__k_at(100), 1, 1, &sum, &outer);
        for (int loop = 0; loop < 2; loop++) {
            int32_t i = nd__k_for(&b, nd__k_at(0), nd__k_at(N), 16, 1, &outer, &inner);
            nd__kaffine at = nd__k_plus(nd__k_at(apart * loop * 2 * N), i, 1);
            inner = nd__k_op2(&b, ND__K_max, inner, nd__k_load(&b, from, at, 16, 1, 16));
            nd__k_end_for(&b, &inner, &outer);
        }
        nd__k_end_for(&b, &outer, &sum);
        nd__k_store(&b, to, nd__k_at(0), sum, 1, 16);
        ck_assert(!k->failed);
        nd__target small = wide;
        small.l1_bytes = small.l2_bytes = small.l3_bytes = 6 * N;
        took[apart] = cycles(k, &small, NULL);
        nd__arena_release(&arena);
    }
    ck_assert(took[0] < took[1] / 2);
}
END_TEST

START_TEST(plans_loops_and_chunks)
{
    nd__plan *p = nd__plan_create("f");
    int a = hand_buffer(p, ND__IN_ARENA, ND_F32, 8192, "a"), b = hand_buffer(p, ND__IN_ARENA, ND_F32, 8192, "b");
    hand_arg args[] = {{ND__K_IN, a, 0, 0, {0}}, {ND__K_OUT, b, 0, 0, {0}}};
    nd__step *loop = hand_loop(p, &p->steps, "loop", 10);
    nd__step *in = hand_kernel(p, &loop->body, "copy", 2, args);
    p->kernels[in->kernel] = copy_of(p->arena, 8192, 1);
    ck_assert(nd__plan_memory(p));
    ck_assert(nd__plan_estimate(p, &wide));
    const nd__step *inside = &p->steps.items[0].body.items[0];
    near("of a turn, by L2: both are 64 KB", inside->cycles, 2 * 4 * 8192 / 31.0, 0.05);
    near("of ten", p->cycles, 10 * inside->cycles, 1e-9);
    near("of ten", p->steps.items[0].cycles, p->cycles, 1e-9);
    nd__plan_destroy(p);
    p = nd__plan_create("nothing");
    ck_assert(nd__plan_memory(p) && nd__plan_estimate(p, &wide) && p->cycles == 0);
    nd__plan_destroy(p);
}
END_TEST

/* No estimate is below what the multiply-adds alone take. */
START_TEST(products)
{
    nd__arena arena = {0};
    nd__kernel *k = matmul_kernel(&arena, "product");
    ck_assert_ptr_nonnull(k);
    for (int i = 0; nd__target_names(i); i++) {
        nd__target t;
        char message[256];
        ck_assert_int_eq(nd__target_find(nd__target_names(i), &t, message, sizeof message), ND_OK);
        ck_assert(t.fma_bytes >= 16 && t.l3_bytes >= t.l2_bytes);
        ck_assert(cycles(k, &t, NULL) >= (double)k->flops / nd__peak_flops(&t));
    }
    nd__arena_release(&arena);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cost");
    TCase *t = tcase_create("kernels");
    tcase_add_test(t, units_and_latencies);
    tcase_add_test(t, where_data_comes_from);
    tcase_add_test(t, what_fits_is_brought_once);
    tcase_add_test(t, branches_of_indices);
    tcase_add_test(t, what_two_loops_read_is_there_once);
    tcase_add_test(t, plans_loops_and_chunks);
    tcase_add_test(t, products);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
