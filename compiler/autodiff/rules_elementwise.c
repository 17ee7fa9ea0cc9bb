/* Gradients of leaves and of ops on one element at a time. Where a function has a kink, the rule says what holds there.
 */
#include "compiler/autodiff/rules.h"

static void grad_add(nd__rule_call *s)
{
    TO(0) = s->dy;
    TO(1) = s->dy;
}

static void grad_sub(nd__rule_call *s)
{
    TO(0) = s->dy;
    TO(1) = NEG(s->dy);
}

static void grad_mul(nd__rule_call *s)
{
    TO(0) = MUL(s->dy, X(1));
    TO(1) = MUL(s->dy, X(0));
}

/* da = dy / b; db = -da y. Where b repeats few numbers (a sum that a row is divided by), each is divided by once:
 * da = dy (1 / b). */
static void grad_div(nd__rule_call *s)
{
    nd_value *b = X(1)->node->op == ND__OP_broadcast ? X(1)->node->inputs[0] : NULL;
    nd_value *da = b ? MUL(s->dy, nd_broadcast_at(s->place, DIV(NUMBER(b, 1), b), X(1)->shape)) : DIV(s->dy, X(1));
    TO(0) = da;
    TO(1) = NEG(MUL(da, s->y));
}

/* da = dy b a^(b-1), 0 where b = 0; db = dy y log a, 0 where a = 0 and b > 0. */
static void grad_pow(nd__rule_call *s)
{
    double exponent;
    if (s->wants[0] && nd__constant_number(X(1), &exponent)) {
        s->dx[0] = MUL(s->dy, MUL(NUMBER(X(0), exponent), nd_pow_at(s->place, X(0), NUMBER(X(0), exponent - 1))));
    } else if (s->wants[0]) {
        nd_value *slope = MUL(X(1), nd_pow_at(s->place, X(0), SUB(X(1), NUMBER(X(1), 1))));
        s->dx[0] = MUL(s->dy, SELECT(nd_eq_at(s->place, X(1), NUMBER(X(1), 0)), NUMBER(X(0), 0), slope));
    }
    if (s->wants[1]) {
        nd_value *zero = nd_eq_at(s->place, X(0), NUMBER(X(0), 0));
        nd_value *flat = nd_and_at(s->place, zero, nd_gt_at(s->place, X(1), NUMBER(X(1), 0)));
        s->dx[1] = MUL(s->dy, SELECT(flat, NUMBER(X(0), 0), MUL(s->y, nd_log_at(s->place, X(0)))));
    }
}

/* To the operand that was taken, a NaN too; halves where both are equal. */
static void extremum(nd__rule_call *s, nd_value *beats)
{
    nd_value *first = nd_or_at(s->place, beats, nd_ne_at(s->place, X(0), X(0))), *tie = nd_eq_at(s->place, X(0), X(1));
    nd_value *zero = NUMBER(s->dy, 0), *half = MUL(s->dy, NUMBER(s->dy, 0.5));
    TO(0) = SELECT(tie, half, SELECT(first, s->dy, zero));
    TO(1) = SELECT(tie, half, SELECT(first, zero, s->dy));
}

static void grad_max(nd__rule_call *s)
{
    extremum(s, nd_gt_at(s->place, X(0), X(1)));
}

static void grad_min(nd__rule_call *s)
{
    extremum(s, nd_lt_at(s->place, X(0), X(1)));
}

static void grad_neg(nd__rule_call *s)
{
    s->dx[0] = NEG(s->dy);
}

/* The sign of x, 0 at 0. */
static void grad_abs(nd__rule_call *s)
{
    nd_value *zero = NUMBER(X(0), 0);
    nd_value *turned = SELECT(nd_lt_at(s->place, X(0), zero), NEG(s->dy), s->dy);
    s->dx[0] = SELECT(nd_eq_at(s->place, X(0), zero), zero, turned);
}

/* 1 / (2 y) */
static void grad_sqrt(nd__rule_call *s)
{
    s->dx[0] = DIV(MUL(s->dy, NUMBER(s->dy, 0.5)), s->y);
}

static void grad_exp(nd__rule_call *s)
{
    s->dx[0] = MUL(s->dy, s->y);
}

static void grad_log(nd__rule_call *s)
{
    s->dx[0] = DIV(s->dy, X(0));
}

static void grad_log1p(nd__rule_call *s)
{
    s->dx[0] = DIV(s->dy, ADD(X(0), NUMBER(X(0), 1)));
}

/* 1 - y^2 */
static void grad_tanh(nd__rule_call *s)
{
    s->dx[0] = MUL(s->dy, SUB(NUMBER(s->y, 1), MUL(s->y, s->y)));
}

/* y (1 - y) */
static void grad_sigmoid(nd__rule_call *s)
{
    s->dx[0] = MUL(s->dy, MUL(s->y, SUB(NUMBER(s->y, 1), s->y)));
}

static void grad_sin(nd__rule_call *s)
{
    s->dx[0] = MUL(s->dy, nd_cos_at(s->place, X(0)));
}

static void grad_cos(nd__rule_call *s)
{
    s->dx[0] = NEG(MUL(s->dy, nd_sin_at(s->place, X(0))));
}

/* 2 / sqrt(pi) exp(-x^2) */
static void grad_erf(nd__rule_call *s)
{
    nd_value *bell = nd_exp_at(s->place, NEG(MUL(X(0), X(0))));
    s->dx[0] = MUL(s->dy, MUL(NUMBER(X(0), 0x1.20dd750429b6dp+0), bell));
}

/* The condition of y = x <= c ? c : x, as relu is, holds of y where it holds of x: then x need not be kept. */
static nd_value *condition_of(const nd__rule_call *s)
{
    const nd__node *le = X(0)->node;
    double bound, taken;
    if (le->op != ND__OP_le || le->inputs[0] != X(2) || !nd__constant_number(le->inputs[1], &bound) ||
        !nd__constant_number(X(1), &taken) || bound != taken)
        return X(0);
    return nd_le_at(s->place, s->y, le->inputs[1]);
}

/* The same gradient by x where it comes through a pool's windows to the maxima of y, which say themselves whether it is
 * kept: few of them, and y need not be kept either. The other elements are 0 in any case. NULL: it does not. */
static nd_value *through_pool(const nd__rule_call *s, nd_value *condition)
{
    const nd__node *spread = s->dy->node;
    double bound;
    if (condition == X(0) || spread->op != ND__OP_max_pool_spread ||
        !nd__constant_number(condition->node->inputs[1], &bound))
        return NULL;
    const nd__node *index = spread->inputs[1]->node;
    if (index->op != ND__OP_max_pool_index || index->inputs[0] != s->y)
        return NULL;
    nd_value *dy = spread->inputs[0],
             *most = nd__make1(ND__OP_max_pool, s->place, s->y, index->attr_count, index->attrs);
    nd_value *kept = SELECT(nd_le_at(s->place, most, NUMBER(most, bound)), NUMBER(dy, 0), dy);
    return nd__make2(ND__OP_max_pool_spread, s->place, kept, spread->inputs[1], spread->attr_count, spread->attrs);
}

static void grad_select(nd__rule_call *s)
{
    nd_value *zero = NUMBER(s->dy, 0), *condition = condition_of(s), *pooled = through_pool(s, condition);
    TO(1) = SELECT(condition, s->dy, zero);
    TO(2) = pooled ? pooled : SELECT(condition, zero, s->dy);
}

/* y = a b + c */
static void grad_fma(nd__rule_call *s)
{
    TO(0) = MUL(s->dy, X(1));
    TO(1) = MUL(s->dy, X(0));
    TO(2) = s->dy;
}

/* Between floats; what passes through integers, path.c has refused. */
static void grad_cast(nd__rule_call *s)
{
    s->dx[0] = nd_cast_at(s->place, s->dy, X(0)->dtype);
}

RULE(input, grad_zero, 0)
RULE(variable, grad_zero, 0)
RULE(constant, grad_zero, 0)
RULE(size, grad_zero, 0)
RULE(iota, grad_zero, 0)
RULE(random_bits, grad_none, 0)
RULE(add, grad_add, 0)
RULE(sub, grad_sub, 0)
RULE(mul, grad_mul, 0)
RULE(div, grad_div, 0)
RULE(floordiv, grad_none, 0)
RULE(mod, grad_none, 0)
RULE(pow, grad_pow, 0)
RULE(min, grad_min, 0)
RULE(max, grad_max, 0)
RULE(eq, grad_none, 0)
RULE(ne, grad_none, 0)
RULE(lt, grad_none, 0)
RULE(le, grad_none, 0)
RULE(gt, grad_none, 0)
RULE(ge, grad_none, 0)
RULE(and, grad_none, 0)
RULE(or, grad_none, 0)
RULE(xor, grad_none, 0)
RULE(not, grad_none, 0)
RULE(shl, grad_none, 0)
RULE(shr, grad_none, 0)
RULE(neg, grad_neg, 0)
RULE(abs, grad_abs, 0)
RULE(sqrt, grad_sqrt, 0)
RULE(exp, grad_exp, 0)
RULE(log, grad_log, 0)
RULE(log1p, grad_log1p, 0)
RULE(tanh, grad_tanh, 0)
RULE(sigmoid, grad_sigmoid, 0)
RULE(sin, grad_sin, 0)
RULE(cos, grad_cos, 0)
RULE(erf, grad_erf, 0)
RULE(floor, grad_zero, 0)
RULE(ceil, grad_zero, 0)
RULE(rint, grad_zero, 0)
RULE(select, grad_select, 1)
RULE(fma, grad_fma, 0)
RULE(cast, grad_cast, 0)
RULE(stop_gradient, grad_zero, 0)
