/* Which groups have to come before which others. Each has a level above those of the groups that come before it: who
 * needs a group is looked for above its level only. */
#include "compiler/schedule/block.h"

/* Groups that are yet to be looked at. */
static void push(nd__block *b, int number)
{
    if (nd__arena_grow(b->arena, &b->work, &b->work_room, b->work_count + 1, sizeof *b->work))
        b->work[b->work_count++] = number;
    else
        b->failed = true;
}

static nd__group *pop(nd__block *b)
{
    return b->work_count > 0 ? nd__group_of(b, b->work[--b->work_count]) : NULL;
}

/* Lifts what comes after the group above it. There are as many levels as groups at most, unless some wait for each
 * other, which scheduling them will tell. */
static void lift(nd__block *b, const nd__group *from)
{
    b->work_count = 0;
    push(b, from->number);
    for (nd__group *g; (g = pop(b)) && !b->failed;)
        for (int i = 0; i < g->then_count; i++) {
            nd__group *next = nd__group_of(b, g->then[i]);
            if (next == g || next->level > g->level || g->level >= b->group_count)
                continue;
            next->level = g->level + 1;
            push(b, next->number);
        }
}

static void note(nd__block *b, int **items, int *count, int *room, int number)
{
    if (nd__arena_grow(b->arena, items, room, *count + 1, sizeof **items))
        (*items)[(*count)++] = number;
    else
        b->failed = true;
}

void nd__order_after(nd__block *b, nd__group *g, int before)
{
    nd__group *first = nd__group_of(b, before);
    if (g == first)
        return;
    for (int i = 0; i < g->after_count; i++)
        if (g->after[i] == first->number)
            return;
    note(b, &g->after, &g->after_count, &g->after_room, first->number);
    note(b, &first->then, &first->then_count, &first->then_room, g->number);
    lift(b, first);
}

void nd__order_merged(nd__block *b, nd__group *g, const nd__group *from)
{
    for (int i = 0; i < from->after_count; i++)
        nd__order_after(b, g, from->after[i]);
    for (int i = 0; i < from->then_count; i++)
        note(b, &g->then, &g->then_count, &g->then_room, from->then[i]);
    g->level = from->level > g->level ? from->level : g->level;
    lift(b, g);
}

bool nd__depends(nd__block *b, int group, int on)
{
    const nd__group *target = nd__group_of(b, on);
    b->work_count = 0;
    b->stamp++;
    push(b, group);
    for (nd__group *g; (g = pop(b));) {
        if (g == target)
            return true;
        if (g->visited == b->stamp || g->level <= target->level)
            continue;
        g->visited = b->stamp;
        for (int i = 0; i < g->after_count; i++)
            push(b, g->after[i]);
    }
    return false;
}
