/* Every arithmetic instruction on every dtype that it takes, for every number of lanes, on the values that break
 * things: compiled code against the evaluator. */
#include "compiler/kernel/rules.h"
#include "compiler/kernel/scalar.h"
#include "kernel_fixture.h"
#include "kplan.h"
#include "native_check.h"
#include "run_suite.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_LANES = 32 };

/* The number of operands of an op that nd__k_op1, 2, 3 make; 0: tested in test_llvm.c, or by name below. */
static int plain_arity(nd__kop op)
{
    static const int arity[] = {
#define KOP(name, arity, text) arity,
#include "compiler/kernel/kops.def"
#undef KOP
    };
    switch (op) {
    case ND__K_const:
    case ND__K_splat:
    case ND__K_lane:
    case ND__K_index:
    case ND__K_load:
    case ND__K_store:
    case ND__K_loadx:
    case ND__K_storex:
    case ND__K_fetch:
    case ND__K_convert:
    case ND__K_bitcast:
    case ND__K_transpose:
    case ND__K_for:
    case ND__K_if:
    case ND__K_yield:
        return 0;
    default:
        ck_assert_msg(arity[op] >= 1 && arity[op] <= 3, "%s: an op that no test knows", nd__k_op_name(op));
        return arity[op];
    }
}

/* Whether the rules let `op` have operands of that type. */
static bool takes(nd__kop op, int n, nd__ktype type)
{
    nd__kernel *k = nd__k_create(&arena, "probe");
    nd__kbuilder b = nd__k_builder(k);
    nd__ktype types[3];
    nd__kval args[3];
    for (int i = 0; i < n; i++) {
        types[i] = op == ND__K_select && i == 0 ? nd__k_type(ND_BOOL, type.lanes) : type;
        args[i] = nd__k_const(&b, types[i], 0);
    }
    nd__kval result = nd__k_const(&b, nd__k_result_type(op, types), 1);
    nd__kinst inst = {.op = op,
                      .type = nd__k_result_type(op, types),
                      .arg_count = n,
                      .args = args,
                      .result = result,
                      .result_count = 1,
                      .iv = -1,
                      .carried = -1};
    return !nd__k_inst_error(k, &inst);
}

/* -- operands ------------------------------------------------------------------------------------------------------ */

/* Operands x, y, z of one dtype beside each other: all pairs of special values with random third ones, then random
 * triples; a multiple of MOST_LANES of them. */
typedef struct operands {
    int64_t count;
    void *x[3];
    unsigned char *condition;
} operands;

static operands make_operands(nd_dtype dtype, uint64_t seed)
{
    const uint64_t *special;
    int n = special_bits(dtype, &special), pairs = n * n;
    size_t size = nd_dtype_size(dtype);
    operands o = {.count = (pairs + 256 + MOST_LANES - 1) / MOST_LANES * MOST_LANES};
    for (int i = 0; i < 3; i++)
        o.x[i] = nd__arena_alloc(&arena, (size_t)o.count, size);
    o.condition = nd__arena_alloc(&arena, (size_t)o.count, 1);
    for (int64_t e = 0; e < o.count; e++) {
        uint64_t bits[3];
        for (int i = 0; i < 3; i++)
            bits[i] = random_bits(&seed, dtype);
        if (e < pairs)
            bits[0] = special[e / n], bits[1] = special[e % n];
        for (int i = 0; i < 3; i++)
            nd__scalar_store(dtype, (char *)o.x[i] + (size_t)e * size, bits[i]);
        o.condition[e] = random_next(&seed) & 1;
    }
    return o;
}

/* -- all ops ------------------------------------------------------------------------------------------------------- */

/* r[i] = op(x[i], y[i], z[i]) in vectors of `lanes`; a tree gives one element for each vector. Buffers 0..3: condition,
 * x, y, z. */
static void add_op_loop(nd__kbuilder *b, nd__kop op, int n, nd_dtype dtype, int lanes, int64_t count)
{
    nd__ktype types[3] = {{0}}, type = nd__k_type(dtype, lanes);
    for (int i = 0; i < n; i++)
        types[i] = op == ND__K_select && i == 0 ? nd__k_type(ND_BOOL, lanes) : type;
    nd__ktype result = nd__k_result_type(op, types);
    int32_t r = nd__k_buffer(b->k, nd__k_op_name(op), (nd_dtype)result.dtype, ND__K_OUT, count, 1);
    int32_t i = nd__k_for(b, nd__k_at(0), nd__k_at(count), lanes, 0, NULL, NULL);
    nd__kaffine at = nd__k_plus(nd__k_at(0), i, 1);
    nd__kval args[3];
    for (int a = 0; a < n; a++)
        args[a] = nd__k_load(b, op == ND__K_select ? a : a + 1, at, lanes, 1, lanes);
    nd__kval y = n == 1   ? nd__k_op1(b, op, args[0])
                 : n == 2 ? nd__k_op2(b, op, args[0], args[1])
                          : nd__k_op3(b, op, args[0], args[1], args[2]);
    nd__k_store(b, r, at, y, 1, result.lanes);
    nd__k_end_for(b, NULL, NULL);
}

static void check_ops(nd_dtype dtype, int lanes)
{
    operands o = make_operands(dtype, 1 + (uint64_t)dtype);
    nd__kernel *k = nd__k_create(&arena, nd_dtype_name(dtype));
    nd__kbuilder b = nd__k_builder(k);
    nd__k_buffer(k, "condition", ND_BOOL, ND__K_IN, o.count, 1);
    for (int i = 0; i < 3; i++)
        nd__k_buffer(k, "x", dtype, ND__K_IN, o.count, 1);
    for (int op = 0; op < ND__K_OPS; op++) {
        int n = plain_arity((nd__kop)op);
        if (n > 0 && takes((nd__kop)op, n, nd__k_type(dtype, lanes)))
            add_op_loop(&b, (nd__kop)op, n, dtype, lanes, o.count);
    }
    nd__plan *plan = kplan_of(&arena, k);
    for (int i = 0, n = 0; i < plan->buffer_count; i++)
        plan->buffers[i].name = k->buffers[n++].name;
    native_check(plan, ((const void *[]){o.condition, o.x[0], o.x[1], o.x[2]}), 1);
}

START_TEST(every_op)
{
    check_ops((nd_dtype)(_i / 6), 1 << _i % 6);
}
END_TEST

/* Each op that the loop above is to test takes at least one dtype. */
START_TEST(no_op_is_left_out)
{
    for (int op = 0; op < ND__K_OPS; op++) {
        int n = plain_arity((nd__kop)op), dtypes = 0;
        for (int d = ND_BOOL; d <= ND_F64 && n > 0; d++)
            dtypes += takes((nd__kop)op, n, nd__k_type((nd_dtype)d, 4));
        ck_assert_msg(n == 0 || dtypes > 0, "%s", nd__k_op_name((nd__kop)op));
    }
}
END_TEST

/* Division and shifts by constants, which LLVM writes in other ways than by what is loaded. */
START_TEST(constant_operands)
{
    static const nd__kop ops[] = {ND__K_floordiv, ND__K_mod, ND__K_shl, ND__K_shr, ND__K_mul, ND__K_lt};
    static const nd_dtype dtypes[] = {ND_U8, ND_I32, ND_U32, ND_I64};
    nd_dtype dtype = dtypes[_i];
    const uint64_t *special;
    int specials = special_bits(dtype, &special);
    operands o = make_operands(dtype, 3);
    nd__kernel *k = nd__k_create(&arena, "constants");
    nd__kbuilder b = nd__k_builder(k);
    int32_t x = nd__k_buffer(k, "x", dtype, ND__K_IN, o.count, 1);
    for (int s = 0; s < specials; s++) {
        nd__kval constant = nd__k_const_bits(&b, nd__k_type(dtype, 4), special[s]);
        int32_t i = nd__k_for(&b, nd__k_at(0), nd__k_at(o.count), 4, 0, NULL, NULL);
        nd__kaffine at = nd__k_plus(nd__k_at(0), i, 1);
        nd__kval loaded = nd__k_load(&b, x, at, 4, 1, 4);
        for (size_t p = 0; p < sizeof ops / sizeof ops[0]; p++) {
            nd_dtype result = ops[p] == ND__K_lt ? ND_BOOL : dtype;
            int32_t r = nd__k_buffer(k, nd__k_op_name(ops[p]), result, ND__K_OUT, o.count, 1);
            nd__k_store(&b, r, at, nd__k_op2(&b, ops[p], loaded, constant), 1, 4);
        }
        nd__k_end_for(&b, NULL, NULL);
    }
    native_check(kplan_of(&arena, k), ((const void *[]){o.x[0]}), 1);
}
END_TEST

/* -- conversions --------------------------------------------------------------------------------------------------- */

/* One dtype to all others, and to those of its size bit by bit. */
START_TEST(every_conversion)
{
    nd_dtype from = (nd_dtype)_i;
    operands o = make_operands(from, 5);
    nd__kernel *k = nd__k_create(&arena, "convert");
    nd__kbuilder b = nd__k_builder(k);
    int32_t x = nd__k_buffer(k, "x", from, ND__K_IN, o.count, 1);
    for (int lanes = 1; lanes <= MOST_LANES; lanes *= 2) {
        for (int to = ND_BOOL; to <= ND_F64; to++) {
            bool same_size = from != ND_BOOL && to != ND_BOOL && nd_dtype_size(from) == nd_dtype_size((nd_dtype)to);
            for (int cast = 0; cast <= same_size; cast++) {
                int32_t r = nd__k_buffer(k, "r", (nd_dtype)to, ND__K_OUT, o.count, 1);
                int32_t i = nd__k_for(&b, nd__k_at(0), nd__k_at(o.count), lanes, 0, NULL, NULL);
                nd__kaffine at = nd__k_plus(nd__k_at(0), i, 1);
                nd__kval loaded = nd__k_load(&b, x, at, lanes, 1, lanes);
                nd__kval y = cast ? nd__k_bitcast(&b, (nd_dtype)to, loaded) : nd__k_convert(&b, (nd_dtype)to, loaded);
                nd__k_store(&b, r, at, y, 1, lanes);
                nd__k_end_for(&b, NULL, NULL);
            }
        }
    }
    native_check(kplan_of(&arena, k), ((const void *[]){o.x[0]}), 1);
}
END_TEST

/* -- elementary functions ------------------------------------------------------------------------------------------ */

/* All that nd__k_func makes of one dtype: long chains of the above, tables, branches. */
START_TEST(elementary_functions)
{
    nd_dtype dtype = _i % 2 ? ND_F64 : ND_F32;
    nd__kfunc func = (nd__kfunc)(_i / 4);
    operands o = make_operands(dtype, 9);
    nd__kernel *k = nd__k_create(&arena, "function");
    nd__kbuilder b = nd__k_builder(k);
    b.scales = _i / 2 % 2;
    int32_t x = nd__k_buffer(k, "x", dtype, ND__K_IN, o.count, 1);
    int32_t y = nd__k_buffer(k, "y", dtype, ND__K_IN, o.count, 1);
    int32_t r = nd__k_buffer(k, "r", dtype, ND__K_OUT, o.count, 1);
    int32_t i = nd__k_for(&b, nd__k_at(0), nd__k_at(o.count), 8, 0, NULL, NULL);
    nd__kaffine at = nd__k_plus(nd__k_at(0), i, 1);
    nd__kval first = nd__k_load(&b, x, at, 8, 1, 8), second = nd__k_load(&b, y, at, 8, 1, 8);
    nd__k_store(&b, r, at, nd__k_func(&b, func, first, func == ND__KF_POW ? second : -1), 1, 8);
    nd__k_end_for(&b, NULL, NULL);
    native_check(kplan_of(&arena, k), ((const void *[]){o.x[0], o.x[1]}), 1);
}
END_TEST

/* -- fma ----------------------------------------------------------------------------------------------------------- */

/* A float near 2^exponent whose lowest bits are often zeros, in f64 (exact in f32 for `digits` 24). */
static double sparse_float(uint64_t *seed, int exponent, int digits)
{
    uint64_t mantissa = random_next(seed) >> (64 - digits) | UINT64_C(1) << (digits - 1);
    if (random_below(seed, 2))
        mantissa &= ~UINT64_C(0) << random_below(seed, digits);
    double x = ldexp((double)mantissa, exponent - digits + 1);
    return random_below(seed, 2) ? -x : x;
}

/* Sums of products that are hard to round: addends near the product, far below or above it, beside the middle of two
 * neighbours; results around and below the smallest normal number, and at the top. */
static void hard_case(uint64_t *seed, bool single, double x[3])
{
    int digits = single ? 24 : 53, lowest = single ? -149 : -1074, highest = single ? 127 : 1023;
    int a = random_below(seed, 40) - 20, b = random_below(seed, 40) - 20, kind = random_below(seed, 6);
    if (kind == 4) /* tiny results */
        a = lowest / 2 + random_below(seed, 30), b = lowest - a + random_below(seed, 40) - 4;
    if (kind == 5)
        a = highest / 2 + random_below(seed, 3), b = highest - a - random_below(seed, 3);
    x[0] = sparse_float(seed, a, digits), x[1] = sparse_float(seed, b, digits);
    int c = a + b + random_below(seed, 6) - 3;
    if (kind == 1)
        c = a + b - digits - 2 + random_below(seed, 5);
    if (kind == 2)
        c = a + b + digits - 2 + random_below(seed, 5);
    if (kind == 3 || c < lowest)
        c = a + b - random_below(seed, 2 * digits);
    c = c < lowest ? lowest : c > highest ? highest : c;
    x[2] = sparse_float(seed, c, digits);
    double negated = -(x[0] * x[1]);
    if (kind == 0 && random_below(seed, 2)) /* what remains is the product's rounding error */
        x[2] = single ? (double)(float)negated : negated;
}

/* NADIR_TEST_CASES: how many, for a longer look. */
START_TEST(fma_is_exact)
{
    nd_dtype dtype = _i ? ND_F64 : ND_F32;
    size_t size = nd_dtype_size(dtype);
    const char *asked = getenv("NADIR_TEST_CASES");
    int64_t count = (asked ? atoll(asked) : 16384) / 16 * 16;
    uint64_t seed = 20 + (uint64_t)_i;
    nd__kernel *k = nd__k_create(&arena, "fma");
    nd__kbuilder b = nd__k_builder(k);
    void *values[3];
    nd__k_buffer(k, "condition", ND_BOOL, ND__K_IN, 1, 1);
    for (int v = 0; v < 3; v++) {
        values[v] = nd__arena_alloc(&arena, (size_t)count, size);
        nd__k_buffer(k, "x", dtype, ND__K_IN, count, 1);
    }
    for (int64_t i = 0; i < count; i++) {
        double x[3];
        hard_case(&seed, dtype == ND_F32, x);
        for (int v = 0; v < 3; v++) {
            uint64_t bits = nd__scalar_convert(ND_F64, dtype, nd__scalar_load(ND_F64, &x[v]));
            nd__scalar_store(dtype, (char *)values[v] + (size_t)i * size,
                             random_below(&seed, 8) ? bits : random_bits(&seed, dtype));
        }
    }
    for (int lanes = 1; lanes <= 16; lanes *= 4)
        add_op_loop(&b, ND__K_fma, 3, dtype, lanes, count);
    native_check(kplan_of(&arena, k), ((const void *[]){NULL, values[0], values[1], values[2]}), 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("llvm_ops");
    TCase *tcase = tcase_create("llvm_ops");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, begin, end);
    tcase_add_test(tcase, no_op_is_left_out);
    tcase_add_loop_test(tcase, every_op, 6 * ND_BOOL, 6 * (ND_F64 + 1));
    tcase_add_loop_test(tcase, constant_operands, 0, 4);
    tcase_add_loop_test(tcase, every_conversion, ND_BOOL, ND_F64 + 1);
    tcase_add_loop_test(tcase, elementary_functions, 4 * ND__KF_EXP, 4 * (ND__KF_ERF + 1));
    tcase_add_loop_test(tcase, fma_is_exact, 0, 2);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
