/* "did you mean": the candidate that looks most like a word. */
#ifndef NADIR_TEXT_NEAREST_H
#define NADIR_TEXT_NEAREST_H

#include <stddef.h>

/* Starts as {.word, .length}. */
typedef struct nd__nearest {
    const char *word;
    size_t length;
    const char *best; /* NULL: none is like it */
    size_t distance;
} nd__nearest;

/* Considers a candidate; the first of the nearest wins. */
void nd__nearest_try(nd__nearest *nearest, const char *candidate);

#endif
