#include "golden.h"

#include "compiler/graph/graph.h"
#include "nadir/text.h"

#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *golden_read(const char *path)
{
    enum { ROOM = 1 << 20 };
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    char *text = calloc(1, ROOM);
    const size_t n = fread(text, 1, ROOM - 1, file);
    text[n] = '\0';
    fclose(file);
    return text;
}

nd_module *golden_module(const char *folder, const char *name)
{
    enum { DIMS = 8 };
    char path[1300];
    int64_t values[DIMS];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    char *text = golden_read(path);
    nd_module *m = text ? nd_module_parse(text, name) : NULL;
    ck_assert_msg(nd_module_status(m) == ND_OK && m->dim_count <= DIMS, "%s: %s", path, nd_module_error(m));
    for (int i = 0; i < m->dim_count; i++)
        values[i] = m->dims[i].value;
    nd_module *bound = nd__module_copy(m, values);
    nd_module_destroy(m);
    free(text);
    return bound;
}

void golden_compare(const char *path, const char *actual)
{
    char *expected = golden_read(path);
    if (getenv("NADIR_REWRITE_GOLDEN")) {
        FILE *file = fopen(path, "wb");
        fputs(actual, file);
        fclose(file);
    } else if (!expected || strcmp(expected, actual) != 0) {
        ck_abort_msg("%s: expected\n%.1500s\ngot\n%.1500s", path, expected ? expected : "(no file)", actual);
    }
    free(expected);
}

int golden_each(const char *tests, const char *folder, void (*run)(const char *folder, const char *name))
{
    char path[1024];
    snprintf(path, sizeof path, "%s/golden/%s", tests, folder);
    DIR *files = opendir(path);
    if (!files)
        return -1;
    int count = 0;
    for (struct dirent *entry; (entry = readdir(files));) {
        const size_t n = strlen(entry->d_name);
        if (n > 3 && strcmp(entry->d_name + n - 3, ".nd") == 0) {
            run(path, entry->d_name);
            count++;
        }
    }
    closedir(files);
    return count;
}
