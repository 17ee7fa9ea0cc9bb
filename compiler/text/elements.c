/* Elements of constants to and from text. */
#include "compiler/text/elements.h"
#include "runtime/number.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* An element's bits. */
static uint64_t bits_of(nd_dtype dtype, const void *items, int64_t i)
{
    const size_t size = nd_dtype_size(dtype);
    const char *element = (const char *)items + (size_t)i * size;
    uint32_t narrow;
    uint64_t wide;
    if (size == 1)
        return *(const unsigned char *)element;
    if (size == 4) {
        memcpy(&narrow, element, sizeof narrow);
        return narrow;
    }
    memcpy(&wide, element, sizeof wide);
    return wide;
}

bool nd__element_of_bits(uint64_t bits, nd_dtype dtype, void *element)
{
    const size_t size = nd_dtype_size(dtype);
    const uint8_t byte = (uint8_t)bits;
    const uint32_t narrow = (uint32_t)bits;
    memcpy(element, size == 1 ? (const void *)&byte : size == 4 ? (const void *)&narrow : (const void *)&bits, size);
    return size == 8 || bits >> 8 * size == 0;
}

static void print_float(nd__text *out, nd_dtype dtype, uint64_t bits)
{
    uint64_t element = 0, again = 0;
    char text[ND__NUMBER_TEXT];
    nd__element_of_bits(bits, dtype, &element);
    float single;
    double value;
    memcpy(&single, &element, sizeof single);
    memcpy(&value, &element, sizeof value);
    nd__number_text(text, dtype == ND_F32 ? (double)single : value, dtype == ND_F32);
    if (nd__element_parse(text, strlen(text), dtype, &again) && bits_of(dtype, &again, 0) == bits)
        nd__text_add(out, "%s", text);
    else
        nd__text_add(out, "bits(0x%" PRIx64 ")", bits);
}

void nd__element_print(nd__text *out, nd_dtype dtype, const void *items, int64_t i)
{
    const uint64_t bits = bits_of(dtype, items, i);
    switch (dtype) {
    case ND_BOOL:
        nd__text_add(out, bits ? "true" : "false");
        break;
    case ND_I32:
        nd__text_add(out, "%" PRId32, (int32_t)bits);
        break;
    case ND_I64:
        nd__text_add(out, "%" PRId64, (int64_t)bits);
        break;
    case ND_F32:
    case ND_F64:
        print_float(out, dtype, bits);
        break;
    default:
        nd__text_add(out, "%" PRIu64, bits);
    }
}

/* Digits of base 10 or 16 as a number of 64 bits. */
static bool digits(const char *text, size_t n, unsigned base, uint64_t *value)
{
    *value = 0;
    for (size_t i = 0; i < n; i++) {
        const char c = text[i], low = (char)(c | 0x20);
        unsigned digit = c >= '0' && c <= '9'       ? (unsigned)(c - '0')
                         : low >= 'a' && low <= 'f' ? (unsigned)(low - 'a') + 10
                                                    : 16;
        if (digit >= base || __builtin_mul_overflow(*value, base, value) ||
            __builtin_add_overflow(*value, digit, value))
            return false;
    }
    return n > 0;
}

bool nd__whole_parse(const char *text, size_t n, int64_t *value)
{
    const bool negative = n > 0 && text[0] == '-';
    const size_t sign = n > 0 && (text[0] == '-' || text[0] == '+');
    uint64_t magnitude;
    if (!digits(text + sign, n - sign, 10, &magnitude) || magnitude > (uint64_t)INT64_MAX + negative)
        return false;
    *value = (int64_t)(negative ? 0 - magnitude : magnitude);
    return true;
}

bool nd__bits_parse(const char *text, size_t n, uint64_t *value)
{
    const bool hex = n > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    return hex ? digits(text + 2, n - 2, 16, value) : digits(text, n, 10, value);
}

static bool is_word(const char *text, size_t n, const char *word)
{
    return n == strlen(word) && memcmp(text, word, n) == 0;
}

bool nd__element_parse(const char *text, size_t n, nd_dtype dtype, void *element)
{
    if (dtype == ND_BOOL) {
        *(uint8_t *)element = is_word(text, n, "true");
        return is_word(text, n, "true") || is_word(text, n, "false");
    }
    if (nd_dtype_is_float(dtype)) {
        double value;
        if (!nd__number_parse(text, n, &value))
            return false;
        const float single = (float)value;
        const bool infinite = dtype == ND_F32 ? isinf(single) : isinf(value), number = text[n - 1] <= '9';
        if (isnan(value)) /* the one NaN that has no other name; casts may change it */
            return nd__element_of_bits(dtype == ND_F32 ? 0x7fc00000 : 0x7ff8000000000000, dtype, element) &&
                   text[0] != '-';
        memcpy(element, dtype == ND_F32 ? (const void *)&single : (const void *)&value, nd_dtype_size(dtype));
        return !infinite || !number;
    }
    int64_t whole;
    static const int64_t low[ND_DTYPES] = {[ND_I32] = INT32_MIN, [ND_I64] = INT64_MIN},
                         high[ND_DTYPES] = {
                             [ND_U8] = UINT8_MAX, [ND_I32] = INT32_MAX, [ND_U32] = UINT32_MAX, [ND_I64] = INT64_MAX};
    if (!nd__whole_parse(text, n, &whole) || whole < low[dtype] || whole > high[dtype])
        return false;
    nd__element_of_bits(dtype == ND_I32 ? (uint32_t)whole : (uint64_t)whole, dtype, element);
    return true;
}
