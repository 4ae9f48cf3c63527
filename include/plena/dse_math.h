/* dse_math.h - mathematics of multi-objective search: Pareto sets, hypervolume, attainment, Gaussian processes, EHVI.
 *
 * All objectives are minimised. A set of n points with m objectives is double[n][m], row after row. NaN is not allowed.
 * Source: reference/perf-model.md 10.4; EHVI as the sum over disjoint boxes; WFG for the hypervolume of m >= 4 (While et
 * al. 2012); L-BFGS (Nocedal 1980).   Depends on: base.h.   Threads: no global state; one object, one thread. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLENA_DSE_MATH_H
#define PLENA_DSE_MATH_H
#include "plena/base.h"

enum { PL_DSE_OBJECTIVES = 6, PL_DSE_FEATURES = 48, PL_DSE_CATEGORIES = 16 };

/* An independent random stream for each (seed, trial, purpose). */
void pl_dse_stream(struct pl_rng *r, uint64_t seed, uint64_t trial, uint64_t purpose);
/* Point `index` of a Halton sequence in d <= 48 dimensions, its digits permuted by `seed`; coordinates in [0, 1). */
void pl_dse_halton(uint64_t seed, uint64_t index, size_t d, double *x);

/* ---- Pareto sets ---- */
/* Indices, ascending, of the points no other point dominates; of equal points the first. out: size_t[n]. O(n log n) for
 * m <= 3, else O(n * front). */
size_t pl_pareto(const double *y, size_t n, size_t m, size_t *out);
/* Rank of every point: 0 the Pareto set, 1 that of the rest, ... rank: uint32_t[n]. */
void pl_pareto_ranks(const double *y, size_t n, size_t m, uint32_t *rank);
/* Volume between the points and `ref`, exact but for rounding; points not below ref in each objective count nothing. */
double pl_hypervolume(const double *y, size_t n, size_t m, const double *ref);

/* ---- empirical attainment ---- */
/* Of `runs` runs with two objectives, run r the points y[first[r]..first[r+1]): the corner points of the surface that at
 * least `need` runs attain, by ascending first objective; out: double[2 * points]. Returns their number. */
size_t pl_attainment(const double *y, const size_t *first, size_t runs, size_t need, double *out);

/* ---- expected hypervolume improvement ---- */
/* Disjoint boxes (lo, hi] that cover what lies below ref and is not dominated. lo may be -INFINITY. */
struct pl_boxes {
    size_t m, n, cap;
    double *lo, *hi; /* [n][m] */
    /* For speed: the different bounds of each objective, and each box as indices into them. */
    double *coord[PL_DSE_OBJECTIVES];
    size_t n_coord[PL_DSE_OBJECTIVES];
    uint32_t *at_lo, *at_hi; /* [n][m] */
};
void pl_boxes_init(struct pl_boxes *b, const double *y, size_t n, size_t m, const double *ref);
void pl_boxes_fini(struct pl_boxes *b);
/* E[hypervolume gained] by a point with independent normal objectives mu, sd (sd > 0). d_mu, d_sd: double[m], the
 * gradient, or NULL both. Exact for every m. */
double pl_ehvi(const struct pl_boxes *b, const double *mu, const double *sd, double *d_mu, double *d_sd);

/* ---- minimisation within bounds ---- */
/* f at x[n]; fills g[n]. INFINITY: outside of what can be computed. */
typedef double pl_dse_fn(void *ctx, const double *x, double *g);
/* From x, at most `iterations` of projected L-BFGS; x holds the best point after. Returns f there. n <= 64. */
double pl_dse_minimise(pl_dse_fn *f, void *ctx, size_t n, const double *lo, const double *hi, unsigned iterations, double *x);

/* ---- Gaussian process ---- */
/* Matern-5/2 with a length scale for each feature, times exp(-theta) for each category that differs. The prior of the log
 * length scales is N(sqrt 2 + ln(d)/2, 3). */
struct pl_gp_data {
    size_t n, d, c;
    const double *x;     /* [n][d] features in [0, 1] */
    const uint32_t *cat; /* [n][c] */
};
struct pl_gp_theta {
    double log_scale[PL_DSE_FEATURES], log_theta[PL_DSE_CATEGORIES], log_signal, log_noise;
};
struct pl_gp;
/* The MAP hyperparameters of standardised y[n], n >= 2, of `starts` starts. */
enum pl_status pl_gp_fit(const struct pl_gp_data *data, const double *y, unsigned starts, struct pl_rng *r, struct pl_gp_theta *out,
                         struct pl_diag *d);
/* Minus the log posterior of the hyperparameters up to a constant, and its gradient in the order of the struct, d + c + 2
 * values (NULL: none). INFINITY if the matrix is not positive definite. y is used as it is. */
double pl_gp_objective(const struct pl_gp_data *data, const double *y, const struct pl_gp_theta *t, double *gradient);
/* The posterior given theta; keeps copies. y is standardised inside. PL_ERANGE: matrix not positive definite. */
enum pl_status pl_gp_new(const struct pl_gp_data *data, const double *y, const struct pl_gp_theta *t, struct pl_gp **out,
                         struct pl_diag *d);
void pl_gp_free(struct pl_gp *g);
/* Mean and standard deviation (of the function, without noise) at x[d], cat[c]. d_mean, d_sd: double[d] or NULL both. */
void pl_gp_predict(struct pl_gp *g, const double *x, const uint32_t *cat, double *mean, double *sd, double *d_mean, double *d_sd);
/* Add the point with its predicted mean (Kriging believer): the mean stays, the deviation shrinks. */
enum pl_status pl_gp_believe(struct pl_gp *g, const double *x, const uint32_t *cat, struct pl_diag *d);
#endif
