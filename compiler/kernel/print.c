/* Kernels as text. Values are numbered as they appear, so that the text does not tell in which order constants were
 * asked for. */
#include "compiler/kernel/print.h"
#include "compiler/kernel/scalar.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const char *const op_names[ND__K_OPS] = {
#define KOP(name, arity, text) [ND__K_##name] = #name,
#include "compiler/kernel/kops.def"
#undef KOP
};

const char *nd__k_op_name(nd__kop op)
{
    return (unsigned)op < ND__K_OPS ? op_names[op] : "?";
}

/* Where text goes: a file, or `size` bytes of memory. */
typedef struct writer {
    const nd__kernel *k;
    int32_t *names; /* by value: its number in the text; NULL: memory ran out, values show their own */
    FILE *out;
    char *text;
    size_t size, used;
} writer;

static void put(writer *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(writer *w, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (w->out) {
        vfprintf(w->out, format, args);
    } else if (w->used < w->size) {
        int n = vsnprintf(w->text + w->used, w->size - w->used, format, args);
        w->used += n > 0 ? (size_t)n : 0;
    }
    va_end(args);
}

/* -- numbering ----------------------------------------------------------------------------------------------------- */

static void number_values(writer *w, nd__kval first, int32_t n, int32_t *next)
{
    for (int32_t i = 0; i < n; i++)
        if (first >= 0 && first + i < w->k->value_count)
            w->names[first + i] = (*next)++;
}

static void number_block(writer *w, const nd__kblock *block, int32_t *next)
{
    for (const nd__kinst *i = block->first; i; i = i->next) {
        number_values(w, i->result, i->result_count, next);
        if (i->op == ND__K_for)
            number_values(w, i->carried, i->arg_count, next);
        number_block(w, &i->body, next);
        number_block(w, &i->other, next);
    }
}

static writer begin(const nd__kernel *k, FILE *out, char *text, size_t size)
{
    writer w = {.k = k, .out = out, .text = text, .size = size};
    w.names = malloc(((size_t)k->value_count + 1) * sizeof *w.names);
    int32_t next = 0;
    if (w.names) {
        memset(w.names, 0xff, ((size_t)k->value_count + 1) * sizeof *w.names);
        number_block(&w, &k->body, &next);
    }
    return w;
}

/* -- parts of an instruction --------------------------------------------------------------------------------------- */

static void put_value(writer *w, nd__kval x)
{
    if (x < 0 || x >= w->k->value_count || (w->names && w->names[x] < 0))
        put(w, "%%?");
    else
        put(w, "%%%d", (int)(w->names ? w->names[x] : x));
}

/* Values with numbers in a row. */
static void put_range(writer *w, nd__kval first, int32_t n)
{
    put_value(w, first);
    if (n > 1) {
        put(w, "..");
        put_value(w, first + n - 1);
    }
}

static void put_values(writer *w, const nd__kval *values, int32_t n)
{
    for (int32_t i = 0; i < n; i++) {
        put(w, i ? ", " : " ");
        put_value(w, values[i]);
    }
}

static void put_type(writer *w, nd__ktype type)
{
    put(w, type.lanes > 1 ? "%s" : "%s ", nd_dtype_name((nd_dtype)type.dtype));
    if (type.lanes > 1)
        put(w, "x%d ", type.lanes);
}

static uint64_t magnitude(int64_t x)
{
    return x < 0 ? 0 - (uint64_t)x : (uint64_t)x;
}

/* "784 i0 - i2 + 3" */
static void put_affine(writer *w, const nd__kaffine *a)
{
    for (int i = 0; i < a->count && i < ND__MAX_TERMS; i++) {
        int64_t coef = a->terms[i].coef;
        put(w, i == 0 ? (coef < 0 ? "-" : "") : coef < 0 ? " - " : " + ");
        if (coef != 1 && coef != -1)
            put(w, "%" PRIu64 " ", magnitude(coef));
        put(w, "i%d", (int)a->terms[i].iv);
    }
    if (a->count == 0)
        put(w, "%" PRId64, a->constant);
    else if (a->constant != 0)
        put(w, a->constant < 0 ? " - %" PRIu64 : " + %" PRIu64, magnitude(a->constant));
}

/* The fewest digits that read back to the same bits. */
static void put_float(writer *w, nd_dtype dtype, uint64_t bits)
{
    double x;
    uint64_t wide = nd__scalar_convert(dtype, ND_F64, bits);
    memcpy(&x, &wide, sizeof x);
    if (x != x) {
        put(w, "nan(0x%" PRIx64 ")", bits);
        return;
    }
    char text[40];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        double back = strtod(text, NULL);
        if (dtype == ND_F32 ? (float)back == (float)x : back == x)
            break;
    }
    put(w, "%s", text);
}

static void put_const(writer *w, const nd__kinst *i)
{
    nd_dtype dtype = (nd_dtype)i->type.dtype;
    uint64_t wide = nd__scalar_convert(dtype, ND_I64, i->imm);
    int64_t number;
    memcpy(&number, &wide, sizeof number);
    if (nd_dtype_is_float(dtype))
        put_float(w, dtype, i->imm);
    else if (dtype == ND_BOOL)
        put(w, "%s", i->imm ? "true" : "false");
    else
        put(w, "%" PRId64, number);
}

static void put_address(writer *w, const nd__kinst *i, const nd__kval *index)
{
    const nd__kaddr *addr = i->addr;
    if (!addr) {
        put(w, "?");
        return;
    }
    bool known = addr->buffer >= 0 && addr->buffer < w->k->buffer_count;
    put(w, "%s[", known ? w->k->buffers[addr->buffer].name : i->op == ND__K_index ? "" : "?");
    put_affine(w, &addr->at);
    if (index) {
        put(w, addr->scale < 0 ? " - " : " + ");
        if (magnitude(addr->scale) != 1)
            put(w, "%" PRIu64 " ", magnitude(addr->scale));
        put_value(w, *index);
    }
    put(w, "]");
}

/* What follows an address and a stored value. */
static void put_lanes(writer *w, const nd__kinst *i, const nd__kval *index)
{
    const nd__kaddr *addr = i->addr;
    if (!addr)
        return;
    if (index) {
        put(w, " where ");
        put_value(w, *index);
        put(w, " < %" PRId64, addr->bound);
    }
    if (i->type.lanes > 1 && addr->lane_stride != 1)
        put(w, " stride %" PRId64, addr->lane_stride);
    if (i->type.lanes > 1 && addr->count != i->type.lanes)
        put(w, " count %d", (int)addr->count);
}

/* An affine bound, or the outer one of it and a number. */
static void put_bound(writer *w, const nd__kaffine *at, const char *outer, int64_t limit)
{
    if (!at) { /* of a broken kernel */
        put(w, "?");
        return;
    }
    if (limit == INT64_MIN || limit == INT64_MAX) {
        put_affine(w, at);
        return;
    }
    put(w, "%s(%" PRId64 ", ", outer, limit);
    put_affine(w, at);
    put(w, ")");
}

static void put_for(writer *w, const nd__kinst *i)
{
    put(w, i->apart ? "for apart i%d = " : "for i%d = ", (int)i->iv);
    put_bound(w, i->lo, "max", i->least);
    put(w, "..");
    put_bound(w, i->hi, "min", i->most);
    if (i->step != 1)
        put(w, " by %" PRId64, i->step);
    if (i->arg_count > 0) {
        put(w, " carry ");
        put_range(w, i->carried, i->arg_count);
        put(w, " =");
        put_values(w, i->args, i->arg_count);
    }
}

static void put_inst(writer *w, const nd__kinst *i)
{
    static const nd__kval nothing = -1;
    const nd__kval *first = i->arg_count > 0 ? &i->args[0] : &nothing,
                   *second = i->arg_count > 1 ? &i->args[1] : &nothing;
    if (i->result_count > 0) {
        put_range(w, i->result, i->result_count);
        put(w, " = ");
    }
    if (i->op == ND__K_for) {
        put_for(w, i);
        return;
    }
    put(w, "%s", nd__k_op_name(i->op));
    if (i->op == ND__K_if || i->op == ND__K_yield) {
        put_values(w, i->args, i->arg_count);
        return;
    }
    put(w, " ");
    switch (i->op) {
    case ND__K_const:
        put_type(w, i->type);
        put_const(w, i);
        break;
    case ND__K_index:
    case ND__K_load:
        put_type(w, i->type);
        put_address(w, i, NULL);
        put_lanes(w, i, NULL);
        break;
    case ND__K_loadx:
        put_type(w, i->type);
        put_address(w, i, first);
        put_lanes(w, i, first);
        break;
    case ND__K_store:
        put_address(w, i, NULL);
        put(w, ",");
        put_values(w, first, 1);
        put_lanes(w, i, NULL);
        break;
    case ND__K_storex:
        put_address(w, i, second);
        put(w, ",");
        put_values(w, first, 1);
        put_lanes(w, i, second);
        break;
    case ND__K_fetch:
        put_address(w, i, NULL);
        put(w, "%s", i->imm ? " to write" : "");
        break;
    case ND__K_lane:
        put_type(w, i->type);
        put_value(w, *first);
        put(w, "[%" PRIu64 "]", i->imm);
        break;
    case ND__K_eq: /* what is compared says more than that the result is a bool */
    case ND__K_ne:
    case ND__K_lt:
    case ND__K_le:
        if (*first >= 0 && *first < w->k->value_count)
            put_type(w, w->k->types[*first]);
        put_value(w, *first);
        put(w, ",");
        put_values(w, second, 1);
        break;
    default:
        put_type(w, i->type);
        for (int32_t n = 0; n < i->arg_count; n++) {
            put(w, n ? ", " : "");
            put_value(w, i->args[n]);
        }
    }
}

/* -- kernels ------------------------------------------------------------------------------------------------------- */

static bool says_nothing(const nd__kblock *block)
{
    return !block->first || (block->first->op == ND__K_yield && block->first->arg_count == 0);
}

static void put_block(writer *w, const nd__kblock *block, int depth)
{
    for (const nd__kinst *i = block->first; i; i = i->next) {
        if (i->op == ND__K_yield && i->arg_count == 0)
            continue;
        put(w, "%*s", 2 * depth, "");
        put_inst(w, i);
        put(w, "\n");
        put_block(w, &i->body, depth + 1);
        if (!says_nothing(&i->other)) {
            put(w, "%*selse\n", 2 * depth, "");
            put_block(w, &i->other, depth + 1);
        }
    }
}

void nd__k_print(const nd__kernel *k, FILE *out)
{
    static const char *const access[] = {"", "out ", "inout ", "scratch ", "table "};
    if (!k)
        return;
    writer w = begin(k, out, NULL, 0);
    put(&w, "kernel %s (", k->name ? k->name : "");
    const char *comma = "";
    for (int32_t i = 0; i < k->buffer_count; i++) {
        const nd__kbuffer *b = &k->buffers[i];
        if (b->access == ND__K_TABLE)
            continue;
        put(&w, "%s%s%s: %s[%" PRId64 "]", comma, access[b->access], b->name, nd_dtype_name(b->dtype), b->elems);
        if (b->align > (int64_t)nd_dtype_size(b->dtype))
            put(&w, " align %" PRId64, b->align);
        comma = ", ";
    }
    put(&w, ")\n");
    for (int32_t i = 0; i < k->buffer_count; i++) {
        const nd__kbuffer *b = &k->buffers[i];
        if (b->access == ND__K_TABLE)
            put(&w, "  table %s: %s[%" PRId64 "]\n", b->name, nd_dtype_name(b->dtype), b->elems);
    }
    put_block(&w, &k->body, 1);
    free(w.names);
}

void nd__k_inst_text(const nd__kernel *k, const nd__kinst *inst, char *text, size_t size)
{
    if (size > 0)
        text[0] = '\0';
    writer w = begin(k, NULL, text, size);
    put_inst(&w, inst);
    free(w.names);
}
