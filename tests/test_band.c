/* Products of matrices of which a band counts: sizes at the edges of tiles, bands that begin and end anywhere, elements
 * outside that would spoil every sum; and that what is outside is not computed. */
#include "compiler/schedule/schedule.h"
#include "run_suite.h"
#include "schedule_check.h"

#include <check.h>
#include <math.h>
#include <stdio.h>

typedef struct product {
    nd_dtype dtype;
    int64_t batch, m, k, n;
    nd_matmul_options options;
} product;

static nd_module *module_of(const product *p)
{
    const nd_matmul_options *o = &p->options;
    nd_shape a = ND_SHAPE(p->batch, p->m, p->k), b = ND_SHAPE(p->batch, p->k, p->n);
    if (o->transpose_a)
        a = ND_SHAPE(p->batch, p->k, p->m);
    if (o->transpose_b)
        b = ND_SHAPE(p->batch, p->n, p->k);
    nd_module *m = nd_module_create("band");
    nd_value *x = nd_input(m, "x", p->dtype, a), *y = nd_input(m, "y", p->dtype, b);
    nd_value *z = nd_matmul_with(x, y, o);
    nd_function(m, "f", ND_VALUES(x, y), ND_VALUES(z, nd_mul(z, z)));
    return m;
}

static const nd_band places[] = {ND_BAND_A, ND_BAND_B, ND_BAND_RESULT};

/* The evaluator's random elements are NaN and infinite often enough. */
static void check(const product *p)
{
    uint64_t state = 5;
    char what[160];
    const nd_matmul_options *o = &p->options;
    snprintf(what, sizeof what, "%s %d x %d x %d x %d%s%s, band of %d from %lld to %lld", nd_dtype_name(p->dtype),
             (int)p->batch, (int)p->m, (int)p->k, (int)p->n, o->transpose_a ? ", a'" : "", o->transpose_b ? ", b'" : "",
             o->band, (long long)o->lower, (long long)o->upper);
    nd_module *m = module_of(p);
    schedule_check(what, m, true, &state);
    nd_module_destroy(m);
}

START_TEST(bands_at_the_edges)
{
    static const int64_t sizes[][3] = {{20, 20, 20}, {16, 33, 5}, {37, 9, 40}, {3, 70, 2}, {1, 17, 1}, {40, 16, 1}};
    static const int64_t limits[][2] = {{INT64_MIN, 0}, {0, INT64_MAX}, {-3, 2},   {1, 1},
                                        {-40, -30},     {9, INT64_MAX}, {-12, 18}, {INT64_MIN, -1}};
    for (int place = 0; place < 3; place++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            for (size_t j = 0; j < sizeof limits / sizeof *limits; j++) {
                const int turns = (int)(i + j) % 4;
                check(&(product){j % 3 ? ND_F32 : ND_F64,
                                 1 + (int64_t)(i % 2),
                                 sizes[i][0],
                                 sizes[i][1],
                                 sizes[i][2],
                                 {turns & 1, turns & 2, places[place], limits[j][0], limits[j][1]}});
            }
}
END_TEST

/* Few elements over a long axis: k lies in the lanes. */
START_TEST(bands_in_lanes)
{
    for (int place = 0; place < 3; place++)
        for (int turns = 0; turns < 4; turns++) {
            check(&(product){ND_F32, 1, 2, 4200, 3, {turns & 1, turns & 2, places[place], -1000, 4098}});
            check(&(product){ND_F32, 1, 4, 100, 2, {turns & 1, turns & 2, places[place], INT64_MIN, 0}});
        }
}
END_TEST

START_TEST(bands_of_integers)
{
    for (int place = 0; place < 3; place++)
        check(&(product){ND_I32, 2, 19, 21, 18, {false, true, places[place], -4, 7}});
}
END_TEST

/* Of indices in 32 bits, and in 64 where they might not fit; against the definition. */
START_TEST(elements_in_a_band)
{
    static const int64_t limits[][2] = {
        {-1, 2}, {INT64_MIN, 0}, {1, INT64_MAX}, {-((int64_t)1 << 40), 1}, {INT64_MIN + 1, -2}};
    enum { ROWS = 5, COLUMNS = 19 };
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        const int64_t low = limits[i][0], high = limits[i][1];
        uint64_t state = 3;
        nd_module *m = nd_module_create("elements");
        nd_value *ones = nd_filled(m, ND_F32, ND_SHAPE(2, ROWS, COLUMNS), 1);
        nd_tensor *t = nd_evaluate(nd_banded(ones, low, high, -2));
        const float *at = nd_tensor_data(t);
        for (int64_t k = 0; k < 2 * ROWS * COLUMNS; k++) {
            const int64_t ahead = k % COLUMNS - k / COLUMNS % ROWS;
            ck_assert(at[k] == (ahead >= low && ahead <= high ? 1 : -2));
        }
        nd_tensor_destroy(t);
        nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(2, ROWS, COLUMNS));
        nd_value *y = nd_banded(x, low, high, -INFINITY);
        nd_function(m, "f", ND_VALUES(x), ND_VALUES(nd_reduce_max(y, ND_AXES(-1), false), y));
        schedule_check("elements in a band", m, true, &state);
        nd_module_destroy(m);
    }
}
END_TEST

/* -- what is not computed ------------------------------------------------------------------------------------------ */

static bool has(const nd__kblock *block, bool (*is_it)(const nd__kinst *))
{
    for (const nd__kinst *i = block->first; i; i = i->next)
        if (is_it(i) || has(&i->body, is_it) || has(&i->other, is_it))
            return true;
    return false;
}

static bool is_branch(const nd__kinst *i)
{
    return i->op == ND__K_if;
}

static bool moves_with_another(const nd__kinst *i)
{
    return i->op == ND__K_for && (i->lo->count > 0 || i->hi->count > 0);
}

static bool ends_within(const nd__kinst *i)
{
    return i->op == ND__K_for && i->least != INT64_MIN;
}

/* The kernel that does most of the work: the product, not a copy. */
static const nd__kernel *kernel_of(const nd__plan *plan)
{
    const nd__kernel *k = plan->kernels[0];
    for (int i = 1; i < plan->kernel_count; i++)
        if (plan->kernels[i]->flops > k->flops)
            k = plan->kernels[i];
    return k;
}

START_TEST(outside_nothing_is_computed)
{
    static const struct {
        nd_matmul_options options;
        int64_t flops;
        bool (*has)(const nd__kinst *);
    } cases[] = {
        {{false, true, ND_BAND_RESULT, INT64_MIN, 0}, 2 * (64 * 65 / 2) * 64, is_branch},
        {{false, false, ND_BAND_A, INT64_MIN, 0}, 2 * (64 * 65 / 2) * 64, moves_with_another},
        {{true, false, ND_BAND_A, INT64_MIN, 0}, 2 * (64 * 65 / 2) * 64, moves_with_another},
        {{false, false, ND_BAND_B, 0, INT64_MAX}, 2 * (64 * 65 / 2) * 64, moves_with_another},
        {{false, false, ND_BAND_A, -31, 0}, 2 * (64 * 32 - 32 * 31 / 2) * 64, ends_within},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nd__plan *plan = schedule_plan(module_of(&(product){ND_F32, 1, 64, 64, 64, cases[i].options}));
        const nd__kernel *k = kernel_of(plan);
        ck_assert_int_eq(k->flops, cases[i].flops);
        ck_assert(has(&k->body, cases[i].has));
        nd__plan_destroy(plan);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("band");
    TCase *c = tcase_create("band");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, bands_at_the_edges);
    tcase_add_test(c, bands_in_lanes);
    tcase_add_test(c, bands_of_integers);
    tcase_add_test(c, elements_in_a_band);
    tcase_add_test(c, outside_nothing_is_computed);
    suite_add_tcase(s, c);
    return run_suite(s);
}
