/* Golden texts: inputs and what is expected of them side by side in tests/golden. With NADIR_REWRITE_GOLDEN in the
 * environment the expected files are written anew: on purpose only, and the diff is read. */
#ifndef TESTS_GOLDEN_H
#define TESTS_GOLDEN_H

#include "nadir/graph.h"

/* The file as text, for free(); NULL if there is none. */
char *golden_read(const char *path);
/* The module that folder/NAME.nd is, its dimensions bound to their values; fails the test where it is none. */
nd_module *golden_module(const char *folder, const char *name);
/* Fails the running Check test unless the file holds that text. */
void golden_compare(const char *path, const char *actual);
/* Runs `run` with folder and name of every file NAME.nd in golden/FOLDER beside the tests (`tests`, the suite's first
 * argument). Gives their number; -1: no such folder. */
int golden_each(const char *tests, const char *folder, void (*run)(const char *folder, const char *name));

#endif
