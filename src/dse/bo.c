/* bo.c - Bayesian optimisation: a Gaussian process for each objective and cap, the point of greatest expected
 * hypervolume improvement times the probability that the caps are kept. Pending points enter as believed.
 *
 * The acquisition is searched in its logarithm: random and perturbed Pareto points first, the best of them improved by
 * L-BFGS in the real parameters and by the best neighbour in the others. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sampler.h"

enum {
    FIT_STARTS = 8,
    RANDOM_CANDIDATES = 500,
    NEAR_CANDIDATES = 400,
    IMPROVED = 8,   /* candidates that are improved */
    MOST_POINTS = 300, /* of a GP; a longer study keeps its Pareto set and its latest trials */
    ALWAYS_FIT = 80 /* up to here each proposal fits the hyperparameters, then ever fewer */
};

struct bo {
    struct pl_dse_sampler *s;
    const struct history *h;
    const struct pl_dse_space *sp;
    size_t m, n_gp, d, c;
    struct pl_gp *gp[PL_DSE_OBJECTIVES + PL_DSE_CAPS];
    struct pl_boxes boxes;
    double *front; /* [n_front][m], for the boxes */
    size_t n_front, *front_at; /* trials of the front */
    size_t n_real, real[PL_DSE_PARAMS], feature_of[PL_DSE_PARAMS];
    double point[PL_DSE_PARAMS]; /* the values that stay while L-BFGS moves the real ones */
};

struct candidate {
    double x[PL_DSE_PARAMS], value;
};

enum { MOST_GP = PL_DSE_OBJECTIVES + PL_DSE_CAPS };

/* EHVI * PI P(cap kept), and its gradient by the real parameters. */
static double acquire_at(struct bo *b, const double *f, const uint32_t *cat, double *gradient)
{
    double mu[MOST_GP], sd[MOST_GP], d_mu[MOST_GP][PL_DSE_FEATURES], d_sd[MOST_GP][PL_DSE_FEATURES], by_mu[MOST_GP], by_sd[MOST_GP];
    double kept = 1;
    for (size_t k = 0; k < b->n_gp; k++)
        pl_gp_predict(b->gp[k], f, cat, &mu[k], &sd[k], gradient ? d_mu[k] : NULL, gradient ? d_sd[k] : NULL);
    const double gain = pl_ehvi(&b->boxes, mu, sd, gradient ? by_mu : NULL, gradient ? by_sd : NULL);
    for (size_t k = b->m; k < b->n_gp; k++) {
        const double z = -mu[k] / sd[k], p = fmax(0.5 * erfc(-z * 0.7071067811865476), 1e-100);
        const double slope = 0.3989422804014327 * exp(-0.5 * z * z) / p;
        kept *= p;
        by_mu[k] = -gain * slope / sd[k]; /* times `kept` below */
        by_sd[k] = -gain * slope * z / sd[k];
    }
    for (size_t i = 0; gradient && i < b->n_real; i++) {
        const size_t q = b->feature_of[b->real[i]];
        gradient[i] = 0;
        for (size_t k = 0; k < b->n_gp; k++)
            gradient[i] += kept * (by_mu[k] * d_mu[k][q] + by_sd[k] * d_sd[k][q]);
    }
    return gain * kept;
}

/* Its logarithm; gradient by the real parameters, or NULL. */
static double acquire(struct bo *b, const double *x, double *gradient)
{
    double f[PL_DSE_FEATURES];
    uint32_t cat[PL_DSE_CATEGORIES];
    pl_dse_space_encode(b->sp, x, f, cat);
    const double v = acquire_at(b, f, cat, gradient) + 1e-200;
    for (size_t i = 0; gradient && i < b->n_real; i++)
        gradient[i] /= v;
    return log(v);
}

static double minus_acquire(void *ctx, const double *v, double *g)
{
    struct bo *b = ctx;
    for (size_t i = 0; i < b->n_real; i++)
        b->point[b->real[i]] = v[i];
    const double a = -acquire(b, b->point, g);
    for (size_t i = 0; i < b->n_real; i++)
        g[i] = -g[i];
    return a;
}

static void improve_real(struct bo *b, struct candidate *c)
{
    double v[PL_DSE_PARAMS], lo[PL_DSE_PARAMS] = {0}, hi[PL_DSE_PARAMS];
    if (!b->n_real)
        return;
    memcpy(b->point, c->x, b->sp->n * sizeof *c->x);
    for (size_t i = 0; i < b->n_real; i++) {
        v[i] = c->x[b->real[i]];
        hi[i] = 1;
    }
    const double value = -pl_dse_minimise(minus_acquire, b, b->n_real, lo, hi, 40, v);
    for (size_t i = 0; i < b->n_real; i++)
        b->point[b->real[i]] = v[i];
    if (value > c->value && dse_is_feasible(b->sp, b->point, NULL)) {
        memcpy(c->x, b->point, b->sp->n * sizeof *c->x);
        c->value = value;
    }
}

static bool try_point(struct bo *b, const double *x, struct candidate *best)
{
    if (!dse_is_feasible(b->sp, x, NULL) || dse_is_seen(b->sp, b->h->t, b->h->n, x))
        return false;
    const double v = acquire(b, x, NULL);
    if (!(v > best->value))
        return false;
    memcpy(best->x, x, b->sp->n * sizeof *x);
    best->value = v;
    return true;
}

/* The best of the neighbours: every other value of one parameter, and single steps of two at once. */
static bool improve_step(struct bo *b, struct candidate *c)
{
    struct candidate best = *c;
    double x[PL_DSE_PARAMS];
    bool better = false;
    memcpy(x, c->x, sizeof x);
    for (size_t k = 0; k < b->sp->n; k++) {
        for (size_t v = 0; v < b->sp->p[k].n_value; v++) {
            x[k] = (double)v;
            better |= v != (size_t)c->x[k] && try_point(b, x, &best);
        }
        x[k] = c->x[k];
        for (size_t j = 0; j < k && b->sp->p[k].kind == PL_DSE_ORDERED; j++) {
            for (int step = 0; step < 4 && b->sp->p[j].kind == PL_DSE_ORDERED; step++) {
                x[k] = c->x[k] + (step & 1 ? 1 : -1);
                x[j] = c->x[j] + (step & 2 ? 1 : -1);
                if (x[k] >= 0 && x[j] >= 0 && x[k] < (double)b->sp->p[k].n_value && x[j] < (double)b->sp->p[j].n_value)
                    better |= try_point(b, x, &best);
            }
            x[j] = c->x[j];
        }
        x[k] = c->x[k];
    }
    *c = best;
    return better;
}

static int by_value(const void *pa, const void *pb)
{
    const struct candidate *a = pa, *b = pb;
    return a->value != b->value ? (a->value > b->value ? -1 : 1) : memcmp(a->x, b->x, sizeof a->x);
}

/* Near a Pareto point: each parameter moved with a chance, by a random distance. */
static void perturb(const struct bo *b, struct pl_rng *r, double *x)
{
    static const double width[] = {0.01, 0.03, 0.1, 0.3};
    const double w = width[pl_rng_below(r, 4)];
    for (size_t k = 0; k < b->sp->n; k++) {
        const struct pl_dse_param *p = &b->sp->p[k];
        if (pl_rng_double(r) > 0.5)
            continue;
        if (p->kind == PL_DSE_CATEGORY)
            x[k] = (double)pl_rng_below(r, p->n_value);
        else if (p->kind == PL_DSE_REAL)
            x[k] = fmin(fmax(x[k] + w * pl_rng_normal(r), 0), 1);
        else
            x[k] = fmin(fmax(x[k] + (double)pl_rng_below(r, 5) - 2, 0), (double)(p->n_value - 1));
    }
}

static size_t candidates(struct bo *b, struct pl_rng *r, struct candidate *c)
{
    size_t n = 0;
    for (int i = 0; i < RANDOM_CANDIDATES + NEAR_CANDIDATES; i++) {
        double *x = c[n].x;
        if (i < RANDOM_CANDIDATES || !b->n_front) {
            for (int tries = 0; tries < 200; tries++) {
                dse_draw(b->sp, r, x);
                if (dse_is_feasible(b->sp, x, NULL))
                    break;
            }
        } else {
            memcpy(x, b->h->t[b->front_at[pl_rng_below(r, b->n_front)]].x, b->sp->n * sizeof *x);
            perturb(b, r, x);
        }
        if (!dse_is_feasible(b->sp, x, NULL) || dse_is_seen(b->sp, b->h->t, b->h->n, x))
            continue;
        c[n].value = acquire(b, x, NULL);
        n++;
    }
    qsort(c, n, sizeof *c, by_value);
    return n;
}

/* The point of greatest acquisition; false when there was no candidate. */
static bool search(struct bo *b, uint64_t number, double *out)
{
    struct pl_rng r;
    struct candidate *c = dse_alloc(RANDOM_CANDIDATES + NEAR_CANDIDATES, sizeof *c);
    pl_dse_stream(&r, b->s->of.seed, number, STREAM_SEARCH);
    const size_t n = candidates(b, &r, c);
    size_t improved = 0;
    for (size_t i = 0; i < n && improved < IMPROVED; i++) {
        if (i && dse_same(b->sp, c[i].x, c[i - 1].x))
            continue;
        improve_real(b, &c[i]);
        for (int step = 0; step < 24 && b->n_real < b->sp->n && improve_step(b, &c[i]); step++)
            ;
        if (b->n_real && b->n_real < b->sp->n)
            improve_real(b, &c[i]);
        improved++;
    }
    qsort(c, n, sizeof *c, by_value);
    bool found = false;
    for (size_t i = 0; i < n && !found; i++) {
        found = !dse_is_seen(b->sp, b->h->t, b->h->n, c[i].x); /* L-BFGS may end on a known point */
        memcpy(out, c[i].x, b->sp->n * sizeof *out);
    }
    free(c);
    return found;
}

/* Which told trials a GP of `n` of them holds: all, or the Pareto set and the latest. */
static size_t chosen(const struct bo *b, size_t n, size_t *out)
{
    size_t k = 0;
    if (n <= MOST_POINTS) {
        memcpy(out, b->h->with_y, n * sizeof *out);
        return n;
    }
    for (size_t i = 0; i < b->n_front && k < MOST_POINTS / 2; i++)
        out[k++] = b->front_at[i];
    const size_t nf = k;
    for (size_t i = n; i-- > 0 && k < MOST_POINTS;) {
        bool has = false;
        for (size_t j = 0; j < nf; j++)
            has |= out[j] == b->h->with_y[i];
        if (!has)
            out[k++] = b->h->with_y[i];
    }
    return k;
}

static void gather(const struct bo *b, const size_t *at, size_t n, struct pl_gp_data *data, double *x, uint32_t *cat)
{
    for (size_t i = 0; i < n; i++)
        pl_dse_space_encode(b->sp, b->h->t[at[i]].x, x + i * b->d, cat + i * b->c);
    *data = (struct pl_gp_data){n, b->d, b->c, x, cat};
}

static double response(const struct bo *b, size_t trial, size_t k)
{
    const struct pl_dse_trial *t = &b->h->t[trial];
    return k < b->m ? t->y[k] : t->slack[k - b->m];
}

static enum pl_status fit_all(struct bo *b, struct pl_diag *d)
{
    const size_t n_y = b->h->n_y, every = n_y / 16, n_fit = n_y < ALWAYS_FIT ? n_y : n_y / every * every;
    size_t *at = dse_alloc(n_y, sizeof *at);
    double *x = dse_alloc(n_y * b->d, sizeof *x), *y = dse_alloc(n_y, sizeof *y), *z = dse_alloc(n_y, sizeof *z), mean, scale;
    uint32_t *cat = dse_alloc(n_y * b->c, sizeof *cat);
    struct pl_gp_data data;
    enum pl_status s = PL_OK;
    if (b->s->fitted != n_fit) {
        const size_t n = chosen(b, n_fit, at);
        gather(b, at, n, &data, x, cat);
        for (size_t k = 0; k < b->n_gp && s == PL_OK; k++) {
            struct pl_rng r;
            pl_dse_stream(&r, b->s->of.seed, n_fit, STREAM_FIT + 16 * (k + 1));
            for (size_t i = 0; i < n; i++)
                y[i] = response(b, at[i], k);
            dse_standardise(y, n, z, &mean, &scale);
            s = pl_gp_fit(&data, z, FIT_STARTS, &r, &b->s->theta[k], d);
        }
        b->s->fitted = s == PL_OK ? n_fit : 0;
    }
    const size_t n = chosen(b, n_y, at);
    gather(b, at, n, &data, x, cat);
    for (size_t k = 0; k < b->n_gp && s == PL_OK; k++) {
        for (size_t i = 0; i < n; i++)
            y[i] = response(b, at[i], k);
        s = pl_gp_new(&data, y, &b->s->theta[k], &b->gp[k], d);
    }
    free(cat);
    free(z);
    free(y);
    free(x);
    free(at);
    return s;
}

/* Pending trials join the models and the front as predicted. */
static enum pl_status believe(struct bo *b, struct pl_diag *d)
{
    double f[PL_DSE_FEATURES], sd;
    uint32_t cat[PL_DSE_CATEGORIES];
    for (size_t i = 0; i < b->h->n_pending && i < 60; i++) {
        pl_dse_space_encode(b->sp, b->h->t[b->h->pending[i]].x, f, cat);
        for (size_t k = 0; k < b->m; k++)
            pl_gp_predict(b->gp[k], f, cat, &b->front[b->n_front * b->m + k], &sd, NULL, NULL);
        b->n_front++;
        for (size_t k = 0; k < b->n_gp; k++)
            PL_TRY(pl_gp_believe(b->gp[k], f, cat, d));
    }
    return PL_OK;
}

/* Trials that keep the caps and that no other dominates. */
static void find_front(struct bo *b)
{
    const struct history *h = b->h;
    size_t n = 0, *feasible = dse_alloc(h->n_y, sizeof *feasible), *index = dse_alloc(h->n_y, sizeof *index);
    double *y = dse_alloc(h->n_y * b->m, sizeof *y);
    for (size_t i = 0; i < h->n_y; i++)
        if (h->t[h->with_y[i]].state == PL_DSE_COMPLETE) {
            memcpy(y + n * b->m, h->t[h->with_y[i]].y, b->m * sizeof *y);
            feasible[n++] = h->with_y[i];
        }
    b->n_front = pl_pareto(y, n, b->m, index);
    for (size_t i = 0; i < b->n_front; i++) {
        b->front_at[i] = feasible[index[i]];
        memcpy(b->front + i * b->m, y + index[i] * b->m, b->m * sizeof *y);
    }
    free(y);
    free(index);
    free(feasible);
}

static void bo_init(struct bo *b, struct pl_dse_sampler *s, const struct history *h)
{
    size_t feature = 0;
    *b = (struct bo){.s = s, .h = h, .sp = s->of.space, .m = s->of.m, .n_gp = s->of.m + s->of.n_cap};
    pl_dse_space_shape(b->sp, &b->d, &b->c);
    b->front = dse_alloc((h->n + 1) * b->m, sizeof *b->front);
    b->front_at = dse_alloc(h->n_y, sizeof *b->front_at);
    for (size_t k = 0; k < b->sp->n; k++) {
        b->feature_of[k] = feature;
        feature += b->sp->p[k].kind == PL_DSE_CATEGORY ? b->sp->p[k].n_feature : 1;
        if (b->sp->p[k].kind == PL_DSE_REAL)
            b->real[b->n_real++] = k;
    }
}

enum pl_status dse_propose_bo(struct pl_dse_sampler *s, const struct history *h, uint64_t number, double *x, struct pl_dse_tally *tally,
                              bool *exhausted, struct pl_diag *d)
{
    struct bo b;
    double ref[PL_DSE_OBJECTIVES];
    bo_init(&b, s, h);
    (void)pl_dse_reference(&s->of, h->t, h->n, ref);
    find_front(&b);
    const size_t own = b.n_front;
    enum pl_status st = fit_all(&b, d);
    if (st == PL_OK)
        st = believe(&b, d);
    if (st == PL_OK) {
        pl_boxes_init(&b.boxes, b.front, b.n_front, b.m, ref);
        b.n_front = own;
        if (!search(&b, number, x)) {
            struct pl_rng r;
            pl_dse_stream(&r, s->of.seed, number, STREAM_RANDOM);
            st = dse_random(s, h, &r, x, tally, exhausted, d);
        }
        pl_boxes_fini(&b.boxes);
    }
    for (size_t k = 0; k < b.n_gp; k++)
        pl_gp_free(b.gp[k]);
    free(b.front);
    free(b.front_at);
    return st;
}
