/* Modules as text: doc/text.md. */
#include "compiler/lowered.h"
#include "compiler/text/apart.h"
#include "compiler/text/show.h"
#include "nadir/text.h"
#include "runtime/file.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct printer {
    nd__shown shown;
    const nd_module *m;
    nd__text out;
    bool *printed; /* functions, by number */
    /* Large constants, where they have a file of their own. */
    const nd__node **apart; /* NULL: all print */
    const char **apart_names;
    int apart_count;
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

/* Whether the attribute is the elements of a constant that go apart: then they do, under the constant's label. */
static bool put_apart(printer *p, const nd__node *n, const nd__attr *a)
{
    if (!p->apart || n->op != ND__OP_constant || a->key != ND__A_data || !nd__is_apart(a->data))
        return false;
    nd__text label = {0};
    nd__show_value(&p->shown, &label, &n->results[0]);
    const char *name = label.failed ? NULL : nd__arena_text(&p->shown.scratch, label.data + 1, label.used - 1);
    nd__text_release(&label);
    if (!name) {
        p->out.failed = true;
        return true;
    }
    p->apart[p->apart_count] = n;
    p->apart_names[p->apart_count++] = name;
    nd__text_add(&p->out, " file(\"%s\", 0x%" PRIx64 ")", name, nd__apart_sum(a->data));
    return true;
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
        if (!put_apart(p, n, &n->attrs[i]))
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

/* The module as text; a name for what goes apart has no character that a string would escape. False: memory ran out.
 * To be released in any case. */
static bool print(printer *p, nd_module *m, bool apart)
{
    *p = (printer){.m = m};
    bool good = nd__shown_begin(&p->shown, m);
    if (good)
        p->printed = nd__arena_alloc(&p->shown.scratch, (size_t)m->function_count, sizeof *p->printed);
    good = good && p->printed;
    if (good && apart) {
        p->apart = nd__arena_alloc(&p->shown.scratch, (size_t)m->node_count, sizeof *p->apart);
        p->apart_names = nd__arena_alloc(&p->shown.scratch, (size_t)m->node_count, sizeof *p->apart_names);
        good = p->apart && p->apart_names;
    }
    if (good)
        put_module(p);
    return good && !p->out.failed;
}

static void release(printer *p)
{
    nd__shown_end(&p->shown);
    nd__text_release(&p->out);
}

char *nd_module_to_text(nd_module *m)
{
    if (nd_module_status(m) != ND_OK)
        return NULL;
    printer p;
    const bool good = print(&p, m, false);
    nd__shown_end(&p.shown);
    if (!good)
        nd__text_release(&p.out);
    return p.out.data;
}

/* The file of the constants comes first: a text never says more than there is. */
static nd_status write_files(const printer *p, const char *path, nd__message *message)
{
    nd_status status = ND_OK;
    nd__writer writer;
    if (p->apart_count > 0) {
        char *apart = nd__apart_path(path);
        status =
            apart ? nd__apart_write(apart, p->apart_count, p->apart_names, p->apart, message) : nd__no_memory(message);
        free(apart);
    }
    if (status == ND_OK)
        status = nd__writer_open(&writer, path, message);
    if (status != ND_OK)
        return status;
    nd__writer_elements(&writer, p->out.data, p->out.used, 1);
    return nd__writer_close(&writer, true, message);
}

nd_status nd_module_write(nd_module *m, const char *path, char *text, size_t size)
{
    nd__message message = {0};
    nd_status status = nd_module_status(m);
    if (status != ND_OK) {
        nd__message_set(&message, status, "%s", nd_module_error(m));
    } else if (!path) {
        status = nd__message_set(&message, ND_ERR_ARGUMENT, "nd_module_write: the path is NULL");
    } else {
        printer p;
        status = print(&p, m, true) ? write_files(&p, path, &message) : nd__no_memory(&message);
        release(&p);
    }
    nd__message_out(&message, text, size);
    return status;
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
