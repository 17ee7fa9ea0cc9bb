/* The weights of layers: listed, found, counted, frozen, kept small. */
#include "compiler/nn/layer.h"

#include <stdlib.h>
#include <string.h>

/* -- walking ------------------------------------------------------------------------------------------------------ */

static bool walk(nd_layer *l, nd_layer ***all, int *count)
{
    for (int i = 0; i < *count; i++)
        if ((*all)[i] == l)
            return true;
    nd_layer **more = nd__layer_grow(*all, *count, sizeof(nd_layer *));
    if (!more)
        return false;
    *all = more;
    more[(*count)++] = l;
    for (int i = 0; i < l->inside->child_count; i++)
        if (!walk(l->inside->children[i], all, count))
            return false;
    return true;
}

nd_layer **nd__layer_walk(nd_layer *l, int *count)
{
    nd_layer **all = NULL;
    *count = 0;
    if (l && !walk(l, &all, count)) {
        free(all);
        return NULL;
    }
    return all;
}

/* -- listing ------------------------------------------------------------------------------------------------------ */

static nd_values list(nd_layer *l, bool trained)
{
    const nd_values none = {0, NULL};
    int count, n = 0, room = 0;
    nd_layer **all = nd__layer_walk(l, &count);
    for (int i = 0; all && i < count; i++)
        room += all[i]->inside->variable_count;
    nd_value **listed = all ? malloc(((size_t)room + 1) * sizeof *listed) : NULL;
    if (!listed) {
        free(all);
        if (l && l->module)
            nd__fail_memory(l->module);
        return none;
    }
    for (int i = 0; i < count; i++)
        for (int k = 0; k < all[i]->inside->variable_count; k++) {
            const nd__layer_variable *v = &all[i]->inside->variables[k];
            if (!trained || (v->trained && !all[i]->inside->frozen))
                listed[n++] = v->value;
        }
    free(all);
    free(l->inside->listed);
    l->inside->listed = listed;
    return (nd_values){(size_t)n, listed};
}

nd_values nd_layer_weights(nd_layer *l)
{
    return list(l, true);
}

nd_values nd_layer_variables(nd_layer *l)
{
    return list(l, false);
}

/* Whether the variable has that path, whole or from below the layer. */
static bool has_path(const nd_value *v, const char *layer, const char *path)
{
    const char *name = nd__get(v->node, ND__A_variable)->variable->name;
    size_t length = strlen(layer);
    bool below = strncmp(name, layer, length) == 0 && name[length] == '/';
    return strcmp(name, path) == 0 || (below && strcmp(name + length + 1, path) == 0);
}

nd_value *nd_layer_find(nd_layer *l, const char *path)
{
    int count;
    nd_value *found = NULL;
    nd_layer **all = l && path && l->inside->path ? nd__layer_walk(l, &count) : NULL;
    for (int i = 0; all && i < count; i++)
        for (int k = 0; k < all[i]->inside->variable_count; k++) {
            nd_value *v = all[i]->inside->variables[k].value;
            if (!found && has_path(v, l->inside->path, path))
                found = v;
        }
    free(all);
    return found;
}

int64_t nd_layer_parameters(nd_layer *l, bool trained)
{
    int count;
    int64_t sum = 0;
    nd_layer **all = nd__layer_walk(l, &count);
    if (l && !all)
        nd__fail_memory(l->module);
    for (int i = 0; all && i < count; i++)
        for (int k = 0; k < all[i]->inside->variable_count; k++) {
            const nd__layer_variable *v = &all[i]->inside->variables[k];
            if (v->trained && !(trained && all[i]->inside->frozen))
                sum += nd__elements(&v->value->shape);
        }
    free(all);
    return sum;
}

/* -- settings ----------------------------------------------------------------------------------------------------- */

void nd_layer_set_init(nd_layer *l, const char *weight, nd_init init)
{
    if (!l || !weight)
        return;
    struct nd__layer *in = l->inside;
    if (l->module) {
        nd_layer_fail(l, "the initialiser of \"%s\" comes after the first call, which made the weights", weight);
        return;
    }
    nd__layer_init *inits = nd__layer_grow(in->inits, in->init_count, sizeof *inits);
    size_t size = strlen(weight) + 1;
    char *name = malloc(size);
    if (inits)
        in->inits = inits;
    if (!inits || !name) {
        free(name);
        in->status = in->status == ND_OK ? ND_ERR_MEMORY : in->status;
        return;
    }
    memcpy(name, weight, size);
    inits[in->init_count++] = (nd__layer_init){.name = name, .init = init};
}

void nd_layer_freeze(nd_layer *l, bool frozen)
{
    if (!l)
        return;
    l->inside->frozen = frozen;
    for (int i = 0; i < l->inside->child_count; i++)
        nd_layer_freeze(l->inside->children[i], frozen);
}

void nd_layer_regularise(nd_layer *l, double l1, double l2)
{
    if (!l)
        return;
    l->inside->l1 = l1;
    l->inside->l2 = l2;
    for (int i = 0; i < l->inside->child_count; i++)
        nd_layer_regularise(l->inside->children[i], l1, l2);
}

/* sum + factor * sum(x); a NULL sum is 0, a factor of 0 adds nothing. */
static nd_value *plus(nd_place place, nd_value *sum, double factor, nd_value *x)
{
    if (factor == 0)
        return sum;
    nd_value *term = nd_sum_at(place, x, ND_ALL_AXES, false);
    term = nd_mul_at(place, nd_const_at(place, nd_value_module(x), factor), term);
    return sum ? nd_add_at(place, sum, term) : term;
}

nd_value *nd_layer_penalty_at(nd_place place, nd_layer *l)
{
    if (!l || !l->module)
        return NULL;
    int count;
    nd_value *sum = NULL;
    nd_layer **all = nd__layer_walk(l, &count);
    if (!all)
        return nd__fail_memory(l->module);
    for (int i = 0; i < count; i++) {
        const struct nd__layer *in = all[i]->inside;
        for (int k = 0; k < in->variable_count; k++) {
            nd_value *w = in->variables[k].value;
            if (!in->variables[k].trained || w->shape.rank < 2)
                continue;
            if (in->l1 != 0)
                sum = plus(place, sum, in->l1, nd_abs_at(place, w));
            if (in->l2 != 0)
                sum = plus(place, sum, in->l2, nd_mul_at(place, w, w));
        }
    }
    free(all);
    return sum ? sum : nd_const_of_at(place, l->module, l->dtype, 0);
}
