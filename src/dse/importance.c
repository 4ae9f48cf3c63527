/* importance.c - which parameters decide an objective: main effects of a fitted Gaussian process. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sampler.h"

enum { BACKGROUND = 64, LEVELS = 16 };

/* Variance over the values of parameter k of the mean over random settings of the others. */
static double main_effect(struct pl_gp *gp, const struct pl_dse_space *sp, size_t k, double (*others)[PL_DSE_PARAMS])
{
    const size_t levels = sp->p[k].kind == PL_DSE_REAL ? LEVELS : sp->p[k].n_value;
    double sum = 0, sq = 0;
    for (size_t v = 0; v < levels; v++) {
        double mean = 0;
        for (size_t i = 0; i < BACKGROUND; i++) {
            double x[PL_DSE_PARAMS], f[PL_DSE_FEATURES], mu, sd;
            uint32_t cat[PL_DSE_CATEGORIES];
            memcpy(x, others[i], sizeof x);
            x[k] = sp->p[k].kind == PL_DSE_REAL ? ((double)v + 0.5) / LEVELS : (double)v;
            pl_dse_space_encode(sp, x, f, cat);
            pl_gp_predict(gp, f, cat, &mu, &sd, NULL, NULL);
            mean += mu / BACKGROUND;
        }
        sum += mean;
        sq += mean * mean;
    }
    return fmax(sq / (double)levels - sum / (double)levels * (sum / (double)levels), 0);
}

enum pl_status pl_dse_importance(const struct pl_dse_search *search, const struct pl_dse_trial *t, size_t n, size_t objective,
                                 double *out, struct pl_diag *d)
{
    const struct pl_dse_space *sp = search->space;
    size_t nf, nc, told = 0;
    pl_dse_space_shape(sp, &nf, &nc);
    double *x = dse_alloc(n * nf, sizeof *x), *y = dse_alloc(n, sizeof *y), *z = dse_alloc(n, sizeof *z), mean, scale, all = 0;
    double (*others)[PL_DSE_PARAMS] = dse_alloc(BACKGROUND, sizeof *others);
    uint32_t *cat = dse_alloc(n * nc, sizeof *cat);
    struct pl_gp_theta theta;
    struct pl_gp *gp = NULL;
    struct pl_rng r;
    for (size_t i = 0; i < n; i++)
        if (t[i].state == PL_DSE_COMPLETE || t[i].state == PL_DSE_CAPPED) {
            pl_dse_space_encode(sp, t[i].x, x + told * nf, cat + told * nc);
            y[told++] = t[i].y[objective];
        }
    const struct pl_gp_data data = {told, nf, nc, x, cat};
    pl_dse_stream(&r, search->seed, objective, STREAM_FIT);
    dse_standardise(y, told, z, &mean, &scale);
    enum pl_status s = told < 4 ? pl_fail(d, PL_ERANGE, "importance needs 4 complete trials, there are %zu", told)
                                : pl_gp_fit(&data, z, 4, &r, &theta, d);
    if (s == PL_OK)
        s = pl_gp_new(&data, y, &theta, &gp, d);
    for (size_t i = 0; i < BACKGROUND && s == PL_OK; i++) {
        pl_dse_halton(search->seed, i, sp->n, others[i]);
        for (size_t k = 0; k < sp->n; k++)
            others[i][k] = dse_from_unit(&sp->p[k], others[i][k]);
    }
    for (size_t k = 0; k < sp->n && s == PL_OK; k++)
        all += out[k] = main_effect(gp, sp, k, others);
    for (size_t k = 0; k < sp->n && s == PL_OK; k++)
        out[k] = all > 0 ? out[k] / all : 0;
    pl_gp_free(gp);
    free(cat);
    free(others);
    free(z);
    free(y);
    free(x);
    return s;
}
