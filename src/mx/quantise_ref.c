/* quantise_ref.c - the slow, obvious twin of quantise.c, written from the rule in extended precision. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "mx_internal.h"

#include <math.h>

/* Value of element code c, by formula. */
static long double element_value(const struct pl_format *f, unsigned c)
{
    if (f->kind == PL_FORMAT_MXINT) {
        long q = (long)c;
        if (f->range == PL_RANGE_UNSIGNED)
            return ldexpl((long double)q, -(f->int_bits - 1));
        if (c >> (f->int_bits - 1))
            q -= 1L << f->int_bits;
        return ldexpl((long double)q, -(f->int_bits - 2));
    }
    return (long double)pl_minifloat_decode(f->elem, c);
}

static long double element_max(const struct pl_format *f)
{
    return f->kind == PL_FORMAT_MXINT ? element_value(f, (f->range == PL_RANGE_UNSIGNED ? 1u << f->int_bits : 1u << (f->int_bits - 1)) - 1)
                                      : (long double)pl_minifloat_max(f->elem);
}

/* Of all finite magnitudes the nearest to y >= 0; at a tie the even code. Without fraction bits no significand but zero
 * is even, and the larger magnitude is taken (IEEE 754-2019, 4.3.1). */
static unsigned nearest_code(const struct pl_format *f, long double y)
{
    const unsigned n = f->kind != PL_FORMAT_MXINT           ? minifloat_max_code(f->elem) + 1
                       : f->range == PL_RANGE_UNSIGNED      ? 1u << f->int_bits
                                                            : 1u << (f->int_bits - 1);
    unsigned lo = 0, hi = n - 1; /* largest code with value <= y */
    if (y >= element_value(f, hi))
        return hi;
    while (hi - lo > 1) {
        const unsigned mid = (lo + hi) / 2;
        if (element_value(f, mid) <= y)
            lo = mid;
        else
            hi = mid;
    }
    const long double below = y - element_value(f, lo), above = element_value(f, hi) - y;
    if (below != above)
        return below < above ? lo : hi;
    if (f->kind == PL_FORMAT_MXFP && !f->elem.man_bits && lo)
        return hi;
    return lo % 2 == 0 ? lo : hi;
}

static unsigned encode(const struct pl_format *f, long double y, bool negative)
{
    const unsigned c = nearest_code(f, fabsl(y));
    if (!negative)
        return c;
    if (f->range == PL_RANGE_UNSIGNED)
        return 0;
    if (f->range == PL_RANGE_FULL && fabsl(y) >= element_max(f) + ldexpl(1, 1 - f->int_bits)) /* half a step: a tie goes to the even one */
        return 1u << (f->int_bits - 1);
    return f->kind == PL_FORMAT_MXINT ? (0u - c) & ((1u << f->int_bits) - 1)
                                      : c | 1u << (pl_format_bits(f) - 1);
}

static long double scale_value(const struct pl_format *f, int byte)
{
    return f->e6m2 ? (1 + (byte % 4) / 4.0L) * powl(2, byte / 4 - 31) : ldexpl(1, byte - 127);
}

static double error_at(const struct pl_format *f, const long double *x, size_t n, int byte)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        const unsigned c = encode(f, x[i] / scale_value(f, byte), signbit(x[i]));
        const double diff = (double)(x[i] - element_value(f, c) * scale_value(f, byte));
        sum += diff * diff;
    }
    return sum;
}

static int clamp_byte(int s)
{
    return s < 0 ? 0 : s > 254 ? 254 : s;
}

static int scale_of(const struct pl_format *f, const long double *x, size_t n, long double amax)
{
    int exp, emax, first = 0, last;
    frexpl(amax, &exp);
    frexpl(element_max(f), &emax);
    const int floor_byte = (exp - 1) - (f->kind == PL_FORMAT_MXINT ? 0 : emax - 1) + 127;
    if (f->e6m2 || f->rule == PL_SCALE_CEIL)
        while (first < 254 && scale_value(f, first) * element_max(f) < amax)
            first++;
    if (f->rule == PL_SCALE_FLOOR)
        return clamp_byte(floor_byte);
    if (f->rule == PL_SCALE_CEIL)
        return first;
    last = clamp_byte(f->e6m2 ? first + 4 : floor_byte + 1);
    first = clamp_byte(f->e6m2 ? first - 2 : floor_byte - 1);
    int best = first;
    for (int s = first + 1; s <= last; s++)
        if (error_at(f, x, n, s) < error_at(f, x, n, best))
            best = s;
    return best;
}

static bool block_ref(const struct pl_format *f, const float *x, const int16_t *exp_add, size_t n, uint32_t *code,
                      uint8_t *scale)
{
    long double v[64], amax = 0;
    bool bad = false;
    for (size_t i = 0; i < n; i++) {
        bad |= !isfinite(x[i]);
        v[i] = ldexpl((long double)x[i], exp_add ? exp_add[i] : 0);
        const long double a = f->range == PL_RANGE_UNSIGNED ? v[i] : fabsl(v[i]);
        amax = a > amax ? a : amax;
    }
    const int byte = bad || amax == 0 ? 0 : scale_of(f, v, n, amax);
    *scale = bad ? 255 : (uint8_t)byte;
    for (size_t i = 0; i < n; i++)
        code[i] = bad ? 0 : encode(f, v[i] / scale_value(f, byte), signbit(x[i]));
    return bad;
}

bool pl_quantise_ref(const struct pl_format *f, const float *x, const int16_t *exp_add, size_t n, uint32_t *code,
                     uint8_t *scale)
{
    bool sticky = false;
    if (f->kind == PL_FORMAT_FLOAT) {
        for (size_t i = 0; i < n; i++) {
            const float r = pl_vec_round(f->elem, x[i]);
            sticky |= !isfinite(r);
            code[i] = pl_minifloat_encode(f->elem, r, false);
        }
        return sticky;
    }
    for (size_t i = 0, b = 0; i < n; i += f->block, b++) {
        const size_t len = n - i < f->block ? n - i : f->block;
        sticky |= block_ref(f, x + i, exp_add ? exp_add + i : NULL, len, code + i, scale + b);
    }
    return sticky;
}
