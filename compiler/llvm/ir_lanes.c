/* Moving lanes: splats, parts, trees, transposes. */
#include "compiler/llvm/ir.h"

#include <stdio.h>

#define B (ir->builder)

enum {
    WORTH_A_CALL = 8,  /* vectors of a transpose */
    IN_REGISTERS = 16, /* vectors that the calling convention passes and returns */
};

LLVMValueRef nd__ir_pick(nd__ir *ir, LLVMValueRef x, LLVMValueRef y, int count, const int *lanes)
{
    LLVMValueRef mask[ND__MAX_LANES];
    for (int i = 0; i < count; i++)
        mask[i] = lanes[i] < 0 ? LLVMGetPoison(ir->i32) : LLVMConstInt(ir->i32, (uint64_t)lanes[i], false);
    return LLVMBuildShuffleVector(ir->builder, x, y ? y : LLVMGetPoison(LLVMTypeOf(x)),
                                  LLVMConstVector(mask, (unsigned)count), "");
}

LLVMValueRef nd__ir_lane(nd__ir *ir, LLVMValueRef vector, int lane)
{
    return LLVMBuildExtractElement(ir->builder, vector, LLVMConstInt(ir->i64, (uint64_t)lane, false), "");
}

LLVMValueRef nd__ir_splat(nd__ir *ir, LLVMValueRef scalar, int lanes)
{
    if (lanes == 1)
        return scalar;
    if (LLVMIsConstant(scalar))
        return nd__ir_splat_constant(scalar, lanes);
    LLVMValueRef any = LLVMGetPoison(LLVMVectorType(LLVMTypeOf(scalar), (unsigned)lanes));
    LLVMValueRef first = LLVMBuildInsertElement(ir->builder, any, scalar, LLVMConstInt(ir->i64, 0, false), "");
    int zeros[ND__MAX_LANES] = {0};
    return nd__ir_pick(ir, first, NULL, lanes, zeros);
}

LLVMValueRef nd__ir_part(nd__ir *ir, LLVMValueRef x, int first, int count)
{
    int lanes[ND__MAX_LANES];
    if (count == nd__ir_lane_count(LLVMTypeOf(x)))
        return x;
    if (count == 1)
        return nd__ir_lane(ir, x, first);
    for (int i = 0; i < count; i++)
        lanes[i] = first + i;
    return nd__ir_pick(ir, x, NULL, count, lanes);
}

LLVMValueRef nd__ir_reversed(nd__ir *ir, LLVMValueRef x)
{
    int lanes[ND__MAX_LANES], n = nd__ir_lane_count(LLVMTypeOf(x));
    for (int i = 0; i < n; i++)
        lanes[i] = n - 1 - i;
    return nd__ir_pick(ir, x, NULL, n, lanes);
}

LLVMValueRef nd__ir_tree(nd__ir *ir, nd__kop op, nd_dtype dtype, LLVMValueRef x)
{
    nd__kop join = op == ND__K_tree_add ? ND__K_add : op == ND__K_tree_min ? ND__K_min : ND__K_max;
    for (int half = nd__ir_lane_count(LLVMTypeOf(x)) / 2; half >= 1; half /= 2) {
        nd__ktype type = nd__k_type(dtype, half);
        x = nd__ir_arith(ir, join, type, type, nd__ir_part(ir, x, 0, half), nd__ir_part(ir, x, half, half), NULL);
    }
    return x;
}

/* One step of a transpose of groups of g lanes: (x, y) become the even and the odd groups of x followed by y. */
static void split_groups(nd__ir *ir, int n, int g, LLVMValueRef *x, LLVMValueRef *y)
{
    int even[ND__MAX_LANES], odd[ND__MAX_LANES];
    for (int l = 0; l < n; l++) {
        int from = 2 * (l / g) * g + l % g;
        even[l] = from;
        odd[l] = from + g;
    }
    LLVMValueRef a = nd__ir_pick(ir, *x, *y, n, even), b = nd__ir_pick(ir, *x, *y, n, odd);
    *x = a, *y = b;
}

/* One step inside groups of g lanes: (x, y) become their lower and upper halves of each group, interleaved by u lanes.
 */
static void interleave(nd__ir *ir, int n, int g, int u, LLVMValueRef *x, LLVMValueRef *y)
{
    int low[ND__MAX_LANES], high[ND__MAX_LANES];
    for (int l = 0; l < n; l++) {
        int group = l / g * g, at = l % g;
        int from = group + at / (2 * u) * u + at % u + (at / u % 2 ? n : 0);
        low[l] = from;
        high[l] = from + g / 2;
    }
    LLVMValueRef a = nd__ir_pick(ir, *x, *y, n, low), b = nd__ir_pick(ir, *x, *y, n, high);
    *x = a, *y = b;
}

static bool has_floats(LLVMTypeRef vector)
{
    const LLVMTypeKind kind = LLVMGetTypeKind(LLVMGetElementType(vector));
    return kind == LLVMFloatTypeKind || kind == LLVMDoubleTypeKind;
}

/* Ends LLVM's search for one shuffle in place of several: it goes four deep, finds none in a transpose, and takes
 * longer than all the rest of code generation. Nothing is emitted for the fence, which is there for floats only. */
static LLVMValueRef fence(nd__ir *ir, int size, LLVMValueRef x)
{
    LLVMTypeRef type = LLVMTypeOf(x);
    const int bytes = nd__ir_lane_count(type) * size;
    if (bytes % 4 != 0 || LLVMGetElementType(type) == ir->i1)
        return x;
    LLVMTypeRef floats = nd__ir_lanes(LLVMFloatTypeInContext(ir->context), bytes / 4);
    x = nd__ir_unary(ir, "llvm.arithmetic.fence", LLVMBuildBitCast(B, x, floats, ""));
    return LLVMBuildBitCast(B, x, type, "");
}

/* Within groups of 16 bytes by interleaving (the unpack instructions), then the groups among each other by splits (the
 * instructions that move 128-bit parts): log2 n steps of n/2 pairs, two instructions a pair where the vectors are
 * registers. */
static void write_transpose(nd__ir *ir, int n, int size, LLVMValueRef *vectors)
{
    LLVMValueRef v[ND__MAX_LANES], w[ND__MAX_LANES];
    int g = size >= 4 && 16 / size <= n ? 16 / size : 1;
    for (int i = 0; i < n; i++)
        v[i] = vectors[i];
    /* Rows q g .. q g + g - 1: afterwards v[q g + j] has, in its group number t, column t g + j of those rows. */
    for (int q = 0; q < n && g > 1; q += g) {
        if (g == 2) {
            interleave(ir, n, 2, 1, &v[q], &v[q + 1]);
        } else {
            interleave(ir, n, 4, 1, &v[q], &v[q + 1]); /* 00 10 01 11 | 02 12 03 13 */
            interleave(ir, n, 4, 1, &v[q + 2], &v[q + 3]);
            interleave(ir, n, 4, 2, &v[q], &v[q + 2]);     /* columns 0 and 1 */
            interleave(ir, n, 4, 2, &v[q + 1], &v[q + 3]); /* columns 2 and 3 */
            LLVMValueRef one = v[q + 2];
            v[q + 2] = v[q + 1];
            v[q + 1] = one;
        }
    }
    for (int i = 0; i < n && g > 1; i++)
        v[i] = fence(ir, size, v[i]);
    /* For each j: the n / g vectors v[q g + j], a square of groups, transposed. The vector at place i of m becomes the
     * evens at i / 2 and the odds at i / 2 + m / 2; after log2 m steps each group is home. */
    int m = n / g;
    for (int j = 0; j < g; j++) {
        for (int step = 1; step < m; step *= 2) {
            for (int i = 0; i < m; i += 2) {
                LLVMValueRef x = v[i * g + j], y = v[(i + 1) * g + j];
                split_groups(ir, n, g, &x, &y);
                w[i / 2] = g > 1 ? x : fence(ir, size, x);
                w[i / 2 + m / 2] = g > 1 ? y : fence(ir, size, y);
            }
            for (int i = 0; i < m; i++)
                v[i * g + j] = w[i];
        }
    }
    /* v[t g + j] is column t g + j. */
    for (int i = 0; i < n; i++)
        vectors[i] = v[i];
}

/* A large transpose is a function, one for all kernels: it is many instructions, for each of which code has to be
 * generated, and calling it is one. The vectors go there and come back in registers. */
static LLVMValueRef transpose_function(nd__ir *ir, int n, int size, LLVMTypeRef vector)
{
    LLVMTypeRef types[IN_REGISTERS];
    LLVMValueRef v[IN_REGISTERS];
    char name[40];
    snprintf(name, sizeof name, "nadir.transpose.%d.%s%d", n, has_floats(vector) ? "f" : "i", 8 * size);
    LLVMValueRef f = nd__ir_internal(ir, name);
    if (f)
        return f;
    for (int i = 0; i < n; i++)
        types[i] = vector;
    LLVMTypeRef all = LLVMStructTypeInContext(ir->context, types, (unsigned)n, false);
    LLVMBasicBlockRef back = LLVMGetInsertBlock(B);
    f = nd__ir_function(ir, name, LLVMFunctionType(all, types, (unsigned)n, false), LLVMInternalLinkage);
    LLVMSetFunctionCallConv(f, LLVMX86RegCallCallConv);
    LLVMPositionBuilderAtEnd(B, LLVMAppendBasicBlockInContext(ir->context, f, ""));
    for (int i = 0; i < n; i++)
        v[i] = LLVMGetParam(f, (unsigned)i);
    write_transpose(ir, n, size, v);
    LLVMBuildAggregateRet(B, v, (unsigned)n);
    LLVMPositionBuilderAtEnd(B, back);
    return f;
}

void nd__ir_transpose(nd__ir *ir, int n, int size, LLVMValueRef *vectors)
{
    if (size < 4 || n < WORTH_A_CALL || n > IN_REGISTERS || n * size > nd__machine_vector_bytes(ir->machine)) {
        write_transpose(ir, n, size, vectors);
        return;
    }
    LLVMValueRef f = transpose_function(ir, n, size, LLVMTypeOf(vectors[0]));
    LLVMValueRef all = LLVMBuildCall2(B, LLVMGlobalGetValueType(f), f, vectors, (unsigned)n, "");
    LLVMSetInstructionCallConv(all, LLVMX86RegCallCallConv);
    for (int i = 0; i < n; i++)
        vectors[i] = LLVMBuildExtractValue(B, all, (unsigned)i, "");
}
