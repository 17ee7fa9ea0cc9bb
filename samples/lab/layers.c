/* Layers and models: of one's own, in a row, and one whose call takes a flag. */
#include "lab.h"

#include "nadir/compile.h"
#include "nadir/nn.h"

#include <stdio.h>

enum { SEED = 1, OTHER_SEED = 2, UNITS = 3 };

/* -- a layer of one's own: y = sigmoid(x W + b) ------------------------------------------------------------------- */

struct our_dense {
    nd_layer base;
    int64_t units;
    nd_value *w, *b;
};

/* Once, at the first call: the weights, for the input's shape. */
static void our_dense_build(nd_layer *l, nd_shape input)
{
    struct our_dense *d = (struct our_dense *)l;
    d->w = nd_layer_weight(l, "weight", ND_SHAPE(input.dims[input.rank - 1], d->units), nd_random_normal(0, 1));
    d->b = nd_layer_weight(l, "bias", ND_SHAPE(1, d->units), nd_random_normal(0, 1));
}

static nd_value *our_dense_call(nd_layer *l, nd_value *x, const nd_call_options *options)
{
    const struct our_dense *d = (struct our_dense *)l;
    (void)options;
    return nd_sigmoid(nd_add(nd_matmul(x, d->w), d->b));
}

static nd_layer *our_dense(int64_t units)
{
    static const nd_layer_kind kind = {"our_dense", sizeof(struct our_dense), .inner = 1, .build = our_dense_build,
                                       .call = our_dense_call};
    nd_layer *l = nd_layer_create(&kind);
    if (l)
        ((struct our_dense *)l)->units = units;
    return l;
}

/* -- a model of one's own, whose call takes a flag: the input as it is, or through a layer ------------------------ */

enum { IS_IDENTITY = 1 };

struct identity_model {
    nd_layer base;
    nd_layer *dense;
};

static nd_value *identity_call(nd_layer *l, nd_value *x, const nd_call_options *options)
{
    if (options->flags & IS_IDENTITY)
        return x;
    return nd_layer_call(((struct identity_model *)l)->dense, x, options);
}

static nd_layer *identity_model(int64_t units)
{
    static const nd_layer_kind kind = {"identity_model", sizeof(struct identity_model), .inner = 1,
                                       .call = identity_call};
    nd_layer *l = nd_layer_create(&kind);
    if (l)
        ((struct identity_model *)l)->dense = nd_layer_child(l, nd_dense(units, ND_SIGMOID));
    return l;
}

/* -- the functions ------------------------------------------------------------------------------------------------ */

enum { OUR_DENSE, SEQUENTIAL, MODEL, MODELS };

static void build(nd_module *m, nd_layer *models[MODELS])
{
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(1, 2));
    models[OUR_DENSE] = our_dense(UNITS);
    nd_function(m, "our_dense", ND_VALUES(x), ND_VALUES(nd_layer_call(models[OUR_DENSE], x, NULL)));

    models[SEQUENTIAL] = nd_sequential_of("model", 0, NULL); /* empty, */
    nd_sequential_add(models[SEQUENTIAL], nd_dense(UNITS, ND_SIGMOID));
    nd_function(m, "sequential", ND_VALUES(x), ND_VALUES(nd_layer_call(models[SEQUENTIAL], x, NULL)));

    /* The flag is decided while the graph is built: two functions, over the same weights. */
    models[MODEL] = identity_model(2);
    nd_value *through = nd_layer_call(models[MODEL], x, NULL);
    nd_value *same = nd_layer_call(models[MODEL], x, &(nd_call_options){.flags = IS_IDENTITY});
    nd_function(m, "through", ND_VALUES(x), ND_VALUES(through));
    nd_function(m, "same", ND_VALUES(x), ND_VALUES(same));

    /* The flag is an input: one function, which looks at it when it runs. Only one of its branches is computed. */
    nd_value *flag = nd_input(m, "isidentity", ND_BOOL, ND_SCALAR), *either;
    nd_function *yes = nd_function(m, "yes", ND_VALUES(), ND_VALUES(same));
    nd_function *no = nd_function(m, "no", ND_VALUES(), ND_VALUES(through));
    nd_cond(flag, yes, no, &either);
    nd_function(m, "either", ND_VALUES(x, flag), ND_VALUES(either));
}

/* What a function answers to [[1, 2]] with the weights of a seed. */
static nd_tensor *answer(nd_program *p, const char *function, uint64_t seed, bool isidentity)
{
    const int index = nd_program_function_index(p, function);
    nd_tensor *x = nd_tensor_of(ND_F32, ND_SHAPE(1, 2), (float[]){1, 2});
    nd_tensor *flag = nd_tensor_full(ND_BOOL, ND_SCALAR, isidentity);
    nd_tensor *y = nd_tensor_zeros(ND_F32, nd_program_output(p, index, 0).shape);
    nd_state *state = nd_state_create(p, seed);
    const nd_tensors in = nd_program_input_count(p, index) == 2 ? ND_IN(x, flag) : ND_IN(x);
    nd_call *call = nd_bind(p, function, state, in, ND_OUT(y));
    if (nd_run(call) != ND_OK)
        fprintf(stderr, "%s\n", nd_program_error(p));
    nd_call_destroy(call);
    nd_state_destroy(state);
    nd_tensor_destroy(x);
    nd_tensor_destroy(flag);
    return y;
}

static bool agree(nd_program *p, const char *one, bool one_flag, const char *other, bool other_flag)
{
    nd_tensor *a = answer(p, one, SEED, one_flag), *b = answer(p, other, SEED, other_flag);
    const bool same = nd_tensor_same_bits(a, b);
    nd_tensor_destroy(a);
    nd_tensor_destroy(b);
    return same;
}

bool layers(void)
{
    nd_module *m = nd_module_create("layers");
    nd_layer *models[MODELS];
    build(m, models);
    nd_program *p = nd_compile(m, NULL);
    nd_tensor *y = answer(p, "our_dense", SEED, false), *again = answer(p, "our_dense", SEED, false),
              *other = answer(p, "our_dense", OTHER_SEED, false), *row = answer(p, "sequential", SEED, false),
              *through = answer(p, "through", SEED, false), *same = answer(p, "same", SEED, false);

    show("our_dense([[1, 2]])", y);
    bool all = expect(nd_tensor_dim(y, 1) == UNITS && nd_tensor_get(y, 0) > 0 && nd_tensor_get(y, 0) < 1,
                      "three numbers between 0 and 1");
    all &= expect(nd_tensor_same_bits(y, again) && !nd_tensor_same_bits(y, other),
                  "a seed gives the same weights always, another seed others");
    show("sequential([[1, 2]])", row);
    nd_layer_summary(models[SEQUENTIAL], stdout);
    all &= expect(nd_layer_parameters(models[SEQUENTIAL], true) == 2 * UNITS + UNITS, "2 x 3 weights and 3 biases");
    show("through([[1, 2]])", through);
    show("same([[1, 2]])", same);
    all &= expect(nd_tensor_get(same, 0) == 1 && nd_tensor_get(same, 1) == 2, "the identity gives its input back");
    all &= expect(agree(p, "either", true, "same", false) && agree(p, "either", false, "through", false),
                  "a flag in the graph chooses what a flag while building chose");

    nd_tensor *made[] = {y, again, other, row, through, same};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++)
        nd_tensor_destroy(made[i]);
    nd_program_destroy(p);
    for (int i = 0; i < MODELS; i++)
        nd_layer_destroy(models[i]);
    nd_module_destroy(m);
    return all;
}
