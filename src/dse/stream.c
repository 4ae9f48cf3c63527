/* stream.c - random streams that depend on nothing but their name, and a scrambled Halton sequence. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>

#include "plena/dse_math.h"

/* The finaliser of SplitMix64. */
static uint64_t mix(uint64_t z)
{
    z += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

void pl_dse_stream(struct pl_rng *r, uint64_t seed, uint64_t trial, uint64_t purpose)
{
    pl_rng_init(r, mix(mix(mix(seed) ^ trial) ^ purpose));
}

void pl_dse_halton(uint64_t seed, uint64_t index, size_t d, double *x)
{
    static const uint8_t prime[48] = {2,  3,  5,  7,  11, 13, 17,  19,  23,  29,  31,  37,  41,  43,  47,  53,
                                      59, 61, 67, 71, 73, 79, 83,  89,  97,  101, 103, 107, 109, 113, 127, 131,
                                      137, 139, 149, 151, 157, 163, 167, 173, 179, 181, 191, 193, 197, 199, 211, 223};
    assert(d <= 48);
    for (size_t k = 0; k < d; k++) {
        const uint32_t b = prime[k];
        const double inv = 1.0 / b;
        double scale = inv, v = 0;
        uint64_t i = index;
        for (unsigned place = 0; scale > 1e-12; place++, i /= b, scale *= inv) {
            struct pl_rng r; /* a permutation of the digits for each dimension and place */
            uint8_t perm[223];
            pl_dse_stream(&r, seed, k, place);
            for (uint32_t j = 0; j < b; j++) {
                const uint32_t o = (uint32_t)pl_rng_below(&r, j + 1);
                perm[j] = perm[o];
                perm[o] = (uint8_t)j;
            }
            v += scale * perm[i % b];
        }
        x[k] = v < 1 ? v : 1 - 1e-12;
    }
}
