/* The parser of subscripts and the arithmetic of slices. */
#include "run_suite.h"
#include "runtime/subscript.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The items of a subscript as one line: "i1 s0:_:-1 n e". */
static const char *show(const nd__subscript *s, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (int i = 0; i < s->count && used < size; i++) {
        const nd__subscript_item *item = &s->items[i];
        char bound[3][24] = {"_", "_", "_"};
        if (item->has_start)
            snprintf(bound[0], sizeof bound[0], "%lld", (long long)item->start);
        if (item->has_stop)
            snprintf(bound[1], sizeof bound[1], "%lld", (long long)item->stop);
        if (item->has_step)
            snprintf(bound[2], sizeof bound[2], "%lld", (long long)item->step);
        const char *space = i ? " " : "";
        int n = 0;
        if (item->kind == ND__SUB_INDEX)
            n = snprintf(out + used, size - used, "%si%s", space, bound[0]);
        else if (item->kind == ND__SUB_SLICE)
            n = snprintf(out + used, size - used, "%ss%s:%s:%s", space, bound[0], bound[1], bound[2]);
        else
            n = snprintf(out + used, size - used, "%s%c", space, item->kind == ND__SUB_NEWAXIS ? 'n' : 'e');
        used += (size_t)n;
    }
    return out;
}

static const struct {
    const char *text, *items;
} good[] = {
    {"1", "i1"},
    {" -1 ", "i-1"},
    {"+2", "i2"},
    {"[1]", "i1"},
    {":", "s_:_:_"},
    {"::", "s_:_:_"},
    {"1:", "s1:_:_"},
    {":-2", "s_:-2:_"},
    {"::-1", "s_:_:-1"},
    {"1 : 2 : 3", "s1:2:3"},
    {"1:, ::-1", "s1:_:_ s_:_:-1"},
    {"0:2, -1", "s0:2:_ i-1"},
    {"None", "n"},
    {"..., None", "e n"},
    {"1,", "i1"},
    {"[..., ::2, None, 3]", "e s_:_:2 n i3"},
    {"-9223372036854775807", "i-9223372036854775807"},
    {"0,0,0,0,0,0,0,0,None,None,None,None,None,None,None,None,...", "i0 i0 i0 i0 i0 i0 i0 i0 n n n n n n n n e"},
};

START_TEST(reads)
{
    nd__subscript s;
    char message[200] = "untouched", text[200];
    ck_assert_int_eq(nd__subscript_parse(good[_i].text, NULL, &s, message, sizeof message), ND_OK);
    ck_assert_str_eq(show(&s, text, sizeof text), good[_i].items);
    ck_assert_str_eq(message, "untouched");
}
END_TEST

static const struct {
    const char *text, *message;
} bad[] = {
    {"", "column 1: expected an index, a slice, None or ..., got the end\n    \n    ^"},
    {"1, x", "column 4: expected an index, a slice, None or ..., got 'x'\n    1, x\n       ^"},
    {"1 2", "column 3: expected ',' or ']', got '2'\n    1 2\n      ^"},
    {"1:2 3", "column 5: expected ',', ':' or ']', got '3'\n    1:2 3\n        ^"},
    {"1:2:3:4", "column 6: expected ',' or ']', got ':'\n    1:2:3:4\n         ^"},
    {"::0", "column 3: a step must not be 0\n    ::0\n      ^"},
    {"1.5", "column 1: an index is an integer\n    1.5\n    ^"},
    {"3z", "column 1: an index is an integer\n    3z\n    ^"},
    {"..", "column 1: expected '...', three dots\n    ..\n    ^"},
    {"..., 1, ...", "column 9: a second '...'\n    ..., 1, ...\n            ^"},
    {"-", "column 2: expected digits after '-', got the end\n    -\n     ^"},
    {"none", "column 1: expected an index, a slice, None or ..., got 'none'\n    none\n    ^"},
    {",", "column 1: expected an index, a slice, None or ..., got ','\n    ,\n    ^"},
    {"[1", "column 3: expected ']', got the end\n    [1\n      ^"},
    {"1]", "column 2: expected the end, got ']'\n    1]\n     ^"},
    {"99999999999999999999", "column 1: the number does not fit in 64 bits\n    99999999999999999999\n    ^"},
    {"1, \xc3\xa9", "column 4: expected an index, a slice, None or ..., got '\xc3\xa9'\n    1, \xc3\xa9\n       ^"},
    {"0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0",
     "column 35: more than 17 items\n    0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0\n                                      ^"},
};

START_TEST(says_what_is_wrong)
{
    nd__subscript s;
    char message[300] = "";
    ck_assert_int_eq(nd__subscript_parse(bad[_i].text, NULL, &s, message, sizeof message), ND_ERR_PARSE);
    ck_assert_str_eq(message, bad[_i].message);
    /* A message that does not fit is cut off, never written past its end. */
    for (size_t n = 0; n < 60; n++) {
        char *small = malloc(n + 1);
        ck_assert_ptr_nonnull(small);
        small[n] = 'Z';
        ck_assert_int_eq(nd__subscript_parse(bad[_i].text, NULL, &s, small, n), ND_ERR_PARSE);
        ck_assert_int_eq(small[n], 'Z');
        ck_assert(n == 0 || strlen(small) < n);
        free(small);
    }
}
END_TEST

static bool find_batch(void *self, const char *name, size_t length, int64_t *size)
{
    *size = *(int64_t *)self;
    return length == 1 && name[0] == 'B';
}

START_TEST(stands_inside_a_text)
{
    const char *text = "x[1:B, -1] + y[C]";
    int64_t batch = 32;
    nd__subscript_names names = {find_batch, &batch};
    nd__subscript s;
    char message[200] = "", shown[100];
    size_t cursor = 2;
    ck_assert_int_eq(nd__subscript_parse_at(text, &cursor, &names, &s, message, sizeof message), ND_OK);
    ck_assert_uint_eq(cursor, 9);
    ck_assert_str_eq(show(&s, shown, sizeof shown), "s1:32:_ i-1");
    ck_assert_int_eq(s.axes, 2);
    ck_assert_uint_eq(s.items[1].column, 7);
    cursor = 15;
    ck_assert_int_eq(nd__subscript_parse_at(text, &cursor, &names, &s, message, sizeof message), ND_ERR_PARSE);
    ck_assert_uint_eq(cursor, 15);
    ck_assert_str_eq(message, "expected an index, a slice, None or ..., got 'C'");
}
END_TEST

/* Every slice with bounds around an axis of 0 to 4 elements, against the definition: walk from start by step while
 * inside. */
START_TEST(slices_as_python_does)
{
    for (int64_t n = 0; n <= 4; n++)
        for (int64_t start = -7; start <= 7; start++)
            for (int64_t stop = -7; stop <= 7; stop++)
                for (int64_t step = -3; step <= 3; step++)
                    for (int has = 0; has < 4; has++) {
                        if (step == 0)
                            continue;
                        nd__subscript_item item = {ND__SUB_SLICE, has & 1, has & 2, true, start, stop, step, 0};
                        nd__slice s = nd__slice_of(&item, n);
                        int64_t from = start < 0 ? start + n : start, to = stop < 0 ? stop + n : stop, count = 0,
                                first = 0;
                        for (int64_t k = 0; k < n; k++) { /* element k of the axis, in the order of the step */
                            int64_t i = step > 0 ? k : n - 1 - k;
                            bool after_start = !(has & 1) || (step > 0 ? i >= from : i <= from);
                            bool before_stop = !(has & 2) || (step > 0 ? i < to : i > to);
                            if (!after_start || !before_stop)
                                continue;
                            if (count == 0)
                                first = i;
                            count++;
                        }
                        int64_t distance = step > 0 ? step : -step;
                        ck_assert_int_eq(s.count, (count + distance - 1) / distance);
                        ck_assert_int_eq(s.start, first);
                        ck_assert_int_eq(s.step, step);
                    }
}
END_TEST

START_TEST(slices_with_extreme_bounds)
{
    nd__subscript_item item = {ND__SUB_SLICE, true, true, true, INT64_MAX, INT64_MIN + 1, INT64_MIN + 1, 0};
    nd__slice s = nd__slice_of(&item, 5);
    ck_assert_int_eq(s.count, 1);
    ck_assert_int_eq(s.start, 4);
    item = (nd__subscript_item){ND__SUB_SLICE, true, true, true, INT64_MIN + 1, INT64_MAX, INT64_MAX, 0};
    s = nd__slice_of(&item, INT64_MAX);
    ck_assert_int_eq(s.count, 1);
    ck_assert_int_eq(s.start, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("subscript");
    TCase *t = tcase_create("subscript");
    tcase_add_loop_test(t, reads, 0, sizeof good / sizeof *good);
    tcase_add_loop_test(t, says_what_is_wrong, 0, sizeof bad / sizeof *bad);
    tcase_add_test(t, stands_inside_a_text);
    tcase_add_test(t, slices_as_python_does);
    tcase_add_test(t, slices_with_extreme_bounds);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
