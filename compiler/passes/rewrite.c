/* The walk that passes share. */
#include "compiler/passes/rewrite.h"

#include <stdlib.h>

static void rewrite_node(nd__copier *c, const nd__node *node, nd__rewriter rewriter, void *state)
{
    enum { FEW = 8 };
    nd_value *few[FEW], **x = few;
    if (node->input_count > FEW && !(x = malloc((size_t)node->input_count * sizeof *x))) {
        nd__fail_memory(c->to);
        return;
    }
    for (int i = 0; i < node->input_count; i++)
        x[i] = nd__copied(c, node->inputs[i]);
    nd_value *with = c->to->status == ND_OK ? rewriter(c, node, x, state) : NULL;
    if (x != few)
        free(x);
    if (!with)
        nd__copy_node(c, node);
    else if (node->result_count == 1)
        nd__copy_replace(c, node, 0, with);
    else
        for (int i = 0; i < node->result_count; i++)
            nd__copy_replace(c, node, i, &with->node->results[i]);
}

nd_module *nd__rewrite(nd_module *m, nd__rewriter rewriter, void *state)
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
            rewrite_node(&c, m->nodes[i], rewriter, state);
    free(live);
    return nd__copy_end(&c);
}
