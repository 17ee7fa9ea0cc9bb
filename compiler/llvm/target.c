/* Processors by name.
 *
 * A named processor is a level of the x86-64 psABI tuned for it, not LLVM's processor of that name: what the level does
 * not promise buys kernels nothing, and whether code of a level runs here can be told exactly, while a processor's own
 * list of features cannot be had through the C API (and virtual machines hide parts of it). Names are looked up here
 * first because LLVM prints to stderr about a name that it does not know. */
#include "compiler/llvm/machine.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#if defined(__unix__) || defined(__APPLE__)
#include <unistd.h>
#endif

#include <llvm-c/Core.h>
#include <llvm-c/Target.h>

static const struct {
    const char *name;
    int level;
    int l1_kib, l2_kib;
    int fma_bytes; /* a cycle */
} processors[] = {
    {"x86-64", 1, 32, 256, 32},           {"x86-64-v2", 2, 32, 256, 32},     {"x86-64-v3", 3, 32, 512, 64},
    {"x86-64-v4", 4, 32, 1024, 64},       {"nehalem", 2, 32, 256, 16},       {"westmere", 2, 32, 256, 16},
    {"sandybridge", 2, 32, 256, 32},      {"ivybridge", 2, 32, 256, 32},     {"haswell", 3, 32, 256, 64},
    {"broadwell", 3, 32, 256, 64},        {"skylake", 3, 32, 256, 64},       {"alderlake", 3, 48, 1280, 64},
    {"znver1", 3, 32, 512, 32},           {"znver2", 3, 32, 512, 64},        {"znver3", 3, 32, 512, 64},
    {"skylake-avx512", 4, 32, 1024, 128}, {"cascadelake", 4, 32, 1024, 128}, {"icelake-client", 4, 48, 512, 64},
    {"icelake-server", 4, 48, 1280, 128}, {"tigerlake", 4, 48, 1280, 64},    {"rocketlake", 4, 48, 512, 64},
    {"sapphirerapids", 4, 48, 2048, 128}, {"znver4", 4, 32, 1024, 64},       {"znver5", 4, 48, 1024, 128},
};
enum {
    PROCESSORS = sizeof processors / sizeof processors[0],
    L3 = 16 << 20, /* bytes: one core's part of what many share; machines, virtual ones above all, tell the whole */
};

static const char *const level_name[] = {"x86-64", "x86-64", "x86-64-v2", "x86-64-v3", "x86-64-v4"};
/* What each level adds to the one below. */
static const char *const level_features[] = {"", "", "+cx16 +sahf +popcnt +sse3 +ssse3 +sse4.1 +sse4.2",
                                             "+avx +avx2 +bmi +bmi2 +f16c +fma +lzcnt +movbe +xsave",
                                             "+avx512f +avx512bw +avx512cd +avx512dq +avx512vl"};

/* LLVM keeps one table of targets for the process; filling it twice is harmless, at the same time it is not. */
static atomic_int llvm_state; /* 0: not started, 1: being started, 2: ready */

void nd__llvm_start(void)
{
    int expected = 0;
    if (atomic_compare_exchange_strong(&llvm_state, &expected, 1)) {
        LLVMInitializeX86TargetInfo();
        LLVMInitializeX86Target();
        LLVMInitializeX86TargetMC();
        LLVMInitializeX86AsmPrinter();
        LLVMInitializeX86AsmParser(); /* for cpuid */
        atomic_store(&llvm_state, 2);
    }
    while (atomic_load(&llvm_state) != 2)
        ; /* some microseconds, once */
}

/* Whether the comma-separated list has the feature ("+avx2"). */
static bool has_feature(const char *list, const char *feature, size_t n)
{
    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (!strncmp(at, feature, n) && (at[n] == ',' || at[n] == 0))
            return true;
    return false;
}

static bool has_level(const char *list, int level)
{
    for (const char *at = level_features[level]; *at;) {
        size_t n = strcspn(at, " ");
        if (!has_feature(list, at, n))
            return false;
        at += n + (at[n] == ' ');
    }
    return true;
}

/* This machine's level, its name and features into `machine` (if wanted). 0: not an x86-64. */
static int host_level(nd__machine *machine)
{
    char *triple = LLVMGetDefaultTargetTriple(), *cpu = LLVMGetHostCPUName(), *features = LLVMGetHostCPUFeatures();
    int level = 0;
    if (!strncmp(triple, "x86_64", 6) || !strncmp(triple, "amd64", 5))
        for (level = 1; level < 4 && has_level(features, level + 1); level++)
            ;
    if (machine && level) {
        /* A list that does not fit is left out: then the level says all. */
        bool fits = strlen(features) < sizeof machine->features && strlen(cpu) < sizeof machine->cpu;
        snprintf(machine->cpu, sizeof machine->cpu, "%s", fits ? cpu : level_name[level]);
        snprintf(machine->features, sizeof machine->features, "%s", fits ? features : "");
    }
    LLVMDisposeMessage(triple);
    LLVMDisposeMessage(cpu);
    LLVMDisposeMessage(features);
    return level;
}

static int64_t host_cache(int which, int64_t otherwise)
{
    long bytes = 0;
#if defined(_SC_LEVEL1_DCACHE_SIZE) && defined(_SC_LEVEL2_CACHE_SIZE)
    bytes = sysconf(which == 1 ? _SC_LEVEL1_DCACHE_SIZE : which == 2 ? _SC_LEVEL2_CACHE_SIZE : _SC_LEVEL3_CACHE_SIZE);
#else
    (void)which;
#endif
    return bytes > 0 ? bytes : otherwise;
}

static int find_processor(const char *cpu)
{
    int i = 0;
    while (i < PROCESSORS && strcmp(cpu, processors[i].name))
        i++;
    return i;
}

/* Of this machine's processor, or of any of its level. */
static int host_fma_bytes(int level)
{
    char *cpu = LLVMGetHostCPUName();
    int p = find_processor(cpu);
    LLVMDisposeMessage(cpu);
    if (p == PROCESSORS)
        p = find_processor(level_name[level]);
    return processors[p].fma_bytes;
}

static nd_status unknown(const char *cpu, char *message, size_t size)
{
    int n = snprintf(message, size, "unknown processor \"%s\"; accepted are native", cpu);
    for (int i = 0; i < PROCESSORS && n > 0 && (size_t)n < size; i++)
        n += snprintf(message + n, size - (size_t)n, "%s%s", i + 1 < PROCESSORS ? ", " : " and ", processors[i].name);
    return ND_ERR_TARGET;
}

const char *nd__target_names(int i)
{
    return i == 0 ? "native" : i > 0 && i <= PROCESSORS ? processors[i - 1].name : NULL;
}

void nd__target_processor(const nd__target *target, char *name, size_t size)
{
    char *host = LLVMGetHostCPUName();
    snprintf(name, size, "%s", strcmp(target->cpu, "native") ? target->cpu : host);
    LLVMDisposeMessage(host);
}

nd_status nd__target_find(const char *cpu, nd__target *target, char *message, size_t size)
{
    if (!cpu)
        cpu = "native";
    int level, p = find_processor(cpu);
    if (!strcmp(cpu, "native")) {
        level = host_level(NULL);
        if (!level) {
            snprintf(message, size, "this machine is not an x86-64: no code can be generated for \"native\"");
            return ND_ERR_TARGET;
        }
        target->cpu = "native";
        target->l1_bytes = host_cache(1, 32 * 1024);
        target->l2_bytes = host_cache(2, 512 * 1024);
        target->l3_bytes = L3;
        target->fma_bytes = host_fma_bytes(level);
    } else if (p < PROCESSORS) {
        level = processors[p].level;
        target->cpu = processors[p].name;
        target->l1_bytes = processors[p].l1_kib * INT64_C(1024);
        target->l2_bytes = processors[p].l2_kib * INT64_C(1024);
        target->l3_bytes = L3;
        target->fma_bytes = processors[p].fma_bytes;
    } else {
        return unknown(cpu, message, size);
    }
    target->choices = NULL;
    target->vector_bytes = level == 4 ? 64 : level == 3 ? 32 : 16;
    target->vector_registers = level == 4 ? 32 : 16;
    target->fma = level >= 3;
    return ND_OK;
}

int nd__target_level(const nd__target *target)
{
    int p = find_processor(target->cpu);
    return p < PROCESSORS ? processors[p].level : host_level(NULL);
}

bool nd__target_runs_here(const nd__target *target)
{
    return nd__target_level(target) <= host_level(NULL);
}

nd_status nd__machine_find(const nd__target *target, nd__machine *machine, char *message, size_t size)
{
    const char *cpu = target->cpu ? target->cpu : "native";
    memset(machine, 0, sizeof *machine);
    char *triple = LLVMGetDefaultTargetTriple();
    bool x86 = !strncmp(triple, "x86_64", 6) || !strncmp(triple, "amd64", 5);
    snprintf(machine->triple, sizeof machine->triple, "%s", x86 ? triple : "x86_64-unknown-linux-gnu");
    LLVMDisposeMessage(triple);
    if (!strcmp(cpu, "native")) {
        machine->level = host_level(machine);
        if (!machine->level) {
            snprintf(message, size, "this machine is not an x86-64: no code can be generated for \"native\"");
            return ND_ERR_TARGET;
        }
        return ND_OK;
    }
    int p = find_processor(cpu);
    if (p == PROCESSORS)
        return unknown(cpu, message, size);
    machine->level = processors[p].level;
    snprintf(machine->cpu, sizeof machine->cpu, "%s", level_name[machine->level]);
    machine->tune = strcmp(cpu, machine->cpu) ? processors[p].name : NULL;
    return ND_OK;
}
