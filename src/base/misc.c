/* misc.c - small arithmetic, the clock, nearest names, random numbers. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "plena/base.h"

#include <math.h>
#include <string.h>
#include <time.h>

bool pl_mul_overflows(size_t a, size_t b, size_t *out)
{
    return __builtin_mul_overflow(a, b, out);
}

bool pl_is_pow2(uint64_t x)
{
    return x && !(x & (x - 1));
}

unsigned pl_log2(uint64_t x)
{
    return 63u - (unsigned)__builtin_clzll(x);
}

size_t pl_round_up(size_t x, size_t multiple)
{
    return (x + multiple - 1) / multiple * multiple;
}

uint64_t pl_clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

enum { NAME_MAX_LEN = 64 };

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    const unsigned m = a < b ? a : b;
    return m < c ? m : c;
}

/* Levenshtein distance of names of at most NAME_MAX_LEN bytes. */
static unsigned edit_distance(const char *a, size_t n, const char *b, size_t m)
{
    unsigned row[NAME_MAX_LEN + 1];
    for (size_t j = 0; j <= m; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= n; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= m; j++) {
            const unsigned up = row[j];
            row[j] = min3(up + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = up;
        }
    }
    return row[m];
}

const char *pl_nearest(const char *s, const char *const *names, size_t n)
{
    const size_t len = strlen(s);
    if (len > NAME_MAX_LEN)
        return NULL;
    const char *best = NULL;
    unsigned least = (unsigned)len / 3 + 2; /* further away is no suggestion */
    for (size_t i = 0; i < n; i++) {
        const size_t m = strlen(names[i]);
        if (m > NAME_MAX_LEN)
            continue;
        const unsigned dist = edit_distance(s, len, names[i], m);
        if (dist < least) {
            least = dist;
            best = names[i];
        }
    }
    return best;
}

/* xoshiro256** by Blackman and Vigna, seeded by splitmix64. */
void pl_rng_init(struct pl_rng *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        uint64_t z = (seed += 0x9e3779b97f4a7c15u);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        r->s[i] = z ^ (z >> 31);
    }
}

static uint64_t rotl(uint64_t x, int k)
{
    return x << k | x >> (64 - k);
}

uint64_t pl_rng_u64(struct pl_rng *r)
{
    uint64_t *s = r->s;
    const uint64_t result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

uint64_t pl_rng_below(struct pl_rng *r, uint64_t n)
{
    const uint64_t limit = UINT64_MAX - UINT64_MAX % n;
    uint64_t x;
    do
        x = pl_rng_u64(r);
    while (x >= limit);
    return x % n;
}

double pl_rng_double(struct pl_rng *r)
{
    return (double)(pl_rng_u64(r) >> 11) * 0x1p-53;
}

double pl_rng_normal(struct pl_rng *r)
{
    const double u = 1.0 - pl_rng_double(r), v = pl_rng_double(r);
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}
