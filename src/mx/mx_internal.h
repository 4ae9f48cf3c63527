/* mx_internal.h - bit-level helpers shared by the files of mx. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MX_INTERNAL_H
#define MX_INTERNAL_H
#include "plena/mx.h"

#include <string.h>

__extension__ typedef unsigned __int128 u128;
__extension__ typedef __int128 i128;

static inline uint32_t float_bits(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline float bits_float(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* |x| = sig * 2^(exp - 23) with sig in [2^23, 2^24), also for subnormals; 0 for zero. x finite. */
static inline uint32_t float_parts(float x, int *exp)
{
    const uint32_t u = float_bits(x) & 0x7fffffff;
    if (u >= 0x00800000) {
        *exp = (int)(u >> 23) - 127;
        return (u & 0x7fffff) | 0x800000;
    }
    *exp = 0;
    if (!u)
        return 0;
    const int up = __builtin_clz(u) - 8;
    *exp = -126 - up;
    return u << up;
}

/* x / 2^n to nearest, ties to even; n <= 31, x < 2^31. */
static inline uint32_t round_even(uint32_t x, unsigned n)
{
    if (n == 0)
        return x;
    return (uint32_t)(((uint64_t)x + ((uint64_t)1 << (n - 1)) - 1 + (x >> n & 1)) >> n);
}

/* Integers in the order of the values: -0 < +0; not for NaN. */
static inline int32_t order_key(float x)
{
    const int32_t u = (int32_t)float_bits(x);
    return u < 0 ? u ^ 0x7fffffff : u;
}

/* MXINT: the integer q of a code, and the exponent of q = 1 at scale 1. */
static inline int32_t int_code(const struct pl_format *f, uint32_t code)
{
    const int up = 32 - f->int_bits;
    return f->range == PL_RANGE_UNSIGNED ? (int32_t)code : (int32_t)(code << up) >> up;
}

static inline int int_exp(const struct pl_format *f)
{
    return (f->range == PL_RANGE_UNSIGNED ? 1 : 2) - f->int_bits;
}

/* quantise_more.c: one block of a format that is not on the machine; true: a NaN or Inf */
bool mx_quantise_more(const struct pl_format *f, const float *x, const int16_t *exp_add, size_t n, uint32_t *code, uint8_t *scale);
int minifloat_bias(struct pl_minifloat f);
uint32_t minifloat_max_code(struct pl_minifloat f);
uint32_t minifloat_round(struct pl_minifloat f, uint32_t sig, int exp);

/* sign * mag * 2^exp to nearest even with man_bits fraction bits; flushed below 2^emin after rounding, Inf beyond the
 * largest finite of an IEEE-kind format of exponent bias emax. mag > 0. */
float round_to_format(bool negative, u128 mag, int exp, int man_bits, int emin, int emax);

static inline bool is_bf16(struct pl_minifloat f)
{
    return f.exp_bits == 8 && f.man_bits == 7 && f.special == PL_SPECIAL_IEEE;
}

/* One lane of pl_vec_round for BF16: the hot case. */
static inline float round_bf16(float x)
{
    const uint32_t u = float_bits(x), sign = u & 0x80000000, a = u & 0x7fffffff;
    uint32_t r = (a + 0x7fff + (a >> 16 & 1)) & 0xffff0000;
    r = a < 0x00800000 ? (a >= 0x007fc000 ? 0x00800000 : 0) : r;
    r = a > 0x7f800000 ? 0x7fc00000 : r | sign;
    return bits_float(r);
}
#endif
