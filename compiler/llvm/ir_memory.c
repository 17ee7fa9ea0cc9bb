/* Addresses, loads and stores.
 *
 * An affine address is a base plus a term for each loop around it. The sum up to a loop's variable is computed at the
 * head of that loop's body, once for all addresses that share it, and the constant is added at the access itself: so
 * what differs between the loads of a tile becomes the displacement of an addressing mode. In an innermost loop the sum
 * is a pointer that moves. */
#include "compiler/llvm/ir.h"

#include <string.h>

#define B (ir->builder)

/* -- what is known of variables ----------------------------------------------------------------------------------- */

/* The least and greatest value of an affine form; false: unknown or too large. */
static bool affine_range(const nd__fn *f, const nd__kaffine *at, int64_t *low, int64_t *high)
{
    *low = *high = at->constant;
    for (int i = 0; i < at->count; i++) {
        const nd__ivfact *fact = &f->facts[at->terms[i].iv];
        int64_t coef = at->terms[i].coef, a, b;
        if (fact->low > fact->high || __builtin_mul_overflow(coef, fact->low, &a) ||
            __builtin_mul_overflow(coef, fact->high, &b) || __builtin_add_overflow(*low, a < b ? a : b, low) ||
            __builtin_add_overflow(*high, a < b ? b : a, high))
            return false;
    }
    return true;
}

static int64_t lowest_bit(int64_t x)
{
    return (int64_t)((uint64_t)x & -(uint64_t)x);
}

/* The power of two that divides both; x, y powers of two or 0, which everything divides. */
static int64_t both_divide(int64_t x, int64_t y)
{
    x = lowest_bit(x), y = lowest_bit(y);
    return !x ? y : !y || x < y ? x : y;
}

/* The power of two that divides every value of the form times `factor`; 0 for the constant 0. */
static int64_t affine_multiple(const nd__fn *f, const nd__kaffine *at, int64_t factor)
{
    int64_t all = lowest_bit((int64_t)((uint64_t)at->constant * (uint64_t)factor));
    for (int i = 0; i < at->count; i++) {
        uint64_t scale = (uint64_t)at->terms[i].coef * (uint64_t)factor;
        all = both_divide(all, (int64_t)(scale * (uint64_t)f->facts[at->terms[i].iv].multiple));
    }
    return all;
}

void nd__ir_iv_fact(nd__fn *f, const nd__kinst *loop)
{
    nd__ivfact *fact = &f->facts[loop->iv];
    int64_t low, high, unused;
    *fact = (nd__ivfact){1, 0, both_divide(affine_multiple(f, loop->lo, 1), loop->step)};
    if (loop->least != INT64_MIN)
        fact->multiple = both_divide(fact->multiple, loop->least);
    if (!affine_range(f, loop->lo, &low, &unused) || !affine_range(f, loop->hi, &unused, &high))
        return;
    low = low < loop->least ? loop->least : low;
    high = high > loop->most ? loop->most : high;
    if (low < high)
        fact->low = low, fact->high = high - 1;
}

bool nd__ir_runs(nd__fn *f, const nd__kinst *loop)
{
    nd__kaffine length = nd__k_sum(*loop->hi, nd__k_scaled(*loop->lo, -1));
    int64_t low, high;
    if (loop->least != INT64_MIN || loop->most != INT64_MAX)
        return false;
    return affine_range(f, &length, &low, &high) && low > 0;
}

/* -- sums --------------------------------------------------------------------------------------------------------- */

static void go_to_head(nd__ir *ir, const nd__frame *frame)
{
    LLVMValueRef next = LLVMGetNextInstruction(frame->tail);
    if (next)
        LLVMPositionBuilderBefore(B, next);
    else
        LLVMPositionBuilderAtEnd(B, LLVMGetInstructionParent(frame->tail));
}

LLVMValueRef nd__ir_hidden(nd__ir *ir, LLVMValueRef x)
{
    if (LLVMTypeOf(x) == ir->pointer)
        return nd__ir_intrinsic(ir, "llvm.strip.invariant.group", 1, &ir->pointer, 1, &x);
    LLVMValueRef args[] = {x, LLVMConstInt(ir->i64, 0, false)};
    return nd__ir_intrinsic(ir, "llvm.expect", 1, &ir->i64, 2, args);
}

static LLVMValueRef times(nd__ir *ir, LLVMValueRef x, int64_t factor)
{
    return factor == 1 ? x : LLVMBuildMul(B, x, LLVMConstInt(ir->i64, (uint64_t)factor, true), "");
}

/* A pointer that begins `factor` times the counter behind another one and moves. */
static LLVMValueRef moving(nd__ir *ir, nd__frame *frame, LLVMValueRef from, int64_t factor)
{
    LLVMPositionBuilderBefore(B, LLVMGetBasicBlockTerminator(frame->before));
    LLVMValueRef first = nd__ir_address(ir, from, times(ir, frame->first, factor));
    LLVMPositionBuilderBefore(B, LLVMGetFirstInstruction(LLVMGetInstructionParent(frame->counter)));
    LLVMValueRef phi = LLVMBuildPhi(B, ir->pointer, "");
    LLVMAddIncoming(phi, &first, &frame->before, 1);
    return phi;
}

void nd__ir_move_partials(nd__fn *f, nd__frame *frame)
{
    nd__ir *ir = f->ir;
    LLVMBasicBlockRef latch = LLVMGetInsertBlock(B);
    for (const nd__partial *p = frame->partials; p; p = p->next)
        if (p->stride) {
            LLVMValueRef stride = LLVMConstInt(ir->i64, (uint64_t)p->stride, true);
            LLVMValueRef next = nd__ir_hidden(ir, nd__ir_address(ir, p->value, stride));
            LLVMAddIncoming(p->value, &next, &latch, 1);
        }
}

/* A pointer or number (NULL: 0) plus `factor` times the counter, at the head of the body. */
static LLVMValueRef computed(nd__ir *ir, nd__frame *frame, LLVMValueRef from, int64_t factor)
{
    go_to_head(ir, frame);
    LLVMValueRef value = times(ir, frame->counter, factor);
    if (from)
        value = LLVMTypeOf(from) == ir->pointer ? nd__ir_address(ir, from, value) : LLVMBuildAdd(B, from, value, "");
    /* Nothing is inserted when the sum is the counter itself. */
    if (value != frame->counter)
        frame->tail = value;
    return value;
}

/* Base plus the first `count` terms (terms: iv, factor; ..), where the last of them is defined. Buffer -1: a number,
 * base 0. */
static LLVMValueRef partial_sum(nd__fn *f, int32_t buffer, const int64_t *terms, int count)
{
    nd__ir *ir = f->ir;
    if (count == 0)
        return buffer < 0 ? LLVMConstInt(ir->i64, 0, false) : f->bases[buffer];
    int32_t iv = (int32_t)terms[2 * count - 2];
    nd__frame *frame = &f->frames[f->depth - 1];
    while (frame->iv != iv)
        frame--;
    size_t bytes = sizeof *terms * 2 * (size_t)count;
    for (const nd__partial *p = frame->partials; p; p = p->next)
        if (p->buffer == buffer && p->count == count && !memcmp(p->terms, terms, bytes))
            return p->value;
    nd__partial *p = nd__arena_alloc(&ir->arena, 1, sizeof *p);
    int64_t *copy = nd__arena_alloc(&ir->arena, 2 * (size_t)count, sizeof *copy);
    if (!p || !copy) {
        ir->failed = true;
        return buffer < 0 ? LLVMConstInt(ir->i64, 0, false) : f->bases[buffer];
    }
    memcpy(copy, terms, bytes);
    *p = (nd__partial){.buffer = buffer, .count = count, .terms = copy};
    LLVMValueRef before = partial_sum(f, buffer, terms, count - 1);
    const int64_t factor = terms[2 * count - 1];
    if (buffer >= 0 && frame->innermost) {
        p->value = moving(ir, frame, before, factor);
        p->stride = factor * frame->innermost->step;
    } else {
        p->value = computed(ir, frame, count > 1 || buffer >= 0 ? before : NULL, factor);
    }
    p->next = frame->partials, frame->partials = p;
    return p->value;
}

/* All terms, each times `unit`; the builder stays where it was. */
static LLVMValueRef terms_sum(nd__fn *f, int32_t buffer, const nd__kaffine *at, int64_t unit)
{
    int64_t terms[2 * ND__MAX_TERMS];
    for (int i = 0; i < at->count; i++) {
        terms[2 * i] = at->terms[i].iv;
        terms[2 * i + 1] = at->terms[i].coef * unit;
    }
    LLVMBasicBlockRef here = LLVMGetInsertBlock(f->b);
    LLVMValueRef sum = partial_sum(f, buffer, terms, at->count);
    LLVMPositionBuilderAtEnd(f->b, here);
    return sum;
}

LLVMValueRef nd__ir_affine(nd__fn *f, const nd__kaffine *at)
{
    LLVMValueRef constant = LLVMConstInt(f->ir->i64, (uint64_t)at->constant, true), sum = terms_sum(f, -1, at, 1);
    return at->count == 0 ? constant : at->constant == 0 ? sum : LLVMBuildAdd(f->b, sum, constant, "");
}

/* -- places ------------------------------------------------------------------------------------------------------- */

/* Where lane 0 lies, and what is known of it. */
typedef struct place {
    LLVMValueRef base;   /* without the constant */
    int64_t constant;    /* bytes */
    int64_t align;       /* of every lane */
    LLVMTypeRef element; /* in memory */
    int64_t size;
    int lanes, count;
    int64_t stride; /* elements */
} place;

static place place_of(nd__fn *f, const nd__kaddr *addr, int lanes)
{
    const nd__kbuffer *buffer = &f->k->buffers[addr->buffer];
    place p;
    p.size = (int64_t)nd_dtype_size(buffer->dtype);
    p.base = terms_sum(f, addr->buffer, &addr->at, p.size);
    p.constant = addr->at.constant * p.size;
    p.align = both_divide(buffer->align, affine_multiple(f, &addr->at, p.size));
    p.element = nd__ir_stored(f->ir, buffer->dtype);
    p.lanes = lanes;
    p.count = addr->count;
    p.stride = lanes == 1 ? 1 : addr->lane_stride;
    return p;
}

/* The pointer `lane` elements after lane 0. */
static LLVMValueRef pointer_at(nd__ir *ir, const place *p, int64_t elements)
{
    return nd__ir_address(ir, p->base, LLVMConstInt(ir->i64, (uint64_t)(p->constant + elements * p->size), true));
}

static unsigned align_at(const place *p, int64_t elements)
{
    int64_t align = both_divide(p->align, elements * p->size);
    return (unsigned)(align < 1 ? 1 : align > 64 ? 64 : align);
}

static LLVMValueRef load_lanes(nd__ir *ir, const place *p, int64_t elements, int lanes)
{
    LLVMValueRef load = LLVMBuildLoad2(B, nd__ir_lanes(p->element, lanes), pointer_at(ir, p, elements), "");
    LLVMSetAlignment(load, align_at(p, elements));
    return load;
}

static void store_lanes(nd__ir *ir, const place *p, int64_t elements, LLVMValueRef x)
{
    LLVMSetAlignment(LLVMBuildStore(B, x, pointer_at(ir, p, elements)), align_at(p, elements));
}

static LLVMValueRef insert(nd__ir *ir, LLVMValueRef vector, LLVMValueRef x, int lane)
{
    return LLVMBuildInsertElement(B, vector, x, LLVMConstInt(ir->i64, (uint64_t)lane, false), "");
}

/* The constant mask of the first `count` lanes. */
static LLVMValueRef prefix(nd__ir *ir, int lanes, int count)
{
    LLVMValueRef bits[ND__MAX_LANES];
    for (int i = 0; i < lanes; i++)
        bits[i] = LLVMConstInt(ir->i1, i < count, false);
    return LLVMConstVector(bits, (unsigned)lanes);
}

/* llvm.masked.load or store; `align` is the place of the alignment among the arguments, which newer LLVMs no longer
 * take. */
static LLVMValueRef masked(nd__ir *ir, const char *name, LLVMTypeRef type, LLVMValueRef *args, int align)
{
    LLVMTypeRef overload[] = {type, ir->pointer};
    int count = (int)LLVMCountParamTypes(
        LLVMIntrinsicGetType(ir->context, LLVMLookupIntrinsicID(name, strlen(name)), overload, 2));
    for (int i = align; count == 3 && i < 3; i++)
        args[i] = args[i + 1];
    return nd__ir_intrinsic(ir, name, 2, overload, count, args);
}

/* -- loads -------------------------------------------------------------------------------------------------------- */

static bool has_masked_loads(const nd__ir *ir, const place *p)
{
    return nd__machine_mask_registers(ir->machine) || (nd__machine_masked_loads(ir->machine) && p->size >= 4);
}

/* Adjacent lanes where the mask has them; the others 0. */
static LLVMValueRef load_masked(nd__ir *ir, const place *p, LLVMValueRef mask)
{
    LLVMTypeRef type = nd__ir_lanes(p->element, p->lanes);
    LLVMValueRef args[] = {pointer_at(ir, p, 0), LLVMConstInt(ir->i32, align_at(p, 0), false), mask,
                           LLVMConstNull(type)};
    return masked(ir, "llvm.masked.load", type, args, 1);
}

/* The first `count` lanes, adjacent; the others 0. Without masked loads in parts of 2^n lanes. */
static LLVMValueRef load_prefix(nd__ir *ir, const place *p)
{
    LLVMTypeRef type = nd__ir_lanes(p->element, p->lanes);
    LLVMValueRef result = LLVMConstNull(type);
    if (p->count > 1 && has_masked_loads(ir, p))
        return load_masked(ir, p, prefix(ir, p->lanes, p->count));
    for (int first = 0, part = p->lanes / 2; part >= 1; part /= 2) {
        if (!(p->count & part))
            continue;
        LLVMValueRef x = load_lanes(ir, p, first, part);
        if (part == 1) {
            result = insert(ir, result, x, first);
        } else {
            int wide[ND__MAX_LANES], joined[ND__MAX_LANES];
            for (int i = 0; i < p->lanes; i++) {
                bool inside = i >= first && i < first + part;
                wide[i] = inside ? i - first : -1;
                joined[i] = inside ? p->lanes + i : i;
            }
            result = nd__ir_pick(ir, result, nd__ir_pick(ir, x, NULL, p->lanes, wide), p->lanes, joined);
        }
        first += part;
    }
    return result;
}

static LLVMValueRef load_place(nd__ir *ir, const place *p)
{
    LLVMTypeRef type = nd__ir_lanes(p->element, p->lanes);
    bool whole = p->count == p->lanes;
    if (p->lanes == 1 || (p->stride == 1 && whole))
        return load_lanes(ir, p, 0, p->lanes);
    if (p->stride == 1)
        return load_prefix(ir, p);
    if (p->stride == -1 && whole)
        return nd__ir_reversed(ir, load_lanes(ir, p, -(p->lanes - 1), p->lanes));
    if (p->stride == 0) {
        LLVMValueRef all = nd__ir_splat(ir, load_lanes(ir, p, 0, 1), p->lanes);
        return whole ? all : LLVMBuildSelect(B, prefix(ir, p->lanes, p->count), all, LLVMConstNull(type), "");
    }
    LLVMValueRef result = whole ? LLVMGetPoison(type) : LLVMConstNull(type);
    for (int l = 0; l < p->count; l++)
        result = insert(ir, result, load_lanes(ir, p, l * p->stride, 1), l);
    return result;
}

/* A bool is a byte in memory. */
static LLVMValueRef from_memory(nd__ir *ir, const nd__kinst *i, LLVMValueRef x)
{
    return i->type.dtype == ND_BOOL ? LLVMBuildIsNotNull(B, x, "") : x;
}

static LLVMValueRef to_memory(nd__ir *ir, const nd__kinst *i, LLVMValueRef x)
{
    return i->type.dtype == ND_BOOL ? LLVMBuildZExt(B, x, nd__ir_lanes(ir->i8, i->type.lanes), "") : x;
}

LLVMValueRef nd__ir_load(nd__fn *f, const nd__kinst *i)
{
    place p = place_of(f, i->addr, i->type.lanes);
    return from_memory(f->ir, i, load_place(f->ir, &p));
}

void nd__ir_fetch(nd__fn *f, const nd__kinst *i)
{
    nd__ir *ir = f->ir;
    place p = place_of(f, i->addr, 1);
    LLVMValueRef write = LLVMConstInt(ir->i32, i->imm != 0, false), every_cache = LLVMConstInt(ir->i32, 3, false),
                 data = LLVMConstInt(ir->i32, 1, false);
    LLVMValueRef args[] = {pointer_at(ir, &p, 0), write, every_cache, data};
    nd__ir_intrinsic(ir, "llvm.prefetch", 1, &ir->pointer, 4, args);
}

/* The index where it is inside [0, bound), else 0, which is inside. */
static LLVMValueRef inside_bound(nd__ir *ir, LLVMValueRef index, int64_t bound, LLVMValueRef *inside)
{
    LLVMTypeRef type = LLVMTypeOf(index);
    *inside = LLVMBuildICmp(B, LLVMIntULT, index, nd__ir_integer(type, (uint64_t)bound), "");
    return LLVMBuildSelect(B, *inside, index, LLVMConstNull(type), "");
}

static void move_place(nd__ir *ir, place *p, LLVMValueRef index, int64_t scale)
{
    LLVMValueRef bytes = LLVMBuildMul(B, index, LLVMConstInt(ir->i64, (uint64_t)(scale * p->size), true), "");
    p->base = nd__ir_address(ir, p->base, bytes);
    p->align = both_divide(p->align, scale * p->size);
}

LLVMValueRef nd__ir_loadx(nd__fn *f, const nd__kinst *i)
{
    nd__ir *ir = f->ir;
    const nd__kaddr *addr = i->addr;
    LLVMValueRef index = f->values[i->args[0]], inside, x;
    if (addr->bound <= 0) /* nothing may be read at all */
        return LLVMConstNull(nd__ir_type(ir, i->type));
    place p = place_of(f, addr, i->type.lanes);
    index = inside_bound(ir, index, addr->bound, &inside);
    LLVMValueRef zero = LLVMConstNull(nd__ir_lanes(p.element, p.lanes));
    int indices = nd__ir_lane_count(LLVMTypeOf(index));
    if (indices == 1) {
        move_place(ir, &p, index, addr->scale);
        if (p.stride == 1 && p.count > 1 && p.count < p.lanes && has_masked_loads(ir, &p)) { /* one mask for both */
            LLVMValueRef mask = LLVMBuildAnd(B, prefix(ir, p.lanes, p.count), nd__ir_splat(ir, inside, p.lanes), "");
            return from_memory(ir, i, load_masked(ir, &p, mask));
        }
        x = load_place(ir, &p);
        if (p.lanes > 1) /* a choice lane by lane is a masked load, one for all would be a branch */
            inside = nd__ir_splat(ir, inside, p.lanes);
    } else {
        x = zero;
        for (int l = 0; l < p.count; l++) {
            place one = p;
            move_place(ir, &one, nd__ir_lane(ir, index, l), addr->scale);
            x = insert(ir, x, load_lanes(ir, &one, 0, 1), l);
        }
    }
    return from_memory(ir, i, LLVMBuildSelect(B, inside, x, zero, ""));
}

/* -- stores ------------------------------------------------------------------------------------------------------- */

static void store_prefix(nd__ir *ir, const place *p, LLVMValueRef x)
{
    if (p->count > 1 && nd__machine_mask_registers(ir->machine)) {
        LLVMValueRef args[] = {x, pointer_at(ir, p, 0), LLVMConstInt(ir->i32, align_at(p, 0), false),
                               prefix(ir, p->lanes, p->count)};
        masked(ir, "llvm.masked.store", LLVMTypeOf(x), args, 2);
        return;
    }
    for (int first = 0, part = p->lanes / 2; part >= 1; part /= 2) {
        if (p->count & part) {
            store_lanes(ir, p, first, nd__ir_part(ir, x, first, part));
            first += part;
        }
    }
}

static void store_place(nd__ir *ir, const place *p, LLVMValueRef x)
{
    if (p->lanes == 1 || (p->stride == 1 && p->count == p->lanes)) {
        store_lanes(ir, p, 0, x);
    } else if (p->stride == 1) {
        store_prefix(ir, p, x);
    } else if (p->stride == -1 && p->count == p->lanes) {
        store_lanes(ir, p, -(p->lanes - 1), nd__ir_reversed(ir, x));
    } else {
        for (int l = p->stride == 0 ? p->count - 1 : 0; l < p->count; l++) /* in one place the last one stays */
            store_lanes(ir, p, l * p->stride, nd__ir_lane(ir, x, l));
    }
}

void nd__ir_store(nd__fn *f, const nd__kinst *i)
{
    place p = place_of(f, i->addr, i->type.lanes);
    store_place(f->ir, &p, to_memory(f->ir, i, f->values[i->args[0]]));
}

void nd__ir_storex(nd__fn *f, const nd__kinst *i)
{
    nd__ir *ir = f->ir;
    const nd__kaddr *addr = i->addr;
    if (addr->bound <= 0)
        return;
    place p = place_of(f, addr, i->type.lanes);
    LLVMValueRef inside, index = f->values[i->args[1]];
    inside_bound(ir, index, addr->bound, &inside);
    LLVMBasicBlockRef write = LLVMAppendBasicBlockInContext(ir->context, f->function, "");
    LLVMBasicBlockRef after = LLVMAppendBasicBlockInContext(ir->context, f->function, "");
    LLVMBuildCondBr(B, inside, write, after);
    LLVMPositionBuilderAtEnd(B, write);
    move_place(ir, &p, index, addr->scale);
    store_place(ir, &p, to_memory(ir, i, f->values[i->args[0]]));
    LLVMBuildBr(B, after);
    LLVMPositionBuilderAtEnd(B, after);
}
