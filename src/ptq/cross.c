/* cross.c - the weights that come nearest to the unquantised model's outputs from quantised inputs.
 *
 * X the inputs a matrix has in the unquantised model, Y those it gets. Of |W X - V Y|^2 + damp |V - W|^2 the minimum is
 * V = W + W (C - H) (H + damp)^-1, C = X^T Y / rows, H = Y^T Y / rows; and what rounding V to Q adds to it is
 * tr((V - Q) (H + damp) (V - Q)^T), which is what pl_ptq_round makes small. (H + damp)^-1 = U^T U is there already. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <cblas.h>
#include <stdlib.h>

#include "ptq_internal.h"

enum { TILE = 512, SUM_ROWS = 4096, STRIP = 64 };

struct pl_cross {
    size_t k;
    uint64_t rows;
    double *a; /* k x k: sums of C; then (C - H) U^T U */
};

enum pl_status pl_cross_new(size_t k, struct pl_cross **out, struct pl_diag *d)
{
    size_t n;
    double *a = pl_mul_overflows(k, k, &n) ? NULL : ptq_alloc(n, sizeof *a);
    if (!a)
        return pl_fail(d, PL_ENOMEM, "no memory for a matrix of %zu x %zu", k, k);
    *out = ptq_scratch(1, sizeof **out);
    **out = (struct pl_cross){.k = k, .a = a};
    return PL_OK;
}

void pl_cross_free(struct pl_cross *c)
{
    if (!c)
        return;
    free(c->a);
    free(c);
}

void pl_cross_add(struct pl_cross *c, const float *x, const float *y, size_t rows)
{
    const size_t k = c->k, tiles = (k + TILE - 1) / TILE;
    const int threads = ptq_blas_serial();
    for (size_t r = 0; r < rows; r += SUM_ROWS) {
        const size_t n = rows - r < SUM_ROWS ? rows - r : SUM_ROWS;
#pragma omp parallel
        {
            float *sum = ptq_scratch((size_t)TILE * TILE, sizeof *sum);
#pragma omp for schedule(dynamic, 1)
            for (size_t t = 0; t < tiles * tiles; t++) {
                const size_t i0 = t / tiles * TILE, j0 = t % tiles * TILE;
                const size_t ni = k - i0 < TILE ? k - i0 : TILE, nj = k - j0 < TILE ? k - j0 : TILE;
                cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)ni, (int)nj, (int)n, 1.0f, x + r * k + i0, (int)k,
                            y + r * k + j0, (int)k, 0.0f, sum, TILE);
                for (size_t i = 0; i < ni; i++)
                    for (size_t j = 0; j < nj; j++)
                        c->a[(i0 + i) * k + j0 + j] += (double)sum[i * TILE + j];
            }
            free(sum);
        }
    }
    ptq_blas_restore(threads);
    c->rows += rows;
}

void pl_cross_solve(struct pl_cross *c, const struct pl_hessian *h)
{
    const size_t k = c->k;
    const int threads = ptq_blas_serial();
#pragma omp parallel for schedule(dynamic, 1)
    for (size_t i = 0; i < k; i += STRIP) {
        const size_t n = k - i < STRIP ? k - i : STRIP;
        double *a = c->a + i * k;
        for (size_t r = 0; r < n; r++)
            for (size_t j = 0; j < k; j++)
                a[r * k + j] = a[r * k + j] / (double)c->rows - pl_hessian_at(h, i + r, j);
        cblas_dtrmm(CblasRowMajor, CblasRight, CblasUpper, CblasTrans, CblasNonUnit, (int)n, (int)k, 1.0, h->a, (int)k, a, (int)k);
        cblas_dtrmm(CblasRowMajor, CblasRight, CblasUpper, CblasNoTrans, CblasNonUnit, (int)n, (int)k, 1.0, h->a, (int)k, a, (int)k);
    }
    ptq_blas_restore(threads);
}

void pl_cross_apply(const struct pl_cross *c, double part, float *w, size_t n)
{
    const size_t k = c->k;
    const int threads = ptq_blas_serial();
#pragma omp parallel
    {
        double *x = ptq_scratch(2 * STRIP * k, sizeof *x), *y = x + STRIP * k;
#pragma omp for schedule(dynamic, 1)
        for (size_t i = 0; i < n; i += STRIP) {
            const size_t m = n - i < STRIP ? n - i : STRIP;
            for (size_t e = 0; e < m * k; e++)
                y[e] = x[e] = (double)w[i * k + e];
            cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)m, (int)k, (int)k, part, x, (int)k, c->a, (int)k, 1.0, y, (int)k);
            for (size_t e = 0; e < m * k; e++)
                w[i * k + e] = (float)y[e];
        }
        free(x);
    }
    ptq_blas_restore(threads);
}
