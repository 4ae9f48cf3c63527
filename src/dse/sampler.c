/* sampler.c - which sampler proposes a trial; the ones that need no model; what all share. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sampler.h"

static const char *const names[] = {
#define X(name, text, doc) text,
    PL_DSE_SAMPLER_LIST(X)
#undef X
};

const char *pl_dse_sampler_name(enum pl_dse_sampler_kind k)
{
    return names[k];
}

enum pl_status pl_dse_sampler_find(const char *name, enum pl_dse_sampler_kind *out, struct pl_diag *d)
{
    for (size_t i = 0; i < PL_COUNT(names); i++)
        if (!strcmp(names[i], name)) {
            *out = (enum pl_dse_sampler_kind)i;
            return PL_OK;
        }
    return pl_fail(d, PL_EUSAGE, "no sampler \"%s\"; there are bo, tpe, nsga2, random, halton and exhaustive", name);
}

void pl_dse_sampler_new(const struct pl_dse_search *search, struct pl_dse_sampler **out)
{
    struct pl_dse_sampler *s = dse_alloc(1, sizeof *s);
    s->of = *search;
    s->size = pl_dse_space_size(search->space);
    if (!s->of.initial)
        s->of.initial = 2 * (search->space->n + 1);
    if (!s->of.population)
        s->of.population = 20;
    *out = s;
}

void pl_dse_sampler_free(struct pl_dse_sampler *s)
{
    free(s);
}

enum pl_status dse_random(struct pl_dse_sampler *s, const struct history *h, struct pl_rng *r, double *x, struct pl_dse_tally *tally,
                          bool *exhausted, struct pl_diag *d)
{
    const struct pl_dse_space *sp = s->of.space;
    enum { MOST = 100000 };
    bool feasible = false;
    for (int i = 0; i < MOST; i++) {
        dse_draw(sp, r, x);
        const bool may = dse_is_feasible(sp, x, tally);
        feasible |= may;
        if (may && !dse_is_seen(sp, h->t, h->n, x))
            return PL_OK;
    }
    for (uint64_t i = 0; i < s->size; i++) { /* few are left: the first of them */
        pl_dse_space_point(sp, i, x);
        if (dse_is_feasible(sp, x, NULL) && !dse_is_seen(sp, h->t, h->n, x))
            return PL_OK;
    }
    if (s->size) {
        *exhausted = true;
        return PL_OK;
    }
    return pl_fail(d, PL_ERANGE, "%d random points and none may be evaluated%s%s", MOST,
                   !feasible && tally && tally->n ? "; the first reason: " : "", !feasible && tally && tally->n ? tally->row[0].reason : "");
}

/* The number-th feasible, different point of the Halton sequence of this seed. Only the last step is tallied. */
static enum pl_status quasi_random(struct pl_dse_sampler *s, const struct history *h, uint64_t number, double *x,
                                   struct pl_dse_tally *tally, bool *exhausted, struct pl_diag *d)
{
    const struct pl_dse_space *sp = s->of.space;
    double u[PL_DSE_PARAMS];
    struct pl_dse_trial *before = dse_alloc(number + 1, sizeof *before);
    uint64_t found = 0;
    for (uint64_t i = 0; i < 20000 + 64 * number; i++) {
        pl_dse_halton(s->of.seed, i, sp->n, u);
        for (size_t k = 0; k < sp->n; k++)
            x[k] = dse_from_unit(&sp->p[k], u[k]);
        if (!dse_is_feasible(sp, x, found == number ? tally : NULL) || (s->size && dse_is_seen(sp, before, found, x)))
            continue;
        if (found == number && !dse_is_seen(sp, h->t, h->n, x)) {
            free(before);
            return PL_OK;
        }
        if (found < number)
            memcpy(before[found++].x, x, sp->n * sizeof *x);
    }
    free(before);
    struct pl_rng r;
    pl_dse_stream(&r, s->of.seed, number, STREAM_RANDOM);
    return dse_random(s, h, &r, x, tally, exhausted, d);
}

static void exhaustive(struct pl_dse_sampler *s, uint64_t number, double *x, struct pl_dse_tally *tally, bool *exhausted)
{
    if (number < s->next_number) /* the cursor only goes on; it is a function of the space */
        s->next_index = s->next_number = 0;
    for (; s->next_index < s->size; s->next_index++) {
        pl_dse_space_point(s->of.space, s->next_index, x);
        if (!dse_is_feasible(s->of.space, x, s->next_number == number ? tally : NULL))
            continue;
        if (s->next_number++ == number) {
            s->next_index++;
            return;
        }
    }
    *exhausted = true;
}

static enum pl_status propose(struct pl_dse_sampler *s, const struct history *h, uint64_t number, double *x, struct pl_dse_tally *tally,
                              bool *exhausted, struct pl_diag *d)
{
    const bool modelled = s->of.sampler == PL_DSE_BO || s->of.sampler == PL_DSE_TPE;
    struct pl_rng r;
    if (s->of.n_fixed) {
        *exhausted = number >= s->of.n_fixed;
        if (!*exhausted)
            memcpy(x, s->of.fixed[number], s->of.space->n * sizeof *x);
        return PL_OK;
    }
    if (s->of.sampler == PL_DSE_EXHAUSTIVE) {
        if (!s->size)
            return pl_fail(d, PL_ERANGE, "sampler exhaustive needs a space without real parameters");
        exhaustive(s, number, x, tally, exhausted);
        return PL_OK;
    }
    if (s->of.sampler == PL_DSE_HALTON || (modelled && (number < s->of.initial || h->n_y < 2)))
        return quasi_random(s, h, number, x, tally, exhausted, d);
    pl_dse_stream(&r, s->of.seed, number, STREAM_RANDOM);
    if (s->of.sampler == PL_DSE_BO)
        return dse_propose_bo(s, h, number, x, tally, exhausted, d);
    if (s->of.sampler == PL_DSE_TPE)
        return dse_propose_tpe(s, h, number, x, tally, exhausted, d);
    if (s->of.sampler == PL_DSE_NSGA2)
        return dse_propose_nsga2(s, h, number, x, tally, exhausted, d);
    return dse_random(s, h, &r, x, tally, exhausted, d);
}

enum pl_status pl_dse_propose(struct pl_dse_sampler *s, const struct pl_dse_trial *t, size_t n, uint64_t number, double *x,
                              struct pl_dse_tally *rejected, bool *exhausted, struct pl_diag *d)
{
    struct history h = {.t = t, .n = n};
    h.with_y = dse_alloc(n, sizeof *h.with_y);
    h.pending = dse_alloc(n, sizeof *h.pending);
    for (size_t i = 0; i < n; i++) {
        if (t[i].state == PL_DSE_COMPLETE || t[i].state == PL_DSE_CAPPED)
            h.with_y[h.n_y++] = i;
        else if (t[i].state == PL_DSE_RUNNING)
            h.pending[h.n_pending++] = i;
    }
    if (rejected)
        *rejected = (struct pl_dse_tally){0};
    *exhausted = false;
    const int threads = openblas_get_num_threads(); /* the same bits on every host */
    openblas_set_num_threads(1);
    const enum pl_status st = propose(s, &h, number, x, rejected, exhausted, d);
    openblas_set_num_threads(threads);
    free(h.with_y);
    free(h.pending);
    return st;
}

bool pl_dse_reference(const struct pl_dse_search *search, const struct pl_dse_trial *t, size_t n, double *ref)
{
    const size_t initial = search->initial ? search->initial : 2 * (search->space->n + 1);
    double least[PL_DSE_OBJECTIVES], most[PL_DSE_OBJECTIVES];
    size_t seen = 0, told = 0;
    if (search->has_ref) {
        memcpy(ref, search->ref, search->m * sizeof *ref);
        return true;
    }
    for (size_t i = 0; i < n; i++) {
        if (t[i].number >= initial || t[i].state == PL_DSE_RUNNING)
            continue;
        told++;
        if (t[i].state == PL_DSE_FAILED)
            continue;
        for (size_t k = 0; k < search->m; k++) {
            least[k] = seen ? fmin(least[k], t[i].y[k]) : t[i].y[k];
            most[k] = seen ? fmax(most[k], t[i].y[k]) : t[i].y[k];
        }
        seen++;
    }
    for (size_t k = 0; k < search->m && seen; k++)
        ref[k] = most[k] + 0.1 * (most[k] > least[k] ? most[k] - least[k] : fabs(most[k]) + 1e-9);
    return seen && told == initial;
}

double pl_dse_volume(const struct pl_dse_trial *t, size_t n, size_t m, const double *ref)
{
    double *y = dse_alloc(n * m, sizeof *y);
    size_t k = 0;
    for (size_t i = 0; i < n; i++)
        if (t[i].state == PL_DSE_COMPLETE)
            memcpy(y + k++ * m, t[i].y, m * sizeof *y);
    const double v = pl_hypervolume(y, k, m, ref);
    free(y);
    return v;
}
