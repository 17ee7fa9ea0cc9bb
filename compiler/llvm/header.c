/* The C header of an object ahead of time. It needs nothing of ours, unless nadir/program.h was included before it:
 * then it also describes the object to the runtime. */
#include "compiler/llvm/llvm.h"
#include "compiler/schedule/schedule.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

static const char *const c_type[] = {
    [ND_BOOL] = "uint8_t", [ND_U8] = "uint8_t", [ND_I32] = "int32_t", [ND_U32] = "uint32_t",
    [ND_I64] = "int64_t",  [ND_F32] = "float",  [ND_F64] = "double",
};
static const char *const enum_name[] = {
    [ND_BOOL] = "ND_BOOL", [ND_U8] = "ND_U8",   [ND_I32] = "ND_I32", [ND_U32] = "ND_U32",
    [ND_I64] = "ND_I64",   [ND_F32] = "ND_F32", [ND_F64] = "ND_F64",
};

/* An open header. */
typedef struct page {
    FILE *out;
    nd__arena arena;
    char *prefix, *upper;
    const nd_program_info *info;
    char **fields;  /* of the variables */
    char **symbols; /* of the functions */
    char ***inputs; /* parameter names, by function */
    char ***outputs;
    char *message;
    size_t size;
    const nd__variant *variants;
    int variant_count;
} page;

static nd_status no_memory(page *p)
{
    snprintf(p->message, p->size, "out of memory");
    return ND_ERR_MEMORY;
}

/* -- names -------------------------------------------------------------------------------------------------------- */

static nd_status name_fields(page *p)
{
    const nd_program_info *info = p->info;
    p->fields = nd__arena_alloc(&p->arena, (size_t)info->variable_count + 1, sizeof *p->fields);
    if (!p->fields)
        return no_memory(p);
    for (int v = 0; v < info->variable_count; v++) {
        p->fields[v] = nd__c_name(&p->arena, NULL, info->variables[v].port.name);
        if (!p->fields[v])
            return no_memory(p);
        for (int w = 0; w < v; w++)
            if (!strcmp(p->fields[v], p->fields[w])) {
                snprintf(p->message, p->size,
                         "the variables \"%s\" and \"%s\" would both be the field \"%s\" of the C header; rename one",
                         info->variables[w].port.name, info->variables[v].port.name, p->fields[v]);
                return ND_ERR_ARGUMENT;
            }
    }
    return ND_OK;
}

static nd_status name_functions(page *p, const char *prefix)
{
    int n = p->info->function_count;
    const char **names = nd__arena_alloc(&p->arena, (size_t)n + 1, sizeof *names);
    p->symbols = nd__arena_alloc(&p->arena, (size_t)n + 1, sizeof *p->symbols);
    if (!names || !p->symbols)
        return no_memory(p);
    for (int f = 0; f < n; f++)
        names[f] = p->info->functions[f].name;
    return nd__c_symbols(&p->arena, prefix, n, names, p->symbols, p->message, p->size);
}

/* The names of ports as parameters, each different from the `taken` before it. */
static bool name_ports(page *p, const nd_port *ports, int count, const char *otherwise, char **names, char **taken,
                       int taken_count)
{
    for (int i = 0; i < count; i++) {
        const char *name = ports[i].name && *ports[i].name ? ports[i].name : NULL;
        char *text = name ? nd__c_name(&p->arena, NULL, name) : nd__arena_format(&p->arena, "%s%d", otherwise, i);
        bool again = text != NULL;
        while (again) {
            again = false;
            for (int t = 0; t < taken_count + i; t++)
                again = again || !strcmp(t < taken_count ? taken[t] : names[t - taken_count], text);
            if (again)
                text = nd__arena_format(&p->arena, "%s_", text);
            again = again && text;
        }
        if (!text)
            return false;
        names[i] = text;
    }
    return true;
}

static nd_status name_parameters(page *p)
{
    size_t functions = (size_t)p->info->function_count;
    p->inputs = nd__arena_alloc(&p->arena, functions + 1, sizeof *p->inputs);
    p->outputs = nd__arena_alloc(&p->arena, functions + 1, sizeof *p->outputs);
    if (!p->inputs || !p->outputs)
        return no_memory(p);
    for (size_t f = 0; f < functions; f++) {
        const nd_program_function_info *function = &p->info->functions[f];
        p->inputs[f] = nd__arena_alloc(&p->arena, (size_t)function->input_count + 1, sizeof **p->inputs);
        p->outputs[f] = nd__arena_alloc(&p->arena, (size_t)function->output_count + 1, sizeof **p->outputs);
        if (!p->inputs[f] || !p->outputs[f] ||
            !name_ports(p, function->inputs, function->input_count, "in", p->inputs[f], NULL, 0) ||
            !name_ports(p, function->outputs, function->output_count, "out", p->outputs[f], p->inputs[f],
                        function->input_count))
            return no_memory(p);
    }
    return ND_OK;
}

/* -- shapes ------------------------------------------------------------------------------------------------------- */

static void print_shape(FILE *out, const nd_port *port)
{
    fputs(nd_dtype_name(port->dtype), out);
    for (int d = 0; d < port->shape.rank; d++)
        fprintf(out, "%s%" PRId64, d ? "," : "[", port->shape.dims[d]);
    if (port->shape.rank)
        fputc(']', out);
}

static int64_t elements(const nd_port *port)
{
    int64_t n = 1;
    for (int d = 0; d < port->shape.rank; d++)
        n *= port->shape.dims[d];
    return n;
}

/* -- the parts of the file ---------------------------------------------------------------------------------------- */

/* Text inside a comment, which it must not end. */
static void print_plain(FILE *out, const char *text)
{
    for (const char *c = text; *c; c++) {
        fputc(*c, out);
        if ((c[0] == '*' && c[1] == '/') || (c[0] == '/' && c[1] == '*'))
            fputc(' ', out);
    }
}

static void print_field(page *p, int v, bool first)
{
    const nd_program_variable_info *variable = &p->info->variables[v];
    int64_t count = elements(&variable->port);
    if (count == 0)
        fprintf(p->out, "    /* %s: ", p->fields[v]);
    else
        fprintf(p->out, "    %s%s%s %s", first ? p->upper : "", first ? "_ALIGNED " : "", c_type[variable->port.dtype],
                p->fields[v]);
    if (count && variable->port.shape.rank)
        fprintf(p->out, "[%" PRId64 "]", count);
    if (count)
        fputs("; /* ", p->out);
    print_shape(p->out, &variable->port);
    if (strcmp(p->fields[v], variable->port.name)) {
        fputs(" \"", p->out);
        print_plain(p->out, variable->port.name);
        fputc('"', p->out);
    }
    fputs(variable->initialised ? " */\n" : ", not set by init */\n", p->out);
}

static void print_state(page *p)
{
    const nd_program_info *info = p->info;
    FILE *out = p->out;
    size_t at = 0;
    int pad = 0;
    fprintf(out,
            "/* The variables, %zu bytes. Memory for it from elsewhere is to be aligned to 64 bytes, too. */\nstruct "
            "%s_state {\n",
            info->state_size, p->prefix);
    for (int v = 0; v < info->variable_count; v++) {
        const nd_program_variable_info *variable = &info->variables[v];
        if (variable->offset > at)
            fprintf(out, "    unsigned char _pad%d[%zu];\n", pad++, variable->offset - at);
        print_field(p, v, at == 0);
        at = variable->offset + (size_t)elements(&variable->port) * nd_dtype_size(variable->port.dtype);
    }
    if (at == 0) /* C has no struct of nothing */
        fprintf(out, "    %s_ALIGNED unsigned char _pad%d[64];\n", p->upper, pad);
    else if (info->state_size > at)
        fprintf(out, "    unsigned char _pad%d[%zu];\n", pad, info->state_size - at);
    fputs("};\n\n", out);
    for (int v = 0; v < info->variable_count; v++)
        if (elements(&info->variables[v].port))
            fprintf(out, "%s_ASSERT(offsetof(struct %s_state, %s) == %zu, \"layout of %s_state\");\n", p->upper,
                    p->prefix, p->fields[v], info->variables[v].offset, p->prefix);
    if (at > 0)
        fputc('\n', out);
}

static void print_arena(page *p)
{
    size_t most = 0, each = 0;
    for (int f = 0; f < p->info->function_count; f++) {
        const nd_program_function_info *function = &p->info->functions[f];
        const size_t fixed = function->arena_size - function->worker_size;
        most = fixed > most ? fixed : most;
        each = function->worker_size > each ? function->worker_size : each;
    }
    fprintf(
        p->out,
        "/* Bytes of scratch memory, aligned to 64, that a call needs, for any of the functions; undefined before "
        "and after.\n"
        " * One call at a time uses it. `workers`: the threads of one call; 1 but for the functions named _parallel. "
        "*/\n"
        "#define %s_ARENA_SIZE(workers) ((size_t)(workers) * %zu + %zu)\n\n",
        p->upper, each, most ? most : 64);
}

static void print_ports(FILE *out, const char *what, const nd_port *ports, char **names, int count)
{
    for (int i = 0; i < count; i++) {
        fprintf(out, " *   %s %s: ", what, names[i]);
        print_shape(out, &ports[i]);
        fputc('\n', out);
    }
}

static void print_variables(page *p, const char *what, const int *which, int count)
{
    for (int i = 0; i < count; i++)
        fprintf(p->out, "%s%s", i ? ", " : what, p->fields[which[i]]);
    if (count)
        fputc('\n', p->out);
}

static void print_function(page *p, int f, const nd__plan *plan)
{
    const nd_program_function_info *function = &p->info->functions[f];
    const char *name = p->symbols[f];
    FILE *out = p->out;
    if (!strcmp(function->name, "init")) {
        fprintf(out, "/* Sets every variable that has an initialiser. `arena` as for the other functions. */\n");
        fprintf(out, "void %s(struct %s_state *state, void *arena, uint64_t seed);\n", name, p->prefix);
    } else {
        fputs("/* ", out);
        print_plain(out, function->name);
        fputs(": row-major arrays, outputs overlap nothing else.\n", out);
        print_ports(out, "in ", function->inputs, p->inputs[f], function->input_count);
        print_ports(out, "out", function->outputs, p->outputs[f], function->output_count);
        print_variables(p, " *   reads ", function->reads, function->read_count);
        print_variables(p, " *   sets ", function->updates, function->update_count);
        if (plan)
            fprintf(out, " *   %" PRId64 " flops, %" PRId64 " bytes moved\n", plan->flops, plan->bytes);
        fprintf(out, " */\nvoid %s(struct %s_state *state, void *arena", name, p->prefix);
        for (int i = 0; i < function->input_count; i++)
            fprintf(out, ", const %s *%s", c_type[function->inputs[i].dtype], p->inputs[f][i]);
        for (int i = 0; i < function->output_count; i++)
            fprintf(out, ", %s *%s", c_type[function->outputs[i].dtype], p->outputs[f][i]);
        fputs(");\n", out);
    }
    fprintf(out,
            "/* The same for the runtime. */\nvoid %s_entry(void *state, void *arena, const void *const *in, void "
            "*const *out);\n",
            name);
    if (nd__has_chunks(p->variants, p->variant_count, f))
        fprintf(out,
                "/* The same on threads: `parallel` hands out chunks as nadir/program.h says; NULL: on this one. */\n"
                "struct nd_parallel;\nvoid %s_parallel(void *state, void *arena, const void *const *in, void "
                "*const *out,\n    const struct nd_parallel *parallel);\n",
                name);
    fputc('\n', out);
}

/* -- the tables of the runtime ------------------------------------------------------------------------------------ */

static void print_text(FILE *out, const char *text)
{
    fputc('"', out);
    for (const char *c = text; *c; c++) {
        if (*c == '"' || *c == '\\')
            fputc('\\', out);
        if ((unsigned char)*c < 32)
            fprintf(out, "\\%03o", (unsigned)*c);
        else
            fputc(*c, out);
    }
    fputc('"', out);
}

static void print_port(FILE *out, const nd_port *port)
{
    fputc('{', out);
    print_text(out, port->name ? port->name : "");
    fprintf(out, ", %s, {%d, {", enum_name[port->dtype], port->shape.rank);
    for (int d = 0; d < port->shape.rank || d == 0; d++)
        fprintf(out, "%s%" PRId64, d ? ", " : "", port->shape.rank ? port->shape.dims[d] : 0);
    fputs("}}}", out);
}

static void print_port_table(page *p, const char *what, int f, const nd_port *ports, int count)
{
    if (!count)
        return;
    fprintf(p->out, "static const nd_port %s_%s%d_[] = {", p->prefix, what, f);
    for (int i = 0; i < count; i++) {
        fputs(i ? ", " : "", p->out);
        print_port(p->out, &ports[i]);
    }
    fputs("};\n", p->out);
}

static void print_index_table(page *p, const char *what, int f, const int *items, int count)
{
    if (!count)
        return;
    fprintf(p->out, "static const int %s_%s%d_[] = {", p->prefix, what, f);
    for (int i = 0; i < count; i++)
        fprintf(p->out, "%s%d", i ? ", " : "", items[i]);
    fputs("};\n", p->out);
}

static void print_reference(page *p, const char *what, int f, int count)
{
    if (count)
        fprintf(p->out, ", %s_%s%d_", p->prefix, what, f);
    else
        fputs(", NULL", p->out);
}

static void print_tables(page *p)
{
    const nd_program_info *info = p->info;
    FILE *out = p->out;
    fprintf(out, "#ifdef NADIR_PROGRAM_H\n/* For the runtime: nd_program *program = nd_program_create(&%s_info); */\n",
            p->prefix);
    for (int f = 0; f < info->function_count; f++) {
        const nd_program_function_info *function = &info->functions[f];
        print_port_table(p, "inputs", f, function->inputs, function->input_count);
        print_port_table(p, "outputs", f, function->outputs, function->output_count);
        print_index_table(p, "reads", f, function->reads, function->read_count);
        print_index_table(p, "updates", f, function->updates, function->update_count);
    }
    if (info->function_count)
        fprintf(out, "static const nd_program_function_info %s_functions_[] = {\n", p->prefix);
    for (int f = 0; f < info->function_count; f++) {
        const nd_program_function_info *function = &info->functions[f];
        fputs("    {", out);
        print_text(out, function->name);
        fprintf(out, ", %d, %d, %d, %d", function->input_count, function->output_count, function->read_count,
                function->update_count);
        print_reference(p, "inputs", f, function->input_count);
        print_reference(p, "outputs", f, function->output_count);
        print_reference(p, "reads", f, function->read_count);
        print_reference(p, "updates", f, function->update_count);
        fprintf(out, ", %zu, %s_entry, ", function->arena_size, p->symbols[f]);
        if (nd__has_chunks(p->variants, p->variant_count, f))
            fprintf(out, "%s_parallel, %zu},\n", p->symbols[f], function->worker_size);
        else
            fputs("NULL, 0},\n", out);
    }
    fputs(info->function_count ? "};\n" : "", out);
    if (info->variable_count)
        fprintf(out, "static const nd_program_variable_info %s_variables_[] = {\n", p->prefix);
    for (int v = 0; v < info->variable_count; v++) {
        fputs("    {", out);
        print_port(out, &info->variables[v].port);
        fprintf(out, ", %zu, %s},\n", info->variables[v].offset, info->variables[v].initialised ? "true" : "false");
    }
    fputs(info->variable_count ? "};\n" : "", out);
    fprintf(out, "static const nd_program_info %s_info = {%d, %d, ", p->prefix, info->function_count,
            info->variable_count);
    if (info->function_count)
        fprintf(out, "%s_functions_, ", p->prefix);
    else
        fputs("NULL, ", out);
    if (info->variable_count)
        fprintf(out, "%s_variables_, ", p->prefix);
    else
        fputs("NULL, ", out);
    fprintf(out, "%zu, UINT64_C(%" PRIu64 "), NULL, NULL, NULL, NULL, 0, NULL, NULL};\n#endif\n\n", info->state_size,
            info->seed);
}

static void print_processors(const page *p)
{
    for (int v = 0; v < p->variant_count; v++)
        fprintf(p->out, "%s%s", v ? ", " : "", p->variants[v].target->cpu);
    if (p->variant_count > 1)
        fputs(", whichever the processor has at the first call", p->out);
}

nd_status nd__header_write(const nd_program_info *info, const nd__variant *variants, int variant_count,
                           const char *prefix, FILE *out, char *message, size_t size)
{
    page p = {.out = out,
              .info = info,
              .message = message,
              .size = size,
              .variants = variants,
              .variant_count = variant_count};
    p.prefix = nd__c_name(&p.arena, NULL, prefix);
    p.upper = p.prefix ? nd__arena_format(&p.arena, "%s", p.prefix) : NULL;
    nd_status status = p.upper ? name_fields(&p) : no_memory(&p);
    if (status == ND_OK)
        status = name_functions(&p, prefix);
    if (status == ND_OK)
        status = name_parameters(&p);
    if (status == ND_OK) {
        for (char *c = p.upper; *c; c++)
            *c = (char)toupper((unsigned char)*c);
        fprintf(out, "/* %s: a model compiled ahead of time by Nadir for ", p.prefix);
        print_processors(&p);
        fprintf(
            out,
            ". Link its object; nothing else is needed.\n"
            " *\n"
            " * The floating-point environment must be the default one: round to nearest, subnormals kept. State and "
            "arena\n"
            " * are aligned to 64 bytes, arrays to their elements. Functions allocate nothing and use one thread. */\n"
            "#ifndef %s_NADIR_MODEL_H\n#define %s_NADIR_MODEL_H\n\n#include <stddef.h>\n#include <stdint.h>\n\n"
            "#ifdef __cplusplus\n#define %s_ALIGNED alignas(64)\n#define %s_ASSERT static_assert\nextern \"C\" {\n"
            "#else\n#define %s_ALIGNED _Alignas(64)\n#define %s_ASSERT _Static_assert\n#endif\n\n",
            p.upper, p.upper, p.upper, p.upper, p.upper, p.upper);
        print_state(&p);
        print_arena(&p);
        for (int f = 0; f < info->function_count; f++)
            print_function(&p, f, variants[0].plans ? variants[0].plans[f] : NULL);
        print_tables(&p);
        fprintf(out, "#undef %s_ALIGNED\n#undef %s_ASSERT\n#ifdef __cplusplus\n}\n#endif\n#endif\n", p.upper, p.upper);
    }
    nd__arena_release(&p.arena);
    return status;
}
