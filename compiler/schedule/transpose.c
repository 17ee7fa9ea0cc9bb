/* Transposed copies: what a product reads along its lanes has to lie there side by side. Blocks of one register's lanes
 * square are transposed in registers. */
#include "compiler/schedule/emit.h"

#include <string.h>

enum {
    SMALLEST = 4,       /* sizes below are copied element by element */
    MOST_LANES = 16,    /* of a square */
    WHOLE_VECTORS = 64, /* elements of a chunk come in multiples */
};

typedef struct turn {
    nd__kbuilder b;
    int32_t from, to;
    int rank, inner; /* inner: the axis along which the source is contiguous; the last is the destination's */
    const int64_t *size, *from_stride;
    int64_t to_stride[ND__AXES];
    nd__kaffine from_at, to_at; /* of the loops that are open */
    nd_dtype dtype;
    int lanes;
} turn;

/* One block: `rows` along the last axis, `columns` along the inner one, both at most t->lanes. */
static void emit_block(turn *t, nd__kaffine from, nd__kaffine to, int rows, int columns)
{
    nd__kval in[ND__MAX_LANES], out[ND__MAX_LANES];
    nd__kval zero = nd__k_const_bits(&t->b, nd__k_type(t->dtype, t->lanes), 0);
    for (int r = 0; r < t->lanes; r++)
        in[r] = r < rows ? nd__k_load(&t->b, t->from, nd__k_sum(from, nd__k_at(r * t->from_stride[t->rank - 1])),
                                      t->lanes, 1, columns)
                         : zero;
    nd__k_transpose(&t->b, t->lanes, in, out);
    for (int c = 0; c < columns; c++)
        nd__k_store(&t->b, t->to, nd__k_sum(to, nd__k_at(c * t->to_stride[t->inner])), out[c], 1, rows);
}

static void over_rows(turn *t, nd__kaffine from, nd__kaffine to, int columns)
{
    const int last = t->rank - 1;
    const int64_t n = t->size[last], full = n - n % t->lanes;
    if (full > 0) {
        int32_t i = nd__k_for(&t->b, nd__k_at(0), nd__k_at(full), t->lanes, 0, NULL, NULL);
        emit_block(t, nd__k_plus(from, i, t->from_stride[last]), nd__k_plus(to, i, 1), t->lanes, columns);
        nd__k_end_for(&t->b, NULL, NULL);
    }
    if (full < n)
        emit_block(t, nd__k_sum(from, nd__k_at(full * t->from_stride[last])), nd__k_sum(to, nd__k_at(full)),
                   (int)(n - full), columns);
}

static void over_blocks(turn *t)
{
    const int64_t n = t->size[t->inner], full = n - n % t->lanes;
    if (full > 0) {
        int32_t i = nd__k_for(&t->b, nd__k_at(0), nd__k_at(full), t->lanes, 0, NULL, NULL);
        over_rows(t, nd__k_plus(t->from_at, i, 1), nd__k_plus(t->to_at, i, t->to_stride[t->inner]), t->lanes);
        nd__k_end_for(&t->b, NULL, NULL);
    }
    if (full < n)
        over_rows(t, nd__k_sum(t->from_at, nd__k_at(full)),
                  nd__k_sum(t->to_at, nd__k_at(full * t->to_stride[t->inner])), (int)(n - full));
}

static void over_axes(turn *t, int axis)
{
    if (axis == t->inner)
        axis++;
    if (axis >= t->rank - 1) {
        over_blocks(t);
        return;
    }
    if (t->size[axis] == 1) {
        over_axes(t, axis + 1);
        return;
    }
    nd__kaffine from = t->from_at, to = t->to_at;
    int32_t i = nd__k_for(&t->b, nd__k_at(0), nd__k_at(t->size[axis]), 1, 0, NULL, NULL);
    t->from_at = nd__k_plus(from, i, t->from_stride[axis]);
    t->to_at = nd__k_plus(to, i, t->to_stride[axis]);
    over_axes(t, axis + 1);
    nd__k_end_for(&t->b, NULL, NULL);
    t->from_at = from;
    t->to_at = to;
}

/* The axis other than the last along which the source is contiguous; -1: none. */
static int contiguous_axis(int rank, const int64_t *size, const int64_t *stride)
{
    for (int d = 0; d < rank - 1; d++)
        if (stride[d] == 1 && size[d] >= SMALLEST)
            return d;
    return -1;
}

static int64_t count_of(int rank, const int64_t *size)
{
    int64_t count = 1;
    for (int d = 0; d < rank; d++)
        count *= size[d];
    return count;
}

bool nd__turn(nd__block *b, const nd_value *base, nd__spot from, int64_t offset, int rank, const int64_t *size,
              const int64_t *stride, nd__spot to, nd__steps *steps)
{
    nd__space s;
    nd__lin source = nd__lin_const(offset), target = nd__lin_const(0);
    turn t = {.rank = rank, .size = size, .from_stride = stride, .dtype = base->dtype};
    const int64_t count = count_of(rank, size);
    if (count == 0)
        return true;
    nd__space_begin(&s, b, NULL, rank, size);
    nd__strides(rank, size, t.to_stride);
    for (int d = 0; d < rank; d++) {
        source.coef[d] = stride[d];
        target.coef[d] = t.to_stride[d];
    }
    int x = nd__expr_load(&s, from, base->dtype, nd__elements(&base->shape), source, base->name);
    nd__add_output(&s, x, to, base->dtype, count, target, base->name);
    t.inner = contiguous_axis(rank, size, stride);
    t.lanes = b->target->vector_bytes / (int)nd_dtype_size(base->dtype);
    t.lanes = t.lanes < MOST_LANES ? t.lanes : MOST_LANES;
    bool square = t.inner >= 0 && size[rank - 1] >= SMALLEST && stride[rank - 1] != 1 && base->dtype != ND_BOOL;
    if (!square) {
        nd__collapse(&s, 0, rank - 1);
        nd__cut(&s, 0, s.rank == 1 ? WHOLE_VECTORS : 1, nd__work(&s));
        nd__emit e = nd__emit_begin(&s, "copy");
        if (!s.failed)
            nd__emit_map(&e);
        return nd__emit_end(&e, 0, steps);
    }
    const double work = 2 * nd__work(&s); /* moved, and turned */
    for (int d = 0; d < rank && s.chunks < 2; d++)
        nd__cut(&s, d, d == t.inner || d == rank - 1 ? t.lanes : 1, work);
    t.size = s.size;
    nd__emit e = nd__emit_begin(&s, "transpose");
    if (!s.failed) {
        t.b = e.b;
        t.from = e.buffers[s.exprs[x].param];
        t.to = e.buffers[s.outputs[0].param];
        t.from_at = nd__k_at(offset);
        t.to_at = nd__k_at(0);
        over_axes(&t, 0);
    }
    return nd__emit_end(&e, 0, steps);
}

bool nd__copy_view(nd__block *b, const nd_value *base, nd__spot from, int64_t offset, int rank, const int64_t *size,
                   const int64_t *stride, nd__spot *to, nd__steps *steps)
{
    *to = nd__new_buffer(b, base->dtype, count_of(rank, size), base->name);
    return to->buffer >= 0 && nd__turn(b, base, from, offset, rank, size, stride, *to, nd__steps_for(b, base, steps));
}
