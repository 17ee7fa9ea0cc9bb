#include "compiler/schedule/band.h"

enum { SMALL = 1 << 28 };

static int64_t clamped(int64_t x, int64_t low, int64_t high)
{
    return x < low ? low : x > high ? high : x;
}

nd__bounds nd__bounds_of(const nd__node *product, bool by_columns)
{
    nd__band band = nd__get_band(product);
    nd__bounds bounds = {.of_operand = band.of == ND_BAND_A || band.of == ND_BAND_B,
                         .of_result = band.of == ND_BAND_RESULT};
    const bool turned = band.of == ND_BAND_A   ? nd__get_int(product, ND__A_trans_a)
                        : band.of == ND_BAND_B ? !nd__get_int(product, ND__A_trans_b)
                                               : by_columns;
    const nd_value *v = band.of == ND_BAND_A   ? product->inputs[0]
                        : band.of == ND_BAND_B ? product->inputs[1]
                                               : &product->results[0];
    if (band.of == ND_BAND_NONE)
        return bounds;
    if (turned)
        band = nd__band_turned(band);
    bounds.most = v->shape.dims[v->shape.rank - 1] + v->shape.dims[v->shape.rank - 2];
    bounds.lower = clamped(band.limits[0], -bounds.most, bounds.most);
    bounds.upper = clamped(band.limits[1], -bounds.most, bounds.most);
    return bounds;
}

double nd__band_share(const nd__bounds *band, int64_t rows, int64_t columns, int tile_rows, int64_t tile_columns)
{
    double inside = 0;
    for (int64_t i = 0; i < rows; i += tile_rows) {
        const int64_t count = rows - i < tile_rows ? rows - i : tile_rows;
        const int64_t first = clamped(i + band->lower, 0, columns),
                      end = clamped(i + count + band->upper, first, columns);
        const int64_t until = clamped(end + (tile_columns - end % tile_columns) % tile_columns, 0, columns);
        if (end > first)
            inside += (double)(until - first / tile_columns * tile_columns) * (double)count;
    }
    return inside / ((double)rows * (double)columns);
}

nd__kval nd__band_inside(nd__kbuilder *b, const nd__bounds *band, nd__kaffine at, int lanes, int64_t lane_stride)
{
    if (band->most < SMALL) { /* x - lower <= upper - lower: what is negative is a large number without a sign */
        const nd__ktype type = nd__k_type(ND_U32, lanes);
        nd__kval x = nd__k_index(b, type, nd__k_sum(at, nd__k_at(-band->lower)), lane_stride);
        return nd__k_op2(b, ND__K_le, x, nd__k_const_bits(b, type, (uint64_t)(band->upper - band->lower)));
    }
    const nd__ktype type = nd__k_type(ND_I64, lanes);
    nd__kval x = nd__k_index(b, type, at, lane_stride);
    nd__kval above = nd__k_op2(b, ND__K_le, nd__k_const_bits(b, type, (uint64_t)band->lower), x);
    nd__kval below = nd__k_op2(b, ND__K_le, x, nd__k_const_bits(b, type, (uint64_t)band->upper));
    return nd__k_op2(b, ND__K_and, above, below);
}
