/* Algebra that is right to the bit: each rule holds for every operand, NaN, infinities, both zeros and subnormals
 * included. What is missing is missing for a reason: x + 0 is not x (-0), x * 0 is not 0 (NaN, infinities, -x), x - x
 * and x / x are not constants (NaN), a * c + b * c is rounded elsewhere than (a + b) * c, pow has its own formula, a
 * gradient is not undone.
 *
 * Rules look at operands of the new module, which are simplified already. Constants are found through views, so the
 * rules do not need folding; powers of two and shapes they compute themselves. */
#include "compiler/passes/passes.h"
#include "compiler/passes/rewrite.h"

#include <math.h>
#include <string.h>

/* A node and what stands for its operands. */
typedef struct term {
    nd_module *to;
    const nd__node *node;
    nd_value *const *x;
    bool real; /* the first operand is float */
} term;

/* -- what operands are --------------------------------------------------------------------------------------------- */

/* The element that all elements are known to be, or NULL. */
static const void *element(const nd_value *v)
{
    while (nd__ops[v->node->op].traits & ND__VIEW)
        v = v->node->inputs[0];
    const nd__data *data = v->node->op == ND__OP_constant ? nd__get(v->node, ND__A_data)->data : NULL;
    return data && data->count == 1 ? data->items : NULL;
}

/* Whether all elements are this number, of this sign. */
static bool is(const nd_value *v, double number)
{
    const void *e = element(v);
    if (!e)
        return false;
    switch (v->dtype) {
    case ND_BOOL:
    case ND_U8:
        return *(const uint8_t *)e == number;
    case ND_I32:
        return *(const int32_t *)e == number;
    case ND_U32:
        return *(const uint32_t *)e == number;
    case ND_I64:
        return *(const int64_t *)e == (int64_t)number;
    case ND_F32:
        return *(const float *)e == number && !signbit(*(const float *)e) == !signbit(number);
    case ND_F64:
        return *(const double *)e == number && !signbit(*(const double *)e) == !signbit(number);
    default:
        return false;
    }
}

/* All bits of an integer, or true. */
static bool is_ones(const nd_value *v)
{
    const unsigned char *e = element(v);
    if (v->dtype == ND_BOOL)
        return is(v, 1);
    for (size_t i = 0; e && i < nd_dtype_size(v->dtype); i++)
        if (e[i] != 0xFF)
            return false;
    return e != NULL;
}

/* k where all elements are the integer 2^k, or -1. */
static int log2_of(const nd_value *v)
{
    for (int k = 0; element(v) && k < 63; k++)
        if (is(v, ldexp(1, k)))
            return k;
    return -1;
}

static bool is_op(const nd_value *v, nd__op op)
{
    return v->node->op == op;
}

/* -- what stands for a node ---------------------------------------------------------------------------------------- */

static nd_value *one(const term *t, nd__op op, nd_value *x)
{
    return nd__make1(op, t->node->place, x, 0, NULL);
}

static nd_value *two(const term *t, nd__op op, nd_value *x, nd_value *y)
{
    return nd__make2(op, t->node->place, x, y, 0, NULL);
}

static nd_value *select(const term *t, nd_value *condition, nd_value *a, nd_value *b)
{
    return nd__make(t->to, ND__OP_select, t->node->place, 3, (nd_value *[]){condition, a, b}, 0, NULL);
}

/* The number in every element of the node's type. */
static nd_value *all(const term *t, double number)
{
    const nd_value *result = &t->node->results[0];
    return nd__filled(t->to, t->node->place, result->dtype, &result->shape, number);
}

/* The same of the type of an operand. */
static nd_value *all_like(const term *t, const nd_value *v, double number)
{
    return nd__filled(t->to, t->node->place, v->dtype, &v->shape, number);
}

static nd_value *reshaped(const term *t, nd_value *x)
{
    return nd_reshape_at(t->node->place, x, t->node->results[0].shape);
}

/* -- arithmetic ---------------------------------------------------------------------------------------------------- */

/* The neutral element of addition: -0 + x is x for both zeros, +0 + x is not. */
static bool is_nothing(const nd_value *v)
{
    return is(v, nd_dtype_is_float(v->dtype) ? -0.0 : 0);
}

static nd_value *simplify_add(const term *t)
{
    nd_value *a = t->x[0], *b = t->x[1];
    if (is_nothing(b))
        return a;
    if (is_nothing(a))
        return b;
    if (is_op(b, ND__OP_neg)) /* IEEE defines a - b as a + -b */
        return two(t, ND__OP_sub, a, b->node->inputs[0]);
    if (is_op(a, ND__OP_neg))
        return two(t, ND__OP_sub, b, a->node->inputs[0]);
    return NULL;
}

static nd_value *simplify_sub(const term *t)
{
    nd_value *a = t->x[0], *b = t->x[1];
    if (is(b, 0)) /* x - +0 is x + -0 */
        return a;
    if (is_nothing(a))
        return one(t, ND__OP_neg, b);
    if (is_op(b, ND__OP_neg))
        return two(t, ND__OP_add, a, b->node->inputs[0]);
    if (a == b && !t->real) /* infinities and NaN give NaN */
        return all(t, 0);
    return NULL;
}

static nd_value *simplify_mul(const term *t)
{
    for (int i = 0; i < 2; i++) {
        nd_value *a = t->x[i], *b = t->x[1 - i];
        if (is(b, 1))
            return a;
        if (is(b, -1)) /* the sign alone changes */
            return one(t, ND__OP_neg, a);
        if (is(b, 0) && !t->real) /* NaN, infinities and negative numbers give something else */
            return all(t, 0);
    }
    if (is_op(t->x[0], ND__OP_neg) && is_op(t->x[1], ND__OP_neg))
        return two(t, ND__OP_mul, t->x[0]->node->inputs[0], t->x[1]->node->inputs[0]);
    return NULL;
}

/* 1 / c, where c and it are normal powers of two: then a quotient and a product are the same number before rounding. */
static bool exact_reciprocal(const nd_value *v, double *reciprocal)
{
    const void *e = element(v);
    if (!e || !nd_dtype_is_float(v->dtype))
        return false;
    const bool narrow = v->dtype == ND_F32;
    const double c = narrow ? (double)*(const float *)e : *(const double *)e;
    const int least = narrow ? -126 : -1022;
    int exponent; /* c = +-0.5 * 2^exponent */
    if (!isfinite(c) || fabs(frexp(c, &exponent)) != 0.5 || exponent - 1 < least || 1 - exponent < least)
        return false;
    *reciprocal = 1 / c;
    return true;
}

static nd_value *simplify_div(const term *t)
{
    nd_value *a = t->x[0], *b = t->x[1];
    double reciprocal;
    if (is(b, 1))
        return a;
    if (is(b, -1))
        return one(t, ND__OP_neg, a);
    return exact_reciprocal(b, &reciprocal) ? two(t, ND__OP_mul, a, all_like(t, b, reciprocal)) : NULL;
}

static nd_value *simplify_floordiv(const term *t)
{
    nd_value *a = t->x[0], *b = t->x[1];
    const int k = log2_of(b);
    if (k == 0)
        return a;
    if (is(a, 0) || is(b, 0)) /* x // 0 is 0 */
        return all(t, 0);
    if (is(b, -1)) /* both wrap around */
        return one(t, ND__OP_neg, a);
    return k > 0 ? two(t, ND__OP_shr, a, all_like(t, b, k))
                 : NULL; /* the shift takes the floor, of negative numbers too */
}

static nd_value *simplify_mod(const term *t)
{
    nd_value *a = t->x[0], *b = t->x[1];
    const int k = log2_of(b);
    if (k == 0 || is(a, 0) || is(b, 0) || is(b, -1)) /* x mod 0 is 0 */
        return all(t, 0);
    return k > 0 ? two(t, ND__OP_and, a, all_like(t, b, ldexp(1, k) - 1))
                 : NULL; /* in two's complement the sign of 2^k: none */
}

static nd_value *simplify_neg(const term *t)
{
    return is_op(t->x[0], ND__OP_neg) ? t->x[0]->node->inputs[0] : NULL;
}

static nd_value *simplify_abs(const term *t)
{
    nd_value *a = t->x[0];
    if (is_op(a, ND__OP_abs) || !nd_dtype_is_signed(a->dtype))
        return a;
    return is_op(a, ND__OP_neg) ? one(t, ND__OP_abs, a->node->inputs[0]) : NULL;
}

static nd_value *simplify_min(const term *t)
{
    return t->x[0] == t->x[1] ? t->x[0] : NULL;
}

static nd_value *simplify_max(const term *t)
{
    return simplify_min(t);
}

static nd_value *simplify_fma(const term *t)
{
    nd_value *a = t->x[0], *b = t->x[1], *c = t->x[2];
    for (int i = 0; i < 2; i++) { /* a product that is exact: only the sum is rounded */
        if (is(t->x[i], 1))
            return two(t, ND__OP_add, t->x[1 - i], c);
        if (is(t->x[i], -1))
            return two(t, ND__OP_sub, c, t->x[1 - i]);
        if (is(t->x[i], 0) && !t->real)
            return c;
    }
    if (is_nothing(c))
        return two(t, ND__OP_mul, a, b);
    if (is_op(a, ND__OP_neg) && is_op(b, ND__OP_neg))
        return nd__make(t->to, ND__OP_fma, t->node->place, 3, (nd_value *[]){a->node->inputs[0], b->node->inputs[0], c},
                        0, NULL);
    return NULL;
}

/* Whole numbers stay as they are, -0, infinities and NaN too. */
static nd_value *simplify_floor(const term *t)
{
    nd_value *a = t->x[0];
    if (is_op(a, ND__OP_floor) || is_op(a, ND__OP_ceil) || is_op(a, ND__OP_rint))
        return a;
    return is_op(a, ND__OP_cast) && !nd_dtype_is_float(a->node->inputs[0]->dtype) ? a : NULL;
}

static nd_value *simplify_ceil(const term *t)
{
    return simplify_floor(t);
}

static nd_value *simplify_rint(const term *t)
{
    return simplify_floor(t);
}

/* -- comparisons, bits, choices ------------------------------------------------------------------------------------ */

static nd_value *simplify_eq(const term *t)
{
    if (t->x[0] == t->x[1] && !t->real) /* a NaN is not equal to itself */
        return all(t, 1);
    for (int i = 0; i < 2 && t->x[0]->dtype == ND_BOOL; i++) {
        if (is(t->x[i], 1))
            return t->x[1 - i];
        if (is(t->x[i], 0))
            return one(t, ND__OP_not, t->x[1 - i]);
    }
    return NULL;
}

static nd_value *simplify_ne(const term *t)
{
    if (t->x[0] == t->x[1] && !t->real)
        return all(t, 0);
    for (int i = 0; i < 2 && t->x[0]->dtype == ND_BOOL; i++) {
        if (is(t->x[i], 0))
            return t->x[1 - i];
        if (is(t->x[i], 1))
            return one(t, ND__OP_not, t->x[1 - i]);
    }
    return NULL;
}

static nd_value *simplify_lt(const term *t)
{
    return t->x[0] == t->x[1] ? all(t, 0) : NULL; /* of NaN too */
}

static nd_value *simplify_gt(const term *t)
{
    return simplify_lt(t);
}

static nd_value *simplify_le(const term *t)
{
    return t->x[0] == t->x[1] && !t->real ? all(t, 1) : NULL;
}

static nd_value *simplify_ge(const term *t)
{
    return simplify_le(t);
}

static nd_value *simplify_and(const term *t)
{
    for (int i = 0; i < 2; i++) {
        if (is_ones(t->x[i]) || t->x[0] == t->x[1])
            return t->x[1 - i];
        if (is(t->x[i], 0))
            return all(t, 0);
    }
    return NULL;
}

static nd_value *simplify_or(const term *t)
{
    for (int i = 0; i < 2; i++)
        if (is(t->x[i], 0) || t->x[0] == t->x[1])
            return t->x[1 - i];
        else if (is_ones(t->x[i]))
            return t->x[i];
    return NULL;
}

static nd_value *simplify_xor(const term *t)
{
    if (t->x[0] == t->x[1])
        return all(t, 0);
    for (int i = 0; i < 2; i++) {
        if (is(t->x[i], 0))
            return t->x[1 - i];
        if (is_ones(t->x[i]))
            return one(t, ND__OP_not, t->x[1 - i]);
    }
    return NULL;
}

static nd_value *simplify_not(const term *t)
{
    const nd_value *a = t->x[0];
    if (is_op(a, ND__OP_not))
        return a->node->inputs[0];
    if (is_op(a, ND__OP_eq)) /* not so lt and ge: a NaN makes both false */
        return two(t, ND__OP_ne, a->node->inputs[0], a->node->inputs[1]);
    if (is_op(a, ND__OP_ne))
        return two(t, ND__OP_eq, a->node->inputs[0], a->node->inputs[1]);
    return NULL;
}

static nd_value *simplify_shl(const term *t)
{
    return is(t->x[1], 0) ? t->x[0] : NULL;
}

static nd_value *simplify_shr(const term *t)
{
    return simplify_shl(t);
}

static nd_value *simplify_select(const term *t)
{
    nd_value *condition = t->x[0], *a = t->x[1], *b = t->x[2];
    if (a == b || is(condition, 1))
        return a;
    if (is(condition, 0))
        return b;
    if (is_op(condition, ND__OP_not))
        return select(t, condition->node->inputs[0], b, a);
    if (is_op(a, ND__OP_select) && a->node->inputs[0] == condition)
        return select(t, condition, a->node->inputs[1], b);
    if (is_op(b, ND__OP_select) && b->node->inputs[0] == condition)
        return select(t, condition, a, b->node->inputs[2]);
    if (a->dtype == ND_BOOL && is(a, 1) && is(b, 0))
        return condition;
    if (a->dtype == ND_BOOL && is(a, 0) && is(b, 1))
        return one(t, ND__OP_not, condition);
    return NULL;
}

/* -- types --------------------------------------------------------------------------------------------------------- */

/* How many bits of whole numbers a dtype holds exactly. */
static int whole_bits(nd_dtype dtype)
{
    return dtype == ND_BOOL  ? 1
           : dtype == ND_F32 ? 24
           : dtype == ND_F64 ? 53
                             : 8 * (int)nd_dtype_size(dtype) - nd_dtype_is_signed(dtype);
}

/* Whether every number of one dtype is one of the other. */
static bool holds(nd_dtype wide, nd_dtype narrow)
{
    if (nd_dtype_is_float(narrow))
        return nd_dtype_is_float(wide) && nd_dtype_size(wide) >= nd_dtype_size(narrow);
    return whole_bits(wide) >= whole_bits(narrow) && (nd_dtype_is_signed(wide) || !nd_dtype_is_signed(narrow));
}

/* A cast that keeps every number may be left out before another. Not where that one saturates and would then wrap
 * around: from an integer through a float to an integer that does not hold all numbers either. */
static nd_value *simplify_cast(const term *t)
{
    nd_value *a = t->x[0];
    const nd_dtype to = t->node->results[0].dtype;
    if (a->dtype == to)
        return a;
    if (!is_op(a, ND__OP_cast))
        return NULL;
    nd_value *from = a->node->inputs[0];
    const bool saturates = t->real && !nd_dtype_is_float(from->dtype) && nd_dtype_is_integer(to);
    if (!holds(a->dtype, from->dtype) || (saturates && !holds(to, from->dtype)))
        return NULL;
    nd__attr attr = nd__attr_int(ND__A_dtype, to);
    return from->dtype == to ? from : nd__make1(ND__OP_cast, t->node->place, from, 1, &attr);
}

/* Gradients were taken long ago. */
static nd_value *simplify_stop_gradient(const term *t)
{
    return t->x[0];
}

/* -- reductions, branches ------------------------------------------------------------------------------------------ */

/* A reduction of one element is x + 0. */
static nd_value *simplify_sum(const term *t)
{
    nd_value *a = t->x[0];
    if (nd__elements(&a->shape) != nd__elements(&t->node->results[0].shape) || nd__elements(&a->shape) == 0)
        return NULL;
    return reshaped(t, t->real ? two(t, ND__OP_add, a, all_like(t, a, 0)) : a);
}

static nd_value *simplify_reduce_max(const term *t)
{
    return simplify_sum(t);
}

static nd_value *simplify_reduce_min(const term *t)
{
    return simplify_sum(t);
}

static nd_value *simplify_argmax(const term *t)
{
    return t->x[0]->shape.dims[nd__get_int(t->node, ND__A_axis)] == 1 ? all(t, 0) : NULL;
}

static nd_value *simplify_argmin(const term *t)
{
    return simplify_argmax(t);
}

/* The branch that is known to be taken is a call. */
static nd_value *simplify_cond(nd__copier *c, const nd__node *node, nd_value *const *x)
{
    const nd__attr *yes = nd__get(node, ND__A_body), *no = nd__get(node, ND__A_other);
    const nd__attr *taken = is(x[0], 1) || yes->function == no->function ? yes : is(x[0], 0) ? no : NULL;
    nd_function *body = taken ? nd__copy_function(c, taken->function) : NULL;
    nd__attr attr = nd__attr_function(ND__A_body, body);
    return body ? nd__make(c->to, ND__OP_apply, node->place, node->input_count - 1, x + 1, 1, &attr) : NULL;
}

/* -- the pass ------------------------------------------------------------------------------------------------------ */

static nd_value *(*const rules[ND__OPS])(const term *) = {
#define RULE(name) [ND__OP_##name] = simplify_##name
    RULE(add),           RULE(sub),   RULE(mul),        RULE(div),        RULE(floordiv), RULE(mod),    RULE(min),
    RULE(max),           RULE(eq),    RULE(ne),         RULE(lt),         RULE(gt),       RULE(le),     RULE(ge),
    RULE(and),           RULE(or),    RULE(xor),        RULE(not ),       RULE(shl),      RULE(shr),    RULE(neg),
    RULE(abs),           RULE(floor), RULE(ceil),       RULE(rint),       RULE(select),   RULE(fma),    RULE(cast),
    RULE(stop_gradient), RULE(sum),   RULE(reduce_max), RULE(reduce_min), RULE(argmax),   RULE(argmin),
#undef RULE
};

static nd_value *simplify(nd__copier *c, const nd__node *node, nd_value *const *x, void *state)
{
    (void)state;
    if (node->op == ND__OP_cond)
        return simplify_cond(c, node, x);
    const term t = {c->to, node, x, node->input_count > 0 && nd_dtype_is_float(x[0]->dtype)};
    return rules[node->op] ? rules[node->op](&t) : NULL;
}

nd_module *nd__simplify(nd_module *m)
{
    return nd__rewrite(m, simplify, NULL);
}
