/* peers/reference.json: an object of arrays of numbers, one a line, computed in f64. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int reference_read(const char *name, double *numbers, int most)
{
    char line[8192], key[64];
    int n = 0;
    FILE *f = fopen(SAMPLES "/bench/peers/reference.json", "r");
    snprintf(key, sizeof key, "\"%s\": [", name);
    while (f && n == 0 && fgets(line, sizeof line, f)) {
        char *at = strstr(line, key);
        if (!at)
            continue;
        at += strlen(key);
        while (n < most && *at) {
            numbers[n++] = strtod(at, &at);
            if (*at++ != ',')
                break;
        }
    }
    if (f)
        fclose(f);
    return n;
}
