/* Formulas: the nodes that the builder calls make, NumPy's precedence, every message, mutated texts, failing memory. */
#include "compiler/formula/formula.h"
#include "failing_alloc.h"
#include "nadir/nn.h"
#include "random_op.h"
#include "run_suite.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static nd_module *m;
static nd_value *x, *w, *b, *y, *i, *c, *key, *weight;

/* The values that the tests' formulas speak of. */
static void begin(void)
{
    m = nd_module_create("formulas");
    ck_assert_ptr_nonnull(m);
    int64_t rows = nd_dim(m, "B", 3);
    x = nd_input(m, "x", ND_F32, ND_SHAPE(rows, 4));
    w = nd_input(m, "w", ND_F32, ND_SHAPE(4, 5));
    b = nd_input(m, "b", ND_F32, ND_SHAPE(5));
    y = nd_input(m, "y", ND_F32, ND_SHAPE(rows, 5));
    i = nd_input(m, "i", ND_I32, ND_SHAPE(rows));
    c = nd_input(m, "c", ND_BOOL, ND_SHAPE(rows, 4));
    key = nd_input(m, "key", ND_U32, ND_SHAPE(2));
    weight = nd_variable(m, "hidden/weight", ND_F32, ND_SHAPE(4, 4), nd_zeros());
    nd_function(m, "twice", ND_VALUES(b), ND_VALUES(nd_add(b, b)));
    nd_function(m, "pair", ND_VALUES(b), ND_VALUES(b, b));
    ck_assert_str_eq(nd_module_error(m), "");
}

static void end(void)
{
    nd_module_destroy(m);
}

/* -- the same nodes ----------------------------------------------------------------------------------------------- */

static bool same_attr(const nd__attr *p, const nd__attr *q)
{
    if (p->key != q->key || p->i != q->i || p->count != q->count || p->function != q->function ||
        p->variable != q->variable)
        return false;
    if (p->count > 0 && memcmp(p->ints, q->ints, (size_t)p->count * sizeof *p->ints) != 0)
        return false;
    if (!p->data != !q->data)
        return false;
    return !p->data ||
           (p->data->dtype == q->data->dtype && p->data->count == q->data->count &&
            memcmp(p->data->items, q->data->items, (size_t)p->data->count * nd_dtype_size(p->data->dtype)) == 0);
}

/* The same ops over the same values with the same attributes, wherever they stand in the module. */
static bool same(const nd_value *p, const nd_value *q)
{
    if (p == q)
        return !nd_value_is_poison(p);
    if (p->node->op != q->node->op || p->index != q->index || p->weak != q->weak ||
        p->node->input_count != q->node->input_count || p->node->op == ND__OP_input)
        return false;
    for (int k = 0; k < p->node->attr_count; k++)
        if (!same_attr(&p->node->attrs[k], &q->node->attrs[k]))
            return false;
    for (int k = 0; k < p->node->input_count; k++)
        if (!same(p->node->inputs[k], q->node->inputs[k]))
            return false;
    return true;
}

#define SAME(text, expression)                                                                                         \
    do {                                                                                                               \
        nd_value *formula = nd_formula(m, text), *built = (expression);                                                \
        ck_assert_msg(nd_module_status(m) == ND_OK, "%s: %s", text, nd_module_error(m));                               \
        ck_assert_msg(same(formula, built), "%s: other nodes than the calls make", text);                              \
    } while (0)
#define K(value) nd_const(m, value)

START_TEST(operators_are_the_calls)
{
    SAME("x", x);
    SAME("'hidden/weight'", weight);
    SAME("(x + 1) * (x - 2.5)", nd_mul(nd_add(x, K(1)), nd_sub(x, K(2.5))));
    SAME("x + x * x", nd_add(x, nd_mul(x, x)));
    SAME("x - x - x", nd_sub(nd_sub(x, x), x));
    SAME("x / 2 / x", nd_div(nd_div(x, K(2)), x));
    SAME("-x ** 2", nd_neg(nd_pow(x, K(2))));
    SAME("x ** -x", nd_pow(x, nd_neg(x)));
    SAME("x ** x ** x", nd_pow(x, nd_pow(x, x)));
    SAME("(-x) ** 3", nd_pow(nd_neg(x), K(3)));
    SAME("+x", x);
    SAME("--x", nd_neg(nd_neg(x)));
    SAME("x @ w + b", nd_add(nd_matmul(x, w), b));
    SAME("2 * x @ w", nd_matmul(nd_mul(K(2), x), w));
    SAME("i // 2 % 3", nd_mod(nd_floordiv(i, K(2)), K(3)));
    SAME("i << 1 + 1", nd_shl(i, nd_add(K(1), K(1))));
    SAME("i | i ^ i & ~i >> 1", nd_or(i, nd_xor(i, nd_and(i, nd_shr(nd_not(i), K(1))))));
    SAME("x < 0.5", nd_lt(x, K(0.5)));
    SAME("x + 1 >= -x", nd_ge(nd_add(x, K(1)), nd_neg(x)));
    SAME("(x != x) | (x == 0) | (x <= 1) & (x > 2)",
         nd_or(nd_or(nd_ne(x, x), nd_eq(x, K(0))), nd_and(nd_le(x, K(1)), nd_gt(x, K(2)))));
    SAME("c & True", nd_and(c, nd_const_of(m, ND_BOOL, 1)));
    SAME("x * pi", nd_mul(x, K(3.14159265358979323846)));
    SAME(" \t\n x\r\n", x);
}
END_TEST

START_TEST(subscripts_are_nd_at)
{
    SAME("x[:, 1]", nd_at(x, ":, 1"));
    SAME("w[1:, ::-1]", nd_at(w, "1:, ::-1"));
    SAME("w[..., None, -1]", nd_at(w, "..., None, -1"));
    SAME("w[1][2]", nd_at(nd_at(w, "1"), "2"));
    SAME("x[::-1].T", nd_transpose(nd_at(x, "::-1"), ND_ALL_AXES));
    SAME("-w[0] ** 2", nd_neg(nd_pow(nd_at(w, "0"), K(2))));
    SAME("arange(10)[:B]", nd_at(nd_iota(m, ND_I32, ND_SHAPE(10), 0), ":B"));
    ck_assert_int_eq(nd_value_shape(nd_formula(m, "arange(10)[:B]")).dims[0], nd_dim(m, "B", 3));
    SAME("x[:B]", x);
}
END_TEST

START_TEST(calls_are_the_calls)
{
    const int64_t one[] = {1, 1}, two[] = {2, 0}, size[] = {2, 2}, step[] = {1, -1};
    SAME("sum(x)", nd_sum(x, ND_ALL_AXES, false));
    SAME("sum(x, axis=1, keepdims=True)", nd_sum(x, ND_AXES(1), true));
    SAME("sum(x, [0, -1], False)", nd_sum(x, ND_AXES(0, -1), false));
    SAME("mean(keepdims=True, axis=(1,), x=x)", nd_mean(x, ND_AXES(1), true));
    SAME("x.mean(axis=None)", nd_mean(x, ND_ALL_AXES, false));
    SAME("sum(x, axis=())", nd_sum(x, ND_AXES(), false));
    SAME("max(x, 0)", nd_reduce_max(x, ND_AXES(0), false));
    SAME("min(x, axis=1)", nd_reduce_min(x, ND_AXES(1), false));
    SAME("maximum(x, 0)", nd_max(x, K(0)));
    SAME("minimum(x, x)", nd_min(x, x));
    SAME("logsumexp(x, 1)", nd_logsumexp(x, ND_AXES(1), false));
    SAME("argmax(x, axis=1)", nd_argmax(x, 1));
    SAME("argmin(w)", nd_argmin(nd_reshape(w, ND_SHAPE(-1)), 0));
    SAME("matmul(x, w)", nd_matmul(x, w));
    SAME("matmul(w, w, transpose_b=True)", nd_matmul_t(w, false, w, true));
    SAME("matmul(x, x, transpose_a=True)", nd_matmul_t(x, true, x, false));
    SAME("tril(x)", nd_banded(x, INT64_MIN, 0, 0));
    SAME("triu(x, k=-1)", nd_banded(x, -1, INT64_MAX, 0));
    SAME("where(x > 0, x, 0)", nd_select(nd_gt(x, K(0)), x, K(0)));
    SAME("fma(x, x, 1)", nd_fma(x, x, K(1)));
    SAME("power(x, 2)", nd_pow(x, K(2)));
    SAME("cast(i, f32)", nd_cast(i, ND_F32));
    SAME("i.astype(float64)", nd_cast(i, ND_F64));
    SAME("reshape(x, [2, -1, B])", nd_reshape(x, ND_SHAPE(2, -1, nd_dim(m, "B", 3))));
    SAME("reshape(x, (4*B,))", nd_reshape(x, ND_SHAPE(-1)));
    SAME("reshape(x, [x.shape[-1], x.shape[0]])", nd_reshape(x, ND_SHAPE(4, nd_dim(m, "B", 3))));
    SAME("reshape(w, -1)", nd_reshape(w, ND_SHAPE(-1)));
    SAME("reshape(w[0, 0], [])", nd_at(w, "0, 0"));
    SAME("transpose(w, [1, 0])", nd_transpose(w, ND_AXES(1, 0)));
    SAME("w.transpose()", nd_transpose(w, ND_ALL_AXES));
    SAME("broadcast_to(b, [B, 5])", nd_broadcast(b, ND_SHAPE(nd_dim(m, "B", 3), 5)));
    SAME("concatenate([x, x[::-1]], axis=1)", nd_concat(ND_VALUES(x, nd_at(x, "::-1")), 1));
    SAME("concatenate((x, x))", nd_concat(ND_VALUES(x, x), 0));
    SAME("pad(w, 1, [2, 0], value=-inf)", nd_pad(w, one, two, NULL, -1.0 / 0.0));
    SAME("slice(w, [1, 1], [2, 2], step=[1, -1])", nd_slice(w, one, size, step));
    SAME("gather(w, i)", nd_gather(w, i));
    SAME("scatter_add(x, i, rows=2*B)",
         nd_scatter_add(x, i, nd_dim_at("", m, "B", 3) ? nd__size_mul(m, 2, nd_dim(m, "B", 3)) : 0));
    SAME("zeros([2, 3])", nd_filled(m, ND_F32, ND_SHAPE(2, 3), 0));
    SAME("ones(4, i64)", nd_filled(m, ND_I64, ND_SHAPE(4), 1));
    SAME("full([B], True, bool)", nd_filled(m, ND_BOOL, ND_SHAPE(nd_dim(m, "B", 3)), 1));
    SAME("iota([2, 3], axis=1, dtype=f32)", nd_iota(m, ND_F32, ND_SHAPE(2, 3), 1));
    SAME("size(4*B, f32)", nd_size(m, ND_F32, nd__size_mul(m, 4, nd_dim(m, "B", 3))));
    SAME("random_bits(key, 7, [3])", nd_random_bits(key, 7, ND_SHAPE(3)));
    SAME("uniform(key, 1, [2], f64)", nd_uniform(key, 1, ND_F64, ND_SHAPE(2)));
    SAME("normal(key, 2, [4])", nd_normal(key, 2, ND_F32, ND_SHAPE(4)));
    SAME("relu(x @ w + b)", nd_relu(nd_add(nd_matmul(x, w), b)));
    SAME("gelu(x)", nd_gelu(x));
    SAME("gelu_tanh(x)", nd_gelu_tanh(x));
    SAME("silu(x)", nd_silu(x));
    SAME("softplus(x)", nd_softplus(x));
    SAME("softmax(x)", nd_softmax(x, -1));
    SAME("log_softmax(x, axis=0)", nd_log_softmax(x, 0));
    SAME("cross_entropy(x, i)", nd_cross_entropy(x, i));
    SAME("mean_squared_error(x @ w, y)", nd_mean_squared_error(nd_matmul(x, w), y));
    SAME("square(x)", nd_mul(x, x));
    SAME("gradient(sum(x * x), x)", nd_gradient(nd_sum(nd_mul(x, x), ND_ALL_AXES, false), x));
    nd_value *image = nd_reshape(w, ND_SHAPE(1, 4, 5, 1)), *kernel = nd_reshape(nd_at(b, "0:3"), ND_SHAPE(1, 3, 1, 1));
    nd_name(image, "image");
    nd_name(kernel, "kernel");
    SAME("conv2d(image, kernel, stride=[1, 2], low=1, dilation=[3, 1])",
         nd_conv2d(image, kernel, (&(nd_conv_options){.stride = {1, 2}, .low = {1, 1}, .dilation = {3, 1}})));
    SAME("conv2d_transpose(image, kernel, 2, size=[8, 12])",
         nd_conv2d_transpose(image, kernel, (&(nd_conv_options){.stride = {2, 2}, .size = {8, 12}})));
    SAME("conv1d(image[0], kernel[0], same=True)",
         nd_conv1d(nd_at(image, "0"), nd_at(kernel, "0"), (&(nd_conv_options){.same = true})));
    SAME("max_pool2d(image, [1, 2], stride=1)",
         nd_max_pool2d(image, (&(nd_pool_options){.window = {1, 2}, .stride = {1, 1}})));
    SAME("avg_pool2d(image, 2)", nd_avg_pool2d(image, (&(nd_pool_options){.window = {2, 2}})));
    nd_value *twice;
    nd_apply(nd_module_function(m, "twice"), ND_VALUES(b), &twice);
    SAME("twice(b)", twice);
}
END_TEST

/* Every op that is made of values alone is callable under its own name the day that it joins the list; so is every name
 * of the table, and none is there twice. */
START_TEST(every_op_is_callable)
{
    /* Without values, with functions for operands, or Python's words: logical_and, ... in a formula. Gradients of
     * windows make the others; of these, conv2d_transpose and max_pool2d are for people. */
    static const nd__op others[] = {
        ND__OP_input,    ND__OP_variable,       ND__OP_constant,      ND__OP_apply,
        ND__OP_cond,     ND__OP_scan,           ND__OP_and,           ND__OP_or,
        ND__OP_not,      ND__OP_conv2d_dx,      ND__OP_conv2d_dw,     ND__OP_conv2d_dw_pooled,
        ND__OP_max_pool, ND__OP_max_pool_index, ND__OP_max_pool_pick, ND__OP_max_pool_spread};
    for (int op = 0; op < ND__OPS; op++) {
        bool other = false;
        for (size_t k = 0; k < sizeof others / sizeof *others; k++)
            other |= others[k] == (nd__op)op;
        nd__call call;
        ck_assert_msg(nd__call_find(m, nd__ops[op].name, strlen(nd__ops[op].name), &call) == !other, "%s",
                      nd__ops[op].name);
    }
    for (int k = 0; nd__call_name(k); k++) {
        char text[80];
        const char *name = nd__call_name(k);
        nd_module *fresh = nd_module_create("fresh");
        snprintf(text, sizeof text, "%s()", name);
        nd_formula(fresh, text);
        ck_assert_msg(strstr(nd_module_error(fresh), " is missing: ") != NULL, "%s: %s", text, nd_module_error(fresh));
        nd_module_destroy(fresh);
        for (int j = 0; j < k; j++)
            ck_assert_msg(strcmp(nd__call_name(j), name) != 0, "%s is there twice", name);
    }
}
END_TEST

START_TEST(the_last_value_of_a_name)
{
    nd_value *first = nd_name(nd_neg(x), "z"), *second = nd_name(nd_exp(x), "z");
    ck_assert_ptr_ne(first, second);
    ck_assert_ptr_eq(nd_formula(m, "z"), second);
    nd_name(nd_abs(x), "pi");
    ck_assert_int_eq(nd_formula(m, "pi")->node->op, ND__OP_abs);
}
END_TEST

/* -- values ------------------------------------------------------------------------------------------------------- */

static const struct {
    const char *text, *value;
} values[] = {
    {"1 + 2", "i32 3"},
    {"1 / 2", "f32 0.5"},
    {"4 / 2", "f32 2"},
    {"2 ** -1", "f32 0.5"},
    {"2 ** 3 ** 2", "i32 512"},
    {"-2 ** 2", "i32 -4"},
    {"(-2) ** 2", "i32 4"},
    {"-7 // 2", "i32 -4"},
    {"-7 % 3", "i32 2"},
    {"7 // 2 * 2 + 7 % 2", "i32 7"},
    {"1 + 2 << 1", "i32 6"},
    {"1 | 6 & 3 ^ 1", "i32 3"},
    {"0xff & 0x0F", "i32 15"},
    {"~5", "i32 -6"},
    {"-2147483648", "i32 -2147483648"},
    {"1.", "f32 1"},
    {".5e1", "f32 5"},
    {"1e3", "f32 1000"},
    {"1 < 2.5", "bool True"},
    {"True & ~False", "bool True"},
    {"exp(0)", "f32 1"},
    {"sqrt(4)", "f32 2"},
    {"maximum(2, 3)", "i32 3"},
    {"where(1 > 2, 1, 2.5)", "f32 2.5"},
    {"full([2], 3, f64) * sqrt(4)", "f64[2] [6 6]"},
    {"arange(6).reshape([2, 3])[1, ::-1]", "i32[3] [5 4 3]"},
    {"sum(arange(5), axis=0)", "i32 10"},
    {"iota([2, 2], 1, f32) @ ones([2])", "f32[2] [1 1]"},
    {"arange(3) == 1", "bool[3] [False  True False]"},
    {"-inf", "f32 -inf"},
};

START_TEST(values_are_numpys)
{
    char text[200];
    nd_tensor *t = nd_evaluate(nd_formula(m, values[_i].text));
    ck_assert_msg(nd_tensor_status(t) == ND_OK, "%s: %s", values[_i].text, nd_module_error(m));
    nd_tensor_text(t, text, sizeof text);
    nd_tensor_destroy(t);
    ck_assert_str_eq(text, values[_i].value);
}
END_TEST

/* A literal meets the dtype of what is beside it, also through calls. */
START_TEST(literals_are_weak)
{
    nd_value *d = nd_input(m, "d", ND_F64, ND_SCALAR);
    SAME("d * sqrt(2)", nd_mul(d, nd_sqrt(K(2))));
    ck_assert_int_eq(nd_value_dtype(nd_formula(m, "d + 1/3")), ND_F64);
    ck_assert_int_eq(nd_value_dtype(nd_formula(m, "i + 4 // 2")), ND_I32);
    ck_assert_int_eq(nd_value_dtype(nd_mul(d, nd_formula(m, "2"))), ND_F64);
}
END_TEST

/* -- messages ----------------------------------------------------------------------------------------------------- */

static const struct {
    const char *text, *message;
} bad[] = {
    {"", "here: formula: column 1: expected a value, got the end\n    \n    ^"},
    {"x +", "here: formula: column 4: expected a value, got the end\n    x +\n       ^"},
    {"(x", "here: formula: column 3: expected ')', got the end\n    (x\n      ^"},
    {"x x", "here: formula: column 3: expected an operator or the end, got 'x'\n    x x\n      ^"},
    {"x $ 2", "here: formula: column 3: a character that formulas do not have\n    x $ 2\n      ^"},
    {"!c", "here: formula: column 1: '!' is no operator; '~' negates bools and bits, '!=' compares\n    !c\n    ^"},
    {"x = 2", "here: formula: column 3: expected an operator or the end, got '='; '==' compares, and only arguments of "
              "calls have names\n    x = 2\n      ^"},
    {"c and c", "here: formula: column 3: expected an operator or the end, got 'and'; '&' joins bools: (a > 0) & (b > "
                "0)\n    c and c\n      ^"},
    {"not c", "here: formula: column 1: expected a value, got 'not'; '~' negates bools\n    not c\n    ^"},
    {"x if c else x", "here: formula: column 3: expected an operator or the end, got 'if'; where(condition, a, b) "
                      "chooses\n    x if c else x\n      ^"},
    {"[1, 2]",
     "here: formula: column 1: expected a value, got '['; a list can only be an argument of a call\n    [1, 2]\n    ^"},
    {"0 < x < 1",
     "here: formula: column 7: comparisons do not chain; write (a < b) & (b < c)\n    0 < x < 1\n          ^"},
    {"wieght", "here: formula: column 1: no value is named 'wieght'\n    wieght\n    ^"},
    {"kye + 1", "here: formula: column 1: no value is named 'kye'; did you mean 'key'?\n    kye + 1\n    ^"},
    {"x * B", "here: formula: column 5: 'B' is a dimension; as a number it is size(B, f32)\n    x * B\n        ^"},
    {"'x", "here: formula: column 1: the quoted name does not end\n    'x\n    ^"},
    {"2x", "here: formula: column 1: this is no number\n    2x\n    ^"},
    {"1.2.3", "here: formula: column 1: this is no number\n    1.2.3\n    ^"},
    {"1e", "here: formula: column 1: this is no number\n    1e\n    ^"},
    {"0x", "here: formula: column 1: a hexadecimal number is 0x and digits\n    0x\n    ^"},
    {"9007199254740993", "here: formula: column 1: an integer from 2^53 on is not exact; use a constant tensor\n    "
                         "9007199254740993\n    ^"},
    {"x.y", "here: formula: column 3: expected T or a call behind '.', got 'y'\n    x.y\n      ^"},
    {"x.shape", "here: formula: column 3: a shape is no value; x.shape[0] is a size, in shapes and in size(x.shape[0], "
                "f32)\n    x.shape\n      ^"},
    /* subscripts */
    {"x[1", "here: formula: column 4: expected ']', got the end\n    x[1\n       ^"},
    {"x[1.5]", "here: formula: column 3: an index is an integer\n    x[1.5]\n      ^"},
    {"w[i]",
     "here: formula: column 3: expected an index, a slice, None or ..., got 'i'; gather(x, indices) takes rows by "
     "a value\n    w[i]\n      ^"},
    {"w[7]", "here: subscript: index 7 is outside axis 0 of \"w\" f32[4,5]\n    w[7]\n     ^"},
    {"w[B:]",
     "here: subscript: axis 0: a dimension can only be where a slice from 0 stops, as in :B\n    w[B:]\n     ^"},
    {"x[1:]",
     "here: subscript: axis 0 of \"x\" f32[B=3,4] is named; a part of it is not a number times a product of names\n   "
     " x[1:]\n     ^"},
    /* calls */
    {"summ(x)", "here: formula: column 1: no function is named 'summ'; did you mean 'sum'?\n    summ(x)\n    ^"},
    {"sum(x, dim=1)",
     "here: formula: column 8: sum has no argument 'dim': sum(x, axis=, keepdims=)\n    sum(x, dim=1)\n    "
     "       ^"},
    {"sum(x, 0, True, 3)", "here: formula: column 17: sum takes 3 arguments: sum(x, axis=, keepdims=)\n    sum(x, 0, "
                           "True, 3)\n                    ^"},
    {"sum(x, axis=0, 1)",
     "here: formula: column 16: an argument without a name behind one with a name\n    sum(x, axis=0, "
     "1)\n                   ^"},
    {"sum(x, 0, axis=1)", "here: formula: column 11: sum: axis is given twice\n    sum(x, 0, axis=1)\n              ^"},
    {"max(x, x)",
     "here: formula: column 8: expected an integer, a list of integers or None for axis of max, got 'x'\n    "
     "max(x, x)\n           ^"},
    {"sum(x, keepdims=1)", "here: formula: column 17: expected True or False for keepdims of sum, got '1'\n    sum(x, "
                           "keepdims=1)\n                    ^"},
    {"tril(x, [0, 1])", "here: tril: expected one number for k, got 2\n    tril(x, [0, 1])\n    ^"},
    {"matmul(x)",
     "here: formula: column 1: matmul: b is missing: matmul(a, b, transpose_a=, transpose_b=)\n    matmul(x)\n  "
     "  ^"},
    {"cast(x, float)",
     "here: formula: column 9: expected a dtype (f32, f64, i32, i64, u32, u8, bool) for dtype of cast, got "
     "'float'\n    cast(x, float)\n            ^"},
    {"reshape(x, [2, C])",
     "here: formula: column 16: no dimension is named 'C'\n    reshape(x, [2, C])\n                   ^"},
    {"reshape(x, [2 3])",
     "here: formula: column 15: expected ',', got '3'\n    reshape(x, [2 3])\n                  ^"},
    {"zeros([99999999 * 99999999 * 99999999])",
     "here: formula: column 28: this is no size: it must be a number times a product of dimensions, and not too "
     "large\n  "
     "  zeros([99999999 * 99999999 * 99999999])\n                               ^"},
    {"concatenate(x, x)", "here: formula: column 13: expected a list of values for values of concatenate, got 'x'\n    "
                          "concatenate(x, x)\n                ^"},
    {"x.zeros()",
     "here: formula: column 3: zeros is not called behind a dot: zeros(shape, dtype=)\n    x.zeros()\n      ^"},
    {"pair(b)",
     "here: formula: column 1: the function \"pair\" gives 2 values; in a formula it must give one\n    pair(b)\n  "
     "  ^"},
    {"pad(w, [1, 1, 1], 0)", "here: pad: 3 numbers for the 2 axes of f32[4,5]\n    pad(w, [1, 1, 1], 0)\n    ^"},
    /* the builder's own errors, at the operator or the call */
    {"1 + sum(x, axis=2)", "here: sum: axis 2 is outside -2..1\n    1 + sum(x, axis=2)\n        ^"},
    {"x / i[:, None]", "here: div: operand %11 is i32[B=3,4], expected floats\n    x / i[:, None]\n      ^"},
    {"(x @ w) @ w", "here: matmul: inner sizes differ, f32[B=3,5] x f32[4,5]\n    (x @ w) @ w\n            ^"},
    {"x + y", "here: add: shapes do not broadcast, f32[B=3,4] and f32[B=3,5]\n    x + y\n      ^"},
    {"i + 0.5", "here: the constant 0.5 beside i32: it is no i32\n    i + 0.5\n      ^"},
    {"x +\n  q +\n  y", "here: formula: column 7: no value is named 'q'; did you mean 'x'?\n      q +\n      ^"},
};

START_TEST(mistakes_are_shown)
{
    ck_assert(nd_value_is_poison(nd_formula_at("here", m, bad[_i].text)));
    const char *error = nd_module_error(m), *expected = bad[_i].message;
    size_t n = strlen(expected);
    bool notes = strncmp(error, expected, n) == 0 && strncmp(error + n, "\n  note: ", 9) == 0;
    ck_assert_msg(notes || strcmp(error, expected) == 0, "%s\n%s\nexpected\n%s", bad[_i].text, error, expected);
    ck_assert(nd_value_is_poison(nd_formula(m, "x")));
    ck_assert_int_eq(strncmp(nd_module_error(m), expected, n), 0);
}
END_TEST

START_TEST(null_and_failed)
{
    ck_assert_ptr_null(nd_formula(NULL, "1"));
    ck_assert(nd_value_is_poison(nd_formula_at("here", m, NULL)));
    ck_assert_str_eq(nd_module_error(m), "here: nd_formula: the text is NULL");
    ck_assert_int_eq(nd_module_status(m), ND_ERR_ARGUMENT);
}
END_TEST

START_TEST(deep_nesting_is_an_error)
{
    static const char *const openers[] = {"(", "-", "exp(", "2**", "concatenate(["};
    for (size_t k = 0; k < sizeof openers / sizeof *openers; k++) {
        enum { TIMES = 50000 };
        size_t n = strlen(openers[k]);
        char *text = malloc(TIMES * n + 1);
        ck_assert_ptr_nonnull(text);
        for (int t = 0; t < TIMES; t++)
            memcpy(text + (size_t)t * n, openers[k], n);
        text[TIMES * n] = '\0';
        nd_module *deep = nd_module_create("deep");
        nd_formula_at("here", deep, text);
        ck_assert_ptr_nonnull(strstr(nd_module_error(deep), ": nested deeper than 100\n"));
        nd_module_destroy(deep);
        free(text);
    }
    /* As many operators side by side as one likes. */
    enum { TERMS = 5000 };
    char *sum = calloc(TERMS * 2 + 1, 1);
    ck_assert_ptr_nonnull(sum);
    for (int t = 0; t < TERMS; t++)
        memcpy(sum + (size_t)t * 2, t ? "+1" : " 1", 2);
    nd_value *v = nd_formula(m, sum);
    ck_assert_str_eq(nd_module_error(m), "");
    ck_assert(v->weak && v->number == TERMS);
    free(sum);
}
END_TEST

/* -- broken texts, failing memory --------------------------------------------------------------------------------- */

static const char *const seeds[] = {
    "sum((x @ w - y) ** 2, axis=[0, 1], keepdims=True) / 2.5e-1",
    "where((x > 0) & ~(x != 1), x[:, ::-1], -x).reshape([2, -1, B])",
    "concatenate([pad(w, [1, 0], 2, value=-inf), 'hidden/weight'[..., None, 1]], axis=0)",
    "cross_entropy(relu(x @ w + b), i % 3 << 1 | 0xF) + twice(b)[0].astype(float32)",
};

START_TEST(mutated_formulas_fail_cleanly)
{
    static const char alphabet[] = "()[]{}.,:=<>!+-*/%@&|^~'\"0123456789xwbBi_ \n\t\xc3\xa9$";
    uint64_t state = 20240611;
    for (int round = 0; round < 4000; round++) {
        char text[160];
        snprintf(text, sizeof text, "%s", seeds[random_below(&state, 4)]);
        for (int64_t edits = 1 + random_below(&state, 4); edits > 0; edits--) {
            size_t n = strlen(text), at = (size_t)random_below(&state, (int64_t)n + 1);
            char letter = alphabet[random_below(&state, sizeof alphabet - 1)];
            int64_t kind = random_below(&state, 4);
            if (kind == 0 && at < n)
                memmove(text + at, text + at + 1, n - at);
            else if (kind == 1 && n + 2 < sizeof text)
                memmove(text + at + 1, text + at, n - at + 1), text[at] = letter;
            else if (kind == 2 && at < n)
                text[at] = letter;
            else if (kind == 3)
                text[at] = '\0';
        }
        end();
        begin();
        bool poison = nd_value_is_poison(nd_formula(m, text));
        ck_assert_msg(poison == (nd_module_status(m) != ND_OK), "%s", text);
        if (poison)
            ck_assert_msg(strchr(nd_module_error(m), '^') && nd_module_status(m) != ND_ERR_INTERNAL, "%s: %s", text,
                          nd_module_error(m));
        else
            ck_assert_msg(nd__verify(m) == NULL, "%s: %s", text, nd__verify(m));
    }
}
END_TEST

START_TEST(every_allocation_may_fail)
{
    static const char *const texts[] = {
        "where(x > 0, sum(x @ w, axis=[1], keepdims=True), concatenate([x, -x], 1)[:, :1])", "kye + 1", "x + y",
        "relu(x, 1)"};
    end();
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
        bool failed = true;
        for (int n = 0; failed; n++) {
            failing_alloc_begin(n);
            m = nd_module_create("memory");
            if (m) {
                int64_t rows = nd_dim(m, "B", 3);
                x = nd_input(m, "x", ND_F32, ND_SHAPE(rows, 4));
                w = nd_input(m, "w", ND_F32, ND_SHAPE(4, 5));
                y = nd_input(m, "y", ND_F32, ND_SHAPE(rows, 5));
                nd_input(m, "key", ND_U32, ND_SHAPE(2));
                nd_formula(m, texts[k]);
            }
            nd_status status = nd_module_status(m);
            nd_module_destroy(m);
            failed = failing_alloc_end();
            ck_assert_int_eq(failing_alloc_held(), 0);
            if (!failed)
                ck_assert(k == 0 ? status == ND_OK : status == ND_ERR_PARSE || status == ND_ERR_GRAPH);
        }
    }
    begin();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("formula");
    TCase *t = tcase_create("formula");
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, operators_are_the_calls);
    tcase_add_test(t, subscripts_are_nd_at);
    tcase_add_test(t, calls_are_the_calls);
    tcase_add_test(t, every_op_is_callable);
    tcase_add_test(t, the_last_value_of_a_name);
    tcase_add_loop_test(t, values_are_numpys, 0, sizeof values / sizeof *values);
    tcase_add_test(t, literals_are_weak);
    tcase_add_loop_test(t, mistakes_are_shown, 0, sizeof bad / sizeof *bad);
    tcase_add_test(t, null_and_failed);
    tcase_add_test(t, deep_nesting_is_an_error);
    tcase_add_test(t, mutated_formulas_fail_cleanly);
    tcase_add_test(t, every_allocation_may_fail);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
