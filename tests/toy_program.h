/* A back end small enough to read: programs in plain C, for tests of what runs programs.
 *
 *     module toy
 *     var w: f32[2] = (low and high word of the seed)
 *     var raw: i32[] without an initialiser
 *     fn step (x: f32[B,2], y: i32[B]) -> (loss: f32[], rows: i64[])   loss = sum (x - w)^2 + sum y; w := w + 1
 *     fn read_raw () -> (value: i32[])
 *     fn write_raw (value: i32[])                                      raw := value
 *     fn predict (x: f32[B,2]) -> (logits: f32[B,2])                   logits = x
 *     fn nothing ()
 */
#ifndef TESTS_TOY_PROGRAM_H
#define TESTS_TOY_PROGRAM_H

#include "nadir/data.h"
#include "nadir/program.h"

typedef struct toy_options {
    int64_t batch;    /* 0: 4; at most 8 */
    bool interpreted; /* functions run through `interpret` */
    bool cannot_bind; /* no other batch sizes */
    nd_status interpret_fails;
    int64_t specialize_fails_at; /* this batch size does not compile */
} toy_options;

/* Creates the program; nd_program_destroy releases it. NULL: out of memory. */
nd_program *toy_program(toy_options options);
/* How often the back end of `program` was asked for another batch size. */
int toy_specialised(const nd_program *program);

/* x[i] = (i, -i), y[i] = i % 3. */
nd_dataset *toy_dataset(int64_t rows);

#endif
