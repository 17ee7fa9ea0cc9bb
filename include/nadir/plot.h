/* Line plots and scatter plots, as SVG files.
 *
 *     nd_series series[] = {{"predicted", n, NULL, x}, {"true", 2, ends, four, .dashed = true}};
 *     nd_plot plot = {.x_title = "iteration", .y_title = "x value", .series = series, .series_count = 2};
 *     nd_plot_svg("descent.svg", &plot, NULL, 0);
 *
 * Ticks stand at round numbers, the legend where no line is (right of the plot if there is no such place). Colours are
 * told apart by people of every colour vision. All texts are UTF-8; what is not is shown as U+FFFD. */
#ifndef NADIR_PLOT_H
#define NADIR_PLOT_H

#include "nadir/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nd_series {
    const char *name; /* in the legend; NULL: not there */
    int64_t count;
    const double *x; /* NULL: 0, 1, 2, ... */
    const double *y; /* points where x or y is not finite are left out, and the line with them */
    bool dashed;     /* for what is given rather than measured */
    bool points;     /* marks the points */
    bool scattered;  /* the marks alone: points that no line joins */
} nd_series;

typedef struct nd_plot {
    const char *title, *x_title, *y_title; /* NULL: none */
    const nd_series *series;
    int series_count;
    bool log_y;        /* a logarithmic axis: values above 0 only, the others are left out */
    int width, height; /* in pixels, 150 to 20000; 0: 720 and 420 */
} nd_plot;

/* Writes the file, aside and then renamed. ND_ERR_ARGUMENT: no series, a NULL, a negative count, a size out of range;
 * ND_ERR_IO, ND_ERR_MEMORY. What went wrong is in `message` (at most `size` bytes; NULL: unwanted). The same plot gives
 * the same bytes. */
ND_API nd_status nd_plot_svg(const char *path, const nd_plot *plot, char *message, size_t size);

#ifdef __cplusplus
}
#endif
#endif
