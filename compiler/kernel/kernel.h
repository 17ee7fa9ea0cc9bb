/* The kernel language: what the scheduler decides and the emitters write down.
 *
 * A kernel is one function over typed buffers: structured loops and branches, SSA values that are scalars or vectors,
 * loads and stores at affine addresses. Every decision about speed is visible in it (tiles, accumulators carried by
 * loops, fused epilogues), none is left to an emitter. As text:
 *
 *     kernel matmul_bias (x: f32[25088], w: f32[100352], b: f32[128], out h: f32[4096])
 *       %0 = const f32x16 0
 *       for i0 = 0..32 by 4
 *         for i1 = 0..128 by 64
 *           %1..%16 = for i2 = 0..784 carry %17..%32 = %0, ..
 *             %33 = load f32 x[784 i0 + i2]
 *             %34 = splat f32x16 %33
 *             %35 = load f32x16 w[128 i2 + i1]
 *             %36 = fma f32x16 %34, %35, %17
 *             yield %36, ..
 *           store h[128 i0 + i1], %1
 *
 * Addresses count elements of the buffer's dtype. An induction variable is an i64 and enters addresses and bounds only
 * as an affine term (nd__k_index makes a value of one). A bool is one byte 0 or 1 in memory and a mask bit in values.
 *
 * Kernels are built in order through a builder; the verifier checks types and structure, the evaluator (tests) also
 * every address.
 */
#ifndef NADIR_KERNEL_KERNEL_H
#define NADIR_KERNEL_KERNEL_H

#include "compiler/graph/arena.h"
#include "nadir/base.h"

#include <stdio.h>

typedef enum nd__kop {
#define KOP(name, arity, text) ND__K_##name,
#include "compiler/kernel/kops.def"
#undef KOP
    ND__K_OPS
} nd__kop;

enum { ND__MAX_LANES = 64, ND__MAX_TERMS = 12 };

typedef struct nd__ktype {
    uint8_t dtype; /* nd_dtype */
    uint8_t lanes; /* 1: a scalar; else a power of two */
} nd__ktype;

typedef int32_t nd__kval; /* a value's number; -1: none */

/* constant + sum of coef * induction variable */
typedef struct nd__kaffine {
    int64_t constant;
    int count;
    struct {
        int32_t iv;
        int64_t coef;
    } terms[ND__MAX_TERMS]; /* ascending iv, no coef 0, each iv once */
} nd__kaffine;

typedef struct nd__kaddr {
    int32_t buffer;
    int32_t count;       /* lanes that exist: 1 .. lanes */
    int64_t lane_stride; /* elements from lane to lane: 0, 1, or any */
    nd__kaffine at;
    int64_t scale, bound; /* loadx, storex */
} nd__kaddr;

typedef struct nd__kinst nd__kinst;

typedef struct nd__kblock {
    nd__kinst *first, *last;
} nd__kblock;

struct nd__kinst {
    nd__kinst *next;
    nd__kop op;
    nd__ktype
        type; /* of every result; of the value for stores; unused for `for`, `if`, `yield` (see nd__kernel.types) */
    int32_t arg_count, result_count;
    nd__kval *args;
    nd__kval result; /* the first; the others follow it */
    uint64_t imm;    /* const: the bits of one element; lane: its number; fetch: 1 to write */
    nd__kaddr *addr; /* loads, stores, fetch, index (at, lane_stride) */
    /* for: iv runs from max(lo, least) to below min(hi, most) by step; carried[i] is the number inside the body of what
     * it carries */
    int32_t iv;
    nd__kval carried;     /* the first; arg_count of them */
    nd__kaffine *lo, *hi; /* NULL but for loops: they are large */
    int64_t least, most;  /* INT64_MIN, INT64_MAX: no matter */
    int64_t step;
    bool apart;             /* for: a function of its own when it is written down */
    nd__kblock body, other; /* for: body; if: body, other; each ends with a yield (also of nothing) */
};

typedef enum nd__kaccess {
    ND__K_IN,      /* read */
    ND__K_OUT,     /* written before it is read, or only written */
    ND__K_INOUT,   /* read and written */
    ND__K_SCRATCH, /* memory of the kernel's own, given by the caller, undefined at entry */
    ND__K_TABLE,   /* a constant of the kernel's: no argument */
} nd__kaccess;

typedef struct nd__kbuffer {
    const char *name;
    nd_dtype dtype;
    nd__kaccess access;
    int64_t elems;    /* the extent that addresses must stay within */
    int64_t align;    /* bytes that the caller promises the start is aligned to; at least the element's size */
    const void *data; /* tables */
} nd__kbuffer;

typedef struct nd__kernel {
    nd__arena *arena;
    const char *name;
    nd__kbuffer *buffers; /* arguments in order: all but tables */
    int32_t buffer_count, buffer_room;
    int32_t argument_count; /* buffers but tables */
    nd__ktype *types;       /* of each value */
    int32_t value_count, value_room;
    int32_t iv_count;
    nd__kblock body;       /* ends without a yield */
    nd__kinst *last_const; /* constants lie at the body's start; this is the last of them, NULL: none */
    int64_t flops, bytes;  /* of one run, as the scheduler counts them */
    uint64_t hash;         /* nd__k_hash of it, when it has been added to a plan */
    bool failed;           /* memory ran out while building, or something impossible was asked for */
} nd__kernel;

/* -- building (build.c) ---------------------------------------------------------------------------------------------
 */

/* An empty kernel in `arena`, which owns everything in it. NULL when memory runs out; building on NULL or a failed
 * kernel does nothing. */
nd__kernel *nd__k_create(nd__arena *arena, const char *name);
int32_t nd__k_buffer(nd__kernel *k, const char *name, nd_dtype dtype, nd__kaccess access, int64_t elems, int64_t align);
/* A constant table; the same data pointer gives the same buffer. The data must outlive the kernel. */
int32_t nd__k_table(nd__kernel *k, const char *name, nd_dtype dtype, int64_t elems, const void *data);

typedef struct nd__kbuilder {
    nd__kernel *k;
    nd__kblock *block;   /* where instructions are appended */
    nd__kinst *open[64]; /* the loops and branches that are being built, outermost first */
    bool in_else[64];
    int carry_count[64]; /* of each: the values that its end gives */
    int depth;
    bool scales; /* the kernel runs where `scale` is one instruction, and elementary functions use it */
} nd__kbuilder;

nd__kbuilder nd__k_builder(nd__kernel *k);

static inline nd__ktype nd__k_type(nd_dtype dtype, int lanes)
{
    nd__ktype type = {(uint8_t)dtype, (uint8_t)lanes};
    return type;
}

/* Affine forms. */
nd__kaffine nd__k_at(int64_t constant);
nd__kaffine nd__k_plus(nd__kaffine a, int32_t iv, int64_t coef); /* a + coef * iv */
nd__kaffine nd__k_sum(nd__kaffine a, nd__kaffine b);
nd__kaffine nd__k_scaled(nd__kaffine a, int64_t factor);

/* Constants are kept at the start of the kernel's body, each once, wherever the builder is; a splat of one is another.
 */
nd__kval nd__k_const_bits(nd__kbuilder *b, nd__ktype type, uint64_t bits);
nd__kval nd__k_const(nd__kbuilder *b, nd__ktype type,
                     double value); /* converted to the dtype; exact for what formulas use */
/* An op of kops.def on one, two, three operands. The result's type follows from them (comparisons: bool). */
nd__kval nd__k_op1(nd__kbuilder *b, nd__kop op, nd__kval x);
nd__kval nd__k_op2(nd__kbuilder *b, nd__kop op, nd__kval x, nd__kval y);
nd__kval nd__k_op3(nd__kbuilder *b, nd__kop op, nd__kval x, nd__kval y, nd__kval z);
nd__kval nd__k_convert(nd__kbuilder *b, nd_dtype to, nd__kval x);
nd__kval nd__k_bitcast(nd__kbuilder *b, nd_dtype to, nd__kval x);
nd__kval nd__k_splat(nd__kbuilder *b, nd__kval scalar, int lanes); /* the value itself when it has those lanes */
nd__kval nd__k_lane(nd__kbuilder *b, nd__kval x, int lane);
nd__kval nd__k_index(nd__kbuilder *b, nd__ktype type, nd__kaffine at, int64_t lane_stride);
void nd__k_transpose(nd__kbuilder *b, int n, const nd__kval *in, nd__kval *out);
/* Type: dtype is the buffer's, `lanes` of them, the first `count` of which exist. A scalar load has lanes = count = 1.
 */
nd__kval nd__k_load(nd__kbuilder *b, int32_t buffer, nd__kaffine at, int lanes, int64_t lane_stride, int count);
void nd__k_store(nd__kbuilder *b, int32_t buffer, nd__kaffine at, nd__kval x, int64_t lane_stride, int count);
/* Says that an element is wanted soon, so that its line may be brought nearer; changes nothing. */
void nd__k_fetch(nd__kbuilder *b, int32_t buffer, nd__kaffine at, bool to_write);
nd__kval nd__k_loadx(nd__kbuilder *b, int32_t buffer, nd__kaffine at, nd__kval index, int64_t scale, int64_t bound,
                     int lanes, int64_t lane_stride, int count);
void nd__k_storex(nd__kbuilder *b, int32_t buffer, nd__kaffine at, nd__kval x, nd__kval index, int64_t scale,
                  int64_t bound, int64_t lane_stride, int count);
/* Opens a loop and gives its induction variable; carried[i] (n of them, may be NULL when 0) are the carried values
 * inside. The body is what follows until nd__k_end_for, which takes the next values and gives the last ones. */
int32_t nd__k_for(nd__kbuilder *b, nd__kaffine lo, nd__kaffine hi, int64_t step, int n, const nd__kval *init,
                  nd__kval *carried);
/* The same from lo, at least `least`, to below hi, at most `most`: i0 = max(0, i1 - 3)..min(64, i1 + 4). */
int32_t nd__k_for_within(nd__kbuilder *b, nd__kaffine lo, nd__kaffine hi, int64_t least, int64_t most, int64_t step,
                         int n, const nd__kval *init, nd__kval *carried);
/* A loop that carries nothing and is called: what is constant in it does not take registers from the loops around it.
 */
int32_t nd__k_for_apart(nd__kbuilder *b, nd__kaffine lo, nd__kaffine hi, int64_t step);
void nd__k_end_for(nd__kbuilder *b, const nd__kval *next, nd__kval *last);
/* if; ...; else; ...; end_if. `n` results, whose types are those of `yields`. The else branch must be opened when n >
 * 0. */
void nd__k_if(nd__kbuilder *b, nd__kval condition);
void nd__k_else(nd__kbuilder *b, int n, const nd__kval *yields);
void nd__k_end_if(nd__kbuilder *b, int n, const nd__kval *yields, nd__kval *results);

/* -- elementary functions as kernel instructions (functions.c; formulas in elementary_f32.inc, elementary_f64.inc)
 * ------ */

typedef enum nd__kfunc {
    ND__KF_EXP,
    ND__KF_LOG,
    ND__KF_LOG1P,
    ND__KF_TANH,
    ND__KF_SIGMOID,
    ND__KF_SIN,
    ND__KF_COS,
    ND__KF_POW,
    ND__KF_ERF,
} nd__kfunc;

/* The instructions of that function of x (and y: pow), f32 or f64, any lanes: the same bits as nd__exp_f32 and its
 * like. */
nd__kval nd__k_func(nd__kbuilder *b, nd__kfunc func, nd__kval x, nd__kval y);

/* -- looking at kernels ----------------------------------------------------------------------------------------------
 */

const char *nd__k_op_name(nd__kop op);
/* The text above (print.c). */
void nd__k_print(const nd__kernel *k, FILE *out);
/* Types, structure, operands defined before use and in scope, yields, affine terms in scope (verify.c). NULL, or the
 * message in `message`; nd_status_text(ND_ERR_MEMORY) itself: memory ran out. */
const char *nd__k_verify(const nd__kernel *k, char *message, size_t size);
/* A hash and an equality of everything but names: two equal kernels can share one function. */
uint64_t nd__k_hash(const nd__kernel *k);
bool nd__k_equal(const nd__kernel *a, const nd__kernel *b);
/* The number of instructions, bodies included. */
int64_t nd__k_size(const nd__kernel *k);
/* Runs it slowly, one lane after another, on buffers[i] for argument i, checking every address against its buffer and
 * that no address is read from scratch or `out` buffers before it is written (eval.c). NULL, or the message in
 * `message`. */
const char *nd__k_eval(const nd__kernel *k, void *const *buffers, char *message, size_t size);

#endif
