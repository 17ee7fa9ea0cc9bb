/* The status and message that a handle carries. */
#ifndef NADIR_RUNTIME_MESSAGE_H
#define NADIR_RUNTIME_MESSAGE_H

#include "nadir/base.h"

/* All zero: no error. */
typedef struct nd__message {
    nd_status status;
    char *text; /* NULL: the status's own text, also where there was no memory for a better one */
} nd__message;

/* Replaces what is there; gives `status` back, so that a failing function can return it. */
nd_status nd__message_set(nd__message *message, nd_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Adds to the text of a message that has one. */
void nd__message_add(nd__message *message, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Never NULL; "" for ND_OK. */
const char *nd__message_text(const nd__message *message);
/* Back to no error; releases the text. */
void nd__message_clear(nd__message *message);

/* "f32[32,784]" into `buffer`, cut off where it is too long; gives `buffer` back. 256 bytes hold every shape. */
enum { ND__TYPE_TEXT = 256 };
char *nd__type_text(char *buffer, size_t size, nd_dtype dtype, nd_shape shape);

#endif
