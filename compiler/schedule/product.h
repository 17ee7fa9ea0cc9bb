/* What the files of products share: product.c, which decides and walks the tiles, product_sums.c, which sums one,
 * product_columns.c, which sums columns of what is made of them, product_fetch.c, which brings nearer what comes next,
 * and product_dot.c, which has products of few long rows. */
#ifndef NADIR_SCHEDULE_PRODUCT_H
#define NADIR_SCHEDULE_PRODUCT_H

#include "compiler/schedule/band.h"
#include "compiler/schedule/epilogue.h"

enum { ND__TILE_ROWS = 16, ND__TILE_VECTORS = 4 }; /* a tile has at most */

/* An operand as the kernel walks it: element strides along its result axis, k, and the leading axes. */
typedef struct nd__factor {
    const nd_value *base;
    nd__spot spot;
    int64_t offset, along, inner, lead[ND_MAX_RANK], count;
    int param;
} nd__factor;

/* What is decided about a product's shape. */
typedef struct nd__tiling {
    int rows, vectors; /* of a tile */
    double cycles;
} nd__tiling;

/* A product in the making. */
typedef struct nd__matmul {
    nd__space s;
    nd__emit e;
    const nd__node *node;
    int rank, row_axis, lane_axis; /* of the result */
    int64_t depth;                 /* the length of k */
    nd__factor scalars, vectors;
    nd__bounds band;
    nd__chooser chooser;
    nd__tiling tile;
    bool by_panels;     /* panels of columns come first, not strips of rows */
    int given, scratch; /* the expression of the product itself; memory for a tile of it, -1: none */
    nd__column_sum *sums;
    int sum_count;
    nd__kaffine block; /* of rows whose sums are being made: its number */
} nd__matmul;

/* The columns of a panel, or all. */
typedef struct nd__panel {
    nd__kaffine column;
    int vectors, last; /* lanes of the last vector that exist */
} nd__panel;

/* Where an operand's element is at the point of the leading axes, with 0 for its row, or column, and k. */
nd__kaffine nd__factor_at(const nd__matmul *p, const nd__factor *o);

/* The sums over k of a tile from (row, column) on: of each of `rows` rows, `vectors` vectors, the last with `last`
 * lanes that exist. acc[row * vectors + vector]. */
void nd__sum_tile(nd__matmul *p, nd__kaffine row, nd__kaffine column, int rows, int vectors, int last, nd__kval *acc);

/* While a tile is summed: brings what follows the sums reads and writes of a row of it nearer, if that is worth it. */
bool nd__fetches_rows(const nd__matmul *p);
void nd__fetch_row(nd__matmul *p, nd__kaffine row, nd__kaffine column, int64_t columns);
/* While one is: what the next strips want of the scalar operand, which is at `at` and in the rows after it. */
void nd__fetch_strip(nd__matmul *p, nd__kaffine at, int rows);

/* Sums of the columns of blocks of rows (product_columns.c): finds what is summed, when outputs are there; after the
 * kernel was cut into chunks; the block's sums begin, of a panel's columns or (NULL) all; where those of column 0 lie.
 */
void nd__find_column_sums(nd__matmul *p);
void nd__cut_column_sums(nd__matmul *p);
void nd__begin_column_sums(nd__matmul *p, const nd__panel *of);
nd__kaffine nd__column_sums_at(const nd__matmul *p);

/* All elements of a product with k in the lanes, and what follows them. */
void nd__dot(nd__matmul *p);

#endif
