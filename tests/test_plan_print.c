/* Plans as text, compared with tests/golden/plan. With GOLDEN=write in the environment, those files are written anew.
 */
#include "hand_plan.h"
#include "matmul_kernel.h"
#include "run_suite.h"
#include "temp_dir.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static const char *tests_dir;

static void costs(nd__plan *p, nd__step *step, int64_t flops, int64_t bytes)
{
    p->kernels[step->kernel]->flops = flops;
    p->kernels[step->kernel]->bytes = bytes;
    step->cycles = (double)flops / 32;
    p->cycles += step->cycles;
    p->flops += flops;
    p->bytes += bytes;
}

/* The text must be that of golden/plan/NAME.txt. */
static void compare(const nd__plan *p, bool kernels, const char *name)
{
    const char *environment = getenv("GOLDEN");
    const bool write = environment && strcmp(environment, "write") == 0;
    char path[512];
    ck_assert_int_lt(snprintf(path, sizeof path, "%s/golden/plan/%s.txt", tests_dir, name), sizeof path);
    const char *now = write ? path : temp_path("plan.txt");
    FILE *out = fopen(now, "w");
    ck_assert_ptr_nonnull(out);
    nd__plan_print(p, kernels, out);
    fclose(out);
    char *is = temp_read(now), *expected = temp_read(path);
    for (const char *line = is; !kernels && *line; line = strchr(line, '\n') + 1)
        ck_assert_msg(strcspn(line, "\n") <= 120, "wider than 120 columns: %.130s", line);
    ck_assert_msg(strcmp(is, expected) == 0, "not as in %s:\n%s", path, is);
    free(is);
    free(expected);
}

/* Everything that a plan can have. */
START_TEST(a_plan_with_everything)
{
    static const float rates[] = {0.5f, 0.25f};
    nd__plan *p = nd__plan_create("step");
    int x = hand_buffer(p, ND__IN_INPUT, ND_F32, 6, "x"), loss = hand_buffer(p, ND__IN_OUTPUT, ND_F32, 1, "");
    int w = hand_buffer(p, ND__IN_STATE, ND_F32, 48, "w"), b = hand_buffer(p, ND__IN_STATE, ND_F32, 16, "b");
    int rate = hand_buffer(p, ND__IN_CONST, ND_F32, 2, "rates"), h = hand_buffer(p, ND__IN_ARENA, ND_F32, 32, "h");
    int g = hand_buffer(p, ND__IN_ARENA, ND_F32, 32, "grad of h"), t = hand_buffer(p, ND__IN_ARENA, ND_F32, 4096, NULL);
    int carry = hand_buffer(p, ND__IN_ARENA, ND_F32, 16, "carry");
    int stack = hand_buffer(p, ND__IN_ARENA, ND_F32, 2400, "stack");
    int good = hand_buffer(p, ND__IN_ARENA, ND_BOOL, 1, "good");
    p->buffers[w].offset = 0;
    p->buffers[b].offset = 192;
    p->buffers[b].index = 1;
    p->buffers[rate].data = rates;

    nd__step *step = HAND_KERNEL(p, &p->steps, "hidden matmul+bias+relu", IN(x), IN(w), IN(b), OUT(h));
    p->kernels[step->kernel] = matmul_kernel(p->arena, "matmul_bias_relu");
    ck_assert_ptr_nonnull(p->kernels[step->kernel]);
    costs(p, step, 256, 472);
    step->made = &(nd__made){.kind = ND__CHOICE_PRODUCT, .choice = {{0, 2, 1, 1}}};
    step = HAND_KERNEL(p, &p->steps, "grad of h", IN(h), OUT(g), OUT(good));
    hand_share(p, step, g, h);
    costs(p, step, 999999, 1 << 20);
    HAND_KERNEL(p, &p->steps, NULL, IN(g), OUT(carry));
    nd__step *loop = hand_loop(p, &p->steps, "scan of cells", 150);
    step = HAND_KERNEL(p, &loop->body, "cell", INOUT(carry), OUT(stack, 0, 16, {16}), SCRATCH(t));
    costs(p, step, 12345678, 99);
    nd__step *cond = hand_cond(p, &p->steps, "all is well", good);
    nd__step *back = hand_loop(p, &cond->body, NULL, 150);
    step = HAND_KERNEL(p, &back->body, "grad of cell with a long name", IN(stack, 2384, 16, {-16}), IN(rate, 1, 1),
                       INOUT(w), INOUT(b, 8, 8), OUT(loss), SCRATCH(t));
    costs(p, step, 2000000000, 5 << 20);
    HAND_KERNEL(p, &cond->other, "loss", IN(carry), OUT(loss));

    ck_assert(nd__plan_memory(p));
    compare(p, false, "everything");
    compare(p, true, "bodies");
    nd__plan_destroy(p);
}
END_TEST

START_TEST(many_steps_in_a_narrow_picture)
{
    nd__plan *p = nd__plan_create("chain");
    int last = -1, x = hand_buffer(p, ND__IN_INPUT, ND_F64, 8, "x");
    for (int i = 0; i < 60; i++) {
        char *name = nd__arena_format(p->arena, "v%d", i);
        int next = hand_buffer(p, ND__IN_ARENA, ND_F64, i % 10 == 0 ? 5000 : 8, name);
        HAND_KERNEL(p, &p->steps, name, {ND__K_IN, last < 0 ? x : last}, OUT(next));
        last = i % 10 == 0 && last >= 0 ? last : next;
    }
    ck_assert(nd__plan_memory(p));
    compare(p, false, "chain");
    nd__plan_destroy(p);
}
END_TEST

START_TEST(an_empty_plan)
{
    nd__plan *p = nd__plan_create("nothing");
    ck_assert(nd__plan_memory(p));
    compare(p, true, "nothing");
    nd__plan_destroy(p);
    nd__plan_destroy(NULL);
}
END_TEST

int main(int argc, char **argv)
{
    tests_dir = argc > 1 ? argv[1] : "tests";
    Suite *suite = suite_create("plan_print");
    TCase *t = tcase_create("text");
    tcase_add_test(t, a_plan_with_everything);
    tcase_add_test(t, many_steps_in_a_narrow_picture);
    tcase_add_test(t, an_empty_plan);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
