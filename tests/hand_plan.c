#include "hand_plan.h"

#include <check.h>
#include <string.h>

static void need(bool there)
{
    ck_assert_msg(there, "memory ran out");
}

int hand_buffer(nd__plan *plan, nd__where where, nd_dtype dtype, int64_t elems, const char *name)
{
    need(
        nd__arena_grow(plan->arena, &plan->buffers, &plan->buffer_room, plan->buffer_count + 1, sizeof *plan->buffers));
    plan->buffers[plan->buffer_count] =
        (nd__buffer){.where = where, .dtype = dtype, .elems = elems, .name = name, .first = -1, .last = -1};
    return plan->buffer_count++;
}

static nd__step *add_step(nd__plan *plan, nd__steps *to, nd__step_kind kind, const char *label, int arg_count)
{
    need(nd__arena_grow(plan->arena, &to->items, &to->room, to->count + 1, sizeof *to->items));
    nd__step *step = &to->items[to->count++];
    *step = (nd__step){.kind = kind, .label = label};
    step->args = nd__arena_alloc(plan->arena, (size_t)arg_count, sizeof *step->args);
    need(step->args);
    return step;
}

nd__step *hand_kernel(nd__plan *plan, nd__steps *to, const char *label, int n, const hand_arg *args)
{
    need(
        nd__arena_grow(plan->arena, &plan->kernels, &plan->kernel_room, plan->kernel_count + 1, sizeof *plan->kernels));
    char *name = nd__arena_format(plan->arena, "k%d", plan->kernel_count);
    nd__kernel *k = nd__k_create(plan->arena, name);
    need(name && k);
    nd__step *step = add_step(plan, to, ND__STEP_KERNEL, label, n);
    for (int i = 0; i < n; i++) {
        const nd__buffer *b = &plan->buffers[args[i].buffer];
        nd__k_buffer(k, b->name ? b->name : "", b->dtype, args[i].access, args[i].elems ? args[i].elems : b->elems, 4);
        step->args[i] = (nd__karg){args[i].buffer, args[i].offset, {0}};
        memcpy(step->args[i].stride, args[i].stride, sizeof args[i].stride);
    }
    need(!k->failed);
    step->kernel = plan->kernel_count;
    plan->kernels[plan->kernel_count++] = k;
    return step;
}

nd__step *hand_loop(nd__plan *plan, nd__steps *to, const char *label, int64_t length)
{
    nd__step *step = add_step(plan, to, ND__STEP_LOOP, label, 0);
    step->length = length;
    return step;
}

nd__step *hand_cond(nd__plan *plan, nd__steps *to, const char *label, int flag)
{
    nd__step *step = add_step(plan, to, ND__STEP_COND, label, 1);
    step->args[0].buffer = flag;
    return step;
}

void hand_share(nd__plan *plan, nd__step *step, int written, int read)
{
    nd__sharing *more = nd__arena_alloc(plan->arena, (size_t)step->sharing_count + 1, sizeof *more);
    need(more);
    if (step->sharing_count > 0)
        memcpy(more, step->sharing, (size_t)step->sharing_count * sizeof *more);
    more[step->sharing_count++] = (nd__sharing){written, read};
    step->sharing = more;
}
