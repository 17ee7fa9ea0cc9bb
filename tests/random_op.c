#include "random_op.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

int64_t random_below(uint64_t *state, int64_t n)
{
    return (int64_t)(random_next(state) % (uint64_t)n);
}

/* -- shapes and operands ------------------------------------------------------------------------------------------- */

typedef struct maker {
    nd_module *m;
    nd_dtype dtype;
    uint64_t *state;
    int input_count;
    nd_value *inputs[16];
} maker;

static int64_t below(maker *k, int64_t n)
{
    return random_below(k->state, n);
}

static nd_shape random_shape(maker *k, int least_rank, int most_rank)
{
    static const int64_t sizes[] = {1, 1, 2, 3, 3, 4, 5, 5, 7, 8, 17};
    nd_shape shape = {.rank = least_rank + (int)below(k, most_rank - least_rank + 1)};
    for (int i = 0; i < shape.rank; i++)
        shape.dims[i] = below(k, 20) == 0 ? 0 : sizes[below(k, (int64_t)(sizeof sizes / sizeof *sizes))];
    return shape;
}

static nd_value *input(maker *k, const char *name, nd_dtype dtype, nd_shape shape)
{
    char unique[32];
    snprintf(unique, sizeof unique, "%s%d", name, k->input_count);
    return k->inputs[k->input_count++] = nd_input(k->m, unique, dtype, shape);
}

/* A value of that type: an input, or a view of one. */
static nd_value *operand(maker *k, nd_dtype dtype, nd_shape shape)
{
    nd_shape from = shape;
    switch (shape.rank == 0 ? 0 : below(k, 8)) {
    case 1: { /* a slice, backwards or with gaps */
        int64_t start[ND_MAX_RANK], step[ND_MAX_RANK];
        for (int i = 0; i < shape.rank; i++) {
            static const int64_t steps[] = {-1, 1, 2, -2, 1, -3};
            int64_t stride = step[i] = steps[below(k, 6)], spare = below(k, 3);
            int64_t span = shape.dims[i] > 0 ? (shape.dims[i] - 1) * llabs(stride) + 1 : 0;
            from.dims[i] = span + spare;
            start[i] = stride > 0 ? below(k, spare + 1) : span + below(k, spare + 1) - 1;
            if (span == 0)
                start[i] = 0;
        }
        return nd_slice(input(k, "x", dtype, from), start, shape.dims, step);
    }
    case 2: /* a broadcast */
        for (int i = 0; i < shape.rank; i++)
            if (below(k, 2))
                from.dims[i] = 1;
        while (from.rank > 0 && from.dims[0] == 1 && below(k, 2))
            from = nd_shape_of((size_t)from.rank - 1, from.dims + 1);
        return nd_broadcast(input(k, "x", dtype, from), shape);
    case 3: { /* a transpose */
        nd_axes axes = {.count = shape.rank};
        for (int i = 0; i < shape.rank; i++)
            axes.items[i] = i;
        for (int i = shape.rank - 1; i > 0; i--) {
            int j = (int)below(k, i + 1), t = axes.items[i];
            axes.items[i] = axes.items[j];
            axes.items[j] = t;
        }
        for (int i = 0; i < shape.rank; i++)
            from.dims[axes.items[i]] = shape.dims[i];
        return nd_transpose(input(k, "x", dtype, from), axes);
    }
    default:
        return input(k, "x", dtype, shape);
    }
}

static nd_dtype integer_dtype(maker *k)
{
    static const nd_dtype dtypes[] = {ND_U8, ND_I32, ND_U32, ND_I64};
    return dtypes[below(k, 4)];
}

/* -- one maker per rule of ops.def --------------------------------------------------------------------------------- */

static nd_value *make_GIVEN(maker *k, nd__op op)
{
    (void)op; /* constant */
    nd_shape shape = random_shape(k, 0, 4);
    int64_t count = below(k, 3) == 0 ? 1 : nd__elements(&shape);
    nd_value *like = nd_input(k->m, "like", k->dtype, nd_shape_of(1, &count));
    void *items = malloc((size_t)count * 8 + 1);
    if (!items)
        return NULL;
    random_fill(like, items, true, k->state);
    nd_value *v = nd__constant(k->m, "", k->dtype, &shape, count, items);
    free(items);
    return v;
}

static nd_value *make_SIZE(maker *k, nd__op op)
{
    (void)op;
    return nd_size(k->m, k->dtype, below(k, 2) ? below(k, 1000) : 0);
}

static nd_value *make_IOTA(maker *k, nd__op op)
{
    (void)op;
    nd_shape shape = random_shape(k, 1, 4);
    return nd_iota(k->m, k->dtype, shape, (int)below(k, shape.rank));
}

static nd_value *make_RANDOM(maker *k, nd__op op)
{
    (void)op;
    return nd_random_bits(operand(k, ND_U32, ND_SHAPE(2)), random_next(k->state), random_shape(k, 0, 3));
}

static nd_value *make_SAME(maker *k, nd__op op)
{
    nd_shape shape = random_shape(k, 0, 4);
    nd_value *operands[ND__MAX_ARITY];
    for (int i = 0; i < nd__ops[op].arity; i++)
        operands[i] = operand(k, k->dtype, shape);
    return nd__make(k->m, op, "", nd__ops[op].arity, operands, 0, NULL);
}

static nd_value *make_SELECT(maker *k, nd__op op)
{
    (void)op;
    nd_shape shape = random_shape(k, 0, 4);
    nd_value *condition = operand(k, ND_BOOL, shape), *a = operand(k, k->dtype, shape);
    return nd_select(condition, a, operand(k, k->dtype, shape));
}

static nd_value *make_CAST(maker *k, nd__op op)
{
    nd__attr attr = nd__attr_int(ND__A_dtype, below(k, ND_STRING));
    return nd__make1(op, "", operand(k, k->dtype, random_shape(k, 0, 4)), 1, &attr);
}

static nd_value *make_REDUCE(maker *k, nd__op op)
{
    nd_shape shape = random_shape(k, 0, 4);
    if (shape.rank > 0 && below(k, 3) == 0) /* more than a chain, more than a block of a chain */
        shape.dims[below(k, shape.rank)] = 60 + below(k, 80);
    if (shape.rank == 1 && below(k, 3) == 0)
        shape.dims[0] = 4000 + below(k, 5000);
    int64_t axes[ND_MAX_RANK];
    int count = 0;
    for (int i = 0; i < shape.rank; i++)
        if (below(k, 2))
            axes[count++] = i;
    nd__attr attr = nd__attr_ints(ND__A_axes, count, axes);
    return nd__make1(op, "", operand(k, k->dtype, shape), 1, &attr);
}

static nd_value *make_ARGREDUCE(maker *k, nd__op op)
{
    nd_shape shape = random_shape(k, 1, 4);
    int64_t axis = below(k, shape.rank);
    if (shape.dims[axis] == 0)
        shape.dims[axis] = 1;
    nd__attr attr = nd__attr_int(ND__A_axis, axis);
    return nd__make1(op, "", operand(k, k->dtype, shape), 1, &attr);
}

static nd_value *make_MATMUL(maker *k, nd__op op)
{
    (void)op;
    static const int64_t inner_sizes[] = {0, 1, 3, 16, 64, 65, 200};
    nd_shape batch = random_shape(k, 0, 2), a = batch, b = batch;
    int64_t rows = random_shape(k, 1, 1).dims[0], columns = random_shape(k, 1, 1).dims[0],
            inner = inner_sizes[below(k, 7)];
    bool ta = below(k, 2), tb = below(k, 2);
    a.dims[a.rank++] = ta ? inner : rows;
    a.dims[a.rank++] = ta ? rows : inner;
    b.dims[b.rank++] = tb ? columns : inner;
    b.dims[b.rank++] = tb ? inner : columns;
    nd_matmul_options options = {.transpose_a = ta, .transpose_b = tb};
    if (below(k, 2)) {
        options.band = (nd_band)(1 + below(k, 3));
        options.lower = below(k, 3) ? below(k, 60) - 50 : INT64_MIN;
        options.upper = options.lower == INT64_MIN || below(k, 3) ? below(k, 40) - 10 : INT64_MAX;
        if (options.upper < options.lower)
            options.upper = options.lower + below(k, 5);
    }
    nd_value *left = operand(k, k->dtype, a);
    return nd_matmul_with(left, operand(k, k->dtype, b), &options);
}

/* -- windows ------------------------------------------------------------------------------------------------------ */

typedef struct conv {
    nd_shape x, w, y;
    nd_conv_options options;
} conv;

static int64_t one_of(maker *k, int count, const int64_t *sizes)
{
    return sizes[below(k, count)];
}

/* Channels that fill lanes, some lanes, none; every attribute; padding beyond the kernel; a batch or channels of 0. */
static conv random_conv(maker *k)
{
    static const int64_t channels[] = {1, 1, 2, 3, 6, 16, 17}, sizes[] = {1, 2, 3, 4, 5, 7, 9},
                         kernels[] = {1, 2, 3, 3, 5};
    conv c = {{.rank = 4}, {.rank = 4}, {.rank = 4}, {{0}, {0}, {0}, false, {0}, 0, {0}}};
    nd_conv_options *o = &c.options;
    const bool plain = below(k, 3) == 0, deep = below(k, 4) == 0;
    int64_t in = one_of(k, 7, channels), out = one_of(k, 7, channels);
    o->groups = below(k, 3) ? 1 : 1 + below(k, 4);
    if (deep) { /* each channel by itself */
        o->groups = in;
        in = 1;
        out = below(k, 3) ? 1 : 2;
    }
    in = below(k, 16) ? in : 0;
    c.x.dims[0] = c.y.dims[0] = below(k, 8) ? 1 + below(k, 2) : 0;
    c.x.dims[3] = in * o->groups;
    c.w.dims[2] = in;
    c.w.dims[3] = c.y.dims[3] = out * o->groups;
    for (int i = 0; i < 2; i++) {
        o->stride[i] = plain ? 1 : 1 + below(k, 3);
        o->dilation[i] = plain ? 1 : 1 + below(k, 3);
        o->low[i] = plain ? 0 : below(k, 4);
        o->high[i] = plain ? 0 : below(k, 4);
        c.w.dims[i] = one_of(k, 5, kernels);
        const int64_t extent = (c.w.dims[i] - 1) * o->dilation[i] + 1, least = extent - o->low[i] - o->high[i];
        c.x.dims[1 + i] = one_of(k, 7, sizes) + (i && in * out < 20 && below(k, 2) ? 20 : 0);
        if (c.x.dims[1 + i] < least)
            c.x.dims[1 + i] = least;
        c.y.dims[1 + i] = (c.x.dims[1 + i] + o->low[i] + o->high[i] - extent) / o->stride[i] + 1;
    }
    return c;
}

static nd_value *conv_node(maker *k, nd__op op, const conv *c, nd_value *a, nd_value *b, const int64_t *size)
{
    const nd_conv_options *o = &c->options;
    nd__attr attrs[] = {nd__attr_ints(ND__A_stride, 2, o->stride), nd__attr_ints(ND__A_low, 2, o->low),
                        nd__attr_ints(ND__A_high, 2, o->high),     nd__attr_ints(ND__A_dilation, 2, o->dilation),
                        nd__attr_int(ND__A_groups, o->groups),     nd__attr_ints(ND__A_size, 2, size)};
    return nd__make(k->m, op, "", 2, (nd_value *[]){a, b}, 6, attrs);
}

static nd_value *make_CONV(maker *k, nd__op op)
{
    const conv c = random_conv(k);
    nd_value *x = operand(k, k->dtype, c.x);
    return conv_node(k, op, &c, x, operand(k, k->dtype, c.w), c.x.dims);
}

static nd_value *make_CONV_DX(maker *k, nd__op op)
{
    const conv c = random_conv(k);
    nd_value *y = operand(k, k->dtype, c.y);
    return conv_node(k, op, &c, y, operand(k, k->dtype, c.w), c.x.dims + 1);
}

static nd_value *make_CONV_DW(maker *k, nd__op op)
{
    const conv c = random_conv(k);
    nd_value *x = operand(k, k->dtype, c.x);
    return conv_node(k, op, &c, x, operand(k, k->dtype, c.y), c.w.dims);
}

typedef struct pool {
    nd_shape x, y;
    int64_t window[2], stride[2], low[2], high[2];
} pool;

static pool random_pool(maker *k)
{
    static const int64_t channels[] = {0, 1, 3, 6, 16, 17, 40};
    const bool plain = below(k, 3) == 0;
    pool p = {{.rank = 4}, {.rank = 4}, {0}, {0}, {0}, {0}};
    p.x.dims[0] = p.y.dims[0] = below(k, 3);
    p.x.dims[3] = p.y.dims[3] = one_of(k, 7, channels);
    for (int i = 0; i < 2; i++) {
        p.window[i] = below(k, 12) ? 1 + below(k, 4) : 17;
        p.stride[i] = plain ? p.window[i] : 1 + below(k, 3);
        p.low[i] = plain ? 0 : below(k, p.window[i] < 5 ? p.window[i] : 5);
        p.high[i] = plain ? 0 : below(k, p.window[i] < 5 ? p.window[i] : 5);
        p.x.dims[1 + i] = 1 + below(k, 8);
        if (p.x.dims[1 + i] < p.window[i] - p.low[i] - p.high[i])
            p.x.dims[1 + i] = p.window[i] - p.low[i] - p.high[i];
        p.y.dims[1 + i] = (p.x.dims[1 + i] + p.low[i] + p.high[i] - p.window[i]) / p.stride[i] + 1;
    }
    return p;
}

static nd_value *pool_node(maker *k, nd__op op, const pool *p, int count, nd_value **operands)
{
    nd__attr attrs[] = {nd__attr_ints(ND__A_window, 2, p->window), nd__attr_ints(ND__A_stride, 2, p->stride),
                        nd__attr_ints(ND__A_low, 2, p->low), nd__attr_ints(ND__A_high, 2, p->high),
                        nd__attr_ints(ND__A_size, 2, p->x.dims + 1)};
    return nd__make(k->m, op, "", count, operands, 5, attrs);
}

static nd_value *make_POOL(maker *k, nd__op op)
{
    const pool p = random_pool(k);
    nd_value *x = operand(k, k->dtype, p.x);
    return pool_node(k, op, &p, 1, &x);
}

static nd_dtype index_dtype(const pool *p)
{
    return p->window[0] * p->window[1] <= 256 ? ND_U8 : ND_I32;
}

static nd_value *make_POOL_PICK(maker *k, nd__op op)
{
    const pool p = random_pool(k);
    nd_value *x = operand(k, k->dtype, p.x);
    return pool_node(k, op, &p, 2, (nd_value *[]){x, input(k, "index", index_dtype(&p), p.y)});
}

static nd_value *make_POOL_SPREAD(maker *k, nd__op op)
{
    const pool p = random_pool(k);
    nd_value *y = operand(k, k->dtype, p.y);
    return pool_node(k, op, &p, 2, (nd_value *[]){y, input(k, "index", index_dtype(&p), p.y)});
}

/* Windows side by side over the places of a convolution without a border, some of which are left over. */
static nd_value *make_CONV_DW_POOLED(maker *k, nd__op op)
{
    static const int64_t channels[] = {0, 1, 1, 3, 6, 16, 17}, kernels[] = {1, 2, 3, 3, 5};
    const nd_dtype dtype = below(k, 12) ? ND_U8 : ND_I32;
    int64_t size[2], stride[2], window[2];
    nd_shape x = {.rank = 4}, y = {.rank = 4};
    x.dims[0] = y.dims[0] = below(k, 4);
    x.dims[3] = one_of(k, 7, channels);
    y.dims[3] = one_of(k, 7, channels);
    for (int i = 0; i < 2; i++) {
        size[i] = one_of(k, 5, kernels);
        stride[i] = 1 + below(k, 3);
        window[i] = dtype == ND_I32 ? 17 : 1 + below(k, 4);
        y.dims[1 + i] = below(k, 4);
        const int64_t places = y.dims[1 + i] * window[i] + below(k, (int)window[i]);
        x.dims[1 + i] =
            places > 0 ? (places - 1) * stride[i] + size[i] + below(k, (int)stride[i]) : below(k, (int)size[i]);
    }
    nd__attr attrs[] = {nd__attr_ints(ND__A_size, 2, size), nd__attr_ints(ND__A_stride, 2, stride),
                        nd__attr_ints(ND__A_window, 2, window)};
    nd_value *image = operand(k, k->dtype, x), *dy = operand(k, k->dtype, y);
    return nd__make(k->m, op, "", 3, (nd_value *[]){image, dy, input(k, "index", dtype, y)}, 3, attrs);
}

static nd_value *make_RESHAPE(maker *k, nd__op op)
{
    nd_shape from = random_shape(k, 0, 4), to = {0};
    int64_t rest = nd__elements(&from);
    while (to.rank < 4 && below(k, 3)) { /* factors of what is left */
        int64_t factor = 1 + below(k, 5);
        if (rest > 0 && rest % factor == 0) {
            to.dims[to.rank++] = factor;
            rest /= factor;
        }
    }
    if (rest != 1 || below(k, 2))
        to.dims[to.rank++] = rest;
    nd__attr attr = nd__attr_shape(ND__A_shape, &to);
    return nd__make1(op, "", operand(k, k->dtype, from), 1, &attr);
}

static nd_value *make_TRANSPOSE(maker *k, nd__op op)
{
    nd_shape shape = random_shape(k, 0, 4);
    int64_t axes[ND_MAX_RANK];
    for (int i = 0; i < shape.rank; i++) {
        int j = (int)below(k, i + 1);
        axes[i] = axes[j];
        axes[j] = i;
    }
    nd__attr attr = nd__attr_ints(ND__A_axes, shape.rank, axes);
    return nd__make1(op, "", operand(k, k->dtype, shape), 1, &attr);
}

static nd_value *make_BROADCAST(maker *k, nd__op op)
{
    nd_shape to = random_shape(k, 0, 4), from = to;
    for (int i = 0; i < from.rank; i++)
        if (below(k, 2))
            from.dims[i] = 1;
    if (from.rank > 0 && below(k, 3) == 0)
        from = nd_shape_of((size_t)from.rank - 1, from.dims + 1);
    nd__attr attr = nd__attr_shape(ND__A_shape, &to);
    return nd__make1(op, "", operand(k, k->dtype, from), 1, &attr);
}

static nd_value *make_SLICE(maker *k, nd__op op)
{
    (void)op;
    nd_shape from = random_shape(k, 0, 4);
    int64_t start[ND_MAX_RANK], size[ND_MAX_RANK], step[ND_MAX_RANK];
    for (int i = 0; i < from.rank; i++) {
        int64_t n = from.dims[i];
        step[i] = below(k, 2) ? 1 + below(k, 3) : -1 - below(k, 3);
        start[i] = n > 0 ? below(k, n) : 0;
        int64_t reach = n == 0 ? 0 : step[i] > 0 ? (n - 1 - start[i]) / step[i] + 1 : start[i] / -step[i] + 1;
        size[i] = below(k, 8) == 0 ? 0 : reach - (reach > 0 ? below(k, reach) : 0);
    }
    return nd_slice(operand(k, k->dtype, from), start, size, step);
}

static nd_value *make_CONCAT(maker *k, nd__op op)
{
    (void)op;
    nd_shape shape = random_shape(k, 1, 4);
    int axis = (int)below(k, shape.rank), count = 1 + (int)below(k, 3);
    nd_value *values[4];
    for (int i = 0; i < count; i++) {
        shape.dims[axis] = below(k, 4);
        values[i] = operand(k, k->dtype, shape);
    }
    return nd_concat(((nd_values){(size_t)count, values}), axis);
}

static nd_value *make_PAD(maker *k, nd__op op)
{
    (void)op;
    nd_shape shape = random_shape(k, 0, 3);
    int64_t low[ND_MAX_RANK], high[ND_MAX_RANK], interior[ND_MAX_RANK];
    for (int i = 0; i < shape.rank; i++) {
        low[i] = below(k, 3);
        high[i] = below(k, 3);
        interior[i] = below(k, 3);
    }
    return nd_pad(operand(k, k->dtype, shape), low, high, interior, (double)below(k, 2));
}

static nd_value *make_GATHER(maker *k, nd__op op)
{
    (void)op;
    nd_value *table = operand(k, k->dtype, random_shape(k, 1, 3));
    return nd_gather(table, input(k, "index", integer_dtype(k), random_shape(k, 0, 2)));
}

static nd_value *make_SCATTER(maker *k, nd__op op)
{
    (void)op;
    nd_shape indices = random_shape(k, 0, 2), updates = indices, rest = random_shape(k, 0, 2);
    for (int i = 0; i < rest.rank; i++)
        updates.dims[updates.rank++] = rest.dims[i];
    nd_value *values = operand(k, k->dtype, updates);
    return nd_scatter_add(values, input(k, "index", integer_dtype(k), indices), below(k, 7));
}

/* A body over `inputs`: a few ops that every number dtype has. */
static nd_value *body_value(maker *k, nd_value *a, nd_value *b)
{
    return below(k, 2) ? nd_max(nd_sub(a, b), b) : nd_add(nd_mul(a, b), a);
}

static nd_value *make_APPLY(maker *k, nd__op op)
{
    (void)op;
    nd_shape shape = random_shape(k, 0, 3);
    nd_value *p = nd_input(k->m, "p", k->dtype, shape), *q = nd_input(k->m, "q", k->dtype, shape), *out[2];
    nd_value *captured = operand(k, k->dtype, shape);
    nd_function *f = nd_function(k->m, "body", ND_VALUES(p, q), ND_VALUES(body_value(k, p, q), nd_sub(q, captured)));
    nd_value *a = operand(k, k->dtype, shape);
    nd_apply(f, ND_VALUES(a, operand(k, k->dtype, shape)), out);
    return out[0];
}

static nd_value *make_COND(maker *k, nd__op op)
{
    (void)op;
    nd_shape shape = random_shape(k, 0, 3);
    nd_value *a = operand(k, k->dtype, shape), *b = operand(k, k->dtype, shape), *out[1];
    nd_value *condition = input(k, "c", ND_BOOL, below(k, 2) ? ND_SCALAR : ND_SHAPE(1, 1));
    nd_function *yes = nd_function(k->m, "yes", ND_VALUES(), ND_VALUES(body_value(k, a, b)));
    nd_function *no = nd_function(k->m, "no", ND_VALUES(), ND_VALUES(nd_sub(b, a)));
    nd_cond(condition, yes, no, out);
    return out[0];
}

static nd_value *make_SCAN(maker *k, nd__op op)
{
    (void)op;
    nd_shape shape = random_shape(k, 0, 2), stacked = {.rank = shape.rank + 1, .dims = {below(k, 6)}};
    memcpy(stacked.dims + 1, shape.dims, (size_t)shape.rank * sizeof *shape.dims);
    nd_value *p = nd_input(k->m, "p", k->dtype, shape), *q = nd_input(k->m, "q", k->dtype, shape),
             *t = nd_input(k->m, "t", k->dtype, shape), *out[3];
    nd_value *captured = operand(k, k->dtype, shape);
    nd_value *next = nd_min(nd_sub(t, p), captured);
    nd_function *f = nd_function(k->m, "body", ND_VALUES(p, q, t),
                                 ND_VALUES(next, p, nd_max(next, q))); /* a Fibonacci-like pair and a stacked result */
    nd_value *init0 = operand(k, k->dtype, shape), *init1 = operand(k, k->dtype, shape),
             *x = operand(k, k->dtype, stacked);
    nd_scan(f, stacked.dims[0], ND_VALUES(init0, init1), ND_VALUES(x), below(k, 2), out);
    return out[0];
}

typedef nd_value *(*make)(maker *k, nd__op op);
static const make makers[ND__RULES] = {
    [ND__RULE_GIVEN] = make_GIVEN,
    [ND__RULE_SIZE] = make_SIZE,
    [ND__RULE_IOTA] = make_IOTA,
    [ND__RULE_RANDOM] = make_RANDOM,
    [ND__RULE_SAME] = make_SAME,
    [ND__RULE_COMPARE] = make_SAME,
    [ND__RULE_SELECT] = make_SELECT,
    [ND__RULE_CAST] = make_CAST,
    [ND__RULE_REDUCE] = make_REDUCE,
    [ND__RULE_ARGREDUCE] = make_ARGREDUCE,
    [ND__RULE_MATMUL] = make_MATMUL,
    [ND__RULE_CONV] = make_CONV,
    [ND__RULE_CONV_DX] = make_CONV_DX,
    [ND__RULE_CONV_DW] = make_CONV_DW,
    [ND__RULE_CONV_DW_POOLED] = make_CONV_DW_POOLED,
    [ND__RULE_POOL] = make_POOL,
    [ND__RULE_POOL_PICK] = make_POOL_PICK,
    [ND__RULE_POOL_SPREAD] = make_POOL_SPREAD,
    [ND__RULE_RESHAPE] = make_RESHAPE,
    [ND__RULE_TRANSPOSE] = make_TRANSPOSE,
    [ND__RULE_BROADCAST] = make_BROADCAST,
    [ND__RULE_SLICE] = make_SLICE,
    [ND__RULE_CONCAT] = make_CONCAT,
    [ND__RULE_PAD] = make_PAD,
    [ND__RULE_GATHER] = make_GATHER,
    [ND__RULE_SCATTER] = make_SCATTER,
    [ND__RULE_APPLY] = make_APPLY,
    [ND__RULE_COND] = make_COND,
    [ND__RULE_SCAN] = make_SCAN,
};

bool random_op_takes(nd__op op, nd_dtype dtype)
{
    const bool number = nd_dtype_is_integer(dtype) || nd_dtype_is_float(dtype);
    if (nd_dtype_size(dtype) == 0 || op == ND__OP_input || op == ND__OP_variable)
        return false;
    switch (nd__ops[op].rule) {
    case ND__RULE_SIZE:
    case ND__RULE_IOTA:
    case ND__RULE_SCATTER:
    case ND__RULE_APPLY: /* the bodies made here compute */
    case ND__RULE_COND:
    case ND__RULE_SCAN:
        return number;
    default:
        break;
    }
    switch (nd__ops[op].types) {
    case ND__TYPES_ANY:
        return true;
    case ND__TYPES_NUMBER:
        return number;
    case ND__TYPES_FLOAT:
        return nd_dtype_is_float(dtype);
    case ND__TYPES_INTEGER:
        return nd_dtype_is_integer(dtype);
    case ND__TYPES_BITS:
        return dtype == ND_BOOL || nd_dtype_is_integer(dtype);
    case ND__TYPES_U32:
        return dtype == ND_U32;
    }
    return false;
}

nd_function *random_op(nd_module *m, nd__op op, nd_dtype dtype, uint64_t *state)
{
    maker k = {.m = m, .dtype = dtype, .state = state};
    nd_value *v = makers[nd__ops[op].rule](&k, op);
    if (nd_value_is_poison(v))
        return NULL;
    nd_value *outputs[8];
    const nd__node *node = v->node;
    for (int i = 0; i < node->result_count; i++)
        outputs[i] = &node->results[i];
    return nd_function(m, "f", ((nd_values){(size_t)k.input_count, k.inputs}),
                       ((nd_values){(size_t)node->result_count, outputs}));
}

/* -- elements ------------------------------------------------------------------------------------------------------ */

static double random_real(bool special, uint64_t *state)
{
    static const double specials[] = {0.0,    -0.0,   INFINITY, -INFINITY, NAN, 0x1p-149, -0x1p-149, 0x1p-127,
                                      1,      -1,     0.5,      -0.5,      2,   255,      256,       -0x1p31,
                                      0x1p31, 0x1p32, 0x1p63,   -0x1p63,   3e9, 1e30};
    if (special && random_below(state, 4) == 0)
        return specials[random_below(state, (int64_t)(sizeof specials / sizeof *specials))];
    if (random_below(state, 4) == 0)
        return (double)(random_below(state, 9) - 4); /* ties */
    double size = 1;
    if (random_below(state, 8) == 0) /* some far from 1 */
        size = exp2((double)(random_below(state, 24) - 12));
    return size * ((double)random_below(state, 1 << 24) * 0x1p-22 - 2);
}

static int64_t random_whole(nd_dtype dtype, bool special, uint64_t *state)
{
    static const int64_t specials[] = {0,  -1, 1,  INT64_MIN, INT64_MAX, INT32_MIN, INT32_MAX, UINT32_MAX,
                                       31, 32, 63, 64,        127,       128,       255,       256};
    if (special && random_below(state, 4) == 0)
        return specials[random_below(state, (int64_t)(sizeof specials / sizeof *specials))];
    if (special && random_below(state, 4) == 0)
        return (int64_t)random_next(state);
    return random_below(state, 20) - (dtype == ND_U8 || dtype == ND_U32 ? 0 : 10);
}

void random_fill(const nd_value *input, void *elements, bool special, uint64_t *state)
{
    const int64_t n = nd__elements(&input->shape);
    const bool index = strncmp(input->name, "index", 5) == 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t whole =
            index && random_below(state, 4) ? random_below(state, 6) : random_whole(input->dtype, special, state);
        switch (input->dtype) {
        case ND_BOOL:
            ((uint8_t *)elements)[i] = (uint8_t)random_below(state, 2);
            break;
        case ND_U8:
            ((uint8_t *)elements)[i] = (uint8_t)whole;
            break;
        case ND_I32:
            ((int32_t *)elements)[i] = (int32_t)whole;
            break;
        case ND_U32:
            ((uint32_t *)elements)[i] = (uint32_t)whole;
            break;
        case ND_I64:
            ((int64_t *)elements)[i] = whole;
            break;
        case ND_F32:
            ((float *)elements)[i] = (float)random_real(special, state);
            break;
        default:
            ((double *)elements)[i] = random_real(special, state);
        }
    }
}
