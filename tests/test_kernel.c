/* The kernel language: text, affine forms, rules, comparison. */
#include "kernel_fixture.h"
#include "matmul_kernel.h"
#include "run_suite.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static char message[400];

/* The printed text, from malloc. */
static char *text_of(const nd__kernel *k)
{
    FILE *file = tmpfile();
    ck_assert_ptr_nonnull(file);
    nd__k_print(k, file);
    long size = ftell(file);
    char *text = calloc((size_t)size + 1, 1);
    ck_assert_ptr_nonnull(text);
    rewind(file);
    ck_assert_uint_eq(fread(text, 1, (size_t)size, file), (size_t)size);
    fclose(file);
    return text;
}

static void ck_text(const nd__kernel *k, const char *expected)
{
    ck_assert_ptr_null(nd__k_verify(k, message, sizeof message));
    char *text = text_of(k);
    ck_assert_str_eq(text, expected);
    free(text);
}

#define F32(lanes)       nd__k_type(ND_F32, lanes)
#define ONE_IV(iv, coef) nd__k_plus(nd__k_at(0), iv, coef)

/* -- text ---------------------------------------------------------------------------------------------------------- */

START_TEST(prints_matmul)
{
    ck_text(matmul_kernel(&arena, "matmul"),
            "kernel matmul (x: f32[6], w: f32[48] align 64, b: f32[16] align 64, out h: f32[32] align 64)\n"
            "  %0 = const f32x8 0\n"
            "  %1 = const f32 0\n"
            "  for i0 = 0..16 by 8\n"
            "    %2..%3 = for i1 = 0..3 carry %4..%5 = %0, %0\n"
            "      %6 = load f32x8 w[i0 + 16 i1]\n"
            "      %7 = load f32 x[i1]\n"
            "      %8 = splat f32x8 %7\n"
            "      %9 = fma f32x8 %8, %6, %4\n"
            "      %10 = load f32 x[i1 + 3]\n"
            "      %11 = splat f32x8 %10\n"
            "      %12 = fma f32x8 %11, %6, %5\n"
            "      yield %9, %12\n"
            "    %13 = load f32x8 b[i0]\n"
            "    %14 = add f32x8 %2, %13\n"
            "    %15 = le f32x8 %14, %0\n"
            "    %16 = select f32x8 %15, %0, %14\n"
            "    store h[i0], %16\n"
            "    %17 = add f32x8 %3, %13\n"
            "    %18 = le f32x8 %17, %0\n"
            "    %19 = select f32x8 %18, %0, %17\n"
            "    store h[i0 + 16], %19\n");
}
END_TEST

START_TEST(prints_everything_else)
{
    static const double table[3];
    nd__kbuilder b;
    nd__kernel *k = start("all", &b);
    int32_t s = nd__k_buffer(k, "s", ND_F32, ND__K_SCRATCH, 64, 4),
            y = nd__k_buffer(k, "y", ND_F32, ND__K_INOUT, 64, 4);
    int32_t t = nd__k_table(k, "t", ND_F64, 3, table);
    ck_assert_int_eq(nd__k_table(k, "t", ND_F64, 3, table), t);
    uint64_t nan = 0x7fc00001;
    nd__kval c = nd__k_const(&b, F32(1), 0.1);
    nd__k_const(&b, nd__k_type(ND_F64, 1), 0.1);
    nd__k_const(&b, F32(1), -INFINITY);
    nd__k_const_bits(&b, F32(1), nan);
    nd__k_const(&b, nd__k_type(ND_I64, 2), -5);
    nd__k_const(&b, nd__k_type(ND_BOOL, 1), 1);
    ck_assert_int_eq(nd__k_const(&b, F32(1), 0.1), c);
    nd__kval v = nd__k_splat(&b, c, 4), out[4], both[1];
    int32_t i = nd__k_for(&b, nd__k_at(-1), nd__k_at(9), 1, 0, NULL, NULL);
    int32_t j = nd__k_for(&b, nd__k_plus(nd__k_at(1), i, 1), nd__k_plus(nd__k_at(-2), i, 2), 1, 0, NULL, NULL);
    nd__k_store(&b, s, nd__k_plus(ONE_IV(i, -1), j, -7), v, 4, 3);
    nd__kval at = nd__k_index(&b, nd__k_type(ND_I64, 1), ONE_IV(j, 1), 0);
    nd__kval lanes = nd__k_index(&b, nd__k_type(ND_I64, 2), ONE_IV(j, 1), 3);
    nd__k_loadx(&b, t, nd__k_at(0), lanes, 1, 3, 2, 0, 2);
    nd__k_storex(&b, y, ONE_IV(i, 1), v, at, 4, 16, 1, 4);
    nd__k_fetch(&b, s, ONE_IV(i, 8), false);
    nd__k_fetch(&b, y, nd__k_at(64), true);
    nd__k_end_for(&b, NULL, NULL);
    nd__k_end_for(&b, NULL, NULL);
    nd__k_transpose(&b, 4, (nd__kval[]){v, v, v, v}, out);
    nd__kval l = nd__k_lane(&b, out[1], 3), sum = nd__k_op1(&b, ND__K_tree_add, out[0]);
    nd__k_if(&b, nd__k_op2(&b, ND__K_lt, l, sum));
    nd__k_else(&b, 1, &l);
    nd__k_end_if(&b, 1, &sum, both);
    nd__k_if(&b, nd__k_op2(&b, ND__K_eq, both[0], sum));
    nd__k_store(&b, y, nd__k_at(0), nd__k_bitcast(&b, ND_F32, nd__k_convert(&b, ND_I32, sum)), 1, 1);
    nd__k_end_if(&b, 0, NULL, NULL);
    nd__k_for_apart(&b, nd__k_at(0), nd__k_at(4), 2);
    nd__k_end_for(&b, NULL, NULL);
    ck_text(k, "kernel all (scratch s: f32[64], inout y: f32[64])\n"
               "  table t: f64[3]\n"
               "  %0 = const f32 0.1\n"
               "  %1 = const f64 0.1\n"
               "  %2 = const f32 -inf\n"
               "  %3 = const f32 nan(0x7fc00001)\n"
               "  %4 = const i64x2 -5\n"
               "  %5 = const bool true\n"
               "  %6 = const f32x4 0.1\n"
               "  for i0 = -1..9\n"
               "    for i1 = i0 + 1..2 i0 - 2\n"
               "      store s[-i0 - 7 i1], %6 stride 4 count 3\n"
               "      %7 = index i64 [i1]\n"
               "      %8 = index i64x2 [i1] stride 3\n"
               "      %9 = loadx f64x2 t[0 + %8] where %8 < 3 stride 0\n"
               "      storex y[i0 + 4 %7], %6 where %7 < 16\n"
               "      fetch s[8 i0]\n"
               "      fetch y[64] to write\n"
               "  %10..%13 = transpose f32x4 %6, %6, %6, %6\n"
               "  %14 = lane f32 %11[3]\n"
               "  %15 = tree_add f32 %10\n"
               "  %16 = lt f32 %14, %15\n"
               "  %17 = if %16\n"
               "    yield %14\n"
               "  else\n"
               "    yield %15\n"
               "  %18 = eq f32 %17, %15\n"
               "  if %18\n"
               "    %19 = convert i32 %15\n"
               "    %20 = bitcast f32 %19\n"
               "    store y[0], %20\n"
               "  for apart i2 = 0..4 by 2\n");
}
END_TEST

/* -- affine forms -------------------------------------------------------------------------------------------------- */

START_TEST(affine_forms)
{
    nd__kaffine a = nd__k_plus(nd__k_plus(nd__k_plus(nd__k_at(3), 5, 2), 1, 7), 3, 1);
    ck_assert_int_eq(a.count, 3);
    ck_assert_int_eq(a.terms[0].iv, 1);
    ck_assert_int_eq(a.terms[1].iv, 3);
    ck_assert_int_eq(a.terms[2].coef, 2);
    a = nd__k_sum(nd__k_scaled(a, -2), nd__k_plus(nd__k_at(1), 3, 2));
    ck_assert_int_eq(a.count, 2);
    ck_assert_int_eq(a.constant, -5);
    ck_assert_int_eq(a.terms[0].coef, -14);
    ck_assert_int_eq(a.terms[1].iv, 5);
    ck_assert_int_eq(nd__k_scaled(a, 0).count, 0);
    nd__kaffine many = nd__k_at(0);
    for (int i = 0; i <= ND__MAX_TERMS; i++)
        many = nd__k_plus(many, i, 1);
    ck_assert_int_gt(many.count, ND__MAX_TERMS);
    ck_assert_int_gt(nd__k_sum(a, many).count, ND__MAX_TERMS);
    ck_assert_int_gt(nd__k_scaled(nd__k_at(INT64_MAX), 2).count, ND__MAX_TERMS);
    ck_assert_int_gt(nd__k_plus(ONE_IV(1, INT64_MAX), 1, 1).count, ND__MAX_TERMS);
    ck_assert_int_gt(nd__k_sum(nd__k_at(INT64_MAX), nd__k_at(1)).count, ND__MAX_TERMS);
}
END_TEST

/* -- rules --------------------------------------------------------------------------------------------------------- */

/* A valid kernel, then one thing in it is broken. */
typedef struct sample {
    nd__kernel *k;
    nd__kinst *zero, *loop, *load, *splat, *fma, *yield, *store, *branch, *lane;
} sample;

static nd__kinst *find(nd__kblock *block, nd__kop op)
{
    for (nd__kinst *i = block->first; i; i = i->next) {
        nd__kinst *inside;
        if (i->op == op)
            return i;
        if ((inside = find(&i->body, op)) || (inside = find(&i->other, op)))
            return inside;
    }
    return NULL;
}

static sample make_sample(void)
{
    nd__kbuilder b;
    nd__kernel *k = start("s", &b);
    int32_t x = nd__k_buffer(k, "x", ND_F32, ND__K_IN, 8, 4), y = nd__k_buffer(k, "y", ND_F32, ND__K_OUT, 8, 4);
    nd__kval zero = nd__k_const(&b, F32(4), 0), acc, last;
    int32_t i = nd__k_for(&b, nd__k_at(0), nd__k_at(8), 1, 1, &zero, &acc);
    nd__kval one = nd__k_splat(&b, nd__k_load(&b, x, ONE_IV(i, 1), 1, 1, 1), 4);
    nd__kval next = nd__k_op3(&b, ND__K_fma, one, one, acc);
    nd__k_end_for(&b, &next, &last);
    nd__kval first = nd__k_lane(&b, last, 0), second = nd__k_lane(&b, last, 1), result;
    nd__k_if(&b, nd__k_op2(&b, ND__K_lt, first, second));
    nd__k_else(&b, 1, &first);
    nd__k_end_if(&b, 1, &second, &result);
    nd__k_store(&b, y, nd__k_at(0), result, 1, 1);
    ck_assert_ptr_null(nd__k_verify(k, message, sizeof message));
    return (sample){k,
                    k->body.first,
                    find(&k->body, ND__K_for),
                    find(&k->body, ND__K_load),
                    find(&k->body, ND__K_splat),
                    find(&k->body, ND__K_fma),
                    find(&k->body, ND__K_yield),
                    find(&k->body, ND__K_store),
                    find(&k->body, ND__K_if),
                    find(&k->body, ND__K_lane)};
}

/* The message ends in `what`, after the kernel's name and an instruction. */
static void ck_broken(const sample *s, const char *what)
{
    const char *error = nd__k_verify(s->k, message, sizeof message);
    ck_assert_msg(error != NULL, "no error; expected: %s", what);
    ck_assert_int_eq(strncmp(error, "kernel s: `", 11), 0);
    ck_assert_str_eq(error + strlen(error) - strlen(what), what);
}

#define BREAK(what, ...)                                                                                               \
    do {                                                                                                               \
        sample s = make_sample();                                                                                      \
        __VA_ARGS__;                                                                                                   \
        ck_broken(&s, what);                                                                                           \
    } while (0)

START_TEST(refuses_broken_kernels)
{
    BREAK("no such op", s.fma->op = ND__K_OPS);
    BREAK("another number of operands than the op takes", s.fma->op = ND__K_add);
    BREAK("an operand that does not exist", s.fma->args[0] = 1000);
    BREAK("an operand that is not defined before", s.splat->args[0] = s.fma->result);
    BREAK("an operand that is out of scope", s.store->args[0] = s.splat->result);
    BREAK("an operand that is out of scope", s.store->args[0] = s.loop->carried);
    BREAK("a value that is defined twice", s.fma->result = s.splat->result);
    BREAK("no such result", s.fma->result = 1000);
    BREAK("another number of results than the op gives", s.fma->result_count = 0);
    BREAK("a result of another type than the instruction", s.k->types[s.fma->result].dtype = ND_F64);
    BREAK("a result of another type than the instruction", s.zero->type.lanes = 8);
    BREAK("a type that is none", s.load->type.lanes = 3);
    BREAK("a type that is none", s.load->type.dtype = ND_STRING);
    BREAK("an operand of a dtype that the op does not take", s.fma->op = ND__K_mod, s.fma->arg_count = 2);
    BREAK("operands of different types", s.fma->args[1] = s.load->result);
    BREAK("a splat that is not from a scalar to a vector", s.splat->args[0] = s.zero->result);
    BREAK("no such lane", s.lane->imm = 4);
    BREAK("a constant with more bits than its dtype", s.zero->imm = (uint64_t)1 << 32);
    BREAK("no address", s.load->addr = NULL);
    BREAK("no such buffer", s.load->addr->buffer = 2);
    BREAK("the value's dtype is not the buffer's", s.k->buffers[0].dtype = ND_I32);
    BREAK("a store to a buffer that is only read", s.store->addr->buffer = 0);
    BREAK("a count of lanes outside [1, lanes]", s.load->addr->count = 2);
    BREAK("a count of lanes outside [1, lanes]", s.load->addr->count = 0);
    BREAK("an induction variable that is not in scope", s.store->addr->at = s.load->addr->at);
    BREAK("an induction variable that is not in scope", *s.loop->hi = s.load->addr->at);
    BREAK("an induction variable that is not in scope", s.load->addr->at.terms[0].iv = 7);
    BREAK("an affine form whose terms are not in order, or 0", s.load->addr->at.terms[0].coef = 0);
    BREAK("an affine form with too many terms, or one that overflowed", s.loop->lo->count = ND__MAX_TERMS + 1);
    BREAK("no bounds", s.loop->hi = NULL);
    BREAK("no such induction variable", s.loop->iv = 1);
    BREAK("a step below 1", s.loop->step = 0);
    BREAK("another number of results than of values carried", s.loop->result_count = 0);
    BREAK("a carried value of another type than its initial value", s.k->types[s.loop->carried].lanes = 8);
    BREAK("a body that does not end with a yield", s.fma->next = NULL, s.loop->body.last = s.fma);
    BREAK("a yield of another number of values", s.yield->arg_count = 0);
    BREAK("a yield of a value of another type", s.yield->args[0] = s.load->result);
    BREAK("a yield that does not end a body", s.yield->next = s.fma, s.loop->body.first = s.yield, s.fma->next = NULL,
          s.loop->body.last = s.fma);
    BREAK("a yield that does not end a body", s.zero->op = ND__K_yield);
    BREAK("a block whose end is not its last instruction", s.loop->body.last = s.load);
    BREAK("a branch on something that is no bool scalar", s.branch->args[0] = s.lane->result);
    BREAK("a body where none belongs", s.store->body = s.loop->body);
    BREAK("a store's type is not its value's", s.store->type.lanes = 4);
}
END_TEST

START_TEST(refuses_broken_buffers)
{
    static const float data[1];
    sample s = make_sample();
    s.k->buffers[1].data = data;
    ck_assert_str_eq(nd__k_verify(s.k, message, sizeof message),
                     "kernel s: buffer y: data in a buffer that is an argument");
    s.k->buffers[1].data = NULL;
    s.k->buffers[0].align = 6;
    ck_assert_str_eq(nd__k_verify(s.k, message, sizeof message),
                     "kernel s: buffer x: an alignment that is no power of two, or below the element's size");
    s.k->buffers[0].align = 4;
    s.k->buffers[0].elems = INT64_MAX;
    ck_assert_str_eq(nd__k_verify(s.k, message, sizeof message), "kernel s: buffer x: an impossible extent");
    s.k->failed = true;
    ck_assert_str_eq(nd__k_verify(s.k, message, sizeof message),
                     "kernel s: memory ran out while it was built, or something impossible was asked for");
    ck_assert_ptr_nonnull(nd__k_verify(NULL, message, sizeof message));
}
END_TEST

START_TEST(message_shows_the_instruction)
{
    sample s = make_sample();
    s.fma->args[1] = s.load->result;
    ck_assert_str_eq(nd__k_verify(s.k, message, sizeof message),
                     "kernel s: `%5 = fma f32x4 %4, %3, %2`: operands of different types");
}
END_TEST

/* -- comparison ---------------------------------------------------------------------------------------------------- */

START_TEST(compares)
{
    nd__kernel *a = matmul_kernel(&arena, "a"), *b = matmul_kernel(&arena, "b");
    ck_assert(nd__k_equal(a, b));
    ck_assert_uint_eq(nd__k_hash(a), nd__k_hash(b));
    ck_assert_int_eq(nd__k_size(a), 22);
    nd__kinst *load = find(&b->body, ND__K_load), *add = find(&b->body, ND__K_add), *loop = find(&b->body, ND__K_for);
#define DIFFERS(change, back)                                                                                          \
    change;                                                                                                            \
    ck_assert(!nd__k_equal(a, b));                                                                                     \
    ck_assert_uint_ne(nd__k_hash(a), nd__k_hash(b));                                                                   \
    back;                                                                                                              \
    ck_assert(nd__k_equal(a, b))
    DIFFERS(load->addr->at.constant = 1, load->addr->at.constant = 0);
    DIFFERS(load->addr->lane_stride = 2, load->addr->lane_stride = 1);
    DIFFERS(add->op = ND__K_sub, add->op = ND__K_add);
    DIFFERS(loop->hi->constant = 15, loop->hi->constant = 16);
    DIFFERS(loop->least = 0, loop->least = INT64_MIN);
    DIFFERS(loop->most = 8, loop->most = INT64_MAX);
    DIFFERS(loop->body.first->step = 2, loop->body.first->step = 1);
    DIFFERS(b->buffers[0].elems = 7, b->buffers[0].elems = 6);
    DIFFERS(b->buffers[0].align = 64, b->buffers[0].align = 4);
    DIFFERS(b->body.first->imm = 1, b->body.first->imm = 0);
    nd__kval saved = add->args[0];
    DIFFERS(add->args[0] = add->args[1], add->args[0] = saved);
#undef DIFFERS
}
END_TEST

START_TEST(compares_tables_by_content)
{
    static const float one[2] = {1, 2}, same[2] = {1, 2}, other[2] = {1, 3};
    const float *data[] = {one, same, other};
    nd__kernel *k[3];
    for (int i = 0; i < 3; i++) {
        nd__kbuilder b;
        k[i] = start("t", &b);
        nd__k_table(k[i], "t", ND_F32, 2, data[i]);
    }
    ck_assert(nd__k_equal(k[0], k[1]));
    ck_assert_uint_eq(nd__k_hash(k[0]), nd__k_hash(k[1]));
    ck_assert(!nd__k_equal(k[0], k[2]));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kernel");
    TCase *tcase = tcase_create("kernel");
    tcase_add_checked_fixture(tcase, begin, end);
    tcase_add_test(tcase, prints_matmul);
    tcase_add_test(tcase, prints_everything_else);
    tcase_add_test(tcase, affine_forms);
    tcase_add_test(tcase, refuses_broken_kernels);
    tcase_add_test(tcase, refuses_broken_buffers);
    tcase_add_test(tcase, message_shows_the_instruction);
    tcase_add_test(tcase, compares);
    tcase_add_test(tcase, compares_tables_by_content);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
