/* Strings, constants and attributes as text. */
#include "compiler/text/elements.h"
#include "compiler/text/show.h"
#include "runtime/utf8.h"

#include <inttypes.h>
#include <string.h>

static void put(nd__text *out, const char *text)
{
    nd__text_add_bytes(out, text, strlen(text));
}

void nd__show_string(nd__text *out, const char *text)
{
    put(out, "\"");
    for (size_t n; *text; text += n) { /* names need not be UTF-8, the file should be */
        n = nd__utf8_length(text, strlen(text));
        if (n == 0 || *text == 0x7f || (unsigned char)*text < 0x20) {
            nd__text_add(out, "\\x%02x", (unsigned char)*text);
            n = 1;
        } else {
            if (*text == '"' || *text == '\\')
                put(out, "\\");
            nd__text_add_bytes(out, text, n);
        }
    }
    put(out, "\"");
}

/* -- attributes ---------------------------------------------------------------------------------------------------- */

enum { ON_ONE_LINE = 16 };

static void new_line(nd__text *out, int indent)
{
    put(out, "\n");
    nd__text_add_many(out, ' ', indent);
}

/* Elements from `at` on, as lists nested like the axes from `axis` on. Rows of many elements get lines of their own. */
static void put_elements(nd__text *out, const nd__data *data, const nd_shape *shape, int axis, int64_t *at)
{
    const bool last = axis == shape->rank - 1, wide = data->count > ON_ONE_LINE;
    put(out, "[");
    for (int64_t i = 0; i < shape->dims[axis]; i++) {
        put(out, i == 0 ? "" : wide && !last ? "," : ", ");
        if (wide && (last ? i % ON_ONE_LINE == 0 && shape->dims[axis] > ON_ONE_LINE : true))
            new_line(out, 2 * axis + 2);
        if (last)
            nd__element_print(out, data->dtype, data->items, (*at)++);
        else
            put_elements(out, data, shape, axis + 1, at);
    }
    put(out, "]");
}

static void put_data(nd__text *out, const nd__data *data, const nd_shape *shape)
{
    int64_t at = 0;
    if (data->count == 1)
        nd__element_print(out, data->dtype, data->items, 0);
    else if (data->count == 0)
        put(out, "[]");
    else
        put_elements(out, data, shape, 0, &at);
}

static void put_list(const nd__shown *s, nd__text *out, const nd__attr *a, bool sizes)
{
    put(out, "[");
    for (int i = 0; i < a->count; i++) {
        put(out, i ? "," : "");
        if (sizes)
            nd__show_size_text(out, s->m, a->ints[i]);
        else
            nd__text_add(out, "%" PRId64, a->ints[i]);
    }
    put(out, "]");
}

static void put_band(nd__text *out, const nd__attr *a)
{
    put(out, nd__band_names[a->i]);
    put(out, "[");
    for (int i = 0; i < 2; i++) {
        put(out, i ? "," : "");
        if (a->ints[i] == (i ? INT64_MAX : INT64_MIN))
            put(out, "*");
        else
            nd__text_add(out, "%" PRId64, a->ints[i]);
    }
    put(out, "]");
}

/* What the text before the = says already: the type, the name. */
static bool is_said(const nd__node *n, const nd__attr *a)
{
    if (a->key == ND__A_name || a->key == ND__A_variable)
        return strcmp(a->key == ND__A_name ? a->text : a->variable->name, n->results[0].name) == 0;
    return a->key == ND__A_dtype || a->key == ND__A_shape ||
           ((nd__attr_kinds[a->key] == ND__KIND_FLAG || nd__attr_kinds[a->key] == ND__KIND_BAND) && !a->i);
}

void nd__show_attribute(const nd__shown *s, nd__text *out, const nd__node *n, const nd__attr *a)
{
    if (is_said(n, a))
        return;
    put(out, " ");
    if (a->key == ND__A_data) { /* of a constant, in the place of operands */
        put_data(out, a->data, &n->results[0].shape);
        return;
    }
    put(out, nd__attr_names[a->key]);
    put(out, nd__attr_kinds[a->key] == ND__KIND_FLAG ? "" : "=");
    switch (nd__attr_kinds[a->key]) {
    case ND__KIND_FLAG:
        break;
    case ND__KIND_INT:
        nd__text_add(out, "%" PRId64, a->i);
        break;
    case ND__KIND_BITS:
        nd__text_add(out, "0x%" PRIx64, (uint64_t)a->i);
        break;
    case ND__KIND_SIZE:
        nd__show_size_text(out, s->m, a->i);
        break;
    case ND__KIND_DTYPE:
        put(out, nd_dtype_name((nd_dtype)a->i));
        break;
    case ND__KIND_INTS:
    case ND__KIND_SIZES:
        put_list(s, out, a, nd__attr_kinds[a->key] == ND__KIND_SIZES);
        break;
    case ND__KIND_BAND:
        put_band(out, a);
        break;
    case ND__KIND_TEXT:
        nd__show_string(out, a->text);
        break;
    case ND__KIND_DATA:
        put_data(out, a->data, &n->results[0].shape);
        break;
    case ND__KIND_FUNC:
        put(out, a->function->name);
        break;
    case ND__KIND_VAR:
        nd__show_string(out, a->variable->name);
        break;
    }
}
