/* What the files of rows share: rows.c, which has the passes and long rows, and rows_short.c. */
#ifndef NADIR_SCHEDULE_ROWS_H
#define NADIR_SCHEDULE_ROWS_H

#include "compiler/schedule/emit.h"

#include <limits.h>

enum {
    ND__AFTER_ROW = INT_MAX,  /* the stage of what has one element a row: stored when all passes are done */
    ND__TURNED = INT_MAX - 1, /* and of what is turned on its way to memory, then too */
};

typedef struct nd__row_reduction {
    const nd__node *node;
    int operand, given; /* expressions */
    int pass;
} nd__row_reduction;

typedef struct nd__rows {
    nd__space s;
    nd__emit e;
    int axis; /* the row's */
    int64_t length;
    nd__row_reduction *reductions;
    int count, passes;
    bool *keep;   /* by expression: stays in scratch for later passes */
    bool *turned; /* by expression: is loaded into scratch before all passes, in blocks that are transposed */
    int *scratch; /* by expression: its parameter */
    bool long_rows;
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

/* Whether a pass has anything to do, what its reductions are, in order (their number), what it keeps for later ones. */
bool nd__rows_has_pass(const nd__rows *r, int p);
int nd__rows_find_pass(nd__rows *r, int p);
void nd__rows_store_kept(nd__rows *r, int p);
/* From now on the expression is loaded from scratch; so is all that pass p kept. */
void nd__rows_load_scratch(nd__rows *r, int expr);
void nd__rows_load_kept(nd__rows *r, int p);
/* Where what is kept of the row's element at the point lies: lane after lane. */
nd__lin nd__rows_kept_at(const nd__rows *r);

/* -- rows in the lanes (rows_short.c) -------------------------------------------------------------------------------
 */

/* Finds what is loaded and stored in transposed blocks, when stages and lanes are known. */
void nd__rows_find_turned(nd__rows *r);
/* As many rows as there are lanes, from the point on. */
void nd__rows_in_lanes(nd__emit *e, void *rows);

#endif
