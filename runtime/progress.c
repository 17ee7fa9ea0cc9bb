/* Progress lines. */
#include "runtime/progress.h"

#include "runtime/number.h"
#include "runtime/platform.h"
#include "runtime/utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    BAR = 24,         /* columns at most, */
    LEAST_BAR = 8,    /* and at least; no bar where there are fewer */
    USUAL_WIDTH = 80, /* of a terminal that does not say */
};

static const double between_draws = 0.1; /* seconds: faster than this nobody reads */

/* -- numbers ------------------------------------------------------------------------------------------------------ */

/* With a fixed number of places, so that the line does not jump; below 1e6. */
static void add_fixed(nd__text *text, double value, int places)
{
    long long unit = 1;
    for (int i = 0; i < places; i++)
        unit *= 10;
    long long n = llround(fabs(value) * (double)unit);
    nd__text_add(text, "%s%lld", value < 0 && n > 0 ? "-" : "", n / unit);
    if (places > 0)
        nd__text_add(text, ".%0*lld", places, n % unit);
}

/* About four digits. */
static void add_value(nd__text *text, double value)
{
    char number[ND__NUMBER_TEXT];
    double size = fabs(value);
    if (size == 0 || (size >= 0.001 && size < 1e5))
        add_fixed(text, value, size < 10 ? 4 : size < 100 ? 3 : size < 1000 ? 2 : 1);
    else if (isfinite(value)) {
        double unit = pow(10, floor(log10(size)) - 3); /* 0 where `size` is subnormal */
        nd__text_add(text, "%s",
                     nd__number_text(number, unit > 0 ? (double)(float)(round(value / unit) * unit) : value, true));
    } else
        nd__text_add(text, "%s", nd__number_text(number, value, false));
}

static bool is_accuracy(const char *name)
{
    static const char *const words[] = {"acc", "accuracy"};
    size_t n = strlen(name);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t w = strlen(words[i]);
        if (n >= w && strcmp(name + n - w, words[i]) == 0 && (n == w || strchr("_/-. ", name[n - w - 1])))
            return true;
    }
    return false;
}

static void add_column(nd__text *text, const char *name, double value)
{
    nd__text_add(text, "  %s ", name);
    if (is_accuracy(name) && isfinite(value)) {
        add_fixed(text, 100 * value, 1);
        nd__text_add(text, " %%");
    } else
        add_value(text, value);
}

static void add_duration(nd__text *text, double seconds)
{
    long long s = llround(seconds);
    if (seconds < 0.1) {
        add_fixed(text, seconds * 1000, 1);
        nd__text_add(text, " ms");
    } else if (seconds < 10) {
        add_fixed(text, seconds, 2);
        nd__text_add(text, " s");
    } else if (s < 60)
        nd__text_add(text, "%lld s", s);
    else if (s < 3600)
        nd__text_add(text, "%lld min %02lld s", s / 60, s % 60);
    else
        nd__text_add(text, "%lld h %02lld min", s / 3600, s / 60 % 60);
}

/* Three digits: "0.0512", "12.3", "5720", "21.4k". */
static void add_rate(nd__text *text, double rate)
{
    static const char *const units[] = {"", "k", "M", "G"};
    int unit = 0;
    for (; rate >= 9999.5 && unit < 3; unit++)
        rate /= 1000;
    add_fixed(text, rate, rate < 0.0995 ? 4 : rate < 0.995 ? 3 : rate < 9.95 ? 2 : rate < 99.5 ? 1 : 0);
    nd__text_add(text, "%s", units[unit]);
}

/* -- lines -------------------------------------------------------------------------------------------------------- */

static int digits_of(int64_t n)
{
    int digits = 1;
    for (; n >= 10; n /= 10)
        digits++;
    return digits;
}

/* How many columns of a terminal a text takes. */
static int columns_of(const char *text)
{
    int columns = 0;
    for (size_t left = text ? strlen(text) : 0, n; left > 0; left -= n, text += n, columns++) {
        n = nd__utf8_length(text, left);
        n = n ? n : 1;
    }
    return columns;
}

/* In half columns: a heavy line for what is done, a light one for the rest. */
static void add_bar(nd__text *text, int64_t done, int64_t all, int columns)
{
    int64_t halves = all > 0 ? (int64_t)((double)done / (double)all * 2 * columns) : 0;
    for (int i = 0; i < columns; i++)
        nd__text_add(text, halves >= 2 * (i + 1) ? "\xE2\x94\x81" : halves > 2 * i ? "\xE2\x95\xB8" : "\xE2\x94\x80");
}

void nd__progress_text(nd__text *text, const nd__progress_line *line, int width)
{
    nd__text rest = {0};
    size_t before = text->used;
    nd__text_add(text, "epoch %*lld/%lld", digits_of(line->epochs), (long long)line->epoch, (long long)line->epochs);
    if (width > 0 || line->step < line->steps)
        nd__text_add(&rest, "  %*lld/%lld", digits_of(line->steps), (long long)line->step, (long long)line->steps);
    for (int i = 0; i < line->column_count; i++)
        add_column(&rest, line->names[i], line->values[i]);
    if (line->rate > 0 && line->rate < 1e15) {
        nd__text_add(&rest, "  ");
        add_rate(&rest, line->rate);
        nd__text_add(&rest, line->over ? " steps/s" : "/s"); /* a live line says what is counted, and has little room */
    }
    if (line->seconds >= 0) {
        nd__text_add(&rest, "  ");
        add_duration(&rest, line->seconds);
        nd__text_add(&rest, line->over ? "" : " left");
    }
    if (width > 0 && text->data) {
        int bar = width - 1 - columns_of(text->data + before) - 2 - columns_of(rest.data);
        bar = bar > BAR ? BAR : bar;
        if (bar >= LEAST_BAR) {
            nd__text_add(text, "  ");
            add_bar(text, line->step, line->steps, bar);
        }
    }
    if (rest.data)
        nd__text_add_bytes(text, rest.data, rest.used);
    text->failed |= rest.failed;
    nd__text_release(&rest);
}

/* Cuts the text so that it does not wrap: a line that wraps cannot be drawn over. */
static void cut(nd__text *text, int width)
{
    int columns = 0;
    for (size_t i = 0, n; i < text->used; i += n) {
        n = nd__utf8_length(text->data + i, text->used - i);
        n = n ? n : 1;
        if (++columns == width) {
            text->data[i] = '\0';
            text->used = i;
        }
    }
}

void nd__progress_begin(nd__progress *progress, FILE *file)
{
    const char *terminal = getenv("TERM");
    *progress = (nd__progress){.file = file};
    progress->live = file && nd__platform_is_terminal(file) && !(terminal && strcmp(terminal, "dumb") == 0);
}

void nd__progress_show(nd__progress *progress, const nd__progress_line *line, double now)
{
    if (!progress->file || (!progress->live && !line->over))
        return;
    nd__text text = {0};
    int width = 0;
    if (progress->live) {
        width = nd__platform_terminal_width(progress->file);
        width = width > 0 ? width : USUAL_WIDTH;
    }
    nd__progress_text(&text, line, width);
    if (progress->live && !line->over && text.data)
        cut(&text, width);
    if (!text.failed) /* a line less, where there is no memory for it */
        fprintf(progress->file, "%s%s%s%s", progress->live ? "\r" : "", text.data, progress->live ? "\x1B[K" : "",
                line->over ? "\n" : "");
    fflush(progress->file);
    nd__text_release(&text);
    progress->next = now + between_draws;
}

void nd__progress_note(const nd__progress *progress, const char *note)
{
    if (progress->file) {
        fprintf(progress->file, "%s\n", note);
        fflush(progress->file);
    }
}
