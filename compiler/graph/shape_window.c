/* The shape rules of convolutions and pools: windows that walk over the height and width of images [N, H, W, C].
 *
 * Along an axis of `size`, a window of `extent` = (kernel - 1) * dilation + 1 stands at every stride-th place of low +
 * size + high: (low + size + high - extent) / stride + 1 places, rounded down. */
#include "compiler/graph/shape.h"
#include "compiler/graph/window.h"

static const char *const axis_names[] = {"height", "width"};

/* Two numbers from `least` on. */
static bool pair_is_good(rule_call *c, nd__attr_key key, const char *what, int64_t least)
{
    const nd__attr *a = attr(c, key);
    if (a->count != 2)
        return REFUSE(c, "%s: expected two numbers for the %s, along height and width", c->name, what);
    for (int i = 0; i < 2; i++)
        if (a->ints[i] < least || nd__size_is_named(a->ints[i]))
            return REFUSE(c, "%s: the %s %lld along the %s is not a number from %lld", c->name, what,
                          (long long)a->ints[i], axis_names[i], (long long)least);
    return true;
}

/* Rank 4, and numbers for all sizes but the batch's. */
static bool image_is_good(rule_call *c, const nd_value *v, const char *what, const char *axes, int first)
{
    if (v->shape.rank != 4)
        return REFUSE(c, "%s: the %s is %s, expected rank 4: %s", c->name, what, show(c, v), axes);
    for (int i = first; i < 4; i++)
        if (nd__size_is_named(v->shape.dims[i]))
            return REFUSE(c, "%s: axis %d of the %s %s is named, %s", c->name, i, what, show(c, v),
                          first ? "only the batch may be" : "a kernel has none");
    return true;
}

/* The window's places along one axis. */
static bool places(rule_call *c, int axis, int64_t size, int64_t kernel, int64_t dilation, int64_t *count)
{
    const int64_t low = attr(c, ND__A_low)->ints[axis], high = attr(c, ND__A_high)->ints[axis];
    int64_t extent, padded;
    if (__builtin_mul_overflow(kernel - 1, dilation, &extent) || __builtin_add_overflow(extent, 1, &extent) ||
        __builtin_add_overflow(size, low, &padded) || __builtin_add_overflow(padded, high, &padded) ||
        nd__size_is_named(padded))
        return REFUSE(c, "%s: the %s becomes too large", c->name, axis_names[axis]);
    if (extent > padded)
        return REFUSE(c, "%s: a window of %s %lld does not fit %lld and %lld of padding", c->name, axis_names[axis],
                      (long long)extent, (long long)size, (long long)(low + high));
    *count = (padded - extent) / attr(c, ND__A_stride)->ints[axis] + 1;
    return true;
}

/* -- convolutions -------------------------------------------------------------------------------------------------- */

/* The types of the three that a convolution ties together; which of them are operands, the op says. */
typedef struct conv_shapes {
    nd_shape x, w, y;
} conv_shapes;

static bool conv_attributes(rule_call *c)
{
    return pair_is_good(c, ND__A_stride, "stride", 1) && pair_is_good(c, ND__A_low, "padding before", 0) &&
           pair_is_good(c, ND__A_high, "padding behind", 0) && pair_is_good(c, ND__A_dilation, "dilation", 1);
}

static bool same_dtypes(rule_call *c)
{
    if (c->in[0]->dtype == c->in[1]->dtype)
        return true;
    return REFUSE(c, "%s: dtypes differ, %s and %s; nothing is promoted, use nd_cast", c->name,
                  nd_dtype_name(c->in[0]->dtype), nd_dtype_name(c->in[1]->dtype));
}

/* The channels are as many as the groups need. */
static bool channels_fit(rule_call *c, const conv_shapes *s)
{
    const int64_t groups = attr(c, ND__A_groups)->i, in = s->x.dims[3], per_group = s->w.dims[2], out = s->w.dims[3];
    int64_t all;
    if (groups < 1 || nd__size_is_named(groups))
        return REFUSE(c, "%s: %lld groups, expected a number from 1", c->name, (long long)groups);
    if (__builtin_mul_overflow(per_group, groups, &all) || all != in)
        return REFUSE(c,
                      groups == 1 ? "%s: the image has %lld channels, the kernel takes %lld"
                                  : "%s: the image has %lld channels, the kernel takes %lld for each of %lld groups",
                      c->name, (long long)in, (long long)per_group, (long long)groups);
    if (out % groups != 0)
        return REFUSE(c, "%s: %lld channels do not divide into %lld groups", c->name, (long long)out,
                      (long long)groups);
    return true;
}

/* Height and width of y. */
static bool conv_places(rule_call *c, const conv_shapes *s, int64_t *count)
{
    for (int i = 0; i < 2; i++) {
        if (s->w.dims[i] < 1)
            return REFUSE(c, "%s: the kernel is empty along the %s", c->name, axis_names[i]);
        if (!places(c, i, s->x.dims[1 + i], s->w.dims[i], attr(c, ND__A_dilation)->ints[i], &count[i]))
            return false;
    }
    return true;
}

static nd_shape shape4(int64_t a, int64_t b, int64_t c, int64_t d)
{
    return nd_shape_of(4, (int64_t[]){a, b, c, d});
}

bool nd__rule_conv(rule_call *c)
{
    const conv_shapes s = {.x = c->in[0]->shape, .w = c->in[1]->shape};
    int64_t count[2];
    return image_is_good(c, c->in[0], "image", "[N, height, width, channels]", 1) &&
           image_is_good(c, c->in[1], "kernel", "[height, width, channels in / groups, channels out]", 0) &&
           same_dtypes(c) && conv_attributes(c) && channels_fit(c, &s) && conv_places(c, &s, count) &&
           one(c, c->in[0]->dtype, shape4(s.x.dims[0], count[0], count[1], s.w.dims[3]));
}

/* That dy is what the convolution would give. */
static bool gradient_fits(rule_call *c, const conv_shapes *s)
{
    int64_t count[2];
    if (!channels_fit(c, s) || !conv_places(c, s, count))
        return false;
    const nd_shape y = shape4(s->x.dims[0], count[0], count[1], s->w.dims[3]);
    if (!nd__shape_equal(&y, &s->y))
        return REFUSE(c, "%s: the convolution of %s gives %s, not %s", c->name,
                      nd__show_type(c->m, c->in[0]->dtype, &s->x), nd__show_type(c->m, c->in[0]->dtype, &y),
                      nd__show_type(c->m, c->in[0]->dtype, &s->y));
    return true;
}

bool nd__rule_conv_dx(rule_call *c)
{
    if (!image_is_good(c, c->in[0], "image", "[N, height, width, channels]", 1) ||
        !image_is_good(c, c->in[1], "kernel", "[height, width, channels of the result / groups, channels]", 0) ||
        !same_dtypes(c) || !conv_attributes(c) || !pair_is_good(c, ND__A_size, "size", 0))
        return false;
    conv_shapes s = {.w = c->in[1]->shape, .y = c->in[0]->shape};
    const int64_t *size = attr(c, ND__A_size)->ints, groups = attr(c, ND__A_groups)->i;
    int64_t channels;
    if (__builtin_mul_overflow(s.w.dims[2], groups, &channels))
        return REFUSE(c, "%s: too many channels", c->name);
    s.x = shape4(s.y.dims[0], size[0], size[1], channels);
    return gradient_fits(c, &s) && one(c, c->in[0]->dtype, s.x);
}

bool nd__rule_conv_dw(rule_call *c)
{
    if (!image_is_good(c, c->in[0], "image", "[N, height, width, channels]", 1) ||
        !image_is_good(c, c->in[1], "image dy", "[N, height, width, channels]", 1) || !same_dtypes(c) ||
        !conv_attributes(c) || !pair_is_good(c, ND__A_size, "size", 1))
        return false;
    conv_shapes s = {.x = c->in[0]->shape, .y = c->in[1]->shape};
    const int64_t *size = attr(c, ND__A_size)->ints, groups = attr(c, ND__A_groups)->i;
    if (groups < 1 || s.x.dims[3] % groups != 0)
        return REFUSE(c, "%s: %lld channels do not divide into %lld groups", c->name, (long long)s.x.dims[3],
                      (long long)groups);
    s.w = shape4(size[0], size[1], s.x.dims[3] / groups, s.y.dims[3]);
    return gradient_fits(c, &s) && one(c, c->in[0]->dtype, s.w);
}

/* dy and its indices have a place for every window that fits into the places of the convolution. */
bool nd__rule_conv_dw_pooled(rule_call *c)
{
    const nd_value *x = c->in[0], *dy = c->in[1], *index = c->in[2];
    if (!image_is_good(c, x, "image", "[N, height, width, channels]", 1) ||
        !image_is_good(c, dy, "image dy", "[N, height, width, channels]", 1) || !same_dtypes(c) ||
        !pair_is_good(c, ND__A_size, "size", 1) || !pair_is_good(c, ND__A_stride, "stride", 1) ||
        !pair_is_good(c, ND__A_window, "window", 1))
        return false;
    const int64_t *size = attr(c, ND__A_size)->ints, *window = attr(c, ND__A_window)->ints;
    nd_shape y = shape4(x->shape.dims[0], 0, 0, dy->shape.dims[3]);
    for (int i = 0; i < 2; i++)
        y.dims[1 + i] = x->shape.dims[1 + i] < size[i]
                            ? 0
                            : ((x->shape.dims[1 + i] - size[i]) / attr(c, ND__A_stride)->ints[i] + 1) / window[i];
    const nd_dtype dtype = nd__pool_index_dtype(window);
    if (!nd__shape_equal(&y, &dy->shape) || index->dtype != dtype || !nd__shape_equal(&y, &index->shape))
        return REFUSE(c, "%s: the windows of %s have maxima %s at %s, not %s at %s", c->name, show(c, x),
                      nd__show_type(c->m, x->dtype, &y), nd__show_type(c->m, dtype, &y), show(c, dy), show(c, index));
    return one(c, x->dtype, shape4(size[0], size[1], x->shape.dims[3], dy->shape.dims[3]));
}

/* -- pools --------------------------------------------------------------------------------------------------------- */

/* The shape that pooling x gives. Every window has at least one element. */
static bool pooled(rule_call *c, nd_shape x, nd_shape *y)
{
    *y = x;
    if (!pair_is_good(c, ND__A_window, "window", 1) || !pair_is_good(c, ND__A_stride, "stride", 1) ||
        !pair_is_good(c, ND__A_low, "padding before", 0) || !pair_is_good(c, ND__A_high, "padding behind", 0))
        return false;
    const int64_t *window = attr(c, ND__A_window)->ints;
    for (int i = 0; i < 2; i++) {
        if (x.dims[1 + i] == 0)
            return REFUSE(c, "%s: the %s of the image is 0", c->name, axis_names[i]);
        if (attr(c, ND__A_low)->ints[i] >= window[i] || attr(c, ND__A_high)->ints[i] >= window[i])
            return REFUSE(c, "%s: the padding along the %s is not smaller than the window's %lld", c->name,
                          axis_names[i], (long long)window[i]);
        if (!places(c, i, x.dims[1 + i], window[i], 1, &y->dims[1 + i]))
            return false;
    }
    int64_t taps;
    if (__builtin_mul_overflow(window[0], window[1], &taps) || taps > INT32_MAX)
        return REFUSE(c, "%s: the window %lld x %lld is too large", c->name, (long long)window[0],
                      (long long)window[1]);
    return true;
}

static const char image_axes[] = "[N, height, width, channels]";

bool nd__rule_pool(rule_call *c)
{
    nd_shape y;
    if (!image_is_good(c, c->in[0], "image", image_axes, 1) || !pooled(c, c->in[0]->shape, &y))
        return false;
    return one(c, c->op == ND__OP_max_pool ? c->in[0]->dtype : nd__pool_index_dtype(attr(c, ND__A_window)->ints), y);
}

/* That the indices are those of windows over x. */
static bool indices_fit(rule_call *c, const nd_value *index, nd_shape x)
{
    nd_shape y;
    if (!pooled(c, x, &y))
        return false;
    const nd_dtype dtype = nd__pool_index_dtype(attr(c, ND__A_window)->ints);
    if (index->dtype == dtype && nd__shape_equal(&index->shape, &y))
        return true;
    return REFUSE(c, "%s: the indices are %s, expected %s", c->name, show(c, index), nd__show_type(c->m, dtype, &y));
}

bool nd__rule_pool_pick(rule_call *c)
{
    return image_is_good(c, c->in[0], "image", image_axes, 1) && indices_fit(c, c->in[1], c->in[0]->shape) &&
           one(c, c->in[0]->dtype, c->in[1]->shape);
}

bool nd__rule_pool_spread(rule_call *c)
{
    const nd_value *dy = c->in[0];
    if (!image_is_good(c, dy, "image", image_axes, 1) || !pair_is_good(c, ND__A_size, "size", 1))
        return false;
    const int64_t *size = attr(c, ND__A_size)->ints;
    const nd_shape x = shape4(dy->shape.dims[0], size[0], size[1], dy->shape.dims[3]);
    if (!indices_fit(c, c->in[1], x))
        return false;
    if (!nd__shape_equal(&dy->shape, &c->in[1]->shape))
        return REFUSE(c, "%s: shapes differ, %s and %s", c->name, show(c, dy), show(c, c->in[1]));
    return one(c, dy->dtype, x);
}
