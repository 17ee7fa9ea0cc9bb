/* The toy back end. */
#include "toy_program.h"

#include "runtime/program.h"

#include <stdlib.h>

typedef struct toy {
    toy_options options;
    int asked;
    nd_port step_in[2], step_out[2], raw_port, predict_in, predict_out, seed_port;
    int w_index, raw_index;
    nd_program_dimension dimension;
    nd_program_function_info functions[6];
    nd_program_variable_info variables[2];
} toy;

enum { W_OFFSET = 0, RAW_OFFSET = 64, STATE_SIZE = 128 };

static void init(void *state, void *arena, const void *const *in, void *const *out)
{
    const uint32_t *seed = in[0];
    float *w = (float *)((char *)state + W_OFFSET);
    w[0] = (float)seed[0];
    w[1] = (float)seed[1];
    (void)arena, (void)out;
}

static void step_rows(void *state, const void *const *in, void *const *out, int64_t rows)
{
    float *w = (float *)((char *)state + W_OFFSET), loss = 0;
    const float *x = in[0];
    const int32_t *y = in[1];
    for (int64_t i = 0; i < rows; i++) {
        for (int k = 0; k < 2; k++)
            loss += (x[2 * i + k] - w[k]) * (x[2 * i + k] - w[k]);
        loss += (float)y[i];
    }
    *(float *)out[0] = loss;
    *(int64_t *)out[1] = rows;
    w[0] += 1;
    w[1] += 1;
}

static void predict_rows(const void *const *in, void *const *out, int64_t rows)
{
    const float *x = in[0];
    float *logits = out[0];
    for (int64_t i = 0; i < 2 * rows; i++)
        logits[i] = x[i];
}

/* One compiled function for each batch size, as a compiler would make. */
#define SIZES(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8)
#define STEP(n)                                                                                                        \
    static void step_##n(void *state, void *arena, const void *const *in, void *const *out)                            \
    {                                                                                                                  \
        (void)arena;                                                                                                   \
        step_rows(state, in, out, n);                                                                                  \
    }                                                                                                                  \
    static void predict_##n(void *state, void *arena, const void *const *in, void *const *out)                         \
    {                                                                                                                  \
        (void)arena, (void)state;                                                                                      \
        predict_rows(in, out, n);                                                                                      \
    }
SIZES(STEP)
#define STEP_NAME(n) step_##n,
static const nd_entry steps[] = {SIZES(STEP_NAME)};
#define PREDICT_NAME(n) predict_##n,
static const nd_entry predicts[] = {SIZES(PREDICT_NAME)};

static void read_raw(void *state, void *arena, const void *const *in, void *const *out)
{
    *(int32_t *)out[0] = *(int32_t *)((char *)state + RAW_OFFSET);
    (void)arena, (void)in;
}

static void write_raw(void *state, void *arena, const void *const *in, void *const *out)
{
    *(int32_t *)((char *)state + RAW_OFFSET) = *(const int32_t *)in[0];
    (void)arena, (void)out;
}

static void nothing(void *state, void *arena, const void *const *in, void *const *out)
{
    (void)state, (void)arena, (void)in, (void)out;
}

static nd_status interpret(void *self, int function, void *state, void *arena, const void *const *in, void *const *out)
{
    toy *t = self;
    if (t->options.interpret_fails != ND_OK)
        return t->options.interpret_fails;
    const nd_entry entries[] = {init,      steps[t->options.batch],    read_raw,
                                write_raw, predicts[t->options.batch], nothing};
    entries[function](state, arena, in, out);
    return ND_OK;
}

static nd_program *specialize(void *self, const char *dimension, int64_t value)
{
    toy *t = self;
    (void)dimension;
    t->asked++;
    if (value == t->options.specialize_fails_at)
        return nd_program_create_failed(ND_ERR_GRAPH, "reshape: no such shape");
    toy_options options = t->options;
    options.batch = value;
    return toy_program(options);
}

static void destroy(void *self)
{
    free(self);
}

nd_program *toy_program(toy_options options)
{
    toy *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    if (options.batch == 0)
        options.batch = 4;
    t->options = options;
    int64_t b = options.batch;
    t->step_in[0] = t->predict_in = (nd_port){"x", ND_F32, ND_SHAPE(b, 2)};
    t->step_in[1] = (nd_port){"y", ND_I32, ND_SHAPE(b)};
    t->step_out[0] = (nd_port){"loss", ND_F32, ND_SCALAR};
    t->step_out[1] = (nd_port){"rows", ND_I64, ND_SCALAR};
    t->predict_out = (nd_port){"logits", ND_F32, ND_SHAPE(b, 2)};
    t->raw_port = (nd_port){"value", ND_I32, ND_SCALAR};
    t->seed_port = (nd_port){"seed", ND_U32, ND_SHAPE(2)};
    t->w_index = 0;
    t->raw_index = 1;
    t->dimension = (nd_program_dimension){"B", b};
    t->variables[0] = (nd_program_variable_info){{"w", ND_F32, ND_SHAPE(2)}, W_OFFSET, true};
    t->variables[1] = (nd_program_variable_info){{"raw", ND_I32, ND_SCALAR}, RAW_OFFSET, false};
    nd_program_function_info functions[] = {
        {.name = "init",
         .input_count = 1,
         .update_count = 1,
         .inputs = &t->seed_port,
         .updates = &t->w_index,
         .entry = init},
        {.name = "step",
         .input_count = 2,
         .output_count = 2,
         .read_count = 1,
         .update_count = 1,
         .inputs = t->step_in,
         .outputs = t->step_out,
         .reads = &t->w_index,
         .updates = &t->w_index,
         .arena_size = 256,
         .entry = steps[b]},
        {.name = "read_raw",
         .output_count = 1,
         .read_count = 1,
         .outputs = &t->raw_port,
         .reads = &t->raw_index,
         .entry = read_raw},
        {.name = "write_raw",
         .input_count = 1,
         .update_count = 1,
         .inputs = &t->raw_port,
         .updates = &t->raw_index,
         .entry = write_raw},
        {.name = "predict",
         .input_count = 1,
         .output_count = 1,
         .inputs = &t->predict_in,
         .outputs = &t->predict_out,
         .entry = predicts[b]},
        {.name = "nothing", .entry = nothing},
    };
    for (int i = 0; i < 6; i++) {
        t->functions[i] = functions[i];
        if (options.interpreted)
            t->functions[i].entry = NULL;
    }
    nd_program_info info = {.function_count = 6,
                            .variable_count = 2,
                            .functions = t->functions,
                            .variables = t->variables,
                            .state_size = STATE_SIZE,
                            .seed = 7,
                            .self = t,
                            .interpret = interpret,
                            .specialize = options.cannot_bind ? NULL : specialize,
                            .destroy = destroy,
                            .dimension_count = 1,
                            .dimensions = &t->dimension};
    nd_program *program = nd_program_create(&info);
    if (!program)
        free(t);
    return program;
}

int toy_specialised(const nd_program *program)
{
    return ((toy *)program->info.self)->asked;
}

nd_dataset *toy_dataset(int64_t rows)
{
    nd_dataset *d = nd_dataset_create();
    nd_tensor *x = nd_tensor_zeros(ND_F32, ND_SHAPE(rows, 2)), *y = nd_tensor_zeros(ND_I32, ND_SHAPE(rows));
    for (int64_t i = 0; i < rows; i++) {
        nd_tensor_set(x, 2 * i, (double)i);
        nd_tensor_set(x, 2 * i + 1, -(double)i);
        nd_tensor_set_i64(y, i, i % 3);
    }
    nd_dataset_add(d, "unused", y);
    nd_dataset_add(d, "x", x);
    nd_dataset_add(d, "y", y);
    nd_tensor_destroy(x);
    nd_tensor_destroy(y);
    return d;
}
