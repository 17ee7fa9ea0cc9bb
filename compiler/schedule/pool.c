/* Pools: the maximum of each window and where it stands, and what moves between windows and their maxima.
 *
 * Channels lie in the lanes. Two axes of the domain, behind the result's, stand at the element that is read: of the
 * image, or of the windows' places where the image is the result. Positions with the same taps, all but those at the
 * borders, have one piece of code. max_pool and max_pool_index of one image are one kernel. */
#include "compiler/schedule/window.h"
#include "compiler/schedule/cost.h"

enum { DOWN = 4, RIGHT = 5, UNROLLED = 16 };

typedef struct pool {
    nd__space s;
    nd__emit e;
    const nd__node *node;
    nd__maxima max; /* or, as its maxima, what is picked or spread */
    nd__window w;
    nd__walk y, x;
    int operand, choice;  /* expressions of the operands; choice -1: none */
    int64_t lo[2], hi[2]; /* the taps that exist at the positions being emitted */
    nd__kaffine q[2];     /* the position */
    nd__kaffine tap;      /* the number of the window's element */
} pool;

/* -- maxima ----------------------------------------------------------------------------------------------------------
 */

/* Whether x takes the place of the best so far: the first of equals stays, the first NaN wins. */
static nd__kval beats(const nd__maxima *m, nd__kbuilder *b, nd__kval best, nd__kval x)
{
    if (!m->is_float)
        return nd__k_op2(b, ND__K_lt, best, x);
    nd__kval better = nd__k_op1(b, ND__K_not, nd__k_op2(b, ND__K_le, x, best)); /* or one is a NaN */
    return nd__k_op2(b, ND__K_and, better, nd__k_op2(b, ND__K_eq, best, best));
}

void nd__maxima_join(const nd__maxima *m, nd__kbuilder *b, nd__kval x, nd__kval number, nd__kval *state)
{
    if (!m->index) {
        state[0] = nd__k_op2(b, ND__K_max, state[0], x);
        return;
    }
    nd__kval better = beats(m, b, state[0], x);
    state[0] = nd__k_op3(b, ND__K_select, better, x, state[0]);
    state[1] = nd__k_op3(b, ND__K_select, better, number, state[1]);
}

void nd__maxima_end(const nd__maxima *m, nd__emit *e, const nd__kval *state)
{
    nd__kbuilder *b = &e->b;
    if (m->most) {
        const nd__kval zero = nd__k_const_bits(b, nd__k_type(m->most->dtype, e->lane_axis < 0 ? 1 : e->lanes), 0);
        e->memo[m->given] = m->is_float ? nd__k_op2(b, ND__K_add, state[0], zero) : state[0];
    }
    if (m->index)
        e->memo[m->given_index] = nd__k_convert(b, m->index->dtype, state[1]);
}

nd__maxima nd__maxima_of(nd__space *s, const nd__node *node, unsigned axes)
{
    nd__maxima m = {.is_float = nd_dtype_is_float(node->inputs[0]->dtype)};
    for (int i = 0; i < s->group->member_count; i++) {
        const nd__node *n = s->block->m->nodes[s->group->members[i]];
        if (n->op == ND__OP_max_pool_index)
            m.index = &n->results[0];
        else if (n == node || n->op == ND__OP_max_pool)
            m.most = &n->results[0];
    }
    if (m.most) {
        m.given = nd__expr_given(s, m.most, axes);
        nd__know(s, m.most, m.given);
    }
    if (m.index) {
        m.given_index = nd__expr_given(s, m.index, axes);
        nd__know(s, m.index, m.given_index);
    }
    return m;
}

/* -- one window -------------------------------------------------------------------------------------------------------
 */

static int lanes_of(const pool *p)
{
    return p->e.lane_axis < 0 ? 1 : p->e.lanes;
}

static nd__kval tap_number(pool *p)
{
    return nd__k_index(&p->e.b, nd__k_type(ND_I32, lanes_of(p)), p->tap, 0);
}

/* Joins one tap to what is known: state[0] is the maximum, the element picked, or the sum; state[1] the maximum's
 * number. */
static void join(pool *p, nd__kval *state)
{
    nd__emit *e = &p->e;
    nd__kbuilder *b = &e->b;
    nd__kval *kept = nd__memo_keep(e), x = nd__emit_wide(e, p->operand);
    if (p->choice >= 0) {
        nd__kval chosen = nd__k_op2(b, ND__K_eq, nd__k_convert(b, ND_I32, nd__emit_wide(e, p->choice)), tap_number(p));
        if (p->node->op == ND__OP_max_pool_pick) {
            state[0] = nd__k_op3(b, ND__K_select, chosen, x, state[0]);
        } else {
            nd__kval zero = nd__k_const_bits(b, nd__k_type(p->node->inputs[0]->dtype, lanes_of(p)), 0);
            state[0] = nd__k_op2(b, ND__K_add, state[0], nd__k_op3(b, ND__K_select, chosen, x, zero));
        }
    } else {
        nd__maxima_join(&p->max, b, x, p->max.index ? tap_number(p) : -1, state);
    }
    nd__memo_restore(e, kept);
}

/* What tap `j` of the walk reads at position q. */
static nd__kaffine read_at(const nd__walk *w, nd__kaffine q, nd__kaffine j)
{
    return nd__k_sum(nd__k_sum(nd__k_at(w->at), nd__k_scaled(q, w->move)), nd__k_scaled(j, w->at_step));
}

static void at_tap(pool *p, nd__kaffine i, nd__kaffine j)
{
    p->e.coord[DOWN] = read_at(&p->y, p->q[0], i);
    p->e.coord[RIGHT] = read_at(&p->x, p->q[1], j);
    p->tap = nd__k_at(p->y.k * p->w.kernel[1] + p->x.k);
    p->tap = nd__k_sum(p->tap, nd__k_sum(nd__k_scaled(i, p->y.k_step * p->w.kernel[1]), nd__k_scaled(j, p->x.k_step)));
}

/* Over all taps in the order of the windows, or within one: ascending, but towards the image the windows ascend as taps
 * descend. */
static void over_taps(pool *p, nd__kval *state)
{
    nd__kbuilder *b = &p->e.b;
    const int64_t rows = p->hi[0] - p->lo[0], columns = p->hi[1] - p->lo[1];
    const bool down = p->node->op == ND__OP_max_pool_spread;
    const int n = p->max.index ? 2 : 1;
    if (rows <= 0 || columns <= 0)
        return;
    if (rows * columns <= UNROLLED) {
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < columns; j++) {
                at_tap(p, nd__k_at(down ? p->hi[0] - 1 - i : p->lo[0] + i),
                       nd__k_at(down ? p->hi[1] - 1 - j : p->lo[1] + j));
                join(p, state);
            }
        return;
    }
    nd__kval outer[2], inner[2];
    const int64_t sign = down ? -1 : 1;
    int32_t i = nd__k_for(b, nd__k_at(0), nd__k_at(rows), 1, n, state, outer);
    int32_t j = nd__k_for(b, nd__k_at(0), nd__k_at(columns), 1, n, outer, inner);
    at_tap(p, nd__k_plus(nd__k_at(down ? p->hi[0] - 1 : p->lo[0]), i, sign),
           nd__k_plus(nd__k_at(down ? p->hi[1] - 1 : p->lo[1]), j, sign));
    join(p, inner);
    nd__k_end_for(b, inner, outer);
    nd__k_end_for(b, outer, state);
}

static void emit_window(nd__emit *e, void *data)
{
    pool *p = data;
    nd__kbuilder *b = &e->b;
    const int lanes = lanes_of(p);
    nd__kval *kept = nd__memo_keep(e), state[2];
    e->open |= 1u << DOWN | 1u << RIGHT;
    if (p->choice >= 0) {
        state[0] = nd__k_const_bits(b, nd__k_type(p->node->inputs[0]->dtype, lanes), 0);
    } else { /* from the first element, which then meets itself */
        at_tap(p, nd__k_at(p->lo[0]), nd__k_at(p->lo[1]));
        state[0] = nd__emit_wide(e, p->operand);
        state[1] = tap_number(p);
        nd__memo_restore(e, kept);
    }
    over_taps(p, state);
    e->open &= ~(1u << DOWN | 1u << RIGHT);
    nd__memo_restore(e, kept);
    nd__maxima_end(&p->max, e, state);
    nd__emit_outputs(e, 0);
    nd__memo_restore(e, kept);
}

/* -- positions --------------------------------------------------------------------------------------------------------
 */

/* Positions of one axis with the same taps at a time, then the next axis. */
static void over_positions(pool *p, int axis)
{
    nd__emit *e = &p->e;
    const nd__walk *w = axis == 1 ? &p->y : &p->x;
    nd__hoist(e, 0);
    if (axis == 3) {
        if (e->lane_axis < 0)
            emit_window(e, p);
        else
            nd__over_lanes(e, p->s.size[3], emit_window, p);
        return;
    }
    for (int64_t q = 0, until; q < w->count; q = until) {
        until = nd__walk_taps(w, 0, w->taps, q, &p->lo[axis - 1], &p->hi[axis - 1]);
        nd__kval *kept = nd__memo_keep(e);
        int32_t i = nd__k_for(&e->b, nd__k_at(q), nd__k_at(until), 1, 0, NULL, NULL);
        p->q[axis - 1] = nd__k_plus(nd__k_at(0), i, 1);
        e->coord[axis] = nd__k_plus(nd__k_at(w->first), i, w->step);
        e->open |= 1u << axis;
        over_positions(p, axis + 1);
        e->open &= ~(1u << axis);
        nd__k_end_for(&e->b, NULL, NULL);
        nd__memo_restore(e, kept);
    }
}

/* -- the kernel -------------------------------------------------------------------------------------------------------
 */

static void emit_pool(pool *p)
{
    nd__emit *e = &p->e;
    const bool back = p->node->op == ND__OP_max_pool_spread;
    nd__hoist(e, 0);
    nd__kval *kept = nd__memo_keep(e);
    nd__open_axis(e, 0, 0, p->s.size[0], 1);
    nd__hoist(e, 0);
    for (int64_t i = 0; i < (back ? p->w.stride[0] : 1) && i < p->s.size[1]; i++)
        for (int64_t j = 0; j < (back ? p->w.stride[1] : 1) && j < p->s.size[2]; j++) {
            nd__kval *outside = nd__memo_keep(e);
            p->y = back ? nd__walk_to_image(&p->w, 0, i) : nd__walk_to_places(&p->w, 0);
            p->x = back ? nd__walk_to_image(&p->w, 1, j) : nd__walk_to_places(&p->w, 1);
            over_positions(p, 1);
            nd__memo_restore(e, outside);
        }
    nd__close_axis(e, 0);
    nd__memo_restore(e, kept);
}

/* Microseconds: measured, a vector of elements of the windows takes a dozen cycles. */
static double work(const pool *p)
{
    const double cycles = ND__CYCLES_A_MICROSECOND, lanes = p->s.block->target->vector_bytes / 4;
    double elements = (double)p->s.size[0] * (double)p->s.size[3] * (double)p->w.places[0] * (double)p->w.places[1];
    return 12 * elements * (double)p->w.kernel[0] * (double)p->w.kernel[1] / (lanes * cycles);
}

bool nd__lower_pool(nd__block *b, const nd__group *g, nd__steps *steps)
{
    const nd__node *n = g->anchor;
    pool p = {.node = n, .choice = -1, .w = nd__pool_of(n)};
    const nd_value *read = n->inputs[0];
    int64_t size[6];
    if (nd__elements(&n->results[0].shape) == 0)
        return true;
    for (int d = 0; d < 4; d++)
        size[d] = g->size[d];
    size[DOWN] = read->shape.dims[1];
    size[RIGHT] = read->shape.dims[2];
    nd__space_begin(&p.s, b, g, 6, size);
    nd__index at = nd__identity(&read->shape), own = nd__identity(&n->results[0].shape);
    at.at[1] = nd__lin_axis(DOWN);
    at.at[2] = nd__lin_axis(RIGHT);
    p.operand = nd__resolve(&p.s, read, &at);
    if (n->input_count > 1)
        p.choice = nd__resolve(&p.s, n->inputs[1], n->op == ND__OP_max_pool_pick ? &own : &at);
    p.max = nd__maxima_of(&p.s, n, nd__axes_of(&p.s, 4));
    p.max.is_float = p.max.is_float && p.choice < 0;
    nd__add_outputs(&p.s);
    nd__cut(&p.s, 0, 1, work(&p));
    p.e = nd__emit_begin(&p.s, "pool");
    p.e.lane_axis = p.s.size[3] > 1 ? 3 : -1;
    p.e.lanes = p.e.count = p.e.lane_axis < 0 ? 1 : nd__register_lanes(&p.s);
    if (!p.s.failed)
        emit_pool(&p);
    return nd__emit_end(&p.e, nd__elements(&read->shape), steps);
}
