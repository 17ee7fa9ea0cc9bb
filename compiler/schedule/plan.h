/* A plan: what one entry function does, as data. Kernels in order, loops and branches around them, and where every
 * buffer lies. The scheduler makes it, `nadir plan` prints it, an emitter writes it down.
 *
 * The compiled function has the type nd_entry: it is given the state block, the arena, the inputs and the outputs. A
 * kernel over much data runs in chunks, a grid fixed when it is scheduled; each chunk may run on another thread. */
#ifndef NADIR_SCHEDULE_PLAN_H
#define NADIR_SCHEDULE_PLAN_H

#include "compiler/kernel/kernel.h"
#include "compiler/schedule/choice.h"

typedef enum nd__where {
    ND__IN_STATE,  /* at `offset` bytes of the state block (a variable) */
    ND__IN_INPUT,  /* input number `index` */
    ND__IN_OUTPUT, /* output number `index` */
    ND__IN_ARENA,  /* at `offset` bytes of the arena */
    ND__IN_WORKER, /* at `offset` bytes of the memory of whoever runs the chunk */
    ND__IN_CONST,  /* a constant: `data` */
} nd__where;

typedef struct nd__buffer {
    nd__where where;
    int index; /* input, output; the variable's number for the state */
    nd_dtype dtype;
    int64_t elems;
    int64_t offset;   /* bytes; state, arena, worker */
    const void *data; /* constants: elems elements, row-major */
    const char *name; /* the value's, for people */
    int first, last; /* arena: the first and last step (numbered in order of execution, a loop's body counted once) that
                        uses it; -1: none does */
} nd__buffer;

enum { ND__MAX_NEST = 8 };

/* A kernel's argument: offset + sum over the enclosing loops of stride[d] * iteration + chunk * the chunk's number, in
 * elements from the buffer's start. */
typedef struct nd__karg {
    int buffer;
    int64_t offset;
    int64_t stride[ND__MAX_NEST]; /* by nesting depth, outermost loop first */
    int64_t chunk;
} nd__karg;

typedef enum nd__step_kind { ND__STEP_KERNEL, ND__STEP_LOOP, ND__STEP_COND } nd__step_kind;

typedef struct nd__step nd__step;

typedef struct nd__steps {
    nd__step *items;
    int count, room;
} nd__steps;

/* Two buffers of one KERNEL step, by their numbers, that may share memory: element for element, the one is read before
 * the other is written. */
typedef struct nd__sharing {
    int written, read;
} nd__sharing;

struct nd__step {
    nd__step_kind kind;
    int number;           /* in order */
    const char *label;    /* what it computes: "hidden matmul+bias+relu" */
    double cycles;        /* what it should take, all its turns and chunks (nd__plan_estimate) */
    const nd__made *made; /* KERNEL: what was chosen for it, or for the kernel that it copies for; NULL: nothing was */
    int kernel;           /* KERNEL: index in plan->kernels */
    int chunks;           /* KERNEL: runs so often, on disjoint parts that may run at once; 0 is 1 */
    nd__karg *args;       /* KERNEL: one for each of the kernel's arguments; COND: args[0] is the bool */
    nd__sharing *sharing; /* KERNEL: what the memory plan may put into one place */
    int sharing_count;
    int64_t length;        /* LOOP: iterations 0 .. length-1 */
    nd__steps body, other; /* LOOP: body; COND: body when true, other when false */
};

typedef struct nd__plan {
    nd__arena *arena;     /* owns all of it */
    const char *name;     /* the function's */
    nd__kernel **kernels; /* distinct */
    int kernel_count, kernel_room;
    nd__buffer *buffers;
    int buffer_count, buffer_room;
    nd__steps steps;
    int64_t arena_size;   /* bytes, and behind them */
    int64_t worker_size;  /* bytes for each worker */
    int64_t lower_bound;  /* bytes: the largest sum of arena buffers alive at once, in whole cache lines */
    int64_t flops, bytes; /* of one call */
    double cycles;        /* of one call (nd__plan_estimate) */
    int input_count, output_count;
} nd__plan;

/* What the schedule needs to know of a processor (llvm/target.c). */
typedef struct nd__target {
    const char *cpu;      /* LLVM's name, "x86-64-v4", or "native" resolved by the emitter */
    int vector_bytes;     /* 64, 32, 16 */
    int vector_registers; /* 32, 16 */
    bool fma;             /* has fused multiply-add */
    int64_t l1_bytes, l2_bytes;
    double grain; /* microseconds of work that a chunk has at least; 0: as much as pays to hand to a thread */
    int64_t l3_bytes;
    int fma_bytes;        /* of vectors that multiply-adds take in a cycle, in at most two of them */
    nd__choices *choices; /* measured on it, or to be measured; NULL: none */
} nd__target;

#endif
