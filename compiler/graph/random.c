/* Random numbers composed of random bits. */
#include "compiler/graph/graph.h"

nd_value *nd_random_bits_at(nd_place place, nd_value *key, uint64_t stream, nd_shape shape)
{
    nd__attr attrs[] = {nd__attr_int(ND__A_stream, (int64_t)stream), nd__attr_shape(ND__A_shape, &shape)};
    return nd__make1(ND__OP_random_bits, place, key, 2, attrs);
}

/* The top bits of each word, as a whole number of the float dtype: 24 of them fit an f32, all 32 an f64. */
static nd_value *top_bits(nd_place place, nd_value *bits, nd_dtype dtype)
{
    if (dtype == ND_F32)
        bits = nd_shr_at(place, bits, nd_const_at(place, nd_value_module(bits), 8));
    return nd_cast_at(place, bits, dtype);
}

static double bit_scale(nd_dtype dtype)
{
    return dtype == ND_F32 ? 0x1p-24 : 0x1p-32;
}

static bool float_dtype(nd_place place, const char *what, nd_value *key, nd_dtype dtype)
{
    if (key && !nd_dtype_is_float(dtype))
        nd__fail(key->node->module, ND_ERR_GRAPH, place, "%s: %s is no float", what, nd_dtype_name(dtype));
    return nd_dtype_is_float(dtype);
}

nd_value *nd_uniform_at(nd_place place, nd_value *key, uint64_t stream, nd_dtype dtype, nd_shape shape)
{
    if (!float_dtype(place, "uniform", key, dtype))
        return key ? &key->node->module->poison : NULL;
    nd_value *bits = nd_random_bits_at(place, key, stream, shape);
    nd_value *top = top_bits(place, bits, dtype);
    return nd_mul_at(place, top, nd_const_at(place, nd_value_module(bits), bit_scale(dtype)));
}

nd_value *nd_normal_at(nd_place place, nd_value *key, uint64_t stream, nd_dtype dtype, nd_shape shape)
{
    if (!float_dtype(place, "normal", key, dtype))
        return key ? &key->node->module->poison : NULL;
    nd_module *m = nd_value_module(key);
    /* Two uniforms an element: the halves [0, ...] and [1, ...] of one array of bits. */
    const int joined = shape.rank == ND_MAX_RANK; /* its first two axes, to make room */
    nd_shape both = {.rank = joined ? ND_MAX_RANK : shape.rank + 1, .dims = {2}};
    for (int i = joined; i < shape.rank && i + 1 - joined < ND_MAX_RANK; i++)
        both.dims[i + 1 - joined] = shape.dims[i];
    if (joined && m)
        both.dims[1] = nd__size_product(m, 2, shape.dims);
    nd_value *bits = nd_random_bits_at(place, key, stream, both);
    nd_value *u = top_bits(place, nd_reshape_at(place, nd_at_at(place, bits, "0"), shape), dtype);
    u = nd_add_at(place, u, nd_const_at(place, m, 1));
    nd_value *v = top_bits(place, nd_reshape_at(place, nd_at_at(place, bits, "1"), shape), dtype);
    nd_value *log_u = nd_log_at(place, nd_mul_at(place, u, nd_const_at(place, m, bit_scale(dtype))));
    nd_value *angle = nd_mul_at(place, v, nd_const_at(place, m, 0x1.921fb54442d18p+2 * bit_scale(dtype))); /* 2 pi v */
    nd_value *radius = nd_sqrt_at(place, nd_mul_at(place, log_u, nd_const_at(place, m, -2)));
    return nd_mul_at(place, radius, nd_cos_at(place, angle));
}
