/* Kernels from spaces: their parameters become buffers, their step gets the arguments. */
#include "compiler/schedule/emit.h"

#include <string.h>

void nd__space_begin(nd__space *s, nd__block *b, const nd__group *g, int rank, const int64_t *size)
{
    *s = (nd__space){.block = b, .group = g, .arena = b->passing, .rank = rank, .failed = b->failed};
    for (int d = 0; d < ND__AXES; d++)
        s->size[d] = d < rank ? size[d] : 1;
}

void nd__space_begin_reduced(nd__space *s, nd__block *b, const nd__group *g, const nd_shape *in, int reduced)
{
    int64_t size[ND__AXES];
    int rank = 0;
    for (int d = 0; d < in->rank; d++)
        if (d != reduced)
            size[rank++] = in->dims[d];
    size[rank++] = in->dims[reduced];
    nd__space_begin(s, b, g, rank, size);
}

unsigned nd__axes_of(const nd__space *s, int n)
{
    unsigned axes = 0;
    for (int d = 0; d < n; d++)
        axes |= s->size[d] != 1 ? 1u << d : 0;
    return axes;
}

nd__step *nd__new_step(nd__block *b, nd__steps *steps, nd__step_kind kind)
{
    if (!nd__arena_grow(b->plan->arena, &steps->items, &steps->room, steps->count + 1, sizeof *steps->items)) {
        b->failed = true;
        return NULL;
    }
    nd__step *step = &steps->items[steps->count++];
    *step = (nd__step){.kind = kind, .made = b->made};
    return step;
}

/* -- labels ----------------------------------------------------------------------------------------------------------
 */

/* The name of a member, the last that has one. */
static const char *name_of(const nd__block *b, const nd__group *g)
{
    for (int i = g->member_count - 1; i >= 0; i--) {
        const nd__node *n = b->m->nodes[g->members[i]];
        for (int r = 0; r < n->result_count; r++)
            if (*n->results[r].name)
                return n->results[r].name;
    }
    return "";
}

const char *nd__label(nd__block *b, const nd__group *g)
{
    enum { SHOWN = 5 };
    const char *name = name_of(b, g);
    char ops[128] = "";
    size_t used = 0;
    int shown = 0;
    if (g->copy)
        return nd__arena_format(b->plan->arena, "copy %s", nd__ops[g->copy->node->op].name);
    if (g->member_count == 0 && g->summed_count > 0)
        return nd__arena_format(b->plan->arena, "%s, blocks", nd__ops[g->summed[0]->op].name);
    for (int i = 0; i < g->member_count && shown <= SHOWN; i++) {
        const char *op = nd__ops[b->m->nodes[g->members[i]]->op].name;
        int n = snprintf(ops + used, sizeof ops - used, "%s%s", i > 0 ? "+" : "", shown < SHOWN ? op : "..");
        used += n > 0 && (size_t)n < sizeof ops - used ? (size_t)n : 0;
        shown++;
    }
    return nd__arena_format(b->plan->arena, *name ? "%s %s" : "%s%s", name, ops);
}

/* -- kernels ---------------------------------------------------------------------------------------------------------
 */

static int32_t *make_buffers(nd__space *s, nd__kernel *k)
{
    int32_t *buffers = nd__arena_alloc(s->arena, (size_t)s->param_count, sizeof *buffers);
    for (int i = 0; i < s->param_count && buffers; i++) {
        const nd__param *p = &s->params[i];
        const char *name = nd__arena_text(k->arena, p->name, strlen(p->name));
        if (!name || !*name)
            name = nd__arena_format(k->arena, "m%d", i);
        buffers[i] = nd__k_buffer(k, name, p->dtype, p->access, p->elems, (int64_t)nd_dtype_size(p->dtype));
    }
    return buffers;
}

nd__emit nd__emit_begin(nd__space *s, const char *what)
{
    nd__emit e = {.s = s, .lane_axis = -1, .lanes = 1, .count = 1};
    nd__plan *plan = s->block->plan;
    nd__arena *arena = s->block->building->blocks ? plan->arena : s->block->building; /* of another one */
    char name[64];
    snprintf(name, sizeof name, "%s_%d", what, plan->kernel_count);
    nd__kernel *k = s->failed ? NULL : nd__k_create(arena, name);
    e.b = nd__k_builder(k);
    e.b.scales = s->block->target->vector_bytes == 64;
    e.buffers = k ? make_buffers(s, k) : NULL;
    e.memo = nd__arena_alloc(s->arena, (size_t)s->expr_count, sizeof *e.memo);
    e.stack = nd__arena_alloc(s->arena, (size_t)s->expr_count, 3 * sizeof *e.stack);
    if (!e.buffers || !e.memo || !e.stack) {
        s->failed = true;
        return e;
    }
    for (int i = 0; i < s->expr_count; i++)
        e.memo[i] = -1;
    for (int d = 0; d < ND__AXES; d++)
        e.coord[d] = nd__k_at(0);
    return e;
}

static bool verify(nd__block *b, const nd__kernel *k)
{
    char message[256];
    const char *wrong = nd__k_verify(k, message, sizeof message);
    if (wrong == nd_status_text(ND_ERR_MEMORY))
        nd__fail_memory(b->m);
    else if (wrong)
        nd__fail(b->m, ND_ERR_INTERNAL, "", "schedule: %s", wrong);
    return !wrong;
}

/* The number of an equal kernel of the plan, which goes then, or of this one, added. -1: memory ran out,
 * or the module has the error. */
static int add_kernel(nd__block *b, nd__kernel *k)
{
    nd__plan *plan = b->plan;
    const bool apart = k->arena == b->building;
    k->hash = nd__k_hash(k);
    for (int i = 0; i < plan->kernel_count; i++)
        if (plan->kernels[i]->hash == k->hash && nd__k_equal(plan->kernels[i], k)) {
            if (apart)
                nd__arena_rewind(b->building, (nd__arena_mark){0});
            return i;
        }
    if (!verify(b, k) ||
        !nd__arena_grow(plan->arena, &plan->kernels, &plan->kernel_room, plan->kernel_count + 1, sizeof *plan->kernels))
        return -1;
    k->arena = plan->arena;
    if (apart)
        nd__arena_join(plan->arena, b->building);
    plan->kernels[plan->kernel_count] = k;
    return plan->kernel_count++;
}

/* Scratch memory of a kernel that runs in chunks: each worker has its own, since chunks run at once. */
static void place_scratch(nd__space *s)
{
    nd__plan *plan = s->block->plan;
    int64_t at = 0;
    for (int i = 0; i < s->param_count && s->chunks > 1; i++) {
        if (s->params[i].access != ND__K_SCRATCH)
            continue;
        nd__buffer *b = &plan->buffers[s->params[i].spot.buffer];
        b->where = ND__IN_WORKER;
        b->offset = at;
        at += (b->elems * (int64_t)nd_dtype_size(b->dtype) + 63) / 64 * 64;
    }
    if (plan->worker_size < at)
        plan->worker_size = at;
}

static void count_traffic(const nd__space *s, nd__kernel *k, int64_t flops)
{
    k->flops = flops;
    for (int i = 0; i < s->param_count; i++) {
        const nd__param *p = &s->params[i];
        const int chunks = s->chunks > 1 ? s->chunks : 1; /* a chunk counts its part of all */
        int64_t once = (p->elems + p->chunk * (chunks - 1)) / chunks * (int64_t)nd_dtype_size(p->dtype);
        k->bytes += p->access == ND__K_SCRATCH ? 0 : p->access == ND__K_INOUT ? 2 * once : once;
    }
}

/* Whether the parameter is only read at the point at which the output is written. */
static bool read_at(const nd__space *s, int param, const nd__output *output)
{
    const nd__param *p = &s->params[param];
    if (p->access != ND__K_IN || p->walked)
        return false;
    for (int i = 0; i < s->expr_count; i++) {
        const nd__expr *x = &s->exprs[i];
        if ((x->kind == ND__E_GATHER && x->param == param) ||
            (x->kind == ND__E_LOAD && x->param == param && !nd__lin_equal(&x->at, &output->at)))
            return false;
    }
    return true;
}

/* What may share memory: an array that is read only at the point at which another of the same size is written, in a
 * kernel that reads all of a point before it writes any of it (maps, and what follows a product or a sum). */
static bool note_sharing(nd__space *s, nd__step *step)
{
    const nd__group *g = s->group;
    size_t room = (size_t)s->output_count * (size_t)s->param_count;
    step->sharing = nd__arena_alloc(s->block->plan->arena, room, sizeof *step->sharing);
    if (!step->sharing)
        return false;
    if (!g || g->copy ||
        (g->kind != ND__G_MAP && g->kind != ND__G_PRODUCT && g->kind != ND__G_CONV && g->kind != ND__G_POOL &&
         g->kind != ND__G_COLUMNS))
        return true;
    for (int i = 0; i < s->output_count; i++)
        for (int r = 0; r < s->param_count; r++) {
            const nd__param *written = &s->params[s->outputs[i].param], *read = &s->params[r];
            if (written->access == ND__K_OUT && written->elems == read->elems && written->spot.offset == 0 &&
                read->spot.offset == 0 && nd_dtype_size(written->dtype) == nd_dtype_size(read->dtype) &&
                read_at(s, r, &s->outputs[i]))
                step->sharing[step->sharing_count++] = (nd__sharing){written->spot.buffer, read->spot.buffer};
        }
    return true;
}

bool nd__emit_end(nd__emit *e, int64_t flops, nd__steps *steps)
{
    nd__space *s = e->s;
    nd__block *b = s->block;
    nd__kernel *k = e->b.k;
    if (s->failed || !k || k->failed)
        return nd__block_failed(b);
    count_traffic(s, k, s->chunks > 1 ? flops / s->chunks : flops);
    int number = add_kernel(b, k);
    nd__step *step = number >= 0 ? nd__new_step(b, steps, ND__STEP_KERNEL) : NULL;
    if (!step)
        return nd__block_failed(b);
    step->kernel = number;
    step->chunks = s->chunks > 1 ? s->chunks : 1;
    place_scratch(s);
    step->label = s->group ? nd__label(b, s->group) : b->plan->kernels[number]->name;
    step->args = nd__arena_alloc(b->plan->arena, (size_t)s->param_count, sizeof *step->args);
    if (!step->label || !step->args || !note_sharing(s, step))
        return nd__block_failed(b);
    for (int i = 0; i < s->param_count; i++) {
        const nd__spot *spot = &s->params[i].spot;
        step->args[i] = (nd__karg){.buffer = spot->buffer, .offset = spot->offset, .chunk = s->params[i].chunk};
        memcpy(step->args[i].stride, spot->stride, sizeof spot->stride);
    }
    return true;
}
