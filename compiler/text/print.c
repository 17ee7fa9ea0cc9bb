/* Modules as text: doc/text.md. */
#include "compiler/text/show.h"
#include "nadir/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct printer {
    nd__shown shown;
    const nd_module *m;
    nd__text out;
    bool *printed; /* functions, by number */
} printer;

static void put(printer *p, const char *text)
{
    nd__text_add_bytes(&p->out, text, strlen(text));
}

static void put_values(printer *p, int n, nd_value *const *values)
{
    for (int i = 0; i < n; i++) {
        put(p, i ? ", " : "");
        nd__show_value(&p->shown, &p->out, values[i]);
    }
}

/* -- statements ---------------------------------------------------------------------------------------------------- */

static void put_updates(printer *p, int n, const nd__update *updates)
{
    for (int i = 0; i < n; i++) {
        put(p, "  ");
        nd__show_value(&p->shown, &p->out, updates[i].variable->read);
        put(p, " := ");
        nd__show_value(&p->shown, &p->out, updates[i].value);
        put(p, "\n");
    }
}

static void put_function(printer *p, const nd_function *f)
{
    if (p->printed[f->number])
        return;
    p->printed[f->number] = true;
    nd__text_add(&p->out, "%s %s(", f->body ? "body" : "fn", f->name);
    put_values(p, f->input_count, f->inputs);
    put(p, ") -> (");
    put_values(p, f->output_count, f->outputs);
    put(p, f->update_count > 0 ? ") {\n" : ")\n");
    put_updates(p, f->update_count, f->updates);
    put(p, f->update_count > 0 ? "}\n" : "");
}

static void put_node(printer *p, const nd__node *n)
{
    /* A function is printed before the first node that runs it. */
    for (int i = 0; i < n->attr_count; i++)
        if (n->attrs[i].function)
            put_function(p, n->attrs[i].function);
    for (int i = 0; i < n->result_count; i++) {
        const nd_value *v = &n->results[i];
        put(p, i ? ", " : "");
        nd__show_value(&p->shown, &p->out, v);
        if (*v->name && !nd__is_shown_by_name(&p->shown, v)) {
            put(p, " ");
            nd__show_string(&p->out, v->name);
        }
        put(p, ": ");
        nd__show_type_text(&p->out, p->m, v->dtype, &v->shape);
    }
    put(p, " = ");
    put(p, nd__ops[n->op].name);
    put(p, n->input_count > 0 ? " " : "");
    put_values(p, n->input_count, n->inputs);
    for (int i = 0; i < n->attr_count; i++)
        nd__show_attribute(&p->shown, &p->out, n, &n->attrs[i]);
    put(p, "\n");
}

static void put_initial_values(printer *p)
{
    bool any = p->shown.seed;
    for (int i = 0; i < p->m->variable_count; i++)
        any |= p->m->variables[i]->initial != NULL;
    if (!any)
        return;
    put(p, "\ninit(");
    put_values(p, p->shown.seed, &p->m->seed_input);
    put(p, ") {\n");
    for (int i = 0; i < p->m->variable_count; i++)
        if (p->m->variables[i]->initial)
            put_updates(p, 1, &(nd__update){.variable = p->m->variables[i], .value = p->m->variables[i]->initial});
    put(p, "}\n");
}

static void put_module(printer *p)
{
    const nd_module *m = p->m;
    nd__text_add(&p->out, "nadir 1\nmodule %s seed=%" PRIu64 "\n", m->name, m->seed);
    for (int i = 0; i < m->dim_count; i++)
        nd__text_add(&p->out, "dim %s=%" PRId64 "\n", m->dims[i].name, m->dims[i].value);
    put(p, m->node_count > 0 ? "\n" : "");
    for (int i = 0; i < m->node_count; i++)
        if (p->shown.nodes[i])
            put_node(p, m->nodes[i]);
    put_initial_values(p);
    for (int i = 0; i < m->function_count; i++)
        if (nd__is_entry(m->functions[i]) && !p->printed[i]) {
            put(p, "\n");
            put_function(p, m->functions[i]);
        }
}

char *nd_module_to_text(nd_module *m)
{
    if (nd_module_status(m) != ND_OK)
        return NULL;
    printer p = {.m = m};
    if (nd__shown_begin(&p.shown, m))
        p.printed = nd__arena_alloc(&p.shown.scratch, (size_t)m->function_count, sizeof *p.printed);
    if (p.printed)
        put_module(&p);
    const bool failed = !p.printed || p.out.failed;
    nd__shown_end(&p.shown);
    if (failed)
        nd__text_release(&p.out);
    return p.out.data;
}

nd_status nd_module_print(nd_module *m, FILE *out)
{
    if (nd_module_status(m) != ND_OK)
        return nd_module_status(m);
    if (!out)
        return ND_ERR_ARGUMENT;
    char *text = nd_module_to_text(m);
    if (!text)
        return ND_ERR_MEMORY;
    const bool written = fputs(text, out) >= 0 && fflush(out) == 0;
    free(text);
    return written ? ND_OK : ND_ERR_IO;
}
