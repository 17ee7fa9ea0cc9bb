/* The parameters and the data of workloads, by the rules of peers/workloads.md. */
#include "bench.h"
#include "nadir/data.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCHES = 8, FLOWERS = 150, CHARACTERS = 64 };

static void fail(model *m, const char *message)
{
    snprintf(m->error, sizeof m->error, "%s", message);
}

void generate(uint32_t *random, int64_t n, float scale, float *values)
{
    uint32_t s = *random;
    for (int64_t i = 0; i < n; i++) {
        s = 1664525 * s + 1013904223;
        values[i] = ((float)(s >> 8) * 0x1p-23f - 1) * scale;
    }
    *random = s;
}

nd_value *parameter(model *m, const char *name, nd_shape shape, double scale)
{
    nd_init init = scale == 0 ? nd_zeros() : nd_full(1);
    nd_tensor *values = NULL;
    if (scale != 0 && scale != 1) {
        values = nd_tensor_zeros(ND_F32, shape);
        generate(&m->random, nd_tensor_count(values), (float)scale, nd_tensor_data(values));
        init = nd_from_tensor(values);
    }
    nd_value *v = nd_variable(m->module, name, ND_F32, shape, init);
    nd_tensor_destroy(values);
    if (m->parameter_count < MOST_PARAMETERS)
        m->parameters[m->parameter_count++] = v;
    else
        fail(m, "the model has too many parameters");
    return v;
}

nd_value *input(model *m, const char *name, nd_dtype dtype, nd_shape shape, int n)
{
    for (int i = 0; i < n; i++)
        m->batches[i][m->input_count] = nd_tensor_zeros(dtype, shape);
    m->input_count++;
    m->batch_count = n;
    return nd_input(m->module, name, dtype, shape);
}

void model_release(model *m)
{
    for (int i = 0; i < m->batch_count; i++)
        for (int k = 0; k < m->input_count; k++)
            nd_tensor_destroy(m->batches[i][k]);
    nd_module_destroy(m->module);
}

/* Batches of rows, in order, all values divided by one; and the labels, if they are an input. */
static void take_rows(model *m, int batch, int batches, nd_tensor *x, nd_tensor *y, float divisor)
{
    const int64_t size = nd_tensor_count(m->batches[0][0]) / batch;
    if (nd_tensor_status(x) != ND_OK || nd_tensor_status(y) != ND_OK) {
        fail(m, nd_tensor_error(nd_tensor_status(x) != ND_OK ? x : y));
        return;
    }
    if (nd_tensor_count(x) < batch * batches * size || nd_tensor_count(y) < batch * batches) {
        fail(m, "the data has too few rows");
        return;
    }
    for (int i = 0; i < batches; i++) {
        float *to = nd_tensor_data(m->batches[i][0]);
        int32_t *label = m->input_count > 1 ? nd_tensor_data(m->batches[i][1]) : NULL;
        for (int64_t k = 0; k < batch * size; k++)
            to[k] = (float)nd_tensor_get(x, i * batch * size + k) / divisor;
        for (int k = 0; label && k < batch; k++)
            label[k] = (int32_t)nd_tensor_get(y, i * batch + k);
    }
}

/* A file of the folder of the data. */
static bool find(model *m, char *path, size_t size, const char *file)
{
    if (!m->data)
        fail(m, "needs --data FOLDER");
    else
        snprintf(path, size, "%s/%s", m->data, file);
    return m->data;
}

void images(model *m, int batch, nd_value **x, nd_value **y)
{
    char path[4096];
    *x = input(m, "x", ND_F32, ND_SHAPE(batch, 784), BATCHES);
    if (y)
        *y = input(m, "y", ND_I32, ND_SHAPE(batch), BATCHES);
    if (!find(m, path, sizeof path, "mnist"))
        return;
    nd_dataset *set = nd_dataset_mnist(path, false);
    if (nd_dataset_status(set) == ND_OK)
        take_rows(m, batch, BATCHES, nd_dataset_array(set, "x"), nd_dataset_array(set, "y"), 255);
    else
        fail(m, nd_dataset_error(set));
    nd_dataset_destroy(set);
}

void digits(model *m, int batch, nd_value **x, nd_value **y)
{
    nd_tensor *labels,
        *pixels = nd_csv_read(SAMPLES "/data/digits.csv.gz", &(nd_csv_options){.label_column = -1}, &labels);
    *x = input(m, "x", ND_F32, ND_SHAPE(batch, 64), BATCHES);
    *y = input(m, "y", ND_I32, ND_SHAPE(batch), BATCHES);
    take_rows(m, batch, BATCHES, pixels, labels, 16);
    nd_tensor_destroy(pixels);
    nd_tensor_destroy(labels);
}

void iris(model *m, nd_value **x, nd_value **y)
{
    nd_tensor *kinds, *flowers = nd_csv_read(SAMPLES "/data/iris.csv",
                                             &(nd_csv_options){.skip_lines = 1, .label_column = -1}, &kinds);
    *x = input(m, "x", ND_F32, ND_SHAPE(1, 4), FLOWERS);
    *y = input(m, "y", ND_I32, ND_SHAPE(1), FLOWERS);
    take_rows(m, 1, FLOWERS, flowers, kinds, 8);
    nd_tensor_destroy(flowers);
    nd_tensor_destroy(kinds);

    nd_tensor *inputs[FLOWERS][MOST_INPUTS];
    memcpy(inputs, m->batches, sizeof inputs);
    for (int i = 0; i < FLOWERS; i++)
        memcpy(m->batches[i], inputs[7 * i % FLOWERS], sizeof *inputs);
}

/* The whole text; the caller frees it. NULL: what the error says. */
static unsigned char *read_text(model *m, const char *path, size_t *size)
{
    enum { MOST = 1 << 24 };
    unsigned char *text = malloc(MOST);
    FILE *f = fopen(path, "rb");
    if (text && f)
        *size = fread(text, 1, MOST, f);
    else {
        snprintf(m->error, sizeof m->error, "%.400s does not open", path);
        free(text);
        text = NULL;
    }
    if (f)
        fclose(f);
    return text;
}

/* Each byte by its rank among those that occur. */
static void encode(unsigned char *text, size_t size)
{
    unsigned char code[256] = {0};
    int used = 0;
    for (size_t i = 0; i < size; i++)
        code[text[i]] = 1;
    for (int c = 0; c < 256; c++)
        if (code[c])
            code[c] = (unsigned char)used++;
    for (size_t i = 0; i < size; i++)
        text[i] = code[text[i]];
}

void characters(model *m, int batch, nd_value **x, nd_value **y)
{
    char path[4096];
    size_t size = 0;
    const size_t each = (size_t)batch * CHARACTERS;
    *x = input(m, "x", ND_I32, ND_SHAPE(batch, CHARACTERS), BATCHES);
    *y = input(m, "y", ND_I32, ND_SHAPE(batch, CHARACTERS), BATCHES);
    unsigned char *text = find(m, path, sizeof path, "text/tinyshakespeare.txt") ? read_text(m, path, &size) : NULL;
    if (!text)
        return;
    encode(text, size);
    for (size_t i = 0; i < BATCHES && each * BATCHES < size; i++) {
        int32_t *from = nd_tensor_data(m->batches[i][0]), *next = nd_tensor_data(m->batches[i][1]);
        for (size_t k = 0; k < each; k++) {
            from[k] = text[i * each + k];
            next[k] = text[i * each + k + 1];
        }
    }
    if (each * BATCHES >= size)
        fail(m, "the text is too short");
    free(text);
}
