/* dse.h - design-space exploration: search spaces, samplers that propose trials, studies kept in SQLite.
 *
 * A point is double[space->n]: a position in [0, 1] for a real parameter, the index of the value for every other. All
 * objectives are minimised; samplers see them as modelled (a logarithmic objective as its log10).
 * A proposal is a pure function of the settings, the seed, the trial's number and the trials given: nothing else is kept,
 * so a study goes on after a kill as if it had not stopped.
 * Source: reference/perf-model.md 10; TPE: Ozaki et al. 2022; NSGA-II: Deb et al. 2002.
 * Depends on: base.h, dse_math.h, SQLite.   Threads: one object, one thread. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLENA_DSE_H
#define PLENA_DSE_H
#include "plena/base.h"
#include "plena/dse_math.h"

/* ---- space ---- */
enum { PL_DSE_PARAMS = 24, PL_DSE_CAPS = 4, PL_DSE_REASONS = 16 };
enum pl_dse_kind { PL_DSE_REAL, PL_DSE_ORDERED, PL_DSE_CATEGORY };
struct pl_dse_param {
    const char *name;
    enum pl_dse_kind kind;
    double lo, hi; /* REAL */
    bool log;      /* REAL: positions are equidistant in the logarithm */
    size_t n_value;
    const char *const *value; /* [n_value] spellings, not for REAL */
    const double *place;      /* ORDERED: [n_value] position in [0, 1]. CATEGORY: [n_value][n_feature] in [0, 1], or NULL */
    size_t n_feature;         /* CATEGORY: known properties of the values, beside being different */
};
struct pl_dse_space {
    size_t n;
    struct pl_dse_param p[PL_DSE_PARAMS];
    /* NULL: the point may be evaluated. Else which rule forbids it, a text that stays. NULL function: all may. */
    const char *(*why_not)(void *ctx, const double *x);
    void *ctx;
};
/* Number of points, feasible or not; 0 when infinite (or above 2^63). */
uint64_t pl_dse_space_size(const struct pl_dse_space *s);
/* Point `index` of a finite space: the last parameter turns fastest. */
void pl_dse_space_point(const struct pl_dse_space *s, uint64_t index, double *x);
double pl_dse_real(const struct pl_dse_param *p, double position); /* value of a REAL parameter */
/* Features and categories of a point as a GP sees them. */
void pl_dse_space_shape(const struct pl_dse_space *s, size_t *features, size_t *categories);
void pl_dse_space_encode(const struct pl_dse_space *s, const double *x, double *feature, uint32_t *category);

/* ---- trials ---- */
enum pl_dse_state {
    PL_DSE_RUNNING,
    PL_DSE_COMPLETE,
    PL_DSE_CAPPED, /* evaluated, but a cap is exceeded: slack > 0 */
    PL_DSE_FAILED  /* could not be evaluated: no objectives */
};
struct pl_dse_trial {
    uint64_t number;
    enum pl_dse_state state;
    double x[PL_DSE_PARAMS];
    double y[PL_DSE_OBJECTIVES];
    double slack[PL_DSE_CAPS]; /* (metric - cap) as modelled; <= 0: kept */
};
/* How often each rule rejected a point on the way to a proposal. */
struct pl_dse_tally {
    size_t n;
    struct {
        const char *reason;
        uint64_t count;
    } row[PL_DSE_REASONS];
};

/* ---- samplers ---- */
#define PL_DSE_SAMPLER_LIST(X)                                                                                         \
    X(BO, "bo", "Gaussian processes and exact expected hypervolume improvement")                                       \
    X(TPE, "tpe", "multi-objective tree-structured Parzen estimator")                                                  \
    X(NSGA2, "nsga2", "genetic algorithm, non-dominated sorting and crowding")                                         \
    X(RANDOM, "random", "uniform among the feasible points")                                                           \
    X(HALTON, "halton", "quasi-random among the feasible points")                                                      \
    X(EXHAUSTIVE, "exhaustive", "every feasible point of a finite space in order")
enum pl_dse_sampler_kind {
#define X(name, text, doc) PL_DSE_##name,
    PL_DSE_SAMPLER_LIST(X)
#undef X
        PL_DSE_SAMPLERS
};
const char *pl_dse_sampler_name(enum pl_dse_sampler_kind k);
/* Errors: PL_EUSAGE with the names there are. */
enum pl_status pl_dse_sampler_find(const char *name, enum pl_dse_sampler_kind *out, struct pl_diag *d);

struct pl_dse_search {
    const struct pl_dse_space *space;
    size_t m, n_cap;
    bool has_ref;
    double ref[PL_DSE_OBJECTIVES]; /* else 10 % beyond the worst of the initial trials */
    enum pl_dse_sampler_kind sampler;
    uint64_t seed;
    size_t initial;    /* BO, TPE: quasi-random trials at the start; 0: 2 (parameters + 1) */
    size_t population; /* NSGA2; 0: 20 */
    size_t n_fixed;    /* 0; else the points of the trials are given, best first, whatever the sampler */
    const double (*fixed)[PL_DSE_PARAMS];
};
struct pl_dse_sampler;
void pl_dse_sampler_new(const struct pl_dse_search *search, struct pl_dse_sampler **out);
void pl_dse_sampler_free(struct pl_dse_sampler *s);
/* The point of trial `number`, given trials t[n] with numbers below it; those that run count as pending. A finite space
 * gives no point twice; *exhausted: there is none left. Errors: PL_ERANGE when no feasible point can be found. */
enum pl_status pl_dse_propose(struct pl_dse_sampler *s, const struct pl_dse_trial *t, size_t n, uint64_t number, double *x,
                              struct pl_dse_tally *rejected, bool *exhausted, struct pl_diag *d);
/* Reference point of a study: search->ref, or from its first trials. False: not known yet. */
bool pl_dse_reference(const struct pl_dse_search *search, const struct pl_dse_trial *t, size_t n, double *ref);
/* Hypervolume of the trials that are complete. */
double pl_dse_volume(const struct pl_dse_trial *t, size_t n, size_t m, const double *ref);
/* How much each parameter decides an objective: main-effect share of the variance of a GP's mean, in [0, 1]; out: double
 * [space->n]. Needs 4 complete trials (PL_ERANGE). */
enum pl_status pl_dse_importance(const struct pl_dse_search *search, const struct pl_dse_trial *t, size_t n, size_t objective,
                                 double *out, struct pl_diag *d);
#endif
