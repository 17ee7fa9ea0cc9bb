/* Layers and models: values against plain C, gradients, names and lists of weights, state that steps move on, the
 * summary, messages, native bits, memory that runs out. */
#include "grad_check.h"
#include "nadir/nn.h"
#include "run_suite.h"
#include "two_ways.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static nd_module *m;

static void begin(void)
{
    m = nd_module_create("model");
    ck_assert_ptr_nonnull(m);
}

static void end(void)
{
    nd_module_destroy(m);
}

/* -- running ------------------------------------------------------------------------------------------------------ */

typedef struct session {
    nd_program *program;
    nd_state *state;
} session;

static session start(void)
{
    session s = {.program = nd_compile(m, &(nd_compile_options){.interpret = true})};
    ck_assert_msg(nd_program_status(s.program) == ND_OK, "%s", nd_program_error(s.program));
    s.state = nd_state_create(s.program, 5);
    ck_assert_msg(s.state, "%s", nd_program_error(s.program));
    return s;
}

static void stop(session *s)
{
    nd_state_destroy(s->state);
    nd_program_destroy(s->program);
}

/* Output 0 of a function of one input, both of f64 elements; `count` of them are compared by size. */
static void run(session *s, const char *function, const double *x, double *y)
{
    int f = nd_program_function_index(s->program, function);
    nd_port in = nd_program_input(s->program, f, 0), out = nd_program_output(s->program, f, 0);
    nd_tensor *tx = nd_tensor_borrow(in.dtype, in.shape, (void *)(uintptr_t)x);
    nd_tensor *ty = nd_tensor_borrow(out.dtype, out.shape, y);
    nd_call *call = nd_bind(s->program, function, s->state, ND_IN(tx), ND_OUT(ty));
    ck_assert_msg(call, "%s", nd_program_error(s->program));
    ck_assert_int_eq(nd_run(call), ND_OK);
    nd_call_destroy(call);
    nd_tensor_destroy(tx);
    nd_tensor_destroy(ty);
}

static const double *variable(session *s, const char *name)
{
    nd_tensor *t = nd_state_tensor(s->state, name);
    ck_assert_msg(t, "there is no variable %s", name);
    return nd_tensor_data(t);
}

static void close_to(const char *what, int n, const double *have, const double *want, double tolerance)
{
    for (int i = 0; i < n; i++)
        ck_assert_msg(fabs(have[i] - want[i]) <= tolerance, "%s: element %d is %.17g, not %.17g", what, i, have[i],
                      want[i]);
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

/* y = x w + b for one row. */
static void affine(const double *x, const double *w, const double *b, int in, int out, double *y)
{
    for (int k = 0; k < out; k++) {
        y[k] = b[k];
        for (int i = 0; i < in; i++)
            y[k] += x[i] * w[i * out + k];
    }
}

/* -- weights ------------------------------------------------------------------------------------------------------ */

static void expect_names(nd_values values, int n, const char *const *names)
{
    ck_assert_int_eq((int)values.count, n);
    for (int i = 0; i < n; i++)
        ck_assert_str_eq(nd_value_name(values.items[i]), names[i]);
}

START_TEST(dense_value)
{
    enum { B = 2, IN = 3, OUT = 4 };
    double x[B * IN], y[B * OUT], want[B * OUT];
    nd_layer *l = nd_dense(OUT, ND_TANH);
    nd_value *in = nd_input(m, "x", ND_F64, ND_SHAPE(B, IN));
    nd_layer_set_init(l, "bias", nd_random_normal(0, 1));
    nd_function(m, "f", ND_VALUES(in), ND_VALUES(nd_layer_call(l, in, NULL)));
    session s = start();
    grad_fill(x, B * IN, -1, 1, 1);
    run(&s, "f", x, y);
    for (int r = 0; r < B; r++) {
        affine(x + r * IN, variable(&s, "dense/weight"), variable(&s, "dense/bias"), IN, OUT, want + r * OUT);
        for (int k = 0; k < OUT; k++)
            want[r * OUT + k] = tanh(want[r * OUT + k]);
    }
    close_to("dense", B * OUT, y, want, 1e-14);
    ck_assert(variable(&s, "dense/bias")[0] != 0);
    stop(&s);
    nd_layer_destroy(l);
}
END_TEST

/* Built once: another batch size, training and not, use the same weights; a model that begins empty; nested; shared. */
START_TEST(weights_and_their_names)
{
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(nd_dim(m, "B", 4), 6)),
             *one = nd_input(m, "one", ND_F32, ND_SHAPE(1, 6));
    nd_layer *tail = nd_dense(6, ND_LINEAR);
    nd_layer *model = nd_sequential_of("mlp", 0, NULL);
    nd_sequential_add(model, nd_layer_named(nd_dense(5, ND_RELU), "hidden"));
    nd_sequential_add(model, nd_dropout(0.5));
    nd_sequential_add(model, nd_sequential("inner", nd_dense(6, ND_RELU), nd_layer_share(tail)));
    nd_sequential_add(model, tail);
    nd_sequential_add(model, nd_dense_without_bias(2, ND_LINEAR));
    ck_assert_ptr_null(nd_layer_find(model, "hidden/weight"));
    nd_value *y = nd_layer_call(model, x, &(nd_call_options){.training = true});
    nd_layer_call(model, one, NULL);
    ck_assert_msg(nd_module_status(m) == ND_OK, "%s", nd_module_error(m));
    ck_assert_int_eq(nd_value_shape(y).rank, 2);
    ck_assert_int_eq((int)nd_value_shape(y).dims[1], 2);

    const char *names[] = {"mlp/hidden/weight",    "mlp/hidden/bias",          "mlp/inner/dense/weight",
                           "mlp/inner/dense/bias", "mlp/inner/dense_1/weight", "mlp/inner/dense_1/bias",
                           "mlp/dense_1/weight"};
    expect_names(nd_layer_weights(model), 7, names);
    ck_assert_int_eq((int)nd_layer_variables(model).count, 8);
    ck_assert_int_eq(m->variable_count, 8);
    ck_assert_int_eq((int)nd_layer_parameters(model, false), 35 + 36 + 42 + 12);
    ck_assert_str_eq(nd_value_name(nd_layer_find(model, "hidden/weight")), "mlp/hidden/weight");
    ck_assert_ptr_eq(nd_layer_find(model, "mlp/dense_1/weight"), nd_layer_weights(model).items[6]);
    ck_assert_ptr_null(nd_layer_find(model, "hidden"));

    nd_layer_freeze(tail, true);
    ck_assert_int_eq((int)nd_layer_weights(model).count, 5);
    ck_assert_int_eq((int)nd_layer_parameters(model, true), 35 + 36 + 12);
    nd_layer_freeze(model, false);
    ck_assert_int_eq((int)nd_layer_weights(model).count, 7);
    nd_layer_destroy(model);
}
END_TEST

START_TEST(penalty)
{
    nd_value *x = nd_input(m, "x", ND_F64, ND_SHAPE(2, 3));
    nd_layer *model = nd_sequential("p", nd_dense(4, ND_RELU), nd_dense(2, ND_LINEAR));
    ck_assert_ptr_null(nd_layer_penalty(model));
    nd_layer_call(model, x, NULL);
    nd_function(m, "none", ND_VALUES(x), ND_VALUES(nd_layer_penalty(model)));
    nd_layer_regularise(model, 0.5, 0.25);
    nd_function(m, "f", ND_VALUES(x), ND_VALUES(nd_layer_penalty(model)));
    session s = start();
    double in[6] = {0}, have, want = 0;
    run(&s, "none", in, &have);
    ck_assert(have == 0);
    run(&s, "f", in, &have);
    for (int i = 0; i < 20; i++) {
        double w = i < 12 ? variable(&s, "p/dense/weight")[i] : variable(&s, "p/dense_1/weight")[i - 12];
        want += 0.5 * fabs(w) + 0.25 * w * w;
    }
    ck_assert_double_eq_tol(have, want, 1e-14);
    stop(&s);
    nd_layer_destroy(model);
}
END_TEST

/* What is said of a layer before its first call holds for the layers that this call makes inside. */
START_TEST(settings_before_the_first_call)
{
    nd_value *x = nd_input(m, "x", ND_F64, ND_SHAPE(1, 2, 4));
    nd_layer *l = nd_attention(2, false), *frozen = nd_layer_named(nd_attention(2, false), "frozen");
    nd_layer_freeze(frozen, true);
    nd_layer_regularise(l, 0, 1);
    nd_layer_call(l, x, NULL);
    nd_layer_call(frozen, x, NULL);
    ck_assert_int_eq((int)nd_layer_weights(frozen).count, 0);
    ck_assert_int_eq((int)nd_layer_variables(frozen).count, 4);
    nd_function(m, "f", ND_VALUES(x), ND_VALUES(nd_layer_penalty(l)));
    session s = start();
    double in[8] = {0}, have, want = 0;
    run(&s, "f", in, &have);
    for (int i = 0; i < 4 * 12 + 4 * 4; i++) {
        double w = variable(&s, i < 48 ? "attention/qkv/weight" : "attention/projection/weight")[i < 48 ? i : i - 48];
        want += w * w;
    }
    ck_assert_double_eq_tol(have, want, 1e-13);
    stop(&s);
    nd_layer_destroy(l);
    nd_layer_destroy(frozen);
}
END_TEST

/* -- windows ------------------------------------------------------------------------------------------------------ */

/* What a window over two axes does; a sequence is an image of height 1. */
typedef struct window {
    int size[2], kernel[2], stride[2], low[2], places[2], dilation[2];
} window;

/* The elements (in a channel that the caller adds) of the window at `place` that are inside, into `at`, their places in
 * the kernel into `tap`; how many. */
static int elements_of(const window *w, int place, int channels, int *at, int *tap)
{
    int n = 0;
    const int oy = place / w->places[1], ox = place % w->places[1];
    for (int ky = 0; ky < w->kernel[0]; ky++)
        for (int kx = 0; kx < w->kernel[1]; kx++) {
            const int y = oy * w->stride[0] + ky * w->dilation[0] - w->low[0];
            const int x = ox * w->stride[1] + kx * w->dilation[1] - w->low[1];
            if (y < 0 || y >= w->size[0] || x < 0 || x >= w->size[1])
                continue;
            at[n] = (y * w->size[1] + x) * channels;
            tap[n++] = ky * w->kernel[1] + kx;
        }
    return n;
}

/* An image with a stride and padding on two sides; groups with a dilation; a sequence. */
START_TEST(convolutions)
{
    enum { B = 2, IN = 4, OUT = 6, ROOM = 300 };
    const window windows[] = {
        {.size = {5, 6}, .kernel = {3, 2}, .stride = {2, 1}, .low = {1, 0}, .places = {3, 6}, .dilation = {1, 1}},
        {.size = {5, 6}, .kernel = {2, 3}, .stride = {1, 1}, .low = {0, 1}, .places = {3, 4}, .dilation = {2, 2}},
        {.size = {1, 7}, .kernel = {1, 3}, .stride = {1, 2}, .low = {0, 1}, .places = {1, 4}, .dilation = {1, 1}}};
    const nd_conv_options options[] = {{.stride = {2, 1}, .low = {1, 0}, .high = {1, 1}},
                                       {.low = {0, 1}, .high = {0, 1}, .dilation = {2, 2}, .groups = 2},
                                       {.stride = {2}, .same = true}};
    const window *w = &windows[_i];
    const bool flat = _i == 2, biased = _i != 1;
    nd_value *x = nd_input(m, "x", ND_F64, flat ? ND_SHAPE(B, 7, IN) : ND_SHAPE(B, 5, 6, IN));
    nd_layer *l = flat     ? nd_conv1d_layer(OUT, 3, ND_TANH, &options[_i])
                  : biased ? nd_conv2d_layer(OUT, 3, 2, ND_TANH, &options[_i])
                           : nd_conv2d_layer_without_bias(OUT, 2, 3, ND_TANH, &options[_i]);
    if (biased)
        nd_layer_set_init(l, "bias", nd_random_normal(0, 1));
    nd_function(m, "f", ND_VALUES(x), ND_VALUES(nd_layer_call(l, x, NULL)));
    session s = start();
    expect_names(nd_layer_weights(l), biased ? 2 : 1,
                 flat ? (const char *[]){"conv1d/weight", "conv1d/bias"}
                      : (const char *[]){"conv2d/weight", "conv2d/bias"});
    const int pixels = w->size[0] * w->size[1], count = w->places[0] * w->places[1], groups = biased ? 1 : 2;
    const double *weight = variable(&s, flat ? "conv1d/weight" : "conv2d/weight");
    const double *bias = biased ? variable(&s, flat ? "conv1d/bias" : "conv2d/bias") : NULL;
    double in[ROOM], y[ROOM], want[ROOM];
    ck_assert_int_le(B * pixels * IN, ROOM);
    ck_assert_int_le(B * count * OUT, ROOM);
    grad_fill(in, B * pixels * IN, -1, 1, 1);
    run(&s, "f", in, y);
    for (int i = 0; i < B * count * OUT; i++) {
        const int d = i % OUT, image = i / OUT / count, inside = IN / groups, group = d / (OUT / groups);
        int at[6], tap[6], n = elements_of(w, i / OUT % count, IN, at, tap);
        double sum = biased ? bias[d] : 0;
        for (int k = 0; k < n; k++)
            for (int c = 0; c < inside; c++)
                sum += in[image * pixels * IN + at[k] + group * inside + c] * weight[(tap[k] * inside + c) * OUT + d];
        want[i] = tanh(sum);
    }
    close_to(l->kind->name, B * count * OUT, y, want, 1e-14);
    stop(&s);
    nd_layer_destroy(l);
}
END_TEST

START_TEST(pools)
{
    enum { B = 2, C = 3, ROOM = 200 };
    const window windows[] = {
        {.size = {5, 6}, .kernel = {3, 2}, .stride = {1, 2}, .low = {1, 0}, .places = {5, 3}, .dilation = {1, 1}},
        {.size = {1, 7}, .kernel = {1, 2}, .stride = {1, 2}, .places = {1, 3}, .dilation = {1, 1}}};
    const bool flat = _i >= 2, mean = _i % 2;
    const window *w = &windows[flat];
    const nd_pool_options image = {.window = {3, 2}, .stride = {1}, .low = {1}, .high = {1}},
                          sequence = {.window = {2}};
    nd_layer *l = _i == 0   ? nd_max_pool2d_layer(&image)
                  : _i == 1 ? nd_avg_pool2d_layer(&image)
                  : _i == 2 ? nd_max_pool1d_layer(&sequence)
                            : nd_avg_pool1d_layer(&sequence);
    nd_value *x = nd_input(m, "x", ND_F64, flat ? ND_SHAPE(B, 7, C) : ND_SHAPE(B, 5, 6, C));
    nd_function(m, "f", ND_VALUES(x), ND_VALUES(nd_layer_call(l, x, NULL)));
    session s = start();
    const int pixels = w->size[0] * w->size[1], count = w->places[0] * w->places[1];
    double in[ROOM], y[ROOM], want[ROOM];
    ck_assert_int_le(B * pixels * C, ROOM);
    grad_fill(in, B * pixels * C, -1, 1, 1);
    run(&s, "f", in, y);
    for (int i = 0; i < B * count * C; i++) {
        int at[6], tap[6], n = elements_of(w, i / C % count, C, at, tap);
        double sum = 0, most = -INFINITY;
        for (int k = 0; k < n; k++) {
            const double e = in[i / C / count * pixels * C + at[k] + i % C];
            sum += e;
            most = fmax(most, e);
        }
        want[i] = mean ? sum / n : most;
    }
    close_to(l->kind->name, B * count * C, y, want, 1e-15);
    stop(&s);
    nd_layer_destroy(l);
}
END_TEST

/* -- layers of one's own ------------------------------------------------------------------------------------------ */

typedef struct scale {
    nd_layer base;
    nd_value *gain;
    int *built;
} scale;

static void build_scale(nd_layer *l, nd_shape input)
{
    ++*((scale *)l)->built;
    ((scale *)l)->gain = nd_layer_weight(l, "gain", ND_SHAPE(input.dims[input.rank - 1]), nd_full(3));
}

static nd_value *call_scale(nd_layer *l, nd_value *x, const nd_call_options *options)
{
    return options->flags ? x : nd_mul(x, ((scale *)l)->gain);
}

static const nd_layer_kind scale_kind = {"scale", sizeof(scale), .inner = 1, .build = build_scale, .call = call_scale};

static nd_layer *make_scale(int *built)
{
    nd_layer *l = nd_layer_create(&scale_kind);
    ck_assert_ptr_nonnull(l);
    ((scale *)l)->built = built;
    return l;
}

/* `build` once, `call` often; a flag reaches a layer inside a model of one's own. */
START_TEST(own_layer)
{
    int built = 0;
    nd_layer *model = nd_sequential("own", make_scale(&built), nd_residual(make_scale(&built)));
    nd_value *x = nd_input(m, "x", ND_F64, ND_SHAPE(2));
    nd_function(m, "f", ND_VALUES(x), ND_VALUES(nd_layer_call(model, x, NULL)));
    nd_function(m, "g", ND_VALUES(x), ND_VALUES(nd_layer_call(model, x, &(nd_call_options){.flags = 1})));
    ck_assert_int_eq(built, 2);
    session s = start();
    double in[2] = {1, -2}, y[2];
    run(&s, "f", in, y);
    ck_assert(y[0] == 12 && y[1] == -24);
    run(&s, "g", in, y);
    ck_assert(y[0] == 2 && y[1] == -4);
    expect_names(nd_layer_weights(model), 2, (const char *[]){"own/scale/gain", "own/residual/scale/gain"});
    stop(&s);
    nd_layer_destroy(model);
}
END_TEST

/* -- layers with state -------------------------------------------------------------------------------------------- */

/* A quarter goes, the rest is scaled; another quarter in the next step and in a second call; nothing goes outside. */
START_TEST(dropout)
{
    enum { N = 4000 };
    nd_value *x = nd_input(m, "x", ND_F64, ND_SHAPE(N));
    nd_layer *l = nd_dropout(0.25);
    const nd_call_options training = {.training = true};
    nd_value *first = nd_layer_call(l, x, &training), *second = nd_layer_call(l, x, &training);
    nd_function *step = nd_function(m, "step", ND_VALUES(x), ND_VALUES(nd_concat(ND_VALUES(first, second), 0)));
    nd_layer_update(l, step);
    nd_function(m, "eval", ND_VALUES(x), ND_VALUES(nd_layer_call(l, x, NULL)));
    session s = start();
    static double in[N], a[2 * N], b[2 * N];
    grad_fill(in, N, 1, 2, 1);
    run(&s, "step", in, a);
    run(&s, "step", in, b);
    int dropped = 0, same = 0, next = 0;
    for (int i = 0; i < N; i++) {
        ck_assert(a[i] == 0 || fabs(a[i] - in[i] / 0.75) < 1e-15 * a[i] + 1e-15);
        dropped += a[i] == 0;
        same += (a[i] == 0) == (a[N + i] == 0);
        next += (a[i] == 0) == (b[i] == 0);
    }
    /* Six deviations of the counts: 27 of 1000, and 31 of 2500 (they agree in 10 of 16). */
    ck_assert_int_lt(abs(dropped - N / 4), 6 * 28);
    ck_assert_int_lt(abs(same - N * 10 / 16), 6 * 31);
    ck_assert_int_lt(abs(next - N * 10 / 16), 6 * 31);
    run(&s, "eval", in, a);
    ck_assert_int_eq(memcmp(a, in, sizeof in), 0);
    stop(&s);
    nd_layer_destroy(l);
}
END_TEST

START_TEST(layer_norm)
{
    enum { B = 2, D = 5 };
    nd_value *x = nd_input(m, "x", ND_F64, ND_SHAPE(B, D));
    nd_layer *l = nd_layer_norm();
    nd_layer_set_init(l, "gain", nd_random_normal(1, 0.5));
    nd_layer_set_init(l, "bias", nd_random_normal(0, 0.5));
    nd_function(m, "f", ND_VALUES(x), ND_VALUES(nd_layer_call(l, x, NULL)));
    session s = start();
    double in[B * D], y[B * D], want[B * D];
    grad_fill(in, B * D, -1, 3, 1);
    run(&s, "f", in, y);
    for (int r = 0; r < B; r++) {
        double mean = 0, variance = 0;
        for (int i = 0; i < D; i++)
            mean += in[r * D + i] / D;
        for (int i = 0; i < D; i++)
            variance += (in[r * D + i] - mean) * (in[r * D + i] - mean) / D;
        for (int i = 0; i < D; i++)
            want[r * D + i] = (in[r * D + i] - mean) / sqrt(variance + 1e-5) * variable(&s, "layer_norm/gain")[i] +
                              variable(&s, "layer_norm/bias")[i];
    }
    close_to("layer norm", B * D, y, want, 1e-13);
    stop(&s);
    nd_layer_destroy(l);
}
END_TEST

/* Training looks at the batch and moves the running numbers, which inference takes. */
START_TEST(batch_norm)
{
    enum { B = 6, C = 2, STEPS = 4 };
    nd_value *x = nd_input(m, "x", ND_F64, ND_SHAPE(2, 3, C));
    nd_layer *l = nd_batch_norm();
    nd_function *step =
        nd_function(m, "step", ND_VALUES(x), ND_VALUES(nd_layer_call(l, x, &(nd_call_options){.training = true})));
    nd_layer_update(l, step);
    nd_layer_update(l, step); /* nothing is left to be assigned */
    nd_function(m, "eval", ND_VALUES(x), ND_VALUES(nd_layer_call(l, x, NULL)));
    session s = start();
    double in[B * C], y[B * C], want[B * C], running[2][C] = {{0, 0}, {1, 1}};
    for (int t = 0; t < STEPS; t++) {
        grad_fill(in, B * C, -1, 3, (unsigned)t);
        run(&s, "step", in, y);
        for (int c = 0; c < C; c++) {
            double mean = 0, variance = 0;
            for (int i = 0; i < B; i++)
                mean += in[i * C + c] / B;
            for (int i = 0; i < B; i++)
                variance += (in[i * C + c] - mean) * (in[i * C + c] - mean) / B;
            for (int i = 0; i < B; i++)
                want[i * C + c] = (in[i * C + c] - mean) / sqrt(variance + 1e-5);
            running[0][c] = 0.9 * running[0][c] + 0.1 * mean;
            running[1][c] = 0.9 * running[1][c] + 0.1 * variance;
        }
        close_to("batch norm", B * C, y, want, 1e-13);
        close_to("running mean", C, variable(&s, "batch_norm/running_mean"), running[0], 1e-14);
        close_to("running variance", C, variable(&s, "batch_norm/running_variance"), running[1], 1e-14);
    }
    run(&s, "eval", in, y);
    for (int i = 0; i < B * C; i++)
        want[i] = (in[i] - running[0][i % C]) / sqrt(running[1][i % C] + 1e-5);
    close_to("batch norm of inference", B * C, y, want, 1e-13);
    expect_names(nd_layer_weights(l), 2, (const char *[]){"batch_norm/gain", "batch_norm/bias"});
    stop(&s);
    nd_layer_destroy(l);
}
END_TEST

/* -- sequences ---------------------------------------------------------------------------------------------------- */

START_TEST(gru)
{
    enum { B = 2, T = 4, IN = 3, U = 2 };
    nd_value *x = nd_input(m, "x", ND_F64, ND_SHAPE(B, T, IN));
    nd_layer *l = nd_gru(U, true), *last = nd_gru(U, false);
    const char *const names[] = {"input_weight", "input_bias", "state_weight", "state_bias"};
    for (int i = 0; i < 4; i++) {
        nd_layer_set_init(l, names[i], nd_full(0.1 * (i + 1)));
        nd_layer_set_init(last, names[i], nd_full(0.1 * (i + 1)));
    }
    nd_layer_set_init(l, "state_weight", nd_random_normal(0, 1));
    nd_function(m, "f", ND_VALUES(x), ND_VALUES(nd_layer_call(l, x, NULL)));
    nd_function(m, "g", ND_VALUES(x), ND_VALUES(nd_layer_call(nd_layer_named(last, "last"), x, NULL)));
    session s = start();
    double in[B * T * IN], y[B * T * U], want[B * T * U], end_state[B * U];
    grad_fill(in, B * T * IN, -1, 1, 1);
    for (int which = 0; which < 2; which++) {
        run(&s, which ? "g" : "f", in, which ? end_state : y);
        const double *w[4];
        for (int i = 0; i < 4; i++) {
            char name[40];
            snprintf(name, sizeof name, "%s/%s", which ? "last" : "gru", names[i]);
            w[i] = variable(&s, name);
        }
        for (int b = 0; b < B; b++) {
            double h[U] = {0}, p[3 * U], q[3 * U];
            for (int t = 0; t < T; t++) {
                affine(in + (b * T + t) * IN, w[0], w[1], IN, 3 * U, p);
                affine(h, w[2], w[3], U, 3 * U, q);
                for (int u = 0; u < U; u++) {
                    double r = sigmoid(p[u] + q[u]), z = sigmoid(p[U + u] + q[U + u]);
                    double c = tanh(p[2 * U + u] + r * q[2 * U + u]);
                    want[(b * T + t) * U + u] = h[u] = c + z * (h[u] - c);
                }
            }
            if (which)
                close_to("last state", U, end_state + b * U, h, 1e-14);
        }
        if (!which)
            close_to("states", B * T * U, y, want, 1e-14);
    }
    stop(&s);
    nd_layer_destroy(l);
    nd_layer_destroy(last);
}
END_TEST

START_TEST(self_attention)
{
    enum { B = 2, T = 3, H = 2, D = 4, HEAD = D / H };
    bool causal = _i;
    nd_value *x = nd_input(m, "x", ND_F64, ND_SHAPE(B, T, D));
    nd_layer *l = nd_attention(H, causal);
    nd_function(m, "f", ND_VALUES(x), ND_VALUES(nd_layer_call(l, x, NULL)));
    session s = start();
    double in[B * T * D], y[B * T * D], want[B * T * D];
    grad_fill(in, B * T * D, -2, 2, 1);
    run(&s, "f", in, y);
    const double *qkv = variable(&s, "attention/qkv/weight"), *b_qkv = variable(&s, "attention/qkv/bias");
    const double *out = variable(&s, "attention/projection/weight"), *b_out = variable(&s, "attention/projection/bias");
    for (int b = 0; b < B; b++) {
        double all[T][3 * D];
        for (int t = 0; t < T; t++)
            affine(in + (b * T + t) * D, qkv, b_qkv, D, 3 * D, all[t]);
        for (int t = 0; t < T; t++) {
            double seen[D] = {0};
            for (int h = 0; h < H; h++) {
                double weight[T], sum = 0;
                for (int k = 0; k < T; k++) {
                    double score = 0;
                    for (int i = 0; i < HEAD; i++)
                        score += all[t][h * HEAD + i] * all[k][D + h * HEAD + i];
                    sum += weight[k] = causal && k > t ? 0 : exp(score / sqrt(HEAD));
                }
                for (int k = 0; k < T; k++)
                    for (int i = 0; i < HEAD; i++)
                        seen[h * HEAD + i] += weight[k] / sum * all[k][2 * D + h * HEAD + i];
            }
            affine(seen, out, b_out, D, D, want + (b * T + t) * D);
        }
    }
    close_to("attention", B * T * D, y, want, 1e-13);
    stop(&s);
    nd_layer_destroy(l);
}
END_TEST

/* The block is its layers, added up. */
START_TEST(transformer_block)
{
    nd_value *x = nd_input(m, "x", ND_F64, ND_SHAPE(2, 3, 4)), *y = x;
    nd_layer *block = nd_transformer_block(2, 8, true, 0);
    nd_value *whole = nd_layer_call(block, x, NULL);
    nd_layer *norms[2] = {nd_layer_named(nd_layer_norm(), "a"), nd_layer_named(nd_layer_norm(), "b")};
    nd_layer *attention = nd_attention(2, true), *up = nd_layer_named(nd_dense(8, ND_GELU_TANH), "up");
    nd_layer *down = nd_layer_named(nd_dense(4, ND_LINEAR), "down");
    y = nd_add(y, nd_layer_call(attention, nd_layer_call(norms[0], y, NULL), NULL));
    y = nd_add(y, nd_layer_call(down, nd_layer_call(up, nd_layer_call(norms[1], y, NULL), NULL), NULL));
    nd_function(m, "whole", ND_VALUES(x), ND_VALUES(whole));
    nd_function(m, "parts", ND_VALUES(x), ND_VALUES(y));
    session s = start();
    const char *pairs[][2] = {{"transformer_block/attention/qkv/weight", "attention/qkv/weight"},
                              {"transformer_block/attention/projection/weight", "attention/projection/weight"},
                              {"transformer_block/up/weight", "up/weight"},
                              {"transformer_block/down/weight", "down/weight"}};
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(nd_state_set(s.state, pairs[i][1], nd_state_tensor(s.state, pairs[i][0])), ND_OK);
    double in[24], have[24], want[24];
    grad_fill(in, 24, -1, 1, 1);
    run(&s, "whole", in, have);
    run(&s, "parts", in, want);
    ck_assert_int_eq(memcmp(have, want, sizeof have), 0);
    ck_assert_int_eq((int)nd_layer_parameters(block, true), 8 + 4 * 12 + 12 + 16 + 4 + 8 + 4 * 8 + 8 + 32 + 4);
    stop(&s);
    nd_layer *all[] = {block, norms[0], norms[1], attention, up, down};
    for (int i = 0; i < 6; i++)
        nd_layer_destroy(all[i]);
}
END_TEST

/* -- gradients ---------------------------------------------------------------------------------------------------- */

/* By the input and every weight, against finite differences. */
START_TEST(gradients)
{
    enum { ROOM = 60 };
    const nd_call_options training = {.training = true};
    const nd_conv_options strided = {.stride = {2, 1}, .same = true};
    const nd_pool_options pairs = {.window = {2}};
    nd_shape shape = _i == 6 ? ND_SHAPE(2, 3, 2, 2) : _i >= 4 ? ND_SHAPE(2, 3, 4) : ND_SHAPE(3, 4);
    nd_layer *l = _i == 0   ? nd_dense(2, ND_SOFTPLUS)
                  : _i == 1 ? nd_layer_norm()
                  : _i == 2 ? nd_batch_norm()
                  : _i == 3 ? nd_residual(nd_dense(4, ND_SILU))
                  : _i == 4 ? nd_gru(2, true)
                  : _i == 5 ? nd_attention(2, true)
                  : _i == 6 ? nd_conv2d_layer(3, 2, 2, ND_TANH, &strided)
                  : _i == 7 ? nd_conv1d_layer(2, 2, ND_SIGMOID, NULL)
                  : _i == 8 ? nd_max_pool1d_layer(&pairs)
                            : nd_avg_pool1d_layer(&pairs);
    /* All that is differentiated by first: grad_check gives memory to variable i of target i. */
    nd_value *x = nd_variable(m, "x", ND_F64, shape, nd_zeros()), *targets[6] = {x};
    nd_value *y = nd_layer_call(l, x, _i == 2 ? NULL : &training);
    if (_i == 2) /* the running numbers are variables, too, and none of the targets */
        y = nd_layer_call(l, x, &training);
    nd_values weights = nd_layer_weights(l);
    double points[6][ROOM], *at[6] = {points[0]};
    grad_fill(points[0], 24, -1, 1, 5);
    for (size_t i = 0; i < weights.count; i++) {
        targets[i + 1] = weights.items[i];
        at[i + 1] = points[i + 1];
        ck_assert_int_le(grad_count(weights.items[i]), ROOM);
        grad_fill(points[i + 1], grad_count(weights.items[i]), -1, 1, (unsigned)i);
    }
    grad_check(l->kind->name, m, (int)weights.count + 1, targets, y, at, _i == 4 || _i == 5);
    nd_layer_destroy(l);
}
END_TEST

/* The activations that layers brought. */
START_TEST(activations)
{
    nd_value *x = nd_input(m, "x", ND_F64, ND_SHAPE(7));
    double at[7] = {-30, -2, -0.5, 0, 0.5, 2, 30}, y[7];
    const nd_activation kinds[] = {ND_GELU, ND_GELU_TANH, ND_SILU, ND_SOFTPLUS};
    nd_value *v = nd_activate(x, kinds[_i]);
    nd_function(m, "f", ND_VALUES(x), ND_VALUES(v));
    session s = start();
    run(&s, "f", at, y);
    for (int i = 0; i < 7; i++) {
        double a = at[i], cubic = sqrt(2 / acos(-1)) * (a + 0.044715 * a * a * a);
        double want = _i == 0   ? a * erfc(-a / sqrt(2)) / 2
                      : _i == 1 ? a / 2 * (1 + tanh(cubic))
                      : _i == 2 ? a * sigmoid(a)
                                : log1p(exp(a));
        ck_assert_double_eq_tol(y[i], want, 1e-14 * fmax(1, fabs(a)));
    }
    stop(&s);
    grad_fill(at, 7, -2, 2, 3);
    grad_check("activation", m, 1, &x, v, (double *[]){at}, false);
}
END_TEST

/* -- initial values ----------------------------------------------------------------------------------------------- */

START_TEST(orthogonal_matrices)
{
    const nd_shape shapes[] = {ND_SHAPE(7, 3), ND_SHAPE(3, 7), ND_SHAPE(5, 5), ND_SHAPE(2, 3, 4)};
    nd_shape shape = shapes[_i];
    nd_value *w = nd_variable(m, "w", ND_F64, shape, nd_orthogonal(2));
    int columns = (int)shape.dims[shape.rank - 1], rows = grad_count(w) / columns;
    session s = start();
    const double *a = variable(&s, "w");
    bool wide = columns > rows;
    int k = wide ? rows : columns, n = wide ? columns : rows;
    for (int i = 0; i < k; i++)
        for (int j = 0; j < k; j++) {
            double dot = 0;
            for (int t = 0; t < n; t++)
                dot += wide ? a[i * columns + t] * a[j * columns + t] : a[t * columns + i] * a[t * columns + j];
            ck_assert_double_eq_tol(dot, i == j ? 4 : 0, 1e-14);
        }
    stop(&s);
}
END_TEST

/* Mean, deviation and extent of 20000 values: the bounds are six deviations of these figures. */
START_TEST(distributions)
{
    enum { IN = 100, OUT = 200, N = IN * OUT };
    const struct {
        nd_init init;
        double mean, deviation, extent;
    } cases[] = {{nd_truncated_normal(1, 0.5), 1, 0.5 * 0.87962566, 1},
                 {nd_glorot_normal(), 0, sqrt(2.0 / (IN + OUT)), 6 * sqrt(2.0 / (IN + OUT))},
                 {nd_he_uniform(), 0, sqrt(2.0 / IN), sqrt(6.0 / IN)},
                 {nd_lecun_uniform(), 0, sqrt(1.0 / IN), sqrt(3.0 / IN)},
                 {nd_lecun_normal(), 0, sqrt(1.0 / IN), 6 * sqrt(1.0 / IN)}};
    nd_variable(m, "w", ND_F64, ND_SHAPE(IN, OUT), cases[_i].init);
    session s = start();
    const double *w = variable(&s, "w");
    double sum = 0, squares = 0, farthest = 0, d = cases[_i].deviation;
    for (int i = 0; i < N; i++) {
        double x = w[i] - cases[_i].mean;
        sum += x, squares += x * x;
        farthest = fmax(farthest, fabs(x));
    }
    ck_assert_double_lt(fabs(sum / N), 6 * d / sqrt(N));
    ck_assert_double_lt(fabs(sqrt(squares / N) / d - 1), 6 / sqrt(2.0 * N));
    ck_assert_double_le(farthest, cases[_i].extent);
    if (_i == 0 || _i == 2)
        ck_assert_double_gt(farthest, 0.99 * cases[_i].extent);
    stop(&s);
}
END_TEST

/* -- native code -------------------------------------------------------------------------------------------------- */

/* Whole training steps of small models. */
START_TEST(native_bits)
{
    nd_layer *model = NULL;
    int64_t rows = nd_dim(m, "B", 3), length = nd_dim(m, "T", 5);
    const nd_shape shapes[] = {ND_SHAPE(rows, 9), ND_SHAPE(rows, length), ND_SHAPE(rows, length),
                               ND_SHAPE(rows, 10, 12, 2), ND_SHAPE(rows, 21, 3)};
    nd_value *in = nd_input(m, "x", _i == 2 ? ND_I32 : ND_F32, shapes[_i]), *x = in;
    nd_value *y = nd_input(m, "y", ND_I32, _i == 2 ? ND_SHAPE(rows, length) : ND_SHAPE(rows));
    switch (_i) {
    case 0:
        model = nd_sequential("mlp", nd_dense(8, ND_GELU), nd_batch_norm(), nd_dropout(0.3),
                              nd_residual(nd_dense(8, ND_SILU)), nd_dense(4, ND_LINEAR));
        break;
    case 1:
        x = nd_at(x, ":, :, None");
        x = nd_concat(ND_VALUES(x, nd_neg(x)), 2);
        model = nd_sequential("rnn", nd_gru(6, true), nd_gru(5, false), nd_dense(4, ND_LINEAR));
        break;
    case 2:
        model = nd_sequential("gpt", nd_embedding(4, 8), nd_transformer_block(2, 12, true, 0.1), nd_layer_norm(),
                              nd_dense_without_bias(4, ND_LINEAR));
        break;
    case 3:
        model = nd_sequential("net", nd_conv2d_layer(6, 3, 3, ND_RELU, &(nd_conv_options){.same = true}),
                              nd_max_pool2d_layer(&(nd_pool_options){.window = {2, 2}}),
                              nd_conv2d_layer_without_bias(4, 2, 2, ND_LINEAR, NULL), nd_batch_norm(),
                              nd_activation_layer(ND_RELU), nd_avg_pool2d_layer(&(nd_pool_options){.window = {2, 2}}),
                              nd_flatten(), nd_dense(4, ND_LINEAR));
        break;
    default:
        model =
            nd_sequential("wave", nd_conv1d_layer(5, 3, ND_TANH, &(nd_conv_options){.stride = {2}}),
                          nd_max_pool1d_layer(&(nd_pool_options){.window = {3}, .stride = {2}}),
                          nd_conv1d_layer(4, 2, ND_GELU, &(nd_conv_options){.same = true}),
                          nd_avg_pool1d_layer(&(nd_pool_options){.window = {2}}), nd_flatten(), nd_dense(4, ND_LINEAR));
        break;
    }
    nd_layer_regularise(model, 0, 1e-3);
    nd_value *logits = nd_layer_call(model, x, &(nd_call_options){.training = true});
    nd_value *loss = nd_add(nd_cross_entropy(logits, y), nd_layer_penalty(model));
    nd_function *step = nd_function(m, "step", ND_VALUES(in, y), ND_VALUES(loss, nd_categorical_accuracy(logits, y)));
    nd_values w = nd_layer_weights(model);
    nd_adamw(step, loss, w.count, w.items, nd_const(m, 0.01), nd_const(m, 0.1), NULL);
    nd_layer_update(model, step);
    ck_assert_msg(nd_module_status(m) == ND_OK, "%s", nd_module_error(m));
    two_ways(m, "step", 4, 4);
    nd_layer_destroy(model);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("nn_layer");
    TCase *c = tcase_create("nn_layer");
    tcase_add_checked_fixture(c, begin, end);
    tcase_add_test(c, dense_value);
    tcase_add_test(c, weights_and_their_names);
    tcase_add_test(c, penalty);
    tcase_add_test(c, settings_before_the_first_call);
    tcase_add_loop_test(c, convolutions, 0, 3);
    tcase_add_loop_test(c, pools, 0, 4);
    tcase_add_test(c, own_layer);
    tcase_add_test(c, dropout);
    tcase_add_test(c, layer_norm);
    tcase_add_test(c, batch_norm);
    tcase_add_test(c, gru);
    tcase_add_loop_test(c, self_attention, 0, 2);
    tcase_add_test(c, transformer_block);
    tcase_add_loop_test(c, gradients, 0, 10);
    tcase_add_loop_test(c, activations, 0, 4);
    tcase_add_loop_test(c, orthogonal_matrices, 0, 4);
    tcase_add_loop_test(c, distributions, 0, 5);
    tcase_add_loop_test(c, native_bits, 0, 5);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
