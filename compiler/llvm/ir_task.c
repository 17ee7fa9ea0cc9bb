/* Steps in chunks. What a thread is given is a task, a function of a frame, the number of a chunk and that of a worker;
 * the frame has the kernel, its arguments for the first of both, and how they move. So one task serves all kernels with
 * as many arguments, and one function hands out any of them.
 *
 * Where such a frame is at hand, steps that follow each other are data: a list with a row for each, chunks or not, and
 * one loop for all lists. Calls written one by one would take LLVM as long as many kernels. */
#include "compiler/llvm/ir_entry.h"

#include <stddef.h>

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
 * memory; for NULL all on this thread, as is a step in one piece. */
static LLVMValueRef fork_function(nd__ir *ir)
{
    static const char name[] = "nadir.fork";
    LLVMValueRef written = nd__ir_internal(ir, name);
    if (written)
        return written;
    LLVMBasicBlockRef back = LLVMGetInsertBlock(B);
    LLVMValueRef f = nd__ir_function(ir, name, fork_type(ir), LLVMInternalLinkage), parallel = LLVMGetParam(f, 0);
    LLVMBasicBlockRef begin = LLVMAppendBasicBlockInContext(ir->context, f, ""),
                      serial = LLVMAppendBasicBlockInContext(ir->context, f, ""),
                      threads = LLVMAppendBasicBlockInContext(ir->context, f, "");
    LLVMPositionBuilderAtEnd(B, begin);
    LLVMValueRef one = LLVMBuildICmp(B, LLVMIntEQ, LLVMGetParam(f, 1), LLVMConstInt(ir->i32, 1, false), "");
    LLVMBuildCondBr(B, LLVMBuildOr(B, LLVMBuildIsNull(B, parallel, ""), one, ""), serial, threads);
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
    LLVMValueRef task = task_of(ir, e->all->items[e->of[step->kernel]].kernel->argument_count);
    if (!task)
        return;
    LLVMValueRef fork = fork_function(ir);
    nd__ir_fill(e, step);
    LLVMValueRef args[] = {e->parallel, LLVMConstInt(ir->i32, (uint64_t)step->chunks, false), task, e->frame};
    LLVMBuildCall2(B, fork_type(ir), fork, args, 4, "");
}

/* -- lists -------------------------------------------------------------------------------------------------------- */

/* A row of a list. */
typedef struct row {
    void *kernel, *task;
    int64_t chunks;
    int64_t place, count; /* of its arguments in the table of the list: the first, how many */
} row;
enum { ROW_FIELDS = 5 };

static LLVMValueRef field_of(nd__ir *ir, LLVMValueRef at, LLVMTypeRef type, size_t offset)
{
    return LLVMBuildLoad2(B, type, nd__ir_address(ir, at, LLVMConstInt(ir->i64, offset, false)), "");
}

/* void list(parallel, frame, bases, rows, table, count) */
static LLVMValueRef list_function(nd__ir *ir)
{
    static const char name[] = "nadir.list";
    LLVMValueRef written = nd__ir_internal(ir, name);
    if (written)
        return written;
    LLVMValueRef fill = nd__ir_fill_function(ir), fork = fork_function(ir);
    LLVMTypeRef params[] = {ir->pointer, ir->pointer, ir->pointer, ir->pointer, ir->pointer, ir->i64};
    nd__counting c = nd__ir_begin_counting(ir, name, params, 6);
    LLVMValueRef parallel = LLVMGetParam(c.function, 0), frame = LLVMGetParam(c.function, 1);
    LLVMValueRef bytes = LLVMBuildMul(B, c.i, LLVMConstInt(ir->i64, sizeof(row), false), "");
    LLVMValueRef at = nd__ir_address(ir, LLVMGetParam(c.function, 3), bytes);
    LLVMValueRef place = field_of(ir, at, ir->i64, offsetof(row, place));
    LLVMValueRef filled[] = {frame, field_of(ir, at, ir->pointer, offsetof(row, kernel)), LLVMGetParam(c.function, 2),
                             nd__ir_place(ir, LLVMGetParam(c.function, 4), place),
                             field_of(ir, at, ir->i64, offsetof(row, count))};
    LLVMBuildCall2(B, LLVMGlobalGetValueType(fill), fill, filled, 5, "");
    LLVMValueRef chunks = field_of(ir, at, ir->i64, offsetof(row, chunks));
    LLVMValueRef forked[] = {parallel, LLVMBuildTrunc(B, chunks, ir->i32, ""),
                             field_of(ir, at, ir->pointer, offsetof(row, task)), frame};
    LLVMBuildCall2(B, fork_type(ir), fork, forked, 4, "");
    return nd__ir_end_counting(ir, c);
}

/* A kernel in a loop of the plan is called as it is: there a call may be short. */
int nd__ir_listed(const nd__entry *e, const nd__step *steps, int count)
{
    int n = 0;
    while (e->frame && e->depth == 0 && n < count && steps[n].kind == ND__STEP_KERNEL && nd__ir_framed(e, &steps[n]))
        n++;
    return n;
}

static LLVMValueRef rows_of(nd__entry *e, const nd__step *steps, int count)
{
    nd__ir *ir = e->ir;
    LLVMTypeRef types[ROW_FIELDS] = {ir->pointer, ir->pointer, ir->i64, ir->i64, ir->i64},
                type = LLVMStructTypeInContext(ir->context, types, ROW_FIELDS, false);
    LLVMValueRef *rows = nd__arena_alloc(&ir->arena, (size_t)count, sizeof *rows);
    if (!rows) {
        ir->failed = true;
        return NULL;
    }
    for (int i = 0, place = 0; i < count; i++) {
        const nd__shape *item = &e->all->items[e->of[steps[i].kernel]];
        const int n = item->kernel->argument_count;
        LLVMValueRef task = task_of(ir, n);
        if (!task)
            return NULL;
        const int64_t chunks = steps[i].chunks > 1 ? steps[i].chunks : 1;
        LLVMValueRef fields[ROW_FIELDS] = {item->function, task, LLVMConstInt(ir->i64, (uint64_t)chunks, false),
                                           LLVMConstInt(ir->i64, (uint64_t)place, false),
                                           LLVMConstInt(ir->i64, (uint64_t)n, false)};
        rows[i] = LLVMConstStructInContext(ir->context, fields, ROW_FIELDS, false);
        place += n;
    }
    LLVMValueRef global = LLVMAddGlobal(ir->module, LLVMArrayType2(type, (uint64_t)count), "");
    LLVMSetInitializer(global, LLVMConstArray2(type, rows, (uint64_t)count));
    LLVMSetLinkage(global, LLVMPrivateLinkage);
    LLVMSetGlobalConstant(global, true);
    return global;
}

void nd__ir_list(nd__entry *e, const nd__step *steps, int count)
{
    nd__ir *ir = e->ir;
    LLVMValueRef list = list_function(ir), rows = rows_of(e, steps, count);
    if (!rows)
        return;
    LLVMValueRef args[] = {e->parallel,
                           e->frame,
                           e->bases,
                           rows,
                           nd__ir_table(e, steps, count),
                           LLVMConstInt(ir->i64, (uint64_t)count, false)};
    LLVMBuildCall2(B, LLVMGlobalGetValueType(list), list, args, 6, "");
}
