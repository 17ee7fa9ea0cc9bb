/* The verifier: every rule that a kernel keeps before it is run or written down. */
#include "compiler/kernel/print.h"
#include "compiler/kernel/rules.h"

#include <stdlib.h>

enum { DEEPEST = 64 };

typedef struct verifier {
    const nd__kernel *k;
    unsigned char *seen;    /* by value: defined somewhere before */
    unsigned char *visible; /* by value: defined in a block that is open here */
    unsigned char *iv_seen, *iv_visible;
    nd__kval *stack; /* the visible values, oldest first */
    int32_t count;
    int depth;
    char *message;
    size_t size;
} verifier;

/* The message is about `inst`; false. */
static bool wrong(verifier *v, const nd__kinst *inst, const char *what)
{
    char text[160];
    nd__k_inst_text(v->k, inst, text, sizeof text);
    snprintf(v->message, v->size, "kernel %s: `%s`: %s", v->k->name, text, what);
    return false;
}

static bool define(verifier *v, const nd__kinst *inst, nd__kval first, int32_t n)
{
    for (nd__kval x = first; x < first + n; x++) {
        if (x < 0 || x >= v->k->value_count)
            return wrong(v, inst, "a value that does not exist");
        if (v->seen[x])
            return wrong(v, inst, "a value that is defined twice");
        v->seen[x] = v->visible[x] = 1;
        v->stack[v->count++] = x;
    }
    return true;
}

/* What was defined since there were `count` is out of scope. */
static void leave(verifier *v, int32_t count)
{
    while (v->count > count)
        v->visible[v->stack[--v->count]] = 0;
}

static bool affine_in_scope(verifier *v, const nd__kinst *inst, const nd__kaffine *a)
{
    for (int i = 0; i < a->count; i++)
        if (a->terms[i].iv < 0 || a->terms[i].iv >= v->k->iv_count || !v->iv_visible[a->terms[i].iv])
            return wrong(v, inst, "an induction variable that is not in scope");
    return true;
}

static bool block_valid(verifier *v, const nd__kblock *block, const nd__kinst *owner);

/* The yield at the end of an owner's body gives one value for each of `first` and what follows, of the same types. */
static bool yield_fits(verifier *v, const nd__kinst *owner, const nd__kblock *block, nd__kval first, int32_t n)
{
    const nd__kinst *yield = block->last;
    if (!yield || yield->op != ND__K_yield)
        return wrong(v, owner, "a body that does not end with a yield");
    if (yield->arg_count != n)
        return wrong(v, owner, "a yield of another number of values");
    for (int32_t i = 0; i < n; i++)
        if (!nd__k_type_equal(v->k->types[yield->args[i]], v->k->types[first + i]))
            return wrong(v, owner, "a yield of a value of another type");
    return true;
}

static bool for_valid(verifier *v, const nd__kinst *inst)
{
    int32_t count = v->count;
    if (!affine_in_scope(v, inst, inst->lo) || !affine_in_scope(v, inst, inst->hi))
        return false;
    if (v->iv_seen[inst->iv])
        return wrong(v, inst, "an induction variable of another loop");
    v->iv_seen[inst->iv] = v->iv_visible[inst->iv] = 1;
    if (!define(v, inst, inst->carried, inst->arg_count) || !block_valid(v, &inst->body, inst) ||
        !yield_fits(v, inst, &inst->body, inst->carried, inst->arg_count))
        return false;
    leave(v, count);
    v->iv_visible[inst->iv] = 0;
    return true;
}

static bool if_valid(verifier *v, const nd__kinst *inst)
{
    return block_valid(v, &inst->body, inst) && block_valid(v, &inst->other, inst) &&
           yield_fits(v, inst, &inst->body, inst->result, inst->result_count) &&
           yield_fits(v, inst, &inst->other, inst->result, inst->result_count);
}

static bool inst_valid(verifier *v, const nd__kinst *inst)
{
    if (inst->arg_count < 0 || (inst->arg_count > 0 && !inst->args))
        return wrong(v, inst, "no operands");
    for (int32_t i = 0; i < inst->arg_count; i++) {
        nd__kval x = inst->args[i];
        if (x < 0 || x >= v->k->value_count)
            return wrong(v, inst, "an operand that does not exist");
        if (!v->visible[x])
            return wrong(v, inst,
                         v->seen[x] ? "an operand that is out of scope" : "an operand that is not defined before");
    }
    const char *error = nd__k_inst_error(v->k, inst);
    if (error)
        return wrong(v, inst, error);
    if (inst->addr && !affine_in_scope(v, inst, &inst->addr->at))
        return false;
    if (inst->op == ND__K_for && !for_valid(v, inst))
        return false;
    if (inst->op == ND__K_if && !if_valid(v, inst))
        return false;
    if (inst->op != ND__K_for && inst->op != ND__K_if && (inst->body.first || inst->other.first))
        return wrong(v, inst, "a body where none belongs");
    return define(v, inst, inst->result, inst->result_count);
}

/* owner: the loop or branch, NULL for the kernel's own body. */
static bool block_valid(verifier *v, const nd__kblock *block, const nd__kinst *owner)
{
    int32_t count = v->count;
    if (++v->depth > DEEPEST)
        return wrong(v, owner, "loops and branches nested too deeply");
    for (const nd__kinst *i = block->first; i; i = i->next) {
        if (!i->next != (i == block->last))
            return wrong(v, i, "a block whose end is not its last instruction");
        if (i->op == ND__K_yield && (!owner || i->next))
            return wrong(v, i, "a yield that does not end a body");
        if (!inst_valid(v, i))
            return false;
    }
    if (owner)
        leave(v, count);
    v->depth--;
    return true;
}

static bool buffers_valid(verifier *v)
{
    for (int32_t i = 0; i < v->k->buffer_count; i++) {
        const nd__kbuffer *b = &v->k->buffers[i];
        const char *what = NULL;
        int64_t size = (int64_t)nd_dtype_size(b->dtype);
        if (size == 0)
            what = "a buffer of no dtype that memory holds";
        else if (b->elems < 0 || b->elems > INT64_MAX / size)
            what = "an impossible extent";
        else if (b->align < size || (b->align & (b->align - 1)) != 0)
            what = "an alignment that is no power of two, or below the element's size";
        else if (b->access == ND__K_TABLE ? !b->data : b->data != NULL)
            what = b->data ? "data in a buffer that is an argument" : "a table without data";
        if (what) {
            snprintf(v->message, v->size, "kernel %s: buffer %s: %s", v->k->name, b->name, what);
            return false;
        }
    }
    return true;
}

const char *nd__k_verify(const nd__kernel *k, char *message, size_t size)
{
    if (!k || k->failed) {
        snprintf(message, size, "kernel %s: memory ran out while it was built, or something impossible was asked for",
                 k && k->name ? k->name : "");
        return message;
    }
    size_t values = (size_t)k->value_count, ivs = (size_t)k->iv_count;
    verifier v = {.k = k, .message = message, .size = size};
    v.seen = calloc(2 * values + 2 * ivs + 1, 1);
    v.stack = calloc(values + 1, sizeof *v.stack);
    bool valid = false;
    if (v.seen && v.stack) {
        v.visible = v.seen + values;
        v.iv_seen = v.visible + values;
        v.iv_visible = v.iv_seen + ivs;
        valid = buffers_valid(&v) && block_valid(&v, &k->body, NULL);
    } else {
        snprintf(message, size, "%s", nd_status_text(ND_ERR_MEMORY));
    }
    const bool memory = v.seen && v.stack;
    free(v.seen);
    free(v.stack);
    return valid ? NULL : memory ? message : nd_status_text(ND_ERR_MEMORY);
}
