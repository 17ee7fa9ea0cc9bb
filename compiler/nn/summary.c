/* The table of a model's layers, and what their calls cost. */
#include "compiler/graph/window.h"
#include "compiler/nn/layer.h"

#include <stdlib.h>
#include <string.h>

/* -- flops -------------------------------------------------------------------------------------------------------- */

static double elements(const nd_module *m, const nd_shape *shape)
{
    double n = 1;
    for (int i = 0; i < shape->rank; i++)
        n *= (double)nd_dim_value(m, shape->dims[i]);
    return n;
}

static bool add_flops(const nd_module *m, int n, nd_value *const *values, int first, double *flops);

static bool add_body(const nd_function *body, double times, double *flops)
{
    double once = 0;
    bool good = add_flops(body->module, body->output_count, body->outputs, 0, &once);
    *flops += times * once;
    return good;
}

/* 2 for each element of y, each tap and each channel of its group: the same for the convolution and its gradients. */
static double conv_flops(const nd__node *n)
{
    const nd__conv c = nd__conv_of(n);
    return 2 * elements(n->module, c.y) * (double)c.window.kernel[0] * (double)c.window.kernel[1] * (double)c.in;
}

static double pooled_conv_flops(const nd__node *n)
{
    const nd__pooled_conv c = nd__pooled_conv_of(n);
    return 2 * elements(n->module, c.y) * (double)c.w->dims[0] * (double)c.w->dims[1] * (double)c.w->dims[2];
}

static bool add_node(const nd__node *n, double *flops)
{
    double yes = 0, no = 0;
    switch (n->op) {
    case ND__OP_matmul: {
        const nd_shape *a = &n->inputs[0]->shape;
        int64_t inner = a->dims[a->rank - (nd__get_int(n, ND__A_trans_a) ? 2 : 1)];
        *flops += 2 * elements(n->module, &n->results[0].shape) * (double)nd_dim_value(n->module, inner);
        return true;
    }
    case ND__OP_conv2d:
    case ND__OP_conv2d_dx:
    case ND__OP_conv2d_dw:
        *flops += conv_flops(n);
        return true;
    case ND__OP_conv2d_dw_pooled:
        *flops += pooled_conv_flops(n);
        return true;
    case ND__OP_scan:
        return add_body(nd__get(n, ND__A_body)->function, (double)nd_dim_value(n->module, nd__get_int(n, ND__A_length)),
                        flops);
    case ND__OP_apply:
        return add_body(nd__get(n, ND__A_body)->function, 1, flops);
    case ND__OP_cond:
        if (!add_body(nd__get(n, ND__A_body)->function, 1, &yes) ||
            !add_body(nd__get(n, ND__A_other)->function, 1, &no))
            return false;
        *flops += yes > no ? yes : no;
        return true;
    default:
        return true;
    }
}

/* Adds the flops of the nodes from number `first` on that lead to the values. */
static bool add_flops(const nd_module *m, int n, nd_value *const *values, int first, double *flops)
{
    bool *need = calloc((size_t)(m->node_count - first) + 1, sizeof *need), good = need;
    int last = first - 1;
    for (int i = 0; good && i < n; i++) {
        int number = values[i]->node->number;
        if (number >= first)
            need[number - first] = true;
        last = number > last ? number : last;
    }
    for (int i = last; good && i >= first; i--) {
        const nd__node *node = m->nodes[i];
        for (int k = 0; need[i - first] && k < node->input_count; k++)
            if (node->inputs[k]->node->number >= first)
                need[node->inputs[k]->node->number - first] = true;
        good = !need[i - first] || add_node(node, flops);
    }
    free(need);
    return good;
}

bool nd__layer_flops(nd_value *v, int first, double *flops)
{
    *flops = 0;
    return add_flops(v->node->module, 1, &v, first, flops);
}

/* -- the table ---------------------------------------------------------------------------------------------------- */

enum { NUMBER = 16 };

/* Widths are those of the widest texts, which a first walk over the rows without `out` finds. */
typedef struct table {
    const nd_layer *model;
    FILE *out;
    int name, type;
} table;

/* A whole number with commas, right-aligned. */
static void print_number(double number, FILE *out)
{
    char digits[64], text[96];
    int n = snprintf(digits, sizeof digits, "%.0f", number), to = 0;
    for (int i = 0; i < n; i++) {
        if (i > 0 && (n - i) % 3 == 0)
            text[to++] = ',';
        text[to++] = digits[i];
    }
    text[to] = 0;
    fprintf(out, "%*s", NUMBER, text);
}

static void print_line(const table *t)
{
    for (int i = 0; i < t->name + t->type + 2 * NUMBER; i++)
        fputs("─", t->out);
    fputc('\n', t->out);
}

static void print_sum(const table *t, const char *what, double number)
{
    fprintf(t->out, "%-*s", t->name + t->type, what);
    print_number(number, t->out);
}

/* What the table calls a layer: its path below the model. */
static const char *title(const table *t, const nd_layer *l)
{
    nd_module *m = t->model->module;
    const char *above = t->model->inside->path, *path = l->inside->path ? l->inside->path : nd__layer_path(m, l);
    size_t length = strlen(above);
    if (l != t->model && strncmp(path, above, length) == 0 && path[length] == '/')
        path += length + 1;
    const char *text = nd__arena_format(&m->arena, "%s (%s)", path, l->kind->name);
    return text ? text : path;
}

static void print_row(table *t, nd_layer *l)
{
    nd_module *m = t->model->module;
    const char *name = title(t, l);
    const char *type = l->module ? nd__show_type(m, l->inside->dtype, &l->inside->output) : "not called";
    int name_width = (int)strlen(name) + 2, type_width = (int)strlen(type);
    if (t->out) {
        fprintf(t->out, "%-*s%-*s", t->name, name, t->type, type);
        print_number((double)nd_layer_parameters(l, false), t->out);
        print_number(l->inside->flops, t->out);
        fputc('\n', t->out);
    }
    t->name = name_width > t->name ? name_width : t->name;
    t->type = type_width > t->type ? type_width : t->type;
}

/* What a model consists of, not what its layers do: sequences of layers are looked into, and the model itself. */
static void print_rows(table *t, nd_layer *l)
{
    bool open = l->kind == &nd__sequential_kind || (l == t->model && l->inside->child_count > 0);
    if (!open || l->inside->variable_count > 0)
        print_row(t, l);
    for (int i = 0; open && i < l->inside->child_count; i++)
        print_rows(t, l->inside->children[i]);
}

nd_status nd_layer_summary(nd_layer *l, FILE *out)
{
    if (!l || !out)
        return ND_ERR_ARGUMENT;
    if (!l->module)
        return ND_ERR_STATE;
    table t = {.model = l, .name = 24, .type = 8};
    print_rows(&t, l);
    t.out = out;
    fprintf(out, "Model \"%s\"\n", l->inside->path);
    print_line(&t);
    fprintf(out, "%-*s%-*s%*s%*s\n", t.name, "Layer (kind)", t.type, "Output", NUMBER, "Parameters", NUMBER, "Flops");
    print_line(&t);
    print_rows(&t, l);
    print_line(&t);
    double all = (double)nd_layer_parameters(l, false), trained = (double)nd_layer_parameters(l, true);
    print_sum(&t, "Total", all);
    print_number(l->inside->flops, out);
    fputc('\n', out);
    print_sum(&t, "Trained", trained);
    fputc('\n', out);
    print_sum(&t, "Frozen", all - trained);
    fputc('\n', out);
    return l->module->status == ND_ERR_MEMORY ? ND_ERR_MEMORY : ferror(out) ? ND_ERR_IO : ND_OK;
}
