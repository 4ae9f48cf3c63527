/* quantise.c - MX blocks: choose the shared exponent, round the elements. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "mx_internal.h"

#include <math.h>

enum { MAX_BLOCK = 64 };

/* A value as sig * 2^(exp - 23), sig in [2^23, 2^24) or 0. */
struct parts {
    uint32_t sig[MAX_BLOCK];
    int exp[MAX_BLOCK];
    uint32_t sign[MAX_BLOCK];
};

static int clamp_scale(int e)
{
    return e < -127 ? -127 : e > 127 ? 127 : e;
}

static int element_emax(const struct pl_format *f)
{
    if (f->kind == PL_FORMAT_MXINT)
        return 0;
    return (int)(minifloat_max_code(f->elem) >> f->elem.man_bits) - minifloat_bias(f->elem);
}

/* Is sig * 2^(exp-23) at most the largest element times 2^e? */
static bool fits(const struct pl_format *f, uint32_t sig, int exp, int e)
{
    const double max = f->kind == PL_FORMAT_MXINT ? ldexp((1 << (f->int_bits - 1)) - 1, -(f->int_bits - 2))
                                                  : (double)pl_minifloat_max(f->elem);
    return ldexp((double)sig, exp - 23 - e) <= max;
}

static uint32_t element(const struct pl_format *f, uint32_t sign, uint32_t sig, int exp, int e)
{
    if (f->kind == PL_FORMAT_MXINT) {
        const int max = (1 << (f->int_bits - 1)) - 1;
        const int drop = 23 - (exp - e) - (f->int_bits - 2);
        int q = 0;
        if (drop <= 0)
            q = sig ? max : 0;
        else if (drop <= 25)
            q = (int)round_even(sig, (unsigned)drop);
        q = q > max ? max : q;
        return (uint32_t)((sign ? -q : q) & ((1 << f->int_bits) - 1));
    }
    const uint32_t max = minifloat_max_code(f->elem);
    const uint32_t code = !sig ? 0 : exp - e > 200 ? max : minifloat_round(f->elem, sig, exp - e);
    return (uint32_t)((code > max ? max : code) | sign << (pl_format_bits(f) - 1));
}

/* Squared error of the block under exponent e, in units of 4^e0. */
static double block_error(const struct pl_format *f, const struct parts *p, size_t n, int e, int e0)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        const uint32_t code = element(f, p->sign[i], p->sig[i], p->exp[i], e);
        float v;
        const uint8_t one = 127;
        pl_dequantise(f, &code, &one, 1, &v);
        const double x = ldexp((double)p->sig[i], p->exp[i] - 23 - e0) * (p->sign[i] ? -1 : 1);
        const double diff = x - ldexp((double)v, e - e0);
        sum += diff * diff;
    }
    return sum;
}

static int choose_scale(const struct pl_format *f, const struct parts *p, size_t n, uint32_t sig, int exp)
{
    const int floor_e = exp - element_emax(f);
    if (f->rule == PL_SCALE_FLOOR)
        return clamp_scale(floor_e);
    if (f->rule == PL_SCALE_CEIL) {
        int e = floor_e - 1;
        while (!fits(f, sig, exp, e))
            e++;
        return clamp_scale(e);
    }
    int best = clamp_scale(floor_e - 1);
    double least = block_error(f, p, n, best, floor_e);
    for (int k = 0; k < 2; k++) {
        const int e = clamp_scale(floor_e + k);
        const double err = block_error(f, p, n, e, floor_e);
        if (err < least) {
            least = err;
            best = e;
        }
    }
    return best;
}

static bool quantise_block(const struct pl_format *f, const float *x, const int16_t *exp_add, size_t n, uint32_t *code,
                           uint8_t *scale)
{
    struct parts p;
    uint32_t max_sig = 0;
    int max_exp = 0;
    for (size_t i = 0; i < n; i++) {
        if ((float_bits(x[i]) & 0x7f800000) == 0x7f800000) {
            memset(code, 0, n * sizeof *code);
            *scale = 255;
            return true;
        }
        p.sign[i] = float_bits(x[i]) >> 31;
        p.sig[i] = float_parts(x[i], &p.exp[i]);
        if (!p.sig[i])
            continue;
        if (exp_add)
            p.exp[i] += exp_add[i];
        if (!max_sig || p.exp[i] > max_exp || (p.exp[i] == max_exp && p.sig[i] > max_sig)) {
            max_sig = p.sig[i];
            max_exp = p.exp[i];
        }
    }
    const int e = max_sig ? choose_scale(f, &p, n, max_sig, max_exp) : -127;
    *scale = (uint8_t)(e + 127);
    for (size_t i = 0; i < n; i++)
        code[i] = element(f, p.sign[i], p.sig[i], p.exp[i], e);
    return false;
}

/* MXINT by the floor rule, without exponents to add: a power-of-two multiplication is exact, and what underflows in it
 * rounds to zero either way. The scale must keep 2^(bits-2-e) a normal number. */
static bool fast_int_block(const struct pl_format *f, const float *x, size_t n, uint32_t *code, uint8_t *scale)
{
    uint32_t amax = 0;
    for (size_t i = 0; i < n; i++) {
        const uint32_t a = float_bits(x[i]) & 0x7fffffff;
        amax = a > amax ? a : amax;
    }
    const int e = (int)(amax >> 23) - 127;
    if (e < -100 || e > 100)
        return false;
    const float up = bits_float((uint32_t)(127 + f->int_bits - 2 - e) << 23);
    const float max = (float)((1 << (f->int_bits - 1)) - 1);
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer, to nearest even */
    const int32_t mask = (1 << f->int_bits) - 1;
    for (size_t i = 0; i < n; i++) {
        float q = (x[i] * up + magic) - magic;
        q = q > max ? max : q;
        q = q < -max ? -max : q;
        code[i] = (uint32_t)((int32_t)q & mask);
    }
    *scale = (uint8_t)(e + 127);
    return true;
}

static bool quantise_float(const struct pl_format *f, const float *x, size_t n, uint32_t *code)
{
    uint32_t top = 0; /* largest exponent field */
    if (is_bf16(f->elem)) {
        for (size_t i = 0; i < n; i++) {
            code[i] = float_bits(round_bf16(x[i])) >> 16;
            const uint32_t e = code[i] & 0x7f80;
            top = e > top ? e : top;
        }
        return top == 0x7f80;
    }
    for (size_t i = 0; i < n; i++) {
        const float r = pl_vec_round(f->elem, x[i]);
        const uint32_t e = float_bits(r) & 0x7f800000;
        top = e > top ? e : top;
        code[i] = pl_minifloat_encode(f->elem, r, false);
    }
    return top == 0x7f800000;
}

bool pl_quantise(const struct pl_format *f, const float *x, const int16_t *exp_add, size_t n, uint32_t *code,
                 uint8_t *scale)
{
    if (f->kind == PL_FORMAT_FLOAT)
        return quantise_float(f, x, n, code);
    const bool more = !pl_format_on_machine(f), fast = f->kind == PL_FORMAT_MXINT && f->rule == PL_SCALE_FLOOR && !exp_add && !more;
    bool sticky = false;
    for (size_t i = 0, b = 0; i < n; i += f->block, b++) {
        const size_t len = n - i < f->block ? n - i : f->block;
        if (more) {
            sticky |= mx_quantise_more(f, x + i, exp_add ? exp_add + i : NULL, len, code + i, scale + b);
            continue;
        }
        if (fast && fast_int_block(f, x + i, len, code + i, scale + b))
            continue;
        sticky |= quantise_block(f, x + i, exp_add ? exp_add + i : NULL, len, code + i, scale + b);
    }
    return sticky;
}

void pl_dequantise(const struct pl_format *f, const uint32_t *code, const uint8_t *scale, size_t n, float *out)
{
    if (f->kind == PL_FORMAT_FLOAT && is_bf16(f->elem)) {
        for (size_t i = 0; i < n; i++) {
            const uint32_t c = code[i] & 0xffff;
            out[i] = bits_float((c & 0x7fff) > 0x7f80 ? 0x7fc00000 : c << 16);
        }
        return;
    }
    if (f->kind == PL_FORMAT_FLOAT) {
        for (size_t i = 0; i < n; i++)
            out[i] = pl_minifloat_decode(f->elem, code[i]);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        const uint8_t s = scale[i / f->block];
        if (s == 255) {
            out[i] = bits_float(0x7fc00000);
        } else if (!pl_format_on_machine(f)) {
            const double v = f->kind == PL_FORMAT_MXFP ? (double)pl_minifloat_decode(f->elem, code[i])
                                                       : ldexp(int_code(f, code[i]), int_exp(f));
            out[i] = (float)(v * pl_scale_value(f, s));
        } else if (f->kind == PL_FORMAT_MXINT) {
            out[i] = ldexpf((float)int_code(f, code[i]), s - 127 + int_exp(f));
        } else {
            out[i] = ldexpf(pl_minifloat_decode(f->elem, code[i]), s - 127);
        }
    }
}
