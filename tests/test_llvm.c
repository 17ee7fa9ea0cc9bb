/* Plans and kernels made by hand, compiled, against the evaluator: memory, lanes, loops, branches, calls. Arithmetic is
 * test_llvm_ops.c's. */
#include "failing_alloc.h"
#include "kplan.h"
#include "matmul_kernel.h"
#include "native_check.h"
#include "random_kernel.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>

static nd__arena arena;
static char message[1000];

static void begin(void)
{
    arena = (nd__arena){0};
}

static void end(void)
{
    nd__arena_release(&arena);
}

static nd__kernel *start(const char *name, nd__kbuilder *b)
{
    nd__kernel *k = nd__k_create(&arena, name);
    *b = nd__k_builder(k);
    return k;
}

static void check_kernel(nd__kernel *k)
{
    native_check(kplan_of(&arena, k), NULL, 7);
}

#define AT(constant) nd__k_at(constant)
#define IV(iv, coef) nd__k_plus(nd__k_at(0), iv, coef)
#define I64 nd__k_type(ND_I64, 1)

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

/* y = x reversed: wrong where they are the same memory and a load moves behind a store. */
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
    ck_assert_ptr_nonnull(strstr(wide, "\"step/hidden matmul+bias+relu\":"));
    ck_assert_ptr_nonnull(strstr(wide, "vfmadd"));
    ck_assert_ptr_null(strstr(narrow, "vfmadd"));
    ck_assert_ptr_null(strstr(narrow, "fmaf"));
    free(ir), free(wide), free(again), free(narrow);
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
    Suite *suite = suite_create("llvm");
    TCase *tcase = tcase_create("llvm");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, begin, end);
    tcase_add_test(tcase, threads_side_by_side);
    tcase_add_loop_test(tcase, masks, ND_BOOL, ND_F64 + 1);
    tcase_add_loop_test(tcase, lane_strides, 3 * ND_BOOL, 3 * (ND_F64 + 1));
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
    tcase_add_test(tcase, plan_of_loops);
    tcase_add_test(tcase, plan_of_branches);
    tcase_add_test(tcase, plan_of_overlaps);
    tcase_add_test(tcase, plan_of_nothing);
    tcase_add_test(tcase, several_plans);
    tcase_add_test(tcase, random_kernels);
    tcase_add_test(tcase, targets);
    tcase_add_test(tcase, listings);
    tcase_add_test(tcase, memory_may_run_out);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
