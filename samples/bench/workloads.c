/* The list of workloads, and those of a few layers or none. */
#include "bench.h"
#include "nadir/nn.h"

#include <math.h>
#include <stdio.h>

#define LENGTH(array) ((int)(sizeof(array) / sizeof *(array)))

/* -- scalars ------------------------------------------------------------------------------------------------------ */

enum { DESCENT = 500 };

/* (x - 4)^2, and where one step leads. */
static nd_value *descend(nd_module *m, nd_value *x, nd_value **loss)
{
    *loss = nd_pow(nd_sub(x, nd_const(m, 4)), nd_const(m, 2));
    return nd_sub(x, nd_mul(nd_const(m, 0.01), nd_gradient(*loss, x)));
}

static void build_scalar(model *m)
{
    nd_value *x = parameter(m, "x", ND_SCALAR, 0), *loss;
    nd_value *next = descend(m->module, x, &loss);
    nd_assign(nd_function(m->module, "step", ND_VALUES(), ND_VALUES(loss)), x, next);
    m->batch_count = 1;
}

static void build_scalar_scan(model *m)
{
    nd_value *x = parameter(m, "x", ND_SCALAR, 0), *loss, *scan[2];
    nd_value *at = nd_input(m->module, "at", ND_F32, ND_SCALAR), *next = descend(m->module, at, &loss);
    nd_function *body = nd_function(m->module, "body", ND_VALUES(at), ND_VALUES(next, loss));
    nd_scan(body, DESCENT, ND_VALUES(x), ND_VALUES(), false, scan);
    nd_assign(nd_function(m->module, "step", ND_VALUES(), ND_VALUES(scan[1])), x, scan[0]);
    m->batch_count = 1;
}

/* -- dense layers ------------------------------------------------------------------------------------------------- */

nd_value *dense_layers(model *m, nd_value *x, int count, const int64_t *sizes, activation *act)
{
    for (int i = 0; i + 1 < count; i++) {
        char name[32];
        snprintf(name, sizeof name, "w%d", i + 1);
        nd_value *w = parameter(m, name, ND_SHAPE(sizes[i], sizes[i + 1]), pow((double)sizes[i], -0.5));
        snprintf(name, sizeof name, "b%d", i + 1);
        x = nd_add(nd_matmul(x, w), parameter(m, name, ND_SHAPE(sizes[i + 1]), 0));
        if (i + 2 < count)
            x = act(ND_HERE, x);
    }
    return x;
}

nd_function *train(model *m, nd_value *x, nd_value *y, nd_value *loss, double rate, double momentum)
{
    nd_function *step = nd_function(m->module, "step", ND_VALUES(x, y), ND_VALUES(loss));
    if (momentum == 0)
        nd_sgd(step, loss, (size_t)m->parameter_count, m->parameters, nd_const(m->module, rate));
    else
        nd_sgd_momentum(step, loss, (size_t)m->parameter_count, m->parameters, nd_const(m->module, rate),
                        nd_const(m->module, momentum));
    return step;
}

static void build_iris(model *m)
{
    nd_value *x, *y;
    iris(m, &x, &y);
    nd_value *logits = dense_layers(m, x, 3, (int64_t[]){4, 16, 3}, nd_tanh_at);
    train(m, x, y, nd_cross_entropy(logits, y), 0.1, 0);
}

static void build_digits(model *m)
{
    nd_value *x, *y;
    digits(m, 32, &x, &y);
    nd_value *logits = dense_layers(m, x, 2, (int64_t[]){64, 10}, NULL);
    train(m, x, y, nd_cross_entropy(logits, y), 0.1, 0);
}

static void build_mlp(model *m)
{
    nd_value *x, *y;
    images(m, 32, &x, &y);
    nd_value *logits = dense_layers(m, x, 3, (int64_t[]){784, 128, 10}, nd_relu_at);
    train(m, x, y, nd_cross_entropy(logits, y), 0.1, 0);
}

static void build_mlp3(model *m)
{
    nd_value *x, *y;
    images(m, 128, &x, &y);
    nd_value *logits = dense_layers(m, x, 4, (int64_t[]){784, 512, 256, 10}, nd_relu_at);
    train(m, x, y, nd_cross_entropy(logits, y), 0.01, 0.9);
}

static void build_mlp_inference(model *m)
{
    nd_value *x;
    images(m, 1, &x, NULL);
    nd_value *logits = dense_layers(m, x, 3, (int64_t[]){784, 128, 10}, nd_relu_at);
    nd_function(m->module, "step", ND_VALUES(x), ND_VALUES(logits));
}

/* -- elementwise and rows ----------------------------------------------------------------------------------------- */

enum { SETS = 2, CHAIN = 1 << 20, ROWS = 512, COLUMNS = 1024 };

static void value_and_gradients(model *m, nd_value *loss, nd_values inputs)
{
    nd_value *g[3];
    nd_gradients(loss, 3, inputs.items, g);
    nd_function(m->module, "step", inputs, ND_VALUES(loss, g[0], g[1], g[2]));
}

static void build_chain(model *m)
{
    nd_value *v[3];
    for (int i = 0; i < 3; i++)
        v[i] = input(m, (const char *[]){"a", "b", "c"}[i], ND_F32, ND_SHAPE(CHAIN), SETS);
    for (uint32_t set = 0; set < SETS; set++) {
        uint32_t random = set + 1;
        for (int i = 0; i < 3; i++)
            generate(&random, CHAIN, 0.999f, nd_tensor_data(m->batches[set][i]));
    }
    nd_value *left = nd_mul(nd_tanh(v[0]), nd_sigmoid(v[1])), *right = nd_exp(nd_mul(nd_neg(v[2]), v[2]));
    value_and_gradients(m, nd_sum(nd_add(left, right), ND_ALL_AXES, false), ND_VALUES(v[0], v[1], v[2]));
}

static void build_softmax(model *m)
{
    nd_value *x = input(m, "x", ND_F32, ND_SHAPE(ROWS, COLUMNS), SETS);
    nd_value *gain = input(m, "gain", ND_F32, ND_SHAPE(COLUMNS), SETS);
    nd_value *bias = input(m, "bias", ND_F32, ND_SHAPE(COLUMNS), SETS);
    nd_value *t = input(m, "t", ND_F32, ND_SHAPE(ROWS, COLUMNS), SETS);
    for (uint32_t set = 0; set < SETS; set++) {
        nd_tensor *const *to = m->batches[set];
        uint32_t random = set + 1, random_t = set + 11;
        generate(&random, ROWS * COLUMNS, 1.5f, nd_tensor_data(to[0]));
        for (int i = 0; i < COLUMNS; i++)
            nd_tensor_set(to[1], i, 1);
        generate(&random_t, ROWS * COLUMNS, 1, nd_tensor_data(to[3]));
    }
    nd_value *y = nd_softmax(layer_norm(x, gain, bias), -1);
    value_and_gradients(m, nd_sum(nd_mul(y, t), ND_ALL_AXES, false), ND_VALUES(x, gain, bias, t));
}

/* -- the list ----------------------------------------------------------------------------------------------------- */

/* Multiply-adds of one image, and those of the first convolution. */
#define LENET_MACS       (24.0 * 24 * 6 * 25 + 8 * 8 * 16 * 150 + 256 * 120 + 120 * 84 + 84 * 10)
#define LENET_DATA_MACS  (24.0 * 24 * 6 * 25)
#define RESNET_MACS      (784.0 * 16 * 9 + 4 * 784 * 16 * 144 + 196 * 32 * 144 + 196 * 32 * 288 + 196 * 32 * 16 + 32 * 10)
#define RESNET_DATA_MACS (784.0 * 16 * 9)
/* Multiply-adds of one sequence of 64 characters. */
#define GRU_MACS (64.0 * (64 * 384 + 128 * 384 + 128 * 65))
#define GPT_MACS (64.0 * (4 * (128 * 384 + 128 * 128 + 2 * 128 * 512 + 2 * 64 * 128) + 128 * 65))
#define MB       (1024.0 * 1024)

const workload workloads[] = {
    {.name = "scalar-sgd", .build = build_scalar, .tolerance = 1e-4},
    {.name = "scalar-sgd-500",
     .build = build_scalar_scan,
     .tolerance = 1e-4,
     .steps = DESCENT,
     .reference = "scalar-sgd"},
    {.name = "iris", .build = build_iris, .batch = 1, .tolerance = 1e-4},
    {.name = "logreg-digits",
     .build = build_digits,
     .batch = 32,
     .tolerance = 1e-4,
     .macs = 640,
     .data_macs = 640,
     .trains = true},
    {.name = "mlp-b32",
     .build = build_mlp,
     .batch = 32,
     .tolerance = 1e-4,
     .macs = 784 * 128 + 128 * 10,
     .data_macs = 784 * 128,
     .trains = true},
    {.name = "mlp3-b128",
     .build = build_mlp3,
     .batch = 128,
     .tolerance = 1e-4,
     .macs = 784 * 512 + 512 * 256 + 256 * 10,
     .data_macs = 784 * 512,
     .trains = true},
    {.name = "lenet-b32",
     .build = build_lenet,
     .batch = 32,
     .tolerance = 1e-4,
     .macs = LENET_MACS,
     .data_macs = LENET_DATA_MACS,
     .trains = true},
    {.name = "resnet-mini-b32",
     .build = build_resnet,
     .batch = 32,
     .tolerance = 1e-3,
     .macs = RESNET_MACS,
     .data_macs = RESNET_DATA_MACS,
     .trains = true},
    {.name = "gru-char", .build = build_gru, .batch = 16, .tolerance = 1e-3, .macs = GRU_MACS, .trains = true},
    {.name = "gpt-nano", .build = build_gpt, .batch = 12, .tolerance = 1e-3, .macs = GPT_MACS, .trains = true},
    {.name = "chain-1M", .build = build_chain, .tolerance = 1e-4, .read = 12 * MB, .written = 12 * MB},
    {.name = "softmax-layernorm", .build = build_softmax, .tolerance = 1e-4, .read = 4 * MB, .written = 2 * MB},
    {.name = "mlp-infer-b1",
     .build = build_mlp_inference,
     .batch = 1,
     .tolerance = 1e-4,
     .macs = 784 * 128 + 128 * 10,
     .read = 4 * (784 * 128 + 128 * 10)},
    {.name = "lenet-infer-b1", .build = build_lenet_inference, .batch = 1, .tolerance = 1e-4, .macs = LENET_MACS},
};
const int workload_count = LENGTH(workloads);
