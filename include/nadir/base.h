/* What every other header of Nadir uses: element types, shapes, statuses, places.
 *
 * Conventions of the whole library:
 *  - Handles are opaque; every create has a destroy, and destroy(NULL) does nothing.
 *  - A function that can fail in other ways than through a handle's own sticky error returns an nd_status; the text
 *    belongs to the handle that was used.
 *  - The library never exits, aborts or prints, keeps no mutable globals and leaves the caller's signals alone
 *    (nd_train's option `signals`, which asks for them, apart). Two threads may work on two different handles at the
 *    same time; one handle belongs to one thread unless its header says more.
 */
#ifndef NADIR_BASE_H
#define NADIR_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#define ND_API
#else
#define ND_API __attribute__((visibility("default")))
#endif

/* -- statuses ---------------------------------------------------------------------------------------------------- */

typedef enum nd_status {
    ND_OK = 0,
    ND_ERR_ARGUMENT, /* a call that can never be right: NULL where a handle belongs, a bad index, a bad name */
    ND_ERR_GRAPH,    /* the module has an error: shapes, types, an op that has no gradient */
    ND_ERR_PARSE,    /* a text (graph, formula, subscript, CSV, .npy) does not read; the message has line and column */
    ND_ERR_IO,       /* the operating system refused a file; the message has its name and the reason */
    ND_ERR_MEMORY,   /* out of memory */
    ND_ERR_TARGET,   /* a processor or file kind that cannot be generated for or run here */
    ND_ERR_STATE,    /* the right call at the wrong time: a variable without a value, a call bound to another program */
    ND_ERR_DATA,     /* values out of their range: a label outside the classes */
    ND_ERR_INTERNAL, /* our own invariant broke; please report it */
} nd_status;

/* A short English text of the status; never NULL. */
ND_API const char *nd_status_text(nd_status status);

/* -- element types ------------------------------------------------------------------------------------------------ */

typedef enum nd_dtype {
    ND_BOOL, /* one byte, 0 or 1 */
    ND_U8,
    ND_I32,
    ND_U32,
    ND_I64,
    ND_F32,
    ND_F64,
    ND_STRING, /* host tensors only */
    ND_DTYPES
} nd_dtype;

/* "f32"; "?" for a value outside the list. */
ND_API const char *nd_dtype_name(nd_dtype dtype);
/* Bytes of one element; 0 for strings and values outside the list. */
ND_API size_t nd_dtype_size(nd_dtype dtype);
/* The dtype of that name ("f32"), or ND_DTYPES. */
ND_API nd_dtype nd_dtype_by_name(const char *name);
ND_API bool nd_dtype_is_float(nd_dtype dtype);
ND_API bool nd_dtype_is_integer(nd_dtype dtype); /* bool is not an integer */
ND_API bool nd_dtype_is_signed(nd_dtype dtype);  /* i32, i64 and the floats */

/* -- shapes ------------------------------------------------------------------------------------------------------- */

#define ND_MAX_RANK 8

/* A shape: rank 0 (a scalar) to 8, sizes outermost first, row-major. In a graph a size may be symbolic (nd_dim). A rank
 * above ND_MAX_RANK is kept as the rank that was asked for and refused by whoever takes the shape. */
typedef struct nd_shape {
    int rank;
    int64_t dims[ND_MAX_RANK];
} nd_shape;

/* A shape from n sizes; the sizes past the eighth are dropped, the rank is kept, so that the mistake can be named. */
static inline nd_shape nd_shape_of(size_t n, const int64_t *dims)
{
    nd_shape shape = {0, {0, 0, 0, 0, 0, 0, 0, 0}};
    shape.rank = (int)n;
    for (size_t i = 0; i < n && i < ND_MAX_RANK; i++)
        shape.dims[i] = dims[i];
    return shape;
}

/* ND_SHAPE(2, 3); ND_SHAPE() and ND_SCALAR are rank 0. In C; C++ calls nd_shape_of. */
#define ND_SHAPE(...)                                                                                                  \
    nd_shape_of(sizeof((int64_t[]){0, __VA_ARGS__}) / sizeof(int64_t) - 1, (int64_t[]){0, __VA_ARGS__} + 1)
#define ND_SCALAR nd_shape_of(0, NULL)

/* -- places ------------------------------------------------------------------------------------------------------- */

/* Where a caller stands, as text: "train.c:41". Modules copy it. Macros pass the literal ND_HERE, other languages pass
 * their own. NULL: unknown. */
typedef const char *nd_place;
#define ND__TEXT2(x) #x
#define ND__TEXT(x)  ND__TEXT2(x)
#define ND_HERE      (__FILE__ ":" ND__TEXT(__LINE__))

#ifdef __cplusplus
}
#endif
#endif
