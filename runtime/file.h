/* Whole files: read at once, written aside and renamed. */
#ifndef NADIR_RUNTIME_FILE_H
#define NADIR_RUNTIME_FILE_H

#include "nadir/base.h"
#include "runtime/message.h"

#include <stdio.h>

/* A file's content; a 0 follows it. */
typedef struct nd__bytes {
    unsigned char *data;
    size_t count;
} nd__bytes;

/* Reads a file; a gzip file is unpacked if `gzip`. ND_ERR_IO, ND_ERR_PARSE (broken gzip), ND_ERR_MEMORY: `message`
 * begins with the path, and nothing is to be freed. */
nd_status nd__file_read(const char *path, bool gzip, nd__bytes *bytes, nd__message *message);

/* A file that is being written beside the one that it will replace. */
typedef struct nd__writer {
    FILE *file;
    const char *path;
    char *aside;
} nd__writer;

nd_status nd__writer_open(nd__writer *writer, const char *path, nd__message *message);
/* Writes `count` elements of `size` bytes, little-endian. What fails is told by nd__writer_close. */
void nd__writer_elements(nd__writer *writer, const void *elements, size_t count, size_t size);
/* Puts the file in its place, or, on an error (or if not `keep`), removes what was written. */
nd_status nd__writer_close(nd__writer *writer, bool keep, nd__message *message);
/* Whether a file could be written there; leaves nothing behind. */
nd_status nd__writer_check(const char *path, nd__message *message);

/* Reverses the bytes of each element. */
void nd__swap_bytes(void *elements, size_t count, size_t size);
bool nd__host_is_little_endian(void);

#endif
