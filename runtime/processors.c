/* Affinity is Linux's, quotas are those of its control groups (version 2: one line "0::/GROUP" names the group). */
#define _GNU_SOURCE /* sched_getaffinity, where there is one */

#include "runtime/processors.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>
#if defined(__linux__)
#include <sched.h>
#endif

enum { PATH = 4096 };

/* What one group's quota pays for. */
static int group_processors(const char *root, const char *group, int most)
{
    char path[2 * PATH];
    long long limit = 0, period = 0;
    snprintf(path, sizeof path, "%s%s/cpu.max", root, group);
    FILE *file = fopen(path, "r");
    if (!file)
        return most;
    const int read = fscanf(file, "%lld %lld", &limit, &period); /* "max" is no number */
    fclose(file);
    if (read != 2 || limit <= 0 || period <= 0)
        return most;
    const long long count = limit / period + (limit % period > 0);
    return count < most ? (int)count : most;
}

/* "/GROUP"; "" for the root, also in a container that sees only its own group. */
static void find_group(const char *membership, char group[PATH])
{
    char line[PATH];
    FILE *file = fopen(membership, "r");
    group[0] = 0;
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, "0::/", 4) == 0) {
            line[strcspn(line, "\n")] = 0;
            strcpy(group, line + 3);
        }
    if (file)
        fclose(file);
}

int nd__quota_processors(const char *membership, const char *root, int most)
{
    char group[PATH];
    find_group(membership, group);
    for (char *end = group + strlen(group); end; end = strrchr(group, '/')) {
        *end = 0;
        most = group_processors(root, group, most);
    }
    return most;
}

int nd__usable_processors(int most)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        count = CPU_COUNT(&set);
#endif
    count = count < 1 ? 1 : count > most ? most : count;
    return nd__quota_processors("/proc/self/cgroup", "/sys/fs/cgroup", (int)count);
}
