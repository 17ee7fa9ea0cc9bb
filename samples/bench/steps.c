/* Training steps, compiled beside interpreted. */
#include "bench.h"
#include "nadir/compile.h"
#include "nadir/graph.h"
#include "nadir/nn.h"

#include <stdio.h>

enum { BATCH = 32 };

/* A classifier inputs-hidden-classes: relu, softmax cross-entropy, SGD. */
static void build(nd_module *m, int inputs, int hidden, int classes)
{
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(BATCH, inputs)), *y = nd_input(m, "y", ND_I32, ND_SHAPE(BATCH));
    nd_value *w1 = nd_variable(m, "w1", ND_F32, ND_SHAPE(inputs, hidden), nd_he_normal());
    nd_value *b1 = nd_variable(m, "b1", ND_F32, ND_SHAPE(hidden), nd_zeros());
    nd_value *w2 = nd_variable(m, "w2", ND_F32, ND_SHAPE(hidden, classes), nd_glorot_uniform());
    nd_value *b2 = nd_variable(m, "b2", ND_F32, ND_SHAPE(classes), nd_zeros());
    nd_value *h = nd_relu(nd_add(nd_matmul(x, w1), b1));
    nd_value *loss = nd_cross_entropy(nd_add(nd_matmul(h, w2), b2), y);
    nd_function *step = nd_function(m, "step", ND_VALUES(x, y), ND_VALUES(loss));
    nd_sgd(step, loss, 4, (nd_value *[]){w1, b1, w2, b2}, nd_const(m, 0.01));
}

/* Seconds of one step; 0 if that failed, which is then said. */
static double step_seconds(nd_program *p, nd_tensor *x, nd_tensor *y)
{
    nd_state *state = nd_state_create(p, 1);
    nd_tensor *loss = nd_tensor_zeros(ND_F32, ND_SCALAR);
    nd_call *call = nd_bind(p, "step", state, ND_IN(x, y), ND_OUT(loss));
    const double seconds = nd_run(call) == ND_OK ? bench_seconds(bench_run, call) : 0;
    if (seconds == 0)
        printf("  %s\n", nd_program_error(p));
    nd_call_destroy(call);
    nd_tensor_destroy(loss);
    nd_state_destroy(state);
    return seconds;
}

/* Milliseconds: the best of ten. */
static double compile_ms(nd_module *m)
{
    double best = 1e300;
    for (int i = 0; i < 10; i++) {
        nd_program *p = nd_compile(m, NULL);
        const double ms = nd_program_compile_times(p).total;
        best = ms < best ? ms : best;
        nd_program_destroy(p);
    }
    return best;
}

void measure_step(int inputs, int hidden, int classes)
{
    nd_module *m = nd_module_create("classifier");
    build(m, inputs, hidden, classes);
    nd_program *slow = nd_compile(m, &(nd_compile_options){.interpret = true}), *fast = nd_compile(m, NULL);
    nd_tensor *x = nd_tensor_full(ND_F32, ND_SHAPE(BATCH, inputs), 0.5), *y = nd_tensor_zeros(ND_I32, ND_SHAPE(BATCH));

    printf("%d-%d-%d, batch %d\n", inputs, hidden, classes, BATCH);
    const double interpreted = step_seconds(slow, x, y), compiled = step_seconds(fast, x, y), peak = peak_gflops();
    if (interpreted > 0 && compiled > 0) {
        /* Forward, the two weights' gradients, the hidden layer's. */
        const double flops = 2.0 * BATCH * hidden * (2.0 * inputs + 3.0 * classes);
        printf("  interpreted %10.1f us\n", 1e6 * interpreted);
        printf("  compiled    %10.1f us   %.0f times as fast", 1e6 * compiled, interpreted / compiled);
        if (peak > 0)
            printf(", %.0f %% of the bound by multiply-adds", 1e-7 * flops / compiled / peak);
        printf("\n  compilation %10.1f ms   arena %zu bytes\n", compile_ms(m),
               nd_program_arena_size(fast, nd_program_function_index(fast, "step")));
    }

    nd_tensor_destroy(x);
    nd_tensor_destroy(y);
    nd_program_destroy(slow);
    nd_program_destroy(fast);
    nd_module_destroy(m);
}

void measure_call(void)
{
    nd_module *m = nd_module_create("empty");
    nd_function(m, "empty", ND_VALUES(), ND_VALUES());
    nd_program *p = nd_compile(m, NULL);
    nd_call *call = nd_bind(p, "empty", NULL, ND_IN(), ND_OUT());
    if (nd_run(call) == ND_OK)
        printf("a call of an empty function   %.1f ns\n", 1e9 * bench_seconds(bench_run, call));
    else
        printf("%s\n", nd_program_error(p));
    nd_call_destroy(call);
    nd_program_destroy(p);
    nd_module_destroy(m);
}
