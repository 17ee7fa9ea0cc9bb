/* The folder of a test program. */
#define _XOPEN_SOURCE 700

#include "temp_dir.h"

#include <check.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char folder[256];
static pid_t owner;

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status, (void)type, (void)place;
    return remove(path);
}

static void remove_folder(void)
{
    if (getpid() == owner) /* not a child of Check's */
        nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

const char *temp_path(const char *name)
{
    static char paths[4][512];
    static int turn;
    if (!folder[0]) {
        const char *base = getenv("TMPDIR");
        snprintf(folder, sizeof folder, "%s/nadir-test-XXXXXX", base && *base ? base : "/tmp");
        if (!mkdtemp(folder)) { /* perhaps before Check runs, so without its asserts */
            perror(folder);
            exit(2);
        }
        owner = getpid();
        atexit(remove_folder);
    }
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

const char *temp_write(const char *name, const void *bytes, size_t n)
{
    const char *path = temp_path(name);
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(bytes, 1, n, f), n);
    ck_assert_int_eq(fclose(f), 0);
    return path;
}

char *temp_read(const char *path)
{
    FILE *f = fopen(path, "rb");
    ck_assert_ptr_nonnull(f);
    size_t used = 0, room = 1 << 16;
    char *text = malloc(room);
    for (size_t n; text && (n = fread(text + used, 1, room - used - 1, f)) > 0;) {
        used += n;
        if (room - used < 2)
            text = realloc(text, room *= 2);
    }
    fclose(f);
    ck_assert_ptr_nonnull(text);
    text[used] = '\0';
    return text;
}
