/* The parser of subscripts: one pass over the characters, one item at a time. */
#include "runtime/subscript.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef struct parser {
    const char *text;
    size_t at;
    const nd__subscript_names *names;
    char *message;
    size_t size;
} parser;

__attribute__((format(printf, 3, 4))) static nd_status fail(parser *p, size_t at, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (p->size > 0)
        vsnprintf(p->message, p->size, format, args);
    va_end(args);
    p->at = at;
    return ND_ERR_PARSE;
}

static char peek(parser *p)
{
    while (p->text[p->at] == ' ' || p->text[p->at] == '\t' || p->text[p->at] == '\n')
        p->at++;
    return p->text[p->at];
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* How many bytes the character at text[0] has, so that a message shows it whole: UTF-8's later bytes begin with 10. */
static int width(const char *text)
{
    int n = 1;
    while (((unsigned char)text[n] & 0xC0) == 0x80 && n < 4)
        n++;
    return n;
}

static nd_status unexpected(parser *p, const char *expected)
{
    char c = peek(p);
    if (c == '\0')
        return fail(p, p->at, "expected %s, got the end", expected);
    return fail(p, p->at, "expected %s, got '%.*s'", expected, width(p->text + p->at), p->text + p->at);
}

static size_t word_length(const char *text)
{
    size_t n = 0;
    while (is_letter(text[n]) || is_digit(text[n]))
        n++;
    return n;
}

/* bound = ["-" | "+"] digits | name */
static nd_status parse_bound(parser *p, int64_t *value, const char *expected)
{
    char c = peek(p);
    size_t begin = p->at;
    if (is_letter(c)) {
        size_t n = word_length(p->text + begin);
        if (!p->names || !p->names->find(p->names->self, p->text + begin, n, value))
            return fail(p, begin, "expected %s, got '%.*s'", expected, n > 40 ? 40 : (int)n, p->text + begin);
        p->at += n;
        return ND_OK;
    }
    bool minus = c == '-';
    if (c == '-' || c == '+')
        p->at++;
    c = peek(p);
    if (!is_digit(c))
        return unexpected(p, minus ? "digits after '-'" : expected);
    int64_t sum = 0;
    for (; is_digit(p->text[p->at]); p->at++)
        if (__builtin_mul_overflow(sum, 10, &sum) || __builtin_add_overflow(sum, p->text[p->at] - '0', &sum))
            return fail(p, begin, "the number does not fit in 64 bits");
    if (p->text[p->at] == '.' || is_letter(p->text[p->at]))
        return fail(p, begin, "an index is an integer");
    *value = minus ? -sum : sum;
    return ND_OK;
}

static bool starts_bound(parser *p)
{
    char c = peek(p);
    return is_digit(c) || c == '-' || c == '+' || is_letter(c);
}

/* The part of a slice after a ':', which may be missing. */
static nd_status parse_optional(parser *p, bool *has, int64_t *value)
{
    if (!starts_bound(p))
        return ND_OK;
    *has = true;
    return parse_bound(p, value, "a bound of the slice");
}

static nd_status parse_item(parser *p, nd__subscript_item *item)
{
    char c = peek(p);
    *item = (nd__subscript_item){.kind = ND__SUB_SLICE, .step = 1, .column = p->at};
    if (c == '.') {
        if (strncmp(p->text + p->at, "...", 3) != 0)
            return fail(p, p->at, "expected '...', three dots");
        p->at += 3;
        item->kind = ND__SUB_ELLIPSIS;
        return ND_OK;
    }
    if (word_length(p->text + p->at) == 4 && strncmp(p->text + p->at, "None", 4) == 0) {
        p->at += 4;
        item->kind = ND__SUB_NEWAXIS;
        return ND_OK;
    }
    if (c != ':') {
        if (!starts_bound(p))
            return unexpected(p, "an index, a slice, None or ...");
        item->has_start = true;
        nd_status s = parse_bound(p, &item->start, "an index, a slice, None or ...");
        if (s != ND_OK)
            return s;
    }
    if (peek(p) != ':') {
        item->kind = ND__SUB_INDEX;
        return ND_OK;
    }
    p->at++;
    nd_status s = parse_optional(p, &item->has_stop, &item->stop);
    if (s != ND_OK || peek(p) != ':')
        return s;
    p->at++;
    peek(p);
    size_t step_at = p->at;
    s = parse_optional(p, &item->has_step, &item->step);
    if (s == ND_OK && item->step == 0)
        return fail(p, step_at, "a step must not be 0");
    return s;
}

nd_status nd__subscript_parse_at(const char *text, size_t *cursor, const nd__subscript_names *names,
                                 nd__subscript *subscript, char *message, size_t size)
{
    parser p = {text, *cursor, names, message, size};
    nd_status s = ND_OK;
    bool ellipsis = false;
    *subscript = (nd__subscript){0};
    for (;;) {
        nd__subscript_item item;
        s = parse_item(&p, &item);
        if (s != ND_OK)
            break;
        if (item.kind == ND__SUB_ELLIPSIS && ellipsis) {
            s = fail(&p, item.column, "a second '...'");
            break;
        }
        if (subscript->count == ND__SUBSCRIPT_ITEMS) {
            s = fail(&p, item.column, "more than %d items", ND__SUBSCRIPT_ITEMS);
            break;
        }
        ellipsis |= item.kind == ND__SUB_ELLIPSIS;
        subscript->axes += item.kind == ND__SUB_INDEX || item.kind == ND__SUB_SLICE;
        subscript->items[subscript->count++] = item;
        char c = peek(&p);
        if (c == ',') {
            p.at++;
            c = peek(&p);
        } else if (c != '\0' && c != ']') {
            s = unexpected(&p, item.kind == ND__SUB_SLICE && !item.has_step ? "',', ':' or ']'" : "',' or ']'");
            break;
        }
        if (c == '\0' || c == ']')
            break;
    }
    *cursor = p.at;
    return s;
}

nd_status nd__subscript_parse(const char *text, const nd__subscript_names *names, nd__subscript *subscript,
                              char *message, size_t size)
{
    parser p = {text, 0, names, message, size};
    bool bracket = peek(&p) == '[';
    char what[160];
    p.at += bracket;
    p.message = what;
    p.size = sizeof what;
    nd_status s = nd__subscript_parse_at(text, &p.at, names, subscript, what, sizeof what);
    if (s == ND_OK && bracket && peek(&p) != ']')
        s = unexpected(&p, "']'");
    if (s == ND_OK && bracket)
        p.at++;
    if (s == ND_OK && peek(&p) != '\0')
        s = unexpected(&p, "the end");
    if (s != ND_OK && size > 0) {
        snprintf(message, size, "column %zu: %s", p.at + 1, what);
        nd__caret(message, size, text, p.at);
    }
    return s;
}

nd__slice nd__slice_of(const nd__subscript_item *item, int64_t extent)
{
    nd__slice slice = {0, item->step, 0};
    /* The last position that a slice may begin at, and the first one past its end, in the direction of the step. */
    int64_t low = item->step > 0 ? 0 : -1, high = item->step > 0 ? extent : extent - 1;
    int64_t start = item->start, stop = item->stop;
    if (!item->has_start)
        start = item->step > 0 ? low : high;
    else if (start < 0)
        start += extent;
    if (!item->has_stop)
        stop = item->step > 0 ? high : low;
    else if (stop < 0)
        stop += extent;
    start = start < low ? low : start > high ? high : start;
    stop = stop < low ? low : stop > high ? high : stop;
    /* The steps are counted unsigned: -INT64_MIN has no signed value. */
    if (item->step > 0 && start < stop)
        slice.count = 1 + (stop - start - 1) / item->step;
    if (item->step < 0 && start > stop)
        slice.count = (int64_t)(1 + (uint64_t)(start - stop - 1) / (0 - (uint64_t)item->step));
    if (slice.count > 0)
        slice.start = start;
    return slice;
}

void nd__caret(char *message, size_t size, const char *text, size_t column)
{
    size_t used = strlen(message), begin = column, end = column;
    while (begin > 0 && text[begin - 1] != '\n')
        begin--;
    while (text[end] != '\0' && text[end] != '\n')
        end++;
    if (used + 1 >= size || end - begin > INT_MAX / 2)
        return;
    int n = snprintf(message + used, size - used, "\n    %.*s\n    ", (int)(end - begin), text + begin);
    used += n < 0 ? 0 : (size_t)n;
    /* Tabs stay tabs and UTF-8's later bytes take no room, so that the caret stands below its character. */
    for (size_t i = begin; i < column && used + 2 < size; i++)
        if (((unsigned char)text[i] & 0xC0) != 0x80)
            message[used++] = text[i] == '\t' ? '\t' : ' ';
    if (used + 1 < size) {
        message[used++] = '^';
        message[used] = '\0';
    }
}
