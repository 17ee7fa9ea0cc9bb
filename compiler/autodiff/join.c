/* Several contributions to one value.
 *
 * They are added in the order of their consumers' creation. Contributions of slices that have no element in common are
 * put side by side instead: adding the zeros that each of them has elsewhere would turn -0 into +0 and cost a pass over
 * the whole value per slice. What overlaps is padded and added, zeros included. */
#include "compiler/autodiff/autodiff.h"

#include <string.h>

/* -- where a slice lies ------------------------------------------------------------------------------------------- */

/* The elements of one axis, ascending: first, first + step, ... */
typedef struct progression {
    int64_t first, step, count;
} progression;

static progression along(const nd__node *slice, int axis)
{
    progression p = {nd__get_ints(slice, ND__A_start)[axis], nd__get_ints(slice, ND__A_step)[axis],
                     nd__get_ints(slice, ND__A_size)[axis]};
    if (p.step < 0 && !nd__size_is_named(p.count)) {
        p.first += p.count > 0 ? (p.count - 1) * p.step : 0;
        p.step = -p.step;
    }
    return p;
}

static bool is_whole(const nd__node *slice, int axis)
{
    int64_t step = nd__get_ints(slice, ND__A_step)[axis];
    return nd__get_ints(slice, ND__A_size)[axis] == slice->inputs[0]->shape.dims[axis] && (step == 1 || step == -1);
}

static bool contains(progression p, int64_t index)
{
    return index >= p.first && index <= p.first + (p.count - 1) * p.step && (index - p.first) % p.step == 0;
}

static bool have_nothing_in_common(progression a, progression b)
{
    if (a.count == 0 || b.count == 0)
        return true;
    int64_t a_last = a.first + (a.count - 1) * a.step, b_last = b.first + (b.count - 1) * b.step;
    int64_t low = a.first > b.first ? a.first : b.first, high = a_last < b_last ? a_last : b_last;
    int64_t index = a.first + (low - a.first + a.step - 1) / a.step * a.step;
    /* Modulo b's step, a's elements repeat after at most as many. */
    for (int64_t i = 0; i < b.step && index <= high; i++, index += a.step)
        if (contains(b, index))
            return false;
    return true;
}

/* Of a named axis only two counts from the same end can be told apart, whatever it is bound to. */
static bool separates(const nd__node *a, const nd__node *b, int axis)
{
    progression p = along(a, axis), q = along(b, axis);
    if (nd__size_is_named(p.count) || nd__size_is_named(q.count) || (p.first < 0) != (q.first < 0))
        return false;
    return have_nothing_in_common(p, q);
}

static bool all_disjoint(const nd__term *terms)
{
    for (const nd__term *a = terms; a; a = a->next)
        for (const nd__term *b = a->next; a->apart && b; b = b->next) {
            bool disjoint = !b->apart;
            for (int axis = 0; !disjoint && axis < a->by->inputs[0]->shape.rank; axis++)
                disjoint = separates(a->by, b->by, axis);
            if (!disjoint)
                return false;
        }
    return true;
}

/* -- back into the shape of what was sliced ----------------------------------------------------------------------- */

/* dy with the axes turned round along which the slice walked back. */
static nd_value *ascending(const nd__node *slice, nd_value *dy)
{
    int64_t start[ND_MAX_RANK], step[ND_MAX_RANK];
    bool turn = false;
    for (int i = 0; i < dy->shape.rank; i++) {
        bool back = nd__get_ints(slice, ND__A_step)[i] < 0 && dy->shape.dims[i] != 1 && dy->shape.dims[i] != 0;
        start[i] = !back ? 0 : nd__size_is_named(dy->shape.dims[i]) ? -1 : dy->shape.dims[i] - 1;
        step[i] = back ? -1 : 1;
        turn |= back;
    }
    return turn ? nd_slice_at(slice->place, dy, start, dy->shape.dims, step) : dy;
}

/* x with the axis `from` moved to where `to` is. */
static nd_value *move_axis(nd_place place, nd_value *x, int from, int to)
{
    nd_axes order = {.count = x->shape.rank};
    for (int i = 0, next = 0; i < x->shape.rank; i++) {
        if (next == from)
            next++;
        order.items[i] = i == to ? from : next++;
    }
    return from == to ? x : nd_transpose_at(place, x, order);
}

/* A part of a named axis cannot be padded to it, since the padding would depend on what the name is bound to; but its
 * rows can be gathered by an index that is outside, and gives zeros, wherever the slice shows nothing. */
static nd_value *spread_named(const nd__node *slice, nd_value *dy, int axis)
{
    nd_place place = slice->place;
    nd_module *m = slice->module;
    int64_t size = slice->inputs[0]->shape.dims[axis];
    progression p = along(slice, axis);
    nd_value *index = nd_iota_at(place, m, ND_I64, nd_shape_of(1, &size), 0);
    if (nd__get_ints(slice, ND__A_start)[axis] < 0)
        index = nd_sub_at(place, index, nd_size_at(place, m, ND_I64, size));
    index = nd_sub_at(place, index, nd_const_at(place, m, (double)p.first));
    if (p.step != 1) {
        nd_value *step = nd_const_at(place, m, (double)p.step);
        nd_value *rest = nd_mod_at(place, index, step), *shown = nd_eq_at(place, rest, nd_const_at(place, m, 0));
        nd_value *row = nd_floordiv_at(place, index, step);
        index = nd_select_at(place, shown, row, nd_const_at(place, m, -1));
    }
    return move_axis(place, nd_gather_at(place, move_axis(place, dy, axis, 0), index), 0, axis);
}

nd_value *nd__unslice(const nd__node *slice, nd_value *dy)
{
    const nd_shape *to = &slice->inputs[0]->shape;
    int64_t low[ND_MAX_RANK] = {0}, high[ND_MAX_RANK] = {0}, interior[ND_MAX_RANK] = {0};
    bool pads = false;
    dy = ascending(slice, dy);
    for (int i = 0; i < to->rank; i++) {
        if (is_whole(slice, i) || nd__size_is_named(to->dims[i]))
            continue;
        progression p = along(slice, i);
        low[i] = p.count > 0 ? p.first : 0;
        interior[i] = p.count > 1 ? p.step - 1 : 0;
        high[i] = to->dims[i] - low[i] - (p.count > 0 ? (p.count - 1) * p.step + 1 : 0);
        pads |= low[i] > 0 || high[i] > 0 || interior[i] > 0;
    }
    if (pads)
        dy = nd_pad_at(slice->place, dy, low, high, interior, 0);
    for (int i = 0; i < to->rank && !nd_value_is_poison(dy); i++)
        if (nd__size_is_named(to->dims[i]) && !is_whole(slice, i))
            dy = spread_named(slice, dy, i);
    return dy;
}

/* -- side by side ------------------------------------------------------------------------------------------------- */

/* The axis along which alone the slices differ, in steps of 1; -1: none. */
static int common_axis(const nd__term *terms)
{
    int axis = -1;
    for (const nd__term *t = terms; t; t = t->next)
        for (int i = 0; t->apart && i < t->by->inputs[0]->shape.rank; i++) {
            int64_t step = nd__get_ints(t->by, ND__A_step)[i];
            if (is_whole(t->by, i) && step == 1)
                continue;
            if ((axis >= 0 && axis != i) || step != 1 || nd__size_is_named(t->by->inputs[0]->shape.dims[i]))
                return -1;
            axis = i;
        }
    return axis;
}

/* Slices of one axis one behind the other, zeros where there is none. */
static nd_value *concatenated(const nd_value *to, const nd__term *terms, int axis)
{
    nd_module *m = to->node->module;
    nd_place place = to->node->place;
    int count = 0;
    for (const nd__term *t = terms; t; t = t->next)
        count += t->apart;
    nd_value **parts = nd__arena_alloc(&m->arena, (size_t)count * 2 + 1, sizeof *parts);
    if (!parts)
        return nd__fail_memory(m);
    size_t used = 0;
    for (int64_t done = 0; done < to->shape.dims[axis];) {
        const nd__term *next = NULL;
        int64_t from = to->shape.dims[axis];
        for (const nd__term *t = terms; t; t = t->next) {
            progression p = t->apart ? along(t->by, axis) : (progression){0, 1, 0};
            if (p.count > 0 && p.first >= done && p.first < from) {
                from = p.first;
                next = t;
            }
        }
        if (from > done) {
            nd_shape gap = to->shape;
            gap.dims[axis] = from - done;
            parts[used++] = nd__filled(m, place, to->dtype, &gap, 0);
        }
        if (next)
            parts[used++] = next->dx;
        done = next ? from + along(next->by, axis).count : to->shape.dims[axis];
    }
    return used == 1 ? parts[0] : nd_concat_at(place, (nd_values){used, parts}, axis);
}

/* Each slice's part chosen where it lies: for slices with steps, and for tiles of several axes. */
static nd_value *chosen(const nd_value *to, const nd__term *terms)
{
    nd_module *m = to->node->module;
    nd_value *all = NULL;
    for (const nd__term *t = terms; t && m->status == ND_OK; t = t->next) {
        if (!t->apart)
            continue;
        nd_value *padded = nd__unslice(t->by, t->dx);
        if (all) {
            nd_value *shown = nd__unslice(t->by, nd__filled(m, t->by->place, ND_BOOL, &t->dx->shape, 1));
            padded = nd_select_at(t->by->place, shown, padded, all);
        }
        all = padded;
    }
    return all;
}

nd_value *nd__join(nd_value *to, const nd__term *terms)
{
    nd_value *sum = NULL, *slices = NULL;
    int apart = 0;
    for (const nd__term *t = terms; t; t = t->next)
        apart += t->apart;
    if (apart > 1 && all_disjoint(terms)) {
        int axis = common_axis(terms);
        slices = axis >= 0 ? concatenated(to, terms, axis) : chosen(to, terms);
    }
    for (const nd__term *t = terms; t; t = t->next) {
        nd_value *dx = t->dx;
        if (t->apart && slices && apart == 0)
            continue; /* already in the sum, at the place of the first slice */
        if (t->apart) {
            dx = slices ? slices : nd__unslice(t->by, dx);
            apart = slices ? 0 : apart;
        }
        sum = sum ? nd_add_at(to->node->place, sum, dx) : dx;
    }
    return sum;
}
