/* Which nodes of a module are shown, and what values, sizes and types are called. */
#include "compiler/text/show.h"
#include "compiler/text/lex.h"

#include <inttypes.h>
#include <string.h>

bool nd__is_entry(const nd_function *f)
{
    return !f->body && strcmp(f->name, "init") != 0;
}

static bool uses(const nd__shown *s, const nd_value *v)
{
    for (int i = 0; i < s->m->node_count; i++)
        for (int k = 0; s->nodes[i] && k < s->m->nodes[i]->input_count; k++)
            if (s->m->nodes[i]->inputs[k] == v)
                return true;
    return false;
}

/* What no node can use is left out: a weak constant that met nothing, a call without results. */
static void mark_everything(nd__shown *s)
{
    for (int i = 0; i < s->m->node_count; i++) {
        const nd__node *n = s->m->nodes[i];
        s->nodes[i] = n->result_count > 0 && !n->results[0].weak;
    }
}

static bool count_names(nd__shown *s, const nd__node *n)
{
    for (int i = 0; i < n->result_count; i++) {
        const char *name = n->results[i].name;
        nd__label *label = nd__t_is_label(name) ? nd__labels_add(&s->names, &s->scratch, name, strlen(name)) : NULL;
        if (label)
            label->uses++;
        else if (nd__t_is_label(name))
            return false;
    }
    return true;
}

bool nd__shown_begin(nd__shown *s, const nd_module *m)
{
    *s = (nd__shown){.m = m};
    s->nodes = nd__arena_alloc(&s->scratch, (size_t)m->node_count, sizeof *s->nodes);
    s->numbers = nd__arena_alloc(&s->scratch, (size_t)m->node_count, sizeof *s->numbers);
    if (!s->nodes || !s->numbers)
        return false;
    bool entries = false;
    for (int i = 0; i < m->function_count; i++)
        entries |= nd__is_entry(m->functions[i]);
    if (entries)
        nd__mark_live(m, s->nodes);
    else
        mark_everything(s);
    /* Asking for the init function makes the seed's input; without random initial values it is nobody's. */
    if (m->seed_input)
        s->seed = s->nodes[m->seed_input->node->number] = uses(s, m->seed_input);
    int number = 0;
    for (int i = 0; i < m->node_count; i++) {
        s->numbers[i] = number;
        number += s->nodes[i];
        if (s->nodes[i] && !count_names(s, m->nodes[i]))
            return false;
    }
    return true;
}

void nd__shown_end(nd__shown *s)
{
    nd__arena_release(&s->scratch);
}

bool nd__is_shown_by_name(const nd__shown *s, const nd_value *v)
{
    const nd__label *label = nd__labels_find(&s->names, v->name, strlen(v->name));
    return label && label->uses == 1;
}

void nd__show_value(const nd__shown *s, nd__text *out, const nd_value *v)
{
    if (nd__is_shown_by_name(s, v))
        nd__text_add(out, "%%%s", v->name);
    else if (v->index > 0)
        nd__text_add(out, "%%%d.%d", s->numbers[v->node->number], v->index);
    else
        nd__text_add(out, "%%%d", s->numbers[v->node->number]);
}

void nd__show_size_text(nd__text *out, const nd_module *m, int64_t size)
{
    if (!nd__size_is_named(size)) {
        nd__text_add(out, "%" PRId64, size);
        return;
    }
    const nd__symbol *symbol = nd__size_symbol(m, size);
    if (symbol->factor != 1)
        nd__text_add(out, "%" PRId64 "*", symbol->factor);
    for (int i = 0; i < symbol->count; i++)
        nd__text_add(out, i ? "*%s" : "%s", m->dims[symbol->dims[i]].name);
}

void nd__show_type_text(nd__text *out, const nd_module *m, nd_dtype dtype, const nd_shape *shape)
{
    nd__text_add(out, "%s", nd_dtype_name(dtype));
    for (int i = 0; i < shape->rank; i++) {
        nd__text_add(out, i ? "," : "[");
        nd__show_size_text(out, m, shape->dims[i]);
    }
    if (shape->rank > 0)
        nd__text_add(out, "]");
}
