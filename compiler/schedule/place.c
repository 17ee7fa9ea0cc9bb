/* Places: where a kernel stores a value beside, or instead of, a buffer of its own.
 *
 * A part of a concatenation is stored where it lies in the whole, by the kernel that computes it; a value that is
 * wanted in several places, such as a loop's next carry and a slice of what the loop stacks, is stored in each of
 * them; a view of what a kernel reads, by that kernel. Nothing is copied then, and what nothing else reads has no
 * buffer. */
#include "compiler/schedule/block.h"

bool nd__can_place(const nd__group *g)
{
    return !g->copy && (g->kind == ND__G_MAP || g->kind == ND__G_PRODUCT || g->kind == ND__G_CONV);
}

static void add_place(nd__block *b, nd__place place)
{
    if (nd__arena_grow(b->arena, &b->places, &b->place_room, b->place_count + 1, sizeof *b->places))
        b->places[b->place_count++] = place;
    else
        b->failed = true;
}

void nd__place_sink(nd__block *b, const nd__group *g, const nd_value *v, nd__spot spot)
{
    const nd__index identity = nd__identity(&v->shape);
    add_place(b, (nd__place){.group = g->number,
                             .value = v,
                             .spot = spot,
                             .at = nd__flat(&v->shape, &identity),
                             .elems = nd__elements(&v->shape)});
}

/* Whether the value is to be written over something that is still read: its parts come when all of that has been. */
static bool overwrites(const nd__block *b, const nd_value *v)
{
    for (int i = 0; i < b->sink_count; i++) {
        const nd_value *sunk = b->sinks[i].value;
        while (nd__is_view(sunk->node))
            sunk = sunk->node->inputs[0];
        if (b->sinks[i].old && sunk == v)
            return true;
    }
    return false;
}

/* The index of a reshaped element, that of the element given: axes may be joined and may have size 1. False: one is
 * split. */
static bool reshape_index(const nd_shape *in, const nd_shape *out, nd__index *index)
{
    nd__index joined = {0};
    int d = 0;
    for (int o = 0; o < out->rank; o++) {
        int64_t left = out->dims[o];
        for (; left > 1; d++) {
            if (in->dims[d] == 1)
                continue;
            if (left % in->dims[d] != 0)
                return false;
            left /= in->dims[d];
            joined.at[o] = nd__lin_add(joined.at[o], index->at[d], left);
        }
    }
    *index = joined;
    return true;
}

/* The value of which v shows all elements in another order, and v's index by that value's; NULL: there is none. */
static const nd_value *turned_value(const nd_value *v, nd__index *index)
{
    const nd__node *n = v->node;
    if (!nd__is_view(n)) {
        *index = nd__identity(&v->shape);
        return v;
    }
    if (n->op != ND__OP_transpose && n->op != ND__OP_reshape && n->op != ND__OP_stop_gradient)
        return NULL;
    const nd_value *x = n->inputs[0], *base = turned_value(x, index);
    if (!base || (n->op == ND__OP_reshape && !reshape_index(&x->shape, &v->shape, index)))
        return NULL;
    if (n->op == ND__OP_transpose) {
        const nd__index from = *index;
        for (int o = 0; o < v->shape.rank; o++)
            index->at[o] = from.at[nd__get_ints(n, ND__A_axes)[o]];
    }
    return base;
}

/* A form of a value's axes as one of those of what the value shows. */
static nd__lin substituted(const nd__lin *at, const nd__index *shown)
{
    nd__lin a = nd__lin_const(at->constant);
    for (int d = 0; d < ND_MAX_RANK; d++)
        if (at->coef[d] != 0)
            a = nd__lin_add(a, shown->at[d], at->coef[d]);
    return a;
}

/* Lets the group that computes what v shows, at `at` by v's axes of the value it is stored for, store it there. Rows
 * stay rows: what would be stored element by element is better copied in blocks. */
static nd__group *place_shown(nd__block *b, const nd_value *v, const nd__index *at, const nd_value *whole, int part)
{
    nd__index shown, index = {0};
    const nd_value *base = turned_value(v, &shown);
    if (!base || b->home[base->node->number] < 0)
        return NULL;
    nd__group *g = nd__group_of(b, b->home[base->node->number]);
    for (int d = 0; d < whole->shape.rank; d++)
        index.at[d] = substituted(&at->at[d], &shown);
    const nd__lin flat = nd__flat(&whole->shape, &index);
    const int last = base->shape.rank - 1;
    if (!nd__can_place(g) || (base != v && (last < 0 || (base->shape.dims[last] != 1 && flat.coef[last] != 1))))
        return NULL;
    add_place(b, (nd__place){.group = g->number,
                             .value = base,
                             .whole = whole,
                             .part = part,
                             .at = flat,
                             .elems = nd__elements(&whole->shape)});
    return g;
}

static nd__index part_index(const nd__node *concat, int part)
{
    const int axis = (int)nd__get_int(concat, ND__A_axis);
    nd__index at = nd__identity(&concat->inputs[part]->shape);
    for (int i = 0; i < part; i++)
        at.at[axis].constant += concat->inputs[i]->shape.dims[axis];
    return at;
}

nd__group *nd__place_part(nd__block *b, const nd__node *concat, int part)
{
    const nd__index at = part_index(concat, part);
    if (overwrites(b, &concat->results[0]))
        return NULL;
    return place_shown(b, concat->inputs[part], &at, &concat->results[0], part);
}

/* The parts of a concatenation that v shows in another order are stored there as well; all of them, or none. */
static nd__group *place_parts_of(nd__block *b, const nd__node *concat, const nd__index *shown, const nd_value *v)
{
    const int before = b->place_count;
    for (int i = 0; i < concat->input_count; i++) {
        const nd__index part = part_index(concat, i);
        nd__index at = {0};
        for (int d = 0; d < v->shape.rank; d++)
            at.at[d] = substituted(&shown->at[d], &part);
        if (!nd__part_is_placed(b, concat, i) || !place_shown(b, concat->inputs[i], &at, v, -1)) {
            b->place_count = before;
            return NULL;
        }
    }
    return nd__group_of(b, b->home[concat->number]);
}

nd__group *nd__place_turned(nd__block *b, const nd_value *v)
{
    nd__index index = nd__identity(&v->shape);
    nd__group *g = place_shown(b, v, &index, v, -1);
    const nd_value *base = g ? NULL : turned_value(v, &index);
    return base && base->node->op == ND__OP_concat ? place_parts_of(b, base->node, &index, v) : g;
}

bool nd__part_is_placed(const nd__block *b, const nd__node *concat, int part)
{
    for (int i = 0; i < b->place_count; i++)
        if (b->places[i].whole == &concat->results[0] && b->places[i].part == part)
            return true;
    return false;
}
