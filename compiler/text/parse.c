/* Text to module: doc/text.md. Every node is made by the same calls that the builder ends in, so that a text cannot
 * make what a program could not; what is left is for the verifier. */
#include "compiler/text/parse.h"
#include "compiler/text/elements.h"
#include "nadir/text.h"
#include "runtime/file.h"

#include <stdlib.h>
#include <string.h>

static bool parse_header(nd__t_parser *p)
{
    const char *name;
    if (p->token.kind == ND__T_LINE)
        nd__t_next(p);
    if (!nd__t_is(&p->token, "nadir"))
        return nd__t_expected(p, "the version line 'nadir 1'");
    nd__t_next(p);
    if (p->token.kind != ND__T_NUMBER || p->token.length != 1 || *p->token.text != '1')
        return nd__t_expected(p, "version 1 of the text");
    nd__t_next(p);
    if (!nd__t_expect_line(p) || !nd__t_expect(p, "module"))
        return false;
    const nd__t_token at = p->token;
    if (!nd__t_parse_word(p, "the module's name", &name))
        return false;
    if (!nd__module_name_is_good(name))
        return nd__t_wrong(p, &at, "module name \"%s\": expected a letter, then letters, digits, _ or -", name);
    p->m->name = nd__arena_text(&p->m->arena, name, strlen(name));
    if (!p->m->name) {
        nd__fail_memory(p->m);
        return false;
    }
    if (nd__t_accept(p, "seed")) {
        if (!nd__t_expect(p, "="))
            return false;
        if (p->token.kind != ND__T_NUMBER || !nd__bits_parse(p->token.text, p->token.length, &p->m->seed))
            return nd__t_expected(p, "a seed of 64 bits");
        nd__t_next(p);
    }
    return nd__t_expect_line(p);
}

/* dim B=32 */
static bool parse_dim(nd__t_parser *p)
{
    const nd__t_token at = p->token;
    const char *name;
    int64_t value;
    if (!nd__t_parse_word(p, "the dimension's name", &name) || !nd__t_expect(p, "="))
        return false;
    if (p->token.kind != ND__T_NUMBER || !nd__whole_parse(p->token.text, p->token.length, &value))
        return nd__t_expected(p, "a size");
    nd__t_next(p);
    nd_dim_at(nd__t_place_of(p, &at), p->m, name, value);
    return p->m->status == ND_OK && nd__t_expect_line(p);
}

/* (%x, %y) */
static bool parse_values(nd__t_parser *p, int *count, nd_value ***values)
{
    int room = 0;
    *count = 0;
    *values = NULL;
    if (!nd__t_expect(p, "("))
        return false;
    if (nd__t_accept(p, ")"))
        return true;
    do {
        if (!nd__arena_grow(&p->scratch, values, &room, *count + 1, sizeof(nd_value *))) {
            nd__fail_memory(p->m);
            return false;
        }
        if (!nd__t_parse_value(p, &(*values)[(*count)++]))
            return false;
    } while (nd__t_accept(p, ","));
    return nd__t_expect(p, ")");
}

/* { %w := %9 ... }, assigned in f; nothing where there is no brace. */
static bool parse_updates(nd__t_parser *p, nd_function *f)
{
    if (!nd__t_accept(p, "{"))
        return true;
    if (p->token.kind == ND__T_LINE)
        nd__t_next(p);
    while (!nd__t_accept(p, "}")) {
        const nd__t_token at = p->token;
        nd_value *variable, *value;
        if (at.kind != ND__T_LABEL)
            return nd__t_expected(p, "a variable or '}'");
        if (!nd__t_parse_value(p, &variable) || !nd__t_expect(p, ":=") || !nd__t_parse_value(p, &value))
            return false;
        nd_assign_at(nd__t_place_of(p, &at), f, variable, value);
        if (p->m->status != ND_OK || (!nd__t_is(&p->token, "}") && !nd__t_expect_line(p)))
            return false;
    }
    return true;
}

/* fn step(%x) -> (%loss) { ... }; body cell(%c) -> (%next) */
static bool parse_function(nd__t_parser *p, bool body)
{
    const nd__t_token at = p->token;
    const char *name;
    int input_count, output_count = 0;
    nd_value **inputs, **outputs = NULL;
    if (!nd__t_parse_word(p, "the function's name", &name) || !parse_values(p, &input_count, &inputs) ||
        !nd__t_expect(p, "->") || !parse_values(p, &output_count, &outputs))
        return false;
    nd_function *f = nd_function_at(nd__t_place_of(p, &at), p->m, name, (nd_values){(size_t)input_count, inputs},
                                    (nd_values){(size_t)output_count, outputs});
    if (p->m->status != ND_OK)
        return false;
    f->body = body;
    return parse_updates(p, f) && nd__t_expect_line(p);
}

/* init(%seed) { %w := %9 ... }: the initial values, written like a function that assigns them. */
static bool parse_initial_values(nd__t_parser *p, const nd__t_token *at)
{
    int count;
    nd_value **inputs;
    nd_function init = {.module = p->m, .name = "init", .place = "", .number = -1};
    if (p->initial_values)
        return nd__t_wrong(p, at, "the initial values are given twice");
    if (!parse_values(p, &count, &inputs))
        return false;
    if (count > 1 || (count == 1 && (inputs[0]->node->op != ND__OP_input || inputs[0]->dtype != ND_U32 ||
                                     inputs[0]->shape.rank != 1 || inputs[0]->shape.dims[0] != 2)))
        return nd__t_wrong(p, at, "init takes the seed, an input of u32[2], or nothing");
    if (!parse_updates(p, &init))
        return false;
    p->initial_values = true;
    p->m->seed_input = count == 1 ? inputs[0] : NULL;
    for (int i = 0; i < init.update_count; i++)
        init.updates[i].variable->initial = init.updates[i].value;
    return nd__t_expect_line(p);
}

static bool parse_statement(nd__t_parser *p)
{
    const nd__t_token at = p->token;
    if (at.kind == ND__T_LABEL)
        return nd__t_parse_node(p);
    if (nd__t_accept(p, "dim"))
        return parse_dim(p);
    if (nd__t_accept(p, "fn"))
        return parse_function(p, false);
    if (nd__t_accept(p, "body"))
        return parse_function(p, true);
    if (nd__t_accept(p, "init"))
        return parse_initial_values(p, &at);
    return nd__t_expected(p, "a value (%%name or %%number), dim, body, fn or init");
}

static void parse_module(nd__t_parser *p)
{
    bool good = parse_header(p);
    while (good && p->token.kind != ND__T_END)
        good = parse_statement(p);
    if (!good)
        return;
    const char *wrong = nd__verify(p->m);
    if (wrong == nd_status_text(ND_ERR_MEMORY))
        nd__fail_memory(p->m);
    else if (wrong)
        nd__fail(p->m, ND_ERR_GRAPH, "", "%s", wrong);
}

/* `path`: of the file that the text comes from, or NULL. */
static nd_module *parse(const char *text, const char *file, const char *path)
{
    nd__t_parser p = {.m = nd_module_create("unnamed"), .file = file, .path = path};
    if (!p.m)
        return NULL;
    p.place_room = strlen(p.file) + 32;
    p.place = nd__arena_alloc(&p.scratch, p.place_room, 1);
    if (p.place) {
        nd__t_lex_begin(&p.lexer, text);
        nd__t_next(&p);
        parse_module(&p);
    } else {
        nd__fail_memory(p.m);
    }
    nd__safetensors_release(&p.apart);
    free(p.apart_path);
    nd__arena_release(&p.scratch);
    return p.m;
}

/* A module that failed before there was a text. */
static nd_module *unread(nd_status status, const char *place, const char *message)
{
    nd_module *m = nd_module_create("unnamed");
    nd__fail(m, status, place, "%s", message);
    return m;
}

nd_module *nd_module_parse(const char *text, const char *file)
{
    return text ? parse(text, file ? file : "text", NULL)
                : unread(ND_ERR_ARGUMENT, file, "nd_module_parse: the text is NULL");
}

nd_module *nd_module_read(const char *path)
{
    nd__bytes bytes;
    nd__message message = {0};
    if (!path)
        return unread(ND_ERR_ARGUMENT, "", "nd_module_read: the path is NULL");
    nd_module *m;
    if (nd__file_read(path, false, &bytes, &message) != ND_OK) {
        m = unread(message.status, "", nd__message_text(&message));
    } else {
        const char *text = (const char *)bytes.data;
        m = strlen(text) == bytes.count ? parse(text, path, path)
                                        : unread(ND_ERR_PARSE, path, "expected text, found a byte 0");
        free(bytes.data);
    }
    nd__message_clear(&message);
    return m;
}
