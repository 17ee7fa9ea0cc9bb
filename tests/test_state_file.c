/* States in safetensors files: what is written, what is read, everything that is refused. */
#define _POSIX_C_SOURCE 200809L /* fork, kill */

#include "failing_alloc.h"
#include "nadir/program.h"
#include "run_suite.h"
#include "temp_dir.h"
#include "toy_program.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* -- a program with a variable of each dtype ---------------------------------------------------------------------- */

enum { KINDS = 7 };
static const char *const kind_names[KINDS] = {"flag", "byte", "layer/i32", "u32", "\"i64\"\\", "f\xC3\xBCnf", "f64"};
static const nd_dtype kinds[KINDS] = {ND_BOOL, ND_U8, ND_I32, ND_U32, ND_I64, ND_F32, ND_F64};

static nd_program *program_of_all(nd_program_variable_info variables[KINDS])
{
    const nd_shape shapes[KINDS] = {ND_SHAPE(3), ND_SHAPE(5), ND_SCALAR,     ND_SHAPE(2, 2),
                                    ND_SHAPE(1), ND_SHAPE(3), ND_SHAPE(2, 0)};
    for (int i = 0; i < KINDS; i++)
        variables[i] = (nd_program_variable_info){{kind_names[i], kinds[i], shapes[i]}, (size_t)i * 64, false};
    nd_program_info info = {.variable_count = KINDS, .variables = variables, .state_size = (size_t)KINDS * 64};
    return nd_program_create(&info);
}

static void fill(nd_state *state)
{
    for (int i = 0; i < KINDS; i++) {
        nd_tensor *copy = nd_tensor_copy(nd_state_tensor(state, kind_names[i]));
        for (int64_t k = 0; k < nd_tensor_count(copy); k++)
            nd_tensor_set_i64(copy, k, 100 * i + k);
        ck_assert_int_eq(nd_state_set(state, kind_names[i], copy), ND_OK);
        nd_tensor_destroy(copy);
    }
}

START_TEST(every_dtype_comes_back)
{
    nd_program_variable_info variables[KINDS];
    nd_program *p = program_of_all(variables);
    nd_state *from = nd_state_create(p, 1), *to = nd_state_create(p, 1);
    const char *path = temp_path("all.safetensors");
    fill(from);
    ck_assert_int_eq(nd_state_save(from, path), ND_OK);
    ck_assert_str_eq(nd_state_error(from), "");
    ck_assert_int_eq(nd_state_load(to, path), ND_OK);
    for (int i = 0; i < KINDS; i++)
        ck_assert(nd_tensor_same_bits(nd_state_tensor(from, kind_names[i]), nd_state_tensor(to, kind_names[i])));
    ck_assert_int_eq(nd_state_save(to, temp_path("again.safetensors")), ND_OK); /* everything counts as set */
    nd_state_destroy(from);
    nd_state_destroy(to);
    nd_program_destroy(p);
}
END_TEST

/* The bytes of a small file, in full. */
START_TEST(writes_the_format)
{
    nd_program *p = toy_program((toy_options){0});
    nd_state *state = nd_state_create(p, 2);
    nd_tensor *raw = nd_tensor_full(ND_I32, ND_SCALAR, 258);
    ck_assert_int_eq(nd_state_set(state, "raw", raw), ND_OK);
    const char *path = temp_path("toy.safetensors");
    ck_assert_int_eq(nd_state_save(state, path), ND_OK);
    static const char header[] = "{\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
                                 "\"raw\":{\"dtype\":\"I32\",\"shape\":[],\"data_offsets\":[8,12]}}";
    const size_t padded = (sizeof header - 1 + 7) / 8 * 8;
    char *bytes = temp_read(path);
    ck_assert_uint_eq((unsigned char)bytes[0], padded);
    ck_assert(memcmp(bytes + 1, "\0\0\0\0\0\0\0", 7) == 0);
    ck_assert(memcmp(bytes + 8, header, sizeof header - 1) == 0);
    for (size_t i = sizeof header - 1; i < padded; i++)
        ck_assert_int_eq(bytes[8 + i], ' ');
    ck_assert(memcmp(bytes + 8 + padded, "\0\0\0\x40\0\0\0\0\2\1\0\0", 12) == 0); /* 2.0f, 0.0f, 258 */
    free(bytes);
    nd_tensor_destroy(raw);
    nd_state_destroy(state);
    nd_program_destroy(p);
}
END_TEST

/* Python's safetensors reads our file and writes one that we read; where it is not installed, there is nothing to see.
 */
START_TEST(agrees_with_python)
{
    static const char script[] =
        "import sys\n"
        "try:\n"
        "    import numpy as np\n"
        "    from safetensors.numpy import load_file, save_file\n"
        "except ImportError:\n"
        "    sys.exit(77)\n"
        "a = load_file(sys.argv[1])\n"
        "assert sorted(a) == sorted(['flag', 'byte', 'layer/i32', 'u32', '\"i64\"\\\\', 'f\\u00fcnf', 'f64']), "
        "sorted(a)\n"
        "assert a['layer/i32'].shape == () and a['f64'].shape == (2, 0) and a['u32'].dtype == np.uint32\n"
        "assert a['u32'].tolist() == [[300, 301], [302, 303]] and a['flag'].tolist() == [False, True, True]\n"
        "a['f\\u00fcnf'] = a['f\\u00fcnf'] * np.float32(0.5)\n"
        "save_file(a, sys.argv[2], metadata={'by': 'Python'})\n";
    nd_program_variable_info variables[KINDS];
    nd_program *p = program_of_all(variables);
    nd_state *state = nd_state_create(p, 1);
    char ours[512], theirs[512], command[2048];
    strcpy(ours, temp_path("ours.safetensors"));
    strcpy(theirs, temp_path("theirs.safetensors"));
    fill(state);
    ck_assert_int_eq(nd_state_save(state, ours), ND_OK);
    snprintf(command, sizeof command, "python3 '%s' '%s' '%s'", temp_write("check.py", script, strlen(script)), ours,
             theirs);
    int result = system(command);
    ck_assert(WIFEXITED(result));
    if (WEXITSTATUS(result) != 77 && WEXITSTATUS(result) != 127) {
        ck_assert_int_eq(WEXITSTATUS(result), 0);
        ck_assert_msg(nd_state_load(state, theirs) == ND_OK, "%s", nd_state_error(state));
        ck_assert(nd_tensor_get(nd_state_tensor(state, "f\xC3\xBCnf"), 1) == 501 * 0.5);
        ck_assert(nd_tensor_get_i64(nd_state_tensor(state, "\"i64\"\\"), 0) == 400);
    }
    nd_state_destroy(state);
    nd_program_destroy(p);
}
END_TEST

/* -- broken files ------------------------------------------------------------------------------------------------- */

/* A file of that header and `data` zeros. */
static const char *file_of(const char *header, size_t n, size_t data)
{
    char *bytes = calloc(1, 8 + n + data);
    ck_assert_ptr_nonnull(bytes);
    for (int i = 0; i < 8; i++)
        bytes[i] = (char)((uint64_t)n >> 8 * i & 255);
    memcpy(bytes + 8, header, n);
    const char *path = temp_write("broken.safetensors", bytes, 8 + n + data);
    free(bytes);
    return path;
}

#define W(offsets)   "\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":" offsets "}"
#define RAW(offsets) "\"raw\":{\"dtype\":\"I32\",\"shape\":[],\"data_offsets\":" offsets "}"

static const struct {
    const char *header;
    size_t data;
    nd_status status;
    const char *message; /* after the path */
} headers[] = {
    /* Good ones: another order, spaces, escapes, metadata. */
    {"{" W("[0,8]") "," RAW("[8,12]") "}", 12, ND_OK, ""},
    {"{ " RAW(" [ 0 , 4 ] ") " ,\n\t" W("[4,12]") " }  \r\n ", 12, ND_OK, ""},
    {"{\"__metadata__\":{\"a\":\"{}\",\"\":\"\\u00e9\\ud834\\udd1e\"}," W("[0,8]") "," RAW("[8,12]") "}", 12, ND_OK,
     ""},
    {"{\"\\u0077\":{\"data_offsets\":[0,8],\"shape\":[2],\"d\\u0074ype\":\"F32\"}," RAW("[8,12]") "}", 12, ND_OK, ""},
    /* Other variables. */
    {"{}", 0, ND_ERR_DATA,
     " does not have the program's variables:\n  missing: \"w\" f32[2]\n  missing: \"raw\" i32[]"},
    {"{\"a\\n\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[0,8]},"
     "\"w\":{\"dtype\":\"BF16\",\"shape\":[2,1],\"data_offsets\":[8,12]},"
     "\"raw\":{\"dtype\":\"I32\",\"shape\":[1],\"data_offsets\":[12,16]}}",
     16, ND_ERR_DATA,
     " does not have the program's variables:\n  other type: \"w\" f32[2], but the file has BF16[2,1]\n"
     "  other type: \"raw\" i32[], but the file has i32[1]\n  extra: \"a\n\" f64[1]"},
    /* Not JSON, or not of this kind. */
    {"{", 0, ND_ERR_PARSE, ": the header at byte 9: expected a string, got its end"},
    {"{\"w", 0, ND_ERR_PARSE, ": the header at byte 11: expected '\"' at the end of the string, got its end"},
    {"{\"w\"}", 0, ND_ERR_PARSE, ": the header at byte 12: expected ':', got '}'"},
    {"{\"w\":[]}", 0, ND_ERR_PARSE, ": the header at byte 13: expected '{', got '[]}'"},
    {"{} x", 0, ND_ERR_PARSE, ": the header at byte 11: expected the end of the header, got 'x'"},
    {"{" W("[0,8]") "}}", 8, ND_ERR_PARSE, ": the header at byte 62: expected the end of the header, got '}'"},
    {"{" W("[0,8]") ",}", 8, ND_ERR_PARSE, ": the header at byte 62: expected a string, got '}'"},
    {"{" W("[-1,8]") "}", 8, ND_ERR_PARSE, ": the header at byte 56: expected a count, got '-1,8]}}'"},
    {"{" W("[0,8.0]") "}", 8, ND_ERR_PARSE, ": the header at byte 58: expected a count, got '8.0]}}'"},
    {"{" W("[0,1e1]") "}", 8, ND_ERR_PARSE, ": the header at byte 58: expected a count, got '1e1]}}'"},
    {"{" W("[00,8]") "}", 8, ND_ERR_PARSE, ": the header at byte 56: expected a count, got '00,8]}}'"},
    {"{" W("[0,9223372036854775808]") "}", 8, ND_ERR_PARSE,
     ": the header at byte 58: expected a count, got '9223372036854775808]}}'"},
    {"{" W("[8,0]") "}", 8, ND_ERR_PARSE, ": the header at byte 60: expected offsets in order, got '}}'"},
    {"{" W("[0]") "}", 8, ND_ERR_PARSE, ": the header at byte 57: expected ',', got ']}}'"},
    {"{" W("[0,8,8]") "}", 8, ND_ERR_PARSE, ": the header at byte 59: expected ']', got ',8]}}'"},
    {"{\"w\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}}", 8, ND_ERR_PARSE,
     ": the header at byte 36: expected dtype, shape and data_offsets, each once, got '\"F32\"}}'"},
    {"{\"w\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, ND_ERR_PARSE,
     ": the header at byte 40: expected dtype, shape and data_offsets before this, got '}'"},
    {"{\"w\":{\"type\":\"F32\"}}", 8, ND_ERR_PARSE,
     ": the header at byte 21: expected dtype, shape and data_offsets, each once, got '\"F32\"}}'"},
    {"{\"w\":{\"dtype\":5}}", 8, ND_ERR_PARSE, ": the header at byte 22: expected a string, got '5}}'"},
    {"{\"w\":{\"shape\":[2,]}}", 8, ND_ERR_PARSE, ": the header at byte 25: expected a count, got ']}}'"},
    {"{\"w\":{\"shape\":[[[[[[[[[[[[2]]]]]]]]]]]]}}", 8, ND_ERR_PARSE,
     ": the header at byte 23: expected a count, got '[[[[[[[[[[[2]]]]]]]]]]]]'"},
    {"{\"__metadata__\":{\"a\":1}}", 0, ND_ERR_PARSE, ": the header at byte 29: expected a string, got '1}}'"},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, ND_ERR_PARSE,
     ": the header at byte 42: expected one __metadata__, got '{}}'"},
    /* Strings. */
    {"{\"\xC0\x80\":{}}", 0, ND_ERR_PARSE, ": the header at byte 10: expected UTF-8, got '\xC0\x80\":{}}'"},
    {"{\"\xED\xA0\x80\":{}}", 0, ND_ERR_PARSE, ": the header at byte 10: expected UTF-8, got '\xED\xA0\x80\":{}}'"},
    {"{\"\xF4\x90\x80\x80\":{}}", 0, ND_ERR_PARSE,
     ": the header at byte 10: expected UTF-8, got '\xF4\x90\x80\x80\":{}}'"},
    {"{\"\xE2\x82\":{}}", 0, ND_ERR_PARSE, ": the header at byte 10: expected UTF-8, got '\xE2\x82\":{}}'"},
    {"{\"a\nb\":{}}", 0, ND_ERR_PARSE,
     ": the header at byte 11: expected no control character in a string, got '\nb\":{}}'"},
    {"{\"\\x\":{}}", 0, ND_ERR_PARSE, ": the header at byte 10: expected an escape sequence, got '\\x\":{}}'"},
    {"{\"\\u12\":{}}", 0, ND_ERR_PARSE, ": the header at byte 10: expected an escape sequence, got '\\u12\":{}}'"},
    {"{\"\\ud834\":{}}", 0, ND_ERR_PARSE, ": the header at byte 10: expected an escape sequence, got '\\ud834\":{}}'"},
    {"{\"\\ud834\\u0041\":{}}", 0, ND_ERR_PARSE,
     ": the header at byte 10: expected an escape sequence, got '\\ud834\\u0041\":{}}'"},
    {"{\"\\udd1e\":{}}", 0, ND_ERR_PARSE, ": the header at byte 10: expected an escape sequence, got '\\udd1e\":{}}'"},
    {"{\"a\\u0000\":{}}", 0, ND_ERR_PARSE, ": the header at byte 11: expected an escape sequence, got '\\u0000\":{}}'"},
    {"{\"\\", 0, ND_ERR_PARSE, ": the header at byte 10: expected an escape sequence, got '\\'"},
    /* Sizes and places. */
    {"{" W("[0,8]") "," RAW("[8,12]") "}", 11, ND_ERR_PARSE,
     ": the file is cut short: \"raw\" ends at byte 12 of the data, the file has 11"},
    {"{" W("[0,8]") "," RAW("[8,12]") "}", 13, ND_ERR_PARSE, ": 1 bytes follow the last tensor"},
    {"{" W("[0,8]") "," RAW("[4,8]") "}", 8, ND_ERR_PARSE,
     ": \"raw\" begins at byte 4 of the data, where 8 is expected: every byte belongs to one tensor"},
    {"{" W("[0,8]") "," RAW("[12,16]") "}", 16, ND_ERR_PARSE,
     ": \"raw\" begins at byte 12 of the data, where 8 is expected: every byte belongs to one tensor"},
    {"{" W("[0,9223372036854775807]") "}", 8, ND_ERR_PARSE,
     ": the file is cut short: \"w\" ends at byte 9223372036854775807 of the data, the file has 8"},
    {"{" W("[0,4]") "}", 4, ND_ERR_PARSE, ": \"w\": f32[2] has 8 bytes of elements, data_offsets say 4"},
    {"{\"w\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,0]}}", 0, ND_ERR_PARSE,
     ": \"w\": f32[4611686018427387904,4] does not fit in the address space"},
    {"{\"w\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4, ND_ERR_PARSE,
     ": \"w\": rank 9, but a tensor has 0 to 8 axes"},
    {"{" W("[0,8]") "," W("[8,16]") "}", 16, ND_ERR_PARSE, ": there are two tensors \"w\""},
    {"x", 0, ND_ERR_PARSE, ": not a safetensors file: its header does not begin with '{'"},
    {"", 0, ND_ERR_PARSE, ": not a safetensors file: its header does not begin with '{'"},
};

START_TEST(reads_or_says_why_not)
{
    nd_program *p = toy_program((toy_options){0});
    nd_state *state = nd_state_create(p, 5);
    const char *path = file_of(headers[_i].header, strlen(headers[_i].header), headers[_i].data);
    nd_status status = nd_state_load(state, path);
    const char *error = nd_state_error(state);
    if (headers[_i].status != ND_OK) {
        ck_assert_msg(strncmp(error, path, strlen(path)) == 0, "%s", error);
        ck_assert_str_eq(error + strlen(path), headers[_i].message);
    } else
        ck_assert_str_eq(error, "");
    ck_assert_int_eq(status, headers[_i].status);
    ck_assert(nd_state_f32(state, "w")[0] == (status == ND_OK ? 0 : 5)); /* nothing changed where it failed */
    nd_state_destroy(state);
    nd_program_destroy(p);
}
END_TEST

/* Cut anywhere, and with any byte changed, a file is read or refused; sanitizers see the rest. */
START_TEST(survives_broken_files)
{
    nd_program *p = toy_program((toy_options){0});
    nd_state *state = nd_state_create(p, 5);
    static const char header[] = "{\"__metadata__\":{\"\\u00e9\":\"\xC3\xA9\"}," W("[0,8]") "," RAW("[8,12]") "}";
    const char *path = file_of(header, sizeof header - 1, 12);
    size_t n = 8 + sizeof header - 1 + 12;
    char *bytes = temp_read(path), *changed = malloc(n);
    ck_assert_ptr_nonnull(changed);
    for (size_t i = 0; i < n; i++)
        ck_assert_int_eq(nd_state_load(state, temp_write("cut.safetensors", bytes, i)), ND_ERR_PARSE);
    static const unsigned char others[] = {0, 1, '"', '\\', '{', '}', ',', '9', 0x80, 0xF0, 0xFF};
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < sizeof others; k++) {
            memcpy(changed, bytes, n);
            changed[i] = (char)others[k];
            nd_status status = nd_state_load(state, temp_write("changed.safetensors", changed, n));
            ck_assert(status == ND_OK || status == ND_ERR_PARSE || status == ND_ERR_DATA);
        }
    free(bytes);
    free(changed);
    nd_state_destroy(state);
    nd_program_destroy(p);
}
END_TEST

/* -- what can go wrong besides ------------------------------------------------------------------------------------ */

START_TEST(bad_calls)
{
    nd_program *p = toy_program((toy_options){0});
    nd_state *state = nd_state_create(p, 5);
    const char *path = temp_path("no/such/folder.safetensors");
    char expected[600];
    ck_assert_int_eq(nd_state_save(NULL, path), ND_ERR_MEMORY);
    ck_assert_int_eq(nd_state_load(NULL, path), ND_ERR_MEMORY);
    ck_assert_int_eq(nd_state_save(state, NULL), ND_ERR_ARGUMENT);
    ck_assert_str_eq(nd_state_error(state), "the path is NULL");
    ck_assert_int_eq(nd_state_load(state, NULL), ND_ERR_ARGUMENT);
    ck_assert_str_eq(nd_state_error(state), "the path is NULL");
    ck_assert_int_eq(nd_state_save(state, path), ND_ERR_STATE);
    snprintf(expected, sizeof expected, "%s: the variable \"raw\" was never set", path);
    ck_assert_str_eq(nd_state_error(state), expected);
    nd_tensor *raw = nd_tensor_full(ND_I32, ND_SCALAR, 1);
    nd_state_set(state, "raw", raw);
    ck_assert_int_eq(nd_state_save(state, path), ND_ERR_IO);
    snprintf(expected, sizeof expected, "%s cannot be written: No such file or directory", path);
    ck_assert_str_eq(nd_state_error(state), expected);
    ck_assert_int_eq(nd_state_load(state, path), ND_ERR_IO);
    nd_tensor_destroy(raw);
    nd_state_destroy(state);
    nd_program_destroy(p);
}
END_TEST

/* A variable whose name no safetensors file can have. */
START_TEST(bad_names)
{
    static const char *const names[] = {"\xFF", "__metadata__"};
    for (int i = 0; i < 2; i++) {
        nd_program_variable_info variable = {{names[i], ND_F32, ND_SCALAR}, 0, false};
        nd_program_info info = {.variable_count = 1, .variables = &variable, .state_size = 64};
        nd_program *p = nd_program_create(&info);
        nd_state *state = nd_state_create(p, 1);
        nd_tensor *one = nd_tensor_full(ND_F32, ND_SCALAR, 1);
        nd_state_set(state, names[i], one);
        ck_assert_int_eq(nd_state_save(state, temp_path("name.safetensors")), ND_ERR_ARGUMENT);
        nd_tensor_destroy(one);
        nd_state_destroy(state);
        nd_program_destroy(p);
    }
}
END_TEST

/* A full disk: the old file stays, and nothing is left beside it. */
START_TEST(a_full_disk_keeps_the_old_file)
{
    if (access("/dev/full", W_OK) != 0)
        return;
    nd_program *p = toy_program((toy_options){0});
    nd_state *state = nd_state_create(p, 5);
    nd_tensor *raw = nd_tensor_full(ND_I32, ND_SCALAR, 1);
    nd_state_set(state, "raw", raw);
    char path[512], aside[520];
    strcpy(path, temp_path("full.safetensors"));
    snprintf(aside, sizeof aside, "%s.partial", path);
    ck_assert_int_eq(nd_state_save(state, path), ND_OK);
    ck_assert_int_eq(symlink("/dev/full", aside), 0);
    nd_state_f32(state, "w")[0] = 77;
    ck_assert_int_eq(nd_state_save(state, path), ND_ERR_IO);
    ck_assert_ptr_nonnull(strstr(nd_state_error(state), "full.safetensors cannot be written: No space left on device"));
    ck_assert_int_ne(access(aside, F_OK), 0);
    ck_assert_int_eq(nd_state_load(state, path), ND_OK);
    ck_assert(nd_state_f32(state, "w")[0] == 5);
    nd_tensor_destroy(raw);
    nd_state_destroy(state);
    nd_program_destroy(p);
}
END_TEST

static _Noreturn void save_for_ever(nd_state *state, const char *path)
{
    for (double value = 1;; value++) {
        nd_tensor_fill(nd_state_tensor(state, "w"), value);
        if (nd_state_save(state, path) != ND_OK)
            _exit(1);
    }
}

/* A process that saves all the time is killed at some moment, again and again: the file is always whole. */
START_TEST(survives_being_killed)
{
    enum { SIZE = 1 << 16, TIMES = 10 };
    nd_program_variable_info variable = {{"w", ND_F32, ND_SHAPE(SIZE)}, 0, false};
    nd_program_info info = {.variable_count = 1, .variables = &variable, .state_size = SIZE * sizeof(float)};
    nd_program *p = nd_program_create(&info);
    nd_state *state = nd_state_create(p, 1);
    nd_tensor *value = nd_tensor_zeros(ND_F32, ND_SHAPE(SIZE));
    char path[512];
    strcpy(path, temp_path("killed.safetensors"));
    nd_state_set(state, "w", value);
    ck_assert_int_eq(nd_state_save(state, path), ND_OK);
    for (int i = 0; i < TIMES; i++) {
        pid_t child = fork();
        ck_assert_int_ne(child, -1);
        if (child == 0)
            save_for_ever(state, path);
        nanosleep(&(struct timespec){0, 1000000 + 3700000L * i}, NULL);
        kill(child, SIGKILL);
        int status;
        waitpid(child, &status, 0);
        ck_assert(WIFSIGNALED(status));
        ck_assert_msg(nd_state_load(state, path) == ND_OK, "%s", nd_state_error(state));
        const float *w = nd_state_f32(state, "w");
        for (int k = 1; k < SIZE; k++)
            ck_assert(w[k] == w[0]);
    }
    nd_tensor_destroy(value);
    nd_state_destroy(state);
    nd_program_destroy(p);
}
END_TEST

START_TEST(survives_out_of_memory)
{
    nd_program_variable_info variables[KINDS];
    nd_program *p = program_of_all(variables);
    nd_state *state = nd_state_create(p, 5);
    fill(state);
    bool failed = true;
    for (int n = 0; failed; n++) {
        failing_alloc_begin(n);
        nd_status saved = nd_state_save(state, temp_path("memory.safetensors"));
        nd_status loaded = nd_state_load(state, temp_path("memory.safetensors"));
        failed = failing_alloc_end();
        ck_assert_msg(failed == (saved == ND_ERR_MEMORY || loaded == ND_ERR_MEMORY || loaded == ND_ERR_IO),
                      "allocation %d: %d %d", n, saved, loaded);
    }
    nd_state_destroy(state);
    nd_program_destroy(p);
}
END_TEST

int main(void)
{
    temp_path(""); /* made before Check forks, so that one process removes it */
    Suite *suite = suite_create("state_file");
    TCase *t = tcase_create("state_file");
    tcase_add_test(t, every_dtype_comes_back);
    tcase_add_test(t, writes_the_format);
    tcase_add_test(t, agrees_with_python);
    tcase_add_loop_test(t, reads_or_says_why_not, 0, sizeof headers / sizeof *headers);
    tcase_add_test(t, survives_broken_files);
    tcase_add_test(t, bad_calls);
    tcase_add_test(t, bad_names);
    tcase_add_test(t, a_full_disk_keeps_the_old_file);
    tcase_add_test(t, survives_being_killed);
    tcase_add_test(t, survives_out_of_memory);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
