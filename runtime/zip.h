/* ZIP archives, as far as .npz files are made of them: members that are stored or deflated (PKWARE's APPNOTE 6.3, and
 * RFC 1951 through zlib), ZIP64 when reading. */
#ifndef NADIR_RUNTIME_ZIP_H
#define NADIR_RUNTIME_ZIP_H

#include "runtime/file.h"
#include "runtime/message.h"

/* An archive that is being read. What it says is compared with the file before it is used. */
typedef struct nd__zip {
    const char *path;
    nd__bytes file;
    size_t at, end; /* the rest of the directory */
} nd__zip;

typedef struct nd__zip_member {
    char *name; /* ended by 0 */
    unsigned flags, method;
    uint32_t crc;
    uint64_t packed, size, offset;
} nd__zip_member;

/* ND_ERR_IO, ND_ERR_PARSE, ND_ERR_MEMORY: `message` begins with the path, and nothing is to be closed. */
nd_status nd__zip_open(nd__zip *zip, const char *path, nd__message *message);
void nd__zip_close(nd__zip *zip);
/* The next member; its name is the caller's to free. No name and ND_OK: there is none. */
nd_status nd__zip_next(nd__zip *zip, nd__zip_member *member, nd__message *message);
/* Its content, a 0 behind it, the caller's to free; compared with its checksum. */
nd_status nd__zip_extract(const nd__zip *zip, const nd__zip_member *member, nd__bytes *bytes, nd__message *message);

/* An archive that is being written: members one after the other, stored. What fails is told at the end. */
typedef struct nd__zip_writer {
    FILE *file;
    uint64_t offset;
    unsigned char *directory;
    size_t directory_bytes, count;
    bool failed; /* memory ran out */
} nd__zip_writer;

/* Largest offset and size that are written: ZIP without its 64-bit extension. */
#define ND__ZIP_MOST UINT32_C(0xFFFFFFFE)

/* Begins a member whose bytes, `size` of them with that CRC, the caller then writes to `file`. */
void nd__zip_add(nd__zip_writer *zip, const char *name, uint32_t crc, uint32_t size);
/* Writes the directory. False: memory ran out. */
bool nd__zip_finish(nd__zip_writer *zip);

#endif
