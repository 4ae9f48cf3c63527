/* minimise.c - L-BFGS within bounds: the two-loop direction over the free variables, backtracking along the projection. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "dse_internal.h"

enum { MEMORY = 8, MOST = 64 };

struct memory {
    double s[MEMORY][MOST], y[MEMORY][MOST], rho[MEMORY];
    size_t n, next; /* stored pairs, place of the next */
};

static double dot(const double *a, const double *b, size_t n)
{
    double s = 0;
    for (size_t i = 0; i < n; i++)
        s += a[i] * b[i];
    return s;
}

/* p = -H g */
static void direction(const struct memory *m, const double *g, size_t n, double *p)
{
    double alpha[MEMORY], scale = 1;
    for (size_t i = 0; i < n; i++)
        p[i] = -g[i];
    for (size_t j = 0; j < m->n; j++) {
        const size_t k = (m->next + MEMORY - 1 - j) % MEMORY;
        alpha[k] = m->rho[k] * dot(m->s[k], p, n);
        for (size_t i = 0; i < n; i++)
            p[i] -= alpha[k] * m->y[k][i];
        if (!j)
            scale = 1 / (m->rho[k] * dot(m->y[k], m->y[k], n));
    }
    if (!m->n) { /* the first step has length 1/2 at most */
        const double len = sqrt(dot(g, g, n));
        scale = len > 0.5 ? 0.5 / len : 1;
    }
    for (size_t i = 0; i < n; i++)
        p[i] *= scale;
    for (size_t j = m->n; j-- > 0;) {
        const size_t k = (m->next + MEMORY - 1 - j) % MEMORY;
        const double beta = m->rho[k] * dot(m->y[k], p, n);
        for (size_t i = 0; i < n; i++)
            p[i] += (alpha[k] - beta) * m->s[k][i];
    }
}

/* A variable at a bound the descent pushes against stays there. */
static bool is_held(double x, double g, double lo, double hi)
{
    return (x <= lo && g > 0) || (x >= hi && g < 0);
}

static void remember(struct memory *m, const double *x, const double *to, const double *g, const double *gt, size_t n)
{
    const size_t k = m->next;
    for (size_t i = 0; i < n; i++) {
        m->s[k][i] = to[i] - x[i];
        m->y[k][i] = gt[i] - g[i];
    }
    const double sy = dot(m->s[k], m->y[k], n);
    if (sy <= 1e-12 * dot(m->y[k], m->y[k], n))
        return;
    m->rho[k] = 1 / sy;
    m->next = (k + 1) % MEMORY;
    m->n += m->n < MEMORY;
}

double pl_dse_minimise(pl_dse_fn *f, void *ctx, size_t n, const double *lo, const double *hi, unsigned iterations, double *x)
{
    struct memory m = {.n = 0};
    double g[MOST], gt[MOST], p[MOST], to[MOST], masked[MOST];
    assert(n && n <= MOST);
    double at = f(ctx, x, g);
    for (unsigned it = 0; it < iterations && isfinite(at); it++) {
        for (size_t i = 0; i < n; i++)
            masked[i] = is_held(x[i], g[i], lo[i], hi[i]) ? 0 : g[i];
        const double steep = dot(masked, masked, n);
        if (steep < 1e-14)
            break;
        direction(&m, masked, n, p);
        for (size_t i = 0; i < n; i++)
            if (masked[i] == 0)
                p[i] = 0;
        if (dot(p, masked, n) > -1e-12 * steep) { /* not downhill: start again from the gradient */
            m.n = 0;
            direction(&m, masked, n, p);
        }
        double step = 1, ft = INFINITY;
        for (int back = 0; back < 20; back++, step *= 0.4) {
            double slope = 0;
            for (size_t i = 0; i < n; i++) {
                to[i] = fmin(fmax(x[i] + step * p[i], lo[i]), hi[i]);
                slope += g[i] * (to[i] - x[i]);
            }
            ft = f(ctx, to, gt);
            if (ft <= at + 1e-4 * slope && slope < 0)
                break;
            ft = INFINITY;
        }
        if (!isfinite(ft))
            break;
        remember(&m, x, to, g, gt, n);
        const double gain = at - ft;
        memcpy(x, to, n * sizeof *x);
        memcpy(g, gt, n * sizeof *g);
        at = ft;
        if (gain < 1e-9 * (1 + fabs(at)))
            break;
    }
    return at;
}
