/* Bands in kernels: what a product computes of a matrix of which a band is all that counts.
 *
 * A product's tile has rows of one of the result's axes and, in its lanes, columns of the other. A band that the
 * operand read by rows has bounds k for each row; one that the result has says which tiles are computed at all, and
 * which of their elements. */
#ifndef NADIR_SCHEDULE_BAND_H
#define NADIR_SCHEDULE_BAND_H

#include "compiler/schedule/emit.h"

typedef struct nd__bounds {
    bool of_operand, of_result; /* at most one; neither: no band */
    int64_t lower, upper;       /* of k - row, of column - row; from -most to most, */
    int64_t most;               /* which no difference of indices reaches */
} nd__bounds;

/* The band of a product with so many rows in its tiles, which are B's columns if `by_columns`. An operand's band must
 * be that of the operand read by rows. */
nd__bounds nd__bounds_of(const nd__node *product, bool by_columns);

/* How much, from 0 to 1, of `rows` by `columns` lies in tiles of so many rows and columns (of k: 1) that the band
 * meets. */
double nd__band_share(const nd__bounds *band, int64_t rows, int64_t columns, int tile_rows, int64_t tile_columns);

/* Whether the difference `at` (+ lane by lane) of indices is inside: bool of so many lanes. */
nd__kval nd__band_inside(nd__kbuilder *b, const nd__bounds *band, nd__kaffine at, int lanes, int64_t lane_stride);

#endif
