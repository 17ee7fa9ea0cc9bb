/* How many processors this process may use. */
#ifndef NADIR_RUNTIME_PROCESSORS_H
#define NADIR_RUNTIME_PROCESSORS_H

/* Those that are there, that its affinity allows, and that the quotas of its control groups pay for; 1 to `most`. */
int nd__usable_processors(int most);
/* The last alone, rounded up: of the group that `membership` (/proc/self/cgroup) names, a folder of `root`
 * (/sys/fs/cgroup), and of those that it lies in; `most` where there is no quota. */
int nd__quota_processors(const char *membership, const char *root, int most);

#endif
