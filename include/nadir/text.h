/* Graphs as text: printed, parsed back to the identical graph, drawn. doc/text.md has the grammar. */
#ifndef NADIR_TEXT_H
#define NADIR_TEXT_H

#include "nadir/graph.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Prints the module: what its functions, their bodies and the initial values need (without functions: everything that
 * can be used), once, in order of creation. Constants print with their exact bits. A failed module prints nothing and
 * gives its status; NULL gives ND_ERR_MEMORY, a NULL file ND_ERR_ARGUMENT; ND_ERR_IO when writing fails. */
ND_API nd_status nd_module_print(nd_module *module, FILE *out);
/* The same as text, which the caller frees with free(); NULL when memory runs out or the module failed. */
ND_API char *nd_module_to_text(nd_module *module);
/* A module from text, ended by 0; `file` (NULL: "text") is what errors and places call it: "mlp.nd:12:8: expected ...".
 * Always a module, which the caller destroys, maybe a failed one: ND_ERR_PARSE where the text does not read,
 * ND_ERR_GRAPH, with the line, where an op refuses its operands. NULL when memory runs out. */
ND_API nd_module *nd_module_parse(const char *text, const char *file);
/* Writes the module to the file PATH, and constants of more than 256 elements, where there are any, to the file
 * PATH.safetensors, whose tensors the text names; each aside and then renamed. What is written and the statuses are
 * those of nd_module_print; what went wrong is in `message` (at most `size` bytes; NULL: unwanted). */
ND_API nd_status nd_module_write(nd_module *module, const char *path, char *message, size_t size);
/* The same as nd_module_parse from a file, and what nd_module_write put beside it. ND_ERR_IO where one cannot be read,
 * ND_ERR_DATA where the one beside does not have the tensors of the text, or has other elements. */
ND_API nd_module *nd_module_read(const char *path);
/* Writes the module as a picture for Graphviz (dot -Tsvg): ops with names and types, a cluster for each function. What
 * is shown and the statuses are those of nd_module_print. */
ND_API nd_status nd_module_dot(nd_module *module, FILE *out);

#ifdef __cplusplus
}
#endif
#endif
