/* The reverse walk: from the last node to the first, each once, when all its consumers have sent what they send.
 *
 * The order of additions is part of the contract: contributions to a value are added in the order in which their
 * consumers were created, for one consumer in the order of its operands. */
#include "compiler/autodiff/autodiff.h"

#include <limits.h>
#include <string.h>

const nd__gradient_rule *const nd__gradient_rules[ND__OPS] = {
#define OP(name, ...) [ND__OP_##name] = &nd__gradient_of_##name,
#include "compiler/graph/ops.def"
#undef OP
};

struct nd__pull {
    nd_module *m;
    nd__pullback *job;
    nd__numbers numbers;
    int first_new;    /* nodes from here on are the gradient's */
    bool *reaches;    /* by node: depends on a target */
    bool *holds;      /* by node: a result of it is a target */
    int *uses;        /* by value: by how many operands of nodes that `from` needs */
    nd__term **terms; /* by value */
};

void nd__gradient_none(nd__rule_call *s)
{
    nd__fail(s->m, ND_ERR_INTERNAL, s->place, "%s has no gradient", nd__ops[s->node->op].name);
}

void nd__gradient_zero(nd__rule_call *s)
{
    (void)s;
}

bool nd__gradient_flows(const nd__node *node, int operand)
{
    unsigned fixed = nd__gradient_rules[node->op]->fixed;
    return node->inputs[operand]->dtype != ND_BOOL && (operand >= 32 || !(fixed & 1u << operand));
}

bool nd__number_values(nd__numbers *numbers, nd_module *m, int nodes, nd__arena *scratch)
{
    *numbers = (nd__numbers){nodes, 0, nd__arena_alloc(scratch, (size_t)nodes, sizeof(int))};
    for (int i = 0; numbers->first && i < nodes; i++) {
        numbers->first[i] = numbers->values;
        numbers->values += m->nodes[i]->result_count;
    }
    return numbers->first != NULL;
}

int nd__number(const nd__numbers *numbers, const nd_value *v)
{
    return v->node->number < numbers->nodes ? numbers->first[v->node->number] + v->index : -1;
}

void nd__mark_dependent(const nd_module *m, int nodes, int n, nd_value *const *on, bool *depends)
{
    memset(depends, 0, (size_t)nodes * sizeof *depends);
    for (int i = 0; i < n; i++)
        if (on[i]->node->number < nodes)
            depends[on[i]->node->number] = true;
    for (int i = 0; i < nodes; i++)
        for (int k = 0; k < m->nodes[i]->input_count && !depends[i]; k++)
            depends[i] = depends[m->nodes[i]->inputs[k]->node->number];
}

bool nd__is_target(const nd__pull *p, const nd_value *v)
{
    int number = v->node->number;
    if (number < p->numbers.nodes && p->holds[number])
        for (int i = 0; i < p->job->to_count; i++)
            if (p->job->to[i] == v)
                return true;
    return false;
}

int nd__use_count(const nd__pull *p, const nd_value *v)
{
    return p->uses[nd__number(&p->numbers, v)];
}

bool nd__is_used_once(const nd__pull *p, const nd_value *v)
{
    return nd__use_count(p, v) == 1;
}

bool nd__wants(const nd__pull *p, const nd_value *v)
{
    return nd_dtype_is_float(v->dtype) && (p->reaches[v->node->number] || nd__is_target(p, v));
}

static int order_of(const nd__node *by)
{
    return by ? by->number : INT_MAX;
}

/* Keeps the terms in order. The walk goes backwards, so that a new one nearly always comes first. */
static nd__term *add_term(nd__pull *p, nd_value *to, const nd__node *by, int operand, nd_value *dx)
{
    nd__term *term = nd__arena_alloc(p->job->scratch, 1, sizeof *term);
    if (!term) {
        nd__fail_memory(p->m);
        return NULL;
    }
    nd__term **at = &p->terms[nd__number(&p->numbers, to)];
    while (*at &&
           (order_of((*at)->by) < order_of(by) || (order_of((*at)->by) == order_of(by) && (*at)->operand < operand)))
        at = &(*at)->next;
    *term = (nd__term){.by = by, .operand = operand, .dx = dx, .next = *at};
    return *at = term;
}

void nd__send(nd__pull *p, nd_value *to, const nd__node *by, int operand, nd_value *dx)
{
    if (p->m->status == ND_OK)
        add_term(p, to, by, operand, dx);
}

static nd__late *late(nd__pull *p, nd_value *to, const nd__node *by)
{
    nd__late *l = NULL;
    for (int i = 0; p->job->captured && i < p->job->to_count; i++)
        if (p->job->to[i] == to && p->job->captured[i])
            l = nd__arena_alloc(p->job->scratch, 1, sizeof *l);
    if (l) {
        *l = (nd__late){.to = to, .by = by, .next = p->job->late};
        p->job->late = l;
    }
    return l;
}

static bool moves(const nd__pull *p, const nd_value *v)
{
    return v->node->number >= p->numbers.nodes || p->job->moving[v->node->number];
}

bool nd__make_late_product(nd__pull *p, nd_value *to, const nd__node *by, nd__product product)
{
    nd__late *l = p->job->captured && moves(p, product.p) && moves(p, product.q) ? late(p, to, by) : NULL;
    if (!l)
        return false;
    l->is_product = true;
    l->product = product;
    return true;
}

bool nd__make_late_sum(nd__pull *p, nd_value *to, const nd__node *by, nd_value *dy, nd_axes axes)
{
    nd__late *l = late(p, to, by);
    if (!l)
        return false;
    l->dy = dy;
    l->axes = axes;
    return true;
}

/* "grad of hidden" */
static void name_gradient(const nd__pull *p, nd_value *gradient, const nd_value *of)
{
    if (!*of->name || *gradient->name || gradient->node->number < p->first_new)
        return;
    const char *name = nd__arena_format(p->job->scratch, "grad of %s", of->name);
    if (name)
        nd_name(gradient, name);
    else
        nd__fail_memory(p->m);
}

/* What the walk looks at: the nodes up to the last it begins with. */
static bool prepare(nd__pull *p)
{
    nd__pullback *job = p->job;
    int nodes = 0;
    for (int i = 0; i < job->from_count; i++)
        if (job->cotangents[i] && job->from[i]->node->number >= nodes)
            nodes = job->from[i]->node->number + 1;
    bool *needed = nd__arena_alloc(job->scratch, (size_t)nodes, sizeof *needed);
    p->reaches = nd__arena_alloc(job->scratch, (size_t)nodes, sizeof *p->reaches);
    p->holds = nd__arena_alloc(job->scratch, (size_t)nodes, sizeof *p->holds);
    if (!needed || !p->reaches || !p->holds || !nd__number_values(&p->numbers, p->m, nodes, job->scratch))
        return false;
    p->uses = nd__arena_alloc(job->scratch, (size_t)p->numbers.values, sizeof *p->uses);
    p->terms = nd__arena_alloc(job->scratch, (size_t)p->numbers.values, sizeof(nd__term *));
    if (!p->uses || !p->terms)
        return false;
    for (int i = 0; i < job->to_count; i++)
        if (job->to[i]->node->number < nodes)
            p->holds[job->to[i]->node->number] = true;
    for (int i = 0; i < nodes; i++)
        for (int k = 0; k < p->m->nodes[i]->input_count && !p->reaches[i]; k++) {
            int operand = p->m->nodes[i]->inputs[k]->node->number;
            p->reaches[i] = p->reaches[operand] || p->holds[operand];
        }
    for (int i = 0; i < job->from_count; i++)
        if (job->cotangents[i]) {
            needed[job->from[i]->node->number] = true;
            if (!add_term(p, job->from[i], NULL, i, job->cotangents[i]))
                return false;
        }
    for (int i = nodes - 1; i >= 0; i--)
        for (int k = 0; needed[i] && k < p->m->nodes[i]->input_count; k++) {
            const nd_value *operand = p->m->nodes[i]->inputs[k];
            p->uses[nd__number(&p->numbers, operand)]++;
            needed[operand->node->number] = true;
        }
    return true;
}

/* Lets the node's rule send to the operands what `dys` say. */
static void step_back(nd__pull *p, const nd__node *node, nd_value *const *dys)
{
    size_t n = (size_t)node->input_count;
    bool *wants = nd__arena_alloc(p->job->scratch, n, sizeof *wants), any = false;
    nd_value **dx = nd__arena_alloc(p->job->scratch, n, sizeof *dx);
    if (!wants || !dx) {
        nd__fail_memory(p->m);
        return;
    }
    for (int i = 0; i < node->input_count; i++)
        any |= wants[i] = nd__wants(p, node->inputs[i]) && nd__gradient_flows(node, i);
    if (!any)
        return;
    nd__rule_call s = {.pull = p,
                       .m = p->m,
                       .place = node->place,
                       .node = node,
                       .x = node->inputs,
                       .y = &node->results[0],
                       .dy = dys[0],
                       .dys = dys,
                       .wants = wants,
                       .dx = dx};
    nd__gradient_rules[node->op]->build(&s);
    for (int i = node->input_count - 1; i >= 0 && p->m->status == ND_OK; i--) {
        nd__term *term = dx[i] ? add_term(p, node->inputs[i], node, i, dx[i]) : NULL;
        if (term)
            term->apart = s.apart;
    }
}

/* What comes back through a function of one value x is dy times its slope. That depends on x alone: it can be made
 * where the function is, and is then all that the way back needs of it. */
static bool step_back_by_slope(nd__pull *p, nd_value *y, nd_value *dy)
{
    nd_value *x = p->job->plain ? NULL : nd__source_of(p, y), *slope = NULL;
    if (!x)
        return false;
    const nd_place place = y->node->place;
    nd_value *one = nd__filled(p->m, place, y->dtype, &y->shape, 1);
    nd__pullback job = {.from_count = 1,
                        .to_count = 1,
                        .from = &y,
                        .cotangents = &one,
                        .to = &x,
                        .gradients = &slope,
                        .plain = true,
                        .scratch = p->job->scratch};
    if (nd__pull_back(p->m, &job) && slope)
        add_term(p, x, y->node, 0, nd_mul_at(place, dy, slope));
    return true;
}

bool nd__pull_back(nd_module *m, nd__pullback *job)
{
    nd__pull p = {.m = m, .job = job, .first_new = m->node_count};
    for (int i = 0; i < job->to_count; i++)
        job->gradients[i] = NULL;
    if (m->status == ND_OK && !prepare(&p))
        nd__fail_memory(m);
    for (int i = p.numbers.nodes - 1; i >= 0 && m->status == ND_OK; i--) {
        const nd__node *node = m->nodes[i];
        nd_value **dys = NULL;
        for (int k = 0; k < node->result_count && m->status == ND_OK; k++) {
            nd_value *y = &node->results[k];
            const nd__term *terms = p.terms[nd__number(&p.numbers, y)];
            if (!terms)
                continue;
            if (!dys && !(dys = nd__arena_alloc(job->scratch, (size_t)node->result_count, sizeof *dys))) {
                nd__fail_memory(m);
                break;
            }
            dys[k] = nd__join(y, terms);
            if (m->status == ND_OK)
                name_gradient(&p, dys[k], y);
        }
        for (int t = 0; dys && p.holds[i] && t < job->to_count; t++)
            if (job->to[t]->node == node)
                job->gradients[t] = dys[job->to[t]->index];
        if (dys && p.reaches[i] && m->status == ND_OK && !step_back_by_slope(&p, &node->results[0], dys[0]))
            step_back(&p, node, dys);
    }
    return m->status == ND_OK;
}
