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
 * the sink once never can, so that each is looked at in vain only once.
 *
 * The cut pays once for what is made again and what is loaded for it, however many groups do so: along a residual
 * stream each layer would add up all layers before it. So what is dear where it is wanted is stored after all, and the
 * cheapest cut beside that is taken. */
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
    int64_t *supply;     /* by node: what may flow from the source */
    bool *wanted;        /* by node: by another group, whatever is cut */
    nd__group **readers; /* by node: the group that reads its operands; NULL: it is in none */
    bool *stored;        /* by node: by the last cut */
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

/* What an operand is, or shows: what views show that kernels cannot look through lies in memory. Where a view has
 * memory of its own, that is read. */
static const nd__node *operand_of(const nd__block *b, const nd__node *n, int k)
{
    n = n->inputs[k]->node;
    while (nd__is_view(n) && !b->copied[n->number])
        n = n->inputs[0]->node;
    return n;
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

static int64_t elements_of(const nd__node *n)
{
    const int64_t elements = nd__elements(&n->results[0].shape), most = INT64_MAX / 4096;
    return elements < most ? elements + 1 : most; /* even storing what has no elements takes a buffer */
}

static int64_t bytes_of(const nd__node *n)
{
    return (int64_t)nd_dtype_size(n->results[0].dtype) * elements_of(n);
}

/* What it costs to make a value again whose operands are there. */
static int64_t work_of(const nd__node *n)
{
    const int64_t size = (int64_t)nd_dtype_size(n->results[0].dtype), lane = size < 4 ? 4 : size;
    return lane * elements_of(n);
}

/* Values in memory anyway are read there: making them again would save nothing but the reading. */
static void add_value(network *w, const nd__node *n)
{
    const nd__block *b = w->b;
    const int i = n->number;
    if (nd__is_view(n) || n->result_count == 0 || (b->home[i] < 0 && !is_leaf(b, n)))
        return;
    const bool is_there = is_leaf(b, n) || b->in_memory[i];
    w->supply[i] = !is_there && is_cheap(n) ? work_of(n) : NO_LIMIT;
    add_arc(w, 2 * i, 2 * i + 1, (is_there ? LOAD : LOAD + STORE) * bytes_of(n));
}

static bool is_part(const network *w, int node)
{
    return w->first[2 * node] >= 0;
}

/* The operands of a node have to be there for it, if another group makes it; those that other groups compute in any
 * case. */
static void add_operands(network *w, const nd__node *n)
{
    nd__block *b = w->b;
    const nd__group *g = w->readers[n->number];
    for (int k = 0; k < n->input_count && g; k++) {
        const nd__node *operand = operand_of(b, n, k);
        if (!is_part(w, operand->number) || (n->op == ND__OP_concat && nd__part_is_placed(b, n, k)))
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
        w->stored[i] =
            b->in_memory[i] || (b->home[i] >= 0 && w->stamp[2 * i + 1] == w->search && w->stamp[2 * i] != w->search);
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

static void cut(network *w)
{
    const nd__block *b = w->b;
    const int n = b->m->node_count;
    w->arc_count = w->search = 0;
    for (int i = 0; i < 2 * n; i++) {
        w->first[i] = -1;
        w->stamp[i] = 0;
    }
    for (int i = 0; i < n; i++)
        if (b->need[i])
            add_value(w, b->m->nodes[i]);
    for (int i = 0; i < n; i++)
        if (b->need[i])
            add_operands(w, b->m->nodes[i]);
    for (int i = 0; i < n && !b->failed; i++)
        fill_from(w, i);
    if (!b->failed)
        mark_stored(w);
}

/* -- what is dear where it is wanted ------------------------------------------------------------------------------ */

/* Whether group g makes the node again, which is computed elsewhere. */
static bool is_made_again(const network *w, const nd__group *g, const nd__node *n)
{
    return is_part(w, n->number) && w->readers[n->number] != g && !w->stored[n->number] && !is_leaf(w->b, n);
}

/* What it costs the group to have a node's value that is not stored, beside what it has; that is what it stamps. Those
 * met are in the queue, `count` of them. */
static int64_t cost_of_making(network *w, const nd__group *g, const nd__node *n, int *count)
{
    int64_t cost = 0;
    *count = 0;
    w->stamp[n->number] = w->search;
    w->queue[(*count)++] = n->number;
    for (int i = 0; i < *count; i++) {
        n = w->b->m->nodes[w->queue[i]];
        const bool again = is_made_again(w, g, n);
        const int64_t own = again ? work_of(n) : LOAD * bytes_of(n);
        cost = cost < NO_LIMIT - own ? cost + own : NO_LIMIT;
        for (int k = 0; k < n->input_count && again; k++) {
            const int operand = operand_of(w->b, n, k)->number;
            if (!is_part(w, operand) || w->stamp[operand] == w->search || w->readers[operand] == g)
                continue;
            w->stamp[operand] = w->search;
            w->queue[(*count)++] = operand;
        }
    }
    return cost;
}

/* What making a value again may cost. A narrow value takes lanes as a wide one does before it is stored; a map of which
 * nothing is stored yet would be one more kernel, which reads all that it is made of. */
static int64_t most_worth(const network *w, const nd__node *n)
{
    const nd__group *home = nd__group_of(w->b, w->b->home[n->number]);
    bool is_there = home->kind != ND__G_MAP || home->summed_count > 0;
    for (int i = 0; i < home->member_count && !is_there; i++)
        is_there = w->stored[home->members[i]];
    return (is_there ? 1 : 2) * (LOAD + STORE) * work_of(n);
}

/* The next of the nodes used, by number, after that one; 0, which is a leaf: there is none. */
static int next_use(const nd__group *g, int number)
{
    int next = 0;
    for (int k = 0; k < g->uses.count; k++) {
        const int used = g->uses.items[k].value->node->number;
        next = used > number && (next == 0 || used < next) ? used : next;
    }
    return next;
}

/* What one group does again for a value counts wholly here, unless it does so for an older one; whether it is stored is
 * then settled for all. */
static bool store_what_is_dear(network *w)
{
    nd__block *b = w->b;
    bool any = false;
    memset(w->stamp, 0, 2 * (size_t)b->m->node_count * sizeof *w->stamp);
    for (int i = 0; i < b->group_count; i++) {
        const nd__group *g = b->groups[i];
        w->search = i + 1;
        for (int k = 0; k < g->uses.count && g->merged < 0; k++)
            if (!is_made_again(w, g, g->uses.items[k].value->node))
                w->stamp[g->uses.items[k].value->node->number] = w->search;
        for (int k = 0, count; g->merged < 0 && (k = next_use(g, k)) > 0;) {
            const nd__node *n = b->m->nodes[k];
            if (!is_made_again(w, g, n) || w->stamp[n->number] == w->search ||
                cost_of_making(w, g, n, &count) <= most_worth(w, n))
                continue;
            for (int j = 1; j < count; j++)
                w->stamp[w->queue[j]] = 0;
            any = w->stored[n->number] = b->in_memory[n->number] = true;
        }
    }
    return any;
}

bool nd__choose_stored(nd__block *b)
{
    enum { ROUNDS = 3 };
    const size_t n = (size_t)b->m->node_count;
    network w = {.b = b};
    w.first = nd__arena_alloc(b->arena, 2 * n, sizeof *w.first);
    w.supply = nd__arena_alloc(b->arena, n, sizeof *w.supply);
    w.wanted = nd__arena_alloc(b->arena, n, sizeof *w.wanted);
    w.readers = nd__arena_alloc(b->arena, n, sizeof *w.readers);
    w.stored = nd__arena_alloc(b->arena, n, sizeof *w.stored);
    w.stamp = nd__arena_alloc(b->arena, 2 * n, sizeof *w.stamp);
    w.from = nd__arena_alloc(b->arena, 2 * n, sizeof *w.from);
    w.queue = nd__arena_alloc(b->arena, 2 * n, sizeof *w.queue);
    if (!w.first || !w.supply || !w.wanted || !w.readers || !w.stored || !w.stamp || !w.from || !w.queue)
        return nd__block_failed(b);
    find_readers(&w);
    cut(&w);
    for (int round = 1; round < ROUNDS && !b->failed && store_what_is_dear(&w); round++)
        cut(&w);
    for (size_t i = 0; i < n && !b->failed; i++)
        b->in_memory[i] |= w.stored[i];
    return !b->failed || nd__block_failed(b);
}
