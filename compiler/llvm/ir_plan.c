/* Plans as a module: the functions of their kernels, then those of the plans. Kernels that are equal, in one plan or in
 * several, are one function. */
#include "compiler/llvm/ir_entry.h"
#include "compiler/schedule/schedule.h"

#include <string.h>

#define B (ir->builder)

/* -- which arguments may be the same memory ----------------------------------------------------------------------- */

static const nd__kbuffer *argument(const nd__kernel *k, int n)
{
    for (int i = 0; i < k->buffer_count; i++)
        if (k->buffers[i].access != ND__K_TABLE && n-- == 0)
            return &k->buffers[i];
    return NULL;
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

static void note_steps(const nd__shapes *all, const nd__plan *plan, const int *of, const nd__steps *steps,
                       int64_t *lengths, int depth)
{
    for (int s = 0; s < steps->count; s++) {
        const nd__step *step = &steps->items[s];
        if (step->kind == ND__STEP_KERNEL) {
            nd__shape *item = &all->items[of[step->kernel]];
            int n = item->kernel->argument_count;
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

static int shape_of(nd__shapes *all, const nd__kernel *k)
{
    uint64_t hash = nd__k_hash(k);
    for (int i = 0; i < all->count; i++)
        if (all->items[i].hash == hash && nd__k_equal(all->items[i].kernel, k))
            return i;
    bool *shared = nd__arena_alloc(&all->ir->arena, (size_t)k->buffer_count + 1, sizeof *shared);
    if (!shared)
        all->ir->failed = true;
    all->items[all->count] = (nd__shape){.kernel = k, .hash = hash, .shared = shared};
    return all->count++;
}

static bool find_shapes(nd__shapes *all, const nd__plan *const *plans, int n)
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

/* -- all ---------------------------------------------------------------------------------------------------------- */

/* The nd_entry of an nd_parallel_entry: all on this thread. */
static LLVMValueRef write_serial_entry(nd__ir *ir, const char *name, LLVMValueRef called)
{
    LLVMValueRef f = nd__ir_function(ir, name, nd__ir_entry_type(ir, false), nd__ir_entry_linkage(ir));
    LLVMPositionBuilderAtEnd(B, LLVMAppendBasicBlockInContext(ir->context, f, ""));
    LLVMValueRef args[] = {LLVMGetParam(f, 0), LLVMGetParam(f, 1), LLVMGetParam(f, 2), LLVMGetParam(f, 3),
                           LLVMConstNull(ir->pointer)};
    LLVMBuildCall2(B, nd__ir_entry_type(ir, true), called, args, 5, "");
    LLVMBuildRetVoid(B);
    return f;
}

static char *entry_name(nd__ir *ir, char *const *symbols, int p, bool parallel)
{
    char *name;
    if (symbols)
        name = nd__arena_format(&ir->arena, parallel ? "%s_parallel" : "%s_entry", symbols[p]);
    else
        name = nd__arena_format(&ir->arena, parallel ? ND__PARALLEL_NAME : ND__ENTRY_NAME, p);
    ir->failed = ir->failed || !name;
    return name;
}

void nd__ir_plans(nd__ir *ir, const nd__plan *const *plans, int n, char *const *symbols, const bool *parallel,
                  nd__entries *entries)
{
    nd__shapes all = {.ir = ir};
    if (!find_shapes(&all, plans, n)) {
        ir->failed = true;
        return;
    }
    for (int i = 0; i < all.count && !ir->failed; i++) {
        nd__shape *item = &all.items[i];
        if (item->name) /* else no step runs it */
            item->function = nd__ir_kernel(ir, item->kernel, item->name, item->shared);
    }
    for (int p = 0; p < n && !ir->failed; p++) {
        const char *serial = entry_name(ir, symbols, p, false);
        const char *chunked = parallel[p] ? entry_name(ir, symbols, p, true) : NULL;
        if (ir->failed)
            return;
        entries[p] = (nd__entries){NULL, NULL};
        if (parallel[p]) {
            entries[p].parallel = nd__ir_entry(&all, plans[p], all.of[p], chunked, true);
            entries[p].serial = write_serial_entry(ir, serial, entries[p].parallel);
        } else {
            entries[p].serial = nd__ir_entry(&all, plans[p], all.of[p], serial, false);
        }
    }
}
