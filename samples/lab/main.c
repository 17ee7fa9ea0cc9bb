/* The whole lab. Writes lab.svg. */
#include "lab.h"

#include <stdio.h>

bool expect(bool holds, const char *assertion)
{
    printf("  %s %s\n", holds ? "holds:" : "DOES NOT HOLD:", assertion);
    return holds;
}

void show(const char *name, const nd_tensor *tensor)
{
    printf("  %s = ", name);
    nd_tensor_print(tensor, stdout);
}

int main(void)
{
    static const struct {
        const char *title;
        bool (*run)(void);
    } chapters[] = {
        {"Tensors", tensors},     {"Expressions", expressions},       {"Layers and models", layers},
        {"Gradients", gradients}, {"Minimising a function", descent},
    };
    bool all = true;
    for (size_t i = 0; i < sizeof chapters / sizeof *chapters; i++) {
        printf("%s%zu. %s\n", i ? "\n" : "", i + 1, chapters[i].title);
        all = chapters[i].run() && all;
    }
    return !all;
}
