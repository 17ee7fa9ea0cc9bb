/* What a layer is inside. */
#ifndef NADIR_NN_LAYER_H
#define NADIR_NN_LAYER_H

#include "compiler/graph/graph.h"
#include "nadir/layer.h"

typedef struct nd__layer_variable {
    nd_value *value;
    bool trained;   /* a weight, not state */
    nd_value *next; /* what the step assigns; NULL: nothing */
} nd__layer_variable;

typedef struct nd__layer_init {
    char *name;
    nd_init init;
    bool taken; /* by a weight */
} nd__layer_init;

struct nd__layer {
    int references;
    nd_status status; /* of making it; told at the first call */
    char *name;       /* NULL: none of its own */
    int number;       /* among siblings of its kind without a name */
    nd_layer *parent; /* the first place that took it over */
    nd_layer **children;
    int child_count;
    nd__layer_variable *variables;
    int variable_count;
    nd__layer_init *inits;
    int init_count;
    bool frozen;
    double l1, l2;
    const char *path; /* of the module, once built */
    nd_shape input;   /* of the first call */
    nd_dtype dtype;   /* of the last call's value */
    nd_shape output;
    double flops;
    nd_value **listed; /* what nd_layer_weights gave last */
};

/* The layer and those inside, each once, outer first: a new array to be freed; NULL when memory runs out. */
nd_layer **nd__layer_walk(nd_layer *layer, int *count);
/* "mlp/hidden", in the module's arena; "" when memory runs out. */
const char *nd__layer_path(nd_module *m, const nd_layer *layer);
/* The flops of what leads to v and has a number from `first` on. False: memory ran out. */
bool nd__layer_flops(nd_value *v, int first, double *flops);

/* An array of one element more; NULL when memory runs out, and `items` stays. */
void *nd__layer_grow(void *items, int count, size_t size);

extern const nd_layer_kind nd__sequential_kind;

#endif
