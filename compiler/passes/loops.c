/* Loops that take the same turns become one, which gives what each of them gives.
 *
 * A gradient runs the forward loop again, with a body over the same nodes that stacks more of them: here both become
 * one loop. What two loops stack, or one of them twice, is stacked once. Loops that other entry points run stay apart:
 * prediction does not stack for training.
 *
 * Needs cse before it: bodies are the same where their nodes are. The bodies of later loops move before the first one;
 * they need nothing but its inputs, which stand there, and constants. */
#include "compiler/passes/passes.h"

#include <stdlib.h>
#include <string.h>

typedef struct merging {
    nd__copier c;
    int entry_count;
    bool *need; /* by entry point, then by node number of the old module; the initial values are one too; one more is
                   scratch */
    const nd__node **same; /* the loops that are being merged */
} merging;

/* The loop that stands for several, over values of the old module. */
typedef struct loop {
    const nd__node *first;
    int carries, count;
    nd_value **outputs; /* of its body, each once but for what is carried */
} loop;

static const nd_function *body_of(const nd__node *scan)
{
    return nd__get(scan, ND__A_body)->function;
}

/* -- what needs what ------------------------------------------------------------------------------------------------
 */

static void mark(bool *need, int count, nd_value *const *values)
{
    for (int i = 0; i < count; i++)
        need[values[i]->node->number] = true;
}

static void mark_function(bool *need, const nd_function *f)
{
    mark(need, f->input_count, f->inputs);
    mark(need, f->output_count, f->outputs);
    for (int i = 0; i < f->update_count; i++)
        mark(need, 1, &f->updates[i].value);
}

/* Marks what the marked nodes need, bodies included. */
static void mark_needed(const nd_module *m, bool *need)
{
    for (int i = m->node_count - 1; i >= 0; i--) {
        const nd__node *n = m->nodes[i];
        if (!need[i])
            continue;
        mark(need, n->input_count, n->inputs);
        for (int k = 0; k < n->attr_count; k++)
            if (n->attrs[k].function)
                mark_function(need, n->attrs[k].function);
    }
}

static bool *row(const merging *m, int entry)
{
    return m->need + (size_t)entry * (size_t)m->c.from->node_count;
}

static void find_users(merging *m)
{
    const nd_module *from = m->c.from;
    int entry = 0;
    for (int i = 0; i < from->variable_count; i++)
        if (from->variables[i]->initial)
            mark(row(m, 0), 1, &from->variables[i]->initial);
    mark_needed(from, row(m, entry++));
    for (int i = 0; i < from->function_count; i++)
        if (!from->functions[i]->body) {
            mark_function(row(m, entry), from->functions[i]);
            mark_needed(from, row(m, entry++));
        }
}

static bool is_live(const merging *m, int number)
{
    bool live = false;
    for (int i = 0; i < m->entry_count; i++)
        live |= row(m, i)[number];
    return live;
}

/* -- which loops are one ---------------------------------------------------------------------------------------------
 */

/* Whether two loops are run by the same entry points over the same operands, and carry the same from turn to turn. */
static bool same_turns(const merging *m, const nd__node *a, const nd__node *b)
{
    static const nd__attr_key keys[] = {ND__A_length, ND__A_carries, ND__A_slices, ND__A_reverse};
    bool same = a->op == ND__OP_scan && b->op == ND__OP_scan && a->input_count == b->input_count;
    for (int i = 0; i < m->entry_count && same; i++)
        same = row(m, i)[a->number] == row(m, i)[b->number];
    for (size_t i = 0; i < sizeof keys / sizeof *keys && same; i++)
        same = nd__get_int(a, keys[i]) == nd__get_int(b, keys[i]);
    for (int i = 0; same && i < a->input_count; i++)
        same = a->inputs[i] == b->inputs[i] && body_of(a)->inputs[i] == body_of(b)->inputs[i];
    for (int i = 0; same && i < nd__get_int(a, ND__A_carries); i++)
        same = body_of(a)->outputs[i] == body_of(b)->outputs[i];
    return same;
}

/* The first loop and the later ones that are the same, in m->same; gives their number. */
static int find_same(const merging *m, const nd__node *first)
{
    int count = 0;
    for (int i = first->number; i < m->c.from->node_count; i++)
        if (same_turns(m, first, m->c.from->nodes[i]))
            m->same[count++] = m->c.from->nodes[i];
    return count;
}

/* Which output of the loop a body's k-th output is; count: none yet. */
static int place_of(const loop *l, const nd_function *body, int k)
{
    int i = k < l->carries ? k : l->carries;
    while (k >= l->carries && i < l->count && l->outputs[i] != body->outputs[k])
        i++;
    return i;
}

static void add_outputs(loop *l, const nd_function *body)
{
    for (int k = 0; k < body->output_count; k++) {
        const int i = place_of(l, body, k);
        if (i >= l->count)
            l->outputs[l->count++] = body->outputs[k];
    }
}

/* -- the loop made ----------------------------------------------------------------------------------------------------
 */

/* Copies what a body needs, as far as it does not stand yet. */
static void copy_body(merging *m, const nd_function *body)
{
    const nd_module *from = m->c.from;
    bool *need = row(m, m->entry_count);
    memset(need, 0, (size_t)from->node_count * sizeof *need);
    mark_function(need, body);
    mark_needed(from, need);
    for (int i = 0; i < from->node_count; i++)
        if (need[i] && !m->c.results[i])
            nd__copy_node(&m->c, from->nodes[i]);
}

/* A name that no function of either module has. */
static const char *fresh_name(const merging *m, const char *name)
{
    const char *fresh = nd__arena_format(&m->c.to->arena, "%s_all", name);
    for (int i = 2; fresh && (nd_module_function(m->c.from, fresh) || nd_module_function(m->c.to, fresh)); i++)
        fresh = nd__arena_format(&m->c.to->arena, "%s_all_%d", name, i);
    return fresh;
}

static void copy_all(const nd__copier *c, int count, nd_value *const *values, nd_value **copies)
{
    for (int i = 0; i < count; i++)
        copies[i] = nd__copied(c, values[i]);
}

static const nd__node *make_loop(merging *m, const loop *l)
{
    nd_module *to = m->c.to;
    const nd__node *first = l->first;
    const nd_function *body = body_of(first);
    const size_t n = (size_t)first->input_count;
    nd_value **operands = nd__arena_alloc(&to->arena, n, sizeof *operands),
             **inputs = nd__arena_alloc(&to->arena, n, sizeof *inputs),
             **outputs = nd__arena_alloc(&to->arena, (size_t)l->count, sizeof *outputs);
    const char *name = fresh_name(m, body->name);
    if (!operands || !inputs || !outputs || !name) {
        nd__fail_memory(to);
        return NULL;
    }
    copy_all(&m->c, first->input_count, first->inputs, operands);
    copy_all(&m->c, first->input_count, body->inputs, inputs);
    copy_all(&m->c, l->count, l->outputs, outputs);
    nd_function *all = nd__function(to, body->place, name, first->input_count, inputs, l->count, outputs);
    all->body = true;
    nd__attr attrs[ND__MAX_ATTRS];
    for (int i = 0; i < first->attr_count; i++)
        attrs[i] = first->attrs[i].function ? nd__attr_function(first->attrs[i].key, all) : first->attrs[i];
    return nd__make(to, ND__OP_scan, first->place, first->input_count, operands, first->attr_count, attrs)->node;
}

/* Lets one loop stand for the first one and those that take the same turns. */
static void copy_loop(merging *m, const nd__node *first)
{
    loop l = {.first = first, .carries = (int)nd__get_int(first, ND__A_carries)};
    const int loops = find_same(m, first);
    int given = l.carries;
    for (int i = 0; i < loops; i++)
        given += m->same[i]->result_count - l.carries;
    l.outputs = nd__arena_alloc(&m->c.to->arena, (size_t)given, sizeof *l.outputs);
    if (!l.outputs) {
        nd__fail_memory(m->c.to);
        return;
    }
    for (int i = 0; i < loops; i++)
        add_outputs(&l, body_of(m->same[i]));
    if (loops == 1 && l.count == given) { /* alone, and nothing stacked twice */
        nd__copy_node(&m->c, first);
        return;
    }
    for (int i = 0; i < loops; i++)
        copy_body(m, body_of(m->same[i]));
    const nd__node *made = make_loop(m, &l);
    for (int i = 0; i < loops; i++)
        for (int k = 0; k < m->same[i]->result_count && m->c.to->status == ND_OK; k++)
            nd__copy_replace(&m->c, m->same[i], k, &made->results[place_of(&l, body_of(m->same[i]), k)]);
}

nd_module *nd__loops(nd_module *from)
{
    merging m = {.entry_count = 1};
    if (!nd__copy_begin(&m.c, from, NULL))
        return NULL;
    for (int i = 0; i < from->function_count; i++)
        m.entry_count += !from->functions[i]->body;
    m.need = calloc((size_t)m.entry_count + 1, (size_t)from->node_count + 1);
    m.same = (const nd__node **)calloc((size_t)from->node_count + 1, sizeof *m.same);
    if (!m.need || !m.same)
        nd__fail_memory(m.c.to);
    else
        find_users(&m);
    for (int i = 0; i < from->node_count && m.c.to->status == ND_OK; i++) {
        if (!is_live(&m, i) || m.c.results[i]) /* it moved before an earlier loop, or that stands for it */
            continue;
        if (from->nodes[i]->op == ND__OP_scan)
            copy_loop(&m, from->nodes[i]);
        else
            nd__copy_node(&m.c, from->nodes[i]);
    }
    free(m.same);
    free(m.need);
    return nd__copy_end(&m.c);
}
