/* nsga2.c - NSGA-II as a pure function of the trials: a generation is the trials of one number range. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sampler.h"

struct member {
    size_t trial;
    uint32_t rank;
    double crowding;
};

static int by_fitness(const void *pa, const void *pb)
{
    const struct member *a = pa, *b = pb;
    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    if (a->crowding != b->crowding)
        return a->crowding > b->crowding ? -1 : 1;
    return a->trial < b->trial ? -1 : a->trial > b->trial;
}

struct keyed {
    double key;
    size_t at;
};

static int by_key(const void *pa, const void *pb)
{
    const struct keyed *a = pa, *b = pb;
    return a->key != b->key ? (a->key < b->key ? -1 : 1) : a->at < b->at ? -1 : a->at > b->at;
}

/* Capped trials rank behind every other, by how much they exceed. */
static void rate(const struct pl_dse_sampler *s, const struct history *h, struct member *p, size_t n)
{
    const size_t m = s->of.m;
    double *y = dse_alloc(n * m, sizeof *y);
    uint32_t *rank = dse_alloc(n, sizeof *rank);
    struct keyed *k = dse_alloc(n, sizeof *k);
    for (size_t i = 0; i < n; i++) {
        const struct pl_dse_trial *t = &h->t[p[i].trial];
        double over = 0;
        for (size_t c = 0; c < s->of.n_cap && t->state == PL_DSE_CAPPED; c++)
            over += fmax(t->slack[c], 0);
        for (size_t q = 0; q < m; q++)
            y[i * m + q] = t->state == PL_DSE_CAPPED ? 1e100 * (1 + over) : t->y[q];
        p[i].crowding = 0;
    }
    pl_pareto_ranks(y, n, m, rank);
    for (size_t i = 0; i < n; i++)
        p[i].rank = rank[i];
    for (uint32_t r = 0; r < n; r++)
        for (size_t q = 0; q < m; q++) {
            size_t nk = 0;
            for (size_t i = 0; i < n; i++)
                if (rank[i] == r)
                    k[nk++] = (struct keyed){y[i * m + q], i};
            if (!nk)
                break;
            qsort(k, nk, sizeof *k, by_key);
            const double width = k[nk - 1].key - k[0].key;
            p[k[0].at].crowding = p[k[nk - 1].at].crowding = INFINITY;
            for (size_t i = 1; i + 1 < nk && width > 0; i++)
                p[k[i].at].crowding += (k[i + 1].key - k[i - 1].key) / width;
        }
    qsort(p, n, sizeof *p, by_fitness);
    free(k);
    free(rank);
    free(y);
}

/* The parents of generation `g`: the best `population` of the parents and children before, again and again. */
static size_t parents(const struct pl_dse_sampler *s, const struct history *h, uint64_t g, struct member *p)
{
    size_t n = 0, i = 0;
    for (uint64_t gen = 0; gen < g; gen++) {
        for (; i < h->n_y && h->t[h->with_y[i]].number < (gen + 1) * s->of.population; i++)
            p[n++].trial = h->with_y[i];
        rate(s, h, p, n);
        n = n < s->of.population ? n : s->of.population;
    }
    return n;
}

static const struct member *tournament(const struct member *p, size_t n, struct pl_rng *r)
{
    const size_t a = pl_rng_below(r, n), b = pl_rng_below(r, n);
    return &p[a < b ? a : b]; /* sorted by fitness */
}

enum pl_status dse_propose_nsga2(struct pl_dse_sampler *s, const struct history *h, uint64_t number, double *x,
                                 struct pl_dse_tally *tally, bool *exhausted, struct pl_diag *d)
{
    const struct pl_dse_space *sp = s->of.space;
    struct member *p = dse_alloc(h->n_y + s->of.population, sizeof *p);
    struct pl_rng r;
    bool found = false;
    pl_dse_stream(&r, s->of.seed, number, STREAM_NSGA2);
    const size_t n = parents(s, h, number / s->of.population, p);
    for (int tries = 0; tries < 1000 && n && !found; tries++) {
        const double *a = h->t[tournament(p, n, &r)->trial].x, *b = h->t[tournament(p, n, &r)->trial].x;
        const bool cross = pl_rng_double(&r) < 0.9;
        for (size_t k = 0; k < sp->n; k++) {
            x[k] = cross && pl_rng_double(&r) < 0.5 ? b[k] : a[k];
            if (pl_rng_double(&r) * (double)sp->n < 1)
                x[k] = dse_from_unit(&sp->p[k], pl_rng_double(&r));
        }
        found = dse_is_feasible(sp, x, tally) && !dse_is_seen(sp, h->t, h->n, x);
    }
    free(p);
    return found ? PL_OK : dse_random(s, h, &r, x, tally, exhausted, d);
}
