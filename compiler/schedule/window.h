/* What the kernels of convolutions and pools share: how windows walk along an axis, and images in memory. */
#ifndef NADIR_SCHEDULE_WINDOW_H
#define NADIR_SCHEDULE_WINDOW_H

#include "compiler/graph/window.h"
#include "compiler/schedule/emit.h"

/* Windows along one axis: the result's positions first + step * q, q in [0, count), take what the taps j in [0, taps)
 * read at at + j * at_step + q * move, where that lies in [0, limit). Tap j is element k + j * k_step of the kernel. */
typedef struct nd__walk {
    int64_t first, step, count;
    int64_t taps, k, k_step;
    int64_t at, at_step, move, limit;
} nd__walk;

/* From the image to the windows' places. */
nd__walk nd__walk_to_places(const nd__window *w, int axis);
/* From places to the elements of the image at `phase`, phase + stride, ..: those have the same taps. One phase for each
 * number below the stride, of which those past the image have no positions. */
nd__walk nd__walk_to_image(const nd__window *w, int axis, int64_t phase);
/* The positions [lo, hi) at which tap j exists. */
void nd__walk_range(const nd__walk *w, int64_t j, int64_t *lo, int64_t *hi);
/* Of `count` taps from `first` on those, counted from it, that exist at q: [lo, hi); and up to which position
 * (exclusive) they stay the same. */
int64_t nd__walk_taps(const nd__walk *w, int64_t first, int64_t count, int64_t q, int64_t *lo, int64_t *hi);
/* Whether some tap does not exist at low, at high positions. */
void nd__borders(const nd__walk *w, bool *low, bool *high);
/* A condition: 0 <= at, if `low`, and at < limit, if `high`; one of them. */
nd__kval nd__is_inside(nd__kbuilder *b, nd__kaffine at, int64_t limit, bool low, bool high);

/* An operand of rank 4 in memory: element strides. */
typedef struct nd__image {
    const nd_value *base;
    nd__spot spot;
    int64_t offset, stride[4], count;
    int param;
} nd__image;

/* Where operand `which` of the node lies. False: the module has the error. */
bool nd__find_image(nd__block *b, const nd__node *n, int which, nd__image *image);
/* A copy with its axes in that order, the last contiguous, unless that one already is. Strides keep the operand's axes.
 */
bool nd__turn_image(nd__block *b, const nd_shape *shape, const int *order, nd__image *image, nd__steps *steps);
/* Makes it a parameter of the kernel. walk[d]: how far it moves with axis d of the domain; -1: not the same everywhere.
 */
void nd__add_image(nd__space *s, nd__image *image, const int64_t *walk);
/* Microseconds that a convolution takes, or a gradient of one, at the most. */
double nd__conv_work(const nd__space *s, const nd__conv *c);

/* What is chosen for; `how`: what matters beside the sizes. */
nd__chooser nd__choose_conv(nd__block *b, nd__choice_kind kind, const nd__conv *c, nd_dtype dtype, const char *how);

/* -- maxima of windows (pool.c) ---------------------------------------------------------------------------------------
 */

/* What a group computes of the windows of a max_pool: maxima, the numbers of the elements that are them, or both. */
typedef struct nd__maxima {
    const nd_value *most, *index; /* NULL: not this */
    bool is_float;
    int given, given_index; /* their expressions, along `axes` of the domain */
} nd__maxima;
nd__maxima nd__maxima_of(nd__space *s, const nd__node *pool, unsigned axes);
/* Joins element `number` of the window to what is known of it: state[0] is the maximum, state[1] its number. */
void nd__maxima_join(const nd__maxima *m, nd__kbuilder *b, nd__kval x, nd__kval number, nd__kval *state);
/* All elements have been joined: from now on the expressions have values. */
void nd__maxima_end(const nd__maxima *m, nd__emit *e, const nd__kval *state);

/* Whether a convolution can keep the windows of the pool behind it in its tiles (conv.c). */
bool nd__conv_keeps_windows(const nd__target *target, const nd__node *node, const nd__node *pool);

/* -- images in the lanes (blocks.c) -----------------------------------------------------------------------------------
 */

enum { ND__LANE_OF_BLOCKS = 4 }; /* axis of the domain: the image within a vector; axis 0 counts by vectors */

/* Copies an operand into blocks of images, as many as there are lanes. Strides are then those within a block, but
 * stride[0], which is right for multiples of the lanes. */
bool nd__image_to_blocks(nd__block *b, const nd_shape *shape, int lanes, nd__image *image, nd__steps *steps);
/* Whether all that the kernel reads and writes of its domain [n, h, w, c] can be in blocks. */
bool nd__fits_blocks(const nd__space *s);
/* Lets it read and write blocks, copying what it reads; the domain's images are two axes from then on. */
bool nd__space_to_blocks(nd__space *s, int lanes, nd__steps *steps);
/* Behind the kernel: brings what it wrote to where it has to be. `dims`: of the whole domain. */
bool nd__space_from_blocks(const nd__space *s, const int64_t *dims, int lanes, nd__steps *steps);

/* How `size` channels lie in vectors: the lanes of one, its cost beside a full register's, how many there are. */
typedef struct nd__channels {
    int lanes;
    double cost;
    int64_t vectors;
} nd__channels;
nd__channels nd__channels_of(const nd__target *target, nd_dtype dtype, int64_t size);

#endif
