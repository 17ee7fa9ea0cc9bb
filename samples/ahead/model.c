/* Exclusive or, learned by a network 2-8-1. This program, which has the compiler, writes it as net.o and net.h for
 * main.c, which has nothing; and trains it here too, for comparison: weights.jit. */
#include "nadir/compile.h"
#include "nadir/graph.h"
#include "nadir/nn.h"

#include <stdio.h>

static void build(nd_module *m)
{
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(4, 2)), *y = nd_input(m, "y", ND_F32, ND_SHAPE(4, 1));
    nd_value *w1 = nd_variable(m, "w1", ND_F32, ND_SHAPE(2, 8), nd_random_normal(0, 1));
    nd_value *b1 = nd_variable(m, "b1", ND_F32, ND_SHAPE(8), nd_zeros());
    nd_value *w2 = nd_variable(m, "w2", ND_F32, ND_SHAPE(8, 1), nd_random_normal(0, 1));
    nd_value *hidden = nd_tanh(nd_add(nd_matmul(x, w1), b1));
    nd_value *answer = nd_name(nd_sigmoid(nd_matmul(hidden, w2)), "answer");
    nd_value *loss = nd_name(nd_mean_squared_error(answer, y), "loss");

    nd_function *step = nd_function(m, "step", ND_VALUES(x, y), ND_VALUES(loss));
    nd_sgd(step, loss, 3, (nd_value *[]){w1, b1, w2}, nd_const(m, 2));
    nd_function(m, "predict", ND_VALUES(x), ND_VALUES(answer));
}

static nd_status train(nd_program *p, nd_state *state)
{
    nd_tensor *x = nd_tensor_of(ND_F32, ND_SHAPE(4, 2), (float[]){0, 0, 0, 1, 1, 0, 1, 1});
    nd_tensor *y = nd_tensor_of(ND_F32, ND_SHAPE(4, 1), (float[]){0, 1, 1, 0});
    nd_tensor *loss = nd_tensor_zeros(ND_F32, ND_SCALAR);
    nd_call *step = nd_bind(p, "step", state, ND_IN(x, y), ND_OUT(loss));
    nd_status status = ND_OK;
    for (int i = 0; i < 2000 && status == ND_OK; i++)
        status = nd_run(step);
    nd_call_destroy(step);
    nd_tensor_destroy(loss);
    nd_tensor_destroy(y);
    nd_tensor_destroy(x);
    return status;
}

static bool write_weights(const char *path, nd_program *p, nd_state *state)
{
    FILE *file = fopen(path, "wb");
    bool written = file != NULL;
    for (int i = 0; i < nd_program_variable_count(p) && written; i++) {
        const nd_tensor *t = nd_state_tensor(state, nd_program_variable(p, i).name);
        written = fwrite(nd_tensor_data(t), nd_tensor_bytes(t), 1, file) == 1;
    }
    return file && fclose(file) == 0 && written;
}

int main(void)
{
    nd_module *m = nd_module_create("net");
    build(m);
    char message[400];
    nd_status status = nd_compile_files(m, NULL, "net", NULL, message, sizeof message);
    if (status != ND_OK)
        fprintf(stderr, "%s\n", message);

    nd_program *p = nd_compile(m, NULL);
    nd_state *state = nd_state_create(p, 42);
    if (status == ND_OK && (status = train(p, state)) != ND_OK)
        fprintf(stderr, "%s\n", nd_program_error(p));
    const bool written = status == ND_OK && write_weights("weights.jit", p, state);

    nd_state_destroy(state);
    nd_program_destroy(p);
    nd_module_destroy(m);
    return !written;
}
