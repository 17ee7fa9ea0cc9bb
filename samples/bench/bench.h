/* What samples/bench measures with, and the workloads (peers/workloads.md) that it measures. One thread unless
 * more are asked for. */
#ifndef SAMPLES_BENCH_H
#define SAMPLES_BENCH_H

#include "nadir/compile.h"
#include "nadir/graph.h"

#include <stdbool.h>
#include <stdio.h>

/* -- time --------------------------------------------------------------------------------------------------------- */

enum { MOST_SAMPLES = 8192 };

/* Samples of one work in seconds, each of it once. */
typedef struct timing {
    double samples[MOST_SAMPLES];
    int count;
} timing;

/* The monotonic clock. */
double seconds_now(void);
/* Adds samples for about that many seconds, `least` at any rate: of one work(self) each, or, where it is short, of
 * groups of 200 us. */
void timing_add(timing *t, double seconds, int least, void (*work)(void *self), void *self);
/* The sample that this part of them does not exceed: 0.5 is the median. 0 without samples. */
double timing_quantile(timing *t, double part);

/* -- what the machine can do, measured ---------------------------------------------------------------------------- */

/* Floating-point operations in a second of independent fused multiply-adds in the widest vectors; 0: not known here. */
double limit_flops(void);
/* Seconds that it takes to read and to write that many bytes, again and again, in one go each; 0: not known here. */
double limit_memory(double read, double written);

/* -- options ------------------------------------------------------------------------------------------------------ */

typedef struct options {
    double seconds;
    int threads;              /* above 1: measured with that many, too */
    const char *data, *peers; /* folders; NULL: none */
    const char *cpu;          /* to compile for; NULL: this one */
} options;

/* -- workloads ---------------------------------------------------------------------------------------------------- */

enum { MOST_INPUTS = 4, MOST_BATCHES = 150, MOST_PARAMETERS = 64 };

/* A workload while it is built: the function "step" of the module, and what its calls are bound to in turn. */
typedef struct model {
    nd_module *module;
    const char *data; /* folder with mnist/ and text/; NULL: there is none */
    uint32_t random;  /* state of the generator of initial values */
    nd_value *parameters[MOST_PARAMETERS];
    int parameter_count, input_count, batch_count;
    nd_tensor *batches[MOST_BATCHES][MOST_INPUTS];
    char error[512]; /* of the data */
} model;

typedef struct workload {
    const char *name;
    void (*build)(model *m);
    int batch;
    double tolerance; /* of the checked numbers, relative */
    /* Multiply-adds forward, and those of layers whose input is data, so that nobody needs its gradient; per item. */
    double macs, data_macs;
    bool trains;           /* forward, backward and update; otherwise forward alone counts */
    double read, written;  /* bytes that a call cannot do without, where memory may be the bound */
    int steps;             /* in one call */
    const char *reference; /* whose numbers they are; NULL: of the same name */
} workload;

extern const workload workloads[];
extern const int workload_count;

/* The parameters and inputs of models, by the rules of peers/workloads.md. */

/* n values of the generator times `scale`, each rounded once. */
void generate(uint32_t *random, int64_t n, float scale, float *values);
/* A variable of that shape from the generator, or, where the scale is 0 or 1, of that value in every element. */
nd_value *parameter(model *m, const char *name, nd_shape shape, double scale);
/* Batches of flat images (MNIST), floats of 0 to 1, and labels: inputs "x" [batch, 784] and "y" [batch] (NULL: none).
 */
void images(model *m, int batch, nd_value **x, nd_value **y);
/* The same of digits.csv.gz: "x" [batch, 64]. */
void digits(model *m, int batch, nd_value **x, nd_value **y);
/* Batches of one flower: "x" [1, 4] and "y" [1]. */
void iris(model *m, nd_value **x, nd_value **y);
/* Batches of characters and those that follow: "x" and "y" [batch, 64]. */
void characters(model *m, int batch, nd_value **x, nd_value **y);
/* Room for `n` batches of one more input of that name, which the caller fills. */
nd_value *input(model *m, const char *name, nd_dtype dtype, nd_shape shape, int n);
void model_release(model *m);

/* (x - mean) / sqrt(variance + 1e-5) * gain + bias along the last axis. */
nd_value *layer_norm(nd_value *x, nd_value *gain, nd_value *bias);
typedef nd_value *activation(nd_place place, nd_value *x);
/* Dense layers of those sizes, the first of which is x's, all but the last activated. */
nd_value *dense_layers(model *m, nd_value *x, int count, const int64_t *sizes, activation *act);
/* The function "step" of inputs x and y: descent of all parameters, with momentum or (0) without. */
nd_function *train(model *m, nd_value *x, nd_value *y, nd_value *loss, double rate, double momentum);

/* Those that are not in workloads.c. */
void build_lenet(model *m);
void build_lenet_inference(model *m);
void build_resnet(model *m);
void build_gru(model *m);
void build_gpt(model *m);

/* -- running ------------------------------------------------------------------------------------------------------ */

enum { MOST_OUTPUTS = 4 };

/* A program's function "step", bound to each batch. */
typedef struct runner {
    nd_program *program;
    bool owns_program;
    nd_state *state;
    nd_tensor *outputs[MOST_OUTPUTS];
    nd_call *calls[MOST_BATCHES];
    int output_count, call_count, next;
    nd_status status;
} runner;

/* Compiles the model, for this processor where the name is NULL, and binds it. */
void runner_make(runner *r, const model *m, const char *cpu, bool interpret);
/* Binds a program of the model that outlives the runner. */
void runner_bind(runner *r, nd_program *program, const model *m);
void runner_use_threads(runner *r, const nd_pool *pool);
void runner_release(runner *r);
/* One step, with the next batch, of a runner whose status is ND_OK. */
void run_next(void *runner);

/* -- apart -------------------------------------------------------------------------------------------------------- */

/* Bytes of the largest memory that a process held which built and compiled the workload; 0: not known here. */
double compile_memory(const workload *w, const options *o);
/* What that many steps do besides computing: "nothing", "allocates", "system call"; "-": not known here. */
const char *besides_computing(runner *r, int steps);

/* -- references --------------------------------------------------------------------------------------------------- */

/* The numbers that a workload has to give first (peers/reference.json); how many. */
int reference_read(const char *name, double *numbers, int most);
/* The largest relative error of the first numbers, the runner's first call done; -1: there is no reference. */
double first_error(const workload *w, runner *r);

/* -- rows --------------------------------------------------------------------------------------------------------- */

void print_heading(const options *o);
/* Measures one workload and prints its row; false where it fails or its numbers are wrong. */
bool measure_workload(const workload *w, const options *o);
/* "12.3 us"; "-" for 0. */
const char *time_text(char text[16], double seconds);
/* Runs the workload of that name in the peers whose environments peers/setup.sh has made, and prints a row for each. */
void peers_run(const char *name, const options *o, FILE *out);
void measure_empty(const options *o);
/* What nd_train adds to the bare step of an image classifier; prints a line. */
void measure_loop(const options *o);
void measure_products(const options *o);
/* The long proof (proof.c) for one workload, a line for each part; false where it fails. */
bool prove_workload(const workload *w, const options *o);

#endif
