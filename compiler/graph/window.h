/* The geometry of convolutions and pools.
 *
 *   y[n, oy, ox, d] = sum over ky, kx, c of x[n, oy * stride + ky * dilation - low, .., c] w[ky, kx, c, d]
 *
 * conv2d gives y of (x, w), conv2d_dx the sum of the same products for x, of (dy, w), and conv2d_dw for w, of (x, dy).
 * In a group d takes the channels c of that group alone. */
#ifndef NADIR_GRAPH_WINDOW_H
#define NADIR_GRAPH_WINDOW_H

#include "compiler/graph/graph.h"

/* Arrays are along height and width. */
typedef struct nd__window {
    const int64_t *stride, *low;
    int64_t kernel[2], dilation[2];
    int64_t size[2];   /* of the image that the windows walk over */
    int64_t places[2]; /* of the windows */
} nd__window;

typedef struct nd__conv {
    nd__window window;
    const nd_shape *x, *w, *y;
    int64_t batch, groups, in, out; /* in, out: channels of one group */
} nd__conv;

/* Of a conv2d, conv2d_dx or conv2d_dw of a bound module. */
nd__conv nd__conv_of(const nd__node *node);
/* Of a conv2d_dw_pooled: at place (p, q) of dy, index i stands for the convolution's place
 * (p * window[0] + i / window[1], q * window[1] + i % window[1]). */
typedef struct nd__pooled_conv {
    const int64_t *stride, *window;
    const nd_shape *x, *w, *y;
} nd__pooled_conv;
nd__pooled_conv nd__pooled_conv_of(const nd__node *node);
/* Of a max_pool, max_pool_index, max_pool_pick, max_pool_spread. */
nd__window nd__pool_of(const nd__node *node);

/* The dtype that says which element of a window: ky * width + kx. */
static inline nd_dtype nd__pool_index_dtype(const int64_t *window)
{
    return window[0] <= 256 && window[0] * window[1] <= 256 ? ND_U8 : ND_I32;
}

#endif
