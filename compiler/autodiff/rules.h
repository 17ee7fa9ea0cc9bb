/* What the gradient rules are written with: the builder calls under short names, at the place of the node. */
#ifndef NADIR_AUTODIFF_RULES_H
#define NADIR_AUTODIFF_RULES_H

#include "compiler/autodiff/autodiff.h"

#define RULE(op, build, fixed) const nd__gradient_rule nd__gradient_of_##op = {build, fixed};
#define grad_none              nd__gradient_none
#define grad_zero              nd__gradient_zero

/* y = f(x...): a rule sets TO(i) where the walk wants it. */
#define X(i) (s->x[i])
#define TO(i)                                                                                                          \
    if (s->wants[i])                                                                                                   \
    s->dx[i]

#define NEG(a)                  nd_neg_at(s->place, a)
#define ADD(a, b)               nd_add_at(s->place, a, b)
#define SUB(a, b)               nd_sub_at(s->place, a, b)
#define MUL(a, b)               nd_mul_at(s->place, a, b)
#define DIV(a, b)               nd_div_at(s->place, a, b)
#define SELECT(condition, a, b) nd_select_at(s->place, condition, a, b)
/* a number in the type of v */
#define NUMBER(v, number) nd__filled(s->m, s->place, (v)->dtype, &(v)->shape, number)

#endif
