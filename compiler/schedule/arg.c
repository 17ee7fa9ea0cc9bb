/* argmax and argmin: the first of the best along one axis; the first NaN wins. Kept elements lie in the lanes. */
#include "compiler/schedule/emit.h"

typedef struct arg {
    nd__space s;
    const nd__node *node;
    int axis; /* of the search */
    int operand, given;
    int64_t length;
} arg;

/* Whether x takes the place of the best so far. */
static nd__kval beats(const arg *a, nd__kbuilder *b, nd__kval best, nd__kval x)
{
    nd__kval better = a->node->op == ND__OP_argmax ? nd__k_op2(b, ND__K_lt, best, x) : nd__k_op2(b, ND__K_lt, x, best);
    if (!nd_dtype_is_float(a->node->inputs[0]->dtype))
        return better;
    nd__kval first_nan = nd__k_op2(b, ND__K_and, nd__k_op2(b, ND__K_ne, x, x), nd__k_op2(b, ND__K_eq, best, best));
    return nd__k_op2(b, ND__K_or, better, first_nan);
}

static void find(nd__emit *e, void *data)
{
    const arg *a = data;
    nd__kbuilder *b = &e->b;
    const int lanes = e->lane_axis < 0 ? 1 : e->lanes;
    nd__kval *kept = nd__memo_keep(e), best[2], last[2];
    e->coord[a->axis] = nd__k_at(0);
    e->open |= 1u << a->axis;
    nd__kval start[] = {nd__emit_wide(e, a->operand), nd__k_const_bits(b, nd__k_type(ND_I64, lanes), 0)};
    nd__memo_restore(e, kept);
    int32_t i = nd__k_for(b, nd__k_at(1), nd__k_at(a->length), 1, 2, start, best);
    e->coord[a->axis] = nd__k_plus(nd__k_at(0), i, 1);
    nd__kval x = nd__emit_wide(e, a->operand), found = beats(a, b, best[0], x);
    best[0] = nd__k_op3(b, ND__K_select, found, x, best[0]);
    best[1] =
        nd__k_op3(b, ND__K_select, found, nd__k_index(b, nd__k_type(ND_I64, lanes), e->coord[a->axis], 0), best[1]);
    nd__k_end_for(b, best, last);
    e->open &= ~(1u << a->axis);
    nd__memo_restore(e, kept);
    e->memo[a->given] = last[1];
    nd__emit_outputs(e, 0);
    nd__memo_restore(e, kept);
}

bool nd__lower_arg(nd__block *b, const nd__group *g, nd__steps *steps)
{
    const nd__node *n = g->anchor;
    const nd_shape *in = &n->inputs[0]->shape;
    const int reduced = (int)nd__get_int(n, ND__A_axis);
    arg a = {.node = n, .axis = g->rank, .length = in->dims[reduced]};
    if (nd__elements(&n->results[0].shape) == 0)
        return true;
    nd__space_begin_reduced(&a.s, b, g, in, reduced);
    nd__index at = nd__reduced_index(in->rank, reduced);
    a.operand = nd__resolve(&a.s, n->inputs[0], &at);
    a.given = nd__expr_given(&a.s, &n->results[0], nd__axes_of(&a.s, g->rank));
    nd__know(&a.s, &n->results[0], a.given);
    nd__add_outputs(&a.s);
    a.axis -= nd__collapse(&a.s, 0, g->rank - 1);
    nd__emit e = nd__emit_begin(&a.s, "arg");
    if (!a.s.failed)
        nd__emit_domain(&e, a.axis, find, &a);
    return nd__emit_end(&e, nd__elements(in), steps);
}
