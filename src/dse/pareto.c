/* pareto.c - Pareto sets by sorting and a staircase, ranks, exact hypervolume. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dse_internal.h"

struct row {
    double y[PL_DSE_OBJECTIVES];
    size_t at;
};

static int by_coordinates(const void *pa, const void *pb)
{
    const struct row *a = pa, *b = pb;
    for (size_t k = 0; k < PL_DSE_OBJECTIVES; k++)
        if (a->y[k] != b->y[k])
            return a->y[k] < b->y[k] ? -1 : 1;
    return a->at < b->at ? -1 : a->at > b->at;
}

static int by_index(const void *pa, const void *pb)
{
    const size_t a = *(const size_t *)pa, b = *(const size_t *)pb;
    return a < b ? -1 : a > b;
}

static bool weakly_dominates(const double *a, const double *b, size_t m)
{
    for (size_t k = 0; k < m; k++)
        if (a[k] > b[k])
            return false;
    return true;
}

size_t stairs_find(const struct stairs *s, double x)
{
    size_t lo = 0, hi = s->n;
    while (lo < hi) {
        const size_t mid = (lo + hi) / 2;
        if (s->p[mid].x <= x)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

bool stairs_dominates(const struct stairs *s, double x, double y)
{
    const size_t i = stairs_find(s, x);
    return i && s->p[i - 1].y <= y;
}

size_t stairs_insert(struct stairs *s, double x, double y)
{
    size_t i = stairs_find(s, x), j;
    if (i && s->p[i - 1].x == x) /* same x, larger y: replaced */
        i--;
    for (j = i; j < s->n && s->p[j].y >= y; j++)
        ;
    if (j == i) {
        if (s->n == s->cap) {
            s->cap = s->cap ? 2 * s->cap : 64;
            s->p = realloc(s->p, s->cap * sizeof *s->p);
            if (!s->p)
                abort();
        }
        memmove(s->p + i + 1, s->p + i, (s->n - i) * sizeof *s->p);
        s->n++;
    } else {
        memmove(s->p + i + 1, s->p + j, (s->n - j) * sizeof *s->p);
        s->n -= j - i - 1;
    }
    s->p[i] = (struct stair){x, y};
    return i;
}

void *dse_alloc(size_t count, size_t size)
{
    void *p = calloc(count ? count : 1, size);
    if (!p)
        abort();
    return p;
}

static struct row *sorted_rows(const double *y, size_t n, size_t m)
{
    struct row *r = dse_alloc(n, sizeof *r);
    for (size_t i = 0; i < n; i++) {
        memcpy(r[i].y, y + i * m, m * sizeof *y);
        r[i].at = i;
    }
    qsort(r, n, sizeof *r, by_coordinates);
    return r;
}

/* In the order of sorted_rows nobody dominates an earlier row. */
size_t pl_pareto(const double *y, size_t n, size_t m, size_t *out)
{
    struct row *r = sorted_rows(y, n, m);
    struct stairs s = {0};
    size_t found = 0;
    for (size_t i = 0; i < n; i++) {
        bool out_of_it = false;
        if (m <= 3) {
            const double b = m > 1 ? r[i].y[1] : 0, c = m > 2 ? r[i].y[2] : 0;
            out_of_it = stairs_dominates(&s, b, c);
            if (!out_of_it)
                stairs_insert(&s, b, c);
        } else {
            for (size_t k = found; k-- > 0 && !out_of_it;)
                out_of_it = weakly_dominates(y + out[k] * m, r[i].y, m);
        }
        if (!out_of_it)
            out[found++] = r[i].at;
    }
    free(s.p);
    free(r);
    qsort(out, found, sizeof *out, by_index);
    return found;
}

void pl_pareto_ranks(const double *y, size_t n, size_t m, uint32_t *rank)
{
    size_t *left = dse_alloc(n, sizeof *left);
    for (size_t i = 0; i < n; i++)
        left[i] = i;
    for (uint32_t level = 0; n; level++) {
        size_t kept = 0;
        for (size_t i = 0; i < n; i++) {
            bool dominated = false;
            for (size_t j = 0; j < n && !dominated; j++) {
                const double *a = y + left[j] * m, *b = y + left[i] * m;
                dominated = weakly_dominates(a, b, m) && memcmp(a, b, m * sizeof *a) != 0;
            }
            rank[left[i]] = dominated ? UINT32_MAX : level;
        }
        for (size_t i = 0; i < n; i++)
            if (rank[left[i]] == UINT32_MAX)
                left[kept++] = left[i];
        n = kept;
    }
    free(left);
}

/* Rows sorted by their last objective; the area below the staircase of the first two grows. */
static double volume3(const double *y, size_t n, const double *ref)
{
    struct stairs s = {0};
    struct row *r = dse_alloc(n, sizeof *r);
    double area = 0, volume = 0;
    for (size_t i = 0; i < n; i++)
        r[i] = (struct row){{y[i * 3 + 2], y[i * 3], y[i * 3 + 1]}, i};
    qsort(r, n, sizeof *r, by_coordinates);
    for (size_t i = 0; i < n; i++) {
        const double a = r[i].y[1], b = r[i].y[2];
        if (!stairs_dominates(&s, a, b)) {
            size_t k = stairs_find(&s, a); /* steps [k, ..) reach below b until a lower one */
            double x = a, top = k ? s.p[k - 1].y : ref[1], gain = 0;
            for (; k < s.n && s.p[k].y >= b; k++) {
                gain += (s.p[k].x - x) * (top - b);
                x = s.p[k].x;
                top = s.p[k].y;
            }
            gain += ((k < s.n ? s.p[k].x : ref[0]) - x) * (top - b);
            area += gain;
            stairs_insert(&s, a, b);
        }
        volume += area * ((i + 1 < n ? r[i + 1].y[0] : ref[2]) - r[i].y[0]);
    }
    free(s.p);
    free(r);
    return volume;
}

static double volume2(const double *y, size_t n, const double *ref)
{
    struct row *r = sorted_rows(y, n, 2);
    double v = 0, top = ref[1];
    for (size_t i = 0; i < n; i++)
        if (r[i].y[1] < top) {
            v += (ref[0] - r[i].y[0]) * (top - r[i].y[1]);
            top = r[i].y[1];
        }
    free(r);
    return v;
}

static double volume(double *y, size_t n, size_t m, const double *ref);

/* WFG: each point adds its own box less what the later points dominate of it. */
static double volume_wfg(const double *y, size_t n, size_t m, const double *ref)
{
    double v = 0, *limited = dse_alloc(n * m, sizeof *limited);
    size_t *front = dse_alloc(n, sizeof *front);
    for (size_t i = 0; i < n; i++) {
        double own = 1;
        for (size_t k = 0; k < m; k++)
            own *= ref[k] - y[i * m + k];
        const size_t rest = n - i - 1;
        for (size_t j = 0; j < rest; j++)
            for (size_t k = 0; k < m; k++)
                limited[j * m + k] = fmax(y[i * m + k], y[(i + 1 + j) * m + k]);
        const size_t nf = pl_pareto(limited, rest, m, front);
        for (size_t j = 0; j < nf; j++)
            memmove(limited + j * m, limited + front[j] * m, m * sizeof *limited);
        v += own - volume(limited, nf, m, ref);
    }
    free(front);
    free(limited);
    return v;
}

/* Of points below ref. */
static double volume(double *y, size_t n, size_t m, const double *ref)
{
    if (!n)
        return 0;
    if (m == 2)
        return volume2(y, n, ref);
    if (m == 3)
        return volume3(y, n, ref);
    if (m > 3)
        return volume_wfg(y, n, m, ref);
    double least = y[0];
    for (size_t i = 1; i < n; i++)
        least = fmin(least, y[i]);
    return ref[0] - least;
}

size_t dse_front_below(const double *y, size_t n, size_t m, const double *ref, double *out)
{
    size_t inside = 0, *front = dse_alloc(n, sizeof *front);
    for (size_t i = 0; i < n; i++) {
        bool below = true;
        for (size_t k = 0; k < m; k++)
            below = below && y[i * m + k] < ref[k];
        if (below)
            memcpy(out + inside++ * m, y + i * m, m * sizeof *out);
    }
    const size_t nf = pl_pareto(out, inside, m, front);
    for (size_t i = 0; i < nf; i++)
        memmove(out + i * m, out + front[i] * m, m * sizeof *out);
    free(front);
    return nf;
}

double pl_hypervolume(const double *y, size_t n, size_t m, const double *ref)
{
    double *front = dse_alloc(n * m, sizeof *front);
    const size_t nf = dse_front_below(y, n, m, ref, front);
    const double v = volume(front, nf, m, ref);
    free(front);
    return v;
}
