/* Texts that are none: an error that names the place. */
#include "nadir/text.h"
#include "run_suite.h"
#include "runtime/text.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define HEAD "nadir 1\nmodule m\n"
#define XY   HEAD "%x: f32[2,3] = input\n%y: f32[3,2] = input\n"

static const struct {
    const char *text, *error;
} wrong_texts[] = {
    {"", "t.nd:1:1: expected the version line 'nadir 1', found the end of the text"},
    {"nadir 2\n", "t.nd:1:7: expected version 1 of the text, found '2'"},
    {"nadir 1 module m", "t.nd:1:9: expected the end of the line, found 'module'"},
    {"nadir 1\nmodule 9lives", "t.nd:2:8: expected the module's name, found '9lives'"},
    {"nadir 1\nmodule a/b", "t.nd:2:8: module name \"a/b\": expected a letter, then letters, digits, _ or -"},
    {"nadir 1\nmodule m seed=-1", "t.nd:2:15: expected a seed of 64 bits, found '-1'"},
    {"nadir 1\nmodule m seed=0x1ffffffffffffffff",
     "t.nd:2:15: expected a seed of 64 bits, found '0x1ffffffffffffffff'"},
    {HEAD "hello", "t.nd:3:1: expected a value (%name or %number), dim, body, fn or init, found 'hello'"},
    {HEAD "\x01", "t.nd:3:1: expected a value (%name or %number), dim, body, fn or init, found the byte 0x01"},
    {HEAD "% = x",
     "t.nd:3:1: expected a value (%name or %number), dim, body, fn or init, found a % without a name or number"},
    {HEAD "@",
     "t.nd:3:1: expected a value (%name or %number), dim, body, fn or init, found a character that means nothing here"},
    {HEAD "dim B=-1", "t.nd:3:5: dimension \"B\": the value -1 is not a size"},
    {HEAD "dim B=1\ndim B=2", "t.nd:4:5: dimension \"B\" has the value 1, now it is given as 2"},
    {HEAD "dim a.b=1", "t.nd:3:5: dimension \"a.b\": expected a letter, then letters, digits or _"},
    /* types and sizes */
    {HEAD "%x: f16 = input",
     "t.nd:3:5: expected a type (bool, u8, i32, u32, i64, f32 or f64, then the sizes: f32[2,3]), found 'f16'"},
    {HEAD "%x: f32[1,1,1,1,1,1,1,1,1] = input", "t.nd:3:25: expected at most 8 sizes, found '1'"},
    {HEAD "%x: f32[B] = input", "t.nd:3:9: there is no dimension \"B\"; \"dim B=...\" declares it"},
    {HEAD "%x: f32[-1] = input", "t.nd:3:9: expected a size, found '-1'"},
    {HEAD "%x: f32[2305843009213693952] = input", "t.nd:3:9: expected a size, found '2305843009213693952'"},
    {HEAD "%x: f32[2000000000*2000000000] = input", "t.nd:3:9: the size is too large, or of more than 8 names"},
    {HEAD "%x: f32[2000000000,2000000000] = input",
     "t.nd:3:34: input: the result f32[2000000000,2000000000] is too large"},
    {HEAD "%x: f32[2", "t.nd:3:10: expected ']', found the end of the text"},
    /* values */
    {XY "%x: f32 = input", "t.nd:5:1: %x is defined already"},
    {XY "%a, %a = add %x, %x", "t.nd:5:1: add gives 1 values, this line names 2"},
    {XY "%z: f32 = neg %later", "t.nd:5:15: %later is not defined before this line"},
    {XY "%z \"name\": f32 = neg %x", "t.nd:5:4: expected '=', found \"name\""},
    {XY "%0 \"na\\me\": f32 = neg %x",
     "t.nd:5:4: expected \\\", \\\\ or \\x and two hexadecimal digits (not 00) behind the backslash"},
    {XY "%0 \"q\\\"\": f32[2,3] = neg %x",
     "t.nd:5:22: nd_name: a name has no quotes, backslashes or control characters"},
    {XY "%0 \"name: f32 = neg %x\n", "t.nd:5:4: expected '=', found a string that does not end on its line"},
    /* ops */
    {XY "%z = matmull %x, %y", "t.nd:5:6: unknown op 'matmull', did you mean 'matmul'?"},
    {XY "%z = sigmiod %x", "t.nd:5:6: unknown op 'sigmiod', did you mean 'sigmoid'?"},
    {XY "%z = transformer %x", "t.nd:5:6: unknown op 'transformer'"},
    {XY "%z = poison", "t.nd:5:6: unknown op 'poison'"},
    {XY "%z = %x", "t.nd:5:6: expected an op, found %x"},
    {XY "%z: f32[3,2] = add %x, %x", "t.nd:5:1: %z is said to be f32[3,2], but add gives f32[2,3]"},
    {XY "%z = add %x",
     "t.nd:5:6: add: expected 2 operands, got 1\n  note: operand 0, \"x\" f32[2,3], is the input made at t.nd:3:16"},
    {XY "%z = add %x, %y", "t.nd:5:6: add: shapes differ, f32[2,3] and f32[3,2]\n"
                           "  note: operand 0, \"x\" f32[2,3], is the input made at t.nd:3:16\n"
                           "  note: operand 1, \"y\" f32[3,2], is the input made at t.nd:4:16"},
    {XY "%z = add %x, ", "t.nd:5:14: expected a value (%name or %number), found the end of the text"},
    {XY "%z: f32 = input %x", "t.nd:5:11: input: expected 0 operands, got 1"},
    {HEAD "%0: f32 = input", "t.nd:3:11: nd_input: the name is missing"},
    {HEAD "%0: f32 = variable",
     "t.nd:3:11: variable \"\": a name has one character or more, no spaces, quotes or backslashes"},
    {HEAD "dim B=2\n%w: f32[B] = variable",
     "t.nd:4:14: variable \"w\": axis 0 has the named size B=2, a variable keeps its shape when dimensions are bound"},
    {HEAD "%w: f32 = variable\n%0: f32 = variable variable=\"w\"",
     "t.nd:4:11: variable \"w\": there is one of that name\n  note: it was declared at t.nd:3:11"},
    /* attributes */
    {XY "%z = cast %x", "t.nd:5:1: cast needs a type: %z: f32[2,3] = cast"},
    {XY "%z = sum %x", "t.nd:5:12: expected the attribute axes of sum, found the end of the text"},
    {XY "%z = sum %x axis=0", "t.nd:5:13: expected the end of the line or an attribute of sum (axes), found 'axis'"},
    {XY "%z = matmul %x, %y band=c[0,1]", "t.nd:5:25: expected what has the band (a, b, result), found 'c'"},
    {XY "%z = matmul %x, %y band=a[0,inf]", "t.nd:5:29: expected a whole number or '*', found 'inf'"},
    {XY "%z = matmul %x, %y band=a[*,0,1]", "t.nd:5:30: expected ']', found ','"},
    {XY "%z = neg %x axis=0", "t.nd:5:13: expected the end of the line (neg has no attributes), found 'axis'"},
    {XY "%z = matmul %x, %y trans_a trans_a", "t.nd:5:28: trans_a is given twice"},
    {XY "%z = sum %x axes=[1,0]", "t.nd:5:6: sum: axes are not ascending, or one is named twice\n"
                                  "  note: operand 0, \"x\" f32[2,3], is the input made at t.nd:3:16"},
    {XY "%z = sum %x axes=[0,1,2,3,4,5,6,7,8]", "t.nd:5:35: expected at most 8 numbers, found '8'"},
    {XY "%z = sum %x axes=[x]", "t.nd:5:19: expected a whole number, found 'x'"},
    {XY "%z = argmax %x axis=99999999999999999999", "t.nd:5:21: expected a whole number, found '99999999999999999999'"},
    {XY "%z = pad %x low=[0,0] high=[2305843009213693952,0] interior=[0,0] value=0",
     "t.nd:5:6: pad: axis 0 becomes too large\n  note: operand 0, \"x\" f32[2,3], is the input made at t.nd:3:16"},
    {XY "%z = pad value=0", "t.nd:5:16: expected an operand first, found '0'"},
    /* constants */
    {HEAD "%0 = constant 1", "t.nd:3:1: constant needs a type: %0: f32[2,3] = constant"},
    {HEAD "%0: f32 = constant", "t.nd:3:19: expected an element of f32, found the end of the text"},
    {HEAD "%0: f32 = constant 1e99", "t.nd:3:20: expected an element of f32, found '1e99'"},
    {HEAD "%0: u8 = constant 256", "t.nd:3:19: expected an element of u8, found '256'"},
    {HEAD "%0: i32 = constant 1.5", "t.nd:3:20: expected an element of i32, found '1.5'"},
    {HEAD "%0: bool = constant 1", "t.nd:3:21: expected an element of bool, found '1'"},
    {HEAD "%0: f32 = constant bits(0x1ffffffff)",
     "t.nd:3:25: expected the bits of an element of f32, in hexadecimal after 0x, found '0x1ffffffff'"},
    {HEAD "%0: f32 = constant [1]", "t.nd:3:21: expected one element, found '1'"},
    {HEAD "%0: f32[2,2] = constant [[1, 2], [3]]",
     "t.nd:3:36: expected 2 elements along axis 1: ',' behind element 0, found ']'"},
    {HEAD "%0: f32[2] = constant [1, 2, 3]", "t.nd:3:28: expected 2 elements along axis 0 and ']', found ','"},
    {HEAD "%0: f32[2] = constant [[[[[[[[[[", "t.nd:3:24: expected an element of f32, found '['"},
    {HEAD "%0: f32[9000000000000,9000000000000] = constant [1]",
     "t.nd:3:50: expected a shape that is not too large, found '1'"},
    /* functions */
    {XY "fn f(%x) -> (%y)", "t.nd:5:4: function \"f\" needs the input \"y\", which is not among its inputs\n  note: "
                            "\"y\" was made at t.nd:4:16"},
    {XY "fn f(%x, %x) -> ()", "t.nd:5:4: function \"f\": two inputs are named \"x\""},
    {XY "%n = neg %x\nfn f(%n) -> ()", "t.nd:6:4: function \"f\": input 0, \"n\", was made by neg, not by nd_input"},
    {XY "fn f() -> ()\nfn f() -> ()",
     "t.nd:6:4: function \"f\": there is one of that name\n  note: it was made at t.nd:5:4"},
    {XY "fn init() -> ()", "t.nd:5:4: function \"init\": the name is taken by what sets the variables"},
    {XY "fn f()", "t.nd:5:7: expected '->', found the end of the text"},
    {XY "fn f() -> () {\n  %x := %y\n}", "t.nd:6:3: assign: \"x\" was made by input, it is no variable"},
    {XY "%w: f32[2,3] = variable\nfn f(%x) -> () {\n%w := %x\n%w := %x\n}",
     "t.nd:8:1: assign: \"w\" already gets a value in the function \"f\"\n  note: the other assignment is at t.nd:7:1"},
    {XY "%z = apply %x body=f", "t.nd:5:20: there is no function \"f\" before this line"},
    {XY "body f(%x) -> (%x)\n%z = apply %y body=f",
     "t.nd:6:6: apply: \"f\" takes f32[2,3] for its input \"x\", got f32[3,2]\n"
     "  note: operand 0, \"y\" f32[3,2], is the input made at t.nd:4:16"},
    {XY "body f(%x) -> (%x)\n%z = scan %x body=f length=1 carries=9223372036854775807 slices=1",
     "t.nd:6:6: scan: the body \"f\" takes 1 values, got 9223372036854775807 carried and 1 sliced of 1\n"
     "  note: operand 0, \"x\" f32[2,3], is the input made at t.nd:3:16"},
    {XY "body f(%x) -> ()\n%z = apply %x body=f", "t.nd:6:1: apply gives no values, this line names 1"},
    /* initial values */
    {XY "init(%x) {\n}", "t.nd:5:1: init takes the seed, an input of u32[2], or nothing"},
    {XY "init() {\n}\ninit() {\n}", "t.nd:7:1: the initial values are given twice"},
    {XY "%w: f32[2,3] = variable\ninit() {\n  %w := %x\n}",
     "function \"init\" needs the input \"x\", which is not among its inputs\n  note: \"x\" was made at t.nd:3:16"},
    {XY "%w: f32[2,3] = variable\n%v: f32[2,3] = variable\ninit() {\n  %w := %v\n}",
     "function \"init\" needs the variable \"v\", which is not among its inputs\n  note: \"v\" was made at t.nd:6:16"},
};

START_TEST(errors)
{
    nd__text different = {0};
    for (size_t i = 0; i < sizeof wrong_texts / sizeof *wrong_texts; i++) {
        nd_module *m = nd_module_parse(wrong_texts[i].text, "t.nd");
        if (strcmp(nd_module_error(m), wrong_texts[i].error) != 0)
            nd__text_add(&different, "\n%s\n-- expected:\n%s\n-- got:\n%s\n", wrong_texts[i].text, wrong_texts[i].error,
                         nd_module_error(m));
        nd_module_destroy(m);
    }
    ck_assert_msg(!different.data, "%s", different.data);
    nd__text_release(&different);
}
END_TEST

START_TEST(deep_nesting)
{
    char *text = malloc(400000);
    static const char *const starts[] = {HEAD "%0: f32[1,1,1,1,1,1,1,1] = constant ", HEAD "%0: f32", HEAD "%0 = sum ",
                                         HEAD "fn f"};
    static const char opened[] = "[(";
    for (int i = 0; i < 4; i++) {
        strcpy(text, starts[i]);
        const size_t n = strlen(text);
        memset(text + n, opened[i == 3], 300000);
        text[n + 300000] = '\0';
        nd_module *m = nd_module_parse(text, NULL);
        ck_assert_int_eq(nd_module_status(m), ND_ERR_PARSE);
        nd_module_destroy(m);
    }
    free(text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("text_errors");
    TCase *t = tcase_create("text_errors");
    tcase_add_test(t, errors);
    tcase_add_test(t, deep_nesting);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
