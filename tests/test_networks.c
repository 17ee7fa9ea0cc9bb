/* Random networks with their training step: sizes beyond tiles and blocks have a plan for every processor, and small
 * ones the interpreter's bits. */
#include "random_network.h"
#include "run_suite.h"

#include "nadir/compile.h"
#include "two_ways.h"

#include <check.h>
#include <inttypes.h>
#include <stdlib.h>

enum { FIRST = 700, PLANS = 400, RUNS = 40 }; /* 704 and 881 once had none */

static nd_module *network(int64_t largest, uint64_t seed)
{
    uint64_t state = seed;
    nd_module *m = random_network(largest, &state);
    ck_assert_msg(nd_module_status(m) == ND_OK, "seed %" PRIu64 ": %s", seed, nd_module_error(m));
    return m;
}

START_TEST(every_network_has_a_plan)
{
    static const char *const cpus[] = {"x86-64-v4", "x86-64-v3", "x86-64"};
    char message[512] = "";
    FILE *out = tmpfile();
    ck_assert_ptr_nonnull(out);
    for (uint64_t seed = FIRST; seed < FIRST + PLANS; seed++) {
        nd_module *m = network(300, seed);
        const nd_compile_options options = {.cpu = cpus[seed % 3], .passes_off = seed % 8 ? NULL : "all"};
        nd_status status = nd_plan_print(m, &options, NULL, false, out, message, sizeof message);
        ck_assert_msg(status == ND_OK, "seed %" PRIu64 ": %s", seed, message);
        nd_module_destroy(m);
    }
    fclose(out);
}
END_TEST

START_TEST(small_networks_run_to_the_same_bits)
{
    for (uint64_t seed = 0; seed < RUNS; seed++) {
        nd_module *m = network(seed % 2 ? 17 : 65, 1000 + seed);
        two_ways(m, "step", 2, 10);
        nd_module_destroy(m);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("networks");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 300);
    tcase_add_test(all, every_network_has_a_plan);
    tcase_add_test(all, small_networks_run_to_the_same_bits);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
