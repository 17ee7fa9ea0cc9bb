/* Objects and headers ahead of time: a C program of its own against the evaluator, bit by bit; names. */
#include "failing_alloc.h"
#include "kernel_fixture.h"
#include "kplan.h"
#include "native_check.h"
#include "run_suite.h"
#include "temp_dir.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define SEED UINT64_C(0x1122334455667788)
enum { N = 8, STEPS = 3 };

static char message[1000];
static const char *tests_dir; /* where the sources are */

/* -- a model of two functions and four variables ---------------------------------------------------------------------
 */

static const nd_program_variable_info variables[] = {
    {{"hidden/w", ND_F32, {2, {2, 4}}}, 0, true},
    {{"int", ND_F64, {0, {0}}}, 64, true},
    {{"nothing", ND_F32, {1, {0}}}, 128, false},
    {{"flags", ND_BOOL, {1, {3}}}, 128, false},
};
enum { STATE_SIZE = 192 };
static const nd_port init_inputs[] = {{"seed", ND_U32, {1, {2}}}};
static const nd_port step_inputs[] = {{"x", ND_F32, {1, {N}}}, {"state", ND_I64, {0, {0}}}};
static const nd_port step_outputs[] = {{"loss", ND_F32, {1, {N}}}, {"x", ND_F64, {0, {0}}}};
static const int init_updates[] = {0, 1}, step_updates[] = {0}, step_reads[] = {0, 1};
static const nd_program_function_info functions[] = {
    {"init", 1, 0, 0, 2, init_inputs, NULL, NULL, init_updates, 0, NULL},
    {"train.step", 2, 2, 2, 1, step_inputs, step_outputs, step_reads, step_updates, 64, NULL},
};
static const nd_program_info info = {2, 4, functions, variables, STATE_SIZE, 7, NULL, NULL, NULL, NULL, 0, NULL, NULL};

/* w[i] = f32(word 0 + i) / f32(word 1), scale = f64(word 1) / 3 */
static nd__plan *init_plan(void)
{
    nd__kbuilder b;
    nd__kernel *k = start("fill", &b);
    int32_t seed = nd__k_buffer(k, "seed", ND_U32, ND__K_IN, 2, 4), w = nd__k_buffer(k, "w", ND_F32, ND__K_OUT, N, 64);
    int32_t scale = nd__k_buffer(k, "scale", ND_F64, ND__K_OUT, 1, 64);
    nd__kval low = nd__k_splat(&b, nd__k_load(&b, seed, nd__k_at(0), 1, 1, 1), N),
             high = nd__k_load(&b, seed, nd__k_at(1), 1, 1, 1);
    nd__kval words = nd__k_op2(&b, ND__K_add, low, nd__k_index(&b, nd__k_type(ND_U32, N), nd__k_at(0), 1));
    nd__kval y =
        nd__k_op2(&b, ND__K_div, nd__k_convert(&b, ND_F32, words), nd__k_splat(&b, nd__k_convert(&b, ND_F32, high), N));
    nd__k_store(&b, w, nd__k_at(0), y, 1, N);
    nd__kval third = nd__k_const(&b, nd__k_type(ND_F64, 1), 3);
    nd__k_store(&b, scale, nd__k_at(0), nd__k_op2(&b, ND__K_div, nd__k_convert(&b, ND_F64, high), third), 1, 1);
    nd__plan *p = kplan_create(&arena, "init");
    int in = kplan_buffer(p, ND__IN_INPUT, ND_U32, 2, 0), to = kplan_buffer(p, ND__IN_STATE, ND_F32, N, 0);
    int number = kplan_buffer(p, ND__IN_STATE, ND_F64, 1, 64);
    kplan_run(p, &p->steps, k, (nd__karg[]){{.buffer = in}, {.buffer = to}, {.buffer = number}});
    return p;
}

/* w = fma(x, floor(scale), w) by way of the arena, loss = w sqrt(x), second output = fma(scale, scale, f64(state)) */
static nd__plan *step_plan(void)
{
    nd__kbuilder b;
    nd__kernel *k = start("update", &b);
    int32_t x = nd__k_buffer(k, "x", ND_F32, ND__K_IN, N, 4), scale = nd__k_buffer(k, "scale", ND_F64, ND__K_IN, 1, 8);
    int32_t s = nd__k_buffer(k, "s", ND_I64, ND__K_IN, 1, 8), w = nd__k_buffer(k, "w", ND_F32, ND__K_INOUT, N, 64);
    int32_t t = nd__k_buffer(k, "t", ND_F32, ND__K_SCRATCH, N, 64),
            loss = nd__k_buffer(k, "loss", ND_F32, ND__K_OUT, N, 4);
    int32_t out = nd__k_buffer(k, "out", ND_F64, ND__K_OUT, 1, 8);
    nd__kval factor = nd__k_load(&b, scale, nd__k_at(0), 1, 1, 1), xs = nd__k_load(&b, x, nd__k_at(0), N, 1, N);
    nd__kval whole = nd__k_splat(&b, nd__k_convert(&b, ND_F32, nd__k_op1(&b, ND__K_floor, factor)), N);
    nd__kval next = nd__k_op3(&b, ND__K_fma, xs, whole, nd__k_load(&b, w, nd__k_at(0), N, 1, N));
    nd__k_store(&b, t, nd__k_at(0), next, 1, N);
    nd__kval again = nd__k_load(&b, t, nd__k_at(0), N, 1, N);
    nd__k_store(&b, w, nd__k_at(0), again, 1, N);
    nd__k_store(&b, loss, nd__k_at(0), nd__k_op2(&b, ND__K_mul, again, nd__k_op1(&b, ND__K_sqrt, xs)), 1, N);
    nd__kval number = nd__k_convert(&b, ND_F64, nd__k_load(&b, s, nd__k_at(0), 1, 1, 1));
    nd__k_store(&b, out, nd__k_at(0), nd__k_op3(&b, ND__K_fma, factor, factor, number), 1, 1);
    nd__plan *p = kplan_create(&arena, "train.step");
    nd__karg args[] = {{.buffer = kplan_buffer(p, ND__IN_INPUT, ND_F32, N, 0)},
                       {.buffer = kplan_buffer(p, ND__IN_STATE, ND_F64, 1, 64)},
                       {.buffer = kplan_buffer(p, ND__IN_INPUT, ND_I64, 1, 1)},
                       {.buffer = kplan_buffer(p, ND__IN_STATE, ND_F32, N, 0)},
                       {.buffer = kplan_buffer(p, ND__IN_ARENA, ND_F32, N, 0)},
                       {.buffer = kplan_buffer(p, ND__IN_OUTPUT, ND_F32, N, 0)},
                       {.buffer = kplan_buffer(p, ND__IN_OUTPUT, ND_F64, 1, 1)}};
    kplan_run(p, &p->steps, k, args);
    return p;
}

/* Writes NAME.o and NAME.h for some processors; gives the header's path. */
static const char *write_variants(const char *name, int count, const char *const *cpus, const char *prefix)
{
    char file[64];
    const nd__plan *plans[] = {init_plan(), step_plan()};
    nd__target targets[ND__MAX_VARIANTS];
    nd__variant variants[ND__MAX_VARIANTS];
    for (int v = 0; v < count; v++) {
        ck_assert_int_eq(nd__target_find(cpus[v], &targets[v], message, sizeof message), ND_OK);
        variants[v] = (nd__variant){&targets[v], plans};
    }
    snprintf(file, sizeof file, "%s.o", name);
    nd_status status = nd__object_write(variants, count, 2, prefix, temp_path(file), message, sizeof message);
    ck_assert_msg(status == ND_OK, "%s", message);
    snprintf(file, sizeof file, "%s.h", name);
    const char *path = temp_path(file);
    FILE *out = fopen(path, "w");
    ck_assert_ptr_nonnull(out);
    status = nd__header_write(&info, variants, count, prefix, out, message, sizeof message);
    ck_assert_msg(status == ND_OK, "%s", message);
    ck_assert_int_eq(fclose(out), 0);
    return path;
}

static const char *write_model(const char *name, const char *cpu, const char *prefix)
{
    return write_variants(name, 1, &cpu, prefix);
}

/* -- the compiler of the house ---------------------------------------------------------------------------------------
 */

static bool have(const char *command)
{
    char line[200];
    snprintf(line, sizeof line, "%s --version > /dev/null 2>&1", command);
    if (system(line) == 0)
        return true;
    printf("skipped: there is no %s\n", command);
    return false;
}

/* Runs it in the folder of the files; its output becomes part of the failure. Gives the output; free() it. */
static char *shell(const char *command)
{
    char line[1000], place[500];
    snprintf(place, sizeof place, "%s", temp_path("."));
    snprintf(line, sizeof line, "cd '%s' && { %s; } > said 2>&1", place, command);
    int status = system(line);
    char *said = temp_read(temp_path("said"));
    ck_assert_msg(status == 0, "%s\n%s", command, said);
    return said;
}

static const char main_c[] = "#include \"model.h\"\n"
                             "#include <stdio.h>\n"
                             "static struct model_state state;\n"
                             "static _Alignas(64) char arena[MODEL_ARENA_SIZE(1)];\n"
                             "int main(void)\n"
                             "{\n"
                             "    float x[8], loss[8];\n"
                             "    double number;\n"
                             "    int64_t steps = 5;\n"
                             "    for (int i = 0; i < 8; i++)\n"
                             "        x[i] = (float)i * 0.3f;\n"
                             "    model_init(&state, arena, UINT64_C(0x1122334455667788));\n"
                             "    for (int i = 0; i < 3; i++)\n"
                             "        model_train_step(&state, arena, x, &steps, loss, &number);\n"
                             "    fwrite(state.hidden_w, sizeof state.hidden_w, 1, stdout);\n"
                             "    fwrite(&state.int_, sizeof state.int_, 1, stdout);\n"
                             "    fwrite(loss, sizeof loss, 1, stdout);\n"
                             "    fwrite(&number, sizeof number, 1, stdout);\n"
                             "    return sizeof state.flags == 3 ? 0 : 1;\n"
                             "}\n";

/* Links main.c with model.o, runs it, looks at what it wrote. */
static void runs_as_evaluated(void)
{
    temp_write("main.c", main_c, sizeof main_c - 1);
    free(shell("cc -std=c11 -Wall -Wextra -Wpedantic -Werror main.c model.o -lm -o main"));
    char *said = shell("./main");

    _Alignas(64) unsigned char state[STATE_SIZE] = {0}, scratch[64];
    uint32_t seed[2] = {(uint32_t)SEED, (uint32_t)(SEED >> 32)};
    float x[N], loss[N];
    double number;
    int64_t steps = 5;
    for (int i = 0; i < N; i++)
        x[i] = (float)i * 0.3f;
    ck_assert(!kplan_eval(init_plan(), state, scratch, (const void *[]){seed}, NULL, message, sizeof message));
    for (int i = 0; i < STEPS; i++)
        ck_assert(!kplan_eval(step_plan(), state, scratch, (const void *[]){x, &steps}, (void *[]){loss, &number},
                              message, sizeof message));
    ck_assert_mem_eq(said, state, 32);
    ck_assert_mem_eq(said + 32, state + 64, 8);
    ck_assert_mem_eq(said + 40, loss, sizeof loss);
    ck_assert_mem_eq(said + 40 + sizeof loss, &number, sizeof number);
    free(said);
}
END_TEST

START_TEST(program_of_its_own)
{
    const char *cpu = native_cpu(_i);
    if (!cpu || !have("cc"))
        return;
    write_model("model", cpu, "model");
    runs_as_evaluated();
}
END_TEST

static const char *const levels[] = {"x86-64", "x86-64-v2", "x86-64-v3", "x86-64-v4"};

/* The levels whose bits are set. */
static int levels_of(int set, const char **cpus)
{
    int count = 0;
    for (int i = 0; i < 4; i++)
        if (set >> i & 1)
            cpus[count++] = levels[i];
    return count;
}

/* Whether code that is at least for the lowest of these levels runs here. */
static bool lowest_runs(int set)
{
    int lowest = 0;
    while (!(set >> lowest & 1))
        lowest++;
    return native_cpu(lowest);
}

START_TEST(several_in_one_object)
{
    const char *cpus[4];
    int count = levels_of(_i, cpus);
    if (!have("cc") || !lowest_runs(_i))
        return;
    write_variants("model", count, cpus, "model");
    runs_as_evaluated();
}
END_TEST

/* out = number */
static nd__plan *number_plan(int number)
{
    nd__kbuilder b;
    nd__kernel *k = start("number", &b);
    int32_t out = nd__k_buffer(k, "out", ND_I32, ND__K_OUT, 1, 4);
    nd__k_store(&b, out, nd__k_at(0), nd__k_const(&b, nd__k_type(ND_I32, 1), (uint64_t)number), 1, 1);
    nd__plan *p = kplan_create(&arena, "number");
    kplan_run(p, &p->steps, k, (nd__karg[]){{.buffer = kplan_buffer(p, ND__IN_OUTPUT, ND_I32, 1, 0)}});
    return p;
}

/* What cpuid says is kept under a name that no C has: renamed, it can be looked at and changed. */
START_TEST(chosen_at_the_first_call)
{
    static const char main_of_choice[] = "#include <stdio.h>\n"
                                         "extern int chosen;\n"
                                         "void m_number(void *state, void *arena, int *out);\n"
                                         "int main(void)\n"
                                         "{\n"
                                         "    int here, before = chosen, out;\n"
                                         "    m_number(0, 0, &out);\n"
                                         "    here = chosen;\n"
                                         "    printf(\"%d %d:\", before, here);\n"
                                         "    for (chosen = 1; chosen <= here; chosen++) {\n"
                                         "        m_number(0, 0, &out);\n"
                                         "        printf(\" %d\", out);\n"
                                         "    }\n"
                                         "    return 0;\n"
                                         "}\n";
    const char *cpus[4];
    int count = levels_of(_i, cpus), here = 0;
    nd__target targets[4];
    nd__variant variants[4];
    const nd__plan *plans[4];
    if (count < 2 || !have("cc") || !have("objcopy") || !lowest_runs(_i))
        return;
    while (native_cpu(here))
        here++;
    for (int v = 0; v < count; v++) {
        ck_assert_int_eq(nd__target_find(cpus[v], &targets[v], message, sizeof message), ND_OK);
        plans[v] = number_plan(nd__target_level(&targets[v]));
        variants[v] = (nd__variant){&targets[v], &plans[v]};
    }
    nd_status status = nd__object_write(variants, count, 1, "m", temp_path("m.o"), message, sizeof message);
    ck_assert_msg(status == ND_OK, "%s", message);
    temp_write("main.c", main_of_choice, sizeof main_of_choice - 1);
    free(shell("objcopy --redefine-sym 'nadir level known=chosen' --globalize-symbol=chosen m.o"));
    free(shell("cc -std=c11 main.c m.o -o main"));
    char *said = shell("./main"), expected[64];
    int n = snprintf(expected, sizeof expected, "0 %d:", here);
    for (int level = 1; level <= here; level++) {
        int best = level; /* the highest of the set up to here; else the lowest */
        while (best > 0 && !(_i >> (best - 1) & 1))
            best--;
        while (!best || !(_i >> (best - 1) & 1))
            best++;
        n += snprintf(expected + n, sizeof expected - (size_t)n, " %d", best);
    }
    ck_assert_msg(!strcmp(said, expected), "levels %d: %s, expected %s", _i, said, expected);
    free(said);
}
END_TEST

/* Alone and beside the runtime's header, in C and C++. */
START_TEST(headers_stand_alone)
{
    static const char user[] = "#include \"model.h\"\n#include \"model.h\"\nstruct model_state model;\n";
    static const char beside[] = "#include \"nadir/program.h\"\n#include \"model.h\"\n"
                                 "const nd_program_info *info(void);\n"
                                 "const nd_program_info *info(void) { return &model_info; }\n";
    char line[900];
    write_model("model", "x86-64", "model");
    temp_write("user.c", user, sizeof user - 1), temp_write("user.cpp", user, sizeof user - 1);
    temp_write("beside.c", beside, sizeof beside - 1), temp_write("beside.cpp", beside, sizeof beside - 1);
    for (int i = 0; i < 2; i++) {
        const char *command = i ? "c++ -std=c++17" : "cc -std=c11";
        if (!have(i ? "c++" : "cc"))
            continue;
        snprintf(line, sizeof line, "%s -Wall -Wextra -Wpedantic -Wshadow -Werror -I'%s/../include' -c user.%s",
                 command, tests_dir, i ? "cpp" : "c");
        free(shell(line));
        snprintf(line, sizeof line, "%s -Wall -Wextra -Wpedantic -Wshadow -Werror -I'%s/../include' -c beside.%s",
                 command, tests_dir, i ? "cpp" : "c");
        free(shell(line));
    }
}
END_TEST

START_TEST(needs_no_library)
{
    if (!have("nm"))
        return;
    for (int i = 0; native_cpu(i); i++) {
        write_model("model", native_cpu(i), "model");
        char *said = shell("nm -u model.o | grep -v -E ' (memcpy|memset)$' || true");
        ck_assert_msg(!*said, "%s: %s", native_cpu(i), said);
        free(said);
        said = shell("nm -g --defined-only model.o | sed 's/.* //' | sort | tr '\\n' ' '");
        ck_assert_str_eq(said, "model_init model_init_entry model_train_step model_train_step_entry ");
        free(said);
    }
    write_variants("model", 4, levels, "model");
    char *said = shell("nm -u model.o | grep -v -E ' (memcpy|memset)$' || true");
    ck_assert_str_eq(said, "");
    free(said);
    said = shell("nm -g --defined-only model.o | sed 's/.* //' | sort | tr '\\n' ' '");
    ck_assert_str_eq(said, "model_init model_init_entry model_train_step model_train_step_entry ");
    free(said);
    for (int i = 0; i < 4; i++) { /* each level's code, under its name */
        char line[100];
        snprintf(line, sizeof line, "nm model.o | grep -c 'model_train_step_entry.%s$'", levels[i]);
        said = shell(line);
        ck_assert_str_eq(said, "1\n");
        free(said);
    }
}
END_TEST

START_TEST(header_says_what_it_is)
{
    char *text = temp_read(write_model("model", "x86-64-v3", "my-model"));
    static const char *const lines[] = {
        "/* my_model: a model compiled ahead of time by Nadir for x86-64-v3.",
        "    MY_MODEL_ALIGNED float hidden_w[8]; /* f32[2,4] \"hidden/w\" */\n",
        "    unsigned char _pad0[32];\n    double int_; /* f64 \"int\" */\n",
        "    /* nothing: f32[0], not set by init */\n",
        "    uint8_t flags[3]; /* bool[3], not set by init */\n",
        "#define MY_MODEL_ARENA_SIZE(workers) ((size_t)(workers) * 0 + 64)\n",
        "void my_model_init(struct my_model_state *state, void *arena, uint64_t seed);\n",
        " *   in  state_: i64\n",
        " *   reads hidden_w, int_\n *   sets hidden_w\n",
        "void my_model_train_step(struct my_model_state *state, void *arena, const float *x, const int64_t *state_, "
        "float *loss, "
        "double *x_);\n",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        ck_assert_msg(strstr(text, lines[i]), "%s\nis not in\n%s", lines[i], text);
    free(text);
}
END_TEST

/* -- what cannot be ----------------------------------------------------------------------------------------------- */

static void refuses(const nd_program_info *of, const char *expected)
{
    nd__target target;
    FILE *out = tmpfile();
    ck_assert_ptr_nonnull(out);
    ck_assert_int_eq(nd__target_find("x86-64", &target, message, sizeof message), ND_OK);
    ck_assert_int_eq(nd__header_write(of, &(nd__variant){&target, NULL}, 1, "m", out, message, sizeof message),
                     ND_ERR_ARGUMENT);
    ck_assert_str_eq(message, expected);
    ck_assert_int_eq(ftell(out), 0);
    fclose(out);
}

/* Two plans of those names, into memory. */
static void object_refuses(const char *one, const char *two, const char *expected)
{
    const nd__plan *plans[] = {kplan_create(&arena, one), kplan_create(&arena, two)};
    nd__target target;
    void *bytes;
    size_t count;
    ck_assert_int_eq(nd__target_find("x86-64", &target, message, sizeof message), ND_OK);
    nd_status status =
        nd__object_bytes(&(nd__variant){&target, plans}, 1, 2, "m", &bytes, &count, message, sizeof message);
    ck_assert_int_eq(status, ND_ERR_ARGUMENT);
    ck_assert_str_eq(message, expected);
    ck_assert(!bytes && count == 0);
}

START_TEST(names_collide)
{
    nd_program_variable_info fields[] = {variables[0], variables[1]};
    nd_program_function_info calls[] = {functions[1], functions[1]};
    nd_program_info of = {0, 2, calls, fields, STATE_SIZE, 0, NULL, NULL, NULL, NULL, 0, NULL, NULL};
    fields[1].port.name = "hidden_w";
    refuses(
        &of,
        "the variables \"hidden/w\" and \"hidden_w\" would both be the field \"hidden_w\" of the C header; rename one");
    of.variable_count = 1, of.function_count = 2;
    calls[1].name = "train-step";
    refuses(&of, "the functions \"train.step\" and \"train-step\" would both define \"m_train_step\" in C; rename one");
    object_refuses(
        "train.step", "train-step",
        "the functions \"train.step\" and \"train-step\" would both define \"m_train_step\" in C; rename one");
    object_refuses("step_entry", "step",
                   "the functions \"step_entry\" and \"step\" would both define \"m_step_entry\" in C; rename one");
    object_refuses("step", "step_entry",
                   "the functions \"step\" and \"step_entry\" would both define \"m_step_entry\" in C; rename one");
    object_refuses("info", "step",
                   "the function \"info\" would be \"m_info\" in C, as the table of the header is; rename it");
}
END_TEST

START_TEST(unwritable_places)
{
    const nd__plan *plan = kplan_create(&arena, "step");
    nd__target target;
    ck_assert_int_eq(nd__target_find("x86-64", &target, message, sizeof message), ND_OK);
    nd_status status =
        nd__object_write(&(nd__variant){&target, &plan}, 1, 1, "m", "/nowhere/at/all/m.o", message, sizeof message);
    ck_assert_int_eq(status, ND_ERR_IO);
    ck_assert_str_eq(message, "/nowhere/at/all/m.o: No such file or directory");
}
END_TEST

START_TEST(memory_may_run_out)
{
    const nd__plan *plans[] = {init_plan(), step_plan()};
    const char *path = temp_path("model.o");
    nd__target target;
    FILE *out = tmpfile();
    ck_assert_ptr_nonnull(out);
    ck_assert_int_eq(nd__target_find("x86-64", &target, message, sizeof message), ND_OK);
    fputc(' ', out), rewind(out); /* its buffer is its own affair */
    int failures = 0;
    bool failed = true;
    for (int n = 0; failed; n++) {
        failing_alloc_begin(n);
        nd_status status = nd__object_write(&(nd__variant){&target, plans}, 1, 2, "m", path, message, sizeof message);
        if (status == ND_OK)
            status = nd__header_write(&info, &(nd__variant){&target, plans}, 1, "m", out, message, sizeof message);
        failed = failing_alloc_end();
        ck_assert_int_eq(failing_alloc_held(), 0);
        failures += status != ND_OK;
        ck_assert(failed || status == ND_OK);
        if (status != ND_OK)
            ck_assert_msg(status == ND_ERR_MEMORY && strstr(message, "memory"), "%s", message);
    }
    fclose(out);
#ifdef HAVE_WRAPPED_ALLOC
    ck_assert_int_ge(failures, 4);
#endif
}
END_TEST

int main(int argc, char **argv)
{
    tests_dir = argc > 1 ? argv[1] : "tests";
    Suite *suite = suite_create("object");
    TCase *tcase = tcase_create("object");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, begin, end);
    tcase_add_loop_test(tcase, program_of_its_own, 0, 4);
    tcase_add_loop_test(tcase, several_in_one_object, 1, 16);
    tcase_add_loop_test(tcase, chosen_at_the_first_call, 1, 16);
    tcase_add_test(tcase, headers_stand_alone);
    tcase_add_test(tcase, needs_no_library);
    tcase_add_test(tcase, header_says_what_it_is);
    tcase_add_test(tcase, names_collide);
    tcase_add_test(tcase, unwritable_places);
    tcase_add_test(tcase, memory_may_run_out);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
