/* dse.c - bench dse: hypervolume after 50 evaluations of each sampler, beside listed figures; the rate of a sweep. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "dse_problems.h"

enum { EVALUATIONS = 50 };
static const enum pl_dse_sampler_kind measured[] = {PL_DSE_BO, PL_DSE_TPE, PL_DSE_NSGA2, PL_DSE_RANDOM};

struct spread {
    double mean, sd, seconds; /* seconds: wall, of a run */
};

static enum pl_status run_seeds(const struct dse_problem *p, enum pl_dse_sampler_kind kind, const struct bench_options *o,
                                struct spread *out, struct pl_diag *d)
{
    const uint64_t seeds = o->seeds;
    double *volume = calloc(seeds, sizeof *volume);
    enum pl_status st = PL_OK;
    const uint64_t start = pl_clock_ns();
    if (!volume)
        return pl_fail(d, PL_ENOMEM, "no memory for %llu seeds", (unsigned long long)seeds);
#pragma omp parallel for schedule(dynamic, 1)
    for (uint64_t s = 0; s < seeds; s++) {
        struct pl_diag own;
        const enum pl_status one = dse_problem_run(p, kind, o->first_seed + s, EVALUATIONS, 1, &volume[s], NULL, &own);
#pragma omp critical
        if (one != PL_OK && st == PL_OK) {
            st = one;
            *d = own;
        }
    }
    *out = (struct spread){0, 0, (double)(pl_clock_ns() - start) * 1e-9 / (double)seeds};
    for (uint64_t s = 0; s < seeds; s++)
        out->mean += volume[s] / (double)seeds;
    for (uint64_t s = 0; s < seeds; s++)
        out->sd += (volume[s] - out->mean) * (volume[s] - out->mean) / (double)seeds;
    out->sd = sqrt(out->sd);
    free(volume);
    return st;
}

static void figure(const struct bench_options *o, const char *problem, const char *of, const char *what, double v)
{
    char name[96];
    snprintf(name, sizeof name, "dse_%s_%s_%s", problem, of, what);
    bench_figure(o, name, v, "hypervolume");
}

static void listed(const struct bench_options *o, const struct dse_problem *p, const struct spread *own)
{
    const struct {
        const char *name;
        const struct dse_listed *l;
    } of[] = {{"listed_random", &p->random}, {"listed_nsga2", &p->nsga2}, {"listed_tpe", &p->tpe}};
    for (size_t i = 0; i < PL_COUNT(of); i++) {
        figure(o, p->name, of[i].name, "mean", of[i].l->mean);
        figure(o, p->name, of[i].name, "sd", of[i].l->sd);
    }
    figure(o, p->name, "listed_gp_ehvi", "mean", p->proto);
    if (p->most > 0)
        figure(o, p->name, "largest", "volume", p->most);
    if (p->wanted > 0)
        figure(o, p->name, "wanted", "mean", p->wanted);
    figure(o, p->name, "bo", "above_best_listed", own->mean - p->proto);
}

/* A million points with three objectives to their Pareto set. */
static enum pl_status sweep(const struct bench_options *o)
{
    enum { POINTS = 1000000 };
    const struct dse_problem *p = &dse_problems[dse_problem_count - 1];
    const struct pl_dse_space *sp = dse_problem_space(p);
    double *y = malloc(POINTS * 3 * sizeof *y);
    size_t *front = malloc(POINTS * sizeof *front), n = 0;
    const uint64_t size = pl_dse_space_size(sp), start = pl_clock_ns();
    if (!y || !front)
        abort();
    for (uint64_t i = 0; n < POINTS; i++) { /* a stride coprime to the size visits every point */
        double x[PL_DSE_PARAMS];
        pl_dse_space_point(sp, i * 7919 % size, x);
        if (!sp->why_not(sp->ctx, x))
            p->eval(x, y + 3 * n++);
    }
    const uint64_t evaluated = pl_clock_ns();
    const size_t kept = pl_pareto(y, n, 3, front);
    bench_figure(o, "dse_sweep_evaluate_seconds", (double)(evaluated - start) * 1e-9, "s");
    bench_figure(o, "dse_sweep_pareto_seconds", (double)(pl_clock_ns() - evaluated) * 1e-9, "s");
    bench_figure(o, "dse_sweep_points", POINTS, "points");
    bench_figure(o, "dse_sweep_pareto_points", (double)kept, "points");
    bench_figure(o, "dse_sweep_hypervolume", pl_hypervolume(y, n, 3, p->ref), "hypervolume");
    free(front);
    free(y);
    return PL_OK;
}

enum pl_status bench_dse(const struct bench_options *o, struct pl_diag *d)
{
    openblas_set_num_threads(1);
    bench_figure(o, "dse_seeds", (double)o->seeds, "runs");
    bench_figure(o, "dse_first_seed", (double)o->first_seed, "seed");
    for (size_t i = 0; i < dse_problem_count; i++) {
        const struct dse_problem *p = &dse_problems[i];
        struct spread s, bo = {0};
        for (size_t k = 0; k < PL_COUNT(measured); k++) {
            const char *name = pl_dse_sampler_name(measured[k]);
            PL_TRY(run_seeds(p, measured[k], o, &s, d));
            figure(o, p->name, name, "mean", s.mean);
            figure(o, p->name, name, "sd", s.sd);
            if (measured[k] == PL_DSE_BO) {
                bo = s;
                char of[64];
                snprintf(of, sizeof of, "dse_%s_bo_seconds", p->name);
                bench_figure(o, of, s.seconds, "s/run");
            }
        }
        listed(o, p, &bo);
    }
    return sweep(o);
}
