/* Large constants of a text, apart from it: tensors of a safetensors file beside the text's own. */
#ifndef NADIR_TEXT_APART_H
#define NADIR_TEXT_APART_H

#include "compiler/graph/graph.h"
#include "runtime/message.h"
#include "runtime/safetensors.h"

/* Whether a constant with these elements goes there. */
bool nd__is_apart(const nd__data *data);
/* A number that other elements hardly have: the text says it, so that it is not read with another text's file. */
uint64_t nd__apart_sum(const nd__data *data);
/* The file beside a text, for free(); NULL: memory ran out. */
char *nd__apart_path(const char *path);
/* Writes the elements of constants under their names. */
nd_status nd__apart_write(const char *path, int count, const char *const *names, const nd__node *const *constants,
                          nd__message *message);
/* Whether the file has one of that type. */
nd_status nd__apart_look(const nd__safetensors *file, const char *path, const char *name, nd_dtype dtype,
                         const nd_shape *shape, nd__message *message);
/* Reads the elements of one that it has into memory of their size. */
nd_status nd__apart_read(const nd__safetensors *file, const char *path, const char *name, nd_dtype dtype,
                         const nd_shape *shape, void *items, nd__message *message);

#endif
