/* hadamard.c - unnormalised Walsh-Hadamard transform of a group of lanes with one rounding (reference/rtl.md 2.10). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "mx_internal.h"

#include <math.h>

enum { GUARD = 12, MAX_GROUP = 4096 };

void pl_vec_hadamard(struct pl_minifloat f, const float *a, size_t n, float *out)
{
    int64_t m[MAX_GROUP];
    int top = -1000;
    bool special = false;
    for (size_t i = 0; i < n; i++) {
        int e;
        special |= !isfinite(a[i]);
        if (isfinite(a[i]) && float_parts(a[i], &e) && e > top)
            top = e;
    }
    if (special || top == -1000) {
        for (size_t i = 0; i < n; i++)
            out[i] = special ? bits_float(0x7fc00000) : 0.0f;
        return;
    }
    /* Align to the largest exponent with guard bits, rounded half up. */
    for (size_t i = 0; i < n; i++) {
        int e;
        const int64_t sig = float_parts(a[i], &e);
        const int drop = 23 - f.man_bits - GUARD + (top - e);
        const int64_t v = signbit(a[i]) ? -sig : sig;
        m[i] = !sig || drop > 40 ? 0 : drop > 0 ? ((v >> (drop - 1)) + 1) >> 1 : v * ((int64_t)1 << -drop);
    }
    for (size_t h = 1; h < n; h *= 2)
        for (size_t i = 0; i < n; i += 2 * h)
            for (size_t j = i; j < i + h; j++) {
                const int64_t x = m[j], y = m[j + h];
                m[j] = x + y;
                m[j + h] = x - y;
            }
    const int bias = minifloat_bias(f);
    for (size_t i = 0; i < n; i++)
        out[i] = m[i] == 0 ? 0.0f
                           : round_to_format(m[i] < 0, (u128)(m[i] < 0 ? -m[i] : m[i]), top - f.man_bits - GUARD,
                                             f.man_bits, 1 - bias, bias);
}
