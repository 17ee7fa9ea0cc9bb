/* Files of measured choices. */
#include "compiler/tuning.h"
#include "runtime/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char first_line[] = "nadir tuning 1";

/* A line, or the rest of it. */
typedef struct line {
    const char *path;
    int number;
    const char *text;
    size_t count;
} line;

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static void trim(line *l)
{
    while (l->count > 0 && is_blank(l->text[l->count - 1]))
        l->count--;
    while (l->count > 0 && is_blank(l->text[0])) {
        l->text++;
        l->count--;
    }
}

/* What stands before the character; the line becomes what stands behind it. Without it: all, and nothing. */
static line take_until(line *l, char end)
{
    line before = *l;
    const char *at = memchr(l->text, end, l->count);
    before.count = at ? (size_t)(at - l->text) : l->count;
    const size_t taken = before.count + (at != NULL);
    l->text += taken;
    l->count -= taken;
    trim(&before);
    trim(l);
    return before;
}

static nd_status refuse(const line *l, const char *expected, nd__message *message)
{
    return nd__message_set(message, ND_ERR_PARSE, "%s:%d: expected %s, got \"%.*s\"", l->path, l->number, expected,
                           (int)l->count, l->text);
}

static nd_status read_choice(line *l, nd__choice_kind kind, nd__choice *choice, nd__message *message)
{
    char expected[ND__CHOICE_TEXT];
    for (int i = 0; i < ND__PARTS; i++) {
        const line word = take_until(l, ' ');
        if (!nd__choice_read(kind, i, word.text, word.count, choice))
            return refuse(&word, nd__choice_part(expected, kind, i), message);
    }
    return l->count > 0 ? refuse(l, "nothing more", message) : ND_OK;
}

static nd_status read_line(nd__choices *choices, line l, nd__message *message)
{
    line choice = take_until(&l, '#');
    const line note = l;
    if (choice.count == 0)
        return ND_OK;
    if (!memchr(choice.text, ':', choice.count))
        return refuse(&choice, "\"KERNEL: CHOICE\"", message);
    const line key = take_until(&choice, ':');
    const nd__choice_kind kind = nd__choice_kind_of(key.text, key.count);
    if (kind == ND__CHOICE_KINDS)
        return refuse(&key, "a kernel that begins with product, conv or conv_dw", message);
    nd__choice made = {{0}};
    const nd_status status = read_choice(&choice, kind, &made, message);
    if (status != ND_OK)
        return status;
    nd__tuned *tuned = nd__choices_find(choices, key.text, key.count);
    if (!tuned)
        tuned = nd__choices_add(choices, kind, key.text, key.count);
    const char *text = nd__arena_text(&choices->arena, note.text, note.count);
    if (!tuned || !text)
        return nd__no_memory(message);
    tuned->choice = made;
    tuned->note = text;
    tuned->set = true;
    return ND_OK;
}

static nd_status read_lines(nd__choices *choices, line all, nd__message *message)
{
    nd_status status = ND_OK;
    do {
        line l = take_until(&all, '\n');
        l.number = ++all.number;
        if (l.number > 1)
            status = read_line(choices, l, message);
        else if (l.count != strlen(first_line) || memcmp(l.text, first_line, l.count) != 0)
            status = refuse(&l, "\"nadir tuning 1\"", message);
    } while (status == ND_OK && all.count > 0);
    return status;
}

static bool exists(const char *path)
{
    FILE *f = fopen(path, "r");
    const bool is_there = f || errno != ENOENT;
    if (f)
        fclose(f);
    return is_there;
}

nd_status nd__tuning_read(nd__choices *choices, const char *path, bool missing, nd__message *message)
{
    nd__bytes bytes;
    if (missing && !exists(path))
        return ND_OK;
    nd_status status = nd__file_read(path, false, &bytes, message);
    if (status != ND_OK)
        return status;
    status = read_lines(choices, (line){.path = path, .text = (const char *)bytes.data, .count = bytes.count}, message);
    free(bytes.data);
    return status;
}

nd_status nd__tuning_write(const nd__choices *choices, const char *path, nd__message *message)
{
    nd__writer writer;
    nd_status status = nd__writer_open(&writer, path, message);
    if (status != ND_OK)
        return status;
    fprintf(writer.file, "%s\n", first_line);
    for (int i = 0; i < choices->count; i++) {
        const nd__tuned *tuned = choices->items[i];
        char text[ND__CHOICE_TEXT];
        if (!tuned->set)
            continue;
        fprintf(writer.file, "%s: %s", tuned->key, nd__choice_text(text, tuned->kind, &tuned->choice));
        fprintf(writer.file, "%s%s\n", tuned->note && tuned->note[0] ? " # " : "", tuned->note ? tuned->note : "");
    }
    return nd__writer_close(&writer, true, message);
}
