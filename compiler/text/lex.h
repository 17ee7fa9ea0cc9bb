/* Tokens of the text of a graph. */
#ifndef NADIR_TEXT_LEX_H
#define NADIR_TEXT_LEX_H

#include <stdbool.h>
#include <stddef.h>

typedef enum nd__t_kind {
    ND__T_END,    /* of the text */
    ND__T_LINE,   /* the end of one line or more, outside ( ) and [ ] */
    ND__T_WORD,   /* matmul */
    ND__T_LABEL,  /* %hidden, %12, %12.1: `text` begins after the % */
    ND__T_NUMBER, /* -1, 2.5e-3, 0x1f, -inf */
    ND__T_STRING, /* "grad of h": `text` lies between the quotes, escapes as written */
    ND__T_SIGN,   /* ( ) [ ] { } , : = * := -> */
    ND__T_BAD,    /* `problem` says what is wrong */
} nd__t_kind;

typedef struct nd__t_token {
    nd__t_kind kind;
    const char *text;
    size_t length;
    int line, column; /* from 1; columns count bytes */
    const char *problem;
} nd__t_token;

typedef struct nd__t_lexer {
    const char *at, *line_start;
    int line;
    int open; /* ( and [ that are not closed */
} nd__t_lexer;

void nd__t_lex_begin(nd__t_lexer *lexer, const char *text);
nd__t_token nd__t_lex(nd__t_lexer *lexer);

/* Whether %NAME can stand for a value of that name. */
bool nd__t_is_label(const char *name);
/* The token is this word or sign. */
bool nd__t_is(const nd__t_token *token, const char *text);

#endif
