/* The gradient of scan: a scan in the other direction.
 *
 * Turn t of the forward loop is (carry', y[t]) = f(carry, x[t], captured). The backward loop carries the cotangents of
 * the carries and walks the turns the other way round; per turn (d carry, dx[t], d captured) = f's pull-back of (d
 * carry', dy[t]), for which it reads, slice by slice, dy, x and those values of the forward turn that the pull-back
 * uses (saved by a variant of the forward loop).
 *
 * Gradients of captured values:
 *  - of weights in a product: the factors of all turns are stacked, and one product after the loop sums over (turn,
 * row) ascending;
 *  - of what is broadcast over rows: likewise one sum over (turn, row) after the loop;
 *  - of anything else: carried along, from +0, in the order of the backward loop (t descending for a forward one).
 * They are added in the order of the consumers in the body, what was carried along last. */
#include "compiler/autodiff/body.h"
#include "compiler/autodiff/rules.h"

typedef struct loop {
    nd__backward b;
    const nd__node *node;
    const nd_function *f;
    int carries, slices;
    bool *active;         /* by input of f: a gradient goes to it */
    nd_value **gradients; /* by input of f, of one turn; NULL: none */
    nd__late *late;
    int *outputs; /* of the backward function: roots, as */
    int carried;  /* many that it carries, then the stacked ones */
    int stacked;
    int *result; /* by input of f: the backward scan's result that is its gradient; -1: none */
} loop;

static void *scratch(loop *l, int count, size_t size)
{
    void *p = nd__arena_alloc(&l->b.scratch, (size_t)count, size);
    if (!p)
        nd__fail_memory(l->b.m);
    return p;
}

static nd_value *zeros(loop *l, const nd_value *like)
{
    return nd__filled(l->b.m, l->b.s->place, like->dtype, &like->shape, 0);
}

/* Which inputs have a gradient, which values differ from turn to turn. */
static bool analyse(loop *l)
{
    nd__rule_call *s = l->b.s;
    int n = l->f->input_count;
    l->active = scratch(l, n, sizeof *l->active);
    l->gradients = scratch(l, n, sizeof *l->gradients);
    l->result = scratch(l, n, sizeof *l->result);
    if (l->b.m->status != ND_OK)
        return false;
    for (int i = 0; i < n; i++)
        l->active[i] = s->wants[i];
    if (!nd__spread_activity(l->node, l->active, &l->b.scratch)) {
        nd__fail_memory(l->b.m);
        return false;
    }
    for (int i = 0; i < n; i++) {
        l->active[i] = l->active[i] && nd_dtype_is_float(l->f->inputs[i]->dtype);
        l->result[i] = -1;
    }
    nd__mark_dependent(l->b.m, l->b.first_new, l->carries + l->slices, l->f->inputs, l->b.moving);
    for (int i = l->carries; i < l->carries + l->slices; i++)
        l->b.moving[l->f->inputs[i]->node->number] = false; /* it is read again */
    return true;
}

/* One turn's pull-back, over the body's own nodes. */
static bool pull_turn(loop *l)
{
    nd__rule_call *s = l->b.s;
    const nd_function *f = l->f;
    nd_value **cotangents = scratch(l, f->output_count, sizeof *cotangents),
             **to = scratch(l, f->input_count, sizeof *to);
    nd_value **found = scratch(l, f->input_count, sizeof *found);
    bool *captured = scratch(l, f->input_count, sizeof *captured),
         *differs = scratch(l, l->b.first_new, sizeof *differs);
    int n = 0;
    if (l->b.m->status != ND_OK)
        return false;
    for (int i = 0; i < f->output_count; i++) {
        const nd_value *y = f->outputs[i];
        if (i < l->carries && l->active[i])
            cotangents[i] = nd__backward_input(&l->b, "grad_carry", ND__CARRIED, y->dtype, y->shape,
                                               s->dys[i] ? s->dys[i] : zeros(l, y));
        else if (i >= l->carries && s->dys[i])
            cotangents[i] = nd__backward_input(&l->b, "grad_out", ND__SLICED, y->dtype, y->shape, s->dys[i]);
    }
    for (int i = 0; i < f->input_count; i++)
        if (l->active[i]) {
            captured[n] = i >= l->carries + l->slices;
            to[n++] = f->inputs[i];
        }
    nd__mark_dependent(l->b.m, l->b.first_new, l->carries + l->slices, f->inputs, differs);
    nd__pullback job = {.from_count = f->output_count,
                        .from = f->outputs,
                        .cotangents = cotangents,
                        .to_count = n,
                        .to = to,
                        .gradients = found,
                        .captured = captured,
                        .moving = differs,
                        .scratch = &l->b.scratch};
    if (l->b.m->status != ND_OK || !nd__pull_back(l->b.m, &job))
        return false;
    for (int i = 0, k = 0; i < f->input_count; i++)
        l->gradients[i] = l->active[i] ? found[k++] : NULL;
    l->late = job.late;
    return true;
}

/* What the backward body computes: carries, sums along the way, slices of gradients, and the parts of what waits until
 * after the loop. */
static bool collect_roots(loop *l)
{
    const nd_function *f = l->f;
    int first_captured = l->carries + l->slices, parts = 0;
    for (const nd__late *late = l->late; late; late = late->next)
        parts += 2;
    l->outputs = scratch(l, f->input_count + parts, sizeof *l->outputs);
    if (!l->outputs)
        return false;
    for (int i = 0; i < l->carries; i++)
        if (l->active[i]) {
            l->result[i] = l->carried;
            l->outputs[l->carried++] =
                nd__backward_root(&l->b, l->gradients[i] ? l->gradients[i] : zeros(l, f->inputs[i]));
        }
    for (int i = first_captured; i < f->input_count; i++)
        if (l->gradients[i]) {
            const nd_value *x = f->inputs[i];
            nd_value *sum = nd__backward_input(&l->b, "sum", ND__CARRIED, x->dtype, x->shape, zeros(l, x));
            l->result[i] = l->carried;
            l->outputs[l->carried++] = nd__backward_root(&l->b, nd_add_at(l->b.s->place, sum, l->gradients[i]));
        }
    for (int i = l->carries; i < first_captured; i++)
        if (l->gradients[i]) {
            l->result[i] = l->carried + l->stacked;
            l->outputs[l->carried + l->stacked++] = nd__backward_root(&l->b, l->gradients[i]);
        }
    return l->b.m->status == ND_OK;
}

/* The roots of the late parts, in the order in which finish_late asks for them. */
static int late_parts(loop *l, int *roots)
{
    int n = 0;
    for (const nd__late *late = l->late; late; late = late->next) {
        roots[n++] = nd__backward_root(&l->b, late->is_product ? late->product.p : late->dy);
        if (late->is_product)
            roots[n++] = nd__backward_root(&l->b, late->product.q);
    }
    return n;
}

/* Where saved values come from: stacked outputs that the loop has anyway, or those of a variant of it. */
static bool save(loop *l)
{
    nd__backward *b = &l->b;
    const nd_function *f = l->f;
    nd_value **stacks = scratch(l, b->saved_count, sizeof *stacks), **with = scratch(l, b->saved_count, sizeof *with),
             *run = NULL;
    if (b->m->status != ND_OK)
        return false;
    int have = 0; /* the saved values that are outputs come first */
    for (int i = 0; i < b->saved_count; i++)
        for (int k = l->carries; k < f->output_count; k++)
            if (f->outputs[k] == b->saved[i]) {
                nd_value *v = b->saved[i];
                b->saved[i] = b->saved[have];
                b->saved[have] = v;
                stacks[have++] = &l->node->results[k];
                break;
            }
    if (have < b->saved_count) {
        nd_function *variant = nd__backward_variant(b, have);
        nd__attr attrs[ND__MAX_ATTRS];
        for (int i = 0; i < l->node->attr_count; i++)
            attrs[i] = l->node->attrs[i].key == ND__A_body ? nd__attr_function(ND__A_body, variant) : l->node->attrs[i];
        run = variant ? nd__make(b->m, ND__OP_scan, l->node->place, l->node->input_count, l->node->inputs,
                                 l->node->attr_count, attrs)
                      : NULL;
    }
    for (int i = 0; i < b->saved_count && b->m->status == ND_OK; i++) {
        const nd_value *v = b->saved[i];
        if (i >= have)
            stacks[i] = &run->node->results[f->output_count + i - have];
        with[i] = nd__backward_input(b, "saved", ND__SLICED, v->dtype, v->shape, stacks[i]);
    }
    return b->m->status == ND_OK && nd__backward_replace(b, with);
}

/* Leaves out what came in case of need: cotangents of outputs that no gradient depends on. Takes the forward inputs
 * that are used. */
static void settle_parameters(loop *l)
{
    nd__backward *b = &l->b;
    int kept = 0;
    for (int i = 0; i < b->parameter_count; i++) {
        const nd__parameter p = b->parameters[i];
        int number = p.input->node->number;
        if (p.section == ND__CARRIED || number >= b->needed_count || b->needed[number])
            b->parameters[kept++] = p;
    }
    b->parameter_count = kept;
    for (int i = l->carries; i < l->f->input_count; i++)
        if (b->needed[l->f->inputs[i]->node->number])
            nd__backward_take(b, l->f->inputs[i], i < l->carries + l->slices ? ND__SLICED : ND__CAPTURED, b->s->x[i]);
}

/* All turns' values of a root: what is read slice by slice as it is, the rest from the backward loop's results. */
static nd_value *stack_of(loop *l, const nd_value *run, int root)
{
    const nd__backward *b = &l->b;
    for (int i = 0; i < b->parameter_count; i++)
        if (b->parameters[i].section == ND__SLICED && b->parameters[i].input == b->roots[root])
            return b->parameters[i].operand;
    for (int i = l->carried; i < l->carried + l->stacked; i++)
        if (l->outputs[i] == root)
            return &run->node->results[i];
    return nd__fail(b->m, ND_ERR_INTERNAL, b->s->place, "gradient of scan: a part of a sum after the loop is missing");
}

static bool is_sliced_parameter(const nd__backward *b, const nd_value *v)
{
    for (int i = 0; i < b->parameter_count; i++)
        if (b->parameters[i].section == ND__SLICED && b->parameters[i].input == v)
            return true;
    return false;
}

/* What waited for the end of the loop, and what the loop carried along. */
static void hand_out(loop *l, nd_value *run, const int *parts)
{
    nd__rule_call *s = l->b.s;
    int part = 0;
    for (const nd__late *late = l->late; late && l->b.m->status == ND_OK; late = late->next) {
        int i = 0;
        nd_value *dx;
        if (late->is_product) {
            nd__product p = late->product;
            p.p = stack_of(l, run, parts[part++]);
            p.q = stack_of(l, run, parts[part++]);
            p.fold++;
            dx = nd__folded_product(late->by->place, p);
        } else {
            nd_axes axes = {.count = late->axes.count + 1};
            for (int k = 0; k < late->axes.count; k++)
                axes.items[k + 1] = late->axes.items[k] + 1;
            dx = nd__unbroadcast(late->by->place, stack_of(l, run, parts[part++]), axes, late->to->shape);
        }
        while (l->f->inputs[i] != late->to)
            i++;
        s->dx[i] = s->dx[i] ? nd_add_at(s->place, s->dx[i], dx) : dx;
    }
    for (int i = 0; i < l->f->input_count && l->b.m->status == ND_OK; i++)
        if (s->wants[i] && l->result[i] >= 0) {
            nd_value *dx = &run->node->results[l->result[i]];
            s->dx[i] = s->dx[i] ? nd_add_at(s->place, s->dx[i], dx) : dx;
        }
}

static void build(loop *l)
{
    nd__backward *b = &l->b;
    int count[ND__SECTIONS], parts = 0, *part_roots;
    if (!analyse(l) || !pull_turn(l) || !collect_roots(l))
        return;
    for (const nd__late *late = l->late; late; late = late->next)
        parts += 2;
    part_roots = scratch(l, parts, sizeof *part_roots);
    if (!part_roots)
        return;
    parts = late_parts(l, part_roots);
    if (!nd__backward_cut(b) || !save(l))
        return;
    settle_parameters(l);
    for (int i = 0; i < parts; i++) {
        bool there = is_sliced_parameter(b, b->roots[part_roots[i]]);
        for (int k = l->carried; k < l->carried + l->stacked; k++)
            there |= l->outputs[k] == part_roots[i];
        if (!there)
            l->outputs[l->carried + l->stacked++] = part_roots[i];
    }
    nd_function *g = nd__backward_function(b, l->carried + l->stacked, l->outputs);
    nd_value **operands = nd__backward_operands(b, 0, count);
    if (!g || !operands)
        return;
    nd__attr attrs[] = {nd__attr_function(ND__A_body, g),
                        nd__attr_int(ND__A_length, nd__get_int(l->node, ND__A_length)),
                        nd__attr_int(ND__A_carries, count[ND__CARRIED]), nd__attr_int(ND__A_slices, count[ND__SLICED]),
                        nd__attr_int(ND__A_reverse, !nd__get_int(l->node, ND__A_reverse))};
    nd_value *run = nd__make(b->m, ND__OP_scan, b->s->place, b->parameter_count, operands, 5, attrs);
    if (b->m->status == ND_OK)
        hand_out(l, run, part_roots);
}

static void grad_scan(nd__rule_call *s)
{
    loop l = {.node = s->node,
              .f = nd__get(s->node, ND__A_body)->function,
              .carries = (int)nd__get_int(s->node, ND__A_carries),
              .slices = (int)nd__get_int(s->node, ND__A_slices)};
    if (nd__backward_begin(&l.b, s, l.f))
        build(&l);
    nd__backward_end(&l.b);
}

RULE(scan, grad_scan, 0)
