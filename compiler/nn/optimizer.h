/* What the optimizers share: one rule each, run over the variables. */
#ifndef NADIR_NN_OPTIMIZER_H
#define NADIR_NN_OPTIMIZER_H

#include "compiler/graph/graph.h"
#include "nadir/optimizer.h"

typedef struct nd__optimizer nd__optimizer;

typedef struct nd__optimizer_rule {
    const char *name; /* in messages */
    /* Scalars that all variables of a dtype use, into o->scalars; NULL: none. */
    void (*prepare)(nd__optimizer *o);
    /* Assigns to w and to what is remembered of it. */
    void (*update)(nd__optimizer *o, nd_value *w, nd_value *g);
    nd_optimizer_options defaults;
} nd__optimizer_rule;

/* A rule at work in one call. */
struct nd__optimizer {
    const nd__optimizer_rule *rule;
    nd_place place;
    nd_function *f;
    nd_value *given_rate, *given_momentum; /* the caller's; momentum NULL: the rule has none of that kind */
    nd_optimizer_options set;              /* with the defaults in */
    /* For the variables at hand: */
    nd_module *m;
    nd_dtype dtype; /* ND_DTYPES before the first one */
    nd_value *rate, *momentum;
    nd_value *scalars[2];
};

nd__optimizer nd__optimizer_of(const nd__optimizer_rule *rule, nd_place place, nd_function *f, nd_value *rate,
                               const nd_optimizer_options *options);
/* Differentiates and applies; applies. */
void nd__optimize(nd__optimizer *o, nd_value *loss, size_t n, nd_value *const *variables);
void nd__optimize_apply(nd__optimizer *o, size_t n, nd_value *const *variables, nd_value *const *gradients);

/* Whether there is a function, and n variables of its module (where `others` is not NULL: and n of those), none NULL;
 * otherwise the error is on whatever module there is. */
bool nd__optimizer_given(nd_place place, const char *what, nd_function *f, size_t n, nd_value *const *variables,
                         const char *others_name, nd_value *const *others);

/* The variable "NAME/suffix" of w, which another call may have made: of w's shape, or a scalar of f64. */
nd_value *nd__slot(nd_place place, const nd_value *w, const char *suffix);
nd_value *nd__scalar_slot(nd_place place, const nd_value *w, const char *suffix, double first);
/* The variable "FUNCTION/suffix", i64, 0 at first. */
nd_value *nd__counter(nd_place place, nd_function *f, const char *suffix);
/* A variable of any name and type as it was made before; made with `init` otherwise. */
nd_value *nd__variable_once(nd_place place, nd_module *m, const char *name, nd_dtype dtype, nd_shape shape,
                            nd_init init);
/* What f assigns to a variable so far; NULL: nothing. */
nd__update *nd__update_of(nd_function *f, const nd_value *variable);
/* A scalar for arithmetic with values of that dtype: cast where it is another float. */
nd_value *nd__scalar_as(nd_place place, nd_value *scalar, nd_dtype dtype);

/* keep * mean + (1 - keep) * x. */
nd_value *nd__running_mean(nd_place place, nd_value *mean, double keep, nd_value *x);

#endif
