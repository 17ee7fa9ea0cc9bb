/* Graphs as text: printed, parsed back to the identical graph, drawn. doc/text.md has the grammar. */
#ifndef NADIR_TEXT_H
#define NADIR_TEXT_H

#include "nadir/graph.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Prints the module: what its functions, their bodies and the initial values need (without functions: everything), once, in order of creation. Constants print
 * with their exact bits. A failed module prints nothing and gives its status; ND_ERR_IO when writing fails. */
ND_API nd_status nd_module_print(nd_module *module, FILE *out);
/* The same as text, which the caller frees with free(); NULL when memory runs out or the module failed. */
ND_API char *nd_module_to_text(nd_module *module);
/* A module from text; `file` (may be NULL) is what errors call it: "mlp.nd:12:8: expected ...". Always a module, maybe a failed one; NULL when memory runs out. */
ND_API nd_module *nd_module_parse(const char *text, const char *file);
/* The same from a file. */
ND_API nd_module *nd_module_read(const char *path);
/* Graphviz. */
ND_API nd_status nd_module_dot(nd_module *module, FILE *out);

#ifdef __cplusplus
}
#endif
#endif
