/* The tokens of formulas. */
#ifndef NADIR_FORMULA_LEXER_H
#define NADIR_FORMULA_LEXER_H

#include <stdbool.h>
#include <stddef.h>

typedef enum nd__token_kind {
    ND__TOKEN_END,
    ND__TOKEN_NUMBER,
    ND__TOKEN_NAME,
    ND__TOKEN_QUOTED, /* 'hidden/weight': text and length are what is between the quotes */
    ND__TOKEN_MARK,   /* an operator, a bracket, a comma */
    ND__TOKEN_BAD,    /* `problem` says why */
} nd__token_kind;

typedef struct nd__token {
    nd__token_kind kind;
    size_t at; /* offset in the formula */
    const char *text;
    size_t length;
    double number; /* of a NUMBER */
    bool integral; /*   written without a point or an exponent */
    const char *problem;
} nd__token;

/* The token at or after text[*cursor], which then stands behind it. */
nd__token nd__token_read(const char *text, size_t *cursor);
/* Whether it is that mark or that name. */
bool nd__token_is(const nd__token *token, const char *text);

#endif
