/* Random networks as people write them: layers, and between them what no layer does, with a step that trains. */
#ifndef TESTS_RANDOM_NETWORK_H
#define TESTS_RANDOM_NETWORK_H

#include "compiler/graph/graph.h"

/* A module with the function "step", inputs x (f32) and y (labels below 10, i32), outputs the loss and what the last
 * layer gives. Sizes are at most `largest`, those around it and around 64 often among them. */
nd_module *random_network(int64_t largest, uint64_t *state);

#endif
