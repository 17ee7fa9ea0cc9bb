/* The verifier: the invariants of graph.h, looked at again. Run after parsing, and in debug builds after every pass. */
#include "compiler/graph/graph.h"

#include <stdlib.h>
#include <string.h>

/* What a node runs was there before it, so no function runs itself. */
static const char *wrong_run(nd_module *m, const nd__node *n, const nd_function *f)
{
    bool before = f->module == m && f->number >= 0 && f->number < m->function_count && m->functions[f->number] == f;
    for (int i = 0; before && i < f->input_count; i++)
        before = f->inputs[i]->node->number < n->number;
    for (int i = 0; before && i < f->output_count; i++)
        before = f->outputs[i]->node->number < n->number;
    return before ? NULL
                  : nd__arena_format(&m->arena, "%%%d (%s): the function \"%s\" was not made before it", n->number,
                                     nd__ops[n->op].name, f->name);
}

static const char *wrong_node(nd_module *m, const nd__node *n)
{
    if (n->op >= ND__OPS || n->module != m)
        return nd__arena_format(&m->arena, "%%%d is no node of the module", n->number);
    for (int i = 0; i < n->input_count; i++)
        if (n->inputs[i]->node->module != m || n->inputs[i]->node->number >= n->number)
            return nd__arena_format(&m->arena, "%%%d (%s): operand %d was not made before it", n->number,
                                    nd__ops[n->op].name, i);
    for (int i = 0; i < n->attr_count; i++)
        if (n->attrs[i].key != nd__ops[n->op].attrs[i])
            return nd__arena_format(&m->arena, "%%%d (%s): attributes out of order", n->number, nd__ops[n->op].name);
    for (int i = 0; i < n->attr_count; i++) {
        const char *wrong = n->attrs[i].function ? wrong_run(m, n, n->attrs[i].function) : NULL;
        if (wrong)
            return wrong;
    }
    int result_count;
    nd__type one, *types = &one;
    if (!nd__infer(m, n->op, n->place, n->input_count, n->inputs, n->attrs, &result_count, &types))
        return m->error ? m->error : nd_status_text(m->status);
    bool same = result_count == n->result_count;
    for (int i = 0; same && i < result_count; i++)
        same = types[i].dtype == n->results[i].dtype && nd__shape_equal(&types[i].shape, &n->results[i].shape);
    return same ? NULL
                : nd__arena_format(&m->arena, "%%%d (%s): its results are not what the op gives", n->number,
                                   nd__ops[n->op].name);
}

/* Marks the variables that a function updates, by the nodes that read them. */
static const char *updated_twice(nd_module *m, const nd_function *f, bool *updated)
{
    memset(updated, 0, (size_t)m->node_count * sizeof *updated);
    for (int i = 0; i < f->update_count; i++) {
        const nd__variable *v = f->updates[i].variable;
        if (updated[v->read->node->number])
            return nd__arena_format(&m->arena, "function \"%s\": \"%s\" gets two values", f->name, v->name);
        updated[v->read->node->number] = true;
    }
    return NULL;
}

/* Marks what a function needs and finds inputs (and, in a body, variables) that are not among its inputs. */
static const char *wrong_function(nd_module *m, const nd_function *f, bool *need)
{
    const char *twice = updated_twice(m, f, need);
    if (twice)
        return twice;
    memset(need, 0, (size_t)m->node_count * sizeof *need);
    for (int i = 0; i < f->input_count; i++)
        if (f->inputs[i]->node->op != ND__OP_input || f->inputs[i]->node->module != m)
            return nd__arena_format(&m->arena, "function \"%s\": input %d is no input of the module", f->name, i);
    for (int i = 0; i < f->output_count; i++)
        need[f->outputs[i]->node->number] = true;
    for (int i = 0; i < f->update_count; i++)
        need[f->updates[i].value->node->number] = true;
    for (int i = m->node_count - 1; i >= 0; i--) {
        const nd__node *n = m->nodes[i];
        if (!need[i])
            continue;
        for (int k = 0; k < n->input_count; k++)
            need[n->inputs[k]->node->number] = true;
        bool given = n->op != ND__OP_input && (n->op != ND__OP_variable || !f->body);
        for (int k = 0; !given && k < f->input_count; k++)
            given = f->inputs[k]->node == n;
        if (given)
            continue;
        const char *name = nd__show(m, &n->results[0]);
        const char *note =
            n->place[0] ? nd__arena_format(&m->arena, "\n  note: %s was made at %s", name, n->place) : "";
        return nd__arena_format(&m->arena, "%s%sfunction \"%s\" needs the %s %s, which is not among its inputs%s",
                                f->place, f->place[0] ? ": " : "", f->name, nd__ops[n->op].name, name,
                                note ? note : "");
    }
    return NULL;
}

/* The initial values, as a function of the seed; variables have none there. */
static const char *wrong_initial_values(nd_module *m, bool *need)
{
    nd_function init = {.module = m,
                        .name = "init",
                        .place = "",
                        .number = -1,
                        .body = true,
                        .input_count = m->seed_input != NULL,
                        .inputs = &m->seed_input};
    init.outputs = calloc((size_t)m->variable_count + 1, sizeof *init.outputs);
    if (!init.outputs)
        return nd_status_text(ND_ERR_MEMORY);
    const char *wrong = NULL;
    for (int i = 0; i < m->variable_count && !wrong; i++) {
        const nd__variable *v = m->variables[i];
        if (v->initial && (v->initial->dtype != v->dtype || !nd__shape_equal(&v->initial->shape, &v->shape)))
            wrong = nd__arena_format(&m->arena, "the initial value of \"%s\" is not of its type", v->name);
        if (v->initial)
            init.outputs[init.output_count++] = v->initial;
    }
    if (!wrong)
        wrong = wrong_function(m, &init, need);
    free(init.outputs);
    return wrong;
}

static bool is_run(const nd_module *m, const nd_function *f, const bool *live)
{
    for (int k = 0; k < m->node_count; k++)
        for (int a = 0; a < m->nodes[k]->attr_count && live[k]; a++)
            if (m->nodes[k]->attrs[a].function == f)
                return true;
    return false;
}

const char *nd__verify_functions(nd_module *m)
{
    const char *wrong = NULL;
    bool *need = malloc(((size_t)m->node_count * 2 + 1) * sizeof *need), *live = NULL;
    if (!need)
        return nd_status_text(ND_ERR_MEMORY);
    for (int i = 0; i < m->function_count && !wrong; i++) {
        const nd_function *f = m->functions[i];
        if (f->body && !live)
            nd__mark_live(m, live = need + m->node_count);
        if (!f->body || is_run(m, f, live))
            wrong = wrong_function(m, f, need);
    }
    if (!wrong)
        wrong = wrong_initial_values(m, need);
    free(need);
    return wrong;
}

const char *nd__verify(nd_module *m)
{
    if (!m)
        return nd_status_text(ND_ERR_MEMORY);
    if (m->status != ND_OK)
        return nd_module_error(m);
    const char *wrong = NULL;
    for (int i = 0; i < m->node_count && !wrong; i++)
        wrong = m->nodes[i]->number == i ? wrong_node(m, m->nodes[i]) : "a node has another node's number";
    return wrong ? wrong : nd__verify_functions(m);
}
