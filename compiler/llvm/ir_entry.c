/* Plans as entry functions: calls of kernels, loops and branches around them. */
#include "compiler/llvm/ir_entry.h"
#include "compiler/schedule/schedule.h"

#define B (ir->builder)

/* -- arguments ---------------------------------------------------------------------------------------------------- */

int64_t nd__ir_fixed_offset(const nd__plan *plan, const nd__karg *arg)
{
    const nd__buffer *buffer = &plan->buffers[arg->buffer];
    const int64_t bytes = arg->offset * (int64_t)nd_dtype_size(buffer->dtype);
    if (buffer->where == ND__IN_WORKER)
        return plan->arena_size + buffer->offset + bytes;
    return (buffer->where == ND__IN_STATE || buffer->where == ND__IN_ARENA ? buffer->offset : 0) + bytes;
}

/* The same of a step that repeats: a constant, or what a table says for each turn. */
static LLVMValueRef offset_of(nd__entry *e, const nd__step *step, int i)
{
    nd__ir *ir = e->ir;
    const int64_t own = nd__ir_fixed_offset(e->plan, &step->args[i]);
    const int turns = e->repeat ? e->repeat->count : 1;
    bool moves = false;
    for (int k = 1; k < turns; k++)
        moves |= nd__ir_fixed_offset(e->plan, &step[k * e->repeat->period].args[i]) != own;
    if (!moves)
        return LLVMConstInt(ir->i64, (uint64_t)own, true);
    int64_t *table = nd__arena_alloc(&ir->arena, (size_t)turns, sizeof *table);
    if (!table) {
        ir->failed = true;
        return LLVMConstInt(ir->i64, 0, false);
    }
    for (int k = 0; k < turns; k++)
        table[k] = nd__ir_fixed_offset(e->plan, &step[k * e->repeat->period].args[i]);
    LLVMValueRef data = nd__ir_data(ir, table, turns * (int64_t)sizeof *table);
    LLVMValueRef at = LLVMBuildMul(B, e->repeat->turn, LLVMConstInt(ir->i64, sizeof *table, false), "");
    return LLVMBuildLoad2(B, ir->i64, nd__ir_address(ir, data, at), "");
}

LLVMValueRef nd__ir_argument(nd__entry *e, const nd__step *step, int i)
{
    nd__ir *ir = e->ir;
    const nd__karg *arg = &step->args[i];
    const nd__buffer *buffer = &e->plan->buffers[arg->buffer];
    const int64_t size = (int64_t)nd_dtype_size(buffer->dtype);
    LLVMValueRef base;
    switch (buffer->where) {
    case ND__IN_STATE:
        base = e->state;
        break;
    case ND__IN_ARENA:
    case ND__IN_WORKER:
        base = e->arena;
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
    return nd__ir_address(ir, base, offset_of(e, step, i));
}

static void write_kernel(nd__entry *e, const nd__step *step)
{
    const nd__shape *item = &e->all->items[e->of[step->kernel]];
    const int n = item->kernel->argument_count;
    LLVMValueRef *args = nd__arena_alloc(&e->ir->arena, (size_t)n + 1, sizeof *args);
    if (!args) {
        e->ir->failed = true;
        return;
    }
    for (int i = 0; i < n; i++)
        args[i] = nd__ir_argument(e, step, i);
    LLVMBuildCall2(e->ir->builder, LLVMGlobalGetValueType(item->function), item->function, args, (unsigned)n, "");
}

/* -- loops, branches ---------------------------------------------------------------------------------------------- */

static void write_steps(nd__entry *e, const nd__step *steps, int count);

static LLVMBasicBlockRef new_block(nd__entry *e)
{
    return LLVMAppendBasicBlockInContext(e->ir->context, e->function, "");
}

/* A loop that runs at least once: the counter from 0. nd__ir_end_loop closes it. */
typedef struct loop {
    LLVMValueRef counter;
    LLVMBasicBlockRef before, body;
} loop;

static loop begin_loop(nd__entry *e)
{
    nd__ir *ir = e->ir;
    loop l = {.before = LLVMGetInsertBlock(B), .body = new_block(e)};
    LLVMBuildBr(B, l.body);
    LLVMPositionBuilderAtEnd(B, l.body);
    l.counter = LLVMBuildPhi(B, ir->i64, "");
    return l;
}

static void end_loop(nd__entry *e, loop l, int64_t length)
{
    nd__ir *ir = e->ir;
    LLVMBasicBlockRef after = new_block(e);
    LLVMValueRef next = LLVMBuildAdd(B, l.counter, LLVMConstInt(ir->i64, 1, false), "");
    LLVMValueRef values[] = {LLVMConstInt(ir->i64, 0, false), next};
    LLVMBasicBlockRef from[] = {l.before, LLVMGetInsertBlock(B)};
    LLVMAddIncoming(l.counter, values, from, 2);
    LLVMValueRef more = LLVMBuildICmp(B, LLVMIntULT, next, LLVMConstInt(ir->i64, (uint64_t)length, false), "");
    LLVMBuildCondBr(B, more, l.body, after);
    LLVMPositionBuilderAtEnd(B, after);
}

static void write_loop(nd__entry *e, const nd__step *step)
{
    if (step->length <= 0)
        return;
    loop l = begin_loop(e);
    e->counters[e->depth++] = l.counter;
    write_steps(e, step->body.items, step->body.count);
    e->depth--;
    end_loop(e, l, step->length);
}

static void write_cond(nd__entry *e, const nd__step *step)
{
    nd__ir *ir = e->ir;
    LLVMBasicBlockRef yes = new_block(e), no = new_block(e), after = new_block(e);
    LLVMValueRef flag = LLVMBuildLoad2(B, ir->i8, nd__ir_argument(e, step, 0), "");
    LLVMBuildCondBr(B, LLVMBuildIsNotNull(B, flag, ""), yes, no);
    LLVMPositionBuilderAtEnd(B, yes);
    write_steps(e, step->body.items, step->body.count);
    LLVMBuildBr(B, after);
    LLVMPositionBuilderAtEnd(B, no);
    write_steps(e, step->other.items, step->other.count);
    LLVMBuildBr(B, after);
    LLVMPositionBuilderAtEnd(B, after);
}

static void write_step(nd__entry *e, const nd__step *step)
{
    if (step->kind == ND__STEP_KERNEL && step->chunks > 1)
        nd__ir_chunks(e, step);
    else if (step->kind == ND__STEP_KERNEL)
        write_kernel(e, step);
    else if (step->kind == ND__STEP_LOOP)
        write_loop(e, step);
    else
        write_cond(e, step);
}

/* Steps without a loop around them of our own. */
static void write_straight(nd__entry *e, const nd__step *steps, int count)
{
    for (int i = 0; i < count && !e->ir->failed;) {
        const int listed = nd__ir_listed(e, &steps[i], count - i);
        if (listed > 1)
            nd__ir_list(e, &steps[i], listed);
        else
            write_step(e, &steps[i]);
        i += listed > 1 ? listed : 1;
    }
}

/* The steps of one turn, in a loop over the turns. */
static void write_repeat(nd__entry *e, nd__repeat repeat, const nd__step *first)
{
    loop l = begin_loop(e);
    repeat.first = first;
    repeat.turn = l.counter;
    repeat.table = e->frame ? nd__ir_turn_table(e, &repeat) : NULL;
    e->repeat = &repeat;
    write_straight(e, first, repeat.period);
    e->repeat = NULL;
    end_loop(e, l, repeat.count);
}

static void write_steps(nd__entry *e, const nd__step *steps, int count)
{
    int straight = 0; /* the first that is not written yet */
    for (int i = 0; i < count && !e->ir->failed;) {
        const nd__repeat repeat = nd__find_repeat(e->plan, e->of, &steps[i], count - i);
        if (repeat.count > 1) {
            write_straight(e, &steps[straight], i - straight);
            write_repeat(e, repeat, &steps[i]);
            straight = i + repeat.period * repeat.count;
        }
        i += repeat.period * repeat.count;
    }
    if (straight < count) /* of no steps there is no address */
        write_straight(e, &steps[straight], count - straight);
}

/* -- entries ------------------------------------------------------------------------------------------------------ */

LLVMTypeRef nd__ir_entry_type(const nd__ir *ir, bool parallel)
{
    LLVMTypeRef params[] = {ir->pointer, ir->pointer, ir->pointer, ir->pointer, ir->pointer};
    return LLVMFunctionType(ir->nothing, params, parallel ? 5 : 4, false);
}

LLVMLinkage nd__ir_entry_linkage(const nd__ir *ir)
{
    return ir->variant ? LLVMInternalLinkage : LLVMExternalLinkage;
}

LLVMValueRef nd__ir_entry(nd__shapes *all, const nd__plan *plan, const int *of, const char *name, bool parallel)
{
    nd__ir *ir = all->ir;
    nd__entry e = {.ir = ir, .plan = plan, .all = all, .of = of};
    e.function = nd__ir_function(ir, name, nd__ir_entry_type(ir, parallel), nd__ir_entry_linkage(ir));
    LLVMPositionBuilderAtEnd(B, new_block(&e));
    e.state = LLVMGetParam(e.function, 0);
    e.arena = LLVMGetParam(e.function, 1);
    e.in = LLVMGetParam(e.function, 2);
    e.out = LLVMGetParam(e.function, 3);
    e.parallel = parallel ? LLVMGetParam(e.function, 4) : NULL;
    if (parallel)
        nd__ir_frame(&e);
    write_steps(&e, plan->steps.items, plan->steps.count);
    LLVMBuildRetVoid(B);
    return e.function;
}
