/* Lists of who uses what. */
#include "compiler/schedule/block.h"

void nd__list_add(nd__filling *f, int thing, int number)
{
    if (f->counting)
        f->lists->first[thing + 2]++;
    else
        f->lists->items[f->lists->first[thing + 1]++] = number;
}

bool nd__lists_fill(nd__block *b, nd__lists *lists, int n, void (*each)(nd__block *b, nd__filling *f))
{
    nd__filling f = {lists, true};
    lists->first = nd__arena_alloc(b->arena, (size_t)n + 2, sizeof *lists->first);
    if (!lists->first)
        return nd__block_failed(b);
    each(b, &f);
    for (int i = 2; i <= n + 1; i++)
        lists->first[i] += lists->first[i - 1];
    lists->items = nd__arena_alloc(b->arena, (size_t)lists->first[n + 1] + 1, sizeof *lists->items);
    if (!lists->items)
        return nd__block_failed(b);
    f.counting = false;
    each(b, &f);
    return true;
}

static const nd_value *past_views(const nd_value *v)
{
    while (nd__is_view(v->node))
        v = v->node->inputs[0];
    return v;
}

static void each_user(nd__block *b, nd__filling *f)
{
    for (int i = 0; i < b->m->node_count; i++) {
        const nd__node *n = b->m->nodes[i];
        for (int k = 0; k < n->input_count && b->need[i] && !nd__is_view(n); k++)
            nd__list_add(f, past_views(n->inputs[k])->node->number, i);
    }
    for (int i = 0; i < b->sink_count; i++)
        if (nd__is_view(b->sinks[i].value->node))
            nd__list_add(f, past_views(b->sinks[i].value)->node->number, -1);
}

bool nd__list_users(nd__block *b, nd__lists *users)
{
    return nd__lists_fill(b, users, b->m->node_count, each_user);
}

static void each_reader(nd__block *b, nd__filling *f)
{
    for (int i = 0; i < b->group_count; i++) {
        const nd__group *g = b->groups[i];
        for (int k = 0; k < g->uses.count && g->merged < 0; k++) {
            const int node = g->uses.items[k].value->node->number;
            if (b->home[node] < 0)
                nd__list_add(f, node, i);
        }
    }
}

void nd__list_readers(nd__block *b)
{
    nd__lists_fill(b, &b->readers, b->m->node_count, each_reader);
}

static void each_place(nd__block *b, nd__filling *f)
{
    for (int i = 0; i < b->place_count; i++)
        nd__list_add(f, nd__group_of(b, b->places[i].group)->number, i);
}

void nd__list_places(nd__block *b)
{
    nd__lists_fill(b, &b->placed, b->group_count, each_place);
}
