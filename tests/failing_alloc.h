/* Makes the n-th allocation of the program under test fail, to see that every one of them is checked.
 *
 *     for (int n = 0; failing_alloc_begin(n), build(), failing_alloc_end(); n++)
 *         ;
 */
#ifndef TESTS_FAILING_ALLOC_H
#define TESTS_FAILING_ALLOC_H

#include <stdbool.h>

/* Lets n allocations pass and fails the next one (only that one). */
void failing_alloc_begin(int n);
/* Lets all pass again. Whether one failed since failing_alloc_begin. */
bool failing_alloc_end(void);
/* How many allocations are held of those made since failing_alloc_begin, as far as the linker wraps symbols. */
long failing_alloc_held(void);

#endif
