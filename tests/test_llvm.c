/* Kernels made by hand and at random, compiled, against the evaluator: memory, lanes, loops, branches. Arithmetic is
 * test_llvm_ops.c's. */
#include "kernel_fixture.h"
#include "kplan.h"
#include "matmul_kernel.h"
#include "native_check.h"
#include "random_kernel.h"
#include "run_suite.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static char message[1000];

static void check_kernel(nd__kernel *k)
{
    native_check(kplan_of(&arena, k), NULL, 7);
}

#define AT(constant) nd__k_at(constant)
#define IV(iv, coef) nd__k_plus(nd__k_at(0), iv, coef)
#define I64          nd__k_type(ND_I64, 1)

/* -- memory -------------------------------------------------------------------------------------------------------- */

/* Every count of existing lanes, for loads and stores, at the buffer's start and end. */
START_TEST(masks)
{
    nd_dtype dtype = (nd_dtype)_i;
    nd__kbuilder b;
    nd__kernel *k = start("masks", &b);
    for (int lanes = 2; lanes <= 32; lanes *= 2) {
        int64_t n = lanes * (lanes + 1), at = 0;
        int32_t x = nd__k_buffer(k, "x", dtype, ND__K_IN, n / 2, 1), y = nd__k_buffer(k, "y", dtype, ND__K_OUT, n, 1);
        int32_t z = nd__k_buffer(k, "z", dtype, ND__K_OUT, n / 2, 1);
        for (int count = 1; count <= lanes; at += count, count++) {
            nd__kval loaded = nd__k_load(&b, x, AT(at), lanes, 1, count); /* the rest is 0 */
            nd__k_store(&b, y, AT((int64_t)lanes * (count - 1)), loaded, 1, lanes);
            nd__k_store(&b, z, AT(at), loaded, 1, count);
        }
    }
    check_kernel(k);
}
END_TEST

/* Strides from lane to lane; a store to one place leaves the last lane. */
START_TEST(lane_strides)
{
    static const int64_t strides[] = {0, 1, -1, 2, -2, 3, 29, -31};
    nd_dtype dtype = (nd_dtype)(_i / 3);
    int lanes = 1 << 2 * (_i % 3);
    nd__kbuilder b;
    nd__kernel *k = start("strides", &b);
    for (size_t s = 0; s < sizeof strides / sizeof strides[0]; s++) {
        int64_t stride = strides[s], reach = (stride < 0 ? -stride : stride) * (lanes - 1) + 1;
        for (int count = lanes; count >= 1; count -= 3) {
            int64_t used = (stride < 0 ? -stride : stride) * (count - 1), first = stride < 0 ? used : 0;
            int32_t x = nd__k_buffer(k, "x", dtype, ND__K_IN, used + 1, 1);
            int32_t y = nd__k_buffer(k, "y", dtype, ND__K_OUT, lanes, 1);
            int32_t z = nd__k_buffer(k, "z", dtype, ND__K_OUT, reach, 1);
            nd__kval loaded = nd__k_load(&b, x, AT(first), lanes, stride, count);
            nd__k_store(&b, y, AT(0), loaded, 1, lanes);
            nd__k_store(&b, z, AT(first), loaded, stride, count);
        }
    }
    check_kernel(k);
}
END_TEST

/* What is fetched may lie anywhere, and stays as it is. */
START_TEST(fetches)
{
    nd_dtype dtype = (nd_dtype)_i;
    nd__kbuilder b;
    nd__kernel *k = start("fetch", &b);
    int32_t x = nd__k_buffer(k, "x", dtype, ND__K_IN, 16, 1), y = nd__k_buffer(k, "y", dtype, ND__K_INOUT, 16, 1);
    int32_t i = nd__k_for(&b, AT(-2), AT(2), 1, 0, NULL, NULL);
    nd__k_fetch(&b, x, IV(i, 1), false);
    nd__k_fetch(&b, y, IV(i, 16), true);
    nd__k_fetch(&b, y, nd__k_plus(AT(1 << 30), i, 1 << 20), true);
    nd__k_end_for(&b, NULL, NULL);
    nd__k_store(&b, y, AT(4), nd__k_load(&b, x, AT(8), 4, 1, 4), 1, 4);
    check_kernel(k);
}
END_TEST

/* Rows picked by loaded indices, some of them outside; whole rows, strided ones, single elements, lane by lane. */
START_TEST(loaded_indices)
{
    enum { N = 16, ROWS = 5, WIDTH = 7 };
    static const int64_t ids[N] = {0, 4, -1, 5, 3, 2, INT64_MIN, INT64_MAX, 1, 1, 0, 4, 1 << 20, -2, 3, 0};
    nd_dtype dtype = (nd_dtype)_i;
    nd__kbuilder b;
    nd__kernel *k = start("gather", &b);
    int32_t id = nd__k_buffer(k, "id", ND_I64, ND__K_IN, N, 8),
            x = nd__k_buffer(k, "x", dtype, ND__K_IN, ROWS * WIDTH, 1);
    int32_t y = nd__k_buffer(k, "y", dtype, ND__K_OUT, 8 * N, 1), s = nd__k_buffer(k, "s", dtype, ND__K_OUT, 4 * N, 1);
    int32_t one = nd__k_buffer(k, "one", dtype, ND__K_OUT, 2 * N, 1),
            each = nd__k_buffer(k, "each", dtype, ND__K_OUT, N, 1);
    int32_t sum = nd__k_buffer(k, "sum", dtype, ND__K_INOUT, ROWS * WIDTH, 1);
    int32_t spread = nd__k_buffer(k, "spread", dtype, ND__K_INOUT, ROWS * WIDTH, 1);
    int32_t none = nd__k_buffer(k, "none", dtype, ND__K_OUT, N, 1);
    int32_t i = nd__k_for(&b, AT(0), AT(N), 1, 0, NULL, NULL);
    nd__kval index = nd__k_load(&b, id, IV(i, 1), 1, 1, 1);
    nd__k_store(&b, y, IV(i, 8), nd__k_loadx(&b, x, AT(0), index, WIDTH, ROWS, 8, 1, WIDTH), 1, 8);
    nd__k_store(&b, s, IV(i, 4), nd__k_loadx(&b, x, AT(6), index, WIDTH, ROWS, 4, -2, 4), 1, 4);
    nd__k_store(&b, one, IV(i, 2), nd__k_loadx(&b, x, AT(1), index, WIDTH, ROWS - 1, 1, 1, 1), 1, 1);
    nd__k_store(&b, one, nd__k_plus(AT(1), i, 2),
                nd__k_loadx(&b, x, AT(ROWS * WIDTH - 1), index, -WIDTH, ROWS, 1, 1, 1), 1, 1);
    nd__k_store(&b, none, IV(i, 1), nd__k_loadx(&b, x, AT(1), index, WIDTH, 0, 1, 1, 1), 1, 1);
    nd__kval row = nd__k_loadx(&b, sum, AT(0), index, WIDTH, ROWS, 8, 1, WIDTH);
    if (dtype != ND_BOOL)
        row = nd__k_op2(&b, ND__K_add, row, nd__k_loadx(&b, x, AT(0), index, WIDTH, ROWS, 8, 1, WIDTH));
    nd__k_storex(&b, sum, AT(0), row, index, WIDTH, ROWS, 1, WIDTH);
    nd__k_storex(&b, spread, AT(0), row, index, WIDTH, ROWS, 2, 3);
    nd__k_storex(&b, spread, AT(6), nd__k_lane(&b, row, 1), index, WIDTH, ROWS, 1, 1);
    nd__k_storex(&b, spread, AT(0), row, index, WIDTH, 0, 1, 1); /* never */
    nd__k_end_for(&b, NULL, NULL);
    i = nd__k_for(&b, AT(0), AT(N), 8, 0, NULL, NULL);
    index = nd__k_load(&b, id, IV(i, 1), 8, 1, 8);
    nd__k_store(&b, each, IV(i, 1), nd__k_loadx(&b, x, AT(2), index, WIDTH, ROWS, 8, 0, 7), 1, 8);
    nd__k_end_for(&b, NULL, NULL);
    native_check(kplan_of(&arena, k), ((const void *[]){ids, NULL}), 3);
}
END_TEST

/* Values of affine forms, wrapped to their dtype; at the ends of i64 too. */
START_TEST(indices)
{
    static const nd_dtype dtypes[] = {ND_U8, ND_I32, ND_U32, ND_I64};
    nd__kbuilder b;
    nd__kernel *k = start("index", &b);
    for (int d = 0; d < 4; d++) {
        for (int lanes = 1; lanes <= 16; lanes *= 4) {
            int32_t y = nd__k_buffer(k, "y", dtypes[d], ND__K_OUT, 12 * lanes, 1);
            int32_t i = nd__k_for(&b, AT(0), AT(3), 1, 0, NULL, NULL),
                    j = nd__k_for(&b, AT(-5), AT(3), 2, 0, NULL, NULL);
            nd__ktype type = nd__k_type(dtypes[d], lanes);
            /* (j + 5) / 2 counts from 0 */
            nd__kval form = nd__k_index(&b, type, nd__k_plus(nd__k_plus(AT(-3), i, 1000003), j, -7), 5);
            nd__kval far = nd__k_index(&b, type, nd__k_plus(AT(INT64_MAX - 4), j, 2), -1);
            nd__kval both = nd__k_op2(&b, ND__K_xor, form, far);
            nd__k_if(&b, nd__k_op2(&b, ND__K_eq, nd__k_index(&b, I64, IV(j, 1), 1), nd__k_const(&b, I64, -5)));
            nd__k_store(&b, y, IV(i, 4 * lanes), both, 1, lanes);
            nd__k_end_if(&b, 0, NULL, NULL);
            nd__k_store(&b, y, nd__k_plus(AT(2 * lanes), i, 4 * lanes), both, 1, lanes);
            nd__k_end_for(&b, NULL, NULL);
            nd__k_end_for(&b, NULL, NULL);
        }
    }
    check_kernel(k);
}
END_TEST

/* A byte other than 0 and 1 in a bool's memory is true. */
START_TEST(bools_of_any_byte)
{
    static const unsigned char bytes[16] = {0, 1, 2, 255, 128, 0, 4, 1, 0, 0, 77, 1, 1, 1, 0, 3};
    nd__kbuilder b;
    nd__kernel *k = start("bools", &b);
    int32_t x = nd__k_buffer(k, "x", ND_BOOL, ND__K_IN, 16, 1);
    for (int lanes = 1; lanes <= 16; lanes *= 2) {
        int32_t y = nd__k_buffer(k, "y", ND_BOOL, ND__K_OUT, lanes, 1),
                z = nd__k_buffer(k, "z", ND_I32, ND__K_OUT, lanes, 1);
        nd__kval loaded = nd__k_load(&b, x, AT(16 - lanes), lanes, 1, lanes);
        nd__k_store(&b, y, AT(0), nd__k_op1(&b, ND__K_not, loaded), 1, lanes);
        nd__k_store(&b, z, AT(0), nd__k_convert(&b, ND_I32, loaded), 1, lanes);
    }
    native_check(kplan_of(&arena, k), ((const void *[]){bytes}), 3);
}
END_TEST

/* -- lanes --------------------------------------------------------------------------------------------------------- */

START_TEST(transposes)
{
    nd_dtype dtype = (nd_dtype)_i;
    nd__kbuilder b;
    nd__kernel *k = start("transpose", &b);
    for (int n = 2; n <= (dtype == ND_F32 ? 32 : 16); n *= 2) {
        int32_t x = nd__k_buffer(k, "x", dtype, ND__K_IN, n * n, 1),
                y = nd__k_buffer(k, "y", dtype, ND__K_OUT, n * n, 1);
        nd__kval rows[32], columns[32];
        for (int i = 0; i < n; i++)
            rows[i] = nd__k_load(&b, x, AT(n * i), n, 1, n);
        nd__k_transpose(&b, n, rows, columns);
        for (int i = 0; i < n; i++)
            nd__k_store(&b, y, AT(n * i), columns[i], 1, n);
    }
    check_kernel(k);
}
END_TEST

START_TEST(lanes_and_splats)
{
    nd_dtype dtype = (nd_dtype)_i;
    nd__kbuilder b;
    nd__kernel *k = start("lanes", &b);
    for (int lanes = 2; lanes <= ND__MAX_LANES; lanes *= 2) {
        int32_t x = nd__k_buffer(k, "x", dtype, ND__K_IN, lanes, 1),
                y = nd__k_buffer(k, "y", dtype, ND__K_OUT, 3 * lanes, 1);
        int32_t z = nd__k_buffer(k, "z", dtype, ND__K_OUT, lanes, 1);
        nd__kval loaded = nd__k_load(&b, x, AT(0), lanes, 1, lanes);
        for (int l = 0; l < lanes; l++)
            nd__k_store(&b, z, AT(lanes - 1 - l), nd__k_lane(&b, loaded, l), 1, 1);
        nd__k_store(&b, y, AT(0), nd__k_splat(&b, nd__k_lane(&b, loaded, lanes - 1), lanes), 1, lanes);
        nd__k_store(&b, y, AT(lanes), nd__k_splat(&b, nd__k_load(&b, x, AT(1), 1, 1, 1), lanes), 1, lanes);
        nd__k_store(&b, y, AT(2 * lanes), nd__k_const(&b, nd__k_type(dtype, lanes), 1), 1, lanes);
    }
    check_kernel(k);
}
END_TEST

/* A table: constants of the kernel's own. */
START_TEST(tables)
{
    static const float numbers[5] = {1.5f, -2, 0.25f, 3, 1e-40f};
    nd__kbuilder b;
    nd__kernel *k = start("table", &b);
    int32_t t = nd__k_table(k, "t", ND_F32, 5, numbers), id = nd__k_buffer(k, "id", ND_U8, ND__K_IN, 32, 1);
    int32_t y = nd__k_buffer(k, "y", ND_F32, ND__K_OUT, 36, 4);
    int32_t i = nd__k_for(&b, AT(0), AT(32), 4, 0, NULL, NULL);
    nd__kval at = nd__k_convert(&b, ND_I64, nd__k_load(&b, id, IV(i, 1), 4, 1, 4));
    nd__k_store(&b, y, IV(i, 1), nd__k_loadx(&b, t, AT(0), at, 1, 5, 4, 0, 4), 1, 4);
    nd__k_end_for(&b, NULL, NULL);
    nd__k_store(&b, y, AT(32), nd__k_load(&b, t, AT(1), 4, 1, 4), 1, 4);
    check_kernel(k);
}
END_TEST

/* -- loops and branches -------------------------------------------------------------------------------------------- */

START_TEST(matmul)
{
    check_kernel(matmul_kernel(&arena, "matmul"));
}
END_TEST

/* Fibonacci numbers, from loops that never run to such of many rounds: what a loop carries, in another order; a step
 * of 3. */
START_TEST(loops_carry)
{
    nd__kbuilder b;
    nd__kernel *k = start("fibonacci", &b);
    int32_t y = nd__k_buffer(k, "y", ND_I64, ND__K_OUT, 24, 8);
    for (int n = 0; n < 12; n++) {
        nd__kval init[2] = {nd__k_const(&b, I64, 0), nd__k_const(&b, I64, 1)}, x[2], last[2];
        nd__k_for(&b, AT(-2), AT(3 * n - 4), 3, 2, init, x);
        nd__k_end_for(&b, (nd__kval[]){x[1], nd__k_op2(&b, ND__K_add, x[0], x[1])}, last);
        nd__k_store(&b, y, AT(2 * n), last[0], 1, 1);
        nd__k_store(&b, y, AT(2 * n + 1), last[1], 1, 1);
    }
    check_kernel(k);
}
END_TEST

/* Nested loops whose inner bounds depend on the outer variable, from empty rows on; sums carried through both, an outer
 * value used inside. */
START_TEST(triangles)
{
    enum { N = 9 };
    nd__kbuilder b;
    nd__kernel *k = start("triangle", &b);
    int32_t x = nd__k_buffer(k, "x", ND_F32, ND__K_IN, N * N, 4), y = nd__k_buffer(k, "y", ND_F32, ND__K_OUT, N * N, 4);
    int32_t s = nd__k_buffer(k, "s", ND_F32, ND__K_OUT, N + 1, 4),
            low = nd__k_buffer(k, "low", ND_I32, ND__K_OUT, N * N, 4);
    nd__kval zero = nd__k_const(&b, nd__k_type(ND_F32, 1), 0), all, row, total, next;
    int32_t i = nd__k_for(&b, AT(0), AT(N), 1, 1, &zero, &all);
    nd__kval first = nd__k_load(&b, x, IV(i, N), 1, 1, 1);
    int32_t j = nd__k_for(&b, AT(0), IV(i, 1), 1, 1, &zero, &row); /* none for i = 0 */
    nd__kval one = nd__k_load(&b, x, nd__k_plus(IV(i, N), j, 1), 1, 1, 1);
    next = nd__k_op3(&b, ND__K_fma, one, first, row);
    nd__k_store(&b, y, nd__k_plus(IV(i, N), j, 1), next, 1, 1);
    nd__k_end_for(&b, &next, &row);
    j = nd__k_for(&b, nd__k_plus(AT(-1), i, 2), AT(N), 2, 0, NULL, NULL); /* columns past the last are none at all */
    int32_t p = nd__k_for(&b, nd__k_plus(nd__k_plus(AT(0), i, 1), j, -1), AT(1), 1, 0, NULL, NULL);
    /* p = i - j .. 0 <= 0, and 0 <= j + p */
    nd__k_store(&b, low, nd__k_plus(nd__k_plus(nd__k_plus(AT(N), i, N - 1), j, 1), p, 1),
                nd__k_index(&b, nd__k_type(ND_I32, 1), nd__k_plus(IV(j, 10), p, -1), 1), 1, 1);
    nd__k_end_for(&b, NULL, NULL);
    nd__k_end_for(&b, NULL, NULL);
    nd__k_store(&b, s, IV(i, 1), row, 1, 1);
    next = nd__k_op2(&b, ND__K_add, all, row);
    nd__k_end_for(&b, &next, &total);
    nd__k_store(&b, s, AT(N), total, 1, 1);
    check_kernel(k);
}
END_TEST

/* Branches with results of several types, one inside another, one without an else, one in a loop on what it carries. */
START_TEST(branches)
{
    enum { N = 16 };
    nd__kbuilder b;
    nd__kernel *k = start("branch", &b);
    nd__ktype i32 = nd__k_type(ND_I32, 1);
    int32_t x = nd__k_buffer(k, "x", ND_I32, ND__K_IN, N, 4), w = nd__k_buffer(k, "w", ND_F32, ND__K_IN, 4, 4);
    int32_t y = nd__k_buffer(k, "y", ND_F32, ND__K_OUT, 4 * N, 4), z = nd__k_buffer(k, "z", ND_I32, ND__K_INOUT, N, 4);
    nd__kval count = nd__k_const(&b, i32, 0), carried, given[2], inner, next;
    int32_t i = nd__k_for(&b, AT(0), AT(N), 1, 1, &count, &carried);
    nd__kval one = nd__k_load(&b, x, IV(i, 1), 1, 1, 1);
    nd__k_if(&b, nd__k_op2(&b, ND__K_lt, one, nd__k_const(&b, i32, 3)));
    {
        nd__kval loaded = nd__k_load(&b, w, AT(0), 4, 1, 4);
        nd__k_if(&b, nd__k_op2(&b, ND__K_lt, one, nd__k_const(&b, i32, 0)));
        nd__k_store(&b, z, IV(i, 1), carried, 1, 1);
        nd__kval negated = nd__k_op1(&b, ND__K_neg, loaded);
        nd__k_else(&b, 1, &negated);
        nd__k_end_if(&b, 1, &loaded, &inner);
        nd__k_else(&b, 2, (nd__kval[]){inner, nd__k_op2(&b, ND__K_add, carried, one)});
    }
    nd__kval filled = nd__k_splat(&b, nd__k_convert(&b, ND_F32, one), 4);
    nd__k_end_if(&b, 2, (nd__kval[]){filled, carried}, given);
    nd__k_store(&b, y, IV(i, 4), given[0], 1, 4);
    nd__k_if(&b, nd__k_op2(&b, ND__K_lt, carried, given[1]));
    nd__k_end_if(&b, 0, NULL, NULL);
    next = given[1];
    nd__k_end_for(&b, &next, &count);
    nd__k_store(&b, z, AT(N - 1), count, 1, 1);
    check_kernel(k);
}
END_TEST

/* Scratch: written, then read; more than one. */
START_TEST(scratch)
{
    nd__kbuilder b;
    nd__kernel *k = start("scratch", &b);
    int32_t x = nd__k_buffer(k, "x", ND_F32, ND__K_IN, 64, 4), s = nd__k_buffer(k, "s", ND_F32, ND__K_SCRATCH, 64, 64);
    int32_t u = nd__k_buffer(k, "u", ND_BOOL, ND__K_SCRATCH, 64, 1), y = nd__k_buffer(k, "y", ND_F32, ND__K_OUT, 64, 4);
    nd__kval rows[8], columns[8];
    for (int i = 0; i < 8; i++)
        rows[i] = nd__k_load(&b, x, AT(8 * i), 8, 1, 8);
    nd__k_transpose(&b, 8, rows, columns);
    for (int i = 0; i < 8; i++) {
        nd__k_store(&b, s, AT(8 * i), columns[i], 1, 8);
        nd__k_store(&b, u, AT(8 * i), nd__k_op2(&b, ND__K_lt, columns[i], rows[i]), 1, 8);
    }
    int32_t i = nd__k_for(&b, AT(0), AT(64), 16, 0, NULL, NULL);
    nd__kval loaded = nd__k_load(&b, s, IV(i, 1), 16, 1, 16);
    nd__k_store(
        &b, y, IV(i, 1),
        nd__k_op3(&b, ND__K_select, nd__k_load(&b, u, IV(i, 1), 16, 1, 16), loaded, nd__k_op1(&b, ND__K_neg, loaded)),
        1, 16);
    nd__k_end_for(&b, NULL, NULL);
    check_kernel(k);
}
END_TEST

/* -- anything ------------------------------------------------------------------------------------------------------ */

/* NADIR_TEST_SEED and NADIR_TEST_CASES: another place to begin, and how many, for a longer look. */
START_TEST(random_kernels)
{
    const char *from = getenv("NADIR_TEST_SEED"), *asked = getenv("NADIR_TEST_CASES");
    int first = from ? atoi(from) : 1, cases = asked ? atoi(asked) : 24;
    for (int seed = first; seed < first + cases; seed++) {
        nd__kernel *k = random_kernel(&arena, (uint64_t)seed);
        const char *error = nd__k_verify(k, message, sizeof message);
        ck_assert_msg(!error, "seed %d: %s", seed, error);
        nd__plan *plan = kplan_of(&arena, k);
        plan->name = nd__arena_format(&arena, "seed %d", seed);
        native_check(plan, NULL, (uint64_t)seed);
        nd__arena_release(&arena);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("llvm");
    TCase *tcase = tcase_create("llvm");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, begin, end);
    tcase_add_loop_test(tcase, masks, ND_BOOL, ND_F64 + 1);
    tcase_add_loop_test(tcase, lane_strides, 3 * ND_BOOL, 3 * (ND_F64 + 1));
    tcase_add_loop_test(tcase, fetches, ND_BOOL, ND_F64 + 1);
    tcase_add_loop_test(tcase, loaded_indices, ND_BOOL, ND_F64 + 1);
    tcase_add_test(tcase, indices);
    tcase_add_test(tcase, bools_of_any_byte);
    tcase_add_loop_test(tcase, transposes, ND_BOOL, ND_F64 + 1);
    tcase_add_loop_test(tcase, lanes_and_splats, ND_BOOL, ND_F64 + 1);
    tcase_add_test(tcase, tables);
    tcase_add_test(tcase, matmul);
    tcase_add_test(tcase, loops_carry);
    tcase_add_test(tcase, triangles);
    tcase_add_test(tcase, branches);
    tcase_add_test(tcase, scratch);
    tcase_add_test(tcase, random_kernels);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
