/* Maps: elementwise kernels, copies included. */
#include "compiler/schedule/emit.h"

enum { WHOLE_VECTORS = 64 }; /* elements of a chunk come in multiples */

static int64_t operations(const nd__space *s)
{
    int64_t ops = 0, points = 1;
    for (int i = 0; i < s->expr_count; i++)
        ops += s->exprs[i].kind == ND__E_OP;
    for (int d = 0; d < s->rank; d++)
        points *= s->size[d];
    return ops * points;
}

/* Everything is resolved: makes the kernel. */
static bool finish(nd__space *s, const char *what, nd__steps *steps)
{
    int64_t flops = operations(s);
    nd__collapse(s, 0, s->rank - 1);
    if (s->rank > 0)
        nd__cut(s, 0, s->rank == 1 ? WHOLE_VECTORS : 1, nd__work(s));
    nd__emit e = nd__emit_begin(s, what);
    if (!s->failed)
        nd__emit_map(&e);
    return nd__emit_end(&e, flops, steps);
}

bool nd__lower_map(nd__block *b, const nd__group *g, nd__steps *steps)
{
    nd__space s;
    for (int d = 0; d < g->rank; d++)
        if (g->size[d] == 0)
            return true;
    nd__space_begin(&s, b, g, g->rank, g->size);
    if (g->copy) {
        nd__index identity = nd__identity(&g->copy->shape);
        nd__spot to = g->sink;
        if (g->anchor)
            nd__spot_of(b, &g->anchor->results[0], &to);
        nd__add_output(&s, nd__resolve(&s, g->copy, &identity), to, g->copy->dtype, nd__elements(&g->copy->shape),
                       nd__flat(&g->copy->shape, &identity), g->copy->name);
    } else {
        nd__add_outputs(&s);
    }
    return finish(&s, "map", steps);
}

bool nd__copy_spot(nd__block *b, const nd_value *v, nd__spot from, nd__spot to, nd__steps *steps)
{
    nd__space s;
    int64_t size = nd__elements(&v->shape);
    if (size == 0)
        return true;
    nd__space_begin(&s, b, NULL, 1, &size);
    int x = nd__expr_load(&s, from, v->dtype, size, nd__lin_axis(0), v->name);
    nd__add_output(&s, x, to, v->dtype, size, nd__lin_axis(0), v->name);
    return finish(&s, "copy", steps);
}
