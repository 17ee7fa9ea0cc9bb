/* Frames: the arguments of a step in memory, for the tasks that run its chunks. They are filled from tables by one
 * small loop: a step has ten of them, and instructions for each would be more code than that of many kernels. */
#include "compiler/llvm/ir_entry.h"

#include <stddef.h>

#define B (ir->builder)

/* Of the bases that an argument's table counts from, the first two; then come inputs, then outputs. */
enum { STATE, ARENA, PORTS };

/* An entry of a table. */
typedef struct place {
    int64_t base, offset;  /* base: its number; offset: bytes, as are */
    int64_t chunk, worker; /* from chunk to chunk, from worker to worker */
} place;

LLVMValueRef nd__ir_slot(nd__ir *ir, LLVMValueRef frame, int i)
{
    return nd__ir_address(ir, frame, LLVMConstInt(ir->i64, sizeof(void *) * (uint64_t)i, false));
}

/* -- at the start of an entry ------------------------------------------------------------------------------------- */

static int most_arguments(const nd__entry *e, const nd__steps *steps)
{
    int most = 0;
    for (int i = 0; i < steps->count; i++) {
        const nd__step *step = &steps->items[i];
        int n = most_arguments(e, &step->body), other = most_arguments(e, &step->other);
        if (step->kind == ND__STEP_KERNEL)
            n = e->all->items[e->of[step->kernel]].kernel->argument_count;
        n = other > n ? other : n;
        most = n > most ? n : most;
    }
    return most;
}

static int count_ports(const nd__plan *plan, nd__where where)
{
    int count = 0;
    for (int i = 0; i < plan->buffer_count; i++)
        if (plan->buffers[i].where == where && plan->buffers[i].index >= count)
            count = plan->buffers[i].index + 1;
    return count;
}

static void copy_ports(nd__entry *e, LLVMValueRef ports, int count, int first)
{
    nd__ir *ir = e->ir;
    for (int i = 0; i < count; i++) {
        LLVMValueRef port = LLVMBuildLoad2(B, ir->pointer, nd__ir_slot(ir, ports, i), "");
        LLVMBuildStore(B, port, nd__ir_slot(ir, e->bases, first + i));
    }
}

void nd__ir_frame(nd__entry *e)
{
    nd__ir *ir = e->ir;
    const int inputs = count_ports(e->plan, ND__IN_INPUT), outputs = count_ports(e->plan, ND__IN_OUTPUT);
    const int slots = most_arguments(e, &e->plan->steps), bases = PORTS + inputs + outputs;
    e->frame = LLVMBuildAlloca(B, LLVMArrayType2(ir->pointer, (uint64_t)(ND__FRAME_ARGS + slots)), "");
    e->bases = LLVMBuildAlloca(B, LLVMArrayType2(ir->pointer, (uint64_t)bases), "");
    e->first_output = PORTS + inputs;
    LLVMBuildStore(B, e->state, nd__ir_slot(ir, e->bases, STATE));
    LLVMBuildStore(B, e->arena, nd__ir_slot(ir, e->bases, ARENA));
    copy_ports(e, e->in, inputs, PORTS);
    copy_ports(e, e->out, outputs, e->first_output);
}

/* -- filling ------------------------------------------------------------------------------------------------------ */

nd__counting nd__ir_begin_counting(nd__ir *ir, const char *name, LLVMTypeRef *params, int count)
{
    nd__counting c = {.back = LLVMGetInsertBlock(B)};
    c.function =
        nd__ir_function(ir, name, LLVMFunctionType(ir->nothing, params, (unsigned)count, false), LLVMInternalLinkage);
    c.before = LLVMAppendBasicBlockInContext(ir->context, c.function, "");
    c.body = LLVMAppendBasicBlockInContext(ir->context, c.function, "");
    LLVMPositionBuilderAtEnd(B, c.before);
    LLVMBuildBr(B, c.body);
    LLVMPositionBuilderAtEnd(B, c.body);
    c.i = LLVMBuildPhi(B, ir->i64, "");
    return c;
}

LLVMValueRef nd__ir_end_counting(nd__ir *ir, nd__counting c)
{
    LLVMBasicBlockRef after = LLVMAppendBasicBlockInContext(ir->context, c.function, "");
    LLVMValueRef next = LLVMBuildAdd(B, c.i, LLVMConstInt(ir->i64, 1, false), "");
    LLVMValueRef values[] = {LLVMConstInt(ir->i64, 0, false), next};
    LLVMBasicBlockRef blocks[] = {c.before, c.body};
    LLVMAddIncoming(c.i, values, blocks, 2);
    LLVMBuildCondBr(B, LLVMBuildICmp(B, LLVMIntULT, next, LLVMGetLastParam(c.function), ""), c.body, after);
    LLVMPositionBuilderAtEnd(B, after);
    LLVMBuildRetVoid(B);
    LLVMPositionBuilderAtEnd(B, c.back);
    return c.function;
}

/* Pointer number i of those that begin `slots` pointers into an array. */
static LLVMValueRef pointer_in(nd__ir *ir, LLVMValueRef array, int slots, LLVMValueRef i)
{
    return LLVMBuildGEP2(B, ir->pointer, nd__ir_slot(ir, array, slots), &i, 1, "");
}

LLVMValueRef nd__ir_place(nd__ir *ir, LLVMValueRef table, LLVMValueRef i)
{
    LLVMValueRef bytes = LLVMBuildMul(B, i, LLVMConstInt(ir->i64, sizeof(place), false), "");
    return nd__ir_address(ir, table, bytes);
}

/* A number of entry i of a table: the one `offset` bytes into it. */
static LLVMValueRef number_in(nd__ir *ir, LLVMValueRef table, LLVMValueRef i, size_t offset)
{
    LLVMValueRef at = nd__ir_address(ir, nd__ir_place(ir, table, i), LLVMConstInt(ir->i64, offset, false));
    return LLVMBuildLoad2(B, ir->i64, at, "");
}

LLVMValueRef nd__ir_fill_function(nd__ir *ir)
{
    static const char name[] = "nadir.frame";
    LLVMValueRef f = nd__ir_internal(ir, name);
    if (f)
        return f;
    LLVMTypeRef params[] = {ir->pointer, ir->pointer, ir->pointer, ir->pointer, ir->i64};
    nd__counting c = nd__ir_begin_counting(ir, name, params, 5);
    LLVMValueRef frame = LLVMGetParam(c.function, 0), table = LLVMGetParam(c.function, 3);
    LLVMValueRef from =
        pointer_in(ir, LLVMGetParam(c.function, 2), 0, number_in(ir, table, c.i, offsetof(place, base)));
    LLVMValueRef base = LLVMBuildLoad2(B, ir->pointer, from, "");
    LLVMBuildStore(B, nd__ir_address(ir, base, number_in(ir, table, c.i, offsetof(place, offset))),
                   pointer_in(ir, frame, ND__FRAME_ARGS, c.i));
    LLVMBuildStore(B, LLVMGetParam(c.function, 1), nd__ir_slot(ir, frame, ND__FRAME_KERNEL));
    LLVMBuildStore(B, table, nd__ir_slot(ir, frame, ND__FRAME_TABLE));
    return nd__ir_end_counting(ir, c);
}

static LLVMValueRef moved(nd__ir *ir, LLVMValueRef pointer, LLVMValueRef number, LLVMValueRef bytes)
{
    LLVMValueRef wide = LLVMBuildZExt(B, number, ir->i64, "");
    return nd__ir_address(ir, pointer, LLVMBuildMul(B, wide, bytes, ""));
}

LLVMValueRef nd__ir_move_function(nd__ir *ir)
{
    static const char name[] = "nadir.move";
    LLVMValueRef f = nd__ir_internal(ir, name);
    if (f)
        return f;
    LLVMTypeRef params[] = {ir->pointer, ir->pointer, ir->i32, ir->i32, ir->i64};
    nd__counting c = nd__ir_begin_counting(ir, name, params, 5);
    LLVMValueRef frame = LLVMGetParam(c.function, 1);
    LLVMValueRef table = LLVMBuildLoad2(B, ir->pointer, nd__ir_slot(ir, frame, ND__FRAME_TABLE), "");
    LLVMValueRef arg = LLVMBuildLoad2(B, ir->pointer, pointer_in(ir, frame, ND__FRAME_ARGS, c.i), "");
    arg = moved(ir, arg, LLVMGetParam(c.function, 2), number_in(ir, table, c.i, offsetof(place, chunk)));
    arg = moved(ir, arg, LLVMGetParam(c.function, 3), number_in(ir, table, c.i, offsetof(place, worker)));
    LLVMBuildStore(B, arg, pointer_in(ir, LLVMGetParam(c.function, 0), 0, c.i));
    return nd__ir_end_counting(ir, c);
}

/* The base of an argument that lies still within its turn; -1: a table does not tell where it is. */
static int base_of(const nd__entry *e, const nd__karg *arg)
{
    const nd__buffer *buffer = &e->plan->buffers[arg->buffer];
    for (int d = 0; d < e->depth; d++)
        if (arg->stride[d])
            return -1;
    switch (buffer->where) {
    case ND__IN_STATE:
        return STATE;
    case ND__IN_ARENA:
    case ND__IN_WORKER:
        return ARENA;
    case ND__IN_INPUT:
        return PORTS + buffer->index;
    case ND__IN_OUTPUT:
        return e->first_output + buffer->index;
    default:
        return -1;
    }
}

bool nd__ir_framed(const nd__entry *e, const nd__step *step)
{
    for (int i = 0; i < e->plan->kernels[step->kernel]->argument_count; i++)
        if (base_of(e, &step->args[i]) < 0)
            return false;
    return true;
}

static int count_places(const nd__entry *e, const nd__step *first, int count)
{
    int n = 0;
    for (int i = 0; i < count; i++)
        n += e->plan->kernels[first[i].kernel]->argument_count;
    return n;
}

static void note_places(const nd__entry *e, const nd__step *step, place *table)
{
    for (int i = 0; i < e->plan->kernels[step->kernel]->argument_count; i++) {
        const nd__karg *arg = &step->args[i];
        const nd__buffer *buffer = &e->plan->buffers[arg->buffer];
        const int base = base_of(e, arg);
        if (base >= 0)
            table[i] = (place){.base = base, .offset = nd__ir_fixed_offset(e->plan, arg)};
        table[i].chunk = arg->chunk * (int64_t)nd_dtype_size(buffer->dtype);
        table[i].worker = buffer->where == ND__IN_WORKER ? e->plan->worker_size : 0;
    }
}

/* The places of the arguments of `count` steps. */
static LLVMValueRef table_of(nd__entry *e, const nd__step *first, int count)
{
    nd__ir *ir = e->ir;
    const int n = count_places(e, first, count);
    place *table = nd__arena_alloc(&ir->arena, (size_t)n + 1, sizeof *table);
    if (!table) {
        ir->failed = true;
        return LLVMConstNull(ir->pointer);
    }
    for (int i = 0; i < count; i++)
        note_places(e, &first[i], &table[count_places(e, first, i)]);
    return nd__ir_data(ir, table, n * (int64_t)sizeof *table);
}

/* Frozen, which changes nothing: LLVM's strength reduction then sees one pointer that moves, not one for each step. */
LLVMValueRef nd__ir_turn_table(nd__entry *e, const nd__repeat *repeat)
{
    nd__ir *ir = e->ir;
    const int64_t bytes = count_places(e, repeat->first, repeat->period) * (int64_t)sizeof(place);
    LLVMValueRef all = table_of(e, repeat->first, repeat->period * repeat->count);
    LLVMValueRef at = LLVMBuildMul(B, repeat->turn, LLVMConstInt(ir->i64, (uint64_t)bytes, false), "");
    return LLVMBuildFreeze(B, nd__ir_address(ir, all, at), "");
}

LLVMValueRef nd__ir_table(nd__entry *e, const nd__step *first, int count)
{
    const nd__repeat *repeat = e->repeat;
    if (!repeat)
        return table_of(e, first, count);
    const int before = count_places(e, repeat->first, (int)(first - repeat->first));
    return nd__ir_address(e->ir, repeat->table, LLVMConstInt(e->ir->i64, (uint64_t)before * sizeof(place), false));
}

void nd__ir_fill(nd__entry *e, const nd__step *step)
{
    nd__ir *ir = e->ir;
    const nd__shape *item = &e->all->items[e->of[step->kernel]];
    const int n = item->kernel->argument_count;
    LLVMValueRef fill = nd__ir_fill_function(ir);
    LLVMValueRef args[] = {e->frame, item->function, e->bases, nd__ir_table(e, step, 1),
                           LLVMConstInt(ir->i64, (uint64_t)n, false)};
    LLVMBuildCall2(B, LLVMGlobalGetValueType(fill), fill, args, 5, "");
    for (int i = 0; i < n; i++)
        if (base_of(e, &step->args[i]) < 0)
            LLVMBuildStore(B, nd__ir_argument(e, step, i), nd__ir_slot(ir, e->frame, ND__FRAME_ARGS + i));
}
