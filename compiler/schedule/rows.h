/* What the files of rows share: rows.c, which has the kernel and its passes, rows_long.c, rows_short.c and parts.c. */
#ifndef NADIR_SCHEDULE_ROWS_H
#define NADIR_SCHEDULE_ROWS_H

#include "compiler/schedule/emit.h"

#include <limits.h>

enum {
    ND__AFTER_ROW = INT_MAX,  /* the stage of what has one element a row: stored when all passes are done */
    ND__TURNED = INT_MAX - 1, /* and of what is turned on its way to memory, then too */
    ND__ROW_PARTS = 16,       /* registers that 32 lanes take, at most */
    ND__MOST_ABREAST = 2,     /* long rows that are walked together */
};

/* A sum of another group, the blocks of which are summed here. */
typedef struct nd__row_part {
    const nd__node *node;
    nd__parts parts;
    int operand;      /* expression */
    int param, lanes; /* of the blocks' sums; of the 32 lanes that are kept from row to row, -1: none are */
    int pass;
} nd__row_part;

typedef struct nd__row_reduction {
    const nd__node *node;
    int operand, given; /* expressions */
    int pass;
    const nd__row_part *part; /* its blocks are what is wanted; nothing is given. NULL: a reduction of the row */
} nd__row_reduction;

typedef struct nd__rows {
    nd__space s;
    nd__emit e;
    int axis; /* the row's */
    int64_t length;
    nd__row_reduction *reductions;
    int count, passes;
    nd__row_part *parts;
    int part_count;
    int64_t block_rows,
        lane_rows;      /* of the first axis: that a block has, and that share lanes within it; 0: no blocks */
    nd__kaffine block;  /* the number of the one that is being written */
    bool *keep;         /* by expression: stays in scratch for later passes */
    bool *turned;       /* by expression: is loaded into scratch before all passes, in blocks that are transposed */
    int *scratch;       /* by expression: its parameter */
    int *since, *until; /* by expression: the first pass that wants it; the last that loads it from scratch */
    int longest;        /* the pass that computes most */
    bool long_rows;
    int abreast, row;  /* long rows that are walked together, the one of them that is being written; 1, 0 of others */
    nd__kaffine first; /* the first of them, */
    nd__kval *memos[ND__MOST_ABREAST];               /* and what is known of each */
    const nd__row_reduction **found;                 /* of the pass that is being written */
    nd__kval *acc, *carried, *total, *total_carried; /* of them: by reduction, and by register */
} nd__rows;

/* Whether an expression changes along the row. */
static inline bool nd__in_row(const nd__rows *r, int expr)
{
    return r->s.exprs[expr].axes & 1u << r->axis;
}

/* -- passes (rows.c) ------------------------------------------------------------------------------------------------
 */

/* Whether a pass computes for longer than it waits for memory. */
bool nd__rows_is_busy(const nd__rows *r, int p);
/* Whether a pass has anything to do, what its reductions are, in order (their number), what it keeps for later ones. */
bool nd__rows_has_pass(const nd__rows *r, int p);
int nd__rows_find_pass(nd__rows *r, int p);
/* All that pass p stores of the point, before it stores any: the same memory may be read there, too. */
void nd__rows_compute(nd__rows *r, int p);
void nd__rows_store_kept(nd__rows *r, int p);
/* From now on the expression is loaded from scratch; so is all that pass p kept. */
void nd__rows_load_scratch(nd__rows *r, int expr);
void nd__rows_load_kept(nd__rows *r, int p);
/* Where what is kept of the row's element at the point lies: lane after lane. */
nd__lin nd__rows_kept_at(const nd__rows *r);

/* All axes from `axis` on. */
void nd__rows_over(nd__rows *r, int axis);

/* -- rows in passes (rows_long.c) ------------------------------------------------------------------------------------
 */

/* How many long rows to walk together, when stages are known and what is kept. */
int nd__rows_abreast(const nd__rows *r);
/* So many rows, from the point on. */
void nd__rows_in_passes(nd__rows *r);
/* The row of them that is written from now on. */
void nd__rows_turn_to(nd__rows *r, int row);
/* Lanes 16, 8, 4, 2, 1 of a reduction's accumulators: 32 lanes in as many registers as they take. */
nd__kval nd__lanes_tree(nd__emit *e, const nd__node *n, const nd__kval *acc);

/* -- blocks of sums (parts.c) ---------------------------------------------------------------------------------------
 */

/* Resolves what is summed; finds blocks. */
void nd__find_parts(nd__rows *r);
/* After the kernel was cut into chunks. */
void nd__cut_parts(nd__rows *r);
/* Adds the point of those rows abreast, in pass p, to the columns' sums. */
void nd__add_to_columns(nd__rows *r, int p, int from, int to);
/* Accumulators that are kept from row to row; the result of a block of all elements. */
void nd__load_lanes(nd__rows *r, const nd__row_part *part, nd__kval *acc);
void nd__store_lanes(nd__rows *r, const nd__row_part *part, const nd__kval *acc);
void nd__store_part(nd__rows *r, const nd__row_part *part, nd__kaffine block, const nd__kval *acc);
nd__kaffine nd__first_block(const nd__rows *r);
/* The whole domain, block by block. */
void nd__over_blocks(nd__rows *r);

/* -- rows in the lanes (rows_short.c) -------------------------------------------------------------------------------
 */

/* Finds what is loaded and stored in transposed blocks, when stages and lanes are known. */
void nd__rows_find_turned(nd__rows *r);
/* As many rows as there are lanes, from the point on. */
void nd__rows_in_lanes(nd__emit *e, void *rows);

#endif
