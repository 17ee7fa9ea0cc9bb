/* The equality of the bit contract (doc/bits.md): the same bits, except that any NaN equals any NaN. All suites compare
 * with this one. */
#ifndef TESTS_BITS_H
#define TESTS_BITS_H

#include "nadir/base.h"

/* The number of the first of `count` elements that differs; -1: none. */
int64_t bits_difference(nd_dtype dtype, int64_t count, const void *a, const void *b);

/* Fails the running Check test if an element differs, with what was compared, the element's number and both values. */
#define ck_assert_bits(what, dtype, count, a, b) bits_assert(__FILE__, __LINE__, what, dtype, count, a, b)
void bits_assert(const char *file, int line, const char *what, nd_dtype dtype, int64_t count, const void *a,
                 const void *b);

/* Element i as text, floats in hexadecimal: into `text`, of 64 bytes or more, which it gives back. */
char *bits_show(char *text, nd_dtype dtype, const void *elements, int64_t i);

#endif
