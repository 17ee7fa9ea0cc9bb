/* What the files of the shape rules share.
 *
 * A rule sees operands of which the number and the class of dtypes are already checked. It says what is wrong in the
 * words of somebody who called the builder: the op, the operands' names and shapes. */
#ifndef NADIR_GRAPH_SHAPE_H
#define NADIR_GRAPH_SHAPE_H

#include "compiler/graph/graph.h"

typedef struct rule_call {
    nd_module *m;
    nd__op op;
    const char *name; /* what errors call it */
    nd_place place;
    int n;
    nd_value *const *in;
    const nd__attr *attrs;
    int result_count;
    nd__type *results; /* room for one; rules with more allocate */
} rule_call;

static inline const nd__attr *attr(const rule_call *c, nd__attr_key key)
{
    for (int i = 0; i < ND__MAX_ATTRS; i++)
        if (nd__ops[c->op].attrs[i] == key)
            return &c->attrs[i];
    return NULL;
}

static inline const char *show(const rule_call *c, const nd_value *v)
{
    return nd__show_type(c->m, v->dtype, &v->shape);
}

#define REFUSE(c, ...) (nd__fail((c)->m, ND_ERR_GRAPH, (c)->place, __VA_ARGS__), refuse_notes(c))

static inline bool refuse_notes(const rule_call *c)
{
    nd__note_operands(c->m, c->place, c->n, c->in);
    return false;
}

static inline bool one(rule_call *c, nd_dtype dtype, nd_shape shape)
{
    c->result_count = 1;
    c->results[0] = (nd__type){dtype, shape};
    return true;
}

/* Windows (shape_window.c). */
bool nd__rule_conv(rule_call *c);
bool nd__rule_conv_dx(rule_call *c);
bool nd__rule_conv_dw(rule_call *c);
bool nd__rule_conv_dw_pooled(rule_call *c);
bool nd__rule_pool(rule_call *c);
bool nd__rule_pool_pick(rule_call *c);
bool nd__rule_pool_spread(rule_call *c);

#endif
