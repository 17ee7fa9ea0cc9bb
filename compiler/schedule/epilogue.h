/* Epilogues: what follows a product, computed from a tile of it and stored. */
#ifndef NADIR_SCHEDULE_EPILOGUE_H
#define NADIR_SCHEDULE_EPILOGUE_H

#include "compiler/schedule/emit.h"

/* A sum of each column of what follows the product, made in memory, row by row (product_columns.c). */
typedef struct nd__column_sum {
    const nd__node *node;
    int operand, param; /* the expression that is summed; where the sums lie */
} nd__column_sum;

/* A tile of accumulators, `rows` by `vectors` registers, of whose last column of registers only `last` lanes exist. */
typedef struct nd__tile {
    nd__kaffine row, column; /* where it begins */
    int row_axis, lane_axis; /* of the domain; row_axis -1: it has no rows, and `scratch` is there */
    int rows, vectors, last;
    int given;   /* the expression that the accumulators are */
    int scratch; /* the parameter that holds them while a long epilogue passes over them; -1: it is short */
    const nd__column_sum *sums;
    int sum_count;
    nd__kaffine sums_at; /* where those of column 0 lie that the tile's rows are added to */
} nd__tile;

/* Memory for tiles of that many registers, if the epilogue is too long to be written down for each of them; else -1.
 * After the outputs are there, before the kernel is begun. */
int nd__epilogue_scratch(nd__space *s, nd_dtype dtype, int registers, int lanes);
/* Computes and stores the outputs of a tile. */
void nd__finish_tile(nd__emit *e, const nd__tile *t, const nd__kval *acc);

#endif
