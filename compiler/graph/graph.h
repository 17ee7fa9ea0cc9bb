/* The graph, as the compiler sees it: nodes in SSA form in a module's arena.
 *
 * Invariants, checked by nd__verify: a node's operands were created before it; its results are what its op's rule
 * (shape.c) says of the operands and attributes; every value that a function needs leads back to its inputs, the
 * variables and generators alone. Once made, a node never changes. A pass makes a new module (copy.c). */
#ifndef NADIR_GRAPH_GRAPH_H
#define NADIR_GRAPH_GRAPH_H

#include "compiler/graph/arena.h"
#include "nadir/graph.h"

typedef enum nd__op {
#define OP(name, ...) ND__OP_##name,
#include "compiler/graph/ops.def"
#undef OP
    ND__OPS,
    ND__OP_poison = ND__OPS, /* what a failed call gives; in no function */
} nd__op;

typedef enum nd__attr_key {
    ND__A_none,
#define ATTR(name, kind) ND__A_##name,
#include "compiler/graph/attrs.def"
#undef ATTR
    ND__ATTRS
} nd__attr_key;

typedef enum nd__attr_kind {
    ND__KIND_FLAG,  /* i: 0 or 1; printed only when set */
    ND__KIND_INT,   /* i */
    ND__KIND_BITS,  /* i, as 64 unsigned bits */
    ND__KIND_SIZE,  /* i: a size, maybe symbolic */
    ND__KIND_DTYPE, /* i: an nd_dtype */
    ND__KIND_INTS,  /* ints, count */
    ND__KIND_SIZES, /* ints, count: sizes */
    ND__KIND_BAND,  /* i: an nd_band, ints: lower, upper; printed only when set */
    ND__KIND_TEXT,  /* text */
    ND__KIND_DATA,  /* data */
    ND__KIND_FUNC,  /* function */
    ND__KIND_VAR,   /* variable */
} nd__attr_kind;

/* Elements of a constant, row-major: all of them, or one that stands for all. */
typedef struct nd__data {
    nd_dtype dtype;
    int64_t count;
    const void *items;
} nd__data;

typedef struct nd__variable nd__variable;

typedef struct nd__attr {
    nd__attr_key key;
    int count;
    int64_t i;
    const int64_t *ints;
    const char *text;
    const nd__data *data;
    nd_function *function;
    nd__variable *variable;
} nd__attr;

enum { ND__MAX_ATTRS = 6, ND__MAX_ARITY = 3 };

enum nd__traits {
    ND__LEAF = 1,        /* no operands */
    ND__GENERATOR = 2,   /* made from attributes alone: cheaper to make again than to keep */
    ND__ELEMENTWISE = 4, /* each element from the operands' elements at the same index */
    ND__COMMUTES = 8,    /* op(a, b) has the bits of op(b, a) */
    ND__COSTLY = 16,     /* many instructions an element */
    ND__REDUCTION = 32,
    ND__VIEW = 64,     /* the same elements elsewhere */
    ND__CONTROL = 128, /* runs functions */
};

/* How dtype and shape of the results follow from operands and attributes: one function of that name in shape.c. */
typedef enum nd__rule {
    ND__RULE_GIVEN,
    ND__RULE_VARIABLE,
    ND__RULE_SIZE,
    ND__RULE_IOTA,
    ND__RULE_RANDOM,
    ND__RULE_SAME,
    ND__RULE_COMPARE,
    ND__RULE_SELECT,
    ND__RULE_CAST,
    ND__RULE_REDUCE,
    ND__RULE_ARGREDUCE,
    ND__RULE_MATMUL,
    ND__RULE_CONV,
    ND__RULE_CONV_DX,
    ND__RULE_CONV_DW,
    ND__RULE_CONV_DW_POOLED,
    ND__RULE_POOL,
    ND__RULE_POOL_PICK,
    ND__RULE_POOL_SPREAD,
    ND__RULE_RESHAPE,
    ND__RULE_TRANSPOSE,
    ND__RULE_BROADCAST,
    ND__RULE_SLICE,
    ND__RULE_CONCAT,
    ND__RULE_PAD,
    ND__RULE_GATHER,
    ND__RULE_SCATTER,
    ND__RULE_APPLY,
    ND__RULE_COND,
    ND__RULE_SCAN,
    ND__RULES
} nd__rule;

/* The dtypes that an op's operands may have. */
typedef enum nd__types {
    ND__TYPES_ANY,
    ND__TYPES_NUMBER, /* integers and floats */
    ND__TYPES_FLOAT,
    ND__TYPES_INTEGER,
    ND__TYPES_BITS, /* bool and integers */
    ND__TYPES_U32,
} nd__types;

typedef struct nd__op_info {
    const char *name;
    int arity;
    nd__rule rule;
    nd__types types;
    unsigned traits;
    nd__attr_key attrs[ND__MAX_ATTRS];
} nd__op_info;

extern const nd__op_info nd__ops[ND__OPS];
extern const char *const nd__attr_names[ND__ATTRS];
extern const nd__attr_kind nd__attr_kinds[ND__ATTRS];

typedef struct nd__node nd__node;

struct nd_value {
    nd__node *node;
    int index; /* among the node's results */
    nd_dtype dtype;
    nd_shape shape;
    const char *name; /* "" if none */
    bool weak;        /* a constant without a dtype of its own: */
    bool integral;    /*   written as an integer in a formula: at last i32 */
    double number;    /*   its value */
};

struct nd__node {
    nd__op op;
    int number; /* in the module, from 0 */
    nd_module *module;
    nd_place place; /* never NULL; "" unknown */
    int input_count, result_count, attr_count;
    nd_value **inputs;
    nd_value *results;
    nd__attr *attrs;
};

struct nd__variable {
    int number;
    const char *name;
    nd_dtype dtype;
    nd_shape shape;
    nd_place place;
    nd_value *read;    /* the variable node's result */
    nd_value *initial; /* its first value, over nd__module_seed; NULL: the host sets it */
};

typedef struct nd__update {
    nd__variable *variable;
    nd_value *value;
    nd_place place;
} nd__update;

struct nd_function {
    nd_module *module;
    const char *name;
    nd_place place;
    int number;          /* in the module; -1: in no list */
    bool body;           /* run by a node of the graph only, not by the host */
    nd_function *origin; /* the user's function that this one is, over what it captures as inputs; NULL: this is no such
                            function */
    const nd__node *runner; /* the first node that runs it, itself or over what it captures; NULL: none does */
    int input_count, output_count, update_count, update_room;
    nd_value **inputs, **outputs;
    nd__update *updates;
};

typedef struct nd__dim {
    const char *name;
    int64_t value;
} nd__dim;

/* factor * the product of named dimensions (ascending, with repetition) */
typedef struct nd__symbol {
    int64_t factor;
    int count;
    int dims[ND_MAX_RANK];
} nd__symbol;

enum { ND__LOST = 16 };

struct nd_module {
    nd__arena arena;
    const char *name;
    uint64_t seed;
    nd_status status;
    char *error;
    nd__node poison_node;
    nd_value poison;
    nd_function lost[ND__LOST]; /* what nd_function gives on a failed module, by number of outputs */
    nd__node **nodes;
    int node_count, node_room;
    nd_function **functions;
    int function_count, function_room;
    nd__variable **variables;
    int variable_count, variable_room;
    nd__dim *dims;
    int dim_count, dim_room;
    nd__symbol *symbols;
    int symbol_count, symbol_room;
    const char *called;   /* what errors call the op that is being made; NULL: its name */
    nd_value *seed_input; /* the init function's input, once a random initialiser needs it */
};

/* -- errors (module.c) -------------------------------------------------------------------------------------------- */

/* Sets the module's error if it has none: "PLACE: message". Gives poison. */
nd_value *nd__fail(nd_module *m, nd_status status, nd_place place, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Adds "\n  note: message" to the error. */
void nd__note(nd_module *m, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Notes where each operand of the call at `place` came from. */
void nd__note_operands(nd_module *m, nd_place place, int n, nd_value *const *values);
nd_value *nd__fail_memory(nd_module *m);
/* What messages call a value: `"hidden"` or `%12`, its type: `f32[B=32,784]`; text of the module's arena, "" without
 * memory. */
const char *nd__show(nd_module *m, const nd_value *v);
const char *nd__show_type(nd_module *m, nd_dtype dtype, const nd_shape *shape);
const char *nd__show_size(nd_module *m, int64_t size);
/* A letter, then letters, digits, _ or -. */
bool nd__module_name_is_good(const char *name);

/* -- sizes (sizes.c) ---------------------------------------------------------------------------------------------- */

/* A size is a number from 0, or a symbol: nd__size_is_named. Equal sizes are equal as int64_t. */
bool nd__size_is_named(int64_t size);
bool nd__size_is_known(const nd_module *m, int64_t size);            /* no symbol of another module */
const nd__symbol *nd__size_symbol(const nd_module *m, int64_t size); /* of a named size */
/* The size that a dimension's name stands for; false: none of that name. `module` is an nd_module: fits
 * nd__subscript_names. */
bool nd__size_find(void *module, const char *name, size_t length, int64_t *size);
/* The size factor * product of dims; -1 when memory ran out. */
int64_t nd__size_of_symbol(nd_module *m, nd__symbol symbol);
/* a + b, a * b, a / b; -1 where it is not a number times a product of names, does not divide, or overflows. */
int64_t nd__size_add(nd_module *m, int64_t a, int64_t b);
int64_t nd__size_mul(nd_module *m, int64_t a, int64_t b);
int64_t nd__size_div(nd_module *m, int64_t a, int64_t b);
/* The product of a shape's sizes; -1 as above. */
int64_t nd__size_product(nd_module *m, int rank, const int64_t *dims);
bool nd__shape_equal(const nd_shape *a, const nd_shape *b);
/* The number of elements of a shape whose sizes are numbers (a bound module's). */
int64_t nd__elements(const nd_shape *shape);
/* The size of module `from` as a size of module `to`, whose dimensions of the same names may have been bound to
 * numbers: `bound` gives the number of each dimension of `from`, or -1 to keep it named. -1: memory ran out or it
 * overflows. */
int64_t nd__size_move(nd_module *to, const nd_module *from, const int64_t *bound, int64_t size);

/* -- nodes (node.c) ----------------------------------------------------------------------------------------------- */

/* Attributes. Arrays and data are copied by nd__make. */
nd__attr nd__attr_int(nd__attr_key key, int64_t i); /* FLAG, INT, BITS, SIZE, DTYPE */
nd__attr nd__attr_ints(nd__attr_key key, int count, const int64_t *ints);
nd__attr nd__attr_shape(nd__attr_key key, const nd_shape *shape);
nd__attr nd__attr_text(nd__attr_key key, const char *text);
nd__attr nd__attr_data(nd__attr_key key, const nd__data *data);
nd__attr nd__attr_function(nd__attr_key key, nd_function *function);
nd__attr nd__attr_variable(nd__attr_key key, nd__variable *variable);

/* The band lower <= column - row <= upper of a matrix product; of ND_BAND_NONE: none. */
typedef struct nd__band {
    nd_band of;
    int64_t limits[2]; /* lower, upper; open: INT64_MIN, INT64_MAX */
} nd__band;
extern const char *const nd__band_names[ND_BAND_RESULT + 1]; /* in the text */
nd__attr nd__attr_band(const nd__band *band);                /* points to it */
nd__band nd__get_band(const nd__node *node);
/* The band of the transposed matrix. */
nd__band nd__band_turned(nd__band band);

/* Makes a node: checks operands (NULL, poison, other modules), dtypes, attributes and shapes, and appends it. The first
 * result, or poison. Operands must fit exactly: no broadcasting, no weak constants (they become what nd__settle says).
 * Attributes in any order; FLAG attributes may be left out. */
nd_value *nd__make(nd_module *m, nd__op op, nd_place place, int input_count, nd_value *const *inputs, int attr_count,
                   const nd__attr *attrs);
/* The same of a node of another module, over operands of the same types and with such attributes: it has results of the
 * same types. */
nd_value *nd__make_like(nd_module *m, const nd__node *like, nd_value *const *inputs, const nd__attr *attrs);
nd_value *nd__make0(nd_module *m, nd__op op, nd_place place, int attr_count, const nd__attr *attrs);
nd_value *nd__make1(nd__op op, nd_place place, nd_value *x, int attr_count, const nd__attr *attrs);
nd_value *nd__make2(nd__op op, nd_place place, nd_value *x, nd_value *y, int attr_count, const nd__attr *attrs);

/* The attribute of a node: the op has it. */
const nd__attr *nd__get(const nd__node *node, nd__attr_key key);
int64_t nd__get_int(const nd__node *node, nd__attr_key key);         /* also FLAG, ... */
const int64_t *nd__get_ints(const nd__node *node, nd__attr_key key); /* also SIZES */
nd_shape nd__get_shape(const nd__node *node, nd__attr_key key);

/* The module of some operands, after the checks that every builder call begins with. NULL: all are NULL. *poisoned:
 * give m->poison. */
nd_module *nd__common_module(nd_place place, const char *what, size_t n, nd_value *const *values, bool *poisoned);
/* A weak constant as a value of that dtype; other values unchanged (also of another dtype). */
nd_value *nd__strengthen(nd_place place, nd_value *v, nd_dtype dtype);
/* A weak constant as f32, or i32 where integral. */
nd_value *nd__settle(nd_place place, nd_value *v);
/* Broadcasts the values to their common shape, weak ones to the common dtype (select's condition, values[0] when `skip`
 * is 1, keeps its own). false: the module failed. */
bool nd__unify(nd_module *m, nd_place place, const char *what, int n, int skip, nd_value **values);
/* The builder call of an elementwise op without attributes, of as many values as it takes. */
nd_value *nd__elementwise(nd_place place, nd__op op, nd_value *const *values);
/* An axis from -rank to rank-1 as 0 .. rank-1, or -1 after an error. */
int nd__axis(nd_module *m, nd_place place, const char *what, int axis, int rank);
/* The same for an axis of x. */
int nd__axis_of(nd_place place, const char *what, int axis, nd_value *x);
nd_value *nd__constant(nd_module *m, nd_place place, nd_dtype dtype, const nd_shape *shape, int64_t count,
                       const void *items);
/* Declares a variable without an initial value; NULL after an error. */
nd__variable *nd__declare(nd_module *m, nd_place place, const char *name, nd_dtype dtype, nd_shape shape);
/* The same with a name that is good, and new. */
nd__variable *nd__declare_new(nd_module *m, nd_place place, const char *name, nd_dtype dtype, nd_shape shape);
/* x under parsed subscripts (views.c). */
struct nd__subscript_item;
nd_value *nd__subscripted(nd_place place, nd_value *x, int count, const struct nd__subscript_item *items);
/* A function like nd_function's, without its checks of the name. */
nd_function *nd__function(nd_module *m, nd_place place, const char *name, int input_count, nd_value *const *inputs,
                          int output_count, nd_value *const *outputs);
/* An update like nd_assign's, without its checks. */
void nd__assign(nd_place place, nd_function *f, nd__variable *variable, nd_value *value);
/* The number that every element of a float value is known to have, through broadcasts; false: not a constant. */
bool nd__constant_number(const nd_value *v, double *number);
/* A function in no list that fills as many out values as the one that could not be made. */
nd_function *nd__lost_function(nd_module *m, size_t output_count);
/* A constant filled with one number of any dtype. */
nd_value *nd__filled(nd_module *m, nd_place place, nd_dtype dtype, const nd_shape *shape, double value);

/* -- rules (shape.c) ---------------------------------------------------------------------------------------------- */

typedef struct nd__type {
    nd_dtype dtype;
    nd_shape shape;
} nd__type;

/* The types of the results of op on these operands and attributes (all that the op has, in its order): in *results,
 * which has room for one, or allocated in the module's arena; false after nd__fail. */
bool nd__infer(nd_module *m, nd__op op, nd_place place, int input_count, nd_value *const *inputs, const nd__attr *attrs,
               int *result_count, nd__type **results);

/* -- whole modules (copy.c, verify.c) -------------------------------------------------------------------------------
 */

/* Copies a module node by node: a pass is a walk that decides for each node what stands for it in the new module. */
typedef struct nd__copier {
    nd_module *from, *to;
    nd_value ***results;     /* by node number of `from`: what stands for each result; NULL: not copied */
    nd_value **slots;        /* free places for such, */
    int slot_count;          /* so many */
    nd_function **functions; /* by function number of `from`: the copy; NULL: not copied */
    const int64_t *bound;    /* by dimension of `from`: its number, or -1: stays named; NULL: all stay */
} nd__copier;

/* A new module with from's name, seed, dimensions and variables (their initial values come in nd__copy_end). False:
 * memory ran out, nothing to release. */
bool nd__copy_begin(nd__copier *c, nd_module *from, const int64_t *bound);
/* What stands for a value of `from`, the node of which was copied or replaced; poison otherwise. */
nd_value *nd__copied(const nd__copier *c, const nd_value *v);
/* Copies the node over what stands for its operands. */
void nd__copy_node(nd__copier *c, const nd__node *node);
/* Lets `with`, of `to`, stand for result `index` of a node of `from`. */
void nd__copy_replace(nd__copier *c, const nd__node *node, int index, nd_value *with);
/* The copy of a function; its nodes were copied. NULL after an error. */
nd_function *nd__copy_function(nd__copier *c, const nd_function *f);
/* After all nodes: the functions that are no bodies, the initial values. Releases the copier and gives the module,
 * which may have failed. */
nd_module *nd__copy_end(nd__copier *c);
/* Which nodes the functions, their bodies and the initial values need: live[number]. */
void nd__mark_live(const nd_module *m, bool *live);
/* A copy of the live nodes with named dimensions bound (by dimension; -1: stays named; NULL: all stay). NULL: memory
 * ran out. */
nd_module *nd__module_copy(nd_module *m, const int64_t *bound);
/* Copies the texts of all places into the module, which then outlives whoever owned them. False: memory ran out. */
bool nd__own_places(nd_module *m);
/* The function "init": from the seed, u32[2], sets every variable that has an initial value. Made at the first request;
 * NULL after an error. */
nd_function *nd__init_function(nd_module *m);

/* Checks the invariants above. NULL, or the first thing wrong as text of the module's arena. */
const char *nd__verify(nd_module *m);
/* Checks what building does not, of a module that has not failed: that functions need nothing but what they take. */
const char *nd__verify_functions(nd_module *m);

#endif
