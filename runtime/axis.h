/* The axis of a plot: its range, and the ticks that people would choose. */
#ifndef NADIR_RUNTIME_AXIS_H
#define NADIR_RUNTIME_AXIS_H

#include "nadir/base.h"

/* What stands at a tick: `text`, and 10 to the power `exponent` behind it if `has_power`; "" without a power: a small
 * tick. */
typedef struct nd__label {
    char text[48];
    bool has_power;
    int exponent;
} nd__label;

typedef struct nd__tick {
    double place; /* 0 to 1 along the axis */
    nd__label label;
} nd__tick;

enum { ND__MAX_TICKS = 100 };

typedef struct nd__axis {
    bool log;
    double low, high; /* of the values; their decimal logarithms if `log` */
    int factor;       /* the labels count in units of 10^factor */
    int count;
    nd__tick ticks[ND__MAX_TICKS];
} nd__axis;

/* An axis for values from `least` to `most` (finite; above 0 if `log`), with a little room around them and about so
 * many ticks with labels; at whole numbers if `whole`. */
void nd__axis_make(nd__axis *axis, double least, double most, bool log, bool whole, int about);
/* Where a value lies, 0 to 1. */
double nd__axis_place(const nd__axis *axis, double value);

#endif
