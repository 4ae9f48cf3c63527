/* dse_problems.h - the problems samplers are measured on, and one run of a sampler. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DSE_PROBLEMS_H
#define DSE_PROBLEMS_H
#include "plena/dse.h"

struct dse_problem {
    const char *name;
    size_t d, m;
    double ref[3];
    double most;    /* largest hypervolume there is; 0: not known */
    double wanted;  /* mean after 50 evaluations that reference/perf-model.md 10.6 asks of bo; 0: none */
    double proto;   /* what the numpy prototype reached */
    struct dse_listed {
        double mean, sd;
    } random, nsga2, tpe; /* python3-optuna 3.1.0 there; for tpe the better of its two settings */
    void (*eval)(const double *x, double *y); /* x: positions or indices */
};
extern const struct dse_problem dse_problems[];
extern const size_t dse_problem_count;

/* Space of a problem; lives as long as the program. */
const struct pl_dse_space *dse_problem_space(const struct dse_problem *p);
/* Hypervolume after n evaluations. history: double[n], the volume after each, or NULL. */
enum pl_status dse_problem_run(const struct dse_problem *p, enum pl_dse_sampler_kind kind, uint64_t seed, size_t n, size_t batch,
                               double *volume, double *history, struct pl_diag *d);
#endif
