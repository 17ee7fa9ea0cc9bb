/* What a training shows while it runs. */
#define _XOPEN_SOURCE 700 /* posix_openpt */

#include "nadir/train.h"
#include "run_suite.h"
#include "runtime/progress.h"
#include "temp_dir.h"
#include "toy_program.h"

#include <check.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEAVY   "\xE2\x94\x81"
#define HALF    "\xE2\x95\xB8"
#define LIGHT   "\xE2\x94\x80"
#define FOUR(x) x x x x

static char *two_names[] = {"loss", "acc"};

static const struct {
    nd__progress_line line;
    int width;
    const char *text;
} lines[] = {
    {{3, 5, 1240, 1875, 2, two_names, (double[]){0.0912, 0.973}, 5720.4, 0.11, false},
     100,
     "epoch 3/5  " FOUR(HEAVY HEAVY HEAVY)
         HEAVY HEAVY HEAVY HALF FOUR(LIGHT LIGHT) "  1240/1875  loss 0.0912  acc 97.3 %  5720/s  0.11 s left"},
    {{3, 5, 1240, 1875, 2, two_names, (double[]){0.0912, 0.973}, 5720.4, 0.11, false}, /* a narrow terminal: no bar */
     60,
     "epoch 3/5  1240/1875  loss 0.0912  acc 97.3 %  5720/s  0.11 s left"},
    {{3, 5, 11, 16, 0, NULL, NULL, 0, 75, false},
     45,
     "epoch 3/5  " FOUR(HEAVY) HEAVY HEAVY LIGHT LIGHT LIGHT "  11/16  1 min 15 s left"},
    {{9, 10, 10, 10, 1, two_names, (double[]){123.456}, 12345, 7384, true},
     0,
     "epoch  9/10  loss 123.46  12.3k steps/s  2 h 03 min"},
    {{10, 10, 7, 10, 1, two_names, (double[]){-0.00001234}, 0.05123, 12.6, true},
     0,
     "epoch 10/10   7/10  loss -1.234e-05  0.0512 steps/s  13 s"},
    {{1, 1, 1, 1, 2, two_names, (double[]){NAN, NAN}, INFINITY, 0, true}, 0, "epoch 1/1  loss nan  acc nan  0.0 ms"},
    {{1, 1, 1, 1, 2, two_names, (double[]){INFINITY, 1}, 0.995, -1, true},
     0,
     "epoch 1/1  loss inf  acc 100.0 %  1.00 steps/s"},
    {{1, 1, 1, 1, 1, two_names, (double[]){1.5e30}, 9.96, -1, true}, 0, "epoch 1/1  loss 1.5e+30  10.0 steps/s"},
    {{1, 1, 1, 1, 1, two_names, (double[]){5e-324}, 9999.6, -1, true}, 0, "epoch 1/1  loss 5e-324  10.0k steps/s"},
};

START_TEST(progress_lines)
{
    nd__text text = {0};
    nd__progress_text(&text, &lines[_i].line, lines[_i].width);
    ck_assert(!text.failed);
    ck_assert_str_eq(text.data, lines[_i].text);
    nd__text_release(&text);
}
END_TEST

static bool countdown(void *self)
{
    return --*(int *)self == 0;
}

/* What a training shows on a stream that is no terminal. */
START_TEST(progress_in_a_file)
{
    nd_program *p = toy_program((toy_options){0});
    nd_state *state = nd_state_create(p, 0);
    nd_dataset *d = toy_dataset(10);
    char path[512];
    strcpy(path, temp_path("progress.txt"));
    FILE *file = fopen(path, "w");
    int left = 4;
    nd_history_destroy(nd_train(
        p, "step", state, d,
        &(nd_train_options){.batch = 4, .epochs = 3, .progress = file, .stop = countdown, .stop_self = &left}));
    fclose(file);
    char *text = temp_read(path);
    ck_assert_msg(strncmp(text, "epoch 1/3  loss ", 16) == 0, "%s", text);
    char *second = strchr(text, '\n') + 1;
    ck_assert_msg(strncmp(second, "epoch 2/3  1/3  loss ", 21) == 0, "%s", text);
    ck_assert_str_eq(strchr(second, '\n') + 1, "stopped, as asked\n");
    ck_assert_ptr_null(strchr(text, '\r'));
    free(text);
    nd_state_destroy(state);
    nd_dataset_destroy(d);
    nd_program_destroy(p);
}
END_TEST

START_TEST(progress_on_a_terminal)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0)
        return; /* no terminals here */
    FILE *file = fopen(ptsname(master), "w");
    ck_assert_ptr_nonnull(file);
    setenv("TERM", "xterm", 1);
    nd_program *p = toy_program((toy_options){0});
    nd_state *state = nd_state_create(p, 0);
    nd_dataset *d = toy_dataset(10);
    nd_history_destroy(nd_train(p, "step", state, d, &(nd_train_options){.batch = 4, .epochs = 2, .progress = file}));
    char text[8000];
    ssize_t n = 0, more;
    fclose(file);
    while ((more = read(master, text + n, sizeof text - 1 - (size_t)n)) > 0)
        n += more;
    close(master);
    ck_assert_int_gt(n, 0);
    text[n] = '\0';
    ck_assert_msg(strncmp(text, "\repoch 1/2  " HEAVY, 13) == 0, "%s", text); /* the first step is shown at once, */
    ck_assert_ptr_nonnull(strstr(text, "1/3  loss "));
    ck_assert_ptr_nonnull(strstr(text, " left\x1B[K\repoch 1/2  " FOUR(HEAVY))); /* then drawn over, */
    ck_assert_ptr_nonnull(strstr(text, "s\x1B[K\r\n\repoch 2/2"));               /* and the last one stays */
    int drawn = 0;
    for (char *at = text; (at = strstr(at, "\x1B[K")); at++)
        drawn++;
    ck_assert_int_le(drawn, 4); /* not at every step */
    nd_state_destroy(state);
    nd_dataset_destroy(d);
    nd_program_destroy(p);
}
END_TEST

int main(void)
{
    temp_path(""); /* made before Check forks, so that one process removes it */
    Suite *suite = suite_create("progress");
    TCase *t = tcase_create("progress");
    tcase_add_loop_test(t, progress_lines, 0, sizeof lines / sizeof *lines);
    tcase_add_test(t, progress_in_a_file);
    tcase_add_test(t, progress_on_a_terminal);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
