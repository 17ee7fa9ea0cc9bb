/* Names and sizes of the element types, texts of the statuses. */
#include "nadir/base.h"

#include <string.h>

static const struct {
    const char *name;
    size_t size;
} dtypes[ND_DTYPES] = {
    [ND_BOOL] = {"bool", 1}, [ND_U8] = {"u8", 1},   [ND_I32] = {"i32", 4}, [ND_U32] = {"u32", 4},
    [ND_I64] = {"i64", 8},   [ND_F32] = {"f32", 4}, [ND_F64] = {"f64", 8}, [ND_STRING] = {"string", 0},
};

const char *nd_dtype_name(nd_dtype dtype)
{
    return (unsigned)dtype < ND_DTYPES ? dtypes[dtype].name : "?";
}

size_t nd_dtype_size(nd_dtype dtype)
{
    return (unsigned)dtype < ND_DTYPES ? dtypes[dtype].size : 0;
}

nd_dtype nd_dtype_by_name(const char *name)
{
    for (int i = 0; name && i < ND_DTYPES; i++)
        if (strcmp(dtypes[i].name, name) == 0)
            return (nd_dtype)i;
    return ND_DTYPES;
}

bool nd_dtype_is_float(nd_dtype dtype)
{
    return dtype == ND_F32 || dtype == ND_F64;
}

bool nd_dtype_is_integer(nd_dtype dtype)
{
    return dtype == ND_U8 || dtype == ND_I32 || dtype == ND_U32 || dtype == ND_I64;
}

bool nd_dtype_is_signed(nd_dtype dtype)
{
    return dtype == ND_I32 || dtype == ND_I64 || nd_dtype_is_float(dtype);
}

const char *nd_status_text(nd_status status)
{
    switch (status) {
    case ND_OK:
        return "no error";
    case ND_ERR_ARGUMENT:
        return "wrong argument";
    case ND_ERR_GRAPH:
        return "the graph has an error";
    case ND_ERR_PARSE:
        return "the text does not read";
    case ND_ERR_IO:
        return "input or output failed";
    case ND_ERR_MEMORY:
        return "out of memory";
    case ND_ERR_TARGET:
        return "the target cannot be generated for";
    case ND_ERR_STATE:
        return "the call does not fit the state";
    case ND_ERR_DATA:
        return "a value is out of its range";
    case ND_ERR_INTERNAL:
        return "an invariant of Nadir broke";
    }
    return "unknown status";
}
