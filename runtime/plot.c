/* Plots in SVG. All numbers are written by ourselves, so that the bytes depend neither on the locale nor on the
 * machine. */
#include "nadir/plot.h"

#include "runtime/axis.h"
#include "runtime/file.h"
#include "runtime/text.h"
#include "runtime/utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Sizes in pixels. */
enum {
    WIDTH = 720,
    HEIGHT = 420,
    LEAST_SIZE = 150,
    MOST_SIZE = 20000,
    EDGE = 14,       /* around everything */
    GAP = 7,         /* between an axis and its labels, between things */
    TICK = 5,        /* the length of a tick */
    LABEL_FONT = 12, /* of ticks and legend */
    TITLE_FONT = 13, /* of the axes' titles */
    HEAD_FONT = 15,  /* of the plot's */
    ROW = 19,        /* of the legend */
    SAMPLE = 26,     /* the piece of line in the legend */
};

static const double mark_radius = 3;

/* Okabe and Ito 2008, "Color universal design": told apart by people of every colour vision. Black is last, and yellow,
 * which is faint on white, is not there. */
static const char *const colours[] = {"#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"};
enum { COLOURS = sizeof colours / sizeof *colours };

typedef struct box {
    double left, top, right, bottom;
} box;

typedef struct picture {
    const nd_plot *plot;
    int width, height;
    nd__axis x, y;
    box area;   /* inside the axes */
    box legend; /* empty: there is none */
    nd__text svg;
} picture;

/* -- text --------------------------------------------------------------------------------------------------------- */

/* Rounded to hundredths of a pixel. */
static void add_number(nd__text *svg, double value)
{
    long long hundredths = llround(value * 100), whole = llabs(hundredths) / 100, part = llabs(hundredths) % 100;
    nd__text_add(svg, "%s%lld", hundredths < 0 ? "-" : "", whole);
    if (part)
        nd__text_add(svg, part % 10 ? ".%02lld" : ".%lld", part % 10 ? part : part / 10);
}

/* NAME="VALUE" with a space before it. */
static void add_attribute(nd__text *svg, const char *name, double value)
{
    nd__text_add(svg, " %s=\"", name);
    add_number(svg, value);
    nd__text_add(svg, "\"");
}

/* Text as XML takes it: what is not UTF-8 or not allowed there (XML 1.0, production 2) becomes U+FFFD. */
static void add_escaped(nd__text *svg, const char *text)
{
    for (size_t left = strlen(text), n; left > 0; left -= n, text += n) {
        unsigned char c = (unsigned char)*text;
        n = nd__utf8_length(text, left);
        bool refused = n == 0 || (c < 0x20 && c != '\t' && c != '\n') || c == 0x7F ||
                       (n == 3 && memcmp(text, "\xEF\xBF", 2) == 0 && (unsigned char)text[2] >= 0xBE);
        n = n ? n : 1;
        if (refused)
            nd__text_add(svg, "\xEF\xBF\xBD");
        else if (c == '&' || c == '<' || c == '>' || c == '"')
            nd__text_add(svg, "&%s;", c == '&' ? "amp" : c == '<' ? "lt" : c == '>' ? "gt" : "quot");
        else
            nd__text_add_bytes(svg, text, n);
    }
}

/* About how wide a text is: sans-serif fonts are nearly alike. */
static double text_width(const char *text, int font)
{
    double em = 0;
    for (size_t left = strlen(text), n; left > 0; left -= n, text += n) {
        n = nd__utf8_length(text, left);
        n = n ? n : 1;
        em += strchr(" .,:;'|!ijl()[]", *text) ? 0.34 : strchr("mwMW@", *text) ? 0.95 : n > 2 ? 0.9 : 0.63;
    }
    return em * font;
}

/* The exponent of a power of ten is smaller. */
static double label_width(const nd__label *l)
{
    char exponent[16];
    snprintf(exponent, sizeof exponent, "%d", l->exponent);
    return text_width(l->text, LABEL_FONT) +
           (l->has_power ? text_width("10", LABEL_FONT) + text_width(exponent, LABEL_FONT - 3) : 0);
}

static void add_label(nd__text *svg, const nd__label *l)
{
    nd__text_add(svg, "%s", l->text);
    if (l->has_power)
        nd__text_add(svg, "10<tspan dy=\"-4\" font-size=\"%d\">%s%d</tspan>", LABEL_FONT - 3,
                     l->exponent < 0 ? "\xE2\x88\x92" : "", abs(l->exponent));
}

/* -- points ------------------------------------------------------------------------------------------------------- */

/* Point i of a series; false: it is left out. */
static bool point(const nd_plot *plot, const nd_series *s, int64_t i, double *x, double *y)
{
    *x = s->x ? s->x[i] : (double)i;
    *y = s->y[i];
    return isfinite(*x) && isfinite(*y) && (!plot->log_y || *y > 0);
}

/* The same in the picture. */
static bool place(const picture *p, const nd_series *s, int64_t i, double *x, double *y)
{
    if (!point(p->plot, s, i, x, y))
        return false;
    *x = p->area.left + nd__axis_place(&p->x, *x) * (p->area.right - p->area.left);
    *y = p->area.bottom - nd__axis_place(&p->y, *y) * (p->area.bottom - p->area.top);
    return true;
}

static void make_axes(picture *p)
{
    double low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY}, at[2];
    bool whole = true;
    for (int s = 0; s < p->plot->series_count; s++)
        for (int64_t i = 0; i < p->plot->series[s].count; i++) {
            if (!point(p->plot, &p->plot->series[s], i, &at[0], &at[1]))
                continue;
            whole = whole && at[0] == floor(at[0]);
            for (int a = 0; a < 2; a++) {
                low[a] = fmin(low[a], at[a]);
                high[a] = fmax(high[a], at[a]);
            }
        }
    for (int a = 0; a < 2; a++)
        if (low[a] > high[a]) { /* no points */
            low[a] = p->plot->log_y && a == 1 ? 0.1 : 0;
            high[a] = 1;
        }
    nd__axis_make(&p->x, low[0], high[0], false, whole, p->width < 300 ? 4 : 8);
    nd__axis_make(&p->y, low[1], high[1], p->plot->log_y, false, p->height < 300 ? 4 : 6);
}

/* -- layout ------------------------------------------------------------------------------------------------------- */

static void lay_out(picture *p, double legend_room)
{
    const nd_plot *plot = p->plot;
    double widest = 0;
    for (int i = 0; i < p->y.count; i++)
        widest = fmax(widest, label_width(&p->y.ticks[i].label));
    p->area = (box){EDGE + (plot->y_title ? TITLE_FONT + GAP : 0) + widest + TICK + GAP,
                    EDGE + (plot->title ? HEAD_FONT + GAP + 2 : 0) + (p->y.factor ? LABEL_FONT + GAP : 0),
                    p->width - EDGE - 2 - legend_room,
                    p->height - EDGE - (plot->x_title ? TITLE_FONT + GAP - 2 : 0) - LABEL_FONT - TICK - GAP +
                        (plot->x_title ? 0 : 4)};
    p->area.right = fmax(p->area.right, p->area.left + 20);
    p->area.bottom = fmax(p->area.bottom, p->area.top + 20);
}

static bool is_named(const nd_series *s)
{
    return s->name != NULL;
}

/* Whether the line from (x0, y0) to (x1, y1) enters the box (Liang and Barsky 1984, clipping). */
static bool enters(const box *b, double x0, double y0, double x1, double y1)
{
    const double move[4] = {x0 - x1, x1 - x0, y0 - y1, y1 - y0},
                 space[4] = {x0 - b->left, b->right - x0, y0 - b->top, b->bottom - y0};
    double begin = 0, end = 1;
    for (int side = 0; side < 4; side++) {
        if (move[side] == 0 && space[side] < 0)
            return false;
        if (move[side] < 0)
            begin = fmax(begin, space[side] / move[side]);
        else if (move[side] > 0)
            end = fmin(end, space[side] / move[side]);
    }
    return begin <= end;
}

/* How many pieces of lines go through the box. */
static int64_t count_crossings(const picture *p, const box *b)
{
    int64_t crossings = 0;
    for (int k = 0; k < p->plot->series_count; k++) {
        const nd_series *s = &p->plot->series[k];
        double x, y, last_x = 0, last_y = 0;
        bool joined = false;
        for (int64_t i = 0; i < s->count; i++) {
            bool there = place(p, s, i, &x, &y);
            if (there)
                crossings += joined ? enters(b, last_x, last_y, x, y) : enters(b, x, y, x, y);
            joined = there && !s->scattered;
            last_x = x;
            last_y = y;
        }
    }
    return crossings;
}

/* In the corner, or at the side, where no line is; if there is none, right of the plot. */
static void place_legend(picture *p)
{
    double width = 0, height = GAP;
    for (int i = 0; i < p->plot->series_count; i++)
        if (is_named(&p->plot->series[i])) {
            width = fmax(width, SAMPLE + 3 * GAP + text_width(p->plot->series[i].name, LABEL_FONT));
            height += ROW;
        }
    if (width == 0)
        return;
    static const double across[] = {1, 0, 1, 0, 0.5, 1, 0, 0.5}, down[] = {0, 0, 1, 1, 0, 0.5, 0.5, 1};
    int64_t fewest = INT64_MAX;
    const double inset = 10, clear = 6;
    const box *a = &p->area;
    bool fits = width + 2 * inset < a->right - a->left && height + 2 * inset < a->bottom - a->top;
    for (size_t i = 0; i < sizeof across / sizeof *across && fewest > 0 && fits; i++) {
        double left = a->left + inset + across[i] * (a->right - a->left - 2 * inset - width),
               top = a->top + inset + down[i] * (a->bottom - a->top - 2 * inset - height);
        box b = {left, top, left + width, top + height},
            around = {b.left - clear, b.top - clear, b.right + clear, b.bottom + clear};
        int64_t crossings = count_crossings(p, &around);
        if (crossings < fewest) {
            fewest = crossings;
            p->legend = b;
        }
    }
    if (fewest == 0 || (fits && width > p->width * 0.4))
        return;
    lay_out(p, width + GAP);
    p->legend = (box){p->area.right + GAP, p->area.top, p->area.right + GAP + width, p->area.top + height};
}

/* -- drawing ------------------------------------------------------------------------------------------------------ */

static void add_line(nd__text *svg, double x0, double y0, double x1, double y1)
{
    nd__text_add(svg, "<line");
    add_attribute(svg, "x1", x0);
    add_attribute(svg, "y1", y0);
    add_attribute(svg, "x2", x1);
    add_attribute(svg, "y2", y1);
    nd__text_add(svg, "/>\n");
}

/* The beginning of a text element, up to its content. */
static void begin_text(nd__text *svg, double x, double y, int font, const char *more)
{
    nd__text_add(svg, "<text");
    add_attribute(svg, "x", x);
    add_attribute(svg, "y", y);
    nd__text_add(svg, " font-size=\"%d\"%s>", font, more);
}

/* "x 10^5" at the end of an axis. */
static void add_factor(picture *p, double x, double y, int factor, const char *more)
{
    const nd__label label = {.text = "\xC3\x97", .has_power = true, .exponent = factor};
    begin_text(&p->svg, x, y, LABEL_FONT, more);
    add_label(&p->svg, &label);
    nd__text_add(&p->svg, "</text>\n");
}

static double tick_x(const picture *p, int i)
{
    return p->area.left + p->x.ticks[i].place * (p->area.right - p->area.left);
}

static double tick_y(const picture *p, int i)
{
    return p->area.bottom - p->y.ticks[i].place * (p->area.bottom - p->area.top);
}

static bool is_small(const nd__tick *t)
{
    return !t->label.text[0] && !t->label.has_power;
}

static void draw_axes(picture *p)
{
    nd__text *svg = &p->svg;
    const box *a = &p->area;
    nd__text_add(svg, "<g stroke=\"#e6e6e6\">\n");
    for (int i = 0; i < p->y.count; i++)
        if (!is_small(&p->y.ticks[i]))
            add_line(svg, a->left, tick_y(p, i), a->right, tick_y(p, i));
    nd__text_add(svg, "</g>\n<g stroke=\"#333\">\n");
    add_line(svg, a->left, a->top, a->left, a->bottom);
    add_line(svg, a->left, a->bottom, a->right, a->bottom);
    for (int i = 0; i < p->x.count; i++)
        add_line(svg, tick_x(p, i), a->bottom, tick_x(p, i), a->bottom + TICK);
    for (int i = 0; i < p->y.count; i++)
        add_line(svg, a->left - (is_small(&p->y.ticks[i]) ? TICK / 2.0 : TICK), tick_y(p, i), a->left, tick_y(p, i));
    nd__text_add(svg, "</g>\n");
    for (int i = 0; i < p->x.count; i++) {
        begin_text(svg, tick_x(p, i), a->bottom + TICK + LABEL_FONT + 2, LABEL_FONT, " text-anchor=\"middle\"");
        add_label(svg, &p->x.ticks[i].label);
        nd__text_add(svg, "</text>\n");
    }
    for (int i = 0; i < p->y.count; i++)
        if (!is_small(&p->y.ticks[i])) {
            begin_text(svg, a->left - TICK - 3, tick_y(p, i) + LABEL_FONT * 0.36, LABEL_FONT, " text-anchor=\"end\"");
            add_label(svg, &p->y.ticks[i].label);
            nd__text_add(svg, "</text>\n");
        }
    if (p->x.factor)
        add_factor(p, a->right, a->bottom + TICK + 2 * LABEL_FONT + 6, p->x.factor, " text-anchor=\"end\"");
    if (p->y.factor)
        add_factor(p, a->left, a->top - GAP, p->y.factor, "");
}

static void add_title(picture *p, double x, double y, int font, const char *more, const char *title)
{
    begin_text(&p->svg, x, y, font, more);
    add_escaped(&p->svg, title);
    nd__text_add(&p->svg, "</text>\n");
}

static void draw_titles(picture *p)
{
    const nd_plot *plot = p->plot;
    const box *a = &p->area;
    double middle = (a->left + a->right) / 2, half = (a->top + a->bottom) / 2;
    if (plot->title)
        add_title(p, middle, EDGE + HEAD_FONT - 2, HEAD_FONT, " text-anchor=\"middle\" font-weight=\"bold\"",
                  plot->title);
    if (plot->x_title)
        add_title(p, middle, p->height - EDGE, TITLE_FONT, " text-anchor=\"middle\"", plot->x_title);
    if (plot->y_title) { /* turned about the point that it is written at */
        nd__text turn = {0};
        nd__text_add(&turn, " text-anchor=\"middle\" transform=\"rotate(-90 ");
        add_number(&turn, EDGE + TITLE_FONT - 3);
        nd__text_add(&turn, " ");
        add_number(&turn, half);
        nd__text_add(&turn, ")\"");
        p->svg.failed |= turn.failed;
        if (!turn.failed)
            add_title(p, EDGE + TITLE_FONT - 3, half, TITLE_FONT, turn.data, plot->y_title);
        nd__text_release(&turn);
    }
}

/* The marks differ like the colours, for those who print in grey. */
static void add_mark(nd__text *svg, int kind, double x, double y)
{
    double r = mark_radius;
    static const double wide[] = {0, 1.15, 1.3}; /* a circle looks larger than it is */
    kind %= 3;
    if (kind == 0) {
        nd__text_add(svg, "<circle");
        add_attribute(svg, "cx", x);
        add_attribute(svg, "cy", y);
        add_attribute(svg, "r", r);
        nd__text_add(svg, "/>\n");
        return;
    }
    /* A square, or one that stands on a corner. */
    static const double corners[][4][2] = {
        {{0}}, {{-0.8, -0.8}, {0.8, -0.8}, {0.8, 0.8}, {-0.8, 0.8}}, {{0, -1}, {1, 0}, {0, 1}, {-1, 0}}};
    nd__text_add(svg, "<path d=\"");
    for (int i = 0; i < 4; i++) {
        nd__text_add(svg, i ? "L" : "M");
        add_number(svg, x + corners[kind][i][0] * r * wide[kind]);
        nd__text_add(svg, " ");
        add_number(svg, y + corners[kind][i][1] * r * wide[kind]);
    }
    nd__text_add(svg, "Z\"/>\n");
}

/* Points that fall into one column of pixels are drawn as their first, lowest, highest and last: the picture is the
 * same and the file small (Jugel, Jerzak, Hackenbroich and Markl 2014, "M4: a visualization-oriented time series data
 * aggregation"). */
typedef struct column {
    int count; /* points that are kept; 4 at most */
    double number, x[4], y[4];
    int64_t at[4], last; /* their numbers in the series */
} column;

enum { FIRST, LOWEST, HIGHEST, LAST };

static void add_to_column(column *c, int64_t i, double x, double y)
{
    for (int k = 0; k < 4; k++)
        if (c->count == 0 || k == LAST || (k == LOWEST && y < c->y[k]) || (k == HIGHEST && y > c->y[k])) {
            c->x[k] = x;
            c->y[k] = y;
            c->at[k] = i;
        }
    c->count++;
}

/* The points of a column in the order of the series, as marks of a kind or (-1) as commands of a path; `ends`: the line
 * does. */
static void add_column(nd__text *svg, const column *c, bool *joined, bool ends, int marks)
{
    int64_t done = -1;
    for (int k = 0; k < 4 && c->count > 0; k++) {
        int next = LAST;
        for (int m = 0; m < 4; m++)
            if (c->at[m] > done && c->at[m] < c->at[next])
                next = m;
        if (c->at[next] <= done)
            break;
        done = c->at[next];
        if (marks >= 0) {
            add_mark(svg, marks, c->x[next], c->y[next]);
            continue;
        }
        nd__text_add(svg, *joined ? "L" : "M");
        add_number(svg, c->x[next]);
        nd__text_add(svg, " ");
        add_number(svg, c->y[next]);
        if (!*joined && c->count == 1 && ends)
            nd__text_add(svg, "h0"); /* a point alone is a dot */
        *joined = true;
    }
}

/* The points of a series: as a path's commands, or as marks. */
static void add_points(picture *p, const nd_series *s, int marks)
{
    column c = {0};
    bool joined = false;
    double x, y;
    for (int64_t i = 0; i < s->count; i++) {
        bool there = place(p, s, i, &x, &y);
        if (c.count > 0 && (!there || floor(x) != c.number)) {
            add_column(&p->svg, &c, &joined, !there, marks);
            c.count = 0;
        }
        joined = joined && there;
        if (there) {
            c.number = floor(x);
            add_to_column(&c, i, x, y);
        }
    }
    add_column(&p->svg, &c, &joined, true, marks);
}

/* Points without an order: none stands for another. */
static void scatter(picture *p, const nd_series *s, int marks)
{
    double x, y;
    for (int64_t i = 0; i < s->count; i++)
        if (place(p, s, i, &x, &y))
            add_mark(&p->svg, marks, x, y);
}

/* The beginning of a line in the look of series `number`. */
static void begin_stroke(nd__text *svg, int number, const nd_series *s, bool thin)
{
    static const char *const dashes[] = {"", " stroke-dasharray=\"2 3\"", " stroke-dasharray=\"9 3 2 3\""};
    const char *dash = s->dashed ? " stroke-dasharray=\"7 4\"" : dashes[number / COLOURS % 3];
    nd__text_add(svg, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"%s\"%s d=\"", colours[number % COLOURS],
                 thin ? "1" : "1.8", dash);
}

static void draw_series(picture *p)
{
    nd__text_add(&p->svg, "<g stroke-linejoin=\"round\" stroke-linecap=\"round\">\n");
    for (int k = 0; k < p->plot->series_count; k++) {
        const nd_series *s = &p->plot->series[k];
        if (!s->scattered) {
            begin_stroke(&p->svg, k, s, s->count > p->width); /* noise is a smear otherwise */
            add_points(p, s, -1);
            nd__text_add(&p->svg, "\"/>\n");
        }
        if (s->points || s->scattered) {
            /* Where many points lie on each other, they shine through. */
            nd__text_add(&p->svg, "<g fill=\"%s\"%s>\n", colours[k % COLOURS],
                         s->scattered ? " fill-opacity=\"0.7\"" : "");
            if (s->scattered)
                scatter(p, s, k);
            else
                add_points(p, s, k);
            nd__text_add(&p->svg, "</g>\n");
        }
    }
    nd__text_add(&p->svg, "</g>\n");
}

static void draw_legend(picture *p)
{
    nd__text *svg = &p->svg;
    const box *b = &p->legend;
    if (b->right <= b->left)
        return;
    nd__text_add(svg, "<rect");
    add_attribute(svg, "x", b->left);
    add_attribute(svg, "y", b->top);
    add_attribute(svg, "width", b->right - b->left);
    add_attribute(svg, "height", b->bottom - b->top);
    nd__text_add(svg, " rx=\"3\" fill=\"#fff\" fill-opacity=\"0.9\" stroke=\"#ccc\"/>\n");
    double y = b->top + GAP / 2.0 + ROW / 2.0;
    for (int k = 0; k < p->plot->series_count; k++) {
        const nd_series *s = &p->plot->series[k];
        if (!is_named(s))
            continue;
        if (!s->scattered) {
            begin_stroke(svg, k, s, false);
            nd__text_add(svg, "M");
            add_number(svg, b->left + GAP);
            nd__text_add(svg, " ");
            add_number(svg, y);
            nd__text_add(svg, "h%d\"/>\n", SAMPLE);
        }
        if (s->points || s->scattered) {
            nd__text_add(svg, "<g fill=\"%s\">", colours[k % COLOURS]);
            add_mark(svg, k, b->left + GAP + SAMPLE / 2.0, y);
            nd__text_add(svg, "</g>\n");
        }
        add_title(p, b->left + 2 * GAP + SAMPLE, y + LABEL_FONT * 0.36, LABEL_FONT, "", s->name);
        y += ROW;
    }
}

static void draw(picture *p)
{
    make_axes(p);
    lay_out(p, 0);
    place_legend(p);
    nd__text_add(&p->svg,
                 "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" "
                 "font-family=\"Helvetica, Arial, 'DejaVu Sans', sans-serif\" fill=\"#222\">\n",
                 p->width, p->height, p->width, p->height);
    if (p->plot->title) {
        nd__text_add(&p->svg, "<title>");
        add_escaped(&p->svg, p->plot->title);
        nd__text_add(&p->svg, "</title>\n");
    }
    nd__text_add(&p->svg, "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n", p->width, p->height);
    draw_axes(p);
    draw_titles(p);
    draw_series(p);
    draw_legend(p);
    nd__text_add(&p->svg, "</svg>\n");
}

/* -- the file ----------------------------------------------------------------------------------------------------- */

static nd_status check(const nd_plot *plot, nd__message *message)
{
    if (!plot || !plot->series)
        return nd__message_set(message, ND_ERR_ARGUMENT, plot ? "the series are NULL" : "the plot is NULL");
    if (plot->series_count < 1)
        return nd__message_set(message, ND_ERR_ARGUMENT, "%d series: a plot has at least 1", plot->series_count);
    for (int i = 0; i < plot->series_count; i++) {
        const nd_series *s = &plot->series[i];
        const char *name = s->name ? s->name : "";
        if (s->count < 0)
            return nd__message_set(message, ND_ERR_ARGUMENT, "series %d \"%s\" has %lld points", i, name,
                                   (long long)s->count);
        if (s->count > 0 && !s->y)
            return nd__message_set(message, ND_ERR_ARGUMENT, "series %d \"%s\": y is NULL", i, name);
    }
    for (int i = 0; i < 2; i++) {
        int size = i ? plot->height : plot->width;
        if (size != 0 && (size < LEAST_SIZE || size > MOST_SIZE))
            return nd__message_set(message, ND_ERR_ARGUMENT, "the %s is %d pixels, but %d to %d are possible",
                                   i ? "height" : "width", size, LEAST_SIZE, MOST_SIZE);
    }
    return ND_OK;
}

nd_status nd_plot_svg(const char *path, const nd_plot *plot, char *message, size_t size)
{
    nd__message error = {ND_OK, NULL};
    picture *p = NULL;
    nd__writer writer;
    nd_status status = check(plot, &error);
    if (status != ND_OK)
        goto done;
    p = calloc(1, sizeof *p);
    if (p) {
        p->plot = plot;
        p->width = plot->width ? plot->width : WIDTH;
        p->height = plot->height ? plot->height : HEIGHT;
        draw(p);
    }
    if (!p || p->svg.failed) {
        status = nd__message_set(&error, ND_ERR_MEMORY, "out of memory for the plot");
        goto done;
    }
    status = nd__writer_open(&writer, path, &error);
    if (status == ND_OK) {
        nd__writer_elements(&writer, p->svg.data, p->svg.used, 1);
        status = nd__writer_close(&writer, true, &error);
    }
done:
    if (message && size > 0)
        snprintf(message, size, "%s", nd__message_text(&error));
    if (p)
        nd__text_release(&p->svg);
    free(p);
    nd__message_clear(&error);
    return status;
}
