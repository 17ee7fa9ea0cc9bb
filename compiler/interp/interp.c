/* Running functions: node after node, each result in memory of its own, which goes after its last use. */
#include "compiler/interp/definitions.h"

#include <stdlib.h>
#include <string.h>

static nd_status (*const definitions[ND__OPS])(const nd__node *, const void *const *, void *const *) = {
#define OP(name, ...) nd__interpret_##name,
#include "compiler/graph/ops.def"
#undef OP
};

nd_status nd__interpret_node(const nd__node *node, const void *const *in, void *const *out)
{
    return node->op < ND__OPS ? definitions[node->op](node, in, out) : ND_ERR_INTERNAL;
}

/* Inputs and variables are memory that nd__routine_run is given. */
nd_status nd__interpret_input(const nd__node *node, const void *const *in, void *const *out)
{
    (void)node, (void)in, (void)out;
    return ND_ERR_INTERNAL;
}

nd_status nd__interpret_variable(const nd__node *node, const void *const *in, void *const *out)
{
    return nd__interpret_input(node, in, out);
}

static bool is_given(const nd__node *node)
{
    return node->op == ND__OP_input || node->op == ND__OP_variable;
}

size_t nd__value_bytes(const nd_value *v)
{
    size_t bytes = nd_dtype_size(v->dtype);
    bool too_large = false;
    for (int i = 0; i < v->shape.rank; i++) {
        if (v->shape.dims[i] == 0)
            return 0;
        too_large |= __builtin_mul_overflow(bytes, v->shape.dims[i], &bytes);
    }
    return too_large ? SIZE_MAX : bytes;
}

void *nd__value_allocate(const nd_value *v)
{
    size_t bytes = nd__value_bytes(v);
    return malloc(bytes > 0 ? bytes : 1);
}

static void copy_value(const nd_value *v, void *to, const void *from)
{
    size_t bytes = nd__value_bytes(v);
    if (bytes > 0)
        memcpy(to, from, bytes);
}

/* -- routines ------------------------------------------------------------------------------------------------------ */

int nd__routine_slot(const nd__routine *r, const nd_value *v)
{
    return r->first_slot[v->node->number] + v->index;
}

bool nd__routine_prepare(nd__routine *r, const nd_function *f)
{
    const nd_module *m = f->module;
    *r = (nd__routine){.function = f};
    r->first_slot = malloc(((size_t)m->node_count + 1) * sizeof *r->first_slot);
    if (!r->first_slot)
        return false;
    for (int i = 0; i < m->node_count; i++)
        r->first_slot[i] = -1;

    /* What is needed, from the end; marked with 0. */
    for (int i = 0; i < f->output_count; i++)
        r->first_slot[f->outputs[i]->node->number] = 0;
    for (int i = 0; i < f->update_count; i++)
        r->first_slot[f->updates[i].value->node->number] = 0;
    for (int i = m->node_count - 1; i >= 0; i--)
        for (int k = 0; r->first_slot[i] >= 0 && k < m->nodes[i]->input_count; k++)
            r->first_slot[m->nodes[i]->inputs[k]->node->number] = 0;

    for (int i = 0; i < m->node_count; i++)
        if (r->first_slot[i] >= 0) {
            r->first_slot[i] = r->slot_count;
            r->slot_count += m->nodes[i]->result_count;
            r->node_count++;
        }
    r->nodes = malloc(((size_t)r->node_count + 1) * sizeof *r->nodes);
    r->last_use = malloc(((size_t)r->slot_count + 1) * sizeof *r->last_use);
    if (!r->nodes || !r->last_use) {
        nd__routine_release(r);
        return false;
    }
    for (int i = 0, n = 0; i < m->node_count; i++) {
        const nd__node *node = m->nodes[i];
        if (r->first_slot[i] < 0)
            continue;
        for (int k = 0; k < node->result_count; k++)
            r->last_use[r->first_slot[i] + k] = n;
        for (int k = 0; k < node->input_count; k++)
            r->last_use[nd__routine_slot(r, node->inputs[k])] = n;
        r->nodes[n++] = node;
    }
    for (int i = 0; i < f->output_count; i++)
        r->last_use[nd__routine_slot(r, f->outputs[i])] = r->node_count;
    for (int i = 0; i < f->update_count; i++)
        r->last_use[nd__routine_slot(r, f->updates[i].value)] = r->node_count;
    return true;
}

void nd__routine_release(nd__routine *r)
{
    free(r->nodes);
    free(r->first_slot);
    free(r->last_use);
    *r = (nd__routine){0};
}

/* Lets the value's memory go if node number n was the last to read it. */
static void drop(const nd__routine *r, void **memory, const nd_value *v, int n)
{
    int slot = nd__routine_slot(r, v);
    if (r->last_use[slot] != n || is_given(v->node))
        return;
    free(memory[slot]);
    memory[slot] = NULL;
}

nd_status nd__routine_node(const nd__routine *r, int n, void **memory, void *const *variables)
{
    const nd__node *node = r->nodes[n];
    const int first = r->first_slot[node->number];
    if (node->op == ND__OP_variable && variables)
        memory[first] = variables[nd__get(node, ND__A_variable)->variable->number];
    if (is_given(node))
        return memory[first] ? ND_OK : ND_ERR_INTERNAL;

    enum { FEW = 8 };
    const void *few[FEW], **in = few;
    if (node->input_count > FEW && !(in = malloc((size_t)node->input_count * sizeof *in)))
        return ND_ERR_MEMORY;
    for (int k = 0; k < node->input_count; k++)
        in[k] = memory[nd__routine_slot(r, node->inputs[k])];
    nd_status status = ND_OK;
    for (int k = 0; k < node->result_count && status == ND_OK; k++)
        if (!(memory[first + k] = nd__value_allocate(&node->results[k])))
            status = ND_ERR_MEMORY;
    if (status == ND_OK)
        status = nd__interpret_node(node, in, memory + first);
    if (in != few)
        free(in);
    for (int k = 0; k < node->input_count; k++)
        drop(r, memory, node->inputs[k], n);
    for (int k = 0; k < node->result_count; k++)
        drop(r, memory, &node->results[k], n);
    return status;
}

void nd__routine_inputs(const nd__routine *r, const void *const *in, void **memory)
{
    const nd_function *f = r->function;
    for (int i = 0; i < f->input_count; i++)
        if (r->first_slot[f->inputs[i]->node->number] >= 0)
            memcpy(&memory[nd__routine_slot(r, f->inputs[i])], &in[i],
                   sizeof in[i]); /* read only: no definition writes to an operand */
}

void nd__routine_forget(const nd__routine *r, void **memory)
{
    for (int n = 0; n < r->node_count; n++)
        for (int k = 0; k < r->nodes[n]->result_count && !is_given(r->nodes[n]); k++)
            free(memory[r->first_slot[r->nodes[n]->number] + k]);
}

/* Updates that are inputs or variables as they are: these may lie where another update goes, so they are copied first.
 */
static nd_status keep_old_values(const nd_function *f, const nd__routine *r, void *const *memory, void **kept)
{
    for (int i = 0; i < f->update_count; i++) {
        const nd_value *v = f->updates[i].value;
        if (!is_given(v->node))
            continue;
        if (!(kept[i] = nd__value_allocate(v)))
            return ND_ERR_MEMORY;
        copy_value(v, kept[i], memory[nd__routine_slot(r, v)]);
    }
    return ND_OK;
}

nd_status nd__routine_run(const nd__routine *r, const void *const *in, void *const *out, void *const *variables,
                          void *const *updated)
{
    const nd_function *f = r->function;
    void **memory = calloc((size_t)r->slot_count + (size_t)f->update_count + 1, sizeof *memory);
    if (!memory)
        return ND_ERR_MEMORY;
    void **kept = memory + r->slot_count;
    nd__routine_inputs(r, in, memory);
    nd_status status = ND_OK;
    for (int n = 0; n < r->node_count && status == ND_OK; n++)
        status = nd__routine_node(r, n, memory, variables);
    if (status == ND_OK)
        status = keep_old_values(f, r, memory, kept);
    if (status == ND_OK) {
        for (int i = 0; i < f->output_count; i++)
            copy_value(f->outputs[i], out[i], memory[nd__routine_slot(r, f->outputs[i])]);
        for (int i = 0; i < f->update_count; i++) {
            const nd_value *v = f->updates[i].value;
            copy_value(v, updated[f->updates[i].variable->number], kept[i] ? kept[i] : memory[nd__routine_slot(r, v)]);
        }
    }
    nd__routine_forget(r, memory);
    for (int i = 0; i < f->update_count; i++)
        free(kept[i]);
    free(memory);
    return status;
}

nd_status nd__interpret(const nd_function *f, const void *const *in, void *const *out, void *const *variables,
                        void *const *updated)
{
    nd__routine r;
    if (!nd__routine_prepare(&r, f))
        return ND_ERR_MEMORY;
    nd_status status = nd__routine_run(&r, in, out, variables, updated);
    nd__routine_release(&r);
    return status;
}

/* -- control flow -------------------------------------------------------------------------------------------------- */

nd_status nd__interpret_apply(const nd__node *node, const void *const *in, void *const *out)
{
    return nd__interpret(nd__get(node, ND__A_body)->function, in, out, NULL, NULL);
}

/* Only the branch that is taken runs; operand 0 is the condition. */
nd_status nd__interpret_cond(const nd__node *node, const void *const *in, void *const *out)
{
    const bool condition = *(const uint8_t *)in[0];
    return nd__interpret(nd__get(node, condition ? ND__A_body : ND__A_other)->function, in + 1, out, NULL, NULL);
}

/* (carry.., x.., captured..) -> (last carry.., y..): length times (carry.., y[t]..) = body(carry.., x[t].., captured..)
 */
nd_status nd__interpret_scan(const nd__node *node, const void *const *in, void *const *out)
{
    const nd_function *body = nd__get(node, ND__A_body)->function;
    const int64_t length = nd__get_int(node, ND__A_length);
    const int carries = (int)nd__get_int(node, ND__A_carries), slices = (int)nd__get_int(node, ND__A_slices);
    const bool reverse = nd__get_int(node, ND__A_reverse);
    const size_t pointers = (size_t)body->input_count + (size_t)body->output_count + (size_t)carries + 1;
    nd__routine r;
    if (!nd__routine_prepare(&r, body))
        return ND_ERR_MEMORY;
    nd_status status = ND_OK;
    void **all = calloc(pointers, sizeof *all), **to = all, **other = all ? all + body->output_count : NULL;
    const void **from = (const void **)calloc((size_t)body->input_count + 1, sizeof *from);
    if (!all || !from)
        status = ND_ERR_MEMORY;
    /* What is carried alternates between the result's memory and another, so that it ends in the result's. */
    for (int i = 0; i < carries && status == ND_OK; i++)
        if (!(other[i] = nd__value_allocate(body->outputs[i])))
            status = ND_ERR_MEMORY;
    for (int i = 0; i < body->input_count && status == ND_OK; i++)
        from[i] = in[i];
    for (int64_t step = 0; step < length && status == ND_OK; step++) {
        const size_t t = (size_t)(reverse ? length - 1 - step : step);
        for (int i = carries; i < carries + slices; i++)
            from[i] = (const unsigned char *)in[i] + t * nd__value_bytes(body->inputs[i]);
        for (int i = 0; i < body->output_count; i++)
            to[i] = i >= carries               ? (unsigned char *)out[i] + t * nd__value_bytes(body->outputs[i])
                    : (length - step) % 2 != 0 ? out[i]
                                               : other[i];
        status = nd__routine_run(&r, from, to, NULL, NULL);
        for (int i = 0; i < carries; i++)
            from[i] = to[i];
    }
    for (int i = 0; i < carries && length == 0 && status == ND_OK; i++)
        copy_value(body->outputs[i], out[i], in[i]);
    for (int i = 0; i < carries && all; i++)
        free(other[i]);
    free(all);
    free(from);
    nd__routine_release(&r);
    return status;
}
