/* What a product will want soon, brought nearer while it sums: a tile takes so many cycles that lines arrive from
 * memory meanwhile, for which what follows the sums would else wait. It matters where a step works on more than the
 * caches hold: what an update reads and writes of a weight's state, or what a backward pass reads of the forward one,
 * was used long ago. The processor by itself finds lines one after the other, not the next row's. */
#include "compiler/schedule/product.h"

enum {
    LINE = 64,        /* bytes that are fetched at once */
    LEAST_STEPS = 64, /* of a tile, in which a line arrives */
};

/* Whether a row of the tile is lines of what an address moves through. */
static bool has_lines(const nd__matmul *p, const nd__lin *at)
{
    return at->coef[p->row_axis] != 0 && at->coef[p->lane_axis] == 1;
}

static bool is_read(const nd__matmul *p, const nd__expr *x)
{
    return x->kind == ND__E_LOAD && p->s.params[x->param].access == ND__K_IN && has_lines(p, &x->at);
}

bool nd__fetches_rows(const nd__matmul *p)
{
    bool any = false;
    for (int i = 0; i < p->s.output_count; i++)
        any |= has_lines(p, &p->s.outputs[i].at);
    for (int i = 0; i < p->s.expr_count; i++)
        any |= is_read(p, &p->s.exprs[i]);
    return any && p->depth >= LEAST_STEPS;
}

static void fetch_lines(nd__matmul *p, nd__kaffine column, int64_t columns, int param, const nd__lin *at, bool to_write)
{
    nd__emit *e = &p->e;
    const int64_t line = LINE / (int64_t)nd_dtype_size(p->s.params[param].dtype);
    for (int64_t c = 0; c < columns; c += line) {
        e->coord[p->lane_axis] = nd__k_sum(column, nd__k_at(c));
        nd__k_fetch(&e->b, e->buffers[param], nd__emit_affine(e, at), to_write);
    }
}

void nd__fetch_row(nd__matmul *p, nd__kaffine row, nd__kaffine column, int64_t columns)
{
    p->e.coord[p->row_axis] = row;
    for (int i = 0; i < p->s.output_count; i++)
        if (has_lines(p, &p->s.outputs[i].at))
            fetch_lines(p, column, columns, p->s.outputs[i].param, &p->s.outputs[i].at, true);
    for (int i = 0; i < p->s.expr_count; i++)
        if (is_read(p, &p->s.exprs[i]))
            fetch_lines(p, column, columns, p->s.exprs[i].param, &p->s.exprs[i].at, false);
}

/* Where k lies side by side, the rows of the next strip. Where the rows do, the next line of this k: a line is that of
 * several strips, and the processor finds none of them, as far apart as the operand is wide. An operand that is
 * a small part of the second-level cache is there. */
void nd__fetch_strip(nd__matmul *p, nd__kaffine at, int rows)
{
    const nd__factor *o = &p->scalars;
    const int64_t size = (int64_t)nd_dtype_size(o->base->dtype), line = LINE / size;
    if (p->tile.vectors < 2 || o->count * size < p->s.block->target->l2_bytes / 8)
        return;
    const bool by_rows = o->inner == 1 && o->along >= p->depth, by_k = o->along == 1 && p->depth >= LEAST_STEPS;
    const int64_t pace = by_rows ? o->along : line, all = by_rows ? rows * pace : rows;
    for (int64_t i = 0; i < all && (by_rows || by_k); i += pace)
        nd__k_fetch(&p->e.b, p->e.buffers[o->param], nd__k_sum(at, nd__k_at((all > pace ? all : pace) + i)), false);
}
