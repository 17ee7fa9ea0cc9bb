/* Moving elements: concat, pad. One kernel for each part of the result that no other stores there (place.c). */
#include "compiler/schedule/emit.h"

/* Where element (i, j, ..) of an operand lies in the result: along axis d at first[d] + step[d] * i. */
typedef struct position {
    int64_t first[ND_MAX_RANK], step[ND_MAX_RANK];
} position;

static bool write_map(nd__space *s, const char *what, nd__steps *steps)
{
    nd__collapse(s, 0, s->rank - 1);
    nd__emit e = nd__emit_begin(s, what);
    if (!s->failed)
        nd__emit_map(&e);
    return nd__emit_end(&e, 0, steps);
}

static bool place(nd__block *b, const nd__group *g, const nd_value *v, const position *p, nd__steps *steps)
{
    const nd_value *result = &g->anchor->results[0];
    nd__space s;
    nd__spot spot;
    nd__index identity = nd__identity(&v->shape), to = {0};
    if (nd__elements(&v->shape) == 0)
        return true;
    nd__spot_of(b, result, &spot);
    for (int d = 0; d < v->shape.rank; d++)
        to.at[d] = nd__lin_add(nd__lin_const(p->first[d]), nd__lin_axis(d), p->step[d]);
    nd__space_begin(&s, b, g, v->shape.rank, v->shape.dims);
    nd__add_output(&s, nd__resolve(&s, v, &identity), spot, v->dtype, nd__elements(&result->shape),
                   nd__flat(&result->shape, &to), result->name);
    return write_map(&s, nd__ops[g->anchor->op].name, steps);
}

static bool lower_concat(nd__block *b, const nd__group *g, nd__steps *steps)
{
    const nd__node *n = g->anchor;
    const int axis = (int)nd__get_int(n, ND__A_axis);
    position p = {0};
    for (int d = 0; d < n->results[0].shape.rank; d++)
        p.step[d] = 1;
    for (int i = 0; i < n->input_count; i++) {
        if (!nd__part_is_placed(b, n, i) && !place(b, g, n->inputs[i], &p, steps))
            return false;
        p.first[axis] += n->inputs[i]->shape.dims[axis];
    }
    return true;
}

/* Everything becomes padding before the elements take their places. */
static bool lower_pad(nd__block *b, const nd__group *g, nd__steps *steps)
{
    const nd__node *n = g->anchor;
    const nd_value *result = &n->results[0], *v = n->inputs[0];
    position p = {0};
    for (int d = 0; d < v->shape.rank; d++) {
        p.first[d] = nd__get_ints(n, ND__A_low)[d];
        p.step[d] = nd__get_ints(n, ND__A_interior)[d] + 1;
    }
    if (nd__elements(&result->shape) == 0)
        return true;
    nd__space s;
    nd__spot spot;
    nd__index identity = nd__identity(&result->shape);
    nd__spot_of(b, result, &spot);
    nd__space_begin(&s, b, g, result->shape.rank, result->shape.dims);
    int fill = nd__expr_const(&s, v->dtype, nd__element_bits(v->dtype, nd__get(n, ND__A_value)->data->items));
    nd__add_output(&s, fill, spot, v->dtype, nd__elements(&result->shape), nd__flat(&result->shape, &identity),
                   result->name);
    return write_map(&s, "fill", steps) && place(b, g, v, &p, steps);
}

bool nd__lower_move(nd__block *b, const nd__group *g, nd__steps *steps)
{
    return g->anchor->op == ND__OP_concat ? lower_concat(b, g, steps) : lower_pad(b, g, steps);
}
