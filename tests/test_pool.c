/* The pool of threads: every chunk once, whoever sleeps; as many threads as there are processors to use. */
#define _GNU_SOURCE /* sched_setaffinity, where there is one */
#include "nadir/program.h"
#include "run_suite.h"
#include "runtime/processors.h"
#include "temp_dir.h"

#include <check.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#if defined(__linux__)
#include <sched.h>
#endif

/* -- chunks ------------------------------------------------------------------------------------------------------- */

enum { CHUNKS = 40, LONGER_THAN_AWAKE = 400000 /* ns */ };

typedef struct work {
    int32_t workers;
    bool slow;        /* tasks sleep, so that the caller has to wait for others' */
    int runs[CHUNKS]; /* not atomic: a chunk is one thread's, and over when run returns */
    atomic_int wrong;
} work;

static void sleep_long(void)
{
    nanosleep(&(struct timespec){0, LONGER_THAN_AWAKE}, NULL);
}

static void task(void *arg, int32_t chunk, int32_t worker)
{
    work *w = arg;
    w->runs[chunk]++;
    if (worker < 0 || worker >= w->workers)
        atomic_fetch_add(&w->wrong, 1);
    if (w->slow)
        sleep_long();
}

START_TEST(every_chunk_once)
{
    for (int threads = 1; threads <= 4; threads++) {
        nd_pool *pool = nd_pool_create(threads);
        const nd_parallel *p = nd_pool_parallel(pool);
        work w = {.workers = threads};
        ck_assert_int_eq(p->workers, threads);
        for (int job = 0; job < 300; job++) {
            const int32_t chunks = 1 + 13 * job % CHUNKS;
            memset(w.runs, 0, sizeof w.runs);
            w.slow = job % 50 == 9;
            p->run(p->self, chunks, task, &w);
            for (int i = 0; i < CHUNKS; i++)
                ck_assert_msg(w.runs[i] == (i < chunks), "job %d, chunk %d: %d runs", job, i, w.runs[i]);
            if (job % 50 == 0) /* the others fall asleep */
                sleep_long();
        }
        ck_assert_int_eq(w.wrong, 0);
        nd_pool_destroy(pool);
    }
}
END_TEST

START_TEST(ends_asleep_and_unused)
{
    for (int threads = 1; threads <= 3; threads++) {
        nd_pool_destroy(nd_pool_create(threads));
        nd_pool *pool = nd_pool_create(threads);
        ck_assert_ptr_nonnull(pool);
        sleep_long();
        nd_pool_destroy(pool);
    }
    ck_assert_ptr_null(nd_pool_create(-1));
    ck_assert_ptr_null(nd_pool_create(100000));
}
END_TEST

/* -- processors --------------------------------------------------------------------------------------------------- */

enum { PATH = 4096 };

static void write_text(const char *name, const char *text)
{
    temp_write(name, text, strlen(text));
}

/* The processors that a process of those groups may use of eight. */
static int paid_for(const char *groups)
{
    char root[PATH];
    snprintf(root, sizeof root, "%s", temp_path(""));
    return nd__quota_processors(temp_path(groups), root, 8);
}

START_TEST(quotas)
{
    write_text("old", "1:cpu:/old\n");
    write_text("root", "0::/\n");
    write_text("inner", "2:cpu:/old\n0::/outer/within\n");
    mkdir(temp_path("outer"), 0700);
    mkdir(temp_path("outer/within"), 0700);
    ck_assert_int_eq(paid_for("inner"), 8); /* no files */
    write_text("outer/within/cpu.max", "max 100000\n");
    ck_assert_int_eq(paid_for("inner"), 8);
    write_text("outer/cpu.max", "250000 100000\n");
    ck_assert_int_eq(paid_for("inner"), 3); /* of the group around it, rounded up */
    ck_assert_int_eq(paid_for("root"), 8);
    write_text("outer/within/cpu.max", "50000 100000\n");
    ck_assert_int_eq(paid_for("inner"), 1);
    write_text("cpu.max", "500000 100000\n");
    ck_assert_int_eq(paid_for("root"), 5);
    ck_assert_int_eq(paid_for("old"), 5);
    ck_assert_int_eq(paid_for("missing"), 5);
}
END_TEST

#if defined(__linux__)
START_TEST(affinity)
{
    cpu_set_t before, one;
    int first = 0;
    ck_assert_int_eq(sched_getaffinity(0, sizeof before, &before), 0);
    while (!CPU_ISSET(first, &before))
        first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    ck_assert_int_eq(sched_setaffinity(0, sizeof one, &one), 0);
    nd_pool *pool = nd_pool_create(0);
    ck_assert_int_eq(nd_pool_parallel(pool)->workers, 1);
    nd_pool_destroy(pool);
    ck_assert_int_eq(sched_setaffinity(0, sizeof before, &before), 0);
    ck_assert_int_le(nd__usable_processors(256), CPU_COUNT(&before));
    ck_assert_int_ge(nd__usable_processors(256), 1);
    ck_assert_int_eq(nd__usable_processors(1), 1);
}
END_TEST
#endif

int main(void)
{
    Suite *suite = suite_create("pool");
    TCase *t = tcase_create("pool");
    tcase_add_test(t, every_chunk_once);
    tcase_add_test(t, ends_asleep_and_unused);
    tcase_add_test(t, quotas);
#if defined(__linux__)
    tcase_add_test(t, affinity);
#endif
    tcase_set_timeout(t, 60);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
