/* ZIP archives. */
#include "runtime/zip.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum {
    LOCAL = 30,     /* bytes of a member's own header, */
    CENTRAL = 46,   /* of its entry in the directory, */
    END = 22,       /* of the record at the end, */
    LOCATOR = 20,   /* of the one that says where the 64-bit record is, */
    END64 = 56,     /* and of that */
    COMMENT = 65535 /* at most, behind the end */
};

enum { ENCRYPTED = 1, UTF8 = 1 << 11, STORED = 0, DEFLATED = 8, VERSION = 20 };

/* A little-endian number. */
static uint64_t number(const unsigned char *p, int bytes)
{
    uint64_t value = 0;
    while (bytes-- > 0)
        value = value << 8 | p[bytes];
    return value;
}

static bool has_signature(const unsigned char *p, const char *signature)
{
    return memcmp(p, signature, 4) == 0;
}

/* n bytes at an offset; NULL: they are not all in the file. */
static const unsigned char *piece(const nd__zip *zip, uint64_t offset, uint64_t n)
{
    return offset <= zip->file.count && n <= zip->file.count - offset ? zip->file.data + offset : NULL;
}

/* -- reading ------------------------------------------------------------------------------------------------------ */

/* The record at the end, from the back: a comment of any length may follow it. */
static const unsigned char *find_end(const nd__zip *zip)
{
    size_t n = zip->file.count;
    for (size_t back = END; back <= n && back <= END + COMMENT; back++) {
        const unsigned char *p = zip->file.data + (n - back);
        if (has_signature(p, "PK\5\6") && number(p + 20, 2) == back - END)
            return p;
    }
    return NULL;
}

nd_status nd__zip_open(nd__zip *zip, const char *path, nd__message *message)
{
    *zip = (nd__zip){.path = path};
    nd_status status = nd__file_read(path, false, &zip->file, message);
    if (status != ND_OK)
        return status;
    const unsigned char *end = find_end(zip);
    if (!end) {
        nd__zip_close(zip);
        return nd__message_set(message, ND_ERR_PARSE, "%s: not a .npz file, or one that is cut short", path);
    }
    uint64_t bytes = number(end + 12, 4), offset = number(end + 16, 4), here = (uint64_t)(end - zip->file.data);
    const unsigned char *locator = here >= LOCATOR ? end - LOCATOR : NULL;
    if (locator && has_signature(locator, "PK\6\7")) {
        const unsigned char *end64 = piece(zip, number(locator + 8, 8), END64);
        if (end64 && has_signature(end64, "PK\6\6")) {
            bytes = number(end64 + 40, 8);
            offset = number(end64 + 48, 8);
        }
    }
    if (!piece(zip, offset, bytes)) {
        nd__zip_close(zip);
        return nd__message_set(message, ND_ERR_PARSE, "%s: its directory is said to lie outside the file", path);
    }
    zip->at = (size_t)offset;
    zip->end = (size_t)(offset + bytes);
    return ND_OK;
}

void nd__zip_close(nd__zip *zip)
{
    free(zip->file.data);
    *zip = (nd__zip){0};
}

/* Takes what does not fit into 32 bits from the field of ZIP64, in which only those numbers are. */
static void take_zip64(nd__zip_member *member, const unsigned char *extra, size_t n)
{
    enum { ZIP64 = 1 };
    for (size_t length; n >= 4; extra += length, n -= length) {
        unsigned kind = (unsigned)number(extra, 2);
        length = (size_t)number(extra + 2, 2);
        extra += 4;
        n -= 4;
        if (length > n)
            return;
        if (kind != ZIP64)
            continue;
        uint64_t *const fields[] = {&member->size, &member->packed, &member->offset};
        size_t at = 0;
        for (int i = 0; i < 3; i++)
            if (*fields[i] == UINT32_MAX && at + 8 <= length) {
                *fields[i] = number(extra + at, 8);
                at += 8;
            }
    }
}

nd_status nd__zip_next(nd__zip *zip, nd__zip_member *member, nd__message *message)
{
    *member = (nd__zip_member){0};
    if (zip->at == zip->end)
        return ND_OK;
    size_t left = zip->end - zip->at;
    const unsigned char *p = zip->file.data + zip->at;
    size_t name = left >= CENTRAL ? (size_t)number(p + 28, 2) : 0,
           extra = left >= CENTRAL ? (size_t)number(p + 30, 2) : 0,
           comment = left >= CENTRAL ? (size_t)number(p + 32, 2) : 0;
    if (left < CENTRAL || !has_signature(p, "PK\1\2") || left - CENTRAL < name + extra + comment)
        return nd__message_set(message, ND_ERR_PARSE, "%s: its directory is broken at byte %zu", zip->path, zip->at);
    member->flags = (unsigned)number(p + 8, 2);
    member->method = (unsigned)number(p + 10, 2);
    member->crc = (uint32_t)number(p + 16, 4);
    member->packed = number(p + 20, 4);
    member->size = number(p + 24, 4);
    member->offset = number(p + 42, 4);
    take_zip64(member, p + CENTRAL + name, extra);
    zip->at += CENTRAL + name + extra + comment;
    member->name = malloc(name + 1);
    if (!member->name)
        return nd__message_set(message, ND_ERR_MEMORY, "%s: out of memory", zip->path);
    memcpy(member->name, p + CENTRAL, name);
    member->name[name] = '\0';
    return ND_OK;
}

/* Unpacks into room for `size` bytes. Whether it came out whole; *memory: it did not for want of memory. */
static bool inflate_all(const unsigned char *from, size_t packed, unsigned char *to, size_t size, bool *out_of_memory)
{
    enum { PIECE = 1 << 30 }; /* zlib counts in unsigned int */
    z_stream z = {0};
    int code = inflateInit2(&z, -MAX_WBITS);
    *out_of_memory = code == Z_MEM_ERROR;
    if (code != Z_OK)
        return false;
    size_t used = 0, made = 0;
    unsigned char nothing;
    z.next_out = &nothing;
    while (code == Z_OK || code == Z_BUF_ERROR) {
        size_t in = packed - used > PIECE ? PIECE : packed - used, out = size - made > PIECE ? PIECE : size - made;
        z.next_in = (Bytef *)(uintptr_t)(from + used); /* zlib does not write there */
        z.avail_in = (uInt)in;
        z.next_out = out > 0 ? to + made : &nothing;
        z.avail_out = out > 0 ? (uInt)out : 0;
        code = inflate(&z, Z_NO_FLUSH);
        size_t took = in - z.avail_in, gave = out - z.avail_out;
        used += took;
        made += gave;
        if (took == 0 && gave == 0)
            break; /* it wants more than there is */
    }
    *out_of_memory = code == Z_MEM_ERROR;
    inflateEnd(&z);
    return code == Z_STREAM_END && made == size && used == packed;
}

static uint32_t crc_of(const unsigned char *bytes, size_t n)
{
    uLong crc = crc32(0, NULL, 0);
    for (size_t part; n > 0; n -= part, bytes += part) {
        part = n > 1 << 30 ? 1 << 30 : n;
        crc = crc32(crc, bytes, (uInt)part);
    }
    return (uint32_t)crc;
}

nd_status nd__zip_extract(const nd__zip *zip, const nd__zip_member *member, nd__bytes *bytes, nd__message *message)
{
    enum { MOST_RATIO = 1032 }; /* deflate packs no better (zlib's technical notes) */
    *bytes = (nd__bytes){NULL, 0};
    const char *path = zip->path, *name = member->name;
    const unsigned char *local = piece(zip, member->offset, LOCAL);
    if (!local || !has_signature(local, "PK\3\4"))
        return nd__message_set(message, ND_ERR_PARSE, "%s: %s: there is no member where the directory says", path,
                               name);
    if (member->flags & ENCRYPTED)
        return nd__message_set(message, ND_ERR_PARSE, "%s: %s is encrypted", path, name);
    if (member->method != STORED && member->method != DEFLATED)
        return nd__message_set(message, ND_ERR_PARSE, "%s: %s is packed by method %u, which is not known here", path,
                               name, member->method);
    const unsigned char *data =
        piece(zip, member->offset + LOCAL + number(local + 26, 2) + number(local + 28, 2), member->packed);
    bool possible =
        member->method == STORED ? member->size == member->packed : member->size / MOST_RATIO <= member->packed + 1;
    if (!data || !possible || member->size > SIZE_MAX - 1)
        return nd__message_set(message, ND_ERR_PARSE, "%s: %s: its sizes do not fit the file", path, name);
    size_t size = (size_t)member->size;
    unsigned char *out = malloc(size + 1);
    bool out_of_memory = !out, whole = false;
    if (out && member->method == STORED) {
        memcpy(out, data, size);
        whole = true;
    } else if (out)
        whole = inflate_all(data, (size_t)member->packed, out, size, &out_of_memory);
    if (whole && crc_of(out, size) == member->crc) {
        out[size] = 0;
        *bytes = (nd__bytes){out, size};
        return ND_OK;
    }
    free(out);
    if (out_of_memory)
        return nd__message_set(message, ND_ERR_MEMORY, "%s: %s: out of memory", path, name);
    return nd__message_set(message, ND_ERR_PARSE, "%s: %s is broken: %s", path, name,
                           whole ? "its checksum is another one" : "it does not unpack");
}

/* -- writing ------------------------------------------------------------------------------------------------------ */

static void put(unsigned char **p, uint64_t value, int bytes)
{
    for (; bytes > 0; bytes--, value >>= 8)
        *(*p)++ = (unsigned char)value;
}

/* What a member's own header and the directory have in common. The date is the first that ZIP knows, so that the same
 * arrays are the same bytes. */
static void put_common(unsigned char **p, uint32_t crc, uint32_t size, size_t name)
{
    enum { FIRST_DATE = 1 << 5 | 1 };
    put(p, VERSION, 2);
    put(p, UTF8, 2);
    put(p, STORED, 2);
    put(p, 0, 2);
    put(p, FIRST_DATE, 2);
    put(p, crc, 4);
    put(p, size, 4);
    put(p, size, 4);
    put(p, name, 2);
    put(p, 0, 2); /* no further fields */
}

void nd__zip_add(nd__zip_writer *zip, const char *name, uint32_t crc, uint32_t size)
{
    size_t n = strlen(name);
    unsigned char header[LOCAL], *p = header;
    memcpy(p, "PK\3\4", 4);
    p += 4;
    put_common(&p, crc, size, n);
    fwrite(header, 1, LOCAL, zip->file);
    fwrite(name, 1, n, zip->file);

    unsigned char *directory = realloc(zip->directory, zip->directory_bytes + CENTRAL + n);
    if (directory) {
        zip->directory = directory;
        p = directory + zip->directory_bytes;
        memcpy(p, "PK\1\2", 4);
        p += 4;
        put(&p, VERSION, 2);
        put_common(&p, crc, size, n);
        put(&p, 0, 2 + 2 + 2 + 4); /* no comment, the first disk, no attributes */
        put(&p, zip->offset, 4);
        memcpy(p, name, n);
        zip->directory_bytes += CENTRAL + n;
    } else
        zip->failed = true;
    zip->offset += LOCAL + n + size;
    zip->count++;
}

bool nd__zip_finish(nd__zip_writer *zip)
{
    unsigned char end[END], *p = end;
    if (zip->directory_bytes > 0)
        fwrite(zip->directory, 1, zip->directory_bytes, zip->file);
    memcpy(p, "PK\5\6", 4);
    p += 4;
    put(&p, 0, 4); /* the only disk */
    put(&p, zip->count, 2);
    put(&p, zip->count, 2);
    put(&p, zip->directory_bytes, 4);
    put(&p, zip->offset, 4);
    put(&p, 0, 2); /* no comment */
    fwrite(end, 1, END, zip->file);
    free(zip->directory);
    zip->directory = NULL;
    return !zip->failed;
}
