/* The gradient of a convolution by its kernel, from a gradient that came through a pool:
 *
 *   w[ky, kx, c, d] = sum over n of the sum over p, q of x[n, iy + ky, ix + kx, c] dy[n, p, q, d]
 *
 * where (iy, ix) is the place of (p, q)'s window that index[n, p, q, d] says. The elements (kx, c) of a row of the
 * kernel lie side by side in the image and in the lanes; a tile of a few rows by a few vectors for a few d is
 * accumulated in registers over the places of one image and added to the totals of these d, which lie in scratch memory
 * while an image, which stays in the cache, is used by all d. */
#include "compiler/schedule/window.h"
#include "compiler/schedule/cost.h"

enum { MOST_VECTORS = 4, MOST_CHANNELS = 3, MOST_TILE = 24 };

typedef struct pooled {
    nd__space s;
    nd__emit e;
    nd__pooled_conv c;
    nd__image x, y, index;
    int given, scratch;
    int64_t row;           /* elements (kx, c) of a row of the kernel, */
    int64_t vectors;       /* and the vectors that they fill */
    int rows, width, deep; /* of a tile; deep: channels d */
    int64_t down, right;   /* in x, from place to place of the convolution */
    nd__kaffine image, d;  /* of the loops that are open */
} pooled;

/* Accumulators lie by channel d, row ky, vector. */
typedef struct tile {
    nd__kaffine ky;
    int64_t first; /* vector */
    int rows, width, deep;
} tile;

static int lanes_in(const pooled *p, int64_t vector)
{
    const int64_t left = p->row - vector * p->e.lanes;
    return left < p->e.lanes ? (int)left : p->e.lanes;
}

static int tile_size(const tile *t)
{
    return t->rows * t->width * t->deep;
}

static int64_t vector_of(const tile *t, int i)
{
    return t->first + i % t->width;
}

static int row_of(const tile *t, int i)
{
    return i / t->width % t->rows;
}

static int channel_of(const tile *t, int i)
{
    return i / (t->width * t->rows);
}

/* Calls body for every tile of `rows` by `deep`: a loop over d, for each vector one over ky. */
static void over_tiles(pooled *p, int rows, int deep, void (*body)(pooled *p, const tile *t))
{
    int32_t d = nd__k_for(&p->e.b, nd__k_at(0), nd__k_at(p->s.size[3]), deep, 0, NULL, NULL);
    p->d = nd__k_plus(nd__k_at(0), d, 1);
    for (int64_t v = 0; v < p->vectors; v += p->width) {
        int32_t ky = nd__k_for(&p->e.b, nd__k_at(0), nd__k_at(p->c.w->dims[0]), rows, 0, NULL, NULL);
        const tile t = {.ky = nd__k_plus(nd__k_at(0), ky, 1),
                        .first = v,
                        .rows = rows,
                        .width = p->vectors - v < p->width ? (int)(p->vectors - v) : p->width,
                        .deep = deep};
        body(p, &t);
        nd__k_end_for(&p->e.b, NULL, NULL);
    }
    nd__k_end_for(&p->e.b, NULL, NULL);
}

/* Where accumulator i of a tile has its total. */
static nd__kaffine total_at(const pooled *p, const tile *t, int i)
{
    const int64_t row = p->vectors * p->e.lanes, rows = p->c.w->dims[0];
    nd__kaffine at = nd__k_sum(nd__k_scaled(p->d, rows * row), nd__k_scaled(t->ky, row));
    return nd__k_sum(at, nd__k_at((channel_of(t, i) * rows + row_of(t, i)) * row + vector_of(t, i) * p->e.lanes));
}

static void clear_totals(pooled *p, const tile *t)
{
    const nd__kval zero = nd__k_const_bits(&p->e.b, nd__k_type(p->x.base->dtype, p->e.lanes), 0);
    for (int i = 0; i < tile_size(t); i++)
        nd__k_store(&p->e.b, p->e.buffers[p->scratch], total_at(p, t, i), zero, 1, p->e.lanes);
}

static void store_totals(pooled *p, const tile *t)
{
    nd__emit *e = &p->e;
    for (int i = 0; i < tile_size(t); i++) {
        const int64_t vector = vector_of(t, i);
        e->coord[0] = nd__k_sum(t->ky, nd__k_at(row_of(t, i)));
        e->coord[e->lane_axis] = nd__k_at(vector * e->lanes); /* past the channels, kx goes on */
        e->coord[3] = nd__k_sum(p->d, nd__k_at(channel_of(t, i)));
        e->count = lanes_in(p, vector);
        e->memo[p->given] = nd__k_load(&e->b, e->buffers[p->scratch], total_at(p, t, i), e->lanes, 1, e->lanes);
        nd__emit_outputs(e, 0);
    }
}

static nd__kaffine at_place(const nd__image *image, const pooled *p, nd__kaffine py, nd__kaffine px, int d)
{
    nd__kaffine at = nd__k_sum(nd__k_at(image->offset), nd__k_scaled(p->image, image->stride[0]));
    at = nd__k_sum(at, nd__k_sum(nd__k_scaled(py, image->stride[1]), nd__k_scaled(px, image->stride[2])));
    return nd__k_sum(at, nd__k_scaled(nd__k_sum(p->d, nd__k_at(d)), image->stride[3]));
}

/* k where n is 2^k; -1: it is none. */
static int shift_of(int64_t n)
{
    for (int k = 0; k < 62; k++)
        if (n == (int64_t)1 << k)
            return k;
    return -1;
}

/* How far the place that an index says lies from its window's first, in x; past all that the window has where it says
 * none. */
static nd__kval distance(pooled *p, nd__kval index)
{
    nd__kbuilder *b = &p->e.b;
    const nd__ktype type = nd__k_type(ND_I64, 1);
    const int64_t *window = p->c.window, jump = p->down - window[1] * p->right;
    nd__kval i = nd__k_convert(b, ND_I64, index);
    nd__kval at = nd__k_op2(b, ND__K_mul, i, nd__k_const_bits(b, type, (uint64_t)p->right));
    if (window[0] > 1) { /* no choices among rows: who knows which one it is, branches to it at random */
        const int shift = shift_of(window[1]);
        nd__kval row = nd__k_op2(b, shift < 0 ? ND__K_floordiv : ND__K_shr, i,
                                 nd__k_const_bits(b, type, (uint64_t)(shift < 0 ? window[1] : shift)));
        row = nd__k_op2(b, ND__K_mul, row, nd__k_const_bits(b, type, (uint64_t)jump));
        at = nd__k_op2(b, ND__K_add, at, row);
    }
    if (p->down > (window[1] - 1) * p->right) /* rows lie apart: past the last, so does what is read */
        return at;
    nd__kval exists = nd__k_op2(b, ND__K_lt, i, nd__k_const_bits(b, type, (uint64_t)(window[0] * window[1])));
    exists = nd__k_op2(b, ND__K_and, exists, nd__k_op2(b, ND__K_le, nd__k_const_bits(b, type, 0), i));
    return nd__k_op3(b, ND__K_select, exists, at, nd__k_const_bits(b, type, (uint64_t)-1));
}

static void step(pooled *p, const tile *t, nd__kaffine py, nd__kaffine px, nd__kval *acc)
{
    nd__kbuilder *b = &p->e.b;
    const int64_t *window = p->c.window;
    const int64_t bound = (window[0] - 1) * p->down + (window[1] - 1) * p->right + 1;
    nd__kval from = -1, dy = -1;
    nd__kaffine x = nd__k_sum(nd__k_at(p->x.offset), nd__k_scaled(p->image, p->x.stride[0]));
    x = nd__k_sum(x, nd__k_scaled(py, window[0] * p->down));
    x = nd__k_sum(x, nd__k_scaled(px, window[1] * p->right));
    x = nd__k_sum(x, nd__k_scaled(t->ky, p->x.stride[1]));
    for (int i = 0; i < tile_size(t); i++) {
        const int64_t vector = vector_of(t, i);
        const int d = channel_of(t, i);
        if (i % (t->rows * t->width) == 0) {
            from = distance(p, nd__k_load(b, p->e.buffers[p->index.param], at_place(&p->index, p, py, px, d), 1, 1, 1));
            dy = nd__k_load(b, p->e.buffers[p->y.param], at_place(&p->y, p, py, px, d), 1, 1, 1);
            dy = nd__k_splat(b, dy, p->e.lanes);
        }
        nd__kaffine at = nd__k_sum(x, nd__k_at(row_of(t, i) * p->x.stride[1] + vector * p->e.lanes));
        nd__kval row = nd__k_loadx(b, p->e.buffers[p->x.param], at, from, 1, bound, p->e.lanes, 1, lanes_in(p, vector));
        acc[i] = nd__k_op3(b, ND__K_fma, row, dy, acc[i]);
    }
}

/* One image's sum, added to the total. */
static void add_image(pooled *p, const tile *t)
{
    nd__kbuilder *b = &p->e.b;
    const int n = tile_size(t);
    nd__kval acc[MOST_TILE], outer[MOST_TILE], inner[MOST_TILE];
    for (int i = 0; i < n; i++)
        acc[i] = nd__k_const_bits(b, nd__k_type(p->x.base->dtype, p->e.lanes), 0);
    int32_t py = nd__k_for(b, nd__k_at(0), nd__k_at(p->c.y->dims[1]), 1, n, acc, outer);
    int32_t px = nd__k_for(b, nd__k_at(0), nd__k_at(p->c.y->dims[2]), 1, n, outer, inner);
    step(p, t, nd__k_plus(nd__k_at(0), py, 1), nd__k_plus(nd__k_at(0), px, 1), inner);
    nd__k_end_for(b, inner, outer);
    nd__k_end_for(b, outer, acc);
    for (int i = 0; i < n; i++) {
        const nd__kaffine at = total_at(p, t, i);
        nd__kval total = nd__k_load(b, p->e.buffers[p->scratch], at, p->e.lanes, 1, p->e.lanes);
        nd__k_store(b, p->e.buffers[p->scratch], at, nd__k_op2(b, ND__K_add, total, acc[i]), 1, p->e.lanes);
    }
}

static void emit_pooled(pooled *p)
{
    p->e.open = 15u;
    over_tiles(p, 1, 1, clear_totals);
    int32_t n = nd__k_for(&p->e.b, nd__k_at(0), nd__k_at(p->c.y->dims[0]), 1, 0, NULL, NULL);
    p->image = nd__k_plus(nd__k_at(0), n, 1);
    over_tiles(p, p->rows, p->deep, add_image);
    nd__k_end_for(&p->e.b, NULL, NULL);
    over_tiles(p, 1, 1, store_totals); /* in small ones: little work, much code */
}

/* Elements (kx, c) have to lie side by side. */
static bool gather_rows(nd__block *b, nd__image *x, const nd_shape *shape, nd__steps *steps)
{
    const int64_t *size = shape->dims;
    nd__spot copy;
    if ((size[3] == 1 || x->stride[3] == 1) && x->stride[2] == size[3])
        return true;
    if (!nd__copy_view(b, x->base, x->spot, x->offset, 4, size, x->stride, &copy, steps))
        return false;
    x->spot = copy;
    x->offset = 0;
    x->count = nd__elements(shape);
    nd__strides(4, size, x->stride);
    return true;
}

/* All rows if there is room, and as many channels, so that none waits for its own chain alone. */
static void choose_tile(pooled *p)
{
    const int room = p->s.block->target->vector_registers - 3, most = room < MOST_TILE ? room : MOST_TILE;
    const int64_t rows = p->c.w->dims[0];
    p->width = p->vectors < MOST_VECTORS ? (int)p->vectors : MOST_VECTORS;
    p->rows = rows * p->width <= most ? (int)rows : 1;
    p->deep = 1;
    for (int deep = 2; deep <= MOST_CHANNELS && p->rows * p->width * deep <= most; deep++)
        if (p->s.size[3] % deep == 0)
            p->deep = deep;
}

bool nd__lower_conv_pooled(nd__block *b, const nd__group *g, nd__steps *steps)
{
    const nd__node *n = g->anchor;
    const nd_value *result = &n->results[0];
    pooled p = {.c = nd__pooled_conv_of(n), .image = nd__k_at(0)};
    if (nd__elements(&result->shape) == 0)
        return true;
    nd__space_begin(&p.s, b, g, g->rank, g->size);
    if (!nd__find_image(b, n, 0, &p.x) || !nd__find_image(b, n, 1, &p.y) || !nd__find_image(b, n, 2, &p.index) ||
        !gather_rows(b, &p.x, p.c.x, steps))
        return false;
    p.row = p.c.w->dims[1] * p.c.w->dims[2];
    const nd__channels channels = nd__channels_of(b->target, result->dtype, p.row);
    const int lanes = channels.lanes;
    p.vectors = channels.vectors;
    p.down = p.c.stride[0] * p.x.stride[1];
    p.right = p.c.stride[1] * p.x.stride[2];
    p.given = nd__expr_given(&p.s, result, 15u);
    nd__know(&p.s, result, p.given);
    nd__add_outputs(&p.s);
    nd__add_image(&p.s, &p.x, (int64_t[]){-1, -1, -1, 0});
    nd__add_image(&p.s, &p.y, (int64_t[]){-1, -1, -1, p.y.stride[3]});
    nd__add_image(&p.s, &p.index, (int64_t[]){-1, -1, -1, p.index.stride[3]});
    const int64_t flops = 2 * nd__elements(p.c.y) * p.c.w->dims[0] * p.row, totals = p.c.w->dims[0] * p.vectors * lanes;
    choose_tile(&p);
    nd__cut(&p.s, 3, p.deep, (double)flops / (2.0 * lanes * ND__CYCLES_A_MICROSECOND));
    nd__spot scratch = nd__new_buffer(b, result->dtype, p.s.size[3] * totals, "totals");
    p.scratch = nd__param_of(&p.s, scratch, result->dtype, p.s.size[3] * totals, ND__K_SCRATCH, "totals");
    p.e = nd__emit_begin(&p.s, "conv_pooled");
    p.e.lanes = p.e.count = lanes;
    p.e.lane_axis = p.c.w->dims[2] > 1 ? 2 : 1;
    if (!p.s.failed)
        emit_pooled(&p);
    return nd__emit_end(&p.e, flops, steps);
}
