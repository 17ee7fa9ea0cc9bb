/* Alternatives of tiles and orders, measured.
 *
 * The functions are scheduled again and again, each time with the next alternative of every kernel that has a choice,
 * and what came of it, kernel and copies, is compiled and run alone. So as many kernels are tried at once as there are,
 * and what is timed is what the schedule makes of a choice, epilogue and all. The data are zeros, which slow nothing
 * down, as subnormals would.
 *
 * The least of many short runs counts, which interruptions do not touch. What seems faster than the usual choice is
 * measured again, in turn with it, and has to be faster by more than noise: else the usual one stays. */
#include "compiler/interp/interp.h"
#include "compiler/tuning.h"
#include "runtime/tensor.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGN = 64, LEAST_RUNS = 5, MOST_RUNS = 50, CONFIRMATIONS = 2 };
static const double run_ms = 2, worth = 0.98; /* how long one is run; what is faster by less is noise */
static const double small_ms = 5e-3;          /* kernels that take less are left alone */

/* What is measured for one choice of the table; milliseconds, 0: not yet. */
typedef struct trial {
    bool wanted, measured; /* at all; in this round */
    nd__choice usual, other;
    double usual_ms, other_ms; /* other: the best of them */
} trial;

typedef struct tuner {
    nd__lowered *l;
    const char *without;
    trial *trials; /* by number of the choice */
    int trial_count;
    nd__arena arena; /* of this round */
    nd__plan *plans; /* what came of one choice each, */
    int *numbers;    /* and its number */
    int count, room, number_room;
    bool complete; /* all alternatives were measured */
} tuner;

static int number_of(const nd__choices *choices, const char *key)
{
    const nd__tuned *tuned = nd__choices_find(choices, key, strlen(key));
    int i = 0;
    while (i < choices->count && choices->items[i] != tuned)
        i++;
    return i;
}

/* -- what is measured --------------------------------------------------------------------------------------------- */

/* Adds a plan of `count` steps that are to be run by themselves; those of loops, in the first turn. */
static bool add_plan(tuner *t, const nd__plan *plan, const nd__step *steps, int count, int number)
{
    nd__step *alone = nd__arena_alloc(&t->arena, (size_t)count, sizeof *alone);
    if (!alone || !nd__arena_grow(&t->arena, &t->plans, &t->room, t->count + 1, sizeof *t->plans) ||
        !nd__arena_grow(&t->arena, &t->numbers, &t->number_room, t->count + 1, sizeof *t->numbers))
        return false;
    for (int i = 0; i < count; i++) {
        const nd__kernel *k = plan->kernels[steps[i].kernel];
        alone[i] = steps[i];
        alone[i].args = nd__arena_alloc(&t->arena, (size_t)k->buffer_count, sizeof *alone[i].args);
        if (!alone[i].args)
            return false;
        for (int b = 0, a = 0; b < k->buffer_count; b++)
            if (k->buffers[b].access != ND__K_TABLE) {
                alone[i].args[a] = steps[i].args[a];
                memset(alone[i].args[a++].stride, 0, sizeof alone->args->stride);
            }
    }
    t->plans[t->count] = *plan;
    t->plans[t->count].steps = (nd__steps){alone, count, count};
    t->numbers[t->count++] = number;
    return true;
}

/* Looks for what came of choices: neighbours, of which at least one computes. */
static bool collect(tuner *t, const nd__plan *plan, const nd__steps *steps)
{
    for (int i = 0, next; i < steps->count; i = next) {
        const nd__step *step = &steps->items[i];
        bool computes = false;
        if (!collect(t, plan, &step->body) || !collect(t, plan, &step->other))
            return false;
        for (next = i; next < steps->count && step->made && steps->items[next].made == step->made; next++)
            computes = computes || plan->kernels[steps->items[next].kernel]->flops > 0;
        if (next == i)
            next = i + 1;
        const int number = computes ? number_of(&t->l->choices, step->made->key) : t->trial_count;
        if (number >= t->trial_count || !t->trials[number].wanted || t->trials[number].measured)
            continue;
        t->trials[number].measured = true;
        if (!add_plan(t, plan, step, next - i, number))
            return false;
    }
    return true;
}

/* -- measuring ---------------------------------------------------------------------------------------------------- */

/* What a plan is called with, all zeros: one block of memory. */
typedef struct arguments {
    nd__storage *block;
    void *state, *arena, **in, **out;
} arguments;

/* Where the next so many bytes of the block begin. */
static size_t place(size_t *size, size_t bytes)
{
    const size_t at = *size;
    *size += (bytes / ALIGN + 1) * ALIGN;
    return at;
}

/* The places of inputs or outputs, behind the state; 0: it is not used. NULL: memory ran out. */
static size_t *place_ports(tuner *t, const nd__plan *plan, nd__where where, int count, size_t *size)
{
    size_t *places = nd__arena_alloc(&t->arena, (size_t)count, sizeof *places);
    for (int i = 0; places && i < plan->buffer_count; i++) {
        const nd__buffer *b = &plan->buffers[i];
        if (b->where == where && places[b->index] == 0)
            places[b->index] = place(size, (size_t)b->elems * nd_dtype_size(b->dtype));
    }
    return places;
}

static void **pointers_to(tuner *t, unsigned char *data, const size_t *places, int count)
{
    void **pointers = nd__arena_alloc(&t->arena, (size_t)count, sizeof *pointers);
    for (int i = 0; pointers && i < count; i++)
        pointers[i] = data + places[i];
    return pointers;
}

/* false: memory ran out. The block is the caller's. */
static bool make_arguments(tuner *t, const nd__plan *plan, arguments *a)
{
    const nd_module *m = t->l->m;
    size_t size = 0, *offsets = nd__arena_alloc(&t->arena, (size_t)m->variable_count, sizeof *offsets);
    *a = (arguments){.block = NULL};
    if (!offsets)
        return false;
    place(&size, nd__state_layout(m, offsets));
    const size_t arena = place(&size, (size_t)(plan->arena_size + plan->worker_size));
    const size_t *in = place_ports(t, plan, ND__IN_INPUT, plan->input_count, &size);
    const size_t *out = place_ports(t, plan, ND__IN_OUTPUT, plan->output_count, &size);
    a->block = in && out ? nd__storage_create(size) : NULL;
    if (!a->block)
        return false;
    unsigned char *data = nd__storage_data(a->block);
    a->state = data;
    a->arena = data + arena;
    a->in = pointers_to(t, data, in, plan->input_count);
    a->out = pointers_to(t, data, out, plan->output_count);
    return a->in && a->out;
}

static double least_time(nd_entry entry, const arguments *a)
{
    const double begin = nd__milliseconds();
    double least = 0;
    for (int i = 0; i < MOST_RUNS && (i < LEAST_RUNS || nd__milliseconds() - begin < run_ms); i++) {
        const double before = nd__milliseconds();
        entry(a->state, a->arena, (const void *const *)a->in, a->out);
        const double took = nd__milliseconds() - before;
        least = i == 0 || took < least ? took : least;
    }
    return least;
}

/* The first choice that is measured is the usual one. */
static void note(trial *x, const nd__choice *made, double ms)
{
    if (x->usual_ms == 0)
        x->usual = *made;
    if (nd__choice_equal(made, &x->usual)) {
        x->usual_ms = x->usual_ms == 0 || ms < x->usual_ms ? ms : x->usual_ms;
    } else if (x->other_ms == 0 || ms < x->other_ms) {
        x->other_ms = ms;
        x->other = *made;
    }
}

/* The choice that some steps came of: they may begin with a copy. */
static nd_status measure(tuner *t, const nd__plan *plan, nd__message *message)
{
    char text[ND__MESSAGE] = "";
    arguments given;
    nd__native *native = NULL;
    nd_status status = ND_OK;
    const nd__plan **pointers = nd__arena_alloc(&t->arena, (size_t)t->count, sizeof *pointers);
    if (!make_arguments(t, plan, &given) || !pointers)
        status = nd__no_memory(message);
    for (int i = 0; i < t->count && status == ND_OK; i++)
        pointers[i] = &t->plans[i];
    if (status == ND_OK) {
        status = nd__native_compile(pointers, t->count, &t->l->target, &native, text, sizeof text);
        if (status != ND_OK)
            nd__message_set(message, status, "%s", text);
    }
    for (int i = 0; i < t->count && status == ND_OK; i++)
        note(&t->trials[t->numbers[i]], &t->plans[i].steps.items[0].made->choice,
             least_time(nd__native_entry(native, i), &given));
    nd__native_destroy(native);
    nd__storage_release(given.block);
    return status;
}

/* -- rounds ------------------------------------------------------------------------------------------------------- */

/* Measures all that came of wanted choices, of each what it meets first. */
static nd_status measure_plans(tuner *t, nd__message *message)
{
    nd_status status = ND_OK;
    for (int i = 0; i < t->trial_count; i++)
        t->trials[i].measured = false;
    for (int i = 0; i < t->l->count && status == ND_OK; i++) {
        t->plans = NULL;
        t->numbers = NULL;
        t->count = t->room = t->number_room = 0;
        if (!collect(t, t->l->plans[i], &t->l->plans[i]->steps))
            status = nd__no_memory(message);
        else if (t->count > 0)
            status = measure(t, t->l->plans[i], message);
        nd__arena_release(&t->arena);
        t->arena = (nd__arena){0};
    }
    return status;
}

/* With the choices as they stand. */
static nd_status run_round(tuner *t, nd__message *message)
{
    nd_status status = nd__lower_functions(t->l, t->without, message);
    if (status == ND_OK)
        status = measure_plans(t, message);
    nd__lowered_drop_plans(t->l);
    return status;
}

/* The usual choices, while the table collects what else there is. */
static nd_status first_round(tuner *t, nd__message *message)
{
    nd__choices *choices = &t->l->choices;
    choices->collects = true;
    nd_status status = nd__lower_functions(t->l, t->without, message);
    choices->collects = false;
    t->trials = calloc((size_t)choices->count + 1, sizeof *t->trials);
    if (status == ND_OK && !t->trials)
        status = nd__no_memory(message);
    t->trial_count = t->trials ? choices->count : 0;
    for (int i = 0; i < t->trial_count; i++)
        t->trials[i].wanted = !choices->items[i]->set;
    if (status == ND_OK)
        status = measure_plans(t, message);
    nd__lowered_drop_plans(t->l);
    for (int i = 0; i < t->trial_count; i++)
        t->trials[i].wanted = t->trials[i].usual_ms >= small_ms;
    return status;
}

static void set(nd__tuned *tuned, const nd__choice *choice)
{
    tuned->set = choice;
    if (choice)
        tuned->choice = *choice;
}

/* Sets the n-th alternative of each; false: none has so many. */
static bool set_alternatives(tuner *t, int n)
{
    bool any = false;
    for (int i = 0; i < t->trial_count; i++) {
        nd__tuned *tuned = t->l->choices.items[i];
        if (!t->trials[i].wanted)
            continue;
        set(tuned, n < tuned->found_count ? &tuned->found[n].choice : NULL);
        any = any || tuned->set;
    }
    return any;
}

static bool is_better(const trial *x)
{
    return x->other_ms > 0 && x->other_ms < worth * x->usual_ms;
}

/* What seems better, in turn with the usual. */
static nd_status confirm(tuner *t, nd__message *message)
{
    nd_status status = ND_OK;
    bool any = false;
    for (int i = 0; i < t->trial_count; i++) {
        t->trials[i].wanted = t->trials[i].wanted && is_better(&t->trials[i]);
        any = any || t->trials[i].wanted;
    }
    for (int turn = 0; any && turn < 2 * CONFIRMATIONS && status == ND_OK; turn++) {
        for (int i = 0; i < t->trial_count; i++)
            if (t->trials[i].wanted)
                set(t->l->choices.items[i], turn % 2 ? &t->trials[i].other : &t->trials[i].usual);
        status = run_round(t, message);
    }
    return status;
}

/* Of a search that was cut short only what is better stays, so that the next one looks at the others again. */
static bool settle(tuner *t)
{
    nd__choices *choices = &t->l->choices;
    for (int i = 0; i < t->trial_count; i++) {
        const trial *x = &t->trials[i];
        nd__tuned *tuned = choices->items[i];
        if (x->usual_ms == 0) /* it was there before */
            continue;
        set(tuned, is_better(x) ? &x->other : x->usual_ms >= small_ms && t->complete ? &x->usual : NULL);
        tuned->note = is_better(x) ? nd__arena_format(&choices->arena, "%.1f us, %.1f us before", 1e3 * x->other_ms,
                                                      1e3 * x->usual_ms)
                                   : nd__arena_format(&choices->arena, "%.1f us, as before", 1e3 * x->usual_ms);
        if (!tuned->note)
            return false;
    }
    return true;
}

nd_status nd__tune(nd__lowered *l, const char *without, double milliseconds, nd__message *message)
{
    const double begin = nd__milliseconds();
    tuner t = {.l = l, .without = without};
    nd_status status = first_round(&t, message);
    for (int n = 0; status == ND_OK && nd__milliseconds() - begin < milliseconds && !t.complete; n++) {
        t.complete = !set_alternatives(&t, n);
        if (!t.complete)
            status = run_round(&t, message);
    }
    if (status == ND_OK)
        status = confirm(&t, message);
    if (status == ND_OK && !settle(&t))
        status = nd__no_memory(message);
    free(t.trials);
    return status;
}

nd_status nd__tune_by_options(nd__lowered *l, const nd_compile_options *options, const char *without,
                              nd__message *message)
{
    const char *path = options->tune_file;
    const bool measures = options->tune_ms > 0;
    if (!(options->tune_ms >= 0))
        return nd__message_set(message, ND_ERR_ARGUMENT, "tuning takes a number of milliseconds from 0");
    if (measures && !path)
        return nd__message_set(message, ND_ERR_ARGUMENT, "tuning needs a file that keeps what it finds");
    if (!path)
        return ND_OK;
    nd__target_processor(&l->target, l->choices.cpu, sizeof l->choices.cpu);
    l->target.choices = &l->choices;
    nd_status status = nd__tuning_read(&l->choices, path, measures, message);
    if (status == ND_OK && measures)
        status = nd__tune(l, without, options->tune_ms, message);
    if (status == ND_OK && measures)
        status = nd__tuning_write(&l->choices, path, message);
    return status;
}
