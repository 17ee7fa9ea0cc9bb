/* Every op in a few lines: real numbers as doubles, whole numbers as 128 bits that are cut to the dtype's at the end.
 */
#include "reference.h"
#include "bits.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

__extension__ typedef __int128 wide;

/* -- values -------------------------------------------------------------------------------------------------------- */

static void *must(void *p)
{
    if (!p)
        abort(); /* a test without memory proves nothing */
    return p;
}

static reference_value make_value(nd_dtype dtype, nd_shape shape)
{
    reference_value v = {.dtype = dtype, .shape = shape, .count = nd__elements(&shape)};
    v.real = must(calloc((size_t)v.count + 1, sizeof *v.real));
    v.whole = must(calloc((size_t)v.count + 1, sizeof *v.whole));
    v.scale = must(calloc((size_t)v.count + 1, sizeof *v.scale));
    return v;
}

void reference_free(reference_value *v)
{
    free(v->real);
    free(v->whole);
    free(v->scale);
    *v = (reference_value){0};
}

reference_value reference_from(const nd_value *value, const void *elements)
{
    reference_value v = make_value(value->dtype, value->shape);
    for (int64_t i = 0; i < v.count; i++)
        switch (v.dtype) {
        case ND_BOOL:
        case ND_U8:
            v.whole[i] = ((const uint8_t *)elements)[i];
            break;
        case ND_I32:
            v.whole[i] = ((const int32_t *)elements)[i];
            break;
        case ND_U32:
            v.whole[i] = ((const uint32_t *)elements)[i];
            break;
        case ND_I64:
            v.whole[i] = ((const int64_t *)elements)[i];
            break;
        case ND_F32:
            v.real[i] = ((const float *)elements)[i];
            break;
        default:
            v.real[i] = ((const double *)elements)[i];
        }
    return v;
}

void reference_element(const reference_value *v, int64_t i, void *element)
{
    switch (v->dtype) {
    case ND_BOOL:
    case ND_U8:
        *(uint8_t *)element = (uint8_t)v->whole[i];
        break;
    case ND_I32:
        *(int32_t *)element = (int32_t)v->whole[i];
        break;
    case ND_U32:
        *(uint32_t *)element = (uint32_t)v->whole[i];
        break;
    case ND_I64:
        *(int64_t *)element = v->whole[i];
        break;
    case ND_F32:
        *(float *)element = (float)v->real[i];
        break;
    default:
        *(double *)element = v->real[i];
    }
}

int64_t reference_difference(const reference_value *v, const void *elements, double tolerance)
{
    const size_t size = nd_dtype_size(v->dtype);
    const double epsilon = v->dtype == ND_F32 ? FLT_EPSILON : DBL_EPSILON,
                 least = v->dtype == ND_F32 ? 0x1p-149 : 0x1p-1074;
    for (int64_t i = 0; i < v->count; i++) {
        const unsigned char *element = (const unsigned char *)elements + (size_t)i * size;
        unsigned char expected[8] = {0};
        reference_element(v, i, expected);
        if (bits_difference(v->dtype, 1, element, expected) < 0)
            continue;
        if (!nd_dtype_is_float(v->dtype) || tolerance == 0)
            return i;
        double got =
            v->dtype == ND_F32 ? *(const float *)(const void *)element : *(const double *)(const void *)element;
        double want = v->dtype == ND_F32 ? (float)v->real[i] : v->real[i];
        if (!(fabs(got - want) <= tolerance * (epsilon * v->scale[i] + least)))
            return i;
    }
    return -1;
}

/* A whole number cut to the bits of a dtype. */
static int64_t cut(nd_dtype dtype, wide x)
{
    switch (dtype) {
    case ND_BOOL:
        return x != 0;
    case ND_U8:
        return (int64_t)(((x % 256) + 256) % 256);
    case ND_U32:
        return (int64_t)(((x % ((wide)1 << 32)) + ((wide)1 << 32)) % ((wide)1 << 32));
    case ND_I32: {
        wide m = ((x % ((wide)1 << 32)) + ((wide)1 << 32)) % ((wide)1 << 32);
        return (int64_t)(m >= ((wide)1 << 31) ? m - ((wide)1 << 32) : m);
    }
    default: {
        wide m = ((x % ((wide)1 << 64)) + ((wide)1 << 64)) % ((wide)1 << 64);
        return (int64_t)(m >= ((wide)1 << 63) ? m - ((wide)1 << 64) : m);
    }
    }
}

static int bits_of(nd_dtype dtype)
{
    return 8 * (int)nd_dtype_size(dtype);
}

/* -- calls --------------------------------------------------------------------------------------------------------- */

typedef struct call {
    const nd__node *node;
    const reference_value *const *in;
    reference_value *out;
} call;

static void set_real(const call *c, int64_t i, double x)
{
    c->out[0].real[i] = x;
    c->out[0].scale[i] = fabs(x);
}

static void set_whole(const call *c, int64_t i, wide x)
{
    c->out[0].whole[i] = cut(c->out[0].dtype, x);
}

/* Element `to` of the result is element `from` of a value. */
static void move(const call *c, int64_t to, const reference_value *v, int64_t from)
{
    set_real(c, to, v->real[from]);
    c->out[0].whole[to] = v->whole[from];
}

/* The index of element i. */
static void index_of(const nd_shape *shape, int64_t i, int64_t *index)
{
    for (int k = shape->rank - 1; k >= 0; k--) {
        index[k] = i % shape->dims[k];
        i /= shape->dims[k];
    }
}

static int64_t element_at(const nd_shape *shape, const int64_t *index)
{
    int64_t i = 0;
    for (int k = 0; k < shape->rank; k++)
        i = i * shape->dims[k] + index[k];
    return i;
}

/* -- elementwise --------------------------------------------------------------------------------------------------- */

static wide floor_div(wide a, wide b)
{
    return b == 0 ? 0 : (a - (a % b + b) % b) / b;
}

/* `real` from doubles a, b, c; `integer` from wide a, b, c; either may be what an op does not have. */
#define ELEMENTWISE(name, of_reals, of_integers)                                                                       \
    static double real_##name(double a, double b, double c)                                                            \
    {                                                                                                                  \
        (void)a, (void)b, (void)c;                                                                                     \
        return of_reals;                                                                                               \
    }                                                                                                                  \
    static wide whole_##name(nd_dtype dtype, wide a, wide b, wide c)                                                   \
    {                                                                                                                  \
        (void)dtype, (void)a, (void)b, (void)c;                                                                        \
        return of_integers;                                                                                            \
    }                                                                                                                  \
    static void reference_##name(const call *c)                                                                        \
    {                                                                                                                  \
        elementwise(c, real_##name, whole_##name);                                                                     \
    }

static void elementwise(const call *c, double (*real)(double, double, double),
                        wide (*whole)(nd_dtype, wide, wide, wide))
{
    const reference_value *x = c->in[0], *y = c->in[c->node->input_count > 1 ? 1 : 0],
                          *z = c->in[c->node->input_count > 2 ? 2 : 0];
    for (int64_t i = 0; i < c->out[0].count; i++)
        if (nd_dtype_is_float(x->dtype)) {
            double result = real(x->real[i], y->real[i], z->real[i]);
            set_real(c, i, result);
            c->out[0].whole[i] = result != 0; /* what a comparison gives */
            if (c->node->op == ND__OP_fma)
                c->out[0].scale[i] = fabs(x->real[i] * y->real[i]) + fabs(z->real[i]);
        } else {
            set_whole(c, i, whole(x->dtype, x->whole[i], y->whole[i], z->whole[i]));
        }
}

#define NONE 0
/* clang-format off */
ELEMENTWISE(add, a + b, a + b)
ELEMENTWISE(sub, a - b, a - b)
ELEMENTWISE(mul, a * b, a * b)
ELEMENTWISE(div, a / b, NONE)
ELEMENTWISE(floordiv, NONE, floor_div(a, b))
ELEMENTWISE(mod, NONE, b == 0 ? 0 : a - floor_div(a, b) * b)
ELEMENTWISE(pow, pow(a, b), NONE)
ELEMENTWISE(min, isnan(a) || isnan(b) ? (isnan(a) ? a : b) : a < b ? a : b, a < b ? a : b)
ELEMENTWISE(max, isnan(a) || isnan(b) ? (isnan(a) ? a : b) : a > b ? a : b, a > b ? a : b)
ELEMENTWISE(eq, !isunordered(a, b) && !islessgreater(a, b), a == b)
ELEMENTWISE(ne, isunordered(a, b) || islessgreater(a, b), a != b)
ELEMENTWISE(lt, isless(a, b), a < b)
ELEMENTWISE(le, islessequal(a, b), a <= b)
ELEMENTWISE(gt, isgreater(a, b), a > b)
ELEMENTWISE(ge, isgreaterequal(a, b), a >= b)
ELEMENTWISE(and, NONE, a & b)
ELEMENTWISE(or, NONE, a | b)
ELEMENTWISE(xor, NONE, a ^ b)
ELEMENTWISE(not, NONE, dtype == ND_BOOL ? !a : -a - 1)
ELEMENTWISE(shl, NONE, b < 0 || b >= bits_of(dtype) ? 0 : a * ((wide)1 << b))
ELEMENTWISE(shr, NONE, floor_div(a, (wide)1 << (b < 0 || b >= bits_of(dtype) ? 64 : b)))
ELEMENTWISE(neg, copysign(a, signbit(a) ? 1 : -1), -a)
ELEMENTWISE(abs, copysign(a, 1), a < 0 ? -a : a)
ELEMENTWISE(sqrt, sqrt(a), NONE)
ELEMENTWISE(exp, exp(a), NONE)
ELEMENTWISE(log, log(a), NONE)
ELEMENTWISE(log1p, log1p(a), NONE)
ELEMENTWISE(tanh, tanh(a), NONE)
ELEMENTWISE(sigmoid, a < 0 ? exp(a) / (1 + exp(a)) : 1 / (1 + exp(-a)), NONE)
ELEMENTWISE(sin, sin(a), NONE)
ELEMENTWISE(cos, cos(a), NONE)
ELEMENTWISE(erf, erf(a), NONE)
ELEMENTWISE(floor, floor(a), NONE)
ELEMENTWISE(ceil, ceil(a), NONE)
ELEMENTWISE(rint, nearbyint(a), NONE)
ELEMENTWISE(fma, a * b + c, a * b + c)
/* clang-format on */

static void reference_stop_gradient(const call *c)
{
    for (int64_t i = 0; i < c->out[0].count; i++)
        move(c, i, c->in[0], i);
}

static void reference_select(const call *c)
{
    for (int64_t i = 0; i < c->out[0].count; i++)
        move(c, i, c->in[c->in[0]->whole[i] ? 1 : 2], i);
}

static wide saturated(nd_dtype dtype, double x)
{
    const int bits = bits_of(dtype);
    const bool negative = nd_dtype_is_signed(dtype);
    const double low = negative ? -ldexp(1, bits - 1) : 0, high = ldexp(1, negative ? bits - 1 : bits);
    if (isnan(x))
        return 0;
    x = trunc(x);
    return x < low ? (wide)low : x >= high ? (wide)high - 1 : (wide)x;
}

static void reference_cast(const call *c)
{
    const nd_dtype from = c->in[0]->dtype, to = c->out[0].dtype;
    for (int64_t i = 0; i < c->out[0].count; i++) {
        double real = c->in[0]->real[i];
        int64_t whole = c->in[0]->whole[i];
        if (nd_dtype_is_float(to))
            set_real(c, i, nd_dtype_is_float(from) ? real : (double)whole);
        else if (to == ND_BOOL)
            set_whole(c, i, nd_dtype_is_float(from) ? real != 0 : whole != 0);
        else
            set_whole(c, i, nd_dtype_is_float(from) ? saturated(to, real) : whole);
    }
}

/* -- reductions ---------------------------------------------------------------------------------------------------- */

/* For each result, `visit` sees the elements that are reduced to it in row-major order. */
static void reduce(const call *c, double real_start, wide whole_start,
                   void (*visit)(const call *, int64_t to, int64_t from))
{
    const reference_value *x = c->in[0];
    const nd__attr *axes = nd__get(c->node, ND__A_axes);
    for (int64_t i = 0; i < c->out[0].count; i++) {
        c->out[0].real[i] = real_start;
        c->out[0].whole[i] = (int64_t)whole_start;
    }
    for (int64_t i = 0; i < x->count; i++) {
        int64_t index[ND_MAX_RANK], kept[ND_MAX_RANK];
        int n = 0;
        index_of(&x->shape, i, index);
        for (int k = 0; k < x->shape.rank; k++) {
            bool reduced = false;
            for (int j = 0; j < axes->count; j++)
                reduced |= axes->ints[j] == k;
            if (!reduced)
                kept[n++] = index[k];
        }
        visit(c, element_at(&c->out[0].shape, kept), i);
    }
}

static void visit_sum(const call *c, int64_t to, int64_t from)
{
    c->out[0].real[to] += c->in[0]->real[from];
    c->out[0].scale[to] += fabs(c->in[0]->real[from]);
    set_whole(c, to, (wide)c->out[0].whole[to] + c->in[0]->whole[from]);
}

static void visit_max(const call *c, int64_t to, int64_t from)
{
    double x = c->in[0]->real[from], *best = &c->out[0].real[to];
    *best = isnan(*best) || isnan(x) ? NAN : fmax(*best, x);
    if (c->in[0]->whole[from] > c->out[0].whole[to])
        c->out[0].whole[to] = c->in[0]->whole[from];
}

static void visit_min(const call *c, int64_t to, int64_t from)
{
    double x = c->in[0]->real[from], *best = &c->out[0].real[to];
    *best = isnan(*best) || isnan(x) ? NAN : fmin(*best, x);
    if (c->in[0]->whole[from] < c->out[0].whole[to])
        c->out[0].whole[to] = c->in[0]->whole[from];
}

static void reference_sum(const call *c)
{
    reduce(c, 0, 0, visit_sum);
}

static void reference_reduce_max(const call *c)
{
    reduce(c, -INFINITY, saturated(nd_dtype_is_float(c->out[0].dtype) ? ND_I64 : c->out[0].dtype, -INFINITY),
           visit_max);
    for (int64_t i = 0; i < c->out[0].count; i++)
        c->out[0].real[i] += 0.0; /* never -0 */
}

static void reference_reduce_min(const call *c)
{
    reduce(c, INFINITY, saturated(nd_dtype_is_float(c->out[0].dtype) ? ND_I64 : c->out[0].dtype, INFINITY), visit_min);
    for (int64_t i = 0; i < c->out[0].count; i++)
        c->out[0].real[i] += 0.0;
}

static void arg_reduce(const call *c, int sign)
{
    const reference_value *x = c->in[0];
    const int axis = (int)nd__get_int(c->node, ND__A_axis);
    for (int64_t i = 0; i < c->out[0].count; i++) {
        int64_t kept[ND_MAX_RANK], index[ND_MAX_RANK], best = -1;
        index_of(&c->out[0].shape, i, kept);
        for (int k = 0, n = 0; k < x->shape.rank; k++)
            index[k] = k == axis ? 0 : kept[n++];
        /* From the last to the first, so that the first of equals stays; a NaN is above everything. */
        int64_t best_at = 0;
        for (index[axis] = x->shape.dims[axis] - 1; index[axis] >= 0; index[axis]--) {
            int64_t at = element_at(&x->shape, index);
            bool better = best < 0;
            if (nd_dtype_is_float(x->dtype))
                better |=
                    isnan(x->real[at]) || (!isnan(x->real[best_at]) && sign * x->real[at] >= sign * x->real[best_at]);
            else
                better |= (wide)sign * x->whole[at] >= (wide)sign * x->whole[best_at];
            if (better) {
                best = index[axis];
                best_at = at;
            }
        }
        c->out[0].whole[i] = best;
    }
}

static void reference_argmax(const call *c)
{
    arg_reduce(c, 1);
}

static void reference_argmin(const call *c)
{
    arg_reduce(c, -1);
}

/* Whether an element of a, b or the result (`of`) lies in the band of a matmul that has one there. */
static bool in_band(const nd__node *node, nd_band of, const nd_shape *shape, const int64_t *at)
{
    const nd__attr *band = nd__get(node, ND__A_band);
    const int64_t difference = at[shape->rank - 1] - at[shape->rank - 2];
    return band->i != (int64_t)of || (difference >= band->ints[0] && difference <= band->ints[1]);
}

static void reference_matmul(const call *c)
{
    const reference_value *a = c->in[0], *b = c->in[1];
    const int rank = a->shape.rank;
    const bool ta = nd__get_int(c->node, ND__A_trans_a), tb = nd__get_int(c->node, ND__A_trans_b);
    const int64_t inner = a->shape.dims[rank - (ta ? 2 : 1)];
    for (int64_t i = 0; i < c->out[0].count; i++) {
        int64_t at[ND_MAX_RANK], left[ND_MAX_RANK], right[ND_MAX_RANK];
        double sum = 0, scale = 0;
        wide whole = 0;
        index_of(&c->out[0].shape, i, at);
        memcpy(left, at, sizeof left);
        memcpy(right, at, sizeof right);
        for (int64_t k = 0; k < inner; k++) {
            left[rank - 2] = ta ? k : at[rank - 2];
            left[rank - 1] = ta ? at[rank - 2] : k;
            right[rank - 2] = tb ? at[rank - 1] : k;
            right[rank - 1] = tb ? k : at[rank - 1];
            if (!in_band(c->node, ND_BAND_A, &a->shape, left) || !in_band(c->node, ND_BAND_B, &b->shape, right) ||
                !in_band(c->node, ND_BAND_RESULT, &c->out[0].shape, at))
                continue;
            int64_t x = element_at(&a->shape, left), y = element_at(&b->shape, right);
            sum += a->real[x] * b->real[y];
            scale += fabs(a->real[x] * b->real[y]);
            whole = cut(ND_I64, whole + (wide)a->whole[x] * b->whole[y]);
        }
        set_real(c, i, sum);
        c->out[0].scale[i] = scale;
        set_whole(c, i, whole);
    }
}

/* -- windows ------------------------------------------------------------------------------------------------------- */

/* Of one axis: which element of the image the window at `place` has at k; -1: padding. */
static int64_t in_image(const call *c, int axis, int64_t place, int64_t k, int64_t dilation, int64_t size)
{
    int64_t at =
        place * nd__get_ints(c->node, ND__A_stride)[axis] + k * dilation - nd__get_ints(c->node, ND__A_low)[axis];
    return at < 0 || at >= size ? -1 : at;
}

/* Every product x w that a convolution has between x, w and y, added to the one of them that the op computes. */
static void convolve(const call *c, const reference_value *x, const reference_value *w, const reference_value *y)
{
    const int64_t groups = nd__get_int(c->node, ND__A_groups), *dilation = nd__get_ints(c->node, ND__A_dilation);
    reference_value *to = &c->out[0];
    for (int64_t i = 0; i < y->count; i++) {
        int64_t out[ND_MAX_RANK], tap[ND_MAX_RANK], in[ND_MAX_RANK] = {0};
        index_of(&y->shape, i, out);
        for (int64_t k = out[3]; k < w->count; k += w->shape.dims[3]) {
            index_of(&w->shape, k, tap);
            in[0] = out[0];
            in[1] = in_image(c, 0, out[1], tap[0], dilation[0], x->shape.dims[1]);
            in[2] = in_image(c, 1, out[2], tap[1], dilation[1], x->shape.dims[2]);
            in[3] = tap[3] / (w->shape.dims[3] / groups) * w->shape.dims[2] + tap[2];
            if (in[1] < 0 || in[2] < 0)
                continue;
            int64_t j = element_at(&x->shape, in), at = to == x ? j : to == w ? k : i;
            const reference_value *a = to == x ? y : x, *b = to == w ? y : w;
            int64_t p = a == x ? j : i, q = b == w ? k : i;
            to->real[at] += a->real[p] * b->real[q];
            to->scale[at] += fabs(a->real[p] * b->real[q]);
            set_whole(c, at, (wide)to->whole[at] + (wide)a->whole[p] * b->whole[q]);
        }
    }
}

static void reference_conv2d(const call *c)
{
    convolve(c, c->in[0], c->in[1], &c->out[0]);
}

static void reference_conv2d_dx(const call *c)
{
    convolve(c, &c->out[0], c->in[1], c->in[0]);
}

static void reference_conv2d_dw(const call *c)
{
    convolve(c, c->in[0], &c->out[0], c->in[1]);
}

static void reference_conv2d_dw_pooled(const call *c)
{
    const int64_t *stride = nd__get_ints(c->node, ND__A_stride), *window = nd__get_ints(c->node, ND__A_window);
    const reference_value *x = c->in[0], *y = c->in[1];
    reference_value *w = &c->out[0];
    for (int64_t i = 0; i < y->count; i++) {
        const int64_t k = c->in[2]->whole[i];
        int64_t out[ND_MAX_RANK], tap[ND_MAX_RANK];
        index_of(&y->shape, i, out);
        for (int64_t q = out[3]; q < w->count && k >= 0 && k < window[0] * window[1]; q += w->shape.dims[3]) {
            index_of(&w->shape, q, tap);
            const int64_t in[] = {out[0], (out[1] * window[0] + k / window[1]) * stride[0] + tap[0],
                                  (out[2] * window[1] + k % window[1]) * stride[1] + tap[1], tap[2]};
            const int64_t p = element_at(&x->shape, in);
            w->real[q] += x->real[p] * y->real[i];
            w->scale[q] += fabs(x->real[p] * y->real[i]);
            set_whole(c, q, (wide)w->whole[q] + (wide)x->whole[p] * y->whole[i]);
        }
    }
}

/* Where the window of element `out` has its element k; -1: padding, or no element. */
static int64_t in_window(const call *c, const nd_shape *image, const int64_t *out, int64_t k)
{
    const int64_t *window = nd__get_ints(c->node, ND__A_window);
    if (k < 0 || k >= window[0] * window[1])
        return -1;
    int64_t y = in_image(c, 0, out[1], k / window[1], 1, image->dims[1]),
            x = in_image(c, 1, out[2], k % window[1], 1, image->dims[2]);
    return y < 0 || x < 0 ? -1 : element_at(image, (int64_t[]){out[0], y, x, out[3]});
}

/* From the last element of each window to the first, so that the first of equals stays; a NaN is above everything. */
static void find_maximum(const call *c, bool wants_index)
{
    const reference_value *x = c->in[0];
    const int64_t *window = nd__get_ints(c->node, ND__A_window);
    for (int64_t i = 0; i < c->out[0].count; i++) {
        int64_t out[ND_MAX_RANK], best = -1, best_k = -1;
        index_of(&c->out[0].shape, i, out);
        for (int64_t k = window[0] * window[1] - 1; k >= 0; k--) {
            int64_t at = in_window(c, &x->shape, out, k);
            if (at < 0)
                continue;
            bool better = nd_dtype_is_float(x->dtype) ? best < 0 || isnan(x->real[at]) ||
                                                            (!isnan(x->real[best]) && x->real[at] >= x->real[best])
                                                      : best < 0 || x->whole[at] >= x->whole[best];
            if (better) {
                best = at;
                best_k = k;
            }
        }
        if (wants_index)
            c->out[0].whole[i] = best_k;
        else {
            move(c, i, x, best);
            c->out[0].real[i] += 0;
        }
    }
}

static void reference_max_pool(const call *c)
{
    find_maximum(c, false);
}

static void reference_max_pool_index(const call *c)
{
    find_maximum(c, true);
}

static void reference_max_pool_pick(const call *c)
{
    for (int64_t i = 0; i < c->out[0].count; i++) {
        int64_t out[ND_MAX_RANK];
        index_of(&c->out[0].shape, i, out);
        int64_t at = in_window(c, &c->in[0]->shape, out, c->in[1]->whole[i]);
        if (at >= 0)
            move(c, i, c->in[0], at);
    }
}

static void reference_max_pool_spread(const call *c)
{
    for (int64_t i = 0; i < c->in[0]->count; i++) {
        int64_t out[ND_MAX_RANK];
        index_of(&c->in[0]->shape, i, out);
        int64_t at = in_window(c, &c->out[0].shape, out, c->in[1]->whole[i]);
        if (at < 0)
            continue;
        c->out[0].real[at] += c->in[0]->real[i];
        c->out[0].scale[at] += fabs(c->in[0]->real[i]);
        set_whole(c, at, (wide)c->out[0].whole[at] + c->in[0]->whole[i]);
    }
}

/* -- what attributes make, what moves ------------------------------------------------------------------------------ */

static void reference_constant(const call *c)
{
    const nd__data *data = nd__get(c->node, ND__A_data)->data;
    nd_value like = c->node->results[0];
    like.shape = nd_shape_of(1, &data->count);
    reference_value v = reference_from(&like, data->items);
    for (int64_t i = 0; i < c->out[0].count; i++)
        move(c, i, &v, data->count == 1 ? 0 : i);
    reference_free(&v);
}

static void set_number(const call *c, int64_t i, int64_t number)
{
    set_real(c, i, (double)number);
    set_whole(c, i, number);
}

static void reference_size(const call *c)
{
    set_number(c, 0, nd_dim_value(c->node->module, nd__get_int(c->node, ND__A_of)));
}

static void reference_iota(const call *c)
{
    for (int64_t i = 0; i < c->out[0].count; i++) {
        int64_t index[ND_MAX_RANK];
        index_of(&c->out[0].shape, i, index);
        set_number(c, i, index[nd__get_int(c->node, ND__A_axis)]);
    }
}

static void reference_random_bits(const call *c)
{
    const uint64_t stream = (uint64_t)nd__get_int(c->node, ND__A_stream);
    for (int64_t i = 0; i < c->out[0].count; i++) {
        uint32_t x[4] = {(uint32_t)(i / 4), (uint32_t)((uint64_t)(i / 4) >> 32), (uint32_t)stream,
                         (uint32_t)(stream >> 32)};
        for (uint32_t round = 0; round < 10; round++) {
            uint32_t key[2] = {(uint32_t)c->in[0]->whole[0] + round * 0x9E3779B9u,
                               (uint32_t)c->in[0]->whole[1] + round * 0xBB67AE85u};
            uint64_t left = x[0] * (uint64_t)0xD2511F53u, right = x[2] * (uint64_t)0xCD9E8D57u;
            uint32_t y[4] = {(uint32_t)(right >> 32) ^ x[1] ^ key[0], (uint32_t)right,
                             (uint32_t)(left >> 32) ^ x[3] ^ key[1], (uint32_t)left};
            memcpy(x, y, sizeof x);
        }
        c->out[0].whole[i] = x[i % 4];
    }
}

static void reference_reshape(const call *c)
{
    reference_stop_gradient(c);
}

static void reference_transpose(const call *c)
{
    const int64_t *axes = nd__get_ints(c->node, ND__A_axes);
    for (int64_t i = 0; i < c->out[0].count; i++) {
        int64_t to[ND_MAX_RANK], from[ND_MAX_RANK];
        index_of(&c->out[0].shape, i, to);
        for (int k = 0; k < c->out[0].shape.rank; k++)
            from[axes[k]] = to[k];
        move(c, i, c->in[0], element_at(&c->in[0]->shape, from));
    }
}

static void reference_broadcast(const call *c)
{
    const nd_shape *small = &c->in[0]->shape, *large = &c->out[0].shape;
    for (int64_t i = 0; i < c->out[0].count; i++) {
        int64_t to[ND_MAX_RANK], from[ND_MAX_RANK];
        index_of(large, i, to);
        for (int k = 0; k < small->rank; k++)
            from[k] = small->dims[k] == 1 ? 0 : to[large->rank - small->rank + k];
        move(c, i, c->in[0], element_at(small, from));
    }
}

static void reference_slice(const call *c)
{
    const int64_t *start = nd__get_ints(c->node, ND__A_start), *step = nd__get_ints(c->node, ND__A_step);
    for (int64_t i = 0; i < c->out[0].count; i++) {
        int64_t at[ND_MAX_RANK];
        index_of(&c->out[0].shape, i, at);
        for (int k = 0; k < c->out[0].shape.rank; k++)
            at[k] = (start[k] < 0 ? start[k] + c->in[0]->shape.dims[k] : start[k]) + at[k] * step[k];
        move(c, i, c->in[0], element_at(&c->in[0]->shape, at));
    }
}

static void reference_concat(const call *c)
{
    const int axis = (int)nd__get_int(c->node, ND__A_axis);
    for (int64_t i = 0; i < c->out[0].count; i++) {
        int64_t at[ND_MAX_RANK];
        int part = 0;
        index_of(&c->out[0].shape, i, at);
        for (; at[axis] >= c->in[part]->shape.dims[axis]; part++)
            at[axis] -= c->in[part]->shape.dims[axis];
        move(c, i, c->in[part], element_at(&c->in[part]->shape, at));
    }
}

static void reference_pad(const call *c)
{
    const int64_t *low = nd__get_ints(c->node, ND__A_low), *interior = nd__get_ints(c->node, ND__A_interior);
    nd_value like = c->node->results[0];
    like.shape = ND_SCALAR;
    reference_value padding = reference_from(&like, nd__get(c->node, ND__A_value)->data->items);
    for (int64_t i = 0; i < c->out[0].count; i++) {
        int64_t at[ND_MAX_RANK];
        bool inside = true;
        index_of(&c->out[0].shape, i, at);
        for (int k = 0; k < c->out[0].shape.rank; k++) {
            int64_t from_low = at[k] - low[k];
            inside = inside && from_low >= 0 && from_low % (interior[k] + 1) == 0 &&
                     from_low / (interior[k] + 1) < c->in[0]->shape.dims[k];
            at[k] = from_low / (interior[k] + 1);
        }
        if (inside)
            move(c, i, c->in[0], element_at(&c->in[0]->shape, at));
        else
            move(c, i, &padding, 0);
    }
    reference_free(&padding);
}

static void reference_gather(const call *c)
{
    const reference_value *table = c->in[0], *indices = c->in[1];
    for (int64_t i = 0; i < c->out[0].count; i++) {
        int64_t at[ND_MAX_RANK], from[ND_MAX_RANK];
        index_of(&c->out[0].shape, i, at);
        from[0] = indices->whole[element_at(&indices->shape, at)];
        memcpy(from + 1, at + indices->shape.rank, (size_t)(table->shape.rank - 1) * sizeof *from);
        if (from[0] < 0 || from[0] >= table->shape.dims[0])
            set_number(c, i, 0);
        else
            move(c, i, table, element_at(&table->shape, from));
    }
}

static void reference_scatter_add(const call *c)
{
    const reference_value *updates = c->in[0], *indices = c->in[1];
    for (int64_t i = 0; i < updates->count; i++) {
        int64_t at[ND_MAX_RANK], to[ND_MAX_RANK];
        index_of(&updates->shape, i, at);
        to[0] = indices->whole[element_at(&indices->shape, at)];
        memcpy(to + 1, at + indices->shape.rank, (size_t)(updates->shape.rank - indices->shape.rank) * sizeof *to);
        if (to[0] < 0 || to[0] >= c->out[0].shape.dims[0])
            continue;
        int64_t k = element_at(&c->out[0].shape, to);
        c->out[0].real[k] += updates->real[i];
        c->out[0].scale[k] += fabs(updates->real[i]);
        set_whole(c, k, (wide)c->out[0].whole[k] + updates->whole[i]);
    }
}

/* -- control flow -------------------------------------------------------------------------------------------------- */

static void run(const nd_function *f, const reference_value *const *in, reference_value *out);

static void copy(reference_value *to, const reference_value *from)
{
    *to = make_value(from->dtype, from->shape);
    memcpy(to->real, from->real, (size_t)from->count * sizeof *to->real);
    memcpy(to->whole, from->whole, (size_t)from->count * sizeof *to->whole);
    memcpy(to->scale, from->scale, (size_t)from->count * sizeof *to->scale);
}

static void free_results(const call *c)
{
    for (int i = 0; i < c->node->result_count; i++)
        reference_free(&c->out[i]);
}

static void reference_apply(const call *c)
{
    free_results(c);
    run(nd__get(c->node, ND__A_body)->function, c->in, c->out);
}

static void reference_cond(const call *c)
{
    free_results(c);
    run(nd__get(c->node, c->in[0]->whole[0] ? ND__A_body : ND__A_other)->function, c->in + 1, c->out);
}

static void reference_scan(const call *c)
{
    const nd_function *body = nd__get(c->node, ND__A_body)->function;
    const int64_t length = nd__get_int(c->node, ND__A_length), carries = nd__get_int(c->node, ND__A_carries),
                  slices = nd__get_int(c->node, ND__A_slices);
    reference_value *in = must(calloc((size_t)body->input_count + 1, sizeof *in)),
                    *out = must(calloc((size_t)body->output_count + 1, sizeof *out));
    const reference_value **pointers = must(calloc((size_t)body->input_count + 1, sizeof *pointers));
    for (int i = 0; i < body->input_count; i++) {
        pointers[i] = i < carries + slices ? &in[i] : c->in[i];
        if (i < carries)
            copy(&in[i], c->in[i]);
        else if (i < carries + slices)
            in[i] = make_value(body->inputs[i]->dtype, body->inputs[i]->shape);
    }
    for (int64_t step = 0; step < length; step++) {
        int64_t t = nd__get_int(c->node, ND__A_reverse) ? length - 1 - step : step;
        for (int64_t i = carries; i < carries + slices; i++)
            for (int64_t k = 0; k < in[i].count; k++) {
                in[i].real[k] = c->in[i]->real[t * in[i].count + k];
                in[i].whole[k] = c->in[i]->whole[t * in[i].count + k];
            }
        run(body, pointers, out);
        for (int i = 0; i < body->output_count; i++) {
            if (i < carries) {
                reference_free(&in[i]);
                in[i] = out[i];
                continue;
            }
            for (int64_t k = 0; k < out[i].count; k++) {
                c->out[i].real[t * out[i].count + k] = out[i].real[k];
                c->out[i].whole[t * out[i].count + k] = out[i].whole[k];
                c->out[i].scale[t * out[i].count + k] = out[i].scale[k];
            }
            reference_free(&out[i]);
        }
    }
    for (int64_t i = 0; i < carries + slices; i++)
        if (i < carries) {
            reference_free(&c->out[i]);
            c->out[i] = in[i];
        } else {
            reference_free(&in[i]);
        }
    free(in);
    free(out);
    free(pointers);
}

/* -- functions ----------------------------------------------------------------------------------------------------- */

static void reference_input(const call *c)
{
    (void)c;
    abort(); /* run() knows inputs; variables are not for references */
}

static void reference_variable(const call *c)
{
    reference_input(c);
}

static void (*const references[ND__OPS])(const call *) = {
#define OP(name, ...) reference_##name,
#include "compiler/graph/ops.def"
#undef OP
};

/* All nodes up to the outputs that need no input but the function's, in order. */
static void run(const nd_function *f, const reference_value *const *in, reference_value *out)
{
    const nd_module *m = f->module;
    bool *need = must(calloc((size_t)m->node_count + 1, sizeof *need));
    reference_value **values = must(calloc((size_t)m->node_count + 1, sizeof *values));
    for (int i = 0; i < f->output_count; i++)
        need[f->outputs[i]->node->number] = true;
    for (int i = m->node_count - 1; i >= 0; i--)
        for (int k = 0; need[i] && k < m->nodes[i]->input_count; k++)
            need[m->nodes[i]->inputs[k]->node->number] = true;
    for (int i = 0; i < m->node_count; i++) {
        const nd__node *n = m->nodes[i];
        if (!need[i])
            continue;
        values[i] = must(calloc((size_t)n->result_count, sizeof **values));
        if (n->op == ND__OP_input) {
            for (int k = 0; k < f->input_count; k++)
                if (f->inputs[k]->node == n)
                    copy(&values[i][0], in[k]);
            continue;
        }
        const reference_value **operands = must(calloc((size_t)n->input_count + 1, sizeof *operands));
        for (int k = 0; k < n->input_count; k++)
            operands[k] = &values[n->inputs[k]->node->number][n->inputs[k]->index];
        for (int k = 0; k < n->result_count; k++)
            values[i][k] = make_value(n->results[k].dtype, n->results[k].shape);
        references[n->op](&(call){n, operands, values[i]});
        for (int k = 0; k < n->result_count; k++)
            for (int64_t j = 0; n->results[k].dtype == ND_F32 && j < values[i][k].count; j++)
                values[i][k].real[j] = (float)values[i][k].real[j];
        free(operands);
    }
    for (int i = 0; i < f->output_count; i++)
        copy(&out[i], &values[f->outputs[i]->node->number][f->outputs[i]->index]);
    for (int i = 0; i < m->node_count; i++) {
        for (int k = 0; need[i] && k < m->nodes[i]->result_count; k++)
            reference_free(&values[i][k]);
        free(values[i]);
    }
    free(values);
    free(need);
}

void reference_run(const nd_function *f, const void *const *in, reference_value *out)
{
    reference_value *values = must(calloc((size_t)f->input_count + 1, sizeof *values));
    const reference_value **pointers = must(calloc((size_t)f->input_count + 1, sizeof *pointers));
    for (int i = 0; i < f->input_count; i++) {
        values[i] = reference_from(f->inputs[i], in[i]);
        pointers[i] = &values[i];
    }
    run(f, pointers, out);
    for (int i = 0; i < f->input_count; i++)
        reference_free(&values[i]);
    free(values);
    free(pointers);
}
