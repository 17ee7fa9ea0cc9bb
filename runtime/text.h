/* A text that grows. */
#ifndef NADIR_RUNTIME_TEXT_H
#define NADIR_RUNTIME_TEXT_H

#include "nadir/base.h"

/* All zero: empty. Once memory ran out, `failed` is set and nothing is added any more, so that one look at the end is
 * enough. */
typedef struct nd__text {
    char *data; /* ended by 0; NULL while empty */
    size_t used, room;
    bool failed;
} nd__text;

void nd__text_add(nd__text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void nd__text_add_bytes(nd__text *text, const char *bytes, size_t n);
/* c, n times; nothing where n < 1. */
void nd__text_add_many(nd__text *text, char c, int64_t n);
void nd__text_release(nd__text *text);

#endif
