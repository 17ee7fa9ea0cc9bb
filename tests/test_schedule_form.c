/* What the schedule makes of graphs: which kernels, in which order. That they compute the right bits is
 * test_schedule's.
 */
#include "nadir/nn.h"
#include "run_suite.h"

#include "compiler/schedule/schedule.h"
#include "schedule_check.h"

#include <check.h>
#include <string.h>

/* Whether the step writes into a buffer of that name. */
static bool writes(const nd__plan *plan, const nd__step *step, const char *name)
{
    const nd__kernel *k = plan->kernels[step->kernel];
    for (int i = 0, arg = 0; i < k->buffer_count; i++) {
        if (k->buffers[i].access == ND__K_TABLE)
            continue;
        if ((k->buffers[i].access == ND__K_OUT || k->buffers[i].access == ND__K_INOUT) &&
            strcmp(plan->buffers[step->args[arg].buffer].name, name) == 0)
            return true;
        arg++;
    }
    return false;
}

static int first_writer(const nd__plan *plan, const char *name)
{
    for (int i = 0; i < plan->steps.count; i++)
        if (writes(plan, &plan->steps.items[i], name))
            return i;
    ck_abort_msg("nothing writes %s", name);
    return -1;
}

/* The gradients of a layer are used up before those of the layer below are there, though what all updates wait for, the
 * rate, is made last. */
START_TEST(updates_come_early)
{
    nd_module *m = nd_module_create("step");
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(256, 96)), *w[3], *b[3], *grads[6], *h = x;
    static const char *const names[2][3] = {{"w0", "w1", "w2"}, {"b0", "b1", "b2"}};
    for (int i = 0; i < 3; i++) {
        w[i] = nd_variable(m, names[0][i], ND_F32, ND_SHAPE(96, 96), nd_zeros());
        b[i] = nd_variable(m, names[1][i], ND_F32, ND_SHAPE(96), nd_zeros());
        h = nd_tanh(nd_add(nd_matmul(h, w[i]), b[i]));
    }
    nd_value *all[] = {w[0], w[1], w[2], b[0], b[1], b[2]};
    nd_gradients(nd_sum(h, ND_ALL_AXES, false), 6, all, grads);
    nd_function(m, "f", ND_VALUES(x), ND_VALUES());
    nd_value *rate = nd_sqrt(nd_variable(m, "rate", ND_F32, ND_SCALAR, nd_zeros()));
    for (int i = 0; i < 6; i++)
        nd_assign(m->functions[0], all[i], nd_sub(all[i], nd_mul(rate, grads[i])));
    nd__plan *plan = schedule_plan(m);
    ck_assert_int_lt(first_writer(plan, "w2"), first_writer(plan, "w1"));
    ck_assert_int_lt(first_writer(plan, "b2"), first_writer(plan, "w1"));
    ck_assert_int_lt(first_writer(plan, "w1"), first_writer(plan, "w0"));
    ck_assert_int_lt(first_writer(plan, "b1"), first_writer(plan, "b0"));
    nd__plan_destroy(plan);
}
END_TEST

/* Loads and stores of a block whose lanes lie apart from each other. */
static int apart(const nd__kblock *block)
{
    int count = 0;
    for (const nd__kinst *i = block->first; i; i = i->next) {
        if (i->addr && i->op != ND__K_index)
            count += i->type.lanes > 1 && i->addr->lane_stride != 0 && i->addr->lane_stride != 1;
        count += apart(&i->body) + apart(&i->other);
    }
    return count;
}

/* Fetches of a buffer, by name. */
static int fetches(const nd__kernel *k, const nd__kblock *block, const char *name)
{
    int count = 0;
    for (const nd__kinst *i = block->first; i; i = i->next)
        count += (i->op == ND__K_fetch && strcmp(k->buffers[i->addr->buffer].name, name) == 0) +
                 fetches(k, &i->body, name) + fetches(k, &i->other, name);
    return count;
}

/* What is read and written after the sums of a tile is fetched while they are made, and the rows of a large operand;
 * what a few steps would not hide is not. */
START_TEST(products_fetch_ahead)
{
    for (int depth = 32; depth <= 1024; depth *= 32) {
        nd_module *m = nd_module_create("product");
        nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(96, depth)), *w = nd_input(m, "w", ND_F32, ND_SHAPE(depth, 80));
        nd_value *bias = nd_input(m, "bias", ND_F32, ND_SHAPE(80)), *r = nd_input(m, "r", ND_F32, ND_SHAPE(96, 80));
        nd_function(m, "f", ND_VALUES(x, w, bias, r), ND_VALUES(nd_add(r, nd_add(nd_matmul(x, w), bias))));
        nd__plan *plan = schedule_checked("fetches", m);
        const nd__kernel *k = plan->kernels[0];
        ck_assert_int_eq(plan->kernel_count, 1);
        ck_assert_int_eq(fetches(k, &k->body, "r") > 0, depth > 32);
        ck_assert_int_eq(fetches(k, &k->body, "x") > 0, depth > 32);
        ck_assert_int_eq(fetches(k, &k->body, "bias") + fetches(k, &k->body, "w"), 0);
        nd__plan_destroy(plan);
    }
}
END_TEST

/* Loops that fetch and then sum, turn by turn. */
static int sums_in_parts(const nd__kblock *block)
{
    int count = 0;
    bool fetched = false;
    for (const nd__kinst *i = block->first; i; i = i->next) {
        count += fetched && i->op == ND__K_for && i->arg_count > 0;
        fetched |= i->op == ND__K_fetch;
        count += sums_in_parts(&i->body);
    }
    return count;
}

/* A row at a time while a part of the sums is made: parts that k is a multiple of and parts that it is not, fewer than
 * rows, too. */
START_TEST(products_fetch_row_by_row)
{
    static const int64_t sizes[][3] = {{96, 64, 80}, {5, 65, 300}, {16, 67, 16}, {23, 100, 40}, {7, 130, 64}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const int64_t rows = sizes[i][0], depth = sizes[i][1], columns = sizes[i][2];
        nd_module *m = nd_module_create("product");
        nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(rows, depth));
        nd_value *w = nd_input(m, "w", ND_F32, ND_SHAPE(depth, columns));
        nd_function(m, "f", ND_VALUES(x, w), ND_VALUES(nd_matmul(x, w)));
        nd__plan *plan = schedule_checked("parts of sums", m);
        ck_assert_int_gt(sums_in_parts(&plan->kernels[0]->body), 0);
        nd__plan_destroy(plan);
    }
}
END_TEST

/* Of an operand whose rows lie side by side, as in the gradient of a weight, the next line is fetched: one in each step
 * of a tile of four rows, none where the operand is a small part of the second-level cache. */
START_TEST(products_fetch_lines)
{
    for (int rows = 32; rows <= 512; rows *= 16) {
        nd_module *m = nd_module_create("product");
        nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(768, rows)), *y = nd_input(m, "y", ND_F32, ND_SHAPE(768, 128));
        nd_function(m, "f", ND_VALUES(x, y), ND_VALUES(nd_matmul(nd_transpose(x, ND_ALL_AXES), y)));
        nd__plan *plan = schedule_checked("fetches", m);
        const nd__kernel *k = plan->kernels[0];
        ck_assert_int_eq(plan->kernel_count, 1);
        ck_assert_int_eq(fetches(k, &k->body, "x"), rows > 32);
        ck_assert_int_eq(fetches(k, &k->body, "y"), 0);
        nd__plan_destroy(plan);
    }
}
END_TEST

static int scratch_rows(const nd__kernel *k)
{
    int count = 0;
    for (int i = 0; i < k->buffer_count; i++)
        count += strcmp(k->buffers[i].name, "row") == 0;
    return count;
}

static int64_t step_of_rows(const nd__kblock *block)
{
    for (const nd__kinst *i = block->first; i; i = i->next)
        if (i->op == ND__K_for && i->step < 16)
            return i->step;
    return 0;
}

/* Stores one directly after the other. */
static int stores_together(const nd__kblock *block)
{
    int count = 0;
    for (const nd__kinst *i = block->first; i; i = i->next)
        count += (i->op == ND__K_store && i->next && i->next->op == ND__K_store) + stores_together(&i->body) +
                 stores_together(&i->other);
    return count;
}

/* Long rows are walked in pairs where they are pairs and the cache has room for two; what a later pass has no use for
 * makes room for what it keeps; rows that memory sends, a page or more, are fetched a pair ahead; both are read before
 * one is stored. */
START_TEST(long_rows_in_pairs)
{
    static const struct {
        int64_t rows, length;
        int step;
        bool fetches;
    } cases[] = {
        {6, 256, 2, false}, {7, 256, 1, false}, {6, 4096, 1, false}, {4096, 128, 2, false}, {512, 1024, 2, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nd_module *m = nd_module_create("rows");
        nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(cases[i].rows, cases[i].length)), *y = x;
        for (int k = 0; k < 3; k++)
            y = nd_softmax(nd_tanh(y), -1);
        nd_function(m, "f", ND_VALUES(x), ND_VALUES(y));
        nd__plan *plan = schedule_plan(m);
        const nd__kernel *k = plan->kernels[0];
        ck_assert_int_eq(plan->kernel_count, 1);
        ck_assert_int_eq(scratch_rows(k), 1);
        ck_assert_int_eq(step_of_rows(&k->body), cases[i].step);
        ck_assert_int_eq(stores_together(&k->body) > 0, cases[i].step > 1);
        ck_assert_int_eq(fetches(k, &k->body, "x") > 0, cases[i].fetches);
        nd__plan_destroy(plan);
    }
}
END_TEST

/* Loops beside each other, over vectors, that sum. */
static int sums_over(const nd__kblock *block)
{
    int count = 0;
    for (const nd__kinst *i = block->first; i; i = i->next)
        count += (i->op == ND__K_for && i->arg_count > 0) + sums_over(&i->body);
    return count;
}

/* A pass that computes more than it waits is over both rows, too, even if the row's first read of something is there:
 * here an input. The other pass that reads one is over one row after the other. */
START_TEST(busy_passes_in_pairs)
{
    nd_module *m = nd_module_create("rows");
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(64, 1024)), *t = nd_input(m, "t", ND_F32, ND_SHAPE(64, 1024));
    nd_value *e = nd_exp(nd_sub(x, nd_mean(x, ND_AXES(-1), true)));
    nd_function(m, "f", ND_VALUES(x, t), ND_VALUES(nd_sum(nd_mul(e, t), ND_AXES(-1), false)));
    nd__plan *plan = schedule_checked("busy", m);
    const nd__kernel *k = plan->kernels[0];
    ck_assert_int_eq(plan->kernel_count, 1);
    ck_assert_int_eq(sums_over(&k->body), 2 + 1);
    nd__plan_destroy(plan);
}
END_TEST

/* Rows of few elements go through the lanes in transposed blocks. */
START_TEST(short_rows_are_turned)
{
    nd_module *m = nd_module_create("rows");
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(12, 64, 40));
    nd_function(m, "f", ND_VALUES(x), ND_VALUES(nd_softmax(x, -1)));
    nd__plan *plan = schedule_plan(m);
    ck_assert_int_eq(plan->kernel_count, 1);
    ck_assert_int_eq(apart(&plan->kernels[0]->body), 0);
    nd__plan_destroy(plan);
}
END_TEST

/* A convolution, both its gradients and pools over much data are work for several threads. */
START_TEST(windows_run_in_chunks)
{
    nd_module *m = nd_module_create("windows");
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(32, 40, 40, 16)), *grads[2];
    nd_value *w = nd_variable(m, "w", ND_F32, ND_SHAPE(3, 3, 16, 32), nd_zeros());
    nd_value *y = nd_max_pool2d(nd_conv2d(nd_sin(x), w, (&(nd_conv_options){.same = true})),
                                (&(nd_pool_options){.window = {2, 2}}));
    nd_gradients(nd_sum(y, ND_ALL_AXES, false), 2, (nd_value *[]){x, w}, grads);
    nd_function(m, "f", ND_VALUES(x), ND_VALUES(grads[0], grads[1]));
    nd__plan *plan = schedule_plan(m);
    int windows = 0;
    for (int i = 0; i < plan->steps.count; i++) {
        const nd__step *step = &plan->steps.items[i];
        if (!strstr(step->label, "conv2d") && !strstr(step->label, "max_pool"))
            continue;
        ck_assert_msg(step->chunks > 1 && step->chunks % 2 == 0, "%s: %d chunks", step->label, step->chunks);
        windows++;
    }
    ck_assert_int_ge(windows, 5);
    nd__plan_destroy(plan);
}
END_TEST

/* Multiply-adds of a block with `lanes` lanes, loads and stores of fewer than all lanes. */
static void count_lanes(const nd__kblock *block, int lanes, int *full, int *partial)
{
    for (const nd__kinst *i = block->first; i; i = i->next) {
        *full += i->op == ND__K_fma && i->type.lanes == lanes;
        *partial += i->addr && i->op != ND__K_index && i->addr->count < i->type.lanes;
        count_lanes(&i->body, lanes, full, partial);
        count_lanes(&i->other, lanes, full, partial);
    }
}

/* Where channels do not fill the lanes, images do, both ways, with what is elementwise behind. */
START_TEST(images_fill_lanes)
{
    nd_module *m = nd_module_create("images");
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(32, 12, 12, 6)),
             *y = nd_input(m, "y", ND_F32, ND_SHAPE(32, 8, 8, 3));
    nd_value *w = nd_variable(m, "w", ND_F32, ND_SHAPE(5, 5, 6, 3), nd_zeros());
    nd_value *forward = nd_relu(nd_add(nd_conv2d(x, w, NULL), y));
    nd_value *back = nd_relu(nd_conv2d_transpose(y, w, NULL));
    nd_function(m, "f", ND_VALUES(x, y), ND_VALUES(forward, back));
    nd__plan *plan = schedule_plan(m);
    int full = 0, partial = 0;
    for (int i = 0; i < plan->kernel_count; i++)
        count_lanes(&plan->kernels[i]->body, 16, &full, &partial);
    ck_assert_int_gt(full, 0);
    ck_assert_int_eq(partial, 0);
    nd__plan_destroy(plan);
}
END_TEST

/* A layer norm's gradients: one kernel sums, for the gain, the bias and the loss, what it never stores. */
START_TEST(what_is_summed_is_not_stored)
{
    nd_module *m = nd_module_create("norm");
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(128, 256)), *t = nd_input(m, "t", ND_F32, ND_SHAPE(128, 256));
    nd_value *gain = nd_input(m, "gain", ND_F32, ND_SHAPE(256)), *bias = nd_input(m, "bias", ND_F32, ND_SHAPE(256));
    nd_value *centred = nd_sub(x, nd_mean(x, ND_AXES(-1), true));
    nd_value *variance = nd_mean(nd_mul(centred, centred), ND_AXES(-1), true);
    nd_value *y = nd_add(nd_mul(nd_div(centred, nd_sqrt(nd_add(variance, nd_const(m, 1e-5)))), gain), bias);
    nd_value *loss = nd_sum(nd_mul(nd_softmax(y, -1), t), ND_ALL_AXES, false), *grads[3];
    nd_gradients(loss, 3, (nd_value *[]){x, gain, bias}, grads);
    nd_function(m, "f", ND_VALUES(x, t, gain, bias), ND_VALUES(loss, grads[0], grads[1], grads[2]));
    nd__plan *plan = schedule_plan(m);
    ck_assert_int_eq(plan->steps.count, 4); /* the last three join blocks */
    ck_assert_int_lt(plan->arena_size, 16 * 1024);
    ck_assert_int_gt(plan->steps.items[0].chunks, 1);
    nd__plan_destroy(plan);
}
END_TEST

/* So are the blocks of one long sum, by as many threads as there are. */
START_TEST(one_long_sum_in_chunks)
{
    nd_module *m = nd_module_create("sum");
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(1 << 18));
    nd_function(m, "f", ND_VALUES(x), ND_VALUES(nd_sum(nd_tanh(x), ND_ALL_AXES, false)));
    nd__plan *plan = schedule_plan(m);
    ck_assert_int_eq(plan->steps.count, 2);
    ck_assert_int_gt(plan->steps.items[0].chunks, 1);
    nd__plan_destroy(plan);
}
END_TEST

static int count_labels(const nd__plan *plan, const char *part)
{
    int count = 0;
    for (int i = 0; i < plan->steps.count; i++)
        count += strstr(plan->steps.items[i].label, part) != NULL;
    return count;
}

/* A pool's gradient goes to the kernel of the convolution before it without the zeros between, and through relu as a
 * choice among maxima. */
START_TEST(pools_keep_gradients_small)
{
    nd_module *m = nd_module_create("pools");
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(16, 12, 12, 6));
    nd_value *w = nd_variable(m, "w", ND_F32, ND_SHAPE(5, 5, 6, 16), nd_zeros());
    nd_value *y = nd_max_pool2d(nd_relu(nd_conv2d(x, w, NULL)), (&(nd_pool_options){.window = {2, 2}}));
    nd_function(m, "f", ND_VALUES(x), ND_VALUES(nd_gradient(nd_sum(nd_mul(y, y), ND_ALL_AXES, false), w)));
    nd__plan *plan = schedule_plan(m);
    ck_assert_int_eq(count_labels(plan, "conv2d_dw_pooled"), 1);
    ck_assert_int_eq(count_labels(plan, "max_pool_spread"), 0);
    for (int i = 0; i < plan->buffer_count; i++) /* no mask */
        ck_assert(plan->buffers[i].dtype != ND_BOOL);
    nd__plan_destroy(plan);
}
END_TEST

static bool has_pool_kernel(const nd__plan *plan)
{
    for (int i = 0; i < plan->steps.count; i++)
        if (strncmp(plan->steps.items[i].label, "max_pool", 8) == 0 &&
            strncmp(plan->steps.items[i].label, "max_pool_spread", 15) != 0)
            return true;
    return false;
}

/* A pool is found in the tiles of the convolution that nothing else reads, if its windows stand side by side: with
 * channels in the lanes and with images, places left over, indices and without, and elementwise on both sides. */
START_TEST(pools_are_found_in_tiles)
{
    const struct {
        const char *what;
        nd_shape x, w;
        nd_conv_options conv;
        nd_pool_options pool;
        bool apart;
    } cases[] = {
        {"channels", ND_SHAPE(4, 10, 11, 3), ND_SHAPE(3, 3, 3, 16), {{0}}, {.window = {2, 2}}, false},
        {"tails", ND_SHAPE(3, 8, 13, 2), ND_SHAPE(2, 2, 2, 35), {{0}}, {.window = {2, 3}}, false},
        {"images", ND_SHAPE(32, 9, 12, 1), ND_SHAPE(3, 3, 1, 5), {{0}}, {.window = {2, 2}}, false},
        {"wide", ND_SHAPE(16, 7, 9, 2), ND_SHAPE(1, 2, 2, 3), {{0}}, {.window = {1, 4}}, false},
        {"strides", ND_SHAPE(2, 14, 15, 3), ND_SHAPE(3, 2, 3, 8), {.stride = {2, 2}}, {.window = {3, 3}}, false},
        {"sides",
         ND_SHAPE(2, 8, 8, 4),
         ND_SHAPE(3, 3, 4, 16),
         {.low = {0, 1}, .high = {0, 1}},
         {.window = {2, 2}},
         false},
        {"groups", ND_SHAPE(2, 9, 9, 4), ND_SHAPE(3, 3, 2, 12), {.groups = 2}, {.window = {2, 2}}, false},
        {"each", ND_SHAPE(2, 9, 9, 18), ND_SHAPE(3, 3, 1, 18), {.groups = 18}, {.window = {2, 2}}, false},
        {"rows",
         ND_SHAPE(2, 8, 8, 4),
         ND_SHAPE(3, 3, 4, 16),
         {.low = {1, 0}, .high = {1, 0}},
         {.window = {2, 2}},
         true},
        {"overlap", ND_SHAPE(2, 8, 8, 4), ND_SHAPE(3, 3, 4, 16), {{0}}, {.window = {2, 2}, .stride = {1, 1}}, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int reads = 0; reads < 3; reads++) {
            nd_module *m = nd_module_create("m");
            nd_value *x = nd_input(m, "x", ND_F32, cases[i].x), *w = nd_input(m, "w", ND_F32, cases[i].w);
            nd_value *b = nd_input(m, "b", ND_F32, ND_SHAPE(cases[i].w.dims[3]));
            nd_value *y = nd_relu(nd_add(nd_conv2d(x, w, &cases[i].conv), b));
            nd_value *pooled = nd_tanh(nd_max_pool2d(y, &cases[i].pool)), *grads[2] = {y, y};
            if (reads == 1)
                nd_gradients(nd_sum(pooled, ND_ALL_AXES, false), 2, (nd_value *[]){w, x}, grads);
            nd_function(m, "f", ND_VALUES(x, w, b),
                        reads == 0 ? ND_VALUES(pooled) : ND_VALUES(pooled, grads[0], grads[1]));
            nd__plan *plan = schedule_checked(cases[i].what, m);
            ck_assert_msg(has_pool_kernel(plan) == (cases[i].apart || reads == 2), "%s, %d", cases[i].what, reads);
            nd__plan_destroy(plan);
        }
}
END_TEST

/* Instructions of that op in a block. */
static int count_op(const nd__kblock *block, nd__kop op)
{
    int count = 0;
    for (const nd__kinst *i = block->first; i; i = i->next)
        count += (i->op == op) + count_op(&i->body, op) + count_op(&i->other, op);
    return count;
}

/* Whether a loop that sums, or none that does, multiplies vectors. */
static bool multiplies(const nd__kblock *block, bool sums)
{
    bool any = false;
    for (const nd__kinst *i = block->first; i; i = i->next) {
        const bool innermost = i->op == ND__K_for && count_op(&i->body, ND__K_for) == 0;
        any |= innermost && (i->arg_count > 0) == sums && count_op(&i->body, ND__K_mul) > 0;
        any |= multiplies(&i->body, sums);
    }
    return any;
}

/* What is kept for a later pass is what its own pass needs, too; the last step is left to the pass that stores. */
START_TEST(last_steps_come_late)
{
    for (int wanted = 0; wanted < 2; wanted++) {
        nd_module *m = nd_module_create("rows");
        nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(6, 96)), *z = nd_input(m, "z", ND_F32, ND_SHAPE(6, 96));
        nd_value *sum = nd_sum(x, ND_AXES(-1), true), *ratio = nd_div(x, z), *scaled = nd_mul(ratio, sum);
        nd_value *total = nd_sum(wanted ? scaled : nd_add(ratio, sum), ND_AXES(-1), true);
        nd_function(m, "f", ND_VALUES(x, z), ND_VALUES(nd_sub(scaled, total)));
        nd__plan *plan = schedule_checked("last steps", m);
        ck_assert_int_eq(plan->kernel_count, 1);
        ck_assert_int_eq(multiplies(&plan->kernels[0]->body, true), wanted);
        ck_assert_int_eq(multiplies(&plan->kernels[0]->body, false), !wanted);
        nd__plan_destroy(plan);
    }
}
END_TEST

static int count_in_kernels(nd_module *m, nd__kop op)
{
    nd__plan *plan = schedule_plan(m);
    int count = 0;
    for (int i = 0; i < plan->kernel_count; i++)
        count += count_op(&plan->kernels[i]->body, op);
    nd__plan_destroy(plan);
    return count;
}

/* x W, and much that follows it, with what belongs to a row, to a column, and to both: with an elementary function of
 * each element, or without one. */
static nd_module *long_epilogue(int64_t rows, int64_t columns, bool function)
{
    nd_module *m = nd_module_create("epilogue");
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(rows, 48)), *row = nd_input(m, "row", ND_F32, ND_SHAPE(rows, 1));
    nd_value *w = nd_input(m, "w", ND_F32, ND_SHAPE(48, columns)), *b = nd_input(m, "b", ND_F32, ND_SHAPE(columns));
    nd_value *v = nd_variable(m, "v", ND_F32, ND_SHAPE(rows, columns), nd_zeros());
    nd_value *y = nd_add(nd_matmul(x, w), b), *z = nd_mul(function ? nd_tanh(y) : y, nd_exp(row));
    nd_function(m, "f", ND_VALUES(x, row, w, b), ND_VALUES(z));
    nd_assign(m->functions[0], v, nd_add(v, nd_sqrt(nd_mul(z, z))));
    return m;
}

/* What follows a product and is long is written once, in loops over the tile, and once more for columns that do not
 * fill the lanes; elementary functions, of two vectors abreast; what is short, for each register. */
START_TEST(long_epilogues_are_loops)
{
    ck_assert_int_eq(count_in_kernels(long_epilogue(32, 128, false), ND__K_sqrt), 1);
    ck_assert_int_eq(count_in_kernels(long_epilogue(32, 128, true), ND__K_sqrt), 2);
    static const int64_t sizes[][2] = {{13, 37}, {4, 70}, {5, 16}, {2, 5}, {6, 64}, {9, 90}};
    for (int i = 0; i < 12; i++)
        nd__plan_destroy(schedule_checked("a long epilogue", long_epilogue(sizes[i / 2][0], sizes[i / 2][1], i % 2)));

    nd_module *m = nd_module_create("short");
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(32, 48)), *w = nd_input(m, "w", ND_F32, ND_SHAPE(48, 128));
    nd_function(m, "f", ND_VALUES(x, w), ND_VALUES(nd_abs(nd_matmul(x, w))));
    ck_assert_int_eq(count_in_kernels(m, ND__K_abs), 16);
}
END_TEST

/* A function of many elements is computed for two vectors abreast, where they are pairs; square roots are not. */
START_TEST(functions_abreast)
{
    for (int i = 0; i < 8; i++) {
        const int64_t columns = i & 1 ? 16 : 96;
        nd_module *m = nd_module_create("map");
        nd_value *x = nd_input(m, "x", i & 4 ? ND_F64 : ND_F32, ND_SHAPE(3, 5, columns)), *y = nd_at(x, ":, ::-1");
        nd_value *z = nd_div(i & 2 ? nd_tanh(y) : nd_sqrt(y), x);
        nd_function(m, "f", ND_VALUES(x), ND_VALUES(z, nd_mul(z, z)));
        nd__plan *plan = schedule_checked("a function", m);
        ck_assert_int_eq(plan->kernel_count, 1);
        ck_assert_int_eq(count_op(&plan->kernels[0]->body, ND__K_store), i & 2 && i != 3 ? 4 : 2);
        nd__plan_destroy(plan);
    }
}
END_TEST

/* Where one instruction multiplies by a power of two, vectors of f32 use it. */
START_TEST(powers_of_two)
{
    for (int i = 0; i < 3; i++) {
        nd_module *m = nd_module_create("map");
        nd_value *x = nd_input(m, "x", i == 1 ? ND_F64 : ND_F32, i == 2 ? ND_SCALAR : ND_SHAPE(40));
        nd_function(m, "f", ND_VALUES(x), ND_VALUES(nd_exp(x)));
        ck_assert_int_eq(count_in_kernels(m, ND__K_scale) > 0, i == 0);
    }
}
END_TEST

/* Tiles divide the rows where that costs hardly anything: what is at the edges is code of its own. */
START_TEST(few_tiles_at_edges)
{
    nd_module *m = nd_module_create("edges");
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(120, 32)), *w = nd_input(m, "w", ND_F32, ND_SHAPE(32, 84));
    nd_function(m, "f", ND_VALUES(x, w), ND_VALUES(nd_matmul(x, w)));
    ck_assert_int_le(count_in_kernels(m, ND__K_fma), 40);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("schedule_form");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 300);
    tcase_add_test(all, updates_come_early);
    tcase_add_test(all, products_fetch_ahead);
    tcase_add_test(all, products_fetch_row_by_row);
    tcase_add_test(all, products_fetch_lines);
    tcase_add_test(all, long_rows_in_pairs);
    tcase_add_test(all, busy_passes_in_pairs);
    tcase_add_test(all, last_steps_come_late);
    tcase_add_test(all, short_rows_are_turned);
    tcase_add_test(all, windows_run_in_chunks);
    tcase_add_test(all, images_fill_lanes);
    tcase_add_test(all, what_is_summed_is_not_stored);
    tcase_add_test(all, one_long_sum_in_chunks);
    tcase_add_test(all, pools_keep_gradients_small);
    tcase_add_test(all, pools_are_found_in_tiles);
    tcase_add_test(all, long_epilogues_are_loops);
    tcase_add_test(all, functions_abreast);
    tcase_add_test(all, powers_of_two);
    tcase_add_test(all, few_tiles_at_edges);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
