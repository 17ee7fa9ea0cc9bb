/* Fisher and Yates' shuffle (Knuth, The Art of Computer Programming 2, 3.4.2, algorithm P) driven by SplitMix64
 * (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators"). */
#include "runtime/shuffle.h"

static const uint64_t golden = 0x9E3779B97F4A7C15;

static uint64_t mix(uint64_t z)
{
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return z ^ z >> 31;
}

static uint64_t next(uint64_t *state)
{
    return mix(*state += golden);
}

/* Uniform in 0 .. n-1: draws from the incomplete last multiple of n are thrown away. */
static uint64_t below(uint64_t *state, uint64_t n)
{
    uint64_t r, least = (0 - n) % n;
    do
        r = next(state);
    while (r < least);
    return r % n;
}

void nd__shuffle(int64_t *order, int64_t n, uint64_t seed, uint64_t epoch)
{
    /* The epoch is mixed into the state, not added to it: neighbouring epochs would draw the same numbers, one later.
     */
    uint64_t state = mix(seed + golden) ^ mix(epoch * golden + 1);
    for (int64_t i = 0; i < n; i++)
        order[i] = i;
    for (int64_t i = n - 1; seed != 0 && i > 0; i--) {
        int64_t k = (int64_t)below(&state, (uint64_t)i + 1), held = order[i];
        order[i] = order[k];
        order[k] = held;
    }
}
