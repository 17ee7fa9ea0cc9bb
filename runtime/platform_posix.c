/* The operating system: POSIX. */
#define _POSIX_C_SOURCE 200809L

#include "runtime/platform.h"

#include <time.h>
#include <unistd.h>

double nd__platform_seconds(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0)
        return 0;
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

bool nd__platform_is_terminal(FILE *file)
{
    return isatty(fileno(file)) == 1;
}

bool nd__platform_sync(FILE *file)
{
    return fflush(file) == 0 && fsync(fileno(file)) == 0;
}

bool nd__platform_replace(const char *from, const char *to)
{
    return rename(from, to) == 0;
}
