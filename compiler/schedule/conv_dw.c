/* The gradient of a convolution by its kernel, and what is elementwise on it (an update).
 *
 *   w[ky, kx, c, d] = sum over n of the sum over oy, ox of x[n, iy, ix, c] y[n, oy, ox, d]
 *
 * The channels d lie in the lanes: vectors of y are loaded along them, elements of x are splat. A tile of a few columns
 * kx by a few channels c by a few vectors is accumulated in registers over all places of an image; then it is added to
 * the tile's total. At the borders each column of the kernel meets the places for which it exists. Where every channel
 * is a group by itself, the channels of x lie in the lanes too. */
#include "compiler/schedule/window.h"

#include <string.h>

enum { MOST_VECTORS = 4, MOST_TILE = 32 };

typedef struct conv {
    nd__space s;
    nd__emit e;
    nd__conv c;
    bool each; /* every channel is a group */
    nd__image x, y;
    int64_t size; /* channels that the lanes run over: of a group, of all groups where each is one */
    nd__channels channels;
    int rows, columns, deep, vectors; /* of a tile: elements ky (one or all), kx, channels c, vectors of d */
    nd__walk down, right;
    int given;
} conv;

typedef struct tile {
    nd__kaffine ky, c, d, of_group; /* ky: the first row */
    int64_t kx;                     /* the first column */
    int columns, deep, vectors, last;
} tile;

/* -- decisions -------------------------------------------------------------------------------------------------------
 */

/* Cycles of one tile for one place: as for the tiles of convolutions. */
static double tile_step(const conv *v, int64_t elements, int vectors)
{
    double cycles = (double)elements * vectors * v->channels.cost,
           loads = ((double)(v->each ? elements * vectors : elements) + vectors) * 0.5;
    cycles = cycles < loads ? loads : cycles;
    return (cycles < 4 ? 4 : cycles) + 0.5;
}

static double tiles_cycles(const conv *v, int rows, int columns, int deep, int vectors)
{
    const int64_t kernel = v->c.window.kernel[1], in = v->c.in, all = v->channels.vectors;
    double cycles = 0;
    for (int edge = 0; edge < 8; edge++) {
        const int64_t k = edge & 1 ? kernel % columns : columns, c = edge & 2 ? in % deep : deep,
                      w = edge & 4 ? all % vectors : vectors;
        const int64_t count =
            (edge & 1 ? 1 : kernel / columns) * (edge & 2 ? 1 : in / deep) * (edge & 4 ? 1 : all / vectors);
        if (k > 0 && c > 0 && w > 0)
            cycles += (double)count * tile_step(v, rows * k * c, (int)w);
    }
    return cycles * (double)(v->c.window.kernel[0] / rows);
}

/* Whether two threads can have the same number of tiles: worth a little. */
static bool is_even(const conv *v, int deep, int vectors)
{
    return v->c.in % (2 * deep) == 0 || v->channels.vectors % (2 * vectors) == 0;
}

static void choose_tile(conv *v, const nd__chooser *c)
{
    const nd__target *target = v->s.block->target;
    const int room = target->vector_registers - 1 - (target->vector_bytes < 64 ? 1 : 0);
    const int64_t kernel[] = {v->c.window.kernel[0], v->c.window.kernel[1]};
    double best = 0;
    for (int rows = 1; rows <= MOST_TILE && rows <= kernel[0];
         rows = rows == 1 && kernel[0] > 1 ? (int)kernel[0] : MOST_TILE + 1)
        for (int vectors = 1; vectors <= MOST_VECTORS && vectors <= v->channels.vectors; vectors++)
            for (int columns = 1; columns <= MOST_TILE && columns <= kernel[1]; columns++)
                for (int deep = 1; deep <= MOST_TILE && deep <= v->c.in; deep++) {
                    if (rows * columns * deep * vectors + vectors > room)
                        break;
                    double cycles =
                        tiles_cycles(v, rows, columns, deep, vectors) * (is_even(v, deep, vectors) ? 1 : 1.03);
                    if (!nd__may_take(c, (nd__choice){{rows, columns, deep, vectors}}, cycles))
                        continue;
                    if (best == 0 || cycles < best * 0.99) {
                        best = cycles;
                        v->rows = rows;
                        v->columns = columns;
                        v->deep = deep;
                        v->vectors = vectors;
                    }
                }
}

/* Chunks: channels of the image, of the places, or rows of the kernel; those only where none of them meets a border,
 * and groups stay together. */
static void cut(conv *v)
{
    const bool groups = !v->each && v->c.groups > 1;
    bool low, high;
    nd__borders(&v->down, &low, &high);
    const int64_t down = low || high ? -1 : v->down.at_step * v->x.stride[1], across = groups ? -1 : v->y.stride[3];
    nd__add_image(&v->s, &v->x, (int64_t[]){down, -1, v->x.stride[3], groups ? -1 : v->each ? v->x.stride[3] : 0});
    nd__add_image(&v->s, &v->y, (int64_t[]){0, -1, 0, across});
    const int64_t unit[] = {v->rows, 0, v->deep, (int64_t)v->channels.lanes * v->vectors};
    const double work = nd__conv_work(&v->s, &v->c);
    if (!nd__cut(&v->s, 2, unit[2], work) && !nd__cut(&v->s, 3, unit[3], work))
        nd__cut(&v->s, 0, unit[0], work);
    if (!groups)
        v->size = v->s.size[3];
}

/* -- accumulators -----------------------------------------------------------------------------------------------------
 */

static int tile_size(const conv *v, const tile *t)
{
    return v->rows * t->columns * t->deep * t->vectors;
}

/* The part of a tile that exists at some place: rows and columns from lo to below hi. */
typedef struct part {
    int64_t lo[2], hi[2];
} part;

/* The numbers of the part's accumulators, which lie by row, column, channel, vector. Gives how many they are. */
static int numbers_of(const tile *t, const part *p, int *numbers)
{
    int n = 0;
    for (int r = (int)p->lo[0]; r < p->hi[0]; r++)
        for (int k = (int)p->lo[1]; k < p->hi[1]; k++)
            for (int i = 0; i < t->deep * t->vectors; i++)
                numbers[n++] = (r * t->columns + k) * t->deep * t->vectors + i;
    return n;
}

/* -- one image -------------------------------------------------------------------------------------------------------
 */

static nd__kval load_lanes(conv *v, const nd__image *from, nd__kaffine at, int count)
{
    const int lanes = v->e.lanes;
    return nd__k_load(&v->e.b, v->e.buffers[from->param], at, lanes, lanes == 1 ? 1 : from->stride[3], count);
}

/* One place. `x` is the element that the first row's first column of all would read. */
static void step(conv *v, const tile *t, nd__kaffine x, nd__kaffine y, const part *p, nd__kval *acc)
{
    nd__kbuilder *b = &v->e.b;
    nd__kval along[MOST_VECTORS];
    int numbers[MOST_TILE];
    const int lanes = v->e.lanes, n = numbers_of(t, p, numbers);
    const int64_t down = v->down.at_step * v->x.stride[1], right = v->right.at_step * v->x.stride[2];
    for (int j = 0; j < t->vectors; j++)
        along[j] = load_lanes(v, &v->y, nd__k_sum(y, nd__k_at(j * lanes * v->y.stride[3])),
                              j == t->vectors - 1 ? t->last : lanes);
    for (int i = 0; i < n; i += t->vectors) {
        const int element = numbers[i] / t->vectors, c = element % t->deep, k = element / t->deep % t->columns,
                  r = element / t->deep / t->columns;
        nd__kaffine at = nd__k_sum(x, nd__k_at(r * down + (t->kx + k) * right + c * v->x.stride[3]));
        nd__kval one = v->each ? -1 : nd__k_splat(b, nd__k_load(b, v->e.buffers[v->x.param], at, 1, 1, 1), lanes);
        for (int j = 0; j < t->vectors; j++) {
            nd__kval *to = &acc[numbers[i] + j];
            if (v->each)
                one = load_lanes(v, &v->x, nd__k_sum(at, nd__k_at(j * lanes * v->x.stride[3])),
                                 j == t->vectors - 1 ? t->last : lanes);
            *to = nd__k_op3(b, ND__K_fma, one, along[j], *to);
        }
    }
}

/* One row of places. */
static void over_row(conv *v, const tile *t, nd__kaffine x, nd__kaffine y, part p, nd__kval *acc)
{
    nd__kval some[MOST_TILE], all[MOST_TILE];
    int numbers[MOST_TILE];
    const int64_t move = v->right.move * v->x.stride[2];
    x = nd__k_sum(x, nd__k_at(v->right.at * v->x.stride[2]));
    for (int64_t q = 0, until; q < v->right.count; q = until) {
        until = nd__walk_taps(&v->right, t->kx, t->columns, q, &p.lo[1], &p.hi[1]);
        const int n = numbers_of(t, &p, numbers);
        if (n == 0)
            continue;
        if (until == q + 1) {
            step(v, t, nd__k_sum(x, nd__k_at(q * move)), nd__k_sum(y, nd__k_at(q * v->y.stride[2])), &p, acc);
            continue;
        }
        for (int i = 0; i < n; i++)
            some[i] = acc[numbers[i]];
        int32_t at = nd__k_for(&v->e.b, nd__k_at(q), nd__k_at(until), 1, n, some, some);
        for (int i = 0; i < n; i++)
            all[numbers[i]] = some[i];
        step(v, t, nd__k_plus(x, at, move), nd__k_plus(y, at, v->y.stride[2]), &p, all);
        for (int i = 0; i < n; i++)
            some[i] = all[numbers[i]];
        nd__k_end_for(&v->e.b, some, some);
        for (int i = 0; i < n; i++)
            acc[numbers[i]] = some[i];
    }
}

/* All places of one image, for a tile of one row of the kernel: a branch passes over rows outside the image. */
static void over_places(conv *v, const tile *t, nd__kaffine x, nd__kaffine y, nd__kval *acc)
{
    nd__kbuilder *b = &v->e.b;
    const int n = tile_size(v, t);
    nd__kval carried[MOST_TILE], next[MOST_TILE];
    bool low, high;
    nd__borders(&v->down, &low, &high);
    int32_t i = nd__k_for(b, nd__k_at(0), nd__k_at(v->down.count), 1, n, acc, carried);
    nd__kaffine row =
        nd__k_sum(nd__k_plus(nd__k_at(v->down.at), i, v->down.move), nd__k_scaled(t->ky, v->down.at_step));
    x = nd__k_sum(x, nd__k_scaled(row, v->x.stride[1]));
    y = nd__k_plus(y, i, v->y.stride[1]);
    memcpy(next, carried, (size_t)n * sizeof *next);
    if (low || high)
        nd__k_if(b, nd__is_inside(b, row, v->down.limit, low, high));
    over_row(v, t, x, y, (part){{0, 0}, {1, 0}}, next);
    if (low || high) {
        nd__k_else(b, n, next);
        nd__k_end_if(b, n, carried, next);
    }
    nd__k_end_for(b, next, acc);
}

/* The same for a tile of all rows of the kernel: places for which the same rows exist are a loop. */
static void over_all_rows(conv *v, const tile *t, nd__kaffine x, nd__kaffine y, nd__kval *acc)
{
    nd__kbuilder *b = &v->e.b;
    const int n = tile_size(v, t);
    nd__kval carried[MOST_TILE];
    x = nd__k_sum(x, nd__k_at(v->down.at * v->x.stride[1]));
    for (int64_t q = 0, until; q < v->down.count; q = until) {
        part p = {{0, 0}, {0, 0}};
        until = nd__walk_taps(&v->down, 0, v->rows, q, &p.lo[0], &p.hi[0]);
        if (p.lo[0] == p.hi[0])
            continue;
        int32_t i = nd__k_for(b, nd__k_at(q), nd__k_at(until), 1, n, acc, carried);
        over_row(v, t, nd__k_plus(x, i, v->down.move * v->x.stride[1]), nd__k_plus(y, i, v->y.stride[1]), p, carried);
        nd__k_end_for(b, carried, acc);
    }
}

static void over_image(conv *v, const tile *t, nd__kaffine image, nd__kval *acc)
{
    nd__kaffine x = nd__k_sum(nd__k_at(v->x.offset), nd__k_scaled(image, v->x.stride[0]));
    nd__kaffine y = nd__k_sum(nd__k_at(v->y.offset), nd__k_scaled(image, v->y.stride[0]));
    x = nd__k_sum(x, nd__k_scaled(v->each ? t->d : t->c, v->x.stride[3]));
    x = nd__k_sum(x, nd__k_scaled(t->of_group, v->c.in * v->x.stride[3]));
    y = nd__k_sum(y, nd__k_scaled(t->d, v->y.stride[3]));
    y = nd__k_sum(y, nd__k_scaled(t->of_group, v->c.out * v->y.stride[3]));
    if (v->rows > 1)
        over_all_rows(v, t, x, y, acc);
    else
        over_places(v, t, x, y, acc);
}

/* -- tiles ------------------------------------------------------------------------------------------------------------
 */

/* The point of accumulator i of a tile. */
static void at_point(conv *v, const tile *t, int i)
{
    nd__emit *e = &v->e;
    const int j = i % t->vectors, c = i / t->vectors % t->deep, element = i / t->vectors / t->deep;
    e->coord[0] = nd__k_sum(t->ky, nd__k_at(element / t->columns));
    e->coord[1] = nd__k_at(t->kx + element % t->columns);
    e->coord[2] = nd__k_sum(t->c, nd__k_at(c));
    e->coord[3] = nd__k_sum(nd__k_sum(t->d, nd__k_at(j * e->lanes)), nd__k_scaled(t->of_group, v->size));
    e->count = j == t->vectors - 1 ? t->last : e->lanes;
}

static void emit_tile(conv *v, const tile *t)
{
    nd__emit *e = &v->e;
    nd__kbuilder *b = &e->b;
    const int n = tile_size(v, t);
    nd__kval total[MOST_TILE], carried[MOST_TILE], acc[MOST_TILE];
    const nd__kval zero = nd__k_const_bits(b, nd__k_type(v->x.base->dtype, e->lanes), 0);
    for (int i = 0; i < n; i++)
        total[i] = acc[i] = zero;
    int32_t image = nd__k_for(b, nd__k_at(0), nd__k_at(v->c.batch), 1, n, total, carried);
    over_image(v, t, nd__k_plus(nd__k_at(0), image, 1), acc);
    for (int i = 0; i < n; i++)
        carried[i] = nd__k_op2(b, ND__K_add, carried[i], acc[i]);
    nd__k_end_for(b, carried, total);
    nd__kval *kept = nd__memo_keep(e);
    const unsigned outer = e->open;
    e->open |= 15u;
    for (int i = 0; i < n && !v->s.failed; i++) {
        at_point(v, t, i);
        nd__memo_restore(e, kept);
        e->memo[v->given] = total[i];
        nd__emit_outputs(e, 0);
    }
    e->open = outer;
    nd__memo_restore(e, kept);
}

static void over_vectors(conv *v, tile *t)
{
    nd__emit *e = &v->e;
    const int64_t wide = (int64_t)e->lanes * v->vectors, full = v->size - v->size % wide;
    if (full > 0) {
        int32_t j = nd__k_for(&e->b, nd__k_at(0), nd__k_at(full), wide, 0, NULL, NULL);
        t->d = nd__k_plus(nd__k_at(0), j, 1);
        t->vectors = v->vectors;
        t->last = e->lanes;
        emit_tile(v, t);
        nd__k_end_for(&e->b, NULL, NULL);
    }
    if (full < v->size) {
        t->d = nd__k_at(full);
        t->vectors = (int)((v->size - full + e->lanes - 1) / e->lanes);
        t->last = (int)(v->size - full) - (t->vectors - 1) * e->lanes;
        emit_tile(v, t);
    }
}

static void over_depth(conv *v, tile *t)
{
    const int64_t in = v->s.size[2], full = in - in % v->deep;
    if (full > 0) {
        int32_t c = nd__k_for(&v->e.b, nd__k_at(0), nd__k_at(full), v->deep, 0, NULL, NULL);
        t->c = nd__k_plus(nd__k_at(0), c, 1);
        t->deep = v->deep;
        over_vectors(v, t);
        nd__k_end_for(&v->e.b, NULL, NULL);
    }
    if (full < in) {
        t->c = nd__k_at(full);
        t->deep = (int)(in - full);
        over_vectors(v, t);
    }
}

static void over_kernel(conv *v)
{
    nd__kbuilder *b = &v->e.b;
    tile t = {.of_group = nd__k_at(0)};
    const bool groups = !v->each && v->c.groups > 1;
    const int64_t columns = v->c.window.kernel[1];
    nd__hoist(&v->e, 0);
    if (groups) {
        int32_t g = nd__k_for(b, nd__k_at(0), nd__k_at(v->c.groups), 1, 0, NULL, NULL);
        t.of_group = nd__k_plus(nd__k_at(0), g, 1);
    }
    int32_t ky = nd__k_for(b, nd__k_at(0), nd__k_at(v->s.size[0]), v->rows, 0, NULL, NULL);
    t.ky = nd__k_plus(nd__k_at(0), ky, 1);
    for (t.kx = 0; t.kx < columns; t.kx += t.columns) {
        t.columns = columns - t.kx < v->columns ? (int)(columns - t.kx) : v->columns;
        over_depth(v, &t);
    }
    nd__k_end_for(b, NULL, NULL);
    if (groups)
        nd__k_end_for(b, NULL, NULL);
}

bool nd__lower_conv_dw(nd__block *b, const nd__group *g, nd__steps *steps)
{
    static const int as_it_is[] = {0, 1, 2, 3};
    const nd__node *n = g->anchor;
    const nd_value *result = &n->results[0];
    conv v = {.c = nd__conv_of(n)};
    if (nd__elements(&result->shape) == 0)
        return true;
    v.each = v.c.groups > 1 && v.c.in == 1 && v.c.out == 1;
    v.size = v.each ? v.c.groups : v.c.out;
    v.channels = nd__channels_of(b->target, result->dtype, v.size);
    v.down = nd__walk_to_places(&v.c.window, 0);
    v.right = nd__walk_to_places(&v.c.window, 1);
    nd__space_begin(&v.s, b, g, g->rank, g->size);
    if (!nd__find_image(b, n, 0, &v.x) || !nd__find_image(b, n, 1, &v.y) ||
        !nd__turn_image(b, v.c.y, as_it_is, &v.y, steps) ||
        (v.each && !nd__turn_image(b, v.c.x, as_it_is, &v.x, steps)))
        return false;
    const nd__chooser c = nd__choose_conv(b, ND__CHOICE_CONV_DW, &v.c, result->dtype, "");
    do
        choose_tile(&v, &c);
    while (v.rows == 0 && nd__choose_anew(&c));
    nd__chosen(b, &c, (nd__choice){{v.rows, v.columns, v.deep, v.vectors}});
    /* Tiles have lanes along the channels even where there is one. */
    v.given = nd__expr_given(&v.s, result, nd__axes_of(&v.s, 4) | (v.channels.lanes > 1 ? 8u : 0));
    nd__know(&v.s, result, v.given);
    nd__add_outputs(&v.s);
    cut(&v);
    v.e = nd__emit_begin(&v.s, "conv_kernel");
    v.e.lanes = v.e.count = v.channels.lanes;
    v.e.lane_axis = v.channels.lanes > 1 ? 3 : -1;
    if (!v.s.failed)
        over_kernel(&v);
    return nd__emit_end(&v.e, 2 * nd__elements(v.c.y) * v.c.window.kernel[0] * v.c.window.kernel[1] * v.c.in, steps);
}
