/* Every op in a few lines: real numbers as doubles, whole numbers as 128 bits that are cut to the dtype's at the end.
 */
#include "reference_call.h"
#include "bits.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

/* -- values -------------------------------------------------------------------------------------------------------- */

static void *must(void *p)
{
    if (!p)
        abort(); /* a test without memory proves nothing */
    return p;
}

static reference_value make_value(nd_dtype dtype, nd_shape shape)
{
    reference_value v = {.dtype = dtype, .shape = shape, .count = nd__elements(&shape)};
    v.real = must(calloc((size_t)v.count + 1, sizeof *v.real));
    v.whole = must(calloc((size_t)v.count + 1, sizeof *v.whole));
    v.scale = must(calloc((size_t)v.count + 1, sizeof *v.scale));
    return v;
}

void reference_free(reference_value *v)
{
    free(v->real);
    free(v->whole);
    free(v->scale);
    *v = (reference_value){0};
}

reference_value reference_from(const nd_value *value, const void *elements)
{
    reference_value v = make_value(value->dtype, value->shape);
    for (int64_t i = 0; i < v.count; i++)
        switch (v.dtype) {
        case ND_BOOL:
        case ND_U8:
            v.whole[i] = ((const uint8_t *)elements)[i];
            break;
        case ND_I32:
            v.whole[i] = ((const int32_t *)elements)[i];
            break;
        case ND_U32:
            v.whole[i] = ((const uint32_t *)elements)[i];
            break;
        case ND_I64:
            v.whole[i] = ((const int64_t *)elements)[i];
            break;
        case ND_F32:
            v.real[i] = ((const float *)elements)[i];
            break;
        default:
            v.real[i] = ((const double *)elements)[i];
        }
    return v;
}

void reference_element(const reference_value *v, int64_t i, void *element)
{
    switch (v->dtype) {
    case ND_BOOL:
    case ND_U8:
        *(uint8_t *)element = (uint8_t)v->whole[i];
        break;
    case ND_I32:
        *(int32_t *)element = (int32_t)v->whole[i];
        break;
    case ND_U32:
        *(uint32_t *)element = (uint32_t)v->whole[i];
        break;
    case ND_I64:
        *(int64_t *)element = v->whole[i];
        break;
    case ND_F32:
        *(float *)element = (float)v->real[i];
        break;
    default:
        *(double *)element = v->real[i];
    }
}

int64_t reference_difference(const reference_value *v, const void *elements, double tolerance)
{
    const size_t size = nd_dtype_size(v->dtype);
    const double epsilon = v->dtype == ND_F32 ? FLT_EPSILON : DBL_EPSILON,
                 least = v->dtype == ND_F32 ? 0x1p-149 : 0x1p-1074;
    for (int64_t i = 0; i < v->count; i++) {
        const unsigned char *element = (const unsigned char *)elements + (size_t)i * size;
        unsigned char expected[8] = {0};
        reference_element(v, i, expected);
        if (bits_difference(v->dtype, 1, element, expected) < 0)
            continue;
        if (!nd_dtype_is_float(v->dtype) || tolerance == 0)
            return i;
        double got =
            v->dtype == ND_F32 ? *(const float *)(const void *)element : *(const double *)(const void *)element;
        double want = v->dtype == ND_F32 ? (float)v->real[i] : v->real[i];
        if (!(fabs(got - want) <= tolerance * (epsilon * v->scale[i] + least)))
            return i;
    }
    return -1;
}
/* -- control flow -------------------------------------------------------------------------------------------------- */

static void run(const nd_function *f, const reference_value *const *in, reference_value *out);

static void copy(reference_value *to, const reference_value *from)
{
    *to = make_value(from->dtype, from->shape);
    memcpy(to->real, from->real, (size_t)from->count * sizeof *to->real);
    memcpy(to->whole, from->whole, (size_t)from->count * sizeof *to->whole);
    memcpy(to->scale, from->scale, (size_t)from->count * sizeof *to->scale);
}

static void free_results(const reference_call *c)
{
    for (int i = 0; i < c->node->result_count; i++)
        reference_free(&c->out[i]);
}

void reference_apply(const reference_call *c)
{
    free_results(c);
    run(nd__get(c->node, ND__A_body)->function, c->in, c->out);
}

void reference_cond(const reference_call *c)
{
    free_results(c);
    run(nd__get(c->node, c->in[0]->whole[0] ? ND__A_body : ND__A_other)->function, c->in + 1, c->out);
}

void reference_scan(const reference_call *c)
{
    const nd_function *body = nd__get(c->node, ND__A_body)->function;
    const int64_t length = nd__get_int(c->node, ND__A_length), carries = nd__get_int(c->node, ND__A_carries),
                  slices = nd__get_int(c->node, ND__A_slices);
    reference_value *in = must(calloc((size_t)body->input_count + 1, sizeof *in)),
                    *out = must(calloc((size_t)body->output_count + 1, sizeof *out));
    const reference_value **pointers = must(calloc((size_t)body->input_count + 1, sizeof *pointers));
    for (int i = 0; i < body->input_count; i++) {
        pointers[i] = i < carries + slices ? &in[i] : c->in[i];
        if (i < carries)
            copy(&in[i], c->in[i]);
        else if (i < carries + slices)
            in[i] = make_value(body->inputs[i]->dtype, body->inputs[i]->shape);
    }
    for (int64_t step = 0; step < length; step++) {
        int64_t t = nd__get_int(c->node, ND__A_reverse) ? length - 1 - step : step;
        for (int64_t i = carries; i < carries + slices; i++)
            for (int64_t k = 0; k < in[i].count; k++) {
                in[i].real[k] = c->in[i]->real[t * in[i].count + k];
                in[i].whole[k] = c->in[i]->whole[t * in[i].count + k];
            }
        run(body, pointers, out);
        for (int i = 0; i < body->output_count; i++) {
            if (i < carries) {
                reference_free(&in[i]);
                in[i] = out[i];
                continue;
            }
            for (int64_t k = 0; k < out[i].count; k++) {
                c->out[i].real[t * out[i].count + k] = out[i].real[k];
                c->out[i].whole[t * out[i].count + k] = out[i].whole[k];
                c->out[i].scale[t * out[i].count + k] = out[i].scale[k];
            }
            reference_free(&out[i]);
        }
    }
    for (int64_t i = 0; i < carries + slices; i++)
        if (i < carries) {
            reference_free(&c->out[i]);
            c->out[i] = in[i];
        } else {
            reference_free(&in[i]);
        }
    free(in);
    free(out);
    free(pointers);
}

/* -- functions ----------------------------------------------------------------------------------------------------- */

void reference_input(const reference_call *c)
{
    (void)c;
    abort(); /* run() knows inputs; variables are not for references */
}

void reference_variable(const reference_call *c)
{
    reference_input(c);
}

static void (*const references[ND__OPS])(const reference_call *) = {
#define OP(name, ...) reference_##name,
#include "compiler/graph/ops.def"
#undef OP
};

/* All nodes up to the outputs that need no input but the function's, in order. */
static void run(const nd_function *f, const reference_value *const *in, reference_value *out)
{
    const nd_module *m = f->module;
    bool *need = must(calloc((size_t)m->node_count + 1, sizeof *need));
    reference_value **values = must(calloc((size_t)m->node_count + 1, sizeof *values));
    for (int i = 0; i < f->output_count; i++)
        need[f->outputs[i]->node->number] = true;
    for (int i = m->node_count - 1; i >= 0; i--)
        for (int k = 0; need[i] && k < m->nodes[i]->input_count; k++)
            need[m->nodes[i]->inputs[k]->node->number] = true;
    for (int i = 0; i < m->node_count; i++) {
        const nd__node *n = m->nodes[i];
        if (!need[i])
            continue;
        values[i] = must(calloc((size_t)n->result_count, sizeof **values));
        if (n->op == ND__OP_input) {
            for (int k = 0; k < f->input_count; k++)
                if (f->inputs[k]->node == n)
                    copy(&values[i][0], in[k]);
            continue;
        }
        const reference_value **operands = must(calloc((size_t)n->input_count + 1, sizeof *operands));
        for (int k = 0; k < n->input_count; k++)
            operands[k] = &values[n->inputs[k]->node->number][n->inputs[k]->index];
        for (int k = 0; k < n->result_count; k++)
            values[i][k] = make_value(n->results[k].dtype, n->results[k].shape);
        references[n->op](&(reference_call){n, operands, values[i]});
        for (int k = 0; k < n->result_count; k++)
            for (int64_t j = 0; n->results[k].dtype == ND_F32 && j < values[i][k].count; j++)
                values[i][k].real[j] = (float)values[i][k].real[j];
        free(operands);
    }
    for (int i = 0; i < f->output_count; i++)
        copy(&out[i], &values[f->outputs[i]->node->number][f->outputs[i]->index]);
    for (int i = 0; i < m->node_count; i++) {
        for (int k = 0; need[i] && k < m->nodes[i]->result_count; k++)
            reference_free(&values[i][k]);
        free(values[i]);
    }
    free(values);
    free(need);
}

void reference_run(const nd_function *f, const void *const *in, reference_value *out)
{
    reference_value *values = must(calloc((size_t)f->input_count + 1, sizeof *values));
    const reference_value **pointers = must(calloc((size_t)f->input_count + 1, sizeof *pointers));
    for (int i = 0; i < f->input_count; i++) {
        values[i] = reference_from(f->inputs[i], in[i]);
        pointers[i] = &values[i];
    }
    run(f, pointers, out);
    for (int i = 0; i < f->input_count; i++)
        reference_free(&values[i]);
    free(values);
    free(pointers);
}
