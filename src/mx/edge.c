/* edge.c - elements as the array sees them: an integer and an exponent. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "mx_internal.h"

enum { MAX_EDGE_BITS = 20 }; /* wider decoded integers enter as significands with their own exponents */

static unsigned decoded_bits(struct pl_minifloat f)
{
    const unsigned top = minifloat_max_code(f) >> f.man_bits; /* largest finite exponent field */
    return f.man_bits + 1u + (top ? top - 1 : 0) + 1u;
}

/* The fraction of an E6M2 scale goes into the integers. */
static struct pl_edge scaled(const struct pl_format *f, struct pl_edge e)
{
    e.width += f->e6m2 ? 3 : 0;
    e.frac += f->e6m2 ? 2 : 0;
    return e;
}

struct pl_edge pl_edge_of(const struct pl_format *f)
{
    const unsigned wider = f->range != PL_RANGE_SYMMETRIC; /* v is never -2^(width-1) */
    if (f->kind == PL_FORMAT_MXINT)
        return scaled(f, (struct pl_edge){f->int_bits + wider, -int_exp(f), f->block});
    const unsigned bits = decoded_bits(f->elem);
    if (f->kind == PL_FORMAT_MXFP && bits <= MAX_EDGE_BITS)
        return scaled(f, (struct pl_edge){bits, f->elem.man_bits + minifloat_bias(f->elem) - 1, f->block});
    return scaled(f, (struct pl_edge){f->elem.man_bits + 2u, f->elem.man_bits, 1});
}

/* Signed significand of a finite code, and its exponent field (at least 1). */
static int32_t significand(struct pl_minifloat f, uint32_t code, int *exp)
{
    const uint32_t magnitude = code & ((1u << (f.exp_bits + f.man_bits)) - 1);
    const uint32_t field = magnitude >> f.man_bits, man = magnitude & ((1u << f.man_bits) - 1);
    *exp = field ? (int)field : 1;
    if (magnitude > minifloat_max_code(f))
        return 0; /* Inf, NaN */
    const int32_t v = (int32_t)(field ? man | 1u << f.man_bits : man);
    return code >> (f.exp_bits + f.man_bits) & 1 ? -v : v;
}

static void decode_int(const struct pl_format *f, const uint32_t *code, const uint8_t *scale, size_t n, int32_t *v,
                       int16_t *e)
{
    for (size_t i = 0; i < n; i++)
        v[i] = int_code(f, code[i]);
    for (size_t b = 0; b * f->block < n; b++)
        e[b] = scale[b];
}

/* From scale bytes in e, as E8M0 has them, to E6M2. */
static void fold_fraction(const struct pl_format *f, size_t group, const uint8_t *scale, size_t n, int32_t *v, int16_t *e)
{
    for (size_t i = 0; i < n; i++)
        v[i] *= 4 + (scale[i / f->block] & 3);
    for (size_t g = 0; g * group < n; g++) {
        const uint8_t s = scale[g * group / f->block];
        if (group > 1 || v[g])
            e[g] = (int16_t)(e[g] - s + (s >> 2) + 127 - 31);
    }
}

void pl_edge_decode(const struct pl_format *f, const uint32_t *code, const uint8_t *scale, size_t n, int32_t *v,
                    int16_t *e)
{
    const struct pl_edge edge = pl_edge_of(f);
    const int bias = f->kind == PL_FORMAT_MXINT ? 0 : minifloat_bias(f->elem);
    if (f->kind == PL_FORMAT_MXINT) {
        decode_int(f, code, scale, n, v, e);
    } else if (edge.group > 1) {
        for (size_t i = 0; i < n; i++) {
            int exp;
            const int32_t sig = significand(f->elem, code[i], &exp);
            v[i] = sig * (1 << (exp - 1));
        }
        for (size_t b = 0; b * f->block < n; b++)
            e[b] = scale[b];
    } else {
        for (size_t i = 0; i < n; i++) {
            int exp;
            v[i] = significand(f->elem, code[i], &exp);
            e[i] = (int16_t)(exp - bias + (f->kind == PL_FORMAT_FLOAT ? 127 : scale[i / f->block]));
            if (!v[i])
                e[i] = 0;
        }
    }
    if (!pl_format_has_scale(f))
        return;
    for (size_t i = 0; i < n; i++)
        if (scale[i / f->block] == 255)
            v[i] = 0;
    if (f->e6m2)
        fold_fraction(f, edge.group, scale, n, v, e);
}
