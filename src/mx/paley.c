/* paley.c - Hadamard matrices: Paley's constructions over GF(p^k), times Sylvester's. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "plena/mx_hadamard.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct pl_hadamard {
    size_t n, core;
    int8_t *c; /* [core][core] */
};

static void *scratch(size_t n, size_t size)
{
    void *p = calloc(n, size);
    if (!p)
        abort();
    return p;
}

/* q = p^k? Then *p; else 0. */
static unsigned prime_power(unsigned q, unsigned *p)
{
    for (*p = 2; q % *p; ++*p)
        if (*p > q)
            return 0;
    unsigned k = 0;
    for (; q % *p == 0; q /= *p)
        k++;
    return q == 1 ? k : 0;
}

/* Elements of GF(p^k) are polynomials, their coefficients the digits of a number to base p. a times x, where
 * x^k = tail. */
static unsigned times_x(unsigned a, unsigned p, unsigned q, unsigned tail)
{
    const unsigned top = a / (q / p);
    unsigned shifted = a % (q / p) * p, sum = 0;
    for (unsigned unit = 1; unit < q; unit *= p)
        sum += (shifted / unit % p + tail / unit % p * top) % p * unit;
    return sum;
}

static unsigned subtract(unsigned a, unsigned b, unsigned p, unsigned q)
{
    unsigned sum = 0;
    for (unsigned unit = 1; unit < q; unit *= p)
        sum += (a / unit % p + p - b / unit % p) % p * unit;
    return sum;
}

/* chi[a]: 0 for 0, +1 for squares, -1 for the others. A tail is sought for which the powers of x are all elements but 0;
 * even powers are the squares. */
static void quadratic_character(unsigned p, unsigned q, int8_t *chi)
{
    for (unsigned tail = 1; tail < q; tail++) {
        memset(chi, 0, q);
        unsigned a = 1, i = 0;
        for (; i < q - 1 && a && !chi[a]; i++) {
            chi[a] = i % 2 ? -1 : 1;
            a = times_x(a, p, q, tail);
        }
        if (i == q - 1 && a == 1)
            return;
    }
}

/* I: the identity plus a skew matrix. II: a symmetric one with zero diagonal, its entries 0 and +-1 replaced by blocks of
 * two by two. The matrix both start from: chi(i - j), bordered by ones. */
static void paley(unsigned q, unsigned p, bool first, int8_t *c)
{
    const size_t m = q + 1, n = first ? m : 2 * m;
    int8_t *chi = scratch(q, 1);
    quadratic_character(p, q, chi);
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < m; j++) {
            const int s = i && j ? chi[subtract((unsigned)i - 1, (unsigned)j - 1, p, q)] : i == j ? 0 : j || !first ? 1 : -1;
            if (first) {
                c[i * n + j] = (int8_t)(s + (i == j));
                continue;
            }
            int8_t *to = c + 2 * i * n + 2 * j;
            to[0] = (int8_t)(s + (i == j));
            to[1] = to[n] = (int8_t)(s - (i == j));
            to[n + 1] = (int8_t)(-s - (i == j));
        }
    free(chi);
}

/* Does a construction give exactly `size`? Then fill c if it is not NULL. */
static bool core_of(size_t size, int8_t *c)
{
    unsigned p;
    if (size == 1) {
        if (c)
            *c = 1;
        return true;
    }
    const unsigned q1 = (unsigned)size - 1, q2 = (unsigned)size / 2 - 1;
    const bool one = q1 % 4 == 3 && prime_power(q1, &p);
    if (!one && !(size % 4 == 0 && q2 % 4 == 1 && q2 > 1 && prime_power(q2, &p)))
        return false;
    if (c)
        paley(one ? q1 : q2, p, one, c);
    return true;
}

struct pl_hadamard *pl_hadamard_new(size_t n)
{
    size_t core = n;
    while (core && core % 2 == 0)
        core /= 2;
    while (core && core <= n && core <= PL_HADAMARD_CORE_MAX && !core_of(core, NULL))
        core *= 2;
    if (!core || core > n || core > PL_HADAMARD_CORE_MAX)
        return NULL;
    struct pl_hadamard *h = scratch(1, sizeof *h);
    *h = (struct pl_hadamard){n, core, scratch(core * core, 1)};
    core_of(core, h->c);
    return h;
}

void pl_hadamard_free(struct pl_hadamard *h)
{
    if (!h)
        return;
    free(h->c);
    free(h);
}

size_t pl_hadamard_core(const struct pl_hadamard *h)
{
    return h->core;
}

int pl_hadamard_at(const struct pl_hadamard *h, size_t i, size_t j)
{
    const size_t s = h->n / h->core;
    int sign = h->c[i / s * h->core + j / s];
    for (size_t both = i % s & j % s; both; both &= both - 1)
        sign = -sign;
    return sign;
}

void pl_hadamard_groups(double *x, size_t n, size_t group)
{
    for (size_t h = 1; h < group; h *= 2)
        for (size_t i = 0; i < n; i += 2 * h)
            for (size_t j = i; j < i + h; j++) {
                const double a = x[j], b = x[j + h];
                x[j] = a + b;
                x[j + h] = a - b;
            }
}

void pl_hadamard_apply(const struct pl_hadamard *h, bool transposed, double *x)
{
    const size_t n = h->n, core = h->core, s = n / core;
    const double scale = 1 / sqrt((double)n);
    pl_hadamard_groups(x, n, s);
    double *y = core > 1 ? scratch(core, sizeof *y) : NULL;
    for (size_t lane = 0; y && lane < s; lane++) {
        for (size_t b = 0; b < core; b++) {
            double sum = 0;
            for (size_t a = 0; a < core; a++)
                sum += x[a * s + lane] * (transposed ? h->c[b * core + a] : h->c[a * core + b]);
            y[b] = sum;
        }
        for (size_t b = 0; b < core; b++)
            x[b * s + lane] = y[b];
    }
    free(y);
    for (size_t i = 0; i < n; i++)
        x[i] *= scale;
}
