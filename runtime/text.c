/* A growing text: doubling, so that adding is cheap on average. */
#include "runtime/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room for n more bytes and the 0. */
static bool reserve(nd__text *text, size_t n)
{
    if (text->failed)
        return false;
    if (n < text->room - text->used)
        return true;
    size_t room = text->room ? text->room : 128;
    while (room - text->used <= n && room <= SIZE_MAX / 2)
        room *= 2;
    char *data = room - text->used > n ? realloc(text->data, room) : NULL;
    if (!data) {
        text->failed = true;
        return false;
    }
    text->data = data;
    text->room = room;
    return true;
}

void nd__text_add_bytes(nd__text *text, const char *bytes, size_t n)
{
    if (!reserve(text, n))
        return;
    if (n > 0)
        memcpy(text->data + text->used, bytes, n);
    text->used += n;
    text->data[text->used] = '\0';
}

void nd__text_add(nd__text *text, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (n < 0)
        text->failed = true;
    else if (reserve(text, (size_t)n)) {
        vsnprintf(text->data + text->used, (size_t)n + 1, format, args);
        text->used += (size_t)n;
    }
    va_end(args);
}

void nd__text_add_many(nd__text *text, char c, int64_t n)
{
    if (n < 1 || !reserve(text, (size_t)n))
        return;
    memset(text->data + text->used, c, (size_t)n);
    text->used += (size_t)n;
    text->data[text->used] = '\0';
}

void nd__text_release(nd__text *text)
{
    free(text->data);
    *text = (nd__text){0};
}
