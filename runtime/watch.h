/* A training's watch over its variables: none that was finite becomes NaN or infinite unnoticed, and the step that did
 * it can be run again, from a copy of the state that is taken every now and then. */
#ifndef NADIR_RUNTIME_WATCH_H
#define NADIR_RUNTIME_WATCH_H

#include "runtime/feed.h"
#include "runtime/message.h"

typedef struct nd__watch {
    nd_state *state; /* NULL: nothing is watched */
    bool *watched;   /* by variable: of floats, set by the function, finite at first */
    void *copy;      /* of the state's block, before step number `step` */
    int64_t step;
    double due; /* when the next copy is */
} nd__watch;

/* Before step number `step`; `state` may be NULL. False: memory ran out, nothing to release. */
bool nd__watch_begin(nd__watch *watch, const nd_program *program, int function, nd_state *state, int64_t step);
void nd__watch_end(nd__watch *watch);
/* Whether it is time for nd__watch_copy; `now` from nd__platform_seconds. */
static inline bool nd__watch_is_due(const nd__watch *watch, double now)
{
    return watch->state && now >= watch->due;
}
/* The first watched variable that is not finite, or -1. */
int nd__watch_look(const nd__watch *watch);
/* The same; where all are finite, copies the state, in which step number `step` is the next. As seldom as to take two
 * thousandths of the time. */
int nd__watch_copy(nd__watch *watch, int64_t step);

/* After step number `last` left the loss or a watched variable not finite: runs again from the copy on to the first
 * step that did, after which *variable is not finite; `last` itself, and -1, where all were finite before it. Below 0:
 * memory ran out. */
int64_t nd__watch_find(nd__watch *watch, nd__feed *feed, int64_t last, int *variable);
/* Adds to `message` what is wrong in step number `step`: rows of the batch that are not finite, the node that makes the
 * first such number. Then the state is again what it was after `last`. */
void nd__watch_explain(nd__watch *watch, nd__feed *feed, int64_t step, int64_t last, nd__message *message);

#endif
