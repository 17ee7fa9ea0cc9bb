/* The gradients of convolutions and pools.
 *
 * y, x and w of a convolution are tied together by one sum of products x w y': each of the three ops sums it for one of
 * them, so the gradients of each are the other two. */
#include "compiler/autodiff/rules.h"
#include "compiler/graph/window.h"

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

#define FORWARD(x, w)      sibling(s, ND__OP_conv2d, x, w, NULL, 0)
#define TO_IMAGE(y, w, x)  sibling(s, ND__OP_conv2d_dx, y, w, x, 1)
#define TO_KERNEL(x, y, w) sibling(s, ND__OP_conv2d_dw, x, y, w, 0)

static bool are(const nd__node *n, nd__attr_key key, int64_t number)
{
    const int64_t *ints = nd__get_ints(n, key);
    return ints[0] == number && ints[1] == number;
}

/* The gradient by the kernel where dy comes through a pool whose windows stand side by side: of each window one place
 * counts, the others are zeros. NULL: it does not, or the windows are so small that nothing is gained. */
static nd_value *pooled_to_kernel(const nd__rule_call *s)
{
    enum { LEAST = 4 };
    const nd__node *conv = s->node, *spread = s->dy->node;
    if (spread->op != ND__OP_max_pool_spread || !are(conv, ND__A_low, 0) || !are(conv, ND__A_high, 0) ||
        !are(conv, ND__A_dilation, 1) || nd__get_int(conv, ND__A_groups) != 1 || !are(spread, ND__A_low, 0) ||
        !are(spread, ND__A_high, 0))
        return NULL;
    const int64_t *window = nd__get_ints(spread, ND__A_window), *apart = nd__get_ints(spread, ND__A_stride);
    if (window[0] != apart[0] || window[1] != apart[1] || window[0] * window[1] < LEAST)
        return NULL;
    nd__attr attrs[] = {nd__attr_ints(ND__A_size, 2, X(1)->shape.dims),
                        nd__attr_ints(ND__A_stride, 2, nd__get_ints(conv, ND__A_stride)),
                        nd__attr_ints(ND__A_window, 2, window)};
    return nd__make(s->m, ND__OP_conv2d_dw_pooled, s->place, 3,
                    (nd_value *[]){X(0), spread->inputs[0], spread->inputs[1]}, 3, attrs);
}

static void grad_conv2d(nd__rule_call *s)
{
    nd_value *pooled = s->wants[1] ? pooled_to_kernel(s) : NULL;
    TO(0) = TO_IMAGE(s->dy, X(1), X(0));
    TO(1) = pooled ? pooled : TO_KERNEL(X(0), s->dy, X(1));
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

/* By x: of the convolution whose gradient the places send on; by dy: what the convolution of x and g has there. */
static void grad_conv2d_dw_pooled(nd__rule_call *s)
{
    static const int64_t none[] = {0, 0}, ones[] = {1, 1};
    const nd__pooled_conv c = nd__pooled_conv_of(s->node);
    int64_t places[2];
    for (int i = 0; i < 2; i++)
        places[i] = (c.x->dims[1 + i] - c.w->dims[i]) / c.stride[i] + 1;
    nd__attr conv[] = {nd__attr_ints(ND__A_stride, 2, c.stride),
                       nd__attr_ints(ND__A_low, 2, none),
                       nd__attr_ints(ND__A_high, 2, none),
                       nd__attr_ints(ND__A_dilation, 2, ones),
                       nd__attr_int(ND__A_groups, 1),
                       nd__attr_ints(ND__A_size, 2, c.x->dims + 1)};
    nd__attr pool[] = {nd__attr_ints(ND__A_window, 2, c.window), nd__attr_ints(ND__A_stride, 2, c.window),
                       nd__attr_ints(ND__A_low, 2, none), nd__attr_ints(ND__A_high, 2, none),
                       nd__attr_ints(ND__A_size, 2, places)};
    if (s->wants[0]) {
        nd_value *spread = nd__make2(ND__OP_max_pool_spread, s->place, X(1), X(2), 5, pool);
        s->dx[0] = nd__make2(ND__OP_conv2d_dx, s->place, spread, s->dy, 6, conv);
    }
    if (s->wants[1]) {
        nd_value *y = nd__make2(ND__OP_conv2d, s->place, X(0), s->dy, 5, conv);
        s->dx[1] = nd__make2(ND__OP_max_pool_pick, s->place, y, X(2), 4, pool);
    }
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
RULE(conv2d_dw_pooled, grad_conv2d_dw_pooled, 4)
RULE(max_pool, grad_max_pool, 0)
RULE(max_pool_index, grad_none, 0)
RULE(max_pool_pick, grad_max_pool_pick, 2)
RULE(max_pool_spread, grad_max_pool_spread, 2)
