/* Gradients of every op of the list: against finite differences, to second order, or that asking for one is an error.
 */
#include "grad_check.h"
#include "nadir/nn.h"
#include "run_suite.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

typedef nd_value *(*builder)(nd_module *m, nd_value **x);

/* y = build(x...) for f64 inputs of the shapes, at numbers in [low, high) away from the kinks. `none`: the op has no
 * gradient; y depends on x through it. */
typedef struct op_case {
    builder build;
    int n;
    nd_shape shapes[4];
    double low, high;
    bool none, variables;
} op_case;

/* clang-format off */
#define SCALAR_SHAPE {0, {0}}
#define V3 {1, {3}}
#define V5 {1, {5}}
#define M23 {2, {2, 3}}
#define M32 {2, {3, 2}}
#define M34 {2, {3, 4}}
#define M43 {2, {4, 3}}
#define M24 {2, {2, 4}}
#define M42 {2, {4, 2}}
#define T234 {3, {2, 3, 4}}
/* clang-format on */

#define BUILD(name, expression)                                                                                        \
    static nd_value *build_##name(nd_module *m, nd_value **x)                                                          \
    {                                                                                                                  \
        (void)m;                                                                                                       \
        (void)x;                                                                                                       \
        return expression;                                                                                             \
    }
#define INTEGER(v) nd_cast(nd_mul(v, nd_const(m, 8)), ND_I32)
#define FLOAT(v)   nd_cast(v, ND_F64)

BUILD(input, x[0])
BUILD(variable, nd_mul(x[0], x[1]))
BUILD(constant, nd_mul(x[0], nd_filled(m, ND_F64, ND_SHAPE(2, 3), 3)))
BUILD(size, nd_mul(x[0], nd_size(m, ND_F64, 7)))
BUILD(iota, nd_mul(x[0], nd_iota(m, ND_F64, ND_SHAPE(2, 3), 1)))
BUILD(random_bits, FLOAT(nd_random_bits(nd_cast(x[0], ND_U32), 1, ND_SHAPE(3))))
BUILD(add, nd_add(x[0], x[1]))
BUILD(sub, nd_sub(x[0], x[1]))
BUILD(mul, nd_mul(x[0], x[1]))
BUILD(div, nd_div(x[0], x[1]))
BUILD(floordiv, FLOAT(nd_floordiv(INTEGER(x[0]), nd_const(m, 3))))
BUILD(mod, FLOAT(nd_mod(INTEGER(x[0]), nd_const(m, 3))))
BUILD(pow, nd_pow(x[0], x[1]))
BUILD(min, nd_min(x[0], x[1]))
BUILD(max, nd_max(x[0], x[1]))
BUILD(eq, nd_mul(x[0], FLOAT(nd_eq(x[0], x[1]))))
BUILD(ne, nd_mul(x[0], FLOAT(nd_ne(x[0], x[1]))))
BUILD(lt, nd_mul(x[0], FLOAT(nd_lt(x[0], x[1]))))
BUILD(le, nd_mul(x[0], FLOAT(nd_le(x[0], x[1]))))
BUILD(gt, nd_mul(x[0], FLOAT(nd_gt(x[0], x[1]))))
BUILD(ge, nd_mul(x[0], FLOAT(nd_ge(x[0], x[1]))))
BUILD(and, FLOAT(nd_and(INTEGER(x[0]), nd_const(m, 3))))
BUILD(or, FLOAT(nd_or(INTEGER(x[0]), nd_const(m, 3))))
BUILD(xor, FLOAT(nd_xor(INTEGER(x[0]), nd_const(m, 3))))
BUILD(not, FLOAT(nd_not(INTEGER(x[0]))))
BUILD(shl, FLOAT(nd_shl(INTEGER(x[0]), nd_const(m, 3))))
BUILD(shr, FLOAT(nd_shr(INTEGER(x[0]), nd_const(m, 3))))
BUILD(neg, nd_neg(x[0]))
BUILD(abs, nd_abs(nd_sub(x[0], x[1])))
BUILD(sqrt, nd_sqrt(x[0]))
BUILD(exp, nd_exp(x[0]))
BUILD(log, nd_log(x[0]))
BUILD(log1p, nd_log1p(x[0]))
BUILD(tanh, nd_tanh(x[0]))
BUILD(sigmoid, nd_sigmoid(x[0]))
BUILD(sin, nd_sin(x[0]))
BUILD(cos, nd_cos(x[0]))
BUILD(erf, nd_erf(x[0]))
BUILD(floor, nd_mul(x[0], nd_floor(x[0])))
BUILD(ceil, nd_mul(x[0], nd_ceil(x[0])))
BUILD(rint, nd_mul(x[0], nd_rint(x[0])))
BUILD(select, nd_select(nd_lt(x[0], x[1]), nd_mul(x[0], x[0]), nd_mul(x[0], x[1])))
BUILD(fma, nd_fma(x[0], x[1], x[2]))
BUILD(cast, nd_cast(x[0], ND_F64))
BUILD(stop_gradient, nd_sub(nd_mul(x[0], x[1]), nd_stop_gradient(nd_iota(m, ND_F64, ND_SHAPE(3), 0))))
BUILD(sum, nd_sum(nd_mul(x[0], x[0]), ND_AXES(1), false))
BUILD(reduce_max, nd_mul(nd_reduce_max(x[0], ND_AXES(1), false), nd_reduce_max(x[0], ND_AXES(1), false)))
BUILD(reduce_min, nd_mul(nd_reduce_min(x[0], ND_AXES(0, 2), false), nd_reduce_min(x[0], ND_AXES(0, 2), false)))
BUILD(argmax, FLOAT(nd_argmax(x[0], 0)))
BUILD(argmin, FLOAT(nd_argmin(x[0], 0)))
BUILD(matmul, nd_matmul(x[0], x[1]))
BUILD(conv2d,
      nd_conv2d(x[0], x[1], (&(nd_conv_options){.stride = {2, 1}, .low = {1, 2}, .high = {1, 0}, .dilation = {1, 2}})))
BUILD(conv2d_dx, nd_conv2d_transpose(x[0], x[1], (&(nd_conv_options){.stride = {2, 3}, .low = {1, 0}, .size = {4, 0}})))
/* The gradient of a convolution by its kernel, as a value to be differentiated. */
BUILD(conv2d_dw,
      nd_gradient(nd_sum(nd_mul(nd_conv2d(x[0], x[1], (&(nd_conv_options){.stride = {1, 2}, .low = {1, 1}})), x[2]),
                         ND_ALL_AXES, false),
                  x[1]))
/* By the kernel, of a pool behind the convolution: as a value to be differentiated, a row and a column left over. */
static nd_value *build_conv2d_dw_pooled(nd_module *m, nd_value **x)
{
    const uint8_t items[] = {3, 1, 2, 0, 5, 9, 2, 4};
    nd_shape shape = nd_shape_of(4, (int64_t[]){2, 1, 2, 2});
    nd_value *index = nd__constant(m, "", ND_U8, &shape, 8, items);
    nd__attr attrs[] = {nd__attr_ints(ND__A_size, 2, (int64_t[]){2, 2}),
                        nd__attr_ints(ND__A_stride, 2, (int64_t[]){1, 2}),
                        nd__attr_ints(ND__A_window, 2, (int64_t[]){3, 2})};
    return nd__make(m, ND__OP_conv2d_dw_pooled, "", 3, (nd_value *[]){x[0], nd_mul(x[1], x[1]), index}, 3, attrs);
}
BUILD(max_pool,
      nd_max_pool2d(nd_mul(x[0], x[0]), (&(nd_pool_options){.window = {2, 3}, .stride = {1, 2}, .low = {1, 1}})))
BUILD(max_pool_index, FLOAT(nd__make1(ND__OP_max_pool_index, "", x[0], 4,
                                      ((nd__attr[]){nd__attr_ints(ND__A_window, 2, (int64_t[]){2, 2}),
                                                    nd__attr_ints(ND__A_stride, 2, (int64_t[]){1, 1}),
                                                    nd__attr_ints(ND__A_low, 2, (int64_t[]){0, 0}),
                                                    nd__attr_ints(ND__A_high, 2, (int64_t[]){0, 0})}))))
/* The gradients of a pool, with a window that has no element, and with one that is chosen twice. */
static nd_value *build_max_pool_pick(nd_module *m, nd_value **x)
{
    const uint8_t items[] = {3, 1, 2, 0, 9, 2, 1, 3};
    nd_shape shape = nd_shape_of(4, (int64_t[]){1, 2, 2, 2});
    nd_value *index = nd__constant(m, "", ND_U8, &shape, 8, items);
    nd__attr attrs[] = {
        nd__attr_ints(ND__A_window, 2, (int64_t[]){2, 2}), nd__attr_ints(ND__A_stride, 2, (int64_t[]){1, 1}),
        nd__attr_ints(ND__A_low, 2, (int64_t[]){0, 1}), nd__attr_ints(ND__A_high, 2, (int64_t[]){0, 0})};
    return nd__make2(ND__OP_max_pool_pick, "", nd_mul(x[0], x[0]), index, 4, attrs);
}
static nd_value *build_max_pool_spread(nd_module *m, nd_value **x)
{
    nd_value *p[] = {x[1]}, *picked = build_max_pool_pick(m, p);
    return nd_gradient(nd_sum(nd_mul(nd_mul(picked, x[0]), x[0]), ND_ALL_AXES, false), x[1]);
}
BUILD(reshape, nd_reshape(nd_mul(x[0], x[0]), ND_SHAPE(3, 2)))
BUILD(transpose, nd_transpose(nd_mul(x[0], x[0]), ND_AXES(2, 0, 1)))
BUILD(broadcast, nd_broadcast(nd_mul(x[0], x[0]), ND_SHAPE(4, 2, 3)))
BUILD(slice, nd_slice(nd_mul(x[0], x[0]), ((int64_t[]){1, 3}), ((int64_t[]){1, 2}), ((int64_t[]){1, -2})))
BUILD(concat, nd_concat(ND_VALUES(x[0], nd_mul(x[0], x[1]), x[1]), 1))
BUILD(pad, nd_pad(nd_mul(x[0], x[0]), ((int64_t[]){1, 0}), ((int64_t[]){0, 2}), ((int64_t[]){2, 1}), 0.5))
static nd_value *indices(nd_module *m, int n, const int32_t *items)
{
    nd_shape shape = nd_shape_of(1, (int64_t[]){n});
    return nd__constant(m, "", ND_I32, &shape, n, items);
}
/* With a row twice, and indices outside. */
BUILD(gather, nd_gather(nd_mul(x[0], x[0]), indices(m, 5, (int32_t[]){2, 0, 7, 2, -1})))
BUILD(scatter_add, nd_scatter_add(nd_mul(x[0], x[0]), indices(m, 4, (int32_t[]){2, 0, 2, 7}), 3))

static nd_value *build_apply(nd_module *m, nd_value **x)
{
    nd_value *a = nd_input(m, "a", ND_F64, ND_SHAPE(2, 3)), *b = nd_input(m, "b", ND_F64, ND_SHAPE(2, 3)), *out[2];
    nd_value *t = nd_tanh(nd_mul(a, b));
    nd_function *f = nd_function(m, "f", ND_VALUES(a, b), ND_VALUES(nd_mul(t, a), nd_add(nd_exp(b), x[1])));
    nd_apply(f, ND_VALUES(x[0], nd_mul(x[1], x[0])), out);
    nd_value *first = nd_mul(out[0], out[1]);
    nd_apply(f, ND_VALUES(x[1], first), out);
    return nd_add(out[0], first);
}

static nd_value *build_cond(nd_module *m, nd_value **x)
{
    nd_value *condition = nd_lt(nd_at(x[0], "0, 0"), nd_at(x[1], "0, 0")), *out[2];
    nd_function *yes = nd_function(m, "yes", ND_VALUES(), ND_VALUES(nd_mul(x[0], nd_sin(x[1])), x[0]));
    nd_function *no =
        nd_function(m, "no", ND_VALUES(), ND_VALUES(nd_exp(x[1]), nd_filled(m, ND_F64, ND_SHAPE(2, 3), 2)));
    nd_cond(condition, yes, no, out);
    return nd_mul(out[0], out[1]);
}

/* Everything a loop can do: h' = tanh(x w + h u + b) * s, y = h'^2; w, u weights, b a row, s carried along. */
static nd_value *build_scan(nd_module *m, nd_value **x)
{
    nd_value *h = nd_input(m, "h", ND_F64, ND_SHAPE(2, 3)), *t = nd_input(m, "t", ND_F64, ND_SHAPE(2, 3)), *out[2];
    nd_value *row = nd_at(x[1], "0"), *scale = nd_add(x[0], nd_const(m, 1));
    nd_value *z = nd_add(nd_add(nd_matmul(t, x[2]), nd_matmul(h, x[2])), row);
    nd_value *next = nd_mul(nd_tanh(z), scale);
    nd_function *body = nd_function(m, "body", ND_VALUES(h, t), ND_VALUES(next, nd_mul(next, next)));
    nd_scan(body, 4, ND_VALUES(x[1]), ND_VALUES(x[3]), false, out);
    return nd_add(out[0], nd_sum(out[1], ND_AXES(0), false));
}

/* clang-format off */
static const op_case cases[] = {
#define CASE(name, n, low, high, ...) [ND__OP_##name] = {build_##name, n, {__VA_ARGS__}, low, high, false, false},
#define NONE(name, n, ...) [ND__OP_##name] = {build_##name, n, {__VA_ARGS__}, 0.1, 0.9, true, false},
    CASE(input, 1, -1, 1, M23)
    [ND__OP_variable] = {build_variable, 2, {M23, M23}, -1, 1, false, true},
    CASE(constant, 1, -1, 1, M23)
    CASE(size, 1, -1, 1, M23)
    CASE(iota, 1, -1, 1, M23)
    NONE(random_bits, 1, {1, {2}})
    CASE(add, 2, -1, 1, M23, M23)
    CASE(sub, 2, -1, 1, M23, M23)
    CASE(mul, 2, -1, 1, M23, M23)
    CASE(div, 2, 0.5, 2, M23, M23)
    NONE(floordiv, 1, M23)
    NONE(mod, 1, M23)
    CASE(pow, 2, 0.5, 2, M23, M23)
    CASE(min, 2, -1, 1, M23, M23)
    CASE(max, 2, -1, 1, M23, M23)
    CASE(eq, 2, -1, 1, M23, M23)
    CASE(ne, 2, -1, 1, M23, M23)
    CASE(lt, 2, -1, 1, M23, M23)
    CASE(le, 2, -1, 1, M23, M23)
    CASE(gt, 2, -1, 1, M23, M23)
    CASE(ge, 2, -1, 1, M23, M23)
    NONE(and, 1, M23)
    NONE(or, 1, M23)
    NONE(xor, 1, M23)
    NONE(not, 1, M23)
    NONE(shl, 1, M23)
    NONE(shr, 1, M23)
    CASE(neg, 1, -1, 1, M23)
    CASE(abs, 2, -1, 1, M23, M23)
    CASE(sqrt, 1, 0.5, 2, M23)
    CASE(exp, 1, -1, 1, M23)
    CASE(log, 1, 0.5, 2, M23)
    CASE(log1p, 1, -0.5, 1, M23)
    CASE(tanh, 1, -1, 1, M23)
    CASE(sigmoid, 1, -2, 2, M23)
    CASE(sin, 1, -2, 2, M23)
    CASE(cos, 1, -2, 2, M23)
    CASE(erf, 1, -1, 1, M23)
    CASE(floor, 1, -3, 3, M23)
    CASE(ceil, 1, -3, 3, M23)
    CASE(rint, 1, -3, 3, M23)
    CASE(select, 2, -1, 1, M23, M23)
    CASE(fma, 3, -1, 1, M23, M23, M23)
    CASE(cast, 1, -1, 1, M23)
    CASE(stop_gradient, 2, -1, 1, M23, M23)
    CASE(sum, 1, -1, 1, T234)
    CASE(reduce_max, 1, -1, 1, T234)
    CASE(reduce_min, 1, -1, 1, T234)
    NONE(argmax, 1, M23)
    NONE(argmin, 1, M23)
    CASE(matmul, 2, -1, 1, M23, M34)
    CASE(conv2d, 2, -1, 1, {4, {2, 4, 5, 2}}, {4, {3, 2, 2, 3}})
    CASE(conv2d_dx, 2, -1, 1, {4, {2, 2, 2, 3}}, {4, {3, 2, 2, 3}})
    CASE(conv2d_dw, 3, -1, 1, {4, {2, 3, 4, 2}}, {4, {2, 3, 2, 2}}, {4, {2, 3, 2, 2}})
    CASE(conv2d_dw_pooled, 2, -1, 1, {4, {2, 5, 8, 2}}, {4, {2, 1, 2, 2}})
    CASE(max_pool, 1, -1, 1, {4, {2, 3, 4, 2}})
    NONE(max_pool_index, 1, {4, {1, 3, 3, 1}})
    CASE(max_pool_pick, 1, -1, 1, {4, {1, 3, 2, 2}})
    CASE(max_pool_spread, 2, -1, 1, {4, {1, 2, 2, 2}}, {4, {1, 3, 2, 2}})
    CASE(reshape, 1, -1, 1, M23)
    CASE(transpose, 1, -1, 1, T234)
    CASE(broadcast, 1, -1, 1, {2, {2, 1}})
    CASE(slice, 1, -1, 1, M24)
    CASE(concat, 2, -1, 1, M23, M23)
    CASE(pad, 1, -1, 1, M23)
    CASE(gather, 1, -1, 1, M32)
    CASE(scatter_add, 1, -1, 1, M42)
    CASE(apply, 2, -1, 1, M23, M23)
    CASE(cond, 2, -1, 1, M23, M23)
    CASE(scan, 4, -1, 1, M23, M23, {2, {3, 3}}, {3, {4, 2, 3}})
};
/* clang-format on */
_Static_assert(sizeof cases / sizeof *cases == ND__OPS, "an op without a case");

/* More of the ops whose attributes matter. */
BUILD(tn, nd_matmul_t(x[0], true, x[1], false))
BUILD(nt, nd_matmul_t(x[0], false, x[1], true))
BUILD(tt, nd_matmul_t(x[0], true, x[1], true))
#define BANDED(ta, tb, of, low, high)                                                                                  \
    nd_matmul_with(x[0], x[1], (&(nd_matmul_options){ta, tb, ND_BAND_##of, low, high}))
BUILD(band_a, BANDED(false, false, A, INT64_MIN, 0))
BUILD(band_b, BANDED(false, false, B, -1, 1))
BUILD(band_result, BANDED(false, false, RESULT, 0, INT64_MAX))
BUILD(band_a_tt, BANDED(true, true, A, -1, 0))
BUILD(band_b_tt, BANDED(true, true, B, INT64_MIN, 1))
BUILD(band_result_tt, BANDED(true, true, RESULT, 1, 2))
BUILD(band_of_gathered, nd_matmul_with(nd_gather(x[0], indices(m, 5, (int32_t[]){2, 0, 7, 2, 1})), x[1],
                                       (&(nd_matmul_options){.band = ND_BAND_A, .lower = -2})))
BUILD(banded, nd_mul(nd_banded(x[0], -1, 0, 2), x[0]))
BUILD(attention, nd_dot_product_attention(x[0], x[1], x[2], true))
BUILD(square, nd_matmul(x[0], x[0]))
BUILD(vector, nd_matmul(nd_at(x[0], "1"), x[1]))
BUILD(both_vectors, nd_matmul(nd_at(x[0], "0"), nd_at(x[1], ":, 1")))
BUILD(relu, nd_select(nd_le(x[0], nd_const(m, 0)), nd_const(m, 0), x[0]))
BUILD(broadcasting, nd_mul(nd_add(x[0], x[1]), nd_sub(x[1], x[2])))
BUILD(mean, nd_mean(nd_mul(x[0], x[0]), ND_ALL_AXES, true))
BUILD(max_all, nd_mul(nd_reduce_max(x[0], ND_ALL_AXES, true), x[0]))
BUILD(max_none, nd_reduce_max(nd_mul(x[0], x[0]), ND_AXES(), false))
BUILD(max_first, nd_mul(nd_reduce_max(x[0], ND_AXES(0), true), x[0]))
BUILD(max_last_two, nd_mul(nd_reduce_max(x[0], ND_AXES(1, 2), true), x[0]))
BUILD(back, nd_at(nd_mul(x[0], x[0]), "::-1, 1"))
BUILD(back_steps, nd_at(nd_mul(x[0], x[0]), "0, 3:0:-2"))
BUILD(empty_slice, nd_concat(ND_VALUES(nd_at(x[0], "1:1"), x[0]), 0))
BUILD(halves, nd_mul(nd_at(x[0], ":, :2"), nd_at(x[0], ":, 2:")))
BUILD(apart, nd_mul(nd_at(x[0], ":, 0"), nd_at(x[0], ":, 3")))
BUILD(interleaved, nd_mul(nd_at(x[0], ":, ::2"), nd_at(x[0], ":, 1::2")))
BUILD(tiles, nd_mul(nd_at(x[0], "0, :2"), nd_at(x[0], "1, 2:")))
BUILD(overlapping, nd_mul(nd_at(x[0], ":, :3"), nd_at(x[0], ":, 1:")))
BUILD(slices_and_whole, nd_mul(nd_concat(ND_VALUES(nd_at(x[0], ":, 2:"), nd_at(x[0], ":, :2")), 1), x[0]))
BUILD(negative_apart, nd_mul(nd_at(x[0], ":, 1::-1"), nd_at(x[0], ":, 2:")))
BUILD(twice, nd_mul(nd_mul(x[0], x[0]), x[0]))
BUILD(through_float, nd_cast(nd_cast(nd_mul(x[0], x[0]), ND_F64), ND_F64))
BUILD(matrix_indices, nd_gather(x[0], nd_reshape(indices(m, 4, (int32_t[]){1, 1, 2, 0}), ND_SHAPE(2, 2))))
BUILD(scatter_matrix,
      nd_scatter_add(nd_mul(x[0], x[0]), nd_reshape(indices(m, 4, (int32_t[]){1, 1, 0, 1}), ND_SHAPE(2, 2)), 2))
BUILD(gathered_rows, nd_matmul(nd_gather(x[0], indices(m, 5, (int32_t[]){2, 0, 7, 2, 1})), x[1]))
BUILD(gathered_columns, nd_matmul_t(x[1], true, nd_gather(x[0], indices(m, 5, (int32_t[]){2, 0, 7, 2, 1})), true))
BUILD(pow_constant, nd_pow(x[0], nd_const(m, 2.5)))
BUILD(pow_four, nd_pow(x[0], nd_const(m, 4)))
BUILD(norm, nd_sqrt(nd_sum(nd_mul(x[0], x[0]), ND_ALL_AXES, false)))
BUILD(mask, nd_mul(x[0], FLOAT(nd_and(nd_gt(x[0], nd_const(m, -0.4)), nd_lt(x[0], nd_const(m, 0.4))))))
BUILD(conv_groups, nd_conv2d(x[0], x[1], (&(nd_conv_options){.same = true, .groups = 2})))
BUILD(conv_same_strided, nd_conv2d(x[0], x[1], (&(nd_conv_options){.same = true, .stride = {2, 2}})))
BUILD(conv_far_padding, nd_conv2d(x[0], x[1], (&(nd_conv_options){.low = {3, 0}, .high = {0, 4}})))
BUILD(transpose_same,
      nd_conv2d_transpose(x[0], x[1], (&(nd_conv_options){.same = true, .stride = {2, 3}, .groups = 2})))
BUILD(conv_line, nd_conv1d(x[0], x[1], (&(nd_conv_options){.same = true, .dilation = {2}})))
BUILD(transpose_line, nd_conv1d_transpose(x[0], x[1], (&(nd_conv_options){.stride = {2}, .low = {1}})))
BUILD(average,
      nd_avg_pool2d(nd_mul(x[0], x[0]), (&(nd_pool_options){.window = {2, 3}, .stride = {1, 2}, .same = true})))
BUILD(average_line, nd_avg_pool1d(nd_mul(x[0], x[0]), (&(nd_pool_options){.window = {2}})))
BUILD(max_line, nd_max_pool1d(nd_mul(x[0], x[0]), (&(nd_pool_options){.window = {3}, .stride = {1}})))
BUILD(pooled_conv, nd_max_pool2d(nd_conv2d(x[0], x[1], (&(nd_conv_options){.stride = {1, 2}})),
                                 (&(nd_pool_options){.window = {3, 2}})))
BUILD(pooled_relu, nd_max_pool2d(nd_relu(nd_conv2d(x[0], x[1], NULL)), (&(nd_pool_options){.window = {2, 2}})))
BUILD(pooled_twice,
      nd_max_pool2d(nd_relu(nd_mul(x[0], x[0])), (&(nd_pool_options){.window = {2, 2}, .stride = {1, 1}})))
BUILD(scalar_of_one, nd_mul(x[0], nd_exp(x[0])))
/* Functions of one value, of one that something else uses too, of two; one inside another. */
BUILD(slope, nd_gelu_tanh(nd_add(x[0], x[1])))
BUILD(slope_and_more, nd_mul(nd_silu(nd_add(x[0], x[1])), nd_sin(nd_add(x[0], x[1]))))
BUILD(slope_of_two, nd_mul(nd_mul(x[0], nd_exp(x[1])), nd_add(x[0], nd_tanh(x[1]))))
BUILD(slope_of_slope, nd_silu(nd_mul(nd_gelu_tanh(nd_mul(x[0], x[1])), nd_const(m, 2))))
/* Sums with factors that are the same along the axes: of quotients, of products within products, of what is centred. */
static nd_value *centred(nd_value *x, nd_axes axes)
{
    return nd_sub(x, nd_mean(x, axes, true));
}
BUILD(share_of_rows, nd_mul(nd_exp(x[1]), nd_div(x[0], nd_sum(x[0], ND_AXES(-1), true))))
BUILD(share_of_columns, nd_mul(x[1], nd_div(x[0], nd_sum(x[0], ND_AXES(0), true))))
BUILD(share_of_shares, nd_mul(nd_div(x[0], nd_sum(nd_mul(x[0], x[1]), ND_AXES(-1), true)),
                              nd_div(x[1], nd_sum(nd_mul(x[1], x[1]), ND_AXES(-1), true))))
BUILD(scaled_centre, nd_mul(nd_mul(centred(x[0], ND_AXES(-1)), nd_sum(nd_mul(x[0], x[1]), ND_AXES(-1), true)), x[1]))
BUILD(scaled_centres, nd_div(nd_mul(centred(x[0], ND_AXES(0)), x[1]),
                             nd_sum(nd_mul(centred(x[0], ND_AXES(0)), centred(x[0], ND_AXES(0))), ND_AXES(0), true)))
/* Centred by the mean of something else, or of other axes, or not by the mean: these sums are not 0. */
BUILD(other_centre, nd_mul(nd_sub(x[0], nd_mean(x[1], ND_AXES(-1), true)),
                           nd_sum(nd_mul(nd_sub(x[0], nd_mean(x[1], ND_AXES(-1), true)), x[0]), ND_AXES(-1), true)))
BUILD(centre_of_all,
      nd_mul(centred(x[0], ND_ALL_AXES), nd_sum(nd_mul(centred(x[0], ND_ALL_AXES), x[1]), ND_AXES(-1), true)))
BUILD(half_centre, nd_mul(nd_sub(x[0], nd_div(nd_sum(x[0], ND_AXES(-1), true), nd_const(m, 5))),
                          nd_sum(nd_mul(nd_sub(x[0], nd_div(nd_sum(x[0], ND_AXES(-1), true), nd_const(m, 5))), x[1]),
                                 ND_AXES(-1), true)))

/* clang-format off */
static const op_case more[] = {
#undef CASE
#define CASE(name, n, low, high, ...) {build_##name, n, {__VA_ARGS__}, low, high, false, false},
    CASE(tn, 2, -1, 1, M32, M34)
    CASE(slope, 2, -2, 2, M23, M23)
    CASE(slope_and_more, 2, -2, 2, M23, M23)
    CASE(slope_of_two, 2, -2, 2, M23, M23)
    CASE(slope_of_slope, 2, -2, 2, M23, M23)
    CASE(share_of_rows, 2, 0.5, 2, M23, M23)
    CASE(share_of_columns, 2, 0.5, 2, T234, T234)
    CASE(share_of_shares, 2, 0.5, 2, M23, M23)
    CASE(scaled_centre, 2, 0.5, 2, T234, T234)
    CASE(scaled_centres, 2, 0.5, 2, M32, M32)
    CASE(other_centre, 2, 0.5, 2, M23, M23)
    CASE(centre_of_all, 2, 0.5, 2, M23, M23)
    CASE(half_centre, 2, 0.5, 2, M23, M23)
    CASE(pooled_conv, 2, -1, 1, {4, {2, 5, 8, 2}}, {4, {2, 2, 2, 3}})
    CASE(pooled_relu, 2, -1, 1, {4, {2, 6, 4, 1}}, {4, {2, 1, 1, 3}})
    CASE(pooled_twice, 1, -1, 1, {4, {1, 4, 4, 2}})
    CASE(nt, 2, -1, 1, M23, M43)
    CASE(tt, 2, -1, 1, M32, M43)
    CASE(matmul, 2, -1, 1, T234, {3, {2, 4, 2}})
    CASE(matmul, 2, -1, 1, T234, M42)
    CASE(matmul, 2, -1, 1, M23, {4, {2, 2, 3, 2}})
    CASE(matmul, 2, -1, 1, {3, {1, 2, 3}}, {3, {2, 3, 2}})
    CASE(tn, 2, -1, 1, T234, M32)
    CASE(nt, 2, -1, 1, T234, M34)
    CASE(tt, 2, -1, 1, T234, M23)
    CASE(tt, 2, -1, 1, {4, {2, 2, 3, 2}}, M43)
    CASE(matmul, 2, -1, 1, {2, {0, 3}}, M34)
    CASE(matmul, 2, -1, 1, {2, {1, 70}}, {2, {70, 1}})
    CASE(band_a, 2, -1, 1, T234, {3, {2, 4, 2}})
    CASE(band_a, 2, -1, 1, T234, M42)
    CASE(band_b, 2, -1, 1, T234, M42)
    CASE(band_result, 2, -1, 1, T234, M42)
    CASE(band_result, 2, -1, 1, {3, {1, 2, 3}}, {3, {2, 3, 2}})
    CASE(band_a_tt, 2, -1, 1, M32, M43)
    CASE(band_b_tt, 2, -1, 1, M32, M43)
    CASE(band_result_tt, 2, -1, 1, T234, M23)
    CASE(band_of_gathered, 2, -1, 1, M23, M34)
    CASE(banded, 1, -1, 1, T234)
    CASE(attention, 3, -1, 1, T234, T234, T234)
    CASE(attention, 3, -1, 1, {3, {2, 4, 2}}, {2, {3, 2}}, {2, {3, 1}})
    CASE(square, 1, -1, 1, {2, {3, 3}})
    CASE(vector, 2, -1, 1, M23, M34)
    CASE(both_vectors, 2, -1, 1, M23, M34)
    CASE(relu, 1, -1, 1, M23)
    CASE(broadcasting, 3, -1, 1, M23, V3, SCALAR_SHAPE)
    CASE(broadcasting, 3, -1, 1, {3, {2, 1, 3}}, {2, {4, 1}}, {1, {1}})
    CASE(mean, 1, -1, 1, T234)
    CASE(max_all, 1, -1, 1, T234)
    CASE(max_none, 1, -1, 1, M23)
    CASE(max_first, 1, -1, 1, T234)
    CASE(max_last_two, 1, -1, 1, T234)
    CASE(back, 1, -1, 1, M23)
    CASE(back_steps, 1, -1, 1, M24)
    CASE(empty_slice, 1, -1, 1, M24)
    CASE(halves, 1, -1, 1, M24)
    CASE(apart, 1, -1, 1, M24)
    CASE(interleaved, 1, -1, 1, M24)
    CASE(tiles, 1, -1, 1, M24)
    CASE(overlapping, 1, -1, 1, M24)
    CASE(slices_and_whole, 1, -1, 1, M24)
    CASE(negative_apart, 1, -1, 1, M24)
    CASE(twice, 1, -1, 1, M23)
    CASE(through_float, 1, -1, 1, M23)
    CASE(matrix_indices, 1, -1, 1, M32)
    CASE(scatter_matrix, 1, -1, 1, {3, {2, 2, 3}})
    CASE(gathered_rows, 2, -1, 1, M34, M42)
    CASE(gathered_columns, 2, -1, 1, M34, M42)
    CASE(pow_constant, 1, 0.5, 2, M23)
    CASE(pow_four, 1, -1, 1, M23)
    CASE(norm, 1, 0.5, 1, V5)
    CASE(mask, 1, -1, 1, M23)
    CASE(conv_groups, 2, -1, 1, {4, {1, 3, 3, 4}}, {4, {3, 2, 2, 2}})
    CASE(conv_same_strided, 2, -1, 1, {4, {1, 4, 3, 2}}, {4, {3, 3, 2, 1}})
    CASE(conv_far_padding, 2, -1, 1, {4, {1, 2, 2, 1}}, {4, {2, 2, 1, 2}})
    CASE(transpose_same, 2, -1, 1, {4, {1, 2, 2, 4}}, {4, {3, 2, 1, 4}})
    CASE(conv_line, 2, -1, 1, {3, {2, 5, 2}}, {3, {3, 2, 2}})
    CASE(transpose_line, 2, -1, 1, {3, {2, 3, 2}}, {3, {4, 1, 2}})
    CASE(average, 1, -1, 1, {4, {1, 3, 4, 2}})
    CASE(average_line, 1, -1, 1, {3, {2, 5, 2}})
    CASE(max_line, 1, -1, 1, {3, {2, 5, 2}})
    CASE(scalar_of_one, 1, -1, 1, {3, {1, 1, 1}})
};
/* clang-format on */

static nd_value *make_inputs(const op_case *c, nd_module *m, nd_value **x)
{
    for (int i = 0; i < c->n; i++) {
        char name[2] = {(char)('p' + i), 0};
        x[i] = c->variables ? nd_variable(m, name, ND_F64, c->shapes[i], nd_zeros())
                            : nd_input(m, name, ND_F64, c->shapes[i]);
    }
    return c->build(m, x);
}

static void run_case(const op_case *c, const char *what)
{
    nd_module *m = nd_module_create("grad");
    nd_value *x[4];
    double *values[4] = {NULL};
    nd_value *y = make_inputs(c, m, x);
    for (int i = 0; i < c->n; i++) {
        int n = grad_count(x[i]);
        values[i] = calloc((size_t)n + 1, sizeof(double));
        ck_assert_ptr_nonnull(values[i]);
        grad_fill(values[i], n, c->low, c->high, 100 + (unsigned)i);
    }
    if (c->none) {
        nd_value *g = nd_gradient(nd_sum(y, ND_ALL_AXES, false), x[0]);
        ck_assert(nd_value_is_poison(g));
        ck_assert_int_eq(nd_module_status(m), ND_ERR_GRAPH);
        ck_assert_msg(strstr(nd_module_error(m), what) && strstr(nd_module_error(m), "no gradient"), "%s: %s", what,
                      nd_module_error(m));
    } else {
        grad_check(what, m, c->n, x, y, values, false);
    }
    for (int i = 0; i < c->n; i++)
        free(values[i]);
    nd_module_destroy(m);
}

START_TEST(every_op)
{
    ck_assert_msg(cases[_i].build, "%s has no case", nd__ops[_i].name);
    run_case(&cases[_i], nd__ops[_i].name);
}
END_TEST

/* What is the same along the axes of a gradient's sums is no part of what is summed. */
/* Where the targets were, the gradients may go. */
START_TEST(in_place_of_the_targets)
{
    nd_module *m = nd_module_create("m");
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(3)), *w = nd_input(m, "w", ND_F32, ND_SHAPE(3)), *apart[2];
    nd_value *loss = nd_sum(nd_mul(x, nd_exp(w)), ND_ALL_AXES, false), *both[] = {x, w};
    nd_gradients(loss, 2, both, apart);
    nd_gradients(loss, 2, both, both);
    ck_assert_int_eq(nd_module_status(m), ND_OK);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(both[i]->node->op, apart[i]->node->op);
    nd_module_destroy(m);
}
END_TEST

START_TEST(sums_apart)
{
    nd_module *m = nd_module_create("apart");
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(6, 100)), *t = nd_input(m, "t", ND_F32, ND_SHAPE(6, 100)), *dx;
    nd_value *d = centred(x, ND_AXES(-1)), *variance = nd_mean(nd_mul(d, d), ND_AXES(-1), true);
    nd_value *y = nd_softmax(nd_mul(d, nd_div(nd_const(m, 1), nd_sqrt(variance))), -1);
    const int forward = m->node_count;
    nd_gradients(nd_sum(nd_mul(y, t), ND_ALL_AXES, false), 1, &x, &dx);
    ck_assert_int_eq(m->status, ND_OK);
    int sums = 0;
    bool *needed = calloc((size_t)m->node_count, sizeof *needed);
    needed[dx->node->number] = true;
    for (int i = m->node_count - 1; i >= forward; i--) {
        const nd__node *n = m->nodes[i];
        for (int k = 0; k < n->input_count; k++)
            needed[n->inputs[k]->node->number] |= needed[i];
        if (!needed[i] || n->op != ND__OP_sum)
            continue;
        const nd__node *of = n->inputs[0]->node;
        sums++;
        ck_assert_int_ne(of->op, ND__OP_neg);
        ck_assert_int_ne(of->op, ND__OP_add);
        for (int k = 0; k < of->input_count && of->op == ND__OP_mul; k++)
            ck_assert_int_ne(of->inputs[k]->node->op, ND__OP_broadcast);
    }
    free(needed);
    ck_assert_int_eq(sums, 3); /* of dy e; of the gradient of what is normalised, and of that with d */
    nd_module_destroy(m);
}
END_TEST

START_TEST(more_cases)
{
    char what[24];
    snprintf(what, sizeof what, "case %d", _i);
    run_case(&more[_i], what);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("grad_ops");
    TCase *c = tcase_create("ops");
    tcase_add_test(c, sums_apart);
    tcase_add_test(c, in_place_of_the_targets);
    tcase_add_loop_test(c, every_op, 0, ND__OPS);
    tcase_add_loop_test(c, more_cases, 0, (int)(sizeof more / sizeof *more));
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
