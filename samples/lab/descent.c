/* Gradient descent on (x - 4)^2 from a random start: the update written out, by the optimizer, and as one call. */
#include "lab.h"

#include "nadir/compile.h"
#include "nadir/nn.h"
#include "nadir/plot.h"

#include <stdio.h>

enum { STEPS = 500, SEED = 42 };

static nd_value *loss_at(nd_module *m, nd_value *x)
{
    return nd_pow(nd_sub(x, nd_const(m, 4)), nd_const(m, 2));
}

/* Where one step leads from x. */
static nd_value *descend(nd_module *m, nd_value *x)
{
    return nd_sub(x, nd_mul(nd_const(m, 0.01), nd_gradient(loss_at(m, x), x)));
}

static void build(nd_module *m)
{
    const nd_shape shape = ND_SHAPE(1, 1);
    nd_value *x = nd_variable(m, "x", ND_F32, shape, nd_random_normal(0, 1));

    nd_function *by_hand = nd_function(m, "by_hand", ND_VALUES(), ND_VALUES(x));
    nd_assign(by_hand, x, descend(m, x));

    nd_function *by_sgd = nd_function(m, "by_sgd", ND_VALUES(), ND_VALUES(x));
    nd_sgd(by_sgd, loss_at(m, x), 1, &x, nd_const(m, 0.01));

    /* All steps: the loop's body carries x on, and hands out where it was. */
    nd_value *at = nd_input(m, "at", ND_F32, shape), *scan[2];
    nd_function *body = nd_function(m, "body", ND_VALUES(at), ND_VALUES(descend(m, at), at));
    nd_scan(body, STEPS, ND_VALUES(x), ND_VALUES(), false, scan);
    nd_function *at_once = nd_function(m, "at_once", ND_VALUES(), ND_VALUES(scan[1]));
    nd_assign(at_once, x, scan[0]);
}

/* Runs a function of one step 500 times, or one of all steps once. history[i] is x before step i; the last is where it
 * ended. */
static nd_status run(nd_program *p, const char *function, nd_tensor *history)
{
    nd_state *state = nd_state_create(p, SEED); /* the same seed, so the same start */
    nd_tensor *steps = nd_tensor_at(history, ":-1"), *x = nd_tensor_zeros(ND_F32, ND_SHAPE(1, 1));
    const nd_port output = nd_program_output(p, nd_program_function_index(p, function), 0);
    const bool each = output.shape.rank == 2;
    nd_call *call = nd_bind(p, function, state, ND_IN(), ND_OUT(each ? x : steps));
    nd_status status = ND_OK;
    for (int i = 0; i < (each ? STEPS : 1) && status == ND_OK; i++) {
        status = nd_run(call); /* an error if anything before failed */
        if (each)
            nd_tensor_set(history, i, nd_tensor_get(x, 0));
    }
    nd_tensor_set(history, STEPS, nd_tensor_get(nd_state_tensor(state, "x"), 0));
    nd_call_destroy(call);
    nd_tensor_destroy(x);
    nd_tensor_destroy(steps);
    nd_state_destroy(state);
    return status;
}

static nd_status plot(const nd_tensor *history, char *message, size_t size)
{
    double x[STEPS + 1];
    for (int i = 0; i <= STEPS; i++)
        x[i] = nd_tensor_get(history, i);
    const nd_series series[] = {
        {.name = "predicted", .count = STEPS + 1, .y = x},
        {.name = "true", .count = 2, .x = (double[]){0, STEPS}, .y = (double[]){4, 4}, .dashed = true},
    };
    const nd_plot picture = {.x_title = "iteration", .y_title = "x value", .series = series, .series_count = 2};
    return nd_plot_svg("lab.svg", &picture, message, size);
}

bool descent(void)
{
    static const char *const ways[] = {"by_hand", "by_sgd", "at_once"};
    nd_module *m = nd_module_create("descent");
    build(m);
    nd_program *p = nd_compile(m, NULL);
    nd_tensor *history[3];
    nd_status status = ND_OK;
    for (int i = 0; i < 3; i++) {
        history[i] = nd_tensor_zeros(ND_F32, ND_SHAPE(STEPS + 1, 1, 1));
        if (status == ND_OK)
            status = run(p, ways[i], history[i]);
    }

    bool all = false;
    char message[200] = "";
    if (status == ND_OK) {
        printf("  x starts at %.6f\n", nd_tensor_get(history[0], 0));
        for (int i = 0; i < 3; i++)
            printf("  %-8s x is %.6f after %d steps\n", ways[i], nd_tensor_get(history[i], STEPS), STEPS);
        all = expect(nd_tensor_get(history[0], STEPS) > 3.99, "x comes close to 4");
        all &= expect(nd_tensor_same_bits(history[0], history[1]) && nd_tensor_same_bits(history[0], history[2]),
                      "every step has the same bits in all three ways");
        status = plot(history[0], message, sizeof message);
    }
    if (status != ND_OK)
        fprintf(stderr, "%s\n", message[0] ? message : nd_program_error(p));

    for (int i = 0; i < 3; i++)
        nd_tensor_destroy(history[i]);
    nd_program_destroy(p);
    nd_module_destroy(m);
    return all && status == ND_OK;
}
