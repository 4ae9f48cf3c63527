/* ref.c - the slow, obvious twin of GPTQ in LDLQ form: no inverse, no running weights, every element by trying all codes.
 *
 * H = R R^T with R upper, M = R diag(R)^-1. With D = W - Q of the columns already rounded, column j is rounded from
 * w'_j = W_j + sum_(i<j) D_i M_ij, and adds R_jj^2 (w'_j - q_j)^2 to the error. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "ptq_internal.h"

/* R of H = R R^T, from the last column to the first. */
static double *reverse_cholesky(const double *h, size_t k)
{
    double *r = ptq_scratch(k * k, sizeof *r);
    for (size_t j = k; j-- > 0;)
        for (size_t i = j + 1; i-- > 0;) {
            double s = h[i * k + j];
            for (size_t m = j + 1; m < k; m++)
                s -= r[i * k + m] * r[j * k + m];
            r[i * k + j] = i == j ? sqrt(s) : s / r[j * k + j];
        }
    return r;
}

/* The element times the scale nearest to x; a tie goes to the even code. */
static double nearest(const struct pl_format *f, double x, int scale)
{
    double best = 0, least = INFINITY;
    const uint8_t s = (uint8_t)scale;
    for (uint32_t c = 0; c < 1u << pl_format_bits(f); c++) {
        float v;
        if (f->kind == PL_FORMAT_MXINT && f->range == PL_RANGE_SYMMETRIC && c == 1u << (f->int_bits - 1))
            continue;
        pl_dequantise(f, &c, &s, 1, &v);
        if (!isfinite(v))
            continue;
        const double q = (double)v, err = fabs(x - q);
        if (err < least || (err == least && c % 2 == 0)) {
            least = err;
            best = q;
        }
    }
    return best;
}

struct row {
    const struct pl_format *f;
    const double *r; /* R */
    const float *w;
    size_t k;
    double *d; /* residuals W - Q */
};

/* w'_j given the residuals of columns before `upto`. */
static double moved(const struct row *x, size_t j, size_t upto)
{
    double s = (double)x->w[j];
    for (size_t i = 0; i < upto; i++)
        s += x->d[i] * x->r[i * x->k + j] / x->r[j * x->k + j];
    return s;
}

/* Round columns [b, end) at a scale; the loss. */
static double columns(const struct row *x, size_t b, size_t end, int scale, float *q)
{
    double loss = 0;
    for (size_t j = b; j < end; j++) {
        const double want = moved(x, j, j), got = nearest(x->f, want, scale), rj = x->r[j * x->k + j];
        q[j] = (float)got;
        x->d[j] = (double)x->w[j] - got;
        loss += rj * rj * (want - got) * (want - got);
    }
    return loss;
}

/* Largest magnitude of the block as all earlier columns move it: c M_bb^-1, c = sum of earlier D_i M_ib, on top of W_b. */
static double block_amax(const struct row *x, size_t b, size_t end)
{
    double c[64], amax = 0;
    for (size_t j = b; j < end; j++) {
        c[j - b] = moved(x, j, b) - (double)x->w[j];
        for (size_t i = b; i < j; i++)
            c[j - b] -= c[i - b] * x->r[i * x->k + j] / x->r[j * x->k + j];
        amax = fmax(amax, fabs((double)x->w[j] + c[j - b]));
    }
    return amax;
}

static void one_row(const struct row *x, bool search, float *q, uint8_t *scale)
{
    const struct ptq_grid g = ptq_grid_of(x->f);
    for (size_t b = 0; b < x->k; b += x->f->block) {
        const size_t end = b + x->f->block < x->k ? b + x->f->block : x->k;
        const double amax = block_amax(x, b, end);
        const int floor_scale = amax > 0 ? ptq_grid_floor(&g, amax) : 0;
        int best = floor_scale, lower;
        double least = INFINITY, top = 0;
        for (unsigned i = 0; search && amax > 0 && i < g.n_candidates; i++) {
            const int scale_i = ptq_grid_try(floor_scale, g.candidate[i]);
            const double loss = columns(x, b, end, scale_i, q);
            if (loss < least) {
                least = loss;
                best = scale_i;
            }
        }
        for (lower = best;; best = lower) {
            columns(x, b, end, best, q);
            top = 0;
            for (size_t j = b; j < end; j++)
                top = fmax(top, fabs((double)q[j]));
            if (ptq_grid_stable(&g, top, &lower))
                break;
        }
        scale[b / x->f->block] = (uint8_t)(top == 0 ? 0 : best);
    }
}

void pl_ptq_round_ref(const double *h, enum pl_ptq_search search, const struct pl_format *f, const float *w, size_t n, size_t k,
                      float *q, uint8_t *scale)
{
    double *r = reverse_cholesky(h, k), *d = ptq_scratch(k, sizeof *d);
    for (size_t i = 0; i < n; i++) {
        const struct row x = {f, r, w + i * k, k, d};
        one_row(&x, search == PL_SEARCH_COMP, q + i * k, scale + i * pl_format_row_scales(f, k));
    }
    free(r);
    free(d);
}
