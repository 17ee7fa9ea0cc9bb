/* Steps that repeat: a model's layers are the same kernels over other memory, so they become a loop over tables of
 * offsets, and code grows with what differs between layers, not with their number. */
#include "compiler/llvm/ir_entry.h"

#include <string.h>

enum {
    MOST_PERIOD = 512, /* steps in a layer */
    WORTH = 16,        /* steps less to write, for which a loop is worth the loads from its tables */
};

static bool same_argument(const nd__plan *plan, const nd__karg *x, const nd__karg *y)
{
    const nd__buffer *p = &plan->buffers[x->buffer], *q = &plan->buffers[y->buffer];
    if (p->where != q->where || p->dtype != q->dtype || x->chunk != y->chunk ||
        memcmp(x->stride, y->stride, sizeof x->stride) != 0)
        return false;
    if (p->where == ND__IN_CONST)
        return p->data == q->data && x->offset == y->offset;
    const bool port = p->where == ND__IN_INPUT || p->where == ND__IN_OUTPUT;
    return !port || p->index == q->index;
}

/* Whether two steps differ in nothing but where their arguments begin. */
static bool alike(const nd__plan *plan, const int *of, const nd__step *x, const nd__step *y)
{
    if (x->kind != ND__STEP_KERNEL || y->kind != ND__STEP_KERNEL || of[x->kernel] != of[y->kernel] ||
        x->chunks != y->chunks)
        return false;
    const int arguments = plan->kernels[x->kernel]->argument_count;
    for (int i = 0; i < arguments; i++)
        if (!same_argument(plan, &x->args[i], &y->args[i]))
            return false;
    return true;
}

nd__repeat nd__find_repeat(const nd__plan *plan, const int *of, const nd__step *first, int count)
{
    nd__repeat best = {.period = 1, .count = 1};
    int most = WORTH - 1;
    for (int period = 1; period <= MOST_PERIOD && 2 * period <= count; period++) {
        int same = 0;
        while (same + period < count && alike(plan, of, &first[same], &first[same + period]))
            same++;
        const int saved = same / period * period;
        if (saved > most) {
            most = saved;
            best = (nd__repeat){.period = period, .count = same / period + 1};
        }
    }
    return best;
}
