/* UTF-8, as The Unicode Standard defines it (table 3-7, well-formed byte sequences): nothing overlong, no surrogates.
 */
#ifndef NADIR_RUNTIME_UTF8_H
#define NADIR_RUNTIME_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How many bytes the character at text[0..n) has, 1 to 4; 0: there is none that is well-formed. */
size_t nd__utf8_length(const char *text, size_t n);
/* Whether a text consists of such characters. */
bool nd__utf8_is_valid(const char *text);
/* Writes a character (not a surrogate, at most 10FFFF) and gives its number of bytes. */
size_t nd__utf8_encode(char bytes[4], uint32_t character);

#endif
