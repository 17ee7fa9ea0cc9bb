/* What kernels store for each other.
 *
 * A value that a kernel of another group wants can be stored by the kernel that computes it, or computed again where it
 * is wanted, if its operands can be had there; so each value is had from memory on one side, and made again on the
 * other, of a cut through the graph. Storing and loading a value costs as much as a few operations on it, and the
 * cheapest cut is a minimum cut of a network with two vertices for each value (Ford and Fulkerson, "Flows in networks",
 * 1962): `made`, on the sources' side if the value is left to its own group, and `there`, on the sinks' side if
 * somebody else wants it. The arc from `made` to `there` is cut when the value is stored; that from the source to
 * `made` when it is made again. An operand has to be there for whoever is made again: an arc that cannot be cut.
 *
 * Augmenting paths are found breadth first (Edmonds and Karp, 1972), from one value after another: what cannot reach
 * the sink once never can, so that each is looked at in vain only once. */
#include "compiler/schedule/block.h"

#include <string.h>

enum { LOAD = 2, STORE = 4 }; /* what they cost for each byte; an operation costs 1 for each of a lane */

#define NO_LIMIT INT64_MAX

typedef struct arc {
    int to, next;  /* next: of the same vertex, -1: none */
    int64_t spare; /* what may still flow; that of the arc back is beside it, at number ^ 1 */
} arc;

typedef struct network {
    nd__block *b;
    int *first; /* arc of each vertex: 2 i is `made` of node i, 2 i + 1 is `there` */
    arc *arcs;
    int arc_count, arc_room;
    int64_t *supply;     /* by node: what may flow from the source; 0: the node is not part of the network */
    bool *wanted;        /* by node: by another group, whatever is cut */
    nd__group **readers; /* by node: the group that reads its operands; NULL: it is in none */
    int *stamp;          /* by vertex: the search that has seen it; -1: the sink cannot be reached from there */
    int *from;           /* by vertex: the arc by which it was seen */
    int *queue, search;
} network;

/* An operation that costs less than storing and loading its result. */
static bool is_cheap(const nd__node *n)
{
    return (nd__ops[n->op].traits & ND__ELEMENTWISE) && !(nd__ops[n->op].traits & ND__COSTLY) && n->op != ND__OP_div &&
           n->op != ND__OP_floordiv && n->op != ND__OP_mod;
}

static bool is_leaf(const nd__block *b, const nd__node *n)
{
    return b->home[n->number] < 0 && b->spots[n->number];
}

static void add_arc(network *w, int from, int to, int64_t capacity)
{
    if (!nd__arena_grow(w->b->arena, &w->arcs, &w->arc_room, w->arc_count + 2, sizeof *w->arcs)) {
        w->b->failed = true;
        return;
    }
    w->arcs[w->arc_count] = (arc){to, w->first[from], capacity};
    w->first[from] = w->arc_count++;
    w->arcs[w->arc_count] = (arc){from, w->first[to], 0};
    w->first[to] = w->arc_count++;
}

/* Values in memory anyway are read there: making them again would save nothing but the reading. */
static void add_value(network *w, const nd__node *n)
{
    const nd__block *b = w->b;
    const int i = n->number;
    if (nd__is_view(n) || n->result_count == 0 || (b->home[i] < 0 && !is_leaf(b, n)))
        return;
    const bool is_there = is_leaf(b, n) || b->in_memory[i];
    const int64_t size = (int64_t)nd_dtype_size(n->results[0].dtype), lane = size < 4 ? 4 : size;
    const int64_t elements = nd__elements(&n->results[0].shape), most = INT64_MAX / 64;
    const int64_t count = elements < most ? elements + 1 : most; /* even storing what has no elements takes a buffer */
    w->supply[i] = !is_there && is_cheap(n) ? lane * count : NO_LIMIT;
    add_arc(w, 2 * i, 2 * i + 1, (is_there ? LOAD : LOAD + STORE) * size * count);
}

/* The operands of a node have to be there for it, if another group makes it; those that other groups compute in any
 * case. */
static void add_operands(network *w, const nd__node *n)
{
    nd__block *b = w->b;
    const nd__group *g = w->readers[n->number];
    nd__parts p;
    const bool summed = g && g != nd__group_of(b, b->home[n->number]) && nd__parts_of(b, n, &p);
    for (int k = 0; k < n->input_count && g; k++) {
        const nd_value *v = summed ? p.operand : n->inputs[k];
        nd__index index = nd__identity(&v->shape);
        const nd__node *operand = nd__through_views(v, &index)->node;
        if (w->supply[operand->number] == 0 || (n->op == ND__OP_concat && nd__part_is_placed(b, n, k)))
            continue;
        if (w->supply[n->number] != NO_LIMIT)
            add_arc(w, 2 * operand->number + 1, 2 * n->number, NO_LIMIT);
        if (b->home[operand->number] >= 0 && nd__group_of(b, b->home[operand->number]) != g)
            w->wanted[operand->number] = true;
    }
}

static bool is_sink(const network *w, int vertex)
{
    return (vertex & 1) && w->wanted[vertex / 2];
}

/* The vertex of something wanted that more can flow to; -1: there is none, nor will there be. */
static int find_path(network *w, int start)
{
    int count = 0;
    if (w->stamp[start] < 0)
        return -1;
    w->search++;
    w->stamp[start] = w->search;
    w->from[start] = -1;
    w->queue[count++] = start;
    for (int i = 0; i < count; i++) {
        if (is_sink(w, w->queue[i]))
            return w->queue[i];
        for (int a = w->first[w->queue[i]]; a >= 0; a = w->arcs[a].next) {
            const int to = w->arcs[a].to;
            if (w->arcs[a].spare == 0 || w->stamp[to] < 0 || w->stamp[to] == w->search)
                continue;
            w->stamp[to] = w->search;
            w->from[to] = a;
            w->queue[count++] = to;
        }
    }
    for (int i = 0; i < count; i++)
        w->stamp[w->queue[i]] = -1;
    return -1;
}

static void change(int64_t *amount, int64_t by)
{
    *amount += *amount == NO_LIMIT ? 0 : by;
}

static void fill_from(network *w, int node)
{
    for (int end; w->supply[node] > 0 && (end = find_path(w, 2 * node)) >= 0;) {
        int64_t most = w->supply[node];
        for (int v = end; w->from[v] >= 0; v = w->arcs[w->from[v] ^ 1].to)
            most = w->arcs[w->from[v]].spare < most ? w->arcs[w->from[v]].spare : most;
        for (int v = end; w->from[v] >= 0; v = w->arcs[w->from[v] ^ 1].to) {
            change(&w->arcs[w->from[v]].spare, -most);
            change(&w->arcs[w->from[v] ^ 1].spare, most);
        }
        change(&w->supply[node], -most);
    }
}

/* Of all cheapest cuts the one with the least that is made again: on the sinks' side is only what still leads there. */
static void mark_stored(network *w)
{
    nd__block *b = w->b;
    int count = 0;
    w->search++;
    for (int i = 0; i < b->m->node_count; i++)
        if (w->wanted[i]) {
            w->stamp[2 * i + 1] = w->search;
            w->queue[count++] = 2 * i + 1;
        }
    for (int i = 0; i < count; i++)
        for (int a = w->first[w->queue[i]]; a >= 0; a = w->arcs[a].next)
            if (w->arcs[a ^ 1].spare > 0 && w->stamp[w->arcs[a].to] != w->search) {
                w->stamp[w->arcs[a].to] = w->search;
                w->queue[count++] = w->arcs[a].to;
            }
    for (int i = 0; i < b->m->node_count; i++)
        if (b->home[i] >= 0 && w->stamp[2 * i + 1] == w->search && w->stamp[2 * i] != w->search)
            b->in_memory[i] = true;
}

/* A node's operands are read by its own group, but those of a sum by the group that sums its blocks. */
static void find_readers(network *w)
{
    nd__block *b = w->b;
    for (int i = 0; i < b->m->node_count; i++)
        w->readers[i] = b->home[i] < 0 ? NULL : nd__group_of(b, b->home[i]);
    for (int i = 0; i < b->group_count; i++)
        for (int k = 0; k < b->groups[i]->summed_count; k++)
            w->readers[b->groups[i]->summed[k]->number] = nd__group_of(b, i);
}

bool nd__choose_stored(nd__block *b)
{
    const size_t n = (size_t)b->m->node_count;
    network w = {.b = b};
    w.first = nd__arena_alloc(b->arena, 2 * n, sizeof *w.first);
    w.supply = nd__arena_alloc(b->arena, n, sizeof *w.supply);
    w.wanted = nd__arena_alloc(b->arena, n, sizeof *w.wanted);
    w.readers = nd__arena_alloc(b->arena, n, sizeof *w.readers);
    w.stamp = nd__arena_alloc(b->arena, 2 * n, sizeof *w.stamp);
    w.from = nd__arena_alloc(b->arena, 2 * n, sizeof *w.from);
    w.queue = nd__arena_alloc(b->arena, 2 * n, sizeof *w.queue);
    if (!w.first || !w.supply || !w.wanted || !w.readers || !w.stamp || !w.from || !w.queue)
        return nd__block_failed(b);
    for (size_t i = 0; i < 2 * n; i++)
        w.first[i] = -1;
    find_readers(&w);
    for (size_t i = 0; i < n; i++)
        if (b->need[i])
            add_value(&w, b->m->nodes[i]);
    for (size_t i = 0; i < n; i++)
        if (b->need[i])
            add_operands(&w, b->m->nodes[i]);
    for (size_t i = 0; i < n && !b->failed; i++)
        fill_from(&w, (int)i);
    if (!b->failed)
        mark_stored(&w);
    return !b->failed || nd__block_failed(b);
}
