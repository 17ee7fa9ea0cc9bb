/* nadir bench --kernels: each step of a function, and the processor's peak of multiply-adds, measured by a kernel that
 * does nothing else. */
#include "compiler/cli/bench.h"
#include "compiler/cli/timing.h"
#include "compiler/lowered.h"
#include "compiler/profile.h"
#include "compiler/schedule/cost.h"
#include "runtime/program.h"

#include <stdlib.h>

/* -- the peak ----------------------------------------------------------------------------------------------------- */

enum { CHAINS = 12, TURNS = 1000 }; /* more chains than latency times units: 4 times 2 today */

/* Independent chains of multiply-adds over one vector; flops of a run in *flops. */
static nd__plan *peak_plan(const nd__target *target, double *flops)
{
    const int lanes = target->vector_bytes / 4;
    nd__plan *plan = nd__plan_create("peak");
    if (!plan)
        return NULL;
    nd__kernel *k = nd__k_create(plan->arena, "peak"), **kernels = nd__arena_alloc(plan->arena, 1, sizeof *kernels);
    nd__buffer *buffer = nd__arena_alloc(plan->arena, 1, sizeof *buffer);
    nd__step *step = nd__arena_alloc(plan->arena, 1, sizeof *step);
    nd__karg *arg = nd__arena_alloc(plan->arena, 1, sizeof *arg);
    if (!k || !kernels || !buffer || !step || !arg) {
        nd__plan_destroy(plan);
        return NULL;
    }
    nd__kbuilder b = nd__k_builder(k);
    int32_t x = nd__k_buffer(k, "x", ND_F32, ND__K_INOUT, lanes, 64);
    nd__kval factor = nd__k_load(&b, x, nd__k_at(0), lanes, 1, lanes), acc[CHAINS], next[CHAINS], last[CHAINS];
    for (int i = 0; i < CHAINS; i++) /* different ones, or they would be made one */
        acc[i] = nd__k_const(&b, nd__k_type(ND_F32, lanes), i);
    nd__k_for(&b, nd__k_at(0), nd__k_at(TURNS), 1, CHAINS, acc, next);
    for (int i = 0; i < CHAINS; i++) /* of zeros, which multiply as fast as any number */
        acc[i] = nd__k_op3(&b, ND__K_fma, next[i], factor, factor);
    nd__k_end_for(&b, acc, last);
    for (int i = 1; i < CHAINS; i++)
        last[0] = nd__k_op2(&b, ND__K_add, last[0], last[i]);
    nd__k_store(&b, x, nd__k_at(0), last[0], 1, lanes);
    kernels[0] = k;
    *buffer = (nd__buffer){.where = ND__IN_ARENA, .dtype = ND_F32, .elems = lanes, .name = "x"};
    *step = (nd__step){.kind = ND__STEP_KERNEL, .label = "peak", .args = arg};
    plan->kernels = kernels;
    plan->buffers = buffer;
    plan->steps = (nd__steps){step, 1, 1};
    plan->kernel_count = plan->buffer_count = 1;
    plan->arena_size = 64;
    *flops = 2.0 * lanes * CHAINS * TURNS;
    return plan;
}

static void run_peak(void *self)
{
    _Alignas(64) unsigned char vector[64] = {0};
    (*(nd_entry *)self)(NULL, vector, NULL, NULL);
}

int nd__bench_peak(const nd__words *words, double *peak)
{
    char message[ND__CLI_MESSAGE] = "";
    nd__target target;
    double flops;
    nd_status status = nd__target_find(nd__option_value(words, "--cpu"), &target, message, sizeof message);
    *peak = 0;
    if (status != ND_OK)
        return nd__cli_fail(words, status, "%s", message);
    if (!target.fma)
        return ND__EXIT_OK;
    nd__plan *plan = peak_plan(&target, &flops);
    if (!plan)
        return nd__cli_memory(words);
    nd__native *native = NULL;
    status = nd__native_compile((const nd__plan *const[]){plan}, 1, &target, &native, message, sizeof message);
    nd_entry entry = status == ND_OK ? nd__native_entry(native, 0) : NULL;
    int code = entry ? ND__EXIT_OK : nd__cli_fail(words, status, "%s", message);
    if (entry)
        *peak = flops / nd__time(run_peak, &entry, 0.1).p10;
    nd__native_destroy(native);
    nd__plan_destroy(plan);
    return code;
}

/* -- the table ---------------------------------------------------------------------------------------------------- */

/* Slower than that often its estimate; below a microsecond the clock and the first misses decide. */
static const double finding = 2, noise = 1e-6;

static bool is_finding(const nd__profile_row *row, double clock)
{
    return row->median > noise && row->median > finding * row->cycles / clock;
}

static void show_row(const nd__words *words, const nd__profile_row *row, double total, double peak, double clock)
{
    char text[2][16];
    const double rate = (double)row->flops / row->median;
    fprintf(words->out, "%10s %10s%c %7.1f %% ", nd__time_text(text[0], row->median),
            nd__time_text(text[1], row->cycles / clock), is_finding(row, clock) ? '!' : ' ', 100 * row->median / total);
    if (row->flops > 0)
        fprintf(words->out, "%8.1f ", rate * 1e-9);
    else
        fprintf(words->out, "%8s ", "-");
    if (row->flops > 0 && peak > 0)
        fprintf(words->out, "%4.0f %%", 100 * rate / peak);
    else
        fprintf(words->out, "%6s", "-");
    fprintf(words->out, " %8.1f  %s%s%s\n", (double)row->bytes / row->median * 1e-9, row->label,
            row->choice[0] ? "  " : "", row->choice);
}

static void show(const nd__words *words, const char *name, const nd__profile_row *rows, int count, double peak,
                 double clock)
{
    char text[2][16];
    double total = 0, cycles = 0;
    int findings = 0;
    for (int i = 0; i < count; i++) {
        total += rows[i].median;
        cycles += rows[i].cycles;
        findings += is_finding(&rows[i], clock);
    }
    fprintf(words->out, "\n%s, step by step\n%10s %10s %10s %8s %6s %8s  %s\n", name, "median", "estimate", "of all",
            "GFLOP/s", "peak", "GB/s", "computes");
    for (int i = 0; i < count; i++)
        show_row(words, &rows[i], total, peak, clock);
    fprintf(words->out, "%10s %10s  all steps; %d below half of the estimate%s\n", nd__time_text(text[0], total),
            nd__time_text(text[1], cycles / clock), findings, findings ? " (!)" : "");
}

int nd__bench_kernels(const nd__words *words, nd_module *m, nd_program *p, int function, double seconds, double peak)
{
    nd_compile_options options = nd__cli_options(words, false);
    const char *name = nd_program_function_name(p, function);
    nd__target target;
    char text[ND__CLI_MESSAGE] = "";
    nd__message message = {0};
    nd__arena arena = {0};
    nd__profile_row *rows;
    nd__bound b = {0};
    int count, code = ND__EXIT_OK;
    options.tune_ms = 0; /* the file has it since the program was compiled */
    nd_status found = nd__target_find(options.cpu, &target, text, sizeof text);
    if (found != ND_OK)
        return nd__cli_fail(words, found, "%s", text);
    const double clock = peak > 0 ? peak / nd__peak_flops(&target) : ND__CYCLES_A_MICROSECOND * 1e6;
    if (!nd__bound_make(p, function, &b))
        code = nd__cli_fail(words, p->message.status, "%s", nd_program_error(p));
    void **memory = calloc((size_t)b.count + 1, sizeof *memory);
    if (code == ND__EXIT_OK && !memory)
        code = nd__cli_memory(words);
    if (code == ND__EXIT_OK) {
        for (int i = 0; i < b.count; i++)
            memory[i] = nd_tensor_data(b.tensors[i]);
        nd_status status =
            nd__profile(m, &options, name, nd__storage_data(b.state->block), (const void *const *)memory,
                        memory + nd_program_input_count(p, function), seconds, &arena, &rows, &count, &message);
        if (status == ND_OK)
            show(words, name, rows, count, peak, clock);
        else
            code = nd__cli_fail(words, status, "%s", nd__message_text(&message));
    }
    nd__message_clear(&message);
    free(memory);
    nd__bound_release(&b);
    nd__arena_release(&arena);
    return code;
}
