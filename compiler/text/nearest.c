/* How many letters to insert, drop, change or swap with their neighbour to get from one word to another (Damerau 1964,
 * in the restricted form that edits no place twice). */
#include "compiler/text/nearest.h"

#include <string.h>

enum { LONGEST = 32 };

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t distance(const char *a, size_t n, const char *b, size_t m)
{
    size_t rows[3][LONGEST + 1]; /* i - 2, i - 1 and i, in turn */
    for (size_t j = 0; j <= m; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], above2[j - 2] + 1);
        }
    }
    return rows[n % 3][m];
}

void nd__nearest_try(nd__nearest *nearest, const char *candidate)
{
    const size_t n = strlen(candidate), limit = nearest->length < 3 ? 1 : 1 + nearest->length / 4;
    if (n == 0 || n > LONGEST || nearest->length > LONGEST)
        return;
    const size_t d = distance(nearest->word, nearest->length, candidate, n);
    if (d <= limit && (!nearest->best || d < nearest->distance)) {
        nearest->best = candidate;
        nearest->distance = d;
    }
}
