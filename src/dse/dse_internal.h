/* dse_internal.h - shared inside dse. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DSE_INTERNAL_H
#define DSE_INTERNAL_H
#include "plena/dse.h"
#include "plena/dse_math.h"

/* Points with ascending x and descending y. */
struct stair {
    double x, y;
};
struct stairs {
    struct stair *p;
    size_t n, cap;
};
size_t stairs_find(const struct stairs *s, double x); /* steps with p.x <= x */
bool stairs_dominates(const struct stairs *s, double x, double y);
/* Of a point that is not dominated; returns its place. What it dominates is gone. */
size_t stairs_insert(struct stairs *s, double x, double y);

void *dse_alloc(size_t count, size_t size); /* zeroed; out of memory aborts: metadata */
/* The Pareto set of the points below ref, copied to out[n][m]; returns its size. */
size_t dse_front_below(const double *y, size_t n, size_t m, const double *ref, double *out);
/* z = (y - mean) / scale; scale 1 for a constant. */
void dse_standardise(const double *y, size_t n, double *z, double *mean, double *scale);
/* why_not of a study; ctx: its struct pl_dse_spec. */
const char *dse_spec_why_not(void *ctx, const double *x);
#endif
