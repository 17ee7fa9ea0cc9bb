/* What both ways of showing a module (text, picture) agree on: which nodes, in which order, under which numbers. */
#ifndef NADIR_TEXT_SHOW_H
#define NADIR_TEXT_SHOW_H

#include "compiler/graph/graph.h"
#include "compiler/text/labels.h"
#include "runtime/text.h"

typedef struct nd__shown {
    const nd_module *m;
    nd__arena scratch;
    bool *nodes;      /* by number: whether it is shown */
    int *numbers;     /* by number: the one under which it is shown, from 0 */
    bool seed;        /* m->seed_input is shown */
    nd__labels names; /* of shown values that can be labels, with how many have each */
} nd__shown;

/* What is shown of m, which has not failed: what functions, bodies and initial values need; everything that a node
 * could use where no function is there. The init function is not shown: it is what the initial values say. False:
 * memory ran out; to be released in any case. */
bool nd__shown_begin(nd__shown *s, const nd_module *m);
void nd__shown_end(nd__shown *s);
/* Whether the host can run f: it is no body and not what sets the variables. */
bool nd__is_entry(const nd_function *f);

/* `%hidden`, or `%12`, `%12.1` where the name is no label or not the only one. */
void nd__show_value(const nd__shown *s, nd__text *out, const nd_value *v);
/* `3*B`; `f32[B,784]` */
void nd__show_size_text(nd__text *out, const nd_module *m, int64_t size);
void nd__show_type_text(nd__text *out, const nd_module *m, nd_dtype dtype, const nd_shape *shape);
/* In quotes, with what is unusual escaped. */
void nd__show_string(nd__text *out, const char *text);
/* ` key=value`; nothing where the type and the name say it. */
void nd__show_attribute(const nd__shown *s, nd__text *out, const nd__node *n, const nd__attr *a);
/* Whether v prints under its name alone. */
bool nd__is_shown_by_name(const nd__shown *s, const nd_value *v);

#endif
