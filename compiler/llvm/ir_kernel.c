/* A kernel as a function: its structure. Loops test at their end (after one test before it where they may not run at
 * all), what they carry are phis. */
#include "compiler/llvm/ir.h"

#include <string.h>

#define B (f->b)

static const nd__kinst *write_block(nd__fn *f, const nd__kblock *block);

static LLVMBasicBlockRef new_block(nd__fn *f)
{
    return LLVMAppendBasicBlockInContext(f->ir->context, f->function, "");
}

static int64_t power_of_two_in(int64_t x)
{
    return x <= 0 ? 1 : (int64_t)((uint64_t)x & -(uint64_t)x);
}

/* Parameter n of the function, which is where that buffer begins, argument number `argument` of the kernel. */
static LLVMValueRef take_pointer(nd__fn *f, int buffer, int argument, unsigned n)
{
    const nd__kbuffer *b = &f->k->buffers[buffer];
    LLVMValueRef pointer = LLVMGetParam(f->function, n);
    nd__ir_attribute(f->ir, f->function, n + 1, "align", (uint64_t)power_of_two_in(b->align));
    if (!f->shared[argument])
        nd__ir_attribute(f->ir, f->function, n + 1, "noalias", 0);
    return pointer;
}

static void add_incoming(LLVMValueRef phi, LLVMValueRef x, LLVMBasicBlockRef from_x, LLVMValueRef y,
                         LLVMBasicBlockRef from_y)
{
    LLVMValueRef values[] = {x, y};
    LLVMBasicBlockRef blocks[] = {from_x, from_y};
    LLVMAddIncoming(phi, values, blocks, 2);
}

/* The greater (or, `least`, the lesser) of an affine bound and a number. */
static LLVMValueRef bound(nd__fn *f, const nd__kaffine *at, int64_t limit, bool least)
{
    nd__ir *ir = f->ir;
    LLVMValueRef x = nd__ir_affine(f, at);
    if (limit == INT64_MIN || limit == INT64_MAX)
        return x;
    LLVMValueRef number = LLVMConstInt(ir->i64, (uint64_t)limit, true);
    return LLVMBuildSelect(B, LLVMBuildICmp(B, least ? LLVMIntSLT : LLVMIntSGT, x, number, ""), x, number, "");
}

static bool has_loop(const nd__kblock *block)
{
    for (const nd__kinst *i = block->first; i; i = i->next)
        if (i->op == ND__K_for || has_loop(&i->body) || has_loop(&i->other))
            return true;
    return false;
}

static void write_loop(nd__fn *f, const nd__kinst *loop)
{
    nd__ir *ir = f->ir;
    LLVMValueRef lo = bound(f, loop->lo, loop->least, false), hi = bound(f, loop->hi, loop->most, true);
    bool runs = nd__ir_runs(f, loop);
    LLVMBasicBlockRef before = LLVMGetInsertBlock(B), body = new_block(f), after = new_block(f);
    if (runs)
        LLVMBuildBr(B, body);
    else
        LLVMBuildCondBr(B, LLVMBuildICmp(B, LLVMIntSLT, lo, hi, ""), body, after);

    LLVMPositionBuilderAtEnd(B, body);
    nd__frame *frame = &f->frames[f->depth++];
    *frame = (nd__frame){.iv = loop->iv, .counter = LLVMBuildPhi(B, ir->i64, ""), .first = lo, .before = before};
    frame->innermost = has_loop(&loop->body) ? NULL : loop;
    frame->tail = frame->counter;
    for (int i = 0; i < loop->arg_count; i++) {
        LLVMTypeRef type = nd__ir_type(ir, f->k->types[loop->carried + i]);
        frame->tail = f->values[loop->carried + i] = LLVMBuildPhi(B, type, "");
    }
    nd__ir_iv_fact(f, loop);
    const nd__kinst *yield = write_block(f, &loop->body);
    LLVMValueRef step = LLVMConstInt(ir->i64, (uint64_t)loop->step, true);
    LLVMValueRef next = nd__ir_hidden(ir, LLVMBuildNSWAdd(B, frame->counter, step, ""));
    nd__ir_move_partials(f, frame);
    LLVMBasicBlockRef latch = LLVMGetInsertBlock(B);
    LLVMBuildCondBr(B, LLVMBuildICmp(B, LLVMIntSLT, next, hi, ""), body, after);
    add_incoming(frame->counter, lo, before, next, latch);
    f->depth--;

    LLVMMoveBasicBlockAfter(after, latch);
    LLVMPositionBuilderAtEnd(B, after);
    for (int i = 0; i < loop->arg_count; i++) {
        LLVMValueRef first = f->values[loop->args[i]], last = f->values[yield->args[i]];
        add_incoming(f->values[loop->carried + i], first, before, last, latch);
        if (!runs) {
            LLVMValueRef phi = LLVMBuildPhi(B, LLVMTypeOf(last), "");
            add_incoming(phi, first, before, last, latch);
            last = phi;
        }
        f->values[loop->result + i] = last;
    }
}

/* -- loops apart -------------------------------------------------------------------------------------------------- */

/* What a loop takes from outside, to be handed over in a call. */
typedef struct taken {
    nd__kval *numbers;
    LLVMValueRef *values;
    bool *buffers;
    int count;
} taken;

/* Values are written in order: those that are known before the loop is written come from outside. They are forgotten,
 * so that each is found once. */
static void take(nd__fn *f, const nd__kblock *block, taken *t)
{
    for (const nd__kinst *i = block->first; i; i = i->next) {
        for (int a = 0; a < i->arg_count; a++) {
            LLVMValueRef value = f->values[i->args[a]];
            if (!value || LLVMIsConstant(value))
                continue;
            t->numbers[t->count] = i->args[a];
            t->values[t->count++] = value;
            f->values[i->args[a]] = NULL;
        }
        if (i->addr && i->op != ND__K_index)
            t->buffers[i->addr->buffer] = f->k->buffers[i->addr->buffer].access != ND__K_TABLE;
        take(f, &i->body, t);
        take(f, &i->other, t);
    }
}

/* A function just written, or one that was written before and is equal: what follows several products or sums often is,
 * an optimizer's update. Names aside, equal functions have equal texts. */
static LLVMValueRef only_one(nd__ir *ir, LLVMValueRef function)
{
    char *text = LLVMPrintValueToString(function);
    const char *after = strchr(text, '(');
    struct nd__ir_loop *l = ir->loops;
    while (l && (l->machine != ir->machine || strcmp(l->text, after)))
        l = l->next;
    if (l) {
        LLVMDeleteFunction(function);
        function = l->function;
    } else if ((l = nd__arena_alloc(&ir->arena, 1, sizeof *l))) { /* else it is not found again */
        *l = (struct nd__ir_loop){ir->loops, ir->machine, nd__arena_text(&ir->arena, after, strlen(after)), function};
        ir->loops = l->text ? l : ir->loops;
    }
    LLVMDisposeMessage(text);
    return function;
}

/* The function of a loop, its parameters in the order of `args`: buffers, the variables around it, values. */
static LLVMValueRef write_apart(nd__fn *f, const nd__kinst *loop, const taken *t, const LLVMValueRef *args, int n)
{
    nd__ir *ir = f->ir;
    LLVMTypeRef *types = nd__arena_alloc(&ir->arena, (size_t)n + 1, sizeof *types);
    nd__fn *inner = nd__arena_alloc(&ir->arena, 1, sizeof *inner);
    LLVMBasicBlockRef back = LLVMGetInsertBlock(B);
    if (!types || !inner) {
        ir->failed = true;
        return NULL;
    }
    for (int i = 0; i < n; i++)
        types[i] = LLVMTypeOf(args[i]);
    *inner = *f;
    inner->function = nd__ir_function(ir, "nadir.loop", LLVMFunctionType(ir->nothing, types, (unsigned)n, false),
                                      LLVMInternalLinkage);
    inner->bases = nd__arena_alloc(&ir->arena, (size_t)f->k->buffer_count + 1, sizeof *inner->bases);
    if (!inner->bases) {
        ir->failed = true;
        return NULL;
    }
    LLVMPositionBuilderAtEnd(B, new_block(inner));
    unsigned param = 0;
    for (int i = 0, argument = 0; i < f->k->buffer_count; i++) {
        inner->bases[i] = t->buffers[i] ? take_pointer(inner, i, argument, param++) : f->bases[i];
        argument += f->k->buffers[i].access != ND__K_TABLE;
    }
    for (int d = 0; d < f->depth; d++) { /* an instruction, after which there is room for sums */
        LLVMValueRef counter = LLVMBuildFreeze(B, LLVMGetParam(inner->function, param++), "");
        inner->frames[d] = (nd__frame){.iv = f->frames[d].iv, .counter = counter, .tail = counter};
    }
    for (int i = 0; i < t->count; i++)
        f->values[t->numbers[i]] = LLVMGetParam(inner->function, param++);
    write_loop(inner, loop);
    LLVMBuildRetVoid(B);
    LLVMPositionBuilderAtEnd(B, back);
    return only_one(ir, inner->function);
}

static void call_loop(nd__fn *f, const nd__kinst *loop)
{
    nd__ir *ir = f->ir;
    const size_t values = (size_t)f->k->value_count + 1, buffers = (size_t)f->k->buffer_count + 1;
    taken t = {.numbers = nd__arena_alloc(&ir->arena, values, sizeof *t.numbers),
               .values = nd__arena_alloc(&ir->arena, values, sizeof *t.values),
               .buffers = nd__arena_alloc(&ir->arena, buffers, sizeof *t.buffers)};
    LLVMValueRef *args = nd__arena_alloc(&ir->arena, values + buffers + (size_t)f->depth, sizeof *args);
    if (!t.numbers || !t.values || !t.buffers || !args) {
        ir->failed = true;
        return;
    }
    int n = 0;
    take(f, &loop->body, &t);
    for (int i = 0; i < f->k->buffer_count; i++)
        if (t.buffers[i])
            args[n++] = f->bases[i];
    for (int d = 0; d < f->depth; d++)
        args[n++] = f->frames[d].counter;
    for (int i = 0; i < t.count; i++)
        args[n++] = t.values[i];
    LLVMValueRef function = write_apart(f, loop, &t, args, n);
    for (int i = 0; i < t.count; i++)
        f->values[t.numbers[i]] = t.values[i];
    if (function)
        LLVMBuildCall2(B, LLVMGlobalGetValueType(function), function, args, (unsigned)n, "");
}

static void write_for(nd__fn *f, const nd__kinst *loop)
{
    if (loop->apart)
        call_loop(f, loop);
    else
        write_loop(f, loop);
}

static void write_if(nd__fn *f, const nd__kinst *branch)
{
    LLVMBasicBlockRef yes = new_block(f), no = new_block(f), after = new_block(f);
    LLVMBuildCondBr(B, f->values[branch->args[0]], yes, no);
    LLVMPositionBuilderAtEnd(B, yes);
    const nd__kinst *x = write_block(f, &branch->body);
    LLVMBasicBlockRef from_x = LLVMGetInsertBlock(B);
    LLVMBuildBr(B, after);
    LLVMMoveBasicBlockAfter(no, from_x);
    LLVMPositionBuilderAtEnd(B, no);
    const nd__kinst *y = write_block(f, &branch->other);
    LLVMBasicBlockRef from_y = LLVMGetInsertBlock(B);
    LLVMBuildBr(B, after);
    LLVMMoveBasicBlockAfter(after, from_y);
    LLVMPositionBuilderAtEnd(B, after);
    for (int i = 0; i < branch->result_count; i++) {
        LLVMValueRef one = f->values[x->args[i]], phi = LLVMBuildPhi(B, LLVMTypeOf(one), "");
        add_incoming(phi, one, from_x, f->values[y->args[i]], from_y);
        f->values[branch->result + i] = phi;
    }
}

static void write_transpose(nd__fn *f, const nd__kinst *i)
{
    LLVMValueRef vectors[ND__MAX_LANES];
    for (int v = 0; v < i->arg_count; v++)
        vectors[v] = f->values[i->args[v]];
    nd__ktype type = f->k->types[i->result];
    nd__ir_transpose(f->ir, i->arg_count, (int)nd_dtype_size((nd_dtype)type.dtype), vectors);
    for (int v = 0; v < i->arg_count; v++)
        f->values[i->result + v] = vectors[v];
}

/* at + lane * lane_stride, wrapped to the type. */
static LLVMValueRef write_index(nd__fn *f, const nd__kinst *i)
{
    nd__ir *ir = f->ir;
    LLVMTypeRef element = nd__ir_element(ir, (nd_dtype)i->type.dtype);
    LLVMValueRef first = nd__ir_affine(f, &i->addr->at), lanes[ND__MAX_LANES];
    if (element != ir->i64)
        first = LLVMBuildTrunc(B, first, element, "");
    if (i->type.lanes == 1)
        return first;
    for (int l = 0; l < i->type.lanes; l++)
        lanes[l] = nd__ir_integer(element, (uint64_t)l * (uint64_t)i->addr->lane_stride);
    return LLVMBuildAdd(B, nd__ir_splat(ir, first, i->type.lanes), LLVMConstVector(lanes, i->type.lanes), "");
}

static LLVMValueRef operand(const nd__fn *f, const nd__kinst *i, int n)
{
    return n < i->arg_count ? f->values[i->args[n]] : NULL;
}

static void write_inst(nd__fn *f, const nd__kinst *i)
{
    nd__ir *ir = f->ir;
    LLVMValueRef result = NULL;
    switch (i->op) {
    case ND__K_const:
        result = nd__ir_bits(ir, i->type, i->imm);
        break;
    case ND__K_splat:
        result = nd__ir_splat(ir, operand(f, i, 0), i->type.lanes);
        break;
    case ND__K_lane:
        result = nd__ir_lane(ir, operand(f, i, 0), (int)i->imm);
        break;
    case ND__K_index:
        result = write_index(f, i);
        break;
    case ND__K_load:
        result = nd__ir_load(f, i);
        break;
    case ND__K_loadx:
        result = nd__ir_loadx(f, i);
        break;
    case ND__K_store:
        nd__ir_store(f, i);
        return;
    case ND__K_storex:
        nd__ir_storex(f, i);
        return;
    case ND__K_fetch:
        nd__ir_fetch(f, i);
        return;
    case ND__K_tree_add:
    case ND__K_tree_min:
    case ND__K_tree_max:
        result = nd__ir_tree(ir, i->op, (nd_dtype)i->type.dtype, operand(f, i, 0));
        break;
    case ND__K_transpose:
        write_transpose(f, i);
        return;
    case ND__K_for:
        write_for(f, i);
        return;
    case ND__K_if:
        write_if(f, i);
        return;
    case ND__K_yield:
        return;
    default: {
        /* The operand whose type decides: a select's is its second. */
        nd__ktype from = f->k->types[i->args[i->op == ND__K_select ? 1 : 0]], to = f->k->types[i->result];
        result = nd__ir_arith(ir, i->op, from, to, operand(f, i, 0), operand(f, i, 1), operand(f, i, 2));
    }
    }
    f->values[i->result] = result;
}

/* Gives the yield that ends it; NULL for a kernel's own body. */
static const nd__kinst *write_block(nd__fn *f, const nd__kblock *block)
{
    for (const nd__kinst *i = block->first; i; i = i->next)
        write_inst(f, i);
    return block->last && block->last->op == ND__K_yield ? block->last : NULL;
}

LLVMValueRef nd__ir_kernel(nd__ir *ir, const nd__kernel *k, const char *name, const bool *shared)
{
    nd__fn *f = nd__arena_alloc(&ir->arena, 1, sizeof *f);
    LLVMTypeRef *params = nd__arena_alloc(&ir->arena, (size_t)k->buffer_count + 1, sizeof *params);
    if (!f || !params) {
        ir->failed = true;
        return NULL;
    }
    f->ir = ir, f->b = ir->builder, f->k = k, f->shared = shared;
    f->values = nd__arena_alloc(&ir->arena, (size_t)k->value_count + 1, sizeof *f->values);
    f->bases = nd__arena_alloc(&ir->arena, (size_t)k->buffer_count + 1, sizeof *f->bases);
    f->facts = nd__arena_alloc(&ir->arena, (size_t)k->iv_count + 1, sizeof *f->facts);
    if (!f->values || !f->bases || !f->facts) {
        ir->failed = true;
        return NULL;
    }
    unsigned n = 0;
    for (int i = 0; i < k->buffer_count; i++)
        if (k->buffers[i].access != ND__K_TABLE)
            params[n++] = ir->pointer;
    f->function = nd__ir_function(ir, name, LLVMFunctionType(ir->nothing, params, n, false), LLVMInternalLinkage);
    n = 0;
    for (int i = 0; i < k->buffer_count; i++) {
        const nd__kbuffer *buffer = &k->buffers[i];
        if (buffer->access == ND__K_TABLE) {
            f->bases[i] = nd__ir_data(ir, buffer->data, buffer->elems * (int64_t)nd_dtype_size(buffer->dtype));
        } else {
            f->bases[i] = take_pointer(f, i, (int)n, n);
            LLVMSetValueName2(f->bases[i], buffer->name ? buffer->name : "", buffer->name ? strlen(buffer->name) : 0);
            n++;
        }
    }
    LLVMPositionBuilderAtEnd(B, new_block(f));
    write_block(f, &k->body);
    LLVMBuildRetVoid(B);
    return f->function;
}
