/* Which group comes when. */
#include "compiler/schedule/block.h"

enum { LITTLE = 4096 /* bytes */ };

/* -- readers of what is overwritten ------------------------------------------------------------------------------- */

/* Whether the group reads the leaf, other than at the very point at which it writes. */
static bool reads(const nd__group *g, const nd_value *leaf, bool *apart)
{
    bool any = false;
    *apart = false;
    for (int i = 0; i < g->uses.count; i++)
        if (g->uses.items[i].value == leaf) {
            any = true;
            *apart |= !nd__aligned(&g->uses.items[i]);
        }
    return any;
}

bool nd__order_before_write(nd__block *b, nd__group *writer, const nd_value *old)
{
    bool apart;
    if (reads(writer, old, &apart) && (apart || writer->copy ||
                                       (writer->kind != ND__G_MAP && writer->kind != ND__G_PRODUCT &&
                                        writer->kind != ND__G_CONV && writer->kind != ND__G_COLUMNS)))
        return false;
    const int *first = &b->readers.first[old->node->number], *items = b->readers.items;
    for (int i = first[0]; i < first[1]; i++)
        if (items[i] != writer->number && nd__depends(b, items[i], writer->number))
            return false;
    for (int i = first[0]; i < first[1]; i++)
        if (items[i] != writer->number)
            nd__order_after(b, writer, items[i]);
    return true;
}

/* -- the queue ---------------------------------------------------------------------------------------------------- */

/* Least numbers first: a number is at most those at 2 i + 1 and 2 i + 2. */
static void heap_push(struct nd__heap *h, int number)
{
    int i = h->count++;
    for (; i > 0 && h->numbers[(i - 1) / 2] > number; i = (i - 1) / 2)
        h->numbers[i] = h->numbers[(i - 1) / 2];
    h->numbers[i] = number;
}

static int heap_pop(struct nd__heap *h)
{
    const int least = h->numbers[0], last = h->numbers[--h->count];
    int i = 0;
    for (int child; (child = 2 * i + 1) < h->count; i = child) {
        if (child + 1 < h->count && h->numbers[child + 1] < h->numbers[child])
            child++;
        if (h->numbers[child] >= last)
            break;
        h->numbers[i] = h->numbers[child];
    }
    h->numbers[i] = last;
    return least;
}

/* Whether it leaves no more than a little in the arena: an update of a variable, a loss, what is left of a sum. */
static bool takes_little(const nd__block *b, const nd__group *g)
{
    int64_t bytes = 0;
    for (int i = 0; i < g->member_count; i++) {
        const nd__node *n = b->m->nodes[g->members[i]];
        for (int r = 0; r < n->result_count; r++) {
            nd__spot spot;
            if (nd__spot_of(b, &n->results[r], &spot) && b->plan->buffers[spot.buffer].where == ND__IN_ARENA)
                bytes += nd__elements(&n->results[r].shape) * (int64_t)nd_dtype_size(n->results[r].dtype);
        }
    }
    return bytes <= LITTLE && !g->copy;
}

static void make_ready(nd__queue *q, const nd__group *g)
{
    heap_push(takes_little(q->b, g) ? &q->little : &q->others, g->number);
}

static void each_wait(nd__block *b, nd__filling *f)
{
    for (int i = 0; i < b->group_count; i++) {
        nd__group *g = b->groups[i];
        g->waits = 0;
        for (int k = 0; k < g->after_count && g->merged < 0; k++) {
            const nd__group *before = nd__group_of(b, g->after[k]);
            if (before == g) /* it has become a part of it */
                continue;
            nd__list_add(f, before->number, i);
            g->waits++;
        }
    }
}

bool nd__queue_begin(nd__queue *q, nd__block *b)
{
    *q = (nd__queue){.b = b};
    q->little.numbers = nd__arena_alloc(b->arena, (size_t)b->group_count + 1, sizeof *q->little.numbers);
    q->others.numbers = nd__arena_alloc(b->arena, (size_t)b->group_count + 1, sizeof *q->others.numbers);
    if (!q->little.numbers || !q->others.numbers || !nd__lists_fill(b, &q->next, b->group_count, each_wait))
        return false;
    for (int i = 0; i < b->group_count; i++) {
        q->left += b->groups[i]->merged < 0;
        if (b->groups[i]->merged < 0 && b->groups[i]->waits == 0)
            make_ready(q, b->groups[i]);
    }
    return true;
}

nd__group *nd__queue_next(nd__queue *q)
{
    struct nd__heap *h = q->little.count > 0 ? &q->little : &q->others;
    return h->count > 0 ? q->b->groups[heap_pop(h)] : NULL;
}

void nd__queue_done(nd__queue *q, const nd__group *g)
{
    q->left--;
    for (int i = q->next.first[g->number]; i < q->next.first[g->number + 1]; i++) {
        nd__group *next = q->b->groups[q->next.items[i]];
        if (--next->waits == 0)
            make_ready(q, next);
    }
}
