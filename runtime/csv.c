/* Tables of numbers in text. The file is read whole; one pass counts the rows, a second one fills the tensors. */
#include "nadir/data.h"
#include "runtime/file.h"
#include "runtime/number.h"
#include "runtime/tensor.h"

#include <stdlib.h>
#include <string.h>

typedef struct table {
    const char *path;
    const char *begin, *end; /* of the text */
    int64_t first_line;      /* the number of the line at `begin` */
    char separator;
    int64_t rows, columns, label; /* label: the column, -1: none */
    bool header;                  /* it was left out */
    nd_tensor *features, *labels;
    nd__message error;
} table;

/* A line without its end, and where the next one begins. */
typedef struct line {
    const char *begin, *end, *next;
    int64_t number;
} line;

static bool next_line(const table *t, line *l)
{
    l->begin = l->next ? l->next : t->begin;
    l->number = l->next ? l->number + 1 : t->first_line;
    if (l->begin >= t->end)
        return false;
    l->end = memchr(l->begin, '\n', (size_t)(t->end - l->begin));
    l->next = l->end ? l->end + 1 : t->end;
    l->end = l->end ? l->end : t->end;
    if (l->end > l->begin && l->end[-1] == '\r')
        l->end--;
    return true;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_blank(const line *l)
{
    const char *p = l->begin;
    while (p < l->end && is_space(*p))
        p++;
    return p == l->end;
}

/* The next field of a line from *at on, without the spaces around it; *at goes behind its separator. False: there is
 * none. */
static bool next_field(const table *t, const line *l, const char **at, const char **begin, const char **end)
{
    const char *p = *at, *stop;
    bool by_spaces = t->separator == ' ';
    if (by_spaces)
        while (p < l->end && is_space(*p))
            p++;
    if (p > l->end || (by_spaces && p == l->end))
        return false;
    for (stop = p; stop < l->end && (by_spaces ? !is_space(*stop) : *stop != t->separator); stop++)
        ;
    *at = stop + 1; /* behind the last field this lies behind the line's end, which ends the walk */
    while (p < stop && is_space(*p))
        p++;
    for (*begin = p, *end = stop; *end > p && is_space((*end)[-1]); (*end)--)
        ;
    return true;
}

static char find_separator(const line *l)
{
    static const char kinds[] = "\t;,";
    for (const char *kind = kinds; *kind; kind++)
        if (memchr(l->begin, *kind, (size_t)(l->end - l->begin)))
            return *kind;
    return ' ';
}

static bool fail_at(table *t, const line *l, const char *at, const char *what)
{
    nd__message_set(&t->error, ND_ERR_PARSE, "%s:%lld:%lld: %s", t->path, (long long)l->number,
                    (long long)(at - l->begin) + 1, what);
    return false;
}

/* -- the two passes ----------------------------------------------------------------------------------------------- */

static void count_rows(table *t)
{
    line l = {0};
    while (next_line(t, &l)) {
        const char *at = l.begin, *begin, *end;
        if (is_blank(&l))
            continue;
        if (t->rows++ > 0)
            continue;
        if (!t->separator)
            t->separator = find_separator(&l);
        while (next_field(t, &l, &at, &begin, &end))
            t->columns++;
    }
}

/* One number into its place. */
static bool put_field(table *t, const line *l, int64_t row, int64_t column, const char *begin, const char *end)
{
    char what[160];
    double value;
    int shown = end - begin > 40 ? 40 : (int)(end - begin);
    if (begin == end)
        return fail_at(t, l, begin, "expected a number, got an empty field");
    if (!nd__number_parse(begin, (size_t)(end - begin), &value)) {
        snprintf(what, sizeof what, "expected a number, got \"%.*s\"%s", shown, begin,
                 row == 0 && !t->header ? "; a header? set `header`" : "");
        return fail_at(t, l, begin, what);
    }
    if (column == t->label) {
        if (!(value >= INT32_MIN && value <= INT32_MAX) || value != (double)(int32_t)value) {
            snprintf(what, sizeof what, "the label %.*s is no 32-bit integer", shown, begin);
            return fail_at(t, l, begin, what);
        }
        ((int32_t *)nd_tensor_data(t->labels))[row] = (int32_t)value;
        return true;
    }
    int64_t features = t->columns - (t->label >= 0),
            place = row * features + column - (t->label >= 0 && column > t->label);
    if (nd_tensor_dtype(t->features) == ND_F32)
        ((float *)nd_tensor_data(t->features))[place] = (float)value;
    else
        ((double *)nd_tensor_data(t->features))[place] = value;
    return true;
}

static bool put_rows(table *t)
{
    line l = {0};
    int64_t row = 0;
    while (next_line(t, &l)) {
        const char *at = l.begin, *begin, *end;
        int64_t column = 0;
        if (is_blank(&l))
            continue;
        while (next_field(t, &l, &at, &begin, &end)) {
            char what[100];
            if (column == t->columns) {
                snprintf(what, sizeof what, "more fields than the %lld of the first row", (long long)t->columns);
                return fail_at(t, &l, begin, what);
            }
            if (!put_field(t, &l, row, column, begin, end))
                return false;
            column++;
        }
        if (column < t->columns) {
            char what[100];
            snprintf(what, sizeof what, "%lld fields, but the first row has %lld", (long long)column,
                     (long long)t->columns);
            return fail_at(t, &l, l.end, what);
        }
        row++;
    }
    return true;
}

static bool fail_like(table *t, const nd_tensor *tensor)
{
    nd__message_set(&t->error, nd_tensor_status(tensor), "%s: %s", t->path, nd_tensor_error(tensor));
    return false;
}

static bool parse(table *t, const nd_csv_options *o)
{
    line l = {0};
    int64_t skip = (int64_t)o->skip_lines + o->header;
    if (t->end - t->begin >= 3 && memcmp(t->begin, "\xEF\xBB\xBF", 3) == 0)
        t->begin += 3; /* a byte order mark */
    t->header = o->header;
    for (t->first_line = 1; skip > 0 && next_line(t, &l); skip--)
        ;
    if (l.next) {
        t->begin = l.next;
        t->first_line = l.number + 1;
    }
    count_rows(t);
    if (t->rows == 0) {
        nd__message_set(&t->error, ND_ERR_PARSE, "%s:%lld:1: no rows", t->path, (long long)t->first_line);
        return false;
    }
    t->label = o->label_column < 0 ? t->columns + o->label_column : (int64_t)o->label_column - 1;
    if (o->label_column != 0 && (t->label < 0 || t->label >= t->columns)) {
        nd__message_set(&t->error, ND_ERR_ARGUMENT, "%s: there is no column %d for the labels: the first row has %lld",
                        t->path, o->label_column, (long long)t->columns);
        return false;
    }
    t->features = nd_tensor_zeros(o->dtype ? o->dtype : ND_F32, ND_SHAPE(t->rows, t->columns - (t->label >= 0)));
    t->labels = nd_tensor_zeros(ND_I32, ND_SHAPE(t->rows));
    if (nd_tensor_status(t->features) != ND_OK)
        return fail_like(t, t->features);
    if (nd_tensor_status(t->labels) != ND_OK)
        return fail_like(t, t->labels);
    return put_rows(t);
}

nd_tensor *nd_csv_read(const char *path, const nd_csv_options *options, nd_tensor **labels)
{
    nd_csv_options o = options ? *options : (nd_csv_options){0};
    nd__bytes file = {NULL, 0};
    table t = {.path = path, .separator = o.separator, .label = -1};
    bool good = false;
    if (o.dtype != 0 && o.dtype != ND_F32 && o.dtype != ND_F64)
        nd__message_set(&t.error, ND_ERR_ARGUMENT, "nd_csv_read: the features are f32 or f64, not %s",
                        nd_dtype_name(o.dtype));
    else if (nd__file_read(path, true, &file, &t.error) == ND_OK) {
        t.begin = (const char *)file.data;
        t.end = t.begin + file.count;
        good = parse(&t, &o);
    }
    if (!good) {
        nd_tensor_destroy(t.features);
        nd_tensor_destroy(t.labels);
        t.features = nd__tensor_failed(t.error.status, "%s", nd__message_text(&t.error));
        t.labels = labels ? nd__tensor_failed_like(t.features) : NULL;
    } else if (t.label < 0 || !labels) {
        nd_tensor_destroy(t.labels);
        t.labels = NULL;
    }
    if (labels)
        *labels = t.labels;
    nd__message_clear(&t.error);
    free(file.data);
    return t.features;
}
