/* Graphs in files, and the files beside them that have their large constants. */
#include "compiler/graph/graph.h"
#include "failing_alloc.h"
#include "nadir/text.h"
#include "run_suite.h"
#include "runtime/text.h"
#include "temp_dir.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD "nadir 1\nmodule m\n"

static nd_value *constant(nd_module *m, nd_dtype dtype, nd_shape shape, const void *items)
{
    return nd__constant(m, "", dtype, &shape, nd__elements(&shape), items);
}

/* A table with a name, one without, and a small one. */
static nd_module *with_tables(void)
{
    static float table[300 * 2];
    static uint8_t flags[257];
    for (int i = 0; i < 600; i++)
        table[i] = (float)i / 7 - 20;
    table[5] = NAN;
    for (int i = 0; i < 257; i++)
        flags[i] = i % 3 == 0;
    nd_module *m = nd_module_create("tables");
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(300, 2));
    nd_value *big = nd_name(constant(m, ND_F32, ND_SHAPE(300, 2), table), "table");
    nd_value *bools = constant(m, ND_BOOL, ND_SHAPE(257), flags);
    nd_value *small = constant(m, ND_F32, ND_SHAPE(2), table);
    nd_function(m, "f", ND_VALUES(x), ND_VALUES(nd_add(nd_mul(x, big), small), nd_cast(bools, ND_I32)));
    ck_assert_msg(nd_module_status(m) == ND_OK, "%s", nd_module_error(m));
    return m;
}

START_TEST(large_constants_have_a_file)
{
    char path[512], beside[600], message[600] = "unset";
    strcpy(path, temp_path("tables.nd"));
    snprintf(beside, sizeof beside, "%s.safetensors", path);
    nd_module *m = with_tables();
    ck_assert_int_eq(nd_module_write(m, path, message, sizeof message), ND_OK);
    ck_assert_str_eq(message, "");
    char *text = temp_read(path);
    ck_assert_uint_lt(strlen(text), 700);
    ck_assert_ptr_nonnull(strstr(text, "%table: f32[300,2] = constant file(\"table\", 0x"));
    ck_assert_ptr_nonnull(strstr(text, ": bool[257] = constant file(\""));
    free(text);

    nd_module *read = nd_module_read(path);
    ck_assert_str_eq(nd_module_error(read), "");
    char *before = nd_module_to_text(m), *after = nd_module_to_text(read); /* the whole, to every bit */
    ck_assert_ptr_null(strstr(before, "file("));
    ck_assert_str_eq(before, after);
    free(before);
    free(after);
    nd_module_destroy(read);

    /* Without large ones there is no such file. */
    ck_assert_int_eq(remove(beside), 0);
    nd_module *small = nd_module_parse(HEAD "%x: f32 = input\nfn f(%x) -> (%x)\n", "t.nd");
    ck_assert_int_eq(nd_module_write(small, path, NULL, 0), ND_OK);
    ck_assert_int_ne(remove(beside), 0);
    nd_module_destroy(small);
    nd_module_destroy(m);
}
END_TEST

/* The error of reading what was written as `text`, without the path. */
static void refuses_beside(const char *text, nd_status status, const char *error)
{
    char path[512];
    strcpy(path, temp_write("beside.nd", text, strlen(text)));
    nd_module *m = nd_module_read(path);
    nd__text found = {0};
    for (const char *at = nd_module_error(m); *at;) { /* PATH stands for what differs from run to run */
        const bool here = strncmp(at, path, strlen(path)) == 0;
        nd__text_add(&found, here ? "PATH" : "%c", *at);
        at += here ? strlen(path) : 1;
    }
    ck_assert_str_eq(found.data, error);
    ck_assert_int_eq(nd_module_status(m), status);
    nd__text_release(&found);
    nd_module_destroy(m);
}

START_TEST(large_constants_that_do_not_fit)
{
    refuses_beside(HEAD "%t: f32[300,2] = constant file(\"table\")\n", ND_ERR_IO,
                   "PATH:3:27: PATH.safetensors: No such file or directory");
    nd_module *m = with_tables();
    ck_assert_int_eq(nd_module_write(m, temp_path("beside.nd"), NULL, 0), ND_OK);
    nd_module_destroy(m);
    refuses_beside(HEAD "%t: f32[300,2] = constant file(\"other\")\n", ND_ERR_DATA,
                   "PATH:3:32: PATH.safetensors has no tensor \"other\"");
    refuses_beside(HEAD "%t: f32[2,300] = constant file(\"table\")\n", ND_ERR_DATA,
                   "PATH:3:32: PATH.safetensors has \"table\" as f32[300,2], not as f32[2,300]");
    refuses_beside(HEAD "%t: f32[140737488355328] = constant file(\"table\")\n", ND_ERR_DATA,
                   "PATH:3:42: PATH.safetensors has \"table\" as f32[300,2], not as f32[140737488355328]");
    refuses_beside(HEAD "%t: i32[300,2] = constant file(\"table\")\n", ND_ERR_DATA,
                   "PATH:3:32: PATH.safetensors has \"table\" as f32[300,2], not as i32[300,2]");
    refuses_beside(HEAD "%t: f32[300,2] = constant file(\"table\", 0x12)\n", ND_ERR_DATA,
                   "PATH:3:41: PATH.safetensors has other elements of \"table\" than this text says");
    refuses_beside(HEAD "%t: f32[300,2] = constant file(table)\n", ND_ERR_PARSE,
                   "PATH:3:32: expected the tensor's name in quotes, found 'table'");
    refuses_beside(HEAD "%t: f32[300,2] = constant file(\"table\", x)\n", ND_ERR_PARSE,
                   "PATH:3:41: expected the sum of the elements, 64 bits, found 'x'");
    refuses_beside(HEAD "%t: f32[300,2] = constant file(\"table\"\n", ND_ERR_PARSE,
                   "PATH:4:1: expected ')', found the end of the text");
    refuses_beside(HEAD "dim B=2\n%t: f32[B] = constant file(\"table\")\n", ND_ERR_PARSE,
                   "PATH:4:27: expected one element for all of a shape with named sizes, found '('");
    m = nd_module_parse(HEAD "%t: f32[300,2] = constant file(\"table\")\n", "t.nd");
    ck_assert_str_eq(nd_module_error(m),
                     "t.nd:3:27: the elements lie in a file beside the text's, but this text comes from no file");
    nd_module_destroy(m);
}
END_TEST

START_TEST(writing_fails)
{
    char message[600], expected[600];
    nd_module *m = with_tables(), *failed = nd_module_parse("nadir", "t.nd");
    const char *path = temp_path("no/tables.nd");
    snprintf(expected, sizeof expected, "%s.safetensors cannot be written: No such file or directory", path);
    ck_assert_int_eq(nd_module_write(m, path, message, sizeof message), ND_ERR_IO);
    ck_assert_str_eq(message, expected);
    ck_assert_int_eq(nd_module_write(m, NULL, message, sizeof message), ND_ERR_ARGUMENT);
    ck_assert_str_eq(message, "nd_module_write: the path is NULL");
    ck_assert_int_eq(nd_module_write(failed, path, message, sizeof message), ND_ERR_PARSE);
    ck_assert_str_eq(message, nd_module_error(failed));
    ck_assert_int_eq(nd_module_write(NULL, path, NULL, 0), ND_ERR_MEMORY);
    nd_module_destroy(failed);
    char good[512];
    strcpy(good, temp_path("memory.nd"));
    bool lost = true;
    for (int n = 0; lost; n++) {
        failing_alloc_begin(n);
        nd_status status = nd_module_write(m, good, NULL, 0);
        nd_module *read = nd_module_read(good);
        nd_status again = nd_module_status(read);
        nd_module_destroy(read);
        lost = failing_alloc_end();
        ck_assert_msg(lost || (status == ND_OK && again == ND_OK), "%d %d", status, again);
    }
    nd_module_destroy(m);
}
END_TEST

START_TEST(reading_files)
{
    const char *text = HEAD "%x: f32 = input\nfn f(%x) -> (%x)\n";
    nd_module *m = nd_module_read(temp_write("good.nd", text, strlen(text)));
    ck_assert_msg(nd_module_status(m) == ND_OK, "%s", nd_module_error(m));
    nd_module_destroy(m);

    m = nd_module_read(temp_path("absent.nd"));
    ck_assert_int_eq(nd_module_status(m), ND_ERR_IO);
    ck_assert_ptr_nonnull(strstr(nd_module_error(m), "absent.nd"));
    nd_module_destroy(m);

    m = nd_module_read(temp_write("zero.nd", "nadir 1\0module m", 16));
    ck_assert_int_eq(nd_module_status(m), ND_ERR_PARSE);
    ck_assert_ptr_nonnull(strstr(nd_module_error(m), "zero.nd: expected text, found a byte 0"));
    nd_module_destroy(m);

    m = nd_module_read(NULL);
    ck_assert_int_eq(nd_module_status(m), ND_ERR_ARGUMENT);
    nd_module_destroy(m);
    m = nd_module_parse(NULL, NULL);
    ck_assert_str_eq(nd_module_error(m), "nd_module_parse: the text is NULL");
    nd_module_destroy(m);
    m = nd_module_parse("nadir", NULL);
    ck_assert_str_eq(nd_module_error(m), "text:1:6: expected version 1 of the text, found the end of the text");
    nd_module_destroy(m);
}
END_TEST

int main(void)
{
    temp_path(""); /* made before Check forks, so that one process removes it */
    Suite *suite = suite_create("text_files");
    TCase *t = tcase_create("text_files");
    tcase_add_test(t, large_constants_have_a_file);
    tcase_add_test(t, large_constants_that_do_not_fit);
    tcase_add_test(t, writing_fails);
    tcase_add_test(t, reading_files);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
