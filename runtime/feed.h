/* A function that is run over a data set: its inputs bound to batches, one call for whole batches and one for the
 * smaller last one of an epoch. */
#ifndef NADIR_RUNTIME_FEED_H
#define NADIR_RUNTIME_FEED_H

#include "nadir/data.h"
#include "nadir/program.h"
#include "runtime/message.h"

/* The batches of two sizes. */
enum { ND__WHOLE, ND__LAST, ND__SIZES };

typedef struct nd__feed_options {
    const char *function;
    int64_t batch;               /* 0: all rows at once, or the program's own number of rows if it knows no other */
    const char *dimension;       /* NULL: "B" */
    uint64_t seed;               /* of the order of rows */
    const nd_parallel *parallel; /* NULL: none */
} nd__feed_options;

typedef struct nd__feed {
    nd_dataset *arrays; /* views of those that the function takes */
    nd_batches *batches;
    int64_t batch, rows[ND__SIZES]; /* rows: 0, there is no batch of this size */
    nd_call *calls[ND__SIZES];
    nd_tensor **outputs[ND__SIZES];
    int output_count;
} nd__feed;

/* Checks everything and binds. On an error `message` has it, and nothing is to be closed. */
nd_status nd__feed_open(nd__feed *feed, nd_program *program, nd_state *state, const nd_dataset *dataset,
                        const nd__feed_options *options, nd__message *message);
void nd__feed_close(nd__feed *feed);
/* Gathers batch number `step`, counted over all epochs, and says of which size it is: what to run. */
int nd__feed_gather(nd__feed *feed, int64_t step);

#endif
