/* space.c - points of a search space: counting, encoding, drawing feasible ones. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "sampler.h"

uint64_t pl_dse_space_size(const struct pl_dse_space *s)
{
    uint64_t n = 1;
    for (size_t k = 0; k < s->n; k++) {
        if (s->p[k].kind == PL_DSE_REAL || n > (UINT64_C(1) << 62) / (s->p[k].n_value + 1))
            return 0;
        n *= s->p[k].n_value;
    }
    return n;
}

void pl_dse_space_point(const struct pl_dse_space *s, uint64_t index, double *x)
{
    for (size_t k = s->n; k-- > 0;) {
        x[k] = (double)(index % s->p[k].n_value);
        index /= s->p[k].n_value;
    }
}

double pl_dse_real(const struct pl_dse_param *p, double position)
{
    return p->log ? p->lo * pow(p->hi / p->lo, position) : p->lo + (p->hi - p->lo) * position;
}

/* Values whose features are equal can only be told apart as categories. */
static bool needs_category(const struct pl_dse_param *p)
{
    const size_t n = p->n_feature;
    for (size_t a = 0; a < p->n_value && p->kind == PL_DSE_CATEGORY; a++)
        for (size_t b = 0; b < a; b++)
            if (!n || !memcmp(p->place + a * n, p->place + b * n, n * sizeof *p->place))
                return true;
    return false;
}

void pl_dse_space_shape(const struct pl_dse_space *s, size_t *features, size_t *categories)
{
    *features = *categories = 0;
    for (size_t k = 0; k < s->n; k++) {
        *features += s->p[k].kind == PL_DSE_CATEGORY ? s->p[k].n_feature : 1;
        *categories += needs_category(&s->p[k]);
    }
}

void pl_dse_space_encode(const struct pl_dse_space *s, const double *x, double *feature, uint32_t *category)
{
    for (size_t k = 0; k < s->n; k++) {
        const struct pl_dse_param *p = &s->p[k];
        if (p->kind == PL_DSE_REAL) {
            *feature++ = x[k];
        } else if (p->kind == PL_DSE_ORDERED) {
            *feature++ = p->place[(size_t)x[k]];
        } else {
            if (needs_category(p))
                *category++ = (uint32_t)x[k];
            for (size_t q = 0; q < p->n_feature; q++)
                *feature++ = p->place[(size_t)x[k] * p->n_feature + q];
        }
    }
}

bool dse_same(const struct pl_dse_space *s, const double *a, const double *b)
{
    for (size_t k = 0; k < s->n; k++)
        if (s->p[k].kind == PL_DSE_REAL ? fabs(a[k] - b[k]) > 1e-9 : a[k] != b[k])
            return false;
    return true;
}

bool dse_is_seen(const struct pl_dse_space *s, const struct pl_dse_trial *t, size_t n, const double *x)
{
    for (size_t i = n; i-- > 0;)
        if (dse_same(s, t[i].x, x))
            return true;
    return false;
}

static void count_reason(struct pl_dse_tally *tally, const char *reason)
{
    for (size_t i = 0; tally && i < tally->n; i++)
        if (!strcmp(tally->row[i].reason, reason)) {
            tally->row[i].count++;
            return;
        }
    if (tally && tally->n < PL_DSE_REASONS) {
        tally->row[tally->n].reason = reason;
        tally->row[tally->n++].count = 1;
    }
}

bool dse_is_feasible(const struct pl_dse_space *s, const double *x, struct pl_dse_tally *tally)
{
    const char *why = s->why_not ? s->why_not(s->ctx, x) : NULL;
    if (why)
        count_reason(tally, why);
    return !why;
}

double dse_from_unit(const struct pl_dse_param *p, double u)
{
    return p->kind == PL_DSE_REAL ? u : fmin(floor(u * (double)p->n_value), (double)(p->n_value - 1));
}

void dse_draw(const struct pl_dse_space *s, struct pl_rng *r, double *x)
{
    for (size_t k = 0; k < s->n; k++)
        x[k] = dse_from_unit(&s->p[k], pl_rng_double(r));
}
