/* Convolutions and pools. */
#include "reference_call.h"

/* Of one axis: which element of the image the window at `place` has at k; -1: padding. */
static int64_t in_image(const reference_call *c, int axis, int64_t place, int64_t k, int64_t dilation, int64_t size)
{
    int64_t at =
        place * nd__get_ints(c->node, ND__A_stride)[axis] + k * dilation - nd__get_ints(c->node, ND__A_low)[axis];
    return at < 0 || at >= size ? -1 : at;
}

/* Every product x w that a convolution has between x, w and y, added to the one of them that the op computes. */
static void convolve(const reference_call *c, const reference_value *x, const reference_value *w,
                     const reference_value *y)
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

void reference_conv2d(const reference_call *c)
{
    convolve(c, c->in[0], c->in[1], &c->out[0]);
}

void reference_conv2d_dx(const reference_call *c)
{
    convolve(c, &c->out[0], c->in[1], c->in[0]);
}

void reference_conv2d_dw(const reference_call *c)
{
    convolve(c, c->in[0], &c->out[0], c->in[1]);
}

void reference_conv2d_dw_pooled(const reference_call *c)
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
static int64_t in_window(const reference_call *c, const nd_shape *image, const int64_t *out, int64_t k)
{
    const int64_t *window = nd__get_ints(c->node, ND__A_window);
    if (k < 0 || k >= window[0] * window[1])
        return -1;
    int64_t y = in_image(c, 0, out[1], k / window[1], 1, image->dims[1]),
            x = in_image(c, 1, out[2], k % window[1], 1, image->dims[2]);
    return y < 0 || x < 0 ? -1 : element_at(image, (int64_t[]){out[0], y, x, out[3]});
}

/* From the last element of each window to the first, so that the first of equals stays; a NaN is above everything. */
static void find_maximum(const reference_call *c, bool wants_index)
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

void reference_max_pool(const reference_call *c)
{
    find_maximum(c, false);
}

void reference_max_pool_index(const reference_call *c)
{
    find_maximum(c, true);
}

void reference_max_pool_pick(const reference_call *c)
{
    for (int64_t i = 0; i < c->out[0].count; i++) {
        int64_t out[ND_MAX_RANK];
        index_of(&c->out[0].shape, i, out);
        int64_t at = in_window(c, &c->in[0]->shape, out, c->in[1]->whole[i]);
        if (at >= 0)
            move(c, i, c->in[0], at);
    }
}

void reference_max_pool_spread(const reference_call *c)
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
