/* What attributes make, and what moves elements. */
#include "reference_call.h"

#include <string.h>

void reference_constant(const reference_call *c)
{
    const nd__data *data = nd__get(c->node, ND__A_data)->data;
    nd_value like = c->node->results[0];
    like.shape = nd_shape_of(1, &data->count);
    reference_value v = reference_from(&like, data->items);
    for (int64_t i = 0; i < c->out[0].count; i++)
        move(c, i, &v, data->count == 1 ? 0 : i);
    reference_free(&v);
}

static void set_number(const reference_call *c, int64_t i, int64_t number)
{
    set_real(c, i, (double)number);
    set_whole(c, i, number);
}

void reference_size(const reference_call *c)
{
    set_number(c, 0, nd_dim_value(c->node->module, nd__get_int(c->node, ND__A_of)));
}

void reference_iota(const reference_call *c)
{
    for (int64_t i = 0; i < c->out[0].count; i++) {
        int64_t index[ND_MAX_RANK];
        index_of(&c->out[0].shape, i, index);
        set_number(c, i, index[nd__get_int(c->node, ND__A_axis)]);
    }
}

void reference_random_bits(const reference_call *c)
{
    const uint64_t stream = (uint64_t)nd__get_int(c->node, ND__A_stream);
    for (int64_t i = 0; i < c->out[0].count; i++) {
        uint32_t x[4] = {(uint32_t)(i / 4), (uint32_t)((uint64_t)(i / 4) >> 32), (uint32_t)stream,
                         (uint32_t)(stream >> 32)};
        for (uint32_t round = 0; round < 10; round++) {
            uint32_t key[2] = {(uint32_t)c->in[0]->whole[0] + round * 0x9E3779B9u,
                               (uint32_t)c->in[0]->whole[1] + round * 0xBB67AE85u};
            uint64_t left = x[0] * (uint64_t)0xD2511F53u, right = x[2] * (uint64_t)0xCD9E8D57u;
            uint32_t y[4] = {(uint32_t)(right >> 32) ^ x[1] ^ key[0], (uint32_t)right,
                             (uint32_t)(left >> 32) ^ x[3] ^ key[1], (uint32_t)left};
            memcpy(x, y, sizeof x);
        }
        c->out[0].whole[i] = x[i % 4];
    }
}

void reference_reshape(const reference_call *c)
{
    reference_stop_gradient(c);
}

void reference_transpose(const reference_call *c)
{
    const int64_t *axes = nd__get_ints(c->node, ND__A_axes);
    for (int64_t i = 0; i < c->out[0].count; i++) {
        int64_t to[ND_MAX_RANK], from[ND_MAX_RANK];
        index_of(&c->out[0].shape, i, to);
        for (int k = 0; k < c->out[0].shape.rank; k++)
            from[axes[k]] = to[k];
        move(c, i, c->in[0], element_at(&c->in[0]->shape, from));
    }
}

void reference_broadcast(const reference_call *c)
{
    const nd_shape *small = &c->in[0]->shape, *large = &c->out[0].shape;
    for (int64_t i = 0; i < c->out[0].count; i++) {
        int64_t to[ND_MAX_RANK], from[ND_MAX_RANK];
        index_of(large, i, to);
        for (int k = 0; k < small->rank; k++)
            from[k] = small->dims[k] == 1 ? 0 : to[large->rank - small->rank + k];
        move(c, i, c->in[0], element_at(small, from));
    }
}

void reference_slice(const reference_call *c)
{
    const int64_t *start = nd__get_ints(c->node, ND__A_start), *step = nd__get_ints(c->node, ND__A_step);
    for (int64_t i = 0; i < c->out[0].count; i++) {
        int64_t at[ND_MAX_RANK];
        index_of(&c->out[0].shape, i, at);
        for (int k = 0; k < c->out[0].shape.rank; k++)
            at[k] = (start[k] < 0 ? start[k] + c->in[0]->shape.dims[k] : start[k]) + at[k] * step[k];
        move(c, i, c->in[0], element_at(&c->in[0]->shape, at));
    }
}

void reference_concat(const reference_call *c)
{
    const int axis = (int)nd__get_int(c->node, ND__A_axis);
    for (int64_t i = 0; i < c->out[0].count; i++) {
        int64_t at[ND_MAX_RANK];
        int part = 0;
        index_of(&c->out[0].shape, i, at);
        for (; at[axis] >= c->in[part]->shape.dims[axis]; part++)
            at[axis] -= c->in[part]->shape.dims[axis];
        move(c, i, c->in[part], element_at(&c->in[part]->shape, at));
    }
}

void reference_pad(const reference_call *c)
{
    const int64_t *low = nd__get_ints(c->node, ND__A_low), *interior = nd__get_ints(c->node, ND__A_interior);
    nd_value like = c->node->results[0];
    like.shape = ND_SCALAR;
    reference_value padding = reference_from(&like, nd__get(c->node, ND__A_value)->data->items);
    for (int64_t i = 0; i < c->out[0].count; i++) {
        int64_t at[ND_MAX_RANK];
        bool inside = true;
        index_of(&c->out[0].shape, i, at);
        for (int k = 0; k < c->out[0].shape.rank; k++) {
            int64_t from_low = at[k] - low[k];
            inside = inside && from_low >= 0 && from_low % (interior[k] + 1) == 0 &&
                     from_low / (interior[k] + 1) < c->in[0]->shape.dims[k];
            at[k] = from_low / (interior[k] + 1);
        }
        if (inside)
            move(c, i, c->in[0], element_at(&c->in[0]->shape, at));
        else
            move(c, i, &padding, 0);
    }
    reference_free(&padding);
}

void reference_gather(const reference_call *c)
{
    const reference_value *table = c->in[0], *indices = c->in[1];
    for (int64_t i = 0; i < c->out[0].count; i++) {
        int64_t at[ND_MAX_RANK], from[ND_MAX_RANK];
        index_of(&c->out[0].shape, i, at);
        from[0] = indices->whole[element_at(&indices->shape, at)];
        memcpy(from + 1, at + indices->shape.rank, (size_t)(table->shape.rank - 1) * sizeof *from);
        if (from[0] < 0 || from[0] >= table->shape.dims[0])
            set_number(c, i, 0);
        else
            move(c, i, table, element_at(&table->shape, from));
    }
}

void reference_scatter_add(const reference_call *c)
{
    const reference_value *updates = c->in[0], *indices = c->in[1];
    for (int64_t i = 0; i < updates->count; i++) {
        int64_t at[ND_MAX_RANK], to[ND_MAX_RANK];
        index_of(&updates->shape, i, at);
        to[0] = indices->whole[element_at(&indices->shape, at)];
        memcpy(to + 1, at + indices->shape.rank, (size_t)(updates->shape.rank - indices->shape.rank) * sizeof *to);
        if (to[0] < 0 || to[0] >= c->out[0].shape.dims[0])
            continue;
        int64_t k = element_at(&c->out[0].shape, to);
        c->out[0].real[k] += updates->real[i];
        c->out[0].scale[k] += fabs(updates->real[i]);
        set_whole(c, k, (wide)c->out[0].whole[k] + updates->whole[i]);
    }
}
