/* The elementary functions as instructions: the words of the formulas as calls of a builder, on values of `lanes`
 * lanes. */
#include "compiler/kernel/elementary.h"
#include "compiler/kernel/kernel.h"

#include <assert.h>
#include <math.h>

typedef nd__kval F32;
typedef nd__kval F64;
typedef nd__kval I32;
typedef nd__kval I64;
typedef nd__kval BOOL;

/* Where instructions go. C leaves the order of arguments open, and with it the order of the instructions that they
 * build; so operands go over a stack, one after another, and a kernel is the same text whichever compiler built us. */
typedef struct scope {
    nd__kbuilder *b;
    int lanes;
    int depth;
    nd__kval operands[32];
} scope;

static void push(scope *in, nd__kval x)
{
    assert(in->depth < 32);
    in->operands[in->depth++] = x;
}

static nd__kval op1(scope *in, nd__kop op)
{
    in->depth -= 1;
    return nd__k_op1(in->b, op, in->operands[in->depth]);
}

static nd__kval op2(scope *in, nd__kop op)
{
    in->depth -= 2;
    const nd__kval *x = in->operands + in->depth;
    return nd__k_op2(in->b, op, x[0], x[1]);
}

static nd__kval op3(scope *in, nd__kop op)
{
    in->depth -= 3;
    const nd__kval *x = in->operands + in->depth;
    return nd__k_op3(in->b, op, x[0], x[1], x[2]);
}

static nd__kval number(scope *in, nd_dtype dtype, double x)
{
    return nd__k_const(in->b, nd__k_type(dtype, in->lanes), x);
}

static nd__kval integer(scope *in, nd_dtype dtype, int64_t x)
{
    return nd__k_const_bits(in->b, nd__k_type(dtype, in->lanes), (uint64_t)x);
}

static nd__kval lookup(scope *in, nd__kval index)
{
    enum { COUNT = 4 * ND__TWO_OVER_PI_ROWS };
    int32_t table = nd__k_table(in->b->k, "two_over_pi", ND_F64, COUNT, nd__two_over_pi);
    return nd__k_loadx(in->b, table, nd__k_at(0), index, 1, COUNT, in->lanes, 0, in->lanes);
}

/* Whether a bool holds in any lane. */
static nd__kval any(scope *in, nd__kval condition)
{
    if (in->lanes == 1)
        return condition;
    nd__kval lanes = nd__k_convert(in->b, ND_I32, condition);
    return nd__k_convert(in->b, ND_BOOL, nd__k_op1(in->b, ND__K_tree_max, lanes));
}

/* Ends the branch that computed `other`: it where the condition holds, the values as they are elsewhere. */
static void merge(scope *in, nd__kval where, const nd__kval other[3], nd__kval values[3])
{
    nd__kval mixed[3];
    for (int i = 0; i < 3; i++)
        mixed[i] = nd__k_op3(in->b, ND__K_select, where, other[i], values[i]);
    nd__k_else(in->b, 3, mixed);
    nd__k_end_if(in->b, 3, values, mixed);
    for (int i = 0; i < 3; i++)
        values[i] = mixed[i];
}

#define FORMULA(type, name, ...) static type name(scope *in, __VA_ARGS__)
#define CALL(name, ...)          name(in, __VA_ARGS__)
#define K_F32(x)                 number(in, ND_F32, x)
#define K_F64(x)                 number(in, ND_F64, x)
#define K_I32(x)                 integer(in, ND_I32, x)
#define K_I64(x)                 integer(in, ND_I64, x)

#define OP1(op, x)              (push(in, x), op1(in, ND__K_##op))
#define OP2(op, x, y)           (push(in, x), push(in, y), op2(in, ND__K_##op))
#define OP3(op, x, y, z)        (push(in, x), push(in, y), push(in, z), op3(in, ND__K_##op))
#define ADD(x, y)               OP2(add, x, y)
#define SUB(x, y)               OP2(sub, x, y)
#define MUL(x, y)               OP2(mul, x, y)
#define DIV(x, y)               OP2(div, x, y)
#define FMA(x, y, z)            OP3(fma, x, y, z)
#define NEG(x)                  OP1(neg, x)
#define ABS(x)                  OP1(abs, x)
#define RINT(x)                 OP1(rint, x)
#define SCALES                  (in->b->scales && in->lanes >= 4) /* of fewer, plain arithmetic is as quick */
#define SCALE(x, n)             OP2(scale, x, n)
#define LT(x, y)                OP2(lt, x, y)
#define EQ(x, y)                OP2(eq, x, y)
#define NE(x, y)                OP2(ne, x, y)
#define NOT(x)                  OP1(not, x)
#define BOTH(x, y)              OP2(and, x, y)
#define EITHER(x, y)            OP2(or, x, y)
#define SELECT(condition, x, y) OP3(select, condition, x, y)
#define IADD(x, y)              OP2(add, x, y)
#define ISUB(x, y)              OP2(sub, x, y)
#define SHL(x, n)               OP2(shl, x, n)
#define SHR(x, n)               OP2(shr, x, n)
#define AND(x, y)               OP2(and, x, y)
#define OR(x, y)                OP2(or, x, y)
#define XOR(x, y)               OP2(xor, x, y)
#define TO_F32(x)               nd__k_convert(in->b, ND_F32, x)
#define TO_F64(x)               nd__k_convert(in->b, ND_F64, x)
#define BITS_F32(x)             nd__k_bitcast(in->b, ND_I32, x)
#define BITS_F64(x)             nd__k_bitcast(in->b, ND_I64, x)
#define F32_OF(bits)            nd__k_bitcast(in->b, ND_F32, bits)
#define F64_OF(bits)            nd__k_bitcast(in->b, ND_F64, bits)
#define LOOKUP_TWO_OVER_PI(i)   lookup(in, i)
/* A branch for all lanes, since the other way is long: taken if the condition holds in any, for the lanes where it
 * does. */
#define RARELY(condition, x, otherwise)                                                                                \
    do {                                                                                                               \
        nd__kval where_ = condition;                                                                                   \
        nd__k_if(in->b, any(in, where_));                                                                              \
        reduced other_ = otherwise;                                                                                    \
        nd__kval values_[3] = {(x).hi, (x).lo, (x).quadrant};                                                          \
        merge(in, where_, (const nd__kval[3]){other_.hi, other_.lo, other_.quadrant}, values_);                        \
        x = (reduced){values_[0], values_[1], values_[2]};                                                             \
    } while (0)

#include "compiler/kernel/elementary_f64.inc"
#include "compiler/kernel/elementary_f32.inc"

typedef nd__kval function(scope *in, nd__kval x);

nd__kval nd__k_func(nd__kbuilder *b, nd__kfunc func, nd__kval x, nd__kval y)
{
    static function *const functions[][2] = {
        [ND__KF_EXP] = {exp_f32, exp_f64},
        [ND__KF_LOG] = {log_f32, log_f64},
        [ND__KF_LOG1P] = {log1p_f32, log1p_f64},
        [ND__KF_TANH] = {tanh_f32, tanh_f64},
        [ND__KF_SIGMOID] = {sigmoid_f32, sigmoid_f64},
        [ND__KF_SIN] = {sin_f32, sin_f64},
        [ND__KF_COS] = {cos_f32, cos_f64},
        [ND__KF_ERF] = {erf_f32, erf_f64},
    };
    if (!b->k || b->k->failed || x < 0)
        return -1;
    scope in = {.b = b, .lanes = b->k->types[x].lanes};
    bool wide = b->k->types[x].dtype == ND_F64;
    if (func == ND__KF_POW)
        return wide ? pow_f64(&in, x, y) : pow_f32(&in, x, y);
    return functions[func][wide](&in, x);
}
