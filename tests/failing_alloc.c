/* malloc, calloc, realloc and free, wrapped by the linker. */
#include "failing_alloc.h"

#include <stddef.h>
#include <stdlib.h>

static _Thread_local int left = -1; /* below 0: nothing fails */
static _Thread_local bool failed;
static _Thread_local long held;

void failing_alloc_begin(int n)
{
    left = n;
    failed = false;
    held = 0;
}

bool failing_alloc_end(void)
{
    left = -1;
    return failed;
}

long failing_alloc_held(void)
{
    return held;
}

#ifdef HAVE_WRAPPED_ALLOC
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void __real_free(void *p);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void __wrap_free(void *p);

static bool fails(void)
{
    if (left < 0 || left-- > 0)
        return false;
    failed = true;
    return true;
}

static void *hold(void *p)
{
    held += p != NULL;
    return p;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : hold(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : hold(__real_calloc(count, size));
}

void *__wrap_realloc(void *old, size_t size)
{
    if (fails())
        return NULL;
    return old ? __real_realloc(old, size) : hold(__real_malloc(size));
}

void __wrap_free(void *p)
{
    held -= p != NULL;
    __real_free(p);
}
#endif
