/* Between the files of the reference: one op's call, and what all ops need. */
#ifndef TESTS_REFERENCE_CALL_H
#define TESTS_REFERENCE_CALL_H

#include "reference.h"

#include <math.h>

__extension__ typedef __int128 wide;

/* A node's operands, and its results, which have their types and are zero. */
typedef struct reference_call {
    const nd__node *node;
    const reference_value *const *in;
    reference_value *out;
} reference_call;

/* The definition of each op: in reference_elementwise.c, reference_reduce.c, reference_window.c, reference_move.c, and
 * in reference.c what runs functions. */
#define OP(name, ...) void reference_##name(const reference_call *c);
#include "compiler/graph/ops.def"
#undef OP

/* A whole number cut to the bits of a dtype. */
static inline int64_t cut(nd_dtype dtype, wide x)
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

static inline int bits_of(nd_dtype dtype)
{
    return 8 * (int)nd_dtype_size(dtype);
}

/* x without its fraction, held to the range of the dtype; 0 for NaN. */
static inline wide saturated(nd_dtype dtype, double x)
{
    const int bits = bits_of(dtype);
    const bool negative = nd_dtype_is_signed(dtype);
    const double low = negative ? -ldexp(1, bits - 1) : 0, high = ldexp(1, negative ? bits - 1 : bits);
    if (isnan(x))
        return 0;
    x = trunc(x);
    return x < low ? (wide)low : x >= high ? (wide)high - 1 : (wide)x;
}

static inline void set_real(const reference_call *c, int64_t i, double x)
{
    c->out[0].real[i] = x;
    c->out[0].scale[i] = fabs(x);
}

static inline void set_whole(const reference_call *c, int64_t i, wide x)
{
    c->out[0].whole[i] = cut(c->out[0].dtype, x);
}

/* Element `to` of the result is element `from` of a value. */
static inline void move(const reference_call *c, int64_t to, const reference_value *v, int64_t from)
{
    set_real(c, to, v->real[from]);
    c->out[0].whole[to] = v->whole[from];
}

/* The index of element i. */
static inline void index_of(const nd_shape *shape, int64_t i, int64_t *index)
{
    for (int k = shape->rank - 1; k >= 0; k--) {
        index[k] = i % shape->dims[k];
        i /= shape->dims[k];
    }
}

static inline int64_t element_at(const nd_shape *shape, const int64_t *index)
{
    int64_t i = 0;
    for (int k = 0; k < shape->rank; k++)
        i = i * shape->dims[k] + index[k];
    return i;
}

#endif
