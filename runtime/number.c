/* Numbers and text. The C library rounds correctly but writes and expects the locale's decimal point, so digits are
 * taken from it one by one, and what it is to read is written with the point that it wants. */
#include "runtime/number.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The digits of what printf's %e or %f wrote. */
static nd__decimal take_digits(const char *text, int digits_before_point)
{
    nd__decimal d = {.negative = text[0] == '-', .point = digits_before_point};
    const char *exponent = strchr(text, 'e');
    size_t end = exponent ? (size_t)(exponent - text) : strlen(text);
    for (size_t i = 0; i < end; i++) {
        if (text[i] < '0' || text[i] > '9')
            continue;
        if (d.count == 0 && text[i] == '0')
            d.point--; /* a leading zero */
        else if (d.count < (int)sizeof d.digits)
            d.digits[d.count++] = text[i];
    }
    while (d.count > 0 && d.digits[d.count - 1] == '0')
        d.count--;
    d.point = d.count == 0 ? 0 : d.point + (exponent ? atoi(exponent + 1) : 0);
    return d;
}

nd__decimal nd__decimal_shortest(double value, bool single)
{
    char text[48];
    int most = single ? 9 : 17;
    for (int digits = 1; digits <= most; digits++) {
        snprintf(text, sizeof text, "%.*e", digits - 1, value);
        if (single ? strtof(text, NULL) == (float)value : strtod(text, NULL) == value)
            break;
    }
    return take_digits(text, 1);
}

nd__decimal nd__decimal_rounded(double value, int places)
{
    char text[400]; /* the largest double has 309 digits before the point */
    int n = snprintf(text, sizeof text, "%.*f", places, fabs(value));
    int before = 0;
    while (before < n && text[before] >= '0' && text[before] <= '9')
        before++;
    nd__decimal d = take_digits(text, before);
    d.negative = signbit(value);
    return d;
}

char *nd__number_text(char text[ND__NUMBER_TEXT], double value, bool single)
{
    if (!isfinite(value)) {
        snprintf(text, ND__NUMBER_TEXT, "%s", isnan(value) ? "nan" : value < 0 ? "-inf" : "inf");
        return text;
    }
    nd__decimal d = nd__decimal_shortest(value, single);
    char *p = text;
    if (d.negative)
        *p++ = '-';
    if (d.point < -3 || d.point > 16) {
        *p++ = d.digits[0];
        if (d.count > 1)
            *p++ = '.';
        memcpy(p, d.digits + 1, (size_t)d.count - 1);
        p += d.count - 1;
        snprintf(p, (size_t)(text + ND__NUMBER_TEXT - p), "e%+03d", d.point - 1);
        return text;
    }
    for (int i = d.point < 1 ? d.point - 1 : 0; i < d.count || i < d.point; i++) {
        if (i == d.point)
            *p++ = '.';
        *p++ = i >= 0 && i < d.count ? d.digits[i] : '0';
    }
    *p = '\0';
    return text;
}

/* -- reading ------------------------------------------------------------------------------------------------------ */

static bool same_word(const char *text, size_t n, const char *word)
{
    for (size_t i = 0; i < n; i++)
        if (word[i] == '\0' || (text[i] | 0x20) != word[i])
            return false;
    return word[n] == '\0';
}

/* The C library's own reading, of text[0..n) that is known to be a number with its point at `point` (n: none). */
static bool parse_slowly(const char *text, size_t n, size_t point, double *value)
{
    char probe[16], small[128], *copy = small;
    int probe_length = snprintf(probe, sizeof probe, "%.1f", 0.5); /* "0", the locale's point, "5" */
    size_t wide = probe_length < 3 ? 1 : (size_t)probe_length - 2;
    if (n + wide + 1 > sizeof small && !(copy = malloc(n + wide + 1)))
        return false;
    memcpy(copy, text, point);
    size_t used = point;
    if (point < n) {
        memcpy(copy + used, probe + 1, wide);
        memcpy(copy + used + wide, text + point + 1, n - point - 1);
        used += wide + n - point - 1;
    }
    copy[used] = '\0';
    *value = strtod(copy, NULL);
    if (copy != small)
        free(copy);
    return true;
}

bool nd__number_parse(const char *text, size_t n, double *value)
{
    static const double tens[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                  1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    size_t i = n > 0 && (text[0] == '-' || text[0] == '+'), point = n;
    bool minus = n > 0 && text[0] == '-';
    if (same_word(text + i, n - i, "nan") || same_word(text + i, n - i, "inf") ||
        same_word(text + i, n - i, "infinity")) {
        double magnitude = (text[i] | 0x20) == 'n' ? (double)NAN : (double)INFINITY;
        *value = minus ? -magnitude : magnitude;
        return true;
    }
    uint64_t mantissa = 0;
    int digits = 0, exponent = 0, written = 0;
    bool many = false; /* more digits than 2^53 holds */
    for (; i < n && ((text[i] >= '0' && text[i] <= '9') || (text[i] == '.' && point == n)); i++) {
        if (text[i] == '.') {
            point = i;
            continue;
        }
        digits++;
        many |= mantissa >= ((uint64_t)1 << 53) / 10;
        if (!many)
            mantissa = mantissa * 10 + (uint64_t)(text[i] - '0');
        exponent -= point < n;
    }
    if (digits == 0)
        return false;
    if (i < n && (text[i] == 'e' || text[i] == 'E')) {
        i++;
        bool down = i < n && text[i] == '-';
        i += i < n && (text[i] == '-' || text[i] == '+');
        size_t first = i;
        for (; i < n && text[i] >= '0' && text[i] <= '9'; i++)
            written = written < 100000 ? written * 10 + (text[i] - '0') : written;
        if (i == first)
            return false;
        exponent += down ? -written : written;
    }
    if (i < n)
        return false;
    /* A product or quotient of two exact doubles is rounded once, hence right (Clinger 1990, "How to read floating
     * point numbers accurately", the fast case). */
    if (many || exponent < -22 || exponent > 22)
        return parse_slowly(text, n, point, value);
    double magnitude = exponent < 0 ? (double)mantissa / tens[-exponent] : (double)mantissa * tens[exponent];
    *value = minus ? -magnitude : magnitude;
    return true;
}
