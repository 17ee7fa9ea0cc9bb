/* Layers: making, naming and calling them. */
#include "compiler/nn/layer.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* -- making ------------------------------------------------------------------------------------------------------- */

nd_layer *nd_layer_create(const nd_layer_kind *kind)
{
    if (!kind || kind->size < sizeof(nd_layer))
        return NULL;
    nd_layer *l = calloc(1, kind->size);
    struct nd__layer *inside = calloc(1, sizeof *inside);
    if (!l || !inside) {
        free(l);
        free(inside);
        return NULL;
    }
    *inside = (struct nd__layer){.references = 1};
    *l = (nd_layer){.kind = kind, .place = "", .inside = inside};
    return l;
}

void nd_layer_destroy(nd_layer *l)
{
    if (!l || --l->inside->references > 0)
        return;
    struct nd__layer *inside = l->inside;
    for (int i = 0; i < inside->child_count; i++) {
        if (inside->children[i]->inside->parent == l)
            inside->children[i]->inside->parent = NULL;
        nd_layer_destroy(inside->children[i]);
    }
    if (l->kind->destroy)
        l->kind->destroy(l);
    for (int i = 0; i < inside->init_count; i++)
        free(inside->inits[i].name);
    free(inside->inits);
    free(inside->children);
    free(inside->variables);
    free(inside->listed);
    free(inside->name);
    free(inside);
    free(l);
}

nd_layer *nd_layer_share(nd_layer *l)
{
    if (l)
        l->inside->references++;
    return l;
}

/* The first thing that went wrong stays. */
static void spoil(nd_layer *l, nd_status status)
{
    if (l->inside->status == ND_OK)
        l->inside->status = status;
}

void *nd__layer_grow(void *items, int count, size_t size)
{
    return count < INT_MAX && (size_t)count < SIZE_MAX / size - 1 ? realloc(items, ((size_t)count + 1) * size) : NULL;
}

static char *copy_of(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = malloc(size);
    return copy ? memcpy(copy, text, size) : NULL;
}

nd_layer *nd_layer_named(nd_layer *l, const char *name)
{
    if (!l)
        return NULL;
    bool good = name && *name;
    for (const char *c = name; good && *c; c++)
        good = isalnum((unsigned char)*c) || strchr("_-.", *c);
    char *copy = good ? copy_of(name) : NULL;
    if (!copy) {
        spoil(l, good ? ND_ERR_MEMORY : ND_ERR_ARGUMENT);
        return l;
    }
    free(l->inside->name);
    l->inside->name = copy;
    return l;
}

nd_layer *nd_layer_child(nd_layer *parent, nd_layer *child)
{
    if (!parent || !child) {
        if (parent)
            spoil(parent, ND_ERR_MEMORY);
        nd_layer_destroy(child);
        return NULL;
    }
    struct nd__layer *in = parent->inside, *of = child->inside;
    nd_layer **children = nd__layer_grow(in->children, in->child_count, sizeof(nd_layer *));
    if (!children) {
        spoil(parent, ND_ERR_MEMORY);
        nd_layer_destroy(child);
        return NULL;
    }
    in->children = children;
    of->frozen |= in->frozen;
    if (of->l1 == 0 && of->l2 == 0) {
        of->l1 = in->l1;
        of->l2 = in->l2;
    }
    if (!of->parent) {
        of->parent = parent;
        for (int i = 0; i < in->child_count; i++)
            of->number += in->children[i]->kind == child->kind && !in->children[i]->inside->name;
    }
    in->children[in->child_count++] = child;
    return child;
}

/* -- paths -------------------------------------------------------------------------------------------------------- */

const char *nd__layer_path(nd_module *m, const nd_layer *l)
{
    const struct nd__layer *in = l->inside;
    const char *name = in->name ? in->name : l->kind->name, *path;
    if (!in->name && in->number > 0)
        name = nd__arena_format(&m->arena, "%s_%d", name, in->number);
    path = name && in->parent ? nd__arena_format(&m->arena, "%s/%s", nd__layer_path(m, in->parent), name)
           : name             ? nd__arena_text(&m->arena, name, strlen(name))
                              : NULL;
    if (!path)
        nd__fail_memory(m);
    return path ? path : "";
}

nd_value *nd_layer_fail(nd_layer *l, const char *format, ...)
{
    nd_module *m = l ? l->module : NULL;
    if (!m || m->status != ND_OK)
        return m ? &m->poison : NULL;
    va_list args;
    va_start(args, format);
    const char *text = nd__arena_vformat(&m->arena, format, args);
    va_end(args);
    return nd__fail(m, ND_ERR_GRAPH, l->place, "layer \"%s\" (%s): %s", nd__layer_path(m, l), l->kind->name,
                    text ? text : "");
}

/* -- variables ---------------------------------------------------------------------------------------------------- */

static nd_value *make_variable(nd_layer *l, const char *name, nd_dtype dtype, nd_shape shape, nd_init init,
                               bool trained)
{
    nd_module *m = l ? l->module : NULL;
    if (!m || m->status != ND_OK)
        return m ? &m->poison : NULL;
    struct nd__layer *in = l->inside;
    for (int i = 0; name && i < in->init_count; i++)
        if (strcmp(in->inits[i].name, name) == 0) {
            init = in->inits[i].init;
            in->inits[i].taken = true;
        }
    nd__layer_variable *variables = nd__layer_grow(in->variables, in->variable_count, sizeof *variables);
    const char *path = nd__arena_format(&m->arena, "%s/%s", in->path, name ? name : "");
    if (variables)
        in->variables = variables;
    if (!variables || !path)
        return nd__fail_memory(m);
    nd_value *v = nd_variable_at(l->place, m, path, dtype, shape, init);
    if (!nd_value_is_poison(v))
        variables[in->variable_count++] = (nd__layer_variable){.value = v, .trained = trained};
    return v;
}

nd_value *nd_layer_weight(nd_layer *l, const char *name, nd_shape shape, nd_init init)
{
    return make_variable(l, name, l ? l->dtype : ND_F32, shape, init, true);
}

nd_value *nd_layer_state(nd_layer *l, const char *name, nd_dtype dtype, nd_shape shape, nd_init init)
{
    return make_variable(l, name, dtype, shape, init, false);
}

void nd_layer_follow(nd_layer *l, nd_value *state, nd_value *value)
{
    if (!l || nd_value_is_poison(state) || nd_value_is_poison(value))
        return;
    for (int i = 0; i < l->inside->variable_count; i++)
        if (l->inside->variables[i].value == state) {
            l->inside->variables[i].next = value;
            return;
        }
    nd_layer_fail(l, "%s is no state of this layer", nd__show(state->node->module, state));
}

void nd_layer_update_at(nd_place place, nd_layer *l, nd_function *f)
{
    int count;
    nd_layer **all = nd__layer_walk(l, &count);
    if (!l || !f || !all)
        nd__fail(f   ? f->module
                 : l ? l->module
                     : NULL,
                 l && f ? ND_ERR_MEMORY : ND_ERR_ARGUMENT, place, "layer_update: the %s",
                 !l   ? "layer is NULL"
                 : !f ? "function is NULL"
                      : "memory ran out");
    for (int i = 0; all && f && i < count; i++)
        for (int k = 0; k < all[i]->inside->variable_count; k++) {
            nd__layer_variable *v = &all[i]->inside->variables[k];
            if (v->next)
                nd_assign_at(place, f, v->value, v->next);
            v->next = NULL;
        }
    free(all);
}

/* -- calling ------------------------------------------------------------------------------------------------------ */

/* An initialiser for a weight that the layer does not have. */
static void check_inits(nd_layer *l)
{
    const struct nd__layer *in = l->inside;
    nd_module *m = l->module;
    const char *names = "";
    for (int i = 0; i < in->variable_count && names; i++) {
        const char *path = in->variables[i].value->name, *name = strrchr(path, '/');
        names = nd__arena_format(&m->arena, "%s%s%s", names, i ? ", " : "", name ? name + 1 : path);
    }
    for (int i = 0; i < in->init_count; i++)
        if (!in->inits[i].taken)
            nd_layer_fail(l, "there is no weight \"%s\" to initialise; it has %s", in->inits[i].name,
                          names && *names ? names : "none");
}

static void build(nd_layer *l, const nd_value *x)
{
    struct nd__layer *in = l->inside;
    l->module = x->node->module;
    l->dtype = nd_dtype_is_float(x->dtype) ? x->dtype : ND_F32;
    in->input = x->shape;
    in->path = nd__layer_path(l->module, l);
    if (x->shape.rank < l->kind->inner)
        nd_layer_fail(l, "the input %s is %s, expected rank %d or more", nd__show(l->module, x),
                      nd__show_type(l->module, x->dtype, &x->shape), l->kind->inner);
    else if (l->kind->build)
        l->kind->build(l, x->shape);
    if (l->module->status == ND_OK)
        check_inits(l);
}

/* Whether x goes with the input that the layer was built for. */
static bool goes_with(nd_layer *l, const nd_value *x)
{
    const nd_shape *want = &l->inside->input;
    int inner = l->kind->inner;
    bool good = x->shape.rank >= inner;
    for (int i = 1; good && i <= inner; i++)
        good = x->shape.dims[x->shape.rank - i] == want->dims[want->rank - i];
    if (!good)
        nd_layer_fail(l, "the input %s is %s, the layer was built for %s", nd__show(l->module, x),
                      nd__show_type(l->module, x->dtype, &x->shape), nd__show_type(l->module, x->dtype, want));
    return good;
}

/* Whether the layer can be called with x, the first time built for it. */
static bool ready(nd_place place, nd_layer *l, const nd_value *x)
{
    nd_module *m = x->node->module;
    if (l->inside->status == ND_ERR_MEMORY)
        nd__fail_memory(m);
    else if (l->inside->status != ND_OK)
        nd__fail(m, l->inside->status, place, "layer (%s): a name has letters, digits, _, - and . only", l->kind->name);
    else if (l->module && l->module != m)
        nd__fail(m, ND_ERR_GRAPH, place, "layer \"%s\" (%s): its weights belong to another module, \"%s\"",
                 l->inside->path, l->kind->name, l->module->name);
    else if (l->module)
        goes_with(l, x);
    else
        build(l, x);
    return m->status == ND_OK;
}

nd_value *nd_layer_call_at(nd_place place, nd_layer *l, nd_value *x, const nd_call_options *options)
{
    static const nd_call_options none = {0};
    bool poisoned;
    nd_module *m = nd__common_module(place, "layer_call", 1, &x, &poisoned);
    if (!m)
        return NULL;
    if (!l)
        nd__fail(m, ND_ERR_ARGUMENT, place, "layer_call: the layer is NULL");
    if (m->status != ND_OK)
        return &m->poison;
    nd_place before = l->place;
    int first = m->node_count;
    l->place = place;
    nd_value *y = ready(place, l, x) ? l->kind->call(l, x, options ? options : &none) : &m->poison;
    if (!y && m->status == ND_OK)
        nd_layer_fail(l, "its call gave NULL");
    if (m->status == ND_OK) {
        l->inside->dtype = y->dtype;
        l->inside->output = y->shape;
        if (!nd__layer_flops(y, first, &l->inside->flops))
            nd__fail_memory(m);
    }
    l->place = before;
    return m->status == ND_OK ? y : &m->poison;
}
