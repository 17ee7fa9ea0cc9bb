/* What nodes read, and what of it has to lie in memory for that: before and while nodes are grouped. */
#include "compiler/schedule/uses.h"

bool nd__is_generator(const nd__block *b, const nd__node *n)
{
    return (nd__ops[n->op].traits & ND__GENERATOR) && !b->spots[n->number];
}

bool nd__is_conv(const nd__node *n)
{
    return n->op == ND__OP_conv2d || n->op == ND__OP_conv2d_dx || n->op == ND__OP_conv2d_dw ||
           n->op == ND__OP_conv2d_dw_pooled;
}

bool nd__reads_memory_only(const nd__node *n)
{
    return n->op == ND__OP_matmul || nd__is_conv(n) || (nd__ops[n->op].traits & ND__CONTROL);
}

/* -- uses -----------------------------------------------------------------------------------------------------------
 */

void nd__add_use(nd__block *b, nd__uses *u, const nd_value *v, const nd__index *index, bool memory)
{
    if (!nd__arena_grow(u->arena, &u->items, &u->room, u->count + 1, sizeof *u->items)) {
        b->failed = true;
        return;
    }
    u->items[u->count++] = (nd__use){v, *index, memory};
}

static void use_memory(nd__block *b, nd__uses *u, const nd_value *v)
{
    const nd_value *base;
    int64_t offset, strides[ND_MAX_RANK];
    nd__index none = {0};
    if (nd__view(b, v, &base, &offset, strides))
        nd__add_use(b, u, base, &none, true);
    else
        nd__fail(b->m, ND_ERR_INTERNAL, v->node->place, "schedule: %%%d needs a copy", v->node->number);
}

void nd__use_operands(nd__block *b, nd__uses *u, const nd__node *n, const nd__index *index)
{
    if (n->op == ND__OP_gather) {
        use_memory(b, u, n->inputs[0]);
        nd__use_value(b, u, n->inputs[1], index);
    } else if (n->op == ND__OP_random_bits) {
        nd__index word = {0};
        nd__use_value(b, u, n->inputs[0], &word);
        word.at[0] = nd__lin_const(1);
        nd__use_value(b, u, n->inputs[0], &word);
    } else if (nd__ops[n->op].traits & ND__ELEMENTWISE) {
        for (int i = 0; i < n->input_count; i++)
            nd__use_value(b, u, n->inputs[i], index);
    } else if (nd__reads_memory_only(n)) {
        for (int i = 0; i < n->input_count; i++)
            use_memory(b, u, n->inputs[i]);
    } else { /* kernels over their operands' own index spaces */
        for (int i = 0; i < n->input_count; i++) {
            nd__index own = nd__identity(&n->inputs[i]->shape);
            nd__use_value(b, u, n->inputs[i], &own);
        }
    }
}

void nd__use_value(nd__block *b, nd__uses *u, const nd_value *v, const nd__index *given)
{
    nd__index index = *given;
    v = nd__through_views(v, &index);
    const nd__node *n = v->node;
    if (nd__is_view(n))
        use_memory(b, u, v);
    else if ((nd__is_generator(b, n) && !b->in_memory[n->number]) || b->virtual_cost[n->number] > ND__MADE_OF_CONSTANTS)
        return;
    else if (b->home[n->number] < 0 && b->virtual_cost[n->number] > 0)
        nd__use_operands(b, u, n, &index);
    else
        nd__add_use(b, u, v, &index, false);
}

/* The axes of the value are the first of the domain's; those of size 1 stay at 0. */
bool nd__aligned(const nd__use *u)
{
    const nd_shape *shape = &u->value->shape;
    for (int d = 0; d < shape->rank && !u->memory; d++)
        if (shape->dims[d] != 1 && !nd__lin_is_axis(&u->index.at[d], d))
            return false;
    return !u->memory;
}

/* -- what has to lie in memory ------------------------------------------------------------------------------------ */

void nd__need_memory(nd__block *b, const nd_value *v)
{
    const nd_value *base;
    int64_t offset, strides[ND_MAX_RANK];
    while (!nd__view(b, v, &base, &offset, strides)) {
        const nd_value *x = v;
        while (!nd__view(b, x->node->inputs[0], &base, &offset, strides))
            x = x->node->inputs[0];
        b->copied[x->node->number] = true;
        /* What it shows is read by the copy as by any elementwise node. */
        nd__index index = nd__identity(&x->node->inputs[0]->shape);
        const nd_value *seen = nd__through_views(x->node->inputs[0], &index);
        if (nd__is_view(seen->node))
            nd__need_memory(b, seen);
    }
    b->in_memory[base->node->number] = true;
}

void nd__mark_memory(nd__block *b)
{
    for (int i = b->m->node_count - 1; i >= 0; i--) {
        const nd__node *n = b->m->nodes[i];
        if (!b->need[i] || nd__is_view(n))
            continue;
        for (int k = 0; k < n->input_count; k++) {
            nd__parts p;
            const nd_value *v = nd__parts_of(b, n, &p) ? p.operand : n->inputs[k];
            nd__index index = nd__identity(&v->shape);
            const nd_value *seen = nd__through_views(v, &index);
            if (nd__reads_memory_only(n) || (n->op == ND__OP_gather && k == 0))
                nd__need_memory(b, v);
            else if (nd__is_view(seen->node))
                nd__need_memory(b, seen);
        }
    }
}
