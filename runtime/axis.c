/* Axes. A label is a whole number times a power of ten, so that its text is exact. */
#include "runtime/axis.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Around the values, as a part of their range. */
static const double room = 0.04;

/* Where `at` lies between low and high; halves, because a difference of large numbers is no number any more. */
static double part(double at, double low, double high)
{
    return (at / 2 - low / 2) / (high / 2 - low / 2);
}

double nd__axis_place(const nd__axis *axis, double value)
{
    return part(axis->log ? log10(value) : value, axis->low, axis->high);
}

static nd__label *add_tick(nd__axis *axis, double place)
{
    static const double slack = 1e-9; /* a tick at the very end stays one */
    if (axis->count == ND__MAX_TICKS || place < -slack || place > 1 + slack)
        return NULL;
    nd__tick *t = &axis->ticks[axis->count++];
    *t = (nd__tick){.place = place};
    return &t->label;
}

/* n times 10^power in full; the callers stay below 10^18. */
static void write_number(char *text, size_t size, int64_t n, int power)
{
    const char *sign = n < 0 ? "\xE2\x88\x92" : ""; /* a minus, longer than a hyphen */
    int places = power > 0 ? 0 : power < -18 ? 18 : -power;
    long long unit = 1, whole = llabs(n);
    for (int i = 0; i < places || i < power; i++)
        unit *= 10;
    if (places > 0)
        snprintf(text, size, "%s%lld.%0*lld", sign, whole / unit, places, whole % unit);
    else
        snprintf(text, size, "%s%lld", sign, whole * unit);
}

/* -- linear ------------------------------------------------------------------------------------------------------- */

/* The 1, 2 or 5 times a power of ten that is nearest (Heckbert 1990, "Nice numbers for graph labels", in Graphics
 * Gems). */
static int64_t round_step(double about, int *exponent)
{
    *exponent = (int)floor(log10(about));
    double ratio = about / pow(10, *exponent);
    if (ratio < 1.5)
        return 1;
    if (ratio < 3)
        return 2;
    if (ratio < 7)
        return 5;
    ++*exponent;
    return 1;
}

static int digits_of(int64_t n)
{
    int digits = 1;
    for (n = llabs(n); n >= 10; n /= 10)
        digits++;
    return digits;
}

/* Ticks at round numbers between two values, which may lie on a logarithmic axis. */
static void add_round_ticks(nd__axis *axis, double low, double high, bool whole, int about)
{
    int exponent;
    int64_t digit = round_step((high / 2 - low / 2) / about * 2, &exponent);
    if (whole && exponent < 0) {
        digit = 1;
        exponent = 0;
    }
    double step = (double)digit * pow(10, exponent);
    int64_t first = (int64_t)ceil(low / step - 1e-9), last = (int64_t)floor(high / step + 1e-9);
    int64_t largest = llabs(first) > llabs(last) ? first : last;
    int magnitude = exponent + digits_of(largest * digit) - 1;
    /* Large and small numbers are counted in a power of ten, unless they differ in late digits only. */
    bool plain = magnitude <= 5 && exponent >= -5;
    bool late = magnitude - exponent > 5 && magnitude <= 15 && exponent >= -12;
    axis->factor = plain || late ? 0 : magnitude;
    for (int64_t i = first; i <= last && axis->count < ND__MAX_TICKS; i++) {
        double value = (double)i * step;
        nd__label *l = add_tick(axis, axis->log ? nd__axis_place(axis, value) : part(value, axis->low, axis->high));
        if (l)
            write_number(l->text, sizeof l->text, i * digit, exponent - axis->factor);
    }
}

static void make_linear(nd__axis *axis, double least, double most, bool whole, int about)
{
    /* Values that are all the same, or nearly: the digits that tell them apart are no use on an axis. */
    double size = fmax(fabs(least), fabs(most)), smallest = fmax(size * 1e-12, 1e-290);
    if (most - least < smallest) {
        double around = size < 1e-280 ? 1 : size * 0.1;
        least -= around;
        most += around;
    }
    double more = (most / 2 - least / 2) * 2 * room;
    axis->low = fmax(least - more, -DBL_MAX);
    axis->high = fmin(most + more, DBL_MAX);
    add_round_ticks(axis, axis->low, axis->high, whole, about);
}

/* -- logarithmic -------------------------------------------------------------------------------------------------- */

/* Powers of ten, and small ticks between them. */
static void add_decades(nd__axis *axis, int first, int last, int about)
{
    int exponent, stride = 1;
    if (last - first > about) {
        stride = (int)round_step((double)(last - first) / about, &exponent);
        for (; exponent > 0; exponent--)
            stride *= 10;
    }
    bool plain = first >= -4 && last <= 5;
    for (int decade = first - 1; decade <= last; decade++) {
        nd__label *l = decade % stride == 0 || stride <= 5 ? add_tick(axis, part(decade, axis->low, axis->high)) : NULL;
        if (l && decade % stride == 0) {
            if (plain)
                write_number(l->text, sizeof l->text, 1, decade);
            else
                *l = (nd__label){.has_power = true, .exponent = decade};
        }
        for (int digit = 2; digit <= 9 && stride == 1; digit++)
            add_tick(axis, part(decade + log10(digit), axis->low, axis->high));
    }
}

/* 1, 2 and 5 times powers of ten. */
static void add_125(nd__axis *axis, int first, int last)
{
    static const int digits[] = {1, 2, 5};
    for (int decade = first; decade <= last; decade++)
        for (int i = 0; i < 3; i++) {
            nd__label *l = add_tick(axis, part(decade + log10(digits[i]), axis->low, axis->high));
            if (!l)
                continue;
            if (decade >= -4 && decade <= 5)
                write_number(l->text, sizeof l->text, digits[i], decade);
            else {
                snprintf(l->text, sizeof l->text, "%d\xC3\x97", digits[i]);
                l->has_power = true;
                l->exponent = decade;
            }
        }
}

static void make_log(nd__axis *axis, double least, double most, int about)
{
    double low = log10(least), high = log10(most);
    if (high - low < 1e-9) {
        low -= 0.5;
        high += 0.5;
    }
    axis->low = low - (high - low) * room;
    axis->high = high + (high - low) * room;
    int first = (int)ceil(axis->low - 1e-9), last = (int)floor(axis->high + 1e-9);
    if (last > first)
        add_decades(axis, first, last, about);
    else if (axis->high - axis->low > 0.7)
        add_125(axis, first - 1, last + 1);
    else
        add_round_ticks(axis, pow(10, axis->low), pow(10, axis->high), false, about);
}

void nd__axis_make(nd__axis *axis, double least, double most, bool log, bool whole, int about)
{
    *axis = (nd__axis){.log = log};
    if (log)
        make_log(axis, least, most, about);
    else
        make_linear(axis, least, most, whole, about);
}
