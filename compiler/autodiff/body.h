/* Gradients of functions that nodes run (apply, cond, scan): a backward function beside the forward one.
 *
 * The backward function is built over the forward one's own nodes, so that a gradient may use any value of the forward
 * pass. A value that the backward function could not make again cheaply is saved: the forward function is run as a
 * variant with that value among its outputs, the backward function gets it as an input. The variant has the inputs and
 * outputs of the original, in order, and more outputs behind them, so that a pass can let it stand for the original. */
#ifndef NADIR_AUTODIFF_BODY_H
#define NADIR_AUTODIFF_BODY_H

#include "compiler/autodiff/autodiff.h"

enum {
    ND__CARRIED,
    ND__SLICED,
    ND__CAPTURED,
    ND__SECTIONS
}; /* where an input of the backward function stands, in this order */

typedef struct nd__parameter {
    nd_value *input, *operand; /* of the function; of the node that runs it */
    int section;
} nd__parameter;

/* Which of the moving values are saved: those that the backward function reads and that are no views, unless less has
 * to be saved in another way. */
typedef enum nd__cut {
    ND__CUT_BY_KIND,
    ND__CUT_HERE,  /* a slice: it is saved, not what it shows */
    ND__CUT_ABOVE, /* made again, easily, of what is there anyway */
} nd__cut;

typedef struct nd__backward {
    nd__rule_call *s;
    nd_module *m;
    nd__arena scratch;
    const nd_function *f; /* the forward function */
    int first_new;        /* nodes from here on are the gradient's */
    bool *moving;         /* by node before: a value to be saved rather than made again */
    nd__cut *cut;         /* by node before */
    nd__parameter *parameters;
    int parameter_count, parameter_room;
    nd_value **roots; /* what the backward function computes */
    int root_count, root_room;
    nd_value **saved; /* forward values that it needs */
    int saved_count, saved_room;
    bool *needed; /* by node: what the roots need, once they are known; for the first needed_count nodes */
    int needed_count;
} nd__backward;

/* Begins the backward function of `f`, which the step's node runs; moving is all false. false after an error. */
bool nd__backward_begin(nd__backward *b, nd__rule_call *s, const nd_function *f);
void nd__backward_end(nd__backward *b);
/* A new input and what it is called with; poison after an error. */
nd_value *nd__backward_input(nd__backward *b, const char *name, int section, nd_dtype dtype, nd_shape shape,
                             nd_value *operand);
/* An input of the forward function, also in the backward one. */
void nd__backward_take(nd__backward *b, nd_value *input, int section, nd_value *operand);
/* Gives the root's number. */
int nd__backward_root(nd__backward *b, nd_value *v);
/* Once all roots are there: what they need, and which forward values have to be saved for that. An input of the forward
 * function is saved if it is moving. */
bool nd__backward_cut(nd__backward *b);
/* The forward function with the saved values from the `first`-th on as more outputs. */
nd_function *nd__backward_variant(nd__backward *b, int first);
/* Puts with[i] in the place of saved value i, in all that the roots need. */
bool nd__backward_replace(nd__backward *b, nd_value *const *with);
/* The backward function: its inputs by section, the roots of the given numbers as outputs. */
nd_function *nd__backward_function(nd__backward *b, int output_count, const int *outputs);
/* The operands for its inputs, in order, after `before` others; count gets the number of inputs of each section. */
nd_value **nd__backward_operands(nd__backward *b, int before, int *count);

#endif
