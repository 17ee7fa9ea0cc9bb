/* The kernel language: text, rules, comparison, and the evaluator against plain C. */
#include "compiler/kernel/kernel.h"
#include "failing_alloc.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static nd__arena arena;
static char message[400];

static void begin(void)
{
    arena = (nd__arena){0};
}

static void end(void)
{
    nd__arena_release(&arena);
}

static nd__kernel *start(const char *name, nd__kbuilder *b)
{
    nd__kernel *k = nd__k_create(&arena, name);
    *b = nd__k_builder(k);
    return k;
}

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

static void ck_runs(const nd__kernel *k, void *const *buffers)
{
    const char *error = nd__k_eval(k, buffers, message, sizeof message);
    ck_assert_msg(!error, "%s", error);
}

static void ck_fails(const nd__kernel *k, void *const *buffers, const char *expected)
{
    const char *error = nd__k_eval(k, buffers, message, sizeof message);
    ck_assert_ptr_nonnull(error);
    ck_assert_str_eq(error, expected);
}

#define F32(lanes) nd__k_type(ND_F32, lanes)
#define ONE_IV(iv, coef) nd__k_plus(nd__k_at(0), iv, coef)

/* -- text ------------------------------------------------------------------------------------------------------------- */

/* h[2,16] = relu(x[2,3] w[3,16] + b[16]), two rows at once. */
static nd__kernel *matmul(const char *name)
{
    nd__kbuilder b;
    nd__kernel *k = start(name, &b);
    int32_t x = nd__k_buffer(k, "x", ND_F32, ND__K_IN, 6, 4), w = nd__k_buffer(k, "w", ND_F32, ND__K_IN, 48, 64);
    int32_t bias = nd__k_buffer(k, "b", ND_F32, ND__K_IN, 16, 64), h = nd__k_buffer(k, "h", ND_F32, ND__K_OUT, 32, 64);
    nd__kval zero = nd__k_const(&b, F32(8), 0), acc[2], next[2], sum[2];
    int32_t j = nd__k_for(&b, nd__k_at(0), nd__k_at(16), 8, 0, NULL, NULL);
    int32_t p = nd__k_for(&b, nd__k_at(0), nd__k_at(3), 1, 2, (nd__kval[]){zero, zero}, acc);
    nd__kval row = nd__k_load(&b, w, nd__k_plus(ONE_IV(j, 1), p, 16), 8, 1, 8);
    for (int r = 0; r < 2; r++) {
        nd__kval one = nd__k_load(&b, x, nd__k_plus(nd__k_at(3 * r), p, 1), 1, 1, 1);
        next[r] = nd__k_op3(&b, ND__K_fma, nd__k_splat(&b, one, 8), row, acc[r]);
    }
    nd__k_end_for(&b, next, sum);
    nd__kval offset = nd__k_load(&b, bias, ONE_IV(j, 1), 8, 1, 8);
    for (int r = 0; r < 2; r++) {
        nd__kval y = nd__k_op2(&b, ND__K_add, sum[r], offset);
        nd__kval cut = nd__k_op2(&b, ND__K_le, y, nd__k_splat(&b, nd__k_const(&b, F32(1), 0), 8));
        y = nd__k_op3(&b, ND__K_select, cut, zero, y);
        nd__k_store(&b, h, nd__k_plus(nd__k_at(16 * r), j, 1), y, 1, 8);
    }
    nd__k_end_for(&b, NULL, NULL);
    return k;
}

START_TEST(prints_matmul)
{
    ck_text(matmul("matmul"), "kernel matmul (x: f32[6], w: f32[48] align 64, b: f32[16] align 64, out h: f32[32] align 64)\n"
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
    int32_t s = nd__k_buffer(k, "s", ND_F32, ND__K_SCRATCH, 64, 4), y = nd__k_buffer(k, "y", ND_F32, ND__K_INOUT, 64, 4);
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
               "    store y[0], %20\n");
}
END_TEST

/* -- affine forms ----------------------------------------------------------------------------------------------------- */

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

/* -- rules ------------------------------------------------------------------------------------------------------------ */

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
    return (sample){k, k->body.first, find(&k->body, ND__K_for), find(&k->body, ND__K_load), find(&k->body, ND__K_splat),
                    find(&k->body, ND__K_fma), find(&k->body, ND__K_yield), find(&k->body, ND__K_store), find(&k->body, ND__K_if),
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
    BREAK("an induction variable that is not in scope", s.loop->hi = s.load->addr->at);
    BREAK("an induction variable that is not in scope", s.load->addr->at.terms[0].iv = 7);
    BREAK("an affine form whose terms are not in order, or 0", s.load->addr->at.terms[0].coef = 0);
    BREAK("an affine form with too many terms, or one that overflowed", s.loop->lo.count = ND__MAX_TERMS + 1);
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
    ck_assert_str_eq(nd__k_verify(s.k, message, sizeof message), "kernel s: buffer y: data in a buffer that is an argument");
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

/* -- comparison ------------------------------------------------------------------------------------------------------- */

START_TEST(compares)
{
    nd__kernel *a = matmul("a"), *b = matmul("b");
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
    DIFFERS(loop->hi.constant = 15, loop->hi.constant = 16);
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

/* -- the evaluator ---------------------------------------------------------------------------------------------------- */

START_TEST(runs_matmul)
{
    float x[6], w[48], bias[16], h[32];
    for (int i = 0; i < 6; i++)
        x[i] = (float)(i * 7 % 5 - 2) * 0.3f;
    for (int i = 0; i < 48; i++)
        w[i] = (float)(i * 11 % 17 - 8) * 0.7f;
    for (int i = 0; i < 16; i++)
        bias[i] = (float)(i * 5 % 7 - 3) * 0.1f;
    ck_runs(matmul("matmul"), (void *[]){x, w, bias, h});
    for (int r = 0; r < 2; r++) {
        for (int j = 0; j < 16; j++) {
            float acc = 0;
            for (int p = 0; p < 3; p++)
                acc = fmaf(x[3 * r + p], w[16 * p + j], acc);
            float y = acc + bias[j];
            ck_assert(h[16 * r + j] == (y <= 0 ? 0 : y));
        }
    }
}
END_TEST

/* y[i] = x[9 - i] over 10 elements in vectors of 4: a masked tail, a stride of -1. */
START_TEST(masked_tails_and_strides)
{
    nd__kbuilder b;
    nd__kernel *k = start("reverse", &b);
    int32_t x = nd__k_buffer(k, "x", ND_I32, ND__K_IN, 10, 4), y = nd__k_buffer(k, "y", ND_I32, ND__K_OUT, 10, 4);
    int32_t sum = nd__k_buffer(k, "sum", ND_I32, ND__K_OUT, 1, 4);
    int32_t i = nd__k_for(&b, nd__k_at(0), nd__k_at(8), 4, 0, NULL, NULL);
    nd__k_store(&b, y, ONE_IV(i, 1), nd__k_load(&b, x, nd__k_plus(nd__k_at(9), i, -1), 4, -1, 4), 1, 4);
    nd__k_end_for(&b, NULL, NULL);
    nd__kval tail = nd__k_load(&b, x, nd__k_at(1), 4, -1, 2);
    nd__k_store(&b, y, nd__k_at(8), tail, 1, 2);
    nd__k_store(&b, sum, nd__k_at(0), nd__k_op1(&b, ND__K_tree_add, tail), 1, 1); /* lanes past the count are 0 */
    int32_t in[10], out[10], total = -1;
    for (int n = 0; n < 10; n++)
        in[n] = 100 + n;
    ck_runs(k, (void *[]){in, out, &total});
    for (int n = 0; n < 10; n++)
        ck_assert_int_eq(out[n], in[9 - n]);
    ck_assert_int_eq(total, in[0] + in[1]);
}
END_TEST

/* Rows of a table by number; outside the table gives 0, scatter drops. */
START_TEST(loaded_indices)
{
    enum { ROWS = 3, WIDTH = 4, N = 6 };
    nd__kbuilder b;
    nd__kernel *k = start("gather", &b);
    int32_t ids = nd__k_buffer(k, "ids", ND_I64, ND__K_IN, N, 8), table = nd__k_buffer(k, "table", ND_F32, ND__K_IN, ROWS * WIDTH, 4);
    int32_t y = nd__k_buffer(k, "y", ND_F32, ND__K_OUT, N * WIDTH, 4), sums = nd__k_buffer(k, "sums", ND_F32, ND__K_INOUT, ROWS * WIDTH, 4);
    int32_t firsts = nd__k_buffer(k, "firsts", ND_F32, ND__K_OUT, 8, 4);
    int32_t i = nd__k_for(&b, nd__k_at(0), nd__k_at(N), 1, 0, NULL, NULL);
    nd__kval id = nd__k_load(&b, ids, ONE_IV(i, 1), 1, 1, 1);
    nd__kval row = nd__k_loadx(&b, table, nd__k_at(0), id, WIDTH, ROWS, WIDTH, 1, WIDTH);
    nd__k_store(&b, y, ONE_IV(i, WIDTH), row, 1, WIDTH);
    nd__kval old = nd__k_loadx(&b, sums, nd__k_at(0), id, WIDTH, ROWS, WIDTH, 1, WIDTH);
    nd__k_storex(&b, sums, nd__k_at(0), nd__k_op2(&b, ND__K_add, old, row), id, WIDTH, ROWS, 1, WIDTH);
    nd__k_end_for(&b, NULL, NULL);
    nd__kval all = nd__k_load(&b, ids, nd__k_at(0), 8, 1, N);
    nd__k_store(&b, firsts, nd__k_at(0), nd__k_loadx(&b, table, nd__k_at(1), all, WIDTH, ROWS, 8, 0, N), 1, 8);
    int64_t id_data[N] = {2, -1, 0, 3, 2, INT64_MIN};
    float rows[ROWS * WIDTH], out[N * WIDTH], sum[ROWS * WIDTH] = {0}, first[8];
    for (int n = 0; n < ROWS * WIDTH; n++)
        rows[n] = (float)n + 1;
    ck_runs(k, (void *[]){id_data, rows, out, sum, first});
    for (int n = 0; n < N; n++) {
        bool inside = id_data[n] >= 0 && id_data[n] < ROWS;
        for (int c = 0; c < WIDTH; c++)
            ck_assert(out[n * WIDTH + c] == (inside ? rows[id_data[n] * WIDTH + c] : 0));
        ck_assert(first[n] == (inside ? rows[id_data[n] * WIDTH + 1] : 0));
    }
    ck_assert(first[6] == 0 && first[7] == 0);
    for (int c = 0; c < WIDTH; c++) {
        ck_assert(sum[c] == rows[c]);
        ck_assert(sum[WIDTH + c] == 0);
        ck_assert(sum[2 * WIDTH + c] == 2 * rows[2 * WIDTH + c]);
    }
}
END_TEST

START_TEST(transposes_and_trees)
{
    enum { N = 8 };
    nd__kbuilder b;
    nd__kernel *k = start("transpose", &b);
    int32_t x = nd__k_buffer(k, "x", ND_F32, ND__K_IN, N * N, 4), y = nd__k_buffer(k, "y", ND_F32, ND__K_OUT, N * N, 4);
    int32_t s = nd__k_buffer(k, "s", ND_F32, ND__K_OUT, 3, 4);
    nd__kval rows[N], columns[N];
    for (int i = 0; i < N; i++)
        rows[i] = nd__k_load(&b, x, nd__k_at(N * i), N, 1, N);
    nd__k_transpose(&b, N, rows, columns);
    for (int i = 0; i < N; i++)
        nd__k_store(&b, y, nd__k_at(N * i), columns[i], 1, N);
    nd__kop trees[] = {ND__K_tree_add, ND__K_tree_min, ND__K_tree_max};
    for (int i = 0; i < 3; i++)
        nd__k_store(&b, s, nd__k_at(i), nd__k_op1(&b, trees[i], rows[1]), 1, 1);
    float in[N * N], out[N * N], sums[3];
    for (int i = 0; i < N * N; i++)
        in[i] = (float)(i * 37 % 101) * 0x1.234568p-3f + (float)(i % 5) * 1e6f;
    ck_runs(k, (void *[]){in, out, sums});
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            ck_assert(out[i * N + j] == in[j * N + i]);
    const float *v = in + N;
    ck_assert(sums[0] == ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7])));
    float low = v[0], high = v[0];
    for (int i = 1; i < N; i++)
        low = v[i] < low ? v[i] : low, high = v[i] > high ? v[i] : high;
    ck_assert(sums[1] == low && sums[2] == high);
}
END_TEST

/* Fibonacci: the loop gives what it carries in another order. With n = 0 it gives the initial values. */
START_TEST(loops_carry)
{
    for (int n = 0; n < 12; n++) {
        nd__kbuilder b;
        nd__kernel *k = start("fibonacci", &b);
        int32_t y = nd__k_buffer(k, "y", ND_I64, ND__K_OUT, 2, 8);
        nd__ktype i64 = nd__k_type(ND_I64, 1);
        nd__kval init[2] = {nd__k_const(&b, i64, 0), nd__k_const(&b, i64, 1)}, x[2], last[2];
        nd__k_for(&b, nd__k_at(0), nd__k_at(n), 1, 2, init, x);
        nd__k_end_for(&b, (nd__kval[]){x[1], nd__k_op2(&b, ND__K_add, x[0], x[1])}, last);
        nd__k_store(&b, y, nd__k_at(0), last[0], 1, 1);
        nd__k_store(&b, y, nd__k_at(1), last[1], 1, 1);
        int64_t out[2], f[2] = {0, 1};
        ck_runs(k, (void *[]){out});
        for (int i = 0; i < n; i++) {
            int64_t next = f[0] + f[1];
            f[0] = f[1], f[1] = next;
        }
        ck_assert_int_eq(out[0], f[0]);
        ck_assert_int_eq(out[1], f[1]);
    }
}
END_TEST

/* A triangle of numbers: y[i, j] = j <= i ? 10 i + j : -1, through a branch inside loops whose bounds depend on each other. */
START_TEST(triangles_and_branches)
{
    enum { N = 5 };
    nd__kbuilder b;
    nd__kernel *k = start("triangle", &b);
    int32_t y = nd__k_buffer(k, "y", ND_I32, ND__K_OUT, N * N, 4), low = nd__k_buffer(k, "low", ND_I32, ND__K_OUT, N * N, 4);
    nd__ktype i32 = nd__k_type(ND_I32, 1);
    int32_t i = nd__k_for(&b, nd__k_at(0), nd__k_at(N), 1, 0, NULL, NULL);
    int32_t j = nd__k_for(&b, nd__k_at(0), nd__k_at(N), 1, 0, NULL, NULL);
    nd__kval row = nd__k_index(&b, i32, ONE_IV(i, 1), 0), column = nd__k_index(&b, i32, ONE_IV(j, 1), 0), result;
    nd__k_if(&b, nd__k_op2(&b, ND__K_le, column, row));
    nd__kval inside = nd__k_op2(&b, ND__K_add, nd__k_op2(&b, ND__K_mul, row, nd__k_const(&b, i32, 10)), column);
    nd__k_else(&b, 1, &inside);
    nd__kval outside = nd__k_const(&b, i32, -1);
    nd__k_end_if(&b, 1, &outside, &result);
    nd__k_store(&b, y, nd__k_plus(ONE_IV(i, N), j, 1), result, 1, 1);
    nd__k_if(&b, nd__k_op2(&b, ND__K_lt, column, row)); /* no else */
    nd__k_store(&b, low, nd__k_plus(ONE_IV(i, N), j, 1), row, 1, 1);
    nd__k_end_if(&b, 0, NULL, NULL);
    nd__k_end_for(&b, NULL, NULL);
    int32_t p = nd__k_for(&b, ONE_IV(i, 1), nd__k_at(N), 1, 0, NULL, NULL);
    nd__k_store(&b, low, nd__k_plus(ONE_IV(i, N), p, 1), outside, 1, 1);
    nd__k_end_for(&b, NULL, NULL);
    nd__k_end_for(&b, NULL, NULL);
    int32_t out[N * N], lower[N * N];
    ck_runs(k, (void *[]){out, lower});
    for (int r = 0; r < N; r++) {
        for (int c = 0; c < N; c++) {
            ck_assert_int_eq(out[r * N + c], c <= r ? 10 * r + c : -1);
            ck_assert_int_eq(lower[r * N + c], c < r ? r : -1);
        }
    }
}
END_TEST

START_TEST(bools_in_memory)
{
    nd__kbuilder b;
    nd__kernel *k = start("bools", &b);
    int32_t x = nd__k_buffer(k, "x", ND_BOOL, ND__K_IN, 4, 1), y = nd__k_buffer(k, "y", ND_BOOL, ND__K_OUT, 4, 1);
    nd__k_store(&b, y, nd__k_at(0), nd__k_op1(&b, ND__K_not, nd__k_load(&b, x, nd__k_at(0), 4, 1, 4)), 1, 4);
    unsigned char in[4] = {0, 1, 1, 0}, out[4];
    ck_runs(k, (void *[]){in, out});
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(out[i], !in[i]);
}
END_TEST

/* -- addresses -------------------------------------------------------------------------------------------------------- */

static nd__kernel *copier(int64_t shift, int lanes, int count, nd__kaccess access)
{
    nd__kbuilder b;
    nd__kernel *k = start("copy", &b);
    int32_t x = nd__k_buffer(k, "x", ND_F32, access, 8, 4), y = nd__k_buffer(k, "y", ND_F32, ND__K_OUT, 8, 4);
    int32_t i = nd__k_for(&b, nd__k_at(0), nd__k_at(8), lanes, 0, NULL, NULL);
    nd__k_store(&b, y, ONE_IV(i, 1), nd__k_load(&b, x, nd__k_plus(nd__k_at(shift), i, 1), lanes, 1, count), 1, lanes);
    nd__k_end_for(&b, NULL, NULL);
    return k;
}

START_TEST(finds_wrong_addresses)
{
    float x[8] = {1, 2, 3, 4, 5, 6, 7, 8}, y[8];
    void *buffers[] = {x, y};
    ck_runs(copier(0, 4, 4, ND__K_IN), buffers);
    ck_runs(copier(1, 4, 3, ND__K_IN), buffers); /* the lane that would be outside does not exist */
    ck_fails(copier(1, 4, 4, ND__K_IN), buffers,
             "kernel copy: `%0 = load f32x4 x[i0 + 1]`: element 8 of x[8] is outside, at i0 = 4");
    ck_fails(copier(-1, 1, 1, ND__K_IN), buffers, "kernel copy: `%0 = load f32 x[i0 - 1]`: element -1 of x[8] is outside, at i0 = 0");
    ck_fails(copier(0, 1, 1, ND__K_OUT), buffers,
             "kernel copy: `%0 = load f32 x[i0]`: element 0 of x[8] is read before it is written, at i0 = 0");
    ck_fails(copier(0, 1, 1, ND__K_SCRATCH), buffers,
             "kernel copy: `%0 = load f32 x[i0]`: element 0 of x[8] is read before it is written, at i0 = 0");
    ck_runs(copier(0, 2, 2, ND__K_INOUT), buffers);
}
END_TEST

START_TEST(finds_wrong_stores)
{
    nd__kbuilder b;
    nd__kernel *k = start("fill", &b);
    int32_t y = nd__k_buffer(k, "y", ND_F32, ND__K_OUT, 4, 4);
    nd__k_store(&b, y, nd__k_at(1), nd__k_const(&b, F32(2), 1), 4, 2);
    float out[4];
    ck_fails(k, (void *[]){out}, "kernel fill: `store y[1], %0 stride 4`: element 5 of y[4] is outside");

    k = start("fill", &b);
    y = nd__k_buffer(k, "y", ND_F32, ND__K_OUT, 4, 4);
    nd__kval at = nd__k_const(&b, nd__k_type(ND_I64, 1), 4);
    nd__k_storex(&b, y, nd__k_at(0), nd__k_const(&b, F32(1), 1), at, 1, 4, 1, 1); /* outside the bound: dropped */
    nd__k_storex(&b, y, nd__k_at(0), nd__k_const(&b, F32(1), 1), at, 1, 5, 1, 1);
    ck_fails(k, (void *[]){out}, "kernel fill: `storex y[0 + %0], %1 where %0 < 5`: element 4 of y[4] is outside");

    k = start("huge", &b);
    y = nd__k_buffer(k, "y", ND_F32, ND__K_OUT, 4, 4);
    int32_t i = nd__k_for(&b, nd__k_at(2), nd__k_at(3), 1, 0, NULL, NULL);
    nd__k_store(&b, y, ONE_IV(i, INT64_MAX), nd__k_const(&b, F32(1), 1), 1, 1);
    nd__k_end_for(&b, NULL, NULL);
    ck_fails(k, (void *[]){out},
             "kernel huge: `store y[9223372036854775807 i0], %0`: an affine form overflows, at i0 = 2");
}
END_TEST

/* An index outside its bound reads nothing, but compiled code may look at index 0, so that has to be inside. */
START_TEST(finds_wrong_loadx)
{
    nd__kbuilder b;
    nd__kernel *k = start("pick", &b);
    int32_t x = nd__k_buffer(k, "x", ND_F32, ND__K_IN, 4, 4), y = nd__k_buffer(k, "y", ND_F32, ND__K_OUT, 1, 4);
    nd__kval at = nd__k_const(&b, nd__k_type(ND_I64, 1), -1);
    nd__k_store(&b, y, nd__k_at(0), nd__k_loadx(&b, x, nd__k_at(4), at, 1, 4, 1, 1, 1), 1, 1);
    float in[4] = {0}, out[1];
    ck_fails(k, (void *[]){in, out}, "kernel pick: `%1 = loadx f32 x[4 + %0] where %0 < 4`: element 4 of x[4] is outside");
}
END_TEST

/* -- memory ----------------------------------------------------------------------------------------------------------- */

START_TEST(memory_may_run_out)
{
    float x[6] = {0}, w[48] = {0}, bias[16] = {0}, h[32];
    int failures = 0;
    for (int n = 0;; n++) {
        failing_alloc_begin(n);
        nd__kernel *k = matmul("matmul");
        const char *error = nd__k_eval(k, (void *[]){x, w, bias, h}, message, sizeof message);
        bool failed = failing_alloc_end();
        nd__arena_release(&arena);
        if (!failed) {
            ck_assert_ptr_null(error);
            break;
        }
        ck_assert_ptr_nonnull(error);
        failures++;
    }
#ifdef HAVE_WRAPPED_ALLOC
    ck_assert_int_gt(failures, 4);
#endif
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
    tcase_add_test(tcase, runs_matmul);
    tcase_add_test(tcase, masked_tails_and_strides);
    tcase_add_test(tcase, loaded_indices);
    tcase_add_test(tcase, transposes_and_trees);
    tcase_add_test(tcase, loops_carry);
    tcase_add_test(tcase, triangles_and_branches);
    tcase_add_test(tcase, bools_in_memory);
    tcase_add_test(tcase, finds_wrong_addresses);
    tcase_add_test(tcase, finds_wrong_stores);
    tcase_add_test(tcase, finds_wrong_loadx);
    tcase_add_test(tcase, memory_may_run_out);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
