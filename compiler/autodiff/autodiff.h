/* Differentiation, graph to graph, in reverse.
 *
 * A gradient is ordinary nodes: what comes back to a value (its cotangent) is the sum of what its consumers send, and
 * each op has one rule that says what it sends to its operands. Nothing after this stage knows what a gradient is, so
 * gradients of gradients come for free.
 *
 *   gradient.c   the public calls: what may be asked, and the answer where nothing arrives
 *   path.c       whether every op on the way has a gradient, before a node is built
 *   pull.c       the reverse walk
 *   join.c       several contributions to one value: sums, and slices put side by side
 *   slope.c      functions of one value
 *   sum_factors.c sums of products, from which factors are taken out
 *   rules_*.c    the rules, a line or two of calculus each
 *   body.c       backward functions of what apply, cond and scan run */
#ifndef NADIR_AUTODIFF_H
#define NADIR_AUTODIFF_H

#include "compiler/graph/graph.h"

/* -- rules -------------------------------------------------------------------------------------------------------- */

typedef struct nd__pull nd__pull;

/* One node on the walk back: y = op(x...), dy came back to y. */
typedef struct nd__rule_call {
    nd__pull *pull;
    nd_module *m;
    nd_place place; /* the node's, which the nodes of its gradient keep */
    const nd__node *node;
    nd_value *const *x;
    nd_value *y, *dy;     /* the first result and its cotangent */
    nd_value *const *dys; /* every result's; NULL: nothing came back to it */
    bool *wants;          /* by operand: whether the walk needs what goes to it */
    nd_value **dx;        /* by operand, for the rule to fill in */
    bool apart;           /* set by the rule: dx[0] belongs to the part of x[0] that this slice shows */
} nd__rule_call;

/* A rule's op: one in rules_*.c for each row of ops.def, as nd__gradient_NAME. */
typedef struct nd__gradient_rule {
    void (*build)(nd__rule_call *s); /* nd__gradient_none: the op has no gradient, asking for it is an error */
    unsigned fixed; /* bit i: operand i chooses (a condition, an index); no gradient flows there and none is missed */
} nd__gradient_rule;

#define OP(name, ...) extern const nd__gradient_rule nd__gradient_of_##name;
#include "compiler/graph/ops.def"
#undef OP
extern const nd__gradient_rule *const nd__gradient_rules[ND__OPS];

void nd__gradient_none(nd__rule_call *s); /* never called: path.c refuses it before the walk */
void nd__gradient_zero(nd__rule_call *s); /* piecewise constant, or a leaf: sends nothing */

/* A gradient through this operand can matter: not a choice, and not a truth value, which is piecewise constant as floor
 * is. */
bool nd__gradient_flows(const nd__node *node, int operand);

/* What a rule sends past the node that made its operand: dx to `to`, on behalf of that node `by`. */
void nd__send(nd__pull *p, nd_value *to, const nd__node *by, int operand, nd_value *dx);
/* Whether v is one of the values that are asked for; whether nothing that the walk passes uses v but one node. */
bool nd__is_target(const nd__pull *p, const nd_value *v);
bool nd__is_used_once(const nd__pull *p, const nd_value *v);
/* By how many operands of nodes that the walk passes v is used. */
int nd__use_count(const nd__pull *p, const nd_value *v);
/* Whether the walk needs what goes to v. */
bool nd__wants(const nd__pull *p, const nd_value *v);

/* p' q', ' a transposition in place; the first `fold` axes, of both, are summed over together with the inner axis,
 * which they precede in order. */
typedef struct nd__product {
    nd_value *p, *q;
    bool tp, tq;
    int fold;
    nd__band band;
} nd__product;
nd_value *nd__folded_product(nd_place place, nd__product product);
/* The sum of dy over `axes`, in the shape of what was broadcast along them. */
nd_value *nd__unbroadcast(nd_place place, nd_value *dy, nd_axes axes, nd_shape shape);
/* The same as sums of what is left when factors that are the same along the axes are taken out of them, times those;
 * NULL: there are none. */
nd_value *nd__sum_apart(nd_module *m, nd_place place, nd_value *x, nd_axes axes, nd_shape shape);
/* dy of a slice in the shape of what was sliced, zeros elsewhere. */
nd_value *nd__unslice(const nd__node *slice, nd_value *dy);

/* In a loop's body: a contribution to a captured value that is made once, after the loop, of its parts from all turns.
 */
typedef struct nd__late {
    nd_value *to;
    const nd__node *by;
    bool is_product;
    nd__product product;
    nd_value *dy; /* of a broadcast along the axes */
    nd_axes axes;
    struct nd__late *next;
} nd__late;

/* Takes a contribution for after the loop; false: this walk wants it now. Products wait only if an operand changes from
 * turn to turn. */
bool nd__make_late_product(nd__pull *p, nd_value *to, const nd__node *by, nd__product product);
bool nd__make_late_sum(nd__pull *p, nd_value *to, const nd__node *by, nd_value *dy, nd_axes axes);

/* -- the walk ----------------------------------------------------------------------------------------------------- */

/* Every value of the first `nodes` nodes of a module has a number. */
typedef struct nd__numbers {
    int nodes, values;
    int *first; /* by node */
} nd__numbers;
bool nd__number_values(nd__numbers *numbers, nd_module *m, int nodes, nd__arena *scratch);
int nd__number(const nd__numbers *numbers, const nd_value *v); /* -1: a later value */

typedef struct nd__pullback {
    int from_count, to_count;
    nd_value *const *from, *const *cotangents; /* a NULL cotangent: none */
    nd_value *const *to;
    nd_value **gradients; /* by `to`: filled in; NULL where nothing arrives */
    /* For loops: */
    const bool *captured; /* by `to`, or NULL */
    const bool *moving;   /* by node: it changes from turn to turn */
    nd__late *late;       /* filled in, latest consumer first; in `scratch` */
    bool plain;           /* no slopes: this walk makes one (slope.c) */
    nd__arena *scratch;
} nd__pullback;

/* The value of which alone y is a function, elementwise, of more than one node, on more than one way; NULL: there is
 * none. */
nd_value *nd__source_of(const nd__pull *p, nd_value *y);

/* Builds the gradients. false: the module failed. */
bool nd__pull_back(nd_module *m, nd__pullback *job);

/* What comes back to a value: the terms in the order of their consumers' creation. */
typedef struct nd__term {
    const nd__node *by; /* NULL: what the walk began with, the last of all */
    int operand;
    nd_value *dx;
    bool apart;
    struct nd__term *next;
} nd__term;
nd_value *nd__join(nd_value *to, const nd__term *terms);

/* -- paths -------------------------------------------------------------------------------------------------------- */

/* Whether all ops on the way from `from` to `to` have gradients; otherwise the module fails with the list of those that
 * have none. */
bool nd__check_path(nd_place place, nd_value *from, size_t n, nd_value *const *to);

/* Which nodes depend on the given values: depends[number], for the first `nodes` nodes. */
void nd__mark_dependent(const nd_module *m, int nodes, int n, nd_value *const *on, bool *depends);
/* A scan's body: turns active[i] of an input on for carries that what is active reaches, until nothing changes. false:
 * out of memory. */
bool nd__spread_activity(const nd__node *scan, bool *active, nd__arena *scratch);

#endif
