/* Graphs as text: what is printed parses to the identical graph; what cannot be parsed is an error that names the
 * place, never a crash. */
#include "compiler/graph/graph.h"
#include "compiler/text/show.h"
#include "failing_alloc.h"
#include "golden.h"
#include "nadir/nn.h"
#include "nadir/text.h"
#include "random_op.h"
#include "run_suite.h"
#include "temp_dir.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *source_dir;

/* -- the structural comparer --------------------------------------------------------------------------------------- */

/* What is shown of `a`, and `b`, which has nothing else. */
typedef struct pair {
    nd__shown shown;
    const nd_module *a, *b;
} pair;

#define SAME(condition, ...)                                                                                           \
    do                                                                                                                 \
        if (!(condition))                                                                                              \
            ck_abort_msg("parsed differently: " __VA_ARGS__);                                                          \
    while (0)

static void same_text(const char *what, const char *a, const char *b)
{
    SAME(strcmp(a, b) == 0, "%s \"%s\" and \"%s\"", what, a, b);
}

static void same_value(const pair *p, const nd_value *a, const nd_value *b)
{
    SAME(p->shown.numbers[a->node->number] == b->node->number && a->index == b->index, "value %d.%d and %d.%d",
         p->shown.numbers[a->node->number], a->index, b->node->number, b->index);
}

static void same_size(const pair *p, int64_t a, int64_t b)
{
    SAME(nd__size_is_named(a) == nd__size_is_named(b), "a size has a name");
    if (!nd__size_is_named(a)) {
        SAME(a == b, "size %" PRId64 " and %" PRId64, a, b);
        return;
    }
    const nd__symbol *x = nd__size_symbol(p->a, a), *y = nd__size_symbol(p->b, b);
    SAME(x->factor == y->factor && x->count == y->count &&
             memcmp(x->dims, y->dims, (size_t)x->count * sizeof *x->dims) == 0,
         "a named size");
}

static void same_type(const pair *p, nd_dtype a_dtype, const nd_shape *a, nd_dtype b_dtype, const nd_shape *b)
{
    SAME(a_dtype == b_dtype && a->rank == b->rank, "%s, rank %d and %s, rank %d", nd_dtype_name(a_dtype), a->rank,
         nd_dtype_name(b_dtype), b->rank);
    for (int i = 0; i < a->rank; i++)
        same_size(p, a->dims[i], b->dims[i]);
}

static void same_function(const pair *p, const nd_function *a, const nd_function *b)
{
    same_text("function", a->name, b->name);
    SAME(a->body == b->body && a->input_count == b->input_count && a->output_count == b->output_count &&
             a->update_count == b->update_count,
         "the function %s", a->name);
    for (int i = 0; i < a->input_count; i++)
        same_value(p, a->inputs[i], b->inputs[i]);
    for (int i = 0; i < a->output_count; i++)
        same_value(p, a->outputs[i], b->outputs[i]);
    for (int i = 0; i < a->update_count; i++) {
        SAME(a->updates[i].variable->number == b->updates[i].variable->number, "an update of %s", a->name);
        same_value(p, a->updates[i].value, b->updates[i].value);
    }
}

static void same_attribute(const pair *p, const nd__attr *a, const nd__attr *b)
{
    SAME(a->key == b->key && a->count == b->count, "attribute %s", nd__attr_names[a->key]);
    switch (nd__attr_kinds[a->key]) {
    case ND__KIND_FLAG:
        SAME(!a->i == !b->i, "%s", nd__attr_names[a->key]);
        break;
    case ND__KIND_INT:
    case ND__KIND_BITS:
    case ND__KIND_DTYPE:
        SAME(a->i == b->i, "%s", nd__attr_names[a->key]);
        break;
    case ND__KIND_SIZE:
        same_size(p, a->i, b->i);
        break;
    case ND__KIND_BAND:
        SAME(a->i == b->i, "%s", nd__attr_names[a->key]);
        SAME(!a->i || memcmp(a->ints, b->ints, 2 * sizeof *a->ints) == 0, "%s", nd__attr_names[a->key]);
        break;
    case ND__KIND_INTS:
        SAME(memcmp(a->ints, b->ints, (size_t)a->count * sizeof *a->ints) == 0, "%s", nd__attr_names[a->key]);
        break;
    case ND__KIND_SIZES:
        for (int i = 0; i < a->count; i++)
            same_size(p, a->ints[i], b->ints[i]);
        break;
    case ND__KIND_TEXT:
        same_text("attribute", a->text, b->text);
        break;
    case ND__KIND_DATA: /* every bit, those of NaNs too */
        SAME(a->data->dtype == b->data->dtype && a->data->count == b->data->count &&
                 memcmp(a->data->items, b->data->items, (size_t)a->data->count * nd_dtype_size(a->data->dtype)) == 0,
             "%s", nd__attr_names[a->key]);
        break;
    case ND__KIND_FUNC:
        same_function(p, a->function, b->function);
        break;
    case ND__KIND_VAR:
        SAME(a->variable->number == b->variable->number, "%s", nd__attr_names[a->key]);
        break;
    }
}

static void same_node(const pair *p, const nd__node *a, const nd__node *b)
{
    same_text("op", nd__ops[a->op].name, nd__ops[b->op].name);
    SAME(a->input_count == b->input_count && a->result_count == b->result_count && a->attr_count == b->attr_count,
         "%s %d", nd__ops[a->op].name, b->number);
    for (int i = 0; i < a->input_count; i++)
        same_value(p, a->inputs[i], b->inputs[i]);
    for (int i = 0; i < a->attr_count; i++)
        same_attribute(p, &a->attrs[i], &b->attrs[i]);
    for (int i = 0; i < a->result_count; i++) {
        same_text("name", a->results[i].name, b->results[i].name);
        same_type(p, a->results[i].dtype, &a->results[i].shape, b->results[i].dtype, &b->results[i].shape);
    }
    SAME(strncmp(b->place, "file.nd:", 8) == 0, "place %s", b->place);
}

static void same_module(const nd_module *a, const nd_module *b)
{
    pair p = {.a = a, .b = b};
    ck_assert(nd__shown_begin(&p.shown, a));
    same_text("module", a->name, b->name);
    SAME(a->seed == b->seed && a->dim_count == b->dim_count && a->variable_count == b->variable_count, "the module");
    for (int i = 0; i < a->dim_count; i++) {
        same_text("dimension", a->dims[i].name, b->dims[i].name);
        SAME(a->dims[i].value == b->dims[i].value, "dimension %s", a->dims[i].name);
    }
    int n = 0;
    for (int i = 0; i < a->node_count; i++)
        if (p.shown.nodes[i]) {
            SAME(n < b->node_count, "%d nodes and more", n);
            same_node(&p, a->nodes[i], b->nodes[n++]);
        }
    SAME(n == b->node_count, "%d and %d nodes", n, b->node_count);
    for (int i = 0; i < a->variable_count; i++) {
        const nd__variable *v = a->variables[i], *w = b->variables[i];
        same_text("variable", v->name, w->name);
        same_type(&p, v->dtype, &v->shape, w->dtype, &w->shape);
        same_value(&p, v->read, w->read);
        SAME(!v->initial == !w->initial, "the initial value of %s", v->name);
        if (v->initial)
            same_value(&p, v->initial, w->initial);
    }
    SAME(p.shown.seed == (b->seed_input != NULL), "the seed's input");
    if (p.shown.seed)
        same_value(&p, a->seed_input, b->seed_input);
    int entries = 0, parsed = 0;
    for (int i = 0; i < b->function_count; i++)
        parsed += nd__is_entry(b->functions[i]);
    for (int i = 0; i < a->function_count; i++)
        if (nd__is_entry(a->functions[i])) {
            const nd_function *g = nd_module_function(b, a->functions[i]->name);
            SAME(g != NULL, "the function %s", a->functions[i]->name);
            same_function(&p, a->functions[i], g);
            entries++;
        }
    SAME(entries == parsed, "%d and %d functions", entries, parsed);
    nd__shown_end(&p.shown);
}

/* Prints, parses, compares, prints again; gives the text, for free(). */
static char *round_trip(nd_module *m)
{
    ck_assert_msg(nd_module_status(m) == ND_OK, "%s", nd_module_error(m));
    char *text = nd_module_to_text(m);
    ck_assert_ptr_nonnull(text);
    nd_module *again = nd_module_parse(text, "file.nd");
    ck_assert_msg(nd_module_status(again) == ND_OK, "%.500s\n%.2000s", nd_module_error(again), text);
    same_module(m, again);
    char *second = nd_module_to_text(again);
    ck_assert_str_eq(text, second);
    free(second);
    nd_module_destroy(again);
    return text;
}

/* -- modules that were built --------------------------------------------------------------------------------------- */

/* Variables with every kind of initial value, a loop, a branch, a call, gradients, updates, named dimensions. */
static void build_everything(nd_module *m)
{
    const int64_t batch = nd_dim(m, "B", 3), steps = nd_dim(m, "T", 2);
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(batch, 4)),
             *labels = nd_input(m, "labels", ND_I32, ND_SHAPE(batch));
    nd_value *w = nd_variable(m, "hidden/weight", ND_F32, ND_SHAPE(4, 5), nd_glorot_uniform()),
             *b = nd_variable(m, "hidden/bias", ND_F32, ND_SHAPE(5), nd_zeros());
    nd_value *table = nd_variable(m, "table", ND_F32, ND_SHAPE(6, 5), nd_random_normal(0, 1));
    nd_variable(m, "set-by-host", ND_I64, ND_SCALAR, nd_uninitialised());
    nd_value *h = nd_name(nd_relu(nd_add(nd_matmul(x, w), b)), "hidden");

    nd_value *s = nd_input(m, "s", ND_F32, ND_SHAPE(5)), *row = nd_input(m, "row", ND_F32, ND_SHAPE(5)), *swept[2],
             *last[1], *doubled[2];
    nd_value *next = nd_tanh(nd_add(nd_mul(s, b), row));
    nd_scan(nd_function(m, "body", ND_VALUES(s, row), ND_VALUES(next, nd_neg(next))), batch, ND_VALUES(b), ND_VALUES(h),
            true, swept);
    nd_value *total = nd_name(nd_sum(nd_mul(swept[1], nd_gather(table, labels)), ND_ALL_AXES, false), "total");
    nd_function *yes = nd_function(m, "yes", ND_VALUES(), ND_VALUES(nd_exp(total)));
    nd_function *no = nd_function(m, "no", ND_VALUES(), ND_VALUES(nd_mul(total, nd_const(m, 2))));
    nd_cond(nd_lt(total, nd_const(m, 1)), yes, no, last);

    nd_value *p = nd_input(m, "p", ND_F32, ND_SCALAR);
    nd_function *twice = nd_function(m, "twice", ND_VALUES(p), ND_VALUES(nd_add(p, p), p));
    nd_apply(twice, ND_VALUES(last[0]), doubled);
    nd_value *loss = nd_name(nd_add(doubled[0], nd_sum(swept[0], ND_AXES(0), false)), "loss");
    nd_value *targets[] = {w, table, b}, *d[3];
    nd_gradients(loss, 3, targets, d);
    nd_function *step = nd_function(m, "step", ND_VALUES(x, labels), ND_VALUES(loss, nd_at(h, "0, ::-1")));
    for (int i = 0; i < 3; i++)
        nd_assign(step, targets[i], nd_sub(targets[i], nd_mul(nd_const(m, 0.1), d[i])));
    nd_value *t = nd_input(m, "t", ND_F32, ND_SHAPE(batch, steps, 3));
    nd_value *flat = nd_reshape(t, ND_SHAPE(-1, 1)), *count = nd_size(m, ND_F32, nd_value_shape(flat).dims[0]);
    nd_function(m, "named", ND_VALUES(t, x), ND_VALUES(nd_at(flat, "::-1"), count, nd_pow(h, nd_const(m, 2.5))));
    nd_module_set_seed(m, UINT64_MAX);
}

START_TEST(everything)
{
    nd_module *m = nd_module_create("every-thing_1");
    build_everything(m);
    char *text = round_trip(m);
    ck_assert_ptr_nonnull(strstr(text, "module every-thing_1 seed=18446744073709551615\ndim B=3\ndim T=2\n"));
    ck_assert_ptr_nonnull(strstr(text, "f32[3*B*T,1]"));
    /* Asking for the init function changes nothing that prints. */
    ck_assert_ptr_nonnull(nd__init_function(m));
    char *again = round_trip(m);
    ck_assert_str_eq(text, again);
    free(again);
    free(text);
    nd_module_destroy(m);
}
END_TEST

START_TEST(init_without_randomness)
{
    nd_module *m = nd_module_create("constant");
    nd_variable(m, "w", ND_F32, ND_SHAPE(2), nd_full(0.1));
    ck_assert_ptr_nonnull(nd__init_function(m));
    char *text = round_trip(m);
    ck_assert_str_eq(text, "nadir 1\nmodule constant seed=1\n\n"
                           "%w: f32[2] = variable\n"
                           "%1: f32[2] = constant 0.1\n"
                           "\ninit() {\n  %w := %1\n}\n");
    free(text);
    nd_module_destroy(m);
}
END_TEST

/* Names: no label, not the only one, not the input's or variable's own, odd characters. */
START_TEST(names)
{
    nd_module *m = nd_module_create("names");
    nd_value *x = nd_input(m, "x", ND_F32, ND_SCALAR),
             *y = nd_input(m, "an input, \xc3\xa9 \xff\x7f", ND_F32, ND_SCALAR);
    nd_value *w = nd_variable(m, "w:0", ND_F32, ND_SCALAR, nd_uninitialised()),
             *v = nd_variable(m, "v", ND_F32, ND_SCALAR, nd_uninitialised());
    nd_name(x, "renamed");
    nd_name(v, "");
    nd_value *a = nd_name(nd_add(x, y), "twin"), *b = nd_name(nd_mul(w, v), "twin"), *c = nd_name(nd_sub(a, b), "-x");
    nd_value *d = nd_name(nd_sub(c, b), "0");
    nd_function(m, "f", ND_VALUES(x, y), ND_VALUES(nd_name(d, "layer-1.h/0")));
    char *text = round_trip(m);
    ck_assert_str_eq(text, "nadir 1\nmodule names seed=1\n\n"
                           "%renamed: f32 = input name=\"x\"\n"
                           "%1 \"an input, \xc3\xa9 \\xff\\x7f\": f32 = input\n"
                           "%2 \"w:0\": f32 = variable\n"
                           "%3: f32 = variable variable=\"v\"\n"
                           "%4 \"twin\": f32 = add %renamed, %1\n"
                           "%5 \"twin\": f32 = mul %2, %3\n"
                           "%6 \"-x\": f32 = sub %4, %5\n"
                           "%layer-1.h/0: f32 = sub %6, %5\n"
                           "\nfn f(%renamed, %1) -> (%layer-1.h/0)\n");
    free(text);
    nd_module_destroy(m);
}
END_TEST

static nd_value *constant(nd_module *m, nd_dtype dtype, nd_shape shape, const void *items)
{
    return nd__constant(m, "", dtype, &shape, nd__elements(&shape), items);
}

START_TEST(constants)
{
    static const uint32_t singles[] = {0x00000000, 0x80000000, 0x3dcccccd, 0x00000001, 0x7f7fffff,
                                       0x7f800000, 0xff800000, 0x7fc00000, 0xffc00000, 0x7f800001,
                                       0x7fc00123, 0x4b800001, 0x33d6bf95};
    static const uint64_t doubles[] = {
        0x3fb999999999999a, 1, 0x7fefffffffffffff, 0xfff8000000000000, 0x7ff8000000000000, 0x7ff0000000000001};
    static const int64_t wide[] = {INT64_MIN, INT64_MAX, 0, -1};
    nd_module *m = nd_module_create("constants");
    constant(m, ND_F32, ND_SHAPE(13), singles);
    constant(m, ND_F64, ND_SHAPE(2, 3), doubles);
    constant(m, ND_I64, ND_SHAPE(2, 1, 2), wide);
    constant(m, ND_BOOL, ND_SHAPE(2), (uint8_t[]){1, 0});
    constant(m, ND_U8, ND_SHAPE(2), (uint8_t[]){0, 255});
    constant(m, ND_U32, ND_SHAPE(2), (uint32_t[]){0, UINT32_MAX});
    constant(m, ND_I32, ND_SHAPE(2), (int32_t[]){INT32_MIN, INT32_MAX});
    constant(m, ND_F32, ND_SHAPE(1, 1), singles + 2);
    constant(m, ND_F32, ND_SHAPE(3, 0, 2), singles);
    nd_filled(m, ND_F32, ND_SHAPE(0, 2), 1);
    nd_filled(m, ND_F64, ND_SHAPE(nd_dim(m, "B", 2), 1000000), -0.0);
    char *text = round_trip(m);
    ck_assert_str_eq(
        text,
        "nadir 1\nmodule constants seed=1\ndim B=2\n\n"
        "%0: f32[13] = constant [0, -0, 0.1, 1e-45, 3.4028235e+38, inf, -inf, nan, bits(0xffc00000), bits(0x7f800001), "
        "bits(0x7fc00123), 16777218, 1e-07]\n"
        "%1: f64[2,3] = constant [[0.1, 5e-324, 1.7976931348623157e+308], [bits(0xfff8000000000000), nan, "
        "bits(0x7ff0000000000001)]]\n"
        "%2: i64[2,1,2] = constant [[[-9223372036854775808, 9223372036854775807]], [[0, -1]]]\n"
        "%3: bool[2] = constant [true, false]\n"
        "%4: u8[2] = constant [0, 255]\n"
        "%5: u32[2] = constant [0, 4294967295]\n"
        "%6: i32[2] = constant [-2147483648, 2147483647]\n"
        "%7: f32[1,1] = constant 0.1\n"
        "%8: f32[3,0,2] = constant []\n"
        "%9: f32[0,2] = constant 1\n"
        "%10: f64[B,1000000] = constant -0\n");
    free(text);
    nd_module_destroy(m);
}
END_TEST

/* Large constants of random bits: every pattern survives; lines stay readable. */
START_TEST(large_constants)
{
    uint64_t state = 7;
    uint32_t *items = malloc(40 * 50 * sizeof *items);
    for (int i = 0; i < 40 * 50; i++)
        items[i] = (uint32_t)random_next(&state);
    nd_module *m = nd_module_create("large");
    constant(m, ND_F32, ND_SHAPE(2, 20, 50), items);
    constant(m, ND_F64, ND_SHAPE(1000), items);
    constant(m, ND_U32, ND_SHAPE(17, 2), items);
    char *text = round_trip(m);
    size_t longest = 0;
    for (char *line = text; *line; line += strcspn(line, "\n") + 1)
        longest = strcspn(line, "\n") > longest ? strcspn(line, "\n") : longest;
    ck_assert_msg(longest < 500, "a line of %zu characters", longest);
    ck_assert_ptr_nonnull(strstr(text, "u32[17,2] = constant [\n  ["));
    free(text);
    free(items);
    nd_module_destroy(m);
}
END_TEST

START_TEST(random_graphs)
{
    for (int op = 0; op < ND__OPS; op++)
        for (int dtype = 0; dtype < ND_DTYPES; dtype++)
            for (uint64_t seed = 1; seed <= 6 && random_op_takes((nd__op)op, (nd_dtype)dtype); seed++) {
                uint64_t state = seed;
                nd_module *m = nd_module_create("random");
                ck_assert_msg(random_op(m, (nd__op)op, (nd_dtype)dtype, &state) != NULL, "%s: %s", nd__ops[op].name,
                              nd_module_error(m));
                free(round_trip(m));
                nd_module_destroy(m);
            }
}
END_TEST

/* A module without functions shows everything that a node can use. */
START_TEST(without_functions)
{
    nd_module *m = nd_module_create("loose");
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(2));
    nd_const(m, 4); /* takes the dtype of what it meets: nothing yet */
    nd_mul(x, nd_const(m, 3));
    nd_apply(nd_function(m, "f", ND_VALUES(x), ND_VALUES()), ND_VALUES(x), (nd_value *[]){NULL});
    m->functions[0]->body = true;
    char *text = round_trip(m);
    ck_assert_str_eq(text, "nadir 1\nmodule loose seed=1\n\n"
                           "%x: f32[2] = input\n%1: f32 = constant 3\n"
                           "%2: f32[2] = broadcast %1\n%3: f32[2] = mul %x, %2\n");
    free(text);
    nd_module_destroy(m);
}
END_TEST

START_TEST(printing_fails_properly)
{
    nd_module *m = nd_module_create("bad");
    nd_function(m, "f", ND_VALUES(nd_const(m, 1)), ND_VALUES());
    ck_assert_ptr_null(nd_module_to_text(m));
    ck_assert_int_eq(nd_module_print(m, stdout), ND_ERR_GRAPH);
    ck_assert_int_eq(nd_module_dot(m, stdout), ND_ERR_GRAPH);
    nd_module_destroy(m);
    ck_assert_ptr_null(nd_module_to_text(NULL));
    ck_assert_int_eq(nd_module_print(NULL, stdout), ND_ERR_MEMORY);
    ck_assert_int_eq(nd_module_dot(NULL, stdout), ND_ERR_MEMORY);
    m = nd_module_create("good");
    ck_assert_int_eq(nd_module_print(m, NULL), ND_ERR_ARGUMENT);
    ck_assert_int_eq(nd_module_dot(m, NULL), ND_ERR_ARGUMENT);
    FILE *full = fopen("/dev/full", "w");
    if (full) {
        ck_assert_int_eq(nd_module_print(m, full), ND_ERR_IO);
        ck_assert_int_eq(nd_module_dot(m, full), ND_ERR_IO);
        fclose(full);
    }
    nd_module_destroy(m);
}
END_TEST

/* -- golden texts -------------------------------------------------------------------------------------------------- */

static char *captured(nd_status (*print)(nd_module *, FILE *), nd_module *m)
{
    FILE *file = tmpfile();
    ck_assert_int_eq(print(m, file), ND_OK);
    const long n = ftell(file);
    char *text = calloc(1, (size_t)n + 1);
    rewind(file);
    ck_assert_uint_eq(fread(text, 1, (size_t)n, file), (size_t)n);
    fclose(file);
    return text;
}

/* NAME.nd is parsed. With NAME.err it fails with that message; with NAME.txt it prints as that, otherwise as it is;
 * with NAME.dot that is its picture. */
static void run_golden(const char *dir, const char *name)
{
    char path[2048], other[2048];
    const int stem = (int)strlen(name) - 3;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    char *text = golden_read(path), *expected;
    nd_module *m = nd_module_parse(text, name);
    snprintf(other, sizeof other, "%s/%.*s.err", dir, stem, name);
    if ((expected = golden_read(other))) {
        char message[4096];
        snprintf(message, sizeof message, "%s\n", nd_module_error(m));
        golden_compare(other, message);
    } else {
        ck_assert_msg(nd_module_status(m) == ND_OK, "%s", nd_module_error(m));
        char *printed = nd_module_to_text(m);
        snprintf(other, sizeof other, "%s/%.*s.txt", dir, stem, name);
        golden_compare((expected = golden_read(other)) ? other : path, printed);
        free(printed);
        free(expected);
        snprintf(other, sizeof other, "%s/%.*s.dot", dir, stem, name);
        if ((expected = golden_read(other))) {
            char *drawn = captured(nd_module_dot, m);
            golden_compare(other, drawn);
            free(drawn);
        }
    }
    free(expected);
    free(text);
    nd_module_destroy(m);
}

START_TEST(golden)
{
    ck_assert_int_ge(golden_each(source_dir, "text", run_golden), 5);
}
END_TEST

/* -- any text ------------------------------------------------------------------------------------------------------ */

/* Whatever comes out of a valid text by changing it is a module, and one that parsed prints and parses again. */
static void survive(const char *text, uint64_t seed)
{
    nd_module *m = nd_module_parse(text, "file.nd");
    ck_assert_ptr_nonnull(m);
    if (nd_module_status(m) == ND_OK) {
        free(round_trip(m));
        free(captured(nd_module_dot, m));
    } else {
        ck_assert_msg(*nd_module_error(m) && nd_module_status(m) != ND_ERR_INTERNAL &&
                          nd_module_status(m) != ND_ERR_MEMORY,
                      "seed %" PRIu64 ": %s", seed, nd_module_error(m));
    }
    nd_module_destroy(m);
}

static void mutate(char *text, size_t room, uint64_t *state)
{
    static const char *const pieces[] = {"%0", "9223372036854775807", "-1",   "[",   "]",  "(",   "\n", "=", ",", "B",
                                         "*",  "2305843009213693951", "body", "nan", "\"", "\\x", "0x", "8", "%x"};
    const size_t n = strlen(text), at = (size_t)random_below(state, (int64_t)n + 1);
    const size_t from = (size_t)random_below(state, (int64_t)n + 1), count = (size_t)random_below(state, 12);
    const char *piece = pieces[random_below(state, sizeof pieces / sizeof *pieces)];
    char copy[16] = "";
    switch (random_below(state, 5)) {
    case 0: /* another character */
        if (at < n)
            text[at] = (char)(1 + random_below(state, 255));
        break;
    case 1: /* a piece goes */
        if (at + count <= n)
            memmove(text + at, text + at + count, n - at - count + 1);
        break;
    case 2: /* a piece comes from elsewhere */
        snprintf(copy, sizeof copy, "%.*s", (int)count, text + from);
        piece = copy; /* fall through */
    case 3:
        if (n + strlen(piece) < room) {
            memmove(text + at + strlen(piece), text + at, n - at + 1);
            memcpy(text + at, piece, strlen(piece));
        }
        break;
    default: /* the text ends early */
        if (random_below(state, 8) == 0)
            text[at] = '\0';
        else if (at < n && text[at] >= '0' && text[at] <= '9')
            text[at] = (char)('0' + random_below(state, 10));
    }
}

START_TEST(fuzz)
{
    enum { TEXTS = 40, CHANGED = 60 };
    for (uint64_t seed = 1; seed <= TEXTS; seed++) {
        uint64_t state = seed;
        nd_module *m = nd_module_create("fuzz");
        if (seed % 8 == 0)
            build_everything(m);
        else
            random_op(m, (nd__op)(ND__OP_random_bits + random_below(&state, ND__OPS - ND__OP_random_bits)), ND_U32,
                      &state);
        char *text = nd_module_to_text(m);
        nd_module_destroy(m);
        if (!text)
            continue; /* an op of floats */
        const size_t room = strlen(text) + 200;
        char *changed = malloc(room);
        for (int i = 0; i < CHANGED; i++) {
            strcpy(changed, text);
            for (int k = 0; k <= i % 3; k++)
                mutate(changed, room, &state);
            survive(changed, seed);
        }
        free(changed);
        free(text);
    }
}
END_TEST

/* -- memory -------------------------------------------------------------------------------------------------------- */

START_TEST(printing_survives)
{
    nd_module *m = nd_module_create("memory");
    build_everything(m);
    FILE *file = tmpfile();
    bool failed = true;
    for (int n = 0; failed; n++) {
        failing_alloc_begin(n);
        char *text = nd_module_to_text(m);
        const nd_status printed = nd_module_print(m, file), drawn = nd_module_dot(m, file);
        failed = failing_alloc_end();
        free(text);
        ck_assert_msg(failed == (!text || printed == ND_ERR_MEMORY || drawn == ND_ERR_MEMORY), "allocation %d", n);
        rewind(file);
    }
    fclose(file);
    nd_module_destroy(m);
}
END_TEST

START_TEST(parsing_survives)
{
    nd_module *m = nd_module_create("memory");
    build_everything(m);
    char *text = nd_module_to_text(m);
    nd_module_destroy(m);
    ck_assert_ptr_nonnull(text);
    bool failed = true;
    for (int n = 0; failed; n++) {
        failing_alloc_begin(n);
        m = nd_module_parse(text, "memory.nd");
        const nd_status status = nd_module_status(m);
        nd_module_destroy(m);
        failed = failing_alloc_end();
        ck_assert_int_eq(failing_alloc_held(), 0);
        ck_assert_msg(status == (failed ? ND_ERR_MEMORY : ND_OK), "allocation %d: %s", n, nd_status_text(status));
    }
    free(text);
}
END_TEST

int main(int argc, char **argv)
{
    source_dir = argc > 1 ? argv[1] : ".";
    Suite *suite = suite_create("text");
    TCase *t = tcase_create("text");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, everything);
    tcase_add_test(t, init_without_randomness);
    tcase_add_test(t, names);
    tcase_add_test(t, constants);
    tcase_add_test(t, large_constants);
    tcase_add_test(t, random_graphs);
    tcase_add_test(t, without_functions);
    tcase_add_test(t, printing_fails_properly);
    tcase_add_test(t, golden);
    tcase_add_test(t, fuzz);
    tcase_add_test(t, printing_survives);
    tcase_add_test(t, parsing_survives);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
