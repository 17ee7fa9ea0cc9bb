/* Reductions, whose order of accumulation depends on shape and axes alone (doc/bits.md):
 *
 * 1. Axes of size 1 do not count; what is said of axes below means the others.
 * 2. Innermost axis reduced: the trailing adjacent reduced axes count as one, of n elements. Up to 64: one chain. More:
 * blocks of 4096, in each of them 32 lanes (lane = index mod 32) and a tree of 16, 8, 4, 2, 1; the blocks' sums in
 * order.
 * 3. Every other reduced axis, the inner ones first: a chain; longer than 64, chains over blocks of 64 and the blocks'
 * sums in order.
 *
 * Every chain, every lane and every sum of blocks starts at +0. The sum of integers has no order, but the same loops
 * serve. */
#include "compiler/interp/definitions.h"

#include <math.h>

enum { CHAIN = 64, LANES = 32, BLOCK = 4096 };

/* The axes of a reduction in normal form. Strides count elements of the operand. */
typedef struct reduction {
    int kept_count, chain_count;
    int64_t kept[ND_MAX_RANK], kept_stride[ND_MAX_RANK];   /* outermost first */
    int64_t chain[ND_MAX_RANK], chain_stride[ND_MAX_RANK]; /* rule 3: outermost first */
    int64_t row; /* rule 2: consecutive elements; 1: the innermost axis is kept */
} reduction;

static reduction normal_form(const nd__node *node)
{
    const nd_shape *shape = &node->inputs[0]->shape;
    const nd__attr *axes = nd__get(node, ND__A_axes);
    reduction r = {.row = 1};
    bool reduced[ND_MAX_RANK] = {false};
    int64_t strides[ND_MAX_RANK];
    for (int i = 0; i < axes->count; i++)
        reduced[axes->ints[i]] = true;
    nd__row_major(shape, strides);
    int rank = shape->rank;
    while (rank > 0 && (reduced[rank - 1] || shape->dims[rank - 1] == 1)) {
        rank--; /* modulo 2^64: beside a size 0 the others may be anything */
        r.row = (int64_t)((uint64_t)r.row * (uint64_t)shape->dims[rank]);
    }
    for (int i = 0; i < rank; i++) {
        if (shape->dims[i] == 1)
            continue;
        if (reduced[i]) {
            r.chain[r.chain_count] = shape->dims[i];
            r.chain_stride[r.chain_count++] = strides[i];
        } else {
            r.kept[r.kept_count] = shape->dims[i];
            r.kept_stride[r.kept_count++] = strides[i];
        }
    }
    return r;
}

/* Moves to the next of the kept elements; `at` is its offset. */
static void next_kept(const reduction *r, int64_t *index, int64_t *at)
{
    for (int i = r->kept_count - 1; i >= 0; i--) {
        *at += r->kept_stride[i];
        if (++index[i] < r->kept[i])
            return;
        *at -= r->kept_stride[i] * r->kept[i];
        index[i] = 0;
    }
}

/* -- sum ----------------------------------------------------------------------------------------------------------- */

/* A is the dtype in which it is added: unsigned for integers, which wrap around. */
#define SUM(dtype, T, A)                                                                                               \
    /* Rule 2. */                                                                                                      \
    static A row_##dtype(const T *x, int64_t n)                                                                        \
    {                                                                                                                  \
        A sum = 0;                                                                                                     \
        if (n <= CHAIN) {                                                                                              \
            for (int64_t i = 0; i < n; i++)                                                                            \
                sum += (A)x[i];                                                                                        \
            return sum;                                                                                                \
        }                                                                                                              \
        for (int64_t first = 0; first < n; first += BLOCK) {                                                           \
            A lanes[LANES] = {0};                                                                                      \
            int64_t count = n - first < BLOCK ? n - first : BLOCK;                                                     \
            for (int64_t i = 0; i < count; i++)                                                                        \
                lanes[i % LANES] += (A)x[first + i];                                                                   \
            for (int half = LANES / 2; half >= 1; half /= 2)                                                           \
                for (int lane = 0; lane < half; lane++)                                                                \
                    lanes[lane] += lanes[lane + half];                                                                 \
            sum += lanes[0];                                                                                           \
        }                                                                                                              \
        return sum;                                                                                                    \
    }                                                                                                                  \
    /* Rule 3, for the chain axes from number `axis` on. */                                                            \
    static A chains_##dtype(const reduction *r, int axis, const T *x)                                                  \
    {                                                                                                                  \
        if (axis == r->chain_count)                                                                                    \
            return row_##dtype(x, r->row);                                                                             \
        const int64_t n = r->chain[axis], stride = r->chain_stride[axis];                                              \
        if (n <= CHAIN) {                                                                                              \
            A sum = 0;                                                                                                 \
            for (int64_t i = 0; i < n; i++)                                                                            \
                sum += chains_##dtype(r, axis + 1, x + i * stride);                                                    \
            return sum;                                                                                                \
        }                                                                                                              \
        A sum = 0;                                                                                                     \
        for (int64_t first = 0; first < n; first += CHAIN) {                                                           \
            A block = 0;                                                                                               \
            for (int64_t i = first; i < first + CHAIN && i < n; i++)                                                   \
                block += chains_##dtype(r, axis + 1, x + i * stride);                                                  \
            sum += block;                                                                                              \
        }                                                                                                              \
        return sum;                                                                                                    \
    }                                                                                                                  \
    static void sum_##dtype(const nd__node *node, const T *x, T *to)                                                   \
    {                                                                                                                  \
        const reduction r = normal_form(node);                                                                         \
        const int64_t n = nd__elements(&node->results[0].shape);                                                       \
        int64_t index[ND_MAX_RANK] = {0}, at = 0;                                                                      \
        for (int64_t i = 0; i < n; i++, next_kept(&r, index, &at))                                                     \
            to[i] = (T)chains_##dtype(&r, 0, x + at);                                                                  \
    }

SUM(ND_U8, uint8_t, uint64_t)
SUM(ND_I32, int32_t, uint64_t)
SUM(ND_U32, uint32_t, uint64_t)
SUM(ND_I64, int64_t, uint64_t)
SUM(ND_F32, float, float)
SUM(ND_F64, double, double)
#undef SUM

nd_status nd__interpret_sum(const nd__node *node, const void *const *in, void *const *out)
{
    switch (node->results[0].dtype) {
#define CASE(dtype, T)                                                                                                 \
    case dtype:                                                                                                        \
        sum_##dtype(node, in[0], out[0]);                                                                              \
        return ND_OK;
        ND__INTEGERS(CASE)
        ND__FLOATS(CASE)
#undef CASE
    default:
        return ND_ERR_INTERNAL;
    }
}

/* -- max and min --------------------------------------------------------------------------------------------------- */

/* clang-format off */
#define NUMBERS(name) CASE(name, ND_U8) CASE(name, ND_I32) CASE(name, ND_U32) CASE(name, ND_I64) CASE(name, ND_F32) CASE(name, ND_F64)
/* clang-format on */

/* There is no order: the greatest value is one, a NaN wins wherever it stands, and + 0 makes -0 and +0 the same. */
#define EXTREME(name, dtype, T, start, than)                                                                           \
    static T name##_chains_##dtype(const reduction *r, int axis, const T *x)                                           \
    {                                                                                                                  \
        const bool last = axis == r->chain_count;                                                                      \
        const int64_t n = last ? r->row : r->chain[axis], stride = last ? 1 : r->chain_stride[axis];                   \
        T best = start;                                                                                                \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            T v = last ? x[i] : name##_chains_##dtype(r, axis + 1, x + i * stride);                                    \
            best = v than best || v != v ? v : best;                                                                   \
        }                                                                                                              \
        return best;                                                                                                   \
    }                                                                                                                  \
    static void name##_##dtype(const nd__node *node, const T *x, T *to)                                                \
    {                                                                                                                  \
        const reduction r = normal_form(node);                                                                         \
        const int64_t n = nd__elements(&node->results[0].shape);                                                       \
        int64_t index[ND_MAX_RANK] = {0}, at = 0;                                                                      \
        for (int64_t i = 0; i < n; i++, next_kept(&r, index, &at))                                                     \
            to[i] = name##_chains_##dtype(&r, 0, x + at) + (T)0;                                                       \
    }
#define REDUCE_EXTREME(name, than, of_u8, of_i32, of_u32, of_i64, of_float)                                            \
    EXTREME(name, ND_U8, uint8_t, of_u8, than)                                                                         \
    EXTREME(name, ND_I32, int32_t, of_i32, than)                                                                       \
    EXTREME(name, ND_U32, uint32_t, of_u32, than)                                                                      \
    EXTREME(name, ND_I64, int64_t, of_i64, than)                                                                       \
    EXTREME(name, ND_F32, float, of_float, than)                                                                       \
    EXTREME(name, ND_F64, double, of_float, than)                                                                      \
    nd_status nd__interpret_reduce_##name(const nd__node *node, const void *const *in, void *const *out)               \
    {                                                                                                                  \
        switch (node->results[0].dtype) {                                                                              \
        default:                                                                                                       \
            return ND_ERR_INTERNAL;                                                                                    \
            NUMBERS(name)                                                                                              \
        }                                                                                                              \
    }
#define CASE(name, dtype)                                                                                              \
    case dtype:                                                                                                        \
        name##_##dtype(node, in[0], out[0]);                                                                           \
        return ND_OK;

REDUCE_EXTREME(max, >, 0, INT32_MIN, 0, INT64_MIN, -INFINITY)
REDUCE_EXTREME(min, <, UINT8_MAX, INT32_MAX, UINT32_MAX, INT64_MAX, INFINITY)
#undef CASE
#undef REDUCE_EXTREME
#undef EXTREME

/* -- argmax and argmin --------------------------------------------------------------------------------------------- */

/* The first of the greatest, or the first NaN. x [outer, n, inner] to [outer, inner]. */
#define ARG(name, dtype, T, than)                                                                                      \
    static void name##_##dtype(const T *x, int64_t *to, int64_t outer, int64_t n, int64_t inner)                       \
    {                                                                                                                  \
        for (int64_t o = 0; o < outer; o++)                                                                            \
            for (int64_t k = 0; k < inner; k++) {                                                                      \
                const T *row = x + o * n * inner + k;                                                                  \
                int64_t best = 0;                                                                                      \
                for (int64_t i = 1; i < n; i++) {                                                                      \
                    T v = row[i * inner], b = row[best * inner];                                                       \
                    if (b == b && (v than b || v != v))                                                                \
                        best = i;                                                                                      \
                }                                                                                                      \
                to[o * inner + k] = best;                                                                              \
            }                                                                                                          \
    }
#define ARG_REDUCE(name, than)                                                                                         \
    ARG(name, ND_U8, uint8_t, than)                                                                                    \
    ARG(name, ND_I32, int32_t, than)                                                                                   \
    ARG(name, ND_U32, uint32_t, than)                                                                                  \
    ARG(name, ND_I64, int64_t, than)                                                                                   \
    ARG(name, ND_F32, float, than)                                                                                     \
    ARG(name, ND_F64, double, than)                                                                                    \
    nd_status nd__interpret_##name(const nd__node *node, const void *const *in, void *const *out)                      \
    {                                                                                                                  \
        const nd_shape *shape = &node->inputs[0]->shape;                                                               \
        const int64_t axis = nd__get_int(node, ND__A_axis), n = shape->dims[axis];                                     \
        int64_t outer = 1, inner = 1;                                                                                  \
        for (int i = 0; i < shape->rank; i++) {                                                                        \
            outer *= i < axis ? shape->dims[i] : 1;                                                                    \
            inner *= i > axis ? shape->dims[i] : 1;                                                                    \
        }                                                                                                              \
        switch (node->inputs[0]->dtype) {                                                                              \
        default:                                                                                                       \
            return ND_ERR_INTERNAL;                                                                                    \
            NUMBERS(name)                                                                                              \
        }                                                                                                              \
    }
#define CASE(name, dtype)                                                                                              \
    case dtype:                                                                                                        \
        name##_##dtype(in[0], out[0], outer, n, inner);                                                                \
        return ND_OK;

ARG_REDUCE(argmax, >)
ARG_REDUCE(argmin, <)
#undef CASE
#undef ARG_REDUCE
#undef ARG
