/* Calls inside a graph: apply, cond, scan. The functions that they run capture values of the graph around them; here
 * that becomes explicit: a function over more inputs, and an operand for each.
 *
 * What belongs to the body? For a function with inputs: what depends on them. For a branch of cond, which has none:
 * what nothing but the branch uses, so that what both need is computed once, before. Values made of constants alone are
 * shared as they are. A broadcast costs nothing where it is used, but memory as an operand: it is made again inside,
 * and what it repeats is captured; the gradient of that, too, is smaller. */
#include "compiler/graph/graph.h"

#include <stdlib.h>
#include <string.h>

enum mark { OUTER, CONSTANT, INSIDE };

typedef struct lifting {
    nd_module *m;
    nd_place place;
    int count, room;
    nd_value **captured; /* in the order in which they were met */
} lifting;

/* Which nodes lead to no input, variable or random bits: by number. */
static bool is_constant_node(const nd__node *n, const unsigned char *marks)
{
    if (n->op == ND__OP_input || n->op == ND__OP_variable)
        return false;
    for (int i = 0; i < n->input_count; i++)
        if (marks[n->inputs[i]->node->number] != CONSTANT)
            return false;
    return true;
}

/* What depends on the function's inputs. */
static void mark_dependent(const nd_module *m, const nd_function *f, unsigned char *marks)
{
    for (int i = 0; i < m->node_count; i++) {
        const nd__node *n = m->nodes[i];
        marks[i] = is_constant_node(n, marks) ? CONSTANT : OUTER;
        for (int k = 0; k < n->input_count; k++)
            if (marks[n->inputs[k]->node->number] == INSIDE)
                marks[i] = INSIDE;
        for (int k = 0; k < f->input_count; k++)
            if (f->inputs[k]->node == n)
                marks[i] = INSIDE;
    }
}

/* What only the function's outputs use. `used` is scratch. */
static void mark_private(const nd_module *m, const nd_function *f, unsigned char *marks, bool *used)
{
    for (int i = 0; i < m->node_count; i++) {
        marks[i] = is_constant_node(m->nodes[i], marks) ? CONSTANT : OUTER;
        used[i] = false;
    }
    for (int i = 0; i < m->function_count; i++)
        if (m->functions[i] != f) {
            for (int k = 0; k < m->functions[i]->output_count; k++)
                used[m->functions[i]->outputs[k]->node->number] = true;
            for (int k = 0; k < m->functions[i]->update_count; k++)
                used[m->functions[i]->updates[k].value->node->number] = true;
        }
    for (int i = m->node_count - 1; i >= 0; i--) {
        const nd__node *n = m->nodes[i];
        bool wanted = false;
        for (int k = 0; k < f->output_count; k++)
            wanted |= f->outputs[k]->node == n;
        /* INSIDE so far means: a node of the branch uses it. */
        if ((wanted || marks[i] == INSIDE) && !used[i] && n->op != ND__OP_input && n->op != ND__OP_variable &&
            !(nd__ops[n->op].traits & ND__GENERATOR))
            marks[i] = INSIDE;
        else if (marks[i] == INSIDE)
            marks[i] = OUTER;
        for (int k = 0; k < n->input_count; k++) {
            int operand = n->inputs[k]->node->number;
            if (marks[i] != INSIDE)
                used[operand] = true;
            else if (marks[operand] != CONSTANT)
                marks[operand] = INSIDE;
        }
    }
}

static void capture(lifting *l, nd_value *v)
{
    for (int i = 0; i < l->count; i++)
        if (l->captured[i] == v)
            return;
    if (!nd__arena_grow(&l->m->arena, &l->captured, &l->room, l->count + 1, sizeof(nd_value *))) {
        nd__fail_memory(l->m);
        return;
    }
    l->captured[l->count++] = v;
}

static bool belongs_inside(const nd_value *v, const unsigned char *marks)
{
    unsigned char mark = marks[v->node->number];
    return mark == INSIDE || (mark == OUTER && v->node->op == ND__OP_broadcast);
}

/* The nodes inside that the outputs need, as need[number]; what they use from outside is captured. */
static void find_captures(lifting *l, const nd_function *f, const unsigned char *marks, bool *need)
{
    memset(need, 0, (size_t)l->m->node_count * sizeof *need);
    for (int k = 0; k < f->output_count; k++) {
        nd_value *v = f->outputs[k];
        need[v->node->number] |= belongs_inside(v, marks);
    }
    for (int i = l->m->node_count - 1; i >= 0; i--)
        for (int k = 0; need[i] && k < l->m->nodes[i]->input_count; k++) {
            const nd_value *operand = l->m->nodes[i]->inputs[k];
            need[operand->node->number] |= belongs_inside(operand, marks);
        }
    for (int i = 0; i < l->m->node_count; i++)
        for (int k = 0; need[i] && k < l->m->nodes[i]->input_count; k++)
            if (marks[l->m->nodes[i]->inputs[k]->node->number] == OUTER &&
                !belongs_inside(l->m->nodes[i]->inputs[k], marks))
                capture(l, l->m->nodes[i]->inputs[k]);
    for (int k = 0; k < f->output_count; k++)
        if (marks[f->outputs[k]->node->number] == OUTER && !belongs_inside(f->outputs[k], marks))
            capture(l, f->outputs[k]);
}

static bool name_taken(const nd_function *f, const char *name)
{
    for (int i = 0; i < f->input_count; i++)
        if (strcmp(f->inputs[i]->name, name) == 0)
            return true;
    return false;
}

/* f with an input more for each captured value; f itself if nothing is captured. */
static nd_function *lifted(lifting *l, nd_function *f, const bool *need)
{
    nd_module *m = l->m;
    if (l->count == 0 || m->status != ND_OK)
        return f;
    int node_count = m->node_count, input_count = f->input_count + l->count;
    nd_value ***copies = nd__arena_alloc(&m->arena, (size_t)node_count, sizeof *copies);
    nd_value **inputs = nd__arena_alloc(&m->arena, (size_t)input_count, sizeof *inputs);
    nd_value **outputs = nd__arena_alloc(&m->arena, (size_t)f->output_count, sizeof *outputs);
    if (!copies || !inputs || !outputs) {
        nd__fail_memory(m);
        return f;
    }
    for (int i = 0; i < f->input_count; i++)
        inputs[i] = f->inputs[i];
    for (int i = 0; i < l->count; i++) {
        nd_value *v = l->captured[i];
        const char *name = nd__arena_format(&m->arena, "captured%d", i);
        for (int again = 0; name && name_taken(f, name); again++)
            name = nd__arena_format(&m->arena, "captured%d_%d", i, again);
        inputs[f->input_count + i] =
            name ? nd_input_at(v->node->place, m, name, v->dtype, v->shape) : nd__fail_memory(m);
    }
    for (int i = 0; i < node_count && m->status == ND_OK; i++) {
        const nd__node *n = m->nodes[i];
        if (!need[i] || n->input_count == 0)
            continue;
        nd_value **operands = nd__arena_alloc(&m->arena, (size_t)n->input_count, sizeof *operands);
        nd_value **results = nd__arena_alloc(&m->arena, (size_t)n->result_count, sizeof *results);
        if (!operands || !results) {
            nd__fail_memory(m);
            return f;
        }
        bool changed = false;
        for (int k = 0; k < n->input_count; k++) {
            nd_value *v = n->inputs[k];
            operands[k] = copies[v->node->number] ? copies[v->node->number][v->index] : v;
            for (int j = 0; j < l->count; j++)
                if (l->captured[j] == v)
                    operands[k] = inputs[f->input_count + j];
            changed |= operands[k] != v;
        }
        if (!changed)
            continue;
        const nd_value *first = nd__make(m, n->op, n->place, n->input_count, operands, n->attr_count, n->attrs);
        for (int k = 0; k < n->result_count && m->status == ND_OK; k++) {
            results[k] = &first->node->results[k];
            results[k]->name = n->results[k].name;
        }
        copies[i] = results;
    }
    for (int k = 0; k < f->output_count; k++) {
        nd_value *v = f->outputs[k];
        outputs[k] = v->node->number < node_count && copies[v->node->number] ? copies[v->node->number][v->index] : v;
        for (int j = 0; j < l->count; j++)
            if (l->captured[j] == v)
                outputs[k] = inputs[f->input_count + j];
    }
    const char *name = f->name;
    for (int i = 1; name && nd_module_function(m, name); i++)
        name = nd__arena_format(&m->arena, "%s_%d", f->name, i);
    if (!name) {
        nd__fail_memory(m);
        return f;
    }
    nd_function *g = nd__function(m, f->place, name, input_count, inputs, f->output_count, outputs);
    g->body = f->body = true;
    g->origin = f;
    return g;
}

/* The functions as bodies over their common captured values, which follow `given` operands in `operands`. */
static bool lift(lifting *l, int n, nd_function **functions, bool branches)
{
    nd_module *m = l->m;
    int nodes = m->node_count;
    unsigned char *marks = malloc((size_t)nodes + 1);
    bool *need = malloc(((size_t)nodes * 2 + 1) * (size_t)(n + 1) * sizeof *need);
    if (!marks || !need) {
        nd__fail_memory(m);
    } else {
        for (int i = 0; i < n; i++) {
            if (branches)
                mark_private(m, functions[i], marks, need + (size_t)n * (size_t)nodes);
            else
                mark_dependent(m, functions[i], marks);
            find_captures(l, functions[i], marks, need + (size_t)i * (size_t)nodes);
        }
        for (int i = 0; i < n && m->status == ND_OK; i++)
            functions[i] = lifted(l, functions[i], need + (size_t)i * (size_t)nodes);
    }
    free(marks);
    free(need);
    return m->status == ND_OK;
}

/* The function's module, if it can run: not NULL, not failed, of `m` when that is known; with a list of values. */
static nd_module *callable(nd_place place, const char *what, const nd_function *f, nd_module *m, nd_values values)
{
    if (f && values.count > 0 && !values.items)
        nd__fail(f->module, ND_ERR_ARGUMENT, place, "%s: the list of %zu values is NULL", what, values.count);
    if (!f) {
        nd__fail(m, ND_ERR_ARGUMENT, place, "%s: the function is NULL", what);
        return m;
    }
    if (m && f->module != m) {
        nd__fail(m, ND_ERR_GRAPH, place, "%s: the function \"%s\" belongs to another module", what, f->name);
        nd__fail(f->module, ND_ERR_GRAPH, place, "%s: operands of the function \"%s\" belong to another module, \"%s\"",
                 what, f->name, m->name);
    }
    return f->module;
}

/* Makes the node and hands out its results; `want` of them when it fails. */
static void finish(lifting *l, nd__op op, int given, nd_value *const *operands, int attr_count, const nd__attr *attrs,
                   int want, nd_value **out)
{
    nd_module *m = l->m;
    nd_value *first = &m->poison;
    nd_value **all = m->status == ND_OK ? nd__arena_alloc(&m->arena, (size_t)(given + l->count), sizeof *all) : NULL;
    if (m->status == ND_OK && !all)
        nd__fail_memory(m);
    if (m->status == ND_OK) {
        for (int i = 0; i < given; i++)
            all[i] = operands[i];
        for (int i = 0; i < l->count; i++)
            all[given + i] = l->captured[i];
        first = nd__make(m, op, l->place, given + l->count, all, attr_count, attrs);
    }
    for (int i = 0; i < want; i++)
        out[i] = m->status == ND_OK ? &first->node->results[i] : &m->poison;
}

static void fill(nd_value **out, int n, nd_value *with)
{
    for (int i = 0; i < n; i++)
        out[i] = with;
}

void nd_apply_at(nd_place place, nd_function *f, nd_values arguments, nd_value **out)
{
    bool poisoned;
    nd_module *m = nd__common_module(place, "apply", arguments.count, arguments.items, &poisoned);
    m = callable(place, "apply", f, m, arguments);
    if (!m || !f || !out)
        return;
    lifting l = {.m = m, .place = place};
    if (m->status == ND_OK && f->input_count != (int)arguments.count)
        nd__fail(m, ND_ERR_GRAPH, place, "apply: the function \"%s\" takes %d value%s, got %zu", f->name,
                 f->input_count, f->input_count == 1 ? "" : "s", arguments.count);
    int want = f->output_count;
    if (m->status == ND_OK)
        lift(&l, 1, &f, false);
    nd__attr attr = nd__attr_function(ND__A_body, f);
    finish(&l, ND__OP_apply, (int)arguments.count, arguments.items, 1, &attr, want, out);
}

void nd_cond_at(nd_place place, nd_value *condition, nd_function *yes, nd_function *no, nd_value **out)
{
    bool poisoned;
    nd_module *m = nd__common_module(place, "cond", 1, &condition, &poisoned);
    nd_function *functions[] = {yes, no};
    m = callable(place, "cond", yes, m, (nd_values){0, NULL});
    m = callable(place, "cond", no, m, (nd_values){0, NULL});
    if (!m || !out)
        return;
    if (!yes || !no) {
        fill(out, yes ? yes->output_count : no ? no->output_count : 0, &m->poison);
        return;
    }
    if (!condition)
        nd__fail(m, ND_ERR_ARGUMENT, place, "cond: the condition is NULL");
    if (m->status == ND_OK && (yes->input_count > 0 || no->input_count > 0))
        nd__fail(m, ND_ERR_GRAPH, place, "cond: the function \"%s\" has inputs; a branch captures what it needs",
                 yes->input_count > 0 ? yes->name : no->name);
    lifting l = {.m = m, .place = place};
    if (m->status == ND_OK)
        lift(&l, 2, functions, true);
    functions[0]->body = functions[1]->body = true;
    nd__attr attrs[] = {nd__attr_function(ND__A_body, functions[0]), nd__attr_function(ND__A_other, functions[1])};
    finish(&l, ND__OP_cond, 1, &condition, 2, attrs, yes->output_count, out);
}

void nd_scan_at(nd_place place, nd_function *body, int64_t length, nd_values init, nd_values xs, bool reverse,
                nd_value **out)
{
    bool poisoned;
    nd_module *m = nd__common_module(place, "scan", init.count, init.items, &poisoned),
              *other = nd__common_module(place, "scan", xs.count, xs.items, &poisoned);
    m = callable(place, "scan", body, m ? m : other, init.count > 0 && !init.items ? init : xs);
    if (!m || !body || !out)
        return;
    int want = body->output_count, given = (int)(init.count + xs.count);
    lifting l = {.m = m, .place = place};
    if (m->status == ND_OK && body->input_count != given)
        nd__fail(m, ND_ERR_GRAPH, place, "scan: the body \"%s\" takes %d value%s, got %zu carried and %zu sliced",
                 body->name, body->input_count, body->input_count == 1 ? "" : "s", init.count, xs.count);
    nd_value **operands = nd__arena_alloc(&m->arena, (size_t)given, sizeof *operands);
    if (!operands)
        nd__fail_memory(m);
    if (m->status == ND_OK) {
        for (size_t i = 0; i < init.count; i++)
            operands[i] = nd__strengthen(place, init.items[i], body->inputs[i]->dtype);
        for (size_t i = 0; i < xs.count; i++)
            operands[init.count + i] = xs.items[i];
        lift(&l, 1, &body, false);
        body->body = true;
    }
    nd__attr attrs[] = {nd__attr_function(ND__A_body, body), nd__attr_int(ND__A_length, length),
                        nd__attr_int(ND__A_carries, (int64_t)init.count), nd__attr_int(ND__A_slices, (int64_t)xs.count),
                        nd__attr_int(ND__A_reverse, reverse)};
    finish(&l, ND__OP_scan, given, operands, 5, attrs, want, out);
}
