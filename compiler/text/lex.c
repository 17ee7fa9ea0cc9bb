/* The lexer. Letters and digits are those of ASCII, whatever the host's locale is. */
#include "compiler/text/lex.h"

#include <string.h>

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* What a word may go on with: "hidden/weight", "layer-1", "h.0". A "->" ends it. */
static bool goes_on(const char *c)
{
    return is_letter(*c) || is_digit(*c) || *c == '/' || *c == '.' || (*c == '-' && c[1] != '>');
}

static size_t word_length(const char *text)
{
    size_t n = 0;
    while (goes_on(text + n))
        n++;
    return n;
}

bool nd__t_is_label(const char *name)
{
    return is_letter(name[0]) && name[word_length(name)] == '\0';
}

bool nd__t_is(const nd__t_token *token, const char *text)
{
    return (token->kind == ND__T_WORD || token->kind == ND__T_SIGN) && strlen(text) == token->length &&
           memcmp(text, token->text, token->length) == 0;
}

void nd__t_lex_begin(nd__t_lexer *lexer, const char *text)
{
    *lexer = (nd__t_lexer){.at = text, .line_start = text, .line = 1};
}

/* Skips spaces and comments, and line ends where they mean nothing. False: a line ended. */
static bool skip_blanks(nd__t_lexer *lexer)
{
    for (;; lexer->at++) {
        if (*lexer->at == '#')
            lexer->at += strcspn(lexer->at, "\n");
        if (*lexer->at == '\n' && lexer->open == 0)
            return false;
        if (*lexer->at == '\n') {
            lexer->line++;
            lexer->line_start = lexer->at + 1;
        } else if (*lexer->at != ' ' && *lexer->at != '\t' && *lexer->at != '\r') {
            return true;
        }
    }
}

static size_t number_length(const char *text)
{
    size_t n = *text == '-' || *text == '+';
    const bool hex = text[n] == '0' && (text[n + 1] == 'x' || text[n + 1] == 'X');
    while (is_letter(text[n]) || is_digit(text[n]) || text[n] == '.' ||
           (!hex && n > 0 && (text[n] == '-' || text[n] == '+') && (text[n - 1] == 'e' || text[n - 1] == 'E')))
        n++;
    return n;
}

static void lex_string(nd__t_lexer *lexer, nd__t_token *token)
{
    size_t n = 1;
    while (token->text[n] && token->text[n] != '\n' && token->text[n] != '"')
        n += token->text[n] == '\\' && token->text[n + 1] && token->text[n + 1] != '\n' ? 2 : 1;
    const bool closed = token->text[n] == '"';
    token->kind = closed ? ND__T_STRING : ND__T_BAD;
    token->problem = "a string that does not end on its line";
    lexer->at += n + closed;
    token->text++;
    token->length = n - 1;
}

nd__t_token nd__t_lex(nd__t_lexer *lexer)
{
    const bool same_line = skip_blanks(lexer);
    nd__t_token token = {.text = lexer->at, .length = 1, .line = lexer->line};
    token.column = (int)(lexer->at - lexer->line_start) + 1;
    const char *c = lexer->at;
    if (!same_line) {
        token.kind = ND__T_LINE;
        do {
            lexer->line++;
            lexer->line_start = ++lexer->at;
        } while (!skip_blanks(lexer));
        return token;
    }
    if (*c == '\0') {
        token.kind = ND__T_END;
        token.length = 0;
        return token;
    }
    if (*c == '"') {
        lex_string(lexer, &token);
        return token;
    }
    if (is_letter(*c)) {
        token.kind = ND__T_WORD;
        token.length = word_length(c);
    } else if (*c == '%') {
        token.text++;
        token.length = is_digit(c[1]) ? strspn(c + 1, "0123456789.") : is_letter(c[1]) ? word_length(c + 1) : 0;
        token.kind = token.length > 0 ? ND__T_LABEL : ND__T_BAD;
        token.problem = "a % without a name or number";
        lexer->at++;
    } else if (c[0] == '-' && c[1] == '>') {
        token.kind = ND__T_SIGN;
        token.length = 2;
    } else if (is_digit(*c) || ((*c == '-' || *c == '+') && (is_digit(c[1]) || is_letter(c[1]) || c[1] == '.'))) {
        token.kind = ND__T_NUMBER;
        token.length = number_length(c);
    } else if (strchr("()[]{},:=*", *c)) {
        token.kind = ND__T_SIGN;
        token.length = c[0] == ':' && c[1] == '=' ? 2 : 1;
        lexer->open += *c == '(' || *c == '[';
        lexer->open -= (*c == ')' || *c == ']') && lexer->open > 0;
    } else {
        token.kind = ND__T_BAD;
        token.problem = "a character that means nothing here";
    }
    lexer->at += token.length;
    return token;
}
