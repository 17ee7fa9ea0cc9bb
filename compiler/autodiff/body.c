/* Backward functions: their inputs, what they save, their nodes. */
#include "compiler/autodiff/body.h"

#include <string.h>

static bool grow(nd__backward *b, void *items, int *room, int need, size_t size)
{
    if (b->m->status == ND_OK && !nd__arena_grow(&b->scratch, items, room, need, size))
        nd__fail_memory(b->m);
    return b->m->status == ND_OK;
}

static void *scratch(nd__backward *b, int count, size_t size)
{
    void *p = nd__arena_alloc(&b->scratch, (size_t)count, size);
    if (!p)
        nd__fail_memory(b->m);
    return p;
}

bool nd__backward_begin(nd__backward *b, nd__rule_call *s, const nd_function *f)
{
    *b = (nd__backward){.s = s, .m = s->m, .f = f, .first_new = s->m->node_count};
    b->moving = scratch(b, b->first_new, sizeof *b->moving);
    b->cut = scratch(b, b->first_new, sizeof *b->cut);
    return b->moving && b->cut;
}

void nd__backward_end(nd__backward *b)
{
    nd__arena_release(&b->scratch);
}

static bool name_taken(const nd__backward *b, const char *name)
{
    for (int i = 0; i < b->f->input_count; i++)
        if (strcmp(b->f->inputs[i]->name, name) == 0)
            return true;
    for (int i = 0; i < b->parameter_count; i++)
        if (strcmp(b->parameters[i].input->name, name) == 0)
            return true;
    return false;
}

nd_value *nd__backward_input(nd__backward *b, const char *name, int section, nd_dtype dtype, nd_shape shape,
                             nd_value *operand)
{
    const char *unique = name;
    for (int i = 1; unique && name_taken(b, unique); i++)
        unique = nd__arena_format(&b->scratch, "%s_%d", name, i);
    if (!unique)
        return nd__fail_memory(b->m);
    nd_value *input = nd_input_at(b->s->place, b->m, unique, dtype, shape);
    nd__backward_take(b, input, section, operand);
    return input;
}

void nd__backward_take(nd__backward *b, nd_value *input, int section, nd_value *operand)
{
    if (grow(b, &b->parameters, &b->parameter_room, b->parameter_count + 1, sizeof *b->parameters))
        b->parameters[b->parameter_count++] = (nd__parameter){input, operand, section};
}

int nd__backward_root(nd__backward *b, nd_value *v)
{
    for (int i = 0; i < b->root_count; i++)
        if (b->roots[i] == v)
            return i;
    if (!grow(b, &b->roots, &b->root_room, b->root_count + 1, sizeof(nd_value *)))
        return 0;
    b->roots[b->root_count] = v;
    return b->root_count++;
}

/* A forward value that the backward function gets from outside. Views are made again from what they show, unless less
 * is saved so. */
static bool is_saved(const nd__backward *b, const nd__node *n)
{
    if (n->number >= b->first_new || !b->moving[n->number])
        return false;
    return b->cut[n->number] == ND__CUT_HERE ||
           (b->cut[n->number] == ND__CUT_BY_KIND && !(nd__ops[n->op].traits & ND__VIEW));
}

/* What the roots need, with the saved values. */
static void mark_needed(nd__backward *b, const nd__numbers *numbers, bool *wanted)
{
    memset(wanted, 0, (size_t)numbers->values * sizeof *wanted);
    for (int i = 0; i < b->root_count; i++)
        wanted[nd__number(numbers, b->roots[i])] = true;
    for (int i = b->needed_count - 1; i >= 0; i--) {
        const nd__node *n = b->m->nodes[i];
        b->needed[i] = false;
        for (int k = 0; k < n->result_count; k++)
            b->needed[i] |= wanted[numbers->first[i] + k];
        for (int k = 0; b->needed[i] && !is_saved(b, n) && k < n->input_count; k++)
            wanted[nd__number(numbers, n->inputs[k])] = true;
    }
}

static bool is_needed(const nd__backward *b, const nd_value *v)
{
    return b->needed[v->node->number];
}

/* -- a smaller cut --------------------------------------------------------------------------------------------------
 */

static double elements(const nd_module *m, const nd_value *v)
{
    double n = 1;
    for (int d = 0; d < v->shape.rank; d++)
        n *= (double)nd_dim_value(m, v->shape.dims[d]);
    return n;
}

/* Whether the backward function reads the value through slices of the forward function only, and how much in all. */
static bool is_sliced(const nd__backward *b, const nd_value *v, double *read)
{
    *read = 0;
    for (int i = 0; i < b->root_count; i++)
        if (b->roots[i] == v)
            return false;
    for (int i = v->node->number + 1; i < b->needed_count; i++) {
        const nd__node *n = b->m->nodes[i];
        for (int k = 0; b->needed[i] && !is_saved(b, n) && k < n->input_count; k++) {
            if (n->inputs[k] != v)
                continue;
            if (n->op != ND__OP_slice || i >= b->first_new)
                return false;
            *read += elements(b->m, &n->results[0]);
        }
    }
    return true;
}

/* Lets slices be saved instead of the value, where nothing else of it is read. */
static void cut_at_slices(nd__backward *b, const nd__node *n)
{
    double read;
    if (!is_sliced(b, &n->results[0], &read) || read >= elements(b->m, &n->results[0]))
        return;
    for (int i = n->number + 1; i < b->first_new; i++)
        if (b->needed[i] && b->m->nodes[i]->op == ND__OP_slice && b->m->nodes[i]->inputs[0] == &n->results[0])
            b->cut[i] = ND__CUT_HERE;
}

/* Whether the value is one cheap operation on what the backward function has anyway. */
static bool is_made_easily(const nd__backward *b, const nd__node *n)
{
    if (!(nd__ops[n->op].traits & ND__ELEMENTWISE) || nd__ops[n->op].traits & ND__COSTLY || n->op == ND__OP_div)
        return false;
    for (int i = 0; i < n->input_count; i++) {
        const nd_value *x = n->inputs[i];
        while (nd__ops[x->node->op].traits & ND__VIEW)
            x = x->node->inputs[0];
        if (x->node->op != ND__OP_constant && !is_needed(b, x))
            return false;
    }
    return true;
}

/* Chooses where to cut the values that would be saved. */
static void choose_cut(nd__backward *b)
{
    for (int i = b->first_new - 1; i >= 0; i--) {
        const nd__node *n = b->m->nodes[i];
        if (!b->needed[i] || !is_saved(b, n) || n->result_count != 1)
            continue;
        if (is_made_easily(b, n))
            b->cut[i] = ND__CUT_ABOVE;
        else if (n->op != ND__OP_input)
            cut_at_slices(b, n);
    }
}

bool nd__backward_cut(nd__backward *b)
{
    if (b->m->status != ND_OK)
        return false;
    nd__numbers numbers;
    bool numbered = nd__number_values(&numbers, b->m, b->m->node_count, &b->scratch);
    bool *wanted = numbered ? scratch(b, numbers.values, sizeof *wanted) : NULL;
    b->needed_count = b->m->node_count;
    b->needed = scratch(b, b->needed_count, sizeof *b->needed);
    if (!wanted || !b->needed) {
        nd__fail_memory(b->m);
        return false;
    }
    mark_needed(b, &numbers, wanted);
    choose_cut(b);
    mark_needed(b, &numbers, wanted);
    for (int i = 0; i < b->first_new; i++)
        for (int k = 0; is_saved(b, b->m->nodes[i]) && k < b->m->nodes[i]->result_count; k++)
            if (wanted[numbers.first[i] + k] &&
                grow(b, &b->saved, &b->saved_room, b->saved_count + 1, sizeof(nd_value *)))
                b->saved[b->saved_count++] = &b->m->nodes[i]->results[k];
    return b->m->status == ND_OK;
}

static nd_function *make_function(nd__backward *b, const char *pattern, int input_count, nd_value *const *inputs,
                                  int output_count, nd_value *const *outputs)
{
    const char *name = nd__arena_format(&b->scratch, pattern, b->f->name), *unique = name;
    for (int i = 1; unique && nd_module_function(b->m, unique); i++)
        unique = nd__arena_format(&b->scratch, "%s_%d", name, i);
    if (!unique) {
        nd__fail_memory(b->m);
        return NULL;
    }
    nd_function *f = nd__function(b->m, b->s->place, unique, input_count, inputs, output_count, outputs);
    if (b->m->status != ND_OK)
        return NULL;
    f->body = true;
    return f;
}

nd_function *nd__backward_variant(nd__backward *b, int first)
{
    int count = b->f->output_count, more = b->saved_count - first;
    nd_value **outputs = scratch(b, count + more, sizeof *outputs);
    if (!outputs)
        return NULL;
    for (int i = 0; i < count; i++)
        outputs[i] = b->f->outputs[i];
    for (int i = 0; i < more; i++)
        outputs[count + i] = b->saved[first + i];
    return make_function(b, "%s_saving", b->f->input_count, b->f->inputs, count + more, outputs);
}

bool nd__backward_replace(nd__backward *b, nd_value *const *with)
{
    nd_module *m = b->m;
    nd__numbers numbers;
    int nodes = m->node_count;
    bool numbered = m->status == ND_OK && nd__number_values(&numbers, m, nodes, &b->scratch);
    nd_value **instead = numbered ? scratch(b, numbers.values, sizeof *instead) : NULL;
    if (!instead) {
        nd__fail_memory(m);
        return false;
    }
    for (int i = 0; i < b->saved_count; i++)
        instead[nd__number(&numbers, b->saved[i])] = with[i];
    for (int i = 0; i < b->needed_count && m->status == ND_OK; i++) {
        const nd__node *n = m->nodes[i];
        bool changed = false;
        for (int k = 0; k < n->input_count; k++)
            changed |= instead[nd__number(&numbers, n->inputs[k])] != NULL;
        if (!changed || is_saved(b, n) || !b->needed[i])
            continue;
        nd_value **operands = scratch(b, n->input_count, sizeof *operands);
        if (!operands)
            return false;
        for (int k = 0; k < n->input_count; k++) {
            nd_value *other = instead[nd__number(&numbers, n->inputs[k])];
            operands[k] = other ? other : n->inputs[k];
        }
        const nd_value *made = nd__make(m, n->op, n->place, n->input_count, operands, n->attr_count, n->attrs);
        for (int k = 0; k < n->result_count && m->status == ND_OK; k++) {
            nd_value *copy = &made->node->results[k];
            copy->name = n->results[k].name;
            instead[numbers.first[i] + k] = copy;
        }
    }
    for (int i = 0; i < b->root_count && m->status == ND_OK; i++) {
        nd_value *other = instead[nd__number(&numbers, b->roots[i])];
        b->roots[i] = other ? other : b->roots[i];
    }
    return m->status == ND_OK;
}

nd_function *nd__backward_function(nd__backward *b, int output_count, const int *outputs)
{
    nd_value **inputs = scratch(b, b->parameter_count, sizeof *inputs),
             **values = scratch(b, output_count, sizeof *values);
    if (!inputs || !values)
        return NULL;
    int n = 0;
    for (int section = 0; section < ND__SECTIONS; section++)
        for (int i = 0; i < b->parameter_count; i++)
            if (b->parameters[i].section == section)
                inputs[n++] = b->parameters[i].input;
    for (int i = 0; i < output_count; i++)
        values[i] = b->roots[outputs[i]];
    return make_function(b, "grad_%s", n, inputs, output_count, values);
}

nd_value **nd__backward_operands(nd__backward *b, int before, int *count)
{
    nd_value **operands = scratch(b, before + b->parameter_count, sizeof *operands);
    memset(count, 0, ND__SECTIONS * sizeof *count);
    for (int section = 0, n = before; operands && section < ND__SECTIONS; section++)
        for (int i = 0; i < b->parameter_count; i++)
            if (b->parameters[i].section == section) {
                operands[n++] = b->parameters[i].operand;
                count[section]++;
            }
    return operands;
}
