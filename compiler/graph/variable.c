/* Variables and their first values: functions of the module's seed, the variable's name and its shape. */
#include "compiler/graph/graph.h"

#include <math.h>
#include <string.h>

/* -- how a variable begins ---------------------------------------------------------------------------------------- */

enum init_kind {
    INIT_NONE,
    INIT_FULL,
    INIT_TENSOR,
    INIT_KEY,
    INIT_UNIFORM, /* what follows is random floats */
    INIT_NORMAL,
    INIT_TRUNCATED,
    INIT_GLOROT_UNIFORM, /* what follows has fans */
    INIT_GLOROT_NORMAL,
    INIT_HE_UNIFORM,
    INIT_HE_NORMAL,
    INIT_LECUN_UNIFORM,
    INIT_LECUN_NORMAL,
    INIT_ORTHOGONAL,
    INIT_KINDS
};

nd_init nd_uninitialised(void)
{
    return (nd_init){.kind = INIT_NONE};
}

nd_init nd_zeros(void)
{
    return nd_full(0);
}

nd_init nd_full(double value)
{
    return (nd_init){.kind = INIT_FULL, .a = value};
}

nd_init nd_from_tensor(const nd_tensor *tensor)
{
    return (nd_init){.kind = INIT_TENSOR, .tensor = tensor};
}

nd_init nd_random_key(void)
{
    return (nd_init){.kind = INIT_KEY};
}

nd_init nd_random_uniform(double low, double high)
{
    return (nd_init){.kind = INIT_UNIFORM, .a = low, .b = high};
}

nd_init nd_random_normal(double mean, double deviation)
{
    return (nd_init){.kind = INIT_NORMAL, .a = mean, .b = deviation};
}

nd_init nd_truncated_normal(double mean, double deviation)
{
    return (nd_init){.kind = INIT_TRUNCATED, .a = mean, .b = deviation};
}

nd_init nd_glorot_uniform(void)
{
    return (nd_init){.kind = INIT_GLOROT_UNIFORM};
}

nd_init nd_glorot_normal(void)
{
    return (nd_init){.kind = INIT_GLOROT_NORMAL};
}

nd_init nd_he_uniform(void)
{
    return (nd_init){.kind = INIT_HE_UNIFORM};
}

nd_init nd_he_normal(void)
{
    return (nd_init){.kind = INIT_HE_NORMAL};
}

nd_init nd_lecun_uniform(void)
{
    return (nd_init){.kind = INIT_LECUN_UNIFORM};
}

nd_init nd_lecun_normal(void)
{
    return (nd_init){.kind = INIT_LECUN_NORMAL};
}

nd_init nd_orthogonal(double gain)
{
    return (nd_init){.kind = INIT_ORTHOGONAL, .a = gain};
}

/* -- random values ------------------------------------------------------------------------------------------------ */

/* FNV-1a, 64 bits: the stream of a variable is its name's hash, so that another variable changes nobody else's values.
 */
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
    nd_value *above = nd_mul_at(place, u, nd_const_at(place, m, high - low));
    return nd_add_at(place, above, nd_const_at(place, m, low));
}

/* mean + deviation * z */
static nd_value *around(nd_place place, nd_module *m, nd_value *z, double mean, double deviation)
{
    nd_value *from_mean = nd_mul_at(place, z, nd_const_at(place, m, deviation));
    return nd_add_at(place, from_mean, nd_const_at(place, m, mean));
}

static nd_value *normal_around(nd_place place, nd_module *m, const nd__variable *v, double mean, double deviation)
{
    nd_value *z = nd_normal_at(place, seed_of(m), stream_of(v->name), v->dtype, v->shape);
    return around(place, m, z, mean, deviation);
}

/* Normal, cut at two deviations: z = sqrt(2) erfinv(u), u uniform in +-erf(sqrt(2)). Newton's method for erf(x) = u
 * from x = sqrt(pi) / 2 u: erf bends towards the axis, so that every step comes nearer from 0; the sixth is exact to
 * rounding for the largest u. */
static nd_value *truncated_around(nd_place place, nd_module *m, const nd__variable *v, double mean, double deviation)
{
    const double edge = 0x1.e8b4307d3627ap-1, slope = 0x1.c5bf891b4ef6ap-1; /* erf(sqrt(2)), sqrt(pi) / 2 */
    nd_value *u = uniform_between(place, m, v, -edge, edge);
    nd_value *x = nd_mul_at(place, u, nd_const_at(place, m, slope));
    for (int i = 0; i < 6; i++) {
        nd_value *missing = nd_sub_at(place, u, nd_erf_at(place, x));
        missing = nd_mul_at(place, missing, nd_const_at(place, m, slope));
        x = nd_add_at(place, x, nd_mul_at(place, missing, nd_exp_at(place, nd_mul_at(place, x, x))));
    }
    nd_value *z = nd_mul_at(place, x, nd_const_at(place, m, 0x1.6a09e667f3bcdp+0)); /* sqrt(2) */
    return around(place, m, z, mean, deviation);
}

/* v less what it has of the rows of `basis`, as often as it takes to be exact: twice (Kahan; Giraud et al. 2005, "The
 * loss of orthogonality in the Gram-Schmidt orthogonalization process"). */
static nd_value *outside_basis(nd_place place, nd_value *v, nd_value *basis)
{
    for (int i = 0; i < 2; i++)
        v = nd_sub_at(place, v, nd_matmul_at(place, nd_matmul_at(place, basis, v), basis));
    return v;
}

/* Gram and Schmidt's k orthonormal rows of n, k <= n, from normal numbers, row by row; their directions are uniform.
 * A matrix with more rows than columns is a transposed one. Saxe, McClelland and Ganguli 2014. */
static nd_value *orthogonal(nd_place place, nd_module *m, const nd__variable *v, int64_t rows, double gain)
{
    int64_t columns = v->shape.dims[v->shape.rank - 1];
    int64_t k = rows < columns ? rows : columns, n = rows < columns ? columns : rows;
    nd_value *start = nd_normal_at(place, seed_of(m), stream_of(v->name), v->dtype, ND_SHAPE(k, n));
    nd_value *basis = nd_input_at(place, m, "basis", v->dtype, ND_SHAPE(k, n));
    nd_value *row = nd_input_at(place, m, "row", v->dtype, ND_SHAPE(n));
    nd_value *number = nd_input_at(place, m, "number", ND_I64, ND_SCALAR), *result;

    nd_value *rest = outside_basis(place, row, basis);
    nd_value *length = nd_sqrt_at(place, nd_sum_at(place, nd_mul_at(place, rest, rest), ND_ALL_AXES, false));
    nd_value *here = nd_eq_at(place, nd_iota_at(place, m, ND_I64, ND_SHAPE(k, 1), 0), number);
    nd_value *more = nd_select_at(place, here, nd_div_at(place, rest, length), basis);
    const char *name = nd__arena_format(&m->arena, "orthogonal%d", v->number);
    for (int i = 1; name && nd_module_function(m, name); i++)
        name = nd__arena_format(&m->arena, "orthogonal%d_%d", v->number, i);
    if (!name)
        return nd__fail_memory(m);
    nd_function *body = nd_function_at(place, m, name, ND_VALUES(basis, row, number), ND_VALUES(more));
    nd_value *none = nd_filled_at(place, m, v->dtype, ND_SHAPE(k, n), 0);
    nd_value *numbers = nd_iota_at(place, m, ND_I64, ND_SHAPE(k), 0);
    nd_scan_at(place, body, k, ND_VALUES(none), ND_VALUES(start, numbers), false, &result);
    if (rows > columns)
        result = nd_transpose_at(place, result, ND_ALL_AXES);
    result = nd_mul_at(place, result, nd_const_at(place, m, gain));
    return nd_reshape_at(place, result, v->shape);
}

/* The fans of [.., in, out]; false after an error. */
static bool fans_of(nd_place place, nd_module *m, const nd__variable *v, double *fan_in, double *fan_out)
{
    int rank = v->shape.rank;
    if (rank < 2) {
        nd__fail(m, ND_ERR_GRAPH, place, "variable \"%s\": %s has no fans; they need rank 2 or more", v->name,
                 nd__show_type(m, v->dtype, &v->shape));
        return false;
    }
    *fan_in = (double)v->shape.dims[rank - 2];
    *fan_out = (double)v->shape.dims[rank - 1];
    for (int i = 0; i < rank - 2; i++) {
        *fan_in *= (double)v->shape.dims[i];
        *fan_out *= (double)v->shape.dims[i];
    }
    return true;
}

static nd_value *copy_of(nd_place place, nd_module *m, const nd__variable *v, const nd_tensor *tensor)
{
    nd_value *value = nd_const_tensor_at(place, m, tensor);
    if (!nd_value_is_poison(value) && (value->dtype != v->dtype || !nd__shape_equal(&value->shape, &v->shape)))
        return nd__fail(m, ND_ERR_GRAPH, place, "variable \"%s\" is %s, its initial value %s", v->name,
                        nd__show_type(m, v->dtype, &v->shape), nd__show_type(m, value->dtype, &value->shape));
    return value;
}

static nd_value *uniform_within(nd_place place, nd_module *m, const nd__variable *v, double limit)
{
    return uniform_between(place, m, v, -limit, limit);
}

static nd_value *initial_value(nd_place place, nd_module *m, const nd__variable *v, const nd_init *init)
{
    double fan_in = 1, fan_out = 1;
    const char *of = nd_dtype_name(v->dtype);
    if (init->kind >= INIT_UNIFORM && init->kind < INIT_KINDS && !nd_dtype_is_float(v->dtype))
        return nd__fail(m, ND_ERR_GRAPH, place, "variable \"%s\": a random initial value of %s; expected floats",
                        v->name, of);
    if (init->kind >= INIT_GLOROT_UNIFORM && init->kind < INIT_KINDS && !fans_of(place, m, v, &fan_in, &fan_out))
        return &m->poison;
    switch ((enum init_kind)init->kind) {
    case INIT_NONE:
        return NULL;
    case INIT_FULL:
        return nd__filled(m, place, v->dtype, &v->shape, init->a);
    case INIT_TENSOR:
        return copy_of(place, m, v, init->tensor);
    case INIT_KEY:
        if (v->dtype != ND_U32)
            return nd__fail(m, ND_ERR_GRAPH, place, "variable \"%s\": a random key of %s; expected u32", v->name, of);
        return nd_random_bits_at(place, seed_of(m), stream_of(v->name), v->shape);
    case INIT_UNIFORM:
        return uniform_between(place, m, v, init->a, init->b);
    case INIT_NORMAL:
        return normal_around(place, m, v, init->a, init->b);
    case INIT_TRUNCATED:
        return truncated_around(place, m, v, init->a, init->b);
    case INIT_GLOROT_UNIFORM:
        return uniform_within(place, m, v, sqrt(6 / (fan_in + fan_out)));
    case INIT_GLOROT_NORMAL:
        return normal_around(place, m, v, 0, sqrt(2 / (fan_in + fan_out)));
    case INIT_HE_UNIFORM:
        return uniform_within(place, m, v, sqrt(6 / fan_in));
    case INIT_HE_NORMAL:
        return normal_around(place, m, v, 0, sqrt(2 / fan_in));
    case INIT_LECUN_UNIFORM:
        return uniform_within(place, m, v, sqrt(3 / fan_in));
    case INIT_LECUN_NORMAL:
        return normal_around(place, m, v, 0, sqrt(1 / fan_in));
    case INIT_ORTHOGONAL:
        /* all sizes but the last, as rows: fan_in */
        return orthogonal(place, m, v, (int64_t)fan_in, init->a);
    case INIT_KINDS:
        break;
    }
    return nd__fail(m, ND_ERR_ARGUMENT, place, "variable \"%s\": unknown kind of initial value", v->name);
}

/* -- variables ---------------------------------------------------------------------------------------------------- */

nd__variable *nd__declare(nd_module *m, nd_place place, const char *name, nd_dtype dtype, nd_shape shape)
{
    if (!m || m->status != ND_OK)
        return NULL;
    bool good = name && *name;
    for (const char *c = name; good && *c; c++)
        good = (unsigned char)*c > 0x20 && *c != '"' && *c != '\\' && *c != 0x7f;
    if (!good) {
        nd__fail(m, ND_ERR_ARGUMENT, place,
                 "variable \"%s\": a name has one character or more, no spaces, quotes or backslashes",
                 name ? name : "");
        return NULL;
    }
    for (int i = 0; i < m->variable_count; i++)
        if (strcmp(m->variables[i]->name, name) == 0) {
            nd__fail(m, ND_ERR_GRAPH, place, "variable \"%s\": there is one of that name", name);
            if (m->variables[i]->place[0])
                nd__note(m, "it was declared at %s", m->variables[i]->place);
            return NULL;
        }
    return nd__declare_new(m, place, name, dtype, shape);
}

nd__variable *nd__declare_new(nd_module *m, nd_place place, const char *name, nd_dtype dtype, nd_shape shape)
{
    if (m->status != ND_OK)
        return NULL;
    nd__variable *v = nd__arena_alloc(&m->arena, 1, sizeof *v);
    const char *copy = nd__arena_text(&m->arena, name, strlen(name)),
               *where = nd__arena_text(&m->arena, place ? place : "", place ? strlen(place) : 0);
    if (!v || !copy || !where ||
        !nd__arena_grow(&m->arena, &m->variables, &m->variable_room, m->variable_count + 1, sizeof(nd__variable *))) {
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
