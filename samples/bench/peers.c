/* The same workloads in other libraries, each a process of its own (peers/run.sh), which prints a line of JSON. */
#define _POSIX_C_SOURCE 200809L
#include "bench.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const libraries[] = {"jax", "tf", "torch", "tinygrad"};
enum { LIBRARIES = sizeof libraries / sizeof *libraries };

/* What stands behind "key": in a line, without quotes; "" if it is not there. */
static const char *field(const char *line, const char *key, char value[64])
{
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\": ", key);
    const char *at = strstr(line, quoted);
    size_t n = 0;
    if (at) {
        at += strlen(quoted);
        at += *at == '"';
        n = strcspn(at, "\",}");
        n = n < 63 ? n : 63;
        memcpy(value, at, n);
    }
    value[n] = 0;
    return value;
}

static void print_peer(const char *line, const options *o, FILE *out)
{
    char value[64], label[160], text[3][16];
    int n = snprintf(label, sizeof label, "  %s", field(line, "framework", value));
    snprintf(label + n, sizeof label - (size_t)n, " %s", field(line, "mode", value));
    const double median = 1e-6 * strtod(field(line, "step_us_median", value), NULL);
    const double p10 = 1e-6 * strtod(field(line, "step_us_p10", value), NULL);
    const double first = 1e-3 * strtod(field(line, "first_call_ms", value), NULL);
    const double error = strtod(field(line, "loss_check", value), NULL);
    const int threads = o->threads > 1 ? 10 : 0; /* its column stays empty */
    fprintf(out, "%-30s %9s %9s %*s%7s %9s %7s %9s %7s %7s %8s %7s %8.1e\n", label, time_text(text[0], median),
            time_text(text[1], p10), threads, "", "", "", "", time_text(text[2], first), "", "", "", "", error);
}

void peers_run(const char *name, const options *o, FILE *out)
{
    char command[8192], number[32], path[4096], line[4096];
    size_t n = (size_t)snprintf(command, sizeof command, "sh '" SAMPLES "/bench/peers/run.sh' '%s'", o->peers);
    for (int i = 0; i < LIBRARIES; i++) {
        snprintf(path, sizeof path, "%s/%s", o->peers, libraries[i]);
        if (access(path, X_OK) == 0)
            n += (size_t)snprintf(command + n, sizeof command - n, " %s", libraries[i]);
    }
    snprintf(number, sizeof number, "%g", o->seconds);
    setenv("ND_SECONDS", number, 1);
    setenv("ND_ONLY", name, 1);
    if (o->data)
        setenv("ND_DATA", o->data, 1);
    setenv("ND_MODES", "jit loop jit-nchw function xla eager eager-nhwc step step-nhwc llvm", 0);
    FILE *rows = popen(command, "r");
    while (rows && fgets(line, sizeof line, rows))
        print_peer(line, o, out);
    if (rows)
        pclose(rows);
}
