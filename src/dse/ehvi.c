/* ehvi.c - boxes of the region not yet dominated, and the expected hypervolume improvement over them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dse_internal.h"

static void add_box(struct pl_boxes *b, const double *lo, const double *hi)
{
    for (size_t k = 0; k < b->m; k++)
        if (!(lo[k] < hi[k]))
            return;
    if (b->n == b->cap) {
        b->cap = b->cap ? 2 * b->cap : 64;
        b->lo = realloc(b->lo, b->cap * b->m * sizeof *b->lo);
        b->hi = realloc(b->hi, b->cap * b->m * sizeof *b->hi);
        if (!b->lo || !b->hi)
            abort();
    }
    memcpy(b->lo + b->n * b->m, lo, b->m * sizeof *lo);
    memcpy(b->hi + b->n * b->m, hi, b->m * sizeof *hi);
    b->n++;
}

/* ---- m = 3: strips of the staircase, each open from the height where it appeared ---- */
struct strips {
    double *x, *y, *from; /* strip i: x[i] < . <= x[i+1], below y[i], since height from[i] */
    size_t n;
};

static void close_strip(struct pl_boxes *b, const struct strips *s, size_t i, double height, const double *ref)
{
    const double lo[3] = {s->x[i], -INFINITY, s->from[i]};
    const double hi[3] = {i + 1 < s->n ? s->x[i + 1] : ref[0], s->y[i], height};
    add_box(b, lo, hi);
}

/* A point (px, py) at `height` cuts the strips it reaches into. */
static void cut_strips(struct pl_boxes *b, struct strips *s, const double *p, const double *ref)
{
    size_t i = s->n - 1, j;
    while (s->x[i] > p[0])
        i--;
    if (s->y[i] <= p[1])
        return; /* dominated by lower points */
    for (j = i; j < s->n && s->y[j] > p[1]; j++)
        close_strip(b, s, j, p[2], ref);
    const double left = s->x[i], top = s->y[i];
    const size_t keep = left < p[0], put = keep + 1; /* strip i stays left of the point */
    const size_t tail = s->n - j;
    memmove(s->x + i + put, s->x + j, tail * sizeof *s->x);
    memmove(s->y + i + put, s->y + j, tail * sizeof *s->y);
    memmove(s->from + i + put, s->from + j, tail * sizeof *s->from);
    s->n = i + put + tail;
    if (keep) {
        s->x[i] = left;
        s->y[i] = top;
        s->from[i] = p[2];
        i++;
    }
    s->x[i] = p[0];
    s->y[i] = p[1];
    s->from[i] = p[2];
}

static int by_last_of_3(const void *pa, const void *pb)
{
    const double *a = pa, *b = pb;
    return a[2] != b[2] ? (a[2] < b[2] ? -1 : 1) : a[0] != b[0] ? (a[0] < b[0] ? -1 : 1) : a[1] < b[1] ? -1 : a[1] > b[1];
}

static void boxes3(struct pl_boxes *b, double *front, size_t n, const double *ref)
{
    const size_t room = 2 * n + 4;
    double *mem = dse_alloc(3 * room, sizeof *mem);
    struct strips s = {mem, mem + room, mem + 2 * room, 1};
    qsort(front, n, 3 * sizeof *front, by_last_of_3);
    s.x[0] = s.from[0] = -INFINITY;
    s.y[0] = ref[1];
    for (size_t i = 0; i < n; i++)
        cut_strips(b, &s, front + 3 * i, ref);
    for (size_t i = 0; i < s.n; i++)
        close_strip(b, &s, i, ref[2], ref);
    free(mem);
}

/* ---- other m: slabs between the different last coordinates, recursively ---- */
static int by_value(const void *pa, const void *pb)
{
    const double a = *(const double *)pa, b = *(const double *)pb;
    return a < b ? -1 : a > b;
}

/* Points y[n][m], of which the first `k` objectives are left; the bounds of the rest are in lo, hi. */
static void slabs(struct pl_boxes *b, const double *y, size_t n, size_t k, const double *ref, double *lo, double *hi)
{
    const size_t m = b->m;
    if (k == 1) {
        lo[0] = -INFINITY;
        hi[0] = ref[0];
        for (size_t i = 0; i < n; i++)
            hi[0] = fmin(hi[0], y[i * m]);
        add_box(b, lo, hi);
        return;
    }
    double *z = dse_alloc(n + 1, sizeof *z), *active = dse_alloc(n * m, sizeof *active);
    for (size_t i = 0; i < n; i++)
        z[i] = y[i * m + k - 1];
    qsort(z, n, sizeof *z, by_value);
    z[n] = ref[k - 1];
    double from = -INFINITY;
    for (size_t i = 0; i <= n; i++) {
        if (i && z[i] == z[i - 1])
            continue;
        size_t na = 0;
        for (size_t j = 0; j < n; j++)
            if (y[j * m + k - 1] <= from)
                memcpy(active + na++ * m, y + j * m, m * sizeof *y);
        lo[k - 1] = from;
        hi[k - 1] = z[i];
        slabs(b, active, na, k - 1, ref, lo, hi);
        from = z[i];
    }
    free(active);
    free(z);
}

static void index_bounds(struct pl_boxes *b)
{
    b->at_lo = dse_alloc(b->n * b->m, sizeof *b->at_lo);
    b->at_hi = dse_alloc(b->n * b->m, sizeof *b->at_hi);
    for (size_t k = 0; k < b->m; k++) {
        double *c = b->coord[k] = dse_alloc(2 * b->n, sizeof *c);
        size_t n = 0;
        for (size_t i = 0; i < b->n; i++) {
            c[2 * i] = b->lo[i * b->m + k];
            c[2 * i + 1] = b->hi[i * b->m + k];
        }
        qsort(c, 2 * b->n, sizeof *c, by_value);
        for (size_t i = 0; i < 2 * b->n; i++)
            if (!n || c[n - 1] != c[i])
                c[n++] = c[i];
        b->n_coord[k] = n;
        for (size_t i = 0; i < b->n; i++) {
            const double *lo = bsearch(&b->lo[i * b->m + k], c, n, sizeof *c, by_value);
            const double *hi = bsearch(&b->hi[i * b->m + k], c, n, sizeof *c, by_value);
            b->at_lo[i * b->m + k] = (uint32_t)(lo - c);
            b->at_hi[i * b->m + k] = (uint32_t)(hi - c);
        }
    }
}

void pl_boxes_init(struct pl_boxes *b, const double *y, size_t n, size_t m, const double *ref)
{
    double lo[PL_DSE_OBJECTIVES], hi[PL_DSE_OBJECTIVES], *front = dse_alloc(n * m, sizeof *front);
    assert(m >= 1 && m <= PL_DSE_OBJECTIVES);
    *b = (struct pl_boxes){.m = m};
    const size_t nf = dse_front_below(y, n, m, ref, front);
    if (m == 3)
        boxes3(b, front, nf, ref);
    else
        slabs(b, front, nf, m, ref, lo, hi);
    free(front);
    index_bounds(b);
}

void pl_boxes_fini(struct pl_boxes *b)
{
    free(b->lo);
    free(b->hi);
    free(b->at_lo);
    free(b->at_hi);
    for (size_t k = 0; k < PL_DSE_OBJECTIVES; k++)
        free(b->coord[k]);
    *b = (struct pl_boxes){0};
}

/* G(z) = E[max(z - Y, 0)] and its derivatives by mu (-Phi) and sd (phi). */
struct below {
    double g, cdf, pdf;
};

static struct below expect_below(double z, double mu, double sd)
{
    if (isinf(z))
        return (struct below){0, 0, 0};
    const double s = (z - mu) / sd, pdf = 0.3989422804014327 * exp(-0.5 * s * s);
    const double cdf = 0.5 * erfc(-s * 0.7071067811865476);
    return (struct below){fmax((z - mu) * cdf + sd * pdf, 0), cdf, pdf};
}

double pl_ehvi(const struct pl_boxes *b, const double *mu, const double *sd, double *d_mu, double *d_sd)
{
    struct below fixed[3 * 64], *at[PL_DSE_OBJECTIVES], *heap = NULL;
    const size_t m = b->m;
    size_t total = 0;
    for (size_t k = 0; k < m; k++)
        total += b->n_coord[k];
    struct below *p = total <= PL_COUNT(fixed) ? fixed : (heap = dse_alloc(total, sizeof *heap));
    for (size_t k = 0; k < m; k++) {
        at[k] = p;
        for (size_t i = 0; i < b->n_coord[k]; i++)
            *p++ = expect_below(b->coord[k][i], mu[k], sd[k]);
        if (d_mu)
            d_mu[k] = d_sd[k] = 0;
    }
    double sum = 0;
    for (size_t i = 0; i < b->n; i++) {
        double diff[PL_DSE_OBJECTIVES] = {0}, product = 1;
        const uint32_t *lo = b->at_lo + i * m, *hi = b->at_hi + i * m;
        for (size_t k = 0; k < m; k++)
            product *= diff[k] = at[k][hi[k]].g - at[k][lo[k]].g;
        sum += product;
        for (size_t k = 0; k < m && d_mu; k++) {
            double others = 1;
            for (size_t j = 0; j < m; j++)
                others *= j == k ? 1 : diff[j];
            d_mu[k] -= others * (at[k][hi[k]].cdf - at[k][lo[k]].cdf);
            d_sd[k] += others * (at[k][hi[k]].pdf - at[k][lo[k]].pdf);
        }
    }
    free(heap);
    return sum;
}
