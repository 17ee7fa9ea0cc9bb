/* Trainings that are killed, interrupted and begun again: they end with the bits of never having stopped. */
#define _XOPEN_SOURCE 700 /* fork, sigaction */

#include "nadir/compile.h"
#include "nadir/nn.h"
#include "nadir/train.h"
#include "run_suite.h"
#include "runtime/safetensors.h"
#include "temp_dir.h"

#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROWS = 10, BATCH = 4, PER_EPOCH = 3, SEED = 3 };

/* A line through points, with noise from a key that every step advances, and momentum. */
static nd_program *compile_model(void)
{
    nd_module *m = nd_module_create("line");
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(nd_dim(m, "B", BATCH), 2)),
             *w = nd_variable(m, "w", ND_F32, ND_SHAPE(2, 1), nd_glorot_uniform()),
             *key = nd_variable(m, "key", ND_U32, ND_SHAPE(2), nd_zeros());
    nd_value *noise = nd_mul(nd_cast(nd_random_bits(key, 1, ND_SHAPE(1)), ND_F32), nd_const(m, 1e-12));
    nd_value *error = nd_add(nd_sub(nd_matmul(x, w), nd_const(m, 1)), noise);
    nd_value *loss = nd_name(nd_mean(nd_mul(error, error), ND_ALL_AXES, false), "loss");
    nd_function *step = nd_function(m, "step", ND_VALUES(x), ND_VALUES(loss));
    nd_sgd_momentum(step, loss, 1, &w, nd_const(m, 0.001), nd_const(m, 0.5));
    nd_assign(step, key, nd_add(key, nd_const(m, 1)));
    nd_program *p = nd_compile(m, NULL);
    ck_assert_str_eq(nd_program_error(p), "");
    nd_module_destroy(m);
    return p;
}

static nd_dataset *points(void)
{
    nd_dataset *d = nd_dataset_create();
    nd_tensor *x = nd_tensor_zeros(ND_F32, ND_SHAPE(ROWS, 2));
    for (int64_t i = 0; i < 2 * ROWS; i++)
        nd_tensor_set(x, i, (double)(i * i % 17) / 4 - 2);
    nd_dataset_add(d, "x", x);
    nd_tensor_destroy(x);
    return d;
}

/* A training that never stops, and what it is compared with. */
typedef struct fixture {
    nd_program *program;
    nd_dataset *dataset;
    nd_state *whole; /* of a training without breaks, after `step` steps */
    int64_t step;
    char checkpoint[512];
    nd_train_options options;
} fixture;

static fixture begin(const char *checkpoint)
{
    fixture f = {.program = compile_model(), .dataset = points()};
    f.whole = nd_state_create(f.program, SEED);
    strcpy(f.checkpoint, temp_path(checkpoint));
    f.options = (nd_train_options){.batch = BATCH, .epochs = 1000000, .shuffle_seed = 9, .checkpoint_every = 1};
    return f;
}

static void end(fixture *f)
{
    nd_state_destroy(f->whole);
    nd_dataset_destroy(f->dataset);
    nd_program_destroy(f->program);
}

/* The step of the checkpoint; 0: there is none yet. */
static int64_t step_of(const fixture *f)
{
    nd__safetensors s;
    nd__message message = {0};
    if (access(f->checkpoint, F_OK) != 0)
        return 0;
    ck_assert_msg(nd__safetensors_read(f->checkpoint, &s, &message) == ND_OK, "%s", message.text);
    int64_t step = strtoll(nd__safetensors_metadata(&s, "nadir.step"), NULL, 10);
    nd__safetensors_release(&s);
    return step;
}

/* The checkpoint has what the training without breaks has at that step. */
static void check(fixture *f)
{
    int64_t step = step_of(f);
    ck_assert_int_ge(step, f->step);
    if (step > f->step) {
        nd_history *h =
            nd_train(f->program, "step", f->whole, f->dataset,
                     &(nd_train_options){.batch = BATCH, .steps = step, .shuffle_seed = 9, .first_step = f->step});
        ck_assert_str_eq(nd_history_error(h), "");
        nd_history_destroy(h);
        f->step = step;
    }
    if (step == 0)
        return;
    nd_state *loaded = nd_state_create(f->program, 77);
    ck_assert_int_eq(nd_state_load(loaded, f->checkpoint), ND_OK);
    for (int i = 0; i < nd_program_variable_count(f->program); i++) {
        const char *name = nd_program_variable(f->program, i).name;
        ck_assert_msg(nd_tensor_same_bits(nd_state_tensor(f->whole, name), nd_state_tensor(loaded, name)),
                      "%s differs after %lld steps", name, (long long)step);
    }
    nd_state_destroy(loaded);
}

/* Trains in a child, on from the checkpoint; gives its number. */
static pid_t fork_training(fixture *f)
{
    pid_t child = fork();
    ck_assert_int_ne(child, -1);
    if (child > 0)
        return child;
    f->options.checkpoint = f->checkpoint;
    f->options.resume = true;
    nd_history *h = nd_train(f->program, "step", nd_state_create(f->program, SEED), f->dataset, &f->options);
    _exit(nd_history_status(h) == ND_OK ? nd_history_signal(h) : 255);
}

static void wait_a_little(long nanoseconds)
{
    nanosleep(&(struct timespec){0, nanoseconds}, NULL);
}

/* -- killed ------------------------------------------------------------------------------------------------------- */

START_TEST(killed_a_hundred_times)
{
    fixture f = begin("killed.safetensors");
    uint32_t random = 1;
    for (int i = 0; i < 100; i++) {
        pid_t child = fork_training(&f);
        if (i % 10 == 0) /* so that it comes on, however slow the machine is */
            while (step_of(&f) == f.step)
                wait_a_little(1000000);
        random = random * 1664525 + 1013904223;
        wait_a_little(random >> 10); /* below 4.2 ms */
        kill(child, SIGKILL);
        int status;
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        check(&f);
    }
    ck_assert_int_ge(f.step, 10 * PER_EPOCH);
    end(&f);
}
END_TEST

/* -- signals ------------------------------------------------------------------------------------------------------ */

static const int signals[] = {SIGINT, SIGTERM};

static bool says_so(void *self, const nd_history *so_far)
{
    (void)so_far;
    return write(*(int *)self, "", 1) != 1;
}

/* Ctrl-C at some moment: a checkpoint at a step boundary, and the return of nd_train. */
START_TEST(interrupted)
{
    fixture f = begin(_i == 0 ? "int.safetensors" : "term.safetensors");
    f.options.checkpoint_every = 0;
    f.options.signals = true;
    for (int i = 0; i < 10; i++) {
        int ends[2], status;
        char byte;
        ck_assert_int_eq(pipe(ends), 0);
        f.options.after_epoch = says_so;
        f.options.after_epoch_self = &ends[1];
        pid_t child = fork_training(&f);
        close(ends[1]);
        ck_assert_int_eq(read(ends[0], &byte, 1), 1); /* it runs */
        wait_a_little(100000L * i);
        kill(child, signals[_i]);
        while (read(ends[0], &byte, 1) > 0) /* until it has ended */
            ;
        close(ends[0]);
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert(WIFEXITED(status));
        ck_assert_int_eq(WEXITSTATUS(status), signals[_i]);
        int64_t before = f.step;
        check(&f);
        ck_assert_int_gt(f.step, before);
    }
    end(&f);
}
END_TEST

typedef struct raiser {
    int signal, times;
    struct sigaction seen;
    const fixture *other; /* to be trained meanwhile; NULL: nothing */
} raiser;

static bool raise_signals(void *self, const nd_history *so_far)
{
    raiser *r = self;
    (void)so_far;
    sigaction(r->signal, NULL, &r->seen);
    for (; r->times > 0; r->times--)
        raise(r->signal);
    if (r->other) {
        nd_history *h = nd_train(r->other->program, "step", r->other->whole, r->other->dataset, &r->other->options);
        ck_assert_int_eq(nd_history_status(h), ND_ERR_STATE);
        ck_assert_str_eq(nd_history_error(h), "another training of this process waits for signals already");
        nd_history_destroy(h);
    }
    return false;
}

/* Trains five epochs, in which the signal comes; gives the next step. */
static int64_t train_with(fixture *f, raiser *r, bool catches, int expected)
{
    FILE *progress = tmpfile();
    f->options = (nd_train_options){.batch = BATCH,
                                    .epochs = 5,
                                    .signals = catches,
                                    .progress = progress,
                                    .after_epoch = raise_signals,
                                    .after_epoch_self = r};
    nd_history *h = nd_train(f->program, "step", f->whole, f->dataset, &f->options);
    ck_assert_str_eq(nd_history_error(h), "");
    ck_assert_int_eq(nd_history_signal(h), expected);
    int64_t next = nd_history_next_step(h);
    char text[1000] = "";
    rewind(progress);
    ck_assert_uint_gt(fread(text, 1, sizeof text - 1, progress), 0);
    ck_assert_int_eq(strstr(text, "\nstopped: interrupted\n") != NULL, expected == SIGINT);
    ck_assert_int_eq(strstr(text, "\nstopped: asked to terminate\n") != NULL, expected == SIGTERM);
    fclose(progress);
    nd_history_destroy(h);
    return next;
}

START_TEST(stops_at_the_next_step)
{
    fixture f = begin("none");
    for (int i = 0; i < 2; i++) {
        raiser r = {.signal = signals[i], .times = 1};
        signal(signals[i], SIG_DFL); /* Check has handlers of its own */
        struct sigaction after;
        ck_assert_int_eq(train_with(&f, &r, true, signals[i]), PER_EPOCH + 1);
        ck_assert(r.seen.sa_handler != SIG_DFL);
        sigaction(signals[i], NULL, &after);
        ck_assert(after.sa_handler == SIG_DFL);
    }
    end(&f);
}
END_TEST

/* No handler unasked, and none for what the process ignores. */
START_TEST(leaves_signals_alone)
{
    fixture f = begin("none");
    raiser r = {.signal = SIGINT};
    signal(SIGINT, SIG_DFL);
    ck_assert_int_eq(train_with(&f, &r, false, 0), 5 * PER_EPOCH);
    ck_assert(r.seen.sa_handler == SIG_DFL);
    signal(SIGINT, SIG_IGN);
    r.times = 1;
    ck_assert_int_eq(train_with(&f, &r, true, 0), 5 * PER_EPOCH);
    ck_assert(r.seen.sa_handler == SIG_IGN);
    ck_assert(signal(SIGINT, SIG_DFL) == SIG_IGN);
    end(&f);
}
END_TEST

START_TEST(catches_for_one_training)
{
    fixture f = begin("none"), other = begin("none");
    other.options.signals = true;
    other.options.checkpoint_every = 0;
    raiser r = {.signal = SIGINT, .other = &other};
    ck_assert_int_eq(train_with(&f, &r, true, 0), 5 * PER_EPOCH);
    end(&f);
    end(&other);
}
END_TEST

/* The second Ctrl-C is not asked for twice. */
START_TEST(ends_at_the_second_signal)
{
    fixture f = begin("none");
    pid_t child = fork();
    ck_assert_int_ne(child, -1);
    if (child == 0) {
        raiser r = {.signal = SIGINT, .times = 2};
        train_with(&f, &r, true, SIGINT);
        _exit(0);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
    end(&f);
}
END_TEST

int main(void)
{
    temp_path(""); /* made before Check forks, so that one process removes it */
    Suite *suite = suite_create("interrupt");
    TCase *t = tcase_create("interrupt");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, killed_a_hundred_times);
    tcase_add_loop_test(t, interrupted, 0, 2);
    tcase_add_test(t, stops_at_the_next_step);
    tcase_add_test(t, leaves_signals_alone);
    tcase_add_test(t, catches_for_one_training);
    tcase_add_test(t, ends_at_the_second_signal);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
