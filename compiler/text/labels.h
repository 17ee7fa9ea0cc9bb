/* The names of values: a hash table in an arena. */
#ifndef NADIR_TEXT_LABELS_H
#define NADIR_TEXT_LABELS_H

#include "compiler/graph/graph.h"

typedef struct nd__label {
    const char *text; /* not ended by 0; not copied; NULL: an empty slot */
    size_t length;
    int uses;        /* when printing: how many values have the name */
    nd_value *value; /* when parsing: the one that it stands for */
} nd__label;

/* All zero: empty. */
typedef struct nd__labels {
    nd__label *slots;
    size_t count, room;
} nd__labels;

/* The entry of that text, a new one if there was none; NULL when memory runs out. Valid until the next call. */
nd__label *nd__labels_add(nd__labels *labels, nd__arena *arena, const char *text, size_t length);
/* NULL: none. */
const nd__label *nd__labels_find(const nd__labels *labels, const char *text, size_t length);

#endif
