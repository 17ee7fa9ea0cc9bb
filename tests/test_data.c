/* Files of tensors, data sets, batches. */
#include "failing_alloc.h"
#include "nadir/data.h"
#include "run_suite.h"
#include "runtime/number.h"
#include "runtime/shuffle.h"
#include "temp_dir.h"

#include <check.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* Prints as `expected`; destroys the tensor. */
static void shows(nd_tensor *t, const char *expected)
{
    char text[4000];
    nd_tensor_text(t, text, sizeof text);
    ck_assert_str_eq(text, expected);
    nd_tensor_destroy(t);
}

/* Failed with that message, which begins with the path where `message` does with "PATH"; destroys the tensor. */
static void fails(nd_tensor *t, nd_status status, const char *path, const char *message)
{
    char expected[1000];
    snprintf(expected, sizeof expected, "%s%s", strncmp(message, "PATH", 4) == 0 ? path : "",
             strncmp(message, "PATH", 4) == 0 ? message + 4 : message);
    ck_assert_ptr_nonnull(t);
    ck_assert_str_eq(nd_tensor_error(t), expected);
    ck_assert_int_eq(nd_tensor_status(t), status);
    nd_tensor_destroy(t);
}

/* -- numbers ------------------------------------------------------------------------------------------------------ */

START_TEST(numbers_read_as_strtod_does)
{
    static const char *const texts[] = {"0",
                                        "-0",
                                        "1",
                                        "+1.5",
                                        ".5",
                                        "5.",
                                        "-2.5e-3",
                                        "1e22",
                                        "1e23",
                                        "123456789012345678",
                                        "1e400",
                                        "1e-400",
                                        "5e-324",
                                        "2.2250738585072011e-308",
                                        "9007199254740993",
                                        "0.1",
                                        "3.14159265358979323846264338327950288",
                                        "1E+05",
                                        "1.7976931348623157e308"};
    double value;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        ck_assert_msg(nd__number_parse(texts[i], strlen(texts[i]), &value), "%s", texts[i]);
        double expected = strtod(texts[i], NULL);
        ck_assert_msg(memcmp(&value, &expected, sizeof value) == 0, "%s gave %.17g", texts[i], value);
    }
    static const char *const bad[] = {"",   "-",  ".",    "e5",    "1e",   "1e+", "1x",
                                      "1 ", " 1", "0x10", "1.2.3", "nano", "--1", "1,5"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(!nd__number_parse(bad[i], strlen(bad[i]), &value), "%s", bad[i]);
    ck_assert(nd__number_parse("-Inf", 4, &value) && value == -(double)INFINITY);
    ck_assert(nd__number_parse("NaN", 3, &value) && isnan(value));
    ck_assert(nd__number_parse("12345", 2, &value) && value == 12); /* no more than it is given */
}
END_TEST

/* Random bit patterns come back the same from their shortest text. */
START_TEST(numbers_survive_their_text)
{
    uint64_t bits = 1;
    for (int i = 0; i < 20000; i++) {
        char text[ND__NUMBER_TEXT];
        double value, back;
        bits = bits * 6364136223846793005 + 1442695040888963407;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value))
            continue;
        nd__number_text(text, value, false);
        ck_assert(nd__number_parse(text, strlen(text), &back));
        ck_assert_msg(memcmp(&value, &back, sizeof value) == 0, "%.17g became %s", value, text);
        float single = (float)value;
        if (isfinite(single)) {
            nd__number_text(text, (double)single, true);
            ck_assert(nd__number_parse(text, strlen(text), &back));
            ck_assert_msg((float)back == single, "%.9g became %s", (double)single, text);
        }
    }
    static const struct {
        double value;
        const char *text;
    } known[] = {{0, "0"},
                 {-0.0, "-0"},
                 {0.1, "0.1"},
                 {100, "100"},
                 {-2.5, "-2.5"},
                 {1e16, "1e+16"},
                 {1e15, "1000000000000000"},
                 {0.001, "0.001"},
                 {0.00001, "1e-05"},
                 {1.25e-7, "1.25e-07"},
                 {1e300, "1e+300"}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        char text[ND__NUMBER_TEXT];
        ck_assert_str_eq(nd__number_text(text, known[i].value, false), known[i].text);
    }
}
END_TEST

/* -- .npy --------------------------------------------------------------------------------------------------------- */

START_TEST(npy_round_trip)
{
    nd_shape shapes[] = {ND_SCALAR, ND_SHAPE(3), ND_SHAPE(0), ND_SHAPE(2, 3), ND_SHAPE(1, 2, 1, 2, 1, 2, 1, 2)};
    for (int dtype = 0; dtype < ND_STRING; dtype++)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            nd_tensor *t = nd_tensor_zeros((nd_dtype)dtype, shapes[s]);
            for (int64_t i = 0; i < nd_tensor_count(t); i++)
                nd_tensor_set(t, i, (double)(i + 1) * 0.75);
            const char *path = temp_path("round.npy");
            ck_assert_int_eq(nd_npy_write(path, t), ND_OK);
            nd_tensor *back = nd_npy_read(path);
            ck_assert_msg(nd_tensor_same_bits(t, back), "%s", nd_tensor_error(back));
            nd_tensor_destroy(t);
            nd_tensor_destroy(back);
        }
}
END_TEST

/* Our bytes are NumPy's: magic, version, padding to 64, the spelling of the dictionary. */
START_TEST(npy_bytes)
{
    nd_tensor *t = nd_tensor_of(ND_F32, ND_SHAPE(2), (float[]){1, -2});
    const char *path = temp_path("bytes.npy");
    ck_assert_int_eq(nd_npy_write(path, t), ND_OK);
    FILE *f = fopen(path, "rb");
    unsigned char bytes[200];
    size_t n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    ck_assert_uint_eq(n, 128 + 8);
    ck_assert_int_eq(
        memcmp(bytes, "\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }    ", 70), 0);
    ck_assert_int_eq(bytes[127], '\n');
    ck_assert_int_eq(memcmp(bytes + 128, "\x00\x00\x80\x3f\x00\x00\x00\xc0", 8), 0);
    nd_tensor_destroy(t);

    t = nd_tensor_of(ND_I32, ND_SHAPE(2, 2), (int32_t[]){1, 2, 3, 4}); /* a view is written row-major */
    nd_tensor *turned = nd_tensor_transpose(t, NULL);
    ck_assert_int_eq(nd_npy_write(path, turned), ND_OK);
    shows(nd_npy_read(path), "i32[2,2]\n[[1 3]\n [2 4]]");
    nd_tensor_destroy(turned);
    nd_tensor_destroy(t);
}
END_TEST

/* A .npy file of that header and data. */
static const char *npy(int version, const char *header, const void *data, size_t n)
{
    unsigned char bytes[500] = {
        0x93, 'N', 'U', 'M', 'P', 'Y', (unsigned char)version, 0, (unsigned char)strlen(header)};
    size_t begin = version == 1 ? 10 : 12;
    memcpy(bytes + begin, header, strlen(header));
    if (n > 0)
        memcpy(bytes + begin + strlen(header), data, n);
    return temp_write("made.npy", bytes, begin + strlen(header) + n);
}

START_TEST(npy_of_others)
{
    int32_t numbers[] = {1, 2, 3, 4, 5, 6};
    unsigned char big[] = {0, 0, 1, 0, 0xff, 0xff, 0xff, 0xfe};
    shows(nd_npy_read(npy(2, "{'descr': '<i4', 'fortran_order': False, 'shape': (3, 2), }\n", numbers, 24)),
          "i32[3,2]\n[[1 2]\n [3 4]\n [5 6]]");
    shows(nd_npy_read(npy(3, "{\"shape\":(3,2),\"fortran_order\":True,\"descr\":\"<i4\"}", numbers, 24)),
          "i32[3,2]\n[[1 4]\n [2 5]\n [3 6]]");
    shows(nd_npy_read(npy(1, "{'descr': '>i4', 'fortran_order': False, 'shape': (2L,)}", big, 8)), "i32[2] [256  -2]");
    shows(nd_npy_read(npy(1, "{'descr': '|b1', 'fortran_order': False, 'shape': (2,)}", "\x02\x00", 2)),
          "bool[2] [ True False]");
    shows(nd_npy_read(npy(1, "{'descr': '<i4', 'fortran_order': False, 'shape': ()}", numbers, 4)), "i32 1");
}
END_TEST

START_TEST(npy_bad_files)
{
    int32_t numbers[] = {1, 2, 3, 4, 5, 6};
    const char *path = npy(1, "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }", numbers, 24);
    fails(nd_npy_read(path), ND_ERR_PARSE, path,
          "PATH: the file is cut short: f64[2,3] has 48 bytes of elements, the file has 24");
    path = npy(1, "{'descr': '<f8', 'fortran_order': False, 'shape': (4000000000, 4000000000), }", numbers, 24);
    fails(nd_npy_read(path), ND_ERR_PARSE, path, "PATH: f64[4000000000,4000000000] does not fit in the address space");
    path = npy(1, "{'descr': '<c8', 'fortran_order': False, 'shape': (2,), }", numbers, 24);
    fails(nd_npy_read(path), ND_ERR_PARSE, path,
          "PATH: the header at byte 25: expected a dtype that tensors have (b1, u1, i4, u4, i8, f4, f8), got ', "
          "'fortran_order': False'");
    path = npy(1, "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }", numbers, 24);
    fails(nd_npy_read(path), ND_ERR_PARSE, path,
          "PATH: the header at byte 20: expected the dtype as a string ('<f8'), got '[('a', '<f4')], 'fortran'");
    path = npy(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (-2,), }", numbers, 24);
    fails(nd_npy_read(path), ND_ERR_PARSE, path, "PATH: the header at byte 61: expected a size, got '-2,), }'");
    path = npy(1, "{'descr': '<f4', 'shape': (2,), }", numbers, 24);
    fails(nd_npy_read(path), ND_ERR_PARSE, path,
          "PATH: the header at byte 43: expected descr, fortran_order and shape, got ''");
    path = npy(1, "{'descr': '<f4', 'fortran_order': Maybe, 'shape': (2,), }", numbers, 24);
    fails(nd_npy_read(path), ND_ERR_PARSE, path,
          "PATH: the header at byte 44: expected True or False, got 'Maybe, 'shape': (2,), }'");
    path = npy(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1), }", numbers, 24);
    fails(nd_npy_read(path), ND_ERR_PARSE, path, "PATH: the header at byte 78: expected at most 8 axes, got '), }'");
    path = npy(7, "{}", NULL, 0);
    fails(nd_npy_read(path), ND_ERR_PARSE, path, "PATH: .npy version 7.0, but only 1 to 3 are known");
    path = temp_write("cut.npy", "\x93NUMPY\x01\x00\x76\x00{'descr'", 19);
    fails(nd_npy_read(path), ND_ERR_PARSE, path,
          "PATH: the file is cut short: its header has 128 bytes, the file has 19");
    path = temp_write("other.npy", "PK\x03\x04 something else", 19);
    fails(nd_npy_read(path), ND_ERR_PARSE, path, "PATH: not a .npy file");
    path = temp_path("missing.npy");
    fails(nd_npy_read(path), ND_ERR_IO, path, "PATH: No such file or directory");
    fails(nd_npy_read(NULL), ND_ERR_ARGUMENT, "", "the path is NULL");

    nd_tensor *t = nd_tensor_zeros(ND_F32, ND_SCALAR), *s = nd_tensor_string("x");
    char expected[600];
    path = temp_path("no/folder/x.npy");
    ck_assert_int_eq(nd_npy_write(path, t), ND_ERR_IO);
    snprintf(expected, sizeof expected, "%s cannot be written: No such file or directory", path);
    ck_assert_str_eq(nd_tensor_error(t), expected);
    ck_assert_int_eq(nd_npy_write(path, s), ND_ERR_ARGUMENT);
    ck_assert_str_eq(nd_tensor_error(s), "a string does not go into a .npy file");
    ck_assert_int_eq(nd_npy_write(path, NULL), ND_ERR_MEMORY);
    nd_tensor_destroy(t);
    nd_tensor_destroy(s);
}
END_TEST

/* Every beginning of a file, and every file with one byte changed, is read or refused, never more. */
START_TEST(npy_survives_broken_files)
{
    nd_tensor *t = nd_tensor_range(ND_I32, 0, 6, 1);
    ck_assert_int_eq(nd_npy_write(temp_path("whole.npy"), t), ND_OK);
    unsigned char bytes[300];
    FILE *f = fopen(temp_path("whole.npy"), "rb");
    size_t n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    for (size_t i = 0; i < n; i++) {
        nd_tensor *cut = nd_npy_read(temp_write("broken.npy", bytes, i));
        ck_assert_int_eq(nd_tensor_status(cut), ND_ERR_PARSE);
        nd_tensor_destroy(cut);
        unsigned char old = bytes[i];
        bytes[i] = (unsigned char)(old + 1 + i % 255);
        nd_tensor_destroy(nd_npy_read(temp_write("broken.npy", bytes, n)));
        bytes[i] = old;
    }
    nd_tensor_destroy(t);
}
END_TEST

/* -- IDX ---------------------------------------------------------------------------------------------------------- */

START_TEST(idx_files)
{
    unsigned char images[] = {0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6};
    unsigned char numbers[] = {0, 0, 0x0C, 1, 0, 0, 0, 1, 0, 0, 1, 4};
    shows(nd_idx_read(temp_write("a.idx", images, sizeof images)), "u8[2,3]\n[[1 2 3]\n [4 5 6]]");
    shows(nd_idx_read(temp_write("b.idx", numbers, sizeof numbers)), "i32[1] [260]");
    const char *path = temp_path("c.idx.gz");
    gzFile gz = gzopen(path, "wb");
    ck_assert_int_eq(gzwrite(gz, images, sizeof images), sizeof images);
    gzclose(gz);
    shows(nd_idx_read(path), "u8[2,3]\n[[1 2 3]\n [4 5 6]]");
    path = temp_write("d.idx", images, 16);
    fails(nd_idx_read(path), ND_ERR_PARSE, path,
          "PATH: the file is cut short: u8[2,3] has 6 bytes of elements, the file has 4");
    path = temp_write("d.idx", images, 7);
    fails(nd_idx_read(path), ND_ERR_PARSE, path,
          "PATH: the file is cut short: its header has 12 bytes, the file has 7");
    images[2] = 9;
    path = temp_write("d.idx", images, sizeof images);
    fails(nd_idx_read(path), ND_ERR_PARSE, path, "PATH: IDX elements of type 0x09 in 2 axes are not known here");
    path = temp_write("d.idx", "no", 2);
    fails(nd_idx_read(path), ND_ERR_PARSE, path, "PATH: not an IDX file");
}
END_TEST

START_TEST(mnist_folders)
{
    const unsigned char images[] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 1, 2, 3, 4},
                        labels[] = {0, 0, 8, 1, 0, 0, 0, 2, 7, 9};
    char folder[512], expected[600];
    strcpy(folder, temp_path("")); /* its slash at the end does no harm */
    temp_write("train-images-idx3-ubyte", images, sizeof images);
    temp_write("train-labels-idx1-ubyte", labels, sizeof labels);
    nd_dataset *d = nd_dataset_mnist(folder, false);
    ck_assert_str_eq(nd_dataset_error(d), "");
    shows(nd_tensor_view(nd_dataset_array(d, "x")), "u8[2,1,2]\n[[[1 2]]\n\n [[3 4]]]");
    shows(nd_tensor_view(nd_dataset_array(d, "y")), "u8[2] [7 9]");
    nd_dataset_destroy(d);

    gzFile gz = gzopen(temp_path("t10k-images-idx3-ubyte.gz"), "wb"); /* packed, and without its labels */
    ck_assert_int_eq(gzwrite(gz, images, sizeof images), sizeof images);
    gzclose(gz);
    d = nd_dataset_mnist(folder, true);
    ck_assert_int_eq(nd_dataset_array_count(d), 1);
    ck_assert_int_eq(nd_dataset_status(d), ND_ERR_IO);
    snprintf(expected, sizeof expected, "%s/t10k-labels-idx1-ubyte.gz: No such file or directory", folder);
    ck_assert_str_eq(nd_dataset_error(d), expected);
    nd_dataset_destroy(d);
    d = nd_dataset_mnist(NULL, true);
    ck_assert_str_eq(nd_dataset_error(d), "the folder is NULL");
    nd_dataset_destroy(d);
}
END_TEST

/* -- CSV ---------------------------------------------------------------------------------------------------------- */

static const char *csv(const char *text)
{
    return temp_write("table.csv", text, strlen(text));
}

START_TEST(csv_tables)
{
    nd_tensor *y;
    shows(nd_csv_read(csv("1,2\n3,4.5\n"), NULL, NULL), "f32[2,2]\n[[1.  2. ]\n [3.  4.5]]");
    shows(nd_csv_read(csv("1;2;7\r\n\r\n3;4;8"), &(nd_csv_options){.label_column = -1}, &y),
          "f32[2,2]\n[[1 2]\n [3 4]]");
    shows(y, "i32[2] [7 8]");
    shows(nd_csv_read(csv("x\ty\tz\n1\t2\t3\n"), &(nd_csv_options){.header = true, .label_column = 2, .dtype = ND_F64},
                      &y),
          "f64[1,2]\n[[1 3]]");
    shows(y, "i32[1] [2]");
    shows(nd_csv_read(csv("150,2,setosa\nlength,kind\n  5.1 , 0\n\n4.9,1\n"),
                      &(nd_csv_options){.skip_lines = 1, .header = true, .label_column = -1}, &y),
          "f32[2,1]\n[[5.1]\n [4.9]]");
    shows(y, "i32[2] [0 1]");
    shows(nd_csv_read(csv("  1   2 \n 3\t4\n"), NULL, &y), "f32[2,2]\n[[1 2]\n [3 4]]");
    ck_assert_ptr_null(y);
    shows(nd_csv_read(csv("\xEF\xBB\xBF"
                          "1\n2\n"),
                      NULL, NULL),
          "f32[2,1]\n[[1]\n [2]]");
    shows(nd_csv_read(csv("5,1\n"), &(nd_csv_options){.label_column = 1}, NULL), "f32[1,1]\n[[1]]");
    shows(nd_csv_read(csv("1| 3 \n"), &(nd_csv_options){.separator = '|'}, NULL), "f32[1,2]\n[[1 3]]");
    const char *path = temp_path("table.csv.gz");
    gzFile gz = gzopen(path, "wb");
    gzputs(gz, "1,2\n3,4\n");
    gzclose(gz);
    shows(nd_csv_read(path, NULL, NULL), "f32[2,2]\n[[1 2]\n [3 4]]");
}
END_TEST

static const struct {
    const char *text, *message;
} bad_tables[] = {
    {"1,2,0\n3,x4,0\n", "PATH:2:3: expected a number, got \"x4\""},
    {"1,2,0\n3,4\n", "PATH:2:4: 2 fields, but the first row has 3"},
    {"1,2,0\n\n3,4,5,6\n", "PATH:3:7: more fields than the 3 of the first row"},
    {"1,,0\n", "PATH:1:3: expected a number, got an empty field"},
    {"1,2,\n", "PATH:1:5: expected a number, got an empty field"},
    {"1,2,0.5\n", "PATH:1:5: the label 0.5 is no 32-bit integer"},
    {"1,2,3000000000\n", "PATH:1:5: the label 3000000000 is no 32-bit integer"},
    {"1,2,nan\n", "PATH:1:5: the label nan is no 32-bit integer"},
    {"\n\n", "PATH:1:1: no rows"},
    {"", "PATH:1:1: no rows"},
};

START_TEST(csv_bad_rows)
{
    nd_tensor *y;
    const char *path = csv(bad_tables[_i].text);
    fails(nd_csv_read(path, &(nd_csv_options){.label_column = -1}, &y), ND_ERR_PARSE, path, bad_tables[_i].message);
    fails(y, ND_ERR_PARSE, path, bad_tables[_i].message);
}
END_TEST

START_TEST(csv_bad_calls)
{
    nd_tensor *y;
    const char *path = csv("1,2\n");
    fails(nd_csv_read(path, &(nd_csv_options){.label_column = 3}, &y), ND_ERR_ARGUMENT, path,
          "PATH: there is no column 3 for the labels: the first row has 2");
    nd_tensor_destroy(y);
    fails(nd_csv_read(path, &(nd_csv_options){.label_column = -3}, NULL), ND_ERR_ARGUMENT, path,
          "PATH: there is no column -3 for the labels: the first row has 2");
    fails(nd_csv_read(path, &(nd_csv_options){.dtype = ND_I32}, NULL), ND_ERR_ARGUMENT, path,
          "nd_csv_read: the features are f32 or f64, not i32");
    fails(nd_csv_read(path, &(nd_csv_options){.skip_lines = 1}, NULL), ND_ERR_PARSE, path, "PATH:2:1: no rows");
    path = temp_path("missing.csv");
    fails(nd_csv_read(path, NULL, NULL), ND_ERR_IO, path, "PATH: No such file or directory");
    unsigned char bytes[200];
    const char *packed = temp_path("whole.csv.gz");
    gzFile gz = gzopen(packed, "wb");
    for (int i = 0; i < 100; i++)
        gzprintf(gz, "%d,%d\n", i, i * i);
    gzclose(gz);
    FILE *f = fopen(packed, "rb");
    size_t n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    path = temp_write("cut.csv.gz", bytes, n / 2);
    fails(nd_csv_read(path, NULL, NULL), ND_ERR_PARSE, path, "PATH: the gzip file is cut short");
}
END_TEST

/* -- data sets ---------------------------------------------------------------------------------------------------- */

/* x: row i is (i, i + 0.5); y: i. */
static nd_dataset *counting(int64_t rows)
{
    nd_tensor *x = nd_tensor_zeros(ND_F32, ND_SHAPE(rows, 2)), *y = nd_tensor_range(ND_I32, 0, (double)rows, 1);
    for (int64_t i = 0; i < 2 * rows; i++)
        nd_tensor_set(x, i, (double)i / 2);
    nd_dataset *d = nd_dataset_create();
    nd_dataset_add(d, "x", x);
    nd_dataset_add(d, "y", y);
    nd_tensor_destroy(x);
    nd_tensor_destroy(y);
    return d;
}

START_TEST(datasets)
{
    nd_dataset *d = counting(10);
    ck_assert_int_eq(nd_dataset_status(d), ND_OK);
    ck_assert_int_eq(nd_dataset_rows(d), 10);
    ck_assert_int_eq(nd_dataset_array_count(d), 2);
    ck_assert_str_eq(nd_dataset_array_name(d, 1), "y");
    ck_assert_str_eq(nd_dataset_array_name(d, 2), "");
    ck_assert(nd_tensor_get(nd_dataset_array(d, "x"), 3) == 1.5);
    ck_assert_ptr_null(nd_dataset_array(d, "z"));
    nd_dataset_destroy(d);
}
END_TEST

/* nd_dataset_add of that to a good data set fails it with the message, which stays. */
static void refuses(const char *name, nd_tensor *array, nd_status status, const char *message)
{
    nd_dataset *d = counting(10);
    nd_tensor *fine = nd_tensor_zeros(ND_F32, ND_SHAPE(10));
    ck_assert_int_eq(nd_dataset_add(d, name, array), status);
    ck_assert_int_eq(nd_dataset_status(d), status);
    ck_assert_str_eq(nd_dataset_error(d), message);
    ck_assert_int_eq(nd_dataset_add(d, "fine", fine), status);
    ck_assert_ptr_null(nd_batches_create(d, 2, 1));
    ck_assert_int_eq(nd_dataset_check_labels(d, "y", 10), status);
    nd_dataset *a, *b;
    nd_dataset_split(d, 5, 1, &a, &b);
    ck_assert_int_eq(nd_dataset_status(a), status);
    ck_assert_str_eq(nd_dataset_error(b), message);
    nd_dataset_destroy(a);
    nd_dataset_destroy(b);
    nd_tensor_destroy(fine);
    nd_tensor_destroy(array);
    nd_dataset_destroy(d);
}

START_TEST(dataset_errors_stick)
{
    refuses("z", nd_tensor_zeros(ND_F32, ND_SHAPE(9)), ND_ERR_ARGUMENT, "the array \"z\" has 9 rows, but \"x\" has 10");
    refuses("x", nd_tensor_zeros(ND_F32, ND_SHAPE(10)), ND_ERR_ARGUMENT, "there are two arrays \"x\"");
    refuses("z", nd_tensor_zeros(ND_F32, ND_SCALAR), ND_ERR_ARGUMENT, "the array \"z\" is a scalar: it has no rows");
    refuses(NULL, nd_tensor_zeros(ND_F32, ND_SHAPE(10)), ND_ERR_ARGUMENT, "the name of the array is NULL");
    refuses("z", nd_tensor_at(NULL, "0"), ND_ERR_MEMORY, "out of memory");
    refuses("z", nd_tensor_string(NULL), ND_ERR_ARGUMENT, "nd_tensor_string: the text is NULL");
    ck_assert_int_eq(nd_dataset_status(NULL), ND_ERR_MEMORY);
    ck_assert_int_eq(nd_dataset_rows(NULL), 0);
    ck_assert_int_eq(nd_dataset_array_count(NULL), 0);
    ck_assert_str_eq(nd_dataset_array_name(NULL, 0), "");
    ck_assert_ptr_null(nd_dataset_array(NULL, "x"));
    ck_assert_ptr_null(nd_batches_create(NULL, 1, 1));
    ck_assert_int_eq(nd_batches_go(NULL, 0), 0);
    ck_assert_int_eq(nd_batches_per_epoch(NULL), 0);
    ck_assert_ptr_null(nd_batches_tensor(NULL, "x", 1));
    nd_batches_destroy(NULL);
    nd_dataset_destroy(NULL);
}
END_TEST

START_TEST(labels_in_range)
{
    nd_dataset *d = counting(12);
    ck_assert_int_eq(nd_dataset_check_labels(d, "y", 12), ND_OK);
    ck_assert_int_eq(nd_dataset_check_labels(d, "y", 10), ND_ERR_DATA);
    ck_assert_str_eq(nd_dataset_error(d), "the labels \"y\": row 10 has 10, but 10 classes are 0 to 9");
    nd_tensor_set_i64(nd_dataset_array(d, "y"), 3, -1);
    ck_assert_int_eq(nd_dataset_check_labels(d, "y", 12), ND_ERR_DATA);
    ck_assert_str_eq(nd_dataset_error(d), "the labels \"y\": row 3 has -1, but 12 classes are 0 to 11");
    ck_assert_int_eq(nd_dataset_check_labels(d, "x", 12), ND_ERR_ARGUMENT);
    ck_assert_str_eq(nd_dataset_error(d), "the labels \"x\" are f32, not integers");
    ck_assert_int_eq(nd_dataset_check_labels(d, "z", 12), ND_ERR_ARGUMENT);
    ck_assert_str_eq(nd_dataset_error(d), "there is no array \"z\"");
    ck_assert_int_eq(nd_dataset_status(d), ND_OK);
    nd_dataset_destroy(d);
}
END_TEST

/* Marks the rows of a part, which belong together, in seen[]. */
static void mark(const nd_dataset *part, int *seen)
{
    nd_tensor *x = nd_dataset_array(part, "x"), *y = nd_dataset_array(part, "y");
    for (int64_t i = 0; i < nd_dataset_rows(part); i++) {
        int64_t row = nd_tensor_get_i64(y, i);
        ck_assert(nd_tensor_get(x, 2 * i) == (double)row && nd_tensor_get(x, 2 * i + 1) == (double)row + 0.5);
        seen[row]++;
    }
}

START_TEST(splits)
{
    nd_dataset *d = counting(13), *train, *held, *again, *rest;
    int seen[13] = {0};
    nd_dataset_split(d, 5, 7, &train, &held);
    ck_assert_int_eq(nd_dataset_rows(held), 2);
    ck_assert_int_eq(nd_dataset_rows(train), 11);
    mark(train, seen);
    mark(held, seen);
    for (int i = 0; i < 13; i++)
        ck_assert_int_eq(seen[i], 1);
    nd_dataset_split(d, 5, 7, &rest, &again);
    ck_assert(nd_tensor_same_bits(nd_dataset_array(train, "x"), nd_dataset_array(rest, "x")));
    nd_dataset_destroy(rest);
    nd_dataset_destroy(again);
    nd_dataset_split(d, 5, 0, &rest, &again); /* in order */
    ck_assert_int_eq(nd_tensor_get_i64(nd_dataset_array(again, "y"), 0), 11);
    nd_dataset_destroy(rest);
    nd_dataset_destroy(again);
    for (int parts = 1; parts <= 100; parts += 99) {
        nd_dataset_split(d, parts, 0, &rest, &again);
        ck_assert_ptr_nonnull(strstr(nd_dataset_error(rest), "leaves a part of"));
        ck_assert_int_eq(nd_dataset_status(again), ND_ERR_ARGUMENT);
        nd_dataset_destroy(rest);
        nd_dataset_destroy(again);
    }
    nd_dataset_split(d, 0, 0, &rest, &again);
    ck_assert_str_eq(nd_dataset_error(again), "one row of 0 cannot be held back");
    nd_dataset *all[] = {d, train, held, rest, again};
    for (int i = 0; i < 5; i++)
        nd_dataset_destroy(all[i]);
}
END_TEST

/* The order is a promise: trainings resume by it. These numbers were computed apart, in Python. */
START_TEST(shuffles_as_promised)
{
    int64_t order[10];
    nd__shuffle(order, 10, 0, 3);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(order[i], i);
    nd__shuffle(order, 10, 1, 0);
    int64_t expected[10] = {1, 2, 4, 3, 5, 6, 0, 8, 7, 9};
    nd__shuffle(order, 10, 1, 1);
    int64_t later[10] = {6, 3, 2, 9, 8, 1, 4, 7, 0, 5};
    ck_assert_mem_eq(order, later, sizeof later);
    nd__shuffle(order, 10, 1, 0);
    ck_assert_mem_eq(order, expected, sizeof expected);
}
END_TEST

/* Each row lands at each place about equally often: 6000 epochs of 6 rows, 1000 expected, deviation below 30 each; 150
 * are five of them. */
START_TEST(shuffles_evenly)
{
    int counts[6][6] = {{0}};
    for (uint64_t epoch = 0; epoch < 6000; epoch++) {
        int64_t order[6];
        nd__shuffle(order, 6, 42, epoch);
        for (int place = 0; place < 6; place++)
            counts[place][order[place]]++;
    }
    for (int place = 0; place < 6; place++)
        for (int row = 0; row < 6; row++)
            ck_assert_msg(abs(counts[place][row] - 1000) < 150, "row %d at %d: %d times", row, place,
                          counts[place][row]);
}
END_TEST

START_TEST(batches)
{
    nd_dataset *d = counting(10);
    nd_batches *b = nd_batches_create(d, 4, 5);
    ck_assert_int_eq(nd_batches_per_epoch(b), 3);
    nd_tensor *x = nd_batches_tensor(b, "x", 4), *last = nd_batches_tensor(b, "y", 2);
    ck_assert_int_eq(nd_tensor_dim(x, 0), 4);
    ck_assert_int_eq(nd_tensor_dim(last, 0), 2);
    ck_assert_ptr_null(nd_batches_tensor(b, "x", 3));
    ck_assert_ptr_null(nd_batches_tensor(b, "z", 4));
    for (int epoch = 0; epoch < 3; epoch++) {
        int seen[10] = {0};
        for (int k = 0; k < 3; k++) {
            int64_t rows = nd_batches_go(b, epoch * 3 + k);
            ck_assert_int_eq(rows, k < 2 ? 4 : 2);
            nd_tensor *bx = nd_batches_tensor(b, "x", rows), *by = nd_batches_tensor(b, "y", rows);
            for (int64_t i = 0; i < rows; i++) {
                int64_t row = nd_tensor_get_i64(by, i);
                ck_assert(nd_tensor_get(bx, 2 * i) == (double)row);
                seen[row]++;
                ck_assert_int_eq(row, nd_batches_order(b, epoch)[4 * k + i]);
            }
        }
        for (int i = 0; i < 10; i++)
            ck_assert_int_eq(seen[i], 1);
    }
    ck_assert_ptr_eq(nd_batches_tensor(b, "x", 4), x); /* the same handle all the time */
    nd_batches_destroy(b);

    b = nd_batches_create(d, 32, 0); /* more than there are, in order */
    ck_assert_int_eq(nd_batches_per_epoch(b), 1);
    ck_assert_int_eq(nd_batches_go(b, 7), 10);
    ck_assert(nd_tensor_same_bits(nd_batches_tensor(b, "x", 10), nd_dataset_array(d, "x")));
    nd_batches_destroy(b);

    b = nd_batches_create(d, 4, 1);
    nd_tensor *later = nd_tensor_zeros(ND_F32, ND_SHAPE(10));
    nd_dataset_add(d, "later", later);
    nd_dataset_add(d, "still later", later);
    nd_tensor_destroy(later);
    ck_assert_int_eq(nd_batches_go(b, 0), 4);
    ck_assert_ptr_null(nd_batches_tensor(b, "later", 4));
    nd_batches_destroy(b);

    ck_assert_ptr_null(nd_batches_create(d, 0, 1));
    ck_assert_str_eq(nd_dataset_error(d), "batches of 0 rows: a batch has at least 1");
    nd_dataset_destroy(d);
    d = counting(0);
    ck_assert_ptr_null(nd_batches_create(d, 4, 1));
    ck_assert_str_eq(nd_dataset_error(d), "the data set has no rows");
    nd_dataset_destroy(d);
}
END_TEST

/* More rows than an order of them has room for, of nothing each. */
START_TEST(rows_without_end)
{
    nd_dataset *d = nd_dataset_create(), *train, *held;
    nd_tensor *x = nd_tensor_zeros(ND_U8, ND_SHAPE((int64_t)1 << 61, 0));
    ck_assert_int_eq(nd_tensor_status(x), ND_OK);
    nd_dataset_add(d, "x", x);
    nd_tensor_destroy(x);
    ck_assert_ptr_null(nd_batches_create(d, 4, 1));
    nd_dataset_split(d, 5, 1, &train, &held);
    ck_assert_int_eq(nd_dataset_status(train), ND_ERR_MEMORY);
    nd_dataset_destroy(train);
    nd_dataset_destroy(held);
    nd_dataset_destroy(d);
}
END_TEST

START_TEST(survives_out_of_memory)
{
    char path[512];
    strcpy(path, csv("1,2,0\n3,4,1\n5,6,0\n"));
    bool failed = true;
    for (int n = 0; failed && n < 200; n++) {
        failing_alloc_begin(n);
        nd_tensor *y = NULL, *x = nd_csv_read(path, &(nd_csv_options){.label_column = -1}, &y);
        nd_dataset *d = nd_dataset_create(), *train, *held;
        nd_dataset_add(d, "x", x);
        nd_dataset_add(d, "y", y);
        nd_dataset_split(d, 3, 1, &train, &held);
        nd_batches *b = nd_batches_create(train, 2, 1);
        nd_status written = nd_npy_write(temp_path("memory.npy"), x);
        nd_tensor *back = nd_npy_read(temp_path("memory.npy"));
        failed = failing_alloc_end();
        bool good = b && nd_dataset_status(held) == ND_OK && written == ND_OK && nd_tensor_status(back) == ND_OK;
        ck_assert(good == !failed);
        nd_batches_destroy(b);
        nd_dataset_destroy(d);
        nd_dataset_destroy(train);
        nd_dataset_destroy(held);
        nd_tensor *all[] = {x, y, back};
        for (int i = 0; i < 3; i++)
            nd_tensor_destroy(all[i]);
        remove(temp_path("memory.npy"));
    }
    ck_assert(!failed);
}
END_TEST

int main(void)
{
    temp_path(""); /* made before Check forks, so that one process removes it */
    Suite *suite = suite_create("data");
    TCase *t = tcase_create("data");
    tcase_add_test(t, numbers_read_as_strtod_does);
    tcase_add_test(t, numbers_survive_their_text);
    tcase_add_test(t, npy_round_trip);
    tcase_add_test(t, npy_bytes);
    tcase_add_test(t, npy_of_others);
    tcase_add_test(t, npy_bad_files);
    tcase_add_test(t, npy_survives_broken_files);
    tcase_add_test(t, idx_files);
    tcase_add_test(t, mnist_folders);
    tcase_add_test(t, csv_tables);
    tcase_add_loop_test(t, csv_bad_rows, 0, sizeof bad_tables / sizeof *bad_tables);
    tcase_add_test(t, csv_bad_calls);
    tcase_add_test(t, datasets);
    tcase_add_test(t, dataset_errors_stick);
    tcase_add_test(t, labels_in_range);
    tcase_add_test(t, splits);
    tcase_add_test(t, shuffles_as_promised);
    tcase_add_test(t, shuffles_evenly);
    tcase_add_test(t, batches);
    tcase_add_test(t, rows_without_end);
    tcase_add_test(t, survives_out_of_memory);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
