/* A block in order: what its sinks need, where that lies, which group comes when. */
#include "compiler/schedule/block.h"

#include <string.h>

bool nd__block_failed(nd__block *b)
{
    if (b->m->status == ND_OK)
        nd__fail_memory(b->m);
    b->failed = true;
    return false;
}

bool nd__spot_of(const nd__block *b, const nd_value *v, nd__spot *spot)
{
    const nd__spot *spots = b->spots[v->node->number];
    if (!spots || spots[v->index].buffer < 0)
        return false;
    *spot = spots[v->index];
    return true;
}

nd__spot nd__new_buffer(nd__block *b, nd_dtype dtype, int64_t elems, const char *name)
{
    nd__plan *plan = b->plan;
    nd__spot spot = {.buffer = plan->buffer_count};
    const char *copy = nd__arena_text(plan->arena, name, strlen(name));
    if (!copy || !nd__arena_grow(plan->arena, &plan->buffers, &plan->buffer_room, plan->buffer_count + 1,
                                 sizeof *plan->buffers)) {
        nd__block_failed(b);
        return (nd__spot){.buffer = -1};
    }
    plan->buffers[plan->buffer_count++] =
        (nd__buffer){.where = ND__IN_ARENA, .dtype = dtype, .elems = elems, .name = copy};
    return spot;
}

void nd__set_spot(nd__block *b, const nd_value *v, nd__spot spot)
{
    nd__spot **spots = &b->spots[v->node->number];
    if (!*spots) {
        *spots = nd__arena_alloc(b->arena, (size_t)v->node->result_count, sizeof **spots);
        for (int i = 0; i < v->node->result_count && *spots; i++)
            (*spots)[i].buffer = -1;
    }
    if (*spots)
        (*spots)[v->index] = spot;
    else
        nd__block_failed(b);
}

/* -- beginning -------------------------------------------------------------------------------------------------------
 */

static bool allocate(nd__block *b)
{
    size_t n = (size_t)b->m->node_count;
    b->need = nd__arena_alloc(b->arena, n, sizeof *b->need);
    b->in_memory = nd__arena_alloc(b->arena, n, sizeof *b->in_memory);
    b->copied = nd__arena_alloc(b->arena, n, sizeof *b->copied);
    b->turned = nd__arena_alloc(b->arena, n, sizeof *b->turned);
    b->home = nd__arena_alloc(b->arena, n, sizeof *b->home);
    b->virtual_cost = nd__arena_alloc(b->arena, n, sizeof *b->virtual_cost);
    b->spots = nd__arena_alloc(b->arena, n, sizeof *b->spots);
    b->stacks = nd__arena_alloc(b->arena, n, sizeof *b->stacks);
    b->sums = nd__arena_alloc(b->arena, n, sizeof *b->sums);
    if (!b->need || !b->in_memory || !b->copied || !b->turned || !b->home || !b->virtual_cost || !b->spots ||
        !b->stacks || !b->sums)
        return nd__block_failed(b);
    for (size_t i = 0; i < n; i++)
        b->home[i] = b->sums[i].buffer = -1;
    return true;
}

static void mark_needed(nd__block *b)
{
    for (int i = 0; i < b->sink_count; i++)
        b->need[b->sinks[i].value->node->number] = true;
    for (int i = b->m->node_count - 1; i >= 0; i--) {
        const nd__node *n = b->m->nodes[i];
        for (int k = 0; k < n->input_count && b->need[i]; k++)
            b->need[n->inputs[k]->node->number] = true;
    }
}

/* A constant of more than one different element lies in memory of its own. */
static void place_constants(nd__block *b)
{
    for (int i = 0; i < b->m->node_count; i++) {
        const nd__node *n = b->m->nodes[i];
        if (!b->need[i] || n->op != ND__OP_constant)
            continue;
        const nd__data *data = nd__get(n, ND__A_data)->data;
        if (data->count < 2)
            continue;
        nd__spot spot = nd__new_buffer(b, data->dtype, data->count, n->results[0].name);
        if (spot.buffer < 0)
            return;
        b->plan->buffers[spot.buffer].where = ND__IN_CONST;
        b->plan->buffers[spot.buffer].data = data->items;
        nd__set_spot(b, &n->results[0], spot);
    }
}

/* -- sinks -----------------------------------------------------------------------------------------------------------
 */

/* Whether the elements of a view, in their order, are those of what it shows. */
static bool same_order(const nd__node *n)
{
    return n->op == ND__OP_reshape || n->op == ND__OP_stop_gradient ||
           (n->op == ND__OP_broadcast && nd__elements(&n->results[0].shape) == nd__elements(&n->inputs[0]->shape));
}

const nd_value *nd__past_names(const nd_value *v)
{
    while (nd__is_view(v->node) && same_order(v->node))
        v = v->node->inputs[0];
    return v;
}

/* Whether a node of the block computes the value; false: it is a leaf, or a view. */
static bool is_computed(const nd__block *b, const nd_value *v)
{
    return !nd__is_view(v->node) && (b->home[v->node->number] >= 0 || !b->spots[v->node->number]);
}

/* Before grouping: what sinks are made of has to lie in memory. */
static void mark_sinks(nd__block *b)
{
    for (int i = 0; i < b->sink_count; i++) {
        const nd_value *v = nd__past_names(b->sinks[i].value);
        nd__index index = nd__identity(&v->shape);
        const nd_value *seen = nd__through_views(v, &index);
        if (is_computed(b, v))
            b->in_memory[v->node->number] = true;
        else if (nd__is_view(seen->node))
            nd__need_memory(b, seen);
    }
}

/* A buffer of its own for a sink's value, which goes to its place at the end. */
static void detour(nd__block *b, nd__sink *sink)
{
    sink->source = nd__new_buffer(b, sink->value->dtype, nd__elements(&sink->value->shape), sink->value->name);
}

/* A copy that a sink turns out to need reads what another group computes from memory. */
static nd__group *copy_for_sink(nd__block *b, const nd_value *v)
{
    nd__group *g = nd__copy_group(b, v);
    for (int i = 0; g && i < g->uses.count; i++)
        b->in_memory[g->uses.items[i].value->node->number] = true;
    return g;
}

/* After grouping: every sink is written by its group in place, or copied at the end. All groups have to be there before
 * it is decided which of them comes before a write. */
static void settle_sinks(nd__block *b)
{
    nd__group **writers = nd__arena_alloc(b->arena, (size_t)b->sink_count, sizeof(nd__group *));
    if (!writers) {
        nd__block_failed(b);
        return;
    }
    for (int i = 0; i < b->sink_count && !b->failed; i++) {
        const nd_value *v = nd__past_names(b->sinks[i].value);
        if (is_computed(b, v))
            writers[i] = nd__group_of(b, b->home[v->node->number]);
        else if (v != b->sinks[i].old) { /* else it stays what it is */
            const nd__group *reader = b->sinks[i].old ? NULL : nd__reader_of(b, v);
            if (reader)
                nd__place_sink(b, reader, v, b->sinks[i].spot);
            else
                writers[i] = copy_for_sink(b, v);
        }
    }
    nd__list_readers(b);
    for (int i = 0; i < b->sink_count && !b->failed; i++) {
        nd__sink *sink = &b->sinks[i];
        const nd_value *v = nd__past_names(sink->value);
        if (!writers[i])
            continue;
        if (!writers[i]->copy && nd__spot_of(b, v, &sink->source)) { /* written for an earlier sink */
            if (!nd__can_place(writers[i]) || (sink->old && !nd__order_before_write(b, writers[i], sink->old)))
                continue;
            nd__place_sink(b, writers[i], v, sink->spot);
            sink->source.buffer = -1;
            continue;
        }
        if (sink->old && !nd__order_before_write(b, writers[i], sink->old))
            detour(b, sink);
        nd__spot to = sink->source.buffer >= 0 ? sink->source : sink->spot;
        if (writers[i]->copy)
            writers[i]->sink = to;
        else
            nd__set_spot(b, v, to);
    }
}

/* -- lowering --------------------------------------------------------------------------------------------------------
 */

/* Every value that something needs in memory gets a place there. */
static void place_values(nd__block *b)
{
    for (int i = 0; i < b->m->node_count && !b->failed; i++) {
        const nd__node *n = b->m->nodes[i];
        if (!b->need[i] || b->home[i] < 0 || !(b->in_memory[i] || b->copied[i]))
            continue;
        if (n->op == ND__OP_scan)
            nd__place_stacks(b, n);
        for (int r = 0; r < n->result_count; r++) {
            const nd_value *v = &n->results[r];
            nd__spot spot;
            if (!nd__spot_of(b, v, &spot))
                nd__set_spot(b, v, nd__new_buffer(b, v->dtype, nd__elements(&v->shape), v->name));
        }
    }
}

/* And every sum of a block. */
static void place_sums(nd__block *b)
{
    for (int i = 0; i < b->group_count; i++) {
        const nd__group *g = b->groups[i];
        for (int k = 0; k < g->summed_count && g->merged < 0; k++) {
            const nd__node *n = g->summed[k];
            nd__parts p;
            if (nd__parts_of(b, n, &p))
                b->sums[n->number] = nd__new_buffer(b, n->results[0].dtype, p.count * p.width, n->results[0].name);
        }
    }
}

static bool lower(nd__block *b, const nd__group *g, nd__steps *steps)
{
    switch (g->kind) {
    case ND__G_MAP:
        return g->summed_count > 0 ? nd__lower_rows(b, g, steps) : nd__lower_map(b, g, steps);
    case ND__G_ROWS:
        return nd__lower_rows(b, g, steps);
    case ND__G_COLUMNS:
        return nd__lower_columns(b, g, steps);
    case ND__G_PRODUCT:
        return nd__lower_product(b, g, steps);
    case ND__G_CONV:
        return g->anchor->op == ND__OP_conv2d_dw          ? nd__lower_conv_dw(b, g, steps)
               : g->anchor->op == ND__OP_conv2d_dw_pooled ? nd__lower_conv_pooled(b, g, steps)
                                                          : nd__lower_conv(b, g, steps);
    case ND__G_POOL:
        return nd__lower_pool(b, g, steps);
    case ND__G_ARG:
        return nd__lower_arg(b, g, steps);
    case ND__G_MOVE:
        return nd__lower_move(b, g, steps);
    case ND__G_SCATTER:
        return nd__lower_scatter(b, g, steps);
    case ND__G_CONTROL:
        return nd__lower_control(b, g, steps);
    }
    return false;
}

static bool lower_groups(nd__block *b, nd__steps *steps)
{
    nd__queue q;
    if (!nd__queue_begin(&q, b))
        return nd__block_failed(b);
    for (nd__group *g; (g = nd__queue_next(&q)); nd__queue_done(&q, g)) {
        const nd__arena_mark here = nd__arena_here(b->passing);
        b->made = NULL;
        const bool good = lower(b, g, steps);
        nd__arena_rewind(b->passing, here);
        if (!good || b->failed || b->m->status != ND_OK)
            return nd__block_failed(b);
    }
    b->made = NULL;
    if (q.left == 0)
        return true;
    nd__fail(b->m, ND_ERR_INTERNAL, "", "schedule: %d groups of nodes wait for each other", q.left);
    return nd__block_failed(b);
}

static bool copy_sinks(nd__block *b, nd__steps *steps)
{
    for (int i = 0; i < b->sink_count; i++) {
        const nd__sink *sink = &b->sinks[i];
        if (sink->source.buffer >= 0 && !nd__copy_spot(b, sink->value, sink->source, sink->spot, steps))
            return false;
    }
    return true;
}

bool nd__schedule_block(const nd__block *like, const nd_function *f, const nd__spot *inputs, const nd__spot *variables,
                        nd__sink *sinks, int sink_count, nd__steps *steps)
{
    nd__block b = {.m = like->m,
                   .plan = like->plan,
                   .target = like->target,
                   .arena = like->arena,
                   .passing = like->passing,
                   .building = like->building,
                   .depth = like->depth,
                   .loop = like->loop,
                   .sinks = sinks,
                   .sink_count = sink_count};
    if (!allocate(&b))
        return false;
    for (int i = 0; i < f->input_count; i++)
        nd__set_spot(&b, f->inputs[i], inputs[i]);
    for (int i = 0; i < b.m->variable_count && variables; i++)
        nd__set_spot(&b, b.m->variables[i]->read, variables[i]);
    for (int i = 0; i < sink_count; i++)
        sinks[i].source.buffer = -1;
    mark_needed(&b);
    place_constants(&b);
    mark_sinks(&b);
    if (b.failed || !nd__group_nodes(&b))
        return nd__block_failed(&b);
    settle_sinks(&b);
    nd__list_places(&b);
    if (b.failed || !nd__choose_layouts(&b))
        return nd__block_failed(&b);
    place_values(&b);
    place_sums(&b);
    if (b.failed || b.m->status != ND_OK)
        return nd__block_failed(&b);
    return lower_groups(&b, steps) && copy_sinks(&b, steps);
}
