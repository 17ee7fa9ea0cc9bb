/* A layer of one's own: y = sigmoid(x W + b), its weights drawn from a seed. */
#include "nadir/compile.h"
#include "nadir/graph.h"

#include <stdio.h>

/* A dense layer called NAME of `units` outputs on x [B, features]. Its variables are made here, once. */
static nd_value *dense(nd_module *m, const char *name, int64_t units, nd_value *x)
{
    char weight[64], bias[64];
    snprintf(weight, sizeof weight, "%s/weight", name);
    snprintf(bias, sizeof bias, "%s/bias", name);
    const int64_t features = nd_value_shape(x).dims[1];
    nd_value *w = nd_variable(m, weight, ND_F32, ND_SHAPE(features, units), nd_random_normal(0, 1));
    nd_value *b = nd_variable(m, bias, ND_F32, ND_SHAPE(units), nd_zeros());
    return nd_sigmoid(nd_add(nd_matmul(x, w), b));
}

/* The layer's answer with the weights of a seed. */
static nd_status show(nd_program *p, uint64_t seed, nd_tensor *x, nd_tensor *y)
{
    nd_state *state = nd_state_create(p, seed);
    nd_call *call = nd_bind(p, "layer", state, ND_IN(x), ND_OUT(y));
    const nd_status status = nd_run(call);
    if (status == ND_OK) {
        printf("seed %llu\n  weight ", (unsigned long long)seed);
        nd_tensor_print(nd_state_tensor(state, "our/weight"), stdout);
        printf("  y      ");
        nd_tensor_print(y, stdout);
    }
    nd_call_destroy(call);
    nd_state_destroy(state);
    return status;
}

int main(void)
{
    nd_module *m = nd_module_create("dense");
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(1, 2));
    nd_function(m, "layer", ND_VALUES(x), ND_VALUES(dense(m, "our", 3, x)));
    nd_program *p = nd_compile(m, NULL);

    nd_tensor *in = nd_tensor_of(ND_F32, ND_SHAPE(1, 2), (float[]){1, 2});
    nd_tensor *y[3];
    for (int i = 0; i < 3; i++)
        y[i] = nd_tensor_zeros(ND_F32, ND_SHAPE(1, 3));

    bool right = false;
    if (show(p, 1, in, y[0]) == ND_OK && show(p, 2, in, y[1]) == ND_OK && show(p, 1, in, y[2]) == ND_OK)
        right = nd_tensor_same_bits(y[0], y[2]) && !nd_tensor_same_bits(y[0], y[1]);
    else
        fprintf(stderr, "%s\n", nd_program_error(p));

    for (int i = 0; i < 3; i++)
        nd_tensor_destroy(y[i]);
    nd_tensor_destroy(in);
    nd_program_destroy(p);
    nd_module_destroy(m);
    return !right;
}
