/* Control flow carries no more than is used: results that nothing uses go, and with them the body's outputs, what is
 * carried for them alone, and the operands that then no body reads.
 *
 * A gradient saves everything that its forward loop knows and uses a part; this is where the rest goes. A body is
 * pruned where one node runs it and the host does not.
 *
 * Use is known value by value: a walk from the end meets all uses of a node before the node, since bodies are older
 * than what runs them. Which operands a body needs is found by the same walk inside it. Two bodies may have nodes in
 * common (a forward loop and its variant that saves more): what the walk finds out about the later one's can be needed
 * by the earlier one, so it goes on until it finds nothing more. */
#include "compiler/passes/passes.h"

#include <stdlib.h>
#include <string.h>

typedef struct pruning {
    const nd_module *m;
    int value_count;
    int *first;        /* by node number: the number of its first result among all values */
    int *runs;         /* by function number: how many nodes run it */
    bool *used;        /* by value: the new module has it */
    const bool **keep; /* by node number, of control flow that is pruned: which operands stay, then which results */
    nd__arena arena;
    bool failed;
} pruning;

static int number_of(const pruning *p, const nd_value *v)
{
    return p->first[v->node->number] + v->index;
}

static bool is_used(const pruning *p, const nd__node *n, const bool *used)
{
    for (int i = 0; i < n->result_count; i++)
        if (used[p->first[n->number] + i])
            return true;
    return false;
}

/* -- what is used ----------------------------------------------------------------------------------------------------
 */

static bool is_prunable(const pruning *p, const nd__node *n)
{
    for (int i = 0; i < n->attr_count; i++) {
        const nd_function *f = n->attrs[i].function;
        if (f && (!f->body || p->runs[f->number] != 1))
            return false;
    }
    return nd__ops[n->op].traits & ND__CONTROL;
}

static void find_needs(pruning *p, const nd__node *n, const bool *used, bool *keep);

/* Marks the operands of n, which is used. Gives what of it is needed, NULL for all; from the arena. */
static const bool *mark_operands(pruning *p, const nd__node *n, bool *used)
{
    bool *keep = NULL;
    if (is_prunable(p, n)) {
        keep = nd__arena_alloc(&p->arena, (size_t)(n->input_count + n->result_count), sizeof *keep);
        p->failed |= !keep;
        if (keep)
            find_needs(p, n, used, keep);
    }
    for (int i = 0; i < n->input_count; i++)
        if (!keep || keep[i])
            used[number_of(p, n->inputs[i])] = true;
    return keep;
}

/* Adds to `inputs` which inputs of a body, run by node number `end`, lead to the wanted outputs. */
static void find_inputs(pruning *p, const nd_function *f, int end, const bool *outputs, bool *inputs)
{
    bool *used = calloc((size_t)p->value_count + 1, sizeof *used);
    p->failed |= !used;
    for (int i = 0; i < f->output_count && !p->failed; i++)
        if (outputs[i])
            used[number_of(p, f->outputs[i])] = true;
    for (int i = end - 1; i >= 0 && !p->failed; i--)
        if (is_used(p, p->m->nodes[i], used))
            mark_operands(p, p->m->nodes[i], used);
    for (int i = 0; i < f->input_count && !p->failed; i++)
        inputs[i] |= used[number_of(p, f->inputs[i])];
    free(used);
}

/* Which operands, then which results, a control node needs for the results that are used: by the body that is looked
 * at, or by another one that has the node too. */
static void find_needs(pruning *p, const nd__node *n, const bool *used, bool *keep)
{
    const nd_function *body = nd__get(n, ND__A_body)->function;
    bool *results = keep + n->input_count;
    for (int i = 0; i < n->result_count; i++)
        results[i] = used[p->first[n->number] + i] || p->used[p->first[n->number] + i];
    if (n->op == ND__OP_cond) {
        keep[0] = true;
        find_inputs(p, body, n->number, results, keep + 1);
        find_inputs(p, nd__get(n, ND__A_other)->function, n->number, results, keep + 1);
        return;
    }
    const int carries = n->op == ND__OP_scan ? (int)nd__get_int(n, ND__A_carries) : 0;
    for (bool grown = true; grown && !p->failed;) {
        find_inputs(p, body, n->number, results, keep);
        grown = false;
        for (int i = 0; i < carries;
             i++) { /* what a turn reads the one before has to give: operand, input, output and result */
            grown |= keep[i] && !results[i];
            keep[i] = results[i] = keep[i] || results[i];
        }
    }
}

/* The inputs and outputs of a function, or those that its node needs. */
static void mark_function(pruning *p, const nd_function *f, const bool *inputs, const bool *outputs)
{
    for (int i = 0; i < f->input_count; i++)
        p->used[number_of(p, f->inputs[i])] |= !inputs || inputs[i];
    for (int i = 0; i < f->output_count; i++)
        p->used[number_of(p, f->outputs[i])] |= !outputs || outputs[i];
    for (int i = 0; i < f->update_count; i++)
        p->used[number_of(p, f->updates[i].value)] = true;
}

static const bool *inputs_kept(const nd__node *n, const bool *keep)
{
    return keep ? keep + (n->op == ND__OP_cond) : NULL; /* operand 0 is the condition */
}

static const bool *results_kept(const nd__node *n, const bool *keep)
{
    return keep ? keep + n->input_count : NULL;
}

static int64_t count_used(const pruning *p)
{
    int64_t count = 0;
    for (int i = 0; i < p->value_count; i++)
        count += p->used[i];
    return count;
}

static void mark_all(pruning *p)
{
    for (int i = 0; i < p->m->function_count; i++)
        if (!p->m->functions[i]->body)
            mark_function(p, p->m->functions[i], NULL, NULL);
    for (int i = 0; i < p->m->variable_count; i++)
        if (p->m->variables[i]->initial)
            p->used[number_of(p, p->m->variables[i]->initial)] = true;
    for (int64_t before = -1, now = count_used(p); now > before && !p->failed; before = now, now = count_used(p))
        for (int i = p->m->node_count - 1; i >= 0 && !p->failed; i--) {
            const nd__node *n = p->m->nodes[i];
            if (!is_used(p, n, p->used))
                continue;
            const bool *keep = p->keep[i] = mark_operands(p, n, p->used);
            for (int k = 0; k < n->attr_count; k++)
                if (n->attrs[k].function)
                    mark_function(p, n->attrs[k].function, inputs_kept(n, keep), results_kept(n, keep));
        }
}

/* -- what is made of it ----------------------------------------------------------------------------------------------
 */

/* The values that stay, in the new module; gives their number. */
static int stay(const nd__copier *c, int count, nd_value *const *values, const bool *keep, nd_value **to)
{
    int n = 0;
    for (int i = 0; i < count; i++)
        if (keep[i])
            to[n++] = nd__copied(c, values[i]);
    return n;
}

static nd_function *pruned_function(nd__copier *c, const nd_function *f, const bool *inputs, const bool *outputs)
{
    nd_value **in = nd__arena_alloc(&c->to->arena, (size_t)f->input_count, sizeof *in),
             **out = nd__arena_alloc(&c->to->arena, (size_t)f->output_count, sizeof *out);
    if (!in || !out) {
        nd__fail_memory(c->to);
        return NULL;
    }
    const int input_count = stay(c, f->input_count, f->inputs, inputs, in),
              output_count = stay(c, f->output_count, f->outputs, outputs, out);
    nd_function *pruned = nd__function(c->to, f->place, f->name, input_count, in, output_count, out);
    pruned->body = true;
    return pruned;
}

static int64_t count_kept(const bool *keep, int64_t n)
{
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++)
        count += keep[i];
    return count;
}

static void copy_pruned(nd__copier *c, const nd__node *n, const bool *keep)
{
    nd_value **operands = nd__arena_alloc(&c->to->arena, (size_t)n->input_count, sizeof *operands);
    nd__attr attrs[ND__MAX_ATTRS];
    if (!operands) {
        nd__fail_memory(c->to);
        return;
    }
    for (int i = 0; i < n->attr_count; i++) {
        attrs[i] = n->attrs[i];
        if (attrs[i].function)
            attrs[i].function = pruned_function(c, attrs[i].function, inputs_kept(n, keep), results_kept(n, keep));
        else if (attrs[i].key == ND__A_carries)
            attrs[i].i = count_kept(keep, attrs[i].i);
        else if (attrs[i].key == ND__A_slices)
            attrs[i].i = count_kept(keep + nd__get_int(n, ND__A_carries), attrs[i].i);
    }
    const int count = stay(c, n->input_count, n->inputs, keep, operands);
    const nd_value *first =
        c->to->status == ND_OK ? nd__make(c->to, n->op, n->place, count, operands, n->attr_count, attrs) : NULL;
    for (int i = 0, k = 0; i < n->result_count && c->to->status == ND_OK; i++)
        if (results_kept(n, keep)[i])
            nd__copy_replace(c, n, i, &first->node->results[k++]);
}

static nd_module *make(const pruning *p, nd_module *m)
{
    nd__copier c;
    if (!nd__copy_begin(&c, m, NULL))
        return NULL;
    for (int i = 0; i < m->node_count; i++) {
        const nd__node *n = m->nodes[i];
        if (!is_used(p, n, p->used))
            continue;
        if (p->keep[i] && count_kept(p->keep[i], n->input_count + n->result_count) < n->input_count + n->result_count)
            copy_pruned(&c, n, p->keep[i]);
        else
            nd__copy_node(&c, n);
    }
    return nd__copy_end(&c);
}

/* Numbers the values, and counts who runs what. */
static bool prepare(pruning *p)
{
    const nd_module *m = p->m;
    bool *live = nd__arena_alloc(&p->arena, (size_t)m->node_count, sizeof *live);
    p->first = nd__arena_alloc(&p->arena, (size_t)m->node_count, sizeof *p->first);
    p->runs = nd__arena_alloc(&p->arena, (size_t)m->function_count, sizeof *p->runs);
    p->keep = nd__arena_alloc(&p->arena, (size_t)m->node_count, sizeof *p->keep);
    if (!live || !p->first || !p->runs || !p->keep)
        return false;
    nd__mark_live(m, live);
    for (int i = 0; i < m->node_count; i++) {
        const nd__node *n = m->nodes[i];
        p->first[i] = p->value_count;
        p->value_count += n->result_count;
        for (int k = 0; k < n->attr_count && live[i]; k++)
            if (n->attrs[k].function)
                p->runs[n->attrs[k].function->number]++;
    }
    p->used = nd__arena_alloc(&p->arena, (size_t)p->value_count, sizeof *p->used);
    return p->used != NULL;
}

nd_module *nd__prune(nd_module *m)
{
    pruning p = {.m = m};
    nd_module *pruned = NULL;
    if (prepare(&p)) {
        mark_all(&p);
        pruned = p.failed ? NULL : make(&p, m);
    }
    nd__arena_release(&p.arena);
    return pruned;
}
