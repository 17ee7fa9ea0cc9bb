/* Rows that a scan goes through slice by slice are gathered by its turns, not before it: each turn takes its indices
 * and, like a captured value, the table. What was written before the loop and read again in it is read where it lies.
 *
 * Needs loops before it: a body with other inputs is of no use to another scan. */
#include "compiler/passes/passes.h"
#include "compiler/passes/rewrite.h"

#include <stdlib.h>
#include <string.h>

/* A scan's slice that is gathered: operand `slice` of the scan is `gather` in another shape. */
typedef struct slice {
    const nd__node *scan, *gather; /* of the old module */
    nd_value *index, *table;       /* the new inputs of the body */
} slice;

typedef struct slices {
    int *uses;    /* by node number of the old module */
    slice *found; /* by node number of the body's input; scan NULL: none */
} slices;

/* -- what is found ------------------------------------------------------------------------------------------------- */

static void count_values(slices *s, int count, nd_value *const *values)
{
    for (int i = 0; i < count; i++)
        s->uses[values[i]->node->number]++;
}

static void count_uses(const nd_module *m, const bool *live, slices *s)
{
    for (int i = 0; i < m->node_count; i++) {
        const nd__node *n = m->nodes[i];
        count_values(s, live[i] ? n->input_count : 0, n->inputs);
        for (int k = 0; k < n->attr_count; k++) {
            const nd_function *body = live[i] ? n->attrs[k].function : NULL;
            count_values(s, body ? body->output_count : 0, body ? body->outputs : NULL);
        }
    }
    for (int i = 0; i < m->function_count; i++) {
        const nd_function *f = m->functions[i];
        count_values(s, f->body ? 0 : f->output_count, f->outputs);
        for (int k = 0; k < f->update_count; k++)
            count_values(s, 1, &f->updates[k].value);
    }
}

/* The gather of whole rows that v is, and that nothing else uses: index [length, ..], rows [length, .., rest]. */
static const nd__node *gather_of(const slices *s, const nd_value *v, int64_t length)
{
    const nd_shape *shape = &v->shape;
    while (v->node->op == ND__OP_reshape && s->uses[v->node->number] == 1)
        v = v->node->inputs[0];
    const nd__node *n = v->node;
    if (n->op != ND__OP_gather || s->uses[n->number] != 1 || n->inputs[0]->shape.rank != 2 || length == 0)
        return NULL;
    return shape->dims[shape->rank - 1] == n->inputs[0]->shape.dims[1] && shape->rank > 1 ? n : NULL;
}

/* Whether several nodes run a function that has the input. */
static bool is_shared(const nd_module *m, const bool *live, const nd_value *input)
{
    int bodies = 0;
    for (int i = 0; i < m->node_count; i++)
        for (int k = 0; k < m->nodes[i]->attr_count && live[i]; k++) {
            const nd_function *f = m->nodes[i]->attrs[k].function;
            for (int j = 0; f && j < f->input_count; j++)
                bodies += f->inputs[j] == input;
        }
    return bodies > 1;
}

static void find_slices(const nd_module *m, const bool *live, slices *s)
{
    for (int i = 0; i < m->node_count; i++) {
        const nd__node *n = m->nodes[i];
        if (!live[i] || n->op != ND__OP_scan)
            continue;
        const nd_function *body = nd__get(n, ND__A_body)->function;
        const int first = (int)nd__get_int(n, ND__A_carries), count = (int)nd__get_int(n, ND__A_slices);
        for (int k = first; k < first + count; k++) {
            const nd__node *gather = gather_of(s, n->inputs[k], nd__get_int(n, ND__A_length));
            if (gather && !is_shared(m, live, body->inputs[k]))
                s->found[body->inputs[k]->node->number] = (slice){.scan = n, .gather = gather};
        }
    }
}

/* -- the new loop -------------------------------------------------------------------------------------------------- */

static bool name_taken(const nd_function *body, const char *name)
{
    for (int i = 0; i < body->input_count; i++)
        if (strcmp(body->inputs[i]->name, name) == 0)
            return true;
    return false;
}

/* A new input of a scan's body. */
static nd_value *input(nd_module *to, const nd__node *scan, const char *name, nd_dtype dtype, nd_shape shape)
{
    const nd_function *body = nd__get(scan, ND__A_body)->function;
    while (name && name_taken(body, name))
        name = nd__arena_format(&to->arena, "%s_", name);
    return name ? nd_input_at(body->place, to, name, dtype, shape) : nd__fail_memory(to);
}

/* What stands for the slice in the body. */
static nd_value *gathered(nd__copier *c, slice *found, const nd_value *old)
{
    nd_module *to = c->to;
    const nd_value *table = found->gather->inputs[0], *index = found->gather->inputs[1];
    nd_shape one = old->shape; /* its rows' indices */
    one.rank--;
    found->index = input(to, found->scan, nd__arena_format(&to->arena, "%s_index", old->name), index->dtype, one);
    found->table =
        input(to, found->scan, nd__arena_format(&to->arena, "%s_table", old->name), table->dtype, table->shape);
    return nd_gather_at(found->gather->place, found->table, found->index);
}

/* The indices in the shape of the slices that the turns take. */
static nd_value *all_indices(nd__copier *c, const slice *found, const nd_value *operand)
{
    nd_shape all = operand->shape;
    all.rank--;
    return nd_reshape_at(found->gather->place, nd__copied(c, found->gather->inputs[1]), all);
}

static nd_function *body_with(nd__copier *c, const nd_function *body, int input_count, nd_value **inputs)
{
    nd_module *to = c->to;
    nd_value **outputs = nd__arena_alloc(&to->arena, (size_t)body->output_count, sizeof *outputs);
    const char *name = nd__arena_format(&to->arena, "%s_gathering", body->name);
    for (int i = 2; name && (nd_module_function(c->from, name) || nd_module_function(to, name)); i++)
        name = nd__arena_format(&to->arena, "%s_gathering_%d", body->name, i);
    if (!outputs || !name) {
        nd__fail_memory(to);
        return NULL;
    }
    for (int i = 0; i < body->output_count; i++)
        outputs[i] = nd__copied(c, body->outputs[i]);
    nd_function *with = nd__function(to, body->place, name, input_count, inputs, body->output_count, outputs);
    with->body = true;
    return with;
}

/* The scan over indices in the place of rows, with the tables behind all that it captures. */
static nd_value *gathering_scan(nd__copier *c, const nd__node *n, nd_value *const *x, const slices *s)
{
    const nd_function *body = nd__get(n, ND__A_body)->function;
    nd_value **operands = nd__arena_alloc(&c->to->arena, 2 * (size_t)n->input_count, sizeof *operands),
             **inputs = nd__arena_alloc(&c->to->arena, 2 * (size_t)n->input_count, sizeof *inputs);
    int count = n->input_count;
    if (!operands || !inputs)
        return nd__fail_memory(c->to);
    for (int i = 0; i < n->input_count; i++) {
        const slice *found = &s->found[body->inputs[i]->node->number];
        operands[i] = found->scan ? all_indices(c, found, n->inputs[i]) : x[i];
        inputs[i] = found->scan ? found->index : nd__copied(c, body->inputs[i]);
        if (!found->scan)
            continue;
        operands[count] = nd__copied(c, found->gather->inputs[0]);
        inputs[count++] = found->table;
    }
    if (count == n->input_count)
        return NULL;
    nd_function *with = body_with(c, body, count, inputs);
    nd__attr attrs[ND__MAX_ATTRS];
    for (int i = 0; i < n->attr_count && with; i++)
        attrs[i] = n->attrs[i].function ? nd__attr_function(n->attrs[i].key, with) : n->attrs[i];
    return with ? nd__make(c->to, ND__OP_scan, n->place, count, operands, n->attr_count, attrs) : &c->to->poison;
}

/* -- the pass ------------------------------------------------------------------------------------------------------ */

static nd_value *rewrite(nd__copier *c, const nd__node *node, nd_value *const *x, void *state)
{
    slices *s = state;
    if (node->op == ND__OP_scan)
        return gathering_scan(c, node, x, s);
    return s->found[node->number].scan ? gathered(c, &s->found[node->number], &node->results[0]) : NULL;
}

nd_module *nd__slices(nd_module *m)
{
    slices s = {calloc((size_t)m->node_count + 1, sizeof *s.uses), calloc((size_t)m->node_count + 1, sizeof *s.found)};
    bool *live = malloc((size_t)m->node_count * sizeof *live + 1);
    nd_module *made = NULL;
    if (s.uses && s.found && live) {
        nd__mark_live(m, live);
        count_uses(m, live, &s);
        find_slices(m, live, &s);
        made = nd__rewrite(m, rewrite, &s);
    }
    free(live);
    free(s.found);
    free(s.uses);
    return made;
}
