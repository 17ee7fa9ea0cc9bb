/* Convolutions, from the image to the windows and back, and what is elementwise on their results.
 *
 *   conv2d      y[n, oy, ox, d] = sum over ky, kx, c of x[n, iy, ix, c] w[ky, kx, c, d]
 *   conv2d_dx   x[n, iy, ix, c] = sum over ky, kx, d of y[n, oy, ox, d] w[ky, kx, c, d]
 *
 * are one kernel: the result's channels lie in the lanes, vectors of the kernel's elements are loaded along them (for
 * conv2d_dx from a transposed copy), elements of the image are splat. A tile of a few pixels of a row (of one or a few
 * images) by a few vectors is accumulated in registers over the kernel's rows, columns and the channels: an implicit
 * product, without a copy of the image. A convolution back with a stride falls into phases, pixels at a distance of the
 * stride, each of which has every stride-th of the taps: one after another.
 *
 * Borders are exact: rows outside the image are passed over by a branch, and a tile at the left or right border has
 * code of its own, in which each column of the kernel meets the pixels for which it exists. Where every channel is a
 * group by itself, the image's channels lie in the lanes too.
 *
 * Where the channels do not fill the lanes, images do (blocks.c): then vectors of the image are loaded, and elements of
 * the kernel are splat.
 *
 * Where nothing but a max_pool reads the result and its windows stand side by side, a tile is a row of whole windows,
 * of each of which only what the pool finds is stored. */
#include "compiler/schedule/window.h"

#include <string.h>

enum { MOST_IMAGES = 4, MOST_PIXELS = 28, MOST_VECTORS = 8, MOST_TILE = 32, UNROLLED = 24 };
/* With a pool: axes of the domain behind it, at the convolution's place of a window's place. */
enum { DOWN = ND__LANE_OF_BLOCKS + 1, RIGHT };

typedef struct conv {
    nd__space s;
    nd__emit e;
    nd__conv c;
    bool each;     /* every channel is a group */
    bool by_image; /* images in the lanes: a "vector" of channels below is a single one, */
    int lanes;     /* and so many images make a vector */
    nd__image image, kernel;
    int64_t chain; /* channels of a group of the image */
    int64_t size;  /* channels that the lanes run over: of a group of the result, of all of it where each is one */
    int64_t along, inner, group; /* the kernel's strides along lanes, channels of the image, groups of the result */
    nd__channels channels;
    int images, pixels, vectors; /* of a tile: the same pixels of as many images, or vectors of images */
    nd__walk y, x;               /* of the phase */
    nd__chooser chooser;
    int given;
    const nd__node *pool; /* NULL: none */
    int window[2];        /* of the pool; without one it is a single pixel */
    nd__maxima max;
    int operand; /* the expression of what the pool reads */
} conv;

/* One tile: a row of windows from `q` on, `pixels` wide in all (q is static where they reach a border), of images side
 * by side, vectors of channels from `channel` on. Accumulators lie by pixel along the row, row of the window, image,
 * vector. */
typedef struct tile {
    nd__kaffine image, row, q, channel, of_group; /* row, q: in windows; of_group: the group's number */
    int pixels, vectors, last;                    /* last: lanes of the last vector that exist */
    int64_t static_q;                             /* where q is known, else -1: all taps exist for all pixels */
} tile;

/* Accumulators of one pixel along the row. */
static int accumulators(const conv *v, const tile *t)
{
    return v->window[0] * v->images * t->vectors;
}

/* From one image, or vector of images, to the next. */
static int images_step(const conv *v)
{
    return v->by_image ? v->lanes : 1;
}

/* -- decisions ------------------------------------------------------------------------------------------------------
 */

/* Cycles of one tile for one element of the kernel and one channel: multiply-adds of as many pixels as an element has
 * on the average, at least what keeps the latency of chains hidden and two loads a cycle. */
static double tile_step(const conv *v, int pixels, int vectors, double fill)
{
    const double hidden = 6, busy = fill * pixels;
    double cycles = busy * vectors * v->channels.cost, loads = ((v->each ? busy * vectors : busy) + vectors) * 0.5;
    cycles = cycles < loads ? loads : cycles;
    return cycles < hidden ? hidden : cycles;
}

static double row_cycles(const conv *v, int images, int pixels, int vectors, double fill)
{
    const double start = 3 * (double)v->c.window.kernel[0] * (double)v->c.window.kernel[1] + 12, epilogue = 2;
    const double steps = (double)(v->c.window.kernel[0] * v->c.window.kernel[1] * v->chain);
    const int rest = (int)(v->x.count % pixels) * images * v->window[0];
    images *= v->window[0];
    double cycles = (double)(v->x.count / pixels) * (steps * tile_step(v, images * pixels, vectors, fill) + start +
                                                     epilogue * images * pixels * vectors);
    return cycles + (rest > 0 ? steps * tile_step(v, rest, vectors, fill) + start + epilogue * rest * vectors : 0);
}

/* Of all pixels, the part that an element of the kernel has. */
static double fill_of(const nd__walk *w)
{
    int64_t sum = 0, lo, hi;
    for (int64_t j = 0; j < w->taps; j++) {
        nd__walk_range(w, j, &lo, &hi);
        sum += hi - lo;
    }
    return w->taps > 0 ? (double)sum / (double)(w->taps * w->count) : 1;
}

/* The tile that takes the fewest cycles: accumulators, the kernel's vectors, a splat where it is no operand of the
 * multiply-add. Gives the cycles of a row of windows of one image; 0: none may be taken. */
static double choose_tile(conv *v)
{
    const nd__target *target = v->s.block->target;
    const int room = target->vector_registers - 1 - (target->vector_bytes < 64 ? 1 : 0);
    const int across = images_step(v);
    const double fill = fill_of(&v->x);
    double best = 0;
    for (int images = 1; images <= MOST_IMAGES && v->c.batch % (images * across) == 0; images *= 2)
        for (int vectors = 1; vectors <= (v->by_image ? MOST_VECTORS : 4) && vectors <= v->channels.vectors; vectors++)
            for (int pixels = v->window[1]; pixels <= MOST_PIXELS && pixels <= v->x.count; pixels += v->window[1]) {
                const int size = images * v->window[0] * pixels * vectors, rest = (int)(v->channels.vectors % vectors);
                if (size + vectors > room || size > MOST_TILE)
                    break;
                double cycles = (double)(v->channels.vectors / vectors) * row_cycles(v, images, pixels, vectors, fill) +
                                (rest > 0 ? row_cycles(v, images, pixels, rest, fill) : 0);
                cycles /= images * across;
                if (!nd__may_take(&v->chooser, (nd__choice){{v->by_image, images, pixels, vectors}}, cycles))
                    continue;
                if (best == 0 || cycles < best * 0.99) {
                    best = cycles;
                    v->images = images;
                    v->pixels = pixels;
                    v->vectors = vectors;
                }
            }
    return best;
}

/* -- accumulating ----------------------------------------------------------------------------------------------------
 */

static nd__kval load_lanes(conv *v, const nd__image *from, nd__kaffine at, int64_t stride, int count)
{
    const int lanes = v->e.lanes;
    return nd__k_load(&v->e.b, v->e.buffers[from->param], at, lanes, lanes == 1 ? 1 : stride, count);
}

static nd__kval load_splat(conv *v, const nd__image *from, nd__kaffine at)
{
    return nd__k_splat(&v->e.b, nd__k_load(&v->e.b, v->e.buffers[from->param], at, 1, 1, 1), v->e.lanes);
}

/* One channel of the image and one element of the kernel: pixels lo to hi of the tile. */
static void step(conv *v, const tile *t, nd__kaffine image, nd__kaffine kernel, int lo, int hi, nd__kval *acc)
{
    nd__kbuilder *b = &v->e.b;
    nd__kval x[MOST_VECTORS];
    const int lanes = v->e.lanes;
    const int64_t pixel = v->x.move * v->image.stride[2], row = v->y.move * v->image.stride[1];
    for (int j = 0; j < t->vectors; j++) {
        nd__kaffine at = nd__k_sum(kernel, nd__k_at(j * v->channels.lanes * v->along));
        x[j] = v->by_image ? load_splat(v, &v->kernel, at)
                           : load_lanes(v, &v->kernel, at, v->along, j == t->vectors - 1 ? t->last : lanes);
    }
    for (int p = lo * v->window[0] * v->images; p < hi * v->window[0] * v->images; p++) {
        const int i = p % v->images, r = p / v->images % v->window[0], k = p / v->images / v->window[0];
        const int64_t moved = k * pixel + r * row + i * images_step(v) * v->image.stride[0];
        nd__kaffine at = nd__k_sum(image, nd__k_at(moved));
        nd__kval one = v->by_image ? load_lanes(v, &v->image, at, 1, lanes)
                       : v->each   ? -1
                                   : load_splat(v, &v->image, at);
        for (int j = 0; j < t->vectors; j++) {
            nd__kval *to = &acc[p * t->vectors + j];
            if (v->each)
                one = load_lanes(v, &v->image, nd__k_sum(at, nd__k_at(j * lanes * v->image.stride[3])),
                                 v->image.stride[3], j == t->vectors - 1 ? t->last : lanes);
            *to = nd__k_op3(b, ND__K_fma, one, x[j], *to);
        }
    }
}

/* The channels of the image for one element of the kernel, a few of them in one piece of straight code. `apart`: in a
 * loop, even if one piece is all. Neighbouring elements of the kernel read the same pixels: in one piece, they would be
 * kept in registers in between, of which there are too few. */
static void over_chain(conv *v, const tile *t, nd__kaffine image, nd__kaffine kernel, int lo, int hi, bool apart,
                       nd__kval *acc)
{
    const int n = (hi - lo) * accumulators(v, t), from = lo * accumulators(v, t);
    nd__kval carried[MOST_TILE], all[MOST_TILE], *first = acc + from;
    const int64_t channel = v->image.stride[3];
    int64_t parts = 1;
    while (v->chain % parts != 0 || (parts < v->chain && v->chain / parts * n > UNROLLED))
        parts++;
    const int64_t piece = v->chain / parts;
    if (piece == v->chain && !apart) {
        for (int64_t c = 0; c < piece; c++)
            step(v, t, nd__k_sum(image, nd__k_at(c * channel)), nd__k_sum(kernel, nd__k_at(c * v->inner)), lo, hi, acc);
        return;
    }
    int32_t c = nd__k_for(&v->e.b, nd__k_at(0), nd__k_at(v->chain), piece, n, first, carried);
    memcpy(all + from, carried, (size_t)n * sizeof *carried);
    image = nd__k_plus(image, c, channel);
    kernel = nd__k_plus(kernel, c, v->inner);
    for (int64_t i = 0; i < piece; i++)
        step(v, t, nd__k_sum(image, nd__k_at(i * channel)), nd__k_sum(kernel, nd__k_at(i * v->inner)), lo, hi, all);
    nd__k_end_for(&v->e.b, all + from, first);
}

/* The pixels [lo, hi) of the tile for which tap j exists. */
static void pixels_of(const conv *v, const tile *t, int64_t j, int *lo, int *hi)
{
    int64_t from, to;
    *lo = 0;
    *hi = t->pixels;
    if (t->static_q < 0)
        return;
    nd__walk_range(&v->x, j, &from, &to);
    from -= t->static_q * v->window[1];
    to -= t->static_q * v->window[1];
    *lo = from < 0 ? 0 : from > t->pixels ? t->pixels : (int)from;
    *hi = to > t->pixels ? t->pixels : to < *lo ? *lo : (int)to;
}

/* One row of the kernel: elements that exist for the same pixels are a loop. */
static void over_columns(conv *v, const tile *t, nd__kaffine image, nd__kaffine kernel, nd__kval *acc)
{
    nd__kval carried[MOST_TILE], all[MOST_TILE];
    const int64_t move = v->x.at_step * v->image.stride[2], k_move = v->x.k_step * v->kernel.stride[1];
    image = nd__k_sum(image, nd__k_scaled(t->q, v->window[1] * v->x.move * v->image.stride[2]));
    image = nd__k_sum(image, nd__k_at(v->x.at * v->image.stride[2]));
    kernel = nd__k_sum(kernel, nd__k_at(v->x.k * v->kernel.stride[1]));
    for (int64_t j = 0, next; j < v->x.taps; j = next) {
        int lo, hi, other_lo, other_hi;
        pixels_of(v, t, j, &lo, &hi);
        for (next = j + 1; next < v->x.taps; next++) {
            pixels_of(v, t, next, &other_lo, &other_hi);
            if (other_lo != lo || other_hi != hi)
                break;
        }
        if (lo == hi)
            continue;
        if (next == j + 1) {
            over_chain(v, t, nd__k_sum(image, nd__k_at(j * move)), nd__k_sum(kernel, nd__k_at(j * k_move)), lo, hi,
                       v->x.taps > 1, acc);
            continue;
        }
        const int n = (hi - lo) * accumulators(v, t), from = lo * accumulators(v, t);
        int32_t i = nd__k_for(&v->e.b, nd__k_at(j), nd__k_at(next), 1, n, acc + from, carried);
        memcpy(all + from, carried, (size_t)n * sizeof *carried);
        over_chain(v, t, nd__k_plus(image, i, move), nd__k_plus(kernel, i, k_move), lo, hi, false, all);
        nd__k_end_for(&v->e.b, all + from, acc + from);
    }
}

static void over_kernel_rows(conv *v, const tile *t, nd__kval *acc)
{
    nd__kbuilder *b = &v->e.b;
    const int n = t->pixels * accumulators(v, t);
    nd__kval carried[MOST_TILE], next[MOST_TILE];
    bool low, high;
    if (v->y.taps == 0 || v->x.taps == 0)
        return;
    nd__borders(&v->y, &low, &high);
    nd__kaffine image = nd__k_sum(nd__k_at(v->image.offset), nd__k_scaled(t->image, v->image.stride[0]));
    nd__kaffine kernel =
        nd__k_sum(nd__k_at(v->kernel.offset + v->y.k * v->kernel.stride[0]), nd__k_scaled(t->channel, v->along));
    image = nd__k_sum(image, nd__k_scaled(v->each ? t->channel : t->of_group, v->image.stride[3] * v->chain));
    kernel = nd__k_sum(kernel, nd__k_scaled(t->of_group, v->group));
    int32_t j = nd__k_for(b, nd__k_at(0), nd__k_at(v->y.taps), 1, n, acc, carried);
    nd__kaffine row =
        nd__k_sum(nd__k_plus(nd__k_at(v->y.at), j, v->y.at_step), nd__k_scaled(t->row, v->window[0] * v->y.move));
    image = nd__k_sum(image, nd__k_scaled(row, v->image.stride[1]));
    kernel = nd__k_plus(kernel, j, v->y.k_step * v->kernel.stride[0]);
    memcpy(next, carried, (size_t)n * sizeof *next);
    if (low || high)
        nd__k_if(b, nd__is_inside(b, row, v->y.limit, low, high));
    over_columns(v, t, image, kernel, next);
    if (low || high) {
        nd__k_else(b, n, next);
        nd__k_end_if(b, n, carried, next);
    }
    nd__k_end_for(b, next, acc);
}

/* -- tiles -----------------------------------------------------------------------------------------------------------
 */

/* The point of pixel (r, k) of image i and vector j of a tile: of the window's place too, if k is its first pixel. */
static void at_point(conv *v, const tile *t, int k, int r, int i, int j)
{
    nd__emit *e = &v->e;
    const int64_t *window = (const int64_t[]){v->window[0], v->window[1]};
    nd__kaffine row = nd__k_sum(nd__k_at(r), nd__k_scaled(t->row, window[0]));
    nd__kaffine column = nd__k_sum(nd__k_at(k), nd__k_scaled(t->q, window[1]));
    row = nd__k_sum(nd__k_at(v->y.first), nd__k_scaled(row, v->y.step));
    column = nd__k_sum(nd__k_at(v->x.first), nd__k_scaled(column, v->x.step));
    e->coord[0] = nd__k_sum(t->image, nd__k_at(i * images_step(v)));
    e->coord[v->pool ? DOWN : 1] = row;
    e->coord[v->pool ? RIGHT : 2] = column;
    if (v->pool)
        e->coord[2] = nd__k_sum(t->q, nd__k_at(k / window[1]));
    e->coord[3] = nd__k_sum(nd__k_sum(t->channel, nd__k_at(j * v->channels.lanes)), nd__k_scaled(t->of_group, v->size));
    e->count = j == t->vectors - 1 && !v->by_image ? t->last : e->lanes;
}

/* The window of image i and vector j from pixel k on: what the pool finds in it. */
static void find_maximum(conv *v, const tile *t, int k, int i, int j, const nd__kval *kept, const nd__kval *acc)
{
    nd__emit *e = &v->e;
    nd__kval state[2] = {-1, -1};
    const unsigned open = e->open;
    e->open |= 1u << DOWN | 1u << RIGHT;
    for (int n = 0; n < v->window[0] * v->window[1]; n++) {
        const int r = n / v->window[1], c = k + n % v->window[1];
        at_point(v, t, c, r, i, j);
        nd__memo_restore(e, kept);
        e->memo[v->given] = acc[((c * v->window[0] + r) * v->images + i) * t->vectors + j];
        nd__kval x = nd__emit_wide(e, v->operand);
        nd__kval number = v->max.index ? nd__k_const_bits(&e->b, nd__k_type(ND_I32, e->lanes), (uint64_t)n) : -1;
        if (n == 0) {
            state[0] = x;
            state[1] = number;
        } else {
            nd__maxima_join(&v->max, &e->b, x, number, state);
        }
    }
    e->open = open;
    nd__memo_restore(e, kept);
    nd__maxima_end(&v->max, e, state);
}

/* What depends on the channel only is computed once for each vector of the tile. */
static void finish(conv *v, const tile *t, const nd__kval *acc)
{
    nd__emit *e = &v->e;
    const unsigned outer = e->open;
    nd__kval *kept = nd__memo_keep(e), *by_vector[MOST_VECTORS];
    for (int j = 0; j < t->vectors; j++) {
        at_point(v, t, 0, 0, 0, j);
        e->open = outer | 8u;
        nd__memo_restore(e, kept);
        nd__hoist(e, 0);
        by_vector[j] = nd__memo_keep(e);
    }
    e->open = outer | 13u | (v->by_image ? 1u << ND__LANE_OF_BLOCKS : 0);
    const int count = t->pixels / v->window[1] * v->images * t->vectors;
    for (int n = 0; n < count && !v->s.failed; n++) {
        const int j = n % t->vectors, i = n / t->vectors % v->images, k = n / t->vectors / v->images * v->window[1];
        at_point(v, t, k, 0, i, j);
        if (v->pool) {
            find_maximum(v, t, k, i, j, by_vector[j], acc);
        } else {
            nd__memo_restore(e, by_vector[j]);
            e->memo[v->given] = acc[n];
        }
        nd__emit_outputs(e, 0);
    }
    e->open = outer;
    e->coord[0] = t->image;
    nd__memo_restore(e, kept);
}

static void emit_tile(conv *v, const tile *t)
{
    nd__kval acc[MOST_TILE];
    for (int i = 0; i < t->pixels * accumulators(v, t); i++)
        acc[i] = nd__k_const_bits(&v->e.b, nd__k_type(v->image.base->dtype, v->e.lanes), 0);
    over_kernel_rows(v, t, acc);
    finish(v, t, acc);
}

/* Whether all taps exist for all pixels of the tile from q on. */
static bool is_whole(const conv *v, int64_t q, int pixels)
{
    for (int64_t j = 0; j < v->x.taps; j++) {
        int64_t lo, hi;
        nd__walk_range(&v->x, j, &lo, &hi);
        if (lo > q || hi < q + pixels)
            return false;
    }
    return true;
}

/* Tiles of one row: a loop over those without a border, the others each by itself. */
static void over_row(conv *v, tile *t)
{
    const int64_t wide = v->window[1], count = v->x.count / wide, most = v->pixels / wide;
    for (int64_t q = 0; q < count;) {
        const int64_t windows = count - q < most ? count - q : most;
        int64_t end = q;
        t->pixels = (int)(windows * wide);
        while (end + windows <= count && is_whole(v, end * wide, t->pixels))
            end += windows;
        if (end > q + windows) {
            int32_t i = nd__k_for(&v->e.b, nd__k_at(q), nd__k_at(end), windows, 0, NULL, NULL);
            t->q = nd__k_plus(nd__k_at(0), i, 1);
            t->static_q = -1;
            emit_tile(v, t);
            nd__k_end_for(&v->e.b, NULL, NULL);
            q = end;
        } else {
            t->q = nd__k_at(q);
            t->static_q = q;
            emit_tile(v, t);
            q += windows;
        }
    }
}

static void over_rows(conv *v, tile *t)
{
    nd__emit *e = &v->e;
    if (v->y.count == 0 || v->x.count == 0)
        return;
    int32_t i = nd__k_for(&e->b, nd__k_at(0), nd__k_at(v->y.count / v->window[0]), 1, 0, NULL, NULL);
    t->row = nd__k_plus(nd__k_at(0), i, 1);
    e->coord[1] = nd__k_sum(nd__k_at(v->y.first), nd__k_scaled(t->row, v->y.step));
    e->open |= 2u;
    nd__kval *kept = nd__memo_keep(e);
    nd__hoist(e, 0);
    over_row(v, t);
    nd__memo_restore(e, kept);
    e->open &= ~2u;
    nd__k_end_for(&e->b, NULL, NULL);
}

static void over_channels(conv *v, tile *t)
{
    nd__emit *e = &v->e;
    const int64_t lanes = v->channels.lanes, wide = lanes * v->vectors, full = v->size - v->size % wide;
    if (full > 0) {
        int32_t j = nd__k_for(&e->b, nd__k_at(0), nd__k_at(full), wide, 0, NULL, NULL);
        t->channel = nd__k_plus(nd__k_at(0), j, 1);
        t->vectors = v->vectors;
        t->last = (int)lanes;
        over_rows(v, t);
        nd__k_end_for(&e->b, NULL, NULL);
    }
    if (full < v->size) {
        t->channel = nd__k_at(full);
        t->vectors = (int)((v->size - full + lanes - 1) / lanes);
        t->last = (int)(v->size - full) - (t->vectors - 1) * (int)lanes;
        over_rows(v, t);
    }
}

static void over_groups(conv *v)
{
    tile t = {.image = v->e.coord[0], .of_group = nd__k_at(0)};
    if (v->each || v->c.groups == 1) {
        over_channels(v, &t);
        return;
    }
    int32_t g = nd__k_for(&v->e.b, nd__k_at(0), nd__k_at(v->c.groups), 1, 0, NULL, NULL);
    t.of_group = nd__k_plus(nd__k_at(0), g, 1);
    over_channels(v, &t);
    nd__k_end_for(&v->e.b, NULL, NULL);
}

/* -- the kernel ------------------------------------------------------------------------------------------------------
 */

/* Its windows stand side by side, no row of the kernel meets a border, and one of them leaves room for a few vectors of
 * the kernel. */
bool nd__conv_keeps_windows(const nd__target *target, const nd__node *node, const nd__node *pool)
{
    const nd__window w = nd__pool_of(pool), around = nd__conv_of(node).window;
    const int64_t size = w.kernel[0] * w.kernel[1];
    const nd__walk y = nd__walk_to_places(&around, 0);
    bool low, high;
    nd__borders(&y, &low, &high);
    for (int i = 0; i < 2; i++)
        if (w.stride[i] != w.kernel[i] || w.low[i] != 0 || w.places[i] * w.kernel[i] > w.size[i] || w.places[i] == 0)
            return false;
    return !low && !high && size > 1 && size <= 9 && size + 4 <= target->vector_registers;
}

/* Past the last window of a pool no pixel counts. */
static void find_walks(conv *v, bool back, int64_t down, int64_t right)
{
    const nd__window *w = &v->c.window;
    v->y = back ? nd__walk_to_image(w, 0, down) : nd__walk_to_places(w, 0);
    v->x = back ? nd__walk_to_image(w, 1, right) : nd__walk_to_places(w, 1);
    v->y.count -= v->y.count % v->window[0];
    v->x.count -= v->x.count % v->window[1];
}

static void emit_conv(conv *v, bool back)
{
    nd__emit *e = &v->e;
    const nd__window *w = &v->c.window;
    nd__hoist(e, 0);
    nd__kval *kept = nd__memo_keep(e);
    nd__open_axis(e, 0, 0, v->s.size[0], v->images * images_step(v));
    if (v->images > 1 || v->by_image) /* what depends on the image is computed where it is one */
        e->open &= ~1u;
    nd__hoist(e, 0);
    for (int64_t i = 0; i < (back ? w->stride[0] : 1) && i < v->s.size[1]; i++)
        for (int64_t j = 0; j < (back ? w->stride[1] : 1) && j < v->s.size[2]; j++) {
            find_walks(v, back, i, j);
            over_groups(v);
        }
    nd__close_axis(e, 0);
    nd__memo_restore(e, kept);
}

/* Cycles that copying into blocks and back takes, by elements of an image and of the result. */
static double copying(const conv *v, bool back)
{
    const double each = 0.4;
    const nd_shape *image = back ? v->c.y : v->c.x, *result = back ? v->c.x : v->c.y;
    const int64_t size = nd__elements(result) / (v->window[0] * v->window[1]);
    return each * (double)(nd__elements(image) + v->s.output_count * size);
}

/* Channels in the lanes, or images: by cycles, and what each has to copy. */
static void choose_lanes(conv *v, bool back)
{
    const conv by_channel = *v;
    const double rows = (double)(v->y.count / v->window[0]) * (double)v->c.batch *
                        (back ? (double)v->c.window.stride[0] * (double)v->c.window.stride[1] : 1);
    double best = choose_tile(v) * rows;
    const conv chosen = *v;
    *v = by_channel;
    v->lanes = v->s.block->target->vector_bytes / 4;
    if (v->each || v->c.batch % v->lanes != 0 || nd_dtype_size(v->image.base->dtype) != 4 || !nd__fits_blocks(&v->s)) {
        *v = chosen;
        return;
    }
    v->by_image = true;
    v->channels = (nd__channels){.lanes = 1, .cost = 1, .vectors = v->size};
    const double other = choose_tile(v) * rows;
    if (other == 0 || (best > 0 && other + copying(v, back) > 0.95 * best))
        *v = chosen;
}

/* The windows of the pool, and the axes that they add to the domain. */
static void set_window(conv *v, int64_t *size)
{
    if (!v->pool)
        return;
    const nd__window w = nd__pool_of(v->pool);
    for (int i = 0; i < 2; i++) {
        v->window[i] = (int)w.kernel[i];
        size[DOWN + i] = w.places[i] * w.kernel[i];
    }
}

/* What the kernel itself computes. */
static void find_values(conv *v, const nd_value *result)
{
    /* Tiles have lanes along the channels even where there is one. */
    const unsigned axes = nd__axes_of(&v->s, 4) | (v->channels.lanes > 1 ? 8u : 0);
    nd__index at = nd__identity(&result->shape);
    if (!v->pool) {
        v->given = nd__expr_given(&v->s, result, axes);
        nd__know(&v->s, result, v->given);
        return;
    }
    at.at[1] = nd__lin_axis(DOWN);
    at.at[2] = nd__lin_axis(RIGHT);
    v->given = nd__expr_given(&v->s, result, (axes & 9u) | 1u << DOWN | 1u << RIGHT);
    nd__know_at(&v->s, result, &at, v->given);
    v->operand = nd__resolve(&v->s, v->pool->inputs[0], &at);
    v->max = nd__maxima_of(&v->s, v->pool, axes);
}

bool nd__lower_conv(nd__block *b, const nd__group *g, nd__steps *steps)
{
    static const int as_it_is[] = {0, 1, 2, 3}, turned[] = {0, 1, 3, 2};
    const nd__node *n = g->anchor;
    const nd_value *result = &n->results[0];
    const bool back = n->op == ND__OP_conv2d_dx;
    conv v = {.c = nd__conv_of(n), .pool = g->pool, .window = {1, 1}};
    int64_t size[RIGHT + 1] = {g->size[0], g->size[1], g->size[2], g->size[3], 1};
    if (nd__elements(&result->shape) == 0)
        return true;
    v.each = v.c.groups > 1 && v.c.in == 1 && v.c.out == 1;
    v.chain = back ? v.c.out : v.c.in;
    v.size = v.each ? v.c.groups : back ? v.c.in : v.c.out;
    v.channels = nd__channels_of(b->target, result->dtype, v.size);
    set_window(&v, size);
    nd__space_begin(&v.s, b, g, v.pool ? RIGHT + 1 : ND__LANE_OF_BLOCKS + 1, size);
    find_values(&v, result);
    nd__add_outputs(&v.s);
    find_walks(&v, back, 0, 0);
    if (!nd__find_image(b, n, 0, &v.image) || !nd__find_image(b, n, 1, &v.kernel))
        return false;
    v.chooser = nd__choose_conv(b, ND__CHOICE_CONV, &v.c, result->dtype, back ? " back" : v.pool ? " pool" : "");
    do
        choose_lanes(&v, back);
    while (v.pixels == 0 && nd__choose_anew(&v.chooser));
    nd__chosen(b, &v.chooser, (nd__choice){{v.by_image, v.images, v.pixels, v.vectors}});
    if (v.by_image ? !nd__image_to_blocks(b, back ? v.c.y : v.c.x, v.lanes, &v.image, steps) ||
                         !nd__space_to_blocks(&v.s, v.lanes, steps)
                   : !nd__turn_image(b, v.c.w, back && !v.each ? turned : as_it_is, &v.kernel, steps) ||
                         (v.each && !nd__turn_image(b, back ? v.c.y : v.c.x, as_it_is, &v.image, steps)))
        return false;
    v.along = v.kernel.stride[back && !v.each ? 2 : 3];
    v.inner = v.kernel.stride[back ? 3 : 2];
    v.group = v.each ? 0 : v.kernel.stride[3] * v.c.out;
    nd__add_image(&v.s, &v.image, (int64_t[]){v.image.stride[0], -1, -1, -1});
    nd__add_image(&v.s, &v.kernel, (int64_t[]){0, -1, -1, -1});
    nd__cut(&v.s, 0, v.images * images_step(&v), nd__conv_work(&v.s, &v.c));
    v.e = nd__emit_begin(&v.s, back ? "conv_back" : "conv");
    v.e.lanes = v.e.count = v.by_image ? v.lanes : v.channels.lanes;
    v.e.lane_axis = v.by_image ? ND__LANE_OF_BLOCKS : v.channels.lanes > 1 ? 3 : -1;
    if (!v.s.failed)
        emit_conv(&v, back);
    return nd__emit_end(&v.e, 2 * nd__elements(v.c.y) * v.c.window.kernel[0] * v.c.window.kernel[1] * v.c.in, steps) &&
           (!v.by_image || nd__space_from_blocks(&v.s, g->size, v.lanes, steps));
}
