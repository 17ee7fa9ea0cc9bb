/* The command, run in this process: what it prints, what it writes, its messages and exit codes. */
#define _XOPEN_SOURCE 700

#include "compiler/cli/cli.h"
#include "failing_alloc.h"
#include "nadir/data.h"
#include "run_suite.h"
#include "temp_dir.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROOM = 1 << 14 };
static char out[ROOM], err[ROOM]; /* of the last call */

static void read_all(FILE *file, char *text)
{
    rewind(file);
    text[fread(text, 1, ROOM - 1, file)] = '\0';
    fclose(file);
}

static int nadir(const char *const *words)
{
    int count = 0;
    FILE *to = tmpfile(), *errors = tmpfile();
    ck_assert(to && errors);
    while (words[count])
        count++;
    int code = nd__cli(count, (char *const *)words, to, errors);
    read_all(to, out);
    read_all(errors, err);
    return code;
}

#define NADIR(...) nadir((const char *const[]){__VA_ARGS__, NULL})
/* The call goes well and prints this. */
#define PRINTS(text, ...)                                                                                              \
    do {                                                                                                               \
        int code = NADIR(__VA_ARGS__);                                                                                 \
        ck_assert_str_eq(err, "");                                                                                     \
        ck_assert_str_eq(out, text);                                                                                   \
        ck_assert_int_eq(code, ND__EXIT_OK);                                                                           \
    } while (0)

/* -- files -------------------------------------------------------------------------------------------------------- */

static void write_tensor(const char *path, nd_dtype dtype, nd_shape shape, const void *items)
{
    nd_tensor *t = nd_tensor_of(dtype, shape, items);
    ck_assert_msg(nd_npy_write(path, t) == ND_OK, "%s", nd_tensor_error(t));
    nd_tensor_destroy(t);
}

static const char line[] = "nadir 1\n"
                           "module line seed=42\n"
                           "dim B=2\n"
                           "%x: f32[B,3] = input\n"
                           "%y: f32[B,1] = input\n"
                           "%w: f32[3,1] = variable\n"
                           "%zero: f32[3,1] = constant 0.5\n"
                           "%prediction: f32[B,1] = matmul %x, %w\n"
                           "%error: f32[B,1] = sub %prediction, %y\n"
                           "%square: f32[B,1] = mul %error, %error\n"
                           "%loss: f32 = sum %square axes=[0,1]\n"
                           "%next: f32[3,1] = add %w, %w\n"
                           "init() {\n"
                           "  %w := %zero\n"
                           "}\n"
                           "fn step(%x, %y) -> (%loss) {\n"
                           "  %w := %next\n"
                           "}\n"
                           "fn predict(%x) -> (%prediction)\n";

/* All files lie in the folder of the test program, where it then is: messages have short names. */
static void begin(void)
{
    static bool begun;
    if (begun)
        return;
    begun = true;
    const char *here = temp_path("x.npy");
    char folder[512];
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(here, '/') - here), here);
    ck_assert_int_eq(chdir(folder), 0);
    write_tensor("x.npy", ND_F32, ND_SHAPE(2, 3), (float[]){1, 2, 3, 4, 5, 6});
    write_tensor("x1.npy", ND_F32, ND_SHAPE(1, 3), (float[]){1, 2, 3});
    write_tensor("y.npy", ND_F32, ND_SHAPE(2, 1), (float[]){3, 7});
    write_tensor("d.npy", ND_F64, ND_SHAPE(3), (double[]){0.5, 1, 2});
    write_tensor("i.npy", ND_I32, ND_SHAPE(3), (int32_t[]){1, 2, 3});
    write_tensor("c.npy", ND_BOOL, ND_SHAPE(3), (uint8_t[]){1, 0, 1});
    temp_write("line.nd", line, sizeof line - 1);
    temp_write("bad.nd", "nadir 1\nmodule bad\n%a: f32 = input\n%b: f32 = exq %a\n", 52);
    char *whole = temp_read("x.npy");
    temp_write("short.npy", whole, 140);
    free(whole);
    temp_write("text.npy", "no array", 8);
}

/* -- eval --------------------------------------------------------------------------------------------------------- */

START_TEST(eval_calculates)
{
    PRINTS("value i32 3\n", "eval", "1 + 2");
    PRINTS("value f32 -9\n", "eval", "--", "-3.0**2");
    PRINTS("value f32[3,2]\n[[1 4]\n [2 5]\n [3 6]]\n", "eval", "x.T", "--in", "x=x.npy");
    PRINTS("value f64 3.5\ngrad.d f64[3] [1 1 1]\n", "eval", "sum(d)", "--in=d=d.npy", "--grad", "d");
    PRINTS("value f64 5.25\ngrad.d f64[3] [1 2 4]\ngrad.e f64[3] [0 0 0]\n", "eval", "sum(d * d)", "--grad=d,e", "--in",
           "d=d.npy", "--in", "e=d.npy", "--interp");
    PRINTS("value f64 2.5\ngrad.d f64[3] [1 0 1]\ncompiled and interpreted: the same bits\n", "eval",
           "sum(where(c & (i != 2), d, 0))", "--in", "d=d.npy", "--in", "i=i.npy", "--in", "c=c.npy", "--grad", "d",
           "--check");
}
END_TEST

START_TEST(eval_writes_results)
{
    PRINTS("value f64 3.5\ngrad.d f64[3] [1 1 1]\n", "eval", "sum(d)", "--in", "d=d.npy", "--grad", "d", "--out",
           "results");
    nd_tensor *value = nd_npy_read("results/value.npy"), *grad = nd_npy_read("results/grad.d.npy");
    ck_assert_int_eq(nd_tensor_dtype(value), ND_F64);
    ck_assert(nd_tensor_rank(value) == 0 && nd_tensor_get(value, 0) == 3.5);
    ck_assert(nd_tensor_count(grad) == 3 && nd_tensor_get(grad, 2) == 1);
    nd_tensor_destroy(value);
    nd_tensor_destroy(grad);
    PRINTS("value i32 1\n", "eval", "1", "--out", "results"); /* a folder that is there */
}
END_TEST

/* -- graphs in files ---------------------------------------------------------------------------------------------- */

START_TEST(run_calls_a_function)
{
    PRINTS("loss f32 0.25\n", "run", "line.nd", "step", "--in", "x=x.npy", "--in", "y=y.npy");
    PRINTS("prediction f32[2,1]\n[[3. ]\n [7.5]]\n", "run", "line.nd", "predict", "--in", "x=x.npy", "--interp");
    PRINTS("prediction f32[1,1]\n[[3]]\n", "run", "line.nd", "predict", "--in", "x=x1.npy", "--bind", "B=1");
    PRINTS("loss f32 0.25\ncompiled and interpreted: the same bits\n", "run", "line.nd", "step", "--in", "x=x.npy",
           "--in", "y=y.npy", "--check");
}
END_TEST

/* step doubles w. */
START_TEST(run_keeps_variables_in_a_file)
{
    PRINTS("loss f32 0.25\n", "run", "line.nd", "step", "--in", "x=x.npy", "--in", "y=y.npy", "--save",
           "w.safetensors");
    PRINTS("prediction f32[1,1]\n[[6]]\n", "run", "line.nd", "predict", "--in", "x=x1.npy", "--bind", "B=1", "--load",
           "w.safetensors", "--out", "predicted");
    nd_tensor *t = nd_npy_read("predicted/prediction.npy");
    ck_assert(nd_tensor_get(t, 0) == 6);
    nd_tensor_destroy(t);
}
END_TEST

START_TEST(print_reads_back)
{
    ck_assert_int_eq(NADIR("print", "line.nd"), 0);
    char first[ROOM];
    strcpy(first, out);
    ck_assert_ptr_nonnull(strstr(first, "fn step(%x, %y) -> (%loss)"));
    temp_write("again.nd", first, strlen(first));
    PRINTS(first, "print", "again.nd");
}
END_TEST

START_TEST(dot_draws)
{
    ck_assert_int_eq(NADIR("dot", "line.nd"), 0);
    ck_assert_ptr_nonnull(strstr(out, "digraph"));
    ck_assert_ptr_nonnull(strstr(out, "matmul"));
}
END_TEST

START_TEST(grad_is_a_graph)
{
    ck_assert_int_eq(NADIR("grad", "line.nd", "--of", "loss", "--by", "w"), 0);
    ck_assert_ptr_nonnull(strstr(out, "fn grad(%x, %y) -> ("));
    ck_assert_ptr_null(strstr(out, "fn step"));
    temp_write("grad.nd", out, strlen(out));
    ck_assert_int_eq(NADIR("run", "grad.nd", "--in", "x=x.npy", "--in", "y=y.npy", "--check"), 0);
    ck_assert_msg(strstr(out, "f32[3,1]\n[[4]\n [5]\n [6]]") != NULL, "%s", out);
    ck_assert_int_eq(NADIR("grad", "line.nd", "--of", "sum(w * w)", "--by", "w,x"), 0);
    ck_assert_ptr_nonnull(strstr(out, "fn grad("));
}
END_TEST

START_TEST(plan_shows_kernels)
{
    ck_assert_int_eq(NADIR("plan", "line.nd"), 0);
    ck_assert_str_eq(err, "");
    ck_assert_ptr_nonnull(strstr(out, "plan of step"));
    ck_assert_ptr_nonnull(strstr(out, "plan of predict"));
    ck_assert_ptr_null(strstr(out, "\nkernel "));
    ck_assert_int_eq(NADIR("plan", "line.nd", "predict", "--kernels", "--bind", "B=5", "--cpu", "x86-64"), 0);
    ck_assert_ptr_null(strstr(out, "plan of step"));
    ck_assert_ptr_nonnull(strstr(out, "kernel "));
}
END_TEST

static bool is_there(const char *path, const char *text)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return false;
    char whole[ROOM];
    read_all(f, whole);
    return strstr(whole, text);
}

START_TEST(compile_writes_files)
{
    PRINTS("", "compile", "line.nd", "--emit", "obj,header", "--cpu", "x86-64-v3", "-o", "compiled");
    ck_assert(is_there("compiled.h", "line_step") && is_there("compiled.o", "ELF"));
    PRINTS("", "compile", "line.nd", "--prefix", "straight");
    ck_assert(is_there("line.h", "straight_step") && is_there("line.o", "ELF"));
    ck_assert_int_eq(NADIR("compile", "line.nd", "--prefix", "9 lines"), ND__EXIT_INPUT);
    ck_assert_ptr_nonnull(strstr(err, "the prefix \"9 lines\" is no C name"));
    PRINTS("", "compile", "line.nd", "--emit", "llvm,kernels", "-o", "looked_at");
    ck_assert(is_there("looked_at.ll", "define") && is_there("looked_at.kernels", "kernel "));
    ck_assert(!is_there("looked_at.o", ""));
}
END_TEST

START_TEST(bench_has_a_line_for_each)
{
    ck_assert_int_eq(NADIR("bench", "line.nd", "--seconds", "0"), 0);
    ck_assert_str_eq(err, "");
    ck_assert_ptr_nonnull(strstr(out, "\nstep "));
    ck_assert_ptr_nonnull(strstr(out, "\npredict "));
    ck_assert_ptr_nonnull(strstr(out, "\nan empty function: "));
    ck_assert_ptr_null(strstr(out, "init"));
    ck_assert_int_eq(NADIR("bench", "line.nd", "--seconds", "0", "--threads", "2"), 0);
    ck_assert_ptr_nonnull(strstr(out, " compiled   2 threads "));
    ck_assert_int_eq(NADIR("bench", "line.nd", "--threads", "0"), ND__EXIT_INPUT);
    ck_assert_int_eq(NADIR("bench", "line.nd", "predict", "--seconds", "0", "--kernels"), 0);
    ck_assert_str_eq(err, "");
    ck_assert_ptr_null(strstr(out, "\nstep "));
    ck_assert_ptr_nonnull(strstr(out, "\npredict, step by step\n"));
    ck_assert_ptr_nonnull(strstr(out, "  prediction matmul  lanes="));
}
END_TEST

START_TEST(tuning_goes_to_a_file)
{
    PRINTS("", "compile", "line.nd", "-o", "tuned", "--tune-file", "line.tune", "--tune", "1");
    ck_assert(is_there("line.tune", "nadir tuning 1"));
    PRINTS("", "compile", "line.nd", "-o", "tuned", "--tune-file", "line.tune");
    ck_assert_int_eq(NADIR("plan", "line.nd", "predict", "--tune-file", "line.tune"), 0);
    ck_assert_ptr_nonnull(strstr(out, "\n          lanes="));
    ck_assert_int_eq(NADIR("bench", "line.nd", "--tune", "1"), ND__EXIT_INPUT);
    ck_assert_str_eq(err, "nadir: tuning needs a file that keeps what it finds\n");
    ck_assert_int_eq(NADIR("bench", "line.nd", "--tune", "much"), ND__EXIT_INPUT);
    ck_assert_str_eq(err, "nadir: tuning takes a number of milliseconds from 0\n");
    ck_assert_int_eq(NADIR("plan", "line.nd", "--tune-file", "none.tune"), ND__EXIT_SYSTEM);
    ck_assert_str_eq(err, "nadir: none.tune: No such file or directory\n");
    temp_write("line.tune", "nadir tuning 1\nproduct\n", 23);
    ck_assert_int_eq(NADIR("compile", "line.nd", "--tune-file", "line.tune"), ND__EXIT_INPUT);
    ck_assert_str_eq(err, "nadir: line.tune:2: expected \"KERNEL: CHOICE\", got \"product\"\n");
}
END_TEST

/* -- checking ----------------------------------------------------------------------------------------------------- */

START_TEST(check_shows_what_differs)
{
    const nd__command command = {.name = "run"};
    FILE *to = tmpfile(), *errors = tmpfile();
    nd__words words = {.command = &command, .out = to, .err = errors};
    nd_module *m = nd_module_create("check");
    nd_function(m, "f", ND_VALUES(), ND_VALUES(nd_filled(m, ND_F32, ND_SHAPE(3), 0)));
    nd__given none = {0};
    nd__run a, b;
    ck_assert_int_eq(nd__run_once(&words, m, "f", &none, true, &a), 0);
    ck_assert_int_eq(nd__run_once(&words, m, "f", &none, true, &b), 0);
    ck_assert_int_eq(nd__run_compare(&words, &a, &b), ND__EXIT_OK);
    nd_tensor_set(b.out[0], 1, -0.0);
    ck_assert_int_eq(nd__run_compare(&words, &a, &b), ND__EXIT_DIFFERS);
    nd__run_release(&a);
    nd__run_release(&b);
    nd_module_destroy(m);
    fclose(to);
    read_all(errors, err);
    ck_assert_str_eq(err, "nadir: out0 differs at element 1: 0 (0x0p+0) compiled, -0 (-0x0p+0) interpreted\n");
}
END_TEST

/* -- help --------------------------------------------------------------------------------------------------------- */

START_TEST(help_names_everything)
{
    static const char *const names[] = {"print", "dot", "grad", "plan", "run", "eval", "compile", "bench"};
    ck_assert_int_eq(NADIR("--help"), 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char text[64];
        snprintf(text, sizeof text, "\n  %s ", names[i]);
        ck_assert_int_eq(NADIR("--help"), 0);
        ck_assert_ptr_nonnull(strstr(out, text));
        ck_assert_int_eq(NADIR(names[i], "--help"), 0);
        char whole[ROOM];
        strcpy(whole, out);
        snprintf(text, sizeof text, "Usage: nadir %s ", names[i]);
        ck_assert_ptr_nonnull(strstr(whole, text));
        ck_assert_ptr_nonnull(strstr(whole, "Exit codes:"));
        PRINTS(whole, "help", names[i]);
    }
    ck_assert_int_eq(NADIR("--version"), 0);
    ck_assert_int_eq(strncmp(out, "nadir ", 6), 0);
}
END_TEST

/* -- messages ----------------------------------------------------------------------------------------------------- */

static const struct {
    const char *words[8];
    int code;
    const char *err;
} bad[] = {
    /* words */
    {{NULL}, 2, "nadir: expected a command; nadir --help lists them\n"},
    {{"evaal"}, 2, "nadir: there is no command 'evaal'; did you mean 'eval'?\nnadir --help lists them\n"},
    {{"help", "xyzzyx"}, 2, "nadir: there is no command 'xyzzyx'\nnadir --help lists them\n"},
    {{"eval"}, 2, "nadir eval: expected FORMULA, got 0 words\nnadir eval --help says more\n"},
    {{"eval", "1", "2"}, 2, "nadir eval: expected FORMULA, got 2 words\nnadir eval --help says more\n"},
    {{"eval", "1", "--chek"},
     2,
     "nadir eval: there is no option --chek; did you mean --check?\nnadir eval --help says more\n"},
    {{"eval", "-x"},
     2,
     "nadir eval: there is no option -x; behind -- a word that begins with - is no option\nnadir eval --help says "
     "more\n"},
    {{"eval", "1", "--in"}, 2, "nadir eval: --in needs a value: --in NAME=FILE\nnadir eval --help says more\n"},
    {{"eval", "1", "--check=yes"}, 2, "nadir eval: --check takes no value\nnadir eval --help says more\n"},
    {{"eval", "1", "--in", "x"}, 2, "nadir eval: --in x: expected NAME=FILE\nnadir eval --help says more\n"},
    {{"eval", "x", "--in", "x=x.npy", "--in", "x=y.npy"},
     2,
     "nadir eval: --in x=y.npy: that name is given twice\nnadir eval --help says more\n"},
    {{"eval", "x", "--in", "x=x.npy", "--grad", "z"},
     2,
     "nadir eval: --grad: no input is named 'z'\nnadir eval --help says more\n"},
    {{"grad", "line.nd", "--of", "loss"},
     2,
     "nadir grad: expected --of VALUE and --by NAME,...\nnadir grad --help says more\n"},
    {{"bench", "line.nd", "--seconds", "soon"},
     2,
     "nadir bench: --seconds soon: expected a number from 0 to 3600\nnadir bench --help says more\n"},
    {{"run", "line.nd", "predict", "--in", "x=x.npy", "--seed", "-1"},
     2,
     "nadir run: --seed -1: expected a number\nnadir run --help says more\n"},
    {{"compile", "line.nd", "--emit", "exe"},
     2,
     "nadir compile: --emit: there is no 'exe'; there is obj, header, kernels, llvm\nnadir compile --help says more\n"},
    {{"compile", "line.nd", "--emit", "obj"},
     2,
     "nadir compile: --emit: an object and its header are written together: obj,header\nnadir compile --help says "
     "more\n"},
    /* formulas */
    {{"eval", "1 +"}, 2, "nadir: formula: column 4: expected a value, got the end\n    1 +\n       ^\n"},
    {{"eval", "x @ x", "--in", "x=x.npy"},
     2,
     "nadir: matmul: inner sizes differ, f32[2,3] x f32[2,3]\n    x @ x\n      ^\n  note: operand 0 "},
    {{"eval", "i / 2", "--in", "i=i.npy"}, 2, "nadir: div: operand "},
    {{"eval", "x * 2", "--in", "x=x.npy", "--grad", "x"}, 2, "nadir: gradient: "},
    /* files */
    {{"eval", "x", "--in", "x=none.npy"}, 3, "nadir: none.npy: No such file or directory\n"},
    {{"eval", "x", "--in", "x=short.npy"}, 2, "nadir: short.npy: "},
    {{"eval", "x", "--in", "x=text.npy"}, 2, "nadir: text.npy: "},
    {{"eval", "1", "--out", "x.npy"}, 3, "nadir: x.npy: Not a directory\n"},
    {{"eval", "1", "--out", "none/below"}, 3, "nadir: none/below: No such file or directory\n"},
    {{"print", "none.nd"}, 3, "nadir: none.nd: No such file or directory\n"},
    {{"print", "bad.nd"}, 2, "nadir: bad.nd:4:11: unknown op 'exq'"},
    {{"compile", "line.nd", "-o", "none/line"}, 3, "nadir: none/line.h"},
    {{"compile", "line.nd", "--emit", "llvm", "-o", "none/line"},
     3,
     "nadir: none/line.ll: No such file or directory\n"},
    {{"compile", "line.nd", "--cpu", "abacus"}, 2, "nadir: "},
    {{"plan", "line.nd", "stap"}, 2, "nadir: \"line\" has no function \"stap\"\n"},
    /* functions */
    {{"run", "line.nd"}, 2, "nadir: which function? "},
    {{"run", "line.nd", "stap"}, 2, "nadir: there is no function 'stap'; there is "},
    {{"run", "line.nd", "predict"},
     2,
     "nadir run: the function predict needs --in x=FILE\nnadir run --help says more\n"},
    {{"run", "line.nd", "predict", "--in", "x=x.npy", "--in", "y=y.npy"},
     2,
     "nadir run: the function predict has no input 'y'\nnadir run --help says more\n"},
    {{"run", "line.nd", "predict", "--in", "x=x1.npy"},
     2,
     "nadir: predict: input 1 \"x\": expected f32[2,3], got f32[1,3]\n  note: B is 2; --bind B=N makes it another "
     "number\n"},
    {{"run", "line.nd", "predict", "--in", "x=x.npy", "--bind", "C=2"},
     2,
     "nadir: bind \"C=2\": no such dimension; the dimensions of \"line\" are B=2\n"},
    {{"run", "line.nd", "predict", "--in", "x=x.npy", "--load", "x.npy"}, 2, "nadir: x.npy: "},
    {{"bench", "line.nd", "stap"}, 2, "nadir: there is no function 'stap'\n"},
    {{"grad", "line.nd", "--of", "los", "--by", "w"},
     2,
     "nadir: --of: formula: column 1: no value is named 'los'; did you mean 'loss'?\n    los\n    ^\n"},
    {{"grad", "line.nd", "--of", "loss", "--by", "v"}, 2, "nadir: --by: no value is named 'v'\n"},
};

/* Messages that other parts make are looked at by their beginning; their whole is tested there. */
START_TEST(mistakes_are_shown)
{
    const char *expected = bad[_i].err;
    size_t n = strlen(expected);
    int code = nadir(bad[_i].words);
    bool whole = expected[n - 1] == '\n';
    ck_assert_msg(whole ? strcmp(err, expected) == 0 : strncmp(err, expected, n) == 0, "\n%sexpected\n%s", err,
                  expected);
    ck_assert_str_eq(out, "");
    ck_assert_int_eq(code, bad[_i].code);
}
END_TEST

START_TEST(a_full_disk_is_told)
{
    FILE *full = fopen("/dev/full", "w"), *errors = tmpfile();
    if (!full)
        return; /* a system without such a thing */
    ck_assert_int_eq(nd__cli(2, (char *const[]){"eval", "1"}, full, errors), ND__EXIT_SYSTEM);
    fclose(full);
    read_all(errors, err);
    ck_assert_str_eq(err, "nadir: standard output: No space left on device\n");
}
END_TEST

START_TEST(every_allocation_may_fail)
{
    char *const words[] = {"eval", "sum(x * 2)", "--in", "x=x.npy", "--grad", "x", "--interp"};
    bool failed = true;
    for (int n = 0; failed; n++) {
        FILE *to = tmpfile(), *errors = tmpfile();
        setvbuf(to, NULL, _IONBF, 0);
        failing_alloc_begin(n);
        int code = nd__cli(7, words, to, errors);
        failed = failing_alloc_end();
        ck_assert_int_eq(failing_alloc_held(), 0);
        fclose(to);
        read_all(errors, err);
        ck_assert_msg(code == (failed ? ND__EXIT_SYSTEM : ND__EXIT_OK), "allocation %d: %d %s", n, code, err);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cli");
    TCase *t = tcase_create("cli");
    tcase_add_checked_fixture(t, begin, NULL);
    tcase_add_test(t, eval_calculates);
    tcase_add_test(t, eval_writes_results);
    tcase_add_test(t, run_calls_a_function);
    tcase_add_test(t, run_keeps_variables_in_a_file);
    tcase_add_test(t, print_reads_back);
    tcase_add_test(t, dot_draws);
    tcase_add_test(t, grad_is_a_graph);
    tcase_add_test(t, plan_shows_kernels);
    tcase_add_test(t, compile_writes_files);
    tcase_add_test(t, bench_has_a_line_for_each);
    tcase_add_test(t, tuning_goes_to_a_file);
    tcase_add_test(t, check_shows_what_differs);
    tcase_add_test(t, help_names_everything);
    tcase_add_loop_test(t, mistakes_are_shown, 0, sizeof bad / sizeof *bad);
    tcase_add_test(t, a_full_disk_is_told);
    tcase_add_test(t, every_allocation_may_fail);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
