/* The arguments of calls: which parameter each one is for, and then what that parameter takes. */
#include "compiler/formula/formula.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static int param_count(const nd__call *call)
{
    int n = 0;
    while (n < ND__MAX_PARAMS && call->params[n].kind != ND__PARAM_END)
        n++;
    return n;
}

/* "sum(x, axis=, keepdims=)" */
static const char *signature(nd__formula *f, const nd__call *call)
{
    char *text = nd__arena_format(&f->m->arena, "%s(", call->name);
    for (int i = 0; text && i < param_count(call); i++)
        text = nd__arena_format(&f->m->arena, "%s%s%s%s", text, i ? ", " : "", call->params[i].name,
                                call->params[i].optional ? "=" : "");
    return text ? text : "";
}

/* -- one argument ------------------------------------------------------------------------------------------------- */

/* [+-] digits */
static bool read_integer(nd__formula *f, int64_t *value)
{
    bool minus = nd__formula_accept(f, "-");
    if (!minus)
        nd__formula_accept(f, "+");
    if (f->token.kind != ND__LEXEME_NUMBER || !f->token.integral)
        return false;
    *value = minus ? -(int64_t)f->token.number : (int64_t)f->token.number;
    nd__formula_next(f);
    return true;
}

static bool read_axis(nd__formula *f, int64_t *value)
{
    size_t at = f->token.at;
    if (!read_integer(f, value))
        return false;
    if (*value < -1000 || *value > 1000) /* far beyond ND_MAX_RANK, well within int */
        nd__formula_fail(f, at, "%lld is no axis", (long long)*value);
    return true;
}

/* x.shape[i], the name of which was taken: "." is next. */
static bool read_size_of(nd__formula *f, const nd__lexeme *name, int64_t *size)
{
    nd_value *v = nd__formula_value(f, name->text, name->length);
    int64_t axis;
    nd__formula_next(f);
    if (!v || !nd__formula_accept(f, "shape") || !nd__formula_accept(f, "[") || !read_integer(f, &axis) ||
        !nd__formula_accept(f, "]"))
        return false;
    int rank = v->shape.rank;
    if (axis < -rank || axis >= rank)
        nd__formula_fail(f, name->at, "axis %lld is outside %s", (long long)axis,
                         nd__show_type(f->m, v->dtype, &v->shape));
    else
        *size = v->shape.dims[axis < 0 ? axis + rank : axis];
    return true;
}

/* 6, -1, B, x.shape[0] */
static bool read_factor(nd__formula *f, int64_t *size)
{
    const nd__lexeme t = f->token;
    if (t.kind != ND__LEXEME_NAME && t.kind != ND__LEXEME_QUOTED)
        return read_integer(f, size);
    nd__formula_next(f);
    if (nd__lexeme_is(&f->token, "."))
        return read_size_of(f, &t, size);
    if (t.kind == ND__LEXEME_NAME && nd__size_find(f->m, t.text, t.length, size))
        return true;
    nd__formula_fail(f, t.at, "no dimension is named '%.*s'", t.length > 60 ? 60 : (int)t.length, t.text);
    return true;
}

/* factor * factor * ... */
static bool read_size(nd__formula *f, int64_t *size)
{
    bool read = read_factor(f, size);
    while (read && !nd__formula_failed(f) && nd__lexeme_is(&f->token, "*")) {
        size_t at = f->token.at;
        int64_t factor;
        nd__formula_next(f);
        read = read_factor(f, &factor);
        if (!read || nd__formula_failed(f))
            break;
        *size = nd__size_mul(f->m, *size, factor);
        if (*size < 0)
            nd__formula_fail(f, at,
                             "this is no size: it must be a number times a product of dimensions, and not too large");
    }
    return read;
}

/* One of them, or any number in brackets. Those past the eighth are counted only: whoever takes the list refuses it. */
static bool read_list(nd__formula *f, bool (*read)(nd__formula *, int64_t *), nd_shape *list)
{
    const char *close = nd__lexeme_is(&f->token, "[") ? "]" : nd__lexeme_is(&f->token, "(") ? ")" : NULL;
    if (!close) {
        list->rank = 1;
        return read(f, &list->dims[0]);
    }
    nd__formula_next(f);
    while (!nd__formula_failed(f) && !nd__lexeme_is(&f->token, close)) {
        int64_t item;
        if (!read(f, &item))
            return false;
        if (list->rank < ND_MAX_RANK)
            list->dims[list->rank] = item;
        if (list->rank < 1000)
            list->rank++;
        if (!nd__lexeme_is(&f->token, close) && !nd__formula_failed(f) && !nd__formula_expect(f, ","))
            return true;
    }
    if (!nd__formula_failed(f))
        nd__formula_next(f);
    return true;
}

/* Values up to the closing bracket, which is taken. */
static void read_values(nd__formula *f, const char *close, nd_values *values)
{
    nd_value **items = NULL;
    int room = 0, count = 0;
    while (!nd__formula_failed(f) && !nd__lexeme_is(&f->token, close)) {
        nd_value *v = nd__formula_expression(f);
        if (!nd__arena_grow(&f->m->arena, &items, &room, count + 1, sizeof *items)) {
            nd__fail_memory(f->m);
            return;
        }
        items[count++] = v;
        if (!nd__formula_failed(f) && !nd__lexeme_is(&f->token, close))
            nd__formula_expect(f, ",");
    }
    *values = (nd_values){(size_t)count, items};
    if (!nd__formula_failed(f))
        nd__formula_next(f);
}

static bool read_number(nd__formula *f, double *number)
{
    bool minus = nd__formula_accept(f, "-");
    if (!minus)
        nd__formula_accept(f, "+");
    if (f->token.kind == ND__LEXEME_NUMBER)
        *number = f->token.number;
    else if (nd__lexeme_is(&f->token, "inf"))
        *number = (double)INFINITY;
    else if (nd__lexeme_is(&f->token, "nan"))
        *number = (double)NAN;
    else if (nd__lexeme_is(&f->token, "True") || nd__lexeme_is(&f->token, "False"))
        *number = f->token.text[0] == 'T';
    else
        return false;
    *number = minus ? -*number : *number;
    nd__formula_next(f);
    return true;
}

/* f32 as well as NumPy's float32. */
static bool read_dtype(nd__formula *f, nd_dtype *dtype)
{
    static const struct {
        const char *name;
        nd_dtype dtype;
    } numpy[] = {{"float32", ND_F32}, {"float64", ND_F64}, {"int32", ND_I32},
                 {"int64", ND_I64},   {"uint32", ND_U32},  {"uint8", ND_U8}};
    const nd__lexeme t = f->token;
    *dtype = ND_DTYPES;
    if (t.kind == ND__LEXEME_NAME || t.kind == ND__LEXEME_QUOTED) {
        for (int d = 0; d < ND_DTYPES; d++)
            if (nd_dtype_size((nd_dtype)d) > 0 && strlen(nd_dtype_name((nd_dtype)d)) == t.length &&
                memcmp(nd_dtype_name((nd_dtype)d), t.text, t.length) == 0)
                *dtype = (nd_dtype)d;
        for (size_t i = 0; i < sizeof numpy / sizeof *numpy; i++)
            if (strlen(numpy[i].name) == t.length && memcmp(numpy[i].name, t.text, t.length) == 0)
                *dtype = numpy[i].dtype;
    }
    if (*dtype == ND_DTYPES)
        return false;
    nd__formula_next(f);
    return true;
}

static const char *const kinds[] = {
    [ND__PARAM_END] = "",
    [ND__PARAM_VALUE] = "a value",
    [ND__PARAM_VALUES] = "a list of values",
    [ND__PARAM_AXIS] = "an integer",
    [ND__PARAM_AXES] = "an integer, a list of integers or None",
    [ND__PARAM_SHAPE] = "a size or a list of sizes",
    [ND__PARAM_SIZE] = "a size",
    [ND__PARAM_NUMBERS] = "an integer or a list of integers",
    [ND__PARAM_NUMBER] = "a number",
    [ND__PARAM_FLAG] = "True or False",
    [ND__PARAM_DTYPE] = "a dtype (f32, f64, i32, i64, u32, u8, bool)",
};

static void read_argument(nd__formula *f, const nd__call *call, const nd__param *param, nd__argument *a)
{
    bool read = true;
    const char *close;
    a->given = true;
    switch (param->kind) {
    case ND__PARAM_END:
        break;
    case ND__PARAM_VALUE:
        a->value = nd__formula_expression(f);
        break;
    case ND__PARAM_VALUES:
        close = nd__lexeme_is(&f->token, "[") ? "]" : nd__lexeme_is(&f->token, "(") ? ")" : NULL;
        read = close != NULL;
        if (read) {
            nd__formula_next(f);
            read_values(f, close, &a->values);
        }
        break;
    case ND__PARAM_AXIS:
        read = read_axis(f, &a->integer);
        break;
    case ND__PARAM_AXES:
        if (nd__formula_accept(f, "None"))
            a->given = false;
        else
            read = read_list(f, read_axis, &a->list);
        break;
    case ND__PARAM_SHAPE:
        read = read_list(f, read_size, &a->list);
        break;
    case ND__PARAM_SIZE:
        read = read_size(f, &a->integer);
        break;
    case ND__PARAM_NUMBERS:
        read = read_list(f, read_integer, &a->list);
        break;
    case ND__PARAM_NUMBER:
        read = read_number(f, &a->number);
        break;
    case ND__PARAM_FLAG:
        a->integer = nd__lexeme_is(&f->token, "True");
        read = nd__formula_accept(f, "True") || nd__formula_accept(f, "False");
        break;
    case ND__PARAM_DTYPE:
        read = read_dtype(f, &a->dtype);
        break;
    }
    char expected[160];
    snprintf(expected, sizeof expected, "%s for %s of %s", kinds[param->kind], param->name, call->name);
    if (!read)
        nd__formula_unexpected(f, expected);
}

/* -- all arguments ------------------------------------------------------------------------------------------------ */

/* Whether "NAME =" is next. */
static bool is_named(const nd__formula *f)
{
    size_t cursor = f->cursor;
    nd__lexeme behind = nd__lexeme_read(f->text, &cursor);
    return f->token.kind == ND__LEXEME_NAME && nd__lexeme_is(&behind, "=");
}

/* The parameter that the next argument is for; takes its name, if it has one. -1 after an error. */
static int which_param(nd__formula *f, const nd__call *call, int position, bool *named)
{
    const nd__lexeme t = f->token;
    int n = param_count(call), i = position;
    if (is_named(f)) {
        *named = true;
        for (i = 0; i < n && !nd__lexeme_is(&t, call->params[i].name); i++)
            ;
        if (i == n) {
            nd__formula_fail(f, t.at, "%s has no argument '%.*s': %s)", call->name, t.length > 40 ? 40 : (int)t.length,
                             t.text, signature(f, call));
            return -1;
        }
        nd__formula_next(f);
        nd__formula_next(f);
    } else if (*named) {
        nd__formula_fail(f, t.at, "an argument without a name behind one with a name");
        return -1;
    } else if (i >= n) {
        nd__formula_fail(f, t.at, "%s takes %d argument%s: %s)", call->name, n, n == 1 ? "" : "s", signature(f, call));
        return -1;
    }
    return i;
}

static void read_arguments(nd__formula *f, const nd__call *call, size_t at, nd__argument *arguments, int position)
{
    bool named = false;
    while (!nd__formula_failed(f) && !nd__lexeme_is(&f->token, ")")) {
        size_t begin = f->token.at;
        int i = which_param(f, call, position++, &named);
        if (i < 0)
            return;
        if (arguments[i].given) {
            nd__formula_fail(f, begin, "%s: %s is given twice", call->name, call->params[i].name);
            return;
        }
        read_argument(f, call, &call->params[i], &arguments[i]);
        if (!nd__formula_failed(f) && !nd__lexeme_is(&f->token, ")") && !nd__formula_accept(f, ","))
            nd__formula_unexpected(f, "',' or ')'");
    }
    for (int i = 0; i < param_count(call) && !nd__formula_failed(f); i++)
        if (!arguments[i].given && !call->params[i].optional)
            nd__formula_fail(f, at, "%s: %s is missing: %s)", call->name, call->params[i].name, signature(f, call));
    if (!nd__formula_failed(f))
        nd__formula_next(f);
}

/* A function of the module, applied. */
static nd_value *parse_apply(nd__formula *f, const nd_function *function, size_t at)
{
    nd_values values = {0};
    nd_value *out;
    if (function->output_count != 1)
        return nd__formula_fail(f, at, "the function \"%s\" gives %d values; in a formula it must give one",
                                function->name, function->output_count);
    read_values(f, ")", &values);
    if (nd__formula_failed(f))
        return &f->m->poison;
    nd_apply_at(f->place, (nd_function *)function, values, &out);
    return nd__formula_built(f, at, out);
}

nd_value *nd__call_parse(nd__formula *f, const nd__call *call, size_t at, nd_value *first)
{
    nd__argument arguments[ND__MAX_PARAMS] = {0};
    if (first && call->params[0].kind != ND__PARAM_VALUE)
        return nd__formula_fail(f, at, "%s is not called behind a dot: %s)", call->name, signature(f, call));
    nd__formula_next(f);
    if (call->function)
        return parse_apply(f, call->function, at);
    arguments[0].value = first;
    arguments[0].given = first != NULL;
    read_arguments(f, call, at, arguments, first ? 1 : 0);
    if (nd__formula_failed(f))
        return &f->m->poison;
    nd_value *operands[ND__MAX_ARITY];
    for (int i = 0; i < ND__MAX_ARITY; i++)
        operands[i] = arguments[i].value;
    return nd__formula_built(f, at,
                             call->build ? call->build(f, arguments) : nd__elementwise(f->place, call->op, operands));
}
