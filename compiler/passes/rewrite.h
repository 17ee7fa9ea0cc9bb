/* What most passes are: a walk over the live nodes, in order of creation, that decides for each what stands for it in a
 * new module. */
#ifndef NADIR_PASSES_REWRITE_H
#define NADIR_PASSES_REWRITE_H

#include "compiler/graph/graph.h"

/* What stands for `node` in c->to, where its operands stand as x[]: for a node of one result a value of the same type,
 * for one of several the first result of a node with the same results. NULL: the node is copied as it is. The new
 * module has not failed when this is called; whatever fails in it fails the pass. */
typedef nd_value *(*nd__rewriter)(nd__copier *c, const nd__node *node, nd_value *const *x, void *state);

/* The new module, maybe a failed one; NULL when memory ran out. */
nd_module *nd__rewrite(nd_module *m, nd__rewriter rewriter, void *state);

#endif
