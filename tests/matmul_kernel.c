/* A small product with a bias and a relu, as the scheduler would write it. */
#include "matmul_kernel.h"

nd__kernel *matmul_kernel(nd__arena *arena, const char *name)
{
    nd__kernel *k = nd__k_create(arena, name);
    nd__kbuilder b = nd__k_builder(k);
    int32_t x = nd__k_buffer(k, "x", ND_F32, ND__K_IN, 6, 4), w = nd__k_buffer(k, "w", ND_F32, ND__K_IN, 48, 64);
    int32_t bias = nd__k_buffer(k, "b", ND_F32, ND__K_IN, 16, 64), h = nd__k_buffer(k, "h", ND_F32, ND__K_OUT, 32, 64);
    nd__ktype f32 = nd__k_type(ND_F32, 1), f32x8 = nd__k_type(ND_F32, 8);
    nd__kval zero = nd__k_const(&b, f32x8, 0), acc[2], next[2], sum[2];
    int32_t j = nd__k_for(&b, nd__k_at(0), nd__k_at(16), 8, 0, NULL, NULL);
    int32_t p = nd__k_for(&b, nd__k_at(0), nd__k_at(3), 1, 2, (nd__kval[]){zero, zero}, acc);
    nd__kval row = nd__k_load(&b, w, nd__k_plus(nd__k_plus(nd__k_at(0), j, 1), p, 16), 8, 1, 8);
    for (int r = 0; r < 2; r++) {
        nd__kval one = nd__k_load(&b, x, nd__k_plus(nd__k_at(3 * r), p, 1), 1, 1, 1);
        next[r] = nd__k_op3(&b, ND__K_fma, nd__k_splat(&b, one, 8), row, acc[r]);
    }
    nd__k_end_for(&b, next, sum);
    nd__kval offset = nd__k_load(&b, bias, nd__k_plus(nd__k_at(0), j, 1), 8, 1, 8);
    for (int r = 0; r < 2; r++) {
        nd__kval y = nd__k_op2(&b, ND__K_add, sum[r], offset);
        nd__kval cut = nd__k_op2(&b, ND__K_le, y, nd__k_splat(&b, nd__k_const(&b, f32, 0), 8));
        y = nd__k_op3(&b, ND__K_select, cut, zero, y);
        nd__k_store(&b, h, nd__k_plus(nd__k_at(16 * r), j, 1), y, 1, 8);
    }
    nd__k_end_for(&b, NULL, NULL);
    return k;
}
