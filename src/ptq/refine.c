/* refine.c - coordinate descent over the elements of a rounded matrix, block exponents as they are.
 *
 * tr(D H D^T) is a sum over rows d H d^T, in which an element alone enters as H_jj (d_j - t)^2 + const with
 * t = d_j - (H d)_j / H_jj: the element nearest to that point of the grid is the best one while the others stay. Sweeps
 * go from left to right and never raise the error. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <cblas.h>
#include <stdlib.h>

#include "ptq_internal.h"

enum { STRIP = 64 };

/* (H + damping)[i][j] */
static double at(const struct pl_hessian *h, size_t i, size_t j)
{
    return i == j ? h->diag[i] + h->added : i > j ? h->a[i * h->k + j] : h->a[j * h->k + i];
}

/* One row: q to be improved, d = q - w, g = H d. Returns the elements changed. */
static size_t sweep(const struct pl_hessian *h, const struct ptq_grid *grid, const uint8_t *scale, float *q, double *d, double *g)
{
    const size_t k = h->k, block = grid->f->block;
    size_t changed = 0;
    for (size_t j = 0; j < k; j++) {
        const double best = ptq_grid_round(grid, (double)q[j] - g[j] / at(h, j, j), pl_scale_value(grid->f, scale[j / block])), step = best - (double)q[j];
        /* Once more: rounding may have gone to the farther side of a tie. */
        if (step == 0 || step * (2 * g[j] + at(h, j, j) * step) >= 0)
            continue;
        q[j] = (float)best;
        d[j] += step;
        for (size_t i = 0; i < k; i++)
            g[i] += step * at(h, i, j);
        changed++;
    }
    return changed;
}

void pl_ptq_refine(const struct pl_hessian *h, const struct pl_format *f, const float *w, size_t n, unsigned sweeps, float *q, uint8_t *scale)
{
    const size_t k = h->k, scales = pl_format_row_scales(f, k);
    const struct ptq_grid grid = ptq_grid_of(f);
    if (!pl_ptq_divisible(f))
        return; /* a changed element could leave a block that does not quantise to itself */
    const int threads = ptq_blas_serial();
#pragma omp parallel
    {
        double *d = ptq_scratch(2 * STRIP * k, sizeof *d), *g = d + STRIP * k;
#pragma omp for schedule(dynamic, 1)
        for (size_t r = 0; r < n; r += STRIP) {
            const size_t m = n - r < STRIP ? n - r : STRIP;
            for (size_t i = 0; i < m * k; i++)
                d[i] = (double)q[r * k + i] - (double)w[r * k + i];
            cblas_dsymm(CblasRowMajor, CblasRight, CblasLower, (int)m, (int)k, 1.0, h->a, (int)k, d, (int)k, 0.0, g, (int)k);
            for (size_t i = 0; i < m * k; i++) /* the diagonal there is the factor's */
                g[i] += d[i] * (at(h, i % k, i % k) - h->a[i % k * (k + 1)]);
            for (size_t i = 0; i < m; i++)
                for (unsigned s = 0; s < sweeps && sweep(h, &grid, scale + (r + i) * scales, q + (r + i) * k, d + i * k, g + i * k); s++)
                    ;
            for (size_t b = 0; b < m * scales; b++) { /* a block that became zero */
                const size_t row = r + b / scales, first = b % scales * f->block, last = first + f->block < k ? first + f->block : k;
                bool zero = true;
                for (size_t i = first; i < last; i++)
                    zero &= q[row * k + i] == 0;
                if (zero)
                    scale[row * scales + b % scales] = 0;
            }
        }
        free(d);
    }
    ptq_blas_restore(threads);
}
