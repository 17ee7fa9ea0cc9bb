/* Control flow: a body is a block of its own, in a loop or a branch of the plan; an applied function becomes steps. */
#include "compiler/schedule/block.h"

/* Where the operand lies row-major; a view that does not is copied. */
static bool place_operand(nd__block *b, const nd_value *v, nd__spot *spot, nd__steps *steps)
{
    const nd_value *base;
    int64_t offset, strides[ND_MAX_RANK], row_major[ND_MAX_RANK];
    nd__spot from;
    if (!nd__view(b, v, &base, &offset, strides) || !nd__spot_of(b, base, &from)) {
        nd__fail(b->m, ND_ERR_INTERNAL, v->node->place, "schedule: %%%d is not in memory", v->node->number);
        return false;
    }
    bool in_order = true;
    nd__strides(v->shape.rank, v->shape.dims, row_major);
    for (int d = 0; d < v->shape.rank; d++)
        in_order &= v->shape.dims[d] == 1 || strides[d] == row_major[d];
    if (!in_order && nd__elements(&v->shape) > 0)
        return nd__copy_view(b, base, from, offset, v->shape.rank, v->shape.dims, strides, spot, steps);
    *spot = from;
    spot->offset += offset;
    return true;
}

static nd__spot *place_operands(nd__block *b, const nd__node *n, nd__steps *steps)
{
    nd__spot *spots = nd__arena_alloc(b->arena, (size_t)n->input_count, sizeof *spots);
    if (!spots)
        nd__block_failed(b);
    for (int i = 0; i < n->input_count && spots; i++)
        if (!place_operand(b, n->inputs[i], &spots[i], steps))
            return NULL;
    return spots;
}

/* A body whose outputs go to the node's results. */
static bool schedule_body(nd__block *b, const nd__node *n, const nd_function *body, const nd__spot *inputs,
                          nd__steps *steps)
{
    nd__sink *sinks = nd__arena_alloc(b->arena, (size_t)body->output_count, sizeof *sinks);
    if (!sinks)
        return nd__block_failed(b);
    for (int i = 0; i < body->output_count; i++) {
        sinks[i] = (nd__sink){.value = body->outputs[i]};
        nd__spot_of(b, &n->results[i], &sinks[i].spot);
    }
    return nd__schedule_block(b, body, inputs, NULL, sinks, body->output_count, steps);
}

static nd__karg argument(const nd__spot *spot)
{
    nd__karg arg = {.buffer = spot->buffer, .offset = spot->offset};
    for (int d = 0; d < ND__MAX_NEST; d++)
        arg.stride[d] = spot->stride[d];
    return arg;
}

static bool lower_cond(nd__block *b, const nd__group *g, nd__steps *steps)
{
    const nd__node *n = g->anchor;
    nd__steps yes = {0}, no = {0};
    const nd__spot *spots = place_operands(b, n, steps);
    if (!spots || !schedule_body(b, n, nd__get(n, ND__A_body)->function, spots + 1, &yes) ||
        !schedule_body(b, n, nd__get(n, ND__A_other)->function, spots + 1, &no))
        return false;
    nd__step *step = nd__new_step(b, steps, ND__STEP_COND);
    if (!step)
        return false;
    step->label = nd__label(b, g);
    step->args = nd__arena_alloc(b->plan->arena, 1, sizeof *step->args);
    if (!step->label || !step->args)
        return nd__block_failed(b);
    step->args[0] = argument(&spots[0]);
    step->body = yes;
    step->other = no;
    return true;
}

/* The number of v among what the loop's body captures; -1: it is none of that. */
static int captured(const nd__node *scan, const nd_value *v)
{
    const nd_function *body = nd__get(scan, ND__A_body)->function;
    for (int i = (int)(nd__get_int(scan, ND__A_carries) + nd__get_int(scan, ND__A_slices)); i < body->input_count; i++)
        if (body->inputs[i] == v)
            return i;
    return -1;
}

nd__steps *nd__steps_for(const nd__block *b, const nd_value *v, nd__steps *steps)
{
    for (const nd__loop *l = b->loop; l; l = l->around->loop) {
        const int i = captured(l->scan, v);
        int64_t offset, strides[ND_MAX_RANK];
        if (i < 0 || !nd__view(l->around, l->scan->inputs[i], &v, &offset, strides))
            break;
        steps = l->before;
    }
    return steps;
}

/* What is carried lies in the results' memory from the first turn on: a turn writes it when it has read it. */
static bool lower_scan(nd__block *b, const nd__group *g, nd__steps *steps)
{
    const nd__node *n = g->anchor;
    const nd_function *body = nd__get(n, ND__A_body)->function;
    const int64_t length = nd__get_int(n, ND__A_length);
    const int carries = (int)nd__get_int(n, ND__A_carries), slices = (int)nd__get_int(n, ND__A_slices);
    const bool reverse = nd__get_int(n, ND__A_reverse);
    if (b->depth >= ND__MAX_NEST) {
        nd__fail(b->m, ND_ERR_GRAPH, n->place, "scan: loops are nested deeper than %d", ND__MAX_NEST);
        return false;
    }
    nd__steps turn = {0};
    nd__spot *inputs = place_operands(b, n, steps);
    nd__sink *sinks = nd__arena_alloc(b->arena, (size_t)body->output_count, sizeof *sinks);
    if (!inputs || !sinks)
        return b->failed || b->m->status != ND_OK ? false : nd__block_failed(b);
    for (int i = 0; i < body->output_count; i++) {
        sinks[i] = (nd__sink){.value = body->outputs[i]};
        nd__spot_of(b, &n->results[i], &sinks[i].spot);
        if (i < carries) {
            if (nd__elements(&body->outputs[i]->shape) > 0 &&
                !nd__copy_spot(b, body->outputs[i], inputs[i], sinks[i].spot, steps))
                return false;
            sinks[i].old = body->inputs[i];
            inputs[i] = sinks[i].spot;
        }
    }
    for (int i = carries; i < carries + slices; i++) {
        int64_t elems = nd__elements(&body->inputs[i]->shape);
        inputs[i].offset += reverse ? (length - 1) * elems : 0;
        inputs[i].stride[b->depth] = reverse ? -elems : elems;
    }
    for (int i = carries; i < body->output_count; i++) {
        int64_t elems = nd__elements(&body->outputs[i]->shape);
        sinks[i].spot.offset += reverse ? (length - 1) * elems : 0;
        sinks[i].spot.stride[b->depth] = reverse ? -elems : elems;
    }
    if (length == 0)
        return true;
    const nd__loop loop = {.scan = n, .around = b, .before = steps};
    nd__block inside = *b;
    inside.depth++;
    inside.loop = &loop;
    if (!nd__schedule_block(&inside, body, inputs, NULL, sinks, body->output_count, &turn))
        return false;
    nd__step *step = nd__new_step(b, steps, ND__STEP_LOOP);
    if (!step)
        return false;
    step->label = nd__label(b, g);
    step->length = length;
    step->body = turn;
    return step->label || nd__block_failed(b);
}

bool nd__lower_control(nd__block *b, const nd__group *g, nd__steps *steps)
{
    const nd__node *n = g->anchor;
    if (n->op == ND__OP_cond)
        return lower_cond(b, g, steps);
    if (n->op == ND__OP_scan)
        return lower_scan(b, g, steps);
    const nd__spot *spots = place_operands(b, n, steps);
    return spots && schedule_body(b, n, nd__get(n, ND__A_body)->function, spots, steps);
}
