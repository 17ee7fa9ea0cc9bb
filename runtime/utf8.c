/* UTF-8. */
#include "runtime/utf8.h"

#include <string.h>

size_t nd__utf8_length(const char *text, size_t n)
{
    const unsigned char *p = (const unsigned char *)text;
    if (n == 0 || p[0] < 0x80)
        return n > 0;
    size_t length = p[0] < 0xC2 ? 0 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : p[0] < 0xF5 ? 4 : 0;
    if (length == 0 || length > n)
        return 0;
    /* The second byte is bounded more tightly after some first bytes; the others are 80 to BF. */
    unsigned low = p[0] == 0xE0   ? 0xA0
                   : p[0] == 0xF0 ? 0x90
                                  : 0x80,
             high = p[0] == 0xED   ? 0x9F
                    : p[0] == 0xF4 ? 0x8F
                                   : 0xBF;
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if (p[i] < 0x80 || p[i] > 0xBF)
            return 0;
    return length;
}

bool nd__utf8_is_valid(const char *text)
{
    size_t n = strlen(text), length;
    for (; n > 0; n -= length, text += length)
        if ((length = nd__utf8_length(text, n)) == 0)
            return false;
    return true;
}

size_t nd__utf8_encode(char bytes[4], uint32_t character)
{
    if (character < 0x80) {
        bytes[0] = (char)character;
        return 1;
    }
    size_t length = character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
    static const unsigned char first[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = length - 1; i > 0; i--, character >>= 6)
        bytes[i] = (char)(0x80 | (character & 0x3F));
    bytes[0] = (char)(first[length] | character);
    return length;
}
