/* What the operating system does and C does not: one file for each kind of system has these. */
#ifndef NADIR_RUNTIME_PLATFORM_H
#define NADIR_RUNTIME_PLATFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Seconds from some moment on; never goes back. */
double nd__platform_seconds(void);
/* Says of large memory, before it is touched, that it will be read here and there: rows of a data set in a shuffled
 * order. In small pages each of them waits for the page's place, too. */
void nd__platform_expect_use(void *memory, size_t bytes);

/* Lets SIGINT (Ctrl-C) and SIGTERM, unless the process ignores them, be noticed instead of ending it; the same one for
 * a second time ends it. False: somebody in this process does so already. */
bool nd__platform_catch_signals(void);
/* The number of the last one that came; 0: none. */
int nd__platform_signal(void);
/* As it was before nd__platform_catch_signals; gives nd__platform_signal. */
int nd__platform_release_signals(void);

/* Whether a person watches the stream. */
bool nd__platform_is_terminal(FILE *file);
/* How many columns a terminal has; 0: it does not say. */
int nd__platform_terminal_width(FILE *file);
/* Whether there is a file of that name, or something else; false also where it cannot be known. */
bool nd__platform_exists(const char *path);
/* Forces what was written to the disk. */
bool nd__platform_sync(FILE *file);
/* Renames a file over another one, at once: whoever opens `to` sees the old one or the new one. Sets errno. */
bool nd__platform_replace(const char *from, const char *to);
/* Makes a folder in one that is there; true also if it is there already. Sets errno. */
bool nd__platform_make_folder(const char *path);

#endif
