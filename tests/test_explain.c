/* Where numbers that are not finite come from: the explanations, and how a training gives them. */
#include "failing_alloc.h"
#include "nadir/compile.h"
#include "nadir/graph.h"
#include "nadir/text.h"
#include "nadir/train.h"
#include "run_suite.h"
#include "toy_program.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static nd_program *compile(const char *text, bool interpret)
{
    nd_module *m = nd_module_parse(text, "m.nd");
    ck_assert_str_eq(nd_module_error(m), "");
    nd_program *p = nd_compile(m, &(nd_compile_options){.interpret = interpret});
    ck_assert_str_eq(nd_program_error(p), "");
    nd_module_destroy(m);
    return p;
}

/* The explanation of the function "f" (x: f32[2,3]) -> one output; without its program, for free(). */
static char *explain(const char *text, bool interpret, const float x[6], const char *error)
{
    nd_program *p = compile(text, interpret);
    nd_state *state = nd_state_create(p, 1);
    nd_tensor *in = nd_tensor_of(ND_F32, ND_SHAPE(2, 3), x),
              *out = nd_tensor_zeros(nd_program_output(p, 0, 0).dtype, nd_program_output(p, 0, 0).shape);
    nd_call *call = nd_bind(p, "f", state, ND_IN(in), ND_OUT(out));
    ck_assert_str_eq(nd_program_error(p), "");
    char *words = nd_call_explain(call);
    if (error)
        ck_assert_str_eq(nd_call_error(call), error);
    nd_call_destroy(call);
    nd_tensor_destroy(in);
    nd_tensor_destroy(out);
    nd_state_destroy(state);
    nd_program_destroy(p);
    return words;
}

/* -- explanations ------------------------------------------------------------------------------------------------- */

#define HEAD "nadir 1\nmodule m\n%x: f32[2,3] = input\n"

static const struct {
    const char *text;
    float x[6];
    const char *words; /* NULL: every result is finite */
} cases[] = {
    /* Elementwise: what the operands are at the same place. */
    {HEAD "%p: f32[2,3] = sub %x, %x\n%q: f32[2,3] = log %p\n%loss = sum %q axes=[0,1]\nfn f(%x) -> (%loss)\n",
     {1, 2, 3, 4, 5, 6},
     "m.nd:5:16: log \"q\" gives -inf at [0,0], f32[2,3], of which 6 elements are not finite\n"
     "  note: operand 0, sub \"p\" f32[2,3] made at m.nd:4:16, is 0 there"},
    {HEAD "%3 = exp %x\n%loss = sum %3 axes=[0,1]\nfn f(%x) -> (%loss)\n",
     {1, 2, 3, 4, 88.8f, 6},
     "m.nd:4:6: exp %1 gives inf at [1,1], f32[2,3]\n"
     "  note: operand 0, input \"x\" f32[2,3] made at m.nd:3:16, is 88.8 there"},
    /* Others: the operands' range. */
    {HEAD "%y = matmul %x, %x trans_b\n%loss = sum %y axes=[0,1]\nfn f(%x) -> (%loss)\n",
     {1e20f, 2, 3, 4e20f, 5, 6},
     "m.nd:4:6: matmul \"y\" gives inf at [0,0], f32[2,2], of which 4 elements are not finite\n"
     "  note: operand 0, input \"x\" f32[2,3] made at m.nd:3:16, has elements from 2 to 4e+20\n"
     "  note: operand 1, input \"x\" f32[2,3] made at m.nd:3:16, has elements from 2 to 4e+20"},
    /* The NaN, and before it the infinity. */
    {HEAD "%3 = exp %x\n%4 = sub %3, %3\n%5 = tanh %4\n%loss = sum %5 axes=[0,1]\nfn f(%x) -> (%loss)\n",
     {1, 99, 3, 4, 99, 6},
     "m.nd:5:6: sub %2 gives nan at [0,1], f32[2,3], of which 2 elements are not finite\n"
     "  note: operand 0, exp %1 f32[2,3] made at m.nd:4:6, is inf there\n"
     "  note: operand 1, exp %1 f32[2,3] made at m.nd:4:6, is inf there\n"
     "  note: before it, m.nd:4:6: exp %1 gives inf at [0,1], f32[2,3], of which 2 elements are not finite\n"
     "  note: operand 0, input \"x\" f32[2,3] made at m.nd:3:16, is 99 there"},
    /* What was so before. */
    {HEAD "%loss = sum %x axes=[0,1]\nfn f(%x) -> (%loss)\n",
     {1, 2, NAN, 4, 5, 6},
     "m.nd:3:16: input \"x\" is nan at [0,2], f32[2,3]: it was given so"},
    {HEAD "%w: f32[3] = variable\n%inf: f32[3] = constant inf\n%4: f32[2,3] = broadcast %w\n%5 = add %4, %x\n"
          "%loss = sum %5 axes=[0,1]\ninit() {\n%w := %inf\n}\nfn f(%x) -> (%loss)\n",
     {0},
     "m.nd:4:14: variable \"w\" is inf at [0], f32[3], of which 3 elements are not finite: before the call"},
    /* An infinite mask is meant: the row without an end to it is not. */
    {HEAD "%mask: f32[2,3] = constant [[0, 0, -inf], [-inf, -inf, -inf]]\n%masked = add %x, %mask\n"
          "%top = reduce_max %masked axes=[1]\n%5: f32[2,1] = reshape %top\n%6: f32[2,1] = slice %5 start=[0,0] "
          "size=[2,1] step=[1,1]\n%7: f32[2,3] = broadcast %6\n%8 = sub %masked, %7\n%9 = exp %8\n"
          "%loss = sum %9 axes=[0,1]\nfn f(%x) -> (%loss)\n",
     {1, 2, 3, 4, 5, 6},
     "m.nd:10:6: sub %7 gives nan at [1,0], f32[2,3], of which 4 elements are not finite\n"
     "  note: operand 0, add \"masked\" f32[2,3] made at m.nd:5:11, is -inf there\n"
     "  note: operand 1, broadcast %6 f32[2,3] made at m.nd:9:16, is -inf there\n"
     "  note: before it, m.nd:5:11: add \"masked\" gives -inf at [0,2], f32[2,3], of which 4 elements are not finite\n"
     "  note: operand 0, input \"x\" f32[2,3] made at m.nd:3:16, is 3 there\n"
     "  note: operand 1, constant %1 f32[2,3] made at m.nd:4:19, is -inf there"},
    {HEAD "%mask: f32[2,3] = constant [[0, 0, -inf], [0, -inf, -inf]]\n%masked = add %x, %mask\n%5 = exp %masked\n"
          "%loss = sum %5 axes=[0,1]\nfn f(%x) -> (%loss)\n",
     {1, 2, 3, 4, 5, 6},
     NULL},
    /* The new value of a variable, where the outputs are finite. */
    {HEAD "%w: f32 = variable\n%two: f32 = constant 2\n%4: f32 = div %two, %w\n%loss = sum %x axes=[0,1]\n"
          "%zero: f32 = constant 0\ninit() {\n%w := %zero\n}\nfn f(%x) -> (%loss) {\n%w := %4\n}\n",
     {1, 2, 3, 4, 5, 6},
     "m.nd:6:11: div %3 gives inf, f32\n"
     "  note: operand 0, constant %2 f32 made at m.nd:5:13, is 2\n"
     "  note: operand 1, variable \"w\" f32 made at m.nd:4:11, is 0"},
    /* Functions that nodes run. */
    {HEAD "%c: f32[2,3] = input\n%d = log %c\nbody cell(%c) -> (%d)\n%y = apply %x body=cell\n"
          "%loss = sum %y axes=[0,1]\nfn f(%x) -> (%loss)\n",
     {1, 2, 3, 4, 0, 6},
     "m.nd:5:6: log \"d\" gives -inf at [1,1], f32[2,3]\n"
     "  note: operand 0, input \"c\" f32[2,3] made at m.nd:4:16, is 0 there\n"
     "  note: in \"cell\", run by the apply made at m.nd:7:6"},
    {HEAD "%c: f32 = input\n%i: f32[3] = input\n%3 = sum %i axes=[0]\n%4 = mul %c, %3\n%5 = mul %4, %4\n"
          "body cell(%c, %i) -> (%5)\n%zero: f32 = constant 1\n"
          "%y = scan %zero, %x body=cell length=2 carries=1 slices=1 reverse\nfn f(%x) -> (%y)\n",
     {1, 2, 3, 4e9f, 5e9f, 6e9f},
     "m.nd:8:6: mul %5 gives inf, f32\n"
     "  note: operand 0, mul %4 f32 made at m.nd:7:6, is 1.3499999e+21\n"
     "  note: operand 1, mul %4 f32 made at m.nd:7:6, is 1.3499999e+21\n"
     "  note: in turn 0 of 0 to 1\n"
     "  note: in \"cell\", run by the scan made at m.nd:11:6"},
    {HEAD "%three: f32[2,3] = constant 3\n%3 = lt %x, %three\n%4 = slice %3 start=[0,0] size=[1,1] step=[1,1]\n"
          "%5: bool = reshape %4\n%c: f32[2,3] = input\n%7 = div %c, %c\nbody yes(%c) -> (%c)\nbody no(%c) -> (%7)\n"
          "%y = cond %5, %x body=yes other=no\nfn f(%x) -> (%y)\n",
     {5, 2, 3, 0, 5, 6},
     "m.nd:9:6: div %6 gives nan at [1,0], f32[2,3]\n"
     "  note: operand 0, input \"c\" f32[2,3] made at m.nd:8:16, is 0 there\n"
     "  note: operand 1, input \"c\" f32[2,3] made at m.nd:8:16, is 0 there\n"
     "  note: in \"no\", run by the cond made at m.nd:12:6"},
};

START_TEST(explains)
{
    for (int interpret = 0; interpret < 2; interpret++) {
        char *words =
            explain(cases[_i].text, interpret, cases[_i].x, cases[_i].words ? NULL : "f: every result is finite");
        if (cases[_i].words)
            ck_assert_str_eq(words, cases[_i].words);
        else
            ck_assert_ptr_null(words);
        free(words);
    }
}
END_TEST

/* -- in a training ------------------------------------------------------------------------------------------------ */

/* x counts from 1. */
static nd_dataset *counting(int64_t rows)
{
    nd_dataset *d = nd_dataset_create();
    nd_tensor *x = nd_tensor_zeros(ND_F32, ND_SHAPE(rows));
    for (int64_t i = 0; i < rows; i++)
        nd_tensor_set(x, i, (double)i + 1);
    nd_dataset_add(d, "x", x);
    nd_tensor_destroy(x);
    return d;
}

/* Trains for three epochs of two batches; the error ends with `error`. The state is what so many steps leave. */
static void train_to(const char *text, const char *error)
{
    for (int interpret = 0; interpret < 2; interpret++) {
        nd_program *p = compile(text, interpret);
        nd_dataset *d = counting(5);
        nd_state *state = nd_state_create(p, 1), *other = nd_state_create(p, 1);
        nd_history *h = nd_train(p, "step", state, d, &(nd_train_options){.batch = 2, .epochs = 3});
        const char *found = nd_history_error(h);
        ck_assert_int_eq(nd_history_status(h), ND_ERR_DATA);
        ck_assert_msg(strlen(found) >= strlen(error), "%s", found);
        ck_assert_str_eq(found + strlen(found) - strlen(error), error);
        nd_history *again = nd_train(
            p, "step", other, d, &(nd_train_options){.batch = 2, .steps = nd_history_next_step(h), .any_loss = true});
        ck_assert_int_eq(nd_history_status(again), ND_OK);
        ck_assert(nd_tensor_same_bits(nd_state_tensor(state, "w"), nd_state_tensor(other, "w")));
        nd_history_destroy(h);
        nd_history_destroy(again);
        nd_state_destroy(state);
        nd_state_destroy(other);
        nd_dataset_destroy(d);
        nd_program_destroy(p);
    }
}

#define MODEL "nadir 1\nmodule m\ndim B=2\n%x: f32[B] = input\n%w: f32 = variable\n"

/* w is 4, 3, 2, 1, and 0 before step 4: the state that explains the step is not the one that it leaves. */
START_TEST(explains_a_loss)
{
    train_to(MODEL "%four: f32 = constant 4\n%one: f32 = constant 1\n%next = sub %w, %one\n"
                   "%5: f32[B] = broadcast %w\n%6 = mul %x, %5\n%7 = log %6\n%loss = sum %7 axes=[0]\n"
                   "init() {\n%w := %four\n}\nfn step(%x) -> (%loss) {\n%w := %next\n}\n",
             "step: the loss is infinite in batch 2/3 of epoch 2/3\n"
             "  m.nd:11:6: log %7 gives -inf at [0], f32[2], of which 2 elements are not finite\n"
             "  note: operand 0, mul %6 f32[2] made at m.nd:10:6, is 0 there");
}
END_TEST

/* The loss is finite for ever: the look after an epoch finds it. w is 1, 1e12, 1e24, 1e36 and infinite after step 3. */
START_TEST(explains_a_variable)
{
    train_to(MODEL "%one: f32 = constant 1\n%big: f32 = constant 1e12\n%next = mul %w, %big\n%loss = sum %x axes=[0]\n"
                   "init() {\n%w := %one\n}\nfn step(%x) -> (%loss) {\n%w := %next\n}\n",
             "step: the variable \"w\" becomes infinite in batch 1/3 of epoch 2/3\n"
             "  m.nd:8:9: mul \"next\" gives inf, f32\n"
             "  note: operand 0, variable \"w\" f32 made at m.nd:5:11, is 1.00000004e+36\n"
             "  note: operand 1, constant %3 f32 made at m.nd:7:13, is 1000000000000");
}
END_TEST

/* The variable is noticed by the loss of the step after, if not before: step 1 is the one to be explained. */
START_TEST(explains_the_step_before)
{
    train_to(MODEL
             "%one: f32 = constant 1\n%big: f32 = constant 1e20\n%next = mul %w, %big\n"
             "%5: f32[B] = broadcast %w\n%6 = tanh %5\n%7 = div %5, %5\n%8 = add %6, %7\n%loss = sum %8 axes=[0]\n"
             "init() {\n%w := %one\n}\nfn step(%x) -> (%loss) {\n%w := %next\n}\n",
             "the variable \"w\" becomes infinite in batch 2/3 of epoch 1/3\n"
             "  m.nd:8:9: mul \"next\" gives inf, f32\n"
             "  note: operand 0, variable \"w\" f32 made at m.nd:5:11, is 1e+20\n"
             "  note: operand 1, constant %3 f32 made at m.nd:7:13, is 1e+20");
}
END_TEST

/* What the data has, by its row in the shuffled data set. */
START_TEST(explains_the_data)
{
    nd_program *p = compile(MODEL "%loss = sum %x axes=[0]\nfn step(%x) -> (%loss)\n", false);
    nd_dataset *d = counting(5);
    nd_tensor_set(nd_dataset_array(d, "x"), 3, NAN);
    for (uint64_t seed = 0; seed < 5; seed++) {
        nd_history *h =
            nd_train(p, "step", NULL, d, &(nd_train_options){.batch = 2, .epochs = 3, .shuffle_seed = seed});
        ck_assert_ptr_nonnull(strstr(nd_history_error(h), "of epoch 1/3\n"
                                                          "  note: the array \"x\" of the data set has NaN in row 3\n"
                                                          "  m.nd:4:14: input \"x\" is nan at ["));
        nd_history_destroy(h);
    }
    nd_dataset_destroy(d);
    nd_program_destroy(p);
}
END_TEST

/* What is infinite from the beginning is meant. */
START_TEST(watches_what_was_finite)
{
    nd_program *p = compile(MODEL "%inf: f32 = constant -inf\n%3 = reduce_max %x axes=[0]\n%4 = max %3, %w\n"
                                  "%loss = sum %x axes=[0]\ninit() {\n%w := %inf\n}\n"
                                  "fn step(%x) -> (%loss) {\n%w := %4\n}\n",
                            false);
    nd_dataset *d = counting(4);
    nd_tensor_set(nd_dataset_array(d, "x"), 0, -1e38);
    nd_state *state = nd_state_create(p, 1);
    nd_history *h = nd_train(p, "step", state, d, &(nd_train_options){.batch = 2, .epochs = 2});
    ck_assert_str_eq(nd_history_error(h), "");
    ck_assert(*nd_state_f32(state, "w") == 4);
    nd_history_destroy(h);
    nd_state_destroy(state);
    nd_dataset_destroy(d);
    nd_program_destroy(p);
}
END_TEST

START_TEST(cannot_explain)
{
    nd_program *p = toy_program((toy_options){0});
    nd_call *call = nd_bind(p, "nothing", NULL, ND_IN(), ND_OUT());
    ck_assert_ptr_null(nd_call_explain(call));
    ck_assert_str_eq(nd_call_error(call), "nothing: the program has no graph that could explain its numbers");
    ck_assert_ptr_null(nd_call_explain(NULL));
    nd_call_destroy(call);
    nd_program_destroy(p);
}
END_TEST

START_TEST(survives_out_of_memory)
{
    nd_program *p = compile(cases[_i].text, true);
    nd_state *state = nd_state_create(p, 1);
    nd_tensor *in = nd_tensor_of(ND_F32, ND_SHAPE(2, 3), cases[_i].x),
              *out = nd_tensor_zeros(nd_program_output(p, 0, 0).dtype, nd_program_output(p, 0, 0).shape);
    nd_call *call = nd_bind(p, "f", state, ND_IN(in), ND_OUT(out));
    bool failed = true;
    for (int n = 0; failed; n++) {
        failing_alloc_begin(n);
        char *words = nd_call_explain(call);
        failed = failing_alloc_end();
        if (failed)
            ck_assert_ptr_null(words);
        free(words);
    }
    nd_call_destroy(call);
    nd_tensor_destroy(in);
    nd_tensor_destroy(out);
    nd_state_destroy(state);
    nd_program_destroy(p);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("explain");
    TCase *t = tcase_create("explain");
    tcase_add_loop_test(t, explains, 0, sizeof cases / sizeof *cases);
    tcase_add_test(t, explains_a_loss);
    tcase_add_test(t, explains_a_variable);
    tcase_add_test(t, explains_the_step_before);
    tcase_add_test(t, explains_the_data);
    tcase_add_test(t, watches_what_was_finite);
    tcase_add_test(t, cannot_explain);
    tcase_add_loop_test(t, survives_out_of_memory, 0, sizeof cases / sizeof *cases);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
