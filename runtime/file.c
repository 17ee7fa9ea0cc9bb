/* Whole files. */
#include "runtime/file.h"

#include "runtime/platform.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

bool nd__host_is_little_endian(void)
{
    const uint16_t one = 1;
    return *(const unsigned char *)&one == 1;
}

void nd__swap_bytes(void *elements, size_t count, size_t size)
{
    unsigned char *p = elements;
    for (size_t i = 0; i < count; i++, p += size)
        for (size_t a = 0, b = size - 1; a < b; a++, b--) {
            unsigned char byte = p[a];
            p[a] = p[b];
            p[b] = byte;
        }
}

/* -- reading ------------------------------------------------------------------------------------------------------ */

/* Either kind of open file: gzip's library reads plain files too, but would unpack what merely begins like gzip. */
typedef struct source {
    FILE *plain;
    gzFile packed;
} source;

static size_t read_some(source *s, unsigned char *to, size_t room)
{
    if (s->plain)
        return fread(to, 1, room, s->plain);
    int n = gzread(s->packed, to, room > 1 << 30 ? 1U << 30 : (unsigned)room);
    return n > 0 ? (size_t)n : 0;
}

/* What went wrong while reading, or ND_OK at the end of the file. */
static nd_status reading_error(source *s, const char *path, nd__message *message)
{
    if (s->plain)
        return ferror(s->plain) ? nd__message_set(message, ND_ERR_IO, "%s: %s", path, strerror(errno)) : ND_OK;
    int code;
    const char *text = gzerror(s->packed, &code);
    if (code == Z_OK || code == Z_STREAM_END)
        return ND_OK;
    if (code == Z_ERRNO)
        return nd__message_set(message, ND_ERR_IO, "%s: %s", path, strerror(errno));
    if (code == Z_MEM_ERROR)
        return nd__message_set(message, ND_ERR_MEMORY, "%s: out of memory", path);
    if (code == Z_BUF_ERROR)
        return nd__message_set(message, ND_ERR_PARSE, "%s: the gzip file is cut short", path);
    return nd__message_set(message, ND_ERR_PARSE, "%s: the gzip file is broken (%s)", path, text);
}

static nd_status read_all(source *s, const char *path, nd__bytes *bytes, nd__message *message)
{
    size_t room = 1 << 16, used = 0;
    unsigned char *data = malloc(room);
    while (data) {
        size_t n = read_some(s, data + used, room - used - 1);
        used += n;
        if (n == 0)
            break;
        if (room - used > 1)
            continue;
        unsigned char *more = room <= SIZE_MAX / 2 ? realloc(data, room * 2) : NULL;
        if (!more)
            free(data);
        data = more;
        room *= 2;
    }
    if (!data)
        return nd__message_set(message, ND_ERR_MEMORY, "%s: out of memory", path);
    nd_status status = reading_error(s, path, message);
    if (status != ND_OK) {
        free(data);
        return status;
    }
    data[used] = 0;
    *bytes = (nd__bytes){data, used};
    return ND_OK;
}

nd_status nd__file_read(const char *path, bool gzip, nd__bytes *bytes, nd__message *message)
{
    *bytes = (nd__bytes){NULL, 0};
    if (!path)
        return nd__message_set(message, ND_ERR_ARGUMENT, "the path is NULL");
    source s = {NULL, NULL};
    errno = 0;
    if (gzip)
        s.packed = gzopen(path, "rb");
    else
        s.plain = fopen(path, "rb");
    if (!s.plain && !s.packed) {
        int reason = errno;
        return nd__message_set(message, reason ? ND_ERR_IO : ND_ERR_MEMORY, "%s: %s", path,
                               reason ? strerror(reason) : nd_status_text(ND_ERR_MEMORY));
    }
    nd_status status = read_all(&s, path, bytes, message);
    if (gzip)
        gzclose(s.packed);
    else
        fclose(s.plain);
    return status;
}

/* -- writing ------------------------------------------------------------------------------------------------------ */

nd_status nd__writer_open(nd__writer *writer, const char *path, nd__message *message)
{
    *writer = (nd__writer){.path = path};
    if (!path)
        return nd__message_set(message, ND_ERR_ARGUMENT, "the path is NULL");
    static const char ending[] = ".partial";
    size_t n = strlen(path);
    writer->aside = malloc(n + sizeof ending);
    if (!writer->aside)
        return nd__message_set(message, ND_ERR_MEMORY, "%s: out of memory", path);
    memcpy(writer->aside, path, n);
    memcpy(writer->aside + n, ending, sizeof ending);
    writer->file = fopen(writer->aside, "wb");
    if (writer->file)
        return ND_OK;
    nd_status status = nd__message_set(message, ND_ERR_IO, "%s cannot be written: %s", path, strerror(errno));
    free(writer->aside);
    return status;
}

void nd__writer_elements(nd__writer *writer, const void *elements, size_t count, size_t size)
{
    if (size == 1 || nd__host_is_little_endian()) {
        fwrite(elements, size, count, writer->file);
        return;
    }
    unsigned char swapped[8];
    for (size_t i = 0; i < count; i++) {
        memcpy(swapped, (const unsigned char *)elements + i * size, size);
        nd__swap_bytes(swapped, 1, size);
        fwrite(swapped, size, 1, writer->file);
    }
}

nd_status nd__writer_close(nd__writer *writer, bool keep, nd__message *message)
{
    nd_status status = ND_OK;
    bool good = !keep || (!ferror(writer->file) && nd__platform_sync(writer->file));
    int reason = errno;
    if (fclose(writer->file) != 0 && good) {
        good = false;
        reason = errno;
    }
    if (good && keep && !nd__platform_replace(writer->aside, writer->path)) {
        good = false;
        reason = errno;
    }
    if (!good)
        status = nd__message_set(message, ND_ERR_IO, "%s cannot be written: %s", writer->path, strerror(reason));
    if (!good || !keep)
        remove(writer->aside);
    free(writer->aside);
    return status;
}

nd_status nd__writer_check(const char *path, nd__message *message)
{
    nd__writer writer;
    nd_status status = nd__writer_open(&writer, path, message);
    return status == ND_OK ? nd__writer_close(&writer, false, message) : status;
}
