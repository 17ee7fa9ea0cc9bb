/* The pipeline: which passes run, in which order. */
#include "compiler/passes/passes.h"
#include "nadir/text.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* PASS(name, where), each once, left out where it would change nothing:
 *   inline    first: what is called meets the constants and views that it is called with
 *   fold      before simplify: sizes become numbers, and what follows from them constants, which its rules look for
 *   simplify  before views: some of its results are reshapes
 *   views     before sink, which looks for one transpose, not for two
 *   sink      after all that takes ops away from between views
 *   gather    after sink: transposes and batches of a product are flags and rows by then
 *   cse       after all that rewrites: what became equal becomes one
 *   loops     after cse, which shows that bodies are the same
 *   slices    after loops, which lets one loop stand for those that share a body's inputs
 *   prune     after all that leaves results without a use
 *   dce       last: what the others left without a use goes */
#define PASSES                                                                                                         \
    PASS(inline, in_control)                                                                                           \
    PASS(fold, always)                                                                                                 \
    PASS(simplify, always)                                                                                             \
    PASS(views, always)                                                                                                \
    PASS(sink, always)                                                                                                 \
    PASS(gather, always)                                                                                               \
    PASS(cse, always)                                                                                                  \
    PASS(loops, in_control)                                                                                            \
    PASS(slices, in_control)                                                                                           \
    PASS(prune, in_control)                                                                                            \
    PASS(dce, in_leftovers)

static bool always(nd_module *m)
{
    (void)m;
    return true;
}

static bool in_control(nd_module *m)
{
    for (int i = 0; i < m->node_count; i++)
        if (nd__ops[m->nodes[i]->op].traits & ND__CONTROL)
            return true;
    return false;
}

static bool in_leftovers(nd_module *m)
{
    bool *live = malloc((size_t)m->node_count * sizeof *live + 1), any = false;
    if (live)
        nd__mark_live(m, live);
    else
        nd__fail_memory(m);
    for (int i = 0; i < m->node_count && live && !any; i++)
        any = !live[i];
    free(live);
    return any;
}

static const struct {
    const char *name;
    nd__pass run;
    bool (*where)(nd_module *m); /* may fail it */
} pipeline[] = {
#define PASS(name, where) {#name, nd__##name, where},
    PASSES
#undef PASS
};

enum { COUNT = sizeof pipeline / sizeof pipeline[0] };

const char *const *nd__pass_names(void)
{
    static const char *const names[] = {
#define PASS(name, where) #name,
        PASSES
#undef PASS
            NULL,
    };
    return names;
}
#undef PASSES

/* Sets what the names say, by pass. false, and `m` has failed: a name that no pass has. */
static bool choose(nd_module *m, const char *option, const char *names, bool *chosen)
{
    for (const char *at = names; at && *at;) {
        const size_t n = strcspn(at, ",");
        bool known = n == 0;
        for (int i = 0; i < COUNT; i++)
            if ((n == 3 && memcmp(at, "all", 3) == 0) ||
                (n == strlen(pipeline[i].name) && memcmp(at, pipeline[i].name, n) == 0))
                known = chosen[i] = true;
        if (!known) {
            const char *list = "all";
            for (int i = 0; i < COUNT && list; i++)
                list = nd__arena_format(&m->arena, "%s, %s", list, pipeline[i].name);
            nd__fail(m, ND_ERR_ARGUMENT, "", "%s \"%s\": no pass is called \"%.*s\"; expected names out of: %s", option,
                     names, (int)n, at, list ? list : "");
            return false;
        }
        at += n + (at[n] == ',');
    }
    return true;
}

/* A pass that leaves a broken graph is our mistake, whatever the verifier says of it. */
static void verify(nd_module *m, const char *pass)
{
    if (m->status != ND_OK)
        return;
    const char *wrong = nd__verify(m);
    if (!wrong)
        return;
    if (wrong == nd_status_text(ND_ERR_MEMORY)) {
        nd__fail_memory(m);
        return;
    }
    m->status = ND_ERR_INTERNAL;
    m->error =
        nd__arena_format(&m->arena, "the graph is wrong after the pass \"%s\", please report it: %s", pass, wrong);
}

static void print(nd_module *m, const char *pass, FILE *out)
{
    nd_status status = fprintf(out, "# after %s\n", pass) < 0 ? ND_ERR_IO : nd_module_print(m, out);
    if (status == ND_ERR_MEMORY)
        nd__fail_memory(m);
    else if (status != ND_OK)
        nd__fail(m, status, "", "dump after %s: it cannot be written", pass);
}

nd_module *nd__run_passes(nd_module *m, const nd__pass_options *options)
{
    const nd__pass_options defaults = {0}, *o = options ? options : &defaults;
    bool off[COUNT] = {false}, dump[COUNT] = {false}, look = o->verify;
#ifndef NDEBUG
    look = true;
#endif
    assert(!m || m->dim_count == 0);
    if (m && m->status == ND_OK && choose(m, "passes off", o->off, off))
        choose(m, "dump after", o->dump_after, dump);
    for (int i = 0; i < COUNT && m && m->status == ND_OK; i++) {
        if (off[i])
            continue;
        if (pipeline[i].where(m)) {
            nd_module *next = pipeline[i].run(m);
            if (next) /* the pass after it has the memory of the one before: the system is slow to hand it over */
                nd__arena_hand_on(&next->arena, &m->arena);
            nd_module_destroy(m);
            m = next;
            if (m && look)
                verify(m, pipeline[i].name);
        }
        if (m && m->status == ND_OK && dump[i] && o->dump)
            print(m, pipeline[i].name, o->dump);
    }
    return m;
}
