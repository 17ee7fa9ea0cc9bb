/* Grouping: which nodes become one kernel.
 *
 * The nodes are met in order. An elementwise node joins the group that computes its operands, if it reads them at the
 * very point that it computes and no cycle between groups arises; else it opens a group. Maps over the same domain that
 * it joins become one, and so do rows, where reductions that do not need each other meet. A reduction over the last
 * axis turns a map into rows; a product, and a reduction that keeps the last axis, open groups that elementwise nodes
 * may follow into. Cheap nodes over leaves are computed wherever they are used. */
#include "compiler/schedule/uses.h"
#include "compiler/schedule/window.h"

#include <string.h>

enum {
    VIRTUAL_COST = 4,   /* operations that computing a value again may take at most, */
    CONSTANT_COST = 32, /* and of one that reads no memory */
};

/* One element from operands at points of the same index space: what can be computed inside any kernel. */
static bool is_pointwise(const nd__node *n)
{
    return ((nd__ops[n->op].traits & ND__ELEMENTWISE) && n->op != ND__OP_stop_gradient) || n->op == ND__OP_gather ||
           n->op == ND__OP_random_bits;
}

static bool is_pool(const nd__node *n)
{
    return n->op == ND__OP_max_pool || n->op == ND__OP_max_pool_index || n->op == ND__OP_max_pool_pick ||
           n->op == ND__OP_max_pool_spread;
}

nd__group *nd__group_of(nd__block *b, int number)
{
    nd__group *g = b->groups[number];
    while (g->merged >= 0)
        g = b->groups[g->merged];
    return g;
}

/* The group that computes a node's results; NULL: none. */
static nd__group *home_of(nd__block *b, const nd__node *n)
{
    return b->home[n->number] < 0 ? NULL : nd__group_of(b, b->home[n->number]);
}

/* -- groups ----------------------------------------------------------------------------------------------------------
 */

static nd__group *new_group(nd__block *b, nd__group_kind kind, const nd_shape *domain)
{
    nd__group *g = nd__arena_alloc(b->arena, 1, sizeof *g);
    if (!g || !nd__arena_grow(b->arena, &b->groups, &b->group_room, b->group_count + 1, sizeof(nd__group *))) {
        b->failed = true;
        return NULL;
    }
    *g =
        (nd__group){.kind = kind, .number = b->group_count, .rank = domain->rank, .uses.arena = b->arena, .merged = -1};
    memcpy(g->size, domain->dims, (size_t)domain->rank * sizeof *g->size);
    b->groups[b->group_count++] = g;
    return g;
}

static void add_member(nd__block *b, nd__group *g, const nd__node *n)
{
    if (!nd__arena_grow(b->arena, &g->members, &g->member_room, g->member_count + 1, sizeof *g->members)) {
        b->failed = true;
        return;
    }
    int i = g->member_count++;
    for (; i > 0 && g->members[i - 1] > n->number; i--)
        g->members[i] = g->members[i - 1];
    g->members[i] = n->number;
    b->home[n->number] = g->number;
}

static bool same_use(const nd__use *a, const nd__use *b)
{
    return a->value == b->value && a->memory == b->memory && memcmp(&a->index, &b->index, sizeof a->index) == 0;
}

/* Where the use is among those from `first` on; u->count: nowhere. */
static int find_use(const nd__uses *u, int first, const nd__use *use)
{
    int at = first;
    while (at < u->count && !same_use(&u->items[at], use))
        at++;
    return at;
}

/* Takes note of what a group reads: values of other groups come first. */
static void connect(nd__block *b, nd__group *g, const nd__uses *u)
{
    for (int i = 0; i < u->count; i++) {
        const nd__use *use = &u->items[i];
        nd__group *home = home_of(b, use->value->node);
        if (home == g)
            continue;
        if (find_use(&g->uses, 0, use) == g->uses.count)
            nd__add_use(b, &g->uses, use->value, &use->index, use->memory);
        if (home)
            nd__order_after(b, g, home->number);
    }
}

/* What other groups' values that are not stored are made of is read in their stead. */
static void use_what_is_stored(nd__block *b, nd__group *g)
{
    const int direct = g->uses.count;
    for (int i = 0; i < g->uses.count && !b->failed; i++) {
        const nd__use use = g->uses.items[i];
        const nd__node *n = use.value->node;
        nd__uses operands = {.arena = b->passing};
        if (!home_of(b, n) || home_of(b, n) == g || b->in_memory[n->number])
            continue;
        nd__use_operands(b, &operands, n, &use.index);
        for (int k = 0; k < operands.count; k++) {
            nd__use *operand = &operands.items[k];
            operand->memory |= use.memory;
            if (find_use(&g->uses, direct, operand) == g->uses.count)
                nd__add_use(b, &g->uses, operand->value, &operand->index, operand->memory);
        }
    }
}

static void add_summed(nd__block *b, nd__group *g, const nd__node *n)
{
    if (nd__arena_grow(b->arena, &g->summed, &g->summed_room, g->summed_count + 1, sizeof(const nd__node *)))
        g->summed[g->summed_count++] = n;
    else
        b->failed = true;
}

/* Makes `from` a part of `g`: what one of them computes is no longer read from memory by the other. */
static void merge(nd__block *b, nd__group *g, nd__group *from)
{
    from->merged = g->number;
    g->places |= from->places;
    for (int i = 0; i < from->member_count; i++)
        add_member(b, g, b->m->nodes[from->members[i]]);
    nd__order_merged(b, g, from);
    for (int i = 0; i < from->summed_count; i++)
        add_summed(b, g, from->summed[i]);
    for (int i = 0; i < from->uses.count; i++)
        nd__add_use(b, &g->uses, from->uses.items[i].value, &from->uses.items[i].index, from->uses.items[i].memory);
}

/* Whether a group other than the two lies on a way from one to the other: then they cannot be one. */
static bool lies_between(nd__block *b, const nd__group *one, const nd__group *other)
{
    for (int i = 0; i < one->after_count; i++) {
        int after = nd__group_of(b, one->after[i])->number;
        if (after != other->number && nd__depends(b, after, other->number))
            return true;
    }
    return false;
}

static bool shape_is(const nd_shape *shape, int rank, const int64_t *size)
{
    return shape->rank == rank && memcmp(shape->dims, size, (size_t)rank * sizeof *size) == 0;
}

/* A kernel that keeps its anchor's result in registers for what follows. */
static bool is_tiled(const nd__group *g)
{
    return g->kind == ND__G_PRODUCT || (g->kind == ND__G_CONV && g->anchor->op != ND__OP_conv2d_dw_pooled) ||
           g->kind == ND__G_POOL;
}

/* Whether a pointwise result of that shape can be computed in the group: the whole domain, or in rows one element a
 * row. */
static bool shape_fits(const nd__group *g, const nd_shape *shape)
{
    if (shape_is(shape, g->rank, g->size))
        return g->kind == ND__G_MAP || g->kind == ND__G_ROWS || g->kind == ND__G_COLUMNS || is_tiled(g);
    if (g->kind != ND__G_ROWS)
        return false;
    nd_shape row = *shape;
    if (row.rank == g->rank && row.dims[row.rank - 1] == 1)
        row.rank--;
    return shape_is(&row, g->rank - 1, g->size);
}

static bool fits(nd__block *b, const nd__group *g, const nd__uses *u, const nd_shape *shape, bool reduces)
{
    if (g->copy)
        return false;
    if (reduces && ((g->kind != ND__G_MAP && g->kind != ND__G_ROWS) || !shape_is(shape, g->rank, g->size)))
        return false;
    if (!reduces && !shape_fits(g, shape))
        return false;
    for (int k = 0; k < u->count; k++) {
        nd__group *other = home_of(b, u->items[k].value->node);
        if (other == g ? !nd__aligned(&u->items[k]) : other && nd__depends(b, other->number, g->number))
            return false;
    }
    return true;
}

/* The last group that a node with these uses can join; `reduces`: as a reduction of rows over operand shape `shape`. */
static nd__group *joinable(nd__block *b, const nd__uses *u, const nd_shape *shape, bool reduces)
{
    nd__group *best = NULL;
    for (int i = 0; i < u->count; i++) {
        nd__group *g = home_of(b, u->items[i].value->node);
        if (g && (!best || g->number > best->number) && fits(b, g, u, shape, reduces))
            best = g;
    }
    return best;
}

/* Whether something that the uses read, and g will have to come after, needs `from`. */
static bool read_between(nd__block *b, const nd__group *g, const nd__uses *u, const nd__group *from)
{
    for (int i = 0; i < u->count; i++) {
        const nd__group *other = home_of(b, u->items[i].value->node);
        if (other && other != g && other != from && nd__depends(b, other->number, from->number))
            return true;
    }
    return false;
}

/* Whether the uses read what a group computes nowhere but at the point. */
static bool reads_at_point(nd__block *b, const nd__uses *u, const nd__group *from)
{
    for (int i = 0; i < u->count; i++)
        if (home_of(b, u->items[i].value->node) == from && !nd__aligned(&u->items[i]))
            return false;
    return true;
}

/* Whether `from` may become a part of g over the same points: a map, or, of rows, other rows. */
static bool is_alike(const nd__group *g, const nd__group *from)
{
    const nd_shape domain = nd_shape_of((size_t)g->rank, g->size);
    return (from->kind == ND__G_MAP || (from->kind == ND__G_ROWS && g->kind == ND__G_ROWS)) && !from->copy &&
           shape_is(&domain, from->rank, from->size);
}

/* Makes the others over g's domain from which the uses come parts of g. */
static void merge_alike(nd__block *b, nd__group *g, const nd__uses *u)
{
    for (int i = 0; i < u->count; i++) {
        nd__group *from = home_of(b, u->items[i].value->node);
        if (from && from != g && is_alike(g, from) && reads_at_point(b, u, from) && reads_at_point(b, &g->uses, from) &&
            reads_at_point(b, &from->uses, g) && !read_between(b, g, u, from) && !lies_between(b, g, from) &&
            !lies_between(b, from, g))
            merge(b, g, from);
    }
}

/* Lets a map that only `n` reads be computed inside n's kernel, at whatever index n reads it. */
static void absorb_producers(nd__block *b, nd__group *g, const nd__node *n, const nd__uses *u, const nd__lists *users)
{
    for (int i = 0; i < u->count; i++) {
        nd__group *from = home_of(b, u->items[i].value->node);
        if (!from || from == g || from->kind != ND__G_MAP || from->copy || from->places || from->summed_count > 0 ||
            u->items[i].memory)
            continue;
        bool only = true;
        for (int k = 0; only && k < from->member_count; k++) {
            int member = from->members[k];
            only = !b->in_memory[member];
            for (int j = users->first[member]; only && j < users->first[member + 1]; j++)
                only = users->items[j] == n->number ||
                       (users->items[j] >= 0 && home_of(b, b->m->nodes[users->items[j]]) == from);
        }
        if (only)
            merge(b, g, from);
    }
}

/* -- nodes -----------------------------------------------------------------------------------------------------------
 */

/* What computing a pointwise node wherever it is used costs; 0: it is worth a place of its own. */
static int cost_where_used(nd__block *b, const nd__node *n)
{
    const bool costly = nd__ops[n->op].traits & ND__COSTLY || n->op == ND__OP_random_bits;
    int cost = 1, constant_cost = 1;
    bool constant = n->op != ND__OP_random_bits;
    if (b->in_memory[n->number])
        return 0;
    for (int i = 0; i < n->input_count; i++) {
        nd__index index = nd__identity(&n->results[0].shape);
        const nd_value *v = nd__through_views(n->inputs[i], &index);
        int number = v->node->number, own = b->virtual_cost[number];
        if (nd__is_generator(b, v->node) && !b->in_memory[number])
            continue;
        if (b->home[number] >= 0 || nd__is_view(v->node))
            return 0;
        constant = constant && own > ND__MADE_OF_CONSTANTS;
        constant_cost += own > ND__MADE_OF_CONSTANTS ? own - ND__MADE_OF_CONSTANTS : 0;
        cost += own > ND__MADE_OF_CONSTANTS ? 0 : own;
    }
    if (constant)
        return constant_cost > CONSTANT_COST || (costly && nd__elements(&n->results[0].shape) > 1)
                   ? 0
                   : ND__MADE_OF_CONSTANTS + constant_cost;
    return costly || cost > VIRTUAL_COST ? 0 : cost;
}

static void group_pointwise(nd__block *b, const nd__node *n)
{
    b->virtual_cost[n->number] = cost_where_used(b, n);
    if (b->virtual_cost[n->number] > 0)
        return;
    nd__uses u = {.arena = b->passing};
    nd__index identity = nd__identity(&n->results[0].shape);
    nd__use_operands(b, &u, n, &identity);
    nd__group *g = joinable(b, &u, &n->results[0].shape, false);
    if (!g)
        g = new_group(b, ND__G_MAP, &n->results[0].shape);
    if (!g)
        return;
    add_member(b, g, n);
    if (shape_is(&n->results[0].shape, g->rank, g->size) && (g->kind == ND__G_MAP || g->kind == ND__G_ROWS))
        merge_alike(b, g, &u);
    connect(b, g, &u);
}

/* A product whose kernel goes through its rows in order, all of them and tile by tile. */
static bool has_rows_of_tiles(const nd__group *g)
{
    return g->kind == ND__G_PRODUCT && g->rank == 2 && !nd__get_int(g->anchor, ND__A_lanes) &&
           nd__get_band(g->anchor).of == ND_BAND_NONE;
}

/* The group that sums the blocks of a reduction: the one that computes what is summed, if it iterates over those
 * points; one made for it, if all is summed. NULL: none. */
static nd__group *summing_group(nd__block *b, const nd__parts *p)
{
    const nd_shape *shape = &p->operand->shape;
    nd__index identity = nd__identity(shape), index = identity;
    const nd_value *v = nd__through_views(p->operand, &index);
    nd__group *g = nd__is_view(v->node) ? NULL : home_of(b, v->node);
    nd__uses u = {.arena = b->passing};
    if (g && (g->kind == ND__G_MAP || g->kind == ND__G_ROWS || (!p->whole && has_rows_of_tiles(g))) && !g->copy &&
        shape_is(shape, g->rank, g->size) && nd__aligned(&(nd__use){v, index, false}))
        return g;
    if (!p->whole || !(g = new_group(b, ND__G_MAP, shape)))
        return NULL;
    nd__use_value(b, &u, p->operand, &identity);
    connect(b, g, &u);
    return g;
}

/* A reduction whose blocks another group sums only joins their sums. */
static bool join_sums(nd__block *b, const nd__node *n)
{
    nd__parts p;
    nd__group *from = nd__parts_of(b, n, &p) ? summing_group(b, &p) : NULL;
    nd__group *g = from ? new_group(b, ND__G_COLUMNS, &n->results[0].shape) : NULL;
    if (!g)
        return false;
    g->anchor = n;
    add_member(b, g, n);
    add_summed(b, from, n);
    nd__order_after(b, g, from->number);
    return true;
}

static void group_reduction(nd__block *b, const nd__node *n, const nd__lists *users)
{
    const nd_shape *in = &n->inputs[0]->shape;
    const nd__attr *axes = nd__get(n, ND__A_axes);
    bool rows = axes->ints[0] == in->rank - 1;
    nd__uses u = {.arena = b->passing};
    if (join_sums(b, n))
        return;
    nd__use_operands(b, &u, n, NULL);
    nd__group *g = rows ? joinable(b, &u, in, true) : NULL;
    if (!g)
        g = new_group(b, rows ? ND__G_ROWS : ND__G_COLUMNS, rows ? in : &n->results[0].shape);
    if (!g)
        return;
    if (rows)
        g->kind = ND__G_ROWS;
    else
        g->anchor = n;
    add_member(b, g, n);
    if (rows)
        merge_alike(b, g, &u);
    else
        absorb_producers(b, g, n, &u, users);
    connect(b, g, &u);
    for (int i = 0; i < g->uses.count && !rows; i++) /* read all along the reduced axis, at no point of the domain */
        g->uses.items[i].memory = true;
}

static void group_anchor(nd__block *b, const nd__node *n, nd__group_kind kind, const nd__lists *users)
{
    nd_shape domain = n->result_count > 0 ? n->results[0].shape : ND_SCALAR;
    nd__group *g = new_group(b, kind, &domain);
    if (!g)
        return;
    nd__uses u = {.arena = b->passing};
    g->anchor = n;
    nd__use_operands(b, &u, n, NULL);
    add_member(b, g, n);
    if (!is_tiled(g))
        b->in_memory[n->number] = true;
    if (!nd__reads_memory_only(n))
        absorb_producers(b, g, n, &u, users);
    connect(b, g, &u);
}

/* Makes maps over one domain one, unless one of them needs the other. */
static void merge_apart(nd__block *b, nd__group *g, nd__group *from)
{
    nd_shape domain = nd_shape_of((size_t)g->rank, g->size);
    if (g != from && g->kind == ND__G_MAP && from->kind == ND__G_MAP && shape_is(&domain, from->rank, from->size) &&
        !nd__depends(b, g->number, from->number) && !nd__depends(b, from->number, g->number))
        merge(b, g, from);
}

/* Parts that can be are stored by the groups that compute them, by one kernel where that can be; the others are read
 * and stored here. */
static void group_concat(nd__block *b, const nd__node *n, const nd__lists *users)
{
    nd__group *g = new_group(b, ND__G_MOVE, &n->results[0].shape), *last = NULL;
    nd__uses u = {.arena = b->passing};
    int placed = 0;
    if (!g)
        return;
    g->anchor = n;
    for (int i = 0; i < n->input_count; i++) {
        nd__index own = nd__identity(&n->inputs[i]->shape);
        nd__group *from = nd__place_part(b, n, i);
        if (!from) {
            nd__use_value(b, &u, n->inputs[i], &own);
            continue;
        }
        placed++;
        from->places = true;
        nd__order_after(b, g, from->number);
        if (last)
            merge_apart(b, last, from);
        last = nd__group_of(b, from->number);
    }
    add_member(b, g, n);
    b->in_memory[n->number] |= placed < n->input_count;
    absorb_producers(b, g, n, &u, users);
    connect(b, g, &u);
}

static bool same_windows(const nd__node *a, const nd__node *b)
{
    bool same = a->inputs[0] == b->inputs[0];
    for (int k = 0; k < a->attr_count && same; k++)
        same = memcmp(a->attrs[k].ints, b->attrs[k].ints, 2 * sizeof *a->attrs[k].ints) == 0;
    return same;
}

static bool has_index(const nd__block *b, const nd__group *g)
{
    for (int i = 0; i < g->member_count; i++)
        if (b->m->nodes[g->members[i]]->op == ND__OP_max_pool_index)
            return true;
    return false;
}

/* The maximum of a window and its index are found together. */
static bool join_pool(nd__block *b, const nd__node *n)
{
    for (int i = 0; i < b->group_count && n->op == ND__OP_max_pool_index; i++) {
        nd__group *g = b->groups[i];
        const nd__node *pool = g->kind == ND__G_POOL ? g->anchor : g->pool;
        if (g->merged < 0 && pool && pool->op == ND__OP_max_pool && same_windows(n, pool) && !has_index(b, g)) {
            add_member(b, g, n);
            b->in_memory[n->number] = true;
            return true;
        }
    }
    return false;
}

/* Whether all that the group computes is wanted by nobody but the pool and, if that is for the maximum, one for its
 * index. */
static bool leads_to(nd__block *b, const nd__group *g, const nd__node *pool, const nd__lists *users)
{
    const nd__node *index = NULL;
    for (int i = 0; i < g->member_count; i++) {
        const int member = g->members[i];
        if (b->in_memory[member])
            return false;
        for (int k = users->first[member]; k < users->first[member + 1]; k++) {
            const nd__node *user = users->items[k] < 0 ? NULL : b->m->nodes[users->items[k]];
            if (user && (user == pool || home_of(b, user) == g || user == index))
                continue;
            if (!user || index || user->op != ND__OP_max_pool_index || pool->op != ND__OP_max_pool ||
                !same_windows(user, pool))
                return false;
            index = user;
        }
    }
    return true;
}

/* A pool of what a convolution's kernel computes, and nobody else wants, is found in its tiles. */
static bool join_conv(nd__block *b, const nd__node *n, const nd__lists *users)
{
    const bool is_index = n->op == ND__OP_max_pool_index;
    nd__group *g = is_index || n->op == ND__OP_max_pool ? home_of(b, n->inputs[0]->node) : NULL;
    if (!g || g->kind != ND__G_CONV || g->anchor->op != ND__OP_conv2d || g->pool || g->places ||
        !nd__conv_keeps_windows(b->target, g->anchor, n) || !leads_to(b, g, n, users))
        return false;
    const nd_shape *shape = &n->results[0].shape;
    g->pool = n;
    memcpy(g->size, shape->dims, (size_t)shape->rank * sizeof *g->size);
    add_member(b, g, n);
    b->in_memory[n->number] = b->in_memory[n->number] || is_index;
    return true;
}

/* A generator that has to lie in memory is a kernel of its own. */
static void group_generator(nd__block *b, const nd__node *n)
{
    nd__group *g = new_group(b, ND__G_MAP, &n->results[0].shape);
    if (g)
        add_member(b, g, n);
}

/* Whether the group reads the value at that index, or computes it at the point. */
static bool has(nd__block *b, const nd__group *g, const nd__use *u)
{
    if (home_of(b, u->value->node) == g)
        return nd__aligned(u);
    for (int i = 0; i < g->uses.count; i++) {
        const nd__use *own = &g->uses.items[i];
        bool same = own->value == u->value && own->memory == u->memory;
        for (int d = 0; d < u->value->shape.rank && same; d++)
            same = nd__lin_equal(&own->index.at[d], &u->index.at[d]);
        if (same)
            return true;
    }
    return false;
}

nd__group *nd__reader_of(nd__block *b, const nd_value *v)
{
    nd__uses u = {.arena = b->passing};
    nd__index identity = nd__identity(&v->shape);
    nd__use_value(b, &u, v, &identity);
    for (int i = 0; i < b->group_count && u.count > 0; i++) {
        nd__group *g = b->groups[i];
        if (g->merged >= 0 || g->kind != ND__G_MAP || g->copy || !shape_is(&v->shape, g->rank, g->size))
            continue;
        bool all = true;
        for (int k = 0; k < u.count && all; k++)
            all = has(b, g, &u.items[k]);
        if (all)
            return g;
    }
    return NULL;
}

nd__group *nd__copy_group(nd__block *b, const nd_value *v)
{
    nd__group *g = new_group(b, ND__G_MAP, &v->shape);
    nd__uses u = {.arena = b->passing};
    nd__index identity = nd__identity(&v->shape);
    if (!g)
        return NULL;
    g->copy = v;
    nd__use_value(b, &u, v, &identity);
    connect(b, g, &u);
    return g;
}

/* A reshape of elements that no strides can show in their order: they are stored in it, or copied into it. */
static void group_copied(nd__block *b, const nd__node *n)
{
    nd__group *g = nd__place_turned(b, &n->results[0]);
    if (g) {
        g->places = true;
        b->home[n->number] = g->number;
        return;
    }
    g = nd__copy_group(b, n->inputs[0]);
    if (!g)
        return;
    g->anchor = n;
    b->home[n->number] = g->number;
}

static void group_node(nd__block *b, const nd__node *n, const nd__lists *users)
{
    if (nd__is_view(n)) {
        if (b->copied[n->number])
            group_copied(b, n);
    } else if (nd__ops[n->op].traits & ND__GENERATOR) {
        if (b->in_memory[n->number])
            group_generator(b, n);
    } else if (is_pointwise(n)) {
        group_pointwise(b, n);
    } else if (nd__ops[n->op].traits & ND__REDUCTION) {
        group_reduction(b, n, users);
    } else if (nd__ops[n->op].traits & ND__CONTROL) {
        group_anchor(b, n, ND__G_CONTROL, users);
    } else if (n->op == ND__OP_matmul) {
        group_anchor(b, n, ND__G_PRODUCT, users);
    } else if (nd__is_conv(n)) {
        group_anchor(b, n, ND__G_CONV, users);
    } else if (is_pool(n)) {
        if (!join_pool(b, n) && !join_conv(b, n, users))
            group_anchor(b, n, ND__G_POOL, users);
    } else if (n->op == ND__OP_argmax || n->op == ND__OP_argmin) {
        group_anchor(b, n, ND__G_ARG, users);
    } else if (n->op == ND__OP_scatter_add) {
        group_anchor(b, n, ND__G_SCATTER, users);
    } else if (n->op == ND__OP_concat) {
        group_concat(b, n, users);
    } else {
        group_anchor(b, n, ND__G_MOVE, users);
    }
}

bool nd__group_nodes(nd__block *b)
{
    const nd__arena_mark here = nd__arena_here(b->passing);
    nd__lists users = {0};
    nd__mark_memory(b);
    if (!nd__list_users(b, &users))
        return false;
    for (int i = 0; i < b->m->node_count && !b->failed; i++) {
        if (b->need[i] && !b->spots[i])
            group_node(b, b->m->nodes[i], &users);
        nd__arena_rewind(b->passing, here);
    }
    if (b->failed || b->m->status != ND_OK || !nd__choose_stored(b))
        return false;
    for (int i = 0; i < b->group_count && !b->failed; i++) {
        if (b->groups[i]->merged < 0)
            use_what_is_stored(b, b->groups[i]);
        nd__arena_rewind(b->passing, here);
    }
    return !b->failed;
}
