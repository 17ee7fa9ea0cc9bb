/* Choices: what each kind of kernel may choose, in words; what a table knows; choosing. */
#include "compiler/schedule/choice.h"
#include "compiler/schedule/block.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MOST = 999 };

static const struct {
    const char *name;
    struct {
        const char *name, *values[2]; /* values: of 0 and 1; NULL: a number */
    } part[ND__PARTS];
} kinds[ND__CHOICE_KINDS] = {
    /* a tile's rows and vectors along the lanes; the outermost loop goes over strips of rows or panels of columns */
    [ND__CHOICE_PRODUCT] = {"product",
                            {{"lanes", {"columns", "rows"}}, {"rows"}, {"vectors"}, {"outer", {"rows", "columns"}}}},
    [ND__CHOICE_CONV] = {"conv", {{"lanes", {"channels", "images"}}, {"images"}, {"pixels"}, {"vectors"}}},
    /* of the kernel: a tile's rows, columns, channels of the image, vectors of the result's */
    [ND__CHOICE_CONV_DW] = {"conv_dw", {{"rows"}, {"columns"}, {"channels"}, {"vectors"}}},
};

/* -- tables ------------------------------------------------------------------------------------------------------- */

void nd__choices_release(nd__choices *choices)
{
    nd__arena_release(&choices->arena);
    *choices = (nd__choices){0};
}

nd__tuned *nd__choices_find(const nd__choices *choices, const char *key, size_t n)
{
    for (int i = 0; i < choices->count; i++)
        if (strlen(choices->items[i]->key) == n && memcmp(choices->items[i]->key, key, n) == 0)
            return choices->items[i];
    return NULL;
}

nd__tuned *nd__choices_add(nd__choices *choices, nd__choice_kind kind, const char *key, size_t n)
{
    nd__tuned *tuned = nd__arena_alloc(&choices->arena, 1, sizeof *tuned);
    const char *copy = nd__arena_text(&choices->arena, key, n);
    if (!tuned || !copy ||
        !nd__arena_grow(&choices->arena, &choices->items, &choices->room, choices->count + 1, sizeof *choices->items))
        return NULL;
    tuned->key = copy;
    tuned->kind = kind;
    return choices->items[choices->count++] = tuned;
}

/* -- words -------------------------------------------------------------------------------------------------------- */

nd__choice_kind nd__choice_kind_of(const char *key, size_t n)
{
    int k = 0;
    for (; k < ND__CHOICE_KINDS; k++) {
        const size_t length = strlen(kinds[k].name);
        if (length < n && key[length] == ' ' && memcmp(kinds[k].name, key, length) == 0)
            break;
    }
    return (nd__choice_kind)k;
}

const char *nd__choice_kind_name(nd__choice_kind kind)
{
    return kinds[kind].name;
}

bool nd__choice_equal(const nd__choice *a, const nd__choice *b)
{
    return memcmp(a->part, b->part, sizeof a->part) == 0;
}

const char *nd__choice_text(char text[ND__CHOICE_TEXT], nd__choice_kind kind, const nd__choice *choice)
{
    int used = 0;
    for (int i = 0; i < ND__PARTS; i++) {
        const char *name = kinds[kind].part[i].name, *value = kinds[kind].part[i].values[choice->part[i] != 0];
        used += value ? snprintf(text + used, ND__CHOICE_TEXT - (size_t)used, "%s%s=%s", i ? " " : "", name, value)
                      : snprintf(text + used, ND__CHOICE_TEXT - (size_t)used, "%s%s=%d", i ? " " : "", name,
                                 choice->part[i] < MOST ? choice->part[i] : MOST);
    }
    return text;
}

static bool is(const char *word, size_t n, const char *text)
{
    return strlen(text) == n && memcmp(word, text, n) == 0;
}

bool nd__choice_read(nd__choice_kind kind, int part, const char *word, size_t n, nd__choice *choice)
{
    const char *name = kinds[kind].part[part].name, *const *values = kinds[kind].part[part].values;
    const size_t before = strlen(name) + 1;
    int number = 0;
    if (n <= before || word[before - 1] != '=' || memcmp(word, name, before - 1) != 0)
        return false;
    for (size_t i = before; i < n && !values[0]; i++) {
        if (word[i] < '0' || word[i] > '9' || number > MOST / 10)
            return false;
        number = 10 * number + (word[i] - '0');
    }
    if (values[0]) {
        number = is(word + before, n - before, values[1]);
        if (!is(word + before, n - before, values[number]))
            return false;
    }
    choice->part[part] = number;
    return true;
}

const char *nd__choice_part(char text[ND__CHOICE_TEXT], nd__choice_kind kind, int part)
{
    const char *name = kinds[kind].part[part].name, *const *values = kinds[kind].part[part].values;
    if (values[0])
        snprintf(text, ND__CHOICE_TEXT, "%s=%s or %s=%s", name, values[0], name, values[1]);
    else
        snprintf(text, ND__CHOICE_TEXT, "%s=NUMBER", name);
    return text;
}

/* -- choosing ----------------------------------------------------------------------------------------------------- */

nd__chooser nd__choose(nd__block *b, nd__choice_kind kind, nd_dtype dtype, const char *format, ...)
{
    nd__choices *choices = b->target->choices;
    nd__chooser c = {.kind = kind};
    if (!choices)
        return c;
    va_list args;
    va_start(args, format);
    const char *what = nd__arena_vformat(b->passing, format, args);
    va_end(args);
    if (what)
        c.key = nd__arena_format(b->plan->arena, "%s %s %s on %s", kinds[kind].name, nd_dtype_name(dtype), what,
                                 choices->cpu);
    if (!c.key) {
        b->failed = true;
        return c;
    }
    c.collects = choices->collects;
    c.tuned = nd__choices_find(choices, c.key, strlen(c.key));
    if (!c.tuned && c.collects) {
        c.tuned = nd__choices_add(choices, kind, c.key, strlen(c.key));
        b->failed = b->failed || !c.tuned;
    }
    return c;
}

/* Sorts it in; where there is no room, the one with the most cycles goes. */
static void note(nd__tuned *tuned, nd__choice choice, double cycles)
{
    for (int i = 0; i < tuned->found_count; i++)
        if (nd__choice_equal(&tuned->found[i].choice, &choice))
            return;
    int at = tuned->found_count < ND__ALTERNATIVES ? tuned->found_count++ : ND__ALTERNATIVES;
    for (; at > 0 && tuned->found[at - 1].cycles > cycles; at--)
        if (at < ND__ALTERNATIVES)
            tuned->found[at] = tuned->found[at - 1];
    if (at < ND__ALTERNATIVES) {
        tuned->found[at].choice = choice;
        tuned->found[at].cycles = cycles;
    }
}

bool nd__may_take(const nd__chooser *c, nd__choice choice, double cycles)
{
    if (!c->tuned)
        return true;
    if (c->collects && !c->tuned->set)
        note(c->tuned, choice, cycles);
    return !c->tuned->set || nd__choice_equal(&c->tuned->choice, &choice);
}

bool nd__choose_anew(const nd__chooser *c)
{
    const bool said = nd__choice_known(c);
    if (said)
        c->tuned->set = false;
    return said;
}

const nd__choice *nd__choice_known(const nd__chooser *c)
{
    return c->tuned && c->tuned->set ? &c->tuned->choice : NULL;
}

void nd__chosen(nd__block *b, const nd__chooser *c, nd__choice choice)
{
    if (!b->made)
        b->made = nd__arena_alloc(b->plan->arena, 1, sizeof *b->made);
    if (b->made)
        *b->made = (nd__made){.kind = c->kind, .choice = choice, .key = c->key};
    b->failed = b->failed || !b->made;
}
