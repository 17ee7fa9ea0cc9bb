/* States as safetensors files. */
#include "runtime/state_file.h"

#include "runtime/text.h"

#include <stdlib.h>
#include <string.h>

nd_status nd__state_save(nd_state *state, const char *path, size_t pair_count, const nd__pair *pairs)
{
    if (!state)
        return ND_ERR_MEMORY;
    const nd_program_info *info = &state->program->info;
    nd__message_clear(&state->message);
    if (!path)
        return nd__message_set(&state->message, ND_ERR_ARGUMENT, "the path is NULL");
    for (int i = 0; i < info->variable_count; i++)
        if (!state->is_set[i])
            return nd__message_set(&state->message, ND_ERR_STATE, "%s: the variable \"%s\" was never set", path,
                                   info->variables[i].port.name);
    const char **names = malloc(((size_t)info->variable_count + 1) * sizeof *names);
    if (!names)
        return nd__message_set(&state->message, ND_ERR_MEMORY, "%s: out of memory", path);
    for (int i = 0; i < info->variable_count; i++)
        names[i] = info->variables[i].port.name;
    nd_status status = nd__safetensors_write(path, (size_t)info->variable_count, names, state->tensors, pair_count,
                                             pairs, &state->message);
    free(names);
    return status;
}

/* "F32[2,3]": a tensor of a file, whose type may be none of ours. */
static void add_type(nd__text *list, const nd__saved *saved)
{
    char text[ND__TYPE_TEXT];
    nd__type_text(text, sizeof text, saved->dtype, saved->shape);
    if (saved->dtype == ND_DTYPES)
        nd__text_add(list, "%.16s%s", saved->type, strchr(text, '['));
    else
        nd__text_add(list, "%s", text);
}

static bool same_type(const nd__saved *saved, const nd_tensor *t)
{
    bool same = saved->dtype == t->dtype && saved->shape.rank == t->shape.rank;
    for (int i = 0; same && i < t->shape.rank; i++)
        same = saved->shape.dims[i] == t->shape.dims[i];
    return same;
}

nd_status nd__state_match(nd_state *state, const char *path, const nd__safetensors *s)
{
    char type[ND__TYPE_TEXT];
    const nd_program_info *info = &state->program->info;
    nd__text list = {0};
    size_t found = 0;
    for (int i = 0; i < info->variable_count; i++) {
        const nd_port *port = &info->variables[i].port;
        const nd__saved *saved = nd__safetensors_find(s, port->name);
        found += saved != NULL;
        if (saved && same_type(saved, state->tensors[i]))
            continue;
        nd__text_add(&list, "\n  %s: \"%s\" %s", saved ? "other type" : "missing", port->name,
                     nd__type_text(type, sizeof type, port->dtype, port->shape));
        if (saved) {
            nd__text_add(&list, ", but the file has ");
            add_type(&list, saved);
        }
    }
    for (size_t i = 0; found < s->count && i < s->count; i++)
        if (nd__program_variable_index(state->program, s->tensors[i].name) < 0) {
            nd__text_add(&list, "\n  extra: \"%s\" ", s->tensors[i].name);
            add_type(&list, &s->tensors[i]);
        }
    nd_status status = ND_OK;
    if (list.failed)
        status = nd__message_set(&state->message, ND_ERR_MEMORY, "%s: out of memory", path);
    else if (list.used > 0)
        status = nd__message_set(&state->message, ND_ERR_DATA, "%s does not have the program's variables:%s", path,
                                 list.data);
    nd__text_release(&list);
    return status;
}

void nd__state_take(nd_state *state, const nd__safetensors *s)
{
    const nd_program_info *info = &state->program->info;
    for (int i = 0; i < info->variable_count; i++) {
        nd__safetensors_copy(s, nd__safetensors_find(s, info->variables[i].port.name), state->tensors[i]);
        state->is_set[i] = true;
    }
}

nd_status nd_state_save(nd_state *state, const char *path)
{
    return nd__state_save(state, path, 0, NULL);
}

nd_status nd_state_load(nd_state *state, const char *path)
{
    if (!state)
        return ND_ERR_MEMORY;
    nd__safetensors s;
    nd__message_clear(&state->message);
    nd_status status = nd__safetensors_read(path, &s, &state->message);
    if (status != ND_OK)
        return status;
    status = nd__state_match(state, path, &s);
    if (status == ND_OK)
        nd__state_take(state, &s);
    nd__safetensors_release(&s);
    return status;
}
