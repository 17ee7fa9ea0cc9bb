/* From characters to tokens, one at a time; nothing is copied. */
#include "compiler/formula/lexer.h"
#include "runtime/number.h"

#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* UTF-8's bytes above 0x7f count as letters: names may be in any language. */
static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static int hex_digit(char c)
{
    if (is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static nd__lexeme bad(nd__lexeme token, const char *problem)
{
    token.kind = ND__LEXEME_BAD;
    token.problem = problem;
    return token;
}

static const double LARGEST = 0x1p53; /* below which a double holds every integer */

static nd__lexeme read_hex(nd__lexeme token)
{
    size_t n = 2;
    for (int digit; (digit = hex_digit(token.text[n])) >= 0; n++)
        token.number = token.number * 16 + digit;
    token.length = n;
    token.integral = true;
    if (n == 2 || is_letter(token.text[n]) || token.text[n] == '.')
        return bad(token, "a hexadecimal number is 0x and digits");
    return token;
}

static size_t skip_digits(const char *text, size_t n)
{
    while (is_digit(text[n]))
        n++;
    return n;
}

static nd__lexeme read_number(nd__lexeme token)
{
    const char *text = token.text;
    token.kind = ND__LEXEME_NUMBER;
    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        token = read_hex(token);
    } else {
        size_t n = skip_digits(text, 0);
        token.integral = text[n] != '.' && text[n] != 'e' && text[n] != 'E';
        if (text[n] == '.')
            n = skip_digits(text, n + 1);
        if (text[n] == 'e' || text[n] == 'E') {
            n += text[n + 1] == '-' || text[n + 1] == '+' ? 2 : 1;
            n = skip_digits(text, n);
        }
        token.length = n;
        if (is_letter(text[n]) || text[n] == '.' || !nd__number_parse(text, n, &token.number))
            return bad(token, "this is no number");
    }
    if (token.kind == ND__LEXEME_NUMBER && token.integral && token.number >= LARGEST)
        return bad(token, "an integer from 2^53 on is not exact; use a constant tensor");
    return token;
}

static nd__lexeme read_quoted(nd__lexeme token)
{
    char quote = token.text[0];
    const char *begin = token.text + 1;
    size_t n = 0;
    while (begin[n] != '\0' && begin[n] != '\n' && begin[n] != quote)
        n++;
    if (begin[n] != quote)
        return bad(token, "the quoted name does not end");
    token.kind = ND__LEXEME_QUOTED;
    token.text = begin;
    token.length = n;
    return token;
}

static nd__lexeme read_mark(nd__lexeme token)
{
    static const char *const marks[] = {"...", "**", "//", "<<", ">>", "<=", ">=", "==", "!="};
    token.kind = ND__LEXEME_MARK;
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (strncmp(token.text, marks[i], strlen(marks[i])) == 0) {
            token.length = strlen(marks[i]);
            return token;
        }
    token.length = 1;
    if (token.text[0] == '!')
        return bad(token, "'!' is no operator; '~' negates bools and bits, '!=' compares");
    if (!strchr("+-*/%@&|^~<>()[],.=:", token.text[0]))
        return bad(token, "a character that formulas do not have");
    return token;
}

nd__lexeme nd__lexeme_read(const char *text, size_t *cursor)
{
    size_t at = *cursor;
    while (text[at] == ' ' || text[at] == '\t' || text[at] == '\n' || text[at] == '\r')
        at++;
    nd__lexeme token = {.kind = ND__LEXEME_END, .at = at, .text = text + at};
    if (text[at] == '\0')
        ;
    else if (is_digit(text[at]) || (text[at] == '.' && is_digit(text[at + 1]))) {
        token = read_number(token);
    } else if (text[at] == '\'' || text[at] == '"') {
        token = read_quoted(token);
    } else if (is_letter(text[at])) {
        token.kind = ND__LEXEME_NAME;
        while (is_letter(token.text[token.length]) || is_digit(token.text[token.length]))
            token.length++;
    } else {
        token = read_mark(token);
    }
    *cursor = at + token.length + (token.kind == ND__LEXEME_QUOTED ? 2 : 0);
    return token;
}

bool nd__lexeme_is(const nd__lexeme *token, const char *text)
{
    return (token->kind == ND__LEXEME_MARK || token->kind == ND__LEXEME_NAME) && strlen(text) == token->length &&
           memcmp(token->text, text, token->length) == 0;
}
