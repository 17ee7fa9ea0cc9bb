/* Random bits: Philox4x32-10.
 *
 * Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011, section 3.3: ten rounds of two 32
 * x 32 bit products over a counter of four words and a key of two, no state. Element i of the result is word i mod 4 of
 * the block whose counter is (i / 4 low, i / 4 high, stream low, stream high). */
#include "compiler/interp/definitions.h"

enum { ROUNDS = 10 };

void nd__philox(const uint32_t counter[4], const uint32_t key[2], uint32_t word[4])
{
    uint32_t key0 = key[0], key1 = key[1];
    for (int i = 0; i < 4; i++)
        word[i] = counter[i];
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t p = (uint64_t)0xD2511F53u * word[0], q = (uint64_t)0xCD9E8D57u * word[2];
        uint32_t first = (uint32_t)(q >> 32) ^ word[1] ^ key0, third = (uint32_t)(p >> 32) ^ word[3] ^ key1;
        word[0] = first;
        word[1] = (uint32_t)q;
        word[2] = third;
        word[3] = (uint32_t)p;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
}

nd_status nd__interpret_random_bits(const nd__node *node, const void *const *in, void *const *out)
{
    const uint32_t *key = in[0];
    const int64_t n = nd__elements(&node->results[0].shape);
    const uint64_t stream = (uint64_t)nd__get_int(node, ND__A_stream);
    uint32_t *to = out[0];
    for (int64_t i = 0; i < n; i += 4) {
        uint64_t block = (uint64_t)i / 4;
        uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), (uint32_t)stream, (uint32_t)(stream >> 32)},
                 word[4];
        nd__philox(counter, key, word);
        for (int64_t k = 0; k < 4 && i + k < n; k++)
            to[i + k] = word[k];
    }
    return ND_OK;
}
