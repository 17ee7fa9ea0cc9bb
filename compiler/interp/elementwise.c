/* The elementwise ops: one line each says what an element of the result is, for integers and for floats.
 *
 * a, b, c are the operands' elements. Integers are computed in 64 unsigned bits and cut off, which is arithmetic modulo
 * 2^bits for every one of them. Our own C is compiled without contraction, so a * b + c here has two roundings. */
#include "compiler/interp/definitions.h"
#include "compiler/kernel/elementary.h"

#include <math.h>
#include <string.h>

/* One dtype's case: operands of type T, results of type R. An operand that `result` does not mention is read all the
 * same. */
#define CASE(dtype, T, R, result)                                                                                      \
    case dtype: {                                                                                                      \
        const T *x = in[0], *y = in[arity > 1 ? 1 : 0], *z = in[arity > 2 ? 2 : 0];                                    \
        R *to = out[0];                                                                                                \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            T a = x[i], b = y[i], c = z[i];                                                                            \
            (void)b, (void)c;                                                                                          \
            to[i] = (R)(result);                                                                                       \
        }                                                                                                              \
        return ND_OK;                                                                                                  \
    }
/* Results of the operands' dtype. */
#define INTEGERS(result)                                                                                               \
    CASE(ND_U8, uint8_t, uint8_t, result)                                                                              \
    CASE(ND_I32, int32_t, int32_t, result)                                                                             \
    CASE(ND_U32, uint32_t, uint32_t, result)                                                                           \
    CASE(ND_I64, int64_t, int64_t, result)
#define F32(result)    CASE(ND_F32, float, float, result)
#define F64(result)    CASE(ND_F64, double, double, result)
#define FLOATS(result) F32(result) F64(result)
#define BOOLS(result)  CASE(ND_BOOL, uint8_t, uint8_t, result)
/* Results that are bool. */
#define NUMBERS_TO_BOOL(result)                                                                                        \
    CASE(ND_U8, uint8_t, uint8_t, result)                                                                              \
    CASE(ND_I32, int32_t, uint8_t, result)                                                                             \
    CASE(ND_U32, uint32_t, uint8_t, result)                                                                            \
    CASE(ND_I64, int64_t, uint8_t, result)                                                                             \
    CASE(ND_F32, float, uint8_t, result)                                                                               \
    CASE(ND_F64, double, uint8_t, result)

#define DEFINE(name, operands, cases)                                                                                  \
    nd_status nd__interpret_##name(const nd__node *node, const void *const *in, void *const *out)                      \
    {                                                                                                                  \
        enum { arity = operands };                                                                                     \
        const int64_t n = nd__elements(&node->results[0].shape);                                                       \
        switch (node->inputs[0]->dtype) {                                                                              \
        default:                                                                                                       \
            return ND_ERR_INTERNAL;                                                                                    \
            cases                                                                                                      \
        }                                                                                                              \
    }

#define U(x) ((uint64_t)(x))
/* Whether a value of a signed or unsigned type is below 0, without a warning where it never is. */
#define NEGATIVE(x) (!((x) > 0) && (x) != 0)
#define BITS_OF(x)  (8 * sizeof(x))

/* Floor of the quotient. A divisor of -1 negates, since the lowest / -1 is no number of the dtype; 0 gives 0. */
static inline uint64_t floor_quotient(int64_t a, int64_t b)
{
    if (b == 0)
        return 0;
    if (b == -1)
        return 0 - U(a);
    return U(a / b - (a % b != 0 && (a < 0) != (b < 0)));
}

/* i64 holds every value of the integer dtypes. */
#define FLOORDIV(a, b) floor_quotient((int64_t)(a), (int64_t)(b))

/* clang-format off */
DEFINE(add, 2, INTEGERS(U(a) + U(b)) FLOATS(a + b))
DEFINE(sub, 2, INTEGERS(U(a) - U(b)) FLOATS(a - b))
DEFINE(mul, 2, INTEGERS(U(a) * U(b)) FLOATS(a * b))
DEFINE(div, 2, FLOATS(a / b))
DEFINE(floordiv, 2, INTEGERS(FLOORDIV(a, b)))
DEFINE(mod, 2, INTEGERS(b == 0 ? 0 : U(a) - FLOORDIV(a, b) * U(b)))
DEFINE(pow, 2, F32(nd__pow_f32(a, b)) F64(nd__pow_f64(a, b)))
DEFINE(min, 2, INTEGERS(a < b ? a : b) FLOATS(a < b || a != a ? a : b))
DEFINE(max, 2, INTEGERS(a > b ? a : b) FLOATS(a > b || a != a ? a : b))

DEFINE(eq, 2, BOOLS(a == b) NUMBERS_TO_BOOL(a == b))
DEFINE(ne, 2, BOOLS(a != b) NUMBERS_TO_BOOL(a != b))
DEFINE(lt, 2, NUMBERS_TO_BOOL(a < b))
DEFINE(le, 2, NUMBERS_TO_BOOL(a <= b))
DEFINE(gt, 2, NUMBERS_TO_BOOL(a > b))
DEFINE(ge, 2, NUMBERS_TO_BOOL(a >= b))

DEFINE(and, 2, BOOLS(a & b) INTEGERS(a & b))
DEFINE(or, 2, BOOLS(a | b) INTEGERS(a | b))
DEFINE(xor, 2, BOOLS(a ^ b) INTEGERS(a ^ b))
DEFINE(not, 1, BOOLS(!a) INTEGERS(~U(a)))
/* Counts outside [0, bits): everything is shifted out, a signed number's sign is what comes in on the right shift. */
DEFINE(shl, 2, INTEGERS(U(b) < BITS_OF(b) ? U(a) << U(b) : 0))
DEFINE(shr, 2, INTEGERS(U(b) < BITS_OF(b) ? U(a >> b) : NEGATIVE(a) ? U(-1) : 0))

DEFINE(neg, 1, INTEGERS(0 - U(a)) FLOATS(-a))
DEFINE(abs, 1, INTEGERS(NEGATIVE(a) ? 0 - U(a) : U(a)) F32(fabsf(a)) F64(fabs(a)))
DEFINE(sqrt, 1, F32(sqrtf(a)) F64(sqrt(a)))
DEFINE(exp, 1, F32(nd__exp_f32(a)) F64(nd__exp_f64(a)))
DEFINE(log, 1, F32(nd__log_f32(a)) F64(nd__log_f64(a)))
DEFINE(log1p, 1, F32(nd__log1p_f32(a)) F64(nd__log1p_f64(a)))
DEFINE(tanh, 1, F32(nd__tanh_f32(a)) F64(nd__tanh_f64(a)))
DEFINE(sigmoid, 1, F32(nd__sigmoid_f32(a)) F64(nd__sigmoid_f64(a)))
DEFINE(sin, 1, F32(nd__sin_f32(a)) F64(nd__sin_f64(a)))
DEFINE(cos, 1, F32(nd__cos_f32(a)) F64(nd__cos_f64(a)))
DEFINE(erf, 1, F32(nd__erf_f32(a)) F64(nd__erf_f64(a)))
DEFINE(floor, 1, F32(floorf(a)) F64(floor(a)))
DEFINE(ceil, 1, F32(ceilf(a)) F64(ceil(a)))
DEFINE(rint, 1, F32(rintf(a)) F64(rint(a))) /* ties to even: the rounding of the default control word */
DEFINE(fma, 3, INTEGERS(U(a) * U(b) + U(c)) F32(fmaf(a, b, c)) F64(fma(a, b, c)))
/* clang-format on */

nd_status nd__interpret_stop_gradient(const nd__node *node, const void *const *in, void *const *out)
{
    size_t bytes = nd__value_bytes(&node->results[0]);
    if (bytes > 0)
        memcpy(out[0], in[0], bytes);
    return ND_OK;
}

nd_status nd__interpret_select(const nd__node *node, const void *const *in, void *const *out)
{
    const int64_t n = nd__elements(&node->results[0].shape);
    const uint8_t *condition = in[0];
    switch (nd_dtype_size(node->results[0].dtype)) {
#define SELECT(size, T)                                                                                                \
    case size: {                                                                                                       \
        const T *a = in[1], *b = in[2];                                                                                \
        T *to = out[0];                                                                                                \
        for (int64_t i = 0; i < n; i++)                                                                                \
            to[i] = condition[i] ? a[i] : b[i];                                                                        \
        return ND_OK;                                                                                                  \
    }
        SELECT(1, uint8_t)
        SELECT(4, uint32_t)
        SELECT(8, uint64_t)
#undef SELECT
    default:
        return ND_ERR_INTERNAL;
    }
}

/* -- cast ---------------------------------------------------------------------------------------------------------- */

/* Float to integer: towards zero, the nearest end of the range where it is outside, 0 for NaN. Every f32 is an f64. The
 * bounds are exact in f64; `above` is the least number that is too large. */
static inline int64_t truncated(double x, double lowest, double above, int64_t low, int64_t high)
{
    return x != x ? 0 : x <= lowest ? low : x >= above ? high : (int64_t)x;
}

#define TO_U8(x)  truncated((double)(x), 0, 0x1p8, 0, UINT8_MAX)
#define TO_I32(x) truncated((double)(x), -0x1p31, 0x1p31, INT32_MIN, INT32_MAX)
#define TO_U32(x) truncated((double)(x), 0, 0x1p32, 0, UINT32_MAX)
#define TO_I64(x) truncated((double)(x), -0x1p63, 0x1p63, INT64_MIN, INT64_MAX)

/* Casts to a type R: from integers and bool as `whole`, from floats as `real`. */
#define CAST(name, R, whole, real)                                                                                     \
    static nd_status name(nd_dtype from, int64_t n, const void *const *in, void *const *out)                           \
    {                                                                                                                  \
        enum { arity = 1 };                                                                                            \
        switch (from) {                                                                                                \
            CASE(ND_BOOL, uint8_t, R, whole)                                                                           \
            CASE(ND_U8, uint8_t, R, whole)                                                                             \
            CASE(ND_I32, int32_t, R, whole)                                                                            \
            CASE(ND_U32, uint32_t, R, whole)                                                                           \
            CASE(ND_I64, int64_t, R, whole)                                                                            \
            CASE(ND_F32, float, R, real)                                                                               \
            CASE(ND_F64, double, R, real)                                                                              \
        default:                                                                                                       \
            return ND_ERR_INTERNAL;                                                                                    \
        }                                                                                                              \
    }

CAST(cast_to_bool, uint8_t, a != 0, a != 0)
CAST(cast_to_u8, uint8_t, a, TO_U8(a))
CAST(cast_to_i32, int32_t, a, TO_I32(a))
CAST(cast_to_u32, uint32_t, a, TO_U32(a))
CAST(cast_to_i64, int64_t, a, TO_I64(a))
CAST(cast_to_f32, float, a, a)
CAST(cast_to_f64, double, a, a)

nd_status nd__interpret_cast(const nd__node *node, const void *const *in, void *const *out)
{
    static nd_status (*const casts[ND_DTYPES])(nd_dtype, int64_t, const void *const *, void *const *) = {
        [ND_BOOL] = cast_to_bool, [ND_U8] = cast_to_u8,   [ND_I32] = cast_to_i32, [ND_U32] = cast_to_u32,
        [ND_I64] = cast_to_i64,   [ND_F32] = cast_to_f32, [ND_F64] = cast_to_f64,
    };
    return casts[node->results[0].dtype](node->inputs[0]->dtype, nd__elements(&node->results[0].shape), in, out);
}
