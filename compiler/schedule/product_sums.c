/* The sums of a product's tile, one fma after another for ascending k, in registers: over all of k, or over what a band
 * leaves of it. */
#include "compiler/schedule/product.h"

nd__kaffine nd__factor_at(const nd__matmul *p, const nd__factor *o)
{
    nd__kaffine at = nd__k_at(o->offset);
    for (int d = 0; d < p->rank - 2; d++)
        at = nd__k_sum(at, nd__k_scaled(p->e.coord[d], o->lead[d]));
    return at;
}

/* A tile while it is accumulated. */
typedef struct running {
    nd__matmul *p;
    nd__kaffine row, column, scalars, vectors; /* operands at k = 0 */
    int rows, width, last;                     /* width: vectors */
} running;

/* One k of rows `from` to below `until`; `masked`: of those of them that the band lets have it. */
static void step(const running *t, nd__kaffine k, int from, int until, bool masked, nd__kval *acc)
{
    const nd__matmul *p = t->p;
    const nd__emit *e = &p->e;
    nd__kbuilder *b = &t->p->e.b;
    nd__kval x[ND__TILE_VECTORS];
    nd__kaffine v = nd__k_sum(t->vectors, nd__k_scaled(k, p->vectors.inner));
    nd__kaffine s = nd__k_sum(t->scalars, nd__k_scaled(k, p->scalars.inner));
    for (int j = 0; j < t->width; j++)
        x[j] = nd__k_load(b, e->buffers[p->vectors.param], nd__k_sum(v, nd__k_at(j * e->lanes * p->vectors.along)),
                          e->lanes, p->vectors.along, j == t->width - 1 ? t->last : e->lanes);
    if (!masked && until - from == t->rows)
        nd__fetch_strip(t->p, s, t->rows);
    for (int r = from; r < until; r++) {
        nd__kaffine at = nd__k_sum(s, nd__k_at(r * p->scalars.along));
        nd__kval one = nd__k_load(b, e->buffers[p->scalars.param], at, 1, 1, 1), all = nd__k_splat(b, one, e->lanes);
        nd__kaffine ahead = nd__k_sum(k, nd__k_scaled(nd__k_sum(t->row, nd__k_at(r)), -1));
        nd__kval inside = masked ? nd__k_splat(b, nd__band_inside(b, &p->band, ahead, 1, 0), e->lanes) : -1;
        for (int j = 0; j < t->width; j++) {
            nd__kval *to = &acc[r * t->width + j], sum = nd__k_op3(b, ND__K_fma, all, x[j], *to);
            *to = masked ? nd__k_op3(b, ND__K_select, inside, sum, *to) : sum;
        }
    }
}

/* k from lo to below hi, as far as they exist. lo and hi are numbers, or move with the row. */
static void loop_over(const running *t, nd__kaffine lo, nd__kaffine hi, bool masked, nd__kval *acc)
{
    nd__kbuilder *b = &t->p->e.b;
    nd__kval carried[ND__TILE_ROWS * ND__TILE_VECTORS];
    const int n = t->rows * t->width;
    const int64_t depth = t->p->depth, last_row = t->p->s.size[t->p->row_axis] - t->rows;
    const int64_t highest = hi.count ? last_row + hi.constant - t->row.constant : hi.constant;
    if (lo.count == 0 && lo.constant < 0)
        lo = nd__k_at(0);
    if (hi.count == 0 && hi.constant > depth)
        hi = nd__k_at(depth);
    int32_t k = nd__k_for_within(b, lo, hi, lo.constant < 0 ? 0 : INT64_MIN, highest > depth ? depth : INT64_MAX, 1, n,
                                 acc, carried);
    step(t, nd__k_plus(nd__k_at(0), k, 1), 0, t->rows, masked, carried);
    nd__k_end_for(b, carried, acc);
}

static void fetch_row(const running *t, int32_t row)
{
    const int64_t columns = (int64_t)(t->width - 1) * t->p->e.lanes + t->last;
    nd__fetch_row(t->p, nd__k_plus(t->row, row, 1), t->column, columns);
}

static void fetch_rows(const running *t)
{
    int32_t r = nd__k_for(&t->p->e.b, nd__k_at(0), nd__k_at(t->rows), 1, 0, NULL, NULL);
    fetch_row(t, r);
    nd__k_end_for(&t->p->e.b, NULL, NULL);
}

/* All of k in as many parts as there are rows, one of which is fetched before each: the lines of all rows at once would
 * take the places for misses that the sums' own loads need. */
static void over_parts(const running *t, nd__kval *acc)
{
    nd__kbuilder *b = &t->p->e.b;
    nd__kval carried[ND__TILE_ROWS * ND__TILE_VECTORS], inner[ND__TILE_ROWS * ND__TILE_VECTORS];
    const int n = t->rows * t->width;
    const int64_t depth = t->p->depth, part = (depth + t->rows - 1) / t->rows;
    int32_t r = nd__k_for(b, nd__k_at(0), nd__k_at(t->rows), 1, n, acc, carried);
    fetch_row(t, r);
    nd__kaffine lo = nd__k_plus(nd__k_at(0), r, part);
    int32_t k = nd__k_for_within(b, lo, nd__k_sum(lo, nd__k_at(part)), INT64_MIN,
                                 part * t->rows > depth ? depth : INT64_MAX, 1, n, carried, inner);
    step(t, nd__k_plus(nd__k_at(0), k, 1), 0, t->rows, false, inner);
    nd__k_end_for(b, inner, carried);
    nd__k_end_for(b, carried, acc);
}

/* The steps at one end of a band, which some of the rows have: the first rows where it begins, the last where it ends.
 * `from`: of the first of them, from the tile's row. */
static void over_edge(const running *t, int64_t from, bool begins, nd__kval *acc)
{
    const nd__matmul *p = t->p;
    nd__kaffine k = nd__k_sum(t->row, nd__k_at(from));
    if (from < 0 || p->s.size[p->row_axis] - 2 + from >= p->depth) { /* some may not exist */
        loop_over(t, k, nd__k_sum(k, nd__k_at(t->rows - 1)), true, acc);
        return;
    }
    for (int i = 0; i < t->rows - 1; i++)
        step(t, nd__k_sum(k, nd__k_at(i)), begins ? 0 : i + 1, begins ? i + 1 : t->rows, false, acc);
}

/* Of a band, k from where the first row begins to where the last one ends. */
static void over_band(const running *t, nd__kval *acc)
{
    const nd__matmul *p = t->p;
    const nd__bounds *band = &p->band;
    const int64_t most = p->s.size[p->row_axis] - 1; /* the last row */
    const bool begins = most + band->lower > 0, ends = band->upper + 1 < p->depth;
    nd__kaffine lo = begins ? nd__k_sum(t->row, nd__k_at(band->lower)) : nd__k_at(0);
    nd__kaffine hi = ends ? nd__k_sum(t->row, nd__k_at(band->upper + t->rows)) : nd__k_at(p->depth);
    if (begins && ends && band->upper - band->lower < t->rows) {
        loop_over(t, lo, hi, true, acc);
        return;
    }
    if (begins) {
        over_edge(t, band->lower, true, acc);
        lo = nd__k_sum(lo, nd__k_at(t->rows - 1));
    }
    if (ends)
        hi = nd__k_sum(hi, nd__k_at(1 - t->rows));
    loop_over(t, lo, hi, false, acc);
    if (ends)
        over_edge(t, band->upper + 1, false, acc);
}

/* Accumulates a tile over k. */
static void sum_all(nd__matmul *p, nd__kaffine row, nd__kaffine column, int rows, int vectors, int last, nd__kval *acc)
{
    const running t = {.p = p,
                       .row = row,
                       .column = column,
                       .scalars = nd__k_sum(nd__factor_at(p, &p->scalars), nd__k_scaled(row, p->scalars.along)),
                       .vectors = nd__k_sum(nd__factor_at(p, &p->vectors), nd__k_scaled(column, p->vectors.along)),
                       .rows = rows,
                       .width = vectors,
                       .last = last};
    nd__kval zero = nd__k_const_bits(&p->e.b, nd__k_type(p->node->results[0].dtype, p->e.lanes), 0);
    for (int i = 0; i < rows * vectors; i++)
        acc[i] = zero;
    const bool fetches = nd__fetches_rows(p);
    if (p->band.of_operand && fetches)
        fetch_rows(&t);
    if (p->band.of_operand)
        over_band(&t, acc);
    else if (fetches)
        over_parts(&t, acc);
    else
        loop_over(&t, nd__k_at(0), nd__k_at(p->depth), false, acc);
}

/* A tile of a result that has a band: computed if some of it is inside, and 0 outside. */
static void sum_inside(nd__matmul *p, nd__kaffine row, nd__kaffine column, int rows, int vectors, int last,
                       nd__kval *acc)
{
    nd__kbuilder *b = &p->e.b;
    const int lanes = p->e.lanes, n = rows * vectors;
    const int64_t columns = (int64_t)(vectors - 1) * lanes + last;
    nd__kaffine ahead = nd__k_sum(column, nd__k_scaled(row, -1));
    /* Of any row and column: between the first of one and the last of the other. */
    nd__bounds some = p->band;
    some.lower -= columns - 1;
    some.upper += rows - 1;
    nd__kval zero[ND__TILE_ROWS * ND__TILE_VECTORS];
    nd__k_if(b, nd__band_inside(b, &some, ahead, 1, 0));
    sum_all(p, row, column, rows, vectors, last, acc);
    for (int v = 0; v < vectors; v++)
        for (int r = 0; r < rows; r++) {
            nd__kval *x = &acc[r * vectors + v];
            nd__kval inside = nd__band_inside(b, &p->band, nd__k_sum(ahead, nd__k_at(v * lanes - r)), lanes, 1);
            zero[r * vectors + v] = nd__k_const_bits(b, nd__k_type(p->node->results[0].dtype, lanes), 0);
            *x = nd__k_op3(b, ND__K_select, inside, *x, zero[r * vectors + v]);
        }
    nd__k_else(b, n, acc);
    nd__k_end_if(b, n, zero, acc);
}

void nd__sum_tile(nd__matmul *p, nd__kaffine row, nd__kaffine column, int rows, int vectors, int last, nd__kval *acc)
{
    if (p->band.of_result)
        sum_inside(p, row, column, rows, vectors, last, acc);
    else
        sum_all(p, row, column, rows, vectors, last, acc);
}
