/* Layouts: matrices that lie in memory column after column.
 *
 * Along a short row all is one chain, so the lanes of its kernel hold elements of neighbouring rows (rows_short.c). Row
 * after row in memory, these do not lie side by side, and have to be transposed in registers on their way in and out.
 * Products read and write either way as fast. So where nothing but products and such rows touches a matrix, it lies
 * column after column: in attention the scores, what the softmax makes of them, and the gradients of both. */
#include "compiler/schedule/block.h"

/* A matrix of short rows, enough of them for the lanes. */
static bool is_candidate(const nd__block *b, const nd__node *n)
{
    const nd_value *v = &n->results[0];
    const int rank = v->shape.rank;
    const int64_t lanes = b->target->vector_bytes / 4;
    return b->need[n->number] && b->home[n->number] >= 0 && n->result_count == 1 && b->in_memory[n->number] &&
           !b->spots[n->number] && rank >= 2 && nd_dtype_size(v->dtype) >= 4 && v->shape.dims[rank - 1] <= ND__CHAIN &&
           v->shape.dims[rank - 1] > 1 && v->shape.dims[rank - 2] >= lanes && nd__elements(&v->shape) >= ND__FEW_POINTS;
}

static bool has_shape(const nd__group *g, const nd_shape *shape)
{
    bool same = g->rank == shape->rank;
    for (int d = 0; d < shape->rank && same; d++)
        same = g->size[d] == shape->dims[d];
    return same;
}

static bool walks_rows(const nd__group *g, const nd_value *v)
{
    return g->kind == ND__G_ROWS && g->summed_count == 0 && has_shape(g, &v->shape);
}

/* A product whose tiles can have rows in the lanes. */
static bool can_store(const nd__group *g, const nd_value *v)
{
    return g->kind == ND__G_PRODUCT && g->summed_count == 0 && has_shape(g, &v->shape) &&
           !nd__get_int(g->anchor, ND__A_lanes) && nd__get_band(g->anchor).of != ND_BAND_A;
}

static int count_operands(const nd__group *g, const nd_value *v)
{
    int count = 0;
    for (int k = 0; k < 2; k++) {
        const nd_value *x = g->anchor->inputs[k];
        while (nd__is_view(x->node))
            x = x->node->inputs[0];
        count += x == v;
    }
    return count;
}

/* Whether the product reads the value as its operands, as views that strides express, or point by point. */
static bool multiplies(nd__block *b, const nd__group *g, const nd_value *v)
{
    int uses = 0;
    if (g->kind != ND__G_PRODUCT || nd__get_int(g->anchor, ND__A_lanes))
        return false;
    for (int i = 0; i < g->uses.count; i++) {
        const nd__use *u = &g->uses.items[i];
        if (u->value == v && !u->memory && !(nd__aligned(u) && has_shape(g, &v->shape)))
            return false;
        uses += u->value == v && u->memory;
    }
    for (int k = 0; k < 2; k++) {
        const nd_value *base;
        int64_t offset, strides[ND_MAX_RANK];
        if (!nd__view(b, g->anchor->inputs[k], &base, &offset, strides))
            return false;
    }
    return uses == count_operands(g, v);
}

/* Drops what some group reads in another way; `rows` gets those that rows read. */
static void look_at_readers(nd__block *b, bool *rows)
{
    for (int i = 0; i < b->group_count; i++) {
        const nd__group *g = b->groups[i];
        for (int k = 0; k < g->uses.count && g->merged < 0; k++) {
            const nd__use *u = &g->uses.items[k];
            bool *turned = &b->turned[u->value->node->number];
            if (!*turned)
                continue;
            if (walks_rows(g, u->value) && nd__aligned(u))
                rows[u->value->node->number] = true;
            else
                *turned = multiplies(b, g, u->value);
        }
    }
}

/* A product has one axis in the lanes: all that it stores and reads point by point lies one way. What does not agree
 * is dropped; false: nothing. */
static bool agree(nd__block *b, const nd__group *g)
{
    const nd_shape *shape = &g->anchor->results[0].shape;
    bool all = true, any = false;
    for (int i = 0; i < g->member_count; i++) {
        const int n = g->members[i];
        any |= b->turned[n];
        all &= b->turned[n] || !(b->in_memory[n] || b->copied[n]);
    }
    for (int i = 0; i < g->uses.count; i++) {
        const nd__use *u = &g->uses.items[i];
        const bool pointwise = !u->memory && nd__elements(&u->value->shape) == nd__elements(shape);
        any |= pointwise && b->turned[u->value->node->number];
        all &= !pointwise || b->turned[u->value->node->number];
    }
    if (!any || all)
        return false;
    for (int i = 0; i < g->member_count; i++)
        b->turned[g->members[i]] = false;
    for (int i = 0; i < g->uses.count; i++)
        if (!g->uses.items[i].memory)
            b->turned[g->uses.items[i].value->node->number] = false;
    return true;
}

bool nd__choose_layouts(nd__block *b)
{
    bool *rows = nd__arena_alloc(b->arena, (size_t)b->m->node_count, sizeof *rows), changed = true;
    if (!rows)
        return nd__block_failed(b);
    for (int i = 0; i < b->m->node_count; i++) {
        const nd__node *n = b->m->nodes[i];
        if (!is_candidate(b, n))
            continue;
        const nd__group *g = nd__group_of(b, b->home[i]);
        rows[i] = walks_rows(g, &n->results[0]);
        b->turned[i] = rows[i] || can_store(g, &n->results[0]);
    }
    for (int i = 0; i < b->place_count; i++)
        b->turned[b->places[i].value->node->number] = false;
    look_at_readers(b, rows);
    for (int i = 0; i < b->m->node_count; i++)
        b->turned[i] = b->turned[i] && rows[i];
    while (changed) {
        changed = false;
        for (int i = 0; i < b->group_count; i++)
            if (b->groups[i]->kind == ND__G_PRODUCT && b->groups[i]->merged < 0)
                changed |= agree(b, b->groups[i]);
    }
    return true;
}
