/* Gradient descent on (x - 4)^2, 500 steps: step by step from the host, and as one call by a loop in the graph. Both
 * give the same bits. Writes descent.svg. */
#include "nadir/compile.h"
#include "nadir/graph.h"
#include "nadir/plot.h"

#include <stdio.h>

enum { STEPS = 500 };

/* Where one step of gradient descent leads from x, and the loss there. */
static nd_value *descend(nd_module *m, nd_value *x, nd_value **loss)
{
    *loss = nd_pow(nd_sub(x, nd_const(m, 4)), nd_const(m, 2));
    return nd_sub(x, nd_mul(nd_const(m, 0.01), nd_gradient(*loss, x)));
}

static void build(nd_module *m)
{
    nd_shape shape = ND_SHAPE(1, 1);
    nd_value *x = nd_variable(m, "x", ND_F32, shape, nd_random_normal(0, 1)), *loss;

    /* One step: the variable takes its new value when the function ends. */
    nd_value *next = descend(m, x, &loss);
    nd_function *step = nd_function(m, "step", ND_VALUES(), ND_VALUES(loss));
    nd_assign(step, x, next);

    /* All of them: the body carries x on and hands out where it was. */
    nd_value *at = nd_input(m, "at", ND_F32, shape);
    nd_function *body = nd_function(m, "body", ND_VALUES(at), ND_VALUES(descend(m, at, &loss), at));
    nd_value *scan[2];
    nd_scan(body, STEPS, ND_VALUES(x), ND_VALUES(), false, scan);
    nd_function *steps = nd_function(m, "steps", ND_VALUES(), ND_VALUES(scan[1]));
    nd_assign(steps, x, scan[0]);
}

static nd_status by_hand(nd_program *p, nd_tensor *history)
{
    nd_state *state = nd_state_create(p, 42);
    nd_tensor *loss = nd_tensor_zeros(ND_F32, ND_SHAPE(1, 1));
    nd_call *step = nd_bind(p, "step", state, ND_IN(), ND_OUT(loss));
    const float *x = nd_state_f32(state, "x");
    nd_status status = ND_OK;
    for (int i = 0; i < STEPS && status == ND_OK; i++) {
        if (x)
            nd_tensor_set(history, i, *x);
        status = nd_run(step); /* an error if anything before failed */
    }
    nd_call_destroy(step);
    nd_tensor_destroy(loss);
    nd_state_destroy(state);
    return status;
}

static nd_status as_one_call(nd_program *p, nd_tensor *history)
{
    nd_state *state = nd_state_create(p, 42); /* the same seed, so the same start */
    nd_call *steps = nd_bind(p, "steps", state, ND_IN(), ND_OUT(history));
    nd_status status = nd_run(steps);
    if (status == ND_OK)
        printf("x is %.6f after %d steps\n", *nd_state_f32(state, "x"), STEPS);
    nd_call_destroy(steps);
    nd_state_destroy(state);
    return status;
}

static nd_status plot(const nd_tensor *history, char *message, size_t size)
{
    double x[STEPS];
    for (int i = 0; i < STEPS; i++)
        x[i] = nd_tensor_get(history, i);
    const nd_series series[] = {
        {.name = "predicted", .count = STEPS, .y = x},
        {.name = "true", .count = 2, .x = (double[]){0, STEPS}, .y = (double[]){4, 4}, .dashed = true},
    };
    const nd_plot picture = {
        .title = "Minimising (x - 4)^2", .x_title = "step", .y_title = "x", .series = series, .series_count = 2};
    return nd_plot_svg("descent.svg", &picture, message, size);
}

int main(void)
{
    nd_module *m = nd_module_create("descent");
    build(m);
    nd_program *p = nd_compile(m, NULL);
    nd_tensor *one = nd_tensor_zeros(ND_F32, ND_SHAPE(STEPS, 1, 1)),
              *other = nd_tensor_zeros(ND_F32, ND_SHAPE(STEPS, 1, 1));
    char message[200] = "";

    bool same = false;
    nd_status status = by_hand(p, one);
    if (status == ND_OK)
        status = as_one_call(p, other);
    if (status == ND_OK) {
        same = nd_tensor_same_bits(one, other);
        printf("by hand and as one call: %s bits\n", same ? "the same" : "DIFFERENT");
        status = plot(one, message, sizeof message);
    }
    if (status != ND_OK)
        fprintf(stderr, "%s\n", message[0] ? message : nd_program_error(p));

    nd_tensor_destroy(one);
    nd_tensor_destroy(other);
    nd_program_destroy(p);
    nd_module_destroy(m);
    return status != ND_OK || !same;
}
