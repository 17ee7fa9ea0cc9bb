/* An arena: memory that is given out in order and released all at once. */
#ifndef NADIR_GRAPH_ARENA_H
#define NADIR_GRAPH_ARENA_H

#include <stdarg.h>
#include <stddef.h>

typedef struct nd__arena {
    struct nd__arena_block *blocks;
    size_t used, room;             /* of the newest block */
    struct nd__arena_block *spare; /* free blocks, to be used before the system is asked for more */
} nd__arena;

/* Where an arena stood. */
typedef struct nd__arena_mark {
    struct nd__arena_block *blocks;
    size_t used;
} nd__arena_mark;

/* An arena starts as {0}. */
/* Zeroed memory for `count` objects of `size` bytes, 16-byte aligned; NULL when memory runs out or the product
 * overflows. */
void *nd__arena_alloc(nd__arena *arena, size_t count, size_t size);
/* A copy of n bytes of text and a 0; NULL when memory runs out. */
char *nd__arena_text(nd__arena *arena, const char *text, size_t n);
char *nd__arena_format(nd__arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *nd__arena_vformat(nd__arena *arena, const char *format, va_list args) __attribute__((format(printf, 2, 0)));
/* Makes room for `need` elements of `size` bytes: *items, of which *room exist, moves to a larger place when there are
 * fewer. false when memory runs out. */
int nd__arena_grow(nd__arena *arena, void *items, int *room, int need, size_t size);
nd__arena_mark nd__arena_here(const nd__arena *arena);
/* Takes back what was given out since, for what comes. */
void nd__arena_rewind(nd__arena *arena, nd__arena_mark mark);
/* Lets `into` own what `from` gave out; `from` is as at the start. */
void nd__arena_join(nd__arena *into, nd__arena *from);
/* Lets `to` use the memory of `from` for what comes; what `from` gave out is gone. */
void nd__arena_hand_on(nd__arena *to, nd__arena *from);
void nd__arena_release(nd__arena *arena);

#endif
