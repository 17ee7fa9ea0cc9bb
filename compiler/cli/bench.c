/* nadir bench: compiled against interpreted. */
#include "compiler/cli/bench.h"
#include "compiler/cli/timing.h"
#include "runtime/program.h"

#include <stdlib.h>
#include <string.h>

/* -- a function's call -------------------------------------------------------------------------------------------- */

/* Floats in [0, 1), integers 0 to 9, in an order that is the same everywhere. */
static void fill(nd_tensor *t, uint64_t *state)
{
    for (int64_t i = 0; i < nd_tensor_count(t); i++) {
        *state = *state * 6364136223846793005u + 1442695040888963407u;
        uint32_t bits = (uint32_t)(*state >> 40);
        if (nd_dtype_is_float(nd_tensor_dtype(t)))
            nd_tensor_set(t, i, bits * 0x1p-24);
        else
            nd_tensor_set(t, i, nd_tensor_dtype(t) == ND_BOOL ? bits % 2 : bits % 10);
    }
}

/* Random values where the graph gives none. */
static nd_status fill_variables(const nd_program *p, nd_state *state, uint64_t *random)
{
    nd_status status = ND_OK;
    for (int i = 0; i < nd_program_variable_count(p) && status == ND_OK; i++) {
        if (p->info.variables[i].initialised)
            continue;
        nd_port port = nd_program_variable(p, i);
        nd_tensor *t = nd_tensor_zeros(port.dtype, port.shape);
        fill(t, random);
        status = nd_state_set(state, port.name, t);
        nd_tensor_destroy(t);
    }
    return status;
}

bool nd__bound_make(nd_program *p, int function, nd__bound *b)
{
    int in = nd_program_input_count(p, function), out = nd_program_output_count(p, function);
    uint64_t random = 1;
    b->count = in + out;
    b->state = nd_state_create(p, 0);
    b->tensors = calloc((size_t)b->count + 1, sizeof *b->tensors);
    for (int i = 0; i < b->count && b->tensors; i++) {
        nd_port port = i < in ? nd_program_input(p, function, i) : nd_program_output(p, function, i - in);
        b->tensors[i] = nd_tensor_zeros(port.dtype, port.shape);
        fill(b->tensors[i], &random);
    }
    if (b->tensors && b->state && fill_variables(p, b->state, &random) == ND_OK)
        b->call = nd_bind(p, nd_program_function_name(p, function), b->state, (nd_tensors){(size_t)in, b->tensors},
                          (nd_tensors){(size_t)out, b->tensors + in});
    return b->call;
}

void nd__bound_release(nd__bound *b)
{
    nd_call_destroy(b->call);
    for (int i = 0; i < b->count && b->tensors; i++)
        nd_tensor_destroy(b->tensors[i]);
    free(b->tensors);
    nd_state_destroy(b->state);
}

static void run_call(void *self)
{
    nd_run(self);
}

/* pool: NULL for one thread. */
static int time_function(const nd__words *words, nd_program *p, int function, const nd_pool *pool, double seconds,
                         nd__timing *t)
{
    nd__bound b = {0};
    int code = ND__EXIT_OK;
    if (!nd__bound_make(p, function, &b))
        code = nd__cli_fail(words, p->message.status, "%s", nd_program_error(p));
    else if ((pool && nd_call_set_parallel(b.call, nd_pool_parallel(pool)) != ND_OK) || nd_run(b.call) != ND_OK)
        code = nd__cli_fail(words, ND_ERR_STATE, "%s", nd_call_error(b.call));
    else
        *t = nd__time(run_call, b.call, seconds);
    nd__bound_release(&b);
    return code;
}

/* -- the table ---------------------------------------------------------------------------------------------------- */

static int bench_function(const nd__words *words, nd_program *compiled, nd_program *interpreted, int function,
                          const nd_pool *pool, double seconds)
{
    nd__timing fast, slow, wide = {0};
    char text[4][16], threads[16];
    const char *name = nd_program_function_name(compiled, function);
    int code = time_function(words, compiled, function, NULL, seconds, &fast);
    if (code == ND__EXIT_OK && pool)
        code = time_function(words, compiled, function, pool, seconds, &wide);
    if (code == ND__EXIT_OK)
        code = time_function(words, interpreted, nd_program_function_index(interpreted, name), NULL, seconds, &slow);
    if (code == ND__EXIT_OK)
        fprintf(words->out, "%-16s %10s %10s %*s   %10s %10s   %7.1fx\n", name, nd__time_text(text[0], fast.median),
                nd__time_text(text[1], fast.p10), pool ? 11 : 0, pool ? nd__time_text(threads, wide.median) : "",
                nd__time_text(text[2], slow.median), nd__time_text(text[3], slow.p10), slow.median / fast.median);
    return code;
}

/* What calling costs where there is nothing to do. */
static int bench_empty(const nd__words *words, double seconds)
{
    nd__timing t;
    nd_module *m = nd_module_create("empty");
    nd_function_at(NULL, m, "empty", (nd_values){0}, (nd_values){0});
    const nd_compile_options options = {.cpu = nd__option_value(words, "--cpu")};
    nd_program *p = nd_compile(m, &options);
    int code = nd_program_status(p) == ND_OK
                   ? time_function(words, p, nd_program_function_index(p, "empty"), NULL, seconds, &t)
                   : nd__cli_fail(words, nd_program_status(p), "%s", nd_program_error(p));
    if (code == ND__EXIT_OK)
        fprintf(words->out, "an empty function: %.1f ns a call (p10 %.1f)\n", t.median * 1e9, t.p10 * 1e9);
    nd_program_destroy(p);
    nd_module_destroy(m);
    return code;
}

static bool is_wanted(const nd_program *p, int function, const char *wanted)
{
    const char *name = nd_program_function_name(p, function);
    return wanted ? strcmp(name, wanted) == 0 : strcmp(name, "init") != 0;
}

/* What --threads asks for; *threads stays where it is not given. */
static int read_threads(const nd__words *words, int *threads)
{
    enum { MOST = 64 };
    const char *text = nd__option_value(words, "--threads");
    char *end = NULL;
    const long n = text ? strtol(text, &end, 10) : *threads;
    if (text && (end == text || *end || n < 1 || n > MOST))
        return nd__cli_refuse(words, "--threads: expected a number from 1 to %d, got '%s'", MOST, text);
    *threads = (int)n;
    return ND__EXIT_OK;
}

static int bench_functions(const nd__words *words, nd_program *compiled, nd_program *interpreted, double seconds)
{
    int threads = 1, code = read_threads(words, &threads);
    nd_pool *pool = code == ND__EXIT_OK && threads > 1 ? nd_pool_create(threads) : NULL;
    char several[32] = "";
    if (code == ND__EXIT_OK && threads > 1 && !pool)
        code = nd__cli_fail(words, ND_ERR_MEMORY, "%d threads cannot be started", threads);
    if (pool)
        snprintf(several, sizeof several, "%d threads", threads);
    if (code == ND__EXIT_OK)
        fprintf(words->out, "%-16s %21s %*s   %21s   %8s\n%-16s %10s %10s %*s   %10s %10s\n", "", "compiled",
                pool ? 11 : 0, several, "interpreted", "ratio", "function", "median", "p10", pool ? 11 : 0,
                pool ? "median" : "", "median", "p10");
    for (int i = 0; i < nd_program_function_count(compiled) && code == ND__EXIT_OK; i++)
        if (is_wanted(compiled, i, nd__operand(words, 1)))
            code = bench_function(words, compiled, interpreted, i, pool, seconds);
    nd_pool_destroy(pool);
    return code;
}

static int bench_steps(const nd__words *words, nd_module *m, nd_program *compiled, double seconds)
{
    double peak;
    int code = nd__bench_peak(words, &peak);
    for (int i = 0; i < nd_program_function_count(compiled) && code == ND__EXIT_OK; i++)
        if (is_wanted(compiled, i, nd__operand(words, 1)))
            code = nd__bench_kernels(words, m, compiled, i, seconds, peak);
    if (code == ND__EXIT_OK && peak > 0)
        fprintf(words->out, "\nthe peak: %.1f GFLOP/s of f32 multiply-adds, measured\n", peak * 1e-9);
    return code;
}

static int usable(const nd__words *words, const nd_program *p)
{
    nd_status status = nd_program_status(p);
    return status == ND_OK ? ND__EXIT_OK : nd__cli_fail(words, status, "%s", nd_program_error(p));
}

static int bench_module(const nd__words *words, nd_module *m, double seconds)
{
    const nd_compile_options native = nd__cli_options(words, false), plain = nd__cli_options(words, true);
    const char *wanted = nd__operand(words, 1);
    nd_program *compiled = nd_compile(m, &native), *interpreted = nd_compile(m, &plain);
    int code = usable(words, compiled);
    if (code == ND__EXIT_OK)
        code = usable(words, interpreted);
    if (code == ND__EXIT_OK && wanted && nd_program_function_index(compiled, wanted) < 0)
        code = nd__cli_fail(words, ND_ERR_ARGUMENT, "there is no function '%s'", wanted);
    if (code == ND__EXIT_OK)
        code = bench_functions(words, compiled, interpreted, seconds);
    if (code == ND__EXIT_OK && nd__option_value(words, "--kernels"))
        code = bench_steps(words, m, compiled, seconds);
    if (code == ND__EXIT_OK)
        fprintf(words->out, "compiled in %.1f ms\n", nd_program_compile_times(compiled).total);
    nd_program_destroy(interpreted);
    nd_program_destroy(compiled);
    return code;
}

static int run(const nd__words *words)
{
    const char *text = nd__option_value(words, "--seconds");
    char *end = NULL;
    double seconds = text ? strtod(text, &end) : 0.5;
    int code;
    if (text && (end == text || *end || !(seconds >= 0 && seconds <= 3600)))
        return nd__cli_refuse(words, "--seconds %s: expected a number from 0 to 3600", text);
    nd_module *m = nd__cli_module(words, &code);
    if (m)
        code = bench_module(words, m, seconds);
    if (code == ND__EXIT_OK)
        code = bench_empty(words, seconds);
    nd_module_destroy(m);
    return code;
}

static const nd__option options[] = {
    {"--kernels", NULL, "also each kernel: time, rates, the part of the peak that it reaches"},
    {"--seconds", "S", "how long each function is measured, each way (0.5)"},
    {"--threads", "N", "also measure the compiled code on so many threads"},
    ND__OPTION_BIND,
    ND__OPTION_CPU,
    ND__OPTION_PASSES,
    ND__OPTION_TUNE_FILE,
    ND__OPTION_TUNE,
    {0},
};

const nd__command nd__command_bench = {
    .name = "bench",
    .operands = "FILE [FUNCTION]",
    .least = 1,
    .most = 2,
    .summary = "compiled against interpreted",
    .details = "Times one function or all of them on random inputs, on one thread, in many short samples: the\n"
               "median, and the tenth percentile, which interruptions do not touch. The ratio is of medians.\n"
               "--kernels runs the steps of each function in their order and times each one, beside the estimate\n"
               "of nadir plan at the clock that the measured peak tells; ! marks those that take more than twice\n"
               "as long. Of very short ones the clock itself, some 20 ns, is a part.\n",
    .options = options,
    .run = run,
};
