/* Learns to write from a text, byte by byte, and writes on: a recurrent network or a small GPT.
 *     write gru|gpt TEXT [EPOCHS]    writes write-gru.svg or write-gpt.svg */
#include "nadir/compile.h"
#include "nadir/data.h"
#include "nadir/nn.h"
#include "nadir/train.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 32, SEED = 1, BYTES = 256, LENGTH = 64, WIDTH = 96, LETTERS = 500 };

/* A layer of one's own: adds what it learns of each place in the text to what stands there. */
struct places {
    nd_layer base;
    nd_value *weight;
};

static void places_build(nd_layer *l, nd_shape input)
{
    ((struct places *)l)->weight =
        nd_layer_weight(l, "weight", ND_SHAPE(input.dims[1], input.dims[2]), nd_random_uniform(-0.05, 0.05));
}

static nd_value *places_call(nd_layer *l, nd_value *x, const nd_call_options *options)
{
    (void)options;
    return nd_add(x, ((struct places *)l)->weight);
}

static nd_layer *places(void)
{
    static const nd_layer_kind kind = {"places", sizeof(struct places), .inner = 2, .build = places_build,
                                       .call = places_call};
    return nd_layer_create(&kind);
}

static nd_layer *make_model(const char *name)
{
    if (strcmp(name, "gru") == 0)
        return nd_sequential("gru", nd_embedding(BYTES, WIDTH), nd_gru(2 * WIDTH, true), nd_dense(BYTES, ND_LINEAR));
    return nd_sequential("gpt", nd_embedding(BYTES, WIDTH), places(), nd_transformer_block(4, 4 * WIDTH, true, 0.0),
                         nd_transformer_block(4, 4 * WIDTH, true, 0.0), nd_layer_norm(), nd_dense(BYTES, ND_LINEAR));
}

static void build_training(nd_module *m, nd_layer *model)
{
    /* A row of the data is a piece of text: all but its last byte are read, and after each the next is to be told. */
    nd_value *text = nd_input(m, "text", ND_U8, ND_SHAPE(nd_dim(m, "B", BATCH), LENGTH + 1));
    nd_value *logits = nd_layer_call(model, nd_at(text, ":, :-1"), NULL);
    nd_value *loss = nd_name(nd_cross_entropy(logits, nd_at(text, ":, 1:")), "loss");
    nd_function *step = nd_function(m, "step", ND_VALUES(text), ND_VALUES(loss));

    const nd_values w = nd_layer_weights(model);
    nd_value *g[64], *rate = nd_rate_warmup(nd_steps(step), 100, nd_const_of(m, ND_F32, 0.003));
    nd_gradients(loss, w.count, w.items, g);
    nd_clip_by_global_norm(w.count, g, nd_const(m, 1), g);
    nd_adam_apply(step, w.count, w.items, g, rate, NULL);
}

/* The byte that follows: drawn with the probabilities of the logits, somewhat sharpened (Gumbel 1954). */
static void build_writing(nd_module *m, nd_layer *model)
{
    nd_value *seen = nd_input(m, "seen", ND_U8, ND_SHAPE(1, LENGTH)), *key = nd_input(m, "key", ND_U32, ND_SHAPE(2));
    nd_value *last = nd_at(nd_layer_call(model, seen, NULL), "0, -1");
    nd_value *noise = nd_neg(nd_log(nd_neg(nd_log(nd_uniform(key, 0, ND_F32, ND_SHAPE(BYTES))))));
    nd_value *next = nd_argmax(nd_add(nd_div(last, nd_const(m, 0.8)), noise), 0);
    nd_function(m, "next", ND_VALUES(seen, key), ND_VALUES(next));
}

/* The whole file as rows of LENGTH + 1 bytes. */
static nd_tensor *read_text(const char *path)
{
    FILE *file = fopen(path, "rb");
    unsigned char row[LENGTH + 1];
    int64_t rows = 0;
    while (file && fread(row, sizeof row, 1, file) == 1)
        rows++;
    nd_tensor *text = nd_tensor_zeros(ND_U8, ND_SHAPE(rows, LENGTH + 1));
    if (file) {
        rewind(file);
        if (rows > 0 && fread(nd_tensor_data(text), sizeof row, (size_t)rows, file) != (size_t)rows)
            fprintf(stderr, "%s: the file changed\n", path);
        fclose(file);
    } else
        perror(path);
    return text;
}

/* Writes on where the first row of the text ends. */
static nd_status write_on(nd_program *p, nd_state *state, const nd_tensor *text)
{
    nd_tensor *start = nd_tensor_at(text, ":1, 1:"), *seen = nd_tensor_copy(start);
    nd_tensor *key = nd_tensor_zeros(ND_U32, ND_SHAPE(2)), *next = nd_tensor_zeros(ND_I64, ND_SCALAR);
    nd_call *call = nd_bind(p, "next", state, ND_IN(seen, key), ND_OUT(next));
    nd_status status = ND_OK;
    unsigned char *bytes = nd_tensor_data(seen);
    for (int i = 0; i < LETTERS && status == ND_OK; i++) {
        nd_tensor_set_i64(key, 0, i);
        status = nd_run(call);
        memmove(bytes, bytes + 1, LENGTH - 1);
        bytes[LENGTH - 1] = (unsigned char)nd_tensor_get_i64(next, 0);
        putchar(bytes[LENGTH - 1]);
    }
    putchar('\n');
    if (status != ND_OK)
        fprintf(stderr, "%s\n", nd_program_error(p));
    nd_call_destroy(call);
    nd_tensor_destroy(start);
    nd_tensor_destroy(seen);
    nd_tensor_destroy(key);
    nd_tensor_destroy(next);
    return status;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return fprintf(stderr, "usage: write gru|gpt TEXT [EPOCHS]\n"), 2;
    nd_tensor *text = read_text(argv[2]);
    nd_dataset *rows = nd_dataset_create();
    nd_dataset_add(rows, "text", text);
    nd_module *m = nd_module_create("write");
    nd_layer *model = make_model(argv[1]);
    build_training(m, model);
    if (nd_module_status(m) == ND_OK)
        nd_layer_summary(model, stdout);
    build_writing(m, model);

    nd_program *p = nd_compile(m, NULL);
    nd_state *state = nd_state_create(p, SEED);
    char picture[64];
    snprintf(picture, sizeof picture, "write-%.20s.svg", argv[1]);
    nd_history *history = nd_train(p, "step", state, rows,
                                   &(nd_train_options){.batch = BATCH,
                                                       .epochs = argc > 3 ? atoi(argv[3]) : 10,
                                                       .shuffle_seed = SEED,
                                                       .every_step = true,
                                                       .progress = stdout,
                                                       .plot = picture});
    nd_status status = nd_history_status(history);
    if (status != ND_OK)
        fprintf(stderr, "%s\n", nd_history_error(history));
    else
        status = write_on(p, state, text);

    nd_history_destroy(history);
    nd_state_destroy(state);
    nd_program_destroy(p);
    nd_layer_destroy(model);
    nd_module_destroy(m);
    nd_dataset_destroy(rows);
    nd_tensor_destroy(text);
    return status != ND_OK;
}
