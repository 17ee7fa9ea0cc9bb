/* What formulas can call. An elementwise op of ops.def is callable by its own name without a row here. */
#include "compiler/formula/formula.h"
#include "nadir/nn.h"

#include <string.h>

/* -- reading arguments -------------------------------------------------------------------------------------------- */

static nd_axes axes_of(const nd__argument *a)
{
    nd_axes axes = {a->given ? a->list.rank : -1, {0}};
    for (int i = 0; i < a->list.rank && i < ND_MAX_RANK; i++)
        axes.items[i] = (int)a->list.dims[i];
    return axes;
}

static int axis_of(const nd__argument *a, int otherwise)
{
    return a->given ? (int)a->integer : otherwise;
}

static nd_dtype dtype_of(const nd__argument *a, nd_dtype otherwise)
{
    return a->given ? a->dtype : otherwise;
}

/* One number for every axis of x, or as many as it has axes; false: neither. */
static bool numbers_of(nd__formula *f, const char *what, const nd_value *x, nd__argument *a, int64_t otherwise)
{
    if (a->given && a->list.rank != 1 && a->list.rank != x->shape.rank) {
        nd__fail(f->m, ND_ERR_GRAPH, f->place, "%s: %d numbers for the %d axes of %s", what, a->list.rank,
                 x->shape.rank, nd__show_type(f->m, x->dtype, &x->shape));
        return false;
    }
    if (!a->given || a->list.rank == 1)
        for (int i = x->shape.rank - 1; i >= 0; i--)
            a->list.dims[i] = a->given ? a->list.dims[0] : otherwise;
    return true;
}

/* -- calls with axes, shapes, dtypes ------------------------------------------------------------------------------ */

static nd_value *call_sum(nd__formula *f, nd__argument *a)
{
    return nd_sum_at(f->place, a[0].value, axes_of(&a[1]), a[2].integer);
}

static nd_value *call_mean(nd__formula *f, nd__argument *a)
{
    return nd_mean_at(f->place, a[0].value, axes_of(&a[1]), a[2].integer);
}

static nd_value *call_max(nd__formula *f, nd__argument *a)
{
    return nd_reduce_max_at(f->place, a[0].value, axes_of(&a[1]), a[2].integer);
}

static nd_value *call_min(nd__formula *f, nd__argument *a)
{
    return nd_reduce_min_at(f->place, a[0].value, axes_of(&a[1]), a[2].integer);
}

static nd_value *call_logsumexp(nd__formula *f, nd__argument *a)
{
    return nd_logsumexp_at(f->place, a[0].value, axes_of(&a[1]), a[2].integer);
}

/* x, or without an axis all its elements in one, as NumPy's argmax takes them. */
static nd_value *along_axis(nd__formula *f, const nd__argument *a)
{
    return a[1].given ? a[0].value : nd_reshape_at(f->place, a[0].value, ND_SHAPE(-1));
}

static nd_value *call_argmax(nd__formula *f, nd__argument *a)
{
    return nd_argmax_at(f->place, along_axis(f, a), axis_of(&a[1], 0));
}

static nd_value *call_argmin(nd__formula *f, nd__argument *a)
{
    return nd_argmin_at(f->place, along_axis(f, a), axis_of(&a[1], 0));
}

static nd_value *call_matmul(nd__formula *f, nd__argument *a)
{
    if (a[2].integer || a[3].integer)
        return nd_matmul_t_at(f->place, a[0].value, a[2].integer, a[1].value, a[3].integer);
    return nd_matmul_at(f->place, a[0].value, a[1].value);
}

/* x up to (`upper`: from) the k-th diagonal, 0 elsewhere. */
static nd_value *triangle(nd__formula *f, const char *what, const nd__argument *a, bool upper)
{
    const int64_t k = a[1].given ? a[1].list.dims[0] : 0;
    if (a[1].given && a[1].list.rank != 1)
        return nd__fail(f->m, ND_ERR_GRAPH, f->place, "%s: expected one number for k, got %d", what, a[1].list.rank);
    return nd_banded_at(f->place, a[0].value, upper ? k : INT64_MIN, upper ? INT64_MAX : k, 0);
}

static nd_value *call_tril(nd__formula *f, nd__argument *a)
{
    return triangle(f, "tril", a, false);
}

static nd_value *call_triu(nd__formula *f, nd__argument *a)
{
    return triangle(f, "triu", a, true);
}

static nd_value *call_where(nd__formula *f, nd__argument *a)
{
    return nd_select_at(f->place, a[0].value, a[1].value, a[2].value);
}

static nd_value *call_cast(nd__formula *f, nd__argument *a)
{
    return nd_cast_at(f->place, a[0].value, a[1].dtype);
}

static nd_value *call_reshape(nd__formula *f, nd__argument *a)
{
    return nd_reshape_at(f->place, a[0].value, a[1].list);
}

static nd_value *call_transpose(nd__formula *f, nd__argument *a)
{
    return nd_transpose_at(f->place, a[0].value, axes_of(&a[1]));
}

static nd_value *call_broadcast(nd__formula *f, nd__argument *a)
{
    return nd_broadcast_at(f->place, a[0].value, a[1].list);
}

static nd_value *call_slice(nd__formula *f, nd__argument *a)
{
    const nd_value *x = a[0].value;
    if (!numbers_of(f, "slice", x, &a[1], 0) || !numbers_of(f, "slice", x, &a[2], 0) ||
        !numbers_of(f, "slice", x, &a[3], 1))
        return &f->m->poison;
    return nd_slice_at(f->place, a[0].value, a[1].list.dims, a[2].list.dims, a[3].list.dims);
}

static nd_value *call_concatenate(nd__formula *f, nd__argument *a)
{
    if (a[0].values.count == 0)
        return nd__fail(f->m, ND_ERR_GRAPH, f->place, "concatenate: the list is empty");
    return nd_concat_at(f->place, a[0].values, axis_of(&a[1], 0));
}

static nd_value *call_pad(nd__formula *f, nd__argument *a)
{
    const nd_value *x = a[0].value;
    if (!numbers_of(f, "pad", x, &a[1], 0) || !numbers_of(f, "pad", x, &a[2], 0) || !numbers_of(f, "pad", x, &a[4], 0))
        return &f->m->poison;
    return nd_pad_at(f->place, a[0].value, a[1].list.dims, a[2].list.dims, a[4].list.dims, a[3].number);
}

static nd_value *call_gather(nd__formula *f, nd__argument *a)
{
    return nd_gather_at(f->place, a[0].value, a[1].value);
}

static nd_value *call_scatter_add(nd__formula *f, nd__argument *a)
{
    return nd_scatter_add_at(f->place, a[0].value, a[1].value, a[2].integer);
}

/* -- windows ------------------------------------------------------------------------------------------------------ */

/* A number for both axes, or two; nothing given leaves zeros. */
static bool pair_of(nd__formula *f, const char *name, const nd__argument *a, int64_t *to)
{
    if (a->given && a->list.rank != 1 && a->list.rank != 2) {
        nd__fail(f->m, ND_ERR_GRAPH, f->place, "%s: %d numbers, expected one or two", name, a->list.rank);
        return false;
    }
    for (int i = 0; i < 2; i++)
        to[i] = a->given ? a->list.dims[a->list.rank == 1 ? 0 : i] : 0;
    return true;
}

typedef nd_value *conv_call(nd_place place, nd_value *x, nd_value *kernel, const nd_conv_options *options);
typedef nd_value *pool_call(nd_place place, nd_value *x, const nd_pool_options *options);

static nd_value *call_conv(nd__formula *f, nd__argument *a, conv_call *build)
{
    nd_conv_options o = {.same = a[5].integer, .groups = a[7].given ? a[7].integer : 1};
    if (!pair_of(f, "stride", &a[2], o.stride) || !pair_of(f, "low", &a[3], o.low) ||
        !pair_of(f, "high", &a[4], o.high) || !pair_of(f, "dilation", &a[6], o.dilation) ||
        !pair_of(f, "size", &a[8], o.size))
        return &f->m->poison;
    return build(f->place, a[0].value, a[1].value, &o);
}

static nd_value *call_pool(nd__formula *f, nd__argument *a, pool_call *build)
{
    nd_pool_options o = {.same = a[5].integer};
    if (!pair_of(f, "window", &a[1], o.window) || !pair_of(f, "stride", &a[2], o.stride) ||
        !pair_of(f, "low", &a[3], o.low) || !pair_of(f, "high", &a[4], o.high))
        return &f->m->poison;
    return build(f->place, a[0].value, &o);
}

#define CALL(kind, name)                                                                                               \
    static nd_value *call_##name(nd__formula *f, nd__argument *a)                                                      \
    {                                                                                                                  \
        return call_##kind(f, a, nd_##name##_at);                                                                      \
    }
CALL(conv, conv2d)
CALL(conv, conv1d)
CALL(conv, conv2d_transpose)
CALL(conv, conv1d_transpose)
CALL(pool, max_pool2d)
CALL(pool, max_pool1d)
CALL(pool, avg_pool2d)
CALL(pool, avg_pool1d)
#undef CALL

/* -- made from nothing -------------------------------------------------------------------------------------------- */

static nd_value *call_full(nd__formula *f, nd__argument *a)
{
    return nd_filled_at(f->place, f->m, dtype_of(&a[2], ND_F32), a[0].list, a[1].number);
}

static nd_value *call_zeros(nd__formula *f, nd__argument *a)
{
    return nd_filled_at(f->place, f->m, dtype_of(&a[1], ND_F32), a[0].list, 0);
}

static nd_value *call_ones(nd__formula *f, nd__argument *a)
{
    return nd_filled_at(f->place, f->m, dtype_of(&a[1], ND_F32), a[0].list, 1);
}

static nd_value *call_iota(nd__formula *f, nd__argument *a)
{
    return nd_iota_at(f->place, f->m, dtype_of(&a[2], ND_I32), a[0].list, axis_of(&a[1], 0));
}

static nd_value *call_arange(nd__formula *f, nd__argument *a)
{
    return nd_iota_at(f->place, f->m, dtype_of(&a[1], ND_I32), nd_shape_of(1, &a[0].integer), 0);
}

static nd_value *call_size(nd__formula *f, nd__argument *a)
{
    return nd_size_at(f->place, f->m, a[1].dtype, a[0].integer);
}

static nd_value *call_random_bits(nd__formula *f, nd__argument *a)
{
    return nd_random_bits_at(f->place, a[0].value, (uint64_t)a[1].integer, a[2].list);
}

static nd_value *call_uniform(nd__formula *f, nd__argument *a)
{
    return nd_uniform_at(f->place, a[0].value, (uint64_t)a[1].integer, dtype_of(&a[3], ND_F32), a[2].list);
}

static nd_value *call_normal(nd__formula *f, nd__argument *a)
{
    return nd_normal_at(f->place, a[0].value, (uint64_t)a[1].integer, dtype_of(&a[3], ND_F32), a[2].list);
}

/* -- compositions ------------------------------------------------------------------------------------------------- */

static nd_value *call_relu(nd__formula *f, nd__argument *a)
{
    return nd_relu_at(f->place, a[0].value);
}

static nd_value *call_gelu(nd__formula *f, nd__argument *a)
{
    return nd_gelu_at(f->place, a[0].value);
}

static nd_value *call_gelu_tanh(nd__formula *f, nd__argument *a)
{
    return nd_gelu_tanh_at(f->place, a[0].value);
}

static nd_value *call_silu(nd__formula *f, nd__argument *a)
{
    return nd_silu_at(f->place, a[0].value);
}

static nd_value *call_softplus(nd__formula *f, nd__argument *a)
{
    return nd_softplus_at(f->place, a[0].value);
}

static nd_value *call_softmax(nd__formula *f, nd__argument *a)
{
    return nd_softmax_at(f->place, a[0].value, axis_of(&a[1], -1));
}

static nd_value *call_log_softmax(nd__formula *f, nd__argument *a)
{
    return nd_log_softmax_at(f->place, a[0].value, axis_of(&a[1], -1));
}

static nd_value *call_cross_entropy(nd__formula *f, nd__argument *a)
{
    return nd_cross_entropy_at(f->place, a[0].value, a[1].value);
}

static nd_value *call_mean_squared_error(nd__formula *f, nd__argument *a)
{
    return nd_mean_squared_error_at(f->place, a[0].value, a[1].value);
}

static nd_value *call_square(nd__formula *f, nd__argument *a)
{
    return nd_mul_at(f->place, a[0].value, a[0].value);
}

static nd_value *call_gradient(nd__formula *f, nd__argument *a)
{
    return nd_gradient_at(f->place, a[0].value, a[1].value);
}

/* -- the table ---------------------------------------------------------------------------------------------------- */

#define VALUE(n)                                                                                                       \
    {                                                                                                                  \
        .name = n, .kind = ND__PARAM_VALUE                                                                             \
    }
#define SHAPE                                                                                                          \
    {                                                                                                                  \
        .name = "shape", .kind = ND__PARAM_SHAPE                                                                       \
    }
#define AXIS                                                                                                           \
    {                                                                                                                  \
        .name = "axis", .kind = ND__PARAM_AXIS, .optional = true                                                       \
    }
#define DTYPE                                                                                                          \
    {                                                                                                                  \
        .name = "dtype", .kind = ND__PARAM_DTYPE, .optional = true                                                     \
    }
#define FLAG(n)                                                                                                        \
    {                                                                                                                  \
        .name = n, .kind = ND__PARAM_FLAG, .optional = true                                                            \
    }
#define STREAM                                                                                                         \
    {                                                                                                                  \
        .name = "stream", .kind = ND__PARAM_AXIS                                                                       \
    }
#define REDUCTION                                                                                                      \
    {                                                                                                                  \
        VALUE("x"), {.name = "axis", .kind = ND__PARAM_AXES, .optional = true}, FLAG("keepdims")                       \
    }
#define NUMBERS(n)                                                                                                     \
    {                                                                                                                  \
        .name = n, .kind = ND__PARAM_NUMBERS, .optional = true                                                         \
    }
#define CONV                                                                                                           \
    VALUE("x"), VALUE("kernel"), NUMBERS("stride"), NUMBERS("low"), NUMBERS("high"), FLAG("same"),                     \
        NUMBERS("dilation"),                                                                                           \
    {                                                                                                                  \
        .name = "groups", .kind = ND__PARAM_SIZE, .optional = true                                                     \
    }
#define POOL                                                                                                           \
    {                                                                                                                  \
        VALUE("x"), {.name = "window", .kind = ND__PARAM_NUMBERS}, NUMBERS("stride"), NUMBERS("low"), NUMBERS("high"), \
            FLAG("same")                                                                                               \
    }
static const nd__call calls[] = {
    {"sum", REDUCTION, call_sum},
    {"mean", REDUCTION, call_mean},
    {"max", REDUCTION, call_max},
    {"min", REDUCTION, call_min},
    {"reduce_max", REDUCTION, call_max},
    {"reduce_min", REDUCTION, call_min},
    {"logsumexp", REDUCTION, call_logsumexp},
    {"argmax", {VALUE("x"), AXIS}, call_argmax},
    {"argmin", {VALUE("x"), AXIS}, call_argmin},
    {"matmul", {VALUE("a"), VALUE("b"), FLAG("transpose_a"), FLAG("transpose_b")}, call_matmul},
    {"tril", {VALUE("x"), NUMBERS("k")}, call_tril},
    {"triu", {VALUE("x"), NUMBERS("k")}, call_triu},
    {"where", {VALUE("condition"), VALUE("a"), VALUE("b")}, call_where},
    {"select", {VALUE("condition"), VALUE("a"), VALUE("b")}, call_where},
    {"cast", {VALUE("x"), {.name = "dtype", .kind = ND__PARAM_DTYPE}}, call_cast},
    {"astype", {VALUE("x"), {.name = "dtype", .kind = ND__PARAM_DTYPE}}, call_cast},
    {"reshape", {VALUE("x"), SHAPE}, call_reshape},
    {"transpose", {VALUE("x"), {.name = "axes", .kind = ND__PARAM_AXES, .optional = true}}, call_transpose},
    {"broadcast_to", {VALUE("x"), SHAPE}, call_broadcast},
    {"broadcast", {VALUE("x"), SHAPE}, call_broadcast},
    {"slice",
     {VALUE("x"),
      {.name = "start", .kind = ND__PARAM_NUMBERS},
      {.name = "size", .kind = ND__PARAM_SHAPE},
      {.name = "step", .kind = ND__PARAM_NUMBERS, .optional = true}},
     call_slice},
    {"concatenate", {{.name = "values", .kind = ND__PARAM_VALUES}, AXIS}, call_concatenate},
    {"concat", {{.name = "values", .kind = ND__PARAM_VALUES}, AXIS}, call_concatenate},
    {"pad",
     {VALUE("x"),
      {.name = "low", .kind = ND__PARAM_NUMBERS},
      {.name = "high", .kind = ND__PARAM_NUMBERS},
      {.name = "value", .kind = ND__PARAM_NUMBER, .optional = true},
      {.name = "interior", .kind = ND__PARAM_NUMBERS, .optional = true}},
     call_pad},
    {"gather", {VALUE("table"), VALUE("indices")}, call_gather},
    {"scatter_add", {VALUE("updates"), VALUE("indices"), {.name = "rows", .kind = ND__PARAM_SIZE}}, call_scatter_add},
    {"conv2d", {CONV}, call_conv2d},
    {"conv1d", {CONV}, call_conv1d},
    {"conv2d_transpose", {CONV, NUMBERS("size")}, call_conv2d_transpose},
    {"conv1d_transpose", {CONV, NUMBERS("size")}, call_conv1d_transpose},
    {"max_pool2d", POOL, call_max_pool2d},
    {"max_pool1d", POOL, call_max_pool1d},
    {"avg_pool2d", POOL, call_avg_pool2d},
    {"avg_pool1d", POOL, call_avg_pool1d},
    {"full", {SHAPE, {.name = "value", .kind = ND__PARAM_NUMBER}, DTYPE}, call_full},
    {"zeros", {SHAPE, DTYPE}, call_zeros},
    {"ones", {SHAPE, DTYPE}, call_ones},
    {"iota", {SHAPE, AXIS, DTYPE}, call_iota},
    {"arange", {{.name = "stop", .kind = ND__PARAM_SIZE}, DTYPE}, call_arange},
    {"size", {{.name = "of", .kind = ND__PARAM_SIZE}, {.name = "dtype", .kind = ND__PARAM_DTYPE}}, call_size},
    {"random_bits", {VALUE("key"), STREAM, SHAPE}, call_random_bits},
    {"uniform", {VALUE("key"), STREAM, SHAPE, DTYPE}, call_uniform},
    {"normal", {VALUE("key"), STREAM, SHAPE, DTYPE}, call_normal},
    {"relu", {VALUE("x")}, call_relu},
    {"gelu", {VALUE("x")}, call_gelu},
    {"gelu_tanh", {VALUE("x")}, call_gelu_tanh},
    {"silu", {VALUE("x")}, call_silu},
    {"softplus", {VALUE("x")}, call_softplus},
    {"softmax", {VALUE("x"), AXIS}, call_softmax},
    {"log_softmax", {VALUE("x"), AXIS}, call_log_softmax},
    {"cross_entropy", {VALUE("logits"), VALUE("labels")}, call_cross_entropy},
    {"mean_squared_error", {VALUE("prediction"), VALUE("target")}, call_mean_squared_error},
    {"square", {VALUE("x")}, call_square},
    {"gradient", {VALUE("value"), VALUE("target")}, call_gradient},
};
#undef VALUE
#undef NUMBERS
#undef CONV
#undef POOL
#undef SHAPE
#undef AXIS
#undef DTYPE
#undef FLAG
#undef STREAM
#undef REDUCTION

/* Elementwise ops under NumPy's names. */
static const struct {
    const char *name;
    nd__op op;
} numpy[] = {
    {"subtract", ND__OP_sub},     {"multiply", ND__OP_mul},
    {"divide", ND__OP_div},       {"floor_divide", ND__OP_floordiv},
    {"remainder", ND__OP_mod},    {"power", ND__OP_pow},
    {"minimum", ND__OP_min}, /* min and max are reductions, as in NumPy */
    {"maximum", ND__OP_max},      {"equal", ND__OP_eq},
    {"not_equal", ND__OP_ne},     {"less", ND__OP_lt},
    {"less_equal", ND__OP_le},    {"greater", ND__OP_gt},
    {"greater_equal", ND__OP_ge}, {"logical_and", ND__OP_and},
    {"logical_or", ND__OP_or},    {"logical_xor", ND__OP_xor},
    {"logical_not", ND__OP_not},  {"bitwise_and", ND__OP_and},
    {"bitwise_or", ND__OP_or},    {"bitwise_xor", ND__OP_xor},
    {"invert", ND__OP_not},       {"left_shift", ND__OP_shl},
    {"right_shift", ND__OP_shr},  {"negative", ND__OP_neg},
    {"absolute", ND__OP_abs},
};

enum { CALLS = sizeof calls / sizeof *calls, NUMPY = sizeof numpy / sizeof *numpy };

/* and, or, not are Python's words with a meaning and a precedence of their own: logical_and, ... stand for them. */
static bool is_callable(nd__op op)
{
    return op != ND__OP_and && op != ND__OP_or && op != ND__OP_not && (nd__ops[op].traits & ND__ELEMENTWISE) &&
           nd__ops[op].attrs[0] == ND__A_none;
}

/* The op under `name`: its operands are x; a, b; a, b, c. */
static nd__call call_of_op(const char *name, nd__op op)
{
    static const char *const letters[] = {"a", "b", "c"};
    nd__call call = {.name = name, .op = op};
    for (int i = 0; i < nd__ops[op].arity; i++)
        call.params[i] = (nd__param){.name = nd__ops[op].arity == 1 ? "x" : letters[i], .kind = ND__PARAM_VALUE};
    return call;
}

static bool same_name(const char *whole, const char *name, size_t length)
{
    return strlen(whole) == length && memcmp(whole, name, length) == 0;
}

static const nd__call *row_of(const char *name, size_t length)
{
    for (int i = 0; i < CALLS; i++)
        if (same_name(calls[i].name, name, length))
            return &calls[i];
    return NULL;
}

bool nd__call_find(const nd_module *m, const char *name, size_t length, nd__call *call)
{
    const nd__call *row = row_of(name, length);
    if (row) {
        *call = *row;
        return true;
    }
    for (int i = 0; i < NUMPY; i++)
        if (same_name(numpy[i].name, name, length)) {
            *call = call_of_op(numpy[i].name, numpy[i].op);
            return true;
        }
    for (int op = 0; op < ND__OPS; op++)
        if (is_callable((nd__op)op) && same_name(nd__ops[op].name, name, length)) {
            *call = call_of_op(nd__ops[op].name, (nd__op)op);
            return true;
        }
    for (int i = 0; i < m->function_count; i++)
        if (same_name(m->functions[i]->name, name, length)) {
            *call = (nd__call){.name = m->functions[i]->name, .function = m->functions[i]};
            return true;
        }
    return false;
}

const char *nd__call_name(int i)
{
    if (i < CALLS)
        return calls[i].name;
    if (i < CALLS + NUMPY)
        return numpy[i - CALLS].name;
    i -= CALLS + NUMPY;
    for (int op = 0; op < ND__OPS; op++)
        if (is_callable((nd__op)op) && !row_of(nd__ops[op].name, strlen(nd__ops[op].name)) && i-- == 0)
            return nd__ops[op].name;
    return NULL;
}
