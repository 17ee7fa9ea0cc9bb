/* Modules: creation, errors, and the texts that errors are made of. */
#include "compiler/graph/graph.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const nd__op_info nd__ops[ND__OPS] = {
#define OP(op, ...) [ND__OP_##op] = {.name = #op, __VA_ARGS__},
#include "compiler/graph/ops.def"
#undef OP
};

const char *const nd__attr_names[ND__ATTRS] = {
    "none",
#define ATTR(name, kind) #name,
#include "compiler/graph/attrs.def"
#undef ATTR
};

const nd__attr_kind nd__attr_kinds[ND__ATTRS] = {
    ND__KIND_FLAG,
#define ATTR(name, kind) ND__KIND_##kind,
#include "compiler/graph/attrs.def"
#undef ATTR
};

bool nd__module_name_is_good(const char *name)
{
    if (!name || !isalpha((unsigned char)name[0]))
        return false;
    for (const char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '_' && *c != '-')
            return false;
    return true;
}

nd_module *nd_module_create(const char *name)
{
    nd_module *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    m->seed = 1;
    m->poison_node = (nd__node){
        .op = ND__OP_poison, .number = -1, .module = m, .place = "", .result_count = 1, .results = &m->poison};
    m->poison = (nd_value){.node = &m->poison_node, .dtype = ND_F32, .name = ""};
    for (int i = 0; i < ND__LOST; i++)
        m->lost[i] = (nd_function){.module = m, .name = "", .place = "", .number = -1, .output_count = i};
    m->name = nd__arena_text(&m->arena, name ? name : "", name ? strlen(name) : 0);
    if (!m->name) {
        nd_module_destroy(m);
        return NULL;
    }
    if (!nd__module_name_is_good(name))
        nd__fail(m, ND_ERR_ARGUMENT, "", "module name \"%s\": expected a letter, then letters, digits, _ or -",
                 m->name);
    return m;
}

void nd_module_destroy(nd_module *m)
{
    if (!m)
        return;
    nd__arena_release(&m->arena);
    free(m);
}

const char *nd_module_name(const nd_module *m)
{
    return m ? m->name : "";
}

nd_status nd_module_status(const nd_module *m)
{
    return m ? m->status : ND_ERR_MEMORY;
}

const char *nd_module_error(const nd_module *m)
{
    if (!m)
        return nd_status_text(ND_ERR_MEMORY);
    return m->status == ND_OK ? "" : m->error ? m->error : nd_status_text(m->status);
}

void nd_module_set_seed(nd_module *m, uint64_t seed)
{
    if (m)
        m->seed = seed;
}

nd_function *nd_module_function(const nd_module *m, const char *name)
{
    for (int i = 0; m && name && i < m->function_count; i++)
        if (strcmp(m->functions[i]->name, name) == 0)
            return m->functions[i];
    return NULL;
}

nd_value *nd__fail(nd_module *m, nd_status status, nd_place place, const char *format, ...)
{
    if (!m)
        return NULL;
    if (m->status != ND_OK)
        return &m->poison;
    m->status = status;
    va_list args;
    va_start(args, format);
    const char *text = nd__arena_vformat(&m->arena, format, args);
    va_end(args);
    if (text)
        m->error = nd__arena_format(&m->arena, "%s%s%s", place ? place : "", place && *place ? ": " : "", text);
    return &m->poison;
}

void nd__note(nd_module *m, const char *format, ...)
{
    if (!m || !m->error)
        return;
    va_list args;
    va_start(args, format);
    const char *text = nd__arena_vformat(&m->arena, format, args);
    va_end(args);
    char *longer = text ? nd__arena_format(&m->arena, "%s\n  note: %s", m->error, text) : NULL;
    if (longer)
        m->error = longer;
}

void nd__note_operands(nd_module *m, nd_place place, int n, nd_value *const *values)
{
    for (int i = 0; i < n; i++) {
        const nd_value *v = values[i];
        while (v->node->op == ND__OP_broadcast && place && strcmp(v->node->place, place) == 0)
            v = v->node->inputs[0]; /* the call's own, of what its caller gave */
        const char *name = nd__show(m, v), *type = nd__show_type(m, v->dtype, &v->shape),
                   *op = nd__ops[v->node->op].name;
        if (v->node->place[0])
            nd__note(m, "operand %d, %s %s, is the %s made at %s", i, name, type, op, v->node->place);
        else
            nd__note(m, "operand %d is %s %s, made by %s", i, name, type, op);
    }
}

nd_value *nd__fail_memory(nd_module *m)
{
    if (!m)
        return NULL;
    if (m->status == ND_OK)
        m->status = ND_ERR_MEMORY;
    return &m->poison;
}

const char *nd__show_size(nd_module *m, int64_t size)
{
    char *text;
    if (!nd__size_is_named(size) || !nd__size_is_known(m, size)) {
        text = nd__arena_format(&m->arena, "%lld", (long long)size);
        return text ? text : "";
    }
    const nd__symbol *s = nd__size_symbol(m, size);
    text =
        s->factor == 1 ? nd__arena_text(&m->arena, "", 0) : nd__arena_format(&m->arena, "%lld*", (long long)s->factor);
    for (int i = 0; text && i < s->count; i++)
        text = nd__arena_format(&m->arena, "%s%s%s", text, i ? "*" : "", m->dims[s->dims[i]].name);
    if (text)
        text = nd__arena_format(&m->arena, "%s=%lld", text, (long long)nd_dim_value(m, size));
    return text ? text : "";
}

const char *nd__show_type(nd_module *m, nd_dtype dtype, const nd_shape *shape)
{
    if (shape->rank == 0)
        return nd_dtype_name(dtype);
    char *text = nd__arena_format(&m->arena, "%s[", nd_dtype_name(dtype));
    for (int i = 0; text && i < shape->rank && i < ND_MAX_RANK; i++)
        text = nd__arena_format(&m->arena, "%s%s%s", text, i ? "," : "", nd__show_size(m, shape->dims[i]));
    if (text)
        text = nd__arena_format(&m->arena, "%s]", text);
    return text ? text : "";
}

const char *nd__show(nd_module *m, const nd_value *v)
{
    char *text;
    if (v->name && *v->name)
        text = nd__arena_format(&m->arena, "\"%s\"", v->name);
    else if (v->index > 0)
        text = nd__arena_format(&m->arena, "%%%d.%d", v->node->number, v->index);
    else
        text = nd__arena_format(&m->arena, "%%%d", v->node->number);
    return text ? text : "";
}

/* -- looking at values -------------------------------------------------------------------------------------------- */

nd_value *nd_name(nd_value *v, const char *name)
{
    if (!v || nd_value_is_poison(v))
        return v;
    nd_module *m = v->node->module;
    if (!name)
        return nd__fail(m, ND_ERR_ARGUMENT, v->node->place, "nd_name: the name is NULL");
    for (const char *c = name; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == '"' || *c == '\\')
            return nd__fail(m, ND_ERR_ARGUMENT, v->node->place,
                            "nd_name: a name has no quotes, backslashes or control characters");
    const char *copy = nd__arena_text(&m->arena, name, strlen(name));
    if (!copy)
        return nd__fail_memory(m);
    v->name = copy;
    return v;
}

const char *nd_value_name(const nd_value *v)
{
    return v ? v->name : "";
}

nd_dtype nd_value_dtype(const nd_value *v)
{
    return v ? v->dtype : ND_F32;
}

nd_shape nd_value_shape(const nd_value *v)
{
    return v ? v->shape : ND_SCALAR;
}

nd_module *nd_value_module(const nd_value *v)
{
    return v ? v->node->module : NULL;
}

bool nd_value_is_poison(const nd_value *v)
{
    return !v || v->node->op == ND__OP_poison;
}
