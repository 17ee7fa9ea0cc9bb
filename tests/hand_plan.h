/* Plans made by hand. Memory running out fails the Check test. */
#ifndef TESTS_HAND_PLAN_H
#define TESTS_HAND_PLAN_H

#include "compiler/schedule/schedule.h"

/* The number of a new buffer; its place is the where, nothing else. */
int hand_buffer(nd__plan *plan, nd__where where, nd_dtype dtype, int64_t elems, const char *name);

/* What a kernel does with a buffer: of `elems` elements (0: all of it), from `offset` on. */
typedef struct hand_arg {
    nd__kaccess access;
    int buffer;
    int64_t offset, elems;
    int64_t stride[ND__MAX_NEST];
} hand_arg;

/* hand_args: the buffer, and what else is not 0. */
#define IN(...)                                                                                                        \
    {                                                                                                                  \
        ND__K_IN, __VA_ARGS__                                                                                          \
    }
#define OUT(...)                                                                                                       \
    {                                                                                                                  \
        ND__K_OUT, __VA_ARGS__                                                                                         \
    }
#define INOUT(...)                                                                                                     \
    {                                                                                                                  \
        ND__K_INOUT, __VA_ARGS__                                                                                       \
    }
#define SCRATCH(...)                                                                                                   \
    {                                                                                                                  \
        ND__K_SCRATCH, __VA_ARGS__                                                                                     \
    }

/* Steps at the end of `to`: each is valid until the next one is added there. A kernel is a new one, with an empty body.
 */
nd__step *hand_kernel(nd__plan *plan, nd__steps *to, const char *label, int n, const hand_arg *args);
nd__step *hand_loop(nd__plan *plan, nd__steps *to, const char *label, int64_t length);
nd__step *hand_cond(nd__plan *plan, nd__steps *to, const char *label, int flag);
void hand_share(nd__plan *plan, nd__step *step, int written, int read);

#define HAND_KERNEL(plan, to, label, ...)                                                                              \
    hand_kernel(plan, to, label, (int)(sizeof((hand_arg[]){__VA_ARGS__}) / sizeof(hand_arg)), (hand_arg[]){__VA_ARGS__})

#endif
