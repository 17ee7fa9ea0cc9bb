/* One lane of each arithmetic instruction. Integers are computed in 64 bits, unsigned where they wrap, and cut off. */
#include "compiler/kernel/scalar.h"

#include <math.h>
#include <string.h>

uint64_t nd__scalar_load(nd_dtype dtype, const void *element)
{
    uint8_t byte;
    uint32_t word;
    uint64_t wide;
    switch (nd_dtype_size(dtype)) {
    case 1:
        memcpy(&byte, element, 1);
        return dtype == ND_BOOL ? byte != 0 : byte;
    case 4:
        memcpy(&word, element, 4);
        return word;
    case 8:
        memcpy(&wide, element, 8);
        return wide;
    default:
        return 0;
    }
}

void nd__scalar_store(nd_dtype dtype, void *element, uint64_t bits)
{
    uint8_t byte = (uint8_t)bits;
    uint32_t word = (uint32_t)bits;
    switch (nd_dtype_size(dtype)) {
    case 1:
        memcpy(element, &byte, 1);
        break;
    case 4:
        memcpy(element, &word, 4);
        break;
    case 8:
        memcpy(element, &bits, 8);
        break;
    default:
        break;
    }
}

static float f32_of(uint64_t bits)
{
    uint32_t word = (uint32_t)bits;
    float x;
    memcpy(&x, &word, 4);
    return x;
}

static double f64_of(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, 8);
    return x;
}

static uint64_t bits_f32(float x)
{
    uint32_t word;
    memcpy(&word, &x, 4);
    return word;
}

static uint64_t bits_f64(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, 8);
    return bits;
}

static int bits_in(nd_dtype dtype)
{
    return dtype == ND_BOOL ? 1 : 8 * (int)nd_dtype_size(dtype);
}

/* The low bits of that dtype, zeros above. */
static uint64_t cut(nd_dtype dtype, uint64_t x)
{
    int bits = bits_in(dtype);
    return bits < 64 ? x & (((uint64_t)1 << bits) - 1) : x;
}

/* The number that the bits mean: i64 holds every value of every integer dtype, and bool's 0 and 1. */
static int64_t number_of(nd_dtype dtype, uint64_t bits)
{
    int64_t x;
    if (dtype == ND_I32 && bits >> 31)
        bits |= ~(uint64_t)UINT32_MAX;
    memcpy(&x, &bits, 8);
    return x;
}

/* A divisor of -1 negates, since the lowest / -1 is no number of the dtype. */
static uint64_t floor_quotient(int64_t a, int64_t b)
{
    if (b == 0)
        return 0;
    if (b == -1)
        return 0 - (uint64_t)a;
    return (uint64_t)(a / b - (a % b != 0 && (a < 0) != (b < 0)));
}

static uint64_t shift_right(nd_dtype dtype, uint64_t a, uint64_t count)
{
    bool negative = number_of(dtype, a) < 0;
    uint64_t sign = negative ? UINT64_MAX : 0;
    if (count == 0)
        return a;
    if (count >= (uint64_t)bits_in(dtype))
        return sign;
    return ((uint64_t)number_of(dtype, a) >> count) | sign << (64 - count);
}

/* bool and integers. `x`, `y` are the numbers, `a`, `b`, `c` their bits. */
static uint64_t integer_op(nd__kop op, nd_dtype dtype, uint64_t a, uint64_t b, uint64_t c)
{
    int64_t x = number_of(dtype, a), y = number_of(dtype, b);
    switch (op) {
    case ND__K_add:
        return a + b;
    case ND__K_sub:
        return a - b;
    case ND__K_mul:
        return a * b;
    case ND__K_floordiv:
        return floor_quotient(x, y);
    case ND__K_mod:
        return y == 0 ? 0 : a - floor_quotient(x, y) * b;
    case ND__K_mulhi:
        return a * b >> 32;
    case ND__K_fma:
        return a * b + c;
    case ND__K_neg:
        return 0 - a;
    case ND__K_abs:
        return x < 0 ? 0 - a : a;
    case ND__K_min:
        return x < y ? a : b;
    case ND__K_max:
        return x > y ? a : b;
    case ND__K_lt:
        return x < y;
    case ND__K_le:
        return x <= y;
    case ND__K_eq:
        return a == b;
    case ND__K_ne:
        return a != b;
    case ND__K_and:
        return a & b;
    case ND__K_or:
        return a | b;
    case ND__K_xor:
        return a ^ b;
    case ND__K_not:
        return ~a;
    case ND__K_shl:
        return b < (uint64_t)bits_in(dtype) ? a << b : 0;
    case ND__K_shr:
        return shift_right(dtype, a, b);
    default:
        return 0;
    }
}

/* The two float dtypes: one text, so that they cannot differ. */
#define FLOAT_OP(name, T, of, bits, sign_bit, fused, root, down, up, near)                                             \
    static uint64_t name(nd__kop op, uint64_t a_bits, uint64_t b_bits, uint64_t c_bits)                                \
    {                                                                                                                  \
        T a = of(a_bits), b = of(b_bits), c = of(c_bits);                                                              \
        switch (op) {                                                                                                  \
        case ND__K_add:                                                                                                \
            return bits(a + b);                                                                                        \
        case ND__K_sub:                                                                                                \
            return bits(a - b);                                                                                        \
        case ND__K_mul:                                                                                                \
            return bits(a * b);                                                                                        \
        case ND__K_div:                                                                                                \
            return bits(a / b);                                                                                        \
        case ND__K_fma:                                                                                                \
            return bits(fused(a, b, c));                                                                               \
        case ND__K_neg:                                                                                                \
            return a_bits ^ sign_bit;                                                                                  \
        case ND__K_abs:                                                                                                \
            return a_bits & ~sign_bit;                                                                                 \
        case ND__K_sqrt:                                                                                               \
            return bits(root(a));                                                                                      \
        case ND__K_floor:                                                                                              \
            return bits(down(a));                                                                                      \
        case ND__K_ceil:                                                                                               \
            return bits(up(a));                                                                                        \
        case ND__K_rint:                                                                                               \
            return bits(near(a));                                                                                      \
        case ND__K_min:                                                                                                \
            return a < b || a != a ? a_bits : b_bits;                                                                  \
        case ND__K_max:                                                                                                \
            return a > b || a != a ? a_bits : b_bits;                                                                  \
        case ND__K_eq:                                                                                                 \
            return a == b;                                                                                             \
        case ND__K_ne:                                                                                                 \
            return a != b;                                                                                             \
        case ND__K_lt:                                                                                                 \
            return a < b;                                                                                              \
        case ND__K_le:                                                                                                 \
            return a <= b;                                                                                             \
        default:                                                                                                       \
            return 0;                                                                                                  \
        }                                                                                                              \
    }
FLOAT_OP(f32_op, float, f32_of, bits_f32, ((uint64_t)1 << 31), fmaf, sqrtf, floorf, ceilf, rintf)
FLOAT_OP(f64_op, double, f64_of, bits_f64, ((uint64_t)1 << 63), fma, sqrt, floor, ceil, rint)
#undef FLOAT_OP

/* In f64, which has room for any power that matters: the product there is exact. */
static float scaled(float x, float n)
{
    enum { MOST = 400 };
    if (n != n)
        return n;
    if (x != x && isinf(n)) /* as x86 has it */
        return n > 0 ? INFINITY : 0;
    const double whole = floor((double)n);
    const double power = isinf(n) ? (n > 0 ? INFINITY : 0)
                                  : ldexp(1, whole > MOST    ? MOST
                                             : whole < -MOST ? -MOST
                                                             : (int)whole);
    return (float)((double)x * power);
}

uint64_t nd__scalar_op(nd__kop op, nd_dtype dtype, uint64_t a, uint64_t b, uint64_t c)
{
    if (op == ND__K_select)
        return a ? b : c;
    if (op == ND__K_scale)
        return bits_f32(scaled(f32_of(a), f32_of(b)));
    if (dtype == ND_F32)
        return f32_op(op, a, b, c);
    if (dtype == ND_F64)
        return f64_op(op, a, b, c);
    bool compares = op == ND__K_eq || op == ND__K_ne || op == ND__K_lt || op == ND__K_le;
    return cut(compares ? ND_BOOL : dtype, integer_op(op, dtype, a, b, c));
}

/* Towards zero, the nearest end of the range where it is outside, 0 for NaN. `end` is the least number that is too
 * large; both bounds are exact in f64. */
static uint64_t truncated(nd_dtype to, double x)
{
    static const struct {
        double begin, end;
        uint64_t lowest, highest;
    } range[ND_DTYPES] = {
        [ND_U8] = {0, 0x1p8, 0, UINT8_MAX},
        [ND_I32] = {-0x1p31, 0x1p31, (uint64_t)1 << 31, INT32_MAX},
        [ND_U32] = {0, 0x1p32, 0, UINT32_MAX},
        [ND_I64] = {-0x1p63, 0x1p63, (uint64_t)1 << 63, INT64_MAX},
    };
    if (x != x)
        return 0;
    if (x <= range[to].begin)
        return range[to].lowest;
    if (x >= range[to].end)
        return range[to].highest;
    return cut(to, (uint64_t)(int64_t)x);
}

uint64_t nd__scalar_convert(nd_dtype from, nd_dtype to, uint64_t x)
{
    if (from == to)
        return x;
    if (nd_dtype_is_float(from)) {
        double value = from == ND_F32 ? (double)f32_of(x) : f64_of(x); /* every f32 is an f64 */
        if (to == ND_BOOL)
            return value != 0;
        return to == ND_F32 ? bits_f32((float)value) : to == ND_F64 ? bits_f64(value) : truncated(to, value);
    }
    int64_t value = number_of(from, x);
    if (to == ND_BOOL)
        return value != 0;
    /* An i64 goes to f32 in one rounding, not by way of f64. */
    return to == ND_F32 ? bits_f32((float)value) : to == ND_F64 ? bits_f64((double)value) : cut(to, (uint64_t)value);
}
