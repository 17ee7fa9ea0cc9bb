/* Functions of elements. */
#include "reference_call.h"

static wide floor_div(wide a, wide b)
{
    return b == 0 ? 0 : (a - (a % b + b) % b) / b;
}

/* `real` from doubles a, b, c; `integer` from wide a, b, c; either may be what an op does not have. */
#define ELEMENTWISE(name, of_reals, of_integers)                                                                       \
    static double real_##name(double a, double b, double c)                                                            \
    {                                                                                                                  \
        (void)a, (void)b, (void)c;                                                                                     \
        return of_reals;                                                                                               \
    }                                                                                                                  \
    static wide whole_##name(nd_dtype dtype, wide a, wide b, wide c)                                                   \
    {                                                                                                                  \
        (void)dtype, (void)a, (void)b, (void)c;                                                                        \
        return of_integers;                                                                                            \
    }                                                                                                                  \
    void reference_##name(const reference_call *c)                                                                     \
    {                                                                                                                  \
        elementwise(c, real_##name, whole_##name);                                                                     \
    }

static void elementwise(const reference_call *c, double (*real)(double, double, double),
                        wide (*whole)(nd_dtype, wide, wide, wide))
{
    const reference_value *x = c->in[0], *y = c->in[c->node->input_count > 1 ? 1 : 0],
                          *z = c->in[c->node->input_count > 2 ? 2 : 0];
    for (int64_t i = 0; i < c->out[0].count; i++)
        if (nd_dtype_is_float(x->dtype)) {
            double result = real(x->real[i], y->real[i], z->real[i]);
            set_real(c, i, result);
            c->out[0].whole[i] = result != 0; /* what a comparison gives */
            if (c->node->op == ND__OP_fma)
                c->out[0].scale[i] = fabs(x->real[i] * y->real[i]) + fabs(z->real[i]);
        } else {
            set_whole(c, i, whole(x->dtype, x->whole[i], y->whole[i], z->whole[i]));
        }
}

#define NONE 0
/* clang-format off */
ELEMENTWISE(add, a + b, a + b)
ELEMENTWISE(sub, a - b, a - b)
ELEMENTWISE(mul, a * b, a * b)
ELEMENTWISE(div, a / b, NONE)
ELEMENTWISE(floordiv, NONE, floor_div(a, b))
ELEMENTWISE(mod, NONE, b == 0 ? 0 : a - floor_div(a, b) * b)
ELEMENTWISE(pow, pow(a, b), NONE)
ELEMENTWISE(min, isnan(a) || isnan(b) ? (isnan(a) ? a : b) : a < b ? a : b, a < b ? a : b)
ELEMENTWISE(max, isnan(a) || isnan(b) ? (isnan(a) ? a : b) : a > b ? a : b, a > b ? a : b)
ELEMENTWISE(eq, !isunordered(a, b) && !islessgreater(a, b), a == b)
ELEMENTWISE(ne, isunordered(a, b) || islessgreater(a, b), a != b)
ELEMENTWISE(lt, isless(a, b), a < b)
ELEMENTWISE(le, islessequal(a, b), a <= b)
ELEMENTWISE(gt, isgreater(a, b), a > b)
ELEMENTWISE(ge, isgreaterequal(a, b), a >= b)
ELEMENTWISE(and, NONE, a & b)
ELEMENTWISE(or, NONE, a | b)
ELEMENTWISE(xor, NONE, a ^ b)
ELEMENTWISE(not, NONE, dtype == ND_BOOL ? !a : -a - 1)
ELEMENTWISE(shl, NONE, b < 0 || b >= bits_of(dtype) ? 0 : a * ((wide)1 << b))
ELEMENTWISE(shr, NONE, floor_div(a, (wide)1 << (b < 0 || b >= bits_of(dtype) ? 64 : b)))
ELEMENTWISE(neg, copysign(a, signbit(a) ? 1 : -1), -a)
ELEMENTWISE(abs, copysign(a, 1), a < 0 ? -a : a)
ELEMENTWISE(sqrt, sqrt(a), NONE)
ELEMENTWISE(exp, exp(a), NONE)
ELEMENTWISE(log, log(a), NONE)
ELEMENTWISE(log1p, log1p(a), NONE)
ELEMENTWISE(tanh, tanh(a), NONE)
ELEMENTWISE(sigmoid, a < 0 ? exp(a) / (1 + exp(a)) : 1 / (1 + exp(-a)), NONE)
ELEMENTWISE(sin, sin(a), NONE)
ELEMENTWISE(cos, cos(a), NONE)
ELEMENTWISE(erf, erf(a), NONE)
ELEMENTWISE(floor, floor(a), NONE)
ELEMENTWISE(ceil, ceil(a), NONE)
ELEMENTWISE(rint, nearbyint(a), NONE)
ELEMENTWISE(fma, a * b + c, a * b + c)
/* clang-format on */

void reference_stop_gradient(const reference_call *c)
{
    for (int64_t i = 0; i < c->out[0].count; i++)
        move(c, i, c->in[0], i);
}

void reference_select(const reference_call *c)
{
    for (int64_t i = 0; i < c->out[0].count; i++)
        move(c, i, c->in[c->in[0]->whole[i] ? 1 : 2], i);
}

void reference_cast(const reference_call *c)
{
    const nd_dtype from = c->in[0]->dtype, to = c->out[0].dtype;
    for (int64_t i = 0; i < c->out[0].count; i++) {
        double real = c->in[0]->real[i];
        int64_t whole = c->in[0]->whole[i];
        if (nd_dtype_is_float(to))
            set_real(c, i, nd_dtype_is_float(from) ? real : (double)whole);
        else if (to == ND_BOOL)
            set_whole(c, i, nd_dtype_is_float(from) ? real != 0 : whole != 0);
        else
            set_whole(c, i, nd_dtype_is_float(from) ? saturated(to, real) : whole);
    }
}
