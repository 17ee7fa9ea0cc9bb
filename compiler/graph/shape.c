/* The shape rules: one function per rule of ops.def, from operands and attributes to the types of the results. Those of
 * windows are in shape_window.c. */
#include "compiler/graph/shape.h"

#include <stdio.h>
#include <string.h>

static nd_shape shape_of_attr(const nd__attr *a)
{
    return nd_shape_of((size_t)a->count, a->ints);
}

/* A size that a caller gave; `what` it is, of axis `axis` if that is not -1. */
static bool size_is_good(rule_call *c, int64_t size, const char *what, int axis)
{
    char of[32] = "";
    if (size >= 0 && nd__size_is_known(c->m, size))
        return true;
    if (axis >= 0)
        snprintf(of, sizeof of, " of axis %d", axis);
    return REFUSE(c,
                  size < 0 ? "%s: the %s %lld%s is negative"
                           : "%s: the %s %lld%s is neither a size nor a named dimension of this module",
                  c->name, what, (long long)size, of);
}

/* A shape that a caller gave. */
static bool shape_is_good(rule_call *c, const nd_shape *shape)
{
    if (shape->rank < 0 || shape->rank > ND_MAX_RANK)
        return REFUSE(c, "%s: rank %d is outside 0..%d", c->name, shape->rank, ND_MAX_RANK);
    for (int i = 0; i < shape->rank; i++)
        if (!size_is_good(c, shape->dims[i], "size", i))
            return false;
    return true;
}

static bool rule_GIVEN(rule_call *c)
{
    nd_dtype dtype = (nd_dtype)attr(c, ND__A_dtype)->i;
    nd_shape shape = shape_of_attr(attr(c, ND__A_shape));
    if (!shape_is_good(c, &shape))
        return false;
    if (nd_dtype_size(dtype) == 0)
        return REFUSE(c, "%s: %s values are for the host only, a graph cannot compute with them", c->name,
                      nd_dtype_name(dtype));
    if (c->op == ND__OP_constant) {
        const nd__data *data = attr(c, ND__A_data)->data;
        int64_t n = nd__size_product(c->m, shape.rank, shape.dims);
        if (data->dtype != dtype || (data->count != 1 && data->count != n))
            return REFUSE(c, "constant: %lld elements of %s for %s", (long long)data->count, nd_dtype_name(data->dtype),
                          nd__show_type(c->m, dtype, &shape));
    }
    return one(c, dtype, shape);
}

static bool rule_VARIABLE(rule_call *c)
{
    const nd__variable *v = attr(c, ND__A_variable)->variable;
    nd_shape shape = v->shape;
    if (nd_dtype_size(v->dtype) == 0)
        return REFUSE(c, "variable \"%s\": %s values are for the host only", v->name, nd_dtype_name(v->dtype));
    if (!shape_is_good(c, &shape))
        return false;
    for (int i = 0; i < shape.rank; i++)
        if (nd__size_is_named(shape.dims[i]))
            return REFUSE(
                c,
                "variable \"%s\": axis %d has the named size %s, a variable keeps its shape when dimensions are bound",
                v->name, i, nd__show_size(c->m, shape.dims[i]));
    return one(c, v->dtype, shape);
}

static bool number_dtype(rule_call *c)
{
    nd_dtype dtype = (nd_dtype)attr(c, ND__A_dtype)->i;
    if (nd_dtype_is_float(dtype) || nd_dtype_is_integer(dtype))
        return true;
    return REFUSE(c, "%s: %s is no number", c->name, nd_dtype_name(dtype));
}

static bool rule_SIZE(rule_call *c)
{
    return number_dtype(c) && size_is_good(c, attr(c, ND__A_of)->i, "size", -1) &&
           one(c, (nd_dtype)attr(c, ND__A_dtype)->i, ND_SCALAR);
}

static bool axis_is_good(rule_call *c, int64_t axis, int rank)
{
    if (axis >= 0 && axis < rank)
        return true;
    return REFUSE(c, "%s: axis %lld is outside the %d axes", c->name, (long long)axis, rank);
}

static bool rule_IOTA(rule_call *c)
{
    nd_shape shape = shape_of_attr(attr(c, ND__A_shape));
    return number_dtype(c) && shape_is_good(c, &shape) && axis_is_good(c, attr(c, ND__A_axis)->i, shape.rank) &&
           one(c, (nd_dtype)attr(c, ND__A_dtype)->i, shape);
}

static bool rule_RANDOM(rule_call *c)
{
    const nd_value *key = c->in[0];
    if (key->shape.rank != 1 || key->shape.dims[0] != 2)
        return REFUSE(c, "random_bits: the key is %s, expected u32[2]", show(c, key));
    nd_shape shape = shape_of_attr(attr(c, ND__A_shape));
    return shape_is_good(c, &shape) && one(c, ND_U32, shape);
}

/* All operands from the first-th have one dtype and shape. */
static bool same(rule_call *c, int first)
{
    const nd_value *a = c->in[first];
    for (int i = first + 1; i < c->n; i++) {
        const nd_value *b = c->in[i];
        if (b->dtype != a->dtype)
            return REFUSE(c, "%s: dtypes differ, %s and %s; nothing is promoted, use nd_cast", c->name,
                          nd_dtype_name(a->dtype), nd_dtype_name(b->dtype));
        if (!nd__shape_equal(&a->shape, &b->shape))
            return REFUSE(c, "%s: shapes differ, %s and %s", c->name, show(c, a), show(c, b));
    }
    return true;
}

static bool rule_SAME(rule_call *c)
{
    return same(c, 0) && one(c, c->in[0]->dtype, c->in[0]->shape);
}

static bool rule_COMPARE(rule_call *c)
{
    return same(c, 0) && one(c, ND_BOOL, c->in[0]->shape);
}

static bool rule_SELECT(rule_call *c)
{
    if (c->in[0]->dtype != ND_BOOL)
        return REFUSE(c, "select: the condition is %s, expected bool", show(c, c->in[0]));
    if (!same(c, 1))
        return false;
    if (!nd__shape_equal(&c->in[0]->shape, &c->in[1]->shape))
        return REFUSE(c, "select: shapes differ, %s chooses from %s", show(c, c->in[0]), show(c, c->in[1]));
    return one(c, c->in[1]->dtype, c->in[1]->shape);
}

static bool rule_CAST(rule_call *c)
{
    nd_dtype dtype = (nd_dtype)attr(c, ND__A_dtype)->i;
    if (nd_dtype_size(dtype) == 0)
        return REFUSE(c, "cast: %s is no dtype of a graph", nd_dtype_name(dtype));
    return one(c, dtype, c->in[0]->shape);
}

static bool rule_REDUCE(rule_call *c)
{
    const nd__attr *axes = attr(c, ND__A_axes);
    nd_shape in = c->in[0]->shape, out = {0};
    int next = 0;
    if (axes->count > in.rank)
        return REFUSE(c, "%s: %d axes for %s", c->name, axes->count, show(c, c->in[0]));
    for (int i = 0; i < axes->count; i++) {
        if (!axis_is_good(c, axes->ints[i], in.rank))
            return false;
        if (i > 0 && axes->ints[i] <= axes->ints[i - 1])
            return REFUSE(c, "%s: axes are not ascending, or one is named twice", c->name);
    }
    for (int i = 0; i < in.rank; i++)
        if (next < axes->count && axes->ints[next] == i)
            next++;
        else
            out.dims[out.rank++] = in.dims[i];
    return one(c, c->in[0]->dtype, out);
}

static bool rule_ARGREDUCE(rule_call *c)
{
    int64_t axis = attr(c, ND__A_axis)->i;
    nd_shape in = c->in[0]->shape, out = {0};
    if (!axis_is_good(c, axis, in.rank))
        return false;
    if (in.dims[axis] == 0)
        return REFUSE(c, "%s: axis %lld of %s is empty", c->name, (long long)axis, show(c, c->in[0]));
    for (int i = 0; i < in.rank; i++)
        if (i != axis)
            out.dims[out.rank++] = in.dims[i];
    return one(c, ND_I64, out);
}

static bool band_is_good(rule_call *c)
{
    const nd__attr *band = attr(c, ND__A_band);
    if (band->i == ND_BAND_NONE)
        return true;
    if (band->i < 0 || band->i > ND_BAND_RESULT || band->count != 2)
        return REFUSE(c, "matmul: the band is of operand a, operand b or the result, not of %lld", (long long)band->i);
    if (band->ints[0] > band->ints[1] || band->ints[0] == INT64_MAX || band->ints[1] == INT64_MIN)
        return REFUSE(c, "matmul: the band from %lld to %lld is empty", (long long)band->ints[0],
                      (long long)band->ints[1]);
    return true;
}

static bool rule_MATMUL(rule_call *c)
{
    const nd_value *a = c->in[0], *b = c->in[1];
    bool ta = attr(c, ND__A_trans_a)->i, tb = attr(c, ND__A_trans_b)->i;
    int rank = a->shape.rank;
    if (a->dtype != b->dtype)
        return REFUSE(c, "matmul: dtypes differ, %s and %s; nothing is promoted, use nd_cast", nd_dtype_name(a->dtype),
                      nd_dtype_name(b->dtype));
    if (rank < 2 || b->shape.rank != rank)
        return REFUSE(c, "matmul: expected two operands of one rank from 2, got %s x %s", show(c, a), show(c, b));
    for (int i = 0; i < rank - 2; i++)
        if (a->shape.dims[i] != b->shape.dims[i])
            return REFUSE(c, "matmul: leading axes differ, %s x %s", show(c, a), show(c, b));
    int64_t rows = a->shape.dims[rank - (ta ? 1 : 2)], inner_a = a->shape.dims[rank - (ta ? 2 : 1)];
    int64_t inner_b = b->shape.dims[rank - (tb ? 1 : 2)], columns = b->shape.dims[rank - (tb ? 2 : 1)];
    if (inner_a != inner_b)
        return REFUSE(c, "matmul: inner sizes differ, %s%s x %s%s", show(c, a), ta ? " transposed" : "", show(c, b),
                      tb ? " transposed" : "");
    if (!band_is_good(c))
        return false;
    nd_shape out = a->shape;
    out.dims[rank - 2] = rows;
    out.dims[rank - 1] = columns;
    return one(c, a->dtype, out);
}

static bool rule_RESHAPE(rule_call *c)
{
    nd_shape in = c->in[0]->shape, out = shape_of_attr(attr(c, ND__A_shape));
    if (!shape_is_good(c, &out))
        return false;
    if (nd__size_product(c->m, in.rank, in.dims) != nd__size_product(c->m, out.rank, out.dims))
        return REFUSE(c, "reshape: %s does not have the elements of %s", show(c, c->in[0]),
                      nd__show_type(c->m, c->in[0]->dtype, &out));
    return one(c, c->in[0]->dtype, out);
}

static bool rule_TRANSPOSE(rule_call *c)
{
    const nd__attr *axes = attr(c, ND__A_axes);
    nd_shape in = c->in[0]->shape, out = in;
    unsigned seen = 0;
    if (axes->count != in.rank)
        return REFUSE(c, "transpose: %d axes for %s", axes->count, show(c, c->in[0]));
    for (int i = 0; i < in.rank; i++) {
        if (!axis_is_good(c, axes->ints[i], in.rank))
            return false;
        if (seen & 1u << axes->ints[i])
            return REFUSE(c, "transpose: axis %d is named twice", (int)axes->ints[i]);
        seen |= 1u << axes->ints[i];
        out.dims[i] = in.dims[axes->ints[i]];
    }
    return one(c, c->in[0]->dtype, out);
}

static bool rule_BROADCAST(rule_call *c)
{
    nd_shape in = c->in[0]->shape, out = shape_of_attr(attr(c, ND__A_shape));
    if (!shape_is_good(c, &out))
        return false;
    bool fits = in.rank <= out.rank;
    for (int i = 0; fits && i < in.rank; i++) {
        int64_t from = in.dims[in.rank - 1 - i], to = out.dims[out.rank - 1 - i];
        fits = from == 1 || from == to;
    }
    if (!fits)
        return REFUSE(c, "broadcast: %s does not broadcast to %s", show(c, c->in[0]),
                      nd__show_type(c->m, c->in[0]->dtype, &out));
    return one(c, c->in[0]->dtype, out);
}

static bool rule_SLICE(rule_call *c)
{
    const nd__attr *start = attr(c, ND__A_start), *size = attr(c, ND__A_size), *step = attr(c, ND__A_step);
    nd_shape in = c->in[0]->shape, out = shape_of_attr(size);
    if (start->count != in.rank || size->count != in.rank || step->count != in.rank)
        return REFUSE(c, "slice: expected %d starts, sizes and steps", in.rank);
    if (!shape_is_good(c, &out))
        return false;
    for (int i = 0; i < in.rank; i++) {
        int64_t n = nd_dim_value(c->m, in.dims[i]), count = nd_dim_value(c->m, out.dims[i]), first = start->ints[i],
                last;
        if (step->ints[i] == 0)
            return REFUSE(c, "slice: the step of axis %d is 0", i);
        if (first < 0)
            first += n;
        if (count == 0)
            continue;
        if (__builtin_mul_overflow(count - 1, step->ints[i], &last) || __builtin_add_overflow(first, last, &last) ||
            first < 0 || first >= n || last < 0 || last >= n)
            return REFUSE(c, "slice: %lld elements from %lld by %lld leave axis %d of %s", (long long)count,
                          (long long)start->ints[i], (long long)step->ints[i], i, show(c, c->in[0]));
    }
    return one(c, c->in[0]->dtype, out);
}

static bool rule_CONCAT(rule_call *c)
{
    if (c->n == 0)
        return REFUSE(c, "concat: no operands");
    nd_shape out = c->in[0]->shape;
    int64_t axis = attr(c, ND__A_axis)->i;
    if (!axis_is_good(c, axis, out.rank))
        return false;
    for (int i = 1; i < c->n; i++) {
        const nd_value *v = c->in[i];
        if (v->dtype != c->in[0]->dtype)
            return REFUSE(c, "concat: dtypes differ, %s and %s; nothing is promoted, use nd_cast",
                          nd_dtype_name(c->in[0]->dtype), nd_dtype_name(v->dtype));
        bool fits = v->shape.rank == out.rank;
        for (int k = 0; fits && k < out.rank; k++)
            fits = k == axis || v->shape.dims[k] == out.dims[k];
        if (!fits)
            return REFUSE(c, "concat: %s does not fit %s along axis %lld", show(c, v), show(c, c->in[0]),
                          (long long)axis);
        int64_t sum = nd__size_add(c->m, out.dims[axis], v->shape.dims[axis]);
        if (sum < 0)
            return REFUSE(c, "concat: %s + %s is not a number times a product of named dimensions",
                          nd__show_size(c->m, out.dims[axis]), nd__show_size(c->m, v->shape.dims[axis]));
        out.dims[axis] = sum;
    }
    return one(c, c->in[0]->dtype, out);
}

static bool rule_PAD(rule_call *c)
{
    const nd__attr *low = attr(c, ND__A_low), *high = attr(c, ND__A_high), *interior = attr(c, ND__A_interior);
    const nd__data *value = attr(c, ND__A_value)->data;
    nd_shape out = c->in[0]->shape;
    if (low->count != out.rank || high->count != out.rank || interior->count != out.rank)
        return REFUSE(c, "pad: expected %d sizes of padding before, behind and between", out.rank);
    if (value->dtype != c->in[0]->dtype || value->count != 1)
        return REFUSE(c, "pad: the value is %s, expected %s", nd_dtype_name(value->dtype),
                      nd_dtype_name(c->in[0]->dtype));
    for (int i = 0; i < out.rank; i++) {
        if (low->ints[i] < 0 || high->ints[i] < 0 || interior->ints[i] < 0)
            return REFUSE(c, "pad: the padding of axis %d is negative; use slice to cut", i);
        if (low->ints[i] == 0 && high->ints[i] == 0 && interior->ints[i] == 0)
            continue;
        if (nd__size_is_named(out.dims[i]))
            return REFUSE(
                c, "pad: axis %d of %s is named, its padded size is not a number times a product of named dimensions",
                i, show(c, c->in[0]));
        int64_t n = out.dims[i], between = n > 0 ? n - 1 : 0;
        if (__builtin_mul_overflow(between, interior->ints[i], &between) || __builtin_add_overflow(n, between, &n) ||
            __builtin_add_overflow(n, low->ints[i], &n) || __builtin_add_overflow(n, high->ints[i], &n) ||
            nd__size_is_named(n))
            return REFUSE(c, "pad: axis %d becomes too large", i);
        out.dims[i] = n;
    }
    return one(c, c->in[0]->dtype, out);
}

static bool rule_GATHER(rule_call *c)
{
    const nd_value *table = c->in[0], *indices = c->in[1];
    nd_shape out = indices->shape;
    if (table->shape.rank < 1)
        return REFUSE(c, "gather: the table is %s, expected rank 1 or more", show(c, table));
    if (!nd_dtype_is_integer(indices->dtype))
        return REFUSE(c, "gather: the indices are %s, expected integers", show(c, indices));
    if (out.rank + table->shape.rank - 1 > ND_MAX_RANK)
        return REFUSE(c, "gather: the result's rank %d exceeds %d", out.rank + table->shape.rank - 1, ND_MAX_RANK);
    for (int i = 1; i < table->shape.rank; i++)
        out.dims[out.rank++] = table->shape.dims[i];
    return one(c, table->dtype, out);
}

static bool rule_SCATTER(rule_call *c)
{
    const nd_value *updates = c->in[0], *indices = c->in[1];
    nd_shape out = {.rank = 1, .dims = {attr(c, ND__A_rows)->i}};
    if (!nd_dtype_is_integer(updates->dtype) && !nd_dtype_is_float(updates->dtype))
        return REFUSE(c, "scatter_add: the updates are %s, expected numbers", show(c, updates));
    if (!nd_dtype_is_integer(indices->dtype))
        return REFUSE(c, "scatter_add: the indices are %s, expected integers", show(c, indices));
    if (updates->shape.rank < indices->shape.rank ||
        memcmp(updates->shape.dims, indices->shape.dims, (size_t)indices->shape.rank * sizeof(int64_t)) != 0)
        return REFUSE(c, "scatter_add: the updates %s do not begin with the indices' shape %s", show(c, updates),
                      show(c, indices));
    for (int i = indices->shape.rank; i < updates->shape.rank; i++)
        out.dims[out.rank++] = updates->shape.dims[i];
    return size_is_good(c, out.dims[0], "number of rows", -1) && one(c, updates->dtype, out);
}

/* -- control flow ------------------------------------------------------------------------------------------------- */

static bool room_for(rule_call *c, int n)
{
    c->result_count = n;
    c->results = nd__arena_alloc(&c->m->arena, (size_t)n, sizeof *c->results);
    if (!c->results)
        nd__fail_memory(c->m);
    return c->results != NULL;
}

/* A shape without its first axis. */
static nd_shape inner(nd_shape shape)
{
    return nd_shape_of((size_t)(shape.rank > 0 ? shape.rank - 1 : 0), shape.dims + 1);
}

/* The name that the user knows. */
static const char *title(const nd_function *f)
{
    return f->origin ? f->origin->name : f->name;
}

static bool argument_fits(rule_call *c, const nd_function *f, int parameter, nd_dtype dtype, const nd_shape *shape,
                          const char *as)
{
    const nd_value *p = f->inputs[parameter];
    if (p->dtype == dtype && nd__shape_equal(&p->shape, shape))
        return true;
    return REFUSE(c, "%s: \"%s\" takes %s for its input \"%s\", got %s%s", c->name, title(f), show(c, p), p->name,
                  nd__show_type(c->m, dtype, shape), as);
}

static bool takes_operands(rule_call *c, const nd_function *f, int first)
{
    if (f->update_count > 0)
        return REFUSE(c, "%s: the function \"%s\" assigns variables; only an entry point may", c->name, title(f));
    if (f->input_count != c->n - first)
        return REFUSE(c, "%s: the function \"%s\" takes %d value%s, got %d", c->name, title(f), f->input_count,
                      f->input_count == 1 ? "" : "s", c->n - first);
    for (int i = 0; i < f->input_count; i++)
        if (!argument_fits(c, f, i, c->in[first + i]->dtype, &c->in[first + i]->shape, ""))
            return false;
    return true;
}

static bool rule_APPLY(rule_call *c)
{
    const nd_function *f = attr(c, ND__A_body)->function;
    if (!takes_operands(c, f, 0) || !room_for(c, f->output_count))
        return false;
    for (int i = 0; i < f->output_count; i++)
        c->results[i] = (nd__type){f->outputs[i]->dtype, f->outputs[i]->shape};
    return true;
}

static bool rule_COND(rule_call *c)
{
    const nd_function *yes = attr(c, ND__A_body)->function, *no = attr(c, ND__A_other)->function;
    if (c->n < 1 || c->in[0]->dtype != ND_BOOL ||
        nd__size_product(c->m, c->in[0]->shape.rank, c->in[0]->shape.dims) != 1)
        return REFUSE(c, "cond: the condition is %s, expected bool of one element",
                      c->n < 1 ? "missing" : show(c, c->in[0]));
    if (!takes_operands(c, yes, 1) || !takes_operands(c, no, 1))
        return false;
    if (yes->output_count != no->output_count)
        return REFUSE(c, "cond: \"%s\" gives %d value%s, \"%s\" gives %d", title(yes), yes->output_count,
                      yes->output_count == 1 ? "" : "s", title(no), no->output_count);
    if (!room_for(c, yes->output_count))
        return false;
    for (int i = 0; i < yes->output_count; i++) {
        const nd_value *a = yes->outputs[i], *b = no->outputs[i];
        if (a->dtype != b->dtype || !nd__shape_equal(&a->shape, &b->shape))
            return REFUSE(c, "cond: output %d is %s in \"%s\" but %s in \"%s\"", i, show(c, a), title(yes), show(c, b),
                          title(no));
        c->results[i] = (nd__type){a->dtype, a->shape};
    }
    return true;
}

static bool rule_SCAN(rule_call *c)
{
    const nd_function *f = attr(c, ND__A_body)->function;
    int64_t length = attr(c, ND__A_length)->i, carries = attr(c, ND__A_carries)->i, slices = attr(c, ND__A_slices)->i;
    if (!size_is_good(c, length, "length", -1))
        return false;
    if (f->update_count > 0)
        return REFUSE(c, "scan: the body \"%s\" assigns variables; only an entry point may", title(f));
    if (carries < 0 || slices < 0 || carries > c->n || slices > c->n - carries)
        return REFUSE(c, "scan: the body \"%s\" takes %d values, got %lld carried and %lld sliced of %d", title(f),
                      f->input_count, (long long)carries, (long long)slices, c->n);
    if (f->input_count != c->n)
        return REFUSE(c, "scan: the body \"%s\" takes %d values, got %d carried, %d sliced and %d captured", title(f),
                      f->input_count, (int)carries, (int)slices, c->n - (int)(carries + slices));
    if (f->output_count < carries)
        return REFUSE(c, "scan: the body \"%s\" gives %d values, fewer than the %d carried", title(f), f->output_count,
                      (int)carries);
    for (int i = 0; i < c->n; i++) {
        const nd_value *v = c->in[i];
        nd_shape shape = v->shape;
        if (i >= carries && i < carries + slices) {
            if (shape.rank < 1 || shape.dims[0] != length)
                return REFUSE(c, "scan: operand %d is %s, expected %s slices along its first axis", i, show(c, v),
                              nd__show_size(c->m, length));
            shape = inner(shape);
        }
        if (!argument_fits(c, f, i, v->dtype, &shape,
                           i < carries            ? " to carry"
                           : i < carries + slices ? " as a slice"
                                                  : " as a captured value"))
            return false;
    }
    if (!room_for(c, f->output_count))
        return false;
    for (int i = 0; i < f->output_count; i++) {
        const nd_value *v = f->outputs[i];
        if (i < carries && (v->dtype != c->in[i]->dtype || !nd__shape_equal(&v->shape, &c->in[i]->shape)))
            return REFUSE(c, "scan: the body \"%s\" carries %s on as %s", title(f), show(c, c->in[i]), show(c, v));
        c->results[i] = (nd__type){v->dtype, v->shape};
        if (i < carries)
            continue;
        if (v->shape.rank == ND_MAX_RANK)
            return REFUSE(c, "scan: output %d, stacked, has a rank of %d", i, ND_MAX_RANK + 1);
        nd_shape stacked = {.rank = v->shape.rank + 1, .dims = {length}};
        memcpy(stacked.dims + 1, v->shape.dims, (size_t)v->shape.rank * sizeof(int64_t));
        c->results[i].shape = stacked;
    }
    return true;
}

static bool (*const rules[ND__RULES])(rule_call *) = {
    rule_GIVEN,
    rule_VARIABLE,
    rule_SIZE,
    rule_IOTA,
    rule_RANDOM,
    rule_SAME,
    rule_COMPARE,
    rule_SELECT,
    rule_CAST,
    rule_REDUCE,
    rule_ARGREDUCE,
    rule_MATMUL,
    nd__rule_conv,
    nd__rule_conv_dx,
    nd__rule_conv_dw,
    nd__rule_conv_dw_pooled,
    nd__rule_pool,
    nd__rule_pool_pick,
    nd__rule_pool_spread,
    rule_RESHAPE,
    rule_TRANSPOSE,
    rule_BROADCAST,
    rule_SLICE,
    rule_CONCAT,
    rule_PAD,
    rule_GATHER,
    rule_SCATTER,
    rule_APPLY,
    rule_COND,
    rule_SCAN,
};

static bool type_fits(nd__types types, nd_dtype dtype)
{
    switch (types) {
    case ND__TYPES_ANY:
        return true;
    case ND__TYPES_NUMBER:
        return nd_dtype_is_float(dtype) || nd_dtype_is_integer(dtype);
    case ND__TYPES_FLOAT:
        return nd_dtype_is_float(dtype);
    case ND__TYPES_INTEGER:
        return nd_dtype_is_integer(dtype);
    case ND__TYPES_BITS:
        return dtype == ND_BOOL || nd_dtype_is_integer(dtype);
    case ND__TYPES_U32:
        return dtype == ND_U32;
    }
    return false;
}

static const char *const type_names[] = {"any dtype", "numbers", "floats", "integers", "bool or integers", "u32"};

bool nd__infer(nd_module *m, nd__op op, nd_place place, int input_count, nd_value *const *inputs, const nd__attr *attrs,
               int *result_count, nd__type **results)
{
    const nd__op_info *info = &nd__ops[op];
    rule_call c = {m, op, m->called ? m->called : nd__ops[op].name, place, input_count, inputs, attrs, 0, *results};
    if (info->arity >= 0 && input_count != info->arity)
        return REFUSE(&c, "%s: expected %d operands, got %d", c.name, info->arity, input_count);
    for (int i = 0; i < input_count; i++)
        if (!type_fits(info->types, inputs[i]->dtype))
            return REFUSE(&c, "%s: operand %s is %s, expected %s", c.name, nd__show(m, inputs[i]), show(&c, inputs[i]),
                          type_names[info->types]);
    if (!rules[info->rule](&c))
        return false;
    for (int i = 0; i < c.result_count; i++) {
        int64_t n = nd__size_product(m, c.results[i].shape.rank, c.results[i].shape.dims);
        if (n < 0 || nd_dim_value(m, n) > ((int64_t)1 << 48))
            return REFUSE(&c, "%s: the result %s is too large", c.name,
                          nd__show_type(m, c.results[i].dtype, &c.results[i].shape));
    }
    *result_count = c.result_count;
    *results = c.results;
    return true;
}
