/* tpe.c - multi-objective TPE: the better trials and the rest each as a mixture of kernels; of draws from the first the
 * one with the greatest ratio of the two densities. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sampler.h"

enum { DRAWS = 24 };

struct mixture {
    const struct pl_dse_space *sp;
    size_t n;       /* kernels; the last is the prior */
    const double **at; /* [n - 1] their points */
    double *weight; /* [n], sum 1 */
    double width;   /* of the kernels, in units of the range */
};

static double normal_cdf(double z)
{
    return 0.5 * erfc(-z * 0.7071067811865476);
}

/* Position of a value in [0, 1]; ordered values own equal parts of it. */
static double position(const struct pl_dse_param *p, double x)
{
    return p->kind == PL_DSE_REAL ? x : (x + 0.5) / (double)p->n_value;
}

/* Probability (density) of x in one parameter of one kernel. at < 0: the prior, uniform. */
static double kernel(const struct mixture *m, const struct pl_dse_param *p, double at, double x)
{
    if (p->kind == PL_DSE_CATEGORY) {
        const double n = (double)m->n, c = (double)p->n_value; /* one count for what was seen, 1/n spread over all */
        return at < 0 ? 1 / c : ((at == x) + 1 / n) / (1 + c / n);
    }
    if (at < 0)
        return p->kind == PL_DSE_REAL ? 1 : 1 / (double)p->n_value;
    const double mu = position(p, at), w = m->width, all = normal_cdf((1 - mu) / w) - normal_cdf(-mu / w);
    if (p->kind == PL_DSE_ORDERED) {
        const double n = (double)p->n_value;
        return (normal_cdf(((x + 1) / n - mu) / w) - normal_cdf((x / n - mu) / w)) / all + 1e-12;
    }
    const double z = (x - mu) / w;
    return 0.3989422804014327 * exp(-0.5 * z * z) / (w * all);
}

static double log_density(const struct mixture *m, const double *x)
{
    double sum = 0;
    for (size_t i = 0; i < m->n; i++) {
        double product = m->weight[i];
        for (size_t k = 0; k < m->sp->n; k++)
            product *= kernel(m, &m->sp->p[k], i + 1 < m->n ? m->at[i][k] : -1, x[k]);
        sum += product;
    }
    return log(sum + 1e-300);
}

static void draw(const struct mixture *m, struct pl_rng *r, double *x)
{
    double u = pl_rng_double(r);
    size_t i = 0;
    while (i + 1 < m->n && u >= m->weight[i])
        u -= m->weight[i++];
    for (size_t k = 0; k < m->sp->n; k++) {
        const struct pl_dse_param *p = &m->sp->p[k];
        if (i + 1 == m->n) {
            x[k] = dse_from_unit(p, pl_rng_double(r));
        } else if (p->kind == PL_DSE_CATEGORY) {
            const double c = (double)p->n_value, own = 1 / (1 + c / (double)m->n);
            x[k] = pl_rng_double(r) < own ? m->at[i][k] : (double)pl_rng_below(r, p->n_value);
        } else {
            double v;
            do
                v = position(p, m->at[i][k]) + m->width * pl_rng_normal(r);
            while (v < 0 || v >= 1);
            x[k] = dse_from_unit(p, v);
        }
    }
}

static void mixture_init(struct mixture *m, const struct pl_dse_space *sp, size_t n)
{
    *m = (struct mixture){.sp = sp, .n = n + 1};
    m->at = dse_alloc(n + 1, sizeof *m->at);
    m->weight = dse_alloc(n + 1, sizeof *m->weight);
    m->width = 0.2 * pow((double)n + 1, -1.0 / ((double)sp->n + 4));
}

static void mixture_fini(struct mixture *m)
{
    free(m->at);
    free(m->weight);
}

static void normalise(struct mixture *m)
{
    double sum = 0;
    for (size_t i = 0; i < m->n; i++)
        sum += m->weight[i];
    for (size_t i = 0; i < m->n; i++)
        m->weight[i] /= sum;
}

/* Marks the better trials: whole ranks, and of the rank that does not fit the greedy choice of greatest hypervolume. */
static void split(const struct history *h, size_t m, size_t want, const double *y, const double *ref, bool *better)
{
    const size_t n = h->n_y;
    uint32_t *rank = dse_alloc(n, sizeof *rank);
    double *set = dse_alloc((n + 1) * m, sizeof *set);
    size_t have = 0;
    pl_pareto_ranks(y, n, m, rank);
    for (uint32_t r = 0; have < want; r++) {
        size_t in_rank = 0, taken = 0;
        for (size_t i = 0; i < n; i++)
            in_rank += rank[i] == r;
        for (size_t i = 0; i < n && have + in_rank <= want; i++)
            better[i] |= rank[i] == r;
        if (have + in_rank <= want) {
            have += in_rank;
            continue;
        }
        while (have < want) {
            double best = -1;
            size_t at = n;
            for (size_t i = 0; i < n; i++) {
                if (rank[i] != r || better[i])
                    continue;
                memcpy(set + taken * m, y + i * m, m * sizeof *y);
                const double v = pl_hypervolume(set, taken + 1, m, ref);
                if (v > best) {
                    best = v;
                    at = i;
                }
            }
            memcpy(set + taken++ * m, y + at * m, m * sizeof *y);
            better[at] = true;
            have++;
        }
    }
    free(set);
    free(rank);
}

/* Weight of each better trial: what the hypervolume of the better ones would lose without it. */
static void weigh_better(struct mixture *m, const double *y, size_t n_obj, const double *ref)
{
    const size_t n = m->n - 1;
    double *rest = dse_alloc(n * n_obj, sizeof *rest), most = 0;
    const double all = pl_hypervolume(y, n, n_obj, ref);
    for (size_t i = 0; i < n; i++) {
        size_t k = 0;
        for (size_t j = 0; j < n; j++)
            if (j != i)
                memcpy(rest + k++ * n_obj, y + j * n_obj, n_obj * sizeof *y);
        m->weight[i] = fmax(all - pl_hypervolume(rest, k, n_obj, ref), 0);
        most = fmax(most, m->weight[i]);
    }
    for (size_t i = 0; i < n; i++)
        m->weight[i] = most > 0 ? fmax(m->weight[i] / most, 1e-12) : 1;
    m->weight[n] = 1;
    normalise(m);
    free(rest);
}

static void build(struct pl_dse_sampler *s, const struct history *h, struct mixture *good, struct mixture *bad)
{
    const size_t m = s->of.m, n = h->n_y, want = n < 250 ? (n + 9) / 10 : 25;
    double *y = dse_alloc(n * m, sizeof *y), *yb = dse_alloc(n * m, sizeof *yb), ref[PL_DSE_OBJECTIVES];
    bool *better = dse_alloc(n, sizeof *better);
    for (size_t i = 0; i < n; i++) {
        const struct pl_dse_trial *t = &h->t[h->with_y[i]];
        for (size_t k = 0; k < m; k++) /* capped trials come last */
            y[i * m + k] = t->state == PL_DSE_CAPPED ? 1e100 * (1 + fmax(t->slack[0], 0)) : t->y[k];
    }
    for (size_t k = 0; k < m; k++) {
        double worst = -INFINITY;
        for (size_t i = 0; i < n; i++)
            worst = y[i * m + k] < 1e99 ? fmax(worst, y[i * m + k]) : worst;
        ref[k] = fmax(1.1 * worst, 0.9 * worst) + 1e-12;
    }
    split(h, m, want, y, ref, better);
    mixture_init(good, s->of.space, want);
    mixture_init(bad, s->of.space, n - want + h->n_pending);
    size_t ng = 0, nb = 0;
    for (size_t i = 0; i < n; i++) {
        const double *x = h->t[h->with_y[i]].x;
        if (better[i]) {
            memcpy(yb + ng * m, y + i * m, m * sizeof *y);
            good->at[ng++] = x;
        } else {
            bad->at[nb++] = x;
        }
    }
    for (size_t i = 0; i < h->n_pending; i++)
        bad->at[nb++] = h->t[h->pending[i]].x;
    for (size_t i = 0; i <= nb; i++) /* the 25 latest count in full, older ones ever less */
        bad->weight[i] = i == nb || i + 25 >= nb || nb < 26 ? 1 : 1.0 / (double)nb + (1 - 1.0 / (double)nb) * (double)i / (double)(nb - 25);
    normalise(bad);
    weigh_better(good, yb, m, ref);
    free(better);
    free(yb);
    free(y);
}

enum pl_status dse_propose_tpe(struct pl_dse_sampler *s, const struct history *h, uint64_t number, double *x, struct pl_dse_tally *tally,
                               bool *exhausted, struct pl_diag *d)
{
    struct mixture good, bad;
    struct pl_rng r;
    double best = -INFINITY, c[PL_DSE_PARAMS];
    pl_dse_stream(&r, s->of.seed, number, STREAM_TPE);
    build(s, h, &good, &bad);
    for (int found = 0, tries = 0; found < DRAWS && tries < 100 * DRAWS; tries++) {
        draw(&good, &r, c);
        if (!dse_is_feasible(s->of.space, c, tally) || dse_is_seen(s->of.space, h->t, h->n, c))
            continue;
        const double v = log_density(&good, c) - log_density(&bad, c);
        found++;
        if (v > best) {
            best = v;
            memcpy(x, c, s->of.space->n * sizeof *x);
        }
    }
    mixture_fini(&good);
    mixture_fini(&bad);
    return best > -INFINITY ? PL_OK : dse_random(s, h, &r, x, tally, exhausted, d);
}
