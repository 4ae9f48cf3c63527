/* sampler.h - shared by the samplers. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DSE_SAMPLER_H
#define DSE_SAMPLER_H
#include "dse_internal.h"

enum { STREAM_RANDOM = 1, STREAM_FIT, STREAM_SEARCH, STREAM_TPE, STREAM_NSGA2 };

struct pl_dse_sampler {
    struct pl_dse_search of;
    uint64_t size;                    /* of the space; 0: infinite */
    uint64_t next_number, next_index; /* EXHAUSTIVE: the next feasible trial starts here */
    /* BO: hyperparameters of the first `fitted` told trials, so that not every proposal of a long study fits anew */
    size_t fitted;
    struct pl_gp_theta theta[PL_DSE_OBJECTIVES + PL_DSE_CAPS];
};
/* The trials given, sorted into lists of indices. */
struct history {
    const struct pl_dse_trial *t;
    size_t n, n_y, n_pending;
    size_t *with_y, *pending;
};

/* A feasible point nobody has: uniform. */
enum pl_status dse_random(struct pl_dse_sampler *s, const struct history *h, struct pl_rng *r, double *x, struct pl_dse_tally *tally,
                          bool *exhausted, struct pl_diag *d);
typedef enum pl_status dse_proposer(struct pl_dse_sampler *s, const struct history *h, uint64_t number, double *x,
                                    struct pl_dse_tally *tally, bool *exhausted, struct pl_diag *d);
dse_proposer dse_propose_bo, dse_propose_tpe, dse_propose_nsga2;

/* space.c */
bool dse_same(const struct pl_dse_space *s, const double *a, const double *b);
bool dse_is_seen(const struct pl_dse_space *s, const struct pl_dse_trial *t, size_t n, const double *x);
bool dse_is_feasible(const struct pl_dse_space *s, const double *x, struct pl_dse_tally *tally);
double dse_from_unit(const struct pl_dse_param *p, double u);
void dse_draw(const struct pl_dse_space *s, struct pl_rng *r, double *x);
#endif
