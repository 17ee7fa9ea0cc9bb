/* Sizes: numbers, and symbols that stand for an integer times a product of named dimensions.
 *
 * A symbol is an int64_t from SYMBOLS up, the index of an interned form, so that shapes are plain arrays of sizes and
 * two sizes are equal exactly if their symbolic forms are. */
#include "compiler/graph/graph.h"

#include <ctype.h>
#include <string.h>

static const int64_t SYMBOLS = (int64_t)1 << 61;

bool nd__size_is_named(int64_t size)
{
    return size >= SYMBOLS;
}

bool nd__size_is_known(const nd_module *m, int64_t size)
{
    return size < SYMBOLS + m->symbol_count;
}

const nd__symbol *nd__size_symbol(const nd_module *m, int64_t size)
{
    return &m->symbols[size - SYMBOLS];
}

int64_t nd__size_of_symbol(nd_module *m, nd__symbol s)
{
    if (s.count == 0 || s.factor == 0)
        return s.factor < SYMBOLS ? s.factor : -1;
    for (int i = 0; i < m->symbol_count; i++) {
        const nd__symbol *other = &m->symbols[i];
        if (other->factor == s.factor && other->count == s.count &&
            memcmp(other->dims, s.dims, (size_t)s.count * sizeof *s.dims) == 0)
            return SYMBOLS + i;
    }
    if (!nd__arena_grow(&m->arena, &m->symbols, &m->symbol_room, m->symbol_count + 1, sizeof *m->symbols)) {
        nd__fail_memory(m);
        return -1;
    }
    m->symbols[m->symbol_count] = s;
    return SYMBOLS + m->symbol_count++;
}

/* A number, or a symbol of this module. */
static bool is_good(const nd_module *m, int64_t size)
{
    return size >= 0 && nd__size_is_known(m, size);
}

/* A size as a symbol: a number has no factors. */
static nd__symbol form(const nd_module *m, int64_t size)
{
    return nd__size_is_named(size) ? *nd__size_symbol(m, size) : (nd__symbol){.factor = size};
}

int64_t nd_dim_value(const nd_module *m, int64_t size)
{
    if (!m || !nd__size_is_named(size) || size - SYMBOLS >= m->symbol_count)
        return size;
    const nd__symbol *s = nd__size_symbol(m, size);
    int64_t value = s->factor;
    for (int i = 0; i < s->count; i++)
        if (__builtin_mul_overflow(value, m->dims[s->dims[i]].value, &value) || value >= SYMBOLS)
            return -1;
    return value;
}

int64_t nd_dim_at(nd_place place, nd_module *m, const char *name, int64_t value)
{
    if (!m || m->status != ND_OK)
        return 0;
    bool good = name && (isalpha((unsigned char)name[0]) || name[0] == '_');
    for (const char *c = name; good && *c; c++)
        good = isalnum((unsigned char)*c) || *c == '_';
    if (!good || value < 0 || value >= SYMBOLS) {
        nd__fail(m, ND_ERR_ARGUMENT, place,
                 good ? "dimension \"%s\": the value %lld is not a size"
                      : "dimension \"%s\": expected a letter, then letters, digits or _",
                 name ? name : "", (long long)value);
        return 0;
    }
    int i = 0;
    while (i < m->dim_count && strcmp(m->dims[i].name, name) != 0)
        i++;
    if (i == m->dim_count) {
        const char *copy = nd__arena_text(&m->arena, name, strlen(name));
        if (!copy || !nd__arena_grow(&m->arena, &m->dims, &m->dim_room, i + 1, sizeof *m->dims)) {
            nd__fail_memory(m);
            return 0;
        }
        m->dims[m->dim_count++] = (nd__dim){.name = copy, .value = value};
    } else if (m->dims[i].value != value) {
        nd__fail(m, ND_ERR_GRAPH, place, "dimension \"%s\" has the value %lld, now it is given as %lld", name,
                 (long long)m->dims[i].value, (long long)value);
        return 0;
    }
    int64_t size = nd__size_of_symbol(m, (nd__symbol){.factor = 1, .count = 1, .dims = {i}});
    return size < 0 ? 0 : size;
}

bool nd__size_find(void *module, const char *name, size_t length, int64_t *size)
{
    nd_module *m = module;
    for (int i = 0; i < m->dim_count; i++)
        if (strlen(m->dims[i].name) == length && memcmp(m->dims[i].name, name, length) == 0) {
            *size = nd__size_of_symbol(m, (nd__symbol){.factor = 1, .count = 1, .dims = {i}});
            return *size >= 0;
        }
    return false;
}

int64_t nd__size_mul(nd_module *m, int64_t a, int64_t b)
{
    if (!is_good(m, a) || !is_good(m, b))
        return -1;
    nd__symbol x = form(m, a), y = form(m, b), product = {0};
    if (__builtin_mul_overflow(x.factor, y.factor, &product.factor) || product.factor >= SYMBOLS ||
        x.count + y.count > ND_MAX_RANK)
        return -1;
    for (int i = 0, j = 0; i < x.count || j < y.count;) /* merge two ascending lists */
        product.dims[product.count++] =
            j == y.count || (i < x.count && x.dims[i] <= y.dims[j]) ? x.dims[i++] : y.dims[j++];
    int64_t size = nd__size_of_symbol(m, product);
    return size >= 0 && nd_dim_value(m, size) < 0 ? -1 : size;
}

int64_t nd__size_add(nd_module *m, int64_t a, int64_t b)
{
    if (!is_good(m, a) || !is_good(m, b))
        return -1;
    if (a == 0 || b == 0)
        return a + b;
    nd__symbol x = form(m, a), y = form(m, b);
    if (x.count != y.count || memcmp(x.dims, y.dims, (size_t)x.count * sizeof *x.dims) != 0 ||
        __builtin_add_overflow(x.factor, y.factor, &x.factor))
        return -1;
    return nd__size_of_symbol(m, x);
}

int64_t nd__size_div(nd_module *m, int64_t a, int64_t b)
{
    if (!is_good(m, a) || !is_good(m, b) || b == 0)
        return -1;
    nd__symbol x = form(m, a), y = form(m, b), quotient = {0};
    if (x.factor % y.factor != 0)
        return -1;
    quotient.factor = x.factor / y.factor;
    int j = 0;
    for (int i = 0; i < x.count; i++) { /* x's factors without y's */
        if (j < y.count && x.dims[i] == y.dims[j])
            j++;
        else
            quotient.dims[quotient.count++] = x.dims[i];
    }
    return j < y.count ? -1 : nd__size_of_symbol(m, quotient);
}

int64_t nd__size_product(nd_module *m, int rank, const int64_t *dims)
{
    int64_t product = 1;
    for (int i = 0; i < rank && product >= 0; i++)
        product = nd__size_mul(m, product, dims[i]);
    return product;
}

bool nd__shape_equal(const nd_shape *a, const nd_shape *b)
{
    return a->rank == b->rank && memcmp(a->dims, b->dims, (size_t)a->rank * sizeof *a->dims) == 0;
}

int64_t nd__elements(const nd_shape *shape)
{
    int64_t n = 1;
    for (int i = 0; i < shape->rank; i++)
        n *= shape->dims[i];
    return n;
}

int64_t nd__size_move(nd_module *to, const nd_module *from, const int64_t *bound, int64_t size)
{
    if (!nd__size_is_named(size))
        return size;
    const nd__symbol *s = nd__size_symbol(from, size);
    int64_t moved = s->factor;
    for (int i = 0; i < s->count && moved >= 0; i++) {
        const nd__dim *dim = &from->dims[s->dims[i]];
        int64_t value = bound ? bound[s->dims[i]] : -1;
        moved = nd__size_mul(to, moved, value >= 0 ? value : nd_dim_at("", to, dim->name, dim->value));
    }
    return moved;
}
