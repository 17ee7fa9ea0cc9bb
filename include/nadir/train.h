/* The training loop: a compiled step, driven over a data set.
 *
 *     nd_history *h = nd_train(p, "step", state, train, &(nd_train_options){
 *         .batch = 32, .epochs = 5, .shuffle_seed = 1, .progress = stdout, .plot = "loss.svg"});
 *     if (nd_history_status(h) != ND_OK)
 *         fprintf(stderr, "%s\n", nd_history_error(h));
 *     double accuracy;
 *     nd_accuracy(p, "predict", state, held, &(nd_predict_options){.batch = 256}, "y", &accuracy);
 *
 * Arrays of the data set meet inputs of the function by name. The number of rows in a batch is bound to the named
 * dimension "B"; the last batch of an epoch, which may be smaller, runs through the same program specialised to its
 * size. A program without that dimension runs its own size only.
 *
 * Ctrl-C: with `signals` the training stops after the step that runs, writes its files and returns; with `checkpoint`
 * and `resume` the next run goes on from there:
 *
 *     int number = nd_history_signal(h);
 *     ... destroy everything ...
 *     if (number)
 *         raise(number);
 */
#ifndef NADIR_TRAIN_H
#define NADIR_TRAIN_H

#include "nadir/base.h"
#include "nadir/data.h"
#include "nadir/program.h"
#include "nadir/tensor.h"

#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* -- training ----------------------------------------------------------------------------------------------------- */

/* How a training went. */
typedef struct nd_history nd_history;

typedef struct nd_train_options {
    /* What is run. */
    int64_t batch;               /* rows of a batch; at least 1 */
    int64_t epochs;              /* at least 1, or 0 where `steps` says how long: */
    int64_t steps;               /* in all; the last epoch may be a part of one, and counts as whole below */
    uint64_t shuffle_seed;       /* of the order of rows (nd_batches_create); 0: the order of the data set */
    const char *dimension;       /* the named dimension of the batch; NULL: "B" */
    const char *labels;          /* with `classes`: the array to be checked before training; NULL: "y" */
    int64_t classes;             /* how many labels there are; 0: not checked */
    const nd_parallel *parallel; /* who runs the chunks of large kernels, as nd_call_set_parallel: nd_pool_parallel of a
                                  * pool, or the host's own, alive until this returns; NULL: this thread alone. The
                                  * bits are the same. ND_ERR_ARGUMENT where it has no `run` or no worker. */

    /* Validation after each epoch: the loss and the other numbers of a function that updates nothing, over a data set
     * of its own, followed as "val_loss" and so on. */
    nd_dataset *validation; /* NULL: none */
    const char *validate;   /* the function; NULL: "eval" */

    /* What ends it before its epochs are over. A loss that is NaN or infinite does, or a variable of floats that the
     * function sets and that was finite at first, with ND_ERR_DATA; the checkpoint is then not written. The loss is
     * looked at after every step; the variables when the loss is bad, after every epoch, and in between as often as
     * two thousandths of the time allow, when a copy of the state is taken, too. To find the first step that made such
     * a number, the steps since that copy are run again; then nd_call_explain looks at that step. The message says all
     * of it:
     *
     *     step: the loss is NaN in batch 3/5 of epoch 2/9
     *       note: before that, the variable "scale" becomes infinite in batch 2/5 of epoch 2/9
     *       mlp.c:31: div %12 gives inf at [3], f32[8], of which 2 elements are not finite
     *       note: operand 0, ... */
    bool any_loss;            /* look at none of this; takes no copies */
    int64_t patience;         /* epochs in a row without a lower loss (of the validation, if there is one); 0: any */
    double seconds;           /* a time limit, looked at after every step; 0: none */
    bool (*stop)(void *self); /* asked after every step whether to stop there; NULL: never */
    void *stop_self;
    bool signals; /* SIGINT and SIGTERM, unless the process ignores them: caught while it trains, for the whole process
                   * (ND_ERR_STATE for a second training that wants to). The first one stops it as `stop` does, the
                   * same one again ends the process. */
    bool (*after_epoch)(void *self, const nd_history *so_far); /* called after every epoch; true stops; NULL: nothing */
    void *after_epoch_self;

    /* What is shown and kept. */
    FILE *progress;         /* a live line on a terminal, a line for each epoch elsewhere: numbers, steps per second,
                             * time (left); NULL: silence */
    bool every_step;        /* keep the loss of every step in the history */
    bool keep_best;         /* leave in the state what it was after the epoch with the lowest loss */
    const char *history;    /* files written at the end: the history (CSV, or JSON lines if its name ends in .jsonl), */
    const char *plot;       /* the loss (SVG), */
    const char *checkpoint; /* and the state with the place where the training stands (safetensors); NULL: none */
    int64_t checkpoint_every; /* write that one after every so many epochs, too; 0: at the end only */

    /* Where it begins: training on gives the same bits as never having stopped. What is looked back at begins anew:
     * keep_best and patience know of no epoch before, and the files of history and plot have only those that this
     * training ran. */
    bool resume;        /* with the state and at the step of the file `checkpoint`, where there is one */
    int64_t first_step; /* otherwise here: nd_history_next_step of the run that left `state` as it is */
} nd_train_options;

/* Trains: runs `function` on every batch of every epoch. Its output 0 is the loss, a float of one element: the mean
 * over the batch; other outputs with one number are followed as well. Everything is checked before the first step:
 * ND_ERR_ARGUMENT for a batch size or a number of epochs (or steps) below 1, an input without an array, shapes that do
 * not fit, a checkpoint of other batches; ND_ERR_DATA for labels out of range, a data set without rows, a checkpoint of
 * another model; ND_ERR_IO for files that cannot be written. Always gives a history (NULL: out of memory for that),
 * which the caller destroys; what happened before an error is in it. */
ND_API nd_history *nd_train(nd_program *program, const char *function, nd_state *state, nd_dataset *dataset,
                            const nd_train_options *options);

ND_API void nd_history_destroy(nd_history *history);
ND_API nd_status nd_history_status(const nd_history *history); /* NULL: ND_ERR_MEMORY */
ND_API const char *nd_history_error(const nd_history *history);
/* Epochs that were run, the one in which a training was stopped included. Number 0 is the first one that this training
 * ran, which is another one than the first of all where it was resumed. */
ND_API int64_t nd_history_epochs(const nd_history *history);
/* What is followed: 0 is the loss. */
ND_API int nd_history_column_count(const nd_history *history);
ND_API const char *nd_history_column_name(const nd_history *history, int column); /* "" if it is not there */
/* The mean of a column over the rows of an epoch (those that were run); NaN if it is not there. */
ND_API double nd_history_value(const nd_history *history, int64_t epoch, int column);
/* nd_history_value(history, epoch, 0). */
ND_API double nd_history_loss(const nd_history *history, int64_t epoch);
/* The epoch with the lowest loss (of the validation, if there was one); -1: there is none. */
ND_API int64_t nd_history_best_epoch(const nd_history *history);
/* The loss of each step, where the options asked for it: their number, and one by one (NaN if it is not there). */
ND_API int64_t nd_history_step_count(const nd_history *history);
ND_API double nd_history_step_loss(const nd_history *history, int64_t step);
/* The step to resume from. */
ND_API int64_t nd_history_next_step(const nd_history *history);
/* The signal that came while it trained, where the options asked for signals; 0: none. */
ND_API int nd_history_signal(const nd_history *history);
/* Seconds spent in the steps themselves, and in the whole loop (gathering and progress included). */
ND_API double nd_history_step_seconds(const nd_history *history);
ND_API double nd_history_seconds(const nd_history *history);
/* One line for each epoch: its number counted from 1 (over all, also where the training was resumed), the columns,
 * seconds. The message of an error is the history's, here and below. */
ND_API nd_status nd_history_write_csv(nd_history *history, const char *path);
/* The same as one JSON object for each line; what is not finite is null. */
ND_API nd_status nd_history_write_jsonl(nd_history *history, const char *path);
/* The loss over the epochs, and over the steps where they are kept. */
ND_API nd_status nd_history_write_svg(nd_history *history, const char *path);

/* -- using the trained model -------------------------------------------------------------------------------------- */

typedef struct nd_predict_options {
    int64_t batch;               /* rows at a time; 0: all at once, or the program's own size if it runs no other */
    const char *dimension;       /* NULL: "B" */
    const nd_parallel *parallel; /* as for training */
} nd_predict_options;

/* Runs `function` over the data set in order: its output 0, [B, ...] for each batch, for all rows: [rows, ...]. A
 * tensor for the caller to destroy. `options` may be NULL. */
ND_API nd_tensor *nd_predict(nd_program *program, const char *function, nd_state *state, nd_dataset *dataset,
                             const nd_predict_options *options);
/* The part of rows in which the largest of the predictions (nd_predict: [rows, classes]; the first of equal ones) is at
 * the place that the integer array `labels` says. The message of an error is the data set's. */
ND_API nd_status nd_accuracy(nd_program *program, const char *function, nd_state *state, nd_dataset *dataset,
                             const nd_predict_options *options, const char *labels, double *accuracy);

#ifdef __cplusplus
}
#endif
#endif
