/* The tokens of formulas. */
#ifndef NADIR_FORMULA_LEXER_H
#define NADIR_FORMULA_LEXER_H

#include <stdbool.h>
#include <stddef.h>

typedef enum nd__lexeme_kind {
    ND__LEXEME_END,
    ND__LEXEME_NUMBER,
    ND__LEXEME_NAME,
    ND__LEXEME_QUOTED, /* 'hidden/weight': text and length are what is between the quotes */
    ND__LEXEME_MARK,   /* an operator, a bracket, a comma */
    ND__LEXEME_BAD,    /* `problem` says why */
} nd__lexeme_kind;

typedef struct nd__lexeme {
    nd__lexeme_kind kind;
    size_t at; /* offset in the formula */
    const char *text;
    size_t length;
    double number; /* of a NUMBER */
    bool integral; /*   written without a point or an exponent */
    const char *problem;
} nd__lexeme;

/* The token at or after text[*cursor], which then stands behind it. */
nd__lexeme nd__lexeme_read(const char *text, size_t *cursor);
/* Whether it is that mark or that name. */
bool nd__lexeme_is(const nd__lexeme *token, const char *text);

#endif
