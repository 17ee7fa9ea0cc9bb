/* Constant folding: what depends on constants alone is computed now, by the interpreter, which is the definition.
 *
 * Constants of one element that stands for all stay so through elementwise ops and views, however large they are: a
 * broadcast constant becomes such a one. Everything else is folded only up to LIMIT bytes: a small program that makes a
 * large table must not become a large object. Sizes are numbers in a bound module. What has no elements is a constant
 * too, whatever made it. iota makes its elements for nothing and stays; calls, branches and loops stay, for nobody
 * knows how long they run. */
#include "compiler/interp/interp.h"
#include "compiler/passes/passes.h"
#include "compiler/passes/rewrite.h"
#include "runtime/control_word.h"

#include <stdlib.h>
#include <string.h>

enum { LIMIT = 16 << 10 };

static const nd__data *constant_data(const nd_value *v)
{
    return v->node->op == ND__OP_constant ? nd__get(v->node, ND__A_data)->data : NULL;
}

static bool all_uniform(int n, nd_value *const *x)
{
    for (int i = 0; i < n; i++)
        if (!constant_data(x[i]) || constant_data(x[i])->count != 1)
            return false;
    return true;
}

/* The node on scalars: the same element everywhere gives the same element everywhere. */
static nd_value *fold_element(nd_module *to, const nd__node *node, nd_value *const *x)
{
    const nd_value *result = &node->results[0];
    if (nd__ops[node->op].traits & ND__VIEW)
        return nd__constant(to, node->place, result->dtype, &result->shape, 1, constant_data(x[0])->items);
    nd_value scalars[ND__MAX_ARITY], *inputs[ND__MAX_ARITY], one = *result;
    nd__node scalar = *node;
    const void *in[ND__MAX_ARITY];
    uint64_t element = 0;
    void *out = &element;
    for (int i = 0; i < node->input_count; i++) {
        scalars[i] = *node->inputs[i];
        scalars[i].shape = ND_SCALAR;
        inputs[i] = &scalars[i];
        in[i] = constant_data(x[i])->items;
    }
    one.shape = ND_SCALAR;
    scalar.inputs = inputs;
    scalar.results = &one;
    if (nd__interpret_node(&scalar, in, &out) != ND_OK)
        return nd__fail_memory(to);
    return nd__constant(to, node->place, result->dtype, &result->shape, 1, &element);
}

static int64_t bytes_of(const nd_value *v)
{
    return nd__elements(&v->shape) * (int64_t)nd_dtype_size(v->dtype);
}

/* A constant of n elements, or of one where all have the same bits. */
static nd_value *constant_of(nd_module *to, const nd__node *node, const unsigned char *items)
{
    const nd_value *result = &node->results[0];
    const size_t size = nd_dtype_size(result->dtype);
    const int64_t n = nd__elements(&result->shape);
    bool uniform = n > 0;
    for (int64_t i = 1; i < n && uniform; i++)
        uniform = memcmp(items, items + (size_t)i * size, size) == 0;
    return nd__constant(to, node->place, result->dtype, &result->shape, uniform ? 1 : n, items);
}

/* All elements of operand i, in `all` where the constant has one that stands for them. */
static const void *elements_of(const nd_value *v, void *all)
{
    const nd__data *data = constant_data(v);
    if (data && data->count == nd__elements(&v->shape))
        return data->items;
    if (!data)
        return all; /* no elements */
    return nd__interpret_node(v->node, NULL, &all) == ND_OK ? all : NULL;
}

static nd_value *fold_all(nd_module *to, const nd__node *node, nd_value *const *x)
{
    const size_t n = (size_t)node->input_count;
    const void **in = (const void **)calloc(n + 1, sizeof *in);
    unsigned char *memory = malloc((n + 1) * LIMIT), *at = memory;
    void *out = memory ? memory + n * LIMIT : NULL;
    bool good = in && memory;
    for (size_t i = 0; i < n && good; i++, at += LIMIT)
        good = (in[i] = elements_of(x[i], at)) != NULL;
    good = good && nd__interpret_node(node, in, &out) == ND_OK;
    nd_value *folded = good ? constant_of(to, node, out) : nd__fail_memory(to);
    free(memory);
    free(in);
    return folded;
}

static nd_value *fold(nd__copier *c, const nd__node *node, nd_value *const *x, void *state)
{
    (void)state;
    const unsigned traits = nd__ops[node->op].traits;
    const bool leaf = traits & ND__LEAF && node->op != ND__OP_size;
    if (leaf || traits & ND__CONTROL)
        return NULL;
    const nd_value *result = &node->results[0];
    if (nd__elements(&result->shape) == 0)
        return nd__constant(c->to, node->place, result->dtype, &result->shape, 0, NULL);
    if (traits & (ND__ELEMENTWISE | ND__VIEW) && all_uniform(node->input_count, x))
        return fold_element(c->to, node, x);
    bool known = bytes_of(result) <= LIMIT;
    for (int i = 0; i < node->input_count && known; i++)
        known = nd__elements(&x[i]->shape) == 0 || (constant_data(x[i]) && bytes_of(x[i]) <= LIMIT);
    return known ? fold_all(c->to, node, x) : NULL;
}

nd_module *nd__fold(nd_module *m)
{
    const nd__control before = nd__control_read();
    if (!nd__control_fits(before))
        nd__control_write(nd__control_default(before));
    nd_module *folded = nd__rewrite(m, fold, NULL);
    if (!nd__control_fits(before))
        nd__control_write(before);
    return folded;
}
