/* Variables that stay finite. */
#include "runtime/watch.h"

#include "runtime/dataset.h"
#include "runtime/platform.h"
#include "runtime/program.h"
#include "runtime/tensor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* -- looking ------------------------------------------------------------------------------------------------------ */

/* A float is finite unless all bits of its exponent are set: adding one to the exponent then carries into the sign.
 * Lanes, so that a compiler makes vectors of the inner loop without being asked to. */
#define DEFINE_IS_FINITE(name, type, exponent, one)                                                                    \
    static bool name(const type *bits, size_t n)                                                                       \
    {                                                                                                                  \
        enum { LANES = 16 };                                                                                           \
        type carry[LANES] = {0};                                                                                       \
        size_t i = 0;                                                                                                  \
        for (; i + LANES <= n; i += LANES)                                                                             \
            for (size_t k = 0; k < LANES; k++)                                                                         \
                carry[k] |= (bits[i + k] & (exponent)) + (one);                                                        \
        for (; i < n; i++)                                                                                             \
            carry[0] |= (bits[i] & (exponent)) + (one);                                                                \
        for (size_t k = 1; k < LANES; k++)                                                                             \
            carry[0] |= carry[k];                                                                                      \
        return (carry[0] >> (8 * sizeof(type) - 1)) == 0;                                                              \
    }
DEFINE_IS_FINITE(f32_is_finite, uint32_t, UINT32_C(0x7F800000), UINT32_C(1) << 23)
DEFINE_IS_FINITE(f64_is_finite, uint64_t, UINT64_C(0x7FF0000000000000), UINT64_C(1) << 52)
#undef DEFINE_IS_FINITE

/* A contiguous tensor of floats. */
static bool is_finite(const nd_tensor *t)
{
    const void *data = t->data;
    return t->dtype == ND_F32 ? f32_is_finite(data, (size_t)t->count) : f64_is_finite(data, (size_t)t->count);
}

int nd__watch_look(const nd__watch *watch)
{
    for (int i = 0; watch->state && i < watch->state->program->info.variable_count; i++)
        if (watch->watched[i] && !is_finite(watch->state->tensors[i]))
            return i;
    return -1;
}

/* -- copies ------------------------------------------------------------------------------------------------------- */

static size_t block_bytes(const nd__watch *watch)
{
    return watch->state->program->info.state_size;
}

bool nd__watch_begin(nd__watch *watch, const nd_program *program, int function, nd_state *state, int64_t step)
{
    *watch = (nd__watch){.state = state, .step = step};
    if (!state)
        return true;
    const nd_program_function_info *f = &program->info.functions[function];
    watch->watched = calloc((size_t)state->program->info.variable_count + 1, sizeof *watch->watched);
    watch->copy = malloc(block_bytes(watch) + 1);
    if (!watch->watched || !watch->copy) {
        nd__watch_end(watch);
        return false;
    }
    for (int i = 0; i < f->update_count; i++) {
        const nd_tensor *t = state->tensors[f->updates[i]];
        watch->watched[f->updates[i]] = nd_dtype_is_float(t->dtype) && is_finite(t);
    }
    nd__watch_copy(watch, step);
    return true;
}

void nd__watch_end(nd__watch *watch)
{
    free(watch->watched);
    free(watch->copy);
    *watch = (nd__watch){0};
}

int nd__watch_copy(nd__watch *watch, int64_t step)
{
    const double share = 0.002; /* of the time */
    double begin = nd__platform_seconds();
    int bad = nd__watch_look(watch);
    if (bad >= 0)
        return bad;
    memcpy(watch->copy, nd__storage_data(watch->state->block), block_bytes(watch));
    watch->step = step;
    double end = nd__platform_seconds();
    watch->due = end + (end - begin) / share;
    return -1;
}

/* -- running again ------------------------------------------------------------------------------------------------ */

static bool run(nd__feed *feed, int64_t from, int64_t to)
{
    bool good = true;
    for (int64_t step = from; step < to && good; step++)
        good = nd_run(feed->calls[nd__feed_gather(feed, step)]) == ND_OK;
    return good;
}

static bool go_back(nd__watch *watch, nd__feed *feed, int64_t step)
{
    if (watch->state)
        memcpy(nd__storage_data(watch->state->block), watch->copy, block_bytes(watch));
    return !watch->state || run(feed, watch->step, step);
}

int64_t nd__watch_find(nd__watch *watch, nd__feed *feed, int64_t last, int *variable)
{
    *variable = -1;
    if (!go_back(watch, feed, watch->step))
        return -1;
    for (int64_t step = watch->step; watch->state && step < last; step++) {
        if (!run(feed, step, step + 1))
            return -1;
        if ((*variable = nd__watch_look(watch)) >= 0)
            return step;
    }
    return last;
}

/* The row of the data set that is row `row` of a batch. */
static int64_t row_of(const nd__feed *feed, int64_t step, int64_t row)
{
    int64_t per_epoch = nd_batches_per_epoch(feed->batches);
    return nd_batches_order(feed->batches, step / per_epoch)[step % per_epoch * feed->batch + row];
}

/* Rows of the gathered batch that are not finite themselves: the first of each array. */
static void add_rows(nd__feed *feed, int64_t step, int size, nd__message *message)
{
    for (int i = 0; i < feed->arrays->count; i++) {
        const char *name = feed->arrays->arrays[i].name;
        const nd_tensor *t = nd_batches_tensor(feed->batches, name, feed->rows[size]);
        if (!nd_dtype_is_float(t->dtype) || is_finite(t))
            continue;
        int64_t at = 0;
        while (isfinite(nd_tensor_get(t, at)))
            at++;
        nd__message_add(message, "\n  note: the array \"%s\" of the data set has %s in row %lld", name,
                        isnan(nd_tensor_get(t, at)) ? "NaN" : "an infinity",
                        (long long)row_of(feed, step, at / (t->count / feed->rows[size])));
    }
}

void nd__watch_explain(nd__watch *watch, nd__feed *feed, int64_t step, int64_t last, nd__message *message)
{
    if (step < 0 || !go_back(watch, feed, step)) {
        nd__message_add(message, "\n  note: the step could not be run again: out of memory");
        return;
    }
    int size = nd__feed_gather(feed, step);
    add_rows(feed, step, size, message);
    char *text = nd_call_explain(feed->calls[size]);
    if (text)
        nd__message_add(message, "\n  %s", text);
    free(text);
    run(feed, step, last + 1);
}
