/* Lowering elementwise ops to instructions of the kernel language: one function per op of ops.def. */
#include "compiler/schedule/expr.h"

typedef struct lowering {
    nd__kbuilder *b;
    nd_dtype operand, result;
    const nd__kval *x;
} lowering;

typedef nd__kval lower_fn(const lowering *l);

#define ONE(op, instruction)                                                                                           \
    static nd__kval lower_##op(const lowering *l)                                                                      \
    {                                                                                                                  \
        return nd__k_op1(l->b, ND__K_##instruction, l->x[0]);                                                          \
    }
#define TWO(op, instruction)                                                                                           \
    static nd__kval lower_##op(const lowering *l)                                                                      \
    {                                                                                                                  \
        return nd__k_op2(l->b, ND__K_##instruction, l->x[0], l->x[1]);                                                 \
    }
#define SWAPPED(op, instruction)                                                                                       \
    static nd__kval lower_##op(const lowering *l)                                                                      \
    {                                                                                                                  \
        return nd__k_op2(l->b, ND__K_##instruction, l->x[1], l->x[0]);                                                 \
    }
#define THREE(op, instruction)                                                                                         \
    static nd__kval lower_##op(const lowering *l)                                                                      \
    {                                                                                                                  \
        return nd__k_op3(l->b, ND__K_##instruction, l->x[0], l->x[1], l->x[2]);                                        \
    }
#define FUNCTION(op, function)                                                                                         \
    static nd__kval lower_##op(const lowering *l)                                                                      \
    {                                                                                                                  \
        return nd__k_func(l->b, ND__KF_##function, l->x[0], l->x[1]);                                                  \
    }
TWO(add, add)
TWO(sub, sub)
TWO(mul, mul)
TWO(div, div)
TWO(floordiv, floordiv)
TWO(mod, mod)
TWO(min, min)
TWO(max, max)
TWO(eq, eq)
TWO(ne, ne)
TWO(lt, lt)
TWO(le, le)
SWAPPED(gt, lt)
SWAPPED(ge, le)
TWO(and, and)
TWO(or, or)
TWO(xor, xor)
TWO(shl, shl)
TWO(shr, shr)
ONE(not, not )
ONE(abs, abs)
ONE(sqrt, sqrt)
ONE(floor, floor)
ONE(ceil, ceil)
ONE(rint, rint)
THREE(select, select)
THREE(fma, fma)
FUNCTION(pow, POW)
FUNCTION(exp, EXP)
FUNCTION(log, LOG)
FUNCTION(log1p, LOG1P)
FUNCTION(tanh, TANH)
FUNCTION(sigmoid, SIGMOID)
FUNCTION(sin, SIN)
FUNCTION(cos, COS)
FUNCTION(erf, ERF)

static nd__kval lower_neg(const lowering *l)
{
    if (nd_dtype_is_float(l->operand))
        return nd__k_op1(l->b, ND__K_neg, l->x[0]);
    nd__ktype type = l->b->k->types[l->x[0]];
    nd__kval zero = nd__k_splat(l->b, nd__k_const_bits(l->b, nd__k_type(l->operand, 1), 0), type.lanes);
    return nd__k_op2(l->b, ND__K_sub, zero, l->x[0]);
}

static nd__kval lower_cast(const lowering *l)
{
    return nd__k_convert(l->b, l->result, l->x[0]);
}

static nd__kval lower_stop_gradient(const lowering *l)
{
    return l->x[0];
}

/* The ops that are no elementwise ones: leaves and views become addresses (expr.c), the others kernels of their own. */
static nd__kval lower_none(const lowering *l)
{
    l->b->k->failed = true;
    return -1;
}
#define lower_input            lower_none
#define lower_variable         lower_none
#define lower_constant         lower_none
#define lower_size             lower_none
#define lower_iota             lower_none
#define lower_random_bits      lower_none
#define lower_sum              lower_none
#define lower_reduce_max       lower_none
#define lower_reduce_min       lower_none
#define lower_argmax           lower_none
#define lower_argmin           lower_none
#define lower_matmul           lower_none
#define lower_conv2d           lower_none
#define lower_conv2d_dx        lower_none
#define lower_conv2d_dw        lower_none
#define lower_conv2d_dw_pooled lower_none
#define lower_max_pool         lower_none
#define lower_max_pool_index   lower_none
#define lower_max_pool_pick    lower_none
#define lower_max_pool_spread  lower_none
#define lower_reshape          lower_none
#define lower_transpose        lower_none
#define lower_broadcast        lower_none
#define lower_slice            lower_none
#define lower_concat           lower_none
#define lower_pad              lower_none
#define lower_gather           lower_none
#define lower_scatter_add      lower_none
#define lower_apply            lower_none
#define lower_cond             lower_none
#define lower_scan             lower_none

static lower_fn *const lower[ND__OPS] = {
#define OP(name, ...) [ND__OP_##name] = lower_##name,
#include "compiler/graph/ops.def"
#undef OP
};

nd__kval nd__lower_op(nd__kbuilder *b, nd__op op, nd_dtype operand, nd_dtype result, const nd__kval *args)
{
    return lower[op](&(lowering){b, operand, result, args});
}

/* Philox4x32-10: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011, section 3.3 and
 * table 2. */
nd__kval nd__lower_random(nd__kbuilder *b, nd__kval element, nd__kval key0, nd__kval key1, uint64_t stream)
{
    int lanes = b->k->types[element].lanes;
    nd__ktype u32 = nd__k_type(ND_U32, 1), i64 = nd__k_type(ND_I64, 1);
#define CONSTANT(type, bits) nd__k_splat(b, nd__k_const_bits(b, type, bits), lanes)
    nd__kval block = nd__k_op2(b, ND__K_shr, element, CONSTANT(i64, 2));
    nd__kval word = nd__k_convert(b, ND_U32, nd__k_op2(b, ND__K_and, element, CONSTANT(i64, 3)));
    nd__kval c[4] = {nd__k_convert(b, ND_U32, block),
                     nd__k_convert(b, ND_U32, nd__k_op2(b, ND__K_shr, block, CONSTANT(i64, 32))),
                     CONSTANT(u32, stream & 0xffffffff), CONSTANT(u32, stream >> 32)};
    nd__kval m0 = CONSTANT(u32, 0xD2511F53), m1 = CONSTANT(u32, 0xCD9E8D57), w0 = CONSTANT(u32, 0x9E3779B9),
             w1 = CONSTANT(u32, 0xBB67AE85);
    for (int round = 0; round < 10; round++) {
        if (round > 0) {
            key0 = nd__k_op2(b, ND__K_add, key0, w0);
            key1 = nd__k_op2(b, ND__K_add, key1, w1);
        }
        nd__kval high0 = nd__k_op2(b, ND__K_mulhi, m0, c[0]), low0 = nd__k_op2(b, ND__K_mul, m0, c[0]);
        nd__kval high1 = nd__k_op2(b, ND__K_mulhi, m1, c[2]), low1 = nd__k_op2(b, ND__K_mul, m1, c[2]);
        c[0] = nd__k_op2(b, ND__K_xor, nd__k_op2(b, ND__K_xor, high1, c[1]), key0);
        c[1] = low1;
        c[2] = nd__k_op2(b, ND__K_xor, nd__k_op2(b, ND__K_xor, high0, c[3]), key1);
        c[3] = low0;
    }
    nd__kval result = c[0];
    for (uint64_t i = 1; i < 4; i++)
        result = nd__k_op3(b, ND__K_select, nd__k_op2(b, ND__K_eq, word, CONSTANT(u32, i)), c[i], result);
#undef CONSTANT
    return result;
}
