/* Formulas: a recursive descent that builds nodes as it reads; there is no tree in between.
 *
 *   lexer.c      characters to tokens
 *   parser.c     expressions, operators, subscripts, calls
 *   arguments.c  what stands in the brackets of a call: each parameter says what it takes (a value, axes, a shape,
 * ...), so its argument is read as that calls.c      the functions that can be called: the one table names.c      what
 * a name stands for, and what it was perhaps meant to be
 *
 * doc/formulas.md is the grammar. A failed module ends the descent: its functions give poison and read no further. */
#ifndef NADIR_FORMULA_FORMULA_H
#define NADIR_FORMULA_FORMULA_H

#include "compiler/formula/lexer.h"
#include "compiler/graph/graph.h"

typedef struct nd__formula {
    nd_module *m;
    nd_place place;
    const char *text;
    size_t cursor;    /* behind the token */
    nd__lexeme token; /* the next one, not yet taken */
    int depth;        /* of brackets, calls and signs */
    bool quoted;      /* the error shows the formula */
} nd__formula;

/* -- parser.c ----------------------------------------------------------------------------------------------------- */

/* A mistake in the text at that offset. Gives poison. */
nd_value *nd__formula_fail(nd__formula *f, size_t at, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The next token is not what was expected. */
nd_value *nd__formula_unexpected(nd__formula *f, const char *expected);
/* `value` as it is; if the module has failed since the formula began, its error now shows the formula and a caret. */
nd_value *nd__formula_built(nd__formula *f, size_t at, nd_value *value);
bool nd__formula_failed(const nd__formula *f);
void nd__formula_next(nd__formula *f);
/* Takes the mark (or name) if it is next. */
bool nd__formula_accept(nd__formula *f, const char *mark);
/* Takes the mark, or fails. */
bool nd__formula_expect(nd__formula *f, const char *mark);
nd_value *nd__formula_expression(nd__formula *f);

/* -- calls.c, arguments.c ----------------------------------------------------------------------------------------- */

typedef enum nd__param_kind {
    ND__PARAM_END, /* the parameters before are all */
    ND__PARAM_VALUE,
    ND__PARAM_VALUES,  /* [x, y] */
    ND__PARAM_AXIS,    /* 1 */
    ND__PARAM_AXES,    /* 1 or [0, 2], None: all */
    ND__PARAM_SHAPE,   /* 6 or [2, B, -1] */
    ND__PARAM_SIZE,    /* 6 or 2*B */
    ND__PARAM_NUMBERS, /* 1 or [1, -2], None: left out */
    ND__PARAM_NUMBER,  /* 0.5 */
    ND__PARAM_FLAG,    /* True */
    ND__PARAM_DTYPE,   /* f32 */
} nd__param_kind;

typedef struct nd__param {
    const char *name;
    nd__param_kind kind;
    bool optional;
} nd__param;

enum { ND__MAX_PARAMS = 9 };

/* One argument; which fields, the parameter's kind says. All zero where it was left out. */
typedef struct nd__argument {
    bool given;
    nd_value *value;
    nd_values values;
    int64_t integer; /* AXIS, SIZE, FLAG */
    double number;
    nd_dtype dtype;
    nd_shape list; /* AXES, SHAPE, NUMBERS */
} nd__argument;

/* A function that can be called: either `build` makes of its arguments what it gives, or it is the elementwise op. */
typedef struct nd__call {
    const char *name;
    nd__param params[ND__MAX_PARAMS];
    nd_value *(*build)(nd__formula *f, nd__argument *arguments);
    nd__op op;
    nd_function *function; /* of the module, of one output: `build` NULL and no params */
} nd__call;

/* The call of that name; false: none. */
bool nd__call_find(const nd_module *m, const char *name, size_t length, nd__call *call);
/* The i-th name that can be called, or NULL behind the last: for suggestions and the tests' loops. */
const char *nd__call_name(int i);
/* Reads the arguments behind "(" up to and with ")" and builds; `first` is the argument before the dot of x.sum(), or
 * NULL. `at` is where the name stands. */
nd_value *nd__call_parse(nd__formula *f, const nd__call *call, size_t at, nd_value *first);

/* -- names.c ------------------------------------------------------------------------------------------------------ */

/* The value of that name that was made last, or NULL. */
nd_value *nd__value_named(const nd_module *m, const char *name, size_t length);
/* What a name stands for: the value of that name that was made last; inf, nan, pi. NULL: nothing. */
nd_value *nd__formula_value(nd__formula *f, const char *name, size_t length);
/* The name that can stand there and is most like this one, or NULL if none is much like it; of calls if `calls`, else
 * of values. */
const char *nd__formula_nearest(const nd_module *m, const char *name, size_t length, bool calls);

#endif
