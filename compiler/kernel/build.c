/* Building kernels. Each instruction is checked by the rules when it is made; scopes are the verifier's business.
 *
 * Once memory ran out, or something was asked for that no rule allows, k->failed is set and nothing more happens: every
 * value is -1. What is open stays counted, so that ends still find what they end and fill their results. */
#include "compiler/kernel/rules.h"
#include "compiler/kernel/scalar.h"

#include <assert.h>
#include <string.h>

enum { MAX_OPEN = 64 };

static bool ready(const nd__kbuilder *b)
{
    return b->k && !b->k->failed;
}

/* A mistake of ours, the caller's: a debug build stops here. */
static void refuse(nd__kernel *k, const char *why)
{
    (void)why;
    assert(!why);
    k->failed = true;
}

/* -- kernels and their buffers ------------------------------------------------------------------------------------- */

nd__kernel *nd__k_create(nd__arena *arena, const char *name)
{
    nd__kernel *k = nd__arena_alloc(arena, 1, sizeof *k);
    if (!k)
        return NULL;
    k->arena = arena;
    k->name = nd__arena_text(arena, name, strlen(name));
    k->failed = !k->name;
    return k;
}

static int32_t add_buffer(nd__kernel *k, const char *name, nd__kbuffer buffer)
{
    if (k && !name) /* of a text that there was no memory for */
        k->failed = true;
    if (!k || k->failed)
        return -1;
    size_t size = nd_dtype_size(buffer.dtype);
    if (size == 0 || buffer.elems < 0) {
        refuse(k, "a buffer of strings, or of less than nothing");
        return -1;
    }
    if (buffer.align < (int64_t)size)
        buffer.align = (int64_t)size;
    buffer.name = nd__arena_text(k->arena, name, strlen(name));
    if (!buffer.name ||
        !nd__arena_grow(k->arena, &k->buffers, &k->buffer_room, k->buffer_count + 1, sizeof *k->buffers)) {
        k->failed = true;
        return -1;
    }
    k->argument_count += buffer.access != ND__K_TABLE;
    k->buffers[k->buffer_count] = buffer;
    return k->buffer_count++;
}

int32_t nd__k_buffer(nd__kernel *k, const char *name, nd_dtype dtype, nd__kaccess access, int64_t elems, int64_t align)
{
    return add_buffer(k, name, (nd__kbuffer){.dtype = dtype, .access = access, .elems = elems, .align = align});
}

int32_t nd__k_table(nd__kernel *k, const char *name, nd_dtype dtype, int64_t elems, const void *data)
{
    for (int32_t i = 0; k && i < k->buffer_count; i++)
        if (k->buffers[i].data == data && k->buffers[i].dtype == dtype && k->buffers[i].elems == elems)
            return i;
    return add_buffer(k, name, (nd__kbuffer){.dtype = dtype, .access = ND__K_TABLE, .elems = elems, .data = data});
}

nd__kbuilder nd__k_builder(nd__kernel *k)
{
    nd__kbuilder b;
    memset(&b, 0, sizeof b);
    b.k = k;
    b.block = k ? &k->body : NULL;
    return b;
}

/* -- affine forms -------------------------------------------------------------------------------------------------- */

/* What stands for a form that overflowed or has too many terms: the rules refuse its count where it is used. */
static nd__kaffine impossible(void)
{
    nd__kaffine a;
    memset(&a, 0, sizeof a);
    a.count = ND__MAX_TERMS + 1;
    return a;
}

nd__kaffine nd__k_at(int64_t constant)
{
    nd__kaffine a;
    memset(&a, 0, sizeof a);
    a.constant = constant;
    return a;
}

nd__kaffine nd__k_plus(nd__kaffine a, int32_t iv, int64_t coef)
{
    if (a.count > ND__MAX_TERMS)
        return a;
    int at = 0;
    while (at < a.count && a.terms[at].iv < iv)
        at++;
    bool there = at < a.count && a.terms[at].iv == iv;
    if (there) {
        if (__builtin_add_overflow(a.terms[at].coef, coef, &coef))
            return impossible();
        if (coef == 0) {
            a.count--;
            memmove(&a.terms[at], &a.terms[at + 1], (size_t)(a.count - at) * sizeof a.terms[0]);
            a.terms[a.count].iv = 0, a.terms[a.count].coef = 0;
            return a;
        }
    } else {
        if (coef == 0)
            return a;
        if (a.count == ND__MAX_TERMS)
            return impossible();
        memmove(&a.terms[at + 1], &a.terms[at], (size_t)(a.count - at) * sizeof a.terms[0]);
        a.count++;
    }
    a.terms[at].iv = iv;
    a.terms[at].coef = coef;
    return a;
}

nd__kaffine nd__k_sum(nd__kaffine a, nd__kaffine b)
{
    if (b.count > ND__MAX_TERMS)
        return b;
    for (int i = 0; i < b.count; i++)
        a = nd__k_plus(a, b.terms[i].iv, b.terms[i].coef);
    if (a.count <= ND__MAX_TERMS && __builtin_add_overflow(a.constant, b.constant, &a.constant))
        return impossible();
    return a;
}

nd__kaffine nd__k_scaled(nd__kaffine a, int64_t factor)
{
    if (a.count > ND__MAX_TERMS)
        return a;
    if (factor == 0)
        return nd__k_at(0);
    if (__builtin_mul_overflow(a.constant, factor, &a.constant))
        return impossible();
    for (int i = 0; i < a.count; i++)
        if (__builtin_mul_overflow(a.terms[i].coef, factor, &a.terms[i].coef))
            return impossible();
    return a;
}

/* -- instructions -------------------------------------------------------------------------------------------------- */

/* n new values of that type; -1: memory ran out. */
static nd__kval new_values(nd__kernel *k, int n, nd__ktype type)
{
    int count;
    if (__builtin_add_overflow(k->value_count, n, &count) ||
        !nd__arena_grow(k->arena, &k->types, &k->value_room, count, sizeof *k->types)) {
        k->failed = true;
        return -1;
    }
    nd__kval first = k->value_count;
    for (; k->value_count < count; k->value_count++)
        k->types[k->value_count] = type;
    return first;
}

/* An instruction with a copy of its operands, not yet in a block. NULL: no memory, or no such operand. */
static nd__kinst *new_inst(nd__kernel *k, nd__kop op, int n, const nd__kval *args)
{
    for (int i = 0; i < n; i++) {
        if (args[i] < 0 || args[i] >= k->value_count) {
            refuse(k, "an operand that does not exist");
            return NULL;
        }
    }
    nd__kinst *inst = nd__arena_alloc(k->arena, 1, sizeof *inst);
    nd__kval *copy = n > 0 ? nd__arena_alloc(k->arena, (size_t)n, sizeof *copy) : NULL;
    nd__kaffine *bounds = op == ND__K_for ? nd__arena_alloc(k->arena, 2, sizeof *bounds) : NULL;
    if (!inst || (n > 0 && !copy) || (op == ND__K_for && !bounds)) {
        k->failed = true;
        return NULL;
    }
    if (n > 0)
        memcpy(copy, args, (size_t)n * sizeof *copy);
    inst->op = op;
    inst->arg_count = n;
    inst->args = copy;
    if (bounds) {
        inst->lo = &bounds[0];
        inst->hi = &bounds[1];
    }
    inst->result = inst->carried = inst->iv = -1;
    return inst;
}

static void append(nd__kblock *block, nd__kinst *inst)
{
    if (block->last)
        block->last->next = inst;
    else
        block->first = inst;
    block->last = inst;
}

/* Checks it and puts it where the builder is. Gives its first result, -1: none, or it was refused. */
static nd__kval place(nd__kbuilder *b, nd__kinst *inst)
{
    const char *error = nd__k_inst_error(b->k, inst);
    if (error) {
        refuse(b->k, error);
        return -1;
    }
    append(b->block, inst);
    return inst->result;
}

/* An instruction with `results` results of one type. */
static nd__kval emit(nd__kbuilder *b, nd__kop op, nd__ktype type, int results, int n, const nd__kval *args,
                     uint64_t imm, const nd__kaddr *addr)
{
    if (!ready(b))
        return -1;
    nd__kinst *inst = new_inst(b->k, op, n, args);
    if (!inst)
        return -1;
    if (addr) {
        inst->addr = nd__arena_alloc(b->k->arena, 1, sizeof *addr);
        if (!inst->addr) {
            b->k->failed = true;
            return -1;
        }
        *inst->addr = *addr;
    }
    inst->type = type;
    inst->imm = imm;
    inst->result_count = results;
    if (results > 0 && (inst->result = new_values(b->k, results, type)) < 0)
        return -1;
    return place(b, inst);
}

/* Constants lie at the start of the kernel's body, each once: every block sees them. */
nd__kval nd__k_const_bits(nd__kbuilder *b, nd__ktype type, uint64_t bits)
{
    if (!ready(b))
        return -1;
    nd__kernel *k = b->k;
    if (nd_dtype_size((nd_dtype)type.dtype) < 8) /* what is above its bits is nobody's */
        bits =
            type.dtype == ND_BOOL ? bits != 0 : bits & (((uint64_t)1 << 8 * nd_dtype_size((nd_dtype)type.dtype)) - 1);
    if (k->last_const) {
        for (const nd__kinst *i = k->body.first;; i = i->next) {
            if (i->imm == bits && nd__k_type_equal(i->type, type))
                return i->result;
            if (i == k->last_const)
                break;
        }
    }
    nd__kinst *inst = new_inst(k, ND__K_const, 0, NULL);
    if (!inst || (inst->result = new_values(k, 1, type)) < 0)
        return -1;
    inst->type = type;
    inst->imm = bits;
    inst->result_count = 1;
    const char *error = nd__k_inst_error(k, inst);
    if (error) {
        refuse(k, error);
        return -1;
    }
    nd__kinst **link = k->last_const ? &k->last_const->next : &k->body.first;
    inst->next = *link;
    *link = inst;
    if (!inst->next)
        k->body.last = inst;
    k->last_const = inst;
    return inst->result;
}

/* The constant that defines x; NULL: another instruction does. */
static const nd__kinst *const_of(const nd__kernel *k, nd__kval x)
{
    if (!k->last_const)
        return NULL;
    for (const nd__kinst *i = k->body.first;; i = i->next) {
        if (i->result == x)
            return i;
        if (i == k->last_const)
            return NULL;
    }
}

nd__kval nd__k_const(nd__kbuilder *b, nd__ktype type, double value)
{
    return nd__k_const_bits(b, type, nd__scalar_convert(ND_F64, (nd_dtype)type.dtype, nd__scalar_load(ND_F64, &value)));
}

static nd__kval operation(nd__kbuilder *b, nd__kop op, int n, const nd__kval *args)
{
    if (!ready(b))
        return -1;
    nd__ktype types[3] = {{0}};
    for (int i = 0; i < n; i++) {
        if (args[i] < 0 || args[i] >= b->k->value_count) {
            refuse(b->k, "an operand that does not exist");
            return -1;
        }
        types[i] = b->k->types[args[i]];
    }
    return emit(b, op, nd__k_result_type(op, types), 1, n, args, 0, NULL);
}

nd__kval nd__k_op1(nd__kbuilder *b, nd__kop op, nd__kval x)
{
    return operation(b, op, 1, &x);
}

nd__kval nd__k_op2(nd__kbuilder *b, nd__kop op, nd__kval x, nd__kval y)
{
    return operation(b, op, 2, (nd__kval[]){x, y});
}

nd__kval nd__k_op3(nd__kbuilder *b, nd__kop op, nd__kval x, nd__kval y, nd__kval z)
{
    return operation(b, op, 3, (nd__kval[]){x, y, z});
}

/* The type of a value; lanes 0 where there is none, so that what is made from it is refused. */
static nd__ktype type_of(const nd__kbuilder *b, nd__kval x)
{
    return ready(b) && x >= 0 && x < b->k->value_count ? b->k->types[x] : (nd__ktype){0};
}

nd__kval nd__k_convert(nd__kbuilder *b, nd_dtype to, nd__kval x)
{
    nd__ktype type = type_of(b, x);
    return type.dtype == to && type.lanes ? x : emit(b, ND__K_convert, nd__k_type(to, type.lanes), 1, 1, &x, 0, NULL);
}

nd__kval nd__k_bitcast(nd__kbuilder *b, nd_dtype to, nd__kval x)
{
    nd__ktype type = type_of(b, x);
    return type.dtype == to && type.lanes ? x : emit(b, ND__K_bitcast, nd__k_type(to, type.lanes), 1, 1, &x, 0, NULL);
}

nd__kval nd__k_splat(nd__kbuilder *b, nd__kval scalar, int lanes)
{
    nd__ktype type = type_of(b, scalar);
    if (type.lanes == lanes)
        return scalar;
    const nd__kinst *constant = type.lanes == 1 ? const_of(b->k, scalar) : NULL;
    if (constant)
        return nd__k_const_bits(b, nd__k_type((nd_dtype)type.dtype, lanes), constant->imm);
    return emit(b, ND__K_splat, nd__k_type((nd_dtype)type.dtype, lanes), 1, 1, &scalar, 0, NULL);
}

nd__kval nd__k_lane(nd__kbuilder *b, nd__kval x, int lane)
{
    nd__ktype type = type_of(b, x);
    if (type.lanes == 1 && lane == 0)
        return x;
    return emit(b, ND__K_lane, nd__k_type((nd_dtype)type.dtype, 1), 1, 1, &x, (uint64_t)lane, NULL);
}

void nd__k_transpose(nd__kbuilder *b, int n, const nd__kval *in, nd__kval *out)
{
    nd__kval first = emit(b, ND__K_transpose, type_of(b, n > 0 ? in[0] : -1), n, n, in, 0, NULL);
    for (int i = 0; i < n; i++)
        out[i] = first < 0 ? -1 : first + i;
}

/* -- addresses ----------------------------------------------------------------------------------------------------- */

/* A scalar's stride means nothing: always 1, so that equal instructions are equal. */
static nd__kaddr address(int32_t buffer, nd__kaffine at, int lanes, int64_t lane_stride, int count)
{
    return (nd__kaddr){.buffer = buffer, .count = count, .lane_stride = lanes == 1 ? 1 : lane_stride, .at = at};
}

/* The type of `lanes` elements of a buffer; no type where there is no buffer. */
static nd__ktype buffer_type(const nd__kbuilder *b, int32_t buffer, int lanes)
{
    if (!ready(b) || buffer < 0 || buffer >= b->k->buffer_count || lanes < 1 || lanes > ND__MAX_LANES)
        return (nd__ktype){0};
    return nd__k_type(b->k->buffers[buffer].dtype, lanes);
}

nd__kval nd__k_index(nd__kbuilder *b, nd__ktype type, nd__kaffine at, int64_t lane_stride)
{
    nd__kaddr addr = address(-1, at, type.lanes, lane_stride, type.lanes);
    return emit(b, ND__K_index, type, 1, 0, NULL, 0, &addr);
}

nd__kval nd__k_load(nd__kbuilder *b, int32_t buffer, nd__kaffine at, int lanes, int64_t lane_stride, int count)
{
    nd__kaddr addr = address(buffer, at, lanes, lane_stride, count);
    return emit(b, ND__K_load, buffer_type(b, buffer, lanes), 1, 0, NULL, 0, &addr);
}

void nd__k_store(nd__kbuilder *b, int32_t buffer, nd__kaffine at, nd__kval x, int64_t lane_stride, int count)
{
    nd__ktype type = type_of(b, x);
    nd__kaddr addr = address(buffer, at, type.lanes, lane_stride, count);
    emit(b, ND__K_store, type, 0, 1, &x, 0, &addr);
}

void nd__k_fetch(nd__kbuilder *b, int32_t buffer, nd__kaffine at, bool to_write)
{
    nd__kaddr addr = address(buffer, at, 1, 1, 1);
    emit(b, ND__K_fetch, buffer_type(b, buffer, 1), 0, 0, NULL, to_write, &addr);
}

nd__kval nd__k_loadx(nd__kbuilder *b, int32_t buffer, nd__kaffine at, nd__kval index, int64_t scale, int64_t bound,
                     int lanes, int64_t lane_stride, int count)
{
    nd__kaddr addr = address(buffer, at, lanes, lane_stride, count);
    addr.scale = scale;
    addr.bound = bound;
    return emit(b, ND__K_loadx, buffer_type(b, buffer, lanes), 1, 1, &index, 0, &addr);
}

void nd__k_storex(nd__kbuilder *b, int32_t buffer, nd__kaffine at, nd__kval x, nd__kval index, int64_t scale,
                  int64_t bound, int64_t lane_stride, int count)
{
    nd__ktype type = type_of(b, x);
    nd__kaddr addr = address(buffer, at, type.lanes, lane_stride, count);
    addr.scale = scale;
    addr.bound = bound;
    emit(b, ND__K_storex, type, 0, 2, (nd__kval[]){x, index}, 0, &addr);
}

/* -- loops and branches -------------------------------------------------------------------------------------------- */

/* Opens `inst` (NULL: building failed) with n values that its end gives. */
static void open(nd__kbuilder *b, nd__kinst *inst, int n)
{
    if (b->depth < MAX_OPEN) {
        b->open[b->depth] = inst;
        b->in_else[b->depth] = false;
        b->carry_count[b->depth] = n;
    } else if (ready(b)) {
        refuse(b->k, "loops and branches nested too deeply");
    }
    b->depth++;
    if (ready(b))
        b->block = &inst->body;
}

/* What is open innermost, if it is an `op`; else NULL, with the kernel failed. */
static nd__kinst *innermost(nd__kbuilder *b, nd__kop op)
{
    if (!ready(b))
        return NULL;
    nd__kinst *inst = b->depth > 0 ? b->open[b->depth - 1] : NULL;
    if (!inst || inst->op != op) {
        refuse(b->k, "an end of something that is not open");
        return NULL;
    }
    return inst;
}

/* The block around the innermost open one is where building goes on. */
static void close(nd__kbuilder *b)
{
    if (b->depth > 0)
        b->depth--;
    if (!b->k)
        return;
    if (b->depth == 0 || b->depth > MAX_OPEN)
        b->block = &b->k->body;
    else if (b->open[b->depth - 1])
        b->block = b->in_else[b->depth - 1] ? &b->open[b->depth - 1]->other : &b->open[b->depth - 1]->body;
}

static void yield(nd__kbuilder *b, nd__kblock *block, int n, const nd__kval *values)
{
    nd__kinst *inst = ready(b) ? new_inst(b->k, ND__K_yield, n, values) : NULL;
    if (inst)
        append(block, inst);
}

static bool same_types(nd__kbuilder *b, int n, const nd__kval *values, nd__kval first)
{
    for (int i = 0; i < n; i++) {
        nd__ktype type = type_of(b, values[i]);
        if (type.lanes == 0 || !nd__k_type_equal(type, b->k->types[first + i])) {
            refuse(b->k, "a yield of other types");
            return false;
        }
    }
    return true;
}

static void give(int n, nd__kval first, nd__kval *values)
{
    for (int i = 0; i < n; i++)
        values[i] = first < 0 ? -1 : first + i;
}

int32_t nd__k_for(nd__kbuilder *b, nd__kaffine lo, nd__kaffine hi, int64_t step, int n, const nd__kval *init,
                  nd__kval *carried)
{
    return nd__k_for_within(b, lo, hi, INT64_MIN, INT64_MAX, step, n, init, carried);
}

int32_t nd__k_for_within(nd__kbuilder *b, nd__kaffine lo, nd__kaffine hi, int64_t least, int64_t most, int64_t step,
                         int n, const nd__kval *init, nd__kval *carried)
{
    nd__kinst *inst = ready(b) ? new_inst(b->k, ND__K_for, n, init) : NULL;
    if (inst) {
        inst->iv = b->k->iv_count++;
        *inst->lo = lo;
        *inst->hi = hi;
        inst->least = least;
        inst->most = most;
        inst->step = step;
        inst->result_count = n;
        /* The carried values first: inside, they are older than what is made from them. */
        for (int i = 0; i < 2 * n && ready(b); i++) {
            nd__kval value = new_values(b->k, 1, b->k->types[init[i % n]]);
            if (i == 0)
                inst->carried = value;
            else if (i == n)
                inst->result = value;
        }
        if (ready(b))
            place(b, inst);
    }
    open(b, inst, n);
    give(n, ready(b) ? inst->carried : -1, carried);
    return ready(b) ? inst->iv : -1;
}

int32_t nd__k_for_apart(nd__kbuilder *b, nd__kaffine lo, nd__kaffine hi, int64_t step)
{
    int32_t iv = nd__k_for(b, lo, hi, step, 0, NULL, NULL);
    nd__kinst *inst = innermost(b, ND__K_for);
    if (inst)
        inst->apart = true;
    return iv;
}

void nd__k_end_for(nd__kbuilder *b, const nd__kval *next, nd__kval *last)
{
    int n = b->depth > 0 && b->depth <= MAX_OPEN ? b->carry_count[b->depth - 1] : 0;
    nd__kinst *inst = innermost(b, ND__K_for);
    if (inst && same_types(b, n, next, inst->carried))
        yield(b, &inst->body, n, next);
    give(n, ready(b) ? inst->result : -1, last);
    close(b);
}

void nd__k_if(nd__kbuilder *b, nd__kval condition)
{
    nd__kinst *inst = ready(b) ? new_inst(b->k, ND__K_if, 1, &condition) : NULL;
    if (inst)
        place(b, inst);
    open(b, inst, 0);
}

void nd__k_else(nd__kbuilder *b, int n, const nd__kval *yields)
{
    nd__kinst *inst = innermost(b, ND__K_if);
    if (!inst)
        return;
    if (b->in_else[b->depth - 1]) {
        refuse(b->k, "a second else");
        return;
    }
    yield(b, &inst->body, n, yields);
    b->in_else[b->depth - 1] = true;
    b->block = &inst->other;
}

void nd__k_end_if(nd__kbuilder *b, int n, const nd__kval *yields, nd__kval *results)
{
    nd__kinst *inst = innermost(b, ND__K_if);
    if (inst && !b->in_else[b->depth - 1]) {
        if (n > 0)
            refuse(b->k, "a branch with results and no else");
        yield(b, &inst->body, 0, NULL);
    }
    if (ready(b)) {
        if (inst->body.last->arg_count != n)
            refuse(b->k, "branches that yield different numbers of values");
        yield(b, &inst->other, n, yields);
    }
    for (int i = 0; i < n && ready(b); i++) {
        nd__kval value = new_values(b->k, 1, b->k->types[yields[i]]);
        if (i == 0)
            inst->result = value;
    }
    if (ready(b)) {
        inst->result_count = n;
        same_types(b, n, inst->body.last->args, inst->result);
    }
    give(n, ready(b) ? inst->result : -1, results);
    close(b);
}
