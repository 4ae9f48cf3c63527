/* fit.c - the census against the anchors: least squares of relative errors, and the error at each point when it is left out. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "census.h"

static const struct anchor {
    enum group group;
    struct sizes size;
    double area;
} anchors[] = {
#define ANCHOR(group, a, b, c, d, e, f, area) {GROUP_##group, {{a, b, c, d, e, f}}, area},
#include "anchors.def"
#undef ANCHOR
};
enum { LEAVE_NONE = -1 };

/* Gauss with pivots; n <= COST_TERMS, not singular: the anchors of a group tell its terms apart. */
static void solve(unsigned n, double m[COST_TERMS][COST_TERMS + 1], double *out)
{
    for (unsigned i = 0; i < n; i++) {
        unsigned p = i;
        for (unsigned r = i + 1; r < n; r++)
            p = fabs(m[r][i]) > fabs(m[p][i]) ? r : p;
        for (unsigned k = 0; k <= n; k++) {
            const double t = m[i][k];
            m[i][k] = m[p][k];
            m[p][k] = t;
        }
        for (unsigned r = 0; r < n; r++) {
            const double f = r == i ? 0 : m[r][i] / m[i][i];
            for (unsigned k = i; k <= n; k++)
                m[r][k] -= f * m[i][k];
        }
    }
    for (unsigned i = 0; i < n; i++)
        out[i] = m[i][n] / m[i][i];
}

/* Constants that make the sum of squared relative errors least, over the group's anchors but number `left_out`. */
static void fit_group(enum group g, int left_out, double *value)
{
    const unsigned n = groups[g].n_term;
    double m[COST_TERMS][COST_TERMS + 1] = {{0}}, x[COST_TERMS], scale[COST_TERMS] = {0};
    for (unsigned pass = 0; pass < 2; pass++) { /* the columns' sizes first: they differ by many orders */
        int i = -1;
        for (const struct anchor *a = anchors; a < anchors + PL_COUNT(anchors); a++) {
            if (a->group != g || ++i == left_out)
                continue;
            const double target = 1 - census_terms(g, &a->size, x) / a->area;
            for (unsigned r = 0; r < n; r++) {
                if (!pass)
                    scale[r] = fmax(scale[r], fabs(x[r] / a->area));
                for (unsigned k = 0; pass && k < n; k++)
                    m[r][k] += x[r] / a->area / scale[r] * (x[k] / a->area / scale[k]);
                m[r][n] += pass ? x[r] / a->area / scale[r] * target : 0;
            }
        }
    }
    solve(n, m, value);
    for (unsigned r = 0; r < n; r++)
        value[r] /= scale[r];
}

static double error_at(enum group g, const struct anchor *a, const double *value)
{
    double x[COST_TERMS], area = census_terms(g, &a->size, x);
    for (unsigned k = 0; k < groups[g].n_term; k++)
        area += value[k] * x[k];
    return fabs(area / a->area - 1);
}

bool pl_perf_fit(unsigned index, struct pl_perf_fit *out)
{
    if (index >= GROUP_COUNT)
        return false;
    const enum group g = (enum group)index;
    *out = (struct pl_perf_fit){.group = groups[g].name, .n_term = groups[g].n_term};
    fit_group(g, LEAVE_NONE, out->value);
    for (unsigned k = 0; k < out->n_term; k++) {
        struct pl_perf_constant c = {0};
        pl_perf_constant(groups[g].term[k], &c);
        out->term[k] = c.name;
    }
    for (const struct anchor *a = anchors; a < anchors + PL_COUNT(anchors); a++) {
        if (a->group != g)
            continue;
        double value[COST_TERMS];
        fit_group(g, (int)out->n, value);
        const double left_out = error_at(g, a, value);
        out->fit_max = fmax(out->fit_max, error_at(g, a, out->value));
        out->left_out_mean += left_out;
        out->left_out_max = fmax(out->left_out_max, left_out);
        out->n++;
    }
    out->left_out_mean /= out->n;
    return true;
}
