/* The operating system: POSIX, and the size of a terminal, which every system has but POSIX did not. */
#define _DEFAULT_SOURCE
#define _DARWIN_C_SOURCE

#include "runtime/platform.h"

#include <errno.h>
#include <sys/ioctl.h>
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

bool nd__platform_is_terminal(FILE *file)
{
    return isatty(fileno(file)) == 1;
}

int nd__platform_terminal_width(FILE *file)
{
    struct winsize size;
    return ioctl(fileno(file), TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

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
