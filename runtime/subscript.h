/* Subscripts in NumPy's basic indexing, from text: "1", "1:, ::-1", "..., None, -1". Host tensors, graph values (nd_at)
 * and formulas read them with this one parser; what the items mean for a shape is theirs, but for the arithmetic of one
 * slice, which is here.
 *
 *     subscript = item ("," item)* [","]
 *     item      = bound | [bound] ":" [bound] [":" [bound]] | "None" | "..."
 *     bound     = ["-" | "+"] digits | name
 *
 * Names are sizes (named dimensions), where the caller gives a function that knows them. */
#ifndef NADIR_RUNTIME_SUBSCRIPT_H
#define NADIR_RUNTIME_SUBSCRIPT_H

#include "nadir/base.h"

typedef enum nd__subscript_kind {
    ND__SUB_INDEX,   /* start; drops its axis */
    ND__SUB_SLICE,   /* start:stop:step, each if has_... */
    ND__SUB_NEWAXIS, /* None */
    ND__SUB_ELLIPSIS /* ...: at most one */
} nd__subscript_kind;

typedef struct nd__subscript_item {
    nd__subscript_kind kind;
    bool has_start, has_stop, has_step; /* an index has only has_start */
    int64_t start, stop, step;          /* a step is never 0; start and stop may be symbolic sizes */
    size_t column;                      /* where the item begins: offset in the text, from 0 */
} nd__subscript_item;

/* As many as make sense: eight indices, eight new axes and an ellipsis. */
enum { ND__SUBSCRIPT_ITEMS = 2 * ND_MAX_RANK + 1 };

typedef struct nd__subscript {
    int count;
    int axes; /* how many items stand for an axis of what is subscripted: indices and slices */
    nd__subscript_item items[ND__SUBSCRIPT_ITEMS];
} nd__subscript;

/* Looks a name of `length` characters up; false: no such size. */
typedef struct nd__subscript_names {
    bool (*find)(void *self, const char *name, size_t length, int64_t *size);
    void *self;
} nd__subscript_names;

/* Parses the whole text, in brackets or not; `names` may be NULL: numbers only. ND_ERR_PARSE: `message` (at most `size`
 * bytes) has the column, what was expected, and the text with a caret below it (nd__caret). */
nd_status nd__subscript_parse(const char *text, const nd__subscript_names *names, nd__subscript *subscript,
                              char *message, size_t size);

/* For texts that contain subscripts: parses from text[*cursor] until a ']' (which is left) or the end; *cursor then
 * stands there. `names` may be NULL: numbers only. ND_ERR_PARSE: *cursor is the offset of the mistake, `message` says
 * what was expected and nothing of the place. */
nd_status nd__subscript_parse_at(const char *text, size_t *cursor, const nd__subscript_names *names,
                                 nd__subscript *subscript, char *message, size_t size);

/* What a slice takes of an axis of `extent` elements, by NumPy's rules: `count` elements, start + i * step. Where count
 * is 0, start is 0. */
typedef struct nd__slice {
    int64_t start, step, count;
} nd__slice;
nd__slice nd__slice_of(const nd__subscript_item *item, int64_t extent);

/* Appends the line of `text` that holds offset `column` and a caret below it to `message`: "\n    1, x\n       ^". Cut
 * off where `size` ends. */
void nd__caret(char *message, size_t size, const char *text, size_t column);

#endif
