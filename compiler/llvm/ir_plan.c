/* Plans as entry functions: calls of kernels, loops and branches around them. Kernels that are equal, in one plan or in
 * several, are one function. */
#include "compiler/llvm/ir.h"
#include "compiler/schedule/schedule.h"

#include <string.h>

#define B (ir->builder)

/* A function for all kernels that are equal to `kernel`. */
typedef struct shape {
    const nd__kernel *kernel;
    uint64_t hash;
    char *name;
    bool *shared; /* by argument: may overlap another one in some call */
    LLVMValueRef function;
} shape;

typedef struct shapes {
    nd__ir *ir;
    shape *items;
    int count;
    int **of; /* by plan, by kernel: the item */
} shapes;

/* The entry that is being written. */
typedef struct entry {
    nd__ir *ir;
    const nd__plan *plan;
    const shapes *all;
    const int *of;
    const char *name;
    LLVMValueRef function;
    LLVMValueRef state, arena, in, out;
    LLVMValueRef parallel;      /* how chunks are handed out; NULL: the plan has none */
    LLVMValueRef frame;         /* what a chunk's task is given */
    LLVMValueRef chunk, worker; /* of the task that is being written; NULL: none is */
    LLVMValueRef counters[ND__MAX_NEST];
    int depth;
    int tasks; /* written so far */
} entry;

/* -- which arguments may be the same memory ----------------------------------------------------------------------- */

static const nd__kbuffer *argument(const nd__kernel *k, int n)
{
    for (int i = 0; i < k->buffer_count; i++)
        if (k->buffers[i].access != ND__K_TABLE && n-- == 0)
            return &k->buffers[i];
    return NULL;
}

static int argument_count(const nd__kernel *k)
{
    int n = 0;
    for (int i = 0; i < k->buffer_count; i++)
        n += k->buffers[i].access != ND__K_TABLE;
    return n;
}

/* The bytes of its region that an argument may touch, over all iterations of the loops around the call unless `still`.
 */
static void touched(const nd__plan *plan, const nd__karg *arg, const nd__kbuffer *buffer, const int64_t *lengths,
                    int depth, int chunks, bool still, int64_t *from, int64_t *to)
{
    const nd__buffer *in = &plan->buffers[arg->buffer];
    int64_t size = (int64_t)nd_dtype_size(buffer->dtype);
    bool region = in->where == ND__IN_STATE || in->where == ND__IN_ARENA || in->where == ND__IN_WORKER;
    *from = (region ? in->offset : 0) + arg->offset * size;
    *to = *from + buffer->elems * size;
    for (int d = 0; d < depth && !still; d++) {
        int64_t reach = arg->stride[d] * (lengths[d] - 1) * size;
        *(reach < 0 ? from : to) += reach;
    }
    if (!still && chunks > 1)
        *to += arg->chunk * (chunks - 1) * size;
}

static bool may_overlap(const nd__plan *plan, const nd__step *step, const nd__kernel *k, int i, int j,
                        const int64_t *lengths, int depth)
{
    const nd__karg *x = &step->args[i], *y = &step->args[j];
    const nd__kbuffer *bx = argument(k, i), *by = argument(k, j);
    if (bx->access == ND__K_IN && by->access == ND__K_IN)
        return false;
    const nd__buffer *p = &plan->buffers[x->buffer], *q = &plan->buffers[y->buffer];
    if (p->where != q->where) /* a caller may pass a view of the state as an input */
        return (p->where == ND__IN_STATE && q->where == ND__IN_INPUT) ||
               (p->where == ND__IN_INPUT && q->where == ND__IN_STATE);
    if ((p->where == ND__IN_OUTPUT && p->index != q->index) || p->where == ND__IN_CONST)
        return false;
    /* They move together: one iteration tells. */
    bool still = x->chunk * (int64_t)nd_dtype_size(bx->dtype) == y->chunk * (int64_t)nd_dtype_size(by->dtype);
    for (int d = 0; d < depth; d++)
        still = still &&
                x->stride[d] * (int64_t)nd_dtype_size(bx->dtype) == y->stride[d] * (int64_t)nd_dtype_size(by->dtype);
    int64_t from_x, to_x, from_y, to_y;
    touched(plan, x, bx, lengths, depth, step->chunks, still, &from_x, &to_x);
    touched(plan, y, by, lengths, depth, step->chunks, still, &from_y, &to_y);
    return from_x < to_y && from_y < to_x;
}

static void note_steps(const shapes *all, const nd__plan *plan, const int *of, const nd__steps *steps, int64_t *lengths,
                       int depth)
{
    for (int s = 0; s < steps->count; s++) {
        const nd__step *step = &steps->items[s];
        if (step->kind == ND__STEP_KERNEL) {
            shape *item = &all->items[of[step->kernel]];
            int n = argument_count(item->kernel);
            if (!item->name)
                item->name = nd__arena_format(&all->ir->arena, "%s/%s", plan->name,
                                              step->label ? step->label : item->kernel->name);
            if (!item->name)
                all->ir->failed = true;
            for (int i = 0; i < n; i++)
                for (int j = 0; j < i; j++)
                    if (may_overlap(plan, step, item->kernel, i, j, lengths, depth))
                        item->shared[i] = item->shared[j] = true;
            continue;
        }
        bool loop = step->kind == ND__STEP_LOOP;
        if (loop)
            lengths[depth] = step->length;
        note_steps(all, plan, of, &step->body, lengths, depth + loop);
        note_steps(all, plan, of, &step->other, lengths, depth + loop);
    }
}

/* -- kernels ------------------------------------------------------------------------------------------------------ */

static int shape_of(shapes *all, const nd__kernel *k)
{
    uint64_t hash = nd__k_hash(k);
    for (int i = 0; i < all->count; i++)
        if (all->items[i].hash == hash && nd__k_equal(all->items[i].kernel, k))
            return i;
    bool *shared = nd__arena_alloc(&all->ir->arena, (size_t)k->buffer_count + 1, sizeof *shared);
    if (!shared)
        all->ir->failed = true;
    all->items[all->count] = (shape){k, hash, NULL, shared, NULL};
    return all->count++;
}

static bool find_shapes(shapes *all, const nd__plan *const *plans, int n)
{
    nd__arena *arena = &all->ir->arena;
    size_t total = 0;
    int64_t lengths[ND__MAX_NEST];
    for (int p = 0; p < n; p++)
        total += (size_t)plans[p]->kernel_count;
    all->items = nd__arena_alloc(arena, total + 1, sizeof *all->items);
    all->of = nd__arena_alloc(arena, (size_t)n + 1, sizeof *all->of);
    if (!all->items || !all->of)
        return false;
    for (int p = 0; p < n; p++) {
        all->of[p] = nd__arena_alloc(arena, (size_t)plans[p]->kernel_count + 1, sizeof *all->of[p]);
        if (!all->of[p])
            return false;
        for (int k = 0; k < plans[p]->kernel_count; k++)
            all->of[p][k] = shape_of(all, plans[p]->kernels[k]);
        if (all->ir->failed)
            return false;
        note_steps(all, plans[p], all->of[p], &plans[p]->steps, lengths, 0);
    }
    return !all->ir->failed;
}

/* -- entries ------------------------------------------------------------------------------------------------------ */

/* Where an argument's first element lies. */
static LLVMValueRef argument_pointer(entry *e, const nd__karg *arg)
{
    nd__ir *ir = e->ir;
    const nd__buffer *buffer = &e->plan->buffers[arg->buffer];
    int64_t size = (int64_t)nd_dtype_size(buffer->dtype), constant = arg->offset * size;
    LLVMValueRef base;
    switch (buffer->where) {
    case ND__IN_STATE:
    case ND__IN_ARENA:
        base = buffer->where == ND__IN_STATE ? e->state : e->arena;
        constant += buffer->offset;
        break;
    case ND__IN_WORKER:
        base = LLVMBuildMul(B, e->worker, LLVMConstInt(ir->i64, (uint64_t)e->plan->worker_size, false), "");
        base = nd__ir_address(ir, e->arena, base);
        constant += e->plan->arena_size + buffer->offset;
        break;
    case ND__IN_INPUT:
    case ND__IN_OUTPUT:
        base = buffer->where == ND__IN_INPUT ? e->in : e->out;
        base = nd__ir_address(ir, base, LLVMConstInt(ir->i64, sizeof(void *) * (uint64_t)buffer->index, false));
        base = LLVMBuildLoad2(B, ir->pointer, base, "");
        break;
    default:
        base = nd__ir_data(ir, buffer->data, buffer->elems * size);
    }
    for (int d = 0; d < e->depth; d++)
        if (arg->stride[d]) {
            LLVMValueRef factor = LLVMConstInt(ir->i64, (uint64_t)(arg->stride[d] * size), true);
            base = nd__ir_address(ir, base, LLVMBuildMul(B, e->counters[d], factor, ""));
        }
    if (e->chunk && arg->chunk) {
        LLVMValueRef factor = LLVMConstInt(ir->i64, (uint64_t)(arg->chunk * size), true);
        base = nd__ir_address(ir, base, LLVMBuildMul(B, e->chunk, factor, ""));
    }
    return nd__ir_address(ir, base, LLVMConstInt(ir->i64, (uint64_t)constant, true));
}

static void write_kernel(entry *e, const nd__step *step)
{
    const shape *item = &e->all->items[e->of[step->kernel]];
    int n = argument_count(item->kernel);
    LLVMValueRef *args = nd__arena_alloc(&e->ir->arena, (size_t)n + 1, sizeof *args);
    if (!args) {
        e->ir->failed = true;
        return;
    }
    for (int i = 0; i < n; i++)
        args[i] = argument_pointer(e, &step->args[i]);
    LLVMBuildCall2(e->ir->builder, LLVMGlobalGetValueType(item->function), item->function, args, (unsigned)n, "");
}

static LLVMBasicBlockRef new_block(entry *e)
{
    return LLVMAppendBasicBlockInContext(e->ir->context, e->function, "");
}

/* -- chunks ------------------------------------------------------------------------------------------------------- */

/* What tasks are given: the entry's parameters, then the counters of the loops around the step. */
enum { FRAME_STATE, FRAME_ARENA, FRAME_IN, FRAME_OUT, FRAME_COUNTERS, FRAME_SLOTS = FRAME_COUNTERS + ND__MAX_NEST };

static LLVMValueRef frame_slot(nd__ir *ir, LLVMValueRef frame, int slot)
{
    return nd__ir_address(ir, frame, LLVMConstInt(ir->i64, 8 * (uint64_t)slot, false));
}

static LLVMValueRef frame_load(nd__ir *ir, LLVMValueRef frame, int slot, LLVMTypeRef type)
{
    return LLVMBuildLoad2(B, type, frame_slot(ir, frame, slot), "");
}

static LLVMTypeRef task_type(const nd__ir *ir)
{
    LLVMTypeRef params[] = {ir->pointer, ir->i32, ir->i32};
    return LLVMFunctionType(ir->nothing, params, 3, false);
}

/* void task(frame, chunk, worker): one chunk of a step. */
static LLVMValueRef write_task(entry *e, const nd__step *step)
{
    nd__ir *ir = e->ir;
    entry task = *e;
    char *name = nd__arena_format(&ir->arena, "%s.task%d", e->name, e->tasks++);
    if (!name) {
        ir->failed = true;
        return NULL;
    }
    LLVMBasicBlockRef back = LLVMGetInsertBlock(B);
    task.function = nd__ir_function(ir, name, task_type(ir), LLVMInternalLinkage);
    LLVMPositionBuilderAtEnd(B, new_block(&task));
    LLVMValueRef frame = LLVMGetParam(task.function, 0);
    task.state = frame_load(ir, frame, FRAME_STATE, ir->pointer);
    task.arena = frame_load(ir, frame, FRAME_ARENA, ir->pointer);
    task.in = frame_load(ir, frame, FRAME_IN, ir->pointer);
    task.out = frame_load(ir, frame, FRAME_OUT, ir->pointer);
    for (int d = 0; d < e->depth; d++)
        task.counters[d] = frame_load(ir, frame, FRAME_COUNTERS + d, ir->i64);
    task.chunk = LLVMBuildZExt(B, LLVMGetParam(task.function, 1), ir->i64, "");
    task.worker = LLVMBuildZExt(B, LLVMGetParam(task.function, 2), ir->i64, "");
    write_kernel(&task, step);
    LLVMBuildRetVoid(B);
    LLVMPositionBuilderAtEnd(B, back);
    return task.function;
}

/* One chunk after the other on this thread. */
static void write_serial(entry *e, LLVMValueRef task, int chunks)
{
    nd__ir *ir = e->ir;
    LLVMBasicBlockRef before = LLVMGetInsertBlock(B), body = new_block(e), after = new_block(e);
    LLVMBuildBr(B, body);
    LLVMPositionBuilderAtEnd(B, body);
    LLVMValueRef chunk = LLVMBuildPhi(B, ir->i32, "");
    LLVMValueRef args[] = {e->frame, chunk, LLVMConstInt(ir->i32, 0, false)};
    LLVMBuildCall2(B, task_type(ir), task, args, 3, "");
    LLVMValueRef next = LLVMBuildAdd(B, chunk, LLVMConstInt(ir->i32, 1, false), "");
    LLVMValueRef values[] = {LLVMConstInt(ir->i32, 0, false), next};
    LLVMBasicBlockRef from[] = {before, body};
    LLVMAddIncoming(chunk, values, from, 2);
    LLVMValueRef count = LLVMConstInt(ir->i32, (uint64_t)chunks, false);
    LLVMBuildCondBr(B, LLVMBuildICmp(B, LLVMIntULT, next, count, ""), body, after);
    LLVMPositionBuilderAtEnd(B, after);
}

/* parallel->run(parallel->self, chunks, task, frame), as nd_parallel lies in memory. */
static void write_handing_out(entry *e, LLVMValueRef task, int chunks)
{
    nd__ir *ir = e->ir;
    LLVMTypeRef params[] = {ir->pointer, ir->i32, ir->pointer, ir->pointer};
    LLVMValueRef run = LLVMBuildLoad2(B, ir->pointer, e->parallel, "");
    LLVMValueRef self = LLVMBuildLoad2(B, ir->pointer, frame_slot(ir, e->parallel, 1), "");
    LLVMValueRef args[] = {self, LLVMConstInt(ir->i32, (uint64_t)chunks, false), task, e->frame};
    LLVMBuildCall2(B, LLVMFunctionType(ir->nothing, params, 4, false), run, args, 4, "");
}

static void write_chunks(entry *e, const nd__step *step)
{
    nd__ir *ir = e->ir;
    LLVMValueRef task = write_task(e, step);
    if (!task)
        return;
    for (int d = 0; d < e->depth; d++)
        LLVMBuildStore(B, e->counters[d], frame_slot(ir, e->frame, FRAME_COUNTERS + d));
    LLVMBasicBlockRef serial = new_block(e), threads = new_block(e), after = new_block(e);
    LLVMBuildCondBr(B, LLVMBuildIsNull(B, e->parallel, ""), serial, threads);
    LLVMPositionBuilderAtEnd(B, serial);
    write_serial(e, task, step->chunks);
    LLVMBuildBr(B, after);
    LLVMPositionBuilderAtEnd(B, threads);
    write_handing_out(e, task, step->chunks);
    LLVMBuildBr(B, after);
    LLVMPositionBuilderAtEnd(B, after);
}

/* -- loops, branches ---------------------------------------------------------------------------------------------- */

static void write_steps(entry *e, const nd__steps *steps);

static void write_loop(entry *e, const nd__step *step)
{
    nd__ir *ir = e->ir;
    if (step->length <= 0)
        return;
    LLVMBasicBlockRef before = LLVMGetInsertBlock(B), body = new_block(e), after = new_block(e);
    LLVMBuildBr(B, body);
    LLVMPositionBuilderAtEnd(B, body);
    LLVMValueRef counter = LLVMBuildPhi(B, ir->i64, "");
    e->counters[e->depth++] = counter;
    write_steps(e, &step->body);
    e->depth--;
    LLVMValueRef next = LLVMBuildAdd(B, counter, LLVMConstInt(ir->i64, 1, false), "");
    LLVMValueRef length = LLVMConstInt(ir->i64, (uint64_t)step->length, false);
    LLVMValueRef values[] = {LLVMConstInt(ir->i64, 0, false), next};
    LLVMBasicBlockRef from[] = {before, LLVMGetInsertBlock(B)};
    LLVMAddIncoming(counter, values, from, 2);
    LLVMBuildCondBr(B, LLVMBuildICmp(B, LLVMIntULT, next, length, ""), body, after);
    LLVMPositionBuilderAtEnd(B, after);
}

static void write_cond(entry *e, const nd__step *step)
{
    nd__ir *ir = e->ir;
    LLVMBasicBlockRef yes = new_block(e), no = new_block(e), after = new_block(e);
    LLVMValueRef flag = LLVMBuildLoad2(B, ir->i8, argument_pointer(e, &step->args[0]), "");
    LLVMBuildCondBr(B, LLVMBuildIsNotNull(B, flag, ""), yes, no);
    LLVMPositionBuilderAtEnd(B, yes);
    write_steps(e, &step->body);
    LLVMBuildBr(B, after);
    LLVMPositionBuilderAtEnd(B, no);
    write_steps(e, &step->other);
    LLVMBuildBr(B, after);
    LLVMPositionBuilderAtEnd(B, after);
}

static void write_steps(entry *e, const nd__steps *steps)
{
    for (int i = 0; i < steps->count && !e->ir->failed; i++) {
        const nd__step *step = &steps->items[i];
        if (step->kind == ND__STEP_KERNEL && step->chunks > 1)
            write_chunks(e, step);
        else if (step->kind == ND__STEP_KERNEL)
            write_kernel(e, step);
        else if (step->kind == ND__STEP_LOOP)
            write_loop(e, step);
        else
            write_cond(e, step);
    }
}

static LLVMTypeRef entry_type(const nd__ir *ir, bool parallel)
{
    LLVMTypeRef params[] = {ir->pointer, ir->pointer, ir->pointer, ir->pointer, ir->pointer};
    return LLVMFunctionType(ir->nothing, params, parallel ? 5 : 4, false);
}

static LLVMValueRef make_frame(entry *e)
{
    nd__ir *ir = e->ir;
    const LLVMValueRef given[] = {e->state, e->arena, e->in, e->out};
    LLVMValueRef frame = LLVMBuildAlloca(B, LLVMArrayType2(ir->i64, FRAME_SLOTS), "");
    for (int i = 0; i < FRAME_COUNTERS; i++)
        LLVMBuildStore(B, given[i], frame_slot(ir, frame, i));
    return frame;
}

/* The plan as a function: an nd_entry, or with chunks an nd_parallel_entry. */
static LLVMValueRef write_plan(const shapes *all, const nd__plan *plan, const int *of, const char *name, bool parallel)
{
    nd__ir *ir = all->ir;
    entry e = {.ir = ir, .plan = plan, .all = all, .of = of, .name = name};
    e.function = nd__ir_function(ir, name, entry_type(ir, parallel), LLVMExternalLinkage);
    LLVMPositionBuilderAtEnd(B, new_block(&e));
    e.state = LLVMGetParam(e.function, 0);
    e.arena = LLVMGetParam(e.function, 1);
    e.in = LLVMGetParam(e.function, 2);
    e.out = LLVMGetParam(e.function, 3);
    e.parallel = parallel ? LLVMGetParam(e.function, 4) : NULL;
    e.frame = parallel ? make_frame(&e) : NULL;
    write_steps(&e, &plan->steps);
    LLVMBuildRetVoid(B);
    return e.function;
}

/* The nd_entry of an nd_parallel_entry: all on this thread. */
static LLVMValueRef write_serial_entry(nd__ir *ir, const char *name, LLVMValueRef called)
{
    LLVMValueRef f = nd__ir_function(ir, name, entry_type(ir, false), LLVMExternalLinkage);
    LLVMPositionBuilderAtEnd(B, LLVMAppendBasicBlockInContext(ir->context, f, ""));
    LLVMValueRef args[] = {LLVMGetParam(f, 0), LLVMGetParam(f, 1), LLVMGetParam(f, 2), LLVMGetParam(f, 3),
                           LLVMConstNull(ir->pointer)};
    LLVMBuildCall2(B, entry_type(ir, true), called, args, 5, "");
    LLVMBuildRetVoid(B);
    return f;
}

/* -- typed functions for C callers -------------------------------------------------------------------------------- */

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
    LLVMBuildCall2(B, entry_type(ir, false), called, args, 4, "");
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
    LLVMBuildCall2(B, entry_type(ir, false), called, args, 4, "");
    LLVMBuildRetVoid(B);
}

/* -- all ---------------------------------------------------------------------------------------------------------- */

void nd__ir_plans(nd__ir *ir, const nd__plan *const *plans, int n, char *const *symbols)
{
    shapes all = {ir, NULL, 0, NULL};
    if (!find_shapes(&all, plans, n)) {
        ir->failed = true;
        return;
    }
    for (int i = 0; i < all.count && !ir->failed; i++) {
        shape *item = &all.items[i];
        if (item->name) /* else no step runs it */
            item->function = nd__ir_kernel(ir, item->kernel, item->name, item->shared);
    }
    for (int p = 0; p < n && !ir->failed; p++) {
        char *raw = symbols ? nd__arena_format(&ir->arena, "%s_entry", symbols[p])
                            : nd__arena_format(&ir->arena, ND__ENTRY_NAME, p);
        if (!raw) {
            ir->failed = true;
            return;
        }
        LLVMValueRef called;
        if (nd__steps_have_chunks(&plans[p]->steps)) {
            char *parallel = symbols ? nd__arena_format(&ir->arena, "%s_parallel", symbols[p])
                                     : nd__arena_format(&ir->arena, ND__PARALLEL_NAME, p);
            if (!parallel) {
                ir->failed = true;
                return;
            }
            called = write_serial_entry(ir, raw, write_plan(&all, plans[p], all.of[p], parallel, true));
        } else {
            called = write_plan(&all, plans[p], all.of[p], raw, false);
        }
        if (symbols && !strcmp(plans[p]->name, "init"))
            write_init(ir, symbols[p], called);
        else if (symbols)
            write_typed(ir, plans[p], symbols[p], called);
    }
}
