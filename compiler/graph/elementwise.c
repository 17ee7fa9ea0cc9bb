/* The elementwise builder calls: operands are brought to one dtype and shape, then it is one node. Weak constants among
 * themselves are computed at once. */
#include "compiler/graph/graph.h"
#include "compiler/kernel/elementary.h"

#include <math.h>
#include <string.h>

/* op of weak constants as a double; false: this op has no weak form. */
static bool weak_result(nd__op op, double a, double b, double *result)
{
    switch (op) {
    case ND__OP_add:
        *result = a + b;
        return true;
    case ND__OP_sub:
        *result = a - b;
        return true;
    case ND__OP_mul:
        *result = a * b;
        return true;
    case ND__OP_div:
        *result = a / b;
        return true;
    case ND__OP_floordiv:
        *result = b == 0 ? 0 : floor(a / b);
        return true;
    case ND__OP_mod:
        *result = b == 0 ? 0 : a - floor(a / b) * b;
        return true;
    case ND__OP_pow:
        *result = nd__pow_f64(a, b);
        return true;
    case ND__OP_min:
        *result = a < b || isnan(a) ? a : b;
        return true;
    case ND__OP_max:
        *result = a > b || isnan(a) ? a : b;
        return true;
    case ND__OP_neg:
        *result = -a;
        return true;
    case ND__OP_abs:
        *result = fabs(a);
        return true;
    case ND__OP_sqrt:
        *result = sqrt(a);
        return true;
    case ND__OP_exp:
        *result = nd__exp_f64(a);
        return true;
    case ND__OP_log:
        *result = nd__log_f64(a);
        return true;
    case ND__OP_log1p:
        *result = nd__log1p_f64(a);
        return true;
    case ND__OP_tanh:
        *result = nd__tanh_f64(a);
        return true;
    case ND__OP_sigmoid:
        *result = nd__sigmoid_f64(a);
        return true;
    case ND__OP_sin:
        *result = nd__sin_f64(a);
        return true;
    case ND__OP_cos:
        *result = nd__cos_f64(a);
        return true;
    case ND__OP_erf:
        *result = nd__erf_f64(a);
        return true;
    case ND__OP_floor:
        *result = floor(a);
        return true;
    case ND__OP_ceil:
        *result = ceil(a);
        return true;
    case ND__OP_rint:
        *result = rint(a);
        return true;
    default:
        return false;
    }
}

/* Whether the op of integers is an integer: not a quotient, nor what is for floats alone. */
static bool keeps_integral(nd__op op)
{
    return op == ND__OP_pow || nd__ops[op].types != ND__TYPES_FLOAT;
}

static nd_value *elementwise(nd_place place, nd__op op, int n, int skip, nd_value **values)
{
    bool poisoned;
    nd_module *m = nd__common_module(place, nd__ops[op].name, (size_t)n, values, &poisoned);
    if (!m || poisoned)
        return m ? &m->poison : NULL;
    double number;
    bool weak = values[0]->weak && values[n - 1]->weak;
    if (weak && weak_result(op, values[0]->number, values[n - 1]->number, &number)) {
        nd_value *v = nd_const_at(place, m, number);
        v->integral = v->weak && keeps_integral(op) && values[0]->integral && values[n - 1]->integral &&
                      number == floor(number) && number >= INT32_MIN && number <= INT32_MAX;
        return v;
    }
    if (!nd__unify(m, place, nd__ops[op].name, n, skip, values))
        return &m->poison;
    return nd__make(m, op, place, n, values, 0, NULL);
}

#define UNARY(name)                                                                                                    \
    nd_value *nd_##name##_at(nd_place place, nd_value *x)                                                              \
    {                                                                                                                  \
        return elementwise(place, ND__OP_##name, 1, 0, (nd_value *[]){x});                                             \
    }
#define BINARY(name)                                                                                                   \
    nd_value *nd_##name##_at(nd_place place, nd_value *a, nd_value *b)                                                 \
    {                                                                                                                  \
        return elementwise(place, ND__OP_##name, 2, 0, (nd_value *[]){a, b});                                          \
    }
UNARY(not )
UNARY(neg)
UNARY(abs)
UNARY(sqrt)
UNARY(exp)
UNARY(log)
UNARY(log1p)
UNARY(tanh)
UNARY(sigmoid)
UNARY(sin)
UNARY(cos)
UNARY(erf)
UNARY(floor)
UNARY(ceil)
UNARY(rint)
UNARY(stop_gradient)
BINARY(add)
BINARY(sub)
BINARY(mul)
BINARY(div)
BINARY(floordiv)
BINARY(mod)
BINARY(min)
BINARY(max)
BINARY(eq)
BINARY(ne)
BINARY(lt)
BINARY(le)
BINARY(gt)
BINARY(ge)
BINARY(and)
BINARY(or)
BINARY(xor)
BINARY(shl)
BINARY(shr)
#undef UNARY
#undef BINARY

bool nd__constant_number(const nd_value *v, double *number)
{
    while (v->node->op == ND__OP_broadcast || v->node->op == ND__OP_reshape)
        v = v->node->inputs[0];
    if (v->weak) {
        *number = v->number;
        return true;
    }
    const nd__attr *data = v->node->op == ND__OP_constant ? nd__get(v->node, ND__A_data) : NULL;
    if (!data || data->data->count != 1 || !nd_dtype_is_float(v->dtype))
        return false;
    *number = v->dtype == ND_F32 ? *(const float *)data->data->items : *(const double *)data->data->items;
    return true;
}

nd_value *nd_pow_at(nd_place place, nd_value *a, nd_value *b)
{
    nd_value *values[] = {a, b};
    bool poisoned;
    nd_module *m = nd__common_module(place, "pow", 2, values, &poisoned);
    if (!m || poisoned)
        return m ? &m->poison : NULL;
    double y;
    if ((a->weak && b->weak) || !nd__constant_number(b, &y) || (y != 0 && y != 1 && y != 2 && y != 3 && y != -1))
        return elementwise(place, ND__OP_pow, 2, 0, values);
    if (!nd__unify(m, place, "pow", 2, 0, values))
        return &m->poison;
    nd_value *x = values[0];
    if (!nd_dtype_is_float(x->dtype) || x->dtype != values[1]->dtype)
        return nd__make(m, ND__OP_pow, place, 2, values, 0, NULL); /* which says what is wrong */
    if (y == 0)
        return nd__filled(m, place, x->dtype, &x->shape, 1);
    if (y == 1)
        return x;
    if (y == -1)
        return nd_div_at(place, nd_const_at(place, m, 1), x);
    nd_value *square = nd_mul_at(place, x, x);
    return y == 2 ? square : nd_mul_at(place, square, x);
}

nd_value *nd__elementwise(nd_place place, nd__op op, nd_value *const *values)
{
    nd_value *operands[ND__MAX_ARITY];
    int n = nd__ops[op].arity;
    memcpy(operands, values, (size_t)n * sizeof *operands);
    return op == ND__OP_pow ? nd_pow_at(place, operands[0], operands[1])
                            : elementwise(place, op, n, nd__ops[op].rule == ND__RULE_SELECT, operands);
}

nd_value *nd_select_at(nd_place place, nd_value *condition, nd_value *a, nd_value *b)
{
    return elementwise(place, ND__OP_select, 3, 1, (nd_value *[]){condition, a, b});
}

nd_value *nd_fma_at(nd_place place, nd_value *a, nd_value *b, nd_value *c)
{
    return elementwise(place, ND__OP_fma, 3, 0, (nd_value *[]){a, b, c});
}

nd_value *nd_cast_at(nd_place place, nd_value *x, nd_dtype dtype)
{
    if (x && x->weak)
        return nd__strengthen(place, x, dtype);
    if (x && x->dtype == dtype && nd_dtype_size(dtype) > 0)
        return x;
    nd__attr attr = nd__attr_int(ND__A_dtype, dtype);
    return nd__make1(ND__OP_cast, place, x, 1, &attr);
}
