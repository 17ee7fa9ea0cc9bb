/* The gradients of apply and cond. Scan has a file of its own.
 *
 * apply: the backward function is applied to the cotangents, to what was saved and to the operands that it uses.
 * cond: the same condition chooses between two backward functions, each of which computes its branch again as far as it
 * needs it: what one branch saved, the other would have to make up. */
#include "compiler/autodiff/body.h"
#include "compiler/autodiff/rules.h"

/* Pulls what came back to the node, as inputs of the backward function, through f. `first`: the operand for f's first
 * input. gradients[] by input. */
static bool pull_through(nd__backward *b, const nd_function *f, int first, nd_value *const *cotangents,
                         nd_value **gradients)
{
    nd_value **to = nd__arena_alloc(&b->scratch, (size_t)f->input_count, sizeof *to);
    nd_value **found = nd__arena_alloc(&b->scratch, (size_t)f->input_count, sizeof *found);
    int n = 0;
    if (!to || !found) {
        nd__fail_memory(b->m);
        return false;
    }
    for (int i = 0; i < f->input_count; i++)
        if (b->s->wants[first + i])
            to[n++] = f->inputs[i];
    nd__pullback job = {.from_count = f->output_count,
                        .from = f->outputs,
                        .cotangents = cotangents,
                        .to_count = n,
                        .to = to,
                        .gradients = found,
                        .scratch = &b->scratch};
    if (!nd__pull_back(b->m, &job))
        return false;
    for (int i = 0, k = 0; i < f->input_count; i++)
        gradients[i] = b->s->wants[first + i] ? found[k++] : NULL;
    return true;
}

/* An input of the backward function for each cotangent: by output, NULL where there is none. */
static nd_value **cotangent_inputs(nd__backward *b)
{
    nd_value **inputs = nd__arena_alloc(&b->scratch, (size_t)b->f->output_count, sizeof *inputs);
    if (!inputs)
        nd__fail_memory(b->m);
    for (int i = 0; inputs && i < b->f->output_count; i++)
        if (b->s->dys[i])
            inputs[i] =
                nd__backward_input(b, "grad_out", ND__CARRIED, b->s->dys[i]->dtype, b->s->dys[i]->shape, b->s->dys[i]);
    return b->m->status == ND_OK ? inputs : NULL;
}

/* -- apply -------------------------------------------------------------------------------------------------------- */

/* Inputs that stand for the saved values, called with what the forward function gives out, or a variant of it that
 * gives out more. */
static bool save(nd__backward *b)
{
    const nd__node *node = b->s->node;
    nd_value **with = nd__arena_alloc(&b->scratch, (size_t)b->saved_count, sizeof *with), *run = NULL;
    int more = 0;
    if (!with) {
        nd__fail_memory(b->m);
        return false;
    }
    if (b->saved_count > 0) {
        nd__attr attr = nd__attr_function(ND__A_body, nd__backward_variant(b, 0));
        run = b->m->status == ND_OK ? nd__make(b->m, node->op, node->place, node->input_count, node->inputs, 1, &attr)
                                    : NULL;
    }
    for (; more < b->saved_count && b->m->status == ND_OK; more++) {
        const nd_value *v = b->saved[more];
        with[more] = nd__backward_input(b, "saved", ND__SLICED, v->dtype, v->shape,
                                        &run->node->results[b->f->output_count + more]);
    }
    return b->m->status == ND_OK && nd__backward_replace(b, with);
}

static void build_apply(nd__backward *b)
{
    nd__rule_call *s = b->s;
    const nd_function *f = b->f;
    nd_value **cotangents = cotangent_inputs(b);
    nd_value **gradients = nd__arena_alloc(&b->scratch, (size_t)f->input_count, sizeof *gradients);
    int *outputs = nd__arena_alloc(&b->scratch, (size_t)f->input_count, sizeof *outputs), n = 0, count[ND__SECTIONS];
    if (!gradients || !outputs)
        nd__fail_memory(b->m);
    if (b->m->status != ND_OK || !pull_through(b, f, 0, cotangents, gradients))
        return;
    nd__mark_dependent(b->m, b->first_new, f->input_count, f->inputs, b->moving);
    for (int i = 0; i < f->input_count; i++) {
        b->moving[f->inputs[i]->node->number] = false;
        if (gradients[i])
            outputs[n++] = nd__backward_root(b, gradients[i]);
    }
    if (n == 0 || !nd__backward_cut(b) || !save(b))
        return;
    for (int i = 0; i < f->input_count; i++)
        if (b->needed[f->inputs[i]->node->number])
            nd__backward_take(b, f->inputs[i], ND__CAPTURED, s->x[i]);
    nd_function *g = nd__backward_function(b, n, outputs);
    nd_value **operands = nd__backward_operands(b, 0, count);
    if (!g || !operands)
        return;
    nd__attr attr = nd__attr_function(ND__A_body, g);
    nd_value *run = nd__make(b->m, ND__OP_apply, s->place, b->parameter_count, operands, 1, &attr);
    for (int i = 0, k = 0; i < f->input_count && b->m->status == ND_OK; i++)
        if (gradients[i])
            s->dx[i] = &run->node->results[k++];
}

static void grad_apply(nd__rule_call *s)
{
    nd__backward b;
    if (nd__backward_begin(&b, s, nd__get(s->node, ND__A_body)->function))
        build_apply(&b);
    nd__backward_end(&b);
}

/* -- cond --------------------------------------------------------------------------------------------------------- */

/* Of one branch: a root for each wanted operand, zeros where the branch does not depend on it. outputs[] by operand
 * after the condition. */
static bool build_branch(nd__backward *b, int *outputs)
{
    const nd_function *f = b->f;
    nd_value **cotangents = cotangent_inputs(b);
    nd_value **gradients = nd__arena_alloc(&b->scratch, (size_t)f->input_count, sizeof *gradients);
    if (!gradients)
        nd__fail_memory(b->m);
    if (b->m->status != ND_OK || !pull_through(b, f, 1, cotangents, gradients))
        return false;
    int n = 0;
    for (int i = 0; i < f->input_count; i++)
        if (b->s->wants[1 + i]) {
            const nd_value *x = b->s->x[1 + i];
            outputs[n++] = nd__backward_root(b, gradients[i] ? gradients[i]
                                                             : nd__filled(b->m, b->s->place, x->dtype, &x->shape, 0));
        }
    return nd__backward_cut(b);
}

static void build_cond(nd__rule_call *s, nd__backward *yes, nd__backward *no)
{
    nd_module *m = s->m;
    int inputs = s->node->input_count - 1, count[ND__SECTIONS], n = 0;
    int *outputs = nd__arena_alloc(&yes->scratch, (size_t)inputs * 2, sizeof *outputs);
    if (!outputs)
        nd__fail_memory(m);
    if (m->status != ND_OK || !build_branch(yes, outputs) || !build_branch(no, outputs + inputs))
        return;
    for (int i = 0; i < inputs; i++) {
        nd_value *a = yes->f->inputs[i], *b = no->f->inputs[i];
        n += s->wants[1 + i];
        if (yes->needed[a->node->number] || no->needed[b->node->number]) {
            nd__backward_take(yes, a, ND__CAPTURED, s->x[1 + i]);
            nd__backward_take(no, b, ND__CAPTURED, s->x[1 + i]);
        }
    }
    nd_function *first = nd__backward_function(yes, n, outputs),
                *second = nd__backward_function(no, n, outputs + inputs);
    nd_value **operands = nd__backward_operands(yes, 1, count);
    if (!first || !second || !operands)
        return;
    operands[0] = s->x[0];
    nd__attr attrs[] = {nd__attr_function(ND__A_body, first), nd__attr_function(ND__A_other, second)};
    nd_value *run = nd__make(m, ND__OP_cond, s->place, 1 + yes->parameter_count, operands, 2, attrs);
    for (int i = 0, k = 0; i < inputs && m->status == ND_OK; i++)
        if (s->wants[1 + i])
            s->dx[1 + i] = &run->node->results[k++];
}

static void grad_cond(nd__rule_call *s)
{
    nd__backward yes, no;
    bool good = nd__backward_begin(&yes, s, nd__get(s->node, ND__A_body)->function);
    if (nd__backward_begin(&no, s, nd__get(s->node, ND__A_other)->function) && good)
        build_cond(s, &yes, &no);
    nd__backward_end(&yes);
    nd__backward_end(&no);
}

RULE(apply, grad_apply, 0)
RULE(cond, grad_cond, 0)
