/* Passes: graph to graph. None changes a bit of any result. */
#ifndef NADIR_PASSES_PASSES_H
#define NADIR_PASSES_PASSES_H

#include "compiler/graph/graph.h"

#include <stdio.h>

/* A pass makes a new module of a bound one; NULL when memory ran out. The old one stays the caller's. */
typedef nd_module *(*nd__pass)(nd_module *m);

typedef struct nd__pass_options {
    const char *off;        /* names, separated by commas, or "all" */
    const char *dump_after; /* a name or "all" */
    FILE *dump;
} nd__pass_options;

/* Runs the pipeline (pipeline.c has the list) and consumes `m`. Gives the last module, maybe a failed one; NULL when memory ran out. */
nd_module *nd__run_passes(nd_module *m, const nd__pass_options *options);
/* The names in order, NULL at the end. */
const char *const *nd__pass_names(void);

#endif
