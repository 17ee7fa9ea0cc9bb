/* The part of JSON (RFC 8259) that the files here are made of: read where it lies, and strings written. */
#ifndef NADIR_RUNTIME_JSON_H
#define NADIR_RUNTIME_JSON_H

#include "nadir/base.h"
#include "runtime/text.h"

/* A text that is being read. The first thing that is not as expected ends the reading: every function then gives
 * false (or NULL), and `at` stays where it was. */
typedef struct nd__json {
    char *begin, *at, *end;
    const char *expected; /* what would have been right; NULL: no error */
} nd__json;

/* Passes over spaces, then over `c` if it is there. */
bool nd__json_accept(nd__json *json, char c);
/* The same where nothing else is right. */
bool nd__json_expect(nd__json *json, char c, const char *what);
/* A string, decoded in place and ended by 0 (a decoded string is never longer); NULL: it is none, is not UTF-8, or has
 * a 0 in it. */
const char *nd__json_string(nd__json *json);
/* A number without sign, point and exponent, up to the largest i64. */
bool nd__json_count(nd__json *json, int64_t *value);

/* Passes over spaces; whether that is all. */
bool nd__json_end(nd__json *json, const char *what);

/* Adds `string` with quotes and escapes; what is not UTF-8 becomes U+FFFD. */
void nd__json_add_string(nd__text *text, const char *string);

#endif
