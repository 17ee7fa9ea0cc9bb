/* Choices that change how fast a kernel is, and no bit: a tile, an order of loops, what lies in the lanes.
 *
 * Whoever schedules a kernel says what it chooses for, goes through the alternatives, each a few numbers and the cycles
 * that it should take, and says what it took:
 *
 *     nd__chooser c = nd__choose(b, ND__CHOICE_PRODUCT, ND_F32, "1x32x784x128 nn");
 *     do
 *         for (...)
 *             if (nd__may_take(&c, (nd__choice){{lanes, rows, vectors, outer}}, cycles) && cycles < best)
 *                 ...
 *     while (nothing was taken && nd__choose_anew(&c));
 *     nd__chosen(b, &c, (nd__choice){{..}});
 *
 * It takes the one with the fewest cycles, unless the target has a table that knows better, measured before: then no
 * other may be taken. A table that collects notes the alternatives, to be measured (compiler/tune.c). What a table says
 * is compared with the alternatives, never believed: an entry that is none of them is as if it was not there. */
#ifndef NADIR_SCHEDULE_CHOICE_H
#define NADIR_SCHEDULE_CHOICE_H

#include "compiler/graph/arena.h"
#include "nadir/base.h"

struct nd__block;

typedef enum nd__choice_kind {
    ND__CHOICE_PRODUCT,
    ND__CHOICE_CONV,
    ND__CHOICE_CONV_DW,
    ND__CHOICE_KINDS
} nd__choice_kind;

enum { ND__PARTS = 4, ND__ALTERNATIVES = 16, ND__CHOICE_TEXT = 96 };

/* What each part means depends on the kind (choice.c). */
typedef struct nd__choice {
    int part[ND__PARTS];
} nd__choice;

/* What steps of a plan came of. */
typedef struct nd__made {
    nd__choice_kind kind;
    nd__choice choice;
    const char *key; /* what it was chosen for; NULL: the target has no table */
} nd__made;

/* -- choosing ----------------------------------------------------------------------------------------------------- */

/* What a table knows of a key. */
typedef struct nd__tuned {
    const char *key;
    nd__choice_kind kind;
    bool set; /* `choice` is to be taken */
    nd__choice choice;
    const char *note; /* how it was found, for people; NULL: nothing */
    struct {
        nd__choice choice;
        double cycles;
    } found[ND__ALTERNATIVES]; /* those that should take the fewest cycles, in that order */
    int found_count;
} nd__tuned;

typedef struct nd__choices {
    nd__arena arena;
    nd__tuned **items;
    int count, room;
    char cpu[64]; /* whose table it is: a part of the keys */
    bool collects;
} nd__choices;

typedef struct nd__chooser {
    nd__choice_kind kind;
    const char *key;
    nd__tuned *tuned; /* NULL: nothing is known, nobody collects */
    bool collects;
} nd__chooser;

/* The key: the kind's name, the dtype, what the format says, the processor. When memory runs out the block has failed.
 */
nd__chooser nd__choose(struct nd__block *b, nd__choice_kind kind, nd_dtype dtype, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
bool nd__may_take(const nd__chooser *c, nd__choice choice, double cycles);
/* What the table says is no alternative: forgets it. false: it says nothing. */
bool nd__choose_anew(const nd__chooser *c);
/* What the table says; NULL: nothing. */
const nd__choice *nd__choice_known(const nd__chooser *c);
/* The steps that the group gets from now on come of that. May be said again when more is decided. */
void nd__chosen(struct nd__block *b, const nd__chooser *c, nd__choice choice);

/* -- tables ------------------------------------------------------------------------------------------------------- */

void nd__choices_release(nd__choices *choices);
/* The one of that key, n bytes; NULL: none. */
nd__tuned *nd__choices_find(const nd__choices *choices, const char *key, size_t n);
/* A new one, nothing known; NULL when memory runs out. */
nd__tuned *nd__choices_add(nd__choices *choices, nd__choice_kind kind, const char *key, size_t n);

/* -- words -------------------------------------------------------------------------------------------------------- */

/* The kind that a key, n bytes, begins with; ND__CHOICE_KINDS: none. */
nd__choice_kind nd__choice_kind_of(const char *key, size_t n);
const char *nd__choice_kind_name(nd__choice_kind kind);
bool nd__choice_equal(const nd__choice *a, const nd__choice *b);
/* "lanes=columns rows=4 vectors=4 outer=rows" */
const char *nd__choice_text(char text[ND__CHOICE_TEXT], nd__choice_kind kind, const nd__choice *choice);
/* Reads a part of that, a word of n bytes; false: it is not what nd__choice_part says. */
bool nd__choice_read(nd__choice_kind kind, int part, const char *word, size_t n, nd__choice *choice);
/* "lanes=columns or lanes=rows", "rows=NUMBER". */
const char *nd__choice_part(char text[ND__CHOICE_TEXT], nd__choice_kind kind, int part);

#endif
