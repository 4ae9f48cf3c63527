/* factor.c - the triangular factor GPTQ works with, in place in the upper triangle.
 *
 * H = R R^T with R upper (a Cholesky factorisation from the last column to the first), U = R^-1, so H^-1 = U^T U: a third
 * fewer operations than Cholesky, inverse and Cholesky again, and H keeps the triangle below. Tiles are fixed, so is the
 * order of every sum. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <cblas.h>
#include <stdlib.h>

#include "ptq_internal.h"

struct tiles {
    double *a;
    size_t k, n; /* n tiles */
};

static double *tile(const struct tiles *t, size_t i, size_t j)
{
    return t->a + i * PTQ_TILE * t->k + j * PTQ_TILE;
}

static int edge(const struct tiles *t, size_t i)
{
    return (int)(t->k - i * PTQ_TILE < PTQ_TILE ? t->k - i * PTQ_TILE : PTQ_TILE);
}

/* One diagonal tile: H = R R^T. */
static bool factor_tile(double *a, size_t n, size_t ld)
{
    for (size_t j = n; j-- > 0;) {
        double *rj = a + j * ld;
        double s = rj[j];
        for (size_t m = j + 1; m < n; m++)
            s -= rj[m] * rj[m];
        if (!(s > 0) || !isfinite(s))
            return false;
        rj[j] = sqrt(s);
        for (size_t i = 0; i < j; i++) {
            double *ri = a + i * ld, x = ri[j];
            for (size_t m = j + 1; m < n; m++)
                x -= ri[m] * rj[m];
            ri[j] = x / rj[j];
        }
    }
    return true;
}

/* One diagonal tile: R becomes R^-1. */
static void invert_tile(double *a, size_t n, size_t ld)
{
    for (size_t j = 0; j < n; j++) {
        const double inv = 1.0 / a[j * ld + j];
        for (size_t i = 0; i < j; i++) { /* column j: -U[0..j) R[0..j)[j] / R[j][j], from the top down */
            double s = 0;
            for (size_t m = i; m < j; m++)
                s += a[i * ld + m] * a[m * ld + j];
            a[i * ld + j] = -s * inv;
        }
        a[j * ld + j] = inv;
    }
}

/* The tiles left of and above tile k: subtract what column k of R explains. */
static void update(const struct tiles *t, size_t k)
{
    const int ld = (int)t->k, kk = edge(t, k);
    const size_t pairs = k * (k + 1) / 2;
#pragma omp parallel for schedule(dynamic, 1)
    for (size_t p = 0; p < pairs; p++) {
        size_t i = 0, j = p;
        while (j >= k - i) { /* row i has k - i tiles */
            j -= k - i;
            i++;
        }
        j += i;
        if (i == j)
            cblas_dsyrk(CblasRowMajor, CblasUpper, CblasNoTrans, edge(t, i), kk, -1.0, tile(t, i, k), ld, 1.0, tile(t, i, i), ld);
        else
            cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, edge(t, i), edge(t, j), kk, -1.0, tile(t, i, k), ld,
                        tile(t, j, k), ld, 1.0, tile(t, i, j), ld);
    }
}

static bool cholesky(const struct tiles *t)
{
    const int ld = (int)t->k;
    for (size_t k = t->n; k-- > 0;) {
        if (!factor_tile(tile(t, k, k), (size_t)edge(t, k), t->k))
            return false;
#pragma omp parallel for schedule(dynamic, 1)
        for (size_t i = 0; i < k; i++)
            cblas_dtrsm(CblasRowMajor, CblasRight, CblasUpper, CblasTrans, CblasNonUnit, edge(t, i), edge(t, k), 1.0,
                        tile(t, k, k), ld, tile(t, i, k), ld);
        update(t, k);
    }
    return true;
}

/* R^-1, column of tiles by column: U_ij = -(sum of U_im R_mj, i <= m < j) U_jj. */
static bool invert(const struct tiles *t)
{
    const int ld = (int)t->k;
    double *old = ptq_alloc(t->k * PTQ_TILE, sizeof *old); /* R's column, which the products read while U's is written */
    if (!old)
        return false;
    for (size_t j = 0; j < t->n; j++) {
        const int w = edge(t, j);
        invert_tile(tile(t, j, j), (size_t)w, t->k);
        for (size_t r = 0; r < j * PTQ_TILE; r++)
            memcpy(old + r * PTQ_TILE, t->a + r * t->k + j * PTQ_TILE, (size_t)w * sizeof *old);
#pragma omp parallel for schedule(dynamic, 1)
        for (size_t i = 0; i < j; i++) {
            double *out = tile(t, i, j);
            cblas_dtrmm(CblasRowMajor, CblasLeft, CblasUpper, CblasNoTrans, CblasNonUnit, PTQ_TILE, w, 1.0, tile(t, i, i), ld,
                        out, ld);
            if (i + 1 < j)
                cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, PTQ_TILE, w, (int)((j - i - 1) * PTQ_TILE), 1.0,
                            tile(t, i, i + 1), ld, old + (i + 1) * PTQ_TILE * PTQ_TILE, PTQ_TILE, 1.0, out, ld);
            cblas_dtrmm(CblasRowMajor, CblasRight, CblasUpper, CblasNoTrans, CblasNonUnit, PTQ_TILE, w, -1.0, tile(t, j, j), ld,
                        out, ld);
        }
    }
    free(old);
    return true;
}

bool ptq_factor(double *a, size_t k)
{
    const struct tiles t = {a, k, (k + PTQ_TILE - 1) / PTQ_TILE};
    const int threads = ptq_blas_serial();
    const bool ok = cholesky(&t) && invert(&t);
    ptq_blas_restore(threads);
    return ok;
}
