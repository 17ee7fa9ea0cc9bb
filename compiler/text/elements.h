/* Elements of constants as text, exact to the bit. */
#ifndef NADIR_TEXT_ELEMENTS_H
#define NADIR_TEXT_ELEMENTS_H

#include "nadir/base.h"
#include "runtime/text.h"

/* Adds element i: the shortest decimal that reads back as the same bits, "true" or "false", or, where no decimal does
 * (the payload of a NaN), "bits(0x7fc00001)". */
void nd__element_print(nd__text *out, nd_dtype dtype, const void *items, int64_t i);
/* The element of text[0..n): what nd__element_print wrote, apart from bits(). False: it is none of the dtype, or is out
 * of its range. */
bool nd__element_parse(const char *text, size_t n, nd_dtype dtype, void *element);
/* The element with these bits; false where there are too many. */
bool nd__element_of_bits(uint64_t bits, nd_dtype dtype, void *element);
/* A whole number in decimal, or unsigned in hexadecimal after 0x; false: something else, or it does not fit. */
bool nd__whole_parse(const char *text, size_t n, int64_t *value);
bool nd__bits_parse(const char *text, size_t n, uint64_t *value);

#endif
