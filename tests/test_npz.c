/* NumPy's .npz: what is written, what is read, everything that is refused. */
#include "failing_alloc.h"
#include "nadir/data.h"
#include "run_suite.h"
#include "temp_dir.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

/* By NumPy 2: np.savez_compressed(file, x=np.arange(6, dtype="<f4").reshape(3, 2), y=np.array([1, 0, 2], dtype="<i4"),
 * ü=np.zeros(40, dtype="u1")). */
/* clang-format off */
static const unsigned char by_numpy[] = {
    0x50, 0x4b, 0x03, 0x04, 0x2d, 0x00, 0x00, 0x00, 0x08, 0x00, 0x00, 0x00, 0x21, 0x00, 0xcc, 0xca, 0x9c, 0xbd,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x05, 0x00, 0x14, 0x00, 0x78, 0x2e, 0x6e, 0x70, 0x79, 0x01,
    0x00, 0x10, 0x00, 0x98, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x55, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x9b, 0xec, 0x17, 0xea, 0x1b, 0x10, 0xc9, 0xc8, 0x50, 0xc6, 0x50, 0xad, 0x9e, 0x92, 0x5a, 0x9c, 0x5c,
    0xa4, 0x6e, 0xa5, 0xa0, 0x6e, 0x93, 0x66, 0xa2, 0xae, 0xa3, 0xa0, 0x9e, 0x96, 0x5f, 0x54, 0x52, 0x94, 0x98,
    0x17, 0x9f, 0x5f, 0x94, 0x92, 0x0a, 0x12, 0x77, 0x4b, 0xcc, 0x29, 0x4e, 0x05, 0x8a, 0x17, 0x67, 0x24, 0x16,
    0xa4, 0x02, 0xf9, 0x1a, 0xc6, 0x3a, 0x0a, 0x46, 0x9a, 0x3a, 0x0a, 0xb5, 0x0a, 0x64, 0x03, 0x2e, 0x06, 0x30,
    0x68, 0xb0, 0x07, 0x12, 0x0e, 0x40, 0x04, 0xc4, 0x0d, 0x40, 0xbc, 0xc0, 0x01, 0x00, 0x50, 0x4b, 0x03, 0x04,
    0x2d, 0x00, 0x00, 0x00, 0x08, 0x00, 0x00, 0x00, 0x21, 0x00, 0xf3, 0xa0, 0xb2, 0xfe, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0x05, 0x00, 0x14, 0x00, 0x79, 0x2e, 0x6e, 0x70, 0x79, 0x01, 0x00, 0x10, 0x00, 0x8c,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x4a, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x9b, 0xec, 0x17,
    0xea, 0x1b, 0x10, 0xc9, 0xc8, 0x50, 0xc6, 0x50, 0xad, 0x9e, 0x92, 0x5a, 0x9c, 0x5c, 0xa4, 0x6e, 0xa5, 0xa0,
    0x6e, 0x93, 0x69, 0xa2, 0xae, 0xa3, 0xa0, 0x9e, 0x96, 0x5f, 0x54, 0x52, 0x94, 0x98, 0x17, 0x9f, 0x5f, 0x94,
    0x92, 0x0a, 0x12, 0x77, 0x4b, 0xcc, 0x29, 0x4e, 0x05, 0x8a, 0x17, 0x67, 0x24, 0x16, 0xa4, 0x02, 0xf9, 0x1a,
    0xc6, 0x3a, 0x9a, 0x3a, 0x0a, 0xb5, 0x0a, 0x14, 0x00, 0x2e, 0x46, 0x06, 0x08, 0x60, 0x02, 0x62, 0x00, 0x50,
    0x4b, 0x03, 0x04, 0x2d, 0x00, 0x00, 0x08, 0x08, 0x00, 0x00, 0x00, 0x21, 0x00, 0xf0, 0x91, 0x04, 0x31, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x06, 0x00, 0x14, 0x00, 0xc3, 0xbc, 0x2e, 0x6e, 0x70, 0x79, 0x01,
    0x00, 0x10, 0x00, 0xa8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x48, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x9b, 0xec, 0x17, 0xea, 0x1b, 0x10, 0xc9, 0xc8, 0x50, 0xc6, 0x50, 0xad, 0x9e, 0x92, 0x5a, 0x9c, 0x5c,
    0xa4, 0x6e, 0xa5, 0xa0, 0x5e, 0x53, 0x6a, 0xa8, 0xae, 0xa3, 0xa0, 0x9e, 0x96, 0x5f, 0x54, 0x52, 0x94, 0x98,
    0x17, 0x9f, 0x5f, 0x94, 0x92, 0x0a, 0x12, 0x77, 0x4b, 0xcc, 0x29, 0x4e, 0x05, 0x8a, 0x17, 0x67, 0x24, 0x16,
    0xa4, 0x02, 0xf9, 0x1a, 0x26, 0x06, 0x3a, 0x9a, 0x3a, 0x0a, 0xb5, 0x0a, 0xe4, 0x03, 0x2e, 0x06, 0x22, 0x01,
    0x00, 0x50, 0x4b, 0x01, 0x02, 0x2d, 0x03, 0x2d, 0x00, 0x00, 0x00, 0x08, 0x00, 0x00, 0x00, 0x21, 0x00, 0xcc,
    0xca, 0x9c, 0xbd, 0x55, 0x00, 0x00, 0x00, 0x98, 0x00, 0x00, 0x00, 0x05, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x80, 0x01, 0x00, 0x00, 0x00, 0x00, 0x78, 0x2e, 0x6e, 0x70, 0x79, 0x50, 0x4b,
    0x01, 0x02, 0x2d, 0x03, 0x2d, 0x00, 0x00, 0x00, 0x08, 0x00, 0x00, 0x00, 0x21, 0x00, 0xf3, 0xa0, 0xb2, 0xfe,
    0x4a, 0x00, 0x00, 0x00, 0x8c, 0x00, 0x00, 0x00, 0x05, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x80, 0x01, 0x8c, 0x00, 0x00, 0x00, 0x79, 0x2e, 0x6e, 0x70, 0x79, 0x50, 0x4b, 0x01, 0x02, 0x2d,
    0x03, 0x2d, 0x00, 0x00, 0x08, 0x08, 0x00, 0x00, 0x00, 0x21, 0x00, 0xf0, 0x91, 0x04, 0x31, 0x48, 0x00, 0x00,
    0x00, 0xa8, 0x00, 0x00, 0x00, 0x06, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x80,
    0x01, 0x0d, 0x01, 0x00, 0x00, 0xc3, 0xbc, 0x2e, 0x6e, 0x70, 0x79, 0x50, 0x4b, 0x05, 0x06, 0x00, 0x00, 0x00,
    0x00, 0x03, 0x00, 0x03, 0x00, 0x9a, 0x00, 0x00, 0x00, 0x8d, 0x01, 0x00, 0x00, 0x00, 0x00};
/* clang-format on */

/* Prints as `expected`; destroys the tensor. */
static void shows(nd_tensor *t, const char *expected)
{
    char text[4000];
    ck_assert_str_eq(nd_tensor_error(t), "");
    nd_tensor_text(t, text, sizeof text);
    ck_assert_str_eq(text, expected);
    nd_tensor_destroy(t);
}

START_TEST(reads_what_numpy_packed)
{
    const char *path = temp_write("numpy.npz", by_numpy, sizeof by_numpy);
    shows(nd_npz_read(path, "x"), "f32[3,2]\n[[0 1]\n [2 3]\n [4 5]]");
    shows(nd_npz_read(path, "y"), "i32[3] [1 0 2]");
    nd_tensor *zeros = nd_npz_read(path, "\xC3\xBC");
    ck_assert_int_eq(nd_tensor_count(zeros), 40);
    nd_tensor_destroy(zeros);
}
END_TEST

START_TEST(arrays_come_back)
{
    nd_tensor *a = nd_tensor_of(ND_F64, ND_SHAPE(2, 2), (double[]){1, 2, 3, 4}), *t = nd_tensor_transpose(a, NULL),
              *b = nd_tensor_full(ND_BOOL, ND_SCALAR, 1), *e = nd_tensor_zeros(ND_I64, ND_SHAPE(0, 3));
    char path[512];
    strcpy(path, temp_path("ours.npz"));
    ck_assert_int_eq(nd_npz_write(path, 3, (const char *[]){"turned", "b/\xC3\xBC", "e"}, (nd_tensor *[]){t, b, e}),
                     ND_OK);
    shows(nd_npz_read(path, "turned"), "f64[2,2]\n[[1 3]\n [2 4]]");
    shows(nd_npz_read(path, "b/\xC3\xBC"), "bool True");
    nd_tensor *empty = nd_npz_read(path, "e");
    ck_assert(nd_tensor_same_bits(empty, e));
    nd_tensor_destroy(empty);

    /* NumPy agrees, where it is installed. */
    static const char script[] = "import sys\n"
                                 "try:\n"
                                 "    import numpy as np\n"
                                 "except ImportError:\n"
                                 "    sys.exit(77)\n"
                                 "a = np.load(sys.argv[1])\n"
                                 "assert a.files == ['turned', 'b/\\u00fc', 'e'], a.files\n"
                                 "assert a['turned'].tolist() == [[1, 3], [2, 4]] and a['b/\\u00fc'] == True\n"
                                 "assert a['e'].shape == (0, 3) and a.zip.testzip() is None\n";
    char command[2048];
    snprintf(command, sizeof command, "python3 '%s' '%s'", temp_write("npz.py", script, strlen(script)), path);
    int result = system(command);
    ck_assert(WIFEXITED(result));
    ck_assert(WEXITSTATUS(result) == 0 || WEXITSTATUS(result) == 77 || WEXITSTATUS(result) == 127);
    nd_tensor *all[] = {a, t, b, e};
    for (int i = 0; i < 4; i++)
        nd_tensor_destroy(all[i]);
}
END_TEST

static void put(unsigned char **p, uint64_t value, int bytes)
{
    for (; bytes > 0; bytes--, value >>= 8)
        *(*p)++ = (unsigned char)value;
}

/* The same archive as ZIP64 says it: every size and place is in the wide fields. */
START_TEST(reads_zip64)
{
    nd_tensor *a = nd_tensor_of(ND_I32, ND_SHAPE(3), (int32_t[]){7, 8, 9});
    const char *path = temp_path("narrow.npz");
    ck_assert_int_eq(nd_npz_write(path, 1, (const char *[]){"a"}, &a), ND_OK);
    nd_tensor_destroy(a);
    FILE *f = fopen(path, "rb");
    unsigned char file[1000], *p;
    size_t n = fread(file, 1, sizeof file, f), entry = 46 + 5;
    fclose(f);
    uint64_t directory = n - 22 - entry, size = directory - 30 - 5; /* "a.npy" */
    p = file + directory + 20;
    put(&p, 0xFFFFFFFFFFFFFFFF, 8); /* both sizes */
    p += 2;
    put(&p, 4 + 24, 2); /* bytes of the field below */
    p += 10;
    put(&p, 0xFFFFFFFF, 4); /* the place */
    p = file + directory + entry;
    put(&p, 1, 2);
    put(&p, 24, 2);
    put(&p, size, 8);
    put(&p, size, 8);
    put(&p, 0, 8);
    uint64_t end64 = (uint64_t)(p - file);
    memcpy(p, "PK\6\6", 4);
    p += 4;
    put(&p, 44, 8);
    put(&p, 0, 12); /* versions, disks */
    put(&p, 1, 8);
    put(&p, 1, 8);
    put(&p, entry + 4 + 24, 8);
    put(&p, directory, 8);
    memcpy(p, "PK\6\7", 4);
    p += 4;
    put(&p, 0, 4);
    put(&p, end64, 8);
    put(&p, 1, 4);
    memcpy(p, "PK\5\6", 4);
    p += 4;
    put(&p, 0, 4);
    put(&p, 0xFFFFFFFF, 4);
    put(&p, 0xFFFFFFFFFFFFFFFF, 8);
    put(&p, 0, 2);
    shows(nd_npz_read(temp_write("wide.npz", file, (size_t)(p - file)), "a"), "i32[3] [7 8 9]");
}
END_TEST

START_TEST(into_data_sets)
{
    const char *path = temp_write("numpy.npz", by_numpy, sizeof by_numpy);
    char message[600];
    nd_dataset *d = nd_dataset_create();
    ck_assert_int_eq(nd_dataset_add_npz(d, path), ND_ERR_ARGUMENT); /* 40 of the last one */
    ck_assert_str_eq(nd_dataset_error(d), "the array \"\xC3\xBC\" has 40 rows, but \"x\" has 3");
    nd_dataset_destroy(d);
    d = nd_dataset_create();
    nd_tensor *x = nd_npz_read(path, "x"), *y = nd_npz_read(path, "y");
    path = temp_path("rows.npz");
    ck_assert_int_eq(nd_npz_write(path, 2, (const char *[]){"x", "y"}, (nd_tensor *[]){x, y}), ND_OK);
    ck_assert_int_eq(nd_dataset_add_npz(d, path), ND_OK);
    ck_assert_int_eq(nd_dataset_rows(d), 3);
    ck_assert_int_eq(nd_dataset_array_count(d), 2);
    ck_assert(nd_tensor_same_bits(nd_dataset_array(d, "y"), y));
    path = temp_path("none.npz");
    ck_assert_int_eq(nd_dataset_add_npz(d, path), ND_ERR_IO);
    snprintf(message, sizeof message, "%s: No such file or directory", path);
    ck_assert_str_eq(nd_dataset_error(d), message);
    ck_assert_int_eq(nd_dataset_add_npz(NULL, path), ND_ERR_MEMORY);
    nd_dataset_destroy(d);
    nd_tensor_destroy(x);
    nd_tensor_destroy(y);
}
END_TEST

/* Reading `name` fails with that message, behind the path. */
static void fails(const char *path, const char *name, nd_status status, const char *message)
{
    nd_tensor *t = nd_npz_read(path, name);
    const char *error = nd_tensor_error(t);
    ck_assert_msg(strncmp(error, path, strlen(path)) == 0, "%s", error);
    ck_assert_str_eq(error + strlen(path), message);
    ck_assert_int_eq(nd_tensor_status(t), status);
    nd_tensor_destroy(t);
}

/* The fixture with n bytes changed at `at`, counted from where `after` is last found. */
static const char *changed(const char *after, size_t at, const char *bytes, size_t n)
{
    static unsigned char copy[sizeof by_numpy];
    memcpy(copy, by_numpy, sizeof copy);
    size_t place = sizeof copy - 4;
    while (place > 0 && memcmp(copy + place, after, 4) != 0)
        place--;
    memcpy(copy + place + at, bytes, n);
    return temp_write("changed.npz", copy, sizeof copy);
}

START_TEST(bad_files)
{
    const char *path = temp_write("numpy.npz", by_numpy, sizeof by_numpy);
    fails(path, "z", ND_ERR_ARGUMENT, ": there is no array \"z\", but \"x\", \"y\", \"\xC3\xBC\"");
    fails(temp_path("no.npz"), "x", ND_ERR_IO, ": No such file or directory");
    fails(temp_write("short.npz", "PK", 2), "x", ND_ERR_PARSE, ": not a .npz file, or one that is cut short");
    fails(temp_write("empty.npz", "PK\5\6\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 22), "x", ND_ERR_ARGUMENT,
          ": there is no array \"x\", but none");
    fails(changed("PK\5\6", 12, "\xFF\xFF", 2), "x", ND_ERR_PARSE, ": its directory is said to lie outside the file");
    fails(changed("PK\1\2", 0, "X", 1), "z", ND_ERR_PARSE, ": its directory is broken at byte 499");
    fails(changed("PK\1\2", 42, "\1", 1), "\xC3\xBC", ND_ERR_PARSE,
          ": \xC3\xBC: there is no member where the directory says");
    fails(changed("PK\1\2", 8, "\1", 1), "\xC3\xBC", ND_ERR_PARSE, ": \xC3\xBC is encrypted");
    fails(changed("PK\1\2", 10, "\14", 1), "\xC3\xBC", ND_ERR_PARSE,
          ": \xC3\xBC is packed by method 12, which is not known here");
    fails(changed("PK\1\2", 20, "\xFF\xFF", 2), "\xC3\xBC", ND_ERR_PARSE, ": \xC3\xBC: its sizes do not fit the file");
    fails(changed("PK\1\2", 24, "\0\0\0\xFF", 4), "\xC3\xBC", ND_ERR_PARSE,
          ": \xC3\xBC: its sizes do not fit the file");
    fails(changed("PK\1\2", 24, "\1", 1), "\xC3\xBC", ND_ERR_PARSE, ": \xC3\xBC is broken: it does not unpack");
    fails(changed("PK\1\2", 16, "\0", 1), "\xC3\xBC", ND_ERR_PARSE,
          ": \xC3\xBC is broken: its checksum is another one");
    nd_tensor *t = nd_npz_read(path, NULL);
    ck_assert_str_eq(nd_tensor_error(t), "the name of the array is NULL");
    nd_tensor_destroy(t);
}
END_TEST

/* Cut anywhere, and with any byte changed, a file is read or refused; sanitizers see the rest. */
START_TEST(survives_broken_files)
{
    unsigned char copy[sizeof by_numpy];
    for (size_t n = 0; n < sizeof by_numpy; n++) {
        nd_tensor *t = nd_npz_read(temp_write("cut.npz", by_numpy, n), "x");
        ck_assert_int_eq(nd_tensor_status(t), ND_ERR_PARSE);
        nd_tensor_destroy(t);
    }
    for (size_t i = 0; i < sizeof by_numpy; i++)
        for (int k = 0; k < 3; k++) {
            memcpy(copy, by_numpy, sizeof copy);
            copy[i] = k == 0 ? 0 : k == 1 ? 0xFF : (unsigned char)(copy[i] ^ 1);
            nd_dataset *d = nd_dataset_create();
            nd_dataset_add_npz(d, temp_write("changed.npz", copy, sizeof copy));
            ck_assert_int_ne(nd_dataset_status(d), ND_ERR_INTERNAL);
            nd_dataset_destroy(d);
        }
}
END_TEST

START_TEST(bad_calls)
{
    nd_tensor *t = nd_tensor_zeros(ND_F32, ND_SHAPE(2)), *string = nd_tensor_string("Tennis");
    char path[512];
    strcpy(path, temp_path("bad.npz"));
    const struct {
        const char *name;
        nd_tensor *tensor;
        nd_status status;
        const char *message;
    } bad[] = {
        {NULL, t, ND_ERR_ARGUMENT, "tensor 1 has a name that a .npz file cannot have"},
        {"", t, ND_ERR_ARGUMENT, "tensor 1 has a name that a .npz file cannot have"},
        {"\xFF", t, ND_ERR_ARGUMENT, "tensor 1 has a name that a .npz file cannot have"},
        {"a", t, ND_ERR_ARGUMENT, "there are two tensors \"a\""},
        {"b", string, ND_ERR_ARGUMENT, "\"b\": a string does not go into a .npz file"},
        {"b", NULL, ND_ERR_MEMORY, "\"b\": the tensor is NULL"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_int_eq(nd_npz_write(path, 2, (const char *[]){"a", bad[i].name}, (nd_tensor *[]){t, bad[i].tensor}),
                         bad[i].status);
        ck_assert_str_eq(nd_tensor_error(t), bad[i].message);
    }
    ck_assert_int_eq(nd_npz_write(path, 0, NULL, NULL), ND_ERR_ARGUMENT);
    ck_assert_int_eq(nd_npz_write(temp_path("no/x.npz"), 1, (const char *[]){"a"}, &t), ND_ERR_IO);
    nd_tensor_destroy(t);
    nd_tensor_destroy(string);
}
END_TEST

START_TEST(survives_out_of_memory)
{
    nd_tensor *a = nd_tensor_of(ND_F64, ND_SHAPE(2, 2), (double[]){1, 2, 3, 4}), *t = nd_tensor_transpose(a, NULL);
    char path[512], packed[512];
    strcpy(path, temp_path("memory.npz"));
    strcpy(packed, temp_write("numpy.npz", by_numpy, sizeof by_numpy));
    bool failed = true;
    for (int n = 0; failed; n++) {
        failing_alloc_begin(n);
        nd_status written = nd_npz_write(path, 2, (const char *[]){"a", "t"}, (nd_tensor *[]){a, t});
        nd_tensor *back = nd_npz_read(path, "t"), *x = nd_npz_read(packed, "x");
        nd_dataset *d = nd_dataset_create();
        nd_status added = nd_dataset_add_npz(d, path);
        failed = failing_alloc_end();
        bool good =
            written == ND_OK && nd_tensor_status(back) == ND_OK && nd_tensor_status(x) == ND_OK && added == ND_OK;
        /* Where there is no memory for the longer name, messages go without it. */
        ck_assert_msg(good || failed, "allocation %d", n);
        nd_tensor_destroy(back);
        nd_tensor_destroy(x);
        nd_dataset_destroy(d);
        remove(path);
    }
    nd_tensor_destroy(a);
    nd_tensor_destroy(t);
}
END_TEST

int main(void)
{
    temp_path(""); /* made before Check forks, so that one process removes it */
    Suite *suite = suite_create("npz");
    TCase *t = tcase_create("npz");
    tcase_add_test(t, reads_what_numpy_packed);
    tcase_add_test(t, arrays_come_back);
    tcase_add_test(t, reads_zip64);
    tcase_add_test(t, into_data_sets);
    tcase_add_test(t, bad_files);
    tcase_add_test(t, survives_broken_files);
    tcase_add_test(t, bad_calls);
    tcase_add_test(t, survives_out_of_memory);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
