/* Guard pages are no part of C11: mmap. */
#define _DEFAULT_SOURCE
#include "native_check.h"

#include "bits.h"
#include "compiler/kernel/scalar.h"
#include "kplan.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MOST_PORTS = 128, FILLER = 0xa5 };

const char *native_cpu(int i)
{
    static const char *const levels[] = {"x86-64", "x86-64-v2", "x86-64-v3", "x86-64-v4"};
    char message[64];
    nd__target target;
    if (i > 3 || nd__target_find(levels[i], &target, message, sizeof message) != ND_OK ||
        !nd__target_runs_here(&target))
        return NULL;
    return levels[i];
}

/* -- values -------------------------------------------------------------------------------------------------------- */

uint64_t random_next(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x >> 12, x ^= x << 25, x ^= x >> 27;
    *state = x;
    return x * UINT64_C(2685821657736338717);
}

int random_below(uint64_t *state, int n)
{
    return (int)((random_next(state) >> 33) % (uint64_t)n);
}

int special_bits(nd_dtype dtype, const uint64_t **bits)
{
    static const uint64_t bools[] = {0, 1}, u8[] = {0, 1, 2, 7, 8, 31, 127, 128, 200, 254, 255};
    static const uint64_t words[] = {0,          1,          2,          3,          7,          10,
                                     31,         32,         33,         64,         0x7fffffff, 0x80000000,
                                     0x80000001, 0xffffffff, 0xfffffffe, 0xfffffff9, 0xffff0000, 0x12345678};
    static const uint64_t wide[] = {0,
                                    1,
                                    2,
                                    3,
                                    63,
                                    64,
                                    65,
                                    0x7fffffff,
                                    0x80000000,
                                    0xffffffff,
                                    0x20000001,
                                    UINT64_C(0x20000000000001),
                                    INT64_MAX,
                                    UINT64_C(1) << 63,
                                    (UINT64_C(1) << 63) + 1,
                                    UINT64_MAX,
                                    UINT64_MAX - 1,
                                    UINT64_MAX - 6,
                                    UINT64_C(0x7fffff4000000001)};
    /* 0, least and greatest subnormal, least normal, 0.5, the one below, 1, 1.5, 2.5, 3, 2^22 + 1/2, 2^23 + 1, 2^31,
     * 2^32, 2^63, the greatest, infinity, a NaN, 255, 255.5, 0.1, -0, -1, .. */
    static const uint64_t singles[] = {
        0,          1,          0x007fffff, 0x00800000, 0x3f000000, 0x3effffff, 0x3f800000, 0x3fc00000, 0x40200000,
        0x40400000, 0x4a800001, 0x4b000001, 0x4f000000, 0x4f800000, 0x5f000000, 0x7f7fffff, 0x7f800000, 0x7fc00000,
        0x437f0000, 0x437f8000, 0x3dcccccd, 0x80000000, 0x80000001, 0x807fffff, 0xbf000000, 0xbf800000, 0xbfc00000,
        0xc0200000, 0xc0400000, 0xcb000001, 0xcf000000, 0xcf000001, 0xdf000000, 0xff7fffff, 0xff800000, 0xffc00001};
    static const uint64_t doubles[] = {
        0,
        1,
        UINT64_C(0x000fffffffffffff),
        UINT64_C(0x0010000000000000),
        UINT64_C(0x3fe0000000000000),
        UINT64_C(0x3fdfffffffffffff),
        UINT64_C(0x3ff0000000000000),
        UINT64_C(0x3ff8000000000000),
        UINT64_C(0x4004000000000000),
        UINT64_C(0x4008000000000000),
        UINT64_C(0x36a0000000000000), /* 2^-149, and half of it: subnormal f32 */
        UINT64_C(0x3690000000000000),
        UINT64_C(0x380fffffe0000000),
        UINT64_C(0x41dfffffffc00000), /* 2^31 - 1, 2^31, 2^32 - 1, 2^32, 2^63 and below */
        UINT64_C(0x41e0000000000000),
        UINT64_C(0x41efffffffe00000),
        UINT64_C(0x41f0000000000000),
        UINT64_C(0x43e0000000000000),
        UINT64_C(0x43dfffffffffffff),
        UINT64_C(0x4320000000000001),
        UINT64_C(0x4330000000000001),
        UINT64_C(0x47efffffe0000000), /* the greatest f32, and what rounds to infinity beside it */
        UINT64_C(0x47effffff0000000),
        UINT64_C(0x7fefffffffffffff),
        UINT64_C(0x7ff0000000000000),
        UINT64_C(0x7ff8000000000000),
        UINT64_C(0x406fe00000000000),
        UINT64_C(0x3fb999999999999a),
        UINT64_C(0x8000000000000000),
        UINT64_C(0x8000000000000001),
        UINT64_C(0xbfe0000000000000),
        UINT64_C(0xbff0000000000000),
        UINT64_C(0xc004000000000000),
        UINT64_C(0xc1e0000000000000),
        UINT64_C(0xc1e0000000100000),
        UINT64_C(0xc3e0000000000000),
        UINT64_C(0xffefffffffffffff),
        UINT64_C(0xfff0000000000000)};
#define LIST(list) (*bits = list, (int)(sizeof list / sizeof list[0]))
    switch (dtype) {
    case ND_BOOL:
        return LIST(bools);
    case ND_U8:
        return LIST(u8);
    case ND_I32:
    case ND_U32:
        return LIST(words);
    case ND_I64:
        return LIST(wide);
    case ND_F32:
        return LIST(singles);
    default:
        return LIST(doubles);
    }
#undef LIST
}

uint64_t random_bits(uint64_t *state, nd_dtype dtype)
{
    uint64_t any = random_next(state);
    const uint64_t *special;
    int count = special_bits(dtype, &special);
    size_t size = nd_dtype_size(dtype);
    switch (random_below(state, 8)) {
    case 0:
    case 1:
        return special[random_below(state, count)];
    case 2:
    case 3: /* small integers */
        return nd__scalar_convert(ND_I64, dtype, (uint64_t)(random_below(state, 41) - 20));
    case 4:
    case 5:
        if (nd_dtype_is_float(dtype)) { /* around 1, of both signs */
            double x = (double)(int64_t)any * 0x1p-62;
            return nd__scalar_convert(ND_F64, dtype, nd__scalar_load(ND_F64, &x));
        } /* fall through */
    default:
        return dtype == ND_BOOL ? any & 1 : size < 8 ? any & ((UINT64_C(1) << 8 * size) - 1) : any;
    }
}

/* -- memory -------------------------------------------------------------------------------------------------------- */

/* A region with a page before and after it that cannot be touched. */
typedef struct region {
    char *pages, *inside;
    size_t total, room;
} region;

static region map_region(size_t bytes)
{
    region r;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    r.room = (bytes + page - 1) / page * page + (bytes == 0) * page;
    r.total = r.room + 2 * page;
    r.pages = mmap(NULL, r.total, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert(r.pages != MAP_FAILED);
    r.inside = r.pages + page;
    ck_assert_int_eq(mprotect(r.inside, r.room, PROT_READ | PROT_WRITE), 0);
    memset(r.inside, FILLER, r.room);
    return r;
}

/* What a plan works on: state, arena, then inputs and outputs. */
typedef struct block {
    bool used;
    size_t bytes, align;
    char *start, *expected; /* its contents at first, and as the evaluator leaves them */
    region region;
    char *at;
} block;

typedef struct world {
    const nd__plan *plan;
    block state, arena, in[MOST_PORTS], out[MOST_PORTS];
    const void *in_pointers[MOST_PORTS];
    void *out_pointers[MOST_PORTS];
} world;

static block *block_of(world *w, const nd__buffer *b)
{
    ck_assert_int_lt(b->index, MOST_PORTS);
    return b->where == ND__IN_STATE    ? &w->state
           : b->where == ND__IN_ARENA  ? &w->arena
           : b->where == ND__IN_INPUT  ? &w->in[b->index]
           : b->where == ND__IN_OUTPUT ? &w->out[b->index]
                                       : NULL;
}

static void need_alignment(world *w, const nd__steps *steps)
{
    for (int i = 0; i < steps->count; i++) {
        const nd__step *step = &steps->items[i];
        need_alignment(w, &step->body);
        need_alignment(w, &step->other);
        const nd__kernel *k = step->kind == ND__STEP_KERNEL ? w->plan->kernels[step->kernel] : NULL;
        for (int b = 0, n = 0; k && b < k->buffer_count; b++) {
            if (k->buffers[b].access == ND__K_TABLE)
                continue;
            block *where = block_of(w, &w->plan->buffers[step->args[n++].buffer]);
            if (where && where->align < (size_t)k->buffers[b].align)
                where->align = (size_t)k->buffers[b].align;
        }
    }
}

static void each_block(world *w, void (*work)(block *, void *), void *with)
{
    work(&w->state, with);
    work(&w->arena, with);
    for (int i = 0; i < MOST_PORTS; i++) {
        work(&w->in[i], with);
        work(&w->out[i], with);
    }
}

static void allocate(block *b, void *seed)
{
    b->start = malloc(b->bytes + 1);
    b->expected = malloc(b->bytes + 1);
    ck_assert(b->start && b->expected);
    for (size_t i = 0; i < b->bytes; i++)
        b->start[i] = (char)random_next(seed);
    b->region = map_region(b->bytes);
}

static void release(block *b, void *unused)
{
    (void)unused;
    free(b->start);
    free(b->expected);
    munmap(b->region.pages, b->region.total);
}

static void keep_expected(block *b, void *unused)
{
    (void)unused;
    memcpy(b->expected, b->at, b->bytes);
}

/* At the region's end or its beginning. */
static void place(block *b, void *at_end)
{
    size_t align = b->align ? b->align : 1, rounded = (b->bytes + align - 1) / align * align;
    memset(b->region.inside, FILLER, b->region.room);
    b->at = b->region.inside + (*(bool *)at_end ? b->region.room - rounded : 0);
    memcpy(b->at, b->start, b->bytes);
}

static void check_filler(block *b, void *unused)
{
    (void)unused;
    bool whole = true; /* each assertion takes Check a system call */
    for (const char *c = b->region.inside; c < b->region.inside + b->region.room; c++)
        whole = whole && ((c >= b->at && c < b->at + b->bytes) || *c == (char)FILLER);
    ck_assert_msg(whole, "memory around a buffer was written");
}

static void prepare(world *w, const nd__plan *plan, const void *const *in, uint64_t seed)
{
    memset(w, 0, sizeof *w);
    w->plan = plan;
    w->state.align = w->arena.align = 64;
    for (int i = 0; i < plan->buffer_count; i++) {
        const nd__buffer *b = &plan->buffers[i];
        block *where = block_of(w, b);
        bool inside = b->where == ND__IN_STATE || b->where == ND__IN_ARENA;
        size_t end = (inside ? (size_t)b->offset : 0) + (size_t)b->elems * nd_dtype_size(b->dtype);
        if (where && where->bytes < end)
            where->bytes = end;
    }
    need_alignment(w, &plan->steps);
    each_block(w, allocate, &seed);
    for (int i = 0; i < plan->buffer_count; i++) {
        const nd__buffer *b = &plan->buffers[i];
        block *where = block_of(w, b);
        size_t size = nd_dtype_size(b->dtype);
        bool given = b->where == ND__IN_INPUT && in && in[b->index];
        if (!where)
            continue;
        char *at = where->start + (b->where == ND__IN_STATE || b->where == ND__IN_ARENA ? b->offset : 0);
        if (given)
            memcpy(at, in[b->index], (size_t)b->elems * size);
        for (int64_t e = 0; e < b->elems && !given; e++)
            nd__scalar_store(b->dtype, at + (size_t)e * size, random_bits(&seed, b->dtype));
    }
}

static void move_in(world *w, bool at_end)
{
    each_block(w, place, &at_end);
    for (int i = 0; i < MOST_PORTS; i++) {
        w->in_pointers[i] = w->in[i].at;
        w->out_pointers[i] = w->out[i].at;
    }
}

static void compare(world *w, const char *file, int line, const char *cpu, bool at_end)
{
    static const char *const where_name[] = {"state", "input", "output", "arena", "constant"};
    char what[160];
    for (int i = 0; i < w->plan->buffer_count; i++) {
        const nd__buffer *b = &w->plan->buffers[i];
        const block *where = block_of(w, b);
        if (!where)
            continue;
        size_t offset = b->where == ND__IN_STATE || b->where == ND__IN_ARENA ? (size_t)b->offset : 0;
        snprintf(what, sizeof what, "%s for %s: %s %d %s, at the %s: evaluator and compiled", w->plan->name, cpu,
                 where_name[b->where], b->index, b->name, at_end ? "end" : "beginning");
        bits_assert(file, line, what, b->dtype, b->elems, where->expected + offset, where->at + offset);
    }
    each_block(w, check_filler, NULL);
}

void native_check_at(const char *file, int line, const nd__plan *plan, const void *const *in, uint64_t seed)
{
    char message[1000];
    world *w = malloc(sizeof *w);
    ck_assert_ptr_nonnull(w);
    seed = seed * 2 + 1;
    prepare(w, plan, in, seed);
    move_in(w, true);
    const char *error =
        kplan_eval(plan, w->state.at, w->arena.at, w->in_pointers, w->out_pointers, message, sizeof message);
    ck_assert_msg(!error, "%s:%d: %s: %s", file, line, plan->name, error);
    each_block(w, keep_expected, NULL);
    for (int i = 0; native_cpu(i); i++) {
        nd__target target;
        nd__native *native;
        nd_status status = nd__target_find(native_cpu(i), &target, message, sizeof message);
        if (status == ND_OK)
            status = nd__native_compile(&plan, 1, &target, &native, message, sizeof message);
        ck_assert_msg(status == ND_OK, "%s:%d: %s for %s: %s", file, line, plan->name, native_cpu(i), message);
        for (int at_end = 0; at_end < 2; at_end++) {
            move_in(w, at_end);
            nd__native_entry(native, 0)(w->state.at, w->arena.at, w->in_pointers, w->out_pointers);
            compare(w, file, line, native_cpu(i), at_end);
        }
        nd__native_destroy(native);
    }
    each_block(w, release, NULL);
    free(w);
}
