/* Names of a graph as names in C and C++. */
#include "compiler/llvm/llvm.h"

#include <ctype.h>
#include <string.h>

/* What a field or a parameter cannot be called: the words of C11 and C++17, and the parameters that every function has.
 */
static const char *const taken[] = {
    "alignas",      "alignof",    "and",
    "and_eq",       "arena",      "asm",
    "auto",         "bitand",     "bitor",
    "bool",         "break",      "case",
    "catch",        "char",       "char16_t",
    "char32_t",     "class",      "compl",
    "const",        "const_cast", "constexpr",
    "continue",     "decltype",   "default",
    "delete",       "do",         "double",
    "dynamic_cast", "else",       "enum",
    "explicit",     "export",     "extern",
    "false",        "float",      "for",
    "friend",       "goto",       "if",
    "inline",       "int",        "long",
    "mutable",      "namespace",  "new",
    "noexcept",     "not",        "not_eq",
    "nullptr",      "operator",   "or",
    "or_eq",        "private",    "protected",
    "public",       "register",   "reinterpret_cast",
    "restrict",     "return",     "seed",
    "short",        "signed",     "sizeof",
    "state",        "static",     "static_assert",
    "static_cast",  "struct",     "switch",
    "template",     "this",       "thread_local",
    "throw",        "true",       "try",
    "typedef",      "typeid",     "typename",
    "typeof",       "union",      "unsigned",
    "using",        "virtual",    "void",
    "volatile",     "wchar_t",    "while",
    "xor",          "xor_eq",
};

char *nd__c_name(nd__arena *arena, const char *prefix, const char *name)
{
    char *text = prefix ? nd__arena_format(arena, "%s_%s", prefix, name) : nd__arena_format(arena, "%s", name);
    if (!text)
        return NULL;
    for (char *c = text; *c; c++)
        if (!isalnum((unsigned char)*c) || (unsigned char)*c > 127)
            *c = '_';
    if (isdigit((unsigned char)text[0]) || !text[0])
        return nd__arena_format(arena, "_%s", text);
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
        if (!strcmp(text, taken[i]))
            return nd__arena_format(arena, "%s_", text);
    return text;
}

/* Whether `text` is `symbol` followed by `end`. */
static bool is_with(const char *text, const char *symbol, const char *end)
{
    size_t n = strlen(symbol);
    return !strncmp(text, symbol, n) && !strcmp(text + n, end);
}

/* Whether the text is one of the names that a function of that symbol defines. */
static bool is_derived(const char *text, const char *symbol)
{
    return is_with(text, symbol, "") || is_with(text, symbol, "_entry") || is_with(text, symbol, "_parallel");
}

nd_status nd__c_symbols(nd__arena *arena, const char *prefix, int n, const char *const *names, char **symbols,
                        char *message, size_t size)
{
    const char *start = nd__c_name(arena, NULL, prefix);
    for (int i = 0; i < n; i++) {
        symbols[i] = start ? nd__c_name(arena, start, names[i]) : NULL;
        if (!symbols[i]) {
            snprintf(message, size, "out of memory");
            return ND_ERR_MEMORY;
        }
        if (is_with(symbols[i], start, "_info")) {
            snprintf(message, size,
                     "the function \"%s\" would be \"%s\" in C, as the table of the header is; rename it", names[i],
                     symbols[i]);
            return ND_ERR_ARGUMENT;
        }
        for (int j = 0; j < i; j++) {
            bool first = is_derived(symbols[i], symbols[j]);
            if (first || is_derived(symbols[j], symbols[i])) {
                snprintf(message, size, "the functions \"%s\" and \"%s\" would both define \"%s\" in C; rename one",
                         names[j], names[i], first ? symbols[i] : symbols[j]);
                return ND_ERR_ARGUMENT;
            }
        }
    }
    return ND_OK;
}
