/* A small classifier of three clouds of points, interpreted: for tests of training. */
#ifndef TESTS_CLOUD_MODEL_H
#define TESTS_CLOUD_MODEL_H

#include "nadir/graph.h"
#include "nadir/train.h"

/* x: f32[B,2] -> 3 classes through 5 tanh units; "step" trains with momentum, "eval" and "predict" look. */
typedef struct cloud_model {
    nd_module *module;
    nd_program *program;
} cloud_model;

/* `rate` is the learning rate of "step". */
cloud_model make_cloud_model(double rate);
void release_cloud_model(cloud_model *m);

/* So many points of three clouds, "x", and which cloud each is of, "y". */
nd_dataset *cloud_dataset(int64_t rows, unsigned seed);

/* Fails the test if a variable's bits differ. */
void same_states(nd_program *p, nd_state *a, nd_state *b);

#endif
