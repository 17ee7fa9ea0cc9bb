#include "two_ways.h"

#include <check.h>
#include <stdint.h>

enum { MOST_PORTS = 8 };

typedef struct way {
    nd_program *program;
    nd_state *state;
    nd_call *call;
    nd_tensor *out[MOST_PORTS];
} way;

static void start(way *w, nd_module *m, bool interpret, const char *function, int ins, nd_tensor *const *in)
{
    w->program = nd_compile(m, &(nd_compile_options){.interpret = interpret});
    ck_assert_msg(nd_program_status(w->program) == ND_OK, "%s", nd_program_error(w->program));
    const int f = nd_program_function_index(w->program, function);
    const int outs = nd_program_output_count(w->program, f);
    ck_assert_int_le(outs, MOST_PORTS);
    for (int i = 0; i < outs; i++) {
        nd_port port = nd_program_output(w->program, f, i);
        w->out[i] = nd_tensor_zeros(port.dtype, port.shape);
    }
    w->state = nd_state_create(w->program, 42);
    ck_assert_msg(w->state, "%s", nd_program_error(w->program));
    w->call =
        nd_bind(w->program, function, w->state, (nd_tensors){(size_t)ins, in}, (nd_tensors){(size_t)outs, w->out});
    ck_assert_msg(w->call, "%s", nd_program_error(w->program));
}

static void stop(way *w)
{
    nd_call_destroy(w->call);
    nd_state_destroy(w->state);
    for (int i = 0; i < MOST_PORTS; i++)
        nd_tensor_destroy(w->out[i]);
    nd_program_destroy(w->program);
}

static void fill(nd_tensor *t, int below, uint64_t *state)
{
    for (int64_t i = 0; i < nd_tensor_count(t); i++) {
        *state = *state * 6364136223846793005u + 1442695040888963407u;
        double u = (double)(*state >> 40) * 0x1p-24; /* exact in f32 */
        nd_tensor_set(t, i, nd_dtype_is_float(nd_tensor_dtype(t)) ? 2 * u - 1 : (double)(int)(u * below));
    }
}

static void compare(const char *what, const char *name, int step, const nd_tensor *a, const nd_tensor *b)
{
    int64_t i = nd_tensor_difference(a, b);
    ck_assert_msg(i < 0, "step %d: %s %s[%lld] is %a interpreted and %a compiled", step, what, name, (long long)i,
                  nd_tensor_get(a, i), nd_tensor_get(b, i));
}

void two_ways(nd_module *m, const char *function, int steps, int below)
{
    way slow = {0}, fast = {0};
    nd_tensor *in[MOST_PORTS] = {0};
    nd_program *ports = nd_compile(m, &(nd_compile_options){.interpret = true});
    ck_assert_msg(nd_program_status(ports) == ND_OK, "%s", nd_program_error(ports));
    const int f = nd_program_function_index(ports, function), ins = nd_program_input_count(ports, f);
    ck_assert(f >= 0 && ins <= MOST_PORTS);
    for (int i = 0; i < ins; i++)
        in[i] = nd_tensor_zeros(nd_program_input(ports, f, i).dtype, nd_program_input(ports, f, i).shape);
    start(&slow, m, true, function, ins, in);
    start(&fast, m, false, function, ins, in);

    uint64_t state = 7;
    for (int step = 0; step < steps; step++) {
        for (int i = 0; i < ins; i++)
            fill(in[i], below, &state);
        ck_assert_int_eq(nd_run(slow.call), ND_OK);
        ck_assert_int_eq(nd_run(fast.call), ND_OK);
        for (int i = 0; i < nd_program_output_count(ports, f); i++)
            compare("output", nd_program_output(ports, f, i).name, step, slow.out[i], fast.out[i]);
        for (int i = 0; i < nd_program_variable_count(ports); i++) {
            const char *name = nd_program_variable(ports, i).name;
            compare("variable", name, step, nd_state_tensor(slow.state, name), nd_state_tensor(fast.state, name));
        }
    }
    stop(&slow);
    stop(&fast);
    for (int i = 0; i < MOST_PORTS; i++)
        nd_tensor_destroy(in[i]);
    nd_program_destroy(ports);
}
