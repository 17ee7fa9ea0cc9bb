/* Convolutions and pools: plain loops, in the order that doc/bits.md states. What lies outside the image is left out.
 *
 *   conv2d      y[n, oy, ox, d]   chain over (ky, kx, c) of x w
 *   conv2d_dx   x[n, iy, ix, c]   chain over (ky, kx, d) of y w
 *   conv2d_dw   w[ky, kx, c, d]   per image a chain over (oy, ox) of x y; the images' sums are added in order
 *   conv2d_dw_pooled              the same over the places of y, of x where the index says */
#include "compiler/graph/window.h"
#include "compiler/interp/definitions.h"

#include <math.h>

/* Where the window at `place` has its element k; false: outside the image. */
static bool element_of(const nd__window *w, int axis, int64_t place, int64_t k, int64_t *at)
{
    *at = place * w->stride[axis] + k * w->dilation[axis] - w->low[axis];
    return *at >= 0 && *at < w->size[axis];
}

/* The place of the window the element k of which is at `at`; false: there is none. */
static bool place_of(const nd__window *w, int axis, int64_t at, int64_t k, int64_t *place)
{
    const int64_t from = at + w->low[axis] - k * w->dilation[axis];
    *place = from / w->stride[axis];
    return from >= 0 && from % w->stride[axis] == 0 && *place < w->places[axis];
}

static int64_t offset(const nd_shape *shape, int64_t a, int64_t b, int64_t c, int64_t d)
{
    return ((a * shape->dims[1] + b) * shape->dims[2] + c) * shape->dims[3] + d;
}

/* Element i of indices. */
static int64_t index_at(nd_dtype dtype, const void *indices, int64_t i)
{
    return dtype == ND_U8 ? ((const uint8_t *)indices)[i] : ((const int32_t *)indices)[i];
}

/* -- convolutions -------------------------------------------------------------------------------------------------- */

#define FOR(i, n) for (int64_t i = 0; i < (n); i++)

/* A is the dtype in which it is computed. */
#define CONV(dtype, T, A, FMA)                                                                                         \
    static void forward_##dtype(const nd__conv *c, const T *x, const T *w, T *y)                                       \
    {                                                                                                                  \
        const nd__window *g = &c->window;                                                                              \
        int64_t iy, ix;                                                                                                \
        FOR(n, c->batch)                                                                                               \
        FOR(oy, g->places[0])                                                                                          \
        FOR(ox, g->places[1])                                                                                          \
        FOR(d, c->groups * c->out)                                                                                     \
        {                                                                                                              \
            const int64_t first = d / c->out * c->in;                                                                  \
            A sum = 0;                                                                                                 \
            FOR(ky, g->kernel[0])                                                                                      \
            FOR(kx, g->kernel[1])                                                                                      \
            if (element_of(g, 0, oy, ky, &iy) && element_of(g, 1, ox, kx, &ix))                                        \
                FOR(k, c->in)                                                                                          \
            sum = FMA((A)x[offset(c->x, n, iy, ix, first + k)], (A)w[offset(c->w, ky, kx, k, d)], sum);                \
            *y++ = (T)sum;                                                                                             \
        }                                                                                                              \
    }                                                                                                                  \
    static void to_image_##dtype(const nd__conv *c, const T *y, const T *w, T *x)                                      \
    {                                                                                                                  \
        const nd__window *g = &c->window;                                                                              \
        int64_t oy, ox;                                                                                                \
        FOR(n, c->batch)                                                                                               \
        FOR(iy, g->size[0])                                                                                            \
        FOR(ix, g->size[1])                                                                                            \
        FOR(k, c->groups * c->in)                                                                                      \
        {                                                                                                              \
            const int64_t first = k / c->in * c->out;                                                                  \
            A sum = 0;                                                                                                 \
            FOR(ky, g->kernel[0])                                                                                      \
            FOR(kx, g->kernel[1])                                                                                      \
            if (place_of(g, 0, iy, ky, &oy) && place_of(g, 1, ix, kx, &ox))                                            \
                FOR(d, c->out)                                                                                         \
            sum =                                                                                                      \
                FMA((A)y[offset(c->y, n, oy, ox, first + d)], (A)w[offset(c->w, ky, kx, k % c->in, first + d)], sum);  \
            *x++ = (T)sum;                                                                                             \
        }                                                                                                              \
    }                                                                                                                  \
    static void to_kernel_##dtype(const nd__conv *c, const T *x, const T *y, T *w)                                     \
    {                                                                                                                  \
        const nd__window *g = &c->window;                                                                              \
        int64_t iy, ix;                                                                                                \
        FOR(ky, g->kernel[0])                                                                                          \
        FOR(kx, g->kernel[1])                                                                                          \
        FOR(k, c->in)                                                                                                  \
        FOR(d, c->groups * c->out)                                                                                     \
        {                                                                                                              \
            const int64_t first = d / c->out * c->in;                                                                  \
            A total = 0;                                                                                               \
            FOR(n, c->batch)                                                                                           \
            {                                                                                                          \
                A sum = 0;                                                                                             \
                FOR(oy, g->places[0])                                                                                  \
                FOR(ox, g->places[1])                                                                                  \
                if (element_of(g, 0, oy, ky, &iy) && element_of(g, 1, ox, kx, &ix))                                    \
                    sum = FMA((A)x[offset(c->x, n, iy, ix, first + k)], (A)y[offset(c->y, n, oy, ox, d)], sum);        \
                total += sum;                                                                                          \
            }                                                                                                          \
            *w++ = (T)total;                                                                                           \
        }                                                                                                              \
    }
#define POOLED(dtype, T, A, FMA)                                                                                       \
    static void pooled_##dtype(const nd__pooled_conv *c, nd_dtype type, const T *x, const T *y, const void *index,     \
                               T *w)                                                                                   \
    {                                                                                                                  \
        FOR(ky, c->w->dims[0])                                                                                         \
        FOR(kx, c->w->dims[1])                                                                                         \
        FOR(k, c->w->dims[2])                                                                                          \
        FOR(d, c->w->dims[3])                                                                                          \
        {                                                                                                              \
            A total = 0;                                                                                               \
            FOR(n, c->y->dims[0])                                                                                      \
            {                                                                                                          \
                A sum = 0;                                                                                             \
                FOR(p, c->y->dims[1])                                                                                  \
                FOR(q, c->y->dims[2])                                                                                  \
                {                                                                                                      \
                    const int64_t at = offset(c->y, n, p, q, d), i = index_at(type, index, at);                        \
                    const bool exists = i >= 0 && i < c->window[0] * c->window[1];                                     \
                    const int64_t iy = (p * c->window[0] + i / c->window[1]) * c->stride[0] + ky,                      \
                                  ix = (q * c->window[1] + i % c->window[1]) * c->stride[1] + kx;                      \
                    sum = FMA(exists ? (A)x[offset(c->x, n, iy, ix, k)] : 0, (A)y[at], sum);                           \
                }                                                                                                      \
                total += sum;                                                                                          \
            }                                                                                                          \
            *w++ = (T)total;                                                                                           \
        }                                                                                                              \
    }
#define WRAPPING(a, b, c) ((a) * (b) + (c))
CONV(ND_U8, uint8_t, uint64_t, WRAPPING)
CONV(ND_I32, int32_t, uint64_t, WRAPPING)
CONV(ND_U32, uint32_t, uint64_t, WRAPPING)
CONV(ND_I64, int64_t, uint64_t, WRAPPING)
CONV(ND_F32, float, float, fmaf)
CONV(ND_F64, double, double, fma)
POOLED(ND_U8, uint8_t, uint64_t, WRAPPING)
POOLED(ND_I32, int32_t, uint64_t, WRAPPING)
POOLED(ND_U32, uint32_t, uint64_t, WRAPPING)
POOLED(ND_I64, int64_t, uint64_t, WRAPPING)
POOLED(ND_F32, float, float, fmaf)
POOLED(ND_F64, double, double, fma)
#undef WRAPPING
#undef CONV
#undef POOLED

#define DEFINE(name, loops)                                                                                            \
    nd_status nd__interpret_##name(const nd__node *node, const void *const *in, void *const *out)                      \
    {                                                                                                                  \
        const nd__conv c = nd__conv_of(node);                                                                          \
        if (nd__elements(&node->results[0].shape) == 0)                                                                \
            return ND_OK;                                                                                              \
        switch (node->results[0].dtype) {                                                                              \
            ND__INTEGERS(CASE_##loops)                                                                                 \
            ND__FLOATS(CASE_##loops)                                                                                   \
        default:                                                                                                       \
            return ND_ERR_INTERNAL;                                                                                    \
        }                                                                                                              \
    }
#define CASE(dtype, loops)                                                                                             \
    case dtype:                                                                                                        \
        loops##_##dtype(&c, in[0], in[1], out[0]);                                                                     \
        return ND_OK;
#define CASE_forward(dtype, T)   CASE(dtype, forward)
#define CASE_to_image(dtype, T)  CASE(dtype, to_image)
#define CASE_to_kernel(dtype, T) CASE(dtype, to_kernel)
DEFINE(conv2d, forward)
DEFINE(conv2d_dx, to_image)
DEFINE(conv2d_dw, to_kernel)
nd_status nd__interpret_conv2d_dw_pooled(const nd__node *node, const void *const *in, void *const *out)
{
    const nd__pooled_conv c = nd__pooled_conv_of(node);
    if (nd__elements(&node->results[0].shape) == 0)
        return ND_OK;
#define POOLED(D, T)                                                                                                   \
    case D:                                                                                                            \
        pooled_##D(&c, node->inputs[2]->dtype, in[0], in[1], in[2], out[0]);                                           \
        return ND_OK;
    switch (node->results[0].dtype) {
        ND__INTEGERS(POOLED)
        ND__FLOATS(POOLED)
    default:
        return ND_ERR_INTERNAL;
    }
#undef POOLED
}
#undef CASE_forward
#undef CASE_to_image
#undef CASE_to_kernel
#undef CASE
#undef DEFINE

/* -- pools --------------------------------------------------------------------------------------------------------- */

static void set_index(nd_dtype dtype, void *indices, int64_t i, int64_t k)
{
    if (dtype == ND_U8)
        ((uint8_t *)indices)[i] = (uint8_t)k;
    else
        ((int32_t *)indices)[i] = (int32_t)k;
}

#define POOL(D, T, A)                                                                                                  \
    /* The first maximum of each window; the first NaN wins. `best` or `index` may be NULL. */                         \
    static void find_##D(const nd__window *w, const nd_shape *shape, const nd_value *y, const T *x, T *best,           \
                         void *index)                                                                                  \
    {                                                                                                                  \
        int64_t iy, ix, i = 0;                                                                                         \
        FOR(n, shape->dims[0])                                                                                         \
        FOR(oy, w->places[0])                                                                                          \
        FOR(ox, w->places[1])                                                                                          \
        FOR(c, shape->dims[3])                                                                                         \
        {                                                                                                              \
            int64_t found = -1;                                                                                        \
            T most = 0;                                                                                                \
            FOR(ky, w->kernel[0])                                                                                      \
            FOR(kx, w->kernel[1])                                                                                      \
            {                                                                                                          \
                if (!element_of(w, 0, oy, ky, &iy) || !element_of(w, 1, ox, kx, &ix))                                  \
                    continue;                                                                                          \
                const T e = x[offset(shape, n, iy, ix, c)];                                                            \
                if (found < 0 || e > most || (e != e && most == most)) {                                               \
                    most = e;                                                                                          \
                    found = ky * w->kernel[1] + kx;                                                                    \
                }                                                                                                      \
            }                                                                                                          \
            if (best)                                                                                                  \
                best[i] = (T)((A)most + 0);                                                                            \
            else                                                                                                       \
                set_index(y->dtype, index, i, found);                                                                  \
            i++;                                                                                                       \
        }                                                                                                              \
    }                                                                                                                  \
    static void pick_##D(const nd__window *w, const nd_shape *shape, nd_dtype type, const T *x, const void *index,     \
                         T *y)                                                                                         \
    {                                                                                                                  \
        int64_t iy, ix, i = 0;                                                                                         \
        FOR(n, shape->dims[0])                                                                                         \
        FOR(oy, w->places[0])                                                                                          \
        FOR(ox, w->places[1])                                                                                          \
        FOR(c, shape->dims[3])                                                                                         \
        {                                                                                                              \
            const int64_t k = index_at(type, index, i);                                                                \
            const bool exists = k >= 0 && k < w->kernel[0] * w->kernel[1] &&                                           \
                                element_of(w, 0, oy, k / w->kernel[1], &iy) &&                                         \
                                element_of(w, 1, ox, k % w->kernel[1], &ix);                                           \
            y[i++] = exists ? x[offset(shape, n, iy, ix, c)] : 0;                                                      \
        }                                                                                                              \
    }                                                                                                                  \
    static void spread_##D(const nd__window *w, const nd_shape *shape, nd_dtype type, const T *dy, const void *index,  \
                           T *x)                                                                                       \
    {                                                                                                                  \
        int64_t iy, ix, i = 0;                                                                                         \
        FOR(e, nd__elements(shape))                                                                                    \
        x[e] = 0;                                                                                                      \
        FOR(n, shape->dims[0])                                                                                         \
        FOR(oy, w->places[0])                                                                                          \
        FOR(ox, w->places[1])                                                                                          \
        FOR(c, shape->dims[3])                                                                                         \
        {                                                                                                              \
            const int64_t k = index_at(type, index, i);                                                                \
            if (k >= 0 && k < w->kernel[0] * w->kernel[1] && element_of(w, 0, oy, k / w->kernel[1], &iy) &&            \
                element_of(w, 1, ox, k % w->kernel[1], &ix)) {                                                         \
                T *to = &x[offset(shape, n, iy, ix, c)];                                                               \
                *to = (T)((A)*to + (A)dy[i]);                                                                          \
            }                                                                                                          \
            i++;                                                                                                       \
        }                                                                                                              \
    }
POOL(ND_U8, uint8_t, uint64_t)
POOL(ND_I32, int32_t, uint64_t)
POOL(ND_U32, uint32_t, uint64_t)
POOL(ND_I64, int64_t, uint64_t)
POOL(ND_F32, float, float)
POOL(ND_F64, double, double)
#undef POOL
#undef FOR

#define DEFINE(name, CASE)                                                                                             \
    nd_status nd__interpret_##name(const nd__node *node, const void *const *in, void *const *out)                      \
    {                                                                                                                  \
        const nd__window w = nd__pool_of(node);                                                                        \
        if (nd__elements(&node->results[0].shape) == 0)                                                                \
            return ND_OK;                                                                                              \
        switch (node->inputs[0]->dtype) {                                                                              \
            ND__INTEGERS(CASE)                                                                                         \
            ND__FLOATS(CASE)                                                                                           \
        default:                                                                                                       \
            return ND_ERR_INTERNAL;                                                                                    \
        }                                                                                                              \
    }
#define FIND_MOST(D, T)                                                                                                \
    case D:                                                                                                            \
        find_##D(&w, &node->inputs[0]->shape, &node->results[0], in[0], out[0], NULL);                                 \
        return ND_OK;
#define FIND_INDEX(D, T)                                                                                               \
    case D:                                                                                                            \
        find_##D(&w, &node->inputs[0]->shape, &node->results[0], in[0], NULL, out[0]);                                 \
        return ND_OK;
#define PICK(D, T)                                                                                                     \
    case D:                                                                                                            \
        pick_##D(&w, &node->inputs[0]->shape, node->inputs[1]->dtype, in[0], in[1], out[0]);                           \
        return ND_OK;
#define SPREAD(D, T)                                                                                                   \
    case D:                                                                                                            \
        spread_##D(&w, &node->results[0].shape, node->inputs[1]->dtype, in[0], in[1], out[0]);                         \
        return ND_OK;
DEFINE(max_pool, FIND_MOST)
DEFINE(max_pool_index, FIND_INDEX)
DEFINE(max_pool_pick, PICK)
DEFINE(max_pool_spread, SPREAD)
#undef FIND_MOST
#undef FIND_INDEX
#undef PICK
#undef SPREAD
#undef DEFINE
