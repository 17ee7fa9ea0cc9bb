/* What the files that write LLVM IR share. Inside compiler/llvm/ only. */
#ifndef NADIR_LLVM_IR_H
#define NADIR_LLVM_IR_H

#include "compiler/llvm/machine.h"

#include <llvm-c/Core.h>

/* A module that is being written. */
typedef struct nd__ir {
    LLVMContextRef context;
    LLVMModuleRef module;
    LLVMBuilderRef builder;
    const nd__machine *machine; /* whose instructions functions may have from now on */
    const nd__machine *base;    /* whose functions may have that do not say */
    const char *variant;        /* ends the names of functions that are internal; NULL: nothing does */
    nd__arena arena;            /* of the writing */
    LLVMTypeRef nothing, pointer, i1, i8, i32, i64, f32, f64;
    struct nd__ir_data {
        struct nd__ir_data *next;
        const void *data;
        int64_t bytes;
        LLVMValueRef global;
    } * data; /* constants, each once */
    struct nd__ir_loop {
        struct nd__ir_loop *next;
        const nd__machine *machine;
        const char *text; /* from the parameters on */
        LLVMValueRef function;
    } * loops;   /* loops that stand apart (ir_kernel.c) */
    bool failed; /* memory of ours ran out */
} nd__ir;

/* A sum of a base and some terms of an affine address, computed where its innermost variable is defined. */
typedef struct nd__partial {
    struct nd__partial *next;
    int32_t buffer; /* -1: a number */
    int count;
    const int64_t *terms; /* iv, factor; iv, factor; .. */
    LLVMValueRef value;
    int64_t stride; /* bytes that it moves from turn to turn; 0: it is computed in each */
} nd__partial;

/* A loop that is open. */
typedef struct nd__frame {
    int32_t iv;
    LLVMValueRef counter;
    LLVMValueRef tail; /* the last of what stands at the head of its body: phis, partial sums */
    nd__partial *partials;
    const nd__kinst *innermost; /* itself, if there is no loop in it; else NULL */
    LLVMValueRef first;         /* of those: what the counter begins with */
    LLVMBasicBlockRef before;   /* where its body is entered from */
} nd__frame;

/* What is known of an induction variable. */
typedef struct nd__ivfact {
    int64_t low, high; /* its least and greatest value; low > high: unknown */
    int64_t multiple;  /* of this (a power of two) */
} nd__ivfact;

/* A kernel that is being written. */
typedef struct nd__fn {
    nd__ir *ir;
    LLVMBuilderRef b;
    const nd__kernel *k;
    const bool *shared; /* by argument */
    LLVMValueRef function;
    LLVMValueRef *values; /* by nd__kval */
    LLVMValueRef *bases;  /* by buffer */
    nd__ivfact *facts;    /* by iv */
    nd__frame frames[64];
    int depth;
} nd__fn;

/* -- types, constants, intrinsics (ir.c) -------------------------------------------------------------------------- */

/* Prepares a module for the machine. On failure ir->failed; nd__ir_end is due either way. */
void nd__ir_begin(nd__ir *ir, const char *name, const nd__machine *machine);
void nd__ir_end(nd__ir *ir);
LLVMTypeRef nd__ir_element(const nd__ir *ir, nd_dtype dtype); /* in values: a bool is an i1 */
LLVMTypeRef nd__ir_stored(const nd__ir *ir, nd_dtype dtype);  /* in memory: a bool is an i8 */
LLVMTypeRef nd__ir_lanes(LLVMTypeRef element, int lanes);     /* the element itself for one lane */
LLVMTypeRef nd__ir_type(const nd__ir *ir, nd__ktype type);
int nd__ir_lane_count(LLVMTypeRef type);
LLVMValueRef nd__ir_splat_constant(LLVMValueRef element, int lanes);
LLVMValueRef nd__ir_bits(const nd__ir *ir, nd__ktype type,
                         uint64_t bits);                       /* the constant of those bits in every lane */
LLVMValueRef nd__ir_integer(LLVMTypeRef like, uint64_t value); /* of an integer type or vector of them */
LLVMValueRef nd__ir_float(LLVMTypeRef like, double value);     /* of a float type or vector of them */
/* A call of an intrinsic overloaded on the types given. */
LLVMValueRef nd__ir_intrinsic(nd__ir *ir, const char *name, int types, LLVMTypeRef *overload, int args,
                              LLVMValueRef *arg);
LLVMValueRef nd__ir_unary(nd__ir *ir, const char *name, LLVMValueRef x);
/* A function without attributes that matter outside: internal, does not unwind, for our machine. */
LLVMValueRef nd__ir_function(nd__ir *ir, const char *name, LLVMTypeRef type, LLVMLinkage linkage);
LLVMValueRef nd__ir_internal(nd__ir *ir, const char *name); /* the one of that name, of this variant; NULL: none yet */
void nd__ir_attribute(nd__ir *ir, LLVMValueRef function, LLVMAttributeIndex where, const char *name, uint64_t value);
/* The private constant of those bytes, 64-byte aligned. */
LLVMValueRef nd__ir_data(nd__ir *ir, const void *data, int64_t bytes);
LLVMValueRef nd__ir_address(nd__ir *ir, LLVMValueRef pointer, LLVMValueRef bytes); /* pointer + bytes */

/* -- lanes (ir_lanes.c) ------------------------------------------------------------------------------------------- */

LLVMValueRef nd__ir_splat(nd__ir *ir, LLVMValueRef scalar, int lanes);
LLVMValueRef nd__ir_lane(nd__ir *ir, LLVMValueRef vector, int lane);
/* `count` lanes of x and y (y may be NULL) picked by number: those of y follow those of x, -1 is any. */
LLVMValueRef nd__ir_pick(nd__ir *ir, LLVMValueRef x, LLVMValueRef y, int count, const int *lanes);
LLVMValueRef nd__ir_part(nd__ir *ir, LLVMValueRef x, int first, int count); /* lanes first .. ; one lane: a scalar */
LLVMValueRef nd__ir_reversed(nd__ir *ir, LLVMValueRef x);
/* in[i] lane j becomes out[j] lane i; n vectors of n lanes of an element of `size` bytes. */
void nd__ir_transpose(nd__ir *ir, int n, int size, LLVMValueRef *vectors);
LLVMValueRef nd__ir_tree(nd__ir *ir, nd__kop op, nd_dtype dtype, LLVMValueRef x);

/* -- arithmetic (ir_arith.c, ir_round.c, ir_softfma.c) ------------------------------------------------------------ */

/* An op of kops.def from add to bitcast, on operands of type `from`, giving type `to`. */
LLVMValueRef nd__ir_arith(nd__ir *ir, nd__kop op, nd__ktype from, nd__ktype to, LLVMValueRef x, LLVMValueRef y,
                          LLVMValueRef z);
/* floor, ceil, rint without the instruction. */
LLVMValueRef nd__ir_round(nd__ir *ir, nd__kop op, LLVMValueRef x);
/* fma without the instruction, f32 or f64, any lanes. */
LLVMValueRef nd__ir_softfma(nd__ir *ir, LLVMValueRef x, LLVMValueRef y, LLVMValueRef z);

/* -- memory (ir_memory.c) ----------------------------------------------------------------------------------------- */

/* What is carried from turn to turn, hidden from LLVM's strength reduction, which would think about it as long as all
 * other passes take. */
LLVMValueRef nd__ir_hidden(nd__ir *ir, LLVMValueRef x);
/* At the end of a loop's body: pointers move on. */
void nd__ir_move_partials(nd__fn *f, nd__frame *frame);
/* The value of an affine form as an i64. */
LLVMValueRef nd__ir_affine(nd__fn *f, const nd__kaffine *at);
void nd__ir_iv_fact(nd__fn *f, const nd__kinst *loop); /* before its body */
/* Whether the loop runs at least once, whatever the variables outside. */
bool nd__ir_runs(nd__fn *f, const nd__kinst *loop);
LLVMValueRef nd__ir_load(nd__fn *f, const nd__kinst *i);
void nd__ir_store(nd__fn *f, const nd__kinst *i);
void nd__ir_fetch(nd__fn *f, const nd__kinst *i);
LLVMValueRef nd__ir_loadx(nd__fn *f, const nd__kinst *i);
void nd__ir_storex(nd__fn *f, const nd__kinst *i);

/* -- functions (ir_kernel.c, ir_plan.c) --------------------------------------------------------------------------- */

/* The kernel as an internal function of one pointer per argument. shared[i]: argument i may overlap another one. NULL:
 * ir->failed. */
LLVMValueRef nd__ir_kernel(nd__ir *ir, const nd__kernel *k, const char *name, const bool *shared);
/* The functions of a plan: an nd_entry, an nd_parallel_entry (NULL: none). */
typedef struct nd__entries {
    LLVMValueRef serial, parallel;
} nd__entries;

/* All plans for ir->machine: functions ND__ENTRY_NAME and, where parallel[i], ND__PARALLEL_NAME; with their symbols in
 * C SYMBOL_entry and SYMBOL_parallel. External, in a variant internal. */
#define ND__ENTRY_NAME    "nd_entry_%d"
#define ND__PARALLEL_NAME "nd_parallel_%d"
void nd__ir_plans(nd__ir *ir, const nd__plan *const *plans, int n, char *const *symbols, const bool *parallel,
                  nd__entries *entries);

/* -- several processors (ir_variants.c) --------------------------------------------------------------------------- */

/* The n plans of each variant, machines[i] for variants[i], and with their symbols in C the functions SYMBOL. Several
 * variants have symbols. */
void nd__ir_variants(nd__ir *ir, const nd__variant *variants, const nd__machine *machines, int count, int n,
                     char *const *symbols);

#endif
