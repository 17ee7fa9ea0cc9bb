/* The training loop. What can fail or allocate happens before it or between epochs; a step gathers, runs, adds a few
 * numbers and looks at the clock. */
#include "nadir/train.h"

#include "runtime/dataset.h"
#include "runtime/feed.h"
#include "runtime/file.h"
#include "runtime/history.h"
#include "runtime/platform.h"
#include "runtime/progress.h"
#include "runtime/state_file.h"
#include "runtime/tensor.h"
#include "runtime/watch.h"

#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* The numbers among a function's outputs, and their means. */
typedef struct means {
    int count, *outputs; /* numbers of the outputs */
    double *sums;        /* over rows */
    int64_t rows;
} means;

typedef struct training {
    nd_history *history;
    nd_program *program;
    nd_state *state;
    nd_dataset *dataset;
    const char *function;
    nd_train_options options;
    nd__feed feed, validation;
    means train, validate;
    int64_t step, total; /* the next step, and one past the last */
    int64_t epochs;      /* in which those are */
    double *values;      /* of all columns, to be shown */
    nd__watch watch;
    nd__progress progress;
    double begin, epoch_begin;
    int64_t epoch_first; /* the step at which the epoch was begun here */
    double best;         /* the lowest loss of an epoch */
    int64_t since_best;
    unsigned char *best_block; /* the state after that epoch; NULL: not kept */
    const char *ended;         /* why, in words; NULL: it goes on */
} training;

#define FAIL(t, ...) nd__message_set(&(t)->history->message, __VA_ARGS__)

/* -- checks before the first step --------------------------------------------------------------------------------- */

static nd_status check_options(training *t)
{
    const nd_train_options *o = &t->options;
    if (o->batch < 1)
        return FAIL(t, ND_ERR_ARGUMENT, "batches of %lld rows: a batch has at least 1", (long long)o->batch);
    if (o->epochs != 0 && o->steps != 0)
        return FAIL(t, ND_ERR_ARGUMENT, "%lld epochs and %lld steps: a training has a number of one or the other",
                    (long long)o->epochs, (long long)o->steps);
    if (o->steps < 0)
        return FAIL(t, ND_ERR_ARGUMENT, "%lld steps: a training has at least 1", (long long)o->steps);
    if (o->steps == 0 && o->epochs < 1)
        return FAIL(t, ND_ERR_ARGUMENT, "%lld epochs: a training has at least 1", (long long)o->epochs);
    if (o->first_step < 0)
        return FAIL(t, ND_ERR_ARGUMENT, "the first step is %lld: steps are counted from 0", (long long)o->first_step);
    if (o->resume && !o->checkpoint)
        return FAIL(t, ND_ERR_ARGUMENT, "nothing to resume from: the checkpoint is NULL");
    if (o->checkpoint_every != 0 && !o->checkpoint)
        return FAIL(t, ND_ERR_ARGUMENT, "a checkpoint after every %lld epochs: its file is NULL",
                    (long long)o->checkpoint_every);
    return ND_OK;
}

static nd_status check_labels(training *t, nd_dataset *dataset)
{
    const char *labels = t->options.labels ? t->options.labels : "y";
    if (t->options.classes == 0 || nd_dataset_status(dataset) != ND_OK)
        return ND_OK; /* what is wrong with the data set itself is said by the feed */
    nd_status status = nd_dataset_check_labels(dataset, labels, t->options.classes);
    return status == ND_OK ? ND_OK : FAIL(t, status, "%s", nd_dataset_error(dataset));
}

static nd_status check_files(training *t)
{
    const char *const paths[] = {t->options.history, t->options.plot, t->options.checkpoint};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        if (paths[i] && nd__writer_check(paths[i], &t->history->message) != ND_OK)
            return t->history->message.status;
    return ND_OK;
}

/* A checkpoint has all variables: one that nobody ever sets would be noticed when the training is over. */
static nd_status check_variables(training *t)
{
    const nd_program_info *info = &t->program->info;
    const nd_program_function_info *f = &info->functions[nd_program_function_index(t->program, t->function)];
    for (int i = 0; t->options.checkpoint && t->state && i < info->variable_count; i++) {
        bool set = t->state->is_set[i];
        for (int k = 0; k < f->update_count && !set; k++)
            set = f->updates[k] == i;
        if (!set)
            return FAIL(t, ND_ERR_STATE, "%s: the variable \"%s\" was never set, so that no checkpoint can be written",
                        t->options.checkpoint, info->variables[i].port.name);
    }
    return ND_OK;
}

/* -- columns ------------------------------------------------------------------------------------------------------ */

/* Finds the outputs with one number and makes columns of them. */
static nd_status make_means(training *t, means *m, const nd__feed *feed, const char *function, const char *prefix)
{
    nd_tensor *const *outputs = feed->outputs[feed->rows[ND__WHOLE] > 0 ? ND__WHOLE : ND__LAST];
    int index = nd_program_function_index(t->program, function);
    char type[ND__TYPE_TEXT];
    if (feed->output_count == 0)
        return FAIL(t, ND_ERR_ARGUMENT, "%s: the function has no output: output 1 is the loss", function);
    if (!nd_dtype_is_float(outputs[0]->dtype) || outputs[0]->count != 1)
        return FAIL(t, ND_ERR_ARGUMENT, "%s: output 1 \"%s\" is the loss, one float, but it is %s", function,
                    nd_program_output(t->program, index, 0).name,
                    nd__type_text(type, sizeof type, outputs[0]->dtype, outputs[0]->shape));
    m->outputs = calloc((size_t)feed->output_count, sizeof *m->outputs);
    m->sums = calloc((size_t)feed->output_count, sizeof *m->sums);
    bool good = m->outputs && m->sums;
    for (int i = 0; good && i < feed->output_count; i++)
        if (outputs[i]->count == 1) {
            m->outputs[m->count++] = i;
            good = nd__history_add_column(t->history, prefix, nd_program_output(t->program, index, i).name);
        }
    return good ? ND_OK : FAIL(t, ND_ERR_MEMORY, "out of memory for the history");
}

/* Adds the outputs of a batch; gives its loss. */
static double add_to_means(means *m, const nd__feed *feed, int size)
{
    double loss = nd_tensor_get(feed->outputs[size][0], 0), rows = (double)feed->rows[size];
    m->sums[0] += loss * rows;
    for (int i = 1; i < m->count; i++)
        m->sums[i] += nd_tensor_get(feed->outputs[size][m->outputs[i]], 0) * rows;
    m->rows += feed->rows[size];
    return loss;
}

static void take_means(const means *m, double *values)
{
    for (int i = 0; i < m->count; i++)
        values[i] = m->sums[i] / (double)m->rows;
}

static void clear_means(means *m)
{
    memset(m->sums, 0, (size_t)m->count * sizeof *m->sums);
    m->rows = 0;
}

/* -- checkpoints -------------------------------------------------------------------------------------------------- */

/* What of a training the order of its steps depends on; kept beside the variables. */
enum { STEP, ROWS, BATCH, SEED, PLACES };
static const char *const place_names[PLACES] = {"nadir.step", "nadir.rows", "nadir.batch", "nadir.shuffle_seed"};

static void take_place(const training *t, uint64_t place[PLACES])
{
    place[STEP] = (uint64_t)t->step;
    place[ROWS] = (uint64_t)nd_dataset_rows(t->dataset);
    place[BATCH] = (uint64_t)t->options.batch;
    place[SEED] = t->options.shuffle_seed;
}

static nd_status save_checkpoint(training *t)
{
    uint64_t place[PLACES];
    char texts[PLACES][24];
    nd__pair pairs[PLACES];
    take_place(t, place);
    for (int i = 0; i < PLACES; i++) {
        snprintf(texts[i], sizeof texts[i], "%" PRIu64, place[i]);
        pairs[i] = (nd__pair){place_names[i], texts[i]};
    }
    nd_status status = nd__state_save(t->state, t->options.checkpoint, PLACES, pairs);
    return status == ND_OK ? ND_OK : FAIL(t, status, "%s", nd_state_error(t->state));
}

/* Looks whether a file continues this training, and where. */
static nd_status match_checkpoint(training *t, const nd__safetensors *s)
{
    uint64_t own[PLACES];
    take_place(t, own);
    for (int i = 0; i < PLACES; i++) {
        const char *text = nd__safetensors_metadata(s, place_names[i]);
        char *end;
        uint64_t value = text ? strtoull(text, &end, 10) : 0;
        if (!text || !*text || *end)
            return FAIL(t, ND_ERR_DATA, "%s: the file does not say at which step a training stands (%s)",
                        t->options.checkpoint, place_names[i]);
        if (i == STEP && value > INT64_MAX)
            return FAIL(t, ND_ERR_DATA, "%s: step %" PRIu64 " is none", t->options.checkpoint, value);
        if (i == STEP)
            t->step = (int64_t)value;
        else if (value != own[i])
            return FAIL(t, ND_ERR_ARGUMENT,
                        "%s was made by a training in another order: %s is %" PRIu64 " there and %" PRIu64 " here",
                        t->options.checkpoint, strchr(place_names[i], '.') + 1, value, own[i]);
    }
    return ND_OK;
}

static nd_status load_checkpoint(training *t)
{
    if (!t->options.resume || !nd__platform_exists(t->options.checkpoint))
        return ND_OK;
    if (!t->state)
        return FAIL(t, ND_ERR_ARGUMENT, "%s: the state is NULL", t->options.checkpoint);
    nd__safetensors s;
    if (nd__safetensors_read(t->options.checkpoint, &s, &t->history->message) != ND_OK)
        return t->history->message.status;
    nd_status status = nd__state_match(t->state, t->options.checkpoint, &s);
    if (status != ND_OK)
        FAIL(t, status, "%s", nd_state_error(t->state));
    else
        status = match_checkpoint(t, &s);
    if (status == ND_OK)
        nd__state_take(t->state, &s);
    nd__safetensors_release(&s);
    return status;
}

/* -- preparing ---------------------------------------------------------------------------------------------------- */

static nd_status open_feeds(training *t)
{
    nd__message *message = &t->history->message;
    nd__feed_options fed = {t->function, t->options.batch, t->options.dimension, t->options.shuffle_seed,
                            t->options.parallel};
    if (nd__feed_open(&t->feed, t->program, t->state, t->dataset, &fed, message) != ND_OK)
        return message->status;
    if (make_means(t, &t->train, &t->feed, t->function, "") != ND_OK || !t->options.validation)
        return message->status;
    fed.function = t->options.validate ? t->options.validate : "eval";
    fed.seed = 0;
    if (nd__feed_open(&t->validation, t->program, t->state, t->options.validation, &fed, message) != ND_OK)
        return message->status;
    int index = nd_program_function_index(t->program, fed.function);
    if (t->program->info.functions[index].update_count > 0)
        return FAIL(t, ND_ERR_ARGUMENT, "%s: the function updates variables, so that validating would train",
                    fed.function);
    t->history->watched = t->history->column_count;
    return make_means(t, &t->validate, &t->validation, fed.function, "val_");
}

static nd_status prepare(training *t)
{
    nd_history *h = t->history;
    if (check_options(t) != ND_OK || check_labels(t, t->dataset) != ND_OK ||
        (t->options.validation && check_labels(t, t->options.validation) != ND_OK) || open_feeds(t) != ND_OK ||
        check_files(t) != ND_OK)
        return h->message.status;
    h->steps_per_epoch = nd_batches_per_epoch(t->feed.batches);
    if (t->options.epochs > INT64_MAX / h->steps_per_epoch)
        return FAIL(t, ND_ERR_ARGUMENT, "%lld epochs of %lld steps are too many", (long long)t->options.epochs,
                    (long long)h->steps_per_epoch);
    t->total = t->options.steps > 0 ? t->options.steps : t->options.epochs * h->steps_per_epoch;
    t->epochs = (t->total - 1) / h->steps_per_epoch + 1;
    t->step = t->options.first_step;
    if (load_checkpoint(t) != ND_OK || check_variables(t) != ND_OK)
        return h->message.status;
    h->first_step = h->next_step = t->step;
    h->first_epoch = t->step / h->steps_per_epoch;
    h->keep_steps = t->options.every_step;
    t->values = calloc((size_t)h->column_count, sizeof *t->values);
    if (t->options.keep_best && t->state)
        t->best_block = malloc(t->program->info.state_size + 1);
    int function = nd_program_function_index(t->program, t->function);
    if (!t->values || (t->options.keep_best && t->state && !t->best_block) ||
        (!t->options.any_loss && !nd__watch_begin(&t->watch, t->program, function, t->state, t->step)))
        return FAIL(t, ND_ERR_MEMORY, "out of memory for the training");
    return ND_OK;
}

/* -- the loop ----------------------------------------------------------------------------------------------------- */

/* Whether the step before ends an epoch, or what there is of the last one. */
static bool is_whole(const training *t)
{
    return t->step % t->history->steps_per_epoch == 0 || t->step == t->total;
}

/* Draws the line of the epoch that step - 1 belongs to; `over`: for the last time. `trained`: when that step was done.
 */
static void show(training *t, bool over, double trained, double now)
{
    const nd_history *h = t->history;
    int64_t steps = h->steps_per_epoch, done = (t->step - 1) % steps + 1;
    double passed = now - t->begin, left = passed / (double)(t->step - h->first_step) * (double)(t->total - t->step);
    if (t->options.seconds > 0)
        left = fmin(left, fmax(t->options.seconds - passed, 0));
    const nd__progress_line line = {.epoch = (t->step - 1) / steps + 1,
                                    .epochs = t->epochs,
                                    .step = done,
                                    .steps = steps,
                                    .column_count = over && is_whole(t) ? h->column_count : t->train.count,
                                    .names = h->names,
                                    .values = t->values,
                                    .rate = (double)(t->step - t->epoch_first) / (trained - t->epoch_begin),
                                    .seconds = over ? now - t->epoch_begin : left,
                                    .over = over};
    nd__progress_show(&t->progress, &line, now);
}

/* Runs the other function over the validation's data set; its means go behind those of the training. */
static nd_status run_validation(training *t)
{
    nd__feed *feed = &t->validation;
    int64_t steps = nd_batches_per_epoch(feed->batches);
    for (int64_t step = 0; step < steps; step++) {
        int size = nd__feed_gather(feed, step);
        nd_status status = nd_run(feed->calls[size]);
        if (status != ND_OK)
            return FAIL(t, status, "%s", nd_call_error(feed->calls[size]));
        add_to_means(&t->validate, feed, size);
    }
    take_means(&t->validate, t->values + t->train.count);
    clear_means(&t->validate);
    return ND_OK;
}

/* Remembers the best epoch; ends the training where there was none for long enough. */
static void look_at_best(training *t)
{
    double value = t->values[t->history->watched];
    if (value < t->best) {
        t->best = value;
        t->since_best = 0;
        if (t->best_block)
            memcpy(t->best_block, nd__storage_data(t->state->block), t->program->info.state_size);
    } else if (++t->since_best == t->options.patience)
        t->ended = "stopped: no lower loss for as many epochs as patience allows";
}

/* -- numbers that are not finite ---------------------------------------------------------------------------------- */

static const char *bad_name(double value)
{
    return isnan(value) ? "NaN" : "infinite";
}

/* "batch 2/3 of epoch 1/5" */
static void add_step(const training *t, int64_t step, char *text, size_t size)
{
    int64_t steps = t->history->steps_per_epoch;
    snprintf(text, size, "batch %lld/%lld of epoch %lld/%lld", (long long)(step % steps) + 1, (long long)steps,
             (long long)(step / steps) + 1, (long long)t->epochs);
}

/* The first element of a variable that is not finite, in words. */
static const char *bad_variable(const training *t, int variable)
{
    const nd_tensor *v = t->state->tensors[variable];
    for (int64_t i = 0; i < nd_tensor_count(v); i++)
        if (!isfinite(nd_tensor_get(v, i)))
            return bad_name(nd_tensor_get(v, i));
    return "NaN or infinite"; /* after the step that it was found by, not any more */
}

/* Fails the training after step number t->step - 1, which gave this loss, for the loss (variable -1) or a variable. */
static void fail_not_finite(training *t, double loss, int variable)
{
    nd__message *message = &t->history->message;
    const nd_program_info *info = &t->program->info;
    char place[128];
    int earlier = -1;
    int64_t last = t->step - 1, step;
    const char *word = variable >= 0 ? bad_variable(t, variable) : "";
    add_step(t, last, place, sizeof place);
    if (variable < 0)
        nd__message_set(message, ND_ERR_DATA, "%s: the loss is %s in %s", t->function, bad_name(loss), place);
    step = nd__watch_find(&t->watch, &t->feed, last, &earlier);
    if (step >= 0)
        add_step(t, step, place, sizeof place);
    if (earlier >= 0 && earlier != variable)
        word = bad_variable(t, earlier);
    variable = earlier >= 0 ? earlier : variable;
    if (nd_history_status(t->history) == ND_OK)
        nd__message_set(message, ND_ERR_DATA, "%s: the variable \"%s\" becomes %s in %s", t->function,
                        info->variables[variable].port.name, word, place);
    else if (variable >= 0)
        nd__message_add(message, "\n  note: before that, the variable \"%s\" becomes %s in %s",
                        info->variables[variable].port.name, word, place);
    nd__watch_explain(&t->watch, &t->feed, step, last, message);
}

/* After the last step of an epoch, or of the training. */
static void end_epoch(training *t)
{
    nd_history *h = t->history;
    int bad = nd_history_status(h) == ND_OK ? nd__watch_look(&t->watch) : -1;
    if (bad >= 0)
        fail_not_finite(t, 0, bad);
    bool whole = is_whole(t) && nd_history_status(h) == ND_OK;
    double trained = nd__platform_seconds();
    take_means(&t->train, t->values);
    for (int i = t->train.count; i < h->column_count; i++)
        t->values[i] = NAN;
    if (whole && t->options.validation && run_validation(t) != ND_OK)
        whole = false;
    double now = nd__platform_seconds(), *row = nd__history_add_epoch(h);
    show(t, true, trained, now);
    clear_means(&t->train);
    if (!row) {
        if (nd_history_status(h) == ND_OK)
            FAIL(t, ND_ERR_MEMORY, "out of memory for the history");
        return;
    }
    memcpy(row, t->values, (size_t)h->column_count * sizeof *row);
    row[h->column_count] = now - t->epoch_begin;
    h->seconds = now - t->begin;
    if (!whole)
        return;
    look_at_best(t);
    if (t->options.after_epoch && t->options.after_epoch(t->options.after_epoch_self, h))
        t->ended = "stopped after the epoch, as asked";
    int64_t every = t->options.checkpoint_every;
    if (t->options.checkpoint && every > 0 && h->epochs % every == 0 && t->step < t->total && !t->ended)
        save_checkpoint(t);
}

/* Why the training ends after this step, if it does. */
static const char *find_ending(const training *t, double now)
{
    if (t->options.stop && t->options.stop(t->options.stop_self))
        return "stopped, as asked";
    if (t->options.seconds > 0 && now - t->begin >= t->options.seconds)
        return "stopped: the time is over";
    switch (t->options.signals ? nd__platform_signal() : 0) {
    case 0:
        return NULL;
    case SIGINT:
        return "stopped: interrupted";
    default:
        return "stopped: asked to terminate";
    }
}

static void run_epoch(training *t)
{
    nd_history *h = t->history;
    int64_t steps = h->steps_per_epoch, end = (t->step / steps + 1) * steps;
    end = end < t->total ? end : t->total;
    if (!nd__history_reserve(h, end - t->step)) {
        FAIL(t, ND_ERR_MEMORY, "out of memory for the history");
        return;
    }
    t->epoch_begin = nd__platform_seconds();
    t->epoch_first = t->step;
    while (t->step < end && !t->ended) {
        int size = nd__feed_gather(&t->feed, t->step);
        double before = nd__platform_seconds();
        nd_status status = nd_run(t->feed.calls[size]);
        double now = nd__platform_seconds();
        if (status != ND_OK) {
            FAIL(t, status, "%s", nd_call_error(t->feed.calls[size]));
            break;
        }
        h->step_seconds += now - before;
        h->next_step = ++t->step;
        double loss = add_to_means(&t->train, &t->feed, size);
        if (h->keep_steps)
            h->step_losses[h->steps++] = loss;
        int bad = nd__watch_is_due(&t->watch, now) ? nd__watch_copy(&t->watch, t->step) : -1;
        if (bad >= 0 || (!isfinite(loss) && !t->options.any_loss)) {
            fail_not_finite(t, loss, isfinite(loss) ? bad : -1);
            break;
        }
        t->ended = find_ending(t, now);
        if (nd__progress_is_due(&t->progress, now)) {
            take_means(&t->train, t->values);
            show(t, false, now, now);
        }
    }
    if (t->train.rows > 0)
        end_epoch(t);
}

/* -- the end ------------------------------------------------------------------------------------------------------ */

static bool is_jsonl(const char *path)
{
    static const char ending[] = ".jsonl";
    size_t n = strlen(path), m = sizeof ending - 1;
    return n >= m && strcmp(path + n - m, ending) == 0;
}

/* An error before stays the history's, and the checkpoint what it was. */
static void write_files(training *t)
{
    nd_history *h = t->history;
    if (t->options.checkpoint && nd_history_status(h) == ND_OK)
        save_checkpoint(t);
    if (t->options.history && is_jsonl(t->options.history))
        nd_history_write_jsonl(h, t->options.history);
    else if (t->options.history)
        nd_history_write_csv(h, t->options.history);
    if (t->options.plot)
        nd_history_write_svg(h, t->options.plot);
}

static void release(training *t)
{
    nd__feed_close(&t->feed);
    nd__feed_close(&t->validation);
    nd__watch_end(&t->watch);
    free(t->train.outputs);
    free(t->train.sums);
    free(t->validate.outputs);
    free(t->validate.sums);
    free(t->values);
    free(t->best_block);
}

static void run(training *t)
{
    nd_history *h = t->history;
    if (t->options.signals && !nd__platform_catch_signals()) {
        FAIL(t, ND_ERR_STATE, "another training of this process waits for signals already");
        return;
    }
    nd__progress_begin(&t->progress, t->options.progress);
    t->begin = nd__platform_seconds();
    while (t->step < t->total && !t->ended && nd_history_status(h) == ND_OK)
        run_epoch(t);
    if (t->ended)
        nd__progress_note(&t->progress, t->ended);
    write_files(t);
    if (t->best_block && t->best < (double)INFINITY)
        memcpy(nd__storage_data(t->state->block), t->best_block, t->program->info.state_size);
    if (t->options.signals)
        h->signal = nd__platform_release_signals();
}

nd_history *nd_train(nd_program *program, const char *function, nd_state *state, nd_dataset *dataset,
                     const nd_train_options *options)
{
    nd_history *h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    training t = {.history = h,
                  .program = program,
                  .state = state,
                  .dataset = dataset,
                  .function = function,
                  .options = options ? *options : (nd_train_options){0},
                  .best = INFINITY};
    if (!options)
        FAIL(&t, ND_ERR_ARGUMENT, "the options are NULL");
    else if (prepare(&t) == ND_OK)
        run(&t);
    release(&t);
    return h;
}

#undef FAIL
