/* Histories: looked at, and written as CSV, JSON lines and plots. */
#include "runtime/history.h"

#include "nadir/plot.h"
#include "runtime/file.h"
#include "runtime/json.h"
#include "runtime/number.h"
#include "runtime/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* -- filling ------------------------------------------------------------------------------------------------------ */

bool nd__history_add_column(nd_history *history, const char *prefix, const char *name)
{
    size_t n = (size_t)history->column_count, a = strlen(prefix), b = strlen(name) + 1;
    char **names = realloc(history->names, (n + 1) * sizeof *names);
    if (names)
        history->names = names;
    char *copy = names ? malloc(a + b) : NULL;
    if (!copy)
        return false;
    memcpy(copy, prefix, a);
    memcpy(copy + a, name, b);
    history->names[history->column_count++] = copy;
    return true;
}

/* Room for `more` more than `count` things of `width` doubles. */
static bool make_room(double **array, int64_t count, int64_t more, int64_t *room, size_t width)
{
    if (count + more <= *room)
        return true;
    int64_t enough = *room > 0 ? *room : 8;
    while (enough < count + more)
        enough *= 2;
    if ((uint64_t)enough > SIZE_MAX / sizeof **array / width)
        return false;
    double *larger = realloc(*array, (size_t)enough * width * sizeof **array);
    if (!larger)
        return false;
    *array = larger;
    *room = enough;
    return true;
}

static size_t row_width(const nd_history *history)
{
    return (size_t)history->column_count + 1;
}

double *nd__history_add_epoch(nd_history *history)
{
    size_t width = row_width(history);
    if (!make_room(&history->values, history->epochs, 1, &history->epoch_room, width))
        return NULL;
    return history->values + (size_t)history->epochs++ * width;
}

bool nd__history_reserve(nd_history *history, int64_t n)
{
    return !history->keep_steps || make_room(&history->step_losses, history->steps, n, &history->step_room, 1);
}

/* -- looking ------------------------------------------------------------------------------------------------------ */

void nd_history_destroy(nd_history *history)
{
    if (!history)
        return;
    for (int i = 0; i < history->column_count; i++)
        free(history->names[i]);
    free(history->names);
    free(history->values);
    free(history->step_losses);
    nd__message_clear(&history->message);
    free(history);
}

nd_status nd_history_status(const nd_history *history)
{
    return history ? history->message.status : ND_ERR_MEMORY;
}

const char *nd_history_error(const nd_history *history)
{
    return history ? nd__message_text(&history->message) : nd_status_text(ND_ERR_MEMORY);
}

int64_t nd_history_epochs(const nd_history *history)
{
    return history ? history->epochs : 0;
}

int nd_history_column_count(const nd_history *history)
{
    return history ? history->column_count : 0;
}

const char *nd_history_column_name(const nd_history *history, int column)
{
    return column >= 0 && column < nd_history_column_count(history) ? history->names[column] : "";
}

double nd_history_value(const nd_history *history, int64_t epoch, int column)
{
    if (epoch < 0 || epoch >= nd_history_epochs(history) || column < 0 || column >= history->column_count)
        return NAN;
    return history->values[(size_t)epoch * row_width(history) + (size_t)column];
}

double nd_history_loss(const nd_history *history, int64_t epoch)
{
    return nd_history_value(history, epoch, 0);
}

int64_t nd_history_best_epoch(const nd_history *history)
{
    int64_t best = -1;
    double lowest = INFINITY;
    for (int64_t epoch = 0; epoch < nd_history_epochs(history); epoch++) {
        double value = nd_history_value(history, epoch, history->watched);
        if (value < lowest) {
            lowest = value;
            best = epoch;
        }
    }
    return best;
}

int64_t nd_history_step_count(const nd_history *history)
{
    return history ? history->steps : 0;
}

double nd_history_step_loss(const nd_history *history, int64_t step)
{
    return step >= 0 && step < nd_history_step_count(history) ? history->step_losses[step] : NAN;
}

int64_t nd_history_next_step(const nd_history *history)
{
    return history ? history->next_step : 0;
}

int nd_history_signal(const nd_history *history)
{
    return history ? history->signal : 0;
}

double nd_history_step_seconds(const nd_history *history)
{
    return history ? history->step_seconds : 0;
}

double nd_history_seconds(const nd_history *history)
{
    return history ? history->seconds : 0;
}

/* -- files -------------------------------------------------------------------------------------------------------- */

static double epoch_seconds(const nd_history *history, int64_t epoch)
{
    return history->values[((size_t)epoch + 1) * row_width(history) - 1];
}

/* A name with what CSV has quotes for (RFC 4180). */
static void add_csv_name(nd__text *text, const char *name)
{
    if (!strpbrk(name, ",\"\r\n")) {
        nd__text_add(text, ",%s", name);
        return;
    }
    nd__text_add(text, ",\"");
    for (; *name; name++)
        nd__text_add(text, *name == '"' ? "\"\"" : "%c", *name);
    nd__text_add(text, "\"");
}

static void add_csv(nd__text *text, const nd_history *h)
{
    char number[ND__NUMBER_TEXT];
    nd__text_add(text, "epoch");
    for (int i = 0; i < h->column_count; i++)
        add_csv_name(text, h->names[i]);
    nd__text_add(text, ",seconds\n");
    for (int64_t epoch = 0; epoch < h->epochs; epoch++) {
        nd__text_add(text, "%lld", (long long)(h->first_epoch + epoch + 1));
        for (int i = 0; i < h->column_count; i++)
            nd__text_add(text, ",%s", nd__number_text(number, nd_history_value(h, epoch, i), false));
        nd__text_add(text, ",%s\n", nd__number_text(number, epoch_seconds(h, epoch), false));
    }
}

static void add_jsonl(nd__text *text, const nd_history *h)
{
    char number[ND__NUMBER_TEXT];
    for (int64_t epoch = 0; epoch < h->epochs; epoch++) {
        nd__text_add(text, "{\"epoch\":%lld", (long long)(h->first_epoch + epoch + 1));
        for (int i = 0; i < h->column_count; i++) {
            double value = nd_history_value(h, epoch, i);
            nd__text_add(text, ",");
            nd__json_add_string(text, h->names[i]);
            nd__text_add(text, ":%s", isfinite(value) ? nd__number_text(number, value, false) : "null");
        }
        nd__text_add(text, ",\"seconds\":%s}\n", nd__number_text(number, epoch_seconds(h, epoch), false));
    }
}

/* Writes what `add` makes of the history. An earlier error of the history stays what it is. */
static nd_status write_text(nd_history *history, const char *path, void (*add)(nd__text *, const nd_history *))
{
    if (!history)
        return ND_ERR_MEMORY;
    nd__message message = {ND_OK, NULL};
    nd__text text = {0};
    nd__writer writer;
    add(&text, history);
    nd_status status = text.failed ? nd__message_set(&message, ND_ERR_MEMORY, "out of memory for the history")
                                   : nd__writer_open(&writer, path, &message);
    if (status == ND_OK) {
        if (text.used > 0)
            nd__writer_elements(&writer, text.data, text.used, 1);
        status = nd__writer_close(&writer, true, &message);
    }
    if (status != ND_OK && history->message.status == ND_OK)
        nd__message_set(&history->message, status, "%s", nd__message_text(&message));
    nd__message_clear(&message);
    nd__text_release(&text);
    return status;
}

nd_status nd_history_write_csv(nd_history *history, const char *path)
{
    return write_text(history, path, add_csv);
}

nd_status nd_history_write_jsonl(nd_history *history, const char *path)
{
    return write_text(history, path, add_jsonl);
}

/* -- the plot ----------------------------------------------------------------------------------------------------- */

/* The curves of a history over the epochs; beside those of the steps, a mean stands in the middle of its steps and a
 * validation at their end. */
typedef struct curves {
    double *memory, *step_x, *mean_x, *end_x, *mean, *validation;
} curves;

static bool make_curves(const nd_history *h, curves *c)
{
    size_t steps = (size_t)h->steps, epochs = (size_t)h->epochs;
    c->memory = malloc((steps + 4 * epochs + 1) * sizeof *c->memory);
    if (!c->memory)
        return false;
    c->step_x = c->memory;
    c->mean_x = c->step_x + steps;
    c->end_x = c->mean_x + epochs;
    c->mean = c->end_x + epochs;
    c->validation = c->mean + epochs;
    for (int64_t i = 0; i < h->steps; i++)
        c->step_x[i] = (double)(h->first_step + i + 1);
    for (int64_t i = 0; i < h->epochs; i++) {
        double epoch = (double)(h->first_epoch + i), steps_each = (double)h->steps_per_epoch,
               begin = fmax(epoch * steps_each, (double)h->first_step),
               end = fmin((epoch + 1) * steps_each, (double)h->next_step);
        c->mean_x[i] = h->steps > 0 ? (begin + 1 + end) / 2 : epoch + 1;
        c->end_x[i] = h->steps > 0 ? end : epoch + 1;
        c->mean[i] = nd_history_loss(h, i);
        c->validation[i] = nd_history_value(h, i, h->watched);
    }
    return true;
}

/* Losses that fall by orders of magnitude are told apart on a logarithmic axis only. */
static bool spans_decades(const nd_series *series, int count)
{
    double low = INFINITY, high = 0;
    for (int k = 0; k < count; k++)
        for (int64_t i = 0; i < series[k].count; i++)
            if (isfinite(series[k].y[i])) {
                low = fmin(low, series[k].y[i]);
                high = fmax(high, series[k].y[i]);
            }
    return low > 0 && high > 100 * low;
}

nd_status nd_history_write_svg(nd_history *history, const char *path)
{
    if (!history)
        return ND_ERR_MEMORY;
    const nd_history *h = history;
    curves c;
    char message[1024];
    if (!make_curves(h, &c))
        return h->message.status == ND_OK
                   ? nd__message_set(&history->message, ND_ERR_MEMORY, "out of memory for the plot")
                   : ND_ERR_MEMORY;
    bool validated = h->watched > 0, marked = h->epochs <= 50;
    nd_series series[3];
    int count = 0;
    if (h->steps > 0)
        series[count++] = (nd_series){"each step", h->steps, c.step_x, h->step_losses};
    series[count++] = (nd_series){.name = h->steps > 0 ? "mean of the epoch"
                                          : validated  ? "training"
                                                       : NULL,
                                  .count = h->epochs,
                                  .x = c.mean_x,
                                  .y = c.mean,
                                  .points = marked};
    if (validated)
        series[count++] =
            (nd_series){.name = "validation", .count = h->epochs, .x = c.end_x, .y = c.validation, .points = marked};
    const nd_plot plot = {.x_title = h->steps > 0 ? "step" : "epoch",
                          .y_title = nd_history_column_name(h, 0),
                          .series = series,
                          .series_count = count,
                          .log_y = spans_decades(series, count)};
    nd_status status = nd_plot_svg(path, &plot, message, sizeof message);
    if (status != ND_OK && h->message.status == ND_OK)
        nd__message_set(&history->message, status, "%s", message);
    free(c.memory);
    return status;
}
