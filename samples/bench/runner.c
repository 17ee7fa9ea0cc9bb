/* A program's function "step" and all its batches. */
#include "bench.h"

void runner_bind(runner *r, nd_program *program, const model *m)
{
    *r = (runner){.program = program};
    const int step = nd_program_function_index(r->program, "step");
    r->state = nd_state_create(r->program, 1);
    r->output_count = nd_program_output_count(r->program, step);
    for (int i = 0; i < r->output_count; i++) {
        const nd_port port = nd_program_output(r->program, step, i);
        r->outputs[i] = nd_tensor_zeros(port.dtype, port.shape);
    }
    r->call_count = m->batch_count;
    r->status = nd_program_status(r->program);
    for (int i = 0; i < r->call_count && r->status == ND_OK; i++) {
        const nd_tensors in = {(size_t)m->input_count, m->batches[i]}, out = {(size_t)r->output_count, r->outputs};
        r->calls[i] = nd_bind(r->program, "step", r->state, in, out);
        if (!r->calls[i])
            r->status = ND_ERR_STATE;
    }
}

void runner_make(runner *r, const model *m, const char *cpu, bool interpret)
{
    runner_bind(r, nd_compile(m->module, &(nd_compile_options){.cpu = cpu, .interpret = interpret}), m);
    r->owns_program = true;
}

void runner_use_threads(runner *r, const nd_pool *pool)
{
    for (int i = 0; i < r->call_count && r->status == ND_OK; i++)
        r->status = nd_call_set_parallel(r->calls[i], nd_pool_parallel(pool));
}

void runner_release(runner *r)
{
    for (int i = 0; i < r->call_count; i++)
        nd_call_destroy(r->calls[i]);
    for (int i = 0; i < r->output_count; i++)
        nd_tensor_destroy(r->outputs[i]);
    nd_state_destroy(r->state);
    if (r->owns_program)
        nd_program_destroy(r->program);
}

void run_next(void *self)
{
    runner *r = self;
    nd_run(r->calls[r->next]);
    r->next = r->next + 1 == r->call_count ? 0 : r->next + 1;
}
