/* Constants, weak and strong, and how operands are brought to one dtype and shape. */
#include "compiler/graph/graph.h"

#include <math.h>
#include <string.h>

nd_value *nd__constant(nd_module *m, nd_place place, nd_dtype dtype, const nd_shape *shape, int64_t count,
                       const void *items)
{
    nd__data data = {dtype, count, items};
    nd__attr attrs[] = {nd__attr_int(ND__A_dtype, dtype), nd__attr_shape(ND__A_shape, shape),
                        nd__attr_data(ND__A_data, &data)};
    return nd__make0(m, ND__OP_constant, place, 3, attrs);
}

/* The element of a dtype for a number; false where an integer dtype cannot hold it. */
static bool element_of(nd_dtype dtype, double value, void *element)
{
    bool whole = value == floor(value);
    switch (dtype) {
    case ND_BOOL:
        *(uint8_t *)element = value != 0;
        return value == 0 || value == 1;
    case ND_U8:
        if (!whole || value < 0 || value > UINT8_MAX)
            return false;
        *(uint8_t *)element = (uint8_t)value;
        return true;
    case ND_I32:
        if (!whole || value < INT32_MIN || value > INT32_MAX)
            return false;
        *(int32_t *)element = (int32_t)value;
        return true;
    case ND_U32:
        if (!whole || value < 0 || value > UINT32_MAX)
            return false;
        *(uint32_t *)element = (uint32_t)value;
        return true;
    case ND_I64:
        if (!whole || value < -0x1p63 || value >= 0x1p63)
            return false;
        *(int64_t *)element = (int64_t)value;
        return true;
    case ND_F32:
        *(float *)element = (float)value;
        return true;
    case ND_F64:
        *(double *)element = value;
        return true;
    default:
        return false;
    }
}

nd_value *nd__filled(nd_module *m, nd_place place, nd_dtype dtype, const nd_shape *shape, double value)
{
    uint64_t element = 0;
    if (!m)
        return NULL;
    if (m->status == ND_OK && !element_of(dtype, value, &element))
        return nd__fail(m, ND_ERR_GRAPH, place, "constant: %g is no %s", value, nd_dtype_name(dtype));
    return nd__constant(m, place, dtype, shape, 1, &element);
}

nd_value *nd_const_at(nd_place place, nd_module *m, double value)
{
    nd_shape scalar = ND_SCALAR;
    nd_value *v = nd__filled(m, place, ND_F64, &scalar, value);
    if (v && v->node->op == ND__OP_constant) {
        v->weak = true;
        v->number = value;
    }
    return v;
}

nd_value *nd_const_of_at(nd_place place, nd_module *m, nd_dtype dtype, double value)
{
    nd_shape scalar = ND_SCALAR;
    return nd__filled(m, place, dtype, &scalar, value);
}

nd_value *nd_filled_at(nd_place place, nd_module *m, nd_dtype dtype, nd_shape shape, double value)
{
    return nd__filled(m, place, dtype, &shape, value);
}

nd_value *nd_const_tensor_at(nd_place place, nd_module *m, const nd_tensor *tensor)
{
    if (!m || m->status != ND_OK)
        return m ? &m->poison : NULL;
    if (!tensor)
        return nd__fail(m, ND_ERR_ARGUMENT, place, "constant: the tensor is NULL: a mistake, or out of memory");
    if (nd_tensor_status(tensor) != ND_OK)
        return nd__fail(m, ND_ERR_ARGUMENT, place, "constant: the tensor has an error: %s", nd_tensor_error(tensor));
    nd_dtype dtype = nd_tensor_dtype(tensor);
    if (nd_dtype_size(dtype) == 0)
        return nd__fail(m, ND_ERR_GRAPH, place,
                        "constant: a %s tensor is for the host only, a graph cannot compute with it",
                        nd_dtype_name(dtype));
    nd_tensor *packed = nd_tensor_copy(tensor);
    if (nd_tensor_status(packed) != ND_OK) {
        nd_tensor_destroy(packed);
        return nd__fail_memory(m);
    }
    nd_shape shape = nd_tensor_shape(packed);
    nd_value *v = nd__constant(m, place, dtype, &shape, nd__elements(&shape), nd_tensor_data(packed));
    nd_tensor_destroy(packed);
    return v;
}

nd_value *nd__strengthen(nd_place place, nd_value *v, nd_dtype dtype)
{
    if (!v || !v->weak)
        return v;
    nd_module *m = v->node->module;
    nd_shape scalar = ND_SCALAR;
    uint64_t element;
    if (m->status == ND_OK && !element_of(dtype, v->number, &element))
        return nd__fail(m, ND_ERR_GRAPH, place, "the constant %g beside %s: it is no %s", v->number,
                        nd_dtype_name(dtype), nd_dtype_name(dtype));
    return nd__filled(m, place, dtype, &scalar, v->number);
}

nd_value *nd__settle(nd_place place, nd_value *v)
{
    return v && v->weak ? nd__strengthen(place, v, v->integral ? ND_I32 : ND_F32) : v;
}

nd_value *nd_size_at(nd_place place, nd_module *m, nd_dtype dtype, int64_t size)
{
    nd__attr attrs[] = {nd__attr_int(ND__A_dtype, dtype), nd__attr_int(ND__A_of, size)};
    return nd__make0(m, ND__OP_size, place, 2, attrs);
}

nd_value *nd_iota_at(nd_place place, nd_module *m, nd_dtype dtype, nd_shape shape, int axis)
{
    if (!m || m->status != ND_OK)
        return m ? &m->poison : NULL;
    axis = nd__axis(m, place, "iota", axis, shape.rank);
    if (axis < 0)
        return &m->poison;
    nd__attr attrs[] = {nd__attr_int(ND__A_dtype, dtype), nd__attr_shape(ND__A_shape, &shape),
                        nd__attr_int(ND__A_axis, axis)};
    return nd__make0(m, ND__OP_iota, place, 3, attrs);
}

nd_value *nd_input_at(nd_place place, nd_module *m, const char *name, nd_dtype dtype, nd_shape shape)
{
    if (!m || m->status != ND_OK)
        return m ? &m->poison : NULL;
    if (!name || !*name)
        return nd__fail(m, ND_ERR_ARGUMENT, place, "nd_input: the name is missing");
    nd__attr attrs[] = {nd__attr_text(ND__A_name, name), nd__attr_int(ND__A_dtype, dtype),
                        nd__attr_shape(ND__A_shape, &shape)};
    return nd_name(nd__make0(m, ND__OP_input, place, 3, attrs), name);
}

/* The common shape of a and b as NumPy broadcasts; false where there is none. */
static bool common_shape(const nd_shape *a, const nd_shape *b, nd_shape *out)
{
    nd_shape shorter = a->rank >= b->rank ? *b : *a;
    *out = a->rank >= b->rank ? *a : *b;
    for (int i = 1; i <= shorter.rank; i++) {
        int64_t *x = &out->dims[out->rank - i], y = shorter.dims[shorter.rank - i];
        if (*x == 1)
            *x = y;
        else if (y != 1 && y != *x)
            return false;
    }
    return true;
}

bool nd__unify(nd_module *m, nd_place place, const char *what, int n, int skip, nd_value **values)
{
    const nd_value *strong = NULL;
    bool integral = true;
    for (int i = n - 1; i >= skip; i--) {
        integral = integral && values[i]->integral;
        if (!values[i]->weak)
            strong = values[i];
    }
    nd_dtype dtype = strong ? strong->dtype : integral ? ND_I32 : ND_F32;
    nd_shape shape = values[0]->shape, next;
    for (int i = 0; i < n; i++) {
        values[i] = i >= skip ? nd__strengthen(place, values[i], dtype) : nd__settle(place, values[i]);
        if (m->status != ND_OK)
            return false;
        if (!common_shape(&shape, &values[i]->shape, &next)) {
            nd__fail(m, ND_ERR_GRAPH, place, "%s: shapes do not broadcast, %s and %s", what,
                     nd__show_type(m, values[0]->dtype, &shape), nd__show_type(m, values[i]->dtype, &values[i]->shape));
            nd__note_operands(m, place, n, values);
            return false;
        }
        shape = next;
    }
    for (int i = 0; i < n; i++)
        if (!nd__shape_equal(&values[i]->shape, &shape))
            values[i] = nd_broadcast_at(place, values[i], shape);
    return m->status == ND_OK;
}
