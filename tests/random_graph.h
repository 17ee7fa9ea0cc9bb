/* Random graphs of many ops, and the comparison of what two modules compute: for whatever makes one graph out of
 * another. */
#ifndef TESTS_RANDOM_GRAPH_H
#define TESTS_RANDOM_GRAPH_H

#include "compiler/graph/graph.h"

/* A module without named dimensions: two functions, "f" and "g", over a pool of 5 to 30 random nodes of few shapes and
 * dtypes, so that neighbours have something to do with each other: constants with special values, views of views,
 * elementwise chains, reductions, products, rows by index, branches and loops. They update variables, "g" by anything
 * that fits. Most shapes are of that many rows and columns. NULL when memory ran out; it must not have failed. */
nd_module *random_graph_of(int64_t rows, int64_t columns, uint64_t *state);
/* Of 2 rows and 3 columns. */
nd_module *random_graph(uint64_t *state);

/* Interprets every entry point of `before` and the one of the same name of `after` on the same random elements, special
 * ones among them, and fails the running Check test unless all outputs and updates have the same bits. */
void same_results(const char *what, const nd_module *before, const nd_module *after, uint64_t *state);

#endif
