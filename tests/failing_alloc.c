/* malloc, calloc and realloc, wrapped by the linker. */
#include "failing_alloc.h"

#include <stddef.h>
#include <stdlib.h>

static _Thread_local int left = -1; /* below 0: nothing fails */
static _Thread_local bool failed;

void failing_alloc_begin(int n)
{
    left = n;
    failed = false;
}

bool failing_alloc_end(void)
{
    left = -1;
    return failed;
}

#ifdef HAVE_WRAPPED_ALLOC
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

static bool fails(void)
{
    if (left < 0 || left-- > 0)
        return false;
    failed = true;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails() ? NULL : __real_realloc(old, size);
}
#endif
