/* Functions of one value: gelu(x), x sigmoid(x), whatever is elementwise and made of x and numbers.
 *
 * From the result back, the latest node first, nodes are taken in as long as nothing else uses them. When all that is
 * wanted of the operands of those taken in is one value, the result is a function of it. The first such value that more
 * than one way leads to ends the search: before it the ordinary rules send one product, after it they would send a sum
 * of several, each of which needs other values of the way there. */
#include "compiler/autodiff/autodiff.h"

enum { MOST_NODES = 32, MOST_OPEN = 8 };

/* Values that are used inside, and by how many operands. */
typedef struct open_values {
    nd_value *values[MOST_OPEN];
    int uses[MOST_OPEN], count;
} open_values;

static bool open_value(open_values *o, nd_value *v)
{
    int i = 0;
    while (i < o->count && o->values[i] != v)
        i++;
    if (i == MOST_OPEN)
        return false;
    o->uses[i] = i == o->count ? 1 : o->uses[i] + 1;
    o->values[i] = v;
    o->count += i == o->count;
    return true;
}

/* Takes out the latest. */
static nd_value *close_latest(open_values *o, int *uses)
{
    int latest = 0;
    for (int i = 1; i < o->count; i++)
        if (o->values[i]->node->number > o->values[latest]->node->number)
            latest = i;
    nd_value *v = o->values[latest];
    *uses = o->uses[latest];
    o->count--;
    o->values[latest] = o->values[o->count];
    o->uses[latest] = o->uses[o->count];
    return v;
}

static bool open_operands(const nd__pull *p, open_values *o, const nd__node *n)
{
    for (int i = 0; i < n->input_count; i++)
        if (nd__wants(p, n->inputs[i]) && nd__gradient_flows(n, i) && !open_value(o, n->inputs[i]))
            return false;
    return true;
}

static bool is_inside(const nd_value *v)
{
    return nd__ops[v->node->op].traits & ND__ELEMENTWISE && v->node->op != ND__OP_stop_gradient;
}

nd_value *nd__source_of(const nd__pull *p, nd_value *y)
{
    open_values open = {.count = 0};
    if (!is_inside(y) || !open_operands(p, &open, y->node))
        return NULL;
    for (int nodes = 1; nodes < MOST_NODES && open.count > 0; nodes++) {
        int uses;
        nd_value *v = close_latest(&open, &uses);
        if (open.count == 0 && uses > 1 && nodes > 1)
            return nd__shape_equal(&v->shape, &y->shape) && v->dtype == y->dtype ? v : NULL;
        if (!is_inside(v) || nd__is_target(p, v) || nd__use_count(p, v) != uses || !open_operands(p, &open, v->node))
            return NULL;
    }
    return NULL;
}
