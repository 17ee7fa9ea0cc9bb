/* The operating system: POSIX, and what many systems have beside it, the size of a terminal and large pages. */
#define _DEFAULT_SOURCE
#define _DARWIN_C_SOURCE

#include "runtime/platform.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

double nd__platform_seconds(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0)
        return 0;
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

void nd__platform_expect_use(void *memory, size_t bytes)
{
#ifdef MADV_HUGEPAGE
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), before = (page - (uintptr_t)memory % page) % page;
    if (bytes > before)
        madvise((char *)memory + before, (bytes - before) / page * page, MADV_HUGEPAGE); /* a wish: it may fail */
#else
    (void)memory, (void)bytes;
#endif
}

/* -- signals ------------------------------------------------------------------------------------------------------ */

/* A handler knows nothing but what lies here: the only thing in the library that changes and is everybody's. */
static atomic_flag catching = ATOMIC_FLAG_INIT;
static atomic_int caught;
static const int signals[] = {SIGINT, SIGTERM};
enum { SIGNALS = sizeof signals / sizeof *signals };
static struct sigaction before[SIGNALS];

static void catch (int number)
{
    atomic_store(&caught, number);
}

bool nd__platform_catch_signals(void)
{
    if (atomic_flag_test_and_set(&catching))
        return false;
    atomic_store(&caught, 0);
    struct sigaction action = {.sa_handler = catch, .sa_flags = (int)SA_RESETHAND | SA_RESTART};
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < SIGNALS; i++) {
        sigaction(signals[i], &action, &before[i]);
        if (!(before[i].sa_flags & SA_SIGINFO) && before[i].sa_handler == SIG_IGN) /* nohup, a job in the background */
            sigaction(signals[i], &before[i], NULL);
    }
    return true;
}

int nd__platform_signal(void)
{
    return atomic_load_explicit(&caught, memory_order_relaxed);
}

int nd__platform_release_signals(void)
{
    for (int i = 0; i < SIGNALS; i++)
        sigaction(signals[i], &before[i], NULL);
    int number = nd__platform_signal();
    atomic_flag_clear(&catching);
    return number;
}

/* -- terminals ---------------------------------------------------------------------------------------------------- */

bool nd__platform_is_terminal(FILE *file)
{
    return isatty(fileno(file)) == 1;
}

int nd__platform_terminal_width(FILE *file)
{
    struct winsize size;
    return ioctl(fileno(file), TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

/* -- files -------------------------------------------------------------------------------------------------------- */

bool nd__platform_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

bool nd__platform_sync(FILE *file)
{
    return fflush(file) == 0 && fsync(fileno(file)) == 0;
}

bool nd__platform_replace(const char *from, const char *to)
{
    return rename(from, to) == 0;
}

bool nd__platform_make_folder(const char *path)
{
    struct stat there;
    if (mkdir(path, 0777) == 0)
        return true;
    if (errno != EEXIST || stat(path, &there) != 0)
        return false;
    errno = S_ISDIR(there.st_mode) ? 0 : ENOTDIR;
    return errno == 0;
}
