/* The bit contract, end to end: interpreted, compiled into the process for every processor that runs here, compiled
 * ahead of time and linked by the C compiler, a program gives the same bits. */
#include "compiler/graph/graph.h"
#include "compiler/llvm/llvm.h"
#include "failing_alloc.h"
#include "nadir/compile.h"
#include "nadir/nn.h"
#include "nadir/optimizer.h"
#include "nadir/train.h"
#include "random_graph.h"
#include "random_op.h"
#include "run_suite.h"
#include "temp_dir.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const cpus[] = {"x86-64-v4", "x86-64-v3", "x86-64-v2", "x86-64"};
enum { CPUS = sizeof cpus / sizeof *cpus, MOST = 64 };

static bool runs_here(const char *cpu)
{
    char message[256];
    nd__target target;
    return nd__target_find(cpu, &target, message, sizeof message) == ND_OK && nd__target_runs_here(&target);
}

/* -- one call of every function ---------------------------------------------------------------------------------------
 */

static nd_tensor *make_port(nd_port port)
{
    return nd_tensor_zeros(port.dtype, port.shape);
}

/* The variables from random bits of `seed`, the same for every program of the module. */
static void fill_state(const nd_module *m, nd_state *state, uint64_t seed)
{
    for (int i = 0; i < m->variable_count; i++) {
        const nd__variable *v = m->variables[i];
        nd_tensor *t = nd_tensor_zeros(v->dtype, v->shape);
        random_fill(v->read, nd_tensor_data(t), false, &seed);
        ck_assert_int_eq(nd_state_set(state, v->name, t), ND_OK);
        nd_tensor_destroy(t);
    }
}

/* The outputs of a function, then the variables afterwards. */
static int run(const nd_module *m, nd_program *p, int function, uint64_t seed, nd_tensor **results)
{
    nd_tensor *in[MOST], *out[MOST];
    const int inputs = nd_program_input_count(p, function), outputs = nd_program_output_count(p, function);
    const nd_function *f = nd_module_function(m, nd_program_function_name(p, function));
    nd_state *state = nd_state_create(p, 1);
    int n = 0;
    ck_assert_msg(state, "%s", nd_program_error(p));
    fill_state(m, state, seed);
    for (int i = 0; i < inputs; i++) {
        in[i] = make_port(nd_program_input(p, function, i));
        nd_value bound = *f->inputs[i]; /* whose shape may be of named dimensions */
        bound.shape = nd_tensor_shape(in[i]);
        random_fill(&bound, nd_tensor_data(in[i]), true, &seed);
    }
    for (int i = 0; i < outputs; i++)
        results[n++] = out[i] = make_port(nd_program_output(p, function, i));
    nd_call *call = nd_bind(p, f->name, state, (nd_tensors){(size_t)inputs, in}, (nd_tensors){(size_t)outputs, out});
    ck_assert_msg(call, "%s", nd_program_error(p));
    ck_assert_msg(nd_run(call) == ND_OK, "%s", nd_call_error(call));
    for (int i = 0; i < m->variable_count; i++)
        results[n++] = nd_tensor_copy(nd_state_tensor(state, m->variables[i]->name));
    nd_call_destroy(call);
    nd_state_destroy(state);
    for (int i = 0; i < inputs; i++)
        nd_tensor_destroy(in[i]);
    return n;
}

static void compare(const char *what, const nd_module *m, nd_program *expected, nd_program *found, uint64_t seed)
{
    for (int f = 0; f < nd_program_function_count(expected); f++) {
        if (strcmp(nd_program_function_name(expected, f), "init") == 0)
            continue;
        nd_tensor *a[MOST], *b[MOST];
        int n = run(m, expected, f, seed, a);
        ck_assert_int_eq(run(m, found, f, seed, b), n);
        for (int i = 0; i < n; i++) {
            int64_t at = nd_tensor_difference(a[i], b[i]);
            ck_assert_msg(
                at == -1, "%s, function %s, result %d, element %" PRId64 ": %.17g interpreted, %.17g compiled", what,
                nd_program_function_name(expected, f), i, at, nd_tensor_get(a[i], at), nd_tensor_get(b[i], at));
            nd_tensor_destroy(a[i]);
            nd_tensor_destroy(b[i]);
        }
    }
}

static nd_program *compiled(nd_module *m, const nd_compile_options *options)
{
    nd_program *p = nd_compile(m, options);
    ck_assert_msg(nd_program_status(p) == ND_OK, "%s", nd_program_error(p));
    return p;
}

/* Each graph for one processor after the other. */
START_TEST(random_graphs)
{
    char what[64];
    for (uint64_t seed = 1000; seed < 1060; seed++) {
        uint64_t state = seed;
        const char *cpu = cpus[seed % CPUS];
        nd_module *m = random_graph(&state);
        if (!runs_here(cpu))
            cpu = "x86-64";
        nd_program *p = compiled(m, &(nd_compile_options){.interpret = true});
        nd_program *q = compiled(m, &(nd_compile_options){.cpu = cpu, .passes_off = seed % 5 == 0 ? "all" : NULL});
        snprintf(what, sizeof what, "graph seed %" PRIu64 ", %s", seed, cpu);
        compare(what, m, p, q, seed);
        nd_program_destroy(p);
        nd_program_destroy(q);
        nd_module_destroy(m);
    }
}
END_TEST

/* A step of a small LeNet-5, with a border, a stride and a convolution back beside it. */
START_TEST(convolutions)
{
    nd_module *m = nd_module_create("lenet");
    nd_value *pixels = nd_input(m, "x", ND_U8, ND_SHAPE(4, 16, 16, 1)), *y = nd_input(m, "index", ND_I32, ND_SHAPE(4));
    nd_value *x = nd_div(nd_cast(pixels, ND_F32), nd_const(m, 255)); /* bytes: no NaN that hides the rest */
    nd_value *w[] = {nd_variable(m, "c1", ND_F32, ND_SHAPE(5, 5, 1, 6), nd_he_normal()),
                     nd_variable(m, "b1", ND_F32, ND_SHAPE(6), nd_zeros()),
                     nd_variable(m, "c2", ND_F32, ND_SHAPE(3, 3, 6, 16), nd_he_normal()),
                     nd_variable(m, "b2", ND_F32, ND_SHAPE(16), nd_zeros()),
                     nd_variable(m, "c3", ND_F32, ND_SHAPE(3, 3, 17, 16), nd_he_normal()),
                     nd_variable(m, "w", ND_F32, ND_SHAPE(17 * 25, 10), nd_he_normal())};
    const nd_pool_options halves = {.window = {2, 2}}, threes = {.window = {3, 3}, .stride = {1, 1}, .same = true};
    nd_value *h = nd_max_pool2d(nd_relu(nd_add(nd_conv2d(x, w[0], NULL), w[1])), &halves);
    h = nd_relu(nd_add(nd_conv2d(h, w[2], (&(nd_conv_options){.same = true, .stride = {2, 1}})), w[3]));
    h = nd_add(nd_max_pool2d(h, &threes), nd_avg_pool2d(h, &threes));
    h = nd_conv2d_transpose(h, w[4],
                            (&(nd_conv_options){.stride = {2, 1}, .low = {1, 2}, .high = {1, 1}, .size = {5, 5}}));
    nd_value *loss = nd_cross_entropy(nd_matmul(nd_reshape(h, ND_SHAPE(4, -1)), w[5]), y);
    nd_function *step = nd_function(m, "step", ND_VALUES(pixels, y), ND_VALUES(loss));
    nd_sgd(step, loss, 6, w, nd_const(m, 0.05));
    ck_assert_msg(nd_module_status(m) == ND_OK, "%s", nd_module_error(m));
    nd_program *p = compiled(m, &(nd_compile_options){.interpret = true});
    for (int c = 0; c < CPUS; c++) {
        if (!runs_here(cpus[c]))
            continue;
        nd_program *q = compiled(m, &(nd_compile_options){.cpu = cpus[c]});
        compare(cpus[c], m, p, q, 7);
        nd_program_destroy(q);
    }
    nd_program_destroy(p);
    nd_module_destroy(m);
}
END_TEST

/* -- training --------------------------------------------------------------------------------------------------------
 */

enum { BATCH = 13, FEATURES = 21, HIDDEN = 37, CLASSES = 10, STEPS = 25 };

/* Two layers, momentum, an input of bytes, a loop over the hidden units' scale. */
static nd_module *training_module(void)
{
    nd_module *m = nd_module_create("trained");
    int64_t batch = nd_dim(m, "B", BATCH);
    nd_value *pixels = nd_input(m, "x", ND_U8, ND_SHAPE(batch, FEATURES)),
             *y = nd_input(m, "y", ND_I32, ND_SHAPE(batch));
    nd_value *w1 = nd_variable(m, "hidden/weight", ND_F32, ND_SHAPE(FEATURES, HIDDEN), nd_glorot_uniform());
    nd_value *b1 = nd_variable(m, "hidden/bias", ND_F32, ND_SHAPE(HIDDEN), nd_random_normal(0, 0.1));
    nd_value *w2 = nd_variable(m, "out/weight", ND_F32, ND_SHAPE(HIDDEN, CLASSES), nd_he_normal());
    nd_value *b2 = nd_variable(m, "out/bias", ND_F32, ND_SHAPE(CLASSES), nd_zeros());
    nd_value *x = nd_div(nd_cast(pixels, ND_F32), nd_const(m, 255)), *weights[] = {w1, b1, w2, b2};
    nd_value *h = nd_tanh(nd_add(nd_matmul(x, w1), b1)), *s = nd_input(m, "s", ND_F32, ND_SHAPE(HIDDEN)), *swept[1];
    nd_scan(nd_function(m, "turn", ND_VALUES(s), ND_VALUES(nd_sigmoid(nd_mul(s, b1)))), 3, ND_VALUES(b1), ND_VALUES(),
            false, swept);
    nd_value *loss = nd_cross_entropy(nd_add(nd_matmul(nd_mul(h, swept[0]), w2), b2), y);
    nd_function *step = nd_function(m, "step", ND_VALUES(pixels, y), ND_VALUES(loss));
    nd_sgd_momentum(step, loss, 4, weights, nd_const(m, 0.05), nd_const(m, 0.9));
    ck_assert_msg(nd_module_status(m) == ND_OK, "%s", nd_module_error(m));
    return m;
}

static void fill_batch(int step, nd_tensor *x, nd_tensor *y)
{
    uint64_t state = (uint64_t)step + 99;
    for (int64_t i = 0; i < nd_tensor_count(x); i++)
        nd_tensor_set_i64(x, i, random_below(&state, 256));
    for (int64_t i = 0; i < nd_tensor_count(y); i++)
        nd_tensor_set_i64(y, i, random_below(&state, CLASSES));
}

/* STEPS steps, every fourth on a smaller batch; the losses. */
static nd_state *train(nd_program *p, float *losses)
{
    nd_state *state = nd_state_create(p, 42);
    nd_program *programs[2] = {p, nd_program_specialize(p, "B", 5)};
    ck_assert_msg(state && programs[1], "%s", nd_program_error(p));
    nd_tensor *x[2], *y[2], *loss = nd_tensor_zeros(ND_F32, ND_SCALAR);
    nd_call *calls[2];
    for (int k = 0; k < 2; k++) {
        x[k] = nd_tensor_zeros(ND_U8, ND_SHAPE(k ? 5 : BATCH, FEATURES));
        y[k] = nd_tensor_zeros(ND_I32, ND_SHAPE(k ? 5 : BATCH));
        calls[k] = nd_bind(programs[k], "step", state, ND_IN(x[k], y[k]), ND_OUT(loss));
        ck_assert_msg(calls[k], "%s", nd_program_error(programs[k]));
    }
    for (int i = 0; i < STEPS; i++) {
        int k = i % 4 == 3;
        fill_batch(i, x[k], y[k]);
        ck_assert_int_eq(nd_run(calls[k]), ND_OK);
        losses[i] = (float)nd_tensor_get(loss, 0);
    }
    for (int k = 0; k < 2; k++) {
        nd_call_destroy(calls[k]);
        nd_tensor_destroy(x[k]);
        nd_tensor_destroy(y[k]);
    }
    nd_tensor_destroy(loss);
    return state;
}

START_TEST(whole_training_runs)
{
    nd_module *m = training_module();
    nd_program *p = compiled(m, &(nd_compile_options){.interpret = true});
    float expected[STEPS], losses[STEPS];
    nd_state *reference = train(p, expected);
    ck_assert_msg(expected[STEPS - 1] < expected[0], "it learns: %g, %g", (double)expected[0],
                  (double)expected[STEPS - 1]);
    for (int c = 0; c < CPUS; c++) {
        if (!runs_here(cpus[c]))
            continue;
        nd_program *q = compiled(m, &(nd_compile_options){.cpu = cpus[c]});
        nd_state *state = train(q, losses);
        for (int i = 0; i < STEPS; i++)
            ck_assert_msg(losses[i] == expected[i], "%s, step %d: %.9g and %.9g", cpus[c], i, (double)expected[i],
                          (double)losses[i]);
        for (int i = 0; i < m->variable_count; i++)
            ck_assert_msg(nd_tensor_same_bits(nd_state_tensor(reference, m->variables[i]->name),
                                              nd_state_tensor(state, m->variables[i]->name)),
                          "%s: %s", cpus[c], m->variables[i]->name);
        nd_state_destroy(state);
        nd_program_destroy(q);
    }
    nd_state_destroy(reference);
    nd_program_destroy(p);
    nd_module_destroy(m);
}
END_TEST

/* -- named dimensions, mistakes, memory running out ------------------------------------------------------------------
 */

/* What depends on the batch in every kind of kernel. */
static nd_module *batch_module(void)
{
    nd_module *m = nd_module_create("batch");
    int64_t batch = nd_dim(m, "B", 3);
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(batch, 5)), *y = nd_input(m, "index", ND_I32, ND_SHAPE(batch));
    nd_value *w = nd_variable(m, "w", ND_F32, ND_SHAPE(5, 4), nd_glorot_uniform()), *swept[2];
    nd_value *c = nd_variable(m, "c", ND_F32, ND_SHAPE(4), nd_zeros()), *weights[] = {w, c};
    nd_value *p = nd_input(m, "p", ND_F32, ND_SHAPE(batch, 4)), *q = nd_input(m, "q", ND_F32, ND_SHAPE(batch, 4));
    nd_value *h = nd_add(nd_matmul(x, w), c), *loss = nd_cross_entropy(h, y);
    nd_function *turn = nd_function(m, "turn", ND_VALUES(p), ND_VALUES(nd_tanh(nd_add(p, c)), nd_mul(p, h)));
    nd_scan(turn, 3, ND_VALUES(h), ND_VALUES(), true, swept);
    nd_function *f = nd_function(m, "step", ND_VALUES(x, y, q),
                                 ND_VALUES(loss, nd_argmax(h, 1), nd_gather(w, y), nd_scatter_add(h, y, 6), swept[0],
                                           swept[1], nd_concat(ND_VALUES(q, h), 0), nd_matmul_t(h, true, q, false),
                                           nd_at(nd_exp(h), "::-1"), nd_reduce_max(h, ND_AXES(0), false),
                                           nd_mean(q, ND_ALL_AXES, false), nd_size(m, ND_I64, batch)));
    nd_sgd(f, loss, 2, weights, nd_const(m, 0.1));
    ck_assert_msg(nd_module_status(m) == ND_OK, "%s", nd_module_error(m));
    return m;
}

START_TEST(batches_of_every_size)
{
    static const int64_t sizes[] = {0, 1, 2, 7, 65};
    char what[64], bind[32];
    nd_module *m = batch_module();
    nd_program *p = compiled(m, NULL);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        snprintf(bind, sizeof bind, "B=%d", (int)sizes[i]);
        nd_program *expected = compiled(m, &(nd_compile_options){.interpret = true, .bind = bind});
        nd_program *found = nd_program_specialize(p, "B", sizes[i]);
        ck_assert_msg(found, "%s: %s", bind, nd_program_error(p));
        snprintf(what, sizeof what, "specialised to %s", bind);
        compare(what, m, expected, found, 5);
        nd_program_destroy(expected);
    }
    nd_program_destroy(p);
    nd_module_destroy(m);
}
END_TEST

/* A cast to the same dtype is the input itself: a name for it is none for the port. */
START_TEST(an_input_with_another_name)
{
    nd_module *m = nd_module_create("names");
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(2)), *y = nd_name(nd_cast(x, ND_F32), "y");
    nd_function(m, "f", ND_VALUES(x), ND_VALUES(nd_exp(y)));
    nd_program *p = compiled(m, NULL);
    ck_assert_str_eq(nd_program_input(p, 0, 0).name, "x");
    nd_program_destroy(p);
    nd_module_destroy(m);
}
END_TEST

START_TEST(an_input_that_is_not_listed)
{
    char message[512] = "";
    nd_module *m = nd_module_create("wrong");
    nd_value *x = nd_input_at("net.c:1", m, "x", ND_F32, ND_SCALAR);
    nd_function_at("net.c:2", m, "f", ND_VALUES(), ND_VALUES(nd_exp(x)));
    for (int interpret = 0; interpret < 2; interpret++) {
        nd_program *p = nd_compile(m, &(nd_compile_options){.interpret = interpret});
        ck_assert_int_eq(nd_program_status(p), ND_ERR_GRAPH);
        ck_assert_str_eq(nd_program_error(p), "net.c:2: function \"f\" needs the input \"x\", which is not among its "
                                              "inputs\n  note: \"x\" was made at net.c:1");
        nd_program_destroy(p);
    }
    ck_assert_int_eq(nd_compile_files(m, NULL, temp_path("wrong"), NULL, message, sizeof message), ND_ERR_GRAPH);
    ck_assert_msg(strstr(message, "needs the input"), "%s", message);
    ck_assert_int_eq(nd_module_status(m), ND_OK); /* what is missing may still come */
    nd_module_destroy(m);
}
END_TEST

/* Files may be for several processors, that rise. */
START_TEST(files_for_several_processors)
{
    static const struct {
        const char *cpu;
        nd_status status;
        const char *says;
    } cases[] = {
        {"x86-64,x86-64-v3", ND_OK, ""},
        {"nehalem,haswell,znver4", ND_OK, ""},
        {"native,x86-64-v4", ND_ERR_TARGET, "stands alone"},
        {"x86-64-v4,x86-64-v3", ND_ERR_TARGET, "no more instructions"},
        {"x86-64-v3,haswell", ND_ERR_TARGET, "no more instructions"},
        {"x86-64-v3,,x86-64-v4", ND_ERR_TARGET, "a name is missing"},
        {"x86-64-v3,", ND_ERR_TARGET, "a name is missing"},
        {"x86-64,abacus", ND_ERR_TARGET, "unknown processor \"abacus\""},
        {"x86-64,a-name-longer-than-that-of-any-processor", ND_ERR_TARGET, "a name is too long"},
    };
    nd_module *m = nd_module_create("several");
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(100));
    nd_function(m, "f", ND_VALUES(x), ND_VALUES(nd_exp(x)));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char message[512] = "";
        nd_compile_options options = {.cpu = cases[i].cpu};
        nd_status status = nd_compile_files(m, &options, temp_path("several"), NULL, message, sizeof message);
        ck_assert_msg(status == cases[i].status && strstr(message, cases[i].says), "%s: %s", cases[i].cpu, message);
    }
    char *header = temp_read(temp_path("several.h"));
    ck_assert_msg(strstr(header, "for nehalem, haswell, znver4, whichever the processor has at the first call"), "%s",
                  header);
    free(header);
    nd_module_destroy(m);
}
END_TEST

static nd_status compile_once(nd_module *m, int way, FILE *out)
{
    if (way == 0)
        return nd_plan_print(m, NULL, NULL, true, out, NULL, 0);
    if (way == 1)
        return nd_compile_files(m, NULL, temp_path("starved"), NULL, NULL, 0);
    nd_program *p = nd_compile(m, NULL);
    nd_status status = nd_program_status(p);
    if (status == ND_OK && !nd_program_specialize(p, "B", 1))
        status = strstr(nd_program_error(p), "out of memory") ? ND_ERR_MEMORY : ND_ERR_INTERNAL;
    nd_program_destroy(p);
    return status;
}

/* What compiling says of itself: nothing where nothing was compiled. */
START_TEST(what_came_of_compiling)
{
    nd_module *m = nd_module_create("m");
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(100));
    nd_function_at(ND_HERE, m, "f", ND_VALUES(x), ND_VALUES(nd_exp(x)));
    nd_program *native = nd_compile(m, NULL), *plain = nd_compile(m, &(nd_compile_options){.interpret = true});
    nd_compile_times n = nd_program_compile_times(native), i = nd_program_compile_times(plain);
    ck_assert_int_eq(n.kernels, 1);
    ck_assert_int_gt(n.instructions, 10);
    ck_assert_int_gt(n.code_bytes, n.instructions);
    ck_assert_int_eq(i.kernels + i.instructions + i.code_bytes, 0);
    ck_assert(n.passes > 0 && n.schedule > 0 && n.codegen > 0 && n.load > 0);
    ck_assert(n.passes + n.schedule + n.codegen + n.load <= n.total && i.load == 0);
    nd_program_destroy(plain);
    nd_program_destroy(native);
    nd_module_destroy(m);
}
END_TEST

/* A step of `layers` equal residual layers; `norm`: each takes the mean off what it reads, so that only kernels of rows
 * read the stream. */
static nd_compile_times compile_layers(int layers, bool norm)
{
    nd_module *m = nd_module_create("deep");
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(4, 5, 16)), *h = x, *w[32];
    for (int i = 0; i < layers; i++) {
        char name[16];
        snprintf(name, sizeof name, "w%d", i);
        w[i] = nd_variable(m, name, ND_F32, ND_SHAPE(16, 16), nd_random_normal(0, 0.1));
        nd_value *read = norm ? nd_sub(h, nd_mean(h, ND_AXES(2), true)) : h;
        h = nd_add(h, nd_matmul(nd_tanh(nd_matmul(read, w[i])), w[i]));
    }
    nd_value *loss = nd_mean(nd_mul(h, h), ND_ALL_AXES, false);
    nd_function *step = nd_function(m, "step", ND_VALUES(x), ND_VALUES(loss));
    nd_sgd(step, loss, (size_t)layers, w, nd_const(m, 0.1));
    nd_program *p = nd_compile(m, NULL);
    ck_assert_msg(nd_program_status(p) == ND_OK, "%s", nd_program_error(p));
    const nd_compile_times times = nd_program_compile_times(p);
    nd_program_destroy(p);
    nd_module_destroy(m);
    return times;
}

/* Code grows with what differs between layers, not with their number. */
START_TEST(layers_are_compiled_once)
{
    for (int norm = 0; norm < 2; norm++) {
        const nd_compile_times few = compile_layers(8, norm), many = compile_layers(32, norm);
        ck_assert_int_eq(few.kernels, many.kernels);
        ck_assert_int_eq(few.instructions, many.instructions);
        ck_assert_int_lt(many.code_bytes, few.code_bytes + few.code_bytes / 10);
    }
}
END_TEST

/* So many updates of large variables, each a step in chunks, of two sizes that do not alternate. */
static nd_compile_times compile_updates(int count)
{
    nd_module *m = nd_module_create("wide");
    nd_function *step = nd_function(m, "step", ND_VALUES(), ND_VALUES());
    for (int i = 0; i < count; i++) {
        char name[16];
        snprintf(name, sizeof name, "w%d", i);
        const int rows = __builtin_parity((unsigned)i) ? 1024 : 512;
        nd_value *w = nd_variable(m, name, ND_F32, ND_SHAPE(rows, 256), nd_zeros());
        nd_assign(step, w, nd_tanh(w));
    }
    nd_program *p = nd_compile(m, NULL);
    ck_assert_msg(nd_program_status(p) == ND_OK, "%s", nd_program_error(p));
    const nd_compile_times times = nd_program_compile_times(p);
    nd_program_destroy(p);
    nd_module_destroy(m);
    return times;
}

/* Steps of a function with chunks are data. */
START_TEST(steps_are_data)
{
    const nd_compile_times few = compile_updates(6), many = compile_updates(24);
    ck_assert_int_eq(few.kernels, many.kernels);
    ck_assert_int_eq(few.code_bytes, many.code_bytes);
}
END_TEST

/* LLVM's own allocations are not among those that fail: it would end the process. */
START_TEST(memory_runs_out)
{
    nd_module *m = batch_module();
    FILE *out = fopen(temp_path("plan"), "w");
    ck_assert_ptr_nonnull(out);
    ck_assert_int_eq(compile_once(m, 0, out), ND_OK); /* makes "init" */
    for (int way = 0; way < 3; way++) {
        nd_status status = ND_OK;
        bool failed = true;
        for (int n = 0; failed; n++) {
            failing_alloc_begin(n);
            status = compile_once(m, way, out);
            const long held = failing_alloc_held();
            failed = failing_alloc_end();
            ck_assert_msg(status == ND_OK || (failed && status == ND_ERR_MEMORY), "way %d, allocation %d: status %d",
                          way, n, (int)status);
            ck_assert_msg(held == 0 || status == ND_OK, "way %d, allocation %d: %ld held", way, n, held);
        }
        ck_assert_int_eq(status, ND_OK);
    }
    ck_assert_int_eq(nd_module_status(m), ND_OK);
    fclose(out);
    nd_module_destroy(m);
}
END_TEST

/* -- ahead of time ---------------------------------------------------------------------------------------------------
 */

/* Trains on batches that it makes as fill_batch does, and writes the losses and the state to a file. */
static const char main_text[] = "#include \"trained.h\"\n"
                                "#include <stdio.h>\n"
                                "static struct trained_state state;\n"
                                "static _Alignas(64) char arena[TRAINED_ARENA_SIZE(1)];\n"
                                "static uint64_t bits(uint64_t *s)\n"
                                "{\n"
                                "    uint64_t z = *s += 0x9e3779b97f4a7c15u;\n"
                                "    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;\n"
                                "    z = (z ^ z >> 27) * 0x94d049bb133111ebu;\n"
                                "    return z ^ z >> 31;\n"
                                "}\n"
                                "int main(int argc, char **argv)\n"
                                "{\n"
                                "    static uint8_t x[13 * 21];\n"
                                "    static int32_t y[13];\n"
                                "    float loss;\n"
                                "    FILE *out = fopen(argv[argc - 1], \"wb\");\n"
                                "    trained_init(&state, arena, 42);\n"
                                "    for (int i = 0; i < 25; i++) {\n"
                                "        uint64_t s = (uint64_t)i + 99;\n"
                                "        for (int k = 0; k < 13 * 21; k++)\n"
                                "            x[k] = (uint8_t)(bits(&s) % 256);\n"
                                "        for (int k = 0; k < 13; k++)\n"
                                "            y[k] = (int32_t)(bits(&s) % 10);\n"
                                "        trained_step(&state, arena, x, y, &loss);\n"
                                "        fwrite(&loss, sizeof loss, 1, out);\n"
                                "    }\n"
                                "    fwrite(state.hidden_weight, sizeof state.hidden_weight, 1, out);\n"
                                "    fwrite(state.out_bias_velocity, sizeof state.out_bias_velocity, 1, out);\n"
                                "    return fclose(out) != 0;\n"
                                "}\n";

START_TEST(ahead_of_time)
{
    if (system("cc --version > /dev/null 2>&1") != 0)
        return;
    char command[2048], message[512] = "";
    nd_module *m = training_module();
    nd_program *p = compiled(m, NULL);
    nd_state *state = nd_state_create(p, 42);
    nd_tensor *x = nd_tensor_zeros(ND_U8, ND_SHAPE(BATCH, FEATURES)), *y = nd_tensor_zeros(ND_I32, ND_SHAPE(BATCH));
    nd_tensor *loss = nd_tensor_zeros(ND_F32, ND_SCALAR);
    nd_call *call = nd_bind(p, "step", state, ND_IN(x, y), ND_OUT(loss));
    float expected[STEPS], found[STEPS], w[FEATURES * HIDDEN], v[CLASSES];
    for (int i = 0; i < STEPS; i++) {
        fill_batch(i, x, y);
        ck_assert_int_eq(nd_run(call), ND_OK);
        expected[i] = (float)nd_tensor_get(loss, 0);
    }

    ck_assert_msg(nd_compile_files(m, NULL, temp_path("trained"), NULL, message, sizeof message) == ND_OK, "%s",
                  message);
    temp_write("main.c", main_text, sizeof main_text - 1);
    snprintf(command, sizeof command, "cc -std=c11 -Wall -Wextra -Werror -O1 %s %s -lm -o %s", temp_path("main.c"),
             temp_path("trained.o"), temp_path("main"));
    ck_assert_int_eq(system(command), 0);
    snprintf(command, sizeof command, "%s %s", temp_path("main"), temp_path("bits"));
    ck_assert_int_eq(system(command), 0);
    FILE *file = fopen(temp_path("bits"), "rb");
    ck_assert_int_eq(fread(found, sizeof found, 1, file), 1);
    ck_assert_int_eq(fread(w, sizeof w, 1, file), 1);
    ck_assert_int_eq(fread(v, sizeof v, 1, file), 1);
    fclose(file);
    ck_assert_int_eq(memcmp(found, expected, sizeof found), 0);
    ck_assert_int_eq(memcmp(w, nd_tensor_data(nd_state_tensor(state, "hidden/weight")), sizeof w), 0);
    ck_assert_int_eq(memcmp(v, nd_tensor_data(nd_state_tensor(state, "out/bias/velocity")), sizeof v), 0);

    nd_call_destroy(call);
    nd_state_destroy(state);
    nd_program_destroy(p);
    nd_module_destroy(m);
    nd_tensor_destroy(x);
    nd_tensor_destroy(y);
    nd_tensor_destroy(loss);
}
END_TEST

/* -- threads ---------------------------------------------------------------------------------------------------------
 */

/* A host that hands out the chunks backwards, as workers in turn, one after another. */
typedef struct host {
    int jobs, chunks, workers;
} host;

static void run_backwards(void *self, int32_t chunks, void (*task)(void *arg, int32_t chunk, int32_t worker), void *arg)
{
    host *h = self;
    h->jobs++;
    h->chunks += chunks;
    for (int32_t i = chunks - 1; i >= 0; i--)
        task(arg, i, i % h->workers);
}

/* Kernels of every kind that are large enough to be cut, in a loop too. */
static nd_module *large_module(void)
{
    nd_module *m = nd_module_create("large");
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(192, 256)), *t = nd_input(m, "t", ND_F32, ND_SHAPE(192, 256));
    nd_value *w = nd_variable(m, "w", ND_F32, ND_SHAPE(256, 256), nd_glorot_uniform());
    nd_value *b = nd_variable(m, "b", ND_F32, ND_SHAPE(256), nd_zeros()), *weights[] = {w, b};
    nd_value *h = nd_tanh(nd_add(nd_matmul(x, w), b));
    nd_value *loss = nd_sum(nd_mul(nd_log_softmax(nd_matmul(h, w), -1), t), ND_ALL_AXES, false);
    nd_value *c = nd_input(m, "c", ND_F32, ND_SHAPE(192, 256)), *swept[1];
    nd_scan(nd_function(m, "turn", ND_VALUES(c), ND_VALUES(nd_sin(nd_matmul(c, w)))), 3, ND_VALUES(x), ND_VALUES(),
            false, swept);
    nd_function *f = nd_function(m, "f", ND_VALUES(x, t), ND_VALUES(loss, swept[0], nd_softmax(h, 0)));
    nd_sgd(f, loss, 2, weights, nd_const(m, 1e-4));
    ck_assert_msg(nd_module_status(m) == ND_OK, "%s", nd_module_error(m));
    return m;
}

/* Two calls of f on `parallel`: its outputs and the variables. */
static int run_parallel(nd_program *p, const nd_parallel *parallel, nd_tensor **results)
{
    nd_state *state = nd_state_create(p, 3);
    nd_tensor *in[2];
    uint64_t seed = 5;
    int n = 0;
    for (int i = 0; i < 2; i++) {
        in[i] = make_port(nd_program_input(p, 0, i));
        for (int64_t k = 0; k < nd_tensor_count(in[i]); k++)
            nd_tensor_set(in[i], k, (double)random_below(&seed, 2000) / 1000 - 1);
    }
    for (int i = 0; i < 3; i++)
        results[n++] = make_port(nd_program_output(p, 0, i));
    nd_call *call = nd_bind(p, "f", state, (nd_tensors){2, in}, (nd_tensors){3, results});
    ck_assert_msg(call, "%s", nd_program_error(p));
    ck_assert_int_eq(nd_call_set_parallel(call, parallel), ND_OK);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(nd_run(call), ND_OK);
    results[n++] = nd_tensor_copy(nd_state_tensor(state, "w"));
    results[n++] = nd_tensor_copy(nd_state_tensor(state, "b"));
    nd_call_destroy(call);
    nd_state_destroy(state);
    nd_tensor_destroy(in[0]);
    nd_tensor_destroy(in[1]);
    return n;
}

static void same_on(const char *what, nd_program *p, const nd_parallel *parallel, nd_tensor **expected)
{
    nd_tensor *found[MOST];
    int n = run_parallel(p, parallel, found);
    for (int i = 0; i < n; i++) {
        ck_assert_msg(nd_tensor_same_bits(expected[i], found[i]), "%s: result %d differs", what, i);
        nd_tensor_destroy(found[i]);
    }
}

/* Not the second one only: a prediction may be a single run. */
START_TEST(the_first_run_uses_threads)
{
    nd_module *m = nd_module_create("once");
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(512, 512));
    nd_function(m, "f", ND_VALUES(x), ND_VALUES(nd_tanh(x)));
    nd_program *p = compiled(m, NULL);
    nd_tensor *in = make_port(nd_program_input(p, 0, 0)), *out = make_port(nd_program_output(p, 0, 0));
    nd_call *call = nd_bind(p, "f", NULL, ND_IN(in), ND_OUT(out));
    host h = {0, 0, 3};
    ck_assert_int_eq(nd_call_set_parallel(call, &(nd_parallel){run_backwards, &h, 3}), ND_OK);
    ck_assert_int_eq(nd_run(call), ND_OK);
    ck_assert_int_eq(h.jobs, 1);
    nd_call_destroy(call);
    nd_tensor_destroy(in);
    nd_tensor_destroy(out);
    nd_program_destroy(p);
    nd_module_destroy(m);
}
END_TEST

START_TEST(threads_change_no_bit)
{
    nd_module *m = large_module();
    nd_program *p = compiled(m, NULL), *q = compiled(m, &(nd_compile_options){.interpret = true});
    nd_tensor *expected[MOST];
    int n = run_parallel(q, NULL, expected);
    same_on("one thread", p, NULL, expected);
    host h = {0, 0, 3};
    same_on("a host", p, &(nd_parallel){run_backwards, &h, 3}, expected);
    ck_assert_msg(h.jobs > 10 && h.chunks > 2 * h.jobs, "%d jobs, %d chunks", h.jobs, h.chunks);
    for (int threads = 0; threads <= 4; threads++) {
        nd_pool *pool = nd_pool_create(threads);
        ck_assert_ptr_nonnull(pool);
        for (int again = 0; again < 3; again++)
            same_on("a pool", p, nd_pool_parallel(pool), expected);
        nd_pool_destroy(pool);
    }
    same_on("an interpreter with a pool", q, &(nd_parallel){run_backwards, &h, 3}, expected);
    for (int i = 0; i < n; i++)
        nd_tensor_destroy(expected[i]);
    nd_program_destroy(p);
    nd_program_destroy(q);
    nd_module_destroy(m);
}
END_TEST

/* The loop, too, hands out what can be handed out, in training and in prediction. */
START_TEST(training_on_threads)
{
    nd_module *m = nd_module_create("wide");
    nd_shape rows = ND_SHAPE(nd_dim(m, "B", 192), 256);
    nd_value *x = nd_input(m, "x", ND_F32, rows);
    nd_value *w = nd_variable(m, "w", ND_F32, ND_SHAPE(256, 256), nd_glorot_uniform());
    nd_value *y = nd_tanh(nd_matmul(x, w)), *loss = nd_mean(nd_mul(y, y), ND_ALL_AXES, false);
    nd_sgd(nd_function(m, "step", ND_VALUES(x), ND_VALUES(loss)), loss, 1, &w, nd_const(m, 0.5));
    nd_function(m, "predict", ND_VALUES(x), ND_VALUES(y));
    nd_program *p = compiled(m, NULL);
    nd_dataset *d = nd_dataset_create();
    nd_tensor *data = nd_tensor_zeros(ND_F32, ND_SHAPE(500, 256)), *weights[2], *predicted[2];
    uint64_t seed = 8;
    for (int64_t k = 0; k < nd_tensor_count(data); k++)
        nd_tensor_set(data, k, (double)random_below(&seed, 2000) / 1000 - 1);
    nd_dataset_add(d, "x", data);
    host h = {0, 0, 3};
    const nd_parallel parallel = {run_backwards, &h, 3};
    for (int i = 0; i < 2; i++) {
        nd_state *state = nd_state_create(p, 3);
        nd_history *history = nd_train(
            p, "step", state, d, &(nd_train_options){.batch = 192, .epochs = 2, .parallel = i ? &parallel : NULL});
        ck_assert_str_eq(nd_history_error(history), "");
        const int jobs = h.jobs;
        ck_assert_int_eq(jobs > 0, i);
        weights[i] = nd_tensor_copy(nd_state_tensor(state, "w"));
        predicted[i] =
            nd_predict(p, "predict", state, d, &(nd_predict_options){.batch = 192, .parallel = i ? &parallel : NULL});
        ck_assert_int_eq(nd_tensor_status(predicted[i]), ND_OK);
        ck_assert_int_eq(h.jobs > jobs, i);
        nd_history_destroy(history);
        nd_state_destroy(state);
    }
    ck_assert(nd_tensor_same_bits(weights[0], weights[1]) && nd_tensor_same_bits(predicted[0], predicted[1]));
    for (int i = 0; i < 2; i++) {
        nd_tensor_destroy(weights[i]);
        nd_tensor_destroy(predicted[i]);
    }
    nd_tensor_destroy(data);
    nd_dataset_destroy(d);
    nd_program_destroy(p);
    nd_module_destroy(m);
}
END_TEST

START_TEST(threads_that_cannot_be)
{
    nd_module *m = large_module();
    nd_program *p = compiled(m, &(nd_compile_options){.interpret = true});
    nd_state *state = nd_state_create(p, 3);
    nd_tensor *in[2], *out[3];
    for (int i = 0; i < 2; i++)
        in[i] = make_port(nd_program_input(p, 0, i));
    for (int i = 0; i < 3; i++)
        out[i] = make_port(nd_program_output(p, 0, i));
    nd_call *call = nd_bind(p, "f", state, (nd_tensors){2, in}, (nd_tensors){3, out});
    host h = {0, 0, 1};
    ck_assert_int_eq(nd_call_set_parallel(NULL, NULL), ND_ERR_ARGUMENT);
    ck_assert_int_eq(nd_call_set_parallel(call, &(nd_parallel){run_backwards, &h, 0}), ND_ERR_ARGUMENT);
    ck_assert_str_eq(nd_call_error(call), "f: threads: expected 1 worker or more");
    ck_assert_int_eq(nd_call_set_parallel(call, &(nd_parallel){NULL, &h, 2}), ND_ERR_ARGUMENT);
    ck_assert_str_eq(nd_call_error(call), "f: threads: the function `run` is NULL");
    ck_assert_ptr_null(nd_pool_create(-1));
    ck_assert_ptr_null(nd_pool_parallel(NULL));
    nd_pool_destroy(NULL);
    nd_call_destroy(call);
    nd_state_destroy(state);
    nd_program_destroy(p);
    nd_module_destroy(m);
    for (int i = 0; i < 2; i++)
        nd_tensor_destroy(in[i]);
    for (int i = 0; i < 3; i++)
        nd_tensor_destroy(out[i]);
}
END_TEST

/* The updates of two weights as wide are loops that stand apart, equal, and one function. */
START_TEST(equal_updates_are_one_function)
{
    nd_module *m = nd_module_create("updates");
    static const int64_t rows[] = {64, 64, 128}, columns[] = {64, 128, 128};
    static const char *const names[] = {"u", "v", "w"};
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(32, 64)), *h = x, *w[3];
    for (int i = 0; i < 3; i++) {
        w[i] = nd_variable(m, names[i], ND_F32, ND_SHAPE(rows[i], columns[i]), nd_zeros());
        h = nd_tanh(nd_matmul(h, w[i]));
    }
    nd_value *loss = nd_sum(h, ND_ALL_AXES, false);
    nd_function *step = nd_function(m, "step", ND_VALUES(x), ND_VALUES(loss));
    nd_adamw(step, loss, 3, w, nd_const(m, 0.1), nd_const(m, 0.01), NULL);
    FILE *listing = tmpfile();
    ck_assert_ptr_nonnull(listing);
    nd_program *p = nd_compile(m, &(nd_compile_options){.dump_llvm = listing});
    ck_assert_msg(nd_program_status(p) == ND_OK, "%s", nd_program_error(p));
    int written = 0, called = 0;
    char line[4096];
    rewind(listing);
    while (fgets(line, sizeof line, listing)) {
        written += strstr(line, "define") && strstr(line, "@nadir.loop");
        called += strstr(line, "call") && strstr(line, "@nadir.loop");
    }
    ck_assert_int_lt(written, called);
    fclose(listing);
    nd_program_destroy(p);
    nd_module_destroy(m);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("native");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 300);
    tcase_add_test(all, random_graphs);
    tcase_add_test(all, convolutions);
    tcase_add_test(all, whole_training_runs);
    tcase_add_test(all, batches_of_every_size);
    tcase_add_test(all, an_input_that_is_not_listed);
    tcase_add_test(all, an_input_with_another_name);
    tcase_add_test(all, what_came_of_compiling);
    tcase_add_test(all, layers_are_compiled_once);
    tcase_add_test(all, steps_are_data);
    tcase_add_test(all, memory_runs_out);
    tcase_add_test(all, ahead_of_time);
    tcase_add_test(all, files_for_several_processors);
    tcase_add_test(all, the_first_run_uses_threads);
    tcase_add_test(all, threads_change_no_bit);
    tcase_add_test(all, training_on_threads);
    tcase_add_test(all, threads_that_cannot_be);
    tcase_add_test(all, equal_updates_are_one_function);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
