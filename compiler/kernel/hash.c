/* Kernels compared: everything that makes the code, as words. Values are compared by their numbers: kernels built alike
 * have the same. */
#include "compiler/kernel/kernel.h"

#include <string.h>

enum { AFFINE_WORDS = 2 + 2 * ND__MAX_TERMS, MOST_WORDS = 19 + 3 * AFFINE_WORDS };

static int affine_words(const nd__kaffine *a, uint64_t *words)
{
    int n = 0;
    words[n++] = (uint64_t)a->constant;
    words[n++] = (uint64_t)a->count;
    for (int i = 0; i < a->count && i < ND__MAX_TERMS; i++) {
        words[n++] = (uint64_t)a->terms[i].iv;
        words[n++] = (uint64_t)a->terms[i].coef;
    }
    return n;
}

/* An instruction without its operands and bodies. */
static int inst_words(const nd__kinst *i, uint64_t words[MOST_WORDS])
{
    int n = 0;
    words[n++] = (uint64_t)i->op;
    words[n++] = (uint64_t)i->type.dtype << 8 | i->type.lanes;
    words[n++] = (uint64_t)i->arg_count;
    words[n++] = (uint64_t)i->result_count;
    words[n++] = (uint64_t)i->result;
    words[n++] = i->imm;
    if (i->addr) {
        words[n++] = (uint64_t)i->addr->buffer;
        words[n++] = (uint64_t)i->addr->count;
        words[n++] = (uint64_t)i->addr->lane_stride;
        words[n++] = (uint64_t)i->addr->scale;
        words[n++] = (uint64_t)i->addr->bound;
        n += affine_words(&i->addr->at, words + n);
    }
    if (i->op == ND__K_for) {
        words[n++] = (uint64_t)i->iv;
        words[n++] = (uint64_t)i->carried;
        words[n++] = (uint64_t)i->step;
        words[n++] = (uint64_t)i->least;
        words[n++] = (uint64_t)i->most;
        words[n++] = i->apart;
        n += affine_words(i->lo, words + n);
        n += affine_words(i->hi, words + n);
    }
    return n;
}

static int buffer_words(const nd__kbuffer *b, uint64_t words[MOST_WORDS])
{
    int n = 0;
    words[n++] = (uint64_t)b->dtype;
    words[n++] = (uint64_t)b->access;
    words[n++] = (uint64_t)b->elems;
    words[n++] = (uint64_t)b->align;
    return n;
}

static int kernel_words(const nd__kernel *k, uint64_t words[MOST_WORDS])
{
    int n = 0;
    words[n++] = (uint64_t)k->buffer_count;
    words[n++] = (uint64_t)k->value_count;
    words[n++] = (uint64_t)k->iv_count;
    words[n++] = (uint64_t)k->flops;
    words[n++] = (uint64_t)k->bytes;
    return n;
}

/* A multiplication for each word, and the finalizer of MurmurHash3 (Appleby, "fmix64") at the end, which spreads every
 * bit over all: kernels that are equal are compared anyway. */
static uint64_t mix(uint64_t h, const uint64_t *words, int n)
{
    for (int i = 0; i < n; i++) {
        h = (h ^ words[i]) * 0x9e3779b97f4a7c15;
        h ^= h >> 32;
    }
    return h;
}

static uint64_t finish(uint64_t h)
{
    h = (h ^ h >> 33) * 0xff51afd7ed558ccd;
    h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53;
    return h ^ h >> 33;
}

static uint64_t hash_block(uint64_t h, const nd__kblock *block)
{
    uint64_t words[MOST_WORDS];
    for (const nd__kinst *i = block->first; i; i = i->next) {
        h = mix(h, words, inst_words(i, words));
        for (int32_t n = 0; n < i->arg_count; n++)
            h = mix(h, &(uint64_t){(uint64_t)i->args[n]}, 1);
        if (i->body.first || i->other.first) {
            h = hash_block(h, &i->body);
            h = hash_block(h, &i->other);
        }
    }
    return mix(h, &(uint64_t){ND__K_OPS}, 1); /* the end, so that nesting counts */
}

uint64_t nd__k_hash(const nd__kernel *k)
{
    uint64_t words[MOST_WORDS], h = mix(0, words, kernel_words(k, words));
    for (int32_t i = 0; i < k->buffer_count; i++)
        h = mix(h, words, buffer_words(&k->buffers[i], words));
    return finish(hash_block(h, &k->body));
}

static bool same_words(const uint64_t *a, int n, const uint64_t *b, int m)
{
    return n == m && !memcmp(a, b, (size_t)n * sizeof *a);
}

static bool same_buffer(const nd__kbuffer *a, const nd__kbuffer *b)
{
    uint64_t x[MOST_WORDS], y[MOST_WORDS];
    if (!same_words(x, buffer_words(a, x), y, buffer_words(b, y)))
        return false;
    return a->data == b->data ||
           (a->data && b->data && !memcmp(a->data, b->data, (size_t)a->elems * nd_dtype_size(a->dtype)));
}

static bool same_block(const nd__kblock *a, const nd__kblock *b)
{
    uint64_t x[MOST_WORDS], y[MOST_WORDS];
    const nd__kinst *i = a->first, *j = b->first;
    for (; i && j; i = i->next, j = j->next) {
        if (!same_words(x, inst_words(i, x), y, inst_words(j, y)) || !i->addr != !j->addr)
            return false;
        if (i->arg_count > 0 && memcmp(i->args, j->args, (size_t)i->arg_count * sizeof *i->args))
            return false;
        if (!same_block(&i->body, &j->body) || !same_block(&i->other, &j->other))
            return false;
    }
    return !i && !j;
}

bool nd__k_equal(const nd__kernel *a, const nd__kernel *b)
{
    uint64_t x[MOST_WORDS], y[MOST_WORDS];
    if (!same_words(x, kernel_words(a, x), y, kernel_words(b, y)))
        return false;
    for (int32_t i = 0; i < a->buffer_count; i++)
        if (!same_buffer(&a->buffers[i], &b->buffers[i]))
            return false;
    return same_block(&a->body, &b->body);
}

static int64_t block_size(const nd__kblock *block)
{
    int64_t n = 0;
    for (const nd__kinst *i = block->first; i; i = i->next)
        n += 1 + block_size(&i->body) + block_size(&i->other);
    return n;
}

int64_t nd__k_size(const nd__kernel *k)
{
    return block_size(&k->body);
}
