/* Safetensors files. What is read is not believed: a size is compared with the file before it is used. */
#include "runtime/safetensors.h"

#include "runtime/json.h"
#include "runtime/utf8.h"

#include <stdlib.h>
#include <string.h>

static const char *const types[ND_DTYPES] = {
    [ND_BOOL] = "BOOL", [ND_U8] = "U8",   [ND_I32] = "I32", [ND_U32] = "U32",
    [ND_I64] = "I64",   [ND_F32] = "F32", [ND_F64] = "F64",
};

static const char metadata_name[] = "__metadata__";

/* -- the header --------------------------------------------------------------------------------------------------- */

static nd_dtype dtype_of(const char *type)
{
    for (int i = 0; i < ND_DTYPES; i++)
        if (types[i] && strcmp(types[i], type) == 0)
            return (nd_dtype)i;
    return ND_DTYPES;
}

/* Room for one more element of `size` bytes: doubles when the count is a power of two. */
static void *one_more(void *array, size_t count, size_t size)
{
    if (count & (count - 1))
        return array;
    size_t room = count ? 2 * count : 1;
    return room <= SIZE_MAX / size ? realloc(array, room * size) : NULL;
}

/* [n, n, ...]; sizes past the eighth are dropped, the rank is kept. */
static bool parse_shape(nd__json *j, nd_shape *shape)
{
    *shape = (nd_shape){0, {0}};
    if (!nd__json_expect(j, '[', "'['"))
        return false;
    if (nd__json_accept(j, ']'))
        return true;
    do {
        int64_t size;
        if (!nd__json_count(j, &size))
            return false;
        if (shape->rank < ND_MAX_RANK)
            shape->dims[shape->rank] = size;
        shape->rank++;
    } while (nd__json_accept(j, ','));
    return nd__json_expect(j, ']', "',' or ']'");
}

static bool parse_offsets(nd__json *j, nd__saved *saved)
{
    int64_t begin, end;
    if (!nd__json_expect(j, '[', "'['") || !nd__json_count(j, &begin) || !nd__json_expect(j, ',', "','") ||
        !nd__json_count(j, &end) || !nd__json_expect(j, ']', "']'"))
        return false;
    if ((uint64_t)begin > SIZE_MAX || (uint64_t)end > SIZE_MAX || begin > end) {
        j->expected = "offsets in order";
        return false;
    }
    saved->begin = (size_t)begin;
    saved->end = (size_t)end;
    return true;
}

/* {"dtype": ..., "shape": ..., "data_offsets": ...} in any order. */
static bool parse_tensor(nd__json *j, nd__saved *saved)
{
    bool has_type = false, has_shape = false, has_offsets = false;
    if (!nd__json_expect(j, '{', "'{'"))
        return false;
    do {
        const char *key = nd__json_string(j);
        if (!key || !nd__json_expect(j, ':', "':'"))
            return false;
        bool good;
        if (strcmp(key, "dtype") == 0 && !has_type) {
            has_type = true;
            saved->type = nd__json_string(j);
            good = saved->type != NULL;
        } else if (strcmp(key, "shape") == 0 && !has_shape) {
            has_shape = true;
            good = parse_shape(j, &saved->shape);
        } else if (strcmp(key, "data_offsets") == 0 && !has_offsets) {
            has_offsets = true;
            good = parse_offsets(j, saved);
        } else {
            j->expected = "dtype, shape and data_offsets, each once";
            good = false;
        }
        if (!good)
            return false;
    } while (nd__json_accept(j, ','));
    if (!nd__json_expect(j, '}', "',' or '}'"))
        return false;
    if (!has_type || !has_shape || !has_offsets) {
        j->expected = "dtype, shape and data_offsets before this";
        return false;
    }
    saved->dtype = dtype_of(saved->type);
    return true;
}

static bool parse_metadata(nd__json *j, nd__safetensors *s, bool *out_of_memory)
{
    if (!nd__json_expect(j, '{', "'{'"))
        return false;
    if (nd__json_accept(j, '}'))
        return true;
    do {
        nd__pair pair;
        if (!(pair.key = nd__json_string(j)) || !nd__json_expect(j, ':', "':'") || !(pair.value = nd__json_string(j)))
            return false;
        nd__pair *pairs = one_more(s->pairs, s->pair_count, sizeof *pairs);
        if (!pairs) {
            *out_of_memory = true;
            return false;
        }
        s->pairs = pairs;
        s->pairs[s->pair_count++] = pair;
    } while (nd__json_accept(j, ','));
    return nd__json_expect(j, '}', "',' or '}'");
}

static bool parse_tensors(nd__json *j, nd__safetensors *s, bool *out_of_memory)
{
    bool has_metadata = false;
    if (!nd__json_expect(j, '{', "'{'"))
        return false;
    if (nd__json_accept(j, '}'))
        return true;
    do {
        nd__saved saved = {.name = nd__json_string(j)};
        if (!saved.name || !nd__json_expect(j, ':', "':'"))
            return false;
        if (strcmp(saved.name, metadata_name) == 0) {
            if (has_metadata) {
                j->expected = "one __metadata__";
                return false;
            }
            has_metadata = true;
            if (!parse_metadata(j, s, out_of_memory))
                return false;
            continue;
        }
        if (!parse_tensor(j, &saved))
            return false;
        nd__saved *tensors = one_more(s->tensors, s->count, sizeof *tensors);
        if (!tensors) {
            *out_of_memory = true;
            return false;
        }
        s->tensors = tensors;
        s->tensors[s->count++] = saved;
    } while (nd__json_accept(j, ','));
    return nd__json_expect(j, '}', "',' or '}'");
}

/* -- what the header says, against the file ----------------------------------------------------------------------- */

static int by_place(const void *a, const void *b)
{
    const nd__saved *s = a, *t = b;
    if (s->begin != t->begin)
        return s->begin < t->begin ? -1 : 1;
    return (s->end > t->end) - (s->end < t->end);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const nd__saved *)a)->name, ((const nd__saved *)b)->name);
}

static nd_status check_size(const char *path, const nd__saved *saved, nd__message *message)
{
    int64_t stride[ND_MAX_RANK], count;
    nd__message why = {ND_OK, NULL};
    if (saved->dtype == ND_DTYPES) /* whoever wants this tensor will refuse it */
        return ND_OK;
    if (nd__shape_check(saved->dtype, saved->shape, stride, &count, &why) != ND_OK)
        nd__message_set(message, ND_ERR_PARSE, "%s: \"%s\": %s", path, saved->name, nd__message_text(&why));
    else if ((size_t)count * nd_dtype_size(saved->dtype) != saved->end - saved->begin) {
        char type[ND__TYPE_TEXT];
        nd__message_set(message, ND_ERR_PARSE, "%s: \"%s\": %s has %zu bytes of elements, data_offsets say %zu", path,
                        saved->name, nd__type_text(type, sizeof type, saved->dtype, saved->shape),
                        (size_t)count * nd_dtype_size(saved->dtype), saved->end - saved->begin);
    } else
        return ND_OK;
    nd__message_clear(&why);
    return message->status;
}

/* Leaves the tensors sorted by name. */
static nd_status check_tensors(const char *path, nd__safetensors *s, size_t data_bytes, nd__message *message)
{
    size_t end = 0;
    if (s->count > 0)
        qsort(s->tensors, s->count, sizeof *s->tensors, by_place);
    for (size_t i = 0; i < s->count; i++) {
        const nd__saved *t = &s->tensors[i];
        if (t->begin != end)
            return nd__message_set(message, ND_ERR_PARSE,
                                   "%s: \"%s\" begins at byte %zu of the data, where %zu is expected: every byte "
                                   "belongs to one tensor",
                                   path, t->name, t->begin, end);
        if (t->end > data_bytes)
            return nd__message_set(message, ND_ERR_PARSE,
                                   "%s: the file is cut short: \"%s\" ends at byte %zu of the data, the file has %zu",
                                   path, t->name, t->end, data_bytes);
        nd_status status = check_size(path, t, message);
        if (status != ND_OK)
            return status;
        end = t->end;
    }
    if (end != data_bytes)
        return nd__message_set(message, ND_ERR_PARSE, "%s: %zu bytes follow the last tensor", path, data_bytes - end);
    if (s->count > 0)
        qsort(s->tensors, s->count, sizeof *s->tensors, by_name);
    for (size_t i = 1; i < s->count; i++)
        if (by_name(&s->tensors[i - 1], &s->tensors[i]) == 0)
            return nd__message_set(message, ND_ERR_PARSE, "%s: there are two tensors \"%s\"", path, s->tensors[i].name);
    return ND_OK;
}

static nd_status parse(const char *path, nd__safetensors *s, nd__message *message)
{
    enum { PREFIX = 8 };
    uint64_t length = 0;
    if (s->file.count < PREFIX)
        return nd__message_set(message, ND_ERR_PARSE, "%s: not a safetensors file: it has %zu bytes", path,
                               s->file.count);
    for (int i = PREFIX - 1; i >= 0; i--)
        length = length << 8 | s->file.data[i];
    size_t after = s->file.count - PREFIX;
    if (after == 0 || s->file.data[PREFIX] != '{')
        return nd__message_set(message, ND_ERR_PARSE, "%s: not a safetensors file: its header does not begin with '{'",
                               path);
    if (length > after)
        return nd__message_set(message, ND_ERR_PARSE,
                               "%s: the file is cut short: its header has %llu bytes, the file %zu after byte %d", path,
                               (unsigned long long)length, after, PREFIX);
    s->data = s->file.data + PREFIX + length;
    char *begin = (char *)s->file.data + PREFIX;
    nd__json j = {begin, begin, begin + length, NULL};
    bool out_of_memory = false, good = parse_tensors(&j, s, &out_of_memory);
    if (out_of_memory)
        return nd__message_set(message, ND_ERR_MEMORY, "%s: out of memory", path);
    if (!good || !nd__json_end(&j, "the end of the header")) {
        int shown = j.end - j.at > 24 ? 24 : (int)(j.end - j.at);
        return nd__message_set(message, ND_ERR_PARSE, "%s: the header at byte %lld: expected %s, got %s%.*s%s", path,
                               (long long)(j.at - j.begin) + PREFIX, j.expected, shown ? "'" : "its end", shown, j.at,
                               shown ? "'" : "");
    }
    return check_tensors(path, s, after - (size_t)length, message);
}

nd_status nd__safetensors_read(const char *path, nd__safetensors *s, nd__message *message)
{
    *s = (nd__safetensors){0};
    nd_status status = nd__file_read(path, false, &s->file, message);
    if (status == ND_OK)
        status = parse(path, s, message);
    if (status != ND_OK)
        nd__safetensors_release(s);
    return status;
}

void nd__safetensors_release(nd__safetensors *s)
{
    free(s->tensors);
    free(s->pairs);
    free(s->file.data);
    *s = (nd__safetensors){0};
}

const nd__saved *nd__safetensors_find(const nd__safetensors *s, const char *name)
{
    nd__saved key = {.name = name};
    return s->count > 0 ? bsearch(&key, s->tensors, s->count, sizeof key, by_name) : NULL;
}

const char *nd__safetensors_metadata(const nd__safetensors *s, const char *key)
{
    for (size_t i = 0; i < s->pair_count; i++)
        if (strcmp(s->pairs[i].key, key) == 0)
            return s->pairs[i].value;
    return NULL;
}

void nd__safetensors_copy(const nd__safetensors *s, const nd__saved *saved, nd_tensor *to)
{
    memcpy(to->data, s->data + saved->begin, saved->end - saved->begin);
    if (!nd__host_is_little_endian())
        nd__swap_bytes(to->data, (size_t)to->count, nd_dtype_size(to->dtype));
    for (int64_t i = 0; to->dtype == ND_BOOL && i < to->count; i++)
        to->data[i] = to->data[i] != 0;
}

/* -- writing ------------------------------------------------------------------------------------------------------ */

static void add_tensor(nd__text *header, const char *name, const nd_tensor *t, size_t begin)
{
    nd__json_add_string(header, name);
    nd__text_add(header, ":{\"dtype\":\"%s\",\"shape\":[", types[t->dtype]);
    for (int i = 0; i < t->shape.rank; i++)
        nd__text_add(header, i ? ",%lld" : "%lld", (long long)t->shape.dims[i]);
    nd__text_add(header, "],\"data_offsets\":[%zu,%zu]}", begin, begin + nd_tensor_bytes(t));
}

/* The elements follow in this order: wide ones first, so that all are aligned in memory-mapped files. */
static const size_t widths[] = {8, 4, 1};
enum { WIDTHS = sizeof widths / sizeof *widths };

static void add_header(nd__text *header, size_t count, const char *const *names, nd_tensor *const *tensors,
                       size_t pair_count, const nd__pair *pairs)
{
    const char *between = "";
    size_t offset = 0;
    nd__text_add(header, "{");
    if (pair_count > 0) {
        nd__text_add(header, "\"%s\":", metadata_name);
        for (size_t i = 0; i < pair_count; i++) {
            nd__text_add(header, i ? "," : "{");
            nd__json_add_string(header, pairs[i].key);
            nd__text_add(header, ":");
            nd__json_add_string(header, pairs[i].value);
        }
        nd__text_add(header, "}");
        between = ",";
    }
    for (size_t w = 0; w < WIDTHS; w++)
        for (size_t i = 0; i < count; i++)
            if (nd_dtype_size(tensors[i]->dtype) == widths[w]) {
                nd__text_add(header, "%s", between);
                add_tensor(header, names[i], tensors[i], offset);
                offset += nd_tensor_bytes(tensors[i]);
                between = ",";
            }
    nd__text_add(header, "}");
    nd__text_add_many(header, ' ', (int64_t)((8 - header->used % 8) % 8)); /* the data is aligned */
}

nd_status nd__safetensors_write(const char *path, size_t count, const char *const *names, nd_tensor *const *tensors,
                                size_t pair_count, const nd__pair *pairs, nd__message *message)
{
    for (size_t i = 0; i < count; i++)
        if (!nd__utf8_is_valid(names[i]) || strcmp(names[i], metadata_name) == 0)
            return nd__message_set(message, ND_ERR_ARGUMENT, "%s: a safetensors file has no tensor named \"%s\"", path,
                                   names[i]);
    nd__text header = {0};
    nd__writer writer;
    nd_status status;
    add_header(&header, count, names, tensors, pair_count, pairs);
    if (header.failed)
        status = nd__message_set(message, ND_ERR_MEMORY, "%s: out of memory", path);
    else
        status = nd__writer_open(&writer, path, message);
    if (status == ND_OK) {
        const uint64_t length = header.used;
        nd__writer_elements(&writer, &length, 1, sizeof length);
        nd__writer_elements(&writer, header.data, header.used, 1);
        for (size_t w = 0; w < WIDTHS; w++)
            for (size_t i = 0; i < count; i++)
                if (nd_dtype_size(tensors[i]->dtype) == widths[w])
                    nd__writer_elements(&writer, tensors[i]->data, (size_t)tensors[i]->count, widths[w]);
        status = nd__writer_close(&writer, true, message);
    }
    nd__text_release(&header);
    return status;
}
