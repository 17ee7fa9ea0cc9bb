/* NumPy's file of one array: a magic, a header that is a Python dictionary, the elements. The format is described in
 * NumPy's documentation, numpy.lib.format. */
#include "runtime/npy.h"

#include "runtime/tensor.h"

#include <stdlib.h>
#include <string.h>

/* NumPy's names without the byte order. */
static const char *const codes[ND_DTYPES] = {
    [ND_BOOL] = "b1", [ND_U8] = "u1",  [ND_I32] = "i4", [ND_U32] = "u4",
    [ND_I64] = "i8",  [ND_F32] = "f4", [ND_F64] = "f8",
};

typedef struct header {
    nd_dtype dtype;
    bool big_endian, fortran;
    nd_shape shape;
} header;

/* -- the header --------------------------------------------------------------------------------------------------- */

/* The dictionary's text; ended by 0. */
typedef struct scanner {
    const char *at;
    const char *error; /* what was expected */
} scanner;

static void skip_spaces(scanner *s)
{
    while (*s->at == ' ' || *s->at == '\n' || *s->at == '\t')
        s->at++;
}

static bool accept(scanner *s, const char *word)
{
    skip_spaces(s);
    size_t n = strlen(word);
    if (strncmp(s->at, word, n) != 0)
        return false;
    s->at += n;
    return true;
}

static bool expect(scanner *s, const char *word, const char *what)
{
    if (accept(s, word))
        return true;
    s->error = what;
    return false;
}

/* 'text' or "text", into a small buffer. */
static bool scan_string(scanner *s, char *text, size_t size)
{
    skip_spaces(s);
    char quote = *s->at;
    const char *end = quote == '\'' || quote == '"' ? strchr(s->at + 1, quote) : NULL;
    if (!end || (size_t)(end - s->at) > size) {
        s->error = "a short string";
        return false;
    }
    memcpy(text, s->at + 1, (size_t)(end - s->at - 1));
    text[end - s->at - 1] = '\0';
    s->at = end + 1;
    return true;
}

static bool scan_descr(scanner *s, header *h)
{
    char text[16];
    if (!scan_string(s, text, sizeof text)) {
        s->error = "the dtype as a string ('<f8')";
        return false;
    }
    char order = strchr("<>|=", text[0]) ? text[0] : '=';
    const char *code = strchr("<>|=", text[0]) && text[0] ? text + 1 : text;
    h->big_endian = order == '>' || (order == '=' && !nd__host_is_little_endian());
    for (h->dtype = 0; h->dtype < ND_DTYPES; h->dtype++)
        if (codes[h->dtype] && strcmp(codes[h->dtype], code) == 0)
            return true;
    s->error = "a dtype that tensors have (b1, u1, i4, u4, i8, f4, f8)";
    return false;
}

static bool scan_shape(scanner *s, header *h)
{
    if (!expect(s, "(", "the shape as a tuple"))
        return false;
    while (!accept(s, ")")) {
        int64_t size = 0;
        skip_spaces(s);
        if (*s->at < '0' || *s->at > '9') {
            s->error = "a size";
            return false;
        }
        for (; *s->at >= '0' && *s->at <= '9'; s->at++)
            if (__builtin_mul_overflow(size, 10, &size) || __builtin_add_overflow(size, *s->at - '0', &size)) {
                s->error = "a size below 2^63";
                return false;
            }
        accept(s, "L"); /* Python 2 wrote long integers so */
        if (h->shape.rank == ND_MAX_RANK) {
            s->error = "at most 8 axes";
            return false;
        }
        h->shape.dims[h->shape.rank++] = size;
        if (!accept(s, ",")) {
            if (!expect(s, ")", "',' or ')'"))
                return false;
            break;
        }
    }
    return true;
}

static bool scan_header(scanner *s, header *h)
{
    bool has_descr = false, has_order = false, has_shape = false;
    *h = (header){0};
    if (!expect(s, "{", "'{'"))
        return false;
    while (!accept(s, "}")) {
        char key[16];
        if (!scan_string(s, key, sizeof key) || !expect(s, ":", "':'"))
            return false;
        if (strcmp(key, "descr") == 0) {
            has_descr = true;
            if (!scan_descr(s, h))
                return false;
        } else if (strcmp(key, "fortran_order") == 0) {
            has_order = true;
            h->fortran = accept(s, "True");
            if (!h->fortran && !expect(s, "False", "True or False"))
                return false;
        } else if (strcmp(key, "shape") == 0) {
            has_shape = true;
            if (!scan_shape(s, h))
                return false;
        } else {
            s->error = "descr, fortran_order or shape";
            return false;
        }
        if (!accept(s, ",")) {
            if (!expect(s, "}", "',' or '}'"))
                return false;
            break;
        }
    }
    if (!has_descr || !has_order || !has_shape)
        s->error = "descr, fortran_order and shape";
    return !s->error;
}

/* -- reading ------------------------------------------------------------------------------------------------------ */

static nd_tensor *read_elements(const char *path, const header *h, const unsigned char *data, size_t bytes)
{
    char type[ND__TYPE_TEXT];
    nd_shape shape = h->shape;
    for (int i = 0; h->fortran && i < shape.rank; i++)
        shape.dims[i] = h->shape.dims[shape.rank - 1 - i];
    int64_t stride[ND_MAX_RANK], count;
    nd__message message = {ND_OK, NULL};
    nd_tensor *t = NULL;
    size_t size = nd_dtype_size(h->dtype);
    if (nd__shape_check(h->dtype, shape, stride, &count, &message) != ND_OK) {
        t = nd__tensor_failed(ND_ERR_PARSE, "%s: %s", path, nd__message_text(&message));
        nd__message_clear(&message);
        return t;
    }
    if (bytes / size < (size_t)count) /* before memory is asked for on the word of a broken header */
        return nd__tensor_failed(
            ND_ERR_PARSE, "%s: the file is cut short: %s has %llu bytes of elements, the file has %zu", path,
            nd__type_text(type, sizeof type, h->dtype, h->shape), (unsigned long long)count * size, bytes);
    t = nd_tensor_of(h->dtype, shape, data);
    if (nd_tensor_status(t) != ND_OK)
        return t;
    if (h->big_endian == nd__host_is_little_endian())
        nd__swap_bytes(t->data, (size_t)count, size);
    for (int64_t i = 0; h->dtype == ND_BOOL && i < count; i++)
        t->data[i] = t->data[i] != 0;
    if (!h->fortran || shape.rank < 2)
        return t;
    nd_tensor *turned = nd_tensor_transpose(t, NULL), *copy = nd_tensor_copy(turned);
    nd_tensor_destroy(turned);
    nd_tensor_destroy(t);
    return copy;
}

nd_tensor *nd__npy_parse(const char *path, const nd__bytes *file)
{
    const unsigned char *d = file->data;
    if (file->count < 10 || memcmp(d, "\x93NUMPY", 6) != 0)
        return nd__tensor_failed(ND_ERR_PARSE, "%s: not a .npy file", path);
    if (d[6] < 1 || d[6] > 3)
        return nd__tensor_failed(ND_ERR_PARSE, "%s: .npy version %d.%d, but only 1 to 3 are known", path, d[6], d[7]);
    size_t begin = d[6] == 1 ? 10 : 12, length = d[8] | (size_t)d[9] << 8;
    if (d[6] > 1 && file->count >= 12)
        length |= (size_t)d[10] << 16 | (size_t)d[11] << 24;
    if (file->count < begin || file->count - begin < length)
        return nd__tensor_failed(ND_ERR_PARSE, "%s: the file is cut short: its header has %zu bytes, the file has %zu",
                                 path, begin + length, file->count);
    char *text = malloc(length + 1);
    if (!text)
        return nd__tensor_failed(ND_ERR_MEMORY, "%s: out of memory", path);
    memcpy(text, d + begin, length);
    text[length] = '\0';
    header h;
    scanner s = {text, NULL};
    nd_tensor *t;
    if (scan_header(&s, &h))
        t = read_elements(path, &h, d + begin + length, file->count - begin - length);
    else
        t = nd__tensor_failed(ND_ERR_PARSE, "%s: the header at byte %zu: expected %s, got '%.24s'", path,
                              begin + (size_t)(s.at - text), s.error, s.at);
    free(text);
    return t;
}

nd_tensor *nd_npy_read(const char *path)
{
    nd__bytes file;
    nd__message message = {ND_OK, NULL};
    nd_tensor *t;
    if (nd__file_read(path, false, &file, &message) == ND_OK)
        t = nd__npy_parse(path, &file);
    else
        t = nd__tensor_failed(message.status, "%s", nd__message_text(&message));
    nd__message_clear(&message);
    free(file.data);
    return t;
}

/* -- writing ------------------------------------------------------------------------------------------------------ */

size_t nd__npy_header(const nd_tensor *tensor, unsigned char start[ND__NPY_HEADER])
{
    enum { START = 10, ALIGN = 64 };
    char text[ND__NPY_HEADER - START - ALIGN]; /* eight sizes of 19 digits take less */
    size_t size = nd_dtype_size(tensor->dtype);
    int n = snprintf(text, sizeof text, "{'descr': '%s%s', 'fortran_order': False, 'shape': (", size == 1 ? "|" : "<",
                     codes[tensor->dtype]);
    for (int i = 0; i < tensor->shape.rank; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, i ? ", %lld" : "%lld", (long long)tensor->shape.dims[i]);
    n += snprintf(text + n, sizeof text - (size_t)n, "%s), }", tensor->shape.rank == 1 ? "," : "");
    /* Spaces and a newline, so that the elements begin at a multiple of 64. */
    size_t whole = (START + (size_t)n + 1 + ALIGN - 1) / ALIGN * ALIGN, padded = whole - START;
    memcpy(start, (unsigned char[START]){0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, padded & 255, padded >> 8 & 255}, START);
    memcpy(start + START, text, (size_t)n);
    memset(start + START + n, ' ', padded - (size_t)n - 1);
    start[whole - 1] = '\n';
    return whole;
}

nd_status nd_npy_write(const char *path, nd_tensor *tensor)
{
    if (nd_tensor_status(tensor) != ND_OK)
        return nd_tensor_status(tensor);
    if (tensor->dtype == ND_STRING)
        return nd__tensor_complain(tensor, ND_ERR_ARGUMENT, "a string does not go into a .npy file");
    unsigned char start[ND__NPY_HEADER];
    nd__message message = {ND_OK, NULL};
    nd_tensor *whole = nd_tensor_is_contiguous(tensor) ? nd_tensor_view(tensor) : nd_tensor_copy(tensor);
    nd_status status = nd_tensor_status(whole);
    nd__writer writer;
    if (status != ND_OK)
        nd__message_set(&message, status, "%s", nd_tensor_error(whole));
    else
        status = nd__writer_open(&writer, path, &message);
    if (status == ND_OK) {
        nd__writer_elements(&writer, start, nd__npy_header(whole, start), 1);
        nd__writer_elements(&writer, whole->data, (size_t)whole->count, nd_dtype_size(whole->dtype));
        status = nd__writer_close(&writer, true, &message);
    }
    if (status != ND_OK)
        nd__tensor_complain(tensor, status, "%s", nd__message_text(&message));
    nd__message_clear(&message);
    nd_tensor_destroy(whole);
    return status;
}
