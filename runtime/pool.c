/* A small pool of threads: fork and join over the chunks of one kernel at a time.
 *
 * A job is published by a new number in `job`; whoever is awake takes chunks until none is left: of its own share
 * first, then of the others'. Shares lie alike in all jobs, so that a thread finds in its cache what it stored in the
 * job before: to read it from another one's takes as long as many a kernel.
 *
 * Between jobs a thread watches `job` for a while, since the next kernel of a training step comes within microseconds
 * and waking a sleeper takes twenty, and then sleeps. So does the one that published it while others finish their last
 * chunks: the system may have taken one of them its processor. */
#include "nadir/program.h"
#include "runtime/platform.h"
#include "runtime/processors.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { MOST_THREADS = 256 };
static const double AWAKE = 100e-6; /* seconds that a thread watches for what it waits for */

/* A worker's chunks of the open job: from `next`, the first that nobody has taken, to below `end`. */
typedef struct share {
    atomic_int next;
    int32_t end;
    char apart[56]; /* from the next one, in another line of the cache */
} share;

typedef struct member {
    nd_pool *pool;
    pthread_t thread;
    int32_t worker;
} member;

struct nd_pool {
    nd_parallel parallel;
    int thread_count; /* besides the caller's */
    member *members;
    pthread_mutex_t mutex;
    pthread_cond_t work; /* job has changed, or the pool ends */
    pthread_cond_t left; /* nobody is inside any more */
    atomic_uint job;     /* counts jobs; odd while one is open */
    atomic_int sleepers;
    atomic_bool joining; /* the caller sleeps until nobody is inside */
    atomic_bool ending;
    /* The open job. Written before `job` becomes odd, read after. */
    void (*task)(void *arg, int32_t chunk, int32_t worker);
    void *arg;
    share *shares;     /* by worker */
    atomic_int inside; /* threads that may be looking at the job */
};

static void pause_briefly(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void take_chunks(nd_pool *pool, int32_t worker)
{
    const int32_t workers = pool->parallel.workers;
    for (int32_t i = 0; i < workers; i++) {
        share *s = &pool->shares[(worker + i) % workers];
        int32_t chunk;
        while ((chunk = atomic_fetch_add_explicit(&s->next, 1, memory_order_relaxed)) < s->end)
            pool->task(pool->arg, chunk, worker);
    }
}

/* Watches while `waits(pool, seen)`, for a while; whether it came to an end. */
static bool watch(nd_pool *pool, bool (*waits)(nd_pool *pool, unsigned seen), unsigned seen)
{
    const double end = nd__platform_seconds() + AWAKE;
    for (int turn = 1; waits(pool, seen); turn++) {
        pause_briefly();
        if (turn % 64 == 0 && nd__platform_seconds() >= end)
            return false;
    }
    return true;
}

static bool has_no_job(nd_pool *pool, unsigned seen)
{
    return atomic_load(&pool->job) == seen && !atomic_load(&pool->ending);
}

static bool is_occupied(nd_pool *pool, unsigned seen)
{
    (void)seen;
    return atomic_load(&pool->inside) > 0;
}

/* Waits until the number of the job is no longer `seen`; false: the pool ends. */
static bool wait_for_job(nd_pool *pool, unsigned seen)
{
    if (!watch(pool, has_no_job, seen)) {
        pthread_mutex_lock(&pool->mutex);
        atomic_fetch_add(&pool->sleepers, 1);
        while (has_no_job(pool, seen))
            pthread_cond_wait(&pool->work, &pool->mutex);
        atomic_fetch_sub(&pool->sleepers, 1);
        pthread_mutex_unlock(&pool->mutex);
    }
    return !atomic_load(&pool->ending);
}

static void leave(nd_pool *pool)
{
    if (atomic_fetch_sub(&pool->inside, 1) > 1 || !atomic_load(&pool->joining))
        return;
    pthread_mutex_lock(&pool->mutex);
    pthread_cond_signal(&pool->left);
    pthread_mutex_unlock(&pool->mutex);
}

static void wait_for_others(nd_pool *pool)
{
    if (watch(pool, is_occupied, 0))
        return;
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->joining, true);
    while (is_occupied(pool, 0))
        pthread_cond_wait(&pool->left, &pool->mutex);
    atomic_store(&pool->joining, false);
    pthread_mutex_unlock(&pool->mutex);
}

static void *thread_main(void *arg)
{
    const member *self = arg;
    nd_pool *pool = self->pool;
    unsigned seen = 0;
    while (wait_for_job(pool, seen)) {
        /* Enter, then look again: a job that has closed meanwhile is not entered. */
        atomic_fetch_add(&pool->inside, 1);
        seen = atomic_load(&pool->job);
        if (seen % 2 == 1)
            take_chunks(pool, self->worker);
        leave(pool);
    }
    return NULL;
}

static void wake_sleepers(nd_pool *pool)
{
    if (atomic_load(&pool->sleepers) == 0)
        return;
    pthread_mutex_lock(&pool->mutex);
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->mutex);
}

static void run(void *self, int32_t chunks, void (*task)(void *arg, int32_t chunk, int32_t worker), void *arg)
{
    nd_pool *pool = self;
    const int64_t workers = pool->parallel.workers;
    pool->task = task;
    pool->arg = arg;
    for (int64_t w = 0; w < workers; w++) {
        atomic_store_explicit(&pool->shares[w].next, (int32_t)(chunks * w / workers), memory_order_relaxed);
        pool->shares[w].end = (int32_t)(chunks * (w + 1) / workers);
    }
    atomic_fetch_add(&pool->job, 1);
    wake_sleepers(pool);
    take_chunks(pool, 0);
    atomic_fetch_add(&pool->job, 1);
    wait_for_others(pool);
}

/* -- pools -------------------------------------------------------------------------------------------------------- */

nd_pool *nd_pool_create(int threads)
{
    if (threads < 0 || threads > MOST_THREADS)
        return NULL;
    if (threads == 0)
        threads = nd__usable_processors(MOST_THREADS);
    nd_pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return NULL;
    pool->parallel = (nd_parallel){run, pool, threads};
    pool->members = calloc((size_t)threads, sizeof *pool->members);
    pool->shares = calloc((size_t)threads, sizeof *pool->shares);
    if (!pool->members || !pool->shares || pthread_mutex_init(&pool->mutex, NULL) != 0)
        goto no_mutex;
    if (pthread_cond_init(&pool->work, NULL) != 0)
        goto no_work;
    if (pthread_cond_init(&pool->left, NULL) != 0)
        goto no_left;
    for (; pool->thread_count < threads - 1; pool->thread_count++) {
        member *m = &pool->members[pool->thread_count];
        *m = (member){.pool = pool, .worker = pool->thread_count + 1};
        if (pthread_create(&m->thread, NULL, thread_main, m) != 0) {
            nd_pool_destroy(pool);
            return NULL;
        }
    }
    return pool;

no_left:
    pthread_cond_destroy(&pool->work);
no_work:
    pthread_mutex_destroy(&pool->mutex);
no_mutex:
    free(pool->shares);
    free(pool->members);
    free(pool);
    return NULL;
}

void nd_pool_destroy(nd_pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->ending, true);
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->mutex);
    for (int i = 0; i < pool->thread_count; i++)
        pthread_join(pool->members[i].thread, NULL);
    pthread_cond_destroy(&pool->left);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->mutex);
    free(pool->shares);
    free(pool->members);
    free(pool);
}

const nd_parallel *nd_pool_parallel(const nd_pool *pool)
{
    return pool ? &pool->parallel : NULL;
}
