/* Common subexpressions: nodes of the same op, operands and attributes become one, the first of them.
 *
 * Every op is a function of its operands and attributes alone, random bits and control flow too, so all of them merge;
 * what does not are inputs, which belong to their function. Two nodes over the same operands need the same inputs and
 * variables: that one of them was made for a body does not matter.
 *
 * A hash table finds the earlier node; it is looked up, never walked, so the result depends on the graph alone. */
#include "compiler/passes/passes.h"
#include "compiler/passes/rewrite.h"

#include <stdlib.h>
#include <string.h>

typedef struct table {
    size_t mask;
    const nd__node **slots; /* nodes of the old module that were copied */
} table;

/* FNV-1a over whole words. */
static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0x100000001b3u;
    return hash ^ hash >> 29;
}

static uint64_t mix_bytes(uint64_t hash, const void *bytes, size_t n)
{
    const unsigned char *b = bytes;
    for (size_t i = 0; i < n; i++)
        hash = mix(hash, b[i]);
    return hash;
}

static size_t data_bytes(const nd__data *data)
{
    return (size_t)data->count * nd_dtype_size(data->dtype);
}

static uint64_t hash_attr(uint64_t hash, const nd__attr *a)
{
    hash = mix(hash, (uint64_t)a->i);
    for (int i = 0; i < a->count; i++)
        hash = mix(hash, (uint64_t)a->ints[i]);
    if (a->text)
        hash = mix_bytes(hash, a->text, strlen(a->text));
    if (a->data)
        hash = mix_bytes(mix(hash, (uint64_t)a->data->dtype), a->data->items, data_bytes(a->data));
    if (a->function)
        hash = mix(hash, (uint64_t)a->function->number);
    if (a->variable)
        hash = mix(hash, (uint64_t)a->variable->number);
    return hash;
}

static bool same_attr(const nd__attr *a, const nd__attr *b)
{
    if (a->i != b->i || a->count != b->count || a->function != b->function || a->variable != b->variable)
        return false;
    if (a->count > 0 && memcmp(a->ints, b->ints, (size_t)a->count * sizeof *a->ints) != 0)
        return false;
    if (a->text && strcmp(a->text, b->text) != 0)
        return false;
    return !a->data || (a->data->dtype == b->data->dtype && a->data->count == b->data->count &&
                        memcmp(a->data->items, b->data->items, data_bytes(a->data)) == 0);
}

static uint64_t hash_value(const nd_value *v)
{
    return mix((uint64_t)v->node->number, (uint64_t)v->index);
}

static uint64_t hash_node(const nd__node *node, nd_value *const *x)
{
    uint64_t hash = mix(0xcbf29ce484222325u, (uint64_t)node->op);
    if (nd__ops[node->op].traits & ND__COMMUTES) /* the same either way round */
        hash = mix(hash, hash_value(x[0]) + hash_value(x[1]));
    else
        for (int i = 0; i < node->input_count; i++)
            hash = mix(hash, hash_value(x[i]));
    for (int i = 0; i < node->attr_count; i++)
        hash = hash_attr(hash, &node->attrs[i]);
    return hash;
}

static bool same_node(const nd__copier *c, const nd__node *a, const nd__node *b, nd_value *const *x)
{
    if (a->op != b->op || a->input_count != b->input_count)
        return false;
    bool same = true;
    for (int i = 0; i < b->input_count && same; i++)
        same = nd__copied(c, a->inputs[i]) == x[i];
    if (!same && nd__ops[b->op].traits & ND__COMMUTES)
        same = nd__copied(c, a->inputs[0]) == x[1] && nd__copied(c, a->inputs[1]) == x[0];
    for (int i = 0; i < b->attr_count && same; i++)
        same = same_attr(&a->attrs[i], &b->attrs[i]);
    return same;
}

static nd_value *earlier(nd__copier *c, const nd__node *node, nd_value *const *x, void *state)
{
    const table *t = state;
    if (node->op == ND__OP_input || node->op == ND__OP_variable)
        return NULL;
    size_t at = (size_t)hash_node(node, x) & t->mask;
    for (; t->slots[at]; at = (at + 1) & t->mask)
        if (same_node(c, t->slots[at], node, x))
            return nd__copied(c, &t->slots[at]->results[0]);
    t->slots[at] = node;
    return NULL;
}

nd_module *nd__cse(nd_module *m)
{
    size_t room = 16;
    while (room < 2 * (size_t)m->node_count)
        room *= 2;
    table t = {room - 1, calloc(room, sizeof(nd__node *))};
    nd_module *merged = t.slots ? nd__rewrite(m, earlier, &t) : NULL;
    free(t.slots);
    return merged;
}
