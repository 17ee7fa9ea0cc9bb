/* What the training loop writes into a history. */
#ifndef NADIR_RUNTIME_HISTORY_H
#define NADIR_RUNTIME_HISTORY_H

#include "nadir/train.h"
#include "runtime/message.h"

struct nd_history {
    nd__message message;
    int column_count;
    char **names;
    int watched; /* the column whose lowest value is the best: the loss, or the validation's */
    int64_t first_epoch, epochs, epoch_room;
    double *values; /* [epochs][column_count + 1], the seconds of the epoch last */
    int64_t first_step, next_step, steps_per_epoch;
    bool keep_steps;
    int64_t steps, step_room;
    double *step_losses;
    double step_seconds, seconds;
    int signal; /* that came; 0: none */
};

/* Adds a column named PREFIX NAME. False: out of memory. */
bool nd__history_add_column(nd_history *history, const char *prefix, const char *name);
/* Adds an epoch and gives its row: the columns, then the seconds. NULL: out of memory. */
double *nd__history_add_epoch(nd_history *history);
/* Room for the losses of n more steps, so that keeping them cannot fail. */
bool nd__history_reserve(nd_history *history, int64_t n);

#endif
