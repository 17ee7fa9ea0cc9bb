/* fma where the processor has none, exactly rounded, as internal functions that are written when first asked for.
 *
 * f32, four lanes at a time, in f64: the product is exact; the sum s = p + c, rounded to f32 a second time, is wrong
 * only when s lies exactly half way between two f32 (or the result is so small that f32 has fewer bits). Those rare
 * vectors are done again with s rounded to odd, after which the second rounding is innocuous (Boldo and Melquiond,
 * "Emulation of a FMA and correctly rounded sums: proved algorithms using rounding to odd", section 3).
 *
 * f64, one lane at a time, in 128-bit integers: product and addend are aligned with a sticky bit for what is shifted
 * out, added, normalised and rounded once. Infinities, NaNs and zeros are left to a * b + c, which is right for them.
 */
#include "compiler/llvm/ir.h"

#define B (ir->builder)

/* -- f32 ---------------------------------------------------------------------------------------------------------- */

/* Whether any lane of a mask is set, as an i1. */
static LLVMValueRef any_lane(nd__ir *ir, LLVMValueRef mask)
{
    int lanes = nd__ir_lane_count(LLVMTypeOf(mask));
    if (lanes == 1)
        return mask;
    LLVMValueRef bits = LLVMBuildBitCast(B, mask, LLVMIntTypeInContext(ir->context, (unsigned)lanes), "");
    return LLVMBuildIsNotNull(B, bits, "");
}

/* p + c rounded to odd: one step towards zero where s is beyond the exact sum, then the last bit set where s is not
 * exact. */
static LLVMValueRef sum_to_odd(nd__ir *ir, LLVMValueRef p, LLVMValueRef c, LLVMValueRef s)
{
    LLVMTypeRef wide = LLVMTypeOf(s), integers = nd__ir_lanes(ir->i64, nd__ir_lane_count(wide));
    LLVMValueRef t = LLVMBuildFSub(B, s, p, "");
    LLVMValueRef error =
        LLVMBuildFAdd(B, LLVMBuildFSub(B, p, LLVMBuildFSub(B, s, t, ""), ""), LLVMBuildFSub(B, c, t, ""), "");
    LLVMValueRef inexact =
        LLVMBuildFCmp(B, LLVMRealONE, error, LLVMConstNull(wide), ""); /* false for a NaN: s is not finite */
    LLVMValueRef s_bits = LLVMBuildBitCast(B, s, integers, ""), error_bits = LLVMBuildBitCast(B, error, integers, "");
    LLVMValueRef opposite = LLVMBuildLShr(B, LLVMBuildXor(B, s_bits, error_bits, ""), nd__ir_integer(integers, 63), "");
    LLVMValueRef odd = LLVMBuildOr(B, LLVMBuildSub(B, s_bits, opposite, ""), nd__ir_integer(integers, 1), "");
    return LLVMBuildBitCast(B, LLVMBuildSelect(B, inexact, odd, s_bits, ""), wide, "");
}

static void write_f32(nd__ir *ir, LLVMValueRef function, int lanes)
{
    LLVMTypeRef type = nd__ir_lanes(ir->f32, lanes), wide = nd__ir_lanes(ir->f64, lanes);
    LLVMTypeRef words = nd__ir_lanes(ir->i32, lanes), integers = nd__ir_lanes(ir->i64, lanes);
    LLVMBasicBlockRef quick = LLVMAppendBasicBlockInContext(ir->context, function, "");
    LLVMBasicBlockRef again = LLVMAppendBasicBlockInContext(ir->context, function, "");
    LLVMBasicBlockRef done = LLVMAppendBasicBlockInContext(ir->context, function, "");
    LLVMPositionBuilderAtEnd(B, quick);
    LLVMValueRef a = LLVMBuildFPExt(B, LLVMGetParam(function, 0), wide, "");
    LLVMValueRef b = LLVMBuildFPExt(B, LLVMGetParam(function, 1), wide, "");
    LLVMValueRef c = LLVMBuildFPExt(B, LLVMGetParam(function, 2), wide, "");
    LLVMValueRef p = LLVMBuildFMul(B, a, b, "");
    LLVMValueRef s = LLVMBuildFAdd(B, p, c, "");
    LLVMValueRef once = LLVMBuildFPTrunc(B, s, type, "");
    LLVMValueRef low = LLVMBuildTrunc(B, LLVMBuildBitCast(B, s, integers, ""), words, "");
    LLVMValueRef dropped = LLVMBuildAnd(B, low, nd__ir_integer(words, 0x1fffffff), "");
    LLVMValueRef half_way = LLVMBuildICmp(B, LLVMIntEQ, dropped, nd__ir_integer(words, 0x10000000), "");
    LLVMValueRef size = nd__ir_unary(ir, "llvm.fabs", s);
    LLVMValueRef small = LLVMBuildFCmp(B, LLVMRealOLE, size, nd__ir_float(wide, 0x1p-126), "");
    LLVMValueRef not_zero =
        LLVMBuildFCmp(B, LLVMRealUNE, s, LLVMConstNull(wide), ""); /* a zero is exact, and frequent */
    LLVMValueRef doubtful = LLVMBuildOr(B, half_way, LLVMBuildAnd(B, small, not_zero, ""), "");
    LLVMBuildCondBr(B, any_lane(ir, doubtful), again, done);
    LLVMPositionBuilderAtEnd(B, again);
    LLVMValueRef twice = LLVMBuildFPTrunc(B, sum_to_odd(ir, p, c, s), type, "");
    LLVMBuildBr(B, done);
    LLVMPositionBuilderAtEnd(B, done);
    LLVMValueRef result = LLVMBuildPhi(B, type, ""), values[] = {once, twice};
    LLVMBasicBlockRef from[] = {quick, again};
    LLVMAddIncoming(result, values, from, 2);
    LLVMBuildRet(B, result);
}

/* -- f64 ---------------------------------------------------------------------------------------------------------- */

typedef struct parts {
    LLVMValueRef negative;      /* i64: 0 or 1 */
    LLVMValueRef mantissa;      /* i64: bit 52 set, also of a subnormal */
    LLVMValueRef exponent;      /* i64: the value is mantissa * 2^(exponent - 1075) */
    LLVMValueRef zero, special; /* i1: special is infinite or NaN */
} parts;

static LLVMValueRef word(nd__ir *ir, uint64_t value)
{
    return LLVMConstInt(ir->i64, value, false);
}

static LLVMValueRef leading_zeros(nd__ir *ir, LLVMValueRef x)
{
    LLVMTypeRef type = LLVMTypeOf(x);
    LLVMValueRef args[] = {x, LLVMConstInt(ir->i1, 0, false)};
    return nd__ir_intrinsic(ir, "llvm.ctlz", 1, &type, 2, args);
}

static parts take_apart(nd__ir *ir, LLVMValueRef x)
{
    parts p;
    LLVMValueRef bits = LLVMBuildBitCast(B, x, ir->i64, "");
    LLVMValueRef exponent = LLVMBuildAnd(B, LLVMBuildLShr(B, bits, word(ir, 52), ""), word(ir, 0x7ff), "");
    LLVMValueRef fraction = LLVMBuildAnd(B, bits, word(ir, (UINT64_C(1) << 52) - 1), "");
    LLVMValueRef subnormal = LLVMBuildIsNull(B, exponent, "");
    /* The mask is for a fraction of 0, which nobody uses. */
    LLVMValueRef up = LLVMBuildAnd(B, LLVMBuildSub(B, leading_zeros(ir, fraction), word(ir, 11), ""), word(ir, 63), "");
    p.negative = LLVMBuildLShr(B, bits, word(ir, 63), "");
    p.mantissa = LLVMBuildSelect(B, subnormal, LLVMBuildShl(B, fraction, up, ""),
                                 LLVMBuildOr(B, fraction, word(ir, UINT64_C(1) << 52), ""), "");
    p.exponent = LLVMBuildSelect(B, subnormal, LLVMBuildSub(B, word(ir, 1), up, ""), exponent, "");
    p.zero = LLVMBuildFCmp(B, LLVMRealOEQ, x, LLVMConstNull(ir->f64), "");
    p.special = LLVMBuildICmp(B, LLVMIntEQ, exponent, word(ir, 0x7ff), "");
    return p;
}

/* x >> by, by at most width - 1; the last bit of the result is also set when a bit that is lost was. */
static LLVMValueRef shift_sticky(nd__ir *ir, LLVMValueRef x, LLVMValueRef by)
{
    LLVMTypeRef type = LLVMTypeOf(x);
    LLVMValueRef kept = LLVMBuildLShr(B, x, by, "");
    LLVMValueRef lost = LLVMBuildICmp(B, LLVMIntNE, LLVMBuildShl(B, kept, by, ""), x, "");
    return LLVMBuildOr(B, kept, LLVMBuildZExt(B, lost, type, ""), "");
}

static LLVMValueRef least(nd__ir *ir, LLVMValueRef x, uint64_t limit)
{
    return LLVMBuildSelect(B, LLVMBuildICmp(B, LLVMIntSLT, x, word(ir, limit), ""), x, word(ir, limit), "");
}

/* The f64 nearest to m * 2^(exponent - 63) (biased: 1023 stands for 2^0), m with bit 63 set and a sticky last bit. */
static LLVMValueRef round_and_pack(nd__ir *ir, LLVMValueRef m, LLVMValueRef exponent, LLVMValueRef negative)
{
    LLVMValueRef small = LLVMBuildICmp(B, LLVMIntSLE, exponent, word(ir, 0), "");
    LLVMValueRef more =
        least(ir, LLVMBuildSelect(B, small, LLVMBuildSub(B, word(ir, 1), exponent, ""), word(ir, 0), ""), 63);
    m = shift_sticky(ir, m, more);
    LLVMValueRef kept = LLVMBuildLShr(B, m, word(ir, 11), ""), rest = LLVMBuildAnd(B, m, word(ir, 0x7ff), "");
    LLVMValueRef above = LLVMBuildICmp(B, LLVMIntUGT, rest, word(ir, 0x400), "");
    LLVMValueRef tie = LLVMBuildICmp(B, LLVMIntEQ, rest, word(ir, 0x400), "");
    LLVMValueRef odd = LLVMBuildTrunc(B, kept, ir->i1, "");
    LLVMValueRef up = LLVMBuildOr(B, above, LLVMBuildAnd(B, tie, odd, ""), "");
    kept = LLVMBuildAdd(B, kept, LLVMBuildZExt(B, up, ir->i64, ""), "");
    /* The mantissa's leading bit, and a carry out of it, count the exponent up by themselves. */
    LLVMValueRef base = LLVMBuildSelect(B, small, word(ir, 0), LLVMBuildSub(B, exponent, word(ir, 1), ""), "");
    LLVMValueRef bits = LLVMBuildAdd(B, LLVMBuildShl(B, base, word(ir, 52), ""), kept, "");
    LLVMValueRef too_big = LLVMBuildICmp(B, LLVMIntSGE, exponent, word(ir, 0x7ff), "");
    bits = LLVMBuildSelect(B, too_big, word(ir, UINT64_C(0x7ff) << 52), bits, "");
    bits = LLVMBuildOr(B, bits, LLVMBuildShl(B, negative, word(ir, 63), ""), "");
    return LLVMBuildBitCast(B, bits, ir->f64, "");
}

static void write_f64(nd__ir *ir, LLVMValueRef function)
{
    LLVMTypeRef i128 = LLVMIntTypeInContext(ir->context, 128);
    LLVMBasicBlockRef start = LLVMAppendBasicBlockInContext(ir->context, function, "");
    LLVMBasicBlockRef simple = LLVMAppendBasicBlockInContext(ir->context, function, "");
    LLVMBasicBlockRef exact = LLVMAppendBasicBlockInContext(ir->context, function, "");
    LLVMPositionBuilderAtEnd(B, start);
    LLVMValueRef xa = LLVMGetParam(function, 0), xb = LLVMGetParam(function, 1), xc = LLVMGetParam(function, 2);
    parts a = take_apart(ir, xa), b = take_apart(ir, xb), c = take_apart(ir, xc);
    LLVMValueRef easy =
        LLVMBuildOr(B, LLVMBuildOr(B, a.special, b.special, ""), LLVMBuildOr(B, a.zero, b.zero, ""), "");
    LLVMValueRef easy_c = LLVMBuildOr(B, c.special, c.zero, "");
    LLVMBuildCondBr(B, LLVMBuildOr(B, easy, easy_c, ""), simple, exact);

    /* A finite product that is not 0 beside c = 0 is just rounded (its sign stays when it vanishes), beside an infinite
     * c nothing. */
    LLVMPositionBuilderAtEnd(B, simple);
    LLVMValueRef product = LLVMBuildFMul(B, xa, xb, "");
    LLVMValueRef alone = LLVMBuildSelect(B, c.zero, product, xc, "");
    LLVMBuildRet(B, LLVMBuildSelect(B, easy, LLVMBuildFAdd(B, product, xc, ""), alone, ""));

    /* The product at bits 20 .. 125, the addend at bits 72 .. 124 of 128, each with its exponent. */
    LLVMPositionBuilderAtEnd(B, exact);
    LLVMValueRef p =
        LLVMBuildMul(B, LLVMBuildZExt(B, a.mantissa, i128, ""), LLVMBuildZExt(B, b.mantissa, i128, ""), "");
    p = LLVMBuildShl(B, p, LLVMConstInt(i128, 20, false), "");
    LLVMValueRef q = LLVMBuildShl(B, LLVMBuildZExt(B, c.mantissa, i128, ""), LLVMConstInt(i128, 72, false), "");
    LLVMValueRef p_exponent = LLVMBuildSub(B, LLVMBuildAdd(B, a.exponent, b.exponent, ""), word(ir, 2150 + 20), "");
    LLVMValueRef q_exponent = LLVMBuildSub(B, c.exponent, word(ir, 1075 + 72), "");
    LLVMValueRef ahead = LLVMBuildSub(B, q_exponent, p_exponent, "");
    LLVMValueRef p_is_less = LLVMBuildICmp(B, LLVMIntSGT, ahead, word(ir, 0), "");
    LLVMValueRef distance = LLVMBuildSelect(B, p_is_less, ahead, LLVMBuildNeg(B, ahead, ""), "");
    distance = LLVMBuildZExt(B, least(ir, distance, 127), i128, "");
    LLVMValueRef moved = shift_sticky(ir, LLVMBuildSelect(B, p_is_less, p, q, ""), distance);
    p = LLVMBuildSelect(B, p_is_less, moved, p, "");
    q = LLVMBuildSelect(B, p_is_less, q, moved, "");
    LLVMValueRef exponent = LLVMBuildSelect(B, p_is_less, q_exponent, p_exponent, "");

    LLVMValueRef p_negative = LLVMBuildXor(B, a.negative, b.negative, "");
    LLVMValueRef same = LLVMBuildICmp(B, LLVMIntEQ, p_negative, c.negative, "");
    LLVMValueRef less = LLVMBuildICmp(B, LLVMIntULT, p, q, "");
    LLVMValueRef difference = LLVMBuildSelect(B, less, LLVMBuildSub(B, q, p, ""), LLVMBuildSub(B, p, q, ""), "");
    LLVMValueRef sum = LLVMBuildSelect(B, same, LLVMBuildAdd(B, p, q, ""), difference, "");
    LLVMValueRef negative = LLVMBuildSelect(B, less, c.negative, p_negative, "");
    LLVMValueRef vanished = LLVMBuildIsNull(B, sum, "");

    LLVMValueRef up = LLVMBuildAnd(B, leading_zeros(ir, sum), LLVMConstInt(i128, 127, false), "");
    sum = LLVMBuildShl(B, sum, up, "");
    LLVMValueRef high = LLVMBuildTrunc(B, LLVMBuildLShr(B, sum, LLVMConstInt(i128, 64, false), ""), ir->i64, "");
    LLVMValueRef low = LLVMBuildIsNotNull(B, LLVMBuildTrunc(B, sum, ir->i64, ""), "");
    high = LLVMBuildOr(B, high, LLVMBuildZExt(B, low, ir->i64, ""), "");
    exponent = LLVMBuildSub(B, exponent, LLVMBuildTrunc(B, up, ir->i64, ""), "");
    exponent = LLVMBuildAdd(B, exponent, word(ir, 127 + 1023), "");
    LLVMValueRef packed = round_and_pack(ir, high, exponent, negative);
    LLVMBuildRet(B, LLVMBuildSelect(B, vanished, LLVMConstNull(ir->f64), packed, ""));
}

/* -- both --------------------------------------------------------------------------------------------------------- */

static LLVMValueRef soft_function(nd__ir *ir, LLVMTypeRef signature, bool single, int lanes)
{
    char name[32];
    snprintf(name, sizeof name, "fma %s x %d", single ? "f32" : "f64", lanes);
    LLVMValueRef function = nd__ir_internal(ir, name);
    if (function)
        return function;
    LLVMBasicBlockRef here = LLVMGetInsertBlock(B);
    function = nd__ir_function(ir, name, signature, LLVMInternalLinkage);
    if (single)
        write_f32(ir, function, lanes);
    else
        write_f64(ir, function);
    LLVMPositionBuilderAtEnd(B, here);
    return function;
}

LLVMValueRef nd__ir_softfma(nd__ir *ir, LLVMValueRef x, LLVMValueRef y, LLVMValueRef z)
{
    LLVMTypeRef whole = LLVMTypeOf(x);
    int lanes = nd__ir_lane_count(whole);
    bool single = whole == nd__ir_lanes(ir->f32, lanes);
    int piece = single ? (lanes < 4 ? lanes : 4) : 1;
    LLVMTypeRef type = nd__ir_lanes(single ? ir->f32 : ir->f64, piece), three[] = {type, type, type};
    LLVMTypeRef signature = LLVMFunctionType(type, three, 3, false);
    LLVMValueRef function = soft_function(ir, signature, single, piece);
    LLVMValueRef parts_done[ND__MAX_LANES];
    for (int i = 0; i < lanes; i += piece) {
        LLVMValueRef args[] = {nd__ir_part(ir, x, i, piece), nd__ir_part(ir, y, i, piece),
                               nd__ir_part(ir, z, i, piece)};
        parts_done[i / piece] = LLVMBuildCall2(B, signature, function, args, 3, "");
    }
    if (piece == lanes)
        return parts_done[0];
    if (piece == 1) {
        LLVMValueRef joined = LLVMGetPoison(whole);
        for (int i = 0; i < lanes; i++)
            joined = LLVMBuildInsertElement(B, joined, parts_done[i], LLVMConstInt(ir->i64, (uint64_t)i, false), "");
        return joined;
    }
    for (int width = piece; width < lanes; width *= 2) {
        int all[ND__MAX_LANES];
        for (int i = 0; i < 2 * width; i++)
            all[i] = i;
        for (int i = 0; i < lanes / width / 2; i++)
            parts_done[i] = nd__ir_pick(ir, parts_done[2 * i], parts_done[2 * i + 1], 2 * width, all);
    }
    return parts_done[0];
}
