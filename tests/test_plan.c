/* The memory plan: lifetimes around loops and branches, memory shared in place, offsets, on plans made by hand and at
 * random. */
#include "failing_alloc.h"
#include "hand_plan.h"
#include "plan_check.h"
#include "random_op.h"
#include "run_suite.h"

#include <check.h>
#include <stdio.h>

static int arena(nd__plan *p, int64_t elems, const char *name)
{
    return hand_buffer(p, ND__IN_ARENA, ND_F32, elems, name);
}

static void plan_memory(nd__plan *p)
{
    uint64_t state = 1;
    ck_assert(nd__plan_memory(p));
    plan_check(p, &state);
}

static bool lives(const nd__plan *p, int buffer, int first, int last)
{
    return p->buffers[buffer].first == first && p->buffers[buffer].last == last;
}

static bool same_place(const nd__plan *p, int a, int b)
{
    return p->buffers[a].offset == p->buffers[b].offset;
}

static bool overlap(const nd__plan *p, int a, int b)
{
    const nd__buffer *x = &p->buffers[a], *y = &p->buffers[b];
    return x->offset < y->offset + 4 * y->elems && y->offset < x->offset + 4 * x->elems;
}

/* -- lifetimes --------------------------------------------------------------------------------------------------------
 */

START_TEST(a_chain_uses_two_places)
{
    nd__plan *p = nd__plan_create("f");
    int x = hand_buffer(p, ND__IN_INPUT, ND_F32, 100, "x"), y = hand_buffer(p, ND__IN_OUTPUT, ND_F32, 100, "y");
    int a = arena(p, 100, "a"), b = arena(p, 100, "b"), c = arena(p, 100, "c"), unused = arena(p, 100, "unused");
    p->buffers[x].offset = p->buffers[y].offset = 77;
    HAND_KERNEL(p, &p->steps, "a", IN(x), OUT(a));
    HAND_KERNEL(p, &p->steps, "b", IN(a), OUT(b));
    HAND_KERNEL(p, &p->steps, "c", IN(b), OUT(c));
    HAND_KERNEL(p, &p->steps, "y", IN(c), OUT(y));
    plan_memory(p);
    ck_assert(lives(p, a, 0, 1) && lives(p, b, 1, 2) && lives(p, c, 2, 3) && lives(p, unused, -1, -1));
    ck_assert(same_place(p, a, c) && !overlap(p, a, b));
    ck_assert_int_eq(p->lower_bound, 2 * 448);
    ck_assert_int_eq(p->arena_size, 2 * 448);
    ck_assert_msg(p->buffers[x].offset == 77 && p->buffers[y].offset == 77 && p->buffers[x].first == -1, "not ours");
    nd__plan_destroy(p);
}
END_TEST

START_TEST(nothing_needs_nothing)
{
    nd__plan *p = nd__plan_create("f");
    plan_memory(p);
    ck_assert_int_eq(p->arena_size, 0);
    int a = arena(p, 0, "a"), b = arena(p, 0, "b");
    HAND_KERNEL(p, &p->steps, "a", OUT(a));
    HAND_KERNEL(p, &p->steps, "b", IN(a), OUT(b));
    plan_memory(p);
    ck_assert(lives(p, a, 0, 1) && lives(p, b, 1, 1));
    ck_assert_int_eq(p->arena_size, 0);
    ck_assert_int_eq(p->lower_bound, 0);
    nd__plan_destroy(p);
}
END_TEST

START_TEST(loops_keep_what_goes_around)
{
    nd__plan *p = nd__plan_create("f");
    int carry = arena(p, 16, "carry"), before = arena(p, 16, "before"), local = arena(p, 16, "local");
    int next = arena(p, 16, "next"), stack = arena(p, 48, "stack"), moving = arena(p, 48, "moving");
    int scratch = arena(p, 16, "scratch"), strange = arena(p, 16, "strange");
    int y = hand_buffer(p, ND__IN_OUTPUT, ND_F32, 16, "y");
    HAND_KERNEL(p, &p->steps, "before", OUT(before));                                              /* 0 */
    HAND_KERNEL(p, &p->steps, "init", OUT(carry));                                                 /* 1 */
    nd__steps *body = &hand_loop(p, &p->steps, "loop", 3)->body;                                   /* 2 */
    HAND_KERNEL(p, body, "local", IN(carry), IN(before), OUT(local));                              /* 3 */
    HAND_KERNEL(p, body, "next", IN(local), OUT(next), OUT(stack, 0, 16, {16}), SCRATCH(scratch)); /* 4 */
    HAND_KERNEL(p, body, "moving", IN(next), OUT(moving, 0, 16, {16}));                            /* 5 */
    HAND_KERNEL(p, body, "all", IN(next), IN(moving, 0, 16), INOUT(strange), OUT(carry));          /* 6 */
    HAND_KERNEL(p, body, "nothing", OUT(y));                                                       /* 7 */
    HAND_KERNEL(p, &p->steps, "after", IN(stack), OUT(y));                                         /* 8 */
    plan_memory(p);
    ck_assert(lives(p, before, 0, 7)); /* read again in the next iteration */
    ck_assert(lives(p, carry, 1, 7));  /* also while nothing in the body uses it */
    ck_assert(lives(p, local, 3, 4));  /* within an iteration */
    ck_assert(lives(p, next, 4, 6));
    ck_assert(lives(p, scratch, 4, 4));
    ck_assert(lives(p, stack, 2, 8));   /* filled slice by slice */
    ck_assert(lives(p, moving, 2, 7));  /* what iteration 2 reads iteration 0 wrote */
    ck_assert(lives(p, strange, 2, 7)); /* read before it is written */
    nd__plan_destroy(p);
}
END_TEST

START_TEST(a_loop_in_a_loop)
{
    nd__plan *p = nd__plan_create("f");
    int outer = arena(p, 16, "outer"), inner = arena(p, 16, "inner"), deep = arena(p, 16, "deep");
    int stack = arena(p, 32, "stack"), sum = arena(p, 16, "sum");
    HAND_KERNEL(p, &p->steps, "init", OUT(outer));                         /* 0 */
    nd__steps *body = &hand_loop(p, &p->steps, "loop", 4)->body;           /* 1 */
    HAND_KERNEL(p, body, "init", IN(outer), OUT(inner));                   /* 2 */
    nd__steps *second = &hand_loop(p, body, "loop", 2)->body;              /* 3 */
    HAND_KERNEL(p, second, "deep", IN(inner), OUT(deep));                  /* 4 */
    HAND_KERNEL(p, second, "next", IN(deep), OUT(inner));                  /* 5 */
    HAND_KERNEL(p, second, "push", IN(inner), OUT(stack, 0, 16, {0, 16})); /* 6 */
    HAND_KERNEL(p, body, "sum", IN(stack), OUT(sum));                      /* 7 */
    HAND_KERNEL(p, body, "next", IN(sum), OUT(outer));                     /* 8 */
    HAND_KERNEL(p, &p->steps, "after", IN(outer));                         /* 9 */
    plan_memory(p);
    ck_assert(lives(p, outer, 0, 9));
    ck_assert(lives(p, inner, 2, 6));
    ck_assert(lives(p, deep, 4, 5));
    ck_assert(lives(p, stack, 3, 7)); /* within one iteration of the outer loop */
    ck_assert(lives(p, sum, 7, 8));
    nd__plan_destroy(p);
}
END_TEST

START_TEST(branches_use_the_same_memory)
{
    nd__plan *p = nd__plan_create("f");
    int flag = hand_buffer(p, ND__IN_ARENA, ND_BOOL, 1, "flag"), x = arena(p, 1000, "x"), y = arena(p, 1000, "y");
    int yes = arena(p, 1000, "yes"), no = arena(p, 1000, "no");
    HAND_KERNEL(p, &p->steps, "x", OUT(x), OUT(flag));      /* 0 */
    nd__step *cond = hand_cond(p, &p->steps, "cond", flag); /* 1 */
    HAND_KERNEL(p, &cond->body, "yes", IN(x), OUT(yes));    /* 2 */
    HAND_KERNEL(p, &cond->body, "y", IN(yes), OUT(y));      /* 3 */
    HAND_KERNEL(p, &cond->other, "no", OUT(no));            /* 4 */
    HAND_KERNEL(p, &cond->other, "y", IN(no), OUT(y));      /* 5 */
    HAND_KERNEL(p, &p->steps, "after", IN(y));              /* 6 */
    plan_memory(p);
    ck_assert(lives(p, flag, 0, 1) && lives(p, x, 0, 2) && lives(p, yes, 2, 3) && lives(p, no, 4, 5));
    ck_assert(lives(p, y, 3, 6));
    ck_assert(overlap(p, no, x) || overlap(p, no, yes));
    ck_assert_int_eq(p->lower_bound, 2 * 4032);
    nd__plan_destroy(p);
}
END_TEST

/* -- in place ----------------------------------------------------------------------------------------------------- */

START_TEST(a_place_is_handed_on)
{
    nd__plan *p = nd__plan_create("f");
    int a = arena(p, 100, "a"), b = arena(p, 100, "b"), c = arena(p, 100, "c");
    HAND_KERNEL(p, &p->steps, "a", OUT(a));
    hand_share(p, HAND_KERNEL(p, &p->steps, "b", IN(a), OUT(b)), b, a);
    hand_share(p, HAND_KERNEL(p, &p->steps, "c", IN(b), OUT(c)), c, b);
    HAND_KERNEL(p, &p->steps, "after", IN(c));
    plan_memory(p);
    ck_assert(same_place(p, a, b) && same_place(p, b, c));
    ck_assert(lives(p, a, 0, 1) && lives(p, b, 1, 2) && lives(p, c, 2, 3));
    ck_assert_int_eq(p->lower_bound, 448);
    ck_assert_int_eq(p->arena_size, 448);
    nd__plan_destroy(p);
}
END_TEST

START_TEST(only_one_takes_a_place)
{
    nd__plan *p = nd__plan_create("f");
    int a = arena(p, 100, "a"), b = arena(p, 100, "b"), c = arena(p, 100, "c"), used = arena(p, 100, "used");
    int d = arena(p, 100, "d"), half = hand_buffer(p, ND__IN_ARENA, ND_F64, 50, "half");
    HAND_KERNEL(p, &p->steps, "a", OUT(a), OUT(used));
    nd__step *step = HAND_KERNEL(p, &p->steps, "both", IN(a), IN(used), OUT(b), OUT(c), OUT(d), OUT(half));
    hand_share(p, step, b, a);
    hand_share(p, step, c, a);
    hand_share(p, step, d, used);    /* is read once more */
    hand_share(p, step, half, used); /* has other elements */
    HAND_KERNEL(p, &p->steps, "after", IN(b), IN(c), IN(d), IN(used), IN(half));
    plan_memory(p);
    ck_assert(same_place(p, a, b) && !same_place(p, a, c) && !same_place(p, d, used) && !same_place(p, half, used));
    ck_assert_int_eq(p->lower_bound, 5 * 448);
    nd__plan_destroy(p);
}
END_TEST

START_TEST(what_a_loop_reads_again_is_not_overwritten)
{
    nd__plan *p = nd__plan_create("f");
    int a = arena(p, 100, "a"), b = arena(p, 100, "b"), c = arena(p, 100, "c");
    HAND_KERNEL(p, &p->steps, "a", OUT(a));
    nd__steps *body = &hand_loop(p, &p->steps, "loop", 3)->body;
    HAND_KERNEL(p, body, "c", OUT(c));
    hand_share(p, HAND_KERNEL(p, body, "b", IN(a), IN(c), OUT(b)), b, a); /* a's last step, and the loop's */
    hand_share(p, &body->items[1], b, c);
    plan_memory(p);
    ck_assert(lives(p, a, 0, 3) && lives(p, b, 3, 3) && !same_place(p, a, b) && same_place(p, b, c));
    nd__plan_destroy(p);
}
END_TEST

/* -- offsets ------------------------------------------------------------------------------------------------------ */

START_TEST(large_buffers_are_skewed)
{
    enum { N = 9 };
    nd__plan *p = nd__plan_create("f");
    int b[N];
    hand_arg args[N];
    for (int i = 0; i < N; i++) {
        b[i] = arena(p, 4096, "b");
        args[i] = (hand_arg){i ? ND__K_IN : ND__K_OUT, b[i], 0, 0, {0}};
        HAND_KERNEL(p, &p->steps, "one", OUT(b[i]));
    }
    hand_kernel(p, &p->steps, "walk", N, args);
    plan_memory(p);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < i; j++) {
            int64_t d = (p->buffers[b[i]].offset - p->buffers[b[j]].offset) % 4096;
            d = d < 0 ? d + 4096 : d;
            ck_assert_msg(d >= 320 && 4096 - d >= 320, "%d and %d: %lld", i, j, (long long)d);
        }
    ck_assert_int_le(p->arena_size - p->lower_bound, N * 320);
    nd__plan_destroy(p);
}
END_TEST

START_TEST(sizes_that_overflow)
{
    nd__plan *p = nd__plan_create("f");
    int a = arena(p, INT64_MAX / 4, "a"), b = arena(p, INT64_MAX / 8, "b"); /* of 4 bytes each */
    HAND_KERNEL(p, &p->steps, "sum", OUT(a), OUT(b));
    ck_assert(!nd__plan_memory(p));
    p->buffers[a].elems = INT64_MAX / 2;
    ck_assert(!nd__plan_memory(p));
    p->buffers[a].elems = 1;
    ck_assert(nd__plan_memory(p));
    ck_assert(!same_place(p, a, b));
    nd__plan_destroy(p);
}
END_TEST

/* A training step of a perceptron: activations wait for the way back. */
START_TEST(a_training_step_fits)
{
    enum { LAYERS = 6 };
    static const int64_t widths[LAYERS + 1] = {784, 512, 300, 300, 128, 64, 10};
    nd__plan *p = nd__plan_create("step");
    int h[LAYERS + 1], d[LAYERS + 1];
    h[0] = hand_buffer(p, ND__IN_INPUT, ND_F32, 32 * widths[0], "x");
    for (int i = 1; i <= LAYERS; i++) {
        h[i] = arena(p, 32 * widths[i], "h");
        int pack = arena(p, widths[i] * 16, "pack");
        HAND_KERNEL(p, &p->steps, "forward", IN(h[i - 1]), OUT(h[i]), SCRATCH(pack));
    }
    d[LAYERS] = arena(p, 32 * widths[LAYERS], "d");
    hand_share(p, HAND_KERNEL(p, &p->steps, "loss", IN(h[LAYERS]), OUT(d[LAYERS])), d[LAYERS], h[LAYERS]);
    for (int i = LAYERS; i > 0; i--) {
        int w = hand_buffer(p, ND__IN_STATE, ND_F32, widths[i] * widths[i - 1], "w");
        int turned = arena(p, widths[i] * widths[i - 1], "turned");
        if (i > 1) {
            d[i - 1] = arena(p, 32 * widths[i - 1], "d");
            HAND_KERNEL(p, &p->steps, "turn", IN(w), OUT(turned));
            HAND_KERNEL(p, &p->steps, "dx", IN(d[i]), IN(turned), OUT(d[i - 1]));
        }
        HAND_KERNEL(p, &p->steps, "dw", IN(h[i - 1]), IN(d[i]), INOUT(w));
    }
    plan_memory(p);
    ck_assert_msg(p->arena_size <= p->lower_bound * 1.02, "%lld of %lld", (long long)p->arena_size,
                  (long long)p->lower_bound);
    nd__plan_destroy(p);
}
END_TEST

/* -- random plans ------------------------------------------------------------------------------------------------- */

/* Plans in which nothing is read before it is written, whatever the conds decide. */
typedef struct random_plan {
    nd__plan *plan;
    uint64_t *state;
    int64_t largest;
    int visible[4096], visible_count; /* buffers that are written wherever we are */
} random_plan;

static int random_buffer(random_plan *r, int64_t elems)
{
    return arena(r->plan, elems, "b");
}

static int64_t random_elems(random_plan *r)
{
    return random_below(r->state, 8) == 0 ? 0 : 1 + random_below(r->state, random_below(r->state, 4) ? 64 : r->largest);
}

/* One of the visible ones, mostly a young one. */
static int pick(random_plan *r)
{
    int64_t age = random_below(r->state, random_below(r->state, 4) ? 4 : r->visible_count);
    return r->visible[age < r->visible_count ? r->visible_count - 1 - age : 0];
}

static void add_random_kernel(random_plan *r, nd__steps *to, int out)
{
    hand_arg args[8];
    int n = 0;
    for (int64_t reads = r->visible_count ? random_below(r->state, 4) : 0; reads > 0; reads--)
        args[n++] = (hand_arg){ND__K_IN, pick(r), 0, 0, {0}};
    if (random_below(r->state, 4) == 0)
        args[n++] = (hand_arg){ND__K_SCRATCH, random_buffer(r, random_elems(r)), 0, 0, {0}};
    int ins = n;
    if (out < 0 && ins > 0 && random_below(r->state, 2))
        out = random_buffer(r, r->plan->buffers[args[0].buffer].elems);
    else if (out < 0)
        out = random_buffer(r, random_elems(r));
    args[n++] = (hand_arg){ND__K_OUT, out, 0, 0, {0}};
    for (int i = 0; i < ins; i++)
        if (args[i].buffer == out)
            args[i].buffer = args[--n].buffer, args[i].access = ND__K_INOUT, out = -1; /* once, read and written */
    nd__step *step = hand_kernel(r->plan, to, "k", n, args);
    for (int i = 0; i < ins && out >= 0; i++)
        if (args[i].access == ND__K_IN && random_below(r->state, 2))
            hand_share(r->plan, step, out, args[i].buffer);
}

static void add_random_steps(random_plan *r, nd__steps *to, int depth, int count);

/* init carry; loop { ...; carry := ...; stack[t] := carry }; the stack read backwards by another loop */
static void add_random_loop(random_plan *r, nd__steps *to, int depth, int count)
{
    const int64_t elems = 1 + random_below(r->state, r->largest), length = 1 + random_below(r->state, 5);
    const int carry = random_buffer(r, elems), stack = random_buffer(r, elems * length);
    const int outside = r->visible_count;
    int64_t ahead[ND__MAX_NEST] = {0}, back[ND__MAX_NEST] = {0};
    ahead[depth] = elems;
    back[depth] = -elems;
    add_random_kernel(r, to, carry);
    r->visible[r->visible_count++] = carry;
    nd__steps *body = &hand_loop(r->plan, to, "loop", length)->body;
    add_random_steps(r, body, depth + 1, count);
    hand_arg push[2] = {{ND__K_INOUT, carry, 0, 0, {0}}, {ND__K_OUT, stack, 0, elems, {0}}};
    for (int d = 0; d < ND__MAX_NEST; d++)
        push[1].stride[d] = ahead[d];
    hand_kernel(r->plan, body, "push", 2, push);
    r->visible_count = outside;
    r->visible[r->visible_count++] = carry;
    r->visible[r->visible_count++] = stack;
    if (random_below(r->state, 2) == 0)
        return;
    const int all = r->visible_count;
    body = &hand_loop(r->plan, to, "back", length)->body;
    const int top = random_buffer(r, elems);
    hand_arg pop[2] = {{ND__K_IN, stack, elems * (length - 1), elems, {0}}, {ND__K_OUT, top, 0, 0, {0}}};
    for (int d = 0; d < ND__MAX_NEST; d++)
        pop[0].stride[d] = back[d];
    hand_kernel(r->plan, body, "pop", 2, pop);
    r->visible[r->visible_count++] = top;
    add_random_steps(r, body, depth + 1, count / 2);
    r->visible_count = all;
}

static void add_random_cond(random_plan *r, nd__steps *to, int depth, int count)
{
    const int flag = hand_buffer(r->plan, ND__IN_ARENA, ND_BOOL, 1, "flag"), result = random_buffer(r, random_elems(r));
    const int outside = r->visible_count;
    add_random_kernel(r, to, flag);
    nd__step *cond = hand_cond(r->plan, to, "cond", flag);
    for (int side = 0; side < 2; side++) {
        nd__steps *branch = side ? &cond->other : &cond->body;
        add_random_steps(r, branch, depth, count / 2);
        add_random_kernel(r, branch, result);
        r->visible_count = outside;
    }
    r->visible[r->visible_count++] = result;
}

static void add_random_steps(random_plan *r, nd__steps *to, int depth, int count)
{
    for (int i = 0; i < count; i++) {
        int64_t kind = depth < 4 && count > 1 ? random_below(r->state, 12) : 11;
        if (kind == 0) {
            add_random_loop(r, to, depth, count / 2);
        } else if (kind == 1) {
            add_random_cond(r, to, depth, count / 2);
        } else {
            int before = r->plan->buffer_count;
            add_random_kernel(r, to, -1);
            if (r->plan->buffer_count > before)
                r->visible[r->visible_count++] = r->plan->buffer_count - 1;
        }
    }
}

static nd__plan *random_plan_of(uint64_t seed, int count, int64_t largest)
{
    random_plan r = {nd__plan_create("random"), &seed, largest, {0}, 0};
    add_random_steps(&r, &r.plan->steps, 0, count);
    return r.plan;
}

START_TEST(random_plans_are_right)
{
    double worst = 1, sum = 0; /* of those in which lines of 64 bytes do not count */
    int large = 0;
    for (uint64_t seed = 0; seed < 300; seed++) {
        nd__plan *p = random_plan_of(seed, 3 + (int)seed % 20, seed % 3 ? 100 : 20000);
        uint64_t state = seed;
        ck_assert_msg(nd__plan_memory(p), "seed %d", (int)seed);
        plan_check(p, &state);
        if (p->lower_bound >= 1 << 16) {
            double ratio = (double)p->arena_size / (double)p->lower_bound;
            worst = ratio > worst ? ratio : worst;
            sum += ratio;
            large++;
        }
        nd__plan_destroy(p);
    }
    printf("%d random plans: arena to lower bound %.3f on average, %.3f at most\n", large, sum / large, worst);
    ck_assert(large > 50 && worst <= 1.1);
}
END_TEST

START_TEST(the_same_plan_twice)
{
    nd__plan *p = random_plan_of(7, 20, 20000), *q = random_plan_of(7, 20, 20000);
    ck_assert(nd__plan_memory(p) && nd__plan_memory(q));
    ck_assert_int_eq(p->arena_size, q->arena_size);
    for (int i = 0; i < p->buffer_count; i++)
        ck_assert_int_eq(p->buffers[i].offset, q->buffers[i].offset);
    nd__plan_destroy(p);
    nd__plan_destroy(q);
}
END_TEST

START_TEST(survives_every_failing_allocation)
{
    bool failed = true;
    for (int n = 0; failed; n++) {
        nd__plan *p = random_plan_of(3, 20, 100);
        failing_alloc_begin(n);
        bool ok = nd__plan_memory(p);
        failed = failing_alloc_end();
        ck_assert_int_eq(failing_alloc_held(), 0);
        ck_assert_msg(ok == !failed, "allocation %d", n);
        nd__plan_destroy(p);
    }
#ifdef HAVE_WRAPPED_ALLOC
    failing_alloc_begin(0);
    ck_assert_ptr_null(nd__plan_create("f"));
    failing_alloc_end();
#endif
}
END_TEST

/* Loops longer than anybody waits for. */
START_TEST(counts_do_not_overflow)
{
    nd__plan *plan = nd__plan_create("long");
    int64_t flops = 0, bytes = 0;
    int x = hand_buffer(plan, ND__IN_OUTPUT, ND_F32, 4, "x");
    nd__step *outer = hand_loop(plan, &plan->steps, "outer", INT64_C(1) << 40);
    nd__step *inner = hand_loop(plan, &outer->body, "inner", INT64_C(1) << 40);
    HAND_KERNEL(plan, &inner->body, "fill", {ND__K_OUT, x});
    plan->kernels[0]->flops = 3;
    plan->kernels[0]->bytes = 0;
    nd__plan_count(plan, outer, 1, &flops, &bytes);
    ck_assert_int_eq(flops, INT64_MAX);
    ck_assert_int_eq(bytes, 0);
    nd__plan_destroy(plan);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("plan");
    TCase *t = tcase_create("memory");
    tcase_add_test(t, a_chain_uses_two_places);
    tcase_add_test(t, nothing_needs_nothing);
    tcase_add_test(t, loops_keep_what_goes_around);
    tcase_add_test(t, a_loop_in_a_loop);
    tcase_add_test(t, branches_use_the_same_memory);
    tcase_add_test(t, a_place_is_handed_on);
    tcase_add_test(t, only_one_takes_a_place);
    tcase_add_test(t, what_a_loop_reads_again_is_not_overwritten);
    tcase_add_test(t, large_buffers_are_skewed);
    tcase_add_test(t, sizes_that_overflow);
    tcase_add_test(t, a_training_step_fits);
    tcase_add_test(t, random_plans_are_right);
    tcase_add_test(t, the_same_plan_twice);
    tcase_add_test(t, survives_every_failing_allocation);
    tcase_add_test(t, counts_do_not_overflow);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
