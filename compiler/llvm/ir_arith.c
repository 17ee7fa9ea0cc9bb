/* Arithmetic of the kernel language, one op after another, as kops.def says. No fast-math flag is ever set: the bits
 * are the evaluator's. Where LLVM's own instruction is undefined for some operand, the operand is replaced first and
 * the result after. */
#include "compiler/llvm/ir.h"

#include <math.h>

#define B (ir->builder)

static unsigned width_of(nd_dtype dtype)
{
    return dtype == ND_BOOL ? 1 : (unsigned)(8 * nd_dtype_size(dtype));
}

static LLVMValueRef choose(nd__ir *ir, LLVMValueRef condition, LLVMValueRef x, LLVMValueRef y)
{
    if (LLVMIsConstant(condition) && LLVMIsNull(condition))
        return y;
    return LLVMBuildSelect(B, condition, x, y, "");
}

static LLVMValueRef compare(nd__ir *ir, nd__kop op, nd_dtype dtype, LLVMValueRef x, LLVMValueRef y)
{
    if (nd_dtype_is_float(dtype)) {
        LLVMRealPredicate is = op == ND__K_eq   ? LLVMRealOEQ
                               : op == ND__K_ne ? LLVMRealUNE
                               : op == ND__K_lt ? LLVMRealOLT
                                                : LLVMRealOLE;
        return LLVMBuildFCmp(B, is, x, y, "");
    }
    bool sign = nd_dtype_is_signed(dtype);
    LLVMIntPredicate is = op == ND__K_eq   ? LLVMIntEQ
                          : op == ND__K_ne ? LLVMIntNE
                          : op == ND__K_lt ? (sign ? LLVMIntSLT : LLVMIntULT)
                                           : (sign ? LLVMIntSLE : LLVMIntULE);
    return LLVMBuildICmp(B, is, x, y, "");
}

/* x < y or x is NaN ? x : y. The inner select is one instruction (minps), the NaN of x another two. */
static LLVMValueRef extreme(nd__ir *ir, nd__kop op, nd_dtype dtype, LLVMValueRef x, LLVMValueRef y)
{
    if (!nd_dtype_is_float(dtype)) {
        LLVMValueRef less = op == ND__K_min ? compare(ir, ND__K_lt, dtype, x, y) : compare(ir, ND__K_lt, dtype, y, x);
        return LLVMBuildSelect(B, less, x, y, "");
    }
    LLVMValueRef wins = LLVMBuildFCmp(B, op == ND__K_min ? LLVMRealOLT : LLVMRealOGT, x, y, "");
    LLVMValueRef best = LLVMBuildSelect(B, wins, x, y, "");
    return choose(ir, LLVMBuildFCmp(B, LLVMRealUNO, x, x, ""), x, best);
}

/* floor(x / y), and whether the caller wants x - that * y. The divisors that trap (0, and -1 of the lowest) become 1.
 */
static LLVMValueRef divide(nd__ir *ir, nd__kop op, nd_dtype dtype, LLVMValueRef x, LLVMValueRef y)
{
    LLVMTypeRef type = LLVMTypeOf(x);
    LLVMValueRef zero = LLVMConstNull(type), one = nd__ir_integer(type, 1);
    LLVMValueRef by_zero = LLVMBuildICmp(B, LLVMIntEQ, y, zero, ""), safe, quotient;
    if (!nd_dtype_is_signed(dtype)) {
        safe = LLVMBuildSelect(B, by_zero, one, y, "");
        if (op == ND__K_mod)
            return LLVMBuildSelect(B, by_zero, zero, LLVMBuildURem(B, x, safe, ""), "");
        quotient = LLVMBuildUDiv(B, x, safe, "");
        return LLVMBuildSelect(B, by_zero, zero, quotient, "");
    }
    LLVMValueRef by_minus = LLVMBuildICmp(B, LLVMIntEQ, y, LLVMConstAllOnes(type), "");
    safe = LLVMBuildSelect(B, LLVMBuildOr(B, by_zero, by_minus, ""), one, y, "");
    quotient = LLVMBuildSDiv(B, x, safe, "");
    LLVMValueRef rest = LLVMBuildSub(B, x, LLVMBuildMul(B, quotient, safe, ""), "");
    LLVMValueRef opposite = LLVMBuildICmp(B, LLVMIntSLT, LLVMBuildXor(B, rest, safe, ""), zero, "");
    LLVMValueRef below = LLVMBuildAnd(B, LLVMBuildICmp(B, LLVMIntNE, rest, zero, ""), opposite, "");
    if (op == ND__K_mod) /* by -1 and by 0, that is by 1, the rest is 0 anyway */
        return LLVMBuildSelect(B, below, LLVMBuildAdd(B, rest, safe, ""), rest, "");
    quotient = LLVMBuildSelect(B, below, LLVMBuildSub(B, quotient, one, ""), quotient, "");
    quotient = LLVMBuildSelect(B, by_minus, LLVMBuildNeg(B, x, ""), quotient, "");
    return LLVMBuildSelect(B, by_zero, zero, quotient, "");
}

static LLVMValueRef shift(nd__ir *ir, nd__kop op, nd_dtype dtype, LLVMValueRef x, LLVMValueRef count)
{
    LLVMTypeRef type = LLVMTypeOf(x);
    unsigned width = width_of(dtype);
    LLVMValueRef inside = LLVMBuildICmp(B, LLVMIntULT, count, nd__ir_integer(type, width), "");
    bool arithmetic = op == ND__K_shr && nd_dtype_is_signed(dtype);
    LLVMValueRef otherwise = arithmetic ? nd__ir_integer(type, width - 1) : LLVMConstNull(type);
    LLVMValueRef safe = LLVMBuildSelect(B, inside, count, otherwise, "");
    if (arithmetic)
        return LLVMBuildAShr(B, x, safe, "");
    LLVMValueRef moved = op == ND__K_shl ? LLVMBuildShl(B, x, safe, "") : LLVMBuildLShr(B, x, safe, "");
    return LLVMBuildSelect(B, inside, moved, LLVMConstNull(type), "");
}

static LLVMValueRef high_word(nd__ir *ir, LLVMValueRef x, LLVMValueRef y)
{
    LLVMTypeRef type = LLVMTypeOf(x), wide = nd__ir_lanes(ir->i64, nd__ir_lane_count(type));
    LLVMValueRef product = LLVMBuildMul(B, LLVMBuildZExt(B, x, wide, ""), LLVMBuildZExt(B, y, wide, ""), "");
    return LLVMBuildTrunc(B, LLVMBuildLShr(B, product, nd__ir_integer(wide, 32), ""), type, "");
}

static LLVMValueRef power_of_two(LLVMTypeRef type, unsigned n)
{
    double value = 1;
    while (n--)
        value *= 2;
    return nd__ir_float(type, value);
}

/* Truncates and saturates; a NaN gives 0. LLVM's saturating intrinsic means the same but takes vectors apart. */
static LLVMValueRef float_to_integer(nd__ir *ir, nd_dtype to, LLVMTypeRef type, LLVMValueRef x)
{
    LLVMTypeRef from = LLVMTypeOf(x);
    unsigned width = width_of(to);
    bool sign = nd_dtype_is_signed(to);
    LLVMValueRef top = power_of_two(from, sign ? width - 1 : width);
    LLVMValueRef bottom = sign ? LLVMBuildFNeg(B, top, "") : LLVMConstNull(from);
    LLVMValueRef above = LLVMBuildFCmp(B, LLVMRealOGE, x, top, "");
    LLVMValueRef inside =
        LLVMBuildAnd(B, LLVMBuildFCmp(B, LLVMRealOLT, x, top, ""), LLVMBuildFCmp(B, LLVMRealOGE, x, bottom, ""), "");
    LLVMValueRef safe = LLVMBuildSelect(B, inside, x, LLVMConstNull(from), "");
    LLVMTypeRef wide = width < 32 ? nd__ir_lanes(ir->i32, nd__ir_lane_count(from)) : type;
    LLVMValueRef result = sign || width < 32 ? LLVMBuildFPToSI(B, safe, wide, "") : LLVMBuildFPToUI(B, safe, wide, "");
    if (width < 32)
        result = LLVMBuildTrunc(B, result, type, "");
    uint64_t most = (UINT64_C(1) << (width - 1)) - 1;
    result = LLVMBuildSelect(B, above, nd__ir_integer(type, sign ? most : UINT64_MAX), result, "");
    if (!sign)
        return result;
    LLVMValueRef below = LLVMBuildFCmp(B, LLVMRealOLT, x, bottom, "");
    return LLVMBuildSelect(B, below, nd__ir_integer(type, most + 1), result, "");
}

static LLVMValueRef convert(nd__ir *ir, nd__ktype from, nd__ktype to, LLVMValueRef x)
{
    nd_dtype a = (nd_dtype)from.dtype, b = (nd_dtype)to.dtype;
    LLVMTypeRef type = nd__ir_type(ir, to);
    if (a == b)
        return x;
    if (b == ND_BOOL)
        return compare(ir, ND__K_ne, a, x, LLVMConstNull(LLVMTypeOf(x)));
    if (nd_dtype_is_float(a)) {
        if (nd_dtype_is_float(b))
            return b == ND_F64 ? LLVMBuildFPExt(B, x, type, "") : LLVMBuildFPTrunc(B, x, type, "");
        return float_to_integer(ir, b, type, x);
    }
    if (nd_dtype_is_float(b))
        return nd_dtype_is_signed(a) ? LLVMBuildSIToFP(B, x, type, "") : LLVMBuildUIToFP(B, x, type, "");
    if (width_of(b) <= width_of(a))
        return width_of(b) == width_of(a) ? x : LLVMBuildTrunc(B, x, type, "");
    return nd_dtype_is_signed(a) ? LLVMBuildSExt(B, x, type, "") : LLVMBuildZExt(B, x, type, "");
}

static LLVMValueRef bitcast(nd__ir *ir, nd__ktype from, nd__ktype to, LLVMValueRef x)
{
    if (from.dtype == to.dtype)
        return x;
    if (from.dtype == ND_BOOL || to.dtype == ND_BOOL) /* beside u8: the byte in memory */
        return convert(ir, from, to, x);
    return LLVMBuildBitCast(B, x, nd__ir_type(ir, to), "");
}

static LLVMValueRef fused(nd__ir *ir, LLVMValueRef x, LLVMValueRef y, LLVMValueRef z)
{
    if (!nd__machine_fma(ir->machine))
        return nd__ir_softfma(ir, x, y, z);
    LLVMTypeRef type = LLVMTypeOf(x);
    LLVMValueRef args[] = {x, y, z};
    return nd__ir_intrinsic(ir, "llvm.fma", 1, &type, 3, args);
}

/* x * 2^floor(n) in f64, where the product is exact; past 400 every power does the same. */
static LLVMValueRef scale_in_f64(nd__ir *ir, LLVMValueRef x, LLVMValueRef n)
{
    const int lanes = nd__ir_lane_count(LLVMTypeOf(x));
    LLVMTypeRef f32 = LLVMTypeOf(x), f64 = nd__ir_lanes(ir->f64, lanes), i64 = nd__ir_lanes(ir->i64, lanes);
    LLVMValueRef most = nd__ir_float(f32, 400), least = nd__ir_float(f32, -400), infinite = nd__ir_float(f32, INFINITY);
    LLVMValueRef whole =
        nd__ir_arith(ir, ND__K_floor, nd__k_type(ND_F32, lanes), nd__k_type(ND_F32, lanes), n, NULL, NULL);
    whole = LLVMBuildSelect(B, LLVMBuildFCmp(B, LLVMRealOLT, whole, most, ""), whole, most, "");
    whole = LLVMBuildSelect(B, LLVMBuildFCmp(B, LLVMRealOGT, whole, least, ""), whole, least, "");
    LLVMValueRef exponent = LLVMBuildAdd(B, LLVMBuildFPToSI(B, whole, i64, ""), nd__ir_integer(i64, 1023), "");
    LLVMValueRef power = LLVMBuildBitCast(B, LLVMBuildShl(B, exponent, nd__ir_integer(i64, 52), ""), f64, "");
    power = LLVMBuildSelect(B, LLVMBuildFCmp(B, LLVMRealOEQ, n, infinite, ""), nd__ir_float(f64, INFINITY), power, "");
    power = LLVMBuildSelect(B, LLVMBuildFCmp(B, LLVMRealOEQ, n, LLVMBuildFNeg(B, infinite, ""), ""), LLVMConstNull(f64),
                            power, "");
    LLVMValueRef product = LLVMBuildFMul(B, LLVMBuildFPExt(B, x, f64, ""), power, "");
    LLVMValueRef lost = LLVMBuildAnd(B, LLVMBuildFCmp(B, LLVMRealUNO, x, x, ""),
                                     LLVMBuildFCmp(B, LLVMRealOEQ, nd__ir_unary(ir, "llvm.fabs", n), infinite, ""), "");
    product = LLVMBuildSelect(B, lost, power, product, "");
    return LLVMBuildSelect(B, LLVMBuildFCmp(B, LLVMRealUNO, n, n, ""), n, LLVMBuildFPTrunc(B, product, f32, ""), "");
}

static LLVMValueRef scale(nd__ir *ir, LLVMValueRef x, LLVMValueRef n)
{
    const int lanes = nd__ir_lane_count(LLVMTypeOf(x));
    if (!nd__machine_scales(ir->machine) || lanes < 4 || lanes > 16)
        return scale_in_f64(ir, x, n);
    LLVMTypeRef mask = LLVMIntTypeInContext(ir->context, lanes == 16 ? 16 : 8);
    LLVMValueRef args[] = {x, n, x, LLVMConstAllOnes(mask),
                           LLVMConstInt(ir->i32, 4, false)}; /* rounded as the control word says */
    return lanes == 16  ? nd__ir_intrinsic(ir, "llvm.x86.avx512.mask.scalef.ps.512", 0, NULL, 5, args)
           : lanes == 8 ? nd__ir_intrinsic(ir, "llvm.x86.avx512.mask.scalef.ps.256", 0, NULL, 4, args)
                        : nd__ir_intrinsic(ir, "llvm.x86.avx512.mask.scalef.ps.128", 0, NULL, 4, args);
}

static LLVMValueRef absolute(nd__ir *ir, nd_dtype dtype, LLVMValueRef x)
{
    if (nd_dtype_is_float(dtype))
        return nd__ir_unary(ir, "llvm.fabs", x);
    if (!nd_dtype_is_signed(dtype))
        return x;
    LLVMTypeRef type = LLVMTypeOf(x);
    LLVMValueRef args[] = {x, LLVMConstInt(ir->i1, 0, false)};
    return nd__ir_intrinsic(ir, "llvm.abs", 1, &type, 2, args);
}

LLVMValueRef nd__ir_arith(nd__ir *ir, nd__kop op, nd__ktype from, nd__ktype to, LLVMValueRef x, LLVMValueRef y,
                          LLVMValueRef z)
{
    nd_dtype dtype = (nd_dtype)from.dtype;
    bool real = nd_dtype_is_float(dtype);
    switch (op) {
    case ND__K_add:
        return real ? LLVMBuildFAdd(B, x, y, "") : LLVMBuildAdd(B, x, y, "");
    case ND__K_sub:
        return real ? LLVMBuildFSub(B, x, y, "") : LLVMBuildSub(B, x, y, "");
    case ND__K_mul:
        return real ? LLVMBuildFMul(B, x, y, "") : LLVMBuildMul(B, x, y, "");
    case ND__K_div:
        return LLVMBuildFDiv(B, x, y, "");
    case ND__K_floordiv:
    case ND__K_mod:
        return divide(ir, op, dtype, x, y);
    case ND__K_mulhi:
        return high_word(ir, x, y);
    case ND__K_fma:
        return real ? fused(ir, x, y, z) : LLVMBuildAdd(B, LLVMBuildMul(B, x, y, ""), z, "");
    case ND__K_neg:
        return real ? LLVMBuildFNeg(B, x, "") : LLVMBuildNeg(B, x, "");
    case ND__K_abs:
        return absolute(ir, dtype, x);
    case ND__K_sqrt:
        return nd__ir_unary(ir, "llvm.sqrt", x);
    case ND__K_floor:
    case ND__K_ceil:
    case ND__K_rint:
        if (!nd__machine_rounds(ir->machine))
            return nd__ir_round(ir, op, x);
        return nd__ir_unary(ir,
                            op == ND__K_floor  ? "llvm.floor"
                            : op == ND__K_ceil ? "llvm.ceil"
                                               : "llvm.roundeven",
                            x);
    case ND__K_scale:
        return scale(ir, x, y);
    case ND__K_min:
    case ND__K_max:
        return extreme(ir, op, dtype, x, y);
    case ND__K_eq:
    case ND__K_ne:
    case ND__K_lt:
    case ND__K_le:
        return compare(ir, op, dtype, x, y);
    case ND__K_select:
        return LLVMBuildSelect(B, x, y, z, "");
    case ND__K_and:
        return LLVMBuildAnd(B, x, y, "");
    case ND__K_or:
        return LLVMBuildOr(B, x, y, "");
    case ND__K_xor:
        return LLVMBuildXor(B, x, y, "");
    case ND__K_not:
        return LLVMBuildNot(B, x, "");
    case ND__K_shl:
    case ND__K_shr:
        return shift(ir, op, dtype, x, y);
    case ND__K_convert:
        return convert(ir, from, to, x);
    case ND__K_bitcast:
        return bitcast(ir, from, to, x);
    default: /* the verifier lets nothing else through */
        return LLVMGetPoison(nd__ir_type(ir, to));
    }
}
