/* round.c - rounding to the vector format. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "mx_internal.h"

#include <math.h>

float round_to_format(bool negative, u128 mag, int exp, int man_bits, int emin, int emax)
{
    const uint64_t high = (uint64_t)(mag >> 64);
    const int top = high ? 127 - __builtin_clzll(high) : 63 - __builtin_clzll((uint64_t)mag);
    int e = exp + top; /* exponent of the leading bit */
    const int drop = top - man_bits;
    uint64_t sig;
    if (drop > 0) {
        const u128 half = (u128)1 << (drop - 1);
        sig = (uint64_t)((mag + half - 1 + (mag >> drop & 1)) >> drop);
    } else {
        sig = (uint64_t)(mag << -drop);
    }
    if (sig >> (man_bits + 1)) {
        sig >>= 1;
        e++;
    }
    float v;
    if (e < emin)
        v = 0.0f;
    else if (e > emax)
        v = INFINITY;
    else
        v = ldexpf((float)sig, e - man_bits);
    return negative ? -v : v;
}

float pl_vec_round(struct pl_minifloat f, float x)
{
    if (is_bf16(f))
        return round_bf16(x);
    if (isnan(x))
        return bits_float(0x7fc00000);
    if (isinf(x))
        return x;
    int exp;
    const uint32_t sig = float_parts(x, &exp);
    if (!sig)
        return x;
    const int bias = minifloat_bias(f);
    return round_to_format(signbit(x), sig, exp - 23, f.man_bits, 1 - bias, bias);
}

void pl_vec_round_n(struct pl_minifloat f, const float *x, size_t n, float *out)
{
    if (is_bf16(f))
        for (size_t i = 0; i < n; i++)
            out[i] = round_bf16(x[i]);
    else
        for (size_t i = 0; i < n; i++)
            out[i] = pl_vec_round(f, x[i]);
}
