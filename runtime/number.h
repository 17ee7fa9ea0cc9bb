/* Numbers to and from text, the same whatever the host program's locale is. */
#ifndef NADIR_RUNTIME_NUMBER_H
#define NADIR_RUNTIME_NUMBER_H

#include "nadir/base.h"

/* A finite number in decimal: 0.d1d2d3... times 10^point. Zero has no digits. */
typedef struct nd__decimal {
    bool negative;
    int count, point;
    char digits[20]; /* '0' to '9', not ended by 0; neither the first nor the last one is '0' */
} nd__decimal;

/* The fewest digits that read back as the same number of its dtype (f32 if `single`). */
nd__decimal nd__decimal_shortest(double value, bool single);
/* The number rounded to `places` digits after the point; `places` at most 8, the number below 1e11 in
 * magnitude: 20 digits in all. */
nd__decimal nd__decimal_rounded(double value, int places);

/* A size for every number's text. */
enum { ND__NUMBER_TEXT = 32 };
/* The shortest text that reads back as the same number: "0.1", "-3", "1e+20", "nan", "inf". Gives `text` back. */
char *nd__number_text(char text[ND__NUMBER_TEXT], double value, bool single);

/* Reads [+-]digits[.digits][(e|E)[+-]digits], nan, inf or infinity in any case from text[0..n), all of it; rounded to
 * nearest. False: it is something else. Beyond the range it gives an infinity or 0. */
bool nd__number_parse(const char *text, size_t n, double *value);

#endif
