/* Plans as text for people: `nadir plan`. Tables of at most 120 columns unless names are long. */
#include "compiler/schedule/cost.h"
#include "compiler/schedule/schedule.h"

#include <inttypes.h>
#include <string.h>

enum { COLUMNS = 120, LABEL = 34, DOMAIN = 28, PICTURE = 48 };

typedef struct printer {
    const nd__plan *plan;
    FILE *out;
    int column; /* where words are put next */
} printer;

/* -- units -------------------------------------------------------------------------------------------------------- */

enum { UNIT_TEXT = 32 };

/* Three digits and a prefix. */
static const char *scaled(char text[UNIT_TEXT], double value, double base, const char *const *units)
{
    int u = 0;
    while (units[u + 1] && value >= base - 0.5) {
        value /= base;
        u++;
    }
    int places = u == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
    snprintf(text, UNIT_TEXT, "%.*f %s", places, value, units[u]);
    return text;
}

static const char *flops_text(char text[UNIT_TEXT], int64_t flops)
{
    static const char *const units[] = {"flop", "kflop", "Mflop", "Gflop", "Tflop", "Pflop", NULL};
    return scaled(text, (double)flops, 1000, units);
}

static const char *bytes_text(char text[UNIT_TEXT], int64_t bytes)
{
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB", NULL};
    return scaled(text, (double)bytes, 1024, units);
}

/* Of cycles, as the clock of the cost model counts them; "-": there is no estimate. */
static const char *time_text(char text[UNIT_TEXT], double cycles)
{
    static const char *const units[] = {"ns", "us", "ms", "s", NULL};
    if (cycles <= 0)
        return strcpy(text, "-");
    return scaled(text, cycles * 1000 / ND__CYCLES_A_MICROSECOND, 1000, units);
}

static int64_t bytes_of(const nd__buffer *b)
{
    return b->elems * (int64_t)nd_dtype_size(b->dtype);
}

/* A buffer without a name: "out0" as the program calls an output, else by its number. */
static const char *name_text(char text[UNIT_TEXT], const nd__plan *plan, int buffer)
{
    const nd__buffer *b = &plan->buffers[buffer];
    if (b->name && b->name[0])
        return b->name;
    if (b->where == ND__IN_OUTPUT)
        snprintf(text, UNIT_TEXT, "out%d", b->index);
    else
        snprintf(text, UNIT_TEXT, "#%d", buffer);
    return text;
}

static const char *plural(int64_t n)
{
    return n == 1 ? "" : "s";
}

/* -- domains ------------------------------------------------------------------------------------------------------ */

static int64_t block_size(const nd__kblock *block, int *lanes)
{
    int64_t n = 0;
    for (const nd__kinst *i = block->first; i; i = i->next) {
        n += 1 + block_size(&i->body, lanes) + block_size(&i->other, lanes);
        if (i->type.lanes > *lanes)
            *lanes = i->type.lanes;
    }
    return n;
}

/* The largest loop of a block or of the branches in it; `most`: instructions of the largest so far. */
static const nd__kinst *larger_loop(const nd__kblock *block, const nd__kinst *largest, int64_t *most)
{
    int lanes = 1;
    for (const nd__kinst *i = block->first; i; i = i->next) {
        const int64_t size = i->op == ND__K_for ? block_size(&i->body, &lanes) : -1;
        if (i->op == ND__K_if)
            largest = larger_loop(&i->other, larger_loop(&i->body, largest, most), most);
        if (size > *most) {
            *most = size;
            largest = i;
        }
    }
    return largest;
}

static const nd__kinst *largest_loop(const nd__kblock *block)
{
    int64_t most = -1;
    return larger_loop(block, NULL, &most);
}

/* The loops around most of the work, outermost first: "32 by 4, 128 by 64, 784", and the widest vector: "x16"; before
 * them, "8 *", how many chunks do that. */
static void domain_text(char *text, size_t size, const nd__kernel *k, int chunks)
{
    size_t used = 0;
    int lanes = 1;
    text[0] = '\0';
    if (chunks > 1)
        used = (size_t)snprintf(text, size, "%d * ", chunks);
    for (const nd__kinst *f = largest_loop(&k->body); f; f = largest_loop(&f->body)) {
        const char *comma = f == largest_loop(&k->body) ? "" : ", ";
        int n;
        if (f->lo->count || f->hi->count)
            n = snprintf(text + used, size - used, "%s..", comma);
        else if (f->step == 1)
            n = snprintf(text + used, size - used, "%s%" PRId64, comma, f->hi->constant - f->lo->constant);
        else
            n = snprintf(text + used, size - used, "%s%" PRId64 " by %" PRId64, comma,
                         f->hi->constant - f->lo->constant, f->step);
        if (n < 0 || (size_t)n >= size - used)
            return;
        used += (size_t)n;
    }
    block_size(&k->body, &lanes);
    if (lanes > 1)
        snprintf(text + used, size - used, "%sx%d", used ? "  " : "", lanes);
}

/* -- words, wrapped ----------------------------------------------------------------------------------------------- */

static void put_word(printer *p, int indent, const char *word)
{
    int length = (int)strlen(word);
    if (p->column > indent && p->column + 1 + length > COLUMNS) {
        fprintf(p->out, "\n%*s", indent, "");
        p->column = indent;
    } else if (p->column > indent) {
        fputc(' ', p->out);
        p->column++;
    }
    fputs(word, p->out);
    p->column += length;
}

/* "name", "name[16 t0 + 4]" where only a part of it is meant, and its place. */
static void argument_text(const printer *p, const nd__karg *arg, char *text, size_t size)
{
    const nd__buffer *b = &p->plan->buffers[arg->buffer];
    char at[160] = "";
    size_t used = 0;
    bool any = false;
    for (int d = 0; d < ND__MAX_NEST && used < sizeof at; d++)
        if (arg->stride[d] != 0) {
            int64_t s = arg->stride[d];
            char factor[24] = "";
            if (s != 1 && s != -1)
                snprintf(factor, sizeof factor, "%" PRId64 " ", s < 0 ? -s : s);
            used += (size_t)snprintf(at + used, sizeof at - used, "%s%" PRId64 " t%d",
                                     any     ? s < 0 ? " - " : " + "
                                     : s < 0 ? "-"
                                             : "",
                                     s < 0 ? -s : s, d);
            any = true;
        }
    if (arg->offset != 0 && used < sizeof at)
        snprintf(at + used, sizeof at - used, "%s%" PRId64, any ? arg->offset < 0 ? " - " : " + " : "",
                 any && arg->offset < 0 ? -arg->offset : arg->offset);
    char unnamed[UNIT_TEXT];
    const char *name = name_text(unnamed, p->plan, arg->buffer), *open = at[0] ? "[" : "", *close = at[0] ? "]" : "";
    static const char *const places[] = {[ND__IN_STATE] = "state",
                                         [ND__IN_INPUT] = "input",
                                         [ND__IN_OUTPUT] = "output",
                                         [ND__IN_WORKER] = "worker",
                                         [ND__IN_CONST] = "constant"};
    if (b->where == ND__IN_ARENA)
        snprintf(text, size, "%s%s%s%s @%" PRId64, name, open, at, close, b->offset);
    else
        snprintf(text, size, "%s%s%s%s (%s)", name, open, at, close, places[b->where]);
}

/* The buffer in whose place the step writes this one; -1: none. */
static int in_place_of(const nd__plan *plan, const nd__step *step, int written)
{
    for (int i = 0; i < step->sharing_count; i++) {
        const nd__sharing *s = &step->sharing[i];
        const nd__buffer *w = &plan->buffers[s->written], *r = &plan->buffers[s->read];
        if (s->written == written && w->where == ND__IN_ARENA && r->where == ND__IN_ARENA && w->offset == r->offset &&
            w->first == step->number && r->last == step->number)
            return s->read;
    }
    return -1;
}

static void print_arguments(printer *p, const nd__step *step, int indent)
{
    static const struct {
        nd__kaccess access;
        const char *verb;
    } groups[] = {{ND__K_IN, "reads"}, {ND__K_INOUT, "updates"}, {ND__K_OUT, "writes"}, {ND__K_SCRATCH, "scratch"}};
    const nd__kernel *k = p->plan->kernels[step->kernel];
    p->column = 0;
    for (size_t g = 0; g < sizeof groups / sizeof *groups; g++) {
        const char *before = groups[g].verb;
        const nd__karg *arg = step->args;
        for (int i = 0; i < k->buffer_count; i++) {
            if (k->buffers[i].access == ND__K_TABLE)
                continue;
            if (k->buffers[i].access != groups[g].access) {
                arg++;
                continue;
            }
            char text[320], word[512];
            argument_text(p, arg, text, sizeof text);
            int read = groups[g].access == ND__K_OUT ? in_place_of(p->plan, step, arg->buffer) : -1;
            char unnamed[UNIT_TEXT];
            const char *name = read >= 0 ? name_text(unnamed, p->plan, read) : "";
            bool first = before[0] != '\0';
            if (p->column == 0)
                p->column = fprintf(p->out, "%*s", indent, "");
            else
                p->column += fprintf(p->out, first ? ";" : ",");
            snprintf(word, sizeof word, "%s%s%s%s%s", before, first ? " " : "", text, read >= 0 ? " in place of " : "",
                     read >= 0 ? name : "");
            put_word(p, indent, word);
            before = "";
            arg++;
        }
    }
    if (p->column)
        fputc('\n', p->out);
}

/* -- steps -------------------------------------------------------------------------------------------------------- */

static void print_steps(printer *p, const nd__steps *steps, int nest, int indent);

static void print_kernel_step(printer *p, const nd__step *step, int indent)
{
    const nd__kernel *k = p->plan->kernels[step->kernel];
    char domain[64], flops[UNIT_TEXT], bytes[UNIT_TEXT], time[UNIT_TEXT], choice[ND__CHOICE_TEXT];
    int64_t flops_moved = 0, bytes_moved = 0;
    domain_text(domain, sizeof domain, k, step->chunks);
    nd__plan_count(p->plan, step, 1, &flops_moved, &bytes_moved);
    fprintf(p->out, "%4d  %*s%-*s %-*s %11s %9s %8s  %s\n", step->number, indent, "", LABEL - indent,
            step->label ? step->label : "", DOMAIN, domain, flops_text(flops, flops_moved),
            bytes_text(bytes, bytes_moved), time_text(time, step->cycles), k->name ? k->name : "");
    if (step->made && k->flops > 0)
        fprintf(p->out, "%*s%s\n", 6 + indent + 4, "", nd__choice_text(choice, step->made->kind, &step->made->choice));
    print_arguments(p, step, 6 + indent + 4);
}

static void print_steps(printer *p, const nd__steps *steps, int nest, int indent)
{
    for (int i = 0; i < steps->count; i++) {
        const nd__step *step = &steps->items[i];
        const char *label = step->label ? step->label : "", *space = label[0] ? "  " : "";
        if (step->kind == ND__STEP_KERNEL) {
            print_kernel_step(p, step, indent);
        } else if (step->kind == ND__STEP_LOOP) {
            fprintf(p->out, "%4d  %*sloop t%d = 0..%" PRId64 "%s%s\n", step->number, indent, "", nest, step->length,
                    space, label);
            print_steps(p, &step->body, nest + 1, indent + 2);
        } else {
            char flag[320];
            argument_text(p, &step->args[0], flag, sizeof flag);
            fprintf(p->out, "%4d  %*sif %s%s%s\n", step->number, indent, "", flag, space, label);
            print_steps(p, &step->body, nest, indent + 2);
            if (step->other.count > 0)
                fprintf(p->out, "      %*selse\n", indent, "");
            print_steps(p, &step->other, nest, indent + 2);
        }
    }
}

static int count_steps(const nd__steps *steps)
{
    int n = steps->count;
    for (int i = 0; i < steps->count; i++)
        n += count_steps(&steps->items[i].body) + count_steps(&steps->items[i].other);
    return n;
}

static int count_calls(const nd__steps *steps, int kernel)
{
    int n = 0;
    for (int i = 0; i < steps->count; i++) {
        const nd__step *step = &steps->items[i];
        n += step->kind == ND__STEP_KERNEL && (kernel < 0 || step->kernel == kernel);
        n += count_calls(&step->body, kernel) + count_calls(&step->other, kernel);
    }
    return n;
}

/* -- buffers ------------------------------------------------------------------------------------------------------ */

static bool is_mapped(const nd__buffer *b)
{
    return b->where == ND__IN_ARENA && b->first >= 0;
}

/* Whether the map shows a before b: by offset, then by time. */
static bool maps_before(const nd__plan *plan, int a, int b)
{
    const nd__buffer *x = &plan->buffers[a], *y = &plan->buffers[b];
    if (x->offset != y->offset)
        return x->offset < y->offset;
    return x->first != y->first ? x->first < y->first : a < b;
}

/* The one that comes after `last` in the map (-1: the first); -1: none. Printing takes no memory, hence no sorting. */
static int next_in_map(const nd__plan *plan, int last)
{
    int next = -1;
    for (int i = 0; i < plan->buffer_count; i++)
        if (is_mapped(&plan->buffers[i]) && (last < 0 || maps_before(plan, last, i)) &&
            (next < 0 || maps_before(plan, i, next)))
            next = i;
    return next;
}

static void print_map(const printer *p, int steps)
{
    const nd__plan *plan = p->plan;
    int i = next_in_map(plan, -1), each = (steps + PICTURE - 1) / PICTURE; /* steps of one column */
    char size[UNIT_TEXT];
    if (i < 0)
        return;
    fprintf(p->out, "\narena%*soffset      size  %-26s %11s  alive", 7, "", "buffer", "steps");
    if (each > 1)
        fprintf(p->out, " (a column is %d steps)", each);
    fputc('\n', p->out);
    for (; i >= 0; i = next_in_map(plan, i)) {
        const nd__buffer *b = &plan->buffers[i];
        char lived[32], unnamed[UNIT_TEXT], picture[PICTURE + 1];
        snprintf(lived, sizeof lived, "%d..%d", b->first, b->last);
        int columns = (steps + each - 1) / each;
        for (int c = 0; c < columns; c++)
            picture[c] = b->first <= c * each + each - 1 && b->last >= c * each ? '#' : '.';
        picture[columns] = '\0';
        fprintf(p->out, "%18" PRId64 " %9s  %-26s %11s  %s\n", b->offset, bytes_text(size, bytes_of(b)),
                name_text(unnamed, plan, i), lived, picture);
    }
}

/* The buffers of one kind outside the arena. */
static void print_outside(const printer *p, nd__where where, const char *title)
{
    bool any = false;
    for (int i = 0; i < p->plan->buffer_count; i++) {
        const nd__buffer *b = &p->plan->buffers[i];
        char size[UNIT_TEXT], unnamed[UNIT_TEXT], type[48], place[48] = "";
        if (b->where != where)
            continue;
        if (!any)
            fprintf(p->out, "\n%s\n", title);
        any = true;
        if (where == ND__IN_STATE)
            snprintf(place, sizeof place, "%" PRId64, b->offset);
        else if (where != ND__IN_CONST)
            snprintf(place, sizeof place, "%d", b->index);
        snprintf(type, sizeof type, "%s[%" PRId64 "]", nd_dtype_name(b->dtype), b->elems);
        fprintf(p->out, "%18s %9s  %-26s %s\n", place, bytes_text(size, bytes_of(b)), name_text(unnamed, p->plan, i),
                type);
    }
}

/* -- all ---------------------------------------------------------------------------------------------------------- */

static void print_kernels(const printer *p, bool bodies)
{
    if (p->plan->kernel_count > 0)
        fprintf(p->out, "\nkernels%11s %9s  name\n", "calls", "size");
    for (int i = 0; i < p->plan->kernel_count; i++) {
        const nd__kernel *k = p->plan->kernels[i];
        fprintf(p->out, "%18d %9" PRId64 "  %s\n", count_calls(&p->plan->steps, i), nd__k_size(k),
                k->name ? k->name : "");
    }
    for (int i = 0; i < p->plan->kernel_count && bodies; i++) {
        fputc('\n', p->out);
        nd__k_print(p->plan->kernels[i], p->out);
    }
}

static void print_totals(const printer *p)
{
    const nd__plan *plan = p->plan;
    char flops[UNIT_TEXT], bytes[UNIT_TEXT], size[UNIT_TEXT], least[UNIT_TEXT];
    fprintf(p->out, "\none call: %s, %s read and written", flops_text(flops, plan->flops),
            bytes_text(bytes, plan->bytes));
    if (plan->bytes > 0)
        fprintf(p->out, ", %.1f flop per byte", (double)plan->flops / (double)plan->bytes);
    if (plan->cycles > 0)
        fprintf(p->out, "\nestimate: %s on one thread at %.1f GHz", time_text(size, plan->cycles),
                ND__CYCLES_A_MICROSECOND * 1e-3);
    fprintf(p->out, "\narena: %s; at most %s alive at once", bytes_text(size, plan->arena_size),
            bytes_text(least, plan->lower_bound));
    if (plan->lower_bound > 0)
        fprintf(p->out, ": %.3f times that", (double)plan->arena_size / (double)plan->lower_bound);
    fprintf(p->out, "\n1 KB = 1024 bytes; offsets are bytes; sizes of kernels are instructions\n");
}

void nd__plan_print(const nd__plan *plan, bool kernels, FILE *out)
{
    if (!plan)
        return;
    printer p = {plan, out, 0};
    int steps = count_steps(&plan->steps), calls = count_calls(&plan->steps, -1);
    fprintf(out, "plan of %s: %d step%s, %d call%s of %d kernel%s\n", plan->name, steps, plural(steps), calls,
            plural(calls), plan->kernel_count, plural(plan->kernel_count));
    if (steps > 0)
        fprintf(out, "\n%4s  %-*s %-*s %11s %9s %8s  %s\n", "step", LABEL, "computes", DOMAIN, "loops  vector", "flops",
                "bytes", "estimate", "kernel");
    print_steps(&p, &plan->steps, 0, 0);
    print_map(&p, steps);
    print_outside(&p, ND__IN_STATE, "state       offset      size  variable");
    print_outside(&p, ND__IN_INPUT, "inputs      number      size  name");
    print_outside(&p, ND__IN_OUTPUT, "outputs     number      size  name");
    print_outside(&p, ND__IN_CONST, "constants               size  name");
    print_kernels(&p, kernels);
    print_totals(&p);
}
