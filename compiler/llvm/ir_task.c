/* Steps in chunks. What a thread is given is a task, a function of a frame, the number of a chunk and that of a worker;
 * the frame has the kernel, its arguments for the first of both, and how they move. So one task serves all kernels with
 * as many arguments, and one function hands out any of them. */
#include "compiler/llvm/ir_entry.h"

#define B (ir->builder)

static LLVMTypeRef task_type(const nd__ir *ir)
{
    LLVMTypeRef params[] = {ir->pointer, ir->i32, ir->i32};
    return LLVMFunctionType(ir->nothing, params, 3, false);
}

static LLVMTypeRef fork_type(const nd__ir *ir)
{
    LLVMTypeRef params[] = {ir->pointer, ir->i32, ir->pointer, ir->pointer};
    return LLVMFunctionType(ir->nothing, params, 4, false);
}

/* -- tasks -------------------------------------------------------------------------------------------------------- */

/* void task(frame, chunk, worker): one chunk of a step whose kernel has n arguments. */
static LLVMValueRef task_of(nd__ir *ir, int n)
{
    char *name = nd__arena_format(&ir->arena, "nadir.task.%d", n);
    LLVMValueRef *args = nd__arena_alloc(&ir->arena, (size_t)n + 1, sizeof *args);
    LLVMTypeRef *types = nd__arena_alloc(&ir->arena, (size_t)n + 1, sizeof *types);
    if (!name || !args || !types) {
        ir->failed = true;
        return NULL;
    }
    LLVMValueRef f = nd__ir_internal(ir, name), move = nd__ir_move_function(ir);
    if (f)
        return f;
    LLVMBasicBlockRef back = LLVMGetInsertBlock(B);
    f = nd__ir_function(ir, name, task_type(ir), LLVMInternalLinkage);
    LLVMPositionBuilderAtEnd(B, LLVMAppendBasicBlockInContext(ir->context, f, ""));
    LLVMValueRef frame = LLVMGetParam(f, 0), all = LLVMBuildAlloca(B, LLVMArrayType2(ir->pointer, (uint64_t)n), "");
    LLVMValueRef call[] = {all, frame, LLVMGetParam(f, 1), LLVMGetParam(f, 2),
                           LLVMConstInt(ir->i64, (uint64_t)n, false)};
    LLVMBuildCall2(B, LLVMGlobalGetValueType(move), move, call, 5, "");
    LLVMValueRef kernel = LLVMBuildLoad2(B, ir->pointer, nd__ir_slot(ir, frame, ND__FRAME_KERNEL), "");
    for (int i = 0; i < n; i++) {
        types[i] = ir->pointer;
        args[i] = LLVMBuildLoad2(B, ir->pointer, nd__ir_slot(ir, all, i), "");
    }
    LLVMBuildCall2(B, LLVMFunctionType(ir->nothing, types, (unsigned)n, false), kernel, args, (unsigned)n, "");
    LLVMBuildRetVoid(B);
    LLVMPositionBuilderAtEnd(B, back);
    return f;
}

/* -- handing out -------------------------------------------------------------------------------------------------- */

/* One chunk after the other on this thread. */
static void write_serial(nd__ir *ir, LLVMValueRef f)
{
    LLVMBasicBlockRef before = LLVMGetInsertBlock(B);
    LLVMBasicBlockRef body = LLVMAppendBasicBlockInContext(ir->context, f, ""),
                      after = LLVMAppendBasicBlockInContext(ir->context, f, "");
    LLVMBuildBr(B, body);
    LLVMPositionBuilderAtEnd(B, body);
    LLVMValueRef chunk = LLVMBuildPhi(B, ir->i32, "");
    LLVMValueRef args[] = {LLVMGetParam(f, 3), chunk, LLVMConstInt(ir->i32, 0, false)};
    LLVMBuildCall2(B, task_type(ir), LLVMGetParam(f, 2), args, 3, "");
    LLVMValueRef next = LLVMBuildAdd(B, chunk, LLVMConstInt(ir->i32, 1, false), "");
    LLVMValueRef values[] = {LLVMConstInt(ir->i32, 0, false), next};
    LLVMBasicBlockRef from[] = {before, body};
    LLVMAddIncoming(chunk, values, from, 2);
    LLVMBuildCondBr(B, LLVMBuildICmp(B, LLVMIntULT, next, LLVMGetParam(f, 1), ""), body, after);
    LLVMPositionBuilderAtEnd(B, after);
    LLVMBuildRetVoid(B);
}

/* void fork(parallel, chunks, task, frame): parallel->run(parallel->self, chunks, task, frame), as nd_parallel lies in
 * memory; for NULL all on this thread. */
static LLVMValueRef write_fork(nd__ir *ir)
{
    LLVMBasicBlockRef back = LLVMGetInsertBlock(B);
    LLVMValueRef f = nd__ir_function(ir, "nadir.fork", fork_type(ir), LLVMInternalLinkage),
                 parallel = LLVMGetParam(f, 0);
    LLVMBasicBlockRef begin = LLVMAppendBasicBlockInContext(ir->context, f, ""),
                      serial = LLVMAppendBasicBlockInContext(ir->context, f, ""),
                      threads = LLVMAppendBasicBlockInContext(ir->context, f, "");
    LLVMPositionBuilderAtEnd(B, begin);
    LLVMBuildCondBr(B, LLVMBuildIsNull(B, parallel, ""), serial, threads);
    LLVMPositionBuilderAtEnd(B, threads);
    LLVMValueRef run = LLVMBuildLoad2(B, ir->pointer, parallel, "");
    LLVMValueRef self = LLVMBuildLoad2(B, ir->pointer, nd__ir_slot(ir, parallel, 1), "");
    LLVMValueRef args[] = {self, LLVMGetParam(f, 1), LLVMGetParam(f, 2), LLVMGetParam(f, 3)};
    LLVMBuildCall2(B, fork_type(ir), run, args, 4, "");
    LLVMBuildRetVoid(B);
    LLVMPositionBuilderAtEnd(B, serial);
    write_serial(ir, f);
    LLVMPositionBuilderAtEnd(B, back);
    return f;
}

void nd__ir_chunks(nd__entry *e, const nd__step *step)
{
    nd__ir *ir = e->ir;
    LLVMValueRef task = task_of(ir, nd__argument_count(e->all->items[e->of[step->kernel]].kernel));
    if (!task)
        return;
    if (!e->all->fork)
        e->all->fork = write_fork(ir);
    nd__ir_fill(e, step);
    LLVMValueRef args[] = {e->parallel, LLVMConstInt(ir->i32, (uint64_t)step->chunks, false), task, e->frame};
    LLVMBuildCall2(B, fork_type(ir), e->all->fork, args, 4, "");
}
