/* attainment.c - empirical attainment surfaces of two objectives. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>

#include "dse_internal.h"

struct event {
    double x, y;
    size_t run;
};

static int by_x(const void *pa, const void *pb)
{
    const struct event *a = pa, *b = pb;
    return a->x != b->x ? (a->x < b->x ? -1 : 1) : a->y != b->y ? (a->y < b->y ? -1 : 1) : a->run < b->run ? -1 : a->run > b->run;
}

static int by_value(const void *pa, const void *pb)
{
    const double a = *(const double *)pa, b = *(const double *)pb;
    return a < b ? -1 : a > b;
}

/* From left to right each run keeps its lowest y so far; `need` runs attain (x, y) when the need-th lowest is <= y. */
size_t pl_attainment(const double *y, const size_t *first, size_t runs, size_t need, double *out)
{
    const size_t n = first[runs] - first[0];
    struct event *e = dse_alloc(n, sizeof *e);
    double *best = dse_alloc(runs, sizeof *best), *sorted = dse_alloc(runs, sizeof *sorted);
    size_t found = 0;
    for (size_t r = 0, i = 0; r < runs; r++) {
        best[r] = INFINITY;
        for (size_t k = first[r]; k < first[r + 1]; k++)
            e[i++] = (struct event){y[2 * k], y[2 * k + 1], r};
    }
    qsort(e, n, sizeof *e, by_x);
    double level = INFINITY;
    for (size_t i = 0; i < n; i++) {
        best[e[i].run] = fmin(best[e[i].run], e[i].y);
        if (i + 1 < n && e[i + 1].x == e[i].x)
            continue;
        for (size_t r = 0; r < runs; r++)
            sorted[r] = best[r];
        qsort(sorted, runs, sizeof *sorted, by_value);
        if (need >= 1 && need <= runs && sorted[need - 1] < level) {
            level = sorted[need - 1];
            out[2 * found] = e[i].x;
            out[2 * found + 1] = level;
            found++;
        }
    }
    free(sorted);
    free(best);
    free(e);
    return found;
}
