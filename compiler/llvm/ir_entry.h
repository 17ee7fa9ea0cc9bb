/* Entry functions while they are written: what the files about them share. Inside compiler/llvm/ only. */
#ifndef NADIR_LLVM_IR_ENTRY_H
#define NADIR_LLVM_IR_ENTRY_H

#include "compiler/llvm/ir.h"

/* A function for all kernels that are equal to `kernel`. */
typedef struct nd__shape {
    const nd__kernel *kernel;
    uint64_t hash;
    char *name;
    bool *shared; /* by argument: may overlap another one in some call */
    LLVMValueRef function;
} nd__shape;

/* The kernels of a module. */
typedef struct nd__shapes {
    nd__ir *ir;
    nd__shape *items;
    int count;
    int **of; /* by plan, by kernel: the item */
} nd__shapes;

/* Steps that follow each other again and again, on other memory: the layers of a model. */
typedef struct nd__repeat {
    int period, count;
    const nd__step *first;
    LLVMValueRef turn;  /* 0 .. count-1 */
    LLVMValueRef table; /* where the arguments of this turn lie; NULL: the entry has no frame */
} nd__repeat;

/* The entry that is being written. */
typedef struct nd__entry {
    nd__ir *ir;
    const nd__plan *plan;
    nd__shapes *all;
    const int *of;
    LLVMValueRef function;
    LLVMValueRef state, arena, in, out;
    LLVMValueRef parallel; /* how chunks are handed out; NULL: the plan has none */
    LLVMValueRef frame;    /* the arguments that a chunk's task is given; NULL: the plan has no chunks */
    LLVMValueRef bases;    /* what they are counted from (ir_frame.c) */
    int first_output;      /* among the bases */
    LLVMValueRef counters[ND__MAX_NEST];
    int depth;
    const nd__repeat *repeat; /* NULL: outside of any */
} nd__entry;

/* -- entries (ir_entry.c) ----------------------------------------------------------------------------------------- */

/* The plan as a function: an nd_entry, or with chunks an nd_parallel_entry. `of`: its kernels among all. */
LLVMValueRef nd__ir_entry(nd__shapes *all, const nd__plan *plan, const int *of, const char *name, bool parallel);
/* The linkage of entries: in a variant they are called by the functions that choose. */
LLVMLinkage nd__ir_entry_linkage(const nd__ir *ir);
LLVMTypeRef nd__ir_entry_type(const nd__ir *ir, bool parallel);
/* The bytes from the start of its region to an argument. */
int64_t nd__ir_fixed_offset(const nd__plan *plan, const nd__karg *arg);
/* Where argument i of a step begins, in its first chunk and for the first worker. */
LLVMValueRef nd__ir_argument(nd__entry *e, const nd__step *step, int i);

/* -- chunks, lists (ir_task.c) ------------------------------------------------------------------------------------ */

/* Runs the chunks of a step, on threads or one after the other. */
void nd__ir_chunks(nd__entry *e, const nd__step *step);
/* How many of the steps, from the first on, a list can have: those that are told by data alone. */
int nd__ir_listed(const nd__entry *e, const nd__step *steps, int count);
/* Runs steps that are in a list. */
void nd__ir_list(nd__entry *e, const nd__step *steps, int count);

/* -- frames (ir_frame.c) ------------------------------------------------------------------------------------------ */

/* The pointers of a frame: the kernel, its arguments' table, the arguments. */
enum { ND__FRAME_KERNEL, ND__FRAME_TABLE, ND__FRAME_ARGS };

/* Memory for the arguments of any step, at the start of the entry. */
void nd__ir_frame(nd__entry *e);
/* Whether tables tell where all arguments of a step lie. */
bool nd__ir_framed(const nd__entry *e, const nd__step *step);
/* The places of the arguments of steps that follow each other. */
LLVMValueRef nd__ir_table(nd__entry *e, const nd__step *first, int count);
/* The address of place number i of a table. */
LLVMValueRef nd__ir_place(nd__ir *ir, LLVMValueRef table, LLVMValueRef i);
/* void fill(frame, kernel, bases, table, count): argument i = bases[table[i].base] + table[i].offset. */
LLVMValueRef nd__ir_fill_function(nd__ir *ir);
/* Puts a step's kernel there and its arguments, for its first chunk and the first worker. */
void nd__ir_fill(nd__entry *e, const nd__step *step);
/* The table of a turn, for the steps of a repeat. */
LLVMValueRef nd__ir_turn_table(nd__entry *e, const nd__repeat *repeat);
/* void move(arguments, frame, chunk, worker, count): the arguments of a chunk that a worker runs. */
LLVMValueRef nd__ir_move_function(nd__ir *ir);
/* The address of pointer number i of an array of them. */
LLVMValueRef nd__ir_slot(nd__ir *ir, LLVMValueRef frame, int i);

/* A function that runs once for each i below its last parameter, which is at least 1: what is written between the two
 * calls. */
typedef struct nd__counting {
    LLVMValueRef function, i;
    LLVMBasicBlockRef back, before, body;
} nd__counting;
nd__counting nd__ir_begin_counting(nd__ir *ir, const char *name, LLVMTypeRef *params, int count);
LLVMValueRef nd__ir_end_counting(nd__ir *ir, nd__counting c);

/* -- repeats (ir_repeat.c) ---------------------------------------------------------------------------------------- */

/* How the steps from the first one on repeat, if that saves much; count 1: they do not. */
nd__repeat nd__find_repeat(const nd__plan *plan, const int *of, const nd__step *first, int count);

/* -- for C (ir_symbol.c) ------------------------------------------------------------------------------------------ */

/* The function NAME(state, arena, in0, .., out0, ..) around an nd_entry; for "init" NAME(state, arena, seed). */
void nd__ir_symbol(nd__ir *ir, const nd__plan *plan, const char *name, LLVMValueRef called);

#endif
