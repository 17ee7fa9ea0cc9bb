/* Steps in chunks. What a thread is given is a task, a function of a frame, the number of a chunk and that of a worker;
 * the frame has the kernel's arguments for the first of both. So one task serves all steps that run a kernel in chunks
 * that move alike, and one function hands out any of them. */
#include "compiler/llvm/ir_entry.h"

#include <string.h>

#define B (ir->builder)

typedef struct nd__task {
    struct nd__task *next;
    int64_t *moves; /* by argument: bytes from chunk to chunk, then from worker to worker */
    LLVMValueRef function;
} nd__task;

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

/* pointer + number * bytes */
static LLVMValueRef moved(nd__ir *ir, LLVMValueRef pointer, LLVMValueRef number, int64_t bytes)
{
    if (bytes == 0)
        return pointer;
    LLVMValueRef wide = LLVMBuildZExt(B, number, ir->i64, "");
    return nd__ir_address(ir, pointer, LLVMBuildMul(B, wide, LLVMConstInt(ir->i64, (uint64_t)bytes, true), ""));
}

/* -- tasks -------------------------------------------------------------------------------------------------------- */

/* void task(frame, chunk, worker): one chunk of a step. */
static LLVMValueRef write_task(nd__ir *ir, const nd__shape *item, const int64_t *moves)
{
    const int n = nd__argument_count(item->kernel);
    char *name = nd__arena_format(&ir->arena, "%s.chunk", item->name);
    LLVMValueRef *args = nd__arena_alloc(&ir->arena, (size_t)n + 1, sizeof *args);
    if (!name || !args) {
        ir->failed = true;
        return NULL;
    }
    LLVMBasicBlockRef back = LLVMGetInsertBlock(B);
    LLVMValueRef f = nd__ir_function(ir, name, task_type(ir), LLVMInternalLinkage);
    LLVMPositionBuilderAtEnd(B, LLVMAppendBasicBlockInContext(ir->context, f, ""));
    for (int i = 0; i < n; i++) {
        args[i] = LLVMBuildLoad2(B, ir->pointer, nd__ir_slot(ir, LLVMGetParam(f, 0), i), "");
        args[i] = moved(ir, args[i], LLVMGetParam(f, 1), moves[2 * i]);
        args[i] = moved(ir, args[i], LLVMGetParam(f, 2), moves[2 * i + 1]);
    }
    LLVMBuildCall2(B, LLVMGlobalGetValueType(item->function), item->function, args, (unsigned)n, "");
    LLVMBuildRetVoid(B);
    LLVMPositionBuilderAtEnd(B, back);
    return f;
}

/* The task of a step's chunks. */
static LLVMValueRef task_of(nd__entry *e, nd__shape *item, const nd__step *step)
{
    nd__ir *ir = e->ir;
    const int n = nd__argument_count(item->kernel);
    int64_t *moves = nd__arena_alloc(&ir->arena, 2 * (size_t)n + 1, sizeof *moves);
    for (int i = 0; i < n && moves; i++) {
        const nd__buffer *buffer = &e->plan->buffers[step->args[i].buffer];
        moves[2 * i] = step->args[i].chunk * (int64_t)nd_dtype_size(buffer->dtype);
        moves[2 * i + 1] = buffer->where == ND__IN_WORKER ? e->plan->worker_size : 0;
    }
    for (nd__task *t = item->tasks; t && moves; t = t->next)
        if (!memcmp(t->moves, moves, 2 * (size_t)n * sizeof *moves))
            return t->function;
    nd__task *t = nd__arena_alloc(&ir->arena, 1, sizeof *t);
    LLVMValueRef function = moves && t ? write_task(ir, item, moves) : NULL;
    if (!function) {
        ir->failed = true;
        return NULL;
    }
    *t = (nd__task){item->tasks, moves, function};
    item->tasks = t;
    return function;
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
    nd__shape *item = &e->all->items[e->of[step->kernel]];
    LLVMValueRef task = task_of(e, item, step);
    if (!task)
        return;
    if (!e->all->fork)
        e->all->fork = write_fork(ir);
    nd__ir_fill(e, step);
    LLVMValueRef args[] = {e->parallel, LLVMConstInt(ir->i32, (uint64_t)step->chunks, false), task, e->frame};
    LLVMBuildCall2(B, fork_type(ir), e->all->fork, args, 4, "");
}
