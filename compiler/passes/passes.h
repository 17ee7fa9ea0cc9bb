/* Passes: graph to graph. None changes a bit of any result (doc/bits.md). */
#ifndef NADIR_PASSES_PASSES_H
#define NADIR_PASSES_PASSES_H

#include "compiler/graph/graph.h"

#include <stdio.h>

/* A pass makes a new module of a bound one that has not failed; NULL when memory ran out. The old one stays the
 * caller's. What nothing needs is left out by every pass. */
typedef nd_module *(*nd__pass)(nd_module *m);

/* The passes, a file each, which says what it does. */
nd_module *nd__inline(nd_module *m);
nd_module *nd__fold(nd_module *m);
nd_module *nd__simplify(nd_module *m);
nd_module *nd__views(nd_module *m);
nd_module *nd__sink(nd_module *m);
nd_module *nd__gather(nd_module *m);
nd_module *nd__cse(nd_module *m);
nd_module *nd__loops(nd_module *m);
nd_module *nd__slices(nd_module *m);
nd_module *nd__prune(nd_module *m);
nd_module *nd__dce(nd_module *m);

/* -- pipeline.c --------------------------------------------------------------------------------------------------- */

/* Zero means default. */
typedef struct nd__pass_options {
    const char *off;        /* names, separated by commas, or "all" */
    const char *dump_after; /* names, separated by commas, or "all": the graph is printed to `dump` after these */
    FILE *dump;
    bool verify; /* look at the invariants of the graph after every pass; debug builds always do */
} nd__pass_options;

/* Runs the pipeline (pipeline.c has the list) over a bound module and consumes it; `options` may be NULL. Gives the
 * last module, maybe a failed one: ND_ERR_ARGUMENT for a name that no pass has, ND_ERR_IO when a dump cannot be
 * written, ND_ERR_INTERNAL when a pass broke the graph. A module that has failed already comes back as it is. NULL when
 * memory ran out. */
nd_module *nd__run_passes(nd_module *m, const nd__pass_options *options);
/* The names in order, NULL at the end. */
const char *const *nd__pass_names(void);

#endif
