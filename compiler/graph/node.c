/* Making nodes: the one way in. Everything that builds a graph (builder calls, parser, gradient rules, passes) ends in
 * nd__make. */
#include "compiler/graph/graph.h"

#include <stdio.h>
#include <string.h>

/* -- attributes --------------------------------------------------------------------------------------------------- */

nd__attr nd__attr_int(nd__attr_key key, int64_t i)
{
    return (nd__attr){.key = key, .i = i};
}

nd__attr nd__attr_ints(nd__attr_key key, int count, const int64_t *ints)
{
    return (nd__attr){.key = key, .count = count, .ints = ints};
}

nd__attr nd__attr_shape(nd__attr_key key, const nd_shape *shape)
{
    return (nd__attr){.key = key, .count = shape->rank, .ints = shape->dims};
}

nd__attr nd__attr_text(nd__attr_key key, const char *text)
{
    return (nd__attr){.key = key, .text = text};
}

nd__attr nd__attr_data(nd__attr_key key, const nd__data *data)
{
    return (nd__attr){.key = key, .data = data};
}

nd__attr nd__attr_function(nd__attr_key key, nd_function *function)
{
    return (nd__attr){.key = key, .function = function};
}

nd__attr nd__attr_variable(nd__attr_key key, nd__variable *variable)
{
    return (nd__attr){.key = key, .variable = variable};
}

const nd__attr *nd__get(const nd__node *node, nd__attr_key key)
{
    for (int i = 0; i < node->attr_count; i++)
        if (node->attrs[i].key == key)
            return &node->attrs[i];
    return NULL;
}

int64_t nd__get_int(const nd__node *node, nd__attr_key key)
{
    return nd__get(node, key)->i;
}

const int64_t *nd__get_ints(const nd__node *node, nd__attr_key key)
{
    return nd__get(node, key)->ints;
}

nd_shape nd__get_shape(const nd__node *node, nd__attr_key key)
{
    const nd__attr *a = nd__get(node, key);
    return nd_shape_of((size_t)a->count, a->ints);
}

/* The attribute with what it points to copied into the arena. */
static bool own(nd_module *m, nd__attr *a)
{
    switch (nd__attr_kinds[a->key]) {
    case ND__KIND_INTS:
    case ND__KIND_BAND:
    case ND__KIND_SIZES: {
        /* A shape of too high a rank has sizes for ND_MAX_RANK axes only. */
        const int have = a->count < ND_MAX_RANK ? a->count : ND_MAX_RANK;
        int64_t *copy = nd__arena_alloc(&m->arena, (size_t)(have > 0 ? have : 0), sizeof *copy);
        if (copy && have > 0)
            memcpy(copy, a->ints, (size_t)have * sizeof *copy);
        a->ints = copy;
        return copy != NULL;
    }
    case ND__KIND_TEXT:
        a->text = nd__arena_text(&m->arena, a->text, strlen(a->text));
        return a->text != NULL;
    case ND__KIND_DATA: {
        nd__data *copy = nd__arena_alloc(&m->arena, 1, sizeof *copy);
        void *items = nd__arena_alloc(&m->arena, (size_t)a->data->count, nd_dtype_size(a->data->dtype));
        if (!copy || !items)
            return false;
        if (a->data->count > 0)
            memcpy(items, a->data->items, (size_t)a->data->count * nd_dtype_size(a->data->dtype));
        *copy = (nd__data){a->data->dtype, a->data->count, items};
        a->data = copy;
        return true;
    }
    default:
        return true;
    }
}

/* -- nodes -------------------------------------------------------------------------------------------------------- */

nd_module *nd__common_module(nd_place place, const char *what, size_t n, nd_value *const *values, bool *poisoned)
{
    nd_module *m = NULL;
    *poisoned = false;
    for (size_t i = 0; i < n && !m && values; i++)
        if (values[i])
            m = values[i]->node->module;
    if (!m)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        if (!values[i]) {
            nd__fail(m, ND_ERR_ARGUMENT, place, "%s: operand %zu is NULL", what, i);
        } else if (values[i]->node->module != m) {
            nd__fail(values[i]->node->module, ND_ERR_GRAPH, place,
                     "%s: operand %zu belongs to this module, another operand to \"%s\"", what, i, m->name);
            nd__fail(m, ND_ERR_GRAPH, place, "%s: operand %zu, %s, belongs to another module, \"%s\"", what, i,
                     nd__show(m, values[i]), values[i]->node->module->name);
        }
    }
    *poisoned = m->status != ND_OK;
    return m;
}

static int attr_count_of(nd__op op)
{
    int n = 0;
    while (n < ND__MAX_ATTRS && nd__ops[op].attrs[n] != ND__A_none)
        n++;
    return n;
}

/* The attributes in the op's order, those that are flags and not given as 0. */
static nd__attr *arrange(nd_module *m, nd__op op, int count, const nd__attr *given, int n)
{
    nd__attr *attrs = nd__arena_alloc(&m->arena, (size_t)n, sizeof *attrs);
    for (int k = 0; k < n && attrs; k++) {
        attrs[k] = (nd__attr){.key = nd__ops[op].attrs[k]};
        for (int i = 0; i < count; i++)
            if (given[i].key == attrs[k].key)
                attrs[k] = given[i];
        if (!own(m, &attrs[k]))
            attrs = NULL;
    }
    if (!attrs)
        nd__fail_memory(m);
    return attrs;
}

static void note_runner(const nd__node *node)
{
    for (int i = 0; i < node->attr_count; i++)
        for (nd_function *f = node->attrs[i].function; f; f = f->origin)
            if (!f->runner)
                f->runner = node;
}

/* A node without results, in no list, over a copy of the operands. NULL: memory ran out. */
static nd__node *new_node(nd_module *m, nd__op op, nd_place place, int input_count, nd_value *const *inputs,
                          int attr_count, const nd__attr *attrs)
{
    nd__node *node = nd__arena_alloc(&m->arena, 1, sizeof *node);
    nd_value **operands = nd__arena_alloc(&m->arena, (size_t)input_count, sizeof *operands);
    const char *where = place && *place ? nd__arena_text(&m->arena, place, strlen(place)) : "";
    const int n = attr_count_of(op);
    nd__attr *own_attrs = node && operands && where ? arrange(m, op, attr_count, attrs, n) : NULL;
    if (!own_attrs) {
        nd__fail_memory(m);
        return NULL;
    }
    if (input_count > 0)
        memcpy(operands, inputs, (size_t)input_count * sizeof *operands);
    *node = (nd__node){.op = op,
                       .module = m,
                       .place = where,
                       .input_count = input_count,
                       .attr_count = n,
                       .inputs = operands,
                       .attrs = own_attrs};
    return node;
}

/* The node becomes the module's, with results of the types of those `like` them, or of `types`. Gives the first. */
static nd_value *append(nd_module *m, nd__node *node, int result_count, const nd_value *like, const nd__type *types)
{
    nd_value *results = nd__arena_alloc(&m->arena, (size_t)result_count, sizeof *results);
    if (!results || !nd__arena_grow(&m->arena, &m->nodes, &m->node_room, m->node_count + 1, sizeof(nd__node *)))
        return nd__fail_memory(m);
    for (int i = 0; i < result_count; i++)
        results[i] = (nd_value){.node = node,
                                .index = i,
                                .dtype = like ? like[i].dtype : types[i].dtype,
                                .shape = like ? like[i].shape : types[i].shape,
                                .name = ""};
    node->number = m->node_count;
    node->result_count = result_count;
    node->results = results;
    m->nodes[m->node_count++] = node;
    note_runner(node);
    return result_count > 0 ? &results[0] : &m->poison;
}

nd_value *nd__make(nd_module *m, nd__op op, nd_place place, int input_count, nd_value *const *inputs, int attr_count,
                   const nd__attr *attrs)
{
    if (!m)
        return NULL;
    bool poisoned;
    nd_module *common = nd__common_module(place, nd__ops[op].name, (size_t)input_count, inputs, &poisoned);
    if (m->status != ND_OK || poisoned)
        return &m->poison;
    if (input_count > 0 && common != m)
        return nd__fail(m, ND_ERR_GRAPH, place, "%s: the operands belong to another module", nd__ops[op].name);

    nd__node *node = new_node(m, op, place, input_count, inputs, attr_count, attrs);
    if (!node)
        return &m->poison;
    for (int i = 0; i < input_count; i++)
        node->inputs[i] = nd__settle(place, inputs[i]);
    if (m->status != ND_OK)
        return &m->poison;
    int result_count;
    nd__type one, *types = &one;
    if (!nd__infer(m, op, node->place, input_count, node->inputs, node->attrs, &result_count, &types))
        return &m->poison;
    return append(m, node, result_count, NULL, types);
}

nd_value *nd__make_like(nd_module *m, const nd__node *like, nd_value *const *inputs, const nd__attr *attrs)
{
    nd__node *node = new_node(m, like->op, like->place, like->input_count, inputs, like->attr_count, attrs);
    return node ? append(m, node, like->result_count, like->results, NULL) : &m->poison;
}

nd_value *nd__make0(nd_module *m, nd__op op, nd_place place, int attr_count, const nd__attr *attrs)
{
    return nd__make(m, op, place, 0, NULL, attr_count, attrs);
}

nd_value *nd__make1(nd__op op, nd_place place, nd_value *x, int attr_count, const nd__attr *attrs)
{
    return x ? nd__make(x->node->module, op, place, 1, &x, attr_count, attrs) : NULL;
}

nd_value *nd__make2(nd__op op, nd_place place, nd_value *x, nd_value *y, int attr_count, const nd__attr *attrs)
{
    nd_value *both[] = {x, y};
    return x || y ? nd__make((x ? x : y)->node->module, op, place, 2, both, attr_count, attrs) : NULL;
}

int nd__axis(nd_module *m, nd_place place, const char *what, int axis, int rank)
{
    if (axis >= -rank && axis < rank)
        return axis < 0 ? axis + rank : axis;
    nd__fail(m, ND_ERR_GRAPH, place, "%s: axis %d is outside %d..%d", what, axis, -rank, rank - 1);
    return -1;
}

int nd__axis_of(nd_place place, const char *what, int axis, nd_value *x)
{
    nd_module *m = x->node->module;
    axis = nd__axis(m, place, what, axis, x->shape.rank);
    if (axis < 0)
        nd__note_operands(m, place, 1, &x);
    return axis;
}
