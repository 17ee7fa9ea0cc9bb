/* The words of a command line: `--name value`, `--name=value`, operands; behind `--` operands only. */
#include "compiler/cli/cli.h"
#include "compiler/text/nearest.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* -- errors ------------------------------------------------------------------------------------------------------- */

int nd__cli_refuse(const nd__words *words, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(words->err, "nadir %s: ", words->command->name);
    vfprintf(words->err, format, args);
    fprintf(words->err, "\nnadir %s --help says more\n", words->command->name);
    va_end(args);
    return ND__EXIT_INPUT;
}

int nd__cli_fail(const nd__words *words, nd_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("nadir: ", words->err);
    vfprintf(words->err, format, args);
    fputc('\n', words->err);
    va_end(args);
    if (status == ND_ERR_INTERNAL)
        return ND__EXIT_INTERNAL;
    return status == ND_ERR_IO || status == ND_ERR_MEMORY ? ND__EXIT_SYSTEM : ND__EXIT_INPUT;
}

int nd__cli_memory(const nd__words *words)
{
    return nd__cli_fail(words, ND_ERR_MEMORY, "%s", nd_status_text(ND_ERR_MEMORY));
}

/* -- reading ------------------------------------------------------------------------------------------------------ */

static const nd__option *find_option(const nd__command *command, const char *name, size_t length)
{
    for (const nd__option *o = command->options; o->name; o++)
        if (strlen(o->name) == length && memcmp(o->name, name, length) == 0)
            return o;
    return NULL;
}

static int unknown_option(const nd__words *words, const char *word, size_t length)
{
    nd__nearest nearest = {.word = word, .length = length};
    for (const nd__option *o = words->command->options; o->name; o++)
        nd__nearest_try(&nearest, o->name);
    if (nearest.best)
        return nd__cli_refuse(words, "there is no option %.*s; did you mean %s?", (int)length, word, nearest.best);
    return nd__cli_refuse(words, "there is no option %.*s; behind -- a word that begins with - is no option",
                          (int)length, word);
}

int nd__words_read(nd__words *words, int count, char *const *given, bool *help)
{
    const nd__command *command = words->command;
    bool options = true;
    int operands = 0;
    words->items = calloc((size_t)count + 1, sizeof *words->items);
    words->count = 0;
    if (!words->items)
        return nd__cli_memory(words);
    for (int i = 0; i < count; i++) {
        const char *word = given[i];
        nd__word *item = &words->items[words->count];
        if (options && strcmp(word, "--") == 0) {
            options = false;
            continue;
        }
        words->count++;
        if (!options || word[0] != '-' || word[1] == '\0') {
            item->value = word;
            operands++;
            continue;
        }
        if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            *help = true;
            return ND__EXIT_OK;
        }
        size_t length = strcspn(word, "=");
        item->option = find_option(command, word, length);
        if (!item->option)
            return unknown_option(words, word, length);
        item->value = word[length] ? word + length + 1 : "";
        if (!item->option->value && word[length])
            return nd__cli_refuse(words, "%s takes no value", item->option->name);
        if (item->option->value && !word[length]) {
            if (++i == count)
                return nd__cli_refuse(words, "%s needs a value: %s %s", item->option->name, item->option->name,
                                      item->option->value);
            item->value = given[i];
        }
    }
    if (operands < command->least || operands > command->most)
        return nd__cli_refuse(words, "expected %s, got %d word%s", command->operands, operands,
                              operands == 1 ? "" : "s");
    return ND__EXIT_OK;
}

/* -- asking ------------------------------------------------------------------------------------------------------- */

const char *nd__operand(const nd__words *words, int i)
{
    for (int k = 0; k < words->count; k++)
        if (!words->items[k].option && i-- == 0)
            return words->items[k].value;
    return NULL;
}

const char *nd__option_next(const nd__words *words, const char *name, int *cursor)
{
    while (*cursor < words->count) {
        const nd__word *item = &words->items[(*cursor)++];
        if (item->option && strcmp(item->option->name, name) == 0)
            return item->value;
    }
    return NULL;
}

const char *nd__option_value(const nd__words *words, const char *name)
{
    const char *last = NULL, *value;
    int cursor = 0;
    while ((value = nd__option_next(words, name, &cursor)))
        last = value;
    return last;
}

const char *nd__list_next(const char **list, size_t *length)
{
    const char *item = *list;
    if (!item)
        return NULL;
    *length = strcspn(item, ",");
    *list = item[*length] ? item + *length + 1 : NULL;
    return item;
}
