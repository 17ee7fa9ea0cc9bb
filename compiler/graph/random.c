/* Random numbers composed of random bits, and the initial values of variables made of them. */
#include "compiler/graph/graph.h"

#include <math.h>
#include <string.h>

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
    return nd_mul_at(place, top_bits(place, bits, dtype), nd_const_at(place, nd_value_module(bits), bit_scale(dtype)));
}

nd_value *nd_normal_at(nd_place place, nd_value *key, uint64_t stream, nd_dtype dtype, nd_shape shape)
{
    if (!float_dtype(place, "normal", key, dtype))
        return key ? &key->node->module->poison : NULL;
    nd_module *m = nd_value_module(key);
    /* Two uniforms an element: the halves [0, ...] and [1, ...] of one array of bits. */
    nd_shape both = {.rank = shape.rank + 1, .dims = {2}};
    for (int i = 0; i < shape.rank && i + 1 < ND_MAX_RANK; i++)
        both.dims[i + 1] = shape.dims[i];
    nd_value *bits = nd_random_bits_at(place, key, stream, both);
    nd_value *u = nd_add_at(place, top_bits(place, nd_at_at(place, bits, "0"), dtype), nd_const_at(place, m, 1));
    nd_value *v = top_bits(place, nd_at_at(place, bits, "1"), dtype);
    nd_value *log_u = nd_log_at(place, nd_mul_at(place, u, nd_const_at(place, m, bit_scale(dtype))));
    nd_value *angle = nd_mul_at(place, v, nd_const_at(place, m, 0x1.921fb54442d18p+2 * bit_scale(dtype))); /* 2 pi v */
    return nd_mul_at(place, nd_sqrt_at(place, nd_mul_at(place, log_u, nd_const_at(place, m, -2))), nd_cos_at(place, angle));
}

/* -- initial values ----------------------------------------------------------------------------------------------- */

enum init_kind { INIT_NONE, INIT_FULL, INIT_UNIFORM, INIT_NORMAL, INIT_GLOROT_UNIFORM, INIT_HE_NORMAL, INIT_TENSOR };

nd_init nd_zeros(void)
{
    return nd_full(0);
}

nd_init nd_full(double value)
{
    return (nd_init){.kind = INIT_FULL, .a = value};
}

nd_init nd_random_uniform(double low, double high)
{
    return (nd_init){.kind = INIT_UNIFORM, .a = low, .b = high};
}

nd_init nd_random_normal(double mean, double deviation)
{
    return (nd_init){.kind = INIT_NORMAL, .a = mean, .b = deviation};
}

nd_init nd_glorot_uniform(void)
{
    return (nd_init){.kind = INIT_GLOROT_UNIFORM};
}

nd_init nd_he_normal(void)
{
    return (nd_init){.kind = INIT_HE_NORMAL};
}

nd_init nd_from_tensor(const nd_tensor *tensor)
{
    return (nd_init){.kind = INIT_TENSOR, .tensor = tensor};
}

nd_init nd_uninitialised(void)
{
    return (nd_init){.kind = INIT_NONE};
}

/* FNV-1a, 64 bits: the stream of a variable is its name's hash, so that another variable changes nobody else's values. */
static uint64_t stream_of(const char *name)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 0x100000001b3u;
    return hash;
}

static nd_value *seed_of(nd_module *m)
{
    if (!m->seed_input)
        m->seed_input = nd_input_at("", m, "seed", ND_U32, ND_SHAPE(2));
    return m->seed_input;
}

static nd_value *uniform_between(nd_place place, nd_module *m, const nd__variable *v, double low, double high)
{
    nd_value *u = nd_uniform_at(place, seed_of(m), stream_of(v->name), v->dtype, v->shape);
    return nd_add_at(place, nd_mul_at(place, u, nd_const_at(place, m, high - low)), nd_const_at(place, m, low));
}

static nd_value *normal_around(nd_place place, nd_module *m, const nd__variable *v, double mean, double deviation)
{
    nd_value *z = nd_normal_at(place, seed_of(m), stream_of(v->name), v->dtype, v->shape);
    return nd_add_at(place, nd_mul_at(place, z, nd_const_at(place, m, deviation)), nd_const_at(place, m, mean));
}

static nd_value *initial_value(nd_place place, nd_module *m, const nd__variable *v, const nd_init *init)
{
    double fan_in = 1, fan_out = 1;
    if (init->kind >= INIT_UNIFORM && init->kind <= INIT_HE_NORMAL && !nd_dtype_is_float(v->dtype))
        return nd__fail(m, ND_ERR_GRAPH, place, "variable \"%s\": a random initial value of %s; expected floats", v->name, nd_dtype_name(v->dtype));
    if (init->kind == INIT_GLOROT_UNIFORM || init->kind == INIT_HE_NORMAL) {
        int rank = v->shape.rank;
        if (rank < 2)
            return nd__fail(m, ND_ERR_GRAPH, place, "variable \"%s\": %s has no fans; they need rank 2 or more", v->name,
                            nd__show_type(m, v->dtype, &v->shape));
        fan_in = (double)v->shape.dims[rank - 2];
        fan_out = (double)v->shape.dims[rank - 1];
        for (int i = 0; i < rank - 2; i++) {
            fan_in *= (double)v->shape.dims[i];
            fan_out *= (double)v->shape.dims[i];
        }
    }
    switch ((enum init_kind)init->kind) {
    case INIT_NONE:
        return NULL;
    case INIT_FULL:
        return nd__filled(m, place, v->dtype, &v->shape, init->a);
    case INIT_UNIFORM:
        return uniform_between(place, m, v, init->a, init->b);
    case INIT_NORMAL:
        return normal_around(place, m, v, init->a, init->b);
    case INIT_GLOROT_UNIFORM: {
        double limit = sqrt(6 / (fan_in + fan_out));
        return uniform_between(place, m, v, -limit, limit);
    }
    case INIT_HE_NORMAL:
        return normal_around(place, m, v, 0, sqrt(2 / fan_in));
    case INIT_TENSOR: {
        nd_value *value = nd_const_tensor_at(place, m, init->tensor);
        if (!nd_value_is_poison(value) && (value->dtype != v->dtype || !nd__shape_equal(&value->shape, &v->shape)))
            return nd__fail(m, ND_ERR_GRAPH, place, "variable \"%s\" is %s, its initial value %s", v->name, nd__show_type(m, v->dtype, &v->shape),
                            nd__show_type(m, value->dtype, &value->shape));
        return value;
    }
    }
    return nd__fail(m, ND_ERR_ARGUMENT, place, "variable \"%s\": unknown kind of initial value", v->name);
}

nd__variable *nd__declare(nd_module *m, nd_place place, const char *name, nd_dtype dtype, nd_shape shape)
{
    if (!m || m->status != ND_OK)
        return NULL;
    bool good = name && *name;
    for (const char *c = name; good && *c; c++)
        good = (unsigned char)*c > 0x20 && *c != '"' && *c != '\\' && *c != 0x7f;
    if (!good) {
        nd__fail(m, ND_ERR_ARGUMENT, place, "variable \"%s\": a name has one character or more, no spaces, quotes or backslashes", name ? name : "");
        return NULL;
    }
    for (int i = 0; i < m->variable_count; i++)
        if (strcmp(m->variables[i]->name, name) == 0) {
            nd__fail(m, ND_ERR_GRAPH, place, "variable \"%s\": there is one of that name", name);
            if (m->variables[i]->place[0])
                nd__note(m, "it was declared at %s", m->variables[i]->place);
            return NULL;
        }
    nd__variable *v = nd__arena_alloc(&m->arena, 1, sizeof *v);
    const char *copy = nd__arena_text(&m->arena, name, strlen(name)), *where = nd__arena_text(&m->arena, place ? place : "", place ? strlen(place) : 0);
    if (!v || !copy || !where || !nd__arena_grow(&m->arena, &m->variables, &m->variable_room, m->variable_count + 1, sizeof(nd__variable *))) {
        nd__fail_memory(m);
        return NULL;
    }
    *v = (nd__variable){.number = m->variable_count, .name = copy, .dtype = dtype, .shape = shape, .place = where};
    nd__attr attr = nd__attr_variable(ND__A_variable, v);
    v->read = nd_name(nd__make0(m, ND__OP_variable, place, 1, &attr), name);
    if (nd_value_is_poison(v->read))
        return NULL;
    m->variables[m->variable_count++] = v;
    return v;
}

nd_value *nd_variable_at(nd_place place, nd_module *m, const char *name, nd_dtype dtype, nd_shape shape, nd_init init)
{
    if (!m)
        return NULL;
    nd__variable *v = nd__declare(m, place, name, dtype, shape);
    if (!v)
        return &m->poison;
    v->initial = initial_value(place, m, v, &init);
    return m->status == ND_OK ? v->read : &m->poison;
}
