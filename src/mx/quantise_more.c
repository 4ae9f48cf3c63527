/* quantise_more.c - MX blocks of the formats that the machine has not got: E6M2 scales, full and unsigned ranges.
 *
 * An element is the nearest of the grid to x / scale, to nearest even; a quotient in double tells every tie of binary32
 * from what lies next to it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "mx_internal.h"

#include <math.h>

enum { MAX_BLOCK = 64 };

double pl_scale_value(const struct pl_format *f, uint8_t scale)
{
    return f->e6m2 ? ldexp(4 + (scale & 3), (scale >> 2) - 33) : ldexp(1, scale - 127);
}

/* MXINT: the value of q = 1, and the largest and the least q. */
static double int_step(const struct pl_format *f)
{
    return ldexp(1, int_exp(f));
}

static double int_max(const struct pl_format *f)
{
    return ldexp(1, f->range == PL_RANGE_UNSIGNED ? f->int_bits : f->int_bits - 1) - 1;
}

static double int_min(const struct pl_format *f)
{
    return f->range == PL_RANGE_UNSIGNED ? 0 : -int_max(f) - (f->range == PL_RANGE_FULL);
}

static double largest(const struct pl_format *f)
{
    return f->kind == PL_FORMAT_MXINT ? int_max(f) * int_step(f) : (double)pl_minifloat_max(f->elem);
}

/* The code nearest to y, and its value. */
static uint32_t nearest(const struct pl_format *f, double y, double *value)
{
    if (f->kind == PL_FORMAT_MXINT) {
        double q = rint(y / int_step(f));
        q = q > int_max(f) ? int_max(f) : q < int_min(f) ? int_min(f) : q;
        *value = q * int_step(f);
        return (uint32_t)(int32_t)q & ((1u << f->int_bits) - 1);
    }
    const int man = f->elem.man_bits, least = 1 - minifloat_bias(f->elem);
    const double a = fabs(y) < largest(f) ? fabs(y) : largest(f);
    int e;
    (void)frexp(a, &e);
    e = a == 0 || e - 1 < least ? least : e - 1;
    const uint32_t q = (uint32_t)rint(ldexp(a, man - e)); /* 2^man: the carry goes into the exponent by itself */
    uint32_t code = q < 1u << man ? q : ((uint32_t)(e - least + 1) << man) + q - (1u << man);
    code = code > minifloat_max_code(f->elem) ? minifloat_max_code(f->elem) : code;
    code |= (uint32_t)(signbit(y) != 0) << (pl_format_bits(f) - 1);
    *value = (double)pl_minifloat_decode(f->elem, code);
    return code;
}

/* First and last scale byte to try for a block of largest magnitude amax > 0. */
static void scales_to_try(const struct pl_format *f, double amax, int *first, int *last)
{
    int e;
    (void)frexp(amax / (f->e6m2 ? largest(f) : 1), &e);
    if (f->e6m2) {
        int at = 4 * (e - 1 + 31) - 1; /* below the smallest that does not saturate */
        at = at < 0 ? 0 : at > 254 ? 254 : at;
        while (at < 254 && pl_scale_value(f, (uint8_t)at) * largest(f) < amax)
            at++;
        *first = at - 2;
        *last = at + 4;
    } else {
        int emax = 0;
        if (f->kind == PL_FORMAT_MXFP)
            emax = (int)(minifloat_max_code(f->elem) >> f->elem.man_bits) - minifloat_bias(f->elem);
        *first = *last = e - 1 - emax + 127;
        *first -= f->rule == PL_SCALE_SEARCH;
        *last += f->rule == PL_SCALE_SEARCH;
    }
    *first = *first < 0 ? 0 : *first > 254 ? 254 : *first;
    *last = *last < 0 ? 0 : *last > 254 ? 254 : *last;
}

bool mx_quantise_more(const struct pl_format *f, const float *x, const int16_t *exp_add, size_t n, uint32_t *code, uint8_t *scale)
{
    double v[MAX_BLOCK], amax = 0, least = INFINITY, at;
    int first = 0, last = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(x[i])) {
            memset(code, 0, n * sizeof *code);
            *scale = 255;
            return true;
        }
        v[i] = ldexp((double)x[i], exp_add ? exp_add[i] : 0);
        const double a = f->range == PL_RANGE_UNSIGNED ? v[i] : fabs(v[i]);
        amax = a > amax ? a : amax;
    }
    if (amax > 0)
        scales_to_try(f, amax, &first, &last);
    *scale = (uint8_t)first;
    for (int s = first; s <= last && first < last; s++) {
        const double unit = pl_scale_value(f, (uint8_t)s);
        double sum = 0;
        for (size_t i = 0; i < n && sum < least; i++) {
            (void)nearest(f, v[i] / unit, &at);
            sum += (v[i] - at * unit) * (v[i] - at * unit);
        }
        if (sum < least) {
            least = sum;
            *scale = (uint8_t)s;
        }
    }
    const double unit = pl_scale_value(f, *scale);
    for (size_t i = 0; i < n; i++)
        code[i] = nearest(f, v[i] / unit, &at);
    return false;
}
