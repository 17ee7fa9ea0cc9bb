/* floor, ceil and rint of baseline x86-64, which has no instruction for them; LLVM would call libm.
 *
 * A float of 2^(mantissa bits) and more is integral already, as are infinities; a NaN stays. Below, adding and taking
 * away that power rounds to the nearest integer, ties to even; one more or less makes the floor or ceil. The sign is
 * copied back last: a result of zero has the operand's. */
#include "compiler/llvm/ir.h"

LLVMValueRef nd__ir_round(nd__ir *ir, nd__kop op, LLVMValueRef x)
{
    LLVMBuilderRef b = ir->builder;
    LLVMTypeRef type = LLVMTypeOf(x);
    int lanes = nd__ir_lane_count(type);
    bool single = type == nd__ir_lanes(ir->f32, lanes);
    LLVMValueRef integral = nd__ir_float(type, single ? 0x1p23 : 0x1p52), one = nd__ir_float(type, 1);
    LLVMValueRef size = nd__ir_unary(ir, "llvm.fabs", x);
    LLVMValueRef nearest = LLVMBuildFSub(b, LLVMBuildFAdd(b, size, integral, ""), integral, "");
    LLVMValueRef pair[] = {nearest, x};
    LLVMValueRef result = nd__ir_intrinsic(ir, "llvm.copysign", 1, &type, 2, pair);
    if (op != ND__K_rint) {
        LLVMValueRef off = LLVMBuildFCmp(b, op == ND__K_floor ? LLVMRealOGT : LLVMRealOLT, result, x, "");
        LLVMValueRef moved = op == ND__K_floor ? LLVMBuildFSub(b, result, one, "") : LLVMBuildFAdd(b, result, one, "");
        pair[0] = LLVMBuildSelect(b, off, moved, result, "");
        result = nd__ir_intrinsic(ir, "llvm.copysign", 1, &type, 2, pair);
    }
    return LLVMBuildSelect(b, LLVMBuildFCmp(b, LLVMRealOLT, size, integral, ""), result, x, "");
}
