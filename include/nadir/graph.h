/* Building graphs: modules, values, ops, functions.
 *
 *     nd_module *m = nd_module_create("lab");
 *     nd_value *a = nd_input(m, "a", ND_F32, ND_SCALAR), *b = nd_input(m, "b", ND_F32, ND_SCALAR);
 *     nd_value *e = nd_mul(nd_add(a, b), nd_sub(b, nd_const(m, 1)));
 *     nd_value *de = nd_gradient(e, a);
 *     nd_function(m, "f", ND_VALUES(a, b), ND_VALUES(e, de));
 *     if (nd_module_status(m) != ND_OK)
 *         fprintf(stderr, "%s\n", nd_module_error(m));
 *     nd_module_destroy(m);
 *
 * A module owns everything that is built in it: values, functions and their names live until nd_module_destroy, nobody
 * frees one. A module belongs to one thread at a time; different modules are independent.
 *
 * Errors. Builder calls return a value, never a status, so that they compose. The first mistake sticks to the module,
 * with the op, the operands' names and shapes, and the caller's file and line; that call and every later one on the
 * module return a poison value, which all calls accept. So a program may check once, at the end. NULL among the
 * operands is an error of the first non-NULL operand's module; only NULLs give NULL. An operand of another module is an
 * error of both modules.
 *
 * Places. Every builder call `nd_x(...)` is a macro over `nd_x_at(place, ...)`, which takes the caller's place as text
 * first; other languages and helpers that build on behalf of their caller call nd_x_at. Where arguments are arrays, the
 * macro takes them as `...`, so that they may be written in place: nd_gradients(loss, 2, (nd_value *[]){a, b}, grads).
 *
 * Types. Nothing is promoted: two operands of one op have the same dtype, except that a weak constant (nd_const) takes
 * the other one's. Shapes broadcast as in NumPy: aligned at the last axis, a size 1 or a missing axis repeats. Axes
 * count from 0; negative ones from the end. Sizes may be 0. Integer arithmetic wraps around.
 */
#ifndef NADIR_GRAPH_H
#define NADIR_GRAPH_H

#include "nadir/base.h"
#include "nadir/tensor.h"

#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nd_module nd_module;
typedef struct nd_value nd_value;
typedef struct nd_function nd_function;

/* A list of values by value. */
typedef struct nd_values {
    size_t count;
    nd_value *const *items;
} nd_values;

/* ND_VALUES(a, b), ND_VALUES() for none. In C. */
#define ND_VALUES(...)                                                                                                 \
    ((nd_values){sizeof((nd_value *[]){NULL, __VA_ARGS__}) / sizeof(nd_value *) - 1,                                   \
                 (nd_value *[]){NULL, __VA_ARGS__} + 1})

/* A list of axes: ND_AXES(0, -1); ND_ALL_AXES is every axis. */
typedef struct nd_axes {
    int count; /* -1: all */
    int items[ND_MAX_RANK];
} nd_axes;

static inline nd_axes nd_axes_of(size_t n, const int *items)
{
    nd_axes axes = {(int)n, {0, 0, 0, 0, 0, 0, 0, 0}};
    for (size_t i = 0; i < n && i < ND_MAX_RANK; i++)
        axes.items[i] = items[i];
    return axes;
}
static inline nd_axes nd_axes_all(void)
{
    nd_axes axes = {-1, {0, 0, 0, 0, 0, 0, 0, 0}};
    return axes;
}
#define ND_AXES(...) nd_axes_of(sizeof((int[]){0, __VA_ARGS__}) / sizeof(int) - 1, (int[]){0, __VA_ARGS__} + 1)
#define ND_ALL_AXES  nd_axes_all()

/* -- modules ------------------------------------------------------------------------------------------------------ */

/* An empty module. `name` is copied: letters, digits, _ and -, starting with a letter. NULL when memory runs out. */
ND_API nd_module *nd_module_create(const char *name);
/* Destroys the module with all its values and functions; programs compiled from it live on. NULL is accepted. */
ND_API void nd_module_destroy(nd_module *module);
ND_API const char *nd_module_name(const nd_module *module);
/* ND_OK, or the status of the first error. NULL: ND_ERR_MEMORY. */
ND_API nd_status nd_module_status(const nd_module *module);
/* The first error as text of one line and its notes, without a newline at the end; "" if there is none. Valid until the
 * module is destroyed. */
ND_API const char *nd_module_error(const nd_module *module);
/* The seed of the variables' initial values where nd_state_create is given 0. A new module has 1. */
ND_API void nd_module_set_seed(nd_module *module, uint64_t seed);

/* -- dimensions --------------------------------------------------------------------------------------------------- */

/* A named dimension, to be used as a size in shapes: nd_dim(m, "B", 32) prints as B=32. The value is what is compiled
 * unless the caller binds another; it must be at least 0 and the same at every mention. Derived shapes keep the name:
 * sizes are an integer times a product of names, and what cannot be so is an error. A named size equals only itself and
 * does not broadcast as 1. */
#define nd_dim(module, name, value) nd_dim_at(ND_HERE, module, name, value)
ND_API int64_t nd_dim_at(nd_place place, nd_module *module, const char *name, int64_t value);
/* The number that a size stands for: itself, or the value of its names. */
ND_API int64_t nd_dim_value(const nd_module *module, int64_t size);

/* -- leaves ------------------------------------------------------------------------------------------------------- */

/* An input of that name, dtype and shape. A function lists the inputs that it needs. */
#define nd_input(module, name, dtype, shape) nd_input_at(ND_HERE, module, name, dtype, shape)
ND_API nd_value *nd_input_at(nd_place place, nd_module *module, const char *name, nd_dtype dtype, nd_shape shape);

/* How a variable gets its first value: a function of the module's seed, the variable's name and its shape, nothing
 * else. */
typedef struct nd_init {
    int kind; /* internal */
    double a, b;
    const nd_tensor *tensor;
} nd_init;

ND_API nd_init nd_zeros(void);
ND_API nd_init nd_full(double value);
/* Uniform from low to high, which rounding gives about once in 2^24; normal with that mean and standard deviation;
 * floats. */
ND_API nd_init nd_random_uniform(double low, double high);
ND_API nd_init nd_random_normal(double mean, double deviation);
/* Normal, none farther than two deviations from the mean. */
ND_API nd_init nd_truncated_normal(double mean, double deviation);
/* Scaled by the fans, the sizes of [in, out]; leading axes (a kernel's window) multiply both. Rank 2 or more. Uniform
 * in +-limit, or normal with mean 0 and that deviation. Glorot and Bengio 2010: limit sqrt(6 / (in + out)), deviation
 * sqrt(2 / (in + out)); He et al. 2015: sqrt(6 / in), sqrt(2 / in); LeCun et al. 1998: sqrt(3 / in), sqrt(1 / in). */
ND_API nd_init nd_glorot_uniform(void);
ND_API nd_init nd_glorot_normal(void);
ND_API nd_init nd_he_uniform(void);
ND_API nd_init nd_he_normal(void);
ND_API nd_init nd_lecun_uniform(void);
ND_API nd_init nd_lecun_normal(void);
/* gain times a matrix with orthonormal columns, or rows where those are fewer: all axes but the last together are rows.
 * A random one, as any other equally likely. Rank 2 or more. Saxe, McClelland and Ganguli 2014. */
ND_API nd_init nd_orthogonal(double gain);
/* Random bits in u32: a key for nd_random_bits that a step moves on. */
ND_API nd_init nd_random_key(void);
/* The tensor's values (copied into the module); dtype and shape must be the variable's. */
ND_API nd_init nd_from_tensor(const nd_tensor *tensor);
/* None: the host sets it before the first run. */
ND_API nd_init nd_uninitialised(void);

/* A variable: state that lives from call to call. Its value here is what it holds when a function starts. Names are
 * unique in a module; they may contain '/' ("hidden/weight"). Its shape has no named dimensions. */
#define nd_variable(module, name, dtype, shape, init) nd_variable_at(ND_HERE, module, name, dtype, shape, init)
ND_API nd_value *nd_variable_at(nd_place place, nd_module *module, const char *name, nd_dtype dtype, nd_shape shape,
                                nd_init init);

/* A weak scalar: takes the dtype of what it meets; beside integers it must be integral. Arithmetic and functions of
 * weak ones alone are computed at once, in double, and stay weak; one that meets nothing, or only weak ones in another
 * op (a comparison, nd_select, nd_fma, bits), becomes f32. */
#define nd_const(module, value) nd_const_at(ND_HERE, module, value)
ND_API nd_value *nd_const_at(nd_place place, nd_module *module, double value);
/* A scalar of a dtype; the value must be exactly representable in an integer dtype. */
#define nd_const_of(module, dtype, value) nd_const_of_at(ND_HERE, module, dtype, value)
ND_API nd_value *nd_const_of_at(nd_place place, nd_module *module, nd_dtype dtype, double value);
/* A tensor's values, copied. */
#define nd_const_tensor(module, tensor) nd_const_tensor_at(ND_HERE, module, tensor)
ND_API nd_value *nd_const_tensor_at(nd_place place, nd_module *module, const nd_tensor *tensor);
/* `value` in every element; 0 and 1 for bool. */
#define nd_filled(module, dtype, shape, value) nd_filled_at(ND_HERE, module, dtype, shape, value)
ND_API nd_value *nd_filled_at(nd_place place, nd_module *module, nd_dtype dtype, nd_shape shape, double value);
/* The index along `axis` in every element; numbers only. */
#define nd_iota(module, dtype, shape, axis) nd_iota_at(ND_HERE, module, dtype, shape, axis)
ND_API nd_value *nd_iota_at(nd_place place, nd_module *module, nd_dtype dtype, nd_shape shape, int axis);
/* A size as a scalar of a number dtype; follows the binding of named dimensions. */
#define nd_size(module, dtype, size) nd_size_at(ND_HERE, module, dtype, size)
ND_API nd_value *nd_size_at(nd_place place, nd_module *module, nd_dtype dtype, int64_t size);

/* -- elementwise -------------------------------------------------------------------------------------------------- */
/* One element of the result from the elements at the same (broadcast) index. The bits of every function are the same in
 * every mode; exp, log, log1p, tanh, sigmoid, sin, cos, erf and pow are Nadir's own formulas, whose accuracy
 * doc/bits.md states. */

#define nd_add(a, b)      nd_add_at(ND_HERE, a, b)      /* numbers */
#define nd_sub(a, b)      nd_sub_at(ND_HERE, a, b)      /* numbers */
#define nd_mul(a, b)      nd_mul_at(ND_HERE, a, b)      /* numbers */
#define nd_div(a, b)      nd_div_at(ND_HERE, a, b)      /* floats */
#define nd_floordiv(a, b) nd_floordiv_at(ND_HERE, a, b) /* integers: floor of the quotient; x // 0 is 0 */
#define nd_mod(a, b)      nd_mod_at(ND_HERE, a, b)      /* integers: x - x // y * y; x mod 0 is 0 */
#define nd_pow(a, b)      nd_pow_at(ND_HERE, a, b)      /* floats; 0, 1, 2, 3, -1 as products, a quotient */
#define nd_min(a, b)      nd_min_at(ND_HERE, a, b)      /* numbers: a < b or a is NaN ? a : b */
#define nd_max(a, b)      nd_max_at(ND_HERE, a, b)      /* numbers: a > b or a is NaN ? a : b */
ND_API nd_value *nd_add_at(nd_place place, nd_value *a, nd_value *b);
ND_API nd_value *nd_sub_at(nd_place place, nd_value *a, nd_value *b);
ND_API nd_value *nd_mul_at(nd_place place, nd_value *a, nd_value *b);
ND_API nd_value *nd_div_at(nd_place place, nd_value *a, nd_value *b);
ND_API nd_value *nd_floordiv_at(nd_place place, nd_value *a, nd_value *b);
ND_API nd_value *nd_mod_at(nd_place place, nd_value *a, nd_value *b);
ND_API nd_value *nd_pow_at(nd_place place, nd_value *a, nd_value *b);
ND_API nd_value *nd_min_at(nd_place place, nd_value *a, nd_value *b);
ND_API nd_value *nd_max_at(nd_place place, nd_value *a, nd_value *b);

/* Comparisons give bool; with a NaN all are false but ne. Bool operands for eq and ne only. */
#define nd_eq(a, b) nd_eq_at(ND_HERE, a, b)
#define nd_ne(a, b) nd_ne_at(ND_HERE, a, b)
#define nd_lt(a, b) nd_lt_at(ND_HERE, a, b)
#define nd_le(a, b) nd_le_at(ND_HERE, a, b)
#define nd_gt(a, b) nd_gt_at(ND_HERE, a, b)
#define nd_ge(a, b) nd_ge_at(ND_HERE, a, b)
ND_API nd_value *nd_eq_at(nd_place place, nd_value *a, nd_value *b);
ND_API nd_value *nd_ne_at(nd_place place, nd_value *a, nd_value *b);
ND_API nd_value *nd_lt_at(nd_place place, nd_value *a, nd_value *b);
ND_API nd_value *nd_le_at(nd_place place, nd_value *a, nd_value *b);
ND_API nd_value *nd_gt_at(nd_place place, nd_value *a, nd_value *b);
ND_API nd_value *nd_ge_at(nd_place place, nd_value *a, nd_value *b);

/* Bit by bit on integers, logical on bool. Shift counts outside [0, bits) give 0, or -1 for a negative value shifted
 * right; shr of a signed integer keeps the sign. */
#define nd_and(a, b) nd_and_at(ND_HERE, a, b)
#define nd_or(a, b)  nd_or_at(ND_HERE, a, b)
#define nd_xor(a, b) nd_xor_at(ND_HERE, a, b)
#define nd_not(a)    nd_not_at(ND_HERE, a)
#define nd_shl(a, b) nd_shl_at(ND_HERE, a, b)
#define nd_shr(a, b) nd_shr_at(ND_HERE, a, b)
ND_API nd_value *nd_and_at(nd_place place, nd_value *a, nd_value *b);
ND_API nd_value *nd_or_at(nd_place place, nd_value *a, nd_value *b);
ND_API nd_value *nd_xor_at(nd_place place, nd_value *a, nd_value *b);
ND_API nd_value *nd_not_at(nd_place place, nd_value *a);
ND_API nd_value *nd_shl_at(nd_place place, nd_value *a, nd_value *b);
ND_API nd_value *nd_shr_at(nd_place place, nd_value *a, nd_value *b);

#define nd_neg(x)     nd_neg_at(ND_HERE, x)  /* numbers */
#define nd_abs(x)     nd_abs_at(ND_HERE, x)  /* numbers */
#define nd_sqrt(x)    nd_sqrt_at(ND_HERE, x) /* floats, correctly rounded */
#define nd_exp(x)     nd_exp_at(ND_HERE, x)  /* floats, like all that follow */
#define nd_log(x)     nd_log_at(ND_HERE, x)
#define nd_log1p(x)   nd_log1p_at(ND_HERE, x) /* log(1 + x) */
#define nd_tanh(x)    nd_tanh_at(ND_HERE, x)
#define nd_sigmoid(x) nd_sigmoid_at(ND_HERE, x) /* 1 / (1 + exp(-x)) */
#define nd_sin(x)     nd_sin_at(ND_HERE, x)
#define nd_cos(x)     nd_cos_at(ND_HERE, x)
#define nd_erf(x)     nd_erf_at(ND_HERE, x)
#define nd_floor(x)   nd_floor_at(ND_HERE, x) /* gradient 0 */
#define nd_ceil(x)    nd_ceil_at(ND_HERE, x)  /* gradient 0 */
#define nd_rint(x)    nd_rint_at(ND_HERE, x)  /* ties to even; gradient 0 */
ND_API nd_value *nd_neg_at(nd_place place, nd_value *x);
ND_API nd_value *nd_abs_at(nd_place place, nd_value *x);
ND_API nd_value *nd_sqrt_at(nd_place place, nd_value *x);
ND_API nd_value *nd_exp_at(nd_place place, nd_value *x);
ND_API nd_value *nd_log_at(nd_place place, nd_value *x);
ND_API nd_value *nd_log1p_at(nd_place place, nd_value *x);
ND_API nd_value *nd_tanh_at(nd_place place, nd_value *x);
ND_API nd_value *nd_sigmoid_at(nd_place place, nd_value *x);
ND_API nd_value *nd_sin_at(nd_place place, nd_value *x);
ND_API nd_value *nd_cos_at(nd_place place, nd_value *x);
ND_API nd_value *nd_erf_at(nd_place place, nd_value *x);
ND_API nd_value *nd_floor_at(nd_place place, nd_value *x);
ND_API nd_value *nd_ceil_at(nd_place place, nd_value *x);
ND_API nd_value *nd_rint_at(nd_place place, nd_value *x);

/* where(condition, a, b): condition is bool, a and b of any one dtype. */
#define nd_select(condition, a, b) nd_select_at(ND_HERE, condition, a, b)
ND_API nd_value *nd_select_at(nd_place place, nd_value *condition, nd_value *a, nd_value *b);
/* a * b + c, rounded once; numbers. */
#define nd_fma(a, b, c) nd_fma_at(ND_HERE, a, b, c)
ND_API nd_value *nd_fma_at(nd_place place, nd_value *a, nd_value *b, nd_value *c);
/* To another dtype. Float to integer truncates, saturates, NaN gives 0; integer to integer wraps; to bool is x != 0. */
#define nd_cast(x, dtype) nd_cast_at(ND_HERE, x, dtype)
ND_API nd_value *nd_cast_at(nd_place place, nd_value *x, nd_dtype dtype);
/* x, as a constant to differentiation. */
#define nd_stop_gradient(x) nd_stop_gradient_at(ND_HERE, x)
ND_API nd_value *nd_stop_gradient_at(nd_place place, nd_value *x);

/* -- reductions --------------------------------------------------------------------------------------------------- */
/* Over the given axes, each at most once; `keepdims` leaves them as size 1. The order of accumulation depends on the
 * logical shape and the axes only (doc/bits.md). Over nothing (a size 0): sum is 0, max and min are the lowest and
 * highest of the dtype (infinities for floats). */

#define nd_sum(x, axes, keepdims)  nd_sum_at(ND_HERE, x, axes, keepdims)  /* numbers */
#define nd_mean(x, axes, keepdims) nd_mean_at(ND_HERE, x, axes, keepdims) /* floats: sum / size */
#define nd_reduce_max(x, axes, keepdims)                                                                               \
    nd_reduce_max_at(ND_HERE, x, axes, keepdims) /* numbers; NaN wins; gradient to the first */
#define nd_reduce_min(x, axes, keepdims) nd_reduce_min_at(ND_HERE, x, axes, keepdims)
ND_API nd_value *nd_sum_at(nd_place place, nd_value *x, nd_axes axes, bool keepdims);
ND_API nd_value *nd_mean_at(nd_place place, nd_value *x, nd_axes axes, bool keepdims);
ND_API nd_value *nd_reduce_max_at(nd_place place, nd_value *x, nd_axes axes, bool keepdims);
ND_API nd_value *nd_reduce_min_at(nd_place place, nd_value *x, nd_axes axes, bool keepdims);
/* The i64 index of the first maximum (minimum) along one axis, which goes; the first NaN wins. The axis must not be
 * empty. */
#define nd_argmax(x, axis) nd_argmax_at(ND_HERE, x, axis)
#define nd_argmin(x, axis) nd_argmin_at(ND_HERE, x, axis)
ND_API nd_value *nd_argmax_at(nd_place place, nd_value *x, int axis);
ND_API nd_value *nd_argmin_at(nd_place place, nd_value *x, int axis);

/* -- products ----------------------------------------------------------------------------------------------------- */

/* Matrix product [.., M, K] x [.., K, N] of numbers; leading axes broadcast; a rank-1 operand is a row on the left, a
 * column on the right, as in NumPy. One fma after another for ascending k from +0. */
#define nd_matmul(a, b) nd_matmul_at(ND_HERE, a, b)
ND_API nd_value *nd_matmul_at(nd_place place, nd_value *a, nd_value *b);
/* With the last two axes of an operand swapped in place of a transposed copy; both of rank 2 or more. */
#define nd_matmul_t(a, transpose_a, b, transpose_b) nd_matmul_t_at(ND_HERE, a, transpose_a, b, transpose_b)
ND_API nd_value *nd_matmul_t_at(nd_place place, nd_value *a, bool transpose_a, nd_value *b, bool transpose_b);

/* A band is what lies between two diagonals of the last two axes: the elements with lower <= column - row <= upper.
 * INT64_MIN and INT64_MAX leave a side open: (INT64_MIN, 0) is the lower triangle with the diagonal, what a causal
 * attention sees; (1, INT64_MAX) the upper one without it.
 *
 * x where the band is, `outside` elsewhere: select(lower <= column - row, select(column - row <= upper, x, outside),
 * outside), without the comparison of an open side. Rank 2 or more; NumPy's tril and triu. A sum, a maximum, a softmax
 * within the band is that of nd_banded(x, .., 0), or -INFINITY. */
#define nd_banded(x, lower, upper, outside) nd_banded_at(ND_HERE, x, lower, upper, outside)
ND_API nd_value *nd_banded_at(nd_place place, nd_value *x, int64_t lower, int64_t upper, double outside);

/* What of a product has a band. */
typedef enum nd_band {
    ND_BAND_NONE,
    ND_BAND_A,
    ND_BAND_B,
    ND_BAND_RESULT,
} nd_band;

/* All zero (or NULL): nd_matmul_t without transpositions. */
typedef struct nd_matmul_options {
    bool transpose_a, transpose_b;
    nd_band band;
    int64_t lower, upper;
} nd_matmul_options;

/* nd_matmul_t with a band. An operand's, by rows and columns as it is given, before transposition: its elements outside
 * are no part of any sum, whatever they are; a sum of nothing is +0. The result's: elements outside are +0. Only what
 * is inside is computed, gradients of every order too: what goes to a banded operand is +0 outside, and of what comes
 * back to a banded result nothing outside counts. */
#define nd_matmul_with(a, b, ...) nd_matmul_with_at(ND_HERE, a, b, __VA_ARGS__) /* options */
ND_API nd_value *nd_matmul_with_at(nd_place place, nd_value *a, nd_value *b, const nd_matmul_options *options);

/* -- convolutions and pools ---------------------------------------------------------------------------------------- */
/* Images are [N, height, width, channels], kernels [height, width, channels in / groups, channels out]; with one axis
 * (1d) there is no height, and the first of each pair below is the length's. The batch may be named. As everywhere
 * today, a convolution does not flip its kernel:
 *
 *   y[n, i, j, d] = sum over ky, kx, c of
 *       x[n, i stride + ky dilation - low, j stride + kx dilation - low, c] kernel[ky, kx, c, d]
 *
 * one fma after another for (ky, kx, c) ascending from +0, where what lies outside the image is no part of the sum.
 * With groups, the channels c and d are divided into as many runs, each of which takes its own. Padding after the last
 * window that fits is not looked at. Gradients of every order exist. */

/* All zero (or NULL): stride 1, no padding ("valid"), no dilation, one group. Pairs are {along the height, along the
 * width}. */
typedef struct nd_conv_options {
    int64_t stride[2];       /* 0: 1 */
    int64_t low[2], high[2]; /* padding above and left, below and right */
    bool same;           /* instead of low and high: as much as gives ceil(size / stride) places, the odd one behind */
    int64_t dilation[2]; /* from one element of the kernel to the next; 0: 1 */
    int64_t groups;      /* 0: 1; as many as channels: depthwise */
    /* Of conv2d_transpose alone: the result's height and width, where the stride leaves a choice; 0: the smallest, or,
     * with `same`, stride times. */
    int64_t size[2];
} nd_conv_options;

/* Numbers of one dtype: x [N, H, W, C], kernel [KH, KW, C / groups, D]: [N, H', W', D], H' = (low + H + high - (KH - 1)
 * dilation - 1) / stride + 1 rounded down, at least 1. nd_conv1d: x [N, L, C], kernel [K, C / groups, D]. */
#define nd_conv2d(x, kernel, ...) nd_conv2d_at(ND_HERE, x, kernel, __VA_ARGS__) /* options */
#define nd_conv1d(x, kernel, ...) nd_conv1d_at(ND_HERE, x, kernel, __VA_ARGS__) /* options */
ND_API nd_value *nd_conv2d_at(nd_place place, nd_value *x, nd_value *kernel, const nd_conv_options *options);
ND_API nd_value *nd_conv1d_at(nd_place place, nd_value *x, nd_value *kernel, const nd_conv_options *options);
/* The transposed convolution ("deconvolution"): what sends x back through nd_conv2d with these options and kernel, its
 * gradient. x [N, H, W, D], kernel [KH, KW, C / groups, D]: [N, H', W', C], H' = (H - 1) stride + (KH - 1) dilation + 1
 * - low - high unless options say more. Each element is one chain of fma over (ky, kx, d) ascending. */
#define nd_conv2d_transpose(x, kernel, ...) nd_conv2d_transpose_at(ND_HERE, x, kernel, __VA_ARGS__) /* options */
#define nd_conv1d_transpose(x, kernel, ...) nd_conv1d_transpose_at(ND_HERE, x, kernel, __VA_ARGS__) /* options */
ND_API nd_value *nd_conv2d_transpose_at(nd_place place, nd_value *x, nd_value *kernel, const nd_conv_options *options);
ND_API nd_value *nd_conv1d_transpose_at(nd_place place, nd_value *x, nd_value *kernel, const nd_conv_options *options);

/* The window must be given; the padding is smaller than the window. */
typedef struct nd_pool_options {
    int64_t window[2];
    int64_t stride[2];       /* 0: the window's size */
    int64_t low[2], high[2]; /* padding above and left, below and right: no part of any window */
    bool same;               /* instead of low and high, as in nd_conv_options */
} nd_pool_options;

/* The maximum of each window (numbers; a NaN wins; r + 0, so never -0). Its gradient goes to the first maximum in
 * row-major order. 1d: x [N, L, C]. */
#define nd_max_pool2d(x, ...) nd_max_pool2d_at(ND_HERE, x, __VA_ARGS__) /* options */
#define nd_max_pool1d(x, ...) nd_max_pool1d_at(ND_HERE, x, __VA_ARGS__) /* options */
ND_API nd_value *nd_max_pool2d_at(nd_place place, nd_value *x, const nd_pool_options *options);
ND_API nd_value *nd_max_pool1d_at(nd_place place, nd_value *x, const nd_pool_options *options);
/* The mean of each window (floats): the sum, (ky, kx) ascending, of the elements that exist, over how many they are. */
#define nd_avg_pool2d(x, ...) nd_avg_pool2d_at(ND_HERE, x, __VA_ARGS__) /* options */
#define nd_avg_pool1d(x, ...) nd_avg_pool1d_at(ND_HERE, x, __VA_ARGS__) /* options */
ND_API nd_value *nd_avg_pool2d_at(nd_place place, nd_value *x, const nd_pool_options *options);
ND_API nd_value *nd_avg_pool1d_at(nd_place place, nd_value *x, const nd_pool_options *options);

/* -- shape -------------------------------------------------------------------------------------------------------- */

/* The same elements in row-major order with another shape; one size may be -1: what remains. */
#define nd_reshape(x, shape) nd_reshape_at(ND_HERE, x, shape)
ND_API nd_value *nd_reshape_at(nd_place place, nd_value *x, nd_shape shape);
/* Axis i of the result is axis permutation[i] of x; ND_ALL_AXES reverses them all. */
#define nd_transpose(x, permutation) nd_transpose_at(ND_HERE, x, permutation)
ND_API nd_value *nd_transpose_at(nd_place place, nd_value *x, nd_axes permutation);
/* NumPy's broadcast_to. */
#define nd_broadcast(x, shape) nd_broadcast_at(ND_HERE, x, shape)
ND_API nd_value *nd_broadcast_at(nd_place place, nd_value *x, nd_shape shape);
/* A NumPy subscript: "1:, ::-1", "..., 0", "None, :". A named dimension may be where a slice stops: ":B". Bad ones say
 * which character and why. */
#define nd_at(x, subscript) nd_at_at(ND_HERE, x, subscript)
ND_API nd_value *nd_at_at(nd_place place, nd_value *x, const char *subscript);
/* Along each axis: `size` elements from `start`, every step-th (a negative start counts from the end, a negative step
 * walks back). Arrays of x's rank. */
#define nd_slice(x, ...) nd_slice_at(ND_HERE, x, __VA_ARGS__) /* start, size, step */
ND_API nd_value *nd_slice_at(nd_place place, nd_value *x, const int64_t *start, const int64_t *size,
                             const int64_t *step);
/* One after another along an axis; the other sizes are equal. At least one value. */
#define nd_concat(values, axis) nd_concat_at(ND_HERE, values, axis)
ND_API nd_value *nd_concat_at(nd_place place, nd_values values, int axis);
/* Along each axis: `low` elements of `value` before, `high` behind, `interior` between neighbours (NULL: none). Arrays
 * of x's rank, at least 0. */
#define nd_pad(x, ...) nd_pad_at(ND_HERE, x, __VA_ARGS__) /* low, high, interior, value */
ND_API nd_value *nd_pad_at(nd_place place, nd_value *x, const int64_t *low, const int64_t *high,
                           const int64_t *interior, double value);

/* -- rows by index ------------------------------------------------------------------------------------------------ */

/* table [R, ...], indices of any shape (an integer dtype): [indices..., ...]. An index outside [0, R) gives zeros. */
#define nd_gather(table, indices) nd_gather_at(ND_HERE, table, indices)
ND_API nd_value *nd_gather_at(nd_place place, nd_value *table, nd_value *indices);
/* updates [indices..., ...]: zeros [rows, ...] to which each update is added, ascending; an index outside [0, rows) is
 * dropped. */
#define nd_scatter_add(updates, indices, rows) nd_scatter_add_at(ND_HERE, updates, indices, rows)
ND_API nd_value *nd_scatter_add_at(nd_place place, nd_value *updates, nd_value *indices, int64_t rows);

/* -- random bits -------------------------------------------------------------------------------------------------- */

/* Philox4x32-10 (Salmon et al. 2011): u32 of that shape. key: u32[2]; element i of the row-major result is word i mod 4
 * of the block with counter (i / 4 low, high, stream low, high). */
#define nd_random_bits(key, stream, shape) nd_random_bits_at(ND_HERE, key, stream, shape)
ND_API nd_value *nd_random_bits_at(nd_place place, nd_value *key, uint64_t stream, nd_shape shape);
/* f32 or f64 in [0, 1): the top 24 (f64: 32) bits times 2^-24 (2^-32). */
#define nd_uniform(key, stream, dtype, shape) nd_uniform_at(ND_HERE, key, stream, dtype, shape)
ND_API nd_value *nd_uniform_at(nd_place place, nd_value *key, uint64_t stream, nd_dtype dtype, nd_shape shape);
/* Standard normal: sqrt(-2 log(u)) cos(2 pi v), u in (0, 1], v in [0, 1) from two halves of the stream (Box and Muller
 * 1958). */
#define nd_normal(key, stream, dtype, shape) nd_normal_at(ND_HERE, key, stream, dtype, shape)
ND_API nd_value *nd_normal_at(nd_place place, nd_value *key, uint64_t stream, nd_dtype dtype, nd_shape shape);

/* -- functions ---------------------------------------------------------------------------------------------------- */

/* A function of the module: inputs (made by nd_input, each once) and outputs. An entry point of the compiled program,
 * or a body for nd_apply, nd_cond, nd_scan. What its outputs need of inputs must be among `inputs`, which nd_compile
 * looks at, unless it is used as a body, where other values are captured. Names are unique; "init" is taken. Never NULL
 * unless memory ran out or `module` is NULL; on a failed module a function that is in no list. */
#define nd_function(module, name, inputs, outputs) nd_function_at(ND_HERE, module, name, inputs, outputs)
ND_API nd_function *nd_function_at(nd_place place, nd_module *module, const char *name, nd_values inputs,
                                   nd_values outputs);
/* variable := value, when the function ends: all reads see the old values. Dtype and shape must be the variable's.
 * Twice in one function is an error. */
#define nd_assign(function, variable, value) nd_assign_at(ND_HERE, function, variable, value)
ND_API void nd_assign_at(nd_place place, nd_function *function, nd_value *variable, nd_value *value);
ND_API nd_function *nd_module_function(const nd_module *module, const char *name); /* NULL: none of that name */

/* Calls a function inside the graph: as many arguments as it has inputs, of the same dtypes and shapes; fills out[]
 * with as many values as it has outputs. A function with assignments cannot be applied. */
#define nd_apply(function, arguments, out) nd_apply_at(ND_HERE, function, arguments, out)
ND_API void nd_apply_at(nd_place place, nd_function *function, nd_values arguments, nd_value **out);
/* condition (bool, one element) ? yes() : no(), only one of which runs. Functions of no inputs that capture what they
 * need, with the same output types. */
#define nd_cond(condition, yes, no, out) nd_cond_at(ND_HERE, condition, yes, no, out)
ND_API void nd_cond_at(nd_place place, nd_value *condition, nd_function *yes, nd_function *no, nd_value **out);
/* `length` times: body(carry..., x[t]...) -> (carry..., y...). `init` are the first carries, `xs` [length, ...] are
 * read slice by slice; out gets the last carries, then the stacked ys [length, ...]. The body captures what else it
 * uses. `reverse` walks t from length-1 down. */
#define nd_scan(body, length, init, xs, reverse, out) nd_scan_at(ND_HERE, body, length, init, xs, reverse, out)
ND_API void nd_scan_at(nd_place place, nd_function *body, int64_t length, nd_values init, nd_values xs, bool reverse,
                       nd_value **out);

/* -- differentiation ---------------------------------------------------------------------------------------------- */

/* The gradients of `value` (a float of one element) with respect to n targets: values of the graph, of float dtypes. As
 * many calls as you like, also of gradients. out[] may be the targets' array. A target that the value does not depend
 * on gets zeros. Where an op on the way has no gradient, the error lists all such nodes. */
#define nd_gradients(value, n, ...) nd_gradients_at(ND_HERE, value, NULL, n, __VA_ARGS__) /* targets, out */
/* The one gradient. */
#define nd_gradient(value, target) nd_gradient_at(ND_HERE, value, target)
/* With a cotangent of the value's shape: the vector-Jacobian product. */
#define nd_vjp(value, cotangent, n, ...) nd_gradients_at(ND_HERE, value, cotangent, n, __VA_ARGS__) /* targets, out */
/* The Jacobian-vector product: the change of `value` when each target moves along its tangent (by reverse applied
 * twice). */
#define nd_jvp(value, n, ...) nd_jvp_at(ND_HERE, value, n, __VA_ARGS__) /* targets, tangents */
ND_API void nd_gradients_at(nd_place place, nd_value *value, nd_value *cotangent, size_t n, nd_value *const *targets,
                            nd_value **out);
ND_API nd_value *nd_gradient_at(nd_place place, nd_value *value, nd_value *target);
ND_API nd_value *nd_jvp_at(nd_place place, nd_value *value, size_t n, nd_value *const *targets,
                           nd_value *const *tangents);

/* -- formulas ----------------------------------------------------------------------------------------------------- */

/* A NumPy expression over the module's named values (inputs, variables, values given a name): "(a + b) * (b - 1)",
 * "sum(x @ w, axis=1, keepdims=True)", "x[1:, ::-1]". The same nodes as the calls; errors carry a caret under the
 * column. doc/formulas.md has the grammar. */
#define nd_formula(module, text) nd_formula_at(ND_HERE, module, text)
ND_API nd_value *nd_formula_at(nd_place place, nd_module *module, const char *text);

/* -- looking at values -------------------------------------------------------------------------------------------- */

/* Names a value (copied) and gives it back; for printing, formulas and errors, and the outputs of functions. Inputs and
 * variables keep their own names in programs. */
ND_API nd_value *nd_name(nd_value *value, const char *name);
ND_API const char *nd_value_name(const nd_value *value); /* never NULL; "" without a name */
ND_API nd_dtype nd_value_dtype(const nd_value *value);   /* of poison and NULL: f32, rank 0 */
ND_API nd_shape nd_value_shape(const nd_value *value);
ND_API nd_module *nd_value_module(const nd_value *value); /* NULL for NULL */
ND_API bool nd_value_is_poison(const nd_value *value);    /* true for NULL */
/* The value of a graph without inputs and variables, by the interpreter; a new tensor, which the caller destroys. A
 * failed tensor otherwise. */
ND_API nd_tensor *nd_evaluate(nd_value *value);
/* Prints it, with dtype and shape: "i32 76"; in parentheses why there is none. */
ND_API nd_status nd_print(nd_value *value, FILE *out);

#ifdef __cplusplus
}
#endif
#endif
