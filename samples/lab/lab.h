/* The introductory lab, chapter by chapter in the order of its notes. Each chapter prints what the notes assert, and is
 * true if all of it holds. */
#ifndef LAB_H
#define LAB_H

#include "nadir/graph.h"
#include "nadir/tensor.h"

bool tensors(void);
bool expressions(void);
bool layers(void);
bool gradients(void);
bool descent(void);

/* Prints an assertion and whether it holds, and gives that back. */
bool expect(bool holds, const char *assertion);
/* Prints "NAME  tensor". */
void show(const char *name, const nd_tensor *tensor);

/* a + b, written in C++ (add.cpp). */
#ifdef __cplusplus
extern "C"
#endif
    nd_value *
    add_by_operator(nd_value *a, nd_value *b);

#endif
