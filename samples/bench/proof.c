/* The long proof: ten steps of a workload at full size give the same bits, in every output and variable after each
 * step, interpreted and compiled for every instruction set of this machine, as an object linked by cc too, on one, two
 * and three threads; and the interpreter's numbers are those of peers/reference.json. */
#define _POSIX_C_SOURCE 200809L
#include "bench.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STEPS = 10, LEAST_STEPS = 2, MOST_THREADS = 3 };
static const char *const levels[] = {"x86-64", "x86-64-v2", "x86-64-v3", "x86-64-v4"};
static const double PATIENCE = 20; /* seconds: where multiply-adds are emulated, steps take as long as interpreted */

/* -- what the interpreter gave ------------------------------------------------------------------------------------ */

typedef struct record {
    int outputs, variables; /* tensors of a step */
    nd_tensor **tensors;    /* step by step */
} record;

static const nd_tensor *looked_at(const runner *r, int i)
{
    if (i < r->output_count)
        return r->outputs[i];
    return nd_state_tensor(r->state, nd_program_variable(r->program, i - r->output_count).name);
}

static bool record_steps(record *c, runner *r)
{
    const int each = r->output_count + nd_program_variable_count(r->program);
    *c = (record){.outputs = r->output_count, .variables = each - r->output_count};
    c->tensors = calloc((size_t)each * STEPS, sizeof *c->tensors);
    for (int step = 0; step < STEPS && c->tensors; step++) {
        run_next(r);
        for (int i = 0; i < each; i++)
            c->tensors[step * each + i] = nd_tensor_copy(looked_at(r, i));
    }
    return c->tensors;
}

static void record_release(record *c)
{
    for (int i = 0; i < STEPS * (c->outputs + c->variables) && c->tensors; i++)
        nd_tensor_destroy(c->tensors[i]);
    free(c->tensors);
}

/* Runs steps until patience ends and compares; how many were the same, or 0: one was not. */
static int same_steps(const record *c, runner *r)
{
    const int each = c->outputs + c->variables;
    const double start = seconds_now();
    int step = 0;
    for (; step < STEPS && (step < LEAST_STEPS || seconds_now() - start < PATIENCE); step++) {
        run_next(r);
        for (int i = 0; i < each; i++)
            if (!nd_tensor_same_bits(c->tensors[step * each + i], looked_at(r, i))) {
                printf("    step %d, %s %d: DIFFERENT\n", step + 1, i < c->outputs ? "output" : "variable",
                       i < c->outputs ? i : i - c->outputs);
                return 0;
            }
    }
    return step;
}

/* -- ahead of time ------------------------------------------------------------------------------------------------ */

/* An object as a program: compiled, linked by cc, and loaded. */
typedef struct object {
    void *library;
    nd_program *program;
} object;

static const char glue[] = "#include \"nadir/program.h\"\n"
                           "#include \"model.h\"\n"
                           "const nd_program_info *proof_info(void);\n"
                           "const nd_program_info *proof_info(void) { return &model_info; }\n";

static bool write_text(const char *path, const char *text)
{
    FILE *out = fopen(path, "w");
    const bool written = out && fputs(text, out) >= 0;
    return out && fclose(out) == 0 && written;
}

static bool object_link(const model *m, const char *cpu, const char *folder)
{
    char path[4096], command[16384], message[512];
    snprintf(path, sizeof path, "%s/model", folder);
    if (nd_compile_files(m->module, &(nd_compile_options){.cpu = cpu}, path, "model", message, sizeof message) !=
        ND_OK) {
        printf("    %s\n", message);
        return false;
    }
    snprintf(path, sizeof path, "%s/glue.c", folder);
    snprintf(command, sizeof command,
             "cd '%s' && cc -std=c11 -shared -fPIC -I '" SAMPLES "/../include' -o model.so glue.c model.o", folder);
    return write_text(path, glue) && system(command) == 0;
}

static bool object_make(object *a, const model *m, const char *cpu)
{
    char folder[] = "/tmp/nadir-proof-XXXXXX", command[4096];
    *a = (object){NULL, NULL};
    if (!mkdtemp(folder))
        return false;
    if (object_link(m, cpu, folder)) {
        snprintf(command, sizeof command, "%s/model.so", folder);
        a->library = dlopen(command, RTLD_NOW | RTLD_LOCAL);
    }
    void *symbol = a->library ? dlsym(a->library, "proof_info") : NULL;
    if (symbol) {
        const nd_program_info *(*info)(void);
        memcpy(&info, &symbol, sizeof info); /* data pointers to function pointers: as POSIX does it */
        a->program = nd_program_create(info());
    }
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    return system(command) == 0 && a->program;
}

static void object_release(object *a)
{
    nd_program_destroy(a->program);
    if (a->library)
        dlclose(a->library);
}

/* -- the proof ---------------------------------------------------------------------------------------------------- */

/* One program on one thread and more. */
static bool prove_program(const char *what, nd_program *p, const model *m, const record *c)
{
    bool good = true;
    printf("    %-18s", what);
    for (int threads = 1; threads <= MOST_THREADS && good; threads++) {
        runner r;
        nd_pool *pool = nd_pool_create(threads);
        runner_bind(&r, p, m);
        if (threads > 1)
            runner_use_threads(&r, pool);
        const int same = r.status == ND_OK ? same_steps(c, &r) : 0;
        printf("%s%d thread%s: %d steps", threads > 1 ? ", " : " ", threads, threads > 1 ? "s" : "", same);
        fflush(stdout);
        good = same > 0;
        runner_release(&r);
        nd_pool_destroy(pool);
    }
    puts(good ? " the same" : " FAILED");
    return good;
}

static bool prove_level(const char *cpu, const model *m, const record *c)
{
    char what[64];
    nd_program *p = nd_compile(m->module, &(nd_compile_options){.cpu = cpu});
    if (nd_program_status(p) != ND_OK) {
        printf("    %-18s %s\n", cpu, nd_program_error(p));
        const bool elsewhere = nd_program_status(p) == ND_ERR_TARGET;
        nd_program_destroy(p);
        return elsewhere; /* code for another processor is no failure */
    }
    bool good = prove_program(cpu, p, m, c);
    nd_program_destroy(p);
    object a;
    snprintf(what, sizeof what, "%s object", cpu);
    good = object_make(&a, m, cpu) && prove_program(what, a.program, m, c) && good;
    object_release(&a);
    return good;
}

static bool prove_model(const workload *w, const model *m)
{
    runner slow;
    record c = {.outputs = 0};
    bool good = false;
    runner_make(&slow, m, NULL, true);
    if (slow.status == ND_OK && record_steps(&c, &slow)) {
        runner again; /* numbers are looked at from the first call on */
        runner_make(&again, m, NULL, false);
        run_next(&again);
        const double error = again.status == ND_OK ? first_error(w, &again) : -1;
        good = error >= 0 && error <= w->tolerance;
        printf("    the first numbers: an error of %.1e, %.1e allowed%s\n", error, w->tolerance, good ? "" : ": WRONG");
        runner_release(&again);
        for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
            good = prove_level(levels[i], m, &c) && good;
    } else
        printf("    %s\n", nd_program_error(slow.program));
    record_release(&c);
    runner_release(&slow);
    return good;
}

bool prove_workload(const workload *w, const options *o)
{
    model m = {.module = nd_module_create("bench"), .data = o->data, .random = 1};
    const double start = seconds_now();
    bool good = true;
    w->build(&m);
    printf("%s\n", w->name);
    if (m.error[0])
        printf("    left out: %s\n", m.error);
    else
        good = prove_model(w, &m);
    printf("    %s, %.0f s\n", good ? "good" : "FAILED", seconds_now() - start);
    fflush(stdout);
    model_release(&m);
    return good;
}
