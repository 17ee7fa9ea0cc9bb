/* The canonical form: what its header promises of every node, and that no bit changes. */
#include "compiler/passes/passes.h"
#include "compiler/schedule/canonical.h"
#include "golden.h"
#include "nadir/text.h"
#include "random_graph.h"
#include "random_op.h"
#include "run_suite.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *source_dir;

static void check_reduction(const char *what, const nd__node *n)
{
    const nd_shape *shape = &n->inputs[0]->shape;
    const nd__attr *axes = nd__get(n, ND__A_axes);
    ck_assert_msg(axes->count == 1, "%s: %d axes", what, axes->count);
    int64_t behind = 1;
    for (int i = (int)axes->ints[0] + 1; i < shape->rank; i++)
        behind *= shape->dims[i];
    ck_assert_msg(shape->dims[axes->ints[0]] >= 2, "%s: an axis of %d", what, (int)shape->dims[axes->ints[0]]);
    ck_assert_msg(axes->ints[0] == shape->rank - 1 || behind >= 2, "%s: nothing behind the axis", what);
}

static void check_product(const char *what, const nd__node *n)
{
    const nd_shape *shape = &n->results[0].shape;
    int64_t batch = 1;
    for (int i = 0; i < shape->rank - 2; i++)
        batch *= shape->dims[i];
    ck_assert_msg(shape->rank == 2 || batch >= 2, "%s: rank %d for one product", what, shape->rank);
}

static void check(const char *what, nd_module *m, uint64_t *state)
{
    nd_module *c = nd__canonical(m);
    const char *wrong = nd__verify(c);
    ck_assert_msg(!wrong, "%s: %s", what, wrong);
    for (int i = 0; i < c->node_count; i++) {
        const nd__node *n = c->nodes[i];
        const bool product = n->op == ND__OP_matmul, reduction = nd__ops[n->op].traits & ND__REDUCTION;
        for (int k = 0; k < n->input_count && (product || reduction); k++)
            ck_assert_msg(nd__elements(&n->inputs[k]->shape) > 0, "%s: an operand without elements", what);
        if (reduction)
            check_reduction(what, n);
        if (product)
            check_product(what, n);
    }
    same_results(what, m, c, state);
    nd_module_destroy(c);
}

START_TEST(reductions_and_products)
{
    static const nd__op ops[] = {ND__OP_sum, ND__OP_reduce_max, ND__OP_reduce_min, ND__OP_matmul};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        for (nd_dtype dtype = ND_U8; dtype < ND_STRING; dtype++)
            for (uint64_t seed = 0; seed < 80; seed++) {
                uint64_t state = seed;
                char what[64];
                nd_module *m = nd_module_create("op");
                snprintf(what, sizeof what, "%s %s, seed %d", nd__ops[ops[i]].name, nd_dtype_name(dtype), (int)seed);
                ck_assert_msg(random_op(m, ops[i], dtype, &state), "%s: %s", what, nd_module_error(m));
                check(what, m, &state);
                nd_module_destroy(m);
            }
}
END_TEST

/* Every set of axes of shapes with rows, columns, blocks, axes of 1 and of 0. */
START_TEST(every_set_of_axes)
{
    const nd_shape shapes[] = {ND_SHAPE(3, 1, 70, 2),  ND_SHAPE(1, 130, 1), ND_SHAPE(2, 9, 10, 1), ND_SHAPE(5, 0, 3),
                               ND_SHAPE(100, 3, 1, 1), ND_SHAPE(1, 1),      ND_SHAPE(66, 2, 67),   ND_SCALAR,
                               ND_SHAPE(0, 1)};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (unsigned set = 0; set < 1u << shapes[s].rank; set++) {
            nd_module *m = nd_module_create("m");
            nd_value *x = nd_input(m, "x", ND_F32, shapes[s]), *i = nd_input(m, "i", ND_I32, shapes[s]);
            nd_axes axes = {0};
            for (int a = 0; a < shapes[s].rank; a++)
                if (set & 1u << a)
                    axes.items[axes.count++] = a;
            nd_function(m, "f", ND_VALUES(x, i),
                        ND_VALUES(nd_sum(x, axes, false), nd_reduce_max(x, axes, true), nd_sum(i, axes, false),
                                  nd_reduce_min(i, axes, false)));
            uint64_t state = set;
            char what[64];
            snprintf(what, sizeof what, "shape %d, axes %x", (int)s, set);
            check(what, m, &state);
            nd_module_destroy(m);
        }
}
END_TEST

/* What a pool's gradient spreads is summed along rows without its zeros, where windows stand side by side and fill the
 * height; indices may point past the window. */
START_TEST(sums_of_what_pools_spread)
{
    const struct {
        nd_shape image;
        nd_pool_options pool;
        bool spreads;
    } cases[] = {
        {ND_SHAPE(2, 6, 8, 3), {.window = {2, 2}}, false},
        {ND_SHAPE(3, 6, 7, 2), {.window = {3, 2}}, false},
        {ND_SHAPE(1, 4, 64, 2), {.window = {1, 4}}, false},
        {ND_SHAPE(2, 4, 66, 2), {.window = {2, 2}}, true},
        {ND_SHAPE(2, 7, 8, 3), {.window = {2, 2}}, true},
        {ND_SHAPE(2, 6, 8, 1), {.window = {2, 2}}, true},
        {ND_SHAPE(2, 6, 8, 3), {.window = {2, 2}, .stride = {1, 1}}, true},
        {ND_SHAPE(2, 6, 8, 3), {.window = {2, 2}, .low = {0, 1}, .high = {0, 1}}, true},
        {ND_SHAPE(2, 6, 7, 3), {.window = {2, 2}, .high = {0, 1}}, true},
    };
    static const nd_dtype dtypes[] = {ND_F32, ND_I32};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t t = 0; t < 2; t++) {
            nd_module *m = nd_module_create("m");
            nd_value *pooled = nd_max_pool2d(nd_input(m, "x", dtypes[t], cases[i].image), &cases[i].pool);
            nd_value *dy = nd_input(m, "dy", dtypes[t], nd_value_shape(pooled));
            nd_value *index = nd_input(m, "index", ND_U8, nd_value_shape(pooled));
            index = nd_mod(index, nd_const_of(m, ND_U8, 6));
            nd__attr attrs[] = {nd__attr_ints(ND__A_size, 2, cases[i].image.dims + 1),
                                *nd__get(pooled->node, ND__A_window), *nd__get(pooled->node, ND__A_stride),
                                *nd__get(pooled->node, ND__A_low), *nd__get(pooled->node, ND__A_high)};
            nd_value *spread = nd__make2(ND__OP_max_pool_spread, "", dy, index, 5, attrs);
            nd_function(m, "f", ND_VALUES(dy, index->node->inputs[0]),
                        ND_VALUES(nd_sum(spread, ND_AXES(0, 1, 2), false), nd_sum(spread, ND_AXES(2), true)));
            uint64_t state = i;
            char what[64];
            snprintf(what, sizeof what, "spread %d", (int)i);
            check(what, m, &state);
            nd_module *after = nd__canonical(m), *clean = nd__dce(after);
            bool spreads = false;
            for (int k = 0; k < clean->node_count; k++)
                spreads = spreads || clean->nodes[k]->op == ND__OP_max_pool_spread;
            ck_assert_msg(spreads == cases[i].spreads, "%s", what);
            nd_module_destroy(clean);
            nd_module_destroy(after);
            nd_module_destroy(m);
        }
}
END_TEST

START_TEST(products_of_every_batch)
{
    const nd_shape left[] = {ND_SHAPE(4, 3, 5),    ND_SHAPE(2, 4, 3, 5), ND_SHAPE(2, 1, 4, 3, 5),
                             ND_SHAPE(1, 4, 5),    ND_SHAPE(1, 1, 4, 5), ND_SHAPE(3, 5),
                             ND_SHAPE(2, 3, 4, 5), ND_SHAPE(2, 3, 4, 0), ND_SHAPE(2, 0, 4, 5)};
    const nd_shape right[] = {ND_SHAPE(5, 2),       ND_SHAPE(5, 2),       ND_SHAPE(4, 5, 2),
                              ND_SHAPE(1, 5, 2),    ND_SHAPE(1, 1, 5, 2), ND_SHAPE(2, 5, 2),
                              ND_SHAPE(2, 1, 5, 2), ND_SHAPE(0, 2),       ND_SHAPE(5, 2)};
    for (size_t i = 0; i < sizeof left / sizeof *left; i++) {
        nd_module *m = nd_module_create("m");
        nd_value *a = nd_input(m, "a", ND_F32, left[i]), *b = nd_input(m, "b", ND_F32, right[i]);
        nd_function(m, "f", ND_VALUES(a, b), ND_VALUES(nd_matmul(a, b)));
        uint64_t state = i;
        char what[64];
        snprintf(what, sizeof what, "product %d", (int)i);
        check(what, m, &state);
        nd_module *after = nd__run_passes(nd__module_copy(m, NULL), NULL);
        check(what, after, &state);
        nd_module_destroy(after);
        nd_module_destroy(m);
    }
}
END_TEST

START_TEST(random_graphs)
{
    for (uint64_t seed = 1000; seed < 1200; seed++) {
        uint64_t state = seed;
        char what[64];
        snprintf(what, sizeof what, "seed %d", (int)seed);
        nd_module *m = random_graph(&state);
        check(what, m, &state);
        m = nd__run_passes(m, NULL);
        check(what, m, &state);
        nd_module_destroy(m);
    }
}
END_TEST

static void run_golden(const char *folder, const char *name)
{
    char path[1300];
    nd_module *m = golden_module(folder, name), *after = nd__canonical(m), *clean = nd__dce(after);
    uint64_t state = 1;
    check(name, m, &state);
    char *text = nd_module_to_text(clean);
    snprintf(path, sizeof path, "%s/%.*s.txt", folder, (int)strlen(name) - 3, name);
    golden_compare(path, text);
    free(text);
    nd_module_destroy(clean);
    nd_module_destroy(after);
    nd_module_destroy(m);
}

START_TEST(golden)
{
    ck_assert_int_gt(golden_each(source_dir, "canonical", run_golden), 0);
}
END_TEST

int main(int argc, char **argv)
{
    source_dir = argc > 1 ? argv[1] : ".";
    Suite *suite = suite_create("canonical");
    TCase *t = tcase_create("canonical");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, reductions_and_products);
    tcase_add_test(t, every_set_of_axes);
    tcase_add_test(t, sums_of_what_pools_spread);
    tcase_add_test(t, products_of_every_batch);
    tcase_add_test(t, random_graphs);
    tcase_add_test(t, golden);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
