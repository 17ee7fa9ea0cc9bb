/* The gradients of convolutions and pools.
 *
 * y, x and w of a convolution are tied together by one sum of products x w y': each of the three ops sums it for one of
 * them, so the gradients of each are the other two. */
#include "compiler/autodiff/rules.h"

/* The op of that kind with the windows of this rule's node, on a and b. */
static nd_value *sibling(nd__rule_call *s, nd__op op, nd_value *a, nd_value *b, const nd_value *sized_like, int first)
{
    nd__attr attrs[ND__MAX_ATTRS];
    int n = 0;
    for (int i = 0; i < s->node->attr_count; i++)
        if (s->node->attrs[i].key != ND__A_size)
            attrs[n++] = s->node->attrs[i];
    if (sized_like)
        attrs[n++] = nd__attr_ints(ND__A_size, 2, sized_like->shape.dims + first);
    return nd__make2(op, s->place, a, b, n, attrs);
}

#define FORWARD(x, w) sibling(s, ND__OP_conv2d, x, w, NULL, 0)
#define TO_IMAGE(y, w, x) sibling(s, ND__OP_conv2d_dx, y, w, x, 1)
#define TO_KERNEL(x, y, w) sibling(s, ND__OP_conv2d_dw, x, y, w, 0)

static void grad_conv2d(nd__rule_call *s)
{
    TO(0) = TO_IMAGE(s->dy, X(1), X(0));
    TO(1) = TO_KERNEL(X(0), s->dy, X(1));
}

static void grad_conv2d_dx(nd__rule_call *s)
{
    TO(0) = FORWARD(s->dy, X(1));
    TO(1) = TO_KERNEL(s->dy, X(0), X(1));
}

static void grad_conv2d_dw(nd__rule_call *s)
{
    TO(0) = TO_IMAGE(X(1), s->dy, X(0));
    TO(1) = FORWARD(X(0), s->dy);
}

/* To the first maximum of each window, which does not move with x. */
static void grad_max_pool(nd__rule_call *s)
{
    nd_value *index = nd__make1(ND__OP_max_pool_index, s->place, X(0), s->node->attr_count, s->node->attrs);
    s->dx[0] = sibling(s, ND__OP_max_pool_spread, s->dy, index, X(0), 1);
}

static void grad_max_pool_pick(nd__rule_call *s)
{
    TO(0) = sibling(s, ND__OP_max_pool_spread, s->dy, X(1), X(0), 1);
}

static void grad_max_pool_spread(nd__rule_call *s)
{
    TO(0) = sibling(s, ND__OP_max_pool_pick, s->dy, X(1), NULL, 0);
}

RULE(conv2d, grad_conv2d, 0)
RULE(conv2d_dx, grad_conv2d_dx, 0)
RULE(conv2d_dw, grad_conv2d_dw, 0)
RULE(max_pool, grad_max_pool, 0)
RULE(max_pool_index, grad_none, 0)
RULE(max_pool_pick, grad_max_pool_pick, 2)
RULE(max_pool_spread, grad_max_pool_spread, 2)
