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

bool nd__place_part(nd__block *b, const nd__node *concat, int part)
{
    const nd_value *v = concat->inputs[part], *whole = &concat->results[0];
    const int axis = (int)nd__get_int(concat, ND__A_axis);
    if (nd__is_view(v->node) || b->home[v->node->number] < 0 || overwrites(b, whole) ||
        !nd__can_place(nd__group_of(b, b->home[v->node->number])))
        return false;
    nd__index at = nd__identity(&v->shape);
    for (int i = 0; i < part; i++)
        at.at[axis].constant += concat->inputs[i]->shape.dims[axis];
    add_place(b, (nd__place){.group = b->home[v->node->number],
                             .value = v,
                             .whole = whole,
                             .part = part,
                             .at = nd__flat(&whole->shape, &at),
                             .elems = nd__elements(&whole->shape)});
    return true;
}

bool nd__part_is_placed(const nd__block *b, const nd__node *concat, int part)
{
    for (int i = 0; i < b->place_count; i++)
        if (b->places[i].whole == &concat->results[0] && b->places[i].part == part)
            return true;
    return false;
}
