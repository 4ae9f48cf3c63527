/* measure_sfu.c - largest errors of the special functions, for doc/numerics.md.
 *
 *   measure_sfu        vector exp and reciprocal, every finite value of each vector format
 *   measure_sfu f32    scalar exp, every binary32 of magnitude below 128 (about a minute)
 * An error is counted in units in the last place (ulp) of the exact result; results that over- or
 * underflow are compared with the rounded exact result instead. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "plena/mx.h"

struct tally {
    double worst;
    unsigned long n, missed,
        edge; /* results; not the nearest; over- or underflow where the nearest does not, or so */
};

static double ulp_of(double x, int man_bits)
{
    int exp;
    frexp(x, &exp);
    return ldexp(1, exp - 1 - man_bits);
}

/* To nearest even in format f, flushed, by the definition. */
static double nearest(struct pl_minifloat f, double x)
{
    const int bias = (1 << (f.exp_bits - 1)) - 1;
    if (x == 0 || !isfinite(x))
        return x;
    if (fabs(x) < ldexp(1, -1 - bias)) /* far below the smallest normal: no ulp to speak of */
        return copysign(0, x);
    const double ulp = ulp_of(x, f.man_bits), y = nearbyint(x / ulp) * ulp;
    if (fabs(y) > ldexp(2 - ldexp(1, -f.man_bits), bias))
        return copysign(INFINITY, x);
    return fabs(y) < ldexp(1, 1 - bias) ? copysign(0, x) : y;
}

static void compare(struct pl_minifloat f, float got, double exact, struct tally *t)
{
    const double best = nearest(f, exact);
    t->n++;
    t->missed += (double)got != best;
    if (isfinite(best) && best != 0 && isfinite(got) && got != 0)
        t->worst = fmax(t->worst, fabs((double)got - exact) / ulp_of(exact, f.man_bits));
    else
        t->edge += (double)got != best;
}

static void vector_format(unsigned e, unsigned m)
{
    const struct pl_minifloat f = {(uint8_t)e, (uint8_t)m, PL_SPECIAL_IEEE};
    struct tally exps = {0}, recis = {0};
    for (uint32_t code = 0; code < 1u << (1 + e + m); code++) {
        const float x = pl_minifloat_decode(f, code);
        if (!isfinite(x) || pl_vec_round(f, x) != x || (x == 0 && code))
            continue;
        float y;
        pl_vec_exp(f, &x, 1, &y);
        compare(f, y, exp((double)x), &exps);
        if (x != 0) {
            pl_vec_reci(f, &x, 1, &y);
            compare(f, y, 1 / (double)x, &recis);
        }
    }
    char name[48];
    const struct pl_format format = {.kind = PL_FORMAT_FLOAT, .elem = f, .block = 1};
    pl_format_name(&format, name);
    printf("| %s | %lu | %.4f | %.2f %% | %lu | %.4f | %lu |\n", name, exps.n, exps.worst,
           100.0 * (double)exps.missed / (double)exps.n, exps.edge, recis.worst, recis.missed);
}

static void scalar_exp(void)
{
    const struct pl_minifloat f32 = {8, 23, PL_SPECIAL_IEEE};
    double worst = 0;
    unsigned long n = 0, missed = 0, edge = 0;
#pragma omp parallel for reduction(max : worst) reduction(+ : n, missed, edge)
    for (uint32_t high = 0; high < 1u << 16; high++) {
        struct tally t = {0};
        for (uint32_t low = 0; low < 1u << 16; low++) {
            const uint32_t u = high << 16 | low;
            float x;
            memcpy(&x, &u, sizeof x);
            if (fabsf(x) < 128 && fabsf(x) >= 0x1p-126f)
                compare(f32, pl_f32_exp(x), exp((double)x), &t);
        }
        worst = fmax(worst, t.worst);
        n += t.n;
        missed += t.missed;
        edge += t.edge;
    }
    printf("| f32 | %lu | %.4f | %.2f %% | %lu |\n", n, worst, 100.0 * (double)missed / (double)n,
           edge);
}

int main(int argc, char **argv)
{
    static const unsigned formats[][2] = {{8, 7}, {5, 10}, {6, 9}, {8, 10}, {5, 6},
                                          {6, 5}, {4, 7},  {5, 4}, {4, 4}};
    if (argc > 1 && !strcmp(argv[1], "f32")) {
        scalar_exp();
        return 0;
    }
    printf("| format | values | exp: largest error, ulp | not the nearest | wrong over- or "
           "underflow | reciprocal: largest "
           "error, ulp | not the nearest |\n|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        vector_format(formats[i][0], formats[i][1]);
    return 0;
}
