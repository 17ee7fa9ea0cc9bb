/* How long something takes. */
#ifndef NADIR_CLI_TIMING_H
#define NADIR_CLI_TIMING_H

/* One run, in seconds. */
typedef struct nd__timing {
    double median, p10;
} nd__timing;

/* Runs it for about that many seconds, in many short samples. */
nd__timing nd__time(void (*run)(void *self), void *self, double seconds);
/* "12.3 us" */
const char *nd__time_text(char text[16], double seconds);

#endif
