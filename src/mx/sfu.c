/* sfu.c - special functions defined in integers: exp for the vector and scalar units, and their reciprocals.
 *
 * Vector exp (reference/rtl.md 2.7): t = |x| log2(e) in fixed point, rounded half up; n = floor, f = fraction of +-t;
 * 2^f from a chord-centred linear table; one rounding half up. Up to 7 fraction bits: 32 segments, f with 12 bits, table
 * with 13; more: 64 segments, 16, 17. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "mx_internal.h"

#include <math.h>

#include "sfu_tables.h"

struct exp_shape {
    int log_seg, frac, bits, log2e_bits;
    uint32_t log2e;
    const uint32_t *base, *slope;
};
static const struct exp_shape narrow = {5, 12, 13, 15, EXP_LOG2E_15, exp_narrow_base, exp_narrow_slope};
static const struct exp_shape wide = {6, 16, 17, 20, EXP_LOG2E_20, exp_wide_base, exp_wide_slope};

/* 2^E bounds: |x| >= 2^limit overflows or underflows whatever the format. */
static float exp_lane(struct pl_minifloat f, const struct exp_shape *s, float x)
{
    const uint32_t u = float_bits(x);
    const bool negative = u >> 31;
    if ((u & 0x7fffffff) > 0x7f800000)
        return bits_float(0x7fc00000);
    if ((u & 0x7fffffff) < 0x00800000)
        return 1.0f; /* zero, and what the vector format flushes */
    const int e = (int)(u >> 23 & 0xff) - 127;
    if (e >= 7)
        return negative ? 0.0f : INFINITY;
    const uint64_t sig = (u & 0x7fffff) >> (23 - f.man_bits) | 1u << f.man_bits;
    const uint64_t prod = sig * s->log2e; /* value = prod * 2^(e - man_bits - log2e_bits) */
    const int shift = f.man_bits + s->log2e_bits - s->frac - e;
    const uint64_t t = shift > 60 ? 0 : ((prod >> (shift - 1)) + 1) >> 1;
    const int64_t signed_t = negative ? -(int64_t)t : (int64_t)t;
    int n = (int)(signed_t >> s->frac);
    const uint32_t frac = (uint32_t)signed_t & ((1u << s->frac) - 1);
    const uint32_t low = s->frac - s->log_seg > 0 ? (uint32_t)(s->frac - s->log_seg) : 0;
    const uint32_t i = frac >> low;
    const uint32_t v = s->base[i] + (s->slope[i] * (frac & ((1u << low) - 1)) >> low); /* 2^f - 1 */
    const int drop = s->bits - f.man_bits;
    uint32_t man = (v + (1u << (drop - 1))) >> drop;
    if (man >> f.man_bits) {
        man = 0;
        n++;
    }
    const int bias = minifloat_bias(f);
    if (n < 1 - bias)
        return 0.0f;
    if (n > bias)
        return INFINITY;
    return bits_float((uint32_t)(n + 127) << 23 | man << (23 - f.man_bits));
}

void pl_vec_exp(struct pl_minifloat f, const float *a, size_t n, float *out)
{
    const struct exp_shape *s = f.man_bits <= 7 ? &narrow : &wide;
    for (size_t i = 0; i < n; i++)
        out[i] = exp_lane(f, s, a[i]);
}

/* Division to binary32 and then to at most 11 significant bits rounds correctly (24 >= 2 * 11 + 2). */
void pl_vec_reci(struct pl_minifloat f, const float *a, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = pl_vec_round(f, 1.0f / a[i]);
}

static float flush(float x)
{
    const uint32_t u = float_bits(x);
    if ((u & 0x7fffffff) > 0x7f800000)
        return bits_float(0x7fc00000);
    return (u & 0x7f800000) ? x : bits_float(u & 0x80000000);
}

/* exp(x) = 2^n * 2^(i/64) * 2^r with n + i/64 + r = x log2(e) in 32 fraction bits; 2^r by a cubic. */
float pl_f32_exp(float x)
{
    x = flush(x);
    const uint32_t u = float_bits(x);
    const bool negative = u >> 31;
    if (isnan(x))
        return x;
    if (!(u & 0x7fffffff))
        return 1.0f;
    const int e = (int)(u >> 23 & 0xff) - 127;
    if (e >= 7)
        return negative ? 0.0f : INFINITY;
    const uint64_t prod = ((u & 0x7fffff) | 0x800000) * exp_log2e_38; /* value = prod * 2^(e - 61) */
    const int shift = 29 - e;
    const uint64_t t = shift > 63 ? 0 : ((prod >> (shift - 1)) + 1) >> 1;
    const int64_t signed_t = negative ? -(int64_t)t : (int64_t)t;
    int n = (int)(signed_t >> 32);
    const uint64_t frac = (uint64_t)signed_t & 0xffffffff, r = frac & 0x3ffffff; /* r < 2^-6, 32 bits */
    uint64_t p = exp_c2 + (exp_c3 * r >> 32);
    p = exp_c1 + (p * r >> 32);
    p = p * r >> 32; /* 2^r - 1 */
    const uint64_t table = exp_f32[frac >> 26];
    const uint64_t v = (table << 31) + (table * p >> 1); /* 2^f with 62 fraction bits */
    uint64_t man = (v + ((uint64_t)1 << 38)) >> 39;
    if (man >> 24) {
        man >>= 1;
        n++;
    }
    if (n < -126)
        return 0.0f;
    if (n > 127)
        return INFINITY;
    return bits_float((uint32_t)(n + 127) << 23 | ((uint32_t)man & 0x7fffff));
}

/* ---- the rest of the scalar unit: IEEE binary32, subnormals in and out are zeros, one NaN ---- */
float pl_f32_add(float a, float b)
{
    return flush(flush(a) + flush(b));
}

float pl_f32_sub(float a, float b)
{
    return flush(flush(a) - flush(b));
}

float pl_f32_mul(float a, float b)
{
    return flush(flush(a) * flush(b));
}

float pl_f32_reci(float a)
{
    return flush(1.0f / flush(a));
}

float pl_f32_sqrt(float a)
{
    return flush(sqrtf(flush(a)));
}

float pl_f32_max(float a, float b)
{
    a = flush(a);
    b = flush(b);
    if (isnan(a))
        return b;
    if (isnan(b))
        return a;
    return order_key(a) >= order_key(b) ? a : b;
}
