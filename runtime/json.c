/* JSON. */
#include "runtime/json.h"

#include "runtime/utf8.h"

#include <string.h>

static bool fail(nd__json *j, const char *expected)
{
    if (!j->expected)
        j->expected = expected;
    return false;
}

static void skip_spaces(nd__json *j)
{
    while (j->at < j->end && (*j->at == ' ' || *j->at == '\n' || *j->at == '\t' || *j->at == '\r'))
        j->at++;
}

bool nd__json_accept(nd__json *json, char c)
{
    if (json->expected)
        return false;
    skip_spaces(json);
    if (json->at == json->end || *json->at != c)
        return false;
    json->at++;
    return true;
}

bool nd__json_expect(nd__json *json, char c, const char *what)
{
    return nd__json_accept(json, c) || fail(json, what);
}

bool nd__json_end(nd__json *json, const char *what)
{
    skip_spaces(json);
    return !json->expected && (json->at == json->end || fail(json, what));
}

bool nd__json_count(nd__json *json, int64_t *value)
{
    static const char expected[] = "a count";
    if (json->expected)
        return false;
    skip_spaces(json);
    char *p = json->at;
    int64_t n = 0;
    for (; p < json->end && *p >= '0' && *p <= '9'; p++)
        if (n > (INT64_MAX - (*p - '0')) / 10)
            return fail(json, expected);
        else
            n = n * 10 + (*p - '0');
    if (p == json->at || (*json->at == '0' && p > json->at + 1) || (p < json->end && strchr(".eE", *p) && *p))
        return fail(json, expected);
    json->at = p;
    *value = n;
    return true;
}

/* Four hexadecimal digits, or -1. */
static int32_t hexadecimal(const char *p, const char *end)
{
    int32_t value = 0;
    for (int i = 0; i < 4; i++, p++) {
        if (p == end)
            return -1;
        int digit = *p >= '0' && *p <= '9'   ? *p - '0'
                    : *p >= 'a' && *p <= 'f' ? *p - 'a' + 10
                    : *p >= 'A' && *p <= 'F' ? *p - 'A' + 10
                                             : -1;
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* Decodes the escape behind a backslash at *at to *to; moves both on. */
static bool unescape(const char **at, const char *end, char **to)
{
    static const char names[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    const char *p = *at, *name = p < end && *p ? strchr(names, *p) : NULL;
    if (name) {
        *(*to)++ = meanings[name - names];
        *at = p + 1;
        return true;
    }
    if (p == end || *p != 'u')
        return false;
    int32_t character = hexadecimal(p + 1, end);
    p += 5;
    if (character >= 0xD800 && character < 0xDC00) { /* the first half of a pair */
        int32_t second = end - p >= 6 && p[0] == '\\' && p[1] == 'u' ? hexadecimal(p + 2, end) : -1;
        if (second < 0xDC00 || second > 0xDFFF)
            return false;
        character = 0x10000 + ((character - 0xD800) << 10) + (second - 0xDC00);
        p += 6;
    } else if (character <= 0 || (character >= 0xDC00 && character <= 0xDFFF))
        return false;
    *to += nd__utf8_encode(*to, (uint32_t)character);
    *at = p;
    return true;
}

const char *nd__json_string(nd__json *json)
{
    if (!nd__json_expect(json, '"', "a string"))
        return NULL;
    char *text = json->at, *to = text;
    const char *p = text, *end = json->end;
    while (p < end && *p != '"') {
        size_t n = nd__utf8_length(p, (size_t)(end - p));
        if (n == 0 || (unsigned char)*p < 0x20) {
            json->at = text + (p - text); /* `p` without its const */
            fail(json, n == 0 ? "UTF-8" : "no control character in a string");
            return NULL;
        }
        if (*p == '\\') {
            const char *escape = p++;
            if (unescape(&p, end, &to))
                continue;
            json->at = text + (escape - text);
            fail(json, "an escape sequence");
            return NULL;
        }
        memmove(to, p, n);
        to += n;
        p += n;
    }
    if (p == end) {
        json->at = json->end;
        fail(json, "'\"' at the end of the string");
        return NULL;
    }
    json->at = text + (p - text) + 1;
    *to = '\0';
    return text;
}

void nd__json_add_string(nd__text *text, const char *string)
{
    nd__text_add_bytes(text, "\"", 1);
    for (size_t left = strlen(string), n; left > 0; left -= n, string += n) {
        n = nd__utf8_length(string, left);
        if (n == 0) {
            n = 1;
            nd__text_add(text, "\xEF\xBF\xBD");
        } else if ((unsigned char)*string < 0x20)
            nd__text_add(text, "\\u%04x", (unsigned)*string);
        else if (*string == '"' || *string == '\\')
            nd__text_add(text, "\\%c", *string);
        else
            nd__text_add_bytes(text, string, n);
    }
    nd__text_add_bytes(text, "\"", 1);
}
