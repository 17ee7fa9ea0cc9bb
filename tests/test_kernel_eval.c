/* The evaluator: kernels made by hand against plain C, and the addresses that it refuses. */
#include "failing_alloc.h"
#include "kernel_fixture.h"
#include "matmul_kernel.h"
#include "run_suite.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static char message[400];

static void ck_runs(const nd__kernel *k, void *const *buffers)
{
    const char *error = nd__k_eval(k, buffers, message, sizeof message);
    ck_assert_msg(!error, "%s", error);
}

static void ck_fails(const nd__kernel *k, void *const *buffers, const char *expected)
{
    const char *error = nd__k_eval(k, buffers, message, sizeof message);
    ck_assert_ptr_nonnull(error);
    ck_assert_str_eq(error, expected);
}

#define F32(lanes)       nd__k_type(ND_F32, lanes)
#define ONE_IV(iv, coef) nd__k_plus(nd__k_at(0), iv, coef)

START_TEST(runs_matmul)
{
    float x[6], w[48], bias[16], h[32];
    for (int i = 0; i < 6; i++)
        x[i] = (float)(i * 7 % 5 - 2) * 0.3f;
    for (int i = 0; i < 48; i++)
        w[i] = (float)(i * 11 % 17 - 8) * 0.7f;
    for (int i = 0; i < 16; i++)
        bias[i] = (float)(i * 5 % 7 - 3) * 0.1f;
    ck_runs(matmul_kernel(&arena, "matmul"), (void *[]){x, w, bias, h});
    for (int r = 0; r < 2; r++) {
        for (int j = 0; j < 16; j++) {
            float acc = 0;
            for (int p = 0; p < 3; p++)
                acc = fmaf(x[3 * r + p], w[16 * p + j], acc);
            float y = acc + bias[j];
            ck_assert(h[16 * r + j] == (y <= 0 ? 0 : y));
        }
    }
}
END_TEST

/* y[i] = x[9 - i] over 10 elements in vectors of 4: a masked tail, a stride of -1. */
START_TEST(masked_tails_and_strides)
{
    nd__kbuilder b;
    nd__kernel *k = start("reverse", &b);
    int32_t x = nd__k_buffer(k, "x", ND_I32, ND__K_IN, 10, 4), y = nd__k_buffer(k, "y", ND_I32, ND__K_OUT, 10, 4);
    int32_t sum = nd__k_buffer(k, "sum", ND_I32, ND__K_OUT, 1, 4);
    int32_t i = nd__k_for(&b, nd__k_at(0), nd__k_at(8), 4, 0, NULL, NULL);
    nd__k_store(&b, y, ONE_IV(i, 1), nd__k_load(&b, x, nd__k_plus(nd__k_at(9), i, -1), 4, -1, 4), 1, 4);
    nd__k_end_for(&b, NULL, NULL);
    nd__kval tail = nd__k_load(&b, x, nd__k_at(1), 4, -1, 2);
    nd__k_store(&b, y, nd__k_at(8), tail, 1, 2);
    nd__k_store(&b, sum, nd__k_at(0), nd__k_op1(&b, ND__K_tree_add, tail), 1, 1); /* lanes past the count are 0 */
    int32_t in[10], out[10], total = -1;
    for (int n = 0; n < 10; n++)
        in[n] = 100 + n;
    ck_runs(k, (void *[]){in, out, &total});
    for (int n = 0; n < 10; n++)
        ck_assert_int_eq(out[n], in[9 - n]);
    ck_assert_int_eq(total, in[0] + in[1]);
}
END_TEST

/* Rows of a table by number; outside the table gives 0, scatter drops. */
START_TEST(loaded_indices)
{
    enum { ROWS = 3, WIDTH = 4, N = 6 };
    nd__kbuilder b;
    nd__kernel *k = start("gather", &b);
    int32_t ids = nd__k_buffer(k, "ids", ND_I64, ND__K_IN, N, 8),
            table = nd__k_buffer(k, "table", ND_F32, ND__K_IN, ROWS * WIDTH, 4);
    int32_t y = nd__k_buffer(k, "y", ND_F32, ND__K_OUT, N * WIDTH, 4),
            sums = nd__k_buffer(k, "sums", ND_F32, ND__K_INOUT, ROWS * WIDTH, 4);
    int32_t firsts = nd__k_buffer(k, "firsts", ND_F32, ND__K_OUT, 8, 4);
    int32_t i = nd__k_for(&b, nd__k_at(0), nd__k_at(N), 1, 0, NULL, NULL);
    nd__kval id = nd__k_load(&b, ids, ONE_IV(i, 1), 1, 1, 1);
    nd__kval row = nd__k_loadx(&b, table, nd__k_at(0), id, WIDTH, ROWS, WIDTH, 1, WIDTH);
    nd__k_store(&b, y, ONE_IV(i, WIDTH), row, 1, WIDTH);
    nd__kval old = nd__k_loadx(&b, sums, nd__k_at(0), id, WIDTH, ROWS, WIDTH, 1, WIDTH);
    nd__k_storex(&b, sums, nd__k_at(0), nd__k_op2(&b, ND__K_add, old, row), id, WIDTH, ROWS, 1, WIDTH);
    nd__k_end_for(&b, NULL, NULL);
    nd__kval all = nd__k_load(&b, ids, nd__k_at(0), 8, 1, N);
    nd__k_store(&b, firsts, nd__k_at(0), nd__k_loadx(&b, table, nd__k_at(1), all, WIDTH, ROWS, 8, 0, N), 1, 8);
    int64_t id_data[N] = {2, -1, 0, 3, 2, INT64_MIN};
    float rows[ROWS * WIDTH], out[N * WIDTH], sum[ROWS * WIDTH] = {0}, first[8];
    for (int n = 0; n < ROWS * WIDTH; n++)
        rows[n] = (float)n + 1;
    ck_runs(k, (void *[]){id_data, rows, out, sum, first});
    for (int n = 0; n < N; n++) {
        bool inside = id_data[n] >= 0 && id_data[n] < ROWS;
        for (int c = 0; c < WIDTH; c++)
            ck_assert(out[n * WIDTH + c] == (inside ? rows[id_data[n] * WIDTH + c] : 0));
        ck_assert(first[n] == (inside ? rows[id_data[n] * WIDTH + 1] : 0));
    }
    ck_assert(first[6] == 0 && first[7] == 0);
    for (int c = 0; c < WIDTH; c++) {
        ck_assert(sum[c] == rows[c]);
        ck_assert(sum[WIDTH + c] == 0);
        ck_assert(sum[2 * WIDTH + c] == 2 * rows[2 * WIDTH + c]);
    }
}
END_TEST

START_TEST(transposes_and_trees)
{
    enum { N = 8 };
    nd__kbuilder b;
    nd__kernel *k = start("transpose", &b);
    int32_t x = nd__k_buffer(k, "x", ND_F32, ND__K_IN, N * N, 4), y = nd__k_buffer(k, "y", ND_F32, ND__K_OUT, N * N, 4);
    int32_t s = nd__k_buffer(k, "s", ND_F32, ND__K_OUT, 3, 4);
    nd__kval rows[N], columns[N];
    for (int i = 0; i < N; i++)
        rows[i] = nd__k_load(&b, x, nd__k_at(N * i), N, 1, N);
    nd__k_transpose(&b, N, rows, columns);
    for (int i = 0; i < N; i++)
        nd__k_store(&b, y, nd__k_at(N * i), columns[i], 1, N);
    nd__kop trees[] = {ND__K_tree_add, ND__K_tree_min, ND__K_tree_max};
    for (int i = 0; i < 3; i++)
        nd__k_store(&b, s, nd__k_at(i), nd__k_op1(&b, trees[i], rows[1]), 1, 1);
    float in[N * N], out[N * N], sums[3];
    for (int i = 0; i < N * N; i++)
        in[i] = (float)(i * 37 % 101) * 0x1.234568p-3f + (float)(i % 5) * 1e6f;
    ck_runs(k, (void *[]){in, out, sums});
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            ck_assert(out[i * N + j] == in[j * N + i]);
    const float *v = in + N;
    ck_assert(sums[0] == ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7])));
    float low = v[0], high = v[0];
    for (int i = 1; i < N; i++)
        low = v[i] < low ? v[i] : low, high = v[i] > high ? v[i] : high;
    ck_assert(sums[1] == low && sums[2] == high);
}
END_TEST

/* Fibonacci: the loop gives what it carries in another order. With n = 0 it gives the initial values. */
START_TEST(loops_carry)
{
    for (int n = 0; n < 12; n++) {
        nd__kbuilder b;
        nd__kernel *k = start("fibonacci", &b);
        int32_t y = nd__k_buffer(k, "y", ND_I64, ND__K_OUT, 2, 8);
        nd__ktype i64 = nd__k_type(ND_I64, 1);
        nd__kval init[2] = {nd__k_const(&b, i64, 0), nd__k_const(&b, i64, 1)}, x[2], last[2];
        nd__k_for(&b, nd__k_at(0), nd__k_at(n), 1, 2, init, x);
        nd__k_end_for(&b, (nd__kval[]){x[1], nd__k_op2(&b, ND__K_add, x[0], x[1])}, last);
        nd__k_store(&b, y, nd__k_at(0), last[0], 1, 1);
        nd__k_store(&b, y, nd__k_at(1), last[1], 1, 1);
        int64_t out[2], f[2] = {0, 1};
        ck_runs(k, (void *[]){out});
        for (int i = 0; i < n; i++) {
            int64_t next = f[0] + f[1];
            f[0] = f[1], f[1] = next;
        }
        ck_assert_int_eq(out[0], f[0]);
        ck_assert_int_eq(out[1], f[1]);
    }
}
END_TEST

/* A triangle of numbers: y[i, j] = j <= i ? 10 i + j : -1, through a branch inside loops whose bounds depend on each
 * other. */
START_TEST(triangles_and_branches)
{
    enum { N = 5 };
    nd__kbuilder b;
    nd__kernel *k = start("triangle", &b);
    int32_t y = nd__k_buffer(k, "y", ND_I32, ND__K_OUT, N * N, 4),
            low = nd__k_buffer(k, "low", ND_I32, ND__K_OUT, N * N, 4);
    nd__ktype i32 = nd__k_type(ND_I32, 1);
    int32_t i = nd__k_for(&b, nd__k_at(0), nd__k_at(N), 1, 0, NULL, NULL);
    int32_t j = nd__k_for(&b, nd__k_at(0), nd__k_at(N), 1, 0, NULL, NULL);
    nd__kval row = nd__k_index(&b, i32, ONE_IV(i, 1), 0), column = nd__k_index(&b, i32, ONE_IV(j, 1), 0), result;
    nd__k_if(&b, nd__k_op2(&b, ND__K_le, column, row));
    nd__kval inside = nd__k_op2(&b, ND__K_add, nd__k_op2(&b, ND__K_mul, row, nd__k_const(&b, i32, 10)), column);
    nd__k_else(&b, 1, &inside);
    nd__kval outside = nd__k_const(&b, i32, -1);
    nd__k_end_if(&b, 1, &outside, &result);
    nd__k_store(&b, y, nd__k_plus(ONE_IV(i, N), j, 1), result, 1, 1);
    nd__k_if(&b, nd__k_op2(&b, ND__K_lt, column, row)); /* no else */
    nd__k_store(&b, low, nd__k_plus(ONE_IV(i, N), j, 1), row, 1, 1);
    nd__k_end_if(&b, 0, NULL, NULL);
    nd__k_end_for(&b, NULL, NULL);
    int32_t p = nd__k_for(&b, ONE_IV(i, 1), nd__k_at(N), 1, 0, NULL, NULL);
    nd__k_store(&b, low, nd__k_plus(ONE_IV(i, N), p, 1), outside, 1, 1);
    nd__k_end_for(&b, NULL, NULL);
    nd__k_end_for(&b, NULL, NULL);
    int32_t out[N * N], lower[N * N];
    ck_runs(k, (void *[]){out, lower});
    for (int r = 0; r < N; r++) {
        for (int c = 0; c < N; c++) {
            ck_assert_int_eq(out[r * N + c], c <= r ? 10 * r + c : -1);
            ck_assert_int_eq(lower[r * N + c], c < r ? r : -1);
        }
    }
}
END_TEST

START_TEST(bools_in_memory)
{
    nd__kbuilder b;
    nd__kernel *k = start("bools", &b);
    int32_t x = nd__k_buffer(k, "x", ND_BOOL, ND__K_IN, 4, 1), y = nd__k_buffer(k, "y", ND_BOOL, ND__K_OUT, 4, 1);
    nd__k_store(&b, y, nd__k_at(0), nd__k_op1(&b, ND__K_not, nd__k_load(&b, x, nd__k_at(0), 4, 1, 4)), 1, 4);
    unsigned char in[4] = {0, 1, 1, 0}, out[4];
    ck_runs(k, (void *[]){in, out});
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(out[i], !in[i]);
}
END_TEST

/* -- addresses ----------------------------------------------------------------------------------------------------- */

static nd__kernel *copier(int64_t shift, int lanes, int count, nd__kaccess access)
{
    nd__kbuilder b;
    nd__kernel *k = start("copy", &b);
    int32_t x = nd__k_buffer(k, "x", ND_F32, access, 8, 4), y = nd__k_buffer(k, "y", ND_F32, ND__K_OUT, 8, 4);
    int32_t i = nd__k_for(&b, nd__k_at(0), nd__k_at(8), lanes, 0, NULL, NULL);
    nd__k_store(&b, y, ONE_IV(i, 1), nd__k_load(&b, x, nd__k_plus(nd__k_at(shift), i, 1), lanes, 1, count), 1, lanes);
    nd__k_end_for(&b, NULL, NULL);
    return k;
}

START_TEST(finds_wrong_addresses)
{
    float x[8] = {1, 2, 3, 4, 5, 6, 7, 8}, y[8];
    void *buffers[] = {x, y};
    ck_runs(copier(0, 4, 4, ND__K_IN), buffers);
    ck_runs(copier(1, 4, 3, ND__K_IN), buffers); /* the lane that would be outside does not exist */
    ck_fails(copier(1, 4, 4, ND__K_IN), buffers,
             "kernel copy: `%0 = load f32x4 x[i0 + 1]`: element 8 of x[8] is outside, at i0 = 4");
    ck_fails(copier(-1, 1, 1, ND__K_IN), buffers,
             "kernel copy: `%0 = load f32 x[i0 - 1]`: element -1 of x[8] is outside, at i0 = 0");
    ck_fails(copier(0, 1, 1, ND__K_OUT), buffers,
             "kernel copy: `%0 = load f32 x[i0]`: element 0 of x[8] is read before it is written, at i0 = 0");
    ck_fails(copier(0, 1, 1, ND__K_SCRATCH), buffers,
             "kernel copy: `%0 = load f32 x[i0]`: element 0 of x[8] is read before it is written, at i0 = 0");
    ck_runs(copier(0, 2, 2, ND__K_INOUT), buffers);
}
END_TEST

START_TEST(finds_wrong_stores)
{
    nd__kbuilder b;
    nd__kernel *k = start("fill", &b);
    int32_t y = nd__k_buffer(k, "y", ND_F32, ND__K_OUT, 4, 4);
    nd__k_store(&b, y, nd__k_at(1), nd__k_const(&b, F32(2), 1), 4, 2);
    float out[4];
    ck_fails(k, (void *[]){out}, "kernel fill: `store y[1], %0 stride 4`: element 5 of y[4] is outside");

    k = start("fill", &b);
    y = nd__k_buffer(k, "y", ND_F32, ND__K_OUT, 4, 4);
    nd__kval at = nd__k_const(&b, nd__k_type(ND_I64, 1), 4);
    nd__k_storex(&b, y, nd__k_at(0), nd__k_const(&b, F32(1), 1), at, 1, 4, 1, 1); /* outside the bound: dropped */
    nd__k_storex(&b, y, nd__k_at(0), nd__k_const(&b, F32(1), 1), at, 1, 5, 1, 1);
    ck_fails(k, (void *[]){out}, "kernel fill: `storex y[0 + %0], %1 where %0 < 5`: element 4 of y[4] is outside");

    k = start("huge", &b);
    y = nd__k_buffer(k, "y", ND_F32, ND__K_OUT, 4, 4);
    int32_t i = nd__k_for(&b, nd__k_at(2), nd__k_at(3), 1, 0, NULL, NULL);
    nd__k_store(&b, y, ONE_IV(i, INT64_MAX), nd__k_const(&b, F32(1), 1), 1, 1);
    nd__k_end_for(&b, NULL, NULL);
    ck_fails(k, (void *[]){out},
             "kernel huge: `store y[9223372036854775807 i0], %0`: an affine form overflows, at i0 = 2");
}
END_TEST

/* An index outside its bound reads nothing, but compiled code may look at index 0, so that has to be inside. */
START_TEST(finds_wrong_loadx)
{
    nd__kbuilder b;
    nd__kernel *k = start("pick", &b);
    int32_t x = nd__k_buffer(k, "x", ND_F32, ND__K_IN, 4, 4), y = nd__k_buffer(k, "y", ND_F32, ND__K_OUT, 1, 4);
    nd__kval at = nd__k_const(&b, nd__k_type(ND_I64, 1), -1);
    nd__k_store(&b, y, nd__k_at(0), nd__k_loadx(&b, x, nd__k_at(4), at, 1, 4, 1, 1, 1), 1, 1);
    float in[4] = {0}, out[1];
    ck_fails(k, (void *[]){in, out},
             "kernel pick: `%1 = loadx f32 x[4 + %0] where %0 < 4`: element 4 of x[4] is outside");
}
END_TEST

/* -- memory -------------------------------------------------------------------------------------------------------- */

START_TEST(memory_may_run_out)
{
    float x[6] = {0}, w[48] = {0}, bias[16] = {0}, h[32];
    int failures = 0;
    for (int n = 0;; n++) {
        failing_alloc_begin(n);
        nd__kernel *k = matmul_kernel(&arena, "matmul");
        const char *error = nd__k_eval(k, (void *[]){x, w, bias, h}, message, sizeof message);
        bool failed = failing_alloc_end();
        nd__arena_release(&arena);
        if (!failed) {
            ck_assert_ptr_null(error);
            break;
        }
        ck_assert_ptr_nonnull(error);
        failures++;
    }
#ifdef HAVE_WRAPPED_ALLOC
    ck_assert_int_gt(failures, 4);
#endif
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kernel_eval");
    TCase *tcase = tcase_create("kernel_eval");
    tcase_add_checked_fixture(tcase, begin, end);
    tcase_add_test(tcase, runs_matmul);
    tcase_add_test(tcase, masked_tails_and_strides);
    tcase_add_test(tcase, loaded_indices);
    tcase_add_test(tcase, transposes_and_trees);
    tcase_add_test(tcase, loops_carry);
    tcase_add_test(tcase, triangles_and_branches);
    tcase_add_test(tcase, bools_in_memory);
    tcase_add_test(tcase, finds_wrong_addresses);
    tcase_add_test(tcase, finds_wrong_stores);
    tcase_add_test(tcase, finds_wrong_loadx);
    tcase_add_test(tcase, memory_may_run_out);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
