/* Products of few long rows: k lies in the lanes, summed in the lane order of a long reduction. */
#include "compiler/schedule/product.h"

enum { ROW_LANES = 32, BLOCK = 4096 };

/* What k is compared with where an operand has a band: the row, or the column, that it has. */
static nd__kaffine banded_row(const nd__matmul *p)
{
    return p->e.coord[nd__get_band(p->node).of == ND_BAND_A ? p->row_axis : p->lane_axis];
}

/* Elements of k from `at` on, at most 32, into the accumulators of 32 lanes. a, b: the operands at k = 0. */
static void dot_step(nd__matmul *p, nd__kaffine a, nd__kaffine b, nd__kaffine at, int64_t count, nd__kval *acc)
{
    nd__emit *e = &p->e;
    a = nd__k_sum(a, nd__k_scaled(at, p->scalars.inner));
    b = nd__k_sum(b, nd__k_scaled(at, p->vectors.inner));
    for (int u = 0; u * e->lanes < count; u++) {
        int exist = count - u * e->lanes < e->lanes ? (int)(count - u * e->lanes) : e->lanes;
        int64_t s = p->scalars.inner, v = p->vectors.inner;
        nd__kval x = nd__k_load(&e->b, e->buffers[p->scalars.param], nd__k_sum(a, nd__k_at(u * e->lanes * s)), e->lanes,
                                s, exist);
        nd__kval y = nd__k_load(&e->b, e->buffers[p->vectors.param], nd__k_sum(b, nd__k_at(u * e->lanes * v)), e->lanes,
                                v, exist);
        nd__kval sum = nd__k_op3(&e->b, ND__K_fma, x, y, acc[u]);
        if (exist < e->lanes) {
            nd__ktype type = nd__k_type(ND_I32, e->lanes);
            nd__kval lane = nd__k_index(&e->b, type, nd__k_at(0), 1);
            sum = nd__k_op3(&e->b, ND__K_select, nd__k_op2(&e->b, ND__K_lt, lane, nd__k_const(&e->b, type, exist)), sum,
                            acc[u]);
        }
        if (p->band.of_operand) {
            nd__kaffine ahead = nd__k_sum(nd__k_sum(at, nd__k_at(u * e->lanes)), nd__k_scaled(banded_row(p), -1));
            sum = nd__k_op3(&e->b, ND__K_select, nd__band_inside(&e->b, &p->band, ahead, e->lanes, 1), sum, acc[u]);
        }
        acc[u] = sum;
    }
}

/* The block of k from `at` on: the tree over its 32 lanes. */
static nd__kval dot_block(nd__matmul *p, nd__kaffine a, nd__kaffine b, nd__kaffine at, int64_t length)
{
    nd__emit *e = &p->e;
    nd__kval acc[ROW_LANES], carried[ROW_LANES];
    const int64_t full = length - length % ROW_LANES;
    int parts = ROW_LANES / e->lanes;
    for (int u = 0; u < parts; u++)
        acc[u] = nd__k_const_bits(&e->b, nd__k_type(p->node->results[0].dtype, e->lanes), 0);
    if (full > 0) {
        int32_t k = nd__k_for(&e->b, nd__k_at(0), nd__k_at(full), ROW_LANES, parts, acc, carried);
        dot_step(p, a, b, nd__k_plus(at, k, 1), ROW_LANES, carried);
        nd__k_end_for(&e->b, carried, acc);
    }
    if (full < length)
        dot_step(p, a, b, nd__k_sum(at, nd__k_at(full)), length - full, acc);
    for (; parts > 1; parts /= 2)
        for (int u = 0; u < parts / 2; u++)
            acc[u] = nd__k_op2(&e->b, ND__K_add, acc[u], acc[u + parts / 2]);
    return e->lanes > 1 ? nd__k_op1(&e->b, ND__K_tree_add, acc[0]) : acc[0];
}

void nd__dot(nd__matmul *p)
{
    nd__emit *e = &p->e;
    const int64_t blocks = p->depth / BLOCK, rest = p->depth % BLOCK;
    nd__kval *kept = nd__memo_keep(e);
    nd__open_axis(e, p->row_axis, 0, p->s.size[p->row_axis], 1);
    nd__open_axis(e, p->lane_axis, 0, p->s.size[p->lane_axis], 1);
    nd__kaffine a = nd__k_sum(nd__factor_at(p, &p->scalars), nd__k_scaled(e->coord[p->row_axis], p->scalars.along));
    nd__kaffine b = nd__k_sum(nd__factor_at(p, &p->vectors), nd__k_scaled(e->coord[p->lane_axis], p->vectors.along));
    nd__kval total = nd__k_const_bits(&e->b, nd__k_type(p->node->results[0].dtype, 1), 0), carried;
    if (blocks > 0) {
        int32_t k = nd__k_for(&e->b, nd__k_at(0), nd__k_at(blocks * BLOCK), BLOCK, 1, &total, &carried);
        nd__kval sum = dot_block(p, a, b, nd__k_plus(nd__k_at(0), k, 1), BLOCK);
        carried = nd__k_op2(&e->b, ND__K_add, carried, sum);
        nd__k_end_for(&e->b, &carried, &total);
    }
    if (rest > 0)
        total = nd__k_op2(&e->b, ND__K_add, total, dot_block(p, a, b, nd__k_at(blocks * BLOCK), rest));
    if (p->band.of_result) {
        nd__kaffine ahead = nd__k_sum(e->coord[p->lane_axis], nd__k_scaled(e->coord[p->row_axis], -1));
        nd__kval zero = nd__k_const_bits(&e->b, nd__k_type(p->node->results[0].dtype, 1), 0);
        total = nd__k_op3(&e->b, ND__K_select, nd__band_inside(&e->b, &p->band, ahead, 1, 0), total, zero);
    }
    e->memo[p->given] = total;
    nd__emit_outputs(e, 0); /* of scalars: no axis of the result lies in the lanes */
    nd__close_axis(e, p->lane_axis);
    nd__close_axis(e, p->row_axis);
    nd__memo_restore(e, kept);
}
