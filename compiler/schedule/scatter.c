/* scatter_add: zeros, to which rows are added in ascending order of the updates. The elements of a row lie in the
 * lanes; rows come one after another, since two of them may be the same. */
#include "compiler/schedule/emit.h"

typedef struct scatter {
    nd__space s;
    nd__emit e;
    int rows; /* the axes before this one count the updates */
    int update, index, param;
    nd__lin at; /* in a row of the result */
    int64_t row_size, row_count;
} scatter;

static void clear(scatter *c)
{
    nd__kbuilder *b = &c->e.b;
    const int lanes = nd__register_lanes(&c->s);
    const int64_t count = c->row_size * c->row_count, full = count - count % lanes;
    nd__kval zero = nd__k_const_bits(b, nd__k_type(c->s.params[c->param].dtype, lanes), 0);
    if (full > 0) {
        int32_t i = nd__k_for(b, nd__k_at(0), nd__k_at(full), lanes, 0, NULL, NULL);
        nd__k_store(b, c->e.buffers[c->param], nd__k_plus(nd__k_at(0), i, 1), zero, 1, lanes);
        nd__k_end_for(b, NULL, NULL);
    }
    if (full < count)
        nd__k_store(b, c->e.buffers[c->param], nd__k_at(full), zero, 1, (int)(count - full));
}

static void add(nd__emit *e, void *data)
{
    const scatter *c = data;
    nd__kbuilder *b = &e->b;
    const bool wide = e->lane_axis >= 0;
    const int lanes = wide ? e->lanes : 1, count = wide ? e->count : 1;
    const int64_t stride = wide ? c->at.coef[e->lane_axis] : 0;
    nd__kaffine at = nd__emit_affine(e, &c->at);
    nd__kval row = nd__k_convert(b, ND_I64, nd__emit_expr(e, c->index));
    nd__kval old = nd__k_loadx(b, e->buffers[c->param], at, row, c->row_size, c->row_count, lanes, stride, count);
    nd__kval sum = nd__k_op2(b, ND__K_add, old, nd__emit_wide(e, c->update));
    nd__k_storex(b, e->buffers[c->param], at, sum, row, c->row_size, c->row_count, stride, count);
}

static void over_axis(scatter *c, int axis)
{
    nd__emit *e = &c->e;
    nd__hoist(e, 0);
    if (axis == e->lane_axis) { /* the last */
        nd__over_lanes(e, c->s.size[axis], add, c);
    } else if (axis < c->s.rank) {
        nd__kval *kept = nd__memo_keep(e);
        nd__open_axis(e, axis, 0, c->s.size[axis], 1);
        over_axis(c, axis + 1);
        nd__close_axis(e, axis);
        nd__memo_restore(e, kept);
    } else {
        add(e, c);
    }
}

bool nd__lower_scatter(nd__block *b, const nd__group *g, nd__steps *steps)
{
    const nd__node *n = g->anchor;
    const nd_value *updates = n->inputs[0], *indices = n->inputs[1], *result = &n->results[0];
    scatter c = {.rows = indices->shape.rank, .row_size = 1, .row_count = result->shape.dims[0]};
    nd__spot spot;
    nd__index identity = nd__identity(&updates->shape), in_row = {0};
    if (nd__elements(&result->shape) == 0)
        return true;
    for (int d = 1; d < result->shape.rank; d++) {
        c.row_size *= result->shape.dims[d];
        in_row.at[d] = nd__lin_axis(c.rows + d - 1);
    }
    nd__spot_of(b, result, &spot);
    nd__space_begin(&c.s, b, g, updates->shape.rank, updates->shape.dims);
    c.update = nd__resolve(&c.s, updates, &identity);
    c.index = nd__resolve(&c.s, indices, &identity);
    c.param = nd__param_of(&c.s, spot, result->dtype, nd__elements(&result->shape), ND__K_OUT, result->name);
    c.at = nd__flat(&result->shape, &in_row);
    c.e = nd__emit_begin(&c.s, "scatter");
    c.e.lanes = nd__register_lanes(&c.s);
    c.e.lane_axis = updates->shape.rank > c.rows ? updates->shape.rank - 1 : -1;
    if (!c.s.failed) {
        clear(&c);
        over_axis(&c, 0);
    }
    return nd__emit_end(&c.e, nd__elements(&updates->shape), steps);
}
