/* Tensors as text, after NumPy's way: all elements equally wide, floats with as many digits as they need. */
#include "runtime/number.h"
#include "runtime/tensor.h"
#include "runtime/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    LINE = 75,          /* columns before a row of elements goes on in the next line */
    SUMMARISED = 1000,  /* more elements than this: only the ends of each axis */
    EDGE = 3,           /* elements at each end then */
    PLACES = 8,         /* digits after the point, at most */
    SCALAR_PLACES = 17, /* a single number shows all it has */
};

/* How wide the elements are. */
typedef struct format {
    nd_dtype dtype;
    bool single, exponent, dot;
    int left, right;   /* columns before and after the point; without a point all are before */
    int places, power; /* digits after the point and of the exponent */
} format;

typedef struct printer {
    const nd_tensor *tensor;
    nd__text *out;
    format format;
    bool summary;
    size_t line; /* where the current line begins in `out` */
} printer;

/* -- which elements are shown ------------------------------------------------------------------------------------- */

/* The position after i on an axis of n: 0, 1, 2, n-3, n-2, n-1 in a summary. */
static int64_t after(const printer *p, int64_t i, int64_t n)
{
    return p->summary && n > 2 * EDGE && i == EDGE - 1 ? n - EDGE : i + 1;
}

static void visit(printer *p, int axis, int64_t offset, void (*see)(printer *, const void *))
{
    const nd_tensor *t = p->tensor;
    if (axis == t->shape.rank) {
        see(p, t->data + offset * (int64_t)nd_dtype_size(t->dtype));
        return;
    }
    for (int64_t i = 0, n = t->shape.dims[axis]; i < n; i = after(p, i, n))
        visit(p, axis + 1, offset + i * t->stride[axis], see);
}

/* -- their widths ------------------------------------------------------------------------------------------------- */

static double float_at(const printer *p, const void *at)
{
    return p->format.single ? (double)*(const float *)at : *(const double *)at;
}

static nd__decimal decimal_at(const printer *p, double value)
{
    nd__decimal d = nd__decimal_shortest(value, p->format.single);
    bool scalar = p->tensor->shape.rank == 0;
    if (!scalar && !p->format.exponent && d.count - d.point > PLACES)
        d = nd__decimal_rounded(value, PLACES);
    if (!scalar && p->format.exponent && d.count > PLACES + 1) {
        /* Rounded as a number between 1 and 10, to the same digits. */
        char text[40];
        snprintf(text, sizeof text, "%.*e", PLACES, value);
        nd__decimal cut = {.negative = d.negative, .point = atoi(strchr(text, 'e') + 1) + 1};
        for (const char *c = text; *c != 'e'; c++)
            if (*c >= '0' && *c <= '9')
                cut.digits[cut.count++] = *c;
        while (cut.count > 0 && cut.digits[cut.count - 1] == '0')
            cut.count--;
        d = cut;
    }
    return d;
}

static void widen(int *width, int needed)
{
    if (*width < needed)
        *width = needed;
}

/* The smallest and largest magnitudes, to choose between positions and exponents. */
typedef struct range {
    printer base; /* visit() hands it on */
    double low, high;
} range;

static void see_range(printer *p, const void *at)
{
    range *r = (range *)p;
    double v = fabs(float_at(p, at));
    if (!isfinite(v) || v == 0)
        return;
    r->low = v < r->low ? v : r->low;
    r->high = v > r->high ? v : r->high;
}

static void see_float(printer *p, const void *at)
{
    double v = float_at(p, at);
    if (!isfinite(v))
        return;
    nd__decimal d = decimal_at(p, v);
    int whole = p->format.exponent || d.point < 1 ? 1 : d.point;
    int places = p->format.exponent ? d.count - 1 : d.count - d.point;
    int power = d.point - 1 < 0 ? 1 - d.point : d.point - 1;
    widen(&p->format.left, whole + (signbit(v) != 0));
    widen(&p->format.places, d.count == 0 || places < 0 ? 0 : places);
    if (p->format.exponent)
        widen(&p->format.power, power > 99 ? 3 : 2);
}

/* What is neither: nan, inf, -inf. */
static void see_special(printer *p, const void *at)
{
    double v = float_at(p, at);
    if (!isfinite(v))
        widen(&p->format.left, (v < 0 ? 4 : 3) - p->format.right);
}

static int integer_text(char text[ND__NUMBER_TEXT], nd_dtype dtype, const void *at)
{
    switch (dtype) {
    case ND_BOOL:
        return snprintf(text, ND__NUMBER_TEXT, *(const uint8_t *)at ? "True" : "False");
    case ND_U8:
        return snprintf(text, ND__NUMBER_TEXT, "%d", *(const uint8_t *)at);
    case ND_I32:
        return snprintf(text, ND__NUMBER_TEXT, "%ld", (long)*(const int32_t *)at);
    case ND_U32:
        return snprintf(text, ND__NUMBER_TEXT, "%lu", (unsigned long)*(const uint32_t *)at);
    default:
        return snprintf(text, ND__NUMBER_TEXT, "%lld", (long long)*(const int64_t *)at);
    }
}

static void see_integer(printer *p, const void *at)
{
    char text[ND__NUMBER_TEXT];
    widen(&p->format.left, integer_text(text, p->format.dtype, at));
    if (p->format.dtype == ND_BOOL && p->tensor->shape.rank > 0)
        p->format.left = 5; /* True is as wide as False */
}

static void choose_format(printer *p)
{
    p->format = (format){.dtype = p->tensor->dtype, .single = p->tensor->dtype == ND_F32};
    if (!nd_dtype_is_float(p->format.dtype)) {
        visit(p, 0, 0, see_integer);
        return;
    }
    range r = {*p, INFINITY, 0};
    visit(&r.base, 0, 0, see_range);
    if (p->tensor->shape.rank == 0)
        p->format.exponent = r.high >= 1e16 || (r.high > 0 && r.high < 1e-4);
    else
        p->format.exponent = r.high >= 1e8 || (r.high > 0 && (r.low < 1e-4 || r.high / r.low > 1000));
    visit(p, 0, 0, see_float);
    p->format.dot = p->format.places > 0;
    p->format.right = p->format.dot + p->format.places + (p->format.exponent ? 2 + p->format.power : 0);
    visit(p, 0, 0, see_special);
}

/* -- writing ------------------------------------------------------------------------------------------------------ */

static void write_float(printer *p, double v)
{
    const format *f = &p->format;
    nd__text *out = p->out;
    if (!isfinite(v)) {
        const char *name = isnan(v) ? "nan" : v < 0 ? "-inf" : "inf";
        nd__text_add_many(out, ' ', f->left + f->right - (int)strlen(name));
        nd__text_add(out, "%s", name);
        return;
    }
    nd__decimal d = decimal_at(p, v);
    int point = f->exponent && d.count > 0 ? 1 : d.point; /* digits before the point */
    int whole = point < 1 ? 1 : point;
    size_t begin = out->used;
    nd__text_add_many(out, ' ', f->left - whole - d.negative);
    if (d.negative)
        nd__text_add(out, "-");
    for (int i = point < 1 ? point - 1 : 0; i < point || i < d.count; i++) {
        if (i == point)
            nd__text_add(out, ".");
        nd__text_add(out, "%c", i >= 0 && i < d.count ? d.digits[i] : '0');
    }
    int places = d.count > point ? d.count - point : 0;
    if (places == 0 && f->dot)
        nd__text_add(out, ".");
    if (f->exponent) {
        nd__text_add_many(out, '0', f->places - places);
        nd__text_add(out, "e%+0*d", f->power + 1, d.count == 0 ? 0 : d.point - 1);
    }
    nd__text_add_many(out, ' ', f->left + f->right - (int64_t)(out->used - begin));
}

static void write_element(printer *p, const void *at)
{
    char text[ND__NUMBER_TEXT];
    if (nd_dtype_is_float(p->format.dtype)) {
        write_float(p, float_at(p, at));
        return;
    }
    int n = integer_text(text, p->format.dtype, at);
    nd__text_add_many(p->out, ' ', p->format.left - n);
    nd__text_add(p->out, "%s", text);
}

/* A row of elements, broken into lines that go on below its first element. */
static void write_row(printer *p, int64_t offset, int indent, int closing)
{
    const nd_tensor *t = p->tensor;
    int axis = t->shape.rank - 1;
    int64_t n = t->shape.dims[axis];
    size_t width = (size_t)(p->format.left + p->format.right);
    for (int64_t i = 0, next; i < n; i = next) {
        next = after(p, i, n);
        /* The brackets that close behind the last element stand in its line, too. */
        size_t needed = width + (next >= n ? (size_t)closing : 1);
        if (i > 0 && p->out->used - p->line + 1 + needed > LINE) {
            nd__text_add(p->out, "\n");
            p->line = p->out->used;
            nd__text_add_many(p->out, ' ', indent);
        } else if (i > 0) {
            nd__text_add(p->out, " ");
        }
        write_element(p, t->data + (offset + i * t->stride[axis]) * (int64_t)nd_dtype_size(t->dtype));
        if (next > i + 1)
            nd__text_add(p->out, " ...");
    }
}

static void write_axis(printer *p, int axis, int64_t offset, int indent, int closing)
{
    const nd_tensor *t = p->tensor;
    nd__text_add(p->out, "[");
    if (axis == t->shape.rank - 1) {
        write_row(p, offset, indent + 1, closing);
        nd__text_add(p->out, "]");
        return;
    }
    int64_t n = t->shape.dims[axis];
    for (int64_t i = 0, next; i < n; i = next) {
        next = after(p, i, n);
        write_axis(p, axis + 1, offset + i * t->stride[axis], indent + 1, next >= n ? closing + 1 : 1);
        for (int gaps = next > i + 1 ? 2 : next<n; gaps> 0; gaps--) {
            nd__text_add_many(p->out, '\n',
                              t->shape.rank - 1 - axis); /* an empty line between matrices, two between stacks */
            p->line = p->out->used;
            nd__text_add_many(p->out, ' ', indent + 1);
            if (gaps == 2)
                nd__text_add(p->out, "...");
        }
    }
    nd__text_add(p->out, "]");
}

static void write_tensor(const nd_tensor *tensor, nd__text *out)
{
    if (nd_tensor_status(tensor) != ND_OK) {
        nd__text_add(out, "(error: %s)", nd_tensor_error(tensor));
        return;
    }
    if (tensor->dtype == ND_STRING) {
        nd__text_add(out, "string \"%s\"", (const char *)tensor->data);
        return;
    }
    char type[ND__TYPE_TEXT];
    int rank = tensor->shape.rank;
    printer p = {.tensor = tensor, .out = out, .summary = tensor->count > SUMMARISED};
    nd__text_add(out, "%s",
                 rank > 0 ? nd__type_text(type, sizeof type, tensor->dtype, tensor->shape)
                          : nd_dtype_name(tensor->dtype));
    if (tensor->count == 0) {
        nd__text_add(out, " []");
        return;
    }
    choose_format(&p);
    nd__text_add(out, rank > 1 ? "\n" : " ");
    p.line = rank > 1 ? out->used : 0;
    if (rank == 0)
        write_element(&p, tensor->data);
    else
        write_axis(&p, 0, 0, (int)(out->used - p.line), 1);
}

nd_status nd_tensor_print(const nd_tensor *tensor, FILE *out)
{
    nd__text text = {0};
    if (!out)
        return ND_ERR_ARGUMENT;
    write_tensor(tensor, &text);
    nd__text_add(&text, "\n");
    nd_status status = text.failed ? ND_ERR_MEMORY : ND_OK;
    if (status == ND_OK && fwrite(text.data, 1, text.used, out) != text.used)
        status = ND_ERR_IO;
    nd__text_release(&text);
    return status;
}

size_t nd_tensor_text(const nd_tensor *tensor, char *buffer, size_t size)
{
    nd__text text = {0};
    write_tensor(tensor, &text);
    size_t n = text.failed ? 0 : text.used, shown = n < size ? n : size - 1;
    if (size > 0) {
        if (n > 0)
            memcpy(buffer, text.data, shown);
        buffer[n > 0 ? shown : 0] = '\0';
    }
    nd__text_release(&text);
    return n;
}
