/* Plans: made and destroyed. */
#include "compiler/schedule/schedule.h"

#include <stdlib.h>
#include <string.h>

nd__plan *nd__plan_create(const char *name)
{
    nd__arena *arena = calloc(1, sizeof *arena);
    if (!arena)
        return NULL;
    nd__plan *plan = nd__arena_alloc(arena, 1, sizeof *plan);
    char *copy = nd__arena_text(arena, name, strlen(name));
    if (!plan || !copy)
        goto error;
    plan->arena = arena;
    plan->name = copy;
    return plan;
error:
    nd__arena_release(arena);
    free(arena);
    return NULL;
}

void nd__plan_destroy(nd__plan *plan)
{
    if (!plan)
        return;
    nd__arena *arena = plan->arena;
    nd__arena_release(arena);
    free(arena);
}
