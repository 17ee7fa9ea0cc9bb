#include "bits.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool is_nan(nd_dtype dtype, const unsigned char *element)
{
    float f;
    double d;
    switch (dtype) {
    case ND_F32:
        memcpy(&f, element, sizeof f);
        return f != f;
    case ND_F64:
        memcpy(&d, element, sizeof d);
        return d != d;
    default:
        return false;
    }
}

int64_t bits_difference(nd_dtype dtype, int64_t count, const void *a, const void *b)
{
    const size_t size = nd_dtype_size(dtype);
    const unsigned char *x = a, *y = b;
    for (int64_t i = 0; i < count; i++, x += size, y += size)
        if (memcmp(x, y, size) != 0 && !(is_nan(dtype, x) && is_nan(dtype, y)))
            return i;
    return -1;
}

char *bits_show(char *text, nd_dtype dtype, const void *elements, int64_t i)
{
    enum { ROOM = 64 };
    switch (dtype) {
    case ND_BOOL:
    case ND_U8:
        snprintf(text, ROOM, "%d", ((const uint8_t *)elements)[i]);
        break;
    case ND_I32:
        snprintf(text, ROOM, "%" PRId32, ((const int32_t *)elements)[i]);
        break;
    case ND_U32:
        snprintf(text, ROOM, "%" PRIu32, ((const uint32_t *)elements)[i]);
        break;
    case ND_I64:
        snprintf(text, ROOM, "%" PRId64, ((const int64_t *)elements)[i]);
        break;
    case ND_F32:
        snprintf(text, ROOM, "%.9g (%a)", ((const float *)elements)[i], ((const float *)elements)[i]);
        break;
    case ND_F64:
        snprintf(text, ROOM, "%.17g (%a)", ((const double *)elements)[i], ((const double *)elements)[i]);
        break;
    default:
        snprintf(text, ROOM, "?");
    }
    return text;
}

void bits_assert(const char *file, int line, const char *what, nd_dtype dtype, int64_t count, const void *a,
                 const void *b)
{
    char left[64], right[64];
    int64_t i = bits_difference(dtype, count, a, b);
    if (i >= 0)
        ck_abort_msg("%s:%d: %s: element %" PRId64 " of %" PRId64 " (%s): %s and %s", file, line, what, i, count,
                     nd_dtype_name(dtype), bits_show(left, dtype, a, i), bits_show(right, dtype, b, i));
}
