/* matmul: c[i, j] = sum over k of a[i, k] b[k, j], one fma after another for ascending k from +0.
 *
 * With the attribute `lanes`: the lane order of a long reduction (reduce.c, rule 2), with fma into each lane, whatever
 * K is once its names are bound. Integers wrap around, so for them both orders give the same.
 *
 * A band bounds k where an operand has it, and says which elements of c are sums at all where the result has it. */
#include "compiler/interp/definitions.h"

#include <math.h>

enum { LANES = 32, BLOCK = 4096 };

/* One matrix of a batch; strides in elements. */
typedef struct product {
    int64_t batch, rows, columns, inner;
    int64_t a_row, a_inner, b_inner, b_column;
    bool lanes;
    nd__band band; /* of an operand: of k - i (a) or k - j (b) */
} product;

static product product_of(const nd__node *node)
{
    const nd_shape *a = &node->inputs[0]->shape, *b = &node->inputs[1]->shape, *c = &node->results[0].shape;
    const bool ta = nd__get_int(node, ND__A_trans_a), tb = nd__get_int(node, ND__A_trans_b);
    const int rank = c->rank;
    product p = {.batch = 1,
                 .rows = c->dims[rank - 2],
                 .columns = c->dims[rank - 1],
                 .inner = a->dims[rank - (ta ? 2 : 1)],
                 .lanes = nd__get_int(node, ND__A_lanes)};
    p.band = nd__get_band(node);
    if ((p.band.of == ND_BAND_A && ta) || (p.band.of == ND_BAND_B && !tb))
        p.band = nd__band_turned(p.band);
    for (int i = 0; i < rank - 2; i++)
        p.batch *= c->dims[i];
    p.a_row = ta ? 1 : a->dims[rank - 1];
    p.a_inner = ta ? a->dims[rank - 1] : 1;
    p.b_inner = tb ? 1 : b->dims[rank - 1];
    p.b_column = tb ? b->dims[rank - 1] : 1;
    return p;
}

/* Whether a difference of indices lies in the band. */
static bool within(const product *p, int64_t difference)
{
    return difference >= p->band.limits[0] && difference <= p->band.limits[1];
}

/* Whether k counts in the sum of c[i, j]. */
static bool counts(const product *p, int64_t i, int64_t j, int64_t k)
{
    return p->band.of == ND_BAND_A ? within(p, k - i) : p->band.of == ND_BAND_B ? within(p, k - j) : true;
}

/* A is the dtype in which it is computed. */
#define MATMUL(dtype, T, A, FMA)                                                                                       \
    static A dot_##dtype(const product *p, int64_t i, int64_t j, const T *a, const T *b)                               \
    {                                                                                                                  \
        A sum = 0;                                                                                                     \
        for (int64_t k = 0; k < p->inner; k++)                                                                         \
            if (counts(p, i, j, k))                                                                                    \
                sum = FMA((A)a[k * p->a_inner], (A)b[k * p->b_inner], sum);                                            \
        return sum;                                                                                                    \
    }                                                                                                                  \
    static A dot_in_lanes_##dtype(const product *p, int64_t i, int64_t j, const T *a, const T *b)                      \
    {                                                                                                                  \
        A sum = 0;                                                                                                     \
        for (int64_t first = 0; first < p->inner; first += BLOCK) {                                                    \
            A lanes[LANES] = {0};                                                                                      \
            for (int64_t k = first; k < first + BLOCK && k < p->inner; k++)                                            \
                if (counts(p, i, j, k))                                                                                \
                    lanes[k % LANES] = FMA((A)a[k * p->a_inner], (A)b[k * p->b_inner], lanes[k % LANES]);              \
            for (int half = LANES / 2; half >= 1; half /= 2)                                                           \
                for (int lane = 0; lane < half; lane++)                                                                \
                    lanes[lane] += lanes[lane + half];                                                                 \
            sum += lanes[0];                                                                                           \
        }                                                                                                              \
        return sum;                                                                                                    \
    }                                                                                                                  \
    static void matmul_##dtype(const product *p, const T *a, const T *b, T *c)                                         \
    {                                                                                                                  \
        for (int64_t n = 0; n < p->batch; n++, a += p->rows * p->inner, b += p->inner * p->columns)                    \
            for (int64_t i = 0; i < p->rows; i++)                                                                      \
                for (int64_t j = 0; j < p->columns; j++) {                                                             \
                    const T *row = a + i * p->a_row, *column = b + j * p->b_column;                                    \
                    *c++ = (T)(p->band.of == ND_BAND_RESULT && !within(p, j - i) ? 0                                   \
                               : p->lanes ? dot_in_lanes_##dtype(p, i, j, row, column)                                 \
                                          : dot_##dtype(p, i, j, row, column));                                        \
                }                                                                                                      \
    }
#define WRAPPING(a, b, c) ((a) * (b) + (c))
MATMUL(ND_U8, uint8_t, uint64_t, WRAPPING)
MATMUL(ND_I32, int32_t, uint64_t, WRAPPING)
MATMUL(ND_U32, uint32_t, uint64_t, WRAPPING)
MATMUL(ND_I64, int64_t, uint64_t, WRAPPING)
MATMUL(ND_F32, float, float, fmaf)
MATMUL(ND_F64, double, double, fma)
#undef WRAPPING
#undef MATMUL

nd_status nd__interpret_matmul(const nd__node *node, const void *const *in, void *const *out)
{
    const product p = product_of(node);
    if (nd__elements(&node->results[0].shape) == 0)
        return ND_OK;
    switch (node->results[0].dtype) {
#define CASE(dtype, T)                                                                                                 \
    case dtype:                                                                                                        \
        matmul_##dtype(&p, in[0], in[1], out[0]);                                                                      \
        return ND_OK;
        ND__INTEGERS(CASE)
        ND__FLOATS(CASE)
#undef CASE
    default:
        return ND_ERR_INTERNAL;
    }
}
