/* What is computed of gathered rows is gathered from what is computed of the table, where that has fewer rows:
 *
 *   gather(T, i) W = gather(T' W, i'),   T' = T and a row of zeros,   i' = i, or where that is outside the last row
 *
 * A row of a product depends on no other row, so each is the same chain of sums. A row gathered from outside is zeros,
 * which W makes a NaN of where it holds an infinity: hence the row of zeros, at which all such indices point. As i' is
 * never outside, an elementwise op of the result and of what all rows share, a bias, also moves into the table. */
#include "compiler/passes/passes.h"
#include "compiler/passes/rewrite.h"

/* Past reshapes, which leave rows rows as long as the last axis stays. */
static nd_value *rows_of(nd_value *v)
{
    const nd_shape *shape = &v->shape;
    while (v->node->op == ND__OP_reshape) {
        nd_value *x = v->node->inputs[0];
        if (x->shape.rank == 0 || x->shape.dims[x->shape.rank - 1] != shape->dims[shape->rank - 1])
            break;
        v = x;
    }
    return v;
}

/* The gather of rows from a matrix of fewer rows that v is; NULL: it is something else. */
static const nd__node *gathered_rows(nd_value *v)
{
    const nd__node *n = rows_of(v)->node;
    if (n->op != ND__OP_gather || n->inputs[0]->shape.rank != 2)
        return NULL;
    return n->inputs[0]->shape.dims[0] + 1 < nd__elements(&n->inputs[1]->shape) ? n : NULL;
}

static nd_value *gather_as(const nd__node *node, nd_value *table, nd_value *index)
{
    return nd_reshape_at(node->place, nd_gather_at(node->place, table, index), node->results[0].shape);
}

/* -- products ------------------------------------------------------------------------------------------------------ */

static nd_value *with_row_of_zeros(nd_place place, nd_value *table)
{
    const int64_t none[2] = {0}, one[2] = {1, 0};
    return nd_pad_at(place, table, none, one, none, 0);
}

/* i < 0 ? last : min(i, last). A u32 beyond what i32 holds becomes negative, and there is no table of so many rows. */
static nd_value *inside(nd_place place, nd_value *index, int64_t last_row)
{
    nd_module *to = index->node->module;
    nd_value *i = nd_cast_at(place, index, index->dtype == ND_I64 ? ND_I64 : ND_I32);
    nd_value *last = nd__filled(to, place, i->dtype, &i->shape, (double)last_row),
             *zero = nd__filled(to, place, i->dtype, &i->shape, 0);
    nd_value *below = nd_min_at(place, i, last), *negative = nd_lt_at(place, i, zero);
    return nd_select_at(place, negative, last, below);
}

/* The order of the sums, `lanes`, stays the node's: not that of a product of so many rows. */
static nd_value *product(const nd__node *node, nd_value *const *x)
{
    const nd__node *rows = gathered_rows(x[0]);
    if (!rows || node->results[0].shape.rank != 2 || nd__get_int(node, ND__A_trans_a) ||
        nd__get_int(node, ND__A_lanes) || nd__get_band(node).of != ND_BAND_NONE)
        return NULL;
    nd__attr attrs[] = {nd__attr_int(ND__A_trans_a, false),
                        nd__attr_int(ND__A_trans_b, nd__get_int(node, ND__A_trans_b)),
                        nd__attr_int(ND__A_lanes, false)};
    nd_value *table = with_row_of_zeros(node->place, rows->inputs[0]),
             *index = inside(node->place, rows->inputs[1], rows->inputs[0]->shape.dims[0]);
    return gather_as(node, nd__make2(ND__OP_matmul, node->place, table, x[1], 3, attrs), index);
}

/* -- elementwise ops ----------------------------------------------------------------------------------------------- */

static bool is_filled(const nd_value *v)
{
    return v->node->op == ND__OP_constant && nd__get(v->node, ND__A_data)->data->count == 1;
}

/* What all rows of v share, as it is repeated: a row or one element; NULL: rows differ. */
static nd_value *same_in_all_rows(nd_value *v)
{
    nd_value *from = v->node->op == ND__OP_broadcast ? v->node->inputs[0] : NULL;
    return from && from->shape.rank <= 1 ? from : NULL;
}

static bool is_number(const nd_value *v, int64_t number)
{
    if (!is_filled(v))
        return false;
    const void *item = nd__get(v->node, ND__A_data)->data->items;
    return v->dtype == ND_I32 ? *(const int32_t *)item == number
                              : v->dtype == ND_I64 && *(const int64_t *)item == number;
}

/* Whether the indices are those of a product above, none of them outside the table. */
static bool is_inside(const nd__node *gather)
{
    const nd__node *select = gather->inputs[1]->node;
    if (select->op != ND__OP_select)
        return false;
    const nd__node *negative = select->inputs[0]->node, *below = select->inputs[2]->node;
    return negative->op == ND__OP_lt && is_number(negative->inputs[1], 0) && below->op == ND__OP_min &&
           below->inputs[0] == negative->inputs[0] && below->inputs[1] == select->inputs[1] &&
           is_number(select->inputs[1], gather->inputs[0]->shape.dims[0] - 1);
}

/* An op of gathered rows and of what they share: of the table's rows, before they are gathered. */
static nd_value *elementwise(const nd__node *node, nd_value *const *x)
{
    const nd__node *rows = NULL;
    for (int i = 0; i < node->input_count; i++) {
        const nd__node *gathered = gathered_rows(x[i]);
        if (gathered && !rows && is_inside(gathered))
            rows = gathered;
        else if (!is_filled(x[i]) && !same_in_all_rows(x[i]))
            return NULL;
    }
    if (!rows)
        return NULL;
    nd_value *own[ND__MAX_ARITY], *table = rows->inputs[0];
    for (int i = 0; i < node->input_count; i++)
        own[i] = gathered_rows(x[i]) ? table
                 : is_filled(x[i]) ? nd__constant(table->node->module, x[i]->node->place, x[i]->dtype, &table->shape, 1,
                                                  nd__get(x[i]->node, ND__A_data)->data->items)
                                   : nd_broadcast_at(node->place, same_in_all_rows(x[i]), table->shape);
    return gather_as(
        node,
        nd__make(table->node->module, node->op, node->place, node->input_count, own, node->attr_count, node->attrs),
        rows->inputs[1]);
}

/* -- the pass ------------------------------------------------------------------------------------------------------ */

static nd_value *gather(nd__copier *c, const nd__node *node, nd_value *const *x, void *state)
{
    (void)c;
    (void)state;
    if (node->op == ND__OP_matmul)
        return product(node, x);
    return nd__ops[node->op].traits & ND__ELEMENTWISE ? elementwise(node, x) : NULL;
}

nd_module *nd__gather(nd_module *m)
{
    return nd__rewrite(m, gather, NULL);
}
