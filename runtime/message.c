/* Messages of handles, in memory of their own. */
#include "runtime/message.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* `old` and the formatted text in new memory, or NULL. */
static char *format_after(const char *old, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, again);
    va_end(again);
    size_t before = strlen(old);
    char *text = n < 0 ? NULL : malloc(before + (size_t)n + 1);
    if (text) {
        memcpy(text, old, before);
        vsnprintf(text + before, (size_t)n + 1, format, args);
    }
    return text;
}

nd_status nd__message_set(nd__message *message, nd_status status, const char *format, ...)
{
    /* The arguments may point into the old text, which therefore goes last. */
    va_list args;
    va_start(args, format);
    char *text = format_after("", format, args);
    va_end(args);
    free(message->text);
    message->text = text;
    message->status = status;
    return status;
}

void nd__message_add(nd__message *message, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = message->text ? format_after(message->text, format, args) : NULL;
    va_end(args);
    if (!text)
        return;
    free(message->text);
    message->text = text;
}

const char *nd__message_text(const nd__message *message)
{
    if (message->status == ND_OK)
        return "";
    return message->text ? message->text : nd_status_text(message->status);
}

void nd__message_clear(nd__message *message)
{
    free(message->text);
    *message = (nd__message){ND_OK, NULL};
}

char *nd__type_text(char *buffer, size_t size, nd_dtype dtype, nd_shape shape)
{
    size_t used = 0;
    int n = snprintf(buffer, size, "%s[", nd_dtype_name(dtype));
    for (int i = 0; i <= shape.rank && i <= ND_MAX_RANK; i++) {
        used += n < 0 ? 0 : (size_t)n;
        if (used >= size)
            break;
        if (i == shape.rank)
            n = snprintf(buffer + used, size - used, "]");
        else if (i == ND_MAX_RANK) /* a rank that nothing accepts: its later sizes are lost */
            n = snprintf(buffer + used, size - used, ",...]");
        else
            n = snprintf(buffer + used, size - used, "%s%lld", i ? "," : "", (long long)shape.dims[i]);
    }
    return buffer;
}
