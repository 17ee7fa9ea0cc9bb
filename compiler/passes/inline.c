/* Calls: an apply becomes the nodes of the function that it applies, over its operands, so that they meet what is
 * around them. Calls inside those become nodes too. Functions that are entry points stay, for the host.
 *
 * A function that calls another twice, which calls another twice, and so on, could grow without bound: past a size the
 * calls that are left stay calls. */
#include "compiler/passes/passes.h"

#include <stdlib.h>

enum { GROWTH = 16, AT_LEAST = 4096 }; /* nodes: that many times those of before, and so many in any case */

static bool is_large(const nd__copier *c)
{
    return c->to->node_count > AT_LEAST && c->to->node_count / GROWTH > c->from->node_count;
}

/* Which nodes before `end` the outputs of f need and depend on its inputs: the others are constants, which stand
 * already. */
static void mark_called(const nd_function *f, int end, bool *need, bool *depends)
{
    const nd_module *m = f->module;
    for (int i = 0; i < f->input_count; i++)
        depends[f->inputs[i]->node->number] = true;
    for (int i = 0; i < end; i++)
        for (int k = 0; k < m->nodes[i]->input_count; k++)
            depends[i] |= depends[m->nodes[i]->inputs[k]->node->number];
    for (int i = 0; i < f->output_count; i++)
        need[f->outputs[i]->node->number] = true;
    for (int i = end - 1; i >= 0; i--)
        for (int k = 0; need[i] && k < m->nodes[i]->input_count; k++)
            need[m->nodes[i]->inputs[k]->node->number] = true;
}

static void inline_node(nd__copier *c, const nd__node *node);

/* The nodes of a call: while they are copied they stand for those of the function, whose own copies come back after it.
 */
static void inline_call(nd__copier *c, const nd__node *node)
{
    const nd_function *f = nd__get(node, ND__A_body)->function;
    const size_t end = (size_t)node->number;
    bool *need = calloc(2 * end + 1, sizeof *need), *depends = need ? need + end : NULL;
    nd_value ***kept = calloc(end + 1, sizeof *kept);
    nd_value **results = nd__arena_alloc(&c->to->arena, (size_t)f->output_count, sizeof *results),
             **operands = nd__arena_alloc(&c->to->arena, (size_t)f->input_count, sizeof *operands);
    if (!need || !kept || !results || !operands) {
        nd__fail_memory(c->to);
        goto done;
    }
    mark_called(f, node->number, need, depends);
    for (int i = 0; i < f->input_count; i++)
        operands[i] = nd__copied(c, node->inputs[i]);
    for (size_t i = 0; i < end; i++)
        if (depends[i]) {
            kept[i] = c->results[i];
            c->results[i] = NULL;
        }
    for (int i = 0; i < f->input_count; i++)
        c->results[f->inputs[i]->node->number] = &operands[i];
    for (size_t i = 0; i < end && c->to->status == ND_OK; i++)
        if (need[i] && depends[i] && !c->results[i])
            inline_node(c, c->from->nodes[i]);
    for (int i = 0; i < f->output_count; i++)
        results[i] = nd__copied(c, f->outputs[i]);
    for (size_t i = 0; i < end; i++)
        if (depends[i])
            c->results[i] = kept[i];
    for (int i = 0; i < f->output_count; i++)
        nd__copy_replace(c, node, i, results[i]);
done:
    free(kept);
    free(need);
}

static void inline_node(nd__copier *c, const nd__node *node)
{
    if (node->op == ND__OP_apply && !is_large(c))
        inline_call(c, node);
    else
        nd__copy_node(c, node);
}

nd_module *nd__inline(nd_module *m)
{
    nd__copier c;
    if (!nd__copy_begin(&c, m, NULL))
        return NULL;
    bool *live = malloc((size_t)m->node_count * sizeof *live + 1);
    if (!live)
        nd__fail_memory(c.to);
    else
        nd__mark_live(m, live);
    for (int i = 0; i < m->node_count && c.to->status == ND_OK; i++)
        if (live[i])
            inline_node(&c, m->nodes[i]);
    free(live);
    return nd__copy_end(&c);
}
