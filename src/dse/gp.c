/* gp.c - Gaussian process with a Matern-5/2 kernel: MAP hyperparameters, posterior, gradients by the inputs. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dse_internal.h"

#define JITTER 1e-9 /* of the signal: what keeps close points from making the matrix singular */

/* What does not change while the hyperparameters are searched. */
struct fit {
    size_t n, d, c, pairs;
    const double *y;
    double *sq;     /* [pairs][d] squared feature differences, pairs i > j in row order */
    uint8_t *other; /* [pairs][c] 1 where the categories differ */
    double *k;      /* [n][n] */
    double *slope;  /* [pairs] kernel / r * derivative by r, see below */
    double *value;  /* [pairs] */
    double *alpha;  /* [n] */
};

static void fit_init(struct fit *f, const struct pl_gp_data *data, const double *y)
{
    const size_t n = data->n, d = data->d, c = data->c;
    *f = (struct fit){.n = n, .d = d, .c = c, .pairs = n * (n - 1) / 2, .y = y};
    assert(n >= 1 && d <= PL_DSE_FEATURES && c <= PL_DSE_CATEGORIES);
    f->sq = dse_alloc(f->pairs * d, sizeof *f->sq);
    f->other = dse_alloc(f->pairs * c, 1);
    f->k = dse_alloc(n * n, sizeof *f->k);
    f->slope = dse_alloc(f->pairs, sizeof *f->slope);
    f->value = dse_alloc(f->pairs, sizeof *f->value);
    f->alpha = dse_alloc(n, sizeof *f->alpha);
    size_t p = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++, p++) {
            for (size_t q = 0; q < d; q++) {
                const double diff = data->x[i * d + q] - data->x[j * d + q];
                f->sq[p * d + q] = diff * diff;
            }
            for (size_t q = 0; q < c; q++)
                f->other[p * c + q] = data->cat[i * c + q] != data->cat[j * c + q];
        }
}

static void fit_fini(struct fit *f)
{
    free(f->sq);
    free(f->other);
    free(f->k);
    free(f->slope);
    free(f->value);
    free(f->alpha);
}

/* The kernel is s (1 + r + r^2/3) exp(-r), r^2 = 5 sum (dx / l)^2, times the categories' factor; its derivative by
 * (dx / l)^2 of one feature is -(5/6) s (1 + r) exp(-r): `slope` holds s (1 + r) exp(-r). */
static double matern(double r2, double s, double *slope)
{
    const double r = sqrt(5 * r2), e = s * exp(-r);
    *slope = (1 + r) * e;
    return (1 + r + r * r / 3) * e;
}

static void fill(struct fit *f, const struct pl_gp_theta *t)
{
    double inv[PL_DSE_FEATURES], theta[PL_DSE_CATEGORIES];
    const double s = exp(t->log_signal);
    for (size_t q = 0; q < f->d; q++)
        inv[q] = exp(-2 * t->log_scale[q]);
    for (size_t q = 0; q < f->c; q++)
        theta[q] = exp(t->log_theta[q]);
    size_t p = 0;
    for (size_t i = 0; i < f->n; i++) {
        for (size_t j = 0; j < i; j++, p++) {
            double r2 = 0, far = 0;
            for (size_t q = 0; q < f->d; q++)
                r2 += f->sq[p * f->d + q] * inv[q];
            for (size_t q = 0; q < f->c; q++)
                far += f->other[p * f->c + q] * theta[q];
            f->value[p] = matern(r2, far > 0 ? s * exp(-far) : s, &f->slope[p]);
            f->k[j * f->n + i] = f->value[p]; /* column j, row i: the lower triangle */
        }
        f->k[i * f->n + i] = s * (1 + JITTER) + exp(t->log_noise);
    }
}

static double prior(double v, double mean, double sd, double *gradient)
{
    *gradient += (v - mean) / (sd * sd);
    return 0.5 * (v - mean) * (v - mean) / (sd * sd);
}

static double priors(const struct fit *f, const struct pl_gp_theta *t, double *g)
{
    const double mean = sqrt(2.0) + 0.5 * log((double)f->d);
    double sum = 0;
    for (size_t q = 0; q < f->d; q++)
        sum += prior(t->log_scale[q], mean, sqrt(3.0), &g[q]);
    for (size_t q = 0; q < f->c; q++)
        sum += prior(t->log_theta[q], -5, 2, &g[f->d + q]);
    sum += prior(t->log_signal, 0, 1.5, &g[f->d + f->c]);
    return sum + prior(t->log_noise, -14, 1, &g[f->d + f->c + 1]);
}

/* After dpotri k holds the inverse: d/dt = 1/2 tr((K^-1 - a a^T) dK/dt). */
static void add_gradient(const struct fit *f, const struct pl_gp_theta *t, double *g)
{
    const size_t n = f->n, d = f->d;
    double inv[PL_DSE_FEATURES], by_scale[PL_DSE_FEATURES] = {0}, by_theta[PL_DSE_CATEGORIES] = {0}, by_signal = 0, trace = 0;
    const double s = exp(t->log_signal), noise = exp(t->log_noise);
    size_t p = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < i; j++, p++) {
            const double w = f->k[j * n + i] - f->alpha[i] * f->alpha[j], ws = w * f->slope[p], wv = w * f->value[p];
            for (size_t q = 0; q < d; q++)
                by_scale[q] += ws * f->sq[p * d + q];
            for (size_t q = 0; q < f->c; q++)
                by_theta[q] -= f->other[p * f->c + q] * wv;
            by_signal += wv;
        }
        trace += f->k[i * n + i] - f->alpha[i] * f->alpha[i];
    }
    for (size_t q = 0; q < d; q++) {
        inv[q] = exp(-2 * t->log_scale[q]);
        g[q] += 5.0 / 3 * by_scale[q] * inv[q]; /* two triangles, and -2 from the square of the scale */
    }
    for (size_t q = 0; q < f->c; q++)
        g[d + q] += by_theta[q] * exp(t->log_theta[q]);
    g[d + f->c] += by_signal + 0.5 * trace * s * (1 + JITTER);
    g[d + f->c + 1] += 0.5 * trace * noise;
}

static double objective(struct fit *f, const struct pl_gp_theta *t, double *gradient)
{
    double g[PL_DSE_FEATURES + PL_DSE_CATEGORIES + 2] = {0}, sum;
    const lapack_int n = (lapack_int)f->n;
    fill(f, t);
    if (LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'L', n, f->k, n))
        return INFINITY;
    sum = priors(f, t, g);
    memcpy(f->alpha, f->y, f->n * sizeof *f->y);
    (void)LAPACKE_dpotrs_work(LAPACK_COL_MAJOR, 'L', n, 1, f->k, n, f->alpha, n);
    for (size_t i = 0; i < f->n; i++)
        sum += 0.5 * f->y[i] * f->alpha[i] + log(f->k[i * f->n + i]);
    if (gradient) {
        (void)LAPACKE_dpotri_work(LAPACK_COL_MAJOR, 'L', n, f->k, n);
        add_gradient(f, t, g);
        memcpy(gradient, g, (f->d + f->c + 2) * sizeof *g);
    }
    return isfinite(sum) ? sum : INFINITY;
}

double pl_gp_objective(const struct pl_gp_data *data, const double *y, const struct pl_gp_theta *t, double *gradient)
{
    struct fit f;
    fit_init(&f, data, y);
    const double v = objective(&f, t, gradient);
    fit_fini(&f);
    return v;
}

/* The vector the minimiser sees: scales, thetas, signal, noise. */
static void to_theta(const struct fit *f, const double *v, struct pl_gp_theta *t)
{
    memcpy(t->log_scale, v, f->d * sizeof *v);
    memcpy(t->log_theta, v + f->d, f->c * sizeof *v);
    t->log_signal = v[f->d + f->c];
    t->log_noise = v[f->d + f->c + 1];
}

static double fit_at(void *ctx, const double *x, double *g)
{
    struct pl_gp_theta t;
    to_theta(ctx, x, &t);
    return objective(ctx, &t, g);
}

static void bounds(const struct fit *f, double *lo, double *hi)
{
    const size_t n = f->d + f->c + 2;
    for (size_t i = 0; i < n; i++) {
        lo[i] = i < f->d ? -4 : i + 1 == n ? -20 : -10;
        hi[i] = i < f->d ? 6 : i + 1 == n ? -2 : 5;
    }
}

enum pl_status pl_gp_fit(const struct pl_gp_data *data, const double *y, unsigned starts, struct pl_rng *r, struct pl_gp_theta *out,
                         struct pl_diag *d)
{
    struct fit f;
    double best = INFINITY, v[64], lo[64], hi[64];
    fit_init(&f, data, y);
    const size_t n = f.d + f.c + 2;
    assert(n <= 64 && data->n >= 2);
    bounds(&f, lo, hi);
    for (unsigned s = 0; s < starts; s++) {
        const double mean = sqrt(2.0) + 0.5 * log((double)f.d);
        for (size_t i = 0; i < n; i++)
            v[i] = i < f.d ? (s ? fmin(mean - 1.5 + pl_rng_normal(r), hi[i]) : -0.7) : i + 1 == n ? -14 : i + 2 == n ? 0 : -5;
        const double at = pl_dse_minimise(fit_at, &f, n, lo, hi, 60, v);
        if (at < best) {
            best = at;
            to_theta(&f, v, out);
        }
    }
    fit_fini(&f);
    return best < INFINITY ? PL_OK : pl_fail(d, PL_ERANGE, "Gaussian process: no hyperparameters make the matrix positive definite");
}

/* ---- posterior ---- */
struct pl_gp {
    size_t n, cap, d, c;
    double *x;        /* [cap][d] */
    uint32_t *cat;    /* [cap][c] */
    double *inverse;  /* [cap][cap] of the Cholesky factor: row i holds i + 1 values */
    double *alpha;    /* [cap] */
    double *k, *v, *slope, *w; /* [cap] work */
    double mean, scale;        /* of y */
    double inv_scale[PL_DSE_FEATURES], theta[PL_DSE_CATEGORIES], signal, noise;
};

static struct pl_gp *gp_alloc(const struct pl_gp_data *data, const struct pl_gp_theta *t)
{
    struct pl_gp *g = dse_alloc(1, sizeof *g);
    *g = (struct pl_gp){.n = data->n, .cap = data->n + 64, .d = data->d, .c = data->c, .signal = exp(t->log_signal)};
    g->noise = exp(t->log_noise) + JITTER * g->signal;
    g->x = dse_alloc(g->cap * g->d, sizeof *g->x);
    g->cat = dse_alloc(g->cap * g->c, sizeof *g->cat);
    g->inverse = dse_alloc(g->cap * g->cap, sizeof *g->inverse);
    g->alpha = dse_alloc(5 * g->cap, sizeof *g->alpha);
    g->k = g->alpha + g->cap;
    g->v = g->k + g->cap;
    g->slope = g->v + g->cap;
    g->w = g->slope + g->cap;
    memcpy(g->x, data->x, g->n * g->d * sizeof *g->x);
    if (g->c)
        memcpy(g->cat, data->cat, g->n * g->c * sizeof *g->cat);
    for (size_t q = 0; q < g->d; q++)
        g->inv_scale[q] = exp(-2 * t->log_scale[q]);
    for (size_t q = 0; q < g->c; q++)
        g->theta[q] = exp(t->log_theta[q]);
    return g;
}

void pl_gp_free(struct pl_gp *g)
{
    if (!g)
        return;
    free(g->x);
    free(g->cat);
    free(g->inverse);
    free(g->alpha);
    free(g);
}

enum pl_status pl_gp_new(const struct pl_gp_data *data, const double *y, const struct pl_gp_theta *t, struct pl_gp **out,
                         struct pl_diag *d)
{
    struct pl_gp *g = gp_alloc(data, t);
    struct fit f;
    const size_t n = g->n;
    const lapack_int ln = (lapack_int)n;
    double *z = dse_alloc(n, sizeof *z);
    dse_standardise(y, n, z, &g->mean, &g->scale);
    fit_init(&f, data, z);
    fill(&f, t);
    *out = NULL;
    enum pl_status s = PL_OK;
    if (LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'L', ln, f.k, ln)) {
        s = pl_fail(d, PL_ERANGE, "Gaussian process: the kernel matrix of %zu points is not positive definite", n);
    } else {
        memcpy(g->alpha, z, n * sizeof *z);
        (void)LAPACKE_dpotrs_work(LAPACK_COL_MAJOR, 'L', ln, 1, f.k, ln, g->alpha, ln);
        (void)LAPACKE_dtrtri_work(LAPACK_COL_MAJOR, 'L', 'N', ln, f.k, ln);
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j <= i; j++)
                g->inverse[i * g->cap + j] = f.k[j * n + i];
    }
    fit_fini(&f);
    free(z);
    if (s != PL_OK)
        pl_gp_free(g);
    else
        *out = g;
    return s;
}

/* k, slope: covariance with the points; v = L^-1 k. Returns the mean of standardised y; *var that of the function. */
static double project(struct pl_gp *g, const double *x, const uint32_t *cat, double *var)
{
    double mean = 0, used = 0;
    for (size_t i = 0; i < g->n; i++) {
        double r2 = 0, far = 0;
        for (size_t q = 0; q < g->d; q++) {
            const double diff = x[q] - g->x[i * g->d + q];
            r2 += diff * diff * g->inv_scale[q];
        }
        for (size_t q = 0; q < g->c; q++)
            far += cat[q] != g->cat[i * g->c + q] ? g->theta[q] : 0;
        g->k[i] = matern(r2, far > 0 ? g->signal * exp(-far) : g->signal, &g->slope[i]);
        mean += g->k[i] * g->alpha[i];
    }
    for (size_t i = 0; i < g->n; i++) {
        const double *row = g->inverse + i * g->cap;
        double s[4] = {0};
        size_t j = 0;
        for (; j + 4 <= i + 1; j += 4)
            for (size_t u = 0; u < 4; u++)
                s[u] += row[j + u] * g->k[j + u];
        for (; j <= i; j++)
            s[0] += row[j] * g->k[j];
        g->v[i] = s[0] + s[1] + s[2] + s[3];
        used += g->v[i] * g->v[i];
    }
    *var = fmax(g->signal - used, 1e-12 * g->signal);
    return mean;
}

void pl_gp_predict(struct pl_gp *g, const double *x, const uint32_t *cat, double *mean, double *sd, double *d_mean, double *d_sd)
{
    double var;
    *mean = g->mean + g->scale * project(g, x, cat, &var);
    *sd = g->scale * sqrt(var);
    if (!d_mean)
        return;
    memset(g->w, 0, g->n * sizeof *g->w); /* w = K^-1 k */
    for (size_t i = 0; i < g->n; i++) {
        const double *row = g->inverse + i * g->cap, v = g->v[i];
        for (size_t j = 0; j <= i; j++)
            g->w[j] += row[j] * v;
    }
    for (size_t q = 0; q < g->d; q++) {
        double dm = 0, dv = 0;
        for (size_t i = 0; i < g->n; i++) {
            const double dk = -5.0 / 3 * g->slope[i] * (x[q] - g->x[i * g->d + q]) * g->inv_scale[q];
            dm += dk * g->alpha[i];
            dv -= 2 * g->w[i] * dk;
        }
        d_mean[q] = g->scale * dm;
        d_sd[q] = g->scale * dv / (2 * sqrt(var));
    }
}

enum pl_status pl_gp_believe(struct pl_gp *g, const double *x, const uint32_t *cat, struct pl_diag *d)
{
    double var;
    if (g->n == g->cap)
        return pl_fail(d, PL_ERANGE, "Gaussian process: more than %zu pending points", g->cap);
    (void)project(g, x, cat, &var);
    const size_t n = g->n;
    const double last = sqrt(var + g->noise);
    double *row = g->inverse + n * g->cap;
    memset(row, 0, (n + 1) * sizeof *row);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j <= i; j++)
            row[j] -= g->v[i] * g->inverse[i * g->cap + j] / last;
    row[n] = 1 / last;
    g->alpha[n] = 0; /* y is what was predicted */
    memcpy(g->x + n * g->d, x, g->d * sizeof *x);
    if (g->c)
        memcpy(g->cat + n * g->c, cat, g->c * sizeof *cat);
    g->n++;
    return PL_OK;
}

void dse_standardise(const double *y, size_t n, double *z, double *mean, double *scale)
{
    double m = 0, v = 0;
    for (size_t i = 0; i < n; i++)
        m += y[i];
    m /= (double)n;
    for (size_t i = 0; i < n; i++)
        v += (y[i] - m) * (y[i] - m);
    v = sqrt(v / (double)n);
    *mean = m;
    *scale = v > 1e-12 * (1 + fabs(m)) ? v : 1;
    for (size_t i = 0; i < n; i++)
        z[i] = (y[i] - m) / *scale;
}
