/* The progress of a training: a live line on a terminal, a line for each epoch elsewhere. */
#ifndef NADIR_RUNTIME_PROGRESS_H
#define NADIR_RUNTIME_PROGRESS_H

#include "nadir/base.h"
#include "runtime/text.h"

#include <stdio.h>

/* What a line shows. */
typedef struct nd__progress_line {
    int64_t epoch, epochs; /* counted from 1 */
    int64_t step, steps;   /* of the epoch: done, and in all */
    int column_count;
    char *const *names; /* those whose last word is "acc" or "accuracy" are shown in percent */
    const double *values;
    double rate;    /* steps per second; 0 or infinite: unknown */
    double seconds; /* that are left, or (`over`) that the epoch took; below 0: unknown */
    bool over;      /* the epoch is */
} nd__progress_line;

/* "epoch 3/5  ━━━━━╸────  1240/1875  loss 0.0912  acc 97.3 %  5720/s  0.11 s left" without a newline, with a bar that
 * fits into `width` columns (0: without one). */
void nd__progress_text(nd__text *text, const nd__progress_line *line, int width);

typedef struct nd__progress {
    FILE *file; /* NULL: silence */
    bool live;
    double next; /* when the line is drawn again */
} nd__progress;

void nd__progress_begin(nd__progress *progress, FILE *file);
/* Whether it is time to draw; `now` from nd__platform_seconds. */
static inline bool nd__progress_is_due(const nd__progress *progress, double now)
{
    return progress->live && now >= progress->next;
}
/* Draws the line; lines of an epoch that is over stay. */
void nd__progress_show(nd__progress *progress, const nd__progress_line *line, double now);
/* Says why it ended. */
void nd__progress_note(const nd__progress *progress, const char *note);

#endif
