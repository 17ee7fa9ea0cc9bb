/* Schedules: whatever is fused, tiled, ordered and placed, for whatever processor, every bit is the interpreter's. */
#include "nadir/nn.h"
#include "random_graph.h"
#include "random_op.h"
#include "run_suite.h"
#include "schedule_check.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>

START_TEST(every_op_on_random_shapes)
{
    char what[128];
    for (int op = 0; op < ND__OPS; op++)
        for (int dtype = 0; dtype < ND_STRING; dtype++)
            for (uint64_t seed = 0; seed < 20 && random_op_takes((nd__op)op, (nd_dtype)dtype); seed++) {
                uint64_t state = seed * 7919 + (uint64_t)op * 31 + (uint64_t)dtype;
                nd_module *m = nd_module_create("random");
                random_op(m, (nd__op)op, (nd_dtype)dtype, &state);
                snprintf(what, sizeof what, "%s %s seed %" PRIu64, nd__ops[op].name, nd_dtype_name((nd_dtype)dtype),
                         seed);
                schedule_check(what, m, seed % 2, &state);
                nd_module_destroy(m);
            }
}
END_TEST

/* Sizes around those of vectors, tiles, chains; 0 and 1. */
START_TEST(random_graphs)
{
    static const int64_t rows[] = {2, 2, 2, 1, 0, 3, 5, 17, 33}, columns[] = {3, 3, 3, 1, 4, 16, 17, 9, 65};
    char what[64];
    for (uint64_t seed = 0; seed < 500; seed++) {
        uint64_t state = seed;
        const size_t size = seed % (sizeof rows / sizeof *rows);
        nd_module *m = random_graph_of(rows[size], columns[size], &state);
        ck_assert_msg(nd_module_status(m) == ND_OK, "seed %" PRIu64 ": %s", seed, nd_module_error(m));
        snprintf(what, sizeof what, "graph seed %" PRIu64, seed);
        schedule_check(what, m, seed % 4 > 0, &state);
        nd_module_destroy(m);
    }
}
END_TEST

/* -- shapes that reach every tile, tail, pass and block
 * ---------------------------------------------------------------- */

static nd_value *input(nd_module *m, const char *name, nd_shape shape)
{
    return nd_input(m, name, ND_F32, shape);
}

static void compare_and_destroy(const char *what, nd_module *m)
{
    uint64_t state = 7;
    ck_assert_msg(nd_module_status(m) == ND_OK, "%s: %s", what, nd_module_error(m));
    schedule_check(what, m, true, &state);
    nd_module_destroy(m);
}

START_TEST(sums_of_every_length)
{
    static const int64_t lengths[] = {0, 1, 2, 31, 63, 64, 65, 95, 96, 128, 200, 4095, 4096, 4097, 8200};
    static const nd_dtype dtypes[] = {ND_F32, ND_F64, ND_I64, ND_U8};
    char what[64];
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        for (size_t d = 0; d < sizeof dtypes / sizeof *dtypes; d++) {
            const int64_t n = lengths[i], rows = n > 1000 ? 2 : 5, columns = n > 1000 ? 3 : 21;
            nd_module *m = nd_module_create("sums");
            nd_value *x = nd_input(m, "x", dtypes[d], ND_SHAPE(rows, n)),
                     *y = nd_input(m, "y", dtypes[d], ND_SHAPE(n, columns));
            nd_value *z = nd_input(m, "z", dtypes[d], ND_SHAPE(2, n, 3));
            nd_value *row = nd_sum(x, ND_AXES(1), false), *column = nd_reduce_max(y, ND_AXES(0), false);
            nd_function(m, "f", ND_VALUES(x, y, z),
                        ND_VALUES(row, column, nd_sum(nd_mul(y, y), ND_AXES(0), false),
                                  nd_reduce_min(x, ND_AXES(1), true), nd_sum(z, ND_AXES(0, 2), false),
                                  nd_sum(z, ND_ALL_AXES, false), nd_add(nd_sum(nd_mul(x, x), ND_AXES(1), false), row)));
            snprintf(what, sizeof what, "sums of %d %s", (int)n, nd_dtype_name(dtypes[d]));
            compare_and_destroy(what, m);
        }
}
END_TEST

/* Softmax, its gradient, normalisation: several passes, values kept between them. */
START_TEST(rows_in_passes)
{
    static const int64_t lengths[] = {2, 10, 17, 64, 65, 100, 130};
    char what[64];
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        for (int rank = 1; rank <= 3; rank++) {
            const int64_t n = lengths[i], dims[] = {3, 19 + (int64_t)i % 2, n};
            nd_module *m = nd_module_create("rows");
            nd_shape shape = nd_shape_of((size_t)rank, dims + 3 - rank);
            nd_value *x = input(m, "x", shape), *t = input(m, "t", shape), *gain = input(m, "gain", ND_SHAPE(n));
            nd_axes last = ND_AXES(-1);
            nd_value *soft = nd_softmax(x, -1), *centred = nd_sub(x, nd_mean(x, last, true));
            nd_value *variance = nd_mean(nd_mul(centred, centred), last, true);
            nd_value *scale = nd_div(nd_const(m, 1), nd_sqrt(nd_add(variance, nd_const(m, 1e-5))));
            nd_value *normal = nd_mul(nd_mul(centred, scale), gain);
            nd_value *loss = nd_sum(nd_mul(nd_softmax(normal, -1), t), ND_ALL_AXES, false), *grads[2];
            nd_gradients(loss, 2, (nd_value *[]){x, gain}, grads);
            nd_function(m, "f", ND_VALUES(x, t, gain),
                        ND_VALUES(soft, normal, nd_logsumexp(x, last, false), loss, grads[0], grads[1],
                                  nd_argmax(x, -1), nd_argmin(x, 0)));
            snprintf(what, sizeof what, "rows of %d, rank %d", (int)n, rank);
            compare_and_destroy(what, m);
        }
}
END_TEST

/* Enough rows of few elements that they are transposed on their way to the lanes: lengths and numbers of rows that fill
 * blocks and do not, rows apart from each other, elements of every size, values of one element a row. */
START_TEST(short_rows_in_blocks)
{
    static const int64_t lengths[] = {8, 16, 21, 64};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        for (int wide = 0; wide < 2; wide++) {
            const int64_t n = lengths[i], rows = (1 << 13) / n + (int64_t)i;
            nd_module *m = nd_module_create("rows");
            nd_value *x = nd_input(m, "x", wide ? ND_F64 : ND_F32, ND_SHAPE(2, rows, n + 3));
            nd_value *few = nd_input(m, "few", ND_U8, ND_SHAPE(2, rows, n));
            nd_value *part = nd_at(x, ":, :, 1:-2"), *bias = nd_cast(few, x->dtype);
            nd_value *soft = nd_softmax(nd_add(part, bias), -1), *sum = nd_sum(part, ND_AXES(-1), true);
            nd_function(m, "f", ND_VALUES(x, few),
                        ND_VALUES(soft, nd_mul(part, sum), nd_reduce_max(part, ND_AXES(-1), false), nd_lt(part, sum),
                                  nd_cast(nd_mul(soft, sum), wide ? ND_F32 : ND_F64)));
            compare_and_destroy("short rows in blocks", m);
        }
}
END_TEST

/* Long sums of what a kernel computes, made in two steps: of columns, of everything, both beside rows; blocks that rows
 * fill, share, exceed, and do not fill; the largest and the smallest; what follows a sum; integers. */
START_TEST(sums_in_blocks)
{
    static const int64_t shapes[][4] = {
        /* rank */
        {2, 65, 128},    {2, 100, 96},    {2, 128, 256}, {2, 70, 1024}, {2, 3, 4096},
        {2, 2, 8192},    {2, 130, 100},   {1, 8192},     {1, 9001},     {3, 1, 67, 128},
        {3, 66, 2, 128}, {3, 5, 16, 512}, {2, 128, 100}, {2, 8, 1024},  {2, 6, 2048},
    };
    static const nd_dtype dtypes[] = {ND_F32, ND_F64, ND_I32, ND_U8};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (size_t d = 0; d < (i < 4 ? sizeof dtypes / sizeof *dtypes : 1); d++) {
            nd_module *m = nd_module_create("sums");
            nd_shape shape = nd_shape_of((size_t)shapes[i][0], shapes[i] + 1);
            nd_value *x = nd_input(m, "x", dtypes[d], shape), *y = nd_input(m, "y", dtypes[d], shape);
            nd_axes first = ND_AXES(shape.rank == 3 && shape.dims[0] == 1), last = ND_AXES(-1);
            nd_value *z = nd_mul(nd_add(nd_mul(x, y), nd_max(x, y)), nd_sub(x, y)), *w = nd_mul(z, z);
            nd_value *row = nd_mul(nd_sub(z, nd_sum(z, last, true)), w);
            nd_value *all = nd_sum(z, ND_ALL_AXES, false);
            nd_function(m, "f", ND_VALUES(x, y),
                        ND_VALUES(w, nd_sum(z, first, false), all, nd_reduce_max(w, ND_ALL_AXES, false),
                                  nd_add(nd_reduce_min(w, first, false), all)));
            nd_function(m, "g", ND_VALUES(x, y),
                        ND_VALUES(row, nd_sum(row, first, false), nd_mul(nd_sum(row, ND_ALL_AXES, false), all),
                                  nd_sum(nd_abs(row), first, false), nd_reduce_max(x, ND_ALL_AXES, false)));
            compare_and_destroy("sums in blocks", m);
        }
}
END_TEST

/* All transposes, batches, tails of tiles; bias, activation and an update behind; the lane order. */
START_TEST(products_of_every_shape)
{
    static const int64_t sizes[][3] = {{1, 1, 70},  {1, 8, 100}, {2, 4, 4200}, {3, 5, 7},    {4, 64, 3},
                                       {7, 70, 9},  {33, 17, 5}, {128, 10, 4}, {10, 128, 3}, {50, 130, 2},
                                       {64, 1, 20}, {1, 40, 12}, {1, 1, 5},    {4, 1, 8}};
    char what[64];
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int turn = 0; turn < 4; turn++)
            for (int batch = 0; batch < 2; batch++) {
                const int64_t rows = sizes[i][0], columns = sizes[i][1], inner = sizes[i][2];
                const bool ta = turn & 1, tb = turn & 2;
                nd_module *m = nd_module_create("products");
                nd_value *a = batch ? input(m, "a", ta ? ND_SHAPE(3, inner, rows) : ND_SHAPE(3, rows, inner))
                                    : input(m, "a", ta ? ND_SHAPE(inner, rows) : ND_SHAPE(rows, inner));
                nd_value *b = input(m, "b", tb ? ND_SHAPE(columns, inner) : ND_SHAPE(inner, columns));
                nd_value *bias = input(m, "bias", ND_SHAPE(columns)), *scale = input(m, "scale", ND_SHAPE(rows, 1));
                nd_value *w = nd_variable(m, "w", ND_F32, ND_SHAPE(rows, columns), nd_zeros());
                if (batch)
                    b = nd_broadcast(
                        b, nd_shape_of(3, (int64_t[]){3, nd_value_shape(b).dims[0], nd_value_shape(b).dims[1]}));
                nd_value *y = nd_matmul_t(a, ta, b, tb), *z = nd_relu(nd_mul(nd_add(y, bias), scale));
                nd_function *f =
                    nd_function(m, "f", ND_VALUES(a, batch ? b->node->inputs[0] : b, bias, scale), ND_VALUES(y, z));
                nd_value *g = batch ? nd_sum(y, ND_AXES(0), false) : y;
                nd_assign(f, w, nd_sub(w, nd_mul(nd_const(m, 0.5), g)));
                snprintf(what, sizeof what, "%d x %d x %d, turned %d, batch %d", (int)rows, (int)columns, (int)inner,
                         turn, batch);
                compare_and_destroy(what, m);
            }
}
END_TEST

/* What overwrites what it, or another, still reads. */
START_TEST(updates_in_place)
{
    nd_module *m = nd_module_create("updates");
    nd_value *x = input(m, "x", ND_SHAPE(40, 6));
    nd_value *a = nd_variable(m, "a", ND_F32, ND_SHAPE(6, 6), nd_zeros()),
             *b = nd_variable(m, "b", ND_F32, ND_SHAPE(6, 6), nd_zeros());
    nd_value *c = nd_variable(m, "c", ND_F32, ND_SHAPE(6, 6), nd_zeros()),
             *d = nd_variable(m, "d", ND_F32, ND_SHAPE(6), nd_zeros());
    nd_function *f = nd_function(m, "f", ND_VALUES(x), ND_VALUES(nd_matmul(x, a), nd_transpose(c, ND_ALL_AXES), d));
    nd_assign(f, a, nd_add(a, nd_matmul_t(x, true, x, false))); /* beside a product that reads it */
    nd_assign(f, b, c);                                         /* exchanged */
    nd_assign(f, c, b);
    nd_assign(f, d, nd_at(nd_add(d, nd_sum(a, ND_AXES(0), false)), "::-1")); /* moved */
    nd_function *g = nd_function(m, "g", ND_VALUES(), ND_VALUES(nd_sum(a, ND_ALL_AXES, false)));
    nd_assign(g, a, nd_transpose(a, ND_ALL_AXES));
    nd_assign(g, b, nd_div(a, nd_add(nd_sum(b, ND_AXES(1), true), nd_const(m, 1))));
    nd_assign(g, c, nd_matmul(c, c));
    nd_assign(g, d, d);
    compare_and_destroy("updates", m);
}
END_TEST

/* A whole training step, in both orders of its sizes. */
START_TEST(training_steps)
{
    static const int64_t sizes[][4] = {{5, 20, 12, 3}, {32, 64, 33, 10}, {17, 70, 130, 65}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const int64_t *n = sizes[i];
        nd_module *m = nd_module_create("step");
        nd_value *x = input(m, "x", ND_SHAPE(n[0], n[1])), *y = nd_input(m, "index", ND_I32, ND_SHAPE(n[0]));
        nd_value *w1 = nd_variable(m, "w1", ND_F32, ND_SHAPE(n[1], n[2]), nd_glorot_uniform());
        nd_value *b1 = nd_variable(m, "b1", ND_F32, ND_SHAPE(n[2]), nd_zeros());
        nd_value *w2 = nd_variable(m, "w2", ND_F32, ND_SHAPE(n[2], n[3]), nd_he_normal());
        nd_value *b2 = nd_variable(m, "b2", ND_F32, ND_SHAPE(n[3]), nd_random_uniform(-1, 1));
        nd_value *h = nd_relu(nd_add(nd_matmul(x, w1), b1));
        nd_value *loss = nd_cross_entropy(nd_add(nd_matmul(h, w2), b2), y), *weights[] = {w1, b1, w2, b2};
        nd_function *step = nd_function(m, "step", ND_VALUES(x, y), ND_VALUES(loss));
        nd_function *slow = nd_function(m, "slow", ND_VALUES(x, y), ND_VALUES(loss));
        nd_sgd(step, loss, 4, weights, nd_const(m, 0.1));
        nd_sgd_momentum(slow, loss, 4, weights, nd_const(m, 0.1), nd_const(m, 0.9));
        nd__init_function(m);
        compare_and_destroy("training step", m);
    }
    ck_assert_int_gt(schedule_check_chunked(), 10);
}
END_TEST

/* Convolutions whose channels fill no, some, all lanes; borders on all sides; a bias, an activation, the sum of both
 * ways and an update behind them; pools in between, of which the gradient shares the kernel. */
START_TEST(convolutions_of_every_kind)
{
    static const struct {
        int64_t size[2], in, out, kernel[2];
        nd_conv_options options;
        int64_t batch; /* 0: 3 */
    } kinds[] = {
        {{9, 9}, 1, 6, {5, 5}, {.groups = 1}},
        {{6, 8}, 6, 16, {3, 3}, {.same = true}},
        {{7, 33}, 3, 17, {3, 3}, {.same = true, .stride = {2, 2}}},
        {{5, 30}, 16, 32, {1, 1}, {.stride = {2, 2}}},
        {{4, 40}, 20, 40, {2, 3}, {.low = {3, 1}, .high = {0, 5}, .stride = {1, 3}, .dilation = {1, 2}}},
        {{6, 7}, 18, 18, {3, 3}, {.same = true, .groups = 18}},
        {{6, 5}, 8, 12, {2, 2}, {.groups = 2, .stride = {3, 1}, .dilation = {2, 2}}},
        {{1, 64}, 70, 5, {1, 4}, {.same = true}},
        {{8, 9}, 1, 6, {5, 5}, {.groups = 1}, 32}, /* images in the lanes */
        {{5, 6}, 6, 3, {3, 3}, {.same = true}, 16},
        {{5, 9}, 3, 17, {3, 2}, {.low = {2, 1}, .high = {0, 3}, .stride = {2, 3}, .dilation = {1, 2}}, 16},
        {{3, 4}, 4, 10, {2, 2}, {.groups = 2}, 48},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const nd_conv_options *o = &kinds[i].options;
        const int64_t groups = o->groups ? o->groups : 1, in = kinds[i].in, out = kinds[i].out;
        nd_module *m = nd_module_create("conv");
        nd_value *x =
            input(m, "x", ND_SHAPE(kinds[i].batch ? kinds[i].batch : 3, kinds[i].size[0], kinds[i].size[1], in));
        nd_value *w = nd_variable(m, "w", ND_F32, ND_SHAPE(kinds[i].kernel[0], kinds[i].kernel[1], in / groups, out),
                                  nd_zeros()),
                 *b = nd_variable(m, "b", ND_F32, ND_SHAPE(out), nd_zeros());
        nd_value *y = nd_relu(nd_add(nd_conv2d(nd_sin(x), w, o), b));
        nd_shape shape = nd_value_shape(y);
        if (shape.dims[1] > 1 && shape.dims[2] > 1)
            y = nd_add(nd_max_pool2d(y, (&(nd_pool_options){.window = {2, 2}})),
                       nd_avg_pool2d(y, (&(nd_pool_options){.window = {3, 3}, .stride = {2, 2}, .low = {1, 1}})));
        nd_value *loss = nd_sum(nd_mul(y, y), ND_ALL_AXES, false), *grads[3];
        nd_gradients(loss, 3, (nd_value *[]){x, w, b}, grads);
        nd_function *f = nd_function(m, "step", ND_VALUES(x), ND_VALUES(loss, y, grads[0]));
        nd_assign(f, w, nd_sub(w, nd_mul(nd_const(m, 0.125), grads[1])));
        nd_assign(f, b, nd_sub(b, nd_mul(nd_const(m, 0.125), grads[2])));
        char what[32];
        snprintf(what, sizeof what, "convolution %d", (int)i);
        compare_and_destroy(what, m);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("schedule");
    TCase *random = tcase_create("random");
    tcase_set_timeout(random, 300);
    tcase_add_test(random, every_op_on_random_shapes);
    tcase_add_test(random, random_graphs);
    tcase_add_test(random, sums_of_every_length);
    tcase_add_test(random, rows_in_passes);
    tcase_add_test(random, short_rows_in_blocks);
    tcase_add_test(random, sums_in_blocks);
    tcase_add_test(random, products_of_every_shape);
    tcase_add_test(random, convolutions_of_every_kind);
    tcase_add_test(random, updates_in_place);
    tcase_add_test(random, training_steps);
    suite_add_tcase(suite, random);
    return run_suite(suite);
}
