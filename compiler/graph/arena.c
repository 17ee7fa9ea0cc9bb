/* An arena in a list of blocks, each twice the size of the one before, up to 4 MB. */
#include "compiler/graph/arena.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGN = 16, FIRST_BLOCK = 4096, LARGEST_BLOCK = 4 << 20, LARGE = 128 /* bytes of an element */ };

struct nd__arena_block {
    struct nd__arena_block *before;
    size_t room;
    _Alignas(ALIGN) unsigned char data[];
};

/* A spare block with room for so many bytes, taken out; NULL: none has. */
static struct nd__arena_block *take_spare(nd__arena *arena, size_t bytes)
{
    struct nd__arena_block **link = &arena->spare, *found;
    while (*link && (*link)->room < bytes)
        link = &(*link)->before;
    found = *link;
    if (found)
        *link = found->before;
    return found;
}

static struct nd__arena_block *new_block(const nd__arena *arena, size_t bytes)
{
    size_t room = arena->blocks ? arena->room * 2 : FIRST_BLOCK;
    if (room > LARGEST_BLOCK)
        room = LARGEST_BLOCK;
    if (room < bytes)
        room = bytes;
    struct nd__arena_block *block = malloc(sizeof *block + room);
    if (block)
        block->room = room;
    return block;
}

static bool add_block(nd__arena *arena, size_t bytes)
{
    struct nd__arena_block *block = take_spare(arena, bytes);
    if (!block && !(block = new_block(arena, bytes)))
        return false;
    block->before = arena->blocks;
    arena->blocks = block;
    arena->used = 0;
    arena->room = block->room;
    return true;
}

void *nd__arena_alloc(nd__arena *arena, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX / 4)
        return NULL;
    bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
    if (bytes == 0)
        bytes = ALIGN;
    if ((!arena->blocks || arena->room - arena->used < bytes) && !add_block(arena, bytes))
        return NULL;
    void *p = arena->blocks->data + arena->used;
    arena->used += bytes;
    return memset(p, 0, bytes);
}

char *nd__arena_text(nd__arena *arena, const char *text, size_t n)
{
    char *copy = nd__arena_alloc(arena, n + 1, 1);
    if (copy)
        memcpy(copy, text, n);
    return copy;
}

char *nd__arena_vformat(nd__arena *arena, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, again);
    va_end(again);
    char *text = n < 0 ? NULL : nd__arena_alloc(arena, (size_t)n + 1, 1);
    if (text)
        vsnprintf(text, (size_t)n + 1, format, args);
    return text;
}

char *nd__arena_format(nd__arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = nd__arena_vformat(arena, format, args);
    va_end(args);
    return text;
}

int nd__arena_grow(nd__arena *arena, void *items, int *room, int need, size_t size)
{
    if (need <= *room)
        return 1;
    const int few = size <= LARGE ? 8 : 2;
    int bigger = *room < few ? few : *room <= INT_MAX / 2 ? *room * 2 : INT_MAX;
    if (bigger < need)
        bigger = need;
    void *old, *moved = nd__arena_alloc(arena, (size_t)bigger, size);
    if (!moved)
        return 0;
    memcpy(&old, items, sizeof old); /* items is the address of a pointer of any type */
    if (*room > 0)
        memcpy(moved, old, (size_t)*room * size);
    memcpy(items, &moved, sizeof moved);
    *room = bigger;
    return 1;
}

nd__arena_mark nd__arena_here(const nd__arena *arena)
{
    return (nd__arena_mark){arena->blocks, arena->used};
}

void nd__arena_rewind(nd__arena *arena, nd__arena_mark mark)
{
    while (arena->blocks != mark.blocks) {
        struct nd__arena_block *block = arena->blocks;
        arena->blocks = block->before;
        block->before = arena->spare;
        arena->spare = block;
    }
    arena->used = mark.used;
    arena->room = arena->blocks ? arena->blocks->room : 0;
}

/* The end of a list of blocks. */
static struct nd__arena_block **end_of(struct nd__arena_block **link)
{
    while (*link)
        link = &(*link)->before;
    return link;
}

void nd__arena_join(nd__arena *into, nd__arena *from)
{
    if (into->blocks) { /* behind the block that is being given out */
        *end_of(&from->blocks) = into->blocks->before;
        into->blocks->before = from->blocks;
    } else {
        into->blocks = from->blocks;
        into->used = from->used;
        into->room = from->room;
    }
    *from = (nd__arena){.spare = from->spare};
}

void nd__arena_hand_on(nd__arena *to, nd__arena *from)
{
    nd__arena_rewind(from, (nd__arena_mark){0});
    *end_of(&to->spare) = from->spare;
    *from = (nd__arena){0};
}

void nd__arena_release(nd__arena *arena)
{
    nd__arena_rewind(arena, (nd__arena_mark){0});
    for (struct nd__arena_block *b = arena->spare, *next; b; b = next) {
        next = b->before;
        free(b);
    }
    *arena = (nd__arena){0};
}
