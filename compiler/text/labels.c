/* Open addressing with linear probes, at most half full. It is never walked, so that no output depends on its order. */
#include "compiler/text/labels.h"

#include <string.h>

/* FNV-1a */
static uint64_t hash_of(const char *text, size_t length)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)text[i]) * 0x100000001b3u;
    return hash;
}

/* Where the text is or would be. */
static nd__label *slot_of(const nd__labels *labels, const char *text, size_t length)
{
    size_t i = (size_t)hash_of(text, length) & (labels->room - 1);
    for (;; i = (i + 1) & (labels->room - 1)) {
        nd__label *slot = &labels->slots[i];
        if (!slot->text || (slot->length == length && memcmp(slot->text, text, length) == 0))
            return slot;
    }
}

static bool grow(nd__labels *labels, nd__arena *arena)
{
    nd__labels bigger = {.count = labels->count, .room = labels->room ? labels->room * 2 : 64};
    bigger.slots = nd__arena_alloc(arena, bigger.room, sizeof *bigger.slots);
    if (!bigger.slots)
        return false;
    for (size_t i = 0; i < labels->room; i++)
        if (labels->slots[i].text)
            *slot_of(&bigger, labels->slots[i].text, labels->slots[i].length) = labels->slots[i];
    *labels = bigger;
    return true;
}

nd__label *nd__labels_add(nd__labels *labels, nd__arena *arena, const char *text, size_t length)
{
    if (labels->count >= labels->room / 2 && !grow(labels, arena))
        return NULL;
    nd__label *slot = slot_of(labels, text, length);
    if (!slot->text) {
        *slot = (nd__label){.text = text, .length = length};
        labels->count++;
    }
    return slot;
}

const nd__label *nd__labels_find(const nd__labels *labels, const char *text, size_t length)
{
    if (labels->room == 0)
        return NULL;
    const nd__label *slot = slot_of(labels, text, length);
    return slot->text ? slot : NULL;
}
