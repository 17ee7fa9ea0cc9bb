/* Copying a module, node by node, with or without changes. */
#include "compiler/graph/graph.h"

#include <string.h>

static void *scratch(nd__copier *c, size_t count, size_t size)
{
    void *p = nd__arena_alloc(&c->to->arena, count, size);
    if (!p)
        nd__fail_memory(c->to);
    return p;
}

static nd_shape moved_shape(nd__copier *c, nd_shape shape)
{
    for (int i = 0; i < shape.rank; i++)
        shape.dims[i] = nd__size_move(c->to, c->from, c->bound, shape.dims[i]);
    return shape;
}

bool nd__copy_begin(nd__copier *c, nd_module *from, const int64_t *bound)
{
    *c = (nd__copier){.from = from, .bound = bound};
    c->to = nd_module_create(from->name);
    if (!c->to)
        return false;
    c->to->seed = from->seed;
    c->to->arena.spare = from->arena.spare;
    from->arena.spare = NULL;
    c->results = scratch(c, (size_t)from->node_count, sizeof *c->results);
    c->functions = scratch(c, (size_t)from->function_count, sizeof *c->functions);
    if (!c->results || !c->functions) {
        nd_module_destroy(c->to);
        return false;
    }
    for (int i = 0; i < from->dim_count; i++)
        if (!bound || bound[i] < 0)
            nd_dim_at("", c->to, from->dims[i].name, from->dims[i].value);
    for (int i = 0; i < from->variable_count; i++) {
        const nd__variable *v = from->variables[i];
        nd__declare_new(c->to, v->place, v->name, v->dtype, moved_shape(c, v->shape));
    }
    return true;
}

nd_value *nd__copied(const nd__copier *c, const nd_value *v)
{
    nd_value **results = c->to->status == ND_OK && v->node->op != ND__OP_poison ? c->results[v->node->number] : NULL;
    if (!results || !results[v->index])
        return nd__fail(c->to, ND_ERR_INTERNAL, v->node->place, "%%%d (%s) is used before it was copied",
                        v->node->number, v->node->op < ND__OPS ? nd__ops[v->node->op].name : "poison");
    return results[v->index];
}

/* Places for n results. They lie in a row: operands are looked up far more often than anything else is done. */
static nd_value **slots(nd__copier *c, int n)
{
    enum { ROW = 512 };
    if (n > ROW / 8)
        return scratch(c, (size_t)n, sizeof(nd_value *));
    if (c->slot_count < n) {
        c->slots = scratch(c, ROW, sizeof(nd_value *));
        c->slot_count = c->slots ? ROW : 0;
    }
    nd_value **taken = c->slots;
    if (taken) {
        c->slots += n;
        c->slot_count -= n;
    }
    return taken;
}

void nd__copy_replace(nd__copier *c, const nd__node *node, int index, nd_value *with)
{
    nd_value ***slot = &c->results[node->number];
    if (!*slot)
        *slot = slots(c, node->result_count);
    if (!*slot)
        return;
    (*slot)[index] = with;
    if (with && !nd_value_is_poison(with) && !*with->name && *node->results[index].name &&
        with->node->op != ND__OP_constant)
        nd_name(with, node->results[index].name);
}

/* An attribute as it is in the new module. */
static nd__attr moved(nd__copier *c, const nd__node *node, nd__attr a, int64_t *ints)
{
    switch (nd__attr_kinds[a.key]) {
    case ND__KIND_SIZE:
        a.i = nd__size_move(c->to, c->from, c->bound, a.i);
        break;
    case ND__KIND_SIZES:
        for (int i = 0; i < a.count; i++)
            ints[i] = nd__size_move(c->to, c->from, c->bound, a.ints[i]);
        a.ints = ints;
        break;
    case ND__KIND_INTS: /* a slice from the end of what was named and is a number now */
        if (a.key != ND__A_start)
            break;
        for (int i = 0; i < a.count; i++) {
            int64_t size = nd__size_move(c->to, c->from, c->bound, node->inputs[0]->shape.dims[i]);
            ints[i] = a.ints[i] < 0 && !nd__size_is_named(size) ? a.ints[i] + size : a.ints[i];
        }
        a.ints = ints;
        break;
    case ND__KIND_FUNC:
        a.function = nd__copy_function(c, a.function);
        break;
    case ND__KIND_VAR:
        a.variable = c->to->variables[a.variable->number];
        break;
    default:
        break;
    }
    return a;
}

void nd__copy_node(nd__copier *c, const nd__node *node)
{
    if (c->to->status != ND_OK)
        return;
    if (node->op == ND__OP_variable) {
        nd__copy_replace(c, node, 0, c->to->variables[nd__get(node, ND__A_variable)->variable->number]->read);
        return;
    }
    enum { FEW = 8 };
    nd__attr attrs[ND__MAX_ATTRS];
    int64_t ints[ND__MAX_ATTRS][ND_MAX_RANK];
    for (int i = 0; i < node->attr_count; i++)
        attrs[i] = moved(c, node, node->attrs[i], ints[i]);
    nd_value *few[FEW],
        **operands = node->input_count <= FEW ? few : scratch(c, (size_t)node->input_count, sizeof *operands);
    for (int i = 0; operands && i < node->input_count; i++)
        operands[i] = nd__copied(c, node->inputs[i]);
    if (c->to->status != ND_OK)
        return;
    /* Without named dimensions, types stay what they are. */
    nd_value *first = c->from->dim_count == 0 ? nd__make_like(c->to, node, operands, attrs)
                                              : nd__make(c->to, node->op, node->place, node->input_count, operands,
                                                         node->attr_count, attrs);
    for (int i = 0; i < node->result_count && c->to->status == ND_OK; i++)
        nd__copy_replace(c, node, i, &first->node->results[i]);
    if (node->result_count > 0 && c->from->seed_input && c->from->seed_input->node == node)
        c->to->seed_input = nd__copied(c, c->from->seed_input);
}

nd_function *nd__copy_function(nd__copier *c, const nd_function *f)
{
    if (c->to->status != ND_OK || f->number < 0)
        return NULL;
    if (c->functions[f->number])
        return c->functions[f->number];
    nd_value **inputs = scratch(c, (size_t)f->input_count, sizeof *inputs),
             **outputs = scratch(c, (size_t)f->output_count, sizeof *outputs);
    if (!inputs || !outputs)
        return NULL;
    for (int i = 0; i < f->input_count; i++)
        inputs[i] = nd__copied(c, f->inputs[i]);
    for (int i = 0; i < f->output_count; i++)
        outputs[i] = nd__copied(c, f->outputs[i]);
    nd_function *copy = nd__function(c->to, f->place, f->name, f->input_count, inputs, f->output_count, outputs);
    for (int i = 0; i < f->update_count && c->to->status == ND_OK; i++)
        nd__assign(f->updates[i].place, copy, c->to->variables[f->updates[i].variable->number],
                   nd__copied(c, f->updates[i].value));
    copy->body = f->body;
    return c->to->status == ND_OK ? c->functions[f->number] = copy : NULL;
}

nd_module *nd__copy_end(nd__copier *c)
{
    for (int i = 0; i < c->from->function_count; i++)
        if (!c->from->functions[i]->body)
            nd__copy_function(c, c->from->functions[i]);
    for (int i = 0; i < c->from->variable_count && c->to->status == ND_OK; i++)
        if (c->from->variables[i]->initial)
            c->to->variables[i]->initial = nd__copied(c, c->from->variables[i]->initial);
    return c->to;
}

static void mark_function(const nd_function *f, bool *live)
{
    for (int i = 0; i < f->input_count; i++)
        live[f->inputs[i]->node->number] = true;
    for (int i = 0; i < f->output_count; i++)
        live[f->outputs[i]->node->number] = true;
    for (int i = 0; i < f->update_count; i++)
        live[f->updates[i].value->node->number] = true;
}

void nd__mark_live(const nd_module *m, bool *live)
{
    memset(live, 0, (size_t)m->node_count * sizeof *live);
    for (int i = 0; i < m->function_count; i++)
        if (!m->functions[i]->body)
            mark_function(m->functions[i], live);
    for (int i = 0; i < m->variable_count; i++) {
        live[m->variables[i]->read->node->number] = true;
        if (m->variables[i]->initial)
            live[m->variables[i]->initial->node->number] = true;
    }
    /* Bodies were made before the nodes that run them, so one walk from the end meets every use before what is used. */
    for (int i = m->node_count - 1; i >= 0; i--) {
        const nd__node *n = m->nodes[i];
        if (!live[i])
            continue;
        for (int k = 0; k < n->input_count; k++)
            live[n->inputs[k]->node->number] = true;
        for (int k = 0; k < n->attr_count; k++)
            if (n->attrs[k].function)
                mark_function(n->attrs[k].function, live);
    }
}

nd_module *nd__module_copy(nd_module *m, const int64_t *bound)
{
    nd__copier c;
    if (!nd__copy_begin(&c, m, bound))
        return NULL;
    bool *live = scratch(&c, (size_t)m->node_count, sizeof *live);
    if (live)
        nd__mark_live(m, live);
    for (int i = 0; live && i < m->node_count; i++)
        if (live[i])
            nd__copy_node(&c, m->nodes[i]);
    return nd__copy_end(&c);
}

static bool own_place(nd_module *m, nd_place *place)
{
    return !**place || (*place = nd__arena_text(&m->arena, *place, strlen(*place)));
}

bool nd__own_places(nd_module *m)
{
    bool good = true;
    for (int i = 0; i < m->node_count && good; i++)
        good = own_place(m, &m->nodes[i]->place);
    for (int i = 0; i < m->variable_count && good; i++)
        good = own_place(m, &m->variables[i]->place);
    for (int i = 0; i < m->function_count && good; i++) {
        nd_function *f = m->functions[i];
        good = own_place(m, &f->place);
        for (int k = 0; k < f->update_count && good; k++)
            good = own_place(m, &f->updates[k].place);
    }
    return good;
}
