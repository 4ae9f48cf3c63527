/* example_dot.c - one dot product step by step, the worked example of doc/numerics.md: MXINT4
 * blocks of 4, two tiles of 8 lanes on sub-arrays of BLEN 4, 4 guard bits. Fails if the library
 * gives another result. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "plena/mx.h"

enum { K = 16, TILE = 8, BLEN = 4, GUARD = 4, SUBS = TILE / BLEN };

static const float left[K] = {1,       0.5f,   -0.25f,   2,      3,  1,  0, -1,
                              0.0011f, 0.002f, -0.0004f, 0.003f, 40, -8, 6, 24};
static const float right[K] = {0.5f, 0.25f, -1, 0.125f, 0.3f,  0.1f,  -0.2f,  0.7f,
                               6,    -2,    1,  3,      0.01f, 0.02f, -0.03f, 0.13f};

/* Arithmetic shift right by n, rounded half up. */
static long shift(long x, int n)
{
    return n ? (x >> n) + (x >> (n - 1) & 1) : x;
}

static void show(const char *name, const struct pl_format *f, const float *x, int32_t *v,
                 int16_t *e)
{
    uint32_t code[K];
    uint8_t scale[K / 4];
    (void)pl_quantise(f, x, NULL, K, code, scale);
    pl_edge_decode(f, code, scale, K, v, e);
    for (int b = 0; b < K / 4; b++) {
        printf("| %s %d..%d |", name, 4 * b, 4 * b + 3);
        for (int i = 4 * b; i < 4 * b + 4; i++)
            printf(" %g", (double)x[i]);
        printf(" | %u |", scale[b]);
        for (int i = 4 * b; i < 4 * b + 4; i++)
            printf(" %d", v[i]);
        printf(" |\n");
    }
}

int main(void)
{
    struct pl_format f;
    struct pl_mm_spec s;
    struct pl_diag d;
    int32_t lv[K], rv[K];
    int16_t le[K / 4], re[K / 4];
    long m[SUBS] = {0};
    int e[SUBS] = {0};
    if (pl_format_parse("mxint4:4", &f, &d) != PL_OK ||
        pl_mm_spec_init(&s, &f, &f, false, PL_BF16, TILE, BLEN, GUARD, 0, &d) != PL_OK) {
        fprintf(stderr, "%s\n", d.text);
        return 1;
    }
    printf("| lanes | values | scale | v |\n|---|---|---|---|\n");
    show("left", &f, left, lv, le);
    show("right", &f, right, rv, re);
    printf("\n| run | P | e | sub-array | before M, E | shifted right | after M, E "
           "|\n|---|---|---|---|---|---|---|\n");
    for (int b = 0; b < K / 4; b++) {
        const int sub = b * 4 % TILE / BLEN;
        long p = 0;
        for (int i = 4 * b; i < 4 * b + 4; i++)
            p += (long)lv[i] * rv[i];
        const int in = le[b] + re[b], by = in - e[sub];
        printf("| %d..%d | %ld | %d + %d = %d | %d | %ld, %d |", 4 * b, 4 * b + 3, p, le[b], re[b],
               in, sub, m[sub], e[sub]);
        if (by >= 0) {
            printf(" M by %d |", by);
            m[sub] = p * (1 << GUARD) + shift(m[sub], by > 40 ? 40 : by);
            e[sub] = in;
        } else {
            printf(" P by %d |", -by);
            m[sub] += shift(p * (1 << GUARD), -by);
        }
        printf(" %ld, %d |\n", m[sub], e[sub]);
    }
    const int by = e[0] - e[1];
    const long sum = by >= 0 ? m[0] + shift(m[1], by) : shift(m[0], -by) + m[1];
    const int top = by >= 0 ? e[0] : e[1];
    const float got = pl_dot_ref(&s, lv, le, rv, re, K);
    const double value = (double)sum * __builtin_exp2(top - 254 - 2 * s.ledge.frac - GUARD);
    printf("\nTree: %ld, %d and %ld, %d give %ld, %d: %ld 2^(%d - 254 - %d - %d - %d) = %.10g, in "
           "BF16 %.10g.\n",
           m[0], e[0], m[1], e[1], sum, top, sum, top, s.ledge.frac, s.redge.frac, GUARD, value,
           (double)got);
    double exact = 0, quantised = 0;
    for (int i = 0; i < K; i++) {
        exact += (double)left[i] * (double)right[i];
        quantised += (double)lv[i] * rv[i] * __builtin_exp2(le[i / 4] + re[i / 4] - 254 - 4);
    }
    printf("The exact product of the codes is %.10g, of the values before quantisation %.6g.\n",
           quantised, exact);
    return pl_vec_round(PL_BF16, (float)value) == got ? 0 : 1;
}
