/* What Nadir's code costs, in one run on this machine, on one thread or more: the workloads of peers/workloads.md,
 * compiled beside interpreted, and what a call costs. And the proof that it is right (proof.c).
 *
 *     bench [--data FOLDER] [--seconds S] [--threads N] [--cpu NAME] [--peers VENVS] [WORKLOAD ...]
 *     bench [--data FOLDER] --save FILE WORKLOAD
 *     bench [--data FOLDER] --proof [WORKLOAD ...]
 *     bench --products
 *
 * FOLDER has mnist/ (four IDX files, gzip or not) and text/tinyshakespeare.txt; what needs them is left out without it.
 * Each measurement takes S seconds (0.5). --threads measures N threads beside one (2, where there are two processors;
 * 1: none), --cpu compiles for another processor (x86-64-v3). --peers runs the same in the libraries that
 * peers/setup.sh has put into VENVS. --save writes the graph of a workload as text instead, for nadir plan and nadir
 * bench --kernels; --products measures matrix products, beside OpenBLAS; --proof takes a quarter of an hour. */
#include "bench.h"
#include "nadir/text.h"

#include <stdlib.h>
#include <string.h>

static int usage(void)
{
    fprintf(stderr, "bench [--data FOLDER] [--seconds S] [--threads N] [--cpu NAME] [--peers VENVS] [WORKLOAD ...]\n"
                    "bench [--data FOLDER] --save FILE WORKLOAD\n"
                    "bench [--data FOLDER] --proof [WORKLOAD ...]\n"
                    "bench --products\n"
                    "workloads:");
    for (int i = 0; i < workload_count; i++)
        fprintf(stderr, " %s", workloads[i].name);
    fputc('\n', stderr);
    return 2;
}

static const workload *find_workload(const char *name)
{
    for (int i = 0; i < workload_count; i++)
        if (strcmp(workloads[i].name, name) == 0)
            return &workloads[i];
    return NULL;
}

/* The named ones, or all. */
static bool for_workloads(int count, char *const *names, bool (*what)(const workload *w, const options *o),
                          const options *o)
{
    bool good = true;
    for (int i = 0; i < (count ? count : workload_count); i++)
        good = what(count ? find_workload(names[i]) : &workloads[i], o) && good;
    return good;
}

static int save_workload(const workload *w, const options *o, const char *path)
{
    model m = {.module = nd_module_create("bench"), .data = o->data, .random = 1};
    FILE *out = fopen(path, "w");
    w->build(&m);
    bool good = out && nd_module_print(m.module, out) == ND_OK;
    good = out && fclose(out) == 0 && good;
    if (!good)
        fprintf(stderr, "%s: %s\n", path, m.error[0] ? m.error : nd_module_error(m.module));
    model_release(&m);
    return !good;
}

/* Two, if this process may use two processors. */
static int usable_threads(void)
{
    nd_pool *pool = nd_pool_create(0);
    const int usable = pool ? nd_pool_parallel(pool)->workers : 1;
    nd_pool_destroy(pool);
    return usable < 2 ? 1 : 2;
}

int main(int argc, char **argv)
{
    options o = {.seconds = 0.5, .threads = usable_threads()};
    const char *save = NULL;
    bool products = false, proof = false;
    int first = 1;
    for (; first < argc && argv[first][0] == '-'; first++) {
        const char *name = argv[first], *value = first + 1 < argc ? argv[first + 1] : NULL;
        if (strcmp(name, "--products") == 0 || strcmp(name, "--proof") == 0) {
            products = products || strcmp(name, "--products") == 0;
            proof = proof || strcmp(name, "--proof") == 0;
            continue;
        }
        if (!value)
            return usage();
        if (strcmp(name, "--data") == 0)
            o.data = value;
        else if (strcmp(name, "--peers") == 0)
            o.peers = value;
        else if (strcmp(name, "--threads") == 0)
            o.threads = atoi(value);
        else if (strcmp(name, "--cpu") == 0)
            o.cpu = value;
        else if (strcmp(name, "--save") == 0)
            save = value;
        else if (strcmp(name, "--seconds") == 0)
            o.seconds = strtod(value, NULL);
        else
            return usage();
        first++;
    }
    for (int i = first; i < argc; i++)
        if (!find_workload(argv[i]))
            return usage();

    if (products) {
        measure_products(&o);
        return 0;
    }
    if (save)
        return argc == first + 1 ? save_workload(find_workload(argv[first]), &o, save) : usage();
    if (proof)
        return !for_workloads(argc - first, argv + first, prove_workload, &o);
    print_heading(&o);
    const bool good = for_workloads(argc - first, argv + first, measure_workload, &o);
    measure_empty(&o);
    if (first == argc)
        measure_loop(&o);
    return !good;
}
