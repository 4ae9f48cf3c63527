/* vector.c - the vector unit: elementwise operations and reductions on values of the vector format.
 *
 * A sum or product of two values of at most 11 significant bits, computed in binary32 and then rounded to at most 11
 * bits, equals one rounding of the exact result: 24 >= 2 * 11 + 2 (double rounding is innocuous). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "mx_internal.h"

#include <math.h>

#define ELEMENTWISE(expr)                                                                                              \
    do {                                                                                                               \
        if (f.exp_bits == 8 && f.man_bits == 7)                                                                        \
            for (size_t i = 0; i < n; i++)                                                                             \
                out[i] = round_bf16(expr);                                                                             \
        else                                                                                                           \
            for (size_t i = 0; i < n; i++)                                                                             \
                out[i] = pl_vec_round(f, expr);                                                                        \
    } while (0)

void pl_vec_add(struct pl_minifloat f, const float *a, const float *b, size_t n, float *out)
{
    ELEMENTWISE(a[i] + b[i]);
}

void pl_vec_sub(struct pl_minifloat f, const float *a, const float *b, size_t n, float *out)
{
    ELEMENTWISE(a[i] - b[i]);
}

void pl_vec_mul(struct pl_minifloat f, const float *a, const float *b, size_t n, float *out)
{
    ELEMENTWISE(a[i] * b[i]);
}

void pl_vec_adds(struct pl_minifloat f, const float *a, float s, size_t n, float *out)
{
    const float r = pl_vec_round(f, s);
    ELEMENTWISE(a[i] + r);
}

void pl_vec_subs(struct pl_minifloat f, const float *a, float s, bool reverse, size_t n, float *out)
{
    const float r = pl_vec_round(f, s);
    if (reverse)
        ELEMENTWISE(r - a[i]);
    else
        ELEMENTWISE(a[i] - r);
}

void pl_vec_muls(struct pl_minifloat f, const float *a, float s, size_t n, float *out)
{
    const float r = pl_vec_round(f, s);
    ELEMENTWISE(a[i] * r);
}

/* Comparison on order-preserving bits; a NaN lane stays NaN. */
void pl_vec_maxs(struct pl_minifloat f, const float *a, float s, size_t n, float *out)
{
    const float r = pl_vec_round(f, s);
    for (size_t i = 0; i < n; i++)
        out[i] = isnan(a[i]) || order_key(a[i]) >= order_key(r) ? a[i] : r;
}

void pl_vec_mins(struct pl_minifloat f, const float *a, float s, size_t n, float *out)
{
    const float r = pl_vec_round(f, s);
    for (size_t i = 0; i < n; i++)
        out[i] = isnan(a[i]) || (!isnan(r) && order_key(a[i]) <= order_key(r)) ? a[i] : r;
}

float pl_vec_max(struct pl_minifloat f, const float *a, size_t n)
{
    (void)f;
    int32_t best = INT32_MIN;
    for (size_t i = 0; i < n; i++) {
        const int32_t key = isnan(a[i]) ? INT32_MIN : order_key(a[i]);
        best = key > best ? key : best;
    }
    if (best == INT32_MIN)
        return bits_float(0x7fc00000);
    return bits_float((uint32_t)(best < 0 ? best ^ 0x7fffffff : best));
}

enum { SUM_GUARD = 12, SUM_LANES = 4096 };

/* NaN, or an infinity, among the lanes: what their sum is. False when all are finite. */
static bool special_sum(const float *a, size_t n, float *out)
{
    bool plus = false, minus = false, nan = false;
    for (size_t i = 0; i < n; i++) {
        nan |= isnan(a[i]);
        plus |= a[i] == INFINITY;
        minus |= a[i] == -INFINITY;
    }
    *out = nan || (plus && minus) ? bits_float(0x7fc00000) : plus ? INFINITY : -INFINITY;
    return nan || plus || minus;
}

/* n <= SUM_LANES, a power of two. Leaf: significand << G with its exponent; nodes as in the array's write-out. */
float pl_vec_sum(struct pl_minifloat f, const float *a, size_t n)
{
    int64_t m[SUM_LANES];
    int32_t e[SUM_LANES];
    float special;
    if (special_sum(a, n, &special))
        return special;
    const int drop = 23 - f.man_bits;
    for (size_t i = 0; i < n; i++) {
        const uint32_t u = float_bits(a[i]);
        const int64_t sig = (int64_t)((u & 0x7fffff) >> drop | 1u << f.man_bits) << SUM_GUARD;
        e[i] = (int32_t)(u >> 23 & 0xff);
        m[i] = e[i] == 0 ? 0 : u >> 31 ? -sig : sig;
    }
    for (size_t half = n / 2; half >= 1; half /= 2)
        for (size_t i = 0; i < half; i++) {
            const int64_t x = m[2 * i], y = m[2 * i + 1];
            const int32_t ex = x ? e[2 * i] : e[2 * i + 1], ey = y ? e[2 * i + 1] : ex;
            const int32_t d = ex - ey;
            int32_t by = d < 0 ? -d : d;
            by = by > 63 ? 63 : by;
            const int64_t keep = d >= 0 ? x : y, move = d >= 0 ? y : x;
            const int64_t down = (int64_t)((uint64_t)move << 1) >> by;
            m[i] = keep + ((down + 1) >> 1);
            e[i] = d >= 0 ? ex : ey;
        }
    if (m[0] == 0)
        return 0.0f;
    const u128 mag = (u128)(m[0] < 0 ? -m[0] : m[0]);
    return round_to_format(m[0] < 0, mag, e[0] - 127 - f.man_bits - SUM_GUARD, 23, -126, 127);
}
