/* The value of a constant graph at once: a copy of what leads to it, with its dimensions bound, is interpreted. */
#include "compiler/interp/definitions.h"
#include "runtime/control_word.h"
#include "runtime/tensor.h"

#include <stdlib.h>

static void mark(bool *live, const nd_value *v)
{
    live[v->node->number] = true;
}

/* Marks the nodes that the value needs, with `bodies` also those inside what they run. The last input or variable among
 * them, or NULL. */
static const nd_value *mark_needed(const nd_value *value, bool *live, bool bodies)
{
    const nd_module *m = value->node->module;
    const nd_value *given = NULL;
    mark(live, value);
    for (int i = value->node->number; i >= 0; i--) {
        const nd__node *n = m->nodes[i];
        if (!live[i])
            continue;
        for (int k = 0; k < n->input_count; k++)
            mark(live, n->inputs[k]);
        for (int k = 0; k < n->attr_count && bodies; k++) {
            const nd_function *f = n->attrs[k].function;
            for (int j = 0; f && j < f->input_count; j++)
                mark(live, f->inputs[j]);
            for (int j = 0; f && j < f->output_count; j++)
                mark(live, f->outputs[j]);
        }
        if (!given && (n->op == ND__OP_input || n->op == ND__OP_variable))
            given = &n->results[0];
    }
    return given;
}

/* A module with the function "value", which gives it; NULL when memory runs out. */
static nd_module *isolate(const nd_value *value, const bool *live)
{
    nd_module *m = value->node->module;
    nd__copier c;
    int64_t *bound = malloc(((size_t)m->dim_count + 1) * sizeof *bound);
    for (int i = 0; i < m->dim_count && bound; i++)
        bound[i] = m->dims[i].value;
    if (!bound || !nd__copy_begin(&c, m, bound)) {
        free(bound);
        return NULL;
    }
    for (int i = 0; i <= value->node->number; i++)
        if (live[i])
            nd__copy_node(&c, m->nodes[i]);
    nd_value *copy = nd__copied(&c, value);
    nd__function(c.to, "", "value", 0, NULL, 1, &copy);
    free(bound);
    return c.to;
}

static nd_tensor *run(nd_module *m)
{
    if (nd_module_status(m) != ND_OK)
        return nd__tensor_failed(nd_module_status(m), "%s", nd_module_error(m));
    const nd_function *f = m->functions[m->function_count - 1];
    nd_tensor *result = nd_tensor_zeros(f->outputs[0]->dtype, f->outputs[0]->shape);
    if (nd_tensor_status(result) != ND_OK)
        return result;
    void *out = nd_tensor_data(result);
    const nd__control before = nd__control_read();
    if (!nd__control_fits(before))
        nd__control_write(nd__control_default(before));
    nd_status status = nd__interpret(f, NULL, &out, NULL, NULL);
    if (!nd__control_fits(before))
        nd__control_write(before);
    if (status == ND_OK)
        return result;
    nd_tensor_destroy(result);
    return nd__tensor_failed(status, "%s", nd_status_text(status));
}

nd_tensor *nd_evaluate(nd_value *value)
{
    nd_module *m = nd_value_module(value);
    if (!m)
        return nd__tensor_failed(ND_ERR_ARGUMENT, "nd_evaluate: the value is NULL");
    if (m->status != ND_OK || nd_value_is_poison(value))
        return nd__tensor_failed(m->status, "%s", nd_module_error(m));
    if (value->weak)
        return nd_tensor_full(value->integral ? ND_I32 : ND_F32, ND_SCALAR, value->number);
    bool *live = calloc((size_t)m->node_count, sizeof *live);
    if (!live)
        return nd__tensor_failed(ND_ERR_MEMORY, "%s", nd_status_text(ND_ERR_MEMORY));
    const nd_value *given = mark_needed(value, live, false);
    nd_tensor *result;
    if (given) {
        result = nd__tensor_failed(ND_ERR_GRAPH, "nd_evaluate: the value depends on the %s \"%s\"; compile a function",
                                   given->node->op == ND__OP_input ? "input" : "variable", given->name);
    } else {
        mark_needed(value, live, true);
        nd_module *isolated = isolate(value, live);
        result = run(isolated);
        nd_module_destroy(isolated);
    }
    free(live);
    return result;
}

nd_status nd_print(nd_value *value, FILE *out)
{
    nd_tensor *tensor = nd_evaluate(value);
    nd_status status = nd_tensor_status(tensor);
    if (status == ND_OK)
        status = nd_tensor_print(tensor, out);
    else if (out)
        fprintf(out, "(%s)\n", nd_tensor_error(tensor));
    nd_tensor_destroy(tensor);
    return status;
}
