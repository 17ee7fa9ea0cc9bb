/* Reductions and products. */
#include "reference_call.h"

#include <string.h>

/* For each result, `visit` sees the elements that are reduced to it in row-major order. */
static void reduce(const reference_call *c, double real_start, wide whole_start,
                   void (*visit)(const reference_call *, int64_t to, int64_t from))
{
    const reference_value *x = c->in[0];
    const nd__attr *axes = nd__get(c->node, ND__A_axes);
    for (int64_t i = 0; i < c->out[0].count; i++) {
        c->out[0].real[i] = real_start;
        c->out[0].whole[i] = (int64_t)whole_start;
    }
    for (int64_t i = 0; i < x->count; i++) {
        int64_t index[ND_MAX_RANK], kept[ND_MAX_RANK];
        int n = 0;
        index_of(&x->shape, i, index);
        for (int k = 0; k < x->shape.rank; k++) {
            bool reduced = false;
            for (int j = 0; j < axes->count; j++)
                reduced |= axes->ints[j] == k;
            if (!reduced)
                kept[n++] = index[k];
        }
        visit(c, element_at(&c->out[0].shape, kept), i);
    }
}

static void visit_sum(const reference_call *c, int64_t to, int64_t from)
{
    c->out[0].real[to] += c->in[0]->real[from];
    c->out[0].scale[to] += fabs(c->in[0]->real[from]);
    set_whole(c, to, (wide)c->out[0].whole[to] + c->in[0]->whole[from]);
}

static void visit_max(const reference_call *c, int64_t to, int64_t from)
{
    double x = c->in[0]->real[from], *best = &c->out[0].real[to];
    *best = isnan(*best) || isnan(x) ? NAN : fmax(*best, x);
    if (c->in[0]->whole[from] > c->out[0].whole[to])
        c->out[0].whole[to] = c->in[0]->whole[from];
}

static void visit_min(const reference_call *c, int64_t to, int64_t from)
{
    double x = c->in[0]->real[from], *best = &c->out[0].real[to];
    *best = isnan(*best) || isnan(x) ? NAN : fmin(*best, x);
    if (c->in[0]->whole[from] < c->out[0].whole[to])
        c->out[0].whole[to] = c->in[0]->whole[from];
}

void reference_sum(const reference_call *c)
{
    reduce(c, 0, 0, visit_sum);
}

void reference_reduce_max(const reference_call *c)
{
    reduce(c, -INFINITY, saturated(nd_dtype_is_float(c->out[0].dtype) ? ND_I64 : c->out[0].dtype, -INFINITY),
           visit_max);
    for (int64_t i = 0; i < c->out[0].count; i++)
        c->out[0].real[i] += 0.0; /* never -0 */
}

void reference_reduce_min(const reference_call *c)
{
    reduce(c, INFINITY, saturated(nd_dtype_is_float(c->out[0].dtype) ? ND_I64 : c->out[0].dtype, INFINITY), visit_min);
    for (int64_t i = 0; i < c->out[0].count; i++)
        c->out[0].real[i] += 0.0;
}

static void arg_reduce(const reference_call *c, int sign)
{
    const reference_value *x = c->in[0];
    const int axis = (int)nd__get_int(c->node, ND__A_axis);
    for (int64_t i = 0; i < c->out[0].count; i++) {
        int64_t kept[ND_MAX_RANK], index[ND_MAX_RANK], best = -1;
        index_of(&c->out[0].shape, i, kept);
        for (int k = 0, n = 0; k < x->shape.rank; k++)
            index[k] = k == axis ? 0 : kept[n++];
        /* From the last to the first, so that the first of equals stays; a NaN is above everything. */
        int64_t best_at = 0;
        for (index[axis] = x->shape.dims[axis] - 1; index[axis] >= 0; index[axis]--) {
            int64_t at = element_at(&x->shape, index);
            bool better = best < 0;
            if (nd_dtype_is_float(x->dtype))
                better |=
                    isnan(x->real[at]) || (!isnan(x->real[best_at]) && sign * x->real[at] >= sign * x->real[best_at]);
            else
                better |= (wide)sign * x->whole[at] >= (wide)sign * x->whole[best_at];
            if (better) {
                best = index[axis];
                best_at = at;
            }
        }
        c->out[0].whole[i] = best;
    }
}

void reference_argmax(const reference_call *c)
{
    arg_reduce(c, 1);
}

void reference_argmin(const reference_call *c)
{
    arg_reduce(c, -1);
}

/* Whether an element of a, b or the result (`of`) lies in the band of a matmul that has one there. */
static bool in_band(const nd__node *node, nd_band of, const nd_shape *shape, const int64_t *at)
{
    const nd__attr *band = nd__get(node, ND__A_band);
    const int64_t difference = at[shape->rank - 1] - at[shape->rank - 2];
    return band->i != (int64_t)of || (difference >= band->ints[0] && difference <= band->ints[1]);
}

void reference_matmul(const reference_call *c)
{
    const reference_value *a = c->in[0], *b = c->in[1];
    const int rank = a->shape.rank;
    const bool ta = nd__get_int(c->node, ND__A_trans_a), tb = nd__get_int(c->node, ND__A_trans_b);
    const int64_t inner = a->shape.dims[rank - (ta ? 2 : 1)];
    for (int64_t i = 0; i < c->out[0].count; i++) {
        int64_t at[ND_MAX_RANK], left[ND_MAX_RANK], right[ND_MAX_RANK];
        double sum = 0, scale = 0;
        wide whole = 0;
        index_of(&c->out[0].shape, i, at);
        memcpy(left, at, sizeof left);
        memcpy(right, at, sizeof right);
        for (int64_t k = 0; k < inner; k++) {
            left[rank - 2] = ta ? k : at[rank - 2];
            left[rank - 1] = ta ? at[rank - 2] : k;
            right[rank - 2] = tb ? at[rank - 1] : k;
            right[rank - 1] = tb ? k : at[rank - 1];
            if (!in_band(c->node, ND_BAND_A, &a->shape, left) || !in_band(c->node, ND_BAND_B, &b->shape, right) ||
                !in_band(c->node, ND_BAND_RESULT, &c->out[0].shape, at))
                continue;
            int64_t x = element_at(&a->shape, left), y = element_at(&b->shape, right);
            sum += a->real[x] * b->real[y];
            scale += fabs(a->real[x] * b->real[y]);
            whole = cut(ND_I64, whole + (wide)a->whole[x] * b->whole[y]);
        }
        set_real(c, i, sum);
        c->out[0].scale[i] = scale;
        set_whole(c, i, whole);
    }
}
