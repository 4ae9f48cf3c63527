/* hessian.c - H = X^T X / rows of a layer's inputs, its damped factor, and the output error of a rounding. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <cblas.h>
#include <stdlib.h>

#include "ptq_internal.h"

enum { SUM_TILE = 512, SUM_ROWS = 4096, ROW_TILE = 256 };

enum pl_status pl_hessian_new(size_t k, struct pl_hessian **out, struct pl_diag *d)
{
    struct pl_hessian *h = ptq_scratch(1, sizeof *h);
    size_t n;
    h->k = k;
    h->a = pl_mul_overflows(k, k, &n) ? NULL : ptq_alloc(n, sizeof *h->a);
    h->diag = ptq_scratch(k, sizeof *h->diag);
    if (!h->a) {
        pl_hessian_free(h);
        return pl_fail(d, PL_ENOMEM, "no memory for a Hessian of %zu x %zu", k, k);
    }
    *out = h;
    return PL_OK;
}

void pl_hessian_free(struct pl_hessian *h)
{
    if (!h)
        return;
    free(h->a);
    free(h->diag);
    free(h);
}

/* One tile of the lower triangle. */
static void add_tile(struct pl_hessian *h, const float *x, size_t rows, size_t ldx, size_t i0, size_t j0, float *sum)
{
    const size_t ni = h->k - i0 < SUM_TILE ? h->k - i0 : SUM_TILE, nj = h->k - j0 < SUM_TILE ? h->k - j0 : SUM_TILE;
    if (i0 == j0)
        cblas_ssyrk(CblasRowMajor, CblasLower, CblasTrans, (int)ni, (int)rows, 1.0f, x + i0, (int)ldx, 0.0f, sum, SUM_TILE);
    else
        cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)ni, (int)nj, (int)rows, 1.0f, x + i0, (int)ldx, x + j0,
                    (int)ldx, 0.0f, sum, SUM_TILE);
    for (size_t i = 0; i < ni; i++) {
        double *to = h->a + (i0 + i) * h->k + j0;
        const size_t n = i0 == j0 ? i + 1 : nj;
        for (size_t j = 0; j < n; j++)
            to[j] += (double)sum[i * SUM_TILE + j];
    }
}

void pl_hessian_add(struct pl_hessian *h, const float *x, size_t rows, size_t ldx)
{
    const size_t tiles = (h->k + SUM_TILE - 1) / SUM_TILE, pairs = tiles * (tiles + 1) / 2;
    const int threads = ptq_blas_serial();
    for (size_t r = 0; r < rows; r += SUM_ROWS) {
        const size_t n = rows - r < SUM_ROWS ? rows - r : SUM_ROWS;
#pragma omp parallel
        {
            float *sum = ptq_scratch((size_t)SUM_TILE * SUM_TILE, sizeof *sum);
#pragma omp for schedule(dynamic, 1)
            for (size_t p = 0; p < pairs; p++) {
                size_t i = 0, j = p;
                while (j > i) { /* row i has i + 1 tiles */
                    j -= i + 1;
                    i++;
                }
                add_tile(h, x + r * ldx, n, ldx, i * SUM_TILE, j * SUM_TILE, sum);
            }
            free(sum);
        }
    }
    ptq_blas_restore(threads);
    h->rows += rows;
}

/* Upper triangle and diagonal from what lies below, with damping. */
static void mirror(struct pl_hessian *h, double add)
{
    const size_t k = h->k;
#pragma omp parallel for schedule(static, 16)
    for (size_t i = 0; i < k; i++) {
        h->a[i * k + i] = h->diag[i] + add;
        for (size_t j = i + 1; j < k; j++)
            h->a[i * k + j] = h->a[j * k + i];
    }
}

enum pl_status pl_hessian_factor(struct pl_hessian *h, double damp, double *used, struct pl_diag *d)
{
    const size_t k = h->k;
    double mean = 0;
    if (!h->rows)
        return pl_fail(d, PL_ERANGE, "no calibration inputs");
    for (size_t i = 0; i < k; i++) {
        for (size_t j = 0; j <= i; j++)
            h->a[i * k + j] /= (double)h->rows;
        h->diag[i] = h->a[i * k + i];
        mean += h->diag[i] / (double)k;
    }
    if (!isfinite(mean))
        return pl_fail(d, PL_ERANGE, "the calibration inputs hold a value that is not finite");
    for (int tries = 0; tries <= 5; tries++, damp *= 10) {
        h->added = mean > 0 ? damp * mean : 1;
        mirror(h, h->added);
        if (ptq_factor(h->a, k)) {
            h->factored = true;
            *used = damp;
            return PL_OK;
        }
    }
    return pl_fail(d, PL_ERANGE, "the Hessian of %zu inputs is not positive definite, with damping up to %g", k, damp / 10);
}

double pl_hessian_at(const struct pl_hessian *h, size_t i, size_t j)
{
    return i == j ? h->diag[i] : i > j ? h->a[i * h->k + j] : h->a[j * h->k + i];
}

/* Sum over rows of D of d_I H_IJ d_J for one tile of the lower triangle, the diagonal counted half. */
static double tile_error(const struct pl_hessian *h, const double *diff, size_t rows, size_t i0, size_t j0, double *tile, double *y)
{
    const size_t k = h->k, ni = k - i0 < PTQ_TILE ? k - i0 : PTQ_TILE, nj = k - j0 < PTQ_TILE ? k - j0 : PTQ_TILE;
    for (size_t i = 0; i < ni; i++)
        for (size_t j = 0; j < nj; j++)
            tile[i * PTQ_TILE + j] = i0 + i > j0 + j    ? h->a[(i0 + i) * k + j0 + j]
                                     : i0 + i == j0 + j ? 0.5 * h->diag[i0 + i]
                                                        : 0;
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)rows, (int)nj, (int)ni, 1.0, diff + i0, (int)k, tile, PTQ_TILE,
                0.0, y, PTQ_TILE);
    double sum = 0;
    for (size_t r = 0; r < rows; r++)
        for (size_t j = 0; j < nj; j++)
            sum += y[r * PTQ_TILE + j] * diff[r * k + j0 + j];
    return sum;
}

static double rows_error(const struct pl_hessian *h, const double *diff, size_t rows)
{
    const size_t tiles = (h->k + PTQ_TILE - 1) / PTQ_TILE;
    double *part = ptq_scratch(tiles, sizeof *part), sum = 0;
#pragma omp parallel
    {
        double *tile = ptq_scratch((size_t)PTQ_TILE * PTQ_TILE, sizeof *tile);
        double *y = ptq_scratch((size_t)ROW_TILE * PTQ_TILE, sizeof *y);
#pragma omp for schedule(dynamic, 1)
        for (size_t i = 0; i < tiles; i++)
            for (size_t j = 0; j <= i; j++)
                part[i] += tile_error(h, diff, rows, i * PTQ_TILE, j * PTQ_TILE, tile, y);
        free(tile);
        free(y);
    }
    for (size_t i = 0; i < tiles; i++)
        sum += 2 * part[i];
    free(part);
    return sum;
}

double pl_ptq_error(const struct pl_hessian *h, const float *w, const float *q, size_t n)
{
    const int threads = ptq_blas_serial();
    double *diff = ptq_scratch(ROW_TILE * h->k, sizeof *diff), sum = 0;
    for (size_t r = 0; r < n; r += ROW_TILE) {
        const size_t rows = n - r < ROW_TILE ? n - r : ROW_TILE;
        for (size_t i = 0; i < rows * h->k; i++)
            diff[i] = (double)w[r * h->k + i] - (q ? (double)q[r * h->k + i] : 0);
        sum += rows_error(h, diff, rows);
    }
    free(diff);
    ptq_blas_restore(threads);
    return sum;
}
