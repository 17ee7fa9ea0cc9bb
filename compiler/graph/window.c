/* Builder calls of convolutions and pools, and their geometry. */
#include "compiler/graph/window.h"

/* -- geometry ------------------------------------------------------------------------------------------------------ */

static void set_images(nd__window *w, const nd_shape *x, const nd_shape *y)
{
    for (int i = 0; i < 2; i++) {
        w->size[i] = x->dims[1 + i];
        w->places[i] = y->dims[1 + i];
    }
}

nd__conv nd__conv_of(const nd__node *node)
{
    const nd_shape *a = &node->inputs[0]->shape, *b = &node->inputs[1]->shape, *result = &node->results[0].shape;
    nd__conv c = {.groups = nd__get_int(node, ND__A_groups), .x = a, .w = b, .y = result};
    if (node->op == ND__OP_conv2d_dx) {
        c.x = result;
        c.y = a;
    } else if (node->op == ND__OP_conv2d_dw) {
        c.w = result;
        c.y = b;
    }
    c.window.stride = nd__get_ints(node, ND__A_stride);
    c.window.low = nd__get_ints(node, ND__A_low);
    for (int i = 0; i < 2; i++) {
        c.window.kernel[i] = c.w->dims[i];
        c.window.dilation[i] = nd__get_ints(node, ND__A_dilation)[i];
    }
    set_images(&c.window, c.x, c.y);
    c.batch = c.x->dims[0];
    c.in = c.w->dims[2];
    c.out = c.w->dims[3] / c.groups;
    return c;
}

nd__pooled_conv nd__pooled_conv_of(const nd__node *node)
{
    return (nd__pooled_conv){.stride = nd__get_ints(node, ND__A_stride),
                             .window = nd__get_ints(node, ND__A_window),
                             .x = &node->inputs[0]->shape,
                             .w = &node->results[0].shape,
                             .y = &node->inputs[1]->shape};
}

nd__window nd__pool_of(const nd__node *node)
{
    const bool spreads = node->op == ND__OP_max_pool_spread;
    const nd_shape *in = &node->inputs[0]->shape, *result = &node->results[0].shape;
    nd__window w = {
        .stride = nd__get_ints(node, ND__A_stride), .low = nd__get_ints(node, ND__A_low), .dilation = {1, 1}};
    for (int i = 0; i < 2; i++)
        w.kernel[i] = nd__get_ints(node, ND__A_window)[i];
    set_images(&w, spreads ? result : in, spreads ? in : result);
    return w;
}

/* -- options ------------------------------------------------------------------------------------------------------- */

/* What the attributes say. */
typedef struct pairs {
    int64_t stride[2], low[2], high[2], dilation[2];
} pairs;

static void or_one(const int64_t *from, int64_t *to)
{
    for (int i = 0; i < 2; i++)
        to[i] = from[i] == 0 ? 1 : from[i];
}

/* Padding that gives ceil(size / stride) places: as much behind as before, the odd one behind. Bad sizes are left to
 * the rule. */
static void pad_to_same(pairs *p, int axis, int64_t size, int64_t kernel)
{
    const int64_t stride = p->stride[axis], limit = (int64_t)1 << 31;
    if (stride < 1 || p->dilation[axis] < 1 || kernel < 1 || size < 1 || size > limit || kernel > limit ||
        p->dilation[axis] > limit)
        return;
    const int64_t total = (size - 1) / stride * stride + (kernel - 1) * p->dilation[axis] + 1 - size;
    p->low[axis] = total > 0 ? total / 2 : 0;
    p->high[axis] = total > 0 ? total - total / 2 : 0;
}

static pairs padded_pairs(const int64_t *stride, const int64_t *dilation, const int64_t *low, const int64_t *high)
{
    pairs p;
    or_one(stride, p.stride);
    or_one(dilation, p.dilation);
    for (int i = 0; i < 2; i++) {
        p.low[i] = low[i];
        p.high[i] = high[i];
    }
    return p;
}

/* -- convolutions -------------------------------------------------------------------------------------------------- */

/* The node; `what` is the call that errors name. */
static nd_value *make_conv(nd_place place, const char *what, nd__op op, nd_value *a, nd_value *b, const pairs *p,
                           int64_t groups, const int64_t *size)
{
    nd__attr attrs[] = {nd__attr_ints(ND__A_stride, 2, p->stride),
                        nd__attr_ints(ND__A_low, 2, p->low),
                        nd__attr_ints(ND__A_high, 2, p->high),
                        nd__attr_ints(ND__A_dilation, 2, p->dilation),
                        nd__attr_int(ND__A_groups, groups == 0 ? 1 : groups),
                        nd__attr_ints(ND__A_size, 2, size)};
    nd_module *m = a->node->module;
    m->called = what;
    nd_value *y = nd__make2(op, place, a, b, size ? 6 : 5, attrs);
    m->called = NULL;
    return y;
}

static nd_value *conv(nd_place place, const char *what, nd_value *x, nd_value *kernel, const nd_conv_options *options)
{
    static const nd_conv_options none = {0};
    const nd_conv_options *o = options ? options : &none;
    bool poisoned;
    nd_module *m = nd__common_module(place, what, 2, (nd_value *[]){x, kernel}, &poisoned);
    if (!m || poisoned)
        return m ? &m->poison : NULL;
    pairs p = padded_pairs(o->stride, o->dilation, o->low, o->high);
    for (int i = 0; i < 2 && o->same && x->shape.rank == 4 && kernel->shape.rank == 4; i++)
        pad_to_same(&p, i, x->shape.dims[1 + i], kernel->shape.dims[i]);
    return make_conv(place, what, ND__OP_conv2d, x, kernel, &p, o->groups, NULL);
}

nd_value *nd_conv2d_at(nd_place place, nd_value *x, nd_value *kernel, const nd_conv_options *options)
{
    return conv(place, "conv2d", x, kernel, options);
}

/* The height (width) of which a convolution gives `places`; `given` instead, if it is not 0. */
static int64_t size_of_places(const pairs *p, int axis, int64_t places, int64_t kernel, int64_t given)
{
    int64_t size, extent;
    if (given != 0)
        return given;
    if (__builtin_mul_overflow(places - 1, p->stride[axis], &size) ||
        __builtin_mul_overflow(kernel - 1, p->dilation[axis], &extent) ||
        __builtin_add_overflow(size, extent + 1, &size) || __builtin_sub_overflow(size, p->low[axis], &size) ||
        __builtin_sub_overflow(size, p->high[axis], &size))
        return -1;
    return size;
}

static nd_value *conv_transpose(nd_place place, const char *what, nd_value *x, nd_value *kernel,
                                const nd_conv_options *options)
{
    static const nd_conv_options none = {0};
    const nd_conv_options *o = options ? options : &none;
    bool poisoned;
    nd_module *m = nd__common_module(place, what, 2, (nd_value *[]){x, kernel}, &poisoned);
    if (!m || poisoned)
        return m ? &m->poison : NULL;
    pairs p = padded_pairs(o->stride, o->dilation, o->low, o->high);
    int64_t size[2] = {0};
    for (int i = 0; i < 2 && x->shape.rank == 4 && kernel->shape.rank == 4; i++) {
        const int64_t places = x->shape.dims[1 + i];
        int64_t given = o->size[i];
        if (o->same && given == 0 && !nd__size_is_named(places) && __builtin_mul_overflow(places, p.stride[i], &given))
            given = -1;
        if (o->same)
            pad_to_same(&p, i, given, kernel->shape.dims[i]);
        size[i] = size_of_places(&p, i, places, kernel->shape.dims[i], given);
    }
    return make_conv(place, what, ND__OP_conv2d_dx, x, kernel, &p, o->groups, size);
}

nd_value *nd_conv2d_transpose_at(nd_place place, nd_value *x, nd_value *kernel, const nd_conv_options *options)
{
    return conv_transpose(place, "conv2d_transpose", x, kernel, options);
}

/* -- one axis ------------------------------------------------------------------------------------------------------ */

/* [.., L, C] as an image of height 1; NULL: it is of another rank, and the module has failed. */
static nd_value *as_image(nd_place place, const char *what, nd_value *x, const char *axes)
{
    nd_module *m = x->node->module;
    if (x->shape.rank != 3) {
        nd__fail(m, ND_ERR_GRAPH, place, "%s: %s is %s, expected rank 3: %s", what, nd__show(m, x),
                 nd__show_type(m, x->dtype, &x->shape), axes);
        nd__note_operands(m, place, 1, &x);
        return NULL;
    }
    const int64_t *d = x->shape.dims;
    return nd_reshape_at(place, x, nd_shape_of(4, (int64_t[]){d[0], 1, d[1], d[2]}));
}

static nd_value *as_kernel(nd_place place, const char *what, nd_value *w)
{
    nd_value *image = as_image(place, what, w, "[length, channels in / groups, channels out]");
    const int64_t *d = w->shape.dims;
    return image ? nd_reshape_at(place, w, nd_shape_of(4, (int64_t[]){1, d[0], d[1], d[2]})) : NULL;
}

static nd_value *without_height(nd_place place, nd_value *y)
{
    if (nd_value_is_poison(y))
        return y;
    const int64_t *d = y->shape.dims;
    return nd_reshape_at(place, y, nd_shape_of(3, (int64_t[]){d[0], d[2], d[3]}));
}

/* The first of each pair is the one axis's: it goes to the width. */
static nd_conv_options along_width(const nd_conv_options *o)
{
    nd_conv_options wide = {0};
    if (!o)
        return wide;
    wide = *o;
    for (int i = 0; i < 2; i++) {
        wide.stride[i] = i ? o->stride[0] : 0;
        wide.dilation[i] = i ? o->dilation[0] : 0;
        wide.low[i] = i ? o->low[0] : 0;
        wide.high[i] = i ? o->high[0] : 0;
        wide.size[i] = i ? o->size[0] : 0;
    }
    return wide;
}

static nd_value *conv1d(nd_place place, const char *what, nd_value *x, nd_value *kernel, const nd_conv_options *options,
                        nd_value *(*two)(nd_place, const char *, nd_value *, nd_value *, const nd_conv_options *))
{
    bool poisoned;
    nd_module *m = nd__common_module(place, what, 2, (nd_value *[]){x, kernel}, &poisoned);
    if (!m || poisoned)
        return m ? &m->poison : NULL;
    const nd_conv_options wide = along_width(options);
    nd_value *image = as_image(place, what, x, "[N, length, channels]"),
             *flat = image ? as_kernel(place, what, kernel) : NULL;
    return flat ? without_height(place, two(place, what, image, flat, &wide)) : &m->poison;
}

nd_value *nd_conv1d_at(nd_place place, nd_value *x, nd_value *kernel, const nd_conv_options *options)
{
    return conv1d(place, "conv1d", x, kernel, options, conv);
}

nd_value *nd_conv1d_transpose_at(nd_place place, nd_value *x, nd_value *kernel, const nd_conv_options *options)
{
    return conv1d(place, "conv1d_transpose", x, kernel, options, conv_transpose);
}

/* -- pools --------------------------------------------------------------------------------------------------------- */

/* The attributes of a pool over x; false: the module failed. */
static bool read_pool(nd_place place, const char *what, nd_value *x, const nd_pool_options *o, pairs *p)
{
    nd_module *m = x->node->module;
    static const int64_t none[2] = {0, 0};
    if (!o) {
        nd__fail(m, ND_ERR_ARGUMENT, place, "%s: the options are NULL, a pool needs its window", what);
        return false;
    }
    if (x->shape.rank != 4) {
        nd__fail(m, ND_ERR_GRAPH, place, "%s: %s is %s, expected rank 4: [N, height, width, channels]", what,
                 nd__show(m, x), nd__show_type(m, x->dtype, &x->shape));
        nd__note_operands(m, place, 1, &x);
        return false;
    }
    *p = padded_pairs(o->stride, none, o->low, o->high);
    for (int i = 0; i < 2; i++) {
        if (o->stride[i] == 0)
            p->stride[i] = o->window[i];
        if (o->same)
            pad_to_same(p, i, x->shape.dims[1 + i], o->window[i]);
        if (o->window[i] < 1) {
            nd__fail(m, ND_ERR_GRAPH, place, "%s: the window's %s %lld is less than 1", what, i ? "width" : "height",
                     (long long)o->window[i]);
            return false;
        }
    }
    return true;
}

static nd_value *max_pool(nd_place place, const char *what, nd_value *x, const nd_pool_options *options)
{
    bool poisoned;
    nd_module *m = nd__common_module(place, what, 1, &x, &poisoned);
    if (!m || poisoned)
        return m ? &m->poison : NULL;
    pairs p;
    if (!read_pool(place, what, x, options, &p))
        return &m->poison;
    nd__attr attrs[] = {nd__attr_ints(ND__A_window, 2, options->window), nd__attr_ints(ND__A_stride, 2, p.stride),
                        nd__attr_ints(ND__A_low, 2, p.low), nd__attr_ints(ND__A_high, 2, p.high)};
    m->called = what;
    nd_value *y = nd__make1(ND__OP_max_pool, place, x, 4, attrs);
    m->called = NULL;
    return y;
}

nd_value *nd_max_pool2d_at(nd_place place, nd_value *x, const nd_pool_options *options)
{
    return max_pool(place, "max_pool2d", x, options);
}

/* How many elements each window of one axis has: one number, or [places, 1..] for `rank` axes. */
static nd_value *window_counts(nd_place place, nd_module *m, nd_dtype dtype, const nd__window *w, int axis, int rank)
{
    const int64_t places = w->places[axis], kernel = w->kernel[axis];
    nd_shape shape = {.rank = rank, .dims = {places, 1, 1}};
    double *counts = nd__arena_alloc(&m->arena, (size_t)places, sizeof *counts);
    float *singles = nd__arena_alloc(&m->arena, (size_t)places, sizeof *singles);
    bool full = true;
    if (!counts || !singles)
        return nd__fail_memory(m);
    for (int64_t i = 0; i < places; i++) {
        const int64_t at = i * w->stride[axis] - w->low[axis], end = at + kernel;
        const int64_t count = (end < w->size[axis] ? end : w->size[axis]) - (at > 0 ? at : 0);
        counts[i] = (double)count;
        singles[i] = (float)count;
        full = full && count == kernel;
    }
    if (full)
        return nd_const_of_at(place, m, dtype, (double)kernel);
    return nd__constant(m, place, dtype, &shape, places, dtype == ND_F32 ? (const void *)singles : counts);
}

static nd_value *average_pool(nd_place place, const char *what, nd_value *x, const nd_pool_options *options)
{
    bool poisoned;
    nd_module *m = nd__common_module(place, what, 1, &x, &poisoned);
    if (!m || poisoned)
        return m ? &m->poison : NULL;
    pairs p;
    x = nd__settle(place, x);
    if (!read_pool(place, what, x, options, &p))
        return &m->poison;
    if (!nd_dtype_is_float(x->dtype)) {
        nd__fail(m, ND_ERR_GRAPH, place, "%s: %s is %s, expected floats", what, nd__show(m, x),
                 nd__show_type(m, x->dtype, &x->shape));
        return &m->poison;
    }
    const int64_t *window = options->window, *size = x->shape.dims + 1;
    for (int i = 0; i < 2; i++)
        if (p.low[i] >= window[i] || p.high[i] >= window[i] || size[i] == 0)
            return nd__fail(
                m, ND_ERR_GRAPH, place,
                "%s: windows of %s %lld over %lld elements with %lld and %lld of padding: some have no element", what,
                i ? "width" : "height", (long long)window[i], (long long)size[i], (long long)p.low[i],
                (long long)p.high[i]);
    /* Each channel is a group of its own, its kernel all ones: sum = fma(x, 1, sum) is a sum. */
    const int64_t channels = x->shape.dims[3];
    const nd_shape shape = nd_shape_of(4, (int64_t[]){window[0], window[1], 1, channels});
    if (nd__size_is_named(channels) || channels == 0)
        return nd__fail(m, ND_ERR_GRAPH, place, "%s: the channels of %s are not a number from 1", what,
                        nd__show_type(m, x->dtype, &x->shape));
    nd_value *sum =
        make_conv(place, what, ND__OP_conv2d, x, nd__filled(m, place, x->dtype, &shape, 1), &p, channels, NULL);
    if (nd_value_is_poison(sum))
        return sum;
    const nd__window w = nd__conv_of(sum->node).window;
    nd_value *rows = window_counts(place, m, x->dtype, &w, 0, 3),
             *columns = window_counts(place, m, x->dtype, &w, 1, 2);
    return nd_div_at(place, sum, nd_mul_at(place, rows, columns));
}

nd_value *nd_avg_pool2d_at(nd_place place, nd_value *x, const nd_pool_options *options)
{
    return average_pool(place, "avg_pool2d", x, options);
}

static nd_value *pool1d(nd_place place, const char *what, nd_value *x, const nd_pool_options *options,
                        nd_value *(*two)(nd_place, const char *, nd_value *, const nd_pool_options *))
{
    bool poisoned;
    nd_module *m = nd__common_module(place, what, 1, &x, &poisoned);
    if (!m || poisoned)
        return m ? &m->poison : NULL;
    nd_value *image = as_image(place, what, x, "[N, length, channels]");
    if (!image || !options)
        return image ? two(place, what, image, options) : &m->poison;
    const nd_pool_options wide = {.window = {1, options->window[0]},
                                  .stride = {1, options->stride[0]},
                                  .low = {0, options->low[0]},
                                  .high = {0, options->high[0]},
                                  .same = options->same};
    return without_height(place, two(place, what, image, &wide));
}

nd_value *nd_max_pool1d_at(nd_place place, nd_value *x, const nd_pool_options *options)
{
    return pool1d(place, "max_pool1d", x, options, max_pool);
}

nd_value *nd_avg_pool1d_at(nd_place place, nd_value *x, const nd_pool_options *options)
{
    return pool1d(place, "avg_pool1d", x, options, average_pool);
}
