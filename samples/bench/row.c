/* One workload: compiled beside interpreted, on real data, its first numbers looked at before its speed. */
#define _POSIX_C_SOURCE 200809L
#include "bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_NUMBERS = 512, COMPILATIONS = 5 };

/* -- numbers ------------------------------------------------------------------------------------------------------ */

static double sum_of_magnitudes(const nd_tensor *t)
{
    double sum = 0;
    for (int64_t i = 0; i < nd_tensor_count(t); i++)
        sum += fabs(nd_tensor_get(t, i));
    return sum;
}

/* What a call gave to look at: the first output's elements, the others' sums of magnitudes. */
static int take_numbers(const runner *r, double *numbers, int most)
{
    int n = 0;
    for (; n < nd_tensor_count(r->outputs[0]) && n < most; n++)
        numbers[n] = nd_tensor_get(r->outputs[0], n);
    for (int i = 1; i < r->output_count && n < most; i++)
        numbers[n++] = sum_of_magnitudes(r->outputs[i]);
    return n;
}

/* The largest relative error of the first numbers, the runner's first call done; -1: there is no reference. */
double first_error(const workload *w, runner *r)
{
    double want[MOST_NUMBERS], got[MOST_NUMBERS], error = 0;
    const int n = reference_read(w->reference ? w->reference : w->name, want, MOST_NUMBERS);
    for (int have = take_numbers(r, got, n); have < n; have += take_numbers(r, got + have, n - have))
        run_next(r);
    for (int i = 0; i < n; i++) {
        const double e = fabs(got[i] - want[i]) / fmax(fabs(want[i]), 1e-2);
        error = e <= error ? error : e; /* a NaN stays */
    }
    return n > 0 ? error : -1;
}

static bool same_bits(const runner *a, const runner *b)
{
    bool same = true;
    for (int i = 0; i < a->output_count; i++)
        same = same && nd_tensor_same_bits(a->outputs[i], b->outputs[i]);
    return same;
}

/* -- costs -------------------------------------------------------------------------------------------------------- */

/* Seconds that a call cannot do without. */
static double bound(const workload *w)
{
    const double macs = w->batch * (w->trains ? 3 * w->macs - w->data_macs : w->macs), peak = limit_flops();
    const double compute = peak > 0 ? 2 * macs / peak : 0;
    const double memory = w->read + w->written > 0 ? limit_memory(w->read, w->written) : 0;
    return macs < 1e4 && memory == 0 ? 0
                                     : fmax(compute, memory); /* calling costs more than ten thousand multiply-adds */
}

/* The median of some compilations. */
static double compile_seconds(const model *m, const options *o, const nd_program *first)
{
    timing t = {.samples = {1e-3 * nd_program_compile_times(first).total}, .count = 1};
    while (t.count < COMPILATIONS) {
        nd_program *p = nd_compile(m->module, &(nd_compile_options){.cpu = o->cpu});
        t.samples[t.count++] = 1e-3 * nd_program_compile_times(p).total;
        nd_program_destroy(p);
    }
    return timing_quantile(&t, 0.5);
}

/* How much more memory the arena has than what is alive at once, as the plan says; 0: it does not. */
static double arena_excess(const model *m, const options *o)
{
    char *text = NULL, *at;
    size_t size;
    double ratio = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return 0;
    const nd_status status =
        nd_plan_print(m->module, &(nd_compile_options){.cpu = o->cpu}, "step", false, out, NULL, 0);
    if (fclose(out) == 0 && status == ND_OK && (at = strstr(text, "alive at once")))
        ratio = at[13] == ':' ? strtod(at + 14, NULL) : 1;
    free(text);
    return ratio;
}

/* -- the row ------------------------------------------------------------------------------------------------------ */

const char *time_text(char text[16], double seconds)
{
    static const char *const units[] = {"s", "ms", "us", "ns"};
    int unit = 0;
    if (seconds <= 0)
        return "-";
    for (; unit < 3 && seconds < 1; unit++)
        seconds *= 1000;
    snprintf(text, 16, "%.*f %s", seconds < 10 ? 2 : seconds < 100 ? 1 : 0, seconds, units[unit]);
    return text;
}

/* Of the columns, in the order in which print_row fills them. */
void print_heading(const options *o)
{
    char threads[32] = "";
    if (o->threads > 1)
        snprintf(threads, sizeof threads, "%d threads", o->threads);
    printf("%-18s %11s %9s %9s %*s%s%7s %9s %7s %9s %7s %7s %8s %7s %8s %6s  %s\n", "a step of", "interpreted",
           "compiled", "p10", o->threads > 1 ? 9 : 0, threads, o->threads > 1 ? " " : "", "ratio", "bound", "reached",
           "compiling", "memory", "code", "arena", "x least", "error", "bits", "besides");
}

/* What was measured of one workload. */
typedef struct measured {
    timing interpreted, compiled, threads;
    double error;        /* of its first numbers, relative */
    bool same;           /* interpreted and compiled, on one thread and on several: the same bits */
    double memory;       /* of the process while compiling */
    const char *besides; /* what steps do besides computing */
} measured;

static void print_row(const workload *w, const options *o, const model *m, const runner *fast, measured *r)
{
    char text[6][16];
    const double steps = w->steps ? w->steps : 1, least = bound(w);
    const double interpreted = timing_quantile(&r->interpreted, 0.5), median = timing_quantile(&r->compiled, 0.5);
    const size_t arena = nd_program_arena_size(fast->program, nd_program_function_index(fast->program, "step"));
    printf("%-18s %11s %9s %9s ", w->name, time_text(text[0], interpreted / steps), time_text(text[1], median / steps),
           time_text(text[2], timing_quantile(&r->compiled, 0.1) / steps));
    if (o->threads > 1)
        printf("%9s ", time_text(text[3], timing_quantile(&r->threads, 0.5) / steps));
    printf("%6.0fx %9s", interpreted / median, time_text(text[4], least));
    if (least > 0)
        printf(" %5.0f %%", 100 * least / median);
    else
        printf(" %7s", "-");
    printf(" %9s %4.0f MB %4.0f KB %5zu KB", time_text(text[5], compile_seconds(m, o, fast->program)), 1e-6 * r->memory,
           (double)nd_program_compile_times(fast->program).code_bytes / 1024, (arena + 1023) / 1024);
    if (arena > 0)
        printf(" %7.2f", arena_excess(m, o));
    else
        printf(" %7s", "-");
    printf(" %8.1e %6s  %s\n", r->error, r->same ? "same" : "DIFFER", r->besides);
}

/* Several threads: their bits (beside those of the other runner's first call), then their time. */
static void measure_threads(const options *o, const model *m, const runner *other, measured *r)
{
    runner wide;
    nd_pool *pool = nd_pool_create(o->threads);
    runner_make(&wide, m, o->cpu, false);
    runner_use_threads(&wide, pool);
    run_next(&wide);
    r->same = r->same && wide.status == ND_OK && same_bits(&wide, other);
    timing_add(&r->threads, o->seconds, 20, run_next, &wide);
    runner_release(&wide);
    nd_pool_destroy(pool);
}

/* Compiled twice, with the peers in between, so that a machine that grows slower or faster tells. */
static void measure_times(const workload *w, const options *o, runner *fast, runner *slow, measured *r, FILE *rows)
{
    if (r->interpreted.samples[0] < o->seconds)
        timing_add(&r->interpreted, o->seconds, 1, run_next, slow);
    timing_add(&r->compiled, o->seconds / 2, 10, run_next, fast);
    if (o->peers && rows)
        peers_run(w->name, o, rows);
    timing_add(&r->compiled, o->seconds / 2, 10, run_next, fast);
}

static bool measure(const workload *w, const options *o, const model *m, runner *fast, runner *slow, double memory)
{
    measured r = {.memory = memory};
    char *peers = NULL;
    size_t size;

    const double begin = seconds_now();
    run_next(slow);
    r.interpreted.samples[r.interpreted.count++] = seconds_now() - begin;
    run_next(fast);
    r.same = same_bits(fast, slow);
    if (o->threads > 1)
        measure_threads(o, m, slow, &r);
    r.error = first_error(w, fast);
    if (!(r.error >= 0 && r.error <= w->tolerance)) {
        printf("%-18s WRONG: an error of %.1e, where %.1e is allowed\n", w->name, r.error, w->tolerance);
        return false;
    }
    r.besides = besides_computing(fast, 2 * fast->call_count);
    FILE *rows = open_memstream(&peers, &size);
    measure_times(w, o, fast, slow, &r, rows);
    if (rows)
        fclose(rows);
    print_row(w, o, m, fast, &r);
    fputs(peers ? peers : "", stdout);
    free(peers);
    return r.same && (strcmp(r.besides, "nothing") == 0 || strcmp(r.besides, "-") == 0);
}

bool measure_workload(const workload *w, const options *o)
{
    model m = {.module = nd_module_create("bench"), .data = o->data, .random = 1};
    runner fast, slow;
    bool good = false;
    const double memory = compile_memory(w, o);
    w->build(&m);
    if (m.error[0]) {
        printf("%-18s left out: %s\n", w->name, m.error);
        model_release(&m);
        return true;
    }
    runner_make(&fast, &m, o->cpu, false);
    runner_make(&slow, &m, o->cpu, true);
    if (fast.status == ND_OK && slow.status == ND_OK)
        good = measure(w, o, &m, &fast, &slow, memory);
    else
        printf("%-18s %s\n", w->name, nd_program_error(fast.status != ND_OK ? fast.program : slow.program));
    fflush(stdout);
    runner_release(&fast);
    runner_release(&slow);
    model_release(&m);
    return good;
}

static void run_call(void *call)
{
    nd_run(call);
}

void measure_empty(const options *o)
{
    char text[2][16];
    timing t = {.count = 0};
    nd_module *m = nd_module_create("empty");
    nd_function(m, "step", ND_VALUES(), ND_VALUES());
    runner r;
    runner_make(&r, &(model){.module = m, .batch_count = 1}, o->cpu, false);
    if (r.status == ND_OK) {
        timing_add(&t, o->seconds, 20, run_call, r.calls[0]);
        printf("a call of an empty function: %s, p10 %s\n", time_text(text[0], timing_quantile(&t, 0.5)),
               time_text(text[1], timing_quantile(&t, 0.1)));
    } else
        printf("%s\n", nd_program_error(r.program));
    runner_release(&r);
    nd_module_destroy(m);
}
