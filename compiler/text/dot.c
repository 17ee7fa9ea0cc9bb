/* Modules as pictures, for Graphviz. A node is a box with its op, its name or number in the text, and its types; what
 * only a body or the initial values need lies in a cluster; each entry point is a cluster of its outputs and updates.
 */
#include "compiler/text/show.h"
#include "nadir/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum owner { NOBODY = -1, SHARED = -2, INITIAL = -3 }; /* or a body's number */
enum { MOST_ELEMENTS = 8 };

typedef struct drawing {
    nd__shown shown;
    const nd_module *m;
    nd__text out;
    nd__text label; /* scratch */
    int *owners;    /* by node */
    bool *need;     /* scratch, by node */
    bool *run;      /* bodies that a shown node runs, by number */
} drawing;

static void put(drawing *d, const char *text)
{
    nd__text_add_bytes(&d->out, text, strlen(text));
}

/* -- who owns a node ------------------------------------------------------------------------------------------------
 */

static void claim(drawing *d, int owner)
{
    for (int i = d->m->node_count - 1; i >= 0; i--) {
        const nd__node *n = d->m->nodes[i];
        if (!d->need[i])
            continue;
        for (int k = 0; k < n->input_count; k++)
            d->need[n->inputs[k]->node->number] = true;
        d->owners[i] = d->owners[i] == NOBODY ? owner : d->owners[i] == owner ? owner : SHARED;
    }
}

static void claim_function(drawing *d, const nd_function *f, int owner)
{
    memset(d->need, 0, (size_t)d->m->node_count * sizeof *d->need);
    for (int i = 0; i < f->input_count; i++)
        d->need[f->inputs[i]->node->number] = true;
    for (int i = 0; i < f->output_count; i++)
        d->need[f->outputs[i]->node->number] = true;
    for (int i = 0; i < f->update_count; i++)
        d->need[f->updates[i].value->node->number] = true;
    claim(d, owner);
}

static void find_owners(drawing *d)
{
    const nd_module *m = d->m;
    for (int i = 0; i < m->node_count; i++) {
        d->owners[i] = NOBODY;
        for (int k = 0; d->shown.nodes[i] && k < m->nodes[i]->attr_count; k++)
            if (m->nodes[i]->attrs[k].function)
                d->run[m->nodes[i]->attrs[k].function->number] = true;
    }
    memset(d->need, 0, (size_t)m->node_count * sizeof *d->need);
    for (int i = 0; i < m->variable_count; i++)
        if (m->variables[i]->initial)
            d->need[m->variables[i]->initial->node->number] = true;
    claim(d, INITIAL);
    for (int i = 0; i < m->function_count; i++)
        if (nd__is_entry(m->functions[i]) || d->run[i])
            claim_function(d, m->functions[i], m->functions[i]->body ? i : SHARED);
}

/* -- nodes ----------------------------------------------------------------------------------------------------------
 */

/* d->label between quotes, line ends as Graphviz writes them. */
static void put_label(drawing *d)
{
    put(d, "\"");
    for (const char *c = d->label.data ? d->label.data : ""; *c; c++) {
        if (*c == '\n')
            put(d, "\\n");
        else if (*c == '"' || *c == '\\')
            nd__text_add(&d->out, "\\%c", *c);
        else
            nd__text_add_bytes(&d->out, c, 1);
    }
    put(d, "\"");
    d->out.failed |= d->label.failed;
    nd__text_release(&d->label);
}

static const char *style_of(const nd__node *n)
{
    switch (n->op) {
    case ND__OP_input:
        return "fillcolor=\"#d9f0d3\" shape=ellipse";
    case ND__OP_variable:
        return "fillcolor=\"#c6dbef\" shape=cylinder";
    case ND__OP_constant:
    case ND__OP_size:
        return "fillcolor=\"#eeeeee\" color=\"#999999\"";
    default:
        break;
    }
    if (nd__ops[n->op].traits & ND__CONTROL)
        return "fillcolor=\"#ffe9a8\" style=\"filled\" shape=component";
    if (n->result_count > 0 && strncmp(n->results[0].name, "grad of ", 8) == 0)
        return "fillcolor=\"#fbd5d5\"";
    return "fillcolor=\"#ffffff\"";
}

static void draw_node(drawing *d, const nd__node *n)
{
    nd__text *label = &d->label;
    nd__text_add(label, "%s", nd__ops[n->op].name);
    for (int i = 0; i < n->attr_count; i++)
        if (!n->attrs[i].data || n->attrs[i].data->count <= MOST_ELEMENTS)
            nd__show_attribute(&d->shown, label, n, &n->attrs[i]);
    for (int i = 0; i < n->result_count; i++) {
        const nd_value *v = &n->results[i];
        nd__text_add(label, "\n");
        nd__show_value(&d->shown, label, v);
        nd__text_add(label, " ");
        if (*v->name && !nd__is_shown_by_name(&d->shown, v)) {
            nd__show_string(label, v->name);
            nd__text_add(label, " ");
        }
        nd__show_type_text(label, d->m, v->dtype, &v->shape);
    }
    nd__text_add(&d->out, "n%d [%s label=", d->shown.numbers[n->number], style_of(n));
    put_label(d);
    put(d, "]\n");
}

static void draw_owned(drawing *d, int owner)
{
    for (int i = 0; i < d->m->node_count; i++)
        if (d->shown.nodes[i] && d->owners[i] == owner)
            draw_node(d, d->m->nodes[i]);
}

static void begin_cluster(drawing *d, const char *kind, const char *name, const char *style)
{
    nd__text_add(&d->out, "subgraph \"cluster %s %s\" {\nlabel=\"%s %s\" %s\n", kind, name, kind, name, style);
}

/* -- edges ----------------------------------------------------------------------------------------------------------
 */

/* Which result it is, where there are several. */
static void put_result(drawing *d, const nd_value *v)
{
    if (v->node->result_count > 1)
        nd__text_add(&d->out, " taillabel=\".%d\"", v->index);
}

static void draw_edges(drawing *d, const nd__node *n)
{
    const int to = d->shown.numbers[n->number];
    for (int i = 0; i < n->input_count; i++) {
        nd__text_add(&d->out, "n%d -> n%d [", d->shown.numbers[n->inputs[i]->node->number], to);
        put_result(d, n->inputs[i]);
        put(d, "]\n");
    }
    for (int i = 0; i < n->attr_count; i++) {
        const nd_function *f = n->attrs[i].function;
        if (!f || f->output_count == 0)
            continue;
        nd__text_add(&d->out, "n%d -> n%d [style=dashed arrowhead=none label=\"%s\"",
                     d->shown.numbers[f->outputs[0]->node->number], to, nd__attr_names[n->attrs[i].key]);
        if (d->owners[f->outputs[0]->node->number] == f->number) /* or an edge from a cluster that it is not in */
            nd__text_add(&d->out, " ltail=\"cluster body %s\"", f->name);
        put(d, "]\n");
    }
}

/* The outputs and updates of an entry point. */
static void draw_entry(drawing *d, const nd_function *f)
{
    begin_cluster(d, "fn", f->name, "style=\"rounded,filled\" fillcolor=\"#fff7ee\" color=\"#e6a15c\"");
    for (int i = 0; i < f->output_count; i++) {
        nd__show_value(&d->shown, &d->label, f->outputs[i]);
        nd__text_add(&d->out, "o%d_%d [shape=ellipse fillcolor=\"#fdd9b5\" label=", f->number, i);
        put_label(d);
        put(d, "]\n");
    }
    for (int i = 0; i < f->update_count; i++) {
        nd__text_add(&d->label, "%s :=", f->updates[i].variable->name);
        nd__text_add(&d->out, "u%d_%d [shape=cylinder fillcolor=\"#c6dbef\" label=", f->number, i);
        put_label(d);
        put(d, "]\n");
    }
    put(d, "}\n");
    for (int i = 0; i < f->output_count + f->update_count; i++) {
        const bool output = i < f->output_count;
        const nd_value *v = output ? f->outputs[i] : f->updates[i - f->output_count].value;
        nd__text_add(&d->out, "n%d -> %c%d_%d [", d->shown.numbers[v->node->number], output ? 'o' : 'u', f->number,
                     output ? i : i - f->output_count);
        put_result(d, v);
        put(d, "]\n");
    }
}

static void draw(drawing *d)
{
    const nd_module *m = d->m;
    nd__text_add(&d->out, "digraph \"%s\" {\ncompound=true fontname=\"Helvetica\" labeljust=l\n", m->name);
    put(d, "node [shape=box style=\"rounded,filled\" fontname=\"Helvetica\" fontsize=11 margin=\"0.12,0.05\"]\n");
    put(d, "edge [color=\"#555555\" fontname=\"Helvetica\" fontsize=9 arrowsize=0.7]\n");
    draw_owned(d, NOBODY);
    draw_owned(d, SHARED);
    for (int i = 0; i < m->function_count; i++) {
        if (!d->run[i] || !m->functions[i]->body)
            continue;
        begin_cluster(d, "body", m->functions[i]->name,
                      "style=\"rounded,filled\" fillcolor=\"#fffbe8\" color=\"#c9a227\"");
        draw_owned(d, i);
        put(d, "}\n");
    }
    bool initial = false;
    for (int i = 0; i < m->node_count; i++)
        initial |= d->shown.nodes[i] && d->owners[i] == INITIAL;
    if (initial) {
        begin_cluster(d, "init", "", "style=\"rounded,dashed\" color=\"#999999\"");
        draw_owned(d, INITIAL);
        put(d, "}\n");
    }
    for (int i = 0; i < m->node_count; i++)
        if (d->shown.nodes[i])
            draw_edges(d, m->nodes[i]);
    for (int i = 0; i < m->variable_count; i++)
        if (m->variables[i]->initial)
            nd__text_add(&d->out, "n%d -> n%d [style=dashed]\n",
                         d->shown.numbers[m->variables[i]->initial->node->number],
                         d->shown.numbers[m->variables[i]->read->node->number]);
    for (int i = 0; i < m->function_count; i++)
        if (nd__is_entry(m->functions[i]))
            draw_entry(d, m->functions[i]);
    put(d, "}\n");
}

nd_status nd_module_dot(nd_module *m, FILE *out)
{
    if (nd_module_status(m) != ND_OK)
        return nd_module_status(m);
    if (!out)
        return ND_ERR_ARGUMENT;
    drawing d = {.m = m};
    nd_status status = ND_ERR_MEMORY;
    if (nd__shown_begin(&d.shown, m)) {
        d.owners = nd__arena_alloc(&d.shown.scratch, (size_t)m->node_count, sizeof *d.owners);
        d.need = nd__arena_alloc(&d.shown.scratch, (size_t)m->node_count, sizeof *d.need);
        d.run = nd__arena_alloc(&d.shown.scratch, (size_t)m->function_count, sizeof *d.run);
    }
    if (d.owners && d.need && d.run) {
        find_owners(&d);
        draw(&d);
        if (!d.out.failed)
            status = fputs(d.out.data, out) >= 0 && fflush(out) == 0 ? ND_OK : ND_ERR_IO;
    }
    nd__text_release(&d.out);
    nd__text_release(&d.label);
    nd__shown_end(&d.shown);
    return status;
}
