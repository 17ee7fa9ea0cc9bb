/* What is found out in a process of its own: the memory that compiling takes, and whether a step does anything besides
 * computing. That process is killed at its first system call, and counts what it allocates. */
#define _GNU_SOURCE
#include "bench.h"

#include <stdlib.h>
#include <string.h>

#if defined(__linux__)
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* -- allocations, as far as the linker wraps them ----------------------------------------------------------------- */

static long allocations;

#ifdef HAVE_WRAPPED_ALLOC
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

void *__wrap_malloc(size_t size)
{
    allocations++;
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    allocations++;
    return __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    allocations++;
    return __real_realloc(old, size);
}
#endif

/* -- steps -------------------------------------------------------------------------------------------------------- */

enum { CLEAN, ALLOCATES, UNKNOWN };

/* From now on every system call but the last one of a process kills it. */
static bool forbid_system_calls(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    const struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static _Noreturn void run_and_exit(runner *r, int steps)
{
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    const bool watched = forbid_system_calls();
    const long before = allocations;
    for (int i = 0; i < steps && watched; i++)
        run_next(r);
    _exit(!watched ? UNKNOWN : allocations != before ? ALLOCATES : CLEAN);
}

/* What that many steps do; where not even none of them is clean, as under sanitizers, nothing can be told. */
static const char *watch(runner *r, int steps)
{
    static const char *const names[] = {"nothing", "allocates", "-"};
    int status;
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0)
        run_and_exit(r, steps);
    if (child < 0 || waitpid(child, &status, 0) != child)
        return names[UNKNOWN];
    if (WIFSIGNALED(status))
        return WTERMSIG(status) == SIGSYS ? "system call" : "crashes";
    return names[WEXITSTATUS(status) < UNKNOWN ? WEXITSTATUS(status) : UNKNOWN];
}

const char *besides_computing(runner *r, int steps)
{
    return strcmp(watch(r, 0), "nothing") == 0 ? watch(r, steps) : "-";
}

/* -- compiling ---------------------------------------------------------------------------------------------------- */

double compile_memory(const workload *w, const options *o)
{
    int status;
    struct rusage usage;
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        model m = {.module = nd_module_create("bench"), .data = o->data, .random = 1};
        w->build(&m);
        _exit(nd_program_status(nd_compile(m.module, &(nd_compile_options){.cpu = o->cpu})) != ND_OK);
    }
    if (child < 0 || wait4(child, &status, 0, &usage) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return 0;
    return 1024.0 * (double)usage.ru_maxrss;
}

#else
const char *besides_computing(runner *r, int steps)
{
    (void)r, (void)steps;
    return "-";
}

double compile_memory(const workload *w, const options *o)
{
    (void)w, (void)o;
    return 0;
}
#endif
