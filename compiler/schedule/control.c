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

/* -- scan -----------------------------------------------------------------------------------------------------------
 *
 * What is carried lies in the memory of the loop's result from the first turn on: a turn writes it when it has read
 * it. Where the loop stacks what it carries, that lies in the stack: of one row more than there are turns, of which
 * each turn reads one and writes the next. What the turns begin with and what they end with are slices of these rows.
 */

typedef struct scan {
    const nd__node *node;
    const nd_function *body;
    int64_t length;
    int carries, slices;
    bool reverse;
} scan;

static scan scan_of(const nd__node *n)
{
    return (scan){.node = n,
                  .body = nd__get(n, ND__A_body)->function,
                  .length = nd__get_int(n, ND__A_length),
                  .carries = (int)nd__get_int(n, ND__A_carries),
                  .slices = (int)nd__get_int(n, ND__A_slices),
                  .reverse = nd__get_int(n, ND__A_reverse)};
}

/* The spot so many rows of a value on. */
static nd__spot row(nd__spot spot, const nd_value *v, int64_t rows)
{
    spot.offset += rows * nd__elements(&v->shape);
    return spot;
}

/* The spot of the row of each turn, the first of which lies there. */
static nd__spot by_turn(const scan *s, nd__spot spot, const nd_value *v, int depth)
{
    spot.stride[depth] = s->reverse ? -nd__elements(&v->shape) : nd__elements(&v->shape);
    return spot;
}

/* The row of the first turn's slice. */
static int64_t first_slice(const scan *s)
{
    return s->reverse ? s->length - 1 : 0;
}

/* Whether result r stacks what a carry is at the beginning of each turn, or (`next`) at its end. */
static bool stacks(const scan *s, int r, int carry, bool next)
{
    return r >= s->carries && s->body->outputs[r] == (next ? s->body->outputs[carry] : s->body->inputs[carry]);
}

void nd__place_stacks(nd__block *b, const nd__node *n)
{
    const scan s = scan_of(n);
    nd__spot *rows = nd__arena_alloc(b->arena, (size_t)s.carries, sizeof *rows), taken;
    b->stacks[n->number] = rows;
    if (!rows)
        nd__block_failed(b);
    for (int c = 0; c < s.carries && !b->failed; c++) {
        const nd_value *carry = s.body->outputs[c];
        rows[c].buffer = -1;
        for (int r = s.carries; r < n->result_count && carry != s.body->inputs[c] && !b->failed; r++) {
            const bool next = stacks(&s, r, c, true);
            if ((!next && !stacks(&s, r, c, false)) || nd__spot_of(b, &n->results[r], &taken))
                continue;
            if (rows[c].buffer < 0)
                rows[c] = nd__new_buffer(b, carry->dtype, (s.length + 1) * nd__elements(&carry->shape), carry->name);
            nd__set_spot(b, &n->results[r], row(rows[c], carry, next != s.reverse));
        }
        if (rows[c].buffer >= 0 && !nd__spot_of(b, &n->results[c], &taken))
            nd__set_spot(b, &n->results[c], row(rows[c], carry, s.reverse ? 0 : s.length));
    }
}

/* Where turns find what they carry and leave it; what they begin with is put there. */
static bool lower_carry(nd__block *b, const scan *s, int c, nd__spot *input, nd__sink *sink, nd__steps *steps)
{
    const nd_value *carry = s->body->outputs[c];
    const nd__spot rows = b->stacks[s->node->number][c];
    nd__spot start = rows, from = *input;
    if (rows.buffer >= 0) {
        start = row(rows, carry, s->reverse ? s->length : 0);
        *input = by_turn(s, start, carry, b->depth);
        sink->spot = row(*input, carry, s->reverse ? -1 : 1);
    } else {
        nd__spot_of(b, &s->node->results[c], &start);
        *input = sink->spot = start;
        sink->old = s->body->inputs[c];
    }
    return nd__elements(&carry->shape) == 0 || nd__copy_spot(b, carry, from, start, steps);
}

/* What the turns end with, where it is wanted elsewhere than in the stack. */
static bool copy_last(nd__block *b, const scan *s, int c, nd__steps *steps)
{
    const nd_value *carry = s->body->outputs[c];
    const nd__spot rows = b->stacks[s->node->number][c];
    nd__spot to;
    return rows.buffer < 0 || !nd__spot_of(b, &s->node->results[c], &to) || to.buffer == rows.buffer ||
           nd__copy_spot(b, carry, row(rows, carry, s->reverse ? 0 : s->length), to, steps);
}

/* Whether a result is some of the rows in which a carry lies. */
static bool is_stack(const nd__block *b, const scan *s, int r)
{
    nd__spot spot;
    bool is = false;
    for (int c = 0; c < s->carries && nd__spot_of(b, &s->node->results[r], &spot); c++)
        is |= spot.buffer == b->stacks[s->node->number][c].buffer;
    return is;
}

static bool lower_turns(nd__block *b, const scan *s, nd__spot *inputs, nd__sink *sinks, int sink_count,
                        nd__steps *steps, nd__steps *turn)
{
    for (int i = s->carries; i < s->carries + s->slices; i++)
        inputs[i] = by_turn(s, row(inputs[i], s->body->inputs[i], first_slice(s)), s->body->inputs[i], b->depth);
    for (int r = s->carries; r < s->body->output_count; r++) {
        const nd_value *v = s->body->outputs[r];
        nd__spot spot;
        if (is_stack(b, s, r) || !nd__spot_of(b, &s->node->results[r], &spot))
            continue;
        sinks[sink_count++] = (nd__sink){.value = v, .spot = by_turn(s, row(spot, v, first_slice(s)), v, b->depth)};
    }
    const nd__loop loop = {.scan = s->node, .around = b, .before = steps};
    nd__block inside = *b;
    inside.depth++;
    inside.loop = &loop;
    return nd__schedule_block(&inside, s->body, inputs, NULL, sinks, sink_count, turn);
}

static bool lower_scan(nd__block *b, const nd__group *g, nd__steps *steps)
{
    const scan s = scan_of(g->anchor);
    nd__steps turn = {0};
    if (b->depth >= ND__MAX_NEST) {
        nd__fail(b->m, ND_ERR_GRAPH, s.node->place, "scan: loops are nested deeper than %d", ND__MAX_NEST);
        return false;
    }
    nd__spot *inputs = place_operands(b, s.node, steps);
    nd__sink *sinks = nd__arena_alloc(b->arena, (size_t)s.body->output_count, sizeof *sinks);
    if (!inputs || !sinks)
        return b->failed || b->m->status != ND_OK ? false : nd__block_failed(b);
    for (int c = 0; c < s.carries; c++) {
        sinks[c] = (nd__sink){.value = s.body->outputs[c]};
        if (!lower_carry(b, &s, c, &inputs[c], &sinks[c], steps))
            return false;
    }
    if (s.length > 0) {
        if (!lower_turns(b, &s, inputs, sinks, s.carries, steps, &turn))
            return false;
        nd__step *step = nd__new_step(b, steps, ND__STEP_LOOP);
        if (!step)
            return false;
        step->label = nd__label(b, g);
        step->length = s.length;
        step->body = turn;
        if (!step->label)
            return nd__block_failed(b);
    }
    for (int c = 0; c < s.carries; c++)
        if (!copy_last(b, &s, c, steps))
            return false;
    return true;
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
