/* Trains the network of model.c with what its compilation left: no library, no allocation, no thread. */
#include "net.h"

#include <stdio.h>

static struct net_state state;
static _Alignas(64) char arena[NET_ARENA_SIZE(1)];

int main(void)
{
    const float x[4 * 2] = {0, 0, 0, 1, 1, 0, 1, 1}, y[4] = {0, 1, 1, 0};
    float loss, answer[4];
    net_init(&state, arena, 42);
    for (int i = 0; i < 2000; i++)
        net_step(&state, arena, x, y, &loss);
    net_predict(&state, arena, x, answer);
    printf("loss %.6f\n", loss);
    for (int i = 0; i < 4; i++)
        printf("%g xor %g = %.3f\n", x[2 * i], x[2 * i + 1], answer[i]);

    FILE *file = fopen("weights.ahead", "wb"); /* as model.c writes its own */
    const int written = file && fwrite(state.w1, sizeof state.w1, 1, file) == 1 &&
                        fwrite(state.b1, sizeof state.b1, 1, file) == 1 &&
                        fwrite(state.w2, sizeof state.w2, 1, file) == 1;
    return !(file && fclose(file) == 0 && written);
}
