/* Which ops lie on the way from a value to the targets of a gradient, and whether all of them have one.
 *
 * The way leads from each value to the operands through which a gradient can flow (nd__gradient_flows), as far as they
 * depend on a target, and through the bodies of apply, cond and scan. It passes integers too: there it ends at an op
 * that has no gradient (argmax, a cast to integers), and that is what the user has to hear about, all of them at once.
 */
#include "compiler/autodiff/autodiff.h"

#include <string.h>

typedef struct search {
    nd_module *m;
    nd__arena scratch;
    bool *listed; /* by node */
    int count;
    bool ran_out;
} search;

static bool trace(search *s, int from_count, nd_value *const *from, int to_count, nd_value *const *to, bool *arrives);

static void *scratch(search *s, int count, size_t size)
{
    void *p = nd__arena_alloc(&s->scratch, (size_t)count, size);
    s->ran_out |= !p;
    return p;
}

/* A cast from a float to an integer has no gradient either; what leads from integers to integers does not matter. */
static bool has_none(const nd__node *n)
{
    return nd__gradient_rules[n->op]->build == nd__gradient_none ||
           (n->op == ND__OP_cast && nd_dtype_is_float(n->inputs[0]->dtype) && nd_dtype_is_integer(n->results[0].dtype));
}

/* Through a body: wanted[] by output, active[] by input; arrives[] by input is filled in. */
static bool trace_body(search *s, const nd_function *f, const bool *wanted, const bool *active, bool *arrives)
{
    nd_value **from = scratch(s, f->output_count, sizeof *from), **to = scratch(s, f->input_count, sizeof *to);
    bool *hit = scratch(s, f->input_count, sizeof *hit);
    int from_count = 0, to_count = 0;
    if (s->ran_out)
        return false;
    for (int i = 0; i < f->output_count; i++)
        if (wanted[i])
            from[from_count++] = f->outputs[i];
    for (int i = 0; i < f->input_count; i++)
        if (active[i])
            to[to_count++] = f->inputs[i];
    if (!trace(s, from_count, from, to_count, to, hit))
        return false;
    for (int i = 0, k = 0; i < f->input_count; i++)
        if (active[i])
            arrives[i] |= hit[k++];
    return true;
}

bool nd__spread_activity(const nd__node *scan, bool *active, nd__arena *arena)
{
    const nd_function *f = nd__get(scan, ND__A_body)->function;
    int carries = (int)nd__get_int(scan, ND__A_carries), nodes = scan->number;
    bool *depends = nd__arena_alloc(arena, (size_t)nodes, sizeof *depends), more = true;
    nd_value **on = nd__arena_alloc(arena, (size_t)f->input_count, sizeof *on);
    if (!depends || !on)
        return false;
    while (more) {
        int n = 0;
        more = false;
        for (int i = 0; i < f->input_count; i++)
            if (active[i])
                on[n++] = f->inputs[i];
        nd__mark_dependent(scan->module, nodes, n, on, depends);
        for (int i = 0; i < carries; i++)
            if (!active[i] && depends[f->outputs[i]->node->number])
                more = active[i] = true;
    }
    return true;
}

/* Through a node that runs functions: wanted[] by result; arrives[] by operand is filled in. */
static bool trace_control(search *s, const nd__node *n, const bool *wanted, const bool *depends, bool *arrives)
{
    int first = n->op == ND__OP_cond ? 1 : 0;
    bool *active = scratch(s, n->input_count, sizeof *active), *outputs = scratch(s, n->result_count, sizeof *outputs);
    if (s->ran_out)
        return false;
    for (int i = first; i < n->input_count; i++)
        active[i] = depends[n->inputs[i]->node->number];
    memcpy(outputs, wanted, (size_t)n->result_count * sizeof *outputs);
    if (n->op == ND__OP_cond)
        return trace_body(s, nd__get(n, ND__A_body)->function, outputs, active + 1, arrives + 1) &&
               trace_body(s, nd__get(n, ND__A_other)->function, outputs, active + 1, arrives + 1);
    if (n->op == ND__OP_apply)
        return trace_body(s, nd__get(n, ND__A_body)->function, outputs, active, arrives);
    if (!nd__spread_activity(n, active, &s->scratch)) {
        s->ran_out = true;
        return false;
    }
    /* What arrives at a carry goes on to the turn before. */
    for (bool more = true; more;) {
        more = false;
        if (!trace_body(s, nd__get(n, ND__A_body)->function, outputs, active, arrives))
            return false;
        for (int i = 0; i < (int)nd__get_int(n, ND__A_carries); i++)
            if (arrives[i] && !outputs[i])
                more = outputs[i] = true;
    }
    return true;
}

static bool trace(search *s, int from_count, nd_value *const *from, int to_count, nd_value *const *to, bool *arrives)
{
    int nodes = 0;
    for (int i = 0; i < from_count; i++)
        if (from[i]->node->number >= nodes)
            nodes = from[i]->node->number + 1;
    nd__numbers numbers;
    bool *depends = scratch(s, nodes, sizeof *depends);
    if (s->ran_out || !nd__number_values(&numbers, s->m, nodes, &s->scratch)) {
        s->ran_out = true;
        return false;
    }
    bool *wanted = scratch(s, numbers.values, sizeof *wanted);
    if (s->ran_out)
        return false;
    nd__mark_dependent(s->m, nodes, to_count, to, depends);
    for (int i = 0; i < from_count; i++)
        wanted[nd__number(&numbers, from[i])] = true;
    for (int i = nodes - 1; i >= 0; i--) {
        const nd__node *n = s->m->nodes[i];
        bool *results = wanted + numbers.first[i], any = false;
        for (int k = 0; k < n->result_count; k++)
            any |= results[k];
        if (!any || !depends[i] || nd__gradient_rules[n->op]->build == nd__gradient_zero)
            continue;
        bool *reached = scratch(s, n->input_count, sizeof *reached);
        if (s->ran_out)
            return false;
        if (nd__ops[n->op].traits & ND__CONTROL) {
            if (!trace_control(s, n, results, depends, reached))
                return false;
        } else {
            for (int k = 0; k < n->input_count; k++)
                reached[k] = true;
        }
        bool flows = false;
        for (int k = 0; k < n->input_count; k++)
            if (reached[k] && depends[n->inputs[k]->node->number] && nd__gradient_flows(n, k))
                flows = wanted[nd__number(&numbers, n->inputs[k])] = true;
        if (flows && has_none(n) && !s->listed[i]) {
            s->listed[i] = true;
            s->count++;
        }
    }
    for (int i = 0; i < to_count; i++) {
        int number = nd__number(&numbers, to[i]);
        arrives[i] = number >= 0 && wanted[number];
    }
    return true;
}

static void refuse(search *s, nd_place place, const nd_value *from)
{
    nd_module *m = s->m;
    const nd__node *only = NULL;
    for (int i = 0; s->count == 1 && i < m->node_count; i++)
        if (s->listed[i])
            only = m->nodes[i];
    if (only)
        nd__fail(m, ND_ERR_GRAPH, place,
                 "gradient of %s: %s %s on the way has no gradient; nd_stop_gradient makes it a constant",
                 nd__show(m, from), nd__ops[only->op].name, nd__show(m, &only->results[0]));
    else
        nd__fail(m, ND_ERR_GRAPH, place,
                 "gradient of %s: %d nodes on the way have no gradient; nd_stop_gradient makes them constants",
                 nd__show(m, from), s->count);
    for (int i = 0; i < m->node_count; i++) {
        const nd__node *n = m->nodes[i];
        if (s->listed[i])
            nd__note(m, "%s %s, %s%s%s", nd__ops[n->op].name, nd__show(m, &n->results[0]),
                     nd__show_type(m, n->results[0].dtype, &n->results[0].shape), n->place[0] ? ", made at " : "",
                     n->place);
    }
}

bool nd__check_path(nd_place place, nd_value *from, size_t n, nd_value *const *to)
{
    search s = {.m = from->node->module};
    s.listed = scratch(&s, s.m->node_count, sizeof *s.listed);
    bool *arrives = scratch(&s, (int)n, sizeof *arrives);
    if (s.ran_out || !trace(&s, 1, &from, (int)n, to, arrives))
        nd__fail_memory(s.m);
    else if (s.count > 0)
        refuse(&s, place, from);
    nd__arena_release(&s.scratch);
    return s.m->status == ND_OK;
}
