/* What names in a formula stand for. */
#include "compiler/formula/formula.h"
#include "compiler/text/nearest.h"

#include <math.h>
#include <string.h>

static bool same_name(const char *whole, const char *name, size_t length)
{
    return strlen(whole) == length && memcmp(whole, name, length) == 0;
}

static const struct {
    const char *name;
    double value;
} numbers[] = {{"pi", 0x1.921fb54442d18p+1}, {"inf", (double)INFINITY}, {"nan", (double)NAN}};
enum { NUMBERS = sizeof numbers / sizeof *numbers };

nd_value *nd__value_named(const nd_module *m, const char *name, size_t length)
{
    for (int i = m->node_count - 1; i >= 0 && length > 0; i--)
        for (int k = m->nodes[i]->result_count - 1; k >= 0; k--)
            if (same_name(m->nodes[i]->results[k].name, name, length))
                return &m->nodes[i]->results[k];
    return NULL;
}

nd_value *nd__formula_value(nd__formula *f, const char *name, size_t length)
{
    nd_value *named = nd__value_named(f->m, name, length);
    if (named)
        return named;
    for (int i = 0; i < NUMBERS; i++)
        if (same_name(numbers[i].name, name, length))
            return nd_const_at(f->place, f->m, numbers[i].value);
    return NULL;
}

/* -- suggestions -------------------------------------------------------------------------------------------------- */

const char *nd__formula_nearest(const nd_module *m, const char *name, size_t length, bool calls)
{
    nd__nearest nearest = {.word = name, .length = length};
    for (int i = 0; i < m->node_count && !calls; i++)
        for (int k = 0; k < m->nodes[i]->result_count; k++)
            nd__nearest_try(&nearest, m->nodes[i]->results[k].name);
    for (int i = 0; calls && nd__call_name(i); i++)
        nd__nearest_try(&nearest, nd__call_name(i));
    for (int i = 0; calls && i < m->function_count; i++)
        nd__nearest_try(&nearest, m->functions[i]->name);
    return nearest.best;
}
