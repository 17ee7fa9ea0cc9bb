/* Line plots: the ticks that are chosen, and the file that is written. */
#include "failing_alloc.h"
#include "nadir/plot.h"
#include "run_suite.h"
#include "runtime/axis.h"
#include "temp_dir.h"

#include <check.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MINUS "\xE2\x88\x92"
#define TIMES "\xC3\x97"

/* -- ticks -------------------------------------------------------------------------------------------------------- */

static const struct {
    double least, most;
    bool log, whole;
    int about;
    const char *labels;
} axes[] = {
    {0, 10, false, false, 6, "0 2 4 6 8 10"},
    {-1.1, 4, false, false, 6, MINUS "1 0 1 2 3 4"},
    {0, 1, false, false, 6, "0.0 0.2 0.4 0.6 0.8 1.0"},
    {0, 500, false, true, 8, "0 50 100 150 200 250 300 350 400 450 500"},
    {1, 3, false, true, 8, "1 2 3"}, /* no half epochs */
    {1, 3, false, false, 4, "1.0 1.5 2.0 2.5 3.0"},
    {0, 0.00035, false, false, 4, "0.0000 0.0001 0.0002 0.0003"},
    {0, 4e-7, false, false, 4, "0 1 2 3 4 " TIMES "10^-7"},
    {0, 200000, false, false, 4, "0 50000 100000 150000 200000"},
    {0, 25e6, false, false, 6, "0.0 0.5 1.0 1.5 2.0 2.5 " TIMES "10^7"},
    {1e9, 1e9 + 1, false, false, 4, "1000000000.0 1000000000.2 1000000000.4 1000000000.6 1000000000.8 1000000001.0"},
    {5, 5, false, false, 4, "4.6 4.8 5.0 5.2 5.4"}, /* all the same */
    {0, 0, false, false, 4, MINUS "1.0 " MINUS "0.5 0.0 0.5 1.0"},
    {1, 1 + DBL_EPSILON, false, false, 4, "0.90 0.95 1.00 1.05 1.10"}, /* as good as the same */
    {-DBL_MAX, DBL_MAX, false, false, 4, MINUS "1 0 1 " TIMES "10^308"},
    {0, 5e-324, false, false, 4, MINUS "1.0 " MINUS "0.5 0.0 0.5 1.0"},
    {0.001, 1, true, false, 6, "0.001 0.01 0.1 1"},
    {1e-7, 1, true, false, 8, "10^-7 10^-6 10^-5 10^-4 10^-3 10^-2 10^-1 10^0"},
    {1e-30, 1, true, false, 6, "10^-30 10^-25 10^-20 10^-15 10^-10 10^-5 10^0"},
    {0.012, 0.2, true, false, 6, "0.02 0.05 0.1 0.2"},
    {2e12, 9e12, true, false, 4, "2" TIMES "10^12 5" TIMES "10^12"},
    {1.2, 2.5, true, false, 4, "1.5 2.0 2.5"},
    {3, 3, true, false, 4, "1 10"},
    {DBL_TRUE_MIN, DBL_MAX, true, false, 4, "10^-200 10^0 10^200"},
};

static void add_label(char *text, const nd__label *l)
{
    if (!l->text[0] && !l->has_power)
        return; /* a small tick */
    sprintf(text + strlen(text), "%s%s", *text ? " " : "", l->text);
    if (l->has_power)
        sprintf(text + strlen(text), "10^%d", l->exponent);
}

START_TEST(ticks)
{
    nd__axis axis;
    char labels[2000] = "";
    nd__axis_make(&axis, axes[_i].least, axes[_i].most, axes[_i].log, axes[_i].whole, axes[_i].about);
    for (int i = 0; i < axis.count; i++) {
        add_label(labels, &axis.ticks[i].label);
        ck_assert(axis.ticks[i].place > -1e-6 && axis.ticks[i].place < 1 + 1e-6);
        ck_assert(i == 0 || axis.ticks[i].place > axis.ticks[i - 1].place);
    }
    if (axis.factor)
        sprintf(labels + strlen(labels), " " TIMES "10^%d", axis.factor);
    ck_assert_str_eq(labels, axes[_i].labels);
    double low = nd__axis_place(&axis, axes[_i].least), high = nd__axis_place(&axis, axes[_i].most);
    ck_assert(low >= 0 && high <= 1 && high - low >= 0);
    ck_assert(high - low > 0.9 || axes[_i].most - axes[_i].least < 1e-9);
}
END_TEST

/* -- files -------------------------------------------------------------------------------------------------------- */

/* The file as text, after its tags were seen to be well nested and its text free of bare characters. */
static char *plot(const nd_plot *p)
{
    char message[200] = "?", *open[64];
    int depth = 0;
    const char *path = temp_path("plot.svg");
    ck_assert_msg(nd_plot_svg(path, p, message, sizeof message) == ND_OK, "%s", message);
    ck_assert_str_eq(message, "");
    char *text = temp_read(path);
    ck_assert_ptr_null(strstr(text, "nan"));
    ck_assert_ptr_null(strstr(text, "inf"));
    for (char *at = text; (at = strchr(at, '<')); at++) {
        char *end = strchr(at, '>');
        ck_assert_ptr_nonnull(end);
        size_t n = strcspn(at + 1, " />");
        if (at[1] == '/') {
            ck_assert_int_gt(depth, 0);
            depth--;
            n = strcspn(open[depth], " />");
            ck_assert_msg(strncmp(at + 2, open[depth], n) == 0 && at[2 + n] == '>', "%.60s", at);
        } else if (end[-1] != '/') {
            ck_assert_int_lt(depth, 64);
            open[depth++] = at + 1;
        }
    }
    ck_assert_int_eq(depth, 0);
    return text;
}

static int count(const char *text, const char *what)
{
    int n = 0;
    for (; (text = strstr(text, what)); text++)
        n++;
    return n;
}

START_TEST(draws_what_it_is_given)
{
    const double y[] = {0, 1, 4, 9}, x[] = {1, 2, 3, 4}, ends[] = {1, 4}, five[] = {5, 5};
    const nd_series series[] = {{"squares", 4, x, y, .points = true}, {"five", 2, ends, five, .dashed = true}};
    const nd_plot p = {"Squares", "n", "n\xC2\xB2", series, 2, .width = 400, .height = 300};
    char *text = plot(&p), *again = plot(&p);
    ck_assert_str_eq(text, again);
    ck_assert_ptr_nonnull(strstr(text, "<title>Squares</title>"));
    ck_assert_ptr_nonnull(strstr(text, ">n</text>"));
    ck_assert_ptr_nonnull(strstr(text, ">n\xC2\xB2</text>"));
    ck_assert_ptr_nonnull(strstr(text, ">squares</text>"));
    ck_assert_ptr_nonnull(strstr(text, ">five</text>"));
    ck_assert_int_eq(count(text, "<circle"), 4 + 1);          /* the points, and one in the legend */
    ck_assert_int_eq(count(text, "stroke-dasharray"), 1 + 1); /* the line, and its sample */
    free(text);
    free(again);

    const nd_series unnamed = {NULL, 4, NULL, y};
    text = plot(&(nd_plot){.series = &unnamed, .series_count = 1});
    ck_assert_int_eq(count(text, "<rect"), 1); /* the ground: no legend */
    ck_assert_ptr_nonnull(strstr(text, "width=\"720\" height=\"420\""));
    free(text);
}
END_TEST

/* Scattered points are all there, also where they share a column of pixels, and no line is. */
START_TEST(scatters)
{
    double x[100], y[100];
    for (int i = 0; i < 100; i++) {
        x[i] = i % 10;
        y[i] = i / 10;
    }
    const nd_series series[] = {{"class 0", 100, x, y, .scattered = true}, {"class 1", 2, x, y, .scattered = true}};
    char *text = plot(&(nd_plot){.series = series, .series_count = 2});
    ck_assert_int_eq(count(text, "<circle"), 100 + 1); /* and one in the legend */
    ck_assert_int_eq(count(text, "<path"), 2 + 1);     /* squares; no line */
    ck_assert_int_eq(count(text, "stroke-width"), 0);
    free(text);
}
END_TEST

/* The whole of a small file: a change of looks is made on purpose. */
START_TEST(bytes)
{
    const double y[] = {1, 3};
    const nd_series series = {"a", 2, NULL, y};
    char *text = plot(&(nd_plot){.series = &series, .series_count = 1, .width = 200, .height = 150});
    ck_assert_ptr_nonnull(strstr(text, "d=\"M"));
    char *path = strstr(text, "stroke=\"#0072B2\" stroke-width=\"1.8\" d=\"");
    ck_assert_ptr_nonnull(path);
    ck_assert_msg(strncmp(strstr(path, "d=\""), "d=\"M50.34 112.22L178.86 17.78\"/>", 32) == 0, "%.80s", path);
    free(text);
}
END_TEST

START_TEST(escapes)
{
    const double y[] = {1, 2};
    const nd_series series = {"a<b> & \"c\"", 2, NULL, y};
    const nd_plot p = {"\x01\xFFok\xEF\xBF\xBF", "\xC3\xA9 > e", NULL, &series, 1};
    char *text = plot(&p);
    ck_assert_ptr_nonnull(strstr(text, ">a&lt;b&gt; &amp; &quot;c&quot;</text>"));
    ck_assert_ptr_nonnull(strstr(text, "<title>\xEF\xBF\xBD\xEF\xBF\xBDok\xEF\xBF\xBD</title>"));
    ck_assert_ptr_nonnull(strstr(text, ">\xC3\xA9 &gt; e</text>"));
    free(text);
}
END_TEST

/* The commands of the first series. */
static void shows_path(const nd_plot *p, int moves, int lines)
{
    char *text = plot(p), *path = strstr(text, " d=\"");
    ck_assert_ptr_nonnull(path);
    *strchr(path + 4, '"') = '\0';
    ck_assert_int_eq(count(path, "M"), moves);
    ck_assert_int_eq(count(path, "L"), lines);
    free(text);
}

START_TEST(leaves_gaps)
{
    const double y[] = {1, 2, NAN, 4, NAN, 3, 5, INFINITY, 0, -1}, x[] = {0, 1, 2, 3, 4, 5, 6, 7, -INFINITY, 9};
    const nd_series series = {NULL, 10, x, y};
    shows_path(&(nd_plot){.series = &series, .series_count = 1}, 4, 2);
    shows_path(&(nd_plot){.series = &series, .series_count = 1, .log_y = true}, 3, 2); /* without -1 */
    const nd_series nothing = {NULL, 0, NULL, NULL};
    shows_path(&(nd_plot){.series = &nothing, .series_count = 1}, 0, 0);
    shows_path(&(nd_plot){.series = &nothing, .series_count = 1, .log_y = true}, 0, 0);
    const double extremes[] = {-DBL_MAX, DBL_MAX, 0, DBL_TRUE_MIN};
    const nd_series wide = {NULL, 4, NULL, extremes};
    shows_path(&(nd_plot){.series = &wide, .series_count = 1}, 1, 3);
}
END_TEST

/* A million points are at most four in each column of pixels, and the highest is among them. */
START_TEST(many_points_are_few)
{
    enum { N = 1000000 };
    double *y = malloc(N * sizeof *y);
    ck_assert_ptr_nonnull(y);
    for (int i = 0; i < N; i++)
        y[i] = i % 1000 / 1000.0;
    y[777777] = 3;
    const nd_series series = {NULL, N, NULL, y};
    char *text = plot(&(nd_plot){.series = &series, .series_count = 1}), *path = strstr(text, " d=\"");
    ck_assert_ptr_nonnull(path);
    ck_assert_int_lt(count(path, "L"), 4 * 720);
    ck_assert_int_gt(count(path, "L"), 2 * 600);
    double highest = 1e9;
    for (char *at = path; (at = strchr(at, 'L')); at++)
        highest = fmin(highest, strtod(strchr(at, ' '), NULL));
    ck_assert(highest < 40); /* near the top, where 3 is, and 1 is not */
    free(text);
    free(y);
}
END_TEST

/* The legend stands where no line is: it goes through the corners until one is free, and then outside. */
START_TEST(legend_avoids_lines)
{
    double up[50], down[50], all[400];
    for (int i = 0; i < 50; i++) {
        up[i] = i;
        down[i] = -i;
    }
    for (int i = 0; i < 400; i++)
        all[i] = sin(i);
    const struct {
        const double *y;
        int64_t count;
        bool right, low, outside;
    } cases[] = {{down, 50, true, false, false}, {up, 50, false, false, false}, {all, 400, true, false, true}};
    for (int i = 0; i < 3; i++) {
        const nd_series series = {"a line", cases[i].count, NULL, cases[i].y};
        char *text = plot(&(nd_plot){.series = &series, .series_count = 1}), *box = strstr(text, "<rect x=\"");
        ck_assert_ptr_nonnull(box);
        double left = strtod(box + 9, NULL), top = strtod(strstr(box, "y=\"") + 3, NULL);
        ck_assert_int_eq(left > 360, cases[i].right);
        ck_assert_int_eq(top > 210, cases[i].low);
        /* Whether the grid ends before it. */
        double grid = strtod(strstr(text, "x2=\"") + 4, NULL);
        ck_assert_int_eq(grid < left, cases[i].outside);
        free(text);
    }
}
END_TEST

static void refuses(const char *path, const nd_plot *p, nd_status status, const char *expected)
{
    char message[300] = "";
    ck_assert_int_eq(nd_plot_svg(path, p, message, sizeof message), status);
    ck_assert_str_eq(message, expected);
    ck_assert_int_eq(nd_plot_svg(path, p, NULL, 0), status);
}

START_TEST(bad_calls)
{
    char path[512], expected[600], small[8];
    strcpy(path, temp_path("no/plot.svg"));
    const double y[] = {1, 2};
    nd_series s = {"s", 2, NULL, y};
    refuses(path, NULL, ND_ERR_ARGUMENT, "the plot is NULL");
    refuses(path, &(nd_plot){0}, ND_ERR_ARGUMENT, "the series are NULL");
    refuses(path, &(nd_plot){.series = &s}, ND_ERR_ARGUMENT, "0 series: a plot has at least 1");
    refuses(path, &(nd_plot){.series = &s, .series_count = 1, .width = 20}, ND_ERR_ARGUMENT,
            "the width is 20 pixels, but 150 to 20000 are possible");
    refuses(NULL, &(nd_plot){.series = &s, .series_count = 1}, ND_ERR_ARGUMENT, "the path is NULL");
    snprintf(expected, sizeof expected, "%s cannot be written: No such file or directory", path);
    refuses(path, &(nd_plot){.series = &s, .series_count = 1}, ND_ERR_IO, expected);
    s.count = -1;
    refuses(path, &(nd_plot){.series = &s, .series_count = 1}, ND_ERR_ARGUMENT, "series 0 \"s\" has -1 points");
    s = (nd_series){NULL, 2, y, NULL};
    refuses(path, &(nd_plot){.series = &s, .series_count = 1}, ND_ERR_ARGUMENT, "series 0 \"\": y is NULL");
    nd_plot_svg(path, NULL, small, sizeof small);
    ck_assert_str_eq(small, "the plo"); /* cut off, ended by 0 */
}
END_TEST

START_TEST(survives_out_of_memory)
{
    const double y[] = {1, 2};
    const nd_series series = {"s", 2, NULL, y};
    const nd_plot p = {"title", "x", "y", &series, 1};
    bool failed = true;
    for (int n = 0; failed; n++) {
        failing_alloc_begin(n);
        nd_status status = nd_plot_svg(temp_path("memory.svg"), &p, NULL, 0);
        failed = failing_alloc_end();
        ck_assert_int_eq(failing_alloc_held(), 0);
        ck_assert_msg(status == ND_OK ? !failed : failed && (status == ND_ERR_MEMORY || status == ND_ERR_IO),
                      "allocation %d: %d", n, status);
    }
}
END_TEST

int main(void)
{
    temp_path(""); /* made before Check forks, so that one process removes it */
    Suite *suite = suite_create("plot");
    TCase *t = tcase_create("plot");
    tcase_add_loop_test(t, ticks, 0, sizeof axes / sizeof *axes);
    tcase_add_test(t, draws_what_it_is_given);
    tcase_add_test(t, scatters);
    tcase_add_test(t, bytes);
    tcase_add_test(t, escapes);
    tcase_add_test(t, leaves_gaps);
    tcase_add_test(t, many_points_are_few);
    tcase_add_test(t, legend_avoids_lines);
    tcase_add_test(t, bad_calls);
    tcase_add_test(t, survives_out_of_memory);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
