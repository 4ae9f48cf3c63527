/* minifloat.c - ExMy codes: one rounding in, exact out. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "mx_internal.h"

#include <math.h>

struct pl_minifloat pl_minifloat_make(unsigned exp_bits, unsigned man_bits)
{
    struct pl_minifloat f = {(uint8_t)exp_bits, (uint8_t)man_bits, PL_SPECIAL_IEEE};
    if (exp_bits == 4 && man_bits == 3)
        f.special = PL_SPECIAL_E4M3;
    else if (1 + exp_bits + man_bits <= 6 || exp_bits == 1 || (exp_bits == 3 && man_bits == 4))
        f.special = PL_SPECIAL_FINITE;
    return f;
}

unsigned pl_minifloat_bits(struct pl_minifloat f)
{
    return 1u + f.exp_bits + f.man_bits;
}

int minifloat_bias(struct pl_minifloat f)
{
    return (1 << (f.exp_bits - 1)) - 1;
}

/* Code of the largest finite magnitude. */
uint32_t minifloat_max_code(struct pl_minifloat f)
{
    const uint32_t all = (1u << (f.exp_bits + f.man_bits)) - 1;
    if (f.special == PL_SPECIAL_FINITE)
        return all;
    if (f.special == PL_SPECIAL_E4M3)
        return all - 1;
    return all - (1u << f.man_bits);
}

float pl_minifloat_max(struct pl_minifloat f)
{
    return pl_minifloat_decode(f, minifloat_max_code(f));
}

/* Magnitude code of sig * 2^(exp - 23), sig in [2^23, 2^24): to nearest even, subnormals kept, may pass max_code. */
uint32_t minifloat_round(struct pl_minifloat f, uint32_t sig, int exp)
{
    const int emin = 1 - minifloat_bias(f);
    const int below = exp < emin ? emin - exp : 0;
    const int drop = 23 - f.man_bits + below;
    if (drop > 25)
        return 0;
    const uint32_t r = round_even(sig, (unsigned)drop);
    return below ? r : r + ((uint32_t)(exp - emin) << f.man_bits);
}

uint32_t pl_minifloat_encode(struct pl_minifloat f, float x, bool saturate)
{
    const uint32_t sign = (float_bits(x) >> 31) << (f.exp_bits + f.man_bits);
    const uint32_t max = minifloat_max_code(f);
    const bool has_inf = f.special == PL_SPECIAL_IEEE && f.man_bits > 0;
    if (isnan(x)) {
        if (f.special == PL_SPECIAL_FINITE)
            return 0;
        return f.special == PL_SPECIAL_E4M3 ? max + 1
                                            : max + 1 + (f.man_bits ? 1u << (f.man_bits - 1) : 0);
    }
    if (isinf(x))
        return sign | (has_inf && !saturate ? max + 1 : max);
    int exp;
    const uint32_t sig = float_parts(x, &exp);
    if (!sig)
        return sign;
    const uint32_t code = minifloat_round(f, sig, exp);
    if (code > max)
        return sign | (has_inf && !saturate ? max + 1 : max);
    return sign | code;
}

float pl_minifloat_decode(struct pl_minifloat f, uint32_t code)
{
    const uint32_t man = code & ((1u << f.man_bits) - 1);
    const uint32_t exp = (code >> f.man_bits) & ((1u << f.exp_bits) - 1);
    const bool negative = code >> (f.exp_bits + f.man_bits) & 1;
    const uint32_t magnitude = code & ((1u << (f.exp_bits + f.man_bits)) - 1);
    float v;
    if (magnitude > minifloat_max_code(f))
        v = f.special == PL_SPECIAL_IEEE && f.man_bits > 0 && man == 0 ? INFINITY : NAN;
    else
        v = ldexpf((float)(exp ? man + (1u << f.man_bits) : man),
                   (int)(exp ? exp : 1) - minifloat_bias(f) - f.man_bits);
    if (isnan(v))
        return bits_float(0x7fc00000);
    return negative ? -v : v;
}
