/* What an object shows to C: functions of typed pointers around its entries. */
#include "compiler/llvm/ir_entry.h"

#include <string.h>

#define B (ir->builder)

/* An array on the stack of the parameters first .. first + count - 1. */
static LLVMValueRef gather_parameters(nd__ir *ir, LLVMValueRef function, int first, int count)
{
    if (count == 0)
        return LLVMConstNull(ir->pointer);
    LLVMValueRef array = LLVMBuildAlloca(B, LLVMArrayType2(ir->pointer, (uint64_t)count), "");
    for (int i = 0; i < count; i++) {
        LLVMValueRef at = nd__ir_address(ir, array, LLVMConstInt(ir->i64, sizeof(void *) * (uint64_t)i, false));
        LLVMBuildStore(B, LLVMGetParam(function, (unsigned)(first + i)), at);
    }
    return array;
}

static void write_typed(nd__ir *ir, const nd__plan *plan, const char *name, LLVMValueRef called)
{
    int count = 2 + plan->input_count + plan->output_count;
    LLVMTypeRef *params = nd__arena_alloc(&ir->arena, (size_t)count, sizeof *params);
    if (!params) {
        ir->failed = true;
        return;
    }
    for (int i = 0; i < count; i++)
        params[i] = ir->pointer;
    LLVMValueRef f =
        nd__ir_function(ir, name, LLVMFunctionType(ir->nothing, params, (unsigned)count, false), LLVMExternalLinkage);
    LLVMPositionBuilderAtEnd(B, LLVMAppendBasicBlockInContext(ir->context, f, ""));
    LLVMValueRef in = gather_parameters(ir, f, 2, plan->input_count);
    LLVMValueRef out = gather_parameters(ir, f, 2 + plan->input_count, plan->output_count);
    LLVMValueRef args[] = {LLVMGetParam(f, 0), LLVMGetParam(f, 1), in, out};
    LLVMBuildCall2(B, nd__ir_entry_type(ir, false), called, args, 4, "");
    LLVMBuildRetVoid(B);
}

/* void NAME(state, arena, uint64_t seed): the seed's low and high word are init's input. */
static void write_init(nd__ir *ir, const char *name, LLVMValueRef called)
{
    LLVMTypeRef params[] = {ir->pointer, ir->pointer, ir->i64};
    LLVMValueRef f = nd__ir_function(ir, name, LLVMFunctionType(ir->nothing, params, 3, false), LLVMExternalLinkage);
    LLVMPositionBuilderAtEnd(B, LLVMAppendBasicBlockInContext(ir->context, f, ""));
    LLVMValueRef seed = LLVMBuildAlloca(B, ir->i64, ""), in = LLVMBuildAlloca(B, ir->pointer, "");
    LLVMBuildStore(B, LLVMGetParam(f, 2), seed); /* little-endian: the low word first */
    LLVMBuildStore(B, seed, in);
    LLVMValueRef args[] = {LLVMGetParam(f, 0), LLVMGetParam(f, 1), in, LLVMConstNull(ir->pointer)};
    LLVMBuildCall2(B, nd__ir_entry_type(ir, false), called, args, 4, "");
    LLVMBuildRetVoid(B);
}

void nd__ir_symbol(nd__ir *ir, const nd__plan *plan, const char *name, LLVMValueRef called)
{
    if (strcmp(plan->name, "init") == 0)
        write_init(ir, name, called);
    else
        write_typed(ir, plan, name, called);
}
