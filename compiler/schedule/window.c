/* How windows walk along an axis, and images in memory. */
#include "compiler/schedule/window.h"
#include "compiler/schedule/cost.h"

#include <inttypes.h>

/* -- walks ----------------------------------------------------------------------------------------------------------
 */

nd__walk nd__walk_to_places(const nd__window *w, int axis)
{
    return (nd__walk){.step = 1,
                      .count = w->places[axis],
                      .taps = w->kernel[axis],
                      .k_step = 1,
                      .at = -w->low[axis],
                      .at_step = w->dilation[axis],
                      .move = w->stride[axis],
                      .limit = w->size[axis]};
}

/* Element k of the window at place o is element o * stride + k * dilation - low of the image. So the place is whole for
 * every (stride / gcd)-th k, and goes down as k goes up. */
nd__walk nd__walk_to_image(const nd__window *w, int axis, int64_t phase)
{
    const int64_t stride = w->stride[axis], dilation = w->dilation[axis], kernel = w->kernel[axis];
    nd__walk walk = {.first = phase, .step = stride, .move = 1, .limit = w->places[axis]};
    int64_t gcd = stride, rest = dilation;
    while (rest != 0) {
        int64_t next = gcd % rest;
        gcd = rest;
        rest = next;
    }
    walk.count = phase < w->size[axis] ? (w->size[axis] - phase + stride - 1) / stride : 0;
    walk.k_step = stride / gcd;
    walk.at_step = -(dilation / gcd);
    while (walk.k < kernel && walk.k < walk.k_step && (phase + w->low[axis] - walk.k * dilation) % stride != 0)
        walk.k++;
    if (walk.k < kernel && walk.k < walk.k_step) {
        walk.taps = (kernel - walk.k + walk.k_step - 1) / walk.k_step;
        walk.at = (phase + w->low[axis] - walk.k * dilation) / stride;
    }
    return walk;
}

static int64_t clamp(int64_t x, int64_t hi)
{
    return x < 0 ? 0 : x > hi ? hi : x;
}

void nd__walk_range(const nd__walk *w, int64_t j, int64_t *lo, int64_t *hi)
{
    const int64_t at = w->at + j * w->at_step, left = w->limit - at; /* 0 <= at + q * move < limit */
    *lo = clamp(at >= 0 ? 0 : (-at + w->move - 1) / w->move, w->count);
    *hi = clamp(left <= 0 ? 0 : (left + w->move - 1) / w->move, w->count);
    if (*hi < *lo)
        *hi = *lo;
}

int64_t nd__walk_taps(const nd__walk *w, int64_t first, int64_t count, int64_t q, int64_t *lo, int64_t *hi)
{
    int64_t until = w->count;
    *lo = *hi = 0;
    for (int64_t j = 0; j < count; j++) {
        int64_t from, to;
        nd__walk_range(w, first + j, &from, &to);
        if (q >= from && q < to) {
            *lo = *hi > *lo ? *lo : j;
            *hi = j + 1;
        }
        if (from > q && from < until && from < to)
            until = from;
        if (to > q && to < until && from < to)
            until = to;
    }
    return until;
}

void nd__borders(const nd__walk *w, bool *low, bool *high)
{
    *low = *high = false;
    for (int64_t j = 0; j < w->taps; j++) {
        const int64_t at = w->at + j * w->at_step;
        *low = *low || at < 0;
        *high = *high || at + (w->count - 1) * w->move >= w->limit;
    }
}

nd__kval nd__is_inside(nd__kbuilder *b, nd__kaffine at, int64_t limit, bool low, bool high)
{
    const nd__ktype type = nd__k_type(ND_I64, 1);
    nd__kval row = nd__k_index(b, type, at, 0), inside = -1;
    if (low)
        inside = nd__k_op2(b, ND__K_le, nd__k_const_bits(b, type, 0), row);
    if (high) {
        nd__kval below = nd__k_op2(b, ND__K_lt, row, nd__k_const_bits(b, type, (uint64_t)limit));
        inside = low ? nd__k_op2(b, ND__K_and, inside, below) : below;
    }
    return inside;
}

/* -- images ---------------------------------------------------------------------------------------------------------
 */

bool nd__find_image(nd__block *b, const nd__node *n, int which, nd__image *image)
{
    int64_t strides[ND_MAX_RANK];
    if (!nd__view(b, n->inputs[which], &image->base, &image->offset, strides) ||
        !nd__spot_of(b, image->base, &image->spot)) {
        nd__fail(b->m, ND_ERR_INTERNAL, n->place, "schedule: operand %d of %%%d is not in memory", which, n->number);
        return false;
    }
    image->count = nd__elements(&image->base->shape);
    for (int d = 0; d < 4; d++)
        image->stride[d] = strides[d];
    return true;
}

bool nd__turn_image(nd__block *b, const nd_shape *shape, const int *order, nd__image *image, nd__steps *steps)
{
    int64_t size[4], stride[4], to[4];
    if (image->stride[order[3]] == 1 || shape->dims[order[3]] == 1)
        return true;
    for (int d = 0; d < 4; d++) {
        size[d] = shape->dims[order[d]];
        stride[d] = image->stride[order[d]];
    }
    nd__spot copy;
    if (!nd__copy_view(b, image->base, image->spot, image->offset, 4, size, stride, &copy, steps))
        return false;
    nd__strides(4, size, to);
    image->spot = copy;
    image->offset = 0;
    image->count = nd__elements(shape);
    for (int d = 0; d < 4; d++)
        image->stride[order[d]] = to[d];
    return true;
}

void nd__add_image(nd__space *s, nd__image *image, const int64_t *walk)
{
    image->param = nd__param_of(s, image->spot, image->base->dtype, image->count, ND__K_IN, image->base->name);
    if (s->failed)
        return;
    nd__param *param = &s->params[image->param];
    for (int d = 0; d < 4; d++) /* both operands may be one */
        param->walk.coef[d] = param->walked && param->walk.coef[d] != walk[d] ? -1 : walk[d];
    param->walked = true;
}

double nd__conv_work(const nd__space *s, const nd__conv *c)
{
    const double cycles = ND__CYCLES_A_MICROSECOND,
                 lanes = s->block->target->vector_bytes / 4; /* a microsecond; of a vector */
    const int64_t *kernel = c->window.kernel;
    return (double)nd__elements(c->y) * (double)kernel[0] * (double)kernel[1] * (double)c->in / (lanes * cycles);
}

/* -- channels -------------------------------------------------------------------------------------------------------
 */

nd__channels nd__channels_of(const nd__target *target, nd_dtype dtype, int64_t size)
{
    const int bytes = (int)nd_dtype_size(dtype), full = target->vector_bytes / (bytes < 4 ? 4 : bytes);
    nd__channels best = {0};
    for (int lanes = full; lanes >= 1; lanes /= 2) {
        /* A processor with registers of 64 bytes does two operations on halves of them in the time of one. */
        nd__channels c = {lanes, target->vector_bytes < 64 || lanes == full ? 1 : 0.5, (size + lanes - 1) / lanes};
        if (best.lanes == 0 || (double)c.vectors * c.cost < (double)best.vectors * best.cost ||
            (c.vectors == 1 && best.vectors == 1 && c.cost <= best.cost))
            best = c;
    }
    return best;
}

nd__chooser nd__choose_conv(nd__block *b, nd__choice_kind kind, const nd__conv *c, nd_dtype dtype, const char *how)
{
    const nd__window *w = &c->window;
    return nd__choose(b, kind, dtype,
                      "%" PRId64 "x%" PRId64 "x%" PRId64 "x%" PRId64 " by %" PRId64 "x%" PRId64 "x%" PRId64
                      " to %" PRId64 "x%" PRId64 " groups %" PRId64 "%s",
                      c->batch, w->size[0], w->size[1], c->in, w->kernel[0], w->kernel[1], c->out, w->places[0],
                      w->places[1], c->groups, how);
}
