/* Programs, state and calls: running what was compiled (or is interpreted, or was compiled ahead of time).
 *
 *     nd_program *p = nd_compile(m, NULL);
 *     nd_state *state = nd_state_create(p, 42);
 *     nd_call *call = nd_bind(p, "step", state, ND_IN(x, y), ND_OUT(loss));
 *     for (int i = 0; i < 1000; i++)
 *         nd_run(call);
 *
 * A program is code: it never changes while it runs, and any number of threads may use it at once. A state holds one
 * set of the module's variables; a call holds the memory that one running function needs. One thread at a time uses a
 * state (and the calls bound to it).
 *
 * This header needs no compiler: a program that was compiled ahead of time links libnadir-runtime alone.
 */
#ifndef NADIR_PROGRAM_H
#define NADIR_PROGRAM_H

#include "nadir/base.h"
#include "nadir/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nd_program nd_program;
typedef struct nd_state nd_state;
typedef struct nd_call nd_call;

/* -- programs ----------------------------------------------------------------------------------------------------- */

/* ND_OK, or why the program cannot be used: compiling always gives a handle (unless memory ran out: NULL, which every
 * function here accepts and answers with ND_ERR_MEMORY). A program that cannot be used has no functions and no
 * variables. */
ND_API nd_status nd_program_status(const nd_program *program);
/* The message of that status, or of the last nd_program_specialize / nd_state_create / nd_bind on this program; "" if
 * that went well. Valid until the next such call, on whichever thread: where several bind at once, what they return
 * tells that one failed, and this text belongs to the last of them. */
ND_API const char *nd_program_error(const nd_program *program);
/* Destroys the program and those specialised from it. States and calls of it must be gone. NULL is accepted. */
ND_API void nd_program_destroy(nd_program *program);

/* The same program with a named dimension bound to another number ("B" to 17): compiled at the first request, kept by
 * `program` (do not destroy it). States are shared: one made by either works with both. NULL when that fails; see
 * nd_program_error. Asking for the value it has gives `program` itself; a name that it does not have is
 * ND_ERR_ARGUMENT. Not safe beside another nd_program_specialize on the same program. */
ND_API nd_program *nd_program_specialize(nd_program *program, const char *dimension, int64_t value);

/* Whether the program has a named dimension of that name; its number in *value (which may be NULL). */
ND_API bool nd_program_has_dimension(const nd_program *program, const char *dimension, int64_t *value);

/* What a function takes or gives, or a variable. `name` is the program's. */
typedef struct nd_port {
    const char *name;
    nd_dtype dtype;
    nd_shape shape;
} nd_port;

/* The number of functions, and the index of the one of that name, or -1. */
ND_API int nd_program_function_count(const nd_program *program);
ND_API int nd_program_function_index(const nd_program *program, const char *function);
ND_API const char *nd_program_function_name(const nd_program *program, int function);
ND_API int nd_program_input_count(const nd_program *program, int function);
ND_API int nd_program_output_count(const nd_program *program, int function);
/* Of an index that is not there: name "", f32, rank 0 (functions and ports alike). */
ND_API nd_port nd_program_input(const nd_program *program, int function, int input);
ND_API nd_port nd_program_output(const nd_program *program, int function, int output);
/* Bytes of scratch memory that one running call needs. */
ND_API size_t nd_program_arena_size(const nd_program *program, int function);
ND_API int nd_program_variable_count(const nd_program *program);
ND_API nd_port nd_program_variable(const nd_program *program, int variable);

/* -- state -------------------------------------------------------------------------------------------------------- */

/* A state with every variable set by its initialiser, from `seed` (0: the module's own seed). A variable without an
 * initialiser counts as never set until nd_state_set or nd_state_load. NULL when that fails; see nd_program_error. The
 * program must outlive it. */
ND_API nd_state *nd_state_create(nd_program *program, uint64_t seed);
ND_API void nd_state_destroy(nd_state *state);
/* The message of the last failed call on this state; "" if none. */
ND_API const char *nd_state_error(const nd_state *state);
/* A view of the variable's memory, owned by the state: reading and writing it is reading and writing the variable.
 * Valid as long as the state; not while a call runs. A variable without an initialiser counts as set by nd_state_set,
 * not by what is written here. NULL: no variable of that name. */
ND_API nd_tensor *nd_state_tensor(nd_state *state, const char *variable);
/* The first element of an f32 variable, for loops that look at it often; NULL if there is none of that name and type.
 */
ND_API float *nd_state_f32(nd_state *state, const char *variable);
/* Copies `value` into the variable; dtype and shape must be the variable's (ND_ERR_ARGUMENT otherwise). */
ND_API nd_status nd_state_set(nd_state *state, const char *variable, const nd_tensor *value);
/* Writes all variables as one safetensors file, aside and then renamed: the old file stays whole when this fails.
 * ND_ERR_STATE: a variable was never set; ND_ERR_ARGUMENT: a name that is not UTF-8; ND_ERR_IO: the file system
 * refused. */
ND_API nd_status nd_state_save(nd_state *state, const char *path);
/* Reads variables by name, also from files that others wrote. Missing and extra ones and those of another dtype or
 * shape are all listed in the error (ND_ERR_DATA), and then nothing is changed. ND_ERR_PARSE: not a whole safetensors
 * file. Afterwards every variable counts as set. */
ND_API nd_status nd_state_load(nd_state *state, const char *path);

/* -- calls -------------------------------------------------------------------------------------------------------- */

typedef struct nd_tensors {
    size_t count;
    nd_tensor *const *items;
} nd_tensors;

#define ND__TENSORS(...)                                                                                               \
    ((nd_tensors){sizeof((nd_tensor *[]){NULL, __VA_ARGS__}) / sizeof(nd_tensor *) - 1,                                \
                  (nd_tensor *[]){NULL, __VA_ARGS__} + 1})
/* The tensors bound to a function's inputs and outputs, in its order; ND_IN() for none. In C. */
#define ND_IN(...)  ND__TENSORS(__VA_ARGS__)
#define ND_OUT(...) ND__TENSORS(__VA_ARGS__)

/* Binds memory to a function once, so that running it is a C call. Inputs are read in place and outputs written in
 * place; all of this is checked here and never again, each with a message that names the argument (ND_ERR_ARGUMENT):
 * as many tensors as the function has, none NULL or failed, of exactly its dtypes and shapes, contiguous, aligned to
 * their element's size; no output overlaps an input, another output or the state, no input a variable that the function
 * updates. Tensors may be destroyed before the call, which holds their memory; borrowed memory must outlive it,
 * and so must the state. A state fits if it was made for the same variables, also by another program: compiled,
 * interpreted and specialised ones share states (ND_ERR_STATE otherwise). `state` may be NULL for a program without
 * variables. NULL when that fails; see nd_program_error. The call allocates its own arena. */
ND_API nd_call *nd_bind(nd_program *program, const char *function, nd_state *state, nd_tensors in, nd_tensors out);
/* Runs it: looks at the floating-point control word and calls the function, a few nanoseconds in all. ND_OK, or
 * ND_ERR_STATE for a NULL call or a variable that the function reads and nobody ever set (looked at until the first run
 * succeeds), or ND_ERR_MEMORY from an interpreted program. If the floating-point control word of the thread differs
 * from the default (round to nearest, no flush to zero, no traps set by <fenv.h>), it is set and restored. */
ND_API nd_status nd_run(nd_call *call);
/* The message of the last nd_run or nd_call_set_parallel that did not return ND_OK, or of the last nd_call_explain that
 * gave NULL. */
ND_API const char *nd_call_error(const nd_call *call);
/* Says where numbers that are not finite come from: the first node that made a NaN or
 * an infinity of operands that are finite, its place, and what it was given. To find it, the function is interpreted,
 * node by node with all values kept, on the inputs and the state as they are now; neither changes. nd_train does this
 * by itself.
 *
 *     mlp.c:41: log "log_p" gives -inf at [2,1], f32[4,3], of which 3 elements are not finite
 *       note: operand 0, sub "p" f32[4,3] made at mlp.c:40, is 0 there
 *
 * A text for free(). NULL, with a reason in nd_call_error: every result is finite, the program was compiled ahead of
 * time and has no graph any more, or memory ran out. */
ND_API char *nd_call_explain(nd_call *call);
ND_API void nd_call_destroy(nd_call *call);

/* -- threads ------------------------------------------------------------------------------------------------------ */

/* How a call hands out work: the caller's own pool of threads, or Nadir's (nd_pool). Kernels over much data are cut
 * into chunks, a grid that depends on shapes alone: whoever runs them, on however many threads, the results have the
 * same bits. Nothing here starts a thread unasked. */
typedef struct nd_parallel {
    /* Calls task(arg, chunk, worker) once for each chunk from 0 to chunks - 1, in any order, some at the same time, and
     * returns when all have returned. Tasks do not wait for each other. Those that run at the same time have different
     * workers, from 0 to workers - 1. */
    void (*run)(void *self, int32_t chunks, void (*task)(void *arg, int32_t chunk, int32_t worker), void *arg);
    void *self;
    int32_t workers;
} nd_parallel;

/* From now on the call hands its chunks to `parallel`, which must outlive it (NULL: back to the thread that calls
 * nd_run). The arena grows with the workers: ND_ERR_MEMORY leaves the call as it was. ND_ERR_ARGUMENT: no workers, or
 * no function. Interpreted functions, and those whose kernels are all too small to be cut, run on the calling thread.
 * Tasks set the control word of their thread as nd_run does. */
ND_API nd_status nd_call_set_parallel(nd_call *call, const nd_parallel *parallel);

/* A pool of `threads` threads, the one that calls nd_run included; 0: as many as this process may use (affinity and the
 * limits of its control groups). Whoever waits does so awake for a tenth of a millisecond, then asleep. NULL:
 * memory ran out, the system refused a thread, or the number is negative or above 256. One call at a time uses a pool.
 */
typedef struct nd_pool nd_pool;
ND_API nd_pool *nd_pool_create(int threads);
/* Ends the threads; no call may be running on it, and calls that were given it must not run again. NULL is accepted. */
ND_API void nd_pool_destroy(nd_pool *pool);
/* To hand to nd_call_set_parallel; lives as long as the pool. NULL for NULL. */
ND_API const nd_parallel *nd_pool_parallel(const nd_pool *pool);

/* -- for back ends ------------------------------------------------------------------------------------------------ */

/* How a compiled function is called. in[i] and out[i] are the bound tensors' memory. */
typedef void (*nd_entry)(void *state, void *arena, const void *const *in, void *const *out);
/* The same with kernels handed out in chunks; `parallel` NULL: everything on this thread. */
typedef void (*nd_parallel_entry)(void *state, void *arena, const void *const *in, void *const *out,
                                  const nd_parallel *parallel);

typedef struct nd_program_variable_info {
    nd_port port;
    size_t offset;    /* in the state block; a multiple of 64 */
    bool initialised; /* the init function sets it */
} nd_program_variable_info;

typedef struct nd_program_function_info {
    const char *name;
    int input_count, output_count, read_count, update_count;
    const nd_port *inputs, *outputs;
    const int *reads, *updates; /* indices of the variables that it reads and sets */
    size_t arena_size;          /* bytes; the arena is 64-byte aligned */
    nd_entry entry;             /* NULL: run through `interpret` */
    nd_parallel_entry parallel; /* NULL: it runs on one thread only */
    size_t worker_size;         /* bytes of the arena more for each worker after the first */
} nd_program_function_info;

/* A named dimension and the number that the program is compiled for. */
typedef struct nd_program_dimension {
    const char *name;
    int64_t value;
} nd_program_dimension;

/* A program as its back end describes it. All memory belongs to the back end and lives until `destroy`. The function
 * named "init" takes one u32[2] input, the seed (low word, high word), sets every variable that has an initialiser, and
 * is the only one whose name is fixed. */
typedef struct nd_program_info {
    int function_count, variable_count;
    const nd_program_function_info *functions;
    const nd_program_variable_info *variables;
    size_t state_size; /* bytes; the state block is 64-byte aligned */
    uint64_t seed;     /* the module's */
    void *self;        /* handed to the functions below */
    /* Runs a function that has no entry. NULL when all have one. */
    nd_status (*interpret)(void *self, int function, void *state, void *arena, const void *const *in, void *const *out);
    /* The program for another value of a named dimension; a new program with a status of its own. NULL: cannot
     * specialise. */
    nd_program *(*specialize)(void *self, const char *dimension, int64_t value);
    /* Releases `self`. NULL: nothing to release. */
    void (*destroy)(void *self);
    /* The named dimensions: what nd_program_specialize knows without asking. */
    int dimension_count;
    const nd_program_dimension *dimensions;
    /* nd_call_explain: *text is for free(), or NULL where all results are finite. Writes to neither `state` nor inputs.
     * NULL: cannot. */
    nd_status (*explain)(void *self, int function, void *state, const void *const *in, char **text);
} nd_program_info;

/* A program over a back end's description (copied; what it points to is not). NULL when memory runs out;
 * `info->destroy` is then not called. */
ND_API nd_program *nd_program_create(const nd_program_info *info);
/* A program that only carries an error. */
ND_API nd_program *nd_program_create_failed(nd_status status, const char *message);

#ifdef __cplusplus
}
#endif
#endif
