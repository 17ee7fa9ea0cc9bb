/* What names in a formula stand for. */
#include "compiler/formula/formula.h"

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

enum { LONGEST = 32 };

static int least(int a, int b)
{
    return a < b ? a : b;
}

/* How many letters to insert, drop, change or swap with their neighbour to get from a to b (Damerau 1964, in the
 * restricted form that edits no place twice). */
static int distance(const char *a, size_t n, const char *b, size_t m)
{
    int rows[3][LONGEST + 1]; /* i - 2, i - 1 and i, in turn */
    for (size_t j = 0; j <= m; j++)
        rows[0][j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        int *row = rows[i % 3];
        const int *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
        row[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], above2[j - 2] + 1);
        }
    }
    return rows[n % 3][m];
}

typedef struct search {
    const char *name, *best;
    size_t length;
    int limit; /* nothing as far as this */
} search;

static void consider(search *s, const char *candidate)
{
    size_t n = strlen(candidate);
    if (n == 0 || n > LONGEST || s->length > LONGEST)
        return;
    int d = distance(s->name, s->length, candidate, n);
    if (d >= s->limit)
        return;
    s->limit = d;
    s->best = candidate;
}

const char *nd__formula_nearest(const nd_module *m, const char *name, size_t length, bool calls)
{
    search s = {.name = name, .length = length, .limit = length < 3 ? 2 : 2 + (int)(length / 4)};
    for (int i = 0; i < m->node_count && !calls; i++)
        for (int k = 0; k < m->nodes[i]->result_count; k++)
            consider(&s, m->nodes[i]->results[k].name);
    for (int i = 0; calls && nd__call_name(i); i++)
        consider(&s, nd__call_name(i));
    for (int i = 0; calls && i < m->function_count; i++)
        consider(&s, m->functions[i]->name);
    return s.best;
}
