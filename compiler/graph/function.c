/* Functions of a module, their updates, and the init function. */
#include "compiler/graph/graph.h"

#include <ctype.h>
#include <string.h>

/* nd_apply and its like fill the caller's array by it, also where the error was earlier. Ready-made up to a number that
 * no memory is needed for. */
nd_function *nd__lost_function(nd_module *m, size_t output_count)
{
    if (!m || output_count < ND__LOST)
        return m ? &m->lost[output_count] : NULL;
    nd_function *f = nd__arena_alloc(&m->arena, 1, sizeof *f);
    if (!f)
        return &m->lost[ND__LOST - 1];
    *f = m->lost[0];
    f->output_count = (int)output_count;
    return f;
}

nd_function *nd__function(nd_module *m, nd_place place, const char *name, int input_count, nd_value *const *inputs,
                          int output_count, nd_value *const *outputs)
{
    if (!m || m->status != ND_OK)
        return nd__lost_function(m, (size_t)output_count);
    nd_function *f = nd__arena_alloc(&m->arena, 1, sizeof *f);
    const char *copy = nd__arena_text(&m->arena, name, strlen(name)),
               *where = nd__arena_text(&m->arena, place ? place : "", place ? strlen(place) : 0);
    nd_value **in = nd__arena_alloc(&m->arena, (size_t)input_count, sizeof *in),
             **out = nd__arena_alloc(&m->arena, (size_t)output_count, sizeof *out);
    if (!f || !copy || !where || !in || !out ||
        !nd__arena_grow(&m->arena, &m->functions, &m->function_room, m->function_count + 1, sizeof(nd_function *))) {
        nd__fail_memory(m);
        return nd__lost_function(m, (size_t)output_count);
    }
    if (input_count > 0)
        memcpy(in, inputs, (size_t)input_count * sizeof *in);
    for (int i = 0; i < output_count; i++)
        out[i] = nd__settle(place, outputs[i]);
    if (m->status != ND_OK)
        return nd__lost_function(m, (size_t)output_count);
    *f = (nd_function){.module = m,
                       .name = copy,
                       .place = where,
                       .number = m->function_count,
                       .input_count = input_count,
                       .output_count = output_count,
                       .inputs = in,
                       .outputs = out};
    m->functions[m->function_count++] = f;
    return f;
}

static bool name_is_good(const char *name)
{
    bool good = name && (isalpha((unsigned char)name[0]) || name[0] == '_');
    for (const char *c = name; good && *c; c++)
        good = isalnum((unsigned char)*c) || *c == '_';
    return good;
}

/* Its own, whatever nd_name called the value since. */
static const char *input_name(const nd_value *v)
{
    return nd__get(v->node, ND__A_name)->text;
}

nd_function *nd_function_at(nd_place place, nd_module *m, const char *name, nd_values inputs, nd_values outputs)
{
    if (!m || m->status != ND_OK)
        return nd__lost_function(m, outputs.count);
    if (!name_is_good(name)) {
        nd__fail(m, ND_ERR_ARGUMENT, place, "function \"%s\": expected a letter or _, then letters, digits or _",
                 name ? name : "");
        return nd__lost_function(m, outputs.count);
    }
    const nd_function *other = nd_module_function(m, name);
    if (other || strcmp(name, "init") == 0) {
        nd__fail(m, ND_ERR_GRAPH, place,
                 other ? "function \"%s\": there is one of that name"
                       : "function \"%s\": the name is taken by what sets the variables",
                 name);
        if (other && other->place[0])
            nd__note(m, "it was made at %s", other->place);
        return nd__lost_function(m, outputs.count);
    }
    bool poisoned = false;
    for (int list = 0; list < 2; list++) {
        nd_values values = list ? outputs : inputs;
        nd_module *common = nd__common_module(place, "function", values.count, values.items, &poisoned);
        if (values.count > 0 && common != m && !poisoned)
            nd__fail(m, ND_ERR_GRAPH, place, "function \"%s\": %s of another module, or NULL", name,
                     list ? "outputs" : "inputs");
        if (m->status != ND_OK)
            return nd__lost_function(m, outputs.count);
    }
    for (size_t i = 0; i < inputs.count; i++) {
        const nd_value *v = inputs.items[i];
        if (v->node->op != ND__OP_input) {
            nd__fail(m, ND_ERR_GRAPH, place, "function \"%s\": input %zu, %s, was made by %s, not by nd_input", name, i,
                     nd__show(m, v), nd__ops[v->node->op].name);
            return nd__lost_function(m, outputs.count);
        }
        for (size_t k = 0; k < i; k++)
            if (inputs.items[k] == v || strcmp(input_name(inputs.items[k]), input_name(v)) == 0) {
                nd__fail(m, ND_ERR_GRAPH, place, "function \"%s\": two inputs are named \"%s\"", name, input_name(v));
                return nd__lost_function(m, outputs.count);
            }
    }
    return nd__function(m, place, name, (int)inputs.count, inputs.items, (int)outputs.count, outputs.items);
}

void nd__assign(nd_place place, nd_function *f, nd__variable *variable, nd_value *value)
{
    nd_module *m = f->module;
    const char *where = nd__arena_text(&m->arena, place, strlen(place));
    if (where && nd__arena_grow(&m->arena, &f->updates, &f->update_room, f->update_count + 1, sizeof *f->updates))
        f->updates[f->update_count++] = (nd__update){variable, value, where};
    else
        nd__fail_memory(m);
}

void nd_assign_at(nd_place place, nd_function *f, nd_value *variable, nd_value *value)
{
    nd_value *both[] = {variable, value};
    bool poisoned;
    nd_module *m = nd__common_module(place, "assign", 2, both, &poisoned);
    if (!f || !m) {
        nd__fail(f ? f->module : m, ND_ERR_ARGUMENT, place, "assign: the %s is NULL", f ? "variable" : "function");
        return;
    }
    if (poisoned || f->module->status != ND_OK)
        return;
    if (f->module != m) {
        nd__fail(m, ND_ERR_GRAPH, place, "assign: the function \"%s\" belongs to another module", f->name);
        nd__fail(f->module, ND_ERR_GRAPH, place, "assign: variable and value belong to another module, \"%s\"",
                 m->name);
        return;
    }
    if (variable->node->op != ND__OP_variable) {
        nd__fail(m, ND_ERR_GRAPH, place, "assign: %s was made by %s, it is no variable", nd__show(m, variable),
                 nd__ops[variable->node->op].name);
        return;
    }
    nd__variable *v = nd__get(variable->node, ND__A_variable)->variable;
    value = nd__strengthen(place, value, v->dtype);
    if (nd_value_is_poison(value))
        return;
    if (value->dtype != v->dtype || !nd__shape_equal(&value->shape, &v->shape)) {
        nd__fail(m, ND_ERR_GRAPH, place, "assign: variable \"%s\" is %s, the value %s is %s", v->name,
                 nd__show_type(m, v->dtype, &v->shape), nd__show(m, value),
                 nd__show_type(m, value->dtype, &value->shape));
        if (v->place[0])
            nd__note(m, "\"%s\" was declared at %s", v->name, v->place);
        return;
    }
    const nd__node *runner = f->runner;
    if (runner) {
        nd__fail(m, ND_ERR_GRAPH, place,
                 "assign: %s runs the function \"%s\"; only an entry point may assign variables",
                 nd__ops[runner->op].name, f->name);
        if (runner->place[0])
            nd__note(m, "that %s was made at %s", nd__ops[runner->op].name, runner->place);
        return;
    }
    for (int i = 0; i < f->update_count; i++)
        if (f->updates[i].variable == v) {
            nd__fail(m, ND_ERR_GRAPH, place, "assign: \"%s\" already gets a value in the function \"%s\"", v->name,
                     f->name);
            if (f->updates[i].place[0])
                nd__note(m, "the other assignment is at %s", f->updates[i].place);
            return;
        }
    nd__assign(place ? place : "", f, v, value);
}

nd_function *nd__init_function(nd_module *m)
{
    if (!m || m->status != ND_OK)
        return NULL;
    nd_function *init = nd_module_function(m, "init");
    if (init)
        return init;
    if (!m->seed_input)
        m->seed_input = nd_input_at("", m, "seed", ND_U32, ND_SHAPE(2));
    init = nd__function(m, "", "init", 1, &m->seed_input, 0, NULL);
    for (int i = 0; i < m->variable_count; i++)
        if (m->variables[i]->initial)
            nd_assign_at("", init, m->variables[i]->read, m->variables[i]->initial);
    return m->status == ND_OK ? init : NULL;
}
