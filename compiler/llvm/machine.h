/* A processor as LLVM and the emitter need it: the other half of nd__target. Inside compiler/llvm/ only. */
#ifndef NADIR_LLVM_MACHINE_H
#define NADIR_LLVM_MACHINE_H

#include "compiler/llvm/llvm.h"

#include <llvm-c/TargetMachine.h>

typedef struct nd__machine {
    int level;           /* x86-64-v1 .. v4: which instructions may be asked for */
    char cpu[32];        /* LLVM's name */
    const char *tune;    /* the processor to schedule for; NULL: cpu */
    char features[2048]; /* LLVM's list; "" for a named processor */
    char triple[128];
} nd__machine;

/* What the level has: these decide which of several equal ways of writing something down is the fastest. */
static inline bool nd__machine_fma(const nd__machine *m)
{
    return m->level >= 3;
}
static inline bool nd__machine_rounds(const nd__machine *m) /* floor, ceil, rint are instructions (SSE 4.1) */
{
    return m->level >= 2;
}
static inline bool nd__machine_masked_loads(const nd__machine *m) /* of 4- and 8-byte lanes */
{
    return m->level >= 3;
}
static inline bool nd__machine_mask_registers(const nd__machine *m) /* masked loads and stores of any lanes */
{
    return m->level >= 4;
}
static inline bool nd__machine_scales(const nd__machine *m) /* multiplies by powers of two (scalef) */
{
    return m->level >= 4;
}
static inline int nd__machine_vector_bytes(const nd__machine *m)
{
    return m->level >= 4 ? 64 : m->level == 3 ? 32 : 16;
}

/* The machine behind target->cpu. ND_ERR_TARGET as nd__target_find. */
nd_status nd__machine_find(const nd__target *target, nd__machine *machine, char *message, size_t size);
/* Sets LLVM up, once in the life of the process. */
void nd__llvm_start(void);

#endif
