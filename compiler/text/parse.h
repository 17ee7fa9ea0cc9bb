/* What the files of the parser share: the state, and reading tokens. */
#ifndef NADIR_TEXT_PARSE_H
#define NADIR_TEXT_PARSE_H

#include "compiler/graph/graph.h"
#include "compiler/text/labels.h"
#include "compiler/text/lex.h"
#include "runtime/safetensors.h"
#include "runtime/text.h"

/* Functions that read something begin at p->token and leave it at what follows; false: the module has the error. */
typedef struct nd__t_parser {
    nd_module *m;
    const char *file;
    nd__t_lexer lexer;
    nd__t_token token;
    nd__arena scratch;
    nd__labels labels;   /* the values so far */
    bool initial_values; /* were given */
    const char *path;    /* of the text; NULL: it comes from no file */
    char *apart_path;    /* of its large constants, and what was read there; NULL: nothing yet */
    nd__safetensors apart;
    char *place; /* what nd__t_place_of gives */
    size_t place_room;
} nd__t_parser;

/* "mlp.nd:12:8", until the next call. */
const char *nd__t_place_of(nd__t_parser *p, const nd__t_token *token);
/* Fails at the token with "expected ..., found ...". */
bool nd__t_expected(nd__t_parser *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Fails at the given token. */
bool nd__t_wrong(nd__t_parser *p, const nd__t_token *token, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

void nd__t_next(nd__t_parser *p);
/* Steps over the word or sign if it is there. */
bool nd__t_accept(nd__t_parser *p, const char *text);
/* Steps over it; an error if it is not there. */
bool nd__t_expect(nd__t_parser *p, const char *text);
/* The end of a statement. */
bool nd__t_expect_line(nd__t_parser *p);
/* A copy of a token's text, with the escapes of a string resolved, in the scratch arena; NULL after an error. */
const char *nd__t_text(nd__t_parser *p, const nd__t_token *token);

bool nd__t_parse_word(nd__t_parser *p, const char *what, const char **word);
bool nd__t_parse_size(nd__t_parser *p, int64_t *size);
bool nd__t_parse_type(nd__t_parser *p, nd__type *type);
/* %hidden: a value that is defined. */
bool nd__t_parse_value(nd__t_parser *p, nd_value **value);
/* The elements of a constant, in the module's arena: one that stands for all, or a list nested as the shape. */
bool nd__t_parse_data(nd__t_parser *p, nd_dtype dtype, const nd_shape *shape, const nd__data **data);
/* `%a: f32[3] = op %b, %c key=value`, to the end of its line (parse_node.c). */
bool nd__t_parse_node(nd__t_parser *p);

#endif
