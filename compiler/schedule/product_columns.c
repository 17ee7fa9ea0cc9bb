/* Sums of columns of what a product's kernel computes: blocks of rows, as in the kernels of rows (parts.c). Tiles go
 * through a block before the next one begins, and none is in two: the last of a block may be smaller. */
#include "compiler/schedule/product.h"

/* Of a row: what blocks of sums lie apart. */
static int64_t width_of(const nd__matmul *p)
{
    return p->node->results[0].shape.dims[p->lane_axis];
}

void nd__find_column_sums(nd__matmul *p)
{
    const nd__group *g = p->s.group;
    nd__block *b = p->s.block;
    p->sums = nd__arena_alloc(p->s.arena, (size_t)g->summed_count, sizeof *p->sums);
    p->s.failed = p->s.failed || !p->sums;
    for (int i = 0; i < g->summed_count && !p->s.failed; i++) {
        const nd__node *n = g->summed[i];
        nd__parts parts;
        nd__parts_of(b, n, &parts);
        nd__index identity = nd__identity(&parts.operand->shape);
        const int operand = nd__resolve(&p->s, parts.operand, &identity);
        const int param =
            nd__param_of(&p->s, b->sums[n->number], n->results[0].dtype, parts.count * parts.width, ND__K_OUT, "sums");
        p->sums[p->sum_count++] = (nd__column_sum){.node = n, .operand = operand, .param = param};
        if (p->s.failed)
            return;
        p->s.params[param].walked = true; /* along columns; by blocks of rows: nd__cut_column_sums */
        p->s.params[param].walk.coef[p->lane_axis] = 1;
    }
}

void nd__cut_column_sums(nd__matmul *p)
{
    const int64_t rows = p->s.size[p->row_axis];
    for (int i = 0; i < p->sum_count && rows < p->node->results[0].shape.dims[p->row_axis]; i++) {
        nd__param *param = &p->s.params[p->sums[i].param];
        param->chunk = rows / ND__CHAIN * width_of(p);
        param->elems -= param->chunk * (p->s.chunks - 1);
    }
}

nd__kaffine nd__column_sums_at(const nd__matmul *p)
{
    return nd__k_scaled(p->block, width_of(p));
}

static void begin(nd__matmul *p, nd__kaffine column, int count)
{
    nd__kbuilder *b = &p->e.b;
    for (int i = 0; i < p->sum_count; i++)
        nd__k_store(b, p->e.buffers[p->sums[i].param], nd__k_sum(nd__column_sums_at(p), column),
                    nd__reduction_start(b, p->sums[i].node, p->e.lanes), 1, count);
}

void nd__begin_column_sums(nd__matmul *p, const nd__panel *of)
{
    const int lanes = p->e.lanes;
    const int64_t size = p->s.size[p->lane_axis], full = size - size % lanes;
    for (int v = 0; of && v < of->vectors; v++)
        begin(p, nd__k_sum(of->column, nd__k_at((int64_t)v * lanes)), v + 1 < of->vectors ? lanes : of->last);
    if (of)
        return;
    if (full > 0) {
        int32_t j = nd__k_for(&p->e.b, nd__k_at(0), nd__k_at(full), lanes, 0, NULL, NULL);
        begin(p, nd__k_plus(nd__k_at(0), j, 1), lanes);
        nd__k_end_for(&p->e.b, NULL, NULL);
    }
    if (full < size)
        begin(p, nd__k_at(full), (int)(size - full));
}
