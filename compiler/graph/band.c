/* Bands: the elements of a matrix between two diagonals, lower <= column - row <= upper. */
#include "compiler/graph/graph.h"

/* -- the attribute of a product ------------------------------------------------------------------------------------ */

nd__attr nd__attr_band(const nd__band *band)
{
    return (nd__attr){.key = ND__A_band, .i = band->of, .count = band->of ? 2 : 0, .ints = band->limits};
}

const char *const nd__band_names[] = {"", "a", "b", "result"};

nd__band nd__get_band(const nd__node *node)
{
    const nd__attr *a = nd__get(node, ND__A_band);
    return a->i ? (nd__band){(nd_band)a->i, {a->ints[0], a->ints[1]}} : (nd__band){ND_BAND_NONE, {0, 0}};
}

nd__band nd__band_turned(nd__band band)
{
    const int64_t lower = band.limits[0], upper = band.limits[1];
    band.limits[0] = upper == INT64_MAX ? INT64_MIN : -upper;
    band.limits[1] = lower == INT64_MIN ? INT64_MAX : -lower;
    return band;
}

/* -- elements -------------------------------------------------------------------------------------------------------
 */

/* Beyond SMALL an index plus a limit may not fit 32 bits; no axis is longer than FAR, which a double holds. */
enum { SMALL = 1 << 30 };
static const int64_t FAR = (int64_t)1 << 53;

static bool is_small(int64_t n)
{
    return n >= -SMALL && n <= SMALL && !nd__size_is_named(n);
}

static bool limit_is_small(int64_t limit)
{
    return limit == INT64_MIN || limit == INT64_MAX || is_small(limit);
}

/* x where column - row >= lower (<= upper), `outside` elsewhere. */
static nd_value *on_one_side(nd_place place, nd_value *x, nd_value *row, nd_value *column, bool upper, int64_t limit,
                             nd_value *outside)
{
    nd_module *m = x->node->module;
    if (limit == (upper ? INT64_MAX : INT64_MIN))
        return x;
    limit = limit < -FAR ? -FAR : limit > FAR ? FAR : limit;
    nd_value *diagonal = nd_add_at(place, row, nd_const_at(place, m, (double)limit));
    nd_value *inside = upper ? nd_le_at(place, column, diagonal) : nd_ge_at(place, column, diagonal);
    return nd_select_at(place, inside, x, outside);
}

nd_value *nd_banded_at(nd_place place, nd_value *x, int64_t lower, int64_t upper, double outside)
{
    bool poisoned;
    nd_module *m = nd__common_module(place, "banded", 1, &x, &poisoned);
    if (!m || poisoned)
        return m ? &m->poison : NULL;
    const int rank = x->shape.rank;
    if (rank < 2) {
        nd__fail(m, ND_ERR_GRAPH, place, "banded: %s is %s, expected rank 2 or more", nd__show(m, x),
                 nd__show_type(m, x->dtype, &x->shape));
        nd__note_operands(m, place, 1, &x);
        return &m->poison;
    }
    if (lower > upper)
        return nd__fail(m, ND_ERR_GRAPH, place, "banded: the band from %lld to %lld is empty", (long long)lower,
                        (long long)upper);
    const int64_t rows = x->shape.dims[rank - 2], columns = x->shape.dims[rank - 1];
    const bool small = is_small(rows) && is_small(columns) && limit_is_small(lower) && limit_is_small(upper);
    const nd_dtype dtype = small ? ND_I32 : ND_I64;
    nd_value *row = nd_iota_at(place, m, dtype, nd_shape_of(2, (int64_t[]){rows, 1}), 0);
    nd_value *column = nd_iota_at(place, m, dtype, nd_shape_of(1, &columns), 0);
    nd_value *other = nd_const_at(place, m, outside);
    x = on_one_side(place, x, row, column, true, upper, other);
    return on_one_side(place, x, row, column, false, lower, other);
}
