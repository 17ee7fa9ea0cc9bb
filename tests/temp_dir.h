/* A folder of its own for the files of a test program, removed with what is in it when the program ends. */
#ifndef TESTS_TEMP_DIR_H
#define TESTS_TEMP_DIR_H

#include <stddef.h>

/* The path of a file in the folder, in static memory that the fourth next call overwrites. */
const char *temp_path(const char *name);
/* Writes n bytes there; gives the path. */
const char *temp_write(const char *name, const void *bytes, size_t n);
/* The whole file as text (ended by 0), for free(). */
char *temp_read(const char *path);

#endif
