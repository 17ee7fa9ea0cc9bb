/* The parts of statements: words, sizes, types, values, elements. */
#include "compiler/text/apart.h"
#include "compiler/text/elements.h"
#include "compiler/text/parse.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *nd__t_place_of(nd__t_parser *p, const nd__t_token *token)
{
    snprintf(p->place, p->place_room, "%s:%d:%d", p->file, token->line, token->column);
    return p->place;
}

/* -- errors -------------------------------------------------------------------------------------------------------- */

static const char *found(nd__t_parser *p)
{
    const nd__t_token *t = &p->token;
    const int most = 40, n = t->length > (size_t)most ? most : (int)t->length;
    const char *text = NULL;
    switch (t->kind) {
    case ND__T_END:
        return "the end of the text";
    case ND__T_LINE:
        return "the end of the line";
    case ND__T_BAD:
        if ((unsigned char)t->text[0] >= 0x20 && (unsigned char)t->text[0] < 0x7f)
            text = nd__arena_format(&p->scratch, "%s", t->problem);
        else
            text = nd__arena_format(&p->scratch, "the byte 0x%02x", (unsigned char)t->text[0]);
        break;
    case ND__T_LABEL:
        text = nd__arena_format(&p->scratch, "%%%.*s", n, t->text);
        break;
    case ND__T_STRING:
        text = nd__arena_format(&p->scratch, "\"%.*s\"", n, t->text);
        break;
    default:
        text = nd__arena_format(&p->scratch, "'%.*s'", n, t->text);
    }
    return text ? text : "something else";
}

bool nd__t_wrong(nd__t_parser *p, const nd__t_token *token, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const char *text = nd__arena_vformat(&p->scratch, format, args);
    va_end(args);
    if (text)
        nd__fail(p->m, ND_ERR_PARSE, nd__t_place_of(p, token), "%s", text);
    else
        nd__fail_memory(p->m);
    return false;
}

bool nd__t_expected(nd__t_parser *p, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const char *text = nd__arena_vformat(&p->scratch, format, args);
    va_end(args);
    if (text)
        return nd__t_wrong(p, &p->token, "expected %s, found %s", text, found(p));
    nd__fail_memory(p->m);
    return false;
}

/* -- tokens -------------------------------------------------------------------------------------------------------- */

void nd__t_next(nd__t_parser *p)
{
    p->token = nd__t_lex(&p->lexer);
}

bool nd__t_accept(nd__t_parser *p, const char *text)
{
    if (!nd__t_is(&p->token, text))
        return false;
    nd__t_next(p);
    return true;
}

bool nd__t_expect(nd__t_parser *p, const char *text)
{
    return nd__t_accept(p, text) || nd__t_expected(p, "'%s'", text);
}

bool nd__t_expect_line(nd__t_parser *p)
{
    if (p->token.kind == ND__T_END)
        return true;
    if (p->token.kind != ND__T_LINE)
        return nd__t_expected(p, "the end of the line");
    nd__t_next(p);
    return true;
}

static int hex_digit(char c)
{
    const char low = (char)(c | 0x20);
    return c >= '0' && c <= '9' ? c - '0' : low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

const char *nd__t_text(nd__t_parser *p, const nd__t_token *t)
{
    char *copy = nd__arena_text(&p->scratch, t->text, t->length), *to = copy;
    if (!copy)
        nd__fail_memory(p->m);
    if (!copy || t->kind != ND__T_STRING)
        return copy;
    for (size_t i = 0; i < t->length; i++) {
        if (copy[i] != '\\') {
            *to++ = copy[i];
        } else if (copy[i + 1] == '"' || copy[i + 1] == '\\') {
            *to++ = copy[++i];
        } else if (copy[i + 1] == 'x' && hex_digit(copy[i + 2]) >= 0 && hex_digit(copy[i + 3]) >= 0 &&
                   memcmp(copy + i + 2, "00", 2) != 0) {
            *to++ = (char)(hex_digit(copy[i + 2]) * 16 + hex_digit(copy[i + 3]));
            i += 3;
        } else {
            nd__t_wrong(p, t, "expected \\\", \\\\ or \\x and two hexadecimal digits (not 00) behind the backslash");
            return NULL;
        }
    }
    *to = '\0';
    return copy;
}

bool nd__t_parse_word(nd__t_parser *p, const char *what, const char **word)
{
    if (p->token.kind != ND__T_WORD)
        return nd__t_expected(p, "%s", what);
    *word = nd__t_text(p, &p->token);
    nd__t_next(p);
    return *word != NULL;
}

/* -- sizes and types ----------------------------------------------------------------------------------------------- */

static bool factor(nd__t_parser *p, int64_t *size)
{
    const nd__t_token *t = &p->token;
    if (t->kind == ND__T_NUMBER) {
        if (!nd__whole_parse(t->text, t->length, size) || *size < 0 || nd__size_is_named(*size))
            return nd__t_expected(p, "a size");
        nd__t_next(p);
        return true;
    }
    if (t->kind != ND__T_WORD)
        return nd__t_expected(p, "a size");
    for (int i = 0; i < p->m->dim_count; i++)
        if (strlen(p->m->dims[i].name) == t->length && memcmp(p->m->dims[i].name, t->text, t->length) == 0) {
            *size = nd__size_of_symbol(p->m, (nd__symbol){.factor = 1, .count = 1, .dims = {i}});
            nd__t_next(p);
            return *size >= 0;
        }
    return nd__t_wrong(p, t, "there is no dimension \"%.*s\"; \"dim %.*s=...\" declares it", (int)t->length, t->text,
                       (int)t->length, t->text);
}

bool nd__t_parse_size(nd__t_parser *p, int64_t *size)
{
    const nd__t_token first = p->token;
    if (!factor(p, size))
        return false;
    while (nd__t_accept(p, "*")) {
        int64_t more;
        if (!factor(p, &more))
            return false;
        *size = nd__size_mul(p->m, *size, more);
        if (*size < 0)
            return nd__t_wrong(p, &first, "the size is too large, or of more than %d names", ND_MAX_RANK);
    }
    return true;
}

bool nd__t_parse_type(nd__t_parser *p, nd__type *type)
{
    *type = (nd__type){.dtype = ND_DTYPES};
    if (p->token.kind == ND__T_WORD)
        for (int i = 0; i < ND_DTYPES; i++)
            if (nd_dtype_size((nd_dtype)i) > 0 && nd__t_is(&p->token, nd_dtype_name((nd_dtype)i)))
                type->dtype = (nd_dtype)i;
    if (type->dtype == ND_DTYPES)
        return nd__t_expected(p, "a type (bool, u8, i32, u32, i64, f32 or f64, then the sizes: f32[2,3])");
    nd__t_next(p);
    if (!nd__t_accept(p, "["))
        return true;
    do {
        if (type->shape.rank == ND_MAX_RANK)
            return nd__t_expected(p, "at most %d sizes", ND_MAX_RANK);
        if (!nd__t_parse_size(p, &type->shape.dims[type->shape.rank++]))
            return false;
    } while (nd__t_accept(p, ","));
    return nd__t_expect(p, "]");
}

bool nd__t_parse_value(nd__t_parser *p, nd_value **value)
{
    if (p->token.kind != ND__T_LABEL)
        return nd__t_expected(p, "a value (%%name or %%number)");
    const nd__label *label = nd__labels_find(&p->labels, p->token.text, p->token.length);
    if (!label)
        return nd__t_wrong(p, &p->token, "%%%.*s is not defined before this line", (int)p->token.length, p->token.text);
    *value = label->value;
    nd__t_next(p);
    return true;
}

/* -- elements ------------------------------------------------------------------------------------------------------ */

static bool element(nd__t_parser *p, nd_dtype dtype, void *to)
{
    uint64_t bits;
    if (p->token.kind != ND__T_NUMBER && p->token.kind != ND__T_WORD)
        return nd__t_expected(p, "an element of %s", nd_dtype_name(dtype));
    if (dtype != ND_BOOL && nd__t_accept(p, "bits")) {
        if (!nd__t_expect(p, "("))
            return false;
        if (p->token.kind != ND__T_NUMBER || !nd__bits_parse(p->token.text, p->token.length, &bits) ||
            !nd__element_of_bits(bits, dtype, to))
            return nd__t_expected(p, "the bits of an element of %s, in hexadecimal after 0x", nd_dtype_name(dtype));
        nd__t_next(p);
        return nd__t_expect(p, ")");
    }
    if (!nd__element_parse(p->token.text, p->token.length, dtype, to))
        return nd__t_expected(p, "an element of %s", nd_dtype_name(dtype));
    nd__t_next(p);
    return true;
}

/* The rest of a list along `axis`, behind its bracket; as deep as the rank, which is at most ND_MAX_RANK. */
static bool list(nd__t_parser *p, nd_dtype dtype, const nd_shape *shape, int axis, nd__text *items)
{
    for (int64_t i = 0; i < shape->dims[axis]; i++) {
        uint64_t bits = 0;
        if (i > 0 && !nd__t_accept(p, ","))
            return nd__t_expected(p, "%lld elements along axis %d: ',' behind element %lld",
                                  (long long)shape->dims[axis], axis, (long long)i - 1);
        if (axis + 1 < shape->rank ? !nd__t_expect(p, "[") || !list(p, dtype, shape, axis + 1, items)
                                   : !element(p, dtype, &bits))
            return false;
        if (axis + 1 == shape->rank)
            nd__text_add_bytes(items, (const char *)&bits, nd_dtype_size(dtype));
        if (items->failed)
            nd__fail_memory(p->m);
        if (items->failed)
            return false;
    }
    return nd__t_accept(p, "]") ||
           nd__t_expected(p, "%lld elements along axis %d and ']'", (long long)shape->dims[axis], axis);
}

/* The file of the large constants, read once. */
static bool open_apart(nd__t_parser *p, const nd__t_token *at)
{
    nd__message message = {0};
    if (p->apart_path)
        return true;
    if (!p->path)
        return nd__t_wrong(p, at, "the elements lie in a file beside the text's, but this text comes from no file");
    p->apart_path = nd__apart_path(p->path);
    if (!p->apart_path)
        nd__fail_memory(p->m);
    else if (nd__safetensors_read(p->apart_path, &p->apart, &message) != ND_OK)
        nd__fail(p->m, message.status, nd__t_place_of(p, at), "%s", nd__message_text(&message));
    nd__message_clear(&message);
    return p->m->status == ND_OK;
}

/* `file("table", 0x5b1e6ffdd0f6ea05)`, behind the word. */
static bool parse_apart(nd__t_parser *p, const nd__t_token *at, const nd_shape *shape, nd__data *data)
{
    nd__message message = {0};
    uint64_t sum;
    if (!nd__t_expect(p, "("))
        return false;
    if (p->token.kind != ND__T_STRING)
        return nd__t_expected(p, "the tensor's name in quotes");
    const nd__t_token name_at = p->token;
    const char *name = nd__t_text(p, &name_at);
    nd__t_next(p);
    const bool summed = nd__t_accept(p, ",");
    const nd__t_token sum_at = p->token;
    if (summed) {
        if (p->token.kind != ND__T_NUMBER || !nd__bits_parse(p->token.text, p->token.length, &sum))
            return nd__t_expected(p, "the sum of the elements, 64 bits");
        nd__t_next(p);
    }
    if (!name || !nd__t_expect(p, ")") || !open_apart(p, at))
        return false;
    /* what the text says is no reason to ask for memory before the file says so, too */
    const bool there = nd__apart_look(&p->apart, p->apart_path, name, data->dtype, shape, &message) == ND_OK;
    void *items = there ? nd__arena_alloc(&p->scratch, (size_t)data->count, nd_dtype_size(data->dtype)) : NULL;
    data->items = items;
    if (!there)
        nd__fail(p->m, message.status, nd__t_place_of(p, &name_at), "%s", nd__message_text(&message));
    else if (!items)
        nd__fail_memory(p->m);
    else if (nd__apart_read(&p->apart, p->apart_path, name, data->dtype, shape, items, &message) != ND_OK)
        nd__fail(p->m, message.status, nd__t_place_of(p, &name_at), "%s", nd__message_text(&message));
    else if (summed && nd__apart_sum(data) != sum)
        nd__fail(p->m, ND_ERR_DATA, nd__t_place_of(p, &sum_at), "%s has other elements of \"%s\" than this text says",
                 p->apart_path, name);
    nd__message_clear(&message);
    return p->m->status == ND_OK;
}

bool nd__t_parse_data(nd__t_parser *p, nd_dtype dtype, const nd_shape *shape, const nd__data **data)
{
    nd__data *made = nd__arena_alloc(&p->scratch, 1, sizeof *made);
    uint64_t *one = nd__arena_alloc(&p->scratch, 1, sizeof *one);
    if (!made || !one) {
        nd__fail_memory(p->m);
        return false;
    }
    *made = (nd__data){dtype, 1, one};
    *data = made;
    const nd__t_token at = p->token;
    const bool apart = nd__t_accept(p, "file");
    if (!apart && !nd__t_accept(p, "["))
        return element(p, dtype, one);
    const int64_t count = nd__size_product(p->m, shape->rank, shape->dims);
    if (shape->rank == 0 || nd__size_is_named(count))
        return nd__t_expected(p, shape->rank == 0 ? "one element" : "one element for all of a shape with named sizes");
    if (count < 0)
        return nd__t_expected(p, "a shape that is not too large");
    made->count = count;
    if (apart)
        return parse_apart(p, &at, shape, made);
    if (count == 0) /* [], however the axes are */
        return nd__t_expect(p, "]");
    nd__text items = {0};
    bool good = list(p, dtype, shape, 0, &items);
    if (good && (made->items = nd__arena_text(&p->scratch, items.data, items.used)) == NULL) {
        nd__fail_memory(p->m);
        good = false;
    }
    nd__text_release(&items);
    return good;
}
